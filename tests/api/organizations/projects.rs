//! `O/projects/` (facts/management-api.md 4.2).

use serde_json::json;

use super::*;

const LIST: &str = "/api/0/organizations/acme/projects/";

/// The fields that tell whether something of a kind was seen.
const SEEN: [&str; 21] = [
    "firstTransactionEvent",
    "hasMinifiedStackTrace",
    "hasMonitors",
    "hasProfiles",
    "hasReplays",
    "hasFeedbacks",
    "hasNewFeedbacks",
    "hasFlags",
    "hasSessions",
    "hasLogs",
    "hasTraceMetrics",
    "hasInsightsHttp",
    "hasInsightsDb",
    "hasInsightsAssets",
    "hasInsightsAppStart",
    "hasInsightsScreenLoad",
    "hasInsightsVitals",
    "hasInsightsCaches",
    "hasInsightsQueues",
    "hasInsightsAgentMonitoring",
    "hasInsightsMCP",
];

#[test]
fn every_member_lists_all_projects_by_slug() {
    let server = world();
    let bob = server.with_token(BOB);
    let answer = bob.get(LIST);
    let list = ok(&answer);
    assert_eq!(each(&list, "slug"), ["bare", "shop", "web"]);
    assert_eq!(each(&list, "isMember"), [false, true, false]);
    // Membership is open, so there is access without being in.
    assert_eq!(each(&list, "hasAccess"), [true, true, true]);

    let mut web = list[2].clone();
    let web = web.as_object_mut().expect("an object");
    for name in SEEN {
        assert_eq!(web.remove(name), Some(json!(false)), "{name}");
    }
    let team = web["team"].clone();
    assert!(team["id"].is_string());
    let access = ["event:admin", "event:read", "event:write"];
    let held = web.remove("access").expect("scopes");
    for scope in access.map(|scope| json!(scope)) {
        assert!(held.as_array().expect("a list").contains(&scope), "{scope}");
    }
    assert_eq!(
        json!(web),
        json!({
            "id": "31", "slug": "web", "name": "Web", "platform": "python", "dateCreated": "2026-01-02T00:00:00Z",
            "isBookmarked": false, "isMember": false, "hasAccess": true, "features": ["custom-inbound-filters", "minidump", "rate-limits"],
            "firstEvent": null,
            "team": {"id": team["id"], "name": "Core", "slug": "core"}, "teams": [team],
            "platforms": [], "hasUserReports": false, "environments": [], "latestRelease": null,
            "latestDeploys": null,
        })
    );
    assert_eq!(
        (&list[0]["team"], &list[0]["teams"]),
        (&Value::Null, &json!([]))
    );
}

#[test]
fn a_page_names_its_neighbours() {
    let server = world();
    let prefix = server.url_prefix();
    let only = ann(&server).get(LIST);
    assert_eq!(
        only.header("Link"),
        Some(
            format!(
                "<{prefix}{LIST}?&cursor=100:-1:1>; rel=\"previous\"; results=\"false\"; cursor=\"100:-1:1\", \
                 <{prefix}{LIST}?&cursor=100:1:0>; rel=\"next\"; results=\"false\"; cursor=\"100:1:0\""
            )
            .as_str()
        )
    );
    let first = ann(&server).get(&format!("{LIST}?per_page=2&query=&cursor="));
    assert_eq!(each(&ok(&first), "slug"), ["bare", "shop"]);
    let (next, results, cursor) = link(&first, "next");
    assert_eq!((results, cursor.as_str()), (true, "2:1:0"));
    let second = ann(&server).get(&path_of(&server, &next));
    assert_eq!(each(&ok(&second), "slug"), ["web"]);
    assert!(!link(&second, "next").1);
    let (previous, results, _) = link(&second, "previous");
    assert!(results);
    let back = ann(&server).get(&path_of(&server, &previous));
    assert_eq!(each(&ok(&back), "slug"), ["bare", "shop"]);
    let before = ann(&server).get(&format!("{LIST}?cursor=100:-1:1"));
    assert_answer(
        &before,
        400,
        r#"{"detail":"Pagination offset cannot be negative"}"#,
    );
}

#[test]
fn all_projects_is_one_answer() {
    let server = world();
    let answer = ann(&server).get(&format!("{LIST}?all_projects=1&per_page=1"));
    assert_eq!(each(&ok(&answer), "slug"), ["bare", "shop", "web"]);
    assert_eq!(answer.header("Link"), None);
}

#[test]
fn a_query_leaves_some_out() {
    let server = world();
    for (query, expected) in [
        ("we", vec!["web"]),
        ("SHO", vec!["shop"]),
        ("id:31", vec!["web"]),
        ("id:31+id:32", vec!["shop", "web"]),
        ("id:99999999999999999999", vec![]),
        ("slug:bare", vec!["bare"]),
        ("team:core", vec!["web"]),
        ("!team:core", vec!["bare", "shop"]),
        ("is_member:1", vec!["web"]),
        ("slug:web+team:ops", vec![]),
        ("unknown:1", vec![]),
    ] {
        let list = ok(&ann(&server).get(&format!("{LIST}?query={query}")));
        assert_eq!(each(&list, "slug"), expected, "{query}");
    }
    let wrong = ann(&server).get(&format!("{LIST}?query=id:x"));
    assert_answer(
        &wrong,
        400,
        r#"{"error":{"params":{"stats_period":{"message":"All 'id' values must be integers."}}}}"#,
    );
}

#[test]
fn a_token_without_user_sees_projects_with_teams() {
    let server = world();
    let list = ok(&server.with_token(ORG_ROBOT).get(LIST));
    assert_eq!(each(&list, "slug"), ["shop", "web"]);
}

#[test]
fn stored_options_come_when_asked_for() {
    let server = world();
    let target =
        format!("{LIST}?options=filters:localhost&options=sentry:origins&options=none&query=id:32");
    let list = ok(&ann(&server).get(&target));
    assert_eq!(
        list[0]["options"],
        json!({"filters:localhost": true, "sentry:origins": "shop.example.test\n*.shop.test"})
    );
    let list = ok(&ann(&server).get(&format!("{LIST}?options=filters:localhost&query=id:31")));
    assert_eq!(list[0].get("options"), None);
    assert_eq!(ok(&ann(&server).get(LIST))[1].get("options"), None);
}

#[test]
fn stats_count_what_was_accepted() {
    let server = world();
    server.advance(1800);
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    server.advance(3600);
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    let start = crate::support::START.secs();
    for (period, buckets, bucket_secs, last, before) in [
        ("1h", 60, 60, 1, 0),
        ("24h", 24, 3600, 1, 1),
        ("7d", 7, 86_400, 2, 0),
        ("14d", 14, 86_400, 2, 0),
        ("30d", 30, 86_400, 2, 0),
        ("90d", 90, 86_400, 2, 0),
    ] {
        let target = format!("{LIST}?statsPeriod={period}&transactionStats=1&query=id:31");
        let list = ok(&ann(&server).get(&target));
        let stats = list[0]["stats"].as_array().expect("points");
        assert_eq!(stats.len(), buckets, "{period}");
        let now = start + 5400;
        let bucket = now - now % bucket_secs;
        assert_eq!(stats[buckets - 1], json!([bucket, last]), "{period}");
        assert_eq!(
            stats[buckets - 2],
            json!([bucket - bucket_secs, before]),
            "{period}"
        );
        let transactions = list[0]["transactionStats"].as_array().expect("points");
        assert_eq!(transactions.len(), buckets);
        assert_eq!(transactions[buckets - 1], json!([bucket, 0]));
    }
    let list = ok(&ann(&server).get(&format!("{LIST}?statsPeriod=")));
    assert_eq!(list[0].get("stats"), None);
    let list = ok(&ann(&server).get(&format!("{LIST}?query=id:31")));
    assert_eq!(list[0]["firstEvent"], "2026-01-02T00:30:00Z");
}

#[test]
fn wrong_parameters_are_refused() {
    let server = world();
    let wrong = ann(&server).get(&format!("{LIST}?statsPeriod=2h"));
    assert_answer(
        &wrong,
        400,
        r#"{"error":{"params":{"stats_period":{"message":"Invalid stats_period. Valid choices are '', '1h', '24h', '7d', '14d', '30d', and '90d'"}}}}"#,
    );
    let wrong = ann(&server).get(&format!("{LIST}?dataset=x"));
    assert_answer(
        &wrong,
        400,
        r#"{"detail":"dataset must be one of: , discover, metricsEnhanced, metrics"}"#,
    );
    let fine = ann(&server).get(&format!("{LIST}?dataset=metrics&collapse=latestDeploys"));
    assert_eq!(ok(&fine)[0].get("latestDeploys"), None);
}

/// Adds projects `p00000` and so on behind the server's back, as a restored file would have them.
fn add_projects(server: &Server, numbers: std::ops::Range<i64>) {
    server
        .database()
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < ?2)
             INSERT INTO project (organization_id, slug, name, security_token, created_us)
             SELECT (SELECT id FROM organization WHERE slug = 'acme'), printf('p%05d', n), '', '', 0 FROM n",
            [numbers.start, numbers.end],
        )
        .expect("projects");
}

/// Writes to the log of who did what, as every change does that goes through the server or its commands.
fn write_entry(server: &Server) {
    server
        .database()
        .execute(
            "INSERT INTO audit_entry (organization_id, at_us, event, data)
             SELECT id, 0, 'project.create', '{}' FROM organization WHERE slug = 'acme'",
            [],
        )
        .expect("an entry");
}

fn slugs_at(server: &Server, page: i64) -> Vec<String> {
    let list = ok(&ann(server).get(&format!("{LIST}?cursor=100:{page}:0")));
    let slugs = each(&list, "slug");
    slugs
        .iter()
        .map(|slug| slug.as_str().expect("a slug").to_owned())
        .collect()
}

#[test]
fn a_deep_page_is_what_counting_would_find_and_follows_every_change() {
    let server = world();
    add_projects(&server, 0..2500);
    // `bare` stands before them.
    let expected = |page: i64| -> Vec<String> {
        (page * 100 - 1..page * 100 + 99)
            .map(|n| format!("p{n:05}"))
            .collect()
    };
    for page in [5, 9, 10, 11, 24] {
        assert_eq!(slugs_at(&server, page), expected(page), "{page}");
    }
    let last = ann(&server).get(&format!("{LIST}?cursor=100:25:0"));
    assert_eq!(each(&ok(&last), "slug"), ["p02499", "shop", "web"]);
    let link = last.header("Link").expect("a link");
    assert!(
        link.contains(r#"rel="previous"; results="true"; cursor="100:24:1""#),
        "{link}"
    );
    assert!(
        link.contains(r#"rel="next"; results="false"; cursor="100:26:0""#),
        "{link}"
    );
    assert_eq!(slugs_at(&server, 26), [""; 0]);

    // A project that came without an entry in the log is not counted yet: the order really is kept.
    add_projects(&server, 3000..3001);
    server
        .database()
        .execute("UPDATE project SET slug = 'a' WHERE slug = 'p03000'", [])
        .expect("a slug");
    assert_eq!(slugs_at(&server, 20), expected(20));
    write_entry(&server);
    let moved: Vec<String> = (1998..2098).map(|n| format!("p{n:05}")).collect();
    assert_eq!(slugs_at(&server, 20), moved);

    // One that was deleted is on no page, even where the order still names it.
    server
        .database()
        .execute(
            "UPDATE project SET deleted_us = 1 WHERE slug = 'p02000'",
            [],
        )
        .expect("a mark");
    let without: Vec<String> = (1998..2099)
        .filter(|n| *n != 2000)
        .map(|n| format!("p{n:05}"))
        .collect();
    assert_eq!(slugs_at(&server, 20), without);
}

#[test]
fn bookmarked_projects_come_first_on_every_page() {
    let server = world();
    add_projects(&server, 0..1500);
    server
        .database()
        .execute(
            "INSERT INTO project_bookmark (user_id, project_id)
             SELECT user.id, project.id FROM user, project
             WHERE user.email = 'ann@example.test' AND project.slug IN ('web', 'p00700', 'hidden')",
            [],
        )
        .expect("bookmarks");
    // All in one answer are in the one order.
    let everything = ok(&ann(&server).get(&format!("{LIST}?all_projects=1")));
    let mut all: Vec<&str> = each(&everything, "slug")
        .into_iter()
        .map(|slug| slug.as_str().expect("a slug"))
        .collect();
    assert_eq!(all.len(), 1503);
    assert!(all.is_sorted());
    let bookmarked = ["p00700", "web"];
    all.retain(|slug| !bookmarked.contains(slug));
    all.splice(0..0, bookmarked);
    for page in [0, 1, 9, 10, 14, 15] {
        let from = usize::try_from(page * 100).expect("a place");
        let to = all.len().min(from + 100);
        assert_eq!(slugs_at(&server, page), all[from..to], "{page}");
    }
    // A page of one row each, across the edge.
    for (page, slug) in [(1, "web"), (2, "bare")] {
        let list = ok(&ann(&server).get(&format!("{LIST}?per_page=1&cursor=1:{page}:0")));
        assert_eq!(each(&list, "slug"), [slug]);
    }
    let filtered = ok(&ann(&server).get(&format!("{LIST}?query=slug:web+slug:bare")));
    assert_eq!(each(&filtered, "slug"), ["web", "bare"]);
    // Only to her.
    let of_bob = ok(&server.with_token(BOB).get(LIST));
    assert_eq!(of_bob[0]["slug"], "bare");
}
