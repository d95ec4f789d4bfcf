//! The envelope's grammar as Relay reads it, with the leniencies that the field needs (facts/ingestion.md
//! 4.1). Items borrow from the body.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refusal;
use crate::domain::event_id::EventId;

/// A parsed envelope.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) header: EnvelopeHeader,
    pub(super) items: Vec<Item<'a>>,
}

/// What of the first line matters here. A field of a wrong type or with a value that cannot be read is left
/// out: SDKs send such, and the items are worth more than the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvelopeHeader {
    pub(super) event_id: Option<EventId>,
    pub(super) dsn: Option<String>,
    pub(super) origin: Option<String>,
}

/// One item.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) header: ItemHeader<'a>,
    pub(super) payload: &'a [u8],
}

/// What of an item's header matters here.
#[derive(Debug)]
pub(super) struct ItemHeader<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) item_count: Option<u64>,
    pub(super) platform: Option<Cow<'a, str>>,
    pub(super) content_type: Option<Cow<'a, str>>,
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

impl<'a> Envelope<'a> {
    /// # Errors
    /// An empty body, or one of the grammar's faults.
    pub(super) fn parse(body: &'a [u8]) -> Result<Envelope<'a>, Refusal> {
        if body.is_empty() {
            return Err(Refusal::EmptyBody);
        }
        let (header, mut at) = EnvelopeHeader::parse_prefix(body)?;
        let mut items = Vec::new();
        while !is_blank(&body[at..]) {
            let (item, next) = parse_item(body, at)?;
            items.push(item);
            at = next;
        }
        Ok(Envelope { header, items })
    }
}

impl EnvelopeHeader {
    /// The header that `body` begins with, and where the first item begins.
    pub(super) fn parse_prefix(body: &[u8]) -> Result<(EnvelopeHeader, usize), EnvelopeError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            event_id: Option<&'a RawValue>,
            #[serde(borrow)]
            dsn: Option<&'a RawValue>,
            #[serde(borrow)]
            origin: Option<&'a RawValue>,
        }
        if is_blank(body) {
            return Err(EnvelopeError::MissingHeader);
        }
        let (wire, end) = parse_json::<Wire<'_>>(body, 0).map_err(EnvelopeError::InvalidHeader)?;
        let text = |value: Option<&RawValue>| value.and_then(lenient_str).map(Cow::into_owned);
        let header = EnvelopeHeader {
            event_id: text(wire.event_id).and_then(|id| EventId::parse(&id)),
            dsn: text(wire.dsn),
            origin: text(wire.origin),
        };
        Ok((header, after_newline(body, end)?))
    }
}

fn parse_item(body: &[u8], at: usize) -> Result<(Item<'_>, usize), EnvelopeError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        length: Option<u32>,
        #[serde(borrow)]
        item_count: Option<&'a RawValue>,
        #[serde(borrow)]
        platform: Option<&'a RawValue>,
        #[serde(borrow)]
        content_type: Option<&'a RawValue>,
    }
    let (wire, end) = parse_json::<Wire<'_>>(body, at).map_err(EnvelopeError::InvalidItemHeader)?;
    let start = after_newline(body, end)?;
    let rest = &body[start..];
    let (payload, next) = match wire.length {
        Some(length) => {
            let payload = rest
                .get(..length as usize)
                .ok_or(EnvelopeError::UnexpectedEnd)?;
            (payload, after_newline(body, start + payload.len())?)
        }
        None => {
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            (&rest[..length], body.len().min(start + length + 1))
        }
    };
    let header = ItemHeader {
        kind: wire.kind,
        item_count: wire
            .item_count
            .and_then(|value| serde_json::from_str(value.get()).ok()),
        platform: wire.platform.and_then(lenient_str),
        content_type: wire.content_type.and_then(lenient_str),
    };
    if header.kind == "integration" {
        return Err(EnvelopeError::InvalidItemHeader(
            "items of type integration are not taken from clients".to_owned(),
        ));
    }
    Ok((Item { header, payload }, next))
}

/// One JSON value, after white space (blank lines included), and where it ends.
fn parse_json<'a, T: Deserialize<'a>>(body: &'a [u8], at: usize) -> Result<(T, usize), String> {
    let mut values = serde_json::Deserializer::from_slice(&body[at..]).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok((value, at + values.byte_offset())),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("EOF while parsing a value".to_owned()),
    }
}

/// Where the next line begins: `end` must be a newline or the end.
fn after_newline(body: &[u8], end: usize) -> Result<usize, EnvelopeError> {
    match body.get(end) {
        None => Ok(end),
        Some(b'\n') => Ok(end + 1),
        Some(_) => Err(EnvelopeError::MissingNewline),
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// The text of a JSON string; none for any other value.
pub(super) fn lenient_str(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<(String, String)>, Vec<String>> {
        match Envelope::parse(body.as_bytes()) {
            Ok(envelope) => Ok(envelope
                .items
                .iter()
                .map(|item| {
                    let payload = String::from_utf8_lossy(item.payload).into_owned();
                    (item.header.kind.to_string(), payload)
                })
                .collect()),
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
            parse("{}\n{\"type\":\"a\",\"length\":3}\nx\ny\n{\"type\":\"b\"}\nz\n"),
            items(&[("a", "x\ny"), ("b", "z")])
        );
        assert_eq!(
            parse("{}\n{\"type\":\"a\",\"length\":null}\nx"),
            items(&[("a", "x")])
        );
    }

    #[test]
    fn the_last_newline_is_optional_everywhere() {
        assert_eq!(parse("{}"), items(&[]));
        assert_eq!(parse("{}\n"), items(&[]));
        assert_eq!(
            parse("{}\n{\"type\":\"a\",\"length\":0}"),
            items(&[("a", "")])
        );
        assert_eq!(
            parse("{}\n{\"type\":\"a\",\"length\":0}\n"),
            items(&[("a", "")])
        );
        assert_eq!(parse("{}\n{\"type\":\"a\"}"), items(&[("a", "")]));
    }

    #[test]
    fn blank_lines_stand_before_headers_and_at_the_end() {
        assert_eq!(
            parse("\n {}\n\n\n{\"type\":\"a\"}\nx\n\n \n"),
            items(&[("a", "x")])
        );
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
            first("{}\n{\"type\":\"a\",\"length\":4294967296}\nx"),
            "invalid item header"
        );
        assert_eq!(
            first("{}\r\n{\"type\":\"a\"}"),
            "missing newline after header or payload"
        );
        assert_eq!(
            first("{}\n{\"type\":\"a\",\"length\":1}\nxy"),
            "missing newline after header or payload"
        );
        assert_eq!(
            first("{}\n{\"type\":\"a\",\"length\":2}\nx"),
            "unexpected end of file"
        );
        assert_eq!(parse(""), Err(vec!["EmptyBody".to_owned()]));
    }

    #[test]
    fn odd_header_fields_are_left_out() {
        let body = br#"{"event_id":5,"dsn":null,"sent_at":"yesterday","trace":[]}"#;
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!(envelope.header, EnvelopeHeader::default());
    }
}
