//! The parts of an event as the API writes them: `{type, data}`, in camel case, with line numbers beside lines; and
//! what ingestion had to say about them. From the event's JSON alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::time::Timestamp;
use crate::issues::interface::{cut, frames, moment, pairs, values};

/// How much an entry may show: a frame has eighteen fields in the answer where an SDK may have sent `{}`, so that an
/// answer could be seventy times as long as its event. Ten thousand frames without source are some 3 MB.
const ALLOWANCE: usize = 100_000;
/// What a frame, an exception, a thread or a breadcrumb costs; a line of source costs 1.
const OBJECT_COST: usize = 10;

/// The most errors of an event that are shown, and of the place and the value of each.
const ERRORS_MAX: usize = 1000;
const ERROR_NAME_CHARS_MAX: usize = 500;
const ERROR_VALUE_BYTES_MAX: usize = 2000;

/// What an entry may still show.
struct Allowance(usize);

impl Allowance {
    fn take(&mut self, cost: usize) -> bool {
        let is_enough = self.0 >= cost;
        self.0 = self.0.saturating_sub(cost);
        is_enough
    }

    /// How many of so many objects may be shown; they are paid for.
    fn objects(&mut self, count: usize) -> usize {
        let shown = count.min(self.0 / OBJECT_COST);
        self.0 -= shown * OBJECT_COST;
        shown
    }
}

/// An interface of an event, the type of its entry, and how that is made; none: as it was sent.
type Entry = (&'static str, &'static str, Option<Write>);
type Write = for<'e> fn(&'e Value, &mut Allowance) -> Data<'e>;

/// In the order of the answer.
const ENTRIES: [Entry; 14] = [
    ("exception", "exception", Some(exception)),
    ("stacktrace", "stacktrace", Some(own_stacktrace)),
    ("threads", "threads", Some(threads)),
    ("logentry", "message", Some(logentry)),
    ("template", "template", Some(template)),
    ("csp", "csp", None),
    ("nel", "nel", None),
    ("hpkp", "hpkp", None),
    ("expectct", "expectct", None),
    ("expectstaple", "expectstaple", None),
    ("breadcrumbs", "breadcrumbs", Some(breadcrumbs)),
    ("request", "request", Some(request)),
    ("spans", "spans", None),
    ("debug_meta", "debugmeta", Some(debug_meta)),
];

/// An entry of the answer. It borrows from the event, because that may be long.
#[derive(Serialize)]
pub(super) struct EntryBody<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: Data<'e>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'e> {
    AsSent(&'e Value),
    Exception(ExceptionsBody<'e>),
    Stacktrace(Option<StacktraceBody<'e>>),
    Threads(ValuesBody<ThreadBody<'e>>),
    Breadcrumbs(ValuesBody<BreadcrumbBody<'e>>),
    Message(MessageBody<'e>),
    Template(TemplateBody<'e>),
    Request(RequestBody<'e>),
    Images { images: &'e Value },
}

/// The entries of an event that has these parts.
pub(super) fn of(event: &Value) -> Vec<EntryBody<'_>> {
    present(event)
        .map(|(interface, kind, write)| {
            let value = &event[*interface];
            EntryBody {
                kind,
                data: match write {
                    Some(write) => write(value, &mut Allowance(ALLOWANCE)),
                    None => Data::AsSent(value),
                },
            }
        })
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
pub(super) fn meta(event: &Value) -> MetaBody<'_> {
    let remarks = &event["_meta"];
    MetaBody {
        entries: present(event)
            .enumerate()
            .map(|(index, (interface, _, _))| (index, &remarks[*interface]))
            .filter(|(_, data)| !data.is_null())
            .map(|(index, data)| (index, AboutEntry { data }))
            .collect(),
        message: &remarks["logentry"],
        user: &remarks["user"],
        contexts: &remarks["contexts"],
        context: &remarks["extra"],
        packages: &remarks["modules"],
        sdk: &remarks["sdk"],
        tags: &remarks["tags"],
    }
}

#[derive(Serialize)]
pub(super) struct MetaBody<'e> {
    entries: BTreeMap<usize, AboutEntry<'e>>,
    message: &'e Value,
    user: &'e Value,
    contexts: &'e Value,
    context: &'e Value,
    packages: &'e Value,
    sdk: &'e Value,
    tags: &'e Value,
}

#[derive(Serialize)]
struct AboutEntry<'e> {
    data: &'e Value,
}

/// What was wrong with the event: its own list, and the errors among the remarks (facts/ingestion.md 5.1) that are
/// not in the list already.
pub(super) fn errors(event: &Value) -> Vec<Value> {
    let own = event["errors"].as_array().into_iter().flatten();
    let mut errors: Vec<Value> = own
        .filter_map(Value::as_object)
        .take(ERRORS_MAX)
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
    errors.truncate(ERRORS_MAX);
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
        let name = cut(&path.join("."), ERROR_NAME_CHARS_MAX);
        let value = inner.get("val").filter(|value| is_short(value));
        for error in inner["err"].as_array().into_iter().flatten() {
            if errors.len() == ERRORS_MAX {
                return;
            }
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
            data.insert("name".to_owned(), json!(name));
            if let Some(value) = value {
                data.insert("value".to_owned(), value.clone());
            }
            errors.push(error_body(kind, data));
        }
    }
}

/// Whether a value can stand beside each of its errors.
fn is_short(value: &Value) -> bool {
    serde_json::to_vec(value).is_ok_and(|json| json.len() <= ERROR_VALUE_BYTES_MAX)
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

/// A list that may be cut.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValuesBody<T> {
    values: Vec<T>,
    /// How many more there are. Ours.
    #[serde(skip_serializing_if = "is_zero")]
    values_omitted: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExceptionsBody<'e> {
    #[serde(flatten)]
    list: ValuesBody<ExceptionBody<'e>>,
    has_system_frames: bool,
    exc_omitted: &'e Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExceptionBody<'e> {
    #[serde(rename = "type")]
    kind: &'e Value,
    value: &'e Value,
    module: &'e Value,
    mechanism: &'e Value,
    thread_id: &'e Value,
    stacktrace: Option<StacktraceBody<'e>>,
    raw_stacktrace: Option<StacktraceBody<'e>>,
}

/// The last exceptions are shown, and the very last, which the event is about, has its frames before the others.
fn exception<'e>(interface: &'e Value, allowance: &mut Allowance) -> Data<'e> {
    let exceptions = values(interface);
    let shown = allowance.objects(exceptions.len());
    let mut written: Vec<ExceptionBody<'e>> = exceptions
        .iter()
        .rev()
        .take(shown)
        .map(|exception| ExceptionBody {
            kind: &exception["type"],
            value: &exception["value"],
            module: &exception["module"],
            mechanism: &exception["mechanism"],
            thread_id: &exception["thread_id"],
            stacktrace: stacktrace(&exception["stacktrace"], allowance),
            raw_stacktrace: stacktrace(&exception["raw_stacktrace"], allowance),
        })
        .collect();
    written.reverse();
    Data::Exception(ExceptionsBody {
        list: ValuesBody {
            values: written,
            values_omitted: exceptions.len() - shown,
        },
        has_system_frames: exceptions
            .iter()
            .any(|exception| has_system_frames(&exception["stacktrace"])),
        exc_omitted: &interface["exc_omitted"],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadBody<'e> {
    id: &'e Value,
    name: &'e Value,
    current: &'e Value,
    crashed: &'e Value,
    state: &'e Value,
    held_locks: &'e Value,
    stacktrace: Option<StacktraceBody<'e>>,
    raw_stacktrace: Option<StacktraceBody<'e>>,
}

fn threads<'e>(interface: &'e Value, allowance: &mut Allowance) -> Data<'e> {
    let threads = values(interface);
    let shown = allowance.objects(threads.len());
    let write = |thread: &&'e Value| ThreadBody {
        id: &thread["id"],
        name: &thread["name"],
        current: &thread["current"],
        crashed: &thread["crashed"],
        state: &thread["state"],
        held_locks: &thread["held_locks"],
        stacktrace: stacktrace(&thread["stacktrace"], allowance),
        raw_stacktrace: stacktrace(&thread["raw_stacktrace"], allowance),
    };
    Data::Threads(ValuesBody {
        values: threads.iter().take(shown).map(write).collect(),
        values_omitted: threads.len() - shown,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StacktraceBody<'e> {
    frames: Vec<FrameBody<'e>>,
    frames_omitted: FramesOmitted<'e>,
    registers: &'e Value,
    has_system_frames: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FramesOmitted<'e> {
    /// What the SDK said.
    BySender(&'e Value),
    /// From the first of these frames to before the second, counted from 0.
    Here([usize; 2]),
}

fn own_stacktrace<'e>(interface: &'e Value, allowance: &mut Allowance) -> Data<'e> {
    Data::Stacktrace(stacktrace(interface, allowance))
}

/// None for none. If there are too many frames, the last ones are shown, which are nearest to what happened.
fn stacktrace<'e>(stacktrace: &'e Value, allowance: &mut Allowance) -> Option<StacktraceBody<'e>> {
    if !stacktrace.is_object() {
        return None;
    }
    let all = frames(stacktrace);
    let omitted = all.len() - allowance.objects(all.len());
    let mut frames: Vec<FrameBody<'e>> = all[omitted..]
        .iter()
        .rev()
        .map(|source| frame(source, allowance))
        .collect();
    frames.reverse();
    Some(StacktraceBody {
        frames,
        frames_omitted: match omitted {
            0 => FramesOmitted::BySender(&stacktrace["frames_omitted"]),
            omitted => FramesOmitted::Here([0, omitted]),
        },
        registers: &stacktrace["registers"],
        has_system_frames: has_system_frames(stacktrace),
    })
}

/// Whether some frames are the application's and some are not, so that the latter can be folded away.
fn has_system_frames(stacktrace: &Value) -> bool {
    let frames = frames(stacktrace);
    let is_in_app = |frame: &&Value| frame["in_app"] == true;
    frames.iter().any(is_in_app) && !frames.iter().all(is_in_app)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FrameBody<'e> {
    filename: &'e Value,
    abs_path: &'e Value,
    module: &'e Value,
    package: &'e Value,
    platform: &'e Value,
    instruction_addr: &'e Value,
    symbol_addr: &'e Value,
    function: &'e Value,
    raw_function: &'e Value,
    symbol: &'e Value,
    context: Vec<(i64, &'e Value)>,
    line_no: &'e Value,
    col_no: &'e Value,
    in_app: bool,
    trust: &'e Value,
    lock: &'e Value,
    errors: &'e Value,
    vars: &'e Value,
}

fn frame<'e>(frame: &'e Value, allowance: &mut Allowance) -> FrameBody<'e> {
    FrameBody {
        filename: &frame["filename"],
        abs_path: &frame["abs_path"],
        module: &frame["module"],
        package: &frame["package"],
        platform: &frame["platform"],
        instruction_addr: &frame["instruction_addr"],
        symbol_addr: &frame["symbol_addr"],
        function: &frame["function"],
        raw_function: &frame["raw_function"],
        symbol: &frame["symbol"],
        context: source_lines(frame, allowance),
        line_no: &frame["lineno"],
        col_no: &frame["colno"],
        in_app: frame["in_app"] == true,
        trust: &frame["trust"],
        lock: &frame["lock"],
        errors: &frame["errors"],
        vars: &frame["vars"],
    }
}

/// `[[line number, line], ...]` around the frame's own line; empty where that is not known.
fn source_lines<'e>(frame: &'e Value, allowance: &mut Allowance) -> Vec<(i64, &'e Value)> {
    let Some(number) = frame["lineno"].as_i64() else {
        return Vec::new();
    };
    if !frame["context_line"].is_string() {
        return Vec::new();
    }
    let lines = |name: &str| frame[name].as_array().map_or(&[][..], Vec::as_slice);
    let (before, after) = (lines("pre_context"), lines("post_context"));
    if !allowance.take(before.len() + 1 + after.len()) {
        return Vec::new();
    }
    let first = number.saturating_sub(i64::try_from(before.len()).unwrap_or(0));
    let all = before.iter().chain([&frame["context_line"]]).chain(after);
    (first..).zip(all).collect()
}

#[derive(Serialize)]
struct MessageBody<'e> {
    formatted: &'e Value,
    message: &'e Value,
    params: &'e Value,
}

fn logentry<'e>(interface: &'e Value, _: &mut Allowance) -> Data<'e> {
    let formatted = match &interface["formatted"] {
        Value::Null => &interface["message"],
        formatted => formatted,
    };
    Data::Message(MessageBody {
        formatted,
        message: &interface["message"],
        params: &interface["params"],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateBody<'e> {
    filename: &'e Value,
    abs_path: &'e Value,
    line_no: &'e Value,
    context: Vec<(i64, &'e Value)>,
}

fn template<'e>(interface: &'e Value, allowance: &mut Allowance) -> Data<'e> {
    Data::Template(TemplateBody {
        filename: &interface["filename"],
        abs_path: &interface["abs_path"],
        line_no: &interface["lineno"],
        context: source_lines(interface, allowance),
    })
}

#[derive(Serialize)]
struct BreadcrumbBody<'e> {
    #[serde(rename = "type")]
    kind: &'e str,
    timestamp: Option<Timestamp>,
    level: &'e str,
    message: &'e Value,
    category: &'e Value,
    data: &'e Value,
    event_id: &'e Value,
}

/// The last ones are shown.
fn breadcrumbs<'e>(interface: &'e Value, allowance: &mut Allowance) -> Data<'e> {
    let crumbs = values(interface);
    let omitted = crumbs.len() - allowance.objects(crumbs.len());
    let write = |crumb: &&'e Value| BreadcrumbBody {
        kind: crumb["type"].as_str().unwrap_or("default"),
        timestamp: moment(&crumb["timestamp"]),
        level: crumb["level"].as_str().unwrap_or("info"),
        message: &crumb["message"],
        category: &crumb["category"],
        data: &crumb["data"],
        event_id: &crumb["event_id"],
    };
    Data::Breadcrumbs(ValuesBody {
        values: crumbs[omitted..].iter().map(write).collect(),
        values_omitted: omitted,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestBody<'e> {
    method: &'e Value,
    url: &'e Value,
    query: Fields<'e>,
    fragment: &'e Value,
    data: &'e Value,
    headers: Fields<'e>,
    cookies: Fields<'e>,
    env: &'e Value,
    inferred_content_type: &'e Value,
    api_target: &'e Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Fields<'e> {
    /// None, or a query that was no list of fields.
    AsSent(&'e Value),
    Pairs(Vec<(&'e str, &'e Value)>),
}

fn request<'e>(interface: &'e Value, _: &mut Allowance) -> Data<'e> {
    let fields = |name: &str| match &interface[name] {
        sent @ (Value::Null | Value::String(_)) => Fields::AsSent(sent),
        pairs_or_map => Fields::Pairs(pairs(pairs_or_map)),
    };
    Data::Request(RequestBody {
        method: &interface["method"],
        url: &interface["url"],
        query: fields("query_string"),
        fragment: &interface["fragment"],
        data: &interface["data"],
        headers: fields("headers"),
        cookies: fields("cookies"),
        env: &interface["env"],
        inferred_content_type: &interface["inferred_content_type"],
        api_target: &interface["api_target"],
    })
}

fn debug_meta<'e>(interface: &'e Value, _: &mut Allowance) -> Data<'e> {
    Data::Images {
        images: &interface["images"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lines_numbered() {
        let lines = |frame: Value| json!(source_lines(&frame, &mut Allowance(4)));
        let whole = json!({
            "function": "pay", "lineno": 3, "in_app": true,
            "pre_context": ["one", "two"], "context_line": "three", "post_context": ["four"],
        });
        assert_eq!(
            lines(whole),
            json!([[1, "one"], [2, "two"], [3, "three"], [4, "four"]])
        );
        assert_eq!(lines(json!({"context_line": "x"})), json!([]));
        assert_eq!(lines(json!({"lineno": 1})), json!([]));
    }

    #[test]
    fn what_is_shown_is_bounded_and_what_is_not_is_counted() {
        let trace = json!({"frames": vec![json!({}); 9_998]});
        let of = |event: &Value| serde_json::to_value(of(event)).unwrap();
        let shown = of(&json!({"exception": {"values": [
            {"type": "A", "stacktrace": trace}, {"type": "B", "stacktrace": trace},
        ]}}));
        let values = &shown[0]["data"]["values"];
        assert_eq!(values[1]["stacktrace"]["framesOmitted"], Value::Null);
        assert_eq!(values[0]["stacktrace"]["framesOmitted"], json!([0, 9_998]));
        assert_eq!(values[0]["stacktrace"]["frames"], json!([]));
        for name in ["exception", "threads", "breadcrumbs"] {
            let shown = of(&json!({ name: {"values": vec![json!({}); 10_007]} }));
            assert_eq!(shown[0]["data"]["valuesOmitted"], 7, "{name}");
        }
    }

    #[test]
    fn errors_are_bounded() {
        let long = "x".repeat(100_000);
        let errors = errors(&json!({
            "_meta": {&long: {"": {"err": vec!["invalid_data"; 2000], "val": long}}},
        }));
        assert_eq!(errors.len(), 1000);
        assert!(json!(errors).to_string().len() < 1_000_000);
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
        let kinds: Vec<_> = of(&event).iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, ["message", "request"]);
        let meta = json!(meta(&event));
        assert_eq!(
            meta["entries"],
            json!({"1": {"data": {"url": {"": {"len": 300}}}}})
        );
        assert_eq!(meta["context"], json!({"a": {"": {}}}));
    }
}
