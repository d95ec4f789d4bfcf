//! `picket serve`.

use std::io::{self, IsTerminal, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level::pipe};

use super::{Command, Failure, Invocation, JSON, credentials, print, print_json, supervisor};
use crate::app::{AccessLogTo, App, ApplyFile, Settings, TlsFiles};
use crate::config::{self, Config};
use crate::domain::dsn::UrlPrefix;
use crate::domain::durability::Durability;
use crate::domain::token::TokenText;
use crate::first_start::FirstStart;
use crate::identity::link_url;
use crate::store::user_links::LinkKind;

pub(super) const COMMAND: Command = Command {
    name: "serve",
    summary: "run the server",
    about: "Runs the server until it gets SIGTERM or SIGINT; then it accepts nobody any more, finishes what it has \
            begun, and ends. A second signal ends it at once. SIGHUP makes it read the files of --tls-cert and \
            --tls-key again; if they are no good, it goes on with what it has.\n\
            On a new database it makes an organization, a team and a project, all called default, and an owner, \
            and prints the DSN. With --apply it makes what the file says instead. New tokens, and the link with which \
            the owner signs in for the first time, are printed on a terminal, or with --print-credentials; else they go to a file beside the database that only its \
            owner can read, and the output names that file.\n\
            Under systemd it says when it is ready, and a socket that is handed over takes the place of --listen.",
    arguments: &[],
    options: &[JSON],
    serves: true,
    run,
};

/// What is in flight has so long to finish after the first signal. The rest of ten seconds is for the database,
/// which may wait five for another process.
const STOP_WITHIN: Duration = Duration::from_secs(4);

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let listener = supervisor::listener().map_err(Failure::Failed)?;
    // Before anything else, so that a signal during the start is obeyed too.
    let mut stop = Stop::listen()
        .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    // Where the size of files is limited, too large a write is to fail, and not to end the process.
    flag::register(SIGXFSZ, Arc::default())
        .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    for name in config::unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        log::warn!("the environment variable {name} is no setting of Picket");
    }
    let config = &invocation.config;
    let app =
        App::start(settings(config, listener)?, invocation.clock()).map_err(|error| {
            match (error.not_applied(), &config.apply) {
                (Some(refusal), Some(file)) => {
                    super::apply::not_applied(refusal, &file.display().to_string())
                }
                _ => Failure::Failed(error.to_string()),
            }
        })?;
    if config.durability == Durability::Normal {
        log::warn!("durability is normal: a power cut can lose events that were acknowledged");
    }
    if config.tls_cert.is_some() && !app.url_prefix().is_https() {
        log::warn!(
            "clients are told {} and must speak TLS all the same; --url-prefix should start with https://",
            app.url_prefix()
        );
    }
    // Nobody may be reading what a server prints; it serves all the same.
    if let Err(Failure::Failed(text)) = announce(invocation, &app) {
        log::warn!("{text}");
    }
    supervisor::ready(&format!("serving {}", app.url_prefix()));
    let alive_every = supervisor::alive_every();
    loop {
        let told = stop
            .wait(alive_every)
            .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
        match told {
            Told::Stop => break,
            Told::Reload => match app.reload_tls() {
                Ok(true) => log::info!("the certificate was read again"),
                Ok(false) => log::info!("there is no certificate to read again"),
                Err(error) => log::warn!("the certificate stays as it was: {error}"),
            },
            Told::Nothing => {}
        }
        if app.is_healthy() {
            supervisor::alive();
        }
    }
    supervisor::stopping();
    log::info!("stopping");
    if !app.stop(STOP_WITHIN) {
        log::warn!("some requests did not finish in time and were cut off");
    }
    log::info!("stopped");
    Ok(())
}

fn settings(config: &Config, listener: Option<TcpListener>) -> Result<Settings, Failure> {
    let apply = match &config.apply {
        Some(file) => Some(ApplyFile {
            name: file.display().to_string(),
            text: super::apply::read(file)?,
        }),
        None => None,
    };
    let tls = config.tls().map_err(Failure::Usage)?;
    Ok(Settings {
        listen: config.listen,
        listener: listener.map(Arc::new),
        data: config.data.clone(),
        url_prefix: config.url_prefix.clone(),
        apply,
        durability: config.durability,
        body_bytes_max: config.body_bytes_max,
        loader_bundle_url: config.loader_bundle_url.clone(),
        ingest_workers: config.ingest_workers,
        api_workers: config.api_workers,
        api_rate_limits: config.api_rate_limits,
        connections_max: config.connections_max,
        connections_per_address_max: config.connections_per_address_max,
        inbound_bytes_max: config.inbound_bytes_max,
        tls: tls.map(|(cert, key)| TlsFiles { cert, key }),
        redirect_http: config.redirect_http,
        trusted_proxies: config.trusted_proxies.clone(),
        proxy_protocol: config.proxy_protocol,
        audit_retention_days: config.audit_retention_days,
        event_retention_days: config.event_retention_days,
        max_events_size: config.max_events_size,
        min_free_disk: config.min_free_disk,
        mail: config.mail().map_err(Failure::Usage)?,
        outbound: config.outbound.clone(),
        metrics_listen: config.metrics_listen,
        metrics_token: config.metrics_token().map_err(Failure::Usage)?,
        access_log: config
            .access_log
            .as_ref()
            .map(|file| match file.as_os_str() == "-" {
                true => AccessLogTo::Stderr,
                false => AccessLogTo::File(file.clone()),
            }),
    })
}

/// Prints where the server is and what it made.
fn announce(invocation: &Invocation, app: &App) -> Result<(), Failure> {
    let config = &invocation.config;
    let print_secrets = credentials::may_print(config.print_credentials);
    // Without a place for the tokens the rest is worth saying all the same.
    let file = keep_secrets(config, app, print_secrets).unwrap_or_else(|failure| {
        if let Failure::Failed(text) = failure {
            log::error!("{text}");
        }
        None
    });
    if invocation.json() {
        return print_json(&to_json(config, app, print_secrets, file.as_deref()));
    }
    let mut text = format!(
        "listening on {} as {}\n",
        app.local_addr(),
        app.url_prefix()
    );
    if let Some(address) = app.redirect_addr() {
        text.push_str(&format!("redirecting from {address}\n"));
    }
    text.push_str(&format!("data in {}\n", config.data.display()));
    if config.durability == Durability::Normal {
        text.push_str("durability normal: a power cut can lose acknowledged events\n");
    }
    if let Some(address) = app.metrics_addr() {
        text.push_str(&format!("metrics on {address}\n"));
    }
    if let Some(made) = app.first_start() {
        text.push_str(&first_start_text(made, app.url_prefix().as_str()));
        if print_secrets {
            text.push('\n');
            text.push_str(&first_start_secrets(made, app.url_prefix()));
        }
    }
    if let Some(report) = app.applied() {
        for line in report.to_text(print_secrets).lines() {
            text.push_str(&format!("apply: {line}\n"));
        }
    }
    if let Some(file) = file {
        text.push_str(&format!(
            "\nnew tokens are in {file}, which only its owner can read; store them and delete it\n"
        ));
    }
    print(&text)
}

/// Writes new tokens to the file beside the database if they may not be printed; the file's name, if there
/// was anything to write.
fn keep_secrets(
    config: &Config,
    app: &App,
    print_secrets: bool,
) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    if let Some(made) = app.first_start() {
        text.push_str(&first_start_secrets(made, app.url_prefix()));
    }
    for (name, token) in app
        .applied()
        .into_iter()
        .flat_map(|report| report.secrets())
    {
        text.push_str(&format!("token {name}:\n  {}\n", token.reveal()));
    }
    if text.is_empty() || print_secrets {
        return Ok(None);
    }
    let file = credentials::file_beside(&config.data);
    credentials::append(&file, &text).map_err(|error| {
        Failure::Failed(format!(
            "new tokens could not be written to {} and are lost: {error}; picket token create makes others",
            file.display()
        ))
    })?;
    Ok(Some(file.display().to_string()))
}

fn first_start_text(made: &FirstStart, prefix: &str) -> String {
    format!(
        "\nfirst start: made the organization {organization}, the project {project} and the owner {email}\n\
         DSN: {dsn}\n\
         send a first event:\n  \
         curl -sS '{prefix}/api/{id}/store/?sentry_key={key}' -H 'Content-Type: application/json' \
         -d '{{\"message\":\"Hello, Picket\"}}'\n",
        organization = made.organization,
        project = made.project,
        email = made.user_email,
        dsn = made.dsn,
        id = made.project_id,
        key = made.public,
    )
}

fn first_start_secrets(made: &FirstStart, prefix: &UrlPrefix) -> String {
    format!(
        "{email} signs in for the first time here; it works once, within 7 days:\n  {link}\n\
         token of {email}, not to be had again:\n  {token}\n\
         see what was counted:\n  \
         curl -sS -H 'Authorization: Bearer {token}' '{prefix}/api/0/projects/{organization}/{project}/stats/'\n",
        email = made.user_email,
        link = sign_in_link(made, prefix),
        token = made.token.reveal(),
        organization = made.organization,
        project = made.project,
    )
}

fn sign_in_link(made: &FirstStart, prefix: &UrlPrefix) -> String {
    link_url(prefix, LinkKind::SignIn, &made.link)
}

fn to_json(config: &Config, app: &App, print_secrets: bool, file: Option<&str>) -> Value {
    let secret = |token: &TokenText| print_secrets.then(|| token.reveal().to_owned());
    json!({
        "listening": app.local_addr().to_string(),
        "redirecting": app.redirect_addr().map(|address| address.to_string()),
        "url": app.url_prefix().as_str(),
        "metrics": app.metrics_addr().map(|address| address.to_string()),
        "data": config.data.display().to_string(),
        "first_start": app.first_start().map(|made| json!({
            "organization": made.organization.as_str(),
            "project": made.project.as_str(),
            "project_id": made.project_id.to_string(),
            "dsn": made.dsn,
            "user": made.user_email,
            "token": secret(&made.token),
            "sign_in_link": print_secrets.then(|| sign_in_link(made, app.url_prefix())),
        })),
        "apply": app.applied().map(|report| report.to_json(print_secrets)),
        "credentials_file": file,
    })
}

/// Waits for signals, without polling: their handler writes into a socket.
struct Stop {
    wake: UnixStream,
    stopping: Arc<AtomicBool>,
    had_terminal: bool,
}

/// What a signal asks for, if one came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Stop,
    Reload,
    Nothing,
}

impl Stop {
    fn listen() -> io::Result<Stop> {
        let (wake, write) = UnixStream::pair()?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            pipe::register(signal, write.try_clone()?)?;
        }
        pipe::register(SIGHUP, write)?;
        Ok(Stop {
            wake,
            stopping,
            had_terminal: io::stdin().is_terminal(),
        })
    }

    /// Waits for a signal, or for this long.
    fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Told> {
        self.wake.set_read_timeout(at_most)?;
        let mut byte = [0];
        match self.wake.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Told::Nothing),
            Err(error) => return Err(error),
        }
        // SIGHUP is also what the end of a terminal says to what was started from it.
        let terminal_is_gone = self.had_terminal && !io::stdin().is_terminal();
        Ok(
            match self.stopping.load(Ordering::Relaxed) || terminal_is_gone {
                true => Told::Stop,
                false => Told::Reload,
            },
        )
    }
}
