//! `P/keys/{key_id}/stats/` (facts/management-api.md 7.8).

use serde_json::json;

use super::*;
use crate::support::START;

fn target(public: &str, query: &str) -> String {
    format!("/api/0/projects/acme/web/keys/{public}/stats/?{query}")
}

#[test]
fn a_point_tells_what_became_of_the_keys_errors() {
    let server = world();
    let day = START.secs();
    server.advance(3600);
    let limit = json!({"rateLimit": {"count": 2, "window": 3600}});
    ok(&ann(&server).put_json(&format!("/api/0/projects/acme/web/keys/{KEY}/"), &limit));
    for status in [200, 200, 429] {
        assert_eq!(server.send_event(r#"{"message":"x"}"#).status, status);
    }
    let point = |ts: i64, accepted: u64, dropped: u64| json!({"ts": ts, "total": accepted + dropped, "dropped": dropped, "accepted": accepted, "filtered": 0});
    // A day back from now touches two days.
    assert_eq!(
        ok(&ann(&server).get(&target(KEY, ""))),
        json!([point(day - 86_400, 0, 0), point(day, 2, 1)])
    );
    let hours = format!("resolution=1h&since={}&until={}", day + 1800, day + 3601);
    assert_eq!(
        ok(&ann(&server).get(&target(KEY, &hours))),
        json!([point(day, 0, 0), point(day + 3600, 2, 1)])
    );
    // Another key of the project has none of it.
    let other = ann(&server)
        .post("/api/0/projects/acme/web/keys/", b"")
        .json();
    let other = other["id"].as_str().expect("an id").to_owned();
    let points = ok(&ann(&server).get(&target(&other, "")));
    assert_eq!(each(&points, "total"), [0, 0]);
}

#[test]
fn every_wrong_parameter_reads_the_same() {
    let server = world();
    for query in [
        "resolution=10s",
        "resolution=x",
        "since=x",
        "until=x",
        "since=2&until=1",
        "since=-62135596800&resolution=1h",
    ] {
        let answer = ann(&server).get(&target(KEY, query));
        assert_answer(&answer, 400, r#"{"detail":"Invalid request data"}"#);
    }
    let unknown = ann(&server).get(&target("44444444444444444444444444444444", "since=x"));
    assert_answer(&unknown, 404, NOT_FOUND);
}
