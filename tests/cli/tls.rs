//! TLS and what stands in front of a server, as the running program is told about them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConnection;
use rustls::version::TLS13;
use serde_json::Value;

use crate::support::Client;
use crate::support::process::{Binary, Process};
use crate::support::tls::{certificate, client, fixture};

/// A program with the pair of this name as `a.pem` and `a.key`.
fn with_pair(name: &str) -> Binary {
    let picket = Binary::new();
    put(&picket, name);
    picket
}

fn put(picket: &Binary, name: &str) {
    fs::copy(fixture(&format!("{name}.pem")), picket.path("a.pem")).unwrap();
    fs::copy(fixture(&format!("{name}.key.pem")), picket.path("a.key")).unwrap();
}

const PAIR: [&str; 4] = ["--tls-cert", "a.pem", "--tls-key", "a.key"];

/// Shakes hands and tells which of the fixtures was shown.
fn shown(server: &Process) -> &'static str {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let mut tls: ClientConnection = client(&[&TLS13]);
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    let chain = tls.peer_certificates().unwrap();
    ["first", "second"]
        .into_iter()
        .find(|name| certificate(name) == chain[0])
        .expect("a certificate of ours")
}

#[test]
fn a_signal_makes_it_show_a_new_certificate_and_a_bad_one_is_refused() {
    let picket = with_pair("first");
    let mut server = picket.serve(&PAIR);
    let prefix = server.line("listening on ");
    assert_eq!(prefix, format!("{0} as https://{0}", server.address()));
    assert!(server.wait_for("DSN: ").starts_with("https://"));
    assert_eq!(shown(&server), "first");
    put(&picket, "second");
    server.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(20);
    while shown(&server) == "first" {
        assert!(Instant::now() < deadline, "the old one is shown");
    }
    fs::copy(fixture("first.key.pem"), picket.path("a.key")).unwrap();
    server.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(shown(&server), "second");
    let output = server.terminate();
    assert_eq!(output.code, Some(0));
    let said = "the certificate stays as it was: the key in a.key is not that of the first certificate in a.pem";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert!(output.stderr.contains("the certificate was read again"));
}

#[test]
fn a_server_without_a_certificate_survives_the_signal() {
    let server = Binary::new().serve(&[]);
    server.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(200));
    let output = server.terminate();
    assert_eq!(output.code, Some(0));
    let said = "there is no certificate to read again";
    assert!(output.stderr.contains(said), "{}", output.stderr);
}

#[test]
fn the_other_address_is_told_and_sends_on() {
    let picket = with_pair("first");
    let redirect = [
        "--redirect-http",
        "127.0.0.1:0",
        "--url-prefix",
        "https://picket.test",
    ];
    let server = picket.serve(&[&PAIR[..], &redirect].concat());
    let address: SocketAddr = server.line("redirecting from ").parse().unwrap();
    let answer = Client::new(address).get("/auth/login/?next=1");
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.header("Location"),
        Some("https://picket.test/auth/login/?next=1")
    );
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn files_that_do_not_belong_together_end_the_start_in_one_sentence() {
    let picket = with_pair("first");
    fs::copy(fixture("second.key.pem"), picket.path("a.key")).unwrap();
    let output = picket.run(&[&["serve", "--listen", "127.0.0.1:0"][..], &PAIR].concat());
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (
            Some(1),
            "picket: the key in a.key is not that of the first certificate in a.pem\n"
        )
    );
    // Nothing was begun.
    assert!(!picket.path("picket.db").exists());
}

#[test]
fn settings_without_those_that_they_need_are_wrong_usage() {
    let picket = with_pair("first");
    for (arguments, said) in [
        (&["--tls-cert", "a.pem"][..], "--tls-cert needs --tls-key"),
        (&["--tls-key", "a.key"], "--tls-key needs --tls-cert"),
        (
            &["--redirect-http", "127.0.0.1:0"],
            "--redirect-http needs --tls-cert and --tls-key, or an --url-prefix that starts with https://",
        ),
        (
            &["--proxy-protocol", "on"],
            "--proxy-protocol on needs --trusted-proxy",
        ),
        (
            &["--trusted-proxy", "10.0.0.0/8,,::1"],
            "--trusted-proxy: \"\": expected an IP address or a range such as 192.0.2.0/24",
        ),
        (
            &["--max-inbound-bytes", "1MiB"],
            "--max-inbound-bytes must not be less than --max-body-bytes",
        ),
    ] {
        let output = picket.run(&[&["serve", "--listen", "127.0.0.1:0"][..], arguments].concat());
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(
            output.stderr.starts_with(&format!("picket: {said}")),
            "{output:?}"
        );
    }
}

#[test]
fn only_a_trusted_proxy_says_where_a_change_came_from() {
    let picket = Binary::new();
    let proxied = |ranges: &str| picket.serve(&["--print-credentials", "--trusted-proxy", ranges]);
    let mut server = proxied("127.0.0.0/8");
    let token = format!("sntryu_{}", server.wait_for("  sntryu_"));
    let create = |server: &Process, name: &str| {
        let client = Client::new(server.address().parse().unwrap())
            .with_header("Authorization", &format!("Bearer {token}"));
        let answer = client
            .clone()
            .with_header("X-Forwarded-For", "192.0.2.1, 203.0.113.9")
            .post_json(
                "/api/0/organizations/default/teams/",
                &serde_json::json!({ "slug": name }),
            );
        assert_eq!(answer.status, 201, "{}", answer.text());
        let log = client
            .get("/api/0/organizations/default/audit-logs/")
            .json();
        log["rows"][0]["ipAddress"].clone()
    };
    assert_eq!(create(&server, "one"), Value::from("203.0.113.9"));
    server.terminate();
    let server = proxied("198.51.100.0/24");
    assert_eq!(create(&server, "two"), Value::from("127.0.0.1"));
    server.terminate();
}
