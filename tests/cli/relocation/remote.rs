//! `picket import --from`: a server that makes it hard.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::*;

/// Answers each request with the next of these, and writes down their heads.
struct Scripted {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start(answers: Vec<String>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            let mut answers: VecDeque<String> = answers.into();
            while let Some(answer) = answers.pop_front() {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut head).unwrap_or(0) > 2 {}
                seen.lock().unwrap().push(head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Scripted { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn ok(body: &Value) -> String {
    answer("200 OK", "", &body.to_string())
}

fn import_from(picket: &Binary, address: &str, options: &[&str]) -> Output {
    picket.write("token", "sntryu_secret\n");
    picket.run(
        &[
            &[
                "import",
                "--from",
                address,
                "--token-file",
                "token",
                "--dry-run",
            ],
            options,
        ]
        .concat(),
    )
}

fn organization() -> Value {
    json!({"id": "7", "slug": "acme", "name": "Acme", "dateCreated": "2026-03-01T09:30:00.120000Z"})
}

#[test]
fn it_waits_when_told_and_asks_again_what_failed() {
    let next = |cursor: &str, results: bool| {
        format!(
            "Link: <http://elsewhere.test/?cursor={cursor}>; rel=\"next\"; results=\"{results}\"; cursor=\"{cursor}\"\r\n"
        )
    };
    let second =
        json!({"id": "8", "slug": "beta", "name": "Beta", "dateCreated": "2026-03-01T09:30:00Z"});
    let server = Scripted::start(vec![
        answer("429 Too Many Requests", "Retry-After: 1\r\n", "{}"),
        answer("503 Service Unavailable", "", ""),
        answer(
            "200 OK",
            &next("0:1:0", true),
            &json!([organization()]).to_string(),
        ),
        answer(
            "200 OK",
            &next("0:2:0", false),
            &json!([second]).to_string(),
        ),
        ok(&organization()),
        ok(&json!([])),
        ok(&json!([])),
        ok(&json!([])),
        ok(&second),
        ok(&json!([])),
        ok(&json!([])),
        ok(&json!([])),
    ]);
    let picket = Binary::new();
    let output = import_from(&picket, &server.address, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stdout.contains("organizations        2    0"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stdout
            .contains("the API tells no passwords, second factors or tokens")
    );
    let heads = server.heads();
    assert_eq!(heads.len(), 12);
    for head in &heads {
        assert!(head.starts_with("GET /api/0/"), "{head}");
        assert!(
            head.to_ascii_lowercase()
                .contains("authorization: bearer sntryu_secret"),
            "{head}"
        );
    }
    assert!(
        heads[3].starts_with("GET /api/0/organizations/?per_page=100&cursor=0%3A1%3A0 "),
        "{}",
        heads[3]
    );
}

#[test]
fn a_refusal_is_told_with_its_reason_and_the_token_goes_nowhere_else() {
    for (given, expected) in [
        (
            answer("401 Unauthorized", "", "{\"detail\":\"Invalid token\"}"),
            "the token is not taken (401: Invalid token)",
        ),
        (
            answer(
                "403 Forbidden",
                "",
                "{\"detail\":\"You do not have permission\"}",
            ),
            "the token may not read this; it needs org:read, team:read, project:read and member:read (403: You do not have \
             permission)",
        ),
        (
            answer("404 Not Found", "", ""),
            "it is not there (404: no reason)",
        ),
        (
            answer("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
            "it is somewhere else; give the address that the server itself answers at (302: no reason)",
        ),
        (
            answer("200 OK", "", "<html>"),
            "the answer is no list: expected value at line 1 column 1",
        ),
        (
            ok(&json!([{"id": "7", "slug": "../../admin"}])),
            "/api/0/organizations/: an answer has no slug that can be read",
        ),
        (
            ok(&json!([{"id": 7}])),
            "/api/0/organizations/: an answer has no slug that can be read",
        ),
    ] {
        let server = Scripted::start(vec![given]);
        let picket = Binary::new();
        let output = import_from(&picket, &server.address, &[]);
        assert_eq!(output.code, Some(1));
        assert!(
            output.stderr.ends_with(&format!("{expected}\n")),
            "{expected}\n{}",
            output.stderr
        );
        assert_eq!(server.heads().len(), 1);
        assert!(!picket.path("picket.db").exists());
    }
}

#[test]
fn a_project_that_the_token_may_not_read_is_named_and_the_rest_comes() {
    let server = Scripted::start(vec![
        ok(&organization()),
        ok(&json!([])),
        ok(&json!([])),
        ok(&json!([{"slug": "secret"}])),
        answer("403 Forbidden", "", "{}"),
    ]);
    let output = import_from(&Binary::new(), &server.address, &["--org", "acme"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let told =
        "these projects may not be read with this token, and are left out (1):\n    acme/secret\n";
    assert!(output.stdout.contains(told), "{}", output.stdout);
}

#[test]
fn a_list_without_an_end_is_left() {
    let page = answer(
        "200 OK",
        "Link: <http://a.test/>; rel=\"next\"; results=\"true\"; cursor=\"0:1:0\"\r\n",
        "[]",
    );
    let server = Scripted::start(vec![page.clone(), page]);
    let output = import_from(&Binary::new(), &server.address, &[]);
    assert!(
        output
            .stderr
            .contains("the next page is the same one again"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_token_comes_from_a_file_the_environment_or_standard_input() {
    let answers = || {
        vec![
            ok(&organization()),
            ok(&json!([])),
            ok(&json!([])),
            ok(&json!([])),
        ]
    };
    let mut picket = Binary::new();
    let server = Scripted::start(answers());
    let mut child = picket
        .command(&[
            "import",
            "--from",
            &server.address,
            "--token-file",
            "-",
            "--org",
            "acme",
            "--dry-run",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"sntryu_piped\n")
        .unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(
        server.heads()[0].contains("Bearer sntryu_piped"),
        "{:?}",
        server.heads()
    );
    assert!(server.heads()[0].starts_with("GET /api/0/organizations/acme/?detailed=0 "));

    let server = Scripted::start(answers());
    picket.set("SENTRY_AUTH_TOKEN", "sntryu_variable");
    picket.succeed(&[
        "import",
        "--from",
        &server.address,
        "--org",
        "acme",
        "--dry-run",
    ]);
    assert!(server.heads()[0].contains("Bearer sntryu_variable"));

    for (arguments, text) in [
        (
            ["--from", "http://sentry.example.com"],
            "--from: The URL must start with https://, unless its host is named in the setting outbound-internal-hosts.",
        ),
        (
            ["--from", "https://a.test?x"],
            "--from: this must be the address of a server, such as https://sentry.example.com",
        ),
    ] {
        let output = picket.run(&[&["import"][..], &arguments].concat());
        assert_eq!(
            (output.code, output.stderr),
            (Some(2), format!("picket: {text}\n"))
        );
    }
    let output = picket.run(&["import", "--from", "https://a.test", "--org", "../x"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (Some(2), "picket: --org: \"../x\" is no slug\n")
    );
}
