//! Who somebody is: passwords, second factors, sessions. Both fronts that people sign in through, the pages and the
//! API, come here, so that the rules are the same and guesses at one count at the other.
//!
//! Invariants: every try of a password runs exactly one Argon2, whether or not there is such an account, unless it is
//! refused before; what is refused says nothing about the account.

pub(crate) mod hashing;
pub(crate) mod saml;
mod sign_in;
pub(crate) mod throttle;

use std::sync::Arc;

use crate::domain::secret::Secret;
use crate::store::Store;
use hashing::Hashing;
use throttle::Throttle;

pub(crate) use sign_in::{Begun, NewCookies, NotSignedIn, Try, Visitor};

/// The names of the cookies (facts/auth-and-tokens.md 9.1; the device's is ours).
pub(crate) const SESSION_COOKIE: &str = "sentrysid";
pub(crate) const CSRF_COOKIE: &str = "sc";
pub(crate) const DEVICE_COOKIE: &str = "picket_device";

/// What a page of ours repeats to prove that a change comes from it: it follows from the session.
pub(crate) fn csrf_token(session: &Secret) -> Secret {
    session.derive("csrf")
}

pub(crate) struct Identity {
    store: Arc<Store>,
    pub(crate) hashing: Hashing,
    pub(crate) throttle: Throttle,
    pending: sign_in::Pending,
}

impl Identity {
    pub(crate) fn new(store: Arc<Store>) -> Identity {
        Identity {
            store,
            hashing: Hashing::default(),
            throttle: Throttle::default(),
            pending: sign_in::Pending::default(),
        }
    }
}
