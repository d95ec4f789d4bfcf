//! Single logout over HTTP-Redirect (SAML profiles 4.4): ended here and told there, or the other way round.

use gamlastan::core::assertion::name_id::NameIdOrEncryptedId;
use gamlastan::core::constants::STATUS_SUCCESS;
use gamlastan::core::identifiers::SamlVersion;
use gamlastan::core::protocol::logout::{LogoutRequestRef, LogoutResponseRef};
use gamlastan::core::protocol::status::{Status, StatusCode};
use gamlastan::profiles::logout::{
    SpLogoutRequestOptions, create_logout_response, create_sp_logout_request, reason,
    validate_logout_request,
};
use gamlastan::xml::parse_saml;

use super::redirect::{Incoming, decode, encode};
use super::refusal::{Failure, Reason, Refusal};
use super::xml::parse;
use super::{AGE_SECS_MAX, Message, Provider, SKEW_SECS, ServiceProvider, moment, new_id};
use crate::domain::single_sign_on::NameId;
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result as DomainResult};

/// What a message of the provider to our address for single logout says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Logout {
    /// The provider wants sessions ended. It is answered with [`answer_url`], which gets `id` and `relay_state`.
    Asked {
        id: String,
        name_id: NameId,
        /// Which of the person's sessions; all of them if it names none.
        session_indexes: Vec<String>,
        relay_state: Option<String>,
    },
    /// The provider answers our request of this id.
    Answered {
        request: String,
        /// Whether everything is ended that belonged to the session.
        complete: bool,
    },
}

/// Where to send a browser whose session was ended here, so that the provider ends its own, and the id of the request.
/// None if the provider has no single logout.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn request_url(
    provider: &Provider,
    service: &ServiceProvider,
    name_id: &NameId,
    session_index: Option<&str>,
    now: Timestamp,
) -> DomainResult<Option<(String, String)>> {
    let Some(destination) = provider.slo_url() else {
        return Ok(None);
    };
    let mut request = create_sp_logout_request(&SpLogoutRequestOptions {
        sp_entity_id: service.entity_id.clone(),
        name_id: name_id.to_library(),
        session_indexes: session_index.map(str::to_owned).into_iter().collect(),
        reason: Some(reason::USER.to_owned()),
        destination: Some(destination.to_owned()),
        not_on_or_after: Some(moment(now.plus_secs(AGE_SECS_MAX.into()))),
    })
    .map_err(|error| Error::internal(error.to_string()))?;
    request.id = new_id();
    request.issue_instant = moment(now);
    let url = encode(&request, true, destination, None)?;
    Ok(Some((request.id, url)))
}

/// Where to send the browser back to, once what [`Logout::Asked`] wants is done (or was not there to be done, which
/// the provider need not know). None if the provider has no address for it.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn answer_url(
    provider: &Provider,
    service: &ServiceProvider,
    request: &str,
    relay_state: Option<&str>,
    now: Timestamp,
) -> DomainResult<Option<String>> {
    let Some(destination) = provider.slo_url() else {
        return Ok(None);
    };
    let mut response = create_logout_response(
        &service.entity_id,
        request,
        Some(destination),
        Status::success(),
    );
    response.id = new_id();
    response.issue_instant = moment(now);
    encode(&response, false, destination, relay_state).map(Some)
}

/// Checks the query of a request to our address for single logout and reads what it says. It must be signed, also an
/// answer, and meant for us. `requests`: ours that were not answered, of this very browser. `remember` is as in
/// [`super::response::check`], and is asked for requests only.
///
/// # Errors
/// [`Failure::Refused`] with the reason; [`Failure::Failed`] if `remember` failed.
pub(crate) fn check(
    query: &str,
    provider: &Provider,
    service: &ServiceProvider,
    requests: &[String],
    now: Timestamp,
    remember: impl FnOnce(Message) -> DomainResult<bool>,
) -> Result<Logout, Failure> {
    let incoming = decode(query, provider.certificates())?;
    if !incoming.is_request {
        return Ok(check_answer(&incoming, provider, service, requests, now)?);
    }
    let asked = check_request(incoming, provider, service, now)?;
    let Logout::Asked { id, .. } = &asked else {
        return Ok(asked);
    };
    if remember(Message::new("logout", id, now))? {
        Ok(asked)
    } else {
        Err(Refusal::new(Reason::Replayed, format!("{id:?}")).into())
    }
}

fn unexpected(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Unexpected, error)
}

fn check_request(
    incoming: Incoming,
    provider: &Provider,
    service: &ServiceProvider,
    now: Timestamp,
) -> Result<Logout, Refusal> {
    let document = parse(&incoming.xml)?;
    let request: LogoutRequestRef<'_> = parse_saml(&document).map_err(unexpected)?;
    let request = request.to_owned();
    let issuer = request.issuer.as_ref().map(|issuer| issuer.value.as_str());
    check_version(request.version)?;
    check_envelope(issuer, request.destination.as_deref(), provider, service)?;
    check_age(request.issue_instant.timestamp_micros(), now)?;
    let NameIdOrEncryptedId::NameId(name) = &request.name_id else {
        return Err(Refusal::new(Reason::Encrypted, "there is an EncryptedID"));
    };
    let name_id = NameId::from_library(name);
    // What is left for it to find wrong: that the request has expired, or names nobody.
    validate_logout_request(
        &request,
        provider.entity_id(),
        true,
        moment(now),
        SKEW_SECS.into(),
    )
    .map_err(|error| match name_id.value.is_empty() {
        true => unexpected(error),
        false => Refusal::new(Reason::Expired, error),
    })?;
    Ok(Logout::Asked {
        id: request.id,
        name_id,
        session_indexes: request.session_indexes,
        relay_state: incoming.relay_state,
    })
}

fn check_answer(
    incoming: &Incoming,
    provider: &Provider,
    service: &ServiceProvider,
    requests: &[String],
    now: Timestamp,
) -> Result<Logout, Refusal> {
    let document = parse(&incoming.xml)?;
    let response: LogoutResponseRef<'_> = parse_saml(&document).map_err(unexpected)?;
    let response = response.to_owned();
    let issuer = response.issuer.as_ref().map(|issuer| issuer.value.as_str());
    check_version(response.version)?;
    check_envelope(issuer, response.destination.as_deref(), provider, service)?;
    check_age(response.issue_instant.timestamp_micros(), now)?;
    let named = response.in_response_to.as_deref().unwrap_or_default();
    let request = requests
        .iter()
        .find(|request| *request == named)
        .ok_or_else(|| Refusal::new(Reason::Request, format!("it answers {named:?}")))?;
    Ok(Logout::Answered {
        request: request.clone(),
        complete: is_complete(&response.status.status_code),
    })
}

/// A provider that could not reach everybody says so by a second code.
fn is_complete(code: &StatusCode) -> bool {
    code.value == STATUS_SUCCESS && code.sub_status.is_none()
}

fn check_version(version: SamlVersion) -> Result<(), Refusal> {
    match version.is_v2_0() {
        true => Ok(()),
        false => Err(unexpected("it is of another version of SAML")),
    }
}

fn check_envelope(
    issuer: Option<&str>,
    destination: Option<&str>,
    provider: &Provider,
    service: &ServiceProvider,
) -> Result<(), Refusal> {
    if issuer.map(str::trim) != Some(provider.entity_id()) {
        return Err(Refusal::new(Reason::Issuer, format!("it is of {issuer:?}")));
    }
    // Signed messages must say where they go (SAML bindings 3.4.5.2), or one meant for another application would do
    // here.
    if destination != Some(&service.sls_url) {
        return Err(Refusal::new(
            Reason::Destination,
            format!("it goes to {destination:?}"),
        ));
    }
    Ok(())
}

fn check_age(issued_us: i64, now: Timestamp) -> Result<(), Refusal> {
    let issued = Timestamp::from_us(issued_us);
    if issued > now.plus_secs(SKEW_SECS.into()) {
        return Err(Refusal::new(
            Reason::NotYet,
            format!("it was made at {issued}"),
        ));
    }
    let secs = i64::from(SKEW_SECS) + i64::from(AGE_SECS_MAX);
    if issued <= now.plus_secs(-secs) {
        return Err(Refusal::new(
            Reason::Old,
            format!("it was made at {issued}"),
        ));
    }
    Ok(())
}
