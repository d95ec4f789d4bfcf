//! `P/keys/{key}/rotate/` and `P/keys/{key}/clients/`: how a key is replaced, and when that may be.

use serde_json::{Value, json};

use super::super::*;

const KEYS: &str = "/api/0/projects/acme/web/keys/";

fn of_key(rest: &str) -> String {
    format!("{KEYS}{KEY}/{rest}")
}

fn send(server: &Server, key: &str, event: &Value) -> u16 {
    let path = format!("/api/31/store/?sentry_key={key}");
    server
        .client()
        .post(&path, event.to_string().as_bytes())
        .status
}

#[test]
fn a_key_that_was_replaced_goes_on_until_it_ends() {
    let server = world();
    let ann = ann(&server);
    let change = json!({
        "rateLimit": {"count": 7, "window": 60}, "browserSdkVersion": "9.x", "dynamicSdkLoaderOptions": {"hasDebug": true},
    });
    ok(&ann.put_json(&of_key(""), &change));
    let made = ann.post_json(
        &of_key("rotate/"),
        &json!({"expiresAt": "2026-01-02T01:00:00Z"}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let new = made.json();
    let public = new["public"].as_str().expect("a key");
    assert_ne!(public, KEY);
    assert_eq!(
        (&new["name"], &new["isActive"]),
        (&json!("Default"), &json!(true))
    );
    assert_eq!(new["rateLimit"], json!({"count": 7, "window": 60}));
    assert_eq!(new["browserSdkVersion"], "9.x");
    assert_eq!(new["dynamicSdkLoaderOptions"]["hasDebug"], true);
    assert_eq!(new["expiresAt"], Value::Null);

    let old = ok(&ann.get(&of_key("")));
    assert_eq!(
        (&old["expiresAt"], &old["isActive"]),
        (&json!("2026-01-02T01:00:00Z"), &json!(true))
    );
    let event = json!({"message": "x"});
    assert_eq!(
        (send(&server, KEY, &event), send(&server, public, &event)),
        (200, 200)
    );
    server.advance(3600);
    assert_eq!(
        (send(&server, KEY, &event), send(&server, public, &event)),
        (403, 200)
    );
    assert_eq!(ok(&ann.get(&of_key("")))["isActive"], false);
    let active = ok(&ann.get(&format!("{KEYS}?status=active")));
    assert_eq!(each(&active, "public"), [public]);
    assert_eq!(
        each(&ok(&ann.get(&format!("{KEYS}?status=inactive"))), "public"),
        [KEY]
    );
    // The end can be taken back.
    assert_eq!(
        ok(&ann.put_json(&of_key(""), &json!({"expiresAt": null})))["isActive"],
        true
    );
    assert_eq!(send(&server, KEY, &event), 200);
}

#[test]
fn without_a_moment_it_ends_in_thirty_days() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(ann.post(&of_key("rotate/"), b"").status, 201);
    assert_eq!(
        ok(&ann.get(&of_key("")))["expiresAt"],
        "2026-02-01T00:00:00Z"
    );
    // Again, and later: the sooner end stays.
    server.advance(86_400);
    assert_eq!(ann.post(&of_key("rotate/"), b"").status, 201);
    assert_eq!(
        ok(&ann.get(&of_key("")))["expiresAt"],
        "2026-02-01T00:00:00Z"
    );
    // Unless another one is asked for.
    let named = json!({"name": "Next", "expiresAt": "2027-01-01"});
    assert_eq!(
        ann.post_json(&of_key("rotate/"), &named).json()["name"],
        "Next"
    );
    assert_eq!(
        ok(&ann.get(&of_key("")))["expiresAt"],
        "2027-01-01T00:00:00Z"
    );
}

#[test]
fn a_rotation_is_a_creation_and_a_change() {
    let server = world();
    let entries = || -> Vec<(String, String)> {
        let database = server.database();
        let mut statement = database
            .prepare(
                "SELECT event, data FROM audit_entry WHERE actor_user_id IS NOT NULL ORDER BY id",
            )
            .expect("a statement");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    };
    assert_eq!(entries(), []);
    let made = ann(&server).post(&of_key("rotate/"), b"").json();
    let entries: Vec<(String, Value)> = entries()
        .into_iter()
        .map(|(event, data)| (event, serde_json::from_str(&data).expect("JSON")))
        .collect();
    assert_eq!(
        entries,
        [
            (
                "projectkey.create".to_owned(),
                json!({"public_key": made["public"], "label": "Default"})
            ),
            (
                "projectkey.edit".to_owned(),
                json!({"public_key": KEY, "expires": "2026-02-01T00:00:00Z"})
            ),
        ]
    );
}

#[test]
fn a_key_that_has_ended_can_be_switched_on() {
    let server = world();
    let ann = ann(&server);
    let event = json!({"message": "x"});
    let ending = json!({"expiresAt": "2026-01-02T01:00:00Z"});
    ok(&ann.put_json(&of_key(""), &ending));
    server.advance(3600);
    let ended = ok(&ann.get(&of_key("")));
    assert_eq!(ended["isActive"], false);
    // Another change leaves it as it is, also one that says again when it ended.
    let named = json!({"name": "Old", "expiresAt": ended["expiresAt"]});
    let named = ok(&ann.put_json(&of_key(""), &named));
    assert_eq!(
        (&named["name"], &named["isActive"], &named["expiresAt"]),
        (&json!("Old"), &json!(false), &ended["expiresAt"])
    );
    assert_eq!(send(&server, KEY, &event), 403);
    let on = ok(&ann.put_json(&of_key(""), &json!({"isActive": true})));
    assert_eq!(
        (&on["isActive"], &on["expiresAt"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(send(&server, KEY, &event), 200);
    // An end that lies ahead stays when a key is switched on.
    ok(&ann.put_json(&of_key(""), &json!({"expiresAt": "2026-01-03T00:00:00Z"})));
    let on = ok(&ann.put_json(&of_key(""), &json!({"isActive": true})));
    assert_eq!(on["expiresAt"], "2026-01-03T00:00:00Z");
}

#[test]
fn a_wrong_moment_is_named_and_nothing_is_made() {
    let server = world();
    let ann = ann(&server);
    for (moment, text) in [
        (
            "2026-01-01T00:00:00Z",
            "This must be a moment that lies ahead.",
        ),
        (
            "tomorrow",
            "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        ),
    ] {
        let body = json!({"expiresAt": moment});
        for answer in [
            ann.post_json(&of_key("rotate/"), &body),
            ann.put_json(&of_key(""), &body),
        ] {
            assert_eq!(
                (answer.status, answer.json()),
                (400, json!({"expiresAt": [text]}))
            );
        }
    }
    assert_eq!(ok(&ann.get(KEYS)).as_array().map(Vec::len), Some(1));
}

#[test]
fn who_uses_a_key_is_told_last_seen_first() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(ok(&ann.get(&of_key("clients/"))), json!([]));
    let event = |release: &str| {
        json!({
            "sdk": {"name": "sentry.python", "version": "2.75.0"}, "release": release, "environment": "production",
            "message": "x",
        })
    };
    assert_eq!(send(&server, KEY, &event("shop@1")), 200);
    server.advance(30);
    assert_eq!(send(&server, KEY, &json!({"message": "bare"})), 200);
    server.advance(31);
    for _ in 0..3 {
        assert_eq!(send(&server, KEY, &event("shop@1")), 200);
    }
    let clients = ok(&ann.get(&of_key("clients/")));
    assert_eq!(
        clients,
        json!([
            {"sdk": "sentry.python/2.75.0", "release": "shop@1", "environment": "production",
             "firstSeen": "2026-01-02T00:00:00Z", "lastSeen": "2026-01-02T00:01:01Z"},
            {"sdk": null, "release": null, "environment": null,
             "firstSeen": "2026-01-02T00:00:30Z", "lastSeen": "2026-01-02T00:00:30Z"},
        ])
    );
    let first = ann.get(&format!("{}?per_page=1", of_key("clients/")));
    let (next, has_more, _) = link(&first, "next");
    assert!(has_more);
    assert_eq!(
        ok(&ann.get(&path_of(&server, &next)))[0]["sdk"],
        Value::Null
    );
}

#[test]
fn of_many_clients_the_ones_seen_last_are_kept() {
    let server = world();
    for number in 0..120 {
        server.advance(1);
        let event = json!({"release": format!("r{number}"), "message": "x"});
        assert_eq!(send(&server, KEY, &event), 200);
    }
    let clients = ok(&ann(&server).get(&of_key("clients/?per_page=100")));
    let releases = each(&clients, "release");
    assert_eq!(
        (releases.len(), releases[0], releases[99]),
        (100, &json!("r119"), &json!("r20"))
    );
}

#[test]
fn no_more_clients_are_written_down_in_a_minute_than_are_kept() {
    let server = world();
    let clients = |release: &str| {
        let event = json!({"release": release, "message": "x"});
        assert_eq!(send(&server, KEY, &event), 200);
        let list = ok(&ann(&server).get(&of_key("clients/")));
        let releases = each(&list, "release");
        (releases.len(), releases.contains(&&json!(release)))
    };
    for number in 0..100 {
        assert_eq!(clients(&format!("r{number}")), (number + 1, true));
    }
    assert_eq!(clients("late"), (100, false));
    server.advance(60);
    assert_eq!(clients("late"), (100, true));
}

/// Sends one item in an envelope with this first line, as an SDK that says in the header who it is.
fn send_item(server: &Server, line: &Value, kind: &Value, payload: &Value) {
    let envelope = format!("{line}\n{kind}\n{payload}\n");
    let auth = format!("Sentry sentry_key={KEY}, sentry_client=raven/6.1");
    let client = server.client().with_header("X-Sentry-Auth", &auth);
    let answer = client.post("/api/31/envelope/", envelope.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn items_beside_events_tell_who_sent_them() {
    let server = world();
    let ann = ann(&server);
    let line = json!({"sdk": {"name": "sentry.go", "version": "0.30.0", "packages": []}});
    let session = json!({
        "sid": "7c7b6585-f901-4351-bf8d-02711b721929", "init": true, "status": "ok", "errors": 0,
        "started": "2026-01-02T00:00:00Z", "attrs": {"release": "shop@1", "environment": "production"},
    });
    send_item(&server, &line, &json!({"type": "session"}), &session);
    server.advance(1);
    let check_in = json!({
        "check_in_id": "a460c25ff2554577b920fbe4ac3bb4c9", "monitor_slug": "m", "status": "ok",
        "environment": "cron",
    });
    send_item(&server, &line, &json!({"type": "check_in"}), &check_in);
    server.advance(1);
    // Nobody but the request's header says who sends this, and it names nothing.
    let logs = json!({"items": [{"timestamp": 1767312000, "level": "info", "body": "x"}]});
    let kind = json!({
        "type": "log", "item_count": 1, "content_type": "application/vnd.sentry.items.log+json",
    });
    send_item(&server, &json!({}), &kind, &logs);
    server.advance(1);
    // A name that no event could have is none.
    let odd = json!({"attrs": {"release": "latest", "environment": "a/b"}});
    send_item(&server, &line, &json!({"type": "sessions"}), &odd);
    server.advance(1);
    // An event says it itself; what came with it adds nothing.
    let event = json!({"sdk": {"name": "sentry.python", "version": "2.75.0"}, "environment": "qa"});
    let envelope = format!(
        "{line}\n{{\"type\":\"event\"}}\n{event}\n{{\"type\":\"attachment\",\"length\":1}}\nx\n{kind}\n{logs}\n"
    );
    let path = format!("/api/31/envelope/?sentry_key={KEY}&sentry_client=raven%2F6.2");
    assert_eq!(server.client().post(&path, envelope.as_bytes()).status, 200);

    let client = |sdk: &str, release: Value, environment: Value, second: i64| {
        let at = START.plus_secs(second).to_string();
        json!({"sdk": sdk, "release": release, "environment": environment, "firstSeen": at, "lastSeen": at})
    };
    assert_eq!(
        ok(&ann.get(&of_key("clients/"))),
        json!([
            client("sentry.python/2.75.0", Value::Null, json!("qa"), 4),
            client("sentry.go/0.30.0", Value::Null, Value::Null, 3),
            client("raven/6.1", Value::Null, Value::Null, 2),
            client("sentry.go/0.30.0", Value::Null, json!("cron"), 1),
            client("sentry.go/0.30.0", json!("shop@1"), json!("production"), 0),
        ])
    );
    let environments = ok(&ann.get("/api/0/projects/acme/web/environments/"));
    assert_eq!(each(&environments, "name"), ["cron", "production", "qa"]);
}

#[test]
fn what_is_not_stored_tells_nothing() {
    let server = world();
    let ann = ann(&server);
    let event = |id: &str, environment: &str| {
        let event = json!({"event_id": id.repeat(32), "message": "x", "environment": environment});
        assert_eq!(send(&server, KEY, &event), 200);
    };
    event("a", "first");
    // A duplicate, and what a filter takes out.
    event("a", "second");
    let filters = json!({"options": {"filters:error_messages": "x"}});
    ok(&ann.put_json("/api/0/projects/acme/web/", &filters));
    event("b", "third");
    let clients = ok(&ann.get(&of_key("clients/")));
    assert_eq!(each(&clients, "environment"), ["first"]);
    let environments = ok(&ann.get("/api/0/projects/acme/web/environments/"));
    assert_eq!(each(&environments, "name"), ["first"]);
}

#[test]
fn a_key_that_goes_takes_its_clients_along() {
    let server = world();
    assert_eq!(send(&server, KEY, &json!({"message": "x"})), 200);
    let uses = || -> i64 {
        server
            .database()
            .query_row("SELECT count(*) FROM client_key_use", [], |row| row.get(0))
            .expect("a count")
    };
    assert_eq!(uses(), 1);
    assert_eq!(ann(&server).delete(&of_key("")).status, 204);
    assert_eq!(uses(), 0);
}

#[test]
fn what_events_bring_is_seen_of_their_project() {
    let server = world();
    let ann = ann(&server);
    let environments = "/api/0/projects/acme/web/environments/";
    for environment in ["staging", "staging", "qa"] {
        let event = json!({"message": "x", "environment": environment});
        assert_eq!(send(&server, KEY, &event), 200);
    }
    assert_eq!(each(&ok(&ann.get(environments)), "name"), ["qa", "staging"]);
    let envelope = "{}\n{\"type\":\"check_in\"}\n{\"check_in_id\":\"a460c25ff2554577b920fbe4ac3bb4c9\",\"monitor_slug\":\"m\",\"status\":\"ok\"}\n";
    let path = format!("/api/31/envelope/?sentry_key={KEY}");
    assert_eq!(server.client().post(&path, envelope.as_bytes()).status, 200);
    let project = ok(&ann.get("/api/0/projects/acme/web/"));
    assert_eq!(
        (&project["hasMonitors"], &project["hasReplays"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(project["platforms"], json!(["python"]));
}

#[test]
fn of_two_keys_with_one_public_half_one_is_made() {
    let server = world();
    let client = ann(&server);
    for round in 0..300 {
        let body = json!({"public": format!("{round:032x}")});
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let runs = [(); 2].map(|()| scope.spawn(|| client.post_json(KEYS, &body).status));
            runs.into_iter()
                .map(|run| run.join().expect("an answer"))
                .collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "round {round}");
    }
}
