//! The running program that is attacked, as it is seen from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::support::WORLD;
use crate::support::process::{Binary, Process};
use crate::support::tls::fixture;

/// Not the default, so that this machine's own addresses are held to it too.
pub(super) const PER_ADDRESS_MAX: usize = 80;

pub(super) struct Victim {
    binary: Binary,
    server: Process,
    pub(super) address: SocketAddr,
    pub(super) with_tls: bool,
}

/// What a server holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    pub(super) threads: usize,
    pub(super) descriptors: usize,
    /// Of clients.
    pub(super) connections: usize,
    pub(super) memory_kb: u64,
}

impl Victim {
    /// A server with these arguments. With `descriptors`, it may never have more.
    pub(super) fn start(arguments: &[&str], descriptors: Option<u64>) -> Victim {
        let binary = Binary::new();
        binary.write("world.toml", WORLD);
        let per_address = PER_ADDRESS_MAX.to_string();
        let all = [
            &["serve", "--listen", "127.0.0.1:0", "--apply", "world.toml"],
            &["--connections-per-address", &per_address][..],
            arguments,
        ]
        .concat();
        let mut command = binary.command(&all);
        if let Some(descriptors) = descriptors {
            let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
            let plain = std::mem::replace(&mut command, Command::new("/bin/sh"));
            command
                .args(["-c", &limited])
                .arg(plain.get_program())
                .args(plain.get_args())
                .env_clear()
                .current_dir(binary.path(""));
        }
        let server = Process::start(command);
        let address = server.address().parse().expect("an address");
        Victim {
            binary,
            server,
            address,
            with_tls: false,
        }
    }

    pub(super) fn start_with_tls() -> Victim {
        let (cert, key) = (fixture("first.pem"), fixture("first.key.pem"));
        let text = |path: &PathBuf| path.to_str().expect("a plain path").to_owned();
        let arguments = ["--tls-cert", &text(&cert), "--tls-key", &text(&key)];
        Victim {
            with_tls: true,
            ..Victim::start(&arguments, None)
        }
    }

    /// Lets the running server have so many descriptors; its limit before.
    pub(super) fn limit_descriptors(&self, most: u64) -> u64 {
        let limit = |current: u64| Rlimit {
            current: Some(current),
            maximum: Some(current.max(self.maximum())),
        };
        let old = prlimit(Some(self.server.pid()), Resource::Nofile, limit(most));
        old.expect("the limit can be set")
            .current
            .unwrap_or(u64::MAX)
    }

    fn maximum(&self) -> u64 {
        let own = rustix::process::getrlimit(Resource::Nofile);
        own.maximum.unwrap_or(u64::MAX)
    }

    pub(super) fn footprint(&self) -> Footprint {
        let process = PathBuf::from(format!("/proc/{}", self.server.pid().as_raw_nonzero()));
        let count = |name: &str| {
            let listing = fs::read_dir(process.join(name)).expect("the server's entry");
            listing.count()
        };
        let status = fs::read_to_string(process.join("status")).expect("the server's status");
        let memory = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|l| l.split_whitespace().next());
        Footprint {
            threads: count("task"),
            descriptors: count("fd"),
            connections: self.connections(),
            memory_kb: memory.and_then(|n| n.parse().ok()).expect("a number"),
        }
    }

    /// Sockets of the server's port that lead to a client and are not closed by both.
    fn connections(&self) -> usize {
        // Established, and closed by the client alone.
        const STATES: [&str; 2] = ["01", "08"];
        let port = format!(":{:04X}", self.address.port());
        let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
        let sockets = table.lines().map(|line| line.split_whitespace().collect());
        sockets
            .filter(|socket: &Vec<&str>| {
                socket.get(1).is_some_and(|local| local.ends_with(&port))
                    && socket.get(3).is_some_and(|state| STATES.contains(state))
            })
            .count()
    }

    /// Waits until no more is held than that, which takes as long as a refused client is listened to.
    pub(super) fn settle(&self, name: &str, most: Footprint) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = self.footprint();
            let is_back = now.threads <= most.threads
                && now.descriptors <= most.descriptors
                && now.connections <= most.connections;
            if is_back {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name}: {now:?} is left, and not {most:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server and sees that every one of these events is stored, and that the ledger tells of as many as
    /// there are.
    pub(super) fn see_stored(self, name: &str, acknowledged: &[String]) {
        let output = self.server.terminate();
        assert_eq!(output.code, Some(0), "{name}: {}", output.stderr);
        assert!(
            !output.stderr.contains("panicked"),
            "{name}: {}",
            output.stderr
        );
        let database = self.binary.database();
        let mut find = database
            .prepare("SELECT count(*) FROM event WHERE event_id = unhex(?1)")
            .expect("a question");
        for id in acknowledged {
            let found: i64 = find.query_row([id], |row| row.get(0)).expect("an answer");
            assert_eq!(
                found, 1,
                "{name}: the acknowledged event {id} is not stored"
            );
        }
        let number = |sql: &str| -> i64 {
            database
                .query_row(sql, [], |row| row.get(0))
                .expect("a number")
        };
        let stored = number("SELECT count(*) FROM event");
        assert!(stored >= acknowledged.len() as i64);
        // Outcome 0 is accepted.
        let counted =
            number("SELECT sum(quantity) FROM ledger WHERE resolution = 10 AND outcome = 0");
        assert_eq!(
            counted, stored,
            "{name}: the ledger disagrees with what is stored"
        );
    }
}
