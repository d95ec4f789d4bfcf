//! What the transport counts about itself. Requests that never reach a project show up here and nowhere else.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Refusal;

/// The transport's counters at one moment. Counts run from the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub connections_open: u64,
    pub connections_accepted: u64,
    /// Closed at once because the server or their address had too many.
    pub connections_refused: u64,
    /// Closed while they waited, to make room for newer ones.
    pub connections_evicted: u64,
    /// Failures to accept a connection or to start its thread.
    pub accept_errors: u64,
    /// Requests that were handed to a lane.
    pub requests: u64,
    /// Answers given in a handler's stead, by [`Refusal::kind`].
    pub refusals: BTreeMap<&'static str, u64>,
    /// Connections closed because their client did not read its answer.
    pub slow_readers_cut: u64,
    pub handler_panics: u64,
    pub ingest_lanes_open: u64,
    pub general_lanes_open: u64,
    pub lanes_broken: u64,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections_accepted: Counter,
    pub(super) connections_refused: Counter,
    pub(super) connections_evicted: Counter,
    pub(super) accept_errors: Counter,
    pub(super) requests: Counter,
    pub(super) slow_readers_cut: Counter,
    pub(super) handler_panics: Counter,
    pub(super) lanes_broken: Counter,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(super) fn refused(&self, refusal: &Refusal) {
        let mut refusals = super::lock(&self.refusals);
        *refusals.entry(refusal.kind()).or_default() += 1;
    }

    pub(super) fn snapshot(&self, connections: usize, ingest: usize, general: usize) -> Metrics {
        Metrics {
            connections_open: connections as u64,
            connections_accepted: self.connections_accepted.get(),
            connections_refused: self.connections_refused.get(),
            connections_evicted: self.connections_evicted.get(),
            accept_errors: self.accept_errors.get(),
            requests: self.requests.get(),
            refusals: super::lock(&self.refusals).clone(),
            slow_readers_cut: self.slow_readers_cut.get(),
            handler_panics: self.handler_panics.get(),
            ingest_lanes_open: ingest as u64,
            general_lanes_open: general as u64,
            lanes_broken: self.lanes_broken.get(),
        }
    }
}
