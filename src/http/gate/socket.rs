//! A client's connection: its socket with deadlines, TLS above it if there is any, and the bytes that it has
//! already given.
//!
//! The socket blocks. Waiting for a next request is left to its receive time-out, so that the ordinary request
//! costs one system call to read and one to answer; whoever needs a nearer deadline polls. Deadlines and rates are
//! kept at the socket, below TLS, so that they hold for whatever is said above it.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use rustls::ServerConfig;

use super::tls::{Cores, Encryption, NoHandshake};

/// What an idle connection keeps allocated.
const IDLE_BYTES: usize = 2 * 1024;
/// What is read at once while a body comes in.
const READ_BYTES: usize = 16 * 1024;
/// Between two reads of what is forgotten, so that whoever goes on sending as fast as it can takes no processor time from
/// the others: some 3 MiB a second.
const DRAIN_PAUSE: Duration = Duration::from_millis(4);

/// How a read ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Some,
    /// The client is gone, or has said all it wants to say.
    End,
    TimedOut,
}

/// Both directions of a connection.
pub(super) struct Channel<'a> {
    stream: &'a TcpStream,
    tls: Option<Box<Encryption>>,
    bytes: Vec<u8>,
    start: usize,
}

impl<'a> Channel<'a> {
    /// Without TLS, until [`Channel::encrypt`].
    pub(super) fn new(stream: &'a TcpStream) -> Channel<'a> {
        Channel {
            stream,
            tls: None,
            bytes: Vec::new(),
            start: 0,
        }
    }

    /// Shakes hands before `deadline`. What is buffered is the beginning of what the client says.
    pub(super) fn encrypt(
        &mut self,
        config: Arc<ServerConfig>,
        cores: &Cores,
        deadline: Instant,
    ) -> Result<(), NoHandshake> {
        let tls = Encryption::accept(config, self.stream, self.buffered(), cores, deadline)?;
        self.tls = Some(Box::new(tls));
        self.bytes = Vec::new();
        self.start = 0;
        Ok(())
    }

    /// Whether the client broke the rules of TLS, so that nothing more can be read.
    pub(super) fn is_broken(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_broken())
    }

    /// What has come and was not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.bytes.len());
    }

    /// Waits as long as `timeout`, which must be the socket's receive time-out. Meant for an empty buffer, which it
    /// makes small first.
    pub(super) fn read_idle(&mut self, timeout: Duration) -> Read {
        self.compact();
        if self.bytes.is_empty() && self.bytes.capacity() != IDLE_BYTES {
            self.bytes = Vec::with_capacity(IDLE_BYTES);
        }
        match &mut self.tls {
            None => self.receive(RecvFlags::empty()).unwrap_or(Read::TimedOut),
            // What comes may hold nothing to read, so a time-out that starts anew each time would not do.
            Some(tls) => tls.read(self.stream, Instant::now() + timeout, &mut self.bytes),
        }
    }

    /// Waits until `deadline`; what has already come is taken in any case.
    pub(super) fn read_before(&mut self, deadline: Instant) -> Read {
        self.compact();
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES / 2 {
            self.bytes.reserve(READ_BYTES);
        }
        if let Some(tls) = &mut self.tls {
            return tls.read(self.stream, deadline, &mut self.bytes);
        }
        loop {
            if let Some(read) = self.receive(RecvFlags::DONTWAIT) {
                return read;
            }
            match wait(self.stream, PollFlags::IN, deadline) {
                Ok(true) => {}
                Ok(false) => return Read::TimedOut,
                Err(_) => return Read::End,
            }
        }
    }

    /// None when nothing has come.
    fn receive(&mut self, flags: RecvFlags) -> Option<Read> {
        if self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve(IDLE_BYTES);
        }
        loop {
            match rustix::net::recv(self.stream, spare_capacity(&mut self.bytes), flags) {
                Ok((_, 0)) => return Some(Read::End),
                Ok(_) => return Some(Read::Some),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(_) => return Some(Read::End),
            }
        }
    }

    fn compact(&mut self) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
        } else if self.start > 0 {
            self.bytes.drain(..self.start);
        }
        self.start = 0;
    }

    /// Writes everything.
    ///
    /// # Errors
    /// The client is gone; it took nothing for as long as `timeout`, or less than `bytes_per_sec_min` on average after
    /// that time: `TimedOut`.
    pub(super) fn write_all(
        &mut self,
        slices: &mut [IoSlice<'_>],
        timeout: Duration,
        bytes_per_sec_min: u64,
    ) -> io::Result<()> {
        let mut sender = Sender {
            stream: self.stream,
            timeout,
            bytes_per_sec_min,
            started: None,
            sent: 0,
        };
        match &mut self.tls {
            None => write_all(&mut sender, slices),
            Some(tls) => tls.write_all(&mut sender, slices),
        }
    }

    /// Says that nothing more follows, as far as TLS has a word for it, and never waits for that. What comes from here
    /// on is read as it is.
    pub(super) fn end_encryption(&mut self) {
        if let Some(tls) = self.tls.take() {
            tls.close(self.stream);
        }
    }

    /// Reads and forgets at most `bytes_max` before `deadline`, until the client closes; in no hurry.
    pub(super) fn drain(&mut self, bytes_max: usize, deadline: Instant) {
        let mut left = bytes_max;
        loop {
            let buffered = self.buffered().len();
            self.consume(buffered);
            left = match left.checked_sub(buffered) {
                Some(left) if left > 0 => left,
                _ => return,
            };
            if self.read_before(deadline) != Read::Some {
                return;
            }
            thread::sleep(DRAIN_PAUSE);
        }
    }
}

/// Whether the socket became ready before `deadline`.
pub(super) fn wait(
    stream: &impl std::os::fd::AsFd,
    flags: PollFlags,
    deadline: Instant,
) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(stream, flags)], Some(&timeout)) {
            Ok(0) => {}
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The sending side while an answer goes out, with an eye on how fast it is taken.
pub(super) struct Sender<'a> {
    stream: &'a TcpStream,
    timeout: Duration,
    bytes_per_sec_min: u64,
    /// None before the first wait for room.
    started: Option<Instant>,
    sent: u64,
}

impl Sender<'_> {
    /// Waits for room. False: there was none in time.
    ///
    /// # Errors
    /// What was taken so far went too slowly: `TimedOut`.
    fn wait(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        let started = *self.started.get_or_insert(now);
        let late = now.duration_since(started).saturating_sub(self.timeout);
        if late.as_secs().saturating_mul(self.bytes_per_sec_min) > self.sent {
            return Err(io::ErrorKind::TimedOut.into());
        }
        wait(self.stream, PollFlags::OUT, now + self.timeout)
    }
}

impl Write for Sender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Sends at once what the socket takes, and only if that is nothing waits.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut has_room = true;
        loop {
            let mut nothing = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(self.stream, slices, &mut nothing, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.sent = self.sent.saturating_add(sent as u64);
                    return Ok(sent);
                }
                Err(Errno::INTR) => {}
                // Some room may be there all the same: the wait ends only when there is a good deal of it.
                Err(Errno::AGAIN) if has_room => has_room = self.wait()?,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(sender: &mut Sender<'_>, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let written = sender.write_vectored(slices)?;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}
