//! `/auth/login/`, `/auth/logout/` and `/auth/verify/`.

use super::browser::{location, problem, set_cookies};
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
    let answer = browser.submit(&sign_in, "/auth/login/", &fields);
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
    let answer = browser.submit("/", "/auth/logout/", &[]);
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
        assert_eq!(names, ["picket_device", "sc", "sentrysid"]);
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
    let answer = browser.submit(page, "/auth/verify/", &[("password", BOB_PASSWORD)]);
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (400, "The password is not right.")
    );
    assert_eq!(verified(), before);
    let answer = browser.submit(page, "/auth/verify/", &[("password", ANN_PASSWORD)]);
    assert_eq!(location(&answer), "/settings/account/");
    assert_eq!(verified(), before + 3_600_000_000);
}

#[test]
fn guesses_at_the_question_for_the_password_are_throttled_too() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN, ANN_PASSWORD);
    for expected in [[400; 10].as_slice(), &[429]].concat() {
        let fields = [("password", "wrong wrong")];
        let answer = browser.submit("/auth/verify/", "/auth/verify/", &fields);
        assert_eq!(answer.status, expected);
    }
    // Somebody else's guesses at another browser do not count here, nor these there.
    assert!(signed_in(&server, BOB, BOB_PASSWORD).is_signed_in());
}
