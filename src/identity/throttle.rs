//! Slows down guessing: of passwords, codes and links. Counts tries in memory, in fixed windows.
//!
//! A try is counted before it is looked at, so that many at once get no further than one after the other, and given back
//! if it was right or never looked at. What was counted before stays: whoever knows one password cannot go on guessing
//! others faster.
//!
//! A stranger must not lock a user out. So there are three counts for a password: of the address that it comes from; of
//! the account from this address; and, far wider, of the account from everywhere. None of them holds for a browser that
//! signed in as this user before, which has a count of its own. A stranger with an address of their own never gets
//! anybody else refused; one who shares a user's address, or has very many, keeps the user from signing in with a new
//! browser only, until the window ends, and not from setting a password by a link.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::domain::id::UserId;
use crate::domain::secret::SecretHash;
use crate::domain::time::Timestamp;

/// What tries are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Anything secret that comes from an address; IPv6 by /64.
    Address(IpAddr),
    /// Passwords of an account, whether or not there is such one, from an address.
    AccountFrom(Account, IpAddr),
    /// The same from anywhere.
    Account(Account),
    /// Passwords from a browser that signed in before.
    Device(SecretHash),
    /// One-time codes of a user.
    Code(UserId),
    /// Links to set a password that an address asks for.
    LinksTo(IpAddr),
    /// And those that an account is sent.
    LinksFor(Account),
    /// Letters that invite an address.
    InvitationsTo(Account),
}

/// What was typed as an account's address, without case. Its hash, so that none is longer than another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Account([u8; 32]);

impl Account {
    pub(crate) fn new(email: &str) -> Account {
        Account(Sha256::digest(email.trim().to_lowercase()).into())
    }
}

/// The part of an address that one person is given.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let mut octets = v6.octets();
                octets[8..].fill(0);
                IpAddr::from(octets)
            }
        },
    }
}

impl Subject {
    pub(crate) fn address(address: IpAddr) -> Subject {
        Subject::Address(network(address))
    }

    /// Whom the try of a password counts for. `device`: of a browser that is known to have signed in as this user.
    pub(crate) fn of_password(
        email: &str,
        address: IpAddr,
        device: Option<SecretHash>,
    ) -> Vec<Subject> {
        let account = Account::new(email);
        match device {
            Some(device) => vec![Subject::Device(device)],
            None => vec![
                Subject::address(address),
                Subject::AccountFrom(account.clone(), network(address)),
                Subject::Account(account),
            ],
        }
    }

    /// Whom the wish for a link to set a password counts for, as far as the one who wishes may notice.
    pub(crate) fn links_to(address: IpAddr) -> Subject {
        Subject::LinksTo(network(address))
    }

    pub(crate) fn links_for(email: &str) -> Subject {
        Subject::LinksFor(Account::new(email))
    }

    pub(crate) fn invitations_to(email: &str) -> Subject {
        Subject::InvitationsTo(Account::new(email))
    }

    /// How many tries in how many seconds.
    fn limit(&self) -> (u32, i64) {
        match self {
            Subject::Address(_) => (30, 600),
            Subject::AccountFrom(..) | Subject::Device(_) => (10, 600),
            Subject::Account(_) => (100, 3600),
            Subject::Code(_) => (5, 300),
            Subject::LinksTo(_) => (20, 3600),
            Subject::LinksFor(_) | Subject::InvitationsTo(_) => (5, 3600),
        }
    }
}

/// As many subjects are remembered. Beyond that, those whose window is over are forgotten, and if there are none, the
/// new one is not counted: whoever has a hundred thousand addresses is not stopped by counting.
const SUBJECTS_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Throttle {
    tries: Mutex<HashMap<Subject, Tries>>,
}

struct Tries {
    count: u32,
    window_ends: Timestamp,
}

impl Tries {
    fn wait_secs(&self, limit: u32, now: Timestamp) -> Option<u32> {
        let is_over = self.count >= limit && now < self.window_ends;
        is_over.then(|| {
            let secs = self.window_ends.secs() - now.secs();
            u32::try_from(secs).unwrap_or(0).max(1)
        })
    }
}

/// A try that was counted. Stays so unless it is given back.
pub(crate) struct Try<'a> {
    throttle: &'a Throttle,
    subjects: Vec<Subject>,
}

impl Try<'_> {
    /// It was right, or was never looked at.
    pub(crate) fn give_back(self) {
        let mut tries = self.throttle.lock();
        for subject in &self.subjects {
            if let Some(known) = tries.get_mut(subject) {
                known.count = known.count.saturating_sub(1);
            }
        }
    }
}

impl Throttle {
    /// Counts a try for all of these.
    ///
    /// # Errors
    /// How many seconds to wait, because there were too many for one of them. It is counted for none then.
    pub(crate) fn take(&self, subjects: Vec<Subject>, now: Timestamp) -> Result<Try<'_>, u32> {
        let mut tries = self.lock();
        let wait = subjects
            .iter()
            .filter_map(|subject| tries.get(subject)?.wait_secs(subject.limit().0, now))
            .max();
        if let Some(secs) = wait {
            return Err(secs);
        }
        for subject in &subjects {
            count(&mut tries, subject, now);
        }
        Ok(Try {
            throttle: self,
            subjects,
        })
    }

    /// How many seconds somebody has to wait before the next try; none when it may be now.
    pub(crate) fn wait_secs(&self, subject: &Subject, now: Timestamp) -> Option<u32> {
        self.lock().get(subject)?.wait_secs(subject.limit().0, now)
    }

    /// Counts a try that has failed already.
    pub(crate) fn count_failure(&self, subject: Subject, now: Timestamp) {
        count(&mut self.lock(), &subject, now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Subject, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(tries: &mut HashMap<Subject, Tries>, subject: &Subject, now: Timestamp) {
    if tries.len() >= SUBJECTS_MAX && !tries.contains_key(subject) {
        tries.retain(|_, known| now < known.window_ends);
        if tries.len() >= SUBJECTS_MAX {
            return;
        }
    }
    let window_ends = now.plus_secs(subject.limit().1);
    let fresh = Tries {
        count: 0,
        window_ends,
    };
    let known = tries.entry(subject.clone()).or_insert(fresh);
    // Also when the clock was set back by more than a window.
    if now >= known.window_ends || known.window_ends > window_ends {
        *known = Tries {
            count: 0,
            window_ends,
        };
    }
    known.count = known.count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn password(email: &str, from: &str) -> Vec<Subject> {
        Subject::of_password(email, address(from), None)
    }

    fn wait(throttle: &Throttle, subjects: Vec<Subject>, now: Timestamp) -> Option<u32> {
        match throttle.take(subjects, now) {
            Ok(taken) => {
                taken.give_back();
                None
            }
            Err(secs) => Some(secs),
        }
    }

    #[test]
    fn the_tenth_try_closes_an_account_to_its_address_until_the_window_ends() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            assert!(
                throttle
                    .take(password("ann@example.test", "192.0.2.1"), NOW)
                    .is_ok()
            );
        }
        let ann = |from| password(" Ann@Example.test ", from);
        assert_eq!(wait(&throttle, ann("192.0.2.1"), NOW), Some(600));
        let later = NOW.plus_secs(599);
        assert_eq!(wait(&throttle, ann("192.0.2.1"), later), Some(1));
        let over = NOW.plus_secs(600);
        assert_eq!(wait(&throttle, ann("192.0.2.1"), over), None);
        // Neither another account nor another address waits for it.
        let bob = password("bob@example.test", "192.0.2.1");
        assert_eq!(wait(&throttle, bob, NOW), None);
        assert_eq!(wait(&throttle, ann("192.0.2.2"), NOW), None);
    }

    #[test]
    fn many_addresses_close_an_account_only_to_browsers_that_are_new() {
        let throttle = Throttle::default();
        for at in 0..100 {
            let from = format!("192.0.2.{}", at / 10);
            assert!(throttle.take(password("a@b", &from), NOW).is_ok());
        }
        assert_eq!(
            wait(&throttle, password("a@b", "198.51.100.1"), NOW),
            Some(3600)
        );
        let device = || {
            let hash = Some(SecretHash([7; 32]));
            Subject::of_password("a@b", address("198.51.100.1"), hash)
        };
        for _ in 0..10 {
            assert!(throttle.take(device(), NOW).is_ok());
        }
        assert_eq!(wait(&throttle, device(), NOW), Some(600));
    }

    #[test]
    fn a_try_that_is_given_back_is_not_counted_and_others_stay() {
        let throttle = Throttle::default();
        for _ in 0..9 {
            assert!(throttle.take(password("a", "192.0.2.1"), NOW).is_ok());
        }
        for _ in 0..20 {
            assert_eq!(wait(&throttle, password("a", "192.0.2.1"), NOW), None);
        }
        assert!(throttle.take(password("a", "192.0.2.1"), NOW).is_ok());
        assert!(throttle.take(password("a", "192.0.2.1"), NOW).is_err());
        // What is refused counts for nobody.
        let other = Subject::AccountFrom(Account::new("b"), address("192.0.2.1"));
        assert_eq!(throttle.wait_secs(&other, NOW), None);
    }

    #[test]
    fn neighbours_in_a_network_of_ipv6_count_as_one() {
        let of = |text: &str| Subject::address(address(text));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_close_for_ever() {
        let throttle = Throttle::default();
        let subject = || Subject::address(address("192.0.2.1"));
        for _ in 0..30 {
            throttle.count_failure(subject(), NOW);
        }
        assert!(throttle.wait_secs(&subject(), NOW).is_some());
        let before = NOW.plus_secs(-100_000);
        throttle.count_failure(subject(), before);
        assert_eq!(throttle.wait_secs(&subject(), before), None);
    }
}
