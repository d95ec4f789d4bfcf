//! Reads JSON payloads without building a tree, and packs them for the file.

use std::borrow::Cow;
use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::fields::{self, fields};
use super::{Refusal, decode, items};
use crate::domain::event_id::EventId;

/// zstd's fastest level with entropy coding: a 1 KB event shrinks to half in a few microseconds.
const LEVEL: i32 = 1;

fields! {
    /// What of an event matters before it is stored. Everything else stays unread in the payload.
    struct EventFields {
        event_id: "event_id",
        kind: "type",
        user: "user",
        request: "request",
    }
}

/// An event whose JSON can be read.
#[derive(Debug)]
pub(super) struct Event<'a> {
    /// As it came, or with the tokens `NaN`, `Infinity` and `-Infinity` made null, which Python SDKs write
    /// (facts/ingestion.md 1.3).
    pub(super) payload: Cow<'a, [u8]>,
    /// The payload's own.
    pub(super) id: Option<EventId>,
    /// There is an event id, and it cannot be read.
    pub(super) has_bad_id: bool,
    /// The item type that an event on the store endpoint is of.
    pub(super) kind: items::Kind,
}

/// Reads an event; none if its payload is no JSON object.
pub(super) fn event(payload: &[u8]) -> Option<Event<'_>> {
    if let Some(fields) = parse(payload) {
        return Some(Event::of(&fields, Cow::Borrowed(payload)));
    }
    let repaired = without_bare_words(payload)?;
    let event = Event::of(&parse(&repaired)?, Cow::default());
    Some(Event {
        payload: Cow::Owned(repaired),
        ..event
    })
}

impl<'a> Event<'a> {
    fn of(fields: &EventFields<'_>, payload: Cow<'a, [u8]>) -> Event<'a> {
        let id_text = fields.event_id.and_then(fields::text);
        let id = id_text.and_then(|text| EventId::parse(&text));
        let has_id = fields.event_id.is_some_and(|raw| raw.get() != "null");
        let kind = match fields.kind.and_then(fields::text).as_deref() {
            Some("transaction") => items::Kind::Transaction,
            Some("csp" | "hpkp" | "expectct" | "expectstaple") => items::Kind::Security,
            _ => items::Kind::Event,
        };
        Event {
            id,
            has_bad_id: has_id && id.is_none(),
            kind,
            payload,
        }
    }
}

/// Reads the fields of a JSON object; none if the payload is none.
pub(super) fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

/// Replaces the bare words outside of strings; none if there is none.
fn without_bare_words(payload: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut repaired = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = payload.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if !in_string => {
                if let Some(word) = WORDS.iter().find(|word| payload[at..].starts_with(word)) {
                    repaired.extend_from_slice(&payload[copied..at]);
                    repaired.extend_from_slice(b"null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return None;
    }
    repaired.extend_from_slice(&payload[copied..]);
    Some(repaired)
}

/// The JSON of a store request: plain, in base64, or zlib in base64 as old raven clients sent it
/// (facts/ingestion.md 1.3).
pub(super) fn of_store_body(body: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        None => return Err(Refusal::EmptyBody),
        Some(b'{') => return Ok(Cow::Borrowed(body)),
        Some(_) => {}
    }
    let decoded = STANDARD
        .decode(body.trim_ascii())
        .map_err(|error| Refusal::InvalidJson(error.to_string()))?;
    if decoded.first() == Some(&b'{') {
        return Ok(Cow::Owned(decoded));
    }
    decode::inflate_zlib(&decoded, items::EVENT_BYTES_MAX as u64)
        .map(Cow::Owned)
        .map_err(|refusal| match refusal {
            Refusal::InvalidCompression(cause) => Refusal::InvalidJson(cause),
            other => other,
        })
}

/// Packs a payload for the file. Each worker keeps its compressor: setting one up costs more than using it.
pub(super) fn compress(payload: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
            const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        let mut packed = compressor.compress(payload)?;
        packed.shrink_to_fit();
        Ok(packed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_become_null_outside_of_strings() {
        let payload = br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \" Infinity"}"#;
        let repaired = event(payload).unwrap().payload;
        assert_eq!(
            std::str::from_utf8(&repaired).unwrap(),
            r#"{"a":null,"b":[null,null],"c":"NaN \" Infinity"}"#
        );
        assert!(event(br#"{"a":Nope}"#).is_none());
        assert!(event(b"[1]").is_none());
    }

    #[test]
    fn a_good_payload_is_not_copied() {
        assert!(matches!(event(b"{}").unwrap().payload, Cow::Borrowed(_)));
    }

    #[test]
    fn fields_of_odd_types_are_no_fault() {
        let event = event(br#"{"event_id":5,"type":[],"user":"x","user":{}}"#).unwrap();
        assert!(event.has_bad_id);
        assert_eq!(event.kind, items::Kind::Event);
    }

    #[test]
    fn a_store_body_may_be_base64_of_zlib() {
        use std::io::Write;
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"{\"message\":\"x\"}").unwrap();
        let body = STANDARD.encode(encoder.finish().unwrap());
        assert!(body.starts_with("eJ"));
        assert_eq!(
            &*of_store_body(body.as_bytes()).unwrap(),
            b"{\"message\":\"x\"}"
        );
        assert_eq!(&*of_store_body(b"e30=").unwrap(), b"{}");
        assert!(matches!(of_store_body(b"!"), Err(Refusal::InvalidJson(_))));
        assert_eq!(of_store_body(b" \n"), Err(Refusal::EmptyBody));
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let packed = compress(b"{\"a\":1}").unwrap();
        assert_eq!(zstd::bulk::decompress(&packed, 100).unwrap(), b"{\"a\":1}");
    }
}
