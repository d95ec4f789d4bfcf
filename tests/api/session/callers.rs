//! A session as a caller of the whole API. What each role may do on each line is in `access.rs`.

use serde_json::json;

use super::*;

#[test]
fn a_change_takes_the_proof_that_it_comes_from_us() {
    let server = world();
    let session = sign_in(&server, ANN);
    let other = sign_in(&server, ANN);
    let target = "/api/0/organizations/acme/teams/";
    let refusal = r#"{"detail":"CSRF Failed: CSRF token missing or incorrect."}"#;
    let reader = session.reader(&server);
    for client in [
        reader.clone(),
        reader.clone().with_header("X-CSRFToken", ""),
        reader.clone().with_header("X-CSRFToken", &session.cookie),
        reader.clone().with_header("X-CSRFToken", &other.csrf),
        // Repeating a cookie of one's own choice proves nothing.
        server
            .client()
            .with_header(
                "Cookie",
                &format!("sentrysid={}; sc={}", session.cookie, "a".repeat(64)),
            )
            .with_header("X-CSRFToken", &"a".repeat(64)),
    ] {
        assert_answer(
            &client.post_json(target, &json!({"slug": "new"})),
            403,
            refusal,
        );
        assert_answer(&client.delete("/api/0/teams/acme/core/"), 403, refusal);
        assert_eq!(client.get(target).status, 200);
    }
    assert_eq!(count_rows(&server, "team WHERE slug = 'new'"), 0);
    let made = session
        .client(&server)
        .post_json(target, &json!({"slug": "new"}));
    assert_eq!(made.status, 201, "{}", made.text());
    // Who did it is written down.
    let (user, sessions): (i64, i64) = server
        .database()
        .query_row(
            "SELECT actor_user_id, actor_session_id IS NOT NULL FROM audit_entry WHERE event = 'team.create'
             ORDER BY id DESC",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an entry");
    assert_eq!((user > 0, sessions), (true, 1));
}

#[test]
fn the_root_says_that_a_session_is_no_token() {
    let server = world();
    let body = ok(&sign_in(&server, ANN).reader(&server).get("/api/0/"));
    assert_eq!(body["auth"], Value::Null);
    assert_eq!(body["user"]["email"], ANN);
}

#[test]
fn a_cookie_that_is_no_session_is_nobody() {
    let server = world();
    let session = sign_in(&server, ANN);
    let with = |cookie: &str| server.client().with_header("Cookie", cookie);
    let late = session.client(&server);
    let refusal = r#"{"detail":"Authentication credentials were not provided."}"#;
    for client in [
        with("sentrysid="),
        with("sentrysid=abc"),
        with(&format!("sentrysid={}", "0".repeat(64))),
        with(&format!("sentrysid={}", session.cookie.to_uppercase())),
        with(&format!("other={}", session.cookie)),
    ] {
        assert_answer(&client.get("/api/0/organizations/acme/"), 401, refusal);
        assert_answer(&client.delete("/api/0/organizations/acme/"), 401, refusal);
        assert_eq!(client.get("/api/0/").status, 200);
    }
    server.advance(14 * 86_400);
    assert_answer(&late.get("/api/0/organizations/acme/"), 401, refusal);
    assert_answer(&late.delete("/api/0/organizations/acme/"), 401, refusal);
}

#[test]
fn a_session_in_use_goes_on_and_a_deactivated_user_does_not() {
    let server = world();
    let client = sign_in(&server, ANN).client(&server);
    for _ in 0..3 {
        server.advance(10 * 86_400);
        assert_eq!(client.get("/api/0/organizations/acme/").status, 200);
        // The use is written down behind the answer's back.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while count_rows(
            &server,
            &format!("session WHERE last_used_us = {}", server.clock.now().us()),
        ) == 0
        {
            assert!(
                std::time::Instant::now() < deadline,
                "the use is not written down"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    server
        .database()
        .execute("UPDATE user SET active = 0 WHERE name = 'Ann'", [])
        .expect("an update");
    assert_eq!(client.get("/api/0/organizations/acme/").status, 401);
}

/// Whoever sends credentials is judged by them alone.
#[test]
fn a_request_with_an_authorization_field_is_no_session() {
    let server = world();
    let session = sign_in(&server, ANN);
    let list = "/api/0/users/me/authenticators/";
    let refusal = r#"{"detail":"Authentication credentials were not provided."}"#;
    let with = |value: &str| session.client(&server).with_header("Authorization", value);
    for value in [
        &format!("Bearer {READER}"),
        "Token x",
        "Basic eDp5",
        &format!("Bearer {ORG_ROBOT}"),
    ] {
        assert_answer(&with(value).get(list), 403, refusal);
    }
    assert_eq!(with("Bearer wrong").get(list).status, 401);
    assert_eq!(
        ok(&with(&format!("Bearer {READER}")).get("/api/0/"))["auth"]["scopes"],
        json!(["org:read", "project:read"])
    );
    let answer = with("Token x").get("/api/0/organizations/acme/");
    assert_answer(&answer, 401, refusal);
    assert_eq!(session.client(&server).get(list).status, 200);
}

/// What a role loses it loses at once.
#[test]
fn a_session_has_what_its_role_has_now() {
    let server = world();
    let client = sign_in(&server, ANN).client(&server);
    let target = "/api/0/organizations/acme/";
    let change = json!({"name": "Acme"});
    assert_eq!(client.put_json(target, &change).status, 200);
    server
        .database()
        .execute(
            "UPDATE member SET role = 'member' WHERE user_id = (SELECT id FROM user WHERE name = 'Ann')",
            [],
        )
        .expect("an update");
    assert_answer(&client.put_json(target, &change), 403, NO_PERMISSION);
    assert_eq!(client.get(target).status, 200);
}
