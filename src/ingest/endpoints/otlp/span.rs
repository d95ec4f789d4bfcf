//! A span of OpenTelemetry as a span v2 entry. The entry has no place for a span's events, which are left out.

use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags};

use super::{SPAN_ID_BYTES, Shared, TRACE_ID_BYTES, id, secs, value};
use crate::ingest::endpoints::{map, seconds, text_or_null};
use crate::ingest::json::{Map, Node};

/// None if it has no valid ids.
pub(super) fn convert(span: Span, shared: &Shared<'_>) -> Option<Map<'static>> {
    let trace_id = id(&span.trace_id, TRACE_ID_BYTES)?;
    let span_id = id(&span.span_id, SPAN_ID_BYTES)?;
    let kind = kind(span.kind());
    let status = span.status.unwrap_or_default();
    // What was not set went well (opentelemetry.io/docs/specs/otel/trace/api, "Set Status").
    let outcome = match status.code() {
        StatusCode::Error => "error",
        StatusCode::Ok | StatusCode::Unset => "ok",
    };
    let links: Vec<_> = span.links.into_iter().filter_map(link).collect();
    let attributes = shared.with(
        [("otel.status_description", status.message)],
        value::attributes(span.attributes),
    );
    Some(map([
        ("trace_id", Node::text(trace_id)),
        (
            "parent_span_id",
            text_or_null(id(&span.parent_span_id, SPAN_ID_BYTES)),
        ),
        ("span_id", Node::text(span_id)),
        ("name", Node::text(span.name)),
        ("status", Node::text(outcome)),
        ("is_remote", has_remote_parent(span.flags)),
        ("kind", Node::text(kind)),
        ("start_timestamp", seconds(secs(span.start_time_unix_nano))),
        ("end_timestamp", seconds(secs(span.end_time_unix_nano))),
        (
            "links",
            if links.is_empty() {
                Node::Null
            } else {
                Node::List(links)
            },
        ),
        ("attributes", attributes.into()),
    ]))
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified | SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// Null if the exporter does not know.
fn has_remote_parent(flags: u32) -> Node<'static> {
    let has = |flag: SpanFlags| flags & flag as u32 != 0;
    if has(SpanFlags::ContextHasIsRemoteMask) {
        Node::Bool(has(SpanFlags::ContextIsRemoteMask))
    } else {
        Node::Null
    }
}

/// None if it links to nothing.
fn link(link: Link) -> Option<Node<'static>> {
    /// W3C's trace flags are the lowest byte of the flags.
    const SAMPLED: u32 = 1;

    let attributes: Map<'static> = value::attributes(link.attributes)
        .map(|(key, value)| (key.into(), value))
        .collect();
    let link = map([
        ("trace_id", Node::text(id(&link.trace_id, TRACE_ID_BYTES)?)),
        ("span_id", Node::text(id(&link.span_id, SPAN_ID_BYTES)?)),
        ("sampled", Node::Bool(link.flags & SAMPLED != 0)),
        ("attributes", attributes.into()),
    ]);
    Some(link.into())
}
