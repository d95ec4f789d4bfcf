//! Which teams have a project (facts/management-api.md 6.5).

use super::error::{self, Result};
use super::projects::ProjectBaseBody;
use super::teams::TeamBody;
use super::{Api, Call, InProject, paging};
use crate::domain::Error;
use crate::domain::actor::Actor;
use crate::domain::id::{OrganizationId, ProjectId, TeamId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::projects;
use crate::store::teams::{self, Team};
use crate::store::writer::Unit;

/// `GET P/teams/`: by name.
pub(super) fn list(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let paged = paging::by_offset(page, |offset, limit| {
        let project = context.project.id;
        Ok(teams::list_of_project(
            &call.connection,
            project,
            offset,
            limit,
        )?)
    })?;
    Ok(paged
        .map(|(team, members)| TeamBody::of(&team, members, &context.access))
        .answer(&api.prefix, &call.request))
}

fn find_team(call: &Call<'_>, context: &InProject) -> Result<Team> {
    let segment = IdOrSlug::parse(call.params.get("team"));
    let team = teams::find(&call.connection, context.organization.id, &segment)?;
    Ok(team.ok_or_else(|| error::detail(404, "Team does not exist."))?)
}

/// `POST P/teams/{team}/`: 201 with the project, also when the team had it before.
pub(super) fn add(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let team = find_team(&call, &context)?;
    change(api, &call, &context, team, projects::add_team)?;
    answer(&call, &context, 201)
}

/// `DELETE P/teams/{team}/`: 200 with the project, also when the team did not have it.
pub(super) fn remove(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let team = find_team(&call, &context)?;
    let wanted = ScopeSet::of(&[Scope::ProjectWrite, Scope::ProjectAdmin]);
    if !context.access.team_scopes(team.id).intersects(wanted) {
        return Err(error::forbidden_in_list().into());
    }
    change(api, &call, &context, team, projects::remove_team)?;
    answer(&call, &context, 200)
}

type Change = fn(&mut Unit<'_>, &Actor, OrganizationId, ProjectId, TeamId) -> Result<bool, Error>;

/// Gives or takes, unless project or team went meanwhile.
fn change(api: &Api, call: &Call<'_>, context: &InProject, team: Team, make: Change) -> Result<()> {
    let actor = call.actor()?;
    let (organization, project) = (context.organization.id, context.project.id);
    api.store.write(move |unit| {
        let is_there = projects::find(unit, organization, &IdOrSlug::Id(project.0))?.is_some()
            && teams::find(unit, organization, &IdOrSlug::Id(team.id.0))?.is_some();
        if !is_there {
            return Err(Error::NotFound);
        }
        make(unit, &actor, organization, project, team.id)
    })?;
    Ok(())
}

fn answer(call: &Call<'_>, context: &InProject, status: u16) -> Result<Response> {
    let project = &context.project;
    let teams = teams::list_of_projects(&call.connection, &[project.id])?
        .remove(&project.id)
        .unwrap_or_default();
    let ids: Vec<_> = teams.iter().map(|team| team.id).collect();
    let body = ProjectBaseBody::of(call, project, &ids, &context.access)?.with_teams(&teams);
    Ok(Response::json(status, &body))
}
