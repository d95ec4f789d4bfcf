//! What was acknowledged is in the file, and the ledger agrees with it, after the process was killed.
//!
//! The server runs in a process of its own (this very program, started once more); rounds of load end with
//! `kill -9`, each on the file that the round before left. `CRASH_ROUNDS` asks for another number of rounds.

use std::io::{BufRead, BufReader, Lines, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::{Client, KEY, START, Server, WORLD};

/// Tells the program that it is the server; holds the path of the file.
const SERVE: &str = "PICKET_TEST_CRASH_SERVE";
/// How many events a minute the server's key takes, with the clock held; without it, any number in real time.
const LIMIT: &str = "PICKET_TEST_CRASH_LIMIT";

/// The apply file, if it is not [`WORLD`].
const APPLY: &str = "PICKET_TEST_CRASH_APPLY";

/// Not a test of its own: the server's half of the one below.
#[test]
fn serve_until_killed() {
    let Some(file) = std::env::var_os(SERVE) else {
        return;
    };
    let (limit, clock) = match std::env::var(LIMIT) {
        Ok(count) => (
            format!("rate_limit = {{ count = {count}, window = 60 }}"),
            picket::Clock::manual(START),
        ),
        Err(_) => (
            "rate_limit = { count = 1000000000, window = 86400 }".to_owned(),
            picket::Clock::system(),
        ),
    };
    let apply = std::env::var(APPLY)
        .unwrap_or_else(|_| WORLD.replace("secret = \"fedcba9876543210fedcba9876543210\"", &limit));
    let app = Server::start_app(Path::new(&file), &apply, clock);
    println!("\nlistening on {}", app.local_addr());
    // Whoever started this process kills it, or ends with it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds: u32 = std::env::var("CRASH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let mut process = ServerProcess::start(&file, None);
        // Longer and shorter rounds meet the writer at other points.
        let time = Duration::from_millis(150 + u64::from(round) * 37 % 200);
        acknowledged.extend(load(&mut process, time));
        verify(&file, &acknowledged);
    }
    assert!(
        acknowledged.len() > 100,
        "there was load: {}",
        acknowledged.len()
    );
}

#[test]
fn a_used_up_limit_still_holds_after_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let send = |server: &ServerProcess| {
        let target = format!("/api/31/store/?sentry_key={KEY}");
        Client::new(server.address).post(&target, b"{}").status
    };
    let mut server = ServerProcess::start(&file, Some(100));
    let taken = (0..70).filter(|_| send(&server) == 200).count();
    server.kill();
    let mut server = ServerProcess::start(&file, Some(100));
    let taken = taken + (0..70).filter(|_| send(&server) == 200).count();
    assert_eq!(taken, 100);
    server.kill();
    let server = ServerProcess::start(&file, Some(100));
    assert_eq!(send(&server), 429);
}

/// A server in a process of its own.
pub(super) struct ServerProcess {
    process: Child,
    address: SocketAddr,
    /// Stays open: after a minute the program says that its test takes long, and ends if nobody can hear it.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl ServerProcess {
    pub(super) fn start(file: &Path, limit: Option<u32>) -> ServerProcess {
        let limit = limit.map(|limit| limit.to_string());
        ServerProcess::start_with(file, limit.as_deref().map(|limit| (LIMIT, limit)))
    }

    /// A server with what an apply file describes.
    pub(super) fn start_world(file: &Path, apply: &str) -> ServerProcess {
        ServerProcess::start_with(file, Some((APPLY, apply)))
    }

    fn start_with(file: &Path, variable: Option<(&str, &str)>) -> ServerProcess {
        let program = std::env::current_exe().expect("a program knows itself");
        let mut process = Command::new(program)
            .envs(variable)
            .args([
                "--exact",
                "ingest::crash::serve_until_killed",
                "--nocapture",
            ])
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
        ServerProcess {
            process,
            address,
            _stdout: lines,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most memory that the process ever had resident, bytes.
    pub(super) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("the server runs");
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
            .expect("a size");
        kib * 1024
    }

    /// Where the process's descriptors lead.
    pub(super) fn open_files(&self) -> Vec<PathBuf> {
        let directory = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(directory)
            .expect("the server runs")
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect()
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().expect("it still runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends events from many clients, kills the server in the middle; the ids that it acknowledged.
fn load(server: &mut ServerProcess, time: Duration) -> Vec<String> {
    let acknowledged = Mutex::new(Vec::new());
    let killed = AtomicBool::new(false);
    let address = server.address;
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let client = Client::new(address);
                let deadline = Instant::now() + Duration::from_secs(30);
                while !killed.load(Ordering::Relaxed) && Instant::now() < deadline {
                    let id = format!("{:032x}", rand::random::<u128>());
                    let body = format!("{{\"event_id\":\"{id}\",\"message\":\"load\"}}");
                    let target = format!("/api/31/store/?sentry_key={KEY}");
                    // Cut connections are what this is about.
                    let answer = client.try_send("POST", &target, Some(body.as_bytes()));
                    if answer.is_some_and(|answer| answer.status == 200) {
                        acknowledged.lock().expect("no panic").push(id);
                    }
                }
            });
        }
        std::thread::sleep(time);
        server.kill();
        killed.store(true, Ordering::Relaxed);
    });
    acknowledged.into_inner().expect("no panic")
}

fn verify(file: &Path, acknowledged: &[String]) {
    let connection = Connection::open(file).expect("the file opens");
    let one = |sql: &str| -> i64 {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("a number")
    };
    let integrity: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(integrity, "ok");
    let mut find = connection
        .prepare("SELECT count(*) FROM event WHERE project_id = 31 AND event_id = unhex(?1)")
        .expect("a query");
    let newest = acknowledged.len().saturating_sub(2000);
    for id in &acknowledged[newest..] {
        let found: i64 = find.query_row([id], |row| row.get(0)).expect("a count");
        assert_eq!(found, 1, "{id} was acknowledged");
    }
    let stored = one("SELECT count(*) FROM event");
    assert!(stored >= i64::try_from(acknowledged.len()).expect("a small number"));
    for resolution in [10, 3600, 86_400] {
        let counted = one(&format!(
            "SELECT coalesce(sum(quantity), 0) FROM ledger WHERE resolution = {resolution} AND outcome = 0"
        ));
        assert_eq!(
            counted, stored,
            "the ledger at {resolution} s agrees with the events"
        );
    }
    let slots = one("SELECT coalesce(sum(used), 0) FROM key_window");
    assert!(
        slots <= stored,
        "no slot is used for an event that is not there"
    );
}
