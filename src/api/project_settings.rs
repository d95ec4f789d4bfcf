//! What changes and removes a project (facts/management-api.md 6.2 to 6.4).
//!
//! A setting that ingestion goes by holds for the very next event. The others are kept and read back
//! ([`crate::domain::project_setting`]); what would promise safety that is not there is refused. Who may only look at
//! the project sets a bookmark and nothing else.

use serde_json::{Value, json};

use super::body::{Fields, Given, Null, is_truthy};
use super::error::{self, Result};
use super::project_detail;
use super::{Api, Call, InProject};
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::option::{self, Kind, Options};
use crate::domain::project_setting as setting;
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet};
use crate::domain::slug::{IdOrSlug, Slug, SlugKind};
use crate::domain::{Error, FieldErrors, platform};
use crate::http::Response;
use crate::issues::rule_text;
use crate::store::projects::{self, OptionChange, ProjectChange};

const NAME_CHARS_MAX: usize = 200;

/// Every field that a PUT may have. With `project:read` alone a caller may set the first of them; a true value of any
/// other is refused, and one that is not true is left aside.
const FIELDS: [&str; 37] = [
    "isBookmarked",
    "name",
    "slug",
    "platform",
    "subjectPrefix",
    "subjectTemplate",
    "resolveAge",
    "digestsMinDelay",
    "digestsMaxDelay",
    "allowedDomains",
    "dataScrubber",
    "dataScrubberDefaults",
    "scrubIPAddresses",
    "verifySSL",
    "scrapeJavaScript",
    "enableAutoReleaseCreation",
    "sensitiveFields",
    "safeFields",
    "storeCrashReports",
    "relayPiiConfig",
    "securityToken",
    "securityTokenHeader",
    "defaultEnvironment",
    "highlightTags",
    "highlightContext",
    "groupingEnhancements",
    "fingerprintingRules",
    "groupingConfig",
    "secondaryGroupingConfig",
    "secondaryGroupingExpiry",
    "builtinSymbolSources",
    "symbolSources",
    "copy_from_project",
    "targetSampleRate",
    "dynamicSamplingBiases",
    "debugFilesRole",
    "options",
];

/// What a body asks for: what is absent stays.
#[derive(Default)]
struct Change {
    slug: Option<Slug>,
    name: Option<String>,
    platform: Option<String>,
    security_token: Option<String>,
    options: Vec<OptionChange>,
    digests: Digests,
    copied: Option<Copied>,
}

/// The project whose settings are asked for, and from which teams the caller may take its own project.
struct Copied {
    source: ProjectId,
    may_take: Vec<TeamId>,
}

impl Copied {
    /// Whether all teams that would lose the project are such that the caller may take it from them
    /// (facts/management-api.md 6.5).
    fn may_replace(&self, teams: &[TeamId], of_source: &[TeamId]) -> bool {
        let mut lost = teams.iter().filter(|team| !of_source.contains(team));
        lost.all(|team| self.may_take.contains(team))
    }
}

impl Change {
    /// Sets an option, or takes it away.
    fn set(&mut self, field: &str, option: &str, value: Option<Value>) {
        self.options.push(OptionChange {
            field: field.to_owned(),
            option: option.to_owned(),
            value,
        });
    }
}

/// The delays between two digests that a body asks for, in seconds.
#[derive(Clone, Copy, Default)]
struct Digests {
    shortest: Option<i64>,
    longest: Option<i64>,
}

impl Digests {
    const FIELD: &str = "digestsMinDelay";
    const TOO_LONG: &str = "The minimum delay on digests must be lower than the maximum.";

    /// Whether the shortest is no longer than the longest, when what is not asked for stays as it is stored. Always,
    /// if none is asked for.
    fn fit(self, stored: &Options) -> bool {
        if self.shortest.is_none() && self.longest.is_none() {
            return true;
        }
        let or_stored = |asked: Option<i64>, name: &str, default| {
            let stored = || stored.get(name).and_then(Value::as_i64);
            asked.or_else(stored).unwrap_or(default)
        };
        let (min_default, max_default) = setting::DIGESTS_DELAY_SECS;
        or_stored(self.shortest, setting::DIGESTS_MIN_DELAY, min_default)
            <= or_stored(self.longest, setting::DIGESTS_MAX_DELAY, max_default)
    }
}

/// `PUT P/`: 200 with the project as it is then, also when nothing changed.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let Some(user) = call.caller.user() else {
        return Ok(Response::empty(400));
    };
    let mut fields = call.body()?;
    let writes = may_write(&fields, &context)?;
    if fields.has("dynamicSamplingBiases") {
        let text = "dynamicSamplingBiases is not a valid field";
        return Err(error::detail(403, text).into());
    }
    let bookmark = fields.boolean("isBookmarked", Null::Allowed).value();
    let mut change = Change::default();
    if writes {
        read_names(&mut fields, &mut change);
        read_ingestion(&mut fields, &mut change);
        read_kept(&mut fields, &mut change);
        read_digests(&mut fields, &call, &context, &mut change)?;
        read_rules(&mut fields, &mut change);
        read_symbols(&mut fields, &mut change);
        read_options(&mut fields, &mut change);
        refuse_what_is_not_there(&mut fields);
        change.copied = copied_project(&mut fields, &call, &context)?;
    }
    fields.finish()?;

    let actor = call.actor()?;
    let (organization, id) = (context.organization.id, context.project.id);
    let changed = api.store.write(move |unit| {
        let segment = IdOrSlug::Id(id.0);
        let old = projects::find(unit, organization, &segment)?.ok_or(Error::NotFound)?;
        if let Some(on) = bookmark {
            projects::set_bookmark(unit, user, id, on)?;
        }
        if !writes {
            return Ok(old);
        }
        if let Some(copied) = &change.copied {
            if !projects::is_in(unit, organization, copied.source)? {
                return Err(refusal(COPIED, NOT_COPIED));
            }
            let teams = projects::list_team_ids(unit, id)?;
            if !copied.may_replace(&teams, &projects::list_team_ids(unit, copied.source)?) {
                return Err(Error::Forbidden);
            }
            projects::copy_settings(unit, &actor, copied.source, &old)?;
        }
        let stored: Options = projects::list_options(unit, id)?.into_iter().collect();
        if !change.digests.fit(&stored) {
            return Err(refusal(Digests::FIELD, Digests::TOO_LONG));
        }
        let new = ProjectChange {
            slug: change.slug.clone().unwrap_or_else(|| old.slug.clone()),
            name: change.name.clone().unwrap_or_else(|| old.name.clone()),
            platform: change.platform.clone().or_else(|| old.platform.clone()),
            security_token: change
                .security_token
                .clone()
                .unwrap_or_else(|| old.security_token.clone()),
            options: change.options.clone(),
        };
        projects::change(unit, &actor, &old, stored, &new)?;
        projects::find(unit, organization, &segment)?.ok_or(Error::NotFound)
    });
    let project = match changed {
        Err(Error::Conflict(other)) => {
            let text = format!("Another project ({other}) is already using that slug");
            return Err(error::field(400, "slug", &text).into());
        }
        changed => changed?,
    };
    let teams = projects::list_team_ids(&call.connection, project.id)?;
    let context = InProject {
        project,
        teams,
        ..context
    };
    project_detail::answer(api, &call, &context)
}

/// One field's error.
fn refusal(field: &str, text: &str) -> Error {
    let mut wrong = FieldErrors::default();
    wrong.add(field, text);
    Error::Invalid(wrong)
}

const WRITES: [Scope; 2] = [Scope::ProjectWrite, Scope::ProjectAdmin];

/// Whether the caller may set more than a bookmark.
///
/// # Errors
/// `Forbidden`: it may not, and asks for more.
fn may_write(fields: &Fields, context: &InProject) -> Result<bool> {
    let writes = ScopeSet::of(&WRITES);
    let scopes = context.access.project_scopes(&context.teams);
    let asks_for_more = || FIELDS[1..].iter().any(|name| fields.is_truthy(name));
    let may_write = scopes.intersects(writes);
    if !may_write && asks_for_more() {
        return Err(Error::Forbidden.into());
    }
    Ok(may_write)
}

fn read_names(fields: &mut Fields, change: &mut Change) {
    if let Given::Value(name) = fields.filled_text("name", NAME_CHARS_MAX, Null::Allowed) {
        change.name = Some(name);
    }
    if let Given::Value(slug) = fields.slug("slug", SlugKind::Project, Null::Allowed) {
        change.slug = Some(slug);
    }
    // A blank one is taken and does not clear the stored one.
    if let Given::Value(text) = fields.text("platform", 64, Null::Allowed) {
        if !platform::is_allowed(&text) {
            fields.refuse("platform", "Invalid platform");
        } else if !text.is_empty() {
            change.platform = Some(text);
        }
    }
    let is_token = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-+/=".contains(c) || c.is_whitespace())
    };
    if let Given::Value(token) = fields.text("securityToken", 255, Null::Allowed) {
        if is_token(&token) {
            change.security_token = Some(token);
        } else {
            fields.refuse("securityToken", PATTERN);
        }
    }
    let is_header = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if let Given::Value(header) = fields.text("securityTokenHeader", 64, Null::Allowed) {
        if is_header(&header) {
            change.set(
                "securityTokenHeader",
                setting::SECURITY_TOKEN_HEADER,
                Some(json!(header)),
            );
        } else {
            fields.refuse("securityTokenHeader", PATTERN);
        }
    }
}

const PATTERN: &str = "This value does not match the required pattern.";

/// What governs the next event.
fn read_ingestion(fields: &mut Fields, change: &mut Change) {
    if let Given::Value(domains) = fields.texts("allowedDomains", Null::Allowed) {
        let mut wrong = FieldErrors::default();
        for (index, domain) in domains.iter().enumerate() {
            if domain.ends_with(":*") {
                let text = format!(
                    "{domain} is not an acceptable domain. Wildcard ports are not allowed."
                );
                wrong.add(&index.to_string(), text);
            }
        }
        let domains: Vec<String> = domains.into_iter().filter(|d| !d.is_empty()).collect();
        if domains.is_empty() {
            let text = "Empty value will block all requests, use * to accept from all domains";
            wrong.texts.push(text.to_owned());
        }
        fields.refuse_parts("allowedDomains", wrong);
        change.set(
            "allowedDomains",
            option::ORIGINS,
            Some(json!(domains.join("\n"))),
        );
    }
    for (field, name) in [
        ("dataScrubber", option::SCRUB_DATA),
        ("dataScrubberDefaults", option::SCRUB_DEFAULTS),
        ("scrubIPAddresses", option::SCRUB_ADDRESSES),
    ] {
        if let Given::Value(on) = fields.boolean(field, Null::Allowed) {
            change.set(field, name, Some(json!(on)));
        }
    }
    for (field, name, what) in [
        ("sensitiveFields", option::SENSITIVE_FIELDS, "sensitive"),
        ("safeFields", option::SAFE_FIELDS, "safe"),
    ] {
        if let Given::Value(list) = fields.field_names(field, what, Null::Allowed) {
            change.set(field, name, Some(json!(list)));
        }
    }
}

/// What is read back as it was set.
fn read_kept(fields: &mut Fields, change: &mut Change) {
    if let Given::Value(text) = fields.text("subjectPrefix", 200, Null::Allowed) {
        change.set("subjectPrefix", setting::SUBJECT_PREFIX, Some(json!(text)));
    }
    if let Given::Value(text) = fields.filled_text("subjectTemplate", 200, Null::Allowed) {
        change.set(
            "subjectTemplate",
            setting::SUBJECT_TEMPLATE,
            Some(json!(text)),
        );
    }
    match fields.integer("resolveAge", 0, i64::from(i32::MAX)) {
        Given::Absent => {}
        Given::Null => change.set("resolveAge", setting::RESOLVE_AGE, Some(json!(0))),
        Given::Value(hours) => change.set("resolveAge", setting::RESOLVE_AGE, Some(json!(hours))),
    }
    for (field, name) in [
        ("verifySSL", setting::VERIFY_SSL),
        ("scrapeJavaScript", setting::SCRAPE_JAVASCRIPT),
        ("enableAutoReleaseCreation", setting::AUTO_RELEASES),
    ] {
        if let Given::Value(on) = fields.boolean(field, Null::Allowed) {
            change.set(field, name, Some(json!(on)));
        }
    }
    match fields.integer("storeCrashReports", -1, 100) {
        Given::Absent => {}
        Given::Null => change.set("storeCrashReports", setting::STORE_CRASH_REPORTS, None),
        Given::Value(count) => {
            let count = Some(json!(count));
            change.set("storeCrashReports", setting::STORE_CRASH_REPORTS, count);
        }
    }
    match fields.text("defaultEnvironment", 64, Null::Allowed) {
        Given::Absent => {}
        Given::Null => change.set("defaultEnvironment", setting::DEFAULT_ENVIRONMENT, None),
        Given::Value(name) => {
            let name = Some(json!(name));
            change.set("defaultEnvironment", setting::DEFAULT_ENVIRONMENT, name);
        }
    }
    if let Given::Value(tags) = fields.texts("highlightTags", Null::Allowed) {
        change.set("highlightTags", setting::HIGHLIGHT_TAGS, Some(json!(tags)));
    }
    if let Given::Value(map) = fields.map("highlightContext", Null::Allowed) {
        let is_list = |value: &Value| {
            let list = value.as_array();
            list.is_some_and(|list| list.iter().all(Value::is_string))
        };
        if map.values().all(is_list) {
            let map = Some(Value::Object(map));
            change.set("highlightContext", setting::HIGHLIGHT_CONTEXT, map);
        } else {
            fields.refuse("highlightContext", "Each value must be a list of strings.");
        }
    }
    let roles = OrganizationRole::ALL.map(OrganizationRole::as_str);
    match fields.choice("debugFilesRole", &roles, Null::Allowed, false) {
        Given::Absent => {}
        Given::Null => change.set("debugFilesRole", setting::DEBUG_FILES_ROLE, None),
        Given::Value(role) => {
            change.set(
                "debugFilesRole",
                setting::DEBUG_FILES_ROLE,
                Some(json!(role)),
            );
        }
    }
}

/// Whether they fit is asked here for one answer with all that is wrong, and again where they are written.
fn read_digests(
    fields: &mut Fields,
    call: &Call<'_>,
    context: &InProject,
    change: &mut Change,
) -> Result<()> {
    const RANGE_SECS: (i64, i64) = (60, 3600);
    let mut delay = |name: &str| fields.integer(name, RANGE_SECS.0, RANGE_SECS.1).value();
    let asked = Digests {
        shortest: delay(Digests::FIELD),
        longest: delay("digestsMaxDelay"),
    };
    change.digests = asked;
    let stored: Options = projects::list_options(&call.connection, context.project.id)?
        .into_iter()
        .collect();
    if !asked.fit(&stored) {
        fields.refuse(Digests::FIELD, Digests::TOO_LONG);
    }
    for (field, name, secs) in [
        (Digests::FIELD, setting::DIGESTS_MIN_DELAY, asked.shortest),
        ("digestsMaxDelay", setting::DIGESTS_MAX_DELAY, asked.longest),
    ] {
        if let Some(secs) = secs {
            change.set(field, name, Some(json!(secs)));
        }
    }
    Ok(())
}

/// Rules about grouping: their form is checked, grouping itself is not there yet.
fn read_rules(fields: &mut Fields, change: &mut Change) {
    type Check = fn(&str) -> Result<(), rule_text::WrongLine>;
    let languages: [(&str, &str, Check); 2] = [
        (
            "groupingEnhancements",
            setting::GROUPING_ENHANCEMENTS,
            rule_text::check_enhancements,
        ),
        (
            "fingerprintingRules",
            setting::FINGERPRINTING_RULES,
            rule_text::check_fingerprinting,
        ),
    ];
    for (field, name, check) in languages {
        if let Given::Value(text) = fields.text(field, 100_000, Null::Allowed) {
            match check(&text) {
                Ok(()) => change.set(field, name, Some(json!(text))),
                Err(wrong) => {
                    let text = format!("Invalid syntax in line {}: {}", wrong.number, wrong.text);
                    fields.refuse(field, text);
                }
            }
        }
    }
}

fn read_symbols(fields: &mut Fields, change: &mut Change) {
    if let Given::Value(list) = fields.texts("builtinSymbolSources", Null::Allowed) {
        change.set(
            "builtinSymbolSources",
            setting::BUILTIN_SYMBOL_SOURCES,
            Some(json!(list)),
        );
    }
    if let Given::Value(text) = fields.text("symbolSources", 100_000, Null::Allowed) {
        let is_list = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_array());
        if text.is_empty() || is_list {
            let text = if text.is_empty() { "[]" } else { &text };
            change.set("symbolSources", setting::SYMBOL_SOURCES, Some(json!(text)));
        } else {
            fields.refuse("symbolSources", "This must be a list in JSON.");
        }
    }
}

/// The map `options`: what it knows is set, what it does not know is ignored.
fn read_options(fields: &mut Fields, change: &mut Change) {
    const NAME: &str = "options";
    let Given::Value(mut map) = fields.map(NAME, Null::Allowed) else {
        return;
    };
    let mut wrong = FieldErrors::default();
    let lists = [
        ("filters:blacklisted_ips", option::BLOCKED_ADDRESSES, true),
        ("filters:releases", option::BLOCKED_RELEASES, true),
        (
            "filters:error_messages",
            option::BLOCKED_ERROR_MESSAGES,
            false,
        ),
        ("filters:log_messages", option::BLOCKED_LOG_MESSAGES, false),
        (
            "filters:trace_metric_names",
            option::BLOCKED_METRIC_NAMES,
            false,
        ),
        ("sentry:csp_ignored_sources", option::CSP_SOURCES, false),
        ("sentry:origins", option::ORIGINS, false),
        ("sentry:safe_fields", option::SAFE_FIELDS, false),
        ("sentry:sensitive_fields", option::SENSITIVE_FIELDS, false),
        (setting::TOOLBAR_ORIGINS, setting::TOOLBAR_ORIGINS, false),
    ];
    for (key, name, without_case) in lists {
        let Some(value) = map.remove(key) else {
            continue;
        };
        let value = match value {
            Value::String(text) if without_case => json!(text.to_lowercase()),
            Value::Null => json!(""),
            value => value,
        };
        let kind = match name {
            option::BLOCKED_ADDRESSES => Kind::Addresses,
            _ => Kind::Lines,
        };
        match kind.check(&value) {
            Ok(value) => change.set(key, name, Some(value)),
            Err(text) => wrong.add(key, text),
        }
    }
    for (key, name) in [
        (
            "filters:react-hydration-errors",
            option::FILTER_REACT_HYDRATION,
        ),
        ("filters:chunk-load-error", option::FILTER_CHUNK_LOAD),
        (
            "sentry:csp_ignored_sources_defaults",
            option::CSP_DEFAULT_SOURCES,
        ),
        ("sentry:scrub_data", option::SCRUB_DATA),
        ("sentry:scrub_defaults", option::SCRUB_DEFAULTS),
        ("sentry:scrub_ip_address", option::SCRUB_ADDRESSES),
    ] {
        if let Some(value) = map.remove(key) {
            change.set(key, name, Some(json!(is_truthy(&value))));
        }
    }
    if let Some(hours) = map.remove("sentry:resolve_age") {
        let is_never = hours.is_null() || hours == "";
        let hours = if is_never { Some(0) } else { hours.as_i64() };
        match hours.filter(|hours| (0..=i64::from(i32::MAX)).contains(hours)) {
            Some(hours) => {
                change.set(
                    "sentry:resolve_age",
                    setting::RESOLVE_AGE,
                    Some(json!(hours)),
                );
            }
            None => wrong.add("sentry:resolve_age", "A valid integer is required."),
        }
    }
    if let Some(count) = map.remove("sentry:store_crash_reports") {
        match count.as_i64().filter(|count| (-1..=100).contains(count)) {
            _ if count.is_null() => {
                change.set(
                    "sentry:store_crash_reports",
                    setting::STORE_CRASH_REPORTS,
                    None,
                );
            }
            Some(count) => {
                let count = Some(json!(count));
                change.set(
                    "sentry:store_crash_reports",
                    setting::STORE_CRASH_REPORTS,
                    count,
                );
            }
            None => wrong.add("sentry:store_crash_reports", "A valid integer is required."),
        }
    }
    for (key, name) in [
        ("sentry:default_environment", setting::DEFAULT_ENVIRONMENT),
        ("mail:subject_prefix", setting::SUBJECT_PREFIX),
    ] {
        match map.remove(key) {
            None => {}
            Some(Value::String(text)) => change.set(key, name, Some(json!(text))),
            Some(Value::Null) => change.set(key, name, None),
            Some(_) => wrong.add(key, "Not a valid string."),
        }
    }
    for (name, kind) in [
        (option::RETENTION_DAYS, Kind::Days),
        (option::MAX_EVENTS_SIZE, Kind::Size),
    ] {
        match map.remove(name) {
            None => {}
            Some(Value::Null) => change.set(name, name, None),
            Some(value) => match kind.check(&value) {
                Ok(value) => change.set(name, name, Some(value)),
                Err(text) => wrong.add(name, text),
            },
        }
    }
    match map.remove("sentry:fingerprinting_rules") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => match rule_text::check_fingerprinting(&text) {
            Ok(()) => change.set(
                "sentry:fingerprinting_rules",
                setting::FINGERPRINTING_RULES,
                Some(json!(text)),
            ),
            Err(line) => {
                let text = format!("Invalid syntax in line {}: {}", line.number, line.text);
                wrong.add("sentry:fingerprinting_rules", text);
            }
        },
        Some(_) => wrong.add("sentry:fingerprinting_rules", "Not a valid string."),
    }
    if map
        .remove("sentry:relay_pii_config")
        .is_some_and(|value| is_truthy(&value))
    {
        wrong.add("sentry:relay_pii_config", NO_PII_CONFIG);
    }
    if map
        .remove("sentry:grouping_config")
        .is_some_and(|value| is_truthy(&value))
    {
        wrong.add(
            "sentry:grouping_config",
            "Grouping config cannot be manually set.",
        );
    }
    for key in setting::KEPT_OPTIONS {
        match map.remove(key) {
            None => {}
            Some(Value::Null) => change.set(key, key, None),
            Some(value) => change.set(key, key, Some(json!(is_truthy(&value)))),
        }
    }
    fields.refuse_parts(NAME, wrong);
}

const NO_PII_CONFIG: &str = "Advanced data scrubbing rules are not supported by this server.";

fn refuse_what_is_not_there(fields: &mut Fields) {
    for (field, what) in [
        ("groupingConfig", "Grouping config"),
        ("secondaryGroupingConfig", "Secondary grouping config"),
        ("secondaryGroupingExpiry", "Secondary grouping expiry"),
    ] {
        if fields.has(field) {
            fields.refuse(field, format!("{what} cannot be manually set."));
        }
    }
    if let Given::Value(text) = fields.text("relayPiiConfig", usize::MAX, Null::Allowed)
        && !text.is_empty()
    {
        fields.refuse("relayPiiConfig", NO_PII_CONFIG);
    }
    if fields.has("targetSampleRate") {
        let text = "Dynamic sampling is not supported by this server.";
        fields.refuse("targetSampleRate", text);
    }
}

const COPIED: &str = "copy_from_project";
const NOT_COPIED: &str = "Project to copy settings from not found.";

/// `copy_from_project`: another project of the organization, which the caller sees. Its teams come in place of the
/// project's own.
///
/// # Errors
/// `Forbidden`: a team would lose the project from which the caller may not take it.
fn copied_project(
    fields: &mut Fields,
    call: &Call<'_>,
    context: &InProject,
) -> Result<Option<Copied>> {
    let Given::Value(id) = fields.integer(COPIED, 1, i64::MAX) else {
        return Ok(None);
    };
    let segment = IdOrSlug::Id(id);
    let found = projects::find(&call.connection, context.organization.id, &segment)?;
    if let Some(source) = found {
        let teams = projects::list_team_ids(&call.connection, source.id)?;
        if context.access.sees_project(&teams) {
            let takes = |team: &TeamId| {
                let scopes = context.access.team_scopes(*team);
                scopes.intersects(ScopeSet::of(&WRITES))
            };
            let may_take = context.teams.iter().copied().filter(takes).collect();
            let copied = Copied {
                source: source.id,
                may_take,
            };
            if !copied.may_replace(&context.teams, &teams) {
                return Err(Error::Forbidden.into());
            }
            return Ok(Some(copied));
        }
    }
    fields.refuse(COPIED, NOT_COPIED);
    Ok(None)
}

/// `DELETE P/`: 204; hidden at once with all that it has, removed in the background.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let actor = call.actor()?;
    let project = context.project;
    api.store
        .write(move |unit| projects::delete(unit, &actor, &project))?;
    Ok(Response::empty(204))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_field_is_listed_twice() {
        let names: HashSet<&str> = FIELDS.into_iter().collect();
        assert_eq!(names.len(), FIELDS.len());
    }
}
