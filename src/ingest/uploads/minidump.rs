//! The endpoint of crash reporters (facts/ingestion.md 1.4): a dump, as the whole body or as a part of a form, with
//! what else is known of the crash.

use super::super::Refusal;
use super::super::items::{EVENT_BYTES_MAX, Kind};
use super::super::json::Node;
use super::super::parcel::{Item, Parcel};
use super::super::source::{Payload, SpoolDir};
use super::attributes::Attributes;
use super::container::Container;
use super::crash::{Report, is_minidump};
use super::multipart::{self, File, Form};
use super::{Fault, Limits, attachment, beginning};
use crate::domain::event_id::EventId;
use crate::http::Request;

const DUMP: &str = "upload_file_minidump";
const EVENT: &str = "__sentry-event";
const BREADCRUMBS: [&str; 2] = ["__sentry-breadcrumb1", "__sentry-breadcrumb2"];
const VIEW_HIERARCHY: &str = "view-hierarchy.json";

/// What a crash reporter sent: an event, the dump, and what else came with it. `body` is decoded.
///
/// # Errors
/// 400 for a form that is broken, has no dump, or one that is none; 413 for too much of something.
pub(in crate::ingest) fn parcel(
    body: &Payload<'_>,
    request: &Request,
    spool: &SpoolDir,
    limits: Limits,
) -> Result<Parcel<'static>, Refusal> {
    let (dump, form) = if is_bare(request) {
        let dump = File {
            name: DUMP.to_owned(),
            filename: "Minidump".to_owned(),
            content_type: None,
            content: body.kept(),
        };
        (dump, Form::default())
    } else {
        let mut form = multipart::of_request(body, request, spool)?;
        let dump = form.take(DUMP).ok_or(Fault::MissingMinidump)?;
        (dump, form)
    };
    let dump = unpack(dump, spool, limits)?;
    assemble(Report::Minidump, dump, form, request)
}

/// Whether the body is the dump itself.
fn is_bare(request: &Request) -> bool {
    let content_type = request.headers.get("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/octet-stream", "application/x-dmp"]
        .iter()
        .any(|bare| essence.eq_ignore_ascii_case(bare))
}

/// Takes the dump out of what it is wrapped in.
fn unpack(mut dump: File, spool: &SpoolDir, limits: Limits) -> Result<File, Refusal> {
    if let Some(inner) = nested(&dump.content, spool)? {
        dump.content = inner.content;
    }
    // A container inside a container is no dump.
    if let Some(container) = Container::of(&dump.content)? {
        let bytes_max = limits.attachment_bytes_max;
        dump.content = container.unfold(&dump.content, bytes_max, spool)?;
        if let Some(stem) = dump.filename.strip_suffix(container.suffix()) {
            dump.filename.truncate(stem.len());
        }
    }
    if !is_minidump(&beginning(&dump.content, 4)?) {
        return Err(Fault::InvalidMinidump.into());
    }
    dump.content_type = Some("application/x-dmp".to_owned());
    Ok(dump)
}

/// The dump of a form inside the part, as old Electron SDKs on Linux send it. The form's first line is its boundary.
fn nested(content: &Payload<'_>, spool: &SpoolDir) -> Result<Option<File>, Refusal> {
    /// RFC 2046 allows 70; what has no end of a line within is no form.
    const LINE_BYTES_MAX: u64 = 200;
    let start = beginning(content, LINE_BYTES_MAX)?;
    let boundary = start
        .strip_prefix(b"--")
        .and_then(|rest| rest.split_inclusive(|b| *b == b'\n').next())
        .and_then(|line| line.strip_suffix(b"\r\n"))
        .and_then(|line| std::str::from_utf8(line).ok());
    match boundary {
        Some(boundary) => Ok(multipart::read(content, boundary, spool)?.take(DUMP)),
        None => Ok(None),
    }
}

/// Makes the items of a form with a crash report: first the event, then the report.
pub(super) fn assemble(
    report: Report,
    dump: File,
    mut form: Form,
    request: &Request,
) -> Result<Parcel<'static>, Refusal> {
    // A form's text and side files have 1 MiB each, and their values many times that.
    let mut attributes = Attributes::default();
    if let Some(file) = form.take(EVENT) {
        attributes.add_message(&side_file(Some(file))?);
    }
    let [first, second] = BREADCRUMBS.map(|name| form.take(name));
    attributes.add_breadcrumbs(&side_file(first)?, &side_file(second)?);
    attributes.add_fields(form.fields);

    let id = attributes.id.unwrap_or_else(EventId::random);
    let mut event = attributes.event;
    event.insert("event_id", Node::text(id.to_string()));
    report.complete(&mut event, &dump.content, request.received)?;
    let mut items = vec![Item::new(Kind::Event, Payload::owned(event.to_vec()))];
    items.push(attachment(dump, Some(report.attachment_type())));
    items.extend(form.files.into_iter().map(|file| {
        let is_view = file.name == VIEW_HIERARCHY || file.filename == VIEW_HIERARCHY;
        attachment(file, is_view.then_some("event.view_hierarchy"))
    }));
    Ok(Parcel {
        id: Some(id),
        sent_us: None,
        items,
    })
}

/// A file that goes into the event, and so is bounded as one.
fn side_file(file: Option<File>) -> Result<Vec<u8>, Refusal> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    if file.content.len() > EVENT_BYTES_MAX {
        return Err(Refusal::TooLarge("event"));
    }
    beginning(&file.content, EVENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::tests::{FORM, RECEIVED, Sender, form, minidump, packed, request};
    use super::*;

    const LIMITS: Limits = Limits {
        attachment_bytes_max: 1 << 20,
    };

    fn parcel_of(content_type: &str, body: &[u8]) -> Result<Parcel<'static>, Refusal> {
        let sender = Sender::new();
        let body = Payload::borrowed(body);
        parcel(&body, &request(content_type), &sender.spool(), LIMITS)
    }

    fn parcel_of_form(parts: &[(&str, &[u8])]) -> Result<Parcel<'static>, Refusal> {
        parcel_of(FORM, &form(parts))
    }

    fn dump_part(content: &[u8]) -> (&'static str, &[u8]) {
        (
            "name=\"upload_file_minidump\"; filename=\"core.dmp\"",
            content,
        )
    }

    fn event(parcel: &Parcel<'_>) -> Value {
        assert_eq!(parcel.items[0].kind, Kind::Event);
        serde_json::from_slice(&parcel.items[0].payload.bytes().unwrap()).unwrap()
    }

    /// Kind of attachment, file name and content of everything but the event.
    fn attachments(parcel: &Parcel<'_>) -> Vec<(Option<String>, Option<String>, Vec<u8>)> {
        parcel.items[1..]
            .iter()
            .map(|item| {
                assert_eq!(item.kind, Kind::Attachment);
                let text =
                    |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
                (
                    text(&item.header.attachment_type),
                    text(&item.header.filename),
                    item.payload.bytes().unwrap().into_owned(),
                )
            })
            .collect()
    }

    fn attached(
        kind: Option<&str>,
        name: &str,
        content: &[u8],
    ) -> (Option<String>, Option<String>, Vec<u8>) {
        (
            kind.map(str::to_owned),
            Some(name.to_owned()),
            content.to_vec(),
        )
    }

    #[test]
    fn a_body_may_be_the_dump_itself() {
        let dump = minidump();
        for content_type in [
            "application/octet-stream",
            "application/x-dmp",
            "Application/X-DMP; a=b",
        ] {
            let parcel = parcel_of(content_type, &dump).unwrap();
            let id = parcel.id.unwrap().to_string();
            assert_eq!(
                event(&parcel),
                json!({
                    "event_id": id,
                    "platform": "native",
                    "level": "fatal",
                    "exception": {"values": [{
                        "type": "Minidump",
                        "value": "Invalid Minidump",
                        "mechanism": {"type": "minidump", "handled": false, "synthetic": true},
                    }]},
                    "timestamp": RECEIVED.secs(),
                })
            );
            assert_eq!(
                attachments(&parcel),
                [attached(Some("event.minidump"), "Minidump", &dump)]
            );
        }
    }

    #[test]
    fn a_form_brings_dump_files_and_what_it_says_of_the_event() {
        let dump = minidump();
        let message =
            rmp_serde::to_vec_named(&json!({"release":"a","dist":"1","level":"error"})).unwrap();
        let breadcrumb = rmp_serde::to_vec_named(&json!({"message":"m"})).unwrap();
        let parcel = parcel_of_form(&[
            ("name=guid", b"0-1"),
            ("name=log; filename=app.log", b"line"),
            dump_part(&dump),
            ("name=__sentry-event; filename=e", &message),
            ("name=__sentry-breadcrumb1; filename=b1", &breadcrumb),
            ("name=\"sentry[release]\"", b"b"),
            ("name=x; filename=view-hierarchy.json", b"{}"),
            ("name=view-hierarchy.json; filename=v", b"[]"),
            ("name=sentry; filename=s.json", b"{\"release\":\"c\"}"),
        ])
        .unwrap();
        let event = event(&parcel);
        assert_eq!(event["release"], "b");
        assert_eq!(event["dist"], "1");
        assert_eq!(event["level"], "error");
        assert_eq!(event["extra"], json!({"guid":"0-1"}));
        assert_eq!(event["breadcrumbs"], json!([{"message":"m"}]));
        assert_eq!(
            attachments(&parcel),
            [
                attached(Some("event.minidump"), "core.dmp", &dump),
                attached(None, "app.log", b"line"),
                attached(Some("event.view_hierarchy"), "view-hierarchy.json", b"{}"),
                attached(Some("event.view_hierarchy"), "v", b"[]"),
                attached(None, "s.json", b"{\"release\":\"c\"}"),
            ]
        );
        let header = &parcel.items[1].header;
        assert_eq!(header.content_type.as_deref(), Some("application/x-dmp"));
    }

    #[test]
    fn the_id_of_the_parcel_stands_in_the_event() {
        let id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
        let chunk = format!("{{\"event_id\":\"{}\"}}", "f".repeat(32));
        let parcel = parcel_of_form(&[
            dump_part(&minidump()),
            ("name=\"sentry[event_id]\"", id.as_bytes()),
            ("name=sentry__1", chunk.as_bytes()),
        ])
        .unwrap();
        assert_eq!(event(&parcel)["event_id"], id.replace('-', ""));
        assert_eq!(parcel.id.unwrap().dashed(), id);
    }

    #[test]
    fn a_dump_comes_out_of_its_container_and_its_name_loses_the_suffix() {
        let dump = minidump();
        for (container, name, expected) in [
            (Container::Gzip, "core.dmp.gz", "core.dmp"),
            (Container::Xz, "core.dmp.xz", "core.dmp"),
            (Container::Bzip2, "core.dmp.bz2", "core.dmp"),
            (Container::Zstd, "core.dmp.zst", "core.dmp"),
            (Container::Zstd, "core.dmp", "core.dmp"),
        ] {
            let disposition = format!("name=upload_file_minidump; filename={name}");
            let packed = packed(container, &dump);
            let parcel = parcel_of_form(&[(&disposition, &packed)]).unwrap();
            let expected = [attached(Some("event.minidump"), expected, &dump)];
            assert_eq!(attachments(&parcel), expected, "{container:?}");
            let bare = parcel_of("application/octet-stream", &packed).unwrap();
            assert_eq!(attachments(&bare)[0].2, dump);
        }
    }

    #[test]
    fn a_form_inside_the_part_is_read_too() {
        let dump = minidump();
        for content in [dump.clone(), packed(Container::Gzip, &dump)] {
            let inner = form(&[("name=other", b"x"), dump_part(&content)]);
            let parcel = parcel_of(
                "multipart/form-data; boundary=outer",
                &[
                    b"--outer\r\nContent-Disposition: form-data; name=upload_file_minidump; filename=a.dmp\r\n\r\n",
                    &inner[..],
                    b"\r\n--outer--\r\n",
                ]
                .concat(),
            )
            .unwrap();
            assert_eq!(
                attachments(&parcel),
                [attached(Some("event.minidump"), "a.dmp", &dump)]
            );
        }
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        let dump = minidump();
        let twice = packed(Container::Gzip, &packed(Container::Zstd, &dump));
        let bomb = packed(Container::Xz, &vec![0; (1 << 20) + 1]);
        let nested_without =
            b"--inner\r\nContent-Disposition: form-data; name=other; filename=o\r\n\r\nMDMP\r\n--inner--";
        let large = vec![0xc0; EVENT_BYTES_MAX as usize + 1];
        type Parts<'a> = &'a [(&'a str, &'a [u8])];
        let cases: [(Parts<'_>, Refusal); 9] = [
            (&[], Fault::MissingMinidump.into()),
            (
                &[("name=upload_file_minidump", &dump)],
                Fault::MissingMinidump.into(),
            ),
            (&[dump_part(b"")], Fault::InvalidMinidump.into()),
            (&[dump_part(b"MZ\x90")], Fault::InvalidMinidump.into()),
            (&[dump_part(&twice)], Fault::InvalidMinidump.into()),
            (&[dump_part(nested_without)], Fault::InvalidMinidump.into()),
            (
                &[dump_part(b"\x1f\x8b\x08no more")],
                Fault::InvalidContainer.into(),
            ),
            (
                &[dump_part(&bomb)],
                Refusal::TooLarge("attachment:minidump"),
            ),
            (
                &[
                    dump_part(&dump),
                    ("name=__sentry-event; filename=e", &large),
                ],
                Refusal::TooLarge("event"),
            ),
        ];
        for (parts, expected) in cases {
            assert_eq!(parcel_of_form(parts).unwrap_err(), expected);
        }
        let broken = parcel_of_form(&[dump_part(b"--edge2\r\nno form")]).unwrap_err();
        assert!(matches!(broken, Refusal::Upload(Fault::Multipart(_))));
        let bare = parcel_of("application/x-dmp", b"").unwrap_err();
        assert_eq!(bare, Fault::InvalidMinidump.into());
    }

    #[test]
    fn real_dumps_are_taken() {
        let Ok(directory) = std::fs::read_dir(Path::new("../shared/corpora/minidumps")) else {
            assert!(std::env::var_os("CI").is_none(), "../shared is missing");
            println!("skipped: ../shared is missing");
            return;
        };
        let mut taken = 0;
        for entry in directory {
            let dump = std::fs::read(entry.unwrap().path()).unwrap();
            match parcel_of_form(&[dump_part(&dump)]) {
                Ok(parcel) => {
                    taken += 1;
                    assert!(attachments(&parcel)[0].2 == dump);
                }
                // Microdumps are text.
                Err(refusal) => {
                    assert_eq!(refusal, Fault::InvalidMinidump.into());
                    assert!(!dump.starts_with(b"MDMP"));
                }
            }
        }
        assert!(taken > 20);
    }
}
