//! What a transaction cannot be without (facts/ingestion.md 5.8).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{time, value};

const INVALID: &str = "invalid_transaction";
const TRACE_ID_DIGITS: usize = 32;
const SPAN_ID_DIGITS: usize = 16;

/// Two spellings of one moment can be read this far apart. The Rust SDK writes starts as floats of seconds, which
/// are exact to a quarter of a microsecond, and ends as dates to the nanosecond; both are rounded.
const ROUNDING_US: i64 = 1;

/// Whether a transaction is one: with its times, its trace, and spans that have theirs. Brings its times into their
/// form.
pub(super) fn check(event: &mut Map<'_>) -> Result<(), &'static str> {
    let (start, end) = times(event).ok_or(INVALID)?;
    let trace = event
        .map("contexts")
        .and_then(|contexts| contexts.map("trace"))
        .ok_or(INVALID)?;
    let spans = event.list("spans").unwrap_or_default();
    if start <= end && has_ids(trace) && spans.iter().all(is_span) {
        set_times(event, start, end);
        Ok(())
    } else {
        Err(INVALID)
    }
}

/// Brings the times of spans into their form.
pub(super) fn spans(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let spans = value::list(node, path, meta).into_iter().flatten();
    for span in spans.filter_map(Node::as_map_mut) {
        if let Some((start, end)) = times(span) {
            set_times(span, start, end);
        }
    }
}

fn is_span(node: &Node<'_>) -> bool {
    node.as_map()
        .is_some_and(|span| has_ids(span) && times(span).is_some_and(|(start, end)| start <= end))
}

/// Start and end, in microseconds since 1970.
fn times(map: &Map<'_>) -> Option<(i64, i64)> {
    let start = time::parse(map.get("start_timestamp")?)?;
    let end = time::parse(map.get("timestamp")?)?;
    let is_same = (0..=ROUNDING_US).contains(&(start - end));
    Some((start, if is_same { start } else { end }))
}

fn set_times(map: &mut Map<'_>, start: i64, end: i64) {
    *map.entry("start_timestamp") = time::seconds(start);
    *map.entry("timestamp") = time::seconds(end);
}

fn has_ids(map: &Map<'_>) -> bool {
    let has = |key, digits| map.str(key).is_some_and(|id| is_id(id, digits));
    has("trace_id", TRACE_ID_DIGITS) && has("span_id", SPAN_ID_DIGITS)
}

/// Zero is how tracers write that there is none.
fn is_id(id: &str, digits: usize) -> bool {
    id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::super::tests::kind_of_event;
    use super::*;
    use crate::ingest::items::Kind;

    const TRACE: &str = r#""contexts":{"trace":{"trace_id":"4c79f60c11214eb38604f4ae0781bfb2","span_id":"aaaaaaaaaaaaaaaa"}}"#;
    const SPAN: &str = r#"{"trace_id":"4c79f60c11214eb38604f4ae0781bfb2","span_id":"bbbbbbbbbbbbbbbb","start_timestamp":1,"timestamp":2}"#;

    fn kind(sent: &str) -> Result<Map<'static>, &'static str> {
        kind_of_event(Kind::Transaction, sent)
    }

    #[test]
    fn a_good_transaction_keeps_what_errors_do_not_have() {
        let out = kind(&format!(
            r#"{{"type":"x","timestamp":1772357400,"start_timestamp":"2026-03-01T09:29:59Z",{TRACE},"measurements":{{"a":{{"value":1}}}},"spans":[{{"trace_id":"4C79f60c11214eb38604f4ae0781bfb2","span_id":"bbbbbbbbbbbbbbbb","start_timestamp":1772357399,"timestamp":"2026-03-01T09:30:00.5"}}]}}"#
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
        for bad in [
            "{}".to_owned(),
            format!(r#"{{"timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"start_timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"timestamp":1772357399,"start_timestamp":1772357400,{TRACE}}}"#),
            format!(r#"{{"timestamp":"x","start_timestamp":1772357400,{TRACE}}}"#),
            r#"{"timestamp":2,"start_timestamp":1}"#.to_owned(),
            r#"{"timestamp":2,"start_timestamp":1,"contexts":{"trace":{"trace_id":"a"}}}"#.to_owned(),
            r#"{"timestamp":2,"start_timestamp":1,"contexts":{"trace":{"trace_id":"a","span_id":""}}}"#.to_owned(),
            format!(r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":[{SPAN},null]}}"#),
            format!(
                r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":[{}]}}"#,
                SPAN.replace(r#""timestamp":2"#, r#""timestamp":null"#)
            ),
        ] {
            assert_eq!(kind(&bad), Err(INVALID), "{bad}");
        }
    }

    #[test]
    fn ids_are_hex_digits_that_are_not_all_zero_and_no_span_ends_before_it_starts() {
        let good = format!(r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":[{SPAN}]}}"#);
        assert!(kind(&good).is_ok());
        let (trace_id, own, of_span) = (
            "4c79f60c11214eb38604f4ae0781bfb2",
            "aaaaaaaaaaaaaaaa",
            "bbbbbbbbbbbbbbbb",
        );
        let end = r#""start_timestamp":1,"timestamp":2}"#;
        for (from, to) in [
            (trace_id, "a".repeat(31)),
            (trace_id, "0".repeat(32)),
            (trace_id, "g".repeat(32)),
            (own, "a".repeat(17)),
            (own, "0".repeat(16)),
            (own, "é".repeat(8)),
            (of_span, "0".repeat(16)),
            (of_span, "b".to_owned()),
            (end, r#""start_timestamp":3,"timestamp":2}"#.to_owned()),
        ] {
            let bad = good.replace(from, &to);
            assert_ne!(bad, good);
            assert_eq!(kind(&bad), Err(INVALID), "{bad}");
        }
    }

    #[test]
    fn what_took_less_than_a_microsecond_ends_when_it_started() {
        let times =
            r#""start_timestamp":1772357400.000001,"timestamp":"2026-03-01T09:30:00.000000499Z""#;
        let span = SPAN.replace(r#""start_timestamp":1,"timestamp":2"#, times);
        let out = kind(&format!(r#"{{{times},{TRACE},"spans":[{span}]}}"#)).unwrap();
        let span = out.list("spans").unwrap()[0].as_map().unwrap();
        for map in [&out, span] {
            for key in ["start_timestamp", "timestamp"] {
                assert_eq!(map.get(key).unwrap().to_json(), "1772357400.000001");
            }
        }
        let times = times.replace("499", "099").replace("000001", "000002");
        assert_eq!(kind(&format!("{{{times},{TRACE}}}")), Err(INVALID));
    }

    #[test]
    fn spans_that_are_no_list_are_nulled_and_remembered() {
        let sent = format!(r#"{{"timestamp":2,"start_timestamp":1,{TRACE},"spans":{{"a":1}}}}"#);
        let around = super::super::Surroundings {
            kind: Kind::Transaction,
            ..super::super::tests::surroundings()
        };
        let (out, meta) = super::super::tests::event_around(&sent, &around);
        assert!(!out.contains("spans"));
        assert!(
            meta.contains(r#""spans":{"":{"err":[["invalid_data""#),
            "{meta}"
        );
    }
}
