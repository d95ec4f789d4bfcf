//! From the `Authorization` field, or a session's cookie, to a [`Caller`] (facts/management-api.md 1.4,
//! facts/auth-and-tokens.md 5).
//!
//! Says who is asking and nothing of what they may do. What the file says of a token is remembered for as long as no
//! credentials change, so that a token that is in use costs no look at the file, and a revoked one is refused at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::access::Caller;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::token::{ORGANIZATION_PREFIX, Token, TokenHash, TokenOwner};
use crate::domain::{Error, Result};
use crate::http::credentials::Credentials;
use crate::http::{Method, Request, cookies};
use crate::identity::{SESSION_COOKIE, csrf_token};
use crate::store::{Connection, Store, sessions, tokens, users};

use super::Api;
use super::error::{self, Failure};

/// Tokens that were asked for lately.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Of the credentials that the tokens are of.
    version: u64,
    tokens: HashMap<TokenHash, Arc<KnownToken>>,
}

/// A token that is not revoked.
struct KnownToken {
    token: Token,
    /// Whether its user may come in; true where there is none.
    user_is_active: bool,
}

/// As many are remembered; then all are forgotten. Only those that exist are, so nobody can fill this by guessing.
const KNOWN_MAX: usize = 10_000;

impl KnownTokens {
    fn find(
        &self,
        store: &Store,
        connection: &Connection,
        hash: TokenHash,
    ) -> Result<Option<Arc<KnownToken>>> {
        // Before the reading: a change in between makes another number.
        let version = store.snapshot().credentials_version();
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.version != version {
                known.tokens.clear();
                known.version = version;
            }
            if let Some(token) = known.tokens.get(&hash) {
                return Ok(Some(Arc::clone(token)));
            }
        }
        let token = tokens::find_by_hash(connection, hash)?;
        let Some(token) = token.filter(|token| token.revoked.is_none()) else {
            return Ok(None);
        };
        let user_is_active = match token.owner {
            TokenOwner::User(user) => {
                users::find(connection, user)?.is_some_and(|user| user.active)
            }
            TokenOwner::Organization(_) | TokenOwner::ApiKey(_) => true,
        };
        let found = Arc::new(KnownToken {
            token,
            user_is_active,
        });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.version == version {
            if known.tokens.len() >= KNOWN_MAX {
                known.tokens.clear();
            }
            known.tokens.insert(hash, Arc::clone(&found));
        }
        Ok(Some(found))
    }
}

/// Whom the credentials stand for. Absent ones, and those of a scheme that the server does not know, stand
/// for nobody, which is no error here.
///
/// # Errors
/// `Unauthorized`: they are wrong, revoked, expired, or their user was deactivated. 403 for a change by a session
/// without the proof that one of our own pages asks for it.
pub(super) fn authenticate(
    api: &Api,
    connection: &Connection,
    request: &Request,
    credentials: &Credentials,
) -> Result<Caller, Failure> {
    let now = request.received;
    let known = &api.known_tokens;
    let find = |text: &str| known.find(&api.store, connection, TokenHash::of(text));
    Ok(match credentials {
        Credentials::Bearer(text) if text.starts_with(ORGANIZATION_PREFIX) => {
            organization_token(find(&text)?, now)?
        }
        Credentials::Bearer(text) => user_token(find(&text)?, now)?,
        Credentials::BearerEmpty => {
            return Err(unauthorized("Invalid token header. No credentials provided.").into());
        }
        Credentials::BearerWithSpaces => {
            let text = "Invalid token header. Token string should not contain spaces.";
            return Err(unauthorized(text).into());
        }
        // A legacy API key is the user name before an empty password; with a password it is some other scheme's
        // business.
        Credentials::Basic { user, password } if password.is_empty() => api_key(find(user)?, now)?,
        Credentials::Basic { .. } | Credentials::Other => Caller::Anonymous,
        Credentials::None => session(api, connection, request)?,
    })
}

fn organization_token(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Caller> {
    let Some(known) = known else {
        return Err(unauthorized("Invalid org token"));
    };
    let token = &known.token;
    let TokenOwner::Organization(organization) = token.owner else {
        return Err(unauthorized("Invalid org token"));
    };
    refuse_expired(token, now)?;
    Ok(Caller::OrganizationToken {
        organization,
        token: token.id,
        scopes: token.scopes,
        projects: token.projects.as_slice().into(),
    })
}

fn user_token(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Caller> {
    let Some(known) = known else {
        return Err(unauthorized("Invalid token"));
    };
    let token = &known.token;
    let TokenOwner::User(user) = token.owner else {
        return Err(unauthorized("Invalid token"));
    };
    refuse_expired(token, now)?;
    if !known.user_is_active {
        return Err(unauthorized("User inactive or deleted"));
    }
    Ok(Caller::UserToken {
        user,
        token: token.id,
        scopes: token.scopes,
        projects: token.projects.as_slice().into(),
    })
}

fn api_key(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Caller> {
    const WRONG: &str = "API key is not valid";
    let Some(known) = known else {
        return Err(unauthorized(WRONG));
    };
    let token = &known.token;
    let TokenOwner::ApiKey(organization) = token.owner else {
        return Err(unauthorized(WRONG));
    };
    if token.disabled {
        return Err(unauthorized("Key is disabled"));
    }
    refuse_expired(token, now)?;
    Ok(Caller::OrganizationToken {
        organization,
        token: token.id,
        scopes: token.scopes,
        projects: token.projects.as_slice().into(),
    })
}

/// Of a browser. A session that is over is none, so that a page can say so.
fn session(api: &Api, connection: &Connection, request: &Request) -> Result<Caller, Failure> {
    let Some((secret, session)) = find_session(connection, request)? else {
        return Ok(Caller::Anonymous);
    };
    if !matches!(request.method, Method::Get | Method::Head) {
        let proof = request.headers.get("X-CSRFToken").unwrap_or_default();
        if !csrf_token(&secret).matches(proof) {
            let text = "CSRF Failed: CSRF token missing or incorrect.";
            return Err(error::detail(403, text).into());
        }
    }
    api.identity.keep_awake(&session, request.received);
    Ok(Caller::Session {
        user: session.user,
        session: session.id,
    })
}

/// The session whose cookie came along, if it is not over.
fn find_session(connection: &Connection, request: &Request) -> Result<Option<(Secret, Session)>> {
    let Some(secret) = session_cookie(request) else {
        return Ok(None);
    };
    let session = sessions::find_by_hash(connection, secret.hash())?;
    let session = session.filter(|session| !session.is_expired(request.received));
    Ok(session.map(|session| (secret, session)))
}

/// What a browser sends that was signed in once.
pub(super) fn session_cookie(request: &Request) -> Option<Secret> {
    cookies::find(&request.headers, SESSION_COOKIE).and_then(Secret::parse)
}

fn refuse_expired(token: &Token, now: Timestamp) -> Result<()> {
    if token.is_expired(now) {
        return Err(unauthorized("Token expired"));
    }
    Ok(())
}

/// For an endpoint that wants to know who is asking.
pub(super) fn not_provided() -> Error {
    unauthorized("Authentication credentials were not provided.")
}

fn unauthorized(text: &str) -> Error {
    Error::Unauthorized(text.to_owned())
}
