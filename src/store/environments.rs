//! Environments of projects. Events make them; the API hides and shows them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::domain::Result;
use crate::domain::id::ProjectId;

/// An environment that events of a project named.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) hidden: bool,
}

const COLUMNS: &str = "id, name, hidden";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Environment> {
    Ok(Environment {
        id: row.get("id")?,
        name: row.get("name")?,
        hidden: row.get("hidden")?,
    })
}

/// By name; `hidden` says which, and `None` means all.
pub(crate) fn list(
    connection: &Connection,
    project: ProjectId,
    hidden: Option<bool>,
) -> rusqlite::Result<Vec<Environment>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM environment
             WHERE project_id = :project AND (:hidden IS NULL OR hidden = :hidden) ORDER BY name"
        ))?
        .query_map(
            named_params! { ":project": project.0, ":hidden": hidden },
            from_row,
        )?
        .collect()
}

pub(crate) fn find(
    connection: &Connection,
    project: ProjectId,
    name: &str,
) -> rusqlite::Result<Option<Environment>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM environment WHERE project_id = :project AND name = :name"
        ))?
        .query_row(
            named_params! { ":project": project.0, ":name": name },
            from_row,
        )
        .optional()
}

/// Hides or shows an environment; whether there is one of that name. How lists look is nothing that an audit log
/// would tell.
pub(crate) fn set_hidden(
    connection: &Connection,
    project: ProjectId,
    name: &str,
    hidden: bool,
) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE environment SET hidden = :hidden WHERE project_id = :project AND name = :name",
        )?
        .execute(named_params! { ":hidden": hidden, ":project": project.0, ":name": name })?;
    Ok(changed > 0)
}
