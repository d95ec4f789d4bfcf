//! What a caller may do in an organization, as the file has it now, and what a session needs before it is of any use
//! there. The one place that both fronts ask, so that a page opens nothing that the API refuses.

use super::organizations::Organization;
use super::{Connection, identity_providers, members, second_factors};
use crate::domain::Result;
use crate::domain::access::{Access, Caller};
use crate::domain::id::UserId;
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;

/// What a member's session lacks in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// The word of the organization's identity provider.
    Provider,
    /// A second factor, which the organization demands.
    SecondFactor,
}

/// What the caller may do there, unless something bars the way. Tokens wait for nothing (facts/auth-and-tokens.md 6.3), and
/// who is no member has nothing to wait for.
///
/// # Errors
/// The outer one is of the file.
pub(crate) fn enter(
    connection: &Connection,
    caller: &Caller,
    organization: &Organization,
    now: Timestamp,
) -> Result<Result<Access, Barrier>> {
    let access = find(connection, caller, organization)?;
    let Caller::Session { user, session } = *caller else {
        return Ok(Ok(access));
    };
    let id = organization.id;
    if identity_providers::must_vouch(connection, id, user, session, now)? {
        return Ok(Err(Barrier::Provider));
    }
    let is_member = access.role().is_some();
    if organization.require_2fa && is_member && !second_factors::has_one(connection, user)? {
        return Ok(Err(Barrier::SecondFactor));
    }
    Ok(Ok(access))
}

/// What a caller may do in an organization once it is let in. A change that depends on it asks again in its own
/// transaction.
pub(crate) fn find(
    connection: &Connection,
    caller: &Caller,
    organization: &Organization,
) -> Result<Access> {
    match caller {
        Caller::UserToken { user, .. } | Caller::Session { user, .. } => {
            of_user(connection, *user, caller.token_scopes(), organization)
        }
        Caller::OrganizationToken {
            organization: own,
            scopes,
            ..
        } if *own == organization.id => Ok(Access::of_organization(*scopes)),
        Caller::OrganizationToken { .. } | Caller::Anonymous => Ok(Access::none()),
    }
}

/// What a user may do, however the user comes: the role's scopes cut by these.
pub(crate) fn of_user(
    connection: &Connection,
    user: UserId,
    token_scopes: ScopeSet,
    organization: &Organization,
) -> Result<Access> {
    let membership = members::find_membership(connection, organization.id, user)?;
    Ok(Access::of_user(
        token_scopes,
        membership,
        organization.policy,
    ))
}
