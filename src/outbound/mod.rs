//! What the server says to other servers by itself. Who types an address here is not always who runs this machine, so
//! each way out has its guards.

pub(crate) mod http;
pub(crate) mod mail;
pub(crate) mod probe;
