//! Holds every answer of the management API that any test gets against the document that the server publishes, and
//! records which of the documented answers were served, for `tests/served.rs`.
//!
//! The record is a file per run below cargo's folder for the tests' own files: first how the program was called, then
//! a line for each documented answer, then a line for each of them when it is served for the first time.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use serde_json::Value;

use super::client::Answer;
use super::{Server, schema};

/// Answers that any request can get before an endpoint sees it.
const ANYWHERE: [u16; 9] = [408, 413, 417, 431, 500, 501, 502, 503, 505];

/// What an endpoint answers to a method that it does not have.
const OTHER_METHOD: [u16; 5] = [400, 401, 403, 405, 406];

/// Below `/api/0/`, and the ingestion's.
const NOT_OURS: [&str; 1] = ["/api/0/relays/live/"];

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

struct Contract {
    document: Value,
    /// The paths of the document, those with fewer `{name}` segments first.
    paths: Vec<String>,
    record: Mutex<Record>,
}

struct Record {
    file: File,
    served: HashSet<String>,
}

/// Checks an answer to a request, if that was one of HTTP/1.1 to the management API.
///
/// # Panics
/// If the document does not know the answer.
pub(super) fn hold(request: &[u8], answer: &Answer) {
    let Some((method, path)) = request_line(request) else {
        return;
    };
    if NOT_OURS.contains(&path) || path != "/api/0" && !path.starts_with("/api/0/") {
        return;
    }
    match CONTRACT.check(method, path, answer) {
        Ok(Some(name)) => CONTRACT.serve(name),
        Ok(None) => {}
        Err(complaint) => panic!(
            "{method} {path} answered {}: {complaint}\n{}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
    }
}

fn request_line(request: &[u8]) -> Option<(&str, &str)> {
    let end = request.windows(2).position(|window| window == b"\r\n")?;
    let line = std::str::from_utf8(&request[..end]).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let target = rest.strip_suffix(" HTTP/1.1")?;
    Some((method, target.split('?').next().unwrap_or_default()))
}

impl Contract {
    /// From a server of its own, because a test counts what its server is asked.
    fn load() -> Contract {
        let server = Server::start("");
        let answer = server.client().get_unchecked("/api/0/openapi.json");
        let document = answer.json();
        let mut paths: Vec<String> = document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .cloned()
            .collect();
        paths.sort_by_key(|path| path.matches('{').count());
        let record = Mutex::new(Record::begin(&document));
        Contract {
            document,
            paths,
            record,
        }
    }

    /// The name of the documented answer that this is; none for one that any path gives.
    fn check(&self, method: &str, path: &str, answer: &Answer) -> Result<Option<String>, String> {
        if method == "OPTIONS" && answer.status == 200 {
            return expect(answer.body.is_empty(), "there is a body").map(|()| None);
        }
        let Some(pattern) = self.paths.iter().find(|pattern| matches(pattern, path)) else {
            return self.check_unknown(answer).map(|()| None);
        };
        let wanted = if method == "HEAD" { "GET" } else { method };
        let operation = &self.document["paths"][pattern][wanted.to_ascii_lowercase()];
        let documented = &operation["responses"][answer.status.to_string()];
        let response = match documented["$ref"].as_str() {
            Some(reference) => self.resolve(reference),
            None => documented,
        };
        if response.is_object() {
            if method == "HEAD" {
                return expect(answer.body.is_empty(), "there is a body").map(|()| None);
            }
            self.check_body(response, answer)?;
            return Ok(Some(format!("{method} {pattern} {}", answer.status)));
        }
        let known: &[u16] = if operation.is_object() {
            &ANYWHERE
        } else {
            &[OTHER_METHOD.as_slice(), &ANYWHERE].concat()
        };
        self.check_shared(known, answer).map(|()| None)
    }

    /// A path that has no line (facts/management-api.md 1.1).
    fn check_unknown(&self, answer: &Answer) -> Result<(), String> {
        match (answer.status, answer.header("Content-Type")) {
            (404, None) => expect(answer.body.is_empty(), "there is a body"),
            (404, Some("text/plain")) => Ok(()),
            (404, Some("application/json")) => {
                expect(answer.json()["info"].is_string(), "there is no `info`")
            }
            _ => self.check_shared(&ANYWHERE, answer),
        }
    }

    fn check_shared(&self, known: &[u16], answer: &Answer) -> Result<(), String> {
        expect(known.contains(&answer.status), "that is not documented")?;
        let responses = self.document["components"]["responses"]
            .as_object()
            .expect("responses");
        let response = responses
            .values()
            .find(|response| response["x-status"] == answer.status)
            .ok_or("that is documented nowhere")?;
        self.check_body(response, answer)
    }

    fn check_body(&self, response: &Value, answer: &Answer) -> Result<(), String> {
        let content = &response["content"];
        if answer.body.is_empty() && (content.is_null() || response["x-may-be-empty"] == true) {
            let media_type = answer.header("Content-Type");
            return expect(media_type.is_none(), "there is a type and no body");
        }
        let media_type = answer.header("Content-Type").unwrap_or_default();
        let schema = &content[media_type]["schema"];
        expect(
            schema.is_object(),
            &format!("the type {media_type:?} is not documented"),
        )?;
        if media_type != "application/json" {
            return Ok(());
        }
        let body = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let findings = schema::compare(&self.document, schema, &body);
        expect(findings.is_empty(), &format!("{findings:?}"))
    }

    fn resolve(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        self.document.pointer(pointer).expect("a target")
    }

    fn serve(&self, name: String) {
        let mut record = self.record.lock().expect("no test panics here");
        if !record.served.contains(&name) {
            record.write("served", &name);
            record.served.insert(name);
        }
    }
}

impl Record {
    /// Begins the record of this run, in the place of all earlier ones.
    fn begin(document: &Value) -> Record {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("served");
        // Another run may remove the same ones now.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let file = File::create(folder.join(std::process::id().to_string()))
            .expect("a record can be made");
        let mut record = Record {
            file,
            served: HashSet::new(),
        };
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        record.write("called", &arguments.join(" "));
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                for status in operation["responses"].as_object().into_iter().flatten() {
                    let method = method.to_ascii_uppercase();
                    record.write("documented", &format!("{method} {path} {}", status.0));
                }
            }
        }
        record
    }

    fn write(&mut self, word: &str, text: &str) {
        writeln!(self.file, "{word} {text}").expect("a record can be written");
    }
}

fn expect(holds: bool, complaint: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(complaint.to_owned()),
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(known, segment)| {
            known == segment || known.starts_with('{') && !segment.is_empty()
        })
}

#[test]
fn the_contract_refuses_what_the_document_does_not_know() {
    let answer = |status, content_type: &str, body: &str| Answer {
        status,
        headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
        body: body.as_bytes().to_vec(),
    };
    let json = |status, body| answer(status, "application/json", body);
    let detail = r#"{"detail":"x"}"#;
    let empty = Answer {
        headers: Vec::new(),
        ..json(204, "")
    };
    let key = "/api/0/projects/acme/web/keys/0/";
    let health = "/api/0/users/me/regions/";
    let check = |method, path, answer: &Answer| CONTRACT.check(method, path, answer);
    for (method, path, good) in [
        ("GET", health, json(200, r#"{"regions":[]}"#)),
        ("GET", key, json(404, detail)),
        ("POST", key, json(405, detail)),
        ("GET", "/api/0/nothing", json(404, r#"{"info":"x"}"#)),
        ("GET", key, json(431, detail)),
        ("DELETE", key, empty.clone()),
    ] {
        assert!(check(method, path, &good).is_ok(), "{method} {path}");
    }
    for (method, path, bad) in [
        ("GET", health, json(200, r#"{"regions":[],"more":1}"#)),
        ("GET", health, json(200, "{}")),
        ("GET", health, json(201, r#"{"regions":[]}"#)),
        (
            "GET",
            health,
            answer(200, "text/plain", r#"{"regions":[]}"#),
        ),
        ("GET", key, json(404, r#"{"error":"x"}"#)),
        ("GET", key, json(405, detail)),
        ("GET", key, json(418, detail)),
        ("DELETE", key, json(204, detail)),
        ("GET", "/api/0/nothing/", json(200, detail)),
        ("GET", "/api/0/nothing/", json(404, detail)),
    ] {
        assert!(check(method, path, &bad).is_err(), "{method} {path}");
    }
}
