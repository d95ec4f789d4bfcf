//! What an attacker tries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::browser::{location, problem, without_proof};
use super::*;

#[test]
fn an_unknown_account_and_a_wrong_password_cost_the_same_and_are_told_the_same() {
    let server = Server::start(WORLD);
    let mut pages = Vec::new();
    for email in [ANN, "nobody@example.test", "eve@example.test", "no address"] {
        let runs = server.password_runs();
        let answer = browser(&server).sign_in(email, "wrong wrong");
        assert_eq!(server.password_runs(), runs + 1, "{email}");
        assert_eq!(answer.status, 400, "{email}");
        pages.push(without_proof(&answer).replace(email, "EMAIL"));
    }
    // The account is switched off.
    let sql = "UPDATE user SET active = 0 WHERE email = ?1";
    server.database().execute(sql, [BOB]).unwrap();
    let runs = server.password_runs();
    let answer = browser(&server).sign_in(BOB, BOB_PASSWORD);
    assert_eq!(server.password_runs(), runs + 1);
    pages.push(without_proof(&answer).replace(BOB, "EMAIL"));
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
}

/// Sixteen guess at once, as fast as they are answered. What they get is ten tries, whoever comes first.
fn guess_in_parallel(server: &Server, email: &str) -> u64 {
    let before = server.password_runs();
    let refused = AtomicU64::new(0);
    let deadline = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|scope| {
        for guesser in 0..16 {
            let (refused, mut browser) = (&refused, browser(server));
            scope.spawn(move || {
                let page = browser.get("/auth/login/");
                // Until they had all tries that they get, and long after.
                let had = || server.password_runs() - before;
                while (had() < 10 || refused.load(Ordering::SeqCst) < 400)
                    && Instant::now() < deadline
                {
                    let guess = format!("guess number {guesser}");
                    let fields = [("email", email), ("password", guess.as_str())];
                    let answer = browser.submit_from(&page, "/auth/login/", &fields);
                    match answer.status {
                        400 => {}
                        429 => {
                            assert!(answer.header("Retry-After").is_some());
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        other => panic!("{other}"),
                    }
                    // Those who are turned away come again at once; the others have their turn as well.
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    server.password_runs() - before
}

#[test]
fn sixteen_who_guess_at_once_get_ten_tries_and_the_user_is_not_locked_out() {
    let server = Server::start(WORLD);
    let mut known = signed_in(&server, ANN, ANN_PASSWORD);
    known.submit("/", "/auth/logout/", &[]);
    assert_eq!(guess_in_parallel(&server, ANN), 10);
    // An account that is not there is guessed at no faster and no slower.
    assert_eq!(guess_in_parallel(&server, "nobody@example.test"), 10);
    // From this address with a browser that nobody knows, not even the right password is looked at.
    let runs = server.password_runs();
    let answer = browser(&server).sign_in(ANN, ANN_PASSWORD);
    assert_eq!(answer.status, 429);
    assert_eq!(
        problem(&answer),
        "Too many tries. Please wait a few minutes and try again."
    );
    assert_eq!(server.password_runs(), runs);
    // With one that signed in before, it is.
    assert_eq!(location(&known.sign_in(ANN, ANN_PASSWORD)), "/");
    // And nobody else is kept out.
    assert_eq!(location(&browser(&server).sign_in(BOB, BOB_PASSWORD)), "/");
    server.advance(600);
    assert_eq!(location(&browser(&server).sign_in(ANN, ANN_PASSWORD)), "/");
}

#[test]
fn an_address_gets_thirty_tries_at_whomever() {
    let server = Server::start(WORLD);
    for at in 0..31 {
        let email = format!("{}@example.test", at / 5);
        let expected = if at < 30 { 400 } else { 429 };
        assert_eq!(
            browser(&server).sign_in(&email, "wrong").status,
            expected,
            "{at}"
        );
    }
    // A right password in between forgets none of them.
    let server = Server::start(WORLD);
    for at in 0..11 {
        signed_in(&server, BOB, BOB_PASSWORD);
        let expected = if at < 10 { 400 } else { 429 };
        assert_eq!(
            browser(&server).sign_in(ANN, "wrong").status,
            expected,
            "{at}"
        );
    }
}

#[test]
fn a_session_that_was_laid_under_a_sign_in_is_not_taken_up() {
    let server = Server::start(WORLD);
    let planted = "5".repeat(64);
    let mut victim = browser(&server);
    victim
        .cookies
        .insert("sentrysid".to_owned(), planted.clone());
    victim.sign_in(ANN, ANN_PASSWORD);
    assert_ne!(victim.cookies["sentrysid"], planted);
    let mut attacker = browser(&server);
    attacker.cookies.insert("sentrysid".to_owned(), planted);
    assert!(!attacker.is_signed_in());

    // Nor is a browser taken for one that is known because of a cookie that was laid there.
    let mut victim = browser(&server);
    let planted = "6".repeat(64);
    victim
        .cookies
        .insert("picket_device".to_owned(), planted.clone());
    victim.sign_in(ANN, ANN_PASSWORD);
    let device = victim.cookies["picket_device"].clone();
    assert_ne!(device, planted);
    victim.submit("/", "/auth/logout/", &[]);
    victim.sign_in(ANN, ANN_PASSWORD);
    assert_eq!(victim.cookies["picket_device"], device);

    // Nor a real one, of the attacker: it does not become the victim's.
    let attacker = signed_in(&server, BOB, BOB_PASSWORD);
    let mut victim = attacker.clone();
    victim.submit("/", "/auth/logout/", &[]);
    victim.sign_in(ANN, ANN_PASSWORD);
    assert_ne!(victim.cookies["sentrysid"], attacker.cookies["sentrysid"]);
    assert_ne!(victim.cookies["sc"], attacker.cookies["sc"]);
    assert!(!attacker.clone().is_signed_in());
}

#[test]
fn a_browser_that_signs_in_anew_leaves_no_session_behind() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = invite(&server, "zed@example.test");
    drop(path);
    let mut bob = signed_in(&server, BOB, BOB_PASSWORD);
    // The form of a browser that is signed in carries the session's proof.
    let page = bob.get("/settings/account/");
    let mut again = bob.clone();
    let hidden = page.text();
    let start = hidden.find("name=\"csrf\" value=\"").unwrap() + 19;
    let csrf = hidden[start..start + 64].to_owned();
    let fields = [
        ("csrf", csrf.as_str()),
        ("email", ANN),
        ("password", ANN_PASSWORD),
    ];
    assert_eq!(location(&again.post("/auth/login/", &fields)), "/");
    assert!(again.is_signed_in() && !bob.is_signed_in());
}

#[test]
fn nobody_is_led_to_another_server() {
    let server = Server::start(WORLD);
    for next in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        " //evil.test",
    ] {
        let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = format!("/auth/login/?next={query}");
        let mut browser = browser(&server);
        let fields = [("email", ANN), ("password", ANN_PASSWORD)];
        let answer = browser.submit(&page, "/auth/login/", &fields);
        assert_eq!(location(&answer), "/", "{next:?}");
        // Also where it is only in the form.
        let page = browser.get("/auth/verify/");
        let fields = [("next", next), ("password", ANN_PASSWORD)];
        let answer = browser.submit_from(&page, "/auth/verify/", &fields);
        assert_eq!(location(&answer), "/", "{next:?}");
        assert_eq!(
            location(&browser.get(&format!("/auth/login/?next={query}"))),
            "/"
        );
    }
}

#[test]
fn a_form_from_elsewhere_is_refused() {
    let server = Server::start(WORLD);
    let ann = signed_in(&server, ANN, ANN_PASSWORD);
    let page = ann.clone().get("/settings/account/");
    let rename = |browser: &Browser, name: &str| {
        let fields = [("name", name)];
        browser
            .clone()
            .submit_from(&page, "/settings/account/", &fields)
            .status
    };
    let stored = || -> String {
        let sql = "SELECT name FROM user WHERE email = ?1";
        let database = server.database();
        database.query_row(sql, [ANN], |row| row.get(0)).unwrap()
    };
    for origin in [
        "https://evil.test",
        "null",
        "http://evil.picket.test",
        "http://picket.test:1",
    ] {
        let browser = ann.clone().with_header("Origin", origin);
        assert_eq!(rename(&browser, origin), 403, "{origin}");
    }
    assert_eq!(stored(), "Ann");
    for (origin, name) in [
        ("http://picket.test", "by its name"),
        (&server.url_prefix(), "by its number"),
    ] {
        let browser = ann.clone().with_header("Origin", origin);
        assert_eq!(rename(&browser, name), 303, "{origin}");
        assert_eq!(stored(), name);
    }
}

#[test]
fn a_form_without_the_proof_of_the_session_is_refused() {
    let server = Server::start(WORLD);
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    let bob = signed_in(&server, BOB, BOB_PASSWORD);
    let bobs = bob.cookies["sc"].clone();
    for path in [
        "/auth/logout/",
        "/auth/verify/",
        "/settings/account/",
        "/settings/account/emails/",
        "/settings/account/security/password/",
        "/settings/account/security/session-history/",
        "/auth/login/",
        "/account/recover/",
    ] {
        for proof in ["", "0", &"0".repeat(64), &bobs] {
            let answer = ann.post(
                path,
                &[("csrf", proof), ("name", "Eve"), ("session", "others")],
            );
            assert_eq!(answer.status, 403, "{path} {proof}");
        }
    }
    assert!(ann.is_signed_in());
    // One that is no form at all.
    let json = server
        .client()
        .with_header("Content-Type", "application/json")
        .post("/auth/login/", b"{}");
    assert_eq!(json.status, 400);
}
