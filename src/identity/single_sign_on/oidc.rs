//! OpenID Connect: the authorization code flow with PKCE (facts/auth-and-tokens.md 9.5). `openidconnect` makes the
//! requests and checks the answers; what it asks goes through our own client.
//!
//! What a provider says about itself is remembered for a day and its keys for an hour. A token that is signed with a key
//! that is not among them makes us look again, now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenClaims,
    CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout,
    RedirectUrl, Scope, SignatureVerificationError, TokenResponse,
};
use serde_json::Value;

use crate::domain::single_sign_on::{Claims, Oidc, RoleRules};
use crate::domain::time::Timestamp;
use crate::outbound::http::{Client, NoAnswer};

/// Why a provider is of no use just now. The sentence is for the log.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be reached, or says nothing that can be understood.
    Down(String),
    /// What it says, or what was said in its name, is refused.
    Refused(String),
}

/// What a sign-in needs to be finished, beside the answer.
pub(super) struct Asked {
    /// Where the browser is to go.
    pub(super) url: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) pkce_verifier: String,
}

/// Who came, and the proof that the provider gave.
pub(super) struct Proven {
    pub(super) claims: Claims,
    pub(super) id_token: String,
}

const METADATA_SECS: i64 = 86_400;
const KEYS_SECS: i64 = 3_600;
/// After a failure, and after a look for new keys, a provider is left alone so long.
const PAUSE_SECS: i64 = 10;
/// How much the clocks of both may differ, and how old a new token may be.
const SKEW_SECS: i64 = 300;
const ISSUERS_MAX: usize = 1_000;
const SUBJECT_BYTES_MAX: usize = 255;
const GROUPS_MAX: usize = 1_000;

/// All providers that were asked, by issuer.
#[derive(Default)]
pub(super) struct Providers(Mutex<HashMap<String, Arc<Mutex<Known>>>>);

/// What is remembered of a provider.
#[derive(Default)]
struct Known {
    about: Option<(About, Timestamp)>,
    /// When its keys were last asked for.
    keys_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

/// What a provider says about itself, with its keys.
pub(super) type About = ProviderMetadataWithLogout;

impl Known {
    fn fresh(&self, now: Timestamp) -> Option<About> {
        let is_fresh = |at: Timestamp, secs: i64| at <= now && now < at.plus_secs(secs);
        let (about, at) = self.about.as_ref()?;
        let keys_at = self.keys_at?;
        (is_fresh(*at, METADATA_SECS) && is_fresh(keys_at, KEYS_SECS)).then(|| about.clone())
    }
}

impl Providers {
    /// What is remembered of a provider, if that is not old and nobody asks for it anew just now.
    pub(super) fn known_about(&self, oidc: &Oidc, now: Timestamp) -> Option<About> {
        let known = self.known(&oidc.issuer);
        known.try_lock().ok()?.fresh(now)
    }

    fn known(&self, issuer: &str) -> Arc<Mutex<Known>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ISSUERS_MAX && !all.contains_key(issuer) {
            all.clear();
        }
        Arc::clone(all.entry(issuer.to_owned()).or_default())
    }

    /// What a provider says about itself. Whoever asks for the same one meanwhile waits for the answer.
    ///
    /// # Errors
    /// `Down`, also for a moment after it was, so that nobody waits for it again and again.
    pub(super) fn about(
        &self,
        http: &Client,
        oidc: &Oidc,
        now: Timestamp,
    ) -> Result<About, Trouble> {
        let known = self.known(&oidc.issuer);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(about) = known.fresh(now) {
            return Ok(about);
        }
        let is_fresh = |at: Timestamp, secs: i64| at <= now && now < at.plus_secs(secs);
        if known.failed_at.is_some_and(|at| is_fresh(at, PAUSE_SECS)) {
            return Err(Trouble::Down("it did not answer a moment ago".to_owned()));
        }
        let found = match &known.about {
            Some((about, at)) if is_fresh(*at, METADATA_SECS) => {
                fetch_keys(http, about).map(|about| (about, *at))
            }
            _ => discover(http, oidc).map(|about| (about, now)),
        };
        match found {
            Ok(found) => {
                let about = found.0.clone();
                *known = Known {
                    about: Some(found),
                    keys_at: Some(now),
                    failed_at: None,
                };
                Ok(about)
            }
            Err(trouble) => {
                known.failed_at = Some(now);
                Err(trouble)
            }
        }
    }

    /// The provider with other keys than `old` has; none if they were asked for a moment ago.
    fn with_new_keys(
        &self,
        http: &Client,
        oidc: &Oidc,
        old: &About,
        now: Timestamp,
    ) -> Result<Option<About>, Trouble> {
        let known = self.known(&oidc.issuer);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else has asked meanwhile.
        if let Some((about, _)) = &known.about
            && about.jwks() != old.jwks()
        {
            return Ok(Some(about.clone()));
        }
        let asked = known.keys_at;
        if asked.is_some_and(|at| at <= now && now < at.plus_secs(PAUSE_SECS)) {
            return Ok(None);
        }
        known.keys_at = Some(now);
        let Some((about, _)) = &mut known.about else {
            return Ok(None);
        };
        *about = fetch_keys(http, about)?;
        Ok(Some(about.clone()))
    }
}

fn call(http: &Client) -> impl Fn(HttpRequest) -> Result<HttpResponse, NoAnswer> {
    |request| http.call(request)
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text.escape_debug().to_string()
}

fn down(error: &dyn std::error::Error) -> Trouble {
    Trouble::Down(chain(error))
}

fn refused(text: impl Into<String>) -> Trouble {
    Trouble::Refused(text.into())
}

fn discover(http: &Client, oidc: &Oidc) -> Result<About, Trouble> {
    let issuer = IssuerUrl::new(oidc.issuer.clone()).map_err(|error| down(&error))?;
    let about = About::discover(&issuer, &call(http)).map_err(|error| down(&error))?;
    // The browser is sent there, so it is held to the same rules.
    let logout = &about.additional_metadata().end_session_endpoint;
    let pages = [
        Some(about.authorization_endpoint().as_str()),
        logout.as_ref().map(|url| url.as_str()),
    ];
    for url in pages.into_iter().flatten() {
        http.check_url(url)
            .map_err(|text| Trouble::Down(format!("{}: {text}", url.escape_debug())))?;
    }
    Ok(about)
}

fn fetch_keys(http: &Client, about: &About) -> Result<About, Trouble> {
    let keys =
        CoreJsonWebKeySet::fetch(about.jwks_uri(), &call(http)).map_err(|error| down(&error))?;
    Ok(about.clone().set_jwks(keys))
}

/// Where to send somebody, and what to remember meanwhile.
pub(super) fn ask(about: &About, oidc: &Oidc, callback: &RedirectUrl) -> Result<Asked, Trouble> {
    let client = CoreClient::from_provider_metadata(
        about.clone(),
        ClientId::new(oidc.client_id.clone()),
        None,
    )
    .set_redirect_uri(callback.clone());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            || CsrfToken::new_random_len(32),
            || Nonce::new_random_len(32),
        )
        .add_scopes(oidc.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .url();
    Ok(Asked {
        url: url.into(),
        state: state.into_secret(),
        nonce: nonce.secret().clone(),
        pkce_verifier: verifier.into_secret(),
    })
}

/// What came back.
pub(super) struct Answer<'a> {
    pub(super) code: &'a str,
    pub(super) nonce: String,
    pub(super) pkce_verifier: String,
}

impl Providers {
    /// Trades the code for a token, and checks it.
    pub(super) fn prove(
        &self,
        http: &Client,
        oidc: &Oidc,
        roles: &RoleRules,
        callback: &RedirectUrl,
        answer: Answer<'_>,
        now: Timestamp,
    ) -> Result<Proven, Trouble> {
        let about = self.about(http, oidc, now)?;
        let secret = oidc.client_secret.as_ref();
        let client = CoreClient::from_provider_metadata(
            about.clone(),
            ClientId::new(oidc.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.reveal().to_owned())),
        )
        .set_redirect_uri(callback.clone())
        .set_auth_type(auth_type(&about));
        let tokens = client
            .exchange_code(AuthorizationCode::new(answer.code.to_owned()))
            .map_err(|error| down(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(answer.pkce_verifier))
            .request(&call(http))
            .map_err(|error| match &error {
                openidconnect::RequestTokenError::ServerResponse(_) => refused(chain(&error)),
                _ => down(&error),
            })?;
        let id_token = tokens
            .id_token()
            .ok_or_else(|| refused("there is no ID token in the answer"))?;
        let nonce = Nonce::new(answer.nonce);
        let claims = match verified(&about, oidc, id_token, &nonce, now) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let Some(about) = self.with_new_keys(http, oidc, &about, now)? else {
                    return Err(refused(
                        "it is signed with a key that the provider does not name",
                    ));
                };
                verified(&about, oidc, id_token, &nonce, now)
            }
            other => other,
        }
        .map_err(|error| refused(chain(&error)))?;
        let text = id_token.to_string();
        let mut found = read_claims(claims, &text, roles)?;
        let lacks_groups = payload(&text)[&roles.groups_claim].is_null();
        let wants_groups = !roles.by_group.is_empty() && lacks_groups;
        if found.email.is_none() || wants_groups {
            let token = tokens.access_token().secret();
            add_user_info(http, &about, token, roles, &mut found)?;
        }
        Ok(Proven {
            claims: found,
            id_token: text,
        })
    }
}

/// How this server proves itself to the provider: in the head of the request, unless it is said to take it in the body
/// only.
fn auth_type(about: &About) -> AuthType {
    let methods = about.token_endpoint_auth_methods_supported();
    let takes =
        |wanted: &CoreClientAuthMethod| methods.is_none_or(|methods| methods.contains(wanted));
    if !takes(&CoreClientAuthMethod::ClientSecretBasic)
        && takes(&CoreClientAuthMethod::ClientSecretPost)
    {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// The claims of a token whose signature, issuer, audience, times and nonce are right. Whatever a provider says that it
/// supports, it signs with RS256 or ES256: never with a shared secret, and never not at all.
fn verified<'a>(
    about: &About,
    oidc: &Oidc,
    id_token: &'a CoreIdToken,
    nonce: &Nonce,
    now: Timestamp,
) -> Result<&'a CoreIdTokenClaims, ClaimsVerificationError> {
    let client_id = ClientId::new(oidc.client_id.clone());
    let moment = |at: Timestamp| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.secs()).unwrap_or(0))
    };
    let (oldest, newest) = (now.plus_secs(-SKEW_SECS), now.plus_secs(SKEW_SECS));
    let verifier = CoreIdTokenVerifier::new_public_client(
        client_id,
        about.issuer().clone(),
        about.jwks().clone(),
    )
    .set_allowed_algs([
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    ])
    .set_time_fn(move || moment(now).into())
    .set_issue_time_verifier_fn(move |issued| {
        let secs = issued.timestamp();
        match (oldest.secs()..=newest.secs()).contains(&secs) {
            true => Ok(()),
            false => Err("it was not issued just now".to_owned()),
        }
    });
    let claims = id_token.claims(&verifier, nonce)?;
    // Who the token was made for, where its audience alone does not say.
    match claims.authorized_party() {
        Some(party) if **party != oidc.client_id => Err(ClaimsVerificationError::InvalidAudience(
            "it was made for another client".to_owned(),
        )),
        _ => Ok(claims),
    }
}

fn read_claims(
    claims: &CoreIdTokenClaims,
    text: &str,
    roles: &RoleRules,
) -> Result<Claims, Trouble> {
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(refused("its subject is empty or too long"));
    }
    let name = claims.name().and_then(|name| name.get(None));
    Ok(Claims {
        subject: subject.to_owned(),
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified(),
        name: name.map(|name| name.to_string()),
        groups: groups(&payload(text), &roles.groups_claim),
    })
}

/// All claims of a token that was checked before.
fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The groups that a claim lists; a text is a list of one.
fn groups(claims: &Value, name: &str) -> Vec<String> {
    match &claims[name] {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .take(GROUPS_MAX)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// Adds what some providers say only when they are asked for it. A provider without such an endpoint, or one that
/// answers there with anything but JSON, adds nothing.
fn add_user_info(
    http: &Client,
    about: &About,
    access_token: &str,
    roles: &RoleRules,
    claims: &mut Claims,
) -> Result<(), Trouble> {
    let Some(endpoint) = about.userinfo_endpoint() else {
        return Ok(());
    };
    let request = ureq::http::Request::get(endpoint.as_str())
        .header("Accept", "application/json")
        .header("Authorization", format!("Bearer {access_token}"))
        .body(Vec::new())
        .map_err(|error| down(&error))?;
    let answer = http.call(request).map_err(|error| down(&error))?;
    if answer.status() != 200 {
        return Err(Trouble::Down(format!(
            "it answers {} where it is asked about a user",
            answer.status()
        )));
    }
    let Ok(more) = serde_json::from_slice::<Value>(answer.body()) else {
        return Ok(());
    };
    // Somebody else's data would be taken for this one's (OpenID Connect Core 5.3.2).
    if more["sub"].as_str() != Some(claims.subject.as_str()) {
        return Err(refused("it tells about another user than it was asked for"));
    }
    if claims.email.is_none() {
        claims.email = more["email"].as_str().map(str::to_owned);
        claims.email_verified = match &more["email_verified"] {
            Value::Bool(is) => Some(*is),
            Value::String(word) => Some(word == "true"),
            _ => None,
        };
    }
    if claims.name.is_none() {
        claims.name = more["name"].as_str().map(str::to_owned);
    }
    if claims.groups.is_empty() {
        claims.groups = groups(&more, &roles.groups_claim);
    }
    Ok(())
}

/// Where to send somebody to sign out at the provider too, if it offers that.
pub(super) fn logout_url(
    about: &About,
    oidc: &Oidc,
    id_token: Option<&str>,
    back: &str,
) -> Option<String> {
    let endpoint = about.additional_metadata().end_session_endpoint.clone()?;
    let mut request =
        LogoutRequest::from(endpoint).set_client_id(ClientId::new(oidc.client_id.clone()));
    if let Ok(back) = PostLogoutRedirectUrl::new(back.to_owned()) {
        request = request.set_post_logout_redirect_uri(back);
    }
    if let Some(token) = id_token.and_then(|text| text.parse::<CoreIdToken>().ok()) {
        request = request.set_id_token_hint(&token);
    }
    Some(request.http_get_url().into())
}
