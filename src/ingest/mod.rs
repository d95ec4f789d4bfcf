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
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
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
mod routes;
mod rules;
mod scrub;
mod sort;
mod source;
mod uploads;

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::bundle_url::BundleUrl;
use crate::domain::category::Category;
use crate::domain::dsn::UrlPrefix;
use crate::domain::event_id::EventId;
use crate::domain::id::ProjectId;
use crate::domain::key::PublicKey;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Router};
use crate::http::{Body, Method, Request, Responder, Response};
use crate::store::Store;
use crate::store::snapshot::{KeyState, ProjectState};
use auth::Credentials;
use intake::Intake;
use large::LargeRequests;
use pack::Packer;
use pages::dialog::{self, Refused};
use pages::{health, loader};
use parcel::{Item, Parcel};
use plan::Plan;
pub(crate) use refusal::Refusal;
use reply::Reply;
pub(crate) use routes::owns;
use routes::{Endpoint, Page, Target};
use rules::Rules;
use sort::Sorted;
use source::{Payload, SpoolDir, Spooled};

/// The crash-report dialog's own path: pages ask for leave there in another way than elsewhere.
const DIALOG: &str = "/api/embed/error-page/";

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
    /// How clients reach this server.
    pub(crate) url_prefix: UrlPrefix,
    /// Where the JavaScript loader gets the SDK from.
    pub(crate) loader_bundle_url: Option<BundleUrl>,
}

/// The front for SDKs.
pub(crate) struct Ingest {
    router: Router<Target>,
    desk: Arc<Desk>,
    large: LargeRequests,
}

/// What the stages need beside the request.
struct Desk {
    store: Arc<Store>,
    spool: SpoolDir,
    body_bytes_max: u64,
    url_prefix: UrlPrefix,
    loader_bundle_url: Option<BundleUrl>,
}

/// A request of a known project on its way.
struct Arrival {
    who: Authenticated,
    endpoint: Endpoint,
    params: Params,
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
            url_prefix: settings.url_prefix,
            loader_bundle_url: settings.loader_bundle_url,
        });
        Ok(Ingest {
            router: Router::new(routes::routes()),
            large: LargeRequests::start(&desk)?,
            desk,
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
                    .and_then(|public| desk.store.snapshot().key(&public));
                let bundle_url = desk.loader_bundle_url.as_ref();
                responder.respond(loader::script(key.as_deref(), &desk.url_prefix, bundle_url));
            }
            Page::Health => {
                let answer = health::answer(desk.store.writer().is_healthy());
                responder.respond(cors::expose(answer));
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
        let who = match self.desk.authenticate(endpoint, params, &request) {
            Ok(who) => who,
            Err(refusal) => return responder.respond(refusal.answer()),
        };
        let sent = sent(&mut request);
        let arrival = Arrival {
            who,
            endpoint: endpoint.of(&request),
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
                let plan = self.desk.plan(&arrival, &body);
                drop(body);
                self.desk.submit(arrival, plan);
            }
        }
    }
}

impl Desk {
    /// The crash-report dialog: its script, or the report that its form sends.
    fn dialog(&self, mut request: Request, responder: Responder) {
        let found = dialog::subject(&request).and_then(|subject| {
            self.find(&subject.public, Some(subject.project), request.received)
                .map(|who| (subject.event, who))
                .map_err(|_| Refused::Dsn)
        });
        let (event, who) = match found {
            Ok(found) => found,
            Err(refused) => return responder.respond(refused.answer(&request)),
        };
        let may_ask = filters::origin(&who.project, &request);
        if request.method != Method::Post {
            return responder.respond(match may_ask {
                Ok(()) => dialog::open(&request, &self.url_prefix),
                Err(_) => Refused::Origin.answer(&request),
            });
        }
        let mut plan = Plan::default();
        let answer = match may_ask.map_err(|_| Refused::Origin).and_then(|()| {
            let body = sent(&mut request);
            dialog::parcel(
                event,
                &body
                    .slice(0, dialog::BODY_BYTES_MAX)
                    .bytes()
                    .unwrap_or_default(),
            )
        }) {
            Err(Refused::Origin) => {
                plan = Plan::refused(Refusal::Origin, Category::Default, &who);
                Refused::Origin.answer(&request)
            }
            Err(refused) => return responder.respond(refused.answer(&request)),
            Ok(parcel) => {
                let Some(rules) = who.project.compiled(Rules::compile) else {
                    return responder.respond(Refusal::Internal.answer());
                };
                let mut packer = Packer::new(&self.store);
                let mut intake = Intake::new(&who, &request, rules, &mut packer, &mut plan);
                if let Err(Fault::Whole(refusal)) = take_parcel(parcel, &mut intake) {
                    return responder.respond(refusal.answer());
                }
                dialog::thanks(&request)
            }
        };
        plan.answer_with(answer);
        plan.submit(&self.store, who, responder, Reply::Empty(200), false);
    }

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
            arrival.read(body, self, &mut intake)
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
        let credentials = match auth::credentials(request, params.find("key"))? {
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
        self.find(&public, named, request.received)
    }

    /// The active key of this public half. `named` is the project that must have it.
    fn find(
        &self,
        public: &PublicKey,
        named: Option<u64>,
        received: Timestamp,
    ) -> Result<Authenticated, Refusal> {
        let snapshot = self.store.snapshot();
        let key = snapshot
            .key(public)
            .filter(|key| key.active && named.is_none_or(|id| is_project(key.project, id)))
            .ok_or(Refusal::UnknownKey)?;
        let project = snapshot.project(key.project).ok_or(Refusal::UnknownKey)?;
        Ok(Authenticated {
            key,
            project,
            received,
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
    fn read(
        &self,
        body: &Payload<'_>,
        desk: &Desk,
        intake: &mut Intake<'_, '_>,
    ) -> Result<(), Fault> {
        let (request, spool) = (&self.request, &desk.spool);
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
            Endpoint::Minidump => {
                let limits = uploads::Limits {
                    attachment_bytes_max: desk.body_bytes_max,
                };
                take_parcel(
                    uploads::minidump::parcel(body, request, spool, limits)?,
                    intake,
                )
            }
            Endpoint::Attachments => {
                let event_id = self.params.get("event_id");
                let parcel = uploads::attachments::parcel(event_id, body, request, spool)?;
                take_parcel(parcel, intake)
            }
            Endpoint::Playstation => {
                take_parcel(uploads::playstation::parcel(body, request, spool)?, intake)
            }
            endpoint => {
                let bytes = body.bytes().map_err(|e| Refusal::unreadable(&e))?;
                for parcel in self.parcels(endpoint, &bytes, desk.body_bytes_max)? {
                    take_parcel(parcel, intake)?;
                }
                Ok(())
            }
        }
    }

    /// The items of an endpoint whose body is small or of one piece.
    fn parcels(
        &self,
        endpoint: Endpoint,
        body: &[u8],
        files_bytes_max: u64,
    ) -> Result<Vec<Parcel<'static>>, Refusal> {
        let request = &self.request;
        match endpoint {
            Endpoint::Security => endpoints::security::parcels(body, request),
            Endpoint::Nel => endpoints::nel::parcels(body, request),
            Endpoint::Unreal => endpoints::unreal::parcels(body, files_bytes_max, request),
            Endpoint::Cron => endpoints::cron::parcels(body, self.params.get("slug"), request),
            Endpoint::OtlpTraces => endpoints::otlp::traces(body, request),
            Endpoint::OtlpLogs => endpoints::otlp::logs(body, request),
            Endpoint::VercelLogs => endpoints::vercel::parcels(body, request),
            Endpoint::HerokuLogs => endpoints::heroku::parcels(body, request),
            _ => Err(Refusal::Internal),
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
