//! Brings a file to this version's schema, or tries that out on a copy of it.
//!
//! A server does the same at its start. Here one sees beforehand whether it works, how long it takes, and how much
//! room it needs.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::check::{self, Report};
use super::connection::{self, ServerLock, beside, newest_schema};
use super::frozen::Frozen;
use super::space::{self, Disk};
use super::unfinished::Unfinished;
use crate::domain::durability::Durability;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// What the copy is called, after the database's own name.
const TRIAL: &str = ".upgrade-trial";

/// What was done, or would be.
pub(crate) struct Upgraded {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Number and name of each migration.
    pub(crate) migrations: Vec<(i64, String)>,
    /// Of all tables, afterwards.
    pub(crate) rows: i64,
    /// Of the database afterwards and its log at its longest, bytes.
    pub(crate) room: u64,
    /// How long the migrations took.
    pub(crate) took: Duration,
    /// What a check says of it afterwards.
    pub(crate) report: Report,
}

/// What `progress` hears about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Copied { done: u64, bytes: u64 },
    Migrating,
    Checked { done: usize, of: usize },
}

/// Copies the database as it is at this moment into a directory, brings the copy up to date, looks it through, and
/// removes it. A server may be running. None if there is nothing to do.
///
/// # Errors
/// One sentence; the database is as it was.
pub(crate) fn try_out(
    path: &Path,
    directory: Option<&Path>,
    now: Timestamp,
    progress: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Option<Upgraded>> {
    let from = connection::look(path)?;
    if from == newest_schema() {
        return Ok(None);
    }
    let place = match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    };
    let mut frozen = Frozen::hold(path)?;
    let bytes = frozen.bytes();
    make_sure_of_room(&place, bytes)?;
    let copy = Unfinished::create(&place, TRIAL)?;
    let copied = copy.path().to_owned();
    frozen.copy(&mut copy.file(), &mut |done| {
        progress(Step::Copied { done, bytes })
    })?;
    drop(frozen);
    bring_up(&copied, from, Durability::Normal, now, progress).map(Some)
}

/// Brings the database up to date. No server may be running. None if there is nothing to do.
///
/// # Errors
/// One sentence; if the migrations failed, the database is as it was.
pub(crate) fn upgrade(
    path: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Option<Upgraded>> {
    let from = connection::look(path)?;
    let _lock = ServerLock::take(path)?;
    if from == newest_schema() {
        return Ok(None);
    }
    bring_up(path, from, Durability::Full, now, progress).map(Some)
}

fn bring_up(
    path: &Path,
    from: i64,
    durability: Durability,
    now: Timestamp,
    progress: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Upgraded> {
    progress(Step::Migrating)?;
    let begun = Instant::now();
    let connection = connection::open_for_writing(path, durability)?;
    let took = begun.elapsed();
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    // Nothing of it was copied into the file yet: one transaction is in the log whole.
    let log = length(&beside(path, "-wal"));
    let to = newest_schema();
    let report = check::put_right(&connection, to, now, &mut |done, of| {
        progress(Step::Checked { done, of })
    })?;
    let rows = rows(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(Upgraded {
        from,
        to,
        migrations: connection::migrations_after(from),
        rows,
        room: length(path) + log,
        took,
        report,
    })
}

/// The copy, and as much again for what the migrations write.
fn make_sure_of_room(place: &Path, bytes: u64) -> Result<()> {
    let directory = connection::directory_of(place);
    let Disk { free, .. } = space::disk(directory)
        .map_err(|error| Error::Refused(format!("cannot use {}: {error}", directory.display())))?;
    let needed = bytes.saturating_mul(2);
    if free >= needed {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "a trial needs up to {} MiB and {} has {} MiB; --temp-dir names another place",
        needed.div_ceil(1 << 20),
        directory.display(),
        free >> 20
    )))
}

fn rows(connection: &Connection) -> rusqlite::Result<i64> {
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut sum = 0;
    for table in tables {
        sum += connection.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| {
            row.get::<_, i64>(0)
        })?;
    }
    Ok(sum)
}
