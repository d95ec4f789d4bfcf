//! Requests that mean no good: each is answered as the rules say, counted as the rules say, and paid for with a
//! bounded amount of memory, while everybody else is served.
//!
//! An [`Attack`] is a request with its answer and its rows in the ledger. Each file has the attacks of one kind,
//! and sends them to a server in a process of its own, so that an overflowing stack is a failed test and not the
//! end of all tests.

mod bombs;
pub(super) use bombs::unreal;
mod counts;
mod framing;
mod nesting;
mod sizes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::crash::ServerProcess;
use crate::support::{Answer, Client, KEY};

/// What the server may need beyond what it needs when idle, whatever it is sent.
const MEMORY_BYTES_MAX: u64 = 96 << 20;

/// The most that the server takes as one body.
const BODY_BYTES_MAX: usize = 40 << 20;

/// So many attacks are on their way at a time.
const AT_ONCE: usize = 4;

const ACCEPTED: i64 = 0;
const INVALID: i64 = 3;

/// Numbers of data categories (facts/ingestion.md 4.6).
mod category {
    pub(super) const DEFAULT: i64 = 0;
    pub(super) const ERROR: i64 = 1;
    pub(super) const TRANSACTION: i64 = 2;
    pub(super) const SECURITY: i64 = 3;
    pub(super) const ATTACHMENT: i64 = 4;
    pub(super) const SESSION: i64 = 5;
    pub(super) const REPLAY: i64 = 7;
    pub(super) const TRANSACTION_INDEXED: i64 = 9;
    pub(super) const MONITOR: i64 = 10;
    pub(super) const SPAN: i64 = 12;
    pub(super) const FEEDBACK: i64 = 14;
    pub(super) const METRIC_BUCKET: i64 = 15;
    pub(super) const SPAN_INDEXED: i64 = 16;
    pub(super) const ATTACHMENT_ITEM: i64 = 22;
    pub(super) const LOG_ITEM: i64 = 23;
    pub(super) const LOG_BYTE: i64 = 24;
    pub(super) const TRACE_METRIC: i64 = 33;
}

/// Quantities by category, outcome and reason.
type Ledger = BTreeMap<(i64, i64, String), i64>;

/// A request, how it is answered, and what it adds to the ledger.
#[derive(Clone)]
struct Attack {
    name: String,
    target: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    rows: Vec<(i64, i64, String, i64)>,
}

impl Attack {
    /// A body for an endpoint: what stands behind the project in its path. Expected to be taken without a trace.
    fn new(name: impl Into<String>, endpoint: &str, body: impl Into<Vec<u8>>) -> Attack {
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Attack {
            name: format!("{endpoint} {}", name.into()),
            target: format!("/api/31/{endpoint}{separator}sentry_key={KEY}"),
            headers: Vec::new(),
            body: body.into(),
            status: 200,
            rows: Vec::new(),
        }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Attack {
        self.headers.push((name, value));
        self
    }

    fn content_type(self, value: &'static str) -> Attack {
        self.header("Content-Type", value)
    }

    fn encoded(self, value: &'static str) -> Attack {
        self.header("Content-Encoding", value)
    }

    fn answered(mut self, status: u16) -> Attack {
        self.status = status;
        self
    }

    fn accepted(self, category: i64, quantity: usize) -> Attack {
        self.row(category, ACCEPTED, "", quantity)
    }

    fn invalid(self, category: i64, reason: impl Into<String>, quantity: usize) -> Attack {
        self.row(category, INVALID, reason, quantity)
    }

    fn row(
        mut self,
        category: i64,
        outcome: i64,
        reason: impl Into<String>,
        quantity: usize,
    ) -> Attack {
        self.rows
            .push((category, outcome, reason.into(), quantity as i64));
        self
    }

    /// Sends it and looks at the answer.
    fn launch(&self, client: Client) -> Vec<String> {
        let client = self.headers.iter().fold(client, |client, (name, value)| {
            client.with_header(name, value)
        });
        let Some(answer) = client.try_send("POST", &self.target, Some(&self.body)) else {
            return vec![format!("{}: no answer", self.name)];
        };
        let mut faults = Vec::new();
        if answer.status != self.status {
            let (status, text) = (answer.status, String::from_utf8_lossy(&answer.body));
            faults.push(format!(
                "{}: {status} instead of {}: {text}",
                self.name, self.status
            ));
        }
        if answer.status >= 400 {
            faults.extend(refusal_fault(&answer).map(|fault| format!("{}: {fault}", self.name)));
        }
        faults
    }
}

/// What is wrong with a refusal as browsers and SDKs read it.
fn refusal_fault(answer: &Answer) -> Option<String> {
    if answer.header("Access-Control-Allow-Origin") != Some("*") {
        return Some("no CORS header".to_owned());
    }
    let json: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let has_detail = json.is_some_and(|json| json["detail"].is_string());
    if !has_detail || answer.body.len() > 1000 {
        return Some("no short JSON with a detail".to_owned());
    }
    None
}

/// A server under attack, in a process of its own.
struct Victim {
    process: ServerProcess,
    file: PathBuf,
    _directory: tempfile::TempDir,
    idle_bytes: u64,
}

impl Victim {
    fn start() -> Victim {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("picket.db");
        let process = ServerProcess::start(&file, None);
        let victim = Victim {
            idle_bytes: process.memory_peak(),
            process,
            file,
            _directory: directory,
        };
        assert_eq!(victim.small_event().status, 200);
        victim
    }

    fn client(&self) -> Client {
        Client::new(self.process.address())
    }

    /// What everybody else sends.
    fn small_event(&self) -> Answer {
        let target = format!("/api/31/store/?sentry_key={KEY}");
        self.client().post(&target, b"{\"message\":\"small\"}")
    }

    fn ledger(&self) -> Ledger {
        let connection = Connection::open(&self.file).expect("the file opens");
        let mut statement = connection
            .prepare(
                "SELECT category, outcome, reason, sum(quantity) FROM ledger
                 WHERE resolution = 86400 GROUP BY category, outcome, reason",
            )
            .expect("a statement");
        let rows = statement
            .query_map([], |row| {
                Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
            })
            .expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    /// Sends attacks, some at a time, while somebody else sends small events. Each must be answered and counted as
    /// it says, and every small event be taken.
    fn withstands(&self, attacks: &[Attack]) {
        self.withstands_within(attacks, MEMORY_BYTES_MAX);
    }

    /// As [`Victim::withstands`], with so much memory above what is needed when idle.
    fn withstands_within(&self, attacks: &[Attack], memory_bytes_max: u64) {
        let before = self.ledger();
        let waiting = Mutex::new(attacks.iter());
        let faults = Mutex::new(Vec::new());
        let is_over = AtomicBool::new(false);
        let small_events = std::thread::scope(|scope| {
            let others = scope.spawn(|| self.small_events(&is_over));
            let attacker = || {
                let next = || waiting.lock().expect("no panic").next();
                while let Some(attack) = next() {
                    let found = attack.launch(self.client());
                    faults.lock().expect("no panic").extend(found);
                }
            };
            let attackers = [(); AT_ONCE].map(|()| scope.spawn(attacker));
            let ended = attackers.map(|attacker| attacker.join().is_ok());
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(ended, [true; AT_ONCE]);
            others.join().expect("every small event is taken")
        });
        let faults = faults.into_inner().expect("no panic");
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let mut expected = attacks.iter().fold(before, with_rows);
        let events = (category::ERROR, ACCEPTED, String::new());
        *expected.entry(events).or_default() += small_events;
        let after = self.ledger();
        assert!(
            after == expected,
            "{:?} instead of {:?} in the ledger",
            without(&after, &expected),
            without(&expected, &after),
        );
        self.kept_its_memory_within(memory_bytes_max);
    }

    /// Sends small events one after the other until it is over; how many.
    fn small_events(&self, is_over: &AtomicBool) -> i64 {
        let mut sent = 0;
        while sent == 0 || !is_over.load(Ordering::Relaxed) {
            assert_eq!(self.small_event().status, 200);
            sent += 1;
        }
        sent
    }

    /// The files without a name that the server has open: bodies that are on their way.
    fn spooled_files(&self) -> Vec<PathBuf> {
        self.process
            .open_files()
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with("(deleted)"))
            .collect()
    }

    fn kept_its_memory(&self) {
        self.kept_its_memory_within(MEMORY_BYTES_MAX);
    }

    fn kept_its_memory_within(&self, bytes_max: u64) {
        let needed = self.process.memory_peak() - self.idle_bytes;
        assert!(needed < bytes_max, "{} MB", needed >> 20);
    }
}

fn with_rows(mut ledger: Ledger, attack: &Attack) -> Ledger {
    for (category, outcome, reason, quantity) in &attack.rows {
        *ledger
            .entry((*category, *outcome, reason.clone()))
            .or_default() += quantity;
    }
    ledger
}

/// The rows of a ledger that another does not have.
fn without(ledger: &Ledger, other: &Ledger) -> Ledger {
    ledger
        .iter()
        .filter(|(key, quantity)| other.get(*key) != Some(*quantity))
        .map(|(key, quantity)| (key.clone(), *quantity))
        .collect()
}

/// An envelope with these lines.
fn envelope(lines: impl AsRef<str>) -> String {
    format!("{{}}\n{}\n", lines.as_ref())
}

/// An envelope with one item, as long as it says.
fn item(kind: &str, payload: &str) -> String {
    item_with(kind, "", payload)
}

/// As [`item`], with more fields in the item's header, each after a comma.
fn item_with(kind: &str, fields: &str, payload: &str) -> String {
    let len = payload.len();
    envelope(format!(
        "{{\"type\":\"{kind}\",\"length\":{len}{fields}}}\n{payload}"
    ))
}

/// An envelope with a container of logs, metrics or spans, as SDKs send it.
fn container(kind: &str, entries: &str, count: usize) -> String {
    let kind_in_type = if kind == "span" { "span.v2" } else { kind };
    let fields = format!(
        ",\"item_count\":{count},\"content_type\":\"application/vnd.sentry.items.{kind_in_type}+json\""
    );
    item_with(kind, &fields, &format!("{{\"items\":[{entries}]}}"))
}

const FORM: &str = "multipart/form-data; boundary=edge";

/// A form of parts that are given as the rest of their disposition and their content.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        let head = format!("--edge\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

const DUMP_PART: &str = "name=upload_file_minidump; filename=core.dmp";

/// What a minidump begins with.
const DUMP: &[u8] = b"MDMP\x93\xa7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
