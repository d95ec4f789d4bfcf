//! `/settings/account/security/password/`: another password for whoever is signed in; and what all pages share on which
//! one is chosen.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{Form, redirect};
use super::layout::{self, Head};
use super::{Visit, Web, login};
use crate::domain::email;
use crate::http::Response;
use crate::identity::{NotSignedIn, NotTaken, Try, Visitor, cookies as cookies_of};

/// The longest name, in characters.
const NAME_MAX: usize = 200;

#[derive(Template)]
#[template(path = "password.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    problems: Vec<String>,
    changed: bool,
    has_password: bool,
    email: &'a str,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let changed = visit.request.query_value("changed").is_some();
    page(visit, 200, Vec::new(), changed)
}

/// Asks for the current password, so that a browser that was left open is not enough. Who has none, because an identity
/// provider vouches, must have signed in a short while ago.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let user = &signed_in.user;
    let chosen = Chosen::read(&visit.form);
    if let Some(problem) = chosen.problem() {
        return page(visit, 400, vec![problem], false);
    }
    if user.password_hash.is_some() {
        if let Some((status, problem)) = web.check_password(visit, visit.form.text("current"))? {
            return page(visit, status, vec![problem], false);
        }
    } else if !signed_in.session.is_verified(visit.now()) {
        let problem = "You signed in too long ago. Sign out and in again first.".to_owned();
        return page(visit, 400, vec![problem], false);
    }
    let actor = signed_in.actor(visit.request);
    let changed = web
        .identity
        .change_password(user, signed_in.session.id, &actor, chosen.text);
    match changed {
        Ok(cookies) => {
            let on = redirect("/settings/account/security/password/?changed=yes");
            Ok(cookies_of::with_session(on, &cookies, web.is_https()))
        }
        Err(refusal) => {
            let (status, problems) = not_taken(web, visit, refusal)?;
            page(visit, status, problems, false)
        }
    }
}

fn page(visit: &Visit<'_>, status: u16, problems: Vec<String>, changed: bool) -> Result<Response> {
    let user = &visit.signed_in()?.user;
    let page = Page {
        head: Head::of(visit),
        problems,
        changed,
        has_password: user.password_hash.is_some(),
        email: &user.email,
    };
    Ok(layout::page(status, &page))
}

/// A new password as it was typed, twice.
pub(super) struct Chosen<'a> {
    pub(super) text: &'a str,
    again: &'a str,
}

impl<'a> Chosen<'a> {
    pub(super) fn read(form: &'a Form) -> Chosen<'a> {
        Chosen {
            text: form.text("password"),
            again: form.text("again"),
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        (self.text != self.again).then(|| "The two passwords are not the same.".to_owned())
    }
}

pub(super) fn problems_of_email(text: &str) -> Option<String> {
    (!email::is_plausible(text)).then(|| "This is no email address.".to_owned())
}

pub(super) fn problems_of_name(text: &str) -> Option<String> {
    if text.chars().count() > NAME_MAX {
        Some(format!("A name has no more than {NAME_MAX} characters."))
    } else if text.chars().any(char::is_control) {
        Some("A name is a single line.".to_owned())
    } else {
        None
    }
}

/// What a page says of a password that was not taken, with its status.
///
/// # Errors
/// What is no page of its own.
pub(super) fn not_taken(
    web: &Web,
    visit: &Visit<'_>,
    refusal: NotTaken,
) -> Result<(u16, Vec<String>)> {
    Ok(match refusal {
        NotTaken::Weak(weaknesses) => {
            let sentence = |text: String| {
                let mut letters = text.chars();
                let first = letters.next().map(|c| c.to_uppercase().to_string());
                format!("{}{}.", first.unwrap_or_default(), letters.as_str())
            };
            let problems = weaknesses
                .iter()
                .map(|weakness| sentence(weakness.to_string()));
            (400, problems.collect())
        }
        // Whoever looks for the addresses of others gets no further than one who guesses passwords.
        NotTaken::EmailTaken => {
            web.count_guess(visit);
            let text = "This address cannot be used: there is an account with it already.";
            (400, vec![text.to_owned()])
        }
        NotTaken::LinkGone => return Err(Failure::LinkGone),
        NotTaken::Busy => (429, vec![login::TOO_MANY.to_owned()]),
        NotTaken::Failed(error) => return Err(error.into()),
    })
}

impl Web {
    /// What is wrong, with its status, if this is not the password of whoever is signed in; throttled like signing in.
    pub(super) fn check_password(
        &self,
        visit: &Visit<'_>,
        text: &str,
    ) -> Result<Option<(u16, String)>> {
        let visitor = Visitor::of(visit.request);
        let tried = self.identity.check_password(&Try {
            email: &visit.signed_in()?.user.email,
            password: text,
            visitor: &visitor,
        });
        match tried {
            Ok(_) => Ok(None),
            Err(NotSignedIn::Failed(error)) => Err(error.into()),
            Err(NotSignedIn::Wrong | NotSignedIn::Lapsed) => {
                Ok(Some((400, "The password is not right.".to_owned())))
            }
            Err(NotSignedIn::Throttled { .. } | NotSignedIn::Busy) => {
                Ok(Some((429, login::TOO_MANY.to_owned())))
            }
        }
    }
}
