//! Transport: the public socket, the way from there to the handlers, and the values that they exchange.
//!
//! Knows HTTP and no resource. The parts, in the order of a request's way:
//!
//! - `gate` owns the public sockets: TLS, limits, deadlines, strict framing, the whole request first; `tls` has the
//!   certificate that it shows;
//! - `lanes` carries it over private sockets (in a `private_directory`) to stock `tiny_http`, and the answer back; `turns`
//!   bounds the long ones;
//! - `metrics` counts, and `access_log` writes down, what became of every request;
//! - [`server`] runs the workers behind the lanes and stops them in order;
//! - [`request`] and [`response`] are what a handler sees and gives; `wire` writes an answer as bytes;
//! - [`router`] finds a line of a route table; [`credentials`] and [`cookies`] read who says to be asking; [`multipart`]
//!   reads forms; [`page`] reads and writes the values of pagination; `spool` makes files for what is too large for memory.
//!
//! Only this module names `tiny_http` and `rustls`.

mod access_log;
pub mod cookies;
pub mod credentials;
mod gate;
mod lanes;
mod metrics;
pub mod multipart;
pub mod page;
mod private_directory;
pub mod request;
pub mod response;
pub mod router;
pub mod server;
mod spool;
mod tls;
mod turns;
mod wire;

pub use crate::domain::address_range::AddressRange;
pub use crate::domain::measure::Durations;
pub use access_log::{AccessLog, AccessLogTo};
pub(crate) use gate::descriptors_needed;
pub use metrics::{Front, FrontMetrics, Metrics};
pub use request::{Body, Headers, Method, Request};
pub use response::Response;
pub use server::{
    AnswerHere, Class, LaneSet, Listeners, Meter, Refusal, Responder, Scarce, Server, Service,
    Settings, Side, Watching,
};
pub(crate) use spool::nameless_file;
pub use tls::Tls;

/// Locks, also after a panic of another holder: what the transport guards is whole between any two statements.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`lock`], for one of many readers.
fn lock_for_reading<T>(guarded: &std::sync::RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    guarded
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`lock`], for the one writer.
fn lock_for_writing<T>(guarded: &std::sync::RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    guarded
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
