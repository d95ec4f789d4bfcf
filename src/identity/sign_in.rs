//! From a password to a session.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::Identity;
use super::throttle::Subject;
use crate::domain::Error;
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{ProviderId, UserId};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::time::Timestamp;
use crate::store::sessions::{self, NewSession};
use crate::store::users::{self, User};
use crate::store::{Connection, second_factors, users as stored_users};

/// Who is at the door.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    /// The cookie of a browser that signed in before.
    pub(crate) device: Option<Secret>,
    pub(crate) now: Timestamp,
}

/// Somebody's try to sign in with a password.
pub(crate) struct Try<'a> {
    pub(crate) email: &'a str,
    pub(crate) password: &'a str,
    pub(crate) visitor: &'a Visitor,
}

/// How far a right password led.
pub(crate) enum Begun {
    /// Signed in.
    Session(NewCookies),
    /// A code of the second factor is asked for; this stands for the password meanwhile.
    NeedsCode(Secret),
}

/// What the browser keeps.
pub(crate) struct NewCookies {
    pub(crate) user: User,
    pub(crate) session: Secret,
    pub(crate) device: Secret,
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub(crate) enum NotSignedIn {
    /// The account or its password is wrong, or the code is.
    Wrong,
    /// Too many tries.
    Throttled {
        retry_after_secs: u32,
    },
    /// Too many at once.
    Busy,
    /// What stood for the password is no longer good: from the beginning.
    Lapsed,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotSignedIn {
    fn from(error: E) -> NotSignedIn {
        NotSignedIn::Failed(error.into())
    }
}

/// How long a right password waits for its code.
const PENDING_SECS: i64 = 600;
const PENDING_MAX: usize = 10_000;

/// Those whose password was right and whose code is awaited. Only in memory: after a restart they begin anew.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<SecretHash, (UserId, Timestamp)>>);

impl Pending {
    fn add(&self, user: UserId, now: Timestamp) -> Secret {
        let secret = Secret::random();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= PENDING_MAX {
            waiting.retain(|_, (_, until)| now < *until);
        }
        waiting.insert(secret.hash(), (user, now.plus_secs(PENDING_SECS)));
        secret
    }

    fn find(&self, secret: &Secret, now: Timestamp) -> Option<UserId> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, until) = waiting.get(&secret.hash())?;
        (now < *until).then_some(*user)
    }

    fn remove(&self, secret: &Secret) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&secret.hash());
    }
}

impl Identity {
    /// Signs in with a password, or asks for the second factor.
    ///
    /// # Errors
    /// See [`NotSignedIn`].
    pub(crate) fn sign_in(&self, given: &Try<'_>) -> Result<Begun, NotSignedIn> {
        let user = self.check_password(given)?;
        self.go_on(user, given.visitor)
    }

    /// A session for a user who has proved to be who they are but for the second factor, or the question for that.
    pub(super) fn go_on(&self, user: User, visitor: &Visitor) -> Result<Begun, NotSignedIn> {
        let connection = self.store.read()?;
        if second_factors::find_totp(&connection, user.id)?.is_some() {
            return Ok(Begun::NeedsCode(self.pending.add(user.id, visitor.now)));
        }
        drop(connection);
        Ok(Begun::Session(self.begin(user, visitor, None)?))
    }

    /// The user whose password was given. One Argon2 whether or not there is such a user, and none for who is refused.
    ///
    /// # Errors
    /// See [`NotSignedIn`].
    pub(crate) fn check_password(&self, given: &Try<'_>) -> Result<User, NotSignedIn> {
        let visitor = given.visitor;
        let (user, subjects) = {
            let connection = self.store.read()?;
            let user = users::find_by_email(&connection, given.email.trim())?;
            let device = known_device(&connection, user.as_ref(), visitor)?;
            let subjects = Subject::of_password(given.email, visitor.address, device);
            (user, subjects)
        };
        let counted = self
            .throttle
            .take(subjects, visitor.now)
            .map_err(|retry_after_secs| NotSignedIn::Throttled { retry_after_secs })?;
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let Ok(is_right) = self.hashing.verify(given.password, hash) else {
            counted.give_back();
            return Err(NotSignedIn::Busy);
        };
        match user {
            Some(user) if is_right && user.active => {
                counted.give_back();
                Ok(user)
            }
            _ => Err(NotSignedIn::Wrong),
        }
    }

    /// Begins a session of a user about whom there is no doubt any more. Always a new one, so that nobody can lay a
    /// session of their own under somebody else's sign-in.
    ///
    /// # Errors
    /// `Wrong`: the user was switched off, or given another password, after `user` was read.
    pub(crate) fn begin(
        &self,
        user: User,
        visitor: &Visitor,
        provider: Option<ProviderId>,
    ) -> Result<NewCookies, NotSignedIn> {
        let session = Secret::random();
        // A cookie that nobody knows may have been laid there by somebody who would be taken for this browser then.
        let is_known = known_device(&*self.store.read()?, Some(&user), visitor)?.is_some();
        let device = match &visitor.device {
            Some(device) if is_known => device.clone(),
            _ => Secret::random(),
        };
        let new = NewSession {
            hash: session.hash(),
            user: user.id,
            address: visitor.address.to_string(),
            user_agent: visitor.user_agent.chars().take(256).collect(),
            provider,
        };
        let actor = Actor {
            who: Who::Visitor {
                user: user.id,
                address: visitor.address,
            },
            at: visitor.now,
        };
        let device_hash = device.hash();
        let password_hash = user.password_hash.clone();
        let has_begun = self.store.write(move |unit| {
            let now = actor.at;
            // Switched off, or given another password, since the old one was checked.
            let is_as_it_was = |user: User| user.active && user.password_hash == password_hash;
            if !stored_users::find(unit, new.user)?.is_some_and(is_as_it_was) {
                return Ok(false);
            }
            sessions::create(unit, &new, now)?;
            sessions::set_device(unit, new.user, device_hash, now)?;
            users::set_signed_in(unit, &actor, new.user)?;
            Ok(true)
        })?;
        if !has_begun {
            return Err(NotSignedIn::Wrong);
        }
        Ok(NewCookies {
            user,
            session,
            device,
        })
    }

    /// Whose code is awaited.
    pub(crate) fn pending(&self, secret: &Secret, now: Timestamp) -> Option<UserId> {
        self.pending.find(secret, now)
    }

    /// Nothing is awaited any more: the code came, or will not.
    pub(crate) fn end_pending(&self, secret: &Secret) {
        self.pending.remove(secret);
    }
}

/// The cookie of a browser that signed in as this user before.
fn known_device(
    connection: &Connection,
    user: Option<&User>,
    visitor: &Visitor,
) -> Result<Option<SecretHash>, Error> {
    let (Some(user), Some(device)) = (user, &visitor.device) else {
        return Ok(None);
    };
    let hash = device.hash();
    let is_known = sessions::knows_device(connection, user.id, hash)?;
    Ok(is_known.then_some(hash))
}
