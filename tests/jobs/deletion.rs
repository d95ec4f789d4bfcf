//! What was deleted is really gone, in the end: nothing of it is left, nobody waits for that, and no restart stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Client, KEY, START, Server};

/// Project 31 of `acme`, with everything that a project can have, beside project 32; and `beta`, which nobody deletes.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"

  [[organization.team]]
  slug = "ops"

  [[organization.project]]
  slug = "web"
  id = 31
  teams = ["core", "ops"]
  options = { "filters:localhost" = true }

    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"
    rate_limit = { count = 100000, window = 60 }

    [[organization.project.key]]
    name = "Second"
    public = "11111111111111111111111111111111"

  [[organization.project]]
  slug = "shop"
  id = 32
  teams = ["core"]

    [[organization.project.key]]
    name = "Shop"
    public = "22222222222222222222222222222222"

  [[organization.token]]
  name = "robot"
  token = "sntrys_00000000000000000000000000000000000000000000000000000000000000c2"
  scopes = ["org:read", "project:admin"]

[[organization]]
slug = "beta"
name = "Beta"

  [[organization.team]]
  slug = "team-b"

  [[organization.project]]
  slug = "other"
  id = 41
  teams = ["team-b"]

    [[organization.project.key]]
    name = "Other"
    public = "33333333333333333333333333333333"

[[user]]
email = "ann@example.test"
roles = { acme = "owner", beta = "owner" }
teams = { acme = ["core", "ops"], beta = ["team-b"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]
"#;

const SHOP_KEY: &str = "22222222222222222222222222222222";
const OTHER_KEY: &str = "33333333333333333333333333333333";
const ROBOT: &str = "sntrys_00000000000000000000000000000000000000000000000000000000000000c2";

/// How long a removal may take that normally takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with [`WORLD`], and project 31 with so many events and some of everything else.
fn world(events: i64) -> Server {
    let server = Server::start_with(WORLD, |settings| settings.event_retention_days = 0);
    fill(&server.database(), 31, events);
    fill(&server.database(), 32, 3);
    server
}

/// Gives a project so many events, and some rows in every other table that has something of a project.
fn fill(connection: &Connection, project: i64, events: i64) {
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TEMP TABLE few AS
                 WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40) SELECT n FROM n;
             CREATE TEMP TABLE first_key AS SELECT min(id) AS id FROM client_key WHERE project_id = {project};
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {events})
             INSERT INTO event (project_id, event_id, key_id, received_us, payload)
             SELECT {project}, unhex(printf('%032x', n)), first_key.id, n, randomblob(300) FROM n, first_key;

             INSERT INTO large_payload (parts) VALUES (3), (3);
             INSERT INTO payload_part (id, payload)
             SELECT large_payload.id * 65536 + few.n - 1, zeroblob(100000) FROM large_payload, few
             WHERE few.n <= 3 AND large_payload.id > (SELECT max(id) - 2 FROM large_payload);
             INSERT INTO item (project_id, kind, key_id, received_us, header, quantity, bytes, payload, large_payload_id)
             SELECT {project}, 5, first_key.id, 0, '{{}}', 1, 1, iif(n = 1, NULL, x'00'),
                    iif(n = 1, (SELECT max(id) FROM large_payload), NULL) FROM few, first_key;
             INSERT INTO attachment (project_id, key_id, received_us, event_id, kind, name, bytes, sha1, payload,
                                     large_payload_id)
             SELECT {project}, first_key.id, 0, randomblob(16), 'event.attachment', 'a', 1, zeroblob(20),
                    iif(n = 1, NULL, x'00'), iif(n = 1, (SELECT max(id) - 1 FROM large_payload), NULL)
             FROM few, first_key;

             INSERT INTO environment (project_id, name, first_us) SELECT {project}, 'env' || n, 0 FROM few;
             INSERT INTO client_key_use (key_id, sdk, release, environment, first_us, last_us)
             SELECT first_key.id, 'sdk', 'r' || n, '', 0, 0 FROM few, first_key;
             INSERT INTO key_window (key_id, window_secs, window_number, used)
             SELECT first_key.id, 60, 1, 1 FROM first_key;
             INSERT INTO project_bookmark (user_id, project_id) SELECT id, {project} FROM user;
             INSERT INTO project_slug_redirect (organization_id, slug, project_id)
             SELECT organization_id, 'old-' || id, id FROM project WHERE id = {project};
             INSERT INTO project_ownership (project_id, fallthrough, auto_assignment, codeowners_auto_sync, created_us,
                                            updated_us)
             VALUES ({project}, 1, 'Turn off Auto-Assignment', 0, 0, 0);
             INSERT INTO ledger (resolution, project_id, bucket_us, key_id, category, outcome, reason, quantity,
                                 times_seen)
             SELECT resolution, {project}, ({start} - days.n * 86400) * 1000000, first_key.id, 1, 0, '', 7, 7
             FROM (SELECT 10 AS resolution UNION SELECT 3600 UNION SELECT 86400), few AS days, first_key;
             COMMIT;
             DROP TABLE few;
             DROP TABLE first_key;",
            start = START.secs(),
        ))
        .expect("the tables take these rows");
}

/// Marks a row as the API does.
fn mark(server: &Server, table: &str, id: i64) {
    let marked = server
        .database()
        .execute(
            &format!("UPDATE {table} SET deleted_us = 1, slug = slug || '~' || id WHERE id = ?1"),
            [id],
        )
        .expect("an update");
    assert_eq!(marked, 1);
}

fn number(server: &Server, sql: &str) -> i64 {
    server
        .database()
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

fn id_of(server: &Server, table: &str, slug: &str) -> i64 {
    number(
        server,
        &format!("SELECT id FROM {table} WHERE slug = '{slug}'"),
    )
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The tables that hold rows with this number in this column, other than the log of who did what.
fn tables_with(connection: &Connection, column: &str, id: i64) -> Vec<(String, i64)> {
    let mut statement = connection
        .prepare(
            "SELECT sqlite_schema.name FROM sqlite_schema, pragma_table_info(sqlite_schema.name) AS info
             WHERE sqlite_schema.type = 'table' AND info.name = ?1 AND sqlite_schema.name <> 'audit_entry'
             ORDER BY 1",
        )
        .expect("a schema");
    let tables: Vec<String> = statement
        .query_map([column], |row| row.get(0))
        .expect("tables")
        .collect::<Result<_, _>>()
        .expect("names");
    assert!(!tables.is_empty(), "no table has {column}");
    let count = |table: &String| -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
        connection
            .query_row(&sql, [id], |row| row.get(0))
            .expect("a count")
    };
    let counts: Vec<i64> = tables.iter().map(count).collect();
    tables
        .into_iter()
        .zip(counts)
        .filter(|(_, rows)| *rows > 0)
        .collect()
}

fn keys_of(server: &Server, project: i64) -> Vec<i64> {
    let connection = server.database();
    let mut statement = connection
        .prepare("SELECT id FROM client_key WHERE project_id = ?1 ORDER BY id")
        .expect("keys");
    let keys = statement
        .query_map([project], |row| row.get(0))
        .expect("keys");
    keys.collect::<Result<_, _>>().expect("numbers")
}

fn send(client: &Client, project: i64, key: &str) -> (u16, String) {
    let answer = client
        .clone()
        .with_header("X-Sentry-Auth", &format!("Sentry sentry_key={key}"))
        .post(
            &format!("/api/{project}/store/"),
            b"{\"message\":\"hello\"}",
        );
    (answer.status, answer.text().to_owned())
}

/// What a key that never was is told.
fn unknown(client: &Client, project: i64) -> (u16, String) {
    send(client, project, "99999999999999999999999999999999")
}

fn is_purged(server: &Server) -> bool {
    number(server, "SELECT purged FROM project WHERE id = 31") == 1
}

#[test]
fn a_deleted_project_goes_while_events_come_in() {
    let server = world(6000);
    let keys = keys_of(&server, 31);
    assert_eq!(keys.len(), 2);
    let in_days = "SELECT sum(quantity) FROM ledger WHERE resolution = 86400 AND project_id = 31";
    let days_before = number(&server, in_days);
    let done = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let client = server.client();
                    let mut acknowledged = 0;
                    while !done.load(Ordering::Relaxed) {
                        let (status, text) = send(&client, 32, SHOP_KEY);
                        assert_eq!(status, 200, "{text}");
                        acknowledged += 1;
                    }
                    acknowledged
                })
            })
            .collect();
        mark(&server, "project", 31);
        wait_until("the end of the removal", || is_purged(&server));
        done.store(true, Ordering::Relaxed);
        let counts = senders
            .into_iter()
            .map(|sender| sender.join().expect("a sender"));
        counts.sum::<i64>()
    });
    assert!(acknowledged > 0);
    let kept = "SELECT count(*) FROM event WHERE project_id = 32";
    assert_eq!(number(&server, kept), 3 + acknowledged);

    let connection = server.database();
    let left = tables_with(&connection, "project_id", 31);
    assert_eq!(left, [("ledger".to_owned(), 40)]);
    for key in keys {
        let left = tables_with(&connection, "key_id", key);
        assert!(left.iter().all(|(table, _)| table == "ledger"), "{left:?}");
    }
    assert_eq!(number(&server, in_days), days_before);
    // The other project's two large payloads are whole.
    assert_eq!(number(&server, "SELECT count(*) FROM large_payload"), 2);
    assert_eq!(number(&server, "SELECT count(*) FROM payload_part"), 6);
    assert_eq!(
        send(&server.client(), 31, KEY),
        unknown(&server.client(), 31)
    );
}

#[test]
fn a_removal_goes_on_after_a_restart() {
    let events = 30_000;
    let mut server = world(events);
    let left = "SELECT count(*) FROM event WHERE project_id = 31";
    mark(&server, "project", 31);
    wait_until("the first step", || number(&server, left) < events);
    server.stop();
    let left_before = number(&server, left);
    assert!(0 < left_before && left_before < events, "{left_before}");
    assert!(!is_purged(&server));
    server.restart();
    wait_until("the end of the removal", || is_purged(&server));
    assert_eq!(number(&server, left), 0);
}

#[test]
fn a_deleted_project_answers_as_if_it_had_never_been() {
    // Enough that its keys, which go last, are still there below.
    let server = world(30_000);
    let client = server.client();
    assert_eq!(send(&client, 31, KEY).0, 200);
    mark(&server, "project", 31);
    // Any change makes the server see what another process did; the API's own changes are seen at once.
    let owner = server.owner();
    let chosen = json!({ "name": "Moved", "public": KEY });
    let moved = owner.post_json("/api/0/projects/acme/shop/keys/", &chosen);
    assert_eq!(moved.status, 201, "{}", moved.text());
    assert!(!is_purged(&server), "the key was free because it was gone");
    assert_eq!(moved.json()["public"], KEY);
    assert_eq!(send(&client, 31, KEY), unknown(&client, 31));
    assert_eq!(
        send(&client, 31, "11111111111111111111111111111111"),
        unknown(&client, 31)
    );
    assert_eq!(send(&client, 32, KEY).0, 200);
    assert_eq!(owner.get("/api/0/projects/acme/31/").status, 404);
    assert_eq!(owner.get("/api/0/projects/acme/web~31/").status, 404);
    let keys = owner.get("/api/0/organizations/acme/project-keys/").json();
    let projects: Vec<&Value> = keys
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| &key["projectId"])
        .collect();
    assert_eq!(projects, [32, 32]);

    wait_until("the end of the removal", || is_purged(&server));
    assert_eq!(send(&client, 32, KEY).0, 200);
    let again = owner.post_json("/api/0/projects/acme/shop/keys/", &chosen);
    assert_eq!(again.status, 409, "{}", again.text());
}

#[test]
fn a_deleted_team_leaves_its_projects_and_members() {
    let server = world(1);
    let team = id_of(&server, "team", "ops");
    mark(&server, "team", team);
    wait_until("the end of the removal", || {
        number(
            &server,
            &format!("SELECT count(*) FROM team WHERE id = {team}"),
        ) == 0
    });
    assert_eq!(tables_with(&server.database(), "team_id", team), []);
    let teams = "SELECT group_concat(team.slug) FROM project_team JOIN team ON team.id = team_id
                 WHERE project_id = 31";
    let slugs: String = server
        .database()
        .query_row(teams, [], |row| row.get(0))
        .expect("a team");
    assert_eq!(slugs, "core");
    let seats =
        "SELECT count(*) FROM team_member JOIN team ON team.id = team_id WHERE team.slug = 'core'";
    assert_eq!(number(&server, seats), 1);
    assert_eq!(number(&server, "SELECT count(*) FROM member"), 2);
}

#[test]
fn nothing_is_left_of_a_deleted_organization_but_its_audit_log() {
    let server = world(2000);
    let acme = id_of(&server, "organization", "acme");
    let teams = [
        id_of(&server, "team", "core"),
        id_of(&server, "team", "ops"),
    ];
    server
        .database()
        .execute(
            "INSERT INTO organization_option (organization_id, name, value) VALUES (?1, 'a', '1')",
            [acme],
        )
        .expect("an option");
    // One of its projects was deleted before.
    mark(&server, "project", 31);
    wait_until("the end of the project", || is_purged(&server));
    let entries = format!("SELECT count(*) FROM audit_entry WHERE organization_id = {acme}");
    let entries_before = number(&server, &entries);
    assert!(entries_before > 0);

    mark(&server, "organization", acme);
    wait_until("the end of the removal", || {
        number(&server, "SELECT count(*) FROM organization") == 1
    });
    let connection = server.database();
    assert_eq!(tables_with(&connection, "organization_id", acme), []);
    for project in [31, 32] {
        assert_eq!(tables_with(&connection, "project_id", project), []);
    }
    for team in teams {
        assert_eq!(tables_with(&connection, "team_id", team), []);
    }
    assert_eq!(number(&server, "SELECT count(*) FROM payload_part"), 0);
    assert_eq!(number(&server, &entries), entries_before);

    let client = server.client();
    assert_eq!(send(&client, 32, SHOP_KEY), unknown(&client, 32));
    assert_eq!(send(&client, 41, OTHER_KEY).0, 200);
    let owner = server.owner();
    assert_eq!(owner.get("/api/0/organizations/acme/").status, 404);
    let organizations = owner.get("/api/0/organizations/").json();
    assert_eq!(organizations.as_array().map(Vec::len), Some(1));
    let robot = server.with_token(ROBOT).get("/api/0/organizations/");
    assert_eq!(robot.status, 401, "{}", robot.text());
    assert_eq!(robot.text(), r#"{"detail":"Invalid org token"}"#);
    // And the numbers do not come back.
    let connection = server.database();
    let next: i64 = connection
        .query_row(
            "INSERT INTO project (organization_id, slug, name, security_token, created_us)
             SELECT id, 'new', '', '', 0 FROM organization RETURNING id",
            [],
            |row| row.get(0),
        )
        .expect("a project");
    assert_eq!(next, 42);
}

#[test]
fn the_days_of_an_organization_keep_what_a_deleted_project_counted() {
    let server = world(1);
    let owner = server.owner();
    let total = |interval: &str, more: &str| -> u64 {
        let body = owner
            .get(&format!(
                "/api/0/organizations/acme/stats_v2/?field=sum(quantity)&category=error&statsPeriod=60d\
                 &interval={interval}{more}"
            ))
            .json();
        let groups = body["groups"].as_array().expect("groups");
        groups
            .iter()
            .map(|group| group["totals"]["sum(quantity)"].as_u64().expect("a number"))
            .sum()
    };
    // Forty days of seven, of two projects.
    let both = 2 * 40 * 7;
    assert_eq!((total("1d", ""), total("1h", "")), (both, both));
    mark(&server, "project", 31);
    wait_until("the end of the removal", || is_purged(&server));
    assert_eq!(total("1d", ""), both);
    assert_eq!(total("1h", ""), both / 2);
    assert_eq!(total("1d", "&groupBy=project"), both / 2);
    assert_eq!(total("1d", "&project=-1"), both / 2);
    let summary = owner.get(
        "/api/0/organizations/acme/stats-summary/?field=sum(quantity)&category=error&statsPeriod=60d&interval=1d",
    );
    assert_eq!(summary.json()["projects"].as_array().map(Vec::len), Some(1));
}
