//! Writes the file that `sentry import` reads: one JSON array, grouped by model, targets first (facts/relocation.md 4
//! and 5, the fields of 24.7.0).
//!
//! Rows are written as they are read, so memory does not grow with the installation. Who calls opens one transaction
//! around it, so that all rows are of one moment. The last key of each project in the file is the one that most was
//! accepted by, because Sentry's importer keeps that one alone (getsentry/sentry#124029).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::bundle::{ASSIGN_COMMITTER, ASSIGN_NOBODY};
use super::notes::Notes;
use super::options::{self, ALERTS_MEMBER_WRITE, EVENTS_MEMBER_ADMIN, SECURITY_TOKEN};
use super::value::{bits, date, date_or_null, pickled};
use crate::domain::id::{OrganizationId, ProjectId};
use crate::domain::key::{ClientKey, random_hex_32};
use crate::domain::option::{self as known_option, Options};
use crate::domain::scope::TeamRole;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result};
use crate::store::members::{Member, Person};
use crate::store::organizations::{self, Organization};
use crate::store::relocation::{self as rows, Reach, UsersOf};
use crate::store::users::User;
use crate::store::{Connection, ownership, projects};

/// Which of Sentry's commands reads the file (facts/relocation.md 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Global,
    Organizations,
    Config,
    Users,
}

impl Scope {
    pub(crate) const ALL: [Scope; 4] = [
        Scope::Global,
        Scope::Organizations,
        Scope::Config,
        Scope::Users,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Organizations => "organizations",
            Scope::Config => "config",
            Scope::Users => "users",
        }
    }

    fn has_organizations(self) -> bool {
        matches!(self, Scope::Global | Scope::Organizations)
    }
}

/// What goes into a file.
pub(crate) struct Selection {
    scope: Scope,
    organizations: Vec<Organization>,
    reach: Reach,
    passwords: bool,
    now: Timestamp,
    /// The key of each project with several that comes last. What was told is what is written, however much is sent
    /// meanwhile.
    last_keys: HashMap<ProjectId, Option<i64>>,
}

/// How far back the use of a key counts for which one is used most.
const USED_DAYS: i64 = 30;

/// The longest addresses and numbers that Sentry's tables take (facts/relocation.md 5).
const EMAIL_CHARS_MAX: usize = 75;
const USERNAME_CHARS_MAX: usize = 128;
const USER_EMAIL_CHARS_MAX: usize = 200;
const COUNT_MAX: u64 = i32::MAX as u64;

impl Selection {
    /// `organizations`: those that are meant; with `chosen`, only their members go along. `passwords`: whether hashes
    /// of passwords do.
    pub(crate) fn new(
        scope: Scope,
        mut organizations: Vec<Organization>,
        chosen: bool,
        passwords: bool,
        now: Timestamp,
    ) -> Selection {
        organizations.sort_by_key(|organization| organization.id);
        let users = match (scope, chosen) {
            (Scope::Config, _) => UsersOf::Superusers,
            (_, true) => UsersOf::Members,
            (_, false) => UsersOf::All,
        };
        let ids: Vec<OrganizationId> = organizations.iter().map(|o| o.id).collect();
        Selection {
            reach: Reach::new(&ids, users),
            scope,
            organizations,
            passwords,
            now,
            last_keys: HashMap::new(),
        }
    }

    fn used_since(&self) -> Timestamp {
        self.now.plus_secs(-USED_DAYS * 86_400).floor_to(86_400)
    }

    fn slug(&self, id: OrganizationId) -> &str {
        let found = self.organizations.binary_search_by_key(&id, |o| o.id);
        found.map_or("", |at| self.organizations[at].slug.as_str())
    }
}

/// Everything that the file cannot carry, or that Sentry's importer does not keep. Settles which key of a project comes
/// last.
pub(crate) fn losses(connection: &Connection, selection: &mut Selection) -> Result<Notes> {
    let mut notes = Notes::default();
    let scope = selection.scope;
    notes.say(
        "events, attachments, statistics, releases and the audit log stay here: the format has no place for them",
    );
    match scope {
        Scope::Global => notes.say(
            "a global import empties the Sentry that it goes into first; only Sentry 24.4 and later keep the numbers of \
             projects, and with them DSNs; other numbers change",
        ),
        Scope::Organizations => notes.say(
            "Sentry gives projects new numbers unless the scope is global, so every DSN changes",
        ),
        Scope::Config | Scope::Users => notes.say(
            "organizations, projects and keys are not in a file of this scope",
        ),
    }
    if scope != Scope::Global {
        notes.say(
            "second factors are in global files only; Sentry replaces passwords of any other file, and its users must set new \
             ones",
        );
    }
    tell_of_users(connection, selection, &mut notes)?;
    rows::each_unmovable_token(connection, &selection.reach, |name, owner| {
        notes.add(
            "tokens of users and API keys cannot go, because only their hashes are kept here",
            format!("{name} of {owner}"),
        );
        Ok(())
    })?;
    if scope.has_organizations() {
        tell_of_organizations(connection, selection, &mut notes)?;
        tell_of_members(connection, selection, &mut notes)?;
        selection.last_keys = tell_of_projects(connection, selection, &mut notes)?;
    }
    Ok(notes)
}

fn tell_of_users(connection: &Connection, selection: &Selection, notes: &mut Notes) -> Result<()> {
    let is_global = selection.scope == Scope::Global;
    rows::each_user(connection, &selection.reach, |user| {
        if is_global && user.password_hash.is_some() {
            let text = match selection.passwords {
                true => {
                    "these passwords go as Argon2id, which another Picket takes; Sentry takes them only if argon2-cffi is \
                     installed there"
                }
                false => {
                    "these users must set a new password, because Sentry does not read Argon2id; --passwords writes the hashes \
                     all the same, for another Picket"
                }
            };
            notes.add(text, user.email.as_str());
        }
        if !fits(&user.email, EMAIL_CHARS_MAX) {
            notes.add(
                "these addresses are longer than Sentry's tables take, so their users get no mail",
                user.email.as_str(),
            );
        }
        Ok(())
    })?;
    rows::each_recovery(connection, &selection.reach, |email| {
        notes.add(
            "recovery codes cannot go, because only their hashes are kept here",
            email,
        );
        Ok(())
    })
}

fn tell_of_organizations(
    connection: &Connection,
    selection: &Selection,
    notes: &mut Notes,
) -> Result<()> {
    for organization in &selection.organizations {
        let slug = organization.slug.as_str();
        if organization.single_sign_on.is_some() {
            notes.add("single sign-on must be set up again", slug);
        }
        if slug.bytes().any(|b| b.is_ascii_uppercase()) {
            notes.add("Sentry writes these slugs in lower case", slug);
        }
        let stored = organizations::list_options(connection, organization.id)?;
        if stored.contains_key(known_option::DEFAULT_RATE_LIMIT) {
            let text = "Sentry knows no rate limit for keys without one of their own";
            notes.add(text, slug);
        }
    }
    rows::each_organization_token(connection, &selection.reach, |token, _| {
        if !goes_along(&token) {
            let organization = match token.owner {
                crate::domain::token::TokenOwner::Organization(id) => selection.slug(id),
                _ => "",
            };
            notes.add(
                "these organization tokens end, or are for certain projects only, which Sentry does not know; so they do not go",
                format!("{} of {organization}", token.name),
            );
        }
        Ok(())
    })?;
    let (bookmarks, requests) = rows::count_small_things(connection, &selection.reach)?;
    for (count, what) in [
        (bookmarks, "bookmarks of projects"),
        (requests, "requests to join teams"),
    ] {
        if count > 0 {
            notes.say(format!("{what} do not go ({count})"));
        }
    }
    Ok(())
}

/// Whether Sentry would let a token do no more than it may here.
fn goes_along(token: &crate::domain::token::Token) -> bool {
    token.expires.is_none() && token.projects.is_empty()
}

fn tell_of_members(
    connection: &Connection,
    selection: &Selection,
    notes: &mut Notes,
) -> Result<()> {
    rows::each_member(connection, &selection.reach, |organization, member| {
        if member.is_pending() {
            let text = match fits(member.email(), EMAIL_CHARS_MAX) {
                true => {
                    "these invitations go without their links, of which only hashes are kept here; invite again there"
                }
                false => {
                    "these invitations are for addresses longer than Sentry takes, and do not go"
                }
            };
            let slug = selection.slug(organization);
            notes.add(text, format!("{} to {slug}", member.email()));
        }
        Ok(())
    })
}

fn tell_of_projects(
    connection: &Connection,
    selection: &Selection,
    notes: &mut Notes,
) -> Result<HashMap<ProjectId, Option<i64>>> {
    let shared: HashSet<i64> = rows::list_keys_of_shared_secrets(connection)?
        .into_iter()
        .collect();
    let mut last_keys = HashMap::new();
    rows::each_project(connection, &selection.reach, |project| {
        let shown = format!(
            "{}/{}",
            selection.slug(project.organization),
            project.slug.as_str()
        );
        let last = last_key(connection, selection, project.id)?;
        let several = rows::has_several_keys(connection, project.id)?;
        if several {
            last_keys.insert(project.id, last);
        }
        rows::each_key(connection, project.id, last, |key| {
            let named = format!("{} {} of {shown}", key.label, key.public);
            if several && Some(key.id.0) != last {
                notes.add(
                    "of several keys of a project Sentry's importer keeps the last one of the file, which is the one that is \
                     used most (getsentry/sentry#124029); it overwrites these without a word",
                    named.as_str(),
                );
            }
            if let Some(expires) = key.expires.filter(|_| key.is_valid(selection.now)) {
                let text = "these keys were to end, which Sentry's do not; switch them off there";
                notes.add(text, format!("{named}, at {expires}"));
            }
            if shared.contains(&key.id.0) {
                let text = "two keys have the same secret half, which Sentry refuses; these get another one in the file";
                notes.add(text, named.as_str());
            }
            if key.rate_limit.is_some_and(|limit| limit.count > COUNT_MAX) {
                notes.add(
                    "these rate limits are higher than Sentry's can be, and are cut",
                    named,
                );
            }
            Ok(())
        })?;
        if ownership::find(connection, project.id)?.is_some_and(|found| found.raw.is_some()) {
            notes.add(
                "ownership rules go as text; Sentry goes by them once somebody has saved them there",
                shown,
            );
        }
        Ok(())
    })?;
    Ok(last_keys)
}

fn last_key(
    connection: &Connection,
    selection: &Selection,
    project: ProjectId,
) -> Result<Option<i64>> {
    if let Some(settled) = selection.last_keys.get(&project) {
        return Ok(*settled);
    }
    let (since, now) = (selection.used_since(), selection.now);
    Ok(rows::most_used_key(connection, project, since, now)?)
}

fn fits(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max
}

/// Why a file was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    Output(io::Error),
    Failed(Error),
}

impl From<Error> for NotWritten {
    fn from(error: Error) -> NotWritten {
        NotWritten::Failed(error)
    }
}

/// How many rows of each model were written.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// Writes everything that is selected.
///
/// # Errors
/// The output took no more, or the database could not be read; what was written is no whole file then.
pub(crate) fn write(
    connection: &Connection,
    selection: &Selection,
    output: &mut dyn Write,
) -> Result<Counts, NotWritten> {
    let mut file = File {
        output,
        counts: Counts::new(),
        failed: None,
    };
    let written = file.everything(connection, selection);
    match (written, file.failed) {
        (_, Some(error)) => Err(NotWritten::Output(error)),
        (Err(error), None) => Err(NotWritten::Failed(error)),
        (Ok(()), None) => Ok(file.counts),
    }
}

struct File<'a> {
    output: &'a mut dyn Write,
    counts: Counts,
    /// The queries hand on errors of the database alone.
    failed: Option<io::Error>,
}

impl File<'_> {
    /// A row with the number that it has here.
    fn row(&mut self, model: &'static str, pk: i64, fields: &Value) -> Result<()> {
        let is_first = self.counts.is_empty();
        *self.counts.entry(model).or_default() += 1;
        let row = json!({ "model": model, "pk": pk, "fields": fields });
        self.text(&format!("{}{row}", if is_first { "" } else { ",\n" }))
    }

    /// A row of a model whose rows have no number here: it gets the next one.
    fn next(&mut self, model: &'static str, fields: &Value) -> Result<()> {
        let pk = self.counts.get(model).copied().unwrap_or(0) + 1;
        self.row(model, i64::try_from(pk).unwrap_or(i64::MAX), fields)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.output.write_all(text.as_bytes()).map_err(|error| {
            self.failed = Some(error);
            Error::internal("the output takes no more")
        })
    }

    fn everything(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        let reach = &selection.reach;
        let (is_global, has_organizations) = (
            selection.scope == Scope::Global,
            selection.scope.has_organizations(),
        );
        self.text("[")?;
        if has_organizations {
            self.organizations(connection, selection)?;
            rows::each_team(connection, reach, |team| {
                self.row(
                    "sentry.team",
                    team.id.0,
                    &json!({
                        "organization": team.organization.0, "slug": team.slug.as_str(), "name": team.name,
                        "status": 0, "idp_provisioned": false, "date_added": date(team.created),
                    }),
                )
            })?;
        }
        rows::each_user(connection, reach, |user| self.user(selection, &user))?;
        if has_organizations {
            self.projects(connection, selection)?;
            self.organization_tokens(connection, selection)?;
            self.members(connection, selection)?;
            self.environments(connection, selection)?;
        }
        rows::each_user(connection, reach, |user| {
            if !fits(&user.email, EMAIL_CHARS_MAX) {
                return Ok(());
            }
            let fields = json!({ "email": user.email, "date_added": date(user.created) });
            self.row("sentry.email", user.id.0, &fields)
        })?;
        if is_global {
            rows::each_totp(connection, reach, |totp| {
                let config = json!({ "secret": totp.seed.reveal() });
                self.row(
                    "sentry.authenticator",
                    totp.id,
                    &json!({
                        "user": totp.user.0, "created_at": date(totp.created),
                        "last_used_at": date_or_null(totp.last_used), "type": 1, "config": pickled(&config),
                    }),
                )
            })?;
        }
        rows::each_user(connection, reach, |user| {
            if !fits(&user.email, EMAIL_CHARS_MAX) {
                return Ok(());
            }
            self.row(
                "sentry.useremail",
                user.id.0,
                &json!({
                    "user": user.id.0, "email": user.email, "validation_hash": random_hex_32(),
                    "date_hash_added": date(user.created), "is_verified": true,
                }),
            )
        })?;
        if has_organizations {
            self.parts_of_projects(connection, selection)?;
            self.keys(connection, selection)?;
            self.seats(connection, selection)?;
            self.project_environments(connection, selection)?;
        }
        self.text("]\n")
    }

    fn organizations(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        for organization in &selection.organizations {
            let stored = organizations::list_options(connection, organization.id)?;
            let default_role = stored.get(DEFAULT_ROLE).and_then(Value::as_str);
            self.row(
                "sentry.organization",
                organization.id.0,
                &json!({
                    "name": organization.name, "slug": organization.slug.as_str(), "status": 0,
                    "date_added": date(organization.created), "default_role": default_role.unwrap_or("member"),
                    "is_test": false, "flags": bits(flags(organization, &stored)),
                }),
            )?;
        }
        for organization in &selection.organizations {
            let stored = organizations::list_options(connection, organization.id)?;
            let mut written: BTreeMap<&str, Value> = stored
                .iter()
                .filter(|(name, _)| !AS_COLUMNS.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str(), options::for_sentry(name, value)))
                .collect();
            for (name, on) in [
                (EVENTS_MEMBER_ADMIN, organization.policy.admin_events),
                (ALERTS_MEMBER_WRITE, organization.policy.write_alerts),
            ] {
                written.insert(name, json!(on));
            }
            for (name, value) in written {
                let fields = json!({
                    "organization": organization.id.0, "key": name, "value": pickled(&value),
                });
                self.next("sentry.organizationoption", &fields)?;
            }
        }
        Ok(())
    }

    fn user(&mut self, selection: &Selection, user: &User) -> Result<()> {
        let password = match (&user.password_hash, selection.passwords) {
            (Some(hash), true) => format!("{ARGON2}{hash}"),
            // With which nobody can sign in.
            _ => String::new(),
        };
        let username: String = user.email.chars().take(USERNAME_CHARS_MAX).collect();
        let email = Some(user.email.as_str()).filter(|email| fits(email, USER_EMAIL_CHARS_MAX));
        self.row(
            "sentry.user",
            user.id.0,
            &json!({
                "password": password, "last_login": date_or_null(user.last_login), "username": username,
                "name": user.name, "email": email.unwrap_or_default(), "is_staff": user.superuser,
                "is_active": user.active, "is_unclaimed": false, "is_superuser": user.superuser, "is_managed": false,
                "is_sentry_app": null, "is_password_expired": false, "last_password_change": null, "flags": bits(0),
                "session_nonce": null, "date_joined": date(user.created),
                "last_active": date_or_null(user.last_active), "avatar_type": 0, "avatar_url": null,
            }),
        )
    }

    fn projects(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        rows::each_project(connection, &selection.reach, |project| {
            self.row(
                "sentry.project",
                project.id.0,
                &json!({
                    "slug": project.slug.as_str(), "name": project.name, "forced_color": null,
                    "organization": project.organization.0, "public": false, "date_added": date(project.created),
                    "status": 0, "first_event": date_or_null(project.first_event), "flags": PROJECT_FLAGS,
                    "platform": project.platform, "template": null,
                }),
            )
        })
    }

    fn organization_tokens(
        &mut self,
        connection: &Connection,
        selection: &Selection,
    ) -> Result<()> {
        rows::each_organization_token(connection, &selection.reach, |token, hash| {
            let crate::domain::token::TokenOwner::Organization(organization) = token.owner else {
                return Ok(());
            };
            if !goes_along(&token) {
                return Ok(());
            }
            let hash: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            let last_project = match token.last_project {
                // One that went, or went to another organization, is not in the file.
                Some(id) if projects::is_in(connection, organization, id)? => Some(id.0),
                _ => None,
            };
            let scopes = json!(token.scopes).to_string();
            self.row(
                "sentry.orgauthtoken",
                token.id.0,
                &json!({
                    "organization_id": organization.0, "token_hashed": hash,
                    "token_last_characters": token.last_characters, "name": token.name, "scope_list": scopes,
                    "created_by": null, "date_added": date(token.created),
                    "date_last_used": date_or_null(token.last_used), "project_last_used_id": last_project,
                    "date_deactivated": null,
                }),
            )
        })
    }

    fn members(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        rows::each_member(connection, &selection.reach, |organization, member| {
            self.member(connection, selection, organization, &member)
        })
    }

    fn member(
        &mut self,
        connection: &Connection,
        selection: &Selection,
        organization: OrganizationId,
        member: &Member,
    ) -> Result<()> {
        let (user, invited) = match &member.who {
            Person::User(user) => (Some(user), None),
            Person::Invited { email, .. } => (None, Some(email)),
        };
        if invited.is_some_and(|email| !fits(email, EMAIL_CHARS_MAX)) {
            return Ok(());
        }
        let inviter = match &member.inviter {
            Some(by) if rows::is_meant(connection, &selection.reach, by.user)? => Some(by.user.0),
            _ => None,
        };
        let user_email = user.map(|user| &user.email);
        self.row(
            "sentry.organizationmember",
            member.id.0,
            &json!({
                "organization": organization.0, "user_id": user.map(|user| user.id.0), "email": invited,
                "role": member.role.as_str(), "flags": bits(0), "token": null, "date_added": date(member.created),
                "token_expires_at": null, "has_global_access": true, "inviter_id": inviter, "invite_status": 0,
                "type": 50, "user_is_active": user.is_none_or(|user| user.active),
                "user_email": user_email.filter(|email| fits(email, EMAIL_CHARS_MAX)),
            }),
        )
    }

    /// One row for all projects of the organization that have one of the name.
    fn environments(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        let mut before: Option<(OrganizationId, String)> = None;
        rows::each_environment(connection, &selection.reach, |environment| {
            let key = (environment.organization, environment.name);
            if before.as_ref() == Some(&key) {
                return Ok(());
            }
            let fields = json!({
                "organization_id": key.0.0, "name": key.1, "date_added": date(environment.first),
            });
            before = Some(key);
            self.next("sentry.environment", &fields)
        })
    }

    fn project_environments(
        &mut self,
        connection: &Connection,
        selection: &Selection,
    ) -> Result<()> {
        let mut before: Option<(OrganizationId, String)> = None;
        let mut environment_pk = 0;
        rows::each_environment(connection, &selection.reach, |environment| {
            let key = (environment.organization, environment.name);
            if before.as_ref() != Some(&key) {
                environment_pk += 1;
                before = Some(key);
            }
            let fields = json!({
                "project": environment.project.0, "environment": environment_pk, "is_hidden": environment.hidden,
            });
            self.row("sentry.environmentproject", environment.id, &fields)
        })
    }

    fn parts_of_projects(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        let reach = &selection.reach;
        rows::each_project_team(connection, reach, |project, team| {
            let fields = json!({ "project": project.0, "team": team.0 });
            self.next("sentry.projectteam", &fields)
        })?;
        rows::each_redirect(connection, reach, |organization, project, slug| {
            self.next(
                "sentry.projectredirect",
                &json!({
                    "redirect_slug": slug, "project": project.0, "organization": organization.0,
                    "date_added": date(selection.now),
                }),
            )
        })?;
        rows::each_project(connection, reach, |project| {
            let Some(found) = ownership::find(connection, project.id)? else {
                return Ok(());
            };
            let assigns = found.auto_assignment != ASSIGN_NOBODY;
            self.next(
                "sentry.projectownership",
                &json!({
                    "project": project.id.0, "raw": found.raw, "schema": null, "fallthrough": found.fallthrough,
                    "auto_assignment": assigns, "date_created": date(found.created),
                    "last_updated": date(found.updated), "is_active": true,
                    "codeowners_auto_sync": found.codeowners_auto_sync,
                    "suspect_committer_auto_assignment": found.auto_assignment == ASSIGN_COMMITTER,
                }),
            )
        })?;
        let mut put = |project: ProjectId, name: &str, value: &Value| {
            let fields = json!({ "project": project.0, "key": name, "value": pickled(value) });
            self.next("sentry.projectoption", &fields)
        };
        rows::each_project(connection, reach, |project| {
            put(project.id, SECURITY_TOKEN, &json!(project.security_token))
        })?;
        rows::each_project_option(connection, reach, |project, name, value| {
            put(project, name, &options::for_sentry(name, &value))
        })
    }

    fn keys(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        let shared: BTreeSet<i64> = rows::list_keys_of_shared_secrets(connection)?
            .into_iter()
            .collect();
        rows::each_project(connection, &selection.reach, |project| {
            let last = last_key(connection, selection, project.id)?;
            rows::each_key(connection, project.id, last, |key| {
                let secret = match shared.contains(&key.id.0) {
                    true => random_hex_32(),
                    false => key.secret.clone(),
                };
                self.key(selection, &key, &secret)
            })
        })
    }

    fn key(&mut self, selection: &Selection, key: &ClientKey, secret: &str) -> Result<()> {
        let loader = &key.loader_options;
        let mut data = Map::new();
        data.insert(
            "dynamicSdkLoaderOptions".to_owned(),
            json!({
                "hasReplay": loader.has_replay, "hasPerformance": loader.has_performance,
                "hasDebug": loader.has_debug, "hasFeedback": loader.has_feedback,
                "hasLogsAndMetrics": loader.has_logs_and_metrics,
            }),
        );
        data.insert(
            "browserSdkVersion".to_owned(),
            json!(key.browser_sdk_version),
        );
        let limit = key.rate_limit;
        self.row(
            "sentry.projectkey",
            key.id.0,
            &json!({
                "project": key.project.0, "label": key.label, "public_key": key.public.as_str(),
                "secret_key": secret, "roles": bits(STORE_ROLE),
                "status": if key.is_valid(selection.now) { 0 } else { 1 }, "date_added": date(key.created),
                "rate_limit_count": limit.map(|limit| limit.count.min(COUNT_MAX)),
                "rate_limit_window": limit.map(|limit| limit.window_secs), "data": data, "use_case": "user",
            }),
        )
    }

    fn seats(&mut self, connection: &Connection, selection: &Selection) -> Result<()> {
        // Seats of invitations that do not go.
        let mut left_out = HashSet::new();
        rows::each_member(connection, &selection.reach, |_, member| {
            if member.is_pending() && !fits(member.email(), EMAIL_CHARS_MAX) {
                left_out.insert(member.id);
            }
            Ok(())
        })?;
        rows::each_seat(connection, &selection.reach, |team, member, role| {
            if left_out.contains(&member) {
                return Ok(());
            }
            let fields = json!({
                "team": team.0, "organizationmember": member.0, "is_active": true, "role": role.map(TeamRole::as_str),
            });
            self.next("sentry.organizationmemberteam", &fields)
        })
    }
}

/// Django's name for Argon2, before the PHC string.
pub(super) const ARGON2: &str = "argon2";

/// The two alert bits that are on by default (facts/relocation.md 5).
const PROJECT_FLAGS: &str = "10";

const STORE_ROLE: u64 = 1;

pub(super) const DEFAULT_ROLE: &str = "picket:default_role";
pub(super) const SHARED_ISSUES: &str = "picket:shared_issues";
pub(super) const ENHANCED_PRIVACY: &str = "picket:enhanced_privacy";

/// Options that Sentry keeps as columns or flags.
const AS_COLUMNS: [&str; 3] = [DEFAULT_ROLE, SHARED_ISSUES, ENHANCED_PRIVACY];

/// The bits of an organization's flags (facts/relocation.md 5).
pub(super) mod flag {
    pub(in crate::relocation) const ALLOW_JOINLEAVE: u64 = 1;
    pub(in crate::relocation) const ENHANCED_PRIVACY: u64 = 2;
    pub(in crate::relocation) const DISABLE_SHARED_ISSUES: u64 = 4;
    pub(in crate::relocation) const EARLY_ADOPTER: u64 = 8;
    pub(in crate::relocation) const REQUIRE_2FA: u64 = 16;
    pub(in crate::relocation) const DISABLE_MEMBER_PROJECT_CREATION: u64 = 256;
    pub(in crate::relocation) const PREVENT_SUPERUSER_ACCESS: u64 = 512;
    pub(in crate::relocation) const DISABLE_MEMBER_INVITE: u64 = 1024;
}

fn flags(organization: &Organization, stored: &Options) -> u64 {
    let is = |name: &str, value: bool| stored.get(name) == Some(&json!(value));
    [
        (organization.policy.open_membership, flag::ALLOW_JOINLEAVE),
        (is(ENHANCED_PRIVACY, true), flag::ENHANCED_PRIVACY),
        (is(SHARED_ISSUES, false), flag::DISABLE_SHARED_ISSUES),
        (organization.early_adopter, flag::EARLY_ADOPTER),
        (organization.require_2fa, flag::REQUIRE_2FA),
        (
            !organization.policy.create_projects,
            flag::DISABLE_MEMBER_PROJECT_CREATION,
        ),
        (
            !organization.superuser_access,
            flag::PREVENT_SUPERUSER_ACCESS,
        ),
        (!organization.policy.invite, flag::DISABLE_MEMBER_INVITE),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .map(|(_, bit)| bit)
    .sum()
}
