//! A client's socket with deadlines, and the bytes that it has already given.
//!
//! The socket blocks. Waiting for a next request is left to its receive time-out, so that the ordinary request
//! costs one system call to read and one to answer; whoever needs a nearer deadline polls.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;

/// What an idle connection keeps allocated.
const IDLE_BYTES: usize = 2 * 1024;
/// What is read at once while a body comes in.
const READ_BYTES: usize = 16 * 1024;

/// How a read ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Some,
    /// The client is gone, or has said all it wants to say.
    End,
    TimedOut,
}

/// The reading side.
pub(super) struct Incoming<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
    start: usize,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> Incoming<'a> {
        Incoming {
            stream,
            bytes: Vec::new(),
            start: 0,
        }
    }

    /// What has come and was not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.bytes.len());
    }

    /// Waits as long as the socket's receive time-out. Meant for an empty buffer, which it makes small first.
    pub(super) fn read_idle(&mut self) -> Read {
        self.compact();
        if self.bytes.is_empty() && self.bytes.capacity() != IDLE_BYTES {
            self.bytes = Vec::with_capacity(IDLE_BYTES);
        }
        self.receive(RecvFlags::empty()).unwrap_or(Read::TimedOut)
    }

    /// Waits until `deadline`; what has already come is taken in any case.
    pub(super) fn read_before(&mut self, deadline: Instant) -> Read {
        self.compact();
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES / 2 {
            self.bytes.reserve(READ_BYTES);
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

    /// Reads and forgets at most `bytes_max` before `deadline`, until the client closes.
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

/// Writes everything.
///
/// # Errors
/// The client is gone; it made no progress during the socket's send time-out, or took less than
/// `bytes_per_sec_min` on average after `grace`: `TimedOut`.
pub(super) fn write_all(
    mut stream: &TcpStream,
    mut slices: &mut [IoSlice<'_>],
    grace: Duration,
    bytes_per_sec_min: u64,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    let mut started = None;
    let mut sent: u64 = 0;
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                sent = sent.saturating_add(written as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if slices.is_empty() {
            break;
        }
        let late = started
            .get_or_insert_with(Instant::now)
            .elapsed()
            .saturating_sub(grace);
        if late.as_secs().saturating_mul(bytes_per_sec_min) > sent {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
