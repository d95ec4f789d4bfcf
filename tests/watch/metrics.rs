//! `/metrics`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::exposition::Exposition;
use crate::support::{Client, KEY, Server, WORLD};

const TOKEN: &str = "metrics-0123456789abcdef";

fn start_with_token() -> Server {
    Server::start_with(WORLD, |settings| {
        settings.metrics_token = Some(TOKEN.to_owned());
    })
}

fn watcher(server: &Server) -> Client {
    server.with_token(TOKEN)
}

fn scrape(client: &Client) -> Exposition {
    let answer = client.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    Exposition::parse(answer.text())
}

#[test]
fn strangers_find_no_metrics() {
    let server = Server::start(WORLD);
    for client in [server.client(), server.owner(), server.with_token("")] {
        assert_eq!(client.get("/metrics").status, 404);
    }
}

#[test]
fn metrics_are_for_who_brings_the_token() {
    let server = start_with_token();
    scrape(&watcher(&server));
    let wrong = [
        server.client(),
        server.owner(),
        server.with_token(""),
        server.with_token(&TOKEN[1..]),
        server.with_token(&format!("{TOKEN}0")),
        server
            .client()
            .with_header("Authorization", &format!("Basic {TOKEN}")),
    ];
    for client in wrong {
        let answer = client.get("/metrics");
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("WWW-Authenticate"),
            Some("Bearer realm=\"metrics\"")
        );
    }
    let in_query = server.client().get(&format!("/metrics?token={TOKEN}"));
    assert_eq!(in_query.status, 401);
}

#[test]
fn an_address_of_their_own_shows_metrics_and_nothing_else() {
    let server = Server::start_with(WORLD, |settings| {
        settings.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    });
    let side = server.watcher();
    scrape(&side);
    assert_eq!(side.get("/health/live").status, 200);
    for path in ["/", "/auth/login/", "/api/31/store/", "/_static/picket.css"] {
        assert_eq!(side.get(path).status, 404, "{path}");
    }
    assert_eq!(side.send("POST", "/metrics", None).status, 405);
    // The public address has none all the same.
    assert_eq!(server.client().get("/metrics").status, 404);
}

#[test]
fn a_token_is_asked_for_at_either_address() {
    let server = Server::start_with(WORLD, |settings| {
        settings.metrics_listen = Some(([127, 0, 0, 1], 0).into());
        settings.metrics_token = Some(TOKEN.to_owned());
    });
    assert_eq!(server.watcher().get("/metrics").status, 401);
    let bearer = format!("Bearer {TOKEN}");
    scrape(&server.watcher().with_header("Authorization", &bearer));
    scrape(&watcher(&server));
}

#[test]
fn what_happened_is_counted() {
    let server = start_with_token();
    let before = scrape(&watcher(&server));
    for _ in 0..3 {
        assert_eq!(server.send_event(r#"{"message":"a"}"#).status, 200);
    }
    let twice = r#"{"event_id":"9ec79c33ec9942ab8353589fcb2e04dc","message":"b"}"#;
    for _ in 0..2 {
        assert_eq!(server.send_event(twice).status, 200);
    }
    let unknown = server.client().with_header(
        "X-Sentry-Auth",
        "Sentry sentry_key=00000000000000000000000000000000",
    );
    assert_eq!(unknown.post("/api/31/store/", b"{}").status, 403);
    assert_eq!(server.owner().get("/api/0/organizations/acme/").status, 200);
    assert_eq!(server.client().get("/auth/login/").status, 200);
    assert_eq!(
        server.client().send_raw(b"GET / HTTP/2.0\r\n\r\n").status,
        505
    );

    let after = scrape(&watcher(&server));
    let grown = |name: &str, labels: &[(&str, &str)]| {
        after.value(name, labels) - before.find(name, labels).unwrap_or(0.0)
    };
    let answered = |front, status| {
        grown(
            "picket_http_requests_total",
            &[("front", front), ("status", status)],
        )
    };
    assert_eq!(answered("ingest", "2xx"), 5.0);
    assert_eq!(answered("ingest", "4xx"), 1.0);
    assert_eq!(answered("api", "2xx"), 1.0);
    assert_eq!(answered("web", "2xx"), 1.0);
    assert_eq!(answered("web", "5xx"), 1.0);
    assert_eq!(answered("watch", "2xx"), 1.0);
    assert_eq!(
        grown(
            "picket_http_refusals_total",
            &[("reason", "version_not_supported")]
        ),
        1.0
    );
    let item = |outcome| {
        grown(
            "picket_items_total",
            &[("category", "error"), ("outcome", outcome)],
        )
    };
    assert_eq!(item("accepted"), 4.0);
    assert_eq!(item("invalid"), 1.0);
    assert_eq!(
        grown(
            "picket_http_request_duration_seconds_count",
            &[("front", "ingest")]
        ),
        6.0
    );
    let bytes = 3 * r#"{"message":"a"}"#.len() + 2 * twice.len() + 2;
    assert_eq!(
        grown(
            "picket_http_request_body_bytes_total",
            &[("front", "ingest")]
        ),
        bytes as f64
    );
    // Every event waited for its commit.
    let batches = grown("picket_writer_batches_total", &[]);
    assert!(
        (5.0..=grown("picket_writer_jobs_total", &[("outcome", "committed")])).contains(&batches)
    );
    assert_eq!(
        grown("picket_writer_commit_duration_seconds_count", &[]),
        batches
    );
    assert_eq!(after.value("picket_ready", &[]), 1.0);
}

#[test]
fn what_the_server_takes_is_measured() {
    let server = start_with_token();
    let metrics = scrape(&watcher(&server));
    let file = metrics.value("picket_store_file_bytes", &[]);
    assert!(file > 100_000.0 && file < 10e6, "{file}");
    assert!(
        metrics.value("picket_disk_free_bytes", &[])
            <= metrics.value("picket_disk_total_bytes", &[])
    );
    assert!(metrics.value("picket_store_unused_bytes", &[]) < file);
    assert!(metrics.value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(metrics.value("process_cpu_seconds_total", &[]) > 0.0);
    assert!(metrics.value("process_open_fds", &[]) < metrics.value("process_max_fds", &[]));
    assert_eq!(
        metrics.value("process_start_time_seconds", &[]),
        crate::support::START.us() as f64 / 1e6
    );
    assert_eq!(
        metrics.value(
            "picket_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))]
        ),
        1.0
    );
}

#[test]
fn what_is_removed_in_the_background_is_counted() {
    let server = start_with_token();
    for _ in 0..3 {
        assert_eq!(server.send_event(r#"{"message":"a"}"#).status, 200);
    }
    let deleted = server.owner().delete("/api/0/projects/acme/web/");
    assert_eq!(deleted.status, 204);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = scrape(&watcher(&server));
        if metrics.value("picket_jobs_rows_total", &[]) >= 3.0 {
            assert!(metrics.value("picket_jobs_steps_total", &[]) >= 1.0);
            break;
        }
        assert!(Instant::now() < deadline, "nothing was removed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_project_key_or_address_is_a_label() {
    let server = start_with_token();
    server.send_event(r#"{"message":"a"}"#);
    let text = watcher(&server).get("/metrics").text().to_owned();
    for hidden in [KEY, "acme", "127.0.0.1", "project=", TOKEN, "ann@"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

/// Names are kept, so each stands in the README, and there is none in it that is not there.
#[test]
fn every_name_stands_in_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("a README");
    let promised: Vec<&str> = readme
        .split('`')
        .filter(|word| {
            let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            is_plain && (word.starts_with("picket_") || word.starts_with("process_"))
        })
        .collect();
    let server = start_with_token();
    let metrics = scrape(&watcher(&server));
    for name in metrics.families.keys() {
        assert!(promised.contains(&name.as_str()), "{name} is not told of");
    }
    for name in promised {
        assert!(metrics.families.contains_key(name), "{name} is not there");
    }
}
