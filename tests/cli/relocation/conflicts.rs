//! Importing where something is already.

use super::*;

/// Takes a slug, a project's number, a public half and an address of [`WORLD`].
const OTHERS: &str = r#"
[[organization]]
slug = "acme"
name = "Another Acme"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "web"
  id = 40
  teams = ["core"]
    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"

[[user]]
email = "ANN@example.test"
name = "Another Ann"
password = "another correct horse battery"
"#;

fn database(picket: &Binary) -> std::path::PathBuf {
    picket.write("others.toml", OTHERS);
    picket.succeed(&["apply", "others.toml"]);
    picket.path("picket.db")
}

fn text(picket: &Binary, sql: &str) -> String {
    picket
        .database()
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn what_is_taken_is_told_and_nothing_here_is_touched() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &["--passwords"]);
    let data = database(&picket);
    let before = text(
        &picket,
        "SELECT group_concat(id || slug || name, ' ') FROM organization",
    );
    let hash = text(&picket, "SELECT password_hash FROM user");

    let dry = import(&picket, &data, "out.json", &["--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    for told in [
        "acme becomes acme-x1",
        "these projects cannot keep their numbers, which others have or had here; DSNs that carry them do not lead to them, so \
         applications must be given new ones (1):\n    beta/web, 40\n",
        "Default 0123456789abcdef0123456789abcdef of shop becomes ",
        "these users are here already and stay as they are; passwords, second factors and tokens that would come with them are \
         left out (1):\n    ann@example.test\n",
        "nothing was written",
    ] {
        assert!(dry.stdout.contains(told), "{told}\n{}", dry.stdout);
    }
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(id || slug || name, ' ') FROM organization"
        ),
        before
    );

    let refused = import(&picket, &data, "out.json", &[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.ends_with(
        "picket: not everything comes as it was, as listed above; --yes says that it is meant, because there is no terminal to \
         ask on\n"
    ));
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(id || slug || name, ' ') FROM organization"
        ),
        before
    );

    let output = import(&picket, &data, "out.json", &["--yes"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(slug, ' ') FROM (SELECT slug FROM organization ORDER BY slug)"
        ),
        "acme acme-x1 beta"
    );
    assert_eq!(
        text(
            &picket,
            "SELECT password_hash FROM user WHERE name = 'Another Ann'"
        ),
        hash
    );
    // The key is another project's still, and the one that came has another public half and its own secret.
    assert_eq!(
        text(
            &picket,
            "SELECT project_id || '' FROM client_key WHERE public = '0123456789abcdef0123456789abcdef'"
        ),
        "40"
    );
    assert_eq!(
        text(
            &picket,
            "SELECT label || length(public) || rate_limit_count FROM client_key WHERE secret = 'fedcba9876543210fedcba9876543210'"
        ),
        "Default32100"
    );
    // Projects keep the numbers that are free.
    assert_eq!(
        text(&picket, "SELECT slug FROM project WHERE id = 31"),
        "shop"
    );
    assert_eq!(text(&picket, "SELECT count(*) || '' FROM project"), "4");
    // Ann is a member of what came.
    assert_eq!(
        text(
            &picket,
            "SELECT group_concat(role, ' ') FROM (SELECT role FROM member JOIN user ON user.id = user_id WHERE name = 'Another Ann' ORDER BY role)"
        ),
        "manager owner"
    );

    let again = import(&picket, &data, "out.json", &["--yes"]);
    assert_eq!(again.stdout, "everything is here already\n", "{again:?}");
}

#[test]
fn a_server_that_runs_sees_what_comes() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &[]);
    picket.write("others.toml", OTHERS);
    let running = picket.serve(&["--apply", "others.toml"]);
    let address: std::net::SocketAddr = running
        .address()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let output = import(&picket, &picket.path("picket.db"), "out.json", &["--yes"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let client = Client::new(address).with_header(
        "X-Sentry-Auth",
        "Sentry sentry_key=2123456789abcdef0123456789abcdef",
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let answer = client.post("/api/4503599627370496/store/", br#"{"message": "x"}"#);
        if answer.status == 200 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", answer.text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(running.terminate().code, Some(0));
}

#[test]
fn wrong_usage_is_told() {
    let picket = Binary::new();
    picket.write("a.json", "[]");
    for (arguments, text) in [
        (&["import"][..], "import needs a FILE, or --from URL"),
        (
            &["import", "a.json", "--from", "https://a.test"],
            "import takes a FILE or --from, and not both",
        ),
        (
            &["import", "a.json", "--org", "acme"],
            "--org is for --from, and not for a file",
        ),
        (
            &["import", "--from", "https://a.test"],
            "--from needs a token: --token-file FILE, or the variable SENTRY_AUTH_TOKEN",
        ),
        (&["export"], "export needs FILE (see picket help export)"),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"));
        assert_eq!(output.code, Some(2));
    }
    let missing = picket.run(&["import", "b.json"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.starts_with("picket: cannot read b.json: "),
        "{}",
        missing.stderr
    );
    let missing = picket.run(&["export", "out.json", "--yes"]);
    assert!(
        missing.stderr.contains("there is no database picket.db"),
        "{}",
        missing.stderr
    );
}
