//! A project moves to another organization: one side offers it, the other takes it (facts/auth-and-tokens.md 8 names the
//! entries of the audit log). The rules are [`crate::store::transfers`]'; the page for people is the web front's.

use serde::Serialize;

use super::body::{Fields, Null};
use super::error::{self, Failure, Result};
use super::{Api, Call, InProject, access_of};
use crate::domain::secret::Secret;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::{Error, email};
use crate::http::Response;
use crate::store::projects::Project;
use crate::store::transfers::{self, Destination, Refusal, Taker};
use crate::store::{organizations, projects, users};

const EMAIL_CHARS_MAX: usize = 75;

/// An offer with its link, which Sentry mails and does not show.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfferBody {
    email: String,
    transfer_link: String,
    expires_at: Timestamp,
}

/// `POST P/transfer/`: 201 with the link, for whoever offers to hand on. Only the user of the address can follow it, who
/// may not have an account yet, so that nobody learns who has one. Earlier offers of the project hold no longer.
pub(super) fn request(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let mut fields = call.body()?;
    fields.refuse_missing("email");
    let email = fields.text("email", EMAIL_CHARS_MAX, Null::Refused).value();
    match email.as_deref() {
        Some("") => fields.refuse("email", "This field may not be blank."),
        Some(text) if !email::is_plausible(text) => {
            fields.refuse("email", "Enter a valid email address.");
        }
        _ => {}
    }
    fields.finish()?;
    let email = email.unwrap_or_default();
    let actor = call.actor()?;
    let secret = Secret::random();
    let transfer_link = format!("{}/accept-transfer/?data={}", api.prefix, secret.reveal());
    let (caller, wanted) = (call.caller, call.wanted);
    let (organization, project) = (context.organization.id, context.project.id);
    let offered_to = email.clone();
    let expires_at = api.store.write(move |unit| {
        let organization =
            organizations::find(unit, &IdOrSlug::Id(organization.0))?.ok_or(Error::NotFound)?;
        let project = projects::find(unit, organization.id, &IdOrSlug::Id(project.0))?
            .ok_or(Error::NotFound)?;
        let teams = projects::list_team_ids(unit, project.id)?;
        if !access_of(unit, &caller, &organization)?.allows_project(wanted, &teams) {
            return Err(Error::Forbidden);
        }
        transfers::offer(
            unit,
            &actor,
            caller.user(),
            &project,
            &offered_to,
            secret.hash(),
        )
    })?;
    let body = OfferBody {
        email,
        transfer_link,
        expires_at,
    };
    Ok(Response::json(201, &body))
}

/// The user who asks.
///
/// # Errors
/// `Unauthorized`: a token of an organization, which nobody offers anything to.
fn taker(call: &Call<'_>) -> Result<Taker> {
    let user = match call.caller.user() {
        Some(user) => users::find(&call.connection, user)?,
        None => None,
    };
    let Some(user) = user else {
        return Err(Error::Unauthorized("User is not authenticated".to_owned()).into());
    };
    Ok(Taker {
        user: user.id,
        email: user.email,
        token_scopes: call.caller.token_scopes(),
    })
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let text = refusal.text();
        match refusal {
            Refusal::NoOffer | Refusal::Expired => error::detail(400, text),
            Refusal::ForSomebodyElse => error::detail(403, text),
            Refusal::NoOrganization | Refusal::SameOrganization => {
                error::field(400, "organization", text)
            }
            Refusal::NoTeam => error::field(400, "team", text),
        }
        .into()
    }
}

fn read_link(text: &str) -> Result<Secret> {
    Ok(Secret::parse(text).ok_or(Refusal::NoOffer)?)
}

#[derive(Serialize)]
struct OfferedBody {
    project: ProjectBody,
    /// Where the caller may take it.
    organizations: Vec<DestinationBody>,
}

#[derive(Serialize)]
struct ProjectBody {
    id: String,
    slug: String,
    name: String,
    organization: PlaceBody,
}

#[derive(Serialize)]
struct DestinationBody {
    #[serde(flatten)]
    organization: PlaceBody,
    teams: Vec<PlaceBody>,
}

/// An organization or a team.
#[derive(Serialize)]
struct PlaceBody {
    id: String,
    slug: String,
    name: String,
}

impl DestinationBody {
    fn of(destination: Destination) -> DestinationBody {
        let Destination {
            organization,
            teams,
        } = destination;
        let team = |team: crate::store::teams::Team| PlaceBody {
            id: team.id.to_string(),
            slug: team.slug.to_string(),
            name: team.name,
        };
        DestinationBody {
            organization: PlaceBody::of_organization(&organization),
            teams: teams.into_iter().map(team).collect(),
        }
    }
}

impl PlaceBody {
    fn of_organization(organization: &organizations::Organization) -> PlaceBody {
        PlaceBody {
            id: organization.id.to_string(),
            slug: organization.slug.to_string(),
            name: organization.name.clone(),
        }
    }
}

impl ProjectBody {
    fn of(project: Project, organization: &organizations::Organization) -> ProjectBody {
        ProjectBody {
            id: project.id.to_string(),
            slug: project.slug.to_string(),
            name: project.name,
            organization: PlaceBody::of_organization(organization),
        }
    }
}

/// `GET /api/0/accept-transfer/`: what the link `data` offers, and where the caller may take it.
pub(super) fn offered(_: &Api, call: Call<'_>) -> Result<Response> {
    let taker = taker(&call)?;
    let data = call.request.query_value("data").unwrap_or_default();
    let hash = read_link(&data)?.hash();
    let (project, from) = transfers::find(&call.connection, &taker, hash, call.request.received)??;
    let destinations = transfers::list_destinations(&call.connection, &taker, from.id)?;
    let body = OfferedBody {
        project: ProjectBody::of(project, &from),
        organizations: destinations.into_iter().map(DestinationBody::of).collect(),
    };
    Ok(Response::json(200, &body))
}

fn required(fields: &mut Fields, name: &str) -> String {
    fields.refuse_missing(name);
    let text = fields.filled_text(name, usize::MAX, Null::Refused);
    text.value().unwrap_or_default()
}

/// `POST /api/0/accept-transfer/`: 204; the project is in `organization` then, and `team` has it, if one is named. It
/// keeps its keys, so that its DSNs go on working.
pub(super) fn accept(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let taker = taker(&call)?;
    let mut fields = call.body()?;
    let data = required(&mut fields, "data");
    let organization = required(&mut fields, "organization");
    let team = fields.text("team", usize::MAX, Null::Allowed).value();
    fields.finish()?;
    let hash = read_link(&data)?.hash();
    let organization = IdOrSlug::parse(&organization);
    let team = team
        .filter(|text| !text.is_empty())
        .map(|text| IdOrSlug::parse(&text));
    let actor = call.actor()?;
    api.store.write(move |unit| {
        transfers::accept(unit, &actor, &taker, hash, &organization, team.as_ref())
    })??;
    Ok(Response::empty(204))
}
