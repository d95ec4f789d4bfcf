//! Opens the file and sets pragmas; nobody else does either.
//!
//! A file that cannot be used is refused before anything is written to it: not there and not creatable, not
//! writable, not SQLite, not Picket's, torn, or of a newer schema. Each refusal is one plain sentence.
//!
//! The server's lock is a `flock` on the database itself. Its descriptor is opened before SQLite opens the
//! file and kept for life, because closing any descriptor of a file drops the POSIX locks that SQLite holds
//! on it in the same process.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use crate::domain::Error;
use crate::domain::durability::Durability;

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// `PRAGMA application_id`: "Pick". Tells Picket's files from other SQLite databases.
pub(crate) const APPLICATION_ID: i32 = 0x5069_636b;

const PAGE_BYTES: u32 = 4096;

/// How long one process waits for the other's short transaction, at least.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after one another it looks whether that is over.
const BUSY_PAUSE: Duration = Duration::from_micros(500);

/// How often, and how long after one another, a server tries to lock its file.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why the file cannot be used, as one sentence for the terminal.
#[derive(Debug)]
pub(crate) struct OpenError(String);

impl OpenError {
    /// For a fault that shows only after the file was opened.
    pub(crate) fn unreadable(error: impl fmt::Display) -> OpenError {
        OpenError(format!("the database cannot be read: {error}"))
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        Error::Refused(error.0)
    }
}

/// The right to serve a file, for as long as this lives.
#[derive(Debug)]
pub(crate) struct ServerLock(#[expect(dead_code, reason = "held for its lock")] File);

impl ServerLock {
    /// Creates the file (mode 0600) if it is missing, looks at its head, and locks it.
    ///
    /// # Errors
    /// It cannot be used, or another server has it.
    pub(crate) fn take(path: &Path) -> Result<ServerLock, OpenError> {
        ServerLock::of(inspect(path)?, path)
    }

    /// As [`ServerLock::take`], of a file that must be there and may be anything, because it is about to be replaced.
    ///
    /// # Errors
    /// It cannot be opened, or a server has it.
    pub(super) fn take_whatever(path: &Path) -> Result<ServerLock, OpenError> {
        let file = File::open(path)
            .map_err(|error| OpenError(format!("cannot open {}: {error}", path.display())))?;
        ServerLock::of(file, path)
    }

    fn of(file: File, path: &Path) -> Result<ServerLock, OpenError> {
        // A command that asks whether a server has it holds it for an instant.
        for _ in 0..LOCK_TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(ServerLock(file)),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => {
                    return Err(OpenError(format!(
                        "cannot lock {}: {error}",
                        path.display()
                    )));
                }
            }
        }
        Err(OpenError(format!(
            "another picket serves {} already",
            path.display()
        )))
    }

    /// Whether a server has the file. Nothing in this process may have it open: see above.
    pub(super) fn is_taken(path: &Path) -> bool {
        let Ok(file) = File::open(path) else {
            return false;
        };
        let taken = flock(&file, FlockOperation::NonBlockingLockShared);
        matches!(taken, Err(rustix::io::Errno::WOULDBLOCK))
    }
}

/// Creates the file (mode 0600) if it is missing, and looks at its head.
///
/// # Errors
/// It cannot be used.
pub(crate) fn touch(path: &Path) -> Result<(), OpenError> {
    inspect(path).map(drop)
}

/// Looks at the head of a file that exists. Nothing in this process may have it open: see above.
///
/// # Errors
/// It cannot be used.
pub(super) fn examine(path: &Path) -> Result<(), OpenError> {
    open(path, false).map(drop)
}

fn inspect(path: &Path) -> Result<File, OpenError> {
    open(path, true)
}

fn open(path: &Path, create: bool) -> Result<File, OpenError> {
    let shown = path.display();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError(format!(
                "cannot create {shown}: its directory does not exist"
            )),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError(format!("{shown} is not writable: {error}"))
            }
            io::ErrorKind::IsADirectory => OpenError(format!("{shown} is a directory")),
            _ => OpenError(format!("cannot open {shown}: {error}")),
        })?;
    let unreadable = |error| OpenError(format!("cannot read {shown}: {error}"));
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.permissions().readonly() {
        // The owner of the process may be allowed to write all the same; whoever took the bits away meant it.
        return Err(OpenError(format!(
            "{shown} is not writable: its permissions are read-only"
        )));
    }
    if metadata.len() == 0 {
        return Ok(file);
    }
    let mut head = [0u8; 100];
    if metadata.len() < head.len() as u64 {
        return Err(OpenError(format!("{shown} is not a SQLite database")));
    }
    file.read_exact_at(&mut head, 0).map_err(unreadable)?;
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(OpenError(format!("{shown} is not a SQLite database")));
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(68) != APPLICATION_ID as u32 {
        return Err(OpenError(format!(
            "{shown} is a SQLite database, but not one of Picket's"
        )));
    }
    // Torn: shorter than its own head says. While a WAL stands beside it the pages may still be in there.
    let page_bytes = u64::from(u16::from_be_bytes([head[16], head[17]]));
    let pages = u64::from(number(28));
    let wal_bytes = std::fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len());
    if wal_bytes == 0 && number(24) == number(92) && metadata.len() < pages * page_bytes {
        return Err(OpenError(format!(
            "{shown} is corrupt: it is shorter than it says it is"
        )));
    }
    Ok(file)
}

/// The path of one of SQLite's own files beside the database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Opens the one connection that writes, sets up a new file, and brings an older schema up to date.
///
/// # Errors
/// The file is corrupt, of a newer schema, or cannot be written.
pub(crate) fn open_for_writing(
    path: &Path,
    durability: Durability,
) -> Result<Connection, OpenError> {
    let shown = path.display();
    let mut connection = Connection::open_with_flags(path, read_write())
        .map_err(|error| OpenError(format!("cannot open {shown}: {error}")))?;
    set_up(&mut connection, durability).map_err(|fault| fault.told(path))?;
    Ok(connection)
}

enum Fault {
    Sqlite(rusqlite::Error),
    Migration(refinery::Error),
    Newer { file: i64, ours: i64 },
    Pragma(&'static str),
}

impl Fault {
    fn told(self, path: &Path) -> OpenError {
        let shown = path.display();
        match self {
            Fault::Newer { file, ours } => OpenError(format!(
                "{shown} was written by a newer Picket (schema {file}, this one knows {ours}); use that one"
            )),
            Fault::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    OpenError(format!("{shown} is corrupt: {error}"))
                }
                _ => OpenError(format!("cannot use {shown}: {error}")),
            },
            Fault::Migration(error) => {
                OpenError(format!("cannot bring {shown} up to date: {error}"))
            }
            Fault::Pragma(name) => {
                OpenError(format!("cannot use {shown}: PRAGMA {name} was not taken"))
            }
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

/// How a file that is there is opened, by one thread at a time.
fn read_write() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn set_up(connection: &mut Connection, durability: Durability) -> Result<(), Fault> {
    wait_for_others(connection)?;
    let is_new: bool =
        connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get(0)
        })?;
    if is_new {
        // In this order, before the first page is written: later none of them has an effect.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else {
        refuse_newer(connection)?;
    }
    let journal: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if journal != "wal" {
        return Err(Fault::Pragma("journal_mode"));
    }
    let (synchronous, number) = match durability {
        Durability::Full => ("FULL", 2),
        Durability::Normal => ("NORMAL", 1),
    };
    set_checked(connection, "synchronous", synchronous, number)?;
    set_checked(connection, "foreign_keys", "ON", 1)?;
    // The writer checkpoints by itself, after the answers of a batch are out.
    set_checked(connection, "wal_autocheckpoint", "0", 0)?;
    set_checked(connection, "journal_size_limit", "16777216", 16_777_216)?;
    connection.set_prepared_statement_cache_capacity(128);
    // All or nothing: one by one, refinery would commit a migration and, after that, that it was done, and a process
    // that ends in between leaves a file that no start gets over.
    migrations::migrations::runner()
        .set_grouped(true)
        .run(connection)
        .map_err(Fault::Migration)?;
    Ok(())
}

fn set_checked(
    connection: &Connection,
    name: &'static str,
    value: &str,
    expected: i64,
) -> Result<(), Fault> {
    connection.execute_batch(&format!("PRAGMA {name} = {value}"))?;
    let got: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    if got == expected {
        Ok(())
    } else {
        Err(Fault::Pragma(name))
    }
}

fn refuse_newer(connection: &Connection) -> Result<(), Fault> {
    let (file, ours) = (schema(connection)?, newest_schema());
    if file > ours {
        return Err(Fault::Newer { file, ours });
    }
    Ok(())
}

/// The schema that this version brings every file to.
pub(crate) fn newest_schema() -> i64 {
    migrations::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// The schema of a file; 0 for one without tables.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<i64> {
    if !connection.table_exists(None, "refinery_schema_history")? {
        return Ok(0);
    }
    connection.query_row(
        "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
        [],
        |row| row.get(0),
    )
}

/// The migrations that a file of this schema lacks, in order: number and name.
pub(crate) fn migrations_after(schema: i64) -> Vec<(i64, String)> {
    let runner = migrations::migrations::runner();
    let mut list: Vec<(i64, String)> = runner
        .get_migrations()
        .iter()
        .map(|migration| (i64::from(migration.version()), migration.name().to_owned()))
        .filter(|(version, _)| *version > schema)
        .collect();
    list.sort();
    list
}

/// A database in memory with this version's tables and nothing in them, also no history.
pub(super) fn blank() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    let runner = migrations::migrations::runner();
    let mut migrations: Vec<_> = runner.get_migrations().iter().collect();
    migrations.sort_by_key(|migration| migration.version());
    for migration in migrations {
        connection.execute_batch(migration.sql().unwrap_or_default())?;
    }
    Ok(connection)
}

/// Looks at a file without changing it: whether it is one of Picket's, whole, and of a schema that this version knows;
/// which one that is.
///
/// # Errors
/// As for a start, and that there is none.
pub(crate) fn look(path: &Path) -> Result<i64, OpenError> {
    let shown = path.display();
    if matches!(path.try_exists(), Ok(false)) {
        return Err(OpenError(format!("there is no database {shown}")));
    }
    inspect(path)?;
    let unreadable = |error| OpenError(format!("cannot read {shown}: {error}"));
    let connection = open_for_reading(path).map_err(unreadable)?;
    match refuse_newer(&connection) {
        Ok(()) => schema(&connection).map_err(unreadable),
        Err(fault) => Err(fault.told(path)),
    }
}

/// Lets a connection wait while another process writes. A busy writer leaves hardly any time between two transactions:
/// SQLite's own way of waiting, ever longer between two looks, can miss it for seconds.
///
/// # Errors
/// SQLite refuses to.
pub(super) fn wait_for_others(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|looks: i32| {
        std::thread::sleep(BUSY_PAUSE);
        BUSY_PAUSE.saturating_mul(looks.unsigned_abs()) < BUSY_TIMEOUT
    }))
}

/// Opens a connection that cannot write. It never waits for the writer (WAL).
///
/// # Errors
/// The file cannot be opened once more.
pub(crate) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    // Read-write at the file, because a reader of a WAL needs to write the shared memory beside it.
    let mut connection = Connection::open_with_flags(path, read_write())?;
    wait_for_others(&mut connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a connection that may write, and changes nothing by being opened: neither the schema nor the journal's mode.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn open_plainly(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, read_write())?;
    wait_for_others(&mut connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Copies the log into the file, as far as a mode of SQLite's (`PASSIVE` or `TRUNCATE`) does; whether that was all of it.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| {
        let (busy, pages, copied): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!busy && pages == copied)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_busy_writer_keeps_no_other_process_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        touch(&path).unwrap();
        let other = open_for_writing(&path, Durability::Normal).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let busy = open_for_writing(&path, Durability::Normal).unwrap();
                while !over.load(Ordering::Relaxed) {
                    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
                    std::thread::sleep(Duration::from_millis(20));
                    busy.execute_batch("COMMIT").unwrap();
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
            let outcomes: rusqlite::Result<Vec<()>> = (0..10)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(5));
                    other.execute_batch("BEGIN IMMEDIATE; COMMIT")
                })
                .collect();
            over.store(true, Ordering::Relaxed);
            assert_eq!(outcomes.map(|begun| begun.len()), Ok(10));
        });
    }

    /// The schema of before retention, with what it had to count.
    #[test]
    fn an_older_file_learns_how_much_each_project_has() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        let mut old = Connection::open(&path).unwrap();
        migrations::migrations::runner()
            .set_target(refinery::Target::Version(4))
            .run(&mut old)
            .unwrap();
        old.execute_batch(
            "INSERT INTO event (project_id, event_id, kind, key_id, received_us, payload)
             VALUES (1, x'01', 0, 1, 5, zeroblob(100)), (1, x'02', 0, 1, 5, zeroblob(50)), (2, x'01', 2, 1, 5, x'');
             INSERT INTO item (project_id, kind, key_id, received_us, header, quantity, bytes, payload, large_payload_id)
             VALUES (1, 19, 1, 5, '{}', 1, 9, zeroblob(7), NULL), (1, 19, 1, 5, '{}', 1, 9, NULL, 3);
             INSERT INTO large_payload (id, parts) VALUES (3, 2), (4, 1);
             INSERT INTO payload_part (id, payload)
             VALUES (3 * 65536, zeroblob(1000)), (3 * 65536 + 1, zeroblob(500)), (4 * 65536, zeroblob(30));
             INSERT INTO attachment (project_id, key_id, received_us, event_id, kind, name, bytes, sha1, payload,
                                     large_payload_id)
             VALUES (2, 1, 5, x'01', 'event.attachment', 'a', 9, x'', NULL, 4);",
        )
        .unwrap();
        drop(old);

        let connection = open_for_writing(&path, Durability::Normal).unwrap();
        let mut statement = connection
            .prepare("SELECT project_id, kind, entries, bytes FROM project_size ORDER BY project_id, kind")
            .unwrap();
        let sizes: Vec<(i64, i64, i64, i64)> = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let expected = [
            (1, 0, 2, 550),
            (1, 19, 2, 1907),
            (2, 2, 1, 200),
            (2, 100, 1, 230),
        ];
        assert_eq!(sizes, expected);
    }

    /// The schema of before the management API, with rows in the tables that were made anew since.
    #[test]
    fn an_older_file_keeps_its_members_and_their_teams() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        let mut old = Connection::open(&path).unwrap();
        old.pragma_update(None, "foreign_keys", true).unwrap();
        migrations::migrations::runner()
            .set_target(refinery::Target::Version(2))
            .run(&mut old)
            .unwrap();
        old.execute_batch(
            "INSERT INTO organization (id, slug, name, created_us) VALUES (1, 'acme', 'Acme', 5);
             INSERT INTO team (id, organization_id, slug, name, created_us) VALUES (2, 1, 'core', 'Core', 5);
             INSERT INTO user (id, email, name, created_us) VALUES (3, 'ann@example.test', 'Ann', 5);
             INSERT INTO member (id, organization_id, user_id, role, created_us) VALUES (7, 1, 3, 'owner', 6);
             INSERT INTO team_member (team_id, member_id, role) VALUES (2, 7, 'admin');",
        )
        .unwrap();
        drop(old);

        let connection = open_for_writing(&path, Durability::Normal).unwrap();
        let member: (i64, i64, String, i64) = connection
            .query_row(
                "SELECT id, user_id, role, created_us FROM member",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .unwrap();
        assert_eq!(member, (7, 3, "owner".to_owned(), 6));
        let seat: (i64, i64, String) = connection
            .query_row(
                "SELECT team_id, member_id, role FROM team_member",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(seat, (2, 7, "admin".to_owned()));
        let counted: (i64, i64, i64) = connection
            .query_row(
                "SELECT organization_id, block, members FROM member_block",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(counted, (1, 0, 1));
        // The reference still holds, and the next number is a new one.
        assert!(connection.execute("DELETE FROM member", []).is_err());
        connection
            .execute(
                "INSERT INTO member (organization_id, email, role, created_us) VALUES (1, 'b@example.test', 'member', 7)",
                [],
            )
            .unwrap();
        assert_eq!(connection.last_insert_rowid(), 8);
    }
}
