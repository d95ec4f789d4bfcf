//! What comes in by other ways than an envelope or a form: each file turns the body of one endpoint into parcels.
//!
//! A converter gets a body that is decoded, in memory and bounded, and returns the items that an envelope with
//! the same content would have held, so that nothing downstream knows where they came from. It stores nothing
//! and counts nothing. What of a body cannot be understood on its own becomes an item that says so
//! ([`Item::invalid`]); a body that cannot be read at all is a [`Refusal`].
//!
//! A small body must not become large items: whatever multiplies what was sent is counted while it is written
//! ([`Container`]), and no tree is built of more than one entry of a list at a time.

pub(super) mod cron;
pub(super) mod heroku;
pub(super) mod nel;
pub(super) mod otlp;
pub(super) mod security;
pub(super) mod unreal;
pub(super) mod vercel;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::Refusal;
use super::items::Kind;
use super::json::{Map, Node};
use super::parcel::{Item, Parcel};
use super::source::Payload;
use crate::http::Request;

/// What a container may have (facts/ingestion.md 4.4).
const CONTAINER_BYTES_MAX: usize = 12 << 20;

/// What one log may have (facts/ingestion.md 4.4). Above it the tree of an entry would cost too much.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The media type of the body, in lower case and without parameters; empty if none is named.
fn media_type(request: &Request) -> String {
    let value = request.headers.get("content-type").unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// # Errors
/// The body's media type is none of `known`.
fn expect_media_type(request: &Request, known: &[&str]) -> Result<(), Refusal> {
    if known.contains(&&*media_type(request)) {
        Ok(())
    } else {
        Err(Refusal::UnsupportedContentType)
    }
}

fn invalid_json(error: &serde_json::Error) -> Refusal {
    Refusal::InvalidJson(error.to_string())
}

/// The body as text.
///
/// # Errors
/// It is not UTF-8, and so not JSON.
fn json_text(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|error| Refusal::InvalidJson(error.to_string()))
}

/// Hands out the entries of a JSON list one after the other; anything but a list counts as a list of itself.
///
/// # Errors
/// The text is no JSON, or `each` refused an entry.
fn each_entry<'a>(
    json: &'a str,
    mut each: impl FnMut(&'a str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !json.trim_ascii_start().starts_with('[') {
        let entry: &RawValue = serde_json::from_str(json).map_err(|e| invalid_json(&e))?;
        return each(entry.get());
    }
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Entries {
        each: &mut each,
        refusal: &mut refusal,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end());
    match (refusal, read) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(invalid_json(&error)),
        (None, Ok(())) => Ok(()),
    }
}

/// Reads a list without keeping its entries.
struct Entries<'f, F> {
    each: &'f mut F,
    refusal: &'f mut Option<Refusal>,
}

impl<'de, F: FnMut(&'de str) -> Result<(), Refusal>> DeserializeSeed<'de> for Entries<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de str) -> Result<(), Refusal>> Visitor<'de> for Entries<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<&'de RawValue>()? {
            if let Err(refusal) = (self.each)(entry.get()) {
                *self.refusal = Some(refusal);
                return Err(A::Error::custom("an entry is refused"));
            }
        }
        Ok(())
    }
}

/// The item that holds the entries of one request (facts/ingestion.md 4.5), written as they come.
struct Container {
    kind: Kind,
    content_type: &'static str,
    /// The name of the kind's limit.
    group: &'static str,
    /// Why the ledger calls the entries invalid, if they are.
    invalid: Option<&'static str>,
    payload: Vec<u8>,
    count: u64,
}

impl Container {
    fn logs() -> Container {
        Container {
            kind: Kind::Log,
            content_type: "application/vnd.sentry.items.log+json",
            group: "log",
            invalid: None,
            payload: Vec::new(),
            count: 0,
        }
    }

    fn spans() -> Container {
        Container {
            kind: Kind::Span,
            content_type: "application/vnd.sentry.items.span.v2+json",
            group: "span",
            ..Container::logs()
        }
    }

    /// A container of the same kind for what is counted and not kept.
    fn invalid(self, reason: &'static str) -> Container {
        Container {
            invalid: Some(reason),
            ..self
        }
    }

    /// # Errors
    /// The container is full.
    fn push(&mut self, entry: &impl Serialize) -> Result<(), Refusal> {
        self.payload.extend_from_slice(match self.count {
            0 => b"{\"items\":[",
            _ => b",",
        });
        // Neither texts nor numbers of a tree can fail to be written.
        let _ = serde_json::to_writer(&mut self.payload, entry);
        self.count += 1;
        if self.payload.len() > CONTAINER_BYTES_MAX {
            return Err(Refusal::TooLarge(self.group));
        }
        Ok(())
    }

    /// None if nothing was put in.
    fn finish(mut self) -> Option<Item<'static>> {
        if self.count == 0 {
            return None;
        }
        self.payload.extend_from_slice(b"]}");
        let mut item = Item::new(self.kind, Payload::owned(self.payload));
        item.header.item_count = Some(self.count);
        item.header.content_type = Some(Cow::Borrowed(self.content_type));
        item.invalid = self.invalid;
        Some(item)
    }
}

/// One parcel with what the containers hold; none if they hold nothing.
fn parcel_of(containers: impl IntoIterator<Item = Container>) -> Vec<Parcel<'static>> {
    let items: Vec<_> = containers
        .into_iter()
        .filter_map(Container::finish)
        .collect();
    if items.is_empty() {
        return Vec::new();
    }
    vec![Parcel {
        items,
        ..Parcel::default()
    }]
}

/// An attribute of a log or a span as their containers spell it: `{"type": ..., "value": ...}`. Lists and
/// objects, for which there is no type, become JSON text; null has no attribute.
fn attribute(value: &Node<'_>) -> Option<Node<'static>> {
    let (kind, value) = match value {
        Node::Null => return None,
        Node::Bool(value) => ("boolean", Node::Bool(*value)),
        Node::Number(number) if number.is_f64() => ("double", Node::Number(number.clone())),
        Node::Number(number) => ("integer", Node::Number(number.clone())),
        Node::Text(_) => ("string", value.to_owned()),
        Node::List(_) | Node::Map(_) => ("string", Node::text(value.to_json())),
    };
    Some(object([("type", Node::text(kind)), ("value", value)]))
}

/// An object of a few known keys, without those whose value is null.
fn object<const N: usize>(entries: [(&'static str, Node<'static>); N]) -> Node<'static> {
    map(entries).into()
}

/// Like [`object`].
fn map<const N: usize>(entries: [(&'static str, Node<'static>); N]) -> Map<'static> {
    entries
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (Cow::Borrowed(key), value))
        .collect()
}

/// A text, or null for none.
fn text_or_null(text: Option<impl Into<String>>) -> Node<'static> {
    text.map_or(Node::Null, |text| Node::text(text.into()))
}

/// Seconds as a number; null for what JSON cannot write.
fn seconds(secs: f64) -> Node<'static> {
    Number::from_f64(secs).map_or(Node::Null, Node::Number)
}

/// When the request came, in seconds since 1970.
fn received_secs(request: &Request) -> f64 {
    request.received.us() as f64 / 1e6
}

/// `httpStatusURL` as `http_status_url`; only ASCII is touched.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before = '_';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        // A word begins after a small letter, and with the last letter of capitals that go on in small ones.
        let begins_word = before.is_ascii_lowercase()
            || before.is_ascii_digit()
            || before.is_ascii_uppercase() && rest.peek().is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && begins_word {
            snake.push('_');
        }
        snake.push(if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        });
        before = c;
    }
    snake
}

/// Requests and readable results for the tests of the converters.
#[cfg(test)]
mod testing {
    use serde_json::Value;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::http::{Body, Headers, Method};

    /// A POST of 2023-11-14T22:13:20Z.
    pub(super) fn request(content_type: &str) -> Request {
        let mut headers = Headers::default();
        if !content_type.is_empty() {
            headers.push("Content-Type", content_type);
        }
        Request {
            method: Method::Post,
            path: String::new(),
            query: String::new(),
            headers,
            body: Body::empty(),
            peer: [203, 0, 113, 9].into(),
            received: Timestamp::from_secs(1_700_000_000),
            id: String::new(),
        }
    }

    pub(super) fn json(item: &Item<'_>) -> Value {
        serde_json::from_slice(&item.payload.bytes().unwrap()).unwrap()
    }

    /// The entries of the only item, which must be a container of `kind` that says its count.
    pub(super) fn entries(parcels: &[Parcel<'_>], kind: Kind) -> Vec<Value> {
        let [parcel] = parcels else {
            panic!("{parcels:?}");
        };
        let [item] = &parcel.items[..] else {
            panic!("{parcel:?}");
        };
        assert_eq!((item.kind, item.invalid), (kind, None));
        let mut json = json(item);
        let Value::Array(entries) = json["items"].take() else {
            panic!("{json}");
        };
        assert_eq!(item.header.item_count, Some(entries.len() as u64));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    fn each(json: &str) -> Result<Vec<&str>, Refusal> {
        let mut entries = Vec::new();
        each_entry(json, |entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }

    #[test]
    fn a_list_is_read_entry_by_entry() {
        assert_eq!(
            each("[1, {\"a\":[2]} ,null]").unwrap(),
            ["1", "{\"a\":[2]}", "null"]
        );
        assert_eq!(each(" {\"a\":1} ").unwrap(), ["{\"a\":1}"]);
        assert!(each("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for json in ["", "[1,", "[1]]", "{", "[1] 2"] {
            assert!(matches!(each(json), Err(Refusal::InvalidJson(_))), "{json}");
        }
        let deep = "[".repeat(1 << 20);
        assert!(matches!(each(&deep), Err(Refusal::InvalidJson(_))));
    }

    #[test]
    fn an_entrys_refusal_ends_the_list() {
        let mut seen = 0;
        let refused = each_entry("[1,2,3]", |_| {
            seen += 1;
            Err(Refusal::EmptyBody)
        });
        assert_eq!((refused, seen), (Err(Refusal::EmptyBody), 1));
    }

    #[test]
    fn a_container_counts_its_entries_and_has_a_limit() {
        assert!(Container::logs().finish().is_none());
        let mut container = Container::logs();
        container.push(&1).unwrap();
        container.push(&2).unwrap();
        let item = container.finish().unwrap();
        assert_eq!(json(&item).to_string(), r#"{"items":[1,2]}"#);
        assert_eq!(item.header.item_count, Some(2));

        let mut container = Container::spans();
        let text = "x".repeat(CONTAINER_BYTES_MAX);
        assert_eq!(container.push(&text), Err(Refusal::TooLarge("span")));
    }

    #[test]
    fn an_attribute_says_its_type() {
        for (value, attribute_json) in [
            ("true", r#"{"type":"boolean","value":true}"#),
            ("-1", r#"{"type":"integer","value":-1}"#),
            ("0.5", r#"{"type":"double","value":0.5}"#),
            (r#""a""#, r#"{"type":"string","value":"a"}"#),
            (
                r#"[1,{"a":null}]"#,
                r#"{"type":"string","value":"[1,{\"a\":null}]"}"#,
            ),
        ] {
            let node: Node<'_> = serde_json::from_str(value).unwrap();
            assert_eq!(attribute(&node).unwrap().to_json(), attribute_json);
        }
        assert_eq!(attribute(&Node::Null), None);
    }

    #[test]
    fn a_name_is_spelled_with_underscores() {
        for (name, snake) in [
            ("statusCode", "status_code"),
            ("documentURL", "document_url"),
            ("known-pins", "known_pins"),
            ("ja4Digest", "ja4_digest"),
            ("OSVersionMajor", "os_version_major"),
            ("IsUE4Release", "is_ue4_release"),
            ("id", "id"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    /// Whether a converter takes a body.
    type Convert = fn(&[u8]) -> bool;

    #[test]
    fn no_broken_body_breaks_a_converter() {
        const CSP: &str = r#"[{"type":"csp-violation","body":{"effectiveDirective":"img-src","blockedURL":"a://b:1"}},
            {"known-pins":1},{"csp-report":{"violated-directive":"img-src https://a"}}]"#;
        const NEL: &str =
            r#"[{"type":"network-error","age":1e308,"body":{"type":"abandoned","a":[{}]}}]"#;
        const VERCEL: &str = r#"[{"timestamp":1e308,"message":"a","proxy":{"b":[1]}}]"#;
        const OTLP: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"intValue":"1"}}]},
            "scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}]}]}]}"#;
        const SPANS: &[u8] = b"\x0a\x1a\x12\x18\x12\x16\x0a\x10aaaaaaaaaaaaaaaa\x12\x02bb";
        const LOGS: &[u8] = b"\x0a\x08\x12\x06\x12\x04\x1a\x02hi";
        const HEROKU: &[u8] = b"23 <13>1 2026 a b c - d\xc3\xa9\n9 <x> a b c";
        let converters: [(&[u8], Convert); 8] = [
            (CSP.as_bytes(), |body| {
                security::parcels(body, &request("application/json")).is_ok()
            }),
            (NEL.as_bytes(), |body| {
                nel::parcels(body, &request("application/json")).is_ok()
            }),
            (VERCEL.as_bytes(), |body| {
                vercel::parcels(body, &request("application/json")).is_ok()
            }),
            (br#"{"status":"ok","contexts":{"a":[1]}}"#, |body| {
                cron::parcels(body, "a", &request("application/json")).is_ok()
            }),
            (HEROKU, |body| {
                heroku::parcels(body, &request("application/logplex-1")).is_ok()
            }),
            (OTLP.as_bytes(), |body| {
                otlp::traces(body, &request("application/json")).is_ok()
            }),
            (SPANS, |body| {
                otlp::traces(body, &request("application/x-protobuf")).is_ok()
            }),
            (LOGS, |body| {
                otlp::logs(body, &request("application/x-protobuf")).is_ok()
            }),
        ];
        for (whole, convert) in converters {
            assert!(convert(whole), "{}", whole.escape_ascii());
            for at in 0..whole.len() {
                convert(&whole[..at]);
                for byte in [0, b'"', b'9', b'[', 0x7f, 0x80, 0xff] {
                    let mut broken = whole.to_vec();
                    broken[at] = byte;
                    convert(&broken);
                }
            }
        }
    }
}
