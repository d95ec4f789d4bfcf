//! Files that cannot be used, and what a new one looks like.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use crate::support::process::{Binary, mode};

/// The refusal of every command that opens the file, which is as before byte for byte.
fn refused(picket: &Binary, text: &str) {
    let file = picket.path("picket.db");
    let before = fs::read(&file).ok();
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["apply", "a.toml"],
        &["token", "list"],
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"), "{arguments:?}");
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(
            fs::read(&file).ok() == before,
            "{arguments:?} changed the file"
        );
    }
    assert!(!picket.path("picket.db.credentials").exists());
}

fn with_file(bytes: &[u8]) -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", "");
    fs::write(picket.path("picket.db"), bytes).unwrap();
    picket
}

/// A file of Picket's own, closed in order.
fn real_file() -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", "[[organization]]\nslug = \"acme\"\n");
    picket.succeed(&["apply", "a.toml"]);
    picket
}

#[test]
fn a_new_file_is_private_and_set_up_for_good() {
    let picket = Binary::new();
    picket.serve(&[]).terminate();
    assert_eq!(mode(&picket.path("picket.db")), 0o600);
    let pragma = |name: &str| -> i64 {
        picket
            .database()
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    };
    assert_eq!(pragma("page_size"), 4096);
    // 2: incremental.
    assert_eq!(pragma("auto_vacuum"), 2);
    assert_eq!(
        pragma("application_id"),
        i64::from(i32::from_be_bytes(*b"Pick"))
    );
}

#[test]
fn a_missing_directory_is_named() {
    let picket = Binary::new();
    for command in [&["serve"][..], &["apply", "a.toml"]] {
        picket.write("a.toml", "");
        let output = picket.run(&[command, &["--data", "no/picket.db"]].concat());
        assert_eq!(
            output.stderr,
            "picket: cannot create no/picket.db: its directory does not exist\n"
        );
        assert_eq!(output.code, Some(1));
    }
}

#[test]
fn a_directory_is_no_database() {
    let picket = Binary::new();
    picket.write("a.toml", "");
    fs::create_dir(picket.path("picket.db")).unwrap();
    refused(&picket, "picket.db is a directory");
}

#[test]
fn a_read_only_file_is_left_alone() {
    let picket = real_file();
    let file = picket.path("picket.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let output = picket.run(&["serve"]);
    // The superuser may write it all the same, and is refused by the permissions themselves.
    assert!(
        output
            .stderr
            .starts_with("picket: picket.db is not writable: "),
        "{}",
        output.stderr
    );
    assert_eq!(output.stderr.lines().count(), 1);
    assert_eq!(output.code, Some(1));
}

#[test]
fn what_is_not_sqlite_is_left_alone() {
    refused(
        &with_file(b"dear diary"),
        "picket.db is not a SQLite database",
    );
    refused(
        &with_file(&[b'x'; 8192]),
        "picket.db is not a SQLite database",
    );
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let picket = with_file(b"");
    Connection::open(picket.path("picket.db"))
        .unwrap()
        .execute_batch("CREATE TABLE recipe (name TEXT)")
        .unwrap();
    refused(
        &picket,
        "picket.db is a SQLite database, but not one of Picket's",
    );
}

#[test]
fn a_truncated_file_is_left_alone() {
    let picket = real_file();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(picket.path("picket.db"))
        .unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2).unwrap();
    refused(
        &picket,
        "picket.db is corrupt: it is shorter than it says it is",
    );
}

#[test]
fn a_corrupt_file_is_left_alone() {
    let picket = real_file();
    let path = picket.path("picket.db");
    let mut bytes = fs::read(&path).unwrap();
    // The root page of the schema, after the file's head.
    bytes[100..4096].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    refused(
        &picket,
        "picket.db is corrupt: database disk image is malformed",
    );
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let picket = real_file();
    let newest: i64 = picket
        .database()
        .query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .unwrap();
    picket
        .database()
        .execute_batch(
            "INSERT INTO refinery_schema_history SELECT 999, 'future', applied_on, checksum
             FROM refinery_schema_history ORDER BY version LIMIT 1;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    refused(
        &picket,
        &format!(
            "picket.db was written by a newer Picket (schema 999, this one knows {newest}); use that one"
        ),
    );
}

#[test]
fn a_second_server_on_the_same_file_says_so() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let second = picket.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(
        second.stderr,
        "picket: another picket serves picket.db already\n"
    );
    assert_eq!(second.code, Some(1));
    assert_eq!(server.terminate().code, Some(0));
    assert_eq!(picket.serve(&[]).terminate().code, Some(0));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let picket = Binary::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = picket.run(&["serve", "--listen", &address]);
    let start = format!("picket: cannot listen on {address}: ");
    assert!(output.stderr.contains(&start), "{}", output.stderr);
    assert_eq!(output.code, Some(1));
}
