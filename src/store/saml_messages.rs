//! Messages of identity providers that were taken, so that none is taken twice.

use rusqlite::{Connection, named_params};

use crate::domain::Result;
use crate::domain::id::ProviderId;
use crate::domain::time::Timestamp;

/// Remembers a message of a provider until a time from which it is refused anyway; false if it was taken before.
/// Forgets those whose time has come.
pub(crate) fn take(
    connection: &Connection,
    provider: ProviderId,
    id: &str,
    keep_until: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    connection
        .prepare_cached("DELETE FROM saml_message WHERE keep_until_us < :now")?
        .execute(named_params! { ":now": now.us() })?;
    let taken = connection
        .prepare_cached(
            "INSERT INTO saml_message (provider_id, id, keep_until_us) VALUES (:provider, :id, :keep_until)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":provider": provider.0, ":id": id, ":keep_until": keep_until.us() })?;
    Ok(taken > 0)
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use crate::domain::durability::Durability;

    #[test]
    fn a_message_is_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        let at = Timestamp::from_secs;
        let take = |provider, id, keep_until, now| {
            take(
                &connection,
                ProviderId(provider),
                id,
                at(keep_until),
                at(now),
            )
            .unwrap()
        };
        assert!(take(1, "assertion _a", 100, 0));
        assert!(!take(1, "assertion _a", 200, 99));
        assert!(!take(1, "assertion _a", 200, 100));
        // Another provider may call its own the same, and another kind of message too.
        assert!(take(2, "assertion _a", 100, 99));
        assert!(take(1, "logout _a", 100, 99));
        // Forgotten when nobody would take it any more.
        assert!(take(1, "assertion _a", 200, 101));
        assert!(take(2, "assertion _a", 200, 101));
    }
}
