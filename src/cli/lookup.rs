//! What the commands about organizations, members, teams, projects and keys share: how an argument names a row, the
//! sentence about one that is not there, and the way to the file.

use super::{Failure, Invocation};
use crate::domain::actor::Actor;
use crate::domain::key::{ClientKey, PublicKey};
use crate::domain::slug::{IdOrSlug, Slug, SlugKind};
use crate::domain::{Error, Result};
use crate::store::members::Member;
use crate::store::organizations::Organization;
use crate::store::projects::Project;
use crate::store::teams::Team;
use crate::store::writer::Unit;
use crate::store::{Connection, client_keys, members, organizations, projects, teams};

impl Invocation {
    /// Reads from the file.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T, Failure> {
        let store = self.open_existing()?;
        let result = {
            let connection = store.read()?;
            read(&connection)
        };
        store.close();
        Ok(result?)
    }

    /// Changes the file in one transaction, as the operator; nothing is changed if `run` fails.
    pub(super) fn change<T: Send + 'static>(
        &self,
        mut run: impl FnMut(&mut Unit<'_>, &Actor) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let actor = Actor::operator(self.clock().now());
        let store = self.open_existing()?;
        let result = store.write(move |unit| run(unit, &actor));
        store.close();
        Ok(result?)
    }

    /// The DSN of a key.
    pub(super) fn dsn(&self, key: &ClientKey) -> String {
        self.config.url_prefix().public_dsn(key.public, key.project)
    }

    /// A text option with something in it, of at most so many characters.
    ///
    /// # Errors
    /// `Usage`, which names it.
    pub(super) fn text(&self, name: &str, chars_max: usize) -> Result<Option<String>, Failure> {
        let Some(text) = self.option(name).map(str::trim) else {
            return Ok(None);
        };
        if text.is_empty() || text.chars().count() > chars_max {
            let text = format!("--{name}: a text of 1 to {chars_max} characters is needed");
            return Err(Failure::Usage(text));
        }
        Ok(Some(text.to_owned()))
    }
}

/// Two names in one argument, such as `ORG/PROJECT`.
///
/// # Errors
/// `Usage`: it is not of that form.
pub(super) fn pair(text: &str, form: &str) -> Result<(String, String), Failure> {
    let both = text
        .split_once('/')
        .filter(|(one, other)| !one.is_empty() && !other.is_empty() && !other.contains('/'));
    match both {
        Some((one, other)) => Ok((one.to_owned(), other.to_owned())),
        None => Err(Failure::Usage(format!(
            "{text:?} is not of the form {form}"
        ))),
    }
}

/// A slug for something new; `name` is the argument or option that it is from.
///
/// # Errors
/// `Usage`: the rules that it breaks.
pub(super) fn new_slug(kind: SlugKind, name: &str, text: &str) -> Result<Slug, Failure> {
    Slug::parse(kind, text).map_err(|wrong| Failure::Usage(format!("{name}: {}", wrong.join(" "))))
}

fn absent(text: String) -> Error {
    Error::Refused(text)
}

/// # Errors
/// `Refused`, as all here: it is not there, in one sentence.
pub(super) fn organization(connection: &Connection, text: &str) -> Result<Organization> {
    organizations::find(connection, &IdOrSlug::parse(text))?
        .ok_or_else(|| absent(format!("there is no organization {text}")))
}

pub(super) fn team(
    connection: &Connection,
    organization: &Organization,
    text: &str,
) -> Result<Team> {
    teams::find(connection, organization.id, &IdOrSlug::parse(text))?
        .ok_or_else(|| absent(format!("there is no team {}/{text}", organization.slug)))
}

pub(super) fn project(
    connection: &Connection,
    (organization, project): &(String, String),
) -> Result<(Organization, Project)> {
    let organization = self::organization(connection, organization)?;
    let found = projects::find(connection, organization.id, &IdOrSlug::parse(project))?;
    let found = found.ok_or_else(|| {
        absent(format!(
            "there is no project {}/{project}",
            organization.slug
        ))
    })?;
    Ok((organization, found))
}

/// A member or an invitation, by address.
pub(super) fn member(
    connection: &Connection,
    organization: &Organization,
    email: &str,
) -> Result<Member> {
    members::find_by_email(connection, organization.id, email)?
        .ok_or_else(|| absent(format!("{email} is no member of {}", organization.slug)))
}

/// A key by its public half, which no two have, with its project and organization.
pub(super) fn key(
    connection: &Connection,
    public: &str,
) -> Result<(ClientKey, Organization, Project)> {
    let missing = || absent(format!("there is no client key {public}"));
    let half = PublicKey::parse(public).ok_or_else(missing)?;
    let key = client_keys::find_by_public(connection, half)?.ok_or_else(missing)?;
    let organization = projects::find_organization(connection, key.project)?.ok_or_else(missing)?;
    let organization =
        organizations::find(connection, &IdOrSlug::Id(organization.0))?.ok_or_else(missing)?;
    let project = projects::find(connection, organization.id, &IdOrSlug::Id(key.project.0))?
        .ok_or_else(missing)?;
    Ok((key, organization, project))
}
