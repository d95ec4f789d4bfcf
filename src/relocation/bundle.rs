//! What comes from another server, wherever it was read from. What belongs together is named by its place in the list.
//!
//! Slugs, names and options are as they were there; what Picket makes of them is [`super::plan`]'s business.

use serde_json::Value;

use super::notes::Notes;
use crate::domain::access::MemberPolicy;
use crate::domain::key::{LoaderOptions, PublicKey, RateLimit};
use crate::domain::scope::{OrganizationRole, ScopeSet, TeamRole};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::domain::totp::Seed;

/// The number of an organization, a team and so on in its list.
pub(crate) type At = usize;

#[derive(Default)]
pub(crate) struct Bundle {
    pub(crate) organizations: Vec<Organization>,
    pub(crate) teams: Vec<Team>,
    pub(crate) users: Vec<User>,
    pub(crate) projects: Vec<Project>,
    pub(crate) keys: Vec<Key>,
    pub(crate) members: Vec<Member>,
    pub(crate) tokens: Vec<OrganizationToken>,
    /// What of it was not understood, or has no place here.
    pub(crate) notes: Notes,
}

pub(crate) struct Organization {
    /// Its number there.
    pub(crate) id: Option<i64>,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) policy: MemberPolicy,
    pub(crate) early_adopter: bool,
    pub(crate) superuser_access: bool,
    pub(crate) require_2fa: bool,
    pub(crate) created: Timestamp,
    pub(crate) options: Vec<(String, Value)>,
}

pub(crate) struct Team {
    pub(crate) id: Option<i64>,
    pub(crate) organization: At,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

pub(crate) struct User {
    pub(crate) id: Option<i64>,
    pub(crate) email: String,
    pub(crate) name: String,
    /// As it was written down there.
    pub(crate) password: Option<String>,
    pub(crate) active: bool,
    pub(crate) superuser: bool,
    pub(crate) created: Timestamp,
    pub(crate) last_login: Option<Timestamp>,
    pub(crate) last_active: Option<Timestamp>,
    pub(crate) totp: Option<Totp>,
    pub(crate) tokens: Vec<UserToken>,
}

pub(crate) struct Totp {
    pub(crate) id: i64,
    pub(crate) seed: Seed,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
}

pub(crate) struct UserToken {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) hash: TokenHash,
    pub(crate) last_characters: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
}

pub(crate) struct Project {
    pub(crate) id: Option<i64>,
    pub(crate) organization: At,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) first_event: Option<Timestamp>,
    pub(crate) created: Timestamp,
    /// None: it gets one of its own here.
    pub(crate) security_token: Option<String>,
    pub(crate) options: Vec<(String, Value)>,
    pub(crate) teams: Vec<At>,
    pub(crate) old_slugs: Vec<String>,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) environments: Vec<Environment>,
}

pub(crate) struct Ownership {
    pub(crate) raw: Option<String>,
    pub(crate) fallthrough: bool,
    /// The API's words.
    pub(crate) auto_assignment: String,
    pub(crate) codeowners_auto_sync: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

/// How issues are assigned by ownership rules, in the API's words.
pub(crate) const ASSIGN_OWNER: &str = "Auto Assign to Issue Owner";
pub(crate) const ASSIGN_COMMITTER: &str = "Auto Assign to Suspect Commits";
pub(crate) const ASSIGN_NOBODY: &str = "Turn off Auto-Assignment";

pub(crate) struct Environment {
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) hidden: bool,
    pub(crate) first: Timestamp,
}

pub(crate) struct Key {
    pub(crate) id: Option<i64>,
    pub(crate) project: At,
    pub(crate) public: PublicKey,
    pub(crate) secret: Option<String>,
    pub(crate) label: String,
    pub(crate) active: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    /// None: the one that new keys have.
    pub(crate) browser_sdk_version: Option<String>,
    pub(crate) loader: LoaderOptions,
    pub(crate) created: Timestamp,
}

pub(crate) struct Member {
    pub(crate) id: Option<i64>,
    pub(crate) organization: At,
    pub(crate) who: Person,
    pub(crate) role: OrganizationRole,
    pub(crate) inviter: Option<At>,
    pub(crate) created: Timestamp,
    pub(crate) seats: Vec<(At, Option<TeamRole>)>,
}

pub(crate) enum Person {
    User(At),
    Invited {
        email: String,
        /// Of the link, if it may hold on: the hash of its token, and until when.
        link: Option<(TokenHash, Timestamp)>,
    },
}

pub(crate) struct OrganizationToken {
    pub(crate) id: Option<i64>,
    pub(crate) organization: At,
    pub(crate) name: String,
    pub(crate) hash: TokenHash,
    pub(crate) last_characters: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) last_project: Option<At>,
}
