//! Nothing is lost and nothing is counted twice: random requests of every kind, sent by many clients at once, and
//! afterwards the ledger's sums are what was sent, category by category, and the tables hold what was accepted.
//!
//! `CONSERVATION_REQUESTS` asks for another number of requests.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

use super::crash::ServerProcess;
use super::encodings::brotli;
use super::hostile::unreal;
use crate::support::{Client, Server};

const WORKERS: u64 = 8;
const SEED: u64 = 20_260_101;
/// What the key of the limited project takes; the clock stands still.
const LIMIT: i64 = 700;

/// One project without rules, one with a limit, one with filters and allowed domains.
const WORLD: &str = r#"
[[organization]]
slug = "acme"

  [[organization.project]]
  slug = "plain"
  id = 31
    [[organization.project.key]]
    public = "11111111111111111111111111111111"

  [[organization.project]]
  slug = "limited"
  id = 32
    [[organization.project.key]]
    public = "22222222222222222222222222222222"
    rate_limit = { count = 700, window = 60 }

  [[organization.project]]
  slug = "choosy"
  id = 33
  options = { "filters:localhost" = true, "sentry:releases" = ["bad@*"], "sentry:error_messages" = ["*noise*"], "sentry:log_messages" = ["debug*"], "sentry:origins" = ["good.example.test"] }
    [[organization.project.key]]
    public = "33333333333333333333333333333333"
"#;

/// What a request should leave: outcome, reason and category to quantity.
type Rows = BTreeMap<(i64, String, i64), i64>;

const ACCEPTED: i64 = 0;
const FILTERED: i64 = 1;
const RATE_LIMITED: i64 = 2;
const INVALID: i64 = 3;
const CLIENT_DISCARD: i64 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Project {
    Plain,
    Limited,
    Choosy,
}

impl Project {
    fn id(self) -> i64 {
        match self {
            Project::Plain => 31,
            Project::Limited => 32,
            Project::Choosy => 33,
        }
    }

    fn key(self) -> String {
        (self.id() - 30).to_string().repeat(32)
    }
}

/// A request, and what it leaves if it is taken.
struct Sent {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    project: Project,
    rows: Rows,
}

/// Items of an envelope with what they count as.
#[derive(Default)]
struct Envelope {
    body: Vec<u8>,
    rows: Rows,
}

fn add(rows: &mut Rows, outcome: i64, reason: &str, quantities: &[(i64, i64)]) {
    for (category, quantity) in quantities {
        *rows
            .entry((outcome, reason.to_owned(), *category))
            .or_default() += quantity;
    }
}

impl Envelope {
    fn item(
        &mut self,
        header: &str,
        payload: &[u8],
        outcome: i64,
        reason: &str,
        quantities: &[(i64, i64)],
    ) {
        let header = header.trim_end_matches('}');
        self.body
            .extend_from_slice(format!("\n{header},\"length\":{}}}\n", payload.len()).as_bytes());
        self.body.extend_from_slice(payload);
        add(&mut self.rows, outcome, reason, quantities);
    }

    fn accepted(&mut self, header: &str, payload: &[u8], quantities: &[(i64, i64)]) {
        self.item(header, payload, ACCEPTED, "", quantities);
    }
}

/// Makes requests. Every one of them is new: ids are never used twice but for the duplicates.
struct Generator {
    random: StdRng,
    number: u64,
    /// Ids of events of the plain project that were accepted.
    kept: Vec<String>,
}

impl Generator {
    fn new(worker: u64) -> Generator {
        Generator {
            random: StdRng::seed_from_u64(SEED + worker),
            number: worker << 40,
            kept: Vec::new(),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn id(&mut self) -> String {
        self.number += 1;
        format!("{:032x}", u128::from(self.number) + (1 << 100))
    }

    fn next(&mut self) -> Sent {
        let project = match self.below(4) {
            0 => Project::Limited,
            1 => Project::Choosy,
            _ => Project::Plain,
        };
        let mut sent = match self.below(28) {
            20 => self.legacy_store(project),
            21 => self.picture(project),
            22 => self.check_in(project),
            23 => self.dump_in_a_form(project),
            24 => self.logs_of_open_telemetry(project),
            25 => self.heroku(project),
            26 => self.playstation(project),
            27 => self.unreal(project),
            0 => self.store(project),
            1 => self.cron(project),
            2 => self.csp(project),
            3 | 4 => self.broken(project),
            5 => self.minidump(project),
            6 => self.attachments(project),
            7 => self.traces(project),
            8 => self.drain(project),
            9 => self.network_error(project),
            10 => self.dialog(project),
            _ => self.envelope(project),
        };
        if project == Project::Choosy && self.one_in(10) {
            // A page that may not send: the request counts as one item.
            sent.headers
                .push(("Origin", "https://evil.example.test".to_owned()));
            let category = match &sent.target {
                target if target.contains("/store/") => 1,
                target if target.contains("/security/") => 3,
                _ => 0,
            };
            sent.rows = Rows::new();
            add(&mut sent.rows, INVALID, "cors", &[(category, 1)]);
        }
        self.encode(&mut sent);
        sent
    }

    fn post(&self, project: Project, endpoint: &str, body: Vec<u8>, rows: Rows) -> Sent {
        Sent {
            method: "POST",
            target: format!(
                "/api/{}/{endpoint}/?sentry_key={}",
                project.id(),
                project.key()
            ),
            headers: Vec::new(),
            body,
            project,
            rows,
        }
    }

    /// An error event and why it would not be kept.
    fn event(&mut self, project: Project, id: &str) -> (String, i64, &'static str) {
        let more = "x".repeat(self.below(2000) as usize);
        let event = |field: &str| {
            format!("{{\"event_id\":\"{id}\",{field},\"extra\":{{\"more\":\"{more}\"}}}}")
        };
        if project == Project::Choosy {
            return match self.below(6) {
                0 => (
                    event("\"release\":\"bad@1.0\""),
                    FILTERED,
                    "release-version",
                ),
                1 => (
                    event("\"message\":\"some noise here\""),
                    FILTERED,
                    "error-message",
                ),
                2 => (
                    event("\"request\":{\"url\":\"http://localhost/\"}"),
                    FILTERED,
                    "localhost",
                ),
                _ => (event("\"release\":\"good@1.0\""), ACCEPTED, ""),
            };
        }
        match self.below(20) {
            0 => ("[1,2".to_owned(), INVALID, "invalid_json"),
            _ => (event("\"message\":\"it broke\""), ACCEPTED, ""),
        }
    }

    fn store(&mut self, project: Project) -> Sent {
        let id = self.id();
        let (event, outcome, reason) = self.event(project, &id);
        let mut rows = Rows::new();
        add(&mut rows, outcome, reason, &[(1, 1)]);
        self.post(project, "store", event.into_bytes(), rows)
    }

    /// The path of old SDKs, which names no project.
    fn legacy_store(&mut self, project: Project) -> Sent {
        let mut sent = self.store(project);
        sent.target = format!("/api/store/?sentry_key={}", project.key());
        if self.one_in(2) {
            // And their way to pack.
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&sent.body).expect("in memory");
            sent.body = STANDARD
                .encode(encoder.finish().expect("in memory"))
                .into_bytes();
        }
        sent
    }

    /// An event in the query of a picture.
    fn picture(&mut self, project: Project) -> Sent {
        let mut sent = self.store(project);
        let data: String = form_urlencoded::byte_serialize(&sent.body).collect();
        sent.target = format!("{}&sentry_data={data}", sent.target);
        sent.method = "GET";
        sent.body = Vec::new();
        sent
    }

    fn check_in(&mut self, project: Project) -> Sent {
        let body = br#"{"status":"ok","duration":12.5}"#;
        let mut sent = self.cron(project);
        sent.target = format!("/api/{}/cron/nightly/{}/", project.id(), project.key());
        sent.method = "POST";
        sent.headers
            .push(("Content-Type", "application/json".to_owned()));
        sent.body = body.to_vec();
        sent
    }

    /// A form of files with what they count as, beside the event that they make.
    fn form(&mut self, project: Project, endpoint: &str, files: &[(&str, &str, &[u8])]) -> Sent {
        let mut body = Vec::new();
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(1, 1)]);
        for (part, name, content) in files {
            let head = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"{name}\"\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
            add(
                &mut rows,
                ACCEPTED,
                "",
                &[(4, content.len() as i64), (22, 1)],
            );
        }
        body.extend_from_slice(b"--edge--\r\n");
        let mut sent = self.post(project, endpoint, body, rows);
        let form = "multipart/form-data; boundary=edge";
        sent.headers.push(("Content-Type", form.to_owned()));
        sent
    }

    fn dump_in_a_form(&mut self, project: Project) -> Sent {
        let mut dump = b"MDMP".to_vec();
        dump.resize(100 + self.below(3000) as usize, 0);
        let log = vec![7; self.below(3000) as usize];
        let files: [(&str, &str, &[u8]); 2] = [
            ("upload_file_minidump", "crash.dmp", &dump),
            ("log", "game.log", &log),
        ];
        self.form(project, "minidump", &files)
    }

    fn playstation(&mut self, project: Project) -> Sent {
        let mut dump = b"\x7fELF".to_vec();
        dump.resize(100 + self.below(3000) as usize, 0);
        let files: [(&str, &str, &[u8]); 1] = [("corefile", "a.prosperodmp", &dump)];
        self.form(project, "playstation", &files)
    }

    fn unreal(&mut self, project: Project) -> Sent {
        let log = vec![7; self.below(3000) as usize];
        let context: &[u8] =
            b"<a><RuntimeProperties><CrashType>Assert</CrashType></RuntimeProperties></a>";
        let files = [
            ("CrashContext.runtime-xml", context),
            ("Game.log", log.as_slice()),
        ];
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&unreal(&files)).expect("in memory");
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(1, 1)]);
        for (_, content) in files {
            add(
                &mut rows,
                ACCEPTED,
                "",
                &[(4, content.len() as i64), (22, 1)],
            );
        }
        let body = encoder.finish().expect("in memory");
        let mut sent = self.post(project, "unreal", body, rows);
        sent.target = format!("/api/{}/unreal/{}/", project.id(), project.key());
        let kind = "application/octet-stream";
        sent.headers.push(("Content-Type", kind.to_owned()));
        sent
    }

    fn logs_of_open_telemetry(&mut self, project: Project) -> Sent {
        let count = self.below(4) as i64 + 1;
        let record = "{\"timeUnixNano\":\"1767312000000000000\",\"severityNumber\":9,\"body\":{\"stringValue\":\"hello\"}}";
        let records = vec![record; count as usize].join(",");
        let body =
            format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{records}]}}]}}]}}");
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(23, count)]);
        self.json(project, "integration/otlp/v1/logs", body, rows)
    }

    fn heroku(&mut self, project: Project) -> Sent {
        let frame =
            "<40>1 2026-01-02T00:00:00+00:00 host app web.3 - State changed from starting to up\n";
        let count = self.below(4) as i64 + 1;
        let body = format!("{} {frame}", frame.len()).repeat(count as usize);
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(23, count)]);
        let mut sent = self.post(project, "integration/heroku/logs", body.into_bytes(), rows);
        sent.headers
            .push(("Content-Type", "application/logplex-1".to_owned()));
        sent
    }

    fn cron(&mut self, project: Project) -> Sent {
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(10, 1)]);
        Sent {
            method: "GET",
            target: format!(
                "/api/{}/cron/nightly/{}/?status=ok",
                project.id(),
                project.key()
            ),
            headers: Vec::new(),
            body: Vec::new(),
            project,
            rows,
        }
    }

    fn csp(&mut self, project: Project) -> Sent {
        let body = "{\"csp-report\":{\"document-uri\":\"https://shop.example.test/\",\
                    \"effective-directive\":\"img-src\",\"blocked-uri\":\"https://bad.example.test/a.png\"}}";
        let mut rows = Rows::new();
        // The report's user is who sent it, which is this machine.
        let (outcome, reason) = match project {
            Project::Choosy => (FILTERED, "localhost"),
            _ => (ACCEPTED, ""),
        };
        add(&mut rows, outcome, reason, &[(3, 1)]);
        let mut sent = self.post(project, "security", body.as_bytes().to_vec(), rows);
        sent.headers
            .push(("Content-Type", "application/csp-report".to_owned()));
        sent
    }

    fn minidump(&mut self, project: Project) -> Sent {
        let mut dump = b"MDMP".to_vec();
        dump.resize(100 + self.below(3000) as usize, 0);
        let mut rows = Rows::new();
        let quantities = [(1, 1), (4, dump.len() as i64), (22, 1)];
        add(&mut rows, ACCEPTED, "", &quantities);
        let mut sent = self.post(project, "minidump", dump, rows);
        sent.headers
            .push(("Content-Type", "application/x-dmp".to_owned()));
        sent
    }

    fn attachments(&mut self, project: Project) -> Sent {
        let id = self.id();
        let mut body = Vec::new();
        let mut rows = Rows::new();
        for number in 0..self.below(3) {
            let bytes = self.below(3000) as usize;
            let head = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"f{number}\"; filename=\"f{number}.bin\"\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend(std::iter::repeat_n(7, bytes));
            body.extend_from_slice(b"\r\n");
            add(&mut rows, ACCEPTED, "", &[(4, bytes as i64), (22, 1)]);
        }
        body.extend_from_slice(b"--edge--\r\n");
        let mut sent = self.post(project, &format!("events/{id}/attachments"), body, rows);
        sent.headers.push((
            "Content-Type",
            "multipart/form-data; boundary=edge".to_owned(),
        ));
        sent
    }

    fn traces(&mut self, project: Project) -> Sent {
        let count = self.below(4) as i64 + 1;
        let span = "{\"traceId\":\"4c79f60c11214eb38604f4ae0781bfb2\",\"spanId\":\"bbbbbbbbbbbbbbbb\",\"name\":\"GET /\",\
                    \"startTimeUnixNano\":\"1767312000000000000\",\"endTimeUnixNano\":\"1767312001000000000\"}";
        let spans = vec![span; count as usize].join(",");
        let body = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{spans}]}}]}}]}}");
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(12, count), (16, count)]);
        self.json(project, "integration/otlp/v1/traces", body, rows)
    }

    fn drain(&mut self, project: Project) -> Sent {
        let body = "[{\"id\":\"1\",\"source\":\"build\",\"timestamp\":1767312000000,\"level\":\"info\",\"message\":\"built\"}]";
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(23, 1)]);
        self.json(project, "integration/vercel/logs", body.to_owned(), rows)
    }

    fn network_error(&mut self, project: Project) -> Sent {
        let body = "[{\"type\":\"network-error\",\"age\":1,\"url\":\"https://shop.example.test/\",\
                    \"body\":{\"type\":\"dns.name_not_resolved\",\"phase\":\"dns\"}}]";
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(23, 1)]);
        self.json(project, "nel", body.to_owned(), rows)
    }

    fn json(&self, project: Project, endpoint: &str, body: String, rows: Rows) -> Sent {
        let mut sent = self.post(project, endpoint, body.into_bytes(), rows);
        sent.headers
            .push(("Content-Type", "application/json".to_owned()));
        sent
    }

    fn dialog(&mut self, project: Project) -> Sent {
        let dsn = format!(
            "http%3A%2F%2F{}%40any.test%2F{}",
            project.key(),
            project.id()
        );
        let mut rows = Rows::new();
        add(&mut rows, ACCEPTED, "", &[(14, 1)]);
        Sent {
            method: "FORM",
            target: format!("/api/embed/error-page/?eventId={}&dsn={dsn}", self.id()),
            headers: Vec::new(),
            body: b"name=Ann&email=ann%40example.test&comments=It+broke".to_vec(),
            project,
            rows,
        }
    }

    /// A request that is refused before its items are known, or for one of them.
    fn broken(&mut self, project: Project) -> Sent {
        let mut rows = Rows::new();
        let body: &[u8] = match self.below(4) {
            0 => {
                add(&mut rows, INVALID, "no_data", &[(0, 1)]);
                b""
            }
            1 => {
                add(&mut rows, INVALID, "invalid_envelope", &[(0, 1)]);
                b"{}\n{\"type\":\"event\",\"length\":100}\n{}"
            }
            2 => {
                add(&mut rows, INVALID, "invalid_envelope", &[(0, 1)]);
                b"no envelope"
            }
            _ => {
                add(&mut rows, INVALID, "too_large:check_in", &[(10, 2), (5, 1)]);
                b"{}\n{\"type\":\"session\"}\n{}\n{\"type\":\"check_in\"}\n{}\n{\"type\":\"check_in\"}\n{}"
            }
        };
        self.post(project, "envelope", body.to_vec(), rows)
    }

    fn envelope(&mut self, project: Project) -> Sent {
        let id = self.id();
        let mut envelope = Envelope {
            body: format!("{{\"event_id\":\"{id}\"}}").into_bytes(),
            rows: Rows::new(),
        };
        let (mut outcome, mut reason) = (ACCEPTED, "");
        match self.below(4) {
            0 => {
                let event;
                (event, outcome, reason) = self.event(project, &id);
                let again = (project == Project::Plain && outcome == ACCEPTED && self.one_in(8))
                    .then(|| self.kept.last().cloned())
                    .flatten();
                if let Some(again) = again {
                    envelope.body = format!("{{\"event_id\":\"{again}\"}}").into_bytes();
                    (outcome, reason) = (INVALID, "duplicate");
                } else if project == Project::Plain && outcome == ACCEPTED {
                    self.kept.push(id.clone());
                }
                envelope.item(
                    "{\"type\":\"event\"}",
                    event.as_bytes(),
                    outcome,
                    reason,
                    &[(1, 1)],
                );
            }
            1 => {
                let spans = self.below(5) as i64;
                let payload = transaction(&id, spans);
                let quantities = [(2, 1), (9, 1), (12, spans + 1), (16, spans + 1)];
                envelope.accepted(
                    "{\"type\":\"transaction\"}",
                    payload.as_bytes(),
                    &quantities,
                );
                if self.one_in(2) {
                    let profile = b"{\"platform\":\"python\"}";
                    envelope.accepted(
                        "{\"type\":\"profile\"}",
                        profile,
                        &[(6, 1), (11, 1), (35, 1)],
                    );
                }
            }
            _ => {}
        }
        for _ in 0..self.below(3) {
            let bytes = self.below(3000) as usize;
            let quantities = [(4, bytes as i64), (22, 1)];
            let payload = vec![7; bytes];
            envelope.item(
                "{\"type\":\"attachment\"}",
                &payload,
                outcome,
                reason,
                &quantities,
            );
        }
        for _ in 0..self.below(4) {
            self.other_item(project, &mut envelope);
        }
        self.post(project, "envelope", envelope.body, envelope.rows)
    }

    /// An item that no event of the envelope decides about, of a kind that may come more than once.
    fn other_item(&mut self, project: Project, envelope: &mut Envelope) {
        match self.below(6) {
            0 => envelope.accepted("{\"type\":\"session\"}", b"{\"status\":\"ok\"}", &[(5, 1)]),
            1 => envelope.accepted("{\"type\":\"sessions\"}", b"{\"aggregates\":[]}", &[(5, 1)]),
            2 => {
                let report = b"{\"discarded_events\":[{\"reason\":\"queue_overflow\",\"category\":\"error\",\"quantity\":3}]}";
                let quantities = [(1, 3)];
                envelope.item(
                    "{\"type\":\"client_report\"}",
                    report,
                    CLIENT_DISCARD,
                    "queue_overflow",
                    &quantities,
                );
            }
            3 => envelope.accepted(
                "{\"type\":\"span\"}",
                b"{\"op\":\"db\"}",
                &[(12, 1), (16, 1)],
            ),
            4 => envelope.accepted("{\"type\":\"newest_thing\"}", b"anything", &[]),
            _ => self.single_item(project, envelope),
        }
    }

    /// An item of a kind that an envelope may have once: at most one of them all. A profile and a chunk of one share
    /// their place.
    fn single_item(&mut self, project: Project, envelope: &mut Envelope) {
        let is_alone = !envelope
            .rows
            .keys()
            .any(|(_, _, category)| matches!(category, 6 | 7 | 10 | 14 | 15 | 18 | 23 | 33));
        if !is_alone {
            return;
        }
        match self.below(7) {
            0 => {
                let payload = b"{\"check_in_id\":\"c0ffee00c0ffee00c0ffee00c0ffee00\",\"monitor_slug\":\"nightly\",\"status\":\"ok\"}";
                envelope.accepted("{\"type\":\"check_in\"}", payload, &[(10, 1)]);
            }
            1 => {
                let payload = b"{\"contexts\":{\"feedback\":{\"message\":\"it is slow\"}}}";
                // Without an event it takes the place of one, and what was bound to that comes along.
                if envelope.rows.is_empty() {
                    envelope.accepted("{\"type\":\"feedback\"}", payload, &[(14, 1)]);
                }
            }
            2 => {
                envelope.accepted(
                    "{\"type\":\"replay_event\"}",
                    b"{\"segment_id\":0}",
                    &[(7, 1)],
                );
                envelope.accepted("{\"type\":\"replay_recording\"}", b"{}\nxyz", &[(7, 1)]);
            }
            3 => envelope.accepted("{\"type\":\"statsd\"}", b"x:1|c", &[(15, 1)]),
            4 => envelope.accepted(
                "{\"type\":\"profile_chunk\"}",
                b"{\"version\":\"2\"}",
                &[(18, 1)],
            ),
            5 => {
                let header = "{\"type\":\"trace_metric\",\"item_count\":2,\"content_type\":\"application/vnd.sentry.items.trace-metric+json\"}";
                envelope.accepted(
                    header,
                    b"{\"items\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
                    &[(33, 2)],
                );
            }
            _ => self.logs(project, envelope),
        }
    }

    fn logs(&mut self, project: Project, envelope: &mut Envelope) {
        let count = self.below(5) as i64 + 1;
        let claimed = if self.one_in(5) { count + 1 } else { count };
        let entry = "{\"body\":\"debug: all is well\"}";
        let entries = vec![entry; count as usize].join(",");
        let payload = format!("{{\"items\":[{entries}]}}");
        let header = format!(
            "{{\"type\":\"log\",\"item_count\":{claimed},\"content_type\":\"application/vnd.sentry.items.log+json\"}}"
        );
        let (outcome, reason) = match (claimed == count, project) {
            (false, _) => (INVALID, "invalid_log"),
            (true, Project::Choosy) => (FILTERED, "log-message"),
            (true, _) => (ACCEPTED, ""),
        };
        let quantities = [(23, count)];
        envelope.item(&header, payload.as_bytes(), outcome, reason, &quantities);
    }

    fn encode(&mut self, sent: &mut Sent) {
        let (name, body) = match self.below(8) {
            3 => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&sent.body).expect("in memory");
                ("deflate", encoder.finish().expect("in memory"))
            }
            // As long as one block of it may be.
            4 if (1..1 << 16).contains(&sent.body.len()) => ("br", brotli(&sent.body)),
            2 => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&sent.body).expect("in memory");
                ("deflate", encoder.finish().expect("in memory"))
            }
            0 => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&sent.body).expect("in memory");
                ("gzip", encoder.finish().expect("in memory"))
            }
            1 => (
                "zstd",
                zstd::stream::encode_all(sent.body.as_slice(), 1).expect("in memory"),
            ),
            _ => return,
        };
        if sent.method == "POST" {
            sent.headers.push(("Content-Encoding", name.to_owned()));
            sent.body = body;
        }
    }
}

fn transaction(id: &str, spans: i64) -> String {
    let span = "{\"trace_id\":\"4c79f60c11214eb38604f4ae0781bfb2\",\"span_id\":\"bbbbbbbbbbbbbbbb\",\
                \"start_timestamp\":1767312000.1,\"timestamp\":1767312000.2}";
    let spans = vec![span; spans as usize].join(",");
    format!(
        "{{\"event_id\":\"{id}\",\"type\":\"transaction\",\"transaction\":\"/shop\",\"start_timestamp\":1767312000,\
         \"timestamp\":1767312001,\"contexts\":{{\"trace\":{{\"trace_id\":\"4c79f60c11214eb38604f4ae0781bfb2\",\
         \"span_id\":\"aaaaaaaaaaaaaaaa\"}}}},\"spans\":[{spans}]}}"
    )
}

fn merge(into: &mut Rows, rows: &Rows) {
    for (key, quantity) in rows {
        *into.entry(key.clone()).or_default() += quantity;
    }
}

/// The ledger's rows of one project.
/// But for the bytes of logs (24): what our own endpoints make of a drain has no size that its sender knows.
fn ledger(file: &Path, project: Project) -> Rows {
    let connection = Connection::open(file).expect("the file opens");
    let mut statement = connection
        .prepare(
            "SELECT outcome, reason, category, sum(quantity) FROM ledger
             WHERE resolution = 86400 AND project_id = ?1 AND category <> 24
             GROUP BY outcome, reason, category",
        )
        .expect("a statement");
    let rows = statement
        .query_map([project.id()], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })
        .expect("rows");
    rows.map(|row| row.expect("a row"))
        .filter(|(_, quantity): &(_, i64)| *quantity != 0)
        .collect()
}

/// What the tables hold of a project, by the category that it was accepted in.
fn tables(file: &Path, project: Project) -> BTreeMap<i64, i64> {
    let connection = Connection::open(file).expect("the file opens");
    let number = |sql: &str| -> i64 {
        connection
            .query_row(sql, [project.id()], |row| row.get(0))
            .expect("a number")
    };
    let events = |kind: i64| {
        number(&format!(
            "SELECT count(*) FROM event WHERE project_id = ?1 AND kind = {kind}"
        ))
    };
    let items = |sum: &str, kinds: &str| {
        number(&format!(
            "SELECT coalesce({sum}, 0) FROM item WHERE project_id = ?1 AND kind IN ({kinds})"
        ))
    };
    let spans_of_transactions: i64 = {
        let mut statement = connection
            .prepare("SELECT payload FROM event WHERE project_id = ?1 AND kind = 2")
            .expect("a statement");
        let payloads = statement
            .query_map([project.id()], |row| row.get::<_, Vec<u8>>(0))
            .expect("rows");
        payloads
            .map(|packed| {
                let json =
                    zstd::stream::decode_all(packed.expect("a row").as_slice()).expect("zstd");
                let event: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                1 + event["spans"].as_array().map_or(0, Vec::len) as i64
            })
            .sum()
    };
    let spans = spans_of_transactions + items("sum(quantity)", "21");
    let attachments = |what: &str| {
        number(&format!(
            "SELECT coalesce({what}, 0) FROM attachment WHERE project_id = ?1"
        ))
    };
    let all = [
        (1, events(0)),
        (2, events(2)),
        (3, events(1)),
        (4, attachments("sum(bytes)")),
        (5, items("count(*)", "10, 11")),
        (6, items("count(*)", "16")),
        (7, items("count(*)", "13, 14, 15")),
        (9, events(2)),
        (10, items("count(*)", "18")),
        (11, items("count(*)", "16")),
        (12, spans),
        (14, events(3) + items("count(*)", "12")),
        (15, items("count(*)", "22, 23")),
        (16, spans),
        (18, items("count(*)", "17")),
        (22, attachments("count(*)")),
        (23, items("sum(quantity)", "19")),
        (33, items("sum(quantity)", "20")),
        (35, items("count(*)", "16")),
    ];
    all.into_iter().filter(|(_, count)| *count != 0).collect()
}

/// The accepted rows of a ledger.
fn accepted(rows: &Rows) -> BTreeMap<i64, i64> {
    rows.iter()
        .filter(|((outcome, _, _), _)| *outcome == ACCEPTED)
        .map(|((_, _, category), quantity)| (*category, *quantity))
        .collect()
}

/// The sums over all outcomes, by category.
fn by_category(rows: &Rows) -> BTreeMap<i64, i64> {
    let mut sums = BTreeMap::new();
    for ((_, _, category), quantity) in rows {
        *sums.entry(*category).or_default() += quantity;
    }
    sums
}

fn requests_wanted() -> u64 {
    std::env::var("CONSERVATION_REQUESTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000)
}

/// `picket check` finds nothing.
fn look_through(file: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_picket"))
        .args(["check", "--data"])
        .arg(file)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_ledger_sums_up_to_what_was_sent() {
    let mut server = Server::start(WORLD);
    let client = server.client();
    let sent: Mutex<BTreeMap<i64, Rows>> = Mutex::default();
    let per_worker = requests_wanted().div_ceil(WORKERS);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (sent, client) = (&sent, &client);
            scope.spawn(move || {
                let mut generator = Generator::new(worker);
                let mut rows: BTreeMap<i64, Rows> = BTreeMap::new();
                for _ in 0..per_worker {
                    let request = generator.next();
                    send(client, &request).expect("an answer");
                    merge(rows.entry(request.project.id()).or_default(), &request.rows);
                }
                let mut all = sent.lock().expect("no panic");
                for (project, rows) in rows {
                    merge(all.entry(project).or_default(), &rows);
                }
            });
        }
    });
    server.stop();
    let file = server.file();
    look_through(&file);
    let mut sent = sent.into_inner().expect("no panic");
    for project in [Project::Plain, Project::Choosy] {
        let mut expected = sent.remove(&project.id()).expect("requests");
        expected.retain(|_, quantity| *quantity != 0);
        let found = ledger(&file, project);
        assert_eq!(found, expected, "project {}", project.id());
        assert_eq!(accepted(&found), tables(&file, project));
    }
    // Which events the limit took depends on who came first; how many does not.
    let expected = sent.remove(&Project::Limited.id()).expect("requests");
    let found = ledger(&file, Project::Limited);
    let mut sums = by_category(&expected);
    sums.retain(|_, quantity| *quantity != 0);
    assert_eq!(by_category(&found), sums);
    assert_eq!(accepted(&found), tables(&file, Project::Limited));
    let of = |rows: &Rows, outcome: i64, category: i64| -> i64 {
        rows.iter()
            .filter(|((o, _, c), _)| (*o, *c) == (outcome, category))
            .map(|(_, quantity)| quantity)
            .sum()
    };
    let taken = |rows: &Rows| of(rows, ACCEPTED, 1) + of(rows, ACCEPTED, 3);
    assert!(taken(&expected) > LIMIT, "more than the limit was sent");
    assert_eq!(taken(&found), LIMIT);
    let refused = of(&found, RATE_LIMITED, 1) + of(&found, RATE_LIMITED, 3);
    assert!(refused >= taken(&expected) - LIMIT);
}

/// The status, if there was an answer.
fn send(client: &Client, request: &Sent) -> Option<u16> {
    let mut client = client.clone();
    for (name, value) in &request.headers {
        client = client.with_header(name, value);
    }
    // A form is never compressed by its sender.
    let method = request.method.replace("FORM", "POST");
    let body = (method == "POST").then_some(request.body.as_slice());
    let answer = client.try_send(&method, &request.target, body)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        answer.status < 500,
        "{} {}: {text}",
        answer.status,
        request.target
    );
    Some(answer.status)
}

#[test]
fn between_kills_the_ledger_holds_no_less_than_was_acknowledged_and_no_more_than_was_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let (mut acknowledged, mut sent) = (Rows::new(), Rows::new());
    let worker_number = AtomicU64::new(100);
    for round in 0..6u64 {
        let mut process = ServerProcess::start_world(&file, WORLD);
        let client = Client::new(process.address());
        let stop = AtomicBool::new(false);
        let totals = Mutex::new((Rows::new(), Rows::new()));
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                let (stop, totals, client) = (&stop, &totals, &client);
                let worker = worker_number.fetch_add(1, Ordering::Relaxed);
                scope.spawn(move || {
                    let mut generator = Generator::new(worker);
                    while !stop.load(Ordering::Relaxed) {
                        let request = generator.next();
                        if request.project != Project::Plain {
                            continue;
                        }
                        let status = send(client, &request);
                        let mut totals = totals.lock().expect("no panic");
                        merge(&mut totals.1, &request.rows);
                        match status {
                            Some(_) => merge(&mut totals.0, &request.rows),
                            // Whether the event before was kept is not known any more.
                            None => generator.kept.clear(),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300 + round * 71 % 200));
            process.kill();
            stop.store(true, Ordering::Relaxed);
        });
        let totals = totals.into_inner().expect("no panic");
        merge(&mut acknowledged, &totals.0);
        merge(&mut sent, &totals.1);

        look_through(&file);
        let found = ledger(&file, Project::Plain);
        for (key, quantity) in &acknowledged {
            assert!(
                found.get(key).copied().unwrap_or(0) >= *quantity,
                "{key:?} is missing"
            );
        }
        for (key, quantity) in &found {
            assert!(
                sent.get(key).copied().unwrap_or(0) >= *quantity,
                "{key:?} is counted twice"
            );
        }
        assert_eq!(accepted(&found), tables(&file, Project::Plain));
    }
    assert!(!acknowledged.is_empty(), "there was load");
}
