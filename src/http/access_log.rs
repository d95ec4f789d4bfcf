//! The access log: a line of JSON for every request that was answered, refused or left unanswered.
//!
//! A thread of its own writes. Who has something to write hands it over and goes on; when too much waits, a line is
//! dropped and counted. So a full or slow disk costs lines and never a request.
//!
//! A line holds neither query, fields nor bodies, and of the path no part that looks like a key or a token ([`shown`]).
//! The client's address is in it: whoever switches the log on wants it.
//!
//! When the file's name leads to another file, or to none, it is opened anew, at most a second later. So a log can be
//! rotated by renaming it, without telling the server.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::domain::measure::Counter;
use crate::domain::time::Timestamp;

use super::lock;
use super::metrics::Front;

/// Lines that wait to be written: a second or so of a busy server.
const WAITING_MAX: usize = 16 * 1024;
/// What is collected before it is written, while more waits.
const BUFFER_BYTES: usize = 64 * 1024;
/// How often the name is looked up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A longer path is cut.
const PATH_BYTES_MAX: usize = 1024;
/// So many letters and digits in a row, with a digit among them, may be a key or a token.
const SECRET_BYTES_MIN: usize = 24;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTo {
    Stderr,
    File(PathBuf),
}

/// What is written of one request.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) received: Timestamp,
    pub(super) request_id: String,
    pub(super) client: IpAddr,
    pub(super) method: String,
    /// As it was sent, without its query.
    pub(super) path: String,
    pub(super) front: Front,
    /// None: the connection was closed without an answer.
    pub(super) status: Option<u16>,
    pub(super) body_bytes_received: u64,
    pub(super) body_bytes_sent: u64,
    pub(super) took: Duration,
}

enum Message {
    Line(Line),
    Stop,
}

/// The running thread.
#[derive(Debug)]
pub struct AccessLog {
    lines: SyncSender<Message>,
    dropped: Arc<Counter>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub fn start(to: AccessLogTo) -> io::Result<AccessLog> {
        let mut out = Output::open(to)?;
        let (lines, waiting) = mpsc::sync_channel(WAITING_MAX);
        let dropped = Arc::new(Counter::default());
        let counter = Arc::clone(&dropped);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&waiting, &mut out, &counter))?;
        Ok(AccessLog {
            lines,
            dropped,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn write(&self, line: Line) {
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.dropped.add(1);
        }
    }

    /// Lines that were not written.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Writes what waits and ends.
    pub fn stop(&self) {
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // It fails only if the thread is gone.
        let _ = self.lines.send(Message::Stop);
        if thread.join().is_err() {
            log::error!("the thread of the access log panicked");
        }
    }
}

fn write_all(waiting: &Receiver<Message>, out: &mut Output, dropped: &Counter) {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut lines = 0;
    loop {
        let message = match waiting.try_recv() {
            Ok(message) => Ok(message),
            Err(_) => {
                out.write(&mut buffer, &mut lines, dropped);
                // Woken now and then, so that a file that was moved away is let go.
                waiting.recv_timeout(LOOK_EVERY)
            }
        };
        match message {
            Ok(Message::Line(line)) => {
                append(&line, &mut buffer);
                lines += 1;
                if buffer.len() >= BUFFER_BYTES {
                    out.write(&mut buffer, &mut lines, dropped);
                }
            }
            Err(RecvTimeoutError::Timeout) => out.follow_name(),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                return out.write(&mut buffer, &mut lines, dropped);
            }
        }
    }
}

enum Output {
    Stderr,
    File {
        path: PathBuf,
        file: File,
        looked: Instant,
    },
}

impl Output {
    fn open(to: AccessLogTo) -> io::Result<Output> {
        Ok(match to {
            AccessLogTo::Stderr => Output::Stderr,
            AccessLogTo::File(path) => Output::File {
                file: open(&path)?,
                path,
                looked: Instant::now(),
            },
        })
    }

    /// Writes and empties the buffer, which holds so many lines.
    fn write(&mut self, buffer: &mut Vec<u8>, lines: &mut u64, dropped: &Counter) {
        if buffer.is_empty() {
            return;
        }
        self.follow_name();
        let written = match self {
            Output::Stderr => io::stderr().lock().write_all(buffer),
            Output::File { file, .. } => file.write_all(buffer),
        };
        if let Err(error) = written {
            dropped.add(*lines);
            log::warn!("the access log cannot be written: {error}");
        }
        buffer.clear();
        *lines = 0;
    }

    fn follow_name(&mut self) {
        let Output::File { path, file, looked } = self else {
            return;
        };
        if looked.elapsed() < LOOK_EVERY {
            return;
        }
        *looked = Instant::now();
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let ours = file.metadata().map(identity).ok();
        if ours.is_some() && std::fs::metadata(&*path).map(identity).ok() == ours {
            return;
        }
        match open(path) {
            Ok(opened) => *file = opened,
            Err(error) => log::warn!("the access log cannot be opened again: {error}"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

#[derive(Serialize)]
struct LineBody<'a> {
    time: Timestamp,
    request_id: &'a str,
    client: IpAddr,
    method: &'a str,
    path: String,
    front: &'static str,
    status: Option<u16>,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
}

fn append(line: &Line, buffer: &mut Vec<u8>) {
    let body = LineBody {
        time: line.received,
        request_id: &line.request_id,
        client: line.client,
        method: &line.method,
        path: shown(&line.path),
        front: line.front.name(),
        status: line.status,
        bytes_in: line.body_bytes_received,
        bytes_out: line.body_bytes_sent,
        // Microseconds are enough.
        duration_ms: line.took.as_micros() as f64 / 1000.0,
    };
    // Writing into memory what has no map in it cannot fail.
    if serde_json::to_writer(&mut *buffer, &body).is_ok() {
        buffer.push(b'\n');
    }
}

/// The path without what may be a key or a token: `{hidden}` stands for every run of many letters and digits with a digit
/// among them. Keys, and the tokens of links, are hexadecimal and longer than that; event ids look the same and are
/// hidden with them.
fn shown(path: &str) -> String {
    let mut end = path.len().min(PATH_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = String::with_capacity(end);
    let mut rest = &path[..end];
    while !rest.is_empty() {
        // An escaped letter is a letter.
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '%';
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        let is_secret = word.len() >= SECRET_BYTES_MIN && word.bytes().any(|b| b.is_ascii_digit());
        out.push_str(if is_secret { "{hidden}" } else { word });
        let other = after.find(is_part).unwrap_or(after.len());
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
    if end < path.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_or_a_token_is_hidden() {
        let token = "0123456789abcdef".repeat(4);
        for (path, expected) in [
            ("/", "/"),
            ("", ""),
            ("/api/31/envelope/", "/api/31/envelope/"),
            (
                "/api/0/projects/acme/a-web-project-of-2026/keys/",
                "/api/0/projects/acme/a-web-project-of-2026/keys/",
            ),
            (
                "/js-sdk-loader/0123456789abcdef0123456789abcdef.min.js",
                "/js-sdk-loader/{hidden}.min.js",
            ),
            ("/a/%30123456789abcdef0123456789abcdef", "/a/{hidden}"),
            ("/ü/ä", "/ü/ä"),
        ] {
            assert_eq!(shown(path), expected);
        }
        for path in ["/accept/3/", "/account/set-up/", "/x_", "/sntryu_"] {
            assert_eq!(
                shown(&format!("{path}{token}/")),
                format!("{path}{{hidden}}/")
            );
        }
    }

    #[test]
    fn an_endless_path_is_cut_between_letters() {
        let path = format!("/{}", "ü".repeat(PATH_BYTES_MAX));
        let shown = shown(&path);
        assert!(shown.ends_with("ü…"));
        assert!(shown.len() <= PATH_BYTES_MAX + '…'.len_utf8());
    }
}
