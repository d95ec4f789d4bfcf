//! The envelope's grammar as Relay reads it, with the leniencies that the field needs (facts/ingestion.md
//! 4.1). Items share the body's bytes and are handed on one by one, so that a million of them cost no memory,
//! and a body in a file is never in memory whole.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refusal;
use super::fields::{self, fields};
use super::items::Kind;
use super::news::Sdk;
use super::parcel::{Item, ItemHeader};
use super::source::Payload;
use crate::domain::event_id::EventId;
use crate::domain::time::Timestamp;

/// What of the first line matters here. A field of a wrong type or with a value that cannot be read is left
/// out: SDKs send such, and the items are worth more than the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvelopeHeader {
    pub(super) event_id: Option<EventId>,
    pub(super) dsn: Option<String>,
    pub(super) origin: Option<String>,
    /// When it was sent, by the SDK's own clock.
    pub(super) sent: Option<Timestamp>,
    /// Who made it.
    pub(super) sdk: Sdk,
}

/// A fault that makes the whole envelope a 400. The text is Relay's, the parser's words follow as a cause.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EnvelopeError {
    MissingHeader,
    InvalidHeader(String),
    InvalidItemHeader(String),
    MissingNewline,
    UnexpectedEnd,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EnvelopeError::MissingHeader => "missing envelope header",
            EnvelopeError::InvalidHeader(_) => "invalid envelope header",
            EnvelopeError::InvalidItemHeader(_) => "invalid item header",
            EnvelopeError::MissingNewline => "missing newline after header or payload",
            EnvelopeError::UnexpectedEnd => "unexpected end of file",
        })
    }
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Refusal {
        let mut causes = vec![error.to_string()];
        if let EnvelopeError::InvalidHeader(cause) | EnvelopeError::InvalidItemHeader(cause) = error
        {
            causes.push(cause);
        }
        Refusal::InvalidEnvelope(causes)
    }
}

/// Reads an envelope, gives each item of a known type to `take` in order, and returns the header.
///
/// # Errors
/// An empty body, or one of the grammar's faults; items before a fault were given already.
pub(super) fn parse<'a>(
    body: &'a Payload<'_>,
    take: &mut dyn FnMut(Item<'a>),
) -> Result<EnvelopeHeader, Refusal> {
    if body.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    let mut text = Text::new(body);
    let Some(start) = text.skip_blank(0)? else {
        return Err(EnvelopeError::MissingHeader.into());
    };
    let (header, end) = text.json(start, header_of, EnvelopeError::InvalidHeader)?;
    let mut at = text.after_newline(end)?;
    while let Some(start) = text.skip_blank(at)? {
        let (head, end) = text.json(start, head_of, EnvelopeError::InvalidItemHeader)?;
        let head = head.map_err(EnvelopeError::InvalidItemHeader)?;
        let start = text.after_newline(end)?;
        let (len, next) = match head.length {
            Some(len) => {
                let len = u64::from(len);
                if len > body.len() - start {
                    return Err(EnvelopeError::UnexpectedEnd.into());
                }
                (len, text.after_newline(start + len)?)
            }
            None => {
                let end = text.line_end(start)?;
                (end - start, body.len().min(end + 1))
            }
        };
        if let Some(kind) = head.kind {
            take(Item {
                kind,
                header: head.header,
                payload: body.slice(start, len),
                invalid: None,
            });
        }
        at = next;
    }
    Ok(header)
}

/// The header of a body of which only the beginning is there.
pub(super) fn parse_header(beginning: &[u8]) -> Result<EnvelopeHeader, EnvelopeError> {
    let beginning = beginning.trim_ascii_start();
    if beginning.is_empty() {
        return Err(EnvelopeError::MissingHeader);
    }
    match header_of(beginning) {
        Ok((header, end)) if beginning.get(end).is_none_or(|byte| *byte == b'\n') => Ok(header),
        Ok(_) => Err(EnvelopeError::MissingNewline),
        Err(error) => Err(EnvelopeError::InvalidHeader(error.to_string())),
    }
}

/// An item's header, and how long the payload is if it says so.
struct Head {
    /// None for a type that nobody knows.
    kind: Option<Kind>,
    length: Option<u32>,
    header: ItemHeader<'static>,
}

fn header_of(text: &[u8]) -> serde_json::Result<(EnvelopeHeader, usize)> {
    fields! {
        struct Wire {
            event_id: "event_id",
            dsn: "dsn",
            origin: "origin",
            sent_at: "sent_at",
            sdk: "sdk",
        }
    }
    let (wire, end) = first_json::<Wire<'_>>(text)?;
    let header = EnvelopeHeader {
        event_id: wire
            .event_id
            .and_then(fields::text)
            .and_then(|id| EventId::parse(&id)),
        dsn: wire.dsn.and_then(fields::text).map(Cow::into_owned),
        origin: wire.origin.and_then(fields::text).map(Cow::into_owned),
        sent: wire
            .sent_at
            .and_then(fields::text)
            .and_then(|text| Timestamp::parse_rfc3339(&text)),
        sdk: wire.sdk.map_or(Sdk::NONE, sdk_of),
    };
    Ok((header, end))
}

fn sdk_of(raw: &RawValue) -> Sdk {
    fields! {
        struct Wire {
            name: "name",
            version: "version",
        }
    }
    let wire = serde_json::from_str::<Wire<'_>>(raw.get()).unwrap_or_default();
    let name = wire.name.and_then(fields::text).unwrap_or_default();
    let version = wire.version.and_then(fields::text).unwrap_or_default();
    Sdk::of(&name, &version)
}

/// The inner error is for a header that is JSON and says something impossible.
fn head_of(text: &[u8]) -> serde_json::Result<(Result<Head, String>, usize)> {
    fields! {
        struct Wire {
            kind: "type",
            length: "length",
            item_count: "item_count",
            platform: "platform",
            content_type: "content_type",
            filename: "filename",
            attachment_type: "attachment_type",
            meta_length: "meta_length",
        }
    }
    let (wire, end) = first_json::<Wire<'_>>(text)?;
    let owned = |raw: Option<&RawValue>| {
        raw.and_then(fields::text)
            .map(|text| Cow::Owned(text.into_owned()))
    };
    let head = || {
        let kind = wire
            .kind
            .and_then(fields::text)
            .ok_or_else(|| "missing field `type`".to_owned())?;
        if kind == "integration" {
            return Err("items of type integration are not taken from clients".to_owned());
        }
        let length = match wire.length.filter(|raw| raw.get() != "null") {
            None => None,
            Some(raw) => Some(
                fields::number(raw)
                    .and_then(|length| u32::try_from(length).ok())
                    .ok_or_else(|| "invalid value for `length`".to_owned())?,
            ),
        };
        Ok(Head {
            kind: Kind::parse(&kind),
            length,
            header: ItemHeader {
                item_count: wire.item_count.and_then(fields::number),
                platform: owned(wire.platform),
                content_type: owned(wire.content_type),
                filename: owned(wire.filename),
                attachment_type: owned(wire.attachment_type),
                meta_length: wire.meta_length.and_then(fields::number),
            },
        })
    };
    Ok((head(), end))
}

/// One JSON value, after white space (blank lines included), and where it ends.
fn first_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    match values.next() {
        Some(value) => Ok((value?, values.byte_offset())),
        None => Err(serde::de::Error::custom("EOF while parsing a value")),
    }
}

/// A body that is read from front to back, through a window if it lies in a file.
struct Text<'b> {
    body: &'b Payload<'b>,
    window: Vec<u8>,
    window_at: u64,
}

/// Of a body in a file, so much is in memory at a time.
pub(super) const WINDOW_BYTES: usize = 256 << 10;
/// What is looked at of a header at first, and the most that one may have in a file.
const HEADER_BYTES: usize = 16 << 10;
const HEADER_BYTES_MAX: usize = 1 << 20;

impl<'b> Text<'b> {
    fn new(body: &'b Payload<'_>) -> Text<'b> {
        Text {
            body,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The bytes from `at` on: `wanted` of them or more, unless the end is nearer.
    fn from(&mut self, at: u64, wanted: usize) -> Result<&[u8], Refusal> {
        match self.body {
            Payload::Memory(bytes) => Ok(&bytes[usize::try_from(at).unwrap_or(bytes.len())..]),
            Payload::Spooled(spooled) => {
                let end = (at + wanted as u64).min(spooled.len);
                let window_end = self.window_at + self.window.len() as u64;
                if at < self.window_at || end > window_end {
                    let len = (spooled.len - at).min(wanted.max(WINDOW_BYTES) as u64);
                    self.window.resize(usize::try_from(len).unwrap_or(0), 0);
                    spooled
                        .file
                        .read_exact_at(&mut self.window, spooled.offset + at)
                        .map_err(|error: io::Error| Refusal::unreadable(&error))?;
                    self.window_at = at;
                }
                Ok(&self.window[usize::try_from(at - self.window_at).unwrap_or(0)..])
            }
        }
    }

    /// What `read` makes of the JSON that begins at `at`, and where that ends.
    fn json<T>(
        &mut self,
        at: u64,
        read: impl Fn(&[u8]) -> serde_json::Result<(T, usize)>,
        fault: fn(String) -> EnvelopeError,
    ) -> Result<(T, u64), Refusal> {
        let mut wanted = HEADER_BYTES;
        loop {
            let all = self.body.len() - at;
            let text = self.from(at, wanted)?;
            match read(text) {
                Ok((value, end)) => return Ok((value, at + end as u64)),
                // More of it may be beyond the window.
                Err(error) if error.is_eof() && (text.len() as u64) < all => {
                    if wanted >= HEADER_BYTES_MAX {
                        return Err(fault("the header is too long".to_owned()).into());
                    }
                    wanted = HEADER_BYTES_MAX.min(text.len() * 4);
                }
                Err(error) => return Err(fault(error.to_string()).into()),
            }
        }
    }

    /// Where something else than white space comes next; none if nothing does.
    fn skip_blank(&mut self, mut at: u64) -> Result<Option<u64>, Refusal> {
        while at < self.body.len() {
            let text = self.from(at, 1)?;
            match text.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(found) => return Ok(Some(at + found as u64)),
                None => at += text.len() as u64,
            }
        }
        Ok(None)
    }

    /// Where the line from `at` on ends.
    fn line_end(&mut self, mut at: u64) -> Result<u64, Refusal> {
        while at < self.body.len() {
            let text = self.from(at, 1)?;
            match memchr::memchr(b'\n', text) {
                Some(found) => return Ok(at + found as u64),
                None => at += text.len() as u64,
            }
        }
        Ok(at)
    }

    /// Where the next line begins: `end` must be a newline or the end.
    fn after_newline(&mut self, end: u64) -> Result<u64, Refusal> {
        if end >= self.body.len() {
            return Ok(end);
        }
        match self.from(end, 1)?.first() {
            Some(b'\n') => Ok(end + 1),
            _ => Err(EnvelopeError::MissingNewline.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::Spooled;
    use super::*;

    /// Kind and text of each item, read from memory and from a file alike.
    fn parse(body: &str) -> Result<Vec<(String, String)>, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        std::fs::write(&path, format!("before{body}behind")).unwrap();
        let spooled = Payload::Spooled(Spooled {
            file: Arc::new(std::fs::File::open(path).unwrap()),
            offset: 6,
            len: body.len() as u64,
        });
        let in_memory = parse_payload(&Payload::borrowed(body.as_bytes()));
        assert_eq!(in_memory, parse_payload(&spooled), "{body:?}");
        in_memory
    }

    fn parse_payload(body: &Payload<'_>) -> Result<Vec<(String, String)>, Vec<String>> {
        let mut items = Vec::new();
        let parsed = super::parse(body, &mut |item| {
            let payload = item.payload.bytes().unwrap().into_owned();
            items.push((
                format!("{:?}", item.kind),
                String::from_utf8(payload).unwrap(),
            ));
        });
        match parsed {
            Ok(_) => Ok(items),
            Err(Refusal::InvalidEnvelope(causes)) => Err(causes),
            Err(other) => Err(vec![format!("{other:?}")]),
        }
    }

    fn items(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, Vec<String>> {
        let owned = |(kind, payload): &(&str, &str)| ((*kind).to_owned(), (*payload).to_owned());
        Ok(pairs.iter().map(owned).collect())
    }

    #[test]
    fn a_length_may_span_lines_and_its_absence_ends_at_the_line() {
        assert_eq!(
            parse("{}\n{\"type\":\"log\",\"length\":3}\nx\ny\n{\"type\":\"span\"}\nz\n"),
            items(&[("Log", "x\ny"), ("Span", "z")])
        );
        assert_eq!(
            parse("{}\n{\"type\":\"log\",\"length\":null}\nx"),
            items(&[("Log", "x")])
        );
    }

    #[test]
    fn the_last_newline_is_optional_everywhere() {
        assert_eq!(parse("{}"), items(&[]));
        assert_eq!(parse("{}\n"), items(&[]));
        assert_eq!(
            parse("{}\n{\"type\":\"log\",\"length\":0}"),
            items(&[("Log", "")])
        );
        assert_eq!(
            parse("{}\n{\"type\":\"log\",\"length\":0}\n"),
            items(&[("Log", "")])
        );
        assert_eq!(parse("{}\n{\"type\":\"log\"}"), items(&[("Log", "")]));
    }

    #[test]
    fn blank_lines_stand_before_headers_and_at_the_end() {
        assert_eq!(
            parse("\n {}\n\n\n{\"type\":\"log\"}\nx\n\n \n"),
            items(&[("Log", "x")])
        );
    }

    #[test]
    fn any_white_space_may_stand_before_the_first_header() {
        for blank in ["\n".repeat(WINDOW_BYTES + 1), "\u{c} \n".to_owned()] {
            let body = format!("{blank}{{}}\n{{\"type\":\"log\"}}\nx");
            assert_eq!(parse(&body), items(&[("Log", "x")]));
            assert!(parse_header(body.as_bytes()).is_ok());
        }
    }

    #[test]
    fn each_fault_has_its_text() {
        let first = |body: &str| parse(body).unwrap_err()[0].clone();
        assert_eq!(first(" \n"), "missing envelope header");
        assert_eq!(first("nonsense"), "invalid envelope header");
        assert_eq!(first("[]"), "invalid envelope header");
        assert_eq!(first("{}\nnonsense"), "invalid item header");
        assert_eq!(first("{}\n{\"length\":1}\nx"), "invalid item header");
        assert_eq!(
            first("{}\n{\"type\":\"log\",\"length\":4294967296}\nx"),
            "invalid item header"
        );
        assert_eq!(
            first("{}\r\n{\"type\":\"log\"}"),
            "missing newline after header or payload"
        );
        assert_eq!(
            first("{}\n{\"type\":\"log\",\"length\":1}\nxy"),
            "missing newline after header or payload"
        );
        assert_eq!(
            first("{}\n{\"type\":\"log\",\"length\":2}\nx"),
            "unexpected end of file"
        );
        assert_eq!(parse(""), Err(vec!["EmptyBody".to_owned()]));
    }

    #[test]
    fn odd_header_fields_are_left_out() {
        let body = br#"{"event_id":5,"dsn":null,"sent_at":"yesterday","trace":[]}"#;
        let header = parse_header(body).unwrap();
        assert_eq!(header, EnvelopeHeader::default());
    }

    #[test]
    fn unknown_types_are_skipped_with_their_payload() {
        assert_eq!(
            parse("{}\n{\"type\":\"new\",\"length\":2}\n{}\n{\"type\":\"log\"}\nx"),
            items(&[("Log", "x")])
        );
    }

    #[test]
    fn headers_and_payloads_longer_than_a_window_are_read_from_a_file() {
        let long = "x".repeat(WINDOW_BYTES * 2);
        let body = format!(
            "{{\"a\":\"{long}\"}}\n{{\"type\":\"log\",\"b\":\"{long}\"}}\n{long}\n{{\"type\":\"span\",\"length\":{}}}\n{long}\n",
            long.len()
        );
        assert_eq!(parse(&body), items(&[("Log", &long), ("Span", &long)]));
    }
}
