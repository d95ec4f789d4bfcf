//! `/api/0/auth/`, `/api/0/auth/config/` and `/api/0/auth/login/`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::support::session::set_cookie;
use crate::web::browser_factors::Browser;

const AUTH: &str = "/api/0/auth/";
const LOGIN: &str = "/api/0/auth/login/";
const CONFIG: &str = "/api/0/auth/config/";

fn basic(server: &Server, user: &str, password: &str) -> Client {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    server
        .client()
        .with_header("Authorization", &format!("Basic {encoded}"))
}

fn login(name: &str, password: &str) -> Value {
    json!({ "username": name, "password": password })
}

#[track_caller]
fn assert_failed(answer: &Answer, errors: &Value) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({ "detail": "Login attempt failed", "errors": errors })
    );
    assert_eq!(answer.header("Set-Cookie"), None);
}

#[test]
fn name_and_password_in_the_authorization_field_sign_in() {
    let server = world();
    let answer = basic(&server, " Ann@Example.test ", PASSWORD).post(AUTH, b"");
    assert_eq!(ok(&answer)["email"], ANN);
    let header = answer.header("Cache-Control").unwrap_or_default();
    assert!(header.contains("no-store"), "{header}");
    let session = Session::of(&answer);
    let cookies: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    for cookie in &cookies {
        // Scripts of ours read the CSRF token, and nothing else.
        let is_readable = cookie.starts_with("sc=");
        assert_eq!(!cookie.contains("HttpOnly"), is_readable, "{cookie}");
        assert!(
            cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
            "{cookie}"
        );
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
    assert_eq!(ok(&session.reader(&server).get(AUTH))["email"], ANN);
    // Never the same twice.
    let other = Session::of(&basic(&server, ANN, PASSWORD).post(AUTH, b""));
    assert_ne!(other.cookie, session.cookie);
}

#[test]
fn behind_https_cookies_are_for_https_only() {
    let server = Server::start_with(WORLD, |settings| {
        settings.url_prefix =
            Some(picket::UrlPrefix::parse("https://picket.example.test").expect("a prefix"));
    });
    let answer = basic(&server, ANN, PASSWORD).post(AUTH, b"");
    for (name, value) in &answer.headers {
        assert!(
            name != "Set-Cookie" || value.contains("; Secure"),
            "{value}"
        );
    }
    Session::of(&answer);
}

#[test]
fn what_does_not_sign_in_is_refused_without_a_word() {
    let server = world();
    let bearer = server.client().with_header("Authorization", "Token x");
    for client in [
        basic(&server, ANN, "wrong horse"),
        basic(&server, "nobody@example.test", PASSWORD),
        basic(&server, "bob@example.test", PASSWORD),
        bearer,
        server.client(),
    ] {
        let answer = client.post(AUTH, b"");
        assert_eq!((answer.status, answer.text()), (400, ""));
        assert_eq!(answer.header("Set-Cookie"), None);
    }
    // A name alone is an API key.
    let answer = basic(&server, "0123456789abcdef0123456789abcdef", "").post(AUTH, b"");
    assert_answer(&answer, 401, r#"{"detail":"API key is not valid"}"#);
    server
        .database()
        .execute("UPDATE user SET active = 0 WHERE name = 'Ann'", [])
        .expect("an update");
    assert_eq!(basic(&server, ANN, PASSWORD).post(AUTH, b"").status, 400);
}

#[test]
fn a_second_factor_is_not_passed_by_a_password() {
    let server = world();
    let secret = enroll(&server, &sign_in(&server, ANN));
    let answer = basic(&server, ANN, PASSWORD).post(AUTH, b"");
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["2fa_required"], true);
    assert!(answer.json()["message"].is_string());
    assert_eq!(answer.header("Set-Cookie"), None);

    let answer = server.client().post_json(LOGIN, &login(ANN, PASSWORD));
    assert_answer(&answer, 200, r#"{"nextUri":"/auth/2fa/","user":null}"#);
    assert_eq!(set_cookie(&answer, "sentrysid"), None);
    // The page takes it from there.
    server.advance(30);
    let mut browser = Browser::new(server.client());
    let pending = set_cookie(&answer, "picket_pending").expect("a cookie");
    browser.set_cookie("picket_pending", &pending);
    let page = browser.get("/auth/2fa/");
    let code = totp::code(&secret, server.clock.now());
    assert_eq!(
        browser
            .submit(&page, "/auth/2fa/", &[("code", &code)])
            .status,
        303
    );
    assert_eq!(ok(&browser.client().get(AUTH))["email"], ANN);
}

#[test]
fn name_and_password_in_a_body_sign_in() {
    let server = world();
    let answer = server.client().post_json(LOGIN, &login(ANN, PASSWORD));
    let body = ok(&answer);
    assert_eq!(body["nextUri"], "/");
    assert_eq!(body["user"]["email"], ANN);
    assert_eq!(body["user"]["emails"][0]["email"], ANN);
    let session = Session::of(&answer);
    assert_eq!(
        ok(&session.reader(&server).get(AUTH))["id"],
        body["user"]["id"]
    );
    let form = server
        .client()
        .with_header("Content-Type", "application/x-www-form-urlencoded")
        .post(
            LOGIN,
            b"username=ann%40example.test&password=correct+horse+battery+staple",
        );
    assert_eq!(form.status, 200);
}

#[test]
fn a_body_that_does_not_sign_in_says_so() {
    let server = world();
    let wrong = json!({ "__all__": ["The user name or the password is not right."] });
    for body in [
        login(ANN, "wrong horse"),
        login(ANN, &format!(" {PASSWORD}")),
        login("nobody@example.test", PASSWORD),
        login("bob@example.test", PASSWORD),
    ] {
        assert_failed(&server.client().post_json(LOGIN, &body), &wrong);
    }
    for (body, errors) in [
        (
            json!({}),
            json!({"username": ["This field is required."], "password": ["This field is required."]}),
        ),
        (
            json!({"username": 7, "password": ""}),
            json!({"username": ["Not a valid string."], "password": ["This field may not be blank."]}),
        ),
        (
            json!({"username": ANN, "password": null}),
            json!({"password": ["This field may not be null."]}),
        ),
    ] {
        assert_failed(&server.client().post_json(LOGIN, &body), &errors);
    }
}

#[test]
fn guesses_are_refused_after_some_and_by_address_and_account_alike() {
    let server = world();
    for _ in 0..10 {
        let answer = server.client().post_json(LOGIN, &login(ANN, "wrong horse"));
        assert_eq!(answer.status, 400);
    }
    let limit = json!({ "__all__": ["Too many tries. Please wait a few minutes and try again."] });
    assert_failed(
        &server.client().post_json(LOGIN, &login(ANN, PASSWORD)),
        &limit,
    );
    // The same door.
    let answer = basic(&server, ANN, PASSWORD).post(AUTH, b"");
    assert_eq!((answer.status, answer.text()), (400, ""));
    let mut browser = Browser::new(server.client());
    assert_eq!(browser.sign_in(ANN, PASSWORD).status, 429);
    server.advance(600);
    sign_in(&server, ANN);
}

/// A page of another site must not sign its visitors in as somebody else.
#[test]
fn only_pages_of_ours_sign_somebody_in() {
    let server = world();
    for (origin, status) in [
        ("https://elsewhere.test", 400),
        ("null", 400),
        (&*server.url_prefix(), 200),
    ] {
        let client = server.client().with_header("Origin", origin);
        let answer = client.post_json(LOGIN, &login(ANN, PASSWORD));
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.header("Set-Cookie").is_some(), status == 200);
    }
    // Nor over somebody's session.
    let session = sign_in(&server, ANN);
    let answer = session
        .reader(&server)
        .post_json(LOGIN, &login(ANN, PASSWORD));
    assert_eq!((answer.status, answer.header("Set-Cookie")), (403, None));
    assert_eq!(
        session
            .client(&server)
            .post_json(LOGIN, &login(ANN, PASSWORD))
            .status,
        200
    );
    assert_eq!(session.reader(&server).get(AUTH).status, 200);
}

/// A cookie that somebody laid into the browser before is not the one that is signed in.
#[test]
fn a_session_is_new_whatever_was_there_before() {
    let server = world();
    let laid = "a".repeat(64);
    let client = server
        .client()
        .with_header("Cookie", &format!("sentrysid={laid}; sc={laid}"));
    let session = Session::of(&client.post_json(LOGIN, &login(ANN, PASSWORD)));
    assert_ne!(session.cookie, laid);
    assert_eq!(client.get(AUTH).status, 400);
}

#[test]
fn signing_out_ends_the_session_for_whoever_has_its_cookie() {
    let server = world();
    let (session, other) = (sign_in(&server, ANN), sign_in(&server, ANN));
    assert_answer(
        &session.reader(&server).delete(AUTH),
        403,
        r#"{"detail":"CSRF Failed: CSRF token missing or incorrect."}"#,
    );
    let answer = session.client(&server).delete(AUTH);
    assert_eq!((answer.status, answer.text()), (204, ""));
    let taken: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie")
        .filter_map(|(_, value)| value.split('=').next())
        .collect();
    assert_eq!(taken, ["sentrysid", "sc"]);
    assert_eq!(session.reader(&server).get(AUTH).status, 400);
    assert_eq!(other.reader(&server).get(AUTH).status, 200);
    // There is nothing to end any more, and a token is no session.
    assert_eq!(session.reader(&server).delete(AUTH).status, 204);
    assert_answer(&ann(&server).delete(AUTH), 403, NO_PERMISSION);
    assert_eq!(ann(&server).get(AUTH).status, 200);
}

#[test]
fn the_password_is_given_once_more() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    let enroll = "/api/0/users/me/authenticators/totp/enroll/";
    server.advance(15 * 60);
    let refused = client.get(enroll);
    assert_answer(
        &refused,
        401,
        r#"{"detail":{"code":"sudo-required","message":"Account verification required.","extra":{"username":"ann@example.test"}}}"#,
    );
    assert_eq!(
        refused.header("WWW-Authenticate"),
        Some("xBasic realm=\"api\"")
    );
    for body in [json!({}), json!({"password": ""}), json!({"password": 7})] {
        assert_answer(
            &client.put_json(AUTH, &body),
            400,
            r#"{"detail":{"code":"missing-password"}}"#,
        );
    }
    assert_answer(
        &client.put_json(AUTH, &json!({"password": "wrong horse"})),
        403,
        r#"{"detail":{"code":"ignore"}}"#,
    );
    assert_eq!(client.get(enroll).status, 401);
    let right = json!({ "password": PASSWORD });
    assert_eq!(session.reader(&server).put_json(AUTH, &right).status, 403);
    assert_eq!(ok(&client.put_json(AUTH, &right))["email"], ANN);
    assert_eq!(client.get(enroll).status, 200);
    // Of this session, for a quarter of an hour.
    server.advance(15 * 60 - 1);
    assert_eq!(client.get(enroll).status, 200);
    server.advance(1);
    assert_eq!(client.get(enroll).status, 401);
}

#[test]
fn the_password_is_tried_again_five_times_an_hour() {
    let server = world();
    let client = sign_in(&server, ANN).client(&server);
    for _ in 0..5 {
        let answer = client.put_json(AUTH, &json!({"password": "wrong horse"}));
        assert_eq!(answer.status, 403);
    }
    let right = json!({ "password": PASSWORD });
    let refused = client.put_json(AUTH, &right);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("Content-Type"), Some("text/plain"));
    assert_eq!(refused.header("Retry-After"), Some("3600"));
    server.advance(3600);
    assert_eq!(client.put_json(AUTH, &right).status, 200);
}

#[test]
fn only_a_session_gives_the_password_again() {
    let server = world();
    let right = json!({ "password": PASSWORD });
    let answer = server.client().put_json(AUTH, &right);
    let text = r#"{"detail":"Authentication credentials were not provided."}"#;
    assert_answer(&answer, 401, text);
    for token in [READER, ORG_ROBOT] {
        assert_answer(
            &server.with_token(token).put_json(AUTH, &right),
            403,
            NO_PERMISSION,
        );
    }
}

#[test]
fn the_sign_in_page_is_told_what_to_show() {
    let server = world();
    let host = server.url_prefix().replace("http://", "");
    let expected = json!({"serverHostname": host, "canRegister": false, "hasNewsletter": false});
    assert_eq!(ok(&server.client().get(CONFIG)), expected);
    let session = sign_in(&server, ANN);
    assert_eq!(
        ok(&session.reader(&server).get(CONFIG)),
        json!({"nextUri": "/"})
    );
    server.advance(14 * 86_400);
    let mut late = expected;
    late["warning"] = json!("Your session has expired.");
    assert_eq!(ok(&session.reader(&server).get(CONFIG)), late);
}
