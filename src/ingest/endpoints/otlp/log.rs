//! A log record of OpenTelemetry as a log entry.

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::{SPAN_ID_BYTES, Shared, TRACE_ID_BYTES, id, secs, value};
use crate::http::Request;
use crate::ingest::endpoints::{map, received_secs, seconds, text_or_null};
use crate::ingest::json::{Map, Node};

/// A record that says neither when it was made nor when it was seen is as old as the request.
pub(super) fn convert(record: LogRecord, shared: &Shared<'_>, request: &Request) -> Map<'static> {
    let timestamp = match (record.time_unix_nano, record.observed_time_unix_nano) {
        (0, 0) => received_secs(request),
        (0, nanos) | (nanos, _) => secs(nanos),
    };
    let number = match record.severity_number {
        number @ 1..=24 => Node::Number(number.into()),
        _ => Node::Null,
    };
    let level = level(record.severity_number, &record.severity_text);
    let body = match record.body.map_or(Node::Null, value::node) {
        text @ Node::Text(_) => text,
        Node::Null => Node::text(""),
        other => Node::text(other.to_json()),
    };
    let attributes = shared.with(
        [
            ("event.name", record.event_name),
            ("otel.severity_text", record.severity_text),
        ],
        value::attributes(record.attributes),
    );
    map([
        ("timestamp", seconds(timestamp)),
        (
            "trace_id",
            text_or_null(id(&record.trace_id, TRACE_ID_BYTES)),
        ),
        ("span_id", text_or_null(id(&record.span_id, SPAN_ID_BYTES))),
        ("level", Node::text(level)),
        ("severity_number", number),
        ("body", body),
        ("attributes", attributes.into()),
    ])
}

/// Levels have four numbers each (opentelemetry.io/docs/specs/otel/logs/data-model, "SeverityNumber"); the text is
/// the program's own word, which counts where there is no number.
fn level(number: i32, text: &str) -> &'static str {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

    if let number @ 1..=24 = number {
        return LEVELS[(number as usize - 1) / 4];
    }
    if text.eq_ignore_ascii_case("warning") {
        return "warn";
    }
    LEVELS
        .into_iter()
        .find(|level| level.eq_ignore_ascii_case(text))
        .unwrap_or("info")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_a_level() {
        for (number, text, expected) in [
            (1, "", "trace"),
            (4, "ERROR", "trace"),
            (9, "", "info"),
            (16, "", "warn"),
            (24, "", "fatal"),
            (0, "Warning", "warn"),
            (25, "DEBUG", "debug"),
            (-1, "notice", "info"),
        ] {
            assert_eq!(level(number, text), expected);
        }
    }
}
