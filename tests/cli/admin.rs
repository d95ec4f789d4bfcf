//! `picket org`, `member`, `team`, `project` and `key`: what they print, what they change, what they write into the audit
//! log, and what they refuse.

mod keys;
mod members;
mod organizations;
mod projects;
mod teams;

use serde_json::{Value, json};

use crate::support::process::{Binary, Output};

const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "web"
  id = 31
  teams = ["core"]
    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"

[[organization]]
slug = "beta"
  [[organization.team]]
  slug = "team-b"
  [[organization.project]]
  slug = "taken"
  id = 41

[[user]]
email = "ann@example.test"
name = "Ann"
roles = { acme = "owner" }
teams = { acme = ["core"] }
  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "team:admin", "member:admin"]

[[user]]
email = "bob@example.test"
name = "Bob"
"#;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn world() -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", WORLD);
    picket.succeed(&["apply", "a.toml"]);
    picket
}

/// Runs a command with `--json`; what it wrote.
#[track_caller]
fn json_of(picket: &Binary, arguments: &[&str]) -> Value {
    let output = picket.succeed(&[arguments, &["--json"]].concat());
    serde_json::from_str(&output).unwrap()
}

/// A value without the times in it, which are the machine's.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => *items = items.drain(..).map(timeless).collect(),
        Value::Object(fields) => {
            for name in ["created", "expires"] {
                if fields.get(name).is_some_and(Value::is_string) {
                    fields[name] = json!("<time>");
                }
            }
        }
        _ => {}
    }
    value
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, text: &str) {
    assert_eq!(output.stderr, format!("picket: {text}\n"));
    assert_eq!((output.code, output.stdout.as_str()), (Some(code), ""));
}

/// What was written into the audit log behind the apply file's entries: organization, event and data. All of it is the
/// operator's.
fn audited(picket: &Binary, behind: i64) -> Vec<(i64, String, Value)> {
    let database = picket.database();
    let mut statement = database
        .prepare(
            "SELECT organization_id, event, data FROM audit_entry
             WHERE id > ?1 AND actor_user_id IS NULL AND actor_token_id IS NULL AND address IS NULL ORDER BY id",
        )
        .unwrap();
    let rows = statement
        .query_map([behind], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
        })
        .unwrap();
    rows.map(|row| {
        let (organization, event, data) = row.unwrap();
        (organization, event, serde_json::from_str(&data).unwrap())
    })
    .collect()
}

fn newest(picket: &Binary) -> i64 {
    let sql = "SELECT max(id) FROM audit_entry";
    picket
        .database()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn what_destroys_asks_and_without_a_terminal_refuses() {
    let picket = world();
    let before = newest(&picket);
    for (arguments, what) in [
        (
            &["org", "delete", "acme"][..],
            "organization acme goes for good, with its projects (1) and all their events",
        ),
        (
            &["team", "delete", "acme/core"],
            "team acme/core goes for good; its projects stay",
        ),
        (
            &["project", "delete", "acme/31"],
            "project acme/web goes for good, with its keys and all its events",
        ),
        (
            &["key", "delete", KEY],
            "key Default of acme/web goes for good; what still sends with it is refused",
        ),
    ] {
        let text =
            format!("{what}; --yes says that it is meant, because there is no terminal to ask on");
        assert_refused(&picket.run(arguments), 2, &text);
    }
    assert_eq!(newest(&picket), before);
    picket.succeed(&["member", "add", "acme", "bob@example.test"]);
    assert_refused(
        &picket.run(&["member", "remove", "acme", "bob@example.test"]),
        2,
        "bob@example.test goes out of acme and its teams; --yes says that it is meant, because there is no terminal to \
         ask on",
    );
}

#[test]
fn what_is_not_there_is_named() {
    let picket = world();
    let nobody = "nobody@example.test";
    let before = newest(&picket);
    for (arguments, text) in [
        (
            &["org", "show", "other"][..],
            "there is no organization other",
        ),
        (
            &["org", "update", "other", "--name", "x"],
            "there is no organization other",
        ),
        (
            &["org", "delete", "other", "--yes"],
            "there is no organization other",
        ),
        (
            &["member", "list", "other"],
            "there is no organization other",
        ),
        (
            &["member", "set-role", "acme", nobody, "owner"],
            "nobody@example.test is no member of acme",
        ),
        (
            &["member", "remove", "acme", nobody, "--yes"],
            "nobody@example.test is no member of acme",
        ),
        (
            &["member", "add", "acme", nobody],
            "there is no user nobody@example.test; picket member invite invites somebody who has no account yet",
        ),
        (&["team", "list", "other"], "there is no organization other"),
        (
            &["team", "create", "other/x"],
            "there is no organization other",
        ),
        (
            &["team", "update", "acme/x", "--name", "y"],
            "there is no team acme/x",
        ),
        (
            &["team", "delete", "acme/team-b", "--yes"],
            "there is no team acme/team-b",
        ),
        (
            &["team", "add-member", "acme/core", nobody],
            "nobody@example.test is no member of acme",
        ),
        (
            &["project", "list", "other"],
            "there is no organization other",
        ),
        (
            &["project", "show", "acme/taken"],
            "there is no project acme/taken",
        ),
        (
            &["project", "create", "acme/x", "--team", "y"],
            "there is no team acme/y",
        ),
        (
            &["project", "update", "acme/web", "--add-team", "y"],
            "there is no team acme/y",
        ),
        (
            &["project", "transfer", "acme/web", "--to", "other"],
            "there is no organization other",
        ),
        (
            &[
                "project", "transfer", "acme/web", "--to", "beta", "--team", "core",
            ],
            "there is no team beta/core",
        ),
        (
            &["project", "transfer", "acme/web", "--to", "acme"],
            "acme/web is in acme already",
        ),
        (&["key", "show", "x"], "there is no client key x"),
        (
            &["key", "rotate", "ffffffffffffffffffffffffffffffff"],
            "there is no client key ffffffffffffffffffffffffffffffff",
        ),
        (
            &["org", "create", "gamma", "--owner", nobody],
            "--owner: there is no user nobody@example.test",
        ),
        (
            &["org", "create", "acme"],
            "The slug \"acme\" is already in use.",
        ),
        (
            &["team", "create", "acme/core"],
            "A team with this slug already exists.",
        ),
        (
            &["project", "create", "acme/web"],
            "A project with this slug already exists.",
        ),
        (
            &["project", "create", "acme/new", "--id", "41"],
            "A project with the id 41 already exists.",
        ),
        (
            &["member", "set-role", "acme", "ann@example.test", "member"],
            "ann@example.test is the only owner",
        ),
        (
            &["member", "remove", "acme", "ann@example.test", "--yes"],
            "ann@example.test is the only owner",
        ),
        (
            &["member", "add", "acme", "ann@example.test"],
            "ann@example.test is a member of acme already",
        ),
        (
            &["member", "invite", "acme", "ann@example.test"],
            "ann@example.test is a member of acme already",
        ),
    ] {
        assert_refused(&picket.run(arguments), 1, text);
    }
    // And none of it was half done.
    assert_eq!(newest(&picket), before);
}

#[test]
fn what_is_wrong_names_the_argument() {
    let picket = world();
    let long = "x".repeat(65);
    for (arguments, text) in [
        (
            &["org", "create", "ab"][..],
            "SLUG: This slug \"ab\" is too short. Minimum of 3 characters.",
        ),
        (
            &["org", "create", "gamma", "--name", " "],
            "--name: a text of 1 to 64 characters is needed",
        ),
        (
            &["org", "update", "acme"],
            "there is nothing to change; see picket help org update",
        ),
        (
            &["org", "update", "acme", "--open-membership", "yes"],
            "--open-membership: \"yes\" is neither on nor off",
        ),
        (
            &["org", "update", "acme", "--slug", "login"],
            "--slug: This slug \"login\" is reserved and not allowed.",
        ),
        (
            &[
                "member",
                "add",
                "acme",
                "bob@example.test",
                "--role",
                "king",
            ],
            "--role: \"king\" is no role; there are member, manager and owner",
        ),
        (
            &["member", "set-role", "acme", "ann@example.test", "admin"],
            "ROLE: \"admin\" is no role; there are member, manager and owner",
        ),
        (
            &["member", "invite", "acme", "bob"],
            "EMAIL: \"bob\" is no address",
        ),
        (
            &["team", "create", "core"],
            "\"core\" is not of the form ORG/SLUG",
        ),
        (
            &["team", "delete", "acme"],
            "\"acme\" is not of the form ORG/TEAM",
        ),
        (
            &["team", "create", "acme/X Y"],
            "SLUG: Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be \
             entirely numeric.",
        ),
        (
            &["team", "create", "acme/x", "--name", &long],
            "--name: a text of 1 to 64 characters is needed",
        ),
        (
            &[
                "team",
                "add-member",
                "acme/core",
                "bob@example.test",
                "--role",
                "owner",
            ],
            "--role: \"owner\" is no role in a team; there are contributor and admin",
        ),
        (
            &["team", "update", "acme/core"],
            "there is nothing to change; see picket help team update",
        ),
        (
            &["project", "show", "web"],
            "\"web\" is not of the form ORG/PROJECT",
        ),
        (
            &["project", "create", "acme/new", "--id", "0"],
            "--id: \"0\" is no number from 1 to 4503599627370496",
        ),
        (
            &["project", "create", "acme/new", "--platform", "cobol"],
            "--platform: \"cobol\" is no known platform",
        ),
        (
            &["project", "update", "acme/web"],
            "there is nothing to change; see picket help project update",
        ),
        (
            &["project", "transfer", "acme/web"],
            "project transfer needs one of --to and --email (see picket help project transfer)",
        ),
        (
            &[
                "project", "transfer", "acme/web", "--email", "a@b", "--team", "x",
            ],
            "--team: whoever takes the project chooses the team",
        ),
        (
            &["project", "transfer", "acme/web", "--email", "bob"],
            "--email: \"bob\" is no address",
        ),
        (
            &["key", "create", "acme/web", "--rate-limit", "5"],
            "--rate-limit: \"5\" is neither none nor COUNT/SECONDS with 1 to 86400 seconds, such as 100/60",
        ),
        (
            &["key", "create", "acme/web", "--rate-limit", "0/60"],
            "--rate-limit: \"0/60\" is neither none nor COUNT/SECONDS with 1 to 86400 seconds, such as 100/60",
        ),
        (
            &["key", "update", KEY, "--rate-limit", "1/86401"],
            "--rate-limit: \"1/86401\" is neither none nor COUNT/SECONDS with 1 to 86400 seconds, such as 100/60",
        ),
        (
            &["key", "update", KEY, "--enable", "--disable"],
            "a key is switched on or off; give one of --enable and --disable",
        ),
        (
            &["key", "update", KEY],
            "there is nothing to change; see picket help key update",
        ),
        (
            &["key", "rotate", KEY, "--expires", "0d"],
            "--expires: \"0d\" does not lie ahead",
        ),
        (
            &["org", "show"],
            "org show needs ORG (see picket help org show)",
        ),
        (
            &["member", "set-role", "acme", "ann@example.test"],
            "member set-role needs ROLE (see picket help member set-role)",
        ),
    ] {
        assert_refused(&picket.run(arguments), 2, text);
    }
}

/// The next request sees what a command changed, and within two seconds so does what only memory knows.
#[test]
fn a_running_server_follows() {
    let picket = world();
    let server = picket.serve(&["--durability", "normal"]);
    let client = crate::support::Client::new(server.address().parse().unwrap()).with_header(
        "Authorization",
        "Bearer sntryu_0000000000000000000000000000000000000000000000000000000000000001",
    );
    let get = |path: &str| client.get(&format!("/api/0/{path}"));
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let send = |key: &str, project: i64| {
        let target = format!("/api/{project}/store/?sentry_key={key}");
        client.post(&target, br#"{"message":"x"}"#).status
    };
    picket.succeed(&["org", "update", "acme", "--name", "Acme Ltd"]);
    assert_eq!(get("organizations/acme/").json()["name"], "Acme Ltd");
    assert_eq!(send(KEY, 31), 200);
    picket.succeed(&["key", "update", KEY, "--disable"]);
    until("the key is disabled", &|| send(KEY, 31) == 403);
    picket.succeed(&["key", "update", KEY, "--enable", "--rate-limit", "1/86400"]);
    until("the key is enabled", &|| send(KEY, 31) != 403);
    until("the key is limited", &|| send(KEY, 31) == 429);
    let made = json_of(
        &picket,
        &["project", "create", "acme/new", "--team", "core"],
    );
    assert_eq!(get("projects/acme/new/").status, 200);
    let dsn = made["dsns"][0].as_str().unwrap();
    let key = dsn.split("//").nth(1).unwrap().split('@').next().unwrap();
    let id = made["id"].as_str().unwrap().parse().unwrap();
    until("the new key is known", &|| send(key, id) == 200);
    picket.succeed(&["project", "transfer", "acme/new", "--to", "beta"]);
    assert_eq!(get("projects/acme/new/").status, 404);
    assert_eq!(send(key, id), 200);
    picket.succeed(&[
        "member",
        "add",
        "beta",
        "ann@example.test",
        "--role",
        "owner",
    ]);
    assert_eq!(get("projects/beta/new/").status, 200);
    picket.succeed(&["project", "delete", "beta/new", "--yes"]);
    assert_eq!(get("projects/beta/new/").status, 404);
    until("its key is gone", &|| send(key, id) == 403);
    picket.succeed(&["org", "delete", "acme", "--yes"]);
    assert_eq!(get("organizations/acme/").status, 404);
    assert_eq!(server.terminate().code, Some(0));
}
