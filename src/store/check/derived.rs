//! What the file keeps so that nobody has to look through the rest of it, against the rest of it.

use rusqlite::Connection;

use super::super::sizes;
use super::{Check, Found, count, plural};

/// A fault that is counted by one query and put right by others.
macro_rules! by_queries {
    ($name:literal, $count:expr, $text:expr, [$($repair:expr),+ $(,)?]) => {
        Check {
            name: $name,
            find: |look| Ok(Found::some(count(look.connection, $count)?, $text)),
            repair: Some(|look| look.connection.execute_batch(concat!($($repair, ";"),+))),
        }
    };
}

pub(super) const MEMBER_BLOCKS: Check = by_queries!(
    "member-blocks",
    "WITH truth AS (SELECT organization_id, id >> 8 AS block, count(*) AS members FROM member GROUP BY 1, 2)
     SELECT count(*) FROM truth FULL JOIN member_block USING (organization_id, block)
     WHERE truth.members IS NOT member_block.members",
    |count| format!(
        "{} with the members there are",
        plural(
            count,
            "count of members does not agree",
            "counts of members do not agree"
        )
    ),
    [
        "DELETE FROM member_block",
        "INSERT INTO member_block (organization_id, block, members)
         SELECT organization_id, id >> 8, count(*) FROM member GROUP BY organization_id, id >> 8",
    ]
);

pub(super) const SEEN_KINDS: Check = Check {
    name: "seen-kinds",
    find: |look| {
        let unseen = unseen_kinds(look.connection)?;
        Ok(Found::some(unseen.len() as i64, |count| {
            format!(
                "{} data of kinds that the project is not said to have",
                plural(count, "project has", "projects have")
            )
        }))
    },
    repair: Some(|look| {
        for (project, kinds) in unseen_kinds(look.connection)? {
            look.connection.execute(
                "UPDATE project SET seen_kinds = seen_kinds | ?2 WHERE id = ?1",
                [project, kinds],
            )?;
        }
        Ok(())
    }),
};

/// Projects, with the kinds of their data that are not written down. Kinds whose data is gone stay written down.
fn unseen_kinds(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare(
        "SELECT project.id, project.seen_kinds, had.kind
         FROM (SELECT DISTINCT project_id, kind FROM event UNION SELECT DISTINCT project_id, kind FROM item) AS had
         JOIN project ON project.id = had.project_id
         WHERE had.kind BETWEEN 0 AND 62 AND project.seen_kinds & (1 << had.kind) = 0
         ORDER BY project.id",
    )?;
    let mut rows = statement.query([])?;
    let mut unseen: Vec<(i64, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (project, kind): (i64, u32) = (row.get(0)?, row.get(2)?);
        match unseen.last_mut() {
            Some((last, kinds)) if *last == project => *kinds |= 1 << kind,
            _ => unseen.push((project, 1 << kind)),
        }
    }
    Ok(unseen)
}

pub(super) const FIRST_EVENTS: Check = by_queries!(
    "first-events",
    // Errors and security reports count as such.
    "SELECT count(*) FROM project WHERE first_event_us IS NULL AND EXISTS (
         SELECT 1 FROM event WHERE project_id = project.id AND kind IN (0, 1))",
    |count| format!(
        "{} events and no time of the first",
        plural(count, "project has", "projects have")
    ),
    ["UPDATE project SET first_event_us = (
             SELECT min(received_us) FROM event WHERE project_id = project.id AND kind IN (0, 1))
         WHERE first_event_us IS NULL AND EXISTS (
             SELECT 1 FROM event WHERE project_id = project.id AND kind IN (0, 1))",]
);

pub(super) const KEY_ORGANIZATIONS: Check = by_queries!(
    "key-organizations",
    "SELECT count(*) FROM client_key JOIN project ON project.id = client_key.project_id
     WHERE client_key.organization_id <> project.organization_id",
    |count| format!(
        "{} listed under another organization than the project's",
        plural(count, "client key is", "client keys are")
    ),
    ["UPDATE client_key SET organization_id =
             (SELECT organization_id FROM project WHERE project.id = client_key.project_id)
         WHERE organization_id <>
             (SELECT organization_id FROM project WHERE project.id = client_key.project_id)",]
);

pub(super) const PROJECT_SIZES: Check = Check {
    name: "project-sizes",
    find: |look| {
        let disagreements = sizes::disagreements(look.connection)?;
        let (mut entries, mut bytes) = (0_i64, 0_i64);
        for sizes::Disagreement { written, there, .. } in &disagreements {
            let off = |a: i64, b: i64| a.saturating_sub(b).saturating_abs();
            entries = entries.saturating_add(off(written.entries, there.entries));
            bytes = bytes.saturating_add(off(written.bytes, there.bytes));
        }
        Ok(Found::some(disagreements.len() as i64, |count| {
            format!(
                "{} not agree with what is stored: off by {} and {}",
                plural(
                    count,
                    "size of a project's data does",
                    "sizes of projects' data do"
                ),
                plural(entries, "entry", "entries"),
                plural(bytes, "byte", "bytes")
            )
        }))
    },
    repair: Some(|look| {
        for disagreement in sizes::disagreements(look.connection)? {
            sizes::put_right(look.connection, &disagreement)?;
        }
        Ok(())
    }),
};

pub(super) const LEFT_BEHIND: Check = Check {
    name: "left-behind",
    find: |look| {
        let mut sum = 0;
        let mut texts = Vec::new();
        for (table, one, more, of) in LEAVINGS {
            let rows = count(
                look.connection,
                &format!("SELECT count(*) FROM {table} WHERE {of}"),
            )?;
            if rows > 0 {
                sum += rows;
                texts.push(plural(rows, one, more));
            }
        }
        Ok(Found::some(sum, |_| {
            format!(
                "there is something of what is not there any more: {}",
                texts.join(", ")
            )
        }))
    },
    repair: Some(|look| {
        for (table, _, _, of) in LEAVINGS {
            look.connection
                .execute(&format!("DELETE FROM {table} WHERE {of}"), [])?;
        }
        Ok(())
    }),
};

/// Tables without references, what a row and what rows of them are, and which rows belong to nothing.
const LEAVINGS: &[(&str, &str, &str, &str)] = &[
    (
        "environment",
        "environment",
        "environments",
        "project_id NOT IN (SELECT id FROM project)",
    ),
    (
        "project_size",
        "size of a project's data",
        "sizes of a project's data",
        "project_id NOT IN (SELECT id FROM project WHERE purged = 0)",
    ),
    (
        "client_key_use",
        "use of a client key",
        "uses of a client key",
        "key_id NOT IN (SELECT id FROM client_key)",
    ),
    (
        "key_window",
        "window of a rate limit",
        "windows of a rate limit",
        "key_id NOT IN (SELECT id FROM client_key)",
    ),
    (
        "auth_token_use",
        "day of a token",
        "days of a token",
        "token_id NOT IN (SELECT id FROM auth_token)",
    ),
];
