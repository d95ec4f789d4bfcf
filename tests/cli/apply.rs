//! `picket apply`: what it makes, keeps and changes.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::Client;
use crate::support::process::Binary;

/// The example of the documentation: everything that a file can say.
const EXAMPLE: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"

  [[organization.project]]
  slug = "web"
  id = 31
  platform = "python"
  teams = ["core"]
  options = { "filters:localhost" = true, "sentry:origins" = ["*.example.test", " shop.test "] }

    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"
    secret = "fedcba9876543210fedcba9876543210"
    rate_limit = { count = 100, window = 60 }

  [[organization.token]]
  name = "ci"
  scopes = ["org:ci"]
  expires = 2100-01-01T00:00:00Z

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }
teams = { acme = ["core:admin"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:read", "project:admin", "team:admin", "event:admin", "member:read"]
"#;

fn apply(picket: &Binary, text: &str) -> String {
    picket.write("a.toml", text);
    picket.succeed(&["apply", "a.toml"])
}

/// Every row of every table, so that nothing can change unseen.
fn dump(picket: &Binary) -> Vec<String> {
    let connection = picket.database();
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let values: Vec<rusqlite::types::Value> =
                (0..columns).map(|at| row.get(at).unwrap()).collect();
            rows.push(format!("{table}: {values:?}"));
        }
    }
    rows
}

fn text(picket: &Binary, sql: &str) -> String {
    picket
        .database()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn everything_is_made_as_given_and_generated_secrets_are_printed_once() {
    let picket = Binary::new();
    let report = apply(&picket, EXAMPLE);
    let (report, token) = {
        let at = report.find("  sntrys_").unwrap();
        let end = at + report[at..].find('\n').unwrap();
        let token = report[at..end].trim().to_owned();
        (report.replace(&token, "TOKEN"), token)
    };
    assert_eq!(token.split('_').count(), 3);
    assert_eq!(
        report,
        "created organization acme\n\
         created team acme/core\n\
         created project acme/web\n\
         created key Default of acme/web\n  \
           http://0123456789abcdef0123456789abcdef@127.0.0.1:9000/31\n\
         created token ci of acme\n  TOKEN\n\
         created user ann@example.test\n\
         created member ann@example.test of acme as owner\n\
         created team member ann@example.test of acme/core as admin\n\
         created token laptop of ann@example.test\n"
    );
    assert_eq!(
        text(&picket, "SELECT id || platform || name FROM project"),
        "31pythonweb"
    );
    assert_eq!(
        text(
            &picket,
            "SELECT secret || rate_limit_count || '/' || rate_limit_window_secs FROM client_key"
        ),
        "fedcba9876543210fedcba9876543210100/60"
    );
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(name || value, ' ') FROM (SELECT * FROM project_option ORDER BY name)"
        ),
        "filters:localhosttrue sentry:origins\"*.example.test\\nshop.test\""
    );
    assert_eq!(
        text(
            &picket,
            "SELECT scopes FROM auth_token WHERE name = 'laptop'"
        ),
        "event:admin event:read event:write member:read org:read project:admin project:read project:write \
         team:admin team:read team:write"
    );
    assert!(text(&picket, "SELECT password_hash FROM user").starts_with("$argon2id$"));
}

#[test]
fn the_second_run_changes_not_one_row() {
    let picket = Binary::new();
    apply(&picket, EXAMPLE);
    let before = dump(&picket);
    assert!(before.len() > 15);
    assert_eq!(apply(&picket, EXAMPLE), "nothing to do\n");
    assert_eq!(dump(&picket), before);
    let json = picket.succeed(&["apply", "a.toml", "--json"]);
    assert_eq!(json, "{\"changes\":[]}\n");
}

#[test]
fn what_the_file_leaves_out_is_left_alone() {
    let picket = Binary::new();
    apply(&picket, EXAMPLE);
    let before = dump(&picket);
    let bare = r#"
[[organization]]
slug = "acme"
  [[organization.project]]
  slug = "web"
    [[organization.project.key]]
    name = "Default"
[[user]]
email = "ANN@example.test"
teams = { acme = ["core"] }
  [[user.token]]
  name = "laptop"
"#;
    assert_eq!(apply(&picket, bare), "nothing to do\n");
    assert_eq!(apply(&picket, ""), "nothing to do\n");
    assert_eq!(dump(&picket), before);
}

#[test]
fn what_differs_is_updated_and_named() {
    let picket = Binary::new();
    apply(&picket, EXAMPLE);
    let changed = EXAMPLE
        .replace("\"Acme\"", "\"Acme Ltd\"")
        .replace("slug = \"core\"", "slug = \"core\"\nname = \"The Core\"")
        .replace("\"python\"", "\"rust\"")
        .replace("count = 100", "count = 5")
        .replace(
            "\"filters:localhost\" = true",
            "\"filters:localhost\" = false",
        )
        .replace("2100-01-01", "2101-01-01")
        .replace("\"Ann\"", "\"Anne\"")
        .replace("correct horse", "incorrect horse")
        .replace("\"owner\"", "\"manager\"")
        .replace("core:admin", "core:contributor")
        .replace(", \"member:read\"", "");
    assert_eq!(
        apply(&picket, &changed),
        "updated organization acme\n\
         updated team acme/core\n\
         updated project acme/web\n\
         updated key Default of acme/web\n\
         updated token ci of acme\n\
         updated user ann@example.test\n\
         updated member ann@example.test of acme as manager\n\
         updated team member ann@example.test of acme/core as contributor\n\
         updated token laptop of ann@example.test\n"
    );
    assert_eq!(text(&picket, "SELECT name FROM organization"), "Acme Ltd");
    assert_eq!(text(&picket, "SELECT name FROM team"), "The Core");
    assert_eq!(text(&picket, "SELECT platform FROM project"), "rust");
    assert_eq!(text(&picket, "SELECT role FROM member"), "manager");
    assert_eq!(text(&picket, "SELECT role FROM team_member"), "contributor");
    assert_eq!(apply(&picket, &changed), "nothing to do\n");
    // The password is the new one: with the old one there is something to do.
    let old_password = changed.replace("incorrect horse", "correct horse");
    assert_eq!(
        apply(&picket, &old_password),
        "updated user ann@example.test\n"
    );
}

#[test]
fn names_are_the_slugs_and_a_project_gets_one_key_unless_its_keys_are_listed() {
    let picket = Binary::new();
    let report = apply(
        &picket,
        r#"
[[organization]]
slug = "acme"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "plain"
  [[organization.project]]
  slug = "keyed"
  key = [{ name = "One" }, { name = "Two" }]
"#,
    );
    assert_eq!(
        report
            .lines()
            .filter(|line| line.starts_with("  http://"))
            .count(),
        3
    );
    assert_eq!(
        text(
            &picket,
            "SELECT organization.name || ' ' || team.name || ' ' || project.name
             FROM organization, team, project WHERE project.slug = 'plain'"
        ),
        "acme core plain"
    );
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(slug || ':' || label, ' ') FROM (
                 SELECT slug, label FROM client_key JOIN project ON project.id = project_id ORDER BY client_key.id)"
        ),
        "plain:Default keyed:One keyed:Two"
    );
    // An existing project that lists no keys gets none, even if it has lost its own.
    picket
        .database()
        .execute("DELETE FROM client_key", [])
        .unwrap();
    let again = "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"plain\"\n";
    assert_eq!(apply(&picket, again), "nothing to do\n");
}

#[test]
fn a_chosen_id_is_kept_from_those_that_take_the_next_one() {
    let picket = Binary::new();
    apply(
        &picket,
        "[[organization]]\nslug = \"acme\"\nproject = [{ slug = \"a\" }, { slug = \"b\", id = 1 }]\n",
    );
    assert_eq!(text(&picket, "SELECT slug FROM project WHERE id = 1"), "b");
    assert_eq!(text(&picket, "SELECT slug FROM project WHERE id = 2"), "a");
}

#[test]
fn joining_a_team_makes_a_member_with_the_least_role() {
    let picket = Binary::new();
    apply(
        &picket,
        "[[organization]]\nslug = \"acme\"\nteam = [{ slug = \"core\" }]\n",
    );
    let report = apply(
        &picket,
        "[[user]]\nemail = \"a@b\"\nteams = { acme = [\"core\"] }\n",
    );
    assert_eq!(
        report,
        "created user a@b\ncreated member a@b of acme as member\ncreated team member a@b of acme/core\n"
    );
}

#[test]
fn two_keys_of_one_name_are_told_apart_by_their_public_halves() {
    let picket = Binary::new();
    let (a, b) = ("a".repeat(32), "b".repeat(32));
    let file = format!(
        "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\n\
         key = [{{ name = \"Default\", public = \"{a}\" }}, {{ name = \"Default\", public = \"{b}\" }}]\n"
    );
    apply(&picket, &file);
    assert_eq!(apply(&picket, &file), "nothing to do\n");
    // Renamed by its public half.
    let renamed = file.replacen("\"Default\"", "\"Old\"", 1);
    assert_eq!(apply(&picket, &renamed), "updated key Old of acme/web\n");
}

#[test]
fn a_blank_platform_takes_it_away() {
    let picket = Binary::new();
    let file =
        "[[organization]]\nslug = \"acme\"\nproject = [{ slug = \"web\", platform = \"go\" }]\n";
    apply(&picket, file);
    let blank = file.replace("\"go\"", "\"\"");
    assert_eq!(apply(&picket, &blank), "updated project acme/web\n");
    let platform: Option<String> = picket
        .database()
        .query_row("SELECT platform FROM project", [], |row| row.get(0))
        .unwrap();
    assert_eq!(platform, None);
    assert_eq!(apply(&picket, &blank), "nothing to do\n");
}

#[test]
fn a_revoked_token_is_made_anew_under_its_name() {
    let picket = Binary::new();
    let file = "[[user]]\nemail = \"a@b\"\ntoken = [{ name = \"ci\" }]\n";
    let first = apply(&picket, file);
    picket.succeed(&["token", "revoke", "1"]);
    let second = apply(&picket, file);
    assert!(
        second.starts_with("created token ci of a@b\n  sntryu_"),
        "{second}"
    );
    assert!(!first.contains(second.lines().nth(1).unwrap()));
}

#[test]
fn a_given_token_stays_itself_beside_another_of_its_name() {
    let picket = Binary::new();
    apply(&picket, EXAMPLE);
    picket.succeed(&["token", "create", "--name", "laptop"]);
    assert_eq!(apply(&picket, EXAMPLE), "nothing to do\n");
}

#[test]
fn numbers_may_be_written_as_toml_allows() {
    let picket = Binary::new();
    apply(
        &picket,
        "[[organization]]\nslug = \"acme\"\nproject = [{ slug = \"a\", id = 1_000 }, { slug = \"b\", id = 0x7f }]\n",
    );
    assert_eq!(
        text(&picket, "SELECT slug FROM project WHERE id = 1000"),
        "a"
    );
    assert_eq!(
        text(&picket, "SELECT slug FROM project WHERE id = 127"),
        "b"
    );
}

#[test]
fn json_tells_the_same_as_the_text() {
    let picket = Binary::new();
    picket.write("a.toml", EXAMPLE);
    let report: Value =
        serde_json::from_str(&picket.succeed(&["apply", "a.toml", "--json"])).unwrap();
    let changes = report["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 9);
    assert_eq!(
        changes[3],
        serde_json::json!({
            "action": "created",
            "kind": "key",
            "name": "Default of acme/web",
            "dsn": "http://0123456789abcdef0123456789abcdef@127.0.0.1:9000/31",
        })
    );
    assert!(changes[4]["token"].as_str().unwrap().starts_with("sntrys_"));
}

#[test]
fn a_running_server_follows_within_two_seconds() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let client = Client::new(server.address().parse().unwrap()).with_header(
        "X-Sentry-Auth",
        "Sentry sentry_key=0123456789abcdef0123456789abcdef",
    );
    let send = || {
        client
            .post("/api/31/store/", b"{\"message\":\"hello\"}")
            .status
    };
    assert_ne!(send(), 200);
    apply(
        &picket,
        &EXAMPLE.replace("\"filters:localhost\" = true, ", ""),
    );
    let applied = Instant::now();
    while send() != 200 {
        assert!(
            applied.elapsed() < Duration::from_secs(2),
            "the server never saw it"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.terminate().code, Some(0));
}
