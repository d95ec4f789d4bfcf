//! How much room the file takes, and how much its disk has left.

use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::connection::beside;

/// All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// The database without its log.
    pub(crate) file: u64,
    /// Of the database: pages that nothing uses, which new rows take first.
    pub(crate) unused: u64,
    /// The write-ahead log.
    pub(crate) log: u64,
    /// What this process may still write to the disk that the file is on.
    pub(crate) disk_free: u64,
    pub(crate) disk_total: u64,
}

/// # Errors
/// The file's disk cannot be asked, or the file not be read.
pub(crate) fn measure(connection: &Connection, path: &Path) -> crate::domain::Result<Space> {
    let pragma = |name: &str| -> rusqlite::Result<u64> {
        let number: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(number.cast_unsigned())
    };
    let page_bytes = pragma("page_size")?;
    let (disk_free, disk_total) = disk(path).map_err(crate::domain::Error::internal)?;
    Ok(Space {
        file: pragma("page_count")?.saturating_mul(page_bytes),
        unused: pragma("freelist_count")?.saturating_mul(page_bytes),
        log: std::fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len()),
        disk_free,
        disk_total,
    })
}

/// What this process may still write to the disk that `path` is on, and how large that is.
///
/// # Errors
/// There is no such path.
pub(crate) fn disk(path: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(path)?;
    Ok((
        disk.f_bavail.saturating_mul(disk.f_frsize),
        disk.f_blocks.saturating_mul(disk.f_frsize),
    ))
}
