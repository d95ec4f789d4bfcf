//! The endpoint of PlayStation's crash service (facts/ingestion.md 1.11).

use serde_json::json;

use super::super::Refusal;
use super::super::parcel::Parcel;
use super::super::source::{Payload, SpoolDir};
use super::crash::Report;
use super::{Fault, beginning, minidump, multipart};
use crate::http::{Request, Response};

/// What the service is told that it should send, if that is what it asks.
pub(in crate::ingest) fn data_request(request: &Request) -> Option<Response> {
    let content_type = request.headers.get("content-type")?;
    content_type
        .contains("application/vnd.sce.crs.datareq-request+json")
        .then(|| {
            let parts = json!({ "parts": { "upload": ["corefile", "screenshot"] } });
            Response::json(200, &parts)
        })
}

/// A form with a dump, which its file name tells. Otherwise it is a minidump's; so is the answer. `body` is decoded.
///
/// # Errors
/// 400 for a form that is broken, has no dump, or one that is none; 413 for too much of something.
pub(in crate::ingest) fn parcel(
    body: &Payload<'_>,
    request: &Request,
    spool: &SpoolDir,
) -> Result<Parcel<'static>, Refusal> {
    let mut form = multipart::of_request(body, request, spool)?;
    let at = form
        .files
        .iter()
        .position(|file| file.filename.ends_with(".prosperodmp"))
        .ok_or(Fault::MissingProsperodump)?;
    let dump = form.files.remove(at);
    if !is_prosperodump(&beginning(&dump.content, 4)?) {
        return Err(Fault::InvalidProsperodump.into());
    }
    minidump::assemble(Report::Prosperodump, dump, form, request)
}

/// A core file, as it is or in a frame of LZ4.
fn is_prosperodump(beginning: &[u8]) -> bool {
    beginning.starts_with(b"\x7fELF") || beginning.starts_with(b"\x04\x22\x4d\x18")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FORM, Sender, form, request};
    use super::*;
    use crate::ingest::items::Kind;

    fn parcel_of(parts: &[(&str, &[u8])]) -> Result<Parcel<'static>, Refusal> {
        let sender = Sender::new();
        let body = form(parts);
        parcel(&Payload::borrowed(&body), &request(FORM), &sender.spool())
    }

    #[test]
    fn the_service_is_told_what_to_send() {
        let asking = "application/vnd.sce.crs.datareq-request+json; charset=utf-8";
        let answer = data_request(&request(asking)).unwrap();
        assert_eq!(
            &*answer.body,
            br#"{"parts":{"upload":["corefile","screenshot"]}}"#
        );
        assert!(data_request(&request(FORM)).is_none());
    }

    #[test]
    fn a_dump_makes_an_event_and_an_attachment() {
        for dump in [&b"\x7fELF\x02"[..], b"\x04\x22\x4d\x18\x64"] {
            let parcel = parcel_of(&[
                ("name=screenshot; filename=s.jpg", b"jpg"),
                ("name=corefile; filename=a.prosperodmp", dump),
                ("name=title", b"Game"),
            ])
            .unwrap();
            let kinds: Vec<_> = parcel.items.iter().map(|item| item.kind).collect();
            assert_eq!(kinds, [Kind::Event, Kind::Attachment, Kind::Attachment]);
            let types: Vec<_> = parcel
                .items
                .iter()
                .map(|item| item.header.attachment_type.as_deref())
                .collect();
            assert_eq!(types, [None, Some("playstation.prosperodump"), None]);
            let event = parcel.items[0].payload.bytes().unwrap();
            let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
            assert_eq!(event["exception"]["values"][0]["type"], "Prosperodump");
            assert_eq!(event["extra"]["title"], "Game");
        }
    }

    #[test]
    fn a_form_without_a_dump_is_refused() {
        let refusal = |parts| parcel_of(parts).unwrap_err();
        assert_eq!(
            refusal(&[("name=corefile; filename=a.dmp", b"\x7fELF")]),
            Fault::MissingProsperodump.into()
        );
        assert_eq!(
            refusal(&[("name=corefile; filename=a.prosperodmp", b"MDMP")]),
            Fault::InvalidProsperodump.into()
        );
    }
}
