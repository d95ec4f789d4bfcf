//! `/accept-transfer/`: whom a project is offered to chooses the organization and the team that get it.

use askama::Template;

use super::errors::Result;
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Secret;
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::store::organizations::Organization;
use crate::store::projects::Project;
use crate::store::transfers::{self, Destination, Refusal, Taker};

#[derive(Template)]
#[template(path = "accept_transfer.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    problem: Option<&'a str>,
    /// None: the problem is all that there is to say.
    offer: Option<Offer<'a>>,
}

struct Offer<'a> {
    /// The link's secret once more.
    data: &'a str,
    project: &'a Project,
    from: &'a Organization,
    destinations: &'a [Destination],
}

#[derive(Template)]
#[template(path = "transfer_accepted.html", config = "src/web/askama.toml")]
struct AcceptedPage<'a> {
    head: Head<'a>,
    project: &'a Project,
    organization: &'a Organization,
}

fn taker(visit: &Visit<'_>) -> Result<Taker> {
    let user = &visit.signed_in()?.user;
    Ok(Taker {
        user: user.id,
        email: user.email.clone(),
        token_scopes: ScopeSet::ALL,
    })
}

/// `GET /accept-transfer/?data=`.
pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let data = visit.request.query_value("data").unwrap_or_default();
    form(visit, &data, None)
}

/// The form, with what was wrong with the last try.
fn form(visit: &Visit<'_>, data: &str, problem: Option<Refusal>) -> Result<Response> {
    let taker = taker(visit)?;
    let found = match Secret::parse(data) {
        Some(secret) => transfers::find(&visit.connection, &taker, secret.hash(), visit.now())?,
        None => Err(Refusal::NoOffer),
    };
    let status = match (&found, problem) {
        (Ok(_), None) => 200,
        (Err(Refusal::ForSomebodyElse), _) => 403,
        _ => 400,
    };
    let head = Head::of(visit);
    let (project, from) = match found {
        Ok(found) => found,
        Err(refusal) => {
            let page = Page {
                head,
                problem: Some(refusal.text()),
                offer: None,
            };
            return Ok(layout::page(status, &page));
        }
    };
    let destinations = transfers::list_destinations(&visit.connection, &taker, from.id)?;
    let page = Page {
        head,
        problem: problem.map(Refusal::text),
        offer: Some(Offer {
            data,
            project: &project,
            from: &from,
            destinations: &destinations,
        }),
    };
    Ok(layout::page(status, &page))
}

/// `POST /accept-transfer/`.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let data = visit.form.text("data");
    let Some(secret) = Secret::parse(data) else {
        return form(visit, data, Some(Refusal::NoOffer));
    };
    // One choice names both: `12` or `12/34`, an organization and one of its teams.
    let choice = visit.form.text("to");
    let (organization, team) = match choice.split_once('/') {
        Some((organization, team)) => (organization, Some(IdOrSlug::parse(team))),
        None => (choice, None),
    };
    let organization = IdOrSlug::parse(organization);
    let (taker, actor) = (taker(visit)?, visit.signed_in()?.actor(visit.request));
    let hash = secret.hash();
    let accepted = web.store.write(move |unit| {
        transfers::accept(unit, &actor, &taker, hash, &organization, team.as_ref())
    })?;
    match accepted {
        Ok((project, organization)) => {
            let page = AcceptedPage {
                head: Head::of(visit),
                project: &project,
                organization: &organization,
            };
            Ok(layout::page(200, &page))
        }
        Err(refusal) => form(visit, data, Some(refusal)),
    }
}
