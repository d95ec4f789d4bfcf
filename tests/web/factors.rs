//! The second factor: setting it up, signing in with it, losing the phone, and what guesses come to.

use serde_json::{Value, json};

use super::browser_factors::Browser;
use crate::support::process::Binary;
use crate::support::{Answer, Client, OWNER_TOKEN, START, Server, totp};

/// An organization with an owner and two members.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "member:admin"]

[[user]]
email = "bob@example.test"
name = "Bob"
password = "correct horse battery staple"
roles = { acme = "member" }
"#;

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";
const PASSWORD: &str = "correct horse battery staple";

const SECURITY: &str = "/settings/account/security/";
const TOTP: &str = "/settings/account/security/totp/";
const REMOVE: &str = "/settings/account/security/totp/remove/";
const CODES: &str = "/settings/account/security/recovery-codes/";
const SECOND: &str = "/auth/2fa/";

/// Somebody's app and recovery codes.
struct Factor {
    secret: String,
    codes: Vec<String>,
}

impl Factor {
    fn code(&self, server: &Server) -> String {
        totp::code(&self.secret, server.clock.now())
    }
}

fn browser(server: &Server) -> Browser {
    Browser::new(server.client())
}

#[track_caller]
fn signed_in(server: &Server, email: &str) -> Browser {
    let mut browser = browser(server);
    let answer = browser.sign_in(email, PASSWORD);
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(browser.cookie("sentrysid").is_some());
    browser
}

/// A browser whose user gave the password of an account with a second factor.
#[track_caller]
fn awaited(server: &Server, email: &str) -> (Browser, Answer) {
    let mut browser = browser(server);
    let answer = browser.sign_in(email, PASSWORD);
    assert_eq!(location(&answer), SECOND);
    assert_eq!(browser.cookie("sentrysid"), None);
    let page = browser.get(SECOND);
    assert_eq!(page.status, 200);
    (browser, page)
}

fn location(answer: &Answer) -> &str {
    answer.header("Location").unwrap_or_default()
}

/// The texts between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start)
        .skip(1)
        .filter_map(|rest| rest.split(end).next())
        .collect()
}

fn secret_of(page: &Answer) -> String {
    let found = between(page.text(), "name=\"secret\" value=\"", "\"");
    (*found.first().expect("a secret")).to_owned()
}

fn codes_of(page: &Answer) -> Vec<String> {
    let found = between(page.text(), "<li><code>", "</code>");
    found.into_iter().map(str::to_owned).collect()
}

/// Sets up a second factor in a browser that is signed in.
#[track_caller]
fn enroll(server: &Server, browser: &mut Browser) -> Factor {
    let page = browser.get(TOTP);
    assert_eq!(page.status, 200, "{}", page.text());
    let secret = secret_of(&page);
    let code = totp::code(&secret, server.clock.now());
    let answer = browser.submit(&page, TOTP, &[("code", &code)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let codes = codes_of(&answer);
    Factor { secret, codes }
}

/// A server where Ann has a second factor, whose code of this moment is used up.
fn enrolled() -> (Server, Browser, Factor) {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN);
    let factor = enroll(&server, &mut browser);
    (server, browser, factor)
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let alerts = between(answer.text(), "role=\"alert\">", "<");
    assert!(
        alerts.iter().any(|alert| alert.contains(text)),
        "{alerts:?}"
    );
}

/// The events of the audit log about people, oldest first.
fn audited(server: &Server) -> Vec<(String, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT event, data FROM audit_entry
             WHERE event LIKE 'user.%' AND actor_user_id IS NOT NULL AND event <> 'user.sign-in' ORDER BY id",
        )
        .expect("a log");
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .expect("entries");
    rows.map(|row| {
        let (event, data) = row.expect("an entry");
        (event, serde_json::from_str(&data).expect("JSON"))
    })
    .collect()
}

#[test]
fn setting_up_shows_a_picture_a_secret_and_once_the_recovery_codes() {
    let server = Server::start(WORLD);
    let mut other = signed_in(&server, ANN);
    let mut browser = signed_in(&server, ANN);
    let page = browser.get(SECURITY);
    assert!(page.text().contains(&format!("href=\"{TOTP}\"")));
    assert!(
        !page
            .text()
            .contains("<form method=\"post\" action=\"/settings")
    );

    let page = browser.get(TOTP);
    let secret = secret_of(&page);
    let groups: Vec<String> = secret
        .as_bytes()
        .chunks(4)
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect();
    assert_eq!(groups.len(), 8);
    assert!(
        page.text()
            .contains(&format!("<code>{}</code>", groups.join(" ")))
    );
    assert!(
        page.text()
            .contains("<svg class=\"qr\" role=\"img\" aria-label=")
    );
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    assert_ne!(secret_of(&browser.get(TOTP)), secret);

    // A wrong code leaves the secret as it is in the app by now.
    let again = browser.submit(&page, TOTP, &[("code", "000000")]);
    assert_problem(&again, 400, "not right");
    assert_eq!(secret_of(&again), secret);
    assert_eq!(signed_in(&server, ANN).get(SECURITY).status, 200);

    let code = totp::code(&secret, server.clock.now());
    let done = browser.submit(
        &again,
        TOTP,
        &[("code", &format!("{} {}", &code[..3], &code[3..]))],
    );
    let codes = codes_of(&done);
    assert_eq!((done.status, codes.len()), (200, 10));
    for code in &codes {
        let is_shaped = code.len() == 9
            && code.char_indices().all(|(at, c)| match at {
                4 => c == '-',
                _ => c.is_ascii_uppercase() || ('2'..='7').contains(&c),
            });
        assert!(is_shaped, "{code}");
    }
    let page = browser.get(SECURITY);
    assert!(page.text().contains("10 left") && !page.text().contains(&codes[0]));
    assert!(
        page.text().contains(">2026-01-02 00:00 UTC</time>"),
        "{}",
        page.text()
    );
    // Whoever is in another browser gave no code.
    assert_eq!(
        location(&other.get(SECURITY)),
        "/auth/login/?next=%2Fsettings%2Faccount%2Fsecurity%2F"
    );
    let me = server
        .with_token(OWNER_TOKEN)
        .get("/api/0/users/me/")
        .json();
    assert_eq!(me["has2fa"], true);
    let methods = me["authenticators"].as_array().expect("a list");
    assert_eq!(methods.len(), 2);
    assert_eq!(methods[0]["type"], "totp");
    assert_eq!(
        audited(&server),
        [(
            "user.mfa-add".to_owned(),
            json!({"method": "totp", "rotated": false})
        )]
    );
}

#[test]
fn signing_in_takes_the_code_of_the_app() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    let mut browser = browser(&server);
    let page = browser.get("/auth/login/?next=%2Fsettings%2Faccount%2F");
    let fields = [("email", ANN), ("password", PASSWORD)];
    let answer = browser.submit(&page, "/auth/login/", &fields);
    assert_eq!(answer.status, 303);
    assert_eq!(
        location(&answer),
        "/auth/2fa/?next=%2Fsettings%2Faccount%2F"
    );
    assert_eq!(browser.cookie("sentrysid"), None);
    let pending = browser
        .cookie("picket_pending")
        .expect("a cookie")
        .to_owned();
    let cookie = answer.header("Set-Cookie").expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    // Not signed in yet, anywhere.
    assert!(location(&browser.get("/")).starts_with("/auth/login/"));
    assert_eq!(browser.client().get("/api/0/users/me/").status, 401);

    let page = browser.get(location(&answer));
    let wrong = browser.submit(&page, SECOND, &[("code", "000000")]);
    assert_problem(&wrong, 400, "not right");
    let nothing = browser.submit(&wrong, SECOND, &[("code", "")]);
    assert_problem(&nothing, 400, "not right");
    let right = browser.submit(&nothing, SECOND, &[("code", &factor.code(&server))]);
    assert_eq!(
        (right.status, location(&right)),
        (303, "/settings/account/")
    );
    assert_eq!(browser.get("/settings/account/").status, 200);
    assert_eq!(browser.cookie("picket_pending"), None);

    // What stood for the password is used up.
    server.advance(30);
    let mut thief = Browser::new(server.client());
    thief.set_cookie("picket_pending", &pending);
    assert_eq!(location(&thief.get(SECOND)), "/auth/login/");
    let login = thief.get("/auth/login/");
    let csrf = between(login.text(), "name=\"csrf\" value=\"", "\"")[0].to_owned();
    let form = format!("csrf={csrf}&code={}", factor.code(&server));
    assert_eq!(location(&thief.post(SECOND, &form)), "/auth/login/");
    assert_eq!(thief.cookie("sentrysid"), None);
}

#[test]
fn the_next_page_is_one_of_this_server() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    let (mut browser, page) = awaited(&server, ANN);
    let fields = [("code", &*factor.code(&server)), ("next", "//evil.test/")];
    let answer = browser.submit(&page, SECOND, &fields);
    assert_eq!((answer.status, location(&answer)), (303, "/"));
    let (mut browser, _) = awaited(&server, ANN);
    let page = browser.get("/auth/2fa/?next=https%3A%2F%2Fevil.test%2F");
    assert!(!page.text().contains("evil"));
}

#[test]
fn a_code_is_taken_once() {
    let (server, _, factor) = enrolled();
    // The one that was typed to set it up, in its step and in the next.
    let first = factor.code(&server);
    for _ in 0..2 {
        let (mut browser, page) = awaited(&server, ANN);
        assert_problem(
            &browser.submit(&page, SECOND, &[("code", &first)]),
            400,
            "used before",
        );
        server.advance(30);
    }
    let (mut browser, page) = awaited(&server, ANN);
    let code = factor.code(&server);
    assert_eq!(
        browser.submit(&page, SECOND, &[("code", &code)]).status,
        303
    );
    // Neither again nor one of before, for another browser.
    let older = totp::code(&factor.secret, server.clock.now().plus_secs(-30));
    let (mut other, page) = awaited(&server, ANN);
    for used in [&code, &older] {
        assert_problem(
            &other.submit(&page, SECOND, &[("code", used)]),
            400,
            "used before",
        );
    }
    // A clock that is ahead by a step is let in, and then the codes up to that are used up.
    let ahead = totp::code(&factor.secret, server.clock.now().plus_secs(30));
    assert_eq!(other.submit(&page, SECOND, &[("code", &ahead)]).status, 303);
    server.advance(30);
    let (mut late, page) = awaited(&server, ANN);
    assert_problem(
        &late.submit(&page, SECOND, &[("code", &ahead)]),
        400,
        "used before",
    );
}

#[test]
fn of_many_who_bring_a_code_at_once_one_is_let_in() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    for code in [factor.code(&server), factor.codes[0].clone()] {
        let browsers: Vec<_> = (0..4).map(|_| awaited(&server, ANN)).collect();
        let barrier = std::sync::Barrier::new(browsers.len());
        let let_in = std::thread::scope(|scope| {
            let threads: Vec<_> = browsers
                .into_iter()
                .map(|(mut browser, page)| {
                    let (barrier, code) = (&barrier, &code);
                    scope.spawn(move || {
                        barrier.wait();
                        browser.submit(&page, SECOND, &[("code", code)]).status
                    })
                })
                .collect();
            let statuses = threads
                .into_iter()
                .map(|thread| thread.join().expect("a status"));
            statuses.filter(|status| *status == 303).count()
        });
        assert_eq!(let_in, 1);
        server.advance(30);
    }
}

#[test]
fn a_recovery_code_signs_in_once_however_it_is_typed() {
    let (server, _, factor) = enrolled();
    let typed = factor.codes[3].to_lowercase().replace('-', "");
    let (mut browser, page) = awaited(&server, ANN);
    let answer = browser.submit(&page, SECOND, &[("code", &typed)]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(browser.get(SECURITY).text().contains("9 left"));
    let (mut again, page) = awaited(&server, ANN);
    for used in [&typed, &factor.codes[3], &"AAAA-AAAA".to_owned()] {
        assert_problem(
            &again.submit(&page, SECOND, &[("code", used)]),
            400,
            "used before",
        );
    }
    assert_eq!(
        again
            .submit(&page, SECOND, &[("code", &factor.codes[4])])
            .status,
        303
    );
    // Those of one user are nobody else's.
    let mut bob = signed_in(&server, BOB);
    enroll(&server, &mut bob);
    let (mut bob, page) = awaited(&server, BOB);
    assert_eq!(
        bob.submit(&page, SECOND, &[("code", &factor.codes[5])])
            .status,
        400
    );
    let events: Vec<_> = audited(&server)
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    assert_eq!(
        events,
        [
            "user.mfa-add",
            "user.recovery-code-use",
            "user.recovery-code-use",
            "user.mfa-add"
        ]
    );
}

#[test]
fn guesses_at_codes_are_few() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    let (mut browser, page) = awaited(&server, ANN);
    for _ in 0..5 {
        assert_eq!(
            browser.submit(&page, SECOND, &[("code", "000000")]).status,
            400
        );
    }
    // Also the right one, and in another browser too.
    let code = factor.code(&server);
    let refused = browser.submit(&page, SECOND, &[("code", &code)]);
    assert_problem(&refused, 429, "Too many tries");
    assert_eq!(refused.header("Retry-After"), Some("20"));
    let (mut other, other_page) = awaited(&server, ANN);
    assert_eq!(
        other.submit(&other_page, SECOND, &[("code", &code)]).status,
        429
    );
    for _ in 0..3 {
        server.advance(20);
        for _ in 0..5 {
            assert_eq!(
                browser.submit(&page, SECOND, &[("code", "000000")]).status,
                400
            );
        }
    }
    // Twenty in an hour.
    server.advance(20);
    let refused = browser.submit(&page, SECOND, &[("code", &factor.code(&server))]);
    assert_eq!(refused.header("Retry-After"), Some("3520"));
    // Nobody else is kept out, and afterwards Ann is not.
    signed_in(&server, BOB);
    server.advance(3520);
    let (mut browser, page) = awaited(&server, ANN);
    assert_eq!(
        browser
            .submit(&page, SECOND, &[("code", &factor.code(&server))])
            .status,
        303
    );
}

#[test]
fn a_crowd_of_guesses_gets_no_further() {
    let (server, _, _) = enrolled();
    server.advance(30);
    let browsers: Vec<_> = (0..16).map(|_| awaited(&server, ANN)).collect();
    let refused = std::thread::scope(|scope| {
        let threads: Vec<_> = browsers
            .into_iter()
            .map(|(mut browser, page)| {
                scope.spawn(move || browser.submit(&page, SECOND, &[("code", "000000")]).status)
            })
            .collect();
        let statuses = threads
            .into_iter()
            .map(|thread| thread.join().expect("a status"));
        statuses.filter(|status| *status == 429).count()
    });
    assert_eq!(refused, 11);
}

/// Nobody without the password gets to guess codes, or can use up the tries of who has it.
#[test]
fn strangers_do_not_get_to_the_codes() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    let mut stranger = browser(&server);
    let login = stranger.get("/auth/login/");
    let csrf = between(login.text(), "name=\"csrf\" value=\"", "\"")[0].to_owned();
    for pending in ["", &"0".repeat(64)] {
        if !pending.is_empty() {
            stranger.set_cookie("picket_pending", pending);
        }
        for _ in 0..6 {
            let form = format!("csrf={csrf}&code=000000");
            let answer = stranger.post(SECOND, &form);
            assert_eq!((answer.status, location(&answer)), (303, "/auth/login/"));
        }
    }
    let (mut browser, page) = awaited(&server, ANN);
    assert_eq!(
        browser
            .submit(&page, SECOND, &[("code", &factor.code(&server))])
            .status,
        303
    );
}

#[test]
fn a_password_waits_ten_minutes_for_its_code() {
    let (server, _, factor) = enrolled();
    let (mut browser, page) = awaited(&server, ANN);
    server.advance(600);
    let answer = browser.submit(&page, SECOND, &[("code", &factor.code(&server))]);
    assert_eq!((answer.status, location(&answer)), (303, "/auth/login/"));
    assert_eq!(browser.cookie("sentrysid"), None);
    let (mut browser, page) = awaited(&server, ANN);
    server.advance(599);
    assert_eq!(
        browser
            .submit(&page, SECOND, &[("code", &factor.code(&server))])
            .status,
        303
    );
}

#[test]
fn a_new_password_or_the_end_of_an_account_ends_the_wait() {
    let (server, _, factor) = enrolled();
    server.advance(30);
    for change in [
        "UPDATE user SET password_hash = (SELECT password_hash FROM user WHERE name = 'Bob') WHERE name = 'Ann'",
        "UPDATE user SET active = 0 WHERE name = 'Ann'",
    ] {
        let (mut browser, page) = awaited(&server, ANN);
        server.database().execute(change, []).expect("an update");
        let answer = browser.submit(&page, SECOND, &[("code", &factor.code(&server))]);
        assert_eq!(
            (answer.status, location(&answer)),
            (303, "/auth/login/"),
            "{change}"
        );
        assert_eq!(browser.cookie("sentrysid"), None);
    }
}

#[test]
fn new_recovery_codes_end_the_old_ones() {
    let (server, mut browser, factor) = enrolled();
    let page = browser.get(SECURITY);
    let answer = browser.submit(&page, CODES, &[]);
    let codes = codes_of(&answer);
    assert_eq!((answer.status, codes.len()), (200, 10));
    assert!(factor.codes.iter().all(|code| !codes.contains(code)));
    let (mut other, page) = awaited(&server, ANN);
    assert_eq!(
        other
            .submit(&page, SECOND, &[("code", &factor.codes[0])])
            .status,
        400
    );
    assert_eq!(
        other.submit(&page, SECOND, &[("code", &codes[0])]).status,
        303
    );
    // Without a second factor there is nothing to recover.
    let mut bob = signed_in(&server, BOB);
    let page = browser.get(SECURITY);
    let csrf = bob.cookie("sc").expect("a token").to_owned();
    let answer = bob.submit(&page, CODES, &[("csrf", &csrf)]);
    assert_problem(&answer, 400, "no second factor");
}

#[test]
fn another_app_takes_the_place_of_the_first() {
    let (server, mut browser, factor) = enrolled();
    server.advance(30);
    let page = browser.get(TOTP);
    assert!(page.text().contains("no longer work"));
    let secret = secret_of(&page);
    let code = totp::code(&secret, server.clock.now());
    let answer = browser.submit(&page, TOTP, &[("code", &code)]);
    assert_eq!((answer.status, location(&answer)), (303, SECURITY));
    // The same form once more: its code is used up.
    assert_eq!(browser.submit(&page, TOTP, &[("code", &code)]).status, 400);
    server.advance(30);
    let (mut other, page) = awaited(&server, ANN);
    assert_eq!(
        other
            .submit(&page, SECOND, &[("code", &factor.code(&server))])
            .status,
        400
    );
    let code = totp::code(&secret, server.clock.now());
    assert_eq!(other.submit(&page, SECOND, &[("code", &code)]).status, 303);
    // The recovery codes stay.
    let (mut other, page) = awaited(&server, ANN);
    assert_eq!(
        other
            .submit(&page, SECOND, &[("code", &factor.codes[0])])
            .status,
        303
    );
}

#[test]
fn removing_it_ends_everything_of_it() {
    let (server, mut browser, factor) = enrolled();
    server.advance(30);
    let (mut other, page) = awaited(&server, ANN);
    assert_eq!(
        other
            .submit(&page, SECOND, &[("code", &factor.code(&server))])
            .status,
        303
    );
    let page = browser.get(SECURITY);
    let answer = browser.submit(&page, REMOVE, &[]);
    assert_eq!((answer.status, location(&answer)), (303, SECURITY));
    assert!(browser.get(SECURITY).text().contains("Set up an app"));
    assert!(location(&other.get("/")).starts_with("/auth/login/"));
    signed_in(&server, ANN);
    let rows: i64 = server
        .database()
        .query_row(
            "SELECT (SELECT count(*) FROM authenticator) + (SELECT count(*) FROM recovery_code)",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(rows, 0);
    // Whoever was awaited when it went begins anew, and twice is once.
    assert_eq!(browser.submit(&page, REMOVE, &[]).status, 303);
    let events: Vec<_> = audited(&server)
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    assert_eq!(events, ["user.mfa-add", "user.mfa-remove"]);
}

#[test]
fn who_is_awaited_when_it_is_removed_begins_anew() {
    let (server, mut browser, factor) = enrolled();
    let (mut other, form) = awaited(&server, ANN);
    let page = browser.get(SECURITY);
    browser.submit(&page, REMOVE, &[]);
    server.advance(30);
    let answer = other.submit(&form, SECOND, &[("code", &factor.code(&server))]);
    assert_eq!((answer.status, location(&answer)), (303, "/auth/login/"));
    assert_eq!(other.cookie("sentrysid"), None);
}

#[test]
fn what_an_organization_demands_stays() {
    let (server, mut browser, _) = enrolled();
    let organization = "/api/0/organizations/acme/";
    let answer = server
        .with_token(OWNER_TOKEN)
        .put_json(organization, &json!({"require2FA": true}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let before = browser.clone().get(SECURITY);
    assert!(
        before
            .text()
            .contains("You cannot remove it, because these organizations demand it: Acme.")
    );
    assert!(!before.text().contains(REMOVE));
    let csrf = browser.cookie("sc").expect("a token").to_owned();
    let refused = browser.post(REMOVE, &format!("csrf={csrf}"));
    assert_problem(&refused, 403, "demands a second factor");
    assert!(browser.get(SECURITY).text().contains("10 left"));

    // Bob is told what to do.
    let mut bob = signed_in(&server, BOB);
    assert_problem(
        &bob.get("/"),
        200,
        "You cannot use Acme until you have a second factor.",
    );
    assert_problem(&bob.get(SECURITY), 200, "demand a second factor");
    assert_eq!(bob.client().get(organization).status, 401);
    enroll(&server, &mut bob);
    assert!(!bob.get("/").text().contains("role=\"alert\""));
    assert_eq!(bob.client().get(organization).status, 200);
}

#[test]
fn what_changes_it_asks_for_the_password_of_a_short_while_ago() {
    let (server, mut browser, _) = enrolled();
    let page = browser.get(SECURITY);
    let form = browser.get(TOTP);
    server.advance(15 * 60);
    assert_eq!(browser.get(SECURITY).status, 200);
    assert_eq!(
        location(&browser.get(TOTP)),
        "/auth/verify/?next=%2Fsettings%2Faccount%2Fsecurity%2Ftotp%2F"
    );
    for (page, action) in [(&form, TOTP), (&page, REMOVE), (&page, CODES)] {
        let answer = browser.submit(page, action, &[]);
        assert_eq!(
            (answer.status, location(&answer)),
            (303, "/auth/verify/"),
            "{action}"
        );
    }
    assert!(browser.get(SECURITY).text().contains("10 left"));
}

#[test]
fn no_form_is_taken_that_is_not_ours() {
    let (server, mut browser, factor) = enrolled();
    for action in [TOTP, REMOVE, CODES, SECOND] {
        for form in ["", "csrf=", &format!("csrf={}", "0".repeat(64))] {
            assert_eq!(browser.post(action, form).status, 403, "{action} {form}");
        }
    }
    server.advance(30);
    let (waiting, page) = awaited(&server, ANN);
    let code = factor.code(&server);
    let mut elsewhere = waiting.clone();
    elsewhere = {
        let client = server
            .client()
            .with_header("Origin", "https://elsewhere.test");
        let mut browser = Browser::new(client);
        for name in ["sc", "picket_pending"] {
            browser.set_cookie(name, elsewhere.cookie(name).expect("a cookie"));
        }
        browser
    };
    assert_eq!(
        elsewhere.submit(&page, SECOND, &[("code", &code)]).status,
        403
    );
    assert_eq!(elsewhere.cookie("sentrysid"), None);
    let mut ours = waiting;
    assert_eq!(ours.submit(&page, SECOND, &[("code", &code)]).status, 303);
}

#[test]
fn enrolment_takes_ten_tries_a_day_and_a_secret_that_is_one() {
    let server = Server::start(WORLD);
    let mut browser = signed_in(&server, ANN);
    let page = browser.get(TOTP);
    for secret in ["", "A", "not base32!"] {
        let fields = [("secret", secret), ("code", "123456")];
        assert_eq!(browser.submit(&page, TOTP, &fields).status, 400);
    }
    for _ in 0..10 {
        assert_eq!(
            browser.submit(&page, TOTP, &[("code", "000000")]).status,
            400
        );
    }
    let code = totp::code(&secret_of(&page), START);
    let refused = browser.submit(&page, TOTP, &[("code", &code)]);
    assert_problem(&refused, 429, "tomorrow");
    assert_eq!(refused.header("Retry-After"), Some("86400"));
    server.advance(86_400);
    let mut browser = signed_in(&server, ANN);
    enroll(&server, &mut browser);
}

/// The seed is in the file, because codes are computed from it; nothing else is that lets somebody in.
#[test]
fn no_secret_is_in_the_file_or_the_log() {
    let mut binary = Binary::new();
    binary.set("RUST_LOG", "trace");
    binary.write("world.toml", WORLD);
    let server = binary.serve(&["--apply", "world.toml"]);
    let client = Client::new(
        server
            .address()
            .trim_start_matches("http://")
            .parse()
            .expect("an address"),
    );
    let mut secrets = vec![PASSWORD.to_owned()];
    let mut browser = Browser::new(client.clone());
    assert_eq!(browser.sign_in(ANN, PASSWORD).status, 303);
    let page = browser.get(TOTP);
    let secret = secret_of(&page);
    let now = || {
        let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        picket::Timestamp::from_secs(i64::try_from(since.as_secs()).expect("seconds"))
    };
    let code = totp::code(&secret, now());
    let codes = codes_of(&browser.submit(&page, TOTP, &[("code", &code)]));
    assert_eq!(codes.len(), 10);
    let mut other = Browser::new(client);
    other.sign_in(ANN, PASSWORD);
    secrets.push(other.cookie("picket_pending").expect("a cookie").to_owned());
    let page = other.get(SECOND);
    assert_eq!(
        other.submit(&page, SECOND, &[("code", &codes[0])]).status,
        303
    );
    for browser in [&browser, &other] {
        for name in ["sentrysid", "sc", "picket_device"] {
            secrets.push(browser.cookie(name).expect("a cookie").to_owned());
        }
    }
    secrets.extend(codes.iter().cloned());
    secrets.extend(codes.iter().map(|code| code.replace('-', "")));
    let read = |name: &str| std::fs::read(binary.path(name)).unwrap_or_default();
    let mut places = vec![read("picket.db"), read("picket.db-wal")];
    assert!(places.iter().any(|bytes| holds(bytes, b"ann@example.test")));
    let output = server.terminate();
    places.push(read("picket.db"));
    assert!(output.stderr.contains("stopped"), "{}", output.stderr);
    places.push(output.stderr.into_bytes());
    places.push(output.stdout.into_bytes());
    for secret in &secrets {
        for (number, place) in places.iter().enumerate() {
            assert!(
                !holds(place, secret.as_bytes()),
                "{secret} in place {number}"
            );
            let upper = secret.to_uppercase();
            assert!(
                !holds(place, upper.as_bytes()),
                "{secret} in place {number}"
            );
        }
    }
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}
