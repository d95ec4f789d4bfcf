//! A request as handlers see it: whole, de-chunked, with the peer's address already settled by the gate.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::FileExt;

use crate::domain::time::Timestamp;

/// The request methods that a route can name; anything else is kept by name so that a 405 can quote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other(String),
}

impl Method {
    pub fn parse(text: &str) -> Method {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            other => Method::Other(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other(name) => name,
        }
    }
}

/// Header fields in the order of arrival. Names compare without case; values that are not UTF-8 were
/// replaced character by character before they got here.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of `name`, if there is any.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// The request's body as it came over the wire (still in its `Content-Encoding`).
#[derive(Debug)]
pub enum Body {
    Memory(Vec<u8>),
    /// A large body that the gate spooled to an unlinked file; the position is at its start.
    File {
        file: File,
        bytes: u64,
    },
}

impl Body {
    pub fn empty() -> Body {
        Body::Memory(Vec::new())
    }

    pub fn len(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { bytes, .. } => *bytes,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most the first `bytes` of the body.
    ///
    /// # Errors
    /// Reading back a spooled body failed.
    pub fn beginning(&self, bytes: usize) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Body::Memory(all) => Ok(Cow::Borrowed(&all[..all.len().min(bytes)])),
            Body::File { file, bytes: len } => {
                let wanted = usize::try_from(*len).unwrap_or(bytes).min(bytes);
                let mut beginning = vec![0; wanted];
                file.read_exact_at(&mut beginning, 0)?;
                Ok(Cow::Owned(beginning))
            }
        }
    }

    /// The whole body in memory. Costs nothing for one that already is.
    ///
    /// # Errors
    /// Reading back a spooled body failed.
    pub fn into_vec(self) -> io::Result<Vec<u8>> {
        match self {
            Body::Memory(bytes) => Ok(bytes),
            Body::File { mut file, bytes } => {
                file.seek(SeekFrom::Start(0))?;
                let mut all = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
                file.read_to_end(&mut all)?;
                Ok(all)
            }
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// The path as sent, still percent-encoded, without the query.
    pub path: String,
    /// What stands after the first `?`, still encoded; empty when there is none.
    pub query: String,
    pub headers: Headers,
    pub body: Body,
    /// The client's address (design 3: the forwarded one only behind a trusted proxy).
    pub peer: IpAddr,
    /// When the head was complete; the one time that window, ledger, event and audit use.
    pub received: Timestamp,
    /// 32 hex digits, sent back as `X-Request-Id`.
    pub id: String,
}

impl Request {
    /// The first value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All values of a repeatable query parameter, decoded, in order.
    pub fn query_values(&self, name: &str) -> Vec<String> {
        self.query_pairs()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v)
            .collect()
    }

    /// All query parameters, decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned()
    }
}
