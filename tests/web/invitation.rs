//! `/accept/{member}/{token}/`.

use serde_json::json;

use super::browser::{location, problem, without_proof};
use super::*;

fn join(
    server: &Server,
    path: &str,
    name: &str,
    password: &str,
) -> (Browser, crate::support::Answer) {
    let mut browser = browser(server);
    let fields = [("name", name), ("password", password), ("again", password)];
    let answer = browser.submit(path, path, &fields);
    (browser, answer)
}

fn role(server: &Server, email: &str) -> Option<String> {
    let sql = "SELECT role FROM member JOIN user ON user.id = member.user_id WHERE user.email = ?1";
    let database = server.database();
    database.query_row(sql, [email], |row| row.get(0)).ok()
}

#[test]
fn whoever_is_invited_makes_an_account_and_is_in() {
    let server = Server::start(WORLD);
    let path = invite(&server, "zed@example.test");
    let page = browser(&server).get(&path);
    assert_eq!(page.status, 200);
    for text in [
        "Acme &#60;Inc&#62;",
        "Ann invites you",
        "manager",
        "zed@example.test",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    let (mut zed, answer) = join(&server, &path, "Zed", NEW_PASSWORD);
    assert_eq!(location(&answer), "/");
    assert!(zed.get("/").text().contains("Acme"));
    assert_eq!(
        role(&server, "zed@example.test").as_deref(),
        Some("manager")
    );
    let id = user_id(&server, "zed@example.test");
    let data = json!({
        "email": "zed@example.test", "user_id": id, "role": "manager", "teams": [1], "teams_slugs": ["core"],
    });
    assert_eq!(audit(&server, "member.accept-invite"), [(Some(id), data)]);
    let made = audit(&server, "user.create");
    assert_eq!(
        made.last(),
        Some(&(Some(id), json!({"email": "zed@example.test"})))
    );
    // It worked once, and the account is one like any other.
    assert_eq!(browser(&server).get(&path).status, 404);
    assert_eq!(
        location(&browser(&server).sign_in("zed@example.test", NEW_PASSWORD)),
        "/"
    );
}

#[test]
fn whoever_has_an_account_signs_in_and_comes_back() {
    let server = Server::start(WORLD);
    server
        .database()
        .execute(
            "UPDATE user SET password_hash = (SELECT password_hash FROM user WHERE email = ?1)
                  WHERE email = 'eve@example.test'",
            [BOB],
        )
        .unwrap();
    // Invited by another address than that of the account.
    let path = invite(&server, "evelyn@example.test");
    let mut eve = browser(&server);
    let page = eve.get(&path);
    let next = path.replace('/', "%2F");
    assert!(
        page.text().contains(&format!("/auth/login/?next={next}")),
        "{}",
        page.text()
    );
    let fields = [("email", "eve@example.test"), ("password", BOB_PASSWORD)];
    let answer = eve.submit(
        &format!("/auth/login/?next={next}"),
        "/auth/login/",
        &fields,
    );
    assert_eq!(location(&answer), path);
    assert!(eve.get(&path).text().contains("Join as eve@example.test"));
    assert_eq!(location(&eve.submit(&path, &path, &[])), "/");
    assert_eq!(
        role(&server, "eve@example.test").as_deref(),
        Some("manager")
    );
    assert_eq!(eve.get(&path).status, 404);
    let (actor, data) = &audit(&server, "member.accept-invite")[0];
    assert_eq!(*actor, Some(user_id(&server, "eve@example.test")));
    assert_eq!(data["email"], "evelyn@example.test");
}

#[test]
fn a_member_cannot_join_again() {
    let server = Server::start(WORLD);
    let path = invite(&server, "zed@example.test");
    let mut bob = signed_in(&server, BOB, BOB_PASSWORD);
    let answer = bob.submit(&path, &path, &[]);
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (400, "You are a member of this organization already.")
    );
    assert_eq!(role(&server, BOB).as_deref(), Some("member"));
    // The invitation is still there for whom it is for.
    assert_eq!(join(&server, &path, "", NEW_PASSWORD).1.status, 303);
}

#[test]
fn a_link_that_holds_no_longer_gets_the_same_plain_page_whatever_the_reason() {
    let server = Server::start(WORLD);
    let used = invite(&server, "zed@example.test");
    assert_eq!(join(&server, &used, "", NEW_PASSWORD).1.status, 303);
    let expired = invite(&server, "yan@example.test");
    let other = format!("/accept/999/{}/", &"0".repeat(64));
    let wrong = format!("{}x/", expired.trim_end_matches('/'));
    let (start, token) = expired.trim_end_matches('/').rsplit_once('/').unwrap();
    let of_another = format!("{}/{token}/", start.replace(char::is_numeric, "1"));
    server.advance(30 * 86_400);
    let pages: Vec<String> = [&used, &expired, &other, &wrong, &of_another]
        .map(|path| {
            let answer = browser(&server).get(path);
            assert_eq!(answer.status, 404, "{path}");
            answer.text().to_owned()
        })
        .into();
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
}

#[test]
fn the_page_does_not_tell_whether_there_is_an_account() {
    let server = Server::start(WORLD);
    let (known, unknown) = (
        invite(&server, "eve@example.test"),
        invite(&server, "foo@example.test"),
    );
    let page = |path: &str, name: &str| {
        let text = without_proof(&browser(&server).get(path));
        text.replace(path, "PATH")
            .replace(name, "NAME")
            .replace(&path.replace('/', "%2F"), "NEXT")
    };
    assert_eq!(
        page(&known, "eve@example.test"),
        page(&unknown, "foo@example.test")
    );
    // Taking the address of an account is refused, at the cost of one Argon2 and counted as a guess.
    let runs = server.password_runs();
    let (_, answer) = join(&server, &known, "", NEW_PASSWORD);
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (
            400,
            "This address cannot be used: there is an account with it already."
        )
    );
    assert_eq!(server.password_runs(), runs + 1);
    assert_eq!(role(&server, "eve@example.test"), None);
}

#[test]
fn guessing_links_is_slowed_down_and_a_link_that_holds_still_works() {
    let server = Server::start(WORLD);
    let path = invite(&server, "zed@example.test");
    for at in 0..31 {
        let guess = format!("/accept/3/{at:064}/");
        let expected = if at < 30 { 404 } else { 429 };
        assert_eq!(browser(&server).get(&guess).status, expected, "{at}");
    }
    assert_eq!(join(&server, &path, "", NEW_PASSWORD).1.status, 303);
}
