//! Items that are no events and no attachments: one row for each, as it arrived.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::Place;
use super::payloads::{NewPayload, Payload};
use crate::domain::event_id::EventId;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;

/// An item about to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewItem {
    pub(crate) kind: StoredKind,
    /// The check-in, the replay, or the event that it belongs to.
    pub(crate) item_id: Option<EventId>,
    /// JSON: the fields of its header that say how to read the payload.
    pub(crate) header: String,
    /// The entries of a container, else 1.
    pub(crate) quantity: u64,
    /// Of the payload before it was packed.
    pub(crate) bytes: u64,
    pub(crate) payload: NewPayload,
}

pub(crate) fn insert(
    connection: &Connection,
    project: ProjectId,
    key: KeyId,
    received: Timestamp,
    item: &NewItem,
) -> rusqlite::Result<()> {
    let (packed, large) = item.payload.columns();
    connection
        .prepare_cached(
            "INSERT INTO item (project_id, kind, key_id, received_us, item_id, header, quantity, bytes,
                               payload, large_payload_id)
             VALUES (:project, :kind, :key, :received, :item_id, :header, :quantity, :bytes, :payload, :large)",
        )?
        .execute(named_params! {
            ":project": project.0,
            ":kind": item.kind.number(),
            ":key": key.0,
            ":received": received.us(),
            ":item_id": item.item_id.as_ref().map(|id| id.0.as_slice()),
            ":header": item.header,
            ":quantity": i64::try_from(item.quantity).unwrap_or(i64::MAX),
            ":bytes": i64::try_from(item.bytes).unwrap_or(i64::MAX),
            ":payload": packed,
            ":large": large,
        })?;
    item.payload.settle(connection)
}

/// An item as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredItem {
    /// The row's number: the order of arrival.
    pub(crate) id: i64,
    pub(crate) key: KeyId,
    pub(crate) received: Timestamp,
    /// The check-in, the replay, or the event that it belongs to.
    pub(crate) item_id: Option<EventId>,
    /// JSON: the fields of its header that say how to read the payload.
    pub(crate) header: String,
    /// The entries of a container, else 1.
    pub(crate) quantity: i64,
    /// Of the payload, unpacked.
    pub(crate) bytes: i64,
}

const COLUMNS: &str = "id, key_id, received_us, item_id, header, quantity, bytes";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    Ok(StoredItem {
        id: row.get("id")?,
        key: KeyId(row.get("key_id")?),
        received: Timestamp::from_us(row.get("received_us")?),
        item_id: row.get::<_, Option<[u8; 16]>>("item_id")?.map(EventId),
        header: row.get("header")?,
        quantity: row.get("quantity")?,
        bytes: row.get("bytes")?,
    })
}

/// The item of a project and a kind that has this number.
pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
    kind: StoredKind,
    id: i64,
) -> rusqlite::Result<Option<StoredItem>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM item WHERE id = :id AND project_id = :project AND kind = :kind"
        ))?
        .query_row(
            named_params! { ":id": id, ":project": project.0, ":kind": kind.number() },
            from_row,
        )
        .optional()
}

/// The items of a project and a kind, newest first.
pub(crate) fn list(
    connection: &Connection,
    project: ProjectId,
    kind: StoredKind,
    place: Place,
    limit: u32,
) -> rusqlite::Result<Vec<StoredItem>> {
    let (range, order) = place.sql();
    let kind = kind.number();
    let boundary = place.boundary();
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
        (":project", &project.0),
        (":kind", &kind),
        (":limit", &limit),
    ];
    if let Some(boundary) = &boundary {
        params.push((":boundary", boundary));
    }
    let mut items = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM item INDEXED BY item_by_kind
             WHERE project_id = :project AND kind = :kind{range} ORDER BY id {order} LIMIT :limit"
        ))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    place.cut_to(&mut items, limit, |item| item.id);
    Ok(items)
}

/// Where the payload of an item lies.
pub(crate) fn find_payload(connection: &Connection, id: i64) -> rusqlite::Result<Option<Payload>> {
    connection
        .prepare_cached("SELECT payload, large_payload_id FROM item WHERE id = :id")?
        .query_row([id], Payload::from_row)
        .optional()
}
