//! `/saml/…/{org}/`: where a SAML provider and the browsers that it sends meet this server (facts/auth-and-tokens.md 9.4).
//! What their messages mean is [`crate::identity::single_sign_on`]'s.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::redirect;
use super::layout;
use super::{Visit, Web, single_sign_on};
use crate::domain::secret::Secret;
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::identity::single_sign_on::{Left, login_path};
use crate::identity::{Visitor, cookies};
use crate::store::organizations::{self, Organization};
use crate::store::sessions;

/// The organization of the path.
fn find(visit: &Visit<'_>) -> Result<Organization> {
    let segment = IdOrSlug::parse(visit.params.get("org"));
    organizations::find(&visit.connection, &segment)?.ok_or(Failure::NotFound)
}

/// `GET /saml/metadata/{org}/`: what to tell the provider of this server, whether or not there is one yet.
pub(super) fn metadata(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let xml = web.identity.saml_metadata(&find(visit)?.slug)?;
    Ok(Response::bytes(
        200,
        "text/xml; charset=utf-8",
        xml.into_bytes(),
    ))
}

/// `POST /saml/acs/{org}/`: the provider's answer, by a form of the provider's page. The browser fetches it with its
/// cookies, which it did not send along with this.
pub(super) fn post(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let (message, relay_state) = (
        visit.form.text("SAMLResponse"),
        visit.form.text("RelayState"),
    );
    let parked = web
        .identity
        .park(&organization, message, relay_state, visit.now())?;
    let key = parked.map(|key| format!("?answer={}", key.reveal()));
    Ok(redirect(format!(
        "/saml/acs/{}/{}",
        organization.slug,
        key.unwrap_or_default()
    )))
}

/// `GET /saml/acs/{org}/`: the same answer, with the browser's cookies.
pub(super) fn arrive(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let request = visit.request;
    let key = request.query_value("answer");
    let arrived = web.identity.arrive_by_saml(
        &organization,
        key.as_deref().and_then(Secret::parse).as_ref(),
        cookies::departed(&request.headers).as_ref(),
        &Visitor::of(request),
        visit.signed_in.as_ref().map(|signed_in| signed_in.user.id),
    );
    match arrived {
        Ok(arrival) => single_sign_on::answer(web, visit, arrival),
        Err(stopped) => single_sign_on::stop(visit, stopped),
    }
}

#[derive(Template)]
#[template(path = "saml_left.html", config = "src/web/askama.toml")]
struct LeftPage<'a> {
    everywhere: bool,
    again: &'a str,
}

/// `GET /saml/sls/{org}/`: the provider asks to end sessions, or says that it has ended its own. The browser that brings
/// a request need not be the one whose session ends.
pub(super) fn sign_out(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let request = visit.request;
    let again = login_path(organization.slug.as_str());
    let heard = web.identity.hear_sign_out(
        &organization,
        &request.query,
        cookies::departed(&request.headers).as_ref(),
        &Visitor::of(request),
    );
    let left = match heard {
        Ok(left) => left,
        Err(why) => return single_sign_on::refusal(visit, why, &again),
    };
    let response = match left {
        Left::Answer(url) => redirect(url),
        Left::Over { everywhere } => {
            let page = LeftPage {
                everywhere,
                again: &again,
            };
            layout::page(200, &page)
        }
    };
    let own = visit
        .signed_in
        .as_ref()
        .map(|signed_in| signed_in.session.id);
    let is_over = match own {
        Some(id) => sessions::find(&*web.store.read()?, id)?.is_none(),
        None => false,
    };
    Ok(match is_over {
        true => cookies::without_session(response, web.is_https()),
        false => response,
    })
}
