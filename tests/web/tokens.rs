//! The pages of tokens: a user's and an organization's.

use super::browser::{Browser, assert_page, between, hidden, location};
use crate::support::{Answer, Server, WORLD};

const OWN: &str = "/settings/account/api/auth-tokens/";
const ACME: &str = "/settings/acme/auth-tokens/";

/// Beside [`WORLD`], `bob` is a member of `acme` in team `core`, and `eve` is in no organization.
fn world() -> Server {
    Server::start(&format!(
        "{WORLD}\n[[user]]\nemail = \"bob@example.test\"\nroles = {{ acme = \"member\" }}\n\
         [[user]]\nemail = \"eve@example.test\"\n"
    ))
}

fn ann(server: &Server) -> Browser {
    Browser::of(server, "ann@example.test")
}

/// Fills in the form for a new token; the page that follows.
fn create(browser: &mut Browser, base: &str, fields: &[(&str, &str)]) -> Answer {
    let path = format!("{base}new-token/");
    let form = browser.get(&path);
    assert_page(&form, 200, &["<h1>New token</h1>"]);
    browser.submit(&form, &path, fields)
}

fn shown(page: &Answer) -> String {
    assert_page(page, 200, &["Copy it now."]);
    between(page, "<code id=\"token\">", "</code>").to_owned()
}

/// The number of the token whose name links to it in a list.
fn id(list: &Answer, name: &str) -> String {
    let before = list
        .text()
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
    assert_page(&browser.get("/settings/account/"), 200, &[OWN]);
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
    assert_page(
        &made,
        200,
        &[
            "org:read project:read project:write",
            "acme/web",
            "2026-01-10 00:00 UTC",
        ],
    );
    assert!(token.starts_with("sntryu_"));
    // Names are text.
    assert!(
        !made.text().contains("<ci>") && made.text().contains("&#60;ci&#62; &#38; &#34;co&#34;")
    );
    let web = "/api/0/projects/acme/web/";
    assert_eq!(server.with_token(&token).get(web).status, 200);

    let list = browser.get(OWN);
    assert_page(
        &list,
        200,
        &[
            "2026-01-02 00:00 UTC",
            "127.0.0.1",
            "expires soon",
            "laptop",
            ACME,
        ],
    );
    assert!(!list.text().contains(&token));
    let id = id(&list, "&#60;ci&#62; &#38; &#34;co&#34;");
    let own = format!("{OWN}{id}/");
    let page = browser.get(&own);
    assert_page(
        &page,
        200,
        &["<rect ", "<td>2026-01-02</td><td>1</td>", &token[67..]],
    );
    assert!(!page.text().contains(&token));
    let answer = browser.submit(&page, &own, &[("name", "cd")]);
    assert_eq!(location(&answer), own);
    let page = browser.follow(&answer);
    assert_page(&page, 200, &["<h1>cd</h1>"]);
    let long = "x".repeat(256);
    let refused = browser.submit(&page, &own, &[("name", &long)]);
    assert_page(&refused, 400, &["role=\"alert\"", "at most 255 characters"]);

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
    assert_page(&list, 200, &["expired"]);
    let newest = list.text().rsplit("/\">cd</a>").nth(1).expect("a row");
    let next_id = newest.rsplit('/').next().expect("a number");
    let revoke = format!("{OWN}{next_id}/revoke/");
    assert_eq!(location(&browser.submit(&list, &revoke, &[])), OWN);
    assert_eq!(status(&server, &next), 401);

    let list = browser.get(OWN);
    let all = format!("{OWN}revoke-all/");
    let answer = browser.submit(&list, &all, &[]);
    assert_page(&browser.follow(&answer), 200, &["There are no tokens yet."]);
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
    assert_page(
        &page,
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
    assert_page(
        &page,
        400,
        &["there is no scope all", "value=\"org:read\" checked"],
    );
    let page = create(&mut browser, ACME, &[("name", " "), ("scope", "org:ci")]);
    assert_page(&page, 400, &["Name: it cannot be blank."]);
    assert_page(&browser.get(&format!("{OWN}999999/")), 404, &[]);
    assert_page(&browser.get(&format!("{OWN}x/rotate/")), 404, &[]);
}

#[test]
fn an_organizations_tokens_are_for_its_members_as_in_the_api() {
    let server = world();
    let mut owner = ann(&server);
    assert_page(
        &owner.get(ACME),
        200,
        &["Tokens of Acme", "There are no tokens yet."],
    );
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

    let mut member = Browser::of(&server, "bob@example.test");
    let form = member.get(&format!("{ACME}new-token/"));
    assert_page(&form, 200, &["value=\"org:ci\" checked"]);
    assert!(!form.text().contains("value=\"org:read\""));
    let made = create(&mut member, ACME, &[("name", "ci"), ("scope", "org:ci")]);
    let ci = shown(&made);
    let refused = create(
        &mut member,
        ACME,
        &[("name", "more"), ("scope", "org:write")],
    );
    assert_page(
        &refused,
        400,
        &["you do not have org:read org:write yourself"],
    );
    let list = member.get(ACME);
    assert!(!list.text().contains("revoke/") && !list.text().contains("rotate/"));
    let path = format!("{ACME}{}/", id(&list, "ci"));
    assert_page(&member.get(&format!("{path}rotate/")), 403, &[]);
    let page = member.get(&path);
    assert!(!page.text().contains("Revoke"));
    let csrf = hidden(&page, "csrf");
    let forged = [("csrf", csrf.as_str())];
    for action in ["revoke/", "rotate/"] {
        assert_page(&member.post(&format!("{path}{action}"), &forged), 403, &[]);
    }
    assert_eq!(status(&server, &ci), 200);

    let list = owner.get(ACME);
    let answer = owner.submit(&list, &format!("{path}revoke/"), &[]);
    assert_page(&owner.follow(&answer), 200, &["robot"]);
    assert_eq!(status(&server, &ci), 401);

    let mut stranger = Browser::of(&server, "eve@example.test");
    for target in [ACME.to_owned(), format!("{ACME}new-token/"), path] {
        assert_page(&stranger.get(&target), 403, &[]);
    }
    assert_page(&stranger.get("/settings/nowhere/auth-tokens/"), 404, &[]);
    assert!(!stranger.get(OWN).text().contains(ACME));
}

#[test]
fn a_token_is_made_only_by_somebody_who_gave_the_password_lately() {
    let server = world();
    let mut anonymous = Browser::new(server.client());
    for base in [OWN, ACME] {
        let answer = anonymous.get(base);
        assert!(location(&answer).starts_with("/auth/login/?next="));
    }
    let mut browser = ann(&server);
    let form = browser.get(&format!("{OWN}new-token/"));
    assert_page(&form, 200, &[]);
    server.advance(15 * 60);
    for target in [format!("{OWN}new-token/"), format!("{ACME}new-token/")] {
        let next = target.replace('/', "%2F").replace('-', "%2D");
        assert_eq!(
            location(&browser.get(&target)),
            format!("/auth/verify/?next={next}")
        );
    }
    let late = browser.submit(&form, &format!("{OWN}new-token/"), &[("scope", "org:read")]);
    assert_eq!(location(&late), "/auth/verify/");
    // What ends a token waits for nothing.
    let list = browser.get(OWN);
    let revoke = format!("{OWN}{}/revoke/", id(&list, "laptop"));
    let answer = browser.submit(&list, &revoke, &[]);
    assert_page(&browser.follow(&answer), 200, &["There are no tokens yet."]);
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
            let fields = [("csrf", csrf), ("name", "x")];
            assert_page(
                &browser.post(&target, &fields),
                403,
                &["does not come from this server"],
            );
        }
    }
    assert_eq!(status(&server, crate::support::OWNER_TOKEN), 200);
}

/// What bars the way of a session over the API bars it here.
#[test]
fn an_organizations_tokens_wait_for_what_it_demands_of_its_members() {
    let server = world();
    let change = |sql: &str| server.database().execute_batch(sql).expect("a change");
    let mut owner = ann(&server);
    create(&mut owner, ACME, &[("name", "ci"), ("scope", "org:ci")]);
    let list = owner.get(ACME);
    let token = format!("{ACME}{}/", id(&list, "ci"));
    let new = format!("{ACME}new-token/");
    let form = owner.get(&new);
    let count = || -> i64 {
        let sql = "SELECT count(*) FROM auth_token WHERE revoked_us IS NULL";
        let database = server.database();
        database
            .query_row(sql, [], |row| row.get(0))
            .expect("a count")
    };
    let before = count();
    for (bar, lift, first) in [
        (
            "UPDATE organization SET require_2fa = 1",
            "UPDATE organization SET require_2fa = 0",
            "/settings/account/security/",
        ),
        (
            "INSERT INTO identity_provider (organization_id, kind, required, config, created_us)
             VALUES (1, 'oidc', 1, '{}', 0)",
            "DELETE FROM identity_provider",
            "/auth/login/acme/",
        ),
    ] {
        change(bar);
        for target in [ACME, &new, &token] {
            let answer = owner.get(target);
            assert!(location(&answer).starts_with(first), "{answer:?}");
        }
        let fields = [("name", "more"), ("scope", "org:ci")];
        assert_eq!(location(&owner.submit(&form, &new, &fields)), first);
        let revoke = format!("{token}revoke/");
        assert_eq!(location(&owner.submit(&list, &revoke, &[])), first);
        // Who is no member is told what strangers are told, and one's own tokens are one's own.
        let mut stranger = Browser::of(&server, "eve@example.test");
        assert_page(&stranger.get(ACME), 403, &[]);
        assert_page(&owner.get(OWN), 200, &["laptop"]);
        change(lift);
    }
    assert_eq!(count(), before);
    assert_page(&owner.get(ACME), 200, &["ci"]);
}
