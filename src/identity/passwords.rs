//! Where passwords are set: by a user who is signed in, or by whoever holds a link.
//!
//! Whatever comes by a link is looked at twice: before the new password is hashed, so that a link that is good for
//! nothing costs nothing, and again in the transaction that uses it up.

use super::links::find_by_link;
use super::{Begun, Identity, NewCookies, NotSignedIn, Visitor};
use crate::domain::Error;
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{MemberId, SessionId, UserId};
use crate::domain::password::{self, Weakness};
use crate::domain::secret::Secret;
use crate::domain::token::TokenHash;
use crate::store::user_links::LinkKind;
use crate::store::users::{self, User};
use crate::store::{members, sessions};

/// Why a password was not set.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The policy is against it.
    Weak(Vec<Weakness>),
    /// Another user has the address.
    EmailTaken,
    /// The link does not stand for anybody, or no longer.
    LinkGone,
    /// Too many passwords at once.
    Busy,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotTaken {
    fn from(error: E) -> NotTaken {
        match error.into() {
            // Only a user's address is unique in what is written here.
            Error::Conflict(_) => NotTaken::EmailTaken,
            error => NotTaken::Failed(error),
        }
    }
}

/// What somebody chose who comes by a link for the first time.
pub(crate) struct SetUp<'a> {
    pub(crate) email: &'a str,
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
}

impl Identity {
    /// The hash of a new password that the policy has nothing against.
    fn hash_new(&self, password: &str, email: &str, name: &str) -> Result<String, NotTaken> {
        let weaknesses = password::weaknesses(password, email, name);
        if !weaknesses.is_empty() {
            return Err(NotTaken::Weak(weaknesses));
        }
        let hashed = self.hashing.hash(password).map_err(|_| NotTaken::Busy)?;
        Ok(hashed?)
    }

    /// Gives a user who is signed in another password. All sessions end but this one, which gets another secret, in
    /// case somebody copied the old one.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub(crate) fn change_password(
        &self,
        user: &User,
        session: SessionId,
        actor: &Actor,
        new: &str,
    ) -> Result<NewCookies, NotTaken> {
        let hash = self.hash_new(new, &user.email, &user.name)?;
        let (secret, device) = (Secret::random(), Secret::random());
        let (id, actor) = (user.id, actor.clone());
        let (session_hash, device_hash) = (secret.hash(), device.hash());
        self.store.write(move |unit| {
            users::set_password(unit, &actor, id, &hash, Some(session))?;
            sessions::set_hash(unit, session, session_hash, actor.at)?;
            sessions::set_device(unit, id, device_hash, actor.at)
        })?;
        self.mail_password_changed(user);
        Ok(NewCookies {
            user: user.clone(),
            session: secret,
            device,
        })
    }

    /// Sets the password of a link's user, and ends every session. Nobody is signed in by it: the second factor, if
    /// there is one, is still to be asked for.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub(crate) fn reset_password(
        &self,
        link: &Secret,
        visitor: &Visitor,
        new: &str,
    ) -> Result<(), NotTaken> {
        let now = visitor.now;
        let found = find_by_link(&*self.store.read()?, LinkKind::Password, link, now)?;
        let user = found.ok_or(NotTaken::LinkGone)?;
        let hash = self.hash_new(new, &user.email, &user.name)?;
        let (link, actor) = (link.clone(), actor_of(user.id, visitor));
        let is_done = self.store.write(move |unit| {
            let Some(user) = find_by_link(unit, LinkKind::Password, &link, now)? else {
                return Ok(false);
            };
            users::set_password(unit, &actor, user.id, &hash, None)?;
            Ok(true)
        })?;
        if !is_done {
            return Err(NotTaken::LinkGone);
        }
        self.mail_password_changed(&user);
        Ok(())
    }

    /// Gives a link's user an address, a name and a password, and signs in.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub(crate) fn set_up(
        &self,
        link: &Secret,
        visitor: &Visitor,
        chosen: &SetUp<'_>,
    ) -> Result<Begun, NotTaken> {
        let now = visitor.now;
        let found = find_by_link(&*self.store.read()?, LinkKind::SignIn, link, now)?;
        let user = found.ok_or(NotTaken::LinkGone)?;
        let hash = self.hash_new(chosen.password, chosen.email, chosen.name)?;
        let (link, actor) = (link.clone(), actor_of(user.id, visitor));
        let (email, name) = (chosen.email.to_owned(), chosen.name.to_owned());
        let user = self.store.write(move |unit| {
            let Some(user) = find_by_link(unit, LinkKind::SignIn, &link, now)? else {
                return Ok(None);
            };
            if user.email != email {
                users::set_email(unit, &actor, &user, &email)?;
            }
            if user.name != name {
                users::rename(unit, &actor, user.id, &name)?;
            }
            users::set_password(unit, &actor, user.id, &hash, None)?;
            Ok(users::find(unit, user.id)?)
        })?;
        let user = user.ok_or(NotTaken::LinkGone)?;
        self.begin(user, visitor, None).map_err(not_signed_in)
    }

    /// Makes an account for whoever holds an invitation's link, makes it a member, and signs in. The address is the one
    /// that was invited.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub(crate) fn join(
        &self,
        invitation: (MemberId, TokenHash),
        visitor: &Visitor,
        name: &str,
        password: &str,
    ) -> Result<Begun, NotTaken> {
        let (member, link) = invitation;
        let (now, address) = (visitor.now, visitor.address);
        let found = members::find_invitation(&*self.store.read()?, member, link, now)?;
        let (invited, _) = found.ok_or(NotTaken::LinkGone)?;
        let hash = self.hash_new(password, invited.email(), name)?;
        let name = name.to_owned();
        let user = self.store.write(move |unit| {
            let found = members::find_invitation(unit, member, link, now)?;
            let Some((invited, organization)) = found else {
                return Ok(None);
            };
            let email = invited.email();
            let (user, actor) = users::sign_up(unit, address, now, email, &name, &hash)?;
            members::accept(unit, &actor, organization.id, &invited, user)?;
            Ok(users::find(unit, user)?)
        })?;
        let user = user.ok_or(NotTaken::LinkGone)?;
        self.begin(user, visitor, None).map_err(not_signed_in)
    }
}

fn actor_of(user: UserId, visitor: &Visitor) -> Actor {
    Actor {
        who: Who::Visitor {
            user,
            address: visitor.address,
        },
        at: visitor.now,
    }
}

/// Beginning a session fails only for reasons of the machine, or because the account was switched off meanwhile.
fn not_signed_in(error: NotSignedIn) -> NotTaken {
    match error {
        NotSignedIn::Failed(error) => NotTaken::Failed(error),
        NotSignedIn::Busy | NotSignedIn::Throttled { .. } => NotTaken::Busy,
        NotSignedIn::Wrong | NotSignedIn::Lapsed => NotTaken::LinkGone,
    }
}
