//! Who owns which part of a project's code: the rules as they were written.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::projects::Project;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;

/// The rules of a project and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// None when they were cleared.
    pub(crate) raw: Option<String>,
    pub(crate) fallthrough: bool,
    /// The API's words.
    pub(crate) auto_assignment: String,
    pub(crate) codeowners_auto_sync: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

const COLUMNS: &str =
    "raw, fallthrough, auto_assignment, codeowners_auto_sync, created_us, updated_us";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Ownership> {
    Ok(Ownership {
        raw: row.get("raw")?,
        fallthrough: row.get("fallthrough")?,
        auto_assignment: row.get("auto_assignment")?,
        codeowners_auto_sync: row.get("codeowners_auto_sync")?,
        created: Timestamp::from_us(row.get("created_us")?),
        updated: Timestamp::from_us(row.get("updated_us")?),
    })
}

pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Option<Ownership>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project_ownership WHERE project_id = :project"
        ))?
        .query_row([project.0], from_row)
        .optional()
}

/// Writes them down; when they were first is kept.
pub(crate) fn set(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    new: &Ownership,
) -> Result<()> {
    unit.prepare_cached(
        "INSERT INTO project_ownership (project_id, raw, fallthrough, auto_assignment, codeowners_auto_sync,
                                        created_us, updated_us)
         VALUES (:project, :raw, :fallthrough, :auto_assignment, :codeowners_auto_sync, :now, :now)
         ON CONFLICT DO UPDATE SET raw = excluded.raw, fallthrough = excluded.fallthrough,
                                   auto_assignment = excluded.auto_assignment,
                                   codeowners_auto_sync = excluded.codeowners_auto_sync,
                                   updated_us = excluded.updated_us",
    )?
    .execute(named_params! {
        ":project": project.id.0,
        ":raw": new.raw,
        ":fallthrough": new.fallthrough,
        ":auto_assignment": new.auto_assignment,
        ":codeowners_auto_sync": new.codeowners_auto_sync,
        ":now": actor.at.us(),
    })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: "project.ownership-rule.edit",
            target: project.id.0,
            data: json!({
                "slug": project.slug.as_str(),
                "fallthrough": new.fallthrough,
                "autoAssignment": new.auto_assignment,
            }),
        },
    )?;
    Ok(())
}
