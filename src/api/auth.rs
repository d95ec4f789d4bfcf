//! From the `Authorization` field to a [`Caller`] (facts/management-api.md 1.4, facts/auth-and-tokens.md 5).
//!
//! Says who is asking and nothing of what they may do. Tokens are looked up for every request, so a revoked
//! one is refused at once.

use crate::domain::access::Caller;
use crate::domain::time::Timestamp;
use crate::domain::token::{ORGANIZATION_PREFIX, Token, TokenHash, TokenOwner};
use crate::domain::{Error, Result};
use crate::http::credentials::Credentials;
use crate::store::{Connection, tokens, users};

/// Whom the credentials stand for. Absent ones, and those of a scheme that the server does not know, stand
/// for nobody, which is no error here.
///
/// # Errors
/// `Unauthorized`: they are wrong, revoked, expired, or their user was deactivated.
pub(super) fn authenticate(
    connection: &Connection,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Caller> {
    match credentials {
        Credentials::Bearer(text) if text.starts_with(ORGANIZATION_PREFIX) => {
            organization_token(connection, text, now)
        }
        Credentials::Bearer(text) => user_token(connection, text, now),
        Credentials::BearerEmpty => Err(unauthorized(
            "Invalid token header. No credentials provided.",
        )),
        Credentials::BearerWithSpaces => Err(unauthorized(
            "Invalid token header. Token string should not contain spaces.",
        )),
        // A legacy API key is the user name before an empty password. Picket makes none, so none is valid;
        // with a password it is some other scheme's business.
        Credentials::Basic { password, .. } if password.is_empty() => {
            Err(unauthorized("API key is not valid"))
        }
        Credentials::None | Credentials::Basic { .. } | Credentials::Other => Ok(Caller::Anonymous),
    }
}

fn organization_token(connection: &Connection, text: &str, now: Timestamp) -> Result<Caller> {
    let token = find(connection, text)?;
    match token {
        Some(
            token @ Token {
                owner: TokenOwner::Organization(organization),
                ..
            },
        ) => {
            refuse_expired(&token, now)?;
            Ok(Caller::OrganizationToken {
                organization,
                token: token.id,
                scopes: token.scopes,
            })
        }
        _ => Err(unauthorized("Invalid org token")),
    }
}

fn user_token(connection: &Connection, text: &str, now: Timestamp) -> Result<Caller> {
    let token = find(connection, text)?;
    let Some((token, TokenOwner::User(user))) = token.map(|token| {
        let owner = token.owner;
        (token, owner)
    }) else {
        return Err(unauthorized("Invalid token"));
    };
    refuse_expired(&token, now)?;
    if !users::find(connection, user)?.is_some_and(|user| user.active) {
        return Err(unauthorized("User inactive or deleted"));
    }
    Ok(Caller::UserToken {
        user,
        token: token.id,
        scopes: token.scopes,
    })
}

/// A revoked token is as good as none.
fn find(connection: &Connection, text: &str) -> Result<Option<Token>> {
    let token = tokens::find_by_hash(connection, TokenHash::of(text))?;
    Ok(token.filter(|token| token.revoked.is_none()))
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
