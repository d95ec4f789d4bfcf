//! An answer, before the transport adds its own fields (`Date`, `Content-Length`, `Connection`, `X-Request-Id`).

use std::borrow::Cow;

use serde::Serialize;

/// Status, fields and body of an answer. Built by fronts, written by [`super::server`].
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Cow::Borrowed(b""),
        }
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
        Response {
            status,
            headers: vec![("Content-Type", Cow::Borrowed("application/json"))],
            body: body.into(),
        }
    }

    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            headers: vec![("Content-Type", Cow::Borrowed("text/plain"))],
            body: Cow::Owned(body.into().into_bytes()),
        }
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
