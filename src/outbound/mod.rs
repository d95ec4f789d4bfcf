//! What the server sends to others by itself.

pub(crate) mod mail;
