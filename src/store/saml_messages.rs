//! Messages of identity providers that were taken, so that none is taken twice.

use rusqlite::{Connection, named_params};

use crate::domain::Result;
use crate::domain::id::ProviderId;
use crate::domain::time::Timestamp;

/// Remembers a message of a provider until a time from which it is refused anyway; false if it was taken before.
pub(crate) fn take(
    connection: &Connection,
    provider: ProviderId,
    id: &str,
    keep_until: Timestamp,
) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "INSERT INTO saml_message (provider_id, id, keep_until_us) VALUES (:provider, :id, :keep_until)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":provider": provider.0, ":id": id, ":keep_until": keep_until.us() })?;
    Ok(taken > 0)
}

/// Whether some need not be remembered any more.
pub(crate) fn is_any_over(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM saml_message WHERE keep_until_us < :now")?
        .exists(named_params! { ":now": now.us() })
}

/// So many are forgotten in one step.
const STEP_ROWS: i64 = 1_000;

/// Forgets some that need not be remembered any more.
pub(crate) fn remove_some_over(connection: &Connection, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM saml_message WHERE (provider_id, id) IN
                 (SELECT provider_id, id FROM saml_message WHERE keep_until_us < :now LIMIT :rows)",
        )?
        .execute(named_params! { ":now": now.us(), ":rows": STEP_ROWS })?;
    Ok(())
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
        let take = |provider, id, keep_until| {
            take(&connection, ProviderId(provider), id, at(keep_until)).unwrap()
        };
        assert!(take(1, "assertion _a", 100));
        assert!(!take(1, "assertion _a", 200));
        // Another provider may call its own the same, and another kind of message too.
        assert!(take(2, "assertion _a", 100));
        assert!(take(1, "logout _a", 200));
        // Forgotten when nobody would take it any more.
        assert!(!is_any_over(&connection, at(100)).unwrap());
        remove_some_over(&connection, at(100)).unwrap();
        assert!(!take(1, "assertion _a", 100));
        assert!(is_any_over(&connection, at(101)).unwrap());
        remove_some_over(&connection, at(101)).unwrap();
        assert!(!is_any_over(&connection, at(101)).unwrap());
        assert!(take(1, "assertion _a", 100));
        assert!(!take(1, "logout _a", 200));
    }
}
