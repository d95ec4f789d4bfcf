//! Joins settings, store, clock and the fronts, and starts the server.
//!
//! The order of a start: the file (lock, migrations), the public address, the transport, then what the apply
//! file or the first start brings, then the background. The order of a stop: the transport (nobody is accepted, what
//! is in flight finishes), the background, mail, then the store (what is queued is committed, the write-ahead log is
//! emptied).

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{self, Api};
use crate::apply;
use crate::domain::address_range::AddressRange;
use crate::domain::bundle_url::BundleUrl;
use crate::domain::dsn::UrlPrefix;
use crate::domain::durability::Durability;
use crate::domain::mail::MailSettings;
use crate::domain::option::Budget;
use crate::domain::outbound::OutboundSettings;
use crate::domain::readiness::Phase;
use crate::domain::time::{Clock, Timestamp};
use crate::first_start::{self, FirstStart};
pub use crate::http::AccessLogTo;
use crate::http::{
    AccessLog, Class, Front, LaneSet, Listeners, Method, Refusal, Request, Responder, Response,
    Server, Service, Settings as HttpSettings, Side, Tls, Watching,
};
use crate::identity::Identity;
use crate::ingest::{self, Ingest};
use crate::jobs::{Jobs, Retention};
use crate::outbound::http::Client;
use crate::outbound::mail::Mailer;
use crate::store::Store;
use crate::store::connection::directory_of;
use crate::watch::{self, Door, Watch};
use crate::web::Web;

/// What a start needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    /// A socket that listens already takes the place of the address.
    pub listener: Option<Arc<TcpListener>>,
    pub data: PathBuf,
    /// How clients see the server; follows the bound address when none is given.
    pub url_prefix: Option<UrlPrefix>,
    /// What the file describes is created before the first request.
    pub apply: Option<ApplyFile>,
    pub durability: Durability,
    /// Of an envelope, decoded.
    pub body_bytes_max: u64,
    /// Where the JavaScript loader gets the SDK from; without it the loader does nothing.
    pub loader_bundle_url: Option<BundleUrl>,
    pub ingest_workers: usize,
    pub api_workers: usize,
    /// Whether a client may call the management API only so often.
    pub api_rate_limits: bool,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Request bodies held at one time, of all connections together.
    pub inbound_bytes_max: u64,
    /// With these, TLS is spoken on `listen`.
    pub tls: Option<TlsFiles>,
    /// Requests that come here are sent on to the URL prefix.
    pub redirect_http: Option<SocketAddr>,
    /// Who is believed about whom a request comes from.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long entries of the audit log are kept; 0 is for ever.
    pub audit_retention_days: u32,
    /// After how many days what clients sent is removed; 0 is never.
    pub event_retention_days: u32,
    /// How much of what clients sent is kept, in bytes.
    pub max_events_size: Option<u64>,
    /// No events are taken while less of the disk is free, in bytes. None: 256 MiB, or a twentieth of a small one.
    pub min_free_disk: Option<u64>,
    /// How mail is sent; none is without this.
    pub mail: Option<MailSettings>,
    /// What may be asked of other servers.
    pub outbound: OutboundSettings,
    /// An address of its own for health and metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Who brings it sees the metrics. Without it they are at `metrics_listen` alone, for everybody.
    pub metrics_token: Option<String>,
    /// Where a line goes for every request.
    pub access_log: Option<AccessLogTo>,
}

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// An apply file that was read.
#[derive(Clone, Debug)]
pub struct ApplyFile {
    /// For messages.
    pub name: String,
    pub text: String,
}

impl Settings {
    /// The defaults, for a database and an address.
    pub fn new(listen: SocketAddr, data: &Path) -> Settings {
        let http = HttpSettings::default();
        Settings {
            listen,
            listener: None,
            data: data.to_owned(),
            url_prefix: None,
            apply: None,
            durability: Durability::Full,
            body_bytes_max: 40 << 20,
            loader_bundle_url: None,
            ingest_workers: http.ingest_workers,
            api_workers: http.general_workers,
            api_rate_limits: true,
            connections_max: http.connections_max,
            connections_per_address_max: http.per_address_max,
            inbound_bytes_max: http.inbound_bytes_max,
            tls: None,
            redirect_http: None,
            trusted_proxies: http.trusted_proxies,
            proxy_protocol: http.proxy_protocol,
            audit_retention_days: 365,
            event_retention_days: 90,
            max_events_size: None,
            min_free_disk: None,
            mail: None,
            outbound: OutboundSettings::default(),
            metrics_listen: None,
            metrics_token: None,
            access_log: None,
        }
    }
}

/// Why the server did not start: one sentence, or several about an apply file.
#[derive(Debug)]
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    Plain(String),
    ApplyFile(apply::NotApplied),
}

impl StartError {
    fn plain(text: impl fmt::Display) -> StartError {
        StartError(Reason::Plain(text.to_string()))
    }

    /// Why the apply file was not applied, if that is the reason.
    pub(crate) fn not_applied(&self) -> Option<&apply::NotApplied> {
        match &self.0 {
            Reason::ApplyFile(error) => Some(error),
            Reason::Plain(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Plain(text) => f.write_str(text),
            Reason::ApplyFile(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// A running server.
pub struct App {
    server: Server,
    tls: Option<Arc<Tls>>,
    redirect_addr: Option<SocketAddr>,
    side: Option<Side>,
    access_log: Option<Arc<AccessLog>>,
    phase: Phase,
    jobs: Jobs,
    mailer: Arc<Mailer>,
    store: Arc<Store>,
    identity: Arc<Identity>,
    clock: Clock,
    url_prefix: UrlPrefix,
    applied: Option<apply::Report>,
    first_start: Option<FirstStart>,
}

impl App {
    /// # Errors
    /// The file cannot be used, the address cannot be bound, or the apply file is wrong.
    pub fn start(settings: Settings, clock: Clock) -> Result<App, StartError> {
        let failed = |error: &dyn fmt::Display| StartError::plain(error);
        let started = clock.now();
        let phase = Phase::default();
        let tls = match &settings.tls {
            Some(files) => {
                let tls = Tls::load(&files.cert, &files.key).map_err(StartError::plain)?;
                Some(Arc::new(tls))
            }
            None => None,
        };
        let access_log = settings.access_log.as_ref().map(open_access_log);
        let access_log = access_log.transpose()?;
        let store =
            Store::open(&settings.data, settings.durability).map_err(|error| failed(&error))?;
        let store = Arc::new(store);
        store
            .watch_disk(settings.min_free_disk)
            .map_err(|error| failed(&error))?;
        let (listener, address) = match &settings.listener {
            Some(listener) => listener
                .try_clone()
                .and_then(with_address)
                .map_err(|error| failed(&error))?,
            None => listen(settings.listen)?,
        };
        let side_listener = settings.metrics_listen.map(listen).transpose()?;
        let url_prefix = match settings.url_prefix {
            Some(prefix) => prefix,
            None => UrlPrefix::of_address(address, tls.is_some()),
        };
        let redirecting = settings.redirect_http.map(listen).transpose()?;
        let redirect_addr = redirecting.as_ref().map(|(_, address)| *address);
        let listeners = Listeners {
            serving: vec![listener],
            redirecting: redirecting.into_iter().map(|(l, _)| l).collect(),
            redirect_to: url_prefix.as_str().to_owned(),
        };

        let body_bytes_max = settings.body_bytes_max;
        let spool_dir = directory_of(&settings.data).to_owned();
        let transport = HttpSettings {
            connections_max: settings.connections_max,
            per_address_max: settings.connections_per_address_max,
            ingest_workers: settings.ingest_workers,
            general_workers: settings.api_workers,
            spool_dir: spool_dir.clone(),
            inbound_bytes_max: settings.inbound_bytes_max,
            trusted_proxies: settings.trusted_proxies.clone(),
            proxy_protocol: settings.proxy_protocol,
            tls: tls.clone(),
            ..HttpSettings::default()
        };
        let ingest = Ingest::start(
            Arc::clone(&store),
            ingest::Settings {
                body_bytes_max,
                spool_dir,
                url_prefix: url_prefix.clone(),
                loader_bundle_url: settings.loader_bundle_url.clone(),
                phase: phase.clone(),
            },
        )
        .map_err(|error| failed(&error))?;
        let mailer = Mailer::start(settings.mail.as_ref()).map_err(|error| failed(&error))?;
        let mailer = Arc::new(mailer);
        let outbound = Client::new(&settings.outbound).map_err(StartError::plain)?;
        let identity = Arc::new(Identity::new(
            Arc::clone(&store),
            Arc::clone(&mailer),
            outbound,
            url_prefix.clone(),
        ));
        let budget = Budget {
            days: (settings.event_retention_days > 0).then_some(settings.event_retention_days),
            bytes: settings.max_events_size,
        };
        let watch = Arc::new(Watch::new(
            Arc::clone(&store),
            Arc::clone(&identity),
            Arc::clone(&mailer),
            phase.clone(),
            watch::Settings {
                metrics_token: settings.metrics_token.clone(),
                body_bytes_max,
            },
            started,
        ));
        let server = Server::start_watched(
            listeners,
            transport,
            clock.clone(),
            {
                let store = Arc::clone(&store);
                Arc::new(move |_: &Method, path: &str| {
                    classify(path, body_bytes_max, store.health().brake().is_none())
                })
            },
            Arc::new(IngestService(ingest)),
            Arc::new(GeneralService {
                api: Api::new(
                    Arc::clone(&store),
                    Arc::clone(&identity),
                    url_prefix.clone(),
                    settings.api_rate_limits,
                ),
                web: Web::new(
                    Arc::clone(&store),
                    Arc::clone(&identity),
                    url_prefix.clone(),
                    budget,
                ),
            }),
            Watching {
                answer: at_door(&watch, Door::Public),
                access_log: access_log.clone(),
            },
        )
        .map_err(|error| StartError::plain(format!("the transport cannot start: {error}")))?;
        watch.attach(server.meter());
        let side = side_listener
            .map(|(listener, _)| {
                server.open_side(listener, clock.clone(), at_door(&watch, Door::Side))
            })
            .transpose()
            .map_err(|error| failed(&error))?;
        // What comes into being now may have secrets that are shown once, so whatever else can fail comes before.
        // An apply file makes what it says and nothing else, so it takes the place of a first start.
        let (applied, first_start) = match &settings.apply {
            Some(file) => {
                let report = apply_file(&store, file, &url_prefix, clock.now())?;
                (Some(report), None)
            }
            None => {
                let made = first_start::run(&store, &url_prefix, clock.now())
                    .map_err(|error| failed(&error))?;
                (None, made)
            }
        };

        let retention = Retention {
            audit_days: settings.audit_retention_days,
            events: budget,
        };
        let jobs = Jobs::start(
            Arc::clone(&store),
            Arc::clone(&identity),
            clock.clone(),
            retention,
        )
        .map_err(|error| failed(&error))?;
        phase.begin_running();
        Ok(App {
            server,
            tls,
            redirect_addr,
            side,
            access_log,
            phase,
            jobs,
            mailer,
            store,
            identity,
            clock,
            url_prefix,
            applied,
            first_start,
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Where requests are sent on from, if anywhere.
    pub fn redirect_addr(&self) -> Option<SocketAddr> {
        self.redirect_addr
    }

    /// Where health and metrics are, if they have an address of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.side.as_ref().map(Side::local_addr)
    }

    /// Reads certificate and key again, for the connections to come. False: there are none to read.
    ///
    /// # Errors
    /// One sentence about what is wrong with them; the old ones go on.
    pub fn reload_tls(&self) -> Result<bool, String> {
        match &self.tls {
            Some(tls) => tls.reload().map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether changes can be written, and are within half a minute.
    pub(crate) fn is_healthy(&self) -> bool {
        self.store.writer().is_healthy()
    }

    pub fn url_prefix(&self) -> &UrlPrefix {
        &self.url_prefix
    }

    /// How many passwords were hashed since the start, to be compared or to be kept: one for every try.
    pub fn password_runs(&self) -> u64 {
        self.identity.hashing.runs()
    }

    /// What the apply file changed, if there was one.
    pub(crate) fn applied(&self) -> Option<&apply::Report> {
        self.applied.as_ref()
    }

    /// What came into being with the database, if this was its first start.
    pub(crate) fn first_start(&self) -> Option<&FirstStart> {
        self.first_start.as_ref()
    }

    /// Stops in order; true when everything in flight was finished within the time.
    pub fn stop(self, within: Duration) -> bool {
        self.phase.begin_stopping();
        // What the writer commits is answered over the transport, so that goes first.
        let finished = self.server.stop(within);
        drop(self.jobs);
        self.identity
            .token_uses
            .flush(&self.store, self.clock.now());
        // Letters are made from what is in the store.
        self.mailer.stop();
        // To the last, who watches hears that the server stops; but nobody reads a file that is closed.
        drop(self.side);
        self.store.close();
        if let Some(log) = self.access_log {
            log.stop();
        }
        finished
    }
}

/// Opens an address to connections; with the one that it became, if any free port would do.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    TcpListener::bind(address)
        .and_then(with_address)
        .map_err(|error| StartError::plain(format!("cannot listen on {address}: {error}")))
}

fn with_address(listener: TcpListener) -> std::io::Result<(TcpListener, SocketAddr)> {
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Files and sockets that a server may want to have open at one time.
pub(crate) fn descriptors_needed(connections_max: usize) -> u64 {
    crate::http::descriptors_needed(&HttpSettings {
        connections_max,
        ..HttpSettings::default()
    })
}

fn open_access_log(to: &AccessLogTo) -> Result<Arc<AccessLog>, StartError> {
    let log = AccessLog::start(to.clone()).map_err(|error| {
        StartError::plain(match to {
            AccessLogTo::File(file) => {
                format!("cannot write the access log {}: {error}", file.display())
            }
            AccessLogTo::Stderr => format!("the access log cannot start: {error}"),
        })
    });
    log.map(Arc::new)
}

fn at_door(watch: &Arc<Watch>, door: Door) -> Arc<crate::http::AnswerHere> {
    let watch = Arc::clone(watch);
    Arc::new(move |request: &Request| watch.answer(request, door))
}

fn apply_file(
    store: &Store,
    file: &ApplyFile,
    url_prefix: &UrlPrefix,
    now: Timestamp,
) -> Result<apply::Report, StartError> {
    apply::run(store, &file.text, &file.name, url_prefix, now)
        .map_err(|error| StartError(Reason::ApplyFile(error)))
}

/// The one thing that the transport asks about a request before it has it whole. `spools`: the disk has room for bodies.
fn classify(path: &str, body_bytes_max: u64, spools: bool) -> Class {
    if watch::owns(path) {
        Class {
            lanes: LaneSet::None,
            front: Front::Watch,
            body_bytes_max: 0,
            spools,
            refuse: plain_refusal,
        }
    } else if ingest::owns(path) {
        Class {
            lanes: LaneSet::Ingest,
            front: Front::Ingest,
            body_bytes_max,
            spools,
            refuse: ingest::Refusal::of_transport,
        }
    } else {
        let (front, refuse): (_, fn(&Refusal) -> Response) = match api::owns(path) {
            true => (Front::Api, api::refuse),
            false => (Front::Web, plain_refusal),
        };
        Class {
            lanes: LaneSet::General,
            front,
            body_bytes_max: API_BODY_BYTES_MAX,
            spools,
            refuse,
        }
    }
}

/// No request of the management API comes near this.
const API_BODY_BYTES_MAX: u64 = 1 << 20;

fn plain_refusal(refusal: &Refusal) -> Response {
    Response::text(refusal.status(), refusal.text())
}

struct IngestService(Ingest);

impl Service for IngestService {
    fn call(&self, request: Request, responder: Responder) {
        self.0.handle(request, responder);
    }
}

/// Everything but ingestion.
struct GeneralService {
    api: Api,
    web: Web,
}

impl Service for GeneralService {
    fn call(&self, request: Request, responder: Responder) {
        if api::owns(&request.path) {
            responder.respond(self.api.handle(request));
        } else {
            responder.respond(self.web.handle(request));
        }
    }
}
