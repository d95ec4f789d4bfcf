//! CORS, odd paths and sizes: what web pages need on every answer (facts/ingestion.md 3), and what is too
//! much (4.4).

use serde_json::json;

use crate::support::{KEY, Server, WORLD};

fn target() -> String {
    format!("/api/31/envelope/?sentry_key={KEY}")
}

#[test]
fn a_preflight_is_answered_without_looking_at_the_key() {
    let server = Server::start(WORLD);
    let answer = server
        .client()
        .with_header("Origin", "https://shop.example.test")
        .with_header("Access-Control-Request-Headers", "x-custom")
        .send("OPTIONS", "/api/99/envelope/", None);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.header("access-control-max-age"), Some("3600"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for name in [
        "x-sentry-auth",
        "content-type",
        "content-encoding",
        "baggage",
        "x-custom",
    ] {
        assert!(allowed.split(',').any(|n| n == name), "{name}");
    }
}

#[test]
fn every_answer_can_be_read_by_a_page() {
    let server = Server::start_with(WORLD, |settings| settings.body_bytes_max = 1000);
    let client = server.client();
    let too_long = vec![b' '; 2000];
    for (answer, status) in [
        (client.post(&target(), b"{}"), 200),
        (client.post(&target(), b""), 400),
        (client.post("/api/31/envelope/?sentry_key=x", b"{}"), 400),
        (client.post("/api/31/store/", b"{}"), 401),
        (client.post("/api/99/nothing/", b"{}"), 404),
        (client.get(&target()), 405),
        (client.post(&target(), &too_long), 413),
    ] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(
            answer.header("Access-Control-Expose-Headers"),
            Some("x-sentry-error,x-sentry-rate-limits,retry-after")
        );
    }
}

#[test]
fn double_slashes_are_folded_and_the_last_one_is_needed() {
    let server = Server::start(WORLD);
    let client = server.client();
    let status = |path: &str| {
        client
            .post(&format!("{path}?sentry_key={KEY}"), b"{}")
            .status
    };
    assert_eq!(status("//api/31/envelope/"), 200);
    assert_eq!(status("/api//31//envelope//"), 200);
    assert_eq!(status("/api/31/envelope"), 404);
}

#[test]
fn only_allowed_domains_may_send() {
    let apply = WORLD.replace(
        "platform = \"python\"",
        "platform = \"python\"\n  options = { \"sentry:origins\" = \"*.shop.test\" }",
    );
    let server = Server::start(&apply);
    let from = |header: &str, origin: &str| {
        server
            .client()
            .with_header(header, origin)
            .post(&target(), b"{}\n{\"type\":\"event\"}\n{}")
    };
    assert_eq!(from("Origin", "https://www.shop.test").status, 200);
    assert_eq!(from("Origin", "null").status, 200);
    assert_eq!(server.send_event("{}").status, 200);
    for answer in [
        from("Origin", "https://evil.test"),
        from("Referer", "https://evil.test/shop.test"),
    ] {
        assert_eq!(answer.status, 403);
        assert_eq!(
            answer.text(),
            r#"{"detail":"event submission rejected with_reason: Cors"}"#
        );
    }
    assert_eq!(
        server.ledger(),
        [(0, 3, "cors".to_owned(), 2), (1, 0, String::new(), 3)]
    );
}

#[test]
fn an_event_over_a_mebibyte_drops_its_whole_envelope() {
    let server = Server::start(WORLD);
    let long = "x".repeat(1 << 20);
    let body = format!(
        "{{}}\n{{\"type\":\"session\"}}\n{{}}\n{{\"type\":\"event\"}}\n{{\"message\":\"{long}\"}}\n"
    );
    let answer = server.client().post(&target(), body.as_bytes());
    assert_eq!(answer.status, 413);
    let detail = "envelope exceeded size limits for type 'event' \
                  (https://develop.sentry.dev/sdk/envelopes/#size-limits)";
    assert_eq!(answer.json(), json!({ "detail": detail }));
    let too_large = |category| (category, 3, "too_large:event".to_owned(), 1);
    assert_eq!(server.ledger(), [too_large(1), too_large(5)]);
}

#[test]
fn a_store_body_has_a_mebibyte_and_not_one_byte_more() {
    let server = Server::start(WORLD);
    let event = |bytes: usize| format!("{{\"message\":\"{}\"}}", "x".repeat(bytes - 14));
    assert_eq!(server.send_event(&event(1 << 20)).status, 200);
    assert_eq!(server.send_event(&event((1 << 20) + 1)).status, 413);
    assert_eq!(
        server.ledger(),
        [
            (1, 0, String::new(), 1),
            (1, 3, "too_large:event".to_owned(), 1)
        ]
    );
}

#[test]
fn two_events_in_one_envelope_are_too_many() {
    let server = Server::start(WORLD);
    let body = b"{}\n{\"type\":\"event\"}\n{}\n{\"type\":\"transaction\"}\n{}\n";
    assert_eq!(server.client().post(&target(), body).status, 413);
    assert_eq!(server.event_count(), 0);
    let rows = server.ledger();
    assert!(
        rows.iter()
            .all(|(_, _, reason, _)| reason == "too_large:transaction")
    );
}

#[test]
fn a_refusal_names_what_an_attachment_is_that_was_too_much() {
    for (kind, name) in [
        ("event.attachment", "attachment"),
        ("event.minidump", "minidump"),
        ("event.view_hierarchy", "view_hierarchy"),
    ] {
        let server = Server::start(WORLD);
        let plain = "{\"type\":\"attachment\"}\nabc\n".repeat(30);
        let body = format!(
            "{{}}\n{plain}{{\"type\":\"attachment\",\"attachment_type\":\"{kind}\"}}\nabc\n"
        );
        let answer = server.client().post(&target(), body.as_bytes());
        assert_eq!(answer.status, 413);
        let detail = format!(
            "envelope exceeded size limits for type 'attachment:{name}' \
             (https://develop.sentry.dev/sdk/envelopes/#size-limits)"
        );
        assert_eq!(answer.json(), json!({ "detail": detail }));
        let reason = format!("too_large:attachment:{name}");
        assert_eq!(
            server.ledger(),
            [(4, 3, reason.clone(), 93), (22, 3, reason, 31)]
        );
    }
}

#[test]
fn a_hundred_thousand_items_are_refused_quickly_or_skipped() {
    let server = Server::start(WORLD);
    let unknown = format!("{{}}\n{}", "{\"type\":\"x\"}\n\n".repeat(100_000));
    assert_eq!(
        server.client().post(&target(), unknown.as_bytes()).status,
        200
    );
    let sessions = format!("{{}}\n{}", "{\"type\":\"session\"}\n{}\n".repeat(100_000));
    assert_eq!(
        server.client().post(&target(), sessions.as_bytes()).status,
        413
    );
}

#[test]
fn every_item_of_a_dropped_envelope_is_counted() {
    let server = Server::start(WORLD);
    let sessions = format!("{{}}\n{}", "{\"type\":\"session\"}\n{}\n".repeat(5000));
    let attachments = "{\"type\":\"attachment\",\"length\":3}\nabc\n".repeat(10);
    let answer = server
        .client()
        .post(&target(), (sessions + &attachments).as_bytes());
    assert_eq!(answer.status, 413);
    let too_large = |category, quantity| (category, 3, "too_large:session".to_owned(), quantity);
    assert_eq!(
        server.ledger(),
        [too_large(4, 30), too_large(5, 5000), too_large(22, 10)]
    );
}

#[test]
fn a_refusal_quotes_little_of_what_was_sent() {
    let server = Server::start(WORLD);
    let long = "a".repeat(1 << 20);
    for body in [
        format!("{{}}\n{{\"type\":\"x\",\"length\":\"{long}\"}}\n"),
        format!("\"{long}\"\n"),
        format!("{{}}\n{{\"type\":[\"{long}\"]}}\n"),
    ] {
        let answer = server.client().post(&target(), body.as_bytes());
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 1000, "{} bytes", answer.body.len());
        let anonymous = server.client().post("/api/31/envelope/", body.as_bytes());
        assert_eq!(anonymous.status, 401);
        assert!(
            anonymous.body.len() < 1000,
            "{} bytes",
            anonymous.body.len()
        );
    }
}

#[test]
fn a_faulty_store_body_is_a_400_and_counted() {
    let server = Server::start(WORLD);
    for body in ["{broken", "[1]", "", "{\"event_id\":\"short\"}", "!!"] {
        assert_eq!(server.send_event(body).status, 400, "{body}");
    }
    assert_eq!(
        server.ledger(),
        [
            (1, 3, "invalid_json".to_owned(), 4),
            (1, 3, "no_data".to_owned(), 1)
        ]
    );
}
