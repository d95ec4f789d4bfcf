//! `O/teams/`, `O/user-teams/`, `T/` and `T/projects/`.

use serde_json::{Value, json};

use super::*;

const TEAMS: &str = "/api/0/organizations/acme/teams/";

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
    let wrong = ann.get(&format!("{path}?statsPeriod=7d"));
    assert_answer(
        &wrong,
        400,
        r#"{"error":{"params":{"stats_period":{"message":"Invalid stats_period. Valid choices are '', '24h', '14d', and '30d'"}}}}"#,
    );
}

#[test]
fn of_two_creations_with_one_slug_one_wins() {
    let server = world();
    let tokens = [ann(&server), ann(&server)];
    for round in 0..500 {
        let slug = format!("race-{round}");
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let runs = tokens.each_ref().map(|client| {
                let body = json!({"slug": slug});
                scope.spawn(move || client.post_json(TEAMS, &body).status)
            });
            runs.into_iter()
                .map(|run| run.join().expect("an answer"))
                .collect()
        });
        let mut sorted = answers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [201, 409], "round {round}");
    }
    let rows: i64 = server
        .database()
        .query_row(
            "SELECT count(*) FROM team WHERE slug LIKE 'race-%'",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(rows, 500);
}
