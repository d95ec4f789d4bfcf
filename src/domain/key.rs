//! Client keys: what a DSN carries, and the rate limit that a key can have.

use std::fmt;

use rand::RngExt;

use super::id::{KeyId, ProjectId};
use super::time::Timestamp;

/// The public half of a client key: 32 ASCII characters. Picket issues lower-case hex; a key that was
/// brought along may be anything that Relay accepts (facts/ingestion.md 2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PublicKey([u8; 32]);

impl PublicKey {
    pub(crate) fn random() -> PublicKey {
        let mut text = [0u8; 32];
        text.copy_from_slice(random_hex_32().as_bytes());
        PublicKey(text)
    }

    /// 32 printable ASCII characters, or none.
    pub(crate) fn parse(text: &str) -> Option<PublicKey> {
        let bytes: [u8; 32] = text.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(|b| b.is_ascii_graphic())
            .then_some(PublicKey(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.as_str())
    }
}

/// 16 random bytes in lower-case hex: the shape of both halves of a key.
pub(crate) fn random_hex_32() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// Whether a chosen key half has the shape that Sentry's API asks for (`^[a-f0-9]{32}$`).
pub(crate) fn is_hex_32(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// At most `count` items of the error categories per `window_secs`, in windows aligned to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) count: u64,
    pub(crate) window_secs: u32,
}

impl RateLimit {
    /// The longest window, one day (facts/management-api.md 7.5).
    pub(crate) const WINDOW_SECS_MAX: i64 = 86_400;

    /// A limit from two stored numbers; none unless both are above zero (facts/management-api.md 7.1).
    pub(crate) fn from_parts(count: Option<i64>, window_secs: Option<i64>) -> Option<RateLimit> {
        let count = u64::try_from(count?).ok().filter(|n| *n > 0)?;
        let window_secs = u32::try_from(window_secs?).ok().filter(|n| *n > 0)?;
        Some(RateLimit { count, window_secs })
    }

    /// The count as a database holds it.
    pub(crate) fn stored_count(self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }
}

/// What the JavaScript loader of a key switches on (facts/management-api.md 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoaderOptions {
    pub(crate) has_replay: bool,
    pub(crate) has_performance: bool,
    pub(crate) has_debug: bool,
    pub(crate) has_feedback: bool,
    pub(crate) has_logs_and_metrics: bool,
}

impl Default for LoaderOptions {
    fn default() -> LoaderOptions {
        LoaderOptions {
            has_replay: true,
            has_performance: true,
            has_debug: false,
            has_feedback: false,
            has_logs_and_metrics: false,
        }
    }
}

/// The loader version of a new key.
pub(crate) const BROWSER_SDK_VERSION: &str = "10.x";

/// The loader versions that are offered today.
pub(crate) const BROWSER_SDK_CHOICES: [&str; 4] = ["10.x", "9.x", "8.x", "7.x"];

/// Versions that an update still takes although they are offered no more (facts/management-api.md 7.2).
pub(crate) const BROWSER_SDK_RETIRED: [&str; 4] = ["latest", "6.x", "5.x", "4.x"];

/// A client key as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct ClientKey {
    pub(crate) id: KeyId,
    pub(crate) project: ProjectId,
    pub(crate) public: PublicKey,
    /// Readable, because it is part of what the API hands out (design 6).
    pub(crate) secret: String,
    pub(crate) label: String,
    pub(crate) active: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) browser_sdk_version: String,
    pub(crate) loader_options: LoaderOptions,
    pub(crate) created: Timestamp,
    /// From then on it is good for nothing: it was replaced.
    pub(crate) expires: Option<Timestamp>,
}

impl ClientKey {
    /// Whether events may come with it now.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.active && self.expires.is_none_or(|expires| now < expires)
    }

    /// The length of its limit's window, if it has a limit.
    pub(crate) fn window_secs(&self) -> Option<u32> {
        self.rate_limit.map(|limit| limit.window_secs)
    }
}

/// A two-word name for a key that was given none: an adjective and an animal (facts/management-api.md 7.2).
pub(crate) fn random_label() -> String {
    const ADJECTIVES: [&str; 24] = [
        "Amber", "Bold", "Brave", "Bright", "Calm", "Clever", "Cosmic", "Eager", "Fleet", "Gentle",
        "Golden", "Humble", "Keen", "Lively", "Lucky", "Mellow", "Nimble", "Patient", "Proud",
        "Quiet", "Silver", "Solid", "Sunny", "Witty",
    ];
    const ANIMALS: [&str; 24] = [
        "Badger", "Beaver", "Bison", "Crane", "Dolphin", "Falcon", "Ferret", "Finch", "Gecko",
        "Heron", "Ibex", "Jackdaw", "Lemur", "Lynx", "Marten", "Newt", "Otter", "Owl", "Puffin",
        "Raven", "Seal", "Stoat", "Tapir", "Wren",
    ];
    let mut rng = rand::rng();
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let animal = ANIMALS[rng.random_range(0..ANIMALS.len())];
    format!("{adjective} {animal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_32_ascii_characters() {
        let key = PublicKey::random();
        assert!(is_hex_32(key.as_str()));
        assert_eq!(PublicKey::parse(key.as_str()), Some(key));
        for wrong in [
            "",
            "short",
            &"é".repeat(16),
            &" ".repeat(32),
            &"a".repeat(33),
        ] {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_limit_needs_both_numbers() {
        assert_eq!(RateLimit::from_parts(Some(0), Some(60)), None);
        assert_eq!(RateLimit::from_parts(Some(5), None), None);
        let limit = RateLimit::from_parts(Some(5), Some(60)).unwrap();
        assert_eq!((limit.count, limit.window_secs), (5, 60));
    }
}
