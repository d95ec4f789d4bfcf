//! Time as the whole program sees it: one type for moments and one clock that is handed in.
//!
//! SQL never calls `now`, and nothing else reads the system's clock, so that tests can turn it. Deadlines
//! and time-outs are not this module's: they use [`std::time::Instant`], which nobody turns.

use std::fmt;
#[cfg(feature = "test-clock")]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last moment of the year 9999, past which no client writes or reads a date.
const LAST_US: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The last moment that can be written as a date.
    pub(crate) const LAST: Timestamp = Timestamp(LAST_US);

    pub const fn from_us(us: i64) -> Timestamp {
        Timestamp(us)
    }

    pub const fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    pub const fn us(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    pub const fn plus_secs(self, secs: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }

    /// The start of the `step_secs` long bucket, counted from 1970, that holds this moment.
    pub const fn floor_to(self, step_secs: i64) -> Timestamp {
        let step = step_secs * 1_000_000;
        Timestamp(self.0.div_euclid(step) * step)
    }

    /// Reads RFC 3339 with a zone (`Z` or an offset).
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let parsed: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Timestamp(parsed.as_microsecond()))
    }

    /// Reads RFC 3339, also without a zone, which then is UTC, and a day alone, which then is its start.
    pub(crate) fn parse_iso(text: &str) -> Option<Timestamp> {
        let text = text.trim();
        Timestamp::parse_rfc3339(text)
            .or_else(|| Timestamp::parse_rfc3339(&format!("{text}Z")))
            .or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
    }
}

/// ISO 8601 in UTC with `Z`: six fractional digits, or none when they are all zero
/// (facts/management-api.md 1.3).
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.0.clamp(0, LAST_US);
        let moment = jiff::Timestamp::from_microsecond(within).unwrap_or_default();
        if within % 1_000_000 == 0 {
            write!(f, "{moment:.0}")
        } else {
            write!(f, "{moment:.6}")
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time comes from. Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
    #[cfg(feature = "test-clock")]
    File(Arc<PathBuf>),
}

impl Clock {
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands still until [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.us()))))
    }

    /// A clock that a test turns from outside: `path` holds microseconds since 1970 as a decimal number.
    /// While the file is absent or unreadable the system's time counts.
    #[cfg(feature = "test-clock")]
    pub fn file(path: PathBuf) -> Clock {
        Clock(Source::File(Arc::new(path)))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(us) => Timestamp(us.load(Ordering::SeqCst)),
            #[cfg(feature = "test-clock")]
            Source::File(path) => std::fs::read_to_string(path.as_path())
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or_else(system_now, Timestamp),
        }
    }

    /// Moves a manual clock; any other is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Source::Manual(us) = &self.0 {
            us.store(now.us(), Ordering::SeqCst);
        }
    }
}

fn system_now() -> Timestamp {
    // A machine whose clock stands before 1970 gets 1970: wrong either way, and never a panic.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(LAST_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_six_fractional_digits_or_none() {
        assert_eq!(
            Timestamp::from_us(1_772_357_400_120_000).to_string(),
            "2026-03-01T09:30:00.120000Z"
        );
        assert_eq!(
            Timestamp::from_secs(1_772_357_400).to_string(),
            "2026-03-01T09:30:00Z"
        );
    }

    #[test]
    fn a_date_is_read_with_any_zone() {
        let utc = Timestamp::parse_rfc3339("2026-03-01T09:30:00Z");
        assert_eq!(utc, Some(Timestamp::from_secs(1_772_357_400)));
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T10:30:00+01:00"), utc);
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T09:30:00"), None);
    }

    #[test]
    fn a_date_without_a_zone_is_of_utc() {
        let day = Some(Timestamp::from_secs(1_772_323_200));
        for text in [
            "2026-03-01",
            "2026-03-01T00:00:00",
            " 2026-03-01T01:00:00+01:00 ",
        ] {
            assert_eq!(Timestamp::parse_iso(text), day, "{text}");
        }
        assert_eq!(Timestamp::parse_iso("2026-03"), None);
    }

    #[test]
    fn floors_also_before_1970() {
        assert_eq!(
            Timestamp::from_us(-1).floor_to(10),
            Timestamp::from_secs(-10)
        );
        assert_eq!(
            Timestamp::from_secs(19).floor_to(10),
            Timestamp::from_secs(10)
        );
    }
}
