//! What a well-behaved client gets.

use std::time::Duration;

use super::{Client, ask, settings, start, until};

#[test]
fn a_request_reaches_the_handler_with_its_fields() {
    let server = start(settings());
    let answer = ask(
        &server,
        "POST /echo?a=b HTTP/1.1\r\nHost: x\r\nX-Picket-Peer: 9.9.9.9\r\nX-Name: J\u{fc}rgen\r\nContent-Length: 5\r\n\r\nhello",
    );
    let id = answer.header("X-Request-Id").expect("an id").to_owned();
    assert_eq!(answer.status, 200);
    assert_eq!(id.len(), 32);
    assert!(
        answer
            .header("Date")
            .is_some_and(|date| date.ends_with(" GMT"))
    );
    assert_eq!(answer.header("Server"), None);
    assert_eq!(
        answer.text(),
        format!(
            "POST /echo ?a=b peer 127.0.0.1 id {id}\nHost: x\nX-Name: J\u{fc}rgen\nContent-Length: 5\n\nmemory\nhello"
        )
    );
}

#[test]
fn an_empty_line_before_a_request_is_nothing_even_in_two_halves() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    for part in ["\r\n\r", "\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n"] {
        client.send(part);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_connection_serves_many_requests_in_order() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    for number in 0..50 {
        let answer = client.get(&format!("/echo?{number}"));
        assert!(answer.text().starts_with(&format!("GET /echo ?{number} ")));
    }
    assert_eq!(server.metrics().connections_accepted, 1);
}

#[test]
fn a_large_body_arrives_whole_as_a_file() {
    let server = start(settings());
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut request = format!(
        "POST /ingest/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let answer = ask(&server, request);
    assert_eq!(answer.status, 200);
    let marker = b"\nfile\n";
    let at = answer.body.windows(marker.len()).position(|w| w == marker);
    assert!(answer.body[at.expect("a file") + marker.len()..] == body);
}

#[test]
fn a_chunked_body_arrives_without_its_coding() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    let request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: dropped\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    let answer = client.answer();
    assert!(
        answer
            .text()
            .ends_with("Content-Length: 6\n\nmemory\nhello!"),
        "{answer:?}"
    );
    assert!(!answer.text().contains("dropped"));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send("HEAD /large?bytes=100000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head().expect("a head");
    assert!(head.contains("\r\nContent-Length: 100000\r\n"), "{head}");
    assert_eq!(client.get("/").text(), "ok");
    client.send("HEAD /status?code=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.head().expect("a head").starts_with("HTTP/1.1 500 "));
}

#[test]
fn answers_without_content_have_neither_body_nor_length() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    for status in [204, 304] {
        let answer = client.get(&format!("/status?code={status}"));
        assert_eq!(
            (answer.status, answer.header("Content-Length")),
            (status, None)
        );
    }
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().header("Connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().header("Connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_wants_to_close_is_closed() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().header("Connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn who_waits_for_100_continue_gets_it_once() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    let head =
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";
    client.send(head);
    assert_eq!(client.head().as_deref(), Some("HTTP/1.1 100 Continue"));
    client.send("hello");
    let answer = client.answer();
    assert!(answer.text().ends_with("\nmemory\nhello"));
    assert!(!answer.text().contains("Expect"));
    client.send([head, "hello"].concat());
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_panicking_handler_answers_in_the_fronts_words() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    for path in ["/panic", "/forget"] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (500, "Internal error")
        );
    }
    assert_eq!(client.get("/").text(), "ok");
    until(|| server.metrics().handler_panics == 1);
    assert_eq!(server.metrics().refusals.get("internal"), Some(&2));
}

#[test]
fn an_answer_may_come_later_from_another_thread() {
    let server = start(settings());
    let mut clients: Vec<Client> = (0..20)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    for client in &mut clients {
        client.send("GET /later?ms=100 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "later");
    }
}

#[test]
fn a_handler_can_close_without_an_answer() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.is_closed());
    assert_eq!(ask(&server, "GET / HTTP/1.0\r\n\r\n").text(), "ok");
}

#[test]
fn stopping_finishes_what_is_in_flight_and_closes_what_waits() {
    let server = start(settings());
    let mut idle = Client::connect(server.local_addr());
    assert_eq!(idle.get("/").status, 200);
    let mut busy = Client::connect(server.local_addr());
    busy.send("GET /later?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| server.metrics().requests >= 2);
    assert!(server.stop(Duration::from_secs(10)));
    assert!(idle.is_closed());
    let answer = busy.answer();
    assert_eq!(
        (answer.text().as_str(), answer.header("Connection")),
        ("later", Some("close"))
    );
    assert!(busy.is_closed());
    assert!(server.stop(Duration::ZERO));
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let server = start(settings());
    let mut busy = Client::connect(server.local_addr());
    busy.send("GET /later?ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| server.metrics().requests >= 1);
    assert!(!server.stop(Duration::from_millis(50)));
    assert!(busy.is_closed());
}
