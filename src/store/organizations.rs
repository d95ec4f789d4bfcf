//! Organizations.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::is_unique_violation;
use super::writer::Unit;
use crate::domain::actor::Actor;
use crate::domain::id::OrganizationId;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// An organization as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Organization {
    pub(crate) id: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    /// Every member may see every team and project.
    pub(crate) open_membership: bool,
    pub(crate) created: Timestamp,
}

pub(super) const COLUMNS: &str = "organization.id, organization.slug, organization.name, organization.open_membership, organization.created_us";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Organization> {
    Ok(Organization {
        id: OrganizationId(row.get("id")?),
        slug: Slug::stored(row.get("slug")?),
        name: row.get("name")?,
        open_membership: row.get("open_membership")?,
        created: Timestamp::from_us(row.get("created_us")?),
    })
}

pub(crate) fn find(
    connection: &Connection,
    organization: &IdOrSlug,
) -> rusqlite::Result<Option<Organization>> {
    match organization {
        IdOrSlug::Id(id) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM organization WHERE id = :id"
            ))?
            .query_row([id], from_row)
            .optional(),
        // Unique without case, looked up exactly (facts/management-api.md 1.1).
        IdOrSlug::Slug(slug) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM organization WHERE slug = :slug AND slug = :slug COLLATE BINARY"
            ))?
            .query_row([slug], from_row)
            .optional(),
    }
}

/// Whether there is any organization.
pub(crate) fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM organization")?
        .exists([])
}

/// Whether some organization has this slug, compared as the file's uniqueness does: without case.
pub(crate) fn slug_is_taken(connection: &Connection, slug: &Slug) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM organization WHERE slug = :slug")?
        .exists([slug.as_str()])
}

/// # Errors
/// `Conflict` on `slug`: another organization has it.
pub(crate) fn create(
    unit: &mut Unit<'_>,
    actor: &Actor,
    slug: &Slug,
    name: &str,
) -> Result<OrganizationId> {
    unit.prepare_cached(
        "INSERT INTO organization (slug, name, created_us) VALUES (:slug, :name, :created)",
    )?
    .execute(named_params! {
        ":slug": slug.as_str(),
        ":name": name,
        ":created": actor.at.us(),
    })
    .map_err(|error| {
        if is_unique_violation(&error) {
            Error::Conflict {
                text: format!("The slug \"{slug}\" is already in use."),
                field: Some("slug".to_owned()),
            }
        } else {
            error.into()
        }
    })?;
    let id = OrganizationId(unit.last_insert_rowid());
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(id),
            event: "org.create",
            target: id.0,
            data: json!({ "slug": slug.as_str(), "name": name }),
        },
    )?;
    Ok(id)
}

/// Changes the name.
pub(crate) fn rename(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: &Organization,
    name: &str,
) -> Result<()> {
    unit.prepare_cached("UPDATE organization SET name = :name WHERE id = :id")?
        .execute(named_params! { ":name": name, ":id": organization.id.0 })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization.id),
            event: "org.edit",
            target: organization.id.0,
            data: json!({ "name": format!("from {} to {name}", organization.name) }),
        },
    )?;
    Ok(())
}
