//! Puts a backup in the place of a database: whole and looked through, or not at all.
//!
//! It is unpacked under another name beside its place and gets its own name last. An old database there is brought to
//! rest first (nothing of it in a log), is linked under a name of its own, and is replaced in one step: whatever
//! happens, there is the whole old or the whole new one. What is left of a log without its database is removed before,
//! because SQLite would play it into the new file.

use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backup::{Backup, Header};
use super::connection::{self, ServerLock, beside, newest_schema};
use super::unfinished::{Unfinished, remove_logs_of, sync_directory_of};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// What the new database is called until it is whole.
const UNFINISHED: &str = ".restoring";

/// What was done.
pub(crate) struct Restored {
    pub(crate) header: Header,
    /// Where the database is that was there before.
    pub(crate) kept: Option<PathBuf>,
}

/// What `progress` hears about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Unpacked {
        done: u64,
        bytes: u64,
    },
    /// From here on nothing can be told until the end.
    LookingThrough,
}

/// Unpacks a backup, which is called `name`, looks it through and puts it in place. `replace`: also where a database
/// is, which is kept under another name with the time `at` in it.
///
/// # Errors
/// One sentence; the place is as it was.
pub(crate) fn restore(
    source: impl Read,
    name: &str,
    place: &Path,
    replace: bool,
    at: Timestamp,
    progress: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Restored> {
    // What a link leads to is replaced, not the link.
    let followed = match place.is_symlink() {
        true => place.canonicalize().ok(),
        false => None,
    };
    let place = followed.as_deref().unwrap_or(place);
    let is_there = place.try_exists().unwrap_or(true);
    if is_there && !replace {
        return Err(Error::Refused(format!(
            "{} exists already; --force puts the backup in its place and keeps it under another name",
            place.display()
        )));
    }
    // Nobody may begin to serve the old one any more.
    let lock = match is_there {
        true => Some(ServerLock::take_whatever(place)?),
        false => None,
    };
    let backup = Backup::open(source, name)?;
    let header = backup.header.clone();
    if header.schema > newest_schema() {
        return Err(Error::Refused(format!(
            "{name} was written by a newer Picket (schema {}, this one knows {}); use that one",
            header.schema,
            newest_schema()
        )));
    }
    let unfinished = Unfinished::create(place, UNFINISHED)?;
    unfinished.give_to_owner_of_place();
    let bytes = header.database_bytes;
    backup.unpack(&mut unfinished.file(), &mut |done| {
        progress(Step::Unpacked { done, bytes })
    })?;
    progress(Step::LookingThrough)?;
    look_through(unfinished.path(), name, &header)?;
    let kept = match is_there {
        true => Some(set_aside(place, at)?),
        false => None,
    };
    remove_logs_of(place)?;
    unfinished.finish(is_there)?;
    drop(lock);
    Ok(Restored { header, kept })
}

/// What the checksums cannot tell: whether it was sound when it was backed up, and Picket's.
fn look_through(path: &Path, name: &str, header: &Header) -> Result<()> {
    let unsound = |what: &str| Error::Refused(format!("the database in {name} {what}"));
    let unreadable = |error: rusqlite::Error| unsound(&format!("cannot be read: {error}"));
    let connection = connection::open_plainly(path).map_err(unreadable)?;
    let number = |pragma: &str| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0))
    };
    if number("application_id").map_err(unreadable)? != i64::from(connection::APPLICATION_ID) {
        return Err(unsound("is not one of Picket's"));
    }
    if connection::schema(&connection).map_err(unreadable)? != header.schema {
        return Err(unsound("has another schema than its backup says"));
    }
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(unreadable)?;
    if verdict != "ok" {
        return Err(unsound(&format!(
            "was corrupt when it was backed up: {verdict}"
        )));
    }
    close(connection, path)
}

/// Links the old database under another name. What is in its log goes into it first, so that it is whole there.
fn set_aside(place: &Path, at: Timestamp) -> Result<PathBuf> {
    let kept = beside(place, &format!(".before-restore-{}", at.secs()));
    let is_at_rest = connection::look(place).is_ok()
        && connection::open_plainly(place).is_ok_and(|connection| close(connection, place).is_ok());
    let link = |from: &Path, to: &Path| {
        std::fs::hard_link(from, to).map_err(|error| {
            Error::Refused(format!(
                "cannot keep {} as {}: {error}",
                from.display(),
                to.display()
            ))
        })
    };
    link(place, &kept)?;
    let log = beside(place, "-wal");
    if !is_at_rest && log.exists() {
        link(&log, &beside(&kept, "-wal"))?;
    }
    sync_directory_of(place).map_err(Error::internal)?;
    Ok(kept)
}

/// Closes the last connection to a file, which empties its log.
fn close(connection: Connection, path: &Path) -> Result<()> {
    connection.close().map_err(|(_, error)| error)?;
    match beside(path, "-wal").exists() {
        false => Ok(()),
        true => Err(Error::Refused(format!(
            "somebody else has {} open",
            path.display()
        ))),
    }
}
