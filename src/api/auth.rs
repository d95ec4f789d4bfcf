//! From the `Authorization` field, or a session's cookie, to a [`Caller`] (facts/management-api.md 1.4,
//! facts/auth-and-tokens.md 5).
//!
//! Says who is asking and nothing of what they may do. What the file says of a token is remembered for as long as no
//! credentials change, so that a token that is in use costs no look at the file, and a revoked one is refused at once;
//! also one that another process revoked, because what is remembered counts only while the store has just looked for
//! commits of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::access::Caller;
use crate::domain::origin::OriginPattern;
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
pub(super) struct KnownToken {
    pub(super) token: Token,
    /// Whether its user may come in; true where there is none.
    user_is_active: bool,
}

/// Whom the credentials stand for.
pub(super) struct Authenticated {
    pub(super) caller: Caller,
    /// What the caller showed, if it is a token.
    pub(super) token: Option<Arc<KnownToken>>,
    /// A browser's session that is to be kept for longer.
    pub(super) renewed: Option<Secret>,
}

impl Authenticated {
    const ANONYMOUS: Authenticated = Authenticated {
        caller: Caller::Anonymous,
        token: None,
        renewed: None,
    };

    fn of_token(token: Arc<KnownToken>) -> Authenticated {
        Authenticated {
            caller: token.caller(),
            token: Some(token),
            renewed: None,
        }
    }

    /// Whether a page of another origin may ask with these credentials: only an API key says so.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        self.token.as_ref().is_some_and(|known| {
            let lines = known.token.allowed_origins.as_str();
            lines
                .lines()
                .filter_map(OriginPattern::parse)
                .any(|pattern| pattern.matches(origin))
        })
    }
}

impl KnownToken {
    fn caller(&self) -> Caller {
        let token = &self.token;
        let projects = token.projects.as_slice().into();
        match token.owner {
            TokenOwner::User(user) => Caller::UserToken {
                user,
                token: token.id,
                scopes: token.scopes,
                projects,
            },
            TokenOwner::Organization(organization) | TokenOwner::ApiKey(organization) => {
                Caller::OrganizationToken {
                    organization,
                    token: token.id,
                    scopes: token.scopes,
                    projects,
                }
            }
        }
    }
}

/// As many are remembered; then all are forgotten. Only those that exist are, so nobody can fill this by guessing.
const KNOWN_MAX: usize = 10_000;

impl KnownTokens {
    /// The token of a text, if there is one that is not revoked. Touches no connection for one that was asked for
    /// lately.
    fn find(&self, store: &Store, text: &str) -> Result<Option<Arc<KnownToken>>> {
        let hash = TokenHash::of(text);
        // Before the reading: a change in between makes another number.
        let version = store.snapshot().credentials_version();
        if store.snapshot().is_fresh() {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.version != version {
                known.tokens.clear();
                known.version = version;
            }
            if let Some(token) = known.tokens.get(&hash) {
                return Ok(Some(Arc::clone(token)));
            }
        }
        let connection = store.read()?;
        let token = tokens::find_by_hash(&connection, hash)?;
        let Some(token) = token.filter(|token| token.revoked.is_none()) else {
            return Ok(None);
        };
        let user_is_active = match token.owner {
            TokenOwner::User(user) => {
                users::find(&connection, user)?.is_some_and(|user| user.active)
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
    request: &Request,
    credentials: &Credentials,
) -> Result<Authenticated, Failure> {
    let now = request.received;
    let find = |text: &str| api.known_tokens.find(&api.store, text);
    let token = match credentials {
        Credentials::Bearer(text) if text.starts_with(ORGANIZATION_PREFIX) => {
            organization_token(find(text)?, now)?
        }
        Credentials::Bearer(text) => user_token(find(text)?, now)?,
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
        Credentials::Basic { .. } | Credentials::Other => {
            return Ok(Authenticated::ANONYMOUS);
        }
        Credentials::None => return session(api, request),
    };
    Ok(Authenticated::of_token(token))
}

/// The caller of an endpoint that is for browsers alone: whoever sends an `Authorization` field, of whatever kind, is
/// not signed in there (facts/auth-and-tokens.md 2.2), so nothing that it holds is even looked at.
pub(super) fn authenticate_browser(api: &Api, request: &Request) -> Result<Authenticated, Failure> {
    match request.headers.get("Authorization") {
        Some(_) => Ok(Authenticated::ANONYMOUS),
        None => session(api, request),
    }
}

fn organization_token(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Arc<KnownToken>> {
    let is_one = |known: &Arc<KnownToken>| matches!(known.token.owner, TokenOwner::Organization(_));
    let known = known
        .filter(is_one)
        .ok_or_else(|| unauthorized("Invalid org token"))?;
    refuse_expired(&known.token, now)?;
    Ok(known)
}

fn user_token(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Arc<KnownToken>> {
    let is_one = |known: &Arc<KnownToken>| matches!(known.token.owner, TokenOwner::User(_));
    let known = known
        .filter(is_one)
        .ok_or_else(|| unauthorized("Invalid token"))?;
    refuse_expired(&known.token, now)?;
    if !known.user_is_active {
        return Err(unauthorized("User inactive or deleted"));
    }
    Ok(known)
}

fn api_key(known: Option<Arc<KnownToken>>, now: Timestamp) -> Result<Arc<KnownToken>> {
    let is_one = |known: &Arc<KnownToken>| matches!(known.token.owner, TokenOwner::ApiKey(_));
    let known = known
        .filter(is_one)
        .ok_or_else(|| unauthorized("API key is not valid"))?;
    if known.token.disabled {
        return Err(unauthorized("Key is disabled"));
    }
    refuse_expired(&known.token, now)?;
    Ok(known)
}

/// Of a browser. A session that is over is none, so that a page can say so.
fn session(api: &Api, request: &Request) -> Result<Authenticated, Failure> {
    let Some((secret, session)) = find_session(&*api.store.read()?, request)? else {
        return Ok(Authenticated::ANONYMOUS);
    };
    if !matches!(request.method, Method::Get | Method::Head) {
        let proof = request.headers.get("X-CSRFToken").unwrap_or_default();
        if !csrf_token(&secret).matches(proof) {
            let text = "CSRF Failed: CSRF token missing or incorrect.";
            return Err(error::detail(403, text).into());
        }
    }
    let is_renewed = api.identity.keep_awake(&session, request.received);
    Ok(Authenticated {
        caller: Caller::Session {
            user: session.user,
            session: session.id,
        },
        token: None,
        renewed: is_renewed.then_some(secret),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::Api;
    use crate::domain::actor::Actor;
    use crate::domain::dsn::UrlPrefix;
    use crate::domain::durability::Durability;
    use crate::domain::outbound::OutboundSettings;
    use crate::domain::scope::{Scope, ScopeSet};
    use crate::domain::token::TokenText;
    use crate::http::{Body, Headers};
    use crate::identity::Identity;
    use crate::outbound::http::Client;
    use crate::outbound::mail::Mailer;
    use crate::store::readers::statements;
    use crate::store::tokens::NewToken;

    const NOW: Timestamp = Timestamp::from_secs(1_767_312_000);

    fn ask(api: &Api, token: &TokenText) -> u16 {
        let mut headers = Headers::default();
        headers.push("Authorization", format!("Bearer {}", token.reveal()));
        let request = Request {
            method: Method::Get,
            // Its handler asks nothing of the file, so what is counted is the check alone.
            path: "/api/0/internal/health/".to_owned(),
            query: String::new(),
            headers,
            body: Body::empty(),
            peer: [192, 0, 2, 1].into(),
            received: NOW,
            id: "0".repeat(32),
        };
        api.handle(request).status
    }

    #[test]
    fn a_token_that_was_just_seen_is_checked_without_asking_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        let store = Arc::new(Store::open(&path, Durability::Normal).unwrap());
        let prefix = UrlPrefix::parse("http://127.0.0.1:9000").unwrap();
        let mailer = Arc::new(Mailer::start(None).unwrap());
        let http = Client::new(&OutboundSettings::default()).unwrap();
        let identity = Arc::new(Identity::new(
            Arc::clone(&store),
            mailer,
            http,
            prefix.clone(),
        ));
        let api = Api::new(Arc::clone(&store), identity, prefix, true);
        let text = TokenText::random_user();
        let made = text.clone();
        let token = store
            .write(move |unit| {
                let actor = Actor::operator(NOW);
                let user = users::create(unit, &actor, "ann@example.test", "", None)?;
                let new = NewToken {
                    owner: TokenOwner::User(user),
                    name: String::new(),
                    text: made.clone(),
                    scopes: ScopeSet::of(&[Scope::OrgRead]),
                    expires: None,
                    projects: Vec::new(),
                };
                tokens::create(unit, &actor, &new)
            })
            .unwrap();

        let statements_of = |requests: usize| {
            let before = statements::run_here();
            for _ in 0..requests {
                assert_eq!(ask(&api, &text), 200);
            }
            statements::run_here() - before
        };
        // The counter counts.
        assert!(statements_of(1) > 0);
        assert_eq!(statements_of(50), 0);

        // What changes credentials is seen at once, and then it is quiet again.
        let renamed = token.clone();
        store
            .write(move |unit| tokens::rename(unit, &renamed, "new"))
            .unwrap();
        assert!(statements_of(1) > 0);
        assert_eq!(statements_of(40), 0);

        // While nobody looks for commits of other processes, nothing is believed that is only remembered.
        let (blocked, go_on) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        store.writer().submit(
            0,
            move |_| {
                let _ = blocked.0.send(());
                let _ = go_on.1.recv();
                Ok(())
            },
            |_: Result<()>| {},
        );
        blocked.1.recv().unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        assert!(statements_of(1) > 0 && statements_of(1) > 0);
        go_on.0.send(()).unwrap();
        store.write(|_| Ok(())).unwrap();

        store
            .write(move |unit| tokens::revoke(unit, &Actor::operator(NOW), &token))
            .unwrap();
        assert_eq!(ask(&api, &text), 401);
    }
}
