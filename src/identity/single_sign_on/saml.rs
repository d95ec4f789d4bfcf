//! Single sign-on through a SAML 2.0 provider (facts/auth-and-tokens.md 9.4): the joint between [`crate::identity::saml`],
//! which knows what a message says and whether it is good, and the flows, accounts and sessions of this module.
//!
//! An answer is posted by the provider's page, and browsers send our cookies along with no form of another site. So it is
//! parked under a key that nobody guesses, the browser is sent to fetch it, and comes with its cookies then. Whoever
//! else gets hold of the key has nothing: an answer counts only in the browser that its question was asked in, unless
//! an owner has allowed the provider to begin.

use super::pending::{Flow, Posted, Question, Word};
use super::{Arrival, Identity, NotArrived, Stopped, Visitor};
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::UserId;
use crate::domain::secret::Secret;
use crate::domain::single_sign_on::{
    Claims, IdentityProvider, Protocol, Saml, SamlAttributes, SamlSession,
};
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors, Result};
use crate::identity::saml::logout::{self, Logout};
use crate::identity::saml::response::{self, Expected, Person};
use crate::identity::saml::{
    self, AttributeMap, Failure, Fields, Message, Provider, Reason, ServiceProvider,
};
use crate::identity::throttle::Subject;
use crate::store::organizations::{self, Organization};
use crate::store::{identity_providers as providers, saml_messages, sessions};

/// The addresses of this server that a provider is told: of our metadata, which is our name too, of where answers are
/// posted, and of where single logout arrives.
pub(crate) fn urls(prefix: &UrlPrefix, organization: &Slug) -> [String; 3] {
    let service = ServiceProvider::new(prefix, organization);
    [service.entity_id, service.acs_url, service.sls_url]
}

/// What a provider's own document says; the rest is as in a new one.
///
/// # Errors
/// `Invalid` with a text for `metadata`.
pub(crate) fn read_metadata(xml: &str) -> Result<Saml> {
    let fields = saml::read_metadata(xml)?;
    Ok(Saml {
        entity_id: fields.entity_id,
        sso_url: fields.sso_url,
        slo_url: Some(fields.slo_url).filter(|url| !url.is_empty()),
        certificates: fields.certificates,
        ..Saml::new()
    })
}

/// The SHA-256 of a certificate as people compare it; empty for what is none.
pub(crate) fn fingerprint(certificate: &str) -> String {
    saml::Certificate::parse(certificate).map_or_else(|_| String::new(), |one| one.fingerprint())
}

/// A certificate as files have it; empty for what is none.
pub(crate) fn pem(certificate: &str) -> String {
    saml::Certificate::parse(certificate).map_or_else(|_| String::new(), |one| one.pem())
}

/// The configuration with each certificate once and in one way of writing.
///
/// # Errors
/// What is wrong, by the API's names of the fields.
pub(super) fn checked(given: &Saml, groups: &str) -> Result<Saml, FieldErrors> {
    let provider = provider_of(given, groups).map_err(|error| {
        let mut errors = FieldErrors::default();
        match error {
            Error::Invalid(faults) => {
                for (field, faults) in faults.fields {
                    errors.nest(field_name(&field), renamed(faults));
                }
            }
            other => errors.add("provider", other.to_string()),
        }
        errors
    })?;
    let attributes = provider.attributes();
    Ok(Saml {
        entity_id: provider.entity_id().to_owned(),
        sso_url: provider.sso_url().to_owned(),
        slo_url: provider.slo_url().map(str::to_owned),
        certificates: provider
            .certificates()
            .iter()
            .map(|one| one.base64().to_owned())
            .collect(),
        attributes: SamlAttributes {
            identifier: attributes.identifier.clone(),
            user_email: attributes.user_email.clone(),
            first_name: attributes.first_name.clone(),
            last_name: attributes.last_name.clone(),
        },
        provider_may_begin: given.provider_may_begin,
    })
}

fn renamed(faults: FieldErrors) -> FieldErrors {
    let inner = faults.fields.into_iter();
    FieldErrors {
        texts: faults.texts,
        fields: inner
            .map(|(field, faults)| (field_name(&field).to_owned(), faults))
            .collect(),
    }
}

/// What the API calls a field.
fn field_name(field: &str) -> &str {
    match field {
        "entity_id" => "entityId",
        "sso_url" => "ssoUrl",
        "slo_url" => "sloUrl",
        "x509_certificates" => "certificates",
        "user_email" => "userEmail",
        "first_name" => "firstName",
        "last_name" => "lastName",
        "groups" => "groupsClaim",
        other => other,
    }
}

/// # Errors
/// `Invalid` with everything that is wrong.
fn provider_of(config: &Saml, groups: &str) -> Result<Provider> {
    let fields = Fields {
        entity_id: config.entity_id.clone(),
        sso_url: config.sso_url.clone(),
        slo_url: config.slo_url.clone().unwrap_or_default(),
        certificates: config.certificates.clone(),
    };
    let attributes = AttributeMap {
        identifier: config.attributes.identifier.clone(),
        user_email: config.attributes.user_email.clone(),
        first_name: config.attributes.first_name.clone(),
        last_name: config.attributes.last_name.clone(),
        groups: Some(groups.to_owned()),
    };
    Provider::new(&fields, &attributes)
}

/// The two sides of a conversation.
struct Sides {
    provider: Provider,
    service: ServiceProvider,
}

/// What came of the provider's word that somebody signs out.
pub(crate) enum Left {
    /// Whoever asked for it is told so there.
    Answer(String),
    /// It is over. Whether it is everywhere where the provider signed them in.
    Over { everywhere: bool },
}

impl Identity {
    /// This server's own document for the provider of an organization.
    ///
    /// # Errors
    /// `Internal`.
    pub(crate) fn saml_metadata(&self, organization: &Slug) -> Result<String> {
        saml::write_metadata(&ServiceProvider::new(&self.prefix, organization))
    }

    /// # Errors
    /// `RefusedFor`: what another version of this server has set up is not right for this one.
    fn sides(
        &self,
        provider: &IdentityProvider,
        config: &Saml,
    ) -> std::result::Result<Sides, NotArrived> {
        let segment = IdOrSlug::Id(provider.organization.0);
        let organization = organizations::find(&*self.store.read()?, &segment)?;
        let organization = organization.ok_or(NotArrived::Lapsed)?;
        let groups = &provider.config.roles.groups_claim;
        let checked = provider_of(config, groups).map_err(|error| {
            let organization = provider.organization;
            log::warn!("the identity provider of organization {organization} cannot be used: {error}");
            NotArrived::RefusedFor(
                "The identity provider is set up in a way that this server does not take. Its log says more."
                    .to_owned(),
            )
        })?;
        Ok(Sides {
            provider: checked,
            service: ServiceProvider::new(&self.prefix, &organization.slug),
        })
    }

    /// The id of a request for sign-in and where it takes the browser.
    pub(super) fn saml_sign_in_url(
        &self,
        provider: &IdentityProvider,
        config: &Saml,
        now: Timestamp,
    ) -> std::result::Result<(String, String), NotArrived> {
        let Sides { provider, service } = self.sides(provider, config)?;
        Ok(saml::sign_in_url(&provider, &service, now)?)
    }

    /// Where to sign out at the provider, if it has such a place. It is remembered that this browser asked for it.
    pub(super) fn saml_sign_out_url(
        &self,
        provider: &IdentityProvider,
        config: &Saml,
        session: &SamlSession,
        browser: &Secret,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let sides = match self.sides(provider, config) {
            Ok(sides) => sides,
            Err(NotArrived::Failed(error)) => return Err(error),
            // Then it ends here alone.
            Err(_) => return Ok(None),
        };
        let index = session.index.as_deref();
        let asked =
            logout::request_url(&sides.provider, &sides.service, &session.name, index, now)?;
        Ok(asked.map(|(state, url)| {
            let flow = Flow {
                state,
                provider: provider.id,
                browser: browser.hash(),
                question: Question::SamlSignOut,
                next: "/".to_owned(),
            };
            self.single_sign_on.flows.add(flow, now);
            url
        }))
    }

    /// Keeps an answer that a provider's page had posted until the browser fetches it; the key to it. None where no
    /// SAML provider is set up, or what was posted is too large to be one.
    pub(crate) fn park(
        &self,
        organization: &Organization,
        message: &str,
        relay_state: &str,
        now: Timestamp,
    ) -> Result<Option<Secret>> {
        let is_awaited = self.find_saml(organization)?.is_some();
        if !is_awaited
            || message.len() > saml::MESSAGE_BYTES_MAX
            || relay_state.len() > RELAY_STATE_BYTES_MAX
        {
            return Ok(None);
        }
        let posted = Posted {
            message: message.to_owned(),
            relay_state: relay_state.to_owned(),
        };
        Ok(Some(self.single_sign_on.parked.add(posted, now)))
    }

    fn find_saml(&self, organization: &Organization) -> Result<Option<(IdentityProvider, Saml)>> {
        let found = providers::find_of(&*self.store.read()?, organization.id)?;
        Ok(
            found.and_then(|provider| match provider.config.protocol.clone() {
                Protocol::Saml(config) => Some((provider, config)),
                Protocol::Oidc(_) => None,
            }),
        )
    }

    /// Finishes a sign-in with the answer of this key. `browser`: the browser's cookie; `signed_in`: the user of its
    /// session.
    ///
    /// # Errors
    /// See [`NotArrived`].
    pub(crate) fn arrive_by_saml(
        &self,
        organization: &Organization,
        key: Option<&Secret>,
        browser: Option<&Secret>,
        visitor: &Visitor,
        signed_in: Option<UserId>,
    ) -> std::result::Result<Arrival, Stopped> {
        let found = self.hear_by_saml(organization, key, browser, visitor);
        found
            .and_then(|(provider, word)| self.welcome(provider, word, visitor, signed_in))
            .map_err(|why| Stopped {
                why,
                organization: Some(organization.id),
            })
    }

    fn hear_by_saml(
        &self,
        organization: &Organization,
        key: Option<&Secret>,
        browser: Option<&Secret>,
        visitor: &Visitor,
    ) -> std::result::Result<(IdentityProvider, Word), NotArrived> {
        self.refuse_busy_address(visitor)?;
        let now = visitor.now;
        let sso = &self.single_sign_on;
        let (provider, config) = self.find_saml(organization)?.ok_or(NotArrived::Lapsed)?;
        let posted = key.and_then(|key| sso.parked.take(key, now));
        let posted = posted.ok_or(NotArrived::Lapsed)?;
        let requests = self.asked(&provider, browser, &Question::SamlSignIn, now);
        let sides = self.sides(&provider, &config)?;
        let expected = Expected {
            provider: &sides.provider,
            service: &sides.service,
            requests: &requests,
            allow_unsolicited: config.provider_may_begin,
            now,
        };
        let person = response::check(&posted.message, &expected, self.remember(&provider))
            .map_err(|failure| self.refused(&provider, failure, visitor))?;
        let next = match (&person.request, browser) {
            (None, _) => posted.relay_state,
            (Some(request), Some(browser)) => {
                let flow = sso.flows.take(request, browser.hash(), now);
                flow.ok_or(NotArrived::Lapsed)?.next
            }
            (Some(_), None) => return Err(NotArrived::Lapsed),
        };
        let word = word_of(person, &provider, next);
        Ok((provider, word))
    }

    /// What this browser asked of a provider and was not answered.
    fn asked(
        &self,
        provider: &IdentityProvider,
        browser: Option<&Secret>,
        question: &Question,
        now: Timestamp,
    ) -> Vec<String> {
        let flows = &self.single_sign_on.flows;
        browser
            .map(|browser| flows.asked(provider.id, browser.hash(), question, now))
            .unwrap_or_default()
    }

    fn remember(
        &self,
        provider: &IdentityProvider,
    ) -> impl FnOnce(Message) -> Result<bool> + use<'_> {
        let id = provider.id;
        move |message| {
            self.store
                .write(move |unit| saml_messages::take(unit, id, &message.id, message.keep_until))
        }
    }

    /// Says what is told of a message that is refused, and counts it for the address that it came from.
    fn refused(
        &self,
        provider: &IdentityProvider,
        failure: Failure,
        visitor: &Visitor,
    ) -> NotArrived {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Failed(error) => return NotArrived::Failed(error),
        };
        let organization = provider.organization;
        log::debug!(
            "a message of the identity provider of organization {organization} is refused: {refusal}"
        );
        // Whose provider signs nobody in, or whose way here took too long, guesses nothing.
        if !matches!(refusal.reason, Reason::Denied | Reason::Request) {
            let address = Subject::address(visitor.address);
            self.throttle.count_failure(address, visitor.now);
        }
        match refusal.reason {
            Reason::Denied => NotArrived::Denied,
            reason => NotArrived::RefusedFor(reason.to_string()),
        }
    }

    /// Hears what a provider says about signing out: it asks for it, or answers what was asked of it.
    ///
    /// # Errors
    /// `Lapsed` where no SAML provider is set up; `Busy`; `RefusedFor`; `Failed`.
    pub(crate) fn hear_sign_out(
        &self,
        organization: &Organization,
        query: &str,
        browser: Option<&Secret>,
        visitor: &Visitor,
    ) -> std::result::Result<Left, NotArrived> {
        self.refuse_busy_address(visitor)?;
        let now = visitor.now;
        let (provider, config) = self.find_saml(organization)?.ok_or(NotArrived::Lapsed)?;
        let sides = self.sides(&provider, &config)?;
        let requests = self.asked(&provider, browser, &Question::SamlSignOut, now);
        let remember = self.remember(&provider);
        let heard = logout::check(
            query,
            &sides.provider,
            &sides.service,
            &requests,
            now,
            remember,
        )
        .map_err(|failure| self.refused(&provider, failure, visitor))?;
        match heard {
            Logout::Asked {
                id,
                name_id,
                session_indexes,
                relay_state,
            } => {
                let of = provider.id;
                self.store.write(move |unit| {
                    sessions::delete_saml(unit, of, &name_id, &session_indexes)
                })?;
                let relay_state = relay_state.as_deref();
                let url =
                    logout::answer_url(&sides.provider, &sides.service, &id, relay_state, now)?;
                Ok(url.map_or(Left::Over { everywhere: true }, Left::Answer))
            }
            Logout::Answered { request, complete } => {
                if let Some(browser) = browser {
                    self.single_sign_on
                        .flows
                        .take(&request, browser.hash(), now);
                }
                Ok(Left::Over {
                    everywhere: complete,
                })
            }
        }
    }
}

/// Longer ones are nobody's (the standard allows 80 bytes, and providers put URLs there).
const RELAY_STATE_BYTES_MAX: usize = 4_096;

fn word_of(person: Person, provider: &IdentityProvider, next: String) -> Word {
    let names = [person.first_name, person.last_name];
    let names: Vec<String> = names.into_iter().flatten().collect();
    Word {
        claims: Claims {
            subject: person.identifier,
            email_verified: provider.config.trust.saml_email_verified(&person.email),
            email: Some(person.email),
            name: Some(names.join(" ")).filter(|name| !name.is_empty()),
            groups: person.groups,
        },
        id_token: None,
        saml: person.name_id.map(|name| SamlSession {
            name,
            index: person.session_index,
        }),
        until: person.session_ends,
        next,
    }
}
