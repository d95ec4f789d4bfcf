//! What is configured of an organization's identity provider.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gamlastan::crypto::Key;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::signed::{key_of, without_space};
use crate::domain::dsn;
use crate::domain::{Error, FieldErrors, Result};

/// An identity provider, checked. As JSON it is the `config` of its row:
/// `{"entity_id", "sso_url", "slo_url", "x509_certificates": ["MII…"], "attributes": {"identifier", "user_email",
/// "first_name", "last_name", "groups"}}`; reading it back checks it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct Provider {
    entity_id: String,
    sso_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    slo_url: Option<String>,
    #[serde(rename = "x509_certificates")]
    certificates: Vec<Certificate>,
    attributes: AttributeMap,
}

#[derive(Deserialize)]
struct Stored {
    entity_id: String,
    sso_url: String,
    slo_url: Option<String>,
    x509_certificates: Vec<String>,
    attributes: AttributeMap,
}

/// What the provider calls the values that are asked of it (facts/auth-and-tokens.md 9.4). The name `NameID` stands
/// for the name that the answer gives its subject, which is no attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttributeMap {
    /// What never changes of a person.
    pub(crate) identifier: String,
    pub(crate) user_email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) groups: Option<String>,
}

/// The name in an [`AttributeMap`] that stands for the subject's.
pub(crate) const NAME_ID: &str = "NameID";

/// A certificate whose key can verify. Its dates and its issuer mean nothing here: an owner trusted this very key
/// (as SAML metadata interoperability has it), and takes it away when it is no longer trusted.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Certificate {
    /// The DER in base64 without lines.
    base64: String,
}

/// A provider as a form or a client gives it; texts may have white space around them, and an empty one is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) entity_id: String,
    pub(crate) sso_url: String,
    pub(crate) slo_url: String,
    /// One or more: PEM, one after another, or bare base64 each.
    pub(crate) certificates: Vec<String>,
}

const TEXT_CHARACTERS_MAX: usize = 1024;
const CERTIFICATES_MAX: usize = 10;
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Smaller RSA keys can be broken.
const RSA_BITS_MIN: usize = 2048;

impl Provider {
    /// Checks all fields.
    ///
    /// # Errors
    /// [`Error::Invalid`] with texts for `entity_id`, `sso_url`, `slo_url`, `x509_certificates` and those of the map,
    /// under `attributes`.
    pub(crate) fn new(fields: &Fields, attributes: &AttributeMap) -> Result<Provider> {
        let mut errors = FieldErrors::default();
        let mut note = |field: &str, found: std::result::Result<(), String>| {
            if let Err(text) = found {
                errors.add(field, text);
            }
        };
        let entity_id = fields.entity_id.trim();
        let sso_url = fields.sso_url.trim();
        let slo_url = Some(fields.slo_url.trim()).filter(|url| !url.is_empty());
        note("entity_id", check_text(entity_id));
        note("sso_url", check_url(sso_url));
        note("slo_url", slo_url.map_or(Ok(()), check_url));
        let certificates = read_certificates(&fields.certificates).unwrap_or_else(|text| {
            note("x509_certificates", Err(text));
            Vec::new()
        });
        let (attributes, wrong) = attributes.checked();
        errors.nest("attributes", wrong);
        errors.into_result()?;
        Ok(Provider {
            entity_id: entity_id.to_owned(),
            sso_url: sso_url.to_owned(),
            slo_url: slo_url.map(str::to_owned),
            certificates,
            attributes,
        })
    }

    /// What the provider calls itself.
    pub(crate) fn entity_id(&self) -> &str {
        &self.entity_id
    }

    /// Where sign-in begins.
    pub(crate) fn sso_url(&self) -> &str {
        &self.sso_url
    }

    /// Where single logout goes; none if the provider has none.
    pub(crate) fn slo_url(&self) -> Option<&str> {
        self.slo_url.as_deref()
    }

    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    pub(crate) fn attributes(&self) -> &AttributeMap {
        &self.attributes
    }
}

impl TryFrom<Stored> for Provider {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Provider> {
        let fields = Fields {
            entity_id: stored.entity_id,
            sso_url: stored.sso_url,
            slo_url: stored.slo_url.unwrap_or_default(),
            certificates: stored.x509_certificates,
        };
        Provider::new(&fields, &stored.attributes)
    }
}

impl AttributeMap {
    fn checked(&self) -> (AttributeMap, FieldErrors) {
        let mut errors = FieldErrors::default();
        let mut check = |field: &str, name: &str| {
            if let Err(text) = check_text(name.trim()) {
                errors.add(field, text);
            }
            name.trim().to_owned()
        };
        let identifier = check("identifier", &self.identifier);
        let user_email = check("user_email", &self.user_email);
        let mut optional = |field: &str, name: &Option<String>| {
            let given = name.as_deref().filter(|name| !name.trim().is_empty());
            given.map(|name| check(field, name))
        };
        let map = AttributeMap {
            identifier,
            user_email,
            first_name: optional("first_name", &self.first_name),
            last_name: optional("last_name", &self.last_name),
            groups: optional("groups", &self.groups),
        };
        (map, errors)
    }
}

impl Certificate {
    /// Reads one in base64, with or without lines.
    pub(crate) fn parse(text: &str) -> std::result::Result<Certificate, String> {
        let base64 = without_space(text);
        if base64.len() > CERTIFICATE_BYTES_MAX {
            return Err("A certificate is too long to be one.".to_owned());
        }
        let der = STANDARD.decode(&base64).map_err(|_| {
            "This is not a certificate: give it as PEM, or as base64 alone.".to_owned()
        })?;
        let key = key_of(&der)
            .ok_or("This is not an X.509 certificate with a key that can verify, or its RSA key is over 4096 bits.")?;
        match key.data.algorithm_name() {
            "RSA" if rsa_bits(&key) < RSA_BITS_MIN => Err(format!(
                "The certificate's RSA key is shorter than {RSA_BITS_MIN} bits."
            )),
            "RSA" | "EC-P256" | "EC-P384" | "EC-P521" => Ok(Certificate { base64 }),
            other => Err(format!(
                "The certificate has a key of another kind ({other}); RSA and ECDSA (P-256, P-384, P-521) work."
            )),
        }
    }

    /// The DER in base64 without lines.
    pub(crate) fn base64(&self) -> &str {
        &self.base64
    }

    pub(super) fn key(&self) -> Option<Key> {
        key_of(&self.der())
    }

    fn der(&self) -> Vec<u8> {
        STANDARD.decode(&self.base64).unwrap_or_default()
    }

    /// The SHA-256 of the certificate as people compare it: `AB:CD:…`.
    pub(crate) fn fingerprint(&self) -> String {
        let bytes: Vec<String> = Sha256::digest(self.der())
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        bytes.join(":")
    }

    /// As files have it.
    pub(crate) fn pem(&self) -> String {
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (at, c) in self.base64.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        pem
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}

/// The bits of a public RSA key, in whole bytes; 0 for others. The library tells them only in XML.
fn rsa_bits(key: &Key) -> usize {
    let xml = key.data.to_key_value_xml("").unwrap_or_default();
    let modulus = xml.split("Modulus>").nth(1).unwrap_or_default();
    let base64 = modulus.split('<').next().unwrap_or_default();
    STANDARD.decode(base64).map_or(0, |bytes| bytes.len() * 8)
}

/// Reads certificates, each once.
fn read_certificates(texts: &[String]) -> std::result::Result<Vec<Certificate>, String> {
    let mut found: Vec<Certificate> = Vec::new();
    for text in texts.iter().flat_map(|text| split_pem(text)) {
        let certificate = Certificate::parse(&text)?;
        if !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    match found.len() {
        0 => {
            Err("At least one certificate is needed: without it nobody knows who signs.".to_owned())
        }
        n if n > CERTIFICATES_MAX => Err(format!(
            "There may be {CERTIFICATES_MAX} certificates at most."
        )),
        _ => Ok(found),
    }
}

/// The base64 of each certificate in a text: of every PEM block, or the text itself. Blocks of other kinds stay
/// whole, so that they are refused.
fn split_pem(text: &str) -> Vec<String> {
    let blocks = text.split("-----END CERTIFICATE-----");
    blocks
        .map(|block| block.trim())
        .filter(|block| !block.is_empty())
        .map(|block| {
            block
                .strip_prefix("-----BEGIN CERTIFICATE-----")
                .unwrap_or(block)
                .to_owned()
        })
        .collect()
}

fn check_text(text: &str) -> std::result::Result<(), String> {
    if text.is_empty() {
        return Err("This field may not be blank.".to_owned());
    }
    if text.chars().count() > TEXT_CHARACTERS_MAX {
        return Err(format!(
            "This field may have {TEXT_CHARACTERS_MAX} characters at most."
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("This field may not have line breaks or other control characters.".to_owned());
    }
    Ok(())
}

/// A URL to send a browser to: https, or http to this machine, where tests and tunnels are.
fn check_url(url: &str) -> std::result::Result<(), String> {
    check_text(url)?;
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        _ => return Err("This URL must start with https://.".to_owned()),
    };
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '#' | '`');
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if !url.chars().all(plain) || authority.contains('@') || !dsn::has_host_and_port(authority) {
        return Err(
            "This is not a URL with a host, without spaces, a user or a fragment.".to_owned(),
        );
    }
    if !secure && !["localhost", "127.0.0.1", "[::1]"].contains(&dsn::host_of(authority)) {
        return Err(
            "This URL must start with https://: over http, others on the way could read and change what is said."
                .to_owned(),
        );
    }
    Ok(())
}
