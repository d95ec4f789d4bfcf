//! How mail is sent, and when it cannot be.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::browser::location;
use super::*;

const RECOVER: &str = "/account/recover/";

fn ask(server: &Server, email: &str) {
    let answer = browser(server).submit(RECOVER, RECOVER, &[("email", email)]);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_letter_says_whom_it_comes_from_and_that_a_program_wrote_it() {
    let post = Post::start();
    let server = with_mail(&post);
    ask(&server, ANN);
    let letter = post.wait_for(1);
    assert_eq!(
        (letter.from.as_str(), letter.to.as_str()),
        ("picket@example.test", ANN)
    );
    let head = letter.text.split("\n\n").next().unwrap();
    for line in [
        "From: Picket <picket@example.test>",
        "To: ann@example.test",
        "Subject: Set a new password for Picket",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert!(post.credentials.lock().unwrap().is_empty());
}

#[test]
fn a_server_that_wants_to_know_who_sends_is_told() {
    let post = Post::start();
    let server = Server::start_with(WORLD, |settings| {
        settings.mail = Some(post.settings_with("picket", "hush hush"));
    });
    ask(&server, ANN);
    post.wait_for(1);
    use base64::Engine;
    let expected = base64::engine::general_purpose::STANDARD.encode("\0picket\0hush hush");
    assert_eq!(*post.credentials.lock().unwrap(), [expected]);
}

#[test]
fn a_letter_that_is_refused_for_now_is_sent_again() {
    let post = Post::start();
    let server = with_mail(&post);
    post.refuse_for_now(1);
    ask(&server, ANN);
    assert_eq!(post.wait_for(1).to, ANN);
    assert_eq!(post.tries.load(Ordering::SeqCst), 2);
}

#[test]
fn a_letter_that_is_refused_for_good_is_not() {
    let post = Post::start();
    let server = with_mail(&post);
    post.refuse(1);
    ask(&server, ANN);
    ask(&server, BOB);
    assert_eq!(post.wait_for(1).to, BOB);
    // Longer than the first pause.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(post.tries.load(Ordering::SeqCst), 2);
}

#[test]
fn nobody_waits_for_a_server_that_does_not_answer() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", silent.local_addr().unwrap());
    let mut server = Server::start_with(WORLD, |settings| {
        settings.mail = Some(picket::MailSettings::new(&url, None, "a@b.test").unwrap());
    });
    let start = Instant::now();
    for _ in 0..3 {
        ask(&server, ANN);
    }
    server.stop();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_invitation_is_mailed_unless_that_is_not_wanted() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = invite(&server, "zed@example.test");
    let letter = post.wait_for(1);
    assert_eq!(letter.to, "zed@example.test");
    assert!(
        letter
            .text
            .contains("Ann invites you to join Acme <Inc> at"),
        "{}",
        letter.text
    );
    let start = format!("{}/accept/", server.url_prefix());
    assert_eq!(path_of(&server, letter.line(&start)), path);

    let members = "/api/0/organizations/acme/members/";
    let quiet = serde_json::json!({"email": "yan@example.test", "sendInvite": false});
    assert_eq!(server.owner().post_json(members, &quiet).status, 201);
    // Another link for the same invitation is mailed too; the old one is over.
    let id = path.split('/').nth(2).unwrap();
    let again = serde_json::json!({"reinvite": true});
    let answer = server.owner().put_json(&format!("{members}{id}/"), &again);
    assert_eq!(answer.status, 200, "{answer:?}");
    let second = post.wait_for(2);
    assert_eq!(second.to, "zed@example.test");
    let second = path_of(&server, second.line(&start));
    assert_ne!(second, path);
    assert_eq!(browser(&server).get(&path).status, 404);
    assert_eq!(browser(&server).get(&second).status, 200);
}

#[test]
fn nobody_is_flooded_with_invitations() {
    let post = Post::start();
    let server = with_mail(&post);
    let path = invite(&server, "zed@example.test");
    let id = path.split('/').nth(2).unwrap();
    let again = serde_json::json!({"reinvite": true});
    for _ in 0..7 {
        let target = format!("/api/0/organizations/acme/members/{id}/");
        let answer = server.owner().put_json(&target, &again);
        // The link is still there for whoever invites to hand on.
        assert!(answer.json()["invite_link"].is_string(), "{answer:?}");
    }
    ask(&server, BOB);
    post.wait_for(6);
    server.advance(3600);
    invite(&server, "yan@example.test");
    post.wait_for(7);
}

#[test]
fn a_link_by_mail_leads_to_the_address_that_people_use() {
    let post = Post::start();
    let server = Server::start_with(WORLD, |settings| {
        settings.mail = Some(post.settings());
        settings.url_prefix =
            Some(picket::UrlPrefix::parse("https://errors.example.test").unwrap());
    });
    ask(&server, ANN);
    let letter = post.wait_for(1);
    let link = letter
        .line("https://errors.example.test/account/")
        .to_owned();
    let path = link.strip_prefix("https://errors.example.test").unwrap();
    let fields = [("password", NEW_PASSWORD), ("again", NEW_PASSWORD)];
    let answer = browser(&server).submit(path, path, &fields);
    assert_eq!(location(&answer), "/auth/login/?notice=password-set");
}
