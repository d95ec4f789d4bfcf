//! What the server does by itself in the background.

mod deletion;
mod retention;
