//! Removes what belongs to deleted organizations, teams and projects, a little at a time.
//!
//! Whoever deletes marks a row (`deleted_us`): from then on nobody finds it, and the snapshot lets go of it. What
//! belongs to it goes here, in steps that are short enough to share the writer's transactions with events. How far
//! the work is stands in the tables alone: a step begins with whatever is still there, so a restart loses nothing.
//!
//! Of a deleted project its row and its daily ledger stay, so that the totals of its organization do not shrink; they
//! go with the organization. Audit entries stay as long as all others. Nothing here is audited: the deed was the marking.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, named_params};

use super::client_keys;
use super::payloads::{self, LargePayloadId};
use super::snapshot::Touched;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::id::{OrganizationId, ProjectId, TeamId};

/// The bounds of a step: it stops at the first one that it meets.
const STEP_ROWS: u32 = 500;
const STEP_TIME: Duration = Duration::from_millis(5);

/// How many rows are removed between two looks at the bounds. A row may have a mebibyte.
const CHUNK_ROWS: u32 = 10;

/// A key costs the snapshot a query, so it counts as several rows.
const ROWS_PER_KEY: usize = 5;

/// Rows of one table that belong to something.
struct Part {
    table: &'static str,
    /// The primary key.
    key: &'static str,
    /// Which rows they are; `:owner` is the number of what they belong to.
    of: &'static str,
}

const fn part(table: &'static str, key: &'static str, of: &'static str) -> Part {
    Part { table, key, of }
}

const LEDGER_KEY: &str = "resolution, project_id, bucket_us, key_id, category, outcome, reason";

/// What belongs to a project beside the rows whose payload may lie elsewhere ([`WITH_PAYLOADS`]) and its keys.
const OF_PROJECT: &[Part] = &[
    part("project_size", "project_id, kind", "project_id = :owner"),
    part("event", "id", "project_id = :owner"),
    part("environment", "id", "project_id = :owner"),
    part("project_option", "project_id, name", "project_id = :owner"),
    part("project_team", "project_id, team_id", "project_id = :owner"),
    part(
        "project_bookmark",
        "user_id, project_id",
        "project_id = :owner",
    ),
    part(
        "project_slug_redirect",
        "organization_id, slug",
        "project_id = :owner",
    ),
    part("project_ownership", "project_id", "project_id = :owner"),
    part("project_transfer", "project_id", "project_id = :owner"),
    part(
        "ledger",
        LEDGER_KEY,
        "resolution = 10 AND project_id = :owner",
    ),
    part(
        "ledger",
        LEDGER_KEY,
        "resolution = 3600 AND project_id = :owner",
    ),
];

/// Tables with the columns `project_id` and `large_payload_id`.
const WITH_PAYLOADS: &[&str] = &["item", "attachment"];

const DAILY_LEDGER: Part = part(
    "ledger",
    LEDGER_KEY,
    "resolution = 86400 AND project_id = :owner",
);

const OF_TEAM: &[Part] = &[
    part("team_member", "team_id, member_id", "team_id = :owner"),
    part("project_team", "project_id, team_id", "team_id = :owner"),
    part("team_request", "team_id, member_id", "team_id = :owner"),
];

/// What belongs to an organization beside its projects and teams.
const OF_ORGANIZATION: &[Part] = &[
    part("member", "id", "organization_id = :owner"),
    part(
        "auth_token_project",
        "token_id, project_id",
        "token_id IN (SELECT id FROM auth_token WHERE organization_id = :owner)",
    ),
    part(
        "auth_token_use",
        "token_id, day",
        "token_id IN (SELECT id FROM auth_token WHERE organization_id = :owner)",
    ),
    part(
        "identity",
        "provider_id, subject",
        "provider_id = (SELECT id FROM identity_provider WHERE organization_id = :owner)",
    ),
    part("identity_provider", "id", "organization_id = :owner"),
    part("auth_token", "id", "organization_id = :owner"),
    part(
        "organization_option",
        "organization_id, name",
        "organization_id = :owner",
    ),
];

/// What a step may still remove.
struct Budget {
    rows: u32,
    until: Instant,
}

impl Budget {
    fn new() -> Budget {
        Budget {
            rows: STEP_ROWS,
            until: Instant::now() + STEP_TIME,
        }
    }

    fn spend(&mut self, rows: usize) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.rows = self.rows.saturating_sub(rows);
    }

    fn is_spent(&self) -> bool {
        self.rows == 0 || Instant::now() >= self.until
    }

    /// How many rows to remove before the next look.
    fn chunk(&self) -> u32 {
        self.rows.min(CHUNK_ROWS)
    }
}

/// What is marked and not yet removed.
#[derive(Clone, Copy, Debug)]
enum Deleted {
    Project(ProjectId),
    Team(TeamId),
    Organization(OrganizationId),
}

/// Whether anything is left to remove.
pub(crate) fn is_anything_left(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(find(connection)?.is_some())
}

fn find(connection: &Connection) -> rusqlite::Result<Option<Deleted>> {
    let first = |sql: &str| -> rusqlite::Result<Option<i64>> {
        connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))
            .optional()
    };
    const PROJECT: &str =
        "SELECT id FROM project WHERE deleted_us IS NOT NULL AND purged = 0 ORDER BY id LIMIT 1";
    const TEAM: &str = "SELECT id FROM team WHERE deleted_us IS NOT NULL ORDER BY id LIMIT 1";
    const ORGANIZATION: &str =
        "SELECT id FROM organization WHERE deleted_us IS NOT NULL ORDER BY id LIMIT 1";
    if let Some(id) = first(PROJECT)? {
        return Ok(Some(Deleted::Project(ProjectId(id))));
    }
    if let Some(id) = first(TEAM)? {
        return Ok(Some(Deleted::Team(TeamId(id))));
    }
    Ok(first(ORGANIZATION)?.map(|id| Deleted::Organization(OrganizationId(id))))
}

/// Removes a little; whether there may be more.
pub(crate) fn step(unit: &mut Unit<'_>) -> Result<bool> {
    let mut budget = Budget::new();
    while !budget.is_spent() {
        match find(unit)? {
            None => return Ok(false),
            Some(Deleted::Project(id)) => purge_project(unit, id, &mut budget)?,
            Some(Deleted::Team(id)) => {
                remove_team(unit, id, &mut budget)?;
            }
            Some(Deleted::Organization(id)) => remove_organization(unit, id, &mut budget)?,
        }
    }
    Ok(true)
}

fn purge_project(
    unit: &mut Unit<'_>,
    project: ProjectId,
    budget: &mut Budget,
) -> rusqlite::Result<()> {
    if empty_project(unit, project, budget)? {
        unit.prepare_cached("UPDATE project SET purged = 1 WHERE id = :id")?
            .execute([project.0])?;
        budget.spend(1);
    }
    Ok(())
}

/// Whether nothing is left of it but its row and its daily ledger.
fn empty_project(
    unit: &mut Unit<'_>,
    project: ProjectId,
    budget: &mut Budget,
) -> rusqlite::Result<bool> {
    for table in WITH_PAYLOADS {
        if !remove_with_payloads(unit, table, project, budget)? {
            return Ok(false);
        }
    }
    Ok(remove_all(unit, OF_PROJECT, project.0, budget)? && remove_keys(unit, project, budget)?)
}

/// Whether none is left. The snapshot is told of each key, because it may have been marked in this very
/// transaction.
fn remove_keys(
    unit: &mut Unit<'_>,
    project: ProjectId,
    budget: &mut Budget,
) -> rusqlite::Result<bool> {
    while !budget.is_spent() {
        let keys = client_keys::list_ids(unit, project, CHUNK_ROWS)?;
        if keys.is_empty() {
            return Ok(true);
        }
        for (id, public) in keys {
            let rows = client_keys::remove(unit, id, &public)?;
            budget.spend(rows + ROWS_PER_KEY);
        }
    }
    Ok(false)
}

/// Whether the team is gone.
fn remove_team(unit: &mut Unit<'_>, team: TeamId, budget: &mut Budget) -> rusqlite::Result<bool> {
    if !remove_all(unit, OF_TEAM, team.0, budget)? {
        return Ok(false);
    }
    unit.prepare_cached("DELETE FROM team WHERE id = :id")?
        .execute([team.0])?;
    budget.spend(1);
    Ok(true)
}

fn remove_organization(
    unit: &mut Unit<'_>,
    organization: OrganizationId,
    budget: &mut Budget,
) -> rusqlite::Result<()> {
    while let Some(project) = first_of(unit, "project", organization)?.map(ProjectId) {
        let is_empty = empty_project(unit, project, budget)?
            && remove(unit, &DAILY_LEDGER, project.0, budget)?;
        if !is_empty {
            return Ok(());
        }
        unit.prepare_cached("DELETE FROM project WHERE id = :id")?
            .execute([project.0])?;
        unit.touch(Touched::Project(project));
        budget.spend(ROWS_PER_KEY);
    }
    while let Some(team) = first_of(unit, "team", organization)?.map(TeamId) {
        if !remove_team(unit, team, budget)? {
            return Ok(());
        }
    }
    if remove_all(unit, OF_ORGANIZATION, organization.0, budget)? {
        unit.prepare_cached("DELETE FROM organization WHERE id = :id")?
            .execute([organization.0])?;
        budget.spend(1);
    }
    Ok(())
}

fn first_of(
    connection: &Connection,
    table: &str,
    organization: OrganizationId,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(&format!(
            "SELECT id FROM {table} WHERE organization_id = :organization LIMIT 1"
        ))?
        .query_row([organization.0], |row| row.get(0))
        .optional()
}

/// Whether none of these rows is left.
fn remove_all(
    connection: &Connection,
    parts: &[Part],
    owner: i64,
    budget: &mut Budget,
) -> rusqlite::Result<bool> {
    for part in parts {
        if !remove(connection, part, owner, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As [`remove_all`], of one table.
fn remove(
    connection: &Connection,
    part: &Part,
    owner: i64,
    budget: &mut Budget,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(&part.sql())?;
    while !budget.is_spent() {
        let chunk = budget.chunk();
        let removed = statement.execute(named_params! { ":owner": owner, ":limit": chunk })?;
        budget.spend(removed);
        if removed < chunk as usize {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Part {
    fn sql(&self) -> String {
        let Part { table, key, of } = self;
        format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {of} LIMIT :limit)"
        )
    }
}

/// Whether none is left. A payload's parts go one by one, before the row that says where they are.
fn remove_with_payloads(
    connection: &Connection,
    table: &str,
    project: ProjectId,
    budget: &mut Budget,
) -> rusqlite::Result<bool> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT id, large_payload_id FROM {table} WHERE project_id = :project LIMIT :limit"
    ))?;
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = :id"))?;
    while !budget.is_spent() {
        let params = named_params! { ":project": project.0, ":limit": budget.chunk() };
        let rows: Vec<(i64, Option<i64>)> = select
            .query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if rows.is_empty() {
            return Ok(true);
        }
        for (id, large) in rows {
            if let Some(large) = large.map(LargePayloadId) {
                while payloads::delete_a_part(connection, large)?.is_some() {
                    budget.spend(1);
                    if budget.is_spent() {
                        return Ok(false);
                    }
                }
                payloads::delete(connection, large)?;
            }
            delete.execute([id])?;
            budget.spend(1);
        }
    }
    Ok(false)
}

/// Rings when something may have been deleted.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ring.notify_all();
    }

    /// Waits until it rings, or has rung since the last wait, or for so long.
    pub(crate) fn wait(&self, timeout: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .ring
            .wait_timeout_while(rung, timeout, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_keys::NewClientKey;
    use super::super::projects::NewProject;
    use super::super::{Store, connection, organizations, projects};
    use super::*;
    use crate::domain::actor::{Actor, Who};
    use crate::domain::durability::Durability;
    use crate::domain::key::PublicKey;
    use crate::domain::slug::{Slug, SlugKind};
    use crate::domain::time::Timestamp;

    fn open() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        (directory, connection)
    }

    fn strings(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn all_parts() -> impl Iterator<Item = &'static Part> {
        [OF_PROJECT, OF_TEAM, OF_ORGANIZATION, &[DAILY_LEDGER]]
            .into_iter()
            .flatten()
    }

    /// Who adds a table decides here what becomes of its rows.
    #[test]
    fn every_table_with_something_of_theirs_is_emptied() {
        let (_directory, connection) = open();
        let owners = [
            "organization_id",
            "team_id",
            "project_id",
            "member_id",
            "key_id",
        ];
        // Removed by functions of their own, or kept.
        let others = [
            "organization",
            "team",
            "project",
            "client_key",
            "client_key_use",
            "key_window",
            "audit_entry",
            // Counts the rows of another table, and goes with the last.
            "member_block",
        ];
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        for table in strings(&connection, tables) {
            let columns = strings(
                &connection,
                &format!("SELECT name FROM pragma_table_info('{table}')"),
            );
            let is_owned = columns.iter().any(|name| owners.contains(&name.as_str()));
            let is_removed = all_parts().any(|part| part.table == table)
                || WITH_PAYLOADS.contains(&table.as_str())
                || others.contains(&table.as_str());
            assert!(!is_owned || is_removed, "{table} is forgotten");
        }
    }

    /// However many rows others have, a step walks over none of them.
    #[test]
    fn a_removal_walks_over_nobody_elses_rows() {
        let (_directory, connection) = open();
        for part in all_parts() {
            let explain = format!("EXPLAIN QUERY PLAN {}", part.sql());
            let mut statement = connection.prepare(&explain).unwrap();
            let params = named_params! { ":owner": 1, ":limit": 10 };
            let plan: Vec<String> = statement
                .query_map(params, |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(
                plan.iter().all(|line| !line.starts_with("SCAN")),
                "{}: {plan:?}",
                part.table
            );
        }
    }

    /// The very next request finds no key, whatever is left in the file; and the background is told.
    #[test]
    fn a_mark_holds_for_the_very_next_request() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("picket.db"), Durability::Normal).unwrap();
        let actor = Actor {
            who: Who::Operator,
            at: Timestamp::from_secs(1),
        };
        let public = PublicKey::random();
        let (organization, project) = store
            .write(move |unit| {
                let slug = Slug::parse(SlugKind::Organization, "acme").unwrap();
                let organization = organizations::create(unit, &actor, &slug, "Acme")?;
                let project = NewProject {
                    organization,
                    id: None,
                    slug: Slug::parse(SlugKind::Project, "web").unwrap(),
                    name: "Web".to_owned(),
                    platform: None,
                    origin: None,
                };
                let project = projects::create(unit, &actor, &project)?;
                let key = NewClientKey {
                    organization,
                    project,
                    public: Some(public),
                    secret: None,
                    label: String::new(),
                    rate_limit: None,
                };
                client_keys::create(unit, &actor, &key)?;
                Ok((organization, project))
            })
            .unwrap();
        let is_there = || {
            let snapshot = store.snapshot();
            (
                snapshot.project(project).is_some(),
                snapshot.key(&public).is_some(),
            )
        };
        let mark = |sql: &'static str, touched: Touched| {
            store.deletions().wait(Duration::ZERO);
            store
                .write(move |unit| {
                    unit.execute(sql, [])?;
                    unit.touch(touched);
                    Ok(())
                })
                .unwrap();
            let start = Instant::now();
            store.deletions().wait(Duration::from_secs(60));
            assert!(start.elapsed() < Duration::from_secs(60));
        };
        assert_eq!(is_there(), (true, true));
        mark(
            "UPDATE project SET deleted_us = 1",
            Touched::Project(project),
        );
        assert_eq!(is_there(), (false, false));
        mark(
            "UPDATE project SET deleted_us = NULL",
            Touched::Project(project),
        );
        assert_eq!(is_there(), (true, true));
        mark(
            "UPDATE organization SET deleted_us = 1",
            Touched::Organization(organization),
        );
        assert_eq!(is_there(), (false, false));
        mark("DELETE FROM team", Touched::Deleted);
    }

    #[test]
    fn a_bell_that_rang_before_the_wait_is_heard_once() {
        let bell = Bell::default();
        bell.ring();
        let long = Duration::from_secs(60);
        let start = Instant::now();
        bell.wait(long);
        assert!(start.elapsed() < long);
        let short = Duration::from_millis(10);
        let start = Instant::now();
        bell.wait(short);
        assert!(start.elapsed() >= short);
    }
}
