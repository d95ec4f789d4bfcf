//! What clients sent goes when it is too old or too much: the least informative first, then the oldest. Statistics stay,
//! what is written down of the sizes agrees with the tables, and the file shrinks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::Binary;
use crate::support::{KEY, START, Server, WORLD};

const DAY_SECS: i64 = 86_400;

/// Project 31 of [`WORLD`] with options, and 32 without.
fn two_projects(options: &str) -> String {
    WORLD.replace(
        "teams = [\"core\"]\n\n    [[",
        &format!("teams = [\"core\"]\n  options = {{ {options} }}\n\n    [["),
    ) + r#"
[[organization]]
slug = "other"

  [[organization.project]]
  slug = "other"
  id = 32

    [[organization.project.key]]
    name = "Default"
    public = "11111111111111111111111111111111"
"#
}

fn key_of(project: i64) -> &'static str {
    match project {
        31 => KEY,
        _ => "11111111111111111111111111111111",
    }
}

/// Sends a request whose answer must be 200.
fn send(server: &Server, project: i64, endpoint: &str, body: &[u8]) {
    let target = format!("/api/{project}/{endpoint}/?sentry_key={}", key_of(project));
    let answer = server.client().post(&target, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn noise(bytes: usize) -> String {
    (0..bytes / 32)
        .map(|_| format!("{:032x}", rand::random::<u128>()))
        .collect()
}

/// An error whose message begins with a name.
fn send_error(server: &Server, project: i64, name: &str, bytes: usize) {
    let body = json!({"message": name, "extra": {"noise": noise(bytes)}});
    send(server, project, "store", body.to_string().as_bytes());
}

/// An envelope with one item of a type.
fn send_item(server: &Server, project: i64, header: &Value, payload: &[u8]) {
    let mut header = header.clone();
    header["length"] = json!(payload.len());
    let id = format!("{:032x}", rand::random::<u128>());
    let mut body = format!("{{\"event_id\":\"{id}\"}}\n{header}\n").into_bytes();
    body.extend_from_slice(payload);
    send(server, project, "envelope", &body);
}

/// One of each worth: an attachment, a log, a transaction, an error; each with some hardly compressible bytes.
fn send_one_of_each(server: &Server, project: i64, name: &str, bytes: usize) {
    let attachment = json!({"type": "attachment", "filename": name});
    send_item(server, project, &attachment, noise(bytes).as_bytes());
    let log = json!({"type": "log", "item_count": 1, "content_type": "application/vnd.sentry.items.log+json"});
    let entry = json!({"items": [{
        "timestamp": 1_767_312_000.0, "trace_id": "5b8efff798038103d269b633813fc60c", "level": "info",
        "body": noise(bytes), "attributes": {},
    }]});
    send_item(server, project, &log, entry.to_string().as_bytes());
    let now = server.clock.now().secs();
    let transaction = json!({
        "type": "transaction", "transaction": name, "start_timestamp": now - 1, "timestamp": now,
        "contexts": {"trace": {"trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "5b8efff798038103"}},
        "extra": {"noise": noise(bytes)},
    });
    let header = json!({"type": "transaction"});
    send_item(server, project, &header, transaction.to_string().as_bytes());
    send_error(server, project, name, bytes);
}

/// Rows of a project by table and kind: attachments, logs, transactions, errors.
fn counts(server: &Server, project: i64) -> [i64; 4] {
    let database = server.database();
    [
        "SELECT count(*) FROM attachment WHERE project_id = ?1",
        "SELECT count(*) FROM item WHERE kind = 19 AND project_id = ?1",
        "SELECT count(*) FROM event WHERE kind = 2 AND project_id = ?1",
        "SELECT count(*) FROM event WHERE kind = 0 AND project_id = ?1",
    ]
    .map(|sql| {
        let count = database.query_row(sql, [project], |row| row.get(0));
        count.expect("a count")
    })
}

fn wait_for(server: &Server, project: i64, expected: [i64; 4]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while counts(server, project) != expected {
        assert!(
            Instant::now() < deadline,
            "{:?} and not {expected:?}",
            counts(server, project)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is written down of the sizes is what the tables have.
fn assert_sizes_agree(server: &Server) {
    let database = server.database();
    let read = |sql: &str| -> Vec<(i64, i64, i64, i64)> {
        let mut statement = database.prepare(sql).expect("a query");
        let rows = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    };
    let parts =
        "coalesce(length(payload), (SELECT sum(length(part.payload)) FROM payload_part AS part
                  WHERE part.id / 65536 = large_payload_id)) + 200";
    let written = read(
        "SELECT project_id, kind, entries, bytes FROM project_size WHERE entries <> 0 OR bytes <> 0
         ORDER BY project_id, kind",
    );
    let found = read(&format!(
        "SELECT project_id, kind, count(*), sum(length(payload) + 200) FROM event GROUP BY project_id, kind
         UNION ALL SELECT project_id, kind, count(*), sum({parts}) FROM item GROUP BY project_id, kind
         UNION ALL SELECT project_id, 100, count(*), sum({parts}) FROM attachment GROUP BY project_id
         ORDER BY project_id, kind"
    ));
    assert_eq!(written, found);
}

/// The ledger's days: all that was ever counted.
fn days_of_ledger(server: &Server) -> Vec<(i64, i64, i64, i64)> {
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT project_id, category, outcome, sum(quantity) FROM ledger WHERE resolution = 86400
             GROUP BY project_id, category, outcome ORDER BY project_id, category, outcome",
        )
        .expect("a query");
    let rows = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

#[test]
fn what_is_older_than_the_server_or_its_project_keeps_goes() {
    let mut server = Server::start(&two_projects("\"picket:retention_days\" = 7"));
    send_one_of_each(&server, 31, "old", 100);
    send_one_of_each(&server, 32, "old", 100);
    assert_sizes_agree(&server);
    let counted = days_of_ledger(&server);
    // A clock that leaps while the server runs is not believed; at its start it is.
    server.advance(8 * DAY_SECS);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(counts(&server, 31), [1, 1, 1, 1]);
    server.restart();
    wait_for(&server, 31, [0, 0, 0, 0]);
    assert_eq!(counts(&server, 32), [1, 1, 1, 1]);
    send_one_of_each(&server, 31, "new", 100);
    server.advance(83 * DAY_SECS);
    server.restart_with(|settings| settings.event_retention_days = 0);
    wait_for(&server, 31, [0, 0, 0, 0]);
    assert_eq!(counts(&server, 32), [1, 1, 1, 1]);
    server.restart();
    wait_for(&server, 32, [0, 0, 0, 0]);
    assert_sizes_agree(&server);
    // Each of the two was sent its four once, and the first once more.
    let after = days_of_ledger(&server);
    let of = |rows: &[(i64, i64, i64, i64)], project: i64| -> Vec<(i64, i64)> {
        let rows = rows.iter().filter(|row| row.0 == project);
        rows.map(|row| (row.1, row.3)).collect()
    };
    assert_eq!(of(&after, 32), of(&counted, 32));
    let others = |rows: Vec<(i64, i64)>| -> Vec<(i64, i64)> {
        // Bytes of attachments and logs differ with their noise.
        let rows = rows
            .into_iter()
            .filter(|(category, _)| [1, 2, 23].contains(category));
        rows.collect()
    };
    let doubled = others(of(&counted, 31))
        .into_iter()
        .map(|(c, n)| (c, 2 * n));
    assert_eq!(others(of(&after, 31)), doubled.collect::<Vec<_>>());
}

#[test]
fn over_a_budget_the_least_informative_goes_first_and_then_the_oldest() {
    let mut server = Server::start(&two_projects("\"picket:max_events_size\" = \"1MiB\""));
    for n in 0..10 {
        send_one_of_each(&server, 31, &format!("n{n}"), 20_000);
        send_one_of_each(&server, 32, &format!("n{n}"), 20_000);
        server.advance(60);
    }
    // Within the budget, for each row takes about 10 KB packed.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(counts(&server, 31), [10, 10, 10, 10]);
    assert_sizes_agree(&server);
    let bytes_of = |server: &Server, project: i64| -> i64 {
        let sql = "SELECT sum(bytes) FROM project_size WHERE project_id = ?1";
        let sum = server
            .database()
            .query_row(sql, [project], |row| row.get(0));
        sum.expect("a sum")
    };
    let until_within = |server: &Server, project: i64, budget: i64| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while bytes_of(server, project) > budget {
            assert!(Instant::now() < deadline, "{}", bytes_of(server, project));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // Errors alone push out what is worth less.
    for n in 0..70 {
        send_error(&server, 31, &format!("more{n}"), 20_000);
    }
    until_within(&server, 31, 1 << 20);
    let [attachments, logs, transactions, errors] = counts(&server, 31);
    assert_eq!(errors, 80);
    assert!(
        attachments == 0 && logs == 0 && transactions > 0
            || attachments + logs > 0 && transactions == 10,
        "{:?}",
        counts(&server, 31)
    );
    for n in 0..60 {
        send_error(&server, 31, &format!("most{n}"), 20_000);
    }
    until_within(&server, 31, 1 << 20);
    let [attachments, logs, transactions, errors] = counts(&server, 31);
    assert_eq!([attachments, logs, transactions], [0, 0, 0]);
    assert!(errors < 140, "{errors}");
    // Of the errors, the oldest.
    let database = server.database();
    let (least, count): (i64, i64) = database
        .query_row(
            "SELECT min(n), count(*) FROM (SELECT row_number() OVER (ORDER BY id) AS n, id FROM event AS e
             WHERE project_id = 31) WHERE id >= (SELECT min(id) FROM event WHERE project_id = 31)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("a number");
    assert_eq!((least, count), (1, errors));
    let newest: Vec<u8> = database
        .query_row(
            "SELECT payload FROM event WHERE project_id = 31 ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .expect("the newest");
    let newest = zstd::stream::decode_all(newest.as_slice()).expect("a frame");
    assert!(String::from_utf8_lossy(&newest).contains("most59"));
    // The other project has a budget of its own: none.
    assert_eq!(counts(&server, 32), [10, 10, 10, 10]);
    assert_sizes_agree(&server);
    // The server's budget is for all together, and the oldest of all projects goes.
    drop(database);
    server.restart_with(|settings| settings.max_events_size = Some(1 << 20));
    let deadline = Instant::now() + Duration::from_secs(30);
    while bytes_of(&server, 31) + bytes_of(&server, 32) > 1 << 20 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(counts(&server, 32)[..2], [0, 0]);
    assert_sizes_agree(&server);
}

#[test]
fn a_large_attachment_goes_with_all_its_parts_and_the_file_shrinks() {
    let server = Server::start(WORLD);
    for _ in 0..4 {
        let header = json!({"type": "attachment", "filename": "core"});
        let bytes: Vec<u8> = (0..6 << 20).map(|_| rand::random()).collect();
        send_item(&server, 31, &header, &bytes);
    }
    send_error(&server, 31, "kept", 100);
    assert_sizes_agree(&server);
    let size = || std::fs::metadata(server.file()).expect("the file").len();
    let set = |value: &Value| {
        let body = json!({"options": {"picket:max_events_size": value}});
        let answer = server.owner().put_json("/api/0/projects/acme/web/", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["options"]["picket:max_events_size"], *value);
    };
    set(&json!("7MiB"));
    wait_for(&server, 31, [1, 0, 0, 1]);
    set(&json!("1MiB"));
    wait_for(&server, 31, [0, 0, 0, 1]);
    assert_sizes_agree(&server);
    let parts: i64 = server
        .database()
        .query_row(
            "SELECT (SELECT count(*) FROM payload_part) + (SELECT count(*) FROM large_payload)",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(parts, 0);
    // All but 8 MiB of slack are given back.
    let deadline = Instant::now() + Duration::from_secs(30);
    while size() > 10 << 20 {
        assert!(Instant::now() < deadline, "{} bytes", size());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_attachment_that_has_begun_to_go_goes_whole_though_there_is_room_again() {
    let mut server = Server::start(WORLD);
    let header = json!({"type": "attachment", "filename": "core"});
    for _ in 0..2 {
        let bytes: Vec<u8> = (0..2 << 20).map(|_| rand::random()).collect();
        send_item(&server, 31, &header, &bytes);
    }
    server.stop();
    // As a step leaves it that ended between two parts.
    let database = server.database();
    let gone: i64 = database
        .query_row(
            "DELETE FROM payload_part WHERE id =
                 (SELECT max(part.id) FROM payload_part AS part
                  WHERE part.id / 65536 = (SELECT large_payload_id FROM attachment ORDER BY id LIMIT 1))
             RETURNING length(payload)",
            [],
            |row| row.get(0),
        )
        .expect("a part");
    let changed = database
        .execute(
            "UPDATE project_size SET bytes = bytes - ?1 WHERE kind = 100",
            [gone],
        )
        .expect("a size");
    assert_eq!(changed, 1);
    drop(database);
    server.restart();
    wait_for(&server, 31, [1, 0, 0, 0]);
    assert_sizes_agree(&server);
}

#[test]
fn the_fine_rows_of_the_ledger_go_and_statistics_stay() {
    let mut server = Server::start(WORLD);
    // What the API tells of all that was ever sent, by tens of seconds of the last days, by hours and by days.
    let told = |server: &Server| -> Vec<u64> {
        let now = server.clock.now().secs();
        [
            ("10s", now - 3 * DAY_SECS),
            ("1h", START.secs()),
            ("1d", START.secs()),
        ]
        .map(|(resolution, since)| {
            let since = since.max(START.secs());
            let path = format!(
                "/api/0/projects/acme/web/stats/?resolution={resolution}&since={since}&until={now}"
            );
            let points = server.owner().get(&path).json();
            let points = points.as_array().expect("points").iter();
            points
                .map(|point| point[1].as_u64().expect("a count"))
                .sum()
        })
        .to_vec()
    };
    let rows = |server: &Server, resolution: i64| -> i64 {
        let sql = "SELECT count(*) FROM ledger WHERE resolution = ?1";
        let count = server
            .database()
            .query_row(sql, [resolution], |row| row.get(0));
        count.expect("a count")
    };
    let settle = |server: &Server, expected: [i64; 3]| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while [10, 3600, 86_400].map(|resolution| rows(server, resolution)) != expected {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    server.send_event("{}");
    server.advance(2 * DAY_SECS + 3600);
    server.send_event("{}");
    assert_eq!(told(&server), [2, 2, 2]);
    server.restart();
    settle(&server, [1, 2, 2]);
    assert_eq!(told(&server), [2, 2, 2]);
    server.advance(90 * DAY_SECS);
    server.restart();
    settle(&server, [0, 1, 2]);
    assert_eq!(told(&server), [0, 2, 2]);
}

#[test]
fn a_budget_that_makes_no_sense_is_refused_wherever_it_is_set() {
    let server = Server::start(WORLD);
    let put = |options: Value| {
        let body = json!({"options": options});
        server.owner().put_json("/api/0/projects/acme/web/", &body)
    };
    const DAYS: &str = "this must be false or a whole number of days from 1 to 36500";
    const SIZE: &str =
        "this must be false or a size of at least 1MiB, such as \"500MiB\" or \"10GiB\"";
    for (name, wrong, text) in [
        ("picket:retention_days", json!(0), DAYS),
        ("picket:retention_days", json!("7"), DAYS),
        ("picket:retention_days", json!(36_501), DAYS),
        ("picket:max_events_size", json!("1KiB"), SIZE),
        ("picket:max_events_size", json!("much"), SIZE),
        ("picket:max_events_size", json!(true), SIZE),
    ] {
        let answer = put(json!({name: wrong}));
        assert_eq!(answer.status, 400, "{name}: {wrong}");
        assert_eq!(answer.json(), json!({"options": {name: [text]}}));
    }
    let set = put(json!({"picket:retention_days": 30, "picket:max_events_size": "2GiB"}));
    assert_eq!(set.status, 200);
    assert_eq!(set.json()["options"]["picket:retention_days"], 30);
    let unset = put(json!({"picket:retention_days": null}));
    assert!(
        unset.json()["options"]
            .get("picket:retention_days")
            .is_none()
    );

    let picket = Binary::new();
    picket.write("world.toml", WORLD);
    picket.succeed(&["apply", "world.toml"]);
    let update =
        |flag: &str, value: &str| picket.run(&["project", "update", "acme/web", flag, value]);
    let refused = update("--retention-days", "x");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .stderr
            .contains("--retention-days: this must be none or a whole number of days"),
        "{}",
        refused.stderr
    );
    let refused = update("--max-events-size", "1KiB");
    assert!(
        refused
            .stderr
            .contains("--max-events-size: this must be none or a size")
    );
    assert_eq!(update("--retention-days", "14").code, Some(0));
    assert_eq!(update("--max-events-size", "500MiB").code, Some(0));
    let options = || -> String {
        let sql = "SELECT group_concat(name || '=' || value, ' ') FROM (SELECT name, value FROM project_option
                   WHERE name LIKE 'picket:%' ORDER BY name)";
        let found = picket.database().query_row(sql, [], |row| row.get(0));
        found.unwrap_or_default()
    };
    assert_eq!(
        options(),
        "picket:max_events_size=\"500MiB\" picket:retention_days=14"
    );
    assert_eq!(update("--retention-days", "none").code, Some(0));
    assert_eq!(options(), "picket:max_events_size=\"500MiB\"");
    picket.write(
        "wrong.toml",
        "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\n\
         options = { \"picket:retention_days\" = 0 }\n",
    );
    let refused = picket.run(&["apply", "wrong.toml"]);
    assert!(refused.stderr.contains(DAYS), "{}", refused.stderr);
    let refused = picket.run(&["serve", "--max-events-size", "10"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .stderr
            .contains("--max-events-size: \"10\" is less than 1MiB")
    );
}
