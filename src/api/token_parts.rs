//! What tokens of all kinds have in common on the wire, and Picket's own additions to them: a token may expire, may be
//! for certain projects only, and tells how it is used.

use serde::Serialize;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::{Api, Call};
use crate::domain::FieldErrors;
use crate::domain::id::ProjectId;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::time::Timestamp;
use crate::domain::token::{GRACE_SECS, Token, TokenOwner, USE_DAYS};
use crate::store::tokens;

/// Ours, in every answer about a token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OursBody {
    /// The only projects that it is for; empty for all.
    projects: Vec<String>,
    last_used_address: Option<String>,
}

impl OursBody {
    pub(super) fn of(token: &Token) -> OursBody {
        OursBody {
            projects: token.projects.iter().map(ProjectId::to_string).collect(),
            last_used_address: token.last_address.clone(),
        }
    }
}

/// How a token was used lately.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageBody {
    date_last_used: Option<Timestamp>,
    last_used_address: Option<String>,
    project_last_used_id: Option<String>,
    /// `[[day, requests], ...]`, oldest first; a day (UTC) by its start in UNIX seconds, only those with requests.
    requests_per_day: Vec<(i64, i64)>,
    /// How many days are kept.
    days_kept: i64,
}

impl UsageBody {
    pub(super) fn of(api: &Api, call: &Call<'_>, token: Token) -> Result<UsageBody> {
        const DAY_SECS: i64 = 86_400;
        let uses = &api.identity.token_uses;
        let days = uses.requests_per_day(token.id, tokens::list_use(&call.connection, token.id)?);
        let token = uses.complete(token);
        Ok(UsageBody {
            date_last_used: token.last_used,
            last_used_address: token.last_address,
            project_last_used_id: token.last_project.map(|id| id.to_string()),
            requests_per_day: days
                .into_iter()
                .map(|(day, requests)| (day * DAY_SECS, requests))
                .collect(),
            days_kept: USE_DAYS,
        })
    }
}

/// `expiresAt` of a new token: a moment that lies ahead, or null for never.
pub(super) fn read_expiry(fields: &mut Fields, now: Timestamp) -> Option<Timestamp> {
    fields.moment_ahead("expiresAt", now, None).value()
}

/// `expiresAt` of a token that is rotated: how long it goes on, by default for a day.
pub(super) fn read_grace(fields: &mut Fields, now: Timestamp) -> Timestamp {
    read_expiry(fields, now).unwrap_or_else(|| now.plus_secs(GRACE_SECS))
}

/// `projects`: each by its number, or by slugs.
pub(super) fn read_projects(
    fields: &mut Fields,
    call: &Call<'_>,
    owner: TokenOwner,
) -> Result<Vec<ProjectId>> {
    const NAME: &str = "projects";
    let Given::Value(names) = fields.texts(NAME, Null::Allowed) else {
        return Ok(Vec::new());
    };
    let mut projects = Vec::new();
    let mut wrong = FieldErrors::default();
    for (index, name) in names.iter().enumerate() {
        match tokens::find_project(&call.connection, owner, name)? {
            Some(project) => projects.push(project),
            None => wrong.add(&index.to_string(), "There is no such project."),
        }
    }
    fields.refuse_parts(NAME, wrong);
    Ok(projects)
}

/// A list of scopes, with what they imply. None, and errors of the field, if anything in it is no scope.
pub(super) fn read_scopes(fields: &mut Fields, name: &str) -> Option<ScopeSet> {
    let Given::Value(items) = fields.list(name, Null::Refused) else {
        return None;
    };
    let mut set = ScopeSet::NONE;
    let mut all_known = !items.is_empty();
    if items.is_empty() {
        fields.refuse(name, "This selection may not be empty.");
    }
    for item in &items {
        match item.as_str().and_then(Scope::parse) {
            Some(scope) => set = set.union(ScopeSet::of(&[scope])),
            None => {
                let text = item
                    .as_str()
                    .map_or_else(|| item.to_string(), str::to_owned);
                fields.refuse(name, format!("\"{text}\" is not a valid choice."));
                all_known = false;
            }
        }
    }
    all_known.then(|| set.with_implied())
}
