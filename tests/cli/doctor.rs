//! `picket doctor`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Binary, Process};
use crate::support::smtp::Post;

/// What the doctor found: verdict and text by check, in its order.
struct Report {
    code: Option<i32>,
    stderr: String,
    findings: Vec<(String, String, String)>,
}

impl Report {
    fn of(picket: &Binary, arguments: &[&str]) -> Report {
        let output = picket.run(&[&["doctor", "--json"], arguments].concat());
        let body: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error} in {output:?}"));
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or("").to_owned();
        let findings: Vec<_> = body["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|finding| {
                // What is not well comes with what to do.
                assert_eq!(finding["advice"].is_null(), finding["verdict"] == "ok");
                (
                    text(finding, "check"),
                    text(finding, "verdict"),
                    text(finding, "text"),
                )
            })
            .collect();
        let count = |verdict| findings.iter().filter(|(_, v, _)| v == verdict).count();
        assert_eq!(body["faults"], count("fault"));
        assert_eq!(body["warnings"], count("warning"));
        Report {
            code: output.code,
            stderr: output.stderr,
            findings,
        }
    }

    fn all(&self, check: &str) -> Vec<(&str, &str)> {
        self.findings
            .iter()
            .filter(|(name, ..)| name == check)
            .map(|(_, verdict, text)| (verdict.as_str(), text.as_str()))
            .collect()
    }

    fn one(&self, check: &str) -> (&str, &str) {
        let all = self.all(check);
        assert_eq!(all.len(), 1, "{check} in {:?}", self.findings);
        all[0]
    }

    fn faults(&self) -> Vec<&str> {
        self.findings
            .iter()
            .filter(|(_, verdict, _)| verdict == "fault")
            .map(|(check, ..)| check.as_str())
            .collect()
    }
}

/// A database that no server runs on any more.
fn stopped() -> Binary {
    let picket = Binary::new();
    let output = picket.serve(&[]).terminate();
    assert_eq!(output.code, Some(0));
    picket
}

fn flags(server: &Process) -> [String; 2] {
    ["--listen".to_owned(), server.address()]
}

fn with_server<'a>(flags: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    flags
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn an_installation_in_order_has_no_fault() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let flags = flags(&server);
    let report = Report::of(&picket, &with_server(&flags, &[]));
    assert_eq!(report.faults(), [""; 0], "{:?}", report.findings);
    assert_eq!((report.code, report.stderr.as_str()), (Some(0), ""));
    for check in [
        "settings",
        "permissions",
        "database",
        "log-size",
        "clock",
        "url-prefix",
        "ready",
        "proxy-host",
        "proxy-address",
        "proxy-body-size",
        "mail",
    ] {
        assert_eq!(
            report.one(check).0,
            "ok",
            "{check}: {:?}",
            report.one(check)
        );
    }
    assert_eq!(
        report.one("url-prefix").1,
        format!(
            "http://{} leads to the server of this database",
            server.address()
        )
    );
    assert!(report.one("disk-speed").1.starts_with("a sync takes "));
    assert!(report.one("database").1.ends_with("a server runs on it"));
    assert_eq!(
        report.one("proxy-body-size").1,
        "nothing before the server refuses a request of 40 MiB"
    );
}

#[test]
fn a_terminal_reads_a_line_for_each_finding_and_what_to_do() {
    let picket = stopped();
    let file = picket.path("picket.db");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = picket.run(&["doctor"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stdout.starts_with("ok       settings "),
        "{output:?}"
    );
    let mut lines = output.stdout.lines();
    let line = lines.find(|line| line.contains("permissions")).unwrap();
    assert!(line.starts_with("warning  permissions"), "{line}");
    assert!(
        line.ends_with("others than its owner may use picket.db (mode 644)"),
        "{line}"
    );
    let advice = lines.next().unwrap().trim();
    assert_eq!(
        advice,
        "-> chmod 600 picket.db: key secrets and events are in it"
    );
}

#[test]
fn without_a_server_what_can_be_told_is_told() {
    let picket = stopped();
    let before = std::fs::read(picket.path("picket.db")).unwrap();
    let report = Report::of(&picket, &[]);
    assert_eq!(report.code, Some(0), "{:?}", report.findings);
    assert_eq!(
        report.one("url-prefix"),
        (
            "ok",
            "no server runs on the database, so what clients see was not looked at"
        )
    );
    assert!(report.one("database").1.ends_with("no server runs on it"));
    // Looking changes nothing and leaves nothing.
    assert_eq!(std::fs::read(picket.path("picket.db")).unwrap(), before);
    let names = std::fs::read_dir(picket.path("")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| name.to_str().unwrap().starts_with("picket.db")),
        "{names:?}"
    );
}

#[test]
fn a_missing_database_is_told_and_not_made() {
    let picket = Binary::new();
    let report = Report::of(&picket, &[]);
    assert_eq!(report.code, Some(0));
    assert_eq!(
        report.one("database"),
        ("warning", "there is no database picket.db")
    );
    assert!(!picket.path("picket.db").exists());
}

#[test]
fn a_file_that_cannot_be_used_is_a_fault() {
    let picket = stopped();
    picket.write("other.db", &"no database ".repeat(20));
    let report = Report::of(&picket, &["--data", "other.db"]);
    assert_eq!(report.code, Some(1));
    assert_eq!(report.stderr, "picket: there is a fault\n");
    assert_eq!(
        report.one("database"),
        ("fault", "other.db is not a SQLite database")
    );

    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')";
    picket.database().execute(newer, []).unwrap();
    let report = Report::of(&picket, &[]);
    let (verdict, text) = report.one("database");
    assert_eq!(verdict, "fault");
    assert!(
        text.starts_with("picket.db was written by a newer Picket (schema 99"),
        "{text}"
    );
}

#[test]
fn a_directory_without_room_for_sqlites_files_is_a_fault() {
    let picket = Binary::new();
    let report = Report::of(&picket, &["--data", "no/such/picket.db"]);
    assert_eq!(report.faults(), ["disk-speed"]);
    assert!(
        report
            .one("disk-speed")
            .1
            .starts_with("no file can be written to no/such: ")
    );
}

#[test]
fn a_clock_behind_the_newest_row_is_a_fault() {
    let picket = stopped();
    picket
        .database()
        .execute("UPDATE audit_entry SET at_us = at_us + 7200000000", [])
        .unwrap();
    let report = Report::of(&picket, &[]);
    assert_eq!(report.faults(), ["clock"], "{:?}", report.findings);
    assert!(
        report
            .one("clock")
            .1
            .contains(", and the database has a row of ")
    );
}

#[test]
fn wrong_settings_are_findings_or_wrong_usage() {
    let mut picket = stopped();
    picket.write("token", "short");
    picket.set("PICKET_LISTN", "x");
    let report = Report::of(
        &picket,
        &[
            "--smtp-url",
            "smtp://127.0.0.1:1?tls=none",
            "--metrics-token-file",
            "token",
        ],
    );
    assert_eq!(report.code, Some(1));
    assert_eq!(report.stderr, "picket: there are 2 faults\n");
    assert_eq!(
        report.all("settings"),
        [
            ("fault", "--smtp-url needs --mail-from"),
            (
                "fault",
                "--metrics-token-file: token: the token is shorter than 16 characters"
            ),
            (
                "warning",
                "the environment variable PICKET_LISTN is no setting of Picket"
            ),
        ]
    );
    for (arguments, text) in [
        (
            &["doctor", "--listen", "x"][..],
            "--listen: \"x\" is no address and port, such as 127.0.0.1:9000",
        ),
        (
            &["doctor", "--mail-to", "ann"],
            "--mail-to: \"ann\" is no address that mail can be sent to",
        ),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.code, Some(2));
        assert_eq!(output.stderr, format!("picket: {text}\n"));
    }
}

#[test]
fn a_prefix_that_leads_elsewhere_or_nowhere_is_a_fault() {
    let picket = Binary::new();
    let _server = picket.serve(&[]);
    // Another server, with another database.
    let other = Binary::new();
    let elsewhere = other.serve(&[]);
    let prefix = format!("http://{}", elsewhere.address());
    let report = Report::of(&picket, &["--url-prefix", &prefix]);
    assert_eq!(report.faults(), ["url-prefix"], "{:?}", report.findings);
    assert_eq!(
        report.one("url-prefix").1,
        format!("what answers at {prefix} (status 200 OK) is not the server of this database")
    );

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let prefix = format!("http://{free}");
    let report = Report::of(&picket, &["--url-prefix", &prefix]);
    let (verdict, text) = report.one("url-prefix");
    assert_eq!(verdict, "fault");
    assert!(
        text.starts_with(&format!("{prefix} cannot be reached from here: ")),
        "{text}"
    );

    let report = Report::of(&picket, &["--listen", "127.0.0.1:0"]);
    assert_eq!(report.one("url-prefix").0, "warning");

    // A copy of the database is another one.
    let copy = Binary::new();
    picket
        .database()
        .execute("VACUUM INTO ?1", [copy.path("picket.db").to_str()])
        .unwrap();
    let _copied = copy.serve(&[]);
    let prefix = format!("http://{}", _server.address());
    let report = Report::of(&copy, &["--url-prefix", &prefix]);
    assert_eq!(report.faults(), ["url-prefix"]);
}

/// What a proxy does with a request's head on its way.
type Change = fn(&str) -> String;

/// A proxy that takes bodies up to 1 MiB unless told otherwise, one request a connection.
fn proxy(to: SocketAddr, change: Change, refuses_large: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let head = read_head(&mut client);
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                })
                .and_then(|length| length.parse::<u64>().ok())
                .unwrap_or(0);
            if refuses_large && length > 1 << 20 {
                let _ = client.write_all(
                    b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
                continue;
            }
            let mut server = TcpStream::connect(to).unwrap();
            server.write_all(change(&head).as_bytes()).unwrap();
            server
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let mut bytes = [0; 65536];
            while let Ok(count) = server.read(&mut bytes) {
                if count == 0 || client.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn read_head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn add_field(head: &str, field: &str) -> String {
    head.replacen("\r\n", &format!("\r\n{field}\r\nConnection: close\r\n"), 1)
}

#[test]
fn what_a_proxy_does_wrong_is_told() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let to = server.address().parse().unwrap();
    let through = |change: Change, refuses_large| {
        let prefix = format!("http://{}", proxy(to, change, refuses_large));
        Report::of(&picket, &["--url-prefix", &prefix])
    };

    let report = through(|head| add_field(head, "X-Forwarded-For: 192.0.2.7"), false);
    assert_eq!(report.one("url-prefix").0, "ok", "{:?}", report.findings);
    assert_eq!(report.one("proxy-host").0, "ok");
    assert_eq!(
        report.one("proxy-address"),
        (
            "warning",
            "a proxy says that this client is 192.0.2.7, and the server takes it for 127.0.0.1"
        )
    );

    let report = through(
        |head| add_field(&head.replace("/health/ready", "/health/unready"), "X-A: b"),
        false,
    );
    assert_eq!(report.faults(), ["ready"]);
    assert_eq!(
        report.one("ready").1,
        "the server takes no events now: status 404 Not Found"
    );

    let report = through(
        |head| {
            let host = head
                .lines()
                .find(|line| line.to_ascii_lowercase().starts_with("host:"));
            add_field(&head.replace(host.unwrap(), "Host: backend"), "X-A: b")
        },
        true,
    );
    let (verdict, text) = report.one("proxy-host");
    assert_eq!(verdict, "warning");
    assert!(text.ends_with(", and the server hears backend"), "{text}");
    assert_eq!(
        report.faults(),
        ["proxy-body-size"],
        "{:?}",
        report.findings
    );
    assert_eq!(
        report.one("proxy-body-size").1,
        "a proxy refuses requests of 40 MiB, which the server would take"
    );
}

#[test]
fn strangers_learn_nothing_from_the_doctors_field() {
    let picket = Binary::new();
    let server = picket.serve(&[]);
    let client = crate::support::Client::new(server.address().parse().unwrap());
    for question in ["", "1", "1:2", &format!("1:{}", "0".repeat(64))] {
        let answer = client
            .clone()
            .with_header("Picket-Doctor", question)
            .get("/health/live");
        assert_eq!(answer.text(), r#"{"status":"live"}"#);
    }
}

#[test]
fn mail_is_tried() {
    let picket = stopped();
    let post = Post::start();
    let url = post.url();
    let mail = [
        "--smtp-url",
        url.as_str(),
        "--mail-from",
        "Picket <picket@example.test>",
    ];
    let report = Report::of(&picket, &mail);
    assert_eq!(
        report.one("mail"),
        (
            "ok",
            "the server for mail can be spoken to; --mail-to ADDRESS sends a letter"
        )
    );
    let report = Report::of(
        &picket,
        &[&mail[..], &["--mail-to", "ann@example.test"]].concat(),
    );
    assert_eq!(
        report.one("mail"),
        (
            "ok",
            "the server for mail took a letter to ann@example.test"
        )
    );
    let letter = post.wait_for(1);
    assert_eq!(letter.to, "ann@example.test");
    assert!(
        letter
            .text
            .contains("This letter was sent by picket doctor.")
    );

    let report = Report::of(
        &picket,
        &[
            "--smtp-url",
            "smtp://127.0.0.1:1?tls=none",
            "--mail-from",
            "a@example.test",
        ],
    );
    assert_eq!(report.faults(), ["mail"]);
    let report = Report::of(&picket, &["--mail-to", "ann@example.test"]);
    assert_eq!(
        report.one("mail"),
        (
            "fault",
            "a letter was to be sent, and no server for mail is set"
        )
    );
}

#[test]
fn a_file_of_certificates_is_looked_at() {
    let picket = stopped();
    picket.write("ca.pem", include_str!("../../src/doctor/certificate.pem"));
    let report = Report::of(&picket, &["--outbound-ca-file", "ca.pem"]);
    assert_eq!(
        report.one("outbound-ca-file"),
        (
            "ok",
            "the certificates in ca.pem are good until 2036-11-23T03:00:14Z"
        )
    );
    picket.write("ca.pem", "nothing");
    let report = Report::of(&picket, &["--outbound-ca-file", "ca.pem"]);
    assert_eq!(
        report.one("outbound-ca-file"),
        (
            "fault",
            "ca.pem cannot be read: there is no certificate in it"
        )
    );
}
