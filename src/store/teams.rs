//! Teams, who is in them, and which projects they have.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::snapshot::Touched;
use super::writer::Unit;
use super::{conflict, team_members};
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId};
use crate::domain::scope::TeamRole;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

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

/// Invitations to a team count.
const MEMBERS: &str =
    "(SELECT count(*) FROM team_member WHERE team_member.team_id = team.id) AS members";

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
            "SELECT {COLUMNS}, {MEMBERS}
             FROM team WHERE organization_id = :organization AND deleted_us IS NULL ORDER BY slug"
        ))?
        .query_map([organization.0], |row| {
            Ok((from_row(row)?, row.get("members")?))
        })?
        .collect()
}

/// Which teams of an organization. Lists are alternatives, and `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct TeamFilter {
    /// Part of the name or slug, without case.
    pub(crate) text: Option<String>,
    pub(crate) slugs: Option<Vec<String>>,
    pub(crate) ids: Option<Vec<i64>>,
}

/// The teams of an organization by slug, from the `offset`th on, at most `limit`, each with the number of its
/// members.
pub(crate) fn list_matching(
    connection: &Connection,
    organization: OrganizationId,
    filter: &TeamFilter,
    offset: i64,
    limit: i64,
) -> rusqlite::Result<Vec<(Team, u32)>> {
    let slugs = filter.slugs.as_ref().map(|slugs| json!(slugs).to_string());
    let ids = filter.ids.as_ref().map(|ids| json!(ids).to_string());
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
        (":organization", &organization.0),
        (":offset", &offset),
        (":limit", &limit),
    ];
    let mut conditions = String::new();
    if let Some(text) = &filter.text {
        conditions.push_str(" AND (instr(lower(name), lower(:text)) OR instr(slug, lower(:text)))");
        params.push((":text", text));
    }
    if let Some(slugs) = &slugs {
        conditions.push_str(" AND slug IN (SELECT value FROM json_each(:slugs))");
        params.push((":slugs", slugs));
    }
    if let Some(ids) = &ids {
        conditions.push_str(" AND id IN (SELECT value FROM json_each(:ids))");
        params.push((":ids", ids));
    }
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {MEMBERS} FROM team
             WHERE organization_id = :organization AND deleted_us IS NULL{conditions}
             ORDER BY slug LIMIT :limit OFFSET :offset"
        ))?
        .query_map(params.as_slice(), |row| {
            Ok((from_row(row)?, row.get("members")?))
        })?
        .collect()
}

/// The teams that have a project, by name, from the `offset`th on, at most `limit`.
pub(crate) fn list_of_project(
    connection: &Connection,
    project: ProjectId,
    offset: i64,
    limit: i64,
) -> rusqlite::Result<Vec<(Team, u32)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {MEMBERS} FROM project_team JOIN team ON team.id = project_team.team_id
             WHERE project_team.project_id = :project AND team.deleted_us IS NULL
             ORDER BY team.name, team.id LIMIT :limit OFFSET :offset"
        ))?
        .query_map(
            named_params! { ":project": project.0, ":limit": limit, ":offset": offset },
            |row| Ok((from_row(row)?, row.get("members")?)),
        )?
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

/// Changes slug and name; `None` leaves one as it is. What is so already is written nowhere.
///
/// # Errors
/// `Conflict`: another team of the organization has the slug.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    team: &Team,
    slug: Option<&Slug>,
    name: Option<&str>,
) -> Result<()> {
    let is_same =
        slug.is_none_or(|slug| *slug == team.slug) && name.is_none_or(|name| name == team.name);
    if is_same {
        return Ok(());
    }
    unit.prepare_cached(
        "UPDATE team SET slug = coalesce(:slug, slug), name = coalesce(:name, name) WHERE id = :id",
    )?
    .execute(named_params! {
        ":slug": slug.map(Slug::as_str),
        ":name": name,
        ":id": team.id.0,
    })
    .map_err(|error| {
        conflict(error, || {
            let slug = slug.unwrap_or(&team.slug);
            format!("The slug \"{slug}\" is already in use.")
        })
    })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(team.organization),
            event: "team.edit",
            target: team.id.0,
            data: json!({
                "slug": slug.unwrap_or(&team.slug).as_str(),
                "name": name.unwrap_or(&team.name),
                "old_slug": team.slug.as_str(),
                "old_name": team.name,
            }),
        },
    )?;
    Ok(())
}

/// Hides a team, whose slug is free at once. What belongs to it is removed in the background; its projects stay.
///
/// # Errors
/// `NotFound`: it is gone already.
pub(crate) fn delete(unit: &mut Unit<'_>, actor: &Actor, team: &Team) -> Result<()> {
    let hidden = unit
        .prepare_cached(
            "UPDATE team SET deleted_us = :now, slug = slug || '~' || id WHERE id = :id AND deleted_us IS NULL",
        )?
        .execute(named_params! { ":now": actor.at.us(), ":id": team.id.0 })?;
    if hidden == 0 {
        return Err(Error::NotFound);
    }
    unit.touch(Touched::Deleted);
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(team.organization),
            event: "team.remove",
            target: team.id.0,
            data: json!({ "slug": team.slug.as_str(), "name": team.name }),
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
    let was_there = team_members::find_role(unit, team.id, member)?.is_some();
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
        let event = match was_there {
            true => "member.edit",
            false => "member.join-team",
        };
        team_members::record(unit, actor, team, member, event, Some(role))?;
    }
    Ok(changed > 0)
}
