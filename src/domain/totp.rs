//! Time-based one-time codes (RFC 6238), in the one form that every app for them knows: SHA-1, 30 seconds, six digits.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::RngExt;
use sha1::Sha1;

use super::secret::is_same;
use super::time::Timestamp;

const STEP_SECS: i64 = 30;
const DIGITS: usize = 6;
/// How many steps a clock may be ahead or behind.
const WINDOW: i64 = 1;

/// The time step of a moment.
pub(crate) fn step_at(moment: Timestamp) -> i64 {
    moment.secs().div_euclid(STEP_SECS)
}

/// What codes are computed from. Has no `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seed(Vec<u8>);

impl Seed {
    /// 160 bits, as RFC 4226 recommends.
    pub(crate) fn random() -> Seed {
        Seed(rand::rng().random::<[u8; 20]>().into())
    }

    /// Reads base32 of at least the 128 bits that RFC 4226 asks for; case, spaces and padding make no difference.
    pub(crate) fn parse(text: &str) -> Option<Seed> {
        const BYTES: std::ops::RangeInclusive<usize> = 16..=64;
        let mut letters = plain(text);
        letters.truncate(letters.trim_end_matches('=').len());
        let bytes = BASE32_NOPAD.decode(letters.as_bytes()).ok()?;
        BYTES.contains(&bytes.len()).then_some(Seed(bytes))
    }

    pub(crate) fn stored(bytes: Vec<u8>) -> Seed {
        Seed(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people type it into an app: base32 in upper case.
    pub(crate) fn reveal(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// What an app reads from a QR code:
    /// <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>. `issuer` is this server's name.
    pub(crate) fn uri(&self, issuer: &str, account: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (issuer, account) = (encoded(issuer), encoded(account));
        format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
            self.reveal()
        )
    }

    /// The time step that a code is of: the one of this moment, or the one before or after it. None: it is wrong.
    pub(crate) fn step_of(&self, code: &Code, now: Timestamp) -> Option<i64> {
        let current = step_at(now);
        // All are looked at, so that the time tells nothing.
        (current - WINDOW..=current + WINDOW).fold(None, |found, step| {
            let is_it = is_same(self.code(step).as_bytes(), code.0.as_bytes());
            found.or(is_it.then_some(step))
        })
    }

    /// The code of a time step (RFC 4226, section 5.3).
    fn code(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).expect("a key may be of any length");
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let start = usize::from(hash[hash.len() - 1] & 0xf);
        let four = [
            hash[start] & 0x7f,
            hash[start + 1],
            hash[start + 2],
            hash[start + 3],
        ];
        format!("{:06}", u32::from_be_bytes(four) % 1_000_000)
    }
}

/// A code that somebody typed: six digits. Has no `Debug` output.
#[derive(Clone)]
pub(crate) struct Code(String);

impl Code {
    /// Spaces and dashes make no difference.
    pub(crate) fn parse(text: &str) -> Option<Code> {
        let digits = plain(text);
        let is_code = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        is_code.then_some(Code(digits))
    }
}

/// What was typed, in upper case and without what separates groups.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Seed {
        Seed(b"12345678901234567890".to_vec())
    }

    /// RFC 6238, appendix B, cut to six digits.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        for (secs, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed().code(secs / 30), code, "{secs}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_and_late() {
        let now = Timestamp::from_secs(3000);
        let of = |step| Code::parse(&seed().code(step)).unwrap();
        for step in 99..=101 {
            assert_eq!(seed().step_of(&of(step), now), Some(step));
        }
        for step in [98, 102] {
            assert_eq!(seed().step_of(&of(step), now), None);
        }
        let late = Timestamp::from_secs(3029);
        assert_eq!(seed().step_of(&of(99), late), Some(99));
    }

    #[test]
    fn what_is_typed_is_read_leniently_and_nothing_else_is() {
        for good in ["123456", " 123 456 ", "123-456"] {
            assert!(Code::parse(good).is_some_and(|code| code.0 == "123456"));
        }
        for bad in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦"] {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
        let text = "GEZD GNBV gy3t qojq GEZD-GNBV-GY3T-QOJQ";
        assert!(Seed::parse(text).is_some_and(|read| read == seed()));
        for bad in [
            "",
            "GEZDGNBVGY3TQOJQ",
            "1EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            &"A".repeat(200),
        ] {
            assert!(Seed::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_app_reads_name_and_secret() {
        assert_eq!(
            seed().uri("Picket", "ann+x@example.test"),
            "otpauth://totp/Picket:ann%2Bx%40example%2Etest?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Picket"
        );
    }
}
