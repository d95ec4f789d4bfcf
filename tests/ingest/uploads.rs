//! Large attachments: twenty at once cost disk and time, not memory, and come back byte for byte.

use std::path::Path;

use rusqlite::Connection;

use super::crash::ServerProcess;
use crate::support::{Client, KEY};

const UPLOADS: usize = 20;
const UPLOAD_BYTES: usize = 39_000_000;
/// Above what the server needs when idle.
const MEMORY_BYTES_MAX: u64 = 96 << 20;

/// Bytes that do not compress, other ones for each number.
fn noise(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut bytes = Vec::with_capacity(UPLOAD_BYTES + 8);
    while bytes.len() < UPLOAD_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(UPLOAD_BYTES);
    bytes
}

fn event_id(number: usize) -> String {
    format!("{:032x}", number + 1)
}

fn envelope(number: usize) -> Vec<u8> {
    let mut body = format!(
        "{{\"event_id\":\"{}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"with a dump\"}}\n\
         {{\"type\":\"attachment\",\"length\":{UPLOAD_BYTES},\"filename\":\"core.bin\"}}\n",
        event_id(number)
    )
    .into_bytes();
    body.extend_from_slice(&noise(number));
    body
}

#[test]
fn twenty_large_attachments_at_once_are_all_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let mut server = ServerProcess::start(&file, None);
    let idle = server.memory_peak();
    let address = server.address();
    std::thread::scope(|scope| {
        for number in 0..UPLOADS {
            scope.spawn(move || {
                let target = format!("/api/31/envelope/?sentry_key={KEY}");
                let answer = Client::new(address).post(&target, &envelope(number));
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    let needed = server.memory_peak() - idle;
    assert!(needed < MEMORY_BYTES_MAX, "{} MB", needed >> 20);
    server.kill();
    for number in [0, UPLOADS - 1] {
        assert!(stored(&file, number) == noise(number), "upload {number}");
    }
    let connection = Connection::open(&file).expect("the file opens");
    let count = |sql: &str| -> i64 {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("a number")
    };
    let (uploads, bytes) = (UPLOADS as i64, UPLOAD_BYTES as i64);
    assert_eq!(count("SELECT count(*) FROM attachment"), uploads);
    assert_eq!(count("SELECT count(*) FROM large_payload"), uploads);
    let ledger = |category: i64| {
        count(&format!(
            "SELECT sum(quantity) FROM ledger WHERE resolution = 86400 AND outcome = 0 AND category = {category}"
        ))
    };
    assert_eq!(
        (ledger(1), ledger(4), ledger(22)),
        (uploads, uploads * bytes, uploads)
    );
}

/// An attachment's payload, put together again.
fn stored(file: &Path, number: usize) -> Vec<u8> {
    let connection = Connection::open(file).expect("the file opens");
    let mut statement = connection
        .prepare(
            "SELECT payload_part.payload FROM attachment
             JOIN payload_part ON payload_part.id / 65536 = large_payload_id
             WHERE event_id = unhex(?1) ORDER BY payload_part.id",
        )
        .expect("a statement");
    let parts = statement
        .query_map([event_id(number)], |row| row.get::<_, Vec<u8>>(0))
        .expect("rows");
    parts
        .flat_map(|part| zstd::stream::decode_all(part.expect("a part").as_slice()).expect("zstd"))
        .collect()
}

#[test]
fn a_duplicate_with_a_large_attachment_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("picket.db");
    let mut server = ServerProcess::start(&file, None);
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    for _ in 0..2 {
        let answer = Client::new(server.address()).post(&target, &envelope(0));
        assert_eq!(answer.status, 200);
    }
    server.kill();
    let connection = Connection::open(&file).expect("the file opens");
    let parts: i64 = connection
        .query_row("SELECT count(*) FROM payload_part", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(parts, UPLOAD_BYTES.div_ceil(1 << 20) as i64);
}
