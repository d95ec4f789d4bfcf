//! The JSON of events as it comes: with faults, and on the store endpoint in odd encodings.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::items::Kind;
use super::json::{Map, Node};
use super::{Refusal, decode, items, repair};
use crate::domain::event_id::EventId;

/// Reads a payload that is one object. If it is no JSON as it came, it is repaired, into `spare`, and read again;
/// none if it is no object either way.
pub(super) fn object<'a>(payload: &'a [u8], spare: &'a mut Option<Vec<u8>>) -> Option<Map<'a>> {
    if let Some(map) = Map::parse(payload) {
        return Some(map);
    }
    *spare = repair::repaired(payload);
    Map::parse(spare.as_deref()?)
}

/// What kind of item an event of the store endpoint is, and its own id.
///
/// # Errors
/// No JSON object, or an event id that cannot be read (facts/ingestion.md 1.3).
pub(super) fn of_store_event(json: &[u8]) -> Result<(Kind, Option<EventId>), Refusal> {
    let mut spare = None;
    let event = object(json, &mut spare).ok_or_else(|| not_an_object(json))?;
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

/// Why a payload is no object, in the parser's words and of the payload as it came.
fn not_an_object(json: &[u8]) -> Refusal {
    Refusal::InvalidJson(match serde_json::from_slice::<Node<'_>>(json) {
        Ok(_) => "expected an object".to_owned(),
        Err(error) => error.to_string(),
    })
}

/// The JSON of a store request: plain, in base64, or zlib in base64 as old raven clients sent it
/// (facts/ingestion.md 1.3).
pub(super) fn of_store_body(body: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        None => return Err(Refusal::EmptyBody),
        // Nothing that base64 begins with: an object, a list, a byte order mark.
        Some(b'{' | b'[' | 0xef) => return Ok(Cow::Borrowed(body)),
        Some(_) => {}
    }
    let decoded = STANDARD
        .decode(body.trim_ascii())
        .map_err(|_| not_an_object(body))?;
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
    fn only_a_payload_that_is_no_json_is_repaired() {
        let mut spare = None;
        assert!(object(br#"{"a":"NaN"}"#, &mut spare).is_some());
        assert_eq!(spare, None);
        let event = object(br#"{"a":"\ud83d"}"#, &mut spare).unwrap();
        assert_eq!(event.str("a"), Some("\u{fffd}"));
        assert_eq!(object(b"[NaN]", &mut spare), None);
        assert_eq!(object(br#"{"a":NaN"#, &mut spare), None);
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
        assert_eq!(
            of("{\"event_id\":null,\"a\":\"\t\\ud83d\",\"b\":1e999}"),
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

    #[test]
    fn a_store_body_that_is_no_base64_is_refused_in_the_words_of_the_parser() {
        assert_eq!(
            of_store_body(b"\"x\""),
            Err(Refusal::InvalidJson("expected an object".to_owned()))
        );
        assert_eq!(
            of_store_body(b"nope!"),
            Err(Refusal::InvalidJson(
                "expected ident at line 1 column 2".to_owned()
            ))
        );
        for body in [b"[1]".as_slice(), b"\xef\xbb\xbf{}"] {
            assert_eq!(&*of_store_body(body).unwrap(), body);
        }
        assert_eq!(of_store_event(b"\xef\xbb\xbf{}"), Ok((Kind::Event, None)));
    }
}
