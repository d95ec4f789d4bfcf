//! `/auth/2fa/`: whoever gave the right password gives the code of the second factor, or a recovery code.

use askama::Template;

use super::errors::Result;
use super::form::{checked_next, redirect_to_with_next};
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::domain::secret::Secret;
use crate::http::{Response, cookies};
use crate::identity::{NotSignedIn, PENDING_COOKIE, Visitor, cookies as cookies_of};

#[derive(Template)]
#[template(path = "second_factor.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    next: &'a str,
    problem: Option<&'a str>,
}

/// What stands for the password that was given.
fn pending(visit: &Visit<'_>) -> Option<Secret> {
    cookies::find(&visit.request.headers, PENDING_COOKIE).and_then(Secret::parse)
}

/// `GET /auth/2fa/`: the form, for whoever is awaited; others begin with the password.
pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = visit.request.query_value("next").unwrap_or_default();
    let next = checked_next(&next);
    let is_awaited = pending(visit)
        .is_some_and(|pending| web.identity.awaits_code(&pending, visit.request.received));
    if !is_awaited {
        return Ok(redirect_to_with_next("/auth/login/", next));
    }
    Ok(page(visit, 200, next, None))
}

fn page(visit: &Visit<'_>, status: u16, next: &str, problem: Option<&str>) -> Response {
    let head = Head::of(visit);
    layout::page(
        status,
        &Page {
            head,
            next,
            problem,
        },
    )
}

/// `POST /auth/2fa/`: signed in, and on to where the visitor wanted to go.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = checked_next(visit.form.text("next"));
    let again = || {
        let page = redirect_to_with_next("/auth/login/", next);
        cookies_of::without_pending(page, web.is_https())
    };
    let Some(pending) = pending(visit) else {
        return Ok(again());
    };
    let typed = visit.form.text("code");
    let visitor = Visitor::of(visit.request);
    match web.identity.sign_in_with_code(&pending, typed, &visitor) {
        Ok(new) => web.enter_with(visit, next, &new),
        Err(NotSignedIn::Failed(error)) => Err(error.into()),
        Err(NotSignedIn::Lapsed) => Ok(again()),
        Err(NotSignedIn::Wrong) => Ok(page(visit, 400, next, Some(WRONG))),
        Err(NotSignedIn::Throttled { retry_after_secs }) => {
            Ok(page(visit, 429, next, Some(TOO_MANY))
                .with_header("Retry-After", retry_after_secs.to_string()))
        }
        Err(NotSignedIn::Busy) => {
            Ok(page(visit, 429, next, Some(BUSY)).with_header("Retry-After", "1"))
        }
    }
}

const WRONG: &str = "That code is not right, or it was used before.";
const TOO_MANY: &str = "Too many tries. Please wait and try again.";
const BUSY: &str = "Many people sign in just now. Please try again.";
