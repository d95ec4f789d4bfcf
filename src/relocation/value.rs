//! How values are written in the file (facts/relocation.md 1): dates, bits, and what is JSON within the JSON.

use serde_json::Value;

use crate::domain::time::Timestamp;

/// A date with exactly three fractional digits; what is finer is cut off.
pub(super) fn date(moment: Timestamp) -> Value {
    let text = Timestamp::from_us(millis(moment) * 1000).to_string();
    let (seconds, fraction) = match text.split_once('.') {
        Some((seconds, fraction)) => (seconds, &fraction[..3]),
        None => (text.trim_end_matches('Z'), "000"),
    };
    Value::String(format!("{seconds}.{fraction}Z"))
}

pub(super) fn date_or_null(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, date)
}

/// As much as a file says of a date.
pub(super) fn millis(moment: Timestamp) -> i64 {
    moment.us().div_euclid(1000)
}

/// Flags are a number in a text.
pub(super) fn bits(bits: u64) -> Value {
    Value::String(bits.to_string())
}

/// The value of an option: numbers, switches and null as they are, anything else as the text of its JSON.
pub(super) fn pickled(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(_) | Value::Array(_) | Value::Object(_) => Value::String(value.to_string()),
    }
}

/// Undoes [`pickled`]. A text that is no JSON is the text itself.
pub(super) fn unpickled(value: Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

/// The words of an array column in any of its three forms: an array, the text of one in JSON, or in Python.
pub(super) fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(array @ Value::Array(_)) => words(&array),
            _ => python_words(text),
        },
        _ => None,
    }
}

/// `['org:ci', "it's"]`.
fn python_words(text: &str) -> Option<Vec<String>> {
    let mut rest = text
        .trim()
        .strip_prefix('[')?
        .strip_suffix(']')?
        .trim_start();
    let mut words = Vec::new();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut word = String::new();
        let mut characters = rest[1..].char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => word.push(characters.next()?.1),
                (at, c) if c == quote => break at + 2,
                (_, c) => word.push(c),
            }
        };
        words.push(word);
        rest = rest[end..].trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_date_has_three_digits_whatever_it_is() {
        for (us, text) in [
            (1_709_626_530_120_000, "2024-03-05T08:15:30.120Z"),
            (1_709_626_530_120_999, "2024-03-05T08:15:30.120Z"),
            (1_709_626_530_000_000, "2024-03-05T08:15:30.000Z"),
            (1_709_626_530_000_999, "2024-03-05T08:15:30.000Z"),
        ] {
            assert_eq!(date(Timestamp::from_us(us)), json!(text));
        }
    }

    #[test]
    fn an_option_comes_back_as_it_went() {
        for (value, text) in [
            (json!(12), json!(12)),
            (json!(true), json!(true)),
            (json!("Europe/Paris"), json!("\"Europe/Paris\"")),
            (json!(["*"]), json!("[\"*\"]")),
            (json!({"match": "all"}), json!("{\"match\":\"all\"}")),
            (json!("12"), json!("\"12\"")),
        ] {
            assert_eq!(pickled(&value), text);
            assert_eq!(unpickled(text), value);
        }
        assert_eq!(unpickled(json!("plain text")), json!("plain text"));
    }

    #[test]
    fn a_list_of_words_is_read_in_three_forms() {
        let expected = Some(vec!["org:ci".to_owned(), "it's".to_owned()]);
        for form in [
            json!(["org:ci", "it's"]),
            json!("[\"org:ci\",\"it's\"]"),
            json!("['org:ci', \"it's\"]"),
            json!("['org:ci', 'it\\'s',]"),
        ] {
            assert_eq!(words(&form), expected, "{form}");
        }
        assert_eq!(words(&json!("[]")), Some(Vec::new()));
        for wrong in [
            json!("org:ci"),
            json!("['a"),
            json!("['a' 'b']"),
            json!("[1]"),
            json!(5),
            json!([5]),
            json!("['é\\"),
            json!("[']"),
            json!("["),
        ] {
            assert_eq!(words(&wrong), None, "{wrong}");
        }
    }
}
