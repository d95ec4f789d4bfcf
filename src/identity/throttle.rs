//! Slows down guessing: of passwords, codes and links. Counts failures in memory, in fixed windows; a success forgets
//! none, so that whoever knows one password cannot go on guessing others faster.
//!
//! A stranger must not lock a user out: failures count for the address and, apart from that, for the account; and the
//! count of the account does not hold for a browser that signed in as this user before.
//!
//! What comes after a right password is counted apart, by user, and right tries as well as wrong ones ([`Tries`]).
//! Strangers never get there, so they can neither use these up nor, with the names that they make up, crowd them out.

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
        }
    }
}

/// What somebody who gave the right password, or is signed in, may try only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tries {
    /// Codes at the door (facts/auth-and-tokens.md 9.3).
    Codes,
    /// Codes of a new seed (9.3 there).
    Enrolment,
    /// The password once more (7 there).
    Verification,
}

impl Tries {
    /// How many in how many seconds; all of these hold.
    fn limits(self) -> &'static [(u32, i64)] {
        match self {
            Tries::Codes => &[(5, 20), (20, 3600)],
            Tries::Enrolment => &[(10, 86_400)],
            Tries::Verification => &[(5, 3600)],
        }
    }
}

/// As many subjects are remembered. Beyond that, those whose window is over are forgotten, and if there are none, the
/// new one is not counted: whoever has a hundred thousand addresses is not stopped by counting.
const SUBJECTS_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Subject, Failures>>,
    /// By user and what is tried, one for each limit. As many as there are users.
    tries: Mutex<HashMap<(UserId, Tries), Vec<Failures>>>,
}

struct Failures {
    count: u32,
    window_ends: Timestamp,
}

impl Failures {
    fn begin(window_ends: Timestamp) -> Failures {
        Failures {
            count: 0,
            window_ends,
        }
    }

    /// Whether its window is over, or, since the clock was set back, would be too long. `window_ends` is that of a
    /// window that begins now.
    fn is_over(&self, now: Timestamp, window_ends: Timestamp) -> bool {
        now >= self.window_ends || self.window_ends > window_ends
    }
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
        let known = failures
            .entry(subject)
            .or_insert(Failures::begin(window_ends));
        if known.is_over(now, window_ends) {
            *known = Failures::begin(window_ends);
        }
        known.count = known.count.saturating_add(1);
    }

    /// Counts a try before anything is made of it, so that of many at once no more get through than one after another.
    ///
    /// # Errors
    /// It is one too many and not counted: how many seconds to wait.
    pub(crate) fn count_try(&self, user: UserId, tries: Tries, now: Timestamp) -> Result<(), u32> {
        let mut all = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = tries.limits();
        let ends = |window_secs: i64| now.plus_secs(window_secs);
        let known = all.entry((user, tries)).or_insert_with(|| {
            let windows = limits.iter();
            windows
                .map(|(_, secs)| Failures::begin(ends(*secs)))
                .collect()
        });
        for (window, (_, secs)) in known.iter_mut().zip(limits) {
            if window.is_over(now, ends(*secs)) {
                *window = Failures::begin(ends(*secs));
            }
        }
        let full = known
            .iter()
            .zip(limits)
            .filter(|(window, (most, _))| window.count >= *most);
        if let Some(until) = full.map(|(window, _)| window.window_ends).max() {
            return Err(u32::try_from(until.secs() - now.secs()).unwrap_or(0).max(1));
        }
        for window in known {
            window.count += 1;
        }
        Ok(())
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

    #[test]
    fn tries_are_counted_in_every_window_of_theirs() {
        let throttle = Throttle::default();
        let count = |now| throttle.count_try(UserId(1), Tries::Codes, now);
        for round in 0..4 {
            let now = NOW.plus_secs(round * 20);
            for _ in 0..5 {
                assert_eq!(count(now), Ok(()));
            }
            assert_eq!(count(now), Err(if round < 3 { 20 } else { 3540 }));
        }
        assert_eq!(count(NOW.plus_secs(3599)), Err(1));
        assert_eq!(throttle.count_try(UserId(2), Tries::Codes, NOW), Ok(()));
        assert_eq!(throttle.count_try(UserId(1), Tries::Enrolment, NOW), Ok(()));
        assert_eq!(count(NOW.plus_secs(3600)), Ok(()));
        // The clock was set back.
        assert_eq!(count(NOW.plus_secs(-100_000)), Ok(()));
    }
}
