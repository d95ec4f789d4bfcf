//! `P/stats/` (facts/management-api.md 8.1).

use serde_json::json;

use super::*;
use crate::support::START;

const STATS: &str = "/api/0/projects/acme/web/stats/";

fn get(server: &Server, query: &str) -> Answer {
    ann(server).get(&format!("{STATS}?{query}"))
}

fn points(server: &Server, query: &str) -> Vec<(i64, u64)> {
    let body = ok(&get(server, query));
    serde_json::from_value(body).expect("a list of pairs")
}

fn sum(server: &Server, query: &str) -> u64 {
    points(server, query).iter().map(|(_, count)| count).sum()
}

#[test]
fn without_parameters_it_is_a_day_of_hours() {
    let server = world();
    server.advance(10 * 3600 + 20 * 60 + 30);
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    let points = points(&server, "");
    let start = START.secs();
    assert_eq!(points.len(), 24);
    assert_eq!(points[0], (start - 13 * 3600, 0));
    assert_eq!(points[23], (start + 10 * 3600, 1));
    assert!(points.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3600));
    assert_eq!(points.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[test]
fn the_number_of_points_follows_the_range() {
    let server = world();
    server.advance(37_230);
    let until = START.secs() + 37_230;
    let since = |secs: i64| format!("since={}&until={until}", until - secs);
    for (query, number, step) in [
        ("resolution=1d".to_owned(), 1, 86_400),
        ("resolution=10s".to_owned(), 8640, 10),
        ("resolution=60m".to_owned(), 24, 3600),
        (since(3600), 361, 10),
        (since(3601), 2, 3600),
        (since(7 * 86_400), 169, 3600),
        (since(7 * 86_400 + 1), 8, 86_400),
        (since(90 * 86_400), 91, 86_400),
        (since(400 * 86_400), 401, 86_400),
        (since(0), 1, 10),
        (format!("since={until}.0&until={until}.5"), 1, 10),
        ("since=&until=&resolution=".to_owned(), 24, 3600),
    ] {
        let points = points(&server, &query);
        assert_eq!(points.len(), number, "{query}");
        assert!(points.iter().all(|(at, _)| at % step == 0), "{query}");
        assert!(
            points.windows(2).all(|pair| pair[1].0 - pair[0].0 == step),
            "{query}"
        );
        // The bucket of the end is always there.
        assert_eq!(points[number - 1].0, until - until % step, "{query}");
    }
}

#[test]
fn a_stat_counts_its_outcomes() {
    let server = world();
    server.advance(3600);
    let limit = json!({"rateLimit": {"count": 2, "window": 3600}});
    let key = format!("/api/0/projects/acme/web/keys/{KEY}/");
    ok(&ann(&server).put_json(&key, &limit));
    for status in [200, 200, 429] {
        assert_eq!(server.send_event(r#"{"message":"x"}"#).status, status);
    }
    for (stat, expected) in [
        ("received", 3),
        ("rejected", 1),
        ("blacklisted", 0),
        ("generated", 2),
        ("localhost", 0),
        ("filtered-transaction", 0),
    ] {
        assert_eq!(sum(&server, &format!("stat={stat}")), expected, "{stat}");
        let fine = sum(&server, &format!("stat={stat}&resolution=10s"));
        let coarse = sum(&server, &format!("stat={stat}&resolution=1d"));
        assert_eq!((fine, coarse), (expected, expected), "{stat}");
    }
    assert_eq!(sum(&server, ""), 3);
}

#[test]
fn filtered_events_count_by_their_reason() {
    let server = world();
    server.advance(3600);
    // From this machine, which the project's filter leaves out.
    let answer = server.client().post(
        "/api/32/store/?sentry_key=11111111111111111111111111111111",
        br#"{"message":"x","user":{"ip_address":"127.0.0.1"}}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let count = |stat: &str| -> u64 {
        let target = format!("/api/0/projects/acme/shop/stats/?stat={stat}");
        let points: Vec<(i64, u64)> =
            serde_json::from_value(ok(&ann(&server).get(&target))).expect("a list of pairs");
        points.iter().map(|(_, count)| count).sum()
    };
    for (stat, expected) in [
        ("localhost", 1),
        ("blacklisted", 1),
        ("received", 1),
        ("generated", 0),
        ("web-crawlers", 0),
    ] {
        assert_eq!(count(stat), expected, "{stat}");
    }
}

#[test]
fn wrong_parameters_are_refused_each_in_its_own_words() {
    let server = world();
    for (query, expected) in [
        ("stat=foo", r#"["Invalid stat: foo"]"#),
        ("stat=", r#"["Invalid stat: "]"#),
        ("resolution=2h", r#"{"detail":"Invalid resolution"}"#),
        ("resolution=x", r#"{"detail":"Invalid resolution"}"#),
        (
            "until=x",
            r#"{"detail":"until must be a numeric timestamp."}"#,
        ),
        (
            "since=x",
            r#"{"detail":"since must be a numeric timestamp"}"#,
        ),
        (
            "since=nan",
            r#"{"detail":"since must be a numeric timestamp"}"#,
        ),
        (
            "since=100&until=99",
            r#"{"detail":"start must be before or equal to end"}"#,
        ),
        // The stat is looked at first.
        ("stat=foo&until=x", r#"["Invalid stat: foo"]"#),
        (
            "since=0&resolution=10s",
            r#"{"detail":"Your interval and date range would create too many results. Use a larger interval, or a smaller date range."}"#,
        ),
    ] {
        assert_answer(&get(&server, query), 400, expected);
    }
    // Two thousand years of days are still refused, fifty are not.
    assert_eq!(get(&server, "since=-62135596800").status, 400);
    assert_eq!(points(&server, "since=0").len(), 20_456);
}

#[test]
fn no_environment_is_known() {
    let server = world();
    let unknown = get(&server, "stat=generated&environment=production");
    assert_answer(&unknown, 404, NOT_FOUND);
    assert_eq!(
        get(&server, "stat=received&environment=production").status,
        200
    );
}
