//! Events: errors, security reports, transactions and feedback. They share the ids of their project.

use rusqlite::{Connection, named_params};

use crate::domain::event_id::EventId;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;

/// An event about to be stored.
pub(crate) struct NewEvent<'a> {
    pub(crate) project: ProjectId,
    pub(crate) key: KeyId,
    pub(crate) event_id: EventId,
    /// One of those for which [`StoredKind::is_event`] holds.
    pub(crate) kind: StoredKind,
    pub(crate) received: Timestamp,
    /// zstd-compressed.
    pub(crate) payload: &'a [u8],
}

/// Stores an event; false when the project has one of that id already (SDKs retry after a lost answer).
pub(crate) fn insert(connection: &Connection, event: &NewEvent<'_>) -> rusqlite::Result<bool> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO event (project_id, event_id, kind, key_id, received_us, payload)
             VALUES (:project, :event_id, :kind, :key, :received, :payload)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":project": event.project.0,
            ":event_id": event.event_id.0.as_slice(),
            ":kind": event.kind.number(),
            ":key": event.key.0,
            ":received": event.received.us(),
            ":payload": event.payload,
        })?;
    Ok(inserted == 1)
}
