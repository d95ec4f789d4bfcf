//! A user's own tokens (facts/auth-and-tokens.md 2). Only a browser that is signed in manages them: a token can neither
//! make nor list nor remove tokens, so that one that leaks cannot make itself another.
//!
//! Ours: a token may expire, may be for certain projects only, and can be rotated.

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::{Api, Call};
use crate::domain::actor::Actor;
use crate::domain::id::{ProjectId, TokenId, UserId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenOwner, TokenText};
use crate::domain::{Error, FieldErrors};
use crate::http::Response;
use crate::store::tokens::{self, NewToken};
use crate::store::writer::Unit;
use crate::store::{Connection, members, organizations, projects, users};

/// The longest name of a token.
pub(super) const NAME_CHARS_MAX: usize = 255;

/// How long a token that was rotated goes on by default.
pub(super) const GRACE_SECS: i64 = 86_400;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody {
    id: String,
    name: String,
    scopes: ScopeSet,
    /// There are no OAuth applications.
    application: Option<Value>,
    expires_at: Option<Timestamp>,
    date_created: Timestamp,
    state: Option<Value>,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    refresh_token: Option<String>,
    token_last_characters: String,
    #[serde(flatten)]
    ours: OursBody,
}

/// What Picket tells about tokens of every kind beside what Sentry does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OursBody {
    /// The only projects that it is for; empty for all.
    projects: Vec<String>,
    last_used_address: Option<String>,
    /// `[[day, requests], ...]`, oldest first; the day at its start in UNIX seconds.
    requests_per_day: Vec<(i64, i64)>,
}

impl OursBody {
    pub(super) fn of(connection: &Connection, token: &Token) -> Result<OursBody> {
        const DAY_SECS: i64 = 86_400;
        let days = tokens::list_use(connection, token.id)?;
        Ok(OursBody {
            projects: token.projects.iter().map(ProjectId::to_string).collect(),
            last_used_address: token.last_address.clone(),
            requests_per_day: days
                .into_iter()
                .map(|(day, requests)| (day * DAY_SECS, requests))
                .collect(),
        })
    }
}

impl TokenBody {
    fn of(connection: &Connection, token: &Token, text: Option<&TokenText>) -> Result<TokenBody> {
        Ok(TokenBody {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes,
            application: None,
            expires_at: token.expires,
            date_created: token.created,
            state: None,
            token: text.map(|text| text.reveal().to_owned()),
            refresh_token: None,
            token_last_characters: token.last_characters.clone(),
            ours: OursBody::of(connection, token)?,
        })
    }
}

fn answer(status: u16, body: &impl Serialize) -> Response {
    Response::json(status, body).with_header(
        "Cache-Control",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
}

/// Whose tokens a request is about: the caller's, or with `userId` anybody's for a superuser.
///
/// # Errors
/// 404 for a `userId` that is nobody's.
fn subject(call: &Call<'_>, given: Option<&str>) -> Result<UserId> {
    let own = call.caller.user().ok_or(Error::Forbidden)?;
    let Some(given) = given else {
        return Ok(own);
    };
    let is_superuser = users::find(&call.connection, own)?.is_some_and(|user| user.superuser);
    if !is_superuser {
        return Ok(own);
    }
    let user = given.parse().ok().map(UserId);
    let found = match user {
        Some(user) => users::find(&call.connection, user)?,
        None => None,
    };
    Ok(found
        .map(|user| user.id)
        .ok_or_else(|| error::detail(404, "Invalid user ID"))?)
}

/// `GET /api/0/api-tokens/`: all that are not revoked, oldest first.
pub(super) fn list(_: &Api, call: Call<'_>) -> Result<Response> {
    let user = subject(&call, call.request.query_value("userId").as_deref())?;
    let tokens = tokens::list_of(&call.connection, TokenOwner::User(user))?;
    let bodies = tokens
        .iter()
        .map(|token| TokenBody::of(&call.connection, token, None))
        .collect::<Result<Vec<_>>>()?;
    Ok(answer(200, &bodies))
}

/// What is asked of a new token, whoever it is for.
pub(super) struct Wanted {
    pub(super) expires: Option<Timestamp>,
    pub(super) projects: Vec<ProjectId>,
}

impl Wanted {
    /// Reads `expiresAt`, which must lie ahead, and `projects`, ids of projects that `sees` lets through.
    pub(super) fn read(
        fields: &mut Fields,
        now: Timestamp,
        sees: impl Fn(i64) -> Result<bool>,
    ) -> Result<Wanted> {
        let expires = read_expiry(fields, now);
        let mut projects = Vec::new();
        if let Given::Value(ids) = fields.texts("projects", Null::Allowed) {
            let mut wrong = FieldErrors::default();
            for (index, text) in ids.iter().enumerate() {
                match text.parse() {
                    Ok(id) if sees(id)? => projects.push(ProjectId(id)),
                    _ => wrong.add(&index.to_string(), "There is no such project."),
                }
            }
            fields.refuse_parts("projects", wrong);
        }
        Ok(Wanted { expires, projects })
    }
}

/// `expiresAt`: a moment that lies ahead.
pub(super) fn read_expiry(fields: &mut Fields, now: Timestamp) -> Option<Timestamp> {
    const NAME: &str = "expiresAt";
    let text = fields.text(NAME, 64, Null::Allowed).value()?;
    if text.is_empty() {
        return None;
    }
    match Timestamp::parse_rfc3339(&text) {
        Some(moment) if moment > now && moment <= Timestamp::LAST => Some(moment),
        Some(_) => {
            fields.refuse(NAME, "This must be a moment that lies ahead.");
            None
        }
        None => {
            fields.refuse(
                NAME,
                "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
            );
            None
        }
    }
}

/// `scopes`: a list of known ones, with what they imply. None, and an error of the field, for any other.
pub(super) fn read_scopes(fields: &mut Fields) -> Option<ScopeSet> {
    let Given::Value(names) = fields.texts("scopes", Null::Refused) else {
        return None;
    };
    let mut set = ScopeSet::NONE;
    for name in &names {
        match Scope::parse(name) {
            Some(scope) => set = set.union(ScopeSet::of(&[scope])),
            None => fields.refuse("scopes", format!("\"{name}\" is not a valid choice.")),
        }
    }
    if names.is_empty() {
        fields.refuse("scopes", "This selection may not be empty.");
    }
    Some(set.with_implied())
}

/// `POST /api/0/api-tokens/`: 201 with the token, the only time that it is shown.
pub(super) fn create(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let user = subject(
        &call,
        fields.text("userId", 32, Null::Allowed).value().as_deref(),
    )?;
    let name = fields.text("name", NAME_CHARS_MAX, Null::Allowed).value();
    fields.refuse_missing("scopes");
    let scopes = read_scopes(&mut fields);
    let wanted = Wanted::read(&mut fields, call.request.received, |id| {
        sees_project(&call.connection, user, ProjectId(id))
    })?;
    fields.finish()?;
    let new = NewToken {
        owner: TokenOwner::User(user),
        name: name.unwrap_or_default(),
        text: TokenText::random_user(),
        scopes: scopes.unwrap_or_default(),
        expires: wanted.expires,
        projects: wanted.projects,
    };
    make(api, &call, new)
}

fn make(api: &Api, call: &Call<'_>, new: NewToken) -> Result<Response> {
    let actor = call.actor()?;
    let text = new.text.clone();
    let token = api.store.write(move |unit| created(unit, &actor, &new))?;
    let body = TokenBody::of(&call.connection, &token, Some(&text))?;
    Ok(answer(201, &body))
}

/// Makes a token and reads it back.
pub(super) fn created(
    unit: &mut Unit<'_>,
    actor: &Actor,
    new: &NewToken,
) -> crate::domain::Result<Token> {
    let id = tokens::create(unit, actor, new)?;
    tokens::find(unit, id)?
        .ok_or_else(|| Error::internal("a token that was just made is not there"))
}

/// Whether a user is a member where this project is, and may see it.
fn sees_project(connection: &Connection, user: UserId, project: ProjectId) -> Result<bool> {
    let Some(organization) = projects::find_organization(connection, project)? else {
        return Ok(false);
    };
    let segment = IdOrSlug::Id(organization.0);
    let Some(organization) = organizations::find(connection, &segment)? else {
        return Ok(false);
    };
    let membership = members::find_membership(connection, organization.id, user)?;
    let access =
        crate::domain::access::Access::of_user(ScopeSet::ALL, membership, organization.policy);
    let teams = projects::list_team_ids(connection, project)?;
    Ok(access.sees_project(&teams))
}

/// `DELETE /api/0/api-tokens/` with `tokenId`.
pub(super) fn delete_named(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let id = fields.text("tokenId", 32, Null::Allowed).value();
    let user = subject(
        &call,
        fields.text("userId", 32, Null::Allowed).value().as_deref(),
    )?;
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Err(Response::json(400, &json!({ "tokenId": null })).into());
    };
    match find(&call.connection, user, &id)? {
        Some(token) => revoke(api, &call, token),
        None => {
            let body = json!({ "tokenId": id, "userId": user.0 });
            Err(Response::json(400, &body).into())
        }
    }
}

fn find(connection: &Connection, user: UserId, id: &str) -> Result<Option<Token>> {
    let Ok(id) = id.parse() else {
        return Ok(None);
    };
    Ok(tokens::find_of(
        connection,
        TokenOwner::User(user),
        TokenId(id),
    )?)
}

/// The token of the path.
fn get_own(call: &Call<'_>) -> Result<Token> {
    let user = subject(call, call.request.query_value("userId").as_deref())?;
    let token = find(&call.connection, user, call.params.get("token"))?;
    Ok(token.ok_or_else(|| error::detail(404, "Invalid token ID"))?)
}

/// `GET /api/0/api-tokens/{id}/`.
pub(super) fn get(_: &Api, call: Call<'_>) -> Result<Response> {
    let token = get_own(&call)?;
    Ok(answer(200, &TokenBody::of(&call.connection, &token, None)?))
}

/// `PUT /api/0/api-tokens/{id}/`: the name, and nothing else.
pub(super) fn update(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut token = get_own(&call)?;
    let mut fields = call.body()?;
    if fields
        .names()
        .any(|name| !["name", "tokenId"].contains(&name))
    {
        let body = json!({ "error": "Only auth token name can be edited after creation" });
        return Err(Response::json(403, &body).into());
    }
    let name = fields.text("name", NAME_CHARS_MAX, Null::Allowed).value();
    fields.finish()?;
    if let Some(name) = name {
        let (old, new) = (token.clone(), name.clone());
        api.store
            .write(move |unit| tokens::rename(unit, &old, &new))?;
        token.name = name;
    }
    Ok(answer(200, &TokenBody::of(&call.connection, &token, None)?))
}

/// `DELETE /api/0/api-tokens/{id}/`: 204; it is of no use from the next request on.
pub(super) fn delete(api: &Api, call: Call<'_>) -> Result<Response> {
    let token = get_own(&call)?;
    revoke(api, &call, token)
}

fn revoke(api: &Api, call: &Call<'_>, token: Token) -> Result<Response> {
    let actor = call.actor()?;
    api.store
        .write(move |unit| tokens::revoke(unit, &actor, &token))?;
    Ok(Response::empty(204))
}

/// `POST /api/0/api-tokens/{id}/rotate/` (ours): 201 with another token of the same name, scopes and projects, which
/// lasts as long as this one would. This one goes on until `expiresAt`, by default for a day.
pub(super) fn rotate(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let old = get_own(&call)?;
    let (actor, now) = (call.actor()?, call.request.received);
    let mut fields = call.body()?;
    let until = read_expiry(&mut fields, now).unwrap_or_else(|| now.plus_secs(GRACE_SECS));
    fields.finish()?;
    let text = TokenText::random_user();
    let new = successor(&old, text.clone(), now);
    let token = api
        .store
        .write(move |unit| replaced(unit, &actor, &old, &new, until))?;
    let body = TokenBody::of(&call.connection, &token, Some(&text))?;
    Ok(answer(201, &body))
}

/// The token that comes after another.
pub(super) fn successor(old: &Token, text: TokenText, now: Timestamp) -> NewToken {
    let lifetime_us = old.expires.map(|expires| expires.us() - old.created.us());
    NewToken {
        owner: old.owner,
        name: old.name.clone(),
        text,
        scopes: old.scopes,
        expires: lifetime_us.map(|us| Timestamp::from_us(now.us().saturating_add(us))),
        projects: old.projects.clone(),
    }
}

/// Makes the successor of a token, and lets that one end by `until` at the latest.
pub(super) fn replaced(
    unit: &mut Unit<'_>,
    actor: &Actor,
    old: &Token,
    new: &NewToken,
    until: Timestamp,
) -> crate::domain::Result<Token> {
    let old = tokens::find_of(unit, old.owner, old.id)?.ok_or(Error::NotFound)?;
    let ends = old.expires.map_or(until, |expires| expires.min(until));
    tokens::update(unit, actor, &old, None, Some(ends))?;
    created(unit, actor, new)
}
