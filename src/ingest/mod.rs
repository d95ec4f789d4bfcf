//! Ingestion: what SDKs send through a DSN.
//!
//! [`Ingest::handle`] is the way of a request (design 2): route, authenticate the key, origin, decode, parse into
//! items, then decide about each item, and hand one job to the writer. Nothing before the writer touches SQLite,
//! no worker waits for a commit, and an answer that tells an outcome leaves only after the transaction with its
//! rows is durable.
//!
//! A request that is larger than 1 MiB, sent or decoded, or becomes large when it is read, goes to a thread of its
//! own, where payloads lie in files: any number of uploads at once costs disk and time, but no memory and no worker.
//!
//! Stages work on bytes and values. Every item that goes no further leaves its outcome in the plan; a request
//! of a known project that is refused before its items are known counts as one item.

mod arrival;
mod auth;
mod client_report;
mod container;
mod cors;
mod decode;
mod desk;
mod endpoints;
mod envelope;
mod fields;
mod filters;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod intake;
mod items;
mod json;
mod large;
mod meta;
mod news;
mod normalise;
mod pack;
mod pages;
mod parcel;
mod payload;
mod plan;
mod profile;
mod refusal;
mod repair;
mod reply;
mod routes;
mod rules;
mod scrub;
mod sort;
mod source;
mod uploads;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::bundle_url::BundleUrl;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::ProjectId;
use crate::domain::key::PublicKey;
use crate::domain::readiness::Phase;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Router};
use crate::http::{Method, Request, Responder, Response};
use crate::store::Store;
use crate::store::snapshot::{KeyState, ProjectState};
use arrival::Arrival;
use desk::Desk;
use large::LargeRequests;
use news::Sdk;
use pages::{dialog, health, loader};
pub(crate) use refusal::Refusal;
pub(crate) use routes::owns;
use routes::{Endpoint, Page, Target};
use source::{Payload, SpoolDir};

/// The crash-report dialog's own path: pages ask for leave there in another way than elsewhere.
const DIALOG: &str = "/api/embed/error-page/";

/// A request whose key, project and origin are known to be good.
struct Authenticated {
    key: Arc<KeyState>,
    project: Arc<ProjectState>,
    received: Timestamp,
    /// What the request says to be sent by, beside its items.
    sdk: Sdk,
}

/// What the front was told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bounds a decoded body.
    pub(crate) body_bytes_max: u64,
    /// Where large payloads lie while they are worked on.
    pub(crate) spool_dir: PathBuf,
    /// How clients reach this server.
    pub(crate) url_prefix: UrlPrefix,
    /// Where the JavaScript loader gets the SDK from.
    pub(crate) loader_bundle_url: Option<BundleUrl>,
    pub(crate) phase: Phase,
}

/// The front for SDKs.
pub(crate) struct Ingest {
    router: Router<Target>,
    desk: Arc<Desk>,
    large: LargeRequests,
    phase: Phase,
}

impl Ingest {
    /// # Errors
    /// The thread for large requests could not be started.
    pub(crate) fn start(store: Arc<Store>, settings: Settings) -> std::io::Result<Ingest> {
        let desk = Arc::new(Desk {
            store,
            spool: SpoolDir::new(&settings.spool_dir),
            body_bytes_max: settings.body_bytes_max,
            url_prefix: settings.url_prefix,
            loader_bundle_url: settings.loader_bundle_url,
        });
        Ok(Ingest {
            router: Router::new(routes::routes()),
            large: LargeRequests::start(&desk)?,
            desk,
            phase: settings.phase,
        })
    }

    /// Answers a request, now or when the writer has committed what it brought.
    pub(crate) fn handle(&self, request: Request, responder: Responder) {
        let path = fold_slashes(&request.path);
        match self.router.find(&request.method, &path) {
            Found::OtherMethods(_) if request.method == Method::Options && path == DIALOG => {
                responder.respond(dialog::preflight(&request));
            }
            _ if request.method == Method::Options => {
                responder.respond(cors::preflight(&request));
            }
            Found::Route(route, params) => match route.target {
                Target::ClientKey(endpoint) => self.take(endpoint, &params, request, responder),
                Target::Anyone(page) => self.serve(page, &params, request, responder),
            },
            Found::OtherMethods(methods) => {
                let allow = methods.join(", ");
                responder.respond(cors::expose(
                    Response::empty(405).with_header("Allow", allow),
                ));
            }
            Found::Nothing => responder.respond(cors::expose(Response::empty(404))),
        }
    }

    fn serve(&self, page: Page, params: &Params, request: Request, responder: Responder) {
        let desk = &self.desk;
        match page {
            Page::Loader => {
                let key = loader::public_key(params.get("script"))
                    .and_then(PublicKey::parse)
                    .and_then(|public| desk.store.snapshot().key(&public))
                    .filter(|key| key.is_valid(request.received));
                let bundle_url = desk.loader_bundle_url.as_ref();
                responder.respond(loader::script(key.as_deref(), &desk.url_prefix, bundle_url));
            }
            Page::Live => responder.respond(cors::expose(health::answer(true))),
            Page::Ready => {
                let is_ready = self.phase.hindrance().is_none() && desk.store.hindrance().is_none();
                responder.respond(cors::expose(health::answer(is_ready)));
            }
            Page::Dialog => desk.dialog(request, responder),
        }
    }

    /// The stages up to the body, in the order of design 2.
    fn take(
        &self,
        endpoint: Endpoint,
        params: &Params,
        mut request: Request,
        responder: Responder,
    ) {
        let endpoint = endpoint.of(&request);
        let who = match self.desk.authenticate(endpoint, params, &request) {
            Ok(who) => who,
            Err(refusal) => return responder.respond(refusal.answer()),
        };
        if let Err(refusal) = self.desk.admit() {
            return responder.respond(refusal.answer());
        }
        let sent = arrival::sent(&mut request);
        let arrival = Arrival {
            who,
            endpoint,
            params: params.clone(),
            request,
            sent,
            responder,
        };
        if arrival.endpoint == Endpoint::Playstation
            && let Some(answer) = uploads::playstation::data_request(&arrival.request)
        {
            return arrival.responder.respond(cors::expose(answer));
        }
        if let Err(refusal) = filters::origin(&arrival.who.project, &arrival.request) {
            return self.desk.refuse(arrival, refusal);
        }
        match arrival.in_memory(&self.desk) {
            Err(refusal) => self.desk.refuse(arrival, refusal),
            Ok(None) => self.large.push(arrival),
            Ok(Some(body)) => {
                let body = Payload::Memory(body);
                let plan = self.desk.plan(&arrival, &body, false);
                drop(body);
                self.desk.submit(arrival, plan);
            }
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
