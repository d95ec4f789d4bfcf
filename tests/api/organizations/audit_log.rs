//! `O/audit-logs/`: every administrative write leaves its entry (facts/auth-and-tokens.md 8), and the log is read by
//! event, actor and time.

use super::*;

const LOG: &str = "/api/0/organizations/acme/audit-logs/";

/// The rows of a log, newest first.
#[track_caller]
fn rows(answer: &Answer) -> Vec<Value> {
    ok(answer)["rows"].as_array().expect("rows").clone()
}

/// A write by ann: method, path, body, and the entries that it leaves, oldest first: event, target, data, note.
struct Write(
    &'static str,
    &'static str,
    Value,
    Vec<(&'static str, i64, Value, &'static str)>,
);

/// The members, by number: ann 1, bob 2. Teams: core 1, ops 2. Of what is made in the course of it the numbers follow.
fn writes() -> Vec<Write> {
    let key = |label: &str| json!({"public_key": "<key>", "label": label});
    let given = "44444444444444444444444444444444";
    let bob = |more: Value| {
        let mut data = json!({"email": "bob@example.test", "user_id": 2});
        for (name, value) in more.as_object().expect("an object") {
            data[name] = value.clone();
        }
        data
    };
    vec![
        Write(
            "PUT",
            "organizations/acme/",
            json!({"name": "Acme Ltd", "openMembership": false, "sensitiveFields": ["iban"]}),
            vec![(
                "org.edit",
                1,
                json!({
                    "name": "from Acme to Acme Ltd", "openMembership": "from true to false", "sensitiveFields": "to iban",
                }),
                "edited the organization: name from Acme to Acme Ltd, openMembership from true to false, sensitiveFields to iban",
            )],
        ),
        Write(
            "POST",
            "organizations/acme/teams/",
            json!({"slug": "web-crew", "name": "Web Crew"}),
            vec![
                (
                    "team.create",
                    4,
                    json!({"slug": "web-crew", "name": "Web Crew"}),
                    "created team web-crew",
                ),
                (
                    "member.join-team",
                    1,
                    json!({
                        "email": "ann@example.test", "user_id": 1, "team_slug": "web-crew", "team_role": null,
                    }),
                    "put ann@example.test into team web-crew",
                ),
            ],
        ),
        Write(
            "PUT",
            "teams/acme/web-crew/",
            json!({"slug": "crew"}),
            vec![(
                "team.edit",
                4,
                json!({"slug": "crew", "name": "Web Crew", "old_slug": "web-crew", "old_name": "Web Crew"}),
                "changed team web-crew (Web Crew) to crew (Web Crew)",
            )],
        ),
        Write("PUT", "teams/acme/crew/", json!({"slug": "crew"}), vec![]),
        Write(
            "POST",
            "teams/acme/crew/projects/",
            json!({"name": "Shop 2", "id": 50}),
            vec![
                (
                    "project.create",
                    50,
                    json!({"slug": "shop-2", "name": "Shop 2"}),
                    "created project shop-2",
                ),
                (
                    "project-team.add",
                    50,
                    json!({"project_slug": "shop-2", "team_id": 4, "team_slug": "crew"}),
                    "gave project shop-2 to team crew",
                ),
                (
                    "projectkey.create",
                    5,
                    key("Default"),
                    "added client key <key>",
                ),
            ],
        ),
        Write(
            "POST",
            "organizations/acme/projects/",
            json!({"name": "Own", "id": 51, "origin": "ui"}),
            vec![
                (
                    "team.create",
                    5,
                    json!({"slug": "team-ann", "name": "team-ann"}),
                    "created team team-ann",
                ),
                (
                    "member.join-team",
                    1,
                    json!({
                        "email": "ann@example.test", "user_id": 1, "team_slug": "team-ann", "team_role": "admin",
                    }),
                    "put ann@example.test into team team-ann",
                ),
                (
                    "project.create-with-origin",
                    51,
                    json!({"slug": "own", "name": "Own", "origin": "ui"}),
                    "created project own (ui)",
                ),
                (
                    "project-team.add",
                    51,
                    json!({"project_slug": "own", "team_id": 5, "team_slug": "team-ann"}),
                    "gave project own to team team-ann",
                ),
                (
                    "projectkey.create",
                    6,
                    key("Default"),
                    "added client key <key>",
                ),
                (
                    "team-and-project.created",
                    51,
                    json!({"slug": "own", "team_slug": "team-ann"}),
                    "created project own with team team-ann",
                ),
            ],
        ),
        Write(
            "PUT",
            "projects/acme/own/",
            json!({"name": "Mine", "platform": "python", "resolveAge": 24}),
            vec![(
                "project.edit",
                51,
                json!({"name": "Mine", "platform": "python", "resolveAge": 24}),
                "edited a project's settings: resolveAge, name, platform",
            )],
        ),
        Write("PUT", "projects/acme/own/", json!({"name": "Mine"}), vec![]),
        Write(
            "PUT",
            "projects/acme/own/",
            json!({"slug": "mine"}),
            vec![(
                "project.edit",
                51,
                json!({"old_slug": "own", "new_slug": "mine"}),
                "changed a project's slug from own to mine",
            )],
        ),
        Write(
            "POST",
            "projects/acme/mine/teams/core/",
            Value::Null,
            vec![(
                "project-team.add",
                51,
                json!({"project_slug": "mine", "team_id": 1, "team_slug": "core"}),
                "gave project mine to team core",
            )],
        ),
        Write(
            "DELETE",
            "projects/acme/mine/teams/core/",
            Value::Null,
            vec![(
                "project-team.remove",
                51,
                json!({"project_slug": "mine", "team_id": 1, "team_slug": "core"}),
                "took project mine from team core",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/filters/web-crawlers/",
            json!({"active": true}),
            vec![(
                "project.enable",
                51,
                json!({"state": "web-crawlers", "slug": "mine"}),
                "switched on the inbound filter web-crawlers of project mine",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/filters/legacy-browsers/",
            json!({"subfilters": ["safari", "ie"]}),
            vec![(
                "project.enable",
                51,
                json!({"state": ["ie", "safari"], "slug": "mine"}),
                "switched on the inbound filter ie, safari of project mine",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/filters/web-crawlers/",
            json!({"active": false}),
            vec![(
                "project.disable",
                51,
                json!({"state": "web-crawlers", "slug": "mine"}),
                "switched off the inbound filter web-crawlers of project mine",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/ownership/",
            json!({"raw": "path:src/* ann@example.test"}),
            vec![(
                "project.ownership-rule.edit",
                51,
                json!({
                    "slug": "mine", "fallthrough": true, "autoAssignment": "Auto Assign to Issue Owner",
                }),
                "edited the ownership rules of project mine",
            )],
        ),
        Write(
            "POST",
            "projects/acme/mine/keys/",
            json!({"name": "Staging", "public": given}),
            vec![(
                "projectkey.create",
                7,
                json!({"public_key": given, "label": "Staging"}),
                "added client key 44444444444444444444444444444444",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/keys/44444444444444444444444444444444/",
            json!({"rateLimit": {"count": 9, "window": 60}}),
            vec![(
                "projectkey.edit",
                7,
                json!({
                    "public_key": given, "prev_rate_limit_count": null, "rate_limit_count": 9,
                    "prev_rate_limit_window": null, "rate_limit_window": 60,
                }),
                "edited client key 44444444444444444444444444444444: rate_limit_count, rate_limit_window",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/keys/44444444444444444444444444444444/",
            json!({"rateLimit": {"count": 5, "window": 60}}),
            vec![(
                "projectkey.edit",
                7,
                json!({"public_key": given, "prev_rate_limit_count": 9, "rate_limit_count": 5}),
                "edited client key 44444444444444444444444444444444: rate_limit_count",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/keys/44444444444444444444444444444444/",
            json!({"isActive": false, "name": "Old"}),
            vec![(
                "projectkey.edit",
                7,
                json!({"public_key": given, "label": "Old", "isActive": false}),
                "edited client key 44444444444444444444444444444444: label, isActive",
            )],
        ),
        Write(
            "PUT",
            "projects/acme/mine/keys/44444444444444444444444444444444/",
            json!({"isActive": false}),
            vec![],
        ),
        Write(
            "POST",
            "projects/acme/mine/keys/44444444444444444444444444444444/rotate/",
            json!({"expiresAt": "2026-02-01T00:00:00Z"}),
            vec![
                ("projectkey.create", 8, key("Old"), "added client key <key>"),
                (
                    "projectkey.edit",
                    7,
                    json!({"public_key": given, "expires": "2026-02-01T00:00:00Z"}),
                    "edited client key 44444444444444444444444444444444: expires",
                ),
            ],
        ),
        Write(
            "DELETE",
            "projects/acme/mine/keys/44444444444444444444444444444444/",
            Value::Null,
            vec![(
                "projectkey.remove",
                7,
                json!({"public_key": given, "label": "Old"}),
                "removed client key 44444444444444444444444444444444",
            )],
        ),
        Write(
            "POST",
            "projects/acme/mine/transfer/",
            json!({"email": "kim@example.test"}),
            vec![(
                "project.request-transfer",
                51,
                json!({"project_slug": "mine", "email": "kim@example.test"}),
                "offered project mine to kim@example.test",
            )],
        ),
        Write(
            "DELETE",
            "projects/acme/mine/",
            Value::Null,
            vec![(
                "project.remove",
                51,
                json!({"slug": "mine", "name": "Mine"}),
                "removed project mine",
            )],
        ),
        Write(
            "POST",
            "organizations/acme/members/",
            json!({"email": "new@example.test", "orgRole": "manager", "teams": ["ops"]}),
            vec![(
                "member.invite",
                4,
                json!({
                    "email": "new@example.test", "user_id": null, "role": "manager", "teams": [2], "teams_slugs": ["ops"],
                }),
                "invited new@example.test as manager",
            )],
        ),
        Write(
            "PUT",
            "organizations/acme/members/4/",
            json!({"reinvite": true}),
            vec![(
                "member.reinvite",
                4,
                json!({"email": "new@example.test", "role": "manager"}),
                "sent the invitation of new@example.test again",
            )],
        ),
        Write(
            "DELETE",
            "organizations/acme/members/4/",
            Value::Null,
            vec![(
                "invite.remove",
                4,
                json!({
                    "email": "new@example.test", "user_id": null, "role": "manager", "teams": [2], "teams_slugs": ["ops"],
                }),
                "took back the invitation of new@example.test",
            )],
        ),
        Write(
            "POST",
            "organizations/acme/members/2/teams/core/",
            Value::Null,
            vec![(
                "member.join-team",
                2,
                bob(json!({"team_slug": "core", "team_role": null})),
                "put bob@example.test into team core",
            )],
        ),
        Write(
            "PUT",
            "organizations/acme/members/2/teams/core/",
            json!({"teamRole": "admin"}),
            vec![(
                "member.edit",
                2,
                bob(json!({"team_slug": "core", "team_role": "admin"})),
                "gave bob@example.test the role admin in team core",
            )],
        ),
        Write(
            "DELETE",
            "organizations/acme/members/2/teams/core/",
            Value::Null,
            vec![(
                "member.leave-team",
                2,
                bob(json!({"team_slug": "core"})),
                "took bob@example.test out of team core",
            )],
        ),
        Write(
            "PUT",
            "organizations/acme/members/2/",
            json!({"orgRole": "manager", "teams": []}),
            vec![(
                "member.edit",
                2,
                bob(json!({
                    "role": "manager", "teams": [], "teams_slugs": [], "old_role": "member", "old_teams_slugs": ["ops"],
                })),
                "changed bob@example.test: role manager, teams none",
            )],
        ),
        Write(
            "DELETE",
            "organizations/acme/members/2/",
            Value::Null,
            vec![(
                "member.remove",
                2,
                bob(json!({"role": "manager", "teams": [], "teams_slugs": []})),
                "removed bob@example.test",
            )],
        ),
        Write(
            "POST",
            "organizations/acme/org-auth-tokens/",
            json!({"name": "deploy"}),
            vec![(
                "org-auth-token.create",
                10,
                json!({"name": "deploy", "scopes": ["org:ci"]}),
                "added organization token deploy",
            )],
        ),
        Write(
            "DELETE",
            "organizations/acme/org-auth-tokens/10/",
            Value::Null,
            vec![(
                "org-auth-token.remove",
                10,
                json!({"name": "deploy", "scopes": ["org:ci"]}),
                "removed organization token deploy",
            )],
        ),
        Write(
            "DELETE",
            "teams/acme/crew/",
            Value::Null,
            vec![(
                "team.remove",
                4,
                json!({"slug": "crew", "name": "Web Crew"}),
                "removed team crew",
            )],
        ),
    ]
}

/// Random public halves of keys are told by nobody in advance.
fn blanked(text: &str) -> String {
    let mut blanked = text.to_owned();
    let is_hex = |part: &str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    for part in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let is_random = part.bytes().any(|b| Some(&b) != part.as_bytes().first());
        if is_hex(part) && is_random {
            blanked = blanked.replace(part, "<key>");
        }
    }
    blanked
}

#[test]
fn every_administrative_write_leaves_its_entries() {
    let server = world();
    let ann = ann(&server);
    let mut newest = 0;
    let document = ok(&server.client().get("/api/0/openapi.json"));
    for Write(method, path, body, expected) in writes() {
        // The client takes only answers that are described.
        let tokens = "/api/0/organizations/{org}/org-auth-tokens/";
        if path.contains("org-auth-tokens") && document["paths"][tokens].is_null() {
            continue;
        }
        newest = newest.max(
            rows(&ann.get(&format!("{LOG}?per_page=1")))[0]["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .unwrap_or(0),
        );
        server.advance(1);
        let path = format!("/api/0/{path}");
        let answer = match (method, &body) {
            ("POST", Value::Null) => ann.send("POST", &path, None),
            ("POST", body) => ann.post_json(&path, body),
            ("PUT", body) => ann.put_json(&path, body),
            _ => ann.delete(&path),
        };
        let name = format!("{method} {path} {body}");
        assert!(
            (200..300).contains(&answer.status),
            "{name}: {}",
            answer.text()
        );
        let mut entries = rows(&ann.get(LOG));
        entries.retain(|entry| {
            let id: i64 = entry["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("a number");
            id > newest
        });
        entries.reverse();
        let now = server.clock.now().to_string();
        let shown: Vec<Value> = entries
            .iter()
            .map(|entry| {
                assert_eq!(entry["actor"]["email"], "ann@example.test", "{name}");
                assert_eq!(entry["actor"]["id"], "1", "{name}");
                assert_eq!(entry["ipAddress"], "127.0.0.1", "{name}");
                assert_eq!(entry["dateCreated"], json!(now), "{name}");
                let user = &entry["data"]["user_id"];
                let has_user = entry["event"]
                    .as_str()
                    .is_some_and(|e| e.starts_with("member."))
                    && user.is_i64();
                match has_user {
                    true => assert_eq!(entry["targetUser"]["id"], user.to_string(), "{name}"),
                    false => assert_eq!(entry["targetUser"], Value::Null, "{name}"),
                }
                let row = json!([
                    entry["event"],
                    entry["targetObject"],
                    entry["data"],
                    entry["note"]
                ]);
                serde_json::from_str(&blanked(&row.to_string())).expect("JSON")
            })
            .collect();
        let expected: Vec<Value> = expected
            .into_iter()
            .map(|(event, target, data, note)| json!([event, target, data, note]))
            .collect();
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn an_organization_tells_of_its_own_beginning_and_end() {
    let server = world();
    let ann = ann(&server);
    let made = ann.post_json(
        "/api/0/organizations/",
        &json!({"name": "Gamma", "slug": "gamma", "defaultTeam": true}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let log = rows(&ann.get("/api/0/organizations/gamma/audit-logs/"));
    let events = each_of(&log, "event");
    assert_eq!(events.last(), Some(&json!("org.create")), "{events:?}");
    assert!(
        events.contains(&json!("member.add")) && events.contains(&json!("team.create")),
        "{events:?}"
    );
    assert_eq!(
        log.last().expect("an entry")["data"],
        json!({"slug": "gamma", "name": "Gamma"})
    );
    assert_eq!(ann.delete("/api/0/organizations/gamma/").status, 202);
    // Nobody can read it any more; the operator can.
    let last: (String, String) = server
        .database()
        .query_row(
            "SELECT event, data FROM audit_entry WHERE event LIKE 'org.%' ORDER BY id DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an entry");
    assert_eq!(
        last,
        (
            "org.remove".to_owned(),
            r#"{"slug":"gamma","name":"Gamma"}"#.to_owned()
        )
    );
}

fn each_of(rows: &[Value], field: &str) -> Vec<Value> {
    rows.iter().map(|row| row[field].clone()).collect()
}

#[test]
fn the_actor_is_a_user_or_says_what_it_is() {
    let server = world();
    // The apply file was the operator's.
    let first = rows(&ann(&server).get(&format!("{LOG}?event=org.create")));
    assert_eq!(first.len(), 1);
    assert_eq!(
        first[0]["actor"],
        json!({"name": "operator (command line)"})
    );
    assert_eq!(first[0]["ipAddress"], Value::Null);
    let robot = server.with_token(ORG_ROBOT);
    let key = "/api/0/projects/acme/web/keys/";
    assert_eq!(robot.post_json(key, &json!({"name": "x"})).status, 201);
    let by_robot = &rows(&ann(&server).get(LOG))[0];
    assert_eq!(
        by_robot["actor"],
        json!({"name": "robot (organization token)"})
    );
    assert_eq!(by_robot["ipAddress"], "127.0.0.1");
    ok(&ann(&server).put_json("/api/0/organizations/acme/", &json!({"name": "New"})));
    let by_ann = &rows(&ann(&server).get(LOG))[0]["actor"];
    // A full user, as other users see it.
    assert_eq!(
        (&by_ann["username"], &by_ann["emails"]),
        (&json!("ann@example.test"), &json!([]))
    );
}

#[test]
fn filters_and_pages_find_what_they_say() {
    let server = world();
    let ann = ann(&server);
    for number in 0..5 {
        server.advance(3600);
        let name = json!({"name": format!("Acme {number}")});
        ok(&ann.put_json("/api/0/organizations/acme/", &name));
        let team = json!({"slug": format!("team-{number}")});
        assert_eq!(
            server
                .with_token(EVE)
                .post_json("/api/0/organizations/beta/teams/", &team)
                .status,
            201
        );
    }
    // What is just being done has no part in a period up to now.
    server.advance(1);
    let found = |query: &str| rows(&ann.get(&format!("{LOG}?{query}")));
    let edits = found("event=org.edit");
    assert_eq!(edits.len(), 5);
    assert_eq!(edits[0]["data"], json!({"name": "from Acme 3 to Acme 4"}));
    assert_eq!(found("event=org.edit&actor=1").len(), 5);
    assert_eq!(found("actor=1"), edits);
    for none in [
        "event=org.paint",
        "actor=2",
        "actor=3",
        "event=team.create&actor=1",
        "statsPeriod=0h",
    ] {
        assert_eq!(found(none), [Value::Null; 0], "{none}");
    }
    assert_eq!(found("actor=1&statsPeriod=90m").len(), 2);
    // The end does not belong to it.
    let range = "start=2026-01-02T02:00:00Z&end=2026-01-02T04:00:00Z";
    let names = each_of(&found(&format!("event=org.edit&{range}")), "data");
    assert_eq!(
        names,
        [
            json!({"name": "from Acme 1 to Acme 2"}),
            json!({"name": "from Acme 0 to Acme 1"})
        ]
    );
    assert_eq!(found(range).len(), 2);
    // Everything else was done at the start.
    let start = "start=2026-01-02T00:00:00Z&end=2026-01-02T00:00:01Z";
    assert!(found(start).len() > 5);
    assert!(found(&format!("event=org.edit&{start}")).is_empty());

    let all = found("per_page=100");
    let mut walked = Vec::new();
    let mut target = format!("{LOG}?per_page=3");
    let mut pages = Vec::new();
    loop {
        let answer = ann.get(&target);
        pages.push(rows(&answer));
        walked.extend(rows(&answer));
        let (next, has_more, _) = link(&answer, "next");
        if !has_more {
            // And back again.
            let (previous, has_newer, _) = link(&answer, "previous");
            assert!(has_newer);
            let back = rows(&ann.get(&path_of(&server, &previous)));
            assert_eq!(back, pages[pages.len() - 2]);
            break;
        }
        target = path_of(&server, &next);
    }
    assert_eq!(walked, all);
    let options = ok(&ann.get(LOG))["options"]
        .as_array()
        .expect("names")
        .clone();
    for entry in &all {
        assert!(options.contains(&entry["event"]), "{}", entry["event"]);
        assert_ne!(entry["note"], "", "{}", entry["event"]);
    }
    assert_eq!(
        options[..3],
        [
            json!("member.invite"),
            json!("member.add"),
            json!("member.accept-invite")
        ]
    );
}

#[test]
fn what_is_no_filter_is_refused() {
    let server = world();
    let ann = ann(&server);
    assert_answer(
        &ann.get(&format!("{LOG}?actor=ann")),
        400,
        r#"{"actor":["A valid integer is required."]}"#,
    );
    for (query, text) in [
        (
            "start=2026-01-01T00:00:00Z",
            "start and end are both required",
        ),
        (
            "start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
            "start must be before end",
        ),
        (
            "start=x&end=2026-01-01T00:00:00Z",
            "x is not a valid ISO8601 date query",
        ),
        ("statsPeriod=soon", "Invalid statsPeriod: 'soon'"),
    ] {
        let answer = ann.get(&format!("{LOG}?{query}"));
        assert_eq!(
            (answer.status, answer.json()),
            (400, json!({"detail": text})),
            "{query}"
        );
    }
    assert_eq!(ann.get(&format!("{LOG}?cursor=x")).status, 400);
    // It takes `org:write`, of the token and of the role.
    for token in [BOB, READER, ORG_ROBOT, EVE] {
        assert_eq!(server.with_token(token).get(LOG).status, 403);
    }
}
