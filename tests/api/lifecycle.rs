//! The life of an installation that is described as code: what terraform-provider-sentry asks, call by call, and the
//! statuses on which it insists (facts/management-api.md 12). Whatever is set is read back as it was set, because
//! anything else is drift that the next plan would "repair".

use serde_json::json;

use super::*;

/// The body of an answer that must have this status.
#[track_caller]
fn with_status(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    if answer.body.is_empty() {
        return Value::Null;
    }
    answer.json()
}

/// What was sent stands in what was answered.
#[track_caller]
fn assert_no_drift(sent: &Value, answered: &Value) {
    for (name, value) in sent.as_object().expect("an object") {
        match (name.as_str(), value) {
            // Only some of the options are named.
            ("options", Value::Object(_)) => assert_no_drift(value, &answered[name]),
            _ => assert_eq!(&answered[name], value, "{name}"),
        }
    }
}

/// The settings of a project that the provider manages.
fn settings() -> Value {
    json!({
        "name": "Web shop", "slug": "web-shop", "platform": "javascript-react", "digestsMinDelay": 120,
        "digestsMaxDelay": 900, "resolveAge": 720,
        "options": {
            "filters:blacklisted_ips": "198.51.100.7\n203.0.113.0/24", "filters:releases": "1.*\n2.0",
            "filters:error_messages": "TypeError*\n*is not defined",
        },
        "fingerprintingRules": "error.type:DatabaseUnavailable -> system-down",
        "groupingEnhancements": "stack.function:panic_handler ^-group -group",
        "allowedDomains": ["shop.example.test", "*.shop.test"], "scrapeJavaScript": false, "verifySSL": true,
        "securityToken": "c0ffee", "securityTokenHeader": "X-Shop-Token", "subjectPrefix": "[Shop]",
        "subjectTemplate": "$title", "highlightTags": ["release"],
    })
}

/// Every one of them otherwise.
fn other_settings() -> Value {
    json!({
        "name": "Shop", "slug": "shop-web", "platform": "python-django", "digestsMinDelay": 60,
        "digestsMaxDelay": 3600, "resolveAge": 0,
        "options": {
            "filters:blacklisted_ips": "", "filters:releases": "", "filters:error_messages": "Error: *",
        },
        "fingerprintingRules": "", "groupingEnhancements": "", "allowedDomains": ["*"], "scrapeJavaScript": true,
        "verifySSL": false, "securityToken": "decaf0", "securityTokenHeader": "X-Token", "subjectPrefix": "",
        "subjectTemplate": "$shortID", "highlightTags": ["environment", "release"],
    })
}

#[test]
fn an_installation_as_code_lives_from_its_creation_to_its_end() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(ann.get("/api/0/internal/health/").status, 200);
    let organization = ok(&ann.get("/api/0/organizations/acme/"));
    let member_role = &organization["orgRoleList"][0];
    assert_eq!(member_role["minimumTeamRole"], "contributor");
    let team_admin = organization["teamRoleList"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|role| role["id"] == "admin")
        .expect("a role");
    assert_eq!(team_admin["isMinimumRoleFor"], "admin");

    let team = team(&ann);
    let project = project(&ann);
    let id = project["id"].as_str().expect("an id").to_owned();
    keys(&ann, &id);
    filters(&ann);
    ownership(&ann);
    members(&ann);

    // A plan reads all again, and by the ids that were imported.
    let by_slug = ok(&ann.get("/api/0/projects/acme/web-shop/"));
    assert_no_drift(&settings(), &by_slug);
    assert_eq!(
        ok(&ann.get(&format!("/api/0/projects/acme/{id}/"))),
        by_slug
    );
    let team_id = team["id"].as_str().expect("an id");
    assert_eq!(
        ok(&ann.get(&format!("/api/0/teams/acme/{team_id}/"))),
        ok(&ann.get("/api/0/teams/acme/web-crew/"))
    );
    assert_eq!(
        ok(&ann.get(&format!("/api/0/projects/acme/{id}/keys/"))),
        ok(&ann.get("/api/0/projects/acme/web-shop/keys/"))
    );

    let changed = with_status(
        &ann.put_json("/api/0/projects/acme/web-shop/", &other_settings()),
        200,
    );
    assert_no_drift(&other_settings(), &changed);
    assert_no_drift(
        &other_settings(),
        &ok(&ann.get("/api/0/projects/acme/shop-web/")),
    );
    let renamed = json!({"name": "The crew", "slug": "crew"});
    let team = with_status(&ann.put_json("/api/0/teams/acme/web-crew/", &renamed), 200);
    assert_no_drift(&renamed, &team);
    assert_eq!(ann.get("/api/0/teams/acme/web-crew/").status, 404);

    with_status(&ann.delete("/api/0/projects/acme/shop-web/"), 204);
    for path in ["shop-web/", "web-shop/", "shop-web/keys/"] {
        assert_eq!(
            ann.get(&format!("/api/0/projects/acme/{path}")).status,
            404,
            "{path}"
        );
    }
    assert_eq!(ann.delete("/api/0/projects/acme/shop-web/").status, 404);
    with_status(&ann.delete("/api/0/teams/acme/crew/"), 204);
    assert_eq!(ann.get("/api/0/teams/acme/crew/").status, 404);
    // The names are free for the next run.
    self::team(&ann);
    self::project(&ann);
}

fn team(ann: &Client) -> Value {
    let body = json!({"name": "Web crew", "slug": "web-crew"});
    let team = with_status(
        &ann.post_json("/api/0/organizations/acme/teams/", &body),
        201,
    );
    assert_no_drift(&body, &team);
    let read = ok(&ann.get("/api/0/teams/acme/web-crew/"));
    assert_no_drift(&body, &read);
    assert_eq!(read["organization"]["slug"], "acme");
    team
}

/// Created with what a creation takes, then set in full; the key that comes with it is removed.
fn project(ann: &Client) -> Value {
    let body = json!({
        "name": "Web shop", "slug": "web-shop", "platform": "javascript-react", "default_rules": false,
    });
    let created = with_status(
        &ann.post_json("/api/0/teams/acme/web-crew/projects/", &body),
        201,
    );
    assert_eq!(
        (&created["slug"], &created["name"]),
        (&json!("web-shop"), &json!("Web shop"))
    );
    let id = created["id"].as_str().expect("an id");
    let changed = with_status(
        &ann.put_json(&format!("/api/0/projects/acme/{id}/"), &settings()),
        200,
    );
    assert_no_drift(&settings(), &changed);

    let keys = ok(&ann.get("/api/0/projects/acme/web-shop/keys/"));
    let default: Vec<&Value> = keys
        .as_array()
        .expect("a list")
        .iter()
        .filter(|key| key["name"] == "Default")
        .collect();
    let [key] = default[..] else {
        panic!("there is one key of this name: {keys}");
    };
    assert_eq!(key["projectId"].to_string(), id);
    let key = key["id"].as_str().expect("an id");
    with_status(
        &ann.delete(&format!("/api/0/projects/acme/{id}/keys/{key}/")),
        204,
    );
    assert_eq!(
        ok(&ann.get("/api/0/projects/acme/web-shop/keys/")),
        json!([])
    );

    let teams = "/api/0/projects/acme/web-shop/teams/ops/";
    let shared = with_status(&ann.post_json(teams, &json!({})), 201);
    assert_eq!(each(&shared["teams"], "slug").len(), 2);
    let alone = with_status(&ann.delete(teams), 200);
    assert_eq!(each(&alone["teams"], "slug"), [&json!("web-crew")]);
    created
}

fn keys(ann: &Client, project: &str) {
    let keys = format!("/api/0/projects/acme/{project}/keys/");
    let loader = json!({"hasReplay": false, "hasPerformance": true, "hasDebug": true});
    // The last two are not for new keys, and are sent all the same.
    let limited = json!({
        "name": "Limited", "rateLimit": {"window": 86400, "count": 1000}, "browserSdkVersion": "9.x",
        "dynamicSdkLoaderOptions": loader,
    });
    let key = with_status(&ann.post_json(&keys, &limited), 201);
    assert_eq!(key["rateLimit"], limited["rateLimit"]);
    assert!(
        key["dsn"]
            .as_object()
            .expect("a map")
            .values()
            .all(Value::is_string)
    );
    let path = format!("{keys}{}/", key["id"].as_str().expect("an id"));
    let changed = with_status(&ann.put_json(&path, &limited), 200);
    assert_eq!(changed["browserSdkVersion"], "9.x");
    assert_no_drift(&loader, &changed["dynamicSdkLoaderOptions"]);
    assert_eq!(ok(&ann.get(&path)), changed);

    // How it writes that there is no limit.
    let unlimited = json!({"name": "Unlimited", "rateLimit": {"count": 0, "window": 0}});
    let key = with_status(&ann.post_json(&keys, &unlimited), 201);
    assert_eq!(key["rateLimit"], Value::Null);
    let other = format!("{keys}{}/", key["id"].as_str().expect("an id"));
    let limit =
        json!({"name": "Now limited", "rateLimit": {"window": 60, "count": 5}, "isActive": false});
    let changed = with_status(&ann.put_json(&other, &limit), 200);
    assert_no_drift(&limit, &changed);
    with_status(&ann.delete(&other), 204);
    assert_eq!(ann.get(&other).status, 404);
    assert_eq!(each(&ok(&ann.get(&keys)), "name"), [&json!("Limited")]);
}

fn filters(ann: &Client) {
    let filters = "/api/0/projects/acme/web-shop/filters/";
    let set = |name: &str, body: Value| {
        with_status(&ann.put_json(&format!("{filters}{name}/"), &body), 204);
        let list = ok(&ann.get(filters));
        let found = list.as_array().expect("a list").iter();
        let mut found = found.filter(|filter| filter["id"] == name);
        found.next().expect("the filter")["active"].clone()
    };
    for name in [
        "browser-extensions",
        "localhost",
        "web-crawlers",
        "filtered-transaction",
    ] {
        for active in [true, false] {
            assert_eq!(
                set(name, json!({"active": active})),
                json!(active),
                "{name}"
            );
        }
    }
    let browsers = json!({"subfilters": ["safari", "ie"]});
    assert_eq!(set("legacy-browsers", browsers), json!(["ie", "safari"]));
    assert_eq!(
        set("legacy-browsers", json!({"subfilters": []})),
        json!(false)
    );
}

fn ownership(ann: &Client) {
    let ownership = "/api/0/projects/acme/web-shop/ownership/";
    for body in [
        json!({
            "raw": "path:src/* #web-crew\nurl:*/pay/* ann@example.test", "fallthrough": false,
            "autoAssignment": "Turn off Auto-Assignment", "codeownersAutoSync": false,
        }),
        json!({
            "raw": "tags.shop:north #ops", "fallthrough": true, "autoAssignment": "Auto Assign to Suspect Commits",
            "codeownersAutoSync": true,
        }),
    ] {
        // Owners must have access to the project.
        let teams = "/api/0/projects/acme/web-shop/teams/ops/";
        with_status(&ann.post_json(teams, &json!({})), 201);
        assert_no_drift(&body, &with_status(&ann.put_json(ownership, &body), 200));
        assert_no_drift(&body, &ok(&ann.get(ownership)));
    }
}

/// One who is invited, and one who is there and gets another role in a team.
fn members(ann: &Client) {
    let members = "/api/0/organizations/acme/members/";
    let invitation = json!({"email": "bo@example.test", "orgRole": "member", "sendInvite": false});
    let invited = with_status(&ann.post_json(members, &invitation), 201);
    let path = format!("{members}{}/", invited["id"].as_str().expect("an id"));
    let read = ok(&ann.get(&path));
    assert_eq!(
        (&read["email"], &read["orgRole"]),
        (&json!("bo@example.test"), &json!("member"))
    );
    let changed = with_status(&ann.put_json(&path, &json!({"orgRole": "manager"})), 200);
    assert_eq!(changed["orgRole"], "manager");
    assert_eq!(ok(&ann.get(&path))["orgRole"], "manager");
    with_status(&ann.delete(&path), 204);
    assert_eq!(ann.get(&path).status, 404);

    let list = ok(&ann.get(members));
    let mut found = list.as_array().expect("a list").iter();
    let bob = found
        .find(|member| member["email"] == "bob@example.test")
        .expect("bob");
    let bob = format!("{members}{}/", bob["id"].as_str().expect("an id"));
    let seat = format!("{bob}teams/web-crew/");
    let joined = with_status(&ann.post_json(&seat, &json!({})), 201);
    assert_eq!(joined["slug"], "web-crew");
    for role in ["admin", "contributor"] {
        let changed = with_status(&ann.put_json(&seat, &json!({"teamRole": role})), 200);
        assert_eq!(changed["teamRole"], role);
        let roles = ok(&ann.get(&bob))["teamRoles"].clone();
        let seats = roles.as_array().expect("a list");
        let seat = seats.iter().find(|seat| seat["teamSlug"] == "web-crew");
        assert_eq!(seat.expect("a seat")["role"], role);
    }
    with_status(&ann.delete(&seat), 200);
    let teams = ok(&ann.get(&bob))["teams"].clone();
    assert_eq!(teams, json!(["ops"]));
}
