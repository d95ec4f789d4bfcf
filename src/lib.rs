//! Picket: a Sentry-compatible server in one binary with one SQLite file.

mod domain;
pub mod http;

pub use domain::time::{Clock, Timestamp};
