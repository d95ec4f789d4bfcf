//! Who is asking: every way to get that wrong (facts/management-api.md 1.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const ORGANIZATION: &str = "/api/0/organizations/acme/";

#[track_caller]
fn assert_unauthorized(answer: &Answer, detail: &str) {
    assert_answer(answer, 401, &format!("{{\"detail\":\"{detail}\"}}"));
    assert_eq!(
        answer.header("WWW-Authenticate"),
        Some("xBasic realm=\"api\"")
    );
}

#[test]
fn wrong_credentials_are_told_apart() {
    let server = world();
    let api_key = format!("Basic {}", STANDARD.encode("0123456789abcdef:"));
    let password = format!("Basic {}", STANDARD.encode("ann:secret"));
    for (authorization, detail) in [
        ("", "Authentication credentials were not provided."),
        ("Token x", "Authentication credentials were not provided."),
        (
            "DSN http://0123456789abcdef0123456789abcdef@h/31",
            "Authentication credentials were not provided.",
        ),
        (
            password.as_str(),
            "Authentication credentials were not provided.",
        ),
        ("Bearer x", "Invalid token"),
        ("bearer sntryu_00", "Invalid token"),
        ("Bearer sntrys_00", "Invalid org token"),
        ("Bearer", "Invalid token header. No credentials provided."),
        (
            "Bearer a b",
            "Invalid token header. Token string should not contain spaces.",
        ),
        (api_key.as_str(), "API key is not valid"),
    ] {
        let client = server.client().with_header("Authorization", authorization);
        // An unknown organization makes no difference: nothing is looked up.
        for target in [ORGANIZATION, "/api/0/organizations/nowhere/"] {
            assert_unauthorized(&client.get(target), detail);
        }
    }
}

#[test]
fn the_word_bearer_has_no_case() {
    let server = world();
    let client = server
        .client()
        .with_header("Authorization", &format!("bEaReR {READER}"));
    assert_eq!(client.get(ORGANIZATION).status, 200);
}

#[test]
fn a_token_of_one_kind_is_none_of_the_other() {
    let server = world();
    let stripped = ORG_ROBOT.replace("sntrys_", "sntryu_");
    assert_unauthorized(
        &server.with_token(&stripped).get(ORGANIZATION),
        "Invalid token",
    );
}

#[test]
fn a_token_expires_at_its_moment() {
    let server = world();
    let client = server.with_token(BRIEF);
    server.advance(9);
    assert_eq!(client.get(ORGANIZATION).status, 200);
    server.advance(1);
    assert_unauthorized(&client.get(ORGANIZATION), "Token expired");
}

/// Whatever changes it, also beside the server: then it waits for as long as a look for such changes counts.
#[test]
fn what_makes_credentials_useless_is_seen_although_they_were_just_good() {
    let server = world();
    let key = "00000000000000000000000000abcdef";
    let hash = |text: &str| {
        use sha2::Digest;
        sha2::Sha256::digest(text.as_bytes()).to_vec()
    };
    server
        .database()
        .execute(
            "INSERT INTO auth_token (kind, organization_id, name, hash, last_characters, scopes, created_us)
             SELECT 'api-key', id, 'old', ?1, 'cdef', 'org:read', 0 FROM organization WHERE slug = 'acme'",
            [hash(key)],
        )
        .expect("an API key");
    let basic = format!("Basic {}", STANDARD.encode(format!("{key}:")));
    let with_key = server.client().with_header("Authorization", &basic);
    let revoke = "UPDATE auth_token SET revoked_us = 1 WHERE name =";
    for (client, change, detail) in [
        (server.with_token(READER), &format!("{revoke} 'reader'"), "Invalid token"),
        (server.with_token(ORG_ROBOT), &format!("{revoke} 'robot'"), "Invalid org token"),
        (
            with_key.clone(),
            &"UPDATE auth_token SET disabled = 1 WHERE name = 'old'".to_owned(),
            "Key is disabled",
        ),
        (with_key, &format!("{revoke} 'old'"), "API key is not valid"),
        (
            ann(&server),
            &"UPDATE user SET active = 0 WHERE name = 'Ann'".to_owned(),
            "User inactive or deleted",
        ),
        (
            server.with_token(BOB),
            &"UPDATE auth_token SET expires_us = 1 WHERE user_id = (SELECT id FROM user WHERE name = 'Bob')".to_owned(),
            "Token expired",
        ),
    ] {
        if detail != "API key is not valid" {
            assert_eq!(client.get(ORGANIZATION).status, 200, "{detail}");
        }
        server.database().execute(change, []).expect("an update");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_unauthorized(&client.get(ORGANIZATION), detail);
        // Also where nobody has to say who is asking.
        assert_unauthorized(&client.get("/api/0/"), detail);
    }
}

/// A URL is written down in many places, so a token in one opens nothing.
#[test]
fn a_token_in_a_url_is_no_token() {
    let server = world();
    for name in [
        "auth_token",
        "token",
        "access_token",
        "api_key",
        "authorization",
        "bearer",
    ] {
        let target = format!("{ORGANIZATION}?{name}={READER}");
        assert_unauthorized(
            &server.client().get(&target),
            "Authentication credentials were not provided.",
        );
        let whoami = server.client().get(&format!("/api/0/?{name}={READER}"));
        assert_answer(&whoami, 200, r#"{"version":"0","auth":null,"user":null}"#);
    }
}

/// A token never gives more than its owner has at the moment.
#[test]
fn a_token_shrinks_with_its_owner() {
    let server = world();
    let keys = "/api/0/projects/acme/web/keys/";
    let client = ann(&server);
    let create = || {
        client
            .post_json(keys, &serde_json::json!({"name": "x"}))
            .status
    };
    let set_role = |role: &str| {
        server
            .database()
            .execute("UPDATE member SET role = ?1 WHERE user_id = (SELECT id FROM user WHERE name = 'Ann')", [role])
            .expect("an update");
    };
    assert_eq!(create(), 201);
    set_role("member");
    assert_eq!(create(), 403);
    set_role("manager");
    assert_eq!(create(), 201);
    server
        .database()
        .execute_batch(
            "DELETE FROM team_member WHERE member_id IN (SELECT member.id FROM member JOIN user ON user.id = user_id
                                                         WHERE name = 'Ann');
             DELETE FROM member WHERE user_id = (SELECT id FROM user WHERE name = 'Ann');",
        )
        .expect("a removal");
    assert_answer(&client.get(keys), 403, NO_PERMISSION);
}
