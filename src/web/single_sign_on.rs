//! `/auth/login/{org}/` and `/auth/sso/{org}/`: signing in through the identity provider of an organization
//! (facts/auth-and-tokens.md 9.1 and 9.5).

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{self, checked_next, redirect};
use super::layout::{self, Head};
use super::session::SignedIn;
use super::{Visit, Web};
use crate::domain::id::{OrganizationId, ProviderId};
use crate::domain::secret::Secret;
use crate::domain::single_sign_on::{IdentityProvider, SamlSession};
use crate::domain::slug::IdOrSlug;
use crate::http::cookies::{self, Lifetime};
use crate::http::{Request, Response};
use crate::identity::single_sign_on::{
    Arrival, Leaving, NotArrived, Offered, Return, Stopped, login_path,
};
use crate::identity::{ID_TOKEN_COOKIE, Visitor, cookies as cookies_of};
use crate::store::organizations::{self, Organization};
use crate::store::{Connection, identity_providers};

/// Where the token of the provider is sent to.
const SIGN_OUT_PATH: &str = "/auth/logout/";

/// Browsers keep no more in a cookie, with its name and attributes.
const ID_TOKEN_BYTES_MAX: usize = 3_800;

#[derive(Template)]
#[template(path = "single_sign_on.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    organization: &'a Organization,
    provider: &'a IdentityProvider,
    /// For the links, percent-encoded.
    next: String,
}

/// The organization of a path and its provider; none also for who asks for an organization that is not there.
fn find_provider(visit: &Visit<'_>) -> Result<Option<(Organization, IdentityProvider)>> {
    let segment = IdOrSlug::parse(visit.params.get("org"));
    let Some(organization) = organizations::find(&visit.connection, &segment)? else {
        return Ok(None);
    };
    let provider = identity_providers::find_of(&visit.connection, organization.id)?;
    Ok(provider.map(|provider| (organization, provider)))
}

fn next_of(request: &Request) -> String {
    let next = request.query_value("next").unwrap_or_default();
    checked_next(&next).to_owned()
}

/// `GET /auth/login/{org}/`: the way to the organization's provider. Where there is none, the page for everybody.
pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = form::encoded(&next_of(visit.request));
    let Some((organization, provider)) = find_provider(visit)? else {
        return Ok(redirect(format!("/auth/login/?next={next}")));
    };
    let page = Page {
        head: Head::of(visit),
        organization: &organization,
        provider: &provider,
        next,
    };
    Ok(layout::page(200, &page))
}

/// `GET /auth/login/{org}/sso/`: off to the provider.
pub(super) fn depart(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let next = next_of(visit.request);
    let Some((organization, provider)) = find_provider(visit)? else {
        return Ok(redirect(format!(
            "/auth/login/?next={}",
            form::encoded(&next)
        )));
    };
    let visitor = Visitor::of(visit.request);
    let departed = web.identity.depart(
        &provider,
        &visitor,
        cookies_of::departed(&visit.request.headers),
        &next,
    );
    match departed {
        Ok(departure) => Ok(cookies_of::with_departure(
            redirect(departure.url),
            &departure.browser,
            web.is_https(),
        )),
        Err(why) => refusal(visit, why, &login_path(organization.slug.as_str())),
    }
}

/// `GET /auth/sso/{org}/`: back from the provider.
pub(super) fn arrive(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let request = visit.request;
    let value = |name: &str| request.query_value(name).filter(|value| !value.is_empty());
    let (state, code) = (value("state"), value("code"));
    let (error, issuer) = (value("error"), value("iss"));
    let browser = cookies_of::departed(&request.headers);
    let back = Return {
        state: state.as_deref().unwrap_or_default(),
        code: code.as_deref(),
        error: error.as_deref(),
        organization: visit.params.get("org").parse().ok().map(OrganizationId),
        issuer: issuer.as_deref(),
        browser: browser.as_ref(),
    };
    let user = visit.signed_in.as_ref().map(|signed_in| signed_in.user.id);
    let arrived = web.identity.arrive(&back, &Visitor::of(request), user);
    match arrived {
        Ok(arrival) => answer(web, visit, arrival),
        Err(stopped) => stop(visit, stopped),
    }
}

/// A page that says why nobody is signed in, and leads back to where it began.
pub(super) fn stop(visit: &Visit<'_>, stopped: Stopped) -> Result<Response> {
    let organization = match stopped.organization {
        Some(id) => organizations::find(&visit.connection, &IdOrSlug::Id(id.0))?,
        None => None,
    };
    let again = match organization {
        Some(organization) => login_path(organization.slug.as_str()),
        None => "/auth/login/".to_owned(),
    };
    refusal(visit, stopped.why, &again)
}

/// What follows when somebody comes from a provider of whatever kind.
pub(super) fn answer(web: &Web, visit: &Visit<'_>, arrival: Arrival) -> Result<Response> {
    match arrival {
        Arrival::SignedIn {
            begun,
            next,
            id_token,
        } => {
            let response = web.enter(visit, checked_next(&next), &begun)?;
            Ok(match id_token {
                Some(id_token) => with_id_token(web, response, &id_token),
                None => response,
            })
        }
        Arrival::MayLink {
            offer,
            provider,
            known_as,
        } => {
            let offered = Offered { provider, known_as };
            link_page(visit, 200, &offer, &offered, None)
        }
        Arrival::HasAccount {
            organization,
            provider,
            email,
        } => {
            let segment = IdOrSlug::Id(organization.0);
            let organization =
                organizations::find(&visit.connection, &segment)?.ok_or(Failure::NotFound)?;
            let start = format!("{}sso/", login_path(organization.slug.as_str()));
            let page = AccountPage {
                head: Head::of(visit),
                provider: &provider,
                email: &email,
                next: form::encoded(&start),
            };
            Ok(layout::page(200, &page))
        }
    }
}

/// The browser keeps what the provider is shown again at the end, if it fits.
fn with_id_token(web: &Web, response: Response, id_token: &str) -> Response {
    if id_token.len() > ID_TOKEN_BYTES_MAX {
        return response;
    }
    let cookie = cookies::set_below(
        SIGN_OUT_PATH,
        ID_TOKEN_COOKIE,
        id_token,
        Lifetime::Session,
        web.is_https(),
    );
    response.with_header("Set-Cookie", cookie)
}

#[derive(Template)]
#[template(path = "single_sign_on_account.html", config = "src/web/askama.toml")]
struct AccountPage<'a> {
    head: Head<'a>,
    provider: &'a str,
    email: &'a str,
    /// For the link, percent-encoded.
    next: String,
}

#[derive(Template)]
#[template(path = "single_sign_on_link.html", config = "src/web/askama.toml")]
struct LinkPage<'a> {
    head: Head<'a>,
    offered: &'a Offered,
    email: &'a str,
    has_password: bool,
    offer: &'a str,
    problems: Vec<&'a str>,
}

fn link_page(
    visit: &Visit<'_>,
    status: u16,
    offer: &Secret,
    offered: &Offered,
    problem: Option<&str>,
) -> Result<Response> {
    let user = &visit.signed_in()?.user;
    let page = LinkPage {
        head: Head::of(visit),
        offered,
        email: &user.email,
        has_password: user.password_hash.is_some(),
        offer: offer.reveal(),
        problems: problem.into_iter().collect(),
    };
    Ok(layout::page(status, &page))
}

/// `POST /auth/sso/link/`: whoever is signed in says that the provider's user is them.
pub(super) fn link(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let SignedIn { user, session, .. } = visit.signed_in()?;
    let lapsed = || refusal(visit, NotArrived::Lapsed, "/auth/login/");
    let Some(offer) = Secret::parse(visit.form.text("offer")) else {
        return lapsed();
    };
    let Some(offered) = web.identity.offered(&offer, user.id, visit.now())? else {
        return lapsed();
    };
    let password = visit.form.text("password");
    let visitor = Visitor::of(visit.request);
    let accepted = web
        .identity
        .accept_offer(&offer, user, session, password, &visitor);
    match accepted {
        Ok(arrival) => answer(web, visit, arrival),
        Err(NotArrived::WrongPassword) => {
            let problem = match user.password_hash {
                Some(_) => "The password is not right.",
                None => "You came in too long ago. Please sign out and in, and begin again.",
            };
            link_page(visit, 400, &offer, &offered, Some(problem))
        }
        Err(NotArrived::Busy) => link_page(
            visit,
            429,
            &offer,
            &offered,
            Some("Too many tries. Please wait a few minutes and try again."),
        ),
        Err(why) => refusal(visit, why, "/auth/login/"),
    }
}

#[derive(Template)]
#[template(path = "single_sign_on_refused.html", config = "src/web/askama.toml")]
struct RefusedPage<'a> {
    head: Head<'a>,
    text: &'a str,
    again: &'a str,
}

/// A page that says why nobody is signed in. `again`: where to begin anew.
pub(super) fn refusal(visit: &Visit<'_>, why: NotArrived, again: &str) -> Result<Response> {
    let reason;
    let (status, text) = match why {
        NotArrived::Lapsed => (
            400,
            "This sign-in is over or was begun in another browser. Please begin again.",
        ),
        NotArrived::Denied => (403, "The identity provider did not sign you in."),
        NotArrived::Down => (
            503,
            "The identity provider cannot be reached. Please try again in a few minutes.",
        ),
        NotArrived::Refused => (
            403,
            "The answer of the identity provider is not to be trusted. The server's log says more.",
        ),
        NotArrived::Busy => (
            429,
            "Too many people are signing in just now. Please wait a moment and try again.",
        ),
        NotArrived::NoEmail => (
            403,
            "The identity provider does not say that it has checked your email address, or is not trusted to say so. \
             If you have an account here, sign in with its password first, and then come through the provider.",
        ),
        NotArrived::OthersEmail => (
            403,
            "Addresses of this domain come through the single sign-on of another organization.",
        ),
        NotArrived::Inactive => (403, "Your account is switched off."),
        NotArrived::WrongPassword => (403, "The password is not right."),
        NotArrived::RefusedFor(text) => {
            reason = text;
            (403, reason.as_str())
        }
        NotArrived::Failed(error) => return Err(error.into()),
    };
    let page = RefusedPage {
        head: Head::of(visit),
        text,
        again,
    };
    Ok(layout::page(status, &page))
}

#[derive(Template)]
#[template(path = "single_sign_on_left.html", config = "src/web/askama.toml")]
struct LeftPage<'a> {
    provider: &'a str,
    url: &'a str,
    again: &'a str,
}

/// Where to go when the session of a user of a provider is over: to the provider, to sign out there too. By a page in
/// between, because our policy lets no form lead to elsewhere, not even by a redirect.
pub(super) fn leave(
    web: &Web,
    visit: &Visit<'_>,
    provider: ProviderId,
    saml: Option<SamlSession>,
) -> Result<Response> {
    let Some((provider, organization)) = find_left(&visit.connection, provider)? else {
        return Ok(redirect("/auth/login/"));
    };
    let again = login_path(organization.slug.as_str());
    let id_token = cookies::find(&visit.request.headers, ID_TOKEN_COOKIE);
    let leaving = Leaving {
        provider: &provider,
        organization: organization.slug.as_str(),
        id_token,
        saml,
        browser: cookies_of::departed(&visit.request.headers),
    };
    let response = match web.identity.sign_out_there(leaving, visit.now())? {
        Some(departure) => {
            let page = LeftPage {
                provider: &provider.config.name,
                url: &departure.url,
                again: &again,
            };
            let page = layout::page(200, &page);
            cookies_of::with_departure(page, &departure.browser, web.is_https())
        }
        None => redirect(again),
    };
    let over = cookies::set_below(
        SIGN_OUT_PATH,
        ID_TOKEN_COOKIE,
        "",
        Lifetime::Over,
        web.is_https(),
    );
    Ok(response.with_header("Set-Cookie", over))
}

/// A provider that somebody came through, with its organization; none once either is gone.
pub(super) fn find_left(
    connection: &Connection,
    provider: ProviderId,
) -> Result<Option<(IdentityProvider, Organization)>> {
    let Some(provider) = identity_providers::find(connection, provider)? else {
        return Ok(None);
    };
    let segment = IdOrSlug::Id(provider.organization.0);
    let organization = organizations::find(connection, &segment)?;
    Ok(organization.map(|organization| (provider, organization)))
}
