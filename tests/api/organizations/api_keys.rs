//! `O/api-keys/`: legacy API keys (facts/auth-and-tokens.md 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::*;

const KEYS: &str = "/api/0/organizations/acme/api-keys/";
const OLD: &str = "00000000000000000000000000abcdef";

/// The command line makes them; here they are made by hand.
fn make(server: &Server, label: &str, key: &str, scopes: &str) -> String {
    let database = server.database();
    database
        .execute(
            "INSERT INTO auth_token (kind, organization_id, name, hash, last_characters, scopes, created_us)
             SELECT 'api-key', id, ?1, ?2, ?3, ?4, ?5 FROM organization WHERE slug = 'acme'",
            rusqlite::params![label, Sha256::digest(key).to_vec(), &key[28..], scopes, START.us()],
        )
        .expect("an API key");
    format!("{KEYS}{}/", database.last_insert_rowid())
}

fn with_key(server: &Server, user: &str, password: &str) -> Client {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    server
        .client()
        .with_header("Authorization", &format!("Basic {encoded}"))
}

#[test]
fn a_key_is_a_user_name_with_an_empty_password() {
    let server = world();
    let path = make(&server, "old", OLD, "org:read project:read");
    let client = with_key(&server, OLD, "");
    assert_eq!(
        ok(&client.get("/api/0/")),
        json!({"version": "0", "auth": {"scopes": ["org:read", "project:read"]}, "user": null})
    );
    ok(&client.get("/api/0/organizations/acme/"));
    ok(&client.get("/api/0/projects/acme/web/"));
    assert_eq!(
        ok(&ann(&server).get(&format!("{path}usage/"))),
        json!({
            "dateLastUsed": "2026-01-02T00:00:00Z", "lastUsedAddress": "127.0.0.1", "projectLastUsedId": "31",
            "requestsPerDay": [[START.secs(), 3]], "daysKept": 90,
        })
    );
    assert_answer(
        &client.get("/api/0/organizations/beta/"),
        403,
        NO_PERMISSION,
    );
    assert_answer(
        &client.put_json("/api/0/projects/acme/web/keys/", &json!({})),
        403,
        NO_PERMISSION,
    );
    // With a password it is some other scheme's business, and there is none.
    let answer = with_key(&server, OLD, "x").get("/api/0/organizations/acme/");
    assert_answer(
        &answer,
        401,
        r#"{"detail":"Authentication credentials were not provided."}"#,
    );
    // It is no bearer token, and a token is no key.
    assert_answer(
        &server.with_token(OLD).get("/api/0/"),
        401,
        r#"{"detail":"Invalid token"}"#,
    );
    for user in [crate::support::OWNER_TOKEN, ORG_ROBOT, "", "x"] {
        assert_answer(
            &with_key(&server, user, "").get("/api/0/"),
            401,
            r#"{"detail":"API key is not valid"}"#,
        );
    }
}

#[test]
fn keys_are_listed_by_label_and_never_shown() {
    let server = world();
    let zed = make(&server, "zed", OLD, "org:read");
    let able = make(&server, "able", &OLD.replace('a', "b"), "event:read");
    let one = json!({
        "id": zed.split('/').nth_back(1), "label": "zed", "key": "****************************cdef",
        "scope_list": ["org:read"], "status": 0, "allowed_origins": "", "dateCreated": "2026-01-02T00:00:00Z",
        "dateLastUsed": null,
    });
    let list = ok(&ann(&server).get(KEYS));
    assert_eq!(each(&list, "label"), ["able", "zed"]);
    assert_eq!(list[1], one);
    assert_eq!(ok(&ann(&server).get(&zed)), one);
    assert_eq!(ok(&ann(&server).get(&able))["label"], "able");
    for id in ["999999", "x", "1"] {
        let target = format!("{KEYS}{id}/");
        assert_answer(&ann(&server).get(&target), 404, NOT_FOUND);
        assert_answer(&ann(&server).delete(&target), 404, NOT_FOUND);
        assert_answer(&ann(&server).put_json(&target, &json!({})), 404, NOT_FOUND);
    }
    // Nobody makes one here any more.
    let answer = ann(&server).post_json(KEYS, &json!({"label": "new"}));
    assert_answer(&answer, 405, r#"{"detail":"Method \"POST\" not allowed."}"#);
    assert_eq!(answer.header("Allow"), Some("GET, HEAD, OPTIONS"));
    for token in [READER, BOB, ORG_ROBOT] {
        assert_answer(&server.with_token(token).get(KEYS), 403, NO_PERMISSION);
    }
}

#[test]
fn a_key_is_changed_switched_off_and_removed() {
    let server = world();
    let path = make(&server, "old", OLD, "org:read");
    let client = with_key(&server, OLD, "");
    assert_eq!(client.get("/api/0/").status, 200);
    let changed = ok(&ann(&server).put_json(
        &path,
        &json!({"label": "new", "scope_list": ["project:write"], "allowed_origins": ["a.test", " https://b.test "]}),
    ));
    assert_eq!(
        (
            &changed["label"],
            &changed["scope_list"],
            &changed["allowed_origins"]
        ),
        (
            &json!("new"),
            &json!(["project:read", "project:write"]),
            &json!("a.test\nhttps://b.test")
        )
    );
    assert_eq!(
        ok(&client.get("/api/0/"))["auth"]["scopes"],
        changed["scope_list"]
    );
    for status in [json!(1), json!("inactive")] {
        assert_eq!(
            ok(&ann(&server).put_json(&path, &json!({"status": status})))["status"],
            1
        );
        assert_answer(
            &client.get("/api/0/"),
            401,
            r#"{"detail":"Key is disabled"}"#,
        );
    }
    assert_eq!(
        ok(&ann(&server).put_json(&path, &json!({"status": 0})))["status"],
        0
    );
    assert_eq!(client.get("/api/0/").status, 200);
    for (body, expected) in [
        (
            json!({"label": ""}),
            json!({"label": ["This field may not be blank."]}),
        ),
        (
            json!({"label": "x".repeat(65)}),
            json!({"label": ["Ensure this field has no more than 64 characters."]}),
        ),
        (
            json!({"status": 2}),
            json!({"status": ["\"2\" is not a valid choice."]}),
        ),
        (
            json!({"scope_list": ["x"]}),
            json!({"scope_list": ["\"x\" is not a valid choice."]}),
        ),
        (
            json!({"allowed_origins": "a b"}),
            json!({"allowed_origins": ["a b is not an acceptable domain"]}),
        ),
    ] {
        assert_answer(
            &ann(&server).put_json(&path, &body),
            400,
            &expected.to_string(),
        );
    }
    assert_eq!(ann(&server).delete(&path).status, 204);
    assert_answer(
        &client.get("/api/0/"),
        401,
        r#"{"detail":"API key is not valid"}"#,
    );
    assert_answer(&ann(&server).get(&path), 404, NOT_FOUND);
    let entry = |event: &str, label: &str, scopes: &[&str], status: &str| {
        (
            format!("api-key.{event}"),
            json!({"label": label, "scopes": scopes, "status": status}),
        )
    };
    let scopes = ["project:read", "project:write"];
    assert_eq!(
        audited(&server),
        [
            entry("edit", "new", &scopes, "active"),
            entry("edit", "new", &scopes, "inactive"),
            entry("edit", "new", &scopes, "inactive"),
            entry("edit", "new", &scopes, "active"),
            entry("remove", "new", &scopes, "active"),
        ]
    );
}

#[test]
fn pages_of_its_origins_may_use_a_key() {
    let server = world();
    let path = make(&server, "old", OLD, "org:read");
    ok(&ann(&server).put_json(
        &path,
        &json!({"allowed_origins": "https://*.shop.test\ntools.test"}),
    ));
    let page = |origin: &str| {
        with_key(&server, OLD, "")
            .with_header("Origin", origin)
            .get("/api/0/")
    };
    for origin in [
        "https://www.shop.test",
        "http://tools.test",
        &server.url_prefix(),
    ] {
        let answer = page(origin);
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(origin));
    }
    for origin in ["http://www.shop.test", "https://evil.test"] {
        assert_answer(&page(origin), 400, &format!("\"Invalid origin: {origin}\""));
    }
    // Nobody else's pages may, whoever asks.
    for client in [ann(&server), server.client(), with_key(&server, OLD, "x")] {
        let answer = client
            .with_header("Origin", "https://www.shop.test")
            .get("/api/0/");
        assert_answer(&answer, 400, r#""Invalid origin: https://www.shop.test""#);
    }
    let wrong = with_key(&server, "x", "").with_header("Origin", "https://www.shop.test");
    assert_answer(
        &wrong.get("/api/0/"),
        401,
        r#"{"detail":"API key is not valid"}"#,
    );
}
