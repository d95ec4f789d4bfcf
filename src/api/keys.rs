//! Client keys (facts/management-api.md 7).

use serde::Serialize;

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::paging::{self, Paged};
use super::projects::{self, AskedProjects};
use super::{Api, Call, InOrganization, InProject};
use crate::domain::Error;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::OrganizationId;
use crate::domain::key::{
    BROWSER_SDK_CHOICES, BROWSER_SDK_RETIRED, BROWSER_SDK_VERSION, ClientKey, LoaderOptions,
    PublicKey, RateLimit, is_hex_32, random_label,
};
use crate::domain::option;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::http::{Request, Response};
use crate::store::client_keys::{self, KeyFilter, KeysOf, NewClientKey};
use crate::store::{Connection, organizations, projects as stored_projects, sightings, teams};

/// Key lists are the only ones with a shorter page (facts/management-api.md 1.9).
const KEYS_PER_PAGE: u32 = 10;

const LABEL_CHARS_MAX: usize = 64;

/// What a key may be used for. Picket knows only `user`, which an administrator cannot change; the others are
/// taken and have no effect, as in the original for everybody but superusers.
const USE_CASES: [&str; 5] = ["user", "profiling", "tempest", "demo", "escalating_issues"];

/// A key as the API shows it (7.1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyBody {
    /// The public half.
    id: String,
    /// The label, twice.
    name: String,
    label: String,
    public: String,
    secret: String,
    /// A number, unlike all other ids.
    project_id: i64,
    is_active: bool,
    rate_limit: Option<RateLimitBody>,
    /// The key's own limit, else the one that its organization has for such keys. Ours.
    effective_rate_limit: Option<RateLimitBody>,
    dsn: DsnBody,
    browser_sdk_version: String,
    browser_sdk: BrowserSdkBody,
    date_created: Timestamp,
    /// Ours: when it ends, because another one was made in its place; null for most.
    expires_at: Option<Timestamp>,
    dynamic_sdk_loader_options: LoaderOptionsBody,
}

#[derive(Serialize)]
pub(super) struct RateLimitBody {
    /// Seconds.
    window: u32,
    count: u64,
}

impl RateLimitBody {
    pub(super) fn of(limit: RateLimit) -> RateLimitBody {
        RateLimitBody {
            window: limit.window_secs,
            count: limit.count,
        }
    }
}

#[derive(Serialize)]
struct DsnBody {
    secret: String,
    public: String,
    csp: String,
    security: String,
    minidump: String,
    nel: String,
    unreal: String,
    crons: String,
    cdn: String,
    playstation: String,
    integration: String,
    otlp_traces: String,
    otlp_logs: String,
}

#[derive(Serialize)]
struct BrowserSdkBody {
    /// Value and label, which are the same.
    choices: [[&'static str; 2]; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoaderOptionsBody {
    has_replay: bool,
    has_performance: bool,
    has_debug: bool,
    has_feedback: bool,
    has_logs_and_metrics: bool,
}

impl KeyBody {
    /// `default_limit`: that of the organization.
    fn of(
        key: &ClientKey,
        prefix: &UrlPrefix,
        default_limit: Option<RateLimit>,
        now: Timestamp,
    ) -> KeyBody {
        let public = key.public.to_string();
        let label = if key.label.is_empty() {
            public.chars().take(14).collect()
        } else {
            key.label.clone()
        };
        KeyBody {
            id: public.clone(),
            name: label.clone(),
            label,
            public,
            secret: key.secret.clone(),
            project_id: key.project.0,
            is_active: key.is_valid(now),
            rate_limit: key.rate_limit.map(RateLimitBody::of),
            effective_rate_limit: key.rate_limit.or(default_limit).map(RateLimitBody::of),
            dsn: DsnBody {
                secret: prefix.secret_dsn(key),
                public: prefix.public_dsn(key.public, key.project),
                csp: prefix.keyed_url(key, "csp-report"),
                security: prefix.keyed_url(key, "security"),
                minidump: prefix.keyed_url(key, "minidump"),
                nel: prefix.keyed_url(key, "nel"),
                unreal: prefix.unreal_url(key),
                crons: prefix.crons_url(key),
                cdn: prefix.loader_url(key),
                playstation: prefix.keyed_url(key, "playstation"),
                integration: prefix.integration_url(key),
                otlp_traces: prefix.otlp_url(key, "traces"),
                otlp_logs: prefix.otlp_url(key, "logs"),
            },
            browser_sdk_version: key.browser_sdk_version.clone(),
            browser_sdk: BrowserSdkBody {
                choices: BROWSER_SDK_CHOICES.map(|version| [version, version]),
            },
            date_created: key.created,
            expires_at: key.expires,
            dynamic_sdk_loader_options: LoaderOptionsBody {
                has_replay: key.loader_options.has_replay,
                has_performance: key.loader_options.has_performance,
                has_debug: key.loader_options.has_debug,
                has_feedback: key.loader_options.has_feedback,
                has_logs_and_metrics: key.loader_options.has_logs_and_metrics,
            },
        }
    }
}

/// `GET P/keys/` (7.4): newest first.
pub(super) fn list(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let of = KeysOf::Project(context.project.id);
    let filter = status(&call.request).map(|valid| KeyFilter {
        valid,
        ..KeyFilter::default()
    });
    answer_page(api, &call, context.organization.id, of, filter)
}

/// `GET O/project-keys/` (7.7): the keys of the projects whose teams the caller is in, or of those that
/// `project` and `projectSlug` name; newest first.
pub(super) fn list_of_organization(
    api: &Api,
    call: Call<'_>,
    context: InOrganization,
) -> Result<Response> {
    let valid = status(&call.request);
    let mut filter = KeyFilter::default();
    if let Some(team) = call.request.query_value("team").filter(|t| !t.is_empty()) {
        let organization = context.organization.id;
        let team = teams::find(&call.connection, organization, &IdOrSlug::parse(&team))?
            .ok_or_else(|| error::detail(404, "Team not found"))?;
        filter.team = Some(team.id);
    }
    match projects::asked_for(&call, &context)? {
        AskedProjects::These(projects) => filter.projects = Some(projects),
        // To a token of the organization every project is its own.
        AskedProjects::Mine if call.caller.user().is_none() => {}
        AskedProjects::AllAccessible if context.access.sees_all() => {}
        AskedProjects::Mine | AskedProjects::AllAccessible => {
            filter.teams = Some(context.access.teams().map(|(id, _)| id).collect());
        }
    }
    let of = KeysOf::Organization(context.organization.id);
    let filter = valid.map(|valid| KeyFilter { valid, ..filter });
    answer_page(api, &call, context.organization.id, of, filter)
}

/// The parameter `status`: whether the keys are active, where it says so. None: a word that no key has.
fn status(request: &Request) -> Option<Option<(bool, Timestamp)>> {
    match request.query_value("status").as_deref() {
        None | Some("") => Some(None),
        Some("active") => Some(Some((true, request.received))),
        Some("inactive") => Some(Some((false, request.received))),
        Some(_) => None,
    }
}

fn default_limit(call: &Call<'_>, organization: OrganizationId) -> Result<Option<RateLimit>> {
    let options = organizations::list_options(&call.connection, organization)?;
    Ok(option::default_rate_limit(&options))
}

fn answer_page(
    api: &Api,
    call: &Call<'_>,
    organization: OrganizationId,
    of: KeysOf,
    filter: Option<KeyFilter>,
) -> Result<Response> {
    let page = Page::read(&call.request, KEYS_PER_PAGE)?;
    let paged: Paged<ClientKey> = paging::by_id(
        page,
        |key: &ClientKey| key.id.0,
        |place, limit| match &filter {
            Some(filter) => Ok(client_keys::list(
                &call.connection,
                of,
                filter,
                place,
                limit,
            )?),
            None => Ok(Vec::new()),
        },
    )?;
    let default_limit = default_limit(call, organization)?;
    Ok(paged
        .map(|key| KeyBody::of(&key, &api.prefix, default_limit, call.request.received))
        .answer(&api.prefix, &call.request))
}

/// What a request asks of a key's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitChange {
    Keep,
    Set(Option<RateLimit>),
}

/// The body of a POST (7.5). `isActive`, `browserSdkVersion` and `dynamicSdkLoaderOptions` are not for new
/// keys and are ignored like unknown fields.
struct NewKeyBody {
    label: String,
    limit: Option<RateLimit>,
    public: Option<PublicKey>,
    secret: Option<String>,
}

impl NewKeyBody {
    fn read(mut fields: Fields) -> Result<NewKeyBody> {
        let label = read_label(&mut fields);
        let limit = read_limit(&mut fields, "rateLimit", Null::Refused);
        let public = fields.pattern("public", Null::Allowed, is_hex_32);
        let secret = fields.pattern("secret", Null::Allowed, is_hex_32);
        fields.choice("useCase", &USE_CASES, Null::Refused, false);
        fields.finish()?;
        Ok(NewKeyBody {
            label: label.unwrap_or_else(random_label),
            limit: match limit {
                LimitChange::Keep => None,
                LimitChange::Set(limit) => limit,
            },
            public: public.value().as_deref().and_then(PublicKey::parse),
            secret: secret.value(),
        })
    }
}

/// The body of a PUT (7.6). Absent fields leave the key as it is, but for the version of the loader.
struct KeyChange {
    label: Option<String>,
    active: Option<bool>,
    limit: LimitChange,
    /// Absent and empty mean the default, not the old one.
    browser_sdk_version: String,
    loader_options: LoaderChange,
    expires: Given<Timestamp>,
}

/// The flags that a PUT names; the others keep their values.
#[derive(Default)]
struct LoaderChange {
    has_replay: Option<bool>,
    has_performance: Option<bool>,
    has_debug: Option<bool>,
    has_feedback: Option<bool>,
    has_logs_and_metrics: Option<bool>,
}

impl KeyChange {
    /// `there` is when the key ends now: a client may send back what it read.
    fn read(mut fields: Fields, now: Timestamp, there: Option<Timestamp>) -> Result<KeyChange> {
        let versions: Vec<&str> = BROWSER_SDK_CHOICES
            .into_iter()
            .chain(BROWSER_SDK_RETIRED)
            .collect();
        let label = read_label(&mut fields);
        let active = fields.boolean("isActive", Null::Refused);
        let limit = read_limit(&mut fields, "rateLimit", Null::Allowed);
        let version = fields.choice("browserSdkVersion", &versions, Null::Allowed, true);
        let loader_options = read_loader_options(&mut fields);
        let expires = fields.moment_ahead("expiresAt", now, there);
        fields.finish()?;
        Ok(KeyChange {
            label,
            active: active.value(),
            limit,
            browser_sdk_version: version
                .value()
                .unwrap_or_else(|| BROWSER_SDK_VERSION.to_owned()),
            loader_options,
            expires,
        })
    }

    fn apply(&self, key: &ClientKey, now: Timestamp) -> ClientKey {
        let old = key.loader_options;
        let new = &self.loader_options;
        ClientKey {
            label: self.label.clone().unwrap_or_else(|| key.label.clone()),
            active: self.active.unwrap_or(key.active),
            rate_limit: match self.limit {
                LimitChange::Keep => key.rate_limit,
                LimitChange::Set(limit) => limit,
            },
            browser_sdk_version: self.browser_sdk_version.clone(),
            expires: match self.expires {
                Given::Null => None,
                Given::Value(moment) if now < moment => Some(moment),
                // Switched on, a key that has ended goes on without an end: it would stay off otherwise.
                Given::Absent | Given::Value(_) => key
                    .expires
                    .filter(|end| now < *end || self.active != Some(true)),
            },
            loader_options: LoaderOptions {
                has_replay: new.has_replay.unwrap_or(old.has_replay),
                has_performance: new.has_performance.unwrap_or(old.has_performance),
                has_debug: new.has_debug.unwrap_or(old.has_debug),
                has_feedback: new.has_feedback.unwrap_or(old.has_feedback),
                has_logs_and_metrics: new.has_logs_and_metrics.unwrap_or(old.has_logs_and_metrics),
            },
            ..key.clone()
        }
    }
}

/// None where there is no name to take, which includes null and the empty string.
fn read_label(fields: &mut Fields) -> Option<String> {
    fields
        .text("name", LABEL_CHARS_MAX, Null::Allowed)
        .value()
        .filter(|label| !label.is_empty())
}

/// A limit: an object without members says nothing, and one whose numbers are not both above zero means
/// no limit. The original crashes when one of the two is missing; here that is an error of the field.
pub(super) fn read_limit(fields: &mut Fields, name: &str, null: Null) -> LimitChange {
    let mut limit = match fields.object(name, null) {
        Given::Absent => return LimitChange::Keep,
        Given::Null => return LimitChange::Set(None),
        Given::Value(limit) if limit.is_empty() => return LimitChange::Keep,
        Given::Value(limit) => limit,
    };
    limit.refuse_missing("count");
    limit.refuse_missing("window");
    let count = limit.integer("count", 0, i64::MAX).value();
    let window = limit
        .integer("window", 0, RateLimit::WINDOW_SECS_MAX)
        .value();
    fields.nest(name, limit);
    LimitChange::Set(RateLimit::from_parts(count, window))
}

fn read_loader_options(fields: &mut Fields) -> LoaderChange {
    const NAME: &str = "dynamicSdkLoaderOptions";
    let Given::Value(mut options) = fields.object(NAME, Null::Allowed) else {
        return LoaderChange::default();
    };
    let mut flag = |name| options.boolean(name, Null::Refused).value();
    let change = LoaderChange {
        has_replay: flag("hasReplay"),
        has_performance: flag("hasPerformance"),
        has_debug: flag("hasDebug"),
        has_feedback: flag("hasFeedback"),
        has_logs_and_metrics: flag("hasLogsAndMetrics"),
    };
    fields.nest(NAME, options);
    change
}

/// `POST P/keys/` (7.5): 201 with the key; 409 when another key of this server has the chosen public half.
pub(super) fn create(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let body = NewKeyBody::read(call.body()?)?;
    let actor = call.actor()?;
    let project = IdOrSlug::Id(context.project.id.0);
    let new = NewClientKey {
        organization: context.organization.id,
        project: context.project.id,
        public: body.public,
        secret: body.secret,
        label: body.label,
        rate_limit: body.limit,
    };
    let default_limit = default_limit(&call, context.organization.id)?;
    let key = api.store.write(move |unit| {
        // Gone since it was looked up.
        if stored_projects::find(unit, new.organization, &project)?.is_none() {
            return Err(Error::NotFound);
        }
        let id = client_keys::create(unit, &actor, &new)?;
        client_keys::find_by_id(unit, id)?
            .ok_or_else(|| Error::internal("a key that was just written is not there"))
    })?;
    Ok(Response::json(
        201,
        &KeyBody::of(&key, &api.prefix, default_limit, call.request.received),
    ))
}

/// `GET P/keys/{key_id}/`: also one that is not active.
pub(super) fn get(
    api: &Api,
    call: Call<'_>,
    context: InProject,
    key: ClientKey,
) -> Result<Response> {
    let default_limit = default_limit(&call, context.organization.id)?;
    let body = KeyBody::of(&key, &api.prefix, default_limit, call.request.received);
    Ok(Response::json(200, &body))
}

/// `PUT P/keys/{key_id}/` (7.6): 200 with the changed key. What the change leaves alone is read in the
/// transaction that writes it, so that two changes at once both hold.
pub(super) fn update(
    api: &Api,
    mut call: Call<'_>,
    context: InProject,
    key: ClientKey,
) -> Result<Response> {
    let now = call.request.received;
    let change = KeyChange::read(call.body()?, now, key.expires)?;
    let actor = call.actor()?;
    let organization = context.organization.id;
    let default_limit = default_limit(&call, organization)?;
    let key = api.store.write(move |unit| {
        let old = get_again(unit, organization, &key)?;
        let new = change.apply(&old, now);
        client_keys::update(unit, &actor, organization, &old, &new)?;
        Ok(new)
    })?;
    let body = KeyBody::of(&key, &api.prefix, default_limit, call.request.received);
    Ok(Response::json(200, &body))
}

/// A key as it is at the moment of a change.
///
/// # Errors
/// `NotFound`: it is gone since it was looked up, or its project is, perhaps to another organization.
fn get_again(
    connection: &Connection,
    organization: OrganizationId,
    key: &ClientKey,
) -> Result<ClientKey, Error> {
    if !stored_projects::is_in(connection, organization, key.project)? {
        return Err(Error::NotFound);
    }
    client_keys::find(connection, key.project, key.public)?.ok_or(Error::NotFound)
}

/// `DELETE P/keys/{key_id}/`: 204; the last key of a project may go too.
pub(super) fn delete(
    api: &Api,
    call: Call<'_>,
    context: InProject,
    key: ClientKey,
) -> Result<Response> {
    let actor = call.actor()?;
    let organization = context.organization.id;
    api.store.write(move |unit| {
        let key = get_again(unit, organization, &key)?;
        client_keys::delete(unit, &actor, organization, &key)
    })?;
    Ok(Response::empty(204))
}

/// How long a key that was replaced goes on by default.
const GRACE_SECS: i64 = 30 * 86_400;

/// `POST P/keys/{key_id}/rotate/` (ours): 201 with another key of the same name, limit and loader options. This one
/// goes on until `expiresAt`, so that applications can be told of the new one in the meantime; by default for 30 days,
/// or until it would have ended anyway.
pub(super) fn rotate(
    api: &Api,
    mut call: Call<'_>,
    context: InProject,
    key: ClientKey,
) -> Result<Response> {
    let now = call.request.received;
    let mut fields = call.body()?;
    let name = read_label(&mut fields);
    let ends = fields.moment_ahead("expiresAt", now, None).value();
    fields.finish()?;
    let actor = call.actor()?;
    let organization = context.organization.id;
    let default_limit = default_limit(&call, organization)?;
    let key = api.store.write(move |unit| {
        let old = get_again(unit, organization, &key)?;
        let label = name.as_deref().unwrap_or(&old.label);
        let id = client_keys::create_like(unit, &actor, organization, &old, label)?;
        let ends = ends.unwrap_or_else(|| {
            let grace = now.plus_secs(GRACE_SECS);
            old.expires.map_or(grace, |sooner| sooner.min(grace))
        });
        let ending = ClientKey {
            expires: Some(ends),
            ..old.clone()
        };
        client_keys::update(unit, &actor, organization, &old, &ending)?;
        client_keys::find_by_id(unit, id)?
            .ok_or_else(|| Error::internal("a key that was just written is not there"))
    })?;
    let body = KeyBody::of(&key, &api.prefix, default_limit, now);
    Ok(Response::json(201, &body))
}

/// Who used a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UseBody {
    sdk: Option<String>,
    release: Option<String>,
    environment: Option<String>,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

/// `GET P/keys/{key_id}/clients/` (ours): which SDKs, releases and environments used the key, last seen first, so that
/// it can be retired knowingly. Of each, the last time is right to a minute.
pub(super) fn clients(api: &Api, call: Call<'_>, _: InProject, key: ClientKey) -> Result<Response> {
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let paged = paging::by_offset(page, |offset, limit| {
        Ok(sightings::list_uses(
            &call.connection,
            key.id,
            offset,
            limit,
        )?)
    })?;
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(paged
        .map(|used| UseBody {
            sdk: filled(used.of.sdk),
            release: filled(used.of.release),
            environment: filled(used.of.environment),
            first_seen: used.first,
            last_seen: used.last,
        })
        .answer(&api.prefix, &call.request))
}
