//! `/health/live`, `/health/ready`, `/_health/`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use picket::{Clock, Settings};
use serde_json::json;

use crate::support::{Client, START, Server, WORLD};

#[test]
fn a_running_server_is_live_and_ready() {
    let server = Server::start(WORLD);
    for path in ["/health/live", "/health/live/"] {
        let answer = server.client().get(path);
        assert_eq!(answer.status, 200);
        // Nothing but this: strangers read it too.
        assert_eq!(answer.json(), json!({ "status": "live" }));
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
    let answer = server.client().get("/health/ready");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "status": "ready", "reasons": [] }))
    );
    let answer = server.client().get("/_health/");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    let answer = server.client().send("HEAD", "/health/ready", None);
    assert_eq!((answer.status, answer.text()), (200, ""));
}

#[test]
fn health_is_only_read() {
    let server = Server::start(WORLD);
    for path in ["/health/live", "/health/ready", "/_health/"] {
        let answer = server.client().send("DELETE", path, None);
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("Allow"), Some("GET"));
        // A probe has nothing to send, and nothing of it is kept.
        assert_eq!(server.client().post(path, b"x").status, 413);
    }
    for path in ["/health", "/health/", "/health/liver", "/health/live//"] {
        assert_eq!(server.client().get(path).status, 404, "{path}");
    }
}

#[test]
fn a_server_that_stops_says_so_where_it_is_watched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut settings = Settings::new(
        ([127, 0, 0, 1], 0).into(),
        &directory.path().join("picket.db"),
    );
    settings.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let app = picket::App::start(settings, Clock::manual(START)).expect("the server starts");
    let watcher = Client::new(app.metrics_addr().expect("an address of its own"));
    assert_eq!(watcher.get("/health/ready").status, 200);

    // A request that has begun keeps the server from ending at once.
    let mut slow = TcpStream::connect(app.local_addr()).expect("a connection");
    slow.write_all(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        .expect("written");
    let mut line = [0; 12];
    slow.read_exact(&mut line).expect("it is being served");
    let stopping = std::thread::spawn(move || app.stop(Duration::from_secs(20)));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = watcher.get("/health/ready");
        if answer.status == 503 {
            assert_eq!(
                answer.json(),
                json!({ "status": "not_ready", "reasons": ["stopping"] })
            );
            assert_eq!(answer.header("Retry-After"), Some("5"));
            assert_eq!(watcher.get("/health/live").status, 200);
            break;
        }
        assert!(Instant::now() < deadline, "it never stopped being ready");
    }
    drop(slow);
    assert!(stopping.join().expect("no panic"));
}
