//! Why a message is refused.

use std::fmt;

use crate::domain::Error;

/// Why a message of a provider led to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The message is not good.
    Refused(Refusal),
    /// It could not be remembered, so it was not taken.
    Failed(Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}

/// A refused message.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// What was found, for the log: bounded, and without characters that would forge a line of it. It quotes the
    /// message and says nothing secret.
    pub(crate) detail: String,
}

const DETAIL_CHARACTERS_MAX: usize = 300;

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl fmt::Display) -> Refusal {
        let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let detail = detail
            .to_string()
            .chars()
            .take(DETAIL_CHARACTERS_MAX)
            .map(plain)
            .collect();
        Refusal { reason, detail }
    }
}

/// For the log; [`Reason`] has the text for people.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// Displayed as a text for the person who signs in; whoever can mend it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Longer than any real message, also once unpacked.
    TooLarge,
    /// Not base64, not compressed as it should be, not XML, or XML with what could hide something.
    Unreadable,
    /// Another message than is expected here, or one without what it must have.
    Unexpected,
    /// The provider says that it did not sign the person in, or out.
    Denied,
    /// Encrypted, and we have no key.
    Encrypted,
    /// Signed in a way, or with parts in places, that leave open what was signed.
    Shape,
    /// Signed with an algorithm that is not trusted.
    Algorithm,
    /// Not signed.
    Unsigned,
    /// Signed by somebody else, or changed after it was signed.
    Signature,
    /// Of another provider.
    Issuer,
    /// Sent to another address.
    Destination,
    /// Made out for another address.
    Recipient,
    /// Made out for another application.
    Audience,
    /// The answer to a question that was not asked here.
    Request,
    /// The answer to no question, and those are not allowed.
    Unsolicited,
    /// No longer valid.
    Expired,
    /// Not valid yet.
    NotYet,
    /// Made longer ago than is allowed, whatever it says itself.
    Old,
    /// Does not say that whoever brings it is the person.
    Confirmation,
    /// Does not say that the person signed in.
    NoSignIn,
    /// Was taken before.
    Replayed,
    /// Lacks values that are needed; the names of the attributes that lack, and of those that are there
    /// (facts/auth-and-tokens.md 9.4).
    Attributes {
        missing: Vec<String>,
        received: Vec<String>,
    },
    /// The value of the attribute for the email address is none.
    Email,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::TooLarge => "The identity provider's message is too large.",
            Reason::Unreadable => "The identity provider's message cannot be read.",
            Reason::Unexpected => "The identity provider sent a message that is not expected here.",
            Reason::Denied => "The identity provider did not do what was asked. Try again, or ask its administrator.",
            Reason::Encrypted => {
                "The identity provider encrypts its answers. Its administrator must switch that off for this \
                 application: signed answers over https are what it reads."
            }
            Reason::Shape => {
                "The identity provider's message is signed in a way that leaves open what was signed."
            }
            Reason::Algorithm => {
                "The identity provider signs with an algorithm that is not safe. Its administrator must choose RSA or \
                 ECDSA with SHA-256 or better."
            }
            Reason::Unsigned => {
                "The identity provider's message is not signed. Its administrator must switch signing on."
            }
            Reason::Signature => {
                "The identity provider's message is not signed with a certificate that is configured here, or it was \
                 changed on its way. If the provider has a new certificate, an owner of the organization must add it."
            }
            Reason::Issuer => "The message comes from another identity provider than the one configured here.",
            Reason::Destination | Reason::Recipient => {
                "The identity provider's message is meant for another address. Its administrator must check the \
                 address of this application."
            }
            Reason::Audience => {
                "The identity provider's message is meant for another application. Its administrator must check the \
                 entity ID of this application."
            }
            Reason::Request => {
                "This is the answer to a sign-in that did not begin in this browser, or began too long ago. Sign in \
                 again."
            }
            Reason::Unsolicited => "Sign-in must begin here, not at the identity provider. Sign in again.",
            Reason::Expired | Reason::Old => {
                "The identity provider's message is no longer valid. Sign in again; if that does not help, the clocks \
                 of the two servers differ."
            }
            Reason::NotYet => {
                "The identity provider's message is not valid yet: the clocks of the two servers differ."
            }
            Reason::Confirmation | Reason::NoSignIn => {
                "The identity provider's message does not say who signed in."
            }
            Reason::Replayed => "This message was used before. Sign in again.",
            Reason::Attributes { missing, received } => {
                return write!(
                    f,
                    "The identity provider's answer lacks {}. It has {}. Its administrator must send what lacks, or an \
                     owner of the organization must choose other names.",
                    list(missing),
                    if received.is_empty() { "no attributes".to_owned() } else { list(received) },
                );
            }
            Reason::Email => "The identity provider's answer has no valid email address.",
        })
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}
