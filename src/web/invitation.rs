//! `/accept/{member}/{token}/`: where an invitation's link leads. Whoever holds it joins with the account that they are
//! signed in with, or makes one, whose address is the invited one.
//!
//! The page is the same whether or not there is an account with that address.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{self, redirect};
use super::layout::{self, Head};
use super::password::{self, Chosen};
use super::{Visit, Web};
use crate::domain::Error;
use crate::domain::id::MemberId;
use crate::domain::secret::Secret;
use crate::domain::token::TokenHash;
use crate::http::Response;
use crate::identity::Visitor;
use crate::identity::throttle::Subject;
use crate::store::members::{self, Member};
use crate::store::organizations::Organization;

#[derive(Template)]
#[template(path = "invitation.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    path: &'a str,
    problems: Vec<String>,
    organization: &'a str,
    inviter: Option<&'a str>,
    role: &'a str,
    invited: &'a str,
    sign_in: String,
    name: &'a str,
}

/// A link that holds, and what it invites to.
struct Found {
    key: (MemberId, TokenHash),
    invited: Member,
    organization: Organization,
}

pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let found = find(web, visit)?;
    Ok(page(visit, &found, 200, Vec::new()))
}

/// Joins as whoever is signed in, else with a new account.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let found = find(web, visit)?;
    if visit.signed_in.is_some() {
        return accept(web, visit, &found);
    }
    let name = visit.form.text("name").trim();
    let chosen = Chosen::read(&visit.form);
    let mut problems: Vec<String> = password::problems_of_name(name).into_iter().collect();
    problems.extend(chosen.problem());
    let mut status = 400;
    if problems.is_empty() {
        let visitor = Visitor::of(visit.request);
        match web.identity.join(found.key, &visitor, name, chosen.text) {
            Ok(begun) => return web.enter(visit, "/", &begun),
            Err(refusal) => (status, problems) = password::not_taken(web, visit, refusal)?,
        }
    }
    Ok(page(visit, &found, status, problems))
}

fn accept(web: &Web, visit: &Visit<'_>, found: &Found) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let (user, actor) = (signed_in.user.id, signed_in.actor(visit.request));
    let ((member, link), now) = (found.key, visit.now());
    let accepted = web.store.write(move |unit| {
        let Some((invited, organization)) = members::find_invitation(unit, member, link, now)?
        else {
            return Ok(false);
        };
        members::accept(unit, &actor, organization.id, &invited, user)?;
        Ok(true)
    });
    match accepted {
        Ok(true) => Ok(redirect("/")),
        Ok(false) => Err(Failure::LinkGone),
        Err(Error::Conflict(text)) => Ok(page(visit, found, 400, vec![text])),
        Err(error) => Err(error.into()),
    }
}

fn page(visit: &Visit<'_>, found: &Found, status: u16, problems: Vec<String>) -> Response {
    let inviter = found.invited.inviter.as_ref();
    let page = Page {
        head: Head::of(visit),
        path: &visit.request.path,
        problems,
        organization: &found.organization.name,
        inviter: inviter.map(|inviter| match inviter.name.as_str() {
            "" => inviter.email.as_str(),
            name => name,
        }),
        role: found.invited.role.as_str(),
        invited: found.invited.email(),
        sign_in: form::with_next("/auth/login/", &visit.request.path),
        name: visit.form.text("name"),
    };
    layout::page(status, &page)
}

/// The invitation of the path. Links that do not hold count as guesses.
fn find(web: &Web, visit: &Visit<'_>) -> Result<Found> {
    let member = visit.params.get("member").parse().ok().map(MemberId);
    let token = Secret::parse(visit.params.get("token"));
    let found = match (member, token) {
        (Some(member), Some(token)) => {
            let key = (member, TokenHash::of(token.reveal()));
            members::find_invitation(&visit.connection, key.0, key.1, visit.now())?.map(
                |(invited, organization)| Found {
                    key,
                    invited,
                    organization,
                },
            )
        }
        _ => None,
    };
    found.ok_or_else(|| web.link_is_gone(visit))
}

impl Web {
    /// What is answered to a link that does not hold, which counts as a guess. A link that holds is never refused,
    /// whoever else guesses from the same address: none can be guessed.
    pub(super) fn link_is_gone(&self, visit: &Visit<'_>) -> Failure {
        match self.refuse_guessing(visit) {
            Err(failure) => failure,
            Ok(()) => {
                self.count_guess(visit);
                Failure::LinkGone
            }
        }
    }

    /// # Errors
    /// `TooManyTries`: too many guesses came from this address.
    pub(super) fn refuse_guessing(&self, visit: &Visit<'_>) -> Result<()> {
        let subject = Subject::address(visit.request.peer);
        match self.identity.throttle.wait_secs(&subject, visit.now()) {
            Some(secs) => Err(Failure::TooManyTries(secs)),
            None => Ok(()),
        }
    }

    /// Counts something that was not right, as a guess at what is secret.
    pub(super) fn count_guess(&self, visit: &Visit<'_>) {
        let subject = Subject::address(visit.request.peer);
        self.identity.throttle.count_failure(subject, visit.now());
    }
}
