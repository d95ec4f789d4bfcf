//! What is awaited, for a few minutes and only in memory: after a restart, people begin anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::domain::id::{ProviderId, UserId};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::single_sign_on::Claims;
use crate::domain::time::Timestamp;

/// How long somebody may take at the provider, and to answer an offer.
const WAIT_SECS: i64 = 600;

/// As many are awaited; then the ones that waited for the longest time are forgotten.
const WAITING_MAX: usize = 10_000;

/// A sign-in that waits for the provider's answer.
pub(super) struct Flow {
    pub(super) provider: ProviderId,
    /// Of what only the browser has that it was begun in.
    pub(super) browser: SecretHash,
    pub(super) nonce: String,
    pub(super) pkce_verifier: String,
    /// Where to go in the end.
    pub(super) next: String,
}

/// What a provider has said, and was proven to have said.
#[derive(Clone)]
pub(super) struct Word {
    pub(super) claims: Claims,
    /// To sign out there.
    pub(super) id_token: Option<String>,
    /// Where to go in the end.
    pub(super) next: String,
}

/// An account that may be linked, if its user wants that.
#[derive(Clone)]
pub(super) struct Offer {
    pub(super) provider: ProviderId,
    pub(super) user: UserId,
    pub(super) word: Word,
}

type Key = [u8; 32];

struct Waiting<T>(Mutex<HashMap<Key, (T, Timestamp)>>);

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting(Mutex::new(HashMap::new()))
    }
}

impl<T> Waiting<T> {
    fn add(&self, key: Key, value: T, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= WAITING_MAX {
            all.retain(|_, (_, until)| now < *until);
        }
        if all.len() >= WAITING_MAX {
            let oldest = all.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                all.remove(&key);
            }
        }
        all.insert(key, (value, now.plus_secs(WAIT_SECS)));
    }

    /// Looks at what is still good, and does something with it.
    fn with<R>(&self, key: Key, now: Timestamp, look: impl FnOnce(&T) -> R) -> Option<R> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = all.get(&key)?;
        (now < *until).then(|| look(value))
    }

    fn remove(&self, key: Key) -> Option<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&key).map(|(value, _)| value)
    }
}

/// Sign-ins by their state.
#[derive(Default)]
pub(super) struct Flows(Waiting<Flow>);

impl Flows {
    pub(super) fn add(&self, state: &str, flow: Flow, now: Timestamp) {
        self.0.add(key(state), flow, now);
    }

    /// The sign-in of this state, if it was begun in this browser; once.
    pub(super) fn take(&self, state: &str, browser: SecretHash, now: Timestamp) -> Option<Flow> {
        let key = key(state);
        let is_own = self.0.with(key, now, |flow| flow.browser == browser)?;
        if is_own { self.0.remove(key) } else { None }
    }
}

/// Offers by what the form repeats.
#[derive(Default)]
pub(super) struct Offers(Waiting<Offer>);

impl Offers {
    pub(super) fn add(&self, offer: Offer, now: Timestamp) -> Secret {
        let secret = Secret::random();
        self.0.add(secret.hash().0, offer, now);
        secret
    }

    pub(super) fn find(&self, secret: &Secret, user: UserId, now: Timestamp) -> Option<Offer> {
        let own = |offer: &Offer| (offer.user == user).then(|| offer.clone());
        self.0.with(secret.hash().0, now, own).flatten()
    }

    pub(super) fn remove(&self, secret: &Secret) {
        self.0.remove(secret.hash().0);
    }
}

fn key(state: &str) -> Key {
    Sha256::digest(state.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(browser: &Secret) -> Flow {
        Flow {
            provider: ProviderId(1),
            browser: browser.hash(),
            nonce: String::new(),
            pkce_verifier: String::new(),
            next: "/".to_owned(),
        }
    }

    #[test]
    fn a_sign_in_counts_in_its_browser_once_and_for_ten_minutes() {
        let (flows, start) = (Flows::default(), Timestamp::from_secs(1_000));
        let (own, other) = (Secret::random(), Secret::random());
        flows.add("state", flow(&own), start);
        assert!(flows.take("state", other.hash(), start).is_none());
        assert!(flows.take("other", own.hash(), start).is_none());
        let last = start.plus_secs(599);
        assert!(flows.take("state", own.hash(), last).is_some());
        assert!(flows.take("state", own.hash(), last).is_none());
        flows.add("state", flow(&own), start);
        let late = start.plus_secs(600);
        assert!(flows.take("state", own.hash(), late).is_none());
    }

    #[test]
    fn whoever_begins_without_end_fills_no_memory() {
        let (flows, own) = (Flows::default(), Secret::random());
        let now = |at: usize| Timestamp::from_us(at as i64);
        for at in 0..=WAITING_MAX {
            flows.add(&at.to_string(), flow(&own), now(at));
        }
        let is_there = |state: &str| flows.take(state, own.hash(), now(0)).is_some();
        assert!(!is_there("0"));
        assert!(is_there("1"));
        assert!(is_there(&WAITING_MAX.to_string()));
    }
}
