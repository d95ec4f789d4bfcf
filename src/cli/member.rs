//! `picket member`: who is in an organization, and as what.

use serde_json::{Value, json};

use super::confirm::YES;
use super::lookup;
use super::org::ORG;
use super::table::{minute, or_none, table};
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::id::OrganizationId;
use crate::domain::scope::OrganizationRole;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenText;
use crate::domain::{Error, Result, email};
use crate::store::members::{
    self, InviteLink, Member, MemberFilter, MemberUpdate, NewInvitation, Seat,
};
use crate::store::organizations::Organization;
use crate::store::{Connection, users};

pub(super) const EMAIL: Argument = Argument {
    name: "EMAIL",
    meaning: "the address of the user",
};

const ROLE: Flag = Flag {
    name: "role",
    hint: Some("ROLE"),
    meaning: "member, manager or owner (default: member)",
};

pub(super) const LIST: Command = Command {
    name: "member list",
    summary: "list the members of an organization",
    about: "Lists the members of an organization and those who were invited, with their roles and teams.",
    arguments: &[ORG],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const ADD: Command = Command {
    name: "member add",
    summary: "put a user into an organization",
    about: "Makes a user a member of an organization at once. Somebody without an account is invited instead: see \
            picket help member invite.",
    arguments: &[ORG, EMAIL],
    options: &[ROLE, JSON],
    serves: false,
    run: add,
};

pub(super) const INVITE: Command = Command {
    name: "member invite",
    summary: "invite somebody and print the link, once",
    about: "Invites somebody into an organization and prints the link that they follow, which holds for 30 days. Only \
            its hash is kept. Links carry the address in --url-prefix.",
    arguments: &[
        ORG,
        Argument {
            name: "EMAIL",
            meaning: "whom to invite",
        },
    ],
    options: &[ROLE, JSON],
    serves: false,
    run: invite,
};

pub(super) const SET_ROLE: Command = Command {
    name: "member set-role",
    summary: "give a member another role",
    about: "Gives a member of an organization, or somebody who was invited, another role: member, manager or owner. The \
            only owner stays one.",
    arguments: &[
        ORG,
        EMAIL,
        Argument {
            name: "ROLE",
            meaning: "member, manager or owner",
        },
    ],
    options: &[JSON],
    serves: false,
    run: set_role,
};

pub(super) const REMOVE: Command = Command {
    name: "member remove",
    summary: "take somebody out of an organization",
    about: "Takes a member out of an organization and its teams, or takes an invitation back. The account stays. The \
            only owner cannot be removed.",
    arguments: &[ORG, EMAIL],
    options: &[YES, JSON],
    serves: false,
    run: remove,
};

/// As for the API.
const INVITATION_SECS: i64 = 30 * 86_400;
const EMAIL_CHARS_MAX: usize = 75;

/// A member with the teams it is in.
struct Shown {
    organization: Organization,
    member: Member,
    seats: Vec<Seat>,
}

impl Shown {
    fn of(connection: &Connection, organization: &Organization, email: &str) -> Result<Shown> {
        let member = lookup::member(connection, organization, email)?;
        Ok(Shown {
            organization: organization.clone(),
            seats: members::list_seats(connection, member.id)?,
            member,
        })
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match (self.member.is_pending(), self.member.is_expired(now)) {
            (false, _) => "member",
            (true, false) => "invited",
            (true, true) => "invitation expired",
        }
    }

    fn seats(&self) -> Vec<String> {
        let shown = |seat: &Seat| match seat.role {
            Some(role) => format!("{}:{}", seat.slug, role.as_str()),
            None => seat.slug.to_string(),
        };
        self.seats.iter().map(shown).collect()
    }

    fn to_json(&self, now: Timestamp) -> Value {
        json!({
            "id": self.member.id.to_string(),
            "organization": self.organization.slug.as_str(),
            "email": self.member.email(),
            "name": self.member.user().map(|user| &user.name),
            "role": self.member.role.as_str(),
            "state": self.state(now),
            "teams": self.seats(),
            "created": self.member.created,
        })
    }
}

/// The retired role can be kept and not given.
fn role(name: &str, text: &str) -> Result<OrganizationRole, Failure> {
    OrganizationRole::parse(text)
        .filter(|role| *role != OrganizationRole::Admin)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{name}: {text:?} is no role; there are member, manager and owner"
            ))
        })
}

fn asked_role(invocation: &Invocation) -> Result<OrganizationRole, Failure> {
    match invocation.option("role") {
        Some(text) => role("--role", text),
        None => Ok(OrganizationRole::Member),
    }
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let now = invocation.clock().now();
    let all = invocation.read(|connection| {
        let organization = lookup::organization(connection, invocation.argument(0))?;
        let everybody = MemberFilter::default();
        members::list(connection, organization.id, &everybody, 0, i64::MAX)?
            .into_iter()
            .map(|member| {
                Ok(Shown {
                    organization: organization.clone(),
                    seats: members::list_seats(connection, member.id)?,
                    member,
                })
            })
            .collect::<Result<Vec<_>>>()
    })?;
    if invocation.json() {
        let values = all.iter().map(|shown| shown.to_json(now)).collect();
        return print_json(&Value::Array(values));
    }
    let rows = all.iter().map(|shown| {
        [
            shown.member.id.to_string(),
            shown.member.email().to_owned(),
            shown.member.role.as_str().to_owned(),
            shown.state(now).to_owned(),
            or_none(&shown.seats()),
            minute(shown.member.created),
        ]
    });
    let heads = ["ID", "EMAIL", "ROLE", "STATE", "TEAMS", "SINCE"];
    print(&table(heads, rows.collect()))
}

fn add(invocation: &Invocation) -> Result<(), Failure> {
    let role = asked_role(invocation)?;
    let (org, email) = (
        invocation.argument(0).to_owned(),
        invocation.argument(1).to_owned(),
    );
    let shown = invocation.change(move |unit, actor| {
        let organization = lookup::organization(unit, &org)?;
        let user = users::find_by_email(unit, &email)?.ok_or_else(|| {
            Error::Refused(format!(
                "there is no user {email}; picket member invite invites somebody who has no account yet"
            ))
        })?;
        if members::find(unit, organization.id, user.id)?.is_some() {
            let text = format!("{email} is a member of {} already", organization.slug);
            return Err(Error::Refused(text));
        }
        members::set(unit, actor, organization.id, user.id, role)?;
        Shown::of(unit, &organization, &email)
    })?;
    tell(invocation, &shown, "is a member of")
}

fn tell(invocation: &Invocation, shown: &Shown, is: &str) -> Result<(), Failure> {
    if invocation.json() {
        return print_json(&shown.to_json(invocation.clock().now()));
    }
    print(&format!(
        "{} {is} {} as {}\n",
        shown.member.email(),
        shown.organization.slug,
        shown.member.role.as_str()
    ))
}

fn invite(invocation: &Invocation) -> Result<(), Failure> {
    let role = asked_role(invocation)?;
    let email = invocation.argument(1).to_owned();
    if !email::is_plausible(&email) || email.chars().count() > EMAIL_CHARS_MAX {
        return Err(Failure::Usage(format!("EMAIL: {email:?} is no address")));
    }
    let org = invocation.argument(0).to_owned();
    let token = TokenText::random_invitation();
    let hash = token.hash();
    let shown = invocation.change(move |unit, actor| {
        let organization = lookup::organization(unit, &org)?;
        refuse_present(unit, &organization, &email)?;
        let invitation = NewInvitation {
            organization: organization.id,
            email: &email,
            role,
            seats: &[],
            inviter: None,
            link: InviteLink {
                hash,
                expires: actor.at.plus_secs(INVITATION_SECS),
            },
        };
        members::invite(unit, actor, &invitation)?;
        Shown::of(unit, &organization, &email)
    })?;
    let link = format!(
        "{}/accept/{}/{}/",
        invocation.config.url_prefix(),
        shown.member.id,
        token.reveal()
    );
    if invocation.json() {
        let mut value = shown.to_json(invocation.clock().now());
        value["link"] = json!(link);
        return print_json(&value);
    }
    print(&format!("{link}\n"))
}

fn refuse_present(connection: &Connection, organization: &Organization, email: &str) -> Result<()> {
    let is = match members::find_by_email(connection, organization.id, email)? {
        None => return Ok(()),
        Some(member) if member.is_pending() => "was invited into",
        Some(_) => "is a member of",
    };
    let slug = &organization.slug;
    Err(Error::Refused(format!("{email} {is} {slug} already")))
}

fn refuse_only_owner(
    connection: &Connection,
    organization: OrganizationId,
    member: &Member,
) -> Result<()> {
    if members::is_only_owner(connection, organization, member)? {
        let text = format!("{} is the only owner", member.email());
        return Err(Error::Refused(text));
    }
    Ok(())
}

fn set_role(invocation: &Invocation) -> Result<(), Failure> {
    let role = role("ROLE", invocation.argument(2))?;
    let (org, email) = (
        invocation.argument(0).to_owned(),
        invocation.argument(1).to_owned(),
    );
    let shown = invocation.change(move |unit, actor| {
        let organization = lookup::organization(unit, &org)?;
        let member = lookup::member(unit, &organization, &email)?;
        if role != member.role {
            refuse_only_owner(unit, organization.id, &member)?;
        }
        let update = MemberUpdate {
            role,
            seats: members::list_seats(unit, member.id)?,
            link: None,
        };
        members::update(unit, actor, organization.id, &member, &update)?;
        Shown::of(unit, &organization, &email)
    })?;
    let is = match shown.member.is_pending() {
        true => "is invited into",
        false => "is a member of",
    };
    tell(invocation, &shown, is)
}

fn remove(invocation: &Invocation) -> Result<(), Failure> {
    let (org, email) = (
        invocation.argument(0).to_owned(),
        invocation.argument(1).to_owned(),
    );
    let shown = invocation.read(|connection| {
        let organization = lookup::organization(connection, &org)?;
        let shown = Shown::of(connection, &organization, &email)?;
        refuse_only_owner(connection, organization.id, &shown.member)?;
        Ok(shown)
    })?;
    let (slug, email) = (&shown.organization.slug, shown.member.email());
    let what = format!("{email} goes out of {slug} and its teams");
    invocation.confirm(&what, email)?;
    let (organization, address) = (shown.organization.clone(), email.to_owned());
    let removed = invocation.change(move |unit, actor| {
        let member = lookup::member(unit, &organization, &address)?;
        members::delete(unit, actor, organization.id, &member)
    })?;
    if !removed {
        return Err(Failure::Failed(format!("{email} is the only owner")));
    }
    if invocation.json() {
        return print_json(&json!({
            "organization": slug.as_str(), "email": email, "removed": true,
        }));
    }
    print(&format!("{email} is out of {slug}\n"))
}
