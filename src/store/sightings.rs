//! What ingestion writes down about a project's data so that nobody has to look through it: environments, kinds, and
//! who uses a key. Written in the transaction of the item that brought it, and only when it is news: the snapshot
//! remembers what the file knows.

use rusqlite::{Connection, Row, named_params};

use crate::domain::id::{KeyId, ProjectId};
use crate::domain::time::Timestamp;

/// How many environments a project can have. SDKs know a handful; whoever knows a DSN can invent more.
pub(crate) const ENVIRONMENTS_MAX: usize = 1000;

/// How many combinations of SDK, release and environment are kept of a key. Beyond that, those that were not seen for
/// the longest time are forgotten; one that comes back is new.
pub(crate) const USES_MAX: usize = 100;

/// Who sent something; an empty text is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    /// `name/version`.
    pub(crate) sdk: String,
    pub(crate) release: String,
    pub(crate) environment: String,
}

/// A use with its time.
#[derive(Clone, Debug)]
pub(crate) struct StoredUse {
    pub(crate) of: Use,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// Notes that a key was used.
pub(crate) fn set_use(
    connection: &Connection,
    key: KeyId,
    used: &Use,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO client_key_use (key_id, sdk, release, environment, first_us, last_us)
             VALUES (:key, :sdk, :release, :environment, :at, :at)
             ON CONFLICT DO UPDATE SET last_us = max(last_us, excluded.last_us)",
        )?
        .execute(named_params! {
            ":key": key.0,
            ":sdk": used.sdk,
            ":release": used.release,
            ":environment": used.environment,
            ":at": at.us(),
        })?;
    connection
        .prepare_cached(
            "DELETE FROM client_key_use WHERE key_id = :key AND (sdk, release, environment) IN (
                 SELECT sdk, release, environment FROM client_key_use WHERE key_id = :key
                 ORDER BY last_us DESC LIMIT -1 OFFSET :max)",
        )?
        .execute(named_params! { ":key": key.0, ":max": USES_MAX as i64 })
        .map(drop)
}

/// Forgets who used a key; how many rows that were.
pub(super) fn forget_uses(connection: &Connection, key: KeyId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM client_key_use WHERE key_id = :key")?
        .execute([key.0])
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredUse> {
    Ok(StoredUse {
        of: Use {
            sdk: row.get("sdk")?,
            release: row.get("release")?,
            environment: row.get("environment")?,
        },
        first: Timestamp::from_us(row.get("first_us")?),
        last: Timestamp::from_us(row.get("last_us")?),
    })
}

/// The uses of a key, last seen first, from the `offset`th on, at most `limit`.
pub(crate) fn list_uses(
    connection: &Connection,
    key: KeyId,
    offset: i64,
    limit: i64,
) -> rusqlite::Result<Vec<StoredUse>> {
    connection
        .prepare_cached(
            "SELECT sdk, release, environment, first_us, last_us FROM client_key_use WHERE key_id = :key
             ORDER BY last_us DESC, sdk, release, environment LIMIT :limit OFFSET :offset",
        )?
        .query_map(
            named_params! { ":key": key.0, ":limit": limit, ":offset": offset },
            from_row,
        )?
        .collect()
}

/// Notes that a project has an environment, unless it has too many.
pub(crate) fn add_environment(
    connection: &Connection,
    project: ProjectId,
    name: &str,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO environment (project_id, name, first_us)
             SELECT :project, :name, :at
             WHERE (SELECT count(*) FROM environment WHERE project_id = :project) < :max
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":project": project.0,
            ":name": name,
            ":at": at.us(),
            ":max": ENVIRONMENTS_MAX as i64,
        })
        .map(drop)
}

/// Notes that a project has had data of these kinds: bits, numbered by `StoredKind`.
pub(crate) fn add_kinds(
    connection: &Connection,
    project: ProjectId,
    kinds: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE project SET seen_kinds = seen_kinds | :kinds WHERE id = :id")?
        .execute(named_params! { ":kinds": kinds as i64, ":id": project.0 })
        .map(drop)
}
