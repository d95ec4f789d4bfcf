//! An event's type, title, metadata, culprit and location (facts/ingestion.md 10.3 and 10.4).

use serde_json::{Map, Value, json};

use super::interface::{cut, frames, main_exception, main_stacktrace, message, text};
use crate::domain::stored::StoredKind;

const TYPE_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 1024;
const TITLE_LINE_CHARS_MAX: usize = 100;
const CULPRIT_CHARS_MAX: usize = 200;

const UNLABELED: &str = "<unlabeled event>";
/// What nameless functions are called.
const NO_FUNCTIONS: [&str; 3] = ["?", "<unknown>", "<redacted>"];

/// What an event is about, in the protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    Default,
    Error,
    Csp,
    Nel,
    Hpkp,
    ExpectCt,
    ExpectStaple,
    Transaction,
    Feedback,
}

impl EventType {
    /// The types that an interface of their name makes an event be.
    const REPORTS: [EventType; 5] = [
        EventType::Csp,
        EventType::Nel,
        EventType::Hpkp,
        EventType::ExpectCt,
        EventType::ExpectStaple,
    ];

    pub(crate) fn of(kind: StoredKind, event: &Value) -> EventType {
        match kind {
            StoredKind::Transaction => return EventType::Transaction,
            StoredKind::Feedback => return EventType::Feedback,
            _ => {}
        }
        let has_type_or_value = |exception: &Value| {
            text(&exception["type"]).is_some() || text(&exception["value"]).is_some()
        };
        let report = EventType::REPORTS
            .into_iter()
            .find(|report| event[report.name()].is_object());
        match report {
            Some(report) => report,
            None if main_exception(event).is_some_and(has_type_or_value) => EventType::Error,
            None => EventType::Default,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            EventType::Default => "default",
            EventType::Error => "error",
            EventType::Csp => "csp",
            EventType::Nel => "nel",
            EventType::Hpkp => "hpkp",
            EventType::ExpectCt => "expectct",
            EventType::ExpectStaple => "expectstaple",
            EventType::Transaction => "transaction",
            EventType::Feedback => "feedback",
        }
    }
}

/// How an event is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) event_type: EventType,
    pub(crate) title: String,
    /// What the title is made of.
    pub(crate) metadata: Map<String, Value>,
    /// Where it happened: a transaction, a place in the code, a URL. Empty if nothing says so.
    pub(crate) culprit: String,
    pub(crate) location: Option<String>,
}

impl Summary {
    pub(crate) fn of(kind: StoredKind, event: &Value) -> Summary {
        let event_type = EventType::of(kind, event);
        let metadata = metadata(event_type, event);
        let field = |name: &str| metadata.get(name).and_then(text);
        let title = title(event_type, event, &metadata);
        let location = match event_type {
            EventType::Error => field("filename"),
            EventType::Csp => field("uri"),
            EventType::Transaction => text(&event["transaction"]),
            _ => None,
        }
        .map(str::to_owned);
        Summary {
            event_type,
            title,
            culprit: culprit(event),
            location,
            metadata,
        }
    }
}

fn title(event_type: EventType, event: &Value, metadata: &Map<String, Value>) -> String {
    let field = |name: &str| metadata.get(name).and_then(text);
    match event_type {
        EventType::Error => match (field("type"), field("value").and_then(first_line)) {
            (Some(name), Some(value)) => format!("{name}: {value}"),
            (Some(name), None) => name.to_owned(),
            (None, _) => field("function").unwrap_or("<unknown>").to_owned(),
        },
        EventType::Transaction => text(&event["transaction"])
            .unwrap_or("<unlabeled transaction>")
            .to_owned(),
        EventType::Feedback => "User Feedback".to_owned(),
        EventType::Default => field("title").unwrap_or(UNLABELED).to_owned(),
        _ => field("message").unwrap_or(UNLABELED).to_owned(),
    }
}

fn metadata(event_type: EventType, event: &Value) -> Map<String, Value> {
    let mut metadata = Map::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            metadata.insert(name.to_owned(), json!(value));
        }
    };
    match event_type {
        EventType::Error => {
            let exception = main_exception(event).unwrap_or(&Value::Null);
            if !is_synthetic(exception) {
                let name = text(&exception["type"]).unwrap_or("Error");
                add("type", Some(cut(name, TYPE_CHARS_MAX)));
            }
            let value = text(&exception["value"]);
            add("value", value.map(|value| cut(value, VALUE_CHARS_MAX)));
            let frame = crash_frame(event).unwrap_or(&Value::Null);
            add("filename", file(frame).map(str::to_owned));
            add("function", function(frame).map(str::to_owned));
        }
        EventType::Csp => {
            let report = &event["csp"];
            let directive = text(&report["effective_directive"]);
            let uri = text(&report["blocked_uri"]);
            let words = match message(event) {
                Some(words) => words.to_owned(),
                None => format!(
                    "Blocked '{}' from '{}'",
                    directive.unwrap_or_default(),
                    uri.unwrap_or("self")
                ),
            };
            add("directive", directive.map(str::to_owned));
            add("uri", uri.map(str::to_owned));
            add("message", Some(words));
        }
        EventType::Nel | EventType::Hpkp | EventType::ExpectCt | EventType::ExpectStaple => {
            let report = &event[event_type.name()];
            add("origin", text(&report["hostname"]).map(str::to_owned));
            add("message", message(event).map(str::to_owned));
        }
        EventType::Feedback => {
            let feedback = &event["contexts"]["feedback"];
            for name in ["message", "contact_email", "name", "source"] {
                add(name, text(&feedback[name]).map(str::to_owned));
            }
        }
        EventType::Transaction => {
            add("title", text(&event["transaction"]).map(str::to_owned));
        }
        EventType::Default => {
            let line = message(event).and_then(first_line);
            add("title", Some(line.unwrap_or_else(|| UNLABELED.to_owned())));
        }
    }
    metadata
}

/// The first line that says anything, cut to what a title may hold.
fn first_line(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?.trim_end();
    (!line.is_empty()).then(|| cut(line, TITLE_LINE_CHARS_MAX))
}

/// Whether a runtime made the exception up to carry a stack trace, so that its type means nothing.
fn is_synthetic(exception: &Value) -> bool {
    exception["mechanism"]["synthetic"] == true
}

/// The last frame of the application itself whose function has a name, else the last with a name, else the last.
fn crash_frame(event: &Value) -> Option<&Value> {
    let frames = frames(main_stacktrace(event)?);
    let is_named = |frame: &&&Value| function(frame).is_some();
    let named_in_app = frames
        .iter()
        .rev()
        .find(|frame| frame["in_app"] == true && is_named(frame));
    named_in_app
        .or_else(|| frames.iter().rev().find(is_named))
        .or(frames.last())
        .copied()
}

fn function(frame: &Value) -> Option<&str> {
    text(&frame["function"]).filter(|name| !NO_FUNCTIONS.contains(name))
}

fn file(frame: &Value) -> Option<&str> {
    text(&frame["filename"]).or_else(|| text(&frame["abs_path"]))
}

fn culprit(event: &Value) -> String {
    let named = text(&event["transaction"])
        .or_else(|| text(&event["culprit"]))
        .or_else(|| text(&event["csp"]["violated_directive"]))
        .or_else(|| text(&event["csp"]["effective_directive"]))
        .map(str::to_owned);
    let culprit = match named {
        Some(named) => named,
        None if main_exception(event).is_some_and(is_synthetic) => String::new(),
        None => place_in_code(event)
            .or_else(|| text(&event["request"]["url"]).map(str::to_owned))
            .unwrap_or_default(),
    };
    cut(&culprit, CULPRIT_CHARS_MAX)
}

fn place_in_code(event: &Value) -> Option<String> {
    let frames = frames(main_stacktrace(event)?);
    let in_app = frames.iter().rev().find(|frame| frame["in_app"] == true);
    let frame = in_app.or(frames.last())?;
    let platform = text(&frame["platform"]).or_else(|| text(&event["platform"]));
    let function = text(&frame["function"]);
    let unless_unknown = |place: Option<&str>, words: &dyn Fn(&str, &str) -> String| {
        let is_known = place.is_some() || function.is_some();
        is_known.then(|| words(place.unwrap_or("?"), function.unwrap_or("?")))
    };
    match platform {
        Some("native" | "cocoa" | "objc") => function.map(str::to_owned),
        Some("javascript" | "node") => {
            unless_unknown(file(frame), &|file, function| format!("{function}({file})"))
        }
        _ => {
            let place = text(&frame["module"]).or_else(|| file(frame));
            unless_unknown(place, &|place, function| format!("{place} in {function}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(event: Value) -> Summary {
        Summary::of(StoredKind::Event, &event)
    }

    fn titled(event: Value) -> (&'static str, String) {
        let summary = summary(event);
        (summary.event_type.name(), summary.title)
    }

    #[test]
    fn an_error_is_called_by_its_last_exception() {
        let event = json!({"exception": {"values": [
            {"type": "Cause", "value": "first"},
            {"type": "KeyError", "value": "'a'\nmore", "stacktrace": {"frames": [
                {"filename": "main.py", "function": "main", "in_app": true},
                {"filename": "shop.py", "module": "shop.cart", "function": "pay", "in_app": true},
                {"filename": "lib.py", "function": "get", "in_app": false},
            ]}},
        ]}});
        let summary = summary(event);
        assert_eq!(summary.title, "KeyError: 'a'");
        assert_eq!(
            Value::Object(summary.metadata),
            json!({"type": "KeyError", "value": "'a'\nmore", "filename": "shop.py", "function": "pay"})
        );
        assert_eq!(summary.culprit, "shop.cart in pay");
        assert_eq!(summary.location.as_deref(), Some("shop.py"));
    }

    #[test]
    fn what_an_exception_lacks_is_made_up_for() {
        let of = |exception: Value| titled(json!({"exception": {"values": [exception]}}));
        for (exception, title) in [
            (json!({"type": "KeyError"}), "KeyError"),
            (json!({"value": "lost"}), "Error: lost"),
            (
                json!({"type": "SIGSEGV", "mechanism": {"synthetic": true}}),
                "<unknown>",
            ),
            (
                json!({"type": "SIGSEGV", "mechanism": {"synthetic": true},
                       "stacktrace": {"frames": [{"function": "crash"}, {"function": "?"}]}}),
                "crash",
            ),
            (
                json!({"type": "A", "value": "x".repeat(101)}),
                &format!("A: {}...", "x".repeat(97)),
            ),
        ] {
            assert_eq!(of(exception), ("error", title.to_owned()));
        }
    }

    #[test]
    fn a_message_is_called_by_its_first_line() {
        for (event, title) in [
            (json!({"logentry": {"formatted": "\nlost\nmore"}}), "lost"),
            (json!({"logentry": {"message": "lost %s"}}), "lost %s"),
            (json!({"message": "lost"}), "lost"),
            (json!({"exception": {"values": [{}]}}), UNLABELED),
            (json!({"logentry": 1, "exception": 2}), UNLABELED),
            (Value::Null, UNLABELED),
        ] {
            assert_eq!(titled(event), ("default", title.to_owned()));
        }
    }

    #[test]
    fn a_report_is_called_by_its_message() {
        let report =
            json!({"csp": {"effective_directive": "img-src", "blocked_uri": "https://bad.test"}});
        let summary = summary(report);
        assert_eq!(summary.event_type, EventType::Csp);
        assert_eq!(summary.title, "Blocked 'img-src' from 'https://bad.test'");
        assert_eq!(summary.location.as_deref(), Some("https://bad.test"));
        assert_eq!(summary.culprit, "img-src");
        let worded = json!({"csp": {}, "logentry": {"formatted": "Blocked inline 'style'"}});
        assert_eq!(titled(worded), ("csp", "Blocked inline 'style'".to_owned()));
    }

    #[test]
    fn the_stored_kind_overrules_the_fields() {
        let event = json!({"transaction": "GET /", "exception": {"values": [{"type": "A"}]}});
        let transaction = Summary::of(StoredKind::Transaction, &event);
        assert_eq!(transaction.title, "GET /");
        assert_eq!(transaction.location.as_deref(), Some("GET /"));
        let feedback = json!({"contexts": {"feedback": {"message": "it broke", "name": "Ann"}}});
        let feedback = Summary::of(StoredKind::Feedback, &feedback);
        assert_eq!(
            (feedback.title.as_str(), &feedback.metadata["message"]),
            ("User Feedback", &json!("it broke"))
        );
    }

    #[test]
    fn the_culprit_is_written_as_the_platform_does() {
        let of = |platform: &str, frame: Value| {
            let stacktrace = json!({"frames": [frame, {"function": "lib", "filename": "lib.x"}]});
            summary(json!({"platform": platform, "stacktrace": stacktrace})).culprit
        };
        let frame = json!({"filename": "a.js", "function": "pay", "in_app": true});
        assert_eq!(of("javascript", frame.clone()), "pay(a.js)");
        assert_eq!(of("cocoa", frame.clone()), "pay");
        assert_eq!(of("php", frame), "a.js in pay");
        assert_eq!(
            of("php", json!({"filename": "a.php", "in_app": true})),
            "a.php in ?"
        );
        // The last one, where none is the application's.
        assert_eq!(of("node", json!({"filename": "a.js"})), "lib(lib.x)");
        let url = json!({"request": {"url": "https://shop.test/"}});
        assert_eq!(summary(url).culprit, "https://shop.test/");
        assert_eq!(
            summary(json!({"transaction": "x".repeat(201)}))
                .culprit
                .len(),
            200
        );
    }
}
