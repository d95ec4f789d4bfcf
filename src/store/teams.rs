//! Teams, who is in them, and which projects they have.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::conflict;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId};
use crate::domain::scope::TeamRole;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;

/// A team as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) id: TeamId,
    pub(crate) organization: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

pub(super) const COLUMNS: &str =
    "team.id, team.organization_id, team.slug, team.name, team.created_us";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Team> {
    Ok(Team {
        id: TeamId(row.get("id")?),
        organization: OrganizationId(row.get("organization_id")?),
        slug: Slug::stored(row.get("slug")?),
        name: row.get("name")?,
        created: Timestamp::from_us(row.get("created_us")?),
    })
}

pub(crate) fn find(
    connection: &Connection,
    organization: OrganizationId,
    team: &IdOrSlug,
) -> rusqlite::Result<Option<Team>> {
    let (condition, value): (_, &dyn rusqlite::ToSql) = match team {
        IdOrSlug::Id(id) => ("id = :team", id),
        IdOrSlug::Slug(slug) => ("slug = :team", slug),
    };
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM team WHERE organization_id = :organization AND deleted_us IS NULL AND {condition}"
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":team": value },
            from_row,
        )
        .optional()
}

/// The teams of an organization by slug, each with the number of its members.
pub(crate) fn list(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Vec<(Team, u32)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, (SELECT count(*) FROM team_member WHERE team_member.team_id = team.id) AS members
             FROM team WHERE organization_id = :organization AND deleted_us IS NULL ORDER BY slug"
        ))?
        .query_map([organization.0], |row| Ok((from_row(row)?, row.get("members")?)))?
        .collect()
}

/// The teams of each of these projects, by slug. Projects without any are absent.
pub(crate) fn list_of_projects(
    connection: &Connection,
    projects: &[ProjectId],
) -> rusqlite::Result<HashMap<ProjectId, Vec<Team>>> {
    let ids: Vec<i64> = projects.iter().map(|id| id.0).collect();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, project_team.project_id AS project
         FROM project_team JOIN team ON team.id = project_team.team_id
         WHERE project_team.project_id IN (SELECT value FROM json_each(:projects)) AND team.deleted_us IS NULL
         ORDER BY team.slug"
    ))?;
    let rows = statement.query_map([json!(ids).to_string()], |row| {
        Ok((ProjectId(row.get("project")?), from_row(row)?))
    })?;
    let mut teams: HashMap<ProjectId, Vec<Team>> = HashMap::new();
    for row in rows {
        let (project, team) = row?;
        teams.entry(project).or_default().push(team);
    }
    Ok(teams)
}

/// # Errors
/// `Conflict`: another team of the organization has it.
pub(crate) fn create(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    slug: &Slug,
    name: &str,
) -> Result<TeamId> {
    unit.prepare_cached(
        "INSERT INTO team (organization_id, slug, name, created_us)
         VALUES (:organization, :slug, :name, :created)",
    )?
    .execute(named_params! {
        ":organization": organization.0,
        ":slug": slug.as_str(),
        ":name": name,
        ":created": actor.at.us(),
    })
    .map_err(|error| conflict(error, || "A team with this slug already exists.".to_owned()))?;
    let id = TeamId(unit.last_insert_rowid());
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "team.create",
            target: id.0,
            data: json!({ "slug": slug.as_str(), "name": name }),
        },
    )?;
    Ok(id)
}

/// Changes the name.
pub(crate) fn rename(unit: &mut Unit<'_>, actor: &Actor, team: &Team, name: &str) -> Result<()> {
    unit.prepare_cached("UPDATE team SET name = :name WHERE id = :id")?
        .execute(named_params! { ":name": name, ":id": team.id.0 })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(team.organization),
            event: "team.edit",
            target: team.id.0,
            data: json!({ "old_name": team.name, "name": name }),
        },
    )?;
    Ok(())
}

/// Puts a member into a team, or changes the role there; whether anything changed. `None` is the default
/// role. Whoever asked to be let in is.
pub(crate) fn set_member(
    unit: &mut Unit<'_>,
    actor: &Actor,
    team: &Team,
    member: MemberId,
    role: Option<TeamRole>,
) -> Result<bool> {
    let changed = unit
        .prepare_cached(
            "INSERT INTO team_member (team_id, member_id, role) VALUES (:team, :member, :role)
             ON CONFLICT DO UPDATE SET role = excluded.role WHERE role IS NOT excluded.role",
        )?
        .execute(named_params! {
            ":team": team.id.0,
            ":member": member.0,
            ":role": role.map(TeamRole::as_str),
        })?;
    unit.prepare_cached("DELETE FROM team_request WHERE team_id = :team AND member_id = :member")?
        .execute(named_params! { ":team": team.id.0, ":member": member.0 })?;
    if changed > 0 {
        audit::record(
            unit,
            actor,
            Entry {
                organization: Some(team.organization),
                event: "member.join-team",
                target: member.0,
                data: json!({ "team_slug": team.slug.as_str(), "role": role.map(TeamRole::as_str) }),
            },
        )?;
    }
    Ok(changed > 0)
}
