//! Who is asking, and where: the root and the endpoints about the caller (facts/management-api.md 2,
//! facts/auth-and-tokens.md 7).

use serde::Serialize;
use serde_json::json;

use super::error::Result;
use super::users::SelfBody;
use super::{Api, Call, auth};
use crate::domain::Error;
use crate::domain::access::Caller;
use crate::domain::scope::ScopeSet;
use crate::http::Response;
use crate::store::users;

#[derive(Serialize)]
struct RootBody {
    version: &'static str,
    auth: Option<AuthBody>,
    user: Option<SelfBody>,
}

#[derive(Serialize)]
struct AuthBody {
    scopes: ScopeSet,
}

/// `GET /api/0/`: 200 for everybody. `auth` is null without a token, as in a browser; `user` without a user.
pub(super) fn root(_: &Api, call: Call<'_>) -> Result<Response> {
    let auth = match &call.caller {
        Caller::Anonymous | Caller::Session { .. } => None,
        caller => Some(AuthBody {
            scopes: caller.token_scopes(),
        }),
    };
    let body = RootBody {
        version: "0",
        auth,
        user: find_self(&call)?,
    };
    Ok(Response::json(200, &body))
}

/// `GET /api/0/auth/`: the user who is asking; 400 without a body when there is none, which includes
/// organization tokens.
pub(super) fn whoami(_: &Api, call: Call<'_>) -> Result<Response> {
    Ok(match find_self(&call)? {
        Some(user) => Response::json(200, &user),
        None => Response::empty(400),
    })
}

/// `GET /api/0/users/me/`: the user who is asking; 403 for an organization token, which is nobody.
pub(super) fn me(_: &Api, call: Call<'_>) -> Result<Response> {
    match find_self(&call)? {
        Some(user) => Ok(Response::json(200, &user)),
        None if matches!(call.caller, Caller::Anonymous) => Err(auth::not_provided().into()),
        None => Err(Error::Forbidden.into()),
    }
}

/// `GET /api/0/internal/health/`: 200 without a body to whoever the server knows; only a superuser would read more.
pub(super) fn health(_: &Api, _: Call<'_>) -> Result<Response> {
    Ok(Response::empty(200))
}

/// `GET /api/0/users/me/regions/`: this server, to everybody (design 11).
pub(super) fn regions(api: &Api, _: Call<'_>) -> Result<Response> {
    let body = json!({ "regions": [{ "name": "local", "url": api.prefix.as_str() }] });
    Ok(Response::json(200, &body))
}

fn find_self(call: &Call<'_>) -> Result<Option<SelfBody>> {
    let user = match call.caller.user() {
        Some(user) => users::find(&call.connection, user)?,
        None => None,
    };
    let body = user.map(|user| SelfBody::read(&call.connection, &user));
    Ok(body.transpose()?)
}
