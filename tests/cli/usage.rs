//! Help, wrong usage and exit codes.

use std::process::Stdio;

use crate::support::process::Binary;

const COMMANDS: &[&str] = &[
    "serve",
    "health",
    "apply",
    "dsn",
    "doctor",
    "export",
    "import",
    "org list",
    "org create",
    "org show",
    "org update",
    "org delete",
    "member list",
    "member add",
    "member invite",
    "member set-role",
    "member remove",
    "team list",
    "team create",
    "team update",
    "team delete",
    "team add-member",
    "team remove-member",
    "project list",
    "project create",
    "project show",
    "project update",
    "project delete",
    "project transfer",
    "key list",
    "key create",
    "key show",
    "key update",
    "key rotate",
    "key delete",
    "token create",
    "token list",
    "token show",
    "token rotate",
    "token revoke",
    "token revoke-all",
    "user create",
    "user list",
    "user show",
    "user set-password",
    "user reset-password",
    "user deactivate",
    "user activate",
    "user superuser",
    "user sessions",
    "user revoke-sessions",
    "user disable-2fa",
    "backup",
    "restore",
    "check",
    "upgrade",
];

#[test]
fn help_lists_every_command_and_tells_all_about_each() {
    let picket = Binary::new();
    let overview = picket.succeed(&["help"]);
    assert_eq!(picket.succeed(&["--help"]), overview);
    assert_eq!(picket.succeed(&["-h"]), overview);
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n  {command} ")), "{command}");
        let words: Vec<&str> = command.split(' ').collect();
        let help = picket.succeed(&[&["help"], words.as_slice()].concat());
        assert!(
            help.starts_with(&format!("Usage: picket {command}")),
            "{help}"
        );
        assert!(help.contains("--data FILE"), "{help}");
        for flag in ["--help", "-h"] {
            assert_eq!(picket.succeed(&[words.as_slice(), &[flag]].concat()), help);
        }
    }
    let group = picket.succeed(&["token", "--help"]);
    assert!(group.contains("token revoke"), "{group}");
    assert_eq!(picket.succeed(&["help", "token"]), group);
}

#[test]
fn help_is_given_also_when_a_setting_is_wrong() {
    let mut picket = Binary::new();
    picket.set("PICKET_LISTEN", "nowhere");
    assert!(picket.succeed(&["help", "serve"]).contains("PICKET_LISTEN"));
    assert!(picket.succeed(&["dsn", "--help"]).contains("PICKET_DATA"));
}

#[test]
fn help_for_a_server_shows_every_setting_with_its_default() {
    let help = Binary::new().succeed(&["help", "serve"]);
    // The lines are broken for the terminal.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, rest) in [
        (
            "--listen ADDRESS:PORT",
            "(default: 127.0.0.1:9000); PICKET_LISTEN",
        ),
        ("--data FILE", "(default: picket.db); PICKET_DATA"),
        (
            "--durability full|normal",
            "(default: full); PICKET_DURABILITY",
        ),
        (
            "--max-body-bytes BYTES",
            "(default: 40MiB); PICKET_MAX_BODY_BYTES",
        ),
        ("--loader-bundle-url URL", "PICKET_LOADER_BUNDLE_URL"),
        (
            "--api-rate-limits on|off",
            "(default: on); PICKET_API_RATE_LIMITS",
        ),
        (
            "--max-connections COUNT",
            "(default: 1024); PICKET_MAX_CONNECTIONS",
        ),
        (
            "--audit-retention-days DAYS",
            "(default: 365); PICKET_AUDIT_RETENTION_DAYS",
        ),
        (
            "--connections-per-address COUNT",
            "(default: 64); PICKET_CONNECTIONS_PER_ADDRESS",
        ),
        ("--metrics-listen ADDRESS:PORT", "PICKET_METRICS_LISTEN"),
        ("--metrics-token-file FILE", "PICKET_METRICS_TOKEN_FILE"),
        ("--access-log FILE|-", "PICKET_ACCESS_LOG"),
        (
            "--log-format text|json",
            "(default: text); PICKET_LOG_FORMAT",
        ),
        (
            "--outbound-internal-hosts HOSTS",
            "PICKET_OUTBOUND_INTERNAL_HOSTS",
        ),
        ("--outbound-ca-file FILE", "PICKET_OUTBOUND_CA_FILE"),
    ] {
        assert!(help.contains(flag), "{flag}");
        assert!(help.contains(rest), "{rest}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("picket {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Binary::new().succeed(&["--version"]), version);
    assert_eq!(Binary::new().succeed(&["-V"]), version);
}

#[test]
fn wrong_usage_says_what_is_wrong_and_exits_with_2() {
    let picket = Binary::new();
    for (arguments, text) in [
        (
            &["sevre"][..],
            "there is no command \"sevre\"; did you mean serve?",
        ),
        (
            &["migrate"],
            "there is no command \"migrate\" (see picket help)",
        ),
        (
            &["help", "migrate"],
            "there is no command \"migrate\" (see picket help)",
        ),
        (
            &["token"],
            "token needs one of create, list, show, rotate, revoke, revoke-all",
        ),
        (
            &["token", "--json"],
            "token needs one of create, list, show, rotate, revoke, revoke-all",
        ),
        (
            &["token", "lst"],
            "there is no command \"token lst\"; did you mean token list?",
        ),
        (
            &["token", "paint"],
            "there is no command \"token paint\"; token has create, list, show, rotate, revoke, revoke-all",
        ),
        (
            &["--data", "x", "serve"],
            "--data stands before the command; options follow it (see picket help)",
        ),
        (
            &["serve", "--lisen", "x"],
            "serve has no option --lisen; did you mean --listen?",
        ),
        (
            &["dsn", "acme/web", "--durability", "full"],
            "dsn has no option --durability (see picket help dsn)",
        ),
        (
            &["serve", "-x"],
            "serve has no option -x (see picket help serve)",
        ),
        (
            &["serve", "now"],
            "\"now\" is more than serve takes (see picket help serve)",
        ),
        (&["dsn"], "dsn needs ORG/PROJECT (see picket help dsn)"),
        (
            &["dsn", "acme"],
            "\"acme\" is not of the form ORG/PROJECT (see picket help dsn)",
        ),
        (
            &["dsn", "a/b/c"],
            "\"a/b/c\" is not of the form ORG/PROJECT (see picket help dsn)",
        ),
        (
            &["serve", "--listen"],
            "missing argument for option '--listen'",
        ),
        (
            &["token", "list", "--json=yes"],
            "unexpected argument for option '--json': \"yes\"",
        ),
        (
            &["serve", "--listen", "9000"],
            "--listen: \"9000\" is no address and port, such as 127.0.0.1:9000",
        ),
        (
            &["serve", "--url-prefix", "http://h/sentry"],
            "--url-prefix: the URL prefix \"http://h/sentry\" has a path; Picket answers at the root of its origin only",
        ),
        (
            &["token", "create", "--user", "a@b", "--organization", "acme"],
            "a token belongs to a user or to an organization; give one of --user and --organization",
        ),
        (
            &["token", "create", "--scopes", " "],
            "--scopes: no scope is named",
        ),
        (
            &["token", "create", "--name", ""],
            "--name: a name has 1 to 255 characters",
        ),
        (
            &["token", "create", "--expires", "soon"],
            "--expires: \"soon\" is neither a time from now, such as 30d, nor a moment, such as 2027-01-01T00:00:00Z",
        ),
        (
            &["token", "create", "--expires", "2001-01-01T00:00:00Z"],
            "--expires: \"2001-01-01T00:00:00Z\" does not lie ahead",
        ),
        (
            &["token", "create", "--expires", "0d"],
            "--expires: \"0d\" does not lie ahead",
        ),
        (
            &["token", "revoke", "one"],
            "\"one\" is no id of a token (see picket token list)",
        ),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"), "{arguments:?}");
        assert_eq!(output.code, Some(2), "{arguments:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
    assert!(!picket.path("picket.db").exists());
}

#[test]
fn no_command_at_all_is_wrong_usage_with_the_list() {
    let output = Binary::new().run(&[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.starts_with("picket: a command is missing\n"));
    assert!(output.stderr.contains("token revoke"));
}

#[test]
fn an_unknown_scope_is_named_beside_the_known_ones() {
    let output = Binary::new().run(&["token", "create", "--scopes", "org:read org:rule"]);
    let start = "picket: --scopes: \"org:rule\" is no scope; there are alerts:read ";
    assert!(output.stderr.starts_with(start), "{}", output.stderr);
    assert_eq!(output.code, Some(2));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let picket = Binary::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = picket
        .command(&["help"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(0));
    assert_eq!(status.stderr, b"");
}

#[test]
fn a_command_that_asks_does_not_make_a_database() {
    let picket = Binary::new();
    for arguments in [
        &["dsn", "acme/web"][..],
        &["org", "list"],
        &["org", "create", "acme"],
        &["member", "list", "acme"],
        &["team", "create", "acme/core"],
        &["project", "create", "acme/web"],
        &["key", "list", "acme/web"],
        &["token", "list"],
        &["token", "create"],
        &["token", "revoke", "1"],
    ] {
        let output = picket.run(arguments);
        assert_eq!(
            output.stderr,
            "picket: there is no database picket.db; picket serve makes one, and --data names another\n"
        );
        assert_eq!(output.code, Some(1));
    }
    assert!(!picket.path("picket.db").exists());
}
