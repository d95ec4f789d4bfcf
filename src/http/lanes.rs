//! The lanes: persistent private connections from the gate to `tiny_http`, each with one request in flight.
//!
//! `tiny_http` gives each connection a thread of a pool and can leave one of several that arrive together
//! unserved until another closes. So a set has one thread that opens lanes, one at a time, and hands out a lane
//! only after a request over it was answered. It opens a new one whenever somebody waits and the set is not
//! full; lanes are not closed while idle.
//!
//! Who finds no free lane queues. A lane that comes free is given to the one who has waited longest, by name and
//! under the pool's lock, so no wake-up can be lost and no newcomer overtakes; who gives up looks once more
//! under the same lock.
//!
//! What cannot travel as text (a spooled file, the function that words refusals) stays in the lane's slot; the
//! request carries the slot's key, which is random and never leaves the process, so that nobody else who
//! reaches the private socket can have a request served. Whether the slot was emptied also tells whether a
//! handler has seen the request, when a lane breaks.
//!
//! An answer of ordinary length is read whole and its lane is free before the client sees any of it. A long one
//! keeps its lane while the gate relays it, and for that takes a [`Turn`], of which there are fewer than lanes.
//!
//! [`exchange`] is the whole hop; nothing else in the gate knows what is at the other end.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::buffer::spare_capacity;

use super::metrics::Counters;
use super::private_directory::PrivateDirectory;
use super::turns::{Turn, Turns};
use super::{Refusal, Response, lock, lock_for_reading, lock_for_writing, wire};

/// The names of the private fields. The gate strips all of their like from what clients send.
pub(super) mod field {
    /// On an answer: close the client's connection instead of answering.
    pub(in crate::http) const CLOSE: &str = "x-picket-close";
    /// The key of the lane's slot, 16 hex digits.
    pub(in crate::http) const LANE: &str = "x-picket-lane";
    pub(in crate::http) const PEER: &str = "x-picket-peer";
    pub(in crate::http) const RECEIVED_US: &str = "x-picket-received-us";
    pub(in crate::http) const REQUEST_ID: &str = "x-picket-request-id";
    /// Before the name of a field whose value is percent-encoded, because it is not ASCII and `tiny_http` hangs up
    /// on such.
    pub(in crate::http) const ENCODED_PREFIX: &str = "x-picket-encoded-";
}

/// Lanes that a set opens at start.
const LANES_AT_START: usize = 2;
/// How long a new lane may take to answer for the first time. Long, because the workers may be busy.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(5);
/// After a lane could not be opened.
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// An answer with a longer body is relayed while it is made; a shorter one is read whole.
pub(super) const WHOLE_BODY_BYTES_MAX: usize = 256 * 1024;

/// What a handler gets besides the request's text.
pub(super) struct Handover {
    pub(super) file: Option<(File, u64)>,
    pub(super) refuse: fn(&Refusal) -> Response,
}

enum Content {
    Request(Handover),
    /// The first request of a lane, answered by the transport itself.
    Verify,
}

/// A lane as its worker sees it.
pub(super) struct Slot {
    content: Mutex<Option<Content>>,
    /// The gate's end.
    stream: Weak<UnixStream>,
    turns: Arc<Turns>,
    /// Kept here until the lane is free again: the answer's last bytes are still on their way when its writer is done.
    turn: Mutex<Option<Turn>>,
}

impl Slot {
    /// Leave to send an answer that is longer than [`WHOLE_BODY_BYTES_MAX`]. False: too many are under way.
    pub(super) fn take_turn(&self) -> bool {
        let turn = self.turns.take();
        let taken = turn.is_some();
        *lock(&self.turn) = turn;
        taken
    }

    /// Ends the lane, and with it the client's connection: the answer under way has no end.
    pub(super) fn break_off(&self) {
        if let Some(stream) = self.stream.upgrade() {
            // It is gone if this fails.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Serves one request on a worker.
pub(super) type Handle = dyn Fn(tiny_http::Request, Handover, Arc<Slot>) + Send + Sync;

/// One connection to `tiny_http`.
pub(super) struct Lane {
    stream: Arc<UnixStream>,
    key: u64,
    slot: Arc<Slot>,
}

/// The lanes of one set, and the workers behind them.
pub(super) struct Lanes {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    directory: PrivateDirectory,
}

struct Shared {
    name: &'static str,
    lanes_max: usize,
    lane_wait: Duration,
    socket: PathBuf,
    server: tiny_http::Server,
    state: Mutex<State>,
    /// Told when the opener has something to do.
    wanted: Condvar,
    slots: RwLock<HashMap<u64, Arc<Slot>>>,
    workers: AtomicUsize,
    turns: Arc<Turns>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    free: Vec<Lane>,
    waiters: VecDeque<Arc<Waiter>>,
    /// Lanes that exist or are being opened.
    open: usize,
    stopped: bool,
}

struct Waiter {
    lane: Mutex<Option<Lane>>,
    thread: Thread,
}

impl Lanes {
    /// Starts the workers and opens the first lanes.
    ///
    /// # Errors
    /// The private directory or socket cannot be made, a thread cannot be started, or a lane does not answer.
    pub(super) fn start(
        name: &'static str,
        lanes_max: usize,
        workers: usize,
        lane_wait: Duration,
        handle: Arc<Handle>,
        turns: Arc<Turns>,
        counters: Arc<Counters>,
    ) -> io::Result<Arc<Lanes>> {
        let directory = PrivateDirectory::create()?;
        let socket = directory.path().join(name);
        let server = UnixListener::bind(&socket).and_then(|listener| {
            tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)
        })?;
        let lanes = Arc::new(Lanes {
            shared: Arc::new(Shared {
                name,
                lanes_max: lanes_max.max(1),
                lane_wait,
                socket,
                server,
                state: Mutex::default(),
                wanted: Condvar::new(),
                slots: RwLock::default(),
                workers: AtomicUsize::new(0),
                turns,
                counters,
            }),
            threads: Mutex::default(),
            directory,
        });
        lanes
            .start_threads(workers.max(1), &handle)
            .inspect_err(|_| lanes.stop(Duration::ZERO))?;
        Ok(lanes)
    }

    fn start_threads(&self, workers: usize, handle: &Arc<Handle>) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        let name = self.shared.name;
        for number in 1..=workers {
            let (shared, handle) = (Arc::clone(&self.shared), Arc::clone(handle));
            threads.push(
                thread::Builder::new()
                    .name(format!("{name}-{number}"))
                    .spawn(move || shared.work(&*handle))?,
            );
            self.shared.workers.fetch_add(1, Ordering::Relaxed);
        }
        for _ in 0..LANES_AT_START.min(self.shared.lanes_max) {
            let lane = self.shared.open_lane()?;
            lock(&self.shared.state).open += 1;
            self.shared.release(lane);
        }
        let shared = Arc::clone(&self.shared);
        threads.push(
            thread::Builder::new()
                .name(format!("{name}-lanes"))
                .spawn(move || shared.open_lanes())?,
        );
        Ok(())
    }

    /// How many lanes there are.
    pub(super) fn open(&self) -> usize {
        lock(&self.shared.state).open
    }

    /// A free lane, after waiting for one if need be.
    ///
    /// # Errors
    /// None came free in time, or the set is stopped: [`Busy`].
    pub(super) fn acquire(&self) -> Result<Lane, Busy> {
        let waiter = {
            let mut state = lock(&self.shared.state);
            if state.stopped {
                return Err(Busy);
            }
            if let Some(lane) = state.free.pop() {
                return Ok(lane);
            }
            let waiter = Arc::new(Waiter {
                lane: Mutex::new(None),
                thread: thread::current(),
            });
            state.waiters.push_back(Arc::clone(&waiter));
            if state.open < self.shared.lanes_max {
                self.shared.wanted.notify_one();
            }
            waiter
        };
        let deadline = Instant::now() + self.shared.lane_wait;
        loop {
            if let Some(lane) = lock(&waiter.lane).take() {
                return Ok(lane);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        let mut state = lock(&self.shared.state);
        state.waiters.retain(|other| !Arc::ptr_eq(other, &waiter));
        lock(&waiter.lane).take().ok_or(Busy)
    }

    /// Gives a lane back after a whole exchange.
    pub(super) fn release(&self, lane: Lane) {
        self.shared.release(lane);
    }

    /// Takes a broken lane out of the set.
    pub(super) fn discard(&self, lane: Lane) {
        self.shared.counters.lanes_broken.add(1);
        self.close(lane);
    }

    /// Takes a lane out of the set whose answer nobody will read to its end; whoever writes it notices.
    fn close(&self, lane: Lane) {
        self.shared.forget(&lane);
        lane.slot.break_off();
    }

    /// Closes the free lanes, turns everybody away, and waits at most `within` for workers that still handle a
    /// request. Does nothing the second time.
    pub(super) fn stop(&self, within: Duration) {
        let (free, waiters) = {
            let mut state = lock(&self.shared.state);
            if state.stopped {
                return;
            }
            state.stopped = true;
            (
                std::mem::take(&mut state.free),
                std::mem::take(&mut state.waiters),
            )
        };
        drop(free);
        drop(waiters);
        self.shared.wanted.notify_all();
        let deadline = Instant::now() + within;
        let threads = std::mem::take(&mut *lock(&self.threads));
        for _ in &threads {
            self.shared.server.unblock();
        }
        // At least a moment: the ordinary case is threads that only have to wake up.
        let deadline = deadline.max(Instant::now() + Duration::from_millis(100));
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() && thread.join().is_err() {
                log::error!("a thread of the {} lanes panicked", self.shared.name);
            }
        }
        self.directory.remove();
    }
}

/// No lane was free in time.
#[derive(Debug)]
pub(super) struct Busy;

impl Shared {
    fn release(&self, lane: Lane) {
        let mut state = lock(&self.state);
        if state.stopped {
            return;
        }
        match state.waiters.pop_front() {
            Some(waiter) => {
                *lock(&waiter.lane) = Some(lane);
                drop(state);
                waiter.thread.unpark();
            }
            None => state.free.push(lane),
        }
    }

    fn forget(&self, lane: &Lane) {
        self.remove_slot(lane.key);
        let mut state = lock(&self.state);
        state.open -= 1;
        if !state.waiters.is_empty() {
            self.wanted.notify_one();
        }
    }

    /// The opener's life.
    fn open_lanes(&self) {
        loop {
            {
                let mut state = lock(&self.state);
                while !state.stopped && (state.waiters.is_empty() || state.open >= self.lanes_max) {
                    state = self
                        .wanted
                        .wait(state)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                if state.stopped {
                    return;
                }
                state.open += 1;
            }
            match self.open_lane() {
                Ok(lane) => self.release(lane),
                Err(error) => {
                    log::warn!(
                        "a lane of the {} set could not be opened: {error}",
                        self.name
                    );
                    lock(&self.state).open -= 1;
                    thread::sleep(OPEN_PAUSE);
                }
            }
        }
    }

    /// Connects and sees a first request answered.
    fn open_lane(&self) -> io::Result<Lane> {
        see_descriptors_to_spare()?;
        let stream = Arc::new(UnixStream::connect(&self.socket)?);
        let slot = Arc::new(Slot {
            content: Mutex::new(Some(Content::Verify)),
            stream: Arc::downgrade(&stream),
            turns: Arc::clone(&self.turns),
            turn: Mutex::new(None),
        });
        let key = loop {
            let key: u64 = rand::random();
            let mut slots = lock_for_writing(&self.slots);
            if let std::collections::hash_map::Entry::Vacant(entry) = slots.entry(key) {
                entry.insert(Arc::clone(&slot));
                break key;
            }
        };
        let mut lane = Lane { stream, key, slot };
        let verified = self.verify(&mut lane);
        if verified.is_err() {
            self.remove_slot(key);
        }
        verified.map(|()| lane)
    }

    fn verify(&self, lane: &mut Lane) -> io::Result<()> {
        let request = format!(
            "GET / HTTP/1.1\r\n{}: {:016x}\r\n\r\n",
            field::LANE,
            lane.key
        );
        lane.stream.set_read_timeout(Some(VERIFY_TIMEOUT))?;
        lane.stream.set_write_timeout(Some(VERIFY_TIMEOUT))?;
        (&*lane.stream).write_all(request.as_bytes())?;
        read_answer(&lane.stream, true, &mut |_| true)?;
        lane.stream.set_read_timeout(None)?;
        lane.stream.set_write_timeout(None)
    }

    fn remove_slot(&self, key: u64) {
        lock_for_writing(&self.slots).remove(&key);
    }

    /// A worker's life.
    fn work(&self, handle: &Handle) {
        loop {
            match self.server.recv() {
                Ok(request) => match self.take_content(&request) {
                    Some((Content::Request(handover), slot)) => handle(request, handover, slot),
                    Some((Content::Verify, _)) => {
                        // A failure shows at the opener, which waits for these bytes.
                        let mut writer = request.into_writer();
                        let _ = writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                        let _ = writer.flush();
                    }
                    None => log::warn!("a request without a key on the {} socket", self.name),
                },
                Err(error) => {
                    if lock(&self.state).stopped {
                        return;
                    }
                    log::error!("the {} set accepts no more lanes: {error}", self.name);
                }
            }
        }
    }

    fn take_content(&self, request: &tiny_http::Request) -> Option<(Content, Arc<Slot>)> {
        let key = request
            .headers()
            .iter()
            .find(|header| header.field.as_str().as_str() == field::LANE)?;
        let key = u64::from_str_radix(key.value.as_str(), 16).ok()?;
        let slot = {
            let slots = lock_for_reading(&self.slots);
            Arc::clone(slots.get(&key)?)
        };
        let content = lock(&slot.content).take()?;
        Some((content, slot))
    }
}

/// A request as it goes over a lane.
pub(super) struct Outgoing<'a> {
    /// Request line and fields, each ended by CRLF, without the blank line.
    pub(super) head: &'a mut Vec<u8>,
    /// Empty when the body travels in `handover`.
    pub(super) body: &'a [u8],
    pub(super) handover: Handover,
    /// Whether the answer comes without a body (`HEAD`).
    pub(super) bodiless: bool,
}

/// An answer from a lane.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Status line, fields, blank line, and the body as far as it has come.
    pub(super) bytes: Vec<u8>,
    /// Where in `bytes` the blank line starts.
    pub(super) head_bytes: usize,
    /// The handler wants the client's connection closed instead.
    pub(super) close: bool,
    /// Of a long one, what is still to come.
    pub(super) rest: Option<Rest<'a>>,
}

/// The rest of a long answer, and the lane that it comes over. Dropped before its end, it takes the lane with it.
pub(super) struct Rest<'a> {
    lanes: &'a Lanes,
    lane: Option<Lane>,
    bytes: usize,
}

impl<'a> Rest<'a> {
    fn new(lanes: &'a Lanes, lane: Lane, bytes: usize) -> Rest<'a> {
        Rest {
            lanes,
            lane: Some(lane),
            bytes,
        }
    }

    /// Waits for more and puts it in place of what is in `buffer`, which does not grow. Nothing at the end.
    ///
    /// # Errors
    /// The lane broke: whoever made the answer gave up.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let Some(lane) = self.lane.as_ref().filter(|_| self.bytes > 0) else {
            return Ok(());
        };
        let left = read_some(&lane.stream, buffer)
            .and_then(|()| self.bytes.checked_sub(buffer.len()).ok_or_else(unasked));
        match left {
            Ok(left) => {
                self.bytes = left;
                Ok(())
            }
            Err(error) => {
                if let Some(lane) = self.lane.take() {
                    self.lanes.discard(lane);
                }
                Err(error)
            }
        }
    }

    /// Reads an answer of ordinary length to its end and forgets it, so that its lane can go on; a long one is
    /// broken off.
    fn forget(mut self) {
        if self.bytes <= WHOLE_BODY_BYTES_MAX {
            let mut buffer = Vec::with_capacity(FORGOTTEN_AT_ONCE_BYTES);
            while self.read(&mut buffer).is_ok() && self.bytes > 0 {}
        }
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let Some(lane) = self.lane.take() else {
            return;
        };
        drop(lock(&lane.slot.turn).take());
        match self.bytes {
            0 => self.lanes.release(lane),
            _ => self.lanes.close(lane),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Busy,
    /// The lane broke before any handler saw the request.
    Unseen,
    /// The lane broke while a handler had the request; nobody knows what took effect.
    Lost,
    /// The request was served, and its answer found no room.
    NoRoom,
}

/// Sends a request over a lane and reads its answer: whole, or of one that is longer than
/// [`WHOLE_BODY_BYTES_MAX`] the beginning.
///
/// `room` is asked before more than a first read of an answer is taken into memory, with the bytes that it will
/// take; if it says no, the answer is given up.
pub(super) fn exchange<'a>(
    lanes: &'a Lanes,
    outgoing: Outgoing<'_>,
    room: &mut dyn FnMut(usize) -> bool,
) -> Result<Answer<'a>, Failure> {
    let Outgoing {
        head,
        body,
        handover,
        bodiless,
    } = outgoing;
    let mut content = Content::Request(handover);
    let head_bytes = head.len();
    // A lane may have broken while it was free. Nothing was seen of the request then, so the next one serves.
    for _ in 0..3 {
        let lane = lanes.acquire().map_err(|Busy| Failure::Busy)?;
        head.truncate(head_bytes);
        wire::write_field(field::LANE, format!("{:016x}", lane.key).as_bytes(), head);
        head.extend_from_slice(b"\r\n");
        *lock(&lane.slot.content) = Some(content);
        let reading = write_all(&lane.stream, head, body)
            .and_then(|()| read_answer(&lane.stream, bodiless, room));
        match reading {
            Ok(reading) => return finish(lanes, lane, reading),
            Err(error) => {
                log::warn!("a lane broke: {error}");
                let unseen = lock(&lane.slot.content).take();
                lanes.discard(lane);
                match unseen {
                    Some(unseen) => content = unseen,
                    None => return Err(Failure::Lost),
                }
            }
        }
    }
    Err(Failure::Unseen)
}

/// Gives the lane back, or leaves it to what is still to come.
fn finish(lanes: &Lanes, lane: Lane, reading: Reading) -> Result<Answer<'_>, Failure> {
    match reading {
        Reading::Whole(answer) => {
            lanes.release(lane);
            Ok(answer)
        }
        Reading::Begun(answer, bytes) => Ok(Answer {
            rest: Some(Rest::new(lanes, lane, bytes)),
            ..answer
        }),
        Reading::NoRoom(bytes) => {
            Rest::new(lanes, lane, bytes).forget();
            Err(Failure::NoRoom)
        }
    }
}

fn write_all(mut stream: &UnixStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(head), IoSlice::new(body)];
    let mut left: &mut [IoSlice<'_>] = match body.is_empty() {
        true => &mut slices[..1],
        false => &mut slices,
    };
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is read at first; most answers are no longer. Larger blocks cost the allocator far more.
const FIRST_READ_BYTES: usize = 1024;
/// A head that is longer does not come from our workers.
const ANSWER_HEAD_BYTES_MAX: usize = 256 * 1024;
/// What is read at once of an answer that nobody wants.
const FORGOTTEN_AT_ONCE_BYTES: usize = 16 * 1024;
/// The memory that a long answer takes on its way.
pub(super) const RELAYED_AT_ONCE_BYTES: usize = 128 * 1024;

/// How far the reading of an answer came, and how many bytes are still to come.
enum Reading {
    Whole(Answer<'static>),
    Begun(Answer<'static>, usize),
    NoRoom(usize),
}

fn read_answer(
    stream: &UnixStream,
    bodiless: bool,
    room: &mut dyn FnMut(usize) -> bool,
) -> io::Result<Reading> {
    let (mut bytes, end) = read_answer_head(stream)?;
    let (status, close, length) = parse_answer(&bytes[..end])?;
    let length = match bodiless || !wire::has_body(status) {
        true => 0,
        false => length,
    };
    let whole = end
        .checked_add(length)
        .ok_or_else(|| io::Error::other("an endless answer"))?;
    let is_long = length > WHOLE_BODY_BYTES_MAX;
    if whole > bytes.capacity() {
        let held = match is_long {
            true => bytes.len() + RELAYED_AT_ONCE_BYTES,
            false => whole,
        };
        if !room(held) {
            return Ok(Reading::NoRoom(whole - bytes.len()));
        }
    }
    if !is_long {
        read_to(whole, stream, &mut bytes)?;
    }
    let left = whole.checked_sub(bytes.len()).ok_or_else(unasked)?;
    let answer = Answer {
        status,
        head_bytes: end - 2,
        close,
        bytes,
        rest: None,
    };
    Ok(match left {
        0 => Reading::Whole(answer),
        _ => Reading::Begun(answer, left),
    })
}

/// Reads at least up to the end of the head; what was read, and where the head ends.
fn read_answer_head(stream: &UnixStream) -> io::Result<(Vec<u8>, usize)> {
    let mut bytes = Vec::with_capacity(FIRST_READ_BYTES);
    loop {
        let before = bytes.len();
        read_some(stream, &mut bytes)?;
        let from = before.saturating_sub(3);
        if let Some(at) = memmem::find(&bytes[from..], b"\r\n\r\n") {
            return Ok((bytes, from + at + 4));
        }
        if bytes.len() > ANSWER_HEAD_BYTES_MAX {
            return Err(io::Error::other("an endless answer head"));
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len());
        }
    }
}

/// Reads until there are `whole` bytes.
fn read_to(whole: usize, stream: &UnixStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if whole > bytes.capacity() {
        bytes.reserve_exact(whole - bytes.len());
    }
    while bytes.len() < whole {
        read_some(stream, bytes)?;
    }
    Ok(())
}

fn read_some(stream: &UnixStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match rustix::io::read(stream, spare_capacity(bytes)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn unasked() -> io::Error {
    io::Error::other("an answer nobody asked for")
}

/// Status, whether to close, and the length of the body.
fn parse_answer(head: &[u8]) -> io::Result<(u16, bool, usize)> {
    let bad = || io::Error::other("an answer that is not HTTP");
    let text = str::from_utf8(head).map_err(|_| bad())?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(bad)?;
    let (mut close, mut length) = (false, 0);
    for line in lines {
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.parse().map_err(|_| bad())?;
        } else if line.starts_with(field::CLOSE) {
            close = true;
        }
    }
    Ok((status, close, length))
}

/// `tiny_http` accepts no connection ever again once it could not accept one, so a lane is tried only while there
/// is more than the three descriptors that it takes.
fn see_descriptors_to_spare() -> io::Result<()> {
    let pairs = [UnixStream::pair()?, UnixStream::pair()?];
    drop(pairs);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn start(lanes_max: usize, handle: Arc<Handle>) -> Arc<Lanes> {
        let wait = Duration::from_secs(10);
        let turns = Turns::new(1);
        Lanes::start("test", lanes_max, 1, wait, handle, turns, Arc::default()).expect("lanes")
    }

    fn answering() -> Arc<Handle> {
        Arc::new(|request, _, _| {
            let mut writer = request.into_writer();
            let written = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            written.and_then(|()| writer.flush()).expect("written");
        })
    }

    fn ask(lanes: &Lanes) -> Result<Answer<'_>, Failure> {
        let outgoing = Outgoing {
            head: &mut b"POST / HTTP/1.1\r\nContent-Length: 4\r\n".to_vec(),
            body: b"body",
            handover: Handover {
                file: None,
                refuse: |_| Response::empty(500),
            },
            bodiless: false,
        };
        exchange(lanes, outgoing, &mut |_| true)
    }

    #[test]
    fn a_lane_that_broke_while_free_is_replaced() {
        let lanes = start(2, answering());
        for _ in 0..2 {
            let lane = lanes.acquire().expect("a lane");
            lane.stream.shutdown(Shutdown::Both).expect("shut down");
            lanes.release(lane);
        }
        assert!(ask(&lanes).expect("an answer").bytes.ends_with(b"ok"));
        assert_eq!(
            lanes.shared.slots.read().expect("slots").len(),
            lanes.open()
        );
        lanes.stop(Duration::from_secs(10));
    }

    #[test]
    fn a_request_that_a_handler_saw_is_not_sent_again() {
        let (seen, was_seen) = mpsc::channel();
        let lanes = start(
            1,
            Arc::new(move |request, _, _| seen.send(request).expect("a listener")),
        );
        let lane = lanes.acquire().expect("a lane");
        let stream = lane.stream.try_clone().expect("a second handle");
        lanes.release(lane);
        thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&lanes));
            let _request = was_seen.recv().expect("the request");
            stream.shutdown(Shutdown::Both).expect("shut down");
            assert!(matches!(
                asked.join().expect("no panic"),
                Err(Failure::Lost)
            ));
        });
        assert!(was_seen.try_recv().is_err());
        assert_eq!(lanes.open(), 0);
        lanes.stop(Duration::from_secs(10));
    }

    #[test]
    fn the_private_directory_goes_when_the_lanes_stop() {
        let lanes = start(1, answering());
        let directory = lanes.directory.path().to_owned();
        assert!(directory.join("test").exists());
        lanes.stop(Duration::from_secs(10));
        assert!(!directory.exists());
        assert!(matches!(ask(&lanes), Err(Failure::Busy)));
    }

    #[test]
    fn a_stranger_on_the_private_socket_reaches_no_handler() {
        let lanes = start(1, Arc::new(|_, _, _| panic!("reached")));
        let mut stream = UnixStream::connect(&lanes.shared.socket).expect("a connection");
        stream
            .write_all(b"GET / HTTP/1.1\r\nx-picket-lane: 0000000000000001\r\n\r\n")
            .expect("written");
        let (answer, _) = read_answer_head(&stream).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 500 "));
        lanes.stop(Duration::from_secs(10));
    }

    #[test]
    fn an_answer_without_room_is_given_up() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let writer = thread::spawn(move || {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
            let _ = theirs.write_all(head);
            theirs
        });
        let mut asked = 0;
        let reading = read_answer(&ours, false, &mut |bytes| {
            asked = bytes;
            false
        });
        assert!(matches!(reading, Ok(Reading::NoRoom(100_000))));
        assert!(asked > 100_000);
        drop(writer.join());
    }
}
