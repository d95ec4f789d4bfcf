//! Users.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use super::audit::{self, Entry};
use super::conflict;
use super::snapshot::Touched;
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

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
/// `Conflict`: another user has it.
pub(crate) fn create(
    unit: &mut Unit<'_>,
    actor: &Actor,
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
        ":created": actor.at.us(),
    })
    .map_err(|error| conflict(error, || format!("A user with the email {email} already exists.")))?;
    let id = UserId(unit.last_insert_rowid());
    audit::record(
        unit,
        actor,
        Entry {
            organization: None,
            event: "user.create",
            target: id.0,
            data: json!({ "email": email }),
        },
    )?;
    Ok(id)
}

/// Changes name and password; `None` leaves one as it is.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    name: Option<&str>,
    password_hash: Option<&str>,
) -> Result<()> {
    unit.prepare_cached(
        "UPDATE user SET name = coalesce(:name, name), password_hash = coalesce(:hash, password_hash)
         WHERE id = :id",
    )?
    .execute(named_params! { ":name": name, ":hash": password_hash, ":id": user.0 })?;
    unit.touch(Touched::Credentials);
    audit::record(
        unit,
        actor,
        Entry {
            organization: None,
            event: "user.edit",
            target: user.0,
            data: json!({ "name": name, "password_changed": password_hash.is_some() }),
        },
    )?;
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
