//! Outcomes: what became of an item (facts/ingestion.md 7.1). Every item that arrives ends in exactly the
//! ledger rows of its categories, each with one outcome.

use std::borrow::Cow;

use super::category::Category;
use super::id::{KeyId, ProjectId};
use super::time::Timestamp;

/// An outcome with the protocol's own number and name.
macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal)*) => {
        /// The protocol's outcomes. The numbers stand in the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Outcome { $($(#[$doc])* $name = $number),* }

        impl Outcome {
            pub(crate) const ALL: &[Outcome] = &[$(Outcome::$name),*];

            /// The outcome of this name.
            pub(crate) fn parse(name: &str) -> Option<Outcome> {
                Outcome::ALL.iter().copied().find(|outcome| outcome.name() == name)
            }

            pub(crate) fn of_number(number: i64) -> Option<Outcome> {
                Outcome::ALL.iter().copied().find(|outcome| outcome.number() == number)
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Outcome::$name => $text),*
                }
            }
        }
    };
}

outcomes! {
    Accepted = 0 "accepted"
    Filtered = 1 "filtered"
    RateLimited = 2 "rate_limited"
    Invalid = 3 "invalid"
    /// Reserved; Picket gives it to nothing.
    Abuse = 4 "abuse"
    ClientDiscard = 5 "client_discard"
    /// Of a metrics product that is gone; Picket gives it to nothing.
    CardinalityLimited = 6 "cardinality_limited"
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
