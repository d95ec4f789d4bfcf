//! The first start on a new database.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::process::{Binary, mode};

fn count(picket: &Binary, sql: &str) -> i64 {
    picket
        .database()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

/// The value of a header in a printed `curl` line, and its URL.
fn quoted(line: &str) -> Vec<&str> {
    line.split('\'').skip(1).step_by(2).collect()
}

#[test]
fn a_service_gets_its_credentials_in_a_file_only_its_owner_can_read() {
    let picket = Binary::new();
    let mut server = picket.serve(&[]);
    server.wait_for("new tokens are in picket.db.credentials");
    let output = server.terminate();
    let kept = std::fs::read_to_string(picket.path("picket.db.credentials")).unwrap();
    let token = kept
        .lines()
        .find_map(|line| line.strip_prefix("  sntryu_"))
        .unwrap();
    assert_eq!(token.len(), 64);
    assert!(!output.stdout.contains(token) && !output.stderr.contains(token));
    assert_eq!(mode(&picket.path("picket.db.credentials")), 0o600);
    assert_eq!(mode(&picket.path("picket.db")), 0o600);
}

#[test]
fn credentials_are_printed_where_that_is_asked_for_and_only_once() {
    let picket = Binary::new();
    let mut server = picket.serve(&["--print-credentials"]);
    let token = server.wait_for("  sntryu_");
    assert_eq!(token.len(), 64);
    assert!(!picket.path("picket.db.credentials").exists());
    server.terminate();
    let second = picket.serve(&["--print-credentials"]).terminate();
    assert!(!second.stdout.contains("sntryu_"), "{}", second.stdout);
    assert!(!second.stdout.contains("first start"), "{}", second.stdout);
}

#[test]
fn a_start_that_fails_makes_nothing_that_would_be_lost() {
    let mut picket = Binary::new();
    picket.set("TMPDIR", "/nonexistent");
    let failed = picket.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.stderr.contains("the transport cannot start"),
        "{}",
        failed.stderr
    );
    assert_eq!(count(&picket, "SELECT count(*) FROM user"), 0);
    picket.set("TMPDIR", "/tmp");
    let mut server = picket.serve(&["--print-credentials"]);
    server.wait_for("  sntryu_");
}

#[test]
fn a_pipe_in_the_place_of_the_credentials_file_holds_nothing_up() {
    let picket = Binary::new();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        picket.path("picket.db.credentials"),
        0o600.into(),
    )
    .unwrap();
    let mut server = picket.serve(&[]);
    server.wait_for("DSN: ");
    let output = server.terminate();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("credentials"), "{}", output.stderr);
}

#[test]
fn the_printed_line_stores_an_event() {
    let picket = Binary::new();
    let mut server = picket.serve(&["--print-credentials"]);
    let dsn = server.wait_for("DSN: ");
    let curl = server.wait_for("  curl ");
    let [url, content_type, body] = quoted(&curl)[..] else {
        panic!("{curl}");
    };
    let prefix = format!("http://{}", server.address());
    let path = url.strip_prefix(&prefix).unwrap();
    assert_eq!(content_type, "Content-Type: application/json");
    let answer = Client::new(server.address().parse().unwrap())
        .with_header("Content-Type", "application/json")
        .post(path, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    server.terminate();
    assert_eq!(count(&picket, "SELECT count(*) FROM event"), 1);
    let key: String = picket
        .database()
        .query_row("SELECT public FROM client_key", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        dsn,
        format!("{}/1", prefix.replace("://", &format!("://{key}@")))
    );
}

#[test]
fn the_printed_token_reads_the_statistics() {
    let picket = Binary::new();
    let mut server = picket.serve(&["--print-credentials"]);
    server.wait_for("see what was counted:");
    let curl = server.wait_for("  curl ");
    let [header, url] = quoted(&curl)[..] else {
        panic!("{curl}");
    };
    let (name, value) = header.split_once(": ").unwrap();
    let path = url
        .strip_prefix(&format!("http://{}", server.address()))
        .unwrap();
    let answer = Client::new(server.address().parse().unwrap())
        .with_header(name, value)
        .get(path);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json().as_array().map(Vec::len), Some(24));
}

#[test]
fn an_owner_in_the_team_and_a_project_with_one_key_are_made() {
    let picket = Binary::new();
    picket.serve(&[]).terminate();
    let row: (String, String, String, String, String, Option<String>) = picket
        .database()
        .query_row(
            "SELECT organization.slug, team.slug, project.slug, client_key.label, user.email, user.password_hash
             FROM organization
             JOIN team ON team.organization_id = organization.id
             JOIN project ON project.organization_id = organization.id
             JOIN project_team ON project_team.project_id = project.id AND project_team.team_id = team.id
             JOIN client_key ON client_key.project_id = project.id
             JOIN member ON member.organization_id = organization.id AND member.role = 'owner'
             JOIN team_member ON team_member.member_id = member.id AND team_member.team_id = team.id
             JOIN user ON user.id = member.user_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
        .unwrap();
    let made = (
        "default",
        "default",
        "default",
        "Default",
        "admin@localhost",
    );
    assert_eq!(
        (
            row.0.as_str(),
            row.1.as_str(),
            row.2.as_str(),
            row.3.as_str(),
            row.4.as_str()
        ),
        made
    );
    assert_eq!(row.5, None);
}

#[test]
fn with_an_apply_file_only_what_it_says_is_made() {
    let picket = Binary::new();
    picket.write(
        "a.toml",
        "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\n\
         [[organization.token]]\nname = \"ci\"\n",
    );
    let mut server = picket.serve(&["--apply", "a.toml"]);
    server.wait_for("apply: created key Default of acme/web");
    let dsn = server.wait_for("apply:   http://");
    assert!(dsn.ends_with(&format!("@{}/1", server.address())), "{dsn}");
    server.wait_for("new tokens are in picket.db.credentials");
    let output = server.terminate();
    assert!(!output.stdout.contains("sntrys_"), "{}", output.stdout);
    let kept = std::fs::read_to_string(picket.path("picket.db.credentials")).unwrap();
    assert!(kept.starts_with("token ci of acme:\n  sntrys_"), "{kept}");
    assert_eq!(count(&picket, "SELECT count(*) FROM organization"), 1);
    assert_eq!(count(&picket, "SELECT count(*) FROM user"), 0);
    // Nothing new, so nothing more in the file.
    let again = picket.serve(&["--apply", "a.toml"]).terminate();
    assert!(
        again.stdout.contains("apply: nothing to do\n"),
        "{}",
        again.stdout
    );
    let still = std::fs::read_to_string(picket.path("picket.db.credentials")).unwrap();
    assert_eq!(still, kept);
}

#[test]
fn a_wrong_apply_file_keeps_the_server_from_starting() {
    let picket = Binary::new();
    picket.write("a.toml", "[[organization]]\nslug = \"a\"\ntitle = 1\n");
    let output = picket.run(&["serve", "--listen", "127.0.0.1:0", "--apply", "a.toml"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stdout, "");
    assert_eq!(
        output
            .stderr
            .lines()
            .filter(|line| !line.starts_with('['))
            .collect::<Vec<_>>(),
        [
            "a.toml:2: organization.slug: This slug \"a\" is too short. Minimum of 3 characters.",
            "a.toml:3: organization.title: unknown field; there are name, options, project, slug, team, token",
            "picket: there are 2 faults in a.toml, so nothing of it was applied",
        ]
    );
    let output = picket.run(&["serve", "--apply", "b.toml"]);
    assert!(
        output.stderr.starts_with("picket: cannot read b.toml: "),
        "{output:?}"
    );
    assert_eq!(output.code, Some(1));
}

#[test]
fn the_start_is_told_as_json_where_that_is_asked_for() {
    let picket = Binary::new();
    let mut command = picket.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        told["url"],
        format!("http://{}", told["listening"].as_str().unwrap())
    );
    assert_eq!(told["data"], "picket.db");
    assert_eq!(told["first_start"]["project_id"], "1");
    assert!(told["first_start"]["dsn"].as_str().unwrap().ends_with("/1"));
    assert!(told["first_start"]["token"].is_null());
    assert_eq!(told["credentials_file"], "picket.db.credentials");
    assert!(told["apply"].is_null());
}
