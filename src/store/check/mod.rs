//! Looks the database through: whether the file is whole, and whether what it says twice agrees.
//!
//! Every [`Check`] looks for one kind of fault, in read transactions that are as short as can be, because a server may
//! be writing. What is removed by deletion and by age is no fault, nor is a removal that is halfway. A check that finds
//! something may know how to put it right: only what follows from the rest of the file is ever written, and a server must
//! not run meanwhile, because it has some of it in memory.
//!
//! - [`structure`]: pages, indexes, references, tables that are missing;
//! - [`derived`]: what is kept so that nobody has to look through the rest, the sizes of projects among it;
//! - [`ledger`]: its three resolutions against each other, and its numbers;
//! - [`stored`]: events, items and attachments against the ledger, their payloads, and whose they are.

mod derived;
mod ledger;
mod stored;
mod structure;

use std::path::Path;

use rusqlite::Connection;

use super::connection::{self, ServerLock};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// One kind of fault.
struct Check {
    /// For machines.
    name: &'static str,
    find: fn(&Look<'_>) -> rusqlite::Result<Option<Found>>,
    /// Puts right what `find` finds, in one transaction. None where it does not follow from the rest of the file.
    repair: Option<fn(&Look<'_>) -> rusqlite::Result<()>>,
}

const CHECKS: &[Check] = &[
    structure::PAGES,
    structure::TABLES,
    structure::REFERENCES,
    derived::MEMBER_BLOCKS,
    derived::SEEN_KINDS,
    derived::FIRST_EVENTS,
    derived::KEY_ORGANIZATIONS,
    derived::LEFT_BEHIND,
    ledger::ROWS,
    ledger::OWNERS,
    ledger::HOURS,
    ledger::DAYS,
    stored::OWNERS,
    stored::COUNTED,
    stored::PAYLOADS,
    stored::PARTS,
    stored::ORPHANED_PARTS,
    // After what can be the cause.
    derived::PROJECT_SIZES,
];

/// After a fault of one of these the rest of the file says nothing.
const FUNDAMENTAL: &[&str] = &[structure::PAGES.name, structure::TABLES.name];

/// How often to look again after a repair: what was put right can show that what follows from it is wrong too.
const ROUNDS: usize = 3;

/// What a check looks at.
struct Look<'a> {
    connection: &'a Connection,
    now: Timestamp,
}

/// What a check found: how many, and a sentence about them.
struct Found {
    count: u64,
    text: String,
    /// Whether this one can be put right, where some of its kind can.
    can_be_repaired: bool,
}

impl Found {
    /// None if the count is 0.
    fn some(count: i64, text: impl FnOnce(i64) -> String) -> Option<Found> {
        (count > 0).then(|| Found {
            count: count.cast_unsigned(),
            text: text(count),
            can_be_repaired: true,
        })
    }
}

/// A fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What was looked for.
    pub(crate) check: &'static str,
    pub(crate) count: u64,
    /// A sentence without its full stop.
    pub(crate) text: String,
    pub(crate) can_be_repaired: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) schema: i64,
    pub(crate) bytes: u64,
    pub(crate) events: i64,
    pub(crate) items: i64,
    pub(crate) attachments: i64,
    /// What was put right.
    pub(crate) repaired: Vec<Fault>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
    /// How many kinds of fault were looked for.
    pub(crate) checks: usize,
}

/// Looks a database through, whether or not a server runs on it. `progress` hears how many checks are done, and of how
/// many.
///
/// # Errors
/// It cannot be opened, or is of another schema than this version's.
pub(crate) fn look(
    path: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Report> {
    let schema = ours(path)?;
    let connection = connection::open_for_reading(path)?;
    let faults = find_all(&connection, now, progress)?;
    // What a server wrote while something long was read lies in its log.
    if let Err(error) = connection::checkpoint(&connection, "PASSIVE") {
        log::debug!("the write-ahead log was not copied into the file: {error}");
    }
    report(&connection, schema, faults, Vec::new())
}

/// As [`look`], and puts right what follows from the rest of the file. No server may run on it.
///
/// # Errors
/// As for [`look`]; a server runs; a repair failed, and nothing of it is in the file.
pub(crate) fn repair(
    path: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Report> {
    let schema = ours(path)?;
    let _lock = ServerLock::take(path)?;
    let connection = connection::open_plainly(path)?;
    put_right(&connection, schema, now, progress)
}

/// As [`repair`], of a file that nobody else has.
pub(super) fn put_right(
    connection: &Connection,
    schema: i64,
    now: Timestamp,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Report> {
    let mut repaired: Vec<Fault> = Vec::new();
    let mut found = find_all(connection, now, progress)?;
    for _ in 0..ROUNDS {
        let mut is_changed = false;
        for (check, fault) in &found {
            if let (Some(repair), true) = (check.repair, fault.can_be_repaired) {
                in_transaction(connection, || repair(&Look { connection, now }))?;
                repaired.push(fault.clone());
                is_changed = true;
            }
        }
        if !is_changed {
            break;
        }
        found = find_all(connection, now, progress)?;
    }
    // What is still wrong was not put right.
    repaired.retain(|fault| found.iter().all(|(check, _)| check.name != fault.check));
    report(connection, schema, found, repaired)
}

/// The schema, if it is this version's: the checks know no other.
fn ours(path: &Path) -> Result<i64> {
    let (schema, ours) = (connection::look(path)?, connection::newest_schema());
    if schema == ours {
        return Ok(schema);
    }
    Err(Error::Refused(format!(
        "{} has schema {schema} and this version checks {ours}; picket upgrade brings it up to date",
        path.display()
    )))
}

fn find_all(
    connection: &Connection,
    now: Timestamp,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<(&'static Check, Fault)>> {
    let look = Look { connection, now };
    let mut faults = Vec::new();
    for (at, check) in CHECKS.iter().enumerate() {
        progress(at, CHECKS.len())?;
        let found = match (check.find)(&look) {
            Ok(found) => found,
            Err(error) if is_damage(&error) => Some(Found {
                count: 1,
                text: format!("the file cannot be read everywhere: {error}"),
                can_be_repaired: false,
            }),
            Err(error) => return Err(error.into()),
        };
        let Some(found) = found else { continue };
        faults.push((
            check,
            Fault {
                check: check.name,
                count: found.count,
                text: found.text,
                can_be_repaired: found.can_be_repaired && check.repair.is_some(),
            },
        ));
        if FUNDAMENTAL.contains(&check.name) {
            break;
        }
    }
    progress(CHECKS.len(), CHECKS.len())?;
    Ok(faults)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

fn in_transaction(
    connection: &Connection,
    change: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let changed = change().and_then(|()| connection.execute_batch("COMMIT"));
    if changed.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    changed
}

fn report(
    connection: &Connection,
    schema: i64,
    faults: Vec<(&'static Check, Fault)>,
    repaired: Vec<Fault>,
) -> Result<Report> {
    let mut report = Report {
        schema,
        repaired,
        faults: faults.into_iter().map(|(_, fault)| fault).collect(),
        checks: CHECKS.len(),
        ..Report::default()
    };
    let is_readable = |fault: &Fault| !FUNDAMENTAL.contains(&fault.check);
    if report.faults.iter().all(is_readable) {
        let one = |sql: &str| count(connection, sql);
        report.bytes =
            (one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?)
                .cast_unsigned();
        report.events = one("SELECT count(*) FROM event")?;
        report.items = one("SELECT count(*) FROM item")?;
        report.attachments = one("SELECT count(*) FROM attachment")?;
    }
    Ok(report)
}

/// The one number that a query gives.
fn count(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// `1 row`, `2 rows`.
fn plural(count: i64, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_is_given_twice() {
        let names: HashSet<_> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
    }
}
