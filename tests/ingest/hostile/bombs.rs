//! Some kilobytes that unfold into more than anything may have.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

use super::category::*;
use super::{AT_ONCE, Attack, BODY_BYTES_MAX, DUMP, DUMP_PART, FORM, Victim, form};

/// One MiB more than any body may have.
const UNFOLDED_BYTES: usize = BODY_BYTES_MAX + (1 << 20);

/// So many zeros in brotli's format with its largest usual window of 16 MiB, made with the reference encoder.
const BROTLI_ZEROS: &[u8] =
    b"\xcf\xff\xff\x7f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x9f\xff\xff\xff\xf0\x4f\x00\
      \xc4\x61\x01\x80\xee\xfd\x7f\xfe\xff\x3f\xe2\x9f\x00\x88\xc3\x22\x00\xdd\xfb\x47";

type Pack = fn(&[u8]) -> Vec<u8>;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// With the window that the format asks every decoder to take, 8 MiB.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_with_window(bytes, 23)
}

/// With the window of `zstd --ultra -22 --long=25`, 32 MiB.
fn zstd_long(bytes: &[u8]) -> Vec<u8> {
    zstd_with_window(bytes, 25)
}

fn zstd_with_window(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("in memory");
    encoder.window_log(window_log).expect("a window");
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// As `xz -8` does, with a dictionary of 32 MiB.
fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    options.lzma_options.dict_size = 32 << 20;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("in memory");
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

const CONTAINERS: [(&str, Pack); 5] = [
    ("gz", gzip),
    ("xz", xz),
    ("bz2", bzip2),
    ("zst", zstd),
    ("zst with a long window", zstd_long),
];

/// A path, the media type that it asks for, and what a request counts as that is too large for it.
const ENDPOINTS: [(&str, &str, i64, &str); 13] = [
    ("envelope/", "text/plain", DEFAULT, "request_too_large"),
    ("store/", "text/plain", ERROR, "too_large:event"),
    (
        "security/",
        "application/csp-report",
        SECURITY,
        "too_large:security",
    ),
    ("nel/", "application/reports+json", DEFAULT, "too_large:log"),
    ("minidump/", FORM, DEFAULT, "request_too_large"),
    (
        "unreal/0123456789abcdef0123456789abcdef/",
        "application/octet-stream",
        DEFAULT,
        "request_too_large",
    ),
    (
        "events/aaaaaaaabbbb4cccddddeeeeeeeeeeee/attachments/",
        FORM,
        DEFAULT,
        "request_too_large",
    ),
    (
        "cron/job/",
        "application/json",
        DEFAULT,
        "too_large:check_in",
    ),
    (
        "integration/otlp/v1/traces/",
        "application/x-protobuf",
        DEFAULT,
        "too_large:span",
    ),
    (
        "integration/otlp/v1/logs/",
        "application/x-protobuf",
        DEFAULT,
        "too_large:log",
    ),
    (
        "integration/vercel/logs/",
        "application/json",
        DEFAULT,
        "too_large:log",
    ),
    (
        "integration/heroku/logs/",
        "application/logplex-1",
        DEFAULT,
        "too_large:log",
    ),
    ("playstation/", FORM, DEFAULT, "request_too_large"),
];

fn zeros() -> Vec<u8> {
    vec![0; UNFOLDED_BYTES]
}

/// Bodies that are bombs as a whole, in every encoding and for every endpoint.
fn encoded() -> Vec<Attack> {
    let zeros = zeros();
    let gzipped = gzip(&zeros);
    let endpoints = ENDPOINTS.map(|(endpoint, content_type, category, reason)| {
        Attack::new("gzip", endpoint, &*gzipped)
            .content_type(content_type)
            .encoded("gzip")
            .answered(413)
            .invalid(category, reason, 1)
    });
    let encodings = [
        ("deflate", zlib(&zeros)),
        ("deflate", raw_deflate(&zeros)),
        ("br", BROTLI_ZEROS.to_vec()),
        ("zstd", zstd(&zeros)),
    ];
    // More than the format lets a sender ask of every decoder.
    let window = Attack::new("zstd with a long window", "envelope/", zstd_long(&zeros))
        .encoded("zstd")
        .answered(400)
        .invalid(DEFAULT, "invalid_compression", 1);
    // The encodings with the largest windows, all at the same time.
    let encodings = encodings
        .iter()
        .cycle()
        .take(4 * AT_ONCE)
        .map(|(encoding, body)| {
            Attack::new(*encoding, "envelope/", &**body)
                .encoded(encoding)
                .answered(413)
                .invalid(DEFAULT, "request_too_large", 1)
        });
    let brotli = [(); 2 * AT_ONCE].map(|()| {
        Attack::new("br", "envelope/", BROTLI_ZEROS)
            .encoded("br")
            .answered(413)
            .invalid(DEFAULT, "request_too_large", 1)
    });
    endpoints
        .into_iter()
        .chain(encodings)
        .chain(brotli)
        .chain([window])
        .collect()
}

/// Dumps in containers.
fn dumps() -> Vec<Attack> {
    let (zeros, mut attacks) = (zeros(), Vec::new());
    for (name, pack) in CONTAINERS {
        let bomb = pack(&zeros);
        let part = form(&[(DUMP_PART, &bomb)]);
        let bodies = [
            (name.to_owned(), "application/octet-stream", bomb),
            (format!("{name} in a form"), FORM, part),
        ];
        attacks.extend(bodies.map(|(name, content_type, body)| {
            Attack::new(name, "minidump/", body)
                .content_type(content_type)
                .answered(413)
                .invalid(DEFAULT, "too_large:attachment:minidump", 1)
        }));
    }
    let twice = gzip(&gzip(&zeros));
    attacks.push(
        Attack::new("gz in a gz", "minidump/", &*twice)
            .content_type("application/x-dmp")
            .answered(400)
            .invalid(DEFAULT, "invalid_minidump", 1),
    );
    attacks.push(
        Attack::new("gz in a gz, encoded", "minidump/", gzip(&twice))
            .content_type("application/x-dmp")
            .encoded("gzip")
            .answered(400)
            .invalid(DEFAULT, "invalid_minidump", 1),
    );
    attacks
}

/// Dumps of the largest size in every container: no bombs, and so taken.
fn large_dumps() -> Vec<Attack> {
    let mut dump = DUMP.to_vec();
    dump.resize(BODY_BYTES_MAX, 0);
    let attack = |(name, pack): &(&str, Pack)| {
        Attack::new(format!("whole {name}"), "minidump/", pack(&dump))
            .content_type("application/x-dmp")
            .accepted(ERROR, 1)
            .accepted(ATTACHMENT, BODY_BYTES_MAX)
            .accepted(ATTACHMENT_ITEM, 1)
    };
    CONTAINERS.iter().map(attack).collect()
}

/// The files of an Unreal crash, before they are packed.
pub(in crate::ingest) fn unreal(files: &[(&str, &[u8])]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let mut crash = b"CR1".to_vec();
    crash.extend(sized(b"UE4CC"));
    crash.extend(sized(b"UE4CC.ue4crash"));
    crash.extend([0; 4]);
    crash.extend((files.len() as u32).to_le_bytes());
    for (name, content) in files {
        crash.extend([0; 4]);
        crash.extend(sized(name.as_bytes()));
        crash.extend(sized(content));
    }
    crash
}

fn unreals() -> Vec<Attack> {
    let endpoint = ENDPOINTS[5].0;
    let crash = |name: &str, body: Vec<u8>| Attack::new(name, endpoint, body);
    let large = vec![0; BODY_BYTES_MAX - (1 << 20)];
    let context = format!(
        "<a><GameData><__sentry>{{\"tags\":{{\"a\":\"b\"}}}}</__sentry></GameData><RuntimeProperties>{}</RuntimeProperties></a>",
        "<A>b</A>".repeat(130_000)
    );
    let files: [(&str, &[u8]); 3] = [
        ("CrashContext.runtime-xml", context.as_bytes()),
        ("Game.log", &large),
        ("UE4Minidump.dmp", DUMP),
    ];
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    let mut many_files = unreal(&[]);
    let count = many_files.len() - 4;
    many_files[count..].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        crash("inner", zlib(&zeros()))
            .answered(413)
            .invalid(DEFAULT, "request_too_large", 1),
        crash("inner, encoded", gzip(&zlib(&zeros())))
            .encoded("gzip")
            .answered(413)
            .invalid(DEFAULT, "request_too_large", 1),
        crash("many files", zlib(&many_files))
            .answered(400)
            .invalid(DEFAULT, "process_unreal", 1),
        crash(
            "a name of all bytes",
            zlib(&unreal(&[("a".repeat(39 << 20).as_str(), b"")])),
        )
        .answered(400)
        .invalid(DEFAULT, "process_unreal", 1),
        crash("whole", zlib(&unreal(&files)))
            .accepted(ERROR, 1)
            .accepted(ATTACHMENT, bytes)
            .accepted(ATTACHMENT_ITEM, 3),
    ]
}

/// A message of protobuf with one field, which is a message again.
pub(super) fn message(field: u8, content: &[u8]) -> Vec<u8> {
    let mut message = vec![field << 3 | 2];
    let mut len = content.len();
    while len >= 0x80 {
        message.push(len as u8 | 0x80);
        len >>= 7;
    }
    message.push(len as u8);
    message.extend_from_slice(content);
    message
}

/// An export with this as what its only scope has.
pub(super) fn export(scope: &[u8]) -> Vec<u8> {
    message(1, &message(2, scope))
}

/// Messages that are two bytes as they are sent and hundreds in memory.
fn protobufs() -> Vec<Attack> {
    const ENTRY_BYTES: usize = (1 << 20) - 16;
    let many = |field: u8, bytes: usize| message(field, b"").repeat(bytes / 2);
    let ids = [message(1, &[1; 16]), message(2, &[2; 8])].concat();
    let span = |more: Vec<u8>| export(&message(2, &[ids.clone(), more].concat()));
    let traces = |name: &str, body: Vec<u8>| {
        let attack = Attack::new(name, "integration/otlp/v1/traces/", gzip(&body));
        attack
            .content_type("application/x-protobuf")
            .encoded("gzip")
    };
    let mut attacks = vec![
        traces("empty spans", export(&many(2, 11 << 20)))
            .answered(413)
            .invalid(DEFAULT, "too_large:span", 1),
        traces("empty scopes", message(1, &many(2, 11 << 20))).answered(202),
        traces("empty resources", many(1, 11 << 20)).answered(202),
    ];
    let wide = [
        ("links", many(13, ENTRY_BYTES - 40)),
        ("events", many(11, ENTRY_BYTES - 40)),
        ("attributes", many(9, ENTRY_BYTES - 40)),
        (
            "attributes of a link",
            message(13, &many(4, ENTRY_BYTES - 50)),
        ),
        (
            "values",
            message(9, &message(2, &message(5, &many(1, ENTRY_BYTES - 60)))),
        ),
    ];
    attacks.extend(wide.map(|(name, content)| {
        traces(&format!("a span of empty {name}"), span(content))
            .answered(413)
            .invalid(DEFAULT, "too_large:span", 1)
    }));
    let links = format!("[{}]", vec!["{}"; 340_000].join(","));
    let json = format!(
        "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"links\":{links}}}]}}]}}]}}"
    );
    attacks.extend([(); AT_ONCE].map(|()| {
        Attack::new("empty links", "integration/otlp/v1/traces/", &*json)
            .content_type("application/json")
            .answered(413)
            .invalid(DEFAULT, "too_large:span", 1)
    }));
    attacks
}

fn attacks() -> Vec<Attack> {
    [encoded(), dumps(), large_dumps(), unreals(), protobufs()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn what_unfolds_stops_at_the_limit() {
    Victim::start().withstands(&attacks());
}
