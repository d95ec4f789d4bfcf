//! Flags, environment and settings file, as the running program sees them.

use crate::support::process::Binary;

/// The prefix in a DSN shows which source won.
fn prefix(picket: &Binary, arguments: &[&str]) -> String {
    let dsn = picket.succeed(&[&["dsn", "default/default"], arguments].concat());
    let (_, host) = dsn.trim().split_once('@').unwrap();
    host.split('/').next().unwrap().to_owned()
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let mut picket = Binary::new();
    picket.serve(&[]).terminate();
    assert_eq!(prefix(&picket, &[]), "127.0.0.1:9000");
    picket.write("a.toml", "url-prefix = \"http://file.test\"\n");
    assert_eq!(prefix(&picket, &["--config", "a.toml"]), "file.test");
    picket.set("PICKET_CONFIG", "a.toml");
    assert_eq!(prefix(&picket, &[]), "file.test");
    picket.set("PICKET_URL_PREFIX", "http://environment.test");
    assert_eq!(prefix(&picket, &[]), "environment.test");
    assert_eq!(
        prefix(&picket, &["--url-prefix", "http://flag.test"]),
        "flag.test"
    );
}

#[test]
fn the_url_prefix_follows_the_address_to_listen_on() {
    let mut picket = Binary::new();
    picket.serve(&[]).terminate();
    picket.set("PICKET_LISTEN", "0.0.0.0:8000");
    assert_eq!(prefix(&picket, &[]), "127.0.0.1:8000");
}

#[test]
fn a_wrong_settings_file_is_wrong_usage() {
    let picket = Binary::new();
    for (text, wrong) in [
        (
            "data = \"a.db\"\nlisten = 9000\n",
            "a.toml:2: listen: \"9000\" is no address and port, such as 127.0.0.1:9000",
        ),
        (
            "\nlissten = \"127.0.0.1:1\"\n",
            "a.toml:2: lissten: there is no such setting",
        ),
        (
            "data = [\"a\"]\n",
            "a.toml:1: data: this must be a single value",
        ),
        (
            "print-credentials = \"yes\"\n",
            "a.toml:1: print-credentials: \"yes\" is neither true nor false",
        ),
        (
            "data = \"a.db\"\nlisten = \n",
            "a.toml:2: string values must be quoted, expected literal string",
        ),
        ("data = \"\"\n", "a.toml:1: data: the path is empty"),
    ] {
        picket.write("a.toml", text);
        let output = picket.run(&["serve", "--config", "a.toml"]);
        assert_eq!(output.stderr, format!("picket: {wrong}\n"));
        assert_eq!(output.code, Some(2));
    }
    let output = picket.run(&["serve", "--config", "b.toml"]);
    let start = "picket: cannot read the settings file b.toml: ";
    assert!(output.stderr.starts_with(start), "{}", output.stderr);
    assert_eq!(output.code, Some(2));
}

#[test]
fn an_unknown_variable_is_warned_of_and_no_more() {
    let mut picket = Binary::new();
    picket.set("PICKET_PORT", "tcp://10.0.0.1:80");
    let output = picket.serve(&[]).terminate();
    assert_eq!(output.code, Some(0));
    assert!(
        output
            .stderr
            .contains("the environment variable PICKET_PORT is no setting of Picket"),
        "{}",
        output.stderr
    );
}

#[test]
fn less_durability_is_said_at_the_start() {
    let picket = Binary::new();
    let mut server = picket.serve(&["--durability", "normal"]);
    server.wait_for("durability normal: a power cut can lose acknowledged events");
    let output = server.terminate();
    assert!(
        output.stderr.contains("durability is normal"),
        "{}",
        output.stderr
    );
    let output = picket.serve(&[]).terminate();
    assert!(!output.stdout.contains("durability"), "{}", output.stdout);
}

#[test]
fn settings_of_mail_are_checked_without_showing_the_password() {
    let mut picket = Binary::new();
    picket.write("hush", "pass word\n");
    let from = ["--mail-from", "picket@example.test"];
    for (arguments, expected) in [
        (
            vec!["--smtp-url", "smtp://mail.test"],
            "--smtp-url needs --mail-from",
        ),
        (
            vec!["--smtp-password-file", "hush"],
            "--smtp-password-file needs --smtp-url",
        ),
        (
            vec!["--smtp-url", "mail.test"],
            "--smtp-url: this must start with smtp:// or smtps://",
        ),
        (
            vec!["--mail-from", "nobody"],
            "--mail-from: \"nobody\" is no address to send from, such as Picket <picket@example.test>",
        ),
        (
            [["--smtp-url", "smtp://ann@mail.test"], from].concat(),
            "--smtp-url: there is a user and no password",
        ),
        (
            [
                ["--smtp-url", "smtp://mail.test"],
                from,
                ["--smtp-password-file", "hush"],
            ]
            .concat(),
            "--smtp-url: a password needs a user in the URL: smtp://USER@HOST",
        ),
    ] {
        let output = picket.run(&[vec!["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!(output.stderr, format!("picket: {expected}\n"));
        assert_eq!(output.code, Some(2));
    }
    picket.set("PICKET_SMTP_URL", "smtps://ann:hush-hush@mail.test:x");
    let output = picket.run(&["serve"]);
    assert_eq!(
        output.stderr,
        "picket: PICKET_SMTP_URL: the port is no number from 1 to 65535\n"
    );
    picket.set("PICKET_SMTP_URL", "smtps://ann@mail.test");
    picket.set("PICKET_SMTP_PASSWORD_FILE", "hush");
    picket.set("PICKET_MAIL_FROM", "Picket <picket@example.test>");
    let output = picket.serve(&[]).terminate();
    assert_eq!(output.code, Some(0), "{output:?}");
}
