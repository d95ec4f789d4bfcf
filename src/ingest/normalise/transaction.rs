//! What a transaction cannot be without (facts/ingestion.md 5.8).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{time, value};

const INVALID: &str = "invalid_transaction";

/// Whether a transaction is one: with its times, its trace, and spans that have theirs.
pub(super) fn check(event: &Map<'_>) -> Result<(), &'static str> {
    let (start, end) = times(event).ok_or(INVALID)?;
    let trace = event
        .map("contexts")
        .and_then(|contexts| contexts.map("trace"))
        .ok_or(INVALID)?;
    let spans = event.list("spans").unwrap_or_default();
    if start <= end && has_ids(trace) && spans.iter().all(is_span) {
        Ok(())
    } else {
        Err(INVALID)
    }
}

/// Brings the times of spans into their form.
pub(super) fn spans(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let spans = value::list(node, path, meta).into_iter().flatten();
    for span in spans.filter_map(Node::as_map_mut) {
        for key in ["start_timestamp", "timestamp"] {
            if let Some(node) = span.get_mut(key) {
                time::rewrite(node);
            }
        }
    }
}

fn is_span(node: &Node<'_>) -> bool {
    node.as_map()
        .is_some_and(|span| has_ids(span) && times(span).is_some())
}

fn times(map: &Map<'_>) -> Option<(i64, i64)> {
    let start = time::parse(map.get("start_timestamp")?)?;
    let end = time::parse(map.get("timestamp")?)?;
    Some((start, end))
}

fn has_ids(map: &Map<'_>) -> bool {
    let has = |key| map.str(key).is_some_and(|id| !id.is_empty());
    has("trace_id") && has("span_id")
}

#[cfg(test)]
mod tests {
    use super::super::tests::kind_of_event;
    use super::*;
    use crate::ingest::items::Kind;

    const TRACE: &str = r#""contexts":{"trace":{"trace_id":"a","span_id":"b"}}"#;

    fn kind(sent: &str) -> Result<Map<'static>, &'static str> {
        kind_of_event(Kind::Transaction, sent)
    }

    #[test]
    fn a_good_transaction_keeps_what_errors_do_not_have() {
        let out = kind(&format!(
            r#"{{"type":"x","timestamp":1772357400,"start_timestamp":"2026-03-01T09:29:59Z",{TRACE},"measurements":{{"a":{{"value":1}}}},"spans":[{{"trace_id":"a","span_id":"c","start_timestamp":1772357399,"timestamp":"2026-03-01T09:30:00.5"}}]}}"#
        ))
        .unwrap();
        assert_eq!(out.str("type"), Some("transaction"));
        assert_eq!(out.str("level"), Some("info"));
        assert!(out.contains("measurements"));
        assert_eq!(
            out.get("start_timestamp").unwrap().to_json(),
            "1772357399.0"
        );
        let spans = out.get("spans").unwrap().to_json();
        assert!(spans.contains(r#""start_timestamp":1772357399.0,"timestamp":1772357400.5"#));
    }

    #[test]
    fn a_transaction_without_what_it_needs_is_invalid() {
        let good_span = r#"{"trace_id":"a","span_id":"c","start_timestamp":1,"timestamp":2}"#;
        for bad in [
            "{}".to_owned(),
            format!(r#"{{"timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"start_timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"timestamp":1772357399,"start_timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"timestamp":"x","start_timestamp":1772357400,{TRACE}}}"#),
            r#"{"timestamp":2,"start_timestamp":1}"#.to_owned(),
            r#"{"timestamp":2,"start_timestamp":1,"contexts":{"trace":{"trace_id":"a"}}}"#.to_owned(),
            r#"{"timestamp":2,"start_timestamp":1,"contexts":{"trace":{"trace_id":"a","span_id":""}}}"#.to_owned(),
            format!(r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":[{good_span},null]}}"#),
            format!(
                r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":[{}]}}"#,
                good_span.replace(r#""timestamp":2"#, r#""timestamp":null"#)
            ),
        ] {
            assert_eq!(kind(&bad), Err(INVALID), "{bad}");
        }
    }
}
