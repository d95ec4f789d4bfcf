//! Second factors: the seed of a user's one-time codes, and the recovery codes.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::domain::Result;
use crate::domain::id::UserId;
use crate::domain::secret::SecretHash;
use crate::domain::time::Timestamp;

/// Time-based one-time codes of a user (RFC 6238).
#[derive(Clone)]
pub(crate) struct Totp {
    pub(crate) secret: Vec<u8>,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    /// The time step of the newest code that was taken.
    pub(crate) last_step: i64,
}

const COLUMNS: &str = "secret, created_us, last_used_us, last_step";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Totp> {
    Ok(Totp {
        secret: row.get("secret")?,
        created: Timestamp::from_us(row.get("created_us")?),
        last_used: row
            .get::<_, Option<i64>>("last_used_us")?
            .map(Timestamp::from_us),
        last_step: row.get("last_step")?,
    })
}

pub(crate) fn find_totp(connection: &Connection, user: UserId) -> rusqlite::Result<Option<Totp>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM totp WHERE user_id = :user"))?
        .query_row([user.0], from_row)
        .optional()
}

/// Enrols a user, or gives another seed. `step`: of the code that proved the seed.
pub(crate) fn set_totp(
    connection: &Connection,
    user: UserId,
    secret: &[u8],
    step: i64,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO totp (user_id, secret, created_us, last_step) VALUES (:user, :secret, :now, :step)
             ON CONFLICT DO UPDATE SET secret = excluded.secret, created_us = excluded.created_us,
                                       last_used_us = NULL, last_step = excluded.last_step",
        )?
        .execute(
            named_params! { ":user": user.0, ":secret": secret, ":now": now.us(), ":step": step },
        )?;
    Ok(())
}

/// Takes the code of a time step; false when it, or a later one, was taken before.
pub(crate) fn take_step(
    connection: &Connection,
    user: UserId,
    step: i64,
    now: Timestamp,
) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "UPDATE totp SET last_step = :step, last_used_us = :now WHERE user_id = :user AND last_step < :step",
        )?
        .execute(named_params! { ":step": step, ":now": now.us(), ":user": user.0 })?;
    Ok(taken > 0)
}

/// Takes the second factor away, recovery codes too; whether there was one.
pub(crate) fn delete(connection: &Connection, user: UserId) -> Result<bool> {
    connection
        .prepare_cached("DELETE FROM recovery_code WHERE user_id = :user")?
        .execute([user.0])?;
    let deleted = connection
        .prepare_cached("DELETE FROM totp WHERE user_id = :user")?
        .execute([user.0])?;
    Ok(deleted > 0)
}

/// Replaces the recovery codes of a user.
pub(crate) fn set_recovery_codes(
    connection: &Connection,
    user: UserId,
    hashes: &[SecretHash],
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM recovery_code WHERE user_id = :user")?
        .execute([user.0])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO recovery_code (user_id, hash, created_us) VALUES (:user, :hash, :now)",
    )?;
    for hash in hashes {
        insert.execute(
            named_params! { ":user": user.0, ":hash": hash.0.as_slice(), ":now": now.us() },
        )?;
    }
    Ok(())
}

/// Takes a recovery code; false when there is no such code, or it was taken before.
pub(crate) fn take_recovery_code(
    connection: &Connection,
    user: UserId,
    hash: SecretHash,
    now: Timestamp,
) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "UPDATE recovery_code SET used_us = :now WHERE user_id = :user AND hash = :hash AND used_us IS NULL",
        )?
        .execute(
            named_params! { ":now": now.us(), ":user": user.0, ":hash": hash.0.as_slice() },
        )?;
    Ok(taken > 0)
}

/// How many recovery codes a user has left.
pub(crate) fn count_recovery_codes(connection: &Connection, user: UserId) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM recovery_code WHERE user_id = :user AND used_us IS NULL",
        )?
        .query_row([user.0], |row| row.get(0))
}
