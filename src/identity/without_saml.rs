//! What stands in the place of `saml` in a build without that feature: no SAML provider can be set up, and of one that
//! another build has set up nothing is taken. Names and shapes are those of `saml`, so that nobody else knows which of the
//! two is there.

use crate::domain::dsn::UrlPrefix;
use crate::domain::slug::Slug;
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors, Result};

const WHY: &str = "This server was built without SAML.";

pub(crate) const MESSAGE_BYTES_MAX: usize = 0;

fn without<T>() -> Result<T> {
    Err(Error::NotFound)
}

fn not_to_set_up<T>() -> Result<T> {
    let mut errors = FieldErrors::default();
    errors.add("provider", WHY);
    Err(Error::Invalid(errors))
}

pub(crate) struct ServiceProvider {
    pub(crate) entity_id: String,
    pub(crate) acs_url: String,
    pub(crate) sls_url: String,
}

impl ServiceProvider {
    pub(crate) fn new(prefix: &UrlPrefix, organization: &Slug) -> ServiceProvider {
        let url = |what| format!("{prefix}/saml/{what}/{organization}/");
        ServiceProvider {
            entity_id: url("metadata"),
            acs_url: url("acs"),
            sls_url: url("sls"),
        }
    }
}

pub(crate) struct Fields {
    pub(crate) entity_id: String,
    pub(crate) sso_url: String,
    pub(crate) slo_url: String,
    pub(crate) certificates: Vec<String>,
}

pub(crate) struct AttributeMap {
    pub(crate) identifier: String,
    pub(crate) user_email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) groups: Option<String>,
}

/// There is none.
pub(crate) struct Provider {
    text: String,
    attributes: AttributeMap,
}

impl Provider {
    pub(crate) fn new(_: &Fields, _: &AttributeMap) -> Result<Provider> {
        not_to_set_up()
    }

    pub(crate) fn entity_id(&self) -> &str {
        &self.text
    }

    pub(crate) fn sso_url(&self) -> &str {
        &self.text
    }

    pub(crate) fn slo_url(&self) -> Option<&str> {
        None
    }

    pub(crate) fn certificates(&self) -> &[Certificate] {
        &[]
    }

    pub(crate) fn attributes(&self) -> &AttributeMap {
        &self.attributes
    }
}

/// There is none.
pub(crate) struct Certificate {
    text: String,
}

impl Certificate {
    pub(crate) fn parse(_: &str) -> std::result::Result<Certificate, String> {
        Err(WHY.to_owned())
    }

    pub(crate) fn base64(&self) -> &str {
        &self.text
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.text.clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.text.clone()
    }
}

pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) keep_until: Timestamp,
}

pub(crate) enum Failure {
    Refused(Refusal),
    Failed(Error),
}

pub(crate) struct Refusal {
    pub(crate) reason: Reason,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(WHY)
    }
}

pub(crate) enum Reason {
    Denied,
    Request,
    Other,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(WHY)
    }
}

pub(crate) fn read_metadata(_: &str) -> Result<Fields> {
    not_to_set_up()
}

pub(crate) fn write_metadata(_: &ServiceProvider) -> Result<String> {
    without()
}

pub(crate) fn sign_in_url(
    _: &Provider,
    _: &ServiceProvider,
    _: Timestamp,
) -> Result<(String, String)> {
    without()
}

pub(crate) mod response {
    use super::{Failure, Message, Provider, ServiceProvider, without};
    use crate::domain::Result as DomainResult;
    use crate::domain::single_sign_on::NameId;
    use crate::domain::time::Timestamp;

    pub(crate) struct Expected<'a> {
        pub(crate) provider: &'a Provider,
        pub(crate) service: &'a ServiceProvider,
        pub(crate) requests: &'a [String],
        pub(crate) allow_unsolicited: bool,
        pub(crate) now: Timestamp,
    }

    pub(crate) struct Person {
        pub(crate) request: Option<String>,
        pub(crate) name_id: Option<NameId>,
        pub(crate) session_index: Option<String>,
        pub(crate) session_ends: Option<Timestamp>,
        pub(crate) identifier: String,
        pub(crate) email: String,
        pub(crate) first_name: Option<String>,
        pub(crate) last_name: Option<String>,
        pub(crate) groups: Vec<String>,
    }

    pub(crate) fn check(
        _: &str,
        _: &Expected<'_>,
        _: impl FnOnce(Message) -> DomainResult<bool>,
    ) -> Result<Person, Failure> {
        without().map_err(Failure::Failed)
    }
}

pub(crate) mod logout {
    use super::{Failure, Message, Provider, ServiceProvider, without};
    use crate::domain::Result as DomainResult;
    use crate::domain::single_sign_on::NameId;
    use crate::domain::time::Timestamp;

    pub(crate) enum Logout {
        Asked {
            id: String,
            name_id: NameId,
            session_indexes: Vec<String>,
            relay_state: Option<String>,
        },
        Answered {
            request: String,
            complete: bool,
        },
    }

    pub(crate) fn request_url(
        _: &Provider,
        _: &ServiceProvider,
        _: &NameId,
        _: Option<&str>,
        _: Timestamp,
    ) -> DomainResult<Option<(String, String)>> {
        without()
    }

    pub(crate) fn answer_url(
        _: &Provider,
        _: &ServiceProvider,
        _: &str,
        _: Option<&str>,
        _: Timestamp,
    ) -> DomainResult<Option<String>> {
        without()
    }

    pub(crate) fn check(
        _: &str,
        _: &Provider,
        _: &ServiceProvider,
        _: &[String],
        _: Timestamp,
        _: impl FnOnce(Message) -> DomainResult<bool>,
    ) -> Result<Logout, Failure> {
        without().map_err(Failure::Failed)
    }
}
