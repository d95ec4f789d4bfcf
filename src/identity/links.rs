//! Links that stand for a user once, by which a password is set: asked for by whoever forgot theirs, or made by an
//! operator. Only their hashes are kept.

use std::net::IpAddr;
use std::sync::Arc;

use super::Identity;
use super::letters;
use super::throttle::Subject;
use crate::domain::Result;
use crate::domain::actor::{Actor, Who};
use crate::domain::dsn::UrlPrefix;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::user_links::{self, LinkKind};
use crate::store::users::{self, User};
use crate::store::{Connection, Store};

/// The whole link, to be handed to its user alone. Its page is one of the route table of `web`.
pub(crate) fn link_url(prefix: &UrlPrefix, kind: LinkKind, secret: &Secret) -> String {
    let path = match kind {
        LinkKind::SignIn => "set-up",
        LinkKind::Password => "recover/confirm",
    };
    format!("{prefix}/account/{path}/{}/", secret.reveal())
}

impl Identity {
    /// Whether this server sends mail.
    pub(crate) fn sends_mail(&self) -> bool {
        self.mailer.is_on()
    }

    /// Mails a link to set a password to a user who has this address. Whether there is one is looked up behind the
    /// answer, so that nobody learns it from there; and an account gets only so many within an hour, which is not told
    /// either.
    ///
    /// # Errors
    /// How many seconds this visitor has to wait before asking again.
    pub(crate) fn mail_reset_link(
        &self,
        email: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<(), u32> {
        self.throttle.take(vec![Subject::links_to(from)], now)?;
        let is_enough = self
            .throttle
            .take(vec![Subject::links_for(email)], now)
            .is_err();
        let store = Arc::clone(&self.store);
        let (email, prefix) = (email.trim().to_owned(), self.prefix.clone());
        self.mailer.send(move || {
            if is_enough {
                return None;
            }
            let made = make_reset_link(&store, &email, from, now).unwrap_or_else(|error| {
                log::error!("a link to set a password could not be made: {error}");
                None
            });
            made.map(|(user, secret)| {
                let link = link_url(&prefix, LinkKind::Password, &secret);
                letters::reset(&user, &link, &prefix)
            })
        });
        Ok(())
    }

    /// The user of a link, which is not used up by being looked at: programs that scan mail do that.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn find_by_link(
        &self,
        connection: &Connection,
        kind: LinkKind,
        link: &Secret,
        now: Timestamp,
    ) -> Result<Option<User>> {
        find_by_link(connection, kind, link, now)
    }
}

pub(super) fn find_by_link(
    connection: &Connection,
    kind: LinkKind,
    link: &Secret,
    now: Timestamp,
) -> Result<Option<User>> {
    match user_links::find(connection, kind, link.hash(), now)? {
        Some(id) => Ok(users::find(connection, id)?),
        None => Ok(None),
    }
}

fn make_reset_link(
    store: &Store,
    email: &str,
    from: IpAddr,
    now: Timestamp,
) -> Result<Option<(User, Secret)>> {
    let user = users::find_by_email(&*store.read()?, email)?;
    let Some(user) = user.filter(|user| user.active) else {
        return Ok(None);
    };
    let secret = Secret::random();
    let (id, hash) = (user.id, secret.hash());
    let actor = Actor {
        who: Who::Visitor {
            user: id,
            address: from,
        },
        at: now,
    };
    store.write(move |unit| users::make_link(unit, &actor, id, LinkKind::Password, hash))?;
    Ok(Some((user, secret)))
}
