//! Items as they arrived, kind by kind. Ours: Sentry has no list of them, and who sends check-ins, logs or replays
//! here wants to see that they came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::Result;
use super::{Api, Call, InProject, download, paging};
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors};
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::http::{Request, Response};
use crate::store::items::{self, StoredItem};
use crate::store::payloads::{self, Payload};
use crate::store::{Connection, Place, client_keys, events};

/// The longest payload that stands in an answer of many; others are had by `download`.
const INLINE_BYTES_MAX: i64 = 64 * 1024;

/// An item.
///
/// Of `payload` and `payloadBase64` there is one, or neither where the payload is longer than
/// [`INLINE_BYTES_MAX`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemBody {
    /// The number of the row. Events have numbers of their own, so it names an item together with its type only.
    id: String,
    /// As SDKs write it, such as `check_in`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The id of the event, check-in or replay; 32 hex digits. Null for what has none.
    item_id: Option<String>,
    date_received: Timestamp,
    /// The public half of the key that it came with; null if that is gone.
    key_id: Option<String>,
    /// The entries of a container, else 1.
    quantity: i64,
    /// Bytes of the payload.
    size: i64,
    /// The fields of the item's header that say how to read the payload.
    header: Box<RawValue>,
    /// The payload itself, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    /// Any other payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// What the two tables have in common.
struct Found {
    item: StoredItem,
    /// Already read, for an event.
    payload: Option<Payload>,
}

/// `GET P/items/?type=KIND`: newest first.
pub(super) fn list(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let kind = read_kind(&call.request)?;
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let project = context.project.id;
    let paged = paging::by_id(
        page,
        |found: &Found| found.item.id,
        |place, limit| fetch(&call.connection, project, kind, place, limit),
    )?;
    let paged = paged.replace(|rows| {
        rows.into_iter()
            .map(|found| body(&call.connection, kind, found))
            .collect()
    })?;
    Ok(paged.answer(&api.prefix, &call.request))
}

/// `GET P/items/{id}/?type=KIND`: one of them, or with `download`, whatever its value, its bytes.
pub(super) fn get(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let kind = read_kind(&call.request)?;
    let id: i64 = call
        .params
        .get("item")
        .parse()
        .map_err(|_| Error::NotFound)?;
    let project = context.project.id;
    let connection = &call.connection;
    let found = if kind.is_event() {
        events::find_by_row(connection, project, kind, id)?
            .map(of_event)
            .transpose()?
    } else {
        items::find(connection, project, kind, id)?.map(of_item)
    };
    let found = found.ok_or(Error::NotFound)?;
    if call.request.query_value("download").is_none() {
        return Ok(Response::json(200, &body(connection, kind, found)?));
    }
    let bytes = found.item.bytes;
    let payload = payload_of(connection, found)?;
    Ok(download::answer(
        api,
        payload,
        bytes,
        &format!("{}-{id}", kind.name()),
    ))
}

/// # Errors
/// `Invalid`, with the choices: no type, or one that is not kept.
fn read_kind(request: &Request) -> Result<StoredKind> {
    let text = request.query_value("type");
    if let Some(kind) = text.as_deref().and_then(StoredKind::parse) {
        return Ok(kind);
    }
    let wrong = match text {
        None => "This field is required.".to_owned(),
        Some(text) => format!("\"{text}\" is not a valid choice."),
    };
    let choices: Vec<&str> = StoredKind::ALL.iter().map(|kind| kind.name()).collect();
    let mut errors = FieldErrors::default();
    errors.add(
        "type",
        format!("{wrong} Choose one of: {}.", choices.join(", ")),
    );
    Err(Error::Invalid(errors).into())
}

fn fetch(
    connection: &Connection,
    project: ProjectId,
    kind: StoredKind,
    place: Place,
    limit: u32,
) -> Result<Vec<Found>> {
    if kind.is_event() {
        let listed = events::list(connection, project, &[kind], None, place, limit)?;
        let mut found = Vec::new();
        for event in listed {
            if let Some(event) = events::find_by_row(connection, project, kind, event.id)? {
                let mut event = of_event(event)?;
                // Not held for the whole page where the answer has no place for it.
                if event.item.bytes > INLINE_BYTES_MAX {
                    event.payload = None;
                }
                found.push(event);
            }
        }
        return Ok(found);
    }
    let items = items::list(connection, project, kind, place, limit)?;
    Ok(items.into_iter().map(of_item).collect())
}

fn of_item(item: StoredItem) -> Found {
    Found {
        item,
        payload: None,
    }
}

fn of_event(event: events::StoredEvent) -> Result<Found> {
    let bytes = payloads::unpacked_bytes(&event.packed)?;
    Ok(Found {
        item: StoredItem {
            id: event.id,
            key: event.key,
            received: event.received,
            item_id: Some(event.event_id),
            header: "{}".to_owned(),
            quantity: 1,
            bytes,
        },
        payload: Some(Payload::InRow(event.packed)),
    })
}

fn payload_of(connection: &Connection, found: Found) -> Result<Payload> {
    match found.payload {
        Some(payload) => Ok(payload),
        None => Ok(items::find_payload(connection, found.item.id)?.ok_or(Error::NotFound)?),
    }
}

fn body(connection: &Connection, kind: StoredKind, found: Found) -> Result<ItemBody> {
    let item = found.item.clone();
    let (mut payload, mut payload_base64) = (None, None);
    if item.bytes <= INLINE_BYTES_MAX {
        let bytes = payload_of(connection, found)?.read(connection)?;
        payload = serde_json::from_slice(&bytes).ok();
        payload_base64 = payload.is_none().then(|| STANDARD.encode(&bytes));
    }
    Ok(ItemBody {
        id: item.id.to_string(),
        kind: kind.name(),
        item_id: item.item_id.map(|id| id.to_string()),
        date_received: item.received,
        key_id: public_half(connection, item.key)?,
        quantity: item.quantity,
        size: item.bytes,
        header: RawValue::from_string(item.header).map_err(Error::internal)?,
        payload,
        payload_base64,
    })
}

fn public_half(connection: &Connection, key: KeyId) -> Result<Option<String>> {
    let key = client_keys::find_by_id(connection, key)?;
    Ok(key.map(|key| key.public.to_string()))
}
