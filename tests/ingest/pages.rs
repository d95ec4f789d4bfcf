//! What browsers and watchers ask for without a key: the crash-report dialog, the health answers, leave to ask.

use serde_json::json;

use crate::support::{KEY, Server, WORLD};

const ID: &str = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";

fn dialog(query: &str) -> String {
    format!("/api/embed/error-page/?{query}")
}

fn of_event() -> String {
    dialog(&format!(
        "eventId={ID}&dsn=http%3A%2F%2F{KEY}%40any.test%2F31"
    ))
}

#[test]
fn the_dialog_is_a_script_and_its_form_becomes_a_user_report() {
    let server = Server::start(WORLD);
    let page = server
        .client()
        .with_header("Origin", "https://shop.example.test");
    let script = page.get(&of_event());
    assert_eq!(script.status, 200);
    assert!(
        script
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/javascript"))
    );
    let form = b"name=Ann&email=ann%40example.test&comments=It+broke";
    let sent = page.post(&of_event(), form);
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(
        sent.header("access-control-allow-origin"),
        Some("https://shop.example.test")
    );
    assert_eq!(server.ledger(), [(14, 0, String::new(), 1)]);
    let items = server
        .owner()
        .get("/api/0/projects/acme/web/items/?type=user_report")
        .json();
    assert_eq!(items[0]["itemId"], ID);
    assert_eq!(items[0]["payload"]["comments"], "It broke");
}

#[test]
fn the_dialog_says_what_is_missing() {
    let server = Server::start(WORLD);
    let client = server.client();
    let missing = "Missing or invalid parameter.";
    let answer = client.get(&dialog("eventId=x"));
    assert_eq!(
        (answer.status, answer.json()),
        (400, json!({ "eventId": missing }))
    );
    for dsn in [
        "",
        "&dsn=nonsense",
        "&dsn=http%3A%2F%2Fffffffffffffffffffffffffffffffff%40any.test%2F31",
    ] {
        let answer = client.get(&dialog(&format!("eventId={ID}{dsn}")));
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({ "dsn": missing }))
        );
    }
    let answer = client.post(&of_event(), b"name=Ann&comments=");
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["errors"]["comments"].is_array(),
        "{}",
        answer.text()
    );
    assert_eq!(server.ledger(), []);
}

#[test]
fn the_dialog_is_not_for_pages_of_other_domains() {
    let apply = WORLD.replace(
        "platform = \"python\"",
        "platform = \"python\"\n  options = { \"sentry:origins\" = \"good.example.test\" }",
    );
    let server = Server::start(&apply);
    let page = server
        .client()
        .with_header("Origin", "https://evil.example.test");
    assert_eq!(page.get(&of_event()).status, 403);
    assert_eq!(server.ledger(), []);
    let form = b"name=Ann&email=ann%40example.test&comments=It+broke";
    assert_eq!(page.post(&of_event(), form).status, 403);
    assert_eq!(server.ledger(), [(0, 3, "cors".to_owned(), 1)]);
}

#[test]
fn a_watcher_hears_that_all_is_well() {
    let server = Server::start(WORLD);
    for path in [
        "/api/relay/healthcheck/live/",
        "/api/relay/healthcheck/ready/",
        "/api/0/relays/live/",
    ] {
        let answer = server.client().get(path);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "is_healthy": true }))
        );
    }
    assert_eq!(server.client().get("/api/relay/events/1/").status, 404);
}

#[test]
fn a_picture_can_bring_an_event() {
    let server = Server::start(WORLD);
    let data = format!("%7B%22event_id%22%3A%22{ID}%22%2C%22message%22%3A%22by+picture%22%7D");
    for path in ["/api/31/store/", "/api/store/"] {
        let answer = server
            .client()
            .get(&format!("{path}?sentry_key={KEY}&sentry_data={data}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("image/gif"));
        assert_eq!(answer.body.len(), 26);
        assert_eq!(&answer.body[..6], b"GIF89a");
    }
    assert_eq!(server.event(ID)["logentry"]["formatted"], "by picture");
    assert_eq!(
        server.ledger(),
        [(1, 0, String::new(), 1), (1, 3, "duplicate".to_owned(), 1)]
    );
}

#[test]
fn endpoints_whose_senders_cannot_wait_never_answer_429() {
    let apply = WORLD.replace(
        "secret = \"fedcba9876543210fedcba9876543210\"",
        "rate_limit = { count = 1, window = 60 }",
    );
    let server = Server::start(&apply);
    assert_eq!(server.send_event("{}").status, 200);
    assert_eq!(server.send_event("{}").status, 429);
    let dump = [b"MDMP".as_slice(), &[0; 60]].concat();
    let answer = server
        .client()
        .with_header("Content-Type", "application/x-dmp")
        .post(&format!("/api/31/minidump/?sentry_key={KEY}"), &dump);
    assert_eq!(answer.status, 200);
    let limits = answer.header("x-sentry-rate-limits").unwrap_or_default();
    assert!(
        limits.ends_with(":default;error;security:key:key_quota"),
        "{limits}"
    );
    let quota = |category, quantity| (category, 2, "key_quota".to_owned(), quantity);
    assert_eq!(
        server.ledger(),
        [
            (1, 0, String::new(), 1),
            quota(1, 2),
            quota(4, 64),
            quota(22, 1)
        ]
    );
}
