//! Attachments of events.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::payloads::{NewPayload, Payload};
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

/// An attachment as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredAttachment {
    pub(crate) id: i64,
    pub(crate) received: Timestamp,
    pub(crate) event_id: EventId,
    /// Such as `event.attachment` or `event.minidump`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    /// Of the payload, unpacked.
    pub(crate) bytes: i64,
    /// Of the payload, unpacked.
    pub(crate) sha1: [u8; 20],
}

const COLUMNS: &str = "id, received_us, event_id, kind, name, content_type, bytes, sha1";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredAttachment> {
    Ok(StoredAttachment {
        id: row.get("id")?,
        received: Timestamp::from_us(row.get("received_us")?),
        event_id: EventId(row.get("event_id")?),
        kind: row.get("kind")?,
        name: row.get("name")?,
        content_type: row.get("content_type")?,
        bytes: row.get("bytes")?,
        sha1: row.get("sha1")?,
    })
}

/// Which attachments of an event. `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttachmentFilter {
    /// Part of the name, without case.
    pub(crate) name: Option<String>,
    /// One of these kinds.
    pub(crate) kinds: Option<Vec<String>>,
    /// Pictures with `screenshot` in their name.
    pub(crate) screenshots: bool,
}

/// The attachments of an event by name, from the `offset`th on, at most `limit`.
pub(crate) fn list(
    connection: &Connection,
    project: ProjectId,
    event_id: EventId,
    filter: &AttachmentFilter,
    offset: i64,
    limit: i64,
) -> rusqlite::Result<Vec<StoredAttachment>> {
    let event_id = event_id.0.as_slice();
    let kinds = filter
        .kinds
        .as_ref()
        .map(|kinds| serde_json::json!(kinds).to_string());
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
        (":project", &project.0),
        (":event_id", &event_id),
        (":offset", &offset),
        (":limit", &limit),
    ];
    let mut conditions = String::new();
    if let Some(name) = &filter.name {
        conditions.push_str(" AND instr(lower(name), lower(:name))");
        params.push((":name", name));
    }
    if let Some(kinds) = &kinds {
        conditions.push_str(" AND kind IN (SELECT value FROM json_each(:kinds))");
        params.push((":kinds", kinds));
    }
    if filter.screenshots {
        conditions
            .push_str(" AND instr(lower(name), 'screenshot') AND content_type LIKE 'image/%'");
    }
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attachment
             WHERE project_id = :project AND event_id = :event_id{conditions}
             ORDER BY name, id LIMIT :limit OFFSET :offset"
        ))?
        .query_map(params.as_slice(), from_row)?
        .collect()
}

/// Whether an event has any, which may be true of one that is not here itself.
pub(crate) fn exist(
    connection: &Connection,
    project: ProjectId,
    event_id: EventId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM attachment WHERE project_id = :project AND event_id = :event_id LIMIT 1",
        )?
        .exists(named_params! { ":project": project.0, ":event_id": event_id.0.as_slice() })
}

/// The attachment of an event that has this number.
pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
    event_id: EventId,
    id: i64,
) -> rusqlite::Result<Option<StoredAttachment>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attachment
             WHERE id = :id AND project_id = :project AND event_id = :event_id"
        ))?
        .query_row(
            named_params! { ":id": id, ":project": project.0, ":event_id": event_id.0.as_slice() },
            from_row,
        )
        .optional()
}

/// Where the payload of an attachment lies.
pub(crate) fn find_payload(connection: &Connection, id: i64) -> rusqlite::Result<Option<Payload>> {
    connection
        .prepare_cached("SELECT payload, large_payload_id FROM attachment WHERE id = :id")?
        .query_row([id], Payload::from_row)
        .optional()
}
