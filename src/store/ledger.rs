//! The ledger: what became of every item, counted at three resolutions at once.
//!
//! Statistics read nothing but the ledger: any range of a project at any resolution is one range scan.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::{Connection, Row, named_params};
use serde_json::json;

use crate::domain::category::Category;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::time::Timestamp;

/// The resolutions, in seconds, finest first.
pub(crate) const RESOLUTIONS_SECS: [i64; 3] = [10, 3600, 86_400];

/// How long the rows of a resolution are kept, in seconds; those of the last for ever.
const KEPT_SECS: [i64; 2] = [48 * 3600, 90 * 86_400];

/// From when on there are rows of this resolution: the start of a bucket of the next one, so that every moment is told
/// by whole rows of one of them. None: from the beginning.
pub(super) fn kept_from(resolution_secs: i64, now: Timestamp) -> Option<Timestamp> {
    let at = RESOLUTIONS_SECS
        .iter()
        .position(|known| *known == resolution_secs)?;
    let kept_secs = KEPT_SECS.get(at)?;
    let coarser = RESOLUTIONS_SECS.get(at + 1)?;
    Some(now.plus_secs(-kept_secs).floor_to(*coarser))
}

/// Where a count stops growing, and a sum too: the largest integer that every JSON client reads exactly. No honest
/// sender comes near it. Up to here SQLite's `total` is exact, and unlike `sum` it is no error beyond.
pub(super) const QUANTITY_MAX: i64 = 1 << 53;

/// The counts of one transaction, summed so that each distinct row is written once.
#[derive(Default)]
pub(super) struct LedgerSums(HashMap<Entry, Counts>);

/// A row at the finest resolution.
#[derive(PartialEq, Eq, Hash)]
struct Entry {
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
            .entry(Entry {
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

    /// What the rows add up to.
    pub(super) fn items(&self) -> impl Iterator<Item = (Category, Outcome, u64)> {
        self.0
            .iter()
            .map(|(row, counts)| (row.category, row.outcome, counts.quantity))
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
    pub(crate) keys: Vec<KeyId>,
    pub(crate) categories: Vec<Category>,
    pub(crate) outcomes: Vec<Outcome>,
    /// '' is none.
    pub(crate) reasons: Vec<String>,
}

/// Which columns the sums are told apart by, beside the bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LedgerColumns {
    pub(crate) key: bool,
    pub(crate) category: bool,
    pub(crate) outcome: bool,
    pub(crate) reason: bool,
}

impl LedgerColumns {
    fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.key, "key_id"),
            (self.category, "category"),
            (self.outcome, "outcome"),
            (self.reason, "reason"),
        ]
        .into_iter()
        .filter_map(|(is_shown, name)| is_shown.then_some(name))
    }
}

/// The range and the buckets of a sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerRange {
    /// One of [`RESOLUTIONS_SECS`]: which rows are read. Where those are gone for their age, coarser ones are, each
    /// of which stands where its bucket begins.
    pub(crate) resolution_secs: i64,
    /// By which rows are gone for their age.
    pub(crate) now: Timestamp,
    /// Inclusive.
    pub(crate) from: Timestamp,
    /// Exclusive.
    pub(crate) until: Timestamp,
    /// How long the buckets of the sum are, a multiple of the resolution. None: the whole range is one, which starts
    /// at `from`.
    pub(crate) step_secs: Option<i64>,
}

impl LedgerRange {
    /// The buckets in `[from, until)` that are `step_secs` long, read from the coarsest rows that they are made of.
    pub(crate) fn in_steps(
        from: Timestamp,
        until: Timestamp,
        step_secs: i64,
        now: Timestamp,
    ) -> LedgerRange {
        LedgerRange {
            resolution_secs: coarsest_resolution_secs(step_secs),
            now,
            from,
            until,
            step_secs: Some(step_secs),
        }
    }

    /// The resolutions whose rows tell the range, with the part that each tells, oldest first.
    fn parts(self) -> Vec<(i64, Timestamp, Timestamp)> {
        let mut parts = Vec::new();
        let mut until = self.until;
        let coarser = RESOLUTIONS_SECS
            .into_iter()
            .filter(|resolution| *resolution >= self.resolution_secs);
        for resolution in coarser {
            let from = kept_from(resolution, self.now)
                .unwrap_or(self.from)
                .max(self.from);
            if from < until {
                parts.push((resolution, from, until));
                until = from;
            }
        }
        parts.reverse();
        parts
    }
}

/// The coarsest resolution whose buckets make up steps of this length.
pub(crate) fn coarsest_resolution_secs(step_secs: i64) -> i64 {
    RESOLUTIONS_SECS
        .into_iter()
        .rfind(|resolution| step_secs % resolution == 0)
        .unwrap_or(RESOLUTIONS_SECS[0])
}

/// One sum. What was not told apart is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerSum {
    pub(crate) bucket: Timestamp,
    pub(crate) key: Option<KeyId>,
    pub(crate) category: Option<Category>,
    pub(crate) outcome: Option<Outcome>,
    /// '' also where there is none.
    pub(crate) reason: String,
    pub(crate) quantity: u64,
    pub(crate) times_seen: u64,
}

/// The sums of a project, by bucket, oldest first. Buckets without any are absent; one that is told by rows of more than
/// one resolution comes more than once.
pub(crate) fn sums(
    connection: &Connection,
    project: ProjectId,
    range: LedgerRange,
    columns: LedgerColumns,
    filter: &LedgerFilter,
) -> rusqlite::Result<Vec<LedgerSum>> {
    let reasons = json!(filter.reasons).to_string();
    let sql = sums_sql(range, columns, filter);
    let mut sums = Vec::new();
    for (resolution_secs, from, until) in range.parts() {
        let (from_us, until_us) = (from.us(), until.us());
        let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
            (":resolution", &resolution_secs),
            (":project", &project.0),
            (":from", &from_us),
            (":until", &until_us),
        ];
        if !filter.reasons.is_empty() {
            params.push((":reasons", &reasons));
        }
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params.as_slice())?;
        while let Some(row) = rows.next()? {
            sums.push(sum_from_row(row, range, columns)?);
        }
    }
    Ok(sums)
}

/// Only what tells the sums apart is grouped by: where that is the bucket alone, the rows come in order and nothing
/// is sorted.
fn sums_sql(range: LedgerRange, columns: LedgerColumns, filter: &LedgerFilter) -> String {
    let bucket = range
        .step_secs
        .map(|step| match step == range.resolution_secs {
            true => "bucket_us".to_owned(),
            false => format!("bucket_us - bucket_us % {}", step * 1_000_000),
        });
    let groups: Vec<String> = bucket
        .map(|bucket| format!("{bucket} AS bucket"))
        .into_iter()
        .chain(columns.names().map(str::to_owned))
        .collect();
    let shown: String = groups.iter().map(|group| format!("{group}, ")).collect();
    let numbers_of_groups: Vec<String> = (1..=groups.len()).map(|n| n.to_string()).collect();
    let grouping = match numbers_of_groups.join(", ") {
        none if none.is_empty() => "HAVING count(*) > 0".to_owned(),
        list => format!("GROUP BY {list} ORDER BY {list}"),
    };
    let mut conditions = String::new();
    for (name, numbers) in [
        ("key_id", numbers(&filter.keys, |key| key.0)),
        ("category", numbers(&filter.categories, |c| c.number())),
        ("outcome", numbers(&filter.outcomes, |o| o.number())),
    ] {
        if !numbers.is_empty() {
            conditions.push_str(&format!(" AND {name} IN ({numbers})"));
        }
    }
    if !filter.reasons.is_empty() {
        conditions.push_str(" AND reason IN (SELECT value FROM json_each(:reasons))");
    }
    format!(
        "SELECT {shown}CAST(min(total(quantity), {QUANTITY_MAX}.0) AS INTEGER) AS quantity_sum,
                CAST(min(total(times_seen), {QUANTITY_MAX}.0) AS INTEGER) AS times_seen_sum
         FROM ledger
         WHERE resolution = :resolution AND project_id = :project
           AND bucket_us >= :from AND bucket_us < :until{conditions}
         {grouping}"
    )
}

fn numbers<T: Copy>(list: &[T], number: impl Fn(T) -> i64) -> String {
    let numbers: Vec<String> = list.iter().map(|one| number(*one).to_string()).collect();
    numbers.join(",")
}

fn sum_from_row(
    row: &Row<'_>,
    range: LedgerRange,
    columns: LedgerColumns,
) -> rusqlite::Result<LedgerSum> {
    let number = |is_shown: bool, name: &str| -> rusqlite::Result<Option<i64>> {
        is_shown.then(|| row.get(name)).transpose()
    };
    let count = |name: &str| -> rusqlite::Result<u64> {
        let count: i64 = row.get(name)?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    let bucket = number(range.step_secs.is_some(), "bucket")?;
    let key = number(columns.key, "key_id")?.filter(|key| *key != 0);
    Ok(LedgerSum {
        bucket: bucket.map_or(range.from, Timestamp::from_us),
        key: key.map(KeyId),
        category: number(columns.category, "category")?.map(Category::of_number),
        outcome: number(columns.outcome, "outcome")?.and_then(Outcome::of_number),
        reason: match columns.reason {
            true => row.get("reason")?,
            false => String::new(),
        },
        quantity: count("quantity_sum")?,
        times_seen: count("times_seen_sum")?,
    })
}
