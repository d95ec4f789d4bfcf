//! `/accept-transfer/`.

use serde_json::json;

use super::browser_transfer::Browser;
use crate::support::client::Answer;
use crate::support::{Server, WORLD};

const EVE: &str = r#"
[[organization]]
slug = "beta"
name = "Beta <b>"

  [[organization.team]]
  slug = "team-b"

[[user]]
email = "eve@example.test"
password = "correct horse battery staple"
roles = { beta = "manager" }

[[user]]
email = "zoe@example.test"
password = "correct horse battery staple"
"#;

const ACCEPT: &str = "/accept-transfer/";

fn world() -> Server {
    Server::start(&format!("{WORLD}{EVE}"))
}

/// The path of a link that offers `web` to eve.
fn offer(server: &Server) -> String {
    let body = json!({"email": "eve@example.test"});
    let answer = server
        .owner()
        .post_json("/api/0/projects/acme/web/transfer/", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let link = answer.json()["transferLink"]
        .as_str()
        .expect("a link")
        .to_owned();
    link.strip_prefix(&server.url_prefix())
        .expect("ours")
        .to_owned()
}

#[track_caller]
fn signed_in(server: &Server, name: &str) -> Browser {
    let browser = Browser::new(server.client());
    let page = browser.get("/auth/login/");
    let fields = [
        ("email", &*format!("{name}@example.test")),
        ("password", "correct horse battery staple"),
    ];
    let answer = browser.submit(&page, "/auth/login/", &fields);
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let problem = format!("<p class=\"problem\" role=\"alert\">{text}</p>");
    assert!(answer.text().contains(&problem), "{}", answer.text());
}

#[test]
fn whoever_it_is_offered_to_chooses_organization_and_team() {
    let server = world();
    let link = offer(&server);
    // Not signed in: there first, and back.
    let stranger = Browser::new(server.client());
    let sent_away = stranger.get(&link);
    assert_eq!(sent_away.status, 303);
    let location = sent_away.header("Location").expect("a place");
    assert!(
        location.starts_with("/auth/login/?next=%2Faccept%2Dtransfer%2F%3Fdata%3D"),
        "{location}"
    );

    let eve = signed_in(&server, "eve");
    let page = eve.get(&link);
    assert_eq!(page.status, 200);
    let text = page.text();
    for part in [
        "<title>Take over a project · Picket</title>",
        "<label for=\"to\">Organization and team</label>",
        "<optgroup label=\"Beta &#60;b&#62;\">",
        "<option value=\"2/2\">beta: team team-b</option>",
        "<option value=\"2\">beta: no team</option>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !text.contains("<script") && !text.contains("style="),
        "{text}"
    );
    assert_problem(
        &eve.submit(&page, ACCEPT, &[("to", "")]),
        400,
        "There is no such organization, or you may not take projects into it.",
    );
    assert_problem(
        &eve.submit(&page, ACCEPT, &[("to", "2/1")]),
        400,
        "There is no such team in that organization.",
    );
    let done = eve.submit(&page, ACCEPT, &[("to", "2/2")]);
    assert_eq!(done.status, 200);
    assert!(
        done.text().contains("<code>beta/web</code>"),
        "{}",
        done.text()
    );
    let (organization, team, by): (i64, i64, i64) = server
        .database()
        .query_row(
            "SELECT organization_id, team_id,
                    (SELECT actor_session_id FROM audit_entry WHERE event = 'project.accept-transfer' LIMIT 1)
             FROM project JOIN project_team ON project_id = project.id WHERE project.id = 31",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("a project with a team, and an entry of a session");
    assert_eq!((organization, team, by), (2, 2, 1));
    // The link and the form are used up.
    for again in [eve.get(&link), eve.submit(&page, ACCEPT, &[("to", "2/2")])] {
        assert_problem(
            &again,
            400,
            "This transfer link is not valid, or it was used already.",
        );
    }
}

#[test]
fn a_form_without_its_proof_takes_nothing() {
    let server = world();
    let link = offer(&server);
    let data = link.split_once('=').expect("a secret").1;
    let eve = signed_in(&server, "eve");
    for body in [
        format!("data={data}&to=2"),
        format!("data={data}&to=2&csrf={}", "0".repeat(64)),
    ] {
        assert_eq!(eve.post(ACCEPT, &body).status, 403);
    }
    let place: i64 = server
        .database()
        .query_row(
            "SELECT organization_id FROM project WHERE id = 31",
            [],
            |row| row.get(0),
        )
        .expect("a project");
    assert_eq!(place, 1);
}

#[test]
fn others_and_wrong_links_are_told_so() {
    let server = world();
    let link = offer(&server);
    let zoe = signed_in(&server, "zoe");
    assert_problem(
        &zoe.get(&link),
        403,
        "This project was offered to somebody else.",
    );
    let eve = signed_in(&server, "eve");
    for wrong in [
        ACCEPT.to_owned(),
        format!("{ACCEPT}?data=x"),
        format!("{ACCEPT}?data={}", "0".repeat(64)),
    ] {
        assert_problem(
            &eve.get(&wrong),
            400,
            "This transfer link is not valid, or it was used already.",
        );
    }
    server.advance(7 * 86_400);
    let eve = signed_in(&server, "eve");
    assert_problem(
        &eve.get(&link),
        400,
        "This transfer link has expired. Ask for a new one.",
    );
}

#[test]
fn without_an_organization_of_ones_own_there_is_nothing_to_choose() {
    let server = world();
    let link = offer(&server);
    server
        .database()
        .execute_batch("UPDATE member SET role = 'member' WHERE organization_id = 2")
        .expect("a change");
    let page = signed_in(&server, "eve").get(&link);
    assert_eq!(page.status, 200);
    assert!(
        page.text()
            .contains("There is no organization that you may take it into.")
    );
    assert!(!page.text().contains("<select"));
}
