//! Slows down guessing: of passwords, codes and links. Counts failures in memory, in fixed windows; a success forgets
//! none, so that whoever knows one password cannot go on guessing others faster.
//!
//! A stranger must not lock a user out: failures count for the address and, apart from that, for the account; and the
//! count of the account does not hold for a browser that signed in as this user before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// What failures are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Anything secret that comes from an address; IPv6 by /64.
    Address(IpAddr),
    /// Passwords of an account, by what was typed as its address in lower case, whether or not there is such one.
    Account(String),
    /// One-time codes of a user.
    Code(UserId),
}

impl Subject {
    pub(crate) fn address(address: IpAddr) -> Subject {
        Subject::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let mut octets = v6.octets();
                octets[8..].fill(0);
                IpAddr::from(octets)
            }
        })
    }

    pub(crate) fn account(email: &str) -> Subject {
        Subject::Account(email.trim().to_lowercase())
    }

    /// How many failures in how many seconds.
    fn limit(&self) -> (u32, i64) {
        match self {
            Subject::Address(_) => (30, 600),
            Subject::Account(_) => (10, 600),
            Subject::Code(_) => (5, 300),
        }
    }
}

/// As many subjects are remembered. Beyond that, those whose window is over are forgotten, and if there are none, the
/// new one is not counted: whoever has a hundred thousand addresses is not stopped by counting.
const SUBJECTS_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Subject, Failures>>,
}

struct Failures {
    count: u32,
    window_ends: Timestamp,
}

impl Throttle {
    /// How many seconds somebody has to wait before the next try; none when it may be now.
    pub(crate) fn wait_secs(&self, subject: &Subject, now: Timestamp) -> Option<u32> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get(subject)?;
        let is_over = known.count >= subject.limit().0 && now < known.window_ends;
        is_over.then(|| {
            let secs = known.window_ends.secs() - now.secs();
            u32::try_from(secs).unwrap_or(0).max(1)
        })
    }

    pub(crate) fn count_failure(&self, subject: Subject, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= SUBJECTS_MAX && !failures.contains_key(&subject) {
            failures.retain(|_, known| now < known.window_ends);
            if failures.len() >= SUBJECTS_MAX {
                return;
            }
        }
        let window_ends = now.plus_secs(subject.limit().1);
        let known = failures.entry(subject).or_insert(Failures {
            count: 0,
            window_ends,
        });
        // Also when the clock was set back by more than a window.
        if now >= known.window_ends || known.window_ends > window_ends {
            *known = Failures {
                count: 0,
                window_ends,
            };
        }
        known.count = known.count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn the_tenth_failure_closes_an_account_until_its_window_ends() {
        let throttle = Throttle::default();
        let ann = || Subject::account(" Ann@Example.test ");
        for _ in 0..10 {
            assert_eq!(throttle.wait_secs(&ann(), NOW), None);
            throttle.count_failure(Subject::account("ann@example.test"), NOW);
        }
        assert_eq!(throttle.wait_secs(&ann(), NOW), Some(600));
        assert_eq!(throttle.wait_secs(&ann(), NOW.plus_secs(599)), Some(1));
        assert_eq!(throttle.wait_secs(&ann(), NOW.plus_secs(600)), None);
        assert_eq!(
            throttle.wait_secs(&Subject::account("bob@example.test"), NOW),
            None
        );
    }

    #[test]
    fn neighbours_in_a_network_of_ipv6_count_as_one() {
        let of = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_close_for_ever() {
        let throttle = Throttle::default();
        let ann = || Subject::account("a");
        for _ in 0..10 {
            throttle.count_failure(ann(), NOW);
        }
        let before = NOW.plus_secs(-100_000);
        throttle.count_failure(ann(), before);
        assert_eq!(throttle.wait_secs(&ann(), before), None);
    }
}
