//! `picket dsn`.

use serde_json::json;

use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::key::ClientKey;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::store::projects::Project;
use crate::store::{Connection, client_keys, organizations, projects};

pub(super) const COMMAND: Command = Command {
    name: "dsn",
    summary: "print a project's DSN",
    about: "Prints the DSN that an SDK is given: of the key of this name, else of the project's oldest key that \
            is active.",
    arguments: &[Argument {
        name: "ORG/PROJECT",
        meaning: "the slugs or ids of an organization and of a project in it",
    }],
    options: &[
        Flag {
            name: "key",
            hint: Some("NAME"),
            meaning: "the name of the key",
        },
        JSON,
    ],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let path = invocation.argument(0);
    let Some((organization, project)) = path
        .split_once('/')
        .filter(|(org, project)| !org.is_empty() && !project.is_empty() && !project.contains('/'))
    else {
        return Err(Failure::Usage(format!(
            "{path:?} is not of the form ORG/PROJECT (see picket help dsn)"
        )));
    };
    let store = invocation.open_existing()?;
    let (project, key) = {
        let connection = store.read()?;
        let project = find_project(&connection, organization, project)?;
        let key = find_key(
            &connection,
            &project,
            path,
            invocation.option("key"),
            invocation.clock().now(),
        )?;
        (project, key)
    };
    store.close();
    let dsn = invocation
        .config
        .url_prefix()
        .public_dsn(key.public, project.id);
    if invocation.json() {
        return print_json(&json!({
            "organization": organization,
            "project": project.slug.as_str(),
            "project_id": project.id.to_string(),
            "key": key.label,
            "public": key.public.as_str(),
            "dsn": dsn,
        }));
    }
    print(&format!("{dsn}\n"))
}

fn find_project(
    connection: &Connection,
    organization: &str,
    project: &str,
) -> Result<Project, Failure> {
    let found = organizations::find(connection, &IdOrSlug::parse(organization))
        .map_err(crate::domain::Error::from)?
        .ok_or_else(|| Failure::Failed(format!("there is no organization {organization}")))?;
    projects::find(connection, found.id, &IdOrSlug::parse(project))
        .map_err(crate::domain::Error::from)?
        .ok_or_else(|| Failure::Failed(format!("there is no project {organization}/{project}")))
}

fn find_key(
    connection: &Connection,
    project: &Project,
    shown: &str,
    name: Option<&str>,
    now: Timestamp,
) -> Result<ClientKey, Failure> {
    let keys =
        client_keys::list_of_project(connection, project.id).map_err(crate::domain::Error::from)?;
    let (fits, nothing): (Vec<ClientKey>, String) = match name {
        Some(name) => (
            keys.into_iter().filter(|key| key.label == name).collect(),
            format!("{shown} has no key of the name {name:?}"),
        ),
        None => (keys, format!("{shown} has no active key")),
    };
    match fits.iter().position(|key| key.is_valid(now)) {
        Some(at) => Ok(fits[at].clone()),
        None if fits.is_empty() => Err(Failure::Failed(nothing)),
        None => Err(Failure::Failed(match name {
            Some(name) => format!("the key {name:?} of {shown} is not active"),
            None => nothing,
        })),
    }
}
