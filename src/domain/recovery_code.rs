//! Recovery codes: each lets its user in once without the app (facts/auth-and-tokens.md 9.3).
//!
//! A code is forty bits, so that it can be written down and typed. Whoever has the file must not find it by trying, so
//! the file holds Argon2id of it, as of a password: all of them take a core some hundred years, where SHA-256 would take
//! a graphics card minutes. A key kept outside of the file would do as well, but then the file would no longer be all
//! there is to back up. The codes of one user share a salt, so that looking one up is one hash.

use argon2::Argon2;
use data_encoding::BASE32_NOPAD;
use rand::RngExt;

use super::error::{Error, Result};
use super::totp::plain;

/// How many a user is given.
pub(crate) const COUNT: usize = 10;

/// Eight letters and digits of base32. Has no `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RecoveryCode(String);

/// What the hashes of one user's codes are salted with.
#[derive(Clone, Copy)]
pub(crate) struct Salt(pub(crate) [u8; 16]);

impl Salt {
    pub(crate) fn random() -> Salt {
        Salt(rand::rng().random())
    }
}

/// Argon2id of a code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecoveryHash(pub(crate) [u8; 32]);

impl RecoveryCode {
    /// [`COUNT`] different ones.
    pub(crate) fn random_set() -> Vec<RecoveryCode> {
        let mut codes: Vec<RecoveryCode> = Vec::with_capacity(COUNT);
        while codes.len() < COUNT {
            let bytes: [u8; 5] = rand::rng().random();
            let code = RecoveryCode(BASE32_NOPAD.encode(&bytes));
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        codes
    }

    /// Reads what somebody typed; dashes, spaces and case make no difference.
    pub(crate) fn parse(text: &str) -> Option<RecoveryCode> {
        let letters = plain(text);
        let is_code = letters.len() == 8
            && letters
                .bytes()
                .all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
        is_code.then_some(RecoveryCode(letters))
    }

    /// As it is shown, once: `ABCD-EFGH`.
    pub(crate) fn reveal(&self) -> String {
        let (first, second) = self.0.split_at(4);
        format!("{first}-{second}")
    }

    /// Takes some tens of milliseconds and 19 MiB on purpose.
    ///
    /// # Errors
    /// The system gave no memory.
    pub(crate) fn hash(&self, salt: Salt) -> Result<RecoveryHash> {
        let mut hash = [0; 32];
        Argon2::default()
            .hash_password_into(self.0.as_bytes(), &salt.0, &mut hash)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(RecoveryHash(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown_and_as_people_type_it() {
        let codes = RecoveryCode::random_set();
        assert_eq!(codes.len(), 10);
        for code in &codes {
            let shown = code.reveal();
            assert_eq!((shown.len(), shown.find('-')), (9, Some(4)));
            for typed in [&shown, &shown.to_lowercase(), &shown.replace('-', " ")] {
                assert!(RecoveryCode::parse(typed).is_some_and(|read| read == *code));
            }
        }
        for bad in ["", "ABCD-EFG", "ABCD-EFGHI", "ABCD-EFG1", "ABCD_EFGH"] {
            assert!(RecoveryCode::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_hash_depends_on_code_and_salt() {
        let (code, salt) = (RecoveryCode::parse("ABCD-EFGH").unwrap(), Salt::random());
        let hash = code.hash(salt).unwrap();
        assert!(code.hash(salt).unwrap() == hash);
        assert!(code.hash(Salt::random()).unwrap() != hash);
        let other = RecoveryCode::parse("ABCD-EFGI").unwrap();
        assert!(other.hash(salt).unwrap() != hash);
    }
}
