//! `/status/`: for superusers, and what it tells.

use super::browser::location;
use super::*;
use crate::support::{KEY, WORLD as ONE_PROJECT};

const HERE: &str = "/status/";

/// Ann runs the server.
fn server() -> Server {
    let password = "name = \"Ann\"\npassword = \"correct horse battery staple\"";
    let server = Server::start_with(
        &ONE_PROJECT.replace("name = \"Ann\"", password),
        |settings| {
            settings.max_events_size = Some(3 << 20);
        },
    );
    let made = server
        .database()
        .execute("UPDATE user SET superuser = 1", []);
    assert_eq!(made.expect("an update"), 1);
    server
}

#[test]
fn the_status_is_for_superusers() {
    let server = Server::start(WORLD);
    for path in [HERE, "/status/status.json"] {
        let answer = browser(&server).get(path);
        assert!(location(&answer).starts_with("/auth/login/"), "{path}");
        assert_eq!(signed_in(&server, ANN, ANN_PASSWORD).get(path).status, 404);
    }
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    assert!(!ann.get("/").text().contains("/status/"));
}

#[test]
fn the_status_tells_of_room_and_rate_and_where_they_lead() {
    let server = server();
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    assert!(ann.get("/").text().contains("href=\"/status/\""));
    let page = ann.get(HERE);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Events are taken."), "{}", page.text());
    assert!(page.text().contains("Nothing came in"), "{}", page.text());

    let send = |server: &Server| {
        let noise: String = (0..1000)
            .map(|_| format!("{:032x}", rand::random::<u128>()))
            .collect();
        let body = serde_json::json!({"extra": {"noise": noise}}).to_string();
        let target = format!("/api/31/store/?sentry_key={KEY}");
        assert_eq!(server.client().post(&target, body.as_bytes()).status, 200);
    };
    for _ in 0..24 {
        send(&server);
        server.advance(3600);
    }
    let status = ann.get("/status/status.json").json();
    assert_eq!(status["taking_events"], true);
    assert_eq!(status["trouble"], Value::Null);
    let number = |name: &str| {
        status
            .pointer(name)
            .and_then(Value::as_u64)
            .expect("a number")
    };
    let database = server.database();
    let stored: u64 = database
        .query_row("SELECT sum(length(payload) + 200) FROM event", [], |row| {
            row.get(0).map(|bytes: i64| bytes.unsigned_abs())
        })
        .expect("a sum");
    assert_eq!(
        (number("/stored/entries"), number("/stored/bytes")),
        (24, stored)
    );
    // An event an hour, the first of which began the first hour.
    assert!((22..=25).contains(&number("/per_day/entries")), "{status}");
    let file = std::fs::metadata(server.file()).expect("the file").len();
    assert!(number("/database_bytes") >= file.min(4096) && number("/disk_free_bytes") > 0);
    assert_eq!(
        status["budget"],
        serde_json::json!({"days": 90, "bytes": 3 << 20})
    );
    assert_eq!(status["forecast"]["ends"], "budget");
    let expected = ((3 << 20) - stored) / number("/per_day/bytes");
    assert_eq!(number("/forecast/days"), expected);
    assert_eq!(status["projects"][0]["project"], "web");
    let page = ann.get(HERE);
    assert!(
        page.text().contains(&format!("in {expected} days")),
        "{}",
        page.text()
    );
    assert!(page.text().contains("<td>acme/web</td><td>24</td>"));
}

#[test]
fn the_status_says_why_no_events_are_taken() {
    let mut server = server();
    // More than any disk has free.
    server.restart_with(|settings| settings.min_free_disk = Some(1 << 62));
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    for _ in 0..3 {
        let refused = server.send_event("{}");
        assert_eq!(
            (refused.status, refused.header("Retry-After")),
            (503, Some("30"))
        );
        assert_eq!(
            refused.json(),
            serde_json::json!({"detail": "failed to queue envelope"})
        );
    }
    let status = ann.get("/status/status.json").json();
    assert_eq!(status["trouble"], "disk_low");
    assert_eq!(status["refused"], serde_json::json!({"disk_low": 3}));
    let page = ann.get(HERE);
    assert!(
        page.text()
            .contains("No events are taken: the disk is almost full."),
        "{}",
        page.text()
    );
    // An unknown key is told so all the same, and preflights and reads are answered.
    let unknown = format!("/api/31/store/?sentry_key={}", "9".repeat(32));
    assert_eq!(server.client().post(&unknown, b"{}").status, 403);
    assert_eq!(server.owner().get("/api/0/projects/acme/web/").status, 200);
}
