//! Who is in which team, and who asked to be.

use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::teams::Team;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, TeamId};
use crate::domain::scope::TeamRole;

/// The role of a member in a team, none being the default; nothing for one who is not in it.
pub(crate) fn find_role(
    connection: &Connection,
    team: TeamId,
    member: MemberId,
) -> rusqlite::Result<Option<Option<TeamRole>>> {
    connection
        .prepare_cached(
            "SELECT role FROM team_member WHERE team_id = :team AND member_id = :member",
        )?
        .query_row(
            named_params! { ":team": team.0, ":member": member.0 },
            |row| {
                let role: Option<String> = row.get("role")?;
                Ok(role.as_deref().and_then(TeamRole::parse))
            },
        )
        .optional()
}

/// How many members a team has; invitations to it count.
pub(crate) fn count(connection: &Connection, team: TeamId) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM team_member WHERE team_id = :team")?
        .query_row([team.0], |row| row.get(0))
}

/// Gives a member of the team another role there.
pub(crate) fn set_role(
    unit: &mut Unit<'_>,
    actor: &Actor,
    team: &Team,
    member: MemberId,
    role: TeamRole,
) -> Result<()> {
    let changed = unit
        .prepare_cached(
            "UPDATE team_member SET role = :role
             WHERE team_id = :team AND member_id = :member AND role IS NOT :role",
        )?
        .execute(named_params! {
            ":team": team.id.0,
            ":member": member.0,
            ":role": role.as_str(),
        })?;
    if changed > 0 {
        record(unit, actor, team, member, "member.edit", Some(Some(role)))?;
    }
    Ok(())
}

/// Writes down what becomes of a member in a team; with the role there, if that is what it is about.
pub(super) fn record(
    unit: &Unit<'_>,
    actor: &Actor,
    team: &Team,
    member: MemberId,
    event: &str,
    role: Option<Option<TeamRole>>,
) -> Result<()> {
    let (email, user): (String, Option<i64>) = unit
        .prepare_cached(
            "SELECT coalesce(member.email, user.email), member.user_id
             FROM member LEFT JOIN user ON user.id = member.user_id WHERE member.id = :member",
        )?
        .query_row([member.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut data = json!({ "email": email, "user_id": user, "team_slug": team.slug.as_str() });
    if let Some(role) = role {
        data["team_role"] = json!(role.map(TeamRole::as_str));
    }
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(team.organization),
            event,
            target: member.0,
            data,
        },
    )?;
    Ok(())
}

/// Takes a member out of a team.
pub(crate) fn delete(
    unit: &mut Unit<'_>,
    actor: &Actor,
    team: &Team,
    member: MemberId,
) -> Result<()> {
    let deleted = unit
        .prepare_cached("DELETE FROM team_member WHERE team_id = :team AND member_id = :member")?
        .execute(named_params! { ":team": team.id.0, ":member": member.0 })?;
    if deleted > 0 {
        record(unit, actor, team, member, "member.leave-team", None)?;
    }
    Ok(())
}

/// Asks for a member to be let into a team. Asking again changes nothing. Whoever then puts the member into the team
/// grants it.
pub(crate) fn request(
    unit: &mut Unit<'_>,
    actor: &Actor,
    team: &Team,
    member: MemberId,
) -> Result<()> {
    let asked = unit
        .prepare_cached(
            "INSERT INTO team_request (team_id, member_id, created_us) VALUES (:team, :member, :created)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":team": team.id.0,
            ":member": member.0,
            ":created": actor.at.us(),
        })?;
    if asked > 0 {
        record(unit, actor, team, member, "member.pending", None)?;
    }
    Ok(())
}

/// How many wait to be let into teams of the organization.
pub(crate) fn count_requests(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM team JOIN team_request ON team_request.team_id = team.id
             WHERE team.organization_id = :organization AND team.deleted_us IS NULL",
        )?
        .query_row([organization.0], |row| row.get(0))
}
