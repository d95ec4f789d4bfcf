//! The parts of an event as the API writes them: `{type, data}`, in camel case, with line numbers beside lines; and
//! what ingestion had to say about them. From the event's JSON alone.

use serde_json::{Map, Value, json};

use crate::domain::time::Timestamp;
use crate::issues::interface::{frames, moment, pairs, values};

/// An interface of an event, the type of its entry, and how that is made.
type Entry = (&'static str, &'static str, fn(&Value) -> Value);

/// In the order of the answer.
const ENTRIES: [Entry; 14] = [
    ("exception", "exception", exception),
    ("stacktrace", "stacktrace", stacktrace),
    ("threads", "threads", threads),
    ("logentry", "message", logentry),
    ("template", "template", template),
    ("csp", "csp", Value::clone),
    ("nel", "nel", Value::clone),
    ("hpkp", "hpkp", Value::clone),
    ("expectct", "expectct", Value::clone),
    ("expectstaple", "expectstaple", Value::clone),
    ("breadcrumbs", "breadcrumbs", breadcrumbs),
    ("request", "request", request),
    ("spans", "spans", Value::clone),
    ("debug_meta", "debugmeta", debug_meta),
];

/// The entries of an event that has these parts.
pub(super) fn of(event: &Value) -> Vec<Value> {
    present(event)
        .map(|(interface, kind, write)| json!({ "type": kind, "data": write(&event[interface]) }))
        .collect()
}

fn present(event: &Value) -> impl Iterator<Item = &'static Entry> {
    ENTRIES
        .iter()
        .filter(|(interface, _, _)| match &event[*interface] {
            Value::Object(object) => !object.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => false,
        })
}

/// The remarks of ingestion, moved to where the answer has what they are about: entries by their index.
pub(super) fn meta(event: &Value, entries: &[Value]) -> Map<String, Value> {
    let remarks = &event["_meta"];
    let mut by_entry = Map::new();
    for (index, (interface, _, _)) in present(event).take(entries.len()).enumerate() {
        if !remarks[*interface].is_null() {
            let about = json!({ "data": remarks[*interface] });
            by_entry.insert(index.to_string(), about);
        }
    }
    let mut meta = Map::new();
    meta.insert("entries".to_owned(), Value::Object(by_entry));
    for (name, field) in [
        ("message", "logentry"),
        ("user", "user"),
        ("contexts", "contexts"),
        ("context", "extra"),
        ("packages", "modules"),
        ("sdk", "sdk"),
        ("tags", "tags"),
    ] {
        meta.insert(name.to_owned(), remarks[field].clone());
    }
    meta
}

/// What was wrong with the event: its own list, and the errors among the remarks (facts/ingestion.md 5.1) that are
/// not in the list already.
pub(super) fn errors(event: &Value) -> Vec<Value> {
    let own = event["errors"].as_array().into_iter().flatten();
    let mut errors: Vec<Value> = own
        .filter_map(Value::as_object)
        .map(|error| {
            let kind = error
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or("unknown_error");
            let mut data = error.clone();
            data.shift_remove("type");
            error_body(kind, data)
        })
        .collect();
    let mut remarked = Vec::new();
    collect_errors(&event["_meta"], &mut Vec::new(), &mut remarked);
    let is_about = |error: &Value| (error["type"].clone(), error["data"]["name"].clone());
    let listed: Vec<_> = errors.iter().map(is_about).collect();
    remarked.retain(|error| !listed.contains(&is_about(error)));
    errors.append(&mut remarked);
    errors
}

/// Remarks lie in the shape of the event, those on a value under an empty name beside its own parts.
fn collect_errors<'a>(remarks: &'a Value, path: &mut Vec<&'a str>, errors: &mut Vec<Value>) {
    let Value::Object(remarks) = remarks else {
        return;
    };
    for (name, inner) in remarks {
        if !name.is_empty() {
            path.push(name);
            collect_errors(inner, path, errors);
            path.pop();
            continue;
        }
        for error in inner["err"].as_array().into_iter().flatten() {
            let (kind, details) = match error {
                Value::String(kind) => (kind.as_str(), None),
                Value::Array(pair) => (
                    pair.first()
                        .and_then(Value::as_str)
                        .unwrap_or("unknown_error"),
                    pair.get(1).and_then(Value::as_object),
                ),
                _ => continue,
            };
            let mut data = details.cloned().unwrap_or_default();
            data.insert("name".to_owned(), json!(path.join(".")));
            if let Some(value) = inner.get("val") {
                data.insert("value".to_owned(), value.clone());
            }
            errors.push(error_body(kind, data));
        }
    }
}

fn error_body(kind: &str, data: Map<String, Value>) -> Value {
    json!({ "type": kind, "message": error_text(kind), "data": data })
}

fn error_text(kind: &str) -> &'static str {
    match kind {
        "invalid_data" => "Discarded invalid value",
        "invalid_attribute" => "Discarded unknown attribute",
        "missing_attribute" => "Missing value for required attribute",
        "value_too_long" => "Discarded value due to exceeding maximum length",
        "future_timestamp" => "Invalid timestamp (in future)",
        "past_timestamp" => "Invalid timestamp (too old)",
        "clock_drift" => "Clock drift detected in SDK",
        "invalid_environment" => "Invalid environment",
        _ => "Unknown error",
    }
}

fn exception(interface: &Value) -> Value {
    let exceptions = values(interface);
    let write = |exception: &&Value| {
        json!({
            "type": exception["type"],
            "value": exception["value"],
            "module": exception["module"],
            "mechanism": exception["mechanism"],
            "threadId": exception["thread_id"],
            "stacktrace": stacktrace(&exception["stacktrace"]),
            "rawStacktrace": stacktrace(&exception["raw_stacktrace"]),
        })
    };
    json!({
        "values": exceptions.iter().map(write).collect::<Vec<_>>(),
        "hasSystemFrames": exceptions.iter().any(|e| has_system_frames(&e["stacktrace"])),
        "excOmitted": interface["exc_omitted"],
    })
}

fn threads(interface: &Value) -> Value {
    let write = |thread: &Value| {
        json!({
            "id": thread["id"],
            "name": thread["name"],
            "current": thread["current"],
            "crashed": thread["crashed"],
            "state": thread["state"],
            "heldLocks": thread["held_locks"],
            "stacktrace": stacktrace(&thread["stacktrace"]),
            "rawStacktrace": stacktrace(&thread["raw_stacktrace"]),
        })
    };
    json!({ "values": values(interface).into_iter().map(write).collect::<Vec<_>>() })
}

/// Null for none.
fn stacktrace(stacktrace: &Value) -> Value {
    if !stacktrace.is_object() {
        return Value::Null;
    }
    json!({
        "frames": frames(stacktrace).into_iter().map(frame).collect::<Vec<_>>(),
        "framesOmitted": stacktrace["frames_omitted"],
        "registers": stacktrace["registers"],
        "hasSystemFrames": has_system_frames(stacktrace),
    })
}

/// Whether some frames are the application's and some are not, so that the latter can be folded away.
fn has_system_frames(stacktrace: &Value) -> bool {
    let frames = frames(stacktrace);
    let is_in_app = |frame: &&Value| frame["in_app"] == true;
    frames.iter().any(is_in_app) && !frames.iter().all(is_in_app)
}

fn frame(frame: &Value) -> Value {
    json!({
        "filename": frame["filename"],
        "absPath": frame["abs_path"],
        "module": frame["module"],
        "package": frame["package"],
        "platform": frame["platform"],
        "instructionAddr": frame["instruction_addr"],
        "symbolAddr": frame["symbol_addr"],
        "function": frame["function"],
        "rawFunction": frame["raw_function"],
        "symbol": frame["symbol"],
        "context": source_lines(frame),
        "lineNo": frame["lineno"],
        "colNo": frame["colno"],
        "inApp": frame["in_app"] == true,
        "trust": frame["trust"],
        "lock": frame["lock"],
        "errors": frame["errors"],
        "vars": frame["vars"],
    })
}

/// `[[line number, line], ...]` around the frame's own line; empty where that is not known.
fn source_lines(frame: &Value) -> Vec<(i64, Value)> {
    let Some(number) = frame["lineno"].as_i64() else {
        return Vec::new();
    };
    if !frame["context_line"].is_string() {
        return Vec::new();
    }
    let lines = |name: &str| frame[name].as_array().cloned().unwrap_or_default();
    let before = lines("pre_context");
    let first = number.saturating_sub(i64::try_from(before.len()).unwrap_or(0));
    let all = before
        .into_iter()
        .chain([frame["context_line"].clone()])
        .chain(lines("post_context"));
    (first..).zip(all).collect()
}

fn logentry(interface: &Value) -> Value {
    let formatted = match &interface["formatted"] {
        Value::Null => &interface["message"],
        formatted => formatted,
    };
    json!({ "formatted": formatted, "message": interface["message"], "params": interface["params"] })
}

fn template(interface: &Value) -> Value {
    json!({
        "filename": interface["filename"],
        "absPath": interface["abs_path"],
        "lineNo": interface["lineno"],
        "context": source_lines(interface),
    })
}

fn breadcrumbs(interface: &Value) -> Value {
    let word = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let write = |crumb: &Value| {
        let at: Option<Timestamp> = moment(&crumb["timestamp"]);
        json!({
            "type": word(&crumb["type"], "default"),
            "timestamp": at,
            "level": word(&crumb["level"], "info"),
            "message": crumb["message"],
            "category": crumb["category"],
            "data": crumb["data"],
            "event_id": crumb["event_id"],
        })
    };
    json!({ "values": values(interface).into_iter().map(write).collect::<Vec<_>>() })
}

fn request(interface: &Value) -> Value {
    let list = |name: &str| match &interface[name] {
        Value::Null => Value::Null,
        // A query that was no list of fields stays as it was sent.
        Value::String(text) => json!(text),
        pairs_or_map => json!(pairs(pairs_or_map)),
    };
    json!({
        "method": interface["method"],
        "url": interface["url"],
        "query": list("query_string"),
        "fragment": interface["fragment"],
        "data": interface["data"],
        "headers": list("headers"),
        "cookies": list("cookies"),
        "env": interface["env"],
        "inferredContentType": interface["inferred_content_type"],
        "apiTarget": interface["api_target"],
    })
}

fn debug_meta(interface: &Value) -> Value {
    json!({ "images": interface["images"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lines_numbered() {
        let written = frame(&json!({
            "function": "pay", "lineno": 3, "in_app": true,
            "pre_context": ["one", "two"], "context_line": "three", "post_context": ["four"],
        }));
        assert_eq!(
            written["context"],
            json!([[1, "one"], [2, "two"], [3, "three"], [4, "four"]])
        );
        assert_eq!(source_lines(&json!({"context_line": "x"})), []);
        assert_eq!(source_lines(&json!({"lineno": 1})), []);
    }

    #[test]
    fn remarks_are_errors_with_the_place_they_are_about() {
        let event = json!({
            "errors": [{"type": "clock_drift", "name": "timestamp", "sdk_time": "x"}, "odd"],
            "_meta": {
                "timestamp": {"": {"err": ["clock_drift"], "val": 1}},
                "user": {"id": {"": {"err": [["invalid_data", {"reason": "expected a string"}]], "val": []}}},
                "release": {"": {"err": ["value_too_long"], "rem": []}},
            },
        });
        assert_eq!(
            json!(errors(&event)),
            json!([
                {"type": "clock_drift", "message": "Clock drift detected in SDK", "data": {"name": "timestamp", "sdk_time": "x"}},
                {"type": "invalid_data", "message": "Discarded invalid value",
                 "data": {"reason": "expected a string", "name": "user.id", "value": []}},
                {"type": "value_too_long", "message": "Discarded value due to exceeding maximum length",
                 "data": {"name": "release"}},
            ])
        );
    }

    #[test]
    fn remarks_go_where_their_entry_is() {
        let event = json!({
            "logentry": {"formatted": "x"},
            "request": {"url": "https://shop.test/"},
            "_meta": {"request": {"url": {"": {"len": 300}}}, "extra": {"a": {"": {}}}},
        });
        let entries = of(&event);
        let kinds: Vec<_> = entries.iter().map(|entry| &entry["type"]).collect();
        assert_eq!(kinds, ["message", "request"]);
        let meta = Value::Object(meta(&event, &entries));
        assert_eq!(
            meta["entries"],
            json!({"1": {"data": {"url": {"": {"len": 300}}}}})
        );
        assert_eq!(meta["context"], json!({"a": {"": {}}}));
    }
}
