//! All tests through the front door, as one program.

mod http;

mod support;
