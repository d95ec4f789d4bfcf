//! Answers that are too long to be held: they are relayed while they are made.

use std::thread;
use std::time::Duration;

use picket::http::{Server, Settings};

use super::{Client, pattern, settings, start, until};

const MIB: u64 = 1024 * 1024;

fn get(bytes: u64) -> String {
    format!("GET /pieces?bytes={bytes} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Clients that have asked and seen the head of the answer, but read no further.
fn slow_readers(server: &Server, count: usize, bytes: u64) -> Vec<Client> {
    let ask = |_| {
        let mut client = Client::connect(server.local_addr());
        client.send(get(bytes));
        let head = client.head().expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        client
    };
    (0..count).map(ask).collect()
}

/// Reads a body of [`pattern`] after its head, without keeping it.
fn read_body(client: &mut Client, bytes: u64, pause: Duration) {
    let mut place = 0;
    loop {
        let right = (place..)
            .zip(&client.read)
            .all(|(n, byte)| *byte == pattern(n));
        assert!(right, "a wrong byte after {place}");
        place += client.read.len() as u64;
        client.read.clear();
        if place == bytes {
            return;
        }
        assert!(client.fill(), "ended after {place} bytes");
        thread::sleep(pause);
    }
}

#[test]
fn slow_readers_all_get_every_byte() {
    let server = start(Settings {
        outbound_bytes_max: 2 * MIB,
        ..settings()
    });
    let bytes = 20 * MIB + 1;
    let mut readers = slow_readers(&server, 2, bytes);
    thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(move || {
                read_body(reader, bytes, Duration::from_millis(2));
                assert_eq!(reader.get("/").text(), "ok", "the connection goes on");
            });
        }
    });
    assert_eq!(server.metrics().slow_readers_cut, 0);
    assert_eq!(server.metrics().lanes_broken, 0);
}

#[test]
fn an_answer_may_be_longer_than_all_that_is_held() {
    let server = start(Settings {
        outbound_bytes_max: MIB,
        ..settings()
    });
    let mut reader = slow_readers(&server, 1, 70 * MIB).remove(0);
    read_body(&mut reader, 70 * MIB, Duration::ZERO);
    assert_eq!(reader.get("/large?bytes=3000000").body.len(), 3_000_000);
    reader.send(format!(
        "HEAD /pieces?bytes={} HTTP/1.1\r\nHost: x\r\n\r\n",
        70 * MIB
    ));
    let head = reader.head().expect("a head");
    assert!(head.contains("Content-Length: 73400320"), "{head}");
    assert_eq!(reader.get("/").text(), "ok");
}

#[test]
fn the_lengths_around_the_border_are_told_and_kept() {
    let server = start(settings());
    let mut client = Client::connect(server.local_addr());
    for bytes in [262_143, 262_144, 262_145, 393_216, MIB] {
        client.send(get(bytes));
        let head = client.head().expect("a head");
        assert!(head.contains(&format!("Content-Length: {bytes}")), "{head}");
        read_body(&mut client, bytes, Duration::ZERO);
    }
}

#[test]
fn more_long_answers_than_may_be_under_way_are_refused_and_short_ones_are_not() {
    let server = start(Settings {
        general_lanes_max: 4,
        general_workers: 1,
        ..settings()
    });
    let mut readers = slow_readers(&server, 2, 40 * MIB);
    let mut client = Client::connect(server.local_addr());
    let refused = client.get("/pieces?bytes=300000");
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (503, "The server is busy")
    );
    assert!(refused.header("Retry-After").is_some());
    for _ in 0..20 {
        assert_eq!(client.get("/large?bytes=200000").body.len(), 200_000);
    }
    read_body(&mut readers[0], 40 * MIB, Duration::ZERO);
    until(|| client.get("/pieces?bytes=300000").status == 200);
    assert!(server.metrics().refusals["busy_long_answers"] > 0);
}

#[test]
fn a_reader_that_stops_is_cut_and_its_turn_goes_on() {
    let server = start(Settings {
        send_timeout: Duration::from_millis(300),
        general_lanes_max: 2,
        ..settings()
    });
    let stopped = slow_readers(&server, 1, 100 * MIB);
    until(|| server.metrics().slow_readers_cut == 1);
    let mut client = Client::connect(server.local_addr());
    for _ in 0..3 {
        until(|| client.get("/pieces?bytes=300000").status == 200);
    }
    assert!(server.metrics().general_lanes_open <= 2);
    assert_eq!(server.metrics().lanes_broken, 0);
    drop(stopped);
}

#[test]
fn readers_that_leave_take_no_lanes_and_no_turns_with_them() {
    let server = start(Settings {
        general_lanes_max: 2,
        ..settings()
    });
    let mut client = Client::connect(server.local_addr());
    for _ in 0..10 {
        drop(slow_readers(&server, 1, 100 * MIB));
        until(|| client.get("/pieces?bytes=300000").status == 200);
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn a_stop_does_not_wait_for_readers_for_ever() {
    let server = start(settings());
    let readers = slow_readers(&server, 2, 100 * MIB);
    assert!(!server.stop(Duration::from_millis(100)));
    drop(readers);
}
