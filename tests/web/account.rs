//! `/settings/account/` and what is below it.

use serde_json::json;

use super::browser::{location, problem};
use super::*;

const ACCOUNT: &str = "/settings/account/";
const EMAILS: &str = "/settings/account/emails/";
const PASSWORD: &str = "/settings/account/security/password/";
const SESSIONS: &str = "/settings/account/security/session-history/";

#[test]
fn the_name_is_changed_and_shown_as_text() {
    let server = Server::start(WORLD);
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    let name = "Ann <script>alert(1)</script> \"O'Hara\"";
    let answer = ann.submit(ACCOUNT, ACCOUNT, &[("name", name)]);
    assert_eq!(location(&answer), "/settings/account/?saved=yes");
    let page = ann.get("/settings/account/?saved=yes");
    assert!(page.text().contains("Saved."));
    assert!(!page.text().contains("<script"), "{}", page.text());
    let stored: String = server
        .database()
        .query_row("SELECT name FROM user WHERE email = ?1", [ANN], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(stored, name);
    let id = Some(user_id(&server, ANN));
    assert_eq!(audit(&server, "user.edit"), [(id, json!({ "name": name }))]);
    let long = "n".repeat(201);
    for (wrong, expected) in [
        (long.as_str(), "A name has no more than 200 characters."),
        ("a\nb", "A name is a single line."),
    ] {
        let answer = ann.submit(ACCOUNT, ACCOUNT, &[("name", wrong)]);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, expected));
    }
}

#[test]
fn another_address_takes_the_password_and_ends_links_to_the_old_one() {
    let post = Post::start();
    let server = with_mail(&post);
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    let recover = "/account/recover/";
    browser(&server).submit(recover, recover, &[("email", ANN)]);
    let letter = post.wait_for(1);
    let start = format!("{}/account/", server.url_prefix());
    let link = path_of(&server, letter.line(&start));
    let change = |browser: &mut Browser, email: &str, password: &str| {
        let fields = [("email", email), ("password", password)];
        browser.submit(ACCOUNT, EMAILS, &fields)
    };
    for (email, password, expected) in [
        ("ann@new.test", BOB_PASSWORD, "The password is not right."),
        ("ann", ANN_PASSWORD, "This is no email address."),
        (
            BOB,
            ANN_PASSWORD,
            "This address cannot be used: there is an account with it already.",
        ),
    ] {
        let answer = change(&mut ann, email, password);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, expected));
    }
    assert_eq!(browser(&server).get(&link).status, 200);
    let answer = change(&mut ann, "ann@new.test", ANN_PASSWORD);
    assert_eq!(location(&answer), "/settings/account/?saved=yes");
    assert!(ann.is_signed_in());
    assert_eq!(browser(&server).get(&link).status, 404);
    assert_eq!(browser(&server).sign_in(ANN, ANN_PASSWORD).status, 400);
    assert_eq!(
        browser(&server)
            .sign_in("ann@new.test", ANN_PASSWORD)
            .status,
        303
    );
    let notice = post.wait_for(2);
    assert_eq!(notice.to, ANN);
    assert!(!notice.text.contains("ann@new.test"), "{}", notice.text);
    let data = json!({ "email": "ann@new.test", "old_email": ANN });
    let id = Some(user_id(&server, "ann@new.test"));
    assert_eq!(audit(&server, "user.edit"), [(id, data)]);
}

#[test]
fn a_new_password_ends_every_other_session_and_changes_the_cookie_of_this_one() {
    let post = Post::start();
    let server = with_mail(&post);
    let mut ann = signed_in(&server, ANN, ANN_PASSWORD);
    let mut thief = ann.clone();
    let mut other = signed_in(&server, ANN, ANN_PASSWORD);
    let change = |browser: &mut Browser, current: &str, new: &str| {
        let fields = [("current", current), ("password", new), ("again", new)];
        browser.submit(PASSWORD, PASSWORD, &fields)
    };
    for (current, new, expected) in [
        (BOB_PASSWORD, NEW_PASSWORD, "The password is not right."),
        (ANN_PASSWORD, "short", "A password has 8 to 256 characters."),
    ] {
        let answer = change(&mut ann, current, new);
        assert_eq!((answer.status, problem(&answer).as_str()), (400, expected));
    }
    let answer = change(&mut ann, ANN_PASSWORD, NEW_PASSWORD);
    assert_eq!(
        location(&answer),
        "/settings/account/security/password/?changed=yes"
    );
    assert!(ann.is_signed_in());
    assert!(!thief.is_signed_in() && !other.is_signed_in());
    assert_eq!(token_status(&server), 200);
    assert!(post.wait_for(1).text.contains("was changed"));
    assert_eq!(browser(&server).sign_in(ANN, ANN_PASSWORD).status, 400);
    assert_eq!(browser(&server).sign_in(ANN, NEW_PASSWORD).status, 303);
    let data = json!({ "sessions_ended": 1 });
    let id = Some(user_id(&server, ANN));
    assert_eq!(audit(&server, "user.password"), [(id, data)]);
}

#[test]
fn sessions_are_listed_and_ended() {
    let server = Server::start(WORLD);
    let mut ann = browser(&server).with_header("User-Agent", "Fire<fox>");
    ann.sign_in(ANN, ANN_PASSWORD);
    let mut second = signed_in(&server, ANN, ANN_PASSWORD);
    let mut third = signed_in(&server, ANN, ANN_PASSWORD);
    let mut bob = signed_in(&server, BOB, BOB_PASSWORD);
    let page = ann.get(SESSIONS);
    assert_eq!(
        page.text().matches("127.0.0.1</td>").count(),
        3,
        "{}",
        page.text()
    );
    assert!(page.text().contains("Fire&#60;fox&#62;"));
    assert!(page.text().contains("2026-01-02 00:00 UTC"));
    let id = |user: &str, offset: i64| -> String {
        let sql = "SELECT session.id FROM session JOIN user ON user.id = user_id
                   WHERE email = ?1 ORDER BY session.id LIMIT 1 OFFSET ?2";
        let database = server.database();
        let id: i64 = database
            .query_row(sql, rusqlite::params![user, offset], |row| row.get(0))
            .unwrap();
        id.to_string()
    };
    let answer = ann.submit(SESSIONS, SESSIONS, &[("session", &id(ANN, 1))]);
    assert_eq!(location(&answer), SESSIONS);
    assert!(!second.is_signed_in() && third.is_signed_in());
    // Nobody ends what is somebody else's.
    assert_eq!(
        ann.submit(SESSIONS, SESSIONS, &[("session", &id(BOB, 0))])
            .status,
        303
    );
    assert!(bob.is_signed_in());
    assert_eq!(
        ann.submit(SESSIONS, SESSIONS, &[("session", "x")]).status,
        400
    );
    ann.submit(SESSIONS, SESSIONS, &[("session", "others")]);
    assert!(ann.is_signed_in() && !third.is_signed_in() && bob.is_signed_in());
    let ended: Vec<Value> = audit(&server, "user.sessions-end")
        .into_iter()
        .map(|e| e.1)
        .collect();
    assert_eq!(
        ended,
        [json!({"sessions_ended": 1}), json!({"sessions_ended": 1})]
    );
}
