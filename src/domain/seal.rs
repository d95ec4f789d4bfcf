//! How a command and a server recognise each other as working on the same file, over a network where others listen.
//!
//! Both derive one secret from what only a reader of the file knows. The command sends a number used once with a proof
//! that it knows the secret; only then does the server say more than to anybody, with a proof of its own.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::secret::{hex, is_same};

/// The field of a request that carries a question.
pub(crate) const FIELD: &str = "Picket-Doctor";

/// The secret of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal([u8; 32]);

/// Without the secret.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// `parts`: what only who can read the file knows.
    pub(crate) fn of(parts: &[&str]) -> Seal {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        Seal(hasher.finalize().into())
    }

    /// What stands in [`FIELD`]; `nonce` is of letters and digits.
    pub(crate) fn question(&self, nonce: &str) -> String {
        format!("{nonce}:{}", self.proof("question", nonce))
    }

    /// The answer to what stood in [`FIELD`]; none if it was not asked by somebody who knows the secret.
    pub(crate) fn answer(&self, question: &str) -> Option<String> {
        let (nonce, proof) = question.split_once(':')?;
        let ours = self.proof("question", nonce);
        is_same(ours.as_bytes(), proof.as_bytes()).then(|| self.proof("answer", nonce))
    }

    /// Whether this is the answer to the question with this nonce.
    pub(crate) fn is_answer(&self, nonce: &str, answer: &str) -> bool {
        is_same(self.proof("answer", nonce).as_bytes(), answer.as_bytes())
    }

    fn proof(&self, purpose: &str, nonce: &str) -> String {
        // A key of any length is taken, so the other arm is never reached.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(nonce.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_secret_can_ask_and_answer() {
        let (ours, other) = (Seal::of(&["a", "b"]), Seal::of(&["ab", ""]));
        assert_ne!(ours, other);
        let answer = ours.answer(&ours.question("1")).unwrap();
        assert!(ours.is_answer("1", &answer));
        assert!(!ours.is_answer("2", &answer));
        assert!(!other.is_answer("1", &answer));
        assert_eq!(other.answer(&ours.question("1")), None);
        // What was asked is no answer.
        assert_ne!(ours.question("1").split_once(':').unwrap().1, answer);
        for nothing in ["", ":", "1:", "1"] {
            assert_eq!(ours.answer(nothing), None);
        }
    }
}
