//! `/auth/verify/`: asks for the password again, before something that a browser that was left open must not do.

use askama::Template;

use super::errors::Result;
use super::form::{checked_next, redirect};
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::http::Response;
use crate::store::sessions;

#[derive(Template)]
#[template(path = "verify.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    problems: Vec<String>,
    next: &'a str,
    has_password: bool,
    email: &'a str,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = visit.request.query_value("next").unwrap_or_default();
    page(visit, 200, checked_next(&next), Vec::new())
}

pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = checked_next(visit.form.text("next"));
    if let Some((status, problem)) = web.check_password(visit, visit.form.text("password"))? {
        return page(visit, status, next, vec![problem]);
    }
    let (id, now) = (visit.signed_in()?.session.id, visit.now());
    web.store
        .write(move |unit| sessions::set_verified(unit, id, now))?;
    Ok(redirect(next))
}

fn page(visit: &Visit<'_>, status: u16, next: &str, problems: Vec<String>) -> Result<Response> {
    let user = &visit.signed_in()?.user;
    let page = Page {
        head: Head::of(visit),
        problems,
        next,
        has_password: user.password_hash.is_some(),
        email: &user.email,
    };
    Ok(layout::page(status, &page))
}
