//! Does what a plan says, in transactions of a few milliseconds each, so that a server that runs on the file goes on.
//!
//! What belongs together is written together (a project with its options, a user with the second factor); so after a
//! run that was cut off each thing is there whole or not at all, and another run makes the rest. If somebody took a
//! number, a slug or a key meanwhile, the run stops there and says so.

use super::bundle::{At, Person};
use super::plan::{Fate, Known, Plan, in_order};
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId, TokenId, UserId};
use crate::domain::key::{BROWSER_SDK_VERSION, random_hex_32};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result, totp};
use crate::store::Store;
use crate::store::members::Seat;
use crate::store::ownership::Ownership;
use crate::store::relocation::{
    self as rows, NewEnvironment, NewInvited, NewKey, NewMember, NewOrganization, NewProject,
    NewTeam, NewToken, NewTotp, NewUser,
};
use crate::store::writer::Unit;

/// How many things one transaction makes.
const STEP: usize = 250;

/// How often a step is tried while a server is too busy for it.
const TRIES: usize = 5;

/// Makes everything new. `progress` hears how many things are made.
///
/// # Errors
/// The database took no more, or something was taken meanwhile. What was made stays; another run goes on from there.
pub(crate) fn run(
    store: &Store,
    plan: &Plan,
    now: Timestamp,
    mut progress: impl FnMut(usize),
) -> Result<()> {
    let mut run = Run {
        store,
        plan,
        actor: Actor::operator(now),
        done: 0,
        progress: &mut progress,
    };
    let organizations = run.organizations()?;
    let teams = run.teams(&organizations)?;
    let users = run.users()?;
    let projects = run.projects(&organizations, &teams)?;
    run.keys(&organizations, &projects)?;
    run.members(&organizations, &teams, &users)?;
    run.tokens(&organizations, &projects)
}

struct Run<'a> {
    store: &'a Store,
    plan: &'a Plan,
    actor: Actor,
    done: usize,
    progress: &'a mut dyn FnMut(usize),
}

/// What was to be there is not, though the plan says so.
fn lost() -> Error {
    Error::internal("an import lost what it had made itself")
}

fn get<I: Copy>(known: &Known<I>, at: At) -> Result<I> {
    known.get(&at).copied().ok_or_else(lost)
}

impl Run<'_> {
    /// Makes things in steps, and knows their numbers then, with those that were here before.
    fn make<T, I>(
        &mut self,
        fates: &[Fate<I>],
        number: impl Fn(At) -> Option<i64>,
        build: impl Fn(At) -> Result<T>,
        add: fn(&mut Unit<'_>, &Actor, &T) -> Result<I>,
    ) -> Result<Known<I>>
    where
        T: Clone + Send + 'static,
        I: Copy + PartialEq + Send + 'static,
    {
        let mut known: Known<I> = fates
            .iter()
            .enumerate()
            .filter_map(|(at, fate)| match fate {
                Fate::Here(id) => Some((at, *id)),
                Fate::New | Fate::Out => None,
            })
            .collect();
        for step in in_order(fates.iter().copied(), number).chunks(STEP) {
            let items: Vec<T> = step.iter().map(|at| build(*at)).collect::<Result<_>>()?;
            let ids = self.write(&items, add)?;
            known.extend(step.iter().copied().zip(ids));
            self.done += step.len();
            (self.progress)(self.done);
        }
        Ok(known)
    }

    fn write<T, I>(
        &self,
        items: &[T],
        add: fn(&mut Unit<'_>, &Actor, &T) -> Result<I>,
    ) -> Result<Vec<I>>
    where
        T: Clone + Send + 'static,
        I: Send + 'static,
    {
        let mut tries = 1;
        loop {
            let (items, actor) = (items.to_vec(), self.actor.clone());
            let written = self
                .store
                .write(move |unit| items.iter().map(|item| add(unit, &actor, item)).collect());
            match written {
                Err(Error::Unavailable { .. }) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    fn organizations(&mut self) -> Result<Known<OrganizationId>> {
        let plan = self.plan;
        let fates: Vec<_> = plan.organizations.iter().map(|(fate, _)| *fate).collect();
        let all = &plan.bundle.organizations;
        let build = |at: At| {
            let new = &all[at];
            Ok(NewOrganization {
                id: new.id.map(OrganizationId),
                slug: plan.organizations[at].1.clone(),
                name: new.name.clone(),
                policy: new.policy,
                early_adopter: new.early_adopter,
                superuser_access: new.superuser_access,
                require_2fa: new.require_2fa,
                created: new.created,
                options: new.options.clone(),
            })
        };
        self.make(&fates, |at| all[at].id, build, rows::add_organization)
    }

    fn teams(&mut self, organizations: &Known<OrganizationId>) -> Result<Known<TeamId>> {
        let plan = self.plan;
        let fates: Vec<_> = plan.teams.iter().map(|(fate, _)| *fate).collect();
        let all = &plan.bundle.teams;
        let build = |at: At| {
            let new = &all[at];
            Ok(NewTeam {
                id: new.id.map(TeamId),
                organization: get(organizations, new.organization)?,
                slug: plan.teams[at].1.clone(),
                name: new.name.clone(),
                created: new.created,
            })
        };
        self.make(&fates, |at| all[at].id, build, rows::add_team)
    }

    fn users(&mut self) -> Result<Known<UserId>> {
        let all = &self.plan.bundle.users;
        let number = |id: i64| Some(id).filter(|id| *id > 0);
        let step = totp::step_at(self.actor.at);
        let build = |at: At| {
            let new = &all[at];
            let totp = new.totp.as_ref().map(|totp| NewTotp {
                id: number(totp.id),
                seed: totp.seed.clone(),
                created: totp.created,
                last_used: totp.last_used,
                last_step: step,
            });
            let tokens = new.tokens.iter().map(|token| NewToken {
                id: number(token.id).map(TokenId),
                name: token.name.clone(),
                hash: token.hash,
                last_characters: token.last_characters.clone(),
                scopes: token.scopes,
                created: token.created,
                expires: token.expires,
                last_used: None,
                last_project: None,
            });
            Ok(NewUser {
                id: new.id.map(UserId),
                email: new.email.clone(),
                name: new.name.clone(),
                password_hash: new.password.clone(),
                active: new.active,
                superuser: new.superuser,
                created: new.created,
                last_login: new.last_login,
                last_active: new.last_active,
                totp,
                tokens: tokens.collect(),
            })
        };
        self.make(&self.plan.users, |at| all[at].id, build, rows::add_user)
    }

    fn projects(
        &mut self,
        organizations: &Known<OrganizationId>,
        teams: &Known<TeamId>,
    ) -> Result<Known<ProjectId>> {
        let plan = self.plan;
        let fates: Vec<_> = plan.projects.iter().map(|(fate, _)| *fate).collect();
        let all = &plan.bundle.projects;
        let build = |at: At| {
            let new = &all[at];
            let own = new.teams.iter().map(|team| get(teams, *team));
            let ownership = new.ownership.as_ref().map(|rules| Ownership {
                raw: rules.raw.clone(),
                fallthrough: rules.fallthrough,
                auto_assignment: rules.auto_assignment.clone(),
                codeowners_auto_sync: rules.codeowners_auto_sync,
                created: rules.created,
                updated: rules.updated,
            });
            let environments = new.environments.iter().map(|one| NewEnvironment {
                id: one.id,
                name: one.name.clone(),
                hidden: one.hidden,
                first: one.first,
            });
            Ok(NewProject {
                id: new.id.map(ProjectId),
                organization: get(organizations, new.organization)?,
                slug: plan.projects[at].1.clone(),
                name: new.name.clone(),
                platform: new.platform.clone(),
                first_event: new.first_event,
                security_token: new.security_token.clone().unwrap_or_else(random_hex_32),
                created: new.created,
                options: new.options.clone(),
                teams: own.collect::<Result<_>>()?,
                old_slugs: new.old_slugs.clone(),
                ownership,
                environments: environments.collect(),
            })
        };
        self.make(&fates, |at| all[at].id, build, rows::add_project)
    }

    fn keys(
        &mut self,
        organizations: &Known<OrganizationId>,
        projects: &Known<ProjectId>,
    ) -> Result<()> {
        let plan = self.plan;
        let all = &plan.bundle.keys;
        let build = |at: At| {
            let new = &all[at];
            let organization = plan.bundle.projects[new.project].organization;
            let version = new.browser_sdk_version.as_deref();
            Ok(NewKey {
                id: new.id,
                organization: get(organizations, organization)?,
                project: get(projects, new.project)?,
                public: new.public,
                secret: new.secret.clone().unwrap_or_else(random_hex_32),
                label: new.label.clone(),
                active: new.active,
                rate_limit: new.rate_limit,
                browser_sdk_version: version.unwrap_or(BROWSER_SDK_VERSION).to_owned(),
                loader: new.loader,
                created: new.created,
            })
        };
        self.make(&plan.keys, |at| all[at].id, build, rows::add_key)?;
        Ok(())
    }

    fn members(
        &mut self,
        organizations: &Known<OrganizationId>,
        teams: &Known<TeamId>,
        users: &Known<UserId>,
    ) -> Result<()> {
        let plan = self.plan;
        let all = &plan.bundle.members;
        let build = |at: At| {
            let new = &all[at];
            let seats = new.seats.iter().map(|(team, role)| {
                Ok(Seat {
                    team: get(teams, *team)?,
                    slug: plan.teams[*team].1.clone(),
                    role: *role,
                })
            });
            Ok(NewMember {
                id: new.id.map(MemberId),
                organization: get(organizations, new.organization)?,
                who: match &new.who {
                    Person::User(user) => Ok(get(users, *user)?),
                    Person::Invited { email, link } => Err(NewInvited {
                        email: email.clone(),
                        link: *link,
                    }),
                },
                role: new.role,
                inviter: new.inviter.and_then(|user| users.get(&user).copied()),
                created: new.created,
                seats: seats.collect::<Result<_>>()?,
            })
        };
        self.make(&plan.members, |at| all[at].id, build, rows::add_member)?;
        Ok(())
    }

    fn tokens(
        &mut self,
        organizations: &Known<OrganizationId>,
        projects: &Known<ProjectId>,
    ) -> Result<()> {
        let plan = self.plan;
        let all = &plan.bundle.tokens;
        let build = |at: At| {
            let new = &all[at];
            let token = NewToken {
                id: new.id.map(TokenId),
                name: new.name.clone(),
                hash: new.hash,
                last_characters: new.last_characters.clone(),
                scopes: new.scopes,
                created: new.created,
                expires: None,
                last_used: new.last_used,
                last_project: new.last_project.and_then(|at| projects.get(&at).copied()),
            };
            Ok((get(organizations, new.organization)?, token))
        };
        let add = |unit: &mut Unit<'_>, actor: &Actor, new: &(OrganizationId, NewToken)| {
            rows::add_organization_token(unit, actor, new.0, &new.1).map(drop)
        };
        self.make(&plan.tokens, |at| all[at].id, build, add)?;
        Ok(())
    }
}
