//! Crash dumps and files that arrive as forms, read into the parcels that an envelope would have brought
//! (facts/ingestion.md 1.4, 1.9, 1.11). What becomes of the items is not decided here.
//!
//! However many files a form has and however large they are, what of them stays in memory is bounded: all files
//! of a form share one spool.

pub(super) mod attachments;
mod attributes;
mod container;
pub(super) mod crash;
pub(super) mod minidump;
mod multipart;
pub(super) mod playstation;

use std::io;

use super::Refusal;
use super::items::Kind;
use super::parcel::{Item, ItemHeader};
use super::source::Payload;
use multipart::{File, Form};

/// What an upload may grow to beyond the size of its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of a dump that came compressed.
    pub(super) attachment_bytes_max: u64,
}

/// Why an upload is refused; always with 400, the fault being the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No form, or a broken one; the parser's words.
    Multipart(String),
    MissingMinidump,
    InvalidMinidump,
    /// A compressed dump that cannot be unfolded.
    InvalidContainer,
    MissingProsperodump,
    InvalidProsperodump,
    /// The path names no event.
    EventId,
}

impl Fault {
    /// What the client is told.
    pub(super) fn detail(&self) -> &'static str {
        match self {
            Fault::Multipart(_) => "invalid multipart data",
            Fault::MissingMinidump => "missing minidump",
            Fault::InvalidMinidump => "invalid minidump",
            Fault::InvalidContainer => "invalid compression container",
            Fault::MissingProsperodump => "missing prosperodump",
            Fault::InvalidProsperodump => "invalid prosperodump",
            Fault::EventId => "bad event id path parameter",
        }
    }

    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Fault::Multipart(cause) => Some(cause),
            _ => None,
        }
    }

    /// The reason in the ledger (facts/ingestion.md 7.2).
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Multipart(_) => "invalid_multipart",
            Fault::MissingMinidump => "missing_minidump_upload",
            Fault::InvalidMinidump => "invalid_minidump",
            Fault::InvalidContainer => "invalid_compression",
            Fault::MissingProsperodump => "missing_prosperodump_upload",
            Fault::InvalidProsperodump => "invalid_prosperodump",
            Fault::EventId => "invalid_event_id",
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Upload(fault)
    }
}

impl Form {
    /// Takes the first file of a field out of the form.
    fn take(&mut self, name: &str) -> Option<File> {
        let at = self.files.iter().position(|file| file.name == name)?;
        Some(self.files.remove(at))
    }
}

/// A file as an attachment; without a type of its own it is a plain one.
fn attachment(file: File, attachment_type: Option<&'static str>) -> Item<'static> {
    Item {
        kind: Kind::Attachment,
        header: ItemHeader {
            filename: Some(file.filename)
                .filter(|name| !name.is_empty())
                .map(Into::into),
            content_type: file.content_type.map(Into::into),
            attachment_type: attachment_type.map(Into::into),
            ..ItemHeader::default()
        },
        payload: file.content,
        invalid: None,
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
    use std::io::Write;

    use super::super::source::SpoolDir;
    use super::container::Container;
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

    /// The header of a minidump that was written at a time, and nothing else.
    pub(super) fn minidump_of(secs: u32) -> Vec<u8> {
        let mut dump = b"MDMP\x93\xa7".to_vec();
        dump.resize(20, 0);
        dump.extend_from_slice(&secs.to_le_bytes());
        dump.extend_from_slice(&[0; 8]);
        dump
    }

    pub(super) fn minidump() -> Vec<u8> {
        minidump_of(u32::try_from(RECEIVED.secs()).unwrap())
    }

    pub(super) fn packed(container: Container, content: &[u8]) -> Vec<u8> {
        let packed = Vec::new();
        match container {
            Container::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Container::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(1);
                let mut encoder = lzma_rust2::XzWriter::new(packed, options).unwrap();
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Container::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(packed, bzip2::Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Container::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(packed, 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn each_fault_has_its_answer_and_its_reason() {
        for (fault, body, reason) in [
            (
                Fault::Multipart("why".to_owned()),
                r#"{"detail":"invalid multipart data","causes":["why"]}"#,
                "invalid_multipart",
            ),
            (
                Fault::MissingMinidump,
                r#"{"detail":"missing minidump"}"#,
                "missing_minidump_upload",
            ),
            (
                Fault::InvalidMinidump,
                r#"{"detail":"invalid minidump"}"#,
                "invalid_minidump",
            ),
            (
                Fault::InvalidContainer,
                r#"{"detail":"invalid compression container"}"#,
                "invalid_compression",
            ),
            (
                Fault::EventId,
                r#"{"detail":"bad event id path parameter"}"#,
                "invalid_event_id",
            ),
        ] {
            let refusal = Refusal::from(fault);
            let answer = refusal.answer();
            let text = String::from_utf8_lossy(&answer.body);
            assert_eq!((answer.status, &*text), (400, body));
            assert_eq!(refusal.reason(), reason);
        }
    }

    #[test]
    fn a_beginning_is_at_most_what_there_is() {
        let payload = Payload::borrowed(b"MDMP\x93");
        assert_eq!(beginning(&payload, 4).unwrap(), b"MDMP");
        assert_eq!(beginning(&payload, 40).unwrap(), b"MDMP\x93");
    }
}
