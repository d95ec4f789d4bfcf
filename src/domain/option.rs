//! Options of projects and organizations that govern ingestion: their names, their values, and what they add up
//! to. What is not listed here has no effect and is refused wherever options are set.
//!
//! The names are Sentry's own (facts/ingestion.md 8 and 9.1, facts/management-api.md 6 and 9), with three of ours:
//! [`DEFAULT_RATE_LIMIT`], [`RETENTION_DAYS`] and [`MAX_EVENTS_SIZE`].

use serde_json::{Value, json};

use super::address_range::AddressRange;
use super::key::RateLimit;
use super::origin::AllowedDomains;
use super::size;

pub(crate) const ORIGINS: &str = "sentry:origins";
pub(crate) const FILTER_LOCALHOST: &str = "filters:localhost";
pub(crate) const FILTER_BROWSER_EXTENSIONS: &str = "filters:browser-extensions";
pub(crate) const FILTER_LEGACY_BROWSERS: &str = "filters:legacy-browsers";
pub(crate) const FILTER_WEB_CRAWLERS: &str = "filters:web-crawlers";
pub(crate) const FILTER_TRANSACTIONS: &str = "filters:filtered-transaction";
pub(crate) const FILTER_REACT_HYDRATION: &str = "filters:react-hydration-errors";
pub(crate) const FILTER_CHUNK_LOAD: &str = "filters:chunk-load-error";
pub(crate) const FILTER_CUSTOM_ERRORS: &str = "filters:custom-error";
pub(crate) const CSP_DEFAULT_SOURCES: &str = "sentry:csp_ignored_sources_defaults";
pub(crate) const CSP_SOURCES: &str = "sentry:csp_ignored_sources";
pub(crate) const BLOCKED_ADDRESSES: &str = "sentry:blacklisted_ips";
pub(crate) const BLOCKED_RELEASES: &str = "sentry:releases";
pub(crate) const BLOCKED_ERROR_MESSAGES: &str = "sentry:error_messages";
pub(crate) const BLOCKED_LOG_MESSAGES: &str = "sentry:log_messages";
pub(crate) const BLOCKED_METRIC_NAMES: &str = "sentry:trace_metric_names";
pub(crate) const SCRUB_DATA: &str = "sentry:scrub_data";
pub(crate) const SCRUB_DEFAULTS: &str = "sentry:scrub_defaults";
pub(crate) const SCRUB_ADDRESSES: &str = "sentry:scrub_ip_address";
pub(crate) const SENSITIVE_FIELDS: &str = "sentry:sensitive_fields";
pub(crate) const SAFE_FIELDS: &str = "sentry:safe_fields";
pub(crate) const REQUIRE_SCRUB_DATA: &str = "sentry:require_scrub_data";
pub(crate) const REQUIRE_SCRUB_DEFAULTS: &str = "sentry:require_scrub_defaults";
pub(crate) const REQUIRE_SCRUB_ADDRESSES: &str = "sentry:require_scrub_ip_address";
/// Ours: the rate limit of an organization's keys that have none of their own; `{"count": 100, "window": 60}`.
pub(crate) const DEFAULT_RATE_LIMIT: &str = "picket:default_rate_limit";
/// Ours: after how many days what a project's clients sent is removed; false: as the server has it.
pub(crate) const RETENTION_DAYS: &str = "picket:retention_days";
/// Ours: how much of what a project's clients sent is kept, such as `500MiB`; false: as the server has it.
pub(crate) const MAX_EVENTS_SIZE: &str = "picket:max_events_size";

/// The consoles for which an organization may make projects (facts/management-api.md 4.3).
pub(crate) const CONSOLE_PLATFORMS: &str = "sentry:enabled_console_platforms";

/// Settings of an organization that only the API knows: shown as they were set, because whoever describes an
/// organization as code reads them back. Those without an effect yet concern what Picket does not have (issues, alerts,
/// debug files); [`ATTACHMENTS_ROLE`] has one.
pub(crate) const KEPT_ORGANIZATION_SETTINGS: [Kept; 11] = [
    Kept::switch("hideAiFeatures", "sentry:hide_ai_features", true),
    Kept::switch("allowSharedIssues", "picket:shared_issues", true),
    Kept::switch("enhancedPrivacy", "picket:enhanced_privacy", false),
    Kept::switch("scrapeJavaScript", "sentry:scrape_javascript", true),
    Kept::switch("allowJoinRequests", "sentry:join_requests", true),
    Kept::switch(
        "issueAlertsThreadFlag",
        "sentry:issue_alerts_thread_flag",
        true,
    ),
    Kept::switch(
        "metricAlertsThreadFlag",
        "sentry:metric_alerts_thread_flag",
        true,
    ),
    Kept::number("storeCrashReports", "sentry:store_crash_reports", 0),
    Kept::role("attachmentsRole", ATTACHMENTS_ROLE, "member"),
    Kept::role("debugFilesRole", "sentry:debug_files_role", "admin"),
    Kept::role("defaultRole", "picket:default_role", "member"),
];

/// Whether whoever made an organization agreed to have its data used together with others'. Picket uses none.
pub(crate) const AGGREGATED_DATA_CONSENT: &str = "sentry:aggregated_data_consent";

/// The least role that may download attachments.
pub(crate) const ATTACHMENTS_ROLE: &str = "sentry:attachments_role";

/// A setting that is shown as it was set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// The API's name.
    pub(crate) field: &'static str,
    /// The option's.
    pub(crate) option: &'static str,
    pub(crate) default: KeptValue,
}

/// A setting's default, which says what its values are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptValue {
    Switch(bool),
    Number(i64),
    /// A role in an organization.
    Role(&'static str),
}

impl Kept {
    const fn switch(field: &'static str, option: &'static str, default: bool) -> Kept {
        let default = KeptValue::Switch(default);
        Kept {
            field,
            option,
            default,
        }
    }

    const fn number(field: &'static str, option: &'static str, default: i64) -> Kept {
        let default = KeptValue::Number(default);
        Kept {
            field,
            option,
            default,
        }
    }

    const fn role(field: &'static str, option: &'static str, default: &'static str) -> Kept {
        let default = KeptValue::Role(default);
        Kept {
            field,
            option,
            default,
        }
    }

    /// The value that was set, else the default.
    pub(crate) fn value(self, options: &Options) -> Value {
        match options.get(self.option) {
            Some(set) => set.clone(),
            None => match self.default {
                KeptValue::Switch(on) => json!(on),
                KeptValue::Number(number) => json!(number),
                KeptValue::Role(role) => json!(role),
            },
        }
    }
}

/// What an option's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A list of texts; a text with one entry per line means the same. Stored as the latter.
    Lines,
    /// The same, each an address or a CIDR range.
    Addresses,
    /// `true`, `false`, or a list of names out of [`LEGACY_BROWSERS`].
    LegacyBrowsers,
    /// A number of days, or `false`.
    Days,
    /// A text such as `500MiB`, a number of bytes, or `false`.
    Size,
    /// `{"count": …, "window": …}`: at most `count` in `window` seconds; `false`: none.
    RateLimit,
}

pub(crate) const PROJECT_OPTIONS: &[(&str, Kind)] = &[
    (ORIGINS, Kind::Lines),
    (FILTER_LOCALHOST, Kind::Switch),
    (FILTER_BROWSER_EXTENSIONS, Kind::Switch),
    (FILTER_LEGACY_BROWSERS, Kind::LegacyBrowsers),
    (FILTER_WEB_CRAWLERS, Kind::Switch),
    (FILTER_TRANSACTIONS, Kind::Switch),
    (FILTER_REACT_HYDRATION, Kind::Switch),
    (FILTER_CHUNK_LOAD, Kind::Switch),
    (FILTER_CUSTOM_ERRORS, Kind::Lines),
    (CSP_DEFAULT_SOURCES, Kind::Switch),
    (CSP_SOURCES, Kind::Lines),
    (BLOCKED_ADDRESSES, Kind::Addresses),
    (BLOCKED_RELEASES, Kind::Lines),
    (BLOCKED_ERROR_MESSAGES, Kind::Lines),
    (BLOCKED_LOG_MESSAGES, Kind::Lines),
    (BLOCKED_METRIC_NAMES, Kind::Lines),
    (SCRUB_DATA, Kind::Switch),
    (SCRUB_DEFAULTS, Kind::Switch),
    (SCRUB_ADDRESSES, Kind::Switch),
    (SENSITIVE_FIELDS, Kind::Lines),
    (SAFE_FIELDS, Kind::Lines),
    (RETENTION_DAYS, Kind::Days),
    (MAX_EVENTS_SIZE, Kind::Size),
];

pub(crate) const ORGANIZATION_OPTIONS: &[(&str, Kind)] = &[
    (REQUIRE_SCRUB_DATA, Kind::Switch),
    (REQUIRE_SCRUB_DEFAULTS, Kind::Switch),
    (REQUIRE_SCRUB_ADDRESSES, Kind::Switch),
    (SENSITIVE_FIELDS, Kind::Lines),
    (SAFE_FIELDS, Kind::Lines),
    (DEFAULT_RATE_LIMIT, Kind::RateLimit),
    (CONSOLE_PLATFORMS, Kind::Lines),
];

/// The sub filters of the legacy browser filter under the names of today.
pub(crate) const LEGACY_BROWSERS_TODAY: [&str; 8] = [
    "ie",
    "edge",
    "safari",
    "firefox",
    "chrome",
    "opera",
    "android",
    "opera_mini",
];

/// The sub filters of the legacy browser filter: today's names, then those of older servers.
pub(crate) const LEGACY_BROWSERS: [&str; 17] = [
    "ie",
    "edge",
    "safari",
    "firefox",
    "chrome",
    "opera",
    "android",
    "opera_mini",
    "ie_pre_9",
    "ie9",
    "ie10",
    "ie11",
    "safari_pre_6",
    "opera_pre_15",
    "opera_mini_pre_8",
    "android_pre_4",
    "edge_pre_79",
];

impl Kind {
    /// The value as it is stored.
    ///
    /// # Errors
    /// One sentence about what is wrong with it.
    pub(crate) fn check(self, value: &Value) -> Result<Value, String> {
        match self {
            Kind::Switch => match value {
                Value::Bool(_) => Ok(value.clone()),
                _ => Err("this must be true or false".to_owned()),
            },
            Kind::Lines => match lines(value) {
                Some(lines) => Ok(Value::String(lines.join("\n"))),
                None => Err("this must be a list of strings".to_owned()),
            },
            Kind::Addresses => {
                let lines = lines(value).ok_or("this must be a list of addresses and ranges")?;
                match lines.iter().find(|line| line.parse::<AddressRange>().is_err()) {
                    Some(wrong) => Err(format!("{wrong:?} is no address or range")),
                    None => Ok(Value::String(lines.join("\n"))),
                }
            }
            Kind::LegacyBrowsers => match value {
                Value::Bool(_) => Ok(value.clone()),
                Value::Array(names) => {
                    let mut known = Vec::new();
                    for name in names {
                        match name.as_str() {
                            Some(name) if LEGACY_BROWSERS.contains(&name) => known.push(name),
                            _ => return Err(format!("{name} is not a valid choice.")),
                        }
                    }
                    known.sort_unstable();
                    known.dedup();
                    Ok(json!(known))
                }
                _ => Err("this must be true, false or a list of browsers".to_owned()),
            },
            Kind::Days | Kind::Size if *value == Value::Bool(false) => Ok(value.clone()),
            Kind::Days => match days(value) {
                Some(_) => Ok(value.clone()),
                None => Err(format!(
                    "this must be false or a whole number of days from 1 to {DAYS_MAX}"
                )),
            },
            Kind::Size => match bytes(value) {
                Some(_) => Ok(value.clone()),
                None => Err(
                    "this must be false or a size of at least 1MiB, such as \"500MiB\" or \"10GiB\""
                        .to_owned(),
                ),
            },
            Kind::RateLimit => match rate_limit(value) {
                _ if *value == Value::Bool(false) => Ok(Value::Bool(false)),
                Some(limit) if value.as_object().is_some_and(|table| table.len() == 2) => {
                    Ok(json!({ "count": limit.count, "window": limit.window_secs }))
                }
                _ => Err(
                    "this must be false or a table of count and window, whole numbers above zero, the window at most \
                     86400"
                        .to_owned(),
                ),
            },
        }
    }
}

/// Everything that decides what becomes of a project's items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngestSettings {
    pub(crate) allowed_domains: AllowedDomains,
    pub(crate) filters: InboundFilters,
    pub(crate) scrubbing: Scrubbing,
}

/// The inbound filters of a project (facts/ingestion.md 8), as they were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InboundFilters {
    pub(crate) localhost: bool,
    pub(crate) browser_extensions: bool,
    /// Names out of [`LEGACY_BROWSERS`]; empty: off.
    pub(crate) legacy_browsers: Vec<String>,
    /// The filter was switched on as a whole, with the versions of the name `default`.
    pub(crate) legacy_browsers_default: bool,
    pub(crate) web_crawlers: bool,
    /// Transactions that are health checks.
    pub(crate) health_checks: bool,
    pub(crate) react_hydration: bool,
    pub(crate) chunk_load: bool,
    /// Globs of exceptions, `type: value`.
    pub(crate) custom_errors: Vec<String>,
    /// Reports about what is known to come into every page are dropped.
    pub(crate) csp_defaults: bool,
    /// More of such sources, as patterns of origins.
    pub(crate) csp_sources: Vec<String>,
    /// Addresses and CIDR ranges of clients.
    pub(crate) addresses: Vec<String>,
    /// Globs.
    pub(crate) releases: Vec<String>,
    /// Globs.
    pub(crate) error_messages: Vec<String>,
    /// Globs of log bodies.
    pub(crate) log_messages: Vec<String>,
    /// Globs of metric names.
    pub(crate) metric_names: Vec<String>,
}

/// What is taken out of items before they are stored (facts/ingestion.md 9.1), of a project and its organization
/// together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scrubbing {
    /// The master switch for `defaults` and `sensitive_fields`.
    pub(crate) data: bool,
    pub(crate) defaults: bool,
    pub(crate) addresses: bool,
    /// Parts of keys or values, without case.
    pub(crate) sensitive_fields: Vec<String>,
    /// Keys or selectors that are left alone.
    pub(crate) safe_fields: Vec<String>,
}

/// What an organization demands of the scrubbing of all its projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequiredScrubbing {
    pub(crate) data: bool,
    pub(crate) defaults: bool,
    pub(crate) addresses: bool,
    /// Beside those of the project.
    pub(crate) sensitive_fields: Vec<String>,
    /// Beside those of the project.
    pub(crate) safe_fields: Vec<String>,
}

impl RequiredScrubbing {
    pub(crate) fn of(organization: &Options) -> RequiredScrubbing {
        RequiredScrubbing {
            data: switch(organization, REQUIRE_SCRUB_DATA, false),
            defaults: switch(organization, REQUIRE_SCRUB_DEFAULTS, false),
            addresses: switch(organization, REQUIRE_SCRUB_ADDRESSES, false),
            sensitive_fields: list(organization, SENSITIVE_FIELDS),
            safe_fields: list(organization, SAFE_FIELDS),
        }
    }
}

fn switch(options: &Options, name: &str, default: bool) -> bool {
    options
        .get(name)
        .and_then(Value::as_bool)
        .unwrap_or(default)
}

fn list(options: &Options, name: &str) -> Vec<String> {
    options.get(name).and_then(lines).unwrap_or_default()
}

/// The stored options of one project or organization.
pub(crate) type Options = std::collections::HashMap<String, Value>;

impl IngestSettings {
    /// What the options of a project and of its organization add up to. Unset options have Sentry's defaults.
    pub(crate) fn of(project: &Options, organization: &Options) -> IngestSettings {
        let required = RequiredScrubbing::of(organization);
        let on = |name: &str, default: bool| switch(project, name, default);
        let list = |name: &str| list(project, name);
        let both = |mut all: Vec<String>, name: &str| {
            all.extend(list(name));
            all
        };
        let legacy = project.get(FILTER_LEGACY_BROWSERS);
        IngestSettings {
            allowed_domains: match project.get(ORIGINS) {
                Some(Value::String(lines)) => AllowedDomains::parse(lines),
                _ => AllowedDomains::Any,
            },
            filters: InboundFilters {
                localhost: on(FILTER_LOCALHOST, false),
                browser_extensions: on(FILTER_BROWSER_EXTENSIONS, false),
                legacy_browsers: match legacy {
                    Some(Value::Array(names)) => names
                        .iter()
                        .filter_map(|name| Some(name.as_str()?.to_owned()))
                        .collect(),
                    _ => Vec::new(),
                },
                legacy_browsers_default: legacy == Some(&Value::Bool(true)),
                web_crawlers: on(FILTER_WEB_CRAWLERS, false),
                health_checks: on(FILTER_TRANSACTIONS, true),
                react_hydration: on(FILTER_REACT_HYDRATION, true),
                chunk_load: on(FILTER_CHUNK_LOAD, true),
                custom_errors: list(FILTER_CUSTOM_ERRORS),
                csp_defaults: on(CSP_DEFAULT_SOURCES, true),
                csp_sources: list(CSP_SOURCES),
                addresses: list(BLOCKED_ADDRESSES),
                releases: list(BLOCKED_RELEASES),
                error_messages: list(BLOCKED_ERROR_MESSAGES),
                log_messages: list(BLOCKED_LOG_MESSAGES),
                metric_names: list(BLOCKED_METRIC_NAMES),
            },
            scrubbing: Scrubbing {
                data: on(SCRUB_DATA, true) || required.data,
                defaults: on(SCRUB_DEFAULTS, true) || required.defaults,
                addresses: on(SCRUB_ADDRESSES, false) || required.addresses,
                sensitive_fields: both(required.sensitive_fields, SENSITIVE_FIELDS),
                safe_fields: both(required.safe_fields, SAFE_FIELDS),
            },
        }
    }
}

/// How much of what clients sent is kept; none is for ever, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) days: Option<u32>,
    pub(crate) bytes: Option<u64>,
}

/// A hundred years.
pub(crate) const DAYS_MAX: u32 = 36_500;
/// Less would be gone before anybody looked.
pub(crate) const BUDGET_BYTES_MIN: u64 = 1 << 20;

impl Budget {
    /// A project's own.
    pub(crate) fn of(project: &Options) -> Budget {
        Budget {
            days: project.get(RETENTION_DAYS).and_then(days),
            bytes: project.get(MAX_EVENTS_SIZE).and_then(bytes),
        }
    }
}

fn days(value: &Value) -> Option<u32> {
    let days = u32::try_from(value.as_u64()?).ok()?;
    (1..=DAYS_MAX).contains(&days).then_some(days)
}

fn bytes(value: &Value) -> Option<u64> {
    let bytes = match value {
        Value::String(text) => size::parse(text)?,
        value => value.as_u64()?,
    };
    (BUDGET_BYTES_MIN..=i64::MAX as u64)
        .contains(&bytes)
        .then_some(bytes)
}

/// The limit of an organization's keys that have none of their own.
pub(crate) fn default_rate_limit(organization: &Options) -> Option<RateLimit> {
    organization.get(DEFAULT_RATE_LIMIT).and_then(rate_limit)
}

/// Whether an organization may make projects of a console's platform.
pub(crate) fn allows_console(organization: &Options, platform: &str) -> bool {
    list(organization, CONSOLE_PLATFORMS)
        .iter()
        .any(|enabled| enabled == platform)
}

fn rate_limit(value: &Value) -> Option<RateLimit> {
    let number = |name: &str| value.get(name)?.as_i64();
    let limit = RateLimit::from_parts(number("count"), number("window"))?;
    (i64::from(limit.window_secs) <= RateLimit::WINDOW_SECS_MAX).then_some(limit)
}

/// The entries of a list, trimmed, without blank ones; none for a value of another kind.
fn lines(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<&str> = match value {
        Value::String(text) => text.lines().collect(),
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(
        texts
            .into_iter()
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}
