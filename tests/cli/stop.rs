//! Signals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::process::Binary;

#[test]
fn either_signal_ends_the_server_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let picket = Binary::new();
        let mut server = picket.serve(&[]);
        let started = Instant::now();
        server.signal(signal);
        let output = server.wait();
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        // Checkpointed: the file is whole by itself.
        let wal = std::fs::metadata(picket.path("picket.db-wal"));
        assert!(wal.map_or(0, |metadata| metadata.len()) == 0);
    }
}

#[test]
fn a_stop_does_not_wait_for_idle_or_slow_clients() {
    let picket = Binary::new();
    let mut server = picket.serve(&[]);
    let _idle = TcpStream::connect(server.address()).unwrap();
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        .unwrap();
    let started = Instant::now();
    server.signal(Signal::TERM);
    let output = server.wait();
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
    // Answered or cut, but not left hanging.
    slow.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);
    assert!(
        !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "the connection is still open"
    );
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let picket = Binary::new();
    let mut server = picket.serve(&[]);
    // Something to wait for: a request that has begun and never ends.
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    server.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(50));
    server.signal(Signal::TERM);
    let output = server.wait();
    // 1: cut short. 0: it was done before the second signal came.
    assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
}
