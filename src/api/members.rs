//! Members and invitations as they are shown (facts/management-api.md 11, 5.7 and 6.6). What changes them is in
//! [`super::member_changes`], their places in teams in [`super::member_teams`].

use serde::Serialize;

use super::error::Result;
use super::organizations::{OrganizationRoleBody, TeamRoleBody, organization_role_name};
use super::paging;
use super::search::SearchQuery;
use super::users::{MemberUserBody, display_name};
use super::{Api, Call, InOrganization, InProject, InTeam};
use crate::domain::Error;
use crate::domain::access::Access;
use crate::domain::id::{MemberId, OrganizationId, UserId};
use crate::domain::scope::{OrganizationRole, TeamRole};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::Connection;
use crate::store::members::{self, Member, MemberFilter};

/// A member or an invitation (11.3). `role` and `roleName` are the names of old for `orgRole`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberBody {
    id: String,
    email: String,
    /// Of an invitation: the address.
    name: String,
    /// Null for an invitation.
    user: Option<MemberUserBody>,
    role: &'static str,
    role_name: &'static str,
    org_role: &'static str,
    pending: bool,
    /// Whether it is an invitation whose link holds no longer.
    expired: bool,
    flags: MemberFlagsBody,
    date_created: Timestamp,
    invite_status: &'static str,
    inviter_name: Option<String>,
    /// Accounts elsewhere, of which Picket knows none; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_users: Option<[(); 0]>,
}

/// What an identity provider and a plan say of a member. There is no plan, and no provider makes members by itself.
#[derive(Default, Serialize)]
struct MemberFlagsBody {
    #[serde(rename = "idp:provisioned")]
    idp_provisioned: bool,
    #[serde(rename = "idp:role-restricted")]
    idp_role_restricted: bool,
    #[serde(rename = "sso:linked")]
    sso_linked: bool,
    #[serde(rename = "sso:invalid")]
    sso_invalid: bool,
    #[serde(rename = "member-limit:restricted")]
    member_limit_restricted: bool,
    #[serde(rename = "partnership:restricted")]
    partnership_restricted: bool,
}

/// A member as one of a team.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TeamMemberBody {
    #[serde(flatten)]
    member: MemberBody,
    /// Null: the default role.
    team_role: Option<&'static str>,
    team_slug: String,
}

/// A member with its teams.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberDetailBody {
    #[serde(flatten)]
    member: MemberBody,
    /// Slugs.
    teams: Vec<String>,
    team_roles: Vec<SeatBody>,
    /// Where the invited accept. Shown only in the answer that made the link, because no more than a hash of it is
    /// kept; null in all others.
    #[serde(rename = "invite_link")]
    pub(super) invite_link: Option<String>,
    is_only_owner: bool,
    org_role_list: Vec<OrganizationRoleBody>,
    team_role_list: Vec<TeamRoleBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeatBody {
    team_slug: String,
    role: Option<&'static str>,
}

/// For whom members are shown, and when.
#[derive(Clone, Copy)]
pub(super) struct View {
    user: Option<UserId>,
    pub(super) now: Timestamp,
    with_external_users: bool,
}

impl View {
    pub(super) fn of(call: &Call<'_>) -> View {
        let expand = call.request.query_values("expand");
        View {
            user: call.caller.user(),
            now: call.request.received,
            with_external_users: expand.iter().any(|word| word == "externalUsers"),
        }
    }
}

impl MemberBody {
    pub(super) fn of(member: &Member, view: View) -> MemberBody {
        let name = match member.user() {
            Some(user) => display_name(&user.name, &user.email),
            None => member.email(),
        };
        let inviter = member.inviter.as_ref();
        MemberBody {
            id: member.id.to_string(),
            email: member.email().to_owned(),
            name: name.to_owned(),
            user: member
                .user()
                .map(|user| MemberUserBody::of(user, view.user == Some(user.id))),
            role: member.role.as_str(),
            role_name: organization_role_name(member.role),
            org_role: member.role.as_str(),
            pending: member.is_pending(),
            expired: member.is_expired(view.now),
            flags: MemberFlagsBody {
                sso_linked: member.sso_linked,
                ..MemberFlagsBody::default()
            },
            date_created: member.created,
            invite_status: "approved",
            inviter_name: inviter.map(|by| display_name(&by.name, &by.email).to_owned()),
            external_users: view.with_external_users.then_some([]),
        }
    }
}

impl MemberDetailBody {
    pub(super) fn read(
        connection: &Connection,
        organization: OrganizationId,
        member: &Member,
        access: &Access,
        view: View,
    ) -> Result<MemberDetailBody, Error> {
        let seats = members::list_seats(connection, member.id)?;
        Ok(MemberDetailBody {
            member: MemberBody::of(member, view),
            teams: seats.iter().map(|seat| seat.slug.to_string()).collect(),
            team_roles: seats
                .iter()
                .map(|seat| SeatBody {
                    team_slug: seat.slug.to_string(),
                    role: seat.role.map(TeamRole::as_str),
                })
                .collect(),
            invite_link: None,
            is_only_owner: members::is_only_owner(connection, organization, member)?,
            org_role_list: OrganizationRole::ALL
                .map(|role| OrganizationRoleBody::of(role, access))
                .into(),
            team_role_list: TeamRole::ALL
                .map(|role| TeamRoleBody::of(role, access))
                .into(),
        })
    }
}

/// `GET O/members/` (11.1): members and invitations, by number.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let query = call.request.query_value("query").unwrap_or_default();
    let filter = filter(SearchQuery::parse(&query));
    let organization = context.organization.id;
    let paged = paging::by_offset(page, |offset, limit| match &filter {
        Some(filter) => Ok(members::list(
            &call.connection,
            organization,
            filter,
            offset,
            limit,
        )?),
        None => Ok(Vec::new()),
    })?;
    let view = View::of(&call);
    Ok(paged
        .map(|member| MemberBody::of(&member, view))
        .answer(&api.prefix, &call.request))
}

/// What a query asks for; none if nothing can match it, as with a key that the list does not know.
fn filter(query: SearchQuery) -> Option<MemberFilter> {
    let mut filter = MemberFilter {
        text: query.text,
        ..MemberFilter::default()
    };
    // Two keys may speak of roles; both must match.
    let mut roles = |matches: &dyn Fn(OrganizationRole) -> bool| {
        let before = filter.roles.take();
        let before = before.unwrap_or_else(|| OrganizationRole::ALL.into());
        filter.roles = Some(before.into_iter().filter(|role| matches(*role)).collect());
    };
    for (key, values) in query.keys {
        let numbers = || values.iter().filter_map(|v| v.parse().ok()).collect();
        let is_true = values.iter().any(|value| value == "true");
        match key.as_str() {
            "role" => roles(&|role| values.iter().any(|v| v == role.as_str())),
            "scope" => roles(&|role| {
                role.scopes()
                    .iter()
                    .any(|scope| values.iter().any(|v| v == scope.as_str()))
            }),
            "query" => filter.text = Some(values.join(" ")),
            "email" => filter.emails = Some(values),
            "id" => filter.ids = Some(numbers()),
            "user.id" => filter.users = Some(numbers()),
            "isInvited" => filter.invited = Some(is_true),
            "has2fa" => filter.second_factor = Some(is_true),
            "ssoLinked" => filter.sso_linked = Some(is_true),
            // Nobody has any of these.
            "hasExternalUsers" if !is_true => {}
            _ => return None,
        }
    }
    Some(filter)
}

/// `GET T/members/` (5.7): those in a team, invitations included, by address.
pub(super) fn list_of_team(api: &Api, call: Call<'_>, context: InTeam) -> Result<Response> {
    let page = Page::read(&call.request, PER_PAGE_MAX)?;
    let paged = paging::by_offset(page, |offset, limit| {
        Ok(members::list_of_team(
            &call.connection,
            context.team.id,
            offset,
            limit,
        )?)
    })?;
    let view = View::of(&call);
    Ok(paged
        .map(|(member, role)| TeamMemberBody {
            member: MemberBody::of(&member, view),
            team_role: role.map(TeamRole::as_str),
            team_slug: context.team.slug.to_string(),
        })
        .answer(&api.prefix, &call.request))
}

/// `GET P/members/` (6.6): the users in any team of a project, by address, in one answer.
pub(super) fn list_of_project(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let view = View::of(&call);
    let body: Vec<MemberBody> = members::list_of_project(&call.connection, context.project.id)?
        .iter()
        .map(|member| MemberBody::of(member, view))
        .collect();
    Ok(Response::json(200, &body))
}

/// The member that a path names by number, or the caller's own place as `me`.
///
/// # Errors
/// `NotFound`: also what is no number, and `me` for a caller who is no user.
pub(super) fn find_named(call: &Call<'_>, organization: OrganizationId) -> Result<Member> {
    let member = match call.params.get("member") {
        "me" => match call.caller.user() {
            Some(user) => members::find(&call.connection, organization, user)?,
            None => None,
        },
        text => match IdOrSlug::parse(text) {
            IdOrSlug::Id(id) => members::find_by_id(&call.connection, organization, MemberId(id))?,
            IdOrSlug::Slug(_) => None,
        },
    };
    Ok(member.ok_or(Error::NotFound)?)
}

/// `GET O/members/{id|me}/` (11.4).
pub(super) fn get(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let member = find_named(&call, organization)?;
    let body = MemberDetailBody::read(
        &call.connection,
        organization,
        &member,
        &context.access,
        View::of(&call),
    )?;
    Ok(Response::json(200, &body))
}
