//! Organizations (facts/management-api.md 3).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{self, Result};
use super::keys::RateLimitBody;
use super::paging;
use super::projects::{ProjectSummaryBody, Series};
use super::search::SearchQuery;
use super::teams::TeamBody;
use super::users::AvatarBody;
use super::{Api, Call, InOrganization, auth};
use crate::domain::access::{Access, Caller};
use crate::domain::dsn::UrlPrefix;
use crate::domain::option::{
    self, AGGREGATED_DATA_CONSENT, KEPT_ORGANIZATION_SETTINGS, RequiredScrubbing,
};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet, TeamRole};
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::organizations::{
    self, Organization, OrganizationFilter, OrganizationSlice, OrganizationsOf,
};
use crate::store::projects::{self, ProjectFilter};
use crate::store::{team_members, teams};

/// What every answer about an organization has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationBody {
    id: String,
    slug: String,
    name: String,
    status: StatusBody,
    date_created: Timestamp,
    is_early_adopter: bool,
    #[serde(rename = "require2FA")]
    require_2fa: bool,
    /// Hidden from the published document, and still required by sentry-cli.
    require_email_verification: bool,
    avatar: AvatarBody,
    allow_member_invite: bool,
    allow_member_project_creation: bool,
    allow_superuser_access: bool,
    links: LinksBody,
    has_auth_provider: bool,
    /// Names of Sentry's own switches, of which Picket has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<[String; 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_options: Option<Value>,
}

#[derive(Serialize)]
struct StatusBody {
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinksBody {
    organization_url: String,
    region_url: String,
}

impl OrganizationBody {
    /// Without `features` and `extraOptions`.
    pub(super) fn of(organization: &Organization, prefix: &UrlPrefix) -> OrganizationBody {
        let name = if organization.name.is_empty() {
            organization.slug.as_str()
        } else {
            &organization.name
        };
        OrganizationBody {
            id: organization.id.to_string(),
            slug: organization.slug.to_string(),
            name: name.to_owned(),
            status: StatusBody {
                id: "active",
                name: "active",
            },
            date_created: organization.created,
            is_early_adopter: organization.early_adopter,
            require_2fa: organization.require_2fa,
            require_email_verification: false,
            avatar: AvatarBody::LETTER,
            allow_member_invite: organization.policy.invite,
            allow_member_project_creation: organization.policy.create_projects,
            allow_superuser_access: organization.superuser_access,
            links: LinksBody {
                organization_url: prefix.to_string(),
                region_url: prefix.to_string(),
            },
            has_auth_provider: organization.single_sign_on.is_some(),
            features: None,
            extra_options: None,
        }
    }

    /// With `features` alone: sentry-cli fails on a list item without (facts/management-api.md 3.2).
    pub(super) fn with_features(mut self) -> OrganizationBody {
        self.features = Some([]);
        self
    }

    pub(super) fn pending_deletion(mut self) -> OrganizationBody {
        self.status = StatusBody {
            id: "pending_deletion",
            name: "pending deletion",
        };
        self
    }

    fn with_extra_options(mut self) -> OrganizationBody {
        let traces = json!({ "spansExtractionDate": 0, "checkSpanExtractionDate": false });
        self.extra_options = Some(json!({ "traces": traces }));
        self
    }
}

/// An organization that the caller owns.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnedBody {
    organization: OrganizationBody,
    /// Whether nobody else does.
    single_owner: bool,
}

/// An organization with its settings. The scrubbers are what it demands of all its projects, from its options. Where
/// nothing can be set, what stands here is what Picket does, or Sentry's value where it does nothing of the kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationDetailBody {
    #[serde(flatten)]
    summary: OrganizationBody,
    access: ScopeSet,
    onboarding_tasks: [(); 0],
    /// The caller's; absent for one without.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_role: Option<&'static str>,
    experiments: Value,
    quota: QuotaBody,
    is_default: bool,
    available_roles: Vec<RoleName>,
    org_role_list: Vec<OrganizationRoleBody>,
    team_role_list: Vec<TeamRoleBody>,
    open_membership: bool,
    data_scrubber: bool,
    data_scrubber_defaults: bool,
    sensitive_fields: Vec<String>,
    safe_fields: Vec<String>,
    events_member_admin: bool,
    alerts_member_write: bool,
    #[serde(rename = "scrubIPAddresses")]
    scrub_ip_addresses: bool,
    relay_pii_config: Option<String>,
    relay_dsn_endpoint: Option<String>,
    trusted_relays: [(); 0],
    pending_access_requests: u32,
    aggregated_data_consent: bool,
    is_dynamically_sampled: bool,
    requires_sso: bool,
    /// The settings of [`KEPT_ORGANIZATION_SETTINGS`].
    #[serde(flatten)]
    kept: Map<String, Value>,
    /// The limit of keys that have none of their own, from the option `picket:default_rate_limit`. Ours.
    default_rate_limit: Option<RateLimitBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<Vec<TeamBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<ProjectSummaryBody>>,
}

/// No limit but those of the keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuotaBody {
    max_rate: Option<u32>,
    max_rate_interval: u32,
    account_limit: u32,
    /// Per cent of the organization's limit.
    project_limit: u32,
}

#[derive(Serialize)]
struct RoleName {
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationRoleBody {
    id: &'static str,
    name: &'static str,
    desc: &'static str,
    scopes: ScopeSet,
    allowed: bool,
    is_allowed: bool,
    is_retired: bool,
    is_team_roles_allowed: bool,
    /// The old name of `isGlobal`.
    #[serde(rename = "is_global")]
    is_global_snake: bool,
    is_global: bool,
    minimum_team_role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TeamRoleBody {
    id: &'static str,
    name: &'static str,
    desc: &'static str,
    scopes: ScopeSet,
    allowed: bool,
    is_allowed: bool,
    is_retired: bool,
    is_team_roles_allowed: bool,
    is_minimum_role_for: Option<&'static str>,
}

impl OrganizationRoleBody {
    /// `allowed`: the caller manages members and has no lower role, so may give this one.
    pub(super) fn of(role: OrganizationRole, access: &Access) -> OrganizationRoleBody {
        let allowed = access.assigns(role);
        OrganizationRoleBody {
            id: role.as_str(),
            name: organization_role_name(role),
            desc: match role {
                OrganizationRole::Member => {
                    "Works with the issues and projects of the teams that they are in."
                }
                OrganizationRole::Admin => {
                    "Manages the teams that they are in and those teams' projects."
                }
                OrganizationRole::Manager => "Manages members and all teams and projects.",
                OrganizationRole::Owner => "May do everything in the organization.",
            },
            scopes: role.scopes(),
            allowed,
            is_allowed: allowed,
            is_retired: role == OrganizationRole::Admin,
            is_team_roles_allowed: true,
            is_global_snake: role.is_global(),
            is_global: role.is_global(),
            minimum_team_role: role.minimum_team_role().as_str(),
        }
    }
}

impl TeamRoleBody {
    pub(super) fn of(role: TeamRole, access: &Access) -> TeamRoleBody {
        let allowed = access.scopes().contains(Scope::TeamAdmin);
        let (name, desc, is_minimum_role_for) = match role {
            TeamRole::Contributor => (
                "Contributor",
                "Works with the issues of the team's projects.",
                None,
            ),
            TeamRole::Admin => (
                "Team Admin",
                "Manages the team and its projects.",
                Some(OrganizationRole::Admin.as_str()),
            ),
        };
        TeamRoleBody {
            id: role.as_str(),
            name,
            desc,
            scopes: role.scopes(),
            allowed,
            is_allowed: allowed,
            is_retired: false,
            is_team_roles_allowed: true,
            is_minimum_role_for,
        }
    }
}

pub(super) fn organization_role_name(role: OrganizationRole) -> &'static str {
    match role {
        OrganizationRole::Member => "Member",
        OrganizationRole::Admin => "Admin",
        OrganizationRole::Manager => "Manager",
        OrganizationRole::Owner => "Owner",
    }
}

/// `GET /api/0/organizations/`: those that the user is a member of, or the token's own. With `owner=1` those
/// that the user owns, by name and in one answer.
pub(super) fn list(api: &Api, call: Call<'_>) -> Result<Response> {
    let of = match &call.caller {
        Caller::UserToken { user, .. } | Caller::Session { user, .. } => {
            OrganizationsOf::User(*user)
        }
        Caller::OrganizationToken { organization, .. } => {
            OrganizationsOf::Organization(*organization)
        }
        Caller::Anonymous => return Err(auth::not_provided().into()),
    };
    let owner = call.request.query_value("owner");
    if let (Some("1" | "true"), Some(_)) = (owner.as_deref(), call.caller.user()) {
        return list_owned(api, &call, of);
    }
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let query = call.request.query_value("query").unwrap_or_default();
    let filter = filter(SearchQuery::parse(&query));
    let fetch = |slice| match &filter {
        Some(filter) => Ok(organizations::list(&call.connection, of, filter, slice)?),
        None => Ok(Vec::new()),
    };
    let paged = if call.request.query_value("sortBy").as_deref() == Some("members") {
        paging::by_offset(page, |offset, limit| {
            fetch(OrganizationSlice::MostMembersFirst { offset, limit })
        })?
    } else {
        paging::by_date(
            page,
            |organization: &Organization| (organization.created, organization.id.0),
            |place, limit| fetch(OrganizationSlice::NewestFirst { place, limit }),
        )?
    };
    Ok(paged
        .map(|organization| OrganizationBody::of(&organization, &api.prefix).with_features())
        .answer(&api.prefix, &call.request))
}

fn list_owned(api: &Api, call: &Call<'_>, of: OrganizationsOf) -> Result<Response> {
    let everything = OrganizationFilter::default();
    let all = organizations::list(&call.connection, of, &everything, OrganizationSlice::ByName)?;
    let mut owned = Vec::new();
    for organization in all {
        if call.access(&organization)?.role() != Some(OrganizationRole::Owner) {
            continue;
        }
        let owners = organizations::count_members(
            &call.connection,
            organization.id,
            OrganizationRole::Owner,
        )?;
        owned.push(OwnedBody {
            organization: OrganizationBody::of(&organization, &api.prefix).with_features(),
            single_owner: owners == 1,
        });
    }
    Ok(Response::json(200, &owned))
}

/// What a query asks for; none if nothing can match it, as with a key that the list does not know.
fn filter(query: SearchQuery) -> Option<OrganizationFilter> {
    const STATUSES: [&str; 3] = ["active", "pending_deletion", "deletion_in_progress"];
    let mut filter = OrganizationFilter {
        text: query.text,
        ..OrganizationFilter::default()
    };
    for (key, values) in query.keys {
        let numbers = || values.iter().filter_map(|v| v.parse().ok()).collect();
        match key.as_str() {
            "query" => filter.text = Some(values.join(" ")),
            "id" => filter.ids = Some(numbers()),
            "member_id" => filter.members = Some(numbers()),
            "slug" => filter.slugs = Some(values),
            "email" => filter.emails = Some(values),
            // One that is being removed is hidden; a word that is no status at all matches nothing.
            "status"
                if values.iter().any(|v| v == "active")
                    && values.iter().all(|v| STATUSES.contains(&v.as_str())) => {}
            _ => return None,
        }
    }
    Some(filter)
}

/// `GET O/`: the organization with its settings, and with its teams and projects unless `detailed=0`. A caller
/// who may write but not read it sees the summary only.
pub(super) fn get(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let InOrganization {
        organization,
        access,
    } = &context;
    let mut summary = OrganizationBody::of(organization, &api.prefix);
    let with_flags = call.request.query_value("include_feature_flags");
    if with_flags.is_some_and(|value| value != "0") {
        summary = summary.with_features().with_extra_options();
    }
    if !access.scopes().contains(Scope::OrgRead) {
        return Ok(Response::json(200, &summary));
    }
    let is_detailed = call.request.query_value("detailed").as_deref() != Some("0");
    let body = detail(&call, &context, summary, is_detailed)?;
    Ok(Response::json(200, &body))
}

/// The organization with its settings, and in detail with its teams and projects.
pub(super) fn detail(
    call: &Call<'_>,
    context: &InOrganization,
    summary: OrganizationBody,
    is_detailed: bool,
) -> Result<OrganizationDetailBody> {
    let InOrganization {
        organization,
        access,
    } = context;
    let (teams, projects) = if is_detailed {
        let teams = teams::list(&call.connection, organization.id)?
            .iter()
            .map(|(team, members)| TeamBody::of(team, *members, access))
            .collect();
        (Some(teams), Some(list_projects(call, context)?))
    } else {
        (None, None)
    };
    let options = organizations::list_options(&call.connection, organization.id)?;
    let required = RequiredScrubbing::of(&options);
    let role = access.role().map(OrganizationRole::as_str);
    let kept = KEPT_ORGANIZATION_SETTINGS
        .iter()
        .map(|setting| (setting.field.to_owned(), setting.value(&options)))
        .collect();
    Ok(OrganizationDetailBody {
        summary,
        access: access.scopes(),
        onboarding_tasks: [],
        role,
        org_role: role,
        experiments: json!({}),
        quota: QuotaBody {
            max_rate: None,
            max_rate_interval: 60,
            account_limit: 0,
            project_limit: 100,
        },
        is_default: false,
        available_roles: OrganizationRole::ALL
            .map(|role| RoleName {
                id: role.as_str(),
                name: organization_role_name(role),
            })
            .into(),
        org_role_list: OrganizationRole::ALL
            .map(|role| OrganizationRoleBody::of(role, access))
            .into(),
        team_role_list: TeamRole::ALL
            .map(|role| TeamRoleBody::of(role, access))
            .into(),
        open_membership: organization.policy.open_membership,
        data_scrubber: required.data,
        data_scrubber_defaults: required.defaults,
        sensitive_fields: required.sensitive_fields,
        safe_fields: required.safe_fields,
        events_member_admin: organization.policy.admin_events,
        alerts_member_write: organization.policy.write_alerts,
        scrub_ip_addresses: required.addresses,
        relay_pii_config: None,
        relay_dsn_endpoint: None,
        trusted_relays: [],
        pending_access_requests: team_members::count_requests(&call.connection, organization.id)?,
        aggregated_data_consent: options.get(AGGREGATED_DATA_CONSENT) == Some(&json!(true)),
        is_dynamically_sampled: false,
        requires_sso: organization.single_sign_on == Some(true),
        kept,
        default_rate_limit: option::default_rate_limit(&options).map(RateLimitBody::of),
        teams,
        projects,
    })
}

fn list_projects(
    call: &Call<'_>,
    context: &InOrganization,
) -> Result<Vec<ProjectSummaryBody>, error::Failure> {
    let everything = ProjectFilter::default();
    let organization = context.organization.id;
    let all = projects::list(&call.connection, organization, &everything, 0, i64::MAX)?;
    ProjectSummaryBody::of_all(call, &context.access, all, &Series::default())
}
