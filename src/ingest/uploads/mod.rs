//! Crash dumps and files that arrive as forms, read into the parcels that an envelope would have brought
//! (facts/ingestion.md 1.4, 1.9, 1.11). What becomes of the items is not decided here.
//!
//! However many files a form has and however large they are, what of them stays in memory is bounded: all files
//! of a form share one spool.

pub(super) mod multipart;

use std::io;

use super::Refusal;
use super::source::{Payload, SpoolDir};

/// Why an upload is refused; always with 400, the fault being the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No form, or a broken one; the parser's words.
    Multipart(String),
}

impl Fault {
    /// What the client is told.
    pub(super) fn detail(&self) -> &'static str {
        match self {
            Fault::Multipart(_) => "invalid multipart data",
        }
    }

    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Fault::Multipart(cause) => Some(cause),
        }
    }

    /// The reason in the ledger (facts/ingestion.md 7.2).
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Multipart(_) => "invalid_multipart",
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Upload(fault)
    }
}

/// For a part that could not be put aside: most often a full disk, which passes.
fn unspoolable(error: &io::Error) -> Refusal {
    log::warn!("a part of an upload cannot be spooled: {error}");
    Refusal::Unavailable {
        retry_after_secs: 30,
    }
}

/// The first bytes of a payload, at most `len`.
fn beginning(payload: &Payload<'_>, len: u64) -> Result<Vec<u8>, Refusal> {
    payload
        .slice(0, len)
        .bytes()
        .map(|bytes| bytes.into_owned())
        .map_err(|error| Refusal::unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::http::{Body, Headers, Method, Request};

    /// What the tests of all uploads start from: a place for spools and a request.
    pub(super) struct Sender {
        directory: tempfile::TempDir,
    }

    pub(super) const RECEIVED: Timestamp = Timestamp::from_secs(1_772_357_400);

    impl Sender {
        pub(super) fn new() -> Sender {
            Sender {
                directory: tempfile::tempdir().unwrap(),
            }
        }

        pub(super) fn spool(&self) -> SpoolDir {
            SpoolDir::new(self.directory.path())
        }
    }

    pub(super) fn request(content_type: &str) -> Request {
        let mut headers = Headers::default();
        headers.push("Content-Type", content_type);
        Request {
            method: Method::Post,
            path: String::new(),
            query: String::new(),
            headers,
            body: Body::empty(),
            peer: [127, 0, 0, 1].into(),
            received: RECEIVED,
            id: String::new(),
        }
    }

    pub(super) const FORM: &str = "multipart/form-data; boundary=edge";

    /// A form with the boundary `edge` of parts that are given as the rest of their disposition and their content.
    pub(super) fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            body.extend_from_slice(
                format!("--edge\r\nContent-Disposition: form-data; {disposition}\r\n\r\n")
                    .as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--edge--\r\n");
        body
    }

    #[test]
    fn a_beginning_is_at_most_what_there_is() {
        let payload = Payload::borrowed(b"MDMP\x93");
        assert_eq!(beginning(&payload, 4).unwrap(), b"MDMP");
        assert_eq!(beginning(&payload, 40).unwrap(), b"MDMP\x93");
    }
}
