//! Members and invitations (facts/management-api.md 11, 5.7 and 6.6).
//!
//! What a change depends on, the caller's own role first, is read in the transaction that writes it: of two owners
//! who remove each other at once, one stays.

use serde::Serialize;
use serde_json::Value;

use super::body::{Fields, Given, Null};
use super::error::{self, Failure, Result};
use super::organizations::{OrganizationRoleBody, TeamRoleBody, organization_role_name};
use super::paging;
use super::search::SearchQuery;
use super::users::{MemberUserBody, display_name};
use super::{Api, Call, InOrganization, InProject, InTeam, access_of};
use crate::domain::access::{Access, Caller};
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{MemberId, OrganizationId, UserId};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet, TeamRole};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenText;
use crate::domain::{Error, FieldErrors, email};
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::members::{
    self, InviteLink, Member, MemberFilter, MemberUpdate, NewInvitation, Seat,
};
use crate::store::{Connection, organizations, teams};

const EMAIL_CHARS_MAX: usize = 75;

/// An invitation's link holds for 30 days.
const INVITATION_SECS: i64 = 30 * 86_400;

/// How many invitations made within a day an organization may have waiting. Sentry has such a limit and does not
/// publish it; this one is far above what people type and still bounds what a member's script can pile up.
const INVITATIONS_PER_DAY: u32 = 1000;
const DAY_SECS: i64 = 86_400;

/// A member or an invitation (11.3). `role` and `roleName` are the names of old for `orgRole`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberBody {
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

/// What an identity provider and a plan say of a member. There is neither.
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

/// A new invitation with its link. The link is ours here: Sentry mails it, and shows it on the detail object again and
/// again, which a server that keeps only its hash cannot.
#[derive(Serialize)]
struct InvitedBody {
    #[serde(flatten)]
    member: MemberBody,
    invite_link: String,
}

/// A member with its teams.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberDetailBody {
    #[serde(flatten)]
    member: MemberBody,
    /// Slugs.
    teams: Vec<String>,
    team_roles: Vec<SeatBody>,
    /// Where the invited accept. Shown only in the answer that made the link, because no more than a hash of it is
    /// kept; null in all others.
    #[serde(rename = "invite_link")]
    invite_link: Option<String>,
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
struct View {
    user: Option<UserId>,
    now: Timestamp,
    with_external_users: bool,
}

impl View {
    fn of(call: &Call<'_>) -> View {
        let expand = call.request.query_values("expand");
        View {
            user: call.caller.user(),
            now: call.request.received,
            with_external_users: expand.iter().any(|word| word == "externalUsers"),
        }
    }
}

impl MemberBody {
    fn of(member: &Member, view: View) -> MemberBody {
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
            flags: MemberFlagsBody::default(),
            date_created: member.created,
            invite_status: "approved",
            inviter_name: inviter.map(|by| display_name(&by.name, &by.email).to_owned()),
            external_users: view.with_external_users.then_some([]),
        }
    }
}

impl MemberDetailBody {
    fn read(
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
            // Nobody has any of these.
            "ssoLinked" | "has2fa" | "hasExternalUsers" if !is_true => {}
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

/// An organization and what the caller may do there, at the moment of a change.
///
/// # Errors
/// `NotFound`: the organization is gone since it was looked up; `Forbidden`: what the route asks for is.
pub(super) fn at_the_change(
    connection: &Connection,
    caller: &Caller,
    wanted: ScopeSet,
    organization: OrganizationId,
) -> Result<InOrganization, Error> {
    let id = IdOrSlug::Id(organization.0);
    let organization = organizations::find(connection, &id)?.ok_or(Error::NotFound)?;
    let access = access_of(connection, caller, &organization)?;
    if !access.allows(wanted) {
        return Err(Error::Forbidden);
    }
    Ok(InOrganization {
        organization,
        access,
    })
}

/// Why a change is refused by who asks for it and to whom it is done, once its body is in order.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Detail(u16, &'static str),
    /// Said of the role.
    Role(&'static str),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Detail(status, text) => error::detail(status, text),
            Refusal::Role(text) => error::role_refused(text),
        }
        .into()
    }
}

const NOT_YOUR_TEAMS: Refusal = Refusal::Detail(
    400,
    "You cannot assign members to teams you are not a member of.",
);
const TOO_MANY_INVITATIONS: Refusal =
    Refusal::Detail(429, "You are being rate limited for too many invitations.");
const NOT_THIS_ROLE: Refusal =
    Refusal::Role("You do not have permission to assign the given role.");
const NOT_THIS_MEMBERS_ROLE: Refusal =
    Refusal::Role("You do not have permission to assign a role to the given user.");
const OWN_ROLE: Refusal = Refusal::Detail(400, "You cannot make changes to your own role.");
const SEPARATE_REQUESTS: Refusal = Refusal::Detail(
    403,
    "You cannot modify member details when resending an invitation. Separate requests are required.",
);
const INVITED_BY_OTHERS: Refusal =
    Refusal::Detail(403, "You cannot modify invitations sent by someone else.");
const FULL_MEMBER: Refusal = Refusal::Detail(
    400,
    "You cannot send an invitation to a user who is already a full member.",
);
const EXPIRED: Refusal = Refusal::Detail(
    400,
    "You cannot resend an expired invitation without regenerating the token.",
);
const NOT_ADMIN: Refusal = Refusal::Detail(400, "You are missing the member:admin scope.");
const MORE_ACCESS: Refusal = Refusal::Detail(
    400,
    "You cannot remove a member who has more access than you.",
);
const ONLY_OWNER: Refusal = Refusal::Detail(
    403,
    "You cannot remove the only remaining owner or manager of the organization.",
);

/// The teams that a body names: with roles in `teamRoles`, else without in `teams`.
#[derive(Clone, Default)]
struct NamedTeams {
    field: &'static str,
    named: Vec<(String, Option<TeamRole>)>,
}

impl NamedTeams {
    fn read(fields: &mut Fields) -> NamedTeams {
        let with_roles = fields.list("teamRoles", Null::Allowed).value();
        let plain = fields.texts("teams", Null::Refused).value();
        if let Some(items) = with_roles.filter(|items| !items.is_empty()) {
            let field = "teamRoles";
            match items.iter().map(named_team).collect() {
                Ok(named) => return NamedTeams { field, named },
                Err(text) => fields.refuse(field, text),
            }
            return NamedTeams::default();
        }
        let slugs = plain.unwrap_or_default();
        NamedTeams {
            field: "teams",
            named: slugs.into_iter().map(|slug| (slug, None)).collect(),
        }
    }

    /// The teams, each once; the text for the body's field if one of them is not there.
    fn find(
        &self,
        connection: &Connection,
        organization: OrganizationId,
    ) -> Result<Result<Vec<Seat>, &'static str>, Error> {
        let mut seats: Vec<Seat> = Vec::with_capacity(self.named.len());
        for (slug, role) in &self.named {
            let segment = IdOrSlug::Slug(slug.clone());
            let Some(team) = teams::find(connection, organization, &segment)? else {
                return Ok(Err("Invalid teams"));
            };
            if seats.iter().all(|seat| seat.team != team.id) {
                seats.push(Seat {
                    team: team.id,
                    slug: team.slug,
                    role: *role,
                });
            }
        }
        Ok(Ok(seats))
    }
}

/// `{"teamSlug": ..., "role": ...}`; without a role, or with null, the default one.
fn named_team(item: &Value) -> Result<(String, Option<TeamRole>), &'static str> {
    let role = match &item["role"] {
        Value::Null => None,
        Value::String(word) => Some(TeamRole::parse(word).ok_or("Invalid team-role")?),
        _ => return Err("Invalid team-role"),
    };
    let slug = item["teamSlug"].as_str().ok_or("Invalid teams")?;
    Ok((slug.to_owned(), role))
}

/// `orgRole`, else its old name `role`, and which of the two it was.
fn read_role(fields: &mut Fields) -> Option<(&'static str, OrganizationRole)> {
    let words = OrganizationRole::ALL.map(OrganizationRole::as_str);
    let mut read = |name| {
        let word = fields.choice(name, &words, Null::Refused, false).value();
        word.as_deref()
            .and_then(OrganizationRole::parse)
            .map(|role| (name, role))
    };
    let old = read("role");
    read("orgRole").or(old)
}

/// The role that is kept for those who have it and given to nobody.
fn retired_text(role: OrganizationRole) -> Option<String> {
    (role == OrganizationRole::Admin).then(|| {
        format!(
            "The role '{}' is deprecated and may no longer be assigned.",
            role.as_str()
        )
    })
}

/// The body of a POST (11.2). `sendInvite` is read and has no effect while there is no mail: the link is in the
/// answer, for whoever invites to hand on. `reinvite` and `regenerate` mean something in a PUT only.
#[derive(Clone)]
struct NewMemberBody {
    email: String,
    role_field: &'static str,
    role: OrganizationRole,
    teams: NamedTeams,
}

impl NewMemberBody {
    /// # Errors
    /// Everything that is wrong with the body, also what the organization has against it.
    fn read(
        mut fields: Fields,
        connection: &Connection,
        context: &InOrganization,
    ) -> Result<NewMemberBody> {
        fields.refuse_missing("email");
        let email = fields.text("email", EMAIL_CHARS_MAX, Null::Refused).value();
        match email.as_deref() {
            Some("") => fields.refuse("email", "This field may not be blank."),
            Some(text) if !email::is_plausible(text) => {
                fields.refuse("email", "Enter a valid email address.");
            }
            _ => {}
        }
        let (role_field, role) =
            read_role(&mut fields).unwrap_or(("orgRole", OrganizationRole::Member));
        let teams = NamedTeams::read(&mut fields);
        for name in ["sendInvite", "reinvite", "regenerate"] {
            fields.boolean(name, Null::Refused);
        }
        let body = NewMemberBody {
            email: email.unwrap_or_default(),
            role_field,
            role,
            teams,
        };
        for (field, text) in body.problems(connection, context)? {
            fields.refuse(field, text);
        }
        fields.finish()?;
        Ok(body)
    }

    /// What the organization has against it, as texts for its fields.
    fn problems(
        &self,
        connection: &Connection,
        context: &InOrganization,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let mut problems = Vec::new();
        let organization = context.organization.id;
        if let Some(member) = members::find_by_email(connection, organization, &self.email)? {
            let has = match member.is_pending() {
                true => "has already been invited",
                false => "is already a member",
            };
            problems.push(("email", format!("The user {} {has}", self.email)));
        }
        if !context.access.invites_as(self.role) {
            let text = "You do not have permission to set that org-level role";
            problems.push((self.role_field, text.to_owned()));
        } else if let Some(text) = retired_text(self.role) {
            problems.push((self.role_field, text));
        }
        if let Err(text) = self.teams.find(connection, organization)? {
            problems.push((self.teams.field, text.to_owned()));
        }
        Ok(problems)
    }
}

fn accept_url(prefix: &UrlPrefix, member: MemberId, token: &TokenText) -> String {
    format!("{prefix}/accept/{member}/{}/", token.reveal())
}

/// `POST O/members/` (11.2): 201 with the invitation and its link, also for the address of a user, who accepts it like
/// everybody else.
pub(super) fn create(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let body = NewMemberBody::read(call.body()?, &call.connection, &context)?;
    let actor = call.actor()?;
    let view = View::of(&call);
    let (caller, wanted) = (call.caller.clone(), call.wanted);
    let organization = context.organization.id;
    let token = TokenText::random_invitation();
    let link = InviteLink {
        hash: token.hash(),
        expires: view.now.plus_secs(INVITATION_SECS),
    };
    let member = api.store.write(move |unit| {
        let context = at_the_change(unit, &caller, wanted, organization)?;
        let mut errors = FieldErrors::default();
        for (field, text) in body.problems(unit, &context)? {
            errors.add(field, text);
        }
        errors.into_result()?;
        // Teams that are not there were a problem.
        let seats = body.teams.find(unit, organization)?.unwrap_or_default();
        if !may_fill(&context, &seats) {
            return Ok(Err(NOT_YOUR_TEAMS));
        }
        let since = actor.at.plus_secs(-DAY_SECS);
        if members::count_invited_since(unit, organization, since)? >= INVITATIONS_PER_DAY {
            return Ok(Err(TOO_MANY_INVITATIONS));
        }
        // Teams are joined with the default role, whatever the body says.
        let seats: Vec<Seat> = seats
            .into_iter()
            .map(|seat| Seat { role: None, ..seat })
            .collect();
        let new = NewInvitation {
            organization,
            email: &body.email,
            role: body.role,
            seats: &seats,
            inviter: caller.user(),
            link,
        };
        let id = members::invite(unit, &actor, &new)?;
        let member = members::find_by_id(unit, organization, id)?;
        member
            .map(Ok)
            .ok_or_else(|| Error::internal("an invitation that was just written is not there"))
    })??;
    let body = InvitedBody {
        member: MemberBody::of(&member, view),
        invite_link: accept_url(&api.prefix, member.id, &token),
    };
    Ok(Response::json(201, &body))
}

/// Whether the caller may give others these places. Where membership is not open, those who do not manage members
/// share only teams that they are in.
fn may_fill(context: &InOrganization, seats: &[Seat]) -> bool {
    let access = &context.access;
    context.organization.policy.open_membership
        || access.scopes().contains(Scope::MemberAdmin)
        || seats.iter().all(|seat| access.is_in_team(seat.team))
}

/// The body of a PUT (11.4).
#[derive(Clone)]
struct MemberChange {
    role: Option<OrganizationRole>,
    /// All teams from now on. A body that names none takes the member out of all, as in the original.
    teams: NamedTeams,
    /// Whether the body names a role or teams.
    has_details: bool,
    reinvite: bool,
    regenerate: bool,
}

impl MemberChange {
    fn read(
        mut fields: Fields,
        connection: &Connection,
        organization: OrganizationId,
        member: &Member,
    ) -> Result<MemberChange> {
        let role = read_role(&mut fields);
        // Whoever has the retired role keeps it.
        if let Some((field, role)) = role.filter(|(_, role)| *role != member.role)
            && let Some(text) = retired_text(role)
        {
            fields.refuse(field, text);
        }
        let teams = NamedTeams::read(&mut fields);
        if let Err(text) = teams.find(connection, organization)? {
            fields.refuse(teams.field, text);
        }
        let is_set = |given: Given<bool>| given == Given::Value(true);
        let reinvite = is_set(fields.boolean("reinvite", Null::Refused));
        let regenerate = is_set(fields.boolean("regenerate", Null::Refused));
        let has_details = ["role", "orgRole", "teams", "teamRoles"]
            .iter()
            .any(|name| fields.has(name));
        fields.finish()?;
        Ok(MemberChange {
            role: role.map(|(_, role)| role),
            teams,
            has_details,
            reinvite,
            regenerate,
        })
    }

    /// Why an invitation may not be sent again.
    fn refuse_reinvite(
        &self,
        member: &Member,
        access: &Access,
        user: UserId,
        now: Timestamp,
    ) -> Option<Refusal> {
        let is_admin = access.scopes().contains(Scope::MemberAdmin);
        let reasons = [
            (self.has_details, SEPARATE_REQUESTS),
            (!is_admin && !member.was_invited_by(user), INVITED_BY_OTHERS),
            (!member.is_pending(), FULL_MEMBER),
            (self.regenerate && !is_admin, NOT_ADMIN),
            // Whoever reads the link can become what it invites to.
            (!access.invites_as(member.role), NOT_THIS_MEMBERS_ROLE),
            (member.is_expired(now) && !self.regenerate, EXPIRED),
        ];
        reasons
            .into_iter()
            .find_map(|(holds, refusal)| holds.then_some(refusal))
    }

    /// Why the member may not get the role that the body names.
    fn refuse_role(&self, member: &Member, access: &Access, user: UserId) -> Option<Refusal> {
        let role = self.role.filter(|role| *role != member.role)?;
        if member.is_of(user) {
            Some(OWN_ROLE)
        } else if !access.assigns(role) {
            Some(NOT_THIS_ROLE)
        } else if !access.assigns(member.role) {
            Some(NOT_THIS_MEMBERS_ROLE)
        } else {
            None
        }
    }
}

/// `PUT O/members/{id|me}/` (11.4): 200 with the changed member; 400 without a body for a token that is no user's.
///
/// `reinvite` makes the invitation's link anew, because the old one cannot be read back to be sent once more; with
/// `regenerate` it also holds for another 30 days. An invitation to a higher role gets a new link as well: whoever
/// was given the old one may not give that role.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let member = find_named(&call, organization)?;
    let Some(user) = call.caller.user() else {
        return Ok(Response::empty(400));
    };
    let change = MemberChange::read(call.body()?, &call.connection, organization, &member)?;
    let actor = call.actor()?;
    let view = View::of(&call);
    let (caller, wanted, id) = (call.caller.clone(), call.wanted, member.id);
    let token = TokenText::random_invitation();
    let hash = token.hash();
    let (mut body, is_new_link) = api.store.write(move |unit| {
        let InOrganization { access, .. } = at_the_change(unit, &caller, wanted, organization)?;
        let member = members::find_by_id(unit, organization, id)?.ok_or(Error::NotFound)?;
        // Those who do not manage members send their own invitations again, and no more.
        let is_admin = access.scopes().contains(Scope::MemberAdmin);
        if !is_admin && !(change.reinvite && member.is_pending()) {
            return Err(Error::Forbidden);
        }
        let old_expiry = match member.who {
            members::Person::Invited { expires, .. } => Some(expires),
            members::Person::User(_) => None,
        };
        let link = |is_renewed: bool| {
            old_expiry.map(|old| InviteLink {
                hash,
                expires: if is_renewed {
                    view.now.plus_secs(INVITATION_SECS)
                } else {
                    old
                },
            })
        };
        let link = if change.reinvite {
            if let Some(refusal) = change.refuse_reinvite(&member, &access, user, view.now) {
                return Ok(Err(refusal));
            }
            let link = link(change.regenerate);
            if let Some(link) = link {
                members::invite_again(unit, &actor, organization, &member, link)?;
            }
            link
        } else {
            if let Some(refusal) = change.refuse_role(&member, &access, user) {
                return Ok(Err(refusal));
            }
            let role = change.role.unwrap_or(member.role);
            if role != member.role && members::is_only_owner(unit, organization, &member)? {
                return Ok(Err(ONLY_OWNER));
            }
            let seats = match change.teams.find(unit, organization)? {
                Ok(seats) => seats,
                // Gone since the body was read.
                Err(text) => {
                    let mut errors = FieldErrors::default();
                    errors.add(change.teams.field, text);
                    return Err(Error::Invalid(errors));
                }
            };
            let link = if role > member.role {
                link(false)
            } else {
                None
            };
            let new = MemberUpdate { role, seats, link };
            members::update(unit, &actor, organization, &member, &new)?;
            link
        };
        let member = members::find_by_id(unit, organization, id)?.ok_or(Error::NotFound)?;
        let body = MemberDetailBody::read(unit, organization, &member, &access, view)?;
        Ok(Ok((body, link.is_some())))
    })??;
    if is_new_link {
        body.invite_link = Some(accept_url(&api.prefix, member.id, &token));
    }
    Ok(Response::json(200, &body))
}

/// `DELETE O/members/{id|me}/` (11.4): 204. Everybody may leave; the only owner may not.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let id = find_named(&call, organization)?.id;
    let actor = call.actor()?;
    let (caller, wanted) = (call.caller, call.wanted);
    api.store.write(move |unit| {
        let InOrganization { access, .. } = at_the_change(unit, &caller, wanted, organization)?;
        let member = members::find_by_id(unit, organization, id)?.ok_or(Error::NotFound)?;
        if let Some(refusal) = refuse_removal(&member, &access, caller.user()) {
            return Ok(Err(refusal));
        }
        let is_gone = members::delete(unit, &actor, organization, &member)?;
        Ok(if is_gone { Ok(()) } else { Err(ONLY_OWNER) })
    })??;
    Ok(Response::empty(204))
}

/// Why a caller may not remove a member. Invitations may also be taken back by whoever sent them.
fn refuse_removal(member: &Member, access: &Access, user: Option<UserId>) -> Option<Refusal> {
    let scopes = access.scopes();
    if user.is_some_and(|user| member.is_of(user)) {
        return None;
    }
    if scopes.contains(Scope::MemberAdmin) {
        return (!access.assigns(member.role)).then_some(MORE_ACCESS);
    }
    let is_own_invitation = member.is_pending()
        && scopes.contains(Scope::MemberInvite)
        && user.is_some_and(|user| member.was_invited_by(user));
    (!is_own_invitation).then_some(NOT_ADMIN)
}
