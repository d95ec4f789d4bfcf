//! Organizations.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value, json};

use super::DatePlace;
use super::audit::{self, Entry};
use super::conflict;
use super::snapshot::Touched;
use super::writer::Unit;
use crate::domain::access::MemberPolicy;
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::option::{ORGANIZATION_OPTIONS, Options};
use crate::domain::scope::OrganizationRole;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// An organization as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Organization {
    pub(crate) id: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    /// What its plain members may do.
    pub(crate) policy: MemberPolicy,
    /// This and the next are shown as they were set.
    pub(crate) early_adopter: bool,
    pub(crate) superuser_access: bool,
    /// Whether members who sign in must have a second factor.
    pub(crate) require_2fa: bool,
    /// Whether members must come through its identity provider; none without one.
    pub(crate) single_sign_on: Option<bool>,
    pub(crate) created: Timestamp,
}

pub(super) const COLUMNS: &str = "organization.id, organization.slug, organization.name, organization.created_us, \
     organization.open_membership, organization.members_invite, organization.members_create_projects, \
     organization.members_admin_events, organization.members_write_alerts, organization.early_adopter, \
     organization.superuser_access, organization.require_2fa, \
     (SELECT required FROM identity_provider WHERE organization_id = organization.id) AS sso_required";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Organization> {
    Ok(Organization {
        id: OrganizationId(row.get("id")?),
        slug: Slug::stored(row.get("slug")?),
        name: row.get("name")?,
        policy: MemberPolicy {
            open_membership: row.get("open_membership")?,
            invite: row.get("members_invite")?,
            create_projects: row.get("members_create_projects")?,
            admin_events: row.get("members_admin_events")?,
            write_alerts: row.get("members_write_alerts")?,
        },
        early_adopter: row.get("early_adopter")?,
        superuser_access: row.get("superuser_access")?,
        require_2fa: row.get("require_2fa")?,
        single_sign_on: row.get("sso_required")?,
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
                "SELECT {COLUMNS} FROM organization WHERE id = :id AND deleted_us IS NULL"
            ))?
            .query_row([id], from_row)
            .optional(),
        // Unique without case, looked up exactly (facts/management-api.md 1.1).
        IdOrSlug::Slug(slug) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM organization WHERE slug = :slug AND slug = :slug COLLATE BINARY
                   AND deleted_us IS NULL"
            ))?
            .query_row([slug], from_row)
            .optional(),
    }
}

/// Every organization, by slug.
pub(crate) fn list_all(connection: &Connection) -> Result<Vec<Organization>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM organization WHERE deleted_us IS NULL ORDER BY slug"
        ))?
        .query_map([], from_row)?
        .collect::<rusqlite::Result<_>>()?)
}

/// How much an organization has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    /// Invitations count.
    pub(crate) members: u32,
    pub(crate) teams: u32,
    pub(crate) projects: u32,
}

pub(crate) fn count_contents(connection: &Connection, id: OrganizationId) -> Result<Contents> {
    Ok(connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM member WHERE organization_id = :id) AS members,
                    (SELECT count(*) FROM team WHERE organization_id = :id AND deleted_us IS NULL) AS teams,
                    (SELECT count(*) FROM project WHERE organization_id = :id AND deleted_us IS NULL) AS projects",
        )?
        .query_row([id.0], |row| {
            Ok(Contents {
                members: row.get("members")?,
                teams: row.get("teams")?,
                projects: row.get("projects")?,
            })
        })?)
}

/// Whether there is any organization.
pub(crate) fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM organization WHERE deleted_us IS NULL")?
        .exists([])
}

/// Whether it is there, and not deleted.
pub(crate) fn is_there(connection: &Connection, id: OrganizationId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM organization WHERE id = :id AND deleted_us IS NULL")?
        .exists([id.0])
}

/// Whether some organization has this slug, compared as the file's uniqueness does: without case.
pub(crate) fn slug_is_taken(connection: &Connection, slug: &Slug) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM organization WHERE slug = :slug")?
        .exists([slug.as_str()])
}

/// Which organizations a list is of: those that the caller may see.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OrganizationsOf {
    /// Those that the user is a member of.
    User(UserId),
    /// This one.
    Organization(OrganizationId),
}

/// Which of them. Lists are alternatives, and `None` means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrganizationFilter {
    /// Part of the name or slug, or the whole address of a member, without case.
    pub(crate) text: Option<String>,
    pub(crate) ids: Option<Vec<i64>>,
    /// Compared without case.
    pub(crate) slugs: Option<Vec<String>>,
    /// Of a member.
    pub(crate) emails: Option<Vec<String>>,
    pub(crate) members: Option<Vec<i64>>,
}

/// A part of a list, and in which order that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrganizationSlice {
    NewestFirst {
        place: DatePlace,
        limit: u32,
    },
    MostMembersFirst {
        offset: i64,
        limit: i64,
    },
    /// All, by name.
    ByName,
}

pub(crate) fn list(
    connection: &Connection,
    of: OrganizationsOf,
    filter: &OrganizationFilter,
    slice: OrganizationSlice,
) -> Result<Vec<Organization>> {
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = Vec::new();
    let mut conditions = String::from("organization.deleted_us IS NULL AND ");
    let owner = match of {
        OrganizationsOf::User(user) => {
            conditions.push_str(
                "organization.id IN (SELECT organization_id FROM member WHERE user_id = :owner)",
            );
            user.0
        }
        OrganizationsOf::Organization(id) => {
            conditions.push_str("organization.id = :owner");
            id.0
        }
    };
    params.push((":owner", &owner));
    let json = |list: &Option<Vec<String>>| list.as_ref().map(|list| json!(list).to_string());
    let numbers = |list: &Option<Vec<i64>>| list.as_ref().map(|list| json!(list).to_string());
    let (slugs, emails) = (json(&filter.slugs), json(&filter.emails));
    let (ids, members) = (numbers(&filter.ids), numbers(&filter.members));
    if let Some(text) = &filter.text {
        conditions.push_str(
            " AND (instr(lower(organization.name), lower(:text)) OR instr(lower(organization.slug), lower(:text))
                   OR EXISTS (SELECT 1 FROM member JOIN user ON user.id = member.user_id
                              WHERE member.organization_id = organization.id AND user.email = :text))",
        );
        params.push((":text", text));
    }
    if let Some(ids) = &ids {
        conditions.push_str(" AND organization.id IN (SELECT value FROM json_each(:ids))");
        params.push((":ids", ids));
    }
    if let Some(slugs) = &slugs {
        conditions.push_str(
            " AND lower(organization.slug) IN (SELECT lower(value) FROM json_each(:slugs))",
        );
        params.push((":slugs", slugs));
    }
    if let Some(emails) = &emails {
        conditions.push_str(
            " AND EXISTS (SELECT 1 FROM member JOIN user ON user.id = member.user_id
                          WHERE member.organization_id = organization.id
                            AND lower(user.email) IN (SELECT lower(value) FROM json_each(:emails)))",
        );
        params.push((":emails", emails));
    }
    if let Some(members) = &members {
        conditions.push_str(
            " AND EXISTS (SELECT 1 FROM member WHERE member.organization_id = organization.id
                          AND member.id IN (SELECT value FROM json_each(:members)))",
        );
        params.push((":members", members));
    }
    let place = match slice {
        OrganizationSlice::NewestFirst { place, .. } => place,
        OrganizationSlice::MostMembersFirst { .. } | OrganizationSlice::ByName => DatePlace::First,
    };
    let (beyond, newest_first) = place.sql("organization");
    let boundary = place.boundary(connection, "organization")?;
    if let Some((us, id)) = &boundary {
        conditions.push_str(&beyond);
        params.push((":place_us", us));
        params.push((":place_id", id));
    }
    let (order, offset, limit) = match slice {
        OrganizationSlice::NewestFirst { limit, .. } => {
            (newest_first.as_str(), 0, i64::from(limit))
        }
        OrganizationSlice::MostMembersFirst { offset, limit } => (
            "(SELECT count(*) FROM member WHERE member.organization_id = organization.id) DESC,
             organization.id DESC",
            offset,
            limit,
        ),
        OrganizationSlice::ByName => (
            "organization.name COLLATE NOCASE, organization.id",
            0,
            i64::MAX,
        ),
    };
    params.push((":limit", &limit));
    params.push((":offset", &offset));
    let mut organizations = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM organization WHERE {conditions} ORDER BY {order} LIMIT :limit OFFSET :offset"
        ))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    place.newest_first(&mut organizations);
    Ok(organizations)
}

/// How many users who can sign in have this role; invitations do not count.
pub(crate) fn count_members(
    connection: &Connection,
    organization: OrganizationId,
    role: OrganizationRole,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM member JOIN user ON user.id = member.user_id
             WHERE member.organization_id = :organization AND member.role = :role AND user.active",
        )?
        .query_row(
            named_params! { ":organization": organization.0, ":role": role.as_str() },
            |row| row.get(0),
        )
}

/// # Errors
/// `Conflict`: another organization has it.
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
    .map_err(|error| conflict(error, || format!("The slug \"{slug}\" is already in use.")))?;
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

/// The stored options of an organization.
pub(crate) fn list_options(
    connection: &Connection,
    organization: OrganizationId,
) -> Result<Options> {
    let rows: Vec<(String, String)> = connection
        .prepare_cached(
            "SELECT name, value FROM organization_option WHERE organization_id = :organization",
        )?
        .query_map([organization.0], |row| {
            Ok((row.get("name")?, row.get("value")?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(name, value)| Ok((name, serde_json::from_str(&value).map_err(Error::internal)?)))
        .collect()
}

/// Sets an option; whether that changed it. The caller has checked name and value.
pub(crate) fn set_option(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    name: &str,
    value: &Value,
) -> Result<bool> {
    let stored = list_options(unit, organization)?;
    let Some(text) = change_text(stored.get(name), Some(value)) else {
        return Ok(false);
    };
    put_option(unit, organization, name, value)?;
    unit.touch(Touched::Organization(organization));
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "org.edit",
            target: organization.0,
            data: json!({ name: text }),
        },
    )?;
    Ok(true)
}

/// How the audit log tells that an option has another value; none if it has not.
fn change_text(old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    // A text without quotes, and a list of lines in one.
    let shown = |value: &Value| match value {
        Value::String(text) => text.replace('\n', ", "),
        other => other.to_string(),
    };
    match (old, new) {
        (old, new) if old == new => None,
        (None, new) => Some(format!("to {}", new.map(shown).unwrap_or_default())),
        (Some(old), Some(new)) => Some(format!("from {} to {}", shown(old), shown(new))),
        (Some(old), None) => Some(format!("from {} to none", shown(old))),
    }
}

/// How many rows that changed: one or none.
fn put_option(
    connection: &Connection,
    organization: OrganizationId,
    name: &str,
    value: &Value,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO organization_option (organization_id, name, value)
             VALUES (:organization, :name, :value)
             ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        )?
        .execute(named_params! {
            ":organization": organization.0,
            ":name": name,
            ":value": value.to_string(),
        })
}

/// What a change of an organization leaves, column by column, and the options that it sets.
#[derive(Clone, Debug)]
pub(crate) struct OrganizationChange {
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) policy: MemberPolicy,
    pub(crate) early_adopter: bool,
    pub(crate) superuser_access: bool,
    pub(crate) require_2fa: bool,
    pub(crate) options: Vec<OptionChange>,
}

/// An option's new value.
#[derive(Clone, Debug)]
pub(crate) struct OptionChange {
    /// What the API calls it, for the audit log.
    pub(crate) field: &'static str,
    pub(crate) option: &'static str,
    /// None takes the option away.
    pub(crate) value: Option<Value>,
}

/// Changes an organization, and writes down in one entry what is other than before.
///
/// # Errors
/// `Conflict`: another organization has the slug.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    old: &Organization,
    new: &OrganizationChange,
) -> Result<()> {
    let mut data = update_columns(unit, old, new)?;
    update_options(unit, old.id, &new.options, &mut data)?;
    if data.is_empty() {
        return Ok(());
    }
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(old.id),
            event: "org.edit",
            target: old.id.0,
            data: Value::Object(data),
        },
    )?;
    Ok(())
}

/// What changed.
fn update_columns(
    unit: &Unit<'_>,
    old: &Organization,
    new: &OrganizationChange,
) -> Result<Map<String, Value>> {
    let mut data = Map::new();
    let (was, is) = (&old.policy, &new.policy);
    for (field, old, new) in [
        ("slug", old.slug.as_str(), new.slug.as_str()),
        ("name", &old.name, &new.name),
    ] {
        if old != new {
            data.insert(field.to_owned(), json!(format!("from {old} to {new}")));
        }
    }
    for (field, old, new) in [
        ("openMembership", was.open_membership, is.open_membership),
        ("allowMemberInvite", was.invite, is.invite),
        (
            "allowMemberProjectCreation",
            was.create_projects,
            is.create_projects,
        ),
        ("eventsMemberAdmin", was.admin_events, is.admin_events),
        ("alertsMemberWrite", was.write_alerts, is.write_alerts),
        ("isEarlyAdopter", old.early_adopter, new.early_adopter),
        (
            "allowSuperuserAccess",
            old.superuser_access,
            new.superuser_access,
        ),
        ("require2FA", old.require_2fa, new.require_2fa),
    ] {
        if old != new {
            data.insert(field.to_owned(), json!(format!("from {old} to {new}")));
        }
    }
    if data.is_empty() {
        return Ok(data);
    }
    unit.prepare_cached(
        "UPDATE organization
         SET slug = :slug, name = :name, open_membership = :open_membership, members_invite = :invite,
             members_create_projects = :create_projects, members_admin_events = :admin_events,
             members_write_alerts = :write_alerts, early_adopter = :early_adopter,
             superuser_access = :superuser_access, require_2fa = :require_2fa
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":slug": new.slug.as_str(),
        ":name": new.name,
        ":open_membership": is.open_membership,
        ":invite": is.invite,
        ":create_projects": is.create_projects,
        ":admin_events": is.admin_events,
        ":write_alerts": is.write_alerts,
        ":early_adopter": new.early_adopter,
        ":superuser_access": new.superuser_access,
        ":require_2fa": new.require_2fa,
        ":id": old.id.0,
    })
    .map_err(|error| {
        conflict(error, || {
            format!("The slug \"{}\" is in use by another organization.", new.slug)
        })
    })?;
    Ok(data)
}

/// Adds what changed to `data`.
fn update_options(
    unit: &mut Unit<'_>,
    organization: OrganizationId,
    changes: &[OptionChange],
    data: &mut Map<String, Value>,
) -> Result<()> {
    let stored = list_options(unit, organization)?;
    let mut governs_ingestion = false;
    for OptionChange {
        field,
        option,
        value,
    } in changes
    {
        let Some(text) = change_text(stored.get(*option), value.as_ref()) else {
            continue;
        };
        data.insert((*field).to_owned(), json!(text));
        match value {
            Some(value) => put_option(unit, organization, option, value)?,
            None => unit
                .prepare_cached(
                    "DELETE FROM organization_option WHERE organization_id = :organization AND name = :name",
                )?
                .execute(named_params! { ":organization": organization.0, ":name": option })?,
        };
        governs_ingestion |= ORGANIZATION_OPTIONS.iter().any(|(name, _)| name == option);
    }
    // Every project and key of the organization is read anew, so only once, and only when it matters.
    if governs_ingestion {
        unit.touch(Touched::Organization(organization));
    }
    Ok(())
}

/// Demands a second factor of nobody any more, as when an identity provider comes to vouch for the members; whether
/// it was demanded.
pub(crate) fn stop_requiring_2fa(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
) -> Result<bool> {
    let stopped = unit
        .prepare_cached("UPDATE organization SET require_2fa = 0 WHERE id = :id AND require_2fa")?
        .execute([organization.0])?;
    if stopped > 0 {
        audit::record(
            unit,
            actor,
            Entry {
                organization: Some(organization),
                event: "org.edit",
                target: organization.0,
                data: json!({ "require2FA": "from true to false" }),
            },
        )?;
    }
    Ok(stopped > 0)
}

/// Whether an identity provider vouches for the members.
pub(crate) fn has_provider(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM identity_provider WHERE organization_id = :organization")?
        .exists([organization.0])
}

/// Hides an organization with all that it has. Its slug is free at once, its keys and tokens are good for nothing; what
/// belongs to it is removed in the background.
///
/// # Errors
/// `NotFound`: it is gone already.
pub(crate) fn delete(unit: &mut Unit<'_>, actor: &Actor, old: &Organization) -> Result<()> {
    let hidden = unit
        .prepare_cached(
            "UPDATE organization SET deleted_us = :now, slug = slug || '~' || id
             WHERE id = :id AND deleted_us IS NULL",
        )?
        .execute(named_params! { ":now": actor.at.us(), ":id": old.id.0 })?;
    if hidden == 0 {
        return Err(Error::NotFound);
    }
    unit.touch(Touched::Organization(old.id));
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(old.id),
            event: "org.remove",
            target: old.id.0,
            data: json!({ "slug": old.slug.as_str(), "name": old.name }),
        },
    )?;
    Ok(())
}
