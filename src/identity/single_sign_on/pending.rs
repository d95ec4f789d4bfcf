//! What is awaited, for a few minutes and only in memory: after a restart, people begin anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::domain::id::{ProviderId, UserId};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::single_sign_on::{Claims, SamlSession};
use crate::domain::time::Timestamp;

/// How long somebody may take at the provider, and to answer an offer.
const WAIT_SECS: i64 = 600;

/// As many are awaited; then the ones that waited for the longest time are forgotten.
const WAITING_MAX: usize = 10_000;

/// What was asked of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Oidc {
        nonce: String,
        pkce_verifier: String,
    },
    SamlSignIn,
    SamlSignOut,
}

/// A sign-in, or a sign-out, that waits for the provider's answer.
pub(super) struct Flow {
    /// By which the answer names it.
    pub(super) state: String,
    pub(super) provider: ProviderId,
    /// Of what only the browser has that it was begun in.
    pub(super) browser: SecretHash,
    pub(super) question: Question,
    /// Where to go in the end.
    pub(super) next: String,
}

/// What a provider has said, and was proven to have said.
#[derive(Clone)]
pub(super) struct Word {
    pub(super) claims: Claims,
    /// To sign out there.
    pub(super) id_token: Option<String>,
    /// The same, at a SAML provider.
    pub(super) saml: Option<SamlSession>,
    /// When the provider wants the session ended at the latest.
    pub(super) until: Option<Timestamp>,
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

/// What was begun, by its state.
#[derive(Default)]
pub(super) struct Flows(Waiting<Flow>);

impl Flows {
    pub(super) fn add(&self, flow: Flow, now: Timestamp) {
        self.0.add(key(&flow.state), flow, now);
    }

    /// The states of what this browser asked of a provider and was not answered.
    pub(super) fn asked(
        &self,
        provider: ProviderId,
        browser: SecretHash,
        question: &Question,
        now: Timestamp,
    ) -> Vec<String> {
        let all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = |flow: &Flow| {
            flow.browser == browser && flow.provider == provider && flow.question == *question
        };
        all.values()
            .filter(|(flow, until)| now < *until && is_own(flow))
            .map(|(flow, _)| flow.state.clone())
            .collect()
    }

    /// The sign-in of this state, if it was begun in this browser; once.
    pub(super) fn take(&self, state: &str, browser: SecretHash, now: Timestamp) -> Option<Flow> {
        let key = key(state);
        let is_own = self.0.with(key, now, |flow| flow.browser == browser)?;
        if is_own { self.0.remove(key) } else { None }
    }
}

/// A SAML provider's answer as a browser posted it, not yet looked at.
pub(super) struct Posted {
    pub(super) message: String,
    pub(super) relay_state: String,
}

/// How long a browser may take to follow a redirect.
const PARKED_SECS: i64 = 60;
const PARKED_MAX: usize = 2_000;
const PARKED_BYTES_MAX: usize = 16 << 20;

/// Answers that wait for their browser to come back with its cookies, oldest first. Anybody can bring some, so only
/// their number and size are sure to stay small: then the oldest go.
#[derive(Default)]
pub(super) struct Parked(Mutex<VecDeque<(Key, Posted, Timestamp)>>);

impl Parked {
    /// Keeps an answer; the key to it.
    pub(super) fn add(&self, posted: Posted, now: Timestamp) -> Secret {
        let secret = Secret::random();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, _, until)| now < *until);
        let size = |posted: &Posted| posted.message.len() + posted.relay_state.len();
        let mut bytes =
            size(&posted) + all.iter().map(|(_, posted, _)| size(posted)).sum::<usize>();
        while bytes > PARKED_BYTES_MAX || all.len() >= PARKED_MAX {
            let Some((_, oldest, _)) = all.pop_front() else {
                break;
            };
            bytes -= size(&oldest);
        }
        all.push_back((secret.hash().0, posted, now.plus_secs(PARKED_SECS)));
        secret
    }

    /// The answer of this key; once.
    pub(super) fn take(&self, key: &Secret, now: Timestamp) -> Option<Posted> {
        let key = key.hash().0;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(own, _, _)| *own == key)?;
        let (_, posted, until) = all.remove(at)?;
        (now < until).then_some(posted)
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

    fn flow(state: &str, browser: &Secret) -> Flow {
        Flow {
            state: state.to_owned(),
            provider: ProviderId(1),
            browser: browser.hash(),
            question: Question::SamlSignIn,
            next: "/".to_owned(),
        }
    }

    #[test]
    fn a_sign_in_counts_in_its_browser_once_and_for_ten_minutes() {
        let (flows, start) = (Flows::default(), Timestamp::from_secs(1_000));
        let (own, other) = (Secret::random(), Secret::random());
        flows.add(flow("state", &own), start);
        assert!(flows.take("state", other.hash(), start).is_none());
        assert!(flows.take("other", own.hash(), start).is_none());
        let last = start.plus_secs(599);
        assert!(flows.take("state", own.hash(), last).is_some());
        assert!(flows.take("state", own.hash(), last).is_none());
        flows.add(flow("state", &own), start);
        let late = start.plus_secs(600);
        assert!(flows.take("state", own.hash(), late).is_none());
    }

    #[test]
    fn whoever_begins_without_end_fills_no_memory() {
        let (flows, own) = (Flows::default(), Secret::random());
        let now = |at: usize| Timestamp::from_us(at as i64);
        for at in 0..=WAITING_MAX {
            flows.add(flow(&at.to_string(), &own), now(at));
        }
        let is_there = |state: &str| flows.take(state, own.hash(), now(0)).is_some();
        assert!(!is_there("0"));
        assert!(is_there("1"));
        assert!(is_there(&WAITING_MAX.to_string()));
    }

    #[test]
    fn a_browser_knows_what_it_asked_of_whom() {
        let (flows, start) = (Flows::default(), Timestamp::from_secs(1_000));
        let (own, other) = (Secret::random(), Secret::random());
        let out = Flow {
            question: Question::SamlSignOut,
            ..flow("out", &own)
        };
        for flow in [flow("one", &own), flow("other", &other), out] {
            flows.add(flow, start);
        }
        let asked =
            |provider, question, now| flows.asked(ProviderId(provider), own.hash(), &question, now);
        assert_eq!(asked(1, Question::SamlSignIn, start), ["one"]);
        assert_eq!(asked(1, Question::SamlSignOut, start), ["out"]);
        assert!(asked(2, Question::SamlSignIn, start).is_empty());
        assert!(asked(1, Question::SamlSignIn, start.plus_secs(600)).is_empty());
    }

    #[test]
    fn an_answer_waits_once_and_for_a_minute_and_the_oldest_make_room() {
        let (parked, start) = (Parked::default(), Timestamp::from_secs(1_000));
        let posted = |bytes: usize| Posted {
            message: "x".repeat(bytes),
            relay_state: String::new(),
        };
        let key = parked.add(posted(10), start);
        assert!(parked.take(&Secret::random(), start).is_none());
        assert!(parked.take(&key, start.plus_secs(59)).is_some());
        assert!(parked.take(&key, start.plus_secs(59)).is_none());
        let key = parked.add(posted(10), start);
        assert!(parked.take(&key, start.plus_secs(60)).is_none());

        let keys: Vec<Secret> = (0..3).map(|_| parked.add(posted(7 << 20), start)).collect();
        let found = keys.iter().map(|key| parked.take(key, start).is_some());
        assert_eq!(found.collect::<Vec<_>>(), [false, true, true]);
        let keys: Vec<Secret> = (0..=PARKED_MAX)
            .map(|_| parked.add(posted(1), start))
            .collect();
        assert!(parked.take(&keys[0], start).is_none());
        assert!(parked.take(&keys[1], start).is_some());
    }
}
