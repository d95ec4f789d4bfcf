//! Backups: the whole database in one file, compressed, with checksums.
//!
//! ```text
//! skippable frame   magic 0x184D2A5B, length, JSON: what this is, picket's version, schema, time, bytes of the database
//! zstd frame        the database as it lies in its file, with its length and zstd's own checksum
//! skippable frame   magic 0x184D2A5B, length, JSON: SHA-256 of all bytes before this frame
//! ```
//!
//! `zstd -d` skips frames that it does not know, so it unpacks a backup into a database. The file has its name only
//! once it is whole ([`super::unfinished`]).

use std::io::{self, BufRead, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frozen::Frozen;
use super::unfinished::Unfinished;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// What a backup is called before it is one.
const UNFINISHED: &str = ".unfinished";

/// The first bytes of a frame that zstd skips, one of sixteen that are free for such use.
const SKIPPABLE: [u8; 4] = 0x184D_2A5B_u32.to_le_bytes();

/// More than a frame of ours ever has.
const FRAME_BYTES_MAX: u32 = 4096;

const KIND: &str = "picket backup";
const FORMAT: u32 = 1;

/// The fastest: payloads are packed already, and what a higher level finds in the rest is little.
const LEVEL: i32 = 1;

const BUFFER_BYTES: usize = 256 << 10;

/// The disk is given its work in such portions, so that a server's syncs do not wait for one large one.
const SYNC_BYTES: u64 = 16 << 20;

/// What a backup says of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    kind: String,
    format: u32,
    /// The version that wrote it.
    pub(crate) picket: String,
    pub(crate) schema: i64,
    /// Microseconds since 1970.
    pub(crate) made_us: i64,
    /// How long the database is.
    pub(crate) database_bytes: u64,
}

impl Header {
    pub(crate) fn made(&self) -> Timestamp {
        Timestamp::from_us(self.made_us)
    }
}

#[derive(Deserialize, Serialize)]
struct Trailer {
    sha256: String,
}

/// What was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) header: Header,
    /// How long the backup is.
    pub(crate) bytes: u64,
    /// Hexadecimal, of all but the last frame.
    pub(crate) sha256: String,
}

/// Backs a database up into a file that is not there yet, or with `replace` also instead of one that is. `progress` hears
/// how many bytes of the database are done, and of how many.
///
/// # Errors
/// One sentence; nothing has the file's name then that did not have it before.
pub(crate) fn write_file(
    data: &Path,
    place: &Path,
    replace: bool,
    at: Timestamp,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Written> {
    if !replace && place.try_exists().unwrap_or(false) {
        return Err(Error::Refused(format!(
            "{} exists already; --force replaces it",
            place.display()
        )));
    }
    if is_same_file(data, place) {
        return Err(Error::Refused(format!(
            "{} is the database itself",
            place.display()
        )));
    }
    let mut frozen = Frozen::hold(data)?;
    let unfinished = Unfinished::create(place, UNFINISHED)?;
    let written = write(&mut frozen, Steady::new(unfinished.file()), at, progress)?;
    unfinished.finish(replace)?;
    Ok(written)
}

/// As [`write_file`], to anything that takes bytes.
///
/// # Errors
/// One sentence.
pub(crate) fn write_stream(
    data: &Path,
    sink: impl Write,
    at: Timestamp,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Written> {
    write(&mut Frozen::hold(data)?, sink, at, progress)
}

fn write(
    frozen: &mut Frozen,
    sink: impl Write,
    at: Timestamp,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Written> {
    let unwritten = |error: io::Error| Error::Refused(format!("cannot write the backup: {error}"));
    let bytes = frozen.bytes();
    let header = Header {
        kind: KIND.to_owned(),
        format: FORMAT,
        picket: env!("CARGO_PKG_VERSION").to_owned(),
        schema: frozen.schema(),
        made_us: at.us(),
        database_bytes: bytes,
    };
    let mut hashed = HashedWriter::new(BufWriter::with_capacity(BUFFER_BYTES, sink));
    hashed.write_all(&frame(&header)?).map_err(unwritten)?;
    let mut packing = packer(hashed, bytes).map_err(unwritten)?;
    frozen.copy(&mut packing, &mut |done| progress(done, bytes))?;
    let hashed = packing.finish().map_err(unwritten)?;
    let sha256 = data_encoding::HEXLOWER.encode(&hashed.digest.clone().finalize());
    let trailer = frame(&Trailer {
        sha256: sha256.clone(),
    })?;
    let bytes = hashed.bytes + trailer.len() as u64;
    let mut sink = hashed.inner;
    sink.write_all(&trailer)
        .and_then(|()| sink.flush())
        .map_err(unwritten)?;
    Ok(Written {
        header,
        bytes,
        sha256,
    })
}

fn packer<W: Write>(sink: W, bytes: u64) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut packing = zstd::stream::write::Encoder::new(sink, LEVEL)?;
    packing.include_checksum(true)?;
    packing.include_contentsize(true)?;
    packing.set_pledged_src_size(Some(bytes))?;
    Ok(packing)
}

fn frame(content: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(content).map_err(Error::internal)?;
    let length = u32::try_from(json.len()).map_err(Error::internal)?;
    Ok([&SKIPPABLE[..], &length.to_le_bytes(), &json].concat())
}

/// A backup that is read. What it is read from is called `name` in errors.
pub(crate) struct Backup<R> {
    source: HashedReader<R>,
    name: String,
    pub(crate) header: Header,
}

impl<R: Read> Backup<R> {
    /// Reads what it says of itself.
    ///
    /// # Errors
    /// It is no backup, or a newer version's.
    pub(crate) fn open(source: R, name: &str) -> Result<Backup<R>> {
        let mut source = HashedReader::new(source);
        let start = source
            .first(16)
            .map_err(|error| Error::Refused(format!("cannot read {name}: {error}")))?;
        if !start.starts_with(&SKIPPABLE) {
            let what = if start.is_empty() {
                "is empty"
            } else if start.starts_with(b"SQLite format 3\0") {
                "is a database, and no backup of one"
            } else {
                "is no backup that picket made"
            };
            return Err(Error::Refused(format!("{name} {what}")));
        }
        let json = read_frame(&mut source, name)?;
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
            format: u32,
        }
        let strange = || Error::Refused(format!("{name} is no backup that picket made"));
        let kind: Kind = serde_json::from_slice(&json).map_err(|_| strange())?;
        if kind.kind != KIND {
            return Err(strange());
        }
        if kind.format > FORMAT {
            return Err(Error::Refused(format!(
                "{name} was written by a newer Picket (format {}, this one knows {FORMAT}); use that one",
                kind.format
            )));
        }
        let header = serde_json::from_slice(&json).map_err(|_| damaged(name))?;
        Ok(Backup {
            source,
            name: name.to_owned(),
            header,
        })
    }

    /// Writes the database, and holds it against every checksum. `progress` hears how many bytes are done, and can
    /// stop it.
    ///
    /// # Errors
    /// The backup is damaged or cut off, or the sink cannot be written. What was written is of no use then.
    pub(crate) fn unpack(
        self,
        sink: &mut impl Write,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let Backup {
            source,
            name,
            header,
        } = self;
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(&name),
            _ if error.raw_os_error().is_some() => {
                Error::Refused(format!("cannot read {name}: {error}"))
            }
            _ => damaged(&name),
        };
        let mut unpacking = zstd::stream::read::Decoder::with_buffer(source)
            .map_err(broken)?
            .single_frame();
        let mut chunk = vec![0; BUFFER_BYTES];
        let mut done = 0;
        loop {
            let read = unpacking.read(&mut chunk).map_err(broken)?;
            if read == 0 {
                break;
            }
            done += read as u64;
            if done > header.database_bytes {
                return Err(damaged(&name));
            }
            sink.write_all(&chunk[..read])
                .map_err(|error| Error::Refused(format!("cannot write the database: {error}")))?;
            progress(done)?;
        }
        if done != header.database_bytes {
            return Err(damaged(&name));
        }
        let mut source = unpacking.finish();
        let sha256 = data_encoding::HEXLOWER.encode(&source.digest.clone().finalize());
        let trailer: Trailer =
            serde_json::from_slice(&read_frame(&mut source, &name)?).map_err(|_| damaged(&name))?;
        if trailer.sha256 != sha256 {
            return Err(damaged(&name));
        }
        if !source.fill_buf().map_err(broken)?.is_empty() {
            return Err(Error::Refused(format!(
                "{name} goes on after its end, so it is damaged or not one backup"
            )));
        }
        Ok(())
    }
}

fn read_frame(source: &mut impl Read, name: &str) -> Result<Vec<u8>> {
    let mut read = |bytes: &mut [u8]| {
        source
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => cut_off(name),
                _ => Error::Refused(format!("cannot read {name}: {error}")),
            })
    };
    let mut head = [0; 8];
    read(&mut head)?;
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if head[..4] != SKIPPABLE || length > FRAME_BYTES_MAX {
        return Err(damaged(name));
    }
    let mut content = vec![0; length as usize];
    read(&mut content)?;
    Ok(content)
}

fn damaged(name: &str) -> Error {
    Error::Refused(format!("{name} is damaged: its checksum is wrong"))
}

fn cut_off(name: &str) -> Error {
    Error::Refused(format!("{name} is cut off: its end is missing"))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
    matches!((number(one), number(other)), (Ok(one), Ok(other)) if one == other)
}

/// Sums up what goes through.
struct HashedWriter<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W> HashedWriter<W> {
    fn new(inner: W) -> HashedWriter<W> {
        HashedWriter {
            inner,
            digest: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for HashedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Sums up what was taken out of its buffer.
struct HashedReader<R> {
    inner: R,
    buffer: Vec<u8>,
    /// What of the buffer was not taken yet.
    from: usize,
    until: usize,
    digest: Sha256,
}

impl<R: Read> HashedReader<R> {
    fn new(inner: R) -> HashedReader<R> {
        HashedReader {
            inner,
            buffer: vec![0; BUFFER_BYTES],
            from: 0,
            until: 0,
            digest: Sha256::new(),
        }
    }

    /// The first bytes, at most so many, of which none is taken.
    fn first(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.until < count {
            match self.inner.read(&mut self.buffer[self.until..]) {
                Ok(0) => break,
                Ok(read) => self.until += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[..self.until.min(count)])
    }
}

impl<R: Read> Read for HashedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for HashedReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from == self.until {
            (self.from, self.until) = (0, 0);
            self.until = self.inner.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.from..self.until])
    }

    fn consume(&mut self, count: usize) {
        let taken = self.from + count;
        self.digest.update(&self.buffer[self.from..taken]);
        self.from = taken;
    }
}

/// Writes a file and has it synced every now and then.
struct Steady<'a> {
    file: &'a std::fs::File,
    unsynced: u64,
}

impl<'a> Steady<'a> {
    fn new(file: &'a std::fs::File) -> Steady<'a> {
        Steady { file, unsynced: 0 }
    }
}

impl Write for Steady<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written as u64;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
