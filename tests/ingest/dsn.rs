//! Every URL that a client key hands out does its job, taken from the API's answer as it stands there.

use std::io::Write;

use serde_json::{Value, json};

use super::hostile::unreal;
use crate::support::{Answer, Server, WORLD};

/// The keys of the `dsn` object that are covered below; a new one must join them.
const COVERED: [&str; 13] = [
    "secret",
    "public",
    "csp",
    "security",
    "minidump",
    "nel",
    "unreal",
    "crons",
    "cdn",
    "playstation",
    "integration",
    "otlp_traces",
    "otlp_logs",
];

const TRACE: &str = "4c79f60c11214eb38604f4ae0781bfb2";

/// A project with a key that was made over the API.
struct World {
    server: Server,
    dsn: Value,
}

impl World {
    fn new() -> World {
        World::start(|_| {})
    }

    fn start(change: impl FnOnce(&mut picket::Settings)) -> World {
        let server = Server::start_with(WORLD, change);
        let key = server.owner().post_json(
            "/api/0/projects/acme/web/keys/",
            &json!({ "name": "made here" }),
        );
        assert_eq!(key.status, 201);
        let dsn = key.json()["dsn"].clone();
        World { server, dsn }
    }

    fn url(&self, name: &str) -> String {
        self.dsn[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.dsn))
            .to_owned()
    }

    /// The path and query of one of the URLs, which must lead to this server.
    fn target(&self, name: &str) -> String {
        let url = self.url(name);
        url.strip_prefix(&self.server.url_prefix())
            .unwrap_or_else(|| panic!("{url} leads elsewhere"))
            .to_owned()
    }

    fn post(&self, target: &str, content_type: &str, body: &[u8]) -> Answer {
        self.server
            .client()
            .with_header("Content-Type", content_type)
            .post(target, body)
    }

    /// Accepted categories and quantities.
    fn accepted(&self) -> Vec<(i64, i64)> {
        self.server
            .ledger()
            .into_iter()
            .map(|(category, outcome, reason, quantity)| {
                assert_eq!((outcome, reason.as_str()), (0, ""));
                (category, quantity)
            })
            .collect()
    }
}

#[test]
fn every_key_of_the_dsn_object_is_followed_here() {
    let world = World::new();
    let mut found: Vec<&String> = world.dsn.as_object().expect("an object").keys().collect();
    found.sort();
    let mut covered = COVERED.to_vec();
    covered.sort_unstable();
    assert_eq!(found, covered);
}

#[test]
fn public_and_secret_dsn_take_an_envelope() {
    let world = World::new();
    for name in ["public", "secret"] {
        let dsn = world.url(name);
        let (scheme, rest) = dsn.split_once("://").expect("a scheme");
        let (keys, address) = rest.split_once('@').expect("keys");
        let (host, project) = address.split_once('/').expect("a project");
        assert_eq!(format!("{scheme}://{host}"), world.server.url_prefix());
        let (public, secret) = keys.split_once(':').unwrap_or((keys, ""));
        let auth = format!("Sentry sentry_key={public}, sentry_secret={secret}");
        let answer = world
            .server
            .client()
            .with_header("X-Sentry-Auth", &auth)
            .post(
                &format!("/api/{project}/envelope/"),
                b"{}\n{\"type\":\"event\"}\n{\"message\":\"by DSN\"}",
            );
        assert_eq!(answer.status, 200, "{name}");
    }
    assert_eq!(world.accepted(), [(1, 2)]);
}

#[test]
fn csp_and_security_take_browsers_reports() {
    let world = World::new();
    let report = br#"{"csp-report":{"document-uri":"https://shop.example.test/","violated-directive":"img-src 'self'","blocked-uri":"https://bad.example.test/x.png"}}"#;
    for name in ["csp", "security"] {
        let answer = world.post(&world.target(name), "application/csp-report", report);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{name}");
    }
    let batch = br#"[{"type":"csp-violation","body":{"documentURL":"https://shop.example.test/","blockedURL":"inline","effectiveDirective":"style-src-elem"}},
        {"type":"csp-violation","body":{"documentURL":"https://shop.example.test/","blockedURL":"eval","effectiveDirective":"script-src"}}]"#;
    let answer = world.post(&world.target("security"), "application/reports+json", batch);
    assert_eq!(answer.status, 200);
    assert_eq!(world.accepted(), [(3, 4)]);
}

#[test]
fn nel_takes_network_errors() {
    let world = World::new();
    let report = br#"[{"type":"network-error","age":10,"url":"https://shop.example.test/","body":{"type":"dns.name_not_resolved","phase":"dns","elapsed_time":20}}]"#;
    let answer = world.post(&world.target("nel"), "application/reports+json", report);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(world.accepted().len(), 2, "a log entry and its bytes");
}

#[test]
fn minidump_takes_a_dump() {
    let world = World::new();
    let mut dump = b"MDMP".to_vec();
    dump.resize(100, 0);
    let answer = world.post(&world.target("minidump"), "application/x-dmp", &dump);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text().len(), 36, "a dashed id: {}", answer.text());
    assert_eq!(world.accepted(), [(1, 1), (4, 100), (22, 1)]);
}

#[test]
fn unreal_takes_a_crash_with_its_files() {
    let world = World::new();
    let context: &[u8] =
        b"<a><RuntimeProperties><CrashType>Assert</CrashType></RuntimeProperties></a>";
    let files = [
        ("CrashContext.runtime-xml", context),
        ("Game.log", b"log".as_slice()),
    ];
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&unreal(&files)).expect("in memory");
    let crash = encoder.finish().expect("in memory");
    let answer = world.post(&world.target("unreal"), "application/octet-stream", &crash);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bytes = (context.len() + 3) as i64;
    assert_eq!(world.accepted(), [(1, 1), (4, bytes), (22, 2)]);
    let id = answer.text().replace('-', "");
    let event = world.server.event(&id);
    assert_eq!(event["exception"]["values"][0]["type"], "Assert");
}

#[test]
fn unreal_refuses_what_is_no_crash_report() {
    let world = World::new();
    let answer = world.post(
        &world.target("unreal"),
        "application/octet-stream",
        b"no report",
    );
    assert_eq!(answer.status, 400);
    let rows = world.server.ledger();
    assert_eq!(rows, [(0, 3, "invalid_unreal_report".to_owned(), 1)]);
}

#[test]
fn crons_takes_a_check_in_by_get_and_post() {
    let world = World::new();
    let target = world
        .target("crons")
        .replace("___MONITOR_SLUG___", "nightly-job");
    let answer = world
        .server
        .client()
        .get(&format!("{target}?status=in_progress"));
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    let body = br#"{"status":"ok","duration":12.5}"#;
    assert_eq!(world.post(&target, "application/json", body).status, 202);
    assert_eq!(world.accepted(), [(10, 2)]);
}

#[test]
fn cdn_gives_the_loader_of_this_key() {
    let bundle = "https://cdn.example.test/{version}/bundle{modifiers}.min.js";
    let world = World::start(|settings| {
        settings.loader_bundle_url = Some(picket::BundleUrl::parse(bundle).expect("a URL"));
    });
    let script = world.server.client().get(&world.target("cdn"));
    assert_eq!(script.status, 200);
    assert!(
        script
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/javascript"))
    );
    assert_eq!(script.header("access-control-allow-origin"), Some("*"));
    for part in [
        world.url("public").as_str(),
        "https://cdn.example.test/10.x/bundle",
    ] {
        assert!(script.text().contains(part), "{part} in {}", script.text());
    }
    let unknown = world
        .server
        .client()
        .get("/js-sdk-loader/ffffffffffffffffffffffffffffffff.min.js");
    assert_eq!(unknown.status, 200);
    assert!(!unknown.text().contains("cdn.example.test"));
}

#[test]
fn playstation_names_the_parts_that_it_wants() {
    let world = World::new();
    let answer = world.post(
        &world.target("playstation"),
        "application/vnd.sce.crs.datareq-request+json",
        b"{}",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({ "parts": { "upload": ["corefile", "screenshot"] } })
    );
}

#[test]
fn playstation_takes_a_dump() {
    let world = World::new();
    let mut body =
        b"--edge\r\nContent-Disposition: form-data; name=\"corefile\"; filename=\"a.prosperodmp\"\r\n\r\n".to_vec();
    body.extend_from_slice(b"\x7fELF\x02\r\n--edge--\r\n");
    let form = "multipart/form-data; boundary=edge";
    let answer = world.post(&world.target("playstation"), form, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.accepted(), [(1, 1), (4, 5), (22, 1)]);
    let event = world.server.event(&answer.text().replace('-', ""));
    assert_eq!(event["exception"]["values"][0]["type"], "Prosperodump");
}

#[test]
fn integration_takes_the_drain_of_heroku() {
    let world = World::new();
    let public = world.url("public");
    let key = public.split(['/', '@']).nth(2).expect("a key");
    let frame =
        "<40>1 2026-01-02T00:00:00+00:00 host app web.3 - State changed from starting to up\n";
    let answer = world
        .server
        .client()
        .with_header("x-sentry-auth", &format!("sentry sentry_key={key}"))
        .with_header("Content-Type", "application/logplex-1")
        .post(
            &format!("{}heroku/logs", world.target("integration")),
            format!("{} {frame}", frame.len()).as_bytes(),
        );
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(world.accepted().len(), 2, "a log entry and its bytes");
    let items = world
        .server
        .owner()
        .get("/api/0/projects/acme/web/items/?type=log");
    assert!(items.text().contains("State changed"), "{}", items.text());
}

#[test]
fn integration_takes_log_drains() {
    let world = World::new();
    let auth = format!(
        "sentry sentry_key={}",
        world
            .url("public")
            .split("://")
            .nth(1)
            .expect("a key")
            .split('@')
            .next()
            .expect("a key")
    );
    let client = world
        .server
        .client()
        .with_header("x-sentry-auth", &auth)
        .with_header("Content-Type", "application/json");
    let target = format!("{}vercel/logs", world.target("integration"));
    let log = format!(
        r#"[{{"id":"1","deploymentId":"d","source":"build","host":"shop.example.test","timestamp":1767312000000,"projectId":"p","level":"info","message":"built","traceId":"{TRACE}"}}]"#
    );
    let answer = client.post(&target, log.as_bytes());
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(world.accepted().len(), 2, "a log entry and its bytes");
}

#[test]
fn otlp_urls_take_traces_and_logs() {
    let world = World::new();
    let auth = format!(
        "sentry sentry_key={}",
        world
            .url("public")
            .split("://")
            .nth(1)
            .expect("a key")
            .split('@')
            .next()
            .expect("a key")
    );
    let client = world
        .server
        .client()
        .with_header("x-sentry-auth", &auth)
        .with_header("Content-Type", "application/json");
    let traces = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{TRACE}","spanId":"bbbbbbbbbbbbbbbb","name":"GET /","kind":2,"startTimeUnixNano":"1767312000000000000","endTimeUnixNano":"1767312001000000000"}}]}}]}}]}}"#
    );
    let answer = client.post(&world.target("otlp_traces"), traces.as_bytes());
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(world.accepted(), [(12, 1), (16, 1)]);
    let logs = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"1767312000000000000","severityNumber":9,"body":{{"stringValue":"hello"}},"traceId":"{TRACE}"}}]}}]}}]}}"#
    );
    let answer = client.post(&world.target("otlp_logs"), logs.as_bytes());
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(
        world.accepted().len(),
        4,
        "spans, a log entry and its bytes"
    );
}
