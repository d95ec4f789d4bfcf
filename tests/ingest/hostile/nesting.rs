//! JSON, MessagePack, protobuf and XML that are nested up to a million deep: whoever reads them by recursion
//! overflows its stack, which ends the process.

use super::category::*;
use super::{
    Attack, DUMP, DUMP_PART, FORM, Victim, bombs, container, envelope, form, item, item_with,
};
use crate::support::KEY;

const DEPTH: usize = 1_000_000;

/// As deep as a list with an end can be in what an event may have.
const DEPTH_IN_EVENT: usize = 524_000;

/// Lists that have no end.
fn open() -> String {
    "[".repeat(DEPTH)
}

fn lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn objects(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

/// Objects with a value that is nested in each way.
fn nested() -> [(&'static str, String); 3] {
    let whole = lists(DEPTH_IN_EVENT - 50);
    [
        ("lists", format!("{{\"extra\":{whole}}}")),
        ("objects", objects(170_000)),
        ("lists without an end", format!("{{\"extra\":{}", open())),
    ]
}

fn events() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (name, json) in nested() {
        let store = Attack::new(name, "store/", &*json).answered(400);
        attacks.push(store.invalid(ERROR, "invalid_json", 1));
        let event = Attack::new(format!("event, {name}"), "envelope/", item("event", &json));
        attacks.push(event.invalid(ERROR, "invalid_json", 1));
        let transaction = item("transaction", &json);
        let transaction = Attack::new(format!("transaction, {name}"), "envelope/", transaction)
            .invalid(TRANSACTION, "invalid_json", 1)
            .invalid(TRANSACTION_INDEXED, "invalid_json", 1)
            .invalid(SPAN, "invalid_json", 1)
            .invalid(SPAN_INDEXED, "invalid_json", 1);
        attacks.push(transaction);
        let feedback = Attack::new(
            format!("feedback, {name}"),
            "envelope/",
            item("feedback", &json),
        );
        attacks.push(feedback.invalid(FEEDBACK, "invalid_json", 1));
    }
    attacks
}

fn headers() -> Vec<Attack> {
    let lists = lists(DEPTH_IN_EVENT - 100);
    let event = "{\"type\":\"event\"}\n{}";
    let attack = |name: &str, body: String| Attack::new(name, "envelope/", body);
    vec![
        attack("header", format!("{{\"trace\":{lists}}}\n{event}\n")).accepted(ERROR, 1),
        attack(
            "header's id",
            format!("{{\"event_id\":{lists}}}\n{event}\n"),
        )
        .accepted(ERROR, 1),
        attack("header's dsn", format!("{{\"dsn\":{lists}}}\n{event}\n")).accepted(ERROR, 1),
        attack("header that is a list", format!("{lists}\n{event}\n"))
            .answered(400)
            .invalid(DEFAULT, "invalid_envelope", 1),
        attack("header without an end", format!("{{\"dsn\":{}", open()))
            .answered(400)
            .invalid(DEFAULT, "invalid_envelope", 1),
        attack(
            "item header",
            envelope(format!("{{\"type\":\"event\",\"x\":{lists}}}\n{{}}")),
        )
        .accepted(ERROR, 1),
        attack(
            "item's type",
            envelope(format!("{{\"type\":{lists}}}\n{{}}")),
        )
        .answered(400)
        .invalid(DEFAULT, "invalid_envelope", 1),
        attack(
            "item's length",
            envelope(format!("{{\"type\":\"event\",\"length\":{lists}}}\n{{}}")),
        )
        .answered(400)
        .invalid(DEFAULT, "invalid_envelope", 1),
    ]
}

/// Items that are one object each.
fn objects_of_their_own() -> Vec<Attack> {
    let json = format!("{{\"a\":{}}}", lists(DEPTH));
    let small = format!("{{\"a\":{}}}", lists(50_000));
    let attack = |kind: &str, json: &str| Attack::new(kind, "envelope/", item(kind, json));
    vec![
        attack("session", &json).invalid(SESSION, "invalid_json", 1),
        attack("sessions", &json).invalid(SESSION, "invalid_json", 1),
        attack("user_report", &small).invalid(FEEDBACK, "invalid_json", 1),
        attack("check_in", &small).invalid(MONITOR, "invalid_check_in", 1),
        attack("client_report", &small),
        attack("client_report", &format!("{{\"discarded_events\":{}}}", lists(50_000))),
        attack("span", &json)
            .invalid(SPAN, "invalid_json", 1)
            .invalid(SPAN_INDEXED, "invalid_json", 1),
        attack("profile_chunk", &json).row(18, 0, "", 1),
        Attack::new(
            "replay",
            "envelope/",
            envelope(format!(
                "{{\"type\":\"replay_event\"}}\n{{\"a\":{}}}\n{{\"type\":\"replay_recording\"}}\n{{}}",
                lists(500_000)
            )),
        )
        .accepted(REPLAY, 1)
        .invalid(REPLAY, "invalid_replay", 1),
    ]
}

fn containers() -> Vec<Attack> {
    let entry = format!("{{\"body\":{}}}", lists(DEPTH));
    let attack =
        |kind: &str, entry: &str| Attack::new(kind, "envelope/", container(kind, entry, 1));
    let log_bytes = |entry: &str| format!("{{\"items\":[{entry}]}}").len();
    let outer = format!("{{\"x\":{},\"items\":[{{\"body\":\"a\"}}]}}", lists(DEPTH));
    vec![
        attack("log", &entry)
            .invalid(LOG_ITEM, "invalid_log", 1)
            .invalid(LOG_BYTE, "invalid_log", log_bytes(&entry)),
        attack("log", &open())
            .invalid(LOG_ITEM, "invalid_log", 1)
            .invalid(LOG_BYTE, "invalid_log", log_bytes(&open())),
        attack("trace_metric", &lists(500_000)).invalid(TRACE_METRIC, "invalid_trace_metric", 1),
        attack("span", &entry)
            .invalid(SPAN, "invalid_span", 1)
            .invalid(SPAN_INDEXED, "invalid_span", 1),
        Attack::new(
            "log beside a nested field",
            "envelope/",
            item_with("log", ",\"item_count\":1", &outer),
        )
        .accepted(LOG_ITEM, 1)
        .accepted(LOG_BYTE, outer.len()),
    ]
}

/// Bodies of the other endpoints.
fn endpoints() -> Vec<Attack> {
    let nested_lists = lists;
    let lists = lists(DEPTH);
    let object = format!("{{\"a\":{lists}}}");
    let within = |outer: &str| outer.replace('?', &lists);
    let small = format!("{{\"status\":{}}}", nested_lists(50_000));
    let report = format!("{{\"csp-report\":{{\"x\":{}}}}}", nested_lists(500_000));
    let json = |endpoint: &str, body: &str| {
        Attack::new("JSON", endpoint, body).content_type("application/json")
    };
    vec![
        json("security/", &report).invalid(SECURITY, "security_report_type", 1),
        json("nel/", &object)
            .answered(413)
            .invalid(DEFAULT, "too_large:log", 1),
        json("cron/job/", &small)
            .answered(400)
            .invalid(DEFAULT, "invalid_json", 1),
        json("integration/otlp/v1/traces/", &object).answered(202),
        json("integration/otlp/v1/traces/", &within("{\"resourceSpans\":?}"))
            .answered(400)
            .invalid(DEFAULT, "invalid_json", 1),
        json(
            "integration/otlp/v1/traces/",
            &format!(
                "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"attributes\":{}}}]}}]}}]}}",
                nested_lists(20_000)
            ),
        )
        .answered(400)
        .invalid(DEFAULT, "invalid_json", 1),
        json("integration/vercel/logs/", &format!("[{{\"a\":{}}}]", nested_lists(500_000)))
            .answered(202)
            .invalid(LOG_ITEM, "invalid_log", 1)
            .invalid(LOG_BYTE, "invalid_log", "{\"items\":[null]}".len()),
        json("integration/otlp/v1/logs/", &open())
            .answered(400)
            .invalid(DEFAULT, "invalid_json", 1),
        Attack::new("protobuf", "integration/otlp/v1/logs/", nested_protobuf())
            .content_type("application/x-protobuf")
            .answered(400)
            .invalid(DEFAULT, "invalid_proto", 1),
    ]
}

/// A log whose body is a list in a list and so on.
fn nested_protobuf() -> Vec<u8> {
    let mut value: Vec<u8> = Vec::new();
    // Each level has the length of all within, so only the innermost can be as short as could be.
    for _ in 0..300 {
        value = bombs::message(5, &bombs::message(1, &value));
    }
    bombs::export(&bombs::message(2, &bombs::message(5, &value)))
}

/// What comes with a minidump.
fn minidumps() -> Vec<Attack> {
    let json = format!("{{\"a\":{}}}", lists(500_000));
    let deep_name = format!("name=\"sentry{}\"", "[a]".repeat(10_000));
    // One-element arrays, and as many as are read.
    let message = [b"\x81\xa1a".to_vec(), b"\x91".repeat(DEPTH)].concat();
    let shallow = [b"\x81\xa1a".to_vec(), b"\x91".repeat(90), b"\xc0".to_vec()].concat();
    let parts: [(&str, &str, &[u8]); 6] = [
        ("sentry", "name=sentry", json.as_bytes()),
        ("chunks", "name=sentry__1", json.as_bytes()),
        ("brackets", &deep_name, b"x"),
        ("MessagePack", "name=__sentry-event; filename=a", &message),
        (
            "MessagePack within bounds",
            "name=__sentry-event; filename=a",
            &shallow,
        ),
        (
            "breadcrumbs",
            "name=__sentry-breadcrumb1; filename=a",
            &message,
        ),
    ];
    parts
        .map(|(name, disposition, content)| {
            let body = form(&[(disposition, content), (DUMP_PART, DUMP)]);
            Attack::new(name, "minidump/", body)
                .content_type(FORM)
                .accepted(ERROR, 1)
                .accepted(ATTACHMENT, DUMP.len())
                .accepted(ATTACHMENT_ITEM, 1)
        })
        .into()
}

fn unreals() -> Vec<Attack> {
    let json = lists(400_000);
    let contexts = [
        ("XML", "<a>".repeat(300_000)),
        (
            "JSON in XML",
            format!("<a><GameData><__sentry>{{\"a\":{json}}}</__sentry></GameData></a>"),
        ),
    ];
    contexts
        .map(|(name, context)| {
            let crash = bombs::unreal(&[("CrashContext.runtime-xml", context.as_bytes())]);
            let endpoint = "unreal/0123456789abcdef0123456789abcdef/";
            Attack::new(name, endpoint, bombs::zlib(&crash))
                .accepted(ERROR, 1)
                .accepted(ATTACHMENT, context.len())
                .accepted(ATTACHMENT_ITEM, 1)
        })
        .into()
}

fn attacks() -> Vec<Attack> {
    [
        events(),
        headers(),
        objects_of_their_own(),
        containers(),
        endpoints(),
        minidumps(),
        unreals(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    Victim::start().withstands(&attacks());
}

/// The dialog has a form, which this is not; so it is told what fields it lacks.
#[test]
fn what_is_nested_is_no_form_of_the_dialog() {
    let victim = Victim::start();
    let before = victim.ledger();
    let target = format!(
        "/api/embed/error-page/?eventId={}&dsn=http%3A%2F%2F{KEY}%40x.test%2F31",
        "a".repeat(32)
    );
    let answer = victim.client().post(&target, open().as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(victim.ledger(), before);
    assert_eq!(victim.small_event().status, 200);
}
