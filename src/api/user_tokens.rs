//! A user's own tokens (facts/auth-and-tokens.md 2). Only a browser that is signed in manages them: a token can neither
//! make nor list nor remove tokens, so that one that leaks cannot make itself another.

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::token_parts::{
    OursBody, UsageBody, read_expiry, read_grace, read_projects, read_scopes,
};
use super::{Api, Call};
use crate::domain::Error;
use crate::domain::id::{TokenId, UserId};
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::domain::token::{NAME_CHARS_MAX, Token, TokenOwner, TokenText};
use crate::http::Response;
use crate::store::tokens::{self, NewToken};
use crate::store::{Connection, users};

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
    /// Ours, as what follows.
    date_last_used: Option<Timestamp>,
    #[serde(flatten)]
    ours: OursBody,
}

impl TokenBody {
    fn of(api: &Api, token: Token, text: Option<&TokenText>) -> TokenBody {
        let token = api.identity.token_uses.complete(token);
        TokenBody {
            id: token.id.to_string(),
            application: None,
            expires_at: token.expires,
            date_created: token.created,
            state: None,
            token: text.map(|text| text.reveal().to_owned()),
            refresh_token: None,
            date_last_used: token.last_used,
            ours: OursBody::of(&token),
            name: token.name,
            scopes: token.scopes,
            token_last_characters: token.last_characters,
        }
    }
}

/// Whose tokens a request is about: the caller's, or those of the `userId` that a superuser gives.
///
/// # Errors
/// 404 for a `userId` that is nobody's. What others give is not looked at.
fn subject(call: &Call<'_>, given: Option<&str>) -> Result<UserId> {
    let own = call.caller.user().ok_or(Error::Forbidden)?;
    let Some(given) = given else {
        return Ok(own);
    };
    if !is_superuser(call)? {
        return Ok(own);
    }
    let found = match given.parse().map(UserId) {
        Ok(user) => users::find(&call.connection, user)?,
        Err(_) => None,
    };
    Ok(found
        .map(|user| user.id)
        .ok_or_else(|| error::detail(404, "Invalid user ID"))?)
}

fn is_superuser(call: &Call<'_>) -> Result<bool> {
    let Some(user) = call.caller.user() else {
        return Ok(false);
    };
    Ok(users::find(&call.connection, user)?.is_some_and(|user| user.superuser))
}

fn subject_of_query(call: &Call<'_>) -> Result<UserId> {
    subject(call, call.request.query_value("userId").as_deref())
}

fn subject_of_body(call: &Call<'_>, fields: &mut Fields) -> Result<UserId> {
    let given = fields.text("userId", usize::MAX, Null::Allowed).value();
    subject(call, given.as_deref())
}

/// `GET /api/0/api-tokens/`: all that are not revoked, oldest first.
pub(super) fn list(api: &Api, call: Call<'_>) -> Result<Response> {
    let user = subject_of_query(&call)?;
    let tokens = tokens::list_of(&call.connection, TokenOwner::User(user))?;
    let bodies: Vec<_> = tokens
        .into_iter()
        .map(|token| TokenBody::of(api, token, None))
        .collect();
    Ok(Response::json(200, &bodies))
}

/// `POST /api/0/api-tokens/`: 201 with the token, the only time that it is shown.
pub(super) fn create(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let owner = TokenOwner::User(subject_of_body(&call, &mut fields)?);
    let name = fields.text("name", NAME_CHARS_MAX, Null::Allowed).value();
    fields.refuse_missing("scopes");
    let scopes = read_scopes(&mut fields, "scopes");
    let expires = read_expiry(&mut fields, call.request.received);
    let projects = read_projects(&mut fields, &call, owner)?;
    fields.finish()?;
    let text = TokenText::random_user();
    let new = NewToken {
        owner,
        name: name.unwrap_or_default(),
        text: text.clone(),
        scopes: scopes.unwrap_or_default(),
        expires,
        projects,
    };
    let actor = call.actor()?;
    let token = api
        .store
        .write(move |unit| tokens::create(unit, &actor, &new))?;
    Ok(Response::json(201, &TokenBody::of(api, token, Some(&text))))
}

/// `DELETE /api/0/api-tokens/` with `tokenId`; ours: with `all`, every token of the user.
pub(super) fn delete_named(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let user = subject_of_body(&call, &mut fields)?;
    let id = fields.text("tokenId", usize::MAX, Null::Allowed).value();
    let all = fields.boolean("all", Null::Allowed).value() == Some(true);
    if all && id.is_some() {
        fields.refuse("all", "Name one token, or all of them.");
    }
    fields.finish()?;
    if all {
        let (actor, owner) = (call.actor()?, TokenOwner::User(user));
        api.store
            .write(move |unit| tokens::revoke_all(unit, &actor, owner))?;
        return Ok(Response::empty(204));
    }
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
    let owner = TokenOwner::User(user);
    Ok(tokens::find_of(connection, owner, TokenId(id))?)
}

/// The token of the path.
fn get_of(call: &Call<'_>, user: UserId) -> Result<Token> {
    let token = find(&call.connection, user, call.params.get("token"))?;
    Ok(token.ok_or_else(|| error::detail(404, "Invalid token ID"))?)
}

/// `GET /api/0/api-tokens/{id}/`.
pub(super) fn get(api: &Api, call: Call<'_>) -> Result<Response> {
    let token = get_of(&call, subject_of_query(&call)?)?;
    Ok(Response::json(200, &TokenBody::of(api, token, None)))
}

/// `PUT /api/0/api-tokens/{id}/`: the name, and nothing else.
pub(super) fn update(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let mut token = get_of(&call, subject_of_body(&call, &mut fields)?)?;
    let is_superuser = is_superuser(&call)?;
    let is_known = |name| ["name", "tokenId"].contains(&name) || is_superuser && name == "userId";
    if !fields.names().all(is_known) {
        let body = json!({ "error": "Only auth token name can be edited after creation" });
        return Err(Response::json(403, &body).into());
    }
    let name = match fields.text("name", NAME_CHARS_MAX, Null::Allowed) {
        Given::Absent => None,
        Given::Null => Some(String::new()),
        Given::Value(name) => Some(name),
    };
    fields.finish()?;
    if let Some(name) = name {
        let (old, new) = (token.clone(), name.clone());
        api.store
            .write(move |unit| tokens::rename(unit, &old, &new))?;
        token.name = name;
    }
    Ok(Response::json(200, &TokenBody::of(api, token, None)))
}

/// `DELETE /api/0/api-tokens/{id}/`: 204; it is of no use from the next request on.
pub(super) fn delete(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let mut fields = call.body()?;
    let token = get_of(&call, subject_of_body(&call, &mut fields)?)?;
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
    let mut fields = call.body()?;
    let old = get_of(&call, subject_of_body(&call, &mut fields)?)?;
    let until = read_grace(&mut fields, call.request.received);
    fields.finish()?;
    let (actor, text) = (call.actor()?, TokenText::random_user());
    let shown = text.clone();
    let token = api
        .store
        .write(move |unit| tokens::rotate(unit, &actor, &old, &text, until))?;
    Ok(Response::json(
        201,
        &TokenBody::of(api, token, Some(&shown)),
    ))
}

/// `GET /api/0/api-tokens/{id}/usage/` (ours).
pub(super) fn usage(api: &Api, call: Call<'_>) -> Result<Response> {
    let token = get_of(&call, subject_of_query(&call)?)?;
    Ok(Response::json(200, &UsageBody::of(api, &call, token)?))
}
