//! How much room the file takes, and how much its disk has left.

use std::io;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::StatVfsMountFlags;

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
    pub(crate) disk: Disk,
}

/// The disk that the file is on; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// What this process may still write.
    pub(crate) free: u64,
    pub(crate) total: u64,
    pub(crate) read_only: bool,
}

/// # Errors
/// The file's disk cannot be asked, or the file not be read.
pub(crate) fn measure(connection: &Connection, path: &Path) -> crate::domain::Result<Space> {
    let (file, unused) = pages(connection)?;
    Ok(Space {
        file,
        unused,
        log: std::fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len()),
        disk: disk(path).map_err(crate::domain::Error::internal)?,
    })
}

/// The bytes of all pages, and of those that nothing uses.
pub(super) fn pages(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pragma = |name: &str| -> rusqlite::Result<u64> {
        let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    let page_bytes = pragma("page_size")?;
    Ok((
        pragma("page_count")?.saturating_mul(page_bytes),
        pragma("freelist_count")?.saturating_mul(page_bytes),
    ))
}

/// What the disk that `path` is on looks like.
///
/// # Errors
/// There is no such path.
pub(crate) fn disk(path: &Path) -> io::Result<Disk> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(Disk {
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        total: disk.f_blocks.saturating_mul(disk.f_frsize),
        read_only: disk.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}
