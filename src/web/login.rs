//! `/auth/login/` and `/auth/logout/`.

use askama::Template;

use super::errors::Result;
use super::form::{self, checked_next, redirect};
use super::layout::{self, Head};
use super::{Visit, Web, session, single_sign_on};
use crate::domain::error::Error;
use crate::http::{Request, Response};
use crate::identity::{Begun, NotSignedIn, Try};
use crate::store::sessions;

#[derive(Template)]
#[template(path = "login.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    next: &'a str,
    email: &'a str,
    problem: Option<&'a str>,
}

/// To the sign-in page, and back from there.
pub(super) fn redirect_to(request: &Request) -> Response {
    form::redirect_with_next("/auth/login/", request)
}

/// `GET /auth/login/`: the form; who is signed in goes on.
pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = visit.request.query_value("next").unwrap_or_default();
    let next = checked_next(&next);
    if visit.signed_in.is_some() {
        return Ok(redirect(next));
    }
    Ok(layout::page(
        200,
        &Page {
            head: Head::of(visit),
            next,
            email: "",
            problem: None,
        },
    ))
}

/// `POST /auth/login/`: on to where the visitor wanted to go, or to the second factor.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = checked_next(visit.form.text("next"));
    let email = visit.form.text("email");
    let visitor = session::visitor(visit.request);
    let result = web.identity.sign_in(&Try {
        email,
        password: visit.form.text("password"),
        visitor: &visitor,
    });
    let (status, problem) = match result {
        Ok(Begun::Session(cookies)) => return Ok(web.with_session(redirect(next), &cookies)),
        Ok(Begun::NeedsCode(_)) => {
            return Err(Error::internal("there is no page for second factors").into());
        }
        Err(NotSignedIn::Failed(error)) => return Err(error.into()),
        Err(NotSignedIn::Wrong | NotSignedIn::Lapsed) => (400, WRONG),
        Err(NotSignedIn::Throttled { .. } | NotSignedIn::Busy) => (429, TOO_MANY),
    };
    Ok(layout::page(
        status,
        &Page {
            head: Head::of(visit),
            next,
            email,
            problem: Some(problem),
        },
    ))
}

const WRONG: &str = "Email or password is not right.";
const TOO_MANY: &str = "Too many tries. Please wait a few minutes and try again.";

/// `POST /auth/logout/`: the session is over, also for whoever copied its cookie.
pub(super) fn sign_out(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (user, id, provider) = {
        let signed_in = visit.signed_in()?;
        let session = &signed_in.session;
        (signed_in.user.id, session.id, session.provider)
    };
    web.store
        .write(move |unit| sessions::delete(unit, user, id))?;
    let left = match provider {
        Some(provider) => single_sign_on::leave(web, visit, provider)?,
        None => redirect("/auth/login/"),
    };
    Ok(web.without_session(left))
}
