//! `P/teams/` and `P/teams/{team}/`.

use serde_json::json;

use super::super::*;

const TEAMS: &str = "/api/0/projects/acme/web/teams/";

#[test]
fn a_team_is_given_a_project_and_loses_it() {
    let server = world();
    let ann = ann(&server);
    for _ in 0..2 {
        let given = ann.post(&format!("{TEAMS}ops/"), b"");
        assert_eq!(given.status, 201, "{}", given.text());
        let project = given.json();
        assert_eq!(each(&project["teams"], "slug"), ["core", "ops"]);
        assert_eq!(project["status"], "active");
    }
    let teams = ok(&ann.get(TEAMS));
    assert_eq!(each(&teams, "slug"), ["core", "ops"]);
    assert!(teams[0].get("projects").is_none());
    // Bob is in ops, so the project is his now.
    assert_eq!(
        ok(&server.with_token(BOB).get("/api/0/projects/acme/web/"))["isMember"],
        true
    );
    for _ in 0..2 {
        let taken = ann.delete(&format!("{TEAMS}ops/"));
        assert_eq!(each(&ok(&taken)["teams"], "slug"), ["core"]);
    }
    let events: i64 = server
        .database()
        .query_row("SELECT count(*) FROM audit_entry WHERE event LIKE 'project-team.%' AND actor_user_id IS NOT NULL", [], |row| {
            row.get(0)
        })
        .expect("a count");
    assert_eq!(events, 2);
}

#[test]
fn the_answer_is_the_project_with_its_teams() {
    let server = world();
    let ann = ann(&server);
    let given = ann.post(&format!("{TEAMS}ops/"), b"");
    assert_eq!(given.status, 201);
    let mut given = given.json();
    let project = given.as_object_mut().expect("an object");
    project.remove("access").expect("scopes");
    let color = project.remove("color").expect("a color");
    assert!(
        color
            .as_str()
            .is_some_and(|c| c.len() == 7 && c.starts_with('#'))
    );
    let teams = project.remove("teams").expect("teams");
    assert_eq!(each(&teams, "name"), ["Core", "ops"]);
    assert_eq!(project.remove("team").as_ref(), Some(&teams[0]));
    // What is left beside the signs of what was seen.
    project.retain(|name, _| !name.starts_with("has") && name != "firstTransactionEvent");
    assert_eq!(
        given,
        json!({
            "id": "31", "slug": "web", "name": "Web", "platform": "python", "dateCreated": "2026-01-02T00:00:00Z",
            "isBookmarked": false, "isMember": true, "features": ["custom-inbound-filters", "minidump", "rate-limits"],
            "firstEvent": null, "isInternal": false, "isPublic": false,
            "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null}, "status": "active",
        })
    );
    // The last team gone, there is no first one.
    for team in ["core", "ops"] {
        ok(&ann.delete(&format!("{TEAMS}{team}/")));
    }
    let none = ok(&ann.delete(&format!("{TEAMS}ops/")));
    assert_eq!((none.get("team"), &none["teams"]), (None, &json!([])));
    let events: Vec<String> = audited(&server)
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    assert_eq!(
        events,
        [
            "project-team.add",
            "project-team.remove",
            "project-team.remove"
        ]
    );
}

#[test]
fn a_projects_teams_are_listed_by_name_and_in_pages() {
    let server = world();
    let ann = ann(&server);
    let renamed = ann.put_json("/api/0/teams/acme/ops/", &json!({"name": "A team"}));
    assert_eq!(renamed.status, 200);
    assert_eq!(ann.post(&format!("{TEAMS}ops/"), b"").status, 201);
    let first = ann.get(&format!("{TEAMS}?per_page=1"));
    assert_eq!(each(&ok(&first), "slug"), ["ops"]);
    let (next, has_more, _) = link(&first, "next");
    assert!(has_more);
    let second = ann.get(&path_of(&server, &next));
    assert_eq!(each(&ok(&second), "slug"), ["core"]);
    assert!(!link(&second, "next").1);
}

#[test]
fn an_unknown_team_is_named() {
    let server = world();
    let ann = ann(&server);
    let unknown = r#"{"detail":"Team does not exist."}"#;
    assert_answer(&ann.post(&format!("{TEAMS}nobody/"), b""), 404, unknown);
    assert_answer(&ann.delete(&format!("{TEAMS}team-b/")), 404, unknown);
}

#[test]
fn a_team_is_not_deprived_by_those_of_another() {
    // Carl administers core and not ops.
    let world = format!(
        "{WORLD}{}",
        r#"
[[user]]
email = "carl@example.test"
roles = { acme = "member" }
teams = { acme = ["core:admin"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000d1"
  scopes = ["project:admin"]
"#
    );
    let server = Server::start(&world);
    assert_eq!(ann(&server).post(&format!("{TEAMS}ops/"), b"").status, 201);
    let carl = server
        .with_token("sntryu_00000000000000000000000000000000000000000000000000000000000000d1");
    let refused = carl.delete(&format!("{TEAMS}ops/"));
    assert_eq!(
        (refused.status, refused.json()),
        (
            403,
            json!({"detail": ["You do not have permission to perform this action."]})
        )
    );
    assert_eq!(carl.delete(&format!("{TEAMS}core/")).status, 200);
}
