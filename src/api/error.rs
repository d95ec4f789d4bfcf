//! The one way out for refusals: what a client of the management API reads when it gets no result
//! (facts/management-api.md 1.7). No handler writes an error body by hand; shapes that only one endpoint has
//! are functions here.

use serde_json::{Map, Value, json};

use crate::domain::slug::Slug;
use crate::domain::{Error, FieldErrors};
use crate::http::page::PageError;
use crate::http::{Refusal, Response};
use crate::identity::single_sign_on::login_path;

/// Why a handler gives no result: an error that all fronts know, or an answer in a shape of its own.
#[derive(Debug)]
pub(super) enum Failure {
    Error(Error),
    Answer(Response),
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

impl From<Response> for Failure {
    fn from(answer: Response) -> Failure {
        Failure::Answer(answer)
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Failure {
        Failure::Answer(detail(400, &error.to_string()))
    }
}

/// The value of `WWW-Authenticate` on every 401: a scheme that no browser knows, so that none asks for a
/// password (facts/management-api.md 1.4).
const CHALLENGE: &str = "xBasic realm=\"api\"";

const FORBIDDEN: &str = "You do not have permission to perform this action.";

/// Answers a failure. Internal ones are logged here, once, with the route that they happened on; the client
/// reads the request's id and no cause.
pub(super) fn answer(failure: Failure, route: &str, request_id: &str) -> Response {
    let error = match failure {
        Failure::Answer(answer) => return answer,
        Failure::Error(error) => error,
    };
    match error {
        Error::Invalid(fields) => Response::json(400, &tree(&fields, true)),
        Error::NotFound => detail(404, "The requested resource does not exist"),
        Error::Forbidden => detail(403, FORBIDDEN),
        Error::Unauthorized(text) => detail(401, &text).with_header("WWW-Authenticate", CHALLENGE),
        Error::Conflict(text) => detail(409, &text),
        Error::Refused(text) => detail(400, &text),
        Error::Unavailable { retry_after_secs } => detail(
            503,
            "The server cannot take this request now; try again later",
        )
        .with_header("Retry-After", retry_after_secs.to_string()),
        Error::Internal(_) | Error::Uncertain => {
            log::error!("{route} failed (request {request_id}): {error}");
            internal(request_id)
        }
    }
}

/// A member's session is of no use here until the organization's identity provider vouches for the user
/// (facts/auth-and-tokens.md 5).
pub(super) fn sso_required(organization: &Slug) -> Response {
    let body = json!({ "detail": {
        "code": "sso-required",
        "message": "Must login via SSO",
        "extra": { "loginUrl": login_path(organization.as_str()) },
    } });
    Response::json(401, &body).with_header("WWW-Authenticate", CHALLENGE)
}

/// What the transport refuses in the front's stead, in the front's shape. The page that asked may read it,
/// wherever it is from: there is nothing in it that is anybody's.
pub(crate) fn refuse(refusal: &Refusal) -> Response {
    let answer = match refusal {
        Refusal::Internal { request_id } => internal(request_id),
        other => detail(other.status(), other.text()),
    };
    answer
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header("Access-Control-Expose-Headers", super::CORS_EXPOSED_HEADERS)
}

fn internal(request_id: &str) -> Response {
    let body = json!({ "detail": "Internal Error", "errorId": request_id });
    Response::json(500, &body)
}

/// `{"detail": text}`, the shape of most refusals.
pub(super) fn detail(status: u16, text: &str) -> Response {
    Response::json(status, &json!({ "detail": text }))
}

/// An answer that nobody keeps, because it is about secrets (facts/auth-and-tokens.md 2.2).
pub(super) fn never_cached(response: Response) -> Response {
    response.with_header(
        "Cache-Control",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
}

/// A refusal that a client tells by its code (facts/auth-and-tokens.md 5).
fn coded(status: u16, code: &str, message: &str, extra: Value) -> Response {
    let detail = json!({ "code": code, "message": message, "extra": extra });
    let answer = Response::json(status, &json!({ "detail": detail }));
    match status {
        401 => answer.with_header("WWW-Authenticate", CHALLENGE),
        _ => answer,
    }
}

/// The organization lets no member in a browser in who has no second factor.
pub(super) fn second_factor_required() -> Response {
    let text = "Organization requires two-factor authentication to be enabled";
    coded(401, "2fa-required", text, json!({}))
}

/// The password was given too long ago.
pub(super) fn sudo_required(username: &str) -> Response {
    let text = "Account verification required.";
    let extra = json!({ "username": username });
    coded(401, "sudo-required", text, extra)
}

/// The password was not given again, or is wrong: a code alone (facts/auth-and-tokens.md 7).
pub(super) fn not_verified(status: u16, code: &str) -> Response {
    Response::json(status, &json!({ "detail": { "code": code } }))
}

/// Nobody signs in this way (facts/auth-and-tokens.md 9.1).
pub(super) fn login_failed(errors: &FieldErrors) -> Response {
    let body = json!({ "detail": "Login attempt failed", "errors": tree(errors, true) });
    Response::json(400, &body)
}

/// A password is not enough (facts/auth-and-tokens.md 7).
pub(super) fn needs_second_factor() -> Response {
    let text = "This account has a second factor. Sign in in a browser.";
    Response::json(403, &json!({ "2fa_required": true, "message": text }))
}

/// Enrolment words its refusals like nobody else (facts/auth-and-tokens.md 9.3).
pub(super) fn wrong_otp() -> Response {
    Response::json(400, &json!([{ "details": "Invalid OTP" }]))
}

/// The same.
pub(super) fn already_enrolled() -> Response {
    Response::json(400, &json!({ "details": "Already enrolled" }))
}

/// Too many tries of something that only people try: plain text (facts/auth-and-tokens.md 9.3).
pub(super) fn too_many_tries(retry_after_secs: u32) -> Response {
    let text = "You have made too many attempts. Please try again later.";
    Response::text(429, text).with_header("Retry-After", retry_after_secs.to_string())
}

/// So many at once that the server does not take one more.
pub(super) fn busy() -> Error {
    Error::Unavailable {
        retry_after_secs: 1,
    }
}

/// One field is wrong.
pub(super) fn field(status: u16, name: &str, text: &str) -> Response {
    Response::json(status, &json!({ name: [text] }))
}

/// A project has another slug now; `url` is the request's own with that one.
pub(super) fn moved(slug: &Slug, url: String) -> Response {
    let body = json!({
        "slug": slug.as_str(),
        "detail": { "extra": { "url": url, "slug": slug.as_str() } },
    });
    Response::json(302, &body).with_header("Location", url)
}

/// What a token reads that holds none of the scopes that the method asks for, in the order in which the
/// endpoint names them (facts/management-api.md 1.5). A method that asks for scopes nobody can hold has none
/// to name.
pub(super) fn insufficient_scope(wanted: &[&str]) -> Response {
    let answer = detail(403, FORBIDDEN);
    if wanted.is_empty() {
        return answer;
    }
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", scope=\"{}\"",
        wanted.join(" ")
    );
    answer.with_header("WWW-Authenticate", challenge)
}

/// The path is there, the method is not. The dispatcher adds `Allow`, as to every answer.
pub(super) fn method_not_allowed(method: &str) -> Response {
    detail(405, &format!("Method \"{method}\" not allowed."))
}

/// A page of another site asks: a bare JSON string.
pub(super) fn invalid_origin(origin: &str) -> Response {
    Response::json(400, &format!("Invalid origin: {origin}"))
}

pub(super) fn not_acceptable() -> Response {
    detail(406, "Could not satisfy the request Accept header.")
}

/// A request too many for this second (facts/management-api.md 1.7).
pub(super) fn too_frequent(limit: u32) -> Response {
    let text = format!(
        "You are attempting to use this endpoint too frequently. Limit is {limit} requests in 1 seconds"
    );
    detail(429, &text)
}

pub(super) fn unsupported_media_type(content_type: &str) -> Response {
    detail(
        415,
        &format!("Unsupported media type \"{content_type}\" in request."),
    )
}

/// A slug is taken, in the shape that the clients of teams and of personal projects read
/// (facts/management-api.md 1.10 and 4.5).
pub(super) fn team_conflict() -> Response {
    let text = "A team with this slug already exists.";
    let body = json!({ "non_field_errors": [text], "detail": text });
    Response::json(409, &body)
}

/// A refusal whose text stands in a list (facts/management-api.md 6.5).
pub(super) fn forbidden_in_list() -> Response {
    Response::json(403, &json!({ "detail": [FORBIDDEN] }))
}

/// A plain validation error of a handler: a JSON array (facts/management-api.md 8.1).
pub(super) fn list_of_one(text: &str) -> Response {
    Response::json(400, &[text])
}

/// A series would be too long (facts/management-api.md 8.2).
pub(super) fn too_many_points() -> Response {
    let text = "Your interval and date range would create too many results. \
                Use a larger interval, or a smaller date range.";
    detail(400, text)
}

/// The old envelope of the project lists, which names the parameter `stats_period` whatever was wrong
/// (facts/management-api.md 4.2).
pub(super) fn legacy_parameter(message: &str) -> Response {
    let body = json!({ "error": { "params": { "stats_period": { "message": message } } } });
    Response::json(400, &body)
}

/// A role that the caller may not give or take: a bare text under `role` (facts/management-api.md 11.4).
pub(super) fn role_refused(text: &str) -> Response {
    Response::json(403, &json!({ "role": text }))
}

/// Field errors, with a field whose own shape is not that of a list of texts (facts/management-api.md 10.2).
pub(super) fn invalid_with(errors: &FieldErrors, name: &str, shape: Value) -> Response {
    let mut body = tree(errors, true);
    body[name] = shape;
    Response::json(400, &body)
}

/// The tree of field errors as clients read it: lists of texts at the leaves, and texts about a whole object
/// under `non_field_errors`.
fn tree(errors: &FieldErrors, is_root: bool) -> Value {
    if errors.fields.is_empty() && !is_root {
        return json!(errors.texts);
    }
    let mut object = Map::new();
    if !errors.texts.is_empty() {
        object.insert("non_field_errors".to_owned(), json!(errors.texts));
    }
    for (name, inner) in &errors.fields {
        object.insert(name.clone(), tree(inner, false));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(failure: impl Into<Failure>) -> (u16, String) {
        let response = answer(failure.into(), "GET /", "0123");
        let text = String::from_utf8(response.body.into_owned()).unwrap();
        (response.status, text)
    }

    #[test]
    fn every_error_has_its_status_and_body() {
        let internal = Error::internal("the disk is on fire");
        for (error, status, text) in [
            (
                Error::NotFound,
                404,
                r#"{"detail":"The requested resource does not exist"}"#,
            ),
            (
                Error::Forbidden,
                403,
                r#"{"detail":"You do not have permission to perform this action."}"#,
            ),
            (
                internal,
                500,
                r#"{"detail":"Internal Error","errorId":"0123"}"#,
            ),
        ] {
            assert_eq!(body(error), (status, text.to_owned()));
        }
    }

    #[test]
    fn field_errors_nest() {
        let mut inner = FieldErrors::default();
        inner.add("count", "too small");
        let mut errors = FieldErrors::default();
        errors.texts.push("whole".to_owned());
        errors.nest("rateLimit", inner);
        assert_eq!(
            body(Error::Invalid(errors)),
            (
                400,
                r#"{"non_field_errors":["whole"],"rateLimit":{"count":["too small"]}}"#.to_owned()
            )
        );
    }
}
