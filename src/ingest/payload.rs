//! The JSON of events as it comes: with tokens that are no JSON, and on the store endpoint in odd encodings.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::items::Kind;
use super::json::Node;
use super::{Refusal, decode, items};
use crate::domain::event_id::EventId;

/// What can be read of a payload: itself, or with the tokens `NaN`, `Infinity` and `-Infinity` made null, which
/// Python SDKs write (facts/ingestion.md 1.3). None if it is no JSON either way.
pub(super) fn readable(payload: &[u8]) -> Option<Cow<'_, [u8]>> {
    const WORDS: [&[u8]; 2] = [b"NaN", b"Infinity"];
    let may_need_repair = WORDS
        .iter()
        .any(|word| memchr::memmem::find(payload, word).is_some());
    if !may_need_repair || serde_json::from_slice::<IgnoredAny>(payload).is_ok() {
        return Some(Cow::Borrowed(payload));
    }
    without_bare_words(payload).map(Cow::Owned)
}

/// What kind of item an event of the store endpoint is, and its own id.
///
/// # Errors
/// No JSON object, or an event id that cannot be read (facts/ingestion.md 1.3).
pub(super) fn of_store_event(json: &[u8]) -> Result<(Kind, Option<EventId>), Refusal> {
    let repaired = readable(json);
    let event = match serde_json::from_slice(repaired.as_deref().unwrap_or(json)) {
        Ok(Node::Map(event)) => event,
        Ok(_) => return Err(Refusal::InvalidJson("expected an object".to_owned())),
        Err(error) => return Err(Refusal::InvalidJson(error.to_string())),
    };
    let id = event.str("event_id").and_then(EventId::parse);
    let has_id = event.get("event_id").is_some_and(|id| !id.is_null());
    if has_id && id.is_none() {
        return Err(Refusal::InvalidJson("invalid event_id".to_owned()));
    }
    let kind = match event.str("type") {
        Some("transaction") => Kind::Transaction,
        Some("csp" | "hpkp" | "expectct" | "expectstaple") => Kind::Security,
        _ => Kind::Event,
    };
    Ok((kind, id))
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
    decode::inflate_zlib(&decoded, items::EVENT_BYTES_MAX)
        .map(Cow::Owned)
        .map_err(|refusal| match refusal {
            Refusal::InvalidCompression(cause) => Refusal::InvalidJson(cause),
            other => other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_become_null_outside_of_strings() {
        let payload = br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \" Infinity"}"#;
        assert_eq!(
            std::str::from_utf8(&readable(payload).unwrap()).unwrap(),
            r#"{"a":null,"b":[null,null],"c":"NaN \" Infinity"}"#
        );
        assert!(readable(br#"{"a":"\\NaN"#).is_none());
    }

    #[test]
    fn a_good_payload_is_not_copied() {
        for payload in [b"{}".as_slice(), br#"{"a":"NaN"}"#] {
            assert!(matches!(readable(payload), Some(Cow::Borrowed(_))));
        }
    }

    #[test]
    fn an_event_of_the_store_endpoint_says_its_kind_and_id() {
        let of = |json: &str| of_store_event(json.as_bytes());
        let id = EventId([0x11; 16]);
        assert_eq!(
            of(&format!(r#"{{"event_id":"{id}","type":"transaction"}}"#)),
            Ok((Kind::Transaction, Some(id)))
        );
        assert_eq!(
            of(r#"{"event_id":null,"type":[],"a":NaN}"#),
            Ok((Kind::Event, None))
        );
        for bad in [
            r#"{"event_id":5}"#,
            r#"{"event_id":"x"}"#,
            "[1]",
            "{",
            r#"{"a":Nope}"#,
        ] {
            assert!(matches!(of(bad), Err(Refusal::InvalidJson(_))), "{bad}");
        }
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
}
