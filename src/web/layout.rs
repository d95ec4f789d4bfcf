//! What all pages share: their frame (`layout.html`), their look (`picket.css`), and what a browser may do with them.

use askama::Template;

use super::errors::Result;
use super::{Visit, Web};
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::store::users::User;

/// Nothing but our own stylesheet and pictures in the page itself; no script, no frame, no form to elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// Who is named in the head of a page.
pub(super) struct Head<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) csrf: &'a str,
}

impl<'a> Head<'a> {
    pub(super) fn of(visit: &'a Visit<'_>) -> Head<'a> {
        Head {
            user: visit.signed_in.as_ref().map(|s| name_of(&s.user)),
            csrf: visit.csrf.token(),
        }
    }
}

pub(super) fn name_of(user: &User) -> &str {
    if user.name.is_empty() {
        &user.email
    } else {
        &user.name
    }
}

/// A moment as pages show it: `2026-01-02 03:04 UTC`.
pub(super) fn minute(moment: Timestamp) -> String {
    let text = moment.floor_to(60).to_string();
    match text.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..5).unwrap_or(time)),
        None => text,
    }
}

/// A page of HTML.
pub(super) fn page(status: u16, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Response::bytes(status, "text/html; charset=utf-8", html.into_bytes()),
        // Only a formatter that fails can fail, and ours write to memory.
        Err(error) => {
            log::error!("a page could not be written: {error}");
            Response::text(500, "the page could not be written")
        }
    }
}

/// `GET /_static/picket.css`.
pub(super) fn stylesheet(_: &Web, _: &Visit<'_>) -> Result<Response> {
    const STYLE: &str = include_str!("picket.css");
    Ok(
        Response::bytes(200, "text/css; charset=utf-8", STYLE.as_bytes())
            .with_header("Cache-Control", "public, max-age=3600"),
    )
}

/// Any answer of this front, with what a browser must know about it.
pub(super) fn secured(response: Response) -> Response {
    let response = if response.header("Cache-Control").is_none() {
        response.with_header("Cache-Control", "no-store")
    } else {
        response
    };
    response
        .with_header("Content-Security-Policy", POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("X-Frame-Options", "DENY")
        // Links in pages may hold what must not be told to others. Not `no-referrer`: with that, browsers send forms of
        // ours without their origin too.
        .with_header("Referrer-Policy", "same-origin")
}
