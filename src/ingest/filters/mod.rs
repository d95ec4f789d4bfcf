//! What a project does not want: pages of other domains (facts/ingestion.md 3), and by its inbound filters events,
//! log entries and metrics of all sorts (8).
//!
//! [`Filters`] holds the settings of a project, compiled. It looks at normalised events, changes nothing, and counts
//! nothing: what becomes of an unwanted item is the plan's. A filter is a question about one event; each has its
//! file. Almost all of them are lists of [`globs`].

mod addresses;
mod browser_extensions;
mod compiled;
mod crawlers;
mod csp;
mod errors;
mod globs;
mod health_checks;
mod legacy_browsers;
mod localhost;
mod subject;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Refusal;
use super::fields::{self, fields};
use super::payload::{self, EventFields};
use crate::http::Request;
use crate::store::snapshot::ProjectState;
pub(super) use compiled::Filters;
use localhost::{is_local_authority, is_local_url, is_loopback};

/// Whether a request comes from a page that may send to the project.
pub(super) fn origin(project: &ProjectState, request: &Request) -> Result<(), Refusal> {
    let origin = request
        .headers
        .get("origin")
        .or_else(|| request.headers.get("referer"));
    if project.allowed_domains.allow(origin) {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

/// The reason for which an event or a transaction is filtered; none if it is wanted.
pub(super) fn event(
    project: &ProjectState,
    payload: &[u8],
    request: &Request,
) -> Option<&'static str> {
    if !project.filter_localhost {
        return None;
    }
    let fields = payload::parse::<EventFields<'_>>(payload)?;
    is_localhost(&fields, request).then_some("localhost")
}

fn is_localhost(event: &EventFields<'_>, request: &Request) -> bool {
    fields! {
        struct User {
            ip_address: "ip_address",
        }
    }
    fields! {
        struct PageRequest {
            url: "url",
            headers: "headers",
        }
    }
    let user: Option<User<'_>> = event
        .user
        .and_then(|raw| payload::parse(raw.get().as_bytes()));
    let page: Option<PageRequest<'_>> = event
        .request
        .and_then(|raw| payload::parse(raw.get().as_bytes()));
    let address = user.and_then(|user| user.ip_address).and_then(fields::text);
    let is_local_user = match address.as_deref() {
        Some("{{auto}}") => is_loopback(&request.peer.to_string()),
        Some(address) => is_loopback(address),
        None => false,
    };
    let url = page
        .as_ref()
        .and_then(|page| page.url)
        .and_then(fields::text);
    let headers = page
        .and_then(|page| page.headers)
        .map(header_pairs)
        .unwrap_or_default();
    let header = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    };
    is_local_user
        || url.as_deref().is_some_and(is_local_url)
        || header("x-forwarded-for").is_some_and(is_loopback)
        || (url.is_none()
            && ["host", "x-forwarded-host"]
                .iter()
                .any(|name| header(name).is_some_and(is_local_authority)))
}

/// Headers come as a map or as a list of pairs; what has another shape is left out.
fn header_pairs(raw: &RawValue) -> Vec<(String, Cow<'_, str>)> {
    type Pairs<'a> = Vec<(String, &'a RawValue)>;
    fn texts(pairs: Pairs<'_>) -> Vec<(String, Cow<'_, str>)> {
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, fields::text(value)?)))
            .collect()
    }
    if let Ok(map) =
        serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(raw.get())
    {
        return texts(map.into_iter().collect());
    }
    serde_json::from_str::<Pairs<'_>>(raw.get())
        .map(texts)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::option::InboundFilters;
    use crate::domain::time::Timestamp;
    use crate::http::{Body, Headers, Method};
    use crate::ingest::payload;

    /// Settings that filter nothing but what is always filtered.
    pub(super) fn off() -> InboundFilters {
        InboundFilters {
            localhost: false,
            browser_extensions: false,
            legacy_browsers: Vec::new(),
            legacy_browsers_default: false,
            web_crawlers: false,
            health_checks: false,
            react_hydration: false,
            chunk_load: false,
            custom_errors: Vec::new(),
            addresses: Vec::new(),
            releases: Vec::new(),
            error_messages: Vec::new(),
            log_messages: Vec::new(),
            metric_names: Vec::new(),
        }
    }

    fn is_local(event: &str) -> bool {
        let request = Request {
            method: Method::Post,
            path: String::new(),
            query: String::new(),
            headers: Headers::default(),
            body: Body::empty(),
            peer: [127, 0, 0, 1].into(),
            received: Timestamp::default(),
            id: String::new(),
        };
        is_localhost(&payload::parse(event.as_bytes()).unwrap(), &request)
    }

    #[test]
    fn an_event_of_this_machine_is_recognised() {
        for event in [
            r#"{"user":{"ip_address":"::1"}}"#,
            r#"{"user":{"ip_address":"{{auto}}"}}"#,
            r#"{"request":{"url":"http://app.localhost:3000/x"}}"#,
            r#"{"request":{"url":"file:///tmp/a.html"}}"#,
            r#"{"request":{"headers":[["X-Forwarded-For","127.0.0.1"]]}}"#,
            r#"{"request":{"headers":{"Host":"localhost:8000"}}}"#,
        ] {
            assert!(is_local(event), "{event}");
        }
    }

    #[test]
    fn an_event_of_elsewhere_is_kept() {
        for event in [
            "{}",
            r#"{"user":{"ip_address":"10.0.0.1"}}"#,
            r#"{"user":5,"request":[]}"#,
            r#"{"request":{"url":"http://notlocalhost/","headers":{"Host":"localhost"}}}"#,
        ] {
            assert!(!is_local(event), "{event}");
        }
    }
}
