//! Picket: a Sentry-compatible server in one binary with one SQLite file.

mod api;
mod app;
mod apply;
mod cli;
mod config;
mod domain;
mod first_start;
pub mod http;
mod ingest;
mod store;

pub use app::{App, ApplyFile, Settings, StartError};
pub use cli::run;
pub use domain::dsn::UrlPrefix;
pub use domain::durability::Durability;
pub use domain::time::{Clock, Timestamp};
