//! Links that work once and let their holder act for a user: sign in for the first time, or set a password.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::domain::Result;
use crate::domain::id::UserId;
use crate::domain::secret::SecretHash;
use crate::domain::time::Timestamp;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// Signs in.
    SignIn,
    /// Sets a new password.
    Password,
}

impl LinkKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            LinkKind::SignIn => "sign-in",
            LinkKind::Password => "password",
        }
    }

    /// How long one is good for.
    pub(crate) fn lifetime_secs(self) -> i64 {
        match self {
            LinkKind::SignIn => 7 * 86_400,
            LinkKind::Password => 86_400,
        }
    }
}

/// Makes a link; older ones of the same kind are good for nothing from then on.
pub(super) fn create(
    connection: &Connection,
    user: UserId,
    kind: LinkKind,
    hash: SecretHash,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM user_link WHERE user_id = :user AND kind = :kind")?
        .execute(named_params! { ":user": user.0, ":kind": kind.as_str() })?;
    connection
        .prepare_cached(
            "INSERT INTO user_link (hash, user_id, kind, created_us, expires_us)
             VALUES (:hash, :user, :kind, :now, :expires)",
        )?
        .execute(named_params! {
            ":hash": hash.0.as_slice(),
            ":user": user.0,
            ":kind": kind.as_str(),
            ":now": now.us(),
            ":expires": now.plus_secs(kind.lifetime_secs()).us(),
        })?;
    Ok(())
}

/// Whose link it is; none if there is no such link, if it was used or has expired, or if the user was deactivated.
pub(crate) fn find(
    connection: &Connection,
    kind: LinkKind,
    hash: SecretHash,
    now: Timestamp,
) -> rusqlite::Result<Option<UserId>> {
    connection
        .prepare_cached(
            "SELECT user_id FROM user_link JOIN user ON user.id = user_id
             WHERE hash = :hash AND kind = :kind AND expires_us > :now AND user.active",
        )?
        .query_row(
            named_params! { ":hash": hash.0.as_slice(), ":kind": kind.as_str(), ":now": now.us() },
            |row| row.get(0).map(UserId),
        )
        .optional()
}

/// Takes all links away from a user.
pub(super) fn delete_of_user(connection: &Connection, user: UserId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM user_link WHERE user_id = :user")?
        .execute([user.0])?;
    Ok(())
}
