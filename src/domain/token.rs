//! API tokens: how they look, and how they are kept (facts/auth-and-tokens.md 1 to 3).
//!
//! A token is 256 random bits. Only its SHA-256 and its last four characters are ever stored.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::dsn::UrlPrefix;
use super::id::{OrganizationId, ProjectId, TokenId, UserId};
use super::key::random_hex_32;
use super::scope::{OrganizationRole, Scope, ScopeSet};
use super::time::Timestamp;

/// The prefix that sends a bearer value to the organization tokens.
pub(crate) const ORGANIZATION_PREFIX: &str = "sntrys_";
const USER_PREFIX: &str = "sntryu_";

/// The longest name of a token.
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// The longest name of a legacy API key.
pub(crate) const LABEL_CHARS_MAX: usize = 64;

/// How long a token that was rotated goes on, unless somebody says otherwise.
pub(crate) const GRACE_SECS: i64 = 86_400;

/// How long before its end a token's user is warned.
const SOON_SECS: i64 = 14 * 86_400;

/// How many days of a token's use are kept.
pub(crate) const USE_DAYS: i64 = 90;

/// A token in clear: shown once, where it was made, and never stored or logged (it has no `Debug` output).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenText(String);

impl TokenText {
    /// `sntryu_` and 64 hex digits.
    pub(crate) fn random_user() -> TokenText {
        TokenText(format!("{USER_PREFIX}{}", random_hex()))
    }

    /// The last part of an invitation's link: 64 hex digits.
    pub(crate) fn random_invitation() -> TokenText {
        TokenText(random_hex())
    }

    /// `sntrys_`, base64 of where the token belongs, `_`, base64 of the secret. Clients read the first part
    /// to learn their server and organization, in the standard alphabet only, padded; the secret part is not.
    pub(crate) fn random_organization(
        organization: &str,
        prefix: &UrlPrefix,
        now: Timestamp,
    ) -> TokenText {
        #[derive(serde::Serialize)]
        struct Claims<'a> {
            iat: f64,
            url: &'a str,
            region_url: &'a str,
            org: &'a str,
        }
        let claims = Claims {
            iat: now.us() as f64 / 1e6,
            url: prefix.as_str(),
            region_url: prefix.as_str(),
            org: organization,
        };
        let claims = serde_json::to_vec(&claims).expect("a struct of strings and a finite number");
        let secret: [u8; 32] = rand::rng().random();
        TokenText(format!(
            "{ORGANIZATION_PREFIX}{}_{}",
            STANDARD.encode(claims),
            STANDARD_NO_PAD.encode(secret)
        ))
    }

    /// A legacy API key of an organization: 32 hex digits, sent as a user name (facts/auth-and-tokens.md 4).
    pub(crate) fn random_api_key() -> TokenText {
        TokenText(random_hex_32())
    }

    /// A token that somebody brings along (an apply file). At least 40 characters without white space, so
    /// that nobody can guess it.
    pub(crate) fn given(text: &str) -> Option<TokenText> {
        let long_enough = (40..=2048).contains(&text.len());
        (long_enough && text.bytes().all(|b| b.is_ascii_graphic()))
            .then(|| TokenText(text.to_owned()))
    }

    /// The token itself. Every caller hands it to the one who asked for it, and to nobody else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }

    pub(crate) fn last_characters(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

/// 256 random bits.
fn random_hex() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of a whole token, prefix included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOwner {
    User(UserId),
    Organization(OrganizationId),
    /// An organization too, by a legacy API key.
    ApiKey(OrganizationId),
}

impl TokenOwner {
    /// The scopes of a token that was given none: what its kind is made for. A user's token is cut by the
    /// user's role at every use, so an owner's scopes never widen what the user may do.
    pub(crate) fn default_scopes(self) -> ScopeSet {
        match self {
            TokenOwner::User(_) => OrganizationRole::Owner.scopes(),
            TokenOwner::Organization(_) => ScopeSet::of(&[Scope::OrgCi]),
            TokenOwner::ApiKey(_) => ScopeSet::of(&[
                Scope::ProjectRead,
                Scope::EventRead,
                Scope::TeamRead,
                Scope::OrgRead,
                Scope::MemberRead,
            ]),
        }
    }
}

/// A stored token; its text is gone.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: TokenId,
    pub(crate) owner: TokenOwner,
    pub(crate) name: String,
    pub(crate) last_characters: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
    /// From where.
    pub(crate) last_address: Option<String>,
    /// For which project, where a request was about one.
    pub(crate) last_project: Option<ProjectId>,
    pub(crate) revoked: Option<Timestamp>,
    /// Switched off for the time being; only API keys can be.
    pub(crate) disabled: bool,
    /// Pages of which origins may use it, one a line; only API keys have any.
    pub(crate) allowed_origins: String,
    /// The only projects that it is for; empty for all.
    pub(crate) projects: Vec<ProjectId>,
}

impl Token {
    /// Expired from the very moment on that it names.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// When it expires, if that is so near that whoever uses it should be told.
    pub(crate) fn expires_soon(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires
            .filter(|expires| now < *expires && *expires <= now.plus_secs(SOON_SECS))
    }

    /// When the token that comes after this one expires: it lasts as long as this one was made for.
    pub(crate) fn successor_expires(&self, now: Timestamp) -> Option<Timestamp> {
        let lifetime_us = self.expires?.us().saturating_sub(self.created.us());
        Some(Timestamp::from_us(now.us().saturating_add(lifetime_us)).min(Timestamp::LAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_token_has_71_characters() {
        let token = TokenText::random_user();
        assert_eq!(token.reveal().len(), 71);
        assert!(token.reveal().starts_with("sntryu_"));
        assert!(token.reveal().ends_with(token.last_characters()));
    }

    #[test]
    fn an_organization_token_has_three_parts_in_the_standard_alphabet() {
        let prefix = UrlPrefix::parse("http://127.0.0.1:8000").unwrap();
        let now = Timestamp::from_us(1_772_600_000_500_000);
        let token = TokenText::random_organization("acme", &prefix, now);
        let parts: Vec<&str> = token.reveal().split('_').collect();
        assert_eq!((parts.len(), parts[0], parts[2].len()), (3, "sntrys", 43));
        let claims = STANDARD.decode(parts[1]).unwrap();
        assert_eq!(
            String::from_utf8(claims).unwrap(),
            r#"{"iat":1772600000.5,"url":"http://127.0.0.1:8000","region_url":"http://127.0.0.1:8000","org":"acme"}"#
        );
    }

    #[test]
    fn a_token_expires_at_the_moment_that_it_names() {
        let token = Token {
            id: TokenId(1),
            owner: TokenOwner::User(UserId(1)),
            name: String::new(),
            last_characters: String::new(),
            scopes: ScopeSet::NONE,
            created: Timestamp::from_secs(0),
            expires: Some(Timestamp::from_secs(10)),
            last_used: None,
            last_address: None,
            last_project: None,
            revoked: None,
            disabled: false,
            allowed_origins: String::new(),
            projects: Vec::new(),
        };
        assert!(!token.is_expired(Timestamp::from_us(9_999_999)));
        assert!(token.is_expired(Timestamp::from_secs(10)));
        let soon = Timestamp::from_secs(10 - SOON_SECS);
        assert_eq!(token.expires_soon(soon), token.expires);
        assert_eq!(token.expires_soon(soon.plus_secs(-1)), None);
        assert_eq!(token.expires_soon(Timestamp::from_secs(10)), None);
        let later = Timestamp::from_secs(100);
        assert_eq!(token.successor_expires(later), Some(later.plus_secs(10)));
    }
}
