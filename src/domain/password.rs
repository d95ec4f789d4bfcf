//! Passwords: Argon2id hashes in the PHC string format.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

use super::error::{Error, Result};

/// The lengths that a password may have, in characters (facts/auth-and-tokens.md 9.2).
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

/// Hashes a password with a fresh salt. Takes some tens of milliseconds and 19 MiB on purpose.
///
/// # Errors
/// The system gave no random numbers.
pub(crate) fn hash(password: &str) -> Result<String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::internal(error.to_string()))
}

/// Whether the password belongs to the hash. A hash that cannot be read belongs to none.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_verifies() {
        let stored = hash("correct horse battery staple").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse battery staple", &stored));
        assert!(!verify("correct horse battery stapler", &stored));
        assert!(!verify("anything", "no hash"));
    }
}
