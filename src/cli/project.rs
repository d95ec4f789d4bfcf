//! `picket project`: projects, their teams, and where they belong.

use serde_json::{Value, json};

use super::confirm::YES;
use super::lookup::{self, new_slug, pair};
use super::org::ORG;
use super::table::{facts, minute, or_none, table};
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::id::{CHOSEN_ID_MAX, ProjectId};
use crate::domain::key::ClientKey;
use crate::domain::option::{self, Kind, Options};
use crate::domain::secret::Secret;
use crate::domain::slug::SlugKind;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result, email, platform};
use crate::store::client_keys::NewClientKey;
use crate::store::organizations::Organization;
use crate::store::projects::{
    self, NewProject, OptionChange, Project, ProjectChange, ProjectFilter,
};
use crate::store::{Connection, client_keys, teams, transfers};

const FORM: &str = "ORG/PROJECT";
const NAME_CHARS_MAX: usize = 50;

pub(super) const PROJECT: Argument = Argument {
    name: FORM,
    meaning: "the slugs or ids of an organization and of a project in it",
};

const NAME: Flag = Flag {
    name: "name",
    hint: Some("NAME"),
    meaning: "what people call it, in up to 50 characters",
};

const PLATFORM: Flag = Flag {
    name: "platform",
    hint: Some("PLATFORM"),
    meaning: "what it is written in, such as python-django",
};

pub(super) const LIST: Command = Command {
    name: "project list",
    summary: "list the projects of an organization",
    about: "Lists the projects of an organization with their teams.",
    arguments: &[ORG],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const CREATE: Command = Command {
    name: "project create",
    summary: "make a project and print its DSN",
    about: "Makes a project with a client key named Default, and prints the DSN that an SDK is given. DSNs carry the \
            address in --url-prefix.",
    arguments: &[Argument {
        name: "ORG/SLUG",
        meaning: "the organization's slug or id, and the project's name in paths: lower-case letters, digits, _ and -",
    }],
    options: &[
        NAME,
        PLATFORM,
        Flag {
            name: "team",
            hint: Some("TEAM"),
            meaning: "the slug or id of the team that has it",
        },
        Flag {
            name: "id",
            hint: Some("NUMBER"),
            meaning: "the number at the end of its DSNs, so that an application can keep its own",
        },
        JSON,
    ],
    serves: false,
    run: create,
};

pub(super) const SHOW: Command = Command {
    name: "project show",
    summary: "show a project with its teams and DSNs",
    about: "Shows a project with its teams and the DSNs of its keys that are active.",
    arguments: &[PROJECT],
    options: &[JSON],
    serves: false,
    run: show,
};

pub(super) const UPDATE: Command = Command {
    name: "project update",
    summary: "change a project's name, slug, platform or teams",
    about: "Changes what is named and leaves the rest. Requests for an old slug are sent to the new one; DSNs carry no \
            slug.",
    arguments: &[PROJECT],
    options: &[
        NAME,
        Flag {
            name: "slug",
            hint: Some("SLUG"),
            meaning: "its new name in paths",
        },
        PLATFORM,
        Flag {
            name: "add-team",
            hint: Some("TEAM"),
            meaning: "the slug or id of a team that gets it",
        },
        Flag {
            name: "remove-team",
            hint: Some("TEAM"),
            meaning: "the slug or id of a team that has it no longer",
        },
        Flag {
            name: "retention-days",
            hint: Some("DAYS|none"),
            meaning: "after how many days what its clients sent is removed; the server's --event-retention-days holds too",
        },
        Flag {
            name: "max-events-size",
            hint: Some("SIZE|none"),
            meaning: "how much of what its clients sent is kept, such as 500MiB; beyond that the oldest and least \
                      informative goes",
        },
        JSON,
    ],
    serves: false,
    run: update,
};

pub(super) const DELETE: Command = Command {
    name: "project delete",
    summary: "delete a project with all its events",
    about: "Deletes a project with its keys and events, for good. It is gone at once; a running server, or the next one, \
            removes its rows in the background.",
    arguments: &[PROJECT],
    options: &[YES, JSON],
    serves: false,
    run: delete,
};

pub(super) const TRANSFER: Command = Command {
    name: "project transfer",
    summary: "move a project to another organization",
    about: "Moves a project with --to, or offers it with --email and prints the link for whoever takes it, who must own or \
            manage another organization; the link works once and holds for a week. A project keeps its number, keys, \
            settings and events, so that applications go on without a change. Its teams stay behind.",
    arguments: &[PROJECT],
    options: &[
        Flag {
            name: "to",
            hint: Some("ORG"),
            meaning: "the slug or id of the organization that it moves to now",
        },
        Flag {
            name: "team",
            hint: Some("TEAM"),
            meaning: "with --to: the slug or id of the team there that gets it",
        },
        Flag {
            name: "email",
            hint: Some("EMAIL"),
            meaning: "the address of the user it is offered to",
        },
        JSON,
    ],
    serves: false,
    run: transfer,
};

/// A project with the slugs of its teams and its keys.
struct Shown {
    organization: Organization,
    project: Project,
    teams: Vec<String>,
    keys: Vec<ClientKey>,
    /// Those of what is kept, as they were set.
    budget: Vec<(&'static str, Value)>,
}

impl Shown {
    fn of(connection: &Connection, organization: Organization, project: Project) -> Result<Shown> {
        let teams = teams::list_of_projects(connection, &[project.id])?;
        let teams = teams.get(&project.id).into_iter().flatten();
        let mut options: Options = projects::list_options(connection, project.id)?
            .into_iter()
            .collect();
        let budget = [option::RETENTION_DAYS, option::MAX_EVENTS_SIZE];
        Ok(Shown {
            budget: budget
                .into_iter()
                .filter_map(|name| Some((name, options.remove(name)?)))
                .collect(),
            teams: teams.map(|team| team.slug.to_string()).collect(),
            keys: client_keys::list_of_project(connection, project.id)?,
            organization,
            project,
        })
    }

    fn path(&self) -> String {
        format!("{}/{}", self.organization.slug, self.project.slug)
    }

    /// Of the keys that let anything in.
    fn dsns(&self, invocation: &Invocation, now: Timestamp) -> Vec<String> {
        let valid = self.keys.iter().filter(|key| key.is_valid(now));
        valid.map(|key| invocation.dsn(key)).collect()
    }

    fn to_json(&self, invocation: &Invocation) -> Value {
        let Project {
            id,
            slug,
            name,
            platform,
            first_event,
            created,
            ..
        } = &self.project;
        json!({
            "id": id.to_string(),
            "organization": self.organization.slug.as_str(),
            "slug": slug.as_str(),
            "name": name,
            "platform": platform,
            "teams": self.teams,
            "options": self.budget.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "dsns": self.dsns(invocation, invocation.clock().now()),
            "first_event": first_event,
            "created": created,
        })
    }
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let all = invocation.read(|connection| {
        let organization = lookup::organization(connection, invocation.argument(0))?;
        let filter = ProjectFilter::default();
        projects::list(connection, organization.id, &filter, 0, i64::MAX)?
            .into_iter()
            .map(|project| Shown::of(connection, organization.clone(), project))
            .collect::<Result<Vec<_>>>()
    })?;
    if invocation.json() {
        let values = all.iter().map(|shown| shown.to_json(invocation));
        return print_json(&Value::Array(values.collect()));
    }
    let rows = all.iter().map(|shown| {
        [
            shown.project.id.to_string(),
            shown.project.slug.to_string(),
            shown.project.name.clone(),
            shown.project.platform.clone().unwrap_or_default(),
            or_none(&shown.teams),
            minute(shown.project.created),
        ]
    });
    let heads = ["ID", "SLUG", "NAME", "PLATFORM", "TEAMS", "CREATED"];
    print(&table(heads, rows.collect()))
}

fn asked_platform(invocation: &Invocation) -> Result<Option<String>, Failure> {
    match invocation.option("platform") {
        Some(text) if !platform::is_allowed(text) => Err(Failure::Usage(format!(
            "--platform: {text:?} is no known platform"
        ))),
        other => Ok(other.map(str::to_owned)),
    }
}

fn asked_id(invocation: &Invocation) -> Result<Option<ProjectId>, Failure> {
    let Some(text) = invocation.option("id") else {
        return Ok(None);
    };
    let id = text
        .parse()
        .ok()
        .filter(|id| (1..=CHOSEN_ID_MAX).contains(id));
    id.map(|id| Some(ProjectId(id))).ok_or_else(|| {
        Failure::Usage(format!(
            "--id: {text:?} is no number from 1 to {CHOSEN_ID_MAX}"
        ))
    })
}

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let (org, slug) = pair(invocation.argument(0), "ORG/SLUG")?;
    let slug = new_slug(SlugKind::Project, "SLUG", &slug)?;
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let platform = asked_platform(invocation)?.filter(|text| !text.is_empty());
    let id = asked_id(invocation)?;
    let team = invocation.option("team").map(str::to_owned);
    let shown = invocation.change(move |unit, actor| {
        let organization = lookup::organization(unit, &org)?;
        let team = match &team {
            Some(text) => Some(lookup::team(unit, &organization, text)?),
            None => None,
        };
        let new = NewProject {
            organization: organization.id,
            id,
            slug: slug.clone(),
            name: name.clone().unwrap_or_else(|| slug.to_string()),
            platform: platform.clone(),
            origin: None,
        };
        let id = projects::create(unit, actor, &new)?;
        if let Some(team) = team {
            projects::add_team(unit, actor, organization.id, id, team.id)?;
        }
        let key = NewClientKey {
            organization: organization.id,
            project: id,
            public: None,
            secret: None,
            label: "Default".to_owned(),
            rate_limit: None,
        };
        client_keys::create(unit, actor, &key)?;
        let path = (organization.id.to_string(), id.to_string());
        let (organization, project) = lookup::project(unit, &path)?;
        Shown::of(unit, organization, project)
    })?;
    if invocation.json() {
        return print_json(&shown.to_json(invocation));
    }
    let dsns = shown.dsns(invocation, invocation.clock().now());
    print(&format!("{}\n", dsns.join("\n")))
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), FORM)?;
    let shown = invocation.read(|connection| {
        let (organization, project) = lookup::project(connection, &path)?;
        Shown::of(connection, organization, project)
    })?;
    tell(invocation, &shown)
}

fn tell(invocation: &Invocation, shown: &Shown) -> Result<(), Failure> {
    if invocation.json() {
        return print_json(&shown.to_json(invocation));
    }
    let project = &shown.project;
    let never = || "never".to_owned();
    let mut lines = vec![
        ("id", project.id.to_string()),
        ("organization", shown.organization.slug.to_string()),
        ("slug", project.slug.to_string()),
        ("name", project.name.clone()),
        (
            "platform",
            project
                .platform
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
        ("teams", or_none(&shown.teams)),
        (
            "first event",
            project.first_event.map_or_else(never, minute),
        ),
        ("created", minute(project.created)),
    ];
    let budget = shown.budget.iter();
    lines.extend(budget.map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (*name, text)
    }));
    let dsns = shown.dsns(invocation, invocation.clock().now());
    lines.extend(dsns.into_iter().map(|dsn| ("dsn", dsn)));
    print(&facts(&lines))
}

/// How much of a project's data is to be kept, as it was asked for.
fn asked_budget(invocation: &Invocation) -> Result<Vec<OptionChange>, Failure> {
    let mut changes = Vec::new();
    for (flag, option, kind) in [
        ("retention-days", option::RETENTION_DAYS, Kind::Days),
        ("max-events-size", option::MAX_EVENTS_SIZE, Kind::Size),
    ] {
        let Some(text) = invocation.option(flag) else {
            continue;
        };
        let value = match (text, kind) {
            ("none", _) => None,
            (text, Kind::Days) => Some(text.parse().map_or(json!(text), |days: u32| json!(days))),
            (text, _) => Some(json!(text)),
        };
        let value = value.map(|value| kind.check(&value)).transpose();
        let value = value.map_err(|wrong| {
            let wrong = wrong.replace("false", "none");
            Failure::Usage(format!("--{flag}: {wrong}"))
        })?;
        changes.push(OptionChange {
            field: option.to_owned(),
            option: option.to_owned(),
            value,
        });
    }
    Ok(changes)
}

fn update(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), FORM)?;
    let name = invocation.text("name", NAME_CHARS_MAX)?;
    let slug = match invocation.option("slug") {
        Some(text) => Some(new_slug(SlugKind::Project, "--slug", text)?),
        None => None,
    };
    let platform = asked_platform(invocation)?;
    let team = |option: &str| invocation.option(option).map(str::to_owned);
    let (added, removed) = (team("add-team"), team("remove-team"));
    let options = asked_budget(invocation)?;
    if [&name, &platform, &added, &removed]
        .iter()
        .all(|given| given.is_none())
        && slug.is_none()
        && options.is_empty()
    {
        let text = "there is nothing to change; see picket help project update";
        return Err(Failure::Usage(text.to_owned()));
    }
    let shown = invocation.change(move |unit, actor| {
        let (organization, old) = lookup::project(unit, &path)?;
        let new = ProjectChange {
            slug: slug.clone().unwrap_or_else(|| old.slug.clone()),
            name: name.clone().unwrap_or_else(|| old.name.clone()),
            platform: match &platform {
                Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                None => old.platform.clone(),
            },
            security_token: old.security_token.clone(),
            options: options.clone(),
        };
        let stored = projects::list_options(unit, old.id)?.into_iter().collect();
        // The store says who has the slug, by name.
        projects::change(unit, actor, &old, stored, &new).map_err(|error| match error {
            Error::Conflict(other) => {
                Error::Refused(format!("--slug: the project {other} has {}", new.slug))
            }
            other => other,
        })?;
        if let Some(text) = &added {
            let team = lookup::team(unit, &organization, text)?;
            projects::add_team(unit, actor, organization.id, old.id, team.id)?;
        }
        if let Some(text) = &removed {
            let team = lookup::team(unit, &organization, text)?;
            projects::remove_team(unit, actor, organization.id, old.id, team.id)?;
        }
        let path = (organization.id.to_string(), old.id.to_string());
        let (organization, project) = lookup::project(unit, &path)?;
        Shown::of(unit, organization, project)
    })?;
    tell(invocation, &shown)
}

fn delete(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), FORM)?;
    let shown = invocation.read(|connection| {
        let (organization, project) = lookup::project(connection, &path)?;
        Shown::of(connection, organization, project)
    })?;
    let what = format!(
        "project {} goes for good, with its keys and all its events",
        shown.path()
    );
    invocation.confirm(&what, shown.project.slug.as_str())?;
    invocation.change(move |unit, actor| {
        let (_, project) = lookup::project(unit, &path)?;
        projects::delete(unit, actor, &project)
    })?;
    if invocation.json() {
        return print_json(&json!({
            "id": shown.project.id.to_string(), "slug": shown.project.slug.as_str(), "deleted": true,
        }));
    }
    print(&format!("project {} is deleted\n", shown.path()))
}

fn transfer(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), FORM)?;
    let option = |name: &str| invocation.option(name).map(str::to_owned);
    match (option("to"), option("email"), option("team")) {
        (Some(to), None, team) => transfer_now(invocation, path, to, team),
        (None, Some(email), None) => offer(invocation, path, email),
        (None, Some(_), Some(_)) => Err(Failure::Usage(
            "--team: whoever takes the project chooses the team".to_owned(),
        )),
        _ => Err(Failure::Usage(
            "project transfer needs one of --to and --email (see picket help project transfer)"
                .to_owned(),
        )),
    }
}

fn transfer_now(
    invocation: &Invocation,
    path: (String, String),
    to: String,
    team: Option<String>,
) -> Result<(), Failure> {
    let shown = invocation.change(move |unit, actor| {
        let (old, project) = lookup::project(unit, &path)?;
        let new = lookup::organization(unit, &to)?;
        if new.id == old.id {
            let text = format!("{}/{} is in {} already", old.slug, project.slug, new.slug);
            return Err(Error::Refused(text));
        }
        let team = match &team {
            Some(text) => Some(lookup::team(unit, &new, text)?),
            None => None,
        };
        let project = transfers::transfer(unit, actor, &project, &old, &new, team.as_ref())?;
        Shown::of(unit, new, project)
    })?;
    if invocation.json() {
        return print_json(&shown.to_json(invocation));
    }
    print(&format!("the project is {} now\n", shown.path()))
}

fn offer(invocation: &Invocation, path: (String, String), email: String) -> Result<(), Failure> {
    if !email::is_plausible(&email) {
        return Err(Failure::Usage(format!("--email: {email:?} is no address")));
    }
    let secret = Secret::random();
    let hash = secret.hash();
    let offered_to = email.clone();
    let expires = invocation.change(move |unit, actor| {
        let (_, project) = lookup::project(unit, &path)?;
        transfers::offer(unit, actor, None, &project, &offered_to, hash)
    })?;
    let prefix = invocation.config.url_prefix();
    let link = format!("{prefix}/accept-transfer/?data={}", secret.reveal());
    if invocation.json() {
        return print_json(&json!({ "email": email, "link": link, "expires": expires }));
    }
    print(&format!("{link}\n"))
}
