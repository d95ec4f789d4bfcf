//! `/settings/account/`: what somebody may see and change about their own account.

use askama::Template;

use super::errors::Result;
use super::form::redirect;
use super::layout::{self, Head};
use super::{Visit, Web, password};
use crate::domain::Error;
use crate::http::Response;
use crate::identity::NotTaken;
use crate::store::users;

#[derive(Template)]
#[template(path = "account.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    problems: Vec<String>,
    saved: bool,
    name: &'a str,
    email: &'a str,
    has_password: bool,
}

impl<'a> Page<'a> {
    fn of(visit: &'a Visit<'_>) -> Result<Page<'a>> {
        let user = &visit.signed_in()?.user;
        Ok(Page {
            head: Head::of(visit),
            problems: Vec::new(),
            saved: false,
            name: &user.name,
            email: &user.email,
            has_password: user.password_hash.is_some(),
        })
    }
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let page = Page {
        saved: visit.request.query_value("saved").is_some(),
        ..Page::of(visit)?
    };
    Ok(layout::page(200, &page))
}

/// `POST /settings/account/`: another name; a blank one is none.
pub(super) fn rename(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let name = visit.form.text("name").trim();
    if let Some(problem) = password::problems_of_name(name) {
        let page = Page {
            problems: vec![problem],
            name,
            ..Page::of(visit)?
        };
        return Ok(layout::page(400, &page));
    }
    if name != signed_in.user.name {
        let (user, actor) = (signed_in.user.id, signed_in.actor(visit.request));
        let name = name.to_owned();
        web.store
            .write(move |unit| users::rename(unit, &actor, user, &name))?;
    }
    Ok(saved())
}

/// `POST /settings/account/emails/`: another address, which is what one signs in with; so it asks for the password. The
/// old address is told, where mail is sent.
pub(super) fn change_email(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let email = visit.form.text("email").trim();
    let refuse = |status: u16, problems: Vec<String>| -> Result<Response> {
        let page = Page {
            problems,
            email,
            ..Page::of(visit)?
        };
        Ok(layout::page(status, &page))
    };
    if let Some(problem) = password::problems_of_email(email) {
        return refuse(400, vec![problem]);
    }
    if signed_in.user.password_hash.is_some() {
        let given = visit.form.text("password");
        if let Some((status, problem)) = web.check_password(visit, given)? {
            return refuse(status, vec![problem]);
        }
    } else if !signed_in.session.is_verified(visit.now()) {
        let problem = "You signed in too long ago. Sign out and in again first.";
        return refuse(400, vec![problem.to_owned()]);
    }
    if email == signed_in.user.email {
        return Ok(saved());
    }
    web.refuse_guessing(visit)?;
    let (user, actor) = (signed_in.user.clone(), signed_in.actor(visit.request));
    let new = email.to_owned();
    let changed = web
        .store
        .write(move |unit| users::set_email(unit, &actor, &user, &new));
    match changed {
        Ok(()) => {
            web.identity.mail_email_changed(&signed_in.user);
            Ok(saved())
        }
        Err(Error::Conflict(_)) => {
            let (status, problems) = password::not_taken(web, visit, NotTaken::EmailTaken)?;
            refuse(status, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn saved() -> Response {
    redirect("/settings/account/?saved=yes")
}
