//! The old statistics: one series of a project, or of a key (facts/management-api.md 8.1 and 7.8).
//!
//! They read the ledger only, and count the error categories together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::{self, Result};
use super::period::{DAY_SECS, HOUR_SECS, MINUTE_SECS, parse_moment};
use super::projects::Points;
use super::{Api, Call, InProject};
use crate::domain::Error;
use crate::domain::category::Category;
use crate::domain::key::ClientKey;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::http::{Request, Response};
use crate::store::ledger::{self, LedgerColumns, LedgerFilter, LedgerRange};

/// The most points of an answer: 270 years of days, and eleven days of ten seconds. The original has no
/// limit; a request for decades of ten seconds would take all memory.
const POINTS_MAX: i64 = 100_000;

/// What a `stat` counts.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    outcomes: &'static [Outcome],
    reason: Option<&'static str>,
}

/// The reasons of inbound filters that can be asked for.
const FILTER_REASONS: [&str; 10] = [
    "ip-address",
    "release-version",
    "error-message",
    "browser-extensions",
    "legacy-browsers",
    "localhost",
    "web-crawlers",
    "invalid-csp",
    "discarded-hash",
    "filtered-transaction",
];

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        let outcomes: &[Outcome] = match text {
            "received" => &[Outcome::Accepted, Outcome::Filtered, Outcome::RateLimited],
            "rejected" => &[Outcome::RateLimited],
            "blacklisted" => &[Outcome::Filtered],
            "generated" => &[Outcome::Accepted],
            // Refused before its items are known, which the ledger calls invalid
            // (facts/ingestion.md 7.2).
            "cors" => {
                return Some(Stat {
                    outcomes: &[Outcome::Invalid],
                    reason: Some("cors"),
                });
            }
            _ => {
                let reason = FILTER_REASONS.into_iter().find(|known| *known == text)?;
                return Some(Stat {
                    outcomes: &[Outcome::Filtered],
                    reason: Some(reason),
                });
            }
        };
        Some(Stat {
            outcomes,
            reason: None,
        })
    }
}

/// What `since`, `until` and `resolution` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    since: Timestamp,
    until: Timestamp,
    /// One of the ledger's, if any was asked for.
    resolution_secs: Option<i64>,
}

/// Why a range cannot be read. The texts are the original's, down to the one full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeError {
    Resolution,
    Until,
    Since,
    Order,
}

impl RangeError {
    fn text(self) -> &'static str {
        match self {
            RangeError::Resolution => "Invalid resolution",
            RangeError::Until => "until must be a numeric timestamp.",
            RangeError::Since => "since must be a numeric timestamp",
            RangeError::Order => "start must be before or equal to end",
        }
    }
}

impl Range {
    /// An empty parameter is an absent one. Without any, the last day but one second.
    fn read(request: &Request) -> Result<Range, RangeError> {
        let value = |name| request.query_value(name).filter(|text| !text.is_empty());
        let resolution_secs = match value("resolution") {
            None => None,
            Some(text) => Some(parse_resolution(&text).ok_or(RangeError::Resolution)?),
        };
        let until = match value("until") {
            None => request.received,
            Some(text) => parse_moment(&text).ok_or(RangeError::Until)?,
        };
        let since = match value("since") {
            None => until.plus_secs(1 - DAY_SECS),
            Some(text) => parse_moment(&text).ok_or(RangeError::Since)?,
        };
        if since > until {
            return Err(RangeError::Order);
        }
        Ok(Range {
            since,
            until,
            resolution_secs,
        })
    }

    /// The resolution that was asked for, else the finest that covers the range in its number of samples.
    fn resolution_secs(self) -> i64 {
        const SAMPLES: [(i64, i64); 3] = [(10, 360), (HOUR_SECS, 168), (DAY_SECS, 90)];
        let range_secs = self.until.secs() - self.since.secs();
        self.resolution_secs.unwrap_or_else(|| {
            SAMPLES
                .into_iter()
                .find(|(resolution, samples)| resolution * samples >= range_secs)
                .map_or(DAY_SECS, |(resolution, _)| resolution)
        })
    }
}

/// A number and a unit that make one of the ledger's resolutions, in seconds.
fn parse_resolution(text: &str) -> Option<i64> {
    let (at, unit) = text.char_indices().next_back()?;
    let unit_secs = match unit {
        's' => 1,
        'm' => MINUTE_SECS,
        'h' => HOUR_SECS,
        'd' => DAY_SECS,
        _ => return None,
    };
    let number: i64 = text[..at].trim().parse().ok()?;
    let secs = number.checked_mul(unit_secs)?;
    ledger::RESOLUTIONS_SECS.contains(&secs).then_some(secs)
}

/// `GET P/stats/` (8.1): `[[UNIX seconds, count], ...]`, oldest first, without gaps.
///
/// From `until` on it steps back by the resolution while the moment is not before `since`, and counts the
/// bucket of each.
pub(super) fn of_project(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let request = &call.request;
    let name = request
        .query_value("stat")
        .unwrap_or_else(|| "received".to_owned());
    let Some(stat) = Stat::parse(&name) else {
        return Err(error::list_of_one(&format!("Invalid stat: {name}")).into());
    };
    let environment = request.query_value("environment");
    if name == "generated" && environment.is_some_and(|name| !name.is_empty()) {
        // Environments come into being through events, and none is derived from them yet.
        return Err(Error::NotFound.into());
    }
    let range = Range::read(request).map_err(|error| error::detail(400, error.text()))?;
    let resolution = range.resolution_secs();
    let step_us = resolution * 1_000_000;
    let points = (range.until.us() - range.since.us()) / step_us + 1;
    if points > POINTS_MAX {
        return Err(error::too_many_points().into());
    }
    let last = range.until.floor_to(resolution);
    let first = last.plus_secs(-(points - 1) * resolution);
    let filter = LedgerFilter {
        categories: Category::ERRORS.to_vec(),
        outcomes: stat.outcomes.to_vec(),
        reasons: stat
            .reason
            .iter()
            .map(|&reason| reason.to_owned())
            .collect(),
        ..LedgerFilter::default()
    };
    let range = LedgerRange::in_steps(
        first,
        last.plus_secs(resolution),
        resolution,
        call.request.received,
    );
    let sums = ledger::sums(
        &call.connection,
        context.project.id,
        range,
        LedgerColumns::default(),
        &filter,
    )?;
    let mut counts: BTreeMap<i64, u64> = (0..points)
        .map(|n| (first.secs() + n * resolution, 0))
        .collect();
    for sum in sums {
        *counts.entry(sum.bucket.secs()).or_default() += sum.quantity;
    }
    let points: Points = counts.into_iter().collect();
    Ok(Response::json(200, &points))
}

/// What became of a key's errors in one interval.
#[derive(Clone, Copy, Default, Serialize)]
struct KeyPoint {
    /// UNIX seconds, where the interval starts.
    ts: i64,
    /// The other three together.
    total: u64,
    /// Rate limited.
    dropped: u64,
    accepted: u64,
    filtered: u64,
}

/// `GET P/keys/{key_id}/stats/` (7.8): one point per interval, an hour or a day; the range is rounded outward
/// to whole ones.
pub(super) fn of_key(
    _: &Api,
    call: Call<'_>,
    context: InProject,
    key: ClientKey,
) -> Result<Response> {
    let invalid = || error::detail(400, "Invalid request data");
    let range = Range::read(&call.request).map_err(|_| invalid())?;
    let interval = range.resolution_secs.unwrap_or(DAY_SECS);
    let first = range.since.floor_to(interval);
    let mut end = range.until.floor_to(interval);
    if end < range.until {
        end = end.plus_secs(interval);
    }
    let points = (end.secs() - first.secs()) / interval;
    if interval < HOUR_SECS || points > POINTS_MAX {
        return Err(invalid().into());
    }
    let filter = LedgerFilter {
        keys: vec![key.id],
        categories: Category::ERRORS.to_vec(),
        outcomes: vec![Outcome::Accepted, Outcome::Filtered, Outcome::RateLimited],
        ..LedgerFilter::default()
    };
    let sums = ledger::sums(
        &call.connection,
        context.project.id,
        LedgerRange::in_steps(first, end, interval, call.request.received),
        LedgerColumns {
            outcome: true,
            ..LedgerColumns::default()
        },
        &filter,
    )?;
    let mut series: BTreeMap<i64, KeyPoint> = (0..points)
        .map(|n| {
            let ts = first.secs() + n * interval;
            let point = KeyPoint {
                ts,
                ..KeyPoint::default()
            };
            (ts, point)
        })
        .collect();
    for sum in sums {
        let Some(point) = series.get_mut(&sum.bucket.secs()) else {
            continue;
        };
        let count = match sum.outcome {
            Some(Outcome::Accepted) => &mut point.accepted,
            Some(Outcome::Filtered) => &mut point.filtered,
            _ => &mut point.dropped,
        };
        *count += sum.quantity;
        point.total += sum.quantity;
    }
    let series: Vec<KeyPoint> = series.into_values().collect();
    Ok(Response::json(200, &series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_one_of_three_in_any_unit() {
        for (text, secs) in [
            ("10s", 10),
            ("1h", 3600),
            ("60m", 3600),
            ("3600s", 3600),
            ("24h", 86_400),
            ("1d", 86_400),
        ] {
            assert_eq!(parse_resolution(text), Some(secs), "{text}");
        }
        for text in [
            "",
            "1",
            "h",
            "2h",
            "1w",
            "-1h",
            "0s",
            "1é",
            "99999999999999999d",
        ] {
            assert_eq!(parse_resolution(text), None, "{text}");
        }
    }

    #[test]
    fn the_resolution_follows_the_range() {
        let of = |secs: i64| {
            let until = Timestamp::from_secs(1_772_323_200);
            Range {
                since: until.plus_secs(-secs),
                until,
                resolution_secs: None,
            }
            .resolution_secs()
        };
        for (secs, expected) in [
            (0, 10),
            (3600, 10),
            (3601, 3600),
            (7 * DAY_SECS, 3600),
            (7 * DAY_SECS + 1, DAY_SECS),
            (1000 * DAY_SECS, DAY_SECS),
        ] {
            assert_eq!(of(secs), expected, "{secs}");
        }
    }
}
