//! What happens to requests once the routes have told them apart: whose they are, what becomes of them, and where
//! the answer comes from.

use std::sync::Arc;

use super::arrival::{self, Arrival, Fault, take_parcel};
use super::auth::{self, Credentials};
use super::intake::Intake;
use super::news::Sdk;
use super::pack::Packer;
use super::pages::dialog::{self, Refused};
use super::plan::Plan;
use super::reply::Reply;
use super::routes::Endpoint;
use super::rules::Rules;
use super::source::{Payload, SpoolDir};
use super::{Authenticated, Refusal, decode, filters, is_project};
use crate::domain::bundle_url::BundleUrl;
use crate::domain::category::Category;
use crate::domain::dsn::UrlPrefix;
use crate::domain::key::PublicKey;
use crate::domain::time::Timestamp;
use crate::http::router::Params;
use crate::http::{Method, Request, Responder};
use crate::store::Store;

/// What the stages need beside the request.
pub(super) struct Desk {
    pub(super) store: Arc<Store>,
    pub(super) spool: SpoolDir,
    pub(super) body_bytes_max: u64,
    pub(super) url_prefix: UrlPrefix,
    pub(super) loader_bundle_url: Option<BundleUrl>,
}

impl Desk {
    /// The crash-report dialog: its script, or the report that its form sends.
    pub(super) fn dialog(&self, mut request: Request, responder: Responder) {
        let found = dialog::subject(&request).and_then(|subject| {
            self.find(&subject.public, Some(subject.project), request.received)
                .map(|who| (subject.event, who))
                .map_err(|_| Refused::Dsn)
        });
        let (event, who) = match found {
            Ok(found) => found,
            Err(refused) => return responder.respond(refused.answer(&request)),
        };
        let is_form = request.method == Method::Post;
        if let (true, Err(refusal)) = (is_form, self.admit()) {
            return responder.respond(refusal.answer());
        }
        let plan = match filters::origin(&who.project, &request) {
            Err(_) if !is_form => return responder.respond(Refused::Origin.answer(&request)),
            Err(refusal) => {
                let mut plan = Plan::refused(refusal, Category::Default, &who);
                plan.answer_with(Refused::Origin.answer(&request));
                plan
            }
            Ok(()) if !is_form => {
                return responder.respond(dialog::open(&request, &self.url_prefix));
            }
            Ok(()) => {
                let form = arrival::sent(&mut request);
                let form = form.slice(0, dialog::BODY_BYTES_MAX);
                let parcel = match form.bytes().map(|form| dialog::parcel(event, &form)) {
                    Ok(Ok(parcel)) => parcel,
                    Ok(Err(refused)) => return responder.respond(refused.answer(&request)),
                    Err(error) => return responder.respond(Refusal::unreadable(&error).answer()),
                };
                let refused = |refusal| Plan::refused(refusal, Category::Feedback, &who);
                let packer = Packer::new(&self.store, false);
                let mut plan = self.decide(&who, &request, packer, refused, |intake| {
                    take_parcel(parcel, intake)
                });
                if plan.is_taken() {
                    plan.answer_with(dialog::thanks(&request));
                }
                plan
            }
        };
        plan.submit(&self.store, who, responder, Reply::Empty(200), false);
    }

    /// The rest of the way of a request that is too large for a worker.
    pub(super) fn take_large(&self, mut arrival: Arrival) {
        let sent = std::mem::replace(&mut arrival.sent, Payload::borrowed(b""));
        let bytes_max = arrival.endpoint.body_bytes_max(self.body_bytes_max);
        match decode::spooled(&arrival.request, sent, bytes_max, &self.spool) {
            Err(refusal) => self.refuse(arrival, refusal),
            Ok(body) => {
                let plan = self.plan(&arrival, &body, true);
                self.submit(arrival, plan);
            }
        }
    }

    pub(super) fn refuse(&self, arrival: Arrival, refusal: Refusal) {
        let plan = arrival.refused(refusal);
        self.submit(arrival, plan);
    }

    pub(super) fn submit(&self, arrival: Arrival, plan: Plan) {
        let endpoint = arrival.endpoint;
        plan.submit(
            &self.store,
            arrival.who,
            arrival.responder,
            endpoint.reply(),
            endpoint.says_429(),
        );
    }

    /// What becomes of a request whose body is decoded. `may_wait`: this is a thread for large requests.
    pub(super) fn plan(&self, arrival: &Arrival, body: &Payload<'_>, may_wait: bool) -> Plan {
        let refused = |refusal| arrival.refused(refusal);
        let packer = Packer::new(&self.store, may_wait);
        self.decide(&arrival.who, &arrival.request, packer, refused, |intake| {
            arrival.read(body, self, intake)
        })
    }

    /// The plan for what `read` gives to the intake, or what `refused` makes of a refusal.
    fn decide(
        &self,
        who: &Authenticated,
        request: &Request,
        mut packer: Packer<'_>,
        refused: impl Fn(Refusal) -> Plan,
        read: impl FnOnce(&mut Intake<'_, '_>) -> Result<(), Fault>,
    ) -> Plan {
        let Some(rules) = who.project.compiled(Rules::compile) else {
            return refused(Refusal::Internal);
        };
        let mut plan = Plan::default();
        let taken = read(&mut Intake::new(
            who,
            request,
            rules,
            &mut packer,
            &mut plan,
        ));
        plan.begun(packer.begun());
        match taken {
            Ok(()) => plan,
            Err(Fault::Whole(refusal)) => {
                plan.give_up(&self.store, who);
                refused(refusal)
            }
            Err(Fault::TooLarge(too_large)) => {
                plan.give_up(&self.store, who);
                let refusal = Refusal::TooLarge(too_large.name);
                Plan::dropped(refusal, &too_large.dropped, who)
            }
        }
    }

    pub(super) fn authenticate(
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
        let named = params.find("project").map(project_id).transpose()?;
        let found = self.find(&public, named, request.received)?;
        Ok(Authenticated {
            sdk: credentials.sdk,
            ..found
        })
    }

    /// Whether anything is taken now: not while the disk is full, or as good as.
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        self.store
            .health()
            .admit()
            .map_err(|trouble| Refusal::Unavailable {
                retry_after_secs: trouble.retry_after_secs(),
            })
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
            .filter(|key| {
                key.is_valid(received) && named.is_none_or(|id| is_project(key.project, id))
            })
            .ok_or(Refusal::UnknownKey)?;
        let project = snapshot.project(key.project).ok_or(Refusal::UnknownKey)?;
        Ok(Authenticated {
            key,
            project,
            received,
            sdk: Sdk::NONE,
        })
    }
}

/// The number of a project in a path: digits alone.
fn project_id(text: &str) -> Result<u64, Refusal> {
    if text.starts_with('+') {
        return Err(Refusal::BadProject(
            "invalid digit found in string".to_owned(),
        ));
    }
    text.parse::<u64>()
        .map_err(|error| Refusal::BadProject(error.to_string()))
}
