//! An answer, before the transport adds its own fields (`Date`, `Content-Length`, `Connection`, `X-Request-Id`).

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::Serialize;

/// Status, fields and body of an answer. Built by fronts, written by [`super::server`].
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Empty where the body comes in pieces.
    pub body: Cow<'static, [u8]>,
    pub(super) pieces: Option<Pieces>,
}

/// A body that is made while it is sent, so that it is nowhere whole unless it is short.
#[derive(Clone)]
pub(super) struct Pieces {
    /// Of all together.
    pub(super) bytes: u64,
    /// Makes a piece, numbered from 0 on; none past the last.
    pub(super) piece: Arc<MakePiece>,
}

type MakePiece = dyn Fn(u64) -> io::Result<Option<Vec<u8>>> + Send + Sync;

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Cow::Borrowed(b""),
            pieces: None,
        }
    }

    /// An answer whose body is `bytes` long in all and made piece by piece: `piece` is asked for number 0, 1 and so
    /// on until there is no more. A long body is made no faster than its client reads it. If a piece cannot be made,
    /// or they are more or fewer bytes, the client's connection is closed: the body's beginning may be under way.
    pub fn in_pieces(
        status: u16,
        bytes: u64,
        piece: impl Fn(u64) -> io::Result<Option<Vec<u8>>> + Send + Sync + 'static,
    ) -> Response {
        let piece = Arc::new(piece);
        Response {
            pieces: Some(Pieces { bytes, piece }),
            ..Response::empty(status)
        }
    }

    /// How long the body is.
    pub(super) fn body_bytes(&self) -> u64 {
        let pieces = self.pieces.as_ref().map_or(0, |pieces| pieces.bytes);
        self.body.len() as u64 + pieces
    }

    /// A body of `application/json` (no charset parameter: sentry-cli compares the whole type).
    pub fn json(status: u16, value: &impl Serialize) -> Response {
        let body = serde_json::to_vec(value).unwrap_or_else(|error| {
            // Only a map with keys that are no strings can fail; our wire structs have none.
            log::error!("an answer could not be written as JSON: {error}");
            b"null".to_vec()
        });
        Response::json_bytes(status, body)
    }

    /// A body that is JSON already.
    pub fn json_bytes(status: u16, body: impl Into<Cow<'static, [u8]>>) -> Response {
        Response::bytes(status, "application/json", body)
    }

    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response::bytes(status, "text/plain", body.into().into_bytes())
    }

    /// A body of any other type.
    pub fn bytes(
        status: u16,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        Response {
            status,
            headers: vec![("Content-Type", Cow::Borrowed(content_type))],
            body: body.into(),
            pieces: None,
        }
    }

    pub fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_ref())
    }
}
