//! Events, items and attachments: that the ledger says of each that it was accepted, that each can be unpacked, and
//! whose they are. Rows are removed and the ledger stays, so there may be fewer rows than it says, never more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Row, named_params};

use super::ledger::accepted;
use super::{Check, Found, count, plural};
use crate::domain::category::Category;
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;

const DAY_SECS: i64 = 86_400;

/// How many rows are read in one transaction.
const PAGE_ROWS: i64 = 2_000;

/// The tables whose rows belong to a project.
const TABLES: [&str; 3] = ["event", "item", "attachment"];

pub(super) const OWNERS: Check = Check {
    name: "stored-owners",
    find: |look| {
        let mut ownerless = 0;
        for table in TABLES {
            ownerless += count(
                look.connection,
                // By the index that every one of them has on its project.
                &format!(
                    "SELECT coalesce(sum(rows), 0) FROM (
                         SELECT project_id, count(*) AS rows FROM {table} GROUP BY project_id)
                     WHERE project_id NOT IN (SELECT id FROM project WHERE purged = 0)"
                ),
            )?;
        }
        Ok(Found::some(ownerless, |count| {
            format!(
                "{} to a project that is not there",
                plural(
                    count,
                    "event, item or attachment belongs",
                    "events, items and attachments belong"
                )
            )
        }))
    },
    repair: None,
};

/// Rows of a key on a day that share a category.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    project: i64,
    key: i64,
    day: Timestamp,
    category: Category,
}

pub(super) const COUNTED: Check = Check {
    name: "counted",
    find: |look| {
        let mut groups: BTreeMap<Group, i64> = BTreeMap::new();
        for (table, quantity, kind) in [
            ("event", "1", "kind"),
            ("item", "quantity", "kind"),
            ("attachment", "1", "NULL"),
        ] {
            let columns = format!("project_id, key_id, received_us, {kind}, {quantity}");
            each(look.connection, table, &columns, |row| {
                let kind: Option<i64> = row.get(4)?;
                let Some(category) = category(kind.map(StoredKind::of_number)) else {
                    return Ok(());
                };
                let group = Group {
                    project: row.get(1)?,
                    key: row.get(2)?,
                    day: Timestamp::from_us(row.get(3)?).floor_to(DAY_SECS),
                    category,
                };
                *groups.entry(group).or_default() += row.get::<_, i64>(5)?;
                Ok(())
            })?;
        }
        // The ledger after the rows: it only grows.
        let mut uncounted = 0;
        let mut projects = BTreeSet::new();
        for (group, rows) in groups {
            let categories = numbers_of(group.category);
            let accepted = accepted(
                look.connection,
                group.project,
                group.key,
                group.day,
                &categories,
            )?;
            if rows > accepted {
                uncounted += rows - accepted;
                projects.insert(group.project);
            }
        }
        Ok(Found::some(uncounted, |count| {
            format!(
                "the ledger does not say of {} in {} that {} accepted",
                plural(count, "stored thing", "stored things"),
                plural(projects.len() as i64, "project", "projects"),
                if count == 1 { "it was" } else { "they were" }
            )
        }))
    },
    repair: None,
};

/// The category that every accepted row of a kind is counted in; of an attachment, which has no kind, in none. A kind
/// that only a newer version knows is not looked at.
fn category(kind: Option<Option<StoredKind>>) -> Option<Category> {
    let Some(kind) = kind else {
        return Some(Category::AttachmentItem);
    };
    Some(match kind? {
        StoredKind::Event => Category::Error,
        StoredKind::Security => Category::Security,
        StoredKind::Transaction => Category::Transaction,
        StoredKind::Feedback | StoredKind::UserReport => Category::Feedback,
        StoredKind::Session | StoredKind::Sessions => Category::Session,
        StoredKind::ReplayEvent | StoredKind::ReplayRecording | StoredKind::ReplayVideo => {
            Category::Replay
        }
        StoredKind::Profile => Category::Profile,
        StoredKind::ProfileChunk => Category::ProfileChunk,
        StoredKind::CheckIn => Category::Monitor,
        StoredKind::Log => Category::LogItem,
        StoredKind::TraceMetric => Category::TraceMetric,
        StoredKind::Span => Category::Span,
        StoredKind::Statsd | StoredKind::MetricBuckets => Category::MetricBucket,
    })
}

/// The numbers of all categories that rows of a group may be counted in.
fn numbers_of(category: Category) -> String {
    match category {
        Category::ProfileChunk => format!(
            "{}, {}",
            Category::ProfileChunk.number(),
            Category::ProfileChunkUi.number()
        ),
        _ => category.number().to_string(),
    }
}

pub(super) const PAYLOADS: Check = Check {
    name: "payloads",
    find: |look| {
        let mut broken = 0;
        for table in TABLES {
            each(look.connection, table, "payload", |row| {
                let packed = row.get_ref(1)?.as_blob_or_null().ok().flatten();
                if packed.is_some_and(|packed| !can_be_unpacked(packed)) {
                    broken += 1;
                }
                Ok(())
            })?;
        }
        let mut parts = look.connection.prepare(
            "SELECT id, payload FROM payload_part WHERE id > :after ORDER BY id LIMIT 1",
        )?;
        let mut after = -1;
        loop {
            let mut rows = parts.query(named_params! { ":after": after })?;
            let Some(row) = rows.next()? else { break };
            after = row.get(0)?;
            if !row.get_ref(1)?.as_blob().is_ok_and(can_be_unpacked) {
                broken += 1;
            }
        }
        Ok(Found::some(broken, |count| {
            format!(
                "{} cannot be unpacked",
                plural(count, "payload", "payloads")
            )
        }))
    },
    repair: None,
};

fn can_be_unpacked(packed: &[u8]) -> bool {
    zstd::stream::copy_decode(packed, std::io::sink()).is_ok()
}

pub(super) const PARTS: Check = Check {
    name: "payload-parts",
    find: |look| {
        let large = Large::read(look.connection)?;
        Ok(Found::some(large.incomplete as i64, |count| {
            format!(
                "{} not there, or not whole",
                plural(count, "payload over 1 MiB is", "payloads over 1 MiB are")
            )
        }))
    },
    repair: None,
};

pub(super) const ORPHANED_PARTS: Check = Check {
    name: "orphaned-parts",
    find: |look| {
        let large = Large::read(look.connection)?;
        let orphans = large.unclaimed.len() + large.parts_of_none.len();
        Ok(Found::some(orphans as i64, |count| {
            format!(
                "{} to no item and no attachment",
                plural(
                    count,
                    "payload over 1 MiB belongs",
                    "payloads over 1 MiB belong"
                )
            )
        }))
    },
    repair: Some(|look| {
        let large = Large::read(look.connection)?;
        for id in large.unclaimed.iter().chain(&large.parts_of_none) {
            super::super::payloads::delete(
                look.connection,
                super::super::payloads::LargePayloadId(*id),
            )?;
        }
        Ok(())
    }),
};

/// Whether a payload may be halfway gone: its parts are removed one by one, the last first, before the row that says
/// where it lies.
enum Removal {
    None,
    /// The row is the oldest of its kind in its project.
    ByAge,
    /// The project is being deleted.
    OfProject,
}

/// Payloads that lie in parts, all read in one transaction.
#[derive(Default)]
struct Large {
    /// How many rows have one that lacks a part, or is not there, or is another row's too.
    incomplete: usize,
    /// Finished, and no row's.
    unclaimed: Vec<i64>,
    /// There are parts of it, and nothing that says how many.
    parts_of_none: Vec<i64>,
}

impl Large {
    fn read(connection: &Connection) -> rusqlite::Result<Large> {
        connection.execute_batch("SAVEPOINT large")?;
        let large = Large::read_in_transaction(connection);
        connection.execute_batch("RELEASE large")?;
        large
    }

    fn read_in_transaction(connection: &Connection) -> rusqlite::Result<Large> {
        let claims: Vec<(i64, Removal)> = connection
            .prepare(
                "WITH staying AS (
                     SELECT project.id FROM project JOIN organization ON organization.id = project.organization_id
                     WHERE project.deleted_us IS NULL AND organization.deleted_us IS NULL)
                 SELECT large_payload_id, project_id IN staying,
                        id = (SELECT min(id) FROM item AS other
                              WHERE other.project_id = item.project_id AND other.kind = item.kind)
                 FROM item WHERE large_payload_id IS NOT NULL
                 UNION ALL
                 SELECT large_payload_id, project_id IN staying,
                        id = (SELECT min(id) FROM attachment AS other WHERE other.project_id = attachment.project_id)
                 FROM attachment WHERE large_payload_id IS NOT NULL",
            )?
            .query_map([], |row| {
                let removal = match (row.get(1)?, row.get(2)?) {
                    (false, _) => Removal::OfProject,
                    (true, true) => Removal::ByAge,
                    (true, false) => Removal::None,
                };
                Ok((row.get(0)?, removal))
            })?
            .collect::<rusqlite::Result<_>>()?;
        // Numbered from 0 on without a gap: as many as there are, and the last has the greatest number.
        let parts: HashMap<i64, (i64, i64)> = connection
            .prepare(
                "SELECT id / 65536, count(*), max(id % 65536) + 1 FROM payload_part GROUP BY 1",
            )?
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let wanted: HashMap<i64, Option<i64>> = connection
            .prepare("SELECT id, parts FROM large_payload")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut large = Large::default();
        let mut claimed = BTreeSet::new();
        for (id, removal) in claims {
            let is_first = claimed.insert(id);
            let wanted = wanted.get(&id).copied().flatten();
            let (count, end) = parts.get(&id).copied().unwrap_or_default();
            let is_right = match removal {
                Removal::None => wanted == Some(count) && count == end,
                Removal::ByAge => wanted.is_some_and(|wanted| count <= wanted) && count == end,
                Removal::OfProject => true,
            };
            if !(is_first && is_right) {
                large.incomplete += 1;
            }
        }
        large.unclaimed = wanted
            .iter()
            // One that has no number of parts yet is still being written, or is removed at the next start.
            .filter(|(id, parts)| parts.is_some() && !claimed.contains(id))
            .map(|(id, _)| *id)
            .collect();
        large.parts_of_none = parts
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .copied()
            .collect();
        Ok(large)
    }
}

/// Hands every row of a table to `look_at`, a page of them in a transaction: first its id, then these columns.
fn each(
    connection: &Connection,
    table: &str,
    columns: &str,
    mut look_at: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut page = connection.prepare(&format!(
        "SELECT id, {columns} FROM {table} WHERE id > :after ORDER BY id LIMIT :rows"
    ))?;
    let mut after = i64::MIN;
    loop {
        let mut rows = page.query(named_params! { ":after": after, ":rows": PAGE_ROWS })?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            after = row.get(0)?;
            seen += 1;
            look_at(row)?;
        }
        if seen < PAGE_ROWS {
            return Ok(());
        }
    }
}
