//! `GET O/stats_v2/` (facts/management-api.md 8.2).

use super::*;

const STATS: &str = "/api/0/organizations/acme/stats_v2/";

fn get(server: &Server, query: &str) -> Answer {
    ann(server).get(&format!("{STATS}?{query}"))
}

/// In `web` errors of all outcomes and 700 bytes of attachments, in `shop` an error, in `beta` one that is nobody
/// else's business. The start of the tests is a midnight.
fn counted() -> Server {
    let server = world();
    let row = |project, secs_ago, category, outcome, reason, quantity| Counted {
        project,
        secs_ago,
        category,
        outcome,
        reason,
        quantity,
        times_seen: 1,
    };
    count(
        &server,
        &[
            row(31, 2 * 3600, 1, 0, "", 4),
            row(31, 3600, 0, 0, "", 2),
            row(31, 3600, 3, 0, "", 1),
            row(31, 3600, 1, 2, "key_quota", 3),
            row(31, 3600, 1, 2, "smart_rate_limit", 5),
            row(31, 3600, 1, 5, "before_send", 7),
            row(31, 1800, 4, 0, "", 700),
            row(32, 1800, 1, 0, "", 10),
            row(41, 1800, 1, 0, "", 1000),
            row(31, 40 * 86_400, 2, 0, "", 6),
        ],
    );
    server
}

/// The groups of an answer: `by` without its names, and the total.
fn totals(answer: &Answer) -> Vec<(Vec<Value>, u64)> {
    let body = ok(answer);
    let groups = body["groups"].as_array().expect("groups");
    let mut totals: Vec<_> = groups
        .iter()
        .map(|group| {
            let by = group["by"].as_object().expect("an object");
            let total = group["totals"]["sum(quantity)"].as_u64().expect("a count");
            (by.values().cloned().collect(), total)
        })
        .collect();
    totals.sort_by_key(|(by, _): &(Vec<Value>, u64)| json!(by).to_string());
    totals
}

#[test]
fn a_series_has_a_number_for_every_interval() {
    let server = counted();
    let answer = get(
        &server,
        "field=sum(quantity)&category=error&outcome=accepted&groupBy=outcome&groupBy=category&statsPeriod=3h",
    );
    assert_eq!(
        ok(&answer),
        json!({
            "start": "2026-01-01T21:00:00Z",
            "end": "2026-01-02T00:00:00Z",
            "intervals": ["2026-01-01T21:00:00Z", "2026-01-01T22:00:00Z", "2026-01-01T23:00:00Z"],
            "groups": [{
                "by": {"outcome": "accepted", "category": "error"},
                "totals": {"sum(quantity)": 17},
                "series": {"sum(quantity)": [0, 4, 13]},
            }],
        })
    );
}

#[test]
fn both_fields_are_counted_in_one_group_without_dimensions() {
    let server = counted();
    let query = "field=sum(times_seen)&field=sum(quantity)&category=attachment&statsPeriod=1h";
    assert_eq!(
        ok(&get(&server, query))["groups"],
        json!([{
            "by": {},
            "totals": {"sum(quantity)": 700, "sum(times_seen)": 1},
            "series": {"sum(quantity)": [700], "sum(times_seen)": [1]},
        }])
    );
}

#[test]
fn groups_are_told_apart_by_what_was_asked_for() {
    let server = counted();
    let by = |query: &str| totals(&get(&server, &format!("field=sum(quantity)&{query}")));
    let text = |text: &str| vec![json!(text)];
    assert_eq!(
        by("groupBy=category"),
        [
            (text("attachment"), 700),
            (text("error"), 32),
            (text("transaction"), 6)
        ]
    );
    assert_eq!(
        by("groupBy=outcome&category=error"),
        [
            (text("accepted"), 17),
            (text("client_discard"), 7),
            (text("rate_limited"), 8)
        ]
    );
    assert_eq!(
        by("groupBy=reason&category=error"),
        [
            (text("before_send"), 7),
            (text("key_quota"), 3),
            (text("none"), 17),
            (text("spike_protection"), 5)
        ]
    );
    assert_eq!(
        by("groupBy=key_id&category=error&outcome=accepted"),
        [
            (text(KEY), 7),
            (text("11111111111111111111111111111111"), 10)
        ]
    );
    assert_eq!(
        by("groupBy=category&groupBy=outcome&project=31&outcome=accepted&category=transaction"),
        [(vec![json!("transaction"), json!("accepted")], 6)]
    );
    assert_eq!(by("groupBy=outcome&category=replay"), []);
}

#[test]
fn by_project_there_are_totals_only() {
    let server = counted();
    let answer = get(
        &server,
        "field=sum(quantity)&category=error&groupBy=project&statsPeriod=1d",
    );
    let body = ok(&answer);
    assert_eq!(body.get("intervals"), None);
    assert_eq!(
        body["groups"],
        json!([
            {"by": {"project": 31}, "totals": {"sum(quantity)": 22}},
            {"by": {"project": 32}, "totals": {"sum(quantity)": 10}},
        ])
    );
}

#[test]
fn filters_leave_rows_out() {
    let server = counted();
    for (query, expected) in [
        ("", 32),
        ("reason=key_quota", 3),
        ("reason=spike_protection&reason=before_send", 12),
        ("reason=none", 17),
        ("outcome=rate_limited&outcome=client_discard", 15),
        ("project=32", 10),
        ("project=32&project=31", 32),
        ("project=-1", 32),
        ("key_id=0123456789abcdef0123456789abcdef", 22),
    ] {
        let all = format!("field=sum(quantity)&category=error&{query}");
        assert_eq!(totals(&get(&server, &all)), [(vec![], expected)], "{query}");
    }
    let nothing = get(&server, "field=sum(quantity)&category=error&outcome=abuse");
    assert_eq!(ok(&nothing)["groups"], json!([]));
}

#[test]
fn ranges_are_rounded_outward_to_the_interval() {
    let server = counted();
    for (query, start, end, intervals) in [
        (
            "statsPeriod=1h",
            "2026-01-01T23:00:00Z",
            "2026-01-02T00:00:00Z",
            1,
        ),
        (
            "statsPeriod=90m",
            "2026-01-01T22:00:00Z",
            "2026-01-02T00:00:00Z",
            2,
        ),
        (
            "statsPeriod=1h&interval=1m",
            "2026-01-01T23:00:00Z",
            "2026-01-02T00:00:00Z",
            60,
        ),
        (
            "statsPeriod=2w&interval=1d",
            "2025-12-19T00:00:00Z",
            "2026-01-02T00:00:00Z",
            14,
        ),
        // What cannot be read is an hour.
        (
            "statsPeriod=2h&interval=x",
            "2026-01-01T22:00:00Z",
            "2026-01-02T00:00:00Z",
            2,
        ),
        ("", "2025-10-04T00:00:00Z", "2026-01-02T00:00:00Z", 2160),
        (
            "start=2026-01-01T10:30:00&end=2026-01-01T12:00:01Z",
            "2026-01-01T10:00:00Z",
            "2026-01-01T13:00:00Z",
            3,
        ),
        (
            "start=1767261600&end=1767265200",
            "2026-01-01T10:00:00Z",
            "2026-01-01T11:00:00Z",
            1,
        ),
        // The future starts now.
        (
            "start=2027-01-01&end=2027-01-01&interval=1d",
            "2026-01-02T00:00:00Z",
            "2027-01-01T00:00:00Z",
            364,
        ),
    ] {
        let answer = get(
            &server,
            &format!("field=sum(quantity)&category=error&{query}"),
        );
        let body = ok(&answer);
        assert_eq!(
            (&body["start"], &body["end"]),
            (&json!(start), &json!(end)),
            "{query}"
        );
        let list = body["intervals"].as_array().expect("a list");
        assert_eq!(list.len(), intervals, "{query}");
    }
    // An interval of a day reads rows of a day, one of six hours those of an hour.
    for (interval, series) in [("1d", json!([22])), ("6h", json!([0, 0, 0, 22]))] {
        let query = format!(
            "field=sum(quantity)&category=error&project=31&statsPeriod=1d&interval={interval}"
        );
        let body = ok(&get(&server, &query));
        assert_eq!(body["groups"][0]["series"]["sum(quantity)"], series);
    }
}

#[test]
fn wrong_parameters_are_refused_each_in_its_own_words() {
    let server = world();
    for (query, text) in [
        ("category=error", r#"At least one \"field\" is required."#),
        ("field=x&category=error", r#"Invalid field: \"x\""#),
        ("field=sum(quantity)&groupBy=x", r#"Invalid groupBy: \"x\""#),
        (
            "field=sum(quantity)&groupBy=outcome",
            "Query must have category as groupby or filter",
        ),
        (
            "field=sum(quantity)&category=x",
            r#"Invalid category: \"x\""#,
        ),
        (
            "field=sum(quantity)&category=error&outcome=x",
            r#"Invalid outcome: \"x\""#,
        ),
        (
            "field=sum(quantity)&category=error&key_id=x",
            r#"Invalid key: \"x\""#,
        ),
        (
            "field=sum(quantity)&category=error&key_id=33333333333333333333333333333333",
            r#"Invalid key: \"33333333333333333333333333333333\""#,
        ),
        (
            "field=sum(quantity)&category=error&category=attachment",
            "if filtering by attachment no other category may be present",
        ),
        (
            "field=sum(quantity)&category=error&interval=30s",
            "The interval has to be a multiple of the minimum interval of one minute.",
        ),
        (
            "field=sum(quantity)&category=error&interval=2d",
            "The interval has to be less than one day.",
        ),
        (
            "field=sum(quantity)&category=error&interval=5h",
            "The interval should divide one day without a remainder.",
        ),
        (
            "field=sum(quantity)&category=error&interval=1m&statsPeriod=30d",
            "Your interval and date range would create too many results. Use a larger interval, or a smaller date range.",
        ),
        (
            "field=sum(quantity)&category=error&statsPeriod=x",
            "Invalid statsPeriod: 'x'",
        ),
        (
            "field=sum(quantity)&category=error&start=2026-01-01",
            "start and end are both required",
        ),
        (
            "field=sum(quantity)&category=error&start=2026-01-02&end=2026-01-01",
            "start must be before end",
        ),
        (
            "field=sum(quantity)&category=error&start=x&end=2026-01-01",
            "x is not a valid ISO8601 date query",
        ),
        (
            "field=sum(quantity)&category=error&project=x",
            "Invalid project parameter. Values must be numbers.",
        ),
    ] {
        assert_answer(
            &get(&server, query),
            400,
            &format!("{{\"detail\":\"{text}\"}}"),
        );
    }
}

#[test]
fn projects_that_are_not_yours_are_refused() {
    let server = counted();
    for project in [41, 999] {
        let query = format!("field=sum(quantity)&category=error&project={project}");
        assert_answer(&get(&server, &query), 403, NO_PERMISSION);
    }
    server
        .database()
        .execute("UPDATE organization SET open_membership = 0", [])
        .expect("an update");
    let bob = server.with_token(BOB);
    let by_bob = |query: &str| {
        bob.get(&format!(
            "{STATS}?field=sum(quantity)&category=error&{query}"
        ))
    };
    assert_answer(&by_bob("project=31"), 403, NO_PERMISSION);
    assert_eq!(totals(&by_bob("groupBy=project")), [(vec![json!(32)], 10)]);
    assert_eq!(totals(&by_bob("project=-1")), [(vec![], 10)]);
    // Nor can they be told from their keys.
    assert_answer(
        &by_bob(&format!("key_id={}", KEY)),
        400,
        &format!(r#"{{"detail":"Invalid key: \"{}\""}}"#, KEY),
    );
    let by_key: Vec<u64> = totals(&by_bob("groupBy=key_id"))
        .into_iter()
        .map(|(_, total)| total)
        .collect();
    assert_eq!(by_key, [10]);
    // The organization's total is everybody's.
    assert_eq!(totals(&by_bob("")), [(vec![], 32)]);
    server
        .database()
        .execute("DELETE FROM team_member", [])
        .expect("a deletion");
    assert_answer(
        &by_bob("groupBy=project"),
        400,
        r#"{"detail":"No projects available"}"#,
    );
}

#[test]
fn who_may_not_read_the_organization_reads_no_statistics() {
    let server = world();
    let query = format!("{STATS}?field=sum(quantity)&category=error");
    assert_eq!(server.client().get(&query).status, 401);
    for token in [NARROW, ORG_CI, ZOE, EVE] {
        assert_answer(&server.with_token(token).get(&query), 403, NO_PERMISSION);
    }
    let nowhere = "/api/0/organizations/nowhere/stats_v2/";
    assert_answer(&ann(&server).get(nowhere), 404, NOT_FOUND);
    assert_eq!(server.with_token(ORG_ROBOT).get(&query).status, 200);
}

#[test]
fn groups_without_end_are_too_many() {
    let server = world();
    // Reasons come from clients; 500 of them by 2,160 hours are over a million numbers.
    let reasons: Vec<String> = (0..500).map(|n| format!("reason-{n}")).collect();
    let counts: Vec<Counted<'_>> = reasons
        .iter()
        .map(|reason| Counted {
            project: 31,
            secs_ago: 60,
            category: 1,
            outcome: 5,
            reason,
            quantity: 1 << 53,
            times_seen: 1,
        })
        .collect();
    count(&server, &counts);
    let query = "field=sum(quantity)&category=error&groupBy=reason";
    assert_eq!(get(&server, query).status, 400);
    let short = get(&server, &format!("{query}&statsPeriod=1d"));
    assert_eq!(totals(&short).len(), 500);
    // A sum of such quantities ends where counts end.
    let all = get(
        &server,
        "field=sum(quantity)&category=error&statsPeriod=1d&interval=1d",
    );
    assert_eq!(totals(&all), [(vec![], 1 << 53)]);
}
