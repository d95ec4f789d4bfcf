//! The time range of a request: `statsPeriod`, or `start` and `end` (facts/management-api.md 8.2).

use super::error::{self, Result};
use crate::domain::time::Timestamp;
use crate::http::Request;

pub(super) const MINUTE_SECS: i64 = 60;
pub(super) const HOUR_SECS: i64 = 3600;
pub(super) const DAY_SECS: i64 = 86_400;
const WEEK_SECS: i64 = 7 * DAY_SECS;

/// A range of time; the end does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Period {
    /// The range that a request names, if it names one. A `statsPeriod` reaches up to now and overrules the others;
    /// an empty parameter is an absent one.
    ///
    /// # Errors
    /// 400: one that cannot be read, a start without an end, or one after it.
    pub(super) fn find(request: &Request) -> Result<Option<Period>> {
        let value = |name| request.query_value(name).filter(|text| !text.is_empty());
        if let Some(text) = value("statsPeriod") {
            let secs = parse_duration_secs(&text)
                .ok_or_else(|| error::detail(400, &format!("Invalid statsPeriod: '{text}'")))?;
            let end = request.received;
            let start = end.plus_secs(-secs);
            return Ok(Some(Period { start, end }));
        }
        let (start, end) = match (value("start"), value("end")) {
            (None, None) => return Ok(None),
            (Some(start), Some(end)) => (read_date(&start)?, read_date(&end)?),
            _ => return Err(error::detail(400, "start and end are both required").into()),
        };
        if start > end {
            return Err(error::detail(400, "start must be before end").into());
        }
        Ok(Some(Period { start, end }))
    }
}

/// `<number><unit>`, with one of `s`, `m`, `h`, `d` and `w`. None for any other text, and for more than a date can
/// tell.
pub(super) fn parse_duration_secs(text: &str) -> Option<i64> {
    const LONGEST_SECS: i64 = 10_000 * 366 * DAY_SECS;
    let (at, unit) = text.char_indices().next_back()?;
    let unit_secs = match unit {
        's' => 1,
        'm' => MINUTE_SECS,
        'h' => HOUR_SECS,
        'd' => DAY_SECS,
        'w' => WEEK_SECS,
        _ => return None,
    };
    let digits = &text[..at];
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    number
        .checked_mul(unit_secs)
        .filter(|secs| *secs <= LONGEST_SECS)
}

fn read_date(text: &str) -> Result<Timestamp> {
    let date = parse_moment(text).or_else(|| Timestamp::parse_iso(text));
    Ok(date
        .ok_or_else(|| error::detail(400, &format!("{text} is not a valid ISO8601 date query")))?)
}

/// UNIX seconds, with a fraction or without, between the years 1 and 9999.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    const RANGE_SECS: std::ops::Range<f64> = -62_135_596_800.0..253_402_300_800.0;
    let secs: f64 = text.trim().parse().ok()?;
    RANGE_SECS
        .contains(&secs)
        .then(|| Timestamp::from_us((secs * 1e6).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, secs) in [
            ("30s", 30),
            ("5m", 300),
            ("24h", 86_400),
            ("14d", 14 * 86_400),
            ("2w", 14 * 86_400),
            ("0d", 0),
        ] {
            assert_eq!(parse_duration_secs(text), Some(secs), "{text}");
        }
        for text in [
            "",
            "h",
            "1",
            "1y",
            "-1h",
            "1.5h",
            "1é",
            "99999999999999999w",
        ] {
            assert_eq!(parse_duration_secs(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_number_that_a_date_can_have() {
        assert_eq!(
            parse_moment("1772323200.25"),
            Some(Timestamp::from_us(1_772_323_200_250_000))
        );
        for text in ["", "x", "nan", "inf", "1e15", "-1e15"] {
            assert_eq!(parse_moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_has_a_zone_or_is_utc() {
        for text in [
            "2026-03-01T00:00:00Z",
            "2026-03-01T01:00:00+01:00",
            "2026-03-01T00:00:00",
            "2026-03-01",
            "1772323200",
        ] {
            let date = read_date(text).expect("a date");
            assert_eq!(date, Timestamp::from_secs(1_772_323_200), "{text}");
        }
        assert!(read_date("yesterday").is_err());
    }
}
