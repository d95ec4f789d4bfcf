//! Holds the database still, so that its pages can be read as they lie in the file while a server goes on writing.
//!
//! While a reader begins at a moment at which all of the write-ahead log was copied into the file, SQLite lets nobody
//! copy into it until that reader is done: the file itself is the database of that moment, and what is written
//! meanwhile waits in the log. Such a moment is made here: for as long as a checkpoint of some pages takes, no other
//! process may write. Afterwards the log is copied from here, so that the server's writer does not have to do it in one go.
//!
//! Considered: SQLite's online backup. It begins anew whenever another process commits, and beside a busy server never ends (20 s
//! at 200 MB: 2,551 beginnings with 100 pages a step, 215 with 5,000); in one step, or by `VACUUM INTO`, it holds
//! the log back just as long and needs room for the whole file once more, which must then be read again.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection;
use super::space::{self, Disk};
use crate::domain::{Error, Result};

/// How long to wait for a moment without readers of older states. Those of a server are short.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

const CHUNK_BYTES: usize = 256 << 10;

/// The room on the disk is looked at once in so many bytes.
const ROOM_EVERY_BYTES: u64 = 64 << 20;

/// How many times the log is copied afterwards: each time leaves what was written during it.
const CHECKPOINTS: u32 = 3;

/// A database that lies still. Let go of when dropped.
pub(crate) struct Frozen {
    path: PathBuf,
    /// In a transaction. Dropped before the file: closing that ends the locks which SQLite has on it here.
    reading: Connection,
    file: File,
    before: Metadata,
    bytes: u64,
    schema: i64,
}

impl Frozen {
    /// # Errors
    /// The file cannot be used, or is never at rest for a moment.
    pub(crate) fn hold(path: &Path) -> Result<Frozen> {
        let schema = connection::look(path)?;
        let told = |error: &dyn std::fmt::Display| {
            Error::Refused(format!("cannot read {}: {error}", path.display()))
        };
        let file = File::open(path).map_err(|error| told(&error))?;
        let reading = connection::open_for_reading(path).map_err(|error| told(&error))?;
        let stopping = connection::open_plainly(path).map_err(|error| told(&error))?;
        let deadline = Instant::now() + PATIENCE;
        while !begin(&reading, &stopping).map_err(|error| told(&error))? {
            if Instant::now() >= deadline {
                return Err(Error::Refused(format!(
                    "{} is read by somebody all the time, so it cannot be copied now",
                    path.display()
                )));
            }
            std::thread::sleep(PAUSE);
        }
        let (bytes, _) = space::pages(&reading).map_err(|error| told(&error))?;
        Ok(Frozen {
            path: path.to_owned(),
            bytes,
            before: file.metadata().map_err(|error| told(&error))?,
            reading,
            file,
            schema,
        })
    }

    /// How long the copy will be.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn schema(&self) -> i64 {
        self.schema
    }

    /// Writes every page, in order. `progress` hears how many bytes are done, and can stop it.
    ///
    /// # Errors
    /// The file cannot be read, the sink not be written, the disk gets full of what waits in the log, or `progress`
    /// wants to stop.
    pub(crate) fn copy(
        &mut self,
        sink: &mut impl Write,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let shown = self.path.display().to_string();
        let unreadable = |error| Error::Refused(format!("cannot read {shown}: {error}"));
        self.file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        let mut look_at = 0;
        while done < self.bytes {
            if done >= look_at {
                self.leave_room()?;
                look_at = done + ROOM_EVERY_BYTES;
            }
            let left = usize::try_from(self.bytes - done).unwrap_or(usize::MAX);
            let part = &mut chunk[..left.min(CHUNK_BYTES)];
            self.file.read_exact(part).map_err(unreadable)?;
            sink.write_all(part)
                .map_err(|error| Error::Refused(format!("cannot write the copy: {error}")))?;
            done += part.len() as u64;
            progress(done)?;
        }
        let after = self.file.metadata().map_err(unreadable)?;
        let same = |a: &Metadata, b: &Metadata| Some((a.modified().ok()?, b.modified().ok()?));
        match same(&self.before, &after) {
            Some((before, after)) if before == after => Ok(()),
            _ => Err(Error::Refused(format!(
                "{shown} was changed by something that does not obey SQLite's locks; the copy is of no use"
            ))),
        }
    }

    /// What waits in the log while the file is held must not fill the disk: half as much again stays free as that with
    /// less than which a server takes no events.
    fn leave_room(&self) -> Result<()> {
        let Ok(Disk { free, total, .. }) = space::disk(&self.path) else {
            return Ok(());
        };
        let brake = super::health::floor(total);
        if free >= brake + brake / 2 {
            return Ok(());
        }
        Err(Error::Refused(format!(
            "the disk with {} has {} MiB left, too little for what a server writes meanwhile",
            self.path.display(),
            free >> 20
        )))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let checkpoint = || -> rusqlite::Result<()> {
            self.reading.execute_batch("ROLLBACK")?;
            for _ in 0..CHECKPOINTS {
                connection::checkpoint(&self.reading, "PASSIVE")?;
            }
            Ok(())
        };
        if let Err(error) = checkpoint() {
            log::warn!(
                "the write-ahead log of {} was not copied into it: {error}",
                self.path.display()
            );
        }
    }
}

/// Begins a transaction that reads what is in the file and nothing of the log; whether it could: not while somebody
/// reads an older state, or copies the log.
fn begin(reading: &Connection, stopping: &Connection) -> rusqlite::Result<bool> {
    // The most of the log without stopping anybody.
    connection::checkpoint(reading, "PASSIVE")?;
    match stopping.execute_batch("BEGIN IMMEDIATE") {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            return Ok(false);
        }
        begun => begun?,
    }
    let is_copied = connection::checkpoint(reading, "PASSIVE")?;
    if is_copied {
        reading.execute_batch("BEGIN")?;
        reading.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    }
    stopping.execute_batch("ROLLBACK")?;
    Ok(is_copied)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::domain::durability::Durability;

    /// While another connection commits and checkpoints as fast as it can, each copy is whole, of one moment, and
    /// has what was committed before it began.
    #[test]
    fn a_copy_is_of_one_moment_however_much_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let writing = connection::open_for_writing(&path, Durability::Normal).unwrap();
        writing
            .execute_batch(
                "CREATE TABLE one (n INTEGER, filler BLOB); CREATE TABLE other (n INTEGER);
                 WITH RECURSIVE row (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM row WHERE id < 300)
                 INSERT INTO one SELECT 0, randomblob(9000) FROM row;
                 INSERT INTO other VALUES (0);",
            )
            .unwrap();
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    writing
                        .execute_batch(&format!(
                            "BEGIN IMMEDIATE; UPDATE other SET n = {n};
                             UPDATE one SET n = {n}, filler = randomblob(9000) WHERE rowid = {n} * 7 % 300 + 1;
                             COMMIT;"
                        ))
                        .unwrap();
                    if n % 20 == 0 {
                        connection::checkpoint(&writing, "PASSIVE").unwrap();
                    }
                }
            });
            let count = |connection: &Connection, table: &str| -> i64 {
                connection
                    .query_row(
                        &format!("SELECT coalesce(max(n), 0) FROM {table}"),
                        [],
                        |row| row.get(0),
                    )
                    .unwrap()
            };
            let reading = connection::open_for_reading(&path).unwrap();
            for round in 0..4 {
                let before = count(&reading, "one");
                let mut frozen = Frozen::hold(&path).unwrap();
                let copy = directory.path().join(format!("copy-{round}"));
                let mut slowly = |_| {
                    std::thread::sleep(Duration::from_millis(5));
                    Ok(())
                };
                frozen
                    .copy(&mut File::create(&copy).unwrap(), &mut slowly)
                    .unwrap();
                drop(frozen);
                let copied = Connection::open(&copy).unwrap();
                let verdict: String = copied
                    .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                    .unwrap();
                assert_eq!(verdict, "ok");
                assert!(count(&copied, "one") >= before);
                assert_eq!(count(&copied, "one"), count(&copied, "other"));
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
