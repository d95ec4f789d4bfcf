//! The shapes that the parts of an event share (facts/ingestion.md 5).

use serde_json::Value;

use crate::domain::time::Timestamp;

/// The entries of `{"values": [...]}`, of a bare list or of a single object; nulls left out.
pub(crate) fn values(interface: &Value) -> Vec<&Value> {
    let list = match interface {
        Value::Object(object) => match object.get("values") {
            Some(values) => values,
            None => return vec![interface],
        },
        other => other,
    };
    list.as_array()
        .map(|list| list.iter().filter(|value| !value.is_null()).collect())
        .unwrap_or_default()
}

/// The frames of a stack trace, caller first.
pub(crate) fn frames(stacktrace: &Value) -> Vec<&Value> {
    stacktrace["frames"]
        .as_array()
        .map(|frames| frames.iter().filter(|frame| frame.is_object()).collect())
        .unwrap_or_default()
}

/// A string that is not empty.
pub(crate) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A string, a number or a boolean as text; none if it is empty.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|text| !text.is_empty())
}

/// The names and values of a list of pairs or of a map.
pub(crate) fn pairs(value: &Value) -> Vec<(&str, &Value)> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Seconds since 1970, or a date; one without a zone is UTC.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(secs) => {
            let us = (secs.as_f64()? * 1e6).round();
            let range = 0.0..=Timestamp::LAST.us() as f64;
            range.contains(&us).then(|| Timestamp::from_us(us as i64))
        }
        Value::String(text) => {
            Timestamp::parse_rfc3339(text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}Z")))
        }
        _ => None,
    }
}

/// The words of the event itself, formatted.
pub(crate) fn message(event: &Value) -> Option<&str> {
    let entry = &event["logentry"];
    text(&entry["formatted"])
        .or_else(|| text(&entry["message"]))
        .or_else(|| text(entry))
        .or_else(|| text(&event["message"]))
}

/// The exception that the event is about: the last one.
pub(crate) fn main_exception(event: &Value) -> Option<&Value> {
    values(&event["exception"]).pop()
}

/// The stack trace that the event is about: of the last exception, else its own, else the only thread's.
pub(crate) fn main_stacktrace(event: &Value) -> Option<&Value> {
    let is_there = |stacktrace: &&Value| !frames(stacktrace).is_empty();
    let own = main_exception(event)
        .map(|exception| &exception["stacktrace"])
        .filter(is_there)
        .or_else(|| Some(&event["stacktrace"]).filter(is_there));
    own.or_else(|| match values(&event["threads"]).as_slice() {
        [thread] => Some(&thread["stacktrace"]).filter(is_there),
        _ => None,
    })
}

/// At most so many characters, the last three of them dots where something was cut off.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(3)).collect();
    kept + "..."
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_read_in_every_wrapping() {
        let one = json!({"type": "A"});
        for interface in [
            json!({"values": [null, {"type": "A"}]}),
            json!([{"type": "A"}]),
            json!({"type": "A"}),
        ] {
            assert_eq!(values(&interface), [&one]);
        }
        assert!(values(&json!(null)).is_empty());
        assert!(values(&json!({"values": 1})).is_empty());
    }

    #[test]
    fn a_moment_is_a_number_or_a_date() {
        let expected = Some(Timestamp::from_us(1_767_312_000_500_000));
        assert_eq!(moment(&json!(1_767_312_000.5)), expected);
        assert_eq!(moment(&json!("2026-01-02T00:00:00.5Z")), expected);
        assert_eq!(moment(&json!("2026-01-02T00:00:00.5")), expected);
        for wrong in [json!(null), json!("x"), json!(1e30), json!(-1), json!([])] {
            assert_eq!(moment(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(cut("äöüßx", 4), "ä...");
    }
}
