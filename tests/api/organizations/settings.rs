//! `POST /api/0/organizations/`, `PUT O/` and `DELETE O/`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::*;

const ALL: &str = "/api/0/organizations/";
const ACME: &str = "/api/0/organizations/acme/";

fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[test]
fn create_makes_the_caller_the_owner() {
    let server = world();
    let ann = ann(&server);
    let body = json!({"name": "Gamma Ltd", "slug": "Gamma", "defaultTeam": true});
    let organization = made(&ann.post_json(ALL, &body));
    assert_eq!(
        (&organization["slug"], &organization["name"]),
        (&json!("Gamma"), &json!("Gamma Ltd"))
    );
    assert_eq!(organization["role"], "owner");
    assert_eq!(organization["features"], json!([]));
    assert_eq!(each(&organization["teams"], "name"), ["Gamma Ltd"]);
    assert_eq!(organization["teams"][0]["isMember"], true);
    // It is the newest of the caller's.
    assert_eq!(each(&ok(&ann.get(ALL)), "slug"), ["Gamma", "acme"]);

    let consenting = made(&ann.post_json(
        ALL,
        &json!({"name": "Delta", "aggregatedDataConsent": true}),
    ));
    assert_eq!(consenting["aggregatedDataConsent"], true);

    let derived = made(&ann.post_json(ALL, &json!({"name": "My Örg_1"})));
    assert_eq!(
        (&derived["slug"], &derived["teams"]),
        (&json!("my-org-1"), &json!([]))
    );
    let again = made(&ann.post_json(ALL, &json!({"name": "My Örg_1"})));
    assert!(
        again["slug"]
            .as_str()
            .is_some_and(|slug| slug.starts_with("my-org-1-"))
    );
}

#[test]
fn create_refuses_what_is_wrong() {
    let server = world();
    let ann = ann(&server);
    for (body, expected) in [
        (json!({}), json!({"name": ["This field is required."]})),
        (
            json!({"name": ""}),
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"name": "x".repeat(65)}),
            json!({"name": ["Ensure this field has no more than 64 characters."]}),
        ),
        (
            json!({"name": "a", "slug": "ab"}),
            json!({"slug": ["This slug \"ab\" is too short. Minimum of 3 characters."]}),
        ),
        (
            json!({"name": "a", "slug": "api"}),
            json!({"slug": ["This slug \"api\" is reserved and not allowed."]}),
        ),
        (
            json!({"name": "a", "slug": "a_b"}),
            json!({"slug": ["Enter a valid slug consisting of letters, numbers, or hyphens. It cannot be entirely numeric."]}),
        ),
        (
            json!({"name": "a", "slug": "ACME"}),
            json!({"slug": ["The slug \"ACME\" is already in use."]}),
        ),
        (
            json!({"name": "a", "dataStorageLocation": "moon"}),
            json!({"dataStorageLocation": ["Unknown data storage location 'moon'."]}),
        ),
    ] {
        let answer = ann.post_json(ALL, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    let admin = format!(
        "{WORLD}{}",
        r#"
[[organization]]
slug = "delta"

  [[organization.token]]
  name = "all"
  token = "sntrys_00000000000000000000000000000000000000000000000000000000000000d9"
  scopes = ["org:admin"]
"#
    );
    let server = Server::start(&admin);
    let token = server
        .with_token("sntrys_00000000000000000000000000000000000000000000000000000000000000d9");
    let answer = token.post_json(ALL, &json!({"name": "x"}));
    assert_answer(
        &answer,
        401,
        r#"{"detail":"This endpoint requires user info"}"#,
    );
    let answer = token.delete("/api/0/organizations/delta/");
    assert_answer(
        &answer,
        401,
        r#"{"detail":"This request requires an authenticated user."}"#,
    );
}

#[test]
fn of_two_creations_with_one_slug_one_wins() {
    let server = world();
    let clients = [ann(&server), server.with_token(EVE)];
    for round in 0..100 {
        let slug = format!("race-{round}");
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let runs = clients.each_ref().map(|client| {
                let body = json!({"name": "Race", "slug": slug});
                scope.spawn(move || client.post_json(ALL, &body).status)
            });
            runs.into_iter()
                .map(|run| run.join().expect("an answer"))
                .collect()
        });
        statuses.sort_unstable();
        assert!(
            statuses[0] == 201 && [400, 409].contains(&statuses[1]),
            "{statuses:?}"
        );
    }
}

#[test]
fn every_setting_reads_back_as_it_was_set() {
    let server = world();
    let ann = ann(&server);
    let settings = json!({
        "name": "Acme Ltd", "isEarlyAdopter": true, "hideAiFeatures": false, "openMembership": false,
        "allowSharedIssues": false, "allowMemberInvite": false, "allowMemberProjectCreation": false,
        "allowSuperuserAccess": false, "enhancedPrivacy": true, "dataScrubber": true, "dataScrubberDefaults": true,
        "sensitiveFields": ["iban", "card"], "safeFields": ["ok"], "scrubIPAddresses": true,
        "scrapeJavaScript": false, "storeCrashReports": -1, "attachmentsRole": "manager", "debugFilesRole": "owner",
        "eventsMemberAdmin": false, "alertsMemberWrite": false, "allowJoinRequests": false,
        "issueAlertsThreadFlag": false, "metricAlertsThreadFlag": false, "defaultRole": "manager",
        "defaultRateLimit": {"count": 9, "window": 60},
    });
    let changed = ok(&ann.put_json(ACME, &settings));
    let read = ok(&ann.get(ACME));
    for (field, value) in settings.as_object().expect("an object") {
        assert_eq!((&changed[field], &read[field]), (value, value), "{field}");
    }
    assert_eq!(changed["aggregatedDataConsent"], false);
    // The summary says the same wherever it stands.
    for summary in [
        &ok(&ann.get(ALL))[0],
        &ok(&ann.get("/api/0/projects/"))[0]["organization"],
        &ok(&ann.get("/api/0/projects/acme/web/"))["organization"],
    ] {
        for field in [
            "name",
            "isEarlyAdopter",
            "allowSuperuserAccess",
            "allowMemberInvite",
        ] {
            assert_eq!(summary[field], settings[field], "{field}");
        }
    }
    // Nothing changes nothing, and null takes the limit away.
    assert_eq!(ok(&ann.put_json(ACME, &json!({})))["name"], "Acme Ltd");
    assert_eq!(
        ok(&ann.put_json(ACME, &json!({"defaultRateLimit": null})))["defaultRateLimit"],
        Value::Null
    );
}

/// What the audit log has about settings of `acme`, oldest first.
fn edits(server: &Server) -> Vec<Value> {
    let database = server.database();
    let mut statement = database
        .prepare("SELECT data FROM audit_entry WHERE event = 'org.edit' AND actor_user_id IS NOT NULL ORDER BY id")
        .expect("a log");
    let rows = statement
        .query_map([], |row| row.get::<_, String>(0))
        .expect("rows");
    rows.map(|data| serde_json::from_str(&data.expect("a row")).expect("JSON"))
        .collect()
}

#[test]
fn one_change_is_one_entry_of_the_audit_log() {
    let server = world();
    let ann = ann(&server);
    let change = json!({
        "name": "Acme Ltd", "openMembership": false, "isEarlyAdopter": false, "dataScrubber": true,
        "sensitiveFields": ["iban", "card"], "storeCrashReports": 5, "defaultRateLimit": {"count": 9, "window": 60},
    });
    ok(&ann.put_json(ACME, &change));
    // The same once more, and nothing at all, are no changes.
    ok(&ann.put_json(ACME, &change));
    ok(&ann.put_json(ACME, &json!({})));
    ok(&ann.put_json(
        ACME,
        &json!({"storeCrashReports": 10, "defaultRateLimit": null}),
    ));
    assert_eq!(
        edits(&server),
        [
            json!({
                "name": "from Acme to Acme Ltd", "openMembership": "from true to false", "dataScrubber": "to true",
                "sensitiveFields": "to iban, card", "storeCrashReports": "to 5",
                "defaultRateLimit": "to {\"count\":9,\"window\":60}",
            }),
            json!({
                "storeCrashReports": "from 5 to 10",
                "defaultRateLimit": "from {\"count\":9,\"window\":60} to none",
            }),
        ]
    );
}

#[test]
fn a_refused_change_writes_nothing() {
    let server = world();
    let ann = ann(&server);
    let before = ok(&ann.get(ACME));
    let body = json!({"name": "New", "slug": "new-slug", "openMembership": false, "dataScrubber": true, "safeFields": 5});
    assert_eq!(ann.put_json(ACME, &body).status, 400);
    assert_eq!(ok(&ann.get(ACME)), before);
    assert_eq!(edits(&server), [json!(null); 0]);
}

#[test]
fn what_plain_members_may_do_holds_at_once() {
    const KIM: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000d1";
    let server = Server::start(&format!(
        r#"{WORLD}
[[user]]
email = "kim@example.test"
roles = {{ acme = "member" }}
teams = {{ acme = ["ops"] }}

  [[user.token]]
  name = "laptop"
  token = "{KIM}"
  scopes = ["org:read", "project:write", "member:admin", "event:admin", "alerts:write"]
"#
    ));
    let kim = server.with_token(KIM);
    let ann = ann(&server);
    let lacks = |scope: &str| {
        let access = ok(&kim.get(&format!("{ACME}?detailed=0")))["access"].clone();
        !access.as_array().expect("scopes").contains(&json!(scope))
    };
    for (setting, scope) in [
        ("allowMemberInvite", "member:invite"),
        ("eventsMemberAdmin", "event:admin"),
        ("alertsMemberWrite", "alerts:write"),
    ] {
        assert!(!lacks(scope), "{setting}");
        ok(&ann.put_json(ACME, &json!({setting: false})));
        assert!(lacks(scope), "{setting}");
        ok(&ann.put_json(ACME, &json!({setting: true})));
        assert!(!lacks(scope), "{setting}");
    }
    let projects = "/api/0/teams/acme/ops/projects/";
    assert_eq!(kim.post_json(projects, &json!({"name": "one"})).status, 201);
    ok(&ann.put_json(ACME, &json!({"allowMemberProjectCreation": false})));
    assert_answer(
        &kim.post_json(projects, &json!({"name": "two"})),
        403,
        r#"{"detail":"Your organization has disabled this feature for members."}"#,
    );
}

#[test]
fn only_an_owner_says_which_role_new_members_have() {
    let server = world();
    server
        .database()
        .execute(
            "UPDATE member SET role = 'manager' WHERE user_id = (SELECT id FROM user WHERE name = 'Bob')",
            [],
        )
        .expect("an update");
    let body = json!({"defaultRole": "manager", "storeCrashReports": 1});
    // As a field that nobody knows.
    let of_manager = ok(&server.with_token(BOB).put_json(ACME, &body));
    assert_eq!(
        (&of_manager["defaultRole"], &of_manager["storeCrashReports"]),
        (&json!("member"), &json!(1))
    );
    let of_owner = ok(&ann(&server).put_json(ACME, &body));
    assert_eq!(of_owner["defaultRole"], "manager");
    assert_answer(&server.with_token(BOB).delete(ACME), 403, NO_PERMISSION);
}

#[test]
fn update_refuses_what_is_wrong_and_what_is_not_there() {
    let server = world();
    let ann = ann(&server);
    let role = json!(["\"king\" is not a valid choice."]);
    for (body, expected) in [
        (
            json!({"slug": "beta"}),
            json!({"slug": ["The slug \"beta\" is already in use."]}),
        ),
        (
            json!({"name": ""}),
            json!({"name": ["This field may not be blank."]}),
        ),
        (
            json!({"openMembership": "maybe"}),
            json!({"openMembership": ["Must be a valid boolean."]}),
        ),
        (
            json!({"storeCrashReports": 101}),
            json!({"storeCrashReports": ["Ensure this value is less than or equal to 100."]}),
        ),
        (
            json!({"storeCrashReports": null}),
            json!({"storeCrashReports": ["This field may not be null."]}),
        ),
        (
            json!({"storeCrashReports": ""}),
            json!({"storeCrashReports": ["A valid integer is required."]}),
        ),
        (
            json!({"relayDsnEndpoint": "https://relay.example.test", "avatar": "aGk="}),
            json!({
                "relayDsnEndpoint": ["A Relay of your own is not supported by this server."],
                "avatar": ["Uploaded avatars are not supported by this server."],
            }),
        ),
        (
            json!({"attachmentsRole": "king", "defaultRole": "king"}),
            json!({"attachmentsRole": role, "defaultRole": role}),
        ),
        (
            json!({"sensitiveFields": ["x".repeat(4001)]}),
            json!({"sensitiveFields": ["List of sensitive fields is too long."]}),
        ),
        (
            json!({"sensitiveFields": ["ok", null]}),
            json!({"sensitiveFields": {"1": ["This field may not be null."]}}),
        ),
        (
            json!({"require2FA": true}),
            json!({"require2FA": ["Set up a second factor for your own account first."]}),
        ),
        (
            json!({"relayPiiConfig": "{}"}),
            json!({"relayPiiConfig": ["Advanced data scrubbing rules are not supported by this server."]}),
        ),
        (
            json!({"trustedRelays": [{"name": "r", "publicKey": "k"}]}),
            json!({"trustedRelays": ["Trusted relays are not supported by this server."]}),
        ),
        (
            json!({"avatarType": "upload"}),
            json!({"avatarType": ["\"upload\" is not a valid choice."]}),
        ),
        (
            json!({"defaultRateLimit": {"count": 1}}),
            json!({"defaultRateLimit": {"window": ["This field is required."]}}),
        ),
    ] {
        let answer = ann.put_json(ACME, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    assert_eq!(ok(&ann.get(ACME))["name"], "Acme");
    // What says the same as now is no error.
    let same = json!({"require2FA": false, "relayPiiConfig": "", "trustedRelays": [], "relayDsnEndpoint": null});
    ok(&ann.put_json(ACME, &same));
}

#[test]
fn a_new_slug_holds_at_once_and_the_old_one_is_free() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(
        ok(&ann.put_json(ACME, &json!({"slug": "acme-two"})))["slug"],
        "acme-two"
    );
    assert_answer(&ann.get(ACME), 404, NOT_FOUND);
    assert_eq!(
        ok(&ann.get("/api/0/organizations/acme-two/"))["slug"],
        "acme-two"
    );
    made(&ann.post_json(ALL, &json!({"name": "New", "slug": "acme"})));
}

#[test]
fn closed_membership_hides_projects_at_once() {
    let server = world();
    let bob = server.with_token(BOB);
    let web = "/api/0/projects/acme/web/";
    ok(&bob.get(web));
    ok(&ann(&server).put_json(ACME, &json!({"openMembership": false})));
    assert_answer(&bob.get(web), 403, NO_PERMISSION);
    ok(&bob.get("/api/0/projects/acme/shop/"));
}

#[test]
fn what_is_scrubbed_and_limited_governs_the_next_event() {
    let server = world();
    let ann = ann(&server);
    ok(&ann.put_json(ACME, &json!({
        "sensitiveFields": ["colour"], "scrubIPAddresses": true, "defaultRateLimit": {"count": 1, "window": 3600},
    })));
    let id = "c".repeat(32);
    let event = json!({
        "event_id": id, "extra": {"colour": "mauve"}, "user": {"ip_address": "203.0.113.9"},
    });
    let path = format!("/api/31/store/?sentry_key={KEY}");
    assert_eq!(
        server
            .client()
            .post(&path, event.to_string().as_bytes())
            .status,
        200
    );
    let stored = server.event(&id);
    assert_eq!(stored["extra"]["colour"], "[Filtered]");
    assert!(stored["user"]["ip_address"].is_null());
    let second = server.client().post(&path, br#"{"message":"x"}"#);
    assert_eq!(second.status, 429);
}

#[test]
fn attachments_are_for_the_role_that_was_set() {
    let server = world();
    let id = "a".repeat(32);
    insert_event(&server, 31, 0, &id, br#"{"message":"x"}"#);
    let attachment = attach(&server, &id, "a.txt", None, b"secret", None);
    let path = format!("/api/0/projects/acme/web/events/{id}/attachments/{attachment}/?download=1");
    let bob = server.with_token(BOB);
    assert_eq!(bob.get(&path).status, 200);
    ok(&ann(&server).put_json(ACME, &json!({"attachmentsRole": "manager"})));
    assert_answer(&bob.get(&path), 403, NO_PERMISSION);
    assert_eq!(ann(&server).get(&path).body, b"secret");
}

#[test]
fn delete_hides_everything_at_once_and_frees_the_slug() {
    let server = world();
    let ann = ann(&server);
    let gone = ann.delete(ACME);
    assert_eq!(gone.status, 202, "{}", gone.text());
    let body = gone.json();
    assert_eq!(
        body["status"],
        json!({"id": "pending_deletion", "name": "pending deletion"})
    );
    assert_eq!(body["slug"], "acme");
    let id = body["id"].as_str().expect("an id");
    // Also under the slug that its row has meanwhile.
    for name in ["acme", id, &format!("acme~{id}")] {
        let target = format!("{ALL}{name}/");
        assert_answer(&ann.get(&target), 404, NOT_FOUND);
        assert_answer(&ann.delete(&target), 404, NOT_FOUND);
    }
    assert_eq!(ok(&ann.get(ALL)), json!([]));
    assert_eq!(ok(&ann.get("/api/0/projects/")), json!([]));
    assert_answer(
        &server.with_token(ORG_ROBOT).get("/api/0/"),
        401,
        r#"{"detail":"Invalid org token"}"#,
    );
    let event = server.client().post(
        &format!("/api/31/store/?sentry_key={KEY}"),
        br#"{"message":"x"}"#,
    );
    assert_eq!(event.status, 403);
    made(&ann.post_json(ALL, &json!({"name": "Acme", "slug": "acme"})));
    // The rows go by themselves.
    let deadline = Instant::now() + Duration::from_secs(20);
    let left = || -> i64 {
        server
            .database()
            .query_row(
                "SELECT count(*) FROM project WHERE id IN (31, 32, 33)",
                [],
                |row| row.get(0),
            )
            .expect("a count")
    };
    while left() > 0 {
        assert!(Instant::now() < deadline, "rows are left");
        std::thread::sleep(Duration::from_millis(20));
    }
}
