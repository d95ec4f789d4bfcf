//! Decides what becomes of each thing that came from elsewhere, and tells what comes otherwise than it was.
//!
//! What is here stays as it is, so a thing is made, or is here already, or stays out. The same thing is: an
//! organization of the same slug that was made in the same millisecond; a team or a project of the same slug in it; a
//! user of the same address; a member who is the same user; a key of the same public half; a token of the same hash. So
//! a second run finds what the first one made, and another organization that happens to have the slug is not mixed up
//! with it.
//!
//! Every choice follows from the bundle and the file alone, in order, so that it comes out the same again.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::bundle::{At, Bundle, Person};
use super::export::ARGON2;
use super::notes::Notes;
use super::options::{Taken, take_of_organization, take_of_project};
use super::value::millis;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId, UserId};
use crate::domain::key::{
    BROWSER_SDK_CHOICES, BROWSER_SDK_RETIRED, BROWSER_SDK_VERSION, PublicKey, random_hex_32,
};
use crate::domain::option::Options;
use crate::domain::scope::OrganizationRole;
use crate::domain::slug::{IdOrSlug, Slug, SlugKind, slugify};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenOwner;
use crate::domain::{Result, password, platform};
use crate::store::organizations::Organization;
use crate::store::relocation::{Numbered, find_key_by_secret, next_number};
use crate::store::{
    Connection, client_keys, members, organizations, projects, teams, tokens, users,
};

/// The largest number that comes along: every JSON client reads it exactly. Those of sentry.io have 16 digits.
const NUMBER_MAX: i64 = (1 << 53) - 1;

/// What becomes of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate<I> {
    Here(I),
    New,
    Out,
}

/// What an import will do, and what there is to say about it.
pub(crate) struct Plan {
    /// What it makes, with the numbers that are kept and everything as it will be here.
    pub(super) bundle: Bundle,
    pub(super) organizations: Vec<(Fate<OrganizationId>, Slug)>,
    pub(super) teams: Vec<(Fate<TeamId>, Slug)>,
    pub(super) users: Vec<Fate<UserId>>,
    pub(super) projects: Vec<(Fate<ProjectId>, Slug)>,
    pub(super) keys: Vec<Fate<()>>,
    pub(super) members: Vec<Fate<MemberId>>,
    pub(super) tokens: Vec<Fate<()>>,
    pub(crate) tallies: Vec<Tally>,
    /// What comes otherwise than it was, and what stays out.
    pub(crate) notes: Notes,
}

/// How many things of a kind are made, and how many are here already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) noun: &'static str,
    pub(crate) new: usize,
    pub(crate) here: usize,
}

impl Tally {
    fn of<I>(noun: &'static str, fates: impl Iterator<Item = Fate<I>>) -> Tally {
        let mut tally = Tally {
            noun,
            new: 0,
            here: 0,
        };
        for fate in fates {
            match fate {
                Fate::New => tally.new += 1,
                Fate::Here(_) => tally.here += 1,
                Fate::Out => {}
            }
        }
        tally
    }
}

impl Plan {
    /// How many things it makes.
    pub(crate) fn size(&self) -> usize {
        self.tallies.iter().map(|tally| tally.new).sum()
    }
}

/// Holds a bundle against the database.
pub(crate) fn make(connection: &Connection, mut bundle: Bundle, now: Timestamp) -> Result<Plan> {
    let notes = std::mem::take(&mut bundle.notes);
    let mut planner = Planner {
        connection,
        bundle,
        notes,
        now,
        unknown_options: BTreeMap::new(),
    };
    let organizations = planner.organizations()?;
    let teams = planner.teams(&organizations)?;
    let users = planner.users()?;
    let projects = planner.projects(&organizations)?;
    let keys = planner.keys(&projects)?;
    let members = planner.members(&organizations, &users)?;
    let tokens = planner.tokens(&organizations)?;
    planner.numbers_of_parts(&users, &projects, &tokens)?;
    for (name, count) in std::mem::take(&mut planner.unknown_options) {
        planner.notes.add(
            "options that Picket does not enforce are left out",
            format!("{name}: {count}"),
        );
    }
    let tallies = vec![
        Tally::of("organizations", organizations.iter().map(|(fate, _)| *fate)),
        Tally::of("teams", teams.iter().map(|(fate, _)| *fate)),
        Tally::of("users", users.iter().copied()),
        Tally::of("projects", projects.iter().map(|(fate, _)| *fate)),
        Tally::of("client keys", keys.iter().copied()),
        Tally::of("members", members.iter().copied()),
        Tally::of("organization tokens", tokens.iter().copied()),
    ];
    Ok(Plan {
        bundle: planner.bundle,
        organizations,
        teams,
        users,
        projects,
        keys,
        members,
        tokens,
        tallies,
        notes: planner.notes,
    })
}

struct Planner<'a> {
    connection: &'a Connection,
    bundle: Bundle,
    notes: Notes,
    now: Timestamp,
    unknown_options: BTreeMap<String, usize>,
}

const OTHER_NUMBERS: &str =
    "these get other numbers, because theirs were given out here before, or are none that can be";
const DIFFERENT: &str = "these are here already and are different; they stay as they are";

/// The numbers of one table that are kept.
struct Numbers {
    next: i64,
    taken: HashSet<i64>,
}

impl Numbers {
    fn of(connection: &Connection, table: Numbered) -> Result<Numbers> {
        Ok(Numbers {
            next: next_number(connection, table)?,
            taken: HashSet::new(),
        })
    }

    fn keep(&mut self, wanted: i64) -> bool {
        (self.next..=NUMBER_MAX).contains(&wanted) && self.taken.insert(wanted)
    }
}

/// The nth slug that is tried for a text; none if that is no slug.
fn candidate(kind: SlugKind, text: &str, n: usize) -> Option<Slug> {
    if n == 0
        && let Ok(slug) = Slug::parse(kind, text)
    {
        return Some(slug);
    }
    let base = slugify(kind, text);
    let longest = match kind {
        SlugKind::Organization | SlugKind::Team => 50,
        SlugKind::Project | SlugKind::NewProject => 100,
    };
    let suffix = match n {
        0 => String::new(),
        n => format!("-x{n}"),
    };
    let base = match base.as_str() {
        "" => "unnamed",
        base => &base[..base.len().min(longest - suffix.len())],
    };
    let base = base.trim_end_matches(['-', '_']);
    Slug::parse(kind, &format!("{base}{suffix}")).ok()
}

impl Planner<'_> {
    /// The number that comes along, if it is kept; else that is told.
    fn keep(&mut self, numbers: &mut Numbers, wanted: Option<i64>, shown: &str) -> Option<i64> {
        let wanted = wanted?;
        if numbers.keep(wanted) {
            return Some(wanted);
        }
        self.notes.add(OTHER_NUMBERS, format!("{shown}, {wanted}"));
        None
    }

    fn organizations(&mut self) -> Result<Vec<(Fate<OrganizationId>, Slug)>> {
        let mut numbers = Numbers::of(self.connection, Numbered::Organization)?;
        let mut claimed: HashSet<String> = HashSet::new();
        let mut all = Vec::new();
        for at in 0..self.bundle.organizations.len() {
            let wanted = self.bundle.organizations[at].slug.clone();
            let created = millis(self.bundle.organizations[at].created);
            let (here, slug) = self.place_of_organization(&mut claimed, &wanted, created)?;
            let given = std::mem::take(&mut self.bundle.organizations[at].options);
            let options = self.options(given, slug.as_str(), take_of_organization);
            let fate = match here {
                Some(here) => {
                    let organization = &self.bundle.organizations[at];
                    let stored = organizations::list_options(self.connection, here.id)?;
                    let is_same = here.name == organization.name
                        && here.policy == organization.policy
                        && stored == options.into_iter().collect::<Options>();
                    if !is_same {
                        self.notes.add(DIFFERENT, format!("organization {slug}"));
                    }
                    Fate::Here(here.id)
                }
                None => {
                    if slug.as_str() != wanted {
                        let text = "these organizations get another slug, because theirs is taken, or is none that can be";
                        self.notes.add(text, format!("{wanted} becomes {slug}"));
                    }
                    let id = self.bundle.organizations[at].id;
                    let id = self.keep(&mut numbers, id, &format!("organization {slug}"));
                    let organization = &mut self.bundle.organizations[at];
                    organization.id = id;
                    organization.options = options;
                    Fate::New
                }
            };
            all.push((fate, slug));
        }
        Ok(all)
    }

    /// The first slug that is free, or that the same organization has here; and that one.
    fn place_of_organization(
        &self,
        claimed: &mut HashSet<String>,
        wanted: &str,
        created_ms: i64,
    ) -> Result<(Option<Organization>, Slug)> {
        let mut n = 0;
        loop {
            if let Some(slug) = candidate(SlugKind::Organization, wanted, n) {
                let segment = IdOrSlug::Slug(slug.to_string());
                let here = organizations::find(self.connection, &segment)?
                    .filter(|here| millis(here.created) == created_ms);
                let is_ours =
                    here.is_some() || !organizations::slug_is_taken(self.connection, &slug)?;
                if is_ours && claimed.insert(slug.as_str().to_ascii_lowercase()) {
                    return Ok((here, slug));
                }
            }
            n += 1;
        }
    }

    /// Those of these options that Picket has, as it keeps them.
    fn options(
        &mut self,
        given: Vec<(String, Value)>,
        owner: &str,
        take: fn(&str, &Value) -> Taken,
    ) -> Vec<(String, Value)> {
        let mut kept = Vec::new();
        for (name, value) in given {
            match take(&name, &value) {
                Taken::Set(value) => kept.push((name, value)),
                Taken::Internal => {}
                Taken::Unknown => *self.unknown_options.entry(name).or_default() += 1,
                Taken::Wrong(why) => self.notes.add(
                    "these options have values that Picket does not take, and are left out",
                    format!("{name} of {owner}: {why}"),
                ),
            }
        }
        kept
    }

    /// The slug of a team or a project in its organization, and what is here of it.
    fn place<T>(
        &mut self,
        claimed: &mut HashSet<(At, Slug)>,
        kind: SlugKind,
        (organization, fate): (At, Fate<OrganizationId>),
        wanted: &str,
        find: impl Fn(&Connection, OrganizationId, &IdOrSlug) -> Result<Option<T>>,
    ) -> Result<(Option<T>, Slug)> {
        let mut n = 0;
        loop {
            if let Some(slug) = candidate(kind, wanted, n)
                && claimed.insert((organization, slug.clone()))
            {
                let here = match fate {
                    Fate::Here(id) => find(self.connection, id, &IdOrSlug::Slug(slug.to_string()))?,
                    Fate::New | Fate::Out => None,
                };
                if here.is_none() && slug.as_str() != wanted {
                    let text = "these teams and projects get another slug, because theirs is taken, or is none that can be";
                    self.notes.add(text, format!("{wanted} becomes {slug}"));
                }
                return Ok((here, slug));
            }
            n += 1;
        }
    }

    fn teams(
        &mut self,
        organizations: &[(Fate<OrganizationId>, Slug)],
    ) -> Result<Vec<(Fate<TeamId>, Slug)>> {
        let mut numbers = Numbers::of(self.connection, Numbered::Team)?;
        let mut claimed = HashSet::new();
        let mut all = Vec::new();
        for at in 0..self.bundle.teams.len() {
            let team = &self.bundle.teams[at];
            let (wanted, name, id) = (team.slug.clone(), team.name.clone(), team.id);
            let owner = (team.organization, organizations[team.organization].0);
            let find = |connection: &Connection, id, slug: &IdOrSlug| {
                Ok(teams::find(connection, id, slug)?)
            };
            let (here, slug) = self.place(&mut claimed, SlugKind::Team, owner, &wanted, find)?;
            let shown = format!("team {}/{slug}", organizations[owner.0].1);
            let fate = match here {
                Some(here) => {
                    if here.name != name {
                        self.notes.add(DIFFERENT, shown);
                    }
                    Fate::Here(here.id)
                }
                None => {
                    self.bundle.teams[at].id = self.keep(&mut numbers, id, &shown);
                    Fate::New
                }
            };
            all.push((fate, slug));
        }
        Ok(all)
    }

    fn users(&mut self) -> Result<Vec<Fate<UserId>>> {
        let mut numbers = Numbers::of(self.connection, Numbered::User)?;
        let mut all = Vec::new();
        for at in 0..self.bundle.users.len() {
            let user = &self.bundle.users[at];
            let (email, id) = (user.email.clone(), user.id);
            if let Some(here) = users::find_by_email(self.connection, &email)? {
                if millis(here.created) != millis(user.created) || here.name != user.name {
                    let text = "these users are here already and stay as they are; passwords, second factors and tokens that would \
                                come with them are left out";
                    self.notes.add(text, email);
                }
                all.push(Fate::Here(here.id));
                continue;
            }
            let kept = self.keep(&mut numbers, id, &format!("user {email}"));
            let user = &mut self.bundle.users[at];
            user.id = kept;
            if user.superuser {
                self.notes.add(
                    "these users may do what the operator of the server may",
                    email.as_str(),
                );
            }
            let given = user.password.take();
            user.password = given.as_deref().and_then(readable_hash);
            if user.password.is_none() && given.is_some_and(|text| !text.starts_with('!')) {
                let text = "the passwords of these users were hashed in a way that Picket does not read; picket user reset-password \
                            prints a link for a new one";
                self.notes.add(text, email.as_str());
            }
            for token in std::mem::take(&mut user.tokens) {
                if tokens::find_by_hash(self.connection, token.hash)?.is_some() {
                    let text = "these tokens are here already, of somebody else, and are left out";
                    self.notes.add(text, format!("{} of {email}", token.name));
                } else {
                    self.bundle.users[at].tokens.push(token);
                }
            }
            all.push(Fate::New);
        }
        Ok(all)
    }

    fn projects(
        &mut self,
        organizations: &[(Fate<OrganizationId>, Slug)],
    ) -> Result<Vec<(Fate<ProjectId>, Slug)>> {
        let mut claimed = HashSet::new();
        let mut numbers = HashSet::new();
        let mut all = Vec::new();
        for at in 0..self.bundle.projects.len() {
            let project = &self.bundle.projects[at];
            let (wanted, id) = (project.slug.clone(), project.id);
            let owner = (project.organization, organizations[project.organization].0);
            let find = |connection: &Connection, id, slug: &IdOrSlug| {
                Ok(projects::find(connection, id, slug)?)
            };
            let (here, slug) = self.place(&mut claimed, SlugKind::Project, owner, &wanted, find)?;
            let shown = format!("{}/{slug}", organizations[owner.0].1);
            let given = std::mem::take(&mut self.bundle.projects[at].options);
            let options = self.options(given, &shown, take_of_project);
            let platform = &mut self.bundle.projects[at].platform;
            if let Some(unknown) = platform.take_if(|name| !platform::is_allowed(name)) {
                let text = "Picket does not know these platforms, which are left out";
                self.notes.add(text, format!("{unknown} of {shown}"));
            }
            if let Some(here) = here {
                let project = &self.bundle.projects[at];
                let stored = projects::list_options(self.connection, here.id)?;
                let is_same = here.name == project.name
                    && here.platform == project.platform
                    && millis(here.created) == millis(project.created)
                    && stored.into_iter().collect::<Options>()
                        == options.into_iter().collect::<Options>();
                if !is_same {
                    self.notes.add(DIFFERENT, format!("project {shown}"));
                }
                if let Some(id) = id.filter(|id| *id != here.id.0) {
                    let text = "these projects have other numbers here, so DSNs that carry the old ones do not lead to them";
                    self.notes
                        .add(text, format!("{shown}: {id} there, {} here", here.id));
                }
                all.push((Fate::Here(here.id), slug));
                continue;
            }
            let kept = match id {
                Some(id)
                    if (1..=NUMBER_MAX).contains(&id)
                        && !projects::id_is_taken(self.connection, ProjectId(id))?
                        && numbers.insert(id) =>
                {
                    Some(id)
                }
                Some(id) => {
                    let text = "these projects cannot keep their numbers, which others have or had here; DSNs that carry them do \
                                not lead to them, so applications must be given new ones";
                    self.notes.add(text, format!("{shown}, {id}"));
                    None
                }
                None => None,
            };
            let project = &mut self.bundle.projects[at];
            project.id = kept;
            project.options = options;
            all.push((Fate::New, slug));
        }
        Ok(all)
    }

    fn keys(&mut self, projects: &[(Fate<ProjectId>, Slug)]) -> Result<Vec<Fate<()>>> {
        let mut numbers = Numbers::of(self.connection, Numbered::ClientKey)?;
        let mut all = Vec::new();
        for at in 0..self.bundle.keys.len() {
            let key = &mut self.bundle.keys[at];
            let (fate, project) = &projects[key.project];
            let known = BROWSER_SDK_CHOICES.iter().chain(&BROWSER_SDK_RETIRED);
            let version = key.browser_sdk_version.take();
            let version = version.filter(|version| known.clone().any(|known| known == version));
            key.browser_sdk_version = version.or_else(|| Some(BROWSER_SDK_VERSION.to_owned()));
            let shown = format!("{} {} of {project}", key.label, key.public);
            if let Some(here) = client_keys::find_by_public(self.connection, key.public)? {
                if *fate == Fate::Here(here.project) {
                    let is_same = here.label == key.label
                        && key
                            .secret
                            .as_ref()
                            .is_none_or(|secret| *secret == here.secret)
                        && here.active == key.active
                        && here.rate_limit == key.rate_limit;
                    if !is_same {
                        self.notes.add(DIFFERENT, format!("client key {shown}"));
                    }
                    all.push(Fate::Here(()));
                    continue;
                }
                let made_before = match (fate, &key.secret) {
                    (Fate::Here(project), Some(secret)) => {
                        find_key_by_secret(self.connection, *project, secret, &key.label)?
                    }
                    _ => None,
                };
                let text = "the public halves of these keys belong to other projects here, so they get others; what sends with the \
                            old ones goes to the other project";
                let public = match &made_before {
                    Some(before) => before.public,
                    None => PublicKey::random(),
                };
                self.notes.add(text, format!("{shown} becomes {public}"));
                if made_before.is_some() {
                    all.push(Fate::Here(()));
                    continue;
                }
                key.public = public;
            }
            key.id = key.id.filter(|id| numbers.keep(*id));
            key.secret.get_or_insert_with(random_hex_32);
            all.push(Fate::New);
        }
        Ok(all)
    }

    fn members(
        &mut self,
        organizations: &[(Fate<OrganizationId>, Slug)],
        users: &[Fate<UserId>],
    ) -> Result<Vec<Fate<MemberId>>> {
        let mut numbers = Numbers::of(self.connection, Numbered::Member)?;
        let mut owned: HashSet<At> = HashSet::new();
        let mut all = Vec::new();
        for at in 0..self.bundle.members.len() {
            let member = &self.bundle.members[at];
            let (fate, slug) = &organizations[member.organization];
            let (here, email) = match (&member.who, fate) {
                (Person::User(user), Fate::Here(id)) => {
                    let here = match users[*user] {
                        Fate::Here(user) => members::find(self.connection, *id, user)?,
                        Fate::New | Fate::Out => None,
                    };
                    (here, self.bundle.users[*user].email.clone())
                }
                (Person::User(user), _) => (None, self.bundle.users[*user].email.clone()),
                (Person::Invited { email, .. }, Fate::Here(id)) => {
                    let here = members::find_by_email(self.connection, *id, email)?;
                    (here, email.clone())
                }
                (Person::Invited { email, .. }, _) => (None, email.clone()),
            };
            let shown = format!("{email} in {slug}");
            if member.role == OrganizationRole::Owner && matches!(member.who, Person::User(_)) {
                owned.insert(member.organization);
            }
            if let Some(here) = here {
                if here.role != member.role {
                    self.notes.add(DIFFERENT, format!("member {shown}"));
                }
                all.push(Fate::Here(here.id));
                continue;
            }
            if let (Person::User(_), Fate::Here(id)) = (&member.who, fate)
                && members::find_by_email(self.connection, *id, &email)?.is_some()
            {
                let text = "these were invited here as well; the invitation stays until somebody takes it back";
                self.notes.add(text, shown.as_str());
            }
            let kept = self.keep(&mut numbers, member.id, &format!("member {shown}"));
            let member = &mut self.bundle.members[at];
            member.id = kept;
            if let Person::Invited { link, .. } = &mut member.who {
                // A link names the member's number.
                let holds = link.is_some_and(|(_, expires)| expires > self.now) && kept.is_some();
                if !holds {
                    *link = None;
                    let text = "the links of these invitations hold no longer; invite them again";
                    self.notes.add(text, shown);
                }
            }
            all.push(Fate::New);
        }
        for (at, (fate, slug)) in organizations.iter().enumerate() {
            if *fate == Fate::New && !owned.contains(&at) {
                let text = "nobody owns these organizations; picket member add gives them an owner";
                self.notes.add(text, slug.as_str());
            }
        }
        Ok(all)
    }

    fn tokens(&mut self, organizations: &[(Fate<OrganizationId>, Slug)]) -> Result<Vec<Fate<()>>> {
        let mut all = Vec::new();
        for token in &self.bundle.tokens {
            let (fate, slug) = &organizations[token.organization];
            let shown = format!("{} of {slug}", token.name);
            let Some(here) = tokens::find_by_hash(self.connection, token.hash)? else {
                all.push(Fate::New);
                continue;
            };
            let is_own = matches!((fate, here.owner), (Fate::Here(id), TokenOwner::Organization(owner)) if *id == owner);
            if is_own {
                if here.revoked.is_some() {
                    let text = "these tokens were revoked here, and stay so";
                    self.notes.add(text, shown);
                }
                all.push(Fate::Here(()));
            } else {
                let text = "these tokens are here already, of somebody else, and are left out";
                self.notes.add(text, shown);
                all.push(Fate::Out);
            }
        }
        Ok(all)
    }

    /// Numbers of what is made together with something else are all kept, or none of a kind is: they are not written in
    /// their order.
    fn numbers_of_parts(
        &mut self,
        users: &[Fate<UserId>],
        projects: &[(Fate<ProjectId>, Slug)],
        tokens: &[Fate<()>],
    ) -> Result<()> {
        let mut seeds = Numbers::of(self.connection, Numbered::Authenticator)?;
        let mut of_tokens = Numbers::of(self.connection, Numbered::AuthToken)?;
        let mut of_environments = Numbers::of(self.connection, Numbered::Environment)?;
        let (mut keep_seeds, mut keep_tokens, mut keep_environments) = (true, true, true);
        let new_users = users.iter().zip(&self.bundle.users);
        for (_, user) in new_users.filter(|(fate, _)| **fate == Fate::New) {
            keep_seeds &= user.totp.as_ref().is_none_or(|totp| seeds.keep(totp.id));
            keep_tokens &= user.tokens.iter().all(|token| of_tokens.keep(token.id));
        }
        let new_tokens = tokens.iter().zip(&self.bundle.tokens);
        for (_, token) in new_tokens.filter(|(fate, _)| **fate == Fate::New) {
            keep_tokens &= token.id.is_none_or(|id| of_tokens.keep(id));
        }
        let new_projects = projects.iter().zip(&self.bundle.projects);
        for (_, project) in new_projects.filter(|((fate, _), _)| *fate == Fate::New) {
            let mut environments = project.environments.iter();
            keep_environments &=
                environments.all(|one| one.id.is_some_and(|id| of_environments.keep(id)));
        }
        let mut say = |kept: bool, what: &str| {
            if !kept {
                self.notes.say(format!("{what} get other numbers"));
            }
        };
        say(keep_seeds, "second factors");
        say(keep_tokens, "tokens");
        say(keep_environments, "environments of projects");
        for user in &mut self.bundle.users {
            if let Some(totp) = &mut user.totp
                && !keep_seeds
            {
                totp.id = 0;
            }
            for token in &mut user.tokens {
                if !keep_tokens {
                    token.id = 0;
                }
            }
        }
        if !keep_tokens {
            self.bundle
                .tokens
                .iter_mut()
                .for_each(|token| token.id = None);
        }
        if !keep_environments {
            let environments = self
                .bundle
                .projects
                .iter_mut()
                .flat_map(|p| &mut p.environments);
            environments.for_each(|environment| environment.id = None);
        }
        Ok(())
    }
}

/// The hash of a password in the form in which Picket keeps them, if it can be one. Django writes its own name for the
/// algorithm before it.
fn readable_hash(text: &str) -> Option<String> {
    let hash = text.strip_prefix(ARGON2)?;
    password::is_acceptable_hash(hash).then(|| hash.to_owned())
}

/// The places of what is to be made: what keeps its number comes first, in the order of the numbers, so that no number
/// is given out before it comes.
pub(super) fn in_order<I: PartialEq>(
    fates: impl Iterator<Item = Fate<I>>,
    number: impl Fn(At) -> Option<i64>,
) -> Vec<At> {
    let mut places: Vec<At> = fates
        .enumerate()
        .filter(|(_, fate)| *fate == Fate::New)
        .map(|(at, _)| at)
        .collect();
    places.sort_by_key(|at| number(*at).map_or((true, 0), |number| (false, number)));
    places
}

/// Numbers here of what the bundle names by its place.
pub(super) type Known<I> = HashMap<At, I>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_tried_in_the_same_order_each_time() {
        let tried = |kind, text: &str| -> Vec<String> {
            (0..3)
                .filter_map(|n| candidate(kind, text, n))
                .map(|slug| slug.to_string())
                .collect()
        };
        assert_eq!(
            tried(SlugKind::Organization, "acme"),
            ["acme", "acme-x1", "acme-x2"]
        );
        assert_eq!(
            tried(SlugKind::Organization, "a_b"),
            ["a-b", "a-b-x1", "a-b-x2"]
        );
        assert_eq!(tried(SlugKind::Organization, "a"), ["a-x1", "a-x2"]);
        assert_eq!(tried(SlugKind::Project, "42"), ["42-x1", "42-x2"]);
        assert_eq!(
            tried(SlugKind::Project, "settings"),
            ["settings-x1", "settings-x2"]
        );
        assert_eq!(
            tried(SlugKind::Team, "日本"),
            ["unnamed", "unnamed-x1", "unnamed-x2"]
        );
        let long = "a".repeat(60);
        assert_eq!(tried(SlugKind::Team, &long)[1].len(), 50);
    }

    #[test]
    fn only_argon2id_of_bearable_cost_is_read() {
        let ours = password::hash("correct horse battery staple").unwrap();
        assert_eq!(readable_hash(&format!("argon2{ours}")), Some(ours.clone()));
        for wrong in [
            ours.as_str(),
            "argon2",
            "pbkdf2_sha256$260000$salt$aGFzaA==",
            "!",
            "argon2$argon2i$v=19$m=512,t=2,p=2$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "argon2$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "argon2$argon2id$v=19$m=512,t=2,p=2$c29tZXNhbHRzb21lc2FsdA",
        ] {
            assert_eq!(readable_hash(wrong), None, "{wrong}");
        }
        let django =
            "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA";
        assert!(readable_hash(django).is_some());
    }
}
