//! `/api/0/projects/{org}/{project}/` and below (facts/management-api.md 6 to 8).

mod creation;
mod events;
mod filters;
mod items;
mod key_stats;
mod keys;
mod members;
mod ownership;
mod rotation;
mod seen;
mod settings;
mod stats;
mod teams;
mod transfer;

use serde_json::json;

use super::*;

#[test]
fn the_detail_has_every_setting() {
    let server = world();
    let body = ok(&ann(&server).get("/api/0/projects/acme/web/"));
    let token = body["securityToken"].as_str().expect("a token");
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    let again = ok(&server.with_token(BOB).get("/api/0/projects/acme/31/"));
    assert_eq!(again["securityToken"], token);
    let color = body["color"].as_str().expect("a color");
    assert!(color.len() == 7 && color.starts_with('#'));
    let team =
        json!({"id": body["team"]["id"].as_str().expect("an id"), "name": "Core", "slug": "core"});
    for (name, value) in [
        ("id", json!("31")),
        ("slug", json!("web")),
        ("name", json!("Web")),
        ("platform", json!("python")),
        ("dateCreated", json!("2026-01-02T00:00:00Z")),
        ("isBookmarked", json!(false)),
        ("isMember", json!(true)),
        ("hasAccess", json!(true)),
        (
            "features",
            json!(["custom-inbound-filters", "minidump", "rate-limits"]),
        ),
        ("firstEvent", Value::Null),
        ("isInternal", json!(false)),
        ("isPublic", json!(false)),
        ("status", json!("active")),
        ("team", team.clone()),
        ("teams", json!([team])),
        ("latestRelease", Value::Null),
        ("digestsMinDelay", json!(300)),
        ("digestsMaxDelay", json!(1800)),
        ("subjectPrefix", json!("[Sentry] ")),
        ("subjectTemplate", json!("$shortID - $title")),
        ("allowedDomains", json!(["*"])),
        ("resolveAge", json!(0)),
        ("safeFields", json!([])),
        ("sensitiveFields", json!([])),
        ("storeCrashReports", Value::Null),
        ("securityTokenHeader", Value::Null),
        ("verifySSL", json!(false)),
        ("scrubIPAddresses", json!(false)),
        ("scrapeJavaScript", json!(true)),
        ("fingerprintingRules", json!("")),
        ("groupingEnhancements", json!("")),
        ("secondaryGroupingExpiry", json!(0)),
        ("platforms", json!([])),
        ("processingIssues", json!(0)),
        ("symbolSources", json!("[]")),
        ("defaultEnvironment", Value::Null),
        ("autofixAutomationTuning", json!("off")),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(body["organization"]["slug"], "acme");
    assert_eq!(body["organization"]["features"], json!([]));
    assert_eq!(
        (&body["dataScrubber"], &body["dataScrubberDefaults"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        body["options"],
        json!({
            "filters:blacklisted_ips": "", "filters:releases": "", "filters:error_messages": "",
            "filters:log_messages": "", "filters:trace_metric_names": "",
            "filters:react-hydration-errors": true, "filters:chunk-load-error": true,
            "sentry:csp_ignored_sources_defaults": true, "sentry:csp_ignored_sources": "",
            "feedback:branding": true,
        })
    );
    assert_eq!(body.get("stats"), None);
    assert_eq!(body.get("hasAlertIntegrationInstalled"), None);
}

#[test]
fn stored_options_are_shown_and_govern_the_fields() {
    let server = world();
    let body = ok(&ann(&server).get("/api/0/projects/acme/shop/"));
    assert_eq!(
        body["allowedDomains"],
        json!(["shop.example.test", "*.shop.test"])
    );
    assert_eq!(body["options"]["filters:localhost"], true);
    assert_eq!(body["options"].get("sentry:origins"), None);
}

#[test]
fn what_is_shown_is_what_ingestion_goes_by() {
    let project = r#"options = { "sentry:scrub_defaults" = false, "sentry:sensitive_fields" = ["iban"], "sentry:blacklisted_ips" = ["192.0.2.0/24", "198.51.100.7"], "sentry:releases" = "bad@*", "sentry:error_messages" = ["*noise*"], "filters:chunk-load-error" = false, "filters:legacy-browsers" = ["ie"], "sentry:csp_ignored_sources_defaults" = false, "sentry:csp_ignored_sources" = ["*.ads.test", "inline"] }"#;
    let organization = r#"options = { "sentry:require_scrub_ip_address" = true, "sentry:sensitive_fields" = ["ssn"], "sentry:safe_fields" = ["$user.id"] }"#;
    let apply = WORLD
        .replacen(
            "platform = \"python\"",
            &format!("platform = \"python\"\n{project}"),
            1,
        )
        .replacen(
            "name = \"Acme\"",
            &format!("name = \"Acme\"\n{organization}"),
            1,
        );
    let server = Server::start(&apply);
    let body = ok(&ann(&server).get("/api/0/projects/acme/web/"));
    for (name, value) in [
        ("dataScrubber", json!(true)),
        ("dataScrubberDefaults", json!(false)),
        ("scrubIPAddresses", json!(true)),
        ("sensitiveFields", json!(["ssn", "iban"])),
        ("safeFields", json!(["$user.id"])),
        (
            "options",
            json!({
                "filters:blacklisted_ips": "192.0.2.0/24\n198.51.100.7", "filters:releases": "bad@*",
                "filters:error_messages": "*noise*", "filters:log_messages": "", "filters:trace_metric_names": "",
                "filters:react-hydration-errors": true, "filters:chunk-load-error": false,
                "filters:legacy-browsers": ["ie"],
                "sentry:csp_ignored_sources_defaults": false, "sentry:csp_ignored_sources": "*.ads.test\ninline",
                "feedback:branding": true,
            }),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    let body = ok(&ann(&server).get("/api/0/organizations/acme/"));
    for (name, value) in [
        ("dataScrubber", json!(false)),
        ("dataScrubberDefaults", json!(false)),
        ("scrubIPAddresses", json!(true)),
        ("sensitiveFields", json!(["ssn"])),
        ("safeFields", json!(["$user.id"])),
        ("defaultRateLimit", Value::Null),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
}

#[test]
fn the_default_limit_of_the_organization_is_shown_and_can_be_taken_away() {
    let limited = |limit: &str| {
        let option =
            format!("name = \"Acme\"\noptions = {{ \"picket:default_rate_limit\" = {limit} }}");
        WORLD.replacen("name = \"Acme\"", &option, 1)
    };
    for (limit, expected) in [
        (
            "{ count = 100, window = 60 }",
            json!({"window": 60, "count": 100}),
        ),
        ("false", Value::Null),
    ] {
        let server = Server::start(&limited(limit));
        let body = ok(&ann(&server).get("/api/0/organizations/acme/"));
        assert_eq!(body["defaultRateLimit"], expected);
        let keys = ok(&ann(&server).get("/api/0/projects/acme/web/keys/"));
        assert_eq!(keys[0]["rateLimit"], Value::Null);
        assert_eq!(keys[0]["effectiveRateLimit"], expected);
    }
}

#[test]
fn a_project_without_team_has_no_such_field() {
    let server = world();
    let body = ok(&ann(&server).get("/api/0/projects/acme/bare/"));
    assert_eq!((body.get("team"), &body["teams"]), (None, &json!([])));
    assert_eq!(body["platform"], Value::Null);
}

#[test]
fn parameters_make_it_shorter_and_longer() {
    let server = world();
    let body = ok(&ann(&server).get(
        "/api/0/projects/acme/web/?collapse=organization&include=stats&expand=hasAlertIntegration",
    ));
    let organization = ok(&ann(&server).get("/api/0/organizations/acme/"));
    assert_eq!(
        body["organization"],
        json!({"id": organization["id"], "slug": "acme"})
    );
    assert_eq!(body["stats"], json!({"unresolved": 0}));
    assert_eq!(body["hasAlertIntegrationInstalled"], false);
}

#[test]
fn the_first_event_is_remembered() {
    let server = world();
    server.advance(60);
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    server.advance(60);
    assert_eq!(server.send_event(r#"{"message":"x"}"#).status, 200);
    let body = ok(&ann(&server).get("/api/0/projects/acme/web/"));
    assert_eq!(body["firstEvent"], "2026-01-02T00:01:00Z");
}

#[test]
fn access_is_what_the_caller_may_do() {
    let server = world();
    let access = |token: &str| {
        ok(&server.with_token(token).get("/api/0/projects/acme/web/"))["access"].clone()
    };
    assert_eq!(access(READER), json!(["org:read", "project:read"]));
    assert_eq!(
        access(ORG_ROBOT),
        json!(["org:read", "project:admin", "project:read", "project:write"])
    );
    let bob = access(BOB);
    let bob = bob.as_array().expect("scopes");
    assert!(bob.contains(&json!("project:read")) && !bob.contains(&json!("project:write")));
}
