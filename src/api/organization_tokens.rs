//! An organization's own tokens (facts/auth-and-tokens.md 3): for build tools by default, and with scopes of their own
//! its service accounts.

use std::cmp::Reverse;

use serde::Serialize;

use super::body::{Fields, Null};
use super::error::{self, Result};
use super::user_tokens::{
    GRACE_SECS, NAME_CHARS_MAX, OursBody, Wanted, created, read_expiry, read_scopes, replaced,
    successor,
};
use super::{Api, Call, InOrganization};
use crate::domain::Error;
use crate::domain::id::TokenId;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenOwner, TokenText};
use crate::http::Response;
use crate::store::tokens::{self, NewToken};
use crate::store::{Connection, projects};

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
    /// Ours: null for one that does not expire.
    expires_at: Option<Timestamp>,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(flatten)]
    ours: OursBody,
}

impl TokenBody {
    fn of(connection: &Connection, token: &Token, text: Option<&TokenText>) -> Result<TokenBody> {
        Ok(TokenBody {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes,
            token_last_characters: token.last_characters.clone(),
            date_created: token.created,
            date_last_used: token.last_used,
            project_last_used_id: token.last_project.map(|id| id.to_string()),
            expires_at: token.expires,
            token: text.map(|text| text.reveal().to_owned()),
            ours: OursBody::of(connection, token)?,
        })
    }
}

/// `GET O/org-auth-tokens/`: last used first, those never used last, then by name, then newest first.
pub(super) fn list(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let owner = TokenOwner::Organization(context.organization.id);
    let mut tokens = tokens::list_of(&call.connection, owner)?;
    tokens.sort_by(|a, b| {
        let key = |token: &Token| Reverse(token.last_used);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| b.id.cmp(&a.id))
    });
    let bodies = tokens
        .iter()
        .map(|token| TokenBody::of(&call.connection, token, None))
        .collect::<Result<Vec<_>>>()?;
    Ok(Response::json(200, &bodies))
}

fn read_name(fields: &mut Fields) -> Result<String> {
    // One more than allowed, so that the text about it is this endpoint's own.
    let name = fields.text("name", usize::MAX, Null::Allowed).value();
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
/// tools. Such a token sees every project, so for other scopes the caller needs `org:write`, and every scope that is
/// given away.
pub(super) fn create(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = &context.organization;
    let mut fields = call.body()?;
    let name = read_name(&mut fields)?;
    let owner = TokenOwner::Organization(organization.id);
    let scopes = match fields.has("scopes") {
        true => read_scopes(&mut fields),
        false => Some(owner.default_scopes()),
    };
    let wanted = Wanted::read(&mut fields, call.request.received, |id| {
        let segment = IdOrSlug::Id(id);
        Ok(projects::find(&call.connection, organization.id, &segment)?.is_some())
    })?;
    fields.finish()?;
    let scopes = scopes.unwrap_or_default();
    refuse_escalation(&context, scopes)?;
    let text = TokenText::random_organization(
        organization.slug.as_str(),
        &api.prefix,
        call.request.received,
    );
    let new = NewToken {
        owner,
        name,
        text: text.clone(),
        scopes,
        expires: wanted.expires,
        projects: wanted.projects,
    };
    let actor = call.actor()?;
    let token = api.store.write(move |unit| created(unit, &actor, &new))?;
    let body = TokenBody::of(&call.connection, &token, Some(&text))?;
    Ok(Response::json(201, &body))
}

/// # Errors
/// 403: the caller would give away more than it has.
fn refuse_escalation(context: &InOrganization, scopes: ScopeSet) -> Result<()> {
    let own = context.access.scopes();
    let beyond_ci = scopes.without(Scope::OrgCi);
    let may_give = own.contains(Scope::OrgWrite) && beyond_ci.intersection(own) == beyond_ci;
    if beyond_ci.is_empty() || may_give {
        Ok(())
    } else {
        Err(Error::Forbidden.into())
    }
}

/// The token of the path.
fn get_own(call: &Call<'_>, context: &InOrganization) -> Result<Token> {
    let owner = TokenOwner::Organization(context.organization.id);
    let id = call
        .params
        .get("token")
        .parse()
        .map_err(|_| Error::NotFound)?;
    Ok(tokens::find_of(&call.connection, owner, TokenId(id))?.ok_or(Error::NotFound)?)
}

/// `GET O/org-auth-tokens/{id}/`.
pub(super) fn get(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let token = get_own(&call, &context)?;
    Ok(Response::json(
        200,
        &TokenBody::of(&call.connection, &token, None)?,
    ))
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

/// `POST O/org-auth-tokens/{id}/rotate/` (ours), as for a user's tokens.
pub(super) fn rotate(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let old = get_own(&call, &context)?;
    refuse_escalation(&context, old.scopes)?;
    let (actor, now) = (call.actor()?, call.request.received);
    let mut fields = call.body()?;
    let until = read_expiry(&mut fields, now).unwrap_or_else(|| now.plus_secs(GRACE_SECS));
    fields.finish()?;
    let slug = context.organization.slug.as_str();
    let text = TokenText::random_organization(slug, &api.prefix, now);
    let new = successor(&old, text.clone(), now);
    let token = api
        .store
        .write(move |unit| replaced(unit, &actor, &old, &new, until))?;
    let body = TokenBody::of(&call.connection, &token, Some(&text))?;
    Ok(Response::json(201, &body))
}
