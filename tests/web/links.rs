//! `/account/recover/` and the links that set a password.

use super::browser::{location, problem, without_proof};
use super::*;

const RECOVER: &str = "/account/recover/";

#[track_caller]
fn ask(server: &Server, email: &str) -> crate::support::Answer {
    let answer = browser(server).submit(RECOVER, RECOVER, &[("email", email)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// Asks for a link and waits until so many letters came in all; the link's path.
#[track_caller]
fn link(server: &Server, post: &Post, email: &str, letters: usize) -> String {
    ask(server, email);
    let letter = post.wait_for(letters);
    assert_eq!(letter.to.to_lowercase(), email.to_lowercase());
    let start = format!("{}/account/", server.url_prefix());
    path_of(server, letter.line(&start))
}

fn set(server: &Server, path: &str, password: &str) -> crate::support::Answer {
    let fields = [("password", password), ("again", password)];
    browser(server).submit(path, path, &fields)
}

#[track_caller]
fn assert_gone(server: &Server, path: &str) {
    let answer = browser(server).get(path);
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.text().contains("This link cannot be used"));
}

#[test]
fn a_forgotten_password_is_set_by_a_link_that_works_once() {
    let post = Post::start();
    let server = with_mail(&post);
    let mut old = signed_in(&server, ANN, ANN_PASSWORD);
    let mut bobs = signed_in(&server, BOB, BOB_PASSWORD);
    let path = link(&server, &post, "ANN@example.test", 1);
    assert!(path.starts_with("/account/recover/confirm/"), "{path}");
    let answer = set(&server, &path, NEW_PASSWORD);
    assert_eq!(location(&answer), "/auth/login/?notice=password-set");
    // Nobody is signed in by it; old sessions are over, the tokens are not, and others are left alone.
    assert!(!old.is_signed_in());
    assert!(bobs.is_signed_in());
    assert_eq!(token_status(&server), 200);
    let mut browser = browser(&server);
    let page = browser.get("/auth/login/?notice=password-set");
    assert!(
        page.text().contains("Your password is set"),
        "{}",
        page.text()
    );
    assert_eq!(browser.sign_in(ANN, ANN_PASSWORD).status, 400);
    assert_eq!(location(&browser.sign_in(ANN, NEW_PASSWORD)), "/");
    assert_gone(&server, &path);
    // The user is told.
    let notice = post.wait_for(2);
    assert_eq!(notice.to, ANN);
    assert!(notice.text.contains("Your password for Picket was changed"));
    let data = serde_json::json!({ "sessions_ended": 1 });
    let ann = Some(user_id(&server, ANN));
    assert_eq!(audit(&server, "user.password"), [(ann, data)]);
}

#[test]
fn looking_at_a_link_does_not_use_it_up() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = link(&server, &post, ANN, 1);
    for _ in 0..3 {
        assert_eq!(browser(&server).get(&path).status, 200);
        let head = server.client().send("HEAD", &path, None);
        assert_eq!(head.status, 200);
    }
    assert_eq!(set(&server, &path, NEW_PASSWORD).status, 303);
}

#[test]
fn links_expire_and_older_ones_end() {
    let post = Post::start();
    let server = with_mail(&post);
    let first = link(&server, &post, ANN, 1);
    let second = link(&server, &post, ANN, 2);
    assert_ne!(first, second);
    assert_gone(&server, &first);
    server.advance(86_400 - 1);
    assert_eq!(browser(&server).get(&second).status, 200);
    server.advance(1);
    assert_gone(&server, &second);
    // A link of the one kind is none of the other.
    let third = link(&server, &post, ANN, 3);
    assert_gone(&server, &third.replace("recover/confirm", "set-up"));
    for wrong in ["x", &"0".repeat(64), &"A".repeat(64)] {
        assert_gone(&server, &format!("/account/recover/confirm/{wrong}/"));
    }
}

#[test]
fn a_link_that_ends_while_its_page_is_open_sets_nothing() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = link(&server, &post, ANN, 1);
    let mut late = browser(&server);
    let page = late.get(&path);
    assert_eq!(set(&server, &path, NEW_PASSWORD).status, 303);
    let fields = [
        ("password", "another badger entirely"),
        ("again", "another badger entirely"),
    ];
    assert_eq!(late.submit_from(&page, &path, &fields).status, 404);
    assert_eq!(browser(&server).sign_in(ANN, NEW_PASSWORD).status, 303);
}

#[test]
fn a_weak_password_is_refused_and_the_link_stays() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = link(&server, &post, ANN, 1);
    for (password, expected) in [
        ("short", "A password has 8 to 256 characters."),
        ("1928374650", "A password is not made of digits alone."),
        (
            "iloveyou",
            "This password is one of those that everybody tries first.",
        ),
        (
            "ann@example.test1",
            "This password is too much like the email address.",
        ),
    ] {
        let answer = set(&server, &path, password);
        assert_eq!(answer.status, 400, "{password}");
        assert_eq!(problem(&answer), expected);
    }
    let answer = browser(&server).submit(
        &path,
        &path,
        &[("password", NEW_PASSWORD), ("again", "something else")],
    );
    assert_eq!(problem(&answer), "The two passwords are not the same.");
    assert_eq!(set(&server, &path, NEW_PASSWORD).status, 303);
}

#[test]
fn nobody_learns_from_the_form_who_has_an_account() {
    let post = Post::start();
    let server = with_mail(&post);
    server
        .database()
        .execute("UPDATE user SET active = 0 WHERE email = ?1", [BOB])
        .unwrap();
    let pages: Vec<String> = [ANN, "nobody@example.test", BOB]
        .map(|email| without_proof(&ask(&server, email)))
        .into();
    assert!(pages[0].contains("If there is an account with this address"));
    assert!(pages.iter().all(|page| *page == pages[0]));
    // Letters are made in the order in which they were asked for.
    link(&server, &post, ANN, 2);
    assert!(post.letters().iter().all(|letter| letter.to == ANN));
    // No password was hashed for it either.
    assert_eq!(server.password_runs(), 0);
}

#[test]
fn an_account_is_not_flooded_with_links_and_nobody_learns_that() {
    let post = Post::start();
    let server = with_mail(&post);
    for _ in 0..8 {
        ask(&server, ANN);
    }
    link(&server, &post, BOB, 6);
    let to_ann = post
        .letters()
        .iter()
        .filter(|letter| letter.to == ANN)
        .count();
    assert_eq!(to_ann, 5);
    // An address may ask only so often, for whomever.
    for at in 0..11 {
        ask(&server, &format!("{at}@example.test"));
    }
    let answer = browser(&server).submit(RECOVER, RECOVER, &[("email", ANN)]);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("Retry-After"), Some("3600"));
}

#[test]
fn a_server_without_mail_says_so() {
    let server = Server::start(WORLD);
    let mut browser = browser(&server);
    let page = browser.get(RECOVER);
    assert!(
        page.text().contains("This server sends no mail"),
        "{}",
        page.text()
    );
    assert!(
        !page
            .text()
            .contains("<form method=\"post\" action=\"/account/recover/\"")
    );
    // Also to whoever sends a form all the same.
    let login = browser.get("/auth/login/");
    let text = login.text();
    let start = text.find("name=\"csrf\" value=\"").unwrap() + 19;
    let csrf = text[start..start + 64].to_owned();
    let answer = browser.post(RECOVER, &[("csrf", &csrf), ("email", ANN)]);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("This server sends no mail"));
}

#[test]
fn only_hashes_of_links_are_kept() {
    let post = Post::start();
    let mut server = with_mail(&post);
    let path = link(&server, &post, ANN, 1);
    let token = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let invited = invite(&server, "zed@example.test");
    let invited = invited
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let browser = signed_in(&server, ANN, ANN_PASSWORD);
    server.stop();
    let file = std::fs::read(server.file()).unwrap();
    let holds = |text: &str| memchr::memmem::find(&file, text.as_bytes()).is_some();
    assert!(holds("ann@example.test"));
    for secret in [&token, &invited]
        .into_iter()
        .chain(browser.cookies.values())
    {
        assert_eq!(secret.len(), 64);
        assert!(!holds(secret), "{secret}");
    }
    assert!(!holds(ANN_PASSWORD));
}
