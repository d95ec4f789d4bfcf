//! `/api/0/auth/`: sessions, for programs that sign in as a browser does (facts/auth-and-tokens.md 7 and 9.1).
//!
//! Whoever signs in here has no session yet, so there is nothing to prove by a CSRF token; and the cookies that come
//! along say nothing about who it is. What is left is that a page of another site signs somebody in as its own user: it
//! is refused by its `Origin`, which browsers send with every form.

use serde::Serialize;
use serde_json::json;

use super::body::Given;
use super::error::{self, Result};
use super::users::SelfBody;
use super::{Api, Call, auth};
use crate::domain::access::Caller;
use crate::domain::id::SessionId;
use crate::domain::slug::IdOrSlug;
use crate::domain::{Error, FieldErrors};
use crate::http::credentials::Credentials;
use crate::http::{Request, Response};
use crate::identity::single_sign_on::{Departure, Leaving};
use crate::identity::{Begun, NotSignedIn, Try, Visitor, cookies};
use crate::store::{identity_providers, organizations, sessions, users};

/// Where a browser goes on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedInBody {
    next_uri: &'static str,
    /// Null while the code of the second factor is awaited.
    user: Option<SelfBody>,
}

const HOME: &str = "/";
const SECOND_FACTOR_PAGE: &str = "/auth/2fa/";

/// `POST /api/0/auth/`: signs in with name and password of the `Authorization` field, and sets the cookies. 400 without
/// a body when they are wrong; 403 when they are not enough.
pub(super) fn with_basic(api: &Api, call: Call<'_>) -> Result<Response> {
    refuse_hidden_origin(&call)?;
    let Credentials::Basic { user, password } = Credentials::read(&call.request.headers) else {
        return Ok(Response::empty(400));
    };
    match sign_in(api, &call.request, &user, &password) {
        Ok(Begun::Session(new)) => {
            let body = SelfBody::read(&call.connection, &new.user)?;
            let answer = never_cached(Response::json(200, &body));
            Ok(cookies::with_session(answer, &new, api.is_https()))
        }
        Ok(Begun::NeedsCode(_)) => Err(error::needs_second_factor().into()),
        Err(NotSignedIn::Failed(error)) => Err(error.into()),
        Err(NotSignedIn::Busy) => Err(error::busy().into()),
        Err(NotSignedIn::Wrong | NotSignedIn::Lapsed | NotSignedIn::Throttled { .. }) => {
            Ok(Response::empty(400))
        }
    }
}

/// `POST /api/0/auth/login/` with `username` and `password`: the same, and on to the page for the second factor.
pub(super) fn with_password(api: &Api, mut call: Call<'_>) -> Result<Response> {
    refuse_hidden_origin(&call)?;
    let mut fields = call.body()?;
    let mut read = |name| {
        fields.refuse_missing(name);
        match fields.secret(name) {
            Given::Value(text) => text,
            Given::Absent | Given::Null => String::new(),
        }
    };
    let (username, password) = (read("username"), read("password"));
    let errors = fields.into_errors();
    if !errors.is_empty() {
        return Err(error::login_failed(&errors).into());
    }
    let whole = |text: &str| {
        let mut errors = FieldErrors::default();
        errors.add("__all__", text);
        error::login_failed(&errors)
    };
    match sign_in(api, &call.request, &username, &password) {
        Ok(Begun::Session(new)) => {
            let body = SignedInBody {
                next_uri: HOME,
                user: Some(SelfBody::read(&call.connection, &new.user)?),
            };
            let answer = never_cached(Response::json(200, &body));
            Ok(cookies::with_session(answer, &new, api.is_https()))
        }
        Ok(Begun::NeedsCode(pending)) => {
            let body = SignedInBody {
                next_uri: SECOND_FACTOR_PAGE,
                user: None,
            };
            let answer = never_cached(Response::json(200, &body));
            Ok(cookies::with_pending(answer, &pending, api.is_https()))
        }
        Err(NotSignedIn::Failed(error)) => Err(error.into()),
        Err(NotSignedIn::Busy) => Err(error::busy().into()),
        Err(NotSignedIn::Wrong | NotSignedIn::Lapsed) => {
            Err(whole("The user name or the password is not right.").into())
        }
        Err(NotSignedIn::Throttled { .. }) => {
            Err(whole("Too many tries. Please wait a few minutes and try again.").into())
        }
    }
}

/// # Errors
/// 400 for a page that hides where it is from; any other was looked at before.
fn refuse_hidden_origin(call: &Call<'_>) -> Result<()> {
    match call.request.headers.get("Origin") {
        Some("null") => Err(error::invalid_origin("null").into()),
        _ => Ok(()),
    }
}

fn sign_in(api: &Api, request: &Request, name: &str, password: &str) -> Result<Begun, NotSignedIn> {
    api.identity.sign_in(&Try {
        email: name,
        password,
        visitor: &Visitor::of(request),
    })
}

/// `PUT /api/0/auth/` with `password`: whoever is signed in gives it once more, for changes that ask for it. 400 without
/// one, 403 when it is wrong, each with a code.
pub(super) fn verify(api: &Api, mut call: Call<'_>) -> Result<Response> {
    if matches!(call.caller, Caller::Anonymous) {
        return Err(auth::not_provided().into());
    }
    let (user, session) = call.session()?;
    let mut fields = call.body()?;
    let Given::Value(password) = fields.secret("password") else {
        return Err(error::not_verified(400, "missing-password").into());
    };
    let visitor = Visitor::of(&call.request);
    match api.identity.verify(&user, session, &password, &visitor) {
        Ok(()) => {
            let body = SelfBody::read(&call.connection, &user)?;
            Ok(never_cached(Response::json(200, &body)))
        }
        Err(NotSignedIn::Failed(error)) => Err(error.into()),
        Err(NotSignedIn::Busy) => Err(error::busy().into()),
        Err(NotSignedIn::Wrong | NotSignedIn::Lapsed) => {
            Err(error::not_verified(403, "ignore").into())
        }
        Err(NotSignedIn::Throttled { retry_after_secs }) => {
            Err(error::too_many_tries(retry_after_secs).into())
        }
    }
}

/// `DELETE /api/0/auth/`: the session is over, also for whoever copied its cookie. Without one there is nothing to end.
/// One that a SAML provider began goes on there, until the browser has been to `sloUrl`.
pub(super) fn sign_out(api: &Api, call: Call<'_>) -> Result<Response> {
    let mut departure = None;
    match call.caller {
        Caller::Session { user, session } => {
            departure = saml_departure(api, &call, session)?;
            api.store
                .write(move |unit| sessions::delete(unit, user, session))?;
        }
        Caller::Anonymous => {}
        // A token is not a session, and goes on.
        Caller::UserToken { .. } | Caller::OrganizationToken { .. } => {
            return Err(Error::Forbidden.into());
        }
    }
    let response = match departure {
        None => Response::empty(204),
        Some(departure) => {
            let body = json!({ "sloUrl": departure.url });
            let response = never_cached(Response::json(200, &body));
            cookies::with_departure(response, &departure.browser, api.is_https())
        }
    };
    Ok(cookies::without_session(response, api.is_https()))
}

/// Where a session goes on at the SAML provider that began it, if it does.
fn saml_departure(api: &Api, call: &Call<'_>, session: SessionId) -> Result<Option<Departure>> {
    let connection = &call.connection;
    let Some(saml) = sessions::find_saml(connection, session)? else {
        return Ok(None);
    };
    let id = sessions::find(connection, session)?.and_then(|session| session.provider);
    let Some(id) = id else { return Ok(None) };
    let Some(provider) = identity_providers::find(connection, id)? else {
        return Ok(None);
    };
    let segment = IdOrSlug::Id(provider.organization.0);
    let Some(organization) = organizations::find(connection, &segment)? else {
        return Ok(None);
    };
    let leaving = Leaving {
        provider: &provider,
        organization: organization.slug.as_str(),
        id_token: None,
        saml: Some(saml),
        browser: cookies::departed(&call.request.headers),
    };
    Ok(api
        .identity
        .sign_out_there(leaving, call.request.received)?)
}

/// `GET /api/0/auth/config/`: what a page for signing in shows; for who is signed in, where to go on.
pub(super) fn config(api: &Api, call: Call<'_>) -> Result<Response> {
    if let Some(user) = call.caller.user()
        && users::find(&call.connection, user)?.is_some()
    {
        return Ok(never_cached(Response::json(
            200,
            &json!({ "nextUri": HOME }),
        )));
    }
    let url = api.prefix.as_str();
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let mut body = json!({ "serverHostname": host, "canRegister": false, "hasNewsletter": false });
    if auth::session_cookie(&call.request).is_some() {
        body["warning"] = json!("Your session has expired.");
    }
    Ok(never_cached(Response::json(200, &body)))
}

fn never_cached(response: Response) -> Response {
    response.with_header(
        "Cache-Control",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
}
