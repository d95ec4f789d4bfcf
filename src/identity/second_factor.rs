//! The second factor: setting it up, what it lets in, and taking it away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Identity;
use super::sign_in::NotSignedIn;
use super::throttle::Tries;
use crate::domain::Error;
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{SessionId, UserId};
use crate::domain::recovery_code::{RecoveryCode, Salt};
use crate::domain::time::Timestamp;
use crate::domain::totp::{Code, Seed};
use crate::store::second_factors::{self, NewCodes, Proof};
use crate::store::sessions;

/// Why somebody is not enrolled, or has no new recovery codes.
#[derive(Debug)]
pub(crate) enum NotEnrolled {
    /// The code is not one of the seed, or was taken before.
    WrongCode,
    /// Too many tries.
    Throttled {
        retry_after_secs: u32,
    },
    /// Too many passwords and codes at once.
    Busy,
    /// There is no second factor that recovery codes could stand in for.
    NoSecondFactor,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotEnrolled {
    fn from(error: E) -> NotEnrolled {
        NotEnrolled::Failed(error.into())
    }
}

/// What came of a wish to be without the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// An organization of the user's demands one.
    Demanded,
    /// There was none.
    Absent,
}

/// How long the codes that an enrolment made can be looked at.
const UNSEEN_SECS: i64 = 600;

/// Recovery codes that nobody has seen: the answer to an enrolment over the API has no place for them
/// (facts/auth-and-tokens.md 9.3), so they wait here for the request of the same session that asks for them. It gets
/// them once.
#[derive(Default)]
pub(super) struct UnseenCodes(Mutex<HashMap<UserId, Unseen>>);

struct Unseen {
    session: SessionId,
    codes: Vec<RecoveryCode>,
    until: Timestamp,
}

impl UnseenCodes {
    fn put(&self, user: UserId, session: SessionId, codes: Vec<RecoveryCode>, now: Timestamp) {
        let until = now.plus_secs(UNSEEN_SECS);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, unseen| now < unseen.until);
        let unseen = Unseen {
            session,
            codes,
            until,
        };
        all.insert(user, unseen);
    }

    fn take(&self, user: UserId, session: SessionId, now: Timestamp) -> Option<Vec<RecoveryCode>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, unseen| now < unseen.until);
        let is_own = all
            .get(&user)
            .is_some_and(|unseen| unseen.session == session);
        let unseen = is_own.then(|| all.remove(&user)).flatten();
        unseen.map(|unseen| unseen.codes)
    }

    /// They are good for nothing any more.
    fn forget(&self, user: UserId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&user);
    }
}

/// What apps show beside a code: this server's name and address. Without colons, at which apps divide what they read.
pub(crate) fn issuer(prefix: &UrlPrefix) -> String {
    let url = prefix.as_str();
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    format!("Picket {}", host.replace(':', " "))
}

impl Identity {
    /// Sets up one-time codes of this seed, or of another one than before, and ends all other sessions of the user:
    /// whoever is in them gave no code. The recovery codes, if the user had none.
    ///
    /// # Errors
    /// See [`NotEnrolled`].
    pub(crate) fn enroll(
        &self,
        actor: &Actor,
        (user, session): (UserId, SessionId),
        seed: &Seed,
        code: Option<&Code>,
    ) -> Result<Option<Vec<RecoveryCode>>, NotEnrolled> {
        self.throttle
            .count_try(user, Tries::Enrolment, actor.at)
            .map_err(|retry_after_secs| NotEnrolled::Throttled { retry_after_secs })?;
        let step = code.and_then(|code| seed.step_of(code, actor.at));
        let step = step.ok_or(NotEnrolled::WrongCode)?;
        let (codes, new) = self.make_codes()?;
        let (actor, seed) = (actor.clone(), seed.clone());
        let enrolled = self.store.write(move |unit| {
            let enrolled = second_factors::set_totp(unit, &actor, user, &seed, step, &new)?;
            if enrolled.is_some() {
                sessions::delete_others(unit, user, Some(session))?;
            }
            Ok(enrolled)
        })?;
        let enrolled = enrolled.ok_or(NotEnrolled::WrongCode)?;
        Ok(enrolled.with_codes.then_some(codes))
    }

    /// Gives a user other recovery codes than before.
    ///
    /// # Errors
    /// See [`NotEnrolled`].
    pub(crate) fn regenerate_codes(
        &self,
        actor: &Actor,
        user: UserId,
    ) -> Result<Vec<RecoveryCode>, NotEnrolled> {
        let (codes, new) = self.make_codes()?;
        let actor = actor.clone();
        let are_set = self.store.write(move |unit| {
            let has_one = second_factors::has_one(unit, user)?;
            if has_one {
                second_factors::set_codes(unit, &actor, user, &new)?;
            }
            Ok(has_one)
        })?;
        self.unseen_codes.forget(user);
        are_set.then_some(codes).ok_or(NotEnrolled::NoSecondFactor)
    }

    fn make_codes(&self) -> Result<(Vec<RecoveryCode>, NewCodes), NotEnrolled> {
        let (codes, salt) = (RecoveryCode::random_set(), Salt::random());
        let hashes = self.hashing.recovery(&codes, salt);
        let hashes = hashes.map_err(|_| NotEnrolled::Busy)??;
        Ok((codes, NewCodes { salt, hashes }))
    }

    /// Takes the second factor of a user away with the recovery codes, and ends all other sessions; unless an
    /// organization of the user's demands one.
    ///
    /// # Errors
    /// Of the store.
    pub(crate) fn remove_second_factor(
        &self,
        actor: &Actor,
        user: UserId,
        session: SessionId,
    ) -> Result<Removal, Error> {
        self.unseen_codes.forget(user);
        let actor = actor.clone();
        self.store.write(move |unit| {
            if !second_factors::has_one(unit, user)? {
                return Ok(Removal::Absent);
            }
            if !second_factors::list_demanding(unit, user)?.is_empty() {
                return Ok(Removal::Demanded);
            }
            second_factors::delete(unit, &actor, user)?;
            sessions::delete_others(unit, user, Some(session))?;
            Ok(Removal::Done)
        })
    }

    /// Keeps recovery codes for the one request of this session that asks for them.
    pub(crate) fn put_unseen_codes(
        &self,
        (user, session): (UserId, SessionId),
        codes: Vec<RecoveryCode>,
        now: Timestamp,
    ) {
        self.unseen_codes.put(user, session, codes, now);
    }

    /// The codes that this session has not seen; the next time there are none.
    pub(crate) fn take_unseen_codes(
        &self,
        (user, session): (UserId, SessionId),
        now: Timestamp,
    ) -> Option<Vec<RecoveryCode>> {
        self.unseen_codes.take(user, session, now)
    }

    /// What a user who has a second factor proves with what was typed: a one-time code or a recovery code. The code is
    /// not taken yet. None: it is wrong, or none.
    ///
    /// # Errors
    /// `Busy`; `Lapsed`, when there is no second factor any more.
    pub(super) fn proof_of(
        &self,
        user: UserId,
        typed: &str,
        now: Timestamp,
    ) -> Result<Option<Proof>, NotSignedIn> {
        let (totp, recovery) = {
            let connection = self.store.read()?;
            let totp = second_factors::find_totp(&connection, user)?;
            (totp, second_factors::find_recovery(&connection, user)?)
        };
        let totp = totp.ok_or(NotSignedIn::Lapsed)?;
        if let Some(code) = Code::parse(typed) {
            let step = totp.seed.step_of(&code, now);
            return Ok(step.map(|step| Proof::Step(totp.seed, step)));
        }
        let (Some(code), Some(recovery)) = (RecoveryCode::parse(typed), recovery) else {
            return Ok(None);
        };
        let hashes = self.hashing.recovery(&[code], recovery.salt);
        let hashes = hashes.map_err(|_| NotSignedIn::Busy)??;
        Ok(hashes.first().copied().map(Proof::Recovery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);
    const ANN: UserId = UserId(1);
    const ONE: SessionId = SessionId(1);
    const OTHER: SessionId = SessionId(2);

    #[test]
    fn unseen_codes_wait_for_their_session_for_a_while() {
        let unseen = UnseenCodes::default();
        let put = |session| unseen.put(ANN, session, RecoveryCode::random_set(), NOW);
        put(ONE);
        assert!(unseen.take(ANN, OTHER, NOW).is_none());
        assert!(unseen.take(UserId(2), ONE, NOW).is_none());
        assert!(unseen.take(ANN, ONE, NOW.plus_secs(599)).is_some());
        assert!(unseen.take(ANN, ONE, NOW).is_none());
        put(ONE);
        assert!(unseen.take(ANN, ONE, NOW.plus_secs(600)).is_none());
        put(ONE);
        unseen.forget(ANN);
        assert!(unseen.take(ANN, ONE, NOW).is_none());
        put(ONE);
        put(OTHER);
        assert!(unseen.take(ANN, ONE, NOW).is_none());
        assert!(unseen.take(ANN, OTHER, NOW).is_some());
    }
}
