//! `/integration/otlp/v1/{traces,logs}`: OpenTelemetry's protocol over HTTP, as protobuf or as JSON
//! (facts/ingestion.md 1.10, opentelemetry.io/docs/specs/otlp). Spans and logs become containers as SDKs send them.
//!
//! The messages are those that the OpenTelemetry project publishes. Of an export only one span or log at a time is
//! read into them: an empty span is two bytes on the wire and three hundred in memory.

mod log;
mod message;
mod span;
mod value;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Container, attribute, parcel_of};
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::Parcel;
use message::{Field, Message};

/// What the spans of an export become. A span without valid ids is invalid.
///
/// # Errors
/// Another media type, a body that is not of its type, a message that is too large, or more than a container may
/// have.
pub(in crate::ingest) fn traces(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    let mut spans = Container::spans();
    let mut unusable = Container::spans().invalid("invalid_span");
    TRACES.each_entry(body, request, &mut |entry, shared| match span::convert(
        entry.decode("span")?,
        shared,
    ) {
        Some(span) => spans.push(&span),
        None => unusable.push(&Node::Null),
    })?;
    Ok(parcel_of([spans, unusable]))
}

/// What the log records of an export become.
///
/// # Errors
/// As for [`traces`].
pub(in crate::ingest) fn logs(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    let mut logs = Container::logs();
    LOGS.each_entry(body, request, &mut |entry, shared| {
        logs.push(&log::convert(entry.decode("log")?, shared, request))
    })?;
    Ok(parcel_of([logs]))
}

/// Where an export has its entries. The messages of all signals are nested in the same way.
struct Signal {
    group: &'static str,
    resources: Field,
    scopes: Field,
    entries: Field,
}

const TRACES: Signal = Signal {
    group: "span",
    resources: Field(1, "resourceSpans"),
    scopes: Field(2, "scopeSpans"),
    entries: Field(2, "spans"),
};

const LOGS: Signal = Signal {
    group: "log",
    resources: Field(1, "resourceLogs"),
    scopes: Field(2, "scopeLogs"),
    entries: Field(2, "logRecords"),
};

const RESOURCE: Field = Field(1, "resource");
const SCOPE: Field = Field(1, "scope");

/// Attributes that an entry has from where it stands. Kept apart, so that nothing is copied for entries that are
/// not there.
struct Shared<'s> {
    resource: &'s Map<'static>,
    scope: &'s Map<'static>,
}

/// Hands an entry on.
type Each<'e> = dyn FnMut(Message<'_>, &Shared<'_>) -> Result<(), Refusal> + 'e;

impl Signal {
    fn each_entry(
        &self,
        body: &[u8],
        request: &Request,
        each: &mut Each<'_>,
    ) -> Result<(), Refusal> {
        let export = Message::of(body, request)?;
        if body.is_empty() {
            return Ok(());
        }
        export.each(self.resources, &mut |of_resource| {
            let resource = match of_resource.last(RESOURCE)? {
                Some(resource) => resource_attributes(resource.decode(self.group)?),
                None => Map::new(),
            };
            of_resource.each(self.scopes, &mut |of_scope| {
                let scope = match of_scope.last(SCOPE)? {
                    Some(scope) => scope_attributes(scope.decode(self.group)?),
                    None => Map::new(),
                };
                let shared = Shared {
                    resource: &resource,
                    scope: &scope,
                };
                of_scope.each(self.entries, &mut |entry| each(entry, &shared))
            })
        })
    }
}

/// What describes the program and its machine, such as `resource.service.name`.
fn resource_attributes(resource: Resource) -> Map<'static> {
    let named = |(key, value)| (format!("resource.{key}").into(), value);
    value::attributes(resource.attributes).map(named).collect()
}

/// The instrumentation, under the names that Sentry's own SDKs give it.
fn scope_attributes(scope: InstrumentationScope) -> Map<'static> {
    let own = [
        ("instrumentation.name", scope.name),
        ("instrumentation.version", scope.version),
    ];
    let own = own
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .filter_map(|(name, text)| Some((name.into(), attribute(&Node::text(text))?)));
    let more = value::attributes(scope.attributes)
        .map(|(key, value)| (format!("instrumentation.{key}").into(), value));
    more.chain(own).collect()
}

impl Shared<'_> {
    /// An entry's attributes: its own, those that the converter adds, and the shared ones. Its own win.
    fn with(
        &self,
        added: impl IntoIterator<Item = (&'static str, String)>,
        own: impl Iterator<Item = (String, Node<'static>)>,
    ) -> Map<'static> {
        let shared = self.resource.iter().chain(self.scope.iter());
        let shared = shared.map(|(key, value)| (key.to_owned().into(), value.to_owned()));
        let added = added
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .filter_map(|(name, text)| Some((name.into(), attribute(&Node::text(text))?)));
        let own = own.map(|(key, value)| (key.into(), value));
        shared.chain(added).chain(own).collect()
    }
}

/// Nanoseconds since 1970 as seconds, to the microsecond: more digits a double does not have.
fn secs(nanos: u64) -> f64 {
    (nanos / 1000) as f64 / 1e6
}

/// An id as text; none if it has another length, or is all zeros, which means the same.
fn id(bytes: &[u8], len: usize) -> Option<String> {
    use std::fmt::Write;

    if bytes.len() != len || bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut hex = String::with_capacity(2 * len);
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::trace::v1::span::Link;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
    use prost::Message as _;
    use serde_json::{Value, json};

    use super::super::testing::{entries, request};
    use super::super::{CONTAINER_BYTES_MAX, ENTRY_BYTES_MAX};
    use super::*;
    use crate::ingest::items::Kind;
    use crate::ingest::refusal::InvalidBody;

    const PROTOBUF: &str = "application/x-protobuf";
    const JSON: &str = "application/json";

    fn any(value: any_value::Value) -> Option<AnyValue> {
        Some(AnyValue { value: Some(value) })
    }

    fn text(text: &str) -> Option<AnyValue> {
        any(any_value::Value::StringValue(text.to_owned()))
    }

    fn attributes(entries: &[(&str, Option<AnyValue>)]) -> Vec<KeyValue> {
        let attribute = |(key, value): &(&str, Option<AnyValue>)| KeyValue {
            key: (*key).to_owned(),
            value: value.clone(),
            ..KeyValue::default()
        };
        entries.iter().map(attribute).collect()
    }

    fn resource() -> Option<Resource> {
        Some(Resource {
            attributes: attributes(&[("service.name", text("shop"))]),
            ..Resource::default()
        })
    }

    fn scope() -> Option<InstrumentationScope> {
        Some(InstrumentationScope {
            name: "http".to_owned(),
            version: "1.2".to_owned(),
            ..InstrumentationScope::default()
        })
    }

    fn export_of_spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: resource(),
                scope_spans: vec![ScopeSpans {
                    scope: scope(),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    fn export_of_logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: resource(),
                scope_logs: vec![ScopeLogs {
                    scope: scope(),
                    log_records,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        }
    }

    fn span() -> Span {
        Span {
            trace_id: (1..=16).collect(),
            span_id: vec![0xab; 8],
            name: "GET /cart".to_owned(),
            start_time_unix_nano: 1_700_000_000_500_000_000,
            end_time_unix_nano: 1_700_000_001_000_000_000,
            ..Span::default()
        }
    }

    /// The body in both encodings of the protocol.
    fn encodings<T: prost::Message + serde::Serialize>(export: &T) -> [(&'static str, Vec<u8>); 2] {
        [
            (PROTOBUF, export.encode_to_vec()),
            (JSON, serde_json::to_vec(export).unwrap()),
        ]
    }

    fn string(value: &str) -> Value {
        json!({"type": "string", "value": value})
    }

    fn shared() -> Value {
        json!({
            "resource.service.name": string("shop"),
            "instrumentation.name": string("http"),
            "instrumentation.version": string("1.2"),
        })
    }

    #[test]
    fn each_span_is_an_entry_of_one_container() {
        let full = Span {
            parent_span_id: vec![0xcd; 8],
            kind: 2,
            flags: 0x301,
            status: Some(Status {
                message: "no cart".to_owned(),
                code: 2,
            }),
            links: vec![Link {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                flags: 1,
                attributes: attributes(&[("why", text("batch"))]),
                ..Link::default()
            }],
            attributes: attributes(&[
                ("http.status", any(any_value::Value::IntValue(404))),
                ("ratio", any(any_value::Value::DoubleValue(0.5))),
                ("cached", any(any_value::Value::BoolValue(false))),
                ("instrumentation.name", text("own")),
                (
                    "list",
                    any(any_value::Value::ArrayValue(ArrayValue {
                        values: vec![AnyValue { value: None }, text("a").unwrap()],
                    })),
                ),
                ("none", None),
            ]),
            ..span()
        };
        let mut of_full = shared();
        of_full["instrumentation.name"] = string("own");
        of_full["otel.status_description"] = string("no cart");
        of_full["http.status"] = json!({"type": "integer", "value": 404});
        of_full["ratio"] = json!({"type": "double", "value": 0.5});
        of_full["cached"] = json!({"type": "boolean", "value": false});
        of_full["list"] = string(r#"[null,"a"]"#);
        let expected = [
            json!({
                "trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "abababababababab",
                "name": "GET /cart", "status": "ok", "kind": "internal",
                "start_timestamp": 1_700_000_000.5, "end_timestamp": 1_700_000_001.0,
                "attributes": shared(),
            }),
            json!({
                "trace_id": "0102030405060708090a0b0c0d0e0f10", "parent_span_id": "cdcdcdcdcdcdcdcd",
                "span_id": "abababababababab", "name": "GET /cart", "status": "error", "is_remote": true,
                "kind": "server", "start_timestamp": 1_700_000_000.5, "end_timestamp": 1_700_000_001.0,
                "links": [{
                    "trace_id": "01".repeat(16), "span_id": "02".repeat(8), "sampled": true,
                    "attributes": {"why": string("batch")},
                }],
                "attributes": of_full,
            }),
        ];
        for (content_type, body) in encodings(&export_of_spans(vec![span(), full])) {
            let parcels = traces(&body, &request(content_type)).unwrap();
            assert_eq!(entries(&parcels, Kind::Span), expected, "{content_type}");
            assert_eq!(
                parcels[0].items[0].header.content_type.as_deref(),
                Some("application/vnd.sentry.items.span.v2+json")
            );
        }
    }

    #[test]
    fn each_record_is_an_entry_of_one_container() {
        let full = LogRecord {
            time_unix_nano: 1_700_000_000_250_000_000,
            severity_number: 17,
            severity_text: "ERROR".to_owned(),
            event_name: "cart.lost".to_owned(),
            body: text("no cart"),
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..LogRecord::default()
        };
        let mut of_full = shared();
        of_full["event.name"] = string("cart.lost");
        of_full["otel.severity_text"] = string("ERROR");
        let bare = LogRecord {
            body: any(any_value::Value::IntValue(7)),
            ..LogRecord::default()
        };
        let expected = [
            json!({
                "timestamp": 1_700_000_000.25, "trace_id": "01".repeat(16), "span_id": "02".repeat(8),
                "level": "error", "severity_number": 17, "body": "no cart", "attributes": of_full,
            }),
            json!({
                "timestamp": 1_700_000_000.0, "level": "info", "body": "7", "attributes": shared(),
            }),
        ];
        for (content_type, body) in encodings(&export_of_logs(vec![full, bare])) {
            let parcels = logs(&body, &request(content_type)).unwrap();
            assert_eq!(entries(&parcels, Kind::Log), expected, "{content_type}");
        }
    }

    #[test]
    fn a_span_without_valid_ids_is_counted_as_invalid() {
        let without_trace = Span {
            trace_id: vec![0; 16],
            ..span()
        };
        let short = Span {
            span_id: vec![1; 7],
            ..span()
        };
        for (content_type, body) in encodings(&export_of_spans(vec![without_trace, span(), short]))
        {
            let parcels = traces(&body, &request(content_type)).unwrap();
            let counted: Vec<_> = parcels[0]
                .items
                .iter()
                .map(|item| (item.header.item_count, item.invalid))
                .collect();
            let expected = [(Some(1), None), (Some(2), Some("invalid_span"))];
            assert_eq!(counted, expected, "{content_type}");
        }
    }

    #[test]
    fn an_empty_export_has_no_items() {
        for (content_type, body) in [
            (PROTOBUF, ""),
            ("application/protobuf", ""),
            (JSON, ""),
            (JSON, "{}"),
            (JSON, r#"{"resourceSpans":[],"resourceLogs":null}"#),
            (JSON, r#"{"resourceSpans":[{"scopeSpans":[{}]}]}"#),
        ] {
            let request = request(content_type);
            assert!(
                traces(body.as_bytes(), &request).unwrap().is_empty(),
                "{body}"
            );
            assert!(
                logs(body.as_bytes(), &request).unwrap().is_empty(),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_is_not_of_its_type_is_refused() {
        let protobuf = |body: &[u8]| traces(body, &request(PROTOBUF)).unwrap_err();
        let whole = export_of_spans(vec![span()]).encode_to_vec();
        for body in [
            &whole[..whole.len() - 1],
            b"{}",
            b"\x0b",
            b"\x0a\xff",
            b"\xff".repeat(20).as_slice(),
        ] {
            let refused = protobuf(body);
            assert!(
                matches!(refused, Refusal::InvalidBody(InvalidBody::Protobuf, _)),
                "{refused:?}"
            );
        }
        let json = |body: &str| traces(body.as_bytes(), &request(JSON)).unwrap_err();
        for body in [
            "[]",
            "{",
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}"#,
        ] {
            assert!(matches!(json(body), Refusal::InvalidJson(_)), "{body}");
        }
        assert_eq!(
            logs(b"{}", &request("text/plain")).unwrap_err(),
            Refusal::UnsupportedContentType
        );
    }

    #[test]
    fn what_is_shared_counts_for_each_span_of_a_small_export() {
        let mut export = export_of_spans(vec![span(); 4000]);
        let long = "x".repeat(CONTAINER_BYTES_MAX / 3000);
        export.resource_spans[0]
            .resource
            .as_mut()
            .unwrap()
            .attributes = attributes(&[("long", text(&long))]);
        let refused = traces(&export.encode_to_vec(), &request(PROTOBUF));
        assert_eq!(refused.unwrap_err(), Refusal::TooLarge("span"));
    }

    #[test]
    fn an_entry_that_is_too_large_is_refused() {
        let large = LogRecord {
            body: text(&"x".repeat(ENTRY_BYTES_MAX)),
            ..LogRecord::default()
        };
        for (content_type, body) in encodings(&export_of_logs(vec![large])) {
            let refused = logs(&body, &request(content_type));
            assert_eq!(
                refused.unwrap_err(),
                Refusal::TooLarge("log"),
                "{content_type}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let mut value = text("x").unwrap();
        for _ in 0..5000 {
            value = any(any_value::Value::ArrayValue(ArrayValue {
                values: vec![value],
            }))
            .unwrap();
        }
        let record = LogRecord {
            body: Some(value),
            ..LogRecord::default()
        };
        // Made by hand: the encoders and the destructors follow any depth.
        let protobuf = std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn(move || export_of_logs(vec![record]).encode_to_vec())
            .unwrap()
            .join()
            .unwrap();
        assert!(logs(&protobuf, &request(PROTOBUF)).is_err());
        for depth in (1..60).chain([5000]) {
            let body = format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{}{}}}]}}]}}]}}"#,
                r#"{"arrayValue":{"values":["#.repeat(depth),
                "]}}".repeat(depth)
            );
            let read = logs(body.as_bytes(), &request(JSON));
            // Three levels each, and one around them; the parser's limit is 128.
            assert_eq!(read.is_err(), depth > 42, "{depth}");
        }
    }

    #[test]
    fn a_million_empty_messages_cost_time_and_no_memory() {
        let empty = b"\x12\x00".repeat(1 << 20);
        let scope = [&b"\x12"[..], &varint(empty.len()), &empty].concat();
        let body = [&b"\x0a"[..], &varint(scope.len()), &scope].concat();
        let parcels = traces(&body, &request(PROTOBUF)).unwrap();
        assert_eq!(parcels[0].items[0].header.item_count, Some(1 << 20));
    }

    fn varint(number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encode_length_delimiter(number, &mut bytes).unwrap();
        bytes
    }
}
