//! `picket key`: client keys, which DSNs are made of.

use serde_json::{Value, json};

use super::confirm::YES;
use super::lookup::{self, pair};
use super::project::PROJECT;
use super::table::{facts, minute, table};
use super::token::moment;
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::key::{ClientKey, RateLimit, random_label};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};
use crate::store::Connection;
use crate::store::client_keys::{self, NewClientKey};
use crate::store::organizations::Organization;
use crate::store::projects::Project;

const LABEL_CHARS_MAX: usize = 64;

/// How long a key that was replaced goes on, as for the API.
const GRACE_SECS: i64 = 30 * 86_400;

const KEY: Argument = Argument {
    name: "KEY",
    meaning: "the public half of the key: what stands before the @ of its DSN",
};

const NAME: Flag = Flag {
    name: "name",
    hint: Some("NAME"),
    meaning: "what people call it, in up to 64 characters",
};

const RATE_LIMIT: Flag = Flag {
    name: "rate-limit",
    hint: Some("COUNT/SECONDS"),
    meaning: "how many errors it lets in, in windows of so many seconds, such as 100/60; none for no limit of its own",
};

pub(super) const LIST: Command = Command {
    name: "key list",
    summary: "list the client keys of a project",
    about: "Lists the client keys of a project with their DSNs.",
    arguments: &[PROJECT],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const CREATE: Command = Command {
    name: "key create",
    summary: "make a client key and print its DSN",
    about: "Makes a client key of a project and prints its DSN. DSNs carry the address in --url-prefix.",
    arguments: &[PROJECT],
    options: &[NAME, RATE_LIMIT, JSON],
    serves: false,
    run: create,
};

pub(super) const SHOW: Command = Command {
    name: "key show",
    summary: "show a client key",
    about: "Shows a client key with its project, limit and DSN.",
    arguments: &[KEY],
    options: &[JSON],
    serves: false,
    run: show,
};

pub(super) const UPDATE: Command = Command {
    name: "key update",
    summary: "change a client key's name or limit, switch it on or off",
    about: "Changes what is named and leaves the rest. A server that runs on the database follows within two seconds.",
    arguments: &[KEY],
    options: &[
        NAME,
        RATE_LIMIT,
        Flag {
            name: "enable",
            hint: None,
            meaning: "let in what comes with it, also if it had ended",
        },
        Flag {
            name: "disable",
            hint: None,
            meaning: "refuse what comes with it, until it is enabled again",
        },
        JSON,
    ],
    serves: false,
    run: update,
};

pub(super) const ROTATE: Command = Command {
    name: "key rotate",
    summary: "make a key in the place of another one, which goes on for a time",
    about: "Makes a client key with the settings of this one and prints its DSN. The old one goes on for 30 days, or until \
            --expires, so that applications can be changed meanwhile.",
    arguments: &[KEY],
    options: &[
        NAME,
        Flag {
            name: "expires",
            hint: Some("WHEN"),
            meaning: "when the old key ends: a time from now, such as 12h, 30d or 4w, or a moment, such as \
                      2027-01-01T00:00:00Z (default: 30d)",
        },
        JSON,
    ],
    serves: false,
    run: rotate,
};

pub(super) const DELETE: Command = Command {
    name: "key delete",
    summary: "delete a client key",
    about: "Deletes a client key for good: whatever still sends with it is refused.",
    arguments: &[KEY],
    options: &[YES, JSON],
    serves: false,
    run: delete,
};

/// A key and where it belongs.
struct Shown {
    key: ClientKey,
    organization: Organization,
    project: Project,
}

impl Shown {
    fn of(connection: &Connection, public: &str) -> Result<Shown> {
        let (key, organization, project) = lookup::key(connection, public)?;
        Ok(Shown {
            key,
            organization,
            project,
        })
    }

    fn path(&self) -> String {
        format!("{}/{}", self.organization.slug, self.project.slug)
    }

    fn to_json(&self, invocation: &Invocation) -> Value {
        let limit = self.key.rate_limit;
        json!({
            "public": self.key.public.as_str(),
            "name": self.key.label,
            "organization": self.organization.slug.as_str(),
            "project": self.project.slug.as_str(),
            "project_id": self.project.id.to_string(),
            "state": state(&self.key, invocation.clock().now()),
            "rate_limit": limit.map(|limit| json!({ "count": limit.count, "window": limit.window_secs })),
            "dsn": invocation.dsn(&self.key),
            "created": self.key.created,
            "expires": self.key.expires,
        })
    }
}

fn state(key: &ClientKey, now: Timestamp) -> &'static str {
    match (key.active, key.is_valid(now)) {
        (true, true) => "active",
        (true, false) => "ended",
        (false, _) => "disabled",
    }
}

fn limit_text(limit: Option<RateLimit>) -> String {
    limit.map_or_else(
        || "none".to_owned(),
        |limit| format!("{}/{}", limit.count, limit.window_secs),
    )
}

/// `--rate-limit`: none if it is not there.
fn asked_limit(invocation: &Invocation) -> Result<Option<Option<RateLimit>>, Failure> {
    let Some(text) = invocation.option(RATE_LIMIT.name) else {
        return Ok(None);
    };
    if text == "none" {
        return Ok(Some(None));
    }
    let parts = text.split_once('/').and_then(|(count, window)| {
        let (count, window): (i64, i64) = (count.parse().ok()?, window.parse().ok()?);
        let window = (window <= RateLimit::WINDOW_SECS_MAX).then_some(window)?;
        RateLimit::from_parts(Some(count), Some(window))
    });
    parts.map(|limit| Some(Some(limit))).ok_or_else(|| {
        Failure::Usage(format!(
            "--rate-limit: {text:?} is neither none nor COUNT/SECONDS with 1 to {} seconds, such as 100/60",
            RateLimit::WINDOW_SECS_MAX
        ))
    })
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), PROJECT.name)?;
    let all = invocation.read(|connection| {
        let (organization, project) = lookup::project(connection, &path)?;
        let keys = client_keys::list_of_project(connection, project.id)?;
        let shown = keys.into_iter().map(|key| Shown {
            key,
            organization: organization.clone(),
            project: project.clone(),
        });
        Ok(shown.collect::<Vec<_>>())
    })?;
    if invocation.json() {
        let values = all.iter().map(|shown| shown.to_json(invocation));
        return print_json(&Value::Array(values.collect()));
    }
    let now = invocation.clock().now();
    let rows = all.iter().map(|shown| {
        [
            shown.key.label.clone(),
            state(&shown.key, now).to_owned(),
            limit_text(shown.key.rate_limit),
            shown.key.expires.map_or_else(|| "never".to_owned(), minute),
            minute(shown.key.created),
            invocation.dsn(&shown.key),
        ]
    });
    let heads = ["NAME", "STATE", "LIMIT", "ENDS", "CREATED", "DSN"];
    print(&table(heads, rows.collect()))
}

/// A key that was just made.
fn tell_made(invocation: &Invocation, shown: &Shown) -> Result<(), Failure> {
    match invocation.json() {
        true => print_json(&shown.to_json(invocation)),
        false => print(&format!("{}\n", invocation.dsn(&shown.key))),
    }
}

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let path = pair(invocation.argument(0), PROJECT.name)?;
    let label = invocation.text("name", LABEL_CHARS_MAX)?;
    let label = label.unwrap_or_else(random_label);
    let rate_limit = asked_limit(invocation)?.flatten();
    let shown = invocation.change(move |unit, actor| {
        let (organization, project) = lookup::project(unit, &path)?;
        let new = NewClientKey {
            organization: organization.id,
            project: project.id,
            public: None,
            secret: None,
            label: label.clone(),
            rate_limit,
        };
        let id = client_keys::create(unit, actor, &new)?;
        let key = client_keys::find_by_id(unit, id)?
            .ok_or_else(|| Error::internal("a key that was just made is not there"))?;
        Ok(Shown {
            key,
            organization,
            project,
        })
    })?;
    tell_made(invocation, &shown)
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    let shown = invocation.read(|connection| Shown::of(connection, invocation.argument(0)))?;
    tell(invocation, &shown)
}

fn tell(invocation: &Invocation, shown: &Shown) -> Result<(), Failure> {
    if invocation.json() {
        return print_json(&shown.to_json(invocation));
    }
    let key = &shown.key;
    print(&facts(&[
        ("public", key.public.to_string()),
        ("name", key.label.clone()),
        ("project", shown.path()),
        ("state", state(key, invocation.clock().now()).to_owned()),
        ("limit", limit_text(key.rate_limit)),
        (
            "ends",
            key.expires.map_or_else(|| "never".to_owned(), minute),
        ),
        ("created", minute(key.created)),
        ("dsn", invocation.dsn(key)),
    ]))
}

fn update(invocation: &Invocation) -> Result<(), Failure> {
    let label = invocation.text("name", LABEL_CHARS_MAX)?;
    let limit = asked_limit(invocation)?;
    let is_set = |name: &str| invocation.option(name).is_some();
    let active = match (is_set("enable"), is_set("disable")) {
        (true, true) => {
            let text = "a key is switched on or off; give one of --enable and --disable";
            return Err(Failure::Usage(text.to_owned()));
        }
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    if label.is_none() && limit.is_none() && active.is_none() {
        let text = "there is nothing to change; see picket help key update";
        return Err(Failure::Usage(text.to_owned()));
    }
    let public = invocation.argument(0).to_owned();
    let shown = invocation.change(move |unit, actor| {
        let old = Shown::of(unit, &public)?;
        let mut new = old.key.clone();
        if let Some(label) = &label {
            new.label.clone_from(label);
        }
        if let Some(limit) = limit {
            new.rate_limit = limit;
        }
        if let Some(active) = active {
            // As for the API: a key that had ended goes on without an end.
            if active && !old.key.is_valid(actor.at) {
                new.expires = None;
            }
            new.active = active;
        }
        client_keys::update(unit, actor, old.organization.id, &old.key, &new)?;
        Ok(Shown { key: new, ..old })
    })?;
    tell(invocation, &shown)
}

fn rotate(invocation: &Invocation) -> Result<(), Failure> {
    let label = invocation.text("name", LABEL_CHARS_MAX)?;
    let now = invocation.clock().now();
    let ends = match invocation.option("expires") {
        Some(text) => Some(moment("expires", text, now)?),
        None => None,
    };
    let public = invocation.argument(0).to_owned();
    let shown = invocation.change(move |unit, actor| {
        let old = Shown::of(unit, &public)?;
        let organization = old.organization.id;
        let label = label.as_deref().unwrap_or(&old.key.label);
        let id = client_keys::create_like(unit, actor, organization, &old.key, label)?;
        let ends = ends.unwrap_or_else(|| {
            let grace = actor.at.plus_secs(GRACE_SECS);
            old.key.expires.map_or(grace, |sooner| sooner.min(grace))
        });
        let ending = ClientKey {
            expires: Some(ends),
            ..old.key.clone()
        };
        client_keys::update(unit, actor, organization, &old.key, &ending)?;
        let key = client_keys::find_by_id(unit, id)?
            .ok_or_else(|| Error::internal("a key that was just made is not there"))?;
        Ok(Shown { key, ..old })
    })?;
    tell_made(invocation, &shown)
}

fn delete(invocation: &Invocation) -> Result<(), Failure> {
    let public = invocation.argument(0).to_owned();
    let shown = invocation.read(|connection| Shown::of(connection, &public))?;
    let what = format!(
        "key {} of {} goes for good; what still sends with it is refused",
        shown.key.label,
        shown.path()
    );
    invocation.confirm(&what, shown.key.public.as_str())?;
    invocation.change(move |unit, actor| {
        let now = Shown::of(unit, &public)?;
        client_keys::delete(unit, actor, now.organization.id, &now.key)
    })?;
    if invocation.json() {
        return print_json(&json!({ "public": shown.key.public.as_str(), "deleted": true }));
    }
    print(&format!("key {} is deleted\n", shown.key.public))
}
