//! The public sockets. Everything that a client can do wrong, slowly or too often ends here.
//!
//! One thread per connection with a small stack, a hard cap on their number. A request is read whole, under
//! limits and deadlines, before anything else sees it; then it goes over a lane, and its answer is relayed under a
//! deadline of its own. So handlers never wait for a client, and one client never for another: an ordinary answer is
//! taken off its lane whole, and of a long one, which is made while it is read, only so many are under way.
//!
//! Invariants:
//! - what a proxy says about a connection, and TLS, come before the first request, under the deadline of its head;
//! - the next request of a connection is read when the last was answered; what came early stays in the buffer;
//! - after a refusal the connection closes, because nobody knows any more where a next request would start;
//! - fields named `x-picket-*` come from the gate alone;
//! - every answer, refusals included, carries an `X-Request-Id`;
//! - no failure of one connection (no descriptor, no thread, no memory budget) reaches another or the accept loop;
//! - every connection that was accepted is counted once more when it ends, under the reason why.
//!
//! It holds no table of routes: `app` decides the [`Class`] of a request. It knows no deadline for handlers, whose
//! answers may be deferred; whoever defers answers keeps time.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::domain::time::{Clock, Timestamp};

use self::body::{Limits, Received, Whole, busy};
use self::budget::{Budget, Held};
use self::head::{Framing, Scanner};
use self::socket::{Channel, Read};
use self::table::{Entry, Refused, Table};
use self::tls::{Cores, HANDSHAKE_RECORD, NoHandshake};
use super::access_log::Line;
use super::lanes::{
    Answer, Failure, Handover, Lanes, Outgoing, RELAYED_AT_ONCE_BYTES, Rest, exchange, field,
};
use super::metrics::{Counters, Ending};
use super::server::{Classify, PER_ADDRESS_MAX_DEFAULT, Watching};
use super::{
    Body, Class, Headers, LaneSet, Listeners, Method, Refusal, Request, Response, Scarce, Settings,
    Tls, lock, wire,
};

mod body;
mod budget;
mod head;
mod proxy;
mod socket;
mod table;
mod tls;

/// Four times what a TLS handshake takes, twice where it is not optimised; what is not touched costs nothing.
const STACK_BYTES: usize = 128 * 1024;
/// Connections that wait to be accepted. A client that finds no room among them tries again after a whole second, so a
/// short burst must fit, also while the machine is busy.
const BACKLOG: i32 = 1024;
/// After a failure to accept that closing a connection may cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// What a refused client may still send before the connection is closed under it.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// What an idle connection keeps allocated for its next head.
const LANE_HEAD_BYTES_KEPT: usize = 2 * 1024;
/// Answers up to this length do not count against the outbound budget.
const SMALL_ANSWER_BYTES: usize = 16 * 1024;
/// How long a large answer waits for slow readers to be cut.
const OUTBOUND_WAIT: Duration = Duration::from_secs(1);

/// Descriptors that a lane needs: the gate's end and two of `tiny_http`'s.
const DESCRIPTORS_PER_LANE: u64 = 3;
/// Descriptors kept for spooled bodies, the database and the rest of the process.
const DESCRIPTORS_KEPT: u64 = 384;

/// How many descriptors the settings may take.
pub(crate) fn descriptors_needed(settings: &Settings) -> u64 {
    let lanes = settings.ingest_lanes_max + settings.general_lanes_max;
    settings.connections_max as u64 + lanes as u64 * DESCRIPTORS_PER_LANE + DESCRIPTORS_KEPT
}

/// Raises the soft descriptor limit as far as the settings need it, and lowers the settings to what it can carry.
pub(super) fn fit_to_descriptors(settings: &mut Settings) {
    let lanes = settings.ingest_lanes_max + settings.general_lanes_max;
    let for_lanes = lanes as u64 * DESCRIPTORS_PER_LANE;
    let needed = descriptors_needed(settings);
    let mut limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < needed) else {
        return;
    };
    let wanted = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    limit.current = Some(wanted);
    let available = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => wanted,
        Err(error) => {
            log::warn!("the limit of open files could not be raised: {error}");
            current
        }
    };
    if available >= needed {
        return;
    }
    // A third each for lanes and the rest at most, so that a low limit leaves some of everything.
    let kept = DESCRIPTORS_KEPT.min(available / 3);
    let for_lanes = for_lanes.min((available - kept) / 2);
    let share = |lanes_max: usize| {
        let share = for_lanes * lanes_max as u64 / (lanes as u64 * DESCRIPTORS_PER_LANE).max(1);
        usize::try_from(share).unwrap_or(usize::MAX).max(2)
    };
    settings.ingest_lanes_max = share(settings.ingest_lanes_max).min(settings.ingest_lanes_max);
    settings.general_lanes_max = share(settings.general_lanes_max).min(settings.general_lanes_max);
    let connections = usize::try_from(available - kept - for_lanes).unwrap_or(usize::MAX);
    settings.connections_max = settings.connections_max.min(connections.max(1));
    log::warn!(
        "only {available} open files are allowed, so at most {} connections are served",
        settings.connections_max
    );
}

/// The accept loop and its connections.
pub(super) struct Gate {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
    /// Shut down to wake the accept loop.
    wake: UnixStream,
}

/// Knows how many connections are open.
#[derive(Clone)]
pub(super) struct Connections(Arc<Table>);

impl Connections {
    pub(super) fn open(&self) -> usize {
        self.0.len()
    }
}

/// What all connections share.
struct Shared {
    settings: Settings,
    limits: Limits,
    outbound: Arc<Budget>,
    clock: Clock,
    classify: Arc<Classify>,
    lanes: [Arc<Lanes>; 2],
    table: Arc<Table>,
    counters: Arc<Counters>,
    handshake_cores: Cores,
    /// Where connections that come in by [`Door::Redirecting`] are sent.
    redirect_to: String,
    watching: Watching,
}

/// What is done with the connections of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    Serving,
    Redirecting,
}

impl Gate {
    /// # Errors
    /// A listener has no address, there is none that serves, or the accept loop's thread cannot be started.
    pub(super) fn start(
        listeners: Listeners,
        settings: Settings,
        clock: Clock,
        classify: Arc<Classify>,
        lanes: [Arc<Lanes>; 2],
        counters: Arc<Counters>,
        watching: Watching,
    ) -> io::Result<Gate> {
        let Some(first) = listeners.serving.first() else {
            return Err(io::Error::other("there is nothing to listen on"));
        };
        let local_addr = first.local_addr()?;
        let serving = listeners.serving.into_iter().map(|l| (l, Door::Serving));
        let redirecting = listeners.redirecting.into_iter();
        let doors: Vec<(TcpListener, Door)> = serving
            .chain(redirecting.map(|l| (l, Door::Redirecting)))
            .collect();
        for (listener, _) in &doors {
            // Asked again, a listening socket takes the new number.
            rustix::net::listen(listener, BACKLOG)?;
            // Polled, so that a client that is gone before it is accepted cannot hold up the loop.
            listener.set_nonblocking(true)?;
        }
        let (wake, woken) = UnixStream::pair()?;
        let shared = Arc::new(Shared {
            limits: Limits {
                memory_bytes_max: settings.body_memory_bytes_max,
                grace: settings.body_grace,
                bytes_per_sec_min: settings.body_bytes_per_sec_min,
                inbound: Budget::new(settings.inbound_bytes_max),
                inbound_memory: Budget::new(settings.inbound_memory_bytes_max),
            },
            outbound: Budget::new(settings.outbound_bytes_max),
            table: Arc::new(Table::new(
                settings.connections_max,
                settings.per_address_max,
            )),
            settings,
            clock,
            classify,
            lanes,
            counters,
            handshake_cores: Cores::new(),
            redirect_to: listeners.redirect_to,
            watching,
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("gate".to_owned())
                .spawn(move || shared.accept_all(&doors, &woken))?
        };
        Ok(Gate {
            shared,
            local_addr,
            acceptor: Mutex::new(Some(acceptor)),
            wake,
        })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Tells how many connections are open, also when this is gone.
    pub(super) fn connections(&self) -> Connections {
        Connections(Arc::clone(&self.shared.table))
    }

    /// Lets nobody in any more and closes what waits at once; true when everybody else was answered before
    /// `deadline`, after which their connections are closed.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        let table = &self.shared.table;
        table.stop();
        // It fails only if it was done before.
        let _ = self.wake.shutdown(Shutdown::Both);
        if let Some(acceptor) = lock(&self.acceptor).take()
            && acceptor.join().is_err()
        {
            log::error!("the accept loop panicked");
        }
        let finished = table.wait_until_empty(deadline);
        table.close_all();
        finished
    }
}

impl Shared {
    fn accept_all(self: &Arc<Shared>, doors: &[(TcpListener, Door)], woken: &UnixStream) {
        let listeners = doors.iter().map(|(listener, _)| listener);
        let mut ready: Vec<PollFd<'_>> = listeners
            .map(|listener| PollFd::new(listener, PollFlags::IN))
            .chain([PollFd::new(woken, PollFlags::IN)])
            .collect();
        while !self.table.is_stopped() {
            if let Err(error) = poll(&mut ready, None)
                && error != rustix::io::Errno::INTR
            {
                log::error!("waiting for connections failed: {error}");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
            for ((listener, door), ready) in doors.iter().zip(&ready) {
                if ready.revents().is_empty() {
                    continue;
                }
                match listener.accept() {
                    Ok((stream, peer)) => self.admit(stream, peer.ip(), *door),
                    Err(error) => self.survive(&error),
                }
            }
        }
    }

    /// What a failure to accept asks for. The client's own failures ask for nothing.
    fn survive(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted | WouldBlock
        ) {
            return;
        }
        self.counters.accept_errors.add(1);
        let evicted = self.table.evict();
        log::warn!("a connection could not be accepted (room was made: {evicted}): {error}");
        thread::sleep(ACCEPT_PAUSE);
    }

    fn admit(self: &Arc<Shared>, stream: TcpStream, peer: IpAddr, door: Door) {
        self.counters.connections_accepted.add(1);
        if let Err(error) = self.set_up(&stream) {
            self.counters.ended(Ending::NoThread);
            log::debug!("a connection was lost at once: {error}");
            return;
        }
        let entry = match self.table.admit(stream, peer, self.is_counted(peer)) {
            Ok((entry, evicted)) => {
                if evicted {
                    self.counters.connections_evicted.add(1);
                }
                entry
            }
            Err((refused, stream)) => {
                self.counters.connections_refused.add(1);
                self.counters.ended(match refused {
                    Refused::Full => Ending::Full,
                    Refused::AddressFull => Ending::AddressFull,
                    Refused::Stopped => Ending::Stopped,
                });
                drop(stream);
                log::debug!("a connection was not let in: {refused:?}");
                return;
            }
        };
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("connection".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.serve(&entry, door));
        if let Err(error) = spawned {
            // The entry went with the closure, and the connection with it.
            self.counters.accept_errors.add(1);
            self.counters.ended(Ending::NoThread);
            log::warn!("a connection got no thread: {error}");
            self.table.evict();
            thread::sleep(ACCEPT_PAUSE);
        }
    }

    fn set_up(&self, stream: &TcpStream) -> io::Result<()> {
        let not_zero = |timeout: Duration| Some(timeout.max(Duration::from_millis(1)));
        // Accepted sockets inherit it from the listener on some systems.
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(not_zero(self.settings.idle_timeout))
    }

    fn is_counted(&self, peer: IpAddr) -> bool {
        let settings = &self.settings;
        let is_exempt_loopback = settings.per_address_max == PER_ADDRESS_MAX_DEFAULT
            && peer.to_canonical().is_loopback();
        !is_exempt_loopback && !self.is_trusted(peer)
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        let proxies = &self.settings.trusted_proxies;
        proxies.iter().any(|range| range.contains(peer))
    }

    fn lanes(&self, set: LaneSet) -> Option<&Lanes> {
        let [ingest, general] = &self.lanes;
        match set {
            LaneSet::Ingest => Some(ingest),
            LaneSet::General => Some(general),
            LaneSet::None => None,
        }
    }

    /// A connection's life.
    fn serve(&self, entry: &Entry, door: Door) {
        let mut session = Session {
            shared: self,
            entry,
            peer: entry.connection.peer,
            channel: Channel::new(&entry.connection.stream),
            lane_head: Vec::new(),
            account: Account::new(),
        };
        // A panic here is a mistake of ours or of a class' refusal; it must not take more than its connection.
        let ending = catch_unwind(AssertUnwindSafe(|| session.run(door)));
        self.counters.ended(ending.unwrap_or_else(|_| {
            log::error!("a connection's thread panicked");
            Ending::Panicked
        }));
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Go,
    Close(Ending),
}

/// One client's connection.
struct Session<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
    /// Who is at the other end: what the socket says, or the proxy that it leads to.
    peer: IpAddr,
    channel: Channel<'a>,
    /// The head as it goes over the lane; kept for its capacity.
    lane_head: Vec<u8>,
    account: Account,
}

/// What is counted, and perhaps written down, of the request under way.
struct Account {
    begun: Instant,
    body_bytes: u64,
    /// Only for an access log.
    line: Option<RequestLine>,
}

struct RequestLine {
    method: String,
    path: String,
    client: IpAddr,
}

impl Account {
    fn new() -> Account {
        Account {
            begun: Instant::now(),
            body_bytes: 0,
            line: None,
        }
    }
}

/// What is known of a request whose head was accepted.
struct Accepted {
    class: Class,
    framing: Framing,
    expects_continue: bool,
    keep_alive: bool,
    is_1_0: bool,
    bodiless: bool,
    /// The request changes nothing, so that it may be refused also when it was served.
    safe: bool,
    received: Timestamp,
    id: String,
}

impl<'a> Session<'a> {
    fn run(&mut self, door: Door) -> Ending {
        let ending = match self.open(door) {
            Err(ending) => ending,
            Ok(()) => loop {
                let next = match door {
                    Door::Serving => self.serve_one(),
                    Door::Redirecting => self.redirect_one(),
                };
                if let Next::Close(ending) = next {
                    break ending;
                }
            },
        };
        self.channel.end_encryption();
        match self.entry.is_evicted() {
            true if self.shared.table.is_stopped() => Ending::Stopped,
            true => Ending::Evicted,
            false => ending,
        }
    }

    /// Brings the connection to where requests start.
    fn open(&mut self, door: Door) -> Result<(), Ending> {
        let settings = &self.shared.settings;
        let is_proxied = settings.proxy_protocol && self.shared.is_trusted(self.peer);
        let tls = settings.tls.as_ref().filter(|_| door == Door::Serving);
        if !is_proxied && tls.is_none() {
            return Ok(());
        }
        let deadline = Instant::now() + settings.head_timeout;
        if is_proxied {
            self.read_proxy_header(deadline)?;
        }
        match tls {
            Some(tls) => self.encrypt(tls, deadline),
            None => Ok(()),
        }
    }

    /// Learns from the proxy at the other end whose connection it is.
    fn read_proxy_header(&mut self, deadline: Instant) -> Result<(), Ending> {
        let header = loop {
            match proxy::parse(self.channel.buffered()) {
                Ok(Some(header)) => break header,
                Ok(None) => match self.channel.read_before(deadline) {
                    Read::Some if Instant::now() <= deadline => continue,
                    // Balancers look whether a port is open.
                    Read::End if self.channel.buffered().is_empty() => return Err(Ending::Done),
                    _ => {}
                },
                Err(proxy::Malformed) => {}
            }
            let proxy = self.entry.connection.peer;
            log::debug!(
                "a connection from {proxy} did not begin with a header of the PROXY protocol"
            );
            return Err(Ending::ProxyHeader);
        };
        self.channel.consume(header.bytes);
        if let Some(client) = header.source {
            self.peer = client;
            if !self.entry.count_as(client, self.shared.is_counted(client)) {
                self.shared.counters.connections_refused.add(1);
                return Err(Ending::AddressFull);
            }
        }
        Ok(())
    }

    fn encrypt(&mut self, tls: &Tls, deadline: Instant) -> Result<(), Ending> {
        while self.channel.buffered().is_empty() {
            match self.channel.read_before(deadline) {
                Read::Some => {}
                Read::End => return Err(Ending::Done),
                Read::TimedOut => return Err(Ending::TlsTimeout),
            }
        }
        if self.channel.buffered()[0] != HANDSHAKE_RECORD {
            self.refuse_head(&Refusal::PlainHttp);
            return Err(Ending::Refused);
        }
        let cores = &self.shared.handshake_cores;
        match self.channel.encrypt(tls.config(), cores, deadline) {
            Ok(()) => {
                self.shared.counters.tls_handshakes.add(1);
                Ok(())
            }
            Err(NoHandshake::TimedOut) => Err(Ending::TlsTimeout),
            Err(NoHandshake::Refused) => Err(Ending::TlsFailed),
            Err(NoHandshake::Gone) => Err(Ending::Left),
        }
    }

    fn serve_one(&mut self) -> Next {
        let head_bytes = match self.next_head() {
            Ok(head_bytes) => head_bytes,
            Err(next) => return next,
        };
        let next = match self.accept_head(head_bytes) {
            Ok(accepted) => {
                self.channel.consume(head_bytes);
                self.serve_accepted(&accepted)
            }
            Err(refusal) => self.refuse_head(&refusal),
        };
        if next == Next::Go {
            self.entry.become_waiting();
            if self.lane_head.capacity() > LANE_HEAD_BYTES_KEPT {
                self.lane_head = Vec::new();
            }
        }
        next
    }

    /// Tells a client where it should have gone, and ends its connection.
    fn redirect_one(&mut self) -> Next {
        let head_bytes = match self.next_head() {
            Ok(head_bytes) => head_bytes,
            Err(next) => return next,
        };
        let target = {
            let head = &self.channel.buffered()[..head_bytes];
            let headers_max = self.shared.settings.headers_max;
            head::parse(head, headers_max, self.peer, &[], &mut Vec::new())
                .map(|head| (head.target.to_owned(), is_safe(&Method::parse(head.method))))
        };
        let (target, safe) = match target {
            Ok(target) => target,
            Err(refusal) => return self.refuse_head(&refusal),
        };
        self.shared.counters.redirects.add(1);
        // 301 for what has no body, because more clients know it; 308 where method and body must stay.
        let status = if safe { 301 } else { 308 };
        let path = if target == "*" { "/" } else { &target };
        let location = format!("{}{path}", self.shared.redirect_to);
        let response = Response::empty(status).with_header("Location", location);
        let accepted = self.unread_head();
        self.answer_and_close(&response, &accepted, Ending::Redirected)
    }

    /// Waits for a whole head, from which on the connection is not one that waits; its length, or what follows instead.
    fn next_head(&mut self) -> Result<usize, Next> {
        let head_bytes = match self.read_head() {
            Ok(Ok(head_bytes)) => head_bytes,
            Ok(Err(ending)) => return Err(Next::Close(ending)),
            Err(refusal) => return Err(self.refuse_head(&refusal)),
        };
        if self.entry.become_busy() {
            Ok(head_bytes)
        } else {
            Err(Next::Close(Ending::Evicted))
        }
    }

    /// Waits for a whole head and tells its length, or why there will be none.
    fn read_head(&mut self) -> Result<Result<usize, Ending>, Refusal> {
        let mut scanner = Scanner::default();
        let mut deadline = None;
        let mut has_begun = false;
        loop {
            // An empty line before a request is nothing (RFC 9112, 2.2).
            while !has_begun && self.channel.buffered().starts_with(b"\r\n") {
                self.channel.consume(2);
            }
            let buffered = self.channel.buffered();
            let read = if buffered.is_empty() {
                match self.channel.read_idle(self.shared.settings.idle_timeout) {
                    Read::TimedOut => return Ok(Err(Ending::Idle)),
                    read => read,
                }
            } else {
                let bytes_max = self.shared.settings.head_bytes_max;
                // Half an empty line, so far.
                has_begun |= buffered != b"\r";
                if has_begun && let Some(head_bytes) = scanner.scan(buffered, bytes_max)? {
                    return Ok(Ok(head_bytes));
                }
                let now = Instant::now();
                let deadline =
                    *deadline.get_or_insert_with(|| now + self.shared.settings.head_timeout);
                if now > deadline {
                    return Err(Refusal::HeadTimeout);
                }
                self.channel.read_before(deadline)
            };
            match read {
                Read::Some => {}
                Read::End if self.channel.is_broken() => return Ok(Err(Ending::TlsFailed)),
                Read::End if self.channel.buffered().is_empty() => return Ok(Err(Ending::Done)),
                Read::End => return Ok(Err(Ending::Left)),
                Read::TimedOut => return Err(Refusal::HeadTimeout),
            }
        }
    }

    /// Reads the head and writes what goes over the lane, all but the body's length and the lane's key.
    fn accept_head(&mut self, head_bytes: usize) -> Result<Accepted, Refusal> {
        let shared = self.shared;
        self.lane_head.clear();
        let head = head::parse(
            &self.channel.buffered()[..head_bytes],
            shared.settings.headers_max,
            self.peer,
            &shared.settings.trusted_proxies,
            &mut self.lane_head,
        )?;
        let method = Method::parse(head.method);
        self.account = Account::new();
        self.account.line = shared.line(head.method, head.path, head.client);
        let accepted = Accepted {
            class: (shared.classify)(&method, head.path),
            framing: head.framing,
            expects_continue: head.expects_continue,
            keep_alive: head.keep_alive,
            is_1_0: head.is_1_0,
            bodiless: method == Method::Head,
            safe: is_safe(&method),
            received: shared.clock.now(),
            id: new_id(),
        };
        let client = head.client.to_string();
        let received_us = accepted.received.us().to_string();
        let out = &mut self.lane_head;
        wire::write_field(field::PEER, client.as_bytes(), out);
        wire::write_field(field::REQUEST_ID, accepted.id.as_bytes(), out);
        wire::write_field(field::RECEIVED_US, received_us.as_bytes(), out);
        Ok(accepted)
    }

    fn serve_accepted(&mut self, accepted: &Accepted) -> Next {
        let received = match self.receive_body(accepted) {
            Ok(received) => received,
            Err(body::Failure::Gone) if self.channel.is_broken() => {
                return Next::Close(Ending::TlsFailed);
            }
            Err(body::Failure::Gone) => return Next::Close(Ending::Left),
            Err(body::Failure::Refused(refusal)) => return self.refuse(&refusal, accepted),
        };
        self.account.body_bytes = received.body.bytes();
        let mut held = self.shared.outbound.hold();
        let whole = Instant::now();
        let answer = match self.shared.lanes(accepted.class.lanes) {
            Some(lanes) => self.exchange(lanes, accepted, received, &mut held),
            None => Ok(self.answer_here(accepted)),
        };
        let front = self.shared.counters.front(accepted.class.front);
        match answer {
            Ok(answer) if answer.close => self.leave_unanswered(accepted),
            Ok(answer) => {
                front.took.record(whole.elapsed());
                // A long one is not for others to cut: it takes little memory, and keeps to the send deadline.
                let is_large = answer.bytes.len() > SMALL_ANSWER_BYTES && answer.rest.is_none();
                self.relay(answer, accepted, is_large)
            }
            Err(Failure::NoRoom) if accepted.safe => self.refuse(&busy(Scarce::Outbound), accepted),
            Err(Failure::Lost | Failure::NoRoom) => self.leave_unanswered(accepted),
            Err(Failure::Busy) => self.refuse(&busy(Scarce::Lanes), accepted),
            Err(Failure::Unseen) => self.refuse(&Refusal::BrokenLane, accepted),
        }
    }

    fn receive_body(&mut self, accepted: &Accepted) -> Result<Received, body::Failure> {
        let Class {
            body_bytes_max: bytes_max,
            spools,
            ..
        } = accepted.class;
        let must_ask = match accepted.framing {
            Framing::Length(length) if length > bytes_max => {
                return Err(body::too_large(bytes_max).into());
            }
            Framing::Length(length) if length > self.shared.limits.memory_bytes_max && !spools => {
                return Err(body::busy(Scarce::Spool).into());
            }
            Framing::Length(length) => length > 0,
            Framing::Chunked => true,
        };
        if must_ask && accepted.expects_continue && self.channel.buffered().is_empty() {
            let mut line = [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")];
            self.write(&mut line).map_err(|_| body::Failure::Gone)?;
        }
        body::receive(
            &mut self.channel,
            accepted.framing,
            bytes_max,
            &self.shared.limits,
            spools.then_some(&*self.shared.settings.spool_dir),
        )
    }

    /// Sends the request over a lane. What the answer takes in memory is held in `held` if it is much.
    fn exchange(
        &mut self,
        lanes: &'a Lanes,
        accepted: &Accepted,
        received: Received,
        held: &mut Held,
    ) -> Result<Answer<'a>, Failure> {
        let (shared, entry) = (self.shared, self.entry);
        let mut file = None;
        let mut buffered = 0;
        let body: &[u8] = match &received.body {
            Whole::Buffered(bytes) => {
                buffered = *bytes;
                &self.channel.buffered()[..*bytes]
            }
            Whole::Memory(bytes) => bytes,
            Whole::File(..) => &[],
        };
        if !body.is_empty() {
            wire::write_length("Content-Length", body.len() as u64, &mut self.lane_head);
        }
        let (body, _held) = match received.body {
            Whole::File(spooled, bytes) => {
                file = Some((spooled, bytes));
                (&[][..], received.held)
            }
            _ => (body, received.held),
        };
        shared.counters.requests.add(1);
        let outgoing = Outgoing {
            head: &mut self.lane_head,
            body,
            handover: Handover {
                file,
                refuse: accepted.class.refuse,
            },
            bodiless: accepted.bodiless,
        };
        let mut room = |bytes: usize| {
            bytes <= SMALL_ANSWER_BYTES || shared.make_room(entry, held, bytes as u64)
        };
        let answer = exchange(lanes, outgoing, &mut room);
        self.channel.consume(buffered);
        answer
    }

    /// Answers on this thread: for what must be answered also when every worker is busy.
    fn answer_here(&mut self, accepted: &Accepted) -> Answer<'static> {
        let shared = self.shared;
        let answer = request_of(&self.lane_head, accepted).and_then(|request| {
            catch_unwind(AssertUnwindSafe(|| (shared.watching.answer)(&request))).ok()
        });
        let response = answer.unwrap_or_else(|| {
            shared.counters.handler_panics.add(1);
            log::error!("request {} met a panic", accepted.id);
            let refusal = Refusal::Internal {
                request_id: accepted.id.clone(),
            };
            shared.counters.refused(&refusal);
            refusal.worded(accepted.class.refuse)
        });
        answer_of(&response, accepted.bodiless)
    }

    fn leave_unanswered(&mut self, accepted: &Accepted) -> Next {
        self.shared
            .counters
            .front(accepted.class.front)
            .unanswered
            .add(1);
        self.write_down(accepted, None, 0);
        Next::Close(Ending::Unanswered)
    }

    /// Puts the request under way into the access log, if there is one.
    fn write_down(&mut self, accepted: &Accepted, status: Option<u16>, body_bytes_sent: u64) {
        let (Some(log), Some(line)) = (&self.shared.watching.access_log, self.account.line.take())
        else {
            return;
        };
        log.write(Line {
            received: accepted.received,
            request_id: accepted.id.clone(),
            client: line.client,
            method: line.method,
            path: line.path,
            front: accepted.class.front,
            status,
            body_bytes_received: self.account.body_bytes,
            body_bytes_sent,
            took: self.account.begun.elapsed(),
        });
    }

    /// Sends an answer to the client.
    fn relay(&mut self, answer: Answer<'_>, accepted: &Accepted, is_large: bool) -> Next {
        let keep_alive = accepted.keep_alive && !self.shared.table.is_stopped();
        let mut fields = Vec::with_capacity(128);
        wire::write_field("Date", http_date(accepted.received).as_bytes(), &mut fields);
        wire::write_field("X-Request-Id", accepted.id.as_bytes(), &mut fields);
        if !keep_alive {
            wire::write_field("Connection", b"close", &mut fields);
        } else if accepted.is_1_0 {
            wire::write_field("Connection", b"keep-alive", &mut fields);
        }
        fields.extend_from_slice(b"\r\n");
        let (head, rest) = answer.bytes.split_at(answer.head_bytes);
        let mut slices = [
            IoSlice::new(head),
            IoSlice::new(&fields),
            IoSlice::new(&rest[2..]),
        ];
        let mut sent = rest.len() as u64 - 2;
        let status = answer.status;
        let front = self.shared.counters.front(accepted.class.front);
        front.answered(status);
        front.body_bytes_received.add(self.account.body_bytes);
        self.entry.mark_sending(is_large);
        let written = self.write(&mut slices).and_then(|()| match answer.rest {
            Some(rest) => self.relay_rest(rest, &mut sent),
            None => Ok(()),
        });
        self.entry.mark_sending(false);
        front.body_bytes_sent.add(sent);
        self.write_down(accepted, Some(status), sent);
        match written {
            Ok(()) if keep_alive => Next::Go,
            Ok(()) => Next::Close(Ending::Done),
            Err(error) => {
                log::debug!("an answer was not taken: {error}");
                if error.kind() == io::ErrorKind::TimedOut {
                    self.shared.counters.slow_readers_cut.add(1);
                    return Next::Close(Ending::SlowReader);
                }
                Next::Close(match self.entry.was_cut() {
                    true => Ending::SlowReader,
                    false => Ending::Left,
                })
            }
        }
    }

    /// Sends the rest of a long answer as it comes, and adds to `sent` how much. The deadline and the rate hold for each
    /// part anew.
    fn relay_rest(&mut self, mut rest: Rest<'_>, sent: &mut u64) -> io::Result<()> {
        let mut part = Vec::with_capacity(RELAYED_AT_ONCE_BYTES);
        loop {
            rest.read(&mut part).inspect_err(|error| {
                log::warn!("a lane broke while a long answer came over it: {error}");
            })?;
            if part.is_empty() {
                return Ok(());
            }
            self.write(&mut [IoSlice::new(&part)])?;
            *sent += part.len() as u64;
        }
    }

    fn write(&mut self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let settings = &self.shared.settings;
        let rate_min = settings.body_bytes_per_sec_min;
        self.channel
            .write_all(slices, settings.send_timeout, rate_min)
    }

    /// Refuses a request whose head could not be taken.
    fn refuse_head(&mut self, refusal: &Refusal) -> Next {
        let accepted = self.unread_head();
        self.refuse(refusal, &accepted)
    }

    /// What can be told of the head that is buffered, for an answer that needs no more.
    fn unread_head(&mut self) -> Accepted {
        let (method, path) = head::guess(self.channel.buffered());
        self.account = Account::new();
        self.account.line = self.shared.line(method, path, self.peer);
        let method = Method::parse(method);
        Accepted {
            class: (self.shared.classify)(&method, path),
            framing: Framing::Length(0),
            expects_continue: false,
            keep_alive: false,
            is_1_0: false,
            bodiless: method == Method::Head,
            safe: is_safe(&method),
            received: self.shared.clock.now(),
            id: new_id(),
        }
    }

    /// Answers in the words of the request's class and ends the connection.
    fn refuse(&mut self, refusal: &Refusal, accepted: &Accepted) -> Next {
        self.shared.counters.refused(refusal);
        log::debug!("request {} refused: {}", accepted.id, refusal.text());
        let response = refusal.worded(accepted.class.refuse);
        self.answer_and_close(&response, accepted, Ending::Refused)
    }

    /// Ends the connection so that the client can read the answer: closing with unread bytes would reset it.
    fn answer_and_close(
        &mut self,
        response: &Response,
        accepted: &Accepted,
        ending: Ending,
    ) -> Next {
        let answer = answer_of(response, accepted.bodiless);
        let closing = Accepted {
            keep_alive: false,
            id: accepted.id.clone(),
            ..*accepted
        };
        self.relay(answer, &closing, false);
        self.channel.end_encryption();
        // Fails only if the client is gone, and then there is nothing to drain.
        if self
            .entry
            .connection
            .stream
            .shutdown(Shutdown::Write)
            .is_ok()
        {
            self.channel
                .drain(DRAIN_BYTES_MAX, Instant::now() + DRAIN_TIMEOUT);
        }
        Next::Close(ending)
    }
}

impl Shared {
    /// What an access log is told of a request; nothing is kept where there is none.
    fn line(&self, method: &str, path: &str, client: IpAddr) -> Option<RequestLine> {
        self.watching.access_log.as_ref().map(|_| RequestLine {
            method: method.to_owned(),
            path: path.to_owned(),
            client,
        })
    }

    /// Finds room for a large answer, if need be at the cost of those who have been reading theirs for longest.
    fn make_room(&self, entry: &Entry, held: &mut Held, bytes: u64) -> bool {
        if bytes > self.outbound.max() {
            log::error!("an answer takes {bytes} bytes, more than all answers together may");
            return false;
        }
        let deadline = Instant::now() + OUTBOUND_WAIT;
        while !held.grow_to(bytes) {
            if Instant::now() > deadline {
                log::warn!("an answer found no room among those being sent");
                return false;
            }
            if self.table.cut_slowest_reader(&entry.connection) {
                self.counters.slow_readers_cut.add(1);
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

/// A refusal in the form of a lane's answer.
fn answer_of(response: &Response, bodiless: bool) -> Answer<'static> {
    let mut bytes = Vec::with_capacity(512);
    wire::write_head(response, &mut bytes);
    let head_bytes = bytes.len();
    bytes.extend_from_slice(b"\r\n");
    if !bodiless && wire::has_body(response.status) {
        bytes.extend_from_slice(&response.body);
    }
    Answer {
        status: response.status,
        bytes,
        head_bytes,
        close: false,
        rest: None,
    }
}

/// What the gate adds to a client's fields.
const OWN_FIELDS_MAX: usize = 8;

/// A request without a body as it would have arrived over a lane; none if it could not be read back.
fn request_of(lane_head: &[u8], accepted: &Accepted) -> Option<Request> {
    let bytes = [lane_head, b"\r\n"].concat();
    let mut fields = [httparse::EMPTY_HEADER; head::HEADERS_CAPACITY + OWN_FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(&bytes).ok()?;
    let (path, query) = parsed.path?.split_once('?').unwrap_or((parsed.path?, ""));
    let mut request = Request {
        method: Method::parse(parsed.method?),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Headers::default(),
        body: Body::empty(),
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        received: accepted.received,
        id: accepted.id.clone(),
    };
    for field in parsed.headers.iter() {
        let value = str::from_utf8(field.value).ok()?;
        if field.name == field::PEER {
            request.peer = value.parse().ok()?;
        } else if !wire::has_private_prefix(field.name) {
            request.headers.push(field.name, value);
        }
    }
    Some(request)
}

fn is_safe(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn http_date(moment: Timestamp) -> String {
    let moment = jiff::Timestamp::from_second(moment.secs()).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&moment)
        .unwrap_or_default()
}
