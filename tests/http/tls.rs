//! TLS in front of the transport.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use picket::http::{Listeners, Server, Settings, Tls};
use rustls::version::{TLS12, TLS13};

use super::{Client, settings, start, start_on, until};
use crate::support::tls::{certificate, client, fixture};

fn load(name: &str) -> Arc<Tls> {
    let key = fixture(&format!("{name}.key.pem"));
    Arc::new(Tls::load(&fixture(&format!("{name}.pem")), &key).expect("a pair"))
}

fn with_tls() -> Settings {
    Settings {
        tls: Some(load("first")),
        ..settings()
    }
}

fn connect(address: SocketAddr) -> Client {
    let mut connected = Client::connect(address);
    connected.encrypt(client(&[&TLS13]));
    connected
}

/// The certificate that a client is shown.
fn shown(connected: &Client) -> &[u8] {
    let tls = connected.tls.as_ref().expect("TLS");
    let chain = tls.peer_certificates().expect("certificates");
    &chain[0]
}

fn ended(server: &Server, kind: &str) -> u64 {
    let ended = server.metrics().connections_ended;
    ended.get(kind).copied().unwrap_or(0)
}

#[test]
fn requests_over_tls_are_served_like_any_others() {
    for name in ["first", "sec1", "rsa"] {
        let server = start(Settings {
            tls: Some(load(name)),
            ..settings()
        });
        for version in [&TLS12, &TLS13] {
            let mut connected = Client::connect(server.local_addr());
            connected.encrypt(client(&[version]));
            assert_eq!(connected.get("/").text(), "ok");
            assert_eq!(shown(&connected), &certificate(name)[..]);
            let tls = connected.tls.as_ref().expect("TLS");
            assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
            // Longer than a record, than what is encrypted ahead, and than memory is given for.
            let body = vec![b'a'; 3_000_000];
            let head = format!(
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            connected.send([head.as_bytes(), &body].concat());
            let answer = connected.answer();
            assert!(answer.text().contains("\nfile\n"));
            assert!(answer.body.ends_with(&body));
            let pieces = connected.get("/pieces?bytes=2500000").body;
            assert_eq!(pieces.len(), 2_500_000);
            let requests =
                "GET /echo?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /echo?2 HTTP/1.1\r\nHost: x\r\n\r\n";
            connected.send(requests.repeat(50));
            for number in 0..100 {
                let expected = format!("GET /echo ?{} ", 1 + number % 2);
                assert!(connected.answer().text().starts_with(&expected));
            }
        }
        assert_eq!(server.metrics().tls_handshakes, 2);
    }
}

#[test]
fn who_says_that_it_sends_no_more_is_answered_all_the_same() {
    let server = start(with_tls());
    let mut connected = connect(server.local_addr());
    connected.send("GET /later?ms=50 HTTP/1.1\r\nHost: x\r\n\r\n");
    connected.finish();
    assert_eq!(connected.answer().text(), "later");
    assert!(connected.is_closed());
}

#[test]
fn the_end_of_a_connection_is_said_inside_of_tls() {
    // A client of rustls' fails when a connection ends without a word.
    let server = start(Settings {
        idle_timeout: Duration::from_millis(300),
        connections_max: 2,
        ..with_tls()
    });
    let address = server.local_addr();
    let mut asked = connect(address);
    asked.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(asked.answer().status, 200);
    assert!(asked.is_closed());
    let mut refused = connect(address);
    refused.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(refused.answer().status, 400);
    assert!(refused.is_closed());
    let mut idle = connect(address);
    assert_eq!(idle.get("/").status, 200);
    assert!(idle.is_closed());
    until(|| server.metrics().connections_open == 0);
    let mut all: Vec<Client> = Vec::new();
    for _ in 0..3 {
        let mut connected = connect(address);
        assert_eq!(connected.get("/").status, 200);
        all.push(connected);
        thread::sleep(Duration::from_millis(5));
    }
    assert!(all[0].is_closed(), "it made room for the third");
    until(|| ended(&server, "evicted") == 1);
    assert_eq!(
        (ended(&server, "idle_timeout"), ended(&server, "refused")),
        (1, 1)
    );
}

#[test]
fn a_stop_lets_what_is_under_way_finish_and_tells_the_others() {
    let server = start(with_tls());
    let mut idle = connect(server.local_addr());
    assert_eq!(idle.get("/").status, 200);
    let mut busy = connect(server.local_addr());
    busy.send("GET /later?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| server.metrics().requests == 2);
    assert!(server.stop(Duration::from_secs(10)));
    assert_eq!(busy.answer().text(), "later");
    assert!(busy.is_closed());
    assert!(idle.is_closed());
    assert_eq!((ended(&server, "stopped"), ended(&server, "done")), (1, 1));
}

#[test]
fn a_request_without_tls_is_told_so_in_the_words_of_its_path() {
    let server = start(with_tls());
    let mut plain = Client::connect(server.local_addr());
    let answer = plain.get("/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "This port speaks HTTPS, not HTTP")
    );
    assert!(plain.is_closed());
    let mut plain = Client::connect(server.local_addr());
    let answer = plain.get("/ingest/echo");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "{\"detail\":\"refused\"}")
    );
    assert!(plain.is_closed());
    assert_eq!(server.metrics().refusals["plain_http"], 2);
}

/// A first message that offers a version and no newer one.
fn hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA and _RSA_; no compression; no extensions.
    body.extend([0, 0, 4, 0xc0, 0x09, 0xc0, 0x13, 1, 0]);
    let length = body.len() as u8;
    let message = [&[1, 0, 0, length], &body[..]].concat();
    [&[22, 3, 1, 0, length + 4], &message[..]].concat()
}

/// What the server says to bytes until it closes.
fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time-out");
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn what_is_no_acceptable_handshake_gets_an_alert_and_the_end() {
    let server = start(with_tls());
    let address = server.local_addr();
    let mut refused = 0;
    for version in [0, 1, 2] {
        let alert = say(address, &hello(version));
        // An alert (21), fatal (2): the version (70), or what only an old one needs (40).
        assert!(
            matches!(alert[..], [21, 3, _, 0, 2, 2, 70 | 40]),
            "{alert:?}"
        );
        refused += 1;
    }
    let mut noise = vec![HANDSHAKE];
    noise.extend([0xff; 40_000]);
    let endless = [&[HANDSHAKE, 3, 1, 0x40, 0], &[1; 0x4000][..]]
        .concat()
        .repeat(8);
    let other_message = [&[HANDSHAKE, 3, 1, 0, 4], &[2, 0, 0, 0][..]].concat();
    for bytes in [noise, endless, other_message] {
        let alert = say(address, &bytes);
        assert!(
            matches!(alert[..], [] | [21, 3, _, 0, 2, 2, _]),
            "{alert:?}"
        );
        refused += 1;
    }
    until(|| ended(&server, "tls_failed") == refused);
    assert_eq!(connect(address).get("/").status, 200);
}

const HANDSHAKE: u8 = 22;

#[test]
fn a_handshake_has_the_time_of_a_head_however_steadily_it_comes() {
    let server = start(Settings {
        head_timeout: Duration::from_millis(300),
        ..with_tls()
    });
    let address = server.local_addr();
    let started = Instant::now();
    assert_eq!(say(address, b""), b"");
    assert_eq!(say(address, &[HANDSHAKE, 3, 1]), b"");
    assert!(started.elapsed() >= Duration::from_millis(600));
    let mut slow = TcpStream::connect(address).expect("a connection");
    for byte in [
        &[HANDSHAKE, 3, 1, 0x10, 0, 1, 0, 0x0f, 0xfc, 3, 3][..],
        &[0; 4000],
    ]
    .concat()
    {
        if slow.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(started.elapsed() < Duration::from_secs(3), "it went on");
    until(|| ended(&server, "tls_timeout") == 3);
    // A head has its own time, from its own first byte.
    let mut patient = connect(address);
    assert_eq!(patient.get("/").status, 200);
    thread::sleep(Duration::from_millis(350));
    assert_eq!(patient.get("/").status, 200);
    patient.send("GET / HTTP/1.1\r\n");
    for _ in 0..50 {
        patient.send("A: b\r\n");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(patient.answer().status, 408);
}

#[test]
fn messages_that_say_nothing_do_not_keep_a_connection() {
    let server = start(Settings {
        idle_timeout: Duration::from_millis(300),
        ..with_tls()
    });
    let mut connected = connect(server.local_addr());
    assert_eq!(connected.get("/").status, 200);
    let started = Instant::now();
    while ended(&server, "idle_timeout") == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "it is kept");
        let tls = connected.tls.as_mut().expect("TLS");
        if tls.refresh_traffic_keys().is_ok() {
            let _ = tls.write_tls(&mut &connected.stream);
        }
        thread::sleep(Duration::from_millis(40));
    }
}

#[test]
fn a_slow_body_and_a_slow_reader_are_seen_through_tls() {
    let server = start(Settings {
        body_grace: Duration::from_millis(200),
        send_timeout: Duration::from_millis(300),
        ..with_tls()
    });
    let mut slow = connect(server.local_addr());
    slow.send("POST /ingest/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
    for _ in 0..50 {
        slow.send("a");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(slow.answer().status, 408);
    let mut deaf = connect(server.local_addr());
    deaf.send("GET /large?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    until(|| ended(&server, "slow_reader") == 1);
    assert_eq!(server.metrics().slow_readers_cut, 1);
    assert_eq!(
        connect(server.local_addr())
            .get("/large?bytes=100000")
            .body
            .len(),
        100_000
    );
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_a_bad_one_to_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let (cert, key) = (
        directory.path().join("a.pem"),
        directory.path().join("a.key"),
    );
    let put = |name: &str| {
        fs::copy(fixture(&format!("{name}.pem")), &cert).expect("copied");
        fs::copy(fixture(&format!("{name}.key.pem")), &key).expect("copied");
    };
    put("first");
    let tls = Arc::new(Tls::load(&cert, &key).expect("a pair"));
    let server = start(Settings {
        tls: Some(Arc::clone(&tls)),
        ..settings()
    });
    let shown_now = || {
        let mut connected = connect(server.local_addr());
        assert_eq!(connected.get("/").status, 200);
        shown(&connected).to_vec()
    };
    let mut old = connect(server.local_addr());
    assert_eq!(old.get("/").status, 200);
    put("second");
    assert_eq!(shown_now(), &certificate("first")[..]);
    tls.reload().expect("a new pair");
    assert_eq!(shown_now(), &certificate("second")[..]);
    assert_eq!(old.get("/").status, 200);
    fs::copy(fixture("first.key.pem"), &key).expect("copied");
    assert!(tls.reload().is_err());
    fs::remove_file(&cert).expect("removed");
    assert!(tls.reload().is_err());
    assert_eq!(shown_now(), &certificate("second")[..]);
    assert_eq!(old.get("/").status, 200);
}

#[test]
fn files_that_are_no_good_are_told_apart() {
    let (cert, key) = (fixture("first.pem"), fixture("first.key.pem"));
    let cert_dir = cert.parent().expect("a folder").to_owned();
    let wrong = |cert: &Path, key: &Path| {
        let text = Tls::load(cert, key).expect_err("no good");
        text.replace(&format!("{}/", cert_dir.display()), "")
    };
    let directory = tempfile::tempdir().expect("a directory");
    let damaged = directory.path().join("damaged.pem");
    fs::write(
        &damaged,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("written");
    let shown_damaged = damaged.display();
    assert_eq!(
        wrong(&cert, &fixture("second.key.pem")),
        "the key in second.key.pem is not that of the first certificate in first.pem"
    );
    assert_eq!(
        wrong(&key, &key),
        "there is no certificate (PEM) in first.key.pem"
    );
    assert_eq!(
        wrong(&cert, &cert),
        "there is no private key (PEM) in first.pem"
    );
    for name in ["encrypted.key.pem", "encrypted-sec1.key.pem"] {
        assert_eq!(
            wrong(&cert, &fixture(name)),
            format!(
                "the key in {name} is encrypted; Picket cannot ask for a passphrase, so store it without one, \
                 readable by its own user alone"
            )
        );
    }
    assert_eq!(
        wrong(&fixture("none.pem"), &key),
        "the certificate none.pem cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        wrong(&cert, &fixture("none.pem")),
        "the key none.pem cannot be read: No such file or directory (os error 2)"
    );
    let text = wrong(&damaged, &key);
    let start = format!("the first certificate in {shown_damaged} is not valid: ");
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn the_other_address_sends_everything_on_to_the_right_one() {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let redirecting = listen();
    let address = redirecting.local_addr().expect("an address");
    let listeners = Listeners {
        serving: vec![listen(), listen()],
        redirecting: vec![redirecting],
        redirect_to: "https://picket.test".to_owned(),
    };
    let server = start_on(
        listeners,
        Settings {
            head_timeout: Duration::from_millis(300),
            connections_max: 1,
            ..with_tls()
        },
    );
    assert_eq!(connect(server.local_addr()).get("/").status, 200);
    let ask = |request: &str| {
        until(|| server.metrics().connections_open == 0);
        let mut client = Client::connect(address);
        client.send(request);
        let answer = client.answer();
        assert!(client.is_closed());
        let location = answer.header("Location").map(str::to_owned);
        (answer.status, location)
    };
    let to = |status: u16, path: &str| (status, Some(format!("https://picket.test{path}")));
    let host = "HTTP/1.1\r\nHost: elsewhere.test\r\n";
    assert_eq!(ask(&format!("GET /a?b=c {host}\r\n")), to(301, "/a?b=c"));
    assert_eq!(ask(&format!("HEAD / {host}\r\n")), to(301, "/"));
    assert_eq!(
        ask(&format!("GET //evil.test/ {host}\r\n")),
        to(301, "//evil.test/")
    );
    assert_eq!(
        ask(&format!("GET http://evil.test/x {host}\r\n")),
        to(301, "/x")
    );
    assert_eq!(ask(&format!("OPTIONS * {host}\r\n")), to(308, "/"));
    let post = format!("POST /ingest/echo {host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(ask(&post), to(308, "/ingest/echo"));
    assert_eq!(ask(&format!("{post}hello")), to(308, "/ingest/echo"));
    assert_eq!(server.metrics().redirects, 7);
    assert_eq!(server.metrics().requests, 1);
    // The limits are those of every connection.
    assert_eq!(ask("GET / HTTP/1.1\r\n\r\n"), (400, None));
    assert_eq!(ask("GET / HTTP/1.1\r\nA: b\r\n"), (408, None));
    assert_eq!(
        ask(&format!("GET /{} {host}\r\n", "a".repeat(40_000))),
        (431, None)
    );
    until(|| server.metrics().connections_open == 0);
    let mut idle = Client::connect(address);
    until(|| server.metrics().connections_open == 1);
    let mut next = Client::connect(address);
    assert!(idle.is_closed(), "there is room for one");
    assert_eq!(next.get("/").status, 301);
}
