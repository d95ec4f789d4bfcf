//! Client keys.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::Place;
use super::audit::{self, Entry};
use super::snapshot::Touched;
use super::writer::Unit;
use super::{conflict, key_windows, sightings};
use crate::domain::actor::Actor;
use crate::domain::id::{KeyId, OrganizationId, ProjectId, TeamId};
use crate::domain::key::{
    BROWSER_SDK_VERSION, ClientKey, LoaderOptions, PublicKey, RateLimit, random_hex_32,
};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// A key about to be made. What is not chosen is random.
#[derive(Clone, Debug)]
pub(crate) struct NewClientKey {
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) public: Option<PublicKey>,
    pub(crate) secret: Option<String>,
    pub(crate) label: String,
    pub(crate) rate_limit: Option<RateLimit>,
}

pub(super) const COLUMNS: &str = "client_key.id, client_key.project_id, client_key.public, client_key.secret, \
     client_key.label, client_key.active, client_key.rate_limit_count, client_key.rate_limit_window_secs, \
     client_key.browser_sdk_version, client_key.loader_has_replay, client_key.loader_has_performance, \
     client_key.loader_has_debug, client_key.loader_has_feedback, client_key.loader_has_logs_and_metrics, \
     client_key.created_us, client_key.expires_us";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<ClientKey> {
    let public: String = row.get("public")?;
    let public = PublicKey::parse(&public).ok_or_else(|| {
        let text = format!("{public:?} is no public key");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, text.into())
    })?;
    Ok(ClientKey {
        id: KeyId(row.get("id")?),
        project: ProjectId(row.get("project_id")?),
        public,
        secret: row.get("secret")?,
        label: row.get("label")?,
        active: row.get("active")?,
        rate_limit: RateLimit::from_parts(
            row.get("rate_limit_count")?,
            row.get("rate_limit_window_secs")?,
        ),
        browser_sdk_version: row.get("browser_sdk_version")?,
        loader_options: LoaderOptions {
            has_replay: row.get("loader_has_replay")?,
            has_performance: row.get("loader_has_performance")?,
            has_debug: row.get("loader_has_debug")?,
            has_feedback: row.get("loader_has_feedback")?,
            has_logs_and_metrics: row.get("loader_has_logs_and_metrics")?,
        },
        created: Timestamp::from_us(row.get("created_us")?),
        expires: row
            .get::<_, Option<i64>>("expires_us")?
            .map(Timestamp::from_us),
    })
}

/// The key of a project that has this public half.
pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
    public: PublicKey,
) -> rusqlite::Result<Option<ClientKey>> {
    Ok(find_by_public(connection, public)?.filter(|key| key.project == project))
}

/// Whether a key's project and organization are there. While they are being removed nobody finds the key.
const THERE: &str = "EXISTS (SELECT 1 FROM project JOIN organization ON organization.id = project.organization_id
                              WHERE project.id = client_key.project_id AND project.deleted_us IS NULL
                                AND organization.deleted_us IS NULL)";

pub(crate) fn find_by_public(
    connection: &Connection,
    public: PublicKey,
) -> rusqlite::Result<Option<ClientKey>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM client_key WHERE public = :public AND {THERE}"
        ))?
        .query_row([public.as_str()], from_row)
        .optional()
}

pub(crate) fn find_by_id(
    connection: &Connection,
    id: KeyId,
) -> rusqlite::Result<Option<ClientKey>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM client_key WHERE id = :id"))?
        .query_row([id.0], from_row)
        .optional()
}

/// Every key of a project, oldest first.
pub(crate) fn list_of_project(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<ClientKey>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM client_key WHERE project_id = :project ORDER BY id"
        ))?
        .query_map([project.0], from_row)?
        .collect()
}

/// Every key of an organization's projects that are there.
pub(super) fn list_of_organization(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Vec<ClientKey>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM client_key WHERE organization_id = :organization AND {THERE}"
        ))?
        .query_map([organization.0], from_row)?
        .collect()
}

/// Whose keys a list is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeysOf {
    Project(ProjectId),
    Organization(OrganizationId),
}

/// Which of them. Empty options mean all.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFilter {
    /// Whether they are good for anything at a moment.
    pub(crate) valid: Option<(bool, Timestamp)>,
    /// Keys of these projects only.
    pub(crate) projects: Option<Vec<ProjectId>>,
    /// Keys of projects that have one of these teams only.
    pub(crate) teams: Option<Vec<TeamId>>,
    /// And of those, keys of projects that have this team.
    pub(crate) team: Option<TeamId>,
}

/// A page of keys, newest first, that starts at `place`; at most `limit`.
///
/// The range is one of an index by id, so that the last page costs what the first does; the filters only
/// leave rows of it out.
pub(crate) fn list(
    connection: &Connection,
    of: KeysOf,
    filter: &KeyFilter,
    place: Place,
    limit: u32,
) -> Result<Vec<ClientKey>> {
    let owner = match of {
        KeysOf::Project(ProjectId(id)) | KeysOf::Organization(OrganizationId(id)) => id,
    };
    let boundary = match place {
        Place::First => None,
        Place::Below(id) | Place::Above(id) => Some(id),
    };
    let projects = filter
        .projects
        .as_ref()
        .map(|ids| json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string());
    let teams = filter
        .teams
        .as_ref()
        .map(|ids| json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string());
    let team = filter.team.map(|id| id.0);
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> =
        vec![(":owner", &owner), (":limit", &limit)];
    let mut conditions = String::new();
    if let Some(boundary) = &boundary {
        params.push((":boundary", boundary));
    }
    if matches!(of, KeysOf::Organization(_)) {
        conditions.push_str(&format!(" AND {THERE}"));
    }
    let (wanted, now_us) = match filter.valid {
        Some((wanted, now)) => (wanted, now.us()),
        None => (true, 0),
    };
    if filter.valid.is_some() {
        conditions.push_str(
            " AND (client_key.active AND (client_key.expires_us IS NULL OR client_key.expires_us > :now)) = :valid",
        );
        params.push((":valid", &wanted));
        params.push((":now", &now_us));
    }
    if let Some(projects) = &projects {
        conditions
            .push_str(" AND client_key.project_id IN (SELECT value FROM json_each(:projects))");
        params.push((":projects", projects));
    }
    if let Some(teams) = &teams {
        conditions.push_str(
            " AND EXISTS (SELECT 1 FROM project_team WHERE project_team.project_id = client_key.project_id
                          AND project_team.team_id IN (SELECT value FROM json_each(:teams)))",
        );
        params.push((":teams", teams));
    }
    if let Some(team) = &team {
        conditions.push_str(
            " AND EXISTS (SELECT 1 FROM project_team WHERE project_team.project_id = client_key.project_id
                          AND project_team.team_id = :team)",
        );
        params.push((":team", team));
    }
    let mut keys = connection
        .prepare_cached(&page_sql(of, place, &conditions))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if matches!(place, Place::Above(_)) {
        keys.reverse();
    }
    Ok(keys)
}

/// The index is named, because a walk over all keys by their number would answer as well, and be slow for an
/// owner whose keys are old.
fn page_sql(of: KeysOf, place: Place, conditions: &str) -> String {
    let (index, owner) = match of {
        KeysOf::Project(_) => ("client_key_by_project", "project_id"),
        KeysOf::Organization(_) => ("client_key_by_organization", "organization_id"),
    };
    let (range, order) = match place {
        Place::First => ("", "DESC"),
        Place::Below(_) => (" AND client_key.id < :boundary", "DESC"),
        Place::Above(_) => (" AND client_key.id > :boundary", "ASC"),
    };
    format!(
        "SELECT {COLUMNS} FROM client_key INDEXED BY {index}
         WHERE client_key.{owner} = :owner{range}{conditions}
         ORDER BY client_key.id {order} LIMIT :limit"
    )
}

/// Every key of a project that is there, for the snapshot.
pub(super) fn list_all(connection: &Connection) -> rusqlite::Result<Vec<ClientKey>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM client_key WHERE {THERE}"))?
        .query_map([], from_row)?
        .collect()
}

/// Whether a key that was there before still is, and its project.
pub(super) fn is_there(connection: &Connection, id: KeyId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT 1 FROM client_key WHERE id = :id AND {THERE}"
        ))?
        .exists([id.0])
}

/// Some keys of a project, which may be a deleted one.
pub(super) fn list_ids(
    connection: &Connection,
    project: ProjectId,
    limit: u32,
) -> rusqlite::Result<Vec<(KeyId, String)>> {
    connection
        .prepare_cached(
            "SELECT id, public FROM client_key WHERE project_id = :project ORDER BY id LIMIT :limit",
        )?
        .query_map(
            named_params! { ":project": project.0, ":limit": limit },
            |row| Ok((KeyId(row.get("id")?), row.get("public")?)),
        )?
        .collect()
}

/// Removes a key of a deleted project; how many rows of its use went with it. It is the deed of nobody, so there is
/// no entry in the audit log.
pub(super) fn remove(unit: &mut Unit<'_>, id: KeyId, public: &str) -> rusqlite::Result<usize> {
    let rows = sightings::forget_uses(unit, id)?;
    key_windows::forget(unit, id)?;
    unit.prepare_cached("DELETE FROM client_key WHERE id = :id")?
        .execute([id.0])?;
    if let Some(public) = PublicKey::parse(public) {
        unit.touch(Touched::Key(public));
    }
    Ok(rows)
}

/// Makes a public half free that a key of a deleted project still has.
pub(super) fn free(unit: &mut Unit<'_>, public: PublicKey) -> rusqlite::Result<()> {
    let id = unit
        .prepare_cached(&format!(
            "SELECT id FROM client_key WHERE public = :public AND NOT {THERE}"
        ))?
        .query_row([public.as_str()], |row| row.get(0).map(KeyId))
        .optional()?;
    if let Some(id) = id {
        remove(unit, id, public.as_str())?;
    }
    Ok(())
}

/// # Errors
/// `Conflict`: some project of this server has a key of that public half.
pub(crate) fn create(unit: &mut Unit<'_>, actor: &Actor, new: &NewClientKey) -> Result<KeyId> {
    insert(
        unit,
        actor,
        new,
        BROWSER_SDK_VERSION,
        LoaderOptions::default(),
    )
}

/// Makes a key with halves of its own that is like another one in all else but perhaps its label.
pub(crate) fn create_like(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    old: &ClientKey,
    label: &str,
) -> Result<KeyId> {
    let new = NewClientKey {
        organization,
        project: old.project,
        public: None,
        secret: None,
        label: label.to_owned(),
        rate_limit: old.rate_limit,
    };
    let version = &old.browser_sdk_version;
    insert(unit, actor, &new, version, old.loader_options)
}

fn insert(
    unit: &mut Unit<'_>,
    actor: &Actor,
    new: &NewClientKey,
    browser_sdk_version: &str,
    loader: LoaderOptions,
) -> Result<KeyId> {
    if let Some(chosen) = new.public {
        free(unit, chosen)?;
    }
    let public = new.public.unwrap_or_else(PublicKey::random);
    let secret = new.secret.clone().unwrap_or_else(random_hex_32);
    unit.prepare_cached(
        "INSERT INTO client_key (project_id, organization_id, public, secret, label, rate_limit_count,
                                 rate_limit_window_secs, browser_sdk_version, loader_has_replay,
                                 loader_has_performance, loader_has_debug, loader_has_feedback,
                                 loader_has_logs_and_metrics, created_us)
         VALUES (:project, :organization, :public, :secret, :label, :count, :window, :version, :replay,
                 :performance, :debug, :feedback, :logs_and_metrics, :created)",
    )?
    .execute(named_params! {
        ":project": new.project.0,
        ":organization": new.organization.0,
        ":public": public.as_str(),
        ":secret": secret,
        ":label": new.label,
        ":count": new.rate_limit.map(RateLimit::stored_count),
        ":window": new.rate_limit.map(|limit| limit.window_secs),
        ":version": browser_sdk_version,
        ":replay": loader.has_replay,
        ":performance": loader.has_performance,
        ":debug": loader.has_debug,
        ":feedback": loader.has_feedback,
        ":logs_and_metrics": loader.has_logs_and_metrics,
        ":created": actor.at.us(),
    })
    .map_err(|error| conflict(error, || "A client key with this public key already exists.".to_owned()))?;
    let id = KeyId(unit.last_insert_rowid());
    unit.touch(Touched::Key(public));
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(new.organization),
            event: "projectkey.create",
            target: id.0,
            data: json!({ "public_key": public.as_str(), "label": new.label }),
        },
    )?;
    Ok(id)
}

/// Writes a changed key back. Slots used of a window whose length stays are kept; one whose length changed
/// starts at 0 (design 7). A key that is gone meanwhile is `NotFound`. One that is as it was leaves no entry.
///
/// # Errors
/// `NotFound`.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    old: &ClientKey,
    new: &ClientKey,
) -> Result<()> {
    let changed = unit
        .prepare_cached(
            "UPDATE client_key
             SET secret = :secret, label = :label, active = :active, rate_limit_count = :count,
                 rate_limit_window_secs = :window, browser_sdk_version = :version, loader_has_replay = :replay,
                 loader_has_performance = :performance, loader_has_debug = :debug,
                 loader_has_feedback = :feedback, loader_has_logs_and_metrics = :logs_and_metrics,
                 expires_us = :expires
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":secret": new.secret,
            ":label": new.label,
            ":active": new.active,
            ":count": new.rate_limit.map(RateLimit::stored_count),
            ":window": new.window_secs(),
            ":version": new.browser_sdk_version,
            ":replay": new.loader_options.has_replay,
            ":performance": new.loader_options.has_performance,
            ":debug": new.loader_options.has_debug,
            ":feedback": new.loader_options.has_feedback,
            ":logs_and_metrics": new.loader_options.has_logs_and_metrics,
            ":expires": new.expires.map(Timestamp::us),
            ":id": old.id.0,
        })?;
    if changed == 0 {
        return Err(Error::NotFound);
    }
    if old.window_secs() != new.window_secs() {
        key_windows::forget(unit, old.id)?;
    }
    unit.touch(Touched::Key(old.public));
    let changes = changes(old, new);
    if changes.is_empty() {
        return Ok(());
    }
    let mut data = json!({ "public_key": old.public.as_str() });
    for (name, value) in changes {
        data[name] = value;
    }
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "projectkey.edit",
            target: old.id.0,
            data,
        },
    )?;
    Ok(())
}

/// What is other than before, as the audit log tells it: limits with what they were; of a secret only that it is another.
fn changes(old: &ClientKey, new: &ClientKey) -> Vec<(&'static str, Value)> {
    let count = |key: &ClientKey| json!(key.rate_limit.map(|limit| limit.count));
    let window = |key: &ClientKey| json!(key.window_secs());
    let mut changes = Vec::new();
    let mut tell = |name, old: Value, new: Value| {
        if old != new {
            changes.push((name, new));
        }
    };
    tell("label", json!(old.label), json!(new.label));
    tell("isActive", json!(old.active), json!(new.active));
    tell("expires", json!(old.expires), json!(new.expires));
    tell(
        "browserSdkVersion",
        json!(old.browser_sdk_version),
        json!(new.browser_sdk_version),
    );
    if old.loader_options != new.loader_options {
        changes.push(("dynamicSdkLoaderOptions", json!(true)));
    }
    if old.secret != new.secret {
        changes.push(("secret", json!(true)));
    }
    for (names, old, new) in [
        (
            ["prev_rate_limit_count", "rate_limit_count"],
            count(old),
            count(new),
        ),
        (
            ["prev_rate_limit_window", "rate_limit_window"],
            window(old),
            window(new),
        ),
    ] {
        if old != new {
            changes.extend([(names[0], old), (names[1], new)]);
        }
    }
    changes
}

/// # Errors
/// `NotFound`: it is gone already.
pub(crate) fn delete(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    key: &ClientKey,
) -> Result<()> {
    let deleted = unit
        .prepare_cached("DELETE FROM client_key WHERE id = :id")?
        .execute([key.id.0])?;
    if deleted == 0 {
        return Err(Error::NotFound);
    }
    sightings::forget_uses(unit, key.id)?;
    key_windows::forget(unit, key.id)?;
    unit.touch(Touched::Key(key.public));
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "projectkey.remove",
            target: key.id.0,
            data: json!({ "public_key": key.public.as_str(), "label": key.label }),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use crate::domain::durability::Durability;

    /// Nothing is sorted and nothing else is walked, so the last page costs what the first does.
    #[test]
    fn a_page_is_one_range_of_an_index() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        let project = KeysOf::Project(ProjectId(1));
        let organization = KeysOf::Organization(OrganizationId(1));
        for (of, place, expected) in [
            (
                project,
                Place::First,
                "client_key_by_project (project_id=?)",
            ),
            (
                project,
                Place::Below(5),
                "client_key_by_project (project_id=? AND rowid<?)",
            ),
            (
                project,
                Place::Above(5),
                "client_key_by_project (project_id=? AND rowid>?)",
            ),
            (
                organization,
                Place::First,
                "client_key_by_organization (organization_id=?)",
            ),
            (
                organization,
                Place::Below(5),
                "client_key_by_organization (organization_id=? AND rowid<?)",
            ),
            (
                organization,
                Place::Above(5),
                "client_key_by_organization (organization_id=? AND rowid>?)",
            ),
        ] {
            let sql = page_sql(of, place, " AND client_key.active = 1");
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let plan: Vec<String> = statement
                .raw_query()
                .mapped(|row| row.get("detail"))
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            let expected = format!("SEARCH client_key USING INDEX {expected}");
            let plan: Vec<_> = plan
                .iter()
                .map(|p| p.replace(" AND id", " AND rowid"))
                .collect();
            assert_eq!(plan, [expected], "{sql}");
        }
    }
}
