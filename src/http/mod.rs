//! Transport: the public socket, the way from there to the handlers, and the values that they exchange.
//!
//! Knows HTTP and no resource. The parts, in the order of a request's way:
//!
//! - [`gate`] owns the public socket: limits, deadlines, strict framing, the whole request first;
//! - [`lanes`] carries it over private sockets to stock `tiny_http`, and the answer back;
//! - [`server`] runs the workers behind the lanes and stops them in order;
//! - [`request`] and [`response`] are what a handler sees and gives;
//! - [`router`] finds a line of a route table; [`credentials`] reads who says to be asking.
//!
//! Only this module names `tiny_http`.

pub mod credentials;
pub mod gate;
pub mod lanes;
pub mod page;
pub mod request;
pub mod response;
pub mod router;
pub mod server;

pub use request::{Body, Headers, Method, Request};
pub use response::Response;
