//! Backups: made beside a server and without one, put back, and refused for every reason.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{Binary, Process, mode};
use crate::support::{Client, KEY, WORLD};

fn with_server() -> (Binary, Process) {
    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    let server = picket.serve(&["--apply", "world.toml"]);
    (picket, server)
}

fn send(server: &Process, count: usize) {
    let client = Client::new(server.address().parse().unwrap());
    for _ in 0..count {
        let answer = client.post(
            &format!("/api/31/store/?sentry_key={KEY}"),
            b"{\"message\":\"kept\"}",
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn events(picket: &Binary, file: &str) -> i64 {
    rusqlite::Connection::open(picket.path(file))
        .unwrap()
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .unwrap()
}

/// A database with a few events, no server, and its backup `b.zst`.
fn backed_up() -> Binary {
    let (picket, server) = with_server();
    send(&server, 3);
    assert_eq!(server.terminate().code, Some(0));
    picket.succeed(&["backup", "b.zst"]);
    picket
}

fn refused(picket: &Binary, arguments: &[&str], code: i32, text: &str) {
    let output = picket.run(arguments);
    assert_eq!(output.stderr, format!("picket: {text}\n"), "{arguments:?}");
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(code), ""),
        "{arguments:?}"
    );
}

#[test]
fn a_backup_beside_a_server_has_all_that_was_acknowledged() {
    let (picket, server) = with_server();
    send(&server, 5);
    let output = picket.succeed(&["backup", "b.zst"]);
    assert!(
        output.starts_with("b.zst: ") && output.contains(" from a database of "),
        "{output}"
    );
    assert_eq!(mode(&picket.path("b.zst")), 0o600);
    assert!(!picket.path("b.zst.unfinished").exists());
    send(&server, 2);

    let output = picket.succeed(&["restore", "b.zst", "--data", "other.db"]);
    assert!(
        output.contains("other.db: ") && output.contains("schema "),
        "{output}"
    );
    assert_eq!(mode(&picket.path("other.db")), 0o600);
    assert_eq!(events(&picket, "other.db"), 5);
    picket.succeed(&["check", "--data", "other.db"]);
    // The server went on.
    assert_eq!(events(&picket, "picket.db"), 7);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_backup_can_be_unpacked_by_hand() {
    let picket = backed_up();
    let packed = fs::read(picket.path("b.zst")).unwrap();
    // As zstd -d does: frames that are not zstd's own are skipped.
    let unpacked = zstd::stream::decode_all(packed.as_slice()).unwrap();
    assert!(unpacked == fs::read(picket.path("picket.db")).unwrap());
    // What it says of itself is readable.
    let text = String::from_utf8_lossy(&packed);
    assert!(text.contains(r#"{"kind":"picket backup","format":1,"picket":""#));
    assert!(text.contains(r#"{"sha256":""#));
}

#[test]
fn a_backup_tells_machines_what_it_is() {
    let picket = backed_up();
    let output = picket.succeed(&["backup", "c.zst", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    let length = fs::metadata(picket.path("c.zst")).unwrap().len();
    let database = fs::metadata(picket.path("picket.db")).unwrap().len();
    assert_eq!(told["file"], "c.zst");
    assert_eq!(told["bytes"], length);
    assert_eq!(told["database_bytes"], database);
    let output = picket.succeed(&["restore", "c.zst", "--data", "other.db", "--json"]);
    let restored: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(restored["schema"], told["schema"]);
    assert_eq!(restored["kept"], serde_json::Value::Null);
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let picket = backed_up();
    let output = picket
        .command(&["backup", "-"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success());
    // What is told of it does not get into it.
    assert!(String::from_utf8_lossy(&output.stderr).contains(" from a database of "));
    let mut restore = picket
        .command(&["restore", "-", "--data", "other.db"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    restore
        .stdin
        .take()
        .unwrap()
        .write_all(&output.stdout)
        .unwrap();
    assert!(restore.wait().unwrap().success());
    assert_eq!(events(&picket, "other.db"), 3);
}

#[test]
fn a_backup_that_is_told_to_stop_says_so() {
    let (picket, server) = with_server();
    // More than a pipe holds.
    let envelope = {
        let bytes: Vec<u8> = (0..2 << 20).map(|_| rand::random()).collect();
        let head = format!(
            "{{}}\n{{\"type\":\"attachment\",\"length\":{}}}\n",
            bytes.len()
        );
        [head.into_bytes(), bytes].concat()
    };
    let client = Client::new(server.address().parse().unwrap());
    let answer = client.post(&format!("/api/31/envelope/?sentry_key={KEY}"), &envelope);
    assert_eq!(answer.status, 200);
    let mut backup = picket
        .command(&["backup", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = backup.stdout.take().unwrap();
    // It has begun, and waits for somebody to read.
    stdout.read_exact(&mut [0; 100]).unwrap();
    kill_process(Pid::from_child(&backup), Signal::TERM).unwrap();
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let output = backup.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "picket: it was told to stop, and left everything as it was\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_backup_replaces_no_file_unless_it_is_told_to() {
    let picket = backed_up();
    picket.write("letter.txt", "dear diary");
    refused(
        &picket,
        &["backup", "letter.txt"],
        1,
        "letter.txt exists already; --force replaces it",
    );
    assert_eq!(fs::read(picket.path("letter.txt")).unwrap(), b"dear diary");
    picket.succeed(&["backup", "letter.txt", "--force"]);
    picket.succeed(&["restore", "letter.txt", "--data", "other.db"]);
    refused(
        &picket,
        &["backup", "picket.db", "--force"],
        1,
        "picket.db is the database itself",
    );
    refused(
        &picket,
        &["backup", "no/b.zst"],
        1,
        "cannot write no/b.zst.unfinished: No such file or directory (os error 2)",
    );
}

#[test]
fn there_is_nothing_to_back_up_without_a_database() {
    let picket = Binary::new();
    refused(
        &picket,
        &["backup", "b.zst"],
        1,
        "there is no database picket.db",
    );
    refused(&picket, &["check"], 1, "there is no database picket.db");
    refused(&picket, &["upgrade"], 1, "there is no database picket.db");
    assert_eq!(fs::read_dir(picket.path("")).unwrap().count(), 0);
}

#[test]
fn a_restore_replaces_no_database_unless_it_is_told_to() {
    let picket = backed_up();
    let before = fs::read(picket.path("picket.db")).unwrap();
    refused(
        &picket,
        &["restore", "b.zst"],
        1,
        "picket.db exists already; --force puts the backup in its place and keeps it under another name",
    );
    assert!(fs::read(picket.path("picket.db")).unwrap() == before);

    let server = picket.serve(&[]);
    send(&server, 1);
    // Never under a server, however it is told.
    refused(
        &picket,
        &["restore", "b.zst", "--force"],
        1,
        "another picket serves picket.db already",
    );
    send(&server, 1);
    // Killed: what came last lies in the log alone.
    drop(server);
    let output = picket.succeed(&["restore", "b.zst", "--force", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(events(&picket, "picket.db"), 3);
    assert_eq!(events(&picket, told["kept"].as_str().unwrap()), 5);
    assert_eq!(picket.serve(&[]).terminate().code, Some(0));
}

#[test]
fn a_restore_takes_the_place_of_a_database_that_is_beyond_hope() {
    let picket = backed_up();
    picket.write("picket.db", "this was a database");
    let output = picket.succeed(&["restore", "b.zst", "--force", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(events(&picket, "picket.db"), 3);
    let kept = fs::read(picket.path(told["kept"].as_str().unwrap())).unwrap();
    assert_eq!(kept, b"this was a database");
}

#[test]
fn what_is_left_of_a_log_is_not_played_into_a_restored_database() {
    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    let server = picket.serve(&["--apply", "world.toml"]);
    picket.succeed(&["backup", "b.zst"]);
    send(&server, 3);
    // Killed: the log is whole and has rows that the backup has not.
    drop(server);
    assert!(fs::metadata(picket.path("picket.db-wal")).unwrap().len() > 0);
    fs::remove_file(picket.path("picket.db")).unwrap();
    picket.succeed(&["restore", "b.zst"]);
    assert_eq!(events(&picket, "picket.db"), 0);
    picket.succeed(&["check"]);
}

#[test]
fn what_is_no_backup_is_refused_and_nothing_is_made() {
    let picket = backed_up();
    let whole = fs::read(picket.path("b.zst")).unwrap();
    picket.write("empty", "");
    picket.write("letter.txt", "dear diary");
    let plain = zstd::encode_all(&b"something else"[..], 1).unwrap();
    fs::write(picket.path("plain.zst"), plain).unwrap();
    fs::write(picket.path("twice.zst"), [&whole[..], &whole[..]].concat()).unwrap();
    for (file, text) in [
        (
            "missing",
            "cannot read missing: No such file or directory (os error 2)",
        ),
        ("empty", "empty is empty"),
        ("letter.txt", "letter.txt is no backup that picket made"),
        ("plain.zst", "plain.zst is no backup that picket made"),
        ("picket.db", "picket.db is a database, and no backup of one"),
        (
            "twice.zst",
            "twice.zst goes on after its end, so it is damaged or not one backup",
        ),
    ] {
        refused(&picket, &["restore", file, "--data", "other.db"], 1, text);
        assert!(!picket.path("other.db").exists());
    }
    assert!(!picket.path("other.db.restoring").exists());
}

#[test]
fn a_backup_with_anything_missing_or_changed_is_refused() {
    let picket = backed_up();
    let whole = fs::read(picket.path("b.zst")).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(picket.path("bad.zst"), bytes).unwrap();
        let output = picket.run(&["restore", "bad.zst", "--data", "other.db"]);
        assert_eq!(output.code, Some(1));
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(!picket.path("other.db").exists());
        output.stderr
    };
    for length in [
        3,
        20,
        200,
        whole.len() / 2,
        whole.len() - 60,
        whole.len() - 1,
    ] {
        let text = refusal(&whole[..length]);
        let expected = match length {
            3 => "picket: bad.zst is no backup that picket made\n",
            _ => "picket: bad.zst is cut off: its end is missing\n",
        };
        assert_eq!(text, expected, "{length} of {} bytes", whole.len());
    }
    for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        let text = refusal(&flipped);
        assert!(text.starts_with("picket: bad.zst is "), "{at}: {text}");
    }
}

/// The checksum is the file's own, so it says nothing against one that was made by hand.
#[test]
fn a_backup_of_something_else_is_refused() {
    let picket = Binary::new();
    let connection = rusqlite::Connection::open(picket.path("recipes.db")).unwrap();
    connection
        .execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup');")
        .unwrap();
    let database = fs::read(picket.path("recipes.db")).unwrap();
    let restore = |schema: i64, text: &str| {
        fs::write(picket.path("made.zst"), by_hand(&database, schema)).unwrap();
        refused(&picket, &["restore", "made.zst"], 1, text);
        assert!(!picket.path("picket.db").exists());
    };
    restore(0, "the database in made.zst is not one of Picket's");
    let newest = newest_schema();
    restore(
        999,
        &format!(
            "made.zst was written by a newer Picket (schema 999, this one knows {newest}); use that one"
        ),
    );
}

/// What this program brings databases to.
fn newest_schema() -> i64 {
    let picket = Binary::new();
    picket.write("a.toml", "");
    picket.succeed(&["apply", "a.toml"]);
    picket
        .database()
        .query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .unwrap()
}

/// A backup with a checksum that is right.
fn by_hand(database: &[u8], schema: i64) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let frame = |json: String| -> Vec<u8> {
        let length = u32::try_from(json.len()).unwrap().to_le_bytes();
        [&0x184D_2A5B_u32.to_le_bytes()[..], &length, json.as_bytes()].concat()
    };
    let mut bytes = frame(format!(
        r#"{{"kind":"picket backup","format":1,"picket":"9.9","schema":{schema},"made_us":0,"database_bytes":{}}}"#,
        database.len()
    ));
    bytes.extend(zstd::encode_all(database, 1).unwrap());
    let sum = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    bytes.extend(frame(format!(r#"{{"sha256":"{sum}"}}"#)));
    bytes
}

#[test]
fn a_database_that_was_corrupt_before_it_was_backed_up_is_not_restored() {
    let picket = backed_up();
    let path = picket.path("picket.db");
    let mut bytes = fs::read(&path).unwrap();
    let root: u32 = picket
        .database()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'event_by_kind'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    bytes[(root as usize - 1) * 4096..(root as usize - 1) * 4096 + 200].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    picket.succeed(&["backup", "c.zst"]);
    let output = picket.run(&["restore", "c.zst", "--data", "other.db"]);
    let start = "picket: the database in c.zst was corrupt when it was backed up: ";
    assert!(output.stderr.starts_with(start), "{}", output.stderr);
    assert_eq!(output.code, Some(1));
    assert!(!picket.path("other.db").exists());
}
