//! The tags of an event: its own, and those that follow from its other fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::interface::{main_exception, pairs, plain, text};

/// By key. A field's tag wins over one of the event's own that has the same key: `release` and its like are fields
/// (facts/ingestion.md 5.4), and a tag of the name is from an SDK that did not know.
pub(crate) fn of(event: &Value) -> BTreeMap<String, String> {
    let mut tags: BTreeMap<String, String> = pairs(&event["tags"])
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), plain(value)?)))
        .collect();
    for name in [
        "level",
        "logger",
        "environment",
        "release",
        "dist",
        "server_name",
        "transaction",
    ] {
        if let Some(value) = plain(&event[name]) {
            tags.insert(name.to_owned(), value);
        }
    }
    let url = text(&event["request"]["url"]).map(str::to_owned);
    let mechanism = &main_exception(event).unwrap_or(&Value::Null)["mechanism"];
    let handled = mechanism["handled"].as_bool();
    for (name, value) in [
        ("url", url),
        ("user", user(&event["user"])),
        ("mechanism", text(&mechanism["type"]).map(str::to_owned)),
        (
            "handled",
            handled.map(|is| if is { "yes" } else { "no" }.to_owned()),
        ),
    ] {
        if let Some(value) = value {
            tags.entry(name.to_owned()).or_insert(value);
        }
    }
    tags
}

/// What tells one user from another: the first of these that is known.
fn user(user: &Value) -> Option<String> {
    [
        ("id", "id"),
        ("username", "username"),
        ("email", "email"),
        ("ip", "ip_address"),
    ]
    .into_iter()
    .find_map(|(word, field)| Some(format!("{word}:{}", plain(&user[field])?)))
}

/// What to search for to find events of the same tag, where that is not simply key and value: a user's.
pub(crate) fn query(key: &str, value: &str) -> Option<String> {
    if key != "user" {
        return None;
    }
    let (field, value) = value.split_once(':')?;
    Some(format!("user.{field}:\"{}\"", value.replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs_of(event: Value) -> Vec<(String, String)> {
        of(&event).into_iter().collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn fields_are_tags_as_well() {
        let event = json!({
            "tags": [["a", "1"], ["release", "old"], ["none", null], ["url", "mine"], 5],
            "release": "shop@1", "level": "error", "user": {"id": 7, "email": "a@example.test"},
            "request": {"url": "https://shop.test/"},
            "exception": {"values": [{"type": "A", "mechanism": {"type": "wsgi", "handled": false}}]},
        });
        assert_eq!(
            pairs_of(event),
            expected(&[
                ("a", "1"),
                ("handled", "no"),
                ("level", "error"),
                ("mechanism", "wsgi"),
                ("release", "shop@1"),
                ("url", "mine"),
                ("user", "id:7"),
            ])
        );
        assert_eq!(
            pairs_of(json!({"tags": {"b": true}})),
            expected(&[("b", "true")])
        );
        assert_eq!(pairs_of(json!([])), []);
    }

    #[test]
    fn a_user_is_searched_for_by_field() {
        assert_eq!(query("user", "id:7").as_deref(), Some("user.id:\"7\""));
        assert_eq!(query("level", "error"), None);
    }
}
