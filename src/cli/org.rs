//! `picket org`: organizations.

use serde_json::{Value, json};

use super::confirm::YES;
use super::lookup::{self, new_slug};
use super::table::{facts, minute, table};
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::access::MemberPolicy;
use crate::domain::scope::OrganizationRole;
use crate::domain::slug::{IdOrSlug, SlugKind};
use crate::domain::{Error, Result};
use crate::store::organizations::{self, Contents, Organization, OrganizationChange};
use crate::store::{Connection, members, users};

pub(super) const NAME_CHARS_MAX: usize = 64;

pub(super) const ORG: Argument = Argument {
    name: "ORG",
    meaning: "the organization's slug or id",
};

const NAME: Flag = Flag {
    name: "name",
    hint: Some("NAME"),
    meaning: "what people call it, in up to 64 characters",
};

pub(super) const LIST: Command = Command {
    name: "org list",
    summary: "list the organizations",
    about: "Lists every organization with how many members, teams and projects it has.",
    arguments: &[],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const CREATE: Command = Command {
    name: "org create",
    summary: "make an organization",
    about: "Makes an organization. It has no members but the owner that is named.",
    arguments: &[Argument {
        name: "SLUG",
        meaning: "its name in paths: letters, digits and hyphens, three at least",
    }],
    options: &[
        NAME,
        Flag {
            name: "owner",
            hint: Some("EMAIL"),
            meaning: "the user who owns it",
        },
        JSON,
    ],
    serves: false,
    run: create,
};

pub(super) const SHOW: Command = Command {
    name: "org show",
    summary: "show an organization and what its members may do",
    about: "Shows an organization, how much it has, and what it lets its plain members do.",
    arguments: &[ORG],
    options: &[JSON],
    serves: false,
    run: show,
};

type PartOfPolicy = fn(&mut MemberPolicy) -> &mut bool;

/// The options for what plain members may do, each with its place in a policy.
const POLICY: [(&str, PartOfPolicy); 5] = [
    ("open-membership", |policy| &mut policy.open_membership),
    ("members-invite", |policy| &mut policy.invite),
    ("members-create-projects", |policy| {
        &mut policy.create_projects
    }),
    ("members-delete-events", |policy| &mut policy.admin_events),
    ("members-change-alerts", |policy| &mut policy.write_alerts),
];

pub(super) const UPDATE: Command = Command {
    name: "org update",
    summary: "change an organization's name, slug, or what its members may do",
    about: "Changes what is named and leaves the rest. A new slug changes every path below it; DSNs carry no slug.",
    arguments: &[ORG],
    options: &[
        NAME,
        Flag {
            name: "slug",
            hint: Some("SLUG"),
            meaning: "its new name in paths",
        },
        Flag {
            name: "open-membership",
            hint: Some("on|off"),
            meaning: "whether members see every team and project, and join teams by themselves",
        },
        Flag {
            name: "members-invite",
            hint: Some("on|off"),
            meaning: "whether plain members may invite others",
        },
        Flag {
            name: "members-create-projects",
            hint: Some("on|off"),
            meaning: "whether plain members may make projects",
        },
        Flag {
            name: "members-delete-events",
            hint: Some("on|off"),
            meaning: "whether plain members may delete events",
        },
        Flag {
            name: "members-change-alerts",
            hint: Some("on|off"),
            meaning: "whether plain members may change alerts",
        },
        JSON,
    ],
    serves: false,
    run: update,
};

pub(super) const DELETE: Command = Command {
    name: "org delete",
    summary: "delete an organization with all that it has",
    about: "Deletes an organization with its teams, projects, keys, tokens and events, for good. It is gone at once; a \
            running server, or the next one, removes its rows in the background.",
    arguments: &[ORG],
    options: &[YES, JSON],
    serves: false,
    run: delete,
};

/// An organization and how much it has.
struct Shown {
    organization: Organization,
    contents: Contents,
}

impl Shown {
    fn of(connection: &Connection, organization: Organization) -> Result<Shown> {
        Ok(Shown {
            contents: organizations::count_contents(connection, organization.id)?,
            organization,
        })
    }

    fn to_json(&self) -> Value {
        let Organization {
            id,
            slug,
            name,
            policy,
            created,
            ..
        } = &self.organization;
        let mut policy = *policy;
        let mut value = json!({
            "id": id.to_string(),
            "slug": slug.as_str(),
            "name": name,
            "created": created,
            "members": self.contents.members,
            "teams": self.contents.teams,
            "projects": self.contents.projects,
        });
        for (option, of) in POLICY {
            value[option.replace('-', "_")] = json!(*of(&mut policy));
        }
        value
    }

    fn to_text(&self) -> String {
        let Shown { organization, .. } = self;
        let mut policy = organization.policy;
        let mut lines = vec![
            ("id", organization.id.to_string()),
            ("slug", organization.slug.to_string()),
            ("name", organization.name.clone()),
            ("created", minute(organization.created)),
            ("members", self.contents.members.to_string()),
            ("teams", self.contents.teams.to_string()),
            ("projects", self.contents.projects.to_string()),
        ];
        for (option, of) in POLICY {
            let word = if *of(&mut policy) { "on" } else { "off" };
            lines.push((option, word.to_owned()));
        }
        facts(&lines)
    }
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let all = invocation.read(|connection| {
        organizations::list_all(connection)?
            .into_iter()
            .map(|organization| Shown::of(connection, organization))
            .collect::<Result<Vec<_>>>()
    })?;
    if invocation.json() {
        return print_json(&Value::Array(all.iter().map(Shown::to_json).collect()));
    }
    let rows = all.iter().map(|shown| {
        [
            shown.organization.id.to_string(),
            shown.organization.slug.to_string(),
            shown.organization.name.clone(),
            shown.contents.members.to_string(),
            shown.contents.teams.to_string(),
            shown.contents.projects.to_string(),
            minute(shown.organization.created),
        ]
    });
    let heads = [
        "ID", "SLUG", "NAME", "MEMBERS", "TEAMS", "PROJECTS", "CREATED",
    ];
    print(&table(heads, rows.collect()))
}

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let slug = new_slug(SlugKind::Organization, "SLUG", invocation.argument(0))?;
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let owner = invocation.option("owner").map(str::to_owned);
    let shown = invocation.change(move |unit, actor| {
        let name = name.as_deref().unwrap_or(slug.as_str());
        let id = organizations::create(unit, actor, &slug, name)?;
        if let Some(email) = &owner {
            let user = users::find_by_email(unit, email)?
                .ok_or_else(|| Error::Refused(format!("--owner: there is no user {email}")))?;
            members::set(unit, actor, id, user.id, OrganizationRole::Owner)?;
        }
        Shown::of(unit, lookup::organization(unit, &id.to_string())?)
    })?;
    if invocation.json() {
        return print_json(&shown.to_json());
    }
    let Organization { id, slug, .. } = &shown.organization;
    print(&format!("organization {slug} is made, with the id {id}\n"))
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    let shown = invocation.read(|connection| {
        let organization = lookup::organization(connection, invocation.argument(0))?;
        Shown::of(connection, organization)
    })?;
    match invocation.json() {
        true => print_json(&shown.to_json()),
        false => print(&shown.to_text()),
    }
}

fn update(invocation: &Invocation) -> Result<(), Failure> {
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let slug = match invocation.option("slug") {
        Some(text) => Some(new_slug(SlugKind::Organization, "--slug", text)?),
        None => None,
    };
    let mut policy = Vec::new();
    for (option, of) in POLICY {
        match invocation.option(option) {
            None => {}
            Some("on") => policy.push((of, true)),
            Some("off") => policy.push((of, false)),
            Some(text) => {
                let text = format!("--{option}: {text:?} is neither on nor off");
                return Err(Failure::Usage(text));
            }
        }
    }
    if name.is_none() && slug.is_none() && policy.is_empty() {
        let text = "there is nothing to change; see picket help org update";
        return Err(Failure::Usage(text.to_owned()));
    }
    let org = invocation.argument(0).to_owned();
    let shown = invocation.change(move |unit, actor| {
        let old = lookup::organization(unit, &org)?;
        let mut new = OrganizationChange {
            slug: slug.clone().unwrap_or_else(|| old.slug.clone()),
            name: name.clone().unwrap_or_else(|| old.name.clone()),
            policy: old.policy,
            early_adopter: old.early_adopter,
            superuser_access: old.superuser_access,
            require_2fa: old.require_2fa,
            options: Vec::new(),
        };
        for (of, on) in &policy {
            *of(&mut new.policy) = *on;
        }
        organizations::update(unit, actor, &old, &new)?;
        Shown::of(unit, lookup::organization(unit, &old.id.to_string())?)
    })?;
    match invocation.json() {
        true => print_json(&shown.to_json()),
        false => print(&shown.to_text()),
    }
}

fn delete(invocation: &Invocation) -> Result<(), Failure> {
    let shown = invocation.read(|connection| {
        let organization = lookup::organization(connection, invocation.argument(0))?;
        Shown::of(connection, organization)
    })?;
    let Organization { id, slug, .. } = shown.organization;
    let what = format!(
        "organization {slug} goes for good, with its projects ({}) and all their events",
        shown.contents.projects
    );
    invocation.confirm(&what, slug.as_str())?;
    invocation.change(move |unit, actor| {
        let old = organizations::find(unit, &IdOrSlug::Id(id.0))?.ok_or(Error::NotFound)?;
        organizations::delete(unit, actor, &old)
    })?;
    if invocation.json() {
        return print_json(
            &json!({ "id": id.to_string(), "slug": slug.as_str(), "deleted": true }),
        );
    }
    print(&format!("organization {slug} is deleted\n"))
}
