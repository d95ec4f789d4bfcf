//! Projects as lists show them (facts/management-api.md 4.1 and 4.2), and what all answers about a project share.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{self, Result};
use super::organizations::OrganizationBody;
use super::paging;
use super::search::SearchQuery;
use super::teams::TeamReference;
use super::users::AvatarBody;
use super::{Api, Call, InOrganization};
use crate::domain::Error;
use crate::domain::access::{Access, Caller};
use crate::domain::category::Category;
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::outcome::Outcome;
use crate::domain::scope::ScopeSet;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::http::{Request, Response};
use crate::store::environments;
use crate::store::ledger::{self, LedgerColumns, LedgerFilter, LedgerRange};
use crate::store::projects::{self, Project, ProjectFilter};
use crate::store::teams::{self, Team};

/// What Picket really does of the things that Sentry lists as a project's features.
const FEATURES: [&str; 3] = ["custom-inbound-filters", "minidump", "rate-limits"];

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
    features: [&'static str; 3],
    first_event: Option<Timestamp>,
    access: ScopeSet,
    #[serde(flatten)]
    seen: SeenBody,
}

/// Which kinds of data a project has had. The insights are Sentry's own readings of spans, which Picket does not make.
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
    fn of(
        call: &Call<'_>,
        project: &Project,
        team_ids: &[TeamId],
        access: &Access,
    ) -> Result<ProjectBody> {
        let is_bookmarked = match call.caller.user() {
            Some(user) => projects::is_bookmarked(&call.connection, user, project.id)?,
            None => false,
        };
        Ok(ProjectBody {
            id: project.id.to_string(),
            slug: project.slug.to_string(),
            name: project.name.clone(),
            platform: project.platform.clone(),
            date_created: project.created,
            is_bookmarked,
            is_member: access.is_in_any(team_ids),
            has_access: access.sees_project(team_ids),
            features: FEATURES,
            first_event: project.first_event,
            access: access.project_scopes(team_ids),
            seen: SeenBody::of(project),
        })
    }
}

impl SeenBody {
    fn of(project: &Project) -> SeenBody {
        let has = |kinds: &[StoredKind]| kinds.iter().any(|kind| project.has_seen(*kind));
        let feedback = has(&[StoredKind::Feedback]);
        SeenBody {
            first_transaction_event: has(&[StoredKind::Transaction]),
            has_monitors: has(&[StoredKind::CheckIn]),
            has_profiles: has(&[StoredKind::Profile, StoredKind::ProfileChunk]),
            has_replays: has(&[
                StoredKind::ReplayEvent,
                StoredKind::ReplayRecording,
                StoredKind::ReplayVideo,
            ]),
            has_feedbacks: feedback,
            has_new_feedbacks: feedback,
            has_sessions: has(&[StoredKind::Session, StoredKind::Sessions]),
            has_logs: has(&[StoredKind::Log]),
            has_trace_metrics: has(&[StoredKind::TraceMetric]),
            ..SeenBody::default()
        }
    }
}

/// What a project's events are of: the platform that it was given, once it has any.
pub(super) fn platforms(project: &Project) -> Vec<String> {
    match (&project.platform, project.first_event) {
        (Some(platform), Some(_)) => vec![platform.clone()],
        _ => Vec::new(),
    }
}

/// A project as the lists over all organizations, its teams and changes of its teams show it
/// (facts/management-api.md 4.1, the base).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectBaseBody {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<Vec<TeamReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationBody>,
}

impl ProjectBaseBody {
    /// Without its teams and its organization.
    pub(super) fn of(
        call: &Call<'_>,
        project: &Project,
        team_ids: &[TeamId],
        access: &Access,
    ) -> Result<ProjectBaseBody> {
        Ok(ProjectBaseBody {
            project: ProjectBody::of(call, project, team_ids, access)?,
            is_internal: false,
            is_public: false,
            avatar: AvatarBody::LETTER,
            color: color(&project.slug),
            status: "active",
            team: None,
            teams: None,
            organization: None,
        })
    }

    /// Of many, without their teams.
    pub(super) fn of_all(
        call: &Call<'_>,
        projects: &[Project],
        access: &Access,
    ) -> Result<Vec<ProjectBaseBody>> {
        let ids: Vec<ProjectId> = projects.iter().map(|project| project.id).collect();
        let teams = teams::list_of_projects(&call.connection, &ids)?;
        let bodies = projects.iter().map(|project| {
            let teams = teams
                .get(&project.id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let team_ids: Vec<TeamId> = teams.iter().map(|team| team.id).collect();
            ProjectBaseBody::of(call, project, &team_ids, access)
        });
        bodies.collect()
    }

    pub(super) fn with_organization(mut self, organization: OrganizationBody) -> ProjectBaseBody {
        self.organization = Some(organization);
        self
    }

    pub(super) fn with_teams(mut self, teams: &[Team]) -> ProjectBaseBody {
        self.team = teams.first().map(TeamReference::of);
        self.teams = Some(teams.iter().map(TeamReference::of).collect());
        self
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
    platforms: Vec<String>,
    has_user_reports: bool,
    environments: Vec<String>,
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

impl Series {
    /// The `statsPeriod` of a request, one of these.
    ///
    /// # Errors
    /// 400, in the old envelope: another one.
    pub(super) fn of_period(request: &Request, choices: &[&str]) -> Result<Series> {
        let text = request.query_value("statsPeriod").unwrap_or_default();
        let period = Period::parse(&text).filter(|_| choices.contains(&text.as_str()));
        if period.is_none() && !text.is_empty() {
            let (last, others) = choices.split_last().unwrap_or((&"", &[]));
            let others: String = others.iter().map(|c| format!("'{c}', ")).collect();
            let text = format!("Invalid stats_period. Valid choices are '', {others}and '{last}'");
            return Err(error::legacy_parameter(&text).into());
        }
        Ok(Series {
            period,
            ..Series::default()
        })
    }
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
            project: ProjectBody::of(call, project, &team_ids, access)?,
            team: teams.first().map(TeamReference::of),
            teams: teams.iter().map(TeamReference::of).collect(),
            platforms: platforms(project),
            has_user_reports: project.has_seen(StoredKind::UserReport),
            environments: environments::list(&call.connection, project.id, Some(false))?
                .into_iter()
                .map(|environment| environment.name)
                .collect(),
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
        LedgerRange::in_steps(first, end, period.bucket_secs, call.request.received),
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

/// `GET O/projects/`: every project, also those of teams that the caller is not in; the bookmarked ones first, then by
/// slug, and with `all_projects=1` by slug alone. To an organization's token: those that have a team at all.
///
/// Sentry's `sessionStats` are absent: they are rates of sessions without a crash (getsentry/sentry, pull request
/// 26586), and Picket keeps sessions without looking into them. `collapse=unusedFeatures` has nothing to leave out.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let request = &call.request;
    let series = Series::of_period(request, &["1h", "24h", "7d", "14d", "30d", "90d"])?;
    let dataset = request.query_value("dataset").unwrap_or_default();
    if !["", "discover", "metricsEnhanced", "metrics"].contains(&dataset.as_str()) {
        let text = "dataset must be one of: , discover, metricsEnhanced, metrics";
        return Err(error::detail(400, text).into());
    }
    let series = Series {
        transactions: call.is_set("transactionStats"),
        options: request.query_values("options"),
        without_latest_deploys: request
            .query_values("collapse")
            .iter()
            .any(|what| what == "latestDeploys"),
        ..series
    };
    let query = request.query_value("query").unwrap_or_default();
    let mut filter = filter(SearchQuery::parse(&query), &call.caller, &context.access)?;
    let is_whole = call.is_set("all_projects");
    if let (Some(filter), Some(user), false) = (&mut filter, call.caller.user(), is_whole) {
        filter.first = projects::list_bookmarked(&call.connection, user)?;
    }
    let organization = context.organization.id;
    let fetch = |offset, limit| match &filter {
        Some(filter) => Ok(projects::page(
            &call.connection,
            api.store.orders(),
            organization,
            filter,
            offset,
            limit,
        )?),
        None => Ok(Vec::new()),
    };
    if is_whole {
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
