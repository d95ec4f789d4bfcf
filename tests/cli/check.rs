//! `picket check`: every kind of fault is found, told, and put right where it follows from the rest of the file.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::process::{Binary, Process};
use crate::support::{Client, KEY, WORLD};

/// One large attachment has as many bytes.
const LARGE_BYTES: usize = 3 << 20;

fn with_server() -> (Binary, Process) {
    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    let server = picket.serve(&["--apply", "world.toml"]);
    (picket, server)
}

/// Sends something of most kinds.
fn fill(server: &Process) {
    let client = Client::new(server.address().parse().unwrap());
    let mut envelope = Vec::new();
    envelope.extend_from_slice(b"{\"event_id\":\"00000000000000000000000000000001\"}\n");
    let mut item = |header: &str, payload: &[u8]| {
        let header = header.trim_end_matches('}');
        envelope.extend_from_slice(format!("{header},\"length\":{}}}\n", payload.len()).as_bytes());
        envelope.extend_from_slice(payload);
        envelope.push(b'\n');
    };
    item(
        "{\"type\":\"event\"}",
        b"{\"message\":\"kept\",\"environment\":\"production\"}",
    );
    item(
        "{\"type\":\"attachment\",\"filename\":\"small.txt\"}",
        b"some text",
    );
    item(
        "{\"type\":\"attachment\",\"filename\":\"large.bin\"}",
        &vec![b'x'; LARGE_BYTES],
    );
    item(
        "{\"type\":\"log\",\"item_count\":2,\"content_type\":\"application/vnd.sentry.items.log+json\"}",
        b"{\"items\":[{\"timestamp\":1,\"body\":\"a\",\"level\":\"info\"},{\"timestamp\":2,\"body\":\"b\",\"level\":\"info\"}]}",
    );
    item(
        "{\"type\":\"session\"}",
        b"{\"sid\":\"1\",\"status\":\"ok\"}",
    );
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    let answer = client.post(&target, &envelope);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let transaction = "{\"event_id\":\"00000000000000000000000000000002\"}\n{\"type\":\"transaction\"}\n\
         {\"type\":\"transaction\",\"start_timestamp\":1767312000,\"timestamp\":1767312001,\
         \"contexts\":{\"trace\":{\"trace_id\":\"4c79f60c11214eb38604f4ae0781bfb2\",\"span_id\":\"fa90fdead5f74052\"}},\
         \"spans\":[]}\n";
    assert_eq!(client.post(&target, transaction.as_bytes()).status, 200);
    for _ in 0..5 {
        let target = format!("/api/31/store/?sentry_key={KEY}");
        assert_eq!(client.post(&target, b"{\"message\":\"kept\"}").status, 200);
    }
}

/// A database with something of most kinds, and no server.
fn filled() -> Binary {
    let (picket, server) = with_server();
    fill(&server);
    assert_eq!(server.terminate().code, Some(0));
    picket
}

/// Checks, and tells the exit code and what was written.
fn check(picket: &Binary, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = picket.run(&[&["check", "--json"], arguments].concat());
    let told =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code, told)
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|fault| fault["check"].as_str().unwrap())
        .collect()
}

/// What goes wrong, what finds it, what tells of it, and what is left after the repair.
struct Case {
    sql: &'static str,
    found: &'static [&'static str],
    text: &'static str,
    left: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        sql: "DROP INDEX member_invited; DROP TRIGGER member_goes;",
        found: &["tables"],
        text: "the file lacks trigger member_goes, index member_invited",
        left: &[],
    },
    Case {
        sql: "DROP TABLE known_device;",
        found: &["tables"],
        text: "the file lacks table known_device",
        left: &["tables"],
    },
    Case {
        sql: "INSERT INTO project_bookmark VALUES (99, 31), (98, 31); INSERT INTO project_team VALUES (31, 77);",
        found: &["references"],
        text: "rows refer to something that is not there: 2 rows of project_bookmark to a user, \
               1 row of project_team to a team",
        left: &["references"],
    },
    Case {
        sql: "UPDATE member_block SET members = 7; INSERT INTO member_block VALUES (1, 5, 1);",
        found: &["member-blocks"],
        text: "2 counts of members do not agree with the members there are",
        left: &[],
    },
    Case {
        sql: "UPDATE project SET seen_kinds = 1;",
        found: &["seen-kinds"],
        text: "1 project has data of kinds that the project is not said to have",
        left: &[],
    },
    Case {
        sql: "UPDATE project SET first_event_us = NULL;",
        found: &["first-events"],
        text: "1 project has events and no time of the first",
        left: &[],
    },
    Case {
        sql: "INSERT INTO organization (id, slug, name, created_us) VALUES (50, 'other', 'Other', 1);
              UPDATE client_key SET organization_id = 50;",
        found: &["key-organizations"],
        text: "1 client key is listed under another organization than the project's",
        left: &[],
    },
    Case {
        sql: "INSERT INTO environment (project_id, name, first_us) VALUES (999, 'gone', 1);
              INSERT INTO project_size VALUES (999, 0, 1, 200);
              INSERT INTO key_window VALUES (999, 60, 1, 1), (998, 60, 1, 1);",
        found: &["left-behind"],
        text: "there is something of what is not there any more: 1 environment, 1 size of a project's data, \
               2 windows of a rate limit",
        left: &[],
    },
    Case {
        sql: "UPDATE project_size SET entries = entries + 2, bytes = bytes - 100 WHERE kind = 0;
              UPDATE project_size SET bytes = bytes + 7 WHERE kind = 100;
              INSERT INTO project_size VALUES (31, 15, 1, 200);",
        found: &["project-sizes"],
        text: "3 sizes of projects' data do not agree with what is stored: off by 3 entries and 307 bytes",
        left: &[],
    },
    Case {
        sql: "UPDATE project_size SET entries = entries - 1, bytes = bytes - 1 WHERE kind = 19;",
        found: &["project-sizes"],
        text: "1 size of a project's data does not agree with what is stored: off by 1 entry and 1 byte",
        left: &[],
    },
    Case {
        sql: "INSERT INTO ledger VALUES (60, 31, 0, 1, 1, 0, '', 1, 1);",
        found: &["ledger-rows"],
        text: "1 row of the ledger has no bucket or no count that there can be",
        left: &["ledger-rows"],
    },
    Case {
        sql: "INSERT INTO ledger VALUES (86400, 999, 0, 0, 1, 0, '', 1, 1), (86400, 31, 0, 999, 1, 0, '', 1, 1);",
        found: &["ledger-owners"],
        text: "2 rows of the ledger name a project or a key that there never was",
        left: &["ledger-owners"],
    },
    Case {
        sql: "DELETE FROM ledger WHERE resolution = 3600 AND category = 1;",
        found: &["ledger-hours", "ledger-days"],
        text: "1 count of the ledger by hours is not what those by 10 seconds add up to",
        left: &[],
    },
    Case {
        sql: "UPDATE ledger SET quantity = quantity + 1 WHERE resolution = 3600 AND category = 2;",
        found: &["ledger-hours", "ledger-days"],
        text: "1 count of the ledger by hours is not what those by 10 seconds add up to",
        left: &[],
    },
    Case {
        sql: "UPDATE ledger SET times_seen = 0 WHERE resolution = 86400 AND category = 4;",
        found: &["ledger-days"],
        text: "1 count of the ledger by days is not what those by hours add up to",
        left: &[],
    },
    // The days follow the hours only once those are right.
    Case {
        sql: "UPDATE ledger SET quantity = quantity + 1 WHERE resolution = 10 AND category = 5;",
        found: &["ledger-hours"],
        text: "1 count of the ledger by hours is not what those by 10 seconds add up to",
        left: &[],
    },
    Case {
        sql: "UPDATE attachment SET project_id = 999 WHERE name = 'small.txt';",
        found: &["stored-owners", "counted", "project-sizes"],
        text: "1 event, item or attachment belongs to a project that is not there",
        left: &["stored-owners", "counted"],
    },
    Case {
        sql: "DELETE FROM ledger WHERE category = 1;",
        found: &["counted"],
        text: "the ledger does not say of 6 stored things in 1 project that they were accepted",
        left: &["counted"],
    },
    Case {
        sql: "UPDATE item SET quantity = 3 WHERE kind = 19;",
        found: &["counted"],
        text: "the ledger does not say of 1 stored thing in 1 project that it was accepted",
        left: &["counted"],
    },
    Case {
        sql: "UPDATE event SET payload = x'28b52ffd00' WHERE kind = 2; UPDATE item SET payload = x'' WHERE kind = 19;
              UPDATE payload_part SET payload = x'00' WHERE id % 65536 = 1;",
        found: &["payloads", "project-sizes"],
        text: "3 payloads cannot be unpacked",
        left: &["payloads"],
    },
    Case {
        sql: "DELETE FROM payload_part WHERE id % 65536 = 1;",
        found: &["payload-parts", "project-sizes"],
        text: "1 payload over 1 MiB is not there, or not whole",
        left: &["payload-parts"],
    },
    Case {
        sql: "DELETE FROM large_payload;",
        found: &["payload-parts", "orphaned-parts"],
        text: "1 payload over 1 MiB is not there, or not whole",
        left: &["payload-parts"],
    },
    Case {
        sql: "INSERT INTO payload_part SELECT 99 * 65536 + id % 65536, payload FROM payload_part;
              INSERT INTO large_payload (id, parts) VALUES (98, 0), (97, NULL);",
        found: &["orphaned-parts"],
        text: "2 payloads over 1 MiB belong to no item and no attachment",
        left: &[],
    },
];

#[test]
fn a_database_that_nothing_happened_to_is_sound() {
    let picket = filled();
    let (code, told) = check(&picket, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told["sound"], true);
    assert_eq!(
        (&told["events"], &told["items"], &told["attachments"]),
        (&7.into(), &2.into(), &2.into())
    );
    let text = picket.succeed(&["check"]);
    assert!(text.starts_with("sound: "), "{text}");
    assert!(
        text.contains(" with 7 events, 2 items and 2 attachments, schema "),
        "{text}"
    );
    assert_eq!(picket.succeed(&["check", "--repair"]), text);
}

#[test]
fn every_fault_is_found_and_put_right_where_it_can_be() {
    let picket = filled();
    let whole = fs::read(picket.path("picket.db")).unwrap();
    for case in CASES {
        fs::write(picket.path("picket.db"), &whole).unwrap();
        let connection = picket.database();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection.execute_batch(case.sql).unwrap();
        connection.close().unwrap();

        let (code, told) = check(&picket, &[]);
        assert_eq!(code, Some(1), "{}: {told}", case.sql);
        assert_eq!(names(&told["faults"]), case.found, "{}: {told}", case.sql);
        assert_eq!(told["faults"][0]["text"], case.text, "{}", case.sql);

        let (code, told) = check(&picket, &["--repair"]);
        assert_eq!(names(&told["faults"]), case.left, "{}: {told}", case.sql);
        assert_eq!(
            code,
            Some(i32::from(!case.left.is_empty())),
            "{}: {told}",
            case.sql
        );
        // A repair changes nothing that it does not say.
        let (_, again) = check(&picket, &[]);
        assert_eq!(names(&again["faults"]), case.left, "{}: {again}", case.sql);
        assert_eq!(again["events"], told["events"], "{}", case.sql);
    }
}

#[test]
fn a_fault_is_told_in_a_sentence() {
    let picket = filled();
    let break_it = || {
        picket
            .database()
            .execute_batch("UPDATE project SET first_event_us = NULL;")
            .unwrap();
    };
    break_it();
    let output = picket.run(&["check"]);
    assert_eq!(
        output.stdout,
        "fault: 1 project has events and no time of the first\n"
    );
    assert_eq!(
        output.stderr,
        "picket: picket.db has faults; picket check --repair puts right what can be\n"
    );
    assert_eq!(output.code, Some(1));
    let text = picket.succeed(&["check", "--repair"]);
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("put right: 1 project has events and no time of the first")
    );
    assert!(lines.next().unwrap().starts_with("sound: "), "{text}");
    picket
        .database()
        .execute_batch("UPDATE event SET payload = zeroblob(length(payload)) WHERE id = 1")
        .unwrap();
    let output = picket.run(&["check"]);
    assert_eq!(output.stdout, "fault: 1 payload cannot be unpacked\n");
    assert_eq!(
        output.stderr,
        "picket: picket.db has faults that cannot be put right from what it holds; restore a backup\n"
    );
}

fn sizes(picket: &Binary) -> Vec<(i64, i64, i64, i64)> {
    let database = picket.database();
    let mut statement = database
        .prepare(
            "SELECT project_id, kind, entries, bytes FROM project_size ORDER BY project_id, kind",
        )
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// Small payloads and one in parts are counted as the server counted them.
#[test]
fn lost_sizes_are_counted_anew() {
    let picket = filled();
    let counted = sizes(&picket);
    let kinds = counted.len() as i64;
    let (entries, bytes) = counted.iter().fold((0, 0), |(entries, bytes), size| {
        (entries + size.2, bytes + size.3)
    });
    assert_eq!(entries, 11);
    picket
        .database()
        .execute_batch("DELETE FROM project_size")
        .unwrap();
    let text = format!(
        "{kinds} sizes of projects' data do not agree with what is stored: off by 11 entries and {bytes} bytes"
    );
    let (code, told) = check(&picket, &[]);
    assert_eq!(
        (code, &told["faults"][0]["count"]),
        (Some(1), &kinds.into())
    );
    assert_eq!(told["faults"][0]["text"], text);
    let (code, told) = check(&picket, &["--repair"]);
    assert_eq!(
        (code, &told["repaired"][0]["text"]),
        (Some(0), &text.into())
    );
    assert_eq!(sizes(&picket), counted);
}

/// Runs SQL on the database while it does not know of an index.
fn behind_the_back_of(connection: &Connection, index: &str, sql: &str) {
    let (table, root, made_by): (String, i64, String) = connection
        .query_row(
            "SELECT tbl_name, rootpage, sql FROM sqlite_schema WHERE name = ?1",
            [index],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = '{index}';
             PRAGMA writable_schema = RESET; {sql}; PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES ('index', '{index}', '{table}', {root}, '{made_by}');
             PRAGMA writable_schema = RESET;"
        ))
        .unwrap();
}

#[test]
fn an_index_that_does_not_agree_with_its_table_is_made_anew() {
    let picket = filled();
    behind_the_back_of(
        &picket.database(),
        "user_inactive",
        "UPDATE user SET active = 0",
    );
    let (code, told) = check(&picket, &[]);
    assert_eq!(
        (code, names(&told["faults"])),
        (Some(1), vec!["pages"]),
        "{told}"
    );
    let text = told["faults"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("an index does not agree with its table: "),
        "{text}"
    );
    let (code, told) = check(&picket, &["--repair"]);
    assert_eq!(
        (code, names(&told["repaired"])),
        (Some(0), vec!["pages"]),
        "{told}"
    );
}

#[test]
fn a_corrupt_page_is_told_and_nothing_else_is_looked_at() {
    let picket = filled();
    let root: u32 = picket
        .database()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'event'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut bytes = fs::read(picket.path("picket.db")).unwrap();
    bytes[(root as usize - 1) * 4096..root as usize * 4096].fill(0xff);
    fs::write(picket.path("picket.db"), &bytes).unwrap();
    for arguments in [&[][..], &["--repair"]] {
        let (code, told) = check(&picket, arguments);
        assert_eq!(
            (code, names(&told["faults"])),
            (Some(1), vec!["pages"]),
            "{told}"
        );
        let text = told["faults"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("the file "), "{text}");
    }
    assert!(fs::read(picket.path("picket.db")).unwrap() == bytes);
}

#[test]
fn a_check_runs_beside_a_server_and_a_repair_does_not() {
    let (picket, server) = with_server();
    fill(&server);
    let (code, told) = check(&picket, &[]);
    assert_eq!((code, &told["events"]), (Some(0), &7.into()), "{told}");
    let output = picket.run(&["check", "--repair"]);
    assert_eq!(
        output.stderr,
        "picket: another picket serves picket.db already\n"
    );
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert_eq!(server.terminate().code, Some(0));
}

/// What age and deletion take away, or are taking away, is no fault.
#[test]
fn what_was_removed_is_no_fault() {
    let picket = filled();
    let connection = picket.database();
    connection
        .execute_batch(
            // Everything happened a year ago; the fine counts went by age, and half of the events.
            "UPDATE ledger SET bucket_us = bucket_us - 31536000000000;
             UPDATE event SET received_us = received_us - 31536000000000;
             UPDATE item SET received_us = received_us - 31536000000000;
             UPDATE attachment SET received_us = received_us - 31536000000000;
             DELETE FROM ledger WHERE resolution = 10 AND category IN (1, 2);
             DELETE FROM ledger WHERE resolution = 3600 AND category = 1;
             DELETE FROM event WHERE id % 2 = 0;
             -- A project that is being deleted: its last large payload is half gone.
             UPDATE project SET deleted_us = 1;
             DELETE FROM payload_part WHERE id % 65536 = 2;",
        )
        .unwrap();
    connection.close().unwrap();
    let (code, told) = check(&picket, &[]);
    assert_eq!(code, Some(0), "{told}");
}

/// A large payload is removed part by part, the last first. Only the oldest row of its kind can be at that.
#[test]
fn a_payload_that_is_being_removed_is_no_fault() {
    let picket = filled();
    let connection = picket.database();
    // Their bytes go with the parts.
    connection
        .execute_batch(
            "CREATE TRIGGER part_goes AFTER DELETE ON payload_part BEGIN
                 UPDATE project_size SET bytes = bytes - length(old.payload) WHERE kind = 100;
             END;
             CREATE TRIGGER attachment_goes AFTER DELETE ON attachment BEGIN
                 UPDATE project_size SET entries = entries - 1, bytes = bytes - length(old.payload) - 200
                 WHERE kind = 100;
             END;",
        )
        .unwrap();
    let found = |sql: &str| {
        connection.execute_batch(sql).unwrap();
        names(&check(&picket, &[]).1["faults"]).join(" ")
    };
    assert_eq!(
        found("DELETE FROM payload_part WHERE id % 65536 = 2"),
        "payload-parts"
    );
    assert_eq!(found("DELETE FROM attachment WHERE name = 'small.txt'"), "");
    assert_eq!(
        found("DELETE FROM payload_part WHERE id % 65536 = 0"),
        "payload-parts"
    );
}
