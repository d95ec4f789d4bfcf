//! When things happened (facts/ingestion.md 5.3): every form of a moment becomes a float of seconds since 1970
//! with microseconds, and a clock that is wrong is set right for the whole event.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Number;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{Surroundings, value, values};
use crate::domain::time::Timestamp;

/// Fields of an event that hold moments, beside its `timestamp`.
const OTHER_MOMENTS: [&str; 2] = ["start_timestamp", "replay_start_timestamp"];
const SECOND_US: i64 = 1_000_000;
/// The first moment of the year 1; what is earlier is no date.
const FIRST_US: i64 = -62_135_596_800 * SECOND_US;
const FUTURE_MAX_US: i64 = 60 * SECOND_US;
const PAST_MAX_US: i64 = 30 * 24 * 3600 * SECOND_US;
/// A smaller difference than this may be the way of the envelope, a larger one is the clock.
const DRIFT_MIN_US: i64 = 55 * 60 * SECOND_US;

/// Whether an event's field of this name is a moment.
pub(super) fn is_moment(key: &str) -> bool {
    key == "timestamp" || OTHER_MOMENTS.contains(&key)
}

/// Brings a moment into its form; what is none becomes null.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    match parse(node) {
        Some(us) => *node = seconds(us),
        None if node.is_null() => {}
        None => value::refuse(node, "expected a timestamp", path, meta),
    }
}

/// A moment in microseconds since 1970.
pub(super) fn parse(node: &Node<'_>) -> Option<i64> {
    let us = match node {
        Node::Number(number) => of_seconds(number.as_f64()?)?,
        Node::Text(text) => of_text(text.trim())?,
        _ => return None,
    };
    (FIRST_US..=Timestamp::LAST.us())
        .contains(&us)
        .then_some(us)
}

/// Sets `received` and `timestamp`. When the SDK's clock is wrong, moves every moment of the event, says so in
/// the event's `errors` and in `_meta`.
pub(super) fn settle(event: &mut Map<'_>, around: &Surroundings, meta: &mut Meta) {
    let received = around.received.us();
    event.insert("received", seconds(received));
    let own = event.get("timestamp").and_then(parse);
    let drift = around
        .sent_us
        .map(|sent| received.saturating_sub(sent))
        .filter(|drift| drift.saturating_abs() >= DRIFT_MIN_US);
    let mut shift = drift.unwrap_or(0);
    if drift.is_some() {
        let sent = around.sent_us.unwrap_or(received);
        add_error(event, "clock_drift", sent, received, meta);
    }
    // An event without a time of its own happened by our clock.
    let timestamp = own.map_or(received, |own| own.saturating_add(shift));
    let kind = if timestamp > received.saturating_add(FUTURE_MAX_US) {
        Some("future_timestamp")
    } else if timestamp < received.saturating_sub(PAST_MAX_US) {
        Some("past_timestamp")
    } else {
        None
    };
    if let Some(kind) = kind {
        add_error(event, kind, timestamp, received, meta);
        shift = shift.saturating_add(received.saturating_sub(timestamp));
    }
    let timestamp = if kind.is_some() { received } else { timestamp };
    event.insert("timestamp", seconds(timestamp));
    if shift != 0 {
        shift_others(event, shift);
    }
}

fn shift_others(event: &mut Map<'_>, by: i64) {
    for key in OTHER_MOMENTS {
        shift_field(event, key, by);
    }
    for crumb in values::of(event, "breadcrumbs") {
        if let Node::Map(crumb) = crumb {
            shift_field(crumb, "timestamp", by);
        }
    }
    if let Some(Node::List(spans)) = event.get_mut("spans") {
        for span in spans.iter_mut().filter_map(Node::as_map_mut) {
            shift_field(span, "start_timestamp", by);
            shift_field(span, "timestamp", by);
        }
    }
}

fn shift_field(map: &mut Map<'_>, key: &str, by: i64) {
    if let Some(node) = map.get_mut(key)
        && let Some(us) = parse(node)
    {
        *node = seconds(us.saturating_add(by));
    }
}

fn add_error(event: &mut Map<'_>, kind: &'static str, sdk: i64, server: i64, meta: &mut Meta) {
    let mut error = Map::new();
    *error.entry("type") = Node::text(kind);
    *error.entry("name") = Node::text("timestamp");
    *error.entry("sdk_time") = Node::text(Timestamp::from_us(sdk).to_string());
    *error.entry("server_time") = Node::text(Timestamp::from_us(server).to_string());
    let errors = event.entry("errors");
    match errors {
        Node::List(errors) => errors.push(error.into()),
        _ => *errors = Node::List(vec![error.into()]),
    }
    let root = Path::ROOT;
    let original = event.get("timestamp").filter(|node| !node.is_null());
    meta.error(&root.key("timestamp"), kind, None, original);
}

/// Seconds since 1970 for the event. At these sizes a float has more than microseconds.
pub(super) fn seconds(us: i64) -> Node<'static> {
    let within = us.clamp(FIRST_US, Timestamp::LAST.us());
    Number::from_f64(within as f64 / SECOND_US as f64).map_or(Node::Null, Node::Number)
}

/// None for numbers that are no seconds of this era, such as milliseconds.
fn of_seconds(seconds: f64) -> Option<i64> {
    let us = (seconds * SECOND_US as f64).round();
    (us.abs() < 1e18).then_some(us as i64)
}

/// A date with an offset, without one (UTC), or a number of seconds.
fn of_text(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return rounded(moment);
    }
    if let Ok(naive) = text.parse::<DateTime>() {
        return rounded(TimeZone::UTC.to_timestamp(naive).ok()?);
    }
    of_seconds(text.parse().ok()?)
}

/// To the nearest microsecond, as a number of seconds is.
fn rounded(moment: jiff::Timestamp) -> Option<i64> {
    i64::try_from((moment.as_nanosecond() + 500).div_euclid(1000)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EVENT, event, event_around, one_field, surroundings};
    use super::*;

    #[test]
    fn every_form_of_a_moment_is_read() {
        for sent in [
            r#""2026-03-01T09:30:00.120Z""#,
            r#""2026-03-01T09:30:00.120""#,
            r#"" 2026-03-01 09:30:00.12 ""#,
            r#""2026-03-01T10:30:00.120000+01:00""#,
            r#""2026-03-01T10:30:00.120000000+0100""#,
            "1772357400.12",
            r#""1772357400.12""#,
            "1772357400.1200001",
            r#""2026-03-01T09:30:00.1199996Z""#,
        ] {
            assert_eq!(one_field(sent, field), "1772357400.12", "{sent}");
        }
        assert_eq!(one_field("1772357400", field), "1772357400.0");
        assert_eq!(one_field(r#""2026-03-01""#, field), "1772323200.0");
    }

    #[test]
    fn anything_else_is_no_moment() {
        for sent in [
            "1562770897893",
            "1e300",
            "-1e300",
            r#""yesterday""#,
            r#""NaN""#,
            r#""inf""#,
            r#""""#,
            "true",
            "[]",
            r#""-005000-01-01T00:00:00Z""#,
        ] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
    }

    #[test]
    fn an_event_without_a_good_time_happened_when_it_was_received() {
        for sent in [
            "{}",
            r#"{"timestamp":null}"#,
            r#"{"timestamp":"x","received":5}"#,
        ] {
            let (out, _) = event(sent);
            assert_eq!(
                out.get("timestamp"),
                Some(&seconds(EVENT.received.us())),
                "{sent}"
            );
            assert_eq!(out.get("received"), out.get("timestamp"));
            assert!(!out.contains("errors"));
        }
    }

    #[test]
    fn a_time_that_is_far_off_moves_all_times_of_the_event() {
        // Received at 1772357400.
        let (out, meta) = event(
            r#"{"timestamp":1772357500,"breadcrumbs":[{"timestamp":1772357490.5},{"message":"x"}]}"#,
        );
        assert_eq!(out.get("timestamp").unwrap().to_json(), "1772357400.0");
        assert_eq!(
            out.map("breadcrumbs").unwrap().list("values").unwrap()[0]
                .as_map()
                .unwrap()
                .get("timestamp")
                .unwrap()
                .to_json(),
            "1772357390.5"
        );
        assert_eq!(
            out.get("errors").unwrap().to_json(),
            concat!(
                r#"[{"type":"future_timestamp","name":"timestamp","sdk_time":"2026-03-01T09:31:40Z","#,
                r#""server_time":"2026-03-01T09:30:00Z"}]"#
            )
        );
        assert_eq!(
            meta,
            r#"{"timestamp":{"":{"err":["future_timestamp"],"val":1772357500.0}}}"#
        );
        let (out, meta) = event(r#"{"timestamp":5}"#);
        assert_eq!(out.get("timestamp").unwrap().to_json(), "1772357400.0");
        assert!(meta.contains("past_timestamp"));
        let (out, _) = event(r#"{"timestamp":1772357459}"#);
        assert_eq!(out.get("timestamp").unwrap().to_json(), "1772357459.0");
    }

    #[test]
    fn a_clock_that_is_wrong_is_set_right() {
        let mut around = surroundings();
        around.sent_us = Some(around.received.us() - 3600 * SECOND_US);
        let (out, meta) = event_around(
            r#"{"timestamp":1772353799,"breadcrumbs":[{"timestamp":1772353790}]}"#,
            &around,
        );
        assert_eq!(out.get("timestamp").unwrap().to_json(), "1772357399.0");
        assert!(
            out.get("breadcrumbs")
                .unwrap()
                .to_json()
                .contains("1772357390.0")
        );
        assert!(out.get("errors").unwrap().to_json().contains("clock_drift"));
        assert!(meta.contains("clock_drift"));
        around.sent_us = Some(around.received.us() - 54 * 60 * SECOND_US);
        let (out, _) = event_around(r#"{"timestamp":1772353799}"#, &around);
        assert_eq!(out.get("timestamp").unwrap().to_json(), "1772353799.0");
    }

    #[test]
    fn no_clock_is_wrong_enough_to_break_anything() {
        for sent_us in [i64::MIN, i64::MAX, 0] {
            let mut around = surroundings();
            around.sent_us = Some(sent_us);
            for timestamp in ["-62135596800", "253402300799", "0", "null"] {
                let sent = format!(
                    r#"{{"timestamp":{timestamp},"breadcrumbs":[{{"timestamp":{timestamp}}}]}}"#
                );
                let (out, _) = event_around(&sent, &around);
                assert!(out.get("timestamp").and_then(parse).is_some());
            }
        }
    }
}
