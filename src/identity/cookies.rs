//! What a browser keeps of a sign-in, as it is told to.

use super::{
    CSRF_COOKIE, DEVICE_COOKIE, NewCookies, PENDING_COOKIE, SESSION_COOKIE, SINGLE_SIGN_ON_COOKIE,
    csrf_token, sign_in,
};
use crate::domain::secret::Secret;
use crate::domain::session::IDLE_SECS_MAX;
use crate::http::cookies::{Lifetime, find, set, set_readable};
use crate::http::{Headers, Response};

/// How long a browser that signed in is remembered.
const DEVICE_SECS: i64 = 365 * 86_400;

/// The same as a way to a provider and back may take.
const DEPARTURE_SECS: i64 = 600;

/// An answer after which the browser is signed in.
pub(crate) fn with_session(response: Response, cookies: &NewCookies, is_https: bool) -> Response {
    let device = cookies.device.reveal();
    [
        set(DEVICE_COOKIE, device, Lifetime::Secs(DEVICE_SECS), is_https),
        set(PENDING_COOKIE, "", Lifetime::Over, is_https),
    ]
    .into_iter()
    .chain(of_session(&cookies.session, is_https))
    .fold(response, |response, cookie| {
        response.with_header("Set-Cookie", cookie)
    })
}

fn of_session(session: &Secret, is_https: bool) -> [String; 2] {
    let lifetime = Lifetime::Secs(IDLE_SECS_MAX);
    let csrf = csrf_token(session);
    [
        set(SESSION_COOKIE, session.reveal(), lifetime, is_https),
        // Scripts that use the API repeat it in a field.
        set_readable(CSRF_COOKIE, csrf.reveal(), lifetime, is_https),
    ]
}

/// An answer after which the browser keeps its session for as long as if it had just begun. One that begins or ends a
/// session is left alone.
pub(crate) fn renewed(response: Response, session: &Secret, is_https: bool) -> Response {
    let start = format!("{SESSION_COOKIE}=");
    let is_set = response
        .headers
        .iter()
        .any(|(name, value)| *name == "Set-Cookie" && value.starts_with(&start));
    if is_set {
        return response;
    }
    of_session(session, is_https)
        .into_iter()
        .fold(response, |response, cookie| {
            response.with_header("Set-Cookie", cookie)
        })
}

/// An answer after which the browser is not signed in.
pub(crate) fn without_session(response: Response, is_https: bool) -> Response {
    [SESSION_COOKIE, CSRF_COOKIE]
        .into_iter()
        .fold(response, |response, name| {
            response.with_header("Set-Cookie", set(name, "", Lifetime::Over, is_https))
        })
}

/// An answer after which the browser can bring the code of the second factor.
pub(crate) fn with_pending(response: Response, pending: &Secret, is_https: bool) -> Response {
    let lifetime = Lifetime::Secs(sign_in::PENDING_SECS);
    response.with_header(
        "Set-Cookie",
        set(PENDING_COOKIE, pending.reveal(), lifetime, is_https),
    )
}

/// An answer after which it cannot.
pub(crate) fn without_pending(response: Response, is_https: bool) -> Response {
    response.with_header(
        "Set-Cookie",
        set(PENDING_COOKIE, "", Lifetime::Over, is_https),
    )
}

/// An answer after which the browser is known as the one that went to a provider.
pub(crate) fn with_departure(response: Response, browser: &Secret, is_https: bool) -> Response {
    let lifetime = Lifetime::Secs(DEPARTURE_SECS);
    response.with_header(
        "Set-Cookie",
        set(SINGLE_SIGN_ON_COOKIE, browser.reveal(), lifetime, is_https),
    )
}

/// By what a browser that went to a provider is known.
pub(crate) fn departed(headers: &Headers) -> Option<Secret> {
    find(headers, SINGLE_SIGN_ON_COOKIE).and_then(Secret::parse)
}
