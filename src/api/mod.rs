//! The management API: `/api/0/` (facts/management-api.md).
//!
//! [`Api::handle`] takes a request through the checks in the one order that clients see (1.6 there): origin,
//! credentials and how often they came, the token's scopes, the method, the objects of the path, what the caller may do with them.
//! Only then does a handler run, with a context that says all this, so that none can forget a check.
//!
//! - the table in [`routes`] has a line for every method and path, with its permission and its handler;
//! - [`error`] words every refusal, [`auth`] finds out who is asking, [`rate_limits`] how often;
//! - [`openapi`] makes the published document from the table;
//! - [`body`], [`search`], [`period`] and [`paging`] are the rules that all resources share;
//! - the other files hold a resource each: the shapes on the wire, and the handlers below them; [`entries`] writes
//!   the parts of an event, [`download`] what is sent as a file.
//!
//! Time comes from the request. SQL is the store's.

mod api_keys;
mod attachments;
mod audit_log;
mod auth;
mod auth_provider;
mod authenticators;
mod body;
mod download;
mod entries;
mod environments;
mod error;
mod events;
mod filters;
mod index;
mod items;
mod keys;
mod member_changes;
mod member_teams;
mod members;
mod openapi;
mod organization_settings;
mod organization_tokens;
mod organizations;
mod ownership;
mod paging;
mod period;
mod project_creation;
mod project_detail;
mod project_index;
mod project_settings;
mod project_teams;
mod project_transfer;
mod projects;
mod rate_limits;
mod search;
mod sign_in;
mod stats;
mod stats_summary;
mod stats_v2;
mod teams;
mod token_parts;
mod user_tokens;
mod users;

use std::sync::Arc;

use crate::domain::Error;
use crate::domain::access::{Access, Caller};
use crate::domain::actor::{Actor, Who};
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{SessionId, TeamId};
use crate::domain::key::{ClientKey, PublicKey};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::credentials::Credentials;
use crate::http::router::{Found, Params, Route, Router};
use crate::http::{Body, Method, Request, Response};
use crate::identity::Identity;
use crate::store::organizations::Organization;
use crate::store::projects as stored_projects;
use crate::store::projects::Project;
use crate::store::readers::Reader;
use crate::store::teams::{self as stored_teams, Team};
use crate::store::users::{self as stored_users, User};
use crate::store::{
    Connection, Store, client_keys, identity_providers, members as stored_members,
    organizations as stored_organizations, second_factors, sessions,
};

use body::Fields;
pub(crate) use error::refuse;
use error::{Failure, Result};
use rate_limits::{Class, RateLimits, Standing, Subject};

/// Whether a path is the management API's: `/api/0` and all below it. What else is below `/api/` is
/// ingestion's, because no project has the number 0.
pub(crate) fn owns(path: &str) -> bool {
    path.strip_prefix("/api/0")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Which scopes an endpoint asks for (facts/management-api.md 1.5).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Permission {
    /// Nobody has to say who is asking. Wrong credentials are refused all the same.
    Open,
    /// Whoever the server knows.
    LoggedIn,
    /// A user in a browser that is signed in, and no token of any kind: 403 for everybody else
    /// (facts/auth-and-tokens.md 2.2).
    Browser,
    /// Any one of the scopes of the method. No token passes a method without any, so that one is forbidden
    /// before it is not allowed.
    Scopes {
        get: &'static [Scope],
        post: &'static [Scope],
        put: &'static [Scope],
        delete: &'static [Scope],
    },
}

impl Permission {
    fn wanted(self, method: &Method) -> &'static [Scope] {
        let Permission::Scopes {
            get,
            post,
            put,
            delete,
        } = self
        else {
            return &[];
        };
        match method {
            Method::Get | Method::Head => get,
            Method::Post => post,
            Method::Put => put,
            Method::Delete => delete,
            Method::Patch | Method::Options | Method::Other(_) => &[],
        }
    }
}

const ORGANIZATION: Permission = Permission::Scopes {
    get: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    post: &[Scope::OrgWrite, Scope::OrgAdmin],
    put: &[Scope::OrgWrite, Scope::OrgAdmin],
    delete: &[Scope::OrgAdmin],
};

/// What an organization's members may look at and nobody changes.
const ORGANIZATION_READ: Permission = Permission::Scopes {
    get: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    post: &[],
    put: &[],
    delete: &[],
};

/// An organization's own tokens: any member may make one for build tools.
const ORGANIZATION_TOKENS: Permission = Permission::Scopes {
    get: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    post: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    put: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    delete: &[Scope::OrgWrite, Scope::OrgAdmin],
};

/// Putting another token of the organization in the place of one, which ends that one.
const ORGANIZATION_TOKEN_ROTATION: Permission = Permission::Scopes {
    get: &[],
    post: &[Scope::OrgWrite, Scope::OrgAdmin],
    put: &[],
    delete: &[],
};

/// Legacy keys of an organization.
const API_KEYS: Permission = Permission::Scopes {
    get: &[Scope::OrgAdmin],
    post: &[Scope::OrgAdmin],
    put: &[Scope::OrgAdmin],
    delete: &[Scope::OrgAdmin],
};

const AUDIT_LOG: Permission = Permission::Scopes {
    get: &[Scope::OrgWrite],
    post: &[],
    put: &[],
    delete: &[],
};

/// Who vouches for an organization's members.
const AUTH_PROVIDER: Permission = Permission::Scopes {
    get: &[Scope::OrgRead],
    post: &[],
    put: &[Scope::OrgAdmin],
    delete: &[Scope::OrgAdmin],
};

/// The teams of an organization.
const ORGANIZATION_TEAMS: Permission = Permission::Scopes {
    get: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    post: &[Scope::OrgWrite, Scope::OrgAdmin, Scope::TeamWrite],
    put: &[],
    delete: &[],
};

/// The members of an organization, invitations included.
const MEMBERS: Permission = Permission::Scopes {
    get: &[Scope::MemberRead, Scope::MemberWrite, Scope::MemberAdmin],
    post: &[Scope::MemberWrite, Scope::MemberAdmin, Scope::MemberInvite],
    put: &[],
    delete: &[],
};

/// One member: everybody may leave, so the roles decide who may remove whom.
const MEMBER: Permission = Permission::Scopes {
    get: &[Scope::MemberRead, Scope::MemberWrite, Scope::MemberAdmin],
    post: &[],
    put: &[Scope::MemberInvite, Scope::MemberWrite, Scope::MemberAdmin],
    delete: &[Scope::MemberRead, Scope::MemberWrite, Scope::MemberAdmin],
};

/// A member's place in a team.
const MEMBER_TEAM: Permission = Permission::Scopes {
    get: &[
        Scope::OrgRead,
        Scope::OrgWrite,
        Scope::OrgAdmin,
        Scope::MemberRead,
        Scope::MemberWrite,
        Scope::MemberAdmin,
    ],
    post: &[Scope::OrgRead, Scope::OrgWrite, Scope::TeamWrite],
    put: &[
        Scope::OrgRead,
        Scope::OrgWrite,
        Scope::OrgAdmin,
        Scope::MemberRead,
        Scope::MemberWrite,
        Scope::MemberAdmin,
        Scope::TeamWrite,
        Scope::TeamAdmin,
    ],
    delete: &[
        Scope::OrgRead,
        Scope::OrgWrite,
        Scope::OrgAdmin,
        Scope::TeamAdmin,
    ],
};

const TEAM: Permission = Permission::Scopes {
    get: &[Scope::TeamRead, Scope::TeamWrite, Scope::TeamAdmin],
    post: &[],
    put: &[Scope::TeamWrite, Scope::TeamAdmin],
    delete: &[Scope::TeamAdmin],
};

/// What everybody who sees a team may look at and nobody changes there.
const TEAM_READ: Permission = Permission::Scopes {
    get: &[Scope::TeamRead, Scope::TeamWrite, Scope::TeamAdmin],
    post: &[],
    put: &[],
    delete: &[],
};

/// The projects of a team.
const TEAM_PROJECTS: Permission = Permission::Scopes {
    get: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    post: &[
        Scope::ProjectWrite,
        Scope::ProjectAdmin,
        Scope::OrgWrite,
        Scope::OrgAdmin,
    ],
    put: &[],
    delete: &[],
};

/// The projects of an organization: every member may make one with a team of their own.
const ORGANIZATION_PROJECTS: Permission = Permission::Scopes {
    get: &[Scope::OrgRead, Scope::OrgWrite, Scope::OrgAdmin],
    post: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    put: &[],
    delete: &[],
};

/// A project itself: with `project:read` alone a few personal fields of it may be changed.
const PROJECT: Permission = Permission::Scopes {
    get: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    post: &[Scope::ProjectWrite, Scope::ProjectAdmin],
    put: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    delete: &[Scope::ProjectAdmin],
};

/// What belongs to a project.
const PROJECT_PART: Permission = Permission::Scopes {
    get: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    post: &[Scope::ProjectWrite, Scope::ProjectAdmin],
    put: &[Scope::ProjectWrite, Scope::ProjectAdmin],
    delete: &[Scope::ProjectAdmin],
};

/// What everybody who sees a project may look at and nobody changes.
const PROJECT_READ: Permission = Permission::Scopes {
    get: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    post: &[],
    put: &[],
    delete: &[],
};

/// Which teams have a project.
const PROJECT_TEAM: Permission = Permission::Scopes {
    get: &[],
    post: &[Scope::ProjectWrite, Scope::ProjectAdmin],
    put: &[],
    delete: &[Scope::ProjectWrite, Scope::ProjectAdmin],
};

/// A project on its way to another organization.
const PROJECT_TRANSFER: Permission = Permission::Scopes {
    get: &[],
    post: &[Scope::ProjectAdmin],
    put: &[],
    delete: &[],
};

/// Taking a project that was offered: what counts is what the caller may do in the organization that is chosen.
const ACCEPT_TRANSFER: Permission = Permission::Scopes {
    get: &[Scope::OrgAdmin, Scope::ProjectAdmin],
    post: &[Scope::OrgAdmin, Scope::ProjectAdmin],
    put: &[],
    delete: &[],
};

/// Who owns which part of a project's code: every member may write the rules.
const OWNERSHIP: Permission = Permission::Scopes {
    get: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    post: &[],
    put: &[Scope::ProjectRead, Scope::ProjectWrite, Scope::ProjectAdmin],
    delete: &[],
};

/// What was sent to a project. The published document asks for the project's scopes; those of events, which are
/// there to be given to whoever only looks at events, serve as well.
const EVENT: Permission = Permission::Scopes {
    get: &[
        Scope::ProjectRead,
        Scope::ProjectWrite,
        Scope::ProjectAdmin,
        Scope::EventRead,
        Scope::EventWrite,
        Scope::EventAdmin,
    ],
    post: &[],
    put: &[],
    delete: &[],
};

/// A handler, by what must have been found before it runs.
#[derive(Clone, Copy)]
enum Handler {
    /// Nothing.
    Any(fn(&Api, Call<'_>) -> Result<Response>),
    /// The path's `{org}`, and that the caller may do this there.
    InOrganization(fn(&Api, Call<'_>, InOrganization) -> Result<Response>),
    /// The path's `{org}` and `{team}`, and that the caller may do this there.
    InTeam(fn(&Api, Call<'_>, InTeam) -> Result<Response>),
    /// The same, and whoever is in the team may, with whatever role (facts/management-api.md 1.5, `T/projects/`).
    InOwnTeam(fn(&Api, Call<'_>, InTeam) -> Result<Response>),
    /// The path's `{org}` and `{project}`, and that the caller may do this there.
    InProject(fn(&Api, Call<'_>, InProject) -> Result<Response>),
    /// And the project's key `{key}`.
    OfKey(fn(&Api, Call<'_>, InProject, ClientKey) -> Result<Response>),
}

#[derive(Clone, Copy)]
struct Target {
    permission: Permission,
    handler: Handler,
}

fn routes() -> Vec<Route<Target>> {
    use Handler::{Any, InOrganization, InOwnTeam, InProject, InTeam, OfKey};
    use Permission::{Browser, LoggedIn, Open};
    let line = |method, path, permission, handler| Route {
        method,
        path,
        target: Target {
            permission,
            handler,
        },
    };
    #[rustfmt::skip]
    let lines = vec![
        line("GET", "/api/0/", Open, Any(index::root)),
        line("GET", "/api/0/auth/", Open, Any(index::whoami)),
        line("GET", "/api/0/users/me/", LoggedIn, Any(index::me)),
        line("GET", "/api/0/users/me/regions/", Open, Any(index::regions)),
        line("GET", "/api/0/internal/health/", LoggedIn, Any(index::health)),
        line("POST", "/api/0/auth/", Open, Any(sign_in::with_basic)),
        line("PUT", "/api/0/auth/", Open, Any(sign_in::verify)),
        line("DELETE", "/api/0/auth/", Open, Any(sign_in::sign_out)),
        line("GET", "/api/0/auth/config/", Open, Any(sign_in::config)),
        line("POST", "/api/0/auth/login/", Open, Any(sign_in::with_password)),
        line("GET", "/api/0/users/{user}/authenticators/", Browser, Any(authenticators::list)),
        line("GET", "/api/0/users/{user}/authenticators/{method}/enroll/", Browser, Any(authenticators::begin)),
        line("POST", "/api/0/users/{user}/authenticators/{method}/enroll/", Browser, Any(authenticators::enroll)),
        line("GET", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, Any(authenticators::get)),
        line("PUT", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, Any(authenticators::regenerate)),
        line("DELETE", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, Any(authenticators::delete)),
        line("GET", "/api/0/organizations/", ORGANIZATION, Any(organizations::list)),
        line("POST", "/api/0/organizations/", ORGANIZATION, Any(organization_settings::create)),
        line("GET", "/api/0/organizations/{org}/", ORGANIZATION, InOrganization(organizations::get)),
        line("PUT", "/api/0/organizations/{org}/", ORGANIZATION, InOrganization(organization_settings::update)),
        line("DELETE", "/api/0/organizations/{org}/", ORGANIZATION, InOrganization(organization_settings::delete)),
        line("GET", "/api/0/organizations/{org}/projects/", ORGANIZATION_PROJECTS, InOrganization(projects::list)),

        // Tokens.
        line("GET", "/api/0/api-tokens/", Browser, Any(user_tokens::list)),
        line("POST", "/api/0/api-tokens/", Browser, Any(user_tokens::create)),
        line("DELETE", "/api/0/api-tokens/", Browser, Any(user_tokens::delete_named)),
        line("GET", "/api/0/api-tokens/{token}/", Browser, Any(user_tokens::get)),
        line("PUT", "/api/0/api-tokens/{token}/", Browser, Any(user_tokens::update)),
        line("DELETE", "/api/0/api-tokens/{token}/", Browser, Any(user_tokens::delete)),
        line("POST", "/api/0/api-tokens/{token}/rotate/", Browser, Any(user_tokens::rotate)),
        line("GET", "/api/0/api-tokens/{token}/usage/", Browser, Any(user_tokens::usage)),
        line("GET", "/api/0/organizations/{org}/org-auth-tokens/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::list)),
        line("POST", "/api/0/organizations/{org}/org-auth-tokens/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::create)),
        line("GET", "/api/0/organizations/{org}/org-auth-tokens/{token}/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::get)),
        line("PUT", "/api/0/organizations/{org}/org-auth-tokens/{token}/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::update)),
        line("DELETE", "/api/0/organizations/{org}/org-auth-tokens/{token}/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::delete)),
        line("POST", "/api/0/organizations/{org}/org-auth-tokens/{token}/rotate/", ORGANIZATION_TOKEN_ROTATION, InOrganization(organization_tokens::rotate)),
        line("GET", "/api/0/organizations/{org}/org-auth-tokens/{token}/usage/", ORGANIZATION_TOKENS, InOrganization(organization_tokens::usage)),
        line("GET", "/api/0/organizations/{org}/api-keys/", API_KEYS, InOrganization(api_keys::list)),
        line("GET", "/api/0/organizations/{org}/api-keys/{api_key}/", API_KEYS, InOrganization(api_keys::get)),
        line("PUT", "/api/0/organizations/{org}/api-keys/{api_key}/", API_KEYS, InOrganization(api_keys::update)),
        line("DELETE", "/api/0/organizations/{org}/api-keys/{api_key}/", API_KEYS, InOrganization(api_keys::delete)),
        line("GET", "/api/0/organizations/{org}/api-keys/{api_key}/usage/", API_KEYS, InOrganization(api_keys::usage)),
        line("GET", "/api/0/organizations/{org}/audit-logs/", AUDIT_LOG, InOrganization(audit_log::list)),

        // Single sign-on.
        line("GET", "/api/0/organizations/{org}/auth-provider/", AUTH_PROVIDER, InOrganization(auth_provider::get)),
        line("PUT", "/api/0/organizations/{org}/auth-provider/", AUTH_PROVIDER, InOrganization(auth_provider::update)),
        line("DELETE", "/api/0/organizations/{org}/auth-provider/", AUTH_PROVIDER, InOrganization(auth_provider::delete)),

        // Teams.
        line("GET", "/api/0/organizations/{org}/teams/", ORGANIZATION_TEAMS, InOrganization(teams::list)),
        line("POST", "/api/0/organizations/{org}/teams/", ORGANIZATION_TEAMS, InOrganization(teams::create)),
        line("GET", "/api/0/organizations/{org}/user-teams/", ORGANIZATION_READ, InOrganization(teams::list_own)),
        line("GET", "/api/0/teams/{org}/{team}/", TEAM, InTeam(teams::get)),
        line("PUT", "/api/0/teams/{org}/{team}/", TEAM, InTeam(teams::update)),
        line("DELETE", "/api/0/teams/{org}/{team}/", TEAM, InTeam(teams::delete)),
        line("GET", "/api/0/teams/{org}/{team}/projects/", TEAM_PROJECTS, InTeam(teams::list_projects)),
        line("POST", "/api/0/teams/{org}/{team}/projects/", TEAM_PROJECTS, InOwnTeam(project_creation::of_team)),
        line("POST", "/api/0/organizations/{org}/projects/", ORGANIZATION_PROJECTS, InOrganization(project_creation::of_organization)),

        // Members.
        line("GET", "/api/0/organizations/{org}/members/", MEMBERS, InOrganization(members::list)),
        line("POST", "/api/0/organizations/{org}/members/", MEMBERS, InOrganization(member_changes::create)),
        line("GET", "/api/0/organizations/{org}/members/{member}/", MEMBER, InOrganization(members::get)),
        line("PUT", "/api/0/organizations/{org}/members/{member}/", MEMBER, InOrganization(member_changes::update)),
        line("DELETE", "/api/0/organizations/{org}/members/{member}/", MEMBER, InOrganization(member_changes::delete)),
        line("POST", "/api/0/organizations/{org}/members/{member}/teams/{team}/", MEMBER_TEAM, InOrganization(member_teams::join)),
        line("PUT", "/api/0/organizations/{org}/members/{member}/teams/{team}/", MEMBER_TEAM, InOrganization(member_teams::update)),
        line("DELETE", "/api/0/organizations/{org}/members/{member}/teams/{team}/", MEMBER_TEAM, InOrganization(member_teams::leave)),
        line("GET", "/api/0/teams/{org}/{team}/members/", TEAM_READ, InTeam(members::list_of_team)),

        // Projects of whatever organization.
        line("GET", "/api/0/projects/", PROJECT_READ, Any(project_index::list)),

        line("GET", "/api/0/organizations/{org}/project-keys/", ORGANIZATION, InOrganization(keys::list_of_organization)),
        line("GET", "/api/0/organizations/{org}/stats_v2/", ORGANIZATION_READ, InOrganization(stats_v2::get)),
        line("GET", "/api/0/organizations/{org}/stats-summary/", ORGANIZATION_READ, InOrganization(stats_summary::get)),
        line("GET", "/api/0/projects/{org}/{project}/", PROJECT, InProject(project_detail::get)),

        // Teams and members of a project.
        line("GET", "/api/0/projects/{org}/{project}/teams/", PROJECT_PART, InProject(project_teams::list)),
        line("POST", "/api/0/projects/{org}/{project}/teams/{team}/", PROJECT_TEAM, InProject(project_teams::add)),
        line("DELETE", "/api/0/projects/{org}/{project}/teams/{team}/", PROJECT_TEAM, InProject(project_teams::remove)),
        line("GET", "/api/0/projects/{org}/{project}/members/", PROJECT_READ, InProject(members::list_of_project)),

        // A project moves to another organization.
        line("POST", "/api/0/projects/{org}/{project}/transfer/", PROJECT_TRANSFER, InProject(project_transfer::request)),
        line("GET", "/api/0/accept-transfer/", ACCEPT_TRANSFER, Any(project_transfer::offered)),
        line("POST", "/api/0/accept-transfer/", ACCEPT_TRANSFER, Any(project_transfer::accept)),

        // Settings of a project.
        line("PUT", "/api/0/projects/{org}/{project}/", PROJECT, InProject(project_settings::update)),
        line("DELETE", "/api/0/projects/{org}/{project}/", PROJECT, InProject(project_settings::delete)),
        line("GET", "/api/0/projects/{org}/{project}/environments/", PROJECT_PART, InProject(environments::list)),
        line("PUT", "/api/0/projects/{org}/{project}/environments/", PROJECT_PART, InProject(environments::update_all)),
        line("GET", "/api/0/projects/{org}/{project}/environments/{environment}/", PROJECT_PART, InProject(environments::get)),
        line("PUT", "/api/0/projects/{org}/{project}/environments/{environment}/", PROJECT_PART, InProject(environments::update)),
        line("GET", "/api/0/projects/{org}/{project}/filters/", PROJECT_PART, InProject(filters::list)),
        line("PUT", "/api/0/projects/{org}/{project}/filters/{filter}/", PROJECT_PART, InProject(filters::update)),

        // Ownership.
        line("GET", "/api/0/projects/{org}/{project}/ownership/", OWNERSHIP, InProject(ownership::get)),
        line("PUT", "/api/0/projects/{org}/{project}/ownership/", OWNERSHIP, InProject(ownership::update)),

        line("GET", "/api/0/projects/{org}/{project}/events/", EVENT, InProject(events::list)),
        line("GET", "/api/0/projects/{org}/{project}/events/{event}/", EVENT, InProject(events::get)),
        line("GET", "/api/0/projects/{org}/{project}/events/{event}/attachments/", EVENT, InProject(attachments::list)),
        line("GET", "/api/0/projects/{org}/{project}/events/{event}/attachments/{attachment}/", EVENT, InProject(attachments::get)),
        line("GET", "/api/0/projects/{org}/{project}/items/", EVENT, InProject(items::list)),
        line("GET", "/api/0/projects/{org}/{project}/items/{item}/", EVENT, InProject(items::get)),
        line("GET", "/api/0/projects/{org}/{project}/keys/", PROJECT_PART, InProject(keys::list)),
        line("POST", "/api/0/projects/{org}/{project}/keys/", PROJECT_PART, InProject(keys::create)),
        line("GET", "/api/0/projects/{org}/{project}/keys/{key}/", PROJECT_PART, OfKey(keys::get)),
        line("PUT", "/api/0/projects/{org}/{project}/keys/{key}/", PROJECT_PART, OfKey(keys::update)),
        line("DELETE", "/api/0/projects/{org}/{project}/keys/{key}/", PROJECT_PART, OfKey(keys::delete)),
        line("GET", "/api/0/projects/{org}/{project}/keys/{key}/stats/", PROJECT_PART, OfKey(stats::of_key)),

        // Rotation and use of keys.
        line("POST", "/api/0/projects/{org}/{project}/keys/{key}/rotate/", PROJECT_PART, OfKey(keys::rotate)),
        line("GET", "/api/0/projects/{org}/{project}/keys/{key}/clients/", PROJECT_READ, OfKey(keys::clients)),

        line("GET", "/api/0/projects/{org}/{project}/stats/", PROJECT_PART, InProject(stats::of_project)),

        // This document. Its name ends in no slash, because tools go by the ending of a file's name.
        line("GET", "/api/0/openapi.json", Open, Any(openapi::get)),
    ];
    lines
}

/// A request that passed the checks before its objects were looked up.
struct Call<'a> {
    request: Request,
    params: Params,
    caller: Caller,
    /// Any one of these is asked of the caller.
    wanted: ScopeSet,
    connection: Reader<'a>,
}

impl Call<'_> {
    /// Who answers for a change, for the audit log.
    ///
    /// # Errors
    /// `Unauthorized` for a caller that nobody knows. The routes that change something ask for scopes, which
    /// such a caller has none of.
    fn actor(&self) -> Result<Actor> {
        let address = self.request.peer;
        let who = match self.caller {
            Caller::Anonymous => return Err(auth::not_provided().into()),
            Caller::UserToken { user, token, .. } => Who::User {
                user,
                token,
                address,
            },
            Caller::Session { user, session } => Who::Session {
                user,
                session,
                address,
            },
            Caller::OrganizationToken { token, .. } => Who::OrganizationToken { token, address },
        };
        Ok(Actor {
            who,
            at: self.request.received,
        })
    }

    /// The fields of the request's body, once.
    ///
    /// # Errors
    /// As [`Fields::read`].
    fn body(&mut self) -> Result<Fields> {
        let body = std::mem::replace(&mut self.request.body, Body::empty());
        Fields::read(&self.request.headers, body)
    }

    /// Whether a flag of the query is on: only `1` is.
    fn is_set(&self, name: &str) -> bool {
        self.request.query_value(name).as_deref() == Some("1")
    }

    /// Whether a parameter of the query is there and says anything but no.
    fn is_asked(&self, name: &str) -> bool {
        let value = self.request.query_value(name).unwrap_or_default();
        !["", "0", "false"].contains(&value.as_str())
    }

    /// The user of the session that a browser is signed in with.
    ///
    /// # Errors
    /// `Forbidden` for a token; the routes that come here ask for a session.
    fn session(&self) -> Result<(User, SessionId)> {
        let Caller::Session { user, session } = self.caller else {
            return Err(Error::Forbidden.into());
        };
        let user = stored_users::find(&self.connection, user)?.ok_or(Error::Forbidden)?;
        Ok((user, session))
    }

    /// The same, of somebody who gave the password a short while ago.
    ///
    /// # Errors
    /// 401 that asks for the password (facts/auth-and-tokens.md 5).
    fn verified_session(&self) -> Result<(User, SessionId)> {
        let (user, id) = self.session()?;
        let session = sessions::find(&self.connection, id)?;
        if !session.is_some_and(|session| session.is_verified(self.request.received)) {
            return Err(error::sudo_required(&user.email).into());
        }
        Ok((user, id))
    }

    /// What the caller may do in an organization of a path.
    ///
    /// # Errors
    /// 401 to a member in a browser for whom the identity provider has not vouched where one must, or who has no second
    /// factor where one is demanded.
    fn entry(&self, organization: &Organization) -> Result<Access> {
        self.refuse_unvouched(organization)?;
        let access = self.access(organization)?;
        if let Caller::Session { user, .. } = self.caller
            && organization.require_2fa
            && access.role().is_some()
            && !second_factors::has_one(&self.connection, user)?
        {
            return Err(error::second_factor_required().into());
        }
        Ok(access)
    }

    /// What the caller may do in an organization.
    fn access(&self, organization: &Organization) -> Result<Access> {
        Ok(access_of(&self.connection, &self.caller, organization)?)
    }

    /// Whether the organization's identity provider must vouch for the user of a session first. Tokens never wait for it
    /// (facts/auth-and-tokens.md 6.3).
    fn awaits_provider(&self, organization: &Organization) -> Result<bool> {
        let Caller::Session { user, session } = &self.caller else {
            return Ok(false);
        };
        let now = self.request.received;
        Ok(identity_providers::must_vouch(
            &self.connection,
            organization.id,
            *user,
            *session,
            now,
        )?)
    }

    /// # Errors
    /// 401 `sso-required`.
    fn refuse_unvouched(&self, organization: &Organization) -> Result<()> {
        if self.awaits_provider(organization)? {
            return Err(error::sso_required(&organization.slug).into());
        }
        Ok(())
    }

    /// # Errors
    /// `NotFound`, also for one that the caller could not see: its existence is no secret.
    fn find_organization(&self) -> Result<Organization> {
        let segment = IdOrSlug::parse(self.params.get("org"));
        Ok(stored_organizations::find(&self.connection, &segment)?.ok_or(Error::NotFound)?)
    }

    fn organization(&self) -> Result<InOrganization> {
        let organization = self.find_organization()?;
        let access = self.entry(&organization)?;
        if !access.allows(self.wanted) {
            return Err(Error::Forbidden.into());
        }
        Ok(InOrganization {
            organization,
            access,
        })
    }

    /// As for a project: a team of another organization is as unknown as one that never was.
    fn team(&self, or_as_member: bool) -> Result<InTeam> {
        let organization = self.find_organization()?;
        let segment = IdOrSlug::parse(self.params.get("team"));
        let team = stored_teams::find(&self.connection, organization.id, &segment)?
            .ok_or(Error::NotFound)?;
        let access = self.entry(&organization)?;
        let allowed = access.team_scopes(team.id).intersects(self.wanted)
            || or_as_member && access.is_in_team(team.id);
        if !allowed {
            return Err(Error::Forbidden.into());
        }
        Ok(InTeam {
            organization,
            team,
            access,
        })
    }

    /// Organization and project are found together before anything is said about access, so an unknown
    /// project is 404 to everybody (facts/management-api.md 1.6).
    fn project(&self) -> Result<InProject> {
        let organization = self.find_organization()?;
        let segment = IdOrSlug::parse(self.params.get("project"));
        let found = stored_projects::find(&self.connection, organization.id, &segment)?;
        let Some(project) = found else {
            return Err(self.renamed(organization, &segment)?);
        };
        let teams = stored_projects::list_team_ids(&self.connection, project.id)?;
        let access = self.entry(&organization)?;
        if self.is_for_others(&project) || !access.allows_project(self.wanted, &teams) {
            return Err(Error::Forbidden.into());
        }
        Ok(InProject {
            organization,
            project,
            teams,
            access,
        })
    }

    /// Whether the caller's token is for certain projects, and not for this one.
    fn is_for_others(&self, project: &Project) -> bool {
        self.caller
            .only_projects()
            .is_some_and(|projects| !projects.contains(&project.id))
    }

    /// What to answer about a project that is not there: where it is now, if it had this slug before and the caller
    /// may do this there (facts/management-api.md 1.6).
    fn renamed(&self, organization: Organization, segment: &IdOrSlug) -> Result<Failure> {
        let IdOrSlug::Slug(slug) = segment else {
            return Ok(Error::NotFound.into());
        };
        let renamed = stored_projects::find_renamed(&self.connection, organization.id, slug)?;
        let Some(project) = renamed else {
            return Ok(Error::NotFound.into());
        };
        let teams = stored_projects::list_team_ids(&self.connection, project.id)?;
        let access = self.entry(&organization)?;
        if self.is_for_others(&project) || !access.allows_project(self.wanted, &teams) {
            return Ok(Error::Forbidden.into());
        }
        // `/api/0/projects/{org}/{project}/…`
        const PROJECT_SEGMENT: usize = 5;
        let mut segments: Vec<&str> = self.request.path.split('/').collect();
        if let Some(old) = segments.get_mut(PROJECT_SEGMENT) {
            *old = project.slug.as_str();
        }
        let mut url = segments.join("/");
        if !self.request.query.is_empty() {
            url = format!("{url}?{}", self.request.query);
        }
        Ok(error::moved(&project.slug, url).into())
    }

    /// # Errors
    /// `NotFound`: no key, or another project's.
    fn key(&self, context: &InProject) -> Result<ClientKey> {
        let public = PublicKey::parse(self.params.get("key")).ok_or(Error::NotFound)?;
        let key = client_keys::find(&self.connection, context.project.id, public)?;
        Ok(key.ok_or(Error::NotFound)?)
    }
}

/// What a caller may do in an organization. A change that depends on it asks again in its own transaction.
fn access_of(
    connection: &Connection,
    caller: &Caller,
    organization: &Organization,
) -> std::result::Result<Access, Error> {
    Ok(match caller {
        Caller::UserToken { user, scopes, .. } => Access::of_user(
            *scopes,
            stored_members::find_membership(connection, organization.id, *user)?,
            organization.policy,
        ),
        Caller::Session { user, .. } => Access::of_user(
            ScopeSet::ALL,
            stored_members::find_membership(connection, organization.id, *user)?,
            organization.policy,
        ),
        Caller::OrganizationToken {
            organization: own,
            scopes,
            ..
        } if *own == organization.id => Access::of_organization(*scopes),
        Caller::OrganizationToken { .. } | Caller::Anonymous => Access::none(),
    })
}

/// The organization of a path, and what the caller may do there.
struct InOrganization {
    organization: Organization,
    access: Access,
}

/// The team of a path, and what the caller may do there.
struct InTeam {
    organization: Organization,
    team: Team,
    access: Access,
}

/// The project of a path with its teams, and what the caller may do there.
struct InProject {
    organization: Organization,
    project: Project,
    teams: Vec<TeamId>,
    access: Access,
}

/// The management API.
pub(crate) struct Api {
    store: Arc<Store>,
    identity: Arc<Identity>,
    prefix: UrlPrefix,
    routes: Router<Target>,
    known_tokens: auth::KnownTokens,
    limits: RateLimits,
}

impl Api {
    /// `is_limited`: whether a client may call only so often.
    pub(crate) fn new(
        store: Arc<Store>,
        identity: Arc<Identity>,
        prefix: UrlPrefix,
        is_limited: bool,
    ) -> Api {
        Api {
            store,
            identity,
            prefix,
            routes: Router::new(routes()),
            known_tokens: auth::KnownTokens::default(),
            limits: RateLimits::new(is_limited),
        }
    }

    fn is_https(&self) -> bool {
        self.prefix.as_str().starts_with("https:")
    }

    /// Answers a request whose path this module [`owns`].
    pub(crate) fn handle(&self, request: Request) -> Response {
        let methods = allowed(&self.routes.methods(&request.path));
        let origin = page_origin(&request).map(str::to_owned);
        let response = if request.method == Method::Options {
            Response::empty(200).with_header("Access-Control-Max-Age", "3600")
        } else {
            let found = self.routes.find(&request.method, &request.path);
            // For the log: the path itself may hold a key.
            let pattern = match &found {
                Found::Route(route, _) => route.path,
                Found::OtherMethods(_) | Found::Nothing => "an unknown path",
            };
            let method = request.method.clone();
            let id = request.id.clone();
            let now = request.received;
            let mut seen = Seen::default();
            let response = self
                .answer(request, found, &mut seen)
                .unwrap_or_else(|failure| {
                    error::answer(failure, &format!("{} {pattern}", method.as_str()), &id)
                });
            self.identity.token_uses.write_if_due(&self.store, now);
            seen.tell(response, now)
        };
        self.with_cors(response, &methods, origin)
    }

    /// `seen` becomes what was found out about the caller.
    fn answer(
        &self,
        request: Request,
        found: Found<'_, Target>,
        seen: &mut Seen,
    ) -> Result<Response> {
        let (target, permission, class, params) = match found {
            Found::Nothing => return Ok(catch_all(&request)),
            Found::Route(route, params) => {
                let class = Class::of(route.path);
                (Some(route.target), route.target.permission, class, params)
            }
            Found::OtherMethods(methods) => {
                let method = methods.first().copied();
                let (permission, class) = self.permission_of(&request.path, method);
                (None, permission, class, Params::default())
            }
        };
        seen.is_for_browsers = permission == Permission::Browser;
        let credentials = Credentials::read(&request.headers);
        let foreign_origin =
            page_origin(&request).filter(|origin| !self.prefix.covers_origin(origin));
        // An API key may be for the pages of another origin, so it is asked first.
        let is_api_key =
            matches!(&credentials, Credentials::Basic { password, .. } if password.is_empty());
        if let Some(origin) = foreign_origin
            && (!is_api_key || seen.is_for_browsers)
        {
            return Err(error::invalid_origin(origin).into());
        }
        if !accepts_json(&request) {
            return Err(error::not_acceptable().into());
        }
        let caller = self.authenticate(&request, &credentials, class, seen)?;
        if let Some(origin) = foreign_origin
            && !caller.allows_origin(origin)
        {
            return Err(error::invalid_origin(origin).into());
        }
        let caller = caller.caller;
        let connection = self.store.read()?;
        let wanted = permission.wanted(&request.method);
        match (permission, &caller) {
            (Permission::Open, _) | (Permission::Browser, Caller::Session { .. }) => {}
            (Permission::Browser, _) => {
                let text = "Authentication credentials were not provided.";
                return Err(error::detail(403, text).into());
            }
            (_, Caller::Anonymous) => return Err(auth::not_provided().into()),
            (Permission::LoggedIn, _) => {}
            (Permission::Scopes { .. }, caller) => {
                if !caller.token_scopes().intersects(ScopeSet::of(wanted)) {
                    let names: Vec<_> = wanted.iter().map(|scope| scope.as_str()).collect();
                    return Err(error::insufficient_scope(&names).into());
                }
            }
        }
        let Some(target) = target else {
            return Err(error::method_not_allowed(request.method.as_str()).into());
        };
        let call = Call {
            request,
            params,
            caller,
            wanted: ScopeSet::of(wanted),
            connection,
        };
        match target.handler {
            Handler::Any(_)
            | Handler::InOrganization(_)
            | Handler::InTeam(_)
            | Handler::InOwnTeam(_)
                if call.caller.only_projects().is_some() && !call.wanted.is_empty() =>
            {
                let text = "This token access is limited to project endpoints.";
                Err(error::detail(403, text).into())
            }
            Handler::Any(run) => run(self, call),
            Handler::InOrganization(run) => {
                let context = call.organization()?;
                run(self, call, context)
            }
            Handler::InTeam(run) => {
                let context = call.team(false)?;
                run(self, call, context)
            }
            Handler::InOwnTeam(run) => {
                let context = call.team(true)?;
                run(self, call, context)
            }
            Handler::InProject(run) => {
                let context = call.project()?;
                self.set_used_for(&call, &context);
                run(self, call, context)
            }
            Handler::OfKey(run) => {
                let context = call.project()?;
                self.set_used_for(&call, &context);
                let key = call.key(&context)?;
                run(self, call, context, key)
            }
        }
    }

    /// Notes which project a token is used for.
    fn set_used_for(&self, call: &Call<'_>, context: &InProject) {
        if let Some(token) = call.caller.token() {
            let uses = &self.identity.token_uses;
            uses.set_project(token, context.project.id);
        }
    }

    /// Who is asking, if not too often.
    fn authenticate(
        &self,
        request: &Request,
        credentials: &Credentials,
        class: Class,
        seen: &mut Seen,
    ) -> Result<auth::Authenticated> {
        let (peer, now) = (Subject::of_address(request.peer), request.received);
        if *credentials != Credentials::None
            && !seen.is_for_browsers
            && let Some(wrong) = self.limits.ask(peer, Class::WrongCredentials, now)
            && wrong.is_exceeded()
        {
            seen.standing = Some(wrong);
            return Err(wrong.refusal().into());
        }
        let found = match seen.is_for_browsers {
            true => auth::authenticate_browser(self, request),
            false => auth::authenticate(self, request, credentials),
        };
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                if matches!(failure, Failure::Error(Error::Unauthorized(_))) {
                    seen.standing = self.limits.count(peer, Class::WrongCredentials, now);
                }
                return Err(failure);
            }
        };
        if let Some(known) = &found.token {
            self.identity
                .token_uses
                .count(&known.token, request.peer, now);
            seen.token = Some(Arc::clone(known));
        }
        let subject = Subject::of(&found.caller, request.peer);
        seen.standing = self.limits.count(subject, class, now);
        match seen.standing {
            Some(standing) if standing.is_exceeded() => Err(standing.refusal().into()),
            _ => Ok(found),
        }
    }

    /// Permission and class of a path that has lines for other methods only, `method` among them; all its lines have
    /// the same.
    fn permission_of(&self, path: &str, method: Option<&str>) -> (Permission, Class) {
        match self
            .routes
            .find(&Method::parse(method.unwrap_or("GET")), path)
        {
            Found::Route(route, _) => (route.target.permission, Class::of(route.path)),
            Found::OtherMethods(_) | Found::Nothing => (Permission::LoggedIn, Class::Other),
        }
    }

    /// The fields that every answer carries (facts/management-api.md 1.11).
    fn with_cors(&self, response: Response, methods: &str, origin: Option<String>) -> Response {
        let is_ours = origin
            .as_deref()
            .is_some_and(|origin| self.prefix.covers_origin(origin));
        let response = response
            .with_header("Allow", methods.to_owned())
            .with_header("Access-Control-Allow-Methods", methods.to_owned())
            .with_header("Access-Control-Allow-Headers", CORS_ALLOWED_HEADERS)
            .with_header("Access-Control-Expose-Headers", CORS_EXPOSED_HEADERS)
            .with_header(
                "Access-Control-Allow-Origin",
                origin.unwrap_or_else(|| "*".to_owned()),
            );
        if is_ours {
            response.with_header("Access-Control-Allow-Credentials", "true")
        } else {
            response
        }
    }
}

/// What was found out about the caller of a request, which its answer tells, whatever it is.
#[derive(Default)]
struct Seen {
    /// In the running second.
    standing: Option<Standing>,
    token: Option<Arc<auth::KnownToken>>,
    /// Whether the path is about secrets that only browsers manage.
    is_for_browsers: bool,
}

impl Seen {
    fn tell(self, mut response: Response, now: Timestamp) -> Response {
        if let Some(standing) = self.standing {
            response = standing.tell(response);
        }
        if let Some(expires) = self.token.and_then(|known| known.token.expires_soon(now)) {
            response = response.with_header(TOKEN_EXPIRES, expires.to_string());
        }
        if self.is_for_browsers && response.header("Cache-Control").is_none() {
            response = error::never_cached(response);
        }
        response
    }
}

/// Ours: when the token of the request expires, if that is near. No client of Sentry's looks at it.
const TOKEN_EXPIRES: &str = "Token-Expires";

const CORS_ALLOWED_HEADERS: &str = "X-Sentry-Auth, X-Requested-With, Origin, Accept, Content-Type, \
     Authentication, Authorization, Content-Encoding, sentry-trace, baggage, X-CSRFToken";

const CORS_EXPOSED_HEADERS: &str = "X-Sentry-Error, X-Sentry-Direct-Hit, X-Hits, X-Max-Hits, Endpoint, \
     Retry-After, Link";

/// The page that asks, if it is one; `null` is none.
fn page_origin(request: &Request) -> Option<&str> {
    request
        .headers
        .get("Origin")
        .filter(|origin| !origin.is_empty() && *origin != "null")
}

/// The methods of a path as `Allow` lists them: what GET serves is served to HEAD, and OPTIONS always is.
fn allowed(methods: &[&'static str]) -> String {
    const ORDER: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
    let mut list: Vec<&str> = ORDER
        .into_iter()
        .filter(|method| methods.contains(method))
        .collect();
    if methods.contains(&"GET") {
        list.push("HEAD");
    }
    list.push("OPTIONS");
    list.join(", ")
}

/// Whether the client takes JSON. A blank field counts as none.
fn accepts_json(request: &Request) -> bool {
    let accept = request.headers.get("Accept").unwrap_or_default();
    accept.trim().is_empty()
        || accept.split(',').any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            ["*/*", "application/*", "application/json"]
                .iter()
                .any(|known| media_type.eq_ignore_ascii_case(known))
        })
}

/// A path that has no line (facts/management-api.md 1.1). One without a slash at the end is told so instead of
/// being redirected, because a redirect would turn a POST into a GET.
fn catch_all(request: &Request) -> Response {
    const HELP: &str = "Route not found, did you forget a trailing slash?";
    if request.path.ends_with('/') {
        return Response::empty(404);
    }
    let suggestion = format!("try: {}/", request.path);
    let content_type = request.headers.get("Content-Type").unwrap_or_default();
    if content_type.starts_with("application/json") {
        let info = format!("{HELP} {suggestion}");
        return Response::json(404, &serde_json::json!({ "info": info }));
    }
    let caret = format!("{:>1$}", '^', suggestion.chars().count());
    Response::text(404, format!("{HELP}\n\n{suggestion}\n{caret}"))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn no_method_of_a_path_has_two_lines() {
        let mut seen = HashSet::new();
        for route in routes() {
            assert!(seen.insert((route.method, route.path)), "{}", route.path);
            // The one file among them, which tools know by the ending of its name.
            let is_file = route.path == "/api/0/openapi.json";
            assert!(owns(route.path) && route.path.ends_with('/') != is_file);
        }
    }

    #[test]
    fn all_methods_of_a_path_have_the_same_permission() {
        let mut permissions: HashMap<&str, Permission> = HashMap::new();
        for route in routes() {
            let permission = route.target.permission;
            let first = *permissions.entry(route.path).or_insert(permission);
            assert_eq!(permission, first, "{}", route.path);
        }
    }

    #[test]
    fn a_scope_that_no_line_asks_for_is_known_to_open_nothing() {
        let asked = routes().iter().fold(ScopeSet::NONE, |set, route| {
            let method = Method::parse(route.method);
            set.union(ScopeSet::of(route.target.permission.wanted(&method)))
        });
        for scope in ScopeSet::ALL.iter() {
            let opens_nothing = Scope::OPEN_NOTHING.contains(scope);
            assert_eq!(!asked.contains(scope), opens_nothing, "{}", scope.as_str());
        }
    }

    #[test]
    fn a_line_that_looks_something_up_asks_for_scopes_and_names_it() {
        for route in routes() {
            let segments: &[&str] = match route.target.handler {
                Handler::Any(_) => continue,
                Handler::InOrganization(_) => &["{org}"],
                Handler::InTeam(_) | Handler::InOwnTeam(_) => &["{org}", "{team}"],
                Handler::InProject(_) => &["{org}", "{project}"],
                Handler::OfKey(_) => &["{org}", "{project}", "{key}"],
            };
            for segment in segments {
                assert!(route.path.contains(segment), "{}", route.path);
            }
            let wanted = route.target.permission.wanted(&Method::parse(route.method));
            assert!(!wanted.is_empty(), "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn what_is_asked_for_most_has_a_limit_of_its_own() {
        for (path, class) in [
            ("/api/0/projects/{org}/{project}/keys/", Class::Keys),
            ("/api/0/projects/{org}/{project}/keys/{key}/", Class::Keys),
            ("/api/0/organizations/{org}/project-keys/", Class::Keys),
            ("/api/0/organizations/{org}/members/", Class::Members),
            (
                "/api/0/organizations/{org}/members/{member}/",
                Class::Members,
            ),
            ("/api/0/teams/{org}/{team}/members/", Class::Members),
            (
                "/api/0/projects/{org}/{project}/keys/{key}/stats/",
                Class::KeyStats,
            ),
            (
                "/api/0/organizations/{org}/stats_v2/",
                Class::OrganizationStats,
            ),
            (
                "/api/0/organizations/{org}/stats-summary/",
                Class::OrganizationStats,
            ),
            (
                "/api/0/projects/{org}/{project}/stats/",
                Class::ProjectStats,
            ),
            ("/api/0/projects/{org}/{project}/", Class::Other),
            ("/api/0/", Class::Other),
        ] {
            assert_eq!(Class::of(path), class, "{path}");
        }
    }

    #[test]
    fn the_api_owns_the_paths_of_project_0_and_no_others() {
        for path in ["/api/0", "/api/0/", "/api/0/anything"] {
            assert!(owns(path), "{path}");
        }
        for path in ["/", "/api/", "/api/01/store/", "/api/1/store/", "/x/api/0/"] {
            assert!(!owns(path), "{path}");
        }
    }
}
