//! `POST T/projects/` and `POST O/projects/`.

use serde_json::{Value, json};

use super::super::*;

const OF_TEAM: &str = "/api/0/teams/acme/core/projects/";
const OF_ORGANIZATION: &str = "/api/0/organizations/acme/projects/";

fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// What a filter of a project is set to.
fn filters(server: &Server, slug: &str) -> Value {
    ok(&ann(server).get(&format!("/api/0/projects/acme/{slug}/")))["options"].clone()
}

#[test]
fn a_project_begins_with_its_team_and_a_key_named_default() {
    let server = world();
    let ann = ann(&server);
    let body = json!({"name": "My Shop", "platform": "python-django", "default_rules": false, "origin": "ui"});
    let project = made(&ann.post_json(OF_TEAM, &body));
    assert_eq!(
        (&project["slug"], &project["platform"]),
        (&json!("my-shop"), &json!("python-django"))
    );
    assert_eq!(project["team"]["slug"], "core");
    assert!(project.get("organization").is_none());

    let keys = ok(&ann.get("/api/0/projects/acme/my-shop/keys/"));
    assert_eq!(keys.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&keys[0]["name"], &keys[0]["rateLimit"]),
        (&json!("Default"), &Value::Null)
    );
    // The key works at once.
    let key = keys[0]["public"].as_str().expect("a key");
    let path = format!("/api/{}/store/?sentry_key={key}", keys[0]["projectId"]);
    assert_eq!(
        server.client().post(&path, br#"{"message":"x"}"#).status,
        200
    );
}

#[test]
fn pages_filter_their_browsers_from_the_beginning() {
    let server = world();
    let ann = ann(&server);
    made(&ann.post_json(
        OF_TEAM,
        &json!({"name": "front", "platform": "javascript-react"}),
    ));
    made(&ann.post_json(OF_TEAM, &json!({"name": "back", "platform": "go"})));
    let front = filters(&server, "front");
    assert_eq!(front["filters:browser-extensions"], true);
    assert_eq!(front["filters:web-crawlers"], true);
    assert_eq!(
        front["filters:legacy-browsers"],
        json!([
            "android",
            "chrome",
            "edge",
            "firefox",
            "ie",
            "opera",
            "opera_mini",
            "safari"
        ])
    );
    assert!(
        filters(&server, "back")
            .get("filters:legacy-browsers")
            .is_none()
    );
}

#[test]
fn a_name_that_is_taken_gets_another_slug_and_a_slug_that_is_taken_is_a_conflict() {
    let server = world();
    let ann = ann(&server);
    let second = made(&ann.post_json(OF_TEAM, &json!({"name": "Web"})));
    assert!(
        second["slug"]
            .as_str()
            .is_some_and(|slug| slug.starts_with("web-"))
    );
    let taken = ann.post_json(OF_TEAM, &json!({"name": "Web", "slug": "web"}));
    assert_answer(
        &taken,
        409,
        r#"{"detail":"A project with this slug already exists."}"#,
    );
    // Of a new project the name is looked at, not the slug.
    made(&ann.post_json(OF_TEAM, &json!({"name": "Settings", "slug": "settings"})));
}

#[test]
fn the_number_may_be_chosen_once() {
    let server = world();
    let ann = ann(&server);
    let project = made(&ann.post_json(OF_TEAM, &json!({"name": "moved", "id": 4711})));
    assert_eq!(project["id"], "4711");
    let taken = ann.post_json(OF_TEAM, &json!({"name": "other", "id": 4711}));
    assert_answer(
        &taken,
        409,
        r#"{"detail":"A project with the id 4711 already exists."}"#,
    );
    let wrong = ann.post_json(OF_TEAM, &json!({"name": "other", "id": 0}));
    assert_answer(
        &wrong,
        400,
        r#"{"id":["Ensure this value is greater than or equal to 1."]}"#,
    );
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_made() {
    let server = world();
    let ann = ann(&server);
    let bad_slug = "Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.";
    for (body, expected) in [
        (json!({}), json!({"name": ["This field is required."]})),
        (
            json!({"name": ""}),
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"name": "x".repeat(51)}),
            json!({"name": ["Ensure this field has no more than 50 characters."]}),
        ),
        (
            json!({"name": "settings"}),
            json!({"name": ["The name \"settings\" is reserved and not allowed."]}),
        ),
        (
            json!({"name": "a", "slug": "A"}),
            json!({"slug": [bad_slug]}),
        ),
        (
            json!({"name": "a", "platform": "cobol"}),
            json!({"platform": ["Invalid platform"]}),
        ),
        (
            json!({"name": "a", "platform": "xbox"}),
            json!({"platform": ["Console platform 'xbox' is not enabled for this organization"]}),
        ),
        (
            json!({"name": "a", "default_rules": "maybe"}),
            json!({"default_rules": ["Must be a valid boolean."]}),
        ),
    ] {
        for path in [OF_TEAM, OF_ORGANIZATION] {
            let answer = ann.post_json(path, &body);
            assert_eq!(
                (answer.status, answer.json()),
                (400, expected.clone()),
                "{body}"
            );
        }
    }
    let all = ok(&ann.get(OF_ORGANIZATION));
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    assert_eq!(
        ok(&ann.get("/api/0/organizations/acme/teams/"))
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_plain_member_makes_projects_of_the_own_team_unless_that_is_switched_off() {
    let server = world();
    let bob = server.with_token(BOB);
    let ops = "/api/0/teams/acme/ops/projects/";
    made(&bob.post_json(ops, &json!({"name": "one"})));
    assert_answer(
        &bob.post_json(OF_TEAM, &json!({"name": "two"})),
        403,
        NO_PERMISSION,
    );
    server
        .database()
        .execute(
            "UPDATE organization SET members_create_projects = 0 WHERE slug = 'acme'",
            [],
        )
        .expect("an update");
    let disabled = r#"{"detail":"Your organization has disabled this feature for members."}"#;
    for path in [ops, OF_ORGANIZATION] {
        assert_answer(
            &bob.post_json(path, &json!({"name": "three"})),
            403,
            disabled,
        );
    }
    made(&ann(&server).post_json(OF_TEAM, &json!({"name": "four"})));
}

#[test]
fn a_member_gets_a_team_of_their_own() {
    let server = world();
    let bob = server.with_token(BOB);
    let first = made(&bob.post_json(OF_ORGANIZATION, &json!({"name": "mine"})));
    assert_eq!(
        (&first["team_slug"], &first["isMember"]),
        (&json!("team-bob"), &json!(true))
    );
    // As a team's administrator, bob may change what is in it.
    let path = "/api/0/projects/acme/mine/keys/";
    assert_eq!(bob.post_json(path, &json!({"name": "k"})).status, 201);
    let second = made(&bob.post_json(OF_ORGANIZATION, &json!({"name": "mine too"})));
    let slug = second["team_slug"].as_str().expect("a slug");
    assert!(slug.starts_with("team-bob-") && slug.len() == 12, "{slug}");

    let taken = bob.post_json(OF_ORGANIZATION, &json!({"name": "x", "slug": "mine"}));
    let text = "A team with this slug already exists.";
    assert_eq!(
        (taken.status, taken.json()),
        (409, json!({"non_field_errors": [text], "detail": text}))
    );
    let nobody = server
        .with_token(ORG_ROBOT)
        .post_json(OF_ORGANIZATION, &json!({"name": "x"}));
    assert_answer(&nobody, 401, r#"{"detail":"User is not authenticated"}"#);
}

#[test]
fn of_two_creations_with_one_slug_one_wins() {
    let server = world();
    let clients = [ann(&server), ann(&server)];
    for round in 0..1000 {
        let slug = format!("race-{round}");
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let runs = clients.each_ref().map(|client| {
                let body = json!({"name": "Race", "slug": slug});
                scope.spawn(move || client.post_json(OF_TEAM, &body).status)
            });
            runs.into_iter()
                .map(|run| run.join().expect("an answer"))
                .collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "round {round}");
    }
    let rows: i64 = server
        .database()
        .query_row(
            "SELECT count(*) FROM project WHERE slug LIKE 'race-%'",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(rows, 1000);
}
