//! The ledger: what became of every item, counted at three resolutions at once; and the slots that keys have
//! used of their rate limits, which are written in the same transactions.
//!
//! Statistics read nothing but the ledger: any range of a project at any resolution is one range scan.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::domain::category::Category;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::time::Timestamp;

/// The resolutions, in seconds, finest first.
pub(crate) const RESOLUTIONS_SECS: [i64; 3] = [10, 3600, 86_400];

/// The counts of one transaction, summed so that each distinct row is written once.
#[derive(Default)]
pub(super) struct LedgerSums(HashMap<Row, Counts>);

/// A row at the finest resolution.
#[derive(PartialEq, Eq, Hash)]
struct Row {
    project: ProjectId,
    bucket: Timestamp,
    key: Option<KeyId>,
    category: Category,
    outcome: Outcome,
    reason: Cow<'static, str>,
}

#[derive(Default)]
struct Counts {
    quantity: u64,
    times_seen: u64,
}

impl LedgerSums {
    pub(super) fn add(&mut self, entry: LedgerEntry) {
        let counts = self
            .0
            .entry(Row {
                project: entry.project,
                bucket: entry.at.floor_to(RESOLUTIONS_SECS[0]),
                key: entry.key,
                category: entry.category,
                outcome: entry.outcome,
                reason: entry.reason,
            })
            .or_default();
        counts.quantity += entry.quantity;
        counts.times_seen += 1;
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut upsert = connection.prepare_cached(
            "INSERT INTO ledger (resolution, project_id, bucket_us, key_id, category, outcome, reason,
                                 quantity, times_seen)
             VALUES (:resolution, :project, :bucket, :key, :category, :outcome, :reason, :quantity, :times_seen)
             ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity,
                                       times_seen = times_seen + excluded.times_seen",
        )?;
        for (row, counts) in &self.0 {
            for resolution in RESOLUTIONS_SECS {
                upsert.execute(named_params! {
                    ":resolution": resolution,
                    ":project": row.project.0,
                    ":bucket": row.bucket.floor_to(resolution).us(),
                    ":key": row.key.map_or(0, |key| key.0),
                    ":category": row.category.number(),
                    ":outcome": row.outcome.number(),
                    ":reason": row.reason.as_ref(),
                    ":quantity": i64::try_from(counts.quantity).unwrap_or(i64::MAX),
                    ":times_seen": i64::try_from(counts.times_seen).unwrap_or(i64::MAX),
                })?;
            }
        }
        Ok(())
    }
}

/// What to sum. Empty lists mean all.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerFilter {
    pub(crate) key: Option<KeyId>,
    pub(crate) categories: Vec<Category>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) reason: Option<String>,
}

/// The quantities of a project in `[from, until)`, by bucket and outcome, oldest first. Buckets without any
/// are absent. `resolution_secs` is one of [`RESOLUTIONS_SECS`].
pub(crate) fn series(
    connection: &Connection,
    project: ProjectId,
    resolution_secs: i64,
    from: Timestamp,
    until: Timestamp,
    filter: &LedgerFilter,
) -> rusqlite::Result<Vec<(Timestamp, i64, u64)>> {
    let numbers = |list: Vec<i64>| -> String {
        list.iter()
            .map(i64::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut conditions = String::new();
    if filter.key.is_some() {
        conditions.push_str(" AND key_id = :key");
    }
    if !filter.categories.is_empty() {
        let list = numbers(filter.categories.iter().map(|c| c.number()).collect());
        conditions.push_str(&format!(" AND category IN ({list})"));
    }
    if !filter.outcomes.is_empty() {
        let list = numbers(filter.outcomes.iter().map(|o| o.number()).collect());
        conditions.push_str(&format!(" AND outcome IN ({list})"));
    }
    if filter.reason.is_some() {
        conditions.push_str(" AND reason = :reason");
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT bucket_us, outcome, sum(quantity) FROM ledger
         WHERE resolution = :resolution AND project_id = :project
           AND bucket_us >= :from AND bucket_us < :until{conditions}
         GROUP BY bucket_us, outcome ORDER BY bucket_us, outcome"
    ))?;
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = Vec::new();
    let (from_us, until_us) = (from.us(), until.us());
    params.push((":resolution", &resolution_secs));
    params.push((":project", &project.0));
    params.push((":from", &from_us));
    params.push((":until", &until_us));
    if let Some(key) = &filter.key {
        params.push((":key", &key.0));
    }
    if let Some(reason) = &filter.reason {
        params.push((":reason", reason));
    }
    statement
        .query_map(params.as_slice(), |row| {
            let quantity: i64 = row.get(2)?;
            Ok((
                Timestamp::from_us(row.get(0)?),
                row.get(1)?,
                u64::try_from(quantity).unwrap_or(0),
            ))
        })?
        .collect()
}

/// Adds to what a key has used of a window. A newer window replaces an older one; an older one than the file
/// holds adds nothing.
pub(super) fn use_slots(
    connection: &Connection,
    key: KeyId,
    window_secs: u32,
    window_number: u32,
    used: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO key_window (key_id, window_secs, window_number, used)
             VALUES (:key, :window_secs, :window_number, :used)
             ON CONFLICT DO UPDATE SET
                 used = CASE WHEN window_number = excluded.window_number THEN used + excluded.used
                             ELSE excluded.used END,
                 window_number = excluded.window_number
             WHERE excluded.window_number >= window_number",
        )?
        .execute(named_params! {
            ":key": key.0,
            ":window_secs": window_secs,
            ":window_number": window_number,
            ":used": used,
        })
        .map(drop)
}

/// The newest window of a key and what it used.
pub(super) fn find_window(
    connection: &Connection,
    key: KeyId,
    window_secs: u32,
) -> rusqlite::Result<Option<(u32, u32)>> {
    connection
        .prepare_cached(
            "SELECT window_number, used FROM key_window WHERE key_id = :key AND window_secs = :window_secs",
        )?
        .query_row(
            named_params! { ":key": key.0, ":window_secs": window_secs },
            |row| Ok((row.get("window_number")?, row.get("used")?)),
        )
        .optional()
}

/// The newest window of every key, by key and window length.
pub(super) fn list_windows(
    connection: &Connection,
) -> rusqlite::Result<HashMap<(KeyId, u32), (u32, u32)>> {
    connection
        .prepare_cached("SELECT key_id, window_secs, window_number, used FROM key_window")?
        .query_map([], |row| {
            Ok((
                (KeyId(row.get("key_id")?), row.get("window_secs")?),
                (row.get("window_number")?, row.get("used")?),
            ))
        })?
        .collect()
}

/// Forgets what a key has used, of windows of every length.
pub(super) fn forget_windows(connection: &Connection, key: KeyId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM key_window WHERE key_id = :key")?
        .execute([key.0])
        .map(drop)
}
