//! What can happen to a process: it is killed, stopped and continued, started twice, and finds its log damaged.
//!
//! After each of these everything that was acknowledged is in the file, once, and `picket check` finds nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::short_or_long;
use crate::support::process::{Binary, Process};
use crate::support::{Client, KEY, WORLD};

/// Every schema that was released, for what happens to a migration.
const FIRST_SCHEMA: &str = include_str!("../cli/schemas/v1.sql");

const CLIENTS: usize = 16;

/// The program with what [`WORLD`] describes and no server.
pub(crate) fn prepared() -> Binary {
    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    picket.succeed(&["apply", "world.toml"]);
    picket
}

/// What clients heard of what they sent.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) acknowledged: BTreeSet<String>,
    /// Answers that were neither 200 nor a 503 or 429 that tells when to come again.
    odd: Vec<(u16, String)>,
}

/// Sends events from many clients while `meanwhile` runs.
pub(crate) fn under_load(address: &str, meanwhile: impl FnOnce()) -> Heard {
    under_load_heard(address, |_| meanwhile())
}

/// As [`under_load`]; `meanwhile` sees what was heard so far.
fn under_load_heard(address: &str, meanwhile: impl FnOnce(&Mutex<Heard>)) -> Heard {
    let address: SocketAddr = address.parse().expect("an address");
    let heard = Mutex::new(Heard::default());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let client = Client::new(address);
                while !is_over.load(Ordering::Relaxed) {
                    let (id, status, body) = send(&client);
                    let mut heard = heard.lock().expect("no panic");
                    match status {
                        Some(200) => drop(heard.acknowledged.insert(id)),
                        Some(429 | 503) | None => {}
                        Some(status) => heard.odd.push((status, body)),
                    }
                }
            });
        }
        meanwhile(&heard);
        is_over.store(true, Ordering::Relaxed);
    });
    let heard = heard.into_inner().expect("no panic");
    assert!(heard.odd.is_empty(), "{:?}", heard.odd);
    heard
}

/// One event: its id, and what was answered if anything was.
fn send(client: &Client) -> (String, Option<u16>, String) {
    let id = format!("{:032x}", rand::random::<u128>());
    let body = format!(
        "{{\"event_id\":\"{id}\",\"message\":\"load\",\"extra\":{{\"filler\":\"{id}{id}\"}}}}"
    );
    let target = format!("/api/31/store/?sentry_key={KEY}");
    match client.try_send("POST", &target, Some(body.as_bytes())) {
        Some(answer) => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            (id, Some(answer.status), text)
        }
        None => (id, None, String::new()),
    }
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

pub(crate) fn ids(file: &Path) -> BTreeSet<String> {
    let connection = Connection::open(file).expect("the file opens");
    let mut statement = connection
        .prepare("SELECT lower(hex(event_id)) FROM event")
        .expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("ids")
}

/// Nothing that was acknowledged is missing, and the ledger counts what is there, at every resolution.
pub(crate) fn verify(picket: &Binary, data: &str, acknowledged: &BTreeSet<String>) {
    verify_whole(picket, data);
    let stored = ids(&picket.path(data));
    let missing: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged events are missing",
        missing.len(),
        acknowledged.len()
    );
}

/// `picket check` finds nothing, and the ledger counts what is there, at every resolution.
pub(crate) fn verify_whole(picket: &Binary, data: &str) {
    let output = picket.run(&["check", "--json", "--data", data]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let connection = Connection::open(picket.path(data)).expect("the file opens");
    let one = |sql: &str| -> i64 {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("a number")
    };
    let stored = one("SELECT count(*) FROM event");
    for resolution in [10, 3600, 86_400] {
        let counted = one(&format!(
            "SELECT coalesce(sum(quantity), 0) FROM ledger WHERE resolution = {resolution} AND outcome = 0 AND category = 1"
        ));
        assert_eq!(
            counted, stored,
            "the ledger at {resolution} s agrees with the events"
        );
    }
}

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    let _turn = crate::turn();
    let picket = prepared();
    let mut acknowledged = BTreeSet::new();
    for round in 0..short_or_long(5, 50) {
        let server = picket.serve(&[]);
        let heard = under_load(&server.address(), || {
            // Longer and shorter rounds meet the writer at other points.
            pause(200 + round * 61 % 250);
            server.signal(Signal::KILL);
        });
        drop(server);
        acknowledged.extend(heard.acknowledged);
        verify(&picket, "picket.db", &acknowledged);
    }
    assert!(
        acknowledged.len() > 100,
        "there was load: {}",
        acknowledged.len()
    );
}

/// Stopped for longer than it waits for a request's head, and in the long form than the writer may take for a commit.
#[test]
fn a_server_that_was_stopped_is_right_again_within_two_seconds() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    let address = server.address();
    let heard = under_load(&address, || {
        pause(500);
        server.signal(Signal::STOP);
        std::thread::sleep(short_or_long(
            Duration::from_secs(12),
            Duration::from_secs(40),
        ));
        server.signal(Signal::CONT);
        let begun = Instant::now();
        let client = Client::new(address.parse().expect("an address"));
        while send(&client).1 != Some(200) {
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "no event was taken in time"
            );
            pause(20);
        }
        // And stays so.
        for _ in 0..20 {
            assert_eq!(send(&client).1, Some(200));
        }
        let health = client.get("/api/0/");
        assert_eq!(health.status, 200, "{}", health.text());
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    });
    assert!(heard.acknowledged.len() > 100, "there was load");
    assert_eq!(server.terminate().code, Some(0));
    verify(&picket, "picket.db", &heard.acknowledged);
}

#[test]
fn a_second_server_on_the_same_file_leaves_the_first_unharmed() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    let heard = under_load(&server.address(), || {
        pause(100);
        for _ in 0..3 {
            let second = picket.run(&["serve", "--listen", "127.0.0.1:0"]);
            assert_eq!(
                second.stderr,
                "picket: another picket serves picket.db already\n"
            );
            assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
        }
    });
    assert!(heard.acknowledged.len() > 10, "there was load");
    assert_eq!(server.terminate().code, Some(0));
    verify(&picket, "picket.db", &heard.acknowledged);
}

const FRAME_BYTES: usize = 24 + 4096;
const WAL_HEAD_BYTES: usize = 32;

/// What became of the log before the server starts again, and whether all that was acknowledged must still be there:
/// what is added to a log harms nothing, and what is taken from it costs the transactions that it was of.
type Damage = (&'static str, bool, fn(&mut Vec<u8>));

const DAMAGES: &[Damage] = &[
    ("nothing", true, |_| {}),
    ("a torn frame", true, |log| {
        let frame = log[WAL_HEAD_BYTES..WAL_HEAD_BYTES + 1000].to_vec();
        log.extend(frame);
    }),
    ("garbage", true, |log| {
        let mut garbage = vec![0; 3 * FRAME_BYTES + 77];
        rand::rng().fill(&mut garbage[..]);
        log.extend(garbage);
    }),
    ("zeros", true, |log| {
        log.resize(log.len() + 2 * FRAME_BYTES, 0)
    }),
    ("frames of an older log", true, |log| {
        // The salts are the 8 bytes after page and size.
        let mut frames = log[WAL_HEAD_BYTES..WAL_HEAD_BYTES + 2 * FRAME_BYTES].to_vec();
        for at in [0, FRAME_BYTES] {
            frames[at + 11] = frames[at + 11].wrapping_sub(1);
        }
        log.extend(frames);
    }),
    ("half of the last frame gone", false, |log| {
        log.truncate(log.len() - FRAME_BYTES / 2)
    }),
    ("the last ten frames gone", false, |log| {
        log.truncate(log.len() - 10 * FRAME_BYTES)
    }),
    ("a bit in the last frame", false, |log| {
        let at = log.len() - 100;
        log[at] ^= 0x20;
    }),
    ("a bit in the head of a frame", false, |log| {
        let at = log.len() - 5 * FRAME_BYTES + 3;
        log[at] ^= 0x01;
    }),
    ("a page of garbage in the middle", false, |log| {
        let frames = (log.len() - WAL_HEAD_BYTES) / FRAME_BYTES;
        let at = WAL_HEAD_BYTES + frames / 2 * FRAME_BYTES + 24;
        rand::rng().fill(&mut log[at..at + 4096]);
    }),
    ("all but its head gone", false, |log| {
        log.truncate(WAL_HEAD_BYTES)
    }),
];

#[test]
fn a_damaged_end_of_the_log_costs_no_more_than_what_it_held() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    let client = Client::new(server.address().parse().expect("an address"));
    // Nothing is copied from the log into the file meanwhile: what was copied must not be taken from the log.
    let ids: Vec<String> = (0..30)
        .map(|_| {
            let (id, status, body) = send(&client);
            assert_eq!(status, Some(200), "{body}");
            id
        })
        .collect();
    server.signal(Signal::KILL);
    drop(server);
    let file = fs::read(picket.path("picket.db")).expect("a file");
    let log = fs::read(picket.path("picket.db-wal")).expect("a log");
    assert!(
        log.len() > WAL_HEAD_BYTES + 20 * FRAME_BYTES,
        "{}",
        log.len()
    );
    for (what, is_all_there, damage) in DAMAGES {
        let mut damaged = log.clone();
        damage(&mut damaged);
        fs::write(picket.path("picket.db"), &file).expect("written");
        fs::write(picket.path("picket.db-wal"), &damaged).expect("written");
        let _ = fs::remove_file(picket.path("picket.db-shm"));
        let server = picket.serve(&[]);
        let client = Client::new(server.address().parse().expect("an address"));
        let (id, status, body) = send(&client);
        assert_eq!(status, Some(200), "{what}: {body}");
        assert_eq!(server.terminate().code, Some(0), "{what}");
        verify(&picket, "picket.db", &BTreeSet::from([id]));
        // What is left is a beginning of what was sent: nothing is missing before something that is there.
        let stored = self::ids(&picket.path("picket.db"));
        let left = ids.iter().take_while(|id| stored.contains(*id)).count();
        assert_eq!(stored.len(), left + 1, "{what}");
        assert_eq!(
            left == ids.len(),
            *is_all_there,
            "{what}: {left} of {}",
            ids.len()
        );
    }
}

/// Runs a command and kills it after ever longer times until it ends by itself; `look` sees what each left.
fn killed_at_every_moment(
    picket: &Binary,
    arguments: &[&str],
    mut before: impl FnMut(),
    mut look: impl FnMut(bool),
) {
    let mut run = |limit: Option<Duration>| -> (bool, Duration) {
        before();
        let mut child = picket
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let begun = Instant::now();
        if let Some(limit) = limit {
            std::thread::sleep(limit);
            child.kill().expect("it is ours");
        }
        let is_done = child.wait().expect("it ends").success();
        let took = begun.elapsed();
        look(is_done);
        (is_done, took)
    };
    let (is_done, took) = run(None);
    assert!(is_done, "{arguments:?} works if it is let");
    let rounds = short_or_long(8, 60);
    let mut cut_off = 0;
    for round in 0..rounds {
        let (is_done, _) = run(Some(took * round / rounds));
        cut_off += u32::from(!is_done);
    }
    assert!(
        cut_off > rounds / 3,
        "{arguments:?} was cut off {cut_off} times"
    );
}

/// Makes the database some megabytes longer, so that what is done to it takes a while.
fn enlarge(picket: &Binary, server: &Process) {
    let client = Client::new(server.address().parse().expect("an address"));
    for number in 0..short_or_long(1, 8) {
        let mut bytes = vec![0; 3 << 20];
        rand::rng().fill(&mut bytes[..]);
        let mut envelope = format!(
            "{{\"event_id\":\"{number:032x}\"}}\n{{\"type\":\"attachment\",\"length\":{}}}\n",
            bytes.len()
        )
        .into_bytes();
        envelope.extend(bytes);
        let target = format!("/api/31/envelope/?sentry_key={KEY}");
        assert_eq!(client.post(&target, &envelope).status, 200);
    }
    assert!(picket.path("picket.db").exists());
}

/// How fast that is, and what it costs the others, `cargo bench --bench load backup` tells.
#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_it_began() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    enlarge(&picket, &server);
    let heard = under_load_heard(&server.address(), |heard| {
        // Each round takes longer than the one before, because the load goes on.
        for _ in 0..short_or_long(4, 12) {
            pause(100);
            let before = heard.lock().expect("no panic").acknowledged.clone();
            picket.succeed(&["backup", "b.zst", "--force"]);
            let _ = fs::remove_file(picket.path("other.db"));
            picket.succeed(&["restore", "b.zst", "--data", "other.db"]);
            verify(&picket, "other.db", &before);
        }
    });
    assert!(heard.acknowledged.len() > 100, "there was load");
    assert_eq!(server.terminate().code, Some(0));
    verify(&picket, "picket.db", &heard.acknowledged);
}

#[test]
fn a_backup_that_is_killed_leaves_the_old_one_or_the_new_one() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    enlarge(&picket, &server);
    picket.succeed(&["backup", "b.zst"]);
    let old = fs::read(picket.path("b.zst")).expect("a backup");
    let client = Client::new(server.address().parse().expect("an address"));
    let mut sent = BTreeSet::new();
    let sent = Mutex::new(&mut sent);
    killed_at_every_moment(
        &picket,
        &["backup", "b.zst", "--force"],
        || {
            let (id, status, body) = send(&client);
            assert_eq!(status, Some(200), "{body}");
            sent.lock().expect("no panic").insert(id);
            fs::write(picket.path("b.zst"), &old).expect("written");
        },
        |is_done| {
            let is_old = fs::read(picket.path("b.zst")).expect("a backup") == old;
            assert!(!(is_done && is_old), "a backup that was made is there");
            if !is_old {
                let _ = fs::remove_file(picket.path("other.db"));
                picket.succeed(&["restore", "b.zst", "--data", "other.db"]);
                verify(&picket, "other.db", &sent.lock().expect("no panic"));
            }
        },
    );
    // Neither the server nor the next backup is troubled by what is left.
    assert_eq!(send(&client).1, Some(200));
    picket.succeed(&["backup", "b.zst", "--force"]);
    assert!(!picket.path("b.zst.unfinished").exists());
    assert_eq!(server.terminate().code, Some(0));
    verify_whole(&picket, "picket.db");
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_database_or_the_new_one() {
    let _turn = crate::turn();
    let picket = prepared();
    let server = picket.serve(&[]);
    enlarge(&picket, &server);
    picket.succeed(&["backup", "b.zst"]);
    let client = Client::new(server.address().parse().expect("an address"));
    let kept = BTreeSet::from_iter((0..5).map(|_| send(&client).0));
    assert_eq!(server.terminate().code, Some(0));
    let old = fs::read(picket.path("picket.db")).expect("a database");
    killed_at_every_moment(
        &picket,
        &["restore", "b.zst", "--force"],
        || {
            for entry in fs::read_dir(picket.path("")).expect("a directory") {
                let path = entry.expect("an entry").path();
                let is_of_database = path.to_string_lossy().contains("picket.db");
                // What a try before this one left stays, but for what would be many copies.
                if is_of_database && !path.to_string_lossy().contains(".restoring") {
                    fs::remove_file(path).expect("removed");
                }
            }
            fs::write(picket.path("picket.db"), &old).expect("written");
        },
        |is_done| {
            verify_whole(&picket, "picket.db");
            let stored = ids(&picket.path("picket.db"));
            assert!(
                stored.is_empty() || stored == kept,
                "the whole old or the whole new one"
            );
            assert!(!is_done || stored.is_empty());
        },
    );
}

/// A database of the first schema with some thousand events.
fn old_database() -> Vec<u8> {
    let picket = Binary::new();
    picket
        .database()
        .execute_batch(&format!(
            "{FIRST_SCHEMA}
             WITH RECURSIVE number (n) AS (SELECT 4 UNION ALL SELECT n + 1 FROM number WHERE n < 4000)
             INSERT INTO event (id, project_id, event_id, key_id, received_us, payload)
             SELECT n, 31, randomblob(16), 5, 1767312000000000, (SELECT payload FROM event WHERE id = 1) FROM number;
             UPDATE ledger SET quantity = 4000 WHERE category = 1;"
        ))
        .expect("a database");
    fs::read(picket.path("picket.db")).expect("a database")
}

fn schema(picket: &Binary) -> i64 {
    picket
        .database()
        .query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .expect("a version")
}

fn put_old(picket: &Binary, old: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(picket.path(&format!("picket.db{suffix}")));
    }
    fs::write(picket.path("picket.db"), old).expect("written");
}

#[test]
fn an_upgrade_that_is_killed_is_done_wholly_or_not_at_all() {
    let _turn = crate::turn();
    let old = old_database();
    let picket = Binary::new();
    put_old(&picket, &old);
    let newest = {
        let told: Value =
            serde_json::from_str(&picket.succeed(&["upgrade", "--dry-run", "--json"]))
                .expect("JSON");
        told["to"].as_i64().expect("a number")
    };
    killed_at_every_moment(
        &picket,
        &["upgrade"],
        || put_old(&picket, &old),
        |is_done| {
            let schema = schema(&picket);
            assert!(
                schema == 1 || schema == newest,
                "schema {schema} is halfway"
            );
            assert!(!is_done || schema == newest);
            picket.succeed(&["upgrade"]);
            picket.succeed(&["check", "--repair"]);
            assert_eq!(ids(&picket.path("picket.db")).len(), 4_000);
        },
    );
    // A trial that is killed leaves the database alone, and the next one takes over what it left.
    killed_at_every_moment(
        &picket,
        &["upgrade", "--dry-run"],
        || put_old(&picket, &old),
        |_| assert!(fs::read(picket.path("picket.db")).expect("a database") == old),
    );
    picket.succeed(&["upgrade", "--dry-run"]);
    assert_eq!(
        fs::read_dir(picket.path("")).expect("a directory").count(),
        1
    );
}

#[test]
fn a_server_that_is_killed_while_it_migrates_can_start_again() {
    let _turn = crate::turn();
    let old = old_database();
    let picket = Binary::new();
    let rounds = short_or_long(6, 40);
    for round in 0..rounds {
        put_old(&picket, &old);
        let mut child = picket
            .command(&[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--event-retention-days",
                "0",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        pause(20 + 400 * round / rounds);
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let schema = schema(&picket);
        // The events of the old file are older than any that are kept.
        let server = picket.serve(&["--event-retention-days", "0"]);
        assert_eq!(server.terminate().code, Some(0), "schema {schema}");
        picket.succeed(&["check", "--repair"]);
        assert_eq!(ids(&picket.path("picket.db")).len(), 4_000);
    }
}
