//! Who somebody is: passwords, second factors, sessions, links that stand for them. Both fronts that people sign in
//! through, the pages and the API, come here, so that the rules are the same and guesses at one count at the other.
//!
//! Invariants: every try of a password runs exactly one Argon2, whether or not there is such an account, unless it is
//! refused before; what is refused says nothing about the account. No session of a user with a second factor begins
//! without a code of it, and no code is taken twice: [`Identity::begin`] and [`Identity::sign_in_with_code`] are the only
//! ways to a session.

pub(crate) mod cookies;
pub(crate) mod hashing;
mod letters;
mod links;
mod passwords;
#[cfg_attr(
    not(feature = "saml"),
    path = "without_saml.rs",
    expect(
        dead_code,
        reason = "it has the shapes of what is left out, and makes none of them"
    )
)]
pub(crate) mod saml;
mod second_factor;
mod sign_in;
pub(crate) mod single_sign_on;
pub(crate) mod throttle;
pub(crate) mod token_use;

use std::sync::Arc;

use crate::domain::dsn::UrlPrefix;
use crate::domain::secret::Secret;
use crate::outbound::http::Client;
use crate::outbound::mail::Mailer;
use crate::store::Store;
use hashing::Hashing;
use single_sign_on::SingleSignOn;
use throttle::Throttle;
use token_use::TokenUses;

pub(crate) use letters::Invitation;
pub(crate) use links::link_url;
pub(crate) use passwords::{NotTaken, SetUp};
pub(crate) use second_factor::{NotEnrolled, Removal, issuer};
pub(crate) use sign_in::{Begun, NewCookies, NotSignedIn, Try, Visitor};

/// The names of the cookies (facts/auth-and-tokens.md 9.1; the device's is ours).
pub(crate) const SESSION_COOKIE: &str = "sentrysid";
pub(crate) const CSRF_COOKIE: &str = "sc";
pub(crate) const DEVICE_COOKIE: &str = "picket_device";
/// Stands for a right password until the code of the second factor comes.
pub(crate) const PENDING_COOKIE: &str = "picket_pending";
/// Binds a sign-in at an identity provider to the browser that it began in.
pub(crate) const SINGLE_SIGN_ON_COOKIE: &str = "picket_sso";
/// What the provider is shown again when its user signs out. It is worth nothing else; here only the browser keeps it.
pub(crate) const ID_TOKEN_COOKIE: &str = "picket_id_token";

/// What a page of ours repeats to prove that a change comes from it: it follows from the session.
pub(crate) fn csrf_token(session: &Secret) -> Secret {
    session.derive("csrf")
}

pub(crate) struct Identity {
    store: Arc<Store>,
    mailer: Arc<Mailer>,
    /// What links start with.
    prefix: UrlPrefix,
    pub(crate) hashing: Hashing,
    pub(crate) throttle: Throttle,
    pub(crate) token_uses: TokenUses,
    pending: sign_in::Pending,
    unseen_codes: second_factor::UnseenCodes,
    pub(crate) single_sign_on: SingleSignOn,
}

impl Identity {
    pub(crate) fn new(
        store: Arc<Store>,
        mailer: Arc<Mailer>,
        http: Client,
        prefix: UrlPrefix,
    ) -> Identity {
        let single_sign_on = SingleSignOn::new(http, prefix.as_str());
        Identity {
            store,
            mailer,
            prefix,
            hashing: Hashing::default(),
            throttle: Throttle::default(),
            token_uses: TokenUses::default(),
            pending: sign_in::Pending::default(),
            unseen_codes: second_factor::UnseenCodes::default(),
            single_sign_on,
        }
    }
}
