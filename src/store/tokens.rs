//! API tokens. Only their hashes are here.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::conflict;
use super::snapshot::Touched;
use super::writer::Unit;
use super::{access, organizations, projects};
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, ProjectId, TokenId, UserId};
use crate::domain::scope::ScopeSet;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash, TokenOwner, TokenText, USE_DAYS};
use crate::domain::{Error, Result};

/// A token about to be made.
pub(crate) struct NewToken {
    pub(crate) owner: TokenOwner,
    pub(crate) name: String,
    pub(crate) text: TokenText,
    /// With all that they imply.
    pub(crate) scopes: ScopeSet,
    pub(crate) expires: Option<Timestamp>,
    /// The only projects that it is for; empty for all.
    pub(crate) projects: Vec<ProjectId>,
}

pub(super) const COLUMNS: &str = "id, kind, user_id, organization_id, name, last_characters, scopes, created_us, expires_us, \
     last_used_us, last_address, last_project_id, revoked_us, disabled, allowed_origins, \
     (SELECT json_group_array(project_id) FROM auth_token_project WHERE token_id = auth_token.id) AS projects";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Token> {
    let moment = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_us))
    };
    let user: Option<i64> = row.get("user_id")?;
    let kind: String = row.get("kind")?;
    let scopes: String = row.get("scopes")?;
    let projects: String = row.get("projects")?;
    let projects: Vec<i64> = serde_json::from_str(&projects).unwrap_or_default();
    Ok(Token {
        id: TokenId(row.get("id")?),
        owner: match user {
            Some(user) => TokenOwner::User(UserId(user)),
            None => {
                let organization = OrganizationId(row.get("organization_id")?);
                match kind.as_str() {
                    API_KEY => TokenOwner::ApiKey(organization),
                    _ => TokenOwner::Organization(organization),
                }
            }
        },
        name: row.get("name")?,
        last_characters: row.get("last_characters")?,
        // A word that is no scope, of whatever origin, opens nothing.
        scopes: ScopeSet::parse(&scopes).unwrap_or_default(),
        created: Timestamp::from_us(row.get("created_us")?),
        expires: moment("expires_us")?,
        last_used: moment("last_used_us")?,
        last_address: row.get("last_address")?,
        last_project: row.get::<_, Option<i64>>("last_project_id")?.map(ProjectId),
        revoked: moment("revoked_us")?,
        disabled: row.get("disabled")?,
        allowed_origins: row.get("allowed_origins")?,
        projects: projects.into_iter().map(ProjectId).collect(),
    })
}

/// The token of this hash, also when it is revoked or expired. Those of a deleted organization are gone with it.
pub(crate) fn find_by_hash(
    connection: &Connection,
    hash: TokenHash,
) -> rusqlite::Result<Option<Token>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM auth_token
             WHERE hash = :hash
               AND (organization_id IS NULL
                    OR EXISTS (SELECT 1 FROM organization WHERE organization.id = organization_id AND deleted_us IS NULL))"
        ))?
        .query_row([hash.0.as_slice()], from_row)
        .optional()
}

pub(crate) fn find(connection: &Connection, id: TokenId) -> rusqlite::Result<Option<Token>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM auth_token WHERE id = :id"))?
        .query_row([id.0], from_row)
        .optional()
}

/// The token of this owner and name that is not revoked; the newest, if there are several.
pub(crate) fn find_by_name(
    connection: &Connection,
    owner: TokenOwner,
    name: &str,
) -> rusqlite::Result<Option<Token>> {
    let (kind, user, organization) = owner_columns(owner);
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM auth_token
             WHERE kind = :kind AND user_id IS :user AND organization_id IS :organization AND name = :name
               AND revoked_us IS NULL
             ORDER BY id DESC LIMIT 1"
        ))?
        .query_row(
            named_params! { ":kind": kind, ":user": user, ":organization": organization, ":name": name },
            from_row,
        )
        .optional()
}

/// Every token, oldest first.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Token>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM auth_token ORDER BY id"))?
        .query_map([], from_row)?
        .collect()
}

/// The tokens of an owner that are not revoked, oldest first.
pub(crate) fn list_of(connection: &Connection, owner: TokenOwner) -> rusqlite::Result<Vec<Token>> {
    let (kind, user, organization) = owner_columns(owner);
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM auth_token
             WHERE kind = :kind AND user_id IS :user AND organization_id IS :organization AND revoked_us IS NULL
             ORDER BY id"
        ))?
        .query_map(
            named_params! { ":kind": kind, ":user": user, ":organization": organization },
            from_row,
        )?
        .collect()
}

/// The token of an owner that has this number and is not revoked.
pub(crate) fn find_of(
    connection: &Connection,
    owner: TokenOwner,
    id: TokenId,
) -> rusqlite::Result<Option<Token>> {
    let token = find(connection, id)?;
    Ok(token.filter(|token| token.owner == owner && token.revoked.is_none()))
}

/// The project that somebody names for a token of this owner: by number, as `organization/project` in slugs or numbers,
/// and for an organization's token by its slug alone. None that is not the organization's, or that the user does not
/// see.
pub(crate) fn find_project(
    connection: &Connection,
    owner: TokenOwner,
    name: &str,
) -> Result<Option<ProjectId>> {
    let own = match owner {
        TokenOwner::User(_) => None,
        TokenOwner::Organization(id) | TokenOwner::ApiKey(id) => Some(id),
    };
    let (organization, project) = match (name.split_once('/'), IdOrSlug::parse(name)) {
        (Some((organization, project)), _) => {
            (IdOrSlug::parse(organization), IdOrSlug::parse(project))
        }
        (None, IdOrSlug::Id(id)) => {
            let Some(organization) = projects::find_organization(connection, ProjectId(id))? else {
                return Ok(None);
            };
            (IdOrSlug::Id(organization.0), IdOrSlug::Id(id))
        }
        (None, slug) => match own {
            Some(organization) => (IdOrSlug::Id(organization.0), slug),
            None => return Ok(None),
        },
    };
    let Some(organization) = organizations::find(connection, &organization)? else {
        return Ok(None);
    };
    let Some(project) = projects::find(connection, organization.id, &project)? else {
        return Ok(None);
    };
    let is_seen = match owner {
        TokenOwner::User(user) => {
            let access = access::of_user(connection, user, ScopeSet::ALL, &organization)?;
            access.sees_project(&projects::list_team_ids(connection, project.id)?)
        }
        TokenOwner::Organization(_) | TokenOwner::ApiKey(_) => own == Some(organization.id),
    };
    Ok(is_seen.then_some(project.id))
}

/// Changes what a token is called.
pub(crate) fn rename(unit: &mut Unit<'_>, token: &Token, name: &str) -> Result<()> {
    unit.prepare_cached("UPDATE auth_token SET name = :name WHERE id = :id")?
        .execute(named_params! { ":name": name, ":id": token.id.0 })?;
    unit.touch(Touched::Credentials);
    Ok(())
}

/// What was counted of a token's use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenUse {
    pub(crate) last: Timestamp,
    pub(crate) address: String,
    /// That the last request was about, if it was about one.
    pub(crate) project: Option<ProjectId>,
    /// By day since 1970.
    pub(crate) requests: BTreeMap<i64, u64>,
}

impl TokenUse {
    /// Adds what came after.
    pub(crate) fn add(&mut self, newer: TokenUse) {
        if newer.requests.is_empty() {
            return;
        }
        let TokenUse {
            last,
            address,
            project,
            requests,
        } = newer;
        (self.last, self.address, self.project) = (last, address, project);
        for (day, count) in requests {
            *self.requests.entry(day).or_default() += count;
        }
    }
}

/// Adds to a token's use. A token that is gone meanwhile has none.
pub(crate) fn add_use(connection: &Connection, id: TokenId, used: &TokenUse) -> Result<()> {
    let known = connection
        .prepare_cached(
            "UPDATE auth_token SET last_used_us = :last, last_address = :address, last_project_id = :project
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":last": used.last.us(),
            ":address": used.address,
            ":project": used.project.map(|id| id.0),
            ":id": id.0,
        })?;
    if known == 0 {
        return Ok(());
    }
    for (day, requests) in &used.requests {
        let requests = i64::try_from(*requests).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "INSERT INTO auth_token_use (token_id, day, requests) VALUES (:id, :day, :requests)
                 ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
            )?
            .execute(named_params! { ":id": id.0, ":day": day, ":requests": requests })?;
        connection
            .prepare_cached("DELETE FROM auth_token_use WHERE token_id = :id AND day < :oldest")?
            .execute(named_params! { ":id": id.0, ":oldest": day - USE_DAYS + 1 })?;
    }
    Ok(())
}

/// How often a token was used, by day since 1970, oldest first.
pub(crate) fn list_use(connection: &Connection, id: TokenId) -> rusqlite::Result<Vec<(i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT day, requests FROM auth_token_use WHERE token_id = :id ORDER BY day",
        )?
        .query_map([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Makes a token. Nobody remembers that there was none, so it is good at once without a word to anybody.
///
/// # Errors
/// `Conflict`: the very same token exists already.
pub(crate) fn create(unit: &mut Unit<'_>, actor: &Actor, new: &NewToken) -> Result<Token> {
    let (kind, user, organization) = owner_columns(new.owner);
    unit.prepare_cached(
        "INSERT INTO auth_token (kind, user_id, organization_id, name, hash, last_characters, scopes,
                                 created_us, expires_us)
         VALUES (:kind, :user, :organization, :name, :hash, :last, :scopes, :created, :expires)",
    )?
    .execute(named_params! {
        ":kind": kind,
        ":user": user,
        ":organization": organization,
        ":name": new.name,
        ":hash": new.text.hash().0.as_slice(),
        ":last": new.text.last_characters(),
        ":scopes": new.scopes.to_string(),
        ":created": actor.at.us(),
        ":expires": new.expires.map(Timestamp::us),
    })
    .map_err(|error| conflict(error, || "This token exists already.".to_owned()))?;
    let id = TokenId(unit.last_insert_rowid());
    for project in &new.projects {
        unit.prepare_cached(
            "INSERT INTO auth_token_project (token_id, project_id) VALUES (:token, :project)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":token": id.0, ":project": project.0 })?;
    }
    let token = find(unit, id)?
        .ok_or_else(|| Error::internal("a token that was just made is not there"))?;
    record(unit, actor, &token, Deed::Made)?;
    Ok(token)
}

/// Makes the token that comes after another one of the same owner: of the same name, scopes and projects, and for as
/// long. The old one ends at `until` at the latest.
///
/// # Errors
/// `NotFound`: the old one was revoked.
pub(crate) fn rotate(
    unit: &mut Unit<'_>,
    actor: &Actor,
    old: &Token,
    text: &TokenText,
    until: Timestamp,
) -> Result<Token> {
    let old = find_of(unit, old.owner, old.id)?.ok_or(Error::NotFound)?;
    let ends = old.expires.map_or(until, |expires| expires.min(until));
    update(unit, actor, &old, None, Some(ends))?;
    let new = create(
        unit,
        actor,
        &NewToken {
            owner: old.owner,
            name: old.name.clone(),
            text: text.clone(),
            scopes: old.scopes,
            expires: old.successor_expires(actor.at),
            projects: old.projects.clone(),
        },
    )?;
    if old.allowed_origins.is_empty() {
        return Ok(new);
    }
    set_allowed_origins(unit, new.id, &old.allowed_origins)?;
    Ok(Token {
        allowed_origins: old.allowed_origins,
        ..new
    })
}

fn set_allowed_origins(connection: &Connection, id: TokenId, origins: &str) -> Result<()> {
    connection
        .prepare_cached("UPDATE auth_token SET allowed_origins = :origins WHERE id = :id")?
        .execute(named_params! { ":origins": origins, ":id": id.0 })?;
    Ok(())
}

/// What is to be changed of an API key; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiKeyChange {
    pub(crate) label: Option<String>,
    pub(crate) scopes: Option<ScopeSet>,
    pub(crate) disabled: Option<bool>,
    /// One a line.
    pub(crate) allowed_origins: Option<String>,
}

/// Changes an API key, and reads it back.
///
/// # Errors
/// `NotFound`: it was removed.
pub(crate) fn change_api_key(
    unit: &mut Unit<'_>,
    actor: &Actor,
    key: &Token,
    change: &ApiKeyChange,
) -> Result<Token> {
    unit.prepare_cached(
        "UPDATE auth_token SET name = coalesce(:label, name), scopes = coalesce(:scopes, scopes),
                disabled = coalesce(:disabled, disabled), allowed_origins = coalesce(:origins, allowed_origins)
         WHERE id = :id AND revoked_us IS NULL",
    )?
    .execute(named_params! {
        ":label": change.label,
        ":scopes": change.scopes.map(|scopes| scopes.to_string()),
        ":disabled": change.disabled,
        ":origins": change.allowed_origins,
        ":id": key.id.0,
    })?;
    let changed = find_of(unit, key.owner, key.id)?.ok_or(Error::NotFound)?;
    unit.touch(Touched::Credentials);
    record(unit, actor, &changed, Deed::Changed)?;
    Ok(changed)
}

/// Changes scopes and expiry; `None` leaves one as it is. Only an operator may: through the API a token's
/// scopes stand for its whole life (facts/auth-and-tokens.md 2.1).
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    token: &Token,
    scopes: Option<ScopeSet>,
    expires: Option<Timestamp>,
) -> Result<()> {
    unit.prepare_cached(
        "UPDATE auth_token SET scopes = coalesce(:scopes, scopes), expires_us = coalesce(:expires, expires_us)
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":scopes": scopes.map(|scopes| scopes.to_string()),
        ":expires": expires.map(Timestamp::us),
        ":id": token.id.0,
    })?;
    unit.touch(Touched::Credentials);
    let changed = Token {
        scopes: scopes.unwrap_or(token.scopes),
        ..token.clone()
    };
    record(unit, actor, &changed, Deed::Changed)
}

/// Revokes a token for good; false when it was revoked before.
pub(crate) fn revoke(unit: &mut Unit<'_>, actor: &Actor, token: &Token) -> Result<bool> {
    let revoked = unit
        .prepare_cached(
            "UPDATE auth_token SET revoked_us = :at WHERE id = :id AND revoked_us IS NULL",
        )?
        .execute(named_params! { ":at": actor.at.us(), ":id": token.id.0 })?;
    if revoked > 0 {
        unit.touch(Touched::Credentials);
        record(unit, actor, token, Deed::Revoked)?;
    }
    Ok(revoked > 0)
}

/// Revokes every token of an owner for good; how many.
pub(crate) fn revoke_all(unit: &mut Unit<'_>, actor: &Actor, owner: TokenOwner) -> Result<usize> {
    let tokens = list_of(unit, owner)?;
    for token in &tokens {
        revoke(unit, actor, token)?;
    }
    Ok(tokens.len())
}

enum Deed {
    Made,
    Changed,
    Revoked,
}

fn record(unit: &Unit<'_>, actor: &Actor, token: &Token, deed: Deed) -> Result<()> {
    let (event, organization) = match (token.owner, deed) {
        (TokenOwner::Organization(id), Deed::Made) => ("org-auth-token.create", Some(id)),
        (TokenOwner::Organization(id), Deed::Changed) => ("org-auth-token.edit", Some(id)),
        (TokenOwner::Organization(id), Deed::Revoked) => ("org-auth-token.remove", Some(id)),
        (TokenOwner::ApiKey(id), Deed::Made) => ("api-key.create", Some(id)),
        (TokenOwner::ApiKey(id), Deed::Changed) => ("api-key.edit", Some(id)),
        (TokenOwner::ApiKey(id), Deed::Revoked) => ("api-key.remove", Some(id)),
        // Personal, so of no organization.
        (TokenOwner::User(_), Deed::Made) => ("user-token.create", None),
        (TokenOwner::User(_), Deed::Changed) => ("user-token.edit", None),
        (TokenOwner::User(_), Deed::Revoked) => ("user-token.remove", None),
    };
    let data = match token.owner {
        TokenOwner::ApiKey(_) => json!({
            "label": token.name,
            "scopes": token.scopes,
            "status": if token.disabled { "inactive" } else { "active" },
        }),
        TokenOwner::User(_) | TokenOwner::Organization(_) => {
            json!({ "name": token.name, "scopes": token.scopes })
        }
    };
    audit::record(
        unit,
        actor,
        Entry {
            organization,
            event,
            target: token.id.0,
            data,
        },
    )?;
    Ok(())
}

const API_KEY: &str = "api-key";

/// Kind, user and organization.
fn owner_columns(owner: TokenOwner) -> (&'static str, Option<i64>, Option<i64>) {
    match owner {
        TokenOwner::User(id) => ("user", Some(id.0), None),
        TokenOwner::Organization(id) => ("organization", None, Some(id.0)),
        TokenOwner::ApiKey(id) => (API_KEY, None, Some(id.0)),
    }
}
