//! What the transport counts about itself. Requests that never reach a project show up here and nowhere else.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::domain::measure::{Counter, Durations, Histogram};

use super::Refusal;

/// Who a path belongs to, for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    Ingest,
    Api,
    Web,
    /// For who watches the server: health and metrics.
    Watch,
}

impl Front {
    pub const ALL: [Front; 4] = [Front::Ingest, Front::Api, Front::Web, Front::Watch];

    pub fn name(self) -> &'static str {
        match self {
            Front::Ingest => "ingest",
            Front::Api => "api",
            Front::Web => "web",
            Front::Watch => "watch",
        }
    }
}

/// The transport's counters at one moment. Counts run from the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub connections_open: u64,
    pub connections_accepted: u64,
    /// Connections that are over, by why, in a word; each is counted once.
    pub connections_ended: BTreeMap<&'static str, u64>,
    /// Closed at once because the server or their address had too many.
    pub connections_refused: u64,
    /// Closed while they waited, to make room for newer ones.
    pub connections_evicted: u64,
    /// Failures to accept a connection or to start its thread.
    pub accept_errors: u64,
    /// Whole TLS handshakes.
    pub tls_handshakes: u64,
    /// Requests that were handed to a lane.
    pub requests: u64,
    /// Requests to the redirecting address that were sent on to the right one.
    pub redirects: u64,
    /// Answers given in a handler's stead, by [`Refusal::kind`].
    pub refusals: BTreeMap<&'static str, u64>,
    /// Connections closed because their client did not read its answer.
    pub slow_readers_cut: u64,
    pub handler_panics: u64,
    pub ingest_lanes_open: u64,
    pub general_lanes_open: u64,
    pub lanes_broken: u64,
    /// In the order of [`Front::ALL`].
    pub fronts: [FrontMetrics; Front::ALL.len()],
    /// Lines of the access log that found no room or could not be written.
    pub access_lines_dropped: u64,
}

/// What became of one front's requests, refusals in its stead included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontMetrics {
    /// Answers by the first digit of their status, from 1 on.
    pub answers: [u64; 5],
    /// Connections closed instead of an answer, because nobody could say what took effect.
    pub unanswered: u64,
    /// From having a request whole to having its answer; refusals in a handler's stead are not among them.
    pub took: Durations,
    /// Bytes of bodies, as they were sent.
    pub body_bytes_received: u64,
    /// Bytes of the bodies of answers, as far as they were sent.
    pub body_bytes_sent: u64,
}

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// Nothing was under way, or what was had come to its end.
    Done,
    /// The client went away in the middle of a request, or before its answer.
    Left,
    /// No request came for too long.
    Idle,
    /// A request was refused, which `refusals` counts by its reason.
    Refused,
    /// The answer was not read in time, or made room for others.
    SlowReader,
    /// A handler wanted it, or nobody knows what a request did.
    Unanswered,
    /// It was sent on to the right address.
    Redirected,
    /// It made room for a newer one while it waited.
    Evicted,
    /// The server stopped.
    Stopped,
    /// There were too many.
    Full,
    /// There were too many of its address.
    AddressFull,
    /// There was no thread for it, or its socket could not be set up.
    NoThread,
    /// The TLS handshake was not over in time.
    TlsTimeout,
    /// The client and the server did not agree on TLS, or the client broke its rules.
    TlsFailed,
    /// It came from a proxy and did not begin with a header of the PROXY protocol.
    ProxyHeader,
    /// The thread that served it panicked.
    Panicked,
}

impl Ending {
    pub(super) const ALL: [Ending; 16] = [
        Ending::Done,
        Ending::Left,
        Ending::Idle,
        Ending::Refused,
        Ending::SlowReader,
        Ending::Unanswered,
        Ending::Redirected,
        Ending::Evicted,
        Ending::Stopped,
        Ending::Full,
        Ending::AddressFull,
        Ending::NoThread,
        Ending::TlsTimeout,
        Ending::TlsFailed,
        Ending::ProxyHeader,
        Ending::Panicked,
    ];

    /// A short name for counters.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Left => "left",
            Ending::Idle => "idle_timeout",
            Ending::Refused => "refused",
            Ending::SlowReader => "slow_reader",
            Ending::Unanswered => "unanswered",
            Ending::Redirected => "redirected",
            Ending::Evicted => "evicted",
            Ending::Stopped => "stopped",
            Ending::Full => "full",
            Ending::AddressFull => "address_full",
            Ending::NoThread => "no_thread",
            Ending::TlsTimeout => "tls_timeout",
            Ending::TlsFailed => "tls_failed",
            Ending::ProxyHeader => "proxy_header",
            Ending::Panicked => "panicked",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections_accepted: Counter,
    pub(super) connections_refused: Counter,
    pub(super) connections_evicted: Counter,
    pub(super) accept_errors: Counter,
    pub(super) tls_handshakes: Counter,
    pub(super) requests: Counter,
    pub(super) redirects: Counter,
    pub(super) slow_readers_cut: Counter,
    pub(super) handler_panics: Counter,
    pub(super) lanes_broken: Counter,
    fronts: [FrontCounters; Front::ALL.len()],
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    /// In the order of [`Ending::ALL`].
    endings: [Counter; Ending::ALL.len()],
}

#[derive(Debug, Default)]
pub(super) struct FrontCounters {
    answers: [Counter; 5],
    pub(super) unanswered: Counter,
    pub(super) took: Histogram,
    pub(super) body_bytes_received: Counter,
    pub(super) body_bytes_sent: Counter,
}

impl FrontCounters {
    pub(super) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5);
        self.answers[class - 1].add(1);
    }

    fn read(&self) -> FrontMetrics {
        FrontMetrics {
            answers: self.answers.each_ref().map(Counter::get),
            unanswered: self.unanswered.get(),
            took: self.took.read(),
            body_bytes_received: self.body_bytes_received.get(),
            body_bytes_sent: self.body_bytes_sent.get(),
        }
    }
}

impl Counters {
    pub(super) fn ended(&self, ending: Ending) {
        self.endings[ending as usize].add(1);
    }

    pub(super) fn front(&self, front: Front) -> &FrontCounters {
        // The order of `Front::ALL` is that of the declaration.
        &self.fronts[front as usize]
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        let mut refusals = super::lock(&self.refusals);
        *refusals.entry(refusal.kind()).or_default() += 1;
    }

    pub(super) fn snapshot(&self, connections: usize, ingest: usize, general: usize) -> Metrics {
        Metrics {
            connections_open: connections as u64,
            connections_accepted: self.connections_accepted.get(),
            connections_ended: Ending::ALL
                .iter()
                .zip(&self.endings)
                .map(|(ending, count)| (ending.kind(), count.get()))
                .filter(|(_, count)| *count > 0)
                .collect(),
            connections_refused: self.connections_refused.get(),
            connections_evicted: self.connections_evicted.get(),
            accept_errors: self.accept_errors.get(),
            tls_handshakes: self.tls_handshakes.get(),
            requests: self.requests.get(),
            redirects: self.redirects.get(),
            refusals: super::lock(&self.refusals).clone(),
            slow_readers_cut: self.slow_readers_cut.get(),
            handler_panics: self.handler_panics.get(),
            ingest_lanes_open: ingest as u64,
            general_lanes_open: general as u64,
            lanes_broken: self.lanes_broken.get(),
            fronts: self.fronts.each_ref().map(FrontCounters::read),
            access_lines_dropped: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_counted_under_its_own_name() {
        for ending in Ending::ALL {
            let counters = Counters::default();
            counters.ended(ending);
            let ended = counters.snapshot(0, 0, 0).connections_ended;
            assert_eq!(ended, BTreeMap::from([(ending.kind(), 1)]));
        }
    }
}
