//! Bodies in every encoding that SDKs use (facts/ingestion.md 4.3).

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::support::{Answer, KEY, Server, WORLD};

const ID: &str = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";

fn send(server: &Server, encoding: Option<&str>, body: &[u8]) -> Answer {
    let mut client = server.client();
    if let Some(encoding) = encoding {
        client = client.with_header("Content-Encoding", encoding);
    }
    client.post(&format!("/api/31/envelope/?sentry_key={KEY}"), body)
}

fn envelope(id: &str) -> Vec<u8> {
    format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"hello\"}}\n")
        .into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A stream of one uncompressed meta-block (RFC 7932 9.2), so that no encoder is needed.
pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
    // WBITS 16 (one bit 0), ISLAST 0, MNIBBLES 4 (two bits 0), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1.
    let length = u32::try_from(bytes.len() - 1).unwrap();
    let head: u32 = length << 4 | 1 << 20;
    let mut stream = head.to_le_bytes()[..3].to_vec();
    stream.extend_from_slice(bytes);
    // ISLAST and ISLASTEMPTY.
    stream.push(3);
    stream
}

#[test]
fn every_encoding_is_undone() {
    let server = Server::start(WORLD);
    let zstd = |bytes: &[u8]| zstd::stream::encode_all(bytes, 3).unwrap();
    type Encode<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let cases: [(Option<&str>, Encode<'_>); 11] = [
        (None, &|bytes| bytes.to_vec()),
        (Some(""), &|bytes| bytes.to_vec()),
        (Some("identity"), &|bytes| bytes.to_vec()),
        (Some("UTF-8"), &|bytes| bytes.to_vec()),
        (Some("gzip"), &gzip),
        (Some("GZip"), &gzip),
        (Some("x-gzip"), &gzip),
        (Some("deflate"), &zlib),
        (Some("deflate"), &raw_deflate),
        (Some("br"), &brotli),
        (Some("zstd"), &zstd),
    ];
    for (at, (encoding, encode)) in cases.into_iter().enumerate() {
        let id = format!("{at:032x}");
        let answer = send(&server, encoding, &encode(&envelope(&id)));
        assert_eq!(
            answer.text(),
            format!("{{\"id\":\"{id}\"}}"),
            "{encoding:?}"
        );
        assert_eq!(server.event(&id)["logentry"]["formatted"], "hello");
    }
}

#[test]
fn the_dsn_of_a_header_is_found_in_compressed_and_in_long_bodies() {
    let server = Server::start(WORLD);
    // Long enough to be spooled on its way.
    let filler = "x".repeat(3 << 20);
    let body = format!(
        "{{\"event_id\":\"{ID}\",\"dsn\":\"http://{KEY}@any.test/31\"}}\n{{\"type\":\"attachment\"}}\n{filler}"
    );
    let client = server.client();
    assert_eq!(
        client.post("/api/31/envelope/", body.as_bytes()).status,
        200
    );
    let encoded = client.with_header("Content-Encoding", "gzip");
    assert_eq!(
        encoded
            .post("/api/31/envelope/", &gzip(body.as_bytes()))
            .status,
        200
    );
}

#[test]
fn a_chunked_body_is_put_together() {
    let server = Server::start(WORLD);
    let body = envelope(ID);
    let mut request = format!(
        "POST /api/31/envelope/?sentry_key={KEY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(10) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(server.client().send_raw(&request).status, 200);
    assert_eq!(server.event(ID)["logentry"]["formatted"], "hello");
}

#[test]
fn a_store_body_may_be_base64_of_zlib() {
    let server = Server::start(WORLD);
    let event = format!("{{\"event_id\":\"{ID}\",\"message\":\"old raven\"}}");
    let body = STANDARD.encode(zlib(event.as_bytes()));
    let answer = server.send_event(&body);
    assert_eq!(answer.text(), format!("{{\"id\":\"{ID}\"}}"));
    assert_eq!(server.event(ID)["logentry"]["formatted"], "old raven");
}

#[test]
fn a_store_body_may_declare_itself_an_envelope() {
    let server = Server::start(WORLD);
    let client = server
        .client()
        .with_header("Content-Type", "application/x-sentry-envelope");
    let answer = client.post(&format!("/api/31/store/?sentry_key={KEY}"), &envelope(ID));
    assert_eq!(answer.status, 200);
    assert_eq!(server.event(ID)["logentry"]["formatted"], "hello");
}

#[test]
fn a_broken_or_unknown_encoding_is_refused_and_counted() {
    let server = Server::start(WORLD);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let answer = send(&server, Some(encoding), b"\xff\xff no such stream");
        assert_eq!(answer.status, 400, "{encoding}");
    }
    assert_eq!(send(&server, Some("rot13"), b"x").status, 415);
    // Each layer more would multiply what a small request costs.
    let twice = gzip(&gzip(&envelope(ID)));
    assert_eq!(send(&server, Some("gzip, gzip"), &twice).status, 415);
    assert_eq!(
        server.ledger(),
        [(0, 3, "invalid_compression".to_owned(), 6)]
    );
}

#[test]
fn a_bomb_is_refused_when_it_passes_the_limit() {
    let server = Server::start_with(WORLD, |settings| settings.body_bytes_max = 1 << 20);
    let answer = send(&server, Some("gzip"), &gzip(&vec![b' '; 64 << 20]));
    assert_eq!(answer.status, 413);
    assert_eq!(server.ledger(), [(0, 3, "request_too_large".to_owned(), 1)]);
}
