//! `P/keys/` and `P/keys/{key_id}/` (facts/management-api.md 7.1 to 7.6).

use serde_json::json;

use super::*;

const KEYS: &str = "/api/0/projects/acme/web/keys/";

fn url(public: &str) -> String {
    format!("{KEYS}{public}/")
}

/// Sends an event with a key, as an SDK without header fields does.
fn send_with(server: &Server, public: &str) -> Answer {
    let target = format!("/api/31/store/?sentry_key={public}");
    server.client().post(&target, br#"{"message":"x"}"#)
}

#[track_caller]
fn create(server: &Server, body: &Value) -> Value {
    let answer = ann(server).post_json(KEYS, body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn update(server: &Server, body: &Value) -> Value {
    ok(&ann(server).put_json(&url(KEY), body))
}

#[test]
fn a_key_has_every_url() {
    let server = world();
    let prefix = server.url_prefix();
    let host = prefix.strip_prefix("http://").expect("a scheme");
    let expected = json!({
        "id": KEY, "name": "Default", "label": "Default", "public": KEY,
        "secret": "fedcba9876543210fedcba9876543210", "projectId": 31, "isActive": true, "rateLimit": null,
        "effectiveRateLimit": null,
        "dsn": {
            "secret": format!("http://{KEY}:fedcba9876543210fedcba9876543210@{host}/31"),
            "public": format!("http://{KEY}@{host}/31"),
            "csp": format!("{prefix}/api/31/csp-report/?sentry_key={KEY}"),
            "security": format!("{prefix}/api/31/security/?sentry_key={KEY}"),
            "minidump": format!("{prefix}/api/31/minidump/?sentry_key={KEY}"),
            "nel": format!("{prefix}/api/31/nel/?sentry_key={KEY}"),
            "unreal": format!("{prefix}/api/31/unreal/{KEY}/"),
            "crons": format!("{prefix}/api/31/cron/___MONITOR_SLUG___/{KEY}/"),
            "cdn": format!("{prefix}/js-sdk-loader/{KEY}.min.js"),
            "playstation": format!("{prefix}/api/31/playstation/?sentry_key={KEY}"),
            "integration": format!("{prefix}/api/31/integration/"),
            "otlp_traces": format!("{prefix}/api/31/integration/otlp/v1/traces"),
            "otlp_logs": format!("{prefix}/api/31/integration/otlp/v1/logs"),
        },
        "browserSdkVersion": "10.x",
        "browserSdk": {"choices": [["10.x", "10.x"], ["9.x", "9.x"], ["8.x", "8.x"], ["7.x", "7.x"]]},
        "dateCreated": "2026-01-02T00:00:00Z",
        "expiresAt": null,
        "dynamicSdkLoaderOptions": {
            "hasReplay": true, "hasPerformance": true, "hasDebug": false, "hasFeedback": false,
            "hasLogsAndMetrics": false,
        },
    });
    assert_eq!(ok(&ann(&server).get(&url(KEY))), expected);
    assert_eq!(ok(&ann(&server).get(KEYS)), json!([expected]));
    assert_eq!(
        ok(&ann(&server).get(&format!("/api/0/projects/acme/31/keys/{KEY}/"))),
        expected
    );
}

#[test]
fn a_key_of_elsewhere_is_not_found() {
    let server = world();
    for public in [
        "11111111111111111111111111111111",
        "44444444444444444444444444444444",
        "short",
        "0123456789ABCDEF0123456789ABCDEF",
    ] {
        assert_answer(&ann(&server).get(&url(public)), 404, NOT_FOUND);
        let put = ann(&server).put_json(&url(public), &json!({"name": "x"}));
        assert_answer(&put, 404, NOT_FOUND);
        assert_answer(&ann(&server).delete(&url(public)), 404, NOT_FOUND);
    }
}

#[test]
fn the_newest_come_first_ten_at_a_time() {
    let server = world();
    for n in 0..11 {
        create(&server, &json!({"name": format!("k{n}")}));
    }
    let names = |answer: &Answer| -> Vec<String> {
        each(&ok(answer), "name")
            .into_iter()
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect()
    };
    let first = ann(&server).get(KEYS);
    let newest: Vec<String> = (1..11).rev().map(|n| format!("k{n}")).collect();
    assert_eq!(names(&first), newest);
    assert!(!link(&first, "previous").1);
    let (next, results, _) = link(&first, "next");
    assert!(results);
    let second = ann(&server).get(&path_of(&server, &next));
    assert_eq!(names(&second), ["k0", "Default"]);
    assert!(!link(&second, "next").1);
    let (previous, results, _) = link(&second, "previous");
    assert!(results);
    let back = ann(&server).get(&path_of(&server, &previous));
    assert_eq!(names(&back), newest);
    assert!(!link(&back, "previous").1);
    // A key that came meanwhile pushes nothing from one page onto another.
    create(&server, &json!({"name": "late"}));
    assert_eq!(
        names(&ann(&server).get(&path_of(&server, &next))),
        ["k0", "Default"]
    );
    assert_eq!(
        names(&ann(&server).get(&format!("{KEYS}?per_page=100"))).len(),
        13
    );
    let wrong = ann(&server).get(&format!("{KEYS}?per_page=101"));
    assert_answer(
        &wrong,
        400,
        r#"{"detail":"Invalid per_page value. Must be between 1 and 100."}"#,
    );
}

#[test]
fn the_status_leaves_some_out() {
    let server = world();
    let off = create(&server, &json!({"name": "off"}));
    let public = off["id"].as_str().expect("an id");
    let change = ann(&server).put_json(&url(public), &json!({"isActive": false}));
    assert_eq!(ok(&change)["isActive"], false);
    for (status, expected) in [
        ("active", vec!["Default"]),
        ("inactive", vec!["off"]),
        ("other", vec![]),
        ("", vec!["off", "Default"]),
    ] {
        let list = ok(&ann(&server).get(&format!("{KEYS}?status={status}")));
        assert_eq!(each(&list, "name"), expected, "{status}");
    }
}

#[test]
fn a_new_key_needs_nothing() {
    let server = world();
    server.advance(1);
    for body in [json!({}), json!({"name": null}), json!({"name": "  "})] {
        let key = create(&server, &body);
        let public = key["public"].as_str().expect("a key");
        for half in [public, key["secret"].as_str().expect("a secret")] {
            assert!(half.len() == 32 && half.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        let name = key["name"].as_str().expect("a name");
        let words: Vec<&str> = name.split(' ').collect();
        assert_eq!(words.len(), 2, "{name}");
        assert!(
            words
                .iter()
                .all(|w| w.len() <= 10 && w.starts_with(char::is_uppercase))
        );
        assert_eq!(key["label"], name);
        assert_eq!(key["rateLimit"], Value::Null);
        assert_eq!(key["isActive"], true);
        assert_eq!(key["dateCreated"], "2026-01-02T00:00:01Z");
        assert_eq!(ok(&ann(&server).get(&url(public))), key);
        // It holds for the very next request.
        assert_eq!(send_with(&server, public).status, 200);
    }
    // An empty body of any type is an empty object.
    assert_eq!(ann(&server).post(KEYS, b"").status, 201);
}

#[test]
fn both_halves_of_a_new_key_can_be_chosen() {
    let server = world();
    let (public, secret) = ("a".repeat(32), "b".repeat(32));
    let key = create(
        &server,
        &json!({"name": " mine ", "public": public, "secret": secret, "rateLimit": {"count": "5", "window": 60.0},
                "isActive": false, "browserSdkVersion": "9.x", "dynamicSdkLoaderOptions": {"hasDebug": true},
                "useCase": "profiling", "unknown": 1}),
    );
    assert_eq!(
        (&key["id"], &key["secret"], &key["name"]),
        (&json!(public), &json!(secret), &json!("mine"))
    );
    assert_eq!(key["rateLimit"], json!({"window": 60, "count": 5}));
    // Not for new keys.
    assert_eq!(key["isActive"], true);
    assert_eq!(key["browserSdkVersion"], "10.x");
    assert_eq!(key["dynamicSdkLoaderOptions"]["hasDebug"], false);

    for project in ["web", "shop"] {
        let keys = format!("/api/0/projects/acme/{project}/keys/");
        let taken = ann(&server).post_json(&keys, &json!({"public": public}));
        assert_answer(
            &taken,
            409,
            r#"{"detail":"A client key with this public key already exists."}"#,
        );
    }
    let random = create(&server, &json!({"public": null, "secret": null}));
    assert_ne!(random["public"], json!(public));
}

#[test]
fn a_limit_needs_both_numbers() {
    let server = world();
    for (limit, expected) in [
        (json!({"count": 0, "window": 0}), Value::Null),
        (json!({"count": 7, "window": 0}), Value::Null),
        (json!({"count": null, "window": 60}), Value::Null),
        (json!({"count": 7, "window": ""}), Value::Null),
        (json!({}), Value::Null),
        (
            json!({"count": 7, "window": 86400}),
            json!({"count": 7, "window": 86400}),
        ),
        (
            json!({"count": 9_000_000_000_000_000_000_u64, "window": 1}),
            json!({"count": 9_000_000_000_000_000_000_u64, "window": 1}),
        ),
    ] {
        let key = create(&server, &json!({"rateLimit": limit}));
        assert_eq!(key["rateLimit"], expected, "{limit}");
    }
}

#[test]
fn wrong_fields_are_refused_in_the_frameworks_words() {
    let server = world();
    for (body, expected) in [
        (
            json!({"name": "x".repeat(65)}),
            json!({"name": ["Ensure this field has no more than 64 characters."]}),
        ),
        (
            json!({"name": true}),
            json!({"name": ["Not a valid string."]}),
        ),
        (
            json!({"name": ["x"]}),
            json!({"name": ["Not a valid string."]}),
        ),
        (
            json!({"rateLimit": null}),
            json!({"rateLimit": ["This field may not be null."]}),
        ),
        (
            json!({"rateLimit": 5}),
            json!({"rateLimit": {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}}),
        ),
        (
            json!({"rateLimit": {"count": -1, "window": 86401}}),
            json!({"rateLimit": {
                "count": ["Ensure this value is greater than or equal to 0."],
                "window": ["Ensure this value is less than or equal to 86400."],
            }}),
        ),
        (
            json!({"rateLimit": {"count": 1.5, "window": "x"}}),
            json!({"rateLimit": {
                "count": ["A valid integer is required."], "window": ["A valid integer is required."],
            }}),
        ),
        (
            json!({"rateLimit": {"count": 5}}),
            json!({"rateLimit": {"window": ["This field is required."]}}),
        ),
        (
            json!({"public": "x", "secret": "A".repeat(32)}),
            json!({
                "public": ["This value does not match the required pattern."],
                "secret": ["This value does not match the required pattern."],
            }),
        ),
        (
            json!({"public": ""}),
            json!({"public": ["This field may not be blank."]}),
        ),
        (
            json!({"useCase": "x"}),
            json!({"useCase": ["\"x\" is not a valid choice."]}),
        ),
        (
            json!({"useCase": true, "name": "a\u{0}b"}),
            json!({
                "useCase": ["\"True\" is not a valid choice."],
                "name": ["Null characters are not allowed."],
            }),
        ),
        (
            json!([]),
            json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ),
    ] {
        let answer = ann(&server).post_json(KEYS, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    assert_eq!(
        ok(&ann(&server).get(KEYS)).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn bodies_come_in_two_types() {
    let server = world();
    let typed = |content_type: &str| ann(&server).with_header("Content-Type", content_type);
    let form = typed("application/x-www-form-urlencoded")
        .post(KEYS, b"name=a+form&rateLimit.count=5&rateLimit.window=60");
    assert_eq!(form.status, 201, "{}", form.text());
    assert_eq!(form.json()["name"], "a form");
    assert_eq!(form.json()["rateLimit"], json!({"window": 60, "count": 5}));
    assert_answer(
        &typed("text/plain").post(KEYS, b"x"),
        415,
        r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#,
    );
    let form = |head: &str| {
        let body =
            format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\nForm\r\n--x--\r\n");
        typed("multipart/form-data; boundary=x").post(KEYS, body.as_bytes())
    };
    assert_answer(
        &form("name=name; filename=form.txt"),
        400,
        r#"{"name":["Not a valid string."]}"#,
    );
    let made = form("name=name");
    assert_eq!((made.status, &made.json()["name"]), (201, &"Form".into()));
    let broken = typed("application/json").post(KEYS, b"{,");
    assert_eq!(broken.status, 400);
    assert!(
        broken
            .text()
            .starts_with(r#"{"detail":"JSON parse error - "#)
    );
    assert_answer(
        &typed("application/json").post(KEYS, b"\xff"),
        400,
        r#"{"detail":"JSON parse error - 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"}"#,
    );
}

#[test]
fn an_update_changes_what_it_names() {
    let server = world();
    let before = ok(&ann(&server).get(&url(KEY)));
    let after = update(
        &server,
        &json!({"name": "New", "isActive": "no", "rateLimit": {"count": 3, "window": 60}, "browserSdkVersion": "5.x",
                "dynamicSdkLoaderOptions": {"hasDebug": true, "hasReplay": 0, "unknown": "x"},
                "public": "c".repeat(32), "secret": "d".repeat(32), "useCase": "nonsense"}),
    );
    let mut expected = before;
    for (name, value) in [
        ("name", json!("New")),
        ("label", json!("New")),
        ("isActive", json!(false)),
        ("rateLimit", json!({"window": 60, "count": 3})),
        ("effectiveRateLimit", json!({"window": 60, "count": 3})),
        ("browserSdkVersion", json!("5.x")),
    ] {
        expected[name] = value;
    }
    expected["dynamicSdkLoaderOptions"]["hasDebug"] = json!(true);
    expected["dynamicSdkLoaderOptions"]["hasReplay"] = json!(false);
    assert_eq!(after, expected);
    assert_eq!(ok(&ann(&server).get(&url(KEY))), expected);

    // An empty update resets the loader's version and leaves all else.
    expected["browserSdkVersion"] = json!("10.x");
    assert_eq!(update(&server, &json!({})), expected);
    for body in [
        json!({"name": "", "dynamicSdkLoaderOptions": null, "browserSdkVersion": ""}),
        json!({"name": null, "dynamicSdkLoaderOptions": {}, "rateLimit": {}}),
    ] {
        assert_eq!(update(&server, &body), expected, "{body}");
    }
}

#[test]
fn an_update_removes_a_limit_in_several_ways() {
    let server = world();
    let limited = json!({"rateLimit": {"count": 3, "window": 60}});
    for body in [
        json!({"rateLimit": null}),
        json!({"rateLimit": {"count": null, "window": 60}}),
        json!({"rateLimit": {"count": 3, "window": ""}}),
        json!({"rateLimit": {"count": 0, "window": 0}}),
    ] {
        assert_ne!(update(&server, &limited)["rateLimit"], Value::Null);
        assert_eq!(update(&server, &body)["rateLimit"], Value::Null, "{body}");
    }
}

#[test]
fn a_wrong_update_changes_nothing() {
    let server = world();
    let before = ok(&ann(&server).get(&url(KEY)));
    for (body, expected) in [
        (
            json!({"name": "New", "isActive": null}),
            json!({"isActive": ["This field may not be null."]}),
        ),
        (
            json!({"name": "New", "isActive": "maybe"}),
            json!({"isActive": ["Must be a valid boolean."]}),
        ),
        (
            json!({"name": "New", "browserSdkVersion": "6"}),
            json!({"browserSdkVersion": ["\"6\" is not a valid choice."]}),
        ),
        (
            json!({"name": "New", "dynamicSdkLoaderOptions": {"hasReplay": "x"}}),
            json!({"dynamicSdkLoaderOptions": {"hasReplay": ["Must be a valid boolean."]}}),
        ),
        (
            json!({"name": "New", "rateLimit": {"window": 5}}),
            json!({"rateLimit": {"count": ["This field is required."]}}),
        ),
        (
            json!({"name": "x".repeat(65)}),
            json!({"name": ["Ensure this field has no more than 64 characters."]}),
        ),
    ] {
        let answer = ann(&server).put_json(&url(KEY), &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    assert_eq!(ok(&ann(&server).get(&url(KEY))), before);
}

#[test]
fn a_key_that_is_off_takes_no_events_at_once() {
    let server = world();
    assert_eq!(send_with(&server, KEY).status, 200);
    update(&server, &json!({"isActive": false}));
    assert_eq!(send_with(&server, KEY).status, 403);
    update(&server, &json!({"isActive": true}));
    assert_eq!(send_with(&server, KEY).status, 200);
}

#[test]
fn a_limit_holds_for_the_next_event() {
    let server = world();
    update(&server, &json!({"rateLimit": {"count": 1, "window": 60}}));
    assert_eq!(send_with(&server, KEY).status, 200);
    assert_eq!(send_with(&server, KEY).status, 429);
    update(&server, &json!({"rateLimit": null}));
    assert_eq!(send_with(&server, KEY).status, 200);
}

#[test]
fn a_deleted_key_is_gone_at_once() {
    let server = world();
    let answer = ann(&server).delete(&url(KEY));
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.header("Content-Type"), None);
    assert_answer(&ann(&server).delete(&url(KEY)), 404, NOT_FOUND);
    assert_answer(&ann(&server).get(&url(KEY)), 404, NOT_FOUND);
    assert_eq!(send_with(&server, KEY).status, 403);
    assert_eq!(ok(&ann(&server).get(KEYS)), json!([]));
    // Its public half is free again.
    create(&server, &json!({"public": KEY}));
    assert_eq!(send_with(&server, KEY).status, 200);
}

#[test]
fn changes_are_written_into_the_audit_log() {
    let server = world();
    let key = create(&server, &json!({"name": "audited"}));
    let target = url(key["id"].as_str().expect("an id"));
    ok(&ann(&server).put_json(&target, &json!({"rateLimit": {"count": 3, "window": 60}})));
    assert_eq!(server.with_token(ORG_ROBOT).delete(&target).status, 204);
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT event, actor_user_id IS NOT NULL, actor_token_id IS NOT NULL, address FROM audit_entry
             WHERE actor_token_id IS NOT NULL ORDER BY id",
        )
        .expect("an audit log");
    let entries: Vec<(String, bool, bool, String)> = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    let entry =
        |event: &str, by_user: bool| (event.to_owned(), by_user, true, "127.0.0.1".to_owned());
    assert_eq!(
        entries,
        [
            entry("projectkey.create", true),
            entry("projectkey.edit", true),
            entry("projectkey.remove", false),
        ]
    );
}
