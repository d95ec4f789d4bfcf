//! `/auth/login/`, `/auth/logout/` and `/auth/verify/`.

use super::browser::{hidden, location, problem, set_cookies};
use super::*;

#[test]
fn who_signs_in_comes_to_where_they_wanted_to_go() {
    let server = Server::start(WORLD);
    let mut browser = browser(&server);
    let answer = browser.get("/settings/account/?saved=yes");
    let sign_in = location(&answer).to_owned();
    assert_eq!(
        sign_in,
        "/auth/login/?next=%2Fsettings%2Faccount%2F%3Fsaved%3Dyes"
    );
    let fields = [("email", " Ann@Example.test "), ("password", ANN_PASSWORD)];
    let answer = browser.submit_at(&sign_in, "/auth/login/", &fields);
    assert_eq!(location(&answer), "/settings/account/?saved=yes");
    let home = browser.get("/");
    assert!(
        home.text().contains("Acme &#60;Inc&#62;"),
        "{}",
        home.text()
    );
    // Who is signed in is not asked again.
    assert_eq!(location(&browser.get("/auth/login/")), "/");
    // The API tells of it too.
    let user = &server.owner().get("/api/0/").json()["user"];
    assert_eq!(user["lastLogin"], "2026-01-02T00:00:00Z");
    assert_eq!(user["lastActive"], "2026-01-02T00:00:00Z");
    let (actor, _) = &audit(&server, "user.sign-in")[0];
    assert_eq!(*actor, Some(user_id(&server, ANN)));
}

#[test]
fn a_wrong_password_is_refused_and_the_address_stays_in_the_form() {
    let server = Server::start(WORLD);
    let mut browser = browser(&server);
    let answer = browser.sign_in(ANN, BOB_PASSWORD);
    assert_eq!(answer.status, 400);
    assert_eq!(problem(&answer), "Email or password is not right.");
    assert!(answer.text().contains("value=\"ann@example.test\""));
    assert!(!browser.is_signed_in());
    // A user without a password has none to give.
    assert_eq!(browser.sign_in("eve@example.test", "").status, 400);
}

#[test]
fn signing_out_ends_the_session_for_whoever_has_its_cookie() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    let mut thief = browser.clone();
    assert!(thief.is_signed_in());
    let answer = browser.submit_at("/", "/auth/logout/", &[]);
    assert_eq!(location(&answer), "/auth/login/");
    assert!(!browser.is_signed_in());
    assert!(!thief.is_signed_in());
}

#[test]
fn a_session_ends_two_weeks_after_its_last_use() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    for _ in 0..3 {
        server.advance(13 * 86_400);
        assert!(browser.is_signed_in());
        // The use is written down behind the answer.
        let now = server.clock.now().us();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let used = || -> i64 {
            let sql = "SELECT last_used_us FROM session";
            let database = server.database();
            database.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        while used() != now {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    server.advance(14 * 86_400);
    assert!(!browser.is_signed_in());
}

#[test]
fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
    for (prefix, secure) in [(None, false), (Some("https://errors.example.test"), true)] {
        let server = Server::start_with(WORLD, |settings| {
            settings.url_prefix = prefix.map(|text| picket::UrlPrefix::parse(text).unwrap());
        });
        let mut browser = browser(&server);
        let answer = browser.sign_in(ANN, ANN_PASSWORD);
        let mut names = Vec::new();
        for cookie in set_cookies(&answer) {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let name = pair.split('=').next().unwrap();
            let has = |attribute| attributes.split("; ").any(|one| one == attribute);
            assert!(has("SameSite=Lax") && has("Path=/"), "{cookie}");
            assert_eq!(has("Secure"), secure, "{cookie}");
            // Scripts repeat this one in a header field of what they ask of the API.
            assert_eq!(has("HttpOnly"), name != "sc", "{cookie}");
            names.push(name);
        }
        names.sort_unstable();
        assert_eq!(
            names,
            ["picket_device", "picket_pending", "sc", "sentrysid"]
        );
    }
}

#[test]
fn pages_may_neither_be_kept_nor_framed_nor_run_scripts() {
    let server = Server::start(WORLD);
    let mut browser = browser(&server);
    for path in ["/auth/login/", "/nowhere/", "/account/recover/confirm/x/"] {
        let answer = browser.get(path);
        let has = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(has("Cache-Control"), "no-store", "{path}");
        assert_eq!(has("X-Frame-Options"), "DENY", "{path}");
        assert_eq!(has("Referrer-Policy"), "same-origin", "{path}");
        let policy = has("Content-Security-Policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn the_password_is_asked_again_and_leads_back() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    let verified = || -> i64 {
        let sql = "SELECT verified_us FROM session";
        let database = server.database();
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = verified();
    server.advance(3600);
    let page = "/auth/verify/?next=%2Fsettings%2Faccount%2F";
    let answer = browser.submit_at(page, "/auth/verify/", &[("password", BOB_PASSWORD)]);
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (400, "The password is not right.")
    );
    assert_eq!(verified(), before);
    let answer = browser.submit_at(page, "/auth/verify/", &[("password", ANN_PASSWORD)]);
    assert_eq!(location(&answer), "/settings/account/");
    assert_eq!(verified(), before + 3_600_000_000);
}

#[test]
fn guesses_at_the_question_for_the_password_are_throttled_too() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    for expected in [[400; 5].as_slice(), &[429]].concat() {
        let fields = [("password", "wrong wrong")];
        let answer = browser.submit_at("/auth/verify/", "/auth/verify/", &fields);
        assert_eq!(answer.status, expected);
        let wait = (expected == 429).then_some("3600");
        assert_eq!(answer.header("Retry-After"), wait);
    }
    // They are counted with those at the API.
    let client = browser.client();
    let api = client.send("PUT", "/api/0/auth/", Some(b"{}"));
    assert_eq!(api.status, 403, "{}", api.text());
    let csrf = hidden(&browser.get("/settings/account/"), "csrf");
    let api = client.with_header("X-CSRFToken", &csrf);
    let api = api.with_header("Content-Type", "application/json");
    let body = serde_json::json!({ "password": ANN_PASSWORD }).to_string();
    let answer = api.send("PUT", "/api/0/auth/", Some(body.as_bytes()));
    assert_eq!(answer.status, 429, "{}", answer.text());
    // Somebody else's guesses at another browser do not count here, nor these there.
    assert!(signed_in(&server, BOB, BOB_PASSWORD).is_signed_in());
}

/// The row of a session that is used goes on, so its cookies must.
#[test]
fn the_cookies_of_a_session_last_as_long_as_it_does() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    let renewed = |answer: &crate::support::client::Answer| {
        let mut names: Vec<_> = set_cookies(answer)
            .filter(|cookie| cookie.contains("; Max-Age=1209600;"))
            .filter_map(|cookie| cookie.split('=').next().map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    let before: Vec<_> = browser.cookies().cloned().collect();
    assert!(renewed(&browser.get("/")).is_empty());
    server.advance(300);
    let answer = browser.get("/");
    assert_eq!(renewed(&answer), ["sc", "sentrysid"]);
    assert_eq!(browser.cookies().cloned().collect::<Vec<_>>(), before);
    server.advance(300);
    let session = browser.cookie("sentrysid").expect("a session");
    let cookie = format!("sentrysid={session}");
    let answer = server
        .client()
        .with_header("Cookie", &cookie)
        .get("/api/0/users/me/");
    assert_eq!(renewed(&answer), ["sc", "sentrysid"]);
    assert!(
        answer
            .header("Cache-Control")
            .is_some_and(|text| text.contains("no-store"))
    );
    // A sign-out is not undone by it.
    server.advance(300);
    let csrf = browser.cookie("sc").expect("a proof").to_owned();
    let answer = browser.post("/auth/logout/", &[("csrf", &csrf)]);
    assert!(renewed(&answer).is_empty());
    assert!(browser.cookie("sentrysid").is_none());
}

#[test]
fn after_signing_in_every_path_can_be_gone_on_to() {
    let server = Server::start(WORLD);
    for (next, expected) in [
        ("/\u{e4}?\u{1f600}#\u{2028}", "/\u{e4}?\u{1f600}#\u{2028}"),
        ("/%2f/evil.test", "/%2f/evil.test"),
        ("/@evil.test", "/@evil.test"),
        ("//evil.test", "/"),
        ("/\u{a0}/evil.test\r\nSet-Cookie: a=b", "/"),
        ("/\u{85}/evil.test", "/"),
    ] {
        let fields = [("email", ANN), ("password", ANN_PASSWORD), ("next", next)];
        let mut browser = browser(&server);
        let answer = browser.submit_at("/auth/login/", "/auth/login/", &fields);
        assert_eq!(location(&answer), expected, "{next:?}");
        assert!(answer.header("a").is_none());
    }
}
