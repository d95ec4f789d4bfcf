//! What is set for a project or an organization governs what becomes of items: filters, scrubbing, limits.

use serde_json::{Value, json};

use crate::support::{KEY, Server, WORLD};

const ID: &str = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";

/// [`WORLD`] with options of its project, and of its organization, as lines of TOML.
fn world(project: &str, organization: &str) -> String {
    WORLD
        .replace(
            "platform = \"python\"",
            &format!("platform = \"python\"\n  options = {{ {project} }}"),
        )
        .replace(
            "name = \"Acme\"",
            &format!("name = \"Acme\"\noptions = {{ {organization} }}"),
        )
}

fn with_agent(agent: &str) -> String {
    json!({ "request": { "headers": { "User-Agent": agent } } }).to_string()
}

fn error(kind: &str, value: &str) -> String {
    json!({ "exception": [{ "type": kind, "value": value }] }).to_string()
}

#[test]
fn every_filter_drops_what_its_option_says_and_nothing_without_it() {
    let ie = "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)";
    let cases = [
        (
            "\"filters:localhost\" = true",
            "localhost",
            r#"{"user":{"ip_address":"127.0.0.1"}}"#.to_owned(),
        ),
        (
            "\"filters:browser-extensions\" = true",
            "browser-extensions",
            error("Error", "fb_xd_fragment"),
        ),
        (
            "\"filters:legacy-browsers\" = true",
            "legacy-browsers",
            with_agent(ie),
        ),
        (
            "\"filters:legacy-browsers\" = [\"ie\"]",
            "legacy-browsers",
            with_agent(ie),
        ),
        (
            "\"filters:web-crawlers\" = true",
            "web-crawlers",
            with_agent("Mozilla/5.0 (compatible; Googlebot/2.1)"),
        ),
        (
            "\"sentry:blacklisted_ips\" = [\"127.0.0.0/8\"]",
            "ip-address",
            "{}".to_owned(),
        ),
        (
            "\"sentry:releases\" = [\"shop@1.*\"]",
            "release-version",
            r#"{"release":"shop@1.2"}"#.to_owned(),
        ),
        (
            "\"sentry:error_messages\" = [\"*too slow*\"]",
            "error-message",
            r#"{"message":"it is too slow"}"#.to_owned(),
        ),
        (
            "\"filters:custom-error\" = [\"Boring: *\"]",
            "custom-error",
            error("Boring", "again"),
        ),
    ];
    for (option, reason, event) in &cases {
        let server = Server::start(&world(option, ""));
        assert_eq!(server.send_event(event).status, 200, "{option}");
        assert_eq!(
            server.ledger(),
            [(1, 1, (*reason).to_owned(), 1)],
            "{option}"
        );
        assert_eq!(server.event_count(), 0, "{option}");
    }
    let server = Server::start(WORLD);
    for (option, _, event) in &cases {
        assert_eq!(server.send_event(event).status, 200, "{option}");
    }
    assert_eq!(server.ledger(), [(1, 0, String::new(), cases.len() as i64)]);
}

#[test]
fn filters_that_are_on_by_default_can_be_switched_off() {
    let cases = [
        (
            "filters:react-hydration-errors",
            "react-hydration-errors",
            error(
                "Error",
                "Minified React error #418; visit https://react.dev/errors/418 for more",
            ),
        ),
        (
            "filters:chunk-load-error",
            "chunk-load-error",
            error("ChunkLoadError", "Loading chunk 7 failed."),
        ),
    ];
    for (option, reason, event) in cases {
        let server = Server::start(WORLD);
        server.send_event(&event);
        assert_eq!(server.ledger(), [(1, 1, reason.to_owned(), 1)]);
        let server = Server::start(&world(&format!("\"{option}\" = false"), ""));
        server.send_event(&event);
        assert_eq!(server.ledger(), [(1, 0, String::new(), 1)]);
    }
}

#[test]
fn reports_about_ignored_sources_are_filtered() {
    let report = |blocked: &str| {
        json!({ "csp-report": {
            "document-uri": "https://shop.example.test/",
            "effective-directive": "script-src",
            "blocked-uri": blocked,
        } })
        .to_string()
    };
    let extension = "chrome-extension://abc/x.js";
    let ads = "https://x.ads.test/a.js";
    let own = r#""sentry:csp_ignored_sources" = ["*.ads.test"]"#;
    let off = r#""sentry:csp_ignored_sources_defaults" = false"#;
    for (options, blocked, is_filtered) in [
        (String::new(), extension, true),
        (String::new(), ads, false),
        (own.to_owned(), ads, true),
        (own.to_owned(), extension, true),
        (off.to_owned(), extension, false),
        (format!("{own}, {off}"), ads, true),
    ] {
        let server = Server::start(&world(&options, ""));
        let answer = server
            .client()
            .with_header("Content-Type", "application/csp-report")
            .post(
                &format!("/api/31/csp-report/?sentry_key={KEY}"),
                report(blocked).as_bytes(),
            );
        assert_eq!(answer.status, 200);
        let row = match is_filtered {
            true => (3, 1, "invalid-csp".to_owned(), 1),
            false => (3, 0, String::new(), 1),
        };
        assert_eq!(server.ledger(), [row], "{options} {blocked}");
    }
}

/// Sends an event and gives it back as it is stored.
fn stored(server: &Server, event: &Value) -> Value {
    let mut event = event.clone();
    event["event_id"] = json!(ID);
    assert_eq!(server.send_event(&event.to_string()).status, 200);
    server.event(ID)
}

#[test]
fn secrets_are_taken_out_before_anything_is_stored() {
    let event = json!({
        "user": { "id": "7", "ip_address": "203.0.113.9" },
        "extra": { "password": "hunter2", "note": "card 4111 1111 1111 1111", "colour": "green" },
        "request": {
            "url": "https://shop.example.test/",
            "headers": { "Authorization": "Bearer abcdef", "User-Agent": "Firefox" },
            "cookies": "sessionid=s3cret; theme=dark",
            "data": "{\"api_key\":\"k3y\",\"page\":2}",
        },
        "breadcrumbs": [{ "message": "login", "data": { "token": "t0ken" } }],
    });
    let server = Server::start(WORLD);
    let kept = stored(&server, &event);
    let text = kept.to_string();
    for secret in ["hunter2", "4111", "abcdef", "s3cret", "k3y", "t0ken"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for harmless in ["green", "203.0.113.9", "Firefox", "dark"] {
        assert!(text.contains(harmless), "{harmless} in {text}");
    }
    let remark = &kept["_meta"]["extra"]["password"][""]["rem"][0];
    assert_eq!(remark[0], "@password:filter");

    let server = Server::start(&world("\"sentry:scrub_data\" = false", ""));
    assert_eq!(stored(&server, &event)["extra"]["password"], "hunter2");
}

#[test]
fn sensitive_and_safe_fields_of_project_and_organization_are_merged() {
    let event = json!({
        "user": { "id": "7", "ip_address": "203.0.113.9" },
        "extra": { "shoe_size": 43, "colour": "green", "password_hint": "pet" },
    });
    let project =
        "\"sentry:sensitive_fields\" = [\"colour\"], \"sentry:safe_fields\" = [\"password_hint\"]";
    let organization =
        "\"sentry:sensitive_fields\" = [\"SHOE\"], \"sentry:require_scrub_ip_address\" = true";
    let server = Server::start(&world(project, organization));
    let kept = stored(&server, &event);
    assert_eq!(
        kept["extra"],
        json!({ "shoe_size": "[Filtered]", "colour": "[Filtered]", "password_hint": "pet" })
    );
    assert!(!kept.to_string().contains("203.0.113.9"));
}

#[test]
fn logs_spans_and_transactions_are_scrubbed_too() {
    let server = Server::start(WORLD);
    let log = r#"{"items":[{"timestamp":1767312000,"level":"info","body":"mail ann@example.test","attributes":{"password":{"type":"string","value":"hunter2"}}}]}"#;
    let envelope = format!(
        "{{}}\n{{\"type\":\"log\",\"item_count\":1,\"content_type\":\"application/vnd.sentry.items.log+json\"}}\n{log}\n\
         {{\"type\":\"span\"}}\n{{\"op\":\"db\",\"data\":{{\"password\":\"hunter2\"}}}}"
    );
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    assert_eq!(
        server.client().post(&target, envelope.as_bytes()).status,
        200
    );
    for kind in ["log", "span"] {
        let items = server
            .owner()
            .get(&format!("/api/0/projects/acme/web/items/?type={kind}"));
        assert_eq!(items.status, 200);
        let text = items.text();
        assert!(text.contains("[Filtered]"), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("ann@"),
            "{text}"
        );
    }
}

#[test]
fn an_organization_limits_keys_that_have_no_limit_of_their_own() {
    let other = "fedcba9876543210fedcba9876543210";
    let apply = world(
        "",
        "\"picket:default_rate_limit\" = { count = 2, window = 60 }",
    )
    .replace(
        "\n[[user]]",
        &format!(
            "\n    [[organization.project.key]]\n    name = \"own\"\n    public = \"{other}\"\n    \
             rate_limit = {{ count = 3, window = 60 }}\n\n[[user]]"
        ),
    );
    let mut server = Server::start(&apply);
    let send = |server: &Server, key: &str| {
        let target = format!("/api/31/store/?sentry_key={key}");
        server.client().post(&target, b"{}").status
    };
    for (key, count) in [(KEY, 2), (other, 3)] {
        for _ in 0..count {
            assert_eq!(send(&server, key), 200);
        }
        assert_eq!(send(&server, key), 429);
    }
    server.restart();
    assert_eq!(send(&server, KEY), 429, "the window is remembered");
    server.advance(60);
    assert_eq!(send(&server, KEY), 200);
    // The API shows a key's own limit, which it has not.
    let key = server
        .owner()
        .get(&format!("/api/0/projects/acme/web/keys/{KEY}/"));
    assert_eq!(key.json()["rateLimit"], Value::Null);
}

#[test]
fn check_ins_are_scrubbed_whichever_way_they_come() {
    let server = Server::start(WORLD);
    let check_in = r#"{"monitor_slug":"nightly","status":"ok","contexts":{"trace":{"trace_id":"4c79f60c11214eb38604f4ae0781bfb2"},"c":{"password":"hunter2"}}}"#;
    let envelope = format!("{{}}\n{{\"type\":\"check_in\"}}\n{check_in}");
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    assert_eq!(
        server.client().post(&target, envelope.as_bytes()).status,
        200
    );
    let target = format!("/api/31/cron/nightly/{KEY}/");
    let client = server
        .client()
        .with_header("Content-Type", "application/json");
    assert_eq!(client.post(&target, check_in.as_bytes()).status, 202);
    assert_eq!(server.ledger(), [(10, 0, String::new(), 2)]);
    let items = server
        .owner()
        .get("/api/0/projects/acme/web/items/?type=check_in");
    assert!(!items.text().contains("hunter2"), "{}", items.text());
}

#[test]
fn a_blocked_address_stores_nothing_at_all() {
    let server = Server::start(&world("\"sentry:blacklisted_ips\" = [\"127.0.0.1\"]", ""));
    let items = [
        "{\"type\":\"attachment\",\"length\":5}\nhello",
        "{\"type\":\"check_in\"}\n{\"monitor_slug\":\"n\",\"status\":\"ok\"}",
        "{\"type\":\"session\"}\n{}",
        "{\"type\":\"statsd\"}\nx:1|c",
    ];
    for item in items {
        let envelope = format!("{{}}\n{item}");
        let target = format!("/api/31/envelope/?sentry_key={KEY}");
        assert_eq!(
            server.client().post(&target, envelope.as_bytes()).status,
            200
        );
    }
    let filtered = |category, quantity| (category, 1, "ip-address".to_owned(), quantity);
    assert_eq!(
        server.ledger(),
        [
            filtered(4, 5),
            filtered(5, 1),
            filtered(10, 1),
            filtered(15, 1),
            filtered(22, 1)
        ]
    );
}
