//! Events: errors, security reports, transactions and feedback. They share the ids of their project.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::Place;
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

/// An event as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredEvent {
    /// The row's number: the order of arrival.
    pub(crate) id: i64,
    pub(crate) kind: StoredKind,
    pub(crate) event_id: EventId,
    pub(crate) key: KeyId,
    pub(crate) received: Timestamp,
    /// zstd-compressed; [`super::payloads::unpack`] reads it.
    pub(crate) packed: Vec<u8>,
}

const COLUMNS: &str = "id, kind, event_id, key_id, received_us, payload";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        id: row.get("id")?,
        // A number that this version does not know is from a newer one, and shown like any event.
        kind: StoredKind::of_number(row.get("kind")?).unwrap_or(StoredKind::Event),
        event_id: EventId(row.get("event_id")?),
        key: KeyId(row.get("key_id")?),
        received: Timestamp::from_us(row.get("received_us")?),
        packed: row.get("payload")?,
    })
}

/// The event of a project that has this id, of whatever kind.
pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
    event_id: EventId,
) -> rusqlite::Result<Option<StoredEvent>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM event WHERE project_id = :project AND event_id = :event_id"
        ))?
        .query_row(
            named_params! { ":project": project.0, ":event_id": event_id.0.as_slice() },
            from_row,
        )
        .optional()
}

/// The event of a project and a kind that has this row.
pub(crate) fn find_by_row(
    connection: &Connection,
    project: ProjectId,
    kind: StoredKind,
    id: i64,
) -> rusqlite::Result<Option<StoredEvent>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM event WHERE id = :id AND project_id = :project AND kind = :kind"
        ))?
        .query_row(
            named_params! { ":id": id, ":project": project.0, ":kind": kind.number() },
            from_row,
        )
        .optional()
}

/// What tells an event of a list. [`find_by_row`] has the rest: a page of payloads is long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListedEvent {
    pub(crate) id: i64,
    pub(crate) kind: StoredKind,
}

/// How much later a row may have been received than one that was written after it: a slow upload is written when it
/// is whole.
const DISORDER_US: i64 = 3_600_000_000;

/// The events of these kinds that came within a range of time, if one is given, newest first.
///
/// Each kind is a range of an index by row. Of a time, the rows are found by bisection; beside those, only the rows of
/// [`DISORDER_US`] at either end are looked at.
pub(crate) fn list(
    connection: &Connection,
    project: ProjectId,
    kinds: &[StoredKind],
    received: Option<(Timestamp, Timestamp)>,
    place: Place,
    limit: u32,
) -> rusqlite::Result<Vec<ListedEvent>> {
    let (range, order) = place.sql();
    let times = received.map(|(from, until)| (from.us(), until.us()));
    let (time, (first, end)) = match times {
        Some(times) => (
            " AND id >= :first AND id < :end AND received_us >= :from AND received_us < :until",
            rows_around(connection, times)?,
        ),
        None => ("", (0, 0)),
    };
    let sql = format!(
        "SELECT id FROM event INDEXED BY event_by_kind
         WHERE project_id = :project AND kind = :kind{range}{time} ORDER BY id {order} LIMIT :limit"
    );
    let boundary = place.boundary();
    let mut events = Vec::new();
    for &listed in kinds {
        let kind = listed.number();
        let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
            (":project", &project.0),
            (":kind", &kind),
            (":limit", &limit),
        ];
        if let Some(boundary) = &boundary {
            params.push((":boundary", boundary));
        }
        if let Some((from, until)) = &times {
            params.push((":from", from));
            params.push((":until", until));
            params.push((":first", &first));
            params.push((":end", &end));
        }
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params.as_slice(), |row| {
            Ok(ListedEvent {
                id: row.get("id")?,
                kind: listed,
            })
        })?;
        events.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    place.cut_to(&mut events, limit, |event| event.id);
    Ok(events)
}

/// The rows, of all projects, among which those are that were received in `[from, until)`: from the first to before
/// the second.
fn rows_around(
    connection: &Connection,
    (from_us, until_us): (i64, i64),
) -> rusqlite::Result<(i64, i64)> {
    let (least, greatest): (Option<i64>, Option<i64>) = connection
        .prepare_cached("SELECT (SELECT min(id) FROM event), (SELECT max(id) FROM event)")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(least), Some(greatest)) = (least, greatest) else {
        return Ok((0, 0));
    };
    let mut next_row = connection
        .prepare_cached("SELECT id, received_us FROM event WHERE id >= :id ORDER BY id LIMIT 1")?;
    // The least id from which on rows were received at a moment or later, as far as rows are in order.
    let mut first_since = |moment_us: i64| -> rusqlite::Result<i64> {
        let (mut low, mut high) = (least, greatest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let (id, received_us): (i64, i64) = next_row
                .query_row(named_params! { ":id": middle }, |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if received_us < moment_us {
                low = id + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    };
    Ok((
        first_since(from_us.saturating_sub(DISORDER_US))?,
        first_since(until_us.saturating_add(DISORDER_US))?,
    ))
}

/// The ids of the events of these kinds that came just before and just after a row.
pub(crate) fn neighbours(
    connection: &Connection,
    project: ProjectId,
    kinds: &[StoredKind],
    id: i64,
) -> rusqlite::Result<(Option<EventId>, Option<EventId>)> {
    let beside = |place: Place| -> rusqlite::Result<Option<EventId>> {
        let (range, order) = place.sql();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT id, event_id FROM event INDEXED BY event_by_kind
             WHERE project_id = :project AND kind = :kind{range} ORDER BY id {order} LIMIT 1"
        ))?;
        let mut found = Vec::new();
        for kind in kinds {
            let params =
                named_params! { ":project": project.0, ":kind": kind.number(), ":boundary": id };
            let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, EventId(row.get(1)?)));
            found.extend(statement.query_row(params, row).optional()?);
        }
        place.cut_to(&mut found, 1, |(id, _)| *id);
        Ok(found.pop().map(|(_, event_id)| event_id))
    };
    Ok((beside(Place::Below(id))?, beside(Place::Above(id))?))
}
