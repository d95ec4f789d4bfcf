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
    // Nothing changes nothing, and null takes the limit away.
    assert_eq!(ok(&ann.put_json(ACME, &json!({})))["name"], "Acme Ltd");
    assert_eq!(
        ok(&ann.put_json(ACME, &json!({"defaultRateLimit": null})))["defaultRateLimit"],
        Value::Null
    );
    let (event, data): (String, String) = server
        .database()
        .query_row(
            "SELECT event, data FROM audit_entry WHERE data LIKE '%Acme Ltd%'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an entry");
    let data: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(
        (event.as_str(), &data["name"]),
        ("org.edit", &json!("from Acme to Acme Ltd"))
    );
    assert_eq!(data["openMembership"], "from true to false");
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
            json!({"require2FA": ["Two-factor authentication cannot be required yet: nobody can enroll."]}),
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
    assert_answer(&ann.get(ACME), 404, NOT_FOUND);
    assert_answer(&ann.delete(ACME), 404, NOT_FOUND);
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
