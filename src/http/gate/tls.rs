//! TLS above a client's socket.
//!
//! Everything that waits here does so with a deadline at the socket, so that neither a handshake nor a record that
//! comes byte by byte, nor messages that hold nothing to read, keep a connection longer than the same slowness would
//! without TLS. The handshake runs in the connection's own thread; of all handshakes only as many compute at one time as
//! there are cores ([`Cores`]), so that a flood of them leaves the others their share. Which certificate is shown is decided by
//! [`Tls`](crate::http::Tls); what is said inside is the session's business.

use std::io::{self, BufRead, IoSlice, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::{ServerConfig, ServerConnection};

use super::super::lock;
use super::socket::{Read, Sender, wait};

/// The type of the record that a handshake starts with. No request starts with it.
pub(super) const HANDSHAKE_RECORD: u8 = 22;

/// What is encrypted ahead of what the client has taken.
const AHEAD_BYTES: usize = 32 * 1024;

/// Leave to compute, for so many handshakes at one time.
pub(super) struct Cores {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Cores {
    /// As many as there are cores.
    pub(super) fn new() -> Cores {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Cores {
            free: Mutex::new(cores),
            freed: Condvar::new(),
        }
    }

    /// Waits until `deadline` for one.
    fn take(&self, deadline: Instant) -> Option<Core<'_>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut free, _) = self
            .freed
            .wait_timeout_while(lock(&self.free), left, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Core(self))
    }
}

struct Core<'a>(&'a Cores);

impl Drop for Core<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

/// Why there is no TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoHandshake {
    TimedOut,
    /// The client is gone.
    Gone,
    /// The client and this server did not come to terms.
    Refused,
}

/// The state of one connection.
pub(super) struct Encryption {
    connection: ServerConnection,
    /// The client broke the rules, and was told so.
    broken: bool,
}

impl Encryption {
    /// Shakes hands. `begun` is what was read of it already.
    pub(super) fn accept(
        config: Arc<ServerConfig>,
        stream: &TcpStream,
        mut begun: &[u8],
        cores: &Cores,
        deadline: Instant,
    ) -> Result<Encryption, NoHandshake> {
        let connection = ServerConnection::new(config).map_err(|error| {
            log::error!("TLS is not possible: {error}");
            NoHandshake::Refused
        })?;
        let mut tls = Encryption {
            connection,
            broken: false,
        };
        tls.connection.set_buffer_limit(Some(AHEAD_BYTES));
        while tls.connection.is_handshaking() || !begun.is_empty() {
            let read = match begun.is_empty() {
                true => tls.receive(&mut Until { stream, deadline }),
                false => tls.receive(&mut begun),
            };
            match read.and_then(|more| match more {
                true => {
                    let core = cores.take(deadline).ok_or(io::ErrorKind::TimedOut)?;
                    let decrypted = tls.decrypt(stream);
                    drop(core);
                    decrypted.and_then(|()| tls.flush(&mut Until { stream, deadline }))
                }
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }) {
                Ok(()) if Instant::now() <= deadline => {}
                Ok(()) => return Err(NoHandshake::TimedOut),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(NoHandshake::TimedOut);
                }
                Err(_) if tls.broken => return Err(NoHandshake::Refused),
                Err(_) => return Err(NoHandshake::Gone),
            }
        }
        Ok(tls)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Waits until `deadline` for something to read and appends it to `out`; what has already come is taken in any
    /// case.
    pub(super) fn read(
        &mut self,
        stream: &TcpStream,
        deadline: Instant,
        out: &mut Vec<u8>,
    ) -> Read {
        let mut late = false;
        loop {
            match self.take(out) {
                Ok(true) => return Read::Some,
                Ok(false) if late => return Read::TimedOut,
                Ok(false) => {}
                Err(_) => return Read::End,
            }
            let read = self.receive(&mut Until { stream, deadline });
            match read.and_then(|more| self.advance(stream, deadline).map(|()| more)) {
                // A client that always has a record ready that holds nothing never sees the deadline in the poll.
                Ok(true) => late = Instant::now() > deadline,
                Ok(false) => return Read::End,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Read::TimedOut,
                Err(_) => return Read::End,
            }
        }
    }

    /// Takes what was decrypted. False: nothing is there yet.
    ///
    /// # Errors
    /// Nothing more will come.
    fn take(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut reader = self.connection.reader();
        let mut some = false;
        loop {
            let taken = match reader.fill_buf() {
                Ok([]) if some => return Ok(true),
                Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    out.extend_from_slice(bytes);
                    bytes.len()
                }
                Err(_) if some => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            reader.consume(taken);
            some = true;
        }
    }

    /// Takes records in. False: the client has said all it wants to say.
    fn receive(&mut self, from: &mut dyn io::Read) -> io::Result<bool> {
        Ok(self.connection.read_tls(from)? > 0)
    }

    /// Decrypts what was taken in, and answers what the protocol itself asks.
    fn advance(&mut self, stream: &TcpStream, deadline: Instant) -> io::Result<()> {
        self.decrypt(stream)?;
        self.flush(&mut Until { stream, deadline })
    }

    /// Decrypts what was taken in; never waits.
    fn decrypt(&mut self, stream: &TcpStream) -> io::Result<()> {
        if let Err(error) = self.connection.process_new_packets() {
            self.broken = true;
            log::debug!("a client's TLS was refused: {error}");
            // What is left to be said is why; it is not waited for.
            let deadline = Instant::now();
            let _ = self.flush(&mut Until { stream, deadline });
            return Err(io::Error::other(error));
        }
        Ok(())
    }

    fn flush(&mut self, to: &mut Until<'_>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(to)?;
        }
        Ok(())
    }

    /// As [`Channel::write_all`](super::socket::Channel::write_all).
    pub(super) fn write_all(
        &mut self,
        sender: &mut Sender<'_>,
        mut slices: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.connection.writer().write_vectored(slices)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                ahead => IoSlice::advance_slices(&mut slices, ahead),
            }
            while self.connection.wants_write() {
                self.connection.write_tls(sender)?;
            }
        }
        Ok(())
    }

    /// Says that nothing more follows, if there is room for that at once.
    pub(super) fn close(mut self: Box<Encryption>, stream: &TcpStream) {
        self.connection.send_close_notify();
        let deadline = Instant::now();
        // Who does not read will not miss it.
        let _ = self.flush(&mut Until { stream, deadline });
    }
}

/// A socket until a deadline. Does in any case what it can do without waiting.
struct Until<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Until<'_> {
    /// Tries until it need not wait.
    fn attempt(
        &self,
        ready: PollFlags,
        mut step: impl FnMut(&TcpStream) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match step(self.stream) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !wait(self.stream, ready, self.deadline)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl io::Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(PollFlags::IN, |stream| {
            rustix::net::recv(stream, &mut *buffer, RecvFlags::DONTWAIT).map(|(count, _)| count)
        })
    }
}

impl io::Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.attempt(PollFlags::OUT, |stream| {
            rustix::net::send(stream, bytes, flags)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_core_comes_back_and_is_waited_for_no_longer_than_asked() {
        let cores = Cores {
            free: Mutex::new(1),
            freed: Condvar::new(),
        };
        let soon = || Instant::now() + Duration::from_millis(20);
        let first = cores.take(soon()).expect("a core");
        assert!(cores.take(soon()).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                cores
                    .take(Instant::now() + Duration::from_secs(20))
                    .is_some()
            });
            drop(first);
            assert!(waiting.join().expect("no panic"));
        });
        assert!(cores.take(soon()).is_some());
    }
}
