//! How often the API may be called (facts/management-api.md 1.11): so many requests a second of each class of
//! endpoints, by token, and by address where there is no token.
//!
//! Windows are whole seconds of the clock and live in memory: a second that has begun lets go of all counts of the
//! one before, so the counts are at most as many as the requests of one second. Wrong tokens are counted by address in
//! a class of their own, and looked at before a token is looked up: no address can try more than a few a second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use super::error;
use crate::domain::access::Caller;
use crate::domain::id::{TokenId, UserId};
use crate::domain::time::Timestamp;
use crate::http::Response;

/// Endpoints that are counted together, and wrong tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Keys,
    Members,
    KeyStats,
    OrganizationStats,
    ProjectStats,
    Other,
    /// Requests whose token or API key is wrong, on whatever path.
    WrongCredentials,
}

impl Class {
    /// The class of a line of the route table, by its path.
    pub(super) fn of(path: &str) -> Class {
        if path.ends_with("/keys/{key}/stats/") {
            Class::KeyStats
        } else if path.contains("/keys/") || path.ends_with("/project-keys/") {
            Class::Keys
        } else if path.contains("/members/") {
            Class::Members
        } else if path.ends_with("/stats_v2/") || path.ends_with("/stats-summary/") {
            Class::OrganizationStats
        } else if path.ends_with("/stats/") {
            Class::ProjectStats
        } else {
            Class::Other
        }
    }

    fn per_second(self) -> u32 {
        match self {
            Class::Keys | Class::Members => 40,
            Class::KeyStats | Class::OrganizationStats => 20,
            Class::ProjectStats => 5,
            Class::Other => 100,
            Class::WrongCredentials => 10,
        }
    }
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Token(TokenId),
    /// In whatever browsers: who signs in again has no more than before.
    Session(UserId),
    Address(IpAddr),
}

impl Subject {
    pub(super) fn of(caller: &Caller, peer: IpAddr) -> Subject {
        match caller {
            Caller::UserToken { token, .. } | Caller::OrganizationToken { token, .. } => {
                Subject::Token(*token)
            }
            Caller::Session { user, .. } => Subject::Session(*user),
            Caller::Anonymous => Subject::of_address(peer),
        }
    }

    /// An IPv6 client has a whole /64 to itself.
    pub(super) fn of_address(peer: IpAddr) -> Subject {
        Subject::Address(match peer.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        })
    }
}

/// Where somebody stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    /// Including this request.
    used: u32,
    /// When the next window begins.
    reset_secs: i64,
}

impl Standing {
    pub(super) fn is_exceeded(self) -> bool {
        self.used > self.limit
    }

    /// The refusal of a request that is one too many, without the fields of [`Standing::tell`].
    pub(super) fn refusal(self) -> Response {
        // The next second is always less than one away.
        error::too_frequent(self.limit).with_header("Retry-After", "1")
    }

    /// Adds what a client reads of it, on successes too.
    pub(super) fn tell(self, response: Response) -> Response {
        let remaining = self.limit.saturating_sub(self.used);
        response
            .with_header("X-Sentry-Rate-Limit-Limit", self.limit.to_string())
            .with_header("X-Sentry-Rate-Limit-Remaining", remaining.to_string())
            .with_header("X-Sentry-Rate-Limit-Reset", self.reset_secs.to_string())
    }
}

/// No second has more callers than this; those beyond are refused until the next.
const SUBJECTS_MAX: usize = 100_000;

/// The counts of the running second.
pub(super) struct RateLimits {
    is_on: bool,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    second: i64,
    used: HashMap<(Subject, Class), u32>,
}

impl RateLimits {
    pub(super) fn new(is_on: bool) -> RateLimits {
        RateLimits {
            is_on,
            window: Mutex::default(),
        }
    }

    /// Counts a request. None: limits are off.
    pub(super) fn count(
        &self,
        subject: Subject,
        class: Class,
        received: Timestamp,
    ) -> Option<Standing> {
        self.look(subject, class, received, 1)
    }

    /// Where a request would stand that is not counted.
    pub(super) fn ask(
        &self,
        subject: Subject,
        class: Class,
        received: Timestamp,
    ) -> Option<Standing> {
        let standing = self.look(subject, class, received, 0)?;
        Some(Standing {
            used: standing.used.saturating_add(1),
            ..standing
        })
    }

    fn look(
        &self,
        subject: Subject,
        class: Class,
        received: Timestamp,
        more: u32,
    ) -> Option<Standing> {
        if !self.is_on {
            return None;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker may be a moment behind the others, and its request is of the window that they are in. A clock that
        // was set back by more than that begins anew.
        if !(received.secs()..=received.secs() + 1).contains(&window.second) {
            window.second = received.secs();
            window.used = HashMap::new();
        }
        let is_full = window.used.len() >= SUBJECTS_MAX;
        let used = match window.used.get_mut(&(subject, class)) {
            Some(used) => {
                *used = used.saturating_add(more);
                *used
            }
            None if is_full => u32::MAX,
            None if more == 0 => 0,
            None => {
                window.used.insert((subject, class), more);
                more
            }
        };
        Some(Standing {
            limit: class.per_second(),
            used,
            reset_secs: window.second + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn address(text: &str) -> Subject {
        Subject::of_address(text.parse().unwrap())
    }

    fn used(limits: &RateLimits, subject: Subject, now: Timestamp) -> u32 {
        limits.count(subject, Class::Other, now).unwrap().used
    }

    #[test]
    fn a_second_lets_go_of_the_one_before() {
        let limits = RateLimits::new(true);
        let one = address("192.0.2.1");
        assert_eq!(used(&limits, one, NOW), 1);
        assert_eq!(used(&limits, one, NOW), 2);
        assert_eq!(used(&limits, address("192.0.2.2"), NOW), 1);
        assert_eq!(used(&limits, one, NOW.plus_secs(1)), 1);
        // A worker that is late, and then a clock that was set back.
        assert_eq!(used(&limits, one, NOW), 2);
        assert_eq!(used(&limits, one, NOW.plus_secs(-1)), 1);
        assert_eq!(limits.window.lock().unwrap().used.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_ipv4_is_itself() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:0:0:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn the_callers_of_a_second_are_bounded() {
        let limits = RateLimits::new(true);
        for number in 0..SUBJECTS_MAX {
            let token = Subject::Token(TokenId(i64::try_from(number).unwrap()));
            assert!(
                !limits
                    .count(token, Class::Other, NOW)
                    .unwrap()
                    .is_exceeded()
            );
        }
        let late = Subject::Token(TokenId(-1));
        assert!(limits.count(late, Class::Other, NOW).unwrap().is_exceeded());
        assert!(limits.ask(late, Class::Other, NOW).unwrap().is_exceeded());
        let early = Subject::Token(TokenId(0));
        assert!(
            !limits
                .count(early, Class::Other, NOW)
                .unwrap()
                .is_exceeded()
        );
        let next = NOW.plus_secs(1);
        assert!(
            !limits
                .count(late, Class::Other, next)
                .unwrap()
                .is_exceeded()
        );
        assert_eq!(limits.window.lock().unwrap().used.len(), 1);
    }

    #[test]
    fn asking_counts_nothing() {
        let limits = RateLimits::new(true);
        let one = address("192.0.2.1");
        let class = Class::WrongCredentials;
        for _ in 0..100 {
            assert!(!limits.ask(one, class, NOW).unwrap().is_exceeded());
        }
        for _ in 0..10 {
            limits.count(one, class, NOW);
        }
        assert!(limits.ask(one, class, NOW).unwrap().is_exceeded());
    }

    #[test]
    fn switched_off_nothing_is_limited() {
        let limits = RateLimits::new(false);
        assert_eq!(limits.count(address("::1"), Class::Other, NOW), None);
        assert_eq!(limits.ask(address("::1"), Class::Other, NOW), None);
    }
}
