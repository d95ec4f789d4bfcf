//! `/unreal/{key}/`: a crash of the Unreal Engine, as its crash reporter sends it (facts/ingestion.md 1.5).
//!
//! The event is made of the crash's context file, and every file is kept as an attachment. `symbolic-unreal` reads
//! the same format; it builds the context's XML as a tree that overflows the stack when it is nested deeply
//! enough, which ends the process, and brings twenty crates.
//!
//! A crash is some kilobytes or a whole dump: it is inflated into a spool, which its files share.

mod container;
mod context;

use std::borrow::Cow;

use super::{map, object, text_or_null};
use crate::domain::event_id::EventId;
use crate::http::Request;
use crate::ingest::items::Kind;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::{Item, Parcel};
use crate::ingest::refusal::InvalidBody;
use crate::ingest::source::{Payload, SpoolDir};
use crate::ingest::{Refusal, decode};
use container::File;
use context::Context;

/// A context of more bytes is attached and not read.
const CONTEXT_BYTES_MAX: u64 = 1 << 20;

/// The event and its attachments. `files_bytes_max` bounds the files once they are inflated.
///
/// # Errors
/// An empty body, one that is no container, or files that are too large.
pub(in crate::ingest) fn parcel(
    body: &Payload<'_>,
    request: &Request,
    spool: &SpoolDir,
    files_bytes_max: u64,
) -> Result<Parcel<'static>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    let inflated =
        decode::unfold_zlib(body, files_bytes_max, spool).map_err(|refusal| match refusal {
            Refusal::InvalidCompression(cause) => {
                Refusal::InvalidBody(InvalidBody::UnrealReport, cause)
            }
            refusal => refusal,
        })?;
    let files = container::files(&inflated)?;
    let event = event(&context(&files)?, request);
    let mut items = vec![Item::new(Kind::Event, Payload::owned(event.to_vec()))];
    for file in files {
        items.push(attachment(file)?);
    }
    Ok(Parcel {
        id: Some(EventId::random()),
        sent_us: None,
        items,
    })
}

/// What the context file says; nothing if there is none.
fn context(files: &[File]) -> Result<Context, Refusal> {
    let file = files
        .iter()
        .find(|file| file.is_context() && file.content.len() <= CONTEXT_BYTES_MAX);
    match file.map(|file| file.content.bytes()).transpose() {
        Ok(Some(bytes)) => Ok(Context::read(&String::from_utf8_lossy(&bytes))),
        Ok(None) => Ok(Context::default()),
        Err(error) => Err(Refusal::unreadable(&error)),
    }
}

fn attachment(file: File) -> Result<Item<'static>, Refusal> {
    let attachment_type = file.attachment_type()?;
    let mut item = Item::new(Kind::Attachment, file.content);
    item.header.filename = Some(Cow::Owned(file.name));
    item.header.attachment_type = Some(Cow::Borrowed(attachment_type));
    Ok(item)
}

/// What the game set in `__sentry` of its crash data, and below it what the engine says.
fn event(context: &Context, request: &Request) -> Map<'static> {
    let mut event = context.sentry();
    for (key, value) in of_engine(context, request).take_entries() {
        match event.get_mut(&key) {
            Some(Node::Map(set)) => fill(set, value),
            Some(Node::Null) | None => event.insert(key, value),
            Some(_) => {}
        }
    }
    event
}

/// Adds the entries that an object does not have.
fn fill(set: &mut Map<'static>, mut more: Node<'static>) {
    let more = more.as_map_mut().map(Map::take_entries).unwrap_or_default();
    for (key, value) in more {
        if !set.contains(&key) {
            set.insert(key, value);
        }
    }
}

fn of_engine(context: &Context, request: &Request) -> Map<'static> {
    let property = |name| text_or_null(context.property(name));
    let is_ensure = context.property("IsEnsure") == Some("true");
    let exception = object([
        (
            "type",
            Node::text(
                context
                    .property("CrashType")
                    .unwrap_or("Unreal crash")
                    .to_owned(),
            ),
        ),
        ("value", property("ErrorMessage")),
        (
            "mechanism",
            object([
                ("type", Node::text("unreal")),
                // The engine goes on after a failed ensure.
                ("handled", Node::Bool(is_ensure)),
            ]),
        ),
    ]);
    map([
        ("platform", Node::text("native")),
        (
            "level",
            Node::text(if is_ensure { "error" } else { "fatal" }),
        ),
        (
            "exception",
            object([("values", Node::List(vec![exception]))]),
        ),
        ("user", user(context, request)),
        ("contexts", contexts(context)),
    ])
}

/// The crash reporter names its user in the query.
fn user(context: &Context, request: &Request) -> Node<'static> {
    let named = request.query_value("UserID").filter(|id| !id.is_empty());
    let id = named.or(context.property("LoginId").map(str::to_owned));
    let user = map([
        ("id", text_or_null(id)),
        ("username", text_or_null(context.property("UserName"))),
    ]);
    some_map(user)
}

fn contexts(context: &Context) -> Node<'static> {
    let property = |name| text_or_null(context.property(name));
    let memory = context
        .property("MemoryStats.TotalPhysical")
        .and_then(|text| text.parse::<u64>().ok());
    let contexts = map([
        ("unreal", some_map(context.as_event_context())),
        (
            "os",
            some_map(map([
                ("name", property("Misc.OSVersionMajor")),
                ("version", property("Misc.OSVersionMinor")),
            ])),
        ),
        (
            "device",
            some_map(map([(
                "memory_size",
                memory.map_or(Node::Null, |bytes| Node::Number(bytes.into())),
            )])),
        ),
        (
            "gpu",
            some_map(map([("name", property("Misc.PrimaryGPUBrand"))])),
        ),
    ]);
    some_map(contexts)
}

/// Null for an object that says nothing.
fn some_map(map: Map<'static>) -> Node<'static> {
    if map.is_empty() {
        Node::Null
    } else {
        map.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use serde_json::json;

    use super::super::testing;
    use super::container::testing::{new_format, old_format};
    use super::*;

    const MAX: u64 = 1 << 20;

    fn packed(container: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(container).unwrap();
        encoder.finish().unwrap()
    }

    fn parcel_of(body: &[u8], query: &str) -> Result<Parcel<'static>, Refusal> {
        let directory = tempfile::tempdir().unwrap();
        let spool = SpoolDir::new(directory.path());
        parcel(&Payload::borrowed(body), &request(query), &spool, MAX)
    }

    fn request(query: &str) -> Request {
        let mut request = testing::request("application/octet-stream");
        request.query = query.to_owned();
        request
    }

    const CONTEXT: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>
        <FGenericCrashContext><RuntimeProperties>
        <CrashGUID>UE4CC-1</CrashGUID><EngineVersion>5.4.2</EngineVersion><IsEnsure>false</IsEnsure>
        <CrashType>Assert</CrashType><ErrorMessage>a &lt; b &#33;</ErrorMessage>
        <UserName>jo</UserName><LoginId>login</LoginId>
        <Misc.OSVersionMajor>Windows 10</Misc.OSVersionMajor><MemoryStats.TotalPhysical>42</MemoryStats.TotalPhysical>
        <Empty/><Threads><Thread>x</Thread></Threads>
        </RuntimeProperties><EngineData><RHI.Name>D3D12</RHI.Name></EngineData>
        <GameData><Map>first</Map><__sentry>{"release":"game@1","level":"error","user":{"email":"a@b.c"}}</__sentry></GameData>
        </FGenericCrashContext>"#;

    #[test]
    fn the_context_is_the_event_and_the_files_are_attached() {
        let files: [(&str, &[u8]); 5] = [
            ("CrashContext.runtime-xml", CONTEXT),
            ("Game.log", b"log"),
            ("UE4Minidump.dmp", b"MDMP..."),
            ("CrashReportClient.ini", b"ini"),
            ("Report.crash", b"Incident Identifier: 1"),
        ];
        for container in [new_format(&files), old_format(&files)] {
            let parcel = parcel_of(&packed(&container), "UserID=u%7C1&AppID=x").unwrap();
            assert!(parcel.id.is_some());
            assert_eq!(parcel.items[0].kind, Kind::Event);
            assert_eq!(
                testing::json(&parcel.items[0]),
                json!({
                    "release": "game@1", "level": "error", "platform": "native",
                    "user": {"email": "a@b.c", "id": "u|1", "username": "jo"},
                    "exception": {"values": [{
                        "type": "Assert", "value": "a < b !", "mechanism": {"type": "unreal", "handled": false},
                    }]},
                    "contexts": {
                        "unreal": {
                            "type": "unreal", "crash_guid": "UE4CC-1", "engine_version": "5.4.2",
                            "is_ensure": "false", "crash_type": "Assert", "error_message": "a < b !",
                            "user_name": "jo", "login_id": "login", "misc_os_version_major": "Windows 10",
                            "memory_stats_total_physical": "42",
                            "engine_data": {"RHI.Name": "D3D12"}, "game_data": {"Map": "first"},
                        },
                        "os": {"name": "Windows 10"},
                        "device": {"memory_size": 42},
                    },
                })
            );
            let attached: Vec<_> = parcel.items[1..]
                .iter()
                .map(|item| {
                    assert_eq!(item.kind, Kind::Attachment);
                    (
                        item.header.filename.as_deref().unwrap(),
                        item.header.attachment_type.as_deref().unwrap(),
                        item.payload.len(),
                    )
                })
                .collect();
            assert_eq!(
                attached,
                [
                    (
                        "CrashContext.runtime-xml",
                        "unreal.context",
                        CONTEXT.len() as u64
                    ),
                    ("Game.log", "unreal.logs", 3),
                    ("UE4Minidump.dmp", "event.minidump", 7),
                    ("CrashReportClient.ini", "event.attachment", 3),
                    ("Report.crash", "event.applecrashreport", 22),
                ]
            );
        }
    }

    #[test]
    fn a_crash_without_a_readable_context_is_an_event_all_the_same() {
        for context in [&b"<a><b"[..], b"\xff\xfe", b""] {
            let container = new_format(&[("CrashContext.runtime-xml", context)]);
            let parcel = parcel_of(&packed(&container), "").unwrap();
            assert_eq!(
                testing::json(&parcel.items[0]),
                json!({
                    "platform": "native", "level": "fatal",
                    "exception": {"values": [{
                        "type": "Unreal crash", "mechanism": {"type": "unreal", "handled": false},
                    }]},
                })
            );
            assert_eq!(parcel.items.len(), 2);
        }
    }

    #[test]
    fn a_body_that_is_no_container_is_refused() {
        let refusal = |body: &[u8]| parcel_of(body, "").unwrap_err();
        assert_eq!(refusal(b""), Refusal::EmptyBody);
        assert!(matches!(
            refusal(b"no container"),
            Refusal::InvalidBody(InvalidBody::UnrealReport, _)
        ));
        assert!(matches!(
            refusal(&packed(b"CR1")),
            Refusal::InvalidBody(InvalidBody::UnrealFiles, _)
        ));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let container = new_format(&[("Game.log", &vec![0; 2 * MAX as usize])]);
        let refused = parcel_of(&packed(&container), "");
        assert_eq!(refused.unwrap_err(), Refusal::RequestTooLarge);
    }

    #[test]
    fn large_files_share_one_spool() {
        let large: Vec<u8> = (0..3 << 20).map(|n: u32| (n / 7) as u8).collect();
        let container = new_format(&[
            ("CrashContext.runtime-xml", CONTEXT),
            ("Game.log", &large),
            ("UE4Minidump.dmp", b"MDMP..."),
        ]);
        let directory = tempfile::tempdir().unwrap();
        let (body, spool) = (packed(&container), SpoolDir::new(directory.path()));
        let body = Payload::borrowed(&body);
        let parcel = parcel(&body, &request(""), &spool, 4 << 20).unwrap();
        let spools: Vec<_> = parcel.items[1..]
            .iter()
            .map(|item| match &item.payload {
                Payload::Spooled(spooled) => &spooled.file,
                Payload::Memory(_) => panic!("all of them lie in the file"),
            })
            .collect();
        assert!(spools.iter().all(|file| Arc::ptr_eq(file, spools[0])));
        assert_eq!(*parcel.items[2].payload.bytes().unwrap(), large[..]);
        assert_eq!(
            parcel.items[3].header.attachment_type.as_deref(),
            Some("event.minidump")
        );
    }
}
