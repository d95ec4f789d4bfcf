//! Starts the transport, runs the workers behind the lanes, and stops everything in order.
//!
//! A worker takes a request from `tiny_http`, makes it a [`Request`] and calls the [`Service`] of its lane set.
//! The service answers through the [`Responder`], now or later and from any thread; a worker never waits for an
//! answer. Invariant: every request that reached a service is answered exactly once or its client's connection
//! is closed; a panic and a forgotten responder both become the front's own 500.
//!
//! What the gate refuses and what it never sees is the gate's business, what a path means is the front's.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

use crate::domain::time::{Clock, Timestamp};

use super::access_log::AccessLog;
use super::gate::{Connections, Gate};
use super::lanes::{Handover, Lanes, Slot, WHOLE_BODY_BYTES_MAX, field};
use super::metrics::{Counters, Front, Metrics};
use super::response::Pieces;
use super::turns::Turns;
use super::{AddressRange, Body, Headers, Method, Request, Response, Tls, wire};

/// What a front offers to the transport.
pub trait Service: Send + Sync + 'static {
    /// Called on a worker thread, of which there are few: it must not wait for anything slow, but hand the
    /// responder on instead.
    fn call(&self, request: Request, responder: Responder);
}

/// Which workers and lanes serve a request, so that a slow page never takes an event's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaneSet {
    Ingest,
    General,
    /// None: answered on the connection's own thread, by what [`Watching`] holds.
    None,
}

/// How the gate treats a request, decided by `app` from method and path alone.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    pub lanes: LaneSet,
    /// Under which name the request is counted.
    pub front: Front,
    /// The longest body that is read, as sent (before any decompression).
    pub body_bytes_max: u64,
    /// Whether a body that is too large for memory may go to a file now; else it is refused as [`Refusal::Busy`].
    pub spools: bool,
    /// Words a refusal as this path's clients expect it. Must not panic and must be quick.
    pub refuse: fn(&Refusal) -> Response,
}

/// Decides the class of a request from its method and its path (still percent-encoded, without the query). For a
/// head that could not be read the path is empty.
pub type Classify = dyn Fn(&Method, &str) -> Class + Send + Sync;

/// Answers requests without a body on their connections' threads, which have small stacks: quickly, from memory.
pub type AnswerHere = dyn Fn(&Request) -> Response + Send + Sync;

/// What is there for who watches the server.
#[derive(Clone)]
pub struct Watching {
    /// For requests of a [`Class`] without lanes.
    pub answer: Arc<AnswerHere>,
    pub access_log: Option<Arc<AccessLog>>,
}

impl Default for Watching {
    fn default() -> Watching {
        Watching {
            answer: Arc::new(|_| Response::empty(404)),
            access_log: None,
        }
    }
}

/// Why the transport answers in a handler's stead.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is not well-formed HTTP/1; the text says what is wrong with it.
    BadRequest(&'static str),
    /// A request without TLS where TLS is spoken.
    PlainHttp,
    HeadTimeout,
    BodyTimeout,
    BodyTooLarge {
        max_bytes: u64,
    },
    ExpectationFailed,
    HeadTooLarge,
    /// A handler panicked or forgot to answer.
    Internal {
        request_id: String,
    },
    /// A transfer coding or method that this server does not do.
    NotImplemented(&'static str),
    /// The way to the handlers broke before any of them saw the request.
    BrokenLane,
    /// No lane, no room for the body or the answer, or too many long answers under way. The transport adds
    /// `Retry-After` if the front did not.
    Busy {
        retry_after_secs: u32,
        scarce: Scarce,
    },
    VersionNotSupported,
}

/// What there was too little of for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scarce {
    /// Lanes to the handlers.
    Lanes,
    /// Room for request bodies, of all connections together.
    Inbound,
    /// Room for answers, of all connections together.
    Outbound,
    /// Turns for long answers.
    LongAnswers,
    /// The disk did not take a body that is too large for memory.
    Spool,
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Refusal::BadRequest(_) | Refusal::PlainHttp => 400,
            Refusal::HeadTimeout | Refusal::BodyTimeout => 408,
            Refusal::BodyTooLarge { .. } => 413,
            Refusal::ExpectationFailed => 417,
            Refusal::HeadTooLarge => 431,
            Refusal::Internal { .. } => 500,
            Refusal::NotImplemented(_) => 501,
            Refusal::BrokenLane => 502,
            Refusal::Busy { .. } => 503,
            Refusal::VersionNotSupported => 505,
        }
    }

    /// A sentence for people, without a full stop.
    pub fn text(&self) -> &'static str {
        match self {
            Refusal::BadRequest(text) | Refusal::NotImplemented(text) => text,
            Refusal::PlainHttp => "This port speaks HTTPS, not HTTP",
            Refusal::HeadTimeout => "The request head did not arrive in time",
            Refusal::BodyTimeout => "The request body did not arrive in time",
            Refusal::BodyTooLarge { .. } => "The request body is too large",
            Refusal::ExpectationFailed => "The expectation is not supported",
            Refusal::HeadTooLarge => "The request head is too large",
            Refusal::Internal { .. } => "Internal error",
            Refusal::BrokenLane => "The request could not be handed on",
            Refusal::Busy { .. } => "The server is busy",
            Refusal::VersionNotSupported => "The HTTP version is not supported",
        }
    }

    /// The refusal as `refuse` words it, with what every client must be told.
    pub(super) fn worded(&self, refuse: fn(&Refusal) -> Response) -> Response {
        let mut response = refuse(self);
        if let Refusal::Busy {
            retry_after_secs, ..
        } = self
            && response.header("Retry-After").is_none()
        {
            response = response.with_header("Retry-After", retry_after_secs.to_string());
        }
        if !(200..=999).contains(&response.status) {
            response.status = self.status();
        }
        response
    }

    /// A short name for counters.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::BadRequest(_) => "bad_request",
            Refusal::PlainHttp => "plain_http",
            Refusal::HeadTimeout => "head_timeout",
            Refusal::BodyTimeout => "body_timeout",
            Refusal::BodyTooLarge { .. } => "body_too_large",
            Refusal::ExpectationFailed => "expectation_failed",
            Refusal::HeadTooLarge => "head_too_large",
            Refusal::Internal { .. } => "internal",
            Refusal::NotImplemented(_) => "not_implemented",
            Refusal::BrokenLane => "broken_lane",
            Refusal::Busy { scarce, .. } => match scarce {
                Scarce::Lanes => "busy_lanes",
                Scarce::Inbound => "busy_inbound",
                Scarce::Outbound => "busy_outbound",
                Scarce::LongAnswers => "busy_long_answers",
                Scarce::Spool => "busy_spool",
            },
            Refusal::VersionNotSupported => "version_not_supported",
        }
    }
}

/// Connections that one address may hold unless set otherwise; at this value loopback is exempt.
pub(super) const PER_ADDRESS_MAX_DEFAULT: usize = 64;

/// Every limit of the transport. The defaults are the documented ones; `spool_dir` has no good default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Open client connections. Lowered at start if the descriptor limit cannot carry them.
    pub connections_max: usize,
    /// Of these, from one IPv4 address or one IPv6 /64. Trusted proxies are exempt, and loopback is while this has
    /// its default.
    pub per_address_max: usize,
    /// Request line and fields together.
    pub head_bytes_max: usize,
    /// Fields of a head; at most 128.
    pub headers_max: usize,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// Between two requests of a connection, and before the first.
    pub idle_timeout: Duration,
    /// After this long a body must have come in at `body_bytes_per_sec_min` on average.
    pub body_grace: Duration,
    pub body_bytes_per_sec_min: u64,
    /// An answer that makes no progress for so long is given up.
    pub send_timeout: Duration,
    /// Longer bodies are spooled to a file.
    pub body_memory_bytes_max: u64,
    /// Request bodies held at one time by the gate, in memory and in files.
    pub inbound_bytes_max: u64,
    /// Of these, in memory; what goes beyond is spooled.
    pub inbound_memory_bytes_max: u64,
    /// What is in memory of answers longer than 16 KiB that are being sent, all together. Beyond it the slowest
    /// reader is cut; of an answer longer than 256 KiB, no more than 128 KiB is in memory at a time.
    pub outbound_bytes_max: u64,
    /// Answers longer than 256 KiB that are under way, each over a lane of its own; at most half the general lanes.
    pub long_answers_max: usize,
    pub ingest_lanes_max: usize,
    pub general_lanes_max: usize,
    /// How long a request waits for a free lane.
    pub lane_wait: Duration,
    pub ingest_workers: usize,
    pub general_workers: usize,
    /// Where large bodies are spooled, as files without a name. Should lie on a disk, not in memory.
    pub spool_dir: PathBuf,
    /// Who is believed about whom a request or a connection comes from.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether every connection from one of these begins with a header of the PROXY protocol. Others never do.
    pub proxy_protocol: bool,
    /// TLS on the sockets that requests are served on.
    pub tls: Option<Arc<Tls>>,
}

/// The sockets that connections come in by, already listening.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Requests are served here.
    pub serving: Vec<TcpListener>,
    /// Each request is sent on from here, without TLS, to where it should have gone.
    pub redirecting: Vec<TcpListener>,
    /// Where to: scheme, host and port, without a slash at the end.
    pub redirect_to: String,
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Listeners {
        Listeners {
            serving: vec![listener],
            ..Listeners::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        const MIB: u64 = 1024 * 1024;
        Settings {
            connections_max: 1024,
            per_address_max: PER_ADDRESS_MAX_DEFAULT,
            head_bytes_max: 32 * 1024,
            headers_max: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_grace: Duration::from_secs(10),
            body_bytes_per_sec_min: 1024,
            send_timeout: Duration::from_secs(10),
            body_memory_bytes_max: MIB,
            inbound_bytes_max: 1024 * MIB,
            inbound_memory_bytes_max: 64 * MIB,
            outbound_bytes_max: 64 * MIB,
            long_answers_max: 16,
            ingest_lanes_max: 256,
            general_lanes_max: 32,
            lane_wait: Duration::from_secs(2),
            ingest_workers: 4,
            general_workers: 4,
            spool_dir: PathBuf::from("."),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls: None,
        }
    }
}

/// Connections to a second address.
const SIDE_CONNECTIONS_MAX: usize = 32;
const SIDE_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that is under way there has so long to leave.
const SIDE_STOP_WITHIN: Duration = Duration::from_millis(200);

/// What a client is told that found too many long answers under way.
const LONG_ANSWER_RETRY_SECS: u32 = 5;

/// Longer bodies are written apart from their head rather than copied behind it.
const COPIED_BYTES_MAX: usize = 64 * 1024;

/// The one way to answer a request. May be moved to another thread and kept.
///
/// Dropped without an answer it says [`Refusal::Internal`] in the words of the request's class.
pub struct Responder {
    writer: Option<Box<dyn Write + Send>>,
    refuse: fn(&Refusal) -> Response,
    lane: Arc<Slot>,
    bodiless: bool,
    /// Whether the request changed nothing, so that it can be refused also when it was served.
    safe: bool,
    request_id: String,
    counters: Arc<Counters>,
}

impl Responder {
    /// Sends `response`. Whether the client is still there to read it is not known.
    ///
    /// A long one takes as long as its client takes to read it, so it is sent by a thread of its own.
    pub fn respond(mut self, response: Response) {
        match self.is_long(&response) {
            true => self.respond_at_length(response),
            false => self.send(&response),
        }
    }

    fn is_long(&self, response: &Response) -> bool {
        !self.bodiless
            && wire::has_body(response.status)
            && response.body_bytes() > WHOLE_BODY_BYTES_MAX as u64
    }

    fn respond_at_length(mut self, response: Response) {
        if !self.lane.take_turn() {
            return match self.safe {
                true => self.send_refusal(&Refusal::Busy {
                    retry_after_secs: LONG_ANSWER_RETRY_SECS,
                    scarce: Scarce::LongAnswers,
                }),
                false => self.close(),
            };
        }
        let sent = thread::Builder::new()
            .name("long-answer".to_owned())
            .spawn(move || self.send(&response));
        if let Err(error) = sent {
            // The responder went with the closure, and said so.
            log::error!("a long answer got no thread: {error}");
        }
    }

    /// Closes the client's connection without any answer: for a request that may have taken effect although
    /// nobody can say so.
    pub fn close(mut self) {
        let mut head = b"HTTP/1.1 204 No Content\r\n".to_vec();
        wire::write_field(field::CLOSE, b"1", &mut head);
        head.extend_from_slice(b"\r\n");
        self.write(head, &[], None);
    }

    fn send(&mut self, response: &Response) {
        if !(200..=999).contains(&response.status) {
            log::error!("a handler answered with status {}", response.status);
            return self.send_internal();
        }
        let mut head = Vec::with_capacity(512 + response.body.len().min(COPIED_BYTES_MAX));
        wire::write_head(response, &mut head);
        head.extend_from_slice(b"\r\n");
        if self.bodiless || !wire::has_body(response.status) {
            return self.write(head, &[], None);
        }
        self.write(head, &response.body, response.pieces.as_ref());
    }

    fn send_internal(&mut self) {
        self.send_refusal(&Refusal::Internal {
            request_id: self.request_id.clone(),
        });
    }

    fn send_refusal(&mut self, refusal: &Refusal) {
        self.counters.refused(refusal);
        self.send(&refusal.worded(self.refuse));
    }

    /// Writes in one piece what is small: each piece wakes the gate.
    fn write(&mut self, mut head: Vec<u8>, body: &[u8], pieces: Option<&Pieces>) {
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        let rest = match body.len() <= COPIED_BYTES_MAX {
            true => {
                head.extend_from_slice(body);
                &[]
            }
            false => body,
        };
        let written = writer
            .write_all(&head)
            .and_then(|()| writer.write_all(rest))
            .and_then(|()| match pieces {
                Some(pieces) => self.write_pieces(&mut writer, pieces),
                None => Ok(()),
            })
            .and_then(|()| writer.flush());
        if let Err(error) = written {
            // The gate gave up this lane; whoever asked is gone.
            log::debug!("an answer found no lane: {error}");
        }
    }

    /// Writes a body as it is made. One that cannot be made whole ends the lane, and with it the client's
    /// connection.
    fn write_pieces(&self, writer: &mut dyn Write, pieces: &Pieces) -> io::Result<()> {
        let mut left = pieces.bytes;
        let mut number = 0;
        let fault = loop {
            match (pieces.piece)(number) {
                Ok(Some(piece)) if piece.len() as u64 <= left => {
                    writer.write_all(&piece)?;
                    left -= piece.len() as u64;
                    number += 1;
                }
                Ok(None) if left == 0 => return Ok(()),
                Ok(_) => break io::Error::other("it is not as long as it was said to be"),
                Err(error) => break error,
            }
        };
        log::error!(
            "the answer to request {} broke off: {fault}",
            self.request_id
        );
        self.lane.break_off();
        Ok(())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.writer.is_some() {
            if !thread::panicking() {
                log::error!("request {} was dropped unanswered", self.request_id);
            }
            self.send_internal();
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// The running transport. Dropping it stops it without waiting for anybody.
pub struct Server {
    gate: Gate,
    sets: [Arc<Lanes>; 2],
    counters: Arc<Counters>,
    watching: Watching,
}

impl Server {
    /// Takes over the listeners and serves until [`Server::stop`].
    ///
    /// # Errors
    /// The lanes' private directory cannot be made below the system's temporary directory, or the first threads
    /// and lanes cannot be started; or there is nothing to listen on.
    pub fn start(
        listeners: impl Into<Listeners>,
        settings: Settings,
        clock: Clock,
        classify: Arc<Classify>,
        ingest: Arc<dyn Service>,
        general: Arc<dyn Service>,
    ) -> io::Result<Server> {
        let watching = Watching::default();
        Server::start_watched(
            listeners, settings, clock, classify, ingest, general, watching,
        )
    }

    /// As [`Server::start`], with answers for who watches the server.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn start_watched(
        listeners: impl Into<Listeners>,
        mut settings: Settings,
        clock: Clock,
        classify: Arc<Classify>,
        ingest: Arc<dyn Service>,
        general: Arc<dyn Service>,
        watching: Watching,
    ) -> io::Result<Server> {
        super::gate::fit_to_descriptors(&mut settings);
        super::private_directory::remove_abandoned();
        let counters = Arc::new(Counters::default());
        let long_answers_max = settings
            .long_answers_max
            .min(settings.general_lanes_max / 2);
        let turns = Turns::new(long_answers_max.max(1));
        let set = |name, lanes_max, workers, service: Arc<dyn Service>| {
            let counters_of_calls = Arc::clone(&counters);
            let handle: Arc<super::lanes::Handle> = Arc::new(move |request, handover, lane| {
                call(&*service, request, handover, lane, &counters_of_calls);
            });
            Lanes::start(
                name,
                lanes_max,
                workers,
                settings.lane_wait,
                handle,
                Arc::clone(&turns),
                Arc::clone(&counters),
            )
        };
        let ingest = set(
            "ingest",
            settings.ingest_lanes_max,
            settings.ingest_workers,
            ingest,
        )?;
        let general = set(
            "general",
            settings.general_lanes_max,
            settings.general_workers,
            general,
        )
        .inspect_err(|_| ingest.stop(Duration::ZERO))?;
        let sets = [ingest, general];
        let gate = Gate::start(
            listeners.into(),
            settings,
            clock,
            classify,
            sets.clone(),
            Arc::clone(&counters),
            watching.clone(),
        )
        .inspect_err(|_| sets.iter().for_each(|set| set.stop(Duration::ZERO)))?;
        Ok(Server {
            gate,
            sets,
            counters,
            watching,
        })
    }

    /// Serves who watches the server on an address of their own, where nobody else can be in their way. Every path goes
    /// to `answer`.
    ///
    /// # Errors
    /// The listener has no address, or a thread cannot be started.
    pub fn open_side(
        &self,
        listener: TcpListener,
        clock: Clock,
        answer: Arc<AnswerHere>,
    ) -> io::Result<Side> {
        let settings = Settings {
            connections_max: SIDE_CONNECTIONS_MAX,
            head_timeout: SIDE_TIMEOUT,
            idle_timeout: SIDE_TIMEOUT,
            ..Settings::default()
        };
        let class = Class {
            lanes: LaneSet::None,
            front: Front::Watch,
            body_bytes_max: 0,
            spools: false,
            refuse: |refusal| Response::text(refusal.status(), refusal.text()),
        };
        let gate = Gate::start(
            listener.into(),
            settings,
            clock,
            Arc::new(move |_: &Method, _: &str| class),
            // Nothing goes over them.
            self.sets.clone(),
            Arc::default(),
            Watching {
                answer,
                access_log: self.watching.access_log.clone(),
            },
        )?;
        Ok(Side { gate })
    }

    /// Reads the counters for as long as it is kept, also when this has stopped.
    pub fn meter(&self) -> Meter {
        Meter {
            connections: self.gate.connections(),
            sets: self.sets.clone(),
            counters: Arc::clone(&self.counters),
            access_log: self.watching.access_log.clone(),
        }
    }

    /// The first of those that serve.
    pub fn local_addr(&self) -> SocketAddr {
        self.gate.local_addr()
    }

    /// Stops accepting, closes idle connections at once, lets what is in flight finish, and closes the rest when
    /// `within` is over. True when everything was finished. A second call finds nothing to do and is true.
    pub fn stop(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let finished = self.gate.stop(deadline);
        for set in &self.sets {
            set.stop(deadline.saturating_duration_since(Instant::now()));
        }
        finished
    }

    /// The counters as they stand.
    pub fn metrics(&self) -> Metrics {
        self.meter().read()
    }
}

/// Reads a server's counters.
#[derive(Clone)]
pub struct Meter {
    connections: Connections,
    sets: [Arc<Lanes>; 2],
    counters: Arc<Counters>,
    access_log: Option<Arc<AccessLog>>,
}

impl Meter {
    /// The counters as they stand.
    pub fn read(&self) -> Metrics {
        let [ingest, general] = &self.sets;
        let open = self.connections.open();
        Metrics {
            access_lines_dropped: self.access_log.as_ref().map_or(0, |log| log.dropped()),
            ..self.counters.snapshot(open, ingest.open(), general.open())
        }
    }
}

/// A second address, for who watches the server. Closed when dropped.
pub struct Side {
    gate: Gate,
}

impl Side {
    pub fn local_addr(&self) -> SocketAddr {
        self.gate.local_addr()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.gate.stop(Instant::now() + SIDE_STOP_WITHIN);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// Brings one request from a lane to the service.
fn call(
    service: &dyn Service,
    mut carried: tiny_http::Request,
    handover: Handover,
    lane: Arc<Slot>,
    counters: &Arc<Counters>,
) {
    let request = read(&mut carried, handover.file);
    let bodiless = *carried.method() == tiny_http::Method::Head;
    let mut responder = Responder {
        bodiless,
        safe: bodiless || *carried.method() == tiny_http::Method::Get,
        writer: Some(carried.into_writer()),
        refuse: handover.refuse,
        lane,
        request_id: String::new(),
        counters: Arc::clone(counters),
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            log::error!("a request could not be read from its lane: {error}");
            return;
        }
    };
    responder.request_id.clone_from(&request.id);
    let (method, path) = (request.method.clone(), request.path.clone());
    let request_id = request.id.clone();
    // A handler keeps nothing across requests but what its own locks guard, and those tell of a panic themselves.
    if catch_unwind(AssertUnwindSafe(|| service.call(request, responder))).is_err() {
        counters.handler_panics.add(1);
        log::error!(
            "the handler of {} {path} panicked, request {request_id}",
            method.as_str()
        );
    }
}

fn read(
    carried: &mut tiny_http::Request,
    file: Option<(std::fs::File, u64)>,
) -> io::Result<Request> {
    let mut request = Request {
        method: Method::parse(carried.method().as_str()),
        path: String::new(),
        query: String::new(),
        headers: Headers::default(),
        body: Body::empty(),
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        received: Timestamp::default(),
        id: String::new(),
    };
    let target = carried.url();
    match target.split_once('?') {
        Some((path, query)) => {
            request.path = path.to_owned();
            request.query = query.to_owned();
        }
        None => request.path = target.to_owned(),
    }
    let missing = || io::Error::other("a private field is missing or wrong");
    for header in carried.headers() {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        if !wire::has_private_prefix(name) {
            // The gate always tells the length; a handler sees the field only if there is a body.
            if !name.eq_ignore_ascii_case("content-length") {
                request.headers.push(name, value);
            }
        } else if name == field::PEER {
            request.peer = value.parse().map_err(|_| missing())?;
        } else if name == field::REQUEST_ID {
            request.id = value.to_owned();
        } else if name == field::RECEIVED_US {
            request.received = Timestamp::from_us(value.parse().map_err(|_| missing())?);
        } else if let Some(name) = name.strip_prefix(field::ENCODED_PREFIX) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            request.headers.push(name, value);
        }
    }
    if request.id.is_empty() {
        return Err(missing());
    }
    request.body = match file {
        Some((file, bytes)) => Body::File { file, bytes },
        None => {
            let mut body = vec![0; carried.body_length().unwrap_or(0)];
            carried.as_reader().read_exact(&mut body)?;
            Body::Memory(body)
        }
    };
    if !request.body.is_empty() {
        let length = request.body.len().to_string();
        request.headers.push("Content-Length", length);
    }
    Ok(request)
}
