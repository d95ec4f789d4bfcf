//! Projects, their teams and their options.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::DatePlace;
use super::audit::{self, Entry};
use super::conflict;
use super::orders::Orders;
use super::snapshot::{ProjectState, Touched};
use super::teams::Team;
use super::writer::Unit;
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, ProjectId, TeamId, UserId};
use crate::domain::key::random_hex_32;
use crate::domain::option::{Budget, IngestSettings, Options, default_rate_limit};
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// A project as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) organization: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) first_event: Option<Timestamp>,
    pub(crate) security_token: String,
    /// Bits, numbered by [`StoredKind`].
    pub(crate) seen_kinds: i64,
    pub(crate) created: Timestamp,
}

impl Project {
    /// Whether the project has had data of a kind.
    pub(crate) fn has_seen(&self, kind: StoredKind) -> bool {
        self.seen_kinds >> kind.number() & 1 == 1
    }
}

/// A project about to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewProject {
    pub(crate) organization: OrganizationId,
    /// Chosen, so that deployed DSNs go on working; else the next one.
    pub(crate) id: Option<ProjectId>,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    /// Where its maker came from, in the maker's own words. Only the audit log keeps it.
    pub(crate) origin: Option<String>,
}

pub(super) const COLUMNS: &str = "project.id, project.organization_id, project.slug, project.name, \
     project.platform, project.first_event_us, project.security_token, project.seen_kinds, project.created_us";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get("id")?),
        organization: OrganizationId(row.get("organization_id")?),
        slug: Slug::stored(row.get("slug")?),
        name: row.get("name")?,
        platform: row.get("platform")?,
        first_event: row
            .get::<_, Option<i64>>("first_event_us")?
            .map(Timestamp::from_us),
        security_token: row.get("security_token")?,
        seen_kinds: row.get("seen_kinds")?,
        created: Timestamp::from_us(row.get("created_us")?),
    })
}

pub(crate) fn find(
    connection: &Connection,
    organization: OrganizationId,
    project: &IdOrSlug,
) -> rusqlite::Result<Option<Project>> {
    let (condition, value): (_, &dyn rusqlite::ToSql) = match project {
        IdOrSlug::Id(id) => ("id = :project", id),
        IdOrSlug::Slug(slug) => ("slug = :project", slug),
    };
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project WHERE organization_id = :organization AND deleted_us IS NULL AND {condition}"
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":project": value },
            from_row,
        )
        .optional()
}

/// The organization of a project.
pub(crate) fn find_organization(
    connection: &Connection,
    id: ProjectId,
) -> rusqlite::Result<Option<OrganizationId>> {
    connection
        .prepare_cached(
            "SELECT organization_id FROM project WHERE id = :id AND deleted_us IS NULL",
        )?
        .query_row([id.0], |row| row.get(0).map(OrganizationId))
        .optional()
}

/// Whether a project of any organization has this id.
pub(crate) fn id_is_taken(connection: &Connection, id: ProjectId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM project WHERE id = :id")?
        .exists([id.0])
}

/// Which projects of an organization. Lists are alternatives, and `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProjectFilter {
    /// Part of the name or slug, without case.
    pub(crate) text: Option<String>,
    pub(crate) ids: Option<Vec<i64>>,
    pub(crate) slugs: Option<Vec<String>>,
    /// Slugs of teams that have it.
    pub(crate) team_slugs: Option<Vec<String>>,
    /// Slugs of teams that do not have it.
    pub(crate) not_team_slugs: Option<Vec<String>>,
    /// It has one of these teams.
    pub(crate) teams: Option<Vec<TeamId>>,
    /// It has any team at all.
    pub(crate) with_team: bool,
    /// Those of them that come before all others: the ones that the caller bookmarked.
    pub(crate) first: Vec<i64>,
}

/// Which projects of a list, by whether they come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Whole,
    First,
    Rest,
}

/// The ids of the projects that a user bookmarked.
pub(crate) fn list_bookmarked(connection: &Connection, user: UserId) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT project_id FROM project_bookmark WHERE user_id = :user ORDER BY project_id",
        )?
        .query_map([user.0], |row| row.get(0))?
        .collect()
}

/// As [`list`], and as fast at the end of a long list as at its start.
pub(crate) fn page(
    connection: &Connection,
    orders: &Orders,
    organization: OrganizationId,
    filter: &ProjectFilter,
    offset: i64,
    limit: i64,
) -> Result<Vec<Project>> {
    let name = format!("project {filter:?}");
    // In one transaction, so that a project that goes meanwhile does not make its page look like the last.
    let connection = &connection.unchecked_transaction()?;
    let read = || {
        let ids = Columns {
            sql: "project.id",
            from_row: |row| row.get("id"),
        };
        walk(connection, organization, filter, &ids, (0, i64::MAX))
    };
    match orders.page(connection, organization, &name, (offset, limit), read)? {
        Some(ids) => list_by_ids(connection, &ids),
        None => list(connection, organization, filter, offset, limit),
    }
}

/// The projects of these ids, in their order; one that went meanwhile is left out.
fn list_by_ids(connection: &Connection, ids: &[i64]) -> Result<Vec<Project>> {
    let projects = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM json_each(:ids) AS wanted CROSS JOIN project ON project.id = wanted.value
             WHERE project.deleted_us IS NULL
             ORDER BY wanted.key"
        ))?
        .query_map([json!(ids).to_string()], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(projects)
}

/// The projects of an organization by slug, from the `offset`th on, at most `limit`.
pub(crate) fn list(
    connection: &Connection,
    organization: OrganizationId,
    filter: &ProjectFilter,
    offset: i64,
    limit: i64,
) -> Result<Vec<Project>> {
    let whole = Columns {
        sql: COLUMNS,
        from_row,
    };
    walk(connection, organization, filter, &whole, (offset, limit))
}

/// What is read of each row.
struct Columns<T> {
    sql: &'static str,
    from_row: fn(&Row<'_>) -> rusqlite::Result<T>,
}

/// Counts through a list, those that come first before the rest: to sort by that would read the whole list for each
/// of its pages.
fn walk<T>(
    connection: &Connection,
    organization: OrganizationId,
    filter: &ProjectFilter,
    columns: &Columns<T>,
    (offset, limit): (i64, i64),
) -> Result<Vec<T>> {
    let stretch = |stretch, offset, limit| {
        select(
            connection,
            organization,
            filter,
            stretch,
            columns,
            (offset, limit),
        )
    };
    if filter.first.is_empty() {
        return stretch(Stretch::Whole, offset, limit);
    }
    let first = stretch(Stretch::First, 0, i64::MAX)?;
    let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let offset_in_rest = offset.saturating_sub(count(first.len())).max(0);
    let number = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut rows: Vec<T> = first
        .into_iter()
        .skip(number(offset))
        .take(number(limit))
        .collect();
    let left = limit.saturating_sub(count(rows.len()));
    if left > 0 {
        rows.extend(stretch(Stretch::Rest, offset_in_rest, left)?);
    }
    Ok(rows)
}

fn select<T>(
    connection: &Connection,
    organization: OrganizationId,
    filter: &ProjectFilter,
    stretch: Stretch,
    columns: &Columns<T>,
    (offset, limit): (i64, i64),
) -> Result<Vec<T>> {
    const HAS_TEAM: &str = "SELECT 1 FROM project_team JOIN team ON team.id = project_team.team_id
                            WHERE project_team.project_id = project.id AND team.deleted_us IS NULL";
    let json = |list: &Option<Vec<String>>| list.as_ref().map(|list| json!(list).to_string());
    let (slugs, team_slugs) = (json(&filter.slugs), json(&filter.team_slugs));
    let not_team_slugs = json(&filter.not_team_slugs);
    let ids = filter.ids.as_ref().map(|ids| json!(ids).to_string());
    let teams = filter
        .teams
        .as_ref()
        .map(|ids| json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string());
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
        (":organization", &organization.0),
        (":offset", &offset),
        (":limit", &limit),
    ];
    let mut conditions = String::new();
    if let Some(text) = &filter.text {
        conditions.push_str(
            " AND (instr(lower(project.name), lower(:text)) OR instr(project.slug, lower(:text)))",
        );
        params.push((":text", text));
    }
    if let Some(ids) = &ids {
        conditions.push_str(" AND project.id IN (SELECT value FROM json_each(:ids))");
        params.push((":ids", ids));
    }
    if let Some(slugs) = &slugs {
        conditions.push_str(" AND project.slug IN (SELECT value FROM json_each(:slugs))");
        params.push((":slugs", slugs));
    }
    if let Some(team_slugs) = &team_slugs {
        conditions.push_str(&format!(
            " AND EXISTS ({HAS_TEAM} AND team.slug IN (SELECT value FROM json_each(:team_slugs)))"
        ));
        params.push((":team_slugs", team_slugs));
    }
    if let Some(not_team_slugs) = &not_team_slugs {
        conditions.push_str(&format!(
            " AND NOT EXISTS ({HAS_TEAM} AND team.slug IN (SELECT value FROM json_each(:not_team_slugs)))"
        ));
        params.push((":not_team_slugs", not_team_slugs));
    }
    if let Some(teams) = &teams {
        conditions.push_str(&format!(
            " AND EXISTS ({HAS_TEAM} AND team.id IN (SELECT value FROM json_each(:teams)))"
        ));
        params.push((":teams", teams));
    }
    if filter.with_team {
        conditions.push_str(&format!(" AND EXISTS ({HAS_TEAM})"));
    }
    let first = json!(filter.first).to_string();
    // The plus keeps the first ones from being looked for in the whole organization.
    let mut organization_column = "organization_id";
    match stretch {
        Stretch::Whole => {}
        Stretch::First => {
            organization_column = "+organization_id";
            conditions.push_str(" AND project.id IN (SELECT value FROM json_each(:first))");
            params.push((":first", &first));
        }
        Stretch::Rest => {
            conditions.push_str(" AND project.id NOT IN (SELECT value FROM json_each(:first))");
            params.push((":first", &first));
        }
    }
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {} FROM project
             WHERE {organization_column} = :organization AND deleted_us IS NULL{conditions}
             ORDER BY slug LIMIT :limit OFFSET :offset",
            columns.sql
        ))?
        .query_map(params.as_slice(), columns.from_row)?
        .collect::<rusqlite::Result<_>>()?)
}

/// The deleted projects of an organization, of which the daily ledger is left.
pub(crate) fn list_deleted(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Vec<Project>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project WHERE organization_id = :organization AND deleted_us IS NOT NULL
             ORDER BY id"
        ))?
        .query_map([organization.0], from_row)?
        .collect()
}

/// The ids of an organization's projects, deleted ones as well.
pub(super) fn list_ids(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Vec<ProjectId>> {
    connection
        .prepare_cached("SELECT id FROM project WHERE organization_id = :organization")?
        .query_map([organization.0], |row| row.get(0).map(ProjectId))?
        .collect()
}

/// Whose projects a list over all organizations is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProjectsOf {
    /// Those of the user's teams.
    User(UserId),
    /// The same for a user in a browser: without the organizations that demand a second factor, if there is none.
    SignedIn(UserId),
    /// All of this one.
    Organization(OrganizationId),
}

/// Which of them. Lists are alternatives, and `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnProjectFilter {
    pub(crate) organization: Option<i64>,
    /// Part of the name or slug, without case.
    pub(crate) text: Option<String>,
    pub(crate) ids: Option<Vec<i64>>,
    /// In lower case, as are the next.
    pub(crate) slugs: Option<Vec<String>>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) platforms: Option<Vec<String>>,
    /// Public halves of keys.
    pub(crate) keys: Option<Vec<String>>,
}

/// How the projects of a list over all organizations are come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// The filter names them, by their ids or their keys.
    Named,
    /// There are few, which are sorted.
    Gathered,
    /// There are many, so that the newest of all projects soon have enough of them.
    Walked,
}

/// More projects than these are not gathered for a page.
const GATHERED_MAX: i64 = 1000;

/// A page of projects, newest first, that starts at `place`; at most `limit`. The last page costs what the first does,
/// whether the projects are few or many.
pub(crate) fn list_own(
    connection: &Connection,
    of: ProjectsOf,
    filter: &OwnProjectFilter,
    place: DatePlace,
    limit: u32,
) -> Result<Vec<Project>> {
    let texts = |list: &Option<Vec<String>>| list.as_ref().map(|list| json!(list).to_string());
    let (slugs, names) = (texts(&filter.slugs), texts(&filter.names));
    let (platforms, keys) = (texts(&filter.platforms), texts(&filter.keys));
    let ids = filter.ids.as_ref().map(|ids| json!(ids).to_string());
    let owner: Box<dyn rusqlite::ToSql> = match of {
        ProjectsOf::User(user) => {
            Box::new(json!(list_teams_of(connection, user, false)?).to_string())
        }
        ProjectsOf::SignedIn(user) => {
            Box::new(json!(list_teams_of(connection, user, true)?).to_string())
        }
        ProjectsOf::Organization(id) => Box::new(id.0),
    };
    let path = if ids.is_some() || keys.is_some() {
        Path::Named
    } else if has_many(connection, of, &*owner)? {
        Path::Walked
    } else {
        Path::Gathered
    };
    let boundary = place.boundary(connection, "project")?;
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> =
        vec![(":owner", &*owner), (":limit", &limit)];
    if let Some((us, id)) = &boundary {
        params.push((":place_us", us));
        params.push((":place_id", id));
    }
    let mut conditions = String::new();
    if let Some(organization) = &filter.organization {
        conditions.push_str(" AND +project.organization_id = :organization");
        params.push((":organization", organization));
    }
    if let Some(text) = &filter.text {
        conditions.push_str(
            " AND (instr(lower(project.name), lower(:text)) OR instr(project.slug, lower(:text)))",
        );
        params.push((":text", text));
    }
    if let Some(ids) = &ids {
        conditions.push_str(" AND project.id IN (SELECT value FROM json_each(:ids))");
        params.push((":ids", ids));
    }
    if let Some(slugs) = &slugs {
        conditions.push_str(" AND project.slug IN (SELECT value FROM json_each(:slugs))");
        params.push((":slugs", slugs));
    }
    if let Some(names) = &names {
        conditions.push_str(" AND lower(project.name) IN (SELECT value FROM json_each(:names))");
        params.push((":names", names));
    }
    if let Some(platforms) = &platforms {
        conditions.push_str(" AND project.platform IN (SELECT value FROM json_each(:platforms))");
        params.push((":platforms", platforms));
    }
    if let Some(keys) = &keys {
        conditions.push_str(OF_KEYS);
        params.push((":keys", keys));
    }
    let mut projects = connection
        .prepare_cached(&own_sql(of, path, place, &conditions))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    place.newest_first(&mut projects);
    Ok(projects)
}

const OF_KEYS: &str = " AND project.id IN (SELECT project_id FROM client_key
                                           WHERE public IN (SELECT value FROM json_each(:keys)))";

/// `:owner` is a list of teams, or the organization. A plus keeps a column from being looked for in an index.
fn own_sql(of: ProjectsOf, path: Path, place: DatePlace, conditions: &str) -> String {
    let index = match path {
        Path::Walked => "INDEXED BY project_by_created",
        Path::Named | Path::Gathered => "NOT INDEXED",
    };
    let (index, own) = match (of, path) {
        (ProjectsOf::User(_) | ProjectsOf::SignedIn(_), Path::Gathered) => (
            index,
            "project.id IN (SELECT project_id FROM project_team
                            WHERE team_id IN (SELECT value FROM json_each(:owner)))",
        ),
        (ProjectsOf::User(_) | ProjectsOf::SignedIn(_), Path::Named | Path::Walked) => (
            index,
            "EXISTS (SELECT 1 FROM project_team WHERE project_team.project_id = project.id
                     AND project_team.team_id IN (SELECT value FROM json_each(:owner)))",
        ),
        (ProjectsOf::Organization(_), Path::Gathered) => ("", "project.organization_id = :owner"),
        (ProjectsOf::Organization(_), Path::Named | Path::Walked) => {
            (index, "+project.organization_id = :owner")
        }
    };
    let (beyond, order) = place.sql("project");
    format!(
        "SELECT {COLUMNS} FROM project {index}
         WHERE project.deleted_us IS NULL AND {own}{beyond}{conditions}
           AND EXISTS (SELECT 1 FROM organization
                       WHERE organization.id = project.organization_id AND organization.deleted_us IS NULL)
         ORDER BY {order} LIMIT :limit"
    )
}

/// The ids of the teams that a user is in, in whatever organization; or only in those that let the user in without a
/// second factor, or with the one that there is.
fn list_teams_of(
    connection: &Connection,
    user: UserId,
    is_session: bool,
) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT team.id FROM member
             JOIN team_member ON team_member.member_id = member.id
             JOIN team ON team.id = team_member.team_id AND team.deleted_us IS NULL
             JOIN organization ON organization.id = member.organization_id
             WHERE member.user_id = :user
               AND (NOT :is_session OR NOT organization.require_2fa
                    OR EXISTS (SELECT 1 FROM authenticator WHERE user_id = :user AND kind = 'totp'))",
        )?
        .query_map(
            named_params! { ":user": user.0, ":is_session": is_session },
            |row| row.get(0),
        )?
        .collect()
}

/// Whether there are too many projects to gather them. One of two teams counts twice.
fn has_many(
    connection: &Connection,
    of: ProjectsOf,
    owner: &dyn rusqlite::ToSql,
) -> rusqlite::Result<bool> {
    let of = match of {
        ProjectsOf::User(_) | ProjectsOf::SignedIn(_) => {
            "project_team WHERE team_id IN (SELECT value FROM json_each(:owner))"
        }
        ProjectsOf::Organization(_) => "project WHERE organization_id = :owner",
    };
    connection
        .prepare_cached(&format!("SELECT 1 FROM {of} LIMIT 1 OFFSET :most"))?
        .exists(named_params! { ":owner": owner, ":most": GATHERED_MAX })
}

/// The ids of the teams that have the project.
pub(crate) fn list_team_ids(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<TeamId>> {
    connection
        .prepare_cached(
            "SELECT team_id FROM project_team JOIN team ON team.id = team_id
             WHERE project_id = :project AND team.deleted_us IS NULL ORDER BY team_id",
        )?
        .query_map([project.0], |row| row.get(0).map(TeamId))?
        .collect()
}

/// # Errors
/// `Conflict`: a project has the id, or had it and its organization is still there.
pub(crate) fn refuse_taken_id(connection: &Connection, id: ProjectId) -> Result<()> {
    if id_is_taken(connection, id)? {
        let text = format!("A project with the id {id} already exists.");
        return Err(Error::Conflict(text));
    }
    Ok(())
}

/// # Errors
/// `Conflict`: another project has it.
pub(crate) fn create(unit: &mut Unit<'_>, actor: &Actor, new: &NewProject) -> Result<ProjectId> {
    if let Some(id) = new.id {
        refuse_taken_id(unit, id)?;
    }
    unit.prepare_cached(
        "INSERT INTO project (id, organization_id, slug, name, platform, security_token, created_us)
         VALUES (:id, :organization, :slug, :name, :platform, :security_token, :created)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":organization": new.organization.0,
        ":slug": new.slug.as_str(),
        ":name": new.name,
        ":platform": new.platform,
        ":security_token": random_hex_32(),
        ":created": actor.at.us(),
    })
    .map_err(|error| conflict(error, || "A project with this slug already exists.".to_owned()))?;
    let id = ProjectId(unit.last_insert_rowid());
    unit.touch(Touched::Project(id));
    let mut data = json!({ "slug": new.slug.as_str(), "name": new.name });
    let event = match &new.origin {
        Some(origin) => {
            data["origin"] = json!(origin);
            "project.create-with-origin"
        }
        None => "project.create",
    };
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(new.organization),
            event,
            target: id.0,
            data,
        },
    )?;
    Ok(id)
}

/// Changes name and platform; `None` leaves one as it is, and a blank platform takes it away.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    name: Option<&str>,
    platform: Option<&str>,
) -> Result<()> {
    unit.prepare_cached(
        "UPDATE project SET name = coalesce(:name, name), platform = nullif(coalesce(:platform, platform), '')
         WHERE id = :id",
    )?
    .execute(named_params! { ":name": name, ":platform": platform, ":id": project.id.0 })?;
    let mut data = serde_json::Map::new();
    if let Some(name) = name.filter(|name| *name != project.name) {
        data.insert("name".to_owned(), json!(name));
    }
    let old = project.platform.as_deref().unwrap_or_default();
    if let Some(platform) = platform.filter(|platform| *platform != old) {
        let platform = Some(platform).filter(|text| !text.is_empty());
        data.insert("platform".to_owned(), json!(platform));
    }
    if data.is_empty() {
        return Ok(());
    }
    record_edit(unit, actor, project, Value::Object(data))
}

/// Gives a project to a team; whether it had it not.
pub(crate) fn add_team(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    project: ProjectId,
    team: TeamId,
) -> Result<bool> {
    let added = unit
        .prepare_cached(
            "INSERT INTO project_team (project_id, team_id) VALUES (:project, :team) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":project": project.0, ":team": team.0 })?;
    if added > 0 {
        record_team(unit, actor, organization, project, team, "project-team.add")?;
    }
    Ok(added > 0)
}

/// Writes down that a team has a project, or has it no longer.
fn record_team(
    unit: &Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    project: ProjectId,
    team: TeamId,
    event: &str,
) -> Result<()> {
    let slug = |sql: &str, id: i64| -> rusqlite::Result<String> {
        unit.prepare_cached(sql)?.query_row([id], |row| row.get(0))
    };
    let project_slug = slug("SELECT slug FROM project WHERE id = :id", project.0)?;
    let team_slug = slug("SELECT slug FROM team WHERE id = :id", team.0)?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event,
            target: project.0,
            data: json!({ "project_slug": project_slug, "team_id": team.0, "team_slug": team_slug }),
        },
    )?;
    Ok(())
}

/// Writes down that a project was made together with a team for it.
pub(crate) fn record_with_team(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    team: &Team,
) -> Result<()> {
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: "team-and-project.created",
            target: project.id.0,
            data: json!({ "slug": project.slug.as_str(), "team_slug": team.slug.as_str() }),
        },
    )?;
    Ok(())
}

/// Takes a project from a team; whether it had it.
pub(crate) fn remove_team(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    project: ProjectId,
    team: TeamId,
) -> Result<bool> {
    let removed = unit
        .prepare_cached("DELETE FROM project_team WHERE project_id = :project AND team_id = :team")?
        .execute(named_params! { ":project": project.0, ":team": team.0 })?;
    if removed > 0 {
        record_team(
            unit,
            actor,
            organization,
            project,
            team,
            "project-team.remove",
        )?;
    }
    Ok(removed > 0)
}

/// The stored options of a project, by name.
pub(crate) fn list_options(
    connection: &Connection,
    project: ProjectId,
) -> Result<Vec<(String, Value)>> {
    let rows: Vec<(String, String)> = connection
        .prepare_cached(
            "SELECT name, value FROM project_option WHERE project_id = :project ORDER BY name",
        )?
        .query_map([project.0], |row| Ok((row.get("name")?, row.get("value")?)))?
        .collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(name, value)| Ok((name, serde_json::from_str(&value).map_err(Error::internal)?)))
        .collect()
}

/// Sets an option of a project that is being made: no change that anybody would look for.
pub(crate) fn set_first_option(
    unit: &mut Unit<'_>,
    project: ProjectId,
    name: &str,
    value: &Value,
) -> Result<()> {
    unit.prepare_cached(
        "INSERT INTO project_option (project_id, name, value) VALUES (:project, :name, :value)",
    )?
    .execute(named_params! {
        ":project": project.0,
        ":name": name,
        ":value": value.to_string(),
    })?;
    unit.touch(Touched::Project(project));
    Ok(())
}

/// Sets an option; whether that changed it. The caller has checked name and value.
pub(crate) fn set_option(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    name: &str,
    value: &Value,
) -> Result<bool> {
    let changed = unit
        .prepare_cached(
            "INSERT INTO project_option (project_id, name, value) VALUES (:project, :name, :value)
             ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        )?
        .execute(named_params! {
            ":project": project.id.0,
            ":name": name,
            ":value": value.to_string(),
        })?;
    if changed > 0 {
        unit.touch(Touched::Project(project.id));
        record_edit(unit, actor, project, json!({ name: value }))?;
    }
    Ok(changed > 0)
}

fn record_edit(unit: &Unit<'_>, actor: &Actor, project: &Project, data: Value) -> Result<()> {
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: "project.edit",
            target: project.id.0,
            data,
        },
    )?;
    Ok(())
}

/// Writes down when the first event came, once.
pub(crate) fn set_first_event(
    connection: &Connection,
    project: ProjectId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE project SET first_event_us = :at WHERE id = :id AND first_event_us IS NULL",
        )?
        .execute(named_params! { ":at": at.us(), ":id": project.0 })
        .map(drop)
}

/// Which projects' states are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum StatesOf {
    All,
    Organization(OrganizationId),
    Project(ProjectId),
}

/// What ingestion needs to know of projects.
pub(super) fn list_states(
    connection: &Connection,
    of: StatesOf,
) -> rusqlite::Result<Vec<ProjectState>> {
    const THERE: &str = "WHERE project.deleted_us IS NULL
         AND project.organization_id IN (SELECT id FROM organization WHERE deleted_us IS NULL)";
    let (condition, id) = match of {
        StatesOf::All => (THERE.to_owned(), None),
        StatesOf::Organization(id) => (
            format!("{THERE} AND project.organization_id = :id"),
            Some(id.0),
        ),
        StatesOf::Project(id) => (format!("{THERE} AND project.id = :id"), Some(id.0)),
    };
    let params: &[(&str, &dyn rusqlite::ToSql)] = match &id {
        Some(id) => &[(":id", id)],
        None => &[],
    };
    let mut of_projects: HashMap<i64, Options> = options(
        connection,
        &format!(
            "SELECT project_id, project_option.name, value FROM project_option
             JOIN project ON project.id = project_id {condition}"
        ),
        params,
    )?;
    let of_organizations: HashMap<i64, Options> = options(
        connection,
        &format!(
            "SELECT organization_option.organization_id, organization_option.name, value FROM organization_option
             WHERE organization_option.organization_id IN (SELECT organization_id FROM project {condition})"
        ),
        params,
    )?;
    let none = Options::new();
    connection
        .prepare_cached(&format!(
            "SELECT id, organization_id, first_event_us IS NOT NULL AS has_events, seen_kinds FROM project {condition}"
        ))?
        .query_map(params, |row| {
            let id: i64 = row.get("id")?;
            let organization: i64 = row.get("organization_id")?;
            let of_organization = of_organizations.get(&organization).unwrap_or(&none);
            let of_project = of_projects.remove(&id).unwrap_or_default();
            Ok(ProjectState::new(
                ProjectId(id),
                IngestSettings::of(&of_project, of_organization),
                Budget::of(&of_project),
                default_rate_limit(of_organization),
                row.get("has_events")?,
                row.get::<_, i64>("seen_kinds")? as u64,
            ))
        })?
        .collect()
}

/// Options by the id of whom they belong to. The query gives id, name and value.
fn options(
    connection: &Connection,
    sql: &str,
    params: &[(&str, &dyn rusqlite::ToSql)],
) -> rusqlite::Result<HashMap<i64, Options>> {
    let mut all: HashMap<i64, Options> = HashMap::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(2)?;
        if let Ok(value) = serde_json::from_str(&text) {
            all.entry(row.get(0)?)
                .or_default()
                .insert(row.get(1)?, value);
        }
    }
    Ok(all)
}

/// Whether an organization has a project, and it is not deleted. A change asks in its own transaction: the project may
/// have gone, also to another organization, since it was looked up.
pub(crate) fn is_in(
    connection: &Connection,
    organization: OrganizationId,
    id: ProjectId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM project WHERE id = :id AND organization_id = :organization AND deleted_us IS NULL",
        )?
        .exists(named_params! { ":id": id.0, ":organization": organization.0 })
}

/// Writes an option; none takes it away. The caller writes the audit entry.
fn write_option(
    unit: &mut Unit<'_>,
    project: ProjectId,
    name: &str,
    value: Option<&Value>,
) -> Result<()> {
    match value {
        Some(value) => unit
            .prepare_cached(
                "INSERT INTO project_option (project_id, name, value) VALUES (:project, :name, :value)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )?
            .execute(named_params! {
                ":project": project.0,
                ":name": name,
                ":value": value.to_string(),
            })?,
        None => unit
            .prepare_cached("DELETE FROM project_option WHERE project_id = :project AND name = :name")?
            .execute(named_params! { ":project": project.0, ":name": name })?,
    };
    unit.touch(Touched::Project(project));
    Ok(())
}

/// Switches an inbound filter. The audit entry names the filter, or the browsers that are meant.
pub(crate) fn set_filter(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    filter: &str,
    option: &str,
    value: &Value,
) -> Result<()> {
    write_option(unit, project.id, option, Some(value))?;
    let is_off = *value == Value::Bool(false);
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: if is_off {
                "project.disable"
            } else {
                "project.enable"
            },
            target: project.id.0,
            data: json!({
                "state": if value.is_array() { value.clone() } else { json!(filter) },
                "slug": project.slug.as_str(),
            }),
        },
    )?;
    Ok(())
}

/// What a change of a project's settings leaves.
#[derive(Clone, Debug)]
pub(crate) struct ProjectChange {
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) security_token: String,
    pub(crate) options: Vec<OptionChange>,
}

/// An option with its new value; none takes it away.
#[derive(Clone, Debug)]
pub(crate) struct OptionChange {
    /// The API's name for it, which the audit log tells.
    pub(crate) field: String,
    pub(crate) option: String,
    pub(crate) value: Option<Value>,
}

/// Changes a project of which `stored` are the options. Requests for an old slug are sent to the new one from then on.
/// The audit entry names what is different then; without any difference there is none.
///
/// # Errors
/// `Conflict`, with the other's name: another project of the organization has the slug.
pub(crate) fn change(
    unit: &mut Unit<'_>,
    actor: &Actor,
    old: &Project,
    mut stored: Options,
    new: &ProjectChange,
) -> Result<()> {
    let mut data = serde_json::Map::new();
    if new.slug != old.slug {
        let segment = IdOrSlug::Slug(new.slug.to_string());
        if let Some(other) = find(unit, old.organization, &segment)? {
            return Err(Error::Conflict(other.name));
        }
        unit.prepare_cached(
            "DELETE FROM project_slug_redirect WHERE organization_id = :organization AND slug = :slug",
        )?
        .execute(named_params! { ":organization": old.organization.0, ":slug": new.slug.as_str() })?;
        unit.prepare_cached(
            "INSERT INTO project_slug_redirect (organization_id, slug, project_id)
             VALUES (:organization, :slug, :project)
             ON CONFLICT DO UPDATE SET project_id = excluded.project_id",
        )?
        .execute(named_params! {
            ":organization": old.organization.0,
            ":slug": old.slug.as_str(),
            ":project": old.id.0,
        })?;
    }
    unit.prepare_cached(
        "UPDATE project SET slug = :slug, name = :name, platform = :platform, security_token = :token WHERE id = :id",
    )?
    .execute(named_params! {
        ":slug": new.slug.as_str(),
        ":name": new.name,
        ":platform": new.platform,
        ":token": new.security_token,
        ":id": old.id.0,
    })?;
    for change in &new.options {
        if stored.get(&change.option) != change.value.as_ref() {
            write_option(unit, old.id, &change.option, change.value.as_ref())?;
            data.insert(change.field.clone(), json!(change.value));
            // A body may name an option twice; the last value holds.
            match &change.value {
                Some(value) => stored.insert(change.option.clone(), value.clone()),
                None => stored.remove(&change.option),
            };
        }
    }
    if new.name != old.name {
        data.insert("name".to_owned(), json!(new.name));
    }
    if new.platform != old.platform {
        data.insert("platform".to_owned(), json!(new.platform));
    }
    // That it changed, and not what it is.
    if new.security_token != old.security_token {
        data.insert("securityToken".to_owned(), json!(true));
    }
    if new.slug != old.slug {
        data.insert("old_slug".to_owned(), json!(old.slug.as_str()));
        data.insert("new_slug".to_owned(), json!(new.slug.as_str()));
    }
    if data.is_empty() {
        return Ok(());
    }
    record_edit(unit, actor, old, Value::Object(data))
}

/// The project that had this slug before it was given another one.
pub(crate) fn find_renamed(
    connection: &Connection,
    organization: OrganizationId,
    old_slug: &str,
) -> rusqlite::Result<Option<Project>> {
    let id: Option<i64> = connection
        .prepare_cached(
            "SELECT project_id FROM project_slug_redirect WHERE organization_id = :organization AND slug = :slug",
        )?
        .query_row(
            named_params! { ":organization": organization.0, ":slug": old_slug },
            |row| row.get(0),
        )
        .optional()?;
    match id {
        Some(id) => find(connection, organization, &IdOrSlug::Id(id)),
        None => Ok(None),
    }
}

/// Hides a project with all that it has. Its slug is free at once and its keys are good for nothing; what belongs to it
/// is removed in the background.
///
/// # Errors
/// `NotFound`: it is gone already.
pub(crate) fn delete(unit: &mut Unit<'_>, actor: &Actor, project: &Project) -> Result<()> {
    let hidden = unit
        .prepare_cached(
            "UPDATE project SET deleted_us = :now, slug = slug || '~' || id
             WHERE id = :id AND organization_id = :organization AND deleted_us IS NULL",
        )?
        .execute(named_params! {
            ":now": actor.at.us(),
            ":id": project.id.0,
            ":organization": project.organization.0,
        })?;
    if hidden == 0 {
        return Err(Error::NotFound);
    }
    unit.touch(Touched::Project(project.id));
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: "project.remove",
            target: project.id.0,
            data: json!({ "slug": project.slug.as_str(), "name": project.name }),
        },
    )?;
    Ok(())
}

/// Whether a user bookmarked a project.
pub(crate) fn is_bookmarked(
    connection: &Connection,
    user: UserId,
    project: ProjectId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM project_bookmark WHERE user_id = :user AND project_id = :project",
        )?
        .exists(named_params! { ":user": user.0, ":project": project.0 })
}

/// Gives a project the options and the teams of another one in place of its own.
pub(crate) fn copy_settings(
    unit: &mut Unit<'_>,
    actor: &Actor,
    source: ProjectId,
    project: &Project,
) -> Result<()> {
    let options = list_options(unit, source)?;
    for (name, _) in list_options(unit, project.id)? {
        write_option(unit, project.id, &name, None)?;
    }
    for (name, value) in &options {
        write_option(unit, project.id, name, Some(value))?;
    }
    let teams = list_team_ids(unit, source)?;
    for team in list_team_ids(unit, project.id)? {
        if !teams.contains(&team) {
            remove_team(unit, actor, project.organization, project.id, team)?;
        }
    }
    for team in teams {
        add_team(unit, actor, project.organization, project.id, team)?;
    }
    record_edit(
        unit,
        actor,
        project,
        json!({ "copy_from_project": source.0 }),
    )
}

/// Bookmarks a project for a user, or takes the bookmark away. A user's own business, so of no audit log.
pub(crate) fn set_bookmark(
    connection: &Connection,
    user: UserId,
    project: ProjectId,
    on: bool,
) -> Result<()> {
    let sql = if on {
        "INSERT INTO project_bookmark (user_id, project_id) VALUES (:user, :project) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM project_bookmark WHERE user_id = :user AND project_id = :project"
    };
    connection
        .prepare_cached(sql)?
        .execute(named_params! { ":user": user.0, ":project": project.0 })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use crate::domain::durability::Durability;

    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .raw_query()
            .mapped(|row| row.get("detail"))
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    }

    /// Many projects are walked in order and none is sorted; a key leads to its project, whatever the number of others.
    #[test]
    fn projects_of_all_organizations_are_come_by_without_reading_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        let first = DatePlace::First;
        let below = DatePlace::Below { millis: 5, id: 5 };
        let above = DatePlace::Above { millis: 5, id: 5 };
        for of in [
            ProjectsOf::User(UserId(1)),
            ProjectsOf::Organization(OrganizationId(1)),
        ] {
            for (place, expected) in [
                (first, "SCAN project USING INDEX project_by_created"),
                (below, "project_by_created (created_us<?)"),
                (above, "project_by_created (created_us>?)"),
            ] {
                let plan = plan(&connection, &own_sql(of, Path::Walked, place, ""));
                assert!(plan[0].contains(expected), "{plan:?}");
                assert!(
                    !plan.iter().any(|step| step.contains("TEMP B-TREE")),
                    "{plan:?}"
                );
            }
            let named = plan(&connection, &own_sql(of, Path::Named, first, OF_KEYS));
            assert_eq!(
                named[0],
                "SEARCH project USING INTEGER PRIMARY KEY (rowid=?)"
            );
            let gathered = plan(&connection, &own_sql(of, Path::Gathered, first, ""));
            let searches = |step: &String| step.starts_with("SEARCH project USING ");
            assert!(gathered.iter().any(searches), "{gathered:?}");
        }
    }
}
