//! `/account/recover/`: a link to set a new password, by mail, for whoever forgot theirs; and the page behind it.
//!
//! The answer is the same for every address, and nothing about the address is looked up before it is sent. Looking at a
//! link does not use it up; only a new password does.

use askama::Template;

use super::errors::{Failure, Result};
use super::layout::{self, Head};
use super::password::{self, Chosen};
use super::{Visit, Web, login};
use crate::domain::email;
use crate::http::Response;
use crate::identity::Visitor;
use crate::store::user_links::LinkKind;

#[derive(Template)]
#[template(path = "recover.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    sends_mail: bool,
    problems: Vec<String>,
    /// Whether the form was sent.
    asked: bool,
}

pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    page(web, visit, 200, Vec::new(), false)
}

pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    if !web.identity.sends_mail() {
        return page(web, visit, 400, Vec::new(), false);
    }
    let address = visit.form.text("email").trim();
    if !email::is_plausible(address) {
        let problem = vec!["This is no email address.".to_owned()];
        return page(web, visit, 400, problem, false);
    }
    web.identity
        .mail_reset_link(address, visit.request.peer, visit.now())
        .map_err(Failure::TooManyTries)?;
    page(web, visit, 200, Vec::new(), true)
}

fn page(
    web: &Web,
    visit: &Visit<'_>,
    status: u16,
    problems: Vec<String>,
    asked: bool,
) -> Result<Response> {
    let page = Page {
        head: Head::of(visit),
        sends_mail: web.identity.sends_mail(),
        problems,
        asked,
    };
    Ok(layout::page(status, &page))
}

#[derive(Template)]
#[template(path = "recover_confirm.html", config = "src/web/askama.toml")]
struct Confirm<'a> {
    head: Head<'a>,
    path: &'a str,
    problems: Vec<String>,
    email: &'a str,
}

pub(super) fn show_confirm(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (_, user) = web.find_by_link(visit, LinkKind::Password)?;
    let page = Confirm {
        head: Head::of(visit),
        path: &visit.request.path,
        problems: Vec::new(),
        email: &user.email,
    };
    Ok(layout::page(200, &page))
}

pub(super) fn submit_confirm(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (link, user) = web.find_by_link(visit, LinkKind::Password)?;
    let chosen = Chosen::read(&visit.form);
    let (status, problems) = match chosen.problem() {
        Some(problem) => (400, vec![problem]),
        None => {
            let visitor = Visitor::of(visit.request);
            match web.identity.reset_password(&link, &visitor, chosen.text) {
                Ok(()) => return Ok(login::redirect_after_reset()),
                Err(refusal) => password::not_taken(web, visit, refusal)?,
            }
        }
    };
    let page = Confirm {
        head: Head::of(visit),
        path: &visit.request.path,
        problems,
        email: &user.email,
    };
    Ok(layout::page(status, &page))
}
