//! `POST T/projects/` and `POST O/projects/`.

use serde_json::{Value, json};

use super::super::*;

const OF_TEAM: &str = "/api/0/teams/acme/core/projects/";
const OF_ORGANIZATION: &str = "/api/0/organizations/acme/projects/";

fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The options of a project, as they are shown.
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
    assert_eq!(
        (
            &keys[0]["isActive"],
            &keys[0]["browserSdkVersion"],
            &keys[0]["dynamicSdkLoaderOptions"]
        ),
        (
            &json!(true),
            &json!("10.x"),
            &json!({
                "hasReplay": true, "hasPerformance": true, "hasDebug": false, "hasFeedback": false,
                "hasLogsAndMetrics": false,
            })
        )
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
fn a_new_project_is_shown_whole_and_written_down() {
    let server = world();
    let body = json!({"name": "My Shop", "slug": null, "platform": ""});
    let shown = |mut project: Value, id: &str, slug: &str| {
        let fields = project.as_object_mut().expect("an object");
        assert_eq!(fields.remove("id"), Some(json!(id)));
        let access = fields.remove("access").expect("scopes");
        let scopes = access.as_array().expect("a list");
        assert!(scopes.contains(&json!("project:admin")), "{access}");
        let team = fields.remove("team").expect("a team");
        assert_eq!(fields.remove("teams"), Some(json!([team])));
        fields.retain(|name, value| {
            let is_sign = name.starts_with("has") || name == "firstTransactionEvent";
            assert!(!is_sign || *value == json!(name == "hasAccess"), "{name}");
            !is_sign
        });
        assert_eq!(
            project,
            json!({
                "slug": slug, "name": "My Shop", "platform": null, "dateCreated": "2026-01-02T00:00:00Z",
                "isBookmarked": false, "isMember": true,
                "features": ["custom-inbound-filters", "minidump", "rate-limits"], "firstEvent": null, "platforms": [],
                "environments": [], "latestRelease": null, "latestDeploys": null,
            })
        );
        team["slug"].clone()
    };
    let of_team = made(&ann(&server).post_json(OF_TEAM, &body));
    assert_eq!(shown(of_team, "42", "my-shop"), "core");

    let with_slug = json!({"name": "My Shop", "slug": "own", "origin": "ui"});
    let mut own = made(&ann(&server).post_json(OF_ORGANIZATION, &with_slug));
    let fields = own.as_object_mut().expect("an object");
    assert_eq!(fields.remove("team_slug"), Some(json!("team-ann")));
    assert_eq!(shown(own, "43", "own"), "team-ann");

    let log = audited(&server);
    let events: Vec<&str> = log.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(
        events,
        [
            "project.create",
            "project-team.add",
            "projectkey.create",
            "team.create",
            "member.join-team",
            "project.create-with-origin",
            "project-team.add",
            "projectkey.create",
            "team-and-project.created",
        ]
    );
    assert_eq!(log[0].1, json!({"slug": "my-shop", "name": "My Shop"}));
    assert_eq!(
        log[4].1,
        json!({
            "email": "ann@example.test", "user_id": 1, "team_slug": "team-ann", "team_role": "admin",
        })
    );
    assert_eq!(
        log[5].1,
        json!({"slug": "own", "name": "My Shop", "origin": "ui"})
    );
    assert_eq!(log[8].1, json!({"slug": "own", "team_slug": "team-ann"}));
}

#[test]
fn the_first_filters_drop_the_first_event() {
    let server = world();
    let ann = ann(&server);
    for (platform, accepted) in [("javascript", 0), ("python", 1)] {
        made(&ann.post_json(OF_TEAM, &json!({"name": platform, "platform": platform})));
        let keys = ok(&ann.get(&format!("/api/0/projects/acme/{platform}/keys/")));
        let (id, key) = (
            &keys[0]["projectId"],
            keys[0]["public"].as_str().expect("a key"),
        );
        let event =
            json!({"message": "x", "request": {"headers": {"User-Agent": "Googlebot/2.1"}}});
        let answer = server.client().post(
            &format!("/api/{id}/store/?sentry_key={key}"),
            event.to_string().as_bytes(),
        );
        assert_eq!(answer.status, 200);
        let stored = count_rows(&server, &format!("event WHERE project_id = {id}"));
        assert_eq!(stored, accepted, "{platform}");
        let filters = ok(&ann.get(&format!("/api/0/projects/acme/{platform}/filters/")));
        let is_page = platform == "javascript";
        let browsers = [
            "android",
            "chrome",
            "edge",
            "firefox",
            "ie",
            "opera",
            "opera_mini",
            "safari",
        ];
        let legacy = if is_page {
            json!(browsers)
        } else {
            json!(false)
        };
        assert_eq!(
            filters,
            json!([
                {"id": "browser-extensions", "active": is_page}, {"id": "filtered-transaction", "active": true},
                {"id": "legacy-browsers", "active": legacy}, {"id": "localhost", "active": false},
                {"id": "web-crawlers", "active": is_page},
            ])
        );
    }
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
    // In words of its own also where a conflict of slugs is told from none of teams.
    let teams = count_rows(&server, "team");
    let taken = ann.post_json(OF_ORGANIZATION, &json!({"name": "other", "id": 4711}));
    assert_answer(
        &taken,
        409,
        r#"{"detail":"A project with the id 4711 already exists."}"#,
    );
    assert_eq!(count_rows(&server, "team"), teams);
    // Of another organization, and of a project that is gone.
    assert_eq!(ann.delete("/api/0/projects/acme/moved/").status, 204);
    for id in [41, 4711] {
        let taken = ann.post_json(OF_TEAM, &json!({"name": "other", "id": id}));
        assert_eq!(taken.status, 409, "{id}");
    }
    // The next one is above all of them, and the slug of the one that is gone is free.
    let next = made(&ann.post_json(OF_TEAM, &json!({"name": "x", "slug": "moved"})));
    assert_eq!(next["id"], "4712");
    let greatest = made(&ann.post_json(OF_TEAM, &json!({"name": "y", "id": 1_i64 << 52})));
    assert_eq!(greatest["id"], "4503599627370496");
    let beyond = made(&ann.post_json(OF_TEAM, &json!({"name": "z"})));
    assert_eq!(beyond["id"], "4503599627370497");
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
            json!({"name": "a", "platform": "x".repeat(300)}),
            json!({"platform": ["Invalid platform"]}),
        ),
        (
            json!({"name": null, "slug": "", "platform": 5, "default_rules": null, "id": 1.5, "origin": []}),
            json!({
                "name": ["This field may not be null."], "slug": ["This field may not be blank."],
                "platform": ["Invalid platform"], "default_rules": ["This field may not be null."],
                "id": ["A valid integer is required."], "origin": ["Not a valid string."],
            }),
        ),
        (
            json!({"name": true, "slug": "S".repeat(101), "id": 4_503_599_627_370_497_i64}),
            json!({
                "name": ["Not a valid string."],
                "slug": ["Ensure this field has no more than 100 characters.", bad_slug],
                "id": ["Ensure this value is less than or equal to 4503599627370496."],
            }),
        ),
        (
            json!([]),
            json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
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
    // The team's administrators still may, there.
    server
        .database()
        .execute(
            "UPDATE team_member SET role = 'admin' WHERE team_id = (SELECT id FROM team WHERE slug = 'ops')",
            [],
        )
        .expect("an update");
    made(&bob.post_json(ops, &json!({"name": "five"})));
    assert_answer(
        &bob.post_json(OF_ORGANIZATION, &json!({"name": "six"})),
        403,
        disabled,
    );
}

#[test]
fn a_console_is_for_organizations_that_have_it() {
    let server = world();
    server
        .database()
        .execute(
            "INSERT INTO organization_option (organization_id, name, value)
             SELECT id, 'sentry:enabled_console_platforms', json_quote('xbox') FROM organization WHERE slug = 'acme'",
            [],
        )
        .expect("an option");
    let ann = ann(&server);
    let xbox = made(&ann.post_json(OF_TEAM, &json!({"name": "game", "platform": "xbox"})));
    assert_eq!(xbox["platform"], "xbox");
    let other = ann.post_json(OF_TEAM, &json!({"name": "game", "platform": "playstation"}));
    assert_answer(
        &other,
        400,
        r#"{"platform":["Console platform 'playstation' is not enabled for this organization"]}"#,
    );
}

#[test]
fn a_personal_team_bears_the_local_part_of_the_address() {
    let long = "l".repeat(60);
    for (local, slug) in [
        ("1234", "team-1234".to_owned()),
        ("Zoë.B-c_d", "team-zoeb-c_d".to_owned()),
        ("日本", "team".to_owned()),
        (&long, format!("team-{}", "l".repeat(41))),
    ] {
        let server = Server::start(&format!(
            r#"{WORLD}
[[user]]
email = "{local}@example.test"
roles = {{ acme = "member" }}

  [[user.token]]
  name = "laptop"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000d1"
  scopes = ["project:read"]
"#
        ));
        let client = server
            .with_token("sntryu_00000000000000000000000000000000000000000000000000000000000000d1");
        let first = made(&client.post_json(OF_ORGANIZATION, &json!({"name": "one"})));
        assert_eq!(first["team_slug"], slug);
        let second = made(&client.post_json(OF_ORGANIZATION, &json!({"name": "two"})));
        let other = second["team_slug"].as_str().expect("a slug");
        let end = other
            .strip_prefix(&format!("{slug}-"))
            .expect("the same words");
        assert!(
            end.len() == 3 && end.bytes().all(|b| b.is_ascii_lowercase()),
            "{end}"
        );
    }
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
    let server = race(
        OF_TEAM,
        |round| json!({"name": "Race", "slug": format!("race-{round}")}),
        r#"{"detail":"A project with this slug already exists."}"#,
    );
    // With all that belongs to each, and nothing of those that lost.
    for rows in [
        "project WHERE slug LIKE 'race-%'",
        "project_team JOIN project ON project.id = project_id WHERE slug LIKE 'race-%'",
        "client_key JOIN project ON project.id = project_id WHERE slug LIKE 'race-%'",
    ] {
        assert_eq!(count_rows(&server, rows), 1000, "{rows}");
    }
}
