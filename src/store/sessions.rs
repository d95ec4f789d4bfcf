//! Browsers that are signed in, and browsers that were. Only hashes of their cookies are here.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json;

use crate::domain::Result;
use crate::domain::id::{ProviderId, SessionId, UserId};
use crate::domain::secret::SecretHash;
use crate::domain::session::{IDLE_SECS_MAX, Session};
use crate::domain::single_sign_on::{NameId, SamlSession, Vouched};
use crate::domain::time::Timestamp;

/// A session about to begin.
pub(crate) struct NewSession {
    pub(crate) hash: SecretHash,
    pub(crate) user: UserId,
    pub(crate) address: String,
    pub(crate) user_agent: String,
    pub(crate) vouched: Option<Vouched>,
}

const COLUMNS: &str = "session.id, session.user_id, session.created_us, session.last_used_us, session.expires_us, \
     session.address, session.user_agent, session.verified_us, session.provider_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    let moment = |column: &str| row.get(column).map(Timestamp::from_us);
    Ok(Session {
        id: SessionId(row.get("id")?),
        user: UserId(row.get("user_id")?),
        created: moment("created_us")?,
        last_used: moment("last_used_us")?,
        expires: moment("expires_us")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        verified: moment("verified_us")?,
        provider: row.get::<_, Option<i64>>("provider_id")?.map(ProviderId),
    })
}

/// The session of this hash, also when it has expired; none of a user who was deactivated.
pub(crate) fn find_by_hash(
    connection: &Connection,
    hash: SecretHash,
) -> rusqlite::Result<Option<Session>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM session JOIN user ON user.id = session.user_id
             WHERE hash = :hash AND user.active"
        ))?
        .query_row([hash.0.as_slice()], from_row)
        .optional()
}

/// A session, also when it has expired.
pub(crate) fn find(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<Session>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM session WHERE id = :id"))?
        .query_row([id.0], from_row)
        .optional()
}

/// The sessions of a user that have not expired, newest first.
pub(crate) fn list_of_user(
    connection: &Connection,
    user: UserId,
    now: Timestamp,
) -> rusqlite::Result<Vec<Session>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM session WHERE user_id = :user AND expires_us > :now ORDER BY id DESC"
        ))?
        .query_map(named_params! { ":user": user.0, ":now": now.us() }, from_row)?
        .collect()
}

/// Begins a session, and forgets those of the user that have expired.
pub(crate) fn create(
    connection: &Connection,
    new: &NewSession,
    now: Timestamp,
) -> Result<SessionId> {
    connection
        .prepare_cached("DELETE FROM session WHERE user_id = :user AND expires_us <= :now")?
        .execute(named_params! { ":user": new.user.0, ":now": now.us() })?;
    let until = new.vouched.as_ref().and_then(|vouched| vouched.until);
    let saml = new
        .vouched
        .as_ref()
        .and_then(|vouched| vouched.saml.as_ref());
    connection
        .prepare_cached(
            "INSERT INTO session (hash, user_id, created_us, last_used_us, expires_us, address, user_agent, verified_us,
                                  provider_id, ends_us, name_id, session_index)
             VALUES (:hash, :user, :now, :now, min(:expires, coalesce(:ends, :expires)), :address, :user_agent, :now,
                     :provider, :ends, :name_id, :session_index)",
        )?
        .execute(named_params! {
            ":hash": new.hash.0.as_slice(),
            ":user": new.user.0,
            ":now": now.us(),
            ":expires": now.plus_secs(IDLE_SECS_MAX).us(),
            ":address": new.address,
            ":user_agent": new.user_agent,
            ":provider": new.vouched.as_ref().map(|vouched| vouched.provider.0),
            ":ends": until.map(Timestamp::us),
            ":name_id": saml.map(|saml| name_id_text(&saml.name)),
            ":session_index": saml.and_then(|saml| saml.index.as_deref()),
        })?;
    Ok(SessionId(connection.last_insert_rowid()))
}

/// Writes down that a session is in use, which keeps it from expiring.
pub(crate) fn set_used(connection: &Connection, id: SessionId, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE session SET last_used_us = :now, expires_us = min(:expires, coalesce(ends_us, :expires))
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":now": now.us(),
            ":expires": now.plus_secs(IDLE_SECS_MAX).us(),
            ":id": id.0,
        })?;
    Ok(())
}

/// Writes down that the password was given just now.
pub(crate) fn set_verified(connection: &Connection, id: SessionId, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE session SET verified_us = :now WHERE id = :id")?
        .execute(named_params! { ":now": now.us(), ":id": id.0 })?;
    Ok(())
}

/// Gives a session another secret, so that nobody who copied its cookie goes on with it.
pub(crate) fn set_hash(
    connection: &Connection,
    id: SessionId,
    hash: SecretHash,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE session SET hash = :hash, verified_us = :now WHERE id = :id")?
        .execute(named_params! {
            ":hash": hash.0.as_slice(),
            ":now": now.us(),
            ":id": id.0,
        })?;
    Ok(())
}

/// Ends one session of a user; whether there was one.
pub(crate) fn delete(connection: &Connection, user: UserId, id: SessionId) -> Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM session WHERE id = :id AND user_id = :user")?
        .execute(named_params! { ":id": id.0, ":user": user.0 })?;
    Ok(deleted > 0)
}

fn name_id_text(name: &NameId) -> String {
    json!([
        name.value,
        name.format,
        name.name_qualifier,
        name.sp_name_qualifier
    ])
    .to_string()
}

/// What a SAML provider calls a session that it vouched for.
pub(crate) fn find_saml(
    connection: &Connection,
    id: SessionId,
) -> rusqlite::Result<Option<SamlSession>> {
    let found = connection
        .prepare_cached(
            "SELECT name_id ->> 0 AS value, name_id ->> 1 AS format, name_id ->> 2 AS name_qualifier,
                    name_id ->> 3 AS sp_name_qualifier, session_index
             FROM session WHERE id = :id AND name_id IS NOT NULL",
        )?
        .query_row([id.0], |row| {
            Ok(SamlSession {
                name: NameId {
                    value: row.get("value")?,
                    format: row.get("format")?,
                    name_qualifier: row.get("name_qualifier")?,
                    sp_name_qualifier: row.get("sp_name_qualifier")?,
                },
                index: row.get("session_index")?,
            })
        });
    found.optional()
}

/// Ends the sessions of somebody whom a SAML provider calls so, of these indexes or, without any, all; how many. One
/// whose index the provider never told ends in any case.
pub(crate) fn delete_saml(
    connection: &Connection,
    provider: ProviderId,
    name: &NameId,
    indexes: &[String],
) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM session WHERE name_id = :name_id AND provider_id = :provider
               AND (:indexes = '[]' OR session_index IS NULL
                    OR session_index IN (SELECT value FROM json_each(:indexes)))",
        )?
        .execute(named_params! {
            ":name_id": name_id_text(name),
            ":provider": provider.0,
            ":indexes": json!(indexes).to_string(),
        })?)
}

/// Ends all sessions of a user but one; how many.
pub(crate) fn delete_others(
    connection: &Connection,
    user: UserId,
    but: Option<SessionId>,
) -> Result<usize> {
    Ok(connection
        .prepare_cached("DELETE FROM session WHERE user_id = :user AND id IS NOT :but")?
        .execute(named_params! { ":user": user.0, ":but": but.map(|id| id.0) })?)
}

/// Whether a browser signed in as this user before.
pub(crate) fn knows_device(
    connection: &Connection,
    user: UserId,
    hash: SecretHash,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM known_device WHERE user_id = :user AND hash = :hash")?
        .exists(named_params! { ":user": user.0, ":hash": hash.0.as_slice() })
}

/// How many browsers are remembered of a user.
const DEVICES_MAX: i64 = 20;

/// Remembers a browser, and forgets the ones that were not used for the longest time.
pub(crate) fn set_device(
    connection: &Connection,
    user: UserId,
    hash: SecretHash,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO known_device (user_id, hash, last_used_us) VALUES (:user, :hash, :now)
             ON CONFLICT DO UPDATE SET last_used_us = excluded.last_used_us",
        )?
        .execute(named_params! { ":user": user.0, ":hash": hash.0.as_slice(), ":now": now.us() })?;
    connection
        .prepare_cached(
            "DELETE FROM known_device WHERE user_id = :user AND hash NOT IN
             (SELECT hash FROM known_device WHERE user_id = :user ORDER BY last_used_us DESC LIMIT :max)",
        )?
        .execute(named_params! { ":user": user.0, ":max": DEVICES_MAX })?;
    Ok(())
}

/// Forgets every browser of a user, as a new password does.
pub(crate) fn delete_devices(connection: &Connection, user: UserId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM known_device WHERE user_id = :user")?
        .execute([user.0])?;
    Ok(())
}
