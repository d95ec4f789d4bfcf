//! What is answered on the connection's own thread, and what is counted.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use picket::Clock;
use picket::http::{
    Class, Front, LaneSet, Method, Request, Responder, Response, Server, Service, Settings,
    Watching,
};

use super::{Client, classify, settings};

/// Keeps its worker until the test lets go.
struct Stuck(std::sync::Mutex<mpsc::Receiver<()>>);

impl Service for Stuck {
    fn call(&self, _: Request, responder: Responder) {
        let _ = self.0.lock().expect("one caller").recv();
        responder.respond(Response::text(200, "at last"));
    }
}

fn answer(request: &Request) -> Response {
    match request.path.as_str() {
        "/own/panic" => panic!("as asked"),
        path => Response::text(
            200,
            format!(
                "{} {path} {} {} {} {}",
                request.method.as_str(),
                request.query,
                request.headers.get("x-name").unwrap_or("-"),
                request.headers.get("x-picket-peer").unwrap_or("-"),
                request.peer
            ),
        ),
    }
}

fn start(service: Arc<dyn Service>) -> Server {
    let of_path = |method: &Method, path: &str| match path.starts_with("/own/") {
        true => Class {
            lanes: LaneSet::None,
            front: Front::Watch,
            body_bytes_max: 0,
            ..classify(method, path)
        },
        false => classify(method, path),
    };
    Server::start_watched(
        TcpListener::bind("127.0.0.1:0").expect("a port"),
        Settings {
            general_workers: 1,
            ..settings()
        },
        Clock::system(),
        Arc::new(of_path),
        service.clone(),
        service,
        Watching {
            answer: Arc::new(answer),
            access_log: None,
        },
    )
    .expect("a server")
}

#[test]
fn health_is_answered_while_every_worker_is_busy() {
    let (free, stuck) = mpsc::channel();
    let server = start(Arc::new(Stuck(stuck.into())));
    let mut busy = Client::connect(server.local_addr());
    busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let mut watcher = Client::connect(server.local_addr());
    for _ in 0..3 {
        assert_eq!(
            watcher.get("/own/health?a=b").text(),
            "GET /own/health a=b - - 127.0.0.1"
        );
    }
    free.send(()).expect("somebody waits");
    assert_eq!(busy.answer().text(), "at last");
}

#[test]
fn who_asks_reaches_the_answer_with_its_fields_and_without_a_body() {
    let server = start(Arc::new(super::Toy));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /own/a HTTP/1.1\r\nHost: x\r\nX-Name: Ann\r\nX-Picket-Peer: 9.9.9.9\r\n\r\n");
    assert_eq!(client.answer().text(), "GET /own/a  Ann - 127.0.0.1");
    client.send("POST /own/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.answer().status, 413);
}

#[test]
fn a_panic_costs_its_request_and_nothing_else() {
    let server = start(Arc::new(super::Toy));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/own/panic").status, 500);
    assert_eq!(client.get("/own/a").status, 200);
    let metrics = server.metrics();
    assert_eq!(
        (metrics.handler_panics, metrics.refusals["internal"]),
        (1, 1)
    );
}

#[test]
fn answers_are_counted_by_front_and_status() {
    let server = start(Arc::new(super::Toy));
    let mut client = Client::connect(server.local_addr());
    for path in ["/echo", "/status?code=302", "/status?code=404", "/own/a"] {
        client.get(path);
    }
    client.send("POST /ingest/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    let echoed = client.answer();
    client.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.try_answer(), None);
    let metrics = server.metrics();
    let front = |front: Front| &metrics.fronts[front as usize];
    assert_eq!(front(Front::Web).answers, [0, 1, 1, 1, 0]);
    assert_eq!(front(Front::Web).unanswered, 1);
    assert_eq!(front(Front::Web).took.buckets.iter().sum::<u64>(), 3);
    assert_eq!(front(Front::Watch).answers, [0, 1, 0, 0, 0]);
    assert_eq!(front(Front::Ingest).body_bytes_received, 5);
    assert_eq!(
        front(Front::Ingest).body_bytes_sent,
        echoed.body.len() as u64
    );
    // What is answered here takes no lane.
    assert_eq!(metrics.requests, 5);
}
