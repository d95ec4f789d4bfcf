//! When, from where and how often tokens are used, and what it costs to know.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const DAY: i64 = 86_400;

fn version(database: &rusqlite::Connection) -> i64 {
    database
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .expect("a number")
}

fn organization_token(server: &Server, name: &str) -> String {
    let list = ok(&server
        .owner()
        .get("/api/0/organizations/acme/org-auth-tokens/"));
    let list = list.as_array().expect("a list");
    let token = list.iter().find(|token| token["name"] == name);
    let id = token.expect("a token")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    format!("/api/0/organizations/acme/org-auth-tokens/{id}/")
}

#[test]
fn a_token_writes_at_most_once_a_minute() {
    let server = world();
    let database = server.database();
    // What copies the write-ahead log into the file looks like a commit, and waits for whoever reads.
    let reader = server.database();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM auth_token;")
        .expect("a reading transaction");
    let tokens = [READER, ORG_ROBOT, BOB];
    let ask = |secs: i64| {
        for _ in 0..secs {
            for token in tokens {
                assert_eq!(
                    server
                        .with_token(token)
                        .get("/api/0/organizations/acme/")
                        .status,
                    200
                );
            }
            server.advance(1);
        }
    };
    let next = |last: i64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now = version(&database);
            if now != last {
                return now;
            }
            assert!(Instant::now() < deadline, "nothing is written");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let before = version(&database);
    ask(1);
    let first = next(before);
    assert_eq!(count_rows(&server, "auth_token_use"), 1);
    ask(58);
    // Time enough for a commit that should not come.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(version(&database), first);
    ask(2);
    let second = next(first);
    assert_eq!(count_rows(&server, "auth_token_use"), 3);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(version(&database), second);
}

#[test]
fn usage_is_told_by_day_also_what_is_not_written_yet() {
    let mut server = world();
    let path = organization_token(&server, "robot");
    let usage = |server: &Server| ok(&server.owner().get(&format!("{path}usage/")));
    assert_eq!(
        usage(&server),
        json!({
            "dateLastUsed": null, "lastUsedAddress": null, "projectLastUsedId": null, "requestsPerDay": [],
            "daysKept": 90,
        })
    );
    let ask = |server: &Server, path: &str, times: usize| {
        for _ in 0..times {
            server.with_token(ORG_ROBOT).get(path);
        }
    };
    ask(&server, "/api/0/", 3);
    server.advance(DAY - 5);
    ask(&server, "/api/0/projects/acme/web/", 1);
    // Refusals count too; they are use.
    ask(&server, "/api/0/organizations/beta/", 1);
    server.advance(5);
    ask(&server, "/api/0/projects/acme/shop/keys/", 2);
    let day = START.secs();
    let expected = json!({
        "dateLastUsed": "2026-01-03T00:00:00Z", "lastUsedAddress": "127.0.0.1", "projectLastUsedId": "32",
        "requestsPerDay": [[day, 5], [day + DAY, 2]], "daysKept": 90,
    });
    assert_eq!(usage(&server), expected);
    // A stop loses nothing.
    server.restart();
    assert_eq!(usage(&server), expected);
    // A use that is about no project forgets which one there was.
    ask(&server, "/api/0/organizations/acme/projects/", 1);
    assert_eq!(
        ok(&server.owner().get(&path))["projectLastUsedId"],
        json!(null)
    );
    // Days that are too long ago are forgotten.
    server.advance(89 * DAY);
    ask(&server, "/api/0/", 1);
    server.restart();
    let days = usage(&server)["requestsPerDay"].clone();
    assert_eq!(days, json!([[day + DAY, 3], [day + 90 * DAY, 1]]));
}

#[test]
fn a_users_token_tells_its_use_to_the_browser_alone() {
    let server = world();
    server.with_token(READER).get("/api/0/");
    let browser = server.signed_in("ann@example.test");
    let list = ok(&browser.get("/api/0/api-tokens/"));
    let id = list[1]["id"].as_str().expect("an id").to_owned();
    assert_eq!(list[1]["dateLastUsed"], "2026-01-02T00:00:00Z");
    let target = format!("/api/0/api-tokens/{id}/usage/");
    assert_eq!(
        ok(&browser.get(&target)),
        json!({
            "dateLastUsed": "2026-01-02T00:00:00Z", "lastUsedAddress": "127.0.0.1", "projectLastUsedId": null,
            "requestsPerDay": [[START.secs(), 1]], "daysKept": 90,
        })
    );
    let answer = browser.get("/api/0/api-tokens/999999/usage/");
    assert_answer(&answer, 404, r#"{"detail":"Invalid token ID"}"#);
}
