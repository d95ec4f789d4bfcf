//! What is there for who watches the server.

mod access_log;
mod exposition;
mod health;
mod metrics;
