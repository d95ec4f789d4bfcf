//! Makes a checked document so, in one transaction.

use super::document::{self, Document, Key, lists};
use super::report::{Change, Made, Report, Verb};
use super::{Password, check::by_slug};
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::key::{ClientKey, PublicKey};
use crate::domain::scope::OrganizationRole;
use crate::domain::slug::Slug;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenOwner, TokenText};
use crate::domain::{Error, Result};
use crate::store::client_keys::NewClientKey;
use crate::store::projects::{NewProject, Project};
use crate::store::teams::Team;
use crate::store::tokens::NewToken;
use crate::store::writer::Unit;
use crate::store::{client_keys, members, organizations, projects, teams, tokens, users};

/// Creates and updates everything, and says what changed. What is as described is not written, so that the
/// audit log shows changes only.
pub(super) fn all(
    unit: &mut Unit<'_>,
    document: &Document,
    passwords: &[Password],
    url_prefix: &UrlPrefix,
    now: Timestamp,
) -> Result<Report> {
    let mut run = Run {
        unit,
        actor: Actor::operator(now),
        url_prefix,
        changes: Vec::new(),
    };
    for organization in &document.organizations {
        run.organization(organization)?;
    }
    // Chosen ids first: a project that takes the next free one could take one of theirs.
    for has_id in [true, false] {
        for organization in &document.organizations {
            for project in &organization.projects {
                if project.id.is_some() == has_id {
                    run.project(&organization.slug.value, project)?;
                }
            }
        }
    }
    for (user, password) in document.users.iter().zip(passwords) {
        run.user(user, password)?;
    }
    let mut changes = run.changes;
    changes.sort_by_key(|change| change.line);
    Ok(Report { changes })
}

struct Run<'a, 'u> {
    unit: &'a mut Unit<'u>,
    actor: Actor,
    url_prefix: &'a UrlPrefix,
    changes: Vec<Change>,
}

impl Run<'_, '_> {
    fn say(
        &mut self,
        line: usize,
        verb: Verb,
        noun: &'static str,
        name: String,
        made: Option<Made>,
    ) {
        self.changes.push(Change {
            line,
            verb,
            noun,
            name,
            made,
        });
    }

    fn organization(&mut self, wanted: &document::Organization) -> Result<()> {
        let slug = &wanted.slug.value;
        let stored = organizations::find(self.unit, &by_slug(slug))?;
        let mut said = true;
        let id = match stored {
            None => {
                let name = wanted.name.as_deref().unwrap_or(slug.as_str());
                let id = organizations::create(self.unit, &self.actor, slug, name)?;
                let line = wanted.slug.line;
                self.say(line, Verb::Created, "organization", slug.to_string(), None);
                id
            }
            Some(stored) => {
                if let Some(name) = differing(&wanted.name, &stored.name) {
                    organizations::rename(self.unit, &self.actor, &stored, name)?;
                    let line = wanted.slug.line;
                    self.say(line, Verb::Updated, "organization", slug.to_string(), None);
                } else {
                    said = false;
                }
                stored.id
            }
        };
        let mut changed = false;
        for (name, value) in &wanted.options {
            changed |= organizations::set_option(self.unit, &self.actor, id, name, value)?;
        }
        if changed && !said {
            let line = wanted.slug.line;
            self.say(line, Verb::Updated, "organization", slug.to_string(), None);
        }
        for team in &wanted.teams {
            self.team(slug, id, team)?;
        }
        for token in &wanted.tokens {
            self.token(TokenOwner::Organization(id), slug.as_str(), token)?;
        }
        Ok(())
    }

    fn team(
        &mut self,
        organization: &Slug,
        id: OrganizationId,
        wanted: &document::Team,
    ) -> Result<()> {
        let slug = &wanted.slug.value;
        let shown = format!("{organization}/{slug}");
        match teams::find(self.unit, id, &by_slug(slug))? {
            None => {
                let name = wanted.name.as_deref().unwrap_or(slug.as_str());
                teams::create(self.unit, &self.actor, id, slug, name)?;
                self.say(wanted.slug.line, Verb::Created, "team", shown, None);
            }
            Some(stored) => {
                if let Some(name) = differing(&wanted.name, &stored.name) {
                    teams::rename(self.unit, &self.actor, &stored, name)?;
                    self.say(wanted.slug.line, Verb::Updated, "team", shown, None);
                }
            }
        }
        Ok(())
    }

    fn project(&mut self, organization: &Slug, wanted: &document::Project) -> Result<()> {
        let slug = &wanted.slug.value;
        let shown = format!("{organization}/{slug}");
        let organization = self.get_organization(organization)?;
        let stored = projects::find(self.unit, organization, &by_slug(slug))?;
        let (project, mut verb) = match stored {
            Some(stored) => {
                let changed = self.update_project(wanted, &stored)?;
                (stored, changed.then_some(Verb::Updated))
            }
            None => {
                let new = NewProject {
                    organization,
                    id: wanted.id.as_ref().map(|id| id.value),
                    slug: slug.clone(),
                    name: wanted.name.clone().unwrap_or_else(|| slug.to_string()),
                    // Blank means none, as for the API.
                    platform: wanted.platform.clone().filter(|text| !text.is_empty()),
                    origin: None,
                };
                projects::create(self.unit, &self.actor, &new)?;
                (self.get_project(organization, slug)?, Some(Verb::Created))
            }
        };
        for team in &wanted.teams {
            let team = self.get_team(organization, &team.value)?;
            let added =
                projects::add_team(self.unit, &self.actor, organization, project.id, team.id)?;
            verb = verb.or(added.then_some(Verb::Updated));
        }
        for (name, value) in &wanted.options {
            let changed = projects::set_option(self.unit, &self.actor, &project, name, value)?;
            verb = verb.or(changed.then_some(Verb::Updated));
        }
        if let Some(verb) = verb {
            let line = wanted.slug.line;
            self.say(line, verb, "project", shown.clone(), None);
        }
        self.keys(&shown, &project, wanted, verb == Some(Verb::Created))
    }

    fn update_project(&mut self, wanted: &document::Project, stored: &Project) -> Result<bool> {
        let name = differing(&wanted.name, &stored.name);
        let platform = differing(
            &wanted.platform,
            stored.platform.as_deref().unwrap_or_default(),
        );
        let changes = name.is_some() || platform.is_some();
        if changes {
            projects::update(self.unit, &self.actor, stored, name, platform)?;
        }
        Ok(changes)
    }

    fn keys(
        &mut self,
        shown: &str,
        project: &Project,
        wanted: &document::Project,
        is_new: bool,
    ) -> Result<()> {
        if is_new && wanted.keys.is_empty() {
            // Every project starts with one (facts/management-api.md 4.3).
            let key = Key {
                line: wanted.slug.line,
                name: None,
                public: None,
                secret: None,
                rate_limit: None,
            };
            return self.create_key(shown, project, &key);
        }
        for key in &wanted.keys {
            let stored = client_keys::list_of_project(self.unit, project.id)?
                .into_iter()
                .find(|stored| match &key.public {
                    Some(public) => stored.public == public.value,
                    None => {
                        stored.label == key.name_or_default() && !lists(&wanted.keys, stored.public)
                    }
                });
            match stored {
                Some(stored) => self.update_key(shown, project, key, &stored)?,
                None => self.create_key(shown, project, key)?,
            }
        }
        Ok(())
    }

    fn create_key(&mut self, shown: &str, project: &Project, wanted: &Key) -> Result<()> {
        let public = match &wanted.public {
            Some(public) => public.value,
            None => PublicKey::random(),
        };
        let label = wanted.name_or_default().to_owned();
        let new = NewClientKey {
            organization: project.organization,
            project: project.id,
            public: Some(public),
            secret: wanted.secret.clone(),
            label: label.clone(),
            rate_limit: wanted.rate_limit,
        };
        client_keys::create(self.unit, &self.actor, &new)?;
        let dsn = self.url_prefix.public_dsn(public, project.id);
        let shown = format!("{label} of {shown}");
        self.say(
            wanted.line,
            Verb::Created,
            "key",
            shown,
            Some(Made::Dsn(dsn)),
        );
        Ok(())
    }

    fn update_key(
        &mut self,
        shown: &str,
        project: &Project,
        wanted: &Key,
        stored: &ClientKey,
    ) -> Result<()> {
        let mut new = stored.clone();
        if let Some(name) = &wanted.name {
            new.label.clone_from(name);
        }
        if let Some(secret) = &wanted.secret {
            new.secret.clone_from(secret);
        }
        if wanted.rate_limit.is_some() {
            new.rate_limit = wanted.rate_limit;
        }
        let same = new.label == stored.label
            && new.secret == stored.secret
            && new.rate_limit == stored.rate_limit;
        if !same {
            client_keys::update(self.unit, &self.actor, project.organization, stored, &new)?;
            let shown = format!("{} of {shown}", new.label);
            self.say(wanted.line, Verb::Updated, "key", shown, None);
        }
        Ok(())
    }

    fn token(
        &mut self,
        owner: TokenOwner,
        owner_name: &str,
        wanted: &document::Token,
    ) -> Result<()> {
        let name = &wanted.name.value;
        let shown = format!("{name} of {owner_name}");
        let line = wanted.name.line;
        // By itself first: other tokens of the owner may have come to bear the same name.
        let same = match &wanted.text {
            Some(text) => tokens::find_by_hash(self.unit, text.value.hash())?,
            None => None,
        };
        let stored = match same {
            Some(same) => Some(same),
            None => tokens::find_by_name(self.unit, owner, name)?,
        };
        if let Some(stored) = stored {
            let scopes = wanted.scopes.filter(|scopes| *scopes != stored.scopes);
            let expires = wanted.expires.filter(|at| Some(*at) != stored.expires);
            if scopes.is_some() || expires.is_some() {
                tokens::update(self.unit, &self.actor, &stored, scopes, expires)?;
                self.say(line, Verb::Updated, "token", shown, None);
            }
            return Ok(());
        }
        let (text, made) = match &wanted.text {
            Some(given) => (given.value.clone(), None),
            None => {
                let text = match owner {
                    TokenOwner::User(_) => TokenText::random_user(),
                    TokenOwner::Organization(_) => {
                        TokenText::random_organization(owner_name, self.url_prefix, self.actor.at)
                    }
                    TokenOwner::ApiKey(_) => TokenText::random_api_key(),
                };
                (text.clone(), Some(Made::Token(text)))
            }
        };
        let new = NewToken {
            owner,
            name: name.clone(),
            text,
            scopes: wanted.scopes.unwrap_or_else(|| owner.default_scopes()),
            expires: wanted.expires,
            projects: Vec::new(),
        };
        tokens::create(self.unit, &self.actor, &new)?;
        self.say(line, Verb::Created, "token", shown, made);
        Ok(())
    }

    fn user(&mut self, wanted: &document::User, password: &Password) -> Result<()> {
        let email = &wanted.email.value;
        let line = wanted.email.line;
        let hash = password.fresh.as_deref();
        let user = match users::find_by_email(self.unit, email)? {
            None => {
                let name = wanted.name.as_deref().unwrap_or(email);
                let id = users::create(self.unit, &self.actor, email, name, hash)?;
                self.say(line, Verb::Created, "user", email.clone(), None);
                id
            }
            Some(stored) => {
                let name = differing(&wanted.name, &stored.name);
                if let Some(name) = name {
                    users::rename(self.unit, &self.actor, stored.id, name)?;
                }
                if let Some(hash) = hash {
                    users::set_password(self.unit, &self.actor, stored.id, hash, None)?;
                }
                if name.is_some() || hash.is_some() {
                    self.say(line, Verb::Updated, "user", email.clone(), None);
                }
                stored.id
            }
        };
        for role in &wanted.roles {
            let (organization, role_there) = &role.value;
            self.role(email, user, organization, *role_there, role.line)?;
        }
        for seat in &wanted.teams {
            self.seat(email, user, &seat.value, seat.line)?;
        }
        for token in &wanted.tokens {
            self.token(TokenOwner::User(user), email, token)?;
        }
        Ok(())
    }

    fn role(
        &mut self,
        email: &str,
        user: UserId,
        organization: &Slug,
        role: OrganizationRole,
        line: usize,
    ) -> Result<()> {
        let id = self.get_organization(organization)?;
        let was_there = members::find(self.unit, id, user)?.is_some();
        let (_, changed) = members::set(self.unit, &self.actor, id, user, role)?;
        if changed {
            let verb = if was_there {
                Verb::Updated
            } else {
                Verb::Created
            };
            let shown = format!("{email} of {organization} as {}", role.as_str());
            self.say(line, verb, "member", shown, None);
        }
        Ok(())
    }

    fn seat(
        &mut self,
        email: &str,
        user: UserId,
        seat: &document::Seat,
        line: usize,
    ) -> Result<()> {
        let organization = self.get_organization(&seat.organization)?;
        if members::find(self.unit, organization, user)?.is_none() {
            let role = OrganizationRole::Member;
            self.role(email, user, &seat.organization, role, line)?;
        }
        let team = self.get_team(organization, &seat.team)?;
        let membership = members::find_membership(self.unit, organization, user)?;
        let teams = membership.map(|m| m.teams).unwrap_or_default();
        let there = teams.iter().find(|(id, _)| *id == team.id);
        // A role that the file leaves out is left alone.
        let role = seat.role.or(there.and_then(|(_, role)| *role));
        let member = members::find(self.unit, organization, user)?
            .ok_or_else(|| Error::internal("a member that was just made is not there"))?;
        if teams::set_member(self.unit, &self.actor, &team, member.id, role)? {
            let verb = if there.is_some() {
                Verb::Updated
            } else {
                Verb::Created
            };
            let mut shown = format!("{email} of {}/{}", seat.organization, seat.team);
            if let Some(role) = role {
                shown.push_str(" as ");
                shown.push_str(role.as_str());
            }
            self.say(line, verb, "team member", shown, None);
        }
        Ok(())
    }

    /// The check found it or the run made it, so that its absence is a bug.
    fn get_organization(&self, slug: &Slug) -> Result<OrganizationId> {
        organizations::find(self.unit, &by_slug(slug))?
            .map(|organization| organization.id)
            .ok_or_else(|| Error::internal(format!("the organization {slug} is not there")))
    }

    fn get_team(&self, organization: OrganizationId, slug: &Slug) -> Result<Team> {
        teams::find(self.unit, organization, &by_slug(slug))?
            .ok_or_else(|| Error::internal(format!("the team {slug} is not there")))
    }

    fn get_project(&self, organization: OrganizationId, slug: &Slug) -> Result<Project> {
        projects::find(self.unit, organization, &by_slug(slug))?
            .ok_or_else(|| Error::internal(format!("the project {slug} is not there")))
    }
}

/// What the file gives, if it is not so already.
fn differing<'a>(wanted: &'a Option<String>, stored: &str) -> Option<&'a str> {
    wanted.as_deref().filter(|wanted| *wanted != stored)
}
