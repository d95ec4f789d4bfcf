//! Users.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::audit::{self, Entry};
use super::conflict;
use super::snapshot::Touched;
use super::user_links::LinkKind;
use super::writer::Unit;
use super::{sessions, user_links};
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{SessionId, UserId};
use crate::domain::secret::SecretHash;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};

/// A user as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password_hash: Option<String>,
    pub(crate) active: bool,
    /// May do what the operator of the server may.
    pub(crate) superuser: bool,
    pub(crate) created: Timestamp,
    pub(crate) last_login: Option<Timestamp>,
    pub(crate) last_active: Option<Timestamp>,
    /// Whether signing in takes a code beside the password.
    pub(crate) has_second_factor: bool,
}

pub(super) const COLUMNS: &str = "user.id, user.email, user.name, user.password_hash, user.active, user.superuser, \
     user.created_us, user.last_login_us, user.last_active_us, \
     EXISTS (SELECT 1 FROM authenticator WHERE user_id = user.id AND kind = 'totp') AS has_second_factor";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    let moment = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_us))
    };
    Ok(User {
        id: UserId(row.get("id")?),
        email: row.get("email")?,
        name: row.get("name")?,
        password_hash: row.get("password_hash")?,
        active: row.get("active")?,
        superuser: row.get("superuser")?,
        created: Timestamp::from_us(row.get("created_us")?),
        last_login: moment("last_login_us")?,
        last_active: moment("last_active_us")?,
        has_second_factor: row.get("has_second_factor")?,
    })
}

pub(crate) fn find(connection: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM user WHERE id = :id"))?
        .query_row([id.0], from_row)
        .optional()
}

/// Every user, oldest first.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<User>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM user ORDER BY id"))?
        .query_map([], from_row)?
        .collect()
}

/// Whether there is any user.
pub(crate) fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM user")?.exists([])
}

/// Looked up without case.
pub(crate) fn find_by_email(
    connection: &Connection,
    email: &str,
) -> rusqlite::Result<Option<User>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM user WHERE email = :email"))?
        .query_row([email], from_row)
        .optional()
}

/// # Errors
/// `Conflict`: another user has the address.
pub(crate) fn create(
    unit: &mut Unit<'_>,
    actor: &Actor,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
) -> Result<UserId> {
    let id = insert(unit, actor.at, email, name, password_hash)?;
    record(unit, actor, id, "user.create", json!({ "email": email }))?;
    Ok(id)
}

/// Makes a user who makes the account by themselves, from this address; the user as the actor of what follows.
///
/// # Errors
/// `Conflict`: another user has the address.
pub(crate) fn sign_up(
    unit: &mut Unit<'_>,
    from: IpAddr,
    at: Timestamp,
    email: &str,
    name: &str,
    password_hash: &str,
) -> Result<(UserId, Actor)> {
    let id = insert(unit, at, email, name, Some(password_hash))?;
    let actor = Actor {
        who: Who::Visitor {
            user: id,
            address: from,
        },
        at,
    };
    record(unit, &actor, id, "user.create", json!({ "email": email }))?;
    Ok((id, actor))
}

fn insert(
    unit: &Unit<'_>,
    at: Timestamp,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
) -> Result<UserId> {
    unit.prepare_cached(
        "INSERT INTO user (email, name, password_hash, created_us) VALUES (:email, :name, :hash, :created)",
    )?
    .execute(named_params! {
        ":email": email,
        ":name": name,
        ":hash": password_hash,
        ":created": at.us(),
    })
    .map_err(|error| taken(error, email))?;
    Ok(UserId(unit.last_insert_rowid()))
}

fn taken(error: rusqlite::Error, email: &str) -> Error {
    conflict(error, || {
        format!("A user with the email {email} already exists.")
    })
}

fn record(
    unit: &Unit<'_>,
    actor: &Actor,
    user: UserId,
    event: &str,
    data: Value,
) -> rusqlite::Result<()> {
    let entry = Entry {
        organization: None,
        event,
        target: user.0,
        data,
    };
    audit::record(unit, actor, entry)
}

pub(crate) fn rename(unit: &mut Unit<'_>, actor: &Actor, user: UserId, name: &str) -> Result<()> {
    unit.prepare_cached("UPDATE user SET name = :name WHERE id = :id")?
        .execute(named_params! { ":name": name, ":id": user.0 })?;
    record(unit, actor, user, "user.edit", json!({ "name": name }))?;
    Ok(())
}

/// Gives a user another address. Links that were sent to the old one are good for nothing from then on.
///
/// # Errors
/// `Conflict`: another user has the address.
pub(crate) fn set_email(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: &User,
    email: &str,
) -> Result<()> {
    unit.prepare_cached("UPDATE user SET email = :email WHERE id = :id")?
        .execute(named_params! { ":email": email, ":id": user.id.0 })
        .map_err(|error| taken(error, email))?;
    user_links::delete_of_user(unit, user.id)?;
    let data = json!({ "email": email, "old_email": user.email });
    record(unit, actor, user.id, "user.edit", data)?;
    Ok(())
}

/// Gives a user another password. Every session ends but this one, browsers that signed in before are strangers again,
/// and links are good for nothing from then on. Tokens stay.
pub(crate) fn set_password(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    password_hash: &str,
    but: Option<SessionId>,
) -> Result<()> {
    unit.prepare_cached("UPDATE user SET password_hash = :hash WHERE id = :id")?
        .execute(named_params! { ":hash": password_hash, ":id": user.0 })?;
    let ended = sessions::delete_others(unit, user, but)?;
    sessions::delete_devices(unit, user)?;
    user_links::delete_of_user(unit, user)?;
    let data = json!({ "sessions_ended": ended });
    record(unit, actor, user, "user.password", data)?;
    Ok(())
}

/// The slugs of the organizations that nobody else owns whose account is on.
pub(crate) fn list_only_owned(
    connection: &Connection,
    user: UserId,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT organization.slug FROM member JOIN organization ON organization.id = member.organization_id
             WHERE member.user_id = :user AND member.role = 'owner' AND organization.deleted_us IS NULL
               AND NOT EXISTS (SELECT 1 FROM member AS other JOIN user ON user.id = other.user_id
                               WHERE other.organization_id = member.organization_id AND other.role = 'owner'
                                 AND user.active AND other.user_id <> :user)
             ORDER BY organization.slug",
        )?
        .query_map(named_params! { ":user": user.0 }, |row| row.get(0))?
        .collect()
}

/// Switches an account off: its sessions end, its links are good for nothing, and its tokens are refused until it is
/// switched on again. Whether it was on.
pub(crate) fn deactivate(unit: &mut Unit<'_>, actor: &Actor, user: UserId) -> Result<bool> {
    if !set_flag(unit, user, "active", false)? {
        return Ok(false);
    }
    sessions::delete_others(unit, user, None)?;
    user_links::delete_of_user(unit, user)?;
    unit.touch(Touched::Credentials);
    record(unit, actor, user, "user.deactivate", json!({}))?;
    Ok(true)
}

/// Switches an account on again; whether it was off.
pub(crate) fn activate(unit: &mut Unit<'_>, actor: &Actor, user: UserId) -> Result<bool> {
    if !set_flag(unit, user, "active", true)? {
        return Ok(false);
    }
    unit.touch(Touched::Credentials);
    record(unit, actor, user, "user.activate", json!({}))?;
    Ok(true)
}

/// Lets a user do what the operator of the server may, or no longer; whether that changed anything.
pub(crate) fn set_superuser(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    superuser: bool,
) -> Result<bool> {
    if !set_flag(unit, user, "superuser", superuser)? {
        return Ok(false);
    }
    unit.touch(Touched::Credentials);
    let data = json!({ "superuser": superuser });
    record(unit, actor, user, "user.superuser", data)?;
    Ok(true)
}

/// `column` is one of the two flags of the table.
fn set_flag(
    unit: &Unit<'_>,
    user: UserId,
    column: &'static str,
    on: bool,
) -> rusqlite::Result<bool> {
    let changed = unit
        .prepare_cached(&format!(
            "UPDATE user SET {column} = :on WHERE id = :id AND {column} <> :on"
        ))?
        .execute(named_params! { ":on": on, ":id": user.0 })?;
    Ok(changed > 0)
}

/// Ends one session of a user, or all of them but one; how many.
pub(crate) fn end_sessions(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    which: EndSessions,
) -> Result<usize> {
    let ended = match which {
        EndSessions::One(id) => usize::from(sessions::delete(unit, user, id)?),
        EndSessions::AllBut(but) => sessions::delete_others(unit, user, but)?,
    };
    if ended > 0 {
        let data = json!({ "sessions_ended": ended });
        record(unit, actor, user, "user.sessions-end", data)?;
    }
    Ok(ended)
}

/// Which sessions of a user are to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EndSessions {
    One(SessionId),
    AllBut(Option<SessionId>),
}

/// Makes a link of this kind for a user, with this hash; older ones of the kind are good for nothing from then on.
pub(crate) fn make_link(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    kind: LinkKind,
    hash: SecretHash,
) -> Result<()> {
    user_links::create(unit, user, kind, hash, actor.at)?;
    let data = json!({ "kind": kind.as_str() });
    record(unit, actor, user, "user.link", data)?;
    Ok(())
}

/// Writes down that a user signed in.
pub(crate) fn set_signed_in(unit: &mut Unit<'_>, actor: &Actor, user: UserId) -> Result<()> {
    unit.prepare_cached(
        "UPDATE user SET last_login_us = :now, last_active_us = :now WHERE id = :id",
    )?
    .execute(named_params! { ":now": actor.at.us(), ":id": user.0 })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: None,
            event: "user.sign-in",
            target: user.0,
            data: json!({}),
        },
    )?;
    Ok(())
}

/// Writes down that a user is about.
pub(crate) fn set_active(connection: &Connection, user: UserId, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE user SET last_active_us = :now WHERE id = :id")?
        .execute(named_params! { ":now": now.us(), ":id": user.0 })?;
    Ok(())
}
