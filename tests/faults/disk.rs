//! What becomes of events when the disk does not take them: full, limited, read-only, failing, slow; and when the clock
//! jumps.
//!
//! Every fault comes while clients send. From then on nothing but a 503 with `Retry-After` may be answered, within a
//! second; reading goes on; when the fault is gone events are taken again without anybody's help, and what was
//! acknowledged is there, no more and no less than the ledger says.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::process::{Binary, Process};
use crate::support::{Answer, Client, KEY, OWNER_TOKEN, Server, WORLD};

/// How long the server may take to find out that a fault is gone.
const RECOVERY: Duration = Duration::from_secs(10);

/// What is acknowledged, and what else was answered.
#[derive(Default)]
struct Tally {
    acknowledged: Vec<String>,
    refused: u64,
    unanswered: u64,
}

/// A running server in a process of its own, and what was sent to it.
struct Faulty {
    process: Mutex<Process>,
    pid: Pid,
    address: SocketAddr,
    /// The database, as this process sees it.
    file: PathBuf,
    tally: Mutex<Tally>,
}

impl Faulty {
    fn new(process: Process, file: PathBuf) -> Faulty {
        let address = process.address().parse().expect("an address");
        Faulty {
            pid: process.pid(),
            process: Mutex::new(process),
            address,
            file,
            tally: Mutex::default(),
        }
    }

    /// Sends an event of some 16 KB that hardly shrinks; none if the connection was closed unanswered.
    fn send(&self) -> Option<Answer> {
        let id = format!("{:032x}", rand::random::<u128>());
        let noise: String = (0..500)
            .map(|_| format!("{:032x}", rand::random::<u128>()))
            .collect();
        let body = format!(r#"{{"event_id":"{id}","extra":{{"noise":"{noise}"}}}}"#);
        let target = format!("/api/31/store/?sentry_key={KEY}");
        let begun = Instant::now();
        let answer = Client::new(self.address).try_send("POST", &target, Some(body.as_bytes()));
        let took = begun.elapsed();
        let mut tally = self.tally.lock().expect("no panic");
        match &answer {
            Some(answer) if answer.status == 200 => tally.acknowledged.push(id),
            Some(answer) => {
                assert_refusal(answer);
                assert!(took < Duration::from_secs(1), "a refusal took {took:?}");
                tally.refused += 1;
            }
            None => tally.unanswered += 1,
        }
        answer
    }

    /// Lets four clients send while something happens.
    fn under_load(&self, happen: impl FnOnce()) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        self.send();
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
            }
            // Threads that wait for the flag must not wait for ever if this panics.
            let _end = OnDrop(&over);
            happen();
        });
    }

    /// Sends until an answer has this status.
    fn wait_for(&self, status: u16, within: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let answer = self.send();
            if answer.is_some_and(|answer| answer.status == status) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < within, "no {status} within {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reading goes on, over the API and on the pages, while events are refused.
    fn assert_readable(&self) {
        let client = Client::new(self.address);
        let owner = client
            .clone()
            .with_header("Authorization", &format!("Bearer {OWNER_TOKEN}"));
        for (client, path) in [
            (&owner, "/api/0/projects/acme/web/"),
            (&owner, "/api/0/projects/acme/web/stats/"),
            (&client, "/auth/login/"),
        ] {
            let begun = Instant::now();
            let answer = client.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(begun.elapsed() < Duration::from_secs(2), "{path}");
        }
    }

    /// Nothing acknowledged is missing, nothing else is there than what may be, and the ledger agrees with the table.
    fn verify(&self, what: &str) {
        let tally = self.tally.lock().expect("no panic");
        println!(
            "{what}: {} acknowledged, {} refused, {} unanswered",
            tally.acknowledged.len(),
            tally.refused,
            tally.unanswered
        );
        let directory = self.file.parent().expect("a directory");
        // Keeps a file system of the server's own from going with it.
        let directory = std::fs::File::open(directory).expect("a directory");
        let ended = self.process.lock().expect("no panic").wait_after_term();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let copies = tempfile::tempdir().expect("a directory");
        let copy = copies.path().join("picket.db");
        let held = format!("/proc/self/fd/{}/picket.db", directory.as_raw_fd());
        std::fs::copy(held, &copy).expect("the database can be copied");
        verify(&copy, &tally);
    }
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A refusal in the words of the front for SDKs.
fn assert_refusal(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let seconds = answer
        .header("Retry-After")
        .and_then(|text| text.parse().ok());
    assert!(
        seconds.is_some_and(|seconds: u32| (1..=60).contains(&seconds)),
        "{answer:?}"
    );
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert!(answer.json()["detail"].is_string(), "{}", answer.text());
}

fn verify(file: &Path, tally: &Tally) {
    let connection = Connection::open(file).expect("the file opens");
    connection
        .busy_timeout(Duration::from_secs(5))
        .expect("a time-out");
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
    for id in &tally.acknowledged {
        let found: i64 = find.query_row([id], |row| row.get(0)).expect("a count");
        assert_eq!(found, 1, "{id} was acknowledged");
    }
    let stored = one("SELECT count(*) FROM event");
    let acknowledged = i64::try_from(tally.acknowledged.len()).expect("a small number");
    let unanswered = i64::try_from(tally.unanswered).expect("a small number");
    assert!(
        (acknowledged..=acknowledged + unanswered).contains(&stored),
        "{stored} are stored of {acknowledged} and perhaps {unanswered}"
    );
    for resolution in [10, 3600, 86_400] {
        let counted = one(&format!(
            "SELECT coalesce(sum(quantity), 0) FROM ledger WHERE resolution = {resolution} AND outcome = 0"
        ));
        assert_eq!(counted, stored, "the ledger at {resolution} s");
    }
}

/// For what a machine may not allow: it is said, and where CI runs it is a failure.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "not possible here: {why}");
    println!("skipped: {why}");
}

/// A server whose database is alone on a file system of 32 MiB, which only it and this test can see.
fn on_small_disk(picket: &Binary, arguments: &str) -> Option<Faulty> {
    picket.write("world.toml", WORLD);
    std::fs::create_dir(picket.path("disk")).expect("a directory");
    let mount = "mount -t tmpfs -o size=32m,mode=0755 none disk";
    let possible = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount])
        .current_dir(picket.path(""))
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        skip("no mount in a namespace of its own");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_picket");
    let serve = format!(
        "{mount} && exec {program} serve --listen 127.0.0.1:0 --data disk/picket.db --apply world.toml {arguments}"
    );
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", &serve])
        .current_dir(picket.path(""));
    let process = Process::start(command);
    let root = format!("/proc/{}/root", process.pid().as_raw_nonzero());
    let disk = Path::new(&root).join(
        picket
            .path("disk")
            .strip_prefix("/")
            .expect("an absolute path"),
    );
    Some(Faulty::new(process, disk.join("picket.db")))
}

/// Takes what is left of the disk of a file, but for `spare` bytes; the file that holds it.
fn fill(file: &Path, spare: u64) -> PathBuf {
    let path = file.with_file_name("filler");
    let mut filler = std::fs::File::create(&path).expect("a file");
    let zeros = vec![0; 64 << 10];
    loop {
        let disk = rustix::fs::statvfs(file).expect("a disk");
        if disk.f_bavail * disk.f_frsize < spare + zeros.len() as u64 {
            break;
        }
        if filler.write_all(&zeros).is_err() {
            break;
        }
    }
    if spare == 0 {
        while filler.write_all(&[0; 4096]).is_ok() {}
    }
    path
}

#[test]
fn events_are_refused_before_the_disk_is_full() {
    let _turn = crate::turn();
    let picket = Binary::new();
    let Some(server) = on_small_disk(&picket, "--min-free-disk 4MiB") else {
        return;
    };
    server.under_load(|| {
        server.wait_for(200, RECOVERY);
        let filler = fill(&server.file, 3 << 20);
        let noticed = server.wait_for(503, Duration::from_secs(1));
        println!("disk almost full: refused after {noticed:?}");
        server.assert_readable();
        // People may change things: there is room for that.
        let owner = Client::new(server.address)
            .with_header("Authorization", &format!("Bearer {OWNER_TOKEN}"));
        let renamed = owner.put_json(
            "/api/0/projects/acme/web/",
            &serde_json::json!({"name": "Still here"}),
        );
        assert_eq!(renamed.status, 200, "{}", renamed.text());
        // Nothing that clients send is put on the disk, however large it is.
        let large = vec![b'x'; 3 << 20];
        let target = format!("/api/31/envelope/?sentry_key={KEY}");
        assert_refusal(&Client::new(server.address).post(&target, &large));
        std::fs::remove_file(filler).expect("the filler goes");
        let recovered = server.wait_for(200, RECOVERY);
        println!("disk almost full: taken again after {recovered:?}");
    });
    server.verify("disk almost full");
}

#[test]
fn a_full_disk_refuses_events_and_recovers() {
    let _turn = crate::turn();
    let picket = Binary::new();
    let Some(server) = on_small_disk(&picket, "--min-free-disk 0") else {
        return;
    };
    server.under_load(|| {
        server.wait_for(200, RECOVERY);
        for _ in 0..2 {
            let filler = fill(&server.file, 0);
            // What the database has of the disk already it may still use.
            server.wait_for(503, Duration::from_secs(20));
            server.assert_readable();
            let large = vec![b'x'; 3 << 20];
            let target = format!("/api/31/envelope/?sentry_key={KEY}");
            assert_refusal(&Client::new(server.address).post(&target, &large));
            std::fs::remove_file(filler).expect("the filler goes");
            let recovered = server.wait_for(200, RECOVERY);
            println!("disk full: taken again after {recovered:?}");
        }
    });
    server.verify("disk full");
}

#[test]
fn a_limit_of_the_size_of_files_refuses_events_and_recovers() {
    let _turn = crate::turn();
    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    let process = picket.serve(&["--apply", "world.toml"]);
    let server = Faulty::new(process, picket.path("picket.db"));
    let limit = |bytes: Option<u64>| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(server.pid), Resource::Fsize, limit).expect("a limit");
    };
    server.under_load(|| {
        server.wait_for(200, RECOVERY);
        let size = std::fs::metadata(&server.file).expect("the database").len();
        limit(Some(size + (1 << 20)));
        server.wait_for(503, Duration::from_secs(20));
        server.assert_readable();
        std::thread::sleep(Duration::from_secs(2));
        server.assert_readable();
        limit(None);
        let recovered = server.wait_for(200, RECOVERY);
        println!("limited files: taken again after {recovered:?}");
    });
    server.verify("limited files");
}

/// The library that lets a disk fail, built for this run.
fn faulty_disk(picket: &Binary) -> Option<PathBuf> {
    let library = picket.path("faulty_disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/faulty_disk.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output();
    match built {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            skip("there is no C compiler");
            None
        }
    }
}

/// A disk that fails in each way and gets well again. A real file system cannot be remounted read-only while the
/// database is open; the kernel does that to one that it finds damaged, and this is what a process sees then.
#[test]
fn a_disk_that_became_read_only_or_fails_refuses_events_and_recovers() {
    let _turn = crate::turn();
    let mut picket = Binary::new();
    picket.write("world.toml", WORLD);
    let Some(library) = faulty_disk(&picket) else {
        return;
    };
    let switch = picket.path("fault");
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    picket.set("LD_PRELOAD", &path(&library));
    picket.set("PICKET_FAULTY_DISK", &path(&switch));
    let process = picket.serve(&["--apply", "world.toml"]);
    let server = Faulty::new(process, picket.path("picket.db"));
    server.under_load(|| {
        for fault in ["EROFS", "EIO", "SYNC", "EROFS"] {
            server.wait_for(200, RECOVERY);
            picket.write("fault", fault);
            let noticed = server.wait_for(503, Duration::from_secs(1));
            server.assert_readable();
            // Long enough for the server to have tried again, in vain.
            std::thread::sleep(Duration::from_millis(1200));
            assert_refusal(&server.send().expect("an answer"));
            server.assert_readable();
            let owner = Client::new(server.address)
                .with_header("Authorization", &format!("Bearer {OWNER_TOKEN}"));
            let change = serde_json::json!({"name": "Not kept"});
            let refused = owner.put_json("/api/0/projects/acme/web/", &change);
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert!(refused.header("Retry-After").is_some());
            std::fs::remove_file(&switch).expect("the fault goes");
            let recovered = server.wait_for(200, RECOVERY);
            println!("{fault}: refused after {noticed:?}, taken again after {recovered:?}");
        }
    });
    server.verify("failing disk");
}

/// Two projects: one that floods, and one that sends an event now and then.
const TWO_PROJECTS: &str = r#"
[[organization]]
slug = "acme"

  [[organization.project]]
  slug = "noisy"
  id = 31

    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"

  [[organization.project]]
  slug = "quiet"
  id = 32

    [[organization.project.key]]
    name = "Default"
    public = "11111111111111111111111111111111"
"#;

/// With more clients than there are ways in, and a disk that takes more than a second for each commit, those of one
/// project are refused and the other's events all get in. It sends so few that no more than half of the eight that any
/// project may have waiting come during one commit.
#[test]
fn on_a_slow_disk_a_project_that_floods_leaves_room_for_the_others() {
    const QUIET: usize = 20;
    let _turn = crate::turn();
    let server = Server::start(TWO_PROJECTS);
    let over = AtomicBool::new(false);
    let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let send = |key: &str, project: u32| {
        let target = format!("/api/{project}/store/?sentry_key={key}");
        server.client().try_send("POST", &target, Some(b"{}"))
    };
    let quiet = std::thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match send(KEY, 31) {
                        Some(answer) if answer.status == 200 => {
                            taken.fetch_add(1, Ordering::Relaxed)
                        }
                        Some(answer) => {
                            assert_refusal(&answer);
                            std::thread::sleep(Duration::from_millis(100));
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        None => panic!("an answer is missing"),
                    };
                }
            });
        }
        let _end = OnDrop(&over);
        // A commit waits for this connection as it would for a slow disk.
        let slow = scope.spawn(|| {
            let disk = server.database();
            disk.busy_timeout(Duration::ZERO).expect("a time-out");
            let commits = || -> i64 {
                disk.query_row("PRAGMA data_version", [], |row| row.get(0))
                    .expect("a version")
            };
            while !over.load(Ordering::Relaxed) {
                // The server leaves hardly any time between two commits.
                while let Err(error) = disk.execute_batch("BEGIN IMMEDIATE") {
                    let code = error.sqlite_error_code();
                    assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy));
                    std::thread::sleep(Duration::from_micros(200));
                }
                std::thread::sleep(Duration::from_millis(1200));
                disk.execute_batch("ROLLBACK").expect("the lock goes");
                // However slow the machine, the server's commit comes before the next wait.
                let before = commits();
                while commits() == before && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        std::thread::sleep(Duration::from_secs(2));
        let quiet: Vec<_> = (0..QUIET)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(300));
                scope.spawn(|| send("11111111111111111111111111111111", 32).map(|a| a.status))
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|sent| sent.join().expect("no panic"))
            .collect();
        over.store(true, Ordering::Relaxed);
        slow.join().expect("no panic");
        quiet
    });
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    println!("slow disk: of the project that floods {taken} taken, {refused} refused");
    assert_eq!(quiet, [Some(200); QUIET]);
    assert!(taken > 0 && refused > 0);
    let stored = |project: i64| -> u64 {
        server
            .database()
            .query_row(
                "SELECT count(*) FROM event WHERE project_id = ?1",
                [project],
                |row| row.get(0).map(|count: i64| count.unsigned_abs()),
            )
            .expect("a count")
    };
    assert_eq!((stored(31), stored(32)), (taken, QUIET as u64));
}

#[test]
fn a_clock_that_jumps_costs_no_event() {
    let _turn = crate::turn();
    let limited = WORLD.replace(
        "secret = \"fedcba9876543210fedcba9876543210\"",
        "rate_limit = { count = 5, window = 3600 }",
    );
    let mut server = Server::start(&limited);
    let send = |server: &Server| server.send_event("{}").status;
    let day = 86_400;
    // A window that was used up stays so when the clock steps back to it, and behind it.
    for _ in 0..5 {
        assert_eq!(send(&server), 200);
    }
    assert_eq!(send(&server), 429);
    let mut taken = 5;
    for jump in [3 * day, 400 * day, 5, 3650 * day] {
        server.advance(jump);
        assert_eq!(send(&server), 200, "{jump}");
        taken += 1;
    }
    for jump in [-1, -3600] {
        server.advance(jump);
        let status = send(&server);
        taken += i64::from(status == 200);
        assert!([200, 429].contains(&status), "{status}");
    }
    // Far back it is a clock that was wrong, so that its windows do not silence a key for years.
    server.clock.set(crate::support::START.plus_secs(day));
    assert_eq!(send(&server), 200);
    taken += 1;
    server.restart();
    assert_eq!(send(&server), 200);
    taken += 1;
    assert_eq!(server.event_count(), taken);
    server.stop();
    let connection = Connection::open(server.file()).expect("the file opens");
    for resolution in [10, 3600, 86_400] {
        let counted: i64 = connection
            .query_row(
                "SELECT sum(quantity) FROM ledger WHERE resolution = ?1 AND outcome = 0",
                [resolution],
                |row| row.get(0),
            )
            .expect("a sum");
        assert_eq!(counted, taken, "the ledger at {resolution} s");
    }
}

/// Large requests go one by one, and each holds a way in while it waits.
#[test]
fn a_project_that_uploads_without_end_leaves_ways_in_for_the_others() {
    let _turn = crate::turn();
    let server = Server::start(TWO_PROJECTS);
    let over = AtomicBool::new(false);
    let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut upload = br#"{}
{"type":"attachment","filename":"a","length":1500000}
"#
    .to_vec();
    upload.resize(upload.len() + 1_500_000, b'x');
    std::thread::scope(|scope| {
        for _ in 0..280 {
            scope.spawn(|| {
                let target = format!("/api/31/envelope/?sentry_key={KEY}");
                while !over.load(Ordering::Relaxed) {
                    let answer = server.client().try_send("POST", &target, Some(&upload));
                    match answer {
                        Some(answer) if answer.status == 200 => {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(answer) => {
                            assert_refusal(&answer);
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_secs(1));
                        }
                        None => {}
                    }
                }
            });
        }
        let _end = OnDrop(&over);
        std::thread::sleep(Duration::from_secs(1));
        let target = "/api/32/store/?sentry_key=11111111111111111111111111111111";
        for _ in 0..20 {
            assert_eq!(server.client().post(target, b"{}").status, 200);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    println!("uploads without end: {taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0);
}
