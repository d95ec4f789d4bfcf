//! Attachments of events.

use rusqlite::{Connection, named_params};

use super::payloads::NewPayload;
use crate::domain::event_id::EventId;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::time::Timestamp;

/// An attachment about to be stored. Its event may not be there, or come later.
#[derive(Clone, Debug)]
pub(crate) struct NewAttachment {
    pub(crate) event_id: EventId,
    /// Such as `event.attachment` or `event.minidump`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    /// Of the payload before it was packed.
    pub(crate) bytes: u64,
    /// Of the payload before it was packed.
    pub(crate) sha1: [u8; 20],
    pub(crate) payload: NewPayload,
}

pub(crate) fn insert(
    connection: &Connection,
    project: ProjectId,
    key: KeyId,
    received: Timestamp,
    attachment: &NewAttachment,
) -> rusqlite::Result<()> {
    let (packed, large) = attachment.payload.columns();
    connection
        .prepare_cached(
            "INSERT INTO attachment (project_id, key_id, received_us, event_id, kind, name, content_type, bytes,
                                     sha1, payload, large_payload_id)
             VALUES (:project, :key, :received, :event_id, :kind, :name, :content_type, :bytes,
                     :sha1, :payload, :large)",
        )?
        .execute(named_params! {
            ":project": project.0,
            ":key": key.0,
            ":received": received.us(),
            ":event_id": attachment.event_id.0.as_slice(),
            ":kind": attachment.kind,
            ":name": attachment.name,
            ":content_type": attachment.content_type,
            ":bytes": i64::try_from(attachment.bytes).unwrap_or(i64::MAX),
            ":sha1": attachment.sha1.as_slice(),
            ":payload": packed,
            ":large": large,
        })?;
    attachment.payload.settle(connection)
}
