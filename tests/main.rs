//! All tests through the front door, as one program.

mod api;
mod http;

mod support;
