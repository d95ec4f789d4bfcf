//! The audit log: who did what. Written by every mutating function, in the transaction of its change.

use rusqlite::{Connection, Row, named_params};
use serde_json::Value;

use super::Place;
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

/// A page of an organization's entries, newest first; at most `limit`. A range of an index by number, of which the
/// filter leaves rows out.
pub(crate) fn list(
    connection: &Connection,
    organization: OrganizationId,
    filter: &EntryFilter,
    place: Place,
    limit: u32,
) -> Result<Vec<StoredEntry>> {
    let (range, order) = place.sql();
    let boundary = place.boundary();
    let actor = filter.actor.map(|id| id.0);
    let between = filter.between.map(|(from, until)| (from.us(), until.us()));
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> =
        vec![(":organization", &organization.0), (":limit", &limit)];
    let mut conditions = String::new();
    if let Some(boundary) = &boundary {
        params.push((":boundary", boundary));
    }
    if let Some(event) = &filter.event {
        conditions.push_str(" AND event = :event");
        params.push((":event", event));
    }
    if let Some(actor) = &actor {
        conditions.push_str(" AND actor_user_id = :actor");
        params.push((":actor", actor));
    }
    if let Some((from, until)) = &between {
        conditions.push_str(" AND at_us >= :from AND at_us < :until");
        params.push((":from", from));
        params.push((":until", until));
    }
    let mut entries = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM audit_entry INDEXED BY audit_entry_by_organization
             WHERE organization_id = :organization{range}{conditions} ORDER BY id {order} LIMIT :limit"
        ))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    place.cut_to(&mut entries, limit, |entry| entry.id);
    Ok(entries)
}
