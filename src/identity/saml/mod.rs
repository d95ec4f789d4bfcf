//! SAML 2.0 as a service provider: what an organization's identity provider says about a person, and nothing that it
//! did not sign (facts/auth-and-tokens.md 9.4).
//!
//! - [`provider`]: what is configured of a provider; [`metadata`] reads it from the provider's own document, and
//!   writes ours;
//! - [`response`]: the answer to a sign-in; [`logout`]: requests and answers of single logout; [`redirect`]: how
//!   those, and requests for sign-in, travel in a URL;
//! - [`shape`]: which signed documents are looked at further; [`signed`]: what was signed, and by whom.
//!
//! Cryptography, canonical form and the rules of the web profile are the library's (`gamlastan`). On its own it is
//! not enough: it follows references, transforms and algorithms of a document before it knows who signed it. So the
//! order is fixed: parse without document types, comments, processing instructions and CDATA; check the shape, which
//! leaves one way to read the document; verify; then read the claims from the very bytes whose digest was signed,
//! never from the document that carried them.
//!
//! Invariants: a refusal names one reason and changes nothing; an assertion is remembered last, after all else held,
//! so that it signs in once; keys come from the configuration alone, never from a message. What a person is to this
//! server (accounts, members, sessions) is left to the callers, and so are the routes. Nothing here is sent to a
//! provider but by way of the browser; nothing of ours is signed, so there is no key of our own to keep.

pub(crate) mod logout;
mod metadata;
mod provider;
mod redirect;
mod refusal;
pub(crate) mod response;
mod shape;
mod signed;
#[cfg(test)]
mod tests;
mod xml;

use crate::domain::dsn::UrlPrefix;
use crate::domain::slug::Slug;
use crate::domain::time::Timestamp;

pub(crate) use metadata::{read as read_metadata, write as write_metadata};
pub(crate) use provider::{AttributeMap, Certificate, Fields, Provider};
pub(crate) use redirect::sign_in_url;
#[cfg(test)]
use refusal::Refusal;
pub(crate) use refusal::{Failure, Reason};

/// By how much the provider's clock may differ from ours.
const SKEW_SECS: u32 = 60;
/// How old a message may be, whatever it says itself.
const AGE_SECS_MAX: u32 = 300;
/// The longest form value or query parameter that is looked at, in base64. Real answers have some ten KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// This server, as the provider of one organization knows it.
pub(crate) struct ServiceProvider {
    /// The URL of our metadata, which is our name too.
    pub(crate) entity_id: String,
    /// Where answers to sign-ins are posted.
    pub(crate) acs_url: String,
    /// Where single logout arrives.
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

/// A message that was found good, for whoever remembers them so that it is not taken twice.
pub(crate) struct Message {
    /// What kind it is and what its sender calls it: unique among the messages of a provider.
    pub(crate) id: String,
    /// From then on it is refused for its age alone, and need not be remembered.
    pub(crate) keep_until: Timestamp,
}

impl Message {
    fn new(kind: &str, id: &str, now: Timestamp) -> Message {
        // It may carry a time in our future, by the skew, and the library counts age in whole seconds.
        let secs = i64::from(SKEW_SECS) + i64::from(AGE_SECS_MAX) + i64::from(SKEW_SECS) + 2;
        Message {
            id: format!("{kind} {id}"),
            keep_until: now.plus_secs(secs),
        }
    }
}

/// A moment as the library counts them.
fn moment(time: Timestamp) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(time.us()).unwrap_or_default()
}

fn new_id() -> String {
    // It must not begin with a digit.
    format!("_{:032x}", rand::random::<u128>())
}
