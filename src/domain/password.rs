//! Passwords: which ones are taken (facts/auth-and-tokens.md 9.2), and Argon2id hashes in the PHC string format.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

use super::error::{Error, Result};

/// The lengths that a password may have, in characters (facts/auth-and-tokens.md 9.2).
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

/// The passwords that are tried first everywhere, sorted, in lower case, one a line: those of at least 8 characters that
/// are not all digits among the 20,000 most frequent of the list in the crate zxcvbn 3.1.1 (MIT, see the LICENSE beside
/// it; made from breaches that are public), and a dozen more.
const COMMON: &str = include_str!("common_passwords/list.txt");

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    Length,
    Digits,
    Common,
    LikeEmail,
    LikeName,
}

/// A sentence without its full stop.
impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::Length => {
                let (least, most) = (LENGTH.start(), LENGTH.end());
                write!(f, "a password has {least} to {most} characters")
            }
            Weakness::Digits => f.write_str("a password is not made of digits alone"),
            Weakness::Common => {
                f.write_str("this password is one of those that everybody tries first")
            }
            Weakness::LikeEmail => f.write_str("this password is too much like the email address"),
            Weakness::LikeName => f.write_str("this password is too much like the name"),
        }
    }
}

/// Everything that keeps a text from being the password of a user with this address and name; nothing if it may be.
pub(crate) fn weaknesses(password: &str, email: &str, name: &str) -> Vec<Weakness> {
    let lower = password.to_lowercase();
    let checks = [
        (
            !LENGTH.contains(&password.chars().count()),
            Weakness::Length,
        ),
        (
            !password.is_empty() && password.chars().all(char::is_numeric),
            Weakness::Digits,
        ),
        (is_common(&lower), Weakness::Common),
        (is_like(&lower, email), Weakness::LikeEmail),
        (is_like(&lower, name), Weakness::LikeName),
    ];
    checks
        .into_iter()
        .filter_map(|(holds, weakness)| holds.then_some(weakness))
        .collect()
}

fn is_common(lower: &str) -> bool {
    // Of the text's lines the one around the middle is looked at, as in any sorted list.
    let mut rest = COMMON;
    while !rest.is_empty() {
        let middle = rest.as_bytes()[..rest.len() / 2]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let line_bytes = rest[middle..].find('\n').unwrap_or(rest.len() - middle);
        let line = &rest[middle..middle + line_bytes];
        match lower.cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => rest = &rest[..middle],
            std::cmp::Ordering::Greater => {
                rest = rest.get(middle + line_bytes + 1..).unwrap_or_default();
            }
        }
    }
    false
}

/// What of two texts must be the same for them to be alike: seven tenths, as in Sentry's check.
const LIKE_TENTHS: usize = 7;

/// Whether a password is like an attribute of its user, or like a word of it: of an address also the part before the
/// `@`.
fn is_like(lower: &str, attribute: &str) -> bool {
    let password: Vec<char> = lower.chars().take(*LENGTH.end()).collect();
    let attribute = attribute.to_lowercase();
    let local = attribute.split('@').next().unwrap_or_default();
    let words = attribute.split(|c: char| !c.is_alphanumeric());
    [attribute.as_str(), local]
        .into_iter()
        .chain(words)
        .any(|part| {
            let part: Vec<char> = part.chars().take(*LENGTH.end()).collect();
            let same = common_subsequence(&password, &part);
            !part.is_empty() && same * 2 * 10 >= (password.len() + part.len()) * LIKE_TENTHS
        })
}

/// How many characters two texts have in common in the same order.
fn common_subsequence(a: &[char], b: &[char]) -> usize {
    let mut lengths = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (at, y) in b.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if x == y {
                diagonal + 1
            } else {
                above.max(lengths[at])
            };
            diagonal = above;
        }
    }
    lengths[b.len()]
}

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

/// A hash of random bits that no password is known to have, made with the parameters of [`hash`]: comparing with it
/// takes as long as comparing with a user's.
pub(crate) const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$TNDfPSTWI/zws9+ZURogQQ$\
     PhwaSnaQlnwL64vC06hma1CnHCctqP9ZM9w9BniUnCY";

/// Whether the password belongs to the hash. A hash that cannot be read belongs to none.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// The costs that a hash from elsewhere may have: memory in KiB, passes, lanes. Django's is (102400, 2, 8). Whoever signs
/// in makes the server pay it.
const COSTS_MAX: [(&str, u32); 3] = [("m", 128 << 10), ("t", 10), ("p", 16)];

/// Whether a hash that was made elsewhere is one that [`verify`] reads: Argon2id, at a cost that is bearable.
pub(crate) fn is_acceptable_hash(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    let is_bearable = COSTS_MAX.iter().all(|(name, most)| {
        let cost = hash.params.get_decimal(*name);
        cost.is_some_and(|cost| cost <= *most)
    });
    hash.algorithm.as_str() == "argon2id"
        && hash.salt.is_some()
        && hash.hash.is_some()
        && is_bearable
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

    /// Else an account that is not there would be told from one that is by the time that it takes.
    #[test]
    fn nobodys_hash_costs_what_a_users_costs() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODYS), cost(&hash("anything").unwrap()));
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        assert_eq!(nobodys.hash.map(|hash| hash.len()), Some(32));
        assert!(!verify("anything", NOBODYS));
    }

    #[test]
    fn the_policy_takes_good_passwords_and_says_what_is_wrong_with_others() {
        use Weakness::{Common, Digits, Length, LikeEmail, LikeName};
        let found = |password: &str| weaknesses(password, "robin.smith@example.test", "Ann Lee");
        for good in [
            "correct horse battery staple",
            "xK4!pq_z",
            "ünï ©ödé 12",
            &"ab ".repeat(85),
        ] {
            assert_eq!(found(good), [], "{good}");
        }
        for (wrong, expected) in [
            ("", vec![Length]),
            ("short!7", vec![Length]),
            (&"ab ".repeat(86), vec![Length]),
            ("83627451", vec![Digits]),
            ("٠١٢٣٤٥٦٧", vec![Digits]),
            ("1234567", vec![Length, Digits]),
            ("PassWord", vec![Common]),
            ("qwertyuiop", vec![Common]),
            ("robin.smith", vec![LikeEmail]),
            ("Robin.Smith@Example.test", vec![LikeEmail]),
            ("robinsmith1", vec![LikeEmail]),
            ("example99", vec![LikeEmail]),
            ("Ann Lee!", vec![LikeName]),
        ] {
            assert_eq!(found(wrong), expected, "{wrong}");
        }
        assert_eq!(weaknesses("xK4!pq_z", "", ""), []);
    }

    #[test]
    fn every_common_password_is_found_and_the_list_is_in_order() {
        let mut before = "";
        for line in COMMON.lines() {
            assert!(before < line, "{line}");
            assert!(is_common(line), "{line}");
            assert!(!is_common(&format!("{line}\u{7f}")), "{line}");
            before = line;
        }
        assert!(COMMON.lines().count() > 6000);
    }
}
