//! The pages of tokens: a user's and an organization's.

use super::browser_tokens::{Browser, Page};
use crate::support::{Server, WORLD};

const OWN: &str = "/settings/account/api/auth-tokens/";
const ACME: &str = "/settings/acme/auth-tokens/";

/// Beside [`WORLD`], `bob` is a member of `acme` in team `core`, and `eve` is in no organization.
fn world() -> Server {
    Server::start(&format!(
        "{WORLD}\n[[user]]\nemail = \"bob@example.test\"\nroles = {{ acme = \"member\" }}\n\
         [[user]]\nemail = \"eve@example.test\"\n"
    ))
}

fn ann(server: &Server) -> Browser<'_> {
    Browser::signed_in(server, "ann@example.test")
}

/// Fills in the form for a new token; the page that follows.
fn create(browser: &mut Browser<'_>, base: &str, fields: &[(&str, &str)]) -> Page {
    let path = format!("{base}new-token/");
    let form = browser.get(&path);
    form.expect(200, &["<h1>New token</h1>"]);
    browser.submit(&form, &path, fields)
}

fn shown(page: &Page) -> String {
    page.expect(200, &["Copy it now."]);
    page.between("<code id=\"token\">", "</code>").to_owned()
}

/// The number of the token whose name links to it in a list.
fn id(list: &Page, name: &str) -> String {
    let before = list
        .html
        .split(&format!("/\">{name}</a>"))
        .next()
        .unwrap_or_default();
    before.rsplit('/').next().unwrap_or_default().to_owned()
}

fn status(server: &Server, token: &str) -> u16 {
    server.with_token(token).get("/api/0/").status
}

#[test]
fn a_user_makes_uses_renames_rotates_and_revokes_a_token() {
    let server = world();
    let mut browser = ann(&server);
    browser.get("/settings/account/").expect(200, &[OWN]);
    let made = create(
        &mut browser,
        OWN,
        &[
            ("name", "<ci> & \"co\""),
            ("scope", "project:write"),
            ("scope", "org:read"),
            ("expires", "2026-01-10"),
            ("projects", "acme/web"),
        ],
    );
    let token = shown(&made);
    made.expect(
        200,
        &[
            "org:read project:read project:write",
            "acme/web",
            "2026-01-10 00:00 UTC",
        ],
    );
    assert!(token.starts_with("sntryu_"));
    // Names are text.
    assert!(!made.html.contains("<ci>") && made.html.contains("&#60;ci&#62; &#38; &#34;co&#34;"));
    let web = "/api/0/projects/acme/web/";
    assert_eq!(server.with_token(&token).get(web).status, 200);

    let list = browser.get(OWN);
    list.expect(
        200,
        &[
            "2026-01-02 00:00 UTC",
            "127.0.0.1",
            "expires soon",
            "laptop",
            ACME,
        ],
    );
    assert!(!list.html.contains(&token));
    let id = id(&list, "&#60;ci&#62; &#38; &#34;co&#34;");
    let own = format!("{OWN}{id}/");
    let page = browser.get(&own);
    page.expect(
        200,
        &["<rect ", "<td>2026-01-02</td><td>1</td>", &token[67..]],
    );
    assert!(!page.html.contains(&token));
    let page = browser.submit(&page, &own, &[("name", "cd")]);
    assert_eq!(page.path, own);
    page.expect(200, &["<h1>cd</h1>"]);
    let long = "x".repeat(256);
    let refused = browser.submit(&page, &own, &[("name", &long)]);
    refused.expect(400, &["role=\"alert\"", "at most 255 characters"]);

    let rotation = format!("{own}rotate/");
    let form = browser.get(&rotation);
    let next = shown(&browser.submit(&form, &rotation, &[("old", "hour")]));
    assert_eq!(
        (status(&server, &token), status(&server, &next)),
        (200, 200)
    );
    server.advance(3600);
    assert_eq!(
        (status(&server, &token), status(&server, &next)),
        (401, 200)
    );
    let mut browser = ann(&server);
    let list = browser.get(OWN);
    list.expect(200, &["expired"]);
    let newest = list.html.rsplit("/\">cd</a>").nth(1).expect("a row");
    let next_id = newest.rsplit('/').next().expect("a number");
    let revoke = format!("{OWN}{next_id}/revoke/");
    assert_eq!(browser.submit(&list, &revoke, &[]).path, OWN);
    assert_eq!(status(&server, &next), 401);

    let list = browser.get(OWN);
    let all = format!("{OWN}revoke-all/");
    browser
        .submit(&list, &all, &[])
        .expect(200, &["There are no tokens yet."]);
    assert_eq!(status(&server, crate::support::OWNER_TOKEN), 401);
}

#[test]
fn what_is_wrong_is_told_and_what_was_typed_stays() {
    let server = world();
    let mut browser = ann(&server);
    let page = create(
        &mut browser,
        OWN,
        &[
            ("name", "my ci"),
            ("expires", "2026-01-01"),
            ("projects", "acme/web acme/none 99"),
        ],
    );
    page.expect(
        400,
        &[
            "role=\"alert\"",
            "Scopes: tick at least one.",
            "Expires: give a day that lies ahead",
            "Projects: there is no project acme/none that you see.",
            "Projects: there is no project 99 that you see.",
            "value=\"my ci\"",
            "value=\"2026-01-01\"",
            "value=\"acme/web acme/none 99\"",
        ],
    );
    let page = create(
        &mut browser,
        OWN,
        &[("scope", "org:read"), ("scope", "all")],
    );
    page.expect(
        400,
        &["there is no scope all", "value=\"org:read\" checked"],
    );
    let page = create(&mut browser, ACME, &[("name", " "), ("scope", "org:ci")]);
    page.expect(400, &["Name: it cannot be blank."]);
    browser.get(&format!("{OWN}999999/")).expect(404, &[]);
    browser.get(&format!("{OWN}x/rotate/")).expect(404, &[]);
}

#[test]
fn an_organizations_tokens_are_for_its_members_as_in_the_api() {
    let server = world();
    let mut owner = ann(&server);
    owner
        .get(ACME)
        .expect(200, &["Tokens of Acme", "There are no tokens yet."]);
    let robot = shown(&create(
        &mut owner,
        ACME,
        &[
            ("name", "robot"),
            ("scope", "project:admin"),
            ("projects", "web"),
        ],
    ));
    assert!(robot.starts_with("sntrys_") && robot.split('_').count() == 3);
    assert_eq!(
        server
            .with_token(&robot)
            .get("/api/0/projects/acme/web/")
            .status,
        200
    );

    let mut member = Browser::signed_in(&server, "bob@example.test");
    let form = member.get(&format!("{ACME}new-token/"));
    form.expect(200, &["value=\"org:ci\" checked"]);
    assert!(!form.html.contains("value=\"org:read\""));
    let made = create(&mut member, ACME, &[("name", "ci"), ("scope", "org:ci")]);
    let ci = shown(&made);
    let refused = create(
        &mut member,
        ACME,
        &[("name", "more"), ("scope", "org:write")],
    );
    refused.expect(400, &["you do not have org:read org:write yourself"]);
    let list = member.get(ACME);
    assert!(!list.html.contains("revoke/") && !list.html.contains("rotate/"));
    let path = format!("{ACME}{}/", id(&list, "ci"));
    member.get(&format!("{path}rotate/")).expect(403, &[]);
    let page = member.get(&path);
    assert!(!page.html.contains("Revoke"));
    let csrf = page.between("name=\"csrf\" value=\"", "\"").to_owned();
    let forged = [("csrf".to_owned(), csrf)];
    for action in ["revoke/", "rotate/"] {
        member
            .post(&format!("{path}{action}"), &forged)
            .expect(403, &[]);
    }
    assert_eq!(status(&server, &ci), 200);

    let list = owner.get(ACME);
    owner
        .submit(&list, &format!("{path}revoke/"), &[])
        .expect(200, &["robot"]);
    assert_eq!(status(&server, &ci), 401);

    let mut stranger = Browser::signed_in(&server, "eve@example.test");
    for target in [ACME.to_owned(), format!("{ACME}new-token/"), path] {
        stranger.get(&target).expect(403, &[]);
    }
    stranger
        .get("/settings/nowhere/auth-tokens/")
        .expect(404, &[]);
    assert!(!stranger.get(OWN).html.contains(ACME));
}

#[test]
fn a_token_is_made_only_by_somebody_who_gave_the_password_lately() {
    let server = world();
    let anonymous = Browser::new(&server);
    for mut browser in [anonymous] {
        for base in [OWN, ACME] {
            let page = browser.get(base);
            assert!(page.path.starts_with("/auth/login/?next="), "{}", page.path);
        }
    }
    let mut browser = ann(&server);
    let form = browser.get(&format!("{OWN}new-token/"));
    form.expect(200, &[]);
    server.advance(15 * 60);
    for target in [format!("{OWN}new-token/"), format!("{ACME}new-token/")] {
        let next = target.replace('/', "%2F").replace('-', "%2D");
        assert_eq!(
            browser.get(&target).path,
            format!("/auth/verify/?next={next}")
        );
    }
    let late = browser.submit(&form, &format!("{OWN}new-token/"), &[("scope", "org:read")]);
    assert!(late.path.starts_with("/auth/verify/"), "{}", late.path);
    // What ends a token waits for nothing.
    let list = browser.get(OWN);
    let revoke = format!("{OWN}{}/revoke/", id(&list, "laptop"));
    browser
        .submit(&list, &revoke, &[])
        .expect(200, &["There are no tokens yet."]);
}

#[test]
fn every_form_is_ours_or_refused() {
    let server = world();
    let mut browser = ann(&server);
    create(&mut browser, ACME, &[("name", "ci"), ("scope", "org:ci")]);
    let own = format!("{OWN}{}/", id(&browser.get(OWN), "laptop"));
    let acme = format!("{ACME}{}/", id(&browser.get(ACME), "ci"));
    for target in [
        format!("{OWN}new-token/"),
        format!("{OWN}revoke-all/"),
        own.clone(),
        format!("{own}rotate/"),
        format!("{own}revoke/"),
        format!("{ACME}new-token/"),
        acme.clone(),
        format!("{acme}rotate/"),
        format!("{acme}revoke/"),
    ] {
        for csrf in ["", &"0".repeat(64)] {
            let fields = [
                ("csrf".to_owned(), csrf.to_owned()),
                ("name".to_owned(), "x".to_owned()),
            ];
            browser
                .post(&target, &fields)
                .expect(403, &["does not come from this server"]);
        }
    }
    assert_eq!(status(&server, crate::support::OWNER_TOKEN), 200);
}
