//! Every setting: its name, default and meaning, and the ways to give it.
//!
//! One table, [`SETTINGS`], drives the flags, the environment variables, the keys of the settings file and
//! the help. A flag wins over the environment, that over the file, and that over the default. Settings are
//! read once, at start.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::address_range::AddressRange;
use crate::domain::bundle_url::BundleUrl;
use crate::domain::dsn::UrlPrefix;
use crate::domain::durability::Durability;
use crate::domain::mail::{self, MailSettings, SmtpServer};
use crate::domain::option::{BUDGET_BYTES_MIN, DAYS_MAX};
use crate::domain::outbound::OutboundSettings;
use crate::domain::size;

/// What all commands are told, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    /// None: it follows the address that the server is bound to.
    pub(crate) url_prefix: Option<UrlPrefix>,
    pub(crate) apply: Option<PathBuf>,
    pub(crate) print_credentials: bool,
    pub(crate) durability: Durability,
    pub(crate) body_bytes_max: u64,
    /// None: the JavaScript loader does nothing.
    pub(crate) loader_bundle_url: Option<BundleUrl>,
    pub(crate) ingest_workers: usize,
    pub(crate) api_workers: usize,
    pub(crate) api_rate_limits: bool,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) inbound_bytes_max: u64,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) redirect_http: Option<SocketAddr>,
    pub(crate) trusted_proxies: Vec<AddressRange>,
    pub(crate) proxy_protocol: bool,
    /// 0: for ever.
    pub(crate) audit_retention_days: u32,
    /// 0: never.
    pub(crate) event_retention_days: u32,
    pub(crate) max_events_size: Option<u64>,
    /// None: the rule of the server's own.
    pub(crate) min_free_disk: Option<u64>,
    /// None: no mail is sent.
    pub(crate) smtp_url: Option<String>,
    pub(crate) smtp_password_file: Option<PathBuf>,
    pub(crate) mail_from: Option<String>,
    pub(crate) outbound: OutboundSettings,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) metrics_token_file: Option<PathBuf>,
    /// `-` is stderr.
    pub(crate) access_log: Option<PathBuf>,
    /// None: as `RUST_LOG` and the command have it.
    pub(crate) log_level: Option<log::LevelFilter>,
    pub(crate) log_format: LogFormat,
    #[cfg(feature = "test-clock")]
    pub(crate) test_clock: Option<PathBuf>,
}

/// How the lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A shorter token of the metrics could be guessed.
const METRICS_TOKEN_BYTES_MIN: usize = 16;

impl Config {
    /// The public address that DSNs and tokens carry: the one that was set, else the one to listen on.
    pub(crate) fn url_prefix(&self) -> UrlPrefix {
        match &self.url_prefix {
            Some(prefix) => prefix.clone(),
            None => UrlPrefix::of_address(self.listen, self.tls_cert.is_some()),
        }
    }

    /// The certificate and its key, if TLS is spoken.
    ///
    /// # Errors
    /// One sentence: one of the two is missing, or another setting needs what is not set.
    pub(crate) fn tls(&self) -> Result<Option<(PathBuf, PathBuf)>, String> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (Some(_), None) => return Err("--tls-cert needs --tls-key".to_owned()),
            (None, Some(_)) => return Err("--tls-key needs --tls-cert".to_owned()),
            (None, None) => None,
        };
        if self.redirect_http.is_some() && !self.url_prefix().is_https() {
            return Err(
                "--redirect-http needs --tls-cert and --tls-key, or an --url-prefix that starts with https://"
                    .to_owned(),
            );
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            return Err("--proxy-protocol on needs --trusted-proxy".to_owned());
        }
        if self.inbound_bytes_max < self.body_bytes_max {
            return Err("--max-inbound-bytes must not be less than --max-body-bytes".to_owned());
        }
        Ok(tls)
    }

    /// How mail is sent, if it is.
    ///
    /// # Errors
    /// One sentence: one of the settings is missing, or the file with the password cannot be read.
    pub(crate) fn mail(&self) -> Result<Option<MailSettings>, String> {
        let Some(url) = &self.smtp_url else {
            return match &self.smtp_password_file {
                Some(_) => Err("--smtp-password-file needs --smtp-url".to_owned()),
                None => Ok(None),
            };
        };
        let Some(from) = &self.mail_from else {
            return Err("--smtp-url needs --mail-from".to_owned());
        };
        let password = match &self.smtp_password_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    format!(
                        "--smtp-password-file: cannot read {}: {error}",
                        file.display()
                    )
                })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => None,
        };
        MailSettings::new(url, password, from)
            .map(Some)
            .map_err(|error| format!("--smtp-url: {error}"))
    }

    /// What must be brought to see metrics, if anything.
    ///
    /// # Errors
    /// One sentence: the file with the token cannot be read, or what is in it is no token.
    pub(crate) fn metrics_token(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.metrics_token_file else {
            return Ok(None);
        };
        let wrong = |text: &str| format!("--metrics-token-file: {}: {text}", file.display());
        let text = std::fs::read_to_string(file)
            .map_err(|error| wrong(&format!("it cannot be read: {error}")))?;
        let token = text.trim();
        if token.len() < METRICS_TOKEN_BYTES_MIN {
            return Err(wrong("the token is shorter than 16 characters"));
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong(
                "the token has other characters than letters, digits and signs",
            ));
        }
        Ok(Some(token.to_owned()))
    }

    /// What [`load`] starts from; every field is overwritten by the table's defaults.
    fn blank() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: PathBuf::new(),
            url_prefix: None,
            apply: None,
            print_credentials: false,
            durability: Durability::Full,
            body_bytes_max: 0,
            loader_bundle_url: None,
            ingest_workers: 0,
            api_workers: 0,
            api_rate_limits: false,
            connections_max: 0,
            connections_per_address_max: 0,
            inbound_bytes_max: 0,
            tls_cert: None,
            tls_key: None,
            redirect_http: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            audit_retention_days: 0,
            event_retention_days: 0,
            max_events_size: None,
            min_free_disk: None,
            smtp_url: None,
            smtp_password_file: None,
            mail_from: None,
            outbound: OutboundSettings::default(),
            metrics_listen: None,
            metrics_token_file: None,
            access_log: None,
            log_level: None,
            log_format: LogFormat::Text,
            #[cfg(feature = "test-clock")]
            test_clock: None,
        }
    }
}

/// One setting.
pub(crate) struct Setting {
    /// As a flag (with `--`) and as a key of the settings file.
    pub(crate) name: &'static str,
    /// What stands for the value in the help; none for a switch, which is off unless it is given.
    pub(crate) hint: Option<&'static str>,
    /// None: unset.
    pub(crate) default: Option<&'static str>,
    pub(crate) meaning: &'static str,
    /// Whether only `serve` takes the flag. In the environment and the file it may always stand, because
    /// these are shared by all commands.
    pub(crate) only_serve: bool,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    /// `PICKET_URL_PREFIX` for `url-prefix`.
    pub(crate) fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a setting, or of [`CONFIG`].
pub(crate) fn variable(name: &str) -> String {
    format!("PICKET_{}", name.replace('-', "_").to_ascii_uppercase())
}

/// The name under which the path of the settings file itself is given, as a flag or in the environment.
pub(crate) const CONFIG: &str = "config";

pub(crate) const CONFIG_MEANING: &str = "the settings file: TOML with the names of the settings, such as \
                                         url-prefix = \"https://errors.example\"";

/// The largest body that can be asked for.
const BODY_BYTES_LIMIT: u64 = 256 << 20;

/// What may lie in spooled bodies at most; more is no limit.
const INBOUND_BYTES_LIMIT: u64 = 1 << 40;

pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "data",
        hint: Some("FILE"),
        default: Some("picket.db"),
        meaning: "the database",
        only_serve: false,
        set: |config, text| {
            config.data = path(text)?;
            Ok(())
        },
    },
    Setting {
        name: "url-prefix",
        hint: Some("URL"),
        default: None,
        meaning: "how clients reach this server: scheme, host and port, without a path; unset, it is http:// and \
                  the address that the server listens on, or https:// with --tls-cert",
        only_serve: false,
        set: |config, text| {
            config.url_prefix = Some(UrlPrefix::parse(text)?);
            Ok(())
        },
    },
    Setting {
        name: "listen",
        hint: Some("ADDRESS:PORT"),
        default: Some("127.0.0.1:9000"),
        meaning: "where to accept connections; port 0 takes a free one",
        only_serve: true,
        set: |config, text| {
            config.listen = socket_address(text)?;
            Ok(())
        },
    },
    Setting {
        name: "apply",
        hint: Some("FILE"),
        default: None,
        meaning: "a TOML file to apply before the first request; see the command apply",
        only_serve: true,
        set: |config, text| {
            config.apply = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "print-credentials",
        hint: None,
        default: None,
        meaning: "print new tokens even where the output is no terminal, instead of writing them to a file \
                  beside the database",
        only_serve: true,
        set: |config, text| {
            config.print_credentials = match text {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(format!("{text:?} is neither true nor false")),
            };
            Ok(())
        },
    },
    Setting {
        name: "durability",
        hint: Some("full|normal"),
        default: Some("full"),
        meaning: "what a power cut may cost: full, nothing that was acknowledged; normal, the last moments before \
                  it, for fewer waits for the disk",
        only_serve: true,
        set: |config, text| {
            config.durability = match text {
                "full" => Durability::Full,
                "normal" => Durability::Normal,
                _ => return Err(format!("{text:?} is neither full nor normal")),
            };
            Ok(())
        },
    },
    Setting {
        name: "max-body-bytes",
        hint: Some("BYTES"),
        default: Some("40MiB"),
        meaning: "the largest envelope, decompressed; KiB and MiB may follow the number",
        only_serve: true,
        set: |config, text| {
            config.body_bytes_max = bytes(text, BODY_BYTES_LIMIT)?;
            Ok(())
        },
    },
    Setting {
        name: "loader-bundle-url",
        hint: Some("URL"),
        default: None,
        meaning: "where pages get the JavaScript SDK from, such as \
                  https://browser.sentry-cdn.com/10.32.1/bundle{modifiers}.min.js; {version} becomes a key's SDK \
                  version and {modifiers} what its loader options add to the name; unset, the loader script does \
                  nothing",
        only_serve: true,
        set: |config, text| {
            config.loader_bundle_url = Some(BundleUrl::parse(text)?);
            Ok(())
        },
    },
    Setting {
        name: "ingest-workers",
        hint: Some("COUNT"),
        default: Some("4"),
        meaning: "threads that take in events",
        only_serve: true,
        set: |config, text| {
            config.ingest_workers = count(text, 256)?;
            Ok(())
        },
    },
    Setting {
        name: "api-workers",
        hint: Some("COUNT"),
        default: Some("4"),
        meaning: "threads that answer the management API",
        only_serve: true,
        set: |config, text| {
            config.api_workers = count(text, 256)?;
            Ok(())
        },
    },
    Setting {
        name: "api-rate-limits",
        hint: Some("on|off"),
        default: Some("on"),
        meaning: "whether a token, and an address without one, may call the management API only so often a second",
        only_serve: true,
        set: |config, text| {
            config.api_rate_limits = on_or_off(text)?;
            Ok(())
        },
    },
    Setting {
        name: "max-connections",
        hint: Some("COUNT"),
        default: Some("1024"),
        meaning: "client connections open at one time",
        only_serve: true,
        set: |config, text| {
            config.connections_max = count(text, 65_536)?;
            Ok(())
        },
    },
    Setting {
        name: "connections-per-address",
        hint: Some("COUNT"),
        default: Some("64"),
        meaning: "of these, from one address; this machine itself is exempt while this has its default",
        only_serve: true,
        set: |config, text| {
            config.connections_per_address_max = count(text, 65_536)?;
            Ok(())
        },
    },
    Setting {
        name: "max-inbound-bytes",
        hint: Some("BYTES"),
        default: Some("1GiB"),
        meaning: "request bodies held at one time, of all connections together; 64 MiB of it in memory, the rest in \
                  files without a name beside the database; beyond it clients are told to come back",
        only_serve: true,
        set: |config, text| {
            config.inbound_bytes_max = bytes(text, INBOUND_BYTES_LIMIT)?;
            Ok(())
        },
    },
    Setting {
        name: "tls-cert",
        hint: Some("FILE"),
        default: None,
        meaning: "speak TLS with this certificate (PEM, with those of its authority behind it); needs --tls-key; \
                  SIGHUP reads both files again",
        only_serve: true,
        set: |config, text| {
            config.tls_cert = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "tls-key",
        hint: Some("FILE"),
        default: None,
        meaning: "the private key of --tls-cert (PEM, not encrypted)",
        only_serve: true,
        set: |config, text| {
            config.tls_key = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "redirect-http",
        hint: Some("ADDRESS:PORT"),
        default: None,
        meaning: "a second address, without TLS, that sends every request on to the same path below --url-prefix",
        only_serve: true,
        set: |config, text| {
            config.redirect_http = Some(socket_address(text)?);
            Ok(())
        },
    },
    Setting {
        name: "trusted-proxy",
        hint: Some("RANGES"),
        default: None,
        meaning: "addresses and ranges of the proxies in front of this server, separated by commas, such as \
                  127.0.0.1,10.0.0.0/8; a client's address is the last one in X-Forwarded-For that is not theirs, \
                  and nobody else is believed about it",
        only_serve: true,
        set: |config, text| {
            let range = |text: &str| {
                let text = text.trim();
                text.parse().map_err(|error| format!("{text:?}: {error}"))
            };
            config.trusted_proxies = text.split(',').map(range).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        name: "proxy-protocol",
        hint: Some("on|off"),
        default: Some("off"),
        meaning: "whether every connection from a --trusted-proxy begins with a header of the PROXY protocol, version \
                  1 or 2; with one from anywhere else it is no request",
        only_serve: true,
        set: |config, text| {
            config.proxy_protocol = on_or_off(text)?;
            Ok(())
        },
    },
    Setting {
        name: "audit-retention-days",
        hint: Some("DAYS"),
        default: Some("365"),
        meaning: "how long the audit log remembers who did what; 0 is for ever",
        only_serve: true,
        set: |config, text| {
            config.audit_retention_days = days(text)?;
            Ok(())
        },
    },
    Setting {
        name: "event-retention-days",
        hint: Some("DAYS"),
        default: Some("90"),
        meaning: "how long events, and all else that SDKs send, are kept; 0 is for ever; a project may have its own, and \
                  the shorter time holds; statistics stay",
        only_serve: true,
        set: |config, text| {
            config.event_retention_days = days(text)?;
            Ok(())
        },
    },
    Setting {
        name: "max-events-size",
        hint: Some("BYTES"),
        default: None,
        meaning: "how much of what SDKs send is kept; beyond that the oldest and least informative goes; KiB, MiB, GiB or \
                  TiB may follow the number; unset, there is no limit but the disk",
        only_serve: true,
        set: |config, text| {
            let bytes = size(text)?;
            if bytes < BUDGET_BYTES_MIN {
                return Err(format!("{text:?} is less than 1MiB"));
            }
            config.max_events_size = Some(bytes);
            Ok(())
        },
    },
    Setting {
        name: "min-free-disk",
        hint: Some("BYTES"),
        default: None,
        meaning: "while less of the disk is free, no events are taken, so that it never fills up; KiB, MiB, GiB or TiB \
                  may follow the number, and 0 is no limit; unset, it is 256 MiB, or a twentieth of a disk of less than 5 GiB",
        only_serve: true,
        set: |config, text| {
            config.min_free_disk = Some(size(text)?);
            Ok(())
        },
    },
    Setting {
        name: "smtp-url",
        hint: Some("URL"),
        default: None,
        meaning: "the server that mail is handed to: smtps://USER@HOST for TLS from the start, smtp://USER@HOST for \
                  STARTTLS, smtp://HOST?tls=none for neither; the password may stand in it (USER:PASSWORD, \
                  percent-encoded), which is better done in the environment or the settings file than in a flag that \
                  others on the machine can see; unset, no mail is sent",
        only_serve: true,
        set: |config, text| {
            SmtpServer::parse(text)?;
            config.smtp_url = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        name: "smtp-password-file",
        hint: Some("FILE"),
        default: None,
        meaning: "a file with the password for the user in --smtp-url",
        only_serve: true,
        set: |config, text| {
            config.smtp_password_file = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "mail-from",
        hint: Some("ADDRESS"),
        default: None,
        meaning: "whom mail comes from, such as Picket <picket@example.test>; needed with --smtp-url",
        only_serve: true,
        set: |config, text| {
            config.mail_from = Some(mail::check_sender(text)?);
            Ok(())
        },
    },
    Setting {
        name: "outbound-internal-hosts",
        hint: Some("HOSTS"),
        default: None,
        meaning: "hosts of your own network that organizations may name as their identity provider, separated by \
                  commas, each perhaps with a port: only these may have private addresses or be asked without TLS",
        only_serve: false,
        set: |config, text| {
            let hosts = text.split(',').map(str::trim);
            config.outbound.internal_hosts = hosts.map(host).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        name: "outbound-ca-file",
        hint: Some("FILE"),
        default: None,
        meaning: "certificates (PEM) of the authorities that other servers are believed by; unset, those that \
                  browsers believe",
        only_serve: false,
        set: |config, text| {
            config.outbound.ca_file = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "metrics-listen",
        hint: Some("ADDRESS:PORT"),
        default: None,
        meaning: "an address of their own for /metrics and /health, where nobody else can be in the way; it asks for \
                  no credentials unless --metrics-token-file is given, so it should not be reached from outside; \
                  unset, there is none",
        only_serve: true,
        set: |config, text| {
            config.metrics_listen = Some(socket_address(text)?);
            Ok(())
        },
    },
    Setting {
        name: "metrics-token-file",
        hint: Some("FILE"),
        default: None,
        meaning: "a file with a token, of 16 characters or more: who sends it as Authorization: Bearer sees \
                  /metrics, also at the address that clients use; unset, /metrics is not there",
        only_serve: true,
        set: |config, text| {
            config.metrics_token_file = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "access-log",
        hint: Some("FILE|-"),
        default: None,
        meaning: "write a line of JSON for every request to this file, or for - to stderr; a file that was renamed \
                  away is made anew; unset, no such log is written",
        only_serve: true,
        set: |config, text| {
            config.access_log = Some(path(text)?);
            Ok(())
        },
    },
    Setting {
        name: "log-level",
        hint: Some("off|error|warn|info|debug|trace"),
        default: None,
        meaning: "how much goes to stderr; unset, what RUST_LOG says, else info for a server and warn for other \
                  commands",
        only_serve: false,
        set: |config, text| {
            let level = text.parse().map_err(|_| {
                format!("{text:?} is none of off, error, warn, info, debug and trace")
            })?;
            config.log_level = Some(level);
            Ok(())
        },
    },
    Setting {
        name: "log-format",
        hint: Some("text|json"),
        default: Some("text"),
        meaning: "how the lines on stderr look: for people, or one JSON object each",
        only_serve: false,
        set: |config, text| {
            config.log_format = match text {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(format!("{text:?} is neither text nor json")),
            };
            Ok(())
        },
    },
    #[cfg(feature = "test-clock")]
    Setting {
        name: "test-clock",
        hint: Some("FILE"),
        default: None,
        meaning: "read the time from this file: microseconds since 1970",
        only_serve: false,
        set: |config, text| {
            config.test_clock = Some(path(text)?);
            Ok(())
        },
    },
];

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no address and port, such as 127.0.0.1:9000"))
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(format!(
            "{text:?} is no host, such as id.example.com or 10.0.0.5:8443"
        ));
    }
    Ok(text.to_owned())
}

fn count(text: &str, most: usize) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("{text:?} is no number from 1 to {most}"))
}

fn bytes(text: &str, most: u64) -> Result<u64, String> {
    size::parse(text)
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("{text:?} is no number of bytes from 1 to {most}"))
}

fn days(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|days| *days <= DAYS_MAX)
        .ok_or_else(|| format!("{text:?} is no number of days from 0 to {DAYS_MAX}"))
}

fn size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| format!("{text:?} is no number of bytes, such as 10GiB"))
}

/// Where settings come from, besides the defaults.
pub(crate) struct Sources<'a> {
    /// Name and value, in the order in which they were given; the last one of a name counts.
    pub(crate) flags: &'a [(&'static str, String)],
    pub(crate) environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Reads every setting.
///
/// # Errors
/// One sentence that names the flag, the variable, or the file and line that is wrong.
pub(crate) fn load(sources: &Sources<'_>) -> Result<Config, String> {
    let mut config = Config::blank();
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            (setting.set)(&mut config, default)?;
        }
    }
    let flag = |name: &str| sources.flags.iter().rfind(|(given, _)| *given == name);
    let file = match flag(CONFIG) {
        Some((_, file)) => Some(file.clone()),
        None => from_environment(sources, CONFIG)?,
    };
    if let Some(file) = file {
        read_file(Path::new(&file), &mut config)?;
    }
    for setting in SETTINGS {
        if let Some((_, text)) = flag(setting.name) {
            (setting.set)(&mut config, text)
                .map_err(|wrong| format!("--{}: {wrong}", setting.name))?;
        } else if let Some(text) = from_environment(sources, setting.name)? {
            (setting.set)(&mut config, &text)
                .map_err(|wrong| format!("{}: {wrong}", setting.variable()))?;
        }
    }
    Ok(config)
}

/// A variable that is set to nothing counts as not set, so that container files can pass them through.
fn from_environment(sources: &Sources<'_>, name: &str) -> Result<Option<String>, String> {
    let variable = variable(name);
    match (sources.environment)(&variable) {
        Some(value) if !value.is_empty() => value
            .into_string()
            .map(Some)
            .map_err(|_| format!("{variable}: the value is not UTF-8")),
        _ => Ok(None),
    }
}

fn read_file(file: &Path, config: &mut Config) -> Result<(), String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the settings file {shown}: {error}"))?;
    let line_of = |offset: usize| {
        1 + text.as_bytes()[..offset]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        format!("{shown}:{line}: {}", error.message())
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name = key.get_ref().as_ref();
        let wrong = |text: &str| format!("{shown}:{}: {name}: {text}", line_of(key.span().start));
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| wrong("there is no such setting"))?;
        let text = plain_text(value).ok_or_else(|| wrong("this must be a single value"))?;
        (setting.set)(config, &text).map_err(|text| wrong(&text))?;
    }
    Ok(())
}

/// A value of the settings file as it would be typed on the command line.
fn plain_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Boolean(on) => Some(on.to_string()),
        _ => None,
    }
}

/// The variables among `names` that look like settings and are none. They are worth a warning but no more:
/// a cluster that runs a service called picket puts PICKET_PORT and the like into every environment.
pub(crate) fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let known = |name: &str| {
        name == variable(CONFIG) || SETTINGS.iter().any(|setting| setting.variable() == name)
    };
    let mut unknown: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("PICKET_") && !known(name))
        .collect();
    unknown.sort();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<Config, String> {
        let flags: Vec<_> = flags.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        load(&Sources {
            flags: &flags,
            environment: &lookup,
        })
    }

    #[test]
    fn the_defaults_are_those_of_the_table() {
        let config = load_with(&[], &[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.data, Path::new("picket.db"));
        assert_eq!(config.url_prefix().as_str(), "http://127.0.0.1:9000");
        assert_eq!(config.body_bytes_max, 40 << 20);
        assert!(config.loader_bundle_url.is_none());
        assert_eq!((config.ingest_workers, config.api_workers), (4, 4));
        assert!(config.api_rate_limits);
        assert_eq!(
            (config.connections_max, config.connections_per_address_max),
            (1024, 64)
        );
        assert!(!config.print_credentials);
        assert_eq!(config.audit_retention_days, 365);
        assert_eq!(config.inbound_bytes_max, 1 << 30);
        assert!(config.trusted_proxies.is_empty() && !config.proxy_protocol);
        assert_eq!(config.tls(), Ok(None));
    }

    #[test]
    fn settings_of_tls_and_proxies_need_each_other() {
        let tls = |flags: &[_]| load_with(flags, &[]).unwrap().tls();
        let cert = ("tls-cert", "a.pem");
        assert_eq!(tls(&[cert]), Err("--tls-cert needs --tls-key".to_owned()));
        let (key, refused) = (("tls-key", "b.pem"), "--tls-key needs --tls-cert");
        assert_eq!(tls(&[key]), Err(refused.to_owned()));
        let both = Ok(Some(("a.pem".into(), "b.pem".into())));
        assert_eq!(tls(&[cert, key]), both);
        let redirect = ("redirect-http", "0.0.0.0:80");
        assert_eq!(tls(&[cert, key, redirect]), both);
        assert_eq!(tls(&[redirect, ("url-prefix", "https://a.test")]), Ok(None));
        assert!(tls(&[redirect]).is_err());
        assert!(tls(&[cert, key, redirect, ("url-prefix", "http://a.test")]).is_err());
        let on = ("proxy-protocol", "on");
        assert!(tls(&[on]).is_err());
        assert_eq!(tls(&[on, ("trusted-proxy", "10.0.0.0/8, ::1")]), Ok(None));
        assert!(tls(&[("max-inbound-bytes", "39MiB")]).is_err());
        let config = load_with(&[cert, key], &[]).unwrap();
        assert_eq!(config.url_prefix().as_str(), "https://127.0.0.1:9000");
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "listen = \"127.0.0.1:1\"\napi-workers = 1\ningest-workers = 1\nprint-credentials = true\n";
        std::fs::write(file.path(), text).unwrap();
        let file = file.path().to_str().unwrap();
        let environment = [("PICKET_API_WORKERS", "2"), ("PICKET_INGEST_WORKERS", "2")];
        let config = load_with(&[(CONFIG, file), ("ingest-workers", "3")], &environment).unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!((config.api_workers, config.ingest_workers), (2, 3));
        assert!(config.print_credentials);
    }

    #[test]
    fn what_is_wrong_names_its_source() {
        let wrong = |flags: &[_], environment: &[_]| load_with(flags, environment).unwrap_err();
        assert_eq!(
            wrong(&[("listen", "9000")], &[]),
            "--listen: \"9000\" is no address and port, such as 127.0.0.1:9000"
        );
        assert_eq!(
            wrong(&[], &[("PICKET_DURABILITY", "some")]),
            "PICKET_DURABILITY: \"some\" is neither full nor normal"
        );
        assert_eq!(
            wrong(&[("api-rate-limits", "no")], &[]),
            "--api-rate-limits: \"no\" is neither on nor off"
        );
        assert_eq!(
            wrong(&[("max-connections", "0")], &[]),
            "--max-connections: \"0\" is no number from 1 to 65536"
        );
        assert_eq!(
            wrong(&[("max-body-bytes", "300MiB")], &[]),
            "--max-body-bytes: \"300MiB\" is no number of bytes from 1 to 268435456"
        );
        assert_eq!(
            wrong(&[("max-inbound-bytes", "2048GiB")], &[]),
            "--max-inbound-bytes: \"2048GiB\" is no number of bytes from 1 to 1099511627776"
        );
        assert_eq!(
            wrong(&[("trusted-proxy", "10.0.0.0/8,proxy.test")], &[]),
            "--trusted-proxy: \"proxy.test\": expected an IP address or a range such as 192.0.2.0/24"
        );
        assert_eq!(
            wrong(&[("redirect-http", "80")], &[]),
            "--redirect-http: \"80\" is no address and port, such as 127.0.0.1:9000"
        );
        assert_eq!(
            wrong(&[("audit-retention-days", "-1")], &[]),
            "--audit-retention-days: \"-1\" is no number of days from 0 to 36500"
        );
        assert_eq!(
            wrong(&[("loader-bundle-url", "bundle.js")], &[]),
            "--loader-bundle-url: the bundle URL \"bundle.js\" must start with http:// or https://"
        );
        assert_eq!(
            wrong(&[("url-prefix", "http://host/sentry")], &[]),
            "--url-prefix: the URL prefix \"http://host/sentry\" has a path; Picket answers at the root of its origin only"
        );
    }

    #[test]
    fn the_settings_of_the_service_are_settings_also_those_behind_a_hash() {
        let shipped = include_str!("../packaging/systemd/picket.toml");
        let is_setting = |line: &str| {
            SETTINGS
                .iter()
                .any(|s| line.starts_with(&format!("{} = ", s.name)))
        };
        let all: String = shipped
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(line) if !line.starts_with(' ') && !line.is_empty() => {
                    assert!(is_setting(line), "{line}");
                    format!("{line}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        for text in [shipped, &all] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let config = load_with(&[(CONFIG, file.path().to_str().unwrap())], &[]).unwrap();
            assert_eq!(config.data, Path::new("/var/lib/picket/picket.db"));
            assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        }
    }

    #[test]
    fn an_unknown_variable_is_found_and_an_empty_one_is_not_set() {
        let names = ["PICKET_LISTN", "PICKET_LISTEN", "PICKET_CONFIG", "PATH"];
        let unknown = unknown_variables(names.into_iter().map(OsString::from));
        assert_eq!(unknown, ["PICKET_LISTN"]);
        let config = load_with(&[], &[("PICKET_LISTEN", "")]).unwrap();
        assert_eq!(config.listen.port(), 9000);
    }
}
