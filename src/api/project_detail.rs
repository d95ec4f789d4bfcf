//! One project with its settings (facts/management-api.md 6).
//!
//! The answer holds every field that clients read. What governs ingestion is shown as ingestion goes by it, the
//! organization's demands included; other settings are shown as they were set.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::Result;
use super::organizations::OrganizationBody;
use super::projects::{ProjectBaseBody, platforms};
use super::{Api, Call, InProject};
use crate::domain::option::{self, InboundFilters, IngestSettings, Options};
use crate::domain::project_setting as setting;
use crate::http::Response;
use crate::store::{organizations, projects, teams};

/// A project with its settings (facts/management-api.md 6.1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectDetailBody {
    #[serde(flatten)]
    project: ProjectBaseBody,
    latest_release: Option<Value>,
    options: Map<String, Value>,
    /// Seconds.
    digests_min_delay: i64,
    /// Seconds.
    digests_max_delay: i64,
    subject_prefix: String,
    subject_template: String,
    allowed_domains: Vec<String>,
    /// Hours; 0 is never.
    resolve_age: i64,
    data_scrubber: bool,
    data_scrubber_defaults: bool,
    safe_fields: Vec<String>,
    sensitive_fields: Vec<String>,
    store_crash_reports: Value,
    security_token: String,
    security_token_header: Value,
    #[serde(rename = "verifySSL")]
    verify_ssl: bool,
    #[serde(rename = "scrubIPAddresses")]
    scrub_ip_addresses: bool,
    scrape_java_script: bool,
    enable_auto_release_creation: bool,
    highlight_tags: Value,
    highlight_context: Value,
    highlight_preset: HighlightBody,
    /// No algorithm: events are not grouped.
    grouping_config: &'static str,
    grouping_enhancements: String,
    derived_grouping_enhancements: &'static str,
    fingerprinting_rules: String,
    secondary_grouping_config: Option<String>,
    secondary_grouping_expiry: u32,
    organization: OrganizationOfProject,
    platforms: Vec<String>,
    processing_issues: u32,
    default_environment: Value,
    relay_pii_config: Option<String>,
    builtin_symbol_sources: Value,
    /// JSON within the JSON.
    symbol_sources: String,
    dynamic_sampling_biases: Option<Value>,
    is_dynamically_sampled: bool,
    tempest_fetch_screenshots: bool,
    scm_source_context_enabled: bool,
    autofix_automation_tuning: &'static str,
    seer_scanner_automation: bool,
    seer_nightshift_tweaks: Option<Value>,
    debug_files_role: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<IssueCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_alert_integration_installed: Option<bool>,
}

#[derive(Serialize)]
struct HighlightBody {
    tags: [String; 0],
    context: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OrganizationOfProject {
    Whole(Box<OrganizationBody>),
    /// `collapse=organization`.
    Reference {
        id: String,
        slug: String,
    },
}

/// `include=stats`.
#[derive(Serialize)]
struct IssueCounts {
    /// None: there are no issues.
    unresolved: u32,
}

/// `GET P/`: the project with its settings.
pub(super) fn get(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    answer(api, &call, &context)
}

/// The project as it is now.
pub(super) fn answer(api: &Api, call: &Call<'_>, context: &InProject) -> Result<Response> {
    let InProject {
        organization,
        project,
        access,
        ..
    } = context;
    let asked =
        |name: &str, value: &str| call.request.query_values(name).iter().any(|v| v == value);
    let teams = teams::list_of_projects(&call.connection, &[project.id])?
        .remove(&project.id)
        .unwrap_or_default();
    let stored: Options = projects::list_options(&call.connection, project.id)?
        .into_iter()
        .collect();
    let of_organization = organizations::list_options(&call.connection, organization.id)?;
    let settings = IngestSettings::of(&stored, &of_organization);
    let organization = if asked("collapse", "organization") {
        OrganizationOfProject::Reference {
            id: organization.id.to_string(),
            slug: organization.slug.to_string(),
        }
    } else {
        let body = OrganizationBody::of(organization, &api.prefix).with_features();
        OrganizationOfProject::Whole(Box::new(body))
    };
    let kept = Kept(&stored);
    let base = ProjectBaseBody::of(call, project, &context.teams, access)?.with_teams(&teams);
    let body = ProjectDetailBody {
        project: base,
        latest_release: None,
        allowed_domains: allowed_domains(&stored),
        options: options(&settings.filters, &stored),
        digests_min_delay: kept.number(setting::DIGESTS_MIN_DELAY, setting::DIGESTS_DELAY_SECS.0),
        digests_max_delay: kept.number(setting::DIGESTS_MAX_DELAY, setting::DIGESTS_DELAY_SECS.1),
        subject_prefix: kept.text(setting::SUBJECT_PREFIX, "[Sentry] "),
        subject_template: kept.text(setting::SUBJECT_TEMPLATE, "$shortID - $title"),
        resolve_age: kept.number(setting::RESOLVE_AGE, 0),
        data_scrubber: settings.scrubbing.data,
        data_scrubber_defaults: settings.scrubbing.defaults,
        safe_fields: settings.scrubbing.safe_fields,
        sensitive_fields: settings.scrubbing.sensitive_fields,
        store_crash_reports: kept.find(setting::STORE_CRASH_REPORTS),
        security_token: project.security_token.clone(),
        security_token_header: kept.find(setting::SECURITY_TOKEN_HEADER),
        verify_ssl: kept.switch(setting::VERIFY_SSL, false),
        scrub_ip_addresses: settings.scrubbing.addresses,
        scrape_java_script: kept.switch(setting::SCRAPE_JAVASCRIPT, true),
        enable_auto_release_creation: kept.switch(setting::AUTO_RELEASES, true),
        highlight_tags: kept.value(setting::HIGHLIGHT_TAGS, json!([])),
        highlight_context: kept.value(setting::HIGHLIGHT_CONTEXT, json!({})),
        highlight_preset: HighlightBody {
            tags: [],
            context: Map::new(),
        },
        grouping_config: "",
        grouping_enhancements: kept.text(setting::GROUPING_ENHANCEMENTS, ""),
        derived_grouping_enhancements: "",
        fingerprinting_rules: kept.text(setting::FINGERPRINTING_RULES, ""),
        secondary_grouping_config: None,
        secondary_grouping_expiry: 0,
        organization,
        platforms: platforms(project),
        processing_issues: 0,
        default_environment: kept.find(setting::DEFAULT_ENVIRONMENT),
        relay_pii_config: None,
        builtin_symbol_sources: kept.value(setting::BUILTIN_SYMBOL_SOURCES, json!([])),
        symbol_sources: kept.text(setting::SYMBOL_SOURCES, "[]"),
        dynamic_sampling_biases: None,
        is_dynamically_sampled: false,
        tempest_fetch_screenshots: false,
        scm_source_context_enabled: false,
        autofix_automation_tuning: "off",
        seer_scanner_automation: false,
        seer_nightshift_tweaks: None,
        debug_files_role: kept.find(setting::DEBUG_FILES_ROLE),
        stats: asked("include", "stats").then_some(IssueCounts { unresolved: 0 }),
        has_alert_integration_installed: asked("expand", "hasAlertIntegration").then_some(false),
    };
    Ok(Response::json(200, &body))
}

/// Settings that are shown as they were set, else with Sentry's defaults.
struct Kept<'a>(&'a Options);

impl Kept<'_> {
    /// Null where it was not set.
    fn find(&self, name: &str) -> Value {
        self.value(name, Value::Null)
    }

    fn value(&self, name: &str, default: Value) -> Value {
        self.0.get(name).cloned().unwrap_or(default)
    }

    fn text(&self, name: &str, default: &str) -> String {
        let text = self.0.get(name).and_then(Value::as_str);
        text.unwrap_or(default).to_owned()
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or(default)
    }

    fn switch(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }
}

/// The allowed domains, one pattern per entry; a project without the option takes all.
fn allowed_domains(stored: &Options) -> Vec<String> {
    match stored.get(option::ORIGINS).and_then(Value::as_str) {
        None => vec!["*".to_owned()],
        Some(lines) => lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}

/// The options that clients read (facts/management-api.md 6.4), as ingestion goes by them, and the other filters that
/// are set. Lists are texts, which Terraform insists on, under the names by which Sentry shows them; what fields of
/// the project say is not said again.
fn options(filters: &InboundFilters, stored: &Options) -> Map<String, Value> {
    let is_shown = |name: &str| {
        name.starts_with("filters:")
            || name == setting::TOOLBAR_ORIGINS
            || [option::RETENTION_DAYS, option::MAX_EVENTS_SIZE].contains(&name)
            || setting::KEPT_OPTIONS.contains(&name)
    };
    let mut options: Map<String, Value> = stored
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    options.entry("feedback:branding").or_insert(json!(true));
    for (name, value) in [
        ("filters:react-hydration-errors", filters.react_hydration),
        ("filters:chunk-load-error", filters.chunk_load),
        (option::CSP_DEFAULT_SOURCES, filters.csp_defaults),
    ] {
        options.insert(name.to_owned(), json!(value));
    }
    for (name, lines) in [
        ("filters:blacklisted_ips", &filters.addresses),
        ("filters:releases", &filters.releases),
        ("filters:error_messages", &filters.error_messages),
        ("filters:log_messages", &filters.log_messages),
        ("filters:trace_metric_names", &filters.metric_names),
        (option::CSP_SOURCES, &filters.csp_sources),
    ] {
        options.insert(name.to_owned(), json!(lines.join("\n")));
    }
    options.sort_keys();
    options
}
