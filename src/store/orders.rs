//! The order of long lists, in memory, so that a page far down a list costs what its first page does.
//!
//! Clients walk some lists by counting rows, and SQLite counts by walking them: the last page of a hundred thousand
//! would cost a thousand times the first. So the ids of such a list are kept in order, and a deep page is read by id.
//!
//! What is kept holds as long as nothing was changed in the organization since. Every change of what its lists show
//! writes an entry into its audit log, in the same transaction, whichever process makes it; so the number of the
//! newest entry says whether an order is still right, and nobody has to remember to tell. A name must say all else
//! that the order depends on: the filter, and what comes first.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::domain::Result;
use crate::domain::id::OrganizationId;

/// From here on a list is read by its order. SQLite walks so far in less time than an answer takes.
const DEEP: i64 = 1000;

/// How many orders are kept, and how many ids together (8 bytes each).
const LISTS_MAX: usize = 32;
const IDS_MAX: usize = 4_000_000;

/// A longer name is that of a list that nobody asks for twice.
const NAME_BYTES_MAX: usize = 2048;

#[derive(Default)]
pub(crate) struct Orders {
    /// The one used last is the last.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    organization: OrganizationId,
    name: String,
    /// The organization's newest audit entry when the order was read.
    entry: i64,
    ids: Arc<[i64]>,
}

impl Orders {
    /// The ids of a deep page of a list of the organization: of at most `limit` rows from the `offset`th on. None for
    /// a page near the start, which is read as well by counting.
    ///
    /// `read` gives the ids of the whole list in order. The caller reads it and the rows in one transaction.
    pub(crate) fn page(
        &self,
        connection: &Connection,
        organization: OrganizationId,
        name: &str,
        (offset, limit): (i64, i64),
        read: impl FnOnce() -> Result<Vec<i64>>,
    ) -> Result<Option<Vec<i64>>> {
        if offset < DEEP || name.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        let entry = newest_entry(connection, organization)?;
        let ids = match self.find(organization, name, entry) {
            Some(ids) => ids,
            None => {
                let ids: Arc<[i64]> = read()?.into();
                self.keep(Kept {
                    organization,
                    name: name.to_owned(),
                    entry,
                    ids: Arc::clone(&ids),
                });
                ids
            }
        };
        let at = |number: i64| usize::try_from(number).map_or(ids.len(), |at| at.min(ids.len()));
        let (start, end) = (at(offset), at(offset.saturating_add(limit.max(0))));
        Ok(Some(ids[start..end].to_vec()))
    }

    fn find(&self, organization: OrganizationId, name: &str, entry: i64) -> Option<Arc<[i64]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept
            .iter()
            .position(|kept| kept.organization == organization && kept.name == name)?;
        let found = kept.remove(at);
        if found.entry != entry {
            return None;
        }
        let ids = Arc::clone(&found.ids);
        kept.push(found);
        Some(ids)
    }

    fn keep(&self, new: Kept) {
        if new.ids.len() > IDS_MAX {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|old| old.organization != new.organization || old.name != new.name);
        kept.push(new);
        let mut ids: usize = kept.iter().map(|kept| kept.ids.len()).sum();
        while kept.len() > LISTS_MAX || ids > IDS_MAX {
            ids -= kept.remove(0).ids.len();
        }
    }
}

fn newest_entry(connection: &Connection, organization: OrganizationId) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT coalesce(max(id), 0) FROM audit_entry WHERE organization_id = :organization",
        )?
        .query_row([organization.0], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: OrganizationId = OrganizationId(1);

    fn log() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE audit_entry (id INTEGER PRIMARY KEY, organization_id INTEGER);",
            )
            .unwrap();
        connection
    }

    fn write_entry(connection: &Connection, organization: i64) {
        connection
            .execute(
                "INSERT INTO audit_entry (organization_id) VALUES (?1)",
                [organization],
            )
            .unwrap();
    }

    fn list() -> Result<Vec<i64>> {
        Ok((0..2000).rev().collect())
    }

    fn must_not_read() -> Result<Vec<i64>> {
        panic!("the order is kept")
    }

    #[test]
    fn an_order_holds_until_its_organization_changes() {
        let (orders, log) = (Orders::default(), log());
        let page = |read: fn() -> Result<Vec<i64>>, name: &str| {
            orders.page(&log, ACME, name, (1500, 2), read).unwrap()
        };
        assert_eq!(page(list, "a"), Some(vec![499, 498]));
        write_entry(&log, 2);
        assert_eq!(page(must_not_read, "a"), Some(vec![499, 498]));
        assert_eq!(page(|| Ok(vec![]), "b"), Some(vec![]));
        assert_eq!(page(must_not_read, "a"), Some(vec![499, 498]));
        write_entry(&log, 1);
        assert_eq!(
            page(|| Ok((0..2000).collect()), "a"),
            Some(vec![1500, 1501])
        );
        assert_eq!(page(must_not_read, "a"), Some(vec![1500, 1501]));
    }

    #[test]
    fn pages_near_the_start_and_past_the_end_are_what_they_are() {
        let (orders, log) = (Orders::default(), log());
        let page = |offset, limit| orders.page(&log, ACME, "a", (offset, limit), list).unwrap();
        assert_eq!(page(DEEP - 1, 10), None);
        assert_eq!(page(1999, 10), Some(vec![0]));
        assert_eq!(page(2000, 10), Some(vec![]));
        assert_eq!(page(i64::MAX, i64::MAX), Some(vec![]));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let found = orders.page(&log, ACME, &long, (DEEP, 10), must_not_read);
        assert_eq!(found.unwrap(), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_longest_unused_goes_first() {
        let (orders, log) = (Orders::default(), log());
        let page = |name: &str| orders.page(&log, ACME, name, (DEEP, 1), list).unwrap();
        for number in 0..LISTS_MAX {
            page(&number.to_string());
        }
        page("0");
        page("new");
        let kept = orders.kept.lock().unwrap();
        assert_eq!(kept.len(), LISTS_MAX);
        assert!(kept.iter().any(|kept| kept.name == "0"));
        assert!(!kept.iter().any(|kept| kept.name == "1"));
    }

    #[test]
    fn the_ids_of_all_lists_together_are_bounded() {
        let (orders, log) = (Orders::default(), log());
        let page = |name: &str, length: usize| {
            let read = || Ok(vec![7; length]);
            orders.page(&log, ACME, name, (DEEP, 1), read).unwrap()
        };
        let names = || -> Vec<String> {
            let kept = orders.kept.lock().unwrap();
            kept.iter().map(|kept| kept.name.clone()).collect()
        };
        page("half", IDS_MAX / 2);
        page("other half", IDS_MAX / 2);
        assert_eq!(names(), ["half", "other half"]);
        page("one more", 1);
        assert_eq!(names(), ["other half", "one more"]);
        page("too long", IDS_MAX + 1);
        assert_eq!(names(), ["other half", "one more"]);
    }
}
