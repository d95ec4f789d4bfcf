//! Whole events, hostile events and recorded events; what the other files' tests normalise with.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::*;

/// Received at 2026-03-01 09:30:00 UTC.
pub(super) const EVENT: Surroundings = Surroundings {
    kind: Kind::Event,
    id: EventId([0xab; 16]),
    received: Timestamp::from_secs(1_772_357_400),
    sent_us: None,
    peer: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
};

pub(super) fn surroundings() -> Surroundings {
    EVENT
}

/// The JSON of a field after a rule.
pub(super) fn one_field(sent: &str, rule: impl Fn(&mut Node<'_>, &Path<'_>, &mut Meta)) -> String {
    apply(sent, rule).0
}

/// What a rule remembers of a field named `f`.
pub(super) fn one_field_meta(
    sent: &str,
    rule: impl Fn(&mut Node<'_>, &Path<'_>, &mut Meta),
) -> String {
    apply(sent, rule).1
}

fn apply(sent: &str, rule: impl Fn(&mut Node<'_>, &Path<'_>, &mut Meta)) -> (String, String) {
    let mut node: Node<'_> = serde_json::from_str(sent).unwrap();
    let mut meta = Meta::default();
    let root = Path::ROOT;
    rule(&mut node, &root.key("f"), &mut meta);
    (node.to_json(), meta_json(meta))
}

fn meta_json(meta: Meta) -> String {
    let mut map = Map::new();
    meta.write_to(&mut map);
    map.get("_meta").map(Node::to_json).unwrap_or_default()
}

/// An error event after normalisation, and its annotations.
pub(super) fn event(sent: &str) -> (Map<'static>, String) {
    event_around(sent, &EVENT)
}

pub(super) fn event_around(sent: &str, around: &Surroundings) -> (Map<'static>, String) {
    let mut map = Map::parse(sent.as_bytes()).unwrap();
    let mut meta = Meta::default();
    super::event(&mut map, around, &mut meta).unwrap();
    (map.to_owned(), meta_json(meta))
}

pub(super) fn kind_of_event(kind: Kind, sent: &str) -> Result<Map<'static>, &'static str> {
    let mut map = Map::parse(sent.as_bytes()).unwrap();
    let around = Surroundings { kind, ..EVENT };
    super::event(&mut map, &around, &mut Meta::default())?;
    Ok(map.to_owned())
}

fn json(map: &Map<'_>) -> String {
    String::from_utf8(map.to_vec()).unwrap()
}

#[test]
fn an_empty_event_gets_what_every_event_has() {
    let (out, meta) = event("{}");
    assert_eq!(
        json(&out),
        concat!(
            r#"{"event_id":"abababababababababababababababab","type":"default","platform":"other","#,
            r#""level":"error","received":1772357400.0,"timestamp":1772357400.0}"#
        )
    );
    assert_eq!(meta, "");
}

#[test]
fn whose_an_event_is_is_not_for_the_client_to_say() {
    let (out, _) = event(r#"{"project":5,"key_id":"x","site":{"a":1}}"#);
    for field in ["project", "key_id", "site"] {
        assert!(!out.contains(field), "{field}");
    }
}

#[test]
fn fields_of_the_sdk_that_have_a_wrong_type_are_nulled_and_remembered() {
    let (out, meta) = event(
        r#"{"sdk":{"name":5,"version":"1","integrations":"x","packages":[{"name":"p"}],"own":7}}"#,
    );
    assert_eq!(
        out.get("sdk").unwrap().to_json(),
        r#"{"version":"1","packages":[{"name":"p"}],"own":7}"#
    );
    for field in ["name", "integrations"] {
        assert!(
            meta.contains(&format!(r#""{field}":{{"":{{"err""#)),
            "{meta}"
        );
    }
}

#[test]
fn garbage_in_every_field_leaves_an_event() {
    let names = [
        "event_id",
        "timestamp",
        "received",
        "platform",
        "level",
        "logger",
        "transaction",
        "culprit",
        "server_name",
        "release",
        "environment",
        "dist",
        "tags",
        "extra",
        "modules",
        "fingerprint",
        "message",
        "logentry",
        "exception",
        "stacktrace",
        "threads",
        "breadcrumbs",
        "user",
        "request",
        "contexts",
        "sdk",
        "debug_meta",
        "errors",
        "template",
        "measurements",
        "time_spent",
        "type",
        "start_timestamp",
        "spans",
        "_meta",
        "sentry.interfaces.Http",
    ];
    let values = [
        "null",
        "true",
        "0",
        "-1",
        "1e308",
        "-9223372036854775808",
        "18446744073709551615",
        r#""""#,
        r#""é\u0000\n""#,
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[{}]",
        "[1,2]",
        r#"[["a","b"]]"#,
        r#"{"":""}"#,
        r#"{"values":{}}"#,
        r#"{"values":[[]]}"#,
        r#"{"a":{"b":[{"c":null}]}}"#,
        r#"{"values":[{"stacktrace":{"frames":[{"vars":[[]],"lineno":[]}]}}]}"#,
    ];
    for value in values {
        let all: Vec<String> = names
            .iter()
            .map(|name| format!(r#""{name}":{value}"#))
            .collect();
        let sent = format!("{{{}}}", all.join(","));
        for kind in [Kind::Event, Kind::Security, Kind::ReplayEvent] {
            let out = kind_of_event(kind, &sent).unwrap();
            check_shapes(&out);
            let again = kind_of_event(kind, &json(&out)).unwrap();
            assert_eq!(json(&again), json(&out), "{sent}");
        }
        for kind in [Kind::Transaction, Kind::Feedback] {
            assert!(kind_of_event(kind, &sent).is_err());
        }
    }
}

#[test]
fn a_good_event_keeps_its_texts_where_they_are() {
    let sent = r#"{"release":"a@1","tags":[["k","v"]],"exception":{"values":[{"type":"T"}]},"logger":"x"}"#;
    let mut map = Map::parse(sent.as_bytes()).unwrap();
    super::event(&mut map, &EVENT, &mut Meta::default()).unwrap();
    for key in ["release", "logger"] {
        let text = map.str(key).unwrap();
        assert!(
            sent.as_bytes().as_ptr_range().contains(&text.as_ptr()),
            "{key}"
        );
    }
}

#[test]
fn fields_have_their_limits() {
    let long = "x".repeat(300);
    let (out, meta) = event(&format!(
        r#"{{"logger":"{long}","transaction":" {long} ","culprit":"{long}","server_name":"{long}","environment":"{long}"}}"#
    ));
    for (key, limit) in [
        ("logger", 64),
        ("transaction", 200),
        ("culprit", 200),
        ("environment", 64),
    ] {
        assert_eq!(out.str(key).unwrap().len(), limit, "{key}");
        assert!(out.str(key).unwrap().ends_with("x..."));
        assert!(
            meta.contains(&format!(r#""{key}":{{"":{{"rem":[["!limit","s""#)),
            "{meta}"
        );
    }
    assert!(out.get("tags").unwrap().to_json().contains("x..."));
    let (out, _) = event(r#"{"logger":"a\nb","time_spent":2147483647,"platform":"cobol"}"#);
    assert!(!out.contains("logger") && !out.contains("time_spent"));
    assert_eq!(out.str("platform"), Some("other"));
}

#[test]
fn a_fingerprint_is_a_list_of_texts() {
    for (sent, expected) in [
        (r#"["a",5,null,{"b":1}]"#, Some(r#"["a","5"]"#)),
        (r#""a""#, Some(r#"["a"]"#)),
        ("{}", None),
        ("[]", None),
    ] {
        let (out, _) = event(&format!(r#"{{"fingerprint":{sent}}}"#));
        assert_eq!(
            out.get("fingerprint").map(Node::to_json).as_deref(),
            expected
        );
    }
}

#[test]
fn the_type_is_inferred() {
    let of = |kind, sent: &str| {
        let out = kind_of_event(kind, sent).unwrap();
        out.str("type").unwrap().to_owned()
    };
    assert_eq!(of(Kind::Event, r#"{"type":"transaction"}"#), "default");
    assert_eq!(of(Kind::Event, r#"{"exception":{"type":"E"}}"#), "error");
    assert_eq!(of(Kind::Event, r#"{"exception":[]}"#), "default");
    assert_eq!(of(Kind::Security, r#"{"type":"hpkp"}"#), "hpkp");
    assert_eq!(of(Kind::Security, r#"{"sentry.interfaces.Csp":{}}"#), "csp");
    assert_eq!(of(Kind::ReplayEvent, "{}"), "replay_event");
}

#[test]
fn legacy_names_are_renamed() {
    let (out, _) = event(
        r#"{"sentry.interfaces.Exception":[{"type":"E"}],"sentry.interfaces.User":{"id":1},"user":{"id":2},"sentry.interfaces.Http":{"url":"u"}}"#,
    );
    assert_eq!(out.map("user").unwrap().str("id"), Some("2"));
    assert_eq!(out.map("request").unwrap().str("url"), Some("u"));
    assert_eq!(out.str("type"), Some("error"));
    assert!(!out.iter().any(|(key, _)| key.starts_with(LEGACY_PREFIX)));
}

#[test]
fn the_servers_word_counts_for_ids_and_times() {
    let (out, _) = event(r#"{"event_id":"ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB","received":5}"#);
    assert_eq!(out.str("event_id"), Some("ab".repeat(16).as_str()));
    assert_eq!(out.get("received").unwrap().to_json(), "1772357400.0");
}

#[test]
fn hostile_events_are_normalised_in_bounded_time() {
    let started = std::time::Instant::now();
    let numbers = vec!["0"; 200_000].join(",");
    let objects = vec!["{}"; 150_000].join(",");
    let pairs = vec![r#"["a","b"]"#; 50_000].join(",");
    let keys: Vec<String> = (0..50_000).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for field in [
        "tags",
        "exception",
        "threads",
        "breadcrumbs",
        "fingerprint",
        "errors",
        "extra",
        "request",
        "contexts",
        "user",
        "stacktrace",
        "logentry",
        "message",
        "sdk",
        "modules",
        "x",
    ] {
        for value in [
            format!("[{numbers}]"),
            format!("[{objects}]"),
            format!("[{pairs}]"),
            format!("{{{}}}", keys.join(",")),
            deep.clone(),
        ] {
            let (out, _) = event(&format!(r#"{{"{field}":{value}}}"#));
            check_shapes(&out);
        }
    }
    event(&format!("{{{}}}", keys.join(",")));
    // An unoptimised build on a busy machine needs some seconds; anything quadratic takes minutes.
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

/// Everything that a recorded event of this size should be after normalisation.
#[test]
fn recorded_events_come_out_in_shape() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/events");
    let Ok(files) = std::fs::read_dir(&folder) else {
        assert!(std::env::var_os("CI").is_none(), "no recorded events");
        println!("skipped: no recorded events");
        return;
    };
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let sent = std::fs::read(&path).unwrap();
        let Some(mut map) = Map::parse(&sent) else {
            continue;
        };
        let had_exception = map.contains("exception");
        super::event(&mut map, &EVENT, &mut Meta::default()).unwrap();
        check_shapes(&map);
        assert_eq!(map.contains("exception"), had_exception, "{path:?}");
        let once = json(&map);
        let mut again = Map::parse(once.as_bytes()).unwrap();
        let mut meta = Meta::default();
        super::event(&mut again, &EVENT, &mut meta).unwrap();
        assert_eq!(json(&again), once, "{path:?}");
        assert!(meta.is_empty(), "{path:?}: {}", meta_json(meta));
        count += 1;
    }
    assert!(count > 50, "{count}");
}

/// The shapes that the module's header promises.
fn check_shapes(event: &Map<'_>) {
    for key in ["event_id", "type", "platform"] {
        assert!(event.str(key).is_some(), "{key}");
    }
    for key in ["timestamp", "received"] {
        assert!(matches!(event.get(key), Some(Node::Number(n)) if n.is_f64()));
    }
    for key in [
        "release",
        "environment",
        "dist",
        "logger",
        "transaction",
        "culprit",
    ] {
        assert!(
            event
                .get(key)
                .is_none_or(|node| node.as_str().is_some_and(|s| !s.is_empty()))
        );
    }
    for key in ["exception", "threads", "breadcrumbs"] {
        let Some(node) = event.get(key) else { continue };
        let values = node.as_map().and_then(|map| map.list("values")).unwrap();
        assert!(!values.is_empty() && values.iter().all(|value| value.as_map().is_some()));
    }
    if let Some(tags) = event.get("tags") {
        let tags = tags.as_list().unwrap();
        assert!(tags.len() <= 200);
        assert!(tags.iter().all(is_pair_of_texts_or_null));
    }
    if let Some(entry) = event.get("logentry") {
        assert!(entry.as_map().unwrap().str("formatted").is_some());
    }
    if let Some(request) = event.get("request") {
        let request = request.as_map().unwrap();
        for key in ["headers", "cookies", "query_string"] {
            if let Some(pairs) = request.get(key) {
                assert!(
                    pairs
                        .as_list()
                        .unwrap()
                        .iter()
                        .all(is_pair_of_texts_or_null)
                );
            }
        }
    }
    for key in [
        "user",
        "contexts",
        "extra",
        "modules",
        "sdk",
        "debug_meta",
        "template",
    ] {
        assert!(
            event.get(key).is_none_or(|node| node.as_map().is_some()),
            "{key}"
        );
    }
    assert!(!event.contains("message") && !event.contains("server_name"));
    assert!(event.iter().all(|(_, value)| !value.is_null()));
}

fn is_pair_of_texts_or_null(node: &Node<'_>) -> bool {
    matches!(
        node.as_list(),
        Some([Node::Text(_), Node::Text(_) | Node::Null])
    )
}
