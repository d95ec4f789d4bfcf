//! The management API, through the front door. The files stand in the tree of the URLs.

mod access;
mod api_tokens;
mod authentication;
mod dispatch;
mod index;
mod lifecycle;
mod organizations;
mod project_index;
mod projects;
mod rate_limits;
mod schema;
mod session;
mod teams;
mod token_use;

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::{START, Server};

/// Two organizations. In `acme`, `ann` is an owner and in team `core`, `bob` a member and in team `ops`; project
/// `web` is `core`'s, `shop` is `ops`'s, `bare` nobody's. `beta` is `eve`'s. `zoe` is in neither.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"
  name = "Core"

  [[organization.team]]
  slug = "ops"

  [[organization.project]]
  slug = "web"
  name = "Web"
  id = 31
  platform = "python"
  teams = ["core"]

    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"
    secret = "fedcba9876543210fedcba9876543210"

  [[organization.project]]
  slug = "shop"
  id = 32
  teams = ["ops"]
  options = { "filters:localhost" = true, "sentry:origins" = ["shop.example.test", "*.shop.test"] }

    [[organization.project.key]]
    name = "Shop"
    public = "11111111111111111111111111111111"

  [[organization.project]]
  slug = "bare"
  id = 33

    [[organization.project.key]]
    name = "Bare"
    public = "22222222222222222222222222222222"

  [[organization.token]]
  name = "ci"
  token = "sntrys_00000000000000000000000000000000000000000000000000000000000000c1"
  scopes = ["org:ci"]

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
  slug = "hidden"
  id = 41
  teams = ["team-b"]

    [[organization.project.key]]
    name = "Hidden"
    public = "33333333333333333333333333333333"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }
teams = { acme = ["core"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]

  [[user.token]]
  name = "reader"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000a2"
  scopes = ["org:read", "project:read"]

  [[user.token]]
  name = "narrow"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000a3"
  scopes = ["event:read"]

  [[user.token]]
  name = "brief"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000a4"
  scopes = ["org:read", "project:read"]
  expires = 2026-01-02T00:00:10Z

[[user]]
email = "bob@example.test"
name = "Bob"
roles = { acme = "member" }
teams = { acme = ["ops"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000b1"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]

[[user]]
email = "eve@example.test"
roles = { beta = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000e1"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]

[[user]]
email = "zoe@example.test"

  [[user.token]]
  name = "laptop"
  token = "sntryu_00000000000000000000000000000000000000000000000000000000000000f1"
  scopes = ["org:read", "project:read"]
"#;

const READER: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000a2";
const NARROW: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000a3";
const BRIEF: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000a4";
const BOB: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000b1";
const EVE: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000e1";
const ZOE: &str = "sntryu_00000000000000000000000000000000000000000000000000000000000000f1";
const ORG_CI: &str = "sntrys_00000000000000000000000000000000000000000000000000000000000000c1";
const ORG_ROBOT: &str = "sntrys_00000000000000000000000000000000000000000000000000000000000000c2";

/// The key of project `web`.
const KEY: &str = "0123456789abcdef0123456789abcdef";

const NO_PERMISSION: &str = r#"{"detail":"You do not have permission to perform this action."}"#;
const NOT_FOUND: &str = r#"{"detail":"The requested resource does not exist"}"#;

/// A server with [`WORLD`].
fn world() -> Server {
    Server::start(WORLD)
}

fn ann(server: &Server) -> Client {
    server.owner()
}

/// Status and body of an answer that should be one of JSON.
#[track_caller]
fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
}

/// The body of a 200.
#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The values of a field of every object of a list.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    let list = list.as_array().expect("a list");
    list.iter().map(|item| &item[field]).collect()
}

/// What the audit log says that callers of the API did: events with their data, oldest first.
fn audited(server: &Server) -> Vec<(String, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare("SELECT event, data FROM audit_entry WHERE actor_token_id IS NOT NULL ORDER BY id")
        .expect("a log");
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .expect("entries");
    rows.map(|row| {
        let (event, data) = row.expect("an entry");
        (event, serde_json::from_str(&data).expect("JSON"))
    })
    .collect()
}

/// Posts the same to one path twice at the same time, a thousand times over: one is made, and the other reads this
/// refusal. The server syncs nothing, because it is not durability that is looked at.
fn race(path: &str, body: impl Fn(usize) -> Value + Sync, refusal: &str) -> Server {
    const ROUNDS: usize = 1000;
    let server = Server::start_with(WORLD, |settings| {
        settings.durability = picket::Durability::Normal;
    });
    let client = ann(&server);
    let start = std::sync::Barrier::new(2);
    let run = || -> Vec<Answer> {
        (0..ROUNDS)
            .map(|round| {
                start.wait();
                client.post_json(path, &body(round))
            })
            .collect()
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(run);
        (run(), other.join().expect("answers"))
    });
    for (round, answers) in first.iter().zip(&second).enumerate() {
        let (made, refused) = match answers {
            (one, other) if one.status == 201 => (one, other),
            (one, other) => (other, one),
        };
        assert_eq!(made.status, 201, "round {round}: {}", made.text());
        assert_answer(refused, 409, refusal);
    }
    server
}

/// How many rows there are: of a table, with a condition or without.
fn count_rows(server: &Server, rows: &str) -> i64 {
    server
        .database()
        .query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| {
            row.get(0)
        })
        .expect("a count")
}

/// A count that the ledger is given by hand: so many seconds before the start of the test, of a project's category,
/// outcome and reason.
struct Counted<'a> {
    project: i64,
    secs_ago: i64,
    category: i64,
    outcome: i64,
    reason: &'a str,
    quantity: i64,
    times_seen: i64,
}

/// Adds counts to the ledger as its writer does, at every resolution.
fn count(server: &Server, counts: &[Counted<'_>]) {
    let database = server.database();
    for counted in counts {
        for resolution in [10, 3600, 86_400] {
            let at = START.secs() - counted.secs_ago;
            database
                .execute(
                    "INSERT INTO ledger (resolution, project_id, bucket_us, key_id, category, outcome, reason, quantity,
                                         times_seen)
                     SELECT ?1, ?2, ?3, min(client_key.id), ?4, ?5, ?6, ?7, ?8
                     FROM client_key WHERE project_id = ?2
                     ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity,
                                               times_seen = times_seen + excluded.times_seen",
                    rusqlite::params![
                        resolution,
                        counted.project,
                        (at - at % resolution) * 1_000_000,
                        counted.category,
                        counted.outcome,
                        counted.reason,
                        counted.quantity,
                        counted.times_seen
                    ],
                )
                .expect("an insert");
        }
    }
}

/// A payload as the file holds it.
fn packed(payload: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(payload, 1).expect("zstd")
}

/// Stores an event by hand, one second after the start of the test, under the oldest key of the project.
fn insert_event(server: &Server, project: i64, kind: i64, event_id: &str, payload: &[u8]) {
    server
        .database()
        .execute(
            "INSERT INTO event (project_id, kind, event_id, key_id, received_us, payload)
             SELECT ?1, ?2, unhex(?3), min(id), ?4, ?5 FROM client_key WHERE project_id = ?1",
            rusqlite::params![
                project,
                kind,
                event_id,
                START.plus_secs(1).us(),
                packed(payload)
            ],
        )
        .expect("an insert");
}

/// Stores a payload in parts of so many bytes, by hand; its number.
fn insert_parts(server: &Server, payload: &[u8], part_bytes: usize) -> i64 {
    let database = server.database();
    let parts: Vec<&[u8]> = payload.chunks(part_bytes).collect();
    database
        .execute(
            "INSERT INTO large_payload (parts) VALUES (?1)",
            [parts.len() as i64],
        )
        .expect("an insert");
    let id = database.last_insert_rowid();
    for (number, part) in parts.iter().enumerate() {
        database
            .execute(
                "INSERT INTO payload_part (id, payload) VALUES (?1, ?2)",
                rusqlite::params![id * 65_536 + number as i64, packed(part)],
            )
            .expect("an insert");
    }
    id
}

/// An event with most of the parts that one can have, as it is stored.
fn error_event() -> Value {
    serde_json::json!({
        "event_id": "a".repeat(32), "platform": "python", "level": "error", "timestamp": 1767311999.5,
        "release": "shop@1.0", "environment": "production", "dist": "7", "transaction": "/pay",
        "logentry": {"formatted": "lost it"},
        "exception": {"values": [{
            "type": "KeyError", "value": "'a'", "module": "builtins", "thread_id": 1,
            "mechanism": {"type": "generic", "handled": false},
            "stacktrace": {"frames": [
                {"function": "get", "filename": "lib.py", "abs_path": "/lib.py", "in_app": false},
                {"function": "pay", "filename": "shop.py", "lineno": 2, "in_app": true, "vars": {"n": "1"},
                 "pre_context": ["one"], "context_line": "two", "post_context": ["three"]},
            ]},
        }]},
        "threads": {"values": [{"id": 1, "crashed": true, "name": "main"}]},
        "breadcrumbs": {"values": [{"message": "click", "timestamp": 1767311998.0}]},
        "request": {"url": "https://shop.test/pay", "method": "POST", "headers": [["Host", "shop.test"]],
                    "query_string": [["a", "1"]]},
        "user": {"id": 7, "email": "a@example.test", "data": {"plan": "free"}},
        "tags": [["colour", "red"], ["empty", null]],
        "contexts": {"runtime": {"name": "CPython"}},
        "extra": {"cart": [1]}, "modules": {"django": "5.2"}, "fingerprint": ["{{ default }}", "x"],
        "sdk": {"name": "sentry.python", "version": "2.0.0", "packages": []},
        "debug_meta": {"images": [{"type": "elf"}]},
        "errors": [{"type": "clock_drift"}],
        "_meta": {"extra": {"cart": {"0": {"": {"len": 9}}}}},
    })
}

/// Stores an attachment of an event of `web` by hand, in its row or with `part_bytes` in parts; its number.
fn attach(
    server: &Server,
    event_id: &str,
    name: &str,
    content_type: Option<&str>,
    payload: &[u8],
    part_bytes: Option<usize>,
) -> i64 {
    let large = part_bytes.map(|bytes| insert_parts(server, payload, bytes));
    let kind = match name.ends_with(".dmp") {
        true => "event.minidump",
        false => "event.attachment",
    };
    let database = server.database();
    database
        .execute(
            "INSERT INTO attachment (project_id, key_id, received_us, event_id, kind, name, content_type, bytes, sha1,
                                     payload, large_payload_id)
             VALUES (31, 1, ?1, unhex(?2), ?3, ?4, ?5, ?6, unhex('000102030405060708090a0b0c0d0e0f10111213'), ?7, ?8)",
            rusqlite::params![
                START.us(),
                event_id,
                kind,
                name,
                content_type,
                payload.len() as i64,
                large.is_none().then(|| packed(payload)),
                large,
            ],
        )
        .expect("an insert");
    database.last_insert_rowid()
}

/// One entry of a `Link` field: target, `results` and `cursor`.
fn link(answer: &Answer, rel: &str) -> (String, bool, String) {
    let value = answer.header("Link").expect("a Link field");
    let entry = value
        .split(", ")
        .find(|entry| entry.contains(&format!("rel=\"{rel}\"")))
        .expect("an entry");
    let attribute = |name: &str| {
        let start = entry.find(&format!("{name}=\"")).expect("an attribute") + name.len() + 2;
        entry[start..]
            .split('"')
            .next()
            .expect("a value")
            .to_owned()
    };
    let target = entry[1..].split('>').next().expect("a target").to_owned();
    (target, attribute("results") == "true", attribute("cursor"))
}

/// The target of a link without scheme and host.
fn path_of(server: &Server, url: &str) -> String {
    url.strip_prefix(&server.url_prefix())
        .expect("a URL of this server")
        .to_owned()
}
