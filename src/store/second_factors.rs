//! Second factors: the seed of a user's one-time codes, and the recovery codes.
//!
//! A code is taken in the transaction of what it lets its user do, and by one statement that looks whether it still is to
//! be had, so that of two who bring the same code at once one is refused.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::audit::{self, Entry};
use super::writer::Unit;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::id::{AuthenticatorId, UserId};
use crate::domain::recovery_code::{RecoveryHash, Salt};
use crate::domain::time::Timestamp;
use crate::domain::totp::Seed;

/// One-time codes of a user.
#[derive(Clone)]
pub(crate) struct Totp {
    pub(crate) id: AuthenticatorId,
    pub(crate) seed: Seed,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
}

/// A user's recovery codes.
#[derive(Clone)]
pub(crate) struct Recovery {
    pub(crate) id: AuthenticatorId,
    pub(crate) salt: Salt,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    /// How many were not used yet.
    pub(crate) left: u32,
}

/// Recovery codes about to be given to a user.
#[derive(Clone)]
pub(crate) struct NewCodes {
    pub(crate) salt: Salt,
    pub(crate) hashes: Vec<RecoveryHash>,
}

/// What somebody proves with that the second factor is theirs.
#[derive(Clone)]
pub(crate) enum Proof {
    /// The time step of a code that was computed from this seed.
    Step(Seed, i64),
    Recovery(RecoveryHash),
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_us))
}

pub(crate) fn find_totp(connection: &Connection, user: UserId) -> rusqlite::Result<Option<Totp>> {
    connection
        .prepare_cached(
            "SELECT id, secret, created_us, last_used_us FROM authenticator WHERE user_id = :user AND kind = 'totp'",
        )?
        .query_row([user.0], |row| {
            Ok(Totp {
                id: AuthenticatorId(row.get("id")?),
                seed: Seed::stored(row.get("secret")?),
                created: Timestamp::from_us(row.get("created_us")?),
                last_used: moment(row, "last_used_us")?,
            })
        })
        .optional()
}

pub(crate) fn find_recovery(
    connection: &Connection,
    user: UserId,
) -> rusqlite::Result<Option<Recovery>> {
    connection
        .prepare_cached(
            "SELECT id, secret, created_us, last_used_us,
                    (SELECT count(*) FROM recovery_code WHERE authenticator_id = id AND used_us IS NULL) AS left
             FROM authenticator WHERE user_id = :user AND kind = 'recovery'",
        )?
        .query_row([user.0], |row| {
            Ok(Recovery {
                id: AuthenticatorId(row.get("id")?),
                salt: Salt(row.get("secret")?),
                created: Timestamp::from_us(row.get("created_us")?),
                last_used: moment(row, "last_used_us")?,
                left: row.get("left")?,
            })
        })
        .optional()
}

/// Whether a user has a second factor; recovery codes alone are none.
pub(crate) fn has_one(connection: &Connection, user: UserId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM authenticator WHERE user_id = :user AND kind = 'totp'")?
        .exists([user.0])
}

/// The names of the organizations that demand a second factor of this member, by name.
pub(crate) fn list_demanding(
    connection: &Connection,
    user: UserId,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT coalesce(nullif(organization.name, ''), organization.slug) AS name
             FROM member JOIN organization ON organization.id = member.organization_id
             WHERE member.user_id = :user AND organization.require_2fa AND organization.deleted_us IS NULL
             ORDER BY name COLLATE NOCASE, organization.id",
        )?
        .query_map([user.0], |row| row.get("name"))?
        .collect()
}

/// Enrols a user, or gives another seed; the recovery codes are given to who has none. `step`: of the code that proved
/// the seed. None, and nothing is done, if that code was taken before.
pub(crate) fn set_totp(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    seed: &Seed,
    step: i64,
    codes: &NewCodes,
) -> Result<Option<Enrolled>> {
    let old = find_totp(unit, user)?;
    let set = unit
        .prepare_cached(
            "INSERT INTO authenticator (user_id, kind, secret, created_us, last_step)
             VALUES (:user, 'totp', :seed, :now, :step)
             ON CONFLICT DO UPDATE SET secret = excluded.secret, created_us = excluded.created_us,
                                       last_used_us = NULL, last_step = excluded.last_step
             WHERE secret <> excluded.secret OR last_step < excluded.last_step",
        )?
        .execute(named_params! {
            ":user": user.0,
            ":seed": seed.as_bytes(),
            ":now": actor.at.us(),
            ":step": step,
        })?;
    if set == 0 {
        return Ok(None);
    }
    record(
        unit,
        actor,
        user,
        "user.mfa-add",
        json!({ "method": "totp", "rotated": old.is_some() }),
    )?;
    let with_codes = find_recovery(unit, user)?.is_none();
    if with_codes {
        put_codes(unit, user, codes, actor.at)?;
    }
    Ok(Some(Enrolled { with_codes }))
}

/// What came of an enrolment.
#[derive(Clone, Copy)]
pub(crate) struct Enrolled {
    /// Whether the recovery codes are the ones that were brought along; else the user has others, which stay.
    pub(crate) with_codes: bool,
}

/// Takes a code; false when there is no such code, or it was taken before. Of one-time codes, taking one takes all
/// that are older.
pub(crate) fn take(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    proof: &Proof,
) -> Result<bool> {
    let now = actor.at.us();
    let taken = match proof {
        Proof::Step(seed, step) => unit
            .prepare_cached(
                "UPDATE authenticator SET last_step = :step, last_used_us = :now
                 WHERE user_id = :user AND kind = 'totp' AND secret = :seed AND last_step < :step",
            )?
            .execute(named_params! {
                ":step": step,
                ":now": now,
                ":user": user.0,
                ":seed": seed.as_bytes(),
            })?,
        Proof::Recovery(hash) => unit
            .prepare_cached(
                "UPDATE recovery_code SET used_us = :now
                 WHERE authenticator_id = (SELECT id FROM authenticator WHERE user_id = :user AND kind = 'recovery')
                   AND hash = :hash AND used_us IS NULL",
            )?
            .execute(named_params! { ":now": now, ":user": user.0, ":hash": hash.0 })?,
    };
    if taken > 0 && matches!(proof, Proof::Recovery(_)) {
        unit.prepare_cached(
            "UPDATE authenticator SET last_used_us = :now WHERE user_id = :user AND kind = 'recovery'",
        )?
        .execute(named_params! { ":now": now, ":user": user.0 })?;
        record(unit, actor, user, "user.recovery-code-use", json!({}))?;
    }
    Ok(taken > 0)
}

/// Replaces the recovery codes of a user; those of before are good for nothing.
pub(crate) fn set_codes(
    unit: &mut Unit<'_>,
    actor: &Actor,
    user: UserId,
    codes: &NewCodes,
) -> Result<()> {
    put_codes(unit, user, codes, actor.at)?;
    record(
        unit,
        actor,
        user,
        "user.recovery-codes-regenerate",
        json!({}),
    )
}

fn put_codes(
    connection: &Connection,
    user: UserId,
    codes: &NewCodes,
    now: Timestamp,
) -> Result<()> {
    let id: i64 = connection
        .prepare_cached(
            "INSERT INTO authenticator (user_id, kind, secret, created_us) VALUES (:user, 'recovery', :salt, :now)
             ON CONFLICT DO UPDATE SET secret = excluded.secret, created_us = excluded.created_us,
                                       last_used_us = NULL
             RETURNING id",
        )?
        .query_row(
            named_params! { ":user": user.0, ":salt": codes.salt.0, ":now": now.us() },
            |row| row.get(0),
        )?;
    connection
        .prepare_cached("DELETE FROM recovery_code WHERE authenticator_id = :id")?
        .execute([id])?;
    let mut insert = connection
        .prepare_cached("INSERT INTO recovery_code (authenticator_id, hash) VALUES (:id, :hash)")?;
    for hash in &codes.hashes {
        insert.execute(named_params! { ":id": id, ":hash": hash.0 })?;
    }
    Ok(())
}

/// Takes the second factor away, recovery codes too; whether there was one.
pub(crate) fn delete(unit: &mut Unit<'_>, actor: &Actor, user: UserId) -> Result<bool> {
    let deleted = unit
        .prepare_cached("DELETE FROM authenticator WHERE user_id = :user AND kind = 'totp'")?
        .execute([user.0])?;
    delete_rows_of_codes(unit, user)?;
    if deleted > 0 {
        record(
            unit,
            actor,
            user,
            "user.mfa-remove",
            json!({ "method": "totp" }),
        )?;
    }
    Ok(deleted > 0)
}

/// Takes the recovery codes alone away; whether there were any.
pub(crate) fn delete_codes(unit: &mut Unit<'_>, actor: &Actor, user: UserId) -> Result<bool> {
    let were_there = delete_rows_of_codes(unit, user)?;
    if were_there {
        record(
            unit,
            actor,
            user,
            "user.mfa-remove",
            json!({ "method": "recovery" }),
        )?;
    }
    Ok(were_there)
}

fn delete_rows_of_codes(connection: &Connection, user: UserId) -> Result<bool> {
    connection
        .prepare_cached(
            "DELETE FROM recovery_code WHERE authenticator_id IN
             (SELECT id FROM authenticator WHERE user_id = :user AND kind = 'recovery')",
        )?
        .execute([user.0])?;
    let deleted = connection
        .prepare_cached("DELETE FROM authenticator WHERE user_id = :user AND kind = 'recovery'")?
        .execute([user.0])?;
    Ok(deleted > 0)
}

fn record(
    connection: &Connection,
    actor: &Actor,
    user: UserId,
    event: &str,
    data: Value,
) -> Result<()> {
    let entry = Entry {
        organization: None,
        event,
        target: user.0,
        data,
    };
    Ok(audit::record(connection, actor, entry)?)
}
