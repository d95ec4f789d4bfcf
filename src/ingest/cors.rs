//! CORS for SDKs in web pages (facts/ingestion.md 3): any page may send, every answer can be read.

use std::borrow::Cow;

use crate::http::{Request, Response};

/// What SDKs and the tracing headers of the pages around them bring along.
const ALLOWED_HEADERS: &str = "x-sentry-auth,x-requested-with,x-forwarded-for,origin,referer,accept,content-type,\
     authentication,authorization,content-encoding,transfer-encoding,sentry-trace,baggage,x-csrftoken";

/// The answer to `OPTIONS`, without looking at key or project. Headers that the page asks for are allowed
/// whatever they are: pages with tracing attach their own to every request.
pub(super) fn preflight(request: &Request) -> Response {
    let asked = request
        .headers
        .get("access-control-request-headers")
        .filter(|names| names.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    let allowed: Cow<'static, str> = match asked {
        Some(names) => format!("{ALLOWED_HEADERS},{names}").into(),
        None => ALLOWED_HEADERS.into(),
    };
    Response::empty(200)
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header("Access-Control-Allow-Methods", "POST")
        .with_header("Access-Control-Allow-Headers", allowed)
        .with_header("Access-Control-Max-Age", "3600")
        .with_header(
            "Vary",
            "origin, access-control-request-method, access-control-request-headers",
        )
}

/// Adds to an answer what lets a page's SDK read it.
pub(super) fn expose(response: Response) -> Response {
    response
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header(
            "Access-Control-Expose-Headers",
            "x-sentry-error,x-sentry-rate-limits,retry-after",
        )
}
