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
    // Again: the sooner end stays.
    let named = json!({"name": "Next", "expiresAt": "2027-01-01T00:00:00Z"});
    assert_eq!(
        ann.post_json(&of_key("rotate/"), &named).json()["name"],
        "Next"
    );
    assert_eq!(
        ok(&ann.get(&of_key("")))["expiresAt"],
        "2026-02-01T00:00:00Z"
    );
    let entries: i64 = server
        .database()
        .query_row(
            "SELECT count(*) FROM audit_entry WHERE event = 'projectkey.create' AND actor_user_id IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(entries, 2);
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
