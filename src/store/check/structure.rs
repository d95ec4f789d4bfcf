//! Whether the file is whole: its pages and indexes, its tables, and what its rows refer to.

use rusqlite::Connection;

use super::super::connection;
use super::{Check, Found, Look, plural};

/// SQLite tells no more faults than this.
const MESSAGES_MAX: u32 = 100;

pub(super) const PAGES: Check = Check {
    name: "pages",
    find: find_in_pages,
    repair: Some(|look| look.connection.execute_batch("REINDEX")),
};

pub(super) const TABLES: Check = Check {
    name: "tables",
    find: find_missing_tables,
    repair: Some(make_missing_indexes),
};

pub(super) const REFERENCES: Check = Check {
    name: "references",
    find: find_broken_references,
    repair: None,
};

fn find_in_pages(look: &Look<'_>) -> rusqlite::Result<Option<Found>> {
    let mut statement = look
        .connection
        .prepare(&format!("PRAGMA integrity_check({MESSAGES_MAX})"))?;
    let messages: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if messages.iter().all(|message| message == "ok") {
        return Ok(None);
    }
    // An index follows from its table.
    let is_index = |message: &String| {
        [
            "row ",
            "wrong # of entries in index ",
            "non-unique entry in index ",
        ]
        .iter()
        .any(|start| message.starts_with(start))
            && message.contains(" index ")
    };
    let what = match messages.iter().all(is_index) {
        true => "an index does not agree with its table",
        false => "the file is corrupt",
    };
    Ok(Some(Found {
        count: messages.len() as u64,
        text: format!("{what}: {}", messages[0]),
        can_be_repaired: messages.iter().all(is_index),
    }))
}

/// What the migrations make and the file has not, with the statements that make them.
fn missing(look: &Look<'_>) -> rusqlite::Result<Vec<(String, String, String)>> {
    let blank = connection::blank()?;
    let parts = |connection: &Connection| -> rusqlite::Result<Vec<(String, String, String)>> {
        connection
            .prepare(
                "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let there = parts(look.connection)?;
    let is_missing = |part: &(String, String, String)| {
        there
            .iter()
            .all(|(kind, name, _)| (kind, name) != (&part.0, &part.1))
    };
    Ok(parts(&blank)?.into_iter().filter(is_missing).collect())
}

fn find_missing_tables(look: &Look<'_>) -> rusqlite::Result<Option<Found>> {
    let missing = missing(look)?;
    let names: Vec<String> = missing
        .iter()
        .map(|(kind, name, _)| format!("{kind} {name}"))
        .collect();
    Ok((!names.is_empty()).then(|| Found {
        count: names.len() as u64,
        text: format!("the file lacks {}", names.join(", ")),
        can_be_repaired: missing.iter().all(|(kind, ..)| kind != "table"),
    }))
}

/// Indexes and triggers hold nothing of their own.
fn make_missing_indexes(look: &Look<'_>) -> rusqlite::Result<()> {
    for (_, _, sql) in missing(look)? {
        look.connection.execute_batch(&sql)?;
    }
    Ok(())
}

fn find_broken_references(look: &Look<'_>) -> rusqlite::Result<Option<Found>> {
    let mut statement = look.connection.prepare(
        "SELECT \"table\", \"parent\", count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows: Vec<(String, String, i64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let texts: Vec<String> = rows
        .iter()
        .map(|(table, parent, count)| {
            format!("{} of {table} to a {parent}", plural(*count, "row", "rows"))
        })
        .collect();
    let count = rows.iter().map(|(.., count)| count).sum();
    Ok(Found::some(count, |_| {
        format!(
            "rows refer to something that is not there: {}",
            texts.join(", ")
        )
    }))
}
