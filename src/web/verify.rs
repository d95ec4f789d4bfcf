//! `/auth/verify/`: asks for the password again, before something that a browser that was left open must not do. Who has
//! none and came through an identity provider goes there again.

use askama::Template;

use super::errors::Result;
use super::form::{checked_next, redirect, with_next};
use super::layout::{self, Head};
use super::session::SignedIn;
use super::{Visit, Web, password, single_sign_on};
use crate::http::Response;
use crate::identity::single_sign_on::login_path;
use crate::identity::{NotSignedIn, Visitor};

#[derive(Template)]
#[template(path = "verify.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    problems: Vec<String>,
    next: &'a str,
    has_password: bool,
    email: &'a str,
    provider: Option<Provider>,
}

/// The identity provider that vouched for whoever is signed in.
struct Provider {
    name: String,
    /// The way there, and on from there.
    path: String,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = visit.request.query_value("next").unwrap_or_default();
    page(visit, 200, checked_next(&next), Vec::new())
}

pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = checked_next(visit.form.text("next"));
    let SignedIn { user, session, .. } = visit.signed_in()?;
    let (given, visitor) = (visit.form.text("password"), Visitor::of(visit.request));
    let refusal = match web.identity.verify(user, session.id, given, &visitor) {
        Ok(()) => return Ok(redirect(next)),
        Err(refusal) => refusal,
    };
    let retry_after_secs = match refusal {
        NotSignedIn::Throttled { retry_after_secs } => Some(retry_after_secs),
        _ => None,
    };
    let (status, problem) = password::not_proven(refusal)?;
    let page = page(visit, status, next, vec![problem])?;
    Ok(match retry_after_secs {
        Some(secs) => page.with_header("Retry-After", secs.to_string()),
        None => page,
    })
}

fn page(visit: &Visit<'_>, status: u16, next: &str, problems: Vec<String>) -> Result<Response> {
    let SignedIn { user, session, .. } = visit.signed_in()?;
    let provider = match session.provider {
        Some(provider) => single_sign_on::find_left(&visit.connection, provider)?,
        None => None,
    };
    let page = Page {
        head: Head::of(visit),
        problems,
        next,
        has_password: user.password_hash.is_some(),
        email: &user.email,
        provider: provider.map(|(provider, organization)| Provider {
            name: provider.config.name,
            path: with_next(&login_path(organization.slug.as_str()), next),
        }),
    };
    Ok(layout::page(status, &page))
}
