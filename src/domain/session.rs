//! Browsers that are signed in (facts/auth-and-tokens.md 9.1).

use super::id::{ProviderId, SessionId, UserId};
use super::time::Timestamp;

/// How long a session lasts without being used.
pub(crate) const IDLE_SECS_MAX: i64 = 14 * 86_400;

/// How long a session remembers that the password was given, for changes that ask for it again.
const VERIFIED_SECS: i64 = 15 * 60;

/// How long a provider's word for the user of a session is good where members must come through it: less than a day, so
/// that whoever leaves is gone here too.
pub(crate) const VOUCHED_SECS: i64 = 20 * 3_600;

/// A session as it is stored; its secret is the browser's alone.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) expires: Timestamp,
    /// Where it began.
    pub(crate) address: String,
    pub(crate) user_agent: String,
    /// When the password, or what stands for it, was last given.
    pub(crate) verified: Timestamp,
    /// The identity provider that vouched for the user.
    pub(crate) provider: Option<ProviderId>,
}

impl Session {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    /// Whether the password was given a short while ago.
    pub(crate) fn is_verified(&self, now: Timestamp) -> bool {
        now < self.verified.plus_secs(VERIFIED_SECS)
    }
}
