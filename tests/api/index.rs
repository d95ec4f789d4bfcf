//! The root, and the endpoints about the caller (facts/management-api.md 2, facts/auth-and-tokens.md 7).

use serde_json::json;

use super::*;

#[test]
fn the_root_answers_everybody() {
    let server = world();
    let root = server.client().get("/api/0/");
    assert_answer(&root, 200, r#"{"version":"0","auth":null,"user":null}"#);

    let body = ok(&server.with_token(READER).get("/api/0/"));
    assert_eq!(
        body["auth"],
        json!({"scopes": ["org:read", "project:read"]})
    );
    assert_eq!(body["user"]["email"], "ann@example.test");
    assert!(body["user"]["id"].is_string());

    let body = ok(&server.with_token(ORG_CI).get("/api/0/"));
    assert_eq!(
        body,
        json!({"version": "0", "auth": {"scopes": ["org:ci"]}, "user": null})
    );
}

#[test]
fn a_user_reads_themselves() {
    let server = world();
    let id = server
        .database()
        .query_row("SELECT id FROM user WHERE name = 'Ann'", [], |row| {
            row.get::<_, i64>(0)
        })
        .expect("a user")
        .to_string();
    let expected = json!({
        "id": id, "name": "Ann", "username": "ann@example.test", "email": "ann@example.test",
        "avatarUrl": null, "isActive": true, "isSuspended": false, "hasPasswordAuth": true, "isManaged": false,
        "dateJoined": "2026-01-02T00:00:00Z", "lastLogin": null, "has2fa": false, "lastActive": null,
        "isSuperuser": false, "isStaff": false, "experiments": {},
        "emails": [{"id": id, "email": "ann@example.test", "is_verified": true}],
        "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
        "identities": [],
        "options": {
            "theme": "system", "language": "en", "stacktraceOrder": -1, "defaultIssueEvent": "recommended",
            "timezone": "UTC", "clock24Hours": false, "prefersIssueDetailsStreamlinedUI": null,
        },
        "flags": {"newsletter_consent_prompt": false}, "permissions": [], "authenticators": [],
    });
    for target in ["/api/0/auth/", "/api/0/users/me/"] {
        assert_eq!(ok(&server.with_token(READER).get(target)), expected);
    }
    // A user without a name is called by the address, and without a password signs in otherwise.
    let eve = ok(&server.with_token(EVE).get("/api/0/auth/"));
    assert_eq!(eve["hasPasswordAuth"], false);
    assert!(!eve["name"].as_str().expect("a name").is_empty());
}

#[test]
fn nobody_is_no_user() {
    let server = world();
    for client in [server.client(), server.with_token(ORG_CI)] {
        let answer = client.get("/api/0/auth/");
        assert_eq!((answer.status, answer.text()), (400, ""));
    }
    assert_eq!(server.with_token("wrong").get("/api/0/auth/").status, 401);
    assert_eq!(server.client().get("/api/0/users/me/").status, 401);
    let robot = server.with_token(ORG_CI).get("/api/0/users/me/");
    assert_answer(&robot, 403, NO_PERMISSION);
}

#[test]
fn the_one_region_is_the_server_itself() {
    let server = world();
    let expected = json!({"regions": [{"name": "local", "url": server.url_prefix()}]});
    for client in [server.client(), server.with_token(NARROW)] {
        assert_eq!(ok(&client.get("/api/0/users/me/regions/")), expected);
    }
}

/// What nobody has to be known for is refused all the same to whoever claims to be somebody and is not.
#[test]
fn a_wrong_token_is_refused_where_none_is_needed() {
    let server = world();
    for target in [
        "/api/0/",
        "/api/0/auth/",
        "/api/0/users/me/regions/",
        "/api/0/users/me/",
        "/api/0/internal/health/",
    ] {
        for (token, text) in [
            ("wrong", "Invalid token"),
            ("sntrys_wrong", "Invalid org token"),
        ] {
            let answer = server.with_token(token).get(target);
            assert_answer(&answer, 401, &format!("{{\"detail\":\"{text}\"}}"));
        }
    }
    let brief = server.with_token(BRIEF);
    assert_eq!(brief.get("/api/0/").status, 200);
    server.advance(10);
    assert_answer(&brief.get("/api/0/"), 401, r#"{"detail":"Token expired"}"#);
}
