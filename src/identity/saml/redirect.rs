//! Messages in a URL (SAML bindings 3.4): packed, in base64, with a signature over the parameters as they were
//! written.

use gamlastan::bindings::error::BindingError;
use gamlastan::bindings::redirect::{
    RedirectDecoded, RedirectEncodeParams, redirect_decode, redirect_encode,
    redirect_verify_signature,
};
use gamlastan::bindings::relay_state::RelayState;
use gamlastan::bindings::traits::HttpRequest;
use gamlastan::core::constants::BINDING_HTTP_POST;
use gamlastan::profiles::sso::sp::create_authn_request;
use gamlastan::profiles::sso::web_browser::AuthnRequestOptions;
use gamlastan::xml::SamlSerialize;

use super::provider::Certificate;
use super::refusal::{Reason, Refusal};
use super::{MESSAGE_BYTES_MAX, Provider, ServiceProvider, moment, new_id, signed};
use crate::domain::time::Timestamp;
use crate::domain::{Error, Result as DomainResult};

/// A message that was sent in a URL, signed by the provider.
pub(super) struct Incoming {
    pub(super) is_request: bool,
    pub(super) xml: String,
    pub(super) relay_state: Option<String>,
}

/// Where to send a browser to sign in, and the id of the request, which the answer will name. The browser must bring
/// the id back by other means (a cookie), or anybody could have their own answer accepted in somebody else's browser.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn sign_in_url(
    provider: &Provider,
    service: &ServiceProvider,
    now: Timestamp,
) -> DomainResult<(String, String)> {
    let options = AuthnRequestOptions {
        sp_entity_id: service.entity_id.clone(),
        acs_url: Some(service.acs_url.clone()),
        protocol_binding: Some(BINDING_HTTP_POST.to_owned()),
        destination: Some(provider.sso_url().to_owned()),
        allow_create: true,
        ..AuthnRequestOptions::default()
    };
    let mut request = create_authn_request(&options).map_err(internal)?;
    request.base.id = new_id();
    request.base.issue_instant = moment(now);
    let url = encode(&request, true, provider.sso_url(), None)?;
    Ok((request.base.id, url))
}

/// The URL that brings a message of ours, unsigned, to the provider. `relay_state` goes back as it came.
///
/// # Errors
/// [`Error::Internal`].
pub(super) fn encode(
    message: &impl SamlSerialize,
    is_request: bool,
    destination: &str,
    relay_state: Option<&str>,
) -> DomainResult<String> {
    let xml = message.to_xml_string().map_err(internal)?;
    redirect_encode(&RedirectEncodeParams {
        saml_xml: xml.as_bytes(),
        is_request,
        destination,
        relay_state: relay_state.map(RelayState::echo).as_ref(),
        signer: None,
    })
    .map_err(internal)
}

/// Unpacks the message of a query and verifies that the provider signed it.
///
/// # Errors
/// [`Reason::TooLarge`], [`Reason::Unreadable`], [`Reason::Unsigned`], [`Reason::Algorithm`], [`Reason::Signature`].
pub(super) fn decode(query: &str, certificates: &[Certificate]) -> Result<Incoming, Refusal> {
    if query.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::new(
            Reason::TooLarge,
            format!("{} bytes of query", query.len()),
        ));
    }
    let request = RawQuery {
        url: format!("?{query}"),
    };
    let decoded = redirect_decode(&request).map_err(|error| match error {
        BindingError::MessageTooLarge(_) => Refusal::new(Reason::TooLarge, error),
        _ => Refusal::new(Reason::Unreadable, error),
    })?;
    verify(&decoded, certificates)?;
    let xml = String::from_utf8(decoded.saml_xml)
        .map_err(|error| Refusal::new(Reason::Unreadable, error))?;
    Ok(Incoming {
        is_request: decoded.is_request,
        xml,
        relay_state: decoded.relay_state,
    })
}

fn verify(decoded: &RedirectDecoded, certificates: &[Certificate]) -> Result<(), Refusal> {
    let Some(algorithm) = decoded
        .sig_alg
        .as_deref()
        .filter(|_| decoded.signature.is_some())
    else {
        return Err(Refusal::new(
            Reason::Unsigned,
            "there is no SigAlg or no Signature",
        ));
    };
    let mut whys: Vec<String> = Vec::new();
    for verifier in signed::verifiers(certificates) {
        if !verifier
            .algorithm_policy()
            .allows_signature_algorithm(algorithm)
        {
            return Err(Refusal::new(
                Reason::Algorithm,
                format!("SigAlg {algorithm:?}"),
            ));
        }
        let why = match redirect_verify_signature(decoded, &verifier) {
            Ok(true) => return Ok(()),
            Ok(false) => "signature value verification failed".to_owned(),
            Err(error) => error.to_string(),
        };
        if !whys.contains(&why) {
            whys.push(why);
        }
    }
    Err(Refusal::new(Reason::Signature, whys.join("; ")))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(error.to_string())
}

/// What the library asks of a request. The values are as they were written, because that is what was signed.
struct RawQuery {
    url: String,
}

impl HttpRequest for RawQuery {
    fn method(&self) -> &str {
        "GET"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn query_param(&self, name: &str) -> Option<&str> {
        let (_, query) = self.url.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn form_param(&self, _name: &str) -> Option<&str> {
        None
    }

    fn header(&self, _name: &str) -> Option<&str> {
        None
    }

    fn body(&self) -> &[u8] {
        &[]
    }

    fn remote_addr(&self) -> Option<&str> {
        None
    }
}
