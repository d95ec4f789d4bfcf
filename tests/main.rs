//! All tests through the front door, as one program.

mod api;
mod cli;
mod http;
mod ingest;
mod jobs;
mod watch;
mod web;

mod support;
