//! `/auth/login/` and `/auth/logout/`.

use askama::Template;

use super::errors::Result;
use super::form::{self, checked_next, redirect};
use super::layout::{self, Head};
use super::{Visit, Web, single_sign_on};
use crate::http::{Request, Response};
use crate::identity::{NotSignedIn, Try, Visitor, cookies};
use crate::store::sessions;

#[derive(Template)]
#[template(path = "login.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    next: &'a str,
    email: &'a str,
    problems: Vec<&'a str>,
    notice: Option<&'a str>,
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
    let notice = visit.request.query_value("notice");
    Ok(layout::page(
        200,
        &Page {
            head: Head::of(visit),
            next,
            email: "",
            problems: Vec::new(),
            notice: (notice.as_deref() == Some(PASSWORD_SET)).then_some(
                "Your password is set, and all sessions have ended. Sign in with the new one.",
            ),
        },
    ))
}

/// `POST /auth/login/`: on to where the visitor wanted to go, or to the second factor.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = checked_next(visit.form.text("next"));
    let email = visit.form.text("email");
    let visitor = Visitor::of(visit.request);
    let result = web.identity.sign_in(&Try {
        email,
        password: visit.form.text("password"),
        visitor: &visitor,
    });
    let (status, problem, retry_after_secs) = match result {
        Ok(begun) => return web.enter(visit, next, &begun),
        Err(NotSignedIn::Failed(error)) => return Err(error.into()),
        Err(NotSignedIn::Wrong | NotSignedIn::Lapsed) => (400, WRONG, None),
        Err(NotSignedIn::Throttled { retry_after_secs }) => (429, TOO_MANY, Some(retry_after_secs)),
        Err(NotSignedIn::Busy) => (429, TOO_MANY, Some(1)),
    };
    let page = layout::page(
        status,
        &Page {
            head: Head::of(visit),
            next,
            email,
            problems: vec![problem],
            notice: None,
        },
    );
    Ok(match retry_after_secs {
        Some(secs) => page.with_header("Retry-After", secs.to_string()),
        None => page,
    })
}

/// What the sign-in page is told to say.
const PASSWORD_SET: &str = "password-set";

/// To the sign-in page, which says that the password was set.
pub(super) fn redirect_after_reset() -> Response {
    redirect(format!("/auth/login/?notice={PASSWORD_SET}"))
}

const WRONG: &str = "Email or password is not right.";
pub(super) const TOO_MANY: &str = "Too many tries. Please wait a few minutes and try again.";

/// `POST /auth/logout/`: the session is over, also for whoever copied its cookie.
pub(super) fn sign_out(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (user, id, provider) = {
        let signed_in = visit.signed_in()?;
        let session = &signed_in.session;
        (signed_in.user.id, session.id, session.provider)
    };
    let saml = sessions::find_saml(&visit.connection, id)?;
    web.store
        .write(move |unit| sessions::delete(unit, user, id))?;
    let left = match provider {
        Some(provider) => single_sign_on::leave(web, visit, provider, saml)?,
        None => redirect("/auth/login/"),
    };
    Ok(cookies::without_session(left, web.is_https()))
}
