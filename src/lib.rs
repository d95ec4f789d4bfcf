//! Picket: a Sentry-compatible server in one binary with one SQLite file.
#![allow(dead_code)]

mod api;
mod domain;
pub mod http;
mod store;

pub use domain::time::{Clock, Timestamp};
