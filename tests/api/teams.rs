//! `O/teams/`, `O/user-teams/`, `T/` and `T/projects/`.

use serde_json::{Value, json};

use super::*;

const TEAMS: &str = "/api/0/organizations/acme/teams/";

/// Appended to [`WORLD`], whose last organization is `beta`.
const BETAS_ROBOT: &str = r#"
  [[organization.token]]
  name = "robot"
  token = "sntrys_00000000000000000000000000000000000000000000000000000000000000c9"
  scopes = ["team:write", "project:admin"]
"#;
const BETAS_TOKEN: &str = "sntrys_00000000000000000000000000000000000000000000000000000000000000c9";

fn slugs(list: &Value) -> Vec<&str> {
    each(list, "slug")
        .into_iter()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn a_list_has_every_team_by_slug_with_its_projects() {
    let server = world();
    let answer = ann(&server).get(TEAMS);
    let teams = ok(&answer);
    assert_eq!(slugs(&teams), ["core", "ops"]);
    assert_eq!(slugs(&teams[0]["projects"]), ["web"]);
    assert_eq!(teams[0]["externalTeams"], json!([]));
    assert_eq!(teams[0]["isMember"], true);
    assert_eq!(
        (&teams[1]["isMember"], &teams[1]["teamRole"]),
        (&json!(false), &Value::Null)
    );
    let (_, has_more, cursor) = link(&answer, "next");
    assert_eq!((has_more, cursor.as_str()), (false, "100:1:0"));

    let brief = ok(&ann(&server).get(&format!("{TEAMS}?detailed=0")));
    assert!(brief[0].get("projects").is_none() && brief[0].get("externalTeams").is_none());
}

#[test]
fn a_list_is_cut_into_pages_and_searched() {
    let server = world();
    let ann = ann(&server);
    let first = ann.get(&format!("{TEAMS}?per_page=1"));
    assert_eq!(slugs(&ok(&first)), ["core"]);
    let (next, has_more, _) = link(&first, "next");
    assert!(has_more);
    assert_eq!(slugs(&ok(&ann.get(&path_of(&server, &next)))), ["ops"]);
    let core = ok(&ann.get(&format!("{TEAMS}?query=slug:core")))[0]["id"].clone();
    let id = core.as_str().expect("an id");
    for (query, found) in [
        ("CORE", vec!["core"]),
        ("slug:ops%20slug:core", vec!["core", "ops"]),
        (&format!("id:{id}"), vec!["core"]),
        ("hasExternalTeams:true", vec![]),
        ("hasExternalTeams:false", vec!["core", "ops"]),
        ("colour:red", vec![]),
    ] {
        let teams = ok(&ann.get(&format!("{TEAMS}?query={query}")));
        assert_eq!(slugs(&teams), found, "{query}");
    }
    let wrong = ann.get(&format!("{TEAMS}?query=id:x"));
    assert_answer(&wrong, 400, r#"{"detail":"Invalid id value"}"#);
}

#[test]
fn a_user_sees_the_own_teams_in_one_answer() {
    let server = world();
    let path = "/api/0/organizations/acme/user-teams/";
    let answer = server.with_token(BOB).get(path);
    assert_eq!(slugs(&ok(&answer)), ["ops"]);
    assert_eq!(answer.header("Link"), None);
    assert_eq!(ok(&server.with_token(ORG_ROBOT).get(path)), json!([]));
}

#[test]
fn create_makes_the_caller_a_member() {
    let server = world();
    let ann = ann(&server);
    let made = ann.post_json(TEAMS, &json!({"slug": "web-crew", "name": "Web Crew"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["name"], "Web Crew");
    assert_eq!(
        (&made["isMember"], &made["memberCount"]),
        (&json!(true), &json!(1))
    );
    assert!(made.get("projects").is_none());

    let only_slug = ann.post_json(TEAMS, &json!({"slug": "solo"})).json();
    assert_eq!(only_slug["name"], "solo");
    let only_name = ann
        .post_json(TEAMS, &json!({"name": "Ünïcode Näme"}))
        .json();
    assert_eq!(only_name["slug"], "unicode-name");
    let again = ann
        .post_json(TEAMS, &json!({"name": "Ünïcode Näme"}))
        .json();
    assert!(
        again["slug"]
            .as_str()
            .is_some_and(|s| s.starts_with("unicode-name-"))
    );
}

#[test]
fn a_new_team_is_shown_whole_and_written_down() {
    let server = world();
    let answer = ann(&server).post_json(TEAMS, &json!({"slug": "web-crew", "name": "Web Crew"}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let mut made = answer.json();
    let team = made.as_object_mut().expect("an object");
    let id = team.remove("id").expect("an id");
    assert!(id.as_str().is_some_and(|id| id.parse::<i64>().is_ok()));
    let access = team.remove("access").expect("scopes");
    for scope in ["team:admin", "project:admin", "org:admin"] {
        let scopes = access.as_array().expect("a list");
        assert!(scopes.contains(&json!(scope)), "{scope}");
    }
    assert_eq!(
        made,
        json!({
            "slug": "web-crew", "name": "Web Crew", "dateCreated": "2026-01-02T00:00:00Z", "isMember": true,
            "teamRole": "admin", "flags": {"idp:provisioned": false}, "hasAccess": true, "isPending": false,
            "memberCount": 1,
            "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
        })
    );
    assert_eq!(
        audited(&server),
        [
            (
                "team.create".to_owned(),
                json!({"slug": "web-crew", "name": "Web Crew"})
            ),
            (
                "member.join-team".to_owned(),
                json!({
                    "email": "ann@example.test", "user_id": 1, "team_slug": "web-crew", "team_role": null,
                })
            ),
        ]
    );
}

#[test]
fn a_token_without_user_makes_a_team_that_nobody_is_in() {
    let server = Server::start(&format!("{WORLD}{BETAS_ROBOT}"));
    let robot = server.with_token(BETAS_TOKEN);
    let made = robot.post_json("/api/0/organizations/beta/teams/", &json!({"slug": "bots"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["isMember"], &made["teamRole"], &made["memberCount"]),
        (&json!(false), &Value::Null, &json!(0))
    );
    let project = robot.post_json("/api/0/teams/beta/bots/projects/", &json!({"name": "x"}));
    assert_eq!(project.status, 201, "{}", project.text());
    assert_eq!(project.json()["isMember"], false);
    // Not in an organization that is not its own.
    assert_answer(
        &robot.post_json(TEAMS, &json!({"slug": "bots"})),
        403,
        NO_PERMISSION,
    );
}

#[test]
fn create_refuses_what_is_wrong_and_writes_nothing() {
    let server = world();
    let ann = ann(&server);
    let bad_slug = "Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.";
    for (body, status, expected) in [
        (
            json!({}),
            400,
            json!({"non_field_errors": ["Name or slug is required"]}),
        ),
        (
            json!({"slug": null, "name": null}),
            400,
            json!({"non_field_errors": ["Name or slug is required"]}),
        ),
        (json!({"slug": "Web"}), 400, json!({"slug": [bad_slug]})),
        (
            json!({"slug": "42", "name": "x".repeat(65)}),
            400,
            json!({"slug": [bad_slug], "name": ["Ensure this field has no more than 64 characters."]}),
        ),
        (
            json!({"name": " "}),
            400,
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"slug": "core"}),
            409,
            json!({
                "non_field_errors": ["A team with this slug already exists."],
                "detail": "A team with this slug already exists.",
            }),
        ),
    ] {
        let answer = ann.post_json(TEAMS, &body);
        assert_eq!((answer.status, answer.json()), (status, expected), "{body}");
    }
    let plain = server
        .with_token(BOB)
        .post_json(TEAMS, &json!({"slug": "x"}));
    assert_answer(&plain, 403, NO_PERMISSION);
    assert_eq!(slugs(&ok(&ann.get(TEAMS))), ["core", "ops"]);
}

#[test]
fn detail_has_the_organization_unless_it_is_collapsed() {
    let server = world();
    let ann = ann(&server);
    let team = ok(&ann.get("/api/0/teams/acme/core/"));
    assert_eq!(team["organization"]["slug"], "acme");
    assert!(team.get("projects").is_none());
    let path = "/api/0/teams/acme/core/?collapse=organization&expand=projects&expand=externalTeams";
    let other = ok(&ann.get(path));
    assert!(other.get("organization").is_none());
    assert_eq!(slugs(&other["projects"]), ["web"]);
    assert_eq!(other["externalTeams"], json!([]));
}

#[test]
fn update_changes_slug_and_name_and_the_old_slug_leads_nowhere() {
    let server = world();
    let ann = ann(&server);
    let changed = ann.put_json(
        "/api/0/teams/acme/core/",
        &json!({"slug": "center", "name": "Center"}),
    );
    let team = ok(&changed);
    assert_eq!(
        (&team["slug"], &team["name"]),
        (&json!("center"), &json!("Center"))
    );
    assert!(team.get("organization").is_none());
    assert_answer(&ann.get("/api/0/teams/acme/core/"), 404, NOT_FOUND);
    let taken = ann.put_json("/api/0/teams/acme/center/", &json!({"slug": "ops"}));
    assert_answer(
        &taken,
        400,
        r#"{"slug":["The slug \"ops\" is already in use."]}"#,
    );
    let nothing = ok(&ann.put_json("/api/0/teams/acme/center/", &json!({})));
    assert_eq!(nothing["slug"], "center");
}

#[test]
fn update_refuses_what_is_wrong_and_writes_nothing() {
    let server = world();
    let ann = ann(&server);
    let path = "/api/0/teams/acme/core/";
    let bad_slug = "Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.";
    for (body, expected) in [
        (
            json!({"slug": null}),
            json!({"slug": ["This field may not be null."]}),
        ),
        (
            json!({"slug": ""}),
            json!({"slug": ["This field may not be blank."]}),
        ),
        (
            json!({"slug": true}),
            json!({"slug": ["Not a valid string."]}),
        ),
        (json!({"slug": 42}), json!({"slug": [bad_slug]})),
        (
            json!({"slug": "X".repeat(51), "name": "new"}),
            json!({"slug": ["Ensure this field has no more than 50 characters.", bad_slug]}),
        ),
        (
            json!({"slug": "new", "name": "x".repeat(65)}),
            json!({"name": ["Ensure this field has no more than 64 characters."]}),
        ),
        (
            json!({"slug": "new", "name": ""}),
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"slug": "ops", "name": "new"}),
            json!({"slug": ["The slug \"ops\" is already in use."]}),
        ),
        (
            json!(["slug"]),
            json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ),
    ] {
        let answer = ann.put_json(path, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    let team = ok(&ann.get(path));
    assert_eq!(
        (&team["slug"], &team["name"]),
        (&json!("core"), &json!("Core"))
    );
    assert_eq!(audited(&server), []);
    // A plain member of the team may look only.
    let plain = server
        .with_token(BOB)
        .put_json("/api/0/teams/acme/ops/", &json!({"slug": "mine"}));
    assert_answer(&plain, 403, NO_PERMISSION);
}

#[test]
fn what_becomes_of_a_team_is_written_down() {
    let server = world();
    let ann = ann(&server);
    ok(&ann.put_json("/api/0/teams/acme/core/", &json!({"slug": "center"})));
    assert_eq!(ann.delete("/api/0/teams/acme/center/").status, 204);
    assert_eq!(
        audited(&server),
        [
            (
                "team.edit".to_owned(),
                json!({"slug": "center", "name": "Core", "old_slug": "core", "old_name": "Core"})
            ),
            (
                "team.remove".to_owned(),
                json!({"slug": "center", "name": "Core"})
            ),
        ]
    );
}

#[test]
fn a_deleted_team_is_nowhere_although_its_rows_are_still_there() {
    let server = world();
    // By hand, and nobody else may write from then on, so that the background removes nothing yet.
    let by_hand = server.database();
    let marked = by_hand.execute_batch(
        "UPDATE team SET deleted_us = 1, slug = slug || '~' || id WHERE slug = 'ops';
         UPDATE organization SET open_membership = 0;
         BEGIN IMMEDIATE;",
    );
    marked.expect("a mark");
    let ann = ann(&server);
    let bob = server.with_token(BOB);
    let id = server
        .database()
        .query_row(
            "SELECT id FROM team WHERE deleted_us IS NOT NULL",
            [],
            |row| row.get::<_, i64>(0),
        )
        .expect("a row");
    for team in ["ops", &format!("ops~{id}"), &id.to_string()] {
        for below in ["", "projects/", "members/"] {
            let path = format!("/api/0/teams/acme/{team}/{below}");
            assert_answer(&ann.get(&path), 404, NOT_FOUND);
        }
        let given = ann.post(&format!("/api/0/projects/acme/web/teams/{team}/"), b"");
        assert_answer(&given, 404, r#"{"detail":"Team does not exist."}"#);
    }
    for list in [
        "/api/0/organizations/acme/user-teams/",
        "/api/0/projects/",
        "/api/0/organizations/acme/projects/?query=is_member:1",
        "/api/0/organizations/acme/project-keys/",
    ] {
        assert_eq!(ok(&bob.get(list)), json!([]), "{list}");
    }
    for list in [
        &format!("/api/0/organizations/acme/projects/?query=team:ops~{id}"),
        "/api/0/projects/acme/shop/teams/",
        "/api/0/projects/acme/shop/members/",
    ] {
        assert_eq!(ok(&ann.get(list)), json!([]), "{list}");
    }
    assert_eq!(slugs(&ok(&ann.get(TEAMS))), ["core"]);
    let shop = ok(&ann.get("/api/0/projects/acme/shop/"));
    assert_eq!(shop["teams"], json!([]));
    assert_eq!(shop.get("team"), None);
    // What was seen through the team is not any more.
    assert_answer(&bob.get("/api/0/projects/acme/shop/"), 403, NO_PERMISSION);
    let member = ok(&bob.get("/api/0/organizations/acme/members/me/"));
    assert_eq!(member["teams"], json!([]));
    for table in ["project_team", "team_member"] {
        assert_eq!(
            count_rows(&server, &format!("{table} WHERE team_id = {id}")),
            1
        );
    }
}

#[test]
fn delete_frees_the_slug_and_leaves_the_projects() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(ann.delete("/api/0/teams/acme/core/").status, 204);
    assert_answer(&ann.get("/api/0/teams/acme/core/"), 404, NOT_FOUND);
    assert_eq!(slugs(&ok(&ann.get(TEAMS))), ["ops"]);
    let project = ok(&ann.get("/api/0/projects/acme/web/"));
    assert_eq!(project["teams"], json!([]));
    assert_eq!(ann.post_json(TEAMS, &json!({"slug": "core"})).status, 201);
    assert_eq!(ann.delete("/api/0/teams/acme/nobody/").status, 404);
}

#[test]
fn a_teams_projects_are_listed_by_slug() {
    let server = world();
    let ann = ann(&server);
    let path = "/api/0/teams/acme/core/projects/";
    let with_stats = ok(&ann.get(&format!("{path}?statsPeriod=24h")));
    assert_eq!(slugs(&with_stats), ["web"]);
    assert_eq!(with_stats[0]["stats"].as_array().map(Vec::len), Some(24));
    assert!(with_stats[0].get("options").is_none());
    assert_eq!(
        ok(&ann.get(&format!("{path}?statsPeriod=")))[0].get("stats"),
        None
    );
    let added = ann.post("/api/0/projects/acme/bare/teams/core/", b"");
    assert_eq!(added.status, 201);
    let first = ann.get(&format!("{path}?per_page=1"));
    assert_eq!(slugs(&ok(&first)), ["bare"]);
    let (next, has_more, _) = link(&first, "next");
    assert!(has_more);
    assert_eq!(slugs(&ok(&ann.get(&path_of(&server, &next)))), ["web"]);
    let wrong = ann.get(&format!("{path}?statsPeriod=7d"));
    assert_answer(
        &wrong,
        400,
        r#"{"error":{"params":{"stats_period":{"message":"Invalid stats_period. Valid choices are '', '24h', '14d', and '30d'"}}}}"#,
    );
}

#[test]
fn of_two_creations_with_one_slug_one_wins() {
    let text = "A team with this slug already exists.";
    let server = race(
        TEAMS,
        |round| json!({"slug": format!("race-{round}")}),
        &format!(r#"{{"non_field_errors":["{text}"],"detail":"{text}"}}"#),
    );
    assert_eq!(count_rows(&server, "team WHERE slug LIKE 'race-%'"), 1000);
}
