//! Bodies that say they have 10 GB, and bodies that never end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{BODY_BYTES_MAX, Victim};
use crate::support::KEY;

const ENVELOPE: &str = "envelope/";
const MINIDUMP: &str = "minidump/";

/// Sends a head and what `more` sends after it; the answer, to the end of the connection.
fn send(
    victim: &Victim,
    endpoint: &str,
    framing: &str,
    more: impl FnOnce(&mut TcpStream),
) -> String {
    let mut stream = TcpStream::connect(victim.process.address()).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time-out");
    let head = format!(
        "POST /api/31/{endpoint}?sentry_key={KEY} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .expect("the head is taken");
    more(&mut stream);
    let mut answer = Vec::new();
    // A connection that is closed while we still send may be reset behind its answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_refused(answer: &str, status: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{answer}"
    );
    let lower = answer.to_ascii_lowercase();
    for part in [
        "connection: close",
        "access-control-allow-origin: *",
        "{\"detail\":",
    ] {
        assert!(lower.contains(part), "{part} in {answer}");
    }
}

#[test]
fn ten_gigabytes_are_refused_before_they_come() {
    let victim = Victim::start();
    let before = victim.ledger();
    for endpoint in [ENVELOPE, MINIDUMP, "store/", "integration/otlp/v1/logs/"] {
        for length in ["10000000000", "41943041", "18446744073709551615"] {
            let answer = send(
                &victim,
                endpoint,
                &format!("Content-Length: {length}"),
                |_| (),
            );
            assert_refused(&answer, "413");
        }
        let chunked = "Transfer-Encoding: chunked";
        let answer = send(&victim, endpoint, chunked, |stream| {
            let _ = stream.write_all(b"2540be400\r\n");
        });
        assert_refused(&answer, "413");
    }
    assert_eq!(victim.ledger(), before, "nobody knows whose they were");
    assert_eq!(victim.small_event().status, 200);
    victim.kept_its_memory();
}

#[test]
fn a_body_that_never_ends_is_cut_at_the_limit() {
    let victim = Victim::start();
    let before = victim.ledger();
    let block = vec![b'x'; 1 << 16];
    for endpoint in [ENVELOPE, MINIDUMP] {
        let mut sent = 0;
        let answer = send(&victim, endpoint, "Transfer-Encoding: chunked", |stream| {
            let chunk = [b"10000\r\n".as_slice(), &block, b"\r\n"].concat();
            while sent < 4 * BODY_BYTES_MAX && stream.write_all(&chunk).is_ok() {
                sent += block.len();
            }
        });
        assert!(sent < 2 * BODY_BYTES_MAX, "{sent} bytes were taken");
        if !answer.is_empty() {
            assert_refused(&answer, "413");
        }
    }
    assert_eq!(victim.ledger(), before, "nobody knows whose they were");
    assert_eq!(victim.small_event().status, 200);
    assert!(
        victim.spooled_files().is_empty(),
        "{:?}",
        victim.spooled_files()
    );
    victim.kept_its_memory();
}

#[test]
fn a_body_that_ends_early_leaves_nothing() {
    let victim = Victim::start();
    let before = victim.ledger();
    for framing in ["Content-Length: 30000000", "Transfer-Encoding: chunked"] {
        for _ in 0..4 {
            send(&victim, ENVELOPE, framing, |stream| {
                let _ = stream.write_all(b"200000\r\n");
                let _ = stream.write_all(&vec![b'x'; 2 << 20]);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    }
    assert_eq!(victim.ledger(), before);
    assert_eq!(victim.small_event().status, 200);
    assert!(
        victim.spooled_files().is_empty(),
        "{:?}",
        victim.spooled_files()
    );
}
