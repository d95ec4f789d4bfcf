//! What a refused SDK is told: Relay's own statuses and texts (facts/ingestion.md 2.4 and 4.1), always as
//! JSON, always with the CORS headers.

use serde_json::{Value, json};

use super::cors;
use super::uploads::Fault;
use crate::domain::window::UsedUp;
use crate::http::{Refusal as TransportRefusal, Response};

/// Why a request was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    MissingAuth,
    /// The envelope's first line has no usable `dsn`; the parser's words.
    EnvelopeAuth(String),
    MultipleAuth,
    MissingKey,
    BadVersion,
    UnsupportedVersion(u16),
    BadKey,
    BadProject(String),
    /// Unknown or disabled key, or one of another project.
    UnknownKey,
    Origin,
    EmptyBody,
    /// The causes, outermost first.
    InvalidEnvelope(Vec<String>),
    InvalidJson(String),
    /// The body is of a media type that its endpoint does not take.
    UnsupportedContentType,
    /// The body is not what its media type or its endpoint says.
    InvalidBody(InvalidBody, String),
    UnsupportedEncoding,
    InvalidCompression(String),
    /// The body as a whole, decoded.
    RequestTooLarge,
    /// The items of a type, alone or together; the name that SDKs know.
    TooLarge(&'static str),
    /// A crash dump or a form of files.
    Upload(Fault),
    RateLimited(UsedUp),
    /// Nothing was kept; worth trying again.
    Unavailable {
        retry_after_secs: u32,
    },
    Internal,
}

/// What a body was taken for that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidBody {
    CheckIn,
    Logplex,
    Protobuf,
    /// An Unreal crash's container.
    UnrealReport,
    /// The files in an Unreal crash's container.
    UnrealFiles,
}

impl InvalidBody {
    fn reason(self) -> &'static str {
        match self {
            InvalidBody::CheckIn => "invalid_check_in",
            InvalidBody::Logplex => "invalid_body",
            InvalidBody::Protobuf => "invalid_proto",
            InvalidBody::UnrealReport => "invalid_unreal_report",
            InvalidBody::UnrealFiles => "process_unreal",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            InvalidBody::CheckIn => "invalid check-in",
            InvalidBody::Logplex => "invalid logplex frames",
            InvalidBody::Protobuf => "invalid protobuf data",
            InvalidBody::UnrealReport => "invalid unreal crash report",
            InvalidBody::UnrealFiles => "failed to process unreal report",
        }
    }
}

impl Refusal {
    /// For a spooled body that is lost: our fault, and logged as such.
    pub(super) fn unreadable(error: &std::io::Error) -> Refusal {
        log::error!("a spooled request body cannot be read back: {error}");
        Refusal::Internal
    }

    /// For a body that found no room on the disk.
    pub(super) fn unwritable(error: &std::io::Error) -> Refusal {
        log::warn!("a request body could not be spooled: {error}");
        Refusal::Unavailable {
            retry_after_secs: 5,
        }
    }

    /// Whether the fault is not the client's.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Refusal::Internal | Refusal::Unavailable { .. })
    }

    fn status(&self) -> u16 {
        match self {
            Refusal::MissingAuth
            | Refusal::EnvelopeAuth(_)
            | Refusal::MultipleAuth
            | Refusal::MissingKey
            | Refusal::BadVersion => 401,
            Refusal::UnknownKey | Refusal::Origin => 403,
            Refusal::UnsupportedVersion(_)
            | Refusal::BadKey
            | Refusal::BadProject(_)
            | Refusal::EmptyBody
            | Refusal::InvalidEnvelope(_)
            | Refusal::InvalidJson(_)
            | Refusal::InvalidBody(..)
            | Refusal::InvalidCompression(_)
            | Refusal::Upload(_) => 400,
            Refusal::RequestTooLarge | Refusal::TooLarge(_) => 413,
            Refusal::UnsupportedContentType | Refusal::UnsupportedEncoding => 415,
            Refusal::RateLimited(_) => 429,
            Refusal::Internal => 500,
            Refusal::Unavailable { .. } => 503,
        }
    }

    /// The reason in the ledger when the project is known (facts/ingestion.md 7.2).
    pub(super) fn reason(&self) -> String {
        match self {
            Refusal::Origin => "cors".to_owned(),
            Refusal::EmptyBody => "no_data".to_owned(),
            Refusal::InvalidEnvelope(_) => "invalid_envelope".to_owned(),
            Refusal::InvalidJson(_) => "invalid_json".to_owned(),
            Refusal::UnsupportedContentType => "content_type".to_owned(),
            Refusal::InvalidBody(what, _) => what.reason().to_owned(),
            Refusal::UnsupportedEncoding | Refusal::InvalidCompression(_) => {
                "invalid_compression".to_owned()
            }
            Refusal::RequestTooLarge => "request_too_large".to_owned(),
            Refusal::TooLarge(name) => format!("too_large:{name}"),
            Refusal::Upload(fault) => fault.reason().to_owned(),
            _ => "internal".to_owned(),
        }
    }

    fn body(&self) -> Value {
        let with_cause =
            |detail: &str, cause: &str| json!({ "detail": detail, "causes": [cut(cause)] });
        match self {
            Refusal::MissingAuth => json!({ "detail": "missing authorization information" }),
            Refusal::EnvelopeAuth(cause) => with_cause("bad envelope authentication header", cause),
            Refusal::MultipleAuth => {
                json!({ "detail": "multiple authorization payloads detected" })
            }
            Refusal::MissingKey => with_cause(
                "bad x-sentry-auth header",
                "missing public key in auth header",
            ),
            Refusal::BadVersion => {
                with_cause("bad x-sentry-auth header", "invalid value for version")
            }
            Refusal::UnsupportedVersion(version) => {
                json!({ "detail": format!("unsupported protocol version ({version})") })
            }
            Refusal::BadKey => with_cause("bad sentry DSN public key", "invalid project key"),
            Refusal::BadProject(cause) => with_cause("bad project path parameter", cause),
            Refusal::UnknownKey => {
                json!({ "detail": "event submission rejected with_reason: ProjectId" })
            }
            Refusal::Origin => json!({ "detail": "event submission rejected with_reason: Cors" }),
            Refusal::EmptyBody => json!({ "detail": "empty request body" }),
            Refusal::InvalidEnvelope(causes) => {
                let causes: Vec<&str> = causes.iter().map(|cause| cut(cause)).collect();
                json!({ "detail": "invalid event envelope", "causes": causes })
            }
            Refusal::InvalidJson(cause) => {
                let cause = cut(cause);
                json!({ "detail": format!("invalid JSON data: {cause}"), "causes": [cause] })
            }
            Refusal::InvalidBody(what, cause) => with_cause(what.detail(), cause),
            Refusal::UnsupportedContentType => Value::Null,
            Refusal::UnsupportedEncoding => json!({ "detail": "unsupported content encoding" }),
            Refusal::InvalidCompression(cause) => {
                json!({ "detail": format!("Failed to buffer the request body: {}", cut(cause)) })
            }
            Refusal::RequestTooLarge => json!({ "detail": "length limit exceeded" }),
            Refusal::TooLarge(name) => json!({
                "detail": format!(
                    "envelope exceeded size limits for type '{name}' \
                     (https://develop.sentry.dev/sdk/envelopes/#size-limits)"
                ),
            }),
            Refusal::Upload(fault) => match fault.cause() {
                Some(cause) => with_cause(fault.detail(), cause),
                None => json!({ "detail": fault.detail() }),
            },
            Refusal::RateLimited(_) => json!({
                "detail": "Sentry dropped data due to a quota or internal rate limit being reached. \
                           This will not affect your application. See \
                           https://docs.sentry.io/product/accounts/quotas/ for more information.",
            }),
            Refusal::Unavailable { .. } => json!({ "detail": "failed to queue envelope" }),
            Refusal::Internal => json!({ "detail": "internal error" }),
        }
    }

    pub(crate) fn answer(&self) -> Response {
        // Relay's one refusal without a body (facts/ingestion.md 1.6).
        if let Refusal::UnsupportedContentType = self {
            return cors::expose(Response::empty(self.status()));
        }
        let response = cors::expose(Response::json(self.status(), &self.body()));
        match self {
            Refusal::RateLimited(used_up) => with_rate_limits(response, *used_up)
                .with_header("Retry-After", used_up.retry_after_secs.to_string()),
            Refusal::Unavailable { retry_after_secs } => {
                response.with_header("Retry-After", retry_after_secs.to_string())
            }
            _ => response,
        }
    }

    /// The answer for what the transport refused before this front saw it.
    pub(crate) fn of_transport(refusal: &TransportRefusal) -> Response {
        cors::expose(Response::json(
            refusal.status(),
            &json!({ "detail": refusal.text() }),
        ))
    }
}

/// A parser's words may quote what it read, which may be long.
fn cut(cause: &str) -> &str {
    const BYTES_MAX: usize = 200;
    &cause[..cause.floor_char_boundary(BYTES_MAX)]
}

/// Tells SDKs which categories a key's used-up limit closes, and for how long (facts/ingestion.md 6.4).
pub(super) fn with_rate_limits(response: Response, used_up: UsedUp) -> Response {
    response.with_header(
        "X-Sentry-Rate-Limits",
        format!(
            "{}:default;error;security:key:key_quota",
            used_up.retry_after_secs
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_cannot_be_read_says_what_it_was_taken_for() {
        for (what, reason, detail) in [
            (InvalidBody::CheckIn, "invalid_check_in", "invalid check-in"),
            (
                InvalidBody::Logplex,
                "invalid_body",
                "invalid logplex frames",
            ),
            (
                InvalidBody::Protobuf,
                "invalid_proto",
                "invalid protobuf data",
            ),
            (
                InvalidBody::UnrealReport,
                "invalid_unreal_report",
                "invalid unreal crash report",
            ),
            (
                InvalidBody::UnrealFiles,
                "process_unreal",
                "failed to process unreal report",
            ),
        ] {
            let refusal = Refusal::InvalidBody(what, "cause".to_owned());
            assert_eq!(
                (refusal.status(), refusal.reason()),
                (400, reason.to_owned())
            );
            let body = json!({ "detail": detail, "causes": ["cause"] }).to_string();
            assert_eq!(*refusal.answer().body, *body.as_bytes());
        }
    }

    #[test]
    fn an_unsupported_media_type_is_refused_without_a_body() {
        let refusal = Refusal::UnsupportedContentType;
        let answer = refusal.answer();
        assert_eq!((answer.status, answer.body.len()), (415, 0));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(refusal.reason(), "content_type");
    }
}
