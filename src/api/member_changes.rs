//! Who invites, changes and removes members (facts/management-api.md 11.2 and 11.4).
//!
//! What a change depends on, the caller's own role first, is read in the transaction that writes it: of two owners
//! who remove each other at once, one stays.

use serde::Serialize;
use serde_json::Value;

use super::body::{Fields, Given, Null};
use super::error::{self, Failure, Result};
use super::members::{MemberBody, MemberDetailBody, View, find_named};
use super::{Api, Call, InOrganization, access_of};
use crate::domain::access::{Access, Caller};
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{MemberId, OrganizationId, UserId};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet, TeamRole};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenHash, TokenText};
use crate::domain::{Error, FieldErrors, email};
use crate::http::Response;
use crate::identity::Invitation;
use crate::store::members::{self, InviteLink, Member, MemberUpdate, NewInvitation, Person, Seat};
use crate::store::writer::Unit;
use crate::store::{Connection, organizations, teams};

const EMAIL_CHARS_MAX: usize = 75;

/// An invitation's link holds for 30 days.
const INVITATION_SECS: i64 = 30 * 86_400;

/// How many invitations made within a day an organization may have waiting. Sentry has such a limit and does not
/// publish it; this one is far above what people type and still bounds what a member's script can pile up.
const INVITATIONS_PER_DAY: u32 = 1000;
const DAY_SECS: i64 = 86_400;

/// A new invitation with its link. The link is ours here: Sentry mails it, and shows it on the detail object again and
/// again, which a server that keeps only its hash cannot.
#[derive(Serialize)]
struct InvitedBody {
    #[serde(flatten)]
    member: MemberBody,
    invite_link: String,
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

/// The body of a POST (11.2). Without `sendInvite: false` the link is mailed, where mail is sent; it is in the answer in
/// any case, for whoever invites to hand on. `reinvite` and `regenerate` mean something in a PUT only.
#[derive(Clone)]
struct NewMemberBody {
    email: String,
    role_field: &'static str,
    role: OrganizationRole,
    teams: NamedTeams,
    is_mailed: bool,
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
        let is_mailed = fields.boolean("sendInvite", Null::Refused) != Given::Value(false);
        for name in ["reinvite", "regenerate"] {
            fields.boolean(name, Null::Refused);
        }
        let body = NewMemberBody {
            email: email.unwrap_or_default(),
            role_field,
            role,
            teams,
            is_mailed,
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
    let is_mailed = body.is_mailed;
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
    let url = accept_url(&api.prefix, member.id, &token);
    if is_mailed {
        mail_invitation(
            api,
            &member,
            &context.organization.name,
            url.clone(),
            view.now,
        );
    }
    let body = InvitedBody {
        member: MemberBody::of(&member, view),
        invite_link: url,
    };
    Ok(Response::json(201, &body))
}

/// Mails an invitation's link, where mail is sent.
fn mail_invitation(api: &Api, member: &Member, organization: &str, link: String, now: Timestamp) {
    let Person::Invited { email, expires } = &member.who else {
        return;
    };
    let inviter = member.inviter.as_ref();
    let letter = Invitation {
        to: email.clone(),
        organization: organization.to_owned(),
        inviter: inviter
            .map(|inviter| super::users::display_name(&inviter.name, &inviter.email).to_owned()),
        link,
        expires: *expires,
    };
    api.identity.mail_invitation(letter, now);
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
}

/// Who changes a member, with what it takes: the caller's place at the moment of the change, and a link in case the
/// change makes one.
struct Editor {
    organization: OrganizationId,
    access: Access,
    user: UserId,
    actor: Actor,
    hash: TokenHash,
}

impl Editor {
    fn is_admin(&self) -> bool {
        self.access.scopes().contains(Scope::MemberAdmin)
    }

    /// A new link for an invitation, good as long as the old one was; none for a member.
    fn new_link(&self, member: &Member) -> Option<InviteLink> {
        match member.who {
            Person::Invited { expires, .. } => Some(InviteLink {
                hash: self.hash,
                expires,
            }),
            Person::User(_) => None,
        }
    }

    /// Sends an invitation again; its new link. A full member, who has none, is refused.
    fn reinvite(
        &self,
        unit: &mut Unit<'_>,
        member: &Member,
        change: &MemberChange,
    ) -> Result<Result<Option<InviteLink>, Refusal>, Error> {
        if let Some(refusal) = self.refuse_reinvite(member, change) {
            return Ok(Err(refusal));
        }
        let link = self.new_link(member).map(|link| match change.regenerate {
            true => InviteLink {
                expires: self.actor.at.plus_secs(INVITATION_SECS),
                ..link
            },
            false => link,
        });
        if let Some(link) = link {
            members::invite_again(unit, &self.actor, self.organization, member, link)?;
        }
        Ok(Ok(link))
    }

    fn refuse_reinvite(&self, member: &Member, change: &MemberChange) -> Option<Refusal> {
        let is_admin = self.is_admin();
        let is_expired = member.is_expired(self.actor.at);
        let reasons = [
            (change.has_details, SEPARATE_REQUESTS),
            (
                !is_admin && !member.was_invited_by(self.user),
                INVITED_BY_OTHERS,
            ),
            (!member.is_pending(), FULL_MEMBER),
            (change.regenerate && !is_admin, NOT_ADMIN),
            // Whoever reads the link can become what it invites to.
            (!self.access.invites_as(member.role), NOT_THIS_MEMBERS_ROLE),
            (is_expired && !change.regenerate, EXPIRED),
        ];
        reasons
            .into_iter()
            .find_map(|(holds, refusal)| holds.then_some(refusal))
    }

    /// Gives role and teams; the link that an invitation got by it.
    fn edit(
        &self,
        unit: &mut Unit<'_>,
        member: &Member,
        change: &MemberChange,
    ) -> Result<Result<Option<InviteLink>, Refusal>, Error> {
        let role = change.role.unwrap_or(member.role);
        if role != member.role {
            if let Some(refusal) = self.refuse_role(member, role) {
                return Ok(Err(refusal));
            }
            if members::is_only_owner(unit, self.organization, member)? {
                return Ok(Err(ONLY_OWNER));
            }
        }
        // They were there when the body was read.
        let seats = change
            .teams
            .find(unit, self.organization)?
            .map_err(|text| {
                let mut errors = FieldErrors::default();
                errors.add(change.teams.field, text);
                Error::Invalid(errors)
            })?;
        let link = (role > member.role)
            .then(|| self.new_link(member))
            .flatten();
        let new = MemberUpdate { role, seats, link };
        members::update(unit, &self.actor, self.organization, member, &new)?;
        Ok(Ok(link))
    }

    fn refuse_role(&self, member: &Member, role: OrganizationRole) -> Option<Refusal> {
        if member.is_of(self.user) {
            Some(OWN_ROLE)
        } else if !self.access.assigns(role) {
            Some(NOT_THIS_ROLE)
        } else if !self.access.assigns(member.role) {
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
    let (mut body, member, link) = api.store.write(move |unit| {
        let InOrganization { access, .. } = at_the_change(unit, &caller, wanted, organization)?;
        let member = members::find_by_id(unit, organization, id)?.ok_or(Error::NotFound)?;
        let editor = Editor {
            organization,
            access,
            user,
            actor: actor.clone(),
            hash,
        };
        // Those who do not manage members send their own invitations again, and no more.
        let is_own_business = change.reinvite && member.is_pending();
        if !editor.is_admin() && !is_own_business {
            return Err(Error::Forbidden);
        }
        let done = match change.reinvite {
            true => editor.reinvite(unit, &member, &change)?,
            false => editor.edit(unit, &member, &change)?,
        };
        let link = match done {
            Ok(link) => link,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let member = members::find_by_id(unit, organization, id)?.ok_or(Error::NotFound)?;
        let body = MemberDetailBody::read(unit, organization, &member, &editor.access, view)?;
        Ok(Ok((body, member, link)))
    })??;
    if link.is_some() {
        let url = accept_url(&api.prefix, member.id, &token);
        mail_invitation(
            api,
            &member,
            &context.organization.name,
            url.clone(),
            view.now,
        );
        body.invite_link = Some(url);
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
