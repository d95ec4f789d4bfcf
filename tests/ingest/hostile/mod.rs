//! Small requests that unfold into large ones: answered as the rules say, at a bounded cost.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::crash::ServerProcess;
use crate::support::{Client, KEY};

/// What a worker may need for one envelope of the largest size: the body, and room to grow it in.
const MEMORY_BYTES_MAX: u64 = 128 << 20;

/// `start`, then as much of `again` as makes 39 MiB, compressed to some kilobytes.
fn bomb(start: &str, again: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(start.as_bytes()).expect("in memory");
    let block = again.repeat((1 << 20) / again.len());
    for _ in 0..39 {
        encoder.write_all(block.as_bytes()).expect("in memory");
    }
    encoder.finish().expect("in memory")
}

#[test]
fn a_small_request_that_unfolds_costs_bounded_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = ServerProcess::start(&directory.path().join("picket.db"), None);
    let idle = server.memory_peak();
    let client = Client::new(server.address()).with_header("Content-Encoding", "gzip");
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    for (start, again, status) in [
        ("{}\n", "{\"type\":\"profile\"}\n\n", 413),
        ("{}\n", "{\"type\":\"newest_thing\"}\n\n", 200),
        ("{}\n", "{\"type\":\"client_report\"}\n{}\n", 413),
        ("{}\n{\"type\":\"attachment\"}\n", "x", 200),
        ("{}\n{\"type\":\"event\"}\n", "[", 413),
        ("{}\n{\"type\":\"x\",\"length\":\"", "a", 400),
        ("", "[", 400),
    ] {
        let answer = client.post(&target, &bomb(start, again));
        assert_eq!(answer.status, status, "{start}{again}");
        assert!(answer.body.len() < 1000, "{start}{again}");
    }
    let needed = server.memory_peak() - idle;
    assert!(needed < MEMORY_BYTES_MAX, "{} MB", needed >> 20);
}

#[test]
fn json_that_is_nested_too_deeply_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = ServerProcess::start(&directory.path().join("picket.db"), None);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let broken = format!("{{\"a\":{}", "[".repeat(1_000_000));
    for (event, status) in [(deep, 400), (broken, 400)] {
        let target = format!("/api/31/store/?sentry_key={KEY}");
        let answer = Client::new(server.address()).post(&target, event.as_bytes());
        assert_eq!(answer.status, status);
    }
}
