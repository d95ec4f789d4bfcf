//! `picket team`: teams and who is in them.

use serde_json::{Value, json};

use super::confirm::YES;
use super::lookup::{self, new_slug, pair};
use super::member::EMAIL;
use super::org::{NAME_CHARS_MAX, ORG};
use super::table::{minute, table};
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::scope::TeamRole;
use crate::domain::slug::SlugKind;
use crate::domain::{Error, Result};
use crate::store::organizations::Organization;
use crate::store::teams::{self, Team};
use crate::store::{Connection, team_members};

const FORM: &str = "ORG/TEAM";

const TEAM: Argument = Argument {
    name: FORM,
    meaning: "the slugs or ids of an organization and of a team in it",
};

const NAME: Flag = Flag {
    name: "name",
    hint: Some("NAME"),
    meaning: "what people call it, in up to 64 characters",
};

pub(super) const LIST: Command = Command {
    name: "team list",
    summary: "list the teams of an organization",
    about: "Lists the teams of an organization with how many members they have, invitations included.",
    arguments: &[ORG],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const CREATE: Command = Command {
    name: "team create",
    summary: "make a team",
    about: "Makes a team, which nobody is in yet.",
    arguments: &[Argument {
        name: "ORG/SLUG",
        meaning: "the organization's slug or id, and the team's name in paths: lower-case letters, digits, _ and -",
    }],
    options: &[NAME, JSON],
    serves: false,
    run: create,
};

pub(super) const UPDATE: Command = Command {
    name: "team update",
    summary: "change a team's name or slug",
    about: "Changes what is named and leaves the rest.",
    arguments: &[TEAM],
    options: &[
        NAME,
        Flag {
            name: "slug",
            hint: Some("SLUG"),
            meaning: "its new name in paths",
        },
        JSON,
    ],
    serves: false,
    run: update,
};

pub(super) const DELETE: Command = Command {
    name: "team delete",
    summary: "delete a team; its projects stay",
    about: "Deletes a team for good. Its members and projects stay, without it.",
    arguments: &[TEAM],
    options: &[YES, JSON],
    serves: false,
    run: delete,
};

pub(super) const ADD_MEMBER: Command = Command {
    name: "team add-member",
    summary: "put a member into a team, or give another role there",
    about: "Puts a member of the organization, or somebody who was invited, into a team. With --role it also changes the \
            role of one who is in it.",
    arguments: &[TEAM, EMAIL],
    options: &[
        Flag {
            name: "role",
            hint: Some("ROLE"),
            meaning: "contributor or admin; without it the organization's usual one",
        },
        JSON,
    ],
    serves: false,
    run: add_member,
};

pub(super) const REMOVE_MEMBER: Command = Command {
    name: "team remove-member",
    summary: "take a member out of a team",
    about: "Takes a member out of a team; the place in the organization stays.",
    arguments: &[TEAM, EMAIL],
    options: &[JSON],
    serves: false,
    run: remove_member,
};

fn to_json(organization: &Organization, team: &Team, members: u32) -> Value {
    json!({
        "id": team.id.to_string(),
        "organization": organization.slug.as_str(),
        "slug": team.slug.as_str(),
        "name": team.name,
        "members": members,
        "created": team.created,
    })
}

/// The team of the first argument.
fn asked(invocation: &Invocation) -> Result<(String, String), Failure> {
    pair(invocation.argument(0), FORM)
}

fn find(connection: &Connection, (org, team): &(String, String)) -> Result<(Organization, Team)> {
    let organization = lookup::organization(connection, org)?;
    let team = lookup::team(connection, &organization, team)?;
    Ok((organization, team))
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let (organization, all) = invocation.read(|connection| {
        let organization = lookup::organization(connection, invocation.argument(0))?;
        let teams = teams::list(connection, organization.id)?;
        Ok((organization, teams))
    })?;
    if invocation.json() {
        let shown = all
            .iter()
            .map(|(team, members)| to_json(&organization, team, *members));
        return print_json(&Value::Array(shown.collect()));
    }
    let rows = all.iter().map(|(team, members)| {
        [
            team.id.to_string(),
            team.slug.to_string(),
            team.name.clone(),
            members.to_string(),
            minute(team.created),
        ]
    });
    let heads = ["ID", "SLUG", "NAME", "MEMBERS", "CREATED"];
    print(&table(heads, rows.collect()))
}

/// Tells about a team after a change.
fn tell(
    invocation: &Invocation,
    (organization, team, members): &(Organization, Team, u32),
    text: &str,
) -> Result<(), Failure> {
    match invocation.json() {
        true => print_json(&to_json(organization, team, *members)),
        false => print(&format!(
            "team {}/{} {text}\n",
            organization.slug, team.slug
        )),
    }
}

fn again(
    connection: &Connection,
    organization: Organization,
    team: &Team,
) -> Result<(Organization, Team, u32)> {
    let team = lookup::team(connection, &organization, &team.id.to_string())?;
    let members = team_members::count(connection, team.id)?;
    Ok((organization, team, members))
}

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let (org, slug) = pair(invocation.argument(0), "ORG/SLUG")?;
    let slug = new_slug(SlugKind::Team, "SLUG", &slug)?;
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let shown = invocation.change(move |unit, actor| {
        let organization = lookup::organization(unit, &org)?;
        let name = name.as_deref().unwrap_or(slug.as_str());
        teams::create(unit, actor, organization.id, &slug, name)?;
        let team = lookup::team(unit, &organization, slug.as_str())?;
        Ok((organization, team, 0))
    })?;
    let text = format!("is made, with the id {}", shown.1.id);
    tell(invocation, &shown, &text)
}

fn update(invocation: &Invocation) -> Result<(), Failure> {
    let asked = asked(invocation)?;
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let slug = match invocation.option("slug") {
        Some(text) => Some(new_slug(SlugKind::Team, "--slug", text)?),
        None => None,
    };
    if name.is_none() && slug.is_none() {
        let text = "there is nothing to change; see picket help team update";
        return Err(Failure::Usage(text.to_owned()));
    }
    let shown = invocation.change(move |unit, actor| {
        let (organization, team) = find(unit, &asked)?;
        teams::update(unit, actor, &team, slug.as_ref(), name.as_deref())?;
        again(unit, organization, &team)
    })?;
    let text = format!("is called {}", shown.1.name);
    tell(invocation, &shown, &text)
}

fn delete(invocation: &Invocation) -> Result<(), Failure> {
    let asked = asked(invocation)?;
    let (organization, team) = invocation.read(|connection| find(connection, &asked))?;
    let shown = format!("{}/{}", organization.slug, team.slug);
    let what = format!("team {shown} goes for good; its projects stay");
    invocation.confirm(&what, team.slug.as_str())?;
    invocation.change(move |unit, actor| {
        let (_, team) = find(unit, &asked)?;
        teams::delete(unit, actor, &team)
    })?;
    if invocation.json() {
        return print_json(
            &json!({ "id": team.id.to_string(), "slug": team.slug.as_str(), "deleted": true }),
        );
    }
    print(&format!("team {shown} is deleted\n"))
}

fn add_member(invocation: &Invocation) -> Result<(), Failure> {
    let asked = asked(invocation)?;
    let role = match invocation.option("role") {
        None => None,
        Some(text) => Some(TeamRole::parse(text).ok_or_else(|| {
            Failure::Usage(format!(
                "--role: {text:?} is no role in a team; there are contributor and admin"
            ))
        })?),
    };
    let email = invocation.argument(1).to_owned();
    let shown = invocation.change(move |unit, actor| {
        let (organization, team) = find(unit, &asked)?;
        let member = lookup::member(unit, &organization, &email)?;
        let there = team_members::find_role(unit, team.id, member.id)?;
        // A role that nobody asks for is left alone.
        let role = role.or(there.flatten());
        teams::set_member(unit, actor, &team, member.id, role)?;
        again(unit, organization, &team)
    })?;
    let text = format!("has {}", invocation.argument(1));
    tell(invocation, &shown, &text)
}

fn remove_member(invocation: &Invocation) -> Result<(), Failure> {
    let asked = asked(invocation)?;
    let email = invocation.argument(1).to_owned();
    let shown = invocation.change(move |unit, actor| {
        let (organization, team) = find(unit, &asked)?;
        let member = lookup::member(unit, &organization, &email)?;
        if team_members::find_role(unit, team.id, member.id)?.is_none() {
            let text = format!("{email} is not in {}/{}", organization.slug, team.slug);
            return Err(Error::Refused(text));
        }
        team_members::delete(unit, actor, &team, member.id)?;
        again(unit, organization, &team)
    })?;
    let text = format!("has {} no longer", invocation.argument(1));
    tell(invocation, &shown, &text)
}
