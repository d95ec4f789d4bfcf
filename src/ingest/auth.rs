//! Which key a request brings: the grammar and the sources of facts/ingestion.md 2.
//!
//! Sources are the header `X-Sentry-Auth`, `Authorization` (its own scheme, or Basic with the key as user
//! name), the query, a segment of the path, and for envelopes without any of these the first line's `dsn`. Two sources that agree
//! are accepted, differing ones are refused (design 11).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::envelope::{self, EnvelopeError, EnvelopeHeader};
use super::news::Sdk;
use super::{Authenticated, Refusal, is_project};
use crate::http::Request;

/// The newest protocol version that there is.
const VERSION_MAX: u16 = 7;

/// What a request says to be sent with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The key's public half, unchecked.
    pub(super) public: String,
    /// `sentry_client`.
    pub(super) sdk: Sdk,
}

impl Credentials {
    /// From the `dsn` of an envelope's first line.
    pub(super) fn of_envelope_header(line: &[u8]) -> Result<Credentials, Refusal> {
        let bad = Refusal::EnvelopeAuth;
        let header = match envelope::parse_header(line) {
            Ok(header) => header,
            Err(EnvelopeError::InvalidHeader(cause)) => return Err(bad(cause)),
            Err(error) => return Err(bad(error.to_string())),
        };
        let dsn = header
            .dsn
            .ok_or_else(|| bad("missing field `dsn` at line 1 column 2".to_owned()))?;
        let dsn = Dsn::parse(&dsn).ok_or_else(|| bad("invalid dsn".to_owned()))?;
        Ok(Credentials {
            public: dsn.public.to_owned(),
            // What the line says of it counts for every envelope.
            sdk: Sdk::NONE,
        })
    }
}

/// The key that headers, query and path bring; none if there is none in any of them.
pub(super) fn credentials(
    request: &Request,
    in_path: Option<&str>,
) -> Result<Option<Credentials>, Refusal> {
    let header = request
        .headers
        .get("x-sentry-auth")
        .and_then(after_scheme)
        .map(of_pairs);
    let authorization = request.headers.get("authorization");
    let own_scheme = authorization.and_then(after_scheme).map(of_pairs);
    let basic = authorization.and_then(basic_user).map(of_key);
    let query = request
        .query
        .contains("sentry_")
        .then(|| of_query(&request.query));
    let mut found: Option<Credentials> = None;
    let path = in_path.map(|key| of_key(key.to_owned()));
    for source in [header, own_scheme, basic, query, path]
        .into_iter()
        .flatten()
    {
        let source = source?;
        match &mut found {
            Some(first) if first.public != source.public => return Err(Refusal::MultipleAuth),
            Some(first) => first.sdk = first.sdk.or(source.sdk),
            None => found = Some(source),
        }
    }
    Ok(found)
}

/// Whether an envelope's own header speaks of the project and key that it came with.
pub(super) fn agree(
    header: &EnvelopeHeader,
    authenticated: &Authenticated,
    request: &Request,
) -> Result<(), Refusal> {
    let mismatch = |what: &str| {
        Err(Refusal::InvalidEnvelope(vec![format!(
            "{what} header mismatch between envelope and request"
        )]))
    };
    if let Some(dsn) = header.dsn.as_deref().and_then(Dsn::parse) {
        if !is_project(authenticated.key.project, dsn.project) {
            return mismatch("project id");
        }
        if dsn.public != authenticated.key.public.as_str() {
            return mismatch("public key");
        }
    }
    if let (Some(stated), Some(origin)) = (&header.origin, request.headers.get("origin"))
        && stated.trim_end_matches('/') != origin.trim_end_matches('/')
    {
        return mismatch("origin");
    }
    Ok(())
}

/// The rest of a header in Sentry's own scheme; none for any other, which then counts as absent.
fn after_scheme(value: &str) -> Option<&str> {
    let scheme = value.get(..7)?;
    scheme.eq_ignore_ascii_case("sentry ").then(|| &value[7..])
}

fn basic_user(value: &str) -> Option<String> {
    let scheme = value.get(..6)?;
    if !scheme.eq_ignore_ascii_case("basic ") {
        return None;
    }
    let decoded = STANDARD.decode(value[6..].trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

fn of_pairs(pairs: &str) -> Result<Credentials, Refusal> {
    let mut fields = Fields::default();
    for pair in pairs.split(',') {
        // Text after a second `=` is lost, as in Relay.
        let mut parts = pair.split('=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            fields.set(name.trim(), Cow::Borrowed(value.trim()));
        }
    }
    fields.check()
}

fn of_query(query: &str) -> Result<Credentials, Refusal> {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        fields.set(&name, value);
    }
    fields.check()
}

fn of_key(public: String) -> Result<Credentials, Refusal> {
    let mut fields = Fields::default();
    fields.set("sentry_key", Cow::Owned(public));
    fields.check()
}

#[derive(Default)]
struct Fields<'a> {
    key: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    sdk: Sdk,
}

impl<'a> Fields<'a> {
    fn set(&mut self, name: &str, value: Cow<'a, str>) {
        match name {
            "sentry_key" => self.key = Some(value),
            "sentry_version" => self.version = Some(value),
            "sentry_client" => self.sdk = Sdk::of_client(&value),
            _ => {}
        }
    }

    fn check(self) -> Result<Credentials, Refusal> {
        if let Some(version) = &self.version {
            let major = version.split('.').next().unwrap_or_default();
            let major: u16 = major.parse().map_err(|_| Refusal::BadVersion)?;
            if major > VERSION_MAX {
                return Err(Refusal::UnsupportedVersion(major));
            }
        }
        let key = self.key.unwrap_or_default();
        // Text after a dot is a list of flags.
        let public = key.split('.').next().unwrap_or_default();
        if public.is_empty() {
            return Err(Refusal::MissingKey);
        }
        Ok(Credentials {
            public: public.to_owned(),
            sdk: self.sdk,
        })
    }
}

/// What of a DSN names a key and a project. The host is never compared.
pub(super) struct Dsn<'a> {
    pub(super) public: &'a str,
    pub(super) project: u64,
}

impl<'a> Dsn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Dsn<'a>> {
        let (_, rest) = text.split_once("://")?;
        let (keys, address) = rest.split_once('@')?;
        let (_, project) = address.trim_end_matches('/').rsplit_once('/')?;
        Some(Dsn {
            public: keys.split(':').next().unwrap_or_default(),
            project: project.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn of_header(value: &str) -> Option<Result<Credentials, Refusal>> {
        after_scheme(value).map(of_pairs)
    }

    #[test]
    fn the_scheme_is_read_without_case_and_pairs_with_spaces() {
        for value in [
            format!(
                "Sentry sentry_version=7, sentry_client=x/1.0, sentry_key={KEY}, sentry_secret=a=b"
            ),
            format!("sentry sentry_key={KEY}"),
            format!("SENTRY   sentry_key = {KEY} ,junk,sentry_version=7.1"),
            format!("Sentry sentry_key=other,sentry_key={KEY}.no-cache"),
        ] {
            let credentials = of_header(&value).unwrap().unwrap();
            assert_eq!(credentials.public, KEY, "{value}");
        }
    }

    #[test]
    fn another_scheme_counts_as_absent() {
        for value in ["", "Sentry", "Bearer abcdefgh", "sentr\u{e9} sentry_key=x"] {
            assert_eq!(of_header(value), None, "{value}");
        }
    }

    #[test]
    fn a_bad_version_or_a_missing_key_is_refused() {
        let refused = |value: &str| of_header(value).unwrap().unwrap_err();
        assert_eq!(refused("Sentry sentry_version=7"), Refusal::MissingKey);
        assert_eq!(refused("Sentry sentry_key=,"), Refusal::MissingKey);
        assert_eq!(
            refused("Sentry sentry_key=k,sentry_version=abc"),
            Refusal::BadVersion
        );
        assert_eq!(
            refused("Sentry sentry_key=k,sentry_version=9"),
            Refusal::UnsupportedVersion(9)
        );
    }

    #[test]
    fn a_dsn_has_a_key_and_ends_in_a_project() {
        let dsn = Dsn::parse("https://key:@host:9000/prefix/42").unwrap();
        assert_eq!((dsn.public, dsn.project), ("key", 42));
        assert!(Dsn::parse("https://host/42").is_none());
        assert!(Dsn::parse("https://key@host/web").is_none());
    }
}
