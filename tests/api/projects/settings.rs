//! `PUT P/` and `DELETE P/`, and what a changed slug does.

use serde_json::{Value, json};

use super::super::*;

const WEB: &str = "/api/0/projects/acme/web/";

fn send(server: &Server, event: &Value) -> Answer {
    let path = format!("/api/31/store/?sentry_key={KEY}");
    server.client().post(&path, event.to_string().as_bytes())
}

/// A reason of the ledger's filtered rows for project 31.
fn filtered(server: &Server) -> Vec<String> {
    server
        .ledger()
        .into_iter()
        .filter(|(_, outcome, ..)| *outcome == 1)
        .map(|(_, _, reason, _)| reason)
        .collect()
}

#[test]
fn every_setting_reads_back_as_it_was_set() {
    let server = world();
    let ann = ann(&server);
    let settings = json!({
        "name": "Web Shop", "platform": "go", "subjectPrefix": "[Shop] ", "subjectTemplate": "$title", "resolveAge": 720,
        "digestsMinDelay": 60, "digestsMaxDelay": 3600, "allowedDomains": ["https://a.test", "*.b.test"],
        "dataScrubber": false, "dataScrubberDefaults": false, "scrubIPAddresses": true, "verifySSL": true,
        "scrapeJavaScript": false, "enableAutoReleaseCreation": false, "sensitiveFields": ["iban"],
        "safeFields": ["$user.id"], "storeCrashReports": 5, "securityToken": "abc+/=", "securityTokenHeader": "X-Own",
        "defaultEnvironment": "production", "highlightTags": ["release"], "highlightContext": {"os": ["name"]},
        "groupingEnhancements": "path:vendor/* -app", "fingerprintingRules": "type:KeyError -> keys",
        "builtinSymbolSources": ["ios"], "symbolSources": "[]", "debugFilesRole": "owner",
    });
    let changed = ok(&ann.put_json(WEB, &settings));
    let read = ok(&ann.get(WEB));
    for (field, value) in settings.as_object().expect("an object") {
        // White space around texts goes.
        let value = match value {
            Value::String(text) => json!(text.trim()),
            value => value.clone(),
        };
        assert_eq!((&changed[field], &read[field]), (&value, &value), "{field}");
    }
    assert_eq!(ok(&ann.put_json(WEB, &json!({}))), read);

    let cleared = json!({
        "storeCrashReports": null, "defaultEnvironment": null, "debugFilesRole": null, "resolveAge": "",
        "securityToken": "", "name": null, "platform": null,
    });
    let read = ok(&ann.put_json(WEB, &cleared));
    for field in ["storeCrashReports", "defaultEnvironment", "debugFilesRole"] {
        assert_eq!(read[field], Value::Null, "{field}");
    }
    assert_eq!(
        (&read["resolveAge"], &read["securityToken"]),
        (&json!(0), &json!(""))
    );
    assert_eq!(
        (&read["name"], &read["platform"]),
        (&json!("Web Shop"), &json!("go"))
    );
}

#[test]
fn options_are_texts_under_the_names_that_clients_use() {
    let server = world();
    let ann = ann(&server);
    let options = json!({
        "filters:blacklisted_ips": "192.0.2.1\n\n 198.51.100.0/24 ", "filters:releases": "Shop@1.*",
        "filters:error_messages": "*Noise*", "filters:log_messages": "*Ping*", "filters:trace_metric_names": "Cpu",
        "filters:react-hydration-errors": 0, "filters:chunk-load-error": false, "sentry:csp_ignored_sources": "*.ads.test",
        "sentry:csp_ignored_sources_defaults": false, "sentry:resolve_age": 24, "mail:subject_prefix": "!",
        "feedback:branding": false, "sentry:toolbar_allowed_origins": "a.test\n\nb.test", "not:an_option": 1,
    });
    let read = ok(&ann.put_json(WEB, &json!({"options": options})));
    for (name, value) in [
        (
            "filters:blacklisted_ips",
            json!("192.0.2.1\n198.51.100.0/24"),
        ),
        ("filters:releases", json!("shop@1.*")),
        ("filters:error_messages", json!("*Noise*")),
        ("filters:react-hydration-errors", json!(false)),
        ("filters:chunk-load-error", json!(false)),
        ("sentry:csp_ignored_sources", json!("*.ads.test")),
        ("sentry:csp_ignored_sources_defaults", json!(false)),
        ("feedback:branding", json!(false)),
        ("sentry:toolbar_allowed_origins", json!("a.test\nb.test")),
    ] {
        assert_eq!(read["options"][name], value, "{name}");
    }
    assert!(read["options"].get("not:an_option").is_none());
    assert_eq!(
        (&read["resolveAge"], &read["subjectPrefix"]),
        (&json!(24), &json!("!"))
    );
    let never = json!({"options": {"sentry:resolve_age": null, "sentry:grouping_config": null}});
    assert_eq!(ok(&ann.put_json(WEB, &never))["resolveAge"], 0);
    let grouping = ann.put_json(WEB, &json!({"options": {"sentry:grouping_config": "x"}}));
    assert_answer(
        &grouping,
        400,
        r#"{"options":{"sentry:grouping_config":["Grouping config cannot be manually set."]}}"#,
    );
    let wrong = ann.put_json(
        WEB,
        &json!({"options": {"filters:blacklisted_ips": "nowhere"}}),
    );
    assert_eq!(
        (wrong.status, wrong.json()),
        (
            400,
            json!({"options": {"filters:blacklisted_ips": ["\"nowhere\" is no address or range"]}})
        )
    );
}

#[test]
fn what_is_wrong_is_named_and_nothing_changes() {
    let server = world();
    let ann = ann(&server);
    let before = ok(&ann.get(WEB));
    let pattern = json!(["This value does not match the required pattern."]);
    for (body, expected) in [
        (
            json!({"name": ""}),
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"name": "x".repeat(201)}),
            json!({"name": ["Ensure this field has no more than 200 characters."]}),
        ),
        (
            json!({"slug": "teams"}),
            json!({"slug": ["The slug \"teams\" is reserved and not allowed."]}),
        ),
        (
            json!({"slug": "shop"}),
            json!({"slug": ["Another project (shop) is already using that slug"]}),
        ),
        (
            json!({"platform": "cobol"}),
            json!({"platform": ["Invalid platform"]}),
        ),
        (
            json!({"subjectTemplate": ""}),
            json!({"subjectTemplate": ["This field may not be blank."]}),
        ),
        (
            json!({"digestsMinDelay": 59}),
            json!({"digestsMinDelay": ["Ensure this value is greater than or equal to 60."]}),
        ),
        (
            json!({"digestsMinDelay": 1801}),
            json!({"digestsMinDelay": ["The minimum delay on digests must be lower than the maximum."]}),
        ),
        (
            json!({"allowedDomains": [" "]}),
            json!({"allowedDomains": ["Empty value will block all requests, use * to accept from all domains"]}),
        ),
        (
            json!({"allowedDomains": ["http://a.test:*"]}),
            json!({"allowedDomains": {"0": ["http://a.test:* is not an acceptable domain. Wildcard ports are not allowed."]}}),
        ),
        (
            json!({"sensitiveFields": ["x".repeat(4001)]}),
            json!({"sensitiveFields": ["List of sensitive fields is too long."]}),
        ),
        (
            json!({"storeCrashReports": 101}),
            json!({"storeCrashReports": ["Ensure this value is less than or equal to 100."]}),
        ),
        (
            json!({"securityToken": "a!", "securityTokenHeader": "a b"}),
            json!({"securityToken": pattern, "securityTokenHeader": pattern}),
        ),
        (
            json!({"groupingConfig": "x"}),
            json!({"groupingConfig": ["Grouping config cannot be manually set."]}),
        ),
        (
            json!({"groupingEnhancements": "path:a"}),
            json!({"groupingEnhancements": ["Invalid syntax in line 1: there is no action, such as +app"]}),
        ),
        (
            json!({"fingerprintingRules": "# x\noops"}),
            json!({"fingerprintingRules": ["Invalid syntax in line 2: there is no \"->\""]}),
        ),
        (
            json!({"relayPiiConfig": "{}"}),
            json!({"relayPiiConfig": ["Advanced data scrubbing rules are not supported by this server."]}),
        ),
        (
            json!({"symbolSources": "{"}),
            json!({"symbolSources": ["This must be a list in JSON."]}),
        ),
        (
            json!({"highlightContext": {"os": 1}}),
            json!({"highlightContext": ["Each value must be a list of strings."]}),
        ),
        (
            json!({"copy_from_project": 41}),
            json!({"copy_from_project": ["Project to copy settings from not found."]}),
        ),
        (
            json!({"targetSampleRate": 0.5}),
            json!({"targetSampleRate": ["Dynamic sampling is not supported by this server."]}),
        ),
        (
            json!({"options": []}),
            json!({"options": ["Expected a dictionary of items but got type \"list\"."]}),
        ),
    ] {
        let answer = ann.put_json(WEB, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    let biases = ann.put_json(WEB, &json!({"dynamicSamplingBiases": []}));
    assert_answer(
        &biases,
        403,
        r#"{"detail":"dynamicSamplingBiases is not a valid field"}"#,
    );
    assert_eq!(ok(&ann.get(WEB)), before);
    let robot = server
        .with_token(ORG_ROBOT)
        .put_json(WEB, &json!({"name": "x"}));
    assert_eq!((robot.status, robot.text()), (400, ""));
}

#[test]
fn a_reader_sets_a_bookmark_and_nothing_else() {
    let server = world();
    let bob = server.with_token(BOB);
    let shown = ok(&bob.put_json(
        WEB,
        &json!({"isBookmarked": true, "verifySSL": false, "resolveAge": 0}),
    ));
    assert_eq!(
        (&shown["isBookmarked"], &shown["name"]),
        (&json!(true), &json!("Web"))
    );
    for body in [
        json!({"name": "Mine"}),
        json!({"options": {"filters:releases": "1"}}),
    ] {
        assert_answer(&bob.put_json(WEB, &body), 403, NO_PERMISSION);
    }
    // It is bob's own, and comes first.
    let list = ok(&bob.get("/api/0/organizations/acme/projects/"));
    assert_eq!(each(&list, "slug"), ["web", "bare", "shop"]);
    let of_ann = ok(&ann(&server).get("/api/0/organizations/acme/projects/"));
    assert_eq!(each(&of_ann, "slug"), ["bare", "shop", "web"]);
    assert_eq!(each(&of_ann, "isBookmarked"), [false, false, false]);
    assert_eq!(
        ok(&bob.put_json(WEB, &json!({"isBookmarked": false})))["isBookmarked"],
        false
    );
}

/// What the audit log says of changes of project 31, oldest first.
fn edits(server: &Server) -> Vec<Value> {
    let database = server.database();
    let mut statement = database
        .prepare("SELECT data FROM audit_entry WHERE event = 'project.edit' AND target_id = 31 ORDER BY id")
        .expect("a statement");
    let rows = statement
        .query_map([], |row| row.get::<_, String>(0))
        .expect("rows");
    rows.map(|row| serde_json::from_str(&row.expect("a row")).expect("JSON"))
        .collect()
}

/// Values that Sentry takes for false pass its check of readers; they must not be set all the same.
#[test]
fn a_reader_switches_nothing_off() {
    let server = world();
    let ann = ann(&server);
    let set = json!({
        "securityToken": "abc", "sensitiveFields": ["iban"], "safeFields": ["colour"], "resolveAge": 720,
        "storeCrashReports": 5, "defaultEnvironment": "production", "scrubIPAddresses": true, "verifySSL": true,
    });
    ok(&ann.put_json(WEB, &set));
    let (before, entries) = (ok(&ann.get(WEB)), edits(&server).len());
    let falsy = json!({
        "dataScrubber": false, "dataScrubberDefaults": false, "scrubIPAddresses": false, "verifySSL": false,
        "securityToken": "", "sensitiveFields": [], "safeFields": [], "resolveAge": 0, "storeCrashReports": null,
        "defaultEnvironment": null, "subjectPrefix": "", "options": {},
    });
    let bob = server.with_token(BOB);
    assert_eq!(ok(&bob.put_json(WEB, &falsy))["securityToken"], "abc");
    assert_eq!(ok(&ann.get(WEB)), before);
    // What would be wrong of others is none of a reader's fields.
    ok(&bob.put_json(WEB, &json!({"allowedDomains": [], "subjectTemplate": ""})));
    // The role of an owner does not help a token that may only read.
    ok(&server.with_token(READER).put_json(WEB, &falsy));
    assert_eq!(ok(&ann.get(WEB)), before);
    assert_eq!(edits(&server).len(), entries);
}

#[test]
fn what_is_set_governs_the_next_event() {
    let server = world();
    let ann = ann(&server);
    ok(&ann.put_json(
        WEB,
        &json!({"sensitiveFields": ["colour"], "scrubIPAddresses": true}),
    ));
    let id = "d".repeat(32);
    let event = json!({"event_id": id, "extra": {"colour": "mauve"}, "user": {"ip_address": "203.0.113.9"}});
    assert_eq!(send(&server, &event).status, 200);
    let stored = server.event(&id);
    assert_eq!(stored["extra"]["colour"], "[Filtered]");
    assert!(stored["user"]["ip_address"].is_null());

    for (options, event, reason) in [
        (
            json!({"filters:releases": "bad@*"}),
            json!({"release": "bad@1"}),
            "release-version",
        ),
        (
            json!({"filters:error_messages": "*noise*"}),
            json!({"message": "some noise"}),
            "error-message",
        ),
        (
            json!({"filters:blacklisted_ips": "127.0.0.1"}),
            json!({"message": "x"}),
            "ip-address",
        ),
    ] {
        ok(&ann.put_json(WEB, &json!({"options": options})));
        assert_eq!(send(&server, &event).status, 200);
        assert!(filtered(&server).contains(&reason.to_owned()), "{reason}");
    }
    let list = json!({"options": {"filters:blacklisted_ips": ""}, "allowedDomains": ["good.test"]});
    ok(&ann.put_json(WEB, &list));
    let from = |origin: &str| {
        let path = format!("/api/31/store/?sentry_key={KEY}");
        let client = server.client().with_header("Origin", origin);
        client.post(&path, br#"{"message":"y"}"#).status
    };
    assert_eq!(
        (from("https://good.test"), from("https://bad.test")),
        (200, 403)
    );
}

#[test]
fn settings_and_teams_are_copied_from_another_project() {
    let server = world();
    let ann = ann(&server);
    let copied = ok(&ann.put_json(WEB, &json!({"copy_from_project": 32})));
    assert_eq!(
        copied["allowedDomains"],
        json!(["shop.example.test", "*.shop.test"])
    );
    assert_eq!(each(&copied["teams"], "slug"), ["ops"]);
    let filters = ok(&ann.get(&format!("{WEB}filters/")));
    assert!(
        filters
            .as_array()
            .expect("a list")
            .contains(&json!({"id": "localhost", "active": true}))
    );
}

/// Whoever may not take the project from a team does not so by copying either.
#[test]
fn copying_takes_no_team_away_that_the_caller_may_not() {
    const CARL: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000d1";
    let world = format!(
        r#"{WORLD}
[[user]]
email = "carl@example.test"
roles = {{ acme = "member" }}
teams = {{ acme = ["core:admin"] }}

  [[user.token]]
  name = "laptop"
  token = "{CARL}"
  scopes = ["project:admin"]
"#
    );
    let server = Server::start(&world);
    let carl = server.with_token(CARL);
    let teams = || {
        let web = ok(&ann(&server).get(WEB));
        each(&web["teams"], "slug").len()
    };
    let given = ann(&server).post(&format!("{WEB}teams/ops/"), b"");
    assert_eq!((given.status, teams()), (201, 2));
    let copy = |from: i64| carl.put_json(WEB, &json!({"copy_from_project": from, "name": "Copy"}));
    // `bare` has no team, so that `ops` would lose `web`.
    assert_answer(&copy(33), 403, NO_PERMISSION);
    assert_eq!(ok(&ann(&server).get(WEB))["name"], "Web");
    assert_eq!(teams(), 2);
    // Of `shop`, which has `ops`, it is `core` that loses it, and `core` is carl's.
    let copied = ok(&copy(32));
    assert_eq!(each(&copied["teams"], "slug"), ["ops"]);
}

#[test]
fn the_audit_log_names_what_changed() {
    let server = world();
    let ann = ann(&server);
    let body = json!({
        "name": "Web Shop", "slug": "web", "platform": "python", "resolveAge": 720, "securityToken": "hush",
        "defaultEnvironment": null,
    });
    ok(&ann.put_json(WEB, &body));
    let expected = json!({"name": "Web Shop", "resolveAge": 720, "securityToken": true});
    let expected = [expected];
    assert_eq!(edits(&server), expected);
    // The same again changes nothing, and a bookmark is nobody else's business.
    ok(&ann.put_json(WEB, &body));
    ok(&ann.put_json(WEB, &json!({"isBookmarked": true})));
    assert_eq!(edits(&server), expected);
    // The last of two names for one setting holds.
    let twice = json!({"resolveAge": 1, "options": {"sentry:resolve_age": 720}});
    assert_eq!(ok(&ann.put_json(WEB, &twice))["resolveAge"], 720);
    assert_eq!(ann.delete(WEB).status, 204);
    let (target, removed): (i64, String) = server
        .database()
        .query_row(
            "SELECT target_id, data FROM audit_entry WHERE event = 'project.remove'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an entry");
    let removed: Value = serde_json::from_str(&removed).expect("JSON");
    assert_eq!(
        (target, removed),
        (31, json!({"slug": "web", "name": "Web Shop"}))
    );
}

/// Each of the two fits what is stored, and not what the other makes of it.
#[test]
fn two_changes_of_the_digests_at_once_do_not_cross() {
    const ROUNDS: usize = 20;
    let server = world();
    let put = |body: Value| ann(&server).put_json(WEB, &body);
    for _ in 0..ROUNDS {
        ok(&put(
            json!({"digestsMinDelay": 300, "digestsMaxDelay": 1800}),
        ));
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let raised = scope.spawn(|| put(json!({"digestsMinDelay": 1000})).status);
            let lowered = scope.spawn(|| put(json!({"digestsMaxDelay": 900})).status);
            [raised, lowered]
                .map(|thread| thread.join().expect("an answer"))
                .to_vec()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
    }
}

#[test]
fn an_old_slug_leads_to_the_new_one() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(
        ok(&ann.put_json(WEB, &json!({"slug": "web-new"})))["slug"],
        "web-new"
    );
    for (method, path, target) in [
        (
            "GET",
            "/api/0/projects/acme/web/keys/?status=active",
            "/api/0/projects/acme/web-new/keys/?status=active",
        ),
        ("PUT", WEB, "/api/0/projects/acme/web-new/"),
        (
            "DELETE",
            "/api/0/projects/1/web/",
            "/api/0/projects/1/web-new/",
        ),
    ] {
        let moved = ann.send(method, path, None);
        assert_eq!(moved.status, 302, "{method} {path}");
        assert_eq!(moved.header("Location"), Some(target));
        let body =
            json!({"slug": "web-new", "detail": {"extra": {"url": target, "slug": "web-new"}}});
        assert_eq!(moved.json(), body);
    }
    // Who may not see it is not told.
    assert_answer(&server.with_token(EVE).get(WEB), 403, NO_PERMISSION);
    ok(&ann.get("/api/0/projects/acme/31/"));
    // A project that takes the slug wins, and one that goes takes its old slugs along.
    let new = json!({"name": "Web", "slug": "web"});
    assert_eq!(
        ann.post_json("/api/0/teams/acme/core/projects/", &new)
            .status,
        201
    );
    assert_eq!(ok(&ann.get(WEB))["slug"], "web");
    ok(&ann.put_json(
        "/api/0/projects/acme/web-new/",
        &json!({"slug": "web-newer"}),
    ));
    assert_eq!(ann.delete("/api/0/projects/acme/web-newer/").status, 204);
    assert_answer(&ann.get("/api/0/projects/acme/web-new/"), 404, NOT_FOUND);
    let (old, new): (String, String) = server
        .database()
        .query_row(
            "SELECT data ->> 'old_slug', data ->> 'new_slug' FROM audit_entry WHERE data ->> 'new_slug' = 'web-new'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an entry");
    assert_eq!((old.as_str(), new.as_str()), ("web", "web-new"));
}

#[test]
fn a_deleted_project_is_gone_at_once() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(send(&server, &json!({"message": "x"})).status, 200);
    assert_eq!(ann.delete(WEB).status, 204);
    assert_answer(&ann.get(WEB), 404, NOT_FOUND);
    assert_answer(&ann.get("/api/0/projects/acme/31/"), 404, NOT_FOUND);
    assert_eq!(send(&server, &json!({"message": "x"})).status, 403);
    let list = ok(&ann.get("/api/0/organizations/acme/projects/"));
    assert_eq!(each(&list, "slug"), ["bare", "shop"]);
    // Slug and key are free, the number never is.
    let team = "/api/0/teams/acme/core/projects/";
    assert_eq!(
        ann.post_json(team, &json!({"name": "Web", "slug": "web"}))
            .status,
        201
    );
    let key = ann.post_json(&format!("{WEB}keys/"), &json!({"public": KEY}));
    assert_eq!(key.status, 201, "{}", key.text());
    assert_eq!(
        ann.post_json(team, &json!({"name": "Other", "id": 31}))
            .status,
        409
    );
}
