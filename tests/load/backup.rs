//! What a backup of a large database costs: its time against that of copying and compressing the file with the same
//! settings, and the answers to those who send events meanwhile against those of a quiet server.
//!
//! `LOAD_BACKUP_MB` asks for another size than 1,024 MiB.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::client::{Load, Target};
use super::disk;
use super::servers::PUBLIC_KEY;

const BODY_BYTES: usize = 4096;
const CONNECTIONS: usize = 16;

/// The level of a backup.
const LEVEL: i32 = 1;

pub(crate) fn measure(rounds: usize) {
    let directory = disk::directory();
    let data = directory.path().join("picket.db");
    let megabytes = std::env::var("LOAD_BACKUP_MB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1024);
    let bytes = fill(&data, megabytes << 20);
    println!("\n### A backup of {} MiB\n", bytes >> 20);

    println!(
        "| round | copy and compress | backup | ratio | backup under load | p99 quiet | p99 meanwhile | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let place = directory.path().join("b.zst");
    for round in 1..=rounds {
        let by_hand = copy_and_compress(&data, directory.path());
        let alone = timed(|| assert!(backup(&data, &place).wait().expect("it ends").success()));
        let server = Server::start(&data);
        let quiet = p99(server.load().run(Duration::from_secs(5)).latencies);
        let begun = Instant::now();
        let mut running = backup(&data, &place);
        let mut latencies = Vec::new();
        let loaded = loop {
            latencies.extend(server.load().run(Duration::from_millis(500)).latencies);
            if let Some(status) = running.try_wait().expect("it can be waited for") {
                assert!(status.success());
                break begun.elapsed();
            }
        };
        let meanwhile = p99(latencies);
        drop(server);
        println!(
            "| {round} | {:.2} s | {:.2} s | {:.2} | {:.2} s | {:.1} ms | {:.1} ms | {:.2} |",
            by_hand.as_secs_f64(),
            alone.as_secs_f64(),
            alone.as_secs_f64() / by_hand.as_secs_f64(),
            loaded.as_secs_f64(),
            quiet.as_secs_f64() * 1e3,
            meanwhile.as_secs_f64() * 1e3,
            meanwhile.as_secs_f64() / quiet.as_secs_f64()
        );
    }
    let restored = directory.path().join("restored.db");
    let restore = timed(|| {
        let status = picket("restore", &restored).arg(&place).status();
        assert!(status.expect("the program runs").success());
    });
    let check = timed(|| {
        let status = picket("check", &restored).status();
        assert!(status.expect("the program runs").success());
    });
    println!(
        "\nThe last one has {} MiB; it was restored in {:.1} s and checked in {:.1} s.",
        fs::metadata(&place).expect("a backup").len() >> 20,
        restore.as_secs_f64(),
        check.as_secs_f64()
    );
}

fn picket(command: &str, data: &Path) -> Command {
    let mut picket = Command::new(env!("CARGO_BIN_EXE_picket"));
    picket
        .arg(command)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::null());
    picket
}

fn backup(data: &Path, place: &Path) -> Child {
    picket("backup", data)
        .arg(place)
        .arg("--force")
        .spawn()
        .expect("the program runs")
}

/// A database with events as they are sent, over and over until it is so long; how long it is.
fn fill(data: &Path, bytes: u64) -> u64 {
    let server = Server::start(data);
    server.load().run(Duration::from_secs(2));
    drop(server);
    let connection = Connection::open(data).expect("a database");
    let length = || fs::metadata(data).expect("a file").len();
    while length() < bytes {
        connection
            .execute_batch(
                "BEGIN;
                 INSERT INTO event (project_id, event_id, kind, key_id, received_us, payload)
                 SELECT project_id, randomblob(16), kind, key_id, received_us, payload FROM event LIMIT 50000;
                 COMMIT;
                 PRAGMA wal_checkpoint(TRUNCATE);",
            )
            .expect("more events");
    }
    // They were counted, too.
    connection
        .execute_batch(
            "UPDATE ledger SET quantity = quantity + (SELECT count(*) FROM event) - (
                 SELECT sum(quantity) FROM ledger AS other WHERE category = 1 AND other.resolution = ledger.resolution)
             WHERE category = 1 AND bucket_us = (
                 SELECT max(bucket_us) FROM ledger AS other WHERE other.resolution = ledger.resolution);
             UPDATE project_size SET (entries, bytes) = (
                 SELECT count(*), sum(length(payload) + 200) FROM event
                 WHERE event.project_id = project_size.project_id AND event.kind = project_size.kind);
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .expect("a ledger");
    length()
}

/// What one would do without the command: copy the file and compress the copy, with a checksum, onto the disk.
fn copy_and_compress(data: &Path, directory: &Path) -> Duration {
    let (copy, packed): (PathBuf, PathBuf) =
        (directory.join("copy.db"), directory.join("copy.zst"));
    let took = timed(|| {
        fs::copy(data, &copy).expect("a copy");
        let file = File::create(&packed).expect("a file");
        let mut encoder = zstd::stream::write::Encoder::new(file, LEVEL).expect("an encoder");
        encoder.include_checksum(true).expect("a checksum");
        std::io::copy(&mut File::open(&copy).expect("the copy"), &mut encoder).expect("compressed");
        let mut file = encoder.finish().expect("the end");
        file.flush().expect("flushed");
        file.sync_all().expect("synced");
    });
    fs::remove_file(copy).expect("removed");
    fs::remove_file(packed).expect("removed");
    took
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn p99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

/// The real program.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(data: &Path) -> Server {
        let apply = data.with_extension("toml");
        fs::write(
            &apply,
            format!(
                "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\nid = 1\n\
                 [[organization.project.key]]\nname = \"Default\"\npublic = \"{PUBLIC_KEY}\"\n"
            ),
        )
        .expect("written");
        let mut process = picket("serve", data)
            .args(["--listen", "127.0.0.1:0", "--apply"])
            .arg(&apply)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("the server says where it listens");
        let address = line
            .strip_prefix("listening on ")
            .and_then(|rest| rest.split(' ').next())
            .and_then(|address| address.parse().ok())
            .expect("an address");
        Server { process, address }
    }

    fn load(&self) -> Load {
        let target = Target {
            address: self.address,
            project: 1,
            public_key: PUBLIC_KEY.to_owned(),
        };
        Load::new(target, BODY_BYTES, CONNECTIONS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}
