//! Outcomes: what became of an item (facts/ingestion.md 7.1). Every item that arrives ends in exactly the
//! ledger rows of its categories, each with one outcome.

use std::borrow::Cow;

use super::category::Category;
use super::id::{KeyId, ProjectId};
use super::time::Timestamp;

/// The protocol's outcome numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    Accepted = 0,
    Filtered = 1,
    RateLimited = 2,
    Invalid = 3,
    ClientDiscard = 5,
}

impl Outcome {
    pub(crate) fn number(self) -> i64 {
        self as i64
    }
}

/// The reason that a client key's rate limit gives.
pub(crate) const KEY_QUOTA: &str = "key_quota";

/// One count that goes into the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LedgerEntry {
    pub(crate) project: ProjectId,
    /// None where no key is known to have sent it.
    pub(crate) key: Option<KeyId>,
    /// The moment that chooses the bucket: the request's one receipt time.
    pub(crate) at: Timestamp,
    pub(crate) category: Category,
    pub(crate) outcome: Outcome,
    /// Empty for an outcome that has none.
    pub(crate) reason: Cow<'static, str>,
    /// Items, or bytes for the categories that count bytes.
    pub(crate) quantity: u64,
    /// How many items were added up in `quantity`.
    pub(crate) times_seen: u64,
}
