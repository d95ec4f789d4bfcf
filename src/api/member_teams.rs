//! A member's place in a team (facts/management-api.md 11.5). There is no way to read one: the member's own answer has
//! them all.

use serde::Serialize;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::member_changes::{Refusal, at_the_change};
use super::members::find_named;
use super::teams::TeamBody;
use super::{Api, Call, InOrganization};
use crate::domain::Error;
use crate::domain::access::Access;
use crate::domain::id::OrganizationId;
use crate::domain::scope::{Scope, ScopeSet, TeamRole};
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::store::members::{self, Member};
use crate::store::teams::{self, Team};
use crate::store::{Connection, team_members};

/// Any one of these in a team lets the caller put members into it and give them roles there.
const FILLS_TEAM: ScopeSet = ScopeSet::of(&[Scope::OrgWrite, Scope::TeamWrite]);

/// Any one of these lets the caller take members out of it.
const EMPTIES_TEAM: ScopeSet = ScopeSet::of(&[Scope::OrgWrite, Scope::OrgAdmin, Scope::TeamAdmin]);

const NOT_YOURS_TO_EDIT: Refusal = Refusal::Detail(
    400,
    "You do not have permission to edit that user's membership.",
);

/// A place in a team.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeatBody {
    is_active: bool,
    /// Null: the default role.
    team_role: Option<&'static str>,
}

/// The team of a path that also names a member.
fn find_team(
    connection: &Connection,
    organization: OrganizationId,
    segment: &IdOrSlug,
) -> Result<Team, Error> {
    teams::find(connection, organization, segment)?.ok_or(Error::NotFound)
}

/// What a path names, read again in the transaction of a change.
fn find_both(
    connection: &Connection,
    organization: OrganizationId,
    member: &Member,
    team: &Team,
) -> Result<(Member, Team), Error> {
    let member = members::find_by_id(connection, organization, member.id)?;
    let team = find_team(connection, organization, &IdOrSlug::Id(team.id.0))?;
    Ok((member.ok_or(Error::NotFound)?, team))
}

/// The team as the caller sees it after the change.
fn shown(connection: &Connection, team: &Team, access: &Access) -> Result<TeamBody, Error> {
    let count = team_members::count(connection, team.id)?;
    Ok(TeamBody::of(team, count, access))
}

/// What became of a request to put a member into a team.
enum Joined {
    Now(Box<TeamBody>),
    Before,
    /// Somebody who may has to agree.
    Asked,
}

/// `POST O/members/{id|me}/teams/{team}/`: 201 with the team, 204 for one who is in it. Where membership is not open, a
/// caller who has no say in the team only asks: 202. Whoever has makes the same request for that member to agree; how
/// many wait is the organization's `pendingAccessRequests`, and the team's `isPending` tells the one who asked.
pub(super) fn join(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let member = find_named(&call, organization)?;
    let segment = IdOrSlug::parse(call.params.get("team"));
    let team = find_team(&call.connection, organization, &segment)?;
    let actor = call.actor()?;
    let (caller, wanted) = (call.caller, call.wanted);
    let joined = api.store.write(move |unit| {
        let before = at_the_change(unit, &caller, wanted, organization)?;
        let (member, team) = find_both(unit, organization, &member, &team)?;
        if team_members::find_role(unit, team.id, member.id)?.is_some() {
            return Ok(Joined::Before);
        }
        let has_say = before.access.team_scopes(team.id).intersects(FILLS_TEAM);
        if !has_say && !before.organization.policy.open_membership {
            team_members::request(unit, &actor, &team, member.id)?;
            return Ok(Joined::Asked);
        }
        teams::set_member(unit, &actor, &team, member.id, None)?;
        let after = at_the_change(unit, &caller, wanted, organization)?;
        Ok(Joined::Now(Box::new(shown(unit, &team, &after.access)?)))
    })?;
    Ok(match joined {
        Joined::Now(team) => Response::json(201, &team),
        Joined::Before => Response::empty(204),
        Joined::Asked => Response::empty(202),
    })
}

/// The role that a PUT gives; none where it names none.
fn read_role(mut fields: Fields) -> Result<Option<TeamRole>> {
    let words = TeamRole::ALL.map(TeamRole::as_str);
    let word = fields.choice("teamRole", &words, Null::Refused, false);
    fields.finish()?;
    Ok(match word {
        Given::Value(word) => TeamRole::parse(&word),
        Given::Absent | Given::Null => None,
    })
}

/// `PUT O/members/{id|me}/teams/{team}/`: 200 with the place; 404 for one who is not in the team.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let member = find_named(&call, organization)?;
    let segment = IdOrSlug::parse(call.params.get("team"));
    let team = find_team(&call.connection, organization, &segment)?;
    team_members::find_role(&call.connection, team.id, member.id)?.ok_or(Error::NotFound)?;
    let role = read_role(call.body()?)?;
    let actor = call.actor()?;
    let (caller, wanted) = (call.caller, call.wanted);
    let role = api.store.write(move |unit| {
        let InOrganization { access, .. } = at_the_change(unit, &caller, wanted, organization)?;
        let (member, team) = find_both(unit, organization, &member, &team)?;
        let old = team_members::find_role(unit, team.id, member.id)?.ok_or(Error::NotFound)?;
        if !access.team_scopes(team.id).intersects(FILLS_TEAM) {
            return Ok(Err(NOT_YOURS_TO_EDIT));
        }
        if let Some(role) = role {
            team_members::set_role(unit, &actor, &team, member.id, role)?;
        }
        Ok(Ok(role.or(old)))
    })??;
    let body = SeatBody {
        is_active: true,
        team_role: role.map(TeamRole::as_str),
    };
    Ok(Response::json(200, &body))
}

/// `DELETE O/members/{id|me}/teams/{team}/`: 200 with the team; everybody may leave.
pub(super) fn leave(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let member = find_named(&call, organization)?;
    let segment = IdOrSlug::parse(call.params.get("team"));
    let team = find_team(&call.connection, organization, &segment)?;
    team_members::find_role(&call.connection, team.id, member.id)?.ok_or(Error::NotFound)?;
    let actor = call.actor()?;
    let (caller, wanted) = (call.caller, call.wanted);
    let body = api.store.write(move |unit| {
        let InOrganization { access, .. } = at_the_change(unit, &caller, wanted, organization)?;
        let (member, team) = find_both(unit, organization, &member, &team)?;
        team_members::find_role(unit, team.id, member.id)?.ok_or(Error::NotFound)?;
        let is_own = caller.user().is_some_and(|user| member.is_of(user));
        if !is_own && !access.team_scopes(team.id).intersects(EMPTIES_TEAM) {
            return Ok(Err(NOT_YOURS_TO_EDIT));
        }
        team_members::delete(unit, &actor, &team, member.id)?;
        let after = at_the_change(unit, &caller, wanted, organization)?;
        Ok(Ok(shown(unit, &team, &after.access)?))
    })??;
    Ok(Response::json(200, &body))
}
