//! `/api/0/projects/`: the projects of a user, in whatever organization (facts/management-api.md 4.6).

use std::collections::HashMap;

use super::error::{self, Result};
use super::organizations::OrganizationBody;
use super::projects::{ProjectBaseBody, parse_id};
use super::search::SearchQuery;
use super::{Api, Call, auth, paging};
use crate::domain::access::{Access, Caller};
use crate::domain::id::{OrganizationId, ProjectId, TeamId};
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::organizations::{self, Organization};
use crate::store::projects::{self, OwnProjectFilter, Project, ProjectsOf};
use crate::store::teams;

/// `GET /api/0/projects/`: those of the user's teams, newest first; to an organization's token all of its own.
pub(super) fn list(api: &Api, call: Call<'_>) -> Result<Response> {
    let of = match &call.caller {
        Caller::UserToken { user, .. } => ProjectsOf::User(*user),
        Caller::Session { user, .. } => ProjectsOf::SignedIn(*user),
        Caller::OrganizationToken { organization, .. } => ProjectsOf::Organization(*organization),
        Caller::Anonymous => return Err(auth::not_provided().into()),
    };
    let query = call.request.query_value("query").unwrap_or_default();
    let filter = filter(&call, SearchQuery::parse(&query))?;
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let paged = paging::by_date(
        page,
        |project: &Project| (project.created, project.id.0),
        |place, limit| match &filter {
            Some(filter) => Ok(projects::list_own(
                &call.connection,
                of,
                filter,
                place,
                limit,
            )?),
            None => Ok(Vec::new()),
        },
    )?;
    let paged = paged.replace(|rows| bodies(api, &call, rows))?;
    Ok(paged.answer(&api.prefix, &call.request))
}

fn bodies(api: &Api, call: &Call<'_>, projects: Vec<Project>) -> Result<Vec<ProjectBaseBody>> {
    let ids: Vec<ProjectId> = projects.iter().map(|project| project.id).collect();
    let teams = teams::list_of_projects(&call.connection, &ids)?;
    let mut known: HashMap<OrganizationId, (Organization, Access)> = HashMap::new();
    let mut bodies = Vec::with_capacity(projects.len());
    for project in &projects {
        if !known.contains_key(&project.organization) {
            let segment = IdOrSlug::Id(project.organization.0);
            let Some(organization) = organizations::find(&call.connection, &segment)? else {
                continue;
            };
            // Its projects are shown once its provider has vouched for the user.
            if call.awaits_provider(&organization)? {
                continue;
            }
            let access = call.access(&organization)?;
            known.insert(organization.id, (organization, access));
        }
        let (organization, access) = &known[&project.organization];
        let team_ids: Vec<TeamId> = teams
            .get(&project.id)
            .map(|teams| teams.iter().map(|team| team.id).collect())
            .unwrap_or_default();
        let organization = OrganizationBody::of(organization, &api.prefix).with_features();
        bodies.push(
            ProjectBaseBody::of(call, project, &team_ids, access)?.with_organization(organization),
        );
    }
    Ok(bodies)
}

/// What a request asks for; none if nothing can match it. Deleted projects are hidden from everybody.
///
/// # Errors
/// 400: an `id` that is no number.
fn filter(call: &Call<'_>, query: SearchQuery) -> Result<Option<OwnProjectFilter>> {
    let value = |name: &str| {
        call.request
            .query_value(name)
            .filter(|text| !text.is_empty())
    };
    if value("status").is_some_and(|status| status != "active") {
        return Ok(None);
    }
    let mut filter = OwnProjectFilter {
        // One that is no number is no organization's.
        organization: value("organizationId").map(|text| parse_id(&text).unwrap_or(0)),
        text: query.text,
        ..OwnProjectFilter::default()
    };
    let lower = |values: Vec<String>| values.iter().map(|value| value.to_lowercase()).collect();
    for (key, values) in query.keys {
        match key.as_str() {
            "query" => filter.text = Some(values.join(" ")),
            "id" => {
                let mut ids = Vec::new();
                for value in &values {
                    ids.push(parse_id(value).ok_or_else(|| {
                        error::detail(400, &format!("Invalid project ID: {value}"))
                    })?);
                }
                filter.ids = Some(ids);
            }
            "slug" => filter.slugs = Some(lower(values)),
            "name" => filter.names = Some(lower(values)),
            "platform" => filter.platforms = Some(values),
            "dsn" => filter.keys = Some(values),
            _ => return Ok(None),
        }
    }
    Ok(Some(filter))
}
