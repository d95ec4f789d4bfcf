//! Items that are no events and no attachments: one row for each, as it arrived.

use rusqlite::{Connection, named_params};

use super::payloads::NewPayload;
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
