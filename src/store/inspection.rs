//! What a look at the file tells, without changing it: for `picket doctor`, and for recognising a file.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::connection::{self, OpenError, ServerLock};
use super::space::{self, Space};
use crate::domain::seal::Seal;
use crate::domain::time::Timestamp;

/// What a look tells.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The schema's version, and the one that this program knows.
    pub(crate) schema: i64,
    pub(crate) schema_known: i64,
    pub(crate) seal: Seal,
    /// The newest moment that a row of the file was made at, as far as that is quick to find.
    pub(crate) newest: Option<Timestamp>,
    pub(crate) space: Space,
    /// Whether a server has the file.
    pub(crate) is_served: bool,
}

/// Looks at a file that exists.
///
/// # Errors
/// One plain sentence for whatever keeps the file from being read.
pub(crate) fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    // Before SQLite has the file in this process.
    let is_served = ServerLock::is_taken(path);
    connection::examine(path)?;
    let connection = connection::open_for_reading(path).map_err(OpenError::unreadable)?;
    let read =
        || -> rusqlite::Result<_> { Ok((connection::schema(&connection)?, newest(&connection)?)) };
    let (schema, newest) = read().map_err(OpenError::unreadable)?;
    Ok(Inspection {
        schema,
        schema_known: connection::newest_schema(),
        seal: seal(&connection, path).map_err(OpenError::unreadable)?,
        newest,
        space: space::measure(&connection, path).map_err(OpenError::unreadable)?,
        is_served,
    })
}

fn newest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let last = |sql| {
        let us: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok::<_, rusqlite::Error>(us)
    };
    let event = last("SELECT received_us FROM event ORDER BY id DESC LIMIT 1")?;
    let entry = last("SELECT at_us FROM audit_entry ORDER BY id DESC LIMIT 1")?;
    Ok(event.max(entry).map(Timestamp::from_us))
}

/// The secret of this file: from when it was made, to the nanosecond, and which file it is, so that a copy is another.
///
/// # Errors
/// The file cannot be read.
pub(super) fn seal(connection: &Connection, path: &Path) -> crate::domain::Result<Seal> {
    let made: String = connection.query_row(
        "SELECT applied_on FROM refinery_schema_history ORDER BY version LIMIT 1",
        [],
        |row| row.get(0),
    )?;
    let number = std::fs::metadata(path)
        .map_err(crate::domain::Error::internal)?
        .ino();
    Ok(Seal::of(&[&made, &number.to_string()]))
}
