//! Attacks in number. Each runs against a server in a process of its own, whose threads, descriptors and memory are
//! counted before and after, while a good client beside it is served throughout.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use picket::http::Settings;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::{Client, settings, start};

const ADDRESS_FILE: &str = "PICKET_TEST_ADDRESS_FILE";
const DESCRIPTORS: &str = "PICKET_TEST_DESCRIPTORS";

/// No test but the server that the others attack. Ends when its standard input does.
#[test]
fn serve_for_others() {
    let Some(address_file) = std::env::var_os(ADDRESS_FILE).map(PathBuf::from) else {
        return;
    };
    let server = start(Settings {
        head_timeout: Duration::from_secs(1),
        body_grace: Duration::from_secs(1),
        send_timeout: Duration::from_secs(2),
        outbound_bytes_max: 16 * 1024 * 1024,
        ingest_lanes_max: 4,
        general_lanes_max: 4,
        lane_wait: Duration::from_secs(30),
        ..settings()
    });
    if let Ok(most) = std::env::var(DESCRIPTORS) {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = most.parse().ok();
        setrlimit(Resource::Nofile, limit).expect("a lower limit");
    }
    let partial = address_file.with_extension("partial");
    fs::write(&partial, server.local_addr().to_string()).expect("the address written");
    fs::rename(&partial, &address_file).expect("the address in place");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    assert!(server.stop(Duration::from_secs(10)));
}

struct Victim {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
struct Footprint {
    threads: usize,
    descriptors: usize,
    memory_kb: u64,
}

impl Victim {
    /// A running server with all its lanes open.
    fn start(descriptors: Option<u64>) -> Victim {
        let victim = Victim::start_cold(descriptors);
        victim.warm_up();
        victim
    }

    fn start_cold(descriptors: Option<u64>) -> Victim {
        let directory = tempfile::tempdir().expect("a directory");
        let address_file = directory.path().join("address");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["http::hostile::serve_for_others", "--exact", "--nocapture"])
            .env(ADDRESS_FILE, &address_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(descriptors) = descriptors {
            command.env(DESCRIPTORS, descriptors.to_string());
        }
        let process = command.spawn().expect("a child");
        let deadline = Instant::now() + Duration::from_secs(30);
        let address = loop {
            if let Ok(text) = fs::read_to_string(&address_file) {
                break text.parse().expect("an address");
            }
            assert!(Instant::now() < deadline, "the child does not serve");
            thread::sleep(Duration::from_millis(5));
        };
        Victim {
            process,
            address,
            _directory: directory,
        }
    }

    /// Opens all lanes, and lets the allocator take what it takes for a few connections.
    fn warm_up(&self) {
        for path in ["/later", "/ingest/later"] {
            let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(self.address)).collect();
            for client in &mut clients {
                client.send(format!("GET {path}?ms=50 HTTP/1.1\r\nHost: x\r\n\r\n"));
            }
            for client in &mut clients {
                assert_eq!(client.answer().status, 200);
            }
        }
        self.settle(30, usize::MAX, usize::MAX);
    }

    fn footprint(&self) -> Footprint {
        let process = PathBuf::from(format!("/proc/{}", self.process.id()));
        let count = |name: &str| {
            let listing = fs::read_dir(process.join(name)).expect("the child's entry");
            listing.count()
        };
        let status = fs::read_to_string(process.join("status")).expect("the child's status");
        let memory = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|l| l.split_whitespace().next());
        Footprint {
            threads: count("task"),
            descriptors: count("fd"),
            memory_kb: memory.and_then(|n| n.parse().ok()).expect("a number"),
        }
    }

    /// Waits until threads and descriptors are down to these, and have stood still for a moment.
    fn settle(&self, secs: u64, threads: usize, descriptors: usize) -> Footprint {
        let deadline = Instant::now() + Duration::from_secs(secs);
        let mut last = self.footprint();
        let mut still = 0;
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = self.footprint();
            let same = now.threads == last.threads && now.descriptors == last.descriptors;
            still = if same { still + 1 } else { 0 };
            last = now;
            if still >= 6 && now.threads <= threads && now.descriptors <= descriptors {
                return now;
            }
            assert!(
                Instant::now() < deadline,
                "{now:?} instead of {threads} threads and {descriptors} descriptors"
            );
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait();
        if !thread::panicking() {
            assert!(status.expect("an exit").success(), "the server failed");
        }
    }
}

/// Attacks a server beside a good client and looks at what is left.
fn attack(attack: impl FnOnce(SocketAddr)) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < 4096) {
        let current = limit.maximum.map_or(4096, |maximum| maximum.min(4096));
        let raised = rustix::process::Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("more descriptors");
    }
    let victim = Victim::start(None);
    let before = victim.footprint();
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let during = thread::scope(|scope| {
        let good = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut client = Client::connect(victim.address);
                for path in ["/", "/ingest/echo", "/"] {
                    assert_eq!(client.get(path).status, 200);
                }
                served.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        attack(victim.address);
        let during = victim.footprint();
        let enough = served.load(Ordering::Relaxed) + 3;
        while served.load(Ordering::Relaxed) < enough && !good.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        over.store(true, Ordering::Relaxed);
        good.join().expect("the good client was served");
        during
    });
    let after = victim.settle(20, before.threads, before.descriptors);
    for then in [during, after] {
        assert!(
            then.memory_kb < before.memory_kb + 64 * 1024,
            "{before:?} grew to {then:?}"
        );
    }
}

fn clients(address: SocketAddr, count: usize, bytes: &[u8]) -> Vec<Client> {
    let connect = |_| {
        let mut client = Client::connect(address);
        client.send(bytes);
        client
    };
    (0..count).map(connect).collect()
}

#[test]
fn half_sent_heads_time_out() {
    attack(|address| {
        for client in &mut clients(address, 300, b"GET / HTTP/1.1\r\nHost: x\r\nA") {
            assert_eq!(client.answer().status, 408);
            assert!(client.is_closed());
        }
    });
}

#[test]
fn half_sent_bodies_time_out() {
    attack(|address| {
        let half = b"POST /ingest/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf";
        for client in &mut clients(address, 300, half) {
            assert_eq!(client.answer().status, 408);
            assert!(client.is_closed());
        }
    });
}

#[test]
fn a_head_without_end_is_refused() {
    attack(|address| {
        let mut endless = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
        endless.extend_from_slice(&b"Name: value\r\n".repeat(50_000));
        for client in &mut clients(address, 20, &endless) {
            assert_eq!(client.answer().status, 431);
        }
    });
}

#[test]
fn a_monstrous_length_is_refused() {
    attack(|address| {
        let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nabc";
        for client in &mut clients(address, 100, request) {
            assert_eq!(client.answer().status, 413);
        }
    });
}

#[test]
fn other_versions_leave_nothing_behind() {
    attack(|address| {
        for _ in 0..5 {
            for client in &mut clients(address, 100, b"GET / HTTP/2.0\r\n\r\n") {
                assert_eq!(client.answer().status, 505);
                assert!(client.is_closed());
            }
        }
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for client in &mut clients(address, 50, preface) {
            assert_eq!(client.answer().status, 505);
        }
    });
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    attack(|address| {
        for bytes in [
            &b""[..],
            b"GET / HT",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /large?bytes=1000000 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
            b"GET /later?ms=10 HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            drop(clients(address, 100, bytes));
        }
    });
}

#[test]
fn a_flood_of_pipelined_requests_is_answered_in_order() {
    attack(|address| {
        let requests: String = (0..10_000)
            .map(|n| format!("GET /echo?{n} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .collect();
        let mut client = Client::connect(address);
        let mut writer = client.stream.try_clone().expect("a second handle");
        thread::scope(|scope| {
            scope.spawn(move || {
                std::io::Write::write_all(&mut writer, requests.as_bytes()).expect("sent");
            });
            for n in 0..10_000 {
                let answer = client.answer();
                assert!(answer.text().starts_with(&format!("GET /echo ?{n} ")));
            }
        });
    });
}

#[test]
fn a_thousand_clients_at_once_are_all_answered() {
    attack(|address| {
        let request = b"GET /ingest/echo HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut clients = clients(address, 1000, b"");
        for _ in 0..3 {
            for client in &mut clients {
                client.send(request);
            }
            for client in &mut clients {
                assert_eq!(client.answer().status, 200);
            }
        }
    });
}

#[test]
fn more_idle_connections_than_fit_do_not_lock_others_out() {
    attack(|address| drop(clients(address, 1500, b"")));
}

#[test]
fn more_half_heads_than_fit_do_not_lock_others_out() {
    attack(|address| drop(clients(address, 1500, b"GET / HT")));
}

#[test]
fn clients_that_do_not_read_cost_no_more_than_the_budget() {
    attack(|address| {
        let request = b"GET /large?bytes=2000000 HTTP/1.1\r\nHost: x\r\n\r\n";
        let deaf = clients(address, 40, request);
        thread::sleep(Duration::from_secs(1));
        drop(deaf);
    });
}

#[test]
fn clients_that_leave_long_answers_leave_nothing_behind() {
    attack(|address| {
        let request = b"GET /pieces?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n";
        for _ in 0..5 {
            let mut gone = clients(address, 20, request);
            for client in &mut gone[..3] {
                assert!(client.head().is_some());
            }
            drop(gone);
        }
    });
}

#[test]
fn without_descriptors_the_server_waits_for_better_times() {
    let victim = Victim::start(Some(100));
    let before = victim.footprint();
    assert!(before.descriptors < 100);
    {
        // More than descriptors are left for; the idle ones make room.
        let mut flood = clients(victim.address, 200, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let last = flood.last_mut().expect("a client");
        assert_eq!(last.answer().status, 200);
    }
    let mut client = Client::connect(victim.address);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/ingest/echo").status, 200);
    drop(client);
    victim.settle(20, before.threads, before.descriptors);
}

#[test]
fn lanes_that_could_not_be_opened_are_opened_later() {
    let victim = Victim::start_cold(None);
    let cold = victim.footprint();
    drop(victim);
    let victim = Victim::start_cold(Some(cold.descriptors as u64 + 5));
    for _ in 0..3 {
        let request = b"GET /later?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut flood = clients(victim.address, 50, request);
        thread::sleep(Duration::from_millis(200));
        // Some were closed to make room for others; nobody got a wrong answer.
        let answers = flood.iter_mut().filter_map(Client::try_answer);
        assert!(answers.into_iter().all(|answer| answer.status == 200));
        drop(flood);
        victim.settle(20, usize::MAX, usize::MAX);
    }
    let mut client = Client::connect(victim.address);
    assert_eq!(client.get("/later?ms=1").status, 200);
    drop(client);
    // With room again, the missing lanes open as in any server.
    let pid = rustix::process::Pid::from_raw(victim.process.id() as i32);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.current.map(|current| current.min(1000));
    rustix::process::prlimit(pid, Resource::Nofile, limit).expect("a higher limit");
    let before = victim.footprint().descriptors;
    victim.warm_up();
    assert!(
        victim.footprint().descriptors >= before + 3,
        "no lane was opened"
    );
}
