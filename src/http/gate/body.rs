//! Request bodies, read whole before anything else sees them.
//!
//! Small bodies stay in the connection's buffer or in memory, larger ones go to a file that has no name, and the
//! bytes of all connections count against two budgets: one for memory, beyond which bodies go to files early,
//! and one in all, beyond which they are refused. Bytes count as they come, not as they are announced, so that
//! announcing costs others nothing.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memchr;

use super::super::{Refusal, Scarce, nameless_file};
use super::budget::{Budget, Held};
use super::head::Framing;
use super::socket::{Channel, Read};

/// What a client that found no room is asked to wait.
pub(super) const RETRY_AFTER_SECS: u32 = 5;

/// Line of a chunk's size, extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// Extensions of all chunks of a body together.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Trailer fields of a body together.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// The limits that hold for every body.
pub(super) struct Limits {
    pub(super) memory_bytes_max: u64,
    pub(super) grace: Duration,
    pub(super) bytes_per_sec_min: u64,
    pub(super) inbound: Arc<Budget>,
    pub(super) inbound_memory: Arc<Budget>,
}

/// A whole body.
pub(super) enum Whole {
    /// The next so many bytes of the connection's buffer, not consumed yet.
    Buffered(usize),
    Memory(Vec<u8>),
    File(File, u64),
}

impl Whole {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Whole::Buffered(bytes) => *bytes as u64,
            Whole::Memory(bytes) => bytes.len() as u64,
            Whole::File(_, bytes) => *bytes,
        }
    }
}

/// A whole body and its share of the budgets.
pub(super) struct Received {
    pub(super) body: Whole,
    pub(super) held: (Held, Held),
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    /// The client is gone.
    Gone,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// Reads a body of at most `bytes_max` bytes. Without a directory for it none goes to a file.
pub(super) fn receive(
    channel: &mut Channel<'_>,
    framing: Framing,
    bytes_max: u64,
    limits: &Limits,
    spool_dir: Option<&Path>,
) -> Result<Received, Failure> {
    let sink = Sink {
        memory: Vec::new(),
        file: None,
        bytes: 0,
        bytes_max,
        held: limits.inbound.hold(),
        held_memory: limits.inbound_memory.hold(),
        limits,
        spool_dir,
    };
    let reader = Reader {
        channel,
        started: Instant::now(),
        wire_bytes: 0,
        limits,
    };
    match framing {
        Framing::Length(length) => {
            if length > bytes_max {
                return Err(too_large(bytes_max).into());
            }
            reader.read_length(length, sink)
        }
        Framing::Chunked => reader.read_chunked(sink),
    }
}

pub(super) fn too_large(max_bytes: u64) -> Refusal {
    Refusal::BodyTooLarge { max_bytes }
}

struct Reader<'a, 'b> {
    channel: &'a mut Channel<'b>,
    started: Instant,
    /// Bytes of the body that have come, coding included.
    wire_bytes: u64,
    limits: &'a Limits,
}

impl Reader<'_, '_> {
    fn read_length(mut self, length: u64, mut sink: Sink<'_>) -> Result<Received, Failure> {
        if let Ok(whole) = usize::try_from(length)
            && self.channel.buffered().len() >= whole
        {
            return Ok(sink.received(Whole::Buffered(whole)));
        }
        sink.expect(length);
        let mut left = length;
        loop {
            left -= self.take(left, &mut sink)?;
            if left == 0 {
                return Ok(sink.finish()?);
            }
            self.fill()?;
        }
    }

    fn read_chunked(mut self, mut sink: Sink<'_>) -> Result<Received, Failure> {
        let mut extension_bytes = 0;
        loop {
            let mut left = self.read_line(CHUNK_LINE_BYTES_MAX, |line| {
                let (size, extension) = parse_chunk_line(line)?;
                extension_bytes += extension;
                Ok(size)
            })?;
            if extension_bytes > EXTENSION_BYTES_MAX {
                return Err(Refusal::BadRequest("Too many chunk extensions").into());
            }
            if left == 0 {
                break;
            }
            if left > sink.bytes_max - sink.bytes {
                return Err(too_large(sink.bytes_max).into());
            }
            loop {
                left -= self.take(left, &mut sink)?;
                if left == 0 {
                    break;
                }
                self.fill()?;
            }
            self.read_line(0, |_| Ok(()))?;
        }
        let mut trailer_bytes = 0;
        loop {
            let length = self.read_line(TRAILER_BYTES_MAX, |line| Ok(line.len()))?;
            if length == 0 {
                return Ok(sink.finish()?);
            }
            trailer_bytes += length;
            if trailer_bytes > TRAILER_BYTES_MAX {
                return Err(Refusal::HeadTooLarge.into());
            }
        }
    }

    /// Moves at most `left` buffered bytes to the sink.
    fn take(&mut self, left: u64, sink: &mut Sink<'_>) -> Result<u64, Refusal> {
        let buffered = self.channel.buffered();
        let count = buffered
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        sink.push(&buffered[..count])?;
        self.channel.consume(count);
        Ok(count as u64)
    }

    /// Calls `parse` with the next line, without its CRLF, of at most `bytes_max` bytes.
    fn read_line<T>(
        &mut self,
        bytes_max: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, Refusal>,
    ) -> Result<T, Failure> {
        let bad = Refusal::BadRequest("The chunked body is not valid");
        let mut scanned = 0;
        loop {
            let buffered = self.channel.buffered();
            let found = memchr(b'\n', &buffered[scanned..]).map(|at| scanned + at);
            if found.unwrap_or(buffered.len()) > bytes_max + 1 {
                return Err(bad.into());
            }
            if let Some(end) = found {
                let line = buffered[..end].strip_suffix(b"\r").ok_or(bad)?;
                let parsed = parse(line)?;
                self.channel.consume(end + 1);
                return Ok(parsed);
            }
            scanned = buffered.len();
            self.fill()?;
        }
    }

    /// Waits for more, as long as the minimum rate allows.
    fn fill(&mut self) -> Result<(), Failure> {
        let rate = self.limits.bytes_per_sec_min.max(1);
        let earned = Duration::from_secs(self.wire_bytes / rate);
        let deadline = self.started + self.limits.grace + earned;
        let before = self.channel.buffered().len();
        match self.channel.read_before(deadline) {
            Read::Some => {
                self.wire_bytes += (self.channel.buffered().len() - before) as u64;
                // A client that always has a byte ready never sees the deadline in the poll.
                match Instant::now() > deadline {
                    true => Err(Refusal::BodyTimeout.into()),
                    false => Ok(()),
                }
            }
            Read::End => Err(Failure::Gone),
            Read::TimedOut => Err(Refusal::BodyTimeout.into()),
        }
    }
}

/// The size of a chunk and the bytes that its extensions take.
fn parse_chunk_line(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let bad = Refusal::BadRequest("A chunk's size is not valid");
    let end = line.iter().position(|b| !b.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(end.unwrap_or(line.len()));
    // 15 digits cannot overflow; more are refused even if they are zeros.
    if digits.is_empty() || digits.len() > 15 {
        return Err(bad);
    }
    let after_space = extension.trim_ascii_start();
    let is_extension = after_space.first() == Some(&b';');
    if !extension.is_empty() && !is_extension || extension.contains(&b'\r') {
        return Err(bad);
    }
    let digit = |size: u64, digit: &u8| {
        size * 16 + u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
    };
    Ok((digits.iter().fold(0, digit), extension.len()))
}

/// Where a body's bytes go.
struct Sink<'a> {
    memory: Vec<u8>,
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
    held: Held,
    held_memory: Held,
    limits: &'a Limits,
    spool_dir: Option<&'a Path>,
}

impl Sink<'_> {
    /// A body of known length that will not fit into memory goes to the file from the start.
    fn expect(&mut self, length: u64) {
        if length <= self.limits.memory_bytes_max {
            // Not the whole length: it is only announced.
            self.memory
                .reserve_exact(usize::try_from(length.min(64 * 1024)).unwrap_or(0));
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let total = self.bytes + bytes.len() as u64;
        if total > self.bytes_max {
            return Err(too_large(self.bytes_max));
        }
        if !self.held.grow_to(total) {
            return Err(busy(Scarce::Inbound));
        }
        let fits = total <= self.limits.memory_bytes_max;
        if self.file.is_none() && !(fits && self.held_memory.grow_to(total)) {
            self.move_to_file()?;
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(spool_failed)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.bytes = total;
        Ok(())
    }

    fn move_to_file(&mut self) -> Result<(), Refusal> {
        let directory = self.spool_dir.ok_or(busy(Scarce::Spool))?;
        let mut file = nameless_file(directory).map_err(spool_failed)?;
        file.write_all(&self.memory).map_err(spool_failed)?;
        self.memory = Vec::new();
        self.held_memory = self.limits.inbound_memory.hold();
        self.file = Some(file);
        Ok(())
    }

    fn finish(mut self) -> Result<Received, Refusal> {
        let body = match self.file.take() {
            Some(mut file) => {
                file.rewind().map_err(spool_failed)?;
                Whole::File(file, self.bytes)
            }
            None => Whole::Memory(std::mem::take(&mut self.memory)),
        };
        Ok(self.received(body))
    }

    fn received(self, body: Whole) -> Received {
        Received {
            body,
            held: (self.held, self.held_memory),
        }
    }
}

pub(super) fn busy(scarce: Scarce) -> Refusal {
    Refusal::Busy {
        retry_after_secs: RETRY_AFTER_SECS,
        scarce,
    }
}

fn spool_failed(error: io::Error) -> Refusal {
    log::warn!("a request body could not be spooled: {error}");
    busy(Scarce::Spool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_lines_are_read_strictly() {
        let size = |line: &str| parse_chunk_line(line.as_bytes()).ok();
        assert_eq!(size("1aF"), Some((0x1af, 0)));
        assert_eq!(size("0"), Some((0, 0)));
        assert_eq!(size("5;a=b"), Some((5, 4)));
        assert_eq!(size("5 ;a"), Some((5, 3)));
        for line in [
            "",
            "-1",
            "+5",
            "0x5",
            " 5",
            "5 ",
            "g",
            ";a",
            "5 a",
            "5;a\rb",
            "ffffffffffffffff",
            "0000000000000000",
        ] {
            assert_eq!(size(line), None, "{line:?}");
        }
    }
}
