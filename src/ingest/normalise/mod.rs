//! Brings an event into the one shape that everything after it reads (facts/ingestion.md 5).
//!
//! Nothing that an SDK puts into a field makes an error event invalid: what cannot be read is left out, and
//! [`Meta`] remembers it. All is done in place, and a field that is fine already is not copied. Nulls at the
//! places named here are left out.
//!
//! Afterwards, whatever came:
//!
//! | field | shape |
//! |---|---|
//! | `event_id` | 32 lower-case hex digits |
//! | `timestamp`, `received` | float, seconds since 1970; also `start_timestamp`, and those of breadcrumbs and spans |
//! | `type` | `error`, `default`, `csp` and the other reports, `transaction`, `feedback`, `replay_event` |
//! | `level` | `debug`, `info`, `warning`, `error`, `fatal`; a replay has none unless it came with one |
//! | `platform` | a known one, else `other` |
//! | `release`, `environment`, `dist`, `logger`, `transaction`, `culprit` | text that is not empty, or absent |
//! | `tags` | `[[key, value], ...]`, at most 200, each key once; a value is a text, or null if it came so |
//! | `logentry` | `{"formatted": text, "message"?: template, "params"?}`; there is no top-level `message` |
//! | `exception`, `threads`, `breadcrumbs` | `{"values": [object, ...]}`, never empty |
//! | stack traces | `{"frames": [object, ...], ...}`, without `frames` rather than with none; `vars` is an object |
//! | `stacktrace` | only if there is not exactly one exception to take it |
//! | `user` | `id`, `email`, `username`, `name`, `segment`: texts; `ip_address`: an address; `geo`, `data`: objects |
//! | `request` | `headers`, `cookies`, `query_string`: `[[name, text], ...]`; names of headers are title-cased, the cookies are not among them; `env`: object; `data`: anything; `url` without query and fragment |
//! | `contexts` | object of objects |
//! | `extra`, `modules`, `sdk`, `debug_meta`, `template` | objects |
//! | `errors` | list of objects |
//! | `fingerprint` | list of texts |
//!
//! Unknown fields stay as they are. A second time changes nothing, but for a clock that is wrong: that is set
//! right by what the envelope says, not by what the event says.

mod breadcrumbs;
mod contexts;
mod exception;
mod level;
mod message;
mod pairs;
mod release;
mod request;
mod stacktrace;
mod tags;
mod time;
mod transaction;
mod trim;
mod user;
mod value;
mod values;

use std::net::IpAddr;

pub(super) use release::{environment_name, release_name};

use super::items::Kind;
use super::json::{Map, Node};
use super::meta::{Meta, Path};
use crate::domain::event_id::EventId;
use crate::domain::time::Timestamp;

const LOGGER_CHARS_MAX: usize = 64;
/// Nobody groups by more.
const FINGERPRINT_PARTS_MAX: usize = 100;
const TRANSACTION_CHARS_MAX: usize = 200;
const CULPRIT_CHARS_MAX: usize = 200;
/// It becomes a tag, so a tag's limit counts instead of its own.
const SERVER_NAME_CHARS_MAX: usize = 200;
const SDK_BYTES_MAX: usize = 16 << 10;
/// In milliseconds; also the protocol's.
const TIME_SPENT_BELOW: u64 = 2_147_483_647;

/// What old SDKs call the fields.
const LEGACY_PREFIX: &str = "sentry.interfaces.";
const LEGACY_NAMES: [(&str, &str); 11] = [
    ("sentry.interfaces.Message", "logentry"),
    ("sentry.interfaces.Exception", "exception"),
    ("sentry.interfaces.Stacktrace", "stacktrace"),
    ("sentry.interfaces.Http", "request"),
    ("sentry.interfaces.User", "user"),
    ("sentry.interfaces.Template", "template"),
    ("sentry.interfaces.Breadcrumbs", "breadcrumbs"),
    ("sentry.interfaces.Contexts", "contexts"),
    ("sentry.interfaces.Threads", "threads"),
    ("sentry.interfaces.DebugMeta", "debug_meta"),
    ("sentry.interfaces.Csp", "csp"),
];

/// The common ones first.
const PLATFORMS: [&str; 19] = [
    "javascript",
    "python",
    "php",
    "java",
    "node",
    "csharp",
    "ruby",
    "go",
    "cocoa",
    "native",
    "objc",
    "other",
    "elixir",
    "perl",
    "c",
    "haskell",
    "groovy",
    "as3",
    "cfml",
];

/// The types that security reports have, which are also the names of their fields.
const REPORT_TYPES: [&str; 4] = ["csp", "hpkp", "expectct", "expectstaple"];

/// What is known of an event beside its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) kind: Kind,
    pub(super) id: EventId,
    pub(super) received: Timestamp,
    /// When the SDK sent it, by its own clock, in microseconds since 1970; that may be before 1970.
    pub(super) sent_us: Option<i64>,
    /// The client's address.
    pub(super) peer: IpAddr,
}

/// Brings an event into its shape. An error is the ledger's reason for a transaction or a feedback that is none.
pub(super) fn event(
    event: &mut Map<'_>,
    around: &Surroundings,
    meta: &mut Meta,
) -> Result<(), &'static str> {
    rename_legacy(event);
    match around.kind {
        Kind::Transaction => transaction::check(event)?,
        Kind::Feedback => contexts::check_feedback(event)?,
        _ => {}
    }
    message::take_message(event);
    fields(event, around, meta);
    exception::take_stacktrace(event);
    release::take_environment_from_tags(event, meta);
    tags::take_field(event, "server_name", meta);
    fill_in(event, around);
    user::infer_address(event, around);
    time::settle(event, around, meta);
    value::drop_nulls(event);
    Ok(())
}

fn rename_legacy(event: &mut Map<'_>) {
    if !event.iter().any(|(key, _)| key.starts_with(LEGACY_PREFIX)) {
        return;
    }
    for (old, new) in LEGACY_NAMES {
        if let Some(value) = event.remove(old) {
            let slot = event.entry(new);
            if slot.is_null() {
                *slot = value;
            }
        }
    }
}

/// Each field for itself; what cannot be read becomes null.
fn fields(event: &mut Map<'_>, around: &Surroundings, meta: &mut Meta) {
    let root = Path::ROOT;
    for (key, node) in event.iter_mut() {
        let path = &root.key(key);
        match key {
            "level" => level::field(node, path, meta),
            "platform" => platform(node),
            "logger" => logger(node, path, meta),
            "transaction" => value::trimmed(node, TRANSACTION_CHARS_MAX, path, meta),
            "culprit" => value::text(node, CULPRIT_CHARS_MAX, path, meta),
            "server_name" => value::trimmed(node, SERVER_NAME_CHARS_MAX, path, meta),
            "release" => release::release(node, path, meta),
            "environment" => release::environment(node, path, meta),
            "dist" => release::dist(node, path, meta),
            "tags" => tags::field(node, path, meta),
            "extra" => contexts::extra(node, path, meta),
            "modules" => contexts::modules(node, path, meta),
            "contexts" => contexts::field(node, path, meta),
            "fingerprint" => fingerprint(node, path, meta),
            "logentry" => message::field(node, path, meta),
            "exception" => exception::field(node, path, meta),
            "threads" => exception::threads(node, path, meta),
            "stacktrace" => stacktrace::field(node, path, meta),
            "breadcrumbs" => breadcrumbs::field(node, path, meta),
            "user" => user::field(node, around.peer, path, meta),
            "request" => request::field(node, around.peer, path, meta),
            "sdk" => sdk(node, path, meta),
            // Whose an event is says the key that it came with.
            "project" | "key_id" | "site" => {
                node.take();
            }
            "debug_meta" | "template" => {
                value::object(node, path, meta);
            }
            "errors" => errors(node, path, meta),
            "time_spent" => value::count(node, TIME_SPENT_BELOW, path, meta),
            "measurements" if around.kind == Kind::Transaction => {
                value::object(node, path, meta);
            }
            "measurements" => {
                node.take();
            }
            "spans" if around.kind == Kind::Transaction => transaction::spans(node, path, meta),
            key if time::is_moment(key) => time::field(node, path, meta),
            _ => {}
        }
    }
}

fn platform(node: &mut Node<'_>) {
    if !node.as_str().is_some_and(|text| PLATFORMS.contains(&text)) {
        *node = Node::text("other");
    }
}

fn logger(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    value::text(node, LOGGER_CHARS_MAX, path, meta);
    if node
        .as_str()
        .is_some_and(|text| text.contains(['\r', '\n']))
    {
        value::refuse(node, "invalid characters in logger", path, meta);
    }
}

fn sdk(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(sdk) = value::object(node, path, meta) else {
        return;
    };
    for (key, node) in sdk.iter_mut() {
        let path = &path.key(key);
        match (key, &*node) {
            (_, Node::Null) | ("name" | "version", Node::Text(_)) => {}
            ("name" | "version", _) => value::refuse(node, "expected a string", path, meta),
            ("integrations" | "packages", _) => {
                value::list(node, path, meta);
            }
            _ => {}
        }
    }
    value::drop_nulls(sdk);
    value::bounded_object(node, SDK_BYTES_MAX, path, meta);
}

fn fingerprint(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if matches!(node, Node::Text(_) | Node::Number(_)) {
        *node = Node::List(vec![node.take()]);
    }
    let Some(list) = value::list(node, path, meta) else {
        return;
    };
    list.truncate(FINGERPRINT_PARTS_MAX);
    for (index, part) in list.iter_mut().enumerate() {
        value::text(part, value::UNLIMITED, &path.index(index), meta);
    }
    list.retain(|part| !part.is_null());
    if list.is_empty() {
        node.take();
    }
}

fn errors(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if let Some(list) = value::list(node, path, meta) {
        value::keep_objects(list, path, meta);
        if list.is_empty() {
            node.take();
        }
    }
}

/// What every event has, whether it came with it or not.
fn fill_in(event: &mut Map<'_>, around: &Surroundings) {
    let id = event.entry("event_id");
    if !node_is_id(id, around.id) {
        *id = Node::text(around.id.to_string());
    }
    let kind = kind(event, around.kind);
    event.insert("type", Node::text(kind));
    let platform = event.entry("platform");
    if platform.is_null() {
        *platform = Node::text("other");
    }
    let level = match around.kind {
        Kind::ReplayEvent => return,
        Kind::Transaction | Kind::Feedback => "info",
        _ => "error",
    };
    let slot = event.entry("level");
    if slot.is_null() {
        *slot = Node::text(level);
    }
}

/// Whether a field holds this id in the one spelling that is stored.
fn node_is_id(node: &Node<'_>, id: EventId) -> bool {
    let is_plain = |text: &str| {
        text.len() == 32
            && !text.bytes().any(|b| b.is_ascii_uppercase())
            && EventId::parse(text) == Some(id)
    };
    node.as_str().is_some_and(is_plain)
}

/// An SDK's word is taken for reports only; what an error is shows (facts/ingestion.md 5.2).
fn kind(event: &Map<'_>, kind: Kind) -> &'static str {
    match kind {
        Kind::Transaction => "transaction",
        Kind::Feedback => "feedback",
        Kind::ReplayEvent => "replay_event",
        Kind::Security | Kind::RawSecurity => {
            let own = event.str("type");
            let by_name = REPORT_TYPES.into_iter().find(|name| own == Some(name));
            let by_field = || {
                REPORT_TYPES
                    .into_iter()
                    .find(|name| event.map(name).is_some())
            };
            by_name.or_else(by_field).unwrap_or("default")
        }
        _ if event.map("exception").is_some() => "error",
        _ => "default",
    }
}

#[cfg(test)]
mod tests;
