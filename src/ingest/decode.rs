//! Undoes a body's `Content-Encoding` (facts/ingestion.md 4.3), counting while it inflates.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use super::Refusal;
use super::source::{MEMORY_BYTES_MAX, Payload, SpoolDir};
use crate::http::Request;

/// How much of a body without credentials is looked at to find its first line.
const BEGINNING_BYTES_MAX: usize = 64 << 10;

/// The decoded body, borrowed when it came as it is; none if it has more bytes than belong in memory.
///
/// # Errors
/// An unknown encoding, a broken stream, or more than `bytes_max` once decoded.
pub(super) fn in_memory<'a>(
    request: &Request,
    sent: &'a [u8],
    bytes_max: u64,
) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    let Some(encoding) = encoding(request)? else {
        return match sent.len() as u64 {
            len if len > bytes_max => Err(Refusal::RequestTooLarge),
            len if len > MEMORY_BYTES_MAX as u64 => Ok(None),
            _ => Ok(Some(Cow::Borrowed(sent))),
        };
    };
    if encoding.has_large_window(sent) {
        return Ok(None);
    }
    match inflate(encoding, sent, bytes_max.min(MEMORY_BYTES_MAX as u64)) {
        Ok(decoded) => Ok(Some(Cow::Owned(decoded))),
        Err(Refusal::RequestTooLarge) if bytes_max > MEMORY_BYTES_MAX as u64 => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The decoded body, wherever it finds room.
///
/// # Errors
/// As for [`in_memory`], or the disk cannot take it.
pub(super) fn spooled(
    request: &Request,
    sent: Payload<'static>,
    bytes_max: u64,
    spool: &SpoolDir,
) -> Result<Payload<'static>, Refusal> {
    let Some(encoding) = encoding(request)? else {
        return if sent.len() > bytes_max {
            Err(Refusal::RequestTooLarge)
        } else {
            Ok(sent)
        };
    };
    unfold(encoding, &sent, bytes_max, spool)
}

/// The decoded bytes, at most `bytes_max`, wherever they find room.
fn unfold(
    encoding: Encoding,
    sent: &Payload<'_>,
    bytes_max: u64,
    spool: &SpoolDir,
) -> Result<Payload<'static>, Refusal> {
    let beginning = sent.slice(0, 2).bytes().map(Cow::into_owned);
    let beginning = beginning.map_err(|error| Refusal::unreadable(&error))?;
    let mut decoder = encoding
        .reader(
            &beginning,
            BufReader::with_capacity(64 << 10, sent.reader()),
        )
        .take(bytes_max + 1);
    let mut decoded = spool.writer();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = decoder
            .read(&mut chunk)
            .map_err(|error| Refusal::InvalidCompression(error.to_string()))?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut decoded, &chunk[..read])
            .map_err(|error| Refusal::unwritable(&error))?;
    }
    if decoded.len() > bytes_max {
        return Err(Refusal::RequestTooLarge);
    }
    Ok(decoded.finish())
}

/// What the decoded body begins with, to find the `dsn` of an envelope that brings no other credentials: more
/// than any honest first line, and no more than a stranger may make us inflate.
pub(super) fn beginning(request: &Request) -> Result<Vec<u8>, Refusal> {
    let sent = request
        .body
        .beginning(BEGINNING_BYTES_MAX)
        .map_err(|error| Refusal::unreadable(&error))?;
    let mut decoded = Vec::new();
    let mut reader: Box<dyn Read> = match encoding(request)? {
        None => Box::new(&*sent),
        Some(encoding) => encoding.reader(&sent, &*sent),
    };
    let mut chunk = [0u8; 4096];
    while decoded.len() < BEGINNING_BYTES_MAX && !decoded.contains(&b'\n') {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => decoded.extend_from_slice(&chunk[..read]),
            // What was cut off may be what is missing; the line may be whole all the same.
            Err(error) if decoded.is_empty() => {
                return Err(Refusal::InvalidCompression(error.to_string()));
            }
            Err(_) => break,
        }
    }
    Ok(decoded)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    /// With or without zlib's wrapping: both are in the field.
    Deflate,
    Brotli,
    Zstd,
}

/// What to undo. No SDK encodes twice, and each layer more would multiply what a small request can cost.
fn encoding(request: &Request) -> Result<Option<Encoding>, Refusal> {
    let Some(value) = request.headers.get("content-encoding") else {
        return Ok(None);
    };
    let is = |name: &str| value.trim().eq_ignore_ascii_case(name);
    Ok(match value {
        // sentry-ruby 5 sends an empty value, sentry-java-android 2 a charset.
        _ if is("") || is("identity") || is("utf-8") => None,
        _ if is("gzip") || is("x-gzip") => Some(Encoding::Gzip),
        _ if is("deflate") => Some(Encoding::Deflate),
        _ if is("br") => Some(Encoding::Brotli),
        _ if is("zstd") => Some(Encoding::Zstd),
        _ => return Err(Refusal::UnsupportedEncoding),
    })
}

impl Encoding {
    /// Whether the decoder sets aside more than brotli's default of 4 MiB, up to 16 (RFC 7932, 9.1).
    fn has_large_window(self, beginning: &[u8]) -> bool {
        // The lowest bit says that the next three count from 17 on: 6 and 7 are 23 and 24 bits.
        self == Encoding::Brotli
            && beginning
                .first()
                .is_some_and(|byte| byte & 0b1101 == 0b1101)
    }

    /// `beginning` is what the stream begins with: two bytes, or all of a shorter one.
    fn reader<'a>(self, beginning: &[u8], sent: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        match self {
            Encoding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(sent)),
            Encoding::Deflate if is_zlib(beginning) => {
                Box::new(flate2::bufread::ZlibDecoder::new(sent))
            }
            Encoding::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(sent)),
            Encoding::Brotli => Box::new(brotli_decompressor::Decompressor::new(sent, 4096)),
            Encoding::Zstd => match zstd::stream::read::Decoder::with_buffer(sent) {
                Ok(mut decoder) => {
                    // 8 MiB, what the format asks every decoder to take; more would be the sender's choice
                    // over our memory.
                    match decoder.window_log_max(23) {
                        Ok(()) => Box::new(decoder),
                        Err(error) => Box::new(Broken(error.to_string())),
                    }
                }
                Err(error) => Box::new(Broken(error.to_string())),
            },
        }
    }
}

/// A decoder that could not be set up.
struct Broken(String);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(self.0.clone()))
    }
}

/// Whether a deflated stream has zlib's two-byte head: method 8, a window of at most 32 KiB, and a check.
fn is_zlib(sent: &[u8]) -> bool {
    match sent {
        [cmf, flg, ..] => {
            cmf & 0x0f == 8 && cmf >> 4 <= 7 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0
        }
        _ => false,
    }
}

fn inflate(encoding: Encoding, sent: &[u8], bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    // Text shrinks to about a fifth; the guess costs at most one growth.
    let guess = (sent.len() as u64).saturating_mul(5).min(bytes_max);
    let mut decoded = Vec::with_capacity(usize::try_from(guess).unwrap_or(0).min(1 << 20));
    encoding
        .reader(sent, sent)
        .take(bytes_max + 1)
        .read_to_end(&mut decoded)
        .map_err(|error| Refusal::InvalidCompression(error.to_string()))?;
    if decoded.len() as u64 > bytes_max {
        return Err(Refusal::RequestTooLarge);
    }
    Ok(decoded)
}

/// Inflates a zlib stream that stands inside a body (facts/ingestion.md 1.3).
pub(super) fn inflate_zlib(sent: &[u8], bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    inflate(Encoding::Deflate, sent, bytes_max)
}

/// As [`inflate_zlib`], for what may be too large for memory.
pub(super) fn unfold_zlib(
    sent: &Payload<'_>,
    bytes_max: u64,
    spool: &SpoolDir,
) -> Result<Payload<'static>, Refusal> {
    unfold(Encoding::Deflate, sent, bytes_max, spool)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"{}\n{\"type\":\"event\"}\n{}";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn deflate_is_read_with_and_without_zlibs_wrapping() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(TEXT).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(TEXT).unwrap();
        for sent in [zlib.finish().unwrap(), raw.finish().unwrap()] {
            assert_eq!(inflate(Encoding::Deflate, &sent, 100).unwrap(), TEXT);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let sent = gzip(&vec![0; 10 << 20]);
        assert_eq!(
            inflate(Encoding::Gzip, &sent, 1 << 20),
            Err(Refusal::RequestTooLarge)
        );
    }

    #[test]
    fn a_broken_stream_is_a_refusal() {
        for encoding in [
            Encoding::Gzip,
            Encoding::Deflate,
            Encoding::Brotli,
            Encoding::Zstd,
        ] {
            let result = inflate(encoding, b"\xff\xfe\xfdno such stream", 1 << 20);
            assert!(
                matches!(result, Err(Refusal::InvalidCompression(_))),
                "{encoding:?}"
            );
        }
        let cut = &gzip(TEXT)[..10];
        assert!(inflate(Encoding::Gzip, cut, 100).is_err());
    }
}
