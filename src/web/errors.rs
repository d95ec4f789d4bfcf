//! The one way out for refusals: a page that says in plain words what is wrong.

use askama::Template;

use super::layout;
use crate::domain::Error;
use crate::http::{Request, Response};

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum Failure {
    NotFound,
    Forbidden,
    /// The form is not one of ours, or so old that it cannot be told.
    NotOurForm,
    /// Not a form at all.
    BadForm,
    /// So many seconds.
    TryLater(u32),
    /// Somebody guesses; so many seconds.
    TooManyTries(u32),
    /// A link that stands for somebody stands for nobody: unknown, used, or expired, which is not told.
    LinkGone,
    Internal(Error),
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(super) fn internal(cause: impl Into<crate::domain::error::Cause>) -> Failure {
        Failure::Internal(Error::internal(cause))
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        match error.into() {
            Error::NotFound => Failure::NotFound,
            Error::Forbidden => Failure::Forbidden,
            Error::Unavailable { retry_after_secs } => Failure::TryLater(retry_after_secs),
            other => Failure::Internal(other),
        }
    }
}

#[derive(Template)]
#[template(path = "errors.html", config = "src/web/askama.toml")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    /// Of a fault of ours, to be found in the log.
    request_id: Option<&'a str>,
}

/// Answers a failure. Internal ones are logged here, once, with the route that they happened on.
pub(super) fn answer(failure: Failure, route: &str, request: &Request) -> Response {
    let (status, title, text) = match &failure {
        Failure::NotFound => (
            404,
            "Not found",
            "There is no such page, or it is not for you.",
        ),
        Failure::Forbidden => (
            403,
            "Not allowed",
            "You do not have permission to perform this action.",
        ),
        Failure::NotOurForm => (
            403,
            "Please try again",
            "This form is too old, or it does not come from this server. Go back, reload the page and try again.",
        ),
        Failure::BadForm => (400, "Not understood", "The form could not be read."),
        Failure::TryLater(_) => (
            503,
            "Please try again later",
            "The server cannot take this request now.",
        ),
        Failure::TooManyTries(_) => (
            429,
            "Too many tries",
            "Please wait a few minutes and try again.",
        ),
        Failure::LinkGone => (
            404,
            "This link cannot be used",
            "It was used already, it is too old, a newer one was made, or it was not copied whole. Ask for a new one.",
        ),
        Failure::Internal(error) => {
            log::error!("{route} failed (request {}): {error}", request.id);
            (
                500,
                "Something went wrong",
                "That is the server's fault. Its log says more.",
            )
        }
    };
    let request_id = matches!(failure, Failure::Internal(_)).then_some(request.id.as_str());
    let page = Page {
        title,
        text,
        request_id,
    };
    let response = layout::page(status, &page);
    match failure {
        Failure::TryLater(secs) | Failure::TooManyTries(secs) => {
            response.with_header("Retry-After", secs.to_string())
        }
        _ => response,
    }
}

/// The path is there, the method is not.
pub(super) fn method_not_allowed(allowed: &str) -> Response {
    Response::text(405, "method not allowed").with_header("Allow", allowed.to_owned())
}
