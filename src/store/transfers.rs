//! Projects that are offered to other organizations, and how they move there.
//!
//! A project keeps its number and its keys, so that its DSNs go on working: an event that arrives while the project moves
//! is of the project before or after, and counted once either way. What was counted of a project goes with it, so that an
//! organization's totals are those of the projects that it has.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::organizations::{
    self, Organization, OrganizationFilter, OrganizationSlice, OrganizationsOf,
};
use super::projects::{self, Project};
use super::snapshot::Touched;
use super::teams::{self, Team};
use super::writer::Unit;
use super::{client_keys, members, users};
use crate::domain::access::Access;
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, ProjectId, UserId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::secret::SecretHash;
use crate::domain::slug::{IdOrSlug, Slug, SlugKind};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// How long an offer holds.
const OFFER_SECS: i64 = 7 * 86_400;

/// Any one of these in an organization lets somebody take a project into it.
pub(crate) const TAKES_PROJECTS: ScopeSet = ScopeSet::of(&[Scope::OrgAdmin, Scope::ProjectAdmin]);

/// A project on offer.
struct Offer {
    project: ProjectId,
    email: String,
    /// None for a token of the organization and the operator.
    user: Option<UserId>,
    expires: Timestamp,
}

const COLUMNS: &str = "project_id, email, user_id, expires_us";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Offer> {
    Ok(Offer {
        project: ProjectId(row.get("project_id")?),
        email: row.get("email")?,
        user: row.get::<_, Option<i64>>("user_id")?.map(UserId),
        expires: Timestamp::from_us(row.get("expires_us")?),
    })
}

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such offer: the link is wrong or was used, another one was made, the project is gone, or whoever
    /// offered it may not any more.
    NoOffer,
    Expired,
    /// It was made to another address.
    ForSomebodyElse,
    /// There is none, or the user may not take projects into it; which of the two is not told.
    NoOrganization,
    /// The project is there already.
    SameOrganization,
    /// There is none in that organization, or the user has no access to it.
    NoTeam,
}

impl Refusal {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Refusal::NoOffer => "This transfer link is not valid, or it was used already.",
            Refusal::Expired => "This transfer link has expired. Ask for a new one.",
            Refusal::ForSomebodyElse => "This project was offered to somebody else.",
            Refusal::NoOrganization => {
                "There is no such organization, or you may not take projects into it."
            }
            Refusal::SameOrganization => "The project is in this organization already.",
            Refusal::NoTeam => "There is no such team in that organization.",
        }
    }
}

/// Offers a project to the user of an address, who may not have an account yet; until when. Earlier offers of the
/// project hold no longer.
pub(crate) fn offer(
    unit: &mut Unit<'_>,
    actor: &Actor,
    by: Option<UserId>,
    project: &Project,
    email: &str,
    hash: SecretHash,
) -> Result<Timestamp> {
    let expires = actor.at.plus_secs(OFFER_SECS);
    unit.prepare_cached(
        "INSERT INTO project_transfer (project_id, hash, email, user_id, created_us, expires_us)
         VALUES (:project, :hash, :email, :user, :created, :expires)
         ON CONFLICT (project_id) DO UPDATE SET hash = excluded.hash, email = excluded.email, user_id = excluded.user_id,
                                                created_us = excluded.created_us, expires_us = excluded.expires_us",
    )?
    .execute(named_params! {
        ":project": project.id.0,
        ":hash": hash.0.as_slice(),
        ":email": email,
        ":user": by.map(|user| user.0),
        ":created": actor.at.us(),
        ":expires": expires.us(),
    })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(project.organization),
            event: "project.request-transfer",
            target: project.id.0,
            data: json!({ "project_slug": project.slug.as_str(), "email": email }),
        },
    )?;
    Ok(expires)
}

/// Who follows a link: a user with an address, and the scopes of what they came by.
#[derive(Clone, Debug)]
pub(crate) struct Taker {
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) token_scopes: ScopeSet,
}

/// The project of a link with its organization.
///
/// # Errors
/// The outer one is of the file.
pub(crate) fn find(
    connection: &Connection,
    taker: &Taker,
    hash: SecretHash,
    now: Timestamp,
) -> Result<Result<(Project, Organization), Refusal>> {
    let offer = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project_transfer WHERE hash = :hash"
        ))?
        .query_row([hash.0.as_slice()], from_row)
        .optional()?;
    let Some(offer) = offer else {
        return Ok(Err(Refusal::NoOffer));
    };
    if !offer.email.eq_ignore_ascii_case(&taker.email) {
        return Ok(Err(Refusal::ForSomebodyElse));
    }
    if now >= offer.expires {
        return Ok(Err(Refusal::Expired));
    }
    let Some((project, organization)) = find_project(connection, offer.project)? else {
        return Ok(Err(Refusal::NoOffer));
    };
    if let Some(user) = offer.user {
        let is_active = users::find(connection, user)?.is_some_and(|user| user.active);
        let access = access_of(connection, &organization, user, ScopeSet::ALL)?;
        let teams = projects::list_team_ids(connection, project.id)?;
        let may = access.allows_project(ScopeSet::of(&[Scope::ProjectAdmin]), &teams);
        if !(is_active && may) {
            return Ok(Err(Refusal::NoOffer));
        }
    }
    Ok(Ok((project, organization)))
}

fn find_project(connection: &Connection, id: ProjectId) -> Result<Option<(Project, Organization)>> {
    let Some(organization) = projects::find_organization(connection, id)? else {
        return Ok(None);
    };
    let organization = organizations::find(connection, &IdOrSlug::Id(organization.0))?;
    let Some(organization) = organization else {
        return Ok(None);
    };
    let project = projects::find(connection, organization.id, &IdOrSlug::Id(id.0))?;
    Ok(project.map(|project| (project, organization)))
}

fn access_of(
    connection: &Connection,
    organization: &Organization,
    user: UserId,
    token_scopes: ScopeSet,
) -> Result<Access> {
    let membership = members::find_membership(connection, organization.id, user)?;
    Ok(Access::of_user(
        token_scopes,
        membership,
        organization.policy,
    ))
}

/// An organization that a project may be taken into, with the teams that may have it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) organization: Organization,
    pub(crate) teams: Vec<Team>,
}

/// Where a user may take a project of an organization, by name.
pub(crate) fn list_destinations(
    connection: &Connection,
    taker: &Taker,
    from: OrganizationId,
) -> Result<Vec<Destination>> {
    let all = organizations::list(
        connection,
        OrganizationsOf::User(taker.user),
        &OrganizationFilter::default(),
        OrganizationSlice::ByName,
    )?;
    let mut destinations = Vec::new();
    for organization in all {
        let access = access_of(connection, &organization, taker.user, taker.token_scopes)?;
        if organization.id == from || !access.allows(TAKES_PROJECTS) {
            continue;
        }
        let teams = teams::list(connection, organization.id)?;
        let teams = teams
            .into_iter()
            .map(|(team, _)| team)
            .filter(|team| access.sees_project(&[team.id]))
            .collect();
        destinations.push(Destination {
            organization,
            teams,
        });
    }
    Ok(destinations)
}

/// Takes the project of a link into an organization, where one of its teams gets it if one is named. The link works once.
///
/// # Errors
/// The outer one is of the file.
pub(crate) fn accept(
    unit: &mut Unit<'_>,
    actor: &Actor,
    taker: &Taker,
    hash: SecretHash,
    organization: &IdOrSlug,
    team: Option<&IdOrSlug>,
) -> Result<Result<(Project, Organization), Refusal>> {
    let (project, old) = match find(unit, taker, hash, actor.at)? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(new) = organizations::find(unit, organization)? else {
        return Ok(Err(Refusal::NoOrganization));
    };
    let access = access_of(unit, &new, taker.user, taker.token_scopes)?;
    if !access.allows(TAKES_PROJECTS) {
        return Ok(Err(Refusal::NoOrganization));
    }
    if new.id == old.id {
        return Ok(Err(Refusal::SameOrganization));
    }
    let team = match team {
        None => None,
        Some(segment) => {
            let team = teams::find(unit, new.id, segment)?;
            match team.filter(|team| access.sees_project(&[team.id])) {
                Some(team) => Some(team),
                None => return Ok(Err(Refusal::NoTeam)),
            }
        }
    };
    let project = transfer(unit, actor, &project, &old, &new, team.as_ref())?;
    Ok(Ok((project, new)))
}

/// Moves a project to another organization. It keeps its number, keys, settings and data; its teams and its old slugs
/// stay behind, and so do the bookmarks of those who are not there. Where its slug is taken it gets one like it.
pub(crate) fn transfer(
    unit: &mut Unit<'_>,
    actor: &Actor,
    project: &Project,
    old: &Organization,
    new: &Organization,
    team: Option<&Team>,
) -> Result<Project> {
    let slug = free_slug(unit, new.id, &project.slug)?;
    for sql in [
        "DELETE FROM project_team WHERE project_id = :project",
        "DELETE FROM project_transfer WHERE project_id = :project",
        "DELETE FROM project_slug_redirect WHERE project_id = :project",
    ] {
        unit.prepare_cached(sql)?.execute([project.id.0])?;
    }
    unit.prepare_cached(
        "DELETE FROM project_bookmark
         WHERE project_id = :project
           AND user_id NOT IN (SELECT user_id FROM member WHERE organization_id = :new AND user_id IS NOT NULL)",
    )?
    .execute(named_params! { ":project": project.id.0, ":new": new.id.0 })?;
    // A project that takes a slug wins over one that had it before.
    unit.prepare_cached(
        "DELETE FROM project_slug_redirect WHERE organization_id = :new AND slug = :slug",
    )?
    .execute(named_params! { ":new": new.id.0, ":slug": slug.as_str() })?;
    unit.prepare_cached(
        "UPDATE project SET organization_id = :new, slug = :slug WHERE id = :project AND deleted_us IS NULL",
    )?
    .execute(named_params! { ":new": new.id.0, ":slug": slug.as_str(), ":project": project.id.0 })?;
    unit.prepare_cached(
        "UPDATE client_key SET organization_id = :new WHERE project_id = :project",
    )?
    .execute(named_params! { ":new": new.id.0, ":project": project.id.0 })?;
    if let Some(team) = team {
        unit.prepare_cached(
            "INSERT INTO project_team (project_id, team_id) VALUES (:project, :team)",
        )?
        .execute(named_params! { ":project": project.id.0, ":team": team.id.0 })?;
    }
    // Options and the default limit of keys are now those of the other organization. The project first: what limits a
    // key is read from it.
    unit.touch(Touched::Project(project.id));
    for key in client_keys::list_of_project(unit, project.id)? {
        unit.touch(Touched::Key(key.public));
    }
    let data = json!({
        "project_slug": slug.as_str(),
        "old_organization_slug": old.slug.as_str(),
        "new_organization_slug": new.slug.as_str(),
    });
    for organization in [old.id, new.id] {
        audit::record(
            unit,
            actor,
            Entry {
                organization: Some(organization),
                event: "project.accept-transfer",
                target: project.id.0,
                data: data.clone(),
            },
        )?;
    }
    projects::find(unit, new.id, &IdOrSlug::Id(project.id.0))?
        .ok_or_else(|| Error::internal("a project that was just moved is not there"))
}

/// The slug itself, or one like it if another project of the organization has it.
fn free_slug(connection: &Connection, organization: OrganizationId, slug: &Slug) -> Result<Slug> {
    let is_taken = |slug: &Slug| -> Result<bool> {
        let segment = IdOrSlug::Slug(slug.to_string());
        Ok(projects::find(connection, organization, &segment)?.is_some())
    };
    match is_taken(slug)? {
        false => Ok(slug.clone()),
        true => Slug::derive(SlugKind::Project, slug.as_str(), is_taken),
    }
}
