//! Every item ends in exactly its rows of the ledger (facts/ingestion.md 4.2 and 4.5).

use serde_json::json;

use crate::support::{Answer, KEY, Server, WORLD};

const ID: &str = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";

fn send(server: &Server, body: &str) -> Answer {
    server.client().post(
        &format!("/api/31/envelope/?sentry_key={KEY}"),
        body.as_bytes(),
    )
}

/// A transaction with what every one must have, and more.
fn transaction(more: &str) -> String {
    format!(
        "{{\"type\":\"transaction\",\"start_timestamp\":1767312000,\"timestamp\":1767312001,\"contexts\":{{\"trace\":\
         {{\"trace_id\":\"4c79f60c11214eb38604f4ae0781bfb2\",\"span_id\":\"aaaaaaaaaaaaaaaa\"}}}},{more}}}"
    )
}

/// A span of a transaction.
const SPAN: &str = r#"{"trace_id":"4c79f60c11214eb38604f4ae0781bfb2","span_id":"bbbbbbbbbbbbbbbb","start_timestamp":1767312000.1,"timestamp":1767312000.2}"#;

/// Rows of accepted items: category and quantity.
fn accepted(rows: &[(i64, i64)]) -> Vec<(i64, i64, String, i64)> {
    rows.iter()
        .map(|(category, quantity)| (*category, 0, String::new(), *quantity))
        .collect()
}

#[test]
fn each_type_counts_in_its_categories() {
    let logs =
        r#"{"type":"log","item_count":2,"content_type":"application/vnd.sentry.items.log+json"}"#;
    let spans = r#"{"type":"span","item_count":3,"content_type":"application/vnd.sentry.items.span.v2+json"}"#;
    let metrics = r#"{"type":"trace_metric","item_count":1}"#;
    let cases: Vec<(String, &[(i64, i64)])> = vec![
        ("{\"type\":\"event\"}\n{}".to_owned(), &[(1, 1)]),
        (
            format!(
                "{{\"type\":\"transaction\"}}\n{}",
                transaction("\"spans\":[]")
            ),
            &[(2, 1), (9, 1), (12, 1), (16, 1)],
        ),
        (
            format!(
                "{{\"type\":\"transaction\"}}\n{}",
                transaction(&format!("\"spans\":[{SPAN},{SPAN}]"))
            ),
            &[(2, 1), (9, 1), (12, 3), (16, 3)],
        ),
        ("{\"type\":\"security\"}\n{}".to_owned(), &[(3, 1)]),
        (
            "{\"type\":\"attachment\",\"length\":5}\nhello".to_owned(),
            &[(4, 5), (22, 1)],
        ),
        ("{\"type\":\"session\"}\n{}".to_owned(), &[(5, 1)]),
        ("{\"type\":\"sessions\"}\n{}".to_owned(), &[(5, 1)]),
        ("{\"type\":\"user_report\"}\n{}".to_owned(), &[(14, 1)]),
        (
            "{\"type\":\"feedback\"}\n{\"contexts\":{\"feedback\":{\"message\":\"slow\"}}}"
                .to_owned(),
            &[(14, 1)],
        ),
        (
            "{\"type\":\"replay_event\"}\n{}\n{\"type\":\"replay_recording\"}\nx".to_owned(),
            &[(7, 2)],
        ),
        (
            "{\"type\":\"profile\",\"platform\":\"python\"}\n{}".to_owned(),
            &[(6, 1), (11, 1), (35, 1)],
        ),
        (
            "{\"type\":\"profile\"}\n{\"platform\":\"cocoa\"}".to_owned(),
            &[(6, 1), (11, 1), (36, 1)],
        ),
        ("{\"type\":\"profile_chunk\"}\n{}".to_owned(), &[(18, 1)]),
        (
            "{\"type\":\"profile_chunk_ui\",\"platform\":\"android\"}\n{}".to_owned(),
            &[(26, 1)],
        ),
        (
            "{\"type\":\"check_in\"}\n{\"monitor_slug\":\"nightly\",\"status\":\"ok\"}".to_owned(),
            &[(10, 1)],
        ),
        (
            format!("{logs}\n{{\"items\":[{{}},{{}}]}}"),
            &[(23, 2), (24, 17)],
        ),
        (
            format!("{spans}\n{{\"items\":[{{}},{{}},{{}}]}}"),
            &[(12, 3), (16, 3)],
        ),
        ("{\"type\":\"span\"}\n{}".to_owned(), &[(12, 1), (16, 1)]),
        (format!("{metrics}\n{{\"items\":[{{}}]}}"), &[(33, 1)]),
        ("{\"type\":\"statsd\"}\nx:1|c".to_owned(), &[(15, 1)]),
        ("{\"type\":\"newest_thing\"}\n{}".to_owned(), &[]),
    ];
    for (items, rows) in cases {
        let server = Server::start(WORLD);
        let answer = send(&server, &format!("{{}}\n{items}\n"));
        assert_eq!(answer.status, 200, "{items}");
        assert_eq!(server.ledger(), accepted(rows), "{items}");
    }
}

#[test]
fn a_container_whose_count_is_wrong_is_invalid() {
    let server = Server::start(WORLD);
    let body = "{}\n{\"type\":\"log\",\"item_count\":5}\n{\"items\":[{}]}\n";
    assert_eq!(send(&server, body).status, 200);
    let rows = server.ledger();
    assert_eq!(rows[0], (23, 3, "invalid_log".to_owned(), 1));
}

#[test]
fn what_a_container_claims_is_never_counted() {
    let server = Server::start(WORLD);
    let claim = "{}\n{\"type\":\"log\",\"item_count\":18446744073709551615}\nx\n";
    for _ in 0..3 {
        assert_eq!(send(&server, claim).status, 200);
    }
    assert_eq!(
        server.ledger(),
        [
            (23, 3, "invalid_log".to_owned(), 3),
            (24, 3, "invalid_log".to_owned(), 3)
        ]
    );
    let list = "{}\n{\"type\":\"log\",\"item_count\":1}\n[[{}]]\n";
    assert_eq!(send(&server, list).status, 200);
    assert_eq!(server.ledger()[0].3, 4);
}

#[test]
fn a_key_that_comes_twice_rejects_nothing() {
    let server = Server::start(WORLD);
    let body = format!(
        "{{\"event_id\":\"{ID}\",\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\",\"type\":\"event\"}}\n\
         {{\"user\":{{}},\"user\":{{\"id\":1}}}}"
    );
    assert_eq!(send(&server, &body).status, 200);
    assert_eq!(server.ledger(), accepted(&[(1, 1)]));
}

#[test]
fn the_reasons_of_client_reports_are_bounded() {
    let server = Server::start(WORLD);
    for report in 0..3 {
        let entries: Vec<_> = (0..100)
            .map(|n| json!({ "reason": format!("r{report}-{n}"), "category": "error", "quantity": 1 }))
            .collect();
        let report = json!({ "discarded_events": entries });
        let body = format!("{{}}\n{{\"type\":\"client_report\"}}\n{report}");
        assert_eq!(send(&server, &body).status, 200);
    }
    let rows = server.ledger();
    assert_eq!(rows.len(), 101);
    assert!(rows.contains(&(1, 5, "other".to_owned(), 200)));
}

#[test]
fn a_client_report_becomes_what_the_sdk_dropped() {
    let server = Server::start(WORLD);
    let report = json!({
        "timestamp": 1_767_312_000,
        "discarded_events": [
            { "reason": "sample_rate", "category": "transaction", "quantity": 3 },
            ["queue_overflow", "error", 2],
            { "reason": "no_such", "category": "newest_thing", "quantity": 1 },
            { "reason": "x".repeat(201), "category": "error", "quantity": 1 },
            "nonsense",
        ],
    });
    let answer = send(
        &server,
        &format!("{{}}\n{{\"type\":\"client_report\"}}\n{report}"),
    );
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(
        server.ledger(),
        [
            (-1, 5, "no_such".to_owned(), 1),
            (1, 5, "queue_overflow".to_owned(), 2),
            (2, 5, "sample_rate".to_owned(), 3),
        ]
    );
}

#[test]
fn an_envelope_has_an_id_only_if_an_item_needs_one() {
    let server = Server::start(WORLD);
    assert_eq!(send(&server, "{}\n{\"type\":\"session\"}\n{}").text(), "{}");
    assert_eq!(send(&server, "{}").text(), "{}");
    let invented = send(&server, "{}\n{\"type\":\"attachment\"}\nx").json();
    assert_eq!(invented["id"].as_str().map(str::len), Some(32));
    let dashed = "{\"event_id\":\"AAAAAAAA-bbbb-4ccc-dddd-eeeeeeeeeeee\"}";
    assert_eq!(send(&server, dashed).json()["id"], ID);
}

#[test]
fn the_headers_id_wins_over_the_payloads() {
    let server = Server::start(WORLD);
    let other = "bbbbbbbbbbbb4bbbbbbbbbbbbbbbbbbb";
    let body =
        format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\"}}\n{{\"event_id\":\"{other}\"}}");
    assert_eq!(send(&server, &body).json()["id"], ID);
    assert_eq!(server.event(ID)["event_id"], ID);
    let without = format!("{{}}\n{{\"type\":\"event\"}}\n{{\"event_id\":\"{other}\"}}");
    assert_eq!(send(&server, &without).json()["id"], other);
}

#[test]
fn an_event_that_is_no_json_is_taken_and_counted_as_invalid() {
    let server = Server::start(WORLD);
    let body = "{}\n{\"type\":\"event\"}\n{broken\n{\"type\":\"attachment\"}\nxyz\n{\"type\":\"session\"}\n{}";
    assert_eq!(send(&server, body).status, 200);
    let invalid = |category, quantity| (category, 3, "invalid_json".to_owned(), quantity);
    assert_eq!(
        server.ledger(),
        [
            invalid(1, 1),
            invalid(4, 3),
            (5, 0, String::new(), 1),
            invalid(22, 1)
        ]
    );
    assert_eq!(server.event_count(), 0);
}

#[test]
fn a_repeated_event_is_answered_and_counted_as_a_duplicate() {
    let server = Server::start(WORLD);
    let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\"}}\n{{}}");
    for _ in 0..3 {
        assert_eq!(send(&server, &body).text(), format!("{{\"id\":\"{ID}\"}}"));
    }
    // Only an attachment for the same event: no duplicate of anything.
    let attachment = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"attachment\"}}\nabc");
    assert_eq!(send(&server, &attachment).status, 200);
    assert_eq!(
        server.ledger(),
        [
            (1, 0, String::new(), 1),
            (1, 3, "duplicate".to_owned(), 2),
            (4, 0, String::new(), 3),
            (22, 0, String::new(), 1),
        ]
    );
    assert_eq!(server.event_count(), 1);
}

/// The Rust SDK writes starts as floats of seconds and ends as dates to the nanosecond.
#[test]
fn a_span_may_take_less_than_a_microsecond() {
    let server = Server::start(WORLD);
    let span = SPAN
        .replace("1767312000.1,", "1767312000.1234567,")
        .replace("1767312000.2", "\"2026-01-02T00:00:00.123456700Z\"");
    let transaction = transaction(&format!("\"spans\":[{span}]"));
    let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"transaction\"}}\n{transaction}");
    assert_eq!(send(&server, &body).status, 200);
    assert_eq!(
        server.ledger(),
        accepted(&[(2, 1), (9, 1), (12, 2), (16, 2)])
    );
    let span = &server.event(ID)["spans"][0];
    assert_eq!(span["start_timestamp"], json!(1_767_312_000.123_457));
    assert_eq!(span["timestamp"], span["start_timestamp"]);
}

#[test]
fn what_nobody_knows_of_an_event_is_kept() {
    let server = Server::start(WORLD);
    let payload = r#"{ "message" : "ünïcode ☃", "unknown":{"deep":[1,2.50,null]} }"#;
    let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\"}}\n{payload}\n");
    assert_eq!(send(&server, &body).status, 200);
    let event = server.event(ID);
    assert_eq!(event["logentry"], json!({ "formatted": "ünïcode ☃" }));
    assert_eq!(event["unknown"], json!({ "deep": [1, 2.5, null] }));
}

#[test]
fn the_ledger_counts_at_three_resolutions() {
    let server = Server::start(WORLD);
    server.send_event("{}");
    server.advance(15);
    server.send_event("{}");
    let mut rows: Vec<(i64, i64, i64)> = server
        .database()
        .prepare("SELECT resolution, bucket_us / 1000000 - 1767312000, quantity FROM ledger ORDER BY 1, 2")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [(10, 0, 1), (10, 10, 1), (3600, 0, 2), (86400, 0, 2)]);
}

#[test]
fn the_first_event_is_written_down_once() {
    let server = Server::start(WORLD);
    server.send_event("{}");
    server.advance(100);
    server.send_event("{}");
    let first: i64 = server
        .database()
        .query_row(
            "SELECT first_event_us FROM project WHERE id = 31",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(first, 1_767_312_000_000_000);
}

#[test]
fn the_localhost_filter_drops_what_its_option_says() {
    let apply = WORLD.replace(
        "platform = \"python\"",
        "platform = \"python\"\n  options = { \"filters:localhost\" = true }",
    );
    let server = Server::start(&apply);
    let local = r#"{"request":{"url":"http://localhost:3000/"}}"#;
    assert_eq!(server.send_event(local).status, 200);
    assert_eq!(server.send_event("{}").status, 200);
    let transaction = transaction(r#""request":{"url":"http://localhost:3000/"}"#);
    let transaction = format!("{{}}\n{{\"type\":\"transaction\"}}\n{transaction}");
    assert_eq!(send(&server, &transaction).status, 200);
    let filtered = |category| (category, 1, "localhost".to_owned(), 1);
    assert_eq!(
        server.ledger(),
        [
            (1, 0, String::new(), 1),
            filtered(1),
            filtered(2),
            filtered(9),
            filtered(12),
            filtered(16)
        ]
    );
}

#[test]
fn what_servers_make_themselves_is_not_taken_from_clients() {
    for (kind, category, reason) in [
        ("raw_security", 3, "security_report_type"),
        ("unreal_report", 1, "invalid_unreal_report"),
    ] {
        let server = Server::start(WORLD);
        let body = format!("{{}}\n{{\"type\":\"{kind}\"}}\n{{}}");
        assert_eq!(send(&server, &body).status, 200);
        assert_eq!(server.ledger(), [(category, 3, reason.to_owned(), 1)]);
        assert_eq!(server.event_count(), 0);
    }
}

#[test]
fn feedback_beside_an_event_of_its_own_id_is_kept() {
    let server = Server::start(WORLD);
    let body = format!(
        "{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\"}}\n{{}}\n{{\"type\":\"feedback\"}}\n\
         {{\"event_id\":\"{ID}\",\"contexts\":{{\"feedback\":{{\"message\":\"slow\"}}}}}}"
    );
    assert_eq!(send(&server, &body).text(), format!("{{\"id\":\"{ID}\"}}"));
    assert_eq!(server.ledger(), accepted(&[(1, 1), (14, 1)]));
    assert_eq!((server.count_of_kind(0), server.count_of_kind(3)), (1, 1));
}

#[test]
fn a_user_report_is_no_way_to_send_a_large_tree() {
    let server = Server::start(WORLD);
    let report = format!("{{\"a\":[{}0]}}", "0,".repeat(600_000));
    let body = format!("{{}}\n{{\"type\":\"user_report\"}}\n{report}");
    assert_eq!(send(&server, &body).status, 413);
    let rows = server.ledger();
    assert_eq!(rows, [(14, 3, "too_large:user_report".to_owned(), 1)]);
}

#[test]
fn what_scrubbing_adds_to_a_small_request_is_stored_with_it() {
    let server = Server::start(WORLD);
    let count = 20_000;
    let entries = vec!["{\"token\":0}"; count].join(",");
    let body = format!(
        "{{}}\n{{\"type\":\"log\",\"item_count\":{count},\"content_type\":\"application/vnd.sentry.items.log+json\"}}\n\
         {{\"items\":[{entries}]}}"
    );
    assert_eq!(send(&server, &body).status, 200);
    assert_eq!(server.ledger()[0], (23, 0, String::new(), count as i64));
    let large: i64 = server
        .database()
        .query_row("SELECT count(*) FROM large_payload", [], |row| row.get(0))
        .unwrap();
    assert_eq!(large, 0, "a worker waits for no disk");
}
