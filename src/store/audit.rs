//! The audit log: who did what. Written by every mutating function, in the transaction of its change.

use rusqlite::{Connection, Row, named_params};
use serde_json::Value;

use super::DatePlace;
use crate::domain::Result;
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{OrganizationId, TokenId, UserId};
use crate::domain::time::Timestamp;

/// What was done.
pub(crate) struct Entry<'a> {
    /// None for what belongs to no organization, like a user.
    pub(crate) organization: Option<OrganizationId>,
    /// The API's own name (facts/auth-and-tokens.md 8), such as `project.create`.
    pub(crate) event: &'a str,
    /// The row that it was done to.
    pub(crate) target: i64,
    pub(crate) data: Value,
}

pub(super) fn record(
    connection: &Connection,
    actor: &Actor,
    entry: Entry<'_>,
) -> rusqlite::Result<()> {
    let (user, token, address) = match &actor.who {
        Who::User {
            user,
            token,
            address,
        } => (Some(user.0), Some(token.0), Some(address.to_string())),
        Who::OrganizationToken { token, address } => {
            (None, Some(token.0), Some(address.to_string()))
        }
        Who::Session { user, address, .. } | Who::Visitor { user, address } => {
            (Some(user.0), None, Some(address.to_string()))
        }
        Who::Newcomer { address } => (None, None, Some(address.to_string())),
        Who::Operator => (None, None, None),
    };
    let session = match &actor.who {
        Who::Session { session, .. } => Some(session.0),
        _ => None,
    };
    connection
        .prepare_cached(
            "INSERT INTO audit_entry (organization_id, at_us, actor_user_id, actor_token_id, actor_session_id, address,
                                      event, target_id, data)
             VALUES (:organization, :at, :user, :token, :session, :address, :event, :target, :data)",
        )?
        .execute(named_params! {
            ":organization": entry.organization.map(|id| id.0),
            ":at": actor.at.us(),
            ":user": user,
            ":token": token,
            ":session": session,
            ":address": address,
            ":event": entry.event,
            ":target": entry.target,
            ":data": entry.data.to_string(),
        })
        .map(drop)
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredEntry {
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    pub(crate) user: Option<UserId>,
    pub(crate) token: Option<TokenId>,
    /// None for the operator of the machine.
    pub(crate) address: Option<String>,
    pub(crate) event: String,
    pub(crate) target: Option<i64>,
    pub(crate) data: Value,
}

const COLUMNS: &str = "id, at_us, actor_user_id, actor_token_id, address, event, target_id, data";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let data: String = row.get("data")?;
    Ok(StoredEntry {
        id: row.get("id")?,
        at: Timestamp::from_us(row.get("at_us")?),
        user: row.get::<_, Option<i64>>("actor_user_id")?.map(UserId),
        token: row.get::<_, Option<i64>>("actor_token_id")?.map(TokenId),
        address: row.get("address")?,
        event: row.get("event")?,
        target: row.get("target_id")?,
        data: serde_json::from_str(&data).unwrap_or_default(),
    })
}

/// Which entries. `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryFilter {
    pub(crate) event: Option<String>,
    pub(crate) actor: Option<UserId>,
    /// The end does not belong to it.
    pub(crate) between: Option<(Timestamp, Timestamp)>,
}

/// A page of an organization's entries, newest first; at most `limit`. Whatever the filter, it is one range of an index
/// of which no row is left out, so that the last page of a rare event costs what the first of all does.
pub(crate) fn list(
    connection: &Connection,
    organization: OrganizationId,
    filter: &EntryFilter,
    place: DatePlace,
    limit: u32,
) -> Result<Vec<StoredEntry>> {
    let (above, below) = bounds(connection, filter, place)?;
    let actor = filter.actor.map(|id| id.0);
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> =
        vec![(":organization", &organization.0), (":limit", &limit)];
    if let Some(event) = &filter.event {
        params.push((":event", event));
    }
    if let Some(actor) = &actor {
        params.push((":actor", actor));
    }
    if let Some((us, id)) = &above {
        params.extend([(":above_us", us as _), (":above_id", id as _)]);
    }
    if let Some((us, id)) = &below {
        params.extend([(":below_us", us as _), (":below_id", id as _)]);
    }
    let mut entries = connection
        .prepare_cached(&list_sql(filter, place, above.is_some(), below.is_some()))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    place.newest_first(&mut entries);
    Ok(entries)
}

/// A date and an id: no row's, or that of a row that is not in the list.
type Bound = Option<(i64, i64)>;

/// What the rows lie above and below. One bound a side: SQLite looks for the start of a range by one of several at its
/// own choice, and might walk to a deep page.
fn bounds(
    connection: &Connection,
    filter: &EntryFilter,
    place: DatePlace,
) -> rusqlite::Result<(Bound, Bound)> {
    let boundary = place.boundary_by(connection, "audit_entry", "at_us")?;
    // No row has the id 0, so that a date with it lies before all rows of that date.
    let from = filter.between.map(|(from, _)| (from.us(), 0));
    let until = filter.between.map(|(_, until)| (until.us(), 0));
    Ok(match place {
        DatePlace::First => (from, until),
        DatePlace::Below { .. } => (from, [until, boundary].into_iter().flatten().min()),
        DatePlace::Above { .. } => (from.max(boundary), until),
    })
}

fn list_sql(filter: &EntryFilter, place: DatePlace, has_above: bool, has_below: bool) -> String {
    let (index, conditions) = match (filter.actor.is_some(), filter.event.is_some()) {
        (false, false) => ("audit_entry_by_date", ""),
        (false, true) => ("audit_entry_by_event", " AND event = :event"),
        (true, false) => ("audit_entry_by_actor", " AND actor_user_id = :actor"),
        (true, true) => (
            "audit_entry_by_actor_and_event",
            " AND actor_user_id = :actor AND event = :event",
        ),
    };
    let above = match has_above {
        true => " AND (at_us, id) > (:above_us, :above_id)",
        false => "",
    };
    let below = match has_below {
        true => " AND (at_us, id) < (:below_us, :below_id)",
        false => "",
    };
    let way = match place {
        DatePlace::First | DatePlace::Below { .. } => "DESC",
        DatePlace::Above { .. } => "ASC",
    };
    format!(
        "SELECT {COLUMNS} FROM audit_entry INDEXED BY {index}
         WHERE organization_id = :organization{conditions}{above}{below}
         ORDER BY at_us {way}, id {way} LIMIT :limit"
    )
}

/// Whether there are entries from before a moment, of whatever organization.
pub(crate) fn is_any_before(connection: &Connection, moment: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM audit_entry WHERE at_us < :moment")?
        .exists([moment.us()])
}

/// How many entries a step removes.
const STEP_ROWS: u32 = 500;

/// Removes some of the oldest entries from before a moment.
pub(crate) fn remove_some_before(connection: &Connection, moment: Timestamp) -> Result<()> {
    connection
        .prepare_cached(REMOVE_SQL)?
        .execute(named_params! { ":moment": moment.us(), ":limit": STEP_ROWS })?;
    Ok(())
}

const REMOVE_SQL: &str = "DELETE FROM audit_entry WHERE id IN
    (SELECT id FROM audit_entry INDEXED BY audit_entry_by_time WHERE at_us < :moment ORDER BY at_us LIMIT :limit)";

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use crate::domain::durability::Durability;

    fn open() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        (directory, connection)
    }

    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .raw_query()
            .mapped(|row| row.get("detail"))
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    }

    fn filter(actor: bool, event: bool, between: bool) -> EntryFilter {
        EntryFilter {
            event: event.then(|| "team.edit".to_owned()),
            actor: actor.then_some(UserId(1)),
            between: between.then(|| (Timestamp::from_secs(10), Timestamp::from_secs(20))),
        }
    }

    const PLACES: [DatePlace; 3] = [
        DatePlace::First,
        DatePlace::Below { millis: 5, id: 5 },
        DatePlace::Above { millis: 5, id: 5 },
    ];

    /// Nothing is sorted, and the start of the page is found by all that its filter says.
    #[test]
    fn a_page_is_one_range_of_an_index_whatever_the_filter() {
        let (_directory, connection) = open();
        for (actor, event, index) in [
            (false, false, "audit_entry_by_date (organization_id=?"),
            (
                false,
                true,
                "audit_entry_by_event (organization_id=? AND event=?",
            ),
            (
                true,
                false,
                "audit_entry_by_actor (organization_id=? AND actor_user_id=?",
            ),
            (
                true,
                true,
                "audit_entry_by_actor_and_event (organization_id=? AND actor_user_id=? AND event=?",
            ),
        ] {
            for place in PLACES {
                for between in [false, true] {
                    let filter = filter(actor, event, between);
                    let (above, below) = bounds(&connection, &filter, place).unwrap();
                    let range = match (above.is_some(), below.is_some()) {
                        (false, false) => "",
                        (true, false) => " AND at_us>?",
                        (false, true) => " AND at_us<?",
                        (true, true) => " AND at_us>? AND at_us<?",
                    };
                    let sql = list_sql(&filter, place, above.is_some(), below.is_some());
                    let plan = plan(&connection, &sql);
                    let expected = format!("SEARCH audit_entry USING INDEX {index}{range})");
                    // Which bound comes first, and whether the row's number is part of one, is SQLite's business.
                    let is_range = plan.len() == 1
                        && plan[0]
                            .replace("(at_us,rowid)", "at_us")
                            .replace("(at_us,id)", "at_us")
                            == expected;
                    assert!(is_range, "{plan:?} is not {expected}");
                }
            }
        }
        let removal = plan(&connection, REMOVE_SQL);
        assert!(
            removal
                .iter()
                .all(|step| !step.starts_with("SCAN audit_entry") && !step.contains("TEMP B-TREE")),
            "{removal:?}"
        );
    }

    #[test]
    fn every_page_of_every_filter_is_where_counting_finds_it() {
        let (_directory, connection) = open();
        connection
            .execute_batch(
                "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300)
                 INSERT INTO audit_entry (organization_id, at_us, actor_user_id, event, data)
                 -- Several of one date, some of one millisecond, and the clock goes back now and then.
                 SELECT 1 + (n % 5 = 0), (n - n % 3 - 40 * (n % 50 = 0)) * 250000 + n % 2,
                        iif(n % 4, 1, NULL), iif(n % 7, 'team.edit', 'team.create'), '{}' FROM number;",
            )
            .unwrap();
        for (actor, event, between) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
            let filter = filter(actor, event, between);
            let all: Vec<(i64, i64)> = connection
                .prepare(
                    "SELECT at_us, id FROM audit_entry
                     WHERE organization_id = 1 AND (?1 = 0 OR actor_user_id = 1)
                       AND (?2 = 0 OR event = 'team.edit')
                       AND (?3 = 0 OR at_us >= 10000000 AND at_us < 20000000)
                     ORDER BY at_us DESC, id DESC",
                )
                .unwrap()
                .query_map([actor, event, between], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert!(all.len() > 10);
            let page = |place| -> Vec<(i64, i64)> {
                let entries = list(&connection, OrganizationId(1), &filter, place, 4).unwrap();
                entries.iter().map(|e| (e.at.us(), e.id)).collect()
            };
            assert_eq!(page(DatePlace::First), all[..4]);
            for (at, (us, id)) in all.iter().enumerate() {
                let (millis, id) = (us / 1000, *id);
                let below: Vec<_> = all[at + 1..].iter().copied().take(4).collect();
                assert_eq!(page(DatePlace::Below { millis, id }), below);
                let above = &all[at.saturating_sub(4)..at];
                assert_eq!(page(DatePlace::Above { millis, id }), above);
            }
        }
    }
}
