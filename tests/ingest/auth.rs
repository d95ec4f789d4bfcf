//! Who may send: every source of credentials, and every refusal, byte for byte (facts/ingestion.md 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{KEY, Server, WORLD};

const EVENT: &[u8] = b"{}";

fn envelope(header: &str) -> Vec<u8> {
    format!("{header}\n{{\"type\":\"event\"}}\n{{}}").into_bytes()
}

#[test]
fn every_source_of_credentials_is_accepted() {
    let server = Server::start(WORLD);
    let sentry = format!("Sentry sentry_version=7, sentry_client=test/1.0, sentry_key={KEY}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:anything")));
    for (name, value) in [
        ("X-Sentry-Auth", sentry.as_str()),
        ("Authorization", sentry.as_str()),
        ("Authorization", basic.as_str()),
    ] {
        let client = server.client().with_header(name, value);
        assert_eq!(
            client.post("/api/31/store/", EVENT).status,
            200,
            "{name}: {value}"
        );
    }
    let by_query = format!("/api/31/store/?sentry_version=7&sentry_key={KEY}");
    assert_eq!(server.client().post(&by_query, EVENT).status, 200);
    let by_header = envelope(&format!("{{\"dsn\":\"http://{KEY}:@any.test/31\"}}"));
    assert_eq!(
        server.client().post("/api/31/envelope/", &by_header).status,
        200
    );
    let without_project = format!("/api/store/?sentry_key={KEY}");
    assert_eq!(server.client().post(&without_project, EVENT).status, 200);
    assert_eq!(server.event_count(), 6);
}

#[test]
fn two_sources_may_agree_but_not_differ() {
    let server = Server::start(WORLD);
    let client = server
        .client()
        .with_header("X-Sentry-Auth", &format!("Sentry sentry_key={KEY}"));
    let agreeing = client.post(&format!("/api/31/store/?sentry_key={KEY}"), EVENT);
    assert_eq!(agreeing.status, 200);
    let other = "f".repeat(32);
    let differing = client.post(&format!("/api/31/store/?sentry_key={other}"), EVENT);
    assert_eq!(differing.status, 401);
    assert_eq!(
        differing.text(),
        r#"{"detail":"multiple authorization payloads detected"}"#
    );
}

#[test]
fn each_refusal_has_its_status_and_text() {
    let server = Server::start(WORLD);
    let unknown = "f".repeat(32);
    let cases = [
        (
            "/api/31/store/".to_owned(),
            401,
            r#"{"detail":"missing authorization information"}"#,
        ),
        (
            "/api/31/store/?sentry_version=7".to_owned(),
            401,
            r#"{"detail":"bad x-sentry-auth header","causes":["missing public key in auth header"]}"#,
        ),
        (
            format!("/api/31/store/?sentry_key={KEY}&sentry_version=abc"),
            401,
            r#"{"detail":"bad x-sentry-auth header","causes":["invalid value for version"]}"#,
        ),
        (
            format!("/api/31/store/?sentry_key={KEY}&sentry_version=9"),
            400,
            r#"{"detail":"unsupported protocol version (9)"}"#,
        ),
        (
            "/api/31/store/?sentry_key=short".to_owned(),
            400,
            r#"{"detail":"bad sentry DSN public key","causes":["invalid project key"]}"#,
        ),
        (
            format!("/api/web/store/?sentry_key={KEY}"),
            400,
            r#"{"detail":"bad project path parameter","causes":["invalid digit found in string"]}"#,
        ),
        (
            format!("/api/31/store/?sentry_key={unknown}"),
            403,
            r#"{"detail":"event submission rejected with_reason: ProjectId"}"#,
        ),
        (
            format!("/api/32/store/?sentry_key={KEY}"),
            403,
            r#"{"detail":"event submission rejected with_reason: ProjectId"}"#,
        ),
    ];
    for (target, status, body) in cases {
        let answer = server.client().post(&target, EVENT);
        assert_eq!((answer.status, answer.text()), (status, body), "{target}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    }
    assert_eq!(
        server.ledger(),
        [],
        "no project is known, so nothing is counted"
    );
}

#[test]
fn an_envelope_without_any_credentials_says_what_its_header_lacks() {
    let server = Server::start(WORLD);
    let answer = server.client().post("/api/31/envelope/", &envelope("{}"));
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.json(),
        json!({
            "detail": "bad envelope authentication header",
            "causes": ["missing field `dsn` at line 1 column 2"],
        })
    );
}

#[test]
fn an_envelope_must_agree_with_the_request_that_brings_it() {
    let server = Server::start(WORLD);
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    let other = "f".repeat(32);
    for (dsn, what) in [
        (format!("http://{KEY}@any.test/32"), "project id"),
        (format!("http://{other}@any.test/31"), "public key"),
    ] {
        let body = envelope(&format!("{{\"dsn\":\"{dsn}\"}}"));
        let answer = server.client().post(&target, &body);
        assert_eq!(answer.status, 400);
        let cause = format!("{what} header mismatch between envelope and request");
        assert_eq!(
            answer.json(),
            json!({ "detail": "invalid event envelope", "causes": [cause] })
        );
    }
}

#[test]
fn a_key_never_opens_another_project() {
    let apply = r#"
        [[organization]]
        slug = "acme"
        [[organization.project]]
        slug = "one"
        id = 1
        [[organization.project.key]]
        name = "Default"
        public = "11111111111111111111111111111111"
        [[organization.project]]
        slug = "two"
        id = 2
        [[organization.project.key]]
        name = "Default"
        public = "22222222222222222222222222222222"
    "#;
    let server = Server::start(apply);
    let status = |project: u8, key: char| {
        let key = key.to_string().repeat(32);
        let target = format!("/api/{project}/store/?sentry_key={key}");
        server.client().post(&target, EVENT).status
    };
    assert_eq!((status(1, '1'), status(2, '2')), (200, 200));
    assert_eq!((status(1, '2'), status(2, '1')), (403, 403));
}

#[test]
fn a_project_is_named_by_digits_alone() {
    let server = Server::start(WORLD);
    for project in ["+31", "31x", "-31", "x"] {
        let target = format!("/api/{project}/store/?sentry_key={KEY}");
        let answer = server.client().post(&target, b"{}");
        assert_eq!(answer.status, 400, "{project}");
        assert_eq!(answer.json()["detail"], "bad project path parameter");
    }
}
