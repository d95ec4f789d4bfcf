//! The front for who watches the server: health for load balancers, metrics for Prometheus, and the other end of
//! `picket doctor`.
//!
//! Answers come from memory, on the connection's own thread: also when every worker is busy. A stranger hears that the
//! server is there, and why it does no work if it does none, and nothing else: metrics are for who comes by the address
//! that was set for them or brings their token, and what `picket doctor` asks is told to whoever can read the database.

mod exposition;
mod metrics;
mod process;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::readiness::Phase;
use crate::domain::seal::{self, Seal};
use crate::domain::time::Timestamp;
use crate::http::credentials::Credentials;
use crate::http::{Meter, Method, Request, Response};
use crate::identity::Identity;
use crate::outbound::mail::Mailer;
use crate::store::Store;
use crate::store::space::Space;

/// A measurement of the file is shown for so long.
const SPACE_FRESH_FOR: Duration = Duration::from_secs(5);

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The public address.
    Public,
    /// The address for who watches.
    Side,
}

/// What the front was told at its start.
pub(crate) struct Settings {
    /// What must be brought to see metrics, at either door. Without it they are shown at the side door alone.
    pub(crate) metrics_token: Option<String>,
    /// The longest body that the server takes, for `picket doctor`.
    pub(crate) body_bytes_max: u64,
}

/// The front.
pub(crate) struct Watch {
    store: Arc<Store>,
    identity: Arc<Identity>,
    mailer: Arc<Mailer>,
    phase: Phase,
    seal: Seal,
    settings: Settings,
    started: Timestamp,
    /// Known as soon as the transport runs.
    meter: OnceLock<Meter>,
    space: Mutex<Option<(Instant, Space)>>,
}

/// What a path of this front is for.
enum Page {
    Live,
    Ready,
    /// What Sentry answers to load balancers.
    Ok,
    Metrics,
}

fn page(path: &str) -> Option<Page> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/health/live" => Some(Page::Live),
        "/health/ready" => Some(Page::Ready),
        "/_health" => Some(Page::Ok),
        "/metrics" => Some(Page::Metrics),
        _ => None,
    }
}

/// Whether a path of the public address is this front's.
pub(crate) fn owns(path: &str) -> bool {
    page(path).is_some()
}

impl Watch {
    pub(crate) fn new(
        store: Arc<Store>,
        identity: Arc<Identity>,
        mailer: Arc<Mailer>,
        phase: Phase,
        settings: Settings,
        started: Timestamp,
    ) -> Watch {
        Watch {
            seal: store.seal(),
            store,
            identity,
            mailer,
            phase,
            settings,
            started,
            meter: OnceLock::new(),
            space: Mutex::default(),
        }
    }

    /// Tells where the transport's counters are.
    pub(crate) fn attach(&self, meter: Meter) {
        // There is one transport.
        let _ = self.meter.set(meter);
    }

    pub(crate) fn answer(&self, request: &Request, door: Door) -> Response {
        let Some(page) = page(&request.path) else {
            return Response::text(404, "Not found\n");
        };
        if let Page::Metrics = page
            && door == Door::Public
            && self.settings.metrics_token.is_none()
        {
            return Response::text(404, "Not found\n");
        }
        if !matches!(request.method, Method::Get | Method::Head) {
            return Response::empty(405).with_header("Allow", "GET");
        }
        match page {
            Page::Live => self.live(request),
            Page::Ready => self.ready(),
            Page::Ok => Response::text(200, "ok"),
            Page::Metrics if self.may_see_metrics(request) => {
                Response::bytes(200, exposition::CONTENT_TYPE, self.metrics().into_bytes())
            }
            Page::Metrics => Response::text(401, "The token of the metrics is needed\n")
                .with_header("WWW-Authenticate", "Bearer realm=\"metrics\""),
        }
        .with_header("Cache-Control", "no-store")
    }

    fn live(&self, request: &Request) -> Response {
        let mut body = json!({ "status": "live" });
        if let Some(question) = request.headers.get(seal::FIELD)
            && let Some(answer) = self.seal.answer(question)
        {
            body["doctor"] = self.seen(request, &answer);
        }
        Response::json(200, &body)
    }

    /// How the request looked from here, for `picket doctor`.
    fn seen(&self, request: &Request, proof: &str) -> Value {
        let field = |name| request.headers.get(name);
        json!({
            "proof": proof,
            "version": env!("CARGO_PKG_VERSION"),
            "client": request.peer.to_string(),
            "host": field("host"),
            "forwarded_for": field("x-forwarded-for"),
            "forwarded_proto": field("x-forwarded-proto"),
            "body_bytes_max": self.settings.body_bytes_max,
        })
    }

    fn ready(&self) -> Response {
        let reasons: Vec<&str> = self.hindrances().collect();
        match reasons.is_empty() {
            true => Response::json(200, &json!({ "status": "ready", "reasons": reasons })),
            false => Response::json(503, &json!({ "status": "not_ready", "reasons": reasons }))
                .with_header("Retry-After", "5"),
        }
    }

    fn hindrances(&self) -> impl Iterator<Item = &'static str> {
        let phase = self.phase.hindrance();
        phase.into_iter().chain(self.store.hindrance())
    }

    fn may_see_metrics(&self, request: &Request) -> bool {
        let Some(token) = &self.settings.metrics_token else {
            return true;
        };
        match Credentials::read(&request.headers) {
            // Hashes take the same time to compare wherever they differ: who guesses cannot choose them.
            Credentials::Bearer(given) => Sha256::digest(given) == Sha256::digest(token),
            _ => false,
        }
    }

    /// What the file takes, measured at most every few seconds. None: it could not be measured.
    fn space(&self) -> Option<Space> {
        let mut known = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, space)) = *known
            && at.elapsed() < SPACE_FRESH_FOR
        {
            return Some(space);
        }
        // On a thread with a stack of ordinary size: SQLite is asked.
        let measured = thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || self.store.space());
            thread.map(thread::ScopedJoinHandle::join)
        });
        match measured {
            Ok(Ok(Ok(space))) => {
                *known = Some((Instant::now(), space));
                Some(space)
            }
            Ok(Ok(Err(error))) => {
                log::warn!("the file's size cannot be measured: {error}");
                None
            }
            Ok(Err(_)) | Err(_) => {
                log::warn!("the file's size cannot be measured: there was no thread for it");
                None
            }
        }
    }
}
