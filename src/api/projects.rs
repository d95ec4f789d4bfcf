//! Projects (facts/management-api.md 4.1, 4.2 and 6.1).
//!
//! The answers hold every field that clients read. Where Picket has a setting it is the one that ingestion goes by,
//! the organization's demands included; where it does nothing of the kind, the value says so.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::error::{self, Result};
use super::index::AvatarBody;
use super::organizations::OrganizationBody;
use super::paging;
use super::search::SearchQuery;
use super::teams::TeamReference;
use super::{Api, Call, InOrganization, InProject};
use crate::domain::Error;
use crate::domain::access::{Access, Caller};
use crate::domain::category::Category;
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::option::{self, InboundFilters, IngestSettings, Options};
use crate::domain::outcome::Outcome;
use crate::domain::scope::ScopeSet;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::ledger::{self, LedgerColumns, LedgerFilter, LedgerRange};
use crate::store::organizations;
use crate::store::projects::{self, Project, ProjectFilter};
use crate::store::teams::{self, Team};

/// What Picket really does of the things that Sentry lists as a project's features.
const FEATURES: [&str; 1] = ["rate-limits"];

/// What all answers about a project have (facts/management-api.md 4.1, the common block).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectBody {
    id: String,
    slug: String,
    name: String,
    platform: Option<String>,
    date_created: Timestamp,
    is_bookmarked: bool,
    is_member: bool,
    has_access: bool,
    features: [&'static str; 1],
    first_event: Option<Timestamp>,
    access: ScopeSet,
    #[serde(flatten)]
    seen: SeenBody,
}

/// What has been seen of a project's data beside its events: nothing, because events are all that Picket
/// looks into.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenBody {
    first_transaction_event: bool,
    has_minified_stack_trace: bool,
    has_monitors: bool,
    has_profiles: bool,
    has_replays: bool,
    has_feedbacks: bool,
    has_new_feedbacks: bool,
    has_flags: bool,
    has_sessions: bool,
    has_logs: bool,
    has_trace_metrics: bool,
    has_insights_http: bool,
    has_insights_db: bool,
    has_insights_assets: bool,
    has_insights_app_start: bool,
    has_insights_screen_load: bool,
    has_insights_vitals: bool,
    has_insights_caches: bool,
    has_insights_queues: bool,
    has_insights_agent_monitoring: bool,
    #[serde(rename = "hasInsightsMCP")]
    has_insights_mcp: bool,
}

impl ProjectBody {
    fn of(project: &Project, team_ids: &[TeamId], access: &Access) -> ProjectBody {
        ProjectBody {
            id: project.id.to_string(),
            slug: project.slug.to_string(),
            name: project.name.clone(),
            platform: project.platform.clone(),
            date_created: project.created,
            is_bookmarked: false,
            is_member: access.is_in_any(team_ids),
            has_access: access.sees_project(team_ids),
            features: FEATURES,
            first_event: project.first_event,
            access: access.project_scopes(team_ids),
            seen: SeenBody::default(),
        }
    }
}

/// A project as lists show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectSummaryBody {
    #[serde(flatten)]
    project: ProjectBody,
    /// The first of `teams`; null without any.
    team: Option<TeamReference>,
    teams: Vec<TeamReference>,
    platforms: [String; 0],
    has_user_reports: bool,
    environments: [String; 0],
    latest_release: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_deploys: Option<Value>,
    /// The stored ones of those that were asked for; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Points>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_stats: Option<Points>,
}

/// `[[UNIX seconds, count], ...]`, oldest first.
pub(super) type Points = Vec<(i64, u64)>;

/// What a list of projects is asked to add to each.
#[derive(Default)]
pub(super) struct Series {
    period: Option<Period>,
    transactions: bool,
    options: Vec<String>,
    without_latest_deploys: bool,
}

impl ProjectSummaryBody {
    pub(super) fn of_all(
        call: &Call<'_>,
        access: &Access,
        projects: Vec<Project>,
        series: &Series,
    ) -> Result<Vec<ProjectSummaryBody>> {
        let ids: Vec<ProjectId> = projects.iter().map(|project| project.id).collect();
        let mut teams = teams::list_of_projects(&call.connection, &ids)?;
        projects
            .iter()
            .map(|project| {
                let teams = teams.remove(&project.id).unwrap_or_default();
                ProjectSummaryBody::of(call, access, project, &teams, series)
            })
            .collect()
    }

    fn of(
        call: &Call<'_>,
        access: &Access,
        project: &Project,
        teams: &[Team],
        series: &Series,
    ) -> Result<ProjectSummaryBody> {
        let team_ids: Vec<TeamId> = teams.iter().map(|team| team.id).collect();
        let (mut stats, mut transaction_stats) = (None, None);
        if let Some(period) = series.period {
            let count =
                |categories: &[Category]| count_accepted(call, project.id, period, categories);
            stats = Some(count(&Category::ERRORS)?);
            if series.transactions {
                transaction_stats = Some(count(&[Category::Transaction])?);
            }
        }
        let options = if series.options.is_empty() {
            None
        } else {
            let stored: Map<String, Value> = projects::list_options(&call.connection, project.id)?
                .into_iter()
                .filter(|(name, _)| series.options.contains(name))
                .collect();
            Some(stored).filter(|stored| !stored.is_empty())
        };
        Ok(ProjectSummaryBody {
            project: ProjectBody::of(project, &team_ids, access),
            team: teams.first().map(TeamReference::of),
            teams: teams.iter().map(TeamReference::of).collect(),
            platforms: [],
            has_user_reports: false,
            environments: [],
            latest_release: None,
            latest_deploys: (!series.without_latest_deploys).then_some(Value::Null),
            options,
            stats,
            transaction_stats,
        })
    }
}

/// A `statsPeriod` of a list: so many buckets of such a length, the last of which holds the present.
#[derive(Clone, Copy)]
struct Period {
    buckets: i64,
    bucket_secs: i64,
}

impl Period {
    /// The words are the facts' (4.2); how long the buckets are, theirs do not say.
    fn parse(text: &str) -> Option<Period> {
        let (buckets, bucket_secs) = match text {
            "1h" => (60, 60),
            "24h" => (24, 3600),
            "7d" => (7, 86_400),
            "14d" => (14, 86_400),
            "30d" => (30, 86_400),
            "90d" => (90, 86_400),
            _ => return None,
        };
        Some(Period {
            buckets,
            bucket_secs,
        })
    }
}

fn count_accepted(
    call: &Call<'_>,
    project: ProjectId,
    period: Period,
    categories: &[Category],
) -> Result<Points> {
    let last = call.request.received.floor_to(period.bucket_secs);
    let first = last.plus_secs(-(period.buckets - 1) * period.bucket_secs);
    let end = last.plus_secs(period.bucket_secs);
    let filter = LedgerFilter {
        categories: categories.to_vec(),
        outcomes: vec![Outcome::Accepted],
        ..LedgerFilter::default()
    };
    let sums = ledger::sums(
        &call.connection,
        project,
        LedgerRange::in_steps(first, end, period.bucket_secs),
        LedgerColumns::default(),
        &filter,
    )?;
    let mut counts: BTreeMap<i64, u64> = (0..period.buckets)
        .map(|n| (first.secs() + n * period.bucket_secs, 0))
        .collect();
    for sum in sums {
        *counts.entry(sum.bucket.secs()).or_default() += sum.quantity;
    }
    Ok(counts.into_iter().collect())
}

/// `GET O/projects/`: every project, by slug, also those of teams that the caller is not in. To an
/// organization's token: those that have a team at all.
///
/// Sentry's `sessionStats` are not here: Picket keeps no sessions.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let request = &call.request;
    let period = match request.query_value("statsPeriod").as_deref() {
        None | Some("") => None,
        Some(text) => match Period::parse(text) {
            Some(period) => Some(period),
            None => {
                let text = "Invalid stats_period. Valid choices are '', '1h', '24h', '7d', '14d', '30d', and '90d'";
                return Err(error::legacy_parameter(text).into());
            }
        },
    };
    let dataset = request.query_value("dataset").unwrap_or_default();
    if !["", "discover", "metricsEnhanced", "metrics"].contains(&dataset.as_str()) {
        let text = "dataset must be one of: , discover, metricsEnhanced, metrics";
        return Err(error::detail(400, text).into());
    }
    let series = Series {
        period,
        transactions: call.is_set("transactionStats"),
        options: request.query_values("options"),
        without_latest_deploys: request
            .query_values("collapse")
            .iter()
            .any(|what| what == "latestDeploys"),
    };
    let query = request.query_value("query").unwrap_or_default();
    let filter = filter(SearchQuery::parse(&query), &call.caller, &context.access)?;
    let organization = context.organization.id;
    let fetch = |offset, limit| match &filter {
        Some(filter) => Ok(projects::list(
            &call.connection,
            organization,
            filter,
            offset,
            limit,
        )?),
        None => Ok(Vec::new()),
    };
    if call.is_set("all_projects") {
        let all = fetch(0, i64::MAX)?;
        let bodies = ProjectSummaryBody::of_all(&call, &context.access, all, &series)?;
        return Ok(Response::json(200, &bodies));
    }
    let paged = paging::by_offset(Page::read(request, PER_PAGE_MAX)?, fetch)?;
    let paged =
        paged.replace(|rows| ProjectSummaryBody::of_all(&call, &context.access, rows, &series))?;
    Ok(paged.answer(&api.prefix, request))
}

/// What a query asks for; none if nothing can match it, as with a key that the list does not know.
///
/// # Errors
/// 400: an `id` that is no number.
fn filter(query: SearchQuery, caller: &Caller, access: &Access) -> Result<Option<ProjectFilter>> {
    let mut filter = ProjectFilter {
        text: query.text,
        with_team: caller.user().is_none(),
        ..ProjectFilter::default()
    };
    for (key, values) in query.keys {
        match key.as_str() {
            "query" => filter.text = Some(values.join(" ")),
            "id" => {
                let Some(ids) = values.iter().map(|v| parse_id(v)).collect() else {
                    let text = "All 'id' values must be integers.";
                    return Err(error::legacy_parameter(text).into());
                };
                filter.ids = Some(ids);
            }
            "slug" => filter.slugs = Some(values),
            "team" => filter.team_slugs = Some(values),
            "!team" => filter.not_team_slugs = Some(values),
            "is_member" => filter.teams = Some(access.teams().map(|(id, _)| id).collect()),
            _ => return Ok(None),
        }
    }
    Ok(Some(filter))
}

/// Any whole number; one that is too large for an id becomes 0, which no object has.
pub(super) fn parse_id(text: &str) -> Option<i64> {
    let digits = text.trim();
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(0))
}

/// Which projects a list over the whole organization is asked for.
pub(super) enum AskedProjects {
    /// Those of the caller's teams.
    Mine,
    AllAccessible,
    These(Vec<ProjectId>),
}

/// Reads `project` and `projectSlug`, which are repeatable (facts/auth-and-tokens.md 6.4).
///
/// # Errors
/// 400: a project that is no number. `Forbidden`, for the whole request: one that is unknown or not the
/// caller's.
pub(super) fn asked_for(call: &Call<'_>, context: &InOrganization) -> Result<AskedProjects> {
    const ALL_ID: i64 = -1;
    const ALL_SLUG: &str = "$all";
    let ids: Option<Vec<i64>> = call
        .request
        .query_values("project")
        .iter()
        .map(|text| parse_id(text))
        .collect();
    let ids = ids
        .ok_or_else(|| error::detail(400, "Invalid project parameter. Values must be numbers."))?;
    let slugs = call.request.query_values("projectSlug");
    if ids.contains(&ALL_ID) || slugs.iter().any(|slug| slug == ALL_SLUG) {
        return Ok(AskedProjects::AllAccessible);
    }
    let named: Vec<IdOrSlug> = ids
        .into_iter()
        .map(IdOrSlug::Id)
        .chain(slugs.into_iter().map(IdOrSlug::Slug))
        .collect();
    if named.is_empty() {
        return Ok(AskedProjects::Mine);
    }
    let mut found = Vec::new();
    for segment in named {
        let project = projects::find(&call.connection, context.organization.id, &segment)?
            .ok_or(Error::Forbidden)?;
        let teams = projects::list_team_ids(&call.connection, project.id)?;
        if !context.access.sees_project(&teams) {
            return Err(Error::Forbidden.into());
        }
        found.push(project.id);
    }
    Ok(AskedProjects::These(found))
}

/// A project with its settings (facts/management-api.md 6.1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectDetailBody {
    #[serde(flatten)]
    project: ProjectBody,
    is_internal: bool,
    is_public: bool,
    avatar: AvatarBody,
    color: String,
    status: &'static str,
    /// The first of `teams`; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<TeamReference>,
    teams: Vec<TeamReference>,
    latest_release: Option<Value>,
    options: Map<String, Value>,
    /// Seconds.
    digests_min_delay: u32,
    /// Seconds.
    digests_max_delay: u32,
    subject_prefix: &'static str,
    subject_template: &'static str,
    allowed_domains: Vec<String>,
    /// Hours; 0 is never.
    resolve_age: u32,
    data_scrubber: bool,
    data_scrubber_defaults: bool,
    safe_fields: Vec<String>,
    sensitive_fields: Vec<String>,
    store_crash_reports: Option<u32>,
    security_token: String,
    security_token_header: Option<String>,
    #[serde(rename = "verifySSL")]
    verify_ssl: bool,
    #[serde(rename = "scrubIPAddresses")]
    scrub_ip_addresses: bool,
    scrape_java_script: bool,
    enable_auto_release_creation: bool,
    highlight_tags: [String; 0],
    highlight_context: Map<String, Value>,
    highlight_preset: HighlightBody,
    /// No algorithm: events are not grouped.
    grouping_config: &'static str,
    grouping_enhancements: &'static str,
    derived_grouping_enhancements: &'static str,
    fingerprinting_rules: &'static str,
    secondary_grouping_config: Option<String>,
    secondary_grouping_expiry: u32,
    organization: OrganizationOfProject,
    platforms: [String; 0],
    processing_issues: u32,
    default_environment: Option<String>,
    relay_pii_config: Option<String>,
    builtin_symbol_sources: [String; 0],
    /// JSON within the JSON.
    symbol_sources: &'static str,
    dynamic_sampling_biases: Option<Value>,
    is_dynamically_sampled: bool,
    tempest_fetch_screenshots: bool,
    scm_source_context_enabled: bool,
    autofix_automation_tuning: &'static str,
    seer_scanner_automation: bool,
    seer_nightshift_tweaks: Option<Value>,
    debug_files_role: Option<String>,
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
    let InProject {
        organization,
        project,
        teams: team_ids,
        access,
    } = &context;
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
    let body = ProjectDetailBody {
        project: ProjectBody::of(project, team_ids, access),
        is_internal: false,
        is_public: false,
        avatar: AvatarBody::LETTER,
        color: color(&project.slug),
        status: "active",
        team: teams.first().map(TeamReference::of),
        teams: teams.iter().map(TeamReference::of).collect(),
        latest_release: None,
        allowed_domains: allowed_domains(&stored),
        options: options(&settings.filters, stored),
        digests_min_delay: 300,
        digests_max_delay: 1800,
        subject_prefix: "[Sentry] ",
        subject_template: "$shortID - $title",
        resolve_age: 0,
        data_scrubber: settings.scrubbing.data,
        data_scrubber_defaults: settings.scrubbing.defaults,
        safe_fields: settings.scrubbing.safe_fields,
        sensitive_fields: settings.scrubbing.sensitive_fields,
        store_crash_reports: None,
        security_token: project.security_token.clone(),
        security_token_header: None,
        verify_ssl: false,
        scrub_ip_addresses: settings.scrubbing.addresses,
        scrape_java_script: true,
        enable_auto_release_creation: true,
        highlight_tags: [],
        highlight_context: Map::new(),
        highlight_preset: HighlightBody {
            tags: [],
            context: Map::new(),
        },
        grouping_config: "",
        grouping_enhancements: "",
        derived_grouping_enhancements: "",
        fingerprinting_rules: "",
        secondary_grouping_config: None,
        secondary_grouping_expiry: 0,
        organization,
        platforms: [],
        processing_issues: 0,
        default_environment: None,
        relay_pii_config: None,
        builtin_symbol_sources: [],
        symbol_sources: "[]",
        dynamic_sampling_biases: None,
        is_dynamically_sampled: false,
        tempest_fetch_screenshots: false,
        scm_source_context_enabled: false,
        autofix_automation_tuning: "off",
        seer_scanner_automation: false,
        seer_nightshift_tweaks: None,
        debug_files_role: None,
        stats: asked("include", "stats").then_some(IssueCounts { unresolved: 0 }),
        has_alert_integration_installed: asked("expand", "hasAlertIntegration").then_some(false),
    };
    Ok(Response::json(200, &body))
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
fn options(filters: &InboundFilters, stored: Options) -> Map<String, Value> {
    let mut options: Map<String, Value> = stored
        .into_iter()
        .filter(|(name, _)| name.starts_with("filters:"))
        .collect();
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

/// `#rrggbb` of half saturation and half lightness, with a hue hashed from the slug in upper case.
fn color(slug: &Slug) -> String {
    let hash = Sha256::digest(slug.as_str().to_ascii_uppercase().as_bytes());
    let hue = f64::from(u16::from_be_bytes([hash[0], hash[1]]) >> 4) / 4096.0;
    let channel = |shift: f64| {
        // The triangle that a full turn of the hue makes of one channel, between a quarter and three quarters.
        let turn = (hue + shift).rem_euclid(1.0) * 6.0;
        let height = (2.0 - (turn - 3.0).abs()).clamp(0.0, 1.0);
        (255.0 * (0.25 + 0.5 * (1.0 - height))) as u8
    };
    format!(
        "#{:02x}{:02x}{:02x}",
        channel(0.0),
        channel(-1.0 / 3.0),
        channel(1.0 / 3.0)
    )
}
