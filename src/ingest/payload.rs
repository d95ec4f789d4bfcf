//! Reads JSON payloads without building a tree, and packs them for the file.

use std::borrow::Cow;
use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::lenient_str;
use super::{Refusal, decode, items};
use crate::domain::event_id::EventId;

/// zstd's fastest level with entropy coding: a 1 KB event shrinks to half in a few microseconds.
const LEVEL: i32 = 1;

/// What of an event matters before it is stored. Everything else stays unread in the payload.
#[derive(Debug, Deserialize)]
pub(super) struct EventFields<'a> {
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) user: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) request: Option<&'a RawValue>,
}

impl EventFields<'_> {
    /// The payload's own event id, if it can be read.
    pub(super) fn event_id(&self) -> Option<EventId> {
        EventId::parse(&lenient_str(self.event_id?)?)
    }

    /// Whether there is an event id that cannot be read.
    pub(super) fn has_bad_event_id(&self) -> bool {
        self.event_id.is_some_and(|raw| raw.get() != "null") && self.event_id().is_none()
    }

    /// The item type that an event on the store endpoint is of (facts/ingestion.md 1.3).
    pub(super) fn item_kind(&self) -> items::Kind {
        match self.kind.and_then(lenient_str).as_deref() {
            Some("transaction") => items::Kind::Transaction,
            Some("csp" | "hpkp" | "expectct" | "expectstaple") => items::Kind::Security,
            _ => items::Kind::Event,
        }
    }
}

/// Reads the fields of a JSON object; none if the payload is none.
pub(super) fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    // serde would fill a struct from an array as well.
    let first = payload.iter().find(|b| !b.is_ascii_whitespace())?;
    if *first != b'{' {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// A payload that is JSON: as it came, or with the tokens `NaN`, `Infinity` and `-Infinity` made null, which
/// Python SDKs write (facts/ingestion.md 1.3). None if that does not help.
pub(super) fn readable(payload: &[u8]) -> Option<Cow<'_, [u8]>> {
    if parse::<EventFields<'_>>(payload).is_some() {
        return Some(Cow::Borrowed(payload));
    }
    let repaired = without_bare_words(payload)?;
    parse::<EventFields<'_>>(&repaired)?;
    Some(Cow::Owned(repaired))
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
            Refusal::RequestTooLarge => Refusal::TooLarge("event"),
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
        let repaired = readable(payload).unwrap();
        assert_eq!(
            std::str::from_utf8(&repaired).unwrap(),
            r#"{"a":null,"b":[null,null],"c":"NaN \" Infinity"}"#
        );
        assert!(readable(br#"{"a":Nope}"#).is_none());
        assert!(readable(b"[1]").is_none());
    }

    #[test]
    fn a_good_payload_is_not_copied() {
        assert!(matches!(readable(b"{}"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn fields_of_odd_types_are_no_fault() {
        let fields: EventFields<'_> = parse(br#"{"event_id":5,"type":[],"user":"x"}"#).unwrap();
        assert!(fields.has_bad_event_id());
        assert_eq!(fields.item_kind(), items::Kind::Event);
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
