//! `picket user ...`.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::{Binary, Output};
use crate::web::browser::{Browser, location};

const WORLD: &str = r#"
[[organization]]
slug = "acme"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:read"]

[[user]]
email = "bob@example.test"
roles = { acme = "member" }
"#;

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";
const PASSWORD: &str = "correct horse battery staple";
const NEW_PASSWORD: &str = "unlikely badger orchard drum";

fn world() -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", WORLD);
    picket.succeed(&["apply", "a.toml"]);
    picket
}

#[track_caller]
fn parsed(picket: &Binary, arguments: &[&str]) -> Value {
    let text = picket.succeed(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn refused(picket: &Binary, arguments: &[&str], code: i32, text: &str) {
    let output = picket.run(arguments);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (Some(code), format!("picket: {text}\n").as_str()),
        "{arguments:?}"
    );
    assert_eq!(output.stdout, "");
}

/// Runs a command with something on its standard input.
fn run_with(picket: &Binary, arguments: &[&str], input: &str) -> Output {
    let mut child = picket
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn events(picket: &Binary) -> Vec<(String, Value)> {
    let database = picket.database();
    let sql = "SELECT event, data FROM audit_entry
               WHERE event LIKE 'user.%' AND event <> 'user.sign-in' AND actor_user_id IS NULL ORDER BY id";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let data: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&data).unwrap()))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn browser_of(server: &crate::support::process::Process) -> Browser {
    Browser::at(&server.address())
}

#[test]
fn a_new_user_without_a_password_gets_a_link() {
    let picket = world();
    let server = picket.serve(&[]);
    let prefix = format!("http://{}", server.address());
    let arguments = [
        "user",
        "create",
        "zed@example.test",
        "--url-prefix",
        &prefix,
    ];
    let link = picket.succeed(&arguments);
    let path = link.trim_end().strip_prefix(&prefix).unwrap().to_owned();
    let mut zed = browser_of(&server);
    let fields = [
        ("email", "zed@example.test"),
        ("name", "Zed"),
        ("password", NEW_PASSWORD),
        ("again", NEW_PASSWORD),
    ];
    assert_eq!(location(&zed.submit(&path, &path, &fields)), "/");
    assert!(
        zed.get("/")
            .text()
            .contains("You are not in any organization yet.")
    );
    refused(
        &picket,
        &["user", "create", "ZED@example.test"],
        1,
        "A user with the email ZED@example.test already exists.",
    );
    let made = parsed(
        &picket,
        &["user", "create", "yan@example.test", "--superuser"],
    );
    assert_eq!(made["superuser"], true);
    let link = made["sign_in_link"].as_str().unwrap();
    assert!(
        link.starts_with("http://127.0.0.1:9000/account/set-up/"),
        "{link}"
    );
}

#[test]
fn a_new_user_with_a_password_signs_in_with_it() {
    let picket = world();
    let create = ["user", "create", "zed@example.test", "--password-stdin"];
    for (password, text) in [
        ("short\n", "a password has 8 to 256 characters"),
        ("91827364", "a password is not made of digits alone"),
        (
            "zed@example.test",
            "this password is too much like the email address; this password is too much like the name",
        ),
    ] {
        let output = run_with(&picket, &create, password);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert_eq!(output.stderr, format!("picket: {text}\n"));
    }
    let output = run_with(&picket, &create, &format!("{NEW_PASSWORD}\n"));
    assert_eq!(
        output.stdout, "made the user zed@example.test\n",
        "{output:?}"
    );
    let server = picket.serve(&[]);
    let answer = browser_of(&server).sign_in("zed@example.test", NEW_PASSWORD);
    assert_eq!(location(&answer), "/");
    for (name, text) in [
        (" ", "--name: a name is a line of 1 to 200 characters"),
        ("a\nb", "--name: a name is a line of 1 to 200 characters"),
    ] {
        refused(&picket, &["user", "create", "a@b", "--name", name], 2, text);
    }
    refused(
        &picket,
        &["user", "create", "ann"],
        2,
        "\"ann\" is no email address",
    );
}

#[test]
fn a_password_is_never_an_argument_and_is_not_asked_for_where_nobody_is() {
    let picket = world();
    let output = picket.run(&["user", "set-password", ANN, NEW_PASSWORD]);
    assert_eq!(output.code, Some(2), "{output:?}");
    refused(
        &picket,
        &["user", "set-password", ANN],
        2,
        "there is no terminal to type a password on; --password-stdin reads it from standard input",
    );
    let server = picket.serve(&[]);
    let mut ann = browser_of(&server);
    ann.sign_in(ANN, PASSWORD);
    let arguments = ["user", "set-password", ANN, "--password-stdin"];
    let output = run_with(&picket, &arguments, NEW_PASSWORD);
    assert_eq!(
        output.stdout,
        "the password of ann@example.test is set, and its sessions have ended\n"
    );
    assert!(!ann.is_signed_in());
    assert_eq!(browser_of(&server).sign_in(ANN, PASSWORD).status, 400);
    assert_eq!(browser_of(&server).sign_in(ANN, NEW_PASSWORD).status, 303);
    let output = run_with(
        &picket,
        &["user", "set-password", "x@y", "--password-stdin"],
        "",
    );
    assert_eq!(output.stderr, "picket: there is no user x@y\n");
}

#[test]
fn a_link_to_set_a_password_is_printed() {
    let picket = world();
    let server = picket.serve(&[]);
    let link = parsed(&picket, &["user", "reset-password", "Bob@example.test"]);
    assert_eq!(link["email"], BOB);
    let path = link["link"]
        .as_str()
        .unwrap()
        .strip_prefix("http://127.0.0.1:9000")
        .unwrap();
    let older = picket.succeed(&["user", "reset-password", ANN]);
    let newer = picket.succeed(&["user", "reset-password", ANN]);
    assert_ne!(older, newer);
    let mut bob = browser_of(&server);
    let fields = [("password", NEW_PASSWORD), ("again", NEW_PASSWORD)];
    assert_eq!(bob.submit(path, path, &fields).status, 303);
    assert_eq!(location(&bob.sign_in(BOB, NEW_PASSWORD)), "/");
    let older = older
        .trim_end()
        .strip_prefix("http://127.0.0.1:9000")
        .unwrap();
    assert_eq!(browser_of(&server).get(older).status, 404);
}

#[test]
fn an_account_that_is_switched_off_is_out_at_once() {
    let picket = world();
    let server = picket.serve(&[]);
    let client = Client::new(server.address().parse().unwrap()).with_header(
        "Authorization",
        "Bearer sntryu_0000000000000000000000000000000000000000000000000000000000000001",
    );
    assert_eq!(client.get("/api/0/organizations/acme/").status, 200);
    let mut ann = browser_of(&server);
    ann.sign_in(ANN, PASSWORD);
    refused(
        &picket,
        &["user", "deactivate", ANN],
        2,
        "this would switch off ann@example.test and end all its sessions; --yes says that it is meant",
    );
    refused(
        &picket,
        &["user", "deactivate", ANN, "--yes"],
        1,
        "nobody else owns acme; --force switches ann@example.test off all the same",
    );
    assert!(ann.is_signed_in());
    let off = picket.succeed(&["user", "deactivate", ANN, "--yes", "--force"]);
    assert_eq!(off, "ann@example.test is switched off\n");
    assert!(!ann.is_signed_in());
    let wait = |expected: u16| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let answer = client.get("/api/0/organizations/acme/");
            if answer.status == expected {
                return answer;
            }
            assert!(std::time::Instant::now() < deadline, "{answer:?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    // Another process changed the file, which a server notices within two seconds.
    assert_eq!(wait(401).text(), r#"{"detail":"User inactive or deleted"}"#);
    assert_eq!(browser_of(&server).sign_in(ANN, PASSWORD).status, 400);
    refused(
        &picket,
        &["user", "reset-password", ANN],
        1,
        "ann@example.test is switched off; picket user activate comes first",
    );
    let again = parsed(&picket, &["user", "deactivate", ANN, "--yes"]);
    assert_eq!(again["changed"], false);
    let on = picket.succeed(&["user", "activate", ANN]);
    assert_eq!(on, "ann@example.test is switched on\n");
    wait(200);
    assert!(!ann.is_signed_in());
    // A member who owns nothing needs no force.
    picket.succeed(&["user", "deactivate", BOB, "--yes"]);
    let names: Vec<String> = events(&picket).into_iter().map(|event| event.0).collect();
    let expected = [
        "user.create",
        "user.create",
        "user.deactivate",
        "user.activate",
        "user.deactivate",
    ];
    assert_eq!(names, expected);
    drop(server);
}

#[test]
fn users_are_listed_and_shown_without_hashes() {
    let picket = world();
    let text = picket.succeed(&["user", "list"]);
    assert!(text.starts_with("ID  EMAIL"), "{text}");
    assert!(text.contains("ann@example.test  Ann"), "{text}");
    let all = parsed(&picket, &["user", "list"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    let mut shown = parsed(&picket, &["user", "show", "ANN@example.test"]);
    assert!(shown["created"].is_string());
    shown["created"] = Value::Null;
    assert_eq!(
        shown,
        json!({
            "id": "1", "email": ANN, "name": "Ann", "active": true, "superuser": false, "password": true,
            "created": null, "last_login": null, "last_active": null, "second_factor": false,
            "organizations": [{"slug": "acme", "role": "owner"}], "sessions": 0, "tokens": 1,
        })
    );
    let text = picket.succeed(&["user", "show", BOB]);
    for line in [
        "state          active",
        "password       no",
        "organizations  acme as member",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for text in [
        picket.succeed(&["user", "show", ANN]),
        shown.to_string(),
        all.to_string(),
    ] {
        assert!(!text.contains("argon2"), "{text}");
    }
    refused(&picket, &["user", "show", "x@y"], 1, "there is no user x@y");
}

#[test]
fn sessions_are_listed_and_ended() {
    let picket = world();
    let server = picket.serve(&[]);
    let mut first = browser_of(&server).with_header("User-Agent", "one");
    let mut second = browser_of(&server).with_header("User-Agent", "two");
    first.sign_in(ANN, PASSWORD);
    second.sign_in(ANN, PASSWORD);
    let all = parsed(&picket, &["user", "sessions", ANN]);
    let agents: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["user_agent"].as_str().unwrap())
        .collect();
    assert_eq!(agents, ["two", "one"]);
    let id = all[1]["id"].as_str().unwrap();
    let revoke = ["user", "revoke-sessions", ANN];
    refused(
        &picket,
        &revoke,
        2,
        "this would sign ann@example.test out; --yes says that it is meant",
    );
    let one = [revoke.as_slice(), &["--yes", "--session", id]].concat();
    assert_eq!(
        picket.succeed(&one),
        "1 session of ann@example.test has ended\n"
    );
    assert!(!first.is_signed_in() && second.is_signed_in());
    refused(
        &picket,
        &one,
        1,
        &format!("ann@example.test has no session {id}"),
    );
    first.sign_in(ANN, PASSWORD);
    let rest = parsed(&picket, &[revoke.as_slice(), &["--yes"]].concat());
    assert_eq!(rest["ended"], 2);
    assert!(!first.is_signed_in() && !second.is_signed_in());
    assert!(
        picket
            .succeed(&["user", "sessions", ANN])
            .starts_with("ID  ADDRESS")
    );
}

#[test]
fn the_operator_makes_superusers_and_takes_second_factors_away() {
    let picket = world();
    let said = picket.succeed(&["user", "superuser", ANN, "on"]);
    assert_eq!(said, "ann@example.test is a superuser now\n");
    let said = picket.succeed(&["user", "superuser", ANN, "on"]);
    assert_eq!(said, "ann@example.test is a superuser as before\n");
    assert_eq!(parsed(&picket, &["user", "show", ANN])["superuser"], true);
    picket.succeed(&["user", "superuser", ANN, "off"]);
    assert_eq!(parsed(&picket, &["user", "show", ANN])["superuser"], false);
    refused(
        &picket,
        &["user", "superuser", ANN, "yes"],
        2,
        "\"yes\" is neither on nor off",
    );

    picket
        .database()
        .execute_batch(
            "INSERT INTO totp (user_id, secret, created_us, last_step) VALUES (1, x'00', 0, 0);
             INSERT INTO recovery_code (user_id, hash, created_us) VALUES (1, x'00', 0);",
        )
        .unwrap();
    assert_eq!(
        parsed(&picket, &["user", "show", ANN])["second_factor"],
        true
    );
    let disable = ["user", "disable-2fa", ANN];
    assert_eq!(picket.run(&disable).code, Some(2));
    let yes = [disable.as_slice(), &["--yes"]].concat();
    assert_eq!(
        picket.succeed(&yes),
        "ann@example.test has no second factor now\n"
    );
    assert_eq!(
        picket.succeed(&yes),
        "ann@example.test had no second factor\n"
    );
    let left: i64 = picket
        .database()
        .query_row("SELECT count(*) FROM recovery_code", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
    let last = events(&picket).pop().unwrap();
    assert_eq!(
        last,
        ("user.mfa-remove".to_owned(), json!({ "method": "totp" }))
    );
}
