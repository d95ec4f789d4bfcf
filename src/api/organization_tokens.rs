//! An organization's own tokens (facts/auth-and-tokens.md 3): for build tools by default, and with scopes of their own
//! its service accounts.

use std::cmp::Reverse;

use serde::Serialize;

use super::body::{Fields, Null};
use super::error::{self, Result};
use super::token_parts::{
    OursBody, UsageBody, read_expiry, read_grace, read_projects, read_scopes,
};
use super::{Api, Call, InOrganization};
use crate::domain::Error;
use crate::domain::id::TokenId;
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::domain::token::{NAME_CHARS_MAX, Token, TokenOwner, TokenText};
use crate::http::Response;
use crate::store::tokens::{self, NewToken};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody {
    id: String,
    name: String,
    scopes: ScopeSet,
    token_last_characters: String,
    date_created: Timestamp,
    date_last_used: Option<Timestamp>,
    project_last_used_id: Option<String>,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Ours, as what follows: null for one that does not expire.
    expires_at: Option<Timestamp>,
    #[serde(flatten)]
    ours: OursBody,
}

impl TokenBody {
    /// Of a token with what is not written yet of its use.
    fn of(token: Token, text: Option<&TokenText>) -> TokenBody {
        TokenBody {
            id: token.id.to_string(),
            date_created: token.created,
            date_last_used: token.last_used,
            project_last_used_id: token.last_project.map(|id| id.to_string()),
            expires_at: token.expires,
            token: text.map(|text| text.reveal().to_owned()),
            ours: OursBody::of(&token),
            name: token.name,
            scopes: token.scopes,
            token_last_characters: token.last_characters,
        }
    }
}

/// `GET O/org-auth-tokens/`: last used first, those never used last, then by name, then newest first.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let owner = TokenOwner::Organization(context.organization.id);
    let mut tokens: Vec<Token> = tokens::list_of(&call.connection, owner)?
        .into_iter()
        .map(|token| api.identity.token_uses.complete(token))
        .collect();
    tokens.sort_by(|a, b| {
        let key = |token: &Token| Reverse(token.last_used);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| b.id.cmp(&a.id))
    });
    let bodies: Vec<_> = tokens
        .into_iter()
        .map(|token| TokenBody::of(token, None))
        .collect();
    Ok(Response::json(200, &bodies))
}

/// # Errors
/// 400 in this endpoint's own shape: blank, too long, or no text.
fn read_name(fields: &mut Fields) -> Result<String> {
    let name = fields.text("name", usize::MAX, Null::Allowed).value();
    if fields.is_wrong("name") {
        return Err(Error::Invalid(std::mem::take(fields).into_errors()).into());
    }
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return Err(error::detail(400, "The name cannot be blank.").into());
    }
    if name.chars().count() > NAME_CHARS_MAX {
        let text = "The name cannot be longer than 255 characters.";
        return Err(error::detail(400, text).into());
    }
    Ok(name)
}

/// `POST O/org-auth-tokens/`: 201 with the token, the only time that it is shown. Any member may make one for build
/// tools; for other scopes see [`crate::domain::access::Access::withheld`].
pub(super) fn create(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = &context.organization;
    let mut fields = call.body()?;
    let name = read_name(&mut fields)?;
    let owner = TokenOwner::Organization(organization.id);
    let scopes = match fields.has("scopes") {
        true => read_scopes(&mut fields, "scopes"),
        false => Some(owner.default_scopes()),
    };
    let expires = read_expiry(&mut fields, call.request.received);
    let projects = read_projects(&mut fields, &call, owner)?;
    fields.finish()?;
    let scopes = scopes.unwrap_or_default();
    refuse_withheld(&context, scopes)?;
    let now = call.request.received;
    let text = TokenText::random_organization(organization.slug.as_str(), &api.prefix, now);
    let new = NewToken {
        owner,
        name,
        text: text.clone(),
        scopes,
        expires,
        projects,
    };
    let actor = call.actor()?;
    let token = api
        .store
        .write(move |unit| tokens::create(unit, &actor, &new))?;
    Ok(made(token, &text))
}

fn made(token: Token, text: &TokenText) -> Response {
    error::never_cached(Response::json(201, &TokenBody::of(token, Some(text))))
}

/// # Errors
/// 403: the caller would give away more than it has.
fn refuse_withheld(context: &InOrganization, scopes: ScopeSet) -> Result<()> {
    let withheld = context.access.withheld(scopes);
    if withheld.is_empty() {
        return Ok(());
    }
    let text = format!("You cannot give a token scopes that you do not have yourself: {withheld}");
    Err(error::detail(403, &text).into())
}

/// The token of the path.
fn get_own(call: &Call<'_>, context: &InOrganization) -> Result<Token> {
    let owner = TokenOwner::Organization(context.organization.id);
    let id = call.params.get("token").parse();
    let id = id.map_err(|_| Error::NotFound)?;
    Ok(tokens::find_of(&call.connection, owner, TokenId(id))?.ok_or(Error::NotFound)?)
}

/// `GET O/org-auth-tokens/{id}/`.
pub(super) fn get(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let token = get_own(&call, &context)?;
    let token = api.identity.token_uses.complete(token);
    Ok(Response::json(200, &TokenBody::of(token, None)))
}

/// `PUT O/org-auth-tokens/{id}/`: 204; the name, and nothing else.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let token = get_own(&call, &context)?;
    let mut fields = call.body()?;
    let name = read_name(&mut fields)?;
    fields.finish()?;
    api.store
        .write(move |unit| tokens::rename(unit, &token, &name))?;
    Ok(Response::empty(204))
}

/// `DELETE O/org-auth-tokens/{id}/`: 204; it is of no use from the next request on.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let token = get_own(&call, &context)?;
    let actor = call.actor()?;
    api.store
        .write(move |unit| tokens::revoke(unit, &actor, &token))?;
    Ok(Response::empty(204))
}

/// `POST O/org-auth-tokens/{id}/rotate/` (ours), as for a user's tokens. It ends another token, so it takes what removing
/// one takes; and it gives the caller a token, so the scopes must not be beyond the caller's own.
pub(super) fn rotate(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let old = get_own(&call, &context)?;
    refuse_withheld(&context, old.scopes)?;
    let now = call.request.received;
    let mut fields = call.body()?;
    let until = read_grace(&mut fields, now);
    fields.finish()?;
    let slug = context.organization.slug.as_str();
    let text = TokenText::random_organization(slug, &api.prefix, now);
    let (actor, shown) = (call.actor()?, text.clone());
    let token = api
        .store
        .write(move |unit| tokens::rotate(unit, &actor, &old, &text, until))?;
    Ok(made(token, &shown))
}

/// `GET O/org-auth-tokens/{id}/usage/` (ours).
pub(super) fn usage(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let token = get_own(&call, &context)?;
    Ok(Response::json(200, &UsageBody::of(api, &call, token)?))
}
