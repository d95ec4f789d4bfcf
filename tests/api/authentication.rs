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

#[test]
fn a_revoked_token_is_refused_at_once() {
    let server = world();
    for (token, name, detail) in [
        (READER, "reader", "Invalid token"),
        (ORG_ROBOT, "robot", "Invalid org token"),
    ] {
        let client = server.with_token(token);
        assert_eq!(client.get(ORGANIZATION).status, 200);
        server
            .database()
            .execute(
                "UPDATE auth_token SET revoked_us = 1 WHERE name = ?1",
                [name],
            )
            .expect("an update");
        assert_unauthorized(&client.get(ORGANIZATION), detail);
        // Also where nobody has to say who is asking.
        assert_unauthorized(&client.get("/api/0/"), detail);
    }
}

#[test]
fn a_deactivated_user_is_refused_at_once() {
    let server = world();
    server
        .database()
        .execute("UPDATE user SET active = 0 WHERE name = 'Ann'", [])
        .expect("an update");
    assert_unauthorized(&ann(&server).get(ORGANIZATION), "User inactive or deleted");
}
