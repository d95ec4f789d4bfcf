//! The ledger: what became of every item, counted at three resolutions at once.
//!
//! Statistics read nothing but the ledger: any range of a project at any resolution is one range scan.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::{Connection, named_params};

use crate::domain::category::Category;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::time::Timestamp;

/// The resolutions, in seconds, finest first.
pub(crate) const RESOLUTIONS_SECS: [i64; 3] = [10, 3600, 86_400];

/// Where a count stops growing: the largest integer that every JSON client reads exactly. No honest sender
/// comes near it, and sums over many rows stay within SQLite's integers.
const QUANTITY_MAX: i64 = 1 << 53;

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
        counts.quantity = counts.quantity.saturating_add(entry.quantity);
        counts.times_seen = counts.times_seen.saturating_add(entry.times_seen);
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut upsert = connection.prepare_cached(
            "INSERT INTO ledger (resolution, project_id, bucket_us, key_id, category, outcome, reason,
                                 quantity, times_seen)
             VALUES (:resolution, :project, :bucket, :key, :category, :outcome, :reason, :quantity, :times_seen)
             ON CONFLICT DO UPDATE SET quantity = min(quantity + excluded.quantity, :max),
                                       times_seen = min(times_seen + excluded.times_seen, :max)",
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
                    ":quantity": bounded(counts.quantity),
                    ":times_seen": bounded(counts.times_seen),
                    ":max": QUANTITY_MAX,
                })?;
            }
        }
        Ok(())
    }
}

fn bounded(count: u64) -> i64 {
    i64::try_from(count).map_or(QUANTITY_MAX, |count| count.min(QUANTITY_MAX))
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
