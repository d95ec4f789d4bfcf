//! The one SQLite file. Only here is `rusqlite` named.
//!
//! - [`connection`] opens files and sets pragmas; [`writer`] alone writes, in group commits;
//! - [`health`] says whether events can be taken, and [`space`] how much room there is;
//! - [`snapshot`] keeps in memory what ingestion asks for; [`readers`] lends connections for reading; [`orders`]
//!   knows the way to deep pages; [`deletion`] removes what was deleted, [`retention`] what is too old or too much;
//!   [`relocation`] reads rows for another server and writes those of another one;
//! - [`frozen`] holds the file still for [`backup`]; [`restore`] puts a backup in place; [`check`] looks the file through,
//!   and [`upgrade`] brings it to this version's schema;
//! - one file per resource holds its queries: functions that take a `&Connection`, so that they serve in a
//!   transaction as well.
//!
//! [`Store`] joins them. Opening one takes the lock of a server; [`Store::open_beside`] is for commands that
//! work on the file whether or not a server runs.

pub(crate) mod access;
pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod client_keys;
pub(crate) mod connection;
pub(crate) mod deletion;
pub(crate) mod environments;
pub(crate) mod events;
pub(crate) mod frozen;
pub(crate) mod health;
pub(crate) mod identity_providers;
pub(crate) mod inspection;
pub(crate) mod items;
mod key_windows;
pub(crate) mod ledger;
pub(crate) mod members;
pub(crate) mod orders;
pub(crate) mod organizations;
pub(crate) mod ownership;
pub(crate) mod payloads;
pub(crate) mod projects;
pub(crate) mod readers;
pub(crate) mod relocation;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod saml_messages;
pub(crate) mod second_factors;
pub(crate) mod sessions;
pub(crate) mod sightings;
pub(crate) mod sizes;
pub(crate) mod snapshot;
pub(crate) mod space;
pub(crate) mod tally;
pub(crate) mod team_members;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod transfers;
pub(crate) mod unfinished;
pub(crate) mod upgrade;
pub(crate) mod user_links;
pub(crate) mod users;
pub(crate) mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use rusqlite::Connection;
use rusqlite::OptionalExtension;

use crate::domain::durability::Durability;
use crate::domain::seal::Seal;
use crate::domain::{Error, Result};
use connection::{OpenError, ServerLock};
use deletion::Bell;
use health::{Health, Trouble, Watch};
use orders::Orders;
use readers::{Reader, Readers};
use snapshot::Snapshot;
use space::Space;
use writer::{Unit, Writer};

/// Where a page of a list by id starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    /// At the greatest id below this one, going down.
    Below(i64),
    /// At the least id above this one, going up.
    Above(i64),
}

impl Place {
    /// The condition on `id`, which names a parameter `:boundary` if there is one, and the order that finds the rows
    /// next to the place first.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Place::First => ("", "DESC"),
            Place::Below(_) => (" AND id < :boundary", "DESC"),
            Place::Above(_) => (" AND id > :boundary", "ASC"),
        }
    }

    fn boundary(self) -> Option<i64> {
        match self {
            Place::First => None,
            Place::Below(id) | Place::Above(id) => Some(id),
        }
    }

    /// Keeps the `limit` rows next to the place, newest first.
    fn cut_to<T>(self, rows: &mut Vec<T>, limit: u32, id: impl Fn(&T) -> i64) {
        rows.sort_by_key(|row| std::cmp::Reverse(id(row)));
        let excess = rows.len().saturating_sub(limit as usize);
        match self {
            Place::First | Place::Below(_) => rows.truncate(limit as usize),
            Place::Above(_) => drop(rows.drain(..excess)),
        }
    }
}

/// Where a page of a list by date, newest first, starts: beside a row that is told by its date in milliseconds, which is
/// as much as a cursor says of it, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePlace {
    First,
    /// At the newest row that is older.
    Below {
        millis: i64,
        id: i64,
    },
    /// At the oldest row that is newer, going up.
    Above {
        millis: i64,
        id: i64,
    },
}

impl DatePlace {
    /// The condition on a table's `created_us` and `id`, which names the parameters `:place_us` and `:place_id` if there
    /// is one, and the order that finds the rows next to the place first.
    fn sql(self, table: &str) -> (String, String) {
        let beyond =
            |sign| format!(" AND ({table}.created_us, {table}.id) {sign} (:place_us, :place_id)");
        let order = |way| format!("{table}.created_us {way}, {table}.id {way}");
        match self {
            DatePlace::First => (String::new(), order("DESC")),
            DatePlace::Below { .. } => (beyond("<"), order("DESC")),
            DatePlace::Above { .. } => (beyond(">"), order("ASC")),
        }
    }

    /// Date and id that the rows lie beyond. A row that is gone, or that a client made up, stands for the whole of its
    /// millisecond.
    fn boundary(
        self,
        connection: &Connection,
        table: &str,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        self.boundary_by(connection, table, "created_us")
    }

    /// As [`DatePlace::boundary`], of a table whose dates are in this column.
    fn boundary_by(
        self,
        connection: &Connection,
        table: &str,
        column: &str,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let (millis, id, otherwise) = match self {
            DatePlace::First => return Ok(None),
            DatePlace::Below { millis, id } => (millis, id, millis.saturating_add(1)),
            DatePlace::Above { millis, id } => (millis, id, millis),
        };
        let row = connection
            .prepare_cached(&format!(
                "SELECT {column} FROM {table} WHERE id = :id AND {column} / 1000 = :millis"
            ))?
            .query_row([id, millis], |row| row.get(0))
            .optional()?;
        Ok(Some(match row {
            Some(us) => (us, id),
            None => (otherwise.saturating_mul(1000), 0),
        }))
    }

    /// Puts rows that were found in the order of [`DatePlace::sql`] into that of the list.
    fn newest_first<T>(self, rows: &mut [T]) {
        if matches!(self, DatePlace::Above { .. }) {
            rows.reverse();
        }
    }
}

/// The open file: one writing thread, connections for reading, and what ingestion needs in memory.
pub(crate) struct Store {
    writer: Writer,
    readers: Readers,
    orders: Orders,
    snapshot: Arc<Snapshot>,
    health: Arc<Health>,
    /// Of a server's.
    watch: Mutex<Option<Watch>>,
    seal: Seal,
    _lock: Option<ServerLock>,
    path: PathBuf,
    /// A command has it, perhaps beside a server.
    is_beside: bool,
}

impl Store {
    /// Opens or creates the file for a server, which no second one may serve.
    ///
    /// # Errors
    /// One plain sentence for whatever keeps the file from being used; it is untouched then.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Store, OpenError> {
        let lock = ServerLock::take(path)?;
        let store = Store::open_with(path, durability, Some(lock))?;
        // One a transaction, so that a command beside this server never waits long.
        while store
            .write(|unit| Ok(payloads::delete_unfinished(unit)?))
            .map_err(OpenError::unreadable)?
        {}
        Ok(store)
    }

    /// Opens or creates the file for a command, beside a server that may be running.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub(crate) fn open_beside(path: &Path) -> Result<Store, OpenError> {
        connection::touch(path)?;
        let mut store = Store::open_with(path, Durability::Full, None)?;
        store.is_beside = true;
        Ok(store)
    }

    fn open_with(
        path: &Path,
        durability: Durability,
        lock: Option<ServerLock>,
    ) -> Result<Store, OpenError> {
        let writing = connection::open_for_writing(path, durability)?;
        let (snapshot, seen) = Snapshot::load(&writing).map_err(OpenError::unreadable)?;
        let snapshot = Arc::new(snapshot);
        let seal = inspection::seal(&writing, path).map_err(OpenError::unreadable)?;
        let health = Arc::new(Health::default());
        let writer = Writer::start(
            path,
            durability,
            writing,
            (Arc::clone(&snapshot), seen),
            Arc::clone(&health),
        )
        .map_err(OpenError::unreadable)?;
        Ok(Store {
            writer,
            readers: Readers::new(path),
            orders: Orders::default(),
            snapshot,
            health,
            watch: Mutex::new(None),
            seal,
            _lock: lock,
            path: path.to_owned(),
            is_beside: false,
        })
    }

    /// Looks at the disk from now on, and takes no events while less than `min_free` bytes are free; none is the rule of
    /// [`health`].
    ///
    /// # Errors
    /// The thread for it could not be started.
    pub(crate) fn watch_disk(&self, min_free: Option<u64>) -> std::io::Result<()> {
        let watch = Watch::start(&self.health, &self.path, min_free)?;
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        Ok(())
    }

    /// Whether events can be taken, and what was refused.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// How much room the file takes, and what its disk has left.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn space(&self) -> Result<Space> {
        space::measure(&*self.read()?, &self.path)
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The order of long lists.
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Rings when something may have been deleted.
    pub(crate) fn deletions(&self) -> &Bell {
        &self.snapshot.deletions
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Why nothing new is taken now, as a code that is never changed; none when all is well. Asks nothing but memory.
    pub(crate) fn hindrance(&self) -> Option<&'static str> {
        self.writer.trouble().map(Trouble::code)
    }

    /// What only who can read the file knows.
    pub(crate) fn seal(&self) -> Seal {
        self.seal
    }

    /// A connection for reading that goes back by itself.
    ///
    /// # Errors
    /// The file could not be opened once more.
    pub(crate) fn read(&self) -> Result<Reader<'_>> {
        self.readers.lend()
    }

    /// Runs one change in the writer's next transaction and waits until it is durable.
    ///
    /// # Errors
    /// What `run` returned, or that the writer cannot take or keep it.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Unit<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Over the channel comes nothing but that it is done: a channel for each type of result would be compiled for each.
        let kept = Arc::new(Mutex::new(None));
        let (answer, wait) = std::sync::mpsc::sync_channel(1);
        let keep = Arc::clone(&kept);
        self.writer.submit(0, run, move |result| {
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            // The receiver below only ever stops waiting after this.
            let _ = answer.send(());
        });
        // It fails if the writer ended without an answer, and then nothing was kept.
        let _ = wait.recv();
        let result = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.unwrap_or_else(|| Err(Error::internal("the writer ended before it answered")))
    }

    /// As [`Store::write`], for a step of background work: the rows that it changes or removes are counted.
    ///
    /// # Errors
    /// As for [`Store::write`].
    pub(crate) fn work<T: Send + 'static>(
        &self,
        mut step: impl FnMut(&mut Unit<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (result, rows) = self.write(move |unit| {
            let before = unit.total_changes();
            let result = step(unit)?;
            Ok((result, unit.total_changes() - before))
        })?;
        self.writer.count_work(rows);
        Ok(result)
    }

    /// Finishes what is queued, checkpoints and closes. The file is whole by itself then, unless somebody else
    /// still reads it. A command that took somebody's credentials away returns only when a server that runs on the file
    /// follows.
    pub(crate) fn close(&self) {
        drop(
            self.watch
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.writer.stop();
        self.readers.close();
        if self.is_beside
            && self.snapshot.changed_credentials()
            // Only now that SQLite has let go of the file: this opens and closes it.
            && ServerLock::is_taken(&self.path)
        {
            std::thread::sleep(snapshot::FRESH_FOR);
        }
    }
}

/// An unexpected SQLite error is a bug or a broken machine, never the caller's fault.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            Some(
                rusqlite::ErrorCode::DiskFull
                | rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::DatabaseLocked
                | rusqlite::ErrorCode::SystemIoFailure
                | rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::OutOfMemory,
            ) => {
                log::warn!("the database cannot take a change now: {error}");
                Error::Unavailable {
                    retry_after_secs: 5,
                }
            }
            _ => Error::internal(error),
        }
    }
}

/// The error of an insert: a conflict in these words if a row with the same unique value was there.
fn conflict(error: rusqlite::Error, text: impl FnOnce() -> String) -> Error {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    let is_unique_violation = error.sqlite_error().is_some_and(|e| {
        [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY].contains(&e.extended_code)
    });
    if is_unique_violation {
        Error::Conflict(text())
    } else {
        error.into()
    }
}
