//! The audit log: who did what. Written by every mutating function, in the transaction of its change.

use rusqlite::{Connection, named_params};
use serde_json::Value;

use crate::domain::actor::{Actor, Who};
use crate::domain::id::OrganizationId;

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
