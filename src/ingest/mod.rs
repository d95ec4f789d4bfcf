//! Ingestion: what SDKs send through a DSN.
//!
//! [`Ingest::handle`] is the way of a request (design 2): route, authenticate the key, origin, decode, parse into
//! items, then decide about each item, and hand one job to the writer. Nothing before the writer touches SQLite,
//! no worker waits for a commit, and an answer that tells an outcome leaves only after the transaction with its
//! rows is durable.
//!
//! A request that is larger than 1 MiB, sent or decoded, goes to threads of its own, where payloads lie in files:
//! there are few of them, so any number of uploads at once costs disk and time, but no memory and no worker.
//!
//! Stages work on bytes and values. Every item that goes no further leaves its outcome in the plan; a request
//! of a known project that is refused before its items are known counts as one item.

mod auth;
mod client_report;
mod container;
mod cors;
mod decode;
mod endpoints;
mod envelope;
mod fields;
mod filters;
mod intake;
mod items;
mod json;
mod large;
mod meta;
mod normalise;
mod pack;
mod pages;
mod parcel;
mod payload;
mod plan;
mod profile;
mod refusal;
mod reply;
mod rules;
mod scrub;
mod sort;
mod source;
mod uploads;

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::category::Category;
use crate::domain::event_id::EventId;
use crate::domain::id::ProjectId;
use crate::domain::key::PublicKey;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Route, Router};
use crate::http::{Body, Method, Request, Responder, Response};
use crate::store::Store;
use crate::store::snapshot::{KeyState, ProjectState};
use auth::Credentials;
use intake::Intake;
use large::LargeRequests;
use pack::Packer;
use parcel::{Item, Parcel};
use plan::Plan;
pub(crate) use refusal::Refusal;
use reply::Reply;
use rules::Rules;
use sort::Sorted;
use source::{Payload, SpoolDir, Spooled};

/// How a request is read into items, and what it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Envelope,
    Store,
    /// The store endpoint for pages that can only ask for a picture.
    StorePicture,
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
        route("GET", "/api/{project}/store/", Endpoint::StorePicture),
        route("POST", "/api/store/", Endpoint::Store),
        route("GET", "/api/store/", Endpoint::StorePicture),
    ]
}

/// A request whose key, project and origin are known to be good.
struct Authenticated {
    key: Arc<KeyState>,
    project: Arc<ProjectState>,
    received: Timestamp,
}

/// What the front was told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bounds a decoded body.
    pub(crate) body_bytes_max: u64,
    /// Where large payloads lie while they are worked on.
    pub(crate) spool_dir: PathBuf,
}

/// The front for SDKs.
pub(crate) struct Ingest {
    router: Router<(Permission, Endpoint)>,
    desk: Arc<Desk>,
    large: LargeRequests,
}

/// What the stages need beside the request.
struct Desk {
    store: Arc<Store>,
    spool: SpoolDir,
    body_bytes_max: u64,
}

/// A request of a known project on its way.
struct Arrival {
    who: Authenticated,
    endpoint: Endpoint,
    /// Without its body.
    request: Request,
    sent: Payload<'static>,
    responder: Responder,
}

impl Ingest {
    /// # Errors
    /// The threads for large requests could not be started.
    pub(crate) fn start(store: Arc<Store>, settings: Settings) -> std::io::Result<Ingest> {
        let desk = Arc::new(Desk {
            store,
            spool: SpoolDir::new(&settings.spool_dir),
            body_bytes_max: settings.body_bytes_max,
        });
        Ok(Ingest {
            router: Router::new(routes()),
            large: LargeRequests::start(&desk)?,
            desk,
        })
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

    /// The stages up to the body, in the order of design 2.
    fn take(
        &self,
        endpoint: Endpoint,
        params: &Params,
        mut request: Request,
        responder: Responder,
    ) {
        let who = match self.desk.authenticate(endpoint, params, &request) {
            Ok(who) => who,
            Err(refusal) => return responder.respond(refusal.answer()),
        };
        let sent = sent(&mut request);
        let arrival = Arrival {
            who,
            endpoint: endpoint.of(&request),
            request,
            sent,
            responder,
        };
        if let Err(refusal) = filters::origin(&arrival.who.project, &arrival.request) {
            return self.desk.refuse(arrival, refusal);
        }
        match arrival.in_memory(&self.desk) {
            Err(refusal) => self.desk.refuse(arrival, refusal),
            Ok(None) => self.large.push(arrival),
            Ok(Some(body)) => {
                let body = Payload::Memory(body);
                let plan = self.desk.plan(&arrival, &body);
                drop(body);
                self.desk.submit(arrival, plan);
            }
        }
    }
}

impl Desk {
    /// The rest of the way of a request that is too large for a worker.
    fn take_large(&self, mut arrival: Arrival) {
        let sent = std::mem::replace(&mut arrival.sent, Payload::borrowed(b""));
        let bytes_max = arrival.endpoint.body_bytes_max(self.body_bytes_max);
        match decode::spooled(&arrival.request, sent, bytes_max, &self.spool) {
            Err(refusal) => self.refuse(arrival, refusal),
            Ok(body) => {
                let plan = self.plan(&arrival, &body);
                self.submit(arrival, plan);
            }
        }
    }

    fn refuse(&self, arrival: Arrival, refusal: Refusal) {
        let plan = arrival.refused(refusal);
        self.submit(arrival, plan);
    }

    fn submit(&self, arrival: Arrival, plan: Plan) {
        let endpoint = arrival.endpoint;
        plan.submit(
            &self.store,
            arrival.who,
            arrival.responder,
            endpoint.reply(),
            endpoint.says_429(),
        );
    }

    /// What becomes of a request whose body is decoded.
    fn plan(&self, arrival: &Arrival, body: &Payload<'_>) -> Plan {
        let Some(rules) = arrival.who.project.compiled(Rules::compile) else {
            return arrival.refused(Refusal::Internal);
        };
        let mut plan = Plan::default();
        let mut packer = Packer::new(&self.store);
        let taken = {
            let mut intake = Intake::new(
                &arrival.who,
                &arrival.request,
                rules,
                &mut packer,
                &mut plan,
            );
            arrival.read(body, &mut intake)
        };
        plan.begun(packer.begun());
        match taken {
            Ok(()) => plan,
            Err(Fault::Whole(refusal)) => {
                plan.give_up(&self.store, &arrival.who);
                arrival.refused(refusal)
            }
            Err(Fault::TooLarge(too_large)) => {
                plan.give_up(&self.store, &arrival.who);
                let refusal = Refusal::TooLarge(too_large.group);
                Plan::dropped(refusal, &too_large.dropped, &arrival.who)
            }
        }
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

/// Why nothing of a request is taken.
enum Fault {
    Whole(Refusal),
    TooLarge(sort::TooLarge),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Whole(refusal)
    }
}

impl Arrival {
    /// The decoded body, if it is small.
    fn in_memory(&self, desk: &Desk) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        if self.endpoint == Endpoint::StorePicture {
            let data = self.request.query_value("sentry_data").unwrap_or_default();
            return Ok(Some(Cow::Owned(data.into_bytes())));
        }
        match &self.sent {
            Payload::Memory(sent) => {
                let bytes_max = self.endpoint.body_bytes_max(desk.body_bytes_max);
                decode::in_memory(&self.request, sent, bytes_max)
            }
            Payload::Spooled(_) => Ok(None),
        }
    }

    /// The plan for a request that was refused before its items were known.
    fn refused(&self, refusal: Refusal) -> Plan {
        let refusal = self.endpoint.name_limit(refusal);
        Plan::refused(refusal, self.endpoint.category(), &self.who)
    }

    /// Reads the body into items and lets the intake decide about them.
    fn read(&self, body: &Payload<'_>, intake: &mut Intake<'_, '_>) -> Result<(), Fault> {
        match self.endpoint {
            Endpoint::Envelope => self.read_envelope(body, intake),
            Endpoint::Store | Endpoint::StorePicture => {
                let bytes = body.bytes().map_err(|e| Refusal::unreadable(&e))?;
                let json = payload::of_store_body(&bytes)?;
                if json.len() as u64 > items::EVENT_BYTES_MAX {
                    return Err(Refusal::RequestTooLarge.into());
                }
                let (kind, id) = payload::of_store_event(&json)?;
                let parcel = Parcel {
                    id: Some(id.unwrap_or_else(EventId::random)),
                    sent_us: None,
                    items: vec![Item::new(kind, Payload::Memory(json))],
                };
                take_parcel(parcel, intake)
            }
        }
    }

    fn read_envelope(&self, body: &Payload<'_>, intake: &mut Intake<'_, '_>) -> Result<(), Fault> {
        let mut sorted = Sorted::default();
        let header = envelope::parse(body, &mut |item| sorted.add(item))?;
        auth::agree(&header, &self.who, &self.request)?;
        if let Some(too_large) = sorted.too_large {
            return Err(Fault::TooLarge(too_large));
        }
        let sent_us = header.sent.map(Timestamp::us);
        intake.take(sorted.finish(), header.event_id, sent_us)?;
        Ok(())
    }
}

fn take_parcel(parcel: Parcel<'_>, intake: &mut Intake<'_, '_>) -> Result<(), Fault> {
    let mut sorted = Sorted::default();
    for item in parcel.items {
        sorted.add(item);
    }
    if let Some(too_large) = sorted.too_large {
        return Err(Fault::TooLarge(too_large));
    }
    intake.take(sorted.finish(), parcel.id, parcel.sent_us)?;
    Ok(())
}

/// The body as it was sent, out of the request.
fn sent(request: &mut Request) -> Payload<'static> {
    match std::mem::replace(&mut request.body, Body::empty()) {
        Body::Memory(bytes) => Payload::owned(bytes),
        Body::File { file, bytes } => Payload::Spooled(Spooled {
            file: Arc::<File>::new(file),
            offset: 0,
            len: bytes,
        }),
    }
}

impl Endpoint {
    /// A store request may declare its body to be an envelope (facts/ingestion.md 1.3).
    fn of(self, request: &Request) -> Endpoint {
        match request.headers.get("content-type") {
            Some("application/x-sentry-envelope") if self == Endpoint::Store => Endpoint::Envelope,
            _ => self,
        }
    }

    /// What a request counts as that is refused before its items are known (design 1).
    fn category(self) -> Category {
        match self {
            Endpoint::Envelope => Category::Default,
            Endpoint::Store | Endpoint::StorePicture => Category::Error,
        }
    }

    /// How many bytes a decoded body may have. `all` bounds every body.
    fn body_bytes_max(self, all: u64) -> u64 {
        match self {
            Endpoint::Envelope => all,
            Endpoint::Store | Endpoint::StorePicture => items::EVENT_BYTES_MAX.min(all),
        }
    }

    /// What is answered when the request was taken.
    fn reply(self) -> Reply {
        match self {
            Endpoint::Envelope | Endpoint::Store => Reply::Id,
            Endpoint::StorePicture => Reply::Picture,
        }
    }

    /// Whether a used-up limit that left nothing of a request is told as a 429.
    fn says_429(self) -> bool {
        true
    }

    /// A store request is one event, so its limit is the event's.
    fn name_limit(self, refusal: Refusal) -> Refusal {
        match (self, refusal) {
            (Endpoint::Store | Endpoint::StorePicture, Refusal::RequestTooLarge) => {
                Refusal::TooLarge("event")
            }
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
