//! Files that are added to an event later (facts/ingestion.md 1.9).

use super::super::Refusal;
use super::super::parcel::Parcel;
use super::super::source::{Payload, SpoolDir};
use super::{Fault, attachment, multipart};
use crate::domain::event_id::EventId;
use crate::http::Request;

/// Every file of the form is an attachment of the event that the path names. `body` is decoded.
///
/// # Errors
/// 400 for an id that is none and a form that is broken.
pub(in crate::ingest) fn parcel(
    event_id: &str,
    body: &Payload<'_>,
    request: &Request,
    spool: &SpoolDir,
) -> Result<Parcel<'static>, Refusal> {
    let id = EventId::parse(event_id).ok_or(Fault::EventId)?;
    let form = multipart::of_request(body, request, spool)?;
    Ok(Parcel {
        id: Some(id),
        sent_us: None,
        items: form
            .files
            .into_iter()
            .map(|file| attachment(file, None))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FORM, Sender, form, request};
    use super::*;
    use crate::ingest::items::Kind;

    const ID: &str = "aaaaaaaabbbb4ccc8dddeeeeeeeeeeee";

    fn parcel_of(id: &str, body: &[u8]) -> Result<Parcel<'static>, Refusal> {
        let sender = Sender::new();
        parcel(
            id,
            &Payload::borrowed(body),
            &request(FORM),
            &sender.spool(),
        )
    }

    #[test]
    fn every_file_is_an_attachment_and_no_field_is() {
        let body = form(&[
            ("name=note", b"text"),
            ("name=a; filename=a.txt", b"1"),
            ("name=upload_file_minidump; filename=", b"2"),
        ]);
        let parcel = parcel_of(ID, &body).unwrap();
        assert_eq!(parcel.id.map(|id| id.to_string()).as_deref(), Some(ID));
        let items: Vec<_> = parcel
            .items
            .iter()
            .map(|item| {
                assert_eq!(item.kind, Kind::Attachment);
                assert_eq!(item.header.attachment_type, None);
                (
                    item.header.filename.as_deref(),
                    item.payload.bytes().unwrap().into_owned(),
                )
            })
            .collect();
        assert_eq!(
            items,
            [(Some("a.txt"), b"1".to_vec()), (None, b"2".to_vec())]
        );
    }

    #[test]
    fn a_form_without_files_adds_nothing() {
        let parcel = parcel_of(ID, &form(&[])).unwrap();
        assert!(parcel.items.is_empty());
    }

    #[test]
    fn a_bad_id_or_form_is_refused() {
        let body = form(&[("name=a; filename=a", b"1")]);
        for id in ["", "1", "latest", "aaaaaaaabbbb4ccc8dddeeeeeeeeeeeg"] {
            assert_eq!(parcel_of(id, &body).unwrap_err(), Fault::EventId.into());
        }
        let cut = &body[..body.len() - 8];
        let refusal = parcel_of(ID, cut).unwrap_err();
        assert!(matches!(refusal, Refusal::Upload(Fault::Multipart(_))));
    }
}
