//! Holds a document against itself, and against the database.

use std::collections::HashMap;
use std::hash::Hash;

use super::document::{Document, Key, Organization, Project, Token, User, lists};
use super::fault::Faults;
use crate::domain::Result;
use crate::domain::id::{OrganizationId, ProjectId};
use crate::domain::password::{self, Weakness};
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::token::TokenOwner;
use crate::store::{Connection, client_keys, organizations, projects, teams, tokens, users};

pub(super) fn by_slug(slug: &Slug) -> IdOrSlug {
    IdOrSlug::Slug(slug.as_str().to_owned())
}

/// Reports what the document says twice.
pub(super) fn within(document: &Document, faults: &mut Faults) {
    let mut organizations = Seen::new("organization.slug");
    let mut ids = Seen::new("organization.project.id");
    let mut publics = Seen::new("organization.project.key.public");
    let mut texts = Seen::new("token");
    for organization in &document.organizations {
        // As the database: unique without case.
        let slug = organization.slug.value.as_str().to_ascii_lowercase();
        organizations.look(slug, organization.slug.line, faults);
        let mut team_slugs = Seen::new("organization.team.slug");
        for team in &organization.teams {
            team_slugs.look(&team.slug.value, team.slug.line, faults);
        }
        let mut project_slugs = Seen::new("organization.project.slug");
        for project in &organization.projects {
            project_slugs.look(&project.slug.value, project.slug.line, faults);
            if let Some(id) = &project.id {
                ids.look(id.value, id.line, faults);
            }
            let mut project_teams = Seen::new("organization.project.teams");
            for team in &project.teams {
                project_teams.look(&team.value, team.line, faults);
            }
            for key in &project.keys {
                if let Some(public) = &key.public {
                    publics.look(public.value, public.line, faults);
                }
            }
            key_names_within(&project.keys, faults);
        }
        tokens_within(
            "organization.token",
            &organization.tokens,
            &mut texts,
            faults,
        );
    }
    let mut emails = Seen::new("user.email");
    for user in &document.users {
        emails.look(
            user.email.value.to_ascii_lowercase(),
            user.email.line,
            faults,
        );
        let mut seats = HashMap::new();
        for seat in &user.teams {
            let place = (&seat.value.organization, &seat.value.team);
            if let Some(first) = seats.insert(place, seat.line) {
                let field = format!("user.teams.{}", seat.value.organization);
                faults.add(seat.line, &field, already(first));
            }
        }
        tokens_within("user.token", &user.tokens, &mut texts, faults);
    }
}

/// A key without a public half is found by its name, so no other key of the project may share it. Two keys
/// with public halves may be of one name, as in Sentry.
fn key_names_within(keys: &[Key], faults: &mut Faults) {
    for (at, key) in keys.iter().enumerate() {
        let twin = keys[..at].iter().find(|other| {
            other.name_or_default() == key.name_or_default()
                && (other.public.is_none() || key.public.is_none())
        });
        if let Some(twin) = twin {
            faults.add(
                key.line,
                "organization.project.key.name",
                already(twin.line),
            );
        }
    }
}

fn tokens_within<'a>(
    path: &str,
    tokens: &'a [Token],
    texts: &mut Seen<&'a str>,
    faults: &mut Faults,
) {
    let mut names = HashMap::new();
    for token in tokens {
        if let Some(first) = names.insert(&token.name.value, token.name.line) {
            faults.add(token.name.line, &format!("{path}.name"), already(first));
        }
        if let Some(text) = &token.text {
            texts.look_at(
                text.value.reveal(),
                text.line,
                &format!("{path}.token"),
                faults,
            );
        }
    }
}

fn already(line: usize) -> String {
    format!("line {line} has the same already")
}

/// Values that may stand in a file once, with the lines where they do.
struct Seen<T> {
    field: &'static str,
    lines: HashMap<T, usize>,
}

impl<T: Hash + Eq> Seen<T> {
    fn new(field: &'static str) -> Seen<T> {
        Seen {
            field,
            lines: HashMap::new(),
        }
    }

    fn look(&mut self, value: T, line: usize, faults: &mut Faults) {
        self.look_at(value, line, self.field, faults);
    }

    fn look_at(&mut self, value: T, line: usize, field: &str, faults: &mut Faults) {
        match self.lines.get(&value) {
            Some(first) => faults.add(line, field, already(*first)),
            None => {
                self.lines.insert(value, line);
            }
        }
    }
}

/// Reports what the document says otherwise than the database, and what it refers to that is in neither.
pub(super) fn against(
    connection: &Connection,
    document: &Document,
    faults: &mut Faults,
) -> Result<()> {
    let check = Check {
        connection,
        document,
    };
    for organization in &document.organizations {
        check.organization(organization, faults)?;
    }
    for user in &document.users {
        check.user(user, faults)?;
    }
    Ok(())
}

struct Check<'a> {
    connection: &'a Connection,
    document: &'a Document,
}

impl Check<'_> {
    fn organization(&self, organization: &Organization, faults: &mut Faults) -> Result<()> {
        let slug = &organization.slug;
        let stored = self.find_organization(&slug.value)?;
        if stored.is_none() && organizations::slug_is_taken(self.connection, &slug.value)? {
            let text = "an organization has this slug in other letter case";
            faults.add(slug.line, "organization.slug", text);
        }
        for project in &organization.projects {
            for team in &project.teams {
                if !self.team_is_known(&organization.slug.value, &team.value)? {
                    let text = no_team(&organization.slug.value, &team.value);
                    faults.add(team.line, "organization.project.teams", text);
                }
            }
            self.project(stored, project, faults)?;
        }
        let owner = stored.map(TokenOwner::Organization);
        self.tokens("organization.token", owner, &organization.tokens, faults)
    }

    fn project(
        &self,
        organization: Option<OrganizationId>,
        project: &Project,
        faults: &mut Faults,
    ) -> Result<()> {
        let stored = match organization {
            Some(id) => projects::find(self.connection, id, &by_slug(&project.slug.value))?,
            None => None,
        };
        if let Some(id) = &project.id {
            let field = "organization.project.id";
            match &stored {
                Some(stored) if stored.id != id.value => {
                    let text = format!("this project has the id {} for good", stored.id);
                    faults.add(id.line, field, text);
                }
                None if projects::id_is_taken(self.connection, id.value)? => {
                    let text = format!("another project has the id {}", id.value);
                    faults.add(id.line, field, text);
                }
                Some(_) | None => {}
            }
        }
        self.keys(stored.map(|stored| stored.id), &project.keys, faults)
    }

    fn keys(&self, project: Option<ProjectId>, keys: &[Key], faults: &mut Faults) -> Result<()> {
        let field = "organization.project.key.public";
        let stored = match project {
            Some(id) => client_keys::list_of_project(self.connection, id)?,
            None => Vec::new(),
        };
        for key in keys {
            let Some(public) = &key.public else { continue };
            if stored.iter().any(|stored| stored.public == public.value) {
                continue;
            }
            if client_keys::find_by_public(self.connection, public.value)?.is_some() {
                faults.add(public.line, field, "a key of another project has this");
                continue;
            }
            // A key of this name that the file does not list by its own public half is the one that is meant.
            let other = stored.iter().find(|stored| {
                key.name.as_ref() == Some(&stored.label) && !lists(keys, stored.public)
            });
            if let Some(other) = other {
                let text = format!(
                    "the key {:?} of this project is {} for good",
                    other.label, other.public
                );
                faults.add(public.line, field, text);
            }
        }
        Ok(())
    }

    /// `owner` is none while the owner is not in the database.
    fn tokens(
        &self,
        path: &str,
        owner: Option<TokenOwner>,
        tokens: &[Token],
        faults: &mut Faults,
    ) -> Result<()> {
        let field = format!("{path}.token");
        for token in tokens {
            let Some(text) = &token.text else { continue };
            let same = tokens::find_by_hash(self.connection, text.value.hash())?;
            let named = match owner {
                Some(owner) => tokens::find_by_name(self.connection, owner, &token.name.value)?,
                None => None,
            };
            match (same, named) {
                (Some(same), _) if same.revoked.is_some() => {
                    faults.add(text.line, &field, "this token was revoked");
                }
                (Some(same), _) if Some(same.owner) == owner && same.name == token.name.value => {}
                (Some(same), _) => {
                    let words = if Some(same.owner) == owner {
                        format!("this token has the name {:?}", same.name)
                    } else {
                        "this token belongs to somebody else".to_owned()
                    };
                    faults.add(text.line, &field, words);
                }
                (None, Some(_)) => {
                    let words = format!(
                        "there is another token of the name {:?}; revoke that one first",
                        token.name.value
                    );
                    faults.add(text.line, &field, words);
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn user(&self, user: &User, faults: &mut Faults) -> Result<()> {
        for role in &user.roles {
            let (organization, _) = &role.value;
            if !self.organization_is_known(organization)? {
                let field = format!("user.roles.{organization}");
                faults.add(role.line, &field, no_organization(organization));
            }
        }
        for seat in &user.teams {
            let (organization, team) = (&seat.value.organization, &seat.value.team);
            let field = format!("user.teams.{organization}");
            if !self.organization_is_known(organization)? {
                faults.add(seat.line, &field, no_organization(organization));
            } else if !self.team_is_known(organization, team)? {
                faults.add(seat.line, &field, no_team(organization, team));
            }
        }
        let stored = users::find_by_email(self.connection, &user.email.value)?;
        if let (Some(stored), Some(password), None) = (&stored, &user.password, &user.name) {
            let like = password::weaknesses(&password.value, "", &stored.name);
            if like.contains(&Weakness::LikeName) {
                let text = Weakness::LikeName.to_string();
                faults.add(password.line, "user.password", text);
            }
        }
        let owner = stored.map(|stored| TokenOwner::User(stored.id));
        self.tokens("user.token", owner, &user.tokens, faults)
    }

    fn find_organization(&self, slug: &Slug) -> Result<Option<OrganizationId>> {
        let found = organizations::find(self.connection, &by_slug(slug))?;
        Ok(found.map(|organization| organization.id))
    }

    fn organization_is_known(&self, slug: &Slug) -> Result<bool> {
        Ok(self.described(slug).is_some() || self.find_organization(slug)?.is_some())
    }

    fn team_is_known(&self, organization: &Slug, team: &Slug) -> Result<bool> {
        let described = self
            .described(organization)
            .is_some_and(|o| o.teams.iter().any(|t| t.slug.value == *team));
        if described {
            return Ok(true);
        }
        match self.find_organization(organization)? {
            Some(id) => Ok(teams::find(self.connection, id, &by_slug(team))?.is_some()),
            None => Ok(false),
        }
    }

    fn described(&self, slug: &Slug) -> Option<&Organization> {
        self.document
            .organizations
            .iter()
            .find(|organization| organization.slug.value == *slug)
    }
}

fn no_organization(slug: &Slug) -> String {
    format!("there is no organization {slug}, neither here nor in the database")
}

fn no_team(organization: &Slug, team: &Slug) -> String {
    format!("there is no team {organization}/{team}, neither here nor in the database")
}
