//! Real payloads of many SDKs, odd ones included, are taken (facts/ingestion.md 4.1 and 5.1).

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{KEY, Server, WORLD, shared};

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Some(folder) = shared(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect()
}

#[test]
fn every_event_is_taken_by_store_and_in_an_envelope() {
    let server = Server::start(WORLD);
    let events = files("corpora/events");
    for (at, (name, event)) in events.iter().enumerate() {
        let answer = server
            .client()
            .post(&format!("/api/31/store/?sentry_key={KEY}"), event);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let id = at + 1;
        let mut envelope = format!(
            "{{\"event_id\":\"{id:032x}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n",
            event.len()
        )
        .into_bytes();
        envelope.extend_from_slice(event);
        let answer = server
            .client()
            .post(&format!("/api/31/envelope/?sentry_key={KEY}"), &envelope);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let stored = server.event(&format!("{id:032x}"));
        assert_eq!(stored["event_id"], format!("{id:032x}"), "{name}");
        assert_keeps(&stored, &serde_json::from_slice(event).expect("JSON"), name);
    }
    let invalid: Vec<_> = server
        .ledger()
        .into_iter()
        .filter(|(_, outcome, reason, _)| *outcome != 0 && reason != "duplicate")
        .collect();
    assert_eq!(invalid, [], "every one of them is an event");
}

/// What makes an error recognisable is the same as it was sent.
fn assert_keeps(stored: &Value, sent: &Value, name: &str) {
    let exceptions = |event: &Value| -> Vec<Value> {
        let list = &event["exception"];
        let values = list["values"].as_array().or(list.as_array());
        values
            .into_iter()
            .flatten()
            .map(|exception| exception["type"].clone())
            .collect()
    };
    assert_eq!(exceptions(stored), exceptions(sent), "{name}");
    let text = |event: &Value| event["release"].as_str().map(str::trim).map(str::to_owned);
    assert_eq!(text(stored), text(sent), "{name}");
}

/// Envelopes that the grammar refuses, each with its rule.
const REFUSED: [(&str, &str); 2] = [
    (
        "continuous_profiling-profile_chunk_1.txt",
        "truncated: the length says 1671, 1644 bytes follow",
    ),
    (
        "continuous_profiling-profile_chunk_2.txt",
        "truncated: the length says 1432, 1405 bytes follow",
    ),
];

#[test]
fn every_envelope_is_taken_unless_the_grammar_refuses_it() {
    let server = Server::start(WORLD);
    for (name, envelope) in files("corpora/envelopes") {
        // The recorded headers name the DSNs they were sent to, which is not ours.
        let envelope = without_dsn(&envelope);
        let answer = server
            .client()
            .post(&format!("/api/31/envelope/?sentry_key={KEY}"), &envelope);
        match REFUSED.iter().find(|(refused, _)| *refused == name) {
            Some((_, rule)) => assert_eq!(answer.status, 400, "{name}: {rule}"),
            None => assert_eq!(answer.status, 200, "{name}: {}", answer.text()),
        }
    }
}

fn without_dsn(envelope: &[u8]) -> Vec<u8> {
    let needle = b"\"dsn\":";
    match envelope.windows(needle.len()).position(|w| w == needle) {
        Some(at) => {
            let mut renamed = envelope.to_vec();
            renamed[at + 1..at + 4].copy_from_slice(b"was");
            renamed
        }
        None => envelope.to_vec(),
    }
}
