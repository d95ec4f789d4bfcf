//! Ingestion: what SDKs send through a DSN.
//!
//! [`Ingest::handle`] is the way of an envelope (design 2): route, authenticate the key, origin, decode, parse
//! into items, then per item filter, limit and compress, and hand one job to the writer. Nothing before the
//! writer touches SQLite, no worker waits for a commit, and an answer that tells an outcome leaves only after
//! the transaction with its rows is durable.
//!
//! Stages work on bytes and values. Every item that goes no further leaves its outcome in the plan; a request
//! of a known project that is refused before its items are known counts as one item.

mod auth;
mod client_report;
mod cors;
mod decode;
mod envelope;
mod fields;
mod filters;
mod items;
mod json;
mod meta;
mod normalise;
mod pages;
mod parcel;
mod payload;
mod plan;
mod refusal;
mod scrub;
mod source;
mod uploads;

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::category::Category;
use crate::domain::id::ProjectId;
use crate::domain::key::PublicKey;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Route, Router};
use crate::http::{Body, Method, Request, Responder, Response};
use crate::store::Store;
use crate::store::snapshot::{KeyState, ProjectState};
use auth::Credentials;
use plan::Plan;
pub(crate) use refusal::Refusal;

/// How a request is parsed into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Envelope,
    Store,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    /// Whoever has an active key of the project (facts/ingestion.md 2).
    ClientKey,
}

fn routes() -> Vec<Route<(Permission, Endpoint)>> {
    let route = |method, path, endpoint| Route {
        method,
        path,
        target: (Permission::ClientKey, endpoint),
    };
    vec![
        route("POST", "/api/{project}/envelope/", Endpoint::Envelope),
        route("POST", "/api/{project}/store/", Endpoint::Store),
        route("POST", "/api/store/", Endpoint::Store),
    ]
}

/// A request whose key, project and origin are known to be good.
struct Authenticated {
    key: Arc<KeyState>,
    project: Arc<ProjectState>,
    received: Timestamp,
}

/// The front for SDKs.
pub(crate) struct Ingest {
    store: Arc<Store>,
    router: Router<(Permission, Endpoint)>,
    body_bytes_max: u64,
}

impl Ingest {
    /// `body_bytes_max` bounds a decoded envelope.
    pub(crate) fn new(store: Arc<Store>, body_bytes_max: u64) -> Ingest {
        Ingest {
            store,
            router: Router::new(routes()),
            body_bytes_max,
        }
    }

    /// Answers a request, now or when the writer has committed what it brought.
    pub(crate) fn handle(&self, request: Request, responder: Responder) {
        let path = fold_slashes(&request.path);
        match self.router.find(&request.method, &path) {
            _ if request.method == Method::Options => {
                responder.respond(cors::preflight(&request));
            }
            Found::Route(route, params) => {
                let (Permission::ClientKey, endpoint) = route.target;
                self.take(endpoint, &params, request, responder);
            }
            Found::OtherMethods(methods) => {
                let allow = methods.join(", ");
                responder.respond(cors::expose(
                    Response::empty(405).with_header("Allow", allow),
                ));
            }
            Found::Nothing => responder.respond(cors::expose(Response::empty(404))),
        }
    }

    /// The stages, in the order of design 2.
    fn take(
        &self,
        endpoint: Endpoint,
        params: &Params,
        mut request: Request,
        responder: Responder,
    ) {
        let who = match self.authenticate(endpoint, params, &request) {
            Ok(who) => who,
            Err(refusal) => return responder.respond(refusal.answer()),
        };
        let endpoint = endpoint.of(&request);
        let planned = filters::origin(&who.project, &request)
            .and_then(|()| read_back(&mut request))
            .and_then(|sent| match endpoint {
                Endpoint::Envelope => {
                    let body = decode::body(&request, &sent, self.body_bytes_max)?;
                    plan::envelope(&body, &who, &request)
                }
                Endpoint::Store => {
                    let bytes_max = items::EVENT_BYTES_MAX as u64;
                    let body = decode::body(&request, &sent, bytes_max)?;
                    plan::store(&body, &who, &request)
                }
            })
            .unwrap_or_else(|refusal| {
                Plan::refused(endpoint.name_limit(refusal), endpoint.category(), &who)
            });
        planned.submit(&self.store, who, responder);
    }

    fn authenticate(
        &self,
        endpoint: Endpoint,
        params: &Params,
        request: &Request,
    ) -> Result<Authenticated, Refusal> {
        let credentials = match auth::credentials(request)? {
            Some(credentials) => credentials,
            None if endpoint == Endpoint::Envelope => {
                Credentials::of_envelope_header(&decode::beginning(request)?)?
            }
            None => return Err(Refusal::MissingAuth),
        };
        let public = PublicKey::parse(&credentials.public).ok_or(Refusal::BadKey)?;
        let named = match params.find("project") {
            Some(text) => Some(
                text.parse::<u64>()
                    .map_err(|e| Refusal::BadProject(e.to_string()))?,
            ),
            None => None,
        };
        let snapshot = self.store.snapshot();
        let key = snapshot
            .key(&public)
            .filter(|key| key.active && named.is_none_or(|id| is_project(key.project, id)))
            .ok_or(Refusal::UnknownKey)?;
        let project = snapshot.project(key.project).ok_or(Refusal::UnknownKey)?;
        Ok(Authenticated {
            key,
            project,
            received: request.received,
        })
    }
}

/// The body as it was sent, out of the request.
fn read_back(request: &mut Request) -> Result<Vec<u8>, Refusal> {
    std::mem::replace(&mut request.body, Body::empty())
        .into_vec()
        .map_err(|error| Refusal::unreadable(&error))
}

impl Endpoint {
    /// A store request may declare its body to be an envelope (facts/ingestion.md 1.3).
    fn of(self, request: &Request) -> Endpoint {
        match request.headers.get("content-type") {
            Some("application/x-sentry-envelope") => Endpoint::Envelope,
            _ => self,
        }
    }

    /// What a request counts as that is refused before its items are known (design 1).
    fn category(self) -> Category {
        match self {
            Endpoint::Envelope => Category::Default,
            Endpoint::Store => Category::Error,
        }
    }

    /// A store request is one event, so its limit is the event's.
    fn name_limit(self, refusal: Refusal) -> Refusal {
        match (self, refusal) {
            (Endpoint::Store, Refusal::RequestTooLarge) => Refusal::TooLarge("event"),
            (_, refusal) => refusal,
        }
    }
}

fn is_project(project: ProjectId, named: u64) -> bool {
    u64::try_from(project.0).is_ok_and(|id| id == named)
}

/// SDKs whose DSN ends in a slash ask for `//api/1/envelope/` (facts/ingestion.md 1.1).
fn fold_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut folded = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !folded.ends_with('/') {
            folded.push(c);
        }
    }
    folded.into()
}

/// Whether a path is ingestion's: `/api/` and anything but the management API's `0`.
pub(crate) fn owns(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    let Some(rest) = path.strip_prefix("api/") else {
        return false;
    };
    let rest = rest.trim_start_matches('/');
    rest != "0" && !rest.starts_with("0/") && !rest.is_empty()
}
