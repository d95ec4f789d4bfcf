//! `/api/0/users/{user}/authenticators/`.

use serde_json::json;

use super::*;

const LIST: &str = "/api/0/users/me/authenticators/";
const ENROLL: &str = "/api/0/users/me/authenticators/totp/enroll/";

fn user_id(server: &Server, name: &str) -> i64 {
    server
        .database()
        .query_row("SELECT id FROM user WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .expect("a user")
}

/// The paths of the user's own methods: one-time codes and recovery codes.
#[track_caller]
fn own(client: &Client) -> (String, String) {
    let list = ok(&client.get(LIST));
    let path = |at: usize| {
        let id = list[at]["authId"].as_str().expect("a number");
        format!("{LIST}{id}/")
    };
    (path(0), path(1))
}

#[test]
fn both_methods_are_listed_with_what_the_user_has_of_them() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    let list = ok(&client.get(LIST));
    assert_eq!(each(&list, "id"), ["totp", "recovery"]);
    assert_eq!(each(&list, "isEnrolled"), [false, false]);
    assert_eq!(each(&list, "isBackupInterface"), [false, true]);
    assert!(list[0].get("authId").is_none() && list[1].get("codesLeft").is_none());

    enroll(&server, &session);
    let list = ok(&client.get(LIST));
    assert_eq!(each(&list, "isEnrolled"), [true, true]);
    assert_eq!(each(&list, "createdAt"), ["2026-01-02T00:00:00Z"; 2]);
    assert_eq!(each(&list, "lastUsedAt"), [&Value::Null; 2]);
    assert_eq!(list[1]["codesLeft"], 10);
    assert!(list[1].get("codes").is_none());
    let own = format!("/api/0/users/{}/authenticators/", user_id(&server, "Ann"));
    assert_eq!(ok(&client.get(&own)), list);
    // The user is shown with them.
    let me = ok(&client.get("/api/0/users/me/"));
    assert_eq!(me["has2fa"], true);
    assert_eq!(each(&me["authenticators"], "type"), ["totp", "recovery"]);
}

#[test]
fn enrolling_gives_a_secret_and_takes_a_code_of_it() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    let body = ok(&client.get(ENROLL));
    let secret = body["secret"].as_str().expect("a secret");
    assert_eq!(secret.len(), 32);
    let url = body["qrcode"].as_str().expect("a URL");
    assert!(
        url.starts_with("otpauth://totp/Picket%20127%2E0%2E0%2E1"),
        "{url}"
    );
    assert!(
        url.contains(&format!(
            ":ann%40example%2Etest?secret={secret}&issuer=Picket%20"
        )),
        "{url}"
    );
    assert_eq!(each(&body["form"], "name"), ["otp"]);

    let wrong = client.post_json(ENROLL, &json!({"secret": secret, "otp": "000000"}));
    assert_answer(&wrong, 400, r#"[{"details":"Invalid OTP"}]"#);
    for (body, errors) in [
        (
            json!({}),
            json!({"secret": ["This field is required."], "otp": ["This field is required."]}),
        ),
        (
            json!({"secret": "AAAA", "otp": "1".repeat(21)}),
            json!({
                "secret": ["This is not a secret of at least 128 bits in base32."],
                "otp": ["Ensure this field has no more than 20 characters."],
            }),
        ),
    ] {
        let answer = client.post_json(ENROLL, &body);
        assert_eq!((answer.status, answer.json()), (400, errors));
    }
    let otp = totp::code(secret, server.clock.now());
    let proof = json!({"secret": secret, "otp": otp});
    assert_eq!(client.post_json(ENROLL, &proof).status, 204);
    // The same code does not count twice, another secret takes the place of this one.
    assert_eq!(client.post_json(ENROLL, &proof).status, 400);
    let (first, _) = own(&client);
    enroll(&server, &session);
    assert_eq!(own(&client).0, first);
    assert_eq!(count_rows(&server, "recovery_code"), 10);
}

#[test]
fn there_is_one_method_to_enroll() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    for method in ["sms", "u2f", "recovery", "nothing"] {
        let target = format!("{LIST}{method}/enroll/");
        assert_answer(&client.get(&target), 404, NOT_FOUND);
        assert_answer(&client.post_json(&target, &json!({})), 404, NOT_FOUND);
    }
    enroll(&server, &session);
    let target = format!("{LIST}recovery/enroll/");
    let already = r#"{"details":"Already enrolled"}"#;
    assert_answer(&client.get(&target), 400, already);
    assert_answer(&client.post_json(&target, &json!({})), 400, already);
}

#[test]
fn enrolling_takes_ten_tries_a_day() {
    let server = world();
    let client = sign_in(&server, ANN).client(&server);
    let body = ok(&client.get(ENROLL));
    let secret = body["secret"].as_str().expect("a secret");
    for _ in 0..10 {
        let answer = client.post_json(ENROLL, &json!({"secret": secret, "otp": "000000"}));
        assert_eq!(answer.status, 400);
    }
    let proof = json!({"secret": secret, "otp": totp::code(secret, server.clock.now())});
    let refused = client.post_json(ENROLL, &proof);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("Content-Type"), Some("text/plain"));
    assert_eq!(refused.header("Retry-After"), Some("86400"));
    server.advance(86_400);
    enroll(&server, &sign_in(&server, ANN));
}

#[test]
fn recovery_codes_are_shown_where_they_are_made_and_nowhere_else() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    enroll(&server, &session);
    let (totp, recovery) = own(&client);
    assert!(ok(&client.get(&totp)).get("codes").is_none());
    assert_eq!(client.send("HEAD", &recovery, None).status, 200);
    let shown = ok(&client.get(&recovery));
    let codes = shown["codes"].as_array().expect("codes");
    assert_eq!(codes.len(), 10);
    assert!(ok(&client.get(&recovery)).get("codes").is_none());
    let made = ok(&client.send("PUT", &recovery, None));
    let others = made["codes"].as_array().expect("codes");
    assert_eq!((others.len(), &made["codesLeft"]), (10, &json!(10)));
    assert!(others.iter().all(|code| !codes.contains(code)));
    assert!(ok(&client.get(&recovery)).get("codes").is_none());
    assert_eq!(count_rows(&server, "recovery_code"), 10);
}

/// Those of an enrolment wait ten minutes, for the session that enrolled, until there are others.
#[test]
fn codes_that_nobody_looked_at_are_let_go() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    enroll(&server, &session);
    let (totp, recovery) = own(&client);
    server.advance(600);
    assert!(ok(&client.get(&recovery)).get("codes").is_none());
    assert_eq!(client.delete(&totp).status, 204);
    enroll(&server, &session);
    let (_, recovery) = own(&client);
    ok(&client.send("PUT", &recovery, None));
    assert!(ok(&client.get(&recovery)).get("codes").is_none());
}

#[test]
fn only_recovery_codes_are_made_anew() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let client = session.client(&server);
    let (totp, _) = own(&client);
    let answer = client.send("PUT", &totp, None);
    assert_answer(
        &answer,
        400,
        r#"{"detail":"Only recovery codes can be made anew here."}"#,
    );
}

#[test]
fn without_one_time_codes_there_are_no_recovery_codes() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let other = {
        // Before, it would take a code; so by hand.
        let database = server.database();
        database
            .execute(
                "INSERT INTO session (hash, user_id, created_us, last_used_us, expires_us, address, user_agent, verified_us)
                 SELECT x'00', user_id, created_us, last_used_us, expires_us, address, user_agent, verified_us FROM session",
                [],
            )
            .expect("a session")
    };
    assert_eq!(other, 1);
    let client = session.client(&server);
    let (totp, recovery) = own(&client);
    assert_eq!(client.delete(&totp).status, 204);
    assert_eq!(count_rows(&server, "authenticator"), 0);
    assert_eq!(count_rows(&server, "session"), 1);
    for gone in [&totp, &recovery] {
        assert_answer(&client.get(gone), 404, NOT_FOUND);
        assert_answer(&client.send("PUT", gone, None), 404, NOT_FOUND);
        assert_answer(&client.delete(gone), 404, NOT_FOUND);
    }
    sign_in(&server, ANN);

    // The recovery codes alone.
    enroll(&server, &session);
    let (totp, recovery) = own(&client);
    assert_eq!(client.delete(&recovery).status, 204);
    let list = ok(&client.get(LIST));
    assert_eq!(each(&list, "isEnrolled"), [true, false]);
    assert_eq!(client.get(&totp).status, 200);
}

#[test]
fn an_organization_that_demands_one_keeps_it() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let client = session.client(&server);
    ok(&client.put_json("/api/0/organizations/acme/", &json!({"require2FA": true})));
    let (totp, recovery) = own(&client);
    assert_answer(
        &client.delete(&totp),
        403,
        r#"{"detail":"Cannot delete authenticator because organization requires 2FA"}"#,
    );
    assert_eq!(client.delete(&recovery).status, 204);
    ok(&client.put_json("/api/0/organizations/acme/", &json!({"require2FA": false})));
    assert_eq!(client.delete(&totp).status, 204);
}

#[test]
fn what_shows_or_changes_one_asks_for_the_password_of_a_short_while_ago() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let client = session.client(&server);
    let (totp, recovery) = own(&client);
    server.advance(15 * 60);
    assert_eq!(client.get(LIST).status, 200);
    for (method, target) in [
        ("GET", ENROLL),
        ("POST", ENROLL),
        ("GET", &totp),
        ("GET", &recovery),
        ("PUT", &recovery),
        ("DELETE", &recovery),
        ("DELETE", &totp),
    ] {
        let answer = client.send(method, target, None);
        assert_eq!(answer.status, 401, "{method} {target}");
        assert_eq!(answer.json()["detail"]["code"], "sudo-required");
    }
    assert_eq!(count_rows(&server, "authenticator"), 2);
}

#[test]
fn nobody_sees_those_of_others() {
    let server = world();
    give_bob_a_password(&server);
    let bob = sign_in(&server, "bob@example.test");
    enroll(&server, &bob);
    let (bobs, _) = own(&bob.client(&server));
    let client = sign_in(&server, ANN).client(&server);
    let number = user_id(&server, "Bob").to_string();
    for (segment, status, body) in [
        (&*number, 403, NO_PERMISSION),
        ("999999", 404, NOT_FOUND),
        ("bob", 404, NOT_FOUND),
    ] {
        let of = |path: &str| path.replace("/me/", &format!("/{segment}/"));
        for (method, target) in [
            ("GET", of(LIST)),
            ("GET", of(ENROLL)),
            ("POST", of(ENROLL)),
            ("GET", of(&bobs)),
            ("PUT", of(&bobs)),
            ("DELETE", of(&bobs)),
        ] {
            assert_answer(&client.send(method, &target, None), status, body);
        }
    }
    // Nor under one's own name.
    for method in ["GET", "PUT", "DELETE"] {
        assert_answer(&client.send(method, &bobs, None), 404, NOT_FOUND);
    }
    assert_eq!(count_rows(&server, "authenticator"), 2);
}

#[test]
fn members_are_shown_with_and_found_by_their_second_factor() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let client = ann(&server);
    let members = "/api/0/organizations/acme/members/";
    client.post_json(members, &json!({"email": "new@example.test"}));
    let emails = |query: &str| {
        let list = ok(&client.get(&format!("{members}?query={query}")));
        let mut emails: Vec<String> = each(&list, "email")
            .into_iter()
            .map(|email| email.as_str().expect("an email").to_owned())
            .collect();
        emails.sort();
        emails
    };
    assert_eq!(emails("has2fa:true"), [ANN]);
    assert_eq!(
        emails("has2fa:false"),
        ["bob@example.test", "new@example.test"]
    );
    assert_eq!(emails("has2fa:true%20role:member"), Vec::<String>::new());
    let list = ok(&client.get(members));
    let has: Vec<&Value> = each(&list, "user")
        .into_iter()
        .map(|user| &user["has2fa"])
        .collect();
    assert_eq!(has, [&json!(true), &json!(false), &Value::Null]);
    // Which methods is nobody else's business.
    assert_eq!(list[0]["user"]["authenticators"], json!([]));
}
