//! Compares real answers with the published schema of their endpoints, field by field.
//!
//! Where the facts overrule the schema, the deviation stands in [`DEVIATIONS`] with its fact. One that no longer
//! occurs fails the test, so that the list stays true.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::support::{schema, shared};

/// Where answers are not as the schema says.
struct Deviation {
    endpoint: &'static str,
    /// What the schema has against it.
    complaint: &'static str,
    places: &'static [&'static str],
    /// What says otherwise.
    #[expect(dead_code, reason = "for the reader")]
    fact: &'static str,
}

const EFFECTIVE_RATE_LIMIT: &str = "ours: a limit that the key has from its organization, and when it ends, are shown nowhere else";

const OLD_ROLE: &str = "management-api.md 11.3: older clients read these";

const NO_PICTURE: &str = "ours: no other server is asked for pictures";

const DEVIATIONS: [Deviation; 17] = [
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/members/",
        complaint: "is not in the schema",
        places: &["$[].role", "$[].roleName"],
        fact: OLD_ROLE,
    },
    Deviation {
        endpoint: "get /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/members/",
        complaint: "is not in the schema",
        places: &["$[].role", "$[].roleName"],
        fact: OLD_ROLE,
    },
    Deviation {
        endpoint: "post /api/0/organizations/{organization_id_or_slug}/members/",
        complaint: "is not in the schema",
        places: &["$.invite_link", "$.role", "$.roleName"],
        fact: "ours: the link of an invitation is shown once, where it was made; management-api.md 11.3 for the roles",
    },
    Deviation {
        endpoint: "get /api/0/teams/{organization_id_or_slug}/{team_id_or_slug}/members/",
        complaint: "is null",
        places: &["$[].user", "$[].user.avatarUrl"],
        fact: "management-api.md 5.7: the code admits invitations; and no other server is asked for pictures",
    },
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/members/",
        complaint: "is null",
        places: &["$[].user.avatarUrl"],
        fact: NO_PICTURE,
    },
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/members/{member_id}/",
        complaint: "is null",
        places: &["$.user.avatarUrl"],
        fact: NO_PICTURE,
    },
    Deviation {
        endpoint: "put /api/0/organizations/{organization_id_or_slug}/members/{member_id}/",
        complaint: "is null",
        places: &["$.user.avatarUrl"],
        fact: NO_PICTURE,
    },
    Deviation {
        endpoint: "get /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/members/",
        complaint: "is null",
        places: &["$[].user.avatarUrl"],
        fact: NO_PICTURE,
    },
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/project-keys/",
        complaint: "is not in the schema",
        places: &["$[].effectiveRateLimit", "$[].expiresAt"],
        fact: EFFECTIVE_RATE_LIMIT,
    },
    Deviation {
        endpoint: "get /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/",
        complaint: "is not in the schema",
        places: &["$[].effectiveRateLimit", "$[].expiresAt"],
        fact: EFFECTIVE_RATE_LIMIT,
    },
    Deviation {
        endpoint: "get /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/{key_id}/",
        complaint: "is not in the schema",
        places: &["$.effectiveRateLimit", "$.expiresAt"],
        fact: EFFECTIVE_RATE_LIMIT,
    },
    Deviation {
        endpoint: "post /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/",
        complaint: "is not in the schema",
        places: &["$.effectiveRateLimit", "$.expiresAt"],
        fact: EFFECTIVE_RATE_LIMIT,
    },
    Deviation {
        endpoint: "put /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/{key_id}/",
        complaint: "is not in the schema",
        places: &["$.effectiveRateLimit", "$.expiresAt"],
        fact: EFFECTIVE_RATE_LIMIT,
    },
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/stats-summary/",
        complaint: "is an integer, not a string",
        places: &["$.projects[].id"],
        fact: "management-api.md 1.3: the schema says string, the code emits the integer",
    },
    Deviation {
        endpoint: "get /api/0/organizations/",
        complaint: "is not in the schema",
        places: &["$[].requireEmailVerification"],
        fact: "management-api.md 3.1 and 12: hidden from the document, and sentry-cli fails without it",
    },
    Deviation {
        endpoint: "get /api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/",
        complaint: "is not in the schema",
        places: &["$.organization.requireEmailVerification"],
        fact: "management-api.md 3.1: part of every organization",
    },
    Deviation {
        endpoint: "get /api/0/organizations/{organization_id_or_slug}/",
        complaint: "is not in the schema",
        places: &[
            "$.aggregatedDataConsent",
            "$.alertsMemberWrite",
            "$.allowJoinRequests",
            "$.allowSharedIssues",
            "$.attachmentsRole",
            "$.availableRoles",
            "$.dataScrubber",
            "$.dataScrubberDefaults",
            "$.debugFilesRole",
            "$.defaultRateLimit",
            "$.defaultRole",
            "$.enhancedPrivacy",
            "$.eventsMemberAdmin",
            "$.experiments",
            "$.hideAiFeatures",
            "$.isDefault",
            "$.isDynamicallySampled",
            "$.issueAlertsThreadFlag",
            "$.metricAlertsThreadFlag",
            "$.openMembership",
            "$.orgRole",
            "$.orgRoleList",
            "$.pendingAccessRequests",
            "$.projects",
            "$.quota",
            "$.relayDsnEndpoint",
            "$.relayPiiConfig",
            "$.requireEmailVerification",
            "$.requiresSso",
            "$.role",
            "$.safeFields",
            "$.scrapeJavaScript",
            "$.scrubIPAddresses",
            "$.sensitiveFields",
            "$.storeCrashReports",
            "$.teamRoleList",
            "$.teams",
            "$.trustedRelays",
        ],
        fact: "management-api.md 3.4: the document declares the summary, the code answers the detail object",
    },
];

/// The answers that are compared: method, path in the document, path here, status, body.
fn answers(server: &Server) -> Vec<(&'static str, &'static str, Answer)> {
    let ann = ann(server);
    let keys = "/api/0/projects/acme/web/keys/";
    let key = format!("{keys}{KEY}/");
    let limit = json!({"rateLimit": {"count": 5, "window": 60}});
    let events = "/api/0/projects/acme/web/events/";
    let attachments = format!("{events}{}/attachments/", "a".repeat(32));
    let (error, transaction) = (
        error_event(),
        json!({"transaction": "GET /", "timestamp": 1767312000.5}),
    );
    for (kind, digit, event) in [(0, "a", error), (2, "b", transaction)] {
        let event = event.to_string();
        insert_event(server, 31, kind, &digit.repeat(32), event.as_bytes());
    }
    let attachment = attach(
        server,
        &"a".repeat(32),
        "a.txt",
        Some("text/plain"),
        b"a",
        None,
    );
    let members = "/api/0/organizations/acme/members/";
    let seat = format!("{members}me/teams/ops/");
    vec![
        (
            "get",
            "/api/0/organizations/",
            ann.get("/api/0/organizations/"),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/",
            ann.get("/api/0/organizations/acme/?include_feature_flags=1"),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/projects/",
            ann.get(
                "/api/0/organizations/acme/projects/?statsPeriod=24h&options=filters:localhost",
            ),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/project-keys/",
            ann.get("/api/0/organizations/acme/project-keys/?project=-1"),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/",
            ann.get("/api/0/projects/acme/web/"),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/",
            ann.get(keys),
        ),
        (
            "post",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/",
            ann.post_json(keys, &limit),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/{key_id}/",
            ann.get(&key),
        ),
        (
            "put",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/{key_id}/",
            ann.put_json(&key, &limit),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/stats/",
            ann.get("/api/0/projects/acme/web/stats/"),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/",
            ann.get(events),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/",
            ann.get(&format!("{events}{}/", "a".repeat(32))),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/",
            ann.get(&format!("{events}{}/", "b".repeat(32))),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/attachments/",
            ann.get(&attachments),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/attachments/{attachment_id}/",
            ann.get(&format!("{attachments}{attachment}/")),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/stats_v2/",
            ann.get("/api/0/organizations/acme/stats_v2/?field=sum(quantity)&groupBy=category&groupBy=outcome"),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/stats-summary/",
            ann.get("/api/0/organizations/acme/stats-summary/?field=sum(quantity)"),
        ),
        (
            "post",
            "/api/0/organizations/{organization_id_or_slug}/members/",
            ann.post_json(
                members,
                &json!({"email": "zed@example.test", "teams": ["core"]}),
            ),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/members/",
            ann.get(&format!("{members}?expand=externalUsers")),
        ),
        (
            "get",
            "/api/0/organizations/{organization_id_or_slug}/members/{member_id}/",
            ann.get(&format!("{members}me/")),
        ),
        (
            "put",
            "/api/0/organizations/{organization_id_or_slug}/members/{member_id}/",
            ann.put_json(&format!("{members}me/"), &json!({"teams": ["core"]})),
        ),
        (
            "post",
            "/api/0/organizations/{organization_id_or_slug}/members/{member_id}/teams/{team_id_or_slug}/",
            ann.post_json(&seat, &json!({})),
        ),
        (
            "put",
            "/api/0/organizations/{organization_id_or_slug}/members/{member_id}/teams/{team_id_or_slug}/",
            ann.put_json(&seat, &json!({"teamRole": "admin"})),
        ),
        (
            "delete",
            "/api/0/organizations/{organization_id_or_slug}/members/{member_id}/teams/{team_id_or_slug}/",
            ann.delete(&seat),
        ),
        (
            "get",
            "/api/0/teams/{organization_id_or_slug}/{team_id_or_slug}/members/",
            ann.get("/api/0/teams/acme/core/members/"),
        ),
        (
            "get",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/members/",
            ann.get("/api/0/projects/acme/web/members/"),
        ),
        (
            "delete",
            "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/keys/{key_id}/",
            ann.delete(&key),
        ),
    ]
}

#[test]
fn answers_have_the_published_shapes() {
    let Some(folder) = shared("contract") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("openapi.json")).expect("a document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let server = world();
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    // Statistics end where an interval begins.
    server.advance(1);

    let mut found = BTreeSet::new();
    for (method, path, answer) in answers(&server) {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "the document has no {method} {path}");
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path} answers {}: {}",
            answer.status,
            answer.text()
        );
        let shape = &response["content"]["application/json"]["schema"];
        if shape.is_null() {
            assert!(answer.body.is_empty(), "{method} {path} has a body");
            continue;
        }
        for (place, text) in schema::compare(&document, shape, &answer.json()) {
            found.insert(format!("{method} {path} {place} {text}"));
        }
    }
    let listed: BTreeSet<String> = DEVIATIONS
        .iter()
        .flat_map(|deviation| {
            let Deviation {
                endpoint,
                complaint,
                places,
                ..
            } = deviation;
            places
                .iter()
                .map(move |place| format!("{endpoint} {place} {complaint}"))
        })
        .collect();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    let vanished: Vec<_> = listed.difference(&found).collect();
    assert!(
        unlisted.is_empty() && vanished.is_empty(),
        "not listed: {unlisted:#?}\nlisted, but not there: {vanished:#?}"
    );
}
