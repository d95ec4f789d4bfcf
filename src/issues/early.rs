//! Events of a file that the first release wrote: it stored them as SDKs sent them. What was sent under an older name
//! or in an older form is brought where events have it today.

use serde_json::{Map, Value, json};

const PREFIX: &str = "sentry.interfaces.";

/// Brings an event into today's form as far as being shown asks for it. One that is stored today stays as it is.
pub(crate) fn update(event: &mut Value) {
    let Value::Object(event) = event else {
        return;
    };
    rename_interfaces(event);
    move_message(event);
    for name in ["exception", "threads", "breadcrumbs"] {
        if let Some(Value::Array(_)) = event.get(name) {
            let values = event[name].take();
            event.insert(name.to_owned(), json!({ "values": values }));
        }
    }
    if let Some(name) = event.get("level").and_then(Value::as_u64).and_then(level) {
        event.insert("level".to_owned(), json!(name));
    }
}

fn rename_interfaces(event: &mut Map<String, Value>) {
    let is_old = |name: &&String| name.starts_with(PREFIX);
    let old: Vec<String> = event.keys().filter(is_old).cloned().collect();
    for name in old {
        let today = match &name[PREFIX.len()..] {
            "Message" => "logentry".to_owned(),
            "Http" => "request".to_owned(),
            "DebugMeta" => "debug_meta".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        if event.get(&today).is_none_or(Value::is_null)
            && let Some(value) = event.shift_remove(&name)
        {
            event.insert(today, value);
        }
    }
}

/// The words of an event are `logentry` today: an object.
fn move_message(event: &mut Map<String, Value>) {
    for name in ["logentry", "message"] {
        let words = match event.get(name) {
            Some(words @ Value::Object(_)) => words.clone(),
            Some(Value::String(text)) if !text.is_empty() => json!({ "formatted": text }),
            _ => continue,
        };
        event.insert("logentry".to_owned(), words);
        return;
    }
}

/// The numbers of Python's logging.
fn level(number: u64) -> Option<&'static str> {
    Some(match number {
        10 => "debug",
        20 => "info",
        30 => "warning",
        40 => "error",
        50 => "fatal",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_become_todays() {
        for (sent, expected) in [
            (
                json!({"message": "x"}),
                json!({"message": "x", "logentry": {"formatted": "x"}}),
            ),
            (
                json!({"logentry": "x"}),
                json!({"logentry": {"formatted": "x"}}),
            ),
            (
                json!({"sentry.interfaces.Message": {"message": "%s"}, "message": "x"}),
                json!({"message": "x", "logentry": {"message": "%s"}}),
            ),
            (
                json!({"sentry.interfaces.Exception": [{"type": "E"}], "sentry.interfaces.Http": {"url": "u"}}),
                json!({"exception": {"values": [{"type": "E"}]}, "request": {"url": "u"}}),
            ),
            (
                json!({"sentry.interfaces.User": {"id": 1}, "user": {"id": 2}}),
                json!({"sentry.interfaces.User": {"id": 1}, "user": {"id": 2}}),
            ),
            (json!({"level": 40}), json!({"level": "error"})),
            (json!([1]), json!([1])),
        ] {
            let mut event = sent.clone();
            update(&mut event);
            assert_eq!(event, expected, "{sent}");
        }
    }
}
