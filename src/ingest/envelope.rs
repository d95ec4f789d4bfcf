//! The envelope's grammar as Relay reads it, with the leniencies that the field needs (facts/ingestion.md
//! 4.1). Items borrow from the body and are handed on one by one, so that a million of them cost no memory.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::Refusal;
use super::fields::{self, fields};
use crate::domain::event_id::EventId;

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
    /// The type's name, known or not.
    pub(super) kind: Cow<'a, str>,
    pub(super) item_count: Option<u64>,
    pub(super) platform: Option<Cow<'a, str>>,
    pub(super) content_type: Option<Cow<'a, str>>,
    pub(super) payload: &'a [u8],
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

/// Reads an envelope, gives each item to `take` in order, and returns the header.
///
/// # Errors
/// An empty body, or one of the grammar's faults; items before a fault were given already.
pub(super) fn parse<'a>(
    body: &'a [u8],
    take: &mut dyn FnMut(Item<'a>),
) -> Result<EnvelopeHeader, Refusal> {
    if body.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    let (header, mut at) = parse_header(body)?;
    while !is_blank(&body[at..]) {
        let (item, next) = parse_item(body, at)?;
        take(item);
        at = next;
    }
    Ok(header)
}

/// The header that `body` begins with, and where the first item begins.
pub(super) fn parse_header(body: &[u8]) -> Result<(EnvelopeHeader, usize), EnvelopeError> {
    fields! {
        struct Wire {
            event_id: "event_id",
            dsn: "dsn",
            origin: "origin",
        }
    }
    if is_blank(body) {
        return Err(EnvelopeError::MissingHeader);
    }
    let (wire, end) = parse_json::<Wire<'_>>(body, 0).map_err(EnvelopeError::InvalidHeader)?;
    let header = EnvelopeHeader {
        event_id: wire
            .event_id
            .and_then(fields::text)
            .and_then(|id| EventId::parse(&id)),
        dsn: wire.dsn.and_then(fields::text).map(Cow::into_owned),
        origin: wire.origin.and_then(fields::text).map(Cow::into_owned),
    };
    Ok((header, after_newline(body, end)?))
}

fn parse_item(body: &[u8], at: usize) -> Result<(Item<'_>, usize), EnvelopeError> {
    fields! {
        struct Wire {
            kind: "type",
            length: "length",
            item_count: "item_count",
            platform: "platform",
            content_type: "content_type",
        }
    }
    let invalid = |cause: &str| EnvelopeError::InvalidItemHeader(cause.to_owned());
    let (wire, end) = parse_json::<Wire<'_>>(body, at).map_err(EnvelopeError::InvalidItemHeader)?;
    let kind = wire
        .kind
        .and_then(fields::text)
        .ok_or_else(|| invalid("missing field `type`"))?;
    if kind == "integration" {
        return Err(invalid(
            "items of type integration are not taken from clients",
        ));
    }
    let length = match wire.length.filter(|raw| raw.get() != "null") {
        None => None,
        Some(raw) => Some(
            fields::number(raw)
                .and_then(|length| u32::try_from(length).ok())
                .ok_or_else(|| invalid("invalid value for `length`"))?,
        ),
    };
    let start = after_newline(body, end)?;
    let rest = &body[start..];
    let (payload, next) = match length {
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
    let item = Item {
        kind,
        item_count: wire.item_count.and_then(fields::number),
        platform: wire.platform.and_then(fields::text),
        content_type: wire.content_type.and_then(fields::text),
        payload,
    };
    Ok((item, next))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<(String, String)>, Vec<String>> {
        let mut items = Vec::new();
        let parsed = super::parse(body.as_bytes(), &mut |item| {
            let payload = String::from_utf8_lossy(item.payload).into_owned();
            items.push((item.kind.to_string(), payload));
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
        let (header, _) = parse_header(body).unwrap();
        assert_eq!(header, EnvelopeHeader::default());
    }
}
