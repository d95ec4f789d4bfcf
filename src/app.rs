//! Joins settings, store, clock and the fronts, and starts the server.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Clock;
use crate::http::{self, Class, LaneSet, Method, Request, Responder, Response, Server, Service};
use crate::ingest::{self, Ingest};
use crate::store::Store;
use crate::store::connection::Durability;
