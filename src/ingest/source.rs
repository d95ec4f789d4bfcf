//! Bytes that came in, wherever they lie: small ones in memory, large ones in a file without a name, so that
//! twenty uploads of 40 MB at once cost disk and not memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::http::nameless_file;

/// More than this does not stay in memory.
pub(super) const MEMORY_BYTES_MAX: usize = 1 << 20;

/// A body, a part of one, or an item's payload.
#[derive(Clone, Debug)]
pub(super) enum Payload<'a> {
    Memory(Cow<'a, [u8]>),
    Spooled(Spooled),
}

/// A range of a file that nobody changes any more.
#[derive(Clone, Debug)]
pub(super) struct Spooled {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl<'a> Payload<'a> {
    pub(super) fn borrowed(bytes: &'a [u8]) -> Payload<'a> {
        Payload::Memory(Cow::Borrowed(bytes))
    }

    pub(super) fn owned(bytes: Vec<u8>) -> Payload<'static> {
        Payload::Memory(Cow::Owned(bytes))
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Payload::Memory(bytes) => bytes.len() as u64,
            Payload::Spooled(spooled) => spooled.len,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, in memory. Only for payloads whose item type bounds them, on the thread for large requests.
    ///
    /// # Errors
    /// The file could not be read back.
    pub(super) fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Payload::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Payload::Spooled(spooled) => {
                let mut bytes = vec![0; usize::try_from(spooled.len).unwrap_or(usize::MAX)];
                spooled.file.read_exact_at(&mut bytes, spooled.offset)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The same bytes, borrowing nothing: a range of the same file, or a copy of what is small.
    pub(super) fn kept(&self) -> Payload<'static> {
        match self {
            Payload::Memory(bytes) => Payload::owned(bytes.to_vec()),
            Payload::Spooled(spooled) => Payload::Spooled(spooled.clone()),
        }
    }

    /// Reads it from the beginning. Any number of readers can be at work at once.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            payload: self,
            at: 0,
        }
    }

    /// A part of it that shares what it lies in.
    pub(super) fn slice(&self, offset: u64, len: u64) -> Payload<'_> {
        match self {
            Payload::Memory(bytes) => {
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let end = start.saturating_add(len).min(bytes.len());
                Payload::Memory(Cow::Borrowed(&bytes[start..end]))
            }
            Payload::Spooled(spooled) => {
                let offset = offset.min(spooled.len);
                Payload::Spooled(Spooled {
                    file: Arc::clone(&spooled.file),
                    offset: spooled.offset + offset,
                    len: len.min(spooled.len - offset),
                })
            }
        }
    }
}

/// Reads a payload.
#[derive(Debug)]
pub(super) struct Reader<'p> {
    payload: &'p Payload<'p>,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.payload {
            Payload::Memory(bytes) => {
                let start = usize::try_from(self.at)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                (&bytes[start..]).read(buffer)?
            }
            Payload::Spooled(spooled) => {
                let left = spooled.len - self.at.min(spooled.len);
                let wanted = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                spooled
                    .file
                    .read_at(&mut buffer[..wanted], spooled.offset + self.at)?
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// Where large payloads are put while they are worked on: beside the database, never in a memory file system.
#[derive(Clone, Debug)]
pub(super) struct SpoolDir(PathBuf);

impl SpoolDir {
    pub(super) fn new(directory: &Path) -> SpoolDir {
        SpoolDir(directory.to_owned())
    }

    /// Takes bytes one after the other, at first in memory.
    pub(super) fn writer(&self) -> SpoolWriter<'_> {
        SpoolWriter {
            directory: &self.0,
            memory: Vec::new(),
            file: None,
            len: 0,
        }
    }
}

/// Makes a [`Payload`] of bytes that come one after the other. It has no bound of its own: whoever writes counts.
#[derive(Debug)]
pub(super) struct SpoolWriter<'d> {
    directory: &'d Path,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl SpoolWriter<'_> {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn finish(self) -> Payload<'static> {
        match self.file {
            None => Payload::owned(self.memory),
            Some(file) => Payload::Spooled(Spooled {
                file: Arc::new(file),
                offset: 0,
                len: self.len,
            }),
        }
    }
}

impl Write for SpoolWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY_BYTES_MAX {
            let mut file = nameless_file(self.directory)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_the_same_in_memory_and_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let spool = SpoolDir::new(directory.path());
        for len in [10, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX + 1] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut writer = spool.writer();
            for chunk in bytes.chunks(4099) {
                writer.write_all(chunk).unwrap();
            }
            let payload = writer.finish();
            assert_eq!(payload.len(), len as u64);
            assert_eq!(
                matches!(payload, Payload::Spooled(_)),
                len > MEMORY_BYTES_MAX
            );
            assert_eq!(*payload.bytes().unwrap(), bytes[..]);
            let part = payload.slice(3, 5);
            assert_eq!(*part.bytes().unwrap(), bytes[3..8]);
            let mut read = Vec::new();
            payload
                .slice(7, u64::MAX)
                .reader()
                .read_to_end(&mut read)
                .unwrap();
            assert_eq!(read, bytes[7..]);
        }
    }
}
