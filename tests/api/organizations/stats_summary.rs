//! `GET O/stats-summary/` (facts/management-api.md 8.3).

use super::*;

const SUMMARY: &str = "/api/0/organizations/acme/stats-summary/";

fn get(server: &Server, query: &str) -> Answer {
    ann(server).get(&format!("{SUMMARY}?{query}"))
}

fn counted() -> Server {
    let server = world();
    let row = |project, category, outcome, quantity| Counted {
        project,
        secs_ago: 60,
        category,
        outcome,
        reason: if outcome == 2 { "key_quota" } else { "" },
        quantity,
        times_seen: 1,
    };
    count(
        &server,
        &[
            row(32, 1, 0, 6),
            row(31, 1, 0, 4),
            row(31, 0, 0, 2),
            row(31, 1, 2, 3),
            row(31, 2, 5, 9),
        ],
    );
    server
}

#[test]
fn projects_with_data_are_listed_with_their_categories() {
    let server = counted();
    let body = ok(&get(
        &server,
        "field=sum(quantity)&statsPeriod=1d&interval=1d",
    ));
    let outcomes = |accepted, rate_limited, client_discard| {
        json!({
            "accepted": accepted, "filtered": 0, "rate_limited": rate_limited, "invalid": 0, "abuse": 0,
            "client_discard": client_discard, "cardinality_limited": 0,
        })
    };
    assert_eq!(
        body,
        json!({
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-01-02T00:00:00Z",
            "projects": [
                {"id": 31, "slug": "web", "stats": [
                    {"category": "error", "outcomes": outcomes(6, 3, 0), "totals": {"dropped": 3, "sum(quantity)": 9}},
                    {"category": "transaction", "outcomes": outcomes(0, 0, 9),
                     "totals": {"dropped": 0, "sum(quantity)": 9}},
                ]},
                {"id": 32, "slug": "shop", "stats": [
                    {"category": "error", "outcomes": outcomes(6, 0, 0), "totals": {"dropped": 0, "sum(quantity)": 6}},
                ]},
            ],
        })
    );
}

#[test]
fn only_the_outcomes_that_were_asked_for_appear() {
    let server = counted();
    let query = "field=sum(quantity)&category=error&outcome=accepted&outcome=accepted&project=31";
    assert_eq!(
        ok(&get(&server, query))["projects"],
        json!([{"id": 31, "slug": "web", "stats": [
            {"category": "error", "outcomes": {"accepted": 6}, "totals": {"sum(quantity)": 6}},
        ]}])
    );
    let query = "field=sum(times_seen)&outcome=rate_limited&reason=key_quota";
    assert_eq!(
        ok(&get(&server, query))["projects"],
        json!([{"id": 31, "slug": "web", "stats": [
            {"category": "error", "outcomes": {"rate_limited": 1}, "totals": {"dropped": 1, "sum(times_seen)": 1}},
        ]}])
    );
}

#[test]
fn it_can_be_had_as_a_table() {
    let server = counted();
    let answer = get(
        &server,
        "field=sum(quantity)&outcome=accepted&outcome=rate_limited&download=1",
    );
    assert_eq!(
        (answer.status, answer.text()),
        (
            200,
            "project_id,project_slug,category,accepted,rate_limited,dropped,sum(quantity)\r\n\
             31,web,error,6,3,3,9\r\n\
             32,shop,error,6,0,0,6\r\n"
        )
    );
    assert_eq!(answer.header("Content-Type"), Some("text/csv"));
    assert_eq!(
        answer.header("Content-Disposition"),
        Some("attachment; filename=\"stats_summary.csv\"")
    );
}

#[test]
fn it_is_refused_as_the_other_statistics_are() {
    let server = counted();
    for (query, text) in [
        ("", r#"At least one \"field\" is required."#),
        (
            "field=sum(quantity)&category=x",
            r#"Invalid category: \"x\""#,
        ),
        (
            "field=sum(quantity)&interval=7h",
            "The interval should divide one day without a remainder.",
        ),
        (
            "field=sum(quantity)&project=x",
            "Invalid project parameter. Values must be numbers.",
        ),
    ] {
        assert_answer(
            &get(&server, query),
            400,
            &format!("{{\"detail\":\"{text}\"}}"),
        );
    }
    let query = format!("{SUMMARY}?field=sum(quantity)");
    assert_eq!(server.client().get(&query).status, 401);
    for token in [NARROW, ZOE, EVE] {
        assert_answer(&server.with_token(token).get(&query), 403, NO_PERMISSION);
    }
    assert_answer(
        &get(&server, "field=sum(quantity)&project=41"),
        403,
        NO_PERMISSION,
    );
    let nowhere = "/api/0/organizations/nowhere/stats-summary/";
    assert_answer(&ann(&server).get(nowhere), 404, NOT_FOUND);
}
