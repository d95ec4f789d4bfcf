//! What is removed because it is old, or because it is more than its budget; and the pages that are given back.
//!
//! [`next`] looks, on a connection for reading, for the one thing to remove next; [`step`] removes a little of it, in
//! the writer. How far the work is stands in the tables alone.
//!
//! **The order.** First what is past its age, then what is over a project's budget, then what is over the server's.
//! For a budget the least informative goes first ([`Worth`]): what comes in bulk and is of use for days; then
//! transactions and check-ins; then errors, reports and what people wrote. Of the same worth, the oldest goes first,
//! of whichever kind and, for the server's budget, of whichever project. Within a kind the order of arrival counts, so
//! that a row whose date a wrong clock put into the future does not stand in the way of those behind it.
//!
//! **Statistics stay.** They come from the ledger, whose days are kept for ever. Its finer rows go after a time, from when
//! on the coarser ones are read ([`ledger::kept_from`]).

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, named_params};

use super::ledger;
use super::payloads::{self, LargePayloadId};
use super::sizes::{self, Amount, Kind, Size};
use super::space;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::id::ProjectId;
use crate::domain::option::Budget;
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;

/// The bounds of a step: it stops at the first one that it meets.
const STEP_ROWS: usize = 500;
const STEP_TIME: Duration = Duration::from_millis(5);
/// How many rows are removed between two looks at the bounds.
const CHUNK_ROWS: usize = 20;
/// Pages that one step gives back.
const STEP_PAGES: u32 = 256;

const DAY_SECS: i64 = 86_400;

/// What goes so long after its end, whoever it belonged to: a table, its key, and when a row of it is over.
const EXPIRED_SECS: i64 = 7 * DAY_SECS;
const EXPIRED: &[(&str, &str, &str)] = &[
    ("session", "id", "expires_us <= :now OR ends_us <= :now"),
    ("user_link", "hash", "expires_us <= :now"),
    ("project_transfer", "project_id", "expires_us <= :now"),
];

/// How much is lost with something; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Bulk,
    Trace,
    Report,
}

impl Worth {
    const ALL: [Worth; 3] = [Worth::Bulk, Worth::Trace, Worth::Report];

    fn of(kind: Kind) -> Worth {
        use StoredKind::*;
        match kind {
            Kind::Attachments => Worth::Bulk,
            Kind::Of(kind) => match kind {
                Session | Sessions | ReplayEvent | ReplayRecording | ReplayVideo | Profile
                | ProfileChunk | Log | TraceMetric | Span | Statsd | MetricBuckets => Worth::Bulk,
                Transaction | CheckIn => Worth::Trace,
                Event | Security | Feedback | UserReport => Worth::Report,
            },
        }
    }
}

/// Something to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Of a project and a kind, what came before a moment.
    Old {
        project: ProjectId,
        kind: Kind,
        before: Timestamp,
    },
    /// Of a project and a kind, the oldest that take so many bytes together.
    Excess {
        project: ProjectId,
        kind: Kind,
        bytes: i64,
    },
    /// Rows of the ledger.
    Ledger {
        resolution_secs: i64,
        project: ProjectId,
        before: Timestamp,
    },
    /// The intake of hours that nobody asks for.
    Intake(Timestamp),
    /// Rows of [`EXPIRED`], by their place in it.
    Expired(usize, Timestamp),
}

/// Where the last step was taken, which may have ended in the middle of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    At(Vec<(ProjectId, Kind)>),
    /// After a start nobody knows.
    Anywhere,
}

impl Begun {
    /// By a step of these removals.
    pub(crate) fn by(removals: &[Removal]) -> Begun {
        let places = removals.iter().filter_map(|removal| match *removal {
            Removal::Old { project, kind, .. } | Removal::Excess { project, kind, .. } => {
                Some((project, kind))
            }
            Removal::Ledger { .. } | Removal::Intake(_) | Removal::Expired(..) => None,
        });
        Begun::At(places.collect())
    }

    fn may_be_at(&self, size: &Size) -> bool {
        match self {
            Begun::At(places) => places.contains(&(size.project, size.kind)),
            Begun::Anywhere => true,
        }
    }
}

/// What is to be removed next of what clients sent, which takes so much room; in one step, as far as that goes. `of_project`
/// tells a project's own budget, and none of one that is being deleted. While there is more to remove where the last step
/// was, nothing else is looked at for its age.
pub(crate) fn next(
    connection: &Connection,
    mut sizes: Vec<Size>,
    server: Budget,
    of_project: impl Fn(ProjectId) -> Option<Budget>,
    now: Timestamp,
    begun: &Begun,
) -> rusqlite::Result<Vec<Removal>> {
    sizes.retain(|size| of_project(size.project).is_some());
    // What has begun to go is of no use to anybody any more, and what is gone of it may have been excess enough.
    for size in sizes.iter().filter(|size| begun.may_be_at(size)) {
        if is_partly_gone(connection, size)? {
            return Ok(vec![Removal::Excess {
                project: size.project,
                kind: size.kind,
                bytes: 1,
            }]);
        }
    }
    let at = sizes.iter().position(|size| begun.may_be_at(size));
    let (before, from) = sizes.split_at(at.unwrap_or(0));
    for size in from.iter().chain(before) {
        let own = of_project(size.project).unwrap_or_default();
        // The stricter of the two holds.
        let days = own.days.into_iter().chain(server.days).min();
        let Some(before) = days.map(|days| now.plus_secs(-i64::from(days) * DAY_SECS)) else {
            continue;
        };
        if oldest(connection, size)?.is_some_and(|oldest| oldest < before) {
            return Ok(vec![Removal::Old {
                project: size.project,
                kind: size.kind,
                before,
            }]);
        }
    }
    for of_one in sizes.chunk_by(|a, b| a.project == b.project) {
        let own = of_one.first().and_then(|size| of_project(size.project));
        let removals = over(connection, of_one, own.and_then(|own| own.bytes))?;
        if !removals.is_empty() {
            return Ok(removals);
        }
    }
    over(connection, &sizes, server.bytes)
}

/// Whether the oldest row has lost some of its payload's parts in a step that ended before they were all gone.
fn is_partly_gone(connection: &Connection, size: &Size) -> rusqlite::Result<bool> {
    let source = Source::of(size.kind);
    if !source.has_parts {
        return Ok(false);
    }
    let oldest = source.first(connection, size.project, 1)?.pop();
    match oldest.and_then(|row| row.large) {
        Some(large) => payloads::has_lost_parts(connection, large),
        None => Ok(false),
    }
}

/// What is to be removed of these for a budget, the first first; more than one where that does not suffice: on a busy
/// server there is always a little of the least worth, and steps that removed nothing else would not keep up.
fn over(
    connection: &Connection,
    sizes: &[Size],
    bytes_max: Option<u64>,
) -> rusqlite::Result<Vec<Removal>> {
    let mut removals = Vec::new();
    let Some(bytes_max) = bytes_max else {
        return Ok(removals);
    };
    let bytes: i64 = sizes.iter().map(|size| size.amount.bytes).sum();
    let mut excess = bytes.saturating_sub(i64::try_from(bytes_max).unwrap_or(i64::MAX));
    for worth in Worth::ALL {
        if excess <= 0 {
            break;
        }
        let of_worth = sizes.iter().filter(|size| Worth::of(size.kind) == worth);
        for size in by_age(connection, of_worth)? {
            // A step has no time for more removals than it may remove rows.
            if excess <= 0 || removals.len() == STEP_ROWS {
                return Ok(removals);
            }
            removals.push(Removal::Excess {
                project: size.project,
                kind: size.kind,
                bytes: excess.min(size.amount.bytes),
            });
            excess -= size.amount.bytes;
        }
    }
    Ok(removals)
}

/// Those of which there is something, by the age of their first rows, oldest first.
fn by_age<'a>(
    connection: &Connection,
    sizes: impl Iterator<Item = &'a Size>,
) -> rusqlite::Result<Vec<&'a Size>> {
    let mut aged = Vec::new();
    for size in sizes {
        if let Some(oldest) = oldest(connection, size)? {
            aged.push((oldest, size));
        }
    }
    aged.sort_by_key(|(oldest, _)| *oldest);
    Ok(aged.into_iter().map(|(_, size)| size).collect())
}

/// Rows of a project and a kind in the order of their arrival.
struct Source {
    table: &'static str,
    condition: &'static str,
    index: &'static str,
    kind: Option<i64>,
    has_parts: bool,
}

impl Source {
    fn of(kind: Kind) -> Source {
        match kind {
            Kind::Attachments => Source {
                table: "attachment",
                condition: "project_id = :project",
                index: "attachment_by_project",
                kind: None,
                has_parts: true,
            },
            Kind::Of(kind) => Source {
                table: if kind.is_event() { "event" } else { "item" },
                condition: "project_id = :project AND kind = :kind",
                index: match kind.is_event() {
                    true => "event_by_kind",
                    false => "item_by_kind",
                },
                kind: Some(kind.number()),
                has_parts: !kind.is_event(),
            },
        }
    }

    /// The first rows: number, date, the payload's packed bytes, and where a large one lies.
    fn first(
        &self,
        connection: &Connection,
        project: ProjectId,
        limit: usize,
    ) -> rusqlite::Result<Vec<Row>> {
        let (table, condition, index) = (self.table, self.condition, self.index);
        let large = match self.has_parts {
            true => "large_payload_id",
            false => "NULL",
        };
        let sql = format!(
            "SELECT id, received_us, length(payload), {large} FROM {table} INDEXED BY {index}
             WHERE {condition} ORDER BY id LIMIT :limit"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut params: Vec<(&str, &dyn rusqlite::ToSql)> =
            vec![(":project", &project.0), (":limit", &limit)];
        if let Some(kind) = &self.kind {
            params.push((":kind", kind));
        }
        connection
            .prepare_cached(&sql)?
            .query_map(params.as_slice(), |row| {
                Ok(Row {
                    id: row.get(0)?,
                    received: Timestamp::from_us(row.get(1)?),
                    packed: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
                    large: row.get::<_, Option<i64>>(3)?.map(LargePayloadId),
                })
            })?
            .collect()
    }

    fn delete(&self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        connection
            .prepare_cached(&format!("DELETE FROM {} WHERE id = :id", self.table))?
            .execute([id])
            .map(drop)
    }
}

struct Row {
    id: i64,
    received: Timestamp,
    packed: i64,
    large: Option<LargePayloadId>,
}

/// When the oldest of the first rows came.
fn oldest(connection: &Connection, size: &Size) -> rusqlite::Result<Option<Timestamp>> {
    let source = Source::of(size.kind);
    let (table, condition, index) = (source.table, source.condition, source.index);
    let sql = format!(
        "SELECT min(received_us) FROM (SELECT received_us FROM {table} INDEXED BY {index}
                                       WHERE {condition} ORDER BY id LIMIT 10)"
    );
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":project", &size.project.0)];
    if let Some(kind) = &source.kind {
        params.push((":kind", kind));
    }
    connection
        .prepare_cached(&sql)?
        .query_row(params.as_slice(), |row| row.get(0))
        .map(|us: Option<i64>| us.map(Timestamp::from_us))
}

/// What is to be removed next of the server's own books.
pub(crate) fn next_of_books(
    connection: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Option<Removal>> {
    for resolution_secs in ledger::RESOLUTIONS_SECS {
        let Some(before) = ledger::kept_from(resolution_secs, now) else {
            continue;
        };
        if let Some(project) = ledger_with_older(connection, resolution_secs, before)? {
            return Ok(Some(Removal::Ledger {
                resolution_secs,
                project,
                before,
            }));
        }
    }
    if sizes::is_intake_over(connection, now)? {
        return Ok(Some(Removal::Intake(now)));
    }
    for (at, (table, _, over)) in EXPIRED.iter().enumerate() {
        let now = now.plus_secs(-EXPIRED_SECS);
        let is_any = connection
            .prepare_cached(&format!("SELECT 1 FROM {table} WHERE {over} LIMIT 1"))?
            .exists(named_params! { ":now": now.us() })?;
        if is_any {
            return Ok(Some(Removal::Expired(at, now)));
        }
    }
    Ok(None)
}

/// The first project with rows of the ledger that are older: one look for each project.
fn ledger_with_older(
    connection: &Connection,
    resolution_secs: i64,
    before: Timestamp,
) -> rusqlite::Result<Option<ProjectId>> {
    let mut first_after = connection.prepare_cached(
        "SELECT project_id, bucket_us FROM ledger WHERE resolution = :resolution AND project_id > :project
         ORDER BY project_id, bucket_us LIMIT 1",
    )?;
    let mut project = i64::MIN;
    loop {
        let params = named_params! { ":resolution": resolution_secs, ":project": project };
        let found: Option<(i64, i64)> = first_after
            .query_row(params, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            None => return Ok(None),
            Some((found, bucket_us)) if bucket_us < before.us() => {
                return Ok(Some(ProjectId(found)));
            }
            Some((found, _)) => project = found,
        }
    }
}

/// Removes a little.
pub(crate) fn step(unit: &mut Unit<'_>, removals: &[Removal]) -> Result<()> {
    let mut bounds = Bounds {
        rows_left: STEP_ROWS,
        until: Instant::now() + STEP_TIME,
    };
    for removal in removals {
        if bounds.are_met() {
            break;
        }
        remove_some(unit, *removal, &mut bounds)?;
    }
    Ok(())
}

/// What is left of a step.
struct Bounds {
    rows_left: usize,
    until: Instant,
}

impl Bounds {
    fn are_met(&self) -> bool {
        self.rows_left == 0 || Instant::now() >= self.until
    }
}

fn remove_some(unit: &mut Unit<'_>, removal: Removal, bounds: &mut Bounds) -> Result<()> {
    match removal {
        Removal::Old {
            project,
            kind,
            before,
        } => remove(unit, project, kind, bounds, |rows| {
            rows.iter()
                .rposition(|row| row.received < before)
                .map_or(0, |last| last + 1)
        })?,
        Removal::Excess {
            project,
            kind,
            mut bytes,
        } => remove(unit, project, kind, bounds, |rows| {
            let mut count = 0;
            for row in rows {
                if bytes <= 0 {
                    break;
                }
                // What a large payload takes is seen when it is gone, so nothing goes after it.
                bytes = match row.large {
                    Some(_) => 0,
                    None => bytes - Amount::row(row.packed.unsigned_abs()).bytes,
                };
                count += 1;
            }
            count
        })?,
        Removal::Ledger {
            resolution_secs,
            project,
            before,
        } => {
            const KEY: &str =
                "resolution, project_id, bucket_us, key_id, category, outcome, reason";
            unit.prepare_cached(&format!(
                "DELETE FROM ledger WHERE ({KEY}) IN (
                     SELECT {KEY} FROM ledger
                     WHERE resolution = :resolution AND project_id = :project AND bucket_us < :before
                     LIMIT :limit)"
            ))?
            .execute(named_params! {
                ":resolution": resolution_secs,
                ":project": project.0,
                ":before": before.us(),
                ":limit": STEP_ROWS as i64,
            })?;
        }
        Removal::Intake(now) => {
            sizes::remove_intake_over(unit, now)?;
        }
        Removal::Expired(at, now) => {
            let (table, key, over) = EXPIRED[at];
            unit.prepare_cached(&format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {over} LIMIT :limit)"
            ))?
            .execute(named_params! { ":now": now.us(), ":limit": STEP_ROWS as i64 })?;
        }
    }
    Ok(())
}

/// Removes rows of a project and a kind, in the order of their arrival, for as long as `count` says so of the first ones
/// and the step is not over.
fn remove(
    unit: &mut Unit<'_>,
    project: ProjectId,
    kind: Kind,
    bounds: &mut Bounds,
    mut count: impl FnMut(&[Row]) -> usize,
) -> rusqlite::Result<()> {
    let source = Source::of(kind);
    let mut gone = Amount::default();
    'step: while !bounds.are_met() {
        let rows = source.first(unit, project, CHUNK_ROWS.min(bounds.rows_left))?;
        let chosen = count(&rows);
        for row in &rows[..chosen] {
            if let Some(large) = row.large {
                // The parts go one by one, before the row that says where they are.
                while let Some(packed) = payloads::delete_a_part(unit, large)? {
                    gone.add(Amount::part(packed));
                    bounds.rows_left = bounds.rows_left.saturating_sub(1);
                    if Instant::now() >= bounds.until {
                        break 'step;
                    }
                }
                payloads::delete(unit, large)?;
            }
            source.delete(unit, row.id)?;
            gone.add(Amount::row(row.packed.unsigned_abs()));
            bounds.rows_left = bounds.rows_left.saturating_sub(1);
        }
        if chosen < rows.len() || rows.is_empty() {
            break;
        }
    }
    unit.resize(project, kind, gone.negative());
    Ok(())
}

/// Whether the file has so many pages that nothing uses that some should be given back: more than an eighth of it and
/// 8 MiB, which new rows will want again soon; or, for want of room on the disk, any.
pub(crate) fn is_slack(connection: &Connection, wants_room: bool) -> rusqlite::Result<bool> {
    let (file, unused) = space::pages(connection)?;
    let slack = match wants_room {
        true => 0,
        false => (file / 8).max(8 << 20),
    };
    Ok(unused > slack)
}

/// Gives back a few pages. The file is shorter when the log was copied into it.
pub(crate) fn give_back(unit: &mut Unit<'_>) -> Result<()> {
    let until = Instant::now() + STEP_TIME;
    let mut statement = unit.prepare_cached(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = statement.query([])?;
    // Each row is a page.
    while pages.next()?.is_some() && Instant::now() < until {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use rusqlite::params;

    /// A connection with these events: project, kind, time of arrival, and bytes of the payload.
    fn with_events(events: &[(i64, StoredKind, i64, i64)]) -> Connection {
        let connection = connection::blank().unwrap();
        for (number, (project, kind, received, bytes)) in events.iter().enumerate() {
            connection
                .execute(
                    "INSERT INTO event (project_id, event_id, kind, key_id, received_us, payload)
                     VALUES (?, ?, ?, 1, ?, zeroblob(?))",
                    params![project, [number as u8], kind.number(), received, bytes],
                )
                .unwrap();
        }
        connection
    }

    fn size(project: i64, kind: StoredKind, bytes: i64) -> Size {
        Size {
            project: ProjectId(project),
            kind: Kind::Of(kind),
            amount: Amount { entries: 1, bytes },
        }
    }

    fn excess(project: i64, kind: StoredKind, bytes: i64) -> Removal {
        Removal::Excess {
            project: ProjectId(project),
            kind: Kind::Of(kind),
            bytes,
        }
    }

    /// With less, a busy server's steps would remove the few transactions that came since the last one, and never keep up.
    #[test]
    fn where_the_least_worth_is_too_little_more_goes_in_the_same_step() {
        let (errors, transactions) = (StoredKind::Event, StoredKind::Transaction);
        let connection = with_events(&[(1, errors, 5, 9800), (1, transactions, 6, 400)]);
        let sizes = [size(1, errors, 10_000), size(1, transactions, 600)];
        let removals = |bytes_max| over(&connection, &sizes, Some(bytes_max)).unwrap();
        assert_eq!(removals(10_600), []);
        assert_eq!(removals(10_300), [excess(1, transactions, 300)]);
        assert_eq!(
            removals(5000),
            [excess(1, transactions, 600), excess(1, errors, 5000)]
        );
    }

    #[test]
    fn where_the_oldest_is_too_little_the_next_goes_in_the_same_step() {
        let errors = StoredKind::Event;
        let connection = with_events(&[
            (1, errors, 7, 800),
            (2, errors, 5, 400),
            (3, errors, 6, 400),
        ]);
        let sizes = [
            size(1, errors, 1000),
            size(2, errors, 600),
            size(3, errors, 600),
        ];
        let removals = over(&connection, &sizes, Some(900)).unwrap();
        assert_eq!(
            removals,
            [
                excess(2, errors, 600),
                excess(3, errors, 600),
                excess(1, errors, 100)
            ]
        );
    }
}
