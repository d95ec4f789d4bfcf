pub(crate) fn measure(_: usize) {}
