//! Proxies in front of the transport: who is believed about whom a request comes from.

use std::thread;
use std::time::Duration;

use picket::http::{Server, Settings, Tls};
use rustls::version::TLS13;
use std::sync::Arc;

use super::{Client, settings, start, until};
use crate::support::tls::{client, fixture};

/// A server that takes all of this machine, in IPv4, for a proxy of the PROXY protocol.
fn behind_proxy() -> Settings {
    Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().expect("a range")],
        proxy_protocol: true,
        head_timeout: Duration::from_millis(300),
        ..settings()
    }
}

const GET: &str = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
const LINE: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n";

/// Version 2, with something that proxies add.
const BLOCK: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x12\xcb\x00\x71\x09\xc6\x33\x64\x01\xdc\x04\x01\xbb\x05\x00\x03abc";

/// Whom the server takes for the client.
fn peer(client: &mut Client) -> String {
    let text = client.answer().text();
    let (_, rest) = text.split_once(" peer ").expect("an echo");
    rest.split(' ').next().unwrap_or_default().to_owned()
}

fn peer_of(server: &Server, parts: &[&[u8]]) -> String {
    let mut client = Client::connect(server.local_addr());
    for part in parts {
        client.send(part);
        thread::sleep(Duration::from_millis(5));
    }
    peer(&mut client)
}

fn ended(server: &Server, kind: &str) -> u64 {
    let ended = server.metrics().connections_ended;
    ended.get(kind).copied().unwrap_or(0)
}

#[test]
fn a_connection_is_of_whom_its_proxy_says() {
    let server = start(behind_proxy());
    let whole = [LINE.as_bytes(), GET.as_bytes()].concat();
    assert_eq!(peer_of(&server, &[&whole]), "203.0.113.9");
    let whole = [BLOCK, GET.as_bytes()].concat();
    assert_eq!(peer_of(&server, &[&whole]), "203.0.113.9");
    let (start, end) = BLOCK.split_at(7);
    assert_eq!(
        peer_of(&server, &[start, end, GET.as_bytes()]),
        "203.0.113.9"
    );
    let unknown = b"PROXY UNKNOWN\r\n".as_slice();
    assert_eq!(peer_of(&server, &[unknown, GET.as_bytes()]), "127.0.0.1");
    let mut client = Client::connect(server.local_addr());
    client.send(LINE);
    for _ in 0..3 {
        client.send(GET);
        assert_eq!(peer(&mut client), "203.0.113.9");
    }
}

#[test]
fn a_proxy_that_says_nothing_of_the_kind_is_not_served() {
    let server = start(behind_proxy());
    let mut client = Client::connect(server.local_addr());
    client.send(GET);
    assert!(client.is_closed());
    for half in [
        &BLOCK[..20],
        b"PROXY TCP4 203.0",
        b"PROXY TCP4 a b 1 2\r\n",
        &[b'P'; 200],
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(half);
        assert!(client.is_closed(), "{half:?}");
    }
    let mut slow = Client::connect(server.local_addr());
    for byte in [b"PROXY UNKNOWN ".as_slice(), &[b'a'; 80]].concat() {
        slow.send([byte]);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(slow.is_closed());
    until(|| ended(&server, "proxy_header") == 6);
    // A balancer that looks whether somebody listens.
    drop(Client::connect(server.local_addr()));
    until(|| ended(&server, "done") == 1);
    assert_eq!(server.metrics().requests, 0);
}

#[test]
fn nobody_else_is_believed() {
    let server = start(Settings {
        trusted_proxies: vec!["127.0.0.2".parse().expect("an address")],
        ..behind_proxy()
    });
    for header in [LINE.as_bytes(), BLOCK] {
        let mut client = Client::connect(server.local_addr());
        client.send(header);
        client.send(GET);
        assert_eq!(client.answer().status, 400);
        assert!(client.is_closed());
    }
    let forwarded = "GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    assert_eq!(peer_of(&server, &[forwarded.as_bytes()]), "127.0.0.1");
    // Nor is a client of the proxy, unless it is one itself.
    let server = start(Settings {
        trusted_proxies: vec![
            "127.0.0.1".parse().expect("an address"),
            "198.51.100.0/24".parse().expect("a range"),
        ],
        ..behind_proxy()
    });
    assert_eq!(
        peer_of(&server, &[LINE.as_bytes(), forwarded.as_bytes()]),
        "203.0.113.9"
    );
    let forwarded = "GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9, 192.0.2.1, 198.51.100.3\r\n\r\n";
    assert_eq!(
        peer_of(&server, &[LINE.as_bytes(), forwarded.as_bytes()]),
        "203.0.113.9"
    );
    let of_proxy = LINE.replace("203.0.113.9", "198.51.100.9");
    assert_eq!(
        peer_of(&server, &[of_proxy.as_bytes(), forwarded.as_bytes()]),
        "192.0.2.1"
    );
}

#[test]
fn the_cap_counts_the_clients_of_a_proxy_and_not_the_proxy() {
    let server = start(Settings {
        per_address_max: 2,
        ..behind_proxy()
    });
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect(server.local_addr());
        client.send(LINE.replace("203.0.113.9", &format!("203.0.113.{}", number / 2)));
        client.send(GET);
        assert_eq!(client.answer().status, 200);
        clients.push(client);
    }
    let mut third = Client::connect(server.local_addr());
    third.send(LINE.replace("203.0.113.9", "203.0.113.2"));
    third.send(GET);
    assert!(third.is_closed());
    assert_eq!(
        (
            ended(&server, "address_full"),
            server.metrics().connections_refused
        ),
        (1, 1)
    );
    clients.pop();
    until(|| server.metrics().connections_open == 5);
    let mut third = Client::connect(server.local_addr());
    third.send(LINE.replace("203.0.113.9", "203.0.113.2"));
    third.send(GET);
    assert_eq!(third.answer().status, 200);
}

#[test]
fn the_header_comes_before_tls() {
    let tls = Tls::load(&fixture("first.pem"), &fixture("first.key.pem")).expect("a pair");
    let server = start(Settings {
        tls: Some(Arc::new(tls)),
        ..behind_proxy()
    });
    let mut connected = Client::connect(server.local_addr());
    connected.send(BLOCK);
    connected.encrypt(client(&[&TLS13]));
    connected.send(GET);
    assert_eq!(peer(&mut connected), "203.0.113.9");
    let mut bare = Client::connect(server.local_addr());
    bare.encrypt(client(&[&TLS13]));
    bare.send(GET);
    until(|| ended(&server, "proxy_header") == 1);
}
