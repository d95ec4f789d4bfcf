//! Takes what is nobody's business out of items before they are stored (facts/ingestion.md 9).

#[derive(Debug)]
pub(super) struct Scrubber;
impl Scrubber {
    pub(super) fn compile(_: &crate::domain::option::Scrubbing) -> Option<Scrubber> {
        None
    }
    pub(super) fn event(&self, _: &mut super::json::Map<'_>, _: &mut super::meta::Meta) {}
    pub(super) fn log(&self, _: &mut super::json::Map<'_>, _: &mut super::meta::Meta) {}
    pub(super) fn span(&self, _: &mut super::json::Map<'_>, _: &mut super::meta::Meta) {}
    pub(super) fn metric(&self, _: &mut super::json::Map<'_>, _: &mut super::meta::Meta) {}
    pub(super) fn other(&self, _: &mut super::json::Map<'_>, _: &mut super::meta::Meta) {}
}
