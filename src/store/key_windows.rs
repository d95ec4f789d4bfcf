//! How much of its rate limit each key has used: one row per key and window length, for the newest window.
//!
//! Ingestion counts in memory ([`crate::domain::window`]); a slot is written here in the transaction of the item
//! that took it, so that a limit is exact also after a crash.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::domain::id::KeyId;
use crate::domain::window::{AHEAD_SECS_MAX, KeyWindow};

/// The newest window of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredWindow {
    /// Seconds since 1970 divided by the window's length.
    pub(super) number: u32,
    pub(super) used: u32,
}

impl StoredWindow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredWindow> {
        Ok(StoredWindow {
            number: row.get("window_number")?,
            used: row.get("used")?,
        })
    }

    /// A counter that goes on from here.
    pub(super) fn resume(self) -> KeyWindow {
        KeyWindow::resume(self.number, self.used)
    }
}

/// Adds to what a key has used of a window. A newer window replaces an older one, and so does any that takes the
/// place of one too far ahead of the clock; otherwise an older one than the file holds adds nothing.
pub(super) fn add(
    connection: &Connection,
    key: KeyId,
    window_secs: u32,
    window_number: u32,
    used: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO key_window (key_id, window_secs, window_number, used)
             VALUES (:key, :window_secs, :window_number, :used)
             ON CONFLICT DO UPDATE SET
                 used = CASE WHEN window_number = excluded.window_number THEN used + excluded.used
                             ELSE excluded.used END,
                 window_number = excluded.window_number
             WHERE excluded.window_number >= window_number
                OR (window_number - excluded.window_number) * window_secs > max(:ahead_max, window_secs)",
        )?
        .execute(named_params! {
            ":key": key.0,
            ":window_secs": window_secs,
            ":window_number": window_number,
            ":used": used,
            ":ahead_max": AHEAD_SECS_MAX,
        })
        .map(drop)
}

/// The newest window of this length of a key.
pub(super) fn find(
    connection: &Connection,
    key: KeyId,
    window_secs: u32,
) -> rusqlite::Result<Option<StoredWindow>> {
    connection
        .prepare_cached(
            "SELECT window_number, used FROM key_window WHERE key_id = :key AND window_secs = :window_secs",
        )?
        .query_row(
            named_params! { ":key": key.0, ":window_secs": window_secs },
            StoredWindow::from_row,
        )
        .optional()
}

/// The newest window of every key, by key and window length.
pub(super) fn list(
    connection: &Connection,
) -> rusqlite::Result<HashMap<(KeyId, u32), StoredWindow>> {
    connection
        .prepare_cached("SELECT key_id, window_secs, window_number, used FROM key_window")?
        .query_map([], |row| {
            Ok((
                (KeyId(row.get("key_id")?), row.get("window_secs")?),
                StoredWindow::from_row(row)?,
            ))
        })?
        .collect()
}

/// Forgets what a key has used, of windows of every length.
pub(super) fn forget(connection: &Connection, key: KeyId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM key_window WHERE key_id = :key")?
        .execute([key.0])
        .map(drop)
}
