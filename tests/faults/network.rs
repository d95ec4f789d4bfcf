//! Attacks over the network.
//!
//! Each attacks the running program from loopback addresses of its own, with the cap per address on, while a good
//! client at another address sends events. Whatever the good client was told is kept must be there in the end, and the
//! server must hold no more than before. How long the good client's events took is told beside how long they took in
//! quiet; in the long form the rounds of both alternate, and the ratio of their 99th percentiles is held to its bound.

mod good;
mod victim;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::good::GoodClient;
use self::victim::{Footprint, PER_ADDRESS_MAX, Victim};
use crate::is_long;
use crate::support::KEY;

/// How much longer the slowest hundredth of a good client's events may take under attack.
const RATIO_MAX: f64 = 5.0;

/// How long a head, a handshake, or an answer that is not read may take, and how long a body may go slowly, with
/// some seconds for a busy machine.
const SLOW_ENDS_WITHIN: Duration = Duration::from_secs(16);

/// A connection that comes from an address of this machine.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// One of the attackers' addresses, from 127.0.1.0 on.
fn attacker(number: usize) -> Ipv4Addr {
    let base = u32::from(Ipv4Addr::new(127, 0, 1, 0));
    Ipv4Addr::from(base + u32::try_from(number).expect("few attackers"))
}

/// So many connections, spread over addresses that may hold so many each.
fn connect_many(count: usize, each: usize, to: SocketAddr) -> Vec<TcpStream> {
    (0..count)
        .map(|number| connect_from(attacker(number / each), to).expect("a connection"))
        .collect()
}

/// Lets this program have many descriptors; false if the machine does not.
fn raise_descriptors(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limit.current.is_some_and(|now| now < current) {
        let raised = Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("a higher limit");
    }
    current >= wanted
}

/// Attacks a server beside a good client, and looks at what is left. `grown` is what the server may keep: lanes stay
/// open when they were needed once.
fn attack(name: &str, victim: Victim, grown: Footprint, attack: impl Fn(&Victim)) {
    let (rounds, quiet) = match is_long() {
        true => (5, Duration::from_secs(10)),
        false => (1, Duration::from_secs(1)),
    };
    let good = GoodClient::default();
    thread::scope(|scope| {
        scope.spawn(|| good.send_events(victim.address, victim.with_tls));
        // So that the server has what it always has by then.
        thread::sleep(Duration::from_millis(300));
        let before = victim.footprint();
        let allowed = Footprint {
            threads: before.threads + grown.threads,
            descriptors: before.descriptors + grown.descriptors,
            ..before
        };
        // Whatever happens, the good client must end, or the scope never does.
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..rounds {
                thread::sleep(quiet);
                good.set_attacked(true);
                let started = Instant::now();
                loop {
                    attack(&victim);
                    if started.elapsed() >= quiet {
                        break;
                    }
                    victim.settle(name, allowed);
                }
                good.set_attacked(false);
                victim.settle(name, allowed);
            }
            let after = victim.footprint();
            println!("{name}: {before:?} before, {after:?} after");
            let grown = after.memory_kb.saturating_sub(before.memory_kb);
            assert!(grown < 96 * 1024, "{name}: {grown} kB more are held");
        }));
        good.stop();
        if let Err(panic) = rounds {
            std::panic::resume_unwind(panic);
        }
    });
    let ratio = good.ratio(name);
    if is_long() {
        assert!(
            ratio <= RATIO_MAX,
            "{name}: a good client's p99 rose {ratio:.1} times"
        );
    }
    victim.see_stored(name, &good.acknowledged());
}

/// Nothing more than before.
const NOTHING: Footprint = Footprint {
    threads: 0,
    descriptors: 0,
    connections: 0,
    memory_kb: 0,
};

/// All lanes of API and pages, which the server opens as they are needed: a thread and three descriptors each.
const GENERAL_LANES: Footprint = Footprint {
    threads: 40,
    descriptors: 32 * 3,
    ..NOTHING
};

/// Sends to each of the connections every 200 ms until the server has ended them all; what each of them heard. What
/// is sent depends on the connection's number and on how often something was sent before.
fn drip(mut connections: Vec<TcpStream>, drop: impl Fn(usize, usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    let started = Instant::now();
    let mut heard = vec![Vec::new(); connections.len()];
    let mut open: Vec<bool> = vec![true; connections.len()];
    for connection in &connections {
        connection.set_nonblocking(true).expect("a socket");
    }
    for round in 0.. {
        for (number, connection) in connections.iter_mut().enumerate() {
            if !open[number] {
                continue;
            }
            // A failure shows when it is read from.
            let _ = connection.write_all(&drop(number, round));
            let mut bytes = [0; 1024];
            loop {
                match connection.read(&mut bytes) {
                    Ok(0) => open[number] = false,
                    Ok(count) => {
                        heard[number].extend_from_slice(&bytes[..count]);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => open[number] = false,
                }
                break;
            }
        }
        if !open.contains(&true) {
            break;
        }
        let left = open.iter().filter(|open| **open).count();
        assert!(
            started.elapsed() < SLOW_ENDS_WITHIN,
            "{left} slow connections are still open"
        );
        thread::sleep(Duration::from_millis(200));
    }
    heard
}

fn status(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned()
}

#[test]
fn slow_heads() {
    let _turn = crate::turn();
    attack("slow heads", Victim::start(&[], None), NOTHING, |victim| {
        let heard = drip(
            connect_many(600, 60, victim.address),
            |number, round| match (number % 3, round) {
                // Nothing else, a field now and then, a byte now and then.
                (0, 0) => b"GET / HTTP/1.1\r\nHost: x\r\nA".to_vec(),
                (1, 0) => b"POST /api/31/store/ HTTP/1.1\r\n".to_vec(),
                (1, _) => b"A: b\r\n".to_vec(),
                (2, _) => b"G".to_vec(),
                _ => Vec::new(),
            },
        );
        for answer in heard {
            assert_eq!(status(&answer), "HTTP/1.1 408");
        }
    });
}

#[test]
fn slow_bodies_and_slow_readers() {
    let _turn = crate::turn();
    let name = "slow bodies and readers";
    attack(name, Victim::start(&[], None), GENERAL_LANES, |victim| {
        let address = victim.address;
        thread::scope(|scope| {
            scope.spawn(move || {
                let head = format!(
                    "POST /api/31/envelope/ HTTP/1.1\r\nHost: x\r\nX-Sentry-Auth: Sentry sentry_key={KEY}\r\n"
                );
                let heard = drip(connect_many(300, 60, address), |number, round| {
                    match (number % 2, round) {
                        (0, 0) => format!("{head}Content-Length: 1000000\r\n\r\n").into_bytes(),
                        (0, _) => vec![b'a'; 10],
                        (_, 0) => format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
                        (_, _) => b"1\r\na\r\n".to_vec(),
                    }
                });
                for answer in heard {
                    assert_eq!(status(&answer), "HTTP/1.1 408");
                }
            });
            read_nothing(victim);
        });
    });
}

/// Asks for far more than sockets hold, reads none of it, and sees the connections end.
fn read_nothing(victim: &Victim) {
    let mut deaf = Vec::new();
    for number in 0..40 {
        let stream = connect_from(attacker(100 + number), victim.address).expect("a connection");
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).expect("a small buffer");
        stream.set_nonblocking(true).expect("a socket");
        deaf.push((stream, true));
    }
    let ask = b"GET /api/0/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let started = Instant::now();
    while deaf.iter().any(|(_, open)| *open) {
        for (stream, open) in &mut deaf {
            match stream.write(&ask.repeat(20)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => *open = false,
            }
        }
        let elapsed = started.elapsed();
        assert!(
            elapsed < SLOW_ENDS_WITHIN + Duration::from_secs(8),
            "who does not read is kept"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn slow_and_senseless_handshakes() {
    let _turn = crate::turn();
    let name = "slow and senseless handshakes";
    // A whole record that holds the beginning of a long message, which is waited for.
    let begun = [&[22, 3, 1, 0, 104, 1, 0, 0x20, 0, 3, 3][..], &[7; 98]].concat();
    attack(name, Victim::start_with_tls(), NOTHING, |victim| {
        let heard = drip(
            connect_many(600, 60, victim.address),
            |number, round| match (number % 4, round) {
                (0, _) => Vec::new(),
                (1, _) => begun.get(round..=round).unwrap_or_default().to_vec(),
                (2, 0) => begun.clone(),
                (3, 0) => [&[22, 3, 1, 0x3f, 0xff][..], &[0xff; 20_000]].concat(),
                _ => Vec::new(),
            },
        );
        for answer in heard {
            // Nothing at all, or an alert.
            assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
        }
    });
}

#[test]
fn five_thousand_idle_connections() {
    let _turn = crate::turn();
    // Of the server too, which inherits it.
    if !raise_descriptors(12_000) {
        assert!(
            std::env::var_os("CI").is_none(),
            "too few descriptors are allowed"
        );
        println!("skipped: fewer than 12,000 descriptors are allowed");
        return;
    }
    let roomy = Victim::start(&["--max-connections", "6000"], None);
    attack("5,000 idle connections", roomy, NOTHING, |victim| {
        let idle = connect_many(5000, PER_ADDRESS_MAX, victim.address);
        let deadline = Instant::now() + Duration::from_secs(10);
        // The good client is one more.
        while victim.footprint().connections < 5000 {
            assert!(Instant::now() < deadline, "not all are kept");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_secs(1));
        let held = victim.footprint();
        println!("5,000 idle connections: {held:?} while they are open");
        assert!(held.connections >= 5000);
        // No more of an address than it may have.
        let mut more = connect_from(attacker(0), victim.address).expect("a connection");
        assert_eq!(more.read(&mut [0; 10]).unwrap_or(0), 0);
        drop(idle);
    });
    let ordinary = Victim::start(&[], None);
    attack(
        "5,000 idle connections where 1,024 fit",
        ordinary,
        NOTHING,
        |victim| {
            let idle = connect_many(5000, PER_ADDRESS_MAX, victim.address);
            // Those that made room have a moment to go.
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                thread::sleep(Duration::from_millis(500));
                let held = victim.footprint();
                if held.connections <= 1024 + 64 {
                    break;
                }
                assert!(Instant::now() < deadline, "{held:?}");
            }
            drop(idle);
        },
    );
}

#[test]
fn endless_heads() {
    let _turn = crate::turn();
    attack(
        "endless heads",
        Victim::start(&[], None),
        NOTHING,
        |victim| {
            let (over, address) = (Instant::now() + Duration::from_secs(2), victim.address);
            thread::scope(|scope| {
                for number in 0..4 {
                    scope.spawn(move || {
                        while Instant::now() < over {
                            see_endless_head_refused(address, number);
                        }
                    });
                }
            });
        },
    );
}

fn see_endless_head_refused(address: SocketAddr, number: usize) {
    let mut stream = connect_from(attacker(number), address).expect("a connection");
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n");
    let line = match number % 2 {
        // One line without an end, and lines without an end.
        0 => b"a".repeat(8192),
        _ => b"A: b\r\n".repeat(1000),
    };
    let started = Instant::now();
    while stream.write_all(&line).is_ok() {
        assert!(
            started.elapsed() < SLOW_ENDS_WITHIN,
            "an endless head is read for ever"
        );
    }
    let mut answer = Vec::new();
    // A reset takes the answer with it, which who never stops sending has to live with.
    let _ = stream.read_to_end(&mut answer);
    assert!(["HTTP/1.1 431", ""].contains(&status(&answer).as_str()));
}

#[test]
fn no_descriptors_are_left() {
    let _turn = crate::turn();
    raise_descriptors(2048);
    attack(
        "few descriptors from the start",
        Victim::start(&[], Some(256)),
        NOTHING,
        |victim| {
            let idle = connect_many(400, 40, victim.address);
            thread::sleep(Duration::from_secs(1));
            drop(idle);
        },
    );
    attack(
        "descriptors taken away",
        Victim::start(&[], None),
        NOTHING,
        |victim| {
            let held = victim.footprint().descriptors as u64;
            let before = victim.limit_descriptors(held + 20);
            let idle = connect_many(300, 60, victim.address);
            thread::sleep(Duration::from_secs(1));
            drop(idle);
            victim.limit_descriptors(before);
        },
    );
}

#[test]
fn half_closed_connections() {
    let _turn = crate::turn();
    attack(
        "half-closed connections",
        Victim::start(&["--api-rate-limits", "off"], None),
        GENERAL_LANES,
        |victim| {
            let asking = "GET /api/0/ HTTP/1.1\r\nHost: x\r\n\r\n";
            let halves = [
                "",
                "GET / HT",
                "POST /api/31/store/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
                asking,
            ];
            let mut connections = connect_many(400, 60, victim.address);
            for (number, stream) in connections.iter_mut().enumerate() {
                let _ = stream.write_all(halves[number % halves.len()].as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
            for (number, stream) in connections.iter_mut().enumerate() {
                stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .expect("a time-out");
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect("an end");
                let expected = match halves[number % halves.len()] == asking {
                    true => "HTTP/1.1 200",
                    false => "",
                };
                assert_eq!(status(&answer), expected);
            }
        },
    );
}

#[test]
fn ten_thousand_pipelined_requests() {
    const REQUESTS: usize = 10_000;
    let _turn = crate::turn();
    attack(
        "10,000 pipelined requests",
        Victim::start(&[], None),
        NOTHING,
        |victim| {
            let stream = connect_from(attacker(0), victim.address).expect("a connection");
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .expect("a time-out");
            thread::scope(|scope| {
                scope.spawn(|| {
                // A key that nobody has: refused by the same workers that take in events.
                let ask = "POST /api/31/store/?sentry_key=ffffffffffffffffffffffffffffffff HTTP/1.1\r\nHost: x\r\n\
                           Content-Length: 2\r\n\r\n{}";
                let mut writer = &stream;
                for _ in 0..REQUESTS / 100 {
                    writer.write_all(ask.repeat(100).as_bytes()).expect("sent");
                }
                let _ = stream.shutdown(Shutdown::Write);
            });
                let mut answers = Vec::new();
                (&stream).read_to_end(&mut answers).expect("all answers");
                let answers = String::from_utf8_lossy(&answers);
                assert_eq!(answers.matches("HTTP/1.1 403 ").count(), REQUESTS);
            });
        },
    );
}
