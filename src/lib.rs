//! Picket: a Sentry-compatible server in one binary with one SQLite file.
//!
//! The map, in reading order. A module names those of its last column and nothing else of ours; what two fronts
//! both need moves down, never sideways. `grep -rhoE 'crate::[a-z_]+' src/api | sort | uniq -c` prints the arrows.
//!
//! | module | what it is for | may name |
//! |---|---|---|
//! | `domain` | the nouns and rules, the errors, the clock; no input, no output | none of ours |
//! | `store` | the SQLite file: opening, group commits, what ingestion needs in memory, a file of queries per resource; alone names SQLite's driver | `domain` |
//! | [`http`] | transport: the gate with its TLS, the lanes, the workers, requests and answers, route tables; alone names the HTTP server that it wraps, and the TLS library; knows no resource | `domain` |
//! | `issues` | what an event is called and tagged with: pure | `domain` |
//! | `outbound` | what the server says to other servers by itself: the one HTTP client, with its guards, and mail | `domain` |
//! | `identity` | who somebody is: passwords, second factors, sessions, links that stand for them, single sign-on, how fast they may be guessed | `domain`, `store`, `http`, `outbound` |
//! | `ingest` | the front for SDKs: from a request to one job for the writer | `domain`, `store`, `http` |
//! | `api` | the front for management clients, `/api/0/` | `domain`, `store`, `http`, `identity`, `issues` |
//! | `web` | the front for people: pages | `domain`, `store`, `http`, `identity` |
//! | `watch` | the front for who watches the server: health, metrics, the other end of `picket doctor` | `domain`, `store`, `http`, `identity`, `outbound` |
//! | `jobs` | what the server does by itself in the background: removes what was deleted, and what is too old | `domain`, `store`, `identity` |
//! | `apply` | creates and updates what a TOML file describes | `domain`, `store` |
//! | `relocation` | moving in and out: Sentry's relocation format, and what another server's API tells | `domain`, `store`, `outbound` |
//! | `first_start` | what a new file begins with | `domain`, `store` |
//! | `doctor` | what is wrong with an installation, looked at from outside | `domain`, `store`, `outbound` |
//! | `config` | every setting in one table: flag, variable, line of a file | `domain` |
//! | `app` | joins settings, store, clock and fronts, and starts the server | all of the above |
//! | `cli` | commands, messages, exit codes | `app`, `apply`, `config`, `doctor`, `domain`, `first_start`, `identity`, `outbound`, `relocation`, `store` |
//!
//! The library exists for `main` and for the tests, which start a server in their own process and turn its clock;
//! the load program puts handlers of its own behind [`http`].

mod api;
mod app;
mod apply;
mod cli;
mod config;
mod doctor;
mod domain;
mod first_start;
pub mod http;
mod identity;
mod ingest;
mod issues;
mod jobs;
mod outbound;
mod relocation;
mod store;
mod watch;
mod web;

pub use app::{AccessLogTo, App, ApplyFile, Settings, StartError, TlsFiles};
pub use cli::run;
pub use domain::bundle_url::BundleUrl;
pub use domain::dsn::UrlPrefix;
pub use domain::durability::Durability;
pub use domain::mail::MailSettings;
pub use domain::outbound::OutboundSettings;
pub use domain::time::{Clock, Timestamp};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use ingest::fuzzing;
