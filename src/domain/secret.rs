//! Secrets that are handed out once and recognised later: cookies of sessions and devices, links that work once.

use rand::RngExt;
use sha2::{Digest, Sha256};

/// 256 random bits as 64 lower-case hex digits. Has no `Debug` output; only its hash is ever stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SecretHash(pub(crate) [u8; 32]);

impl Secret {
    pub(crate) fn random() -> Secret {
        let bytes: [u8; 32] = rand::rng().random();
        Secret(hex(&bytes))
    }

    /// What a client sent; none if it cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Secret> {
        let is_hex =
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Secret(text.to_owned()))
    }

    /// The secret itself. Every caller hands it to the one it was made for, and to nobody else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Another secret that follows from this one and tells nothing about it.
    pub(crate) fn derive(&self, purpose: &str) -> Secret {
        let mut hasher = Sha256::new();
        hasher.update(purpose.as_bytes());
        hasher.update([0]);
        hasher.update(self.0.as_bytes());
        Secret(hex(&hasher.finalize()))
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub(crate) fn matches(&self, text: &str) -> bool {
        is_same(self.0.as_bytes(), text.as_bytes())
    }
}

/// Compares in a time that does not depend on where the two differ.
pub(super) fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(theirs)
            .fold(0, |differences, (a, b)| differences | (a ^ b))
            == 0
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_64_hex_digits() {
        let secret = Secret::random();
        let text = secret.reveal().to_owned();
        assert!(Secret::parse(&text).is_some_and(|parsed| parsed == secret));
        for wrong in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_derived_depends_on_secret_and_purpose() {
        let secret = Secret::random();
        let derived = secret.derive("csrf");
        assert!(derived.matches(secret.derive("csrf").reveal()));
        assert!(!derived.matches(secret.derive("other").reveal()));
        assert!(!derived.matches(Secret::random().derive("csrf").reveal()));
        assert!(!derived.matches(""));
    }
}
