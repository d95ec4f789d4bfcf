//! `--access-log`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use picket::AccessLogTo;
use serde_json::Value;

use crate::support::process::{Binary, mode};
use crate::support::{KEY, OWNER_TOKEN, Server, WORLD};

struct Log {
    file: PathBuf,
    _directory: tempfile::TempDir,
}

fn start() -> (Server, Log) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("access.log");
    let to = AccessLogTo::File(file.clone());
    let server = Server::start_with(WORLD, |settings| settings.access_log = Some(to));
    let log = Log {
        file,
        _directory: directory,
    };
    (server, log)
}

impl Log {
    /// Waits until there are so many lines.
    fn lines(&self, count: usize) -> Vec<Value> {
        lines(&self.file, count)
    }
}

fn lines(file: &Path, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text
                .lines()
                .map(|line| serde_json::from_str(line).expect("a line of JSON"))
                .collect();
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_request_has_a_line() {
    let (server, log) = start();
    let answer = server.send_event(r#"{"message":"a"}"#);
    assert_eq!(server.owner().get("/api/0/organizations/?a=b").status, 200);
    assert_eq!(server.client().get("/nothing/").status, 404);
    server.client().get("/health/live");
    let lines = log.lines(4);
    let line = &lines[0];
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "time",
            "request_id",
            "client",
            "method",
            "path",
            "front",
            "status",
            "bytes_in",
            "bytes_out",
            "duration_ms"
        ]
    );
    assert_eq!(line["time"], "2026-01-02T00:00:00Z");
    assert_eq!(line["request_id"].as_str(), answer.header("X-Request-Id"));
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!(line["method"], "POST");
    assert_eq!(line["path"], "/api/31/store/");
    assert_eq!(line["front"], "ingest");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes_in"], 15);
    assert_eq!(line["bytes_out"], answer.body.len());
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    let of = |line: &Value| {
        (
            line["path"].clone(),
            line["front"].clone(),
            line["status"].clone(),
        )
    };
    assert_eq!(
        of(&lines[1]),
        ("/api/0/organizations/".into(), "api".into(), 200.into())
    );
    assert_eq!(
        of(&lines[2]),
        ("/nothing/".into(), "web".into(), 404.into())
    );
    assert_eq!(
        of(&lines[3]),
        ("/health/live".into(), "watch".into(), 200.into())
    );
}

#[test]
fn a_refused_request_has_a_line_too() {
    let (server, log) = start();
    let answer = server
        .client()
        .send_raw(b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n");
    let long = server.client().send_raw(
        b"POST /api/0/organizations/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    );
    let lines = log.lines(2);
    assert_eq!(lines[0]["status"], answer.status);
    assert_eq!((long.status, &lines[1]["status"]), (413, &413.into()));
    assert_eq!(lines[1]["path"], "/api/0/organizations/");
    assert_eq!(lines[1]["bytes_in"], 0);
}

#[test]
fn no_key_token_or_body_is_written_down() {
    let (server, log) = start();
    let secret = "0123456789abcdef".repeat(4);
    server.send_event(r#"{"message":"confidential"}"#);
    server
        .client()
        .get(&format!("/api/31/store/?sentry_key={KEY}"));
    server.client().get(&format!("/js-sdk-loader/{KEY}.min.js"));
    server.client().get(&format!("/api/31/cron/nightly/{KEY}/"));
    server
        .owner()
        .get(&format!("/api/0/projects/acme/web/keys/{KEY}/"));
    server.client().get(&format!("/account/set-up/{secret}/"));
    server.client().get(&format!("/accept/3/{secret}"));
    server.client().get(&format!("/auth/login/?next=/{secret}"));
    log.lines(8);
    let text = std::fs::read_to_string(&log.file).unwrap();
    for hidden in [
        KEY,
        &secret,
        OWNER_TOKEN,
        "confidential",
        "sentry_key",
        "next",
    ] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert!(
        text.contains("\"/js-sdk-loader/{hidden}.min.js\""),
        "{text}"
    );
    assert!(text.contains("\"/account/set-up/{hidden}/\""), "{text}");
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let (server, log) = start();
    server.client().get("/health/live");
    log.lines(1);
    let moved = log.file.with_extension("1");
    std::fs::rename(&log.file, &moved).unwrap();
    // The name is looked up once a second.
    std::thread::sleep(Duration::from_millis(1100));
    server.client().get("/health/ready");
    assert_eq!(log.lines(1)[0]["path"], "/health/ready");
    assert_eq!(lines(&moved, 1).len(), 1);
    // One that is emptied, as logrotate's copytruncate does it, goes on from its start.
    std::fs::File::options()
        .write(true)
        .open(&log.file)
        .unwrap()
        .set_len(0)
        .unwrap();
    server.client().get("/_health/");
    assert_eq!(log.lines(1)[0]["path"], "/_health/");
}

#[test]
fn what_waits_is_written_before_the_end() {
    let (mut server, log) = start();
    for _ in 0..50 {
        server.client().get("/health/live");
    }
    server.stop();
    let text = std::fs::read_to_string(&log.file).unwrap();
    assert_eq!(text.lines().count(), 50);
    // Whoever reads logs may read it; nobody else.
    assert_eq!(mode(&log.file), 0o640 & !umask());
}

fn umask() -> u32 {
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("a");
    std::fs::write(&file, "").unwrap();
    0o666 & !mode(&file)
}

#[test]
fn the_log_goes_to_stderr_or_to_a_file_that_can_be_written() {
    let picket = Binary::new();
    let server = picket.serve(&["--access-log", "-", "--log-level", "error"]);
    let address = server.address().parse().unwrap();
    crate::support::Client::new(address).get("/health/live");
    let output = server.terminate();
    let line: Value = serde_json::from_str(&output.stderr).expect("one line of JSON");
    assert_eq!(line["path"], "/health/live");

    let output = picket.run(&["serve", "--access-log", "no/such/access.log"]);
    assert_eq!(output.code, Some(1));
    let start = "picket: cannot write the access log no/such/access.log: ";
    assert!(output.stderr.starts_with(start), "{}", output.stderr);
}
