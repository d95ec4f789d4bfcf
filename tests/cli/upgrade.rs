//! Databases of every released schema are brought up to date, with all that is in them; newer ones are left alone.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::process::Binary;
use crate::support::{Client, KEY, OWNER_TOKEN};

/// Never edited: what was released stays what it was.
const RELEASED: [(i64, &str); 4] = [
    (1, include_str!("schemas/v1.sql")),
    (2, include_str!("schemas/v2.sql")),
    (3, include_str!("schemas/v3.sql")),
    (4, include_str!("schemas/v4.sql")),
];

fn with_schema(dump: &str) -> Binary {
    let picket = Binary::new();
    picket.database().execute_batch(dump).unwrap();
    picket
}

fn schema(connection: &Connection) -> i64 {
    connection
        .query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .unwrap()
}

fn newest() -> i64 {
    let picket = Binary::new();
    picket.write("a.toml", "");
    picket.succeed(&["apply", "a.toml"]);
    schema(&picket.database())
}

fn json(output: &str) -> Value {
    serde_json::from_str(output).unwrap()
}

/// What there was in the file can be had from a server on the upgraded one, and it takes more.
fn serves(picket: &Binary, from: i64) {
    // The fixtures are as old as they are.
    let server = picket.serve(&["--event-retention-days", "0"]);
    let client = Client::new(server.address().parse().unwrap());
    let reading = client
        .clone()
        .with_header("Authorization", &format!("Bearer {OWNER_TOKEN}"));
    let event = reading
        .get(&format!("/api/0/projects/acme/web/events/{:032x}/", 1))
        .json();
    assert_eq!(event["message"], format!("from schema {from}"));
    let answer = client.post(&format!("/api/31/store/?sentry_key={KEY}"), b"{}");
    assert_eq!(answer.status, 200);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn every_released_schema_is_tried_out_and_brought_up_to_date() {
    let newest = newest();
    for (from, dump) in RELEASED {
        let picket = with_schema(dump);
        let before = fs::read(picket.path("picket.db")).unwrap();

        let trial = json(&picket.succeed(&["upgrade", "--dry-run", "--json"]));
        assert!(fs::read(picket.path("picket.db")).unwrap() == before);
        assert_eq!(
            fs::read_dir(picket.path("")).unwrap().count(),
            1,
            "the copy is gone"
        );
        let done = json(&picket.succeed(&["upgrade", "--json"]));
        for told in [&trial, &done] {
            assert_eq!(
                (&told["from"], &told["to"]),
                (&from.into(), &newest.into()),
                "{told}"
            );
            let migrations = told["migrations"].as_array().unwrap().len();
            assert_eq!(migrations as i64, newest - from, "{told}");
            if from < newest {
                assert_eq!(told["check"]["sound"], true, "{told}");
                assert_eq!(told["check"]["events"], 3, "{told}");
            }
        }
        assert_eq!(schema(&picket.database()), newest);
        picket.succeed(&["check"]);
        let again = picket.succeed(&["upgrade"]);
        assert_eq!(again, format!("picket.db is up to date: schema {newest}\n"));
        serves(&picket, from);
        picket.succeed(&["check"]);
    }
}

#[test]
fn every_released_schema_is_brought_up_to_date_by_a_server() {
    for (from, dump) in RELEASED {
        let picket = with_schema(dump);
        serves(&picket, from);
        assert_eq!(schema(&picket.database()), newest());
    }
}

#[test]
fn an_old_backup_is_restored_and_brought_up_to_date_by_a_server() {
    let picket = with_schema(RELEASED[1].1);
    picket.succeed(&["backup", "b.zst"]);
    let told = json(&picket.succeed(&["restore", "b.zst", "--force", "--json"]));
    assert_eq!(told["schema"], 2);
    assert_eq!(schema(&picket.database()), 2);
    serves(&picket, 2);
}

#[test]
fn a_trial_says_what_an_upgrade_would_do_and_need() {
    let picket = with_schema(RELEASED[1].1);
    let output = picket.succeed(&["upgrade", "--dry-run"]);
    let mut lines = output.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("picket.db: schema 2 would become "),
        "{output}"
    );
    assert!(
        first.contains("(V3 management, V4 identity") && first.contains(" rows, with "),
        "{output}"
    );
    assert_eq!(
        lines.next_back(),
        Some("that was a copy, which is removed again; the database is as it was")
    );
    fs::create_dir(picket.path("elsewhere")).unwrap();
    picket.succeed(&["upgrade", "--dry-run", "--temp-dir", "elsewhere"]);
    assert_eq!(fs::read_dir(picket.path("elsewhere")).unwrap().count(), 0);
    let output = picket.run(&["upgrade", "--dry-run", "--temp-dir", "nowhere"]);
    assert_eq!(
        output.stderr,
        "picket: cannot use nowhere: No such file or directory (os error 2)\n"
    );
    let output = picket.run(&["upgrade", "--temp-dir", "elsewhere"]);
    assert_eq!(output.stderr, "picket: --temp-dir needs --dry-run\n");
    assert_eq!(output.code, Some(2));
    assert_eq!(schema(&picket.database()), 2);
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let picket = with_schema(RELEASED[1].1);
    // In the way of the last one.
    picket
        .database()
        .execute_batch("CREATE TABLE saml_message (mine TEXT)")
        .unwrap();
    for arguments in [&["upgrade", "--dry-run"][..], &["upgrade"], &["serve"]] {
        let output = picket.run(arguments);
        let start = "picket: cannot bring picket.db";
        assert!(output.stderr.starts_with(start), "{}", output.stderr);
        assert_eq!(output.code, Some(1));
        assert_eq!(schema(&picket.database()), 2, "{arguments:?}");
        let others = fs::read_dir(picket.path("")).unwrap().count();
        assert_eq!(others, 1, "{arguments:?}");
    }
}

#[test]
fn no_upgrade_goes_on_under_a_server() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let output = picket.run(&["upgrade"]);
    assert_eq!(
        output.stderr,
        "picket: another picket serves picket.db already\n"
    );
    assert_eq!(output.code, Some(1));
    let output = picket.succeed(&["upgrade", "--dry-run"]);
    assert!(output.starts_with("picket.db is up to date: "), "{output}");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_file_of_a_newer_version_is_left_alone_by_every_command() {
    let picket = with_schema(RELEASED[3].1);
    picket.succeed(&["upgrade"]);
    let newest = newest();
    picket
        .database()
        .execute_batch(
            "INSERT INTO refinery_schema_history SELECT 999, 'future', applied_on, checksum
             FROM refinery_schema_history WHERE version = 1;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    let before = fs::read(picket.path("picket.db")).unwrap();
    for arguments in [
        &["serve"][..],
        &["backup", "b.zst"],
        &["check"],
        &["check", "--repair"],
        &["upgrade"],
        &["upgrade", "--dry-run"],
    ] {
        let output = picket.run(arguments);
        assert_eq!(
            output.stderr,
            format!(
                "picket: picket.db was written by a newer Picket (schema 999, this one knows {newest}); use that one\n"
            ),
            "{arguments:?}"
        );
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(
            fs::read(picket.path("picket.db")).unwrap() == before,
            "{arguments:?}"
        );
    }
    assert!(!picket.path("b.zst").exists());
}
