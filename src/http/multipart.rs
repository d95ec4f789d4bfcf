//! Reads `multipart/form-data` (RFC 7578) with `multer`, the parser that Relay uses too.
//!
//! `multer` is made for streams that wait; here nothing ever waits. The body is handed over a chunk at a time with
//! a pause after each, because the parser takes in all that it is offered before it looks at any of it. So what it
//! holds at once is bounded, whatever the size of the body and of its parts. What becomes of the parts is the front's
//! business.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use multer::bytes::Bytes;
use multer::{Error, Field, Multipart};
use percent_encoding::percent_decode_str;

/// Far more than any crash reporter's annotations, and any form's fields.
const PARTS_MAX: usize = 1_000;

const CHUNK_BYTES: usize = 16 << 10;

/// How many chunks may go by until a part's head is complete. It bounds heads, and what stands before the first.
const HEAD_CHUNKS_MAX: usize = 4;

/// Why a form cannot be read.
#[derive(Debug)]
pub enum FormError {
    /// The body could not be read.
    Unreadable(io::Error),
    /// It is no form, is broken, ends early, or has too many parts: why.
    Broken(String),
}

impl From<Error> for FormError {
    fn from(error: Error) -> FormError {
        match error {
            Error::StreamReadFailed(cause) => match cause.downcast::<io::Error>() {
                Ok(error) => FormError::Unreadable(*error),
                Err(cause) => FormError::Broken(cause.to_string()),
            },
            error => FormError::Broken(error.to_string()),
        }
    }
}

/// What stands between the parts, from the body's `Content-Type`.
///
/// # Errors
/// `Broken`: it is another type, or names none.
pub fn boundary(content_type: &str) -> Result<String, FormError> {
    Ok(multer::parse_boundary(content_type)?)
}

/// The parts of a form, one after the other.
pub struct Parts<'r> {
    parser: Multipart<'r>,
    count: usize,
}

impl<'r> Parts<'r> {
    pub fn new(body: impl Read + Send + Unpin + 'r, boundary: &str) -> Parts<'r> {
        let chunks = Chunks {
            reader: body,
            pause: false,
        };
        Parts {
            parser: Multipart::new(chunks, boundary),
            count: 0,
        }
    }

    /// The next part; none after the last. The one before must have been dropped.
    ///
    /// # Errors
    /// As [`FormError`] says.
    pub fn next_part(&mut self) -> Result<Option<Part<'r>>, FormError> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..=HEAD_CHUNKS_MAX {
            if let Poll::Ready(part) = self.parser.poll_next_field(&mut context) {
                self.count += 1;
                return match part? {
                    Some(_) if self.count > PARTS_MAX => {
                        Err(FormError::Broken(format!("more than {PARTS_MAX} parts")))
                    }
                    part => Ok(part.map(Part)),
                };
            }
        }
        Err(FormError::Broken("a part's head is too long".to_owned()))
    }
}

/// One part of a form.
#[derive(Debug)]
pub struct Part<'r>(Field<'r>);

impl Part<'_> {
    /// Of the form's field; empty if there is none.
    pub fn name(&self) -> &str {
        self.0.name().unwrap_or_default()
    }

    /// The file name, if only an empty one; without one the part is a field. Old clients give it in RFC 5987's form
    /// only (`filename*=utf-8''%E2%82%AC.txt`).
    pub fn filename(&self) -> Option<String> {
        if let Some(filename) = self.0.file_name() {
            return Some(filename.to_owned());
        }
        let (_, extended) = self
            .header("content-disposition")?
            .split_once("filename*=")?;
        let (_, encoded) = extended.split(';').next()?.trim().split_once("''")?;
        Some(percent_decode_str(encoded).decode_utf8_lossy().into_owned())
    }

    /// As it was sent.
    pub fn content_type(&self) -> Option<&str> {
        self.header("content-type")
    }

    fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.0.headers().get(name)?.as_bytes()).ok()
    }

    /// The next bytes of the content; none at its end.
    ///
    /// # Errors
    /// As [`FormError`] says.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, FormError> {
        let mut context = Context::from_waker(Waker::noop());
        // Each turn takes a chunk of the body, and at its end the parser answers one way or the other.
        loop {
            if let Poll::Ready(chunk) = Pin::new(&mut self.0).poll_next(&mut context) {
                return Ok(chunk.transpose()?);
            }
        }
    }
}

/// A body in chunks, with a pause after each.
struct Chunks<R> {
    reader: R,
    pause: bool,
}

impl<R: Read + Unpin> Stream for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            return Poll::Pending;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        Poll::Ready(match self.reader.read(&mut chunk) {
            Ok(0) => None,
            Ok(read) => {
                self.pause = true;
                chunk.truncate(read);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        })
    }
}
