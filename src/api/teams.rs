//! Teams (facts/management-api.md 5).

use serde::Serialize;
use serde_json::json;

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::organizations::OrganizationBody;
use super::projects::{self, ProjectBaseBody, ProjectSummaryBody};
use super::search::SearchQuery;
use super::users::AvatarBody;
use super::{Api, Call, InOrganization, InTeam, paging};
use crate::domain::Error;
use crate::domain::access::Access;
use crate::domain::id::OrganizationId;
use crate::domain::scope::ScopeSet;
use crate::domain::slug::{IdOrSlug, Slug, SlugKind};
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::projects::{self as stored_projects, ProjectFilter};
use crate::store::teams::{self, Team, TeamFilter};
use crate::store::{Connection, members, organizations, team_members};

pub(super) const NAME_CHARS_MAX: usize = 64;

/// A team as the caller sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TeamBody {
    id: String,
    slug: String,
    name: String,
    date_created: Timestamp,
    is_member: bool,
    /// The caller's; null for one who is not in the team.
    team_role: Option<&'static str>,
    flags: serde_json::Value,
    access: ScopeSet,
    has_access: bool,
    is_pending: bool,
    member_count: u32,
    avatar: AvatarBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<ProjectBaseBody>>,
    /// Teams elsewhere, of which Picket knows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_teams: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationBody>,
}

impl TeamBody {
    pub(super) fn of(team: &Team, member_count: u32, access: &Access) -> TeamBody {
        TeamBody {
            id: team.id.to_string(),
            slug: team.slug.to_string(),
            name: team.name.clone(),
            date_created: team.created,
            is_member: access.is_in_team(team.id),
            team_role: access.team_role(team.id).map(|role| role.as_str()),
            flags: json!({ "idp:provisioned": false }),
            access: access.team_scopes(team.id),
            has_access: access.sees_project(&[team.id]),
            is_pending: access.asks_to_join(team.id),
            member_count,
            avatar: AvatarBody::LETTER,
            projects: None,
            external_teams: None,
            organization: None,
        }
    }

    fn with_projects(mut self, call: &Call<'_>, team: &Team, access: &Access) -> Result<TeamBody> {
        let filter = ProjectFilter {
            teams: Some(vec![team.id]),
            ..ProjectFilter::default()
        };
        let all = stored_projects::list(&call.connection, team.organization, &filter, 0, i64::MAX)?;
        self.projects = Some(ProjectBaseBody::of_all(call, &all, access)?);
        Ok(self)
    }

    fn with_external_teams(mut self) -> TeamBody {
        self.external_teams = Some([]);
        self
    }
}

/// A team as its projects name it.
#[derive(Serialize)]
pub(super) struct TeamReference {
    id: String,
    name: String,
    slug: String,
}

impl TeamReference {
    pub(super) fn of(team: &Team) -> TeamReference {
        TeamReference {
            id: team.id.to_string(),
            name: team.name.clone(),
            slug: team.slug.to_string(),
        }
    }
}

/// `GET O/teams/`: every team, by slug, also those that the caller is not in.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let request = &call.request;
    let is_detailed = request.query_value("detailed").as_deref() != Some("0");
    let query = request.query_value("query").unwrap_or_default();
    let filter = filter(SearchQuery::parse(&query))?;
    let page = Page::read(request, PER_PAGE_MAX)?;
    let paged = paging::by_offset(page, |offset, limit| match &filter {
        Some(filter) => {
            let organization = context.organization.id;
            let connection = &call.connection;
            Ok(teams::list_matching(
                connection,
                organization,
                filter,
                offset,
                limit,
            )?)
        }
        None => Ok(Vec::new()),
    })?;
    let paged = paged.replace(|teams| bodies(&call, &context.access, &teams, is_detailed))?;
    Ok(paged.answer(&api.prefix, request))
}

/// Teams as lists show them, in detail with their projects.
fn bodies(
    call: &Call<'_>,
    access: &Access,
    teams: &[(Team, u32)],
    is_detailed: bool,
) -> Result<Vec<TeamBody>> {
    teams
        .iter()
        .map(|(team, count)| {
            let body = TeamBody::of(team, *count, access);
            match is_detailed {
                true => Ok(body
                    .with_projects(call, team, access)?
                    .with_external_teams()),
                false => Ok(body),
            }
        })
        .collect()
}

/// What a query asks for; none if nothing can match it, as with a key that the list does not know.
///
/// # Errors
/// 400: an `id` that is no number.
fn filter(query: SearchQuery) -> Result<Option<TeamFilter>> {
    let mut filter = TeamFilter {
        text: query.text,
        ..TeamFilter::default()
    };
    for (key, values) in query.keys {
        match key.as_str() {
            "query" => filter.text = Some(values.join(" ")),
            "id" => {
                let ids = values.iter().map(|v| projects::parse_id(v)).collect();
                filter.ids = Some(Option::ok_or_else(ids, || {
                    error::detail(400, "Invalid id value")
                })?);
            }
            "slug" => filter.slugs = Some(values),
            // No team has any.
            "hasExternalTeams" if values.iter().all(|v| v == "false") => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(filter))
}

/// `GET O/user-teams/`: those that the user is in, by slug, in one answer.
pub(super) fn list_own(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let ids: Vec<i64> = context.access.teams().map(|(id, _)| id.0).collect();
    let filter = TeamFilter {
        ids: Some(ids),
        ..TeamFilter::default()
    };
    let organization = context.organization.id;
    let own = teams::list_matching(&call.connection, organization, &filter, 0, i64::MAX)?;
    let bodies = bodies(&call, &context.access, &own, true)?;
    Ok(Response::json(200, &bodies))
}

/// The body of a POST: a slug, or a name to make one of.
struct NewTeamBody {
    slug: Option<Slug>,
    name: Option<String>,
}

impl NewTeamBody {
    fn read(mut fields: Fields) -> Result<NewTeamBody> {
        let slug = fields.slug("slug", SlugKind::Team, Null::Allowed);
        let name = fields.filled_text("name", NAME_CHARS_MAX, Null::Allowed);
        let nothing = |given: bool, name: &str, fields: &Fields| !given && !fields.is_wrong(name);
        if nothing(matches!(slug, Given::Value(_)), "slug", &fields)
            && nothing(matches!(name, Given::Value(_)), "name", &fields)
        {
            fields.refuse_whole("Name or slug is required");
        }
        fields.finish()?;
        Ok(NewTeamBody {
            slug: slug.value(),
            name: name.value(),
        })
    }
}

/// A slug of a team that is not taken, made of a name.
fn derive_slug(
    connection: &Connection,
    organization: OrganizationId,
    name: &str,
) -> Result<Slug, Error> {
    Slug::derive(SlugKind::Team, name, |slug| {
        let segment = IdOrSlug::Slug(slug.to_string());
        Ok(teams::find(connection, organization, &segment)?.is_some())
    })
}

/// `POST O/teams/`: 201; the user who makes it is its first member.
pub(super) fn create(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let body = NewTeamBody::read(call.body()?)?;
    let actor = call.actor()?;
    let organization = context.organization.id;
    let user = call.caller.user();
    let made = api.store.write(move |unit| {
        // Gone since it was looked up.
        if !organizations::is_there(unit, organization)? {
            return Err(Error::NotFound);
        }
        let slug = match (&body.slug, &body.name) {
            (Some(slug), _) => slug.clone(),
            (None, name) => derive_slug(unit, organization, name.as_deref().unwrap_or_default())?,
        };
        let name = body.name.as_deref().unwrap_or(slug.as_str());
        teams::create(unit, &actor, organization, &slug, name)?;
        let team = teams::find(unit, organization, &IdOrSlug::Slug(slug.to_string()))?
            .ok_or_else(|| Error::internal("a team that was just made is not there"))?;
        let member = match user {
            Some(user) => members::find(unit, organization, user)?,
            None => None,
        };
        if let Some(member) = member {
            teams::set_member(unit, &actor, &team, member.id, None)?;
        }
        Ok(team)
    });
    let team = match made {
        Err(Error::Conflict(_)) => return Err(error::team_conflict().into()),
        other => other?,
    };
    let access = call.access(&context.organization)?;
    answer(&call, 201, &team, &access)
}

/// A team with its count of members and nothing else.
fn answer(call: &Call<'_>, status: u16, team: &Team, access: &Access) -> Result<Response> {
    let count = team_members::count(&call.connection, team.id)?;
    Ok(Response::json(status, &TeamBody::of(team, count, access)))
}

/// `GET T/`: with its organization, unless `collapse=organization`.
pub(super) fn get(api: &Api, call: Call<'_>, context: InTeam) -> Result<Response> {
    let asked = |name: &str, what: &str| {
        let values = call.request.query_values(name);
        values.iter().any(|value| value == what)
    };
    let InTeam {
        organization,
        team,
        access,
    } = &context;
    let count = team_members::count(&call.connection, team.id)?;
    let mut body = TeamBody::of(team, count, access);
    if asked("expand", "projects") {
        body = body.with_projects(&call, team, access)?;
    }
    if asked("expand", "externalTeams") {
        body = body.with_external_teams();
    }
    if !asked("collapse", "organization") {
        body.organization = Some(OrganizationBody::of(organization, &api.prefix).with_features());
    }
    Ok(Response::json(200, &body))
}

/// `PUT T/`: slug and name. The old slug leads nowhere.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InTeam) -> Result<Response> {
    let mut fields = call.body()?;
    let slug = fields.slug("slug", SlugKind::Team, Null::Refused);
    let name = fields.filled_text("name", NAME_CHARS_MAX, Null::Refused);
    fields.finish()?;
    let (slug, name) = (slug.value(), name.value());
    let actor = call.actor()?;
    let (organization, id) = (context.team.organization, IdOrSlug::Id(context.team.id.0));
    let changed = api.store.write(move |unit| {
        let team = teams::find(unit, organization, &id)?.ok_or(Error::NotFound)?;
        if slug.is_some() || name.is_some() {
            teams::update(unit, &actor, &team, slug.as_ref(), name.as_deref())?;
        }
        teams::find(unit, organization, &id)?.ok_or(Error::NotFound)
    });
    match changed {
        Ok(team) => answer(&call, 200, &team, &context.access),
        Err(Error::Conflict(text)) => Err(error::field(400, "slug", &text).into()),
        Err(other) => Err(other.into()),
    }
}

/// `DELETE T/`: 204; its slug is free at once, and its projects stay.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InTeam) -> Result<Response> {
    let actor = call.actor()?;
    api.store
        .write(move |unit| teams::delete(unit, &actor, &context.team))?;
    Ok(Response::empty(204))
}

/// `GET T/projects/`: by slug.
pub(super) fn list_projects(api: &Api, call: Call<'_>, context: InTeam) -> Result<Response> {
    const PERIODS: [&str; 3] = ["24h", "14d", "30d"];
    let series = projects::Series::of_period(&call.request, &PERIODS)?;
    let filter = ProjectFilter {
        teams: Some(vec![context.team.id]),
        ..ProjectFilter::default()
    };
    let paged = paging::by_offset(Page::read(&call.request, PER_PAGE_MAX)?, |offset, limit| {
        let organization = context.organization.id;
        let connection = &call.connection;
        Ok(stored_projects::list(
            connection,
            organization,
            &filter,
            offset,
            limit,
        )?)
    })?;
    let paged =
        paged.replace(|rows| ProjectSummaryBody::of_all(&call, &context.access, rows, &series))?;
    Ok(paged.answer(&api.prefix, &call.request))
}
