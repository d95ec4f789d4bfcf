//! How much each project has of each kind, and how much came in each hour. Written in the transaction of the rows that
//! are counted, each distinct sum once for all jobs of a batch, so that they always agree with the tables.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::domain::id::ProjectId;
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;

/// What a row takes beside its payload: its columns, and its place in the indexes.
const ROW_BYTES: i64 = 200;

/// The number of attachments, beside those of [`StoredKind`].
const ATTACHMENTS: i64 = 100;

const HOUR_SECS: i64 = 3600;

/// How long the intake of an hour is remembered.
const INTAKE_SECS: i64 = 8 * 86_400;

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Of(StoredKind),
    Attachments,
}

impl Kind {
    fn number(self) -> i64 {
        match self {
            Kind::Of(kind) => kind.number(),
            Kind::Attachments => ATTACHMENTS,
        }
    }

    /// None for what a newer version stored.
    fn of_number(number: i64) -> Option<Kind> {
        match number {
            ATTACHMENTS => Some(Kind::Attachments),
            number => StoredKind::of_number(number).map(Kind::Of),
        }
    }
}

/// A number of rows and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) entries: i64,
    pub(crate) bytes: i64,
}

impl Amount {
    /// One row with a payload of so many packed bytes.
    pub(crate) fn row(packed: u64) -> Amount {
        Amount {
            entries: 1,
            bytes: i64::try_from(packed)
                .unwrap_or(i64::MAX)
                .saturating_add(ROW_BYTES),
        }
    }

    /// Packed bytes that belong to a row that is counted apart.
    pub(super) fn part(packed: i64) -> Amount {
        Amount {
            entries: 0,
            bytes: packed,
        }
    }

    pub(crate) fn add(&mut self, other: Amount) {
        self.entries = self.entries.saturating_add(other.entries);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn negative(self) -> Amount {
        Amount {
            entries: -self.entries,
            bytes: -self.bytes,
        }
    }
}

/// The sums of one transaction.
#[derive(Default)]
pub(super) struct SizeSums {
    changes: HashMap<(ProjectId, Kind), Amount>,
    intake: HashMap<Timestamp, Amount>,
}

impl SizeSums {
    /// Adds a change; `received` if it is something new.
    pub(super) fn add(
        &mut self,
        project: ProjectId,
        kind: Kind,
        amount: Amount,
        received: Option<Timestamp>,
    ) {
        self.changes.entry((project, kind)).or_default().add(amount);
        if let Some(received) = received {
            self.intake
                .entry(received.floor_to(HOUR_SECS))
                .or_default()
                .add(amount);
        }
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for ((project, kind), amount) in &self.changes {
            connection
                .prepare_cached(
                    "INSERT INTO project_size (project_id, kind, entries, bytes)
                     VALUES (:project, :kind, :entries, :bytes)
                     ON CONFLICT DO UPDATE SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes",
                )?
                .execute(named_params! {
                    ":project": project.0,
                    ":kind": kind.number(),
                    ":entries": amount.entries,
                    ":bytes": amount.bytes,
                })?;
        }
        for (hour, amount) in &self.intake {
            connection
                .prepare_cached(
                    "INSERT INTO intake (hour_us, entries, bytes) VALUES (:hour, :entries, :bytes)
                     ON CONFLICT DO UPDATE SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes",
                )?
                .execute(named_params! {
                    ":hour": hour.us(),
                    ":entries": amount.entries,
                    ":bytes": amount.bytes,
                })?;
        }
        Ok(())
    }
}

/// What a project has of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) project: ProjectId,
    pub(crate) kind: Kind,
    pub(crate) amount: Amount,
}

/// All that is stored, of every project.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Size>> {
    let mut sizes = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT project_id, kind, entries, bytes FROM project_size WHERE entries > 0 ORDER BY project_id, kind",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(kind) = Kind::of_number(row.get("kind")?) {
            sizes.push(Size {
                project: ProjectId(row.get("project_id")?),
                kind,
                amount: Amount {
                    entries: row.get("entries")?,
                    bytes: row.get("bytes")?,
                },
            });
        }
    }
    Ok(sizes)
}

/// What is written down of a project and a kind's number, and what its rows are and take.
pub(super) struct Disagreement {
    project: i64,
    kind: i64,
    pub(super) written: Amount,
    pub(super) there: Amount,
}

/// Where the two differ, each read in a transaction of its own. Projects that are being deleted are not looked at: their
/// sizes go after their rows.
pub(super) fn disagreements(connection: &Connection) -> rusqlite::Result<Vec<Disagreement>> {
    let pairs: Vec<(i64, i64)> = connection
        .prepare(
            "SELECT project_id, kind FROM project_size UNION SELECT project_id, kind FROM event
             UNION SELECT project_id, kind FROM item UNION SELECT project_id, :attachments FROM attachment",
        )?
        .query_map(named_params! { ":attachments": ATTACHMENTS }, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let parts = "(SELECT sum(length(part.payload)) FROM payload_part AS part
                  WHERE part.id >= large_payload_id * 65536 AND part.id < (large_payload_id + 1) * 65536)";
    let mut compare = connection.prepare(&format!(
        "SELECT coalesce(size.entries, 0), coalesce(size.bytes, 0), there.entries, there.bytes
         FROM (SELECT count(*) AS entries, coalesce(sum(coalesce(packed, 0) + :row_bytes), 0) AS bytes FROM (
                   SELECT length(payload) AS packed FROM event WHERE project_id = :project AND kind = :kind
                   UNION ALL
                   SELECT coalesce(length(payload), {parts}) FROM item WHERE project_id = :project AND kind = :kind
                   UNION ALL
                   SELECT coalesce(length(payload), {parts}) FROM attachment
                   WHERE project_id = :project AND :kind = :attachments)) AS there
         JOIN project ON project.id = :project AND project.deleted_us IS NULL
         JOIN organization ON organization.id = project.organization_id AND organization.deleted_us IS NULL
         LEFT JOIN project_size AS size ON size.project_id = :project AND size.kind = :kind"
    ))?;
    let mut disagreements = Vec::new();
    for (project, kind) in pairs {
        let params = named_params! {
            ":project": project,
            ":kind": kind,
            ":attachments": ATTACHMENTS,
            ":row_bytes": ROW_BYTES,
        };
        let amounts = compare.query_row(params, |row| {
            let amount = |at: usize| -> rusqlite::Result<Amount> {
                Ok(Amount {
                    entries: row.get(at)?,
                    bytes: row.get(at + 1)?,
                })
            };
            Ok((amount(0)?, amount(2)?))
        });
        if let Some((written, there)) = amounts.optional()?
            && written != there
        {
            disagreements.push(Disagreement {
                project,
                kind,
                written,
                there,
            });
        }
    }
    Ok(disagreements)
}

/// Writes down what there is.
pub(super) fn put_right(
    connection: &Connection,
    disagreement: &Disagreement,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO project_size (project_id, kind, entries, bytes) VALUES (:project, :kind, :entries, :bytes)
             ON CONFLICT DO UPDATE SET entries = excluded.entries, bytes = excluded.bytes",
        )?
        .execute(named_params! {
            ":project": disagreement.project,
            ":kind": disagreement.kind,
            ":entries": disagreement.there.entries,
            ":bytes": disagreement.there.bytes,
        })
        .map(drop)
}

/// All that one project has.
#[derive(Clone, Debug)]
pub(crate) struct Largest {
    pub(crate) organization: String,
    pub(crate) project: String,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The projects that have most, largest first.
pub(crate) fn largest(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Largest>> {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    connection
        .prepare_cached(
            "SELECT organization.slug, project.slug, entries, bytes
             FROM (SELECT project_id, sum(entries) AS entries, sum(bytes) AS bytes FROM project_size
                   WHERE entries > 0 GROUP BY project_id ORDER BY bytes DESC LIMIT :limit)
             JOIN project ON project.id = project_id
             JOIN organization ON organization.id = project.organization_id
             WHERE project.deleted_us IS NULL AND organization.deleted_us IS NULL
             ORDER BY bytes DESC",
        )?
        .query_map(named_params! { ":limit": limit }, |row| {
            Ok(Largest {
                organization: row.get(0)?,
                project: row.get(1)?,
                entries: count(row.get(2)?),
                bytes: count(row.get(3)?),
            })
        })?
        .collect()
}

/// What came in within the last day or, of a younger server, since it began; and how many seconds that is. None before
/// anything came.
pub(crate) fn intake(
    connection: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Option<(Amount, i64)>> {
    let from = now.plus_secs(-86_400);
    let (first, entries, bytes): (Option<i64>, i64, i64) = connection
        .prepare_cached(
            "SELECT (SELECT min(hour_us) FROM intake), coalesce(sum(entries), 0), coalesce(sum(bytes), 0)
             FROM intake WHERE hour_us > :from AND hour_us <= :now",
        )?
        .query_row(
            named_params! { ":from": from.floor_to(HOUR_SECS).us(), ":now": now.us() },
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
    Ok(first.map(|first| {
        // The hour that is not over counts as far as it has come, and a first one as if it had been whole.
        let whole = from.floor_to(HOUR_SECS).plus_secs(HOUR_SECS);
        let begun = Timestamp::from_us(first).max(whole);
        let secs = (now.us() - begun.us()) / 1_000_000;
        (Amount { entries, bytes }, secs.max(HOUR_SECS))
    }))
}

/// Whether the intake of some hour is older than anybody asks for.
pub(super) fn is_intake_over(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT min(hour_us) < :before FROM intake")?
        .query_row(
            named_params! { ":before": now.plus_secs(-INTAKE_SECS).us() },
            |row| row.get::<_, Option<bool>>(0),
        )
        .optional()
        .map(|found| found.flatten() == Some(true))
}

pub(super) fn remove_intake_over(
    connection: &Connection,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM intake WHERE hour_us < :before")?
        .execute(named_params! { ":before": now.plus_secs(-INTAKE_SECS).us() })
}
