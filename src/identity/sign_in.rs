//! From a password, or somebody else's word, and where there is a second factor its code, to a session.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::throttle::{Subject, Tries};
use super::{DEVICE_COOKIE, Identity};
use crate::domain::Error;
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{SessionId, UserId};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::Session;
use crate::domain::single_sign_on::Vouched;
use crate::domain::time::Timestamp;
use crate::http::{Request, cookies};
use crate::store::Connection;
use crate::store::second_factors::{self, Proof};
use crate::store::sessions::{self, NewSession};
use crate::store::users::{self, User};

/// Who is at the door.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    /// The cookie of a browser that signed in before.
    pub(crate) device: Option<Secret>,
    pub(crate) now: Timestamp,
}

impl Visitor {
    pub(crate) fn of(request: &Request) -> Visitor {
        let user_agent = request.headers.get("User-Agent").unwrap_or_default();
        Visitor {
            address: request.peer,
            user_agent: user_agent.to_owned(),
            device: cookies::find(&request.headers, DEVICE_COOKIE).and_then(Secret::parse),
            now: request.received,
        }
    }
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
pub(super) const PENDING_SECS: i64 = 600;

/// A user begins this often at once; then the oldest is forgotten.
const PENDING_PER_USER_MAX: usize = 20;

/// Those whose password was right and whose code is awaited. Only in memory: after a restart they begin anew.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<SecretHash, Awaited>>);

#[derive(Clone)]
struct Awaited {
    user: UserId,
    /// Of the password that was right: a new one ends the wait.
    password_hash: Option<String>,
    /// Who vouched for the user in the place of a password.
    vouched: Option<Vouched>,
    until: Timestamp,
}

impl Pending {
    fn add(&self, user: &User, vouched: Option<Vouched>, now: Timestamp) -> Secret {
        let secret = Secret::random();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, awaited| now < awaited.until);
        let own = waiting
            .iter()
            .filter(|(_, awaited)| awaited.user == user.id);
        if own.clone().count() >= PENDING_PER_USER_MAX {
            let oldest = own.min_by_key(|(_, awaited)| awaited.until);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                waiting.remove(&oldest);
            }
        }
        let awaited = Awaited {
            user: user.id,
            password_hash: user.password_hash.clone(),
            vouched,
            until: now.plus_secs(PENDING_SECS),
        };
        waiting.insert(secret.hash(), awaited);
        secret
    }

    fn find(&self, secret: &Secret, now: Timestamp) -> Option<Awaited> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let awaited = waiting.get(&secret.hash())?;
        (now < awaited.until).then(|| awaited.clone())
    }

    /// Of two who come with the same at once, one gets nothing.
    fn take(&self, secret: &Secret) -> Option<Awaited> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&secret.hash())
    }

    fn put_back(&self, secret: &Secret, awaited: Awaited) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(secret.hash(), awaited);
    }
}

impl Identity {
    /// Signs in with a password, or asks for the second factor.
    ///
    /// # Errors
    /// See [`NotSignedIn`].
    pub(crate) fn sign_in(&self, given: &Try<'_>) -> Result<Begun, NotSignedIn> {
        let user = self.check_password(given)?;
        self.begin(user, given.visitor, None)
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

    /// Begins a session of a user whose password was right or for whom somebody vouches, or asks for the code of the
    /// second factor first. Always a new session, so that nobody can lay one of their own under somebody else's sign-in.
    ///
    /// # Errors
    /// `Wrong`: the user was switched off, or given another password, after `user` was read.
    pub(crate) fn begin(
        &self,
        user: User,
        visitor: &Visitor,
        vouched: Option<Vouched>,
    ) -> Result<Begun, NotSignedIn> {
        Ok(
            match self.create_session(user.clone(), visitor, vouched.clone(), None)? {
                Created::Session(cookies) => Begun::Session(cookies),
                Created::NotProven => {
                    Begun::NeedsCode(self.pending.add(&user, vouched, visitor.now))
                }
                Created::Changed => return Err(NotSignedIn::Wrong),
            },
        )
    }

    /// Signs in whoever was asked for a code, with a one-time code or a recovery code, each of which is good once.
    ///
    /// # Errors
    /// See [`NotSignedIn`]. Whoever gave a wrong code may give another one.
    pub(crate) fn sign_in_with_code(
        &self,
        pending: &Secret,
        typed: &str,
        visitor: &Visitor,
    ) -> Result<NewCookies, NotSignedIn> {
        let now = visitor.now;
        let awaited = self.pending.find(pending, now).ok_or(NotSignedIn::Lapsed)?;
        let address = Subject::address(visitor.address);
        if let Some(retry_after_secs) = self.throttle.wait_secs(&address, now) {
            return Err(NotSignedIn::Throttled { retry_after_secs });
        }
        self.throttle
            .count_try(awaited.user, Tries::Codes, now)
            .map_err(|retry_after_secs| NotSignedIn::Throttled { retry_after_secs })?;
        let awaited = self.pending.take(pending).ok_or(NotSignedIn::Lapsed)?;
        let result = self.prove(&awaited, typed, visitor);
        match &result {
            Ok(_) | Err(NotSignedIn::Lapsed) => {}
            Err(problem) => {
                if matches!(problem, NotSignedIn::Wrong) {
                    self.throttle.count_failure(address, now);
                }
                self.pending.put_back(pending, awaited);
            }
        }
        result
    }

    fn prove(
        &self,
        awaited: &Awaited,
        typed: &str,
        visitor: &Visitor,
    ) -> Result<NewCookies, NotSignedIn> {
        let user = users::find(&*self.store.read()?, awaited.user)?
            .filter(|user| user.active && user.password_hash == awaited.password_hash)
            .ok_or(NotSignedIn::Lapsed)?;
        let proof = self.proof_of(awaited.user, typed, visitor.now)?;
        let proof = proof.ok_or(NotSignedIn::Wrong)?;
        match self.create_session(user, visitor, awaited.vouched.clone(), Some(proof))? {
            Created::Session(cookies) => Ok(cookies),
            Created::NotProven | Created::Changed => Err(NotSignedIn::Wrong),
        }
    }

    /// Whether a code is awaited.
    pub(crate) fn awaits_code(&self, pending: &Secret, now: Timestamp) -> bool {
        self.pending.find(pending, now).is_some()
    }

    /// The one place where sessions begin. Takes the proof, and sees whether one is asked for, in the transaction that
    /// makes the session.
    fn create_session(
        &self,
        user: User,
        visitor: &Visitor,
        vouched: Option<Vouched>,
        proof: Option<Proof>,
    ) -> Result<Created, NotSignedIn> {
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
            vouched,
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
        let refused = self.store.write(move |unit| {
            let now = actor.at;
            // Switched off, or given another password, since the old one was checked.
            let is_as_it_was = |user: User| user.active && user.password_hash == password_hash;
            if !users::find(unit, new.user)?.is_some_and(is_as_it_was) {
                return Ok(Some(Created::Changed));
            }
            let is_proven = match &proof {
                Some(proof) => second_factors::take(unit, &actor, new.user, proof)?,
                None => !second_factors::has_one(unit, new.user)?,
            };
            if !is_proven {
                return Ok(Some(Created::NotProven));
            }
            sessions::create(unit, &new, now)?;
            sessions::set_device(unit, new.user, device_hash, now)?;
            users::set_signed_in(unit, &actor, new.user)?;
            Ok(None)
        })?;
        if let Some(refused) = refused {
            return Ok(refused);
        }
        Ok(Created::Session(NewCookies {
            user,
            session,
            device,
        }))
    }

    /// Lets a session know that the password was given just now.
    ///
    /// # Errors
    /// See [`NotSignedIn`].
    pub(crate) fn verify(
        &self,
        user: &User,
        session: SessionId,
        password: &str,
        visitor: &Visitor,
    ) -> Result<(), NotSignedIn> {
        let now = visitor.now;
        self.throttle
            .count_try(user.id, Tries::Verification, now)
            .map_err(|retry_after_secs| NotSignedIn::Throttled { retry_after_secs })?;
        self.check_password(&Try {
            email: &user.email,
            password,
            visitor,
        })?;
        self.store
            .write(move |unit| sessions::set_verified(unit, session, now))?;
        Ok(())
    }

    /// Writes down that a session is in use, now and then, without waiting for it; whether this was one of the times,
    /// when the browser is to keep its cookies for longer as well.
    pub(crate) fn keep_awake(&self, session: &Session, now: Timestamp) -> bool {
        let (id, user) = (session.id, session.user);
        if now < session.last_used.plus_secs(KEEP_AWAKE_SECS) {
            return false;
        }
        self.store.writer().submit(
            0,
            move |unit| {
                sessions::set_used(unit, id, now)?;
                users::set_active(unit, user, now)
            },
            |result| {
                if let Err(error) = result {
                    log::warn!("a session's use cannot be written down: {error}");
                }
            },
        );
        true
    }
}

/// A session's use is written down this often.
const KEEP_AWAKE_SECS: i64 = 300;

/// What came of a wish for a session.
enum Created {
    Session(NewCookies),
    /// A code is asked for, or the one that was brought is good no longer.
    NotProven,
    /// The user is not as when the password was checked.
    Changed,
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
