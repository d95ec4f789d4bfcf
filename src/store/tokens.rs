//! API tokens. Only their hashes are here.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::conflict;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, TokenId, UserId};
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash, TokenOwner, TokenText};

/// A token about to be made.
pub(crate) struct NewToken {
    pub(crate) owner: TokenOwner,
    pub(crate) name: String,
    pub(crate) text: TokenText,
    /// With all that they imply.
    pub(crate) scopes: ScopeSet,
    pub(crate) expires: Option<Timestamp>,
}

const COLUMNS: &str = "id, user_id, organization_id, name, last_characters, scopes, created_us, expires_us, \
     last_used_us, revoked_us";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Token> {
    let moment = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_us))
    };
    let user: Option<i64> = row.get("user_id")?;
    let scopes: String = row.get("scopes")?;
    Ok(Token {
        id: TokenId(row.get("id")?),
        owner: match user {
            Some(user) => TokenOwner::User(UserId(user)),
            None => TokenOwner::Organization(OrganizationId(row.get("organization_id")?)),
        },
        name: row.get("name")?,
        last_characters: row.get("last_characters")?,
        // A word that is no scope, of whatever origin, opens nothing.
        scopes: ScopeSet::parse(&scopes).unwrap_or_default(),
        created: Timestamp::from_us(row.get("created_us")?),
        expires: moment("expires_us")?,
        last_used: moment("last_used_us")?,
        revoked: moment("revoked_us")?,
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
    let (user, organization) = owner_columns(owner);
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM auth_token
             WHERE user_id IS :user AND organization_id IS :organization AND name = :name
               AND revoked_us IS NULL
             ORDER BY id DESC LIMIT 1"
        ))?
        .query_row(
            named_params! { ":user": user, ":organization": organization, ":name": name },
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

/// # Errors
/// `Conflict`: the very same token exists already.
pub(crate) fn create(unit: &mut Unit<'_>, actor: &Actor, new: &NewToken) -> Result<TokenId> {
    let (user, organization) = owner_columns(new.owner);
    unit.prepare_cached(
        "INSERT INTO auth_token (kind, user_id, organization_id, name, hash, last_characters, scopes,
                                 created_us, expires_us)
         VALUES (:kind, :user, :organization, :name, :hash, :last, :scopes, :created, :expires)",
    )?
    .execute(named_params! {
        ":kind": if user.is_some() { "user" } else { "organization" },
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
    record(
        unit,
        actor,
        id,
        new.owner,
        &new.name,
        new.scopes,
        Deed::Made,
    )?;
    Ok(id)
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
    let scopes = scopes.unwrap_or(token.scopes);
    record(
        unit,
        actor,
        token.id,
        token.owner,
        &token.name,
        scopes,
        Deed::Changed,
    )
}

/// Revokes a token for good; false when it was revoked before.
pub(crate) fn revoke(unit: &mut Unit<'_>, actor: &Actor, token: &Token) -> Result<bool> {
    let revoked = unit
        .prepare_cached(
            "UPDATE auth_token SET revoked_us = :at WHERE id = :id AND revoked_us IS NULL",
        )?
        .execute(named_params! { ":at": actor.at.us(), ":id": token.id.0 })?;
    if revoked > 0 {
        record(
            unit,
            actor,
            token.id,
            token.owner,
            &token.name,
            token.scopes,
            Deed::Revoked,
        )?;
    }
    Ok(revoked > 0)
}

enum Deed {
    Made,
    Changed,
    Revoked,
}

fn record(
    unit: &Unit<'_>,
    actor: &Actor,
    id: TokenId,
    owner: TokenOwner,
    name: &str,
    scopes: ScopeSet,
    deed: Deed,
) -> Result<()> {
    let (event, organization) = match (owner, deed) {
        (TokenOwner::Organization(id), Deed::Made) => ("org-auth-token.create", Some(id)),
        (TokenOwner::Organization(id), Deed::Changed) => ("org-auth-token.edit", Some(id)),
        (TokenOwner::Organization(id), Deed::Revoked) => ("org-auth-token.remove", Some(id)),
        // Personal, so of no organization.
        (TokenOwner::User(_), Deed::Made) => ("user-token.create", None),
        (TokenOwner::User(_), Deed::Changed) => ("user-token.edit", None),
        (TokenOwner::User(_), Deed::Revoked) => ("user-token.remove", None),
    };
    audit::record(
        unit,
        actor,
        Entry {
            organization,
            event,
            target: id.0,
            data: json!({ "name": name, "scopes": scopes }),
        },
    )?;
    Ok(())
}

fn owner_columns(owner: TokenOwner) -> (Option<i64>, Option<i64>) {
    match owner {
        TokenOwner::User(id) => (Some(id.0), None),
        TokenOwner::Organization(id) => (None, Some(id.0)),
    }
}
