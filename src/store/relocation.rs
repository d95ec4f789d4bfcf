//! Rows on their way to another server and from another one: read in the order of their numbers, one at a time, however
//! many there are, and written with all that they bring along, their numbers and dates too.
//!
//! A number is given again to nobody: one that comes along is kept only if it is beyond all that the table ever gave
//! out ([`next_number`]). A project's number is the exception, because it stands in DSNs: it is kept if no project has
//! it, or had it ([`super::projects::refuse_taken_id`]).

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::audit::{self, Entry};
use super::projects::Project;
use super::snapshot::Touched;
use super::teams::Team;
use super::users::User;
use super::writer::Unit;
use super::{client_keys, conflict, members, projects, teams, tokens, users};
use crate::domain::access::MemberPolicy;
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId, TokenId, UserId};
use crate::domain::key::{ClientKey, LoaderOptions, PublicKey, RateLimit};
use crate::domain::scope::{OrganizationRole, ScopeSet, TeamRole};
use crate::domain::slug::Slug;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash};
use crate::domain::totp::Seed;
use crate::domain::{Error, Result};
use crate::store::members::{Member, Seat};
use crate::store::ownership::Ownership;

/// Whose rows are read.
pub(crate) struct Reach {
    /// JSON: the numbers of the organizations.
    organizations: String,
    users: UsersOf,
}

/// Which users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsersOf {
    All,
    /// Those who are members of the organizations.
    Members,
    /// Those who may do what the operator may.
    Superusers,
}

impl Reach {
    pub(crate) fn new(organizations: &[OrganizationId], users: UsersOf) -> Reach {
        let ids: Vec<i64> = organizations.iter().map(|id| id.0).collect();
        Reach {
            organizations: json!(ids).to_string(),
            users,
        }
    }

    /// The condition on `user`. Like all here it names the parameter `:organizations`.
    fn users_sql(&self) -> &'static str {
        match self.users {
            UsersOf::All => ":organizations IS NOT NULL",
            UsersOf::Members => {
                "EXISTS (SELECT 1 FROM member WHERE member.user_id = user.id
                         AND member.organization_id IN (SELECT value FROM json_each(:organizations)))"
            }
            UsersOf::Superusers => "user.superuser AND :organizations IS NOT NULL",
        }
    }

    /// Runs a query that names `:organizations`, and hands each row on as it comes.
    fn walk(
        &self,
        connection: &Connection,
        sql: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(named_params! { ":organizations": self.organizations })?;
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }
}

/// The projects that are there, of the organizations that are meant.
const PROJECT_IS_MEANT: &str = "project.deleted_us IS NULL
     AND project.organization_id IN (SELECT value FROM json_each(:organizations))";

const TEAM_IS_MEANT: &str = "team.deleted_us IS NULL
     AND team.organization_id IN (SELECT value FROM json_each(:organizations))";

pub(crate) fn each_team(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(Team) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM team WHERE {TEAM_IS_MEANT} ORDER BY team.id",
        teams::COLUMNS
    );
    reach.walk(connection, &sql, |row| each(teams::from_row(row)?))
}

pub(crate) fn each_user(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(User) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM user WHERE {} ORDER BY user.id",
        users::COLUMNS,
        reach.users_sql()
    );
    reach.walk(connection, &sql, |row| each(users::from_row(row)?))
}

/// Whether a user is one of those.
pub(crate) fn is_meant(
    connection: &Connection,
    reach: &Reach,
    user: UserId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT 1 FROM user WHERE user.id = :user AND {}",
            reach.users_sql()
        ))?
        .exists(named_params! { ":organizations": reach.organizations, ":user": user.0 })
}

/// A seed of one-time codes.
pub(crate) struct StoredTotp {
    pub(crate) id: i64,
    pub(crate) user: UserId,
    pub(crate) seed: Seed,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
}

pub(crate) fn each_totp(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(StoredTotp) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT authenticator.id, user_id, secret, authenticator.created_us, last_used_us
         FROM authenticator JOIN user ON user.id = user_id
         WHERE kind = 'totp' AND {} ORDER BY authenticator.id",
        reach.users_sql()
    );
    reach.walk(connection, &sql, |row| {
        each(StoredTotp {
            id: row.get("id")?,
            user: UserId(row.get("user_id")?),
            seed: Seed::stored(row.get("secret")?),
            created: Timestamp::from_us(row.get("created_us")?),
            last_used: moment(row, "last_used_us")?,
        })
    })
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_us))
}

/// The addresses of the users who have recovery codes.
pub(crate) fn each_recovery(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(String) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT user.email FROM authenticator JOIN user ON user.id = user_id
         WHERE kind = 'recovery' AND {} ORDER BY user.id",
        reach.users_sql()
    );
    reach.walk(connection, &sql, |row| each(row.get(0)?))
}

/// Names of the tokens that only a hash is kept of and that are no organization's: each with whose it is.
pub(crate) fn each_unmovable_token(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(String, String) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT auth_token.name, coalesce(user.email, organization.slug)
         FROM auth_token LEFT JOIN user ON user.id = user_id LEFT JOIN organization ON organization.id = organization_id
         WHERE revoked_us IS NULL
           AND (kind = 'user' AND {}
                OR kind = 'api-key' AND organization_id IN (SELECT value FROM json_each(:organizations)))
         ORDER BY auth_token.id",
        reach.users_sql()
    );
    reach.walk(connection, &sql, |row| each(row.get(0)?, row.get(1)?))
}

/// The tokens of organizations, with their hashes.
pub(crate) fn each_organization_token(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(Token, TokenHash) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {}, hash FROM auth_token
         WHERE kind = 'organization' AND revoked_us IS NULL
           AND organization_id IN (SELECT value FROM json_each(:organizations))
         ORDER BY id",
        tokens::COLUMNS
    );
    reach.walk(connection, &sql, |row| {
        each(tokens::from_row(row)?, TokenHash(row.get("hash")?))
    })
}

pub(crate) fn each_project(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(Project) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM project WHERE {PROJECT_IS_MEANT} ORDER BY project.id",
        projects::COLUMNS
    );
    reach.walk(connection, &sql, |row| each(projects::from_row(row)?))
}

/// Members and invitations, each with its organization.
pub(crate) fn each_member(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(OrganizationId, Member) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {}, member.organization_id FROM {}
         WHERE member.organization_id IN (SELECT value FROM json_each(:organizations)) ORDER BY member.id",
        members::columns(),
        members::TABLES
    );
    reach.walk(connection, &sql, |row| {
        let organization = OrganizationId(row.get("organization_id")?);
        each(organization, members::from_row(row)?)
    })
}

/// Seats of members in teams.
pub(crate) fn each_seat(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(TeamId, MemberId, Option<TeamRole>) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT team_id, member_id, role FROM team_member JOIN team ON team.id = team_id
         WHERE {TEAM_IS_MEANT} ORDER BY team_id, member_id"
    );
    reach.walk(connection, &sql, |row| {
        let role: Option<String> = row.get("role")?;
        each(
            TeamId(row.get("team_id")?),
            MemberId(row.get("member_id")?),
            role.as_deref().and_then(TeamRole::parse),
        )
    })
}

/// An environment of a project.
pub(crate) struct ProjectEnvironment {
    pub(crate) id: i64,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) name: String,
    pub(crate) hidden: bool,
    pub(crate) first: Timestamp,
}

/// Those of one name and organization come one after the other.
pub(crate) fn each_environment(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(ProjectEnvironment) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT environment.id, project.organization_id, project_id, environment.name, hidden, first_us
         FROM environment JOIN project ON project.id = project_id
         WHERE {PROJECT_IS_MEANT} ORDER BY project.organization_id, environment.name, environment.id"
    );
    reach.walk(connection, &sql, |row| {
        each(ProjectEnvironment {
            id: row.get("id")?,
            organization: OrganizationId(row.get("organization_id")?),
            project: ProjectId(row.get("project_id")?),
            name: row.get("name")?,
            hidden: row.get("hidden")?,
            first: Timestamp::from_us(row.get("first_us")?),
        })
    })
}

pub(crate) fn each_project_team(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(ProjectId, TeamId) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT project_id, team_id FROM project_team
         JOIN project ON project.id = project_id JOIN team ON team.id = team_id
         WHERE {PROJECT_IS_MEANT} AND team.deleted_us IS NULL ORDER BY project_id, team_id"
    );
    reach.walk(connection, &sql, |row| {
        each(ProjectId(row.get(0)?), TeamId(row.get(1)?))
    })
}

/// Old slugs of projects.
pub(crate) fn each_redirect(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(OrganizationId, ProjectId, String) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT project_slug_redirect.organization_id, project_id, project_slug_redirect.slug
         FROM project_slug_redirect JOIN project ON project.id = project_id
         WHERE {PROJECT_IS_MEANT} AND project_slug_redirect.organization_id = project.organization_id
         ORDER BY project_id, project_slug_redirect.slug"
    );
    reach.walk(connection, &sql, |row| {
        each(
            OrganizationId(row.get(0)?),
            ProjectId(row.get(1)?),
            row.get(2)?,
        )
    })
}

pub(crate) fn each_project_option(
    connection: &Connection,
    reach: &Reach,
    mut each: impl FnMut(ProjectId, &str, Value) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT project_id, project_option.name, value FROM project_option JOIN project ON project.id = project_id
         WHERE {PROJECT_IS_MEANT} ORDER BY project_id, project_option.name"
    );
    reach.walk(connection, &sql, |row| {
        let (name, value): (String, String) = (row.get(1)?, row.get(2)?);
        let value = serde_json::from_str(&value).map_err(Error::internal)?;
        each(ProjectId(row.get(0)?), &name, value)
    })
}

/// The keys of a project, but with this one at the end.
pub(crate) fn each_key(
    connection: &Connection,
    project: ProjectId,
    last: Option<i64>,
    mut each: impl FnMut(ClientKey) -> Result<()>,
) -> Result<()> {
    for condition in ["id IS NOT :last", "id = :last"] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {} FROM client_key WHERE project_id = :project AND {condition} ORDER BY id",
            client_keys::COLUMNS
        ))?;
        let mut rows = statement.query(named_params! { ":project": project.0, ":last": last })?;
        while let Some(row) = rows.next()? {
            each(client_keys::from_row(row)?)?;
        }
    }
    Ok(())
}

/// How many keys a project has; two are as good as more.
pub(crate) fn has_several_keys(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM client_key WHERE project_id = :project LIMIT 1 OFFSET 1")?
        .exists([project.0])
}

/// The key of a project that most was accepted by since then; of those that are good for something, and the oldest if
/// none was used.
pub(crate) fn most_used_key(
    connection: &Connection,
    project: ProjectId,
    since: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT client_key.id FROM client_key
             LEFT JOIN (SELECT key_id, total(quantity) AS accepted FROM ledger
                        WHERE resolution = 86400 AND project_id = :project AND bucket_us >= :since AND outcome = 0
                        GROUP BY key_id) AS used ON used.key_id = client_key.id
             WHERE client_key.project_id = :project AND client_key.active
               AND (client_key.expires_us IS NULL OR client_key.expires_us > :now)
             ORDER BY coalesce(used.accepted, 0) DESC, client_key.id LIMIT 1",
        )?
        .query_row(
            named_params! { ":project": project.0, ":since": since.us(), ":now": now.us() },
            |row| row.get(0),
        )
        .optional()
}

/// The numbers of keys that share their secret with one that came before.
pub(crate) fn list_keys_of_shared_secrets(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT client_key.id FROM client_key
             JOIN (SELECT secret, min(id) AS first FROM client_key GROUP BY secret HAVING count(*) > 1) AS shared
               ON shared.secret = client_key.secret
             WHERE client_key.id <> shared.first",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// How many bookmarks users set and how many requests to join teams wait.
pub(crate) fn count_small_things(connection: &Connection, reach: &Reach) -> Result<(i64, i64)> {
    let mut counts = (0, 0);
    let sql = format!(
        "SELECT (SELECT count(*) FROM project_bookmark JOIN project ON project.id = project_id WHERE {PROJECT_IS_MEANT}),
                (SELECT count(*) FROM team_request JOIN team ON team.id = team_id WHERE {TEAM_IS_MEANT})"
    );
    reach.walk(connection, &sql, |row| {
        counts = (row.get(0)?, row.get(1)?);
        Ok(())
    })?;
    Ok(counts)
}

/// The tables whose numbers may come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbered {
    Organization,
    Team,
    User,
    Member,
    ClientKey,
    AuthToken,
    Authenticator,
    Environment,
}

/// The least number that a table never gave out.
pub(crate) fn next_number(connection: &Connection, table: Numbered) -> rusqlite::Result<i64> {
    let table = match table {
        Numbered::Organization => "organization",
        Numbered::Team => "team",
        Numbered::User => "user",
        Numbered::Member => "member",
        Numbered::ClientKey => "client_key",
        Numbered::AuthToken => "auth_token",
        Numbered::Authenticator => "authenticator",
        Numbered::Environment => "environment",
    };
    let given: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = :table")?
        .query_row([table], |row| row.get(0))
        .optional()?;
    Ok(given.unwrap_or(0) + 1)
}

/// The key of a project that has this secret and this label.
pub(crate) fn find_key_by_secret(
    connection: &Connection,
    project: ProjectId,
    secret: &str,
    label: &str,
) -> rusqlite::Result<Option<ClientKey>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM client_key WHERE project_id = :project AND secret = :secret AND label = :label LIMIT 1",
            client_keys::COLUMNS
        ))?
        .query_row(
            named_params! { ":project": project.0, ":secret": secret, ":label": label },
            client_keys::from_row,
        )
        .optional()
}

/// An organization that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct NewOrganization {
    pub(crate) id: Option<OrganizationId>,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) policy: MemberPolicy,
    pub(crate) early_adopter: bool,
    pub(crate) superuser_access: bool,
    pub(crate) require_2fa: bool,
    pub(crate) created: Timestamp,
    pub(crate) options: Vec<(String, Value)>,
}

/// # Errors
/// `Conflict`: its slug or its number was taken meanwhile; so it is with all that follow.
pub(crate) fn add_organization(
    unit: &mut Unit<'_>,
    actor: &Actor,
    new: &NewOrganization,
) -> Result<OrganizationId> {
    unit.prepare_cached(
        "INSERT INTO organization (id, slug, name, open_membership, members_invite, members_create_projects,
                                   members_admin_events, members_write_alerts, early_adopter, superuser_access,
                                   require_2fa, created_us)
         VALUES (:id, :slug, :name, :open, :invite, :projects, :events, :alerts, :early, :superuser, :require, :created)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":slug": new.slug.as_str(),
        ":name": new.name,
        ":open": new.policy.open_membership,
        ":invite": new.policy.invite,
        ":projects": new.policy.create_projects,
        ":events": new.policy.admin_events,
        ":alerts": new.policy.write_alerts,
        ":early": new.early_adopter,
        ":superuser": new.superuser_access,
        ":require": new.require_2fa,
        ":created": new.created.us(),
    })
    .map_err(|error| taken(error, "organization", new.slug.as_str()))?;
    let id = OrganizationId(unit.last_insert_rowid());
    for (name, value) in &new.options {
        unit.prepare_cached(
            "INSERT INTO organization_option (organization_id, name, value) VALUES (:organization, :name, :value)",
        )?
        .execute(named_params! {
            ":organization": id.0,
            ":name": name,
            ":value": value.to_string(),
        })?;
    }
    record(
        unit,
        actor,
        Some(id),
        "org.create",
        id.0,
        json!({ "slug": new.slug.as_str(), "name": new.name }),
    )?;
    Ok(id)
}

fn taken(error: rusqlite::Error, noun: &str, name: &str) -> Error {
    conflict(error, || {
        format!("somebody else took what {noun} {name} was to have")
    })
}

fn record(
    unit: &Unit<'_>,
    actor: &Actor,
    organization: Option<OrganizationId>,
    event: &str,
    target: i64,
    data: Value,
) -> Result<()> {
    let entry = Entry {
        organization,
        event,
        target,
        data,
    };
    Ok(audit::record(unit, actor, entry)?)
}

/// A team that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct NewTeam {
    pub(crate) id: Option<TeamId>,
    pub(crate) organization: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_team(unit: &mut Unit<'_>, actor: &Actor, new: &NewTeam) -> Result<TeamId> {
    unit.prepare_cached(
        "INSERT INTO team (id, organization_id, slug, name, created_us)
         VALUES (:id, :organization, :slug, :name, :created)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":organization": new.organization.0,
        ":slug": new.slug.as_str(),
        ":name": new.name,
        ":created": new.created.us(),
    })
    .map_err(|error| taken(error, "team", new.slug.as_str()))?;
    let id = unit.last_insert_rowid();
    let data = json!({ "slug": new.slug.as_str(), "name": new.name });
    record(unit, actor, Some(new.organization), "team.create", id, data)?;
    Ok(TeamId(id))
}

/// A user who comes from elsewhere.
#[derive(Clone)]
pub(crate) struct NewUser {
    pub(crate) id: Option<UserId>,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password_hash: Option<String>,
    pub(crate) active: bool,
    pub(crate) superuser: bool,
    pub(crate) created: Timestamp,
    pub(crate) last_login: Option<Timestamp>,
    pub(crate) last_active: Option<Timestamp>,
    pub(crate) totp: Option<NewTotp>,
    pub(crate) tokens: Vec<NewToken>,
}

/// A seed that comes with its user.
#[derive(Clone)]
pub(crate) struct NewTotp {
    pub(crate) id: Option<i64>,
    pub(crate) seed: Seed,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    /// Codes up to this step are good for nothing here, because they may have been used there.
    pub(crate) last_step: i64,
}

/// A token that comes with its owner.
#[derive(Clone)]
pub(crate) struct NewToken {
    pub(crate) id: Option<TokenId>,
    pub(crate) name: String,
    pub(crate) hash: TokenHash,
    pub(crate) last_characters: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) last_project: Option<ProjectId>,
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_user(unit: &mut Unit<'_>, actor: &Actor, new: &NewUser) -> Result<UserId> {
    unit.prepare_cached(
        "INSERT INTO user (id, email, name, password_hash, active, superuser, created_us, last_login_us, last_active_us)
         VALUES (:id, :email, :name, :hash, :active, :superuser, :created, :login, :seen)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":email": new.email,
        ":name": new.name,
        ":hash": new.password_hash,
        ":active": new.active,
        ":superuser": new.superuser,
        ":created": new.created.us(),
        ":login": new.last_login.map(Timestamp::us),
        ":seen": new.last_active.map(Timestamp::us),
    })
    .map_err(|error| taken(error, "user", &new.email))?;
    let id = UserId(unit.last_insert_rowid());
    let data = json!({ "email": new.email, "superuser": new.superuser });
    record(unit, actor, None, "user.create", id.0, data)?;
    if let Some(totp) = &new.totp {
        unit.prepare_cached(
            "INSERT INTO authenticator (id, user_id, kind, secret, created_us, last_used_us, last_step)
             VALUES (:id, :user, 'totp', :seed, :created, :used, :step)",
        )?
        .execute(named_params! {
            ":id": totp.id,
            ":user": id.0,
            ":seed": totp.seed.as_bytes(),
            ":created": totp.created.us(),
            ":used": totp.last_used.map(Timestamp::us),
            ":step": totp.last_step,
        })
        .map_err(|error| taken(error, "the second factor of", &new.email))?;
        let data = json!({ "method": "totp", "rotated": false });
        record(unit, actor, None, "user.mfa-add", id.0, data)?;
    }
    for token in &new.tokens {
        let token_id = put_token(unit, token, Some(id), None)?;
        let data = json!({ "name": token.name, "scopes": token.scopes });
        record(unit, actor, None, "user-token.create", token_id, data)?;
    }
    Ok(id)
}

fn put_token(
    unit: &Unit<'_>,
    token: &NewToken,
    user: Option<UserId>,
    organization: Option<OrganizationId>,
) -> Result<i64> {
    unit.prepare_cached(
        "INSERT INTO auth_token (id, kind, user_id, organization_id, name, hash, last_characters, scopes, created_us,
                                 expires_us, last_used_us, last_project_id)
         VALUES (:id, :kind, :user, :organization, :name, :hash, :last, :scopes, :created, :expires, :used, :project)",
    )?
    .execute(named_params! {
        ":id": token.id.map(|id| id.0),
        ":kind": if user.is_some() { "user" } else { "organization" },
        ":user": user.map(|id| id.0),
        ":organization": organization.map(|id| id.0),
        ":name": token.name,
        ":hash": token.hash.0.as_slice(),
        ":last": token.last_characters,
        ":scopes": token.scopes.to_string(),
        ":created": token.created.us(),
        ":expires": token.expires.map(Timestamp::us),
        ":used": token.last_used.map(Timestamp::us),
        ":project": token.last_project.map(|id| id.0),
    })
    .map_err(|error| taken(error, "token", &token.name))?;
    Ok(unit.last_insert_rowid())
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_organization_token(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    token: &NewToken,
) -> Result<TokenId> {
    let id = put_token(unit, token, None, Some(organization))?;
    let data = json!({ "name": token.name, "scopes": token.scopes });
    let event = "org-auth-token.create";
    record(unit, actor, Some(organization), event, id, data)?;
    Ok(TokenId(id))
}

/// A project that comes from elsewhere, with all that is its own but the keys.
#[derive(Clone, Debug)]
pub(crate) struct NewProject {
    pub(crate) id: Option<ProjectId>,
    pub(crate) organization: OrganizationId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) first_event: Option<Timestamp>,
    pub(crate) security_token: String,
    pub(crate) created: Timestamp,
    pub(crate) options: Vec<(String, Value)>,
    pub(crate) teams: Vec<TeamId>,
    pub(crate) old_slugs: Vec<String>,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) environments: Vec<NewEnvironment>,
}

#[derive(Clone, Debug)]
pub(crate) struct NewEnvironment {
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) hidden: bool,
    pub(crate) first: Timestamp,
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_project(
    unit: &mut Unit<'_>,
    actor: &Actor,
    new: &NewProject,
) -> Result<ProjectId> {
    if let Some(id) = new.id {
        projects::refuse_taken_id(unit, id)?;
    }
    let slug = new.slug.as_str();
    unit.prepare_cached(
        "INSERT INTO project (id, organization_id, slug, name, platform, first_event_us, security_token, created_us)
         VALUES (:id, :organization, :slug, :name, :platform, :first, :token, :created)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":organization": new.organization.0,
        ":slug": slug,
        ":name": new.name,
        ":platform": new.platform,
        ":first": new.first_event.map(Timestamp::us),
        ":token": new.security_token,
        ":created": new.created.us(),
    })
    .map_err(|error| taken(error, "project", slug))?;
    let id = ProjectId(unit.last_insert_rowid());
    for (name, value) in &new.options {
        projects::set_first_option(unit, id, name, value)?;
    }
    for team in &new.teams {
        unit.prepare_cached(
            "INSERT INTO project_team (project_id, team_id) VALUES (:project, :team) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":project": id.0, ":team": team.0 })?;
    }
    for old in &new.old_slugs {
        unit.prepare_cached(
            "INSERT INTO project_slug_redirect (organization_id, slug, project_id)
             VALUES (:organization, :slug, :project) ON CONFLICT DO NOTHING",
        )?
        .execute(
            named_params! { ":organization": new.organization.0, ":slug": old, ":project": id.0 },
        )?;
    }
    if let Some(ownership) = &new.ownership {
        unit.prepare_cached(
            "INSERT INTO project_ownership (project_id, raw, fallthrough, auto_assignment, codeowners_auto_sync,
                                            created_us, updated_us)
             VALUES (:project, :raw, :fallthrough, :auto_assignment, :sync, :created, :updated)",
        )?
        .execute(named_params! {
            ":project": id.0,
            ":raw": ownership.raw,
            ":fallthrough": ownership.fallthrough,
            ":auto_assignment": ownership.auto_assignment,
            ":sync": ownership.codeowners_auto_sync,
            ":created": ownership.created.us(),
            ":updated": ownership.updated.us(),
        })?;
    }
    for environment in &new.environments {
        unit.prepare_cached(
            "INSERT INTO environment (id, project_id, name, hidden, first_us)
             VALUES (:id, :project, :name, :hidden, :first)",
        )?
        .execute(named_params! {
            ":id": environment.id,
            ":project": id.0,
            ":name": environment.name,
            ":hidden": environment.hidden,
            ":first": environment.first.us(),
        })
        .map_err(|error| taken(error, "an environment of project", slug))?;
    }
    unit.touch(Touched::Project(id));
    let data = json!({ "slug": slug, "name": new.name, "origin": "import" });
    let event = "project.create-with-origin";
    record(unit, actor, Some(new.organization), event, id.0, data)?;
    Ok(id)
}

/// A client key that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) id: Option<i64>,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) public: PublicKey,
    pub(crate) secret: String,
    pub(crate) label: String,
    pub(crate) active: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) browser_sdk_version: String,
    pub(crate) loader: LoaderOptions,
    pub(crate) created: Timestamp,
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_key(unit: &mut Unit<'_>, actor: &Actor, new: &NewKey) -> Result<()> {
    client_keys::free(unit, new.public)?;
    unit.prepare_cached(
        "INSERT INTO client_key (id, project_id, organization_id, public, secret, label, active, rate_limit_count,
                                 rate_limit_window_secs, browser_sdk_version, loader_has_replay,
                                 loader_has_performance, loader_has_debug, loader_has_feedback,
                                 loader_has_logs_and_metrics, created_us)
         VALUES (:id, :project, :organization, :public, :secret, :label, :active, :count, :window, :version, :replay,
                 :performance, :debug, :feedback, :logs_and_metrics, :created)",
    )?
    .execute(named_params! {
        ":id": new.id,
        ":project": new.project.0,
        ":organization": new.organization.0,
        ":public": new.public.as_str(),
        ":secret": new.secret,
        ":label": new.label,
        ":active": new.active,
        ":count": new.rate_limit.map(RateLimit::stored_count),
        ":window": new.rate_limit.map(|limit| limit.window_secs),
        ":version": new.browser_sdk_version,
        ":replay": new.loader.has_replay,
        ":performance": new.loader.has_performance,
        ":debug": new.loader.has_debug,
        ":feedback": new.loader.has_feedback,
        ":logs_and_metrics": new.loader.has_logs_and_metrics,
        ":created": new.created.us(),
    })
    .map_err(|error| taken(error, "client key", new.public.as_str()))?;
    let id = unit.last_insert_rowid();
    unit.touch(Touched::Key(new.public));
    let data = json!({ "public_key": new.public.as_str(), "label": new.label });
    let event = "projectkey.create";
    record(unit, actor, Some(new.organization), event, id, data)
}

/// A member or an invitation that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct NewMember {
    pub(crate) id: Option<MemberId>,
    pub(crate) organization: OrganizationId,
    /// The user, or whom the invitation is for.
    pub(crate) who: std::result::Result<UserId, NewInvited>,
    pub(crate) role: OrganizationRole,
    pub(crate) inviter: Option<UserId>,
    pub(crate) created: Timestamp,
    pub(crate) seats: Vec<Seat>,
}

#[derive(Clone, Debug)]
pub(crate) struct NewInvited {
    pub(crate) email: String,
    /// Of its link; without one it holds no longer.
    pub(crate) link: Option<(TokenHash, Timestamp)>,
}

/// # Errors
/// As for [`add_organization`].
pub(crate) fn add_member(unit: &mut Unit<'_>, actor: &Actor, new: &NewMember) -> Result<MemberId> {
    let invited = new.who.as_ref().err();
    let user = new.who.as_ref().ok();
    let link = invited.and_then(|invited| invited.link);
    unit.prepare_cached(
        "INSERT INTO member (id, organization_id, user_id, role, created_us, email, inviter_user_id, invite_hash,
                             invite_expires_us)
         VALUES (:id, :organization, :user, :role, :created, :email, :inviter, :hash, :expires)",
    )?
    .execute(named_params! {
        ":id": new.id.map(|id| id.0),
        ":organization": new.organization.0,
        ":user": user.map(|id| id.0),
        ":role": new.role.as_str(),
        ":created": new.created.us(),
        ":email": invited.map(|invited| invited.email.as_str()),
        ":inviter": new.inviter.map(|id| id.0),
        ":hash": link.map(|(hash, _)| hash.0),
        ":expires": invited.map(|_| link.map_or(0, |(_, expires)| expires.us())),
    })
    .map_err(|error| taken(error, "a member of organization", &new.organization.to_string()))?;
    let id = MemberId(unit.last_insert_rowid());
    for seat in &new.seats {
        members::put_into_team(unit, id, seat)?;
    }
    let email: String = match (&new.who, user) {
        (Err(invited), _) => invited.email.clone(),
        (Ok(user), _) => unit
            .prepare_cached("SELECT email FROM user WHERE id = :id")?
            .query_row([user.0], |row| row.get(0))?,
    };
    let event = if user.is_some() {
        "member.add"
    } else {
        "member.invite"
    };
    let data = members::audit_data(&email, user.copied(), new.role, &new.seats);
    record(unit, actor, Some(new.organization), event, id.0, data)?;
    Ok(id)
}
