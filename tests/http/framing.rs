//! Requests that are not what they should be, one by one.

use super::{Client, ask, settings, start};

fn post(fields: &str) -> String {
    format!("POST /ingest/echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

#[test]
fn a_refusal_speaks_the_paths_language_and_closes() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send(post("Content-Length: -1\r\n"));
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "{\"detail\":\"refused\"}");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(answer.header("X-Request-Id").map(str::len), Some(32));
    assert!(client.is_closed());
    assert_eq!(server.metrics().refusals.get("bad_request"), Some(&1));
    assert_eq!(server.metrics().requests, 0);
}

#[test]
fn a_head_that_could_not_be_read_is_refused_by_its_first_line() {
    let server = start(settings());
    let endless = format!("GET /ingest/echo HTTP/1.1\r\nA: {}", "a".repeat(40_000));
    let answer = ask(&server, endless);
    assert_eq!(answer.status, 431);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    let answer = ask(&server, "\0\0\0\n");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
}

#[test]
fn bad_framing_is_refused() {
    let server = start(settings());
    for (fields, status) in [
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 5,5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 1000000000000\r\n", 413),
        ("Content-Length: 99999999999999999999999999\r\n", 413),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: chunked, identity\r\n", 501),
        ("Expect: a-miracle\r\n", 417),
        ("Name : value\r\n", 400),
        ("Name: a\r\n folded\r\n", 400),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(post(fields));
        assert_eq!(client.answer().status, status, "{fields:?}");
        assert!(client.is_closed(), "{fields:?}");
    }
    assert_eq!(server.metrics().requests, 0);
}

#[test]
fn bad_chunks_are_refused() {
    let server = start(settings());
    for (body, status) in [
        ("-1\r\na\r\n", 400),
        ("g\r\n", 400),
        ("\r\n", 400),
        ("0x1\r\na\r\n0\r\n\r\n", 400),
        ("1\na\r\n0\r\n\r\n", 400),
        ("1\r\nab\r\n0\r\n\r\n", 400),
        ("ffffffffffffffffff\r\n", 400),
        ("fffffffffffffff\r\n", 413),
        ("800001\r\n", 413),
    ] {
        let request = [&post("Transfer-Encoding: chunked\r\n"), body].concat();
        assert_eq!(ask(&server, request).status, status, "{body:?}");
    }
    let extensions = format!("1;{}\r\na\r\n", "e".repeat(1000)).repeat(100);
    let trailers = format!("0\r\n{}", "Name: value\r\n".repeat(10_000));
    let line = "1".repeat(100_000);
    for (body, status) in [(extensions, 400), (trailers, 431), (line, 400)] {
        let request = [post("Transfer-Encoding: chunked\r\n"), body].concat();
        assert_eq!(ask(&server, request).status, status);
    }
}

#[test]
fn other_versions_are_refused() {
    let server = start(settings());
    for line in ["GET / HTTP/2.0", "GET / HTTP/0.9", "PRI * HTTP/2.0"] {
        let request = format!("{line}\r\nHost: x\r\n\r\nSM\r\n\r\n");
        assert_eq!(ask(&server, request).status, 505, "{line}");
    }
    for line in ["GET /", "GET / FTP/1.1", "GET", "get / http/1.1"] {
        let request = format!("{line}\r\nHost: x\r\n\r\n");
        assert_eq!(ask(&server, request).status, 400, "{line}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_100_continue() {
    let server = start(settings());
    let request = post("Expect: 100-continue\r\nContent-Length: 8388609\r\n");
    assert_eq!(ask(&server, request).status, 413);
    let mut client = Client::connect(server.local_addr());
    client.send(post("Expect: 100-continue\r\nContent-Length: 8388608\r\n"));
    assert_eq!(client.head().as_deref(), Some("HTTP/1.1 100 Continue"));
}

#[test]
fn what_follows_a_refused_request_is_never_read_as_one() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(post("Content-Length: 9999999999\r\n"));
    client.send(hidden.repeat(100));
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
    assert_eq!(server.metrics().requests, 0);
}

#[test]
fn a_client_that_still_sends_can_read_its_refusal() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    client.send(post("Content-Length: 700000000\r\n"));
    for _ in 0..10 {
        client.send([b'x'; 50_000]);
    }
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
}

/// Requests with a few bytes changed, dropped, doubled or exchanged. Whatever they say, an answer is well-formed,
/// the lanes hold, and the next client is served.
#[test]
fn mangled_requests_break_nothing() {
    const SEEDS: [&str; 3] = [
        "POST /ingest/echo?a=b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Foo\r\nContent-Length: 11\r\n\r\nhello world",
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: t\r\n\r\n",
        "GET http://x/echo HTTP/1.0\r\nConnection: keep-alive\r\nX-Forwarded-For: 1.2.3.4\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    const BYTES: &[u8] = b"\0\t\r\n :;,/?#%0159aAfFxX-_\x7f\x80\xff";
    let server = start(settings());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % limit
    };
    for round in 0..3000 {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..=below(4) {
            let (at, other) = (below(bytes.len()), below(bytes.len()));
            match below(5) {
                0 => bytes[at] = BYTES[below(BYTES.len())],
                1 => bytes.insert(at, BYTES[below(BYTES.len())]),
                2 => drop(bytes.remove(at)),
                3 => bytes.swap(at, other),
                _ => {
                    let part = bytes[at.min(other)..at.max(other)].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        let mut client = Client::connect(server.local_addr());
        client.send(&bytes);
        client.finish();
        while let Some(head) = client.head() {
            assert!(head.starts_with("HTTP/1.1 "), "{head:?} to {bytes:?}");
            client.forget_body();
        }
    }
    assert_eq!(ask(&server, "GET / HTTP/1.0\r\n\r\n").text(), "ok");
    assert_eq!(server.metrics().lanes_broken, 0);
    assert_eq!(server.metrics().handler_panics, 0);
}
