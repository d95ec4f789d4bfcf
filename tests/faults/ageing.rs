//! A day of load with budgets on, in less time: the file and the memory level off.
//!
//! The server runs in a process of its own (this very program, started once more), with a clock that the test turns; its
//! day takes 18 seconds in the short form and ten minutes in the long one. Retention looks every two seconds of real
//! time, so more is over the budget between two looks than it would be in a day that takes a day. In the short form the
//! clients pause: at full speed it may go on for hours before the last of what is over is gone and it rests, and the
//! file, which then takes in two seconds' worth, is as large as it gets only late in the day.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use picket::{App, ApplyFile, Clock, Settings, Timestamp};
use rusqlite::Connection;

use crate::short_or_long;
use crate::support::{Client, KEY, START, WORLD};

/// Tells the program that it is the server; holds the path of the file.
const SERVE: &str = "PICKET_TEST_AGEING_SERVE";

const HOURS: usize = 24;
/// What the log may have at any time. It is copied into the file at 4 MiB and written over from its beginning; each reader
/// that is in the way just then costs as much again.
const LOG_MAX: u64 = 32 << 20;
const CLIENTS: u64 = 4;

/// Not a test of its own: the server's half of the one below. Each line of its input is the time, in microseconds.
#[test]
fn serve_and_grow_old() {
    let Some(file) = std::env::var_os(SERVE) else {
        return;
    };
    let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), Path::new(&file));
    settings.max_events_size = Some(budget());
    settings.apply = Some(ApplyFile {
        name: "test.toml".to_owned(),
        text: WORLD.to_owned(),
    });
    let clock = Clock::manual(START);
    let app = App::start(settings, clock.clone()).expect("the server starts");
    println!("\nlistening on {}", app.local_addr());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        clock.set(Timestamp::from_us(line.parse().expect("a time")));
    }
    // The other half says so by closing the input.
    assert!(app.stop(Duration::from_secs(10)));
    std::process::exit(0);
}

/// What is used up early in the day.
fn budget() -> u64 {
    short_or_long(1 << 20, 16 << 20)
}

struct Aged {
    process: Child,
    address: SocketAddr,
}

impl Aged {
    fn start(file: &Path) -> Aged {
        let program = std::env::current_exe().expect("a program knows itself");
        let mut process = Command::new(program)
            .args(["--exact", "ageing::serve_and_grow_old", "--nocapture"])
            .env(SERVE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts once more");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
            .expect("the server says where it listens");
        // After a minute the program says that its test takes long, and somebody must read that.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Aged { process, address }
    }

    fn set_clock(&mut self, to: Timestamp) {
        let input = self.process.stdin.as_mut().expect("a pipe");
        writeln!(input, "{}", to.us()).expect("the server runs");
    }

    /// What the process has resident, bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("the server runs");
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
            .expect("a size");
        kib * 1024
    }

    fn stop(&mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("it ends").success());
    }
}

impl Drop for Aged {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends errors, and transactions among them, until the time is over; how many were taken.
fn load(address: SocketAddr, now: Timestamp, time: Duration) -> u64 {
    let taken = AtomicU64::new(0);
    let until = Instant::now() + time;
    let pause = short_or_long(Duration::from_millis(10), Duration::ZERO);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let client = Client::new(address);
                let mut number = 0;
                while Instant::now() < until {
                    number += 1;
                    let noise: String = (0..100)
                        .map(|_| format!("{:032x}", rand::random::<u128>()))
                        .collect();
                    let (secs, trace) = (now.secs(), "5b8efff798038103d269b633813fc60c");
                    let body = match number % 4 {
                        0 => format!(
                            r#"{{"type":"transaction","start_timestamp":{},"timestamp":{secs},"transaction":"t","contexts":{{"trace":{{"trace_id":"{trace}","span_id":"5b8efff798038103"}}}},"extra":{{"noise":"{noise}"}}}}"#,
                            secs - 1
                        ),
                        _ => format!(r#"{{"message":"aged","extra":{{"noise":"{noise}"}}}}"#),
                    };
                    let target = format!("/api/31/store/?sentry_key={KEY}");
                    let answer = client.post(&target, body.as_bytes());
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    taken.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(pause);
                }
            });
        }
    });
    taken.into_inner()
}

/// By how much the values grow from one to the next, by least squares.
fn slope(values: &[u64]) -> f64 {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<u64>() as f64 / count;
    let (mut both, mut squares) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let x = at as f64 - middle;
        both += x * (*value as f64 - mean);
        squares += x * x;
    }
    both / squares
}

#[test]
fn a_day_of_load_with_budgets_on_leaves_file_and_memory_flat() {
    let _turn = crate::turn();
    let hour = Duration::from_millis(short_or_long(750, 25_000));
    // How much file and memory may grow, or shrink, in the second half of the day, of what they are.
    let growth_max = short_or_long(0.4, 0.05);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let mut server = Aged::start(&file);
    let mut now = START;
    let mut taken = 0;
    let (mut sizes, mut logs, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..HOURS {
        for _ in 0..6 {
            now = now.plus_secs(600);
            server.set_clock(now);
            taken += load(server.address, now, hour / 6);
        }
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        sizes.push(size(&file));
        logs.push(size(&file.with_extension("db-wal")));
        memory.push(server.memory());
    }
    assert!(logs.iter().all(|bytes| *bytes <= LOG_MAX), "log: {logs:?}");
    for (what, values) in [("file", &sizes), ("memory", &memory)] {
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let half = &values[HOURS / 2..];
        let mean = half.iter().sum::<u64>() as f64 / half.len() as f64;
        let slope = slope(half);
        let growth = slope * half.len() as f64 / mean;
        println!(
            "{what}: {:.1} MiB after an hour, {:.1} at the end; in the second half {:.1} on average, \
             {:+.3} MiB an hour, {:+.1} % in all",
            mib(values[0] as f64),
            mib(values[HOURS - 1] as f64),
            mib(mean),
            mib(slope),
            growth * 100.0
        );
        assert!(growth.abs() < growth_max, "{what}: {values:?}");
    }
    // What is over the budget when the load ends goes.
    let connection = Connection::open(&file).expect("the file opens");
    let one = |sql: &str| -> u64 {
        let number = connection.query_row(sql, [], |row| row.get(0));
        number.map(i64::unsigned_abs).expect("a number")
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while one("SELECT sum(bytes) FROM project_size") > budget() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    let stored = one("SELECT count(*) FROM event");
    println!("{taken} events taken, {stored} of them still there");
    assert!(stored < taken);
    // All were counted once, and what is written down of the sizes is what there is.
    let counted = one(
        "SELECT sum(quantity) FROM ledger WHERE resolution = 86400 AND outcome = 0 AND category IN (1, 9)",
    );
    assert_eq!(counted, taken);
    assert_eq!(one("SELECT sum(entries) FROM project_size"), stored);
    assert_eq!(
        one("SELECT sum(bytes) FROM project_size"),
        one("SELECT sum(length(payload) + 200) FROM event")
    );
    drop(connection);
    server.stop();
}
