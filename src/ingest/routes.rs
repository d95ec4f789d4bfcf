//! The routes of ingestion, and what sets their endpoints apart (facts/ingestion.md 1.1).

use super::reply::Reply;
use super::{Refusal, items};
use crate::domain::category::Category;
use crate::http::Request;
use crate::http::router::Route;

/// How a request is read into items, and what it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Envelope,
    Store,
    /// The store endpoint for pages that can only ask for a picture.
    StorePicture,
    Security,
    Nel,
    Minidump,
    Unreal,
    Attachments,
    Cron,
    OtlpTraces,
    OtlpLogs,
    VercelLogs,
    HerokuLogs,
    Playstation,
}

/// What is served without a key: to browsers and to whoever watches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The script that loads the JavaScript SDK.
    Loader,
    /// The crash-report dialog, and what its form sends.
    Dialog,
    /// Whether the server is there.
    Live,
    /// Whether it takes events.
    Ready,
}

/// What a route leads to, and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// For whoever has an active key of the project (facts/ingestion.md 2).
    ClientKey(Endpoint),
    /// For anyone.
    Anyone(Page),
}

/// Every route. A slash at the end is mandatory where only that form is listed.
pub(super) fn routes() -> Vec<Route<Target>> {
    use Endpoint::*;
    let keyed = |method, path, endpoint| Route {
        method,
        path,
        target: Target::ClientKey(endpoint),
    };
    let open = |method, path, page| Route {
        method,
        path,
        target: Target::Anyone(page),
    };
    vec![
        keyed("POST", "/api/{project}/envelope/", Envelope),
        keyed("POST", "/api/{project}/store/", Store),
        keyed("GET", "/api/{project}/store/", StorePicture),
        keyed("POST", "/api/store/", Store),
        keyed("GET", "/api/store/", StorePicture),
        keyed("POST", "/api/{project}/security/", Security),
        keyed("POST", "/api/{project}/csp-report/", Security),
        keyed("POST", "/api/{project}/nel/", Nel),
        keyed("POST", "/api/{project}/minidump", Minidump),
        keyed("POST", "/api/{project}/minidump/", Minidump),
        keyed("POST", "/api/{project}/unreal/{key}/", Unreal),
        keyed(
            "POST",
            "/api/{project}/events/{event_id}/attachments/",
            Attachments,
        ),
        keyed("GET", "/api/{project}/cron/{slug}", Cron),
        keyed("GET", "/api/{project}/cron/{slug}/", Cron),
        keyed("GET", "/api/{project}/cron/{slug}/{key}", Cron),
        keyed("GET", "/api/{project}/cron/{slug}/{key}/", Cron),
        keyed("POST", "/api/{project}/cron/{slug}", Cron),
        keyed("POST", "/api/{project}/cron/{slug}/", Cron),
        keyed("POST", "/api/{project}/cron/{slug}/{key}", Cron),
        keyed("POST", "/api/{project}/cron/{slug}/{key}/", Cron),
        keyed(
            "POST",
            "/api/{project}/integration/otlp/v1/traces",
            OtlpTraces,
        ),
        keyed(
            "POST",
            "/api/{project}/integration/otlp/v1/traces/",
            OtlpTraces,
        ),
        keyed("POST", "/api/{project}/otlp/v1/traces", OtlpTraces),
        keyed("POST", "/api/{project}/otlp/v1/traces/", OtlpTraces),
        keyed("POST", "/api/{project}/integration/otlp/v1/logs", OtlpLogs),
        keyed("POST", "/api/{project}/integration/otlp/v1/logs/", OtlpLogs),
        keyed("POST", "/api/{project}/integration/vercel/logs", VercelLogs),
        keyed(
            "POST",
            "/api/{project}/integration/vercel/logs/",
            VercelLogs,
        ),
        keyed("POST", "/api/{project}/integration/heroku/logs", HerokuLogs),
        keyed(
            "POST",
            "/api/{project}/integration/heroku/logs/",
            HerokuLogs,
        ),
        keyed("POST", "/api/{project}/playstation/", Playstation),
        open("GET", "/js-sdk-loader/{script}", Page::Loader),
        open("GET", "/api/embed/error-page/", Page::Dialog),
        open("POST", "/api/embed/error-page/", Page::Dialog),
        open("GET", "/api/relay/healthcheck/live/", Page::Live),
        open("GET", "/api/relay/healthcheck/ready/", Page::Ready),
        open("GET", "/api/0/relays/live/", Page::Live),
    ]
}

/// Whether a path is ingestion's: the loader's, and everything under `/api/` but the management API's `0`.
pub(crate) fn owns(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    if path.starts_with("js-sdk-loader/") {
        return true;
    }
    let Some(rest) = path.strip_prefix("api/") else {
        return false;
    };
    let rest = rest.trim_start_matches('/');
    // One path of the management API's is Relay's.
    rest == "0/relays/live/" || (rest != "0" && !rest.starts_with("0/") && !rest.is_empty())
}

impl Endpoint {
    /// A store request may declare its body to be an envelope (facts/ingestion.md 1.3).
    pub(super) fn of(self, request: &Request) -> Endpoint {
        match request.headers.get("content-type") {
            Some("application/x-sentry-envelope") if self == Endpoint::Store => Endpoint::Envelope,
            _ => self,
        }
    }

    /// What a request counts as that is refused before its items are known (design 1).
    pub(super) fn category(self) -> Category {
        match self {
            Endpoint::Store | Endpoint::StorePicture => Category::Error,
            Endpoint::Security => Category::Security,
            _ => Category::Default,
        }
    }

    /// How many bytes a decoded body may have (facts/ingestion.md 4.4). `all` bounds every body.
    pub(super) fn body_bytes_max(self, all: u64) -> u64 {
        const CONTAINER_BYTES_MAX: u64 = 12 << 20;
        let own = match self {
            Endpoint::Store | Endpoint::StorePicture | Endpoint::Security => items::EVENT_BYTES_MAX,
            Endpoint::Cron => 100 << 10,
            Endpoint::Nel
            | Endpoint::OtlpTraces
            | Endpoint::OtlpLogs
            | Endpoint::VercelLogs
            | Endpoint::HerokuLogs => CONTAINER_BYTES_MAX,
            Endpoint::Envelope
            | Endpoint::Minidump
            | Endpoint::Unreal
            | Endpoint::Attachments
            | Endpoint::Playstation => all,
        };
        own.min(all)
    }

    /// Whether a small body can still become large: a dump in a container, or a form's many short values.
    pub(super) fn unfolds(self) -> bool {
        matches!(
            self,
            Endpoint::Minidump | Endpoint::Unreal | Endpoint::Playstation
        )
    }

    /// An endpoint whose body is one item has that item's limit.
    pub(super) fn name_limit(self, refusal: Refusal) -> Refusal {
        let name = match self {
            Endpoint::Store | Endpoint::StorePicture => "event",
            Endpoint::Security => "security",
            Endpoint::Cron => "check_in",
            Endpoint::OtlpTraces => "span",
            Endpoint::Nel | Endpoint::OtlpLogs | Endpoint::VercelLogs | Endpoint::HerokuLogs => {
                "log"
            }
            _ => return refusal,
        };
        match refusal {
            Refusal::RequestTooLarge => Refusal::TooLarge(name),
            refusal => refusal,
        }
    }

    /// What is answered when the request was taken.
    pub(super) fn reply(self) -> Reply {
        match self {
            Endpoint::Envelope | Endpoint::Store => Reply::Id,
            Endpoint::StorePicture => Reply::Picture,
            Endpoint::Minidump | Endpoint::Unreal | Endpoint::Playstation => Reply::DashedId,
            Endpoint::Security | Endpoint::Nel => Reply::Empty(200),
            Endpoint::Attachments => Reply::Empty(201),
            Endpoint::Cron
            | Endpoint::OtlpTraces
            | Endpoint::OtlpLogs
            | Endpoint::VercelLogs
            | Endpoint::HerokuLogs => Reply::Empty(202),
        }
    }

    /// Whether a used-up limit that left nothing of a request is told as a 429. The senders of these endpoints
    /// cannot wait, or would try again at once.
    pub(super) fn says_429(self) -> bool {
        !matches!(
            self,
            Endpoint::Nel
                | Endpoint::Minidump
                | Endpoint::Unreal
                | Endpoint::Cron
                | Endpoint::OtlpLogs
                | Endpoint::Playstation
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_belongs_to_this_front_and_stands_once() {
        let routes = routes();
        for (at, route) in routes.iter().enumerate() {
            assert!(owns(route.path), "{}", route.path);
            let again = routes[..at]
                .iter()
                .any(|other| (other.method, other.path) == (route.method, route.path));
            assert!(!again, "{} {}", route.method, route.path);
        }
        for path in ["/api/0/", "/api/0", "/api/", "/", "/auth/login/"] {
            assert!(!owns(path), "{path}");
        }
    }
}
