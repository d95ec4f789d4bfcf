//! Members: users in organizations.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::writer::Unit;
use crate::domain::access::Membership;
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, TeamId, UserId};
use crate::domain::scope::{OrganizationRole, TeamRole};
use crate::domain::{Error, Result};

/// A user's place in an organization, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) role: OrganizationRole,
}

const COLUMNS: &str = "member.id, member.role";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Member> {
    let role: String = row.get("role")?;
    Ok(Member {
        id: MemberId(row.get("id")?),
        // The column's CHECK lets no other word in; the least role would be the answer to one.
        role: OrganizationRole::parse(&role).unwrap_or(OrganizationRole::Member),
    })
}

pub(crate) fn find(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> rusqlite::Result<Option<Member>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM member WHERE organization_id = :organization AND user_id = :user"
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":user": user.0 },
            from_row,
        )
        .optional()
}

/// Role and teams of a user in an organization, for deciding access.
pub(crate) fn find_membership(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> rusqlite::Result<Option<Membership>> {
    let Some(member) = find(connection, organization, user)? else {
        return Ok(None);
    };
    let teams = connection
        .prepare_cached(
            "SELECT team_id, role FROM team_member JOIN team ON team.id = team_id
             WHERE member_id = :member AND team.deleted_us IS NULL",
        )?
        .query_map([member.id.0], |row| {
            let role: Option<String> = row.get("role")?;
            Ok((
                TeamId(row.get("team_id")?),
                role.as_deref().and_then(TeamRole::parse),
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Membership {
        role: member.role,
        teams,
    }))
}

/// Makes a user a member, or changes the role; the member, and whether anything changed.
pub(crate) fn set(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    user: UserId,
    role: OrganizationRole,
) -> Result<(MemberId, bool)> {
    let before = find(unit, organization, user)?;
    if let Some(member) = before.as_ref().filter(|member| member.role == role) {
        return Ok((member.id, false));
    }
    unit.prepare_cached(
        "INSERT INTO member (organization_id, user_id, role, created_us)
         VALUES (:organization, :user, :role, :created)
         ON CONFLICT DO UPDATE SET role = excluded.role",
    )?
    .execute(named_params! {
        ":organization": organization.0,
        ":user": user.0,
        ":role": role.as_str(),
        ":created": actor.at.us(),
    })?;
    let member = find(unit, organization, user)?
        .ok_or_else(|| Error::internal("a member that was just written is not there"))?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: if before.is_some() {
                "member.edit"
            } else {
                "member.add"
            },
            target: member.id.0,
            data: json!({ "user_id": user.0, "role": role.as_str() }),
        },
    )?;
    Ok((member.id, true))
}
