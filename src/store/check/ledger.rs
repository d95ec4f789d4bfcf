//! The ledger against itself: every count is written at three resolutions at once, and the finer ones are removed
//! by age.

use rusqlite::{Connection, named_params};

use super::super::ledger::{QUANTITY_MAX, RESOLUTIONS_SECS, kept_from};
use super::{Check, Found, Look, count, plural};
use crate::domain::time::Timestamp;

pub(super) const ROWS: Check = Check {
    name: "ledger-rows",
    find: |look| {
        let [fine, hour, day] = RESOLUTIONS_SECS;
        let malformed = count(
            look.connection,
            &format!(
                "SELECT count(*) FROM ledger
                 WHERE resolution NOT IN ({fine}, {hour}, {day}) OR bucket_us % (resolution * 1000000) <> 0
                    OR quantity NOT BETWEEN 0 AND {QUANTITY_MAX} OR times_seen NOT BETWEEN 0 AND {QUANTITY_MAX}"
            ),
        )?;
        Ok(Found::some(malformed, |count| {
            format!(
                "{} no bucket or no count that there can be",
                plural(count, "row of the ledger has", "rows of the ledger have")
            )
        }))
    },
    repair: None,
};

pub(super) const OWNERS: Check = Check {
    name: "ledger-owners",
    find: |look| {
        // Numbers are given once: one above the last that was given was never anybody's.
        let ownerless = count(
            look.connection,
            "SELECT count(*) FROM ledger
             WHERE project_id NOT IN (SELECT id FROM project)
                OR key_id < 0
                OR key_id > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'client_key')",
        )?;
        Ok(Found::some(ownerless, |count| {
            format!(
                "{} a project or a key that there never was",
                plural(count, "row of the ledger names", "rows of the ledger name")
            )
        }))
    },
    repair: None,
};

pub(super) const HOURS: Check = Check {
    name: "ledger-hours",
    find: |look| HOURS_OF_TENS.find(look, "hours", "10 seconds"),
    repair: Some(|look| HOURS_OF_TENS.repair(look)),
};

pub(super) const DAYS: Check = Check {
    name: "ledger-days",
    find: |look| DAYS_OF_HOURS.find(look, "days", "hours"),
    repair: Some(|look| DAYS_OF_HOURS.repair(look)),
};

/// A resolution and the next coarser one.
struct Pair {
    fine_secs: i64,
    coarse_secs: i64,
}

const HOURS_OF_TENS: Pair = Pair {
    fine_secs: RESOLUTIONS_SECS[0],
    coarse_secs: RESOLUTIONS_SECS[1],
};

const DAYS_OF_HOURS: Pair = Pair {
    fine_secs: RESOLUTIONS_SECS[1],
    coarse_secs: RESOLUTIONS_SECS[2],
};

/// The coarse rows as the fine ones say they are.
const SUMS: &str = "
    WITH sums AS MATERIALIZED (
        SELECT project_id, bucket_us - bucket_us % (:coarse * 1000000) AS bucket_us, key_id, category, outcome, reason,
               CAST(min(total(quantity), :max) AS INTEGER) AS quantity,
               CAST(min(total(times_seen), :max) AS INTEGER) AS times_seen
        FROM ledger WHERE resolution = :fine
        GROUP BY 1, 2, 3, 4, 5, 6)";

/// Sums that the coarse row falls short of; and where nothing of the finer ones was removed, that it does not equal.
/// Older counts still arrive, so finer rows from before that time may be a part of what they were.
const WRONG: &str = "
    FROM sums LEFT JOIN ledger AS coarse
        ON coarse.resolution = :coarse AND coarse.project_id = sums.project_id AND coarse.bucket_us = sums.bucket_us
        AND coarse.key_id = sums.key_id AND coarse.category = sums.category AND coarse.outcome = sums.outcome
        AND coarse.reason = sums.reason
    WHERE coarse.quantity IS NULL OR coarse.quantity < sums.quantity OR coarse.times_seen < sums.times_seen
        OR (sums.bucket_us >= :whole AND sums.project_id NOT IN (SELECT id FROM leaving)
            AND (coarse.quantity <> sums.quantity OR coarse.times_seen <> sums.times_seen))";

/// Coarse rows of which there is nothing finer although nothing was removed.
const UNFOUNDED: &str = "
    resolution = :coarse AND bucket_us >= :whole AND project_id NOT IN (SELECT id FROM leaving)
    AND NOT EXISTS (
        SELECT 1 FROM ledger AS fine
        WHERE fine.resolution = :fine AND fine.project_id = ledger.project_id
          AND fine.bucket_us >= ledger.bucket_us AND fine.bucket_us < ledger.bucket_us + :coarse * 1000000
          AND fine.key_id = ledger.key_id AND fine.category = ledger.category AND fine.outcome = ledger.outcome
          AND fine.reason = ledger.reason)";

/// Projects whose ledger is being removed, or was.
const LEAVING: &str = "leaving AS (
    SELECT project.id FROM project JOIN organization ON organization.id = project.organization_id
    WHERE project.deleted_us IS NOT NULL OR organization.deleted_us IS NOT NULL)";

impl Pair {
    fn find(&self, look: &Look<'_>, coarse: &str, fine: &str) -> rusqlite::Result<Option<Found>> {
        // Both in one transaction.
        look.connection.execute_batch("SAVEPOINT pair")?;
        let wrong = self.count(look, &format!("{SUMS}, {LEAVING} SELECT count(*) {WRONG}"));
        let unfounded = self.count(
            look,
            &format!("WITH {LEAVING} SELECT count(*) FROM ledger WHERE {UNFOUNDED}"),
        );
        look.connection.execute_batch("RELEASE pair")?;
        Ok(Found::some(wrong? + unfounded?, |count| {
            format!(
                "{} of the ledger by {coarse} {} not what those by {fine} add up to",
                plural(count, "count", "counts"),
                if count == 1 { "is" } else { "are" }
            )
        }))
    }

    fn count(&self, look: &Look<'_>, sql: &str) -> rusqlite::Result<i64> {
        let mut statement = look.connection.prepare(sql)?;
        bind(&mut statement, self, look.now)?;
        let mut rows = statement.raw_query();
        rows.next()?.map_or(Ok(0), |row| row.get(0))
    }

    /// Makes the coarse rows what the fine ones add up to.
    fn repair(&self, look: &Look<'_>) -> rusqlite::Result<()> {
        for sql in [
            format!(
                "{SUMS}, {LEAVING}
                 INSERT INTO ledger (resolution, project_id, bucket_us, key_id, category, outcome, reason, quantity, times_seen)
                 SELECT :coarse, sums.project_id, sums.bucket_us, sums.key_id, sums.category, sums.outcome, sums.reason,
                        sums.quantity, sums.times_seen {WRONG}
                 ON CONFLICT DO UPDATE SET quantity = excluded.quantity, times_seen = excluded.times_seen"
            ),
            format!("WITH {LEAVING} DELETE FROM ledger WHERE {UNFOUNDED}"),
        ] {
            let mut statement = look.connection.prepare(&sql)?;
            bind(&mut statement, self, look.now)?;
            statement.raw_execute()?;
        }
        Ok(())
    }
}

/// Each statement has some of the parameters.
fn bind(
    statement: &mut rusqlite::Statement<'_>,
    pair: &Pair,
    now: Timestamp,
) -> rusqlite::Result<()> {
    // The coarse bucket in which what is kept of the finer ones begins is not looked at.
    let whole_us = kept_from(pair.fine_secs, now)
        .map_or(i64::MIN, |from| from.plus_secs(pair.coarse_secs).us());
    for (name, value) in [
        (":fine", pair.fine_secs),
        (":coarse", pair.coarse_secs),
        (":max", QUANTITY_MAX),
        (":whole", whole_us),
    ] {
        if let Some(at) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(at, value)?;
        }
    }
    Ok(())
}

/// What the ledger says was accepted of a key on a day, in these categories together.
pub(super) fn accepted(
    connection: &Connection,
    project: i64,
    key: i64,
    day: Timestamp,
    categories: &str,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(&format!(
            "SELECT CAST(total(quantity) AS INTEGER) FROM ledger
             WHERE resolution = 86400 AND project_id = :project AND bucket_us = :day AND key_id = :key
               AND outcome = 0 AND category IN ({categories})"
        ))?
        .query_row(
            named_params! { ":project": project, ":day": day.us(), ":key": key },
            |row| row.get(0),
        )
}
