//! The answer to a sign-in, as the browser posts it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gamlastan::core::assertion::attribute::{Attribute, AttributeValue};
use gamlastan::core::assertion::name_id::{NameId as LibraryNameId, NameIdOrEncryptedId};
use gamlastan::core::assertion::types::{Assertion, AssertionRef};
use gamlastan::core::constants::{NAMEID_TRANSIENT, STATUS_SUCCESS};
use gamlastan::core::protocol::response::{Response, ResponseRef};
use gamlastan::security::config::SecurityConfig;
use gamlastan::security::error::ValidationCheck;
use gamlastan::security::validation::{AssertionValidator, ValidationParams};
use gamlastan::xml::parse_saml;
use gamlastan::xml::uppsala::{Document, NodeId};

use super::provider::NAME_ID;
use super::refusal::{Failure, Reason, Refusal};
use super::signed::{self, Signed, without_space};
use super::xml::{PROTOCOL, attribute, children, is, parse};
use super::{
    AGE_SECS_MAX, MESSAGE_BYTES_MAX, Message, Provider, SKEW_SECS, ServiceProvider, moment, shape,
};
use crate::domain::single_sign_on::NameId;
use crate::domain::time::Timestamp;
use crate::domain::{Result as DomainResult, email};

/// What an answer is held against.
pub(crate) struct Expected<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) service: &'a ServiceProvider,
    /// The requests that this very browser was sent to the provider with, and that were not answered.
    pub(crate) requests: &'a [String],
    /// Whether sign-in may begin at the provider. An answer that names a request must name one of the above all the
    /// same.
    pub(crate) allow_unsolicited: bool,
    pub(crate) now: Timestamp,
}

/// Somebody whom the provider signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The request that was answered; none if sign-in began at the provider.
    pub(crate) request: Option<String>,
    /// The name of the subject; single logout needs it.
    pub(crate) name_id: Option<NameId>,
    /// What the provider calls the session; single logout names it.
    pub(crate) session_index: Option<String>,
    /// When the provider wants the session ended at the latest.
    pub(crate) session_ends: Option<Timestamp>,
    /// What never changes of the person at this provider.
    pub(crate) identifier: String,
    pub(crate) email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) groups: Vec<String>,
}

const VALUE_CHARACTERS_MAX: usize = 1024;
const NAME_CHARACTERS_MAX: usize = 200;
const GROUPS_MAX: usize = 1000;
const LISTED_NAMES_MAX: usize = 50;

/// Checks the value of the form field `SAMLResponse` and reads whom it signs in. `remember` is asked last and once:
/// it keeps the message until its time and says whether it is new, in one step.
///
/// # Errors
/// [`Failure::Refused`] with the reason; [`Failure::Failed`] if `remember` failed.
pub(crate) fn check(
    form_value: &str,
    expected: &Expected<'_>,
    remember: impl FnOnce(Message) -> DomainResult<bool>,
) -> Result<Person, Failure> {
    let xml = decode(form_value)?;
    let document = parse(&xml)?;
    check_status(&document)?;
    let shape = shape::check(&document)?;
    let signed = signed::verify(&xml, &document, &shape, expected.provider.certificates())?;
    let response = read_signed(&document, &signed)?;
    let request = check_rules(&response, &signed, expected)?;
    let assertion = &response.assertions[0];
    let person = read_person(assertion, request, expected.provider)?;
    if remember(Message::new("assertion", &assertion.id, expected.now))? {
        Ok(person)
    } else {
        Err(Refusal::new(Reason::Replayed, format!("{:?}", assertion.id)).into())
    }
}

fn decode(form_value: &str) -> Result<String, Refusal> {
    if form_value.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::new(
            Reason::TooLarge,
            format!("{} bytes of base64", form_value.len()),
        ));
    }
    let bytes = STANDARD
        .decode(without_space(form_value))
        .map_err(|error| Refusal::new(Reason::Unreadable, error))?;
    String::from_utf8(bytes).map_err(|error| Refusal::new(Reason::Unreadable, error))
}

/// An answer that denies the sign-in has no assertion and often no signature, so it is looked at first; all that
/// comes of it is another text.
fn check_status(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document
        .document_element()
        .filter(|root| is(document, *root, PROTOCOL, "Response"))
        .ok_or_else(|| Refusal::new(Reason::Unexpected, "this is not a Response"))?;
    let codes = status_codes(document, root);
    match codes.first() {
        Some(code) if code == STATUS_SUCCESS => Ok(()),
        Some(_) => Err(Refusal::new(Reason::Denied, codes.join(" "))),
        None => Err(Refusal::new(Reason::Unexpected, "there is no StatusCode")),
    }
}

/// The code and the codes within it, the outermost first.
fn status_codes(document: &Document<'_>, root: NodeId) -> Vec<String> {
    let mut codes = Vec::new();
    let mut outer = children(document, root, PROTOCOL, "Status");
    while let Some(code) = outer.first().and_then(|node| {
        children(document, *node, PROTOCOL, "StatusCode")
            .first()
            .copied()
    }) {
        codes.push(
            attribute(document, code, "Value")
                .unwrap_or_default()
                .to_owned(),
        );
        outer = vec![code];
    }
    codes
}

/// The answer, with its assertion, as far as it is signed read from what was signed.
fn read_signed(document: &Document<'_>, signed: &Signed) -> Result<Response, Refusal> {
    let mut response = match &signed.response {
        Some(xml) => read_response(&parse(xml)?)?,
        None => read_response(document)?,
    };
    if let Some(xml) = &signed.assertion {
        let document = parse(xml)?;
        let assertion: AssertionRef<'_> = parse_saml(&document).map_err(unexpected)?;
        response.assertions = vec![assertion.to_owned()];
    }
    if response.assertions.len() != 1 {
        return Err(unexpected("there is not one assertion"));
    }
    // What was signed is without its signatures.
    response.base.has_signature = signed.response.is_some();
    response.assertions[0].has_signature = signed.assertion.is_some();
    Ok(response)
}

fn read_response(document: &Document<'_>) -> Result<Response, Refusal> {
    let response: ResponseRef<'_> = parse_saml(document).map_err(unexpected)?;
    Ok(response.to_owned())
}

fn unexpected(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Unexpected, error)
}

/// Holds an answer against the rules of the web profile (SAML profiles 4.1.4.3); the request that it answers.
fn check_rules(
    response: &Response,
    signed: &Signed,
    expected: &Expected<'_>,
) -> Result<Option<String>, Refusal> {
    let assertion = &response.assertions[0];
    if !(response.base.version.is_v2_0() && assertion.version.is_v2_0()) {
        return Err(Refusal::new(
            Reason::Unexpected,
            "it is of another version of SAML",
        ));
    }
    if assertion.conditions.is_none() {
        return Err(Refusal::new(Reason::Audience, "there are no Conditions"));
    }
    let provider = expected.provider.entity_id();
    let issuer = response
        .base
        .issuer
        .as_ref()
        .map(|issuer| issuer.value.trim());
    if issuer.is_some_and(|issuer| issuer != provider) {
        return Err(Refusal::new(
            Reason::Issuer,
            format!("the Response is of {issuer:?}"),
        ));
    }
    let named = response.base.in_response_to.as_deref();
    let request = match named {
        Some(named) => Some(
            expected
                .requests
                .iter()
                .find(|request| *request == named)
                .ok_or_else(|| Refusal::new(Reason::Request, format!("it answers {named:?}")))?
                .as_str(),
        ),
        None if expected.allow_unsolicited => None,
        None => return Err(Refusal::new(Reason::Unsolicited, "it answers no request")),
    };

    let config = SecurityConfig {
        clock_skew_seconds: SKEW_SECS.into(),
        max_assertion_age_seconds: AGE_SECS_MAX.into(),
        // One of the two is: `signed` holds what was, and the claims come from there.
        require_signed_assertions: false,
        require_signed_responses: signed.assertion.is_none(),
        allow_unsolicited_responses: request.is_none(),
        ..SecurityConfig::default()
    };
    let mut ids = vec![assertion.id.as_str()];
    ids.retain(|_| signed.assertion.is_some());
    ids.extend(
        signed
            .response
            .is_some()
            .then_some(response.base.id.as_str()),
    );
    let service = expected.service;
    let result = AssertionValidator::new(&config).validate_response(
        response,
        &ValidationParams {
            received_url: &service.acs_url,
            expected_idp_entity_id: provider,
            sp_entity_id: &service.entity_id,
            acs_url: &service.acs_url,
            expected_request_id: request,
            client_address: None,
            relay_state: None,
            response_signature_xml: None,
            response_signature_verified: signed.response.is_some().then_some(true),
            verified_signed_ids: &ids,
            current_proxy_depth: 0,
            now: moment(expected.now),
        },
    );
    let failed = result
        .checks
        .iter()
        .filter(|check| !check.passed && check.check_number != OWN_REPLAY_CHECK);
    match failed.min_by_key(|check| check.check_number) {
        None => Ok(request.map(str::to_owned)),
        Some(check) => Err(Refusal::new(
            reason_of(check),
            format!(
                "{}: {}",
                check.check_name,
                check.detail.as_deref().unwrap_or_default()
            ),
        )),
    }
}

/// The number of the library's check for replays, which fails without a store. Ours comes last, when all else is
/// known.
const OWN_REPLAY_CHECK: u32 = 20;

/// What a failed check of the library means here. Its numbers are those of its documentation.
fn reason_of(check: &ValidationCheck) -> Reason {
    match check.check_number {
        1 => Reason::Destination,
        2 | 5 => Reason::Issuer,
        3 | 17 => Reason::Request,
        4 | 6 => Reason::Signature,
        9 => Reason::NotYet,
        10 | 16 | 23 => Reason::Expired,
        11 | 13 => Reason::Audience,
        14 | 18 => Reason::Confirmation,
        15 => Reason::Recipient,
        21 => Reason::NoSignIn,
        35 if check
            .detail
            .as_deref()
            .is_some_and(|detail| detail.contains("in the future")) =>
        {
            Reason::NotYet
        }
        35 => Reason::Old,
        _ => Reason::Unexpected,
    }
}

/// The person of an assertion that was found good.
fn read_person(
    assertion: &Assertion,
    request: Option<String>,
    provider: &Provider,
) -> Result<Person, Refusal> {
    let name_id = match assertion
        .subject
        .as_ref()
        .and_then(|subject| subject.name_id.as_ref())
    {
        Some(NameIdOrEncryptedId::NameId(name)) if !name.value.trim().is_empty() => {
            Some(NameId::from_library(name))
        }
        _ => None,
    };
    let attributes: Vec<&Attribute> = assertion
        .attribute_statements
        .iter()
        .flat_map(|statement| &statement.attributes)
        .collect();
    let values = |name: &str| -> Vec<String> {
        if name == NAME_ID {
            // One that is made anew for each sign-in says nothing about who it is.
            let lasting = name_id
                .as_ref()
                .filter(|name| name.format.as_deref() != Some(NAMEID_TRANSIENT));
            return lasting
                .and_then(|name| plain(&name.value))
                .into_iter()
                .collect();
        }
        let named = attributes.iter().filter(|attribute| attribute.name == name);
        named
            .flat_map(|attribute| attribute.values.iter().filter_map(value_text))
            .collect()
    };
    let map = provider.attributes();
    let identifier = values(&map.identifier).into_iter().next();
    let email = values(&map.user_email).into_iter().next();
    let (Some(identifier), Some(email)) = (&identifier, &email) else {
        let missing = [(&map.identifier, &identifier), (&map.user_email, &email)];
        let missing = missing.into_iter().filter(|(_, found)| found.is_none());
        let missing: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
        return Err(lacking(missing, &attributes));
    };
    if !email::is_plausible(email) {
        return Err(Refusal::new(Reason::Email, "the value is no address"));
    }
    let optional = |name: &Option<String>| {
        let first = name
            .as_deref()
            .and_then(|name| values(name).into_iter().next());
        first.map(|value| shortened(&value))
    };
    let statement = assertion.authn_statements.first();
    Ok(Person {
        request,
        session_index: statement.and_then(|statement| statement.session_index.clone()),
        session_ends: statement
            .and_then(|statement| statement.session_not_on_or_after)
            .map(|ends| Timestamp::from_us(ends.timestamp_micros())),
        identifier: identifier.clone(),
        email: email.clone(),
        first_name: optional(&map.first_name),
        last_name: optional(&map.last_name),
        groups: map
            .groups
            .as_deref()
            .map(|name| values(name).into_iter().take(GROUPS_MAX).collect())
            .unwrap_or_default(),
        name_id,
    })
}

/// The text of an attribute's value; none if it is no text.
fn value_text(value: &AttributeValue) -> Option<String> {
    match value {
        AttributeValue::String(text) | AttributeValue::DateTime(text) => plain(text),
        AttributeValue::Integer(number) => Some(number.to_string()),
        AttributeValue::Boolean(truth) => Some(truth.to_string()),
        AttributeValue::Base64(text) => plain(std::str::from_utf8(text).ok()?),
        AttributeValue::NameId(name) => plain(&name.value),
        AttributeValue::Xml(_) | AttributeValue::Null => None,
    }
}

/// A text without white space around it; none if it is empty, or no text that one would write.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let good = !text.is_empty()
        && text.chars().count() <= VALUE_CHARACTERS_MAX
        && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
}

fn lacking(missing: Vec<String>, attributes: &[&Attribute]) -> Refusal {
    let mut received: Vec<String> = Vec::new();
    for attribute in attributes.iter().take(LISTED_NAMES_MAX) {
        let name = shortened(&attribute.name);
        if !received.contains(&name) {
            received.push(name);
        }
    }
    let detail = format!("without {missing:?}, with {received:?}");
    Refusal::new(Reason::Attributes { missing, received }, detail)
}

fn shortened(text: &str) -> String {
    text.chars().take(NAME_CHARACTERS_MAX).collect()
}

impl NameId {
    pub(super) fn from_library(name: &LibraryNameId) -> NameId {
        NameId {
            value: name.value.trim().to_owned(),
            format: name.format.clone(),
            name_qualifier: name.name_qualifier.clone(),
            sp_name_qualifier: name.sp_name_qualifier.clone(),
        }
    }

    pub(super) fn to_library(&self) -> LibraryNameId {
        LibraryNameId {
            value: self.value.clone(),
            format: self.format.clone(),
            name_qualifier: self.name_qualifier.clone(),
            sp_name_qualifier: self.sp_name_qualifier.clone(),
            sp_provided_id: None,
        }
    }
}
