//! Slows down guessing: of passwords, codes and links. Counts tries in memory, in fixed windows.
//!
//! A try is counted before it is looked at, so that many at once get no further than one after the other, and given back
//! if it was right or never looked at. What was counted before stays: whoever knows one password cannot go on guessing
//! others faster.
//!
//! What comes after a right password is counted apart, by user, and right tries as well as wrong ones ([`Tries`]).
//! Strangers never get there, so they can neither use these up nor, with the names that they make up, crowd them out.
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
            Subject::LinksTo(_) => (20, 3600),
            Subject::LinksFor(_) | Subject::InvitationsTo(_) => (5, 3600),
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
    tries: Mutex<HashMap<Subject, Window>>,
    /// By user and what is tried, one for each limit. As many as there are users.
    by_user: Mutex<HashMap<(UserId, Tries), Vec<Window>>>,
}

struct Window {
    count: u32,
    ends: Timestamp,
}

impl Window {
    fn begin(ends: Timestamp) -> Window {
        Window { count: 0, ends }
    }

    /// Whether it has ended, or, since the clock was set back, would last too long. `ends` is the end of a window that
    /// begins now.
    fn is_over(&self, now: Timestamp, ends: Timestamp) -> bool {
        now >= self.ends || self.ends > ends
    }

    /// How many seconds are left of it, if it holds as many as it may.
    fn wait_secs(&self, (most, secs): (u32, i64), now: Timestamp) -> Option<u32> {
        let is_full = self.count >= most && !self.is_over(now, now.plus_secs(secs));
        is_full.then(|| {
            let secs = self.ends.secs() - now.secs();
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
            .filter_map(|subject| tries.get(subject)?.wait_secs(subject.limit(), now))
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
        self.lock().get(subject)?.wait_secs(subject.limit(), now)
    }

    /// Counts a try that has failed already.
    pub(crate) fn count_failure(&self, subject: Subject, now: Timestamp) {
        count(&mut self.lock(), &subject, now);
    }

    /// Counts a try before anything is made of it, so that of many at once no more get through than one after another.
    ///
    /// # Errors
    /// It is one too many and not counted: how many seconds to wait.
    pub(crate) fn count_try(&self, user: UserId, tries: Tries, now: Timestamp) -> Result<(), u32> {
        let mut all = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = tries.limits();
        let ends = |window_secs: i64| now.plus_secs(window_secs);
        let known = all.entry((user, tries)).or_insert_with(|| {
            let windows = limits.iter();
            windows
                .map(|(_, secs)| Window::begin(ends(*secs)))
                .collect()
        });
        for (window, (_, secs)) in known.iter_mut().zip(limits) {
            if window.is_over(now, ends(*secs)) {
                *window = Window::begin(ends(*secs));
            }
        }
        let full = known
            .iter()
            .zip(limits)
            .filter(|(window, (most, _))| window.count >= *most);
        if let Some(until) = full.map(|(window, _)| window.ends).max() {
            return Err(u32::try_from(until.secs() - now.secs()).unwrap_or(0).max(1));
        }
        for window in known {
            window.count += 1;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Subject, Window>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(tries: &mut HashMap<Subject, Window>, subject: &Subject, now: Timestamp) {
    if tries.len() >= SUBJECTS_MAX && !tries.contains_key(subject) {
        tries.retain(|_, known| now < known.ends);
        if tries.len() >= SUBJECTS_MAX {
            return;
        }
    }
    let ends = now.plus_secs(subject.limit().1);
    let known = tries.entry(subject.clone()).or_insert(Window::begin(ends));
    if known.is_over(now, ends) {
        *known = Window::begin(ends);
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
