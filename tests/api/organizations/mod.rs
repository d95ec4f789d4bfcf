//! `/api/0/organizations/` and below (facts/management-api.md 3).

mod api_keys;
mod audit_log;
mod auth_provider;
mod members;
mod org_auth_tokens;
mod project_keys;
mod projects;
mod settings;
mod stats_summary;
mod stats_v2;

use serde_json::json;

use super::*;

const LIST: &str = "/api/0/organizations/";

fn summary(server: &Server, id: &Value, slug: &str, name: &str) -> Value {
    json!({
        "id": id, "slug": slug, "name": name,
        "status": {"id": "active", "name": "active"},
        "dateCreated": "2026-01-02T00:00:00Z",
        "isEarlyAdopter": false, "require2FA": false, "requireEmailVerification": false,
        "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
        "allowMemberInvite": true, "allowMemberProjectCreation": true, "allowSuperuserAccess": true,
        "links": {"organizationUrl": server.url_prefix(), "regionUrl": server.url_prefix()},
        "hasAuthProvider": false,
        "features": [],
    })
}

/// Ann also becomes a member of `beta`, which is a second younger than `acme`.
fn in_both(server: &Server) {
    server
        .database()
        .execute_batch(
            "UPDATE organization SET created_us = created_us + 1000000 WHERE slug = 'beta';
             INSERT INTO member (organization_id, user_id, role, created_us)
             SELECT organization.id, user.id, 'member', 0 FROM organization, user
             WHERE slug = 'beta' AND email = 'ann@example.test';",
        )
        .expect("an update");
}

fn slugs(answer: &Answer) -> Vec<String> {
    each(&ok(answer), "slug")
        .into_iter()
        .map(|slug| slug.as_str().expect("a slug").to_owned())
        .collect()
}

#[test]
fn a_caller_lists_its_own() {
    let server = world();
    let answer = ann(&server).get(LIST);
    let list = ok(&answer);
    let id = list[0]["id"].clone();
    assert!(id.is_string());
    assert_eq!(list, json!([summary(&server, &id, "acme", "Acme")]));
    for rel in ["previous", "next"] {
        let (_, results, _) = link(&answer, rel);
        assert!(!results);
    }
    assert_eq!(slugs(&server.with_token(EVE).get(LIST)), ["beta"]);
    assert_eq!(slugs(&server.with_token(ORG_ROBOT).get(LIST)), ["acme"]);
    assert!(slugs(&server.with_token(ZOE).get(LIST)).is_empty());
}

#[test]
fn the_newest_come_first_and_pages_follow_each_other() {
    let server = world();
    in_both(&server);
    let ann = ann(&server);
    assert_eq!(slugs(&ann.get(LIST)), ["beta", "acme"]);
    let first = ann.get(&format!("{LIST}?per_page=1"));
    assert_eq!(slugs(&first), ["beta"]);
    let (_, results, _) = link(&first, "previous");
    assert!(!results);
    let (next, results, cursor) = link(&first, "next");
    let beta = ok(&first)[0]["id"].clone();
    let beta = beta.as_str().expect("an id");
    assert_eq!((results, cursor), (true, format!("1767312001000:{beta}:0")));
    assert!(next.contains("?per_page=1&cursor="));
    let second = ann.get(&path_of(&server, &next));
    assert_eq!(slugs(&second), ["acme"]);
    let (_, results, _) = link(&second, "next");
    assert!(!results);
    let (previous, results, _) = link(&second, "previous");
    assert!(results);
    assert_eq!(slugs(&ann.get(&path_of(&server, &previous))), ["beta"]);
}

/// As an apply file makes them: all at one moment.
#[test]
fn organizations_of_one_moment_are_each_on_one_page() {
    let server = world();
    server
        .database()
        .execute_batch(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 4)
             INSERT INTO organization (slug, name, created_us)
             SELECT 'org-' || n, 'Org ' || n, 1767312000000000 FROM number;
             INSERT INTO member (organization_id, user_id, role, created_us)
             SELECT organization.id, user.id, 'member', 0 FROM organization, user
             WHERE slug LIKE 'org-%' AND email = 'ann@example.test';",
        )
        .expect("rows");
    let ann = ann(&server);
    let page = |target: &str, rel: &str| {
        let answer = ann.get(target);
        let (target, results, _) = link(&answer, rel);
        (slugs(&answer), results.then(|| path_of(&server, &target)))
    };
    let (first, next) = page(&format!("{LIST}?per_page=2"), "next");
    let (second, next) = page(&next.expect("a page"), "next");
    assert_eq!(
        (first, second),
        (
            vec!["org-4".to_owned(), "org-3".to_owned()],
            vec!["org-2".to_owned(), "org-1".to_owned()]
        )
    );
    let next = next.expect("a page");
    // The row that the cursor names goes meanwhile: the page after it is the same.
    let gone = "UPDATE organization SET deleted_us = 1, slug = 'org-1~' WHERE slug = 'org-1'";
    server.database().execute(gone, []).expect("an update");
    let (third, last) = page(&next, "next");
    assert_eq!((third, last), (vec!["acme".to_owned()], None));
    let (_, back) = page(&next, "previous");
    let (second, back) = page(&back.expect("a page"), "previous");
    assert_eq!(second, ["org-3", "org-2"]);
    let (first, back) = page(&back.expect("a page"), "previous");
    assert_eq!((first, back), (vec!["org-4".to_owned()], None));
}

#[test]
fn the_most_members_come_first_when_asked() {
    let server = world();
    in_both(&server);
    // Both have two: ann and bob, eve and ann. A third one makes acme the larger.
    server
        .database()
        .execute_batch(
            "INSERT INTO member (organization_id, user_id, role, created_us)
             SELECT organization.id, user.id, 'member', 0 FROM organization, user
             WHERE slug = 'acme' AND email = 'zoe@example.test';",
        )
        .expect("an update");
    let ann = ann(&server);
    let answer = ann.get(&format!("{LIST}?sortBy=members"));
    assert_eq!(slugs(&answer), ["acme", "beta"]);
    let (_, _, cursor) = link(&answer, "previous");
    assert_eq!(cursor, "100:-1:1");
    let second = ann.get(&format!("{LIST}?sortBy=members&per_page=1&cursor=1:1:0"));
    assert_eq!(slugs(&second), ["beta"]);
}

#[test]
fn a_query_leaves_some_out() {
    let server = world();
    in_both(&server);
    let id = ok(&ann(&server).get("/api/0/organizations/acme/"))["id"].clone();
    let id = format!("id:{}", id.as_str().expect("an id"));
    for (query, expected) in [
        ("acm", vec!["acme"]),
        ("ET", vec!["beta"]),
        ("eve@example.test", vec!["beta"]),
        ("slug:ACME", vec!["acme"]),
        ("slug:acme+slug:beta", vec!["beta", "acme"]),
        ("email:bob@example.test", vec!["acme"]),
        (id.as_str(), vec!["acme"]),
        ("id:x", vec![]),
        ("status:active", vec!["beta", "acme"]),
        ("status:pending_deletion", vec![]),
        (
            "status:active+status:pending_deletion",
            vec!["beta", "acme"],
        ),
        ("status:active+status:asleep", vec![]),
        ("unknown:key", vec![]),
        ("nothing", vec![]),
        ("", vec!["beta", "acme"]),
    ] {
        let answer = ann(&server).get(&format!("{LIST}?query={query}"));
        assert_eq!(slugs(&answer), expected, "{query}");
    }
}

#[test]
fn an_owner_learns_whether_there_is_another() {
    let server = world();
    in_both(&server);
    for flag in ["1", "true"] {
        let answer = ann(&server).get(&format!("{LIST}?owner={flag}"));
        let list = ok(&answer);
        let id = list[0]["organization"]["id"].clone();
        assert_eq!(
            list,
            json!([{"organization": summary(&server, &id, "acme", "Acme"), "singleOwner": true}])
        );
        assert_eq!(answer.header("Link"), None);
    }
    server
        .database()
        .execute("UPDATE member SET role = 'owner'", [])
        .expect("an update");
    let list = ok(&ann(&server).get(&format!("{LIST}?owner=1")));
    assert_eq!(each(&list, "singleOwner"), [false, false]);
    // No user, no owner: the parameter is ignored.
    let robot = server.with_token(ORG_ROBOT).get(&format!("{LIST}?owner=1"));
    assert_eq!(slugs(&robot), ["acme"]);
}

#[test]
fn wrong_pages_are_refused() {
    let server = world();
    for (query, text) in [
        ("per_page=x", "Invalid per_page parameter."),
        (
            "per_page=101",
            "Invalid per_page value. Must be between 1 and 100.",
        ),
        (
            "per_page=0",
            "Invalid per_page value. Must be between 1 and 100.",
        ),
        ("cursor=x", "Invalid cursor parameter."),
        ("cursor=1:2", "Invalid cursor parameter."),
        (
            "sortBy=members&cursor=100:-1:1",
            "Pagination offset cannot be negative",
        ),
    ] {
        let answer = ann(&server).get(&format!("{LIST}?{query}"));
        assert_answer(&answer, 400, &format!("{{\"detail\":\"{text}\"}}"));
    }
    // What sentry-cli always sends.
    assert_eq!(
        slugs(&ann(&server).get(&format!("{LIST}?cursor="))),
        ["acme"]
    );
}

#[test]
fn the_detail_has_settings_teams_and_projects() {
    let server = world();
    let body = ok(&ann(&server).get("/api/0/organizations/acme/"));
    let mut expected = summary(&server, &body["id"], "acme", "Acme");
    expected
        .as_object_mut()
        .expect("an object")
        .remove("features");
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}");
    }
    assert_eq!(body.get("features"), None);
    assert_eq!(body.get("extraOptions"), None);
    assert_eq!(
        (&body["role"], &body["orgRole"]),
        (&json!("owner"), &json!("owner"))
    );
    assert_eq!(body["onboardingTasks"], json!([]));
    for (name, value) in [
        ("defaultRole", json!("member")),
        ("openMembership", json!(true)),
        ("allowSharedIssues", json!(true)),
        ("enhancedPrivacy", json!(false)),
        ("dataScrubber", json!(false)),
        ("sensitiveFields", json!([])),
        ("storeCrashReports", json!(0)),
        ("attachmentsRole", json!("member")),
        ("debugFilesRole", json!("admin")),
        ("eventsMemberAdmin", json!(true)),
        ("scrubIPAddresses", json!(false)),
        ("scrapeJavaScript", json!(true)),
        ("allowJoinRequests", json!(true)),
        ("relayPiiConfig", Value::Null),
        ("trustedRelays", json!([])),
        ("pendingAccessRequests", json!(0)),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert!(
        body["access"]
            .as_array()
            .expect("scopes")
            .contains(&json!("org:admin"))
    );
    let roles = &body["orgRoleList"];
    assert_eq!(each(roles, "id"), ["member", "admin", "manager", "owner"]);
    assert_eq!(
        each(roles, "minimumTeamRole"),
        ["contributor", "admin", "admin", "admin"]
    );
    assert_eq!(each(roles, "isRetired"), [false, true, false, false]);
    assert_eq!(each(roles, "isAllowed"), [true, true, true, true]);
    assert_eq!(each(roles, "is_global"), [false, false, true, true]);
    let team_roles = &body["teamRoleList"];
    assert_eq!(each(team_roles, "id"), ["contributor", "admin"]);
    assert_eq!(
        each(team_roles, "isMinimumRoleFor"),
        [&Value::Null, &json!("admin")]
    );
    assert_eq!(each(&body["projects"], "slug"), ["bare", "shop", "web"]);
    let core = &body["teams"][0];
    let access = &core["access"];
    assert!(
        access
            .as_array()
            .expect("scopes")
            .contains(&json!("team:admin"))
    );
    assert_eq!(
        *core,
        json!({
            "id": core["id"].as_str().expect("an id"), "slug": "core", "name": "Core",
            "dateCreated": "2026-01-02T00:00:00Z", "isMember": true, "teamRole": "admin",
            "flags": {"idp:provisioned": false}, "access": access, "hasAccess": true, "isPending": false,
            "memberCount": 1,
            "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
        })
    );
    let ops = &body["teams"][1];
    assert_eq!(
        (&ops["isMember"], &ops["teamRole"], &ops["name"]),
        (&json!(false), &Value::Null, &json!("ops"))
    );
}

#[test]
fn the_detail_can_be_shorter_and_longer() {
    let server = world();
    let short = ok(&ann(&server).get("/api/0/organizations/acme/?detailed=0"));
    assert_eq!((short.get("teams"), short.get("projects")), (None, None));
    assert_eq!(short["defaultRole"], "member");
    let flags = |value: &str| {
        let target = format!("/api/0/organizations/acme/?include_feature_flags={value}");
        ok(&ann(&server).get(&target))
    };
    let long = flags("1");
    assert_eq!(long["features"], json!([]));
    assert!(long["extraOptions"]["traces"].is_object());
    assert_eq!(flags("0").get("features"), None);
}

#[test]
fn a_token_of_the_organization_has_no_role() {
    let server = world();
    let body = ok(&server
        .with_token(ORG_ROBOT)
        .get("/api/0/organizations/acme/"));
    assert_eq!((body.get("role"), body.get("orgRole")), (None, None));
    assert_eq!(
        body["access"],
        json!(["org:read", "project:admin", "project:read", "project:write"])
    );
    assert_eq!(each(&body["teams"], "hasAccess"), [true, true]);
    assert_eq!(each(&body["teams"], "isMember"), [false, false]);
}
