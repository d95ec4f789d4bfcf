//! `/status/`: whether events are taken, how much room there is, and how long it lasts; for superusers.

use askama::Template;
use serde_json::{Value, json};

use super::errors::Result;
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::domain::option::Budget;
use crate::domain::size;
use crate::http::Response;
use crate::store::health::Trouble;
use crate::store::sizes::{self, Largest};

/// How many projects are shown.
const PROJECTS_MAX: u32 = 10;

#[derive(Template)]
#[template(path = "status.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    status: Status,
}

impl Page<'_> {
    /// For the template.
    fn size(&self, bytes: &u64) -> String {
        size::show(*bytes)
    }
}

/// Sizes are bytes.
struct Status {
    trouble: Option<Trouble>,
    file: u64,
    unused: u64,
    log: u64,
    disk_free: u64,
    disk_total: u64,
    /// Below this no events are taken.
    disk_floor: u64,
    entries: u64,
    bytes: u64,
    entries_per_day: u64,
    bytes_per_day: u64,
    budget: Budget,
    forecast: Forecast,
    /// The largest first.
    projects: Vec<Largest>,
    refused: Vec<(Trouble, u64)>,
}

pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let page = Page {
        head: Head::of(visit),
        status: Status::read(web, visit)?,
    };
    Ok(layout::page(200, &page))
}

/// `GET /status/status.json`.
pub(super) fn json(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    Ok(Response::json(200, &Status::read(web, visit)?.to_json()))
}

impl Status {
    fn read(web: &Web, visit: &Visit<'_>) -> Result<Status> {
        let store = &web.store;
        let space = store.space()?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let (mut entries, mut bytes) = (0, 0);
        for size in sizes::list(&visit.connection)? {
            entries += count(size.amount.entries);
            bytes += count(size.amount.bytes);
        }
        let per_day = |number: i64, secs: i64| count(number.saturating_mul(86_400) / secs);
        let (entries_per_day, bytes_per_day) = sizes::intake(&visit.connection, visit.now())?
            .map_or((0, 0), |(amount, secs)| {
                (per_day(amount.entries, secs), per_day(amount.bytes, secs))
            });
        let disk_floor = store.health().disk().map_or(0, |(_, _, floor)| floor);
        // What the file has and does not use is taken first.
        let room = (space.disk.free + space.unused).saturating_sub(disk_floor);
        Ok(Status {
            trouble: store.writer().trouble(),
            file: space.file,
            unused: space.unused,
            log: space.log,
            disk_free: space.disk.free,
            disk_total: space.disk.total,
            disk_floor,
            entries,
            bytes,
            entries_per_day,
            bytes_per_day,
            budget: web.budget,
            forecast: Forecast::of(bytes, bytes_per_day, web.budget, room),
            projects: sizes::largest(&visit.connection, PROJECTS_MAX)?,
            refused: store
                .health()
                .refused()
                .filter(|(_, count)| *count > 0)
                .collect(),
        })
    }

    fn to_json(&self) -> Value {
        let refused = self.refused.iter();
        let refused: serde_json::Map<String, Value> = refused
            .map(|(trouble, count)| (trouble.code().to_owned(), json!(count)))
            .collect();
        let projects: Vec<Value> = self
            .projects
            .iter()
            .map(|project| {
                json!({
                    "organization": project.organization,
                    "project": project.project,
                    "entries": project.entries,
                    "bytes": project.bytes,
                })
            })
            .collect();
        json!({
            "taking_events": self.trouble.is_none(),
            "trouble": self.trouble.map(Trouble::code),
            "database_bytes": self.file,
            "unused_bytes": self.unused,
            "log_bytes": self.log,
            "disk_free_bytes": self.disk_free,
            "disk_total_bytes": self.disk_total,
            "disk_floor_bytes": self.disk_floor,
            "stored": { "entries": self.entries, "bytes": self.bytes },
            "per_day": { "entries": self.entries_per_day, "bytes": self.bytes_per_day },
            "budget": { "days": self.budget.days, "bytes": self.budget.bytes },
            "forecast": self.forecast.to_json(),
            "projects": projects,
            "refused": refused,
        })
    }
}

/// Where it leads, at the rate of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forecast {
    /// Nothing comes in.
    Still,
    /// What goes for its age makes room for what comes; the most that there will be, in bytes.
    Level(u64),
    /// The budget of bytes is used up in so many days, and from then on the oldest and least informative goes.
    Budget(u64),
    /// The disk is full in so many days, and then no events are taken.
    Disk(u64),
}

impl Forecast {
    /// `room` is what the disk still takes.
    fn of(bytes: u64, bytes_per_day: u64, budget: Budget, room: u64) -> Forecast {
        if bytes_per_day == 0 {
            return Forecast::Still;
        }
        let level = budget
            .days
            .map_or(u64::MAX, |days| bytes_per_day.saturating_mul(days.into()));
        let most = level.min(budget.bytes.unwrap_or(u64::MAX));
        // A file takes more than what is in it: pages that are not full, indexes, and the ledger.
        let in_file = |bytes: u64| bytes.saturating_add(bytes / 4);
        if in_file(most.saturating_sub(bytes)) > room {
            return Forecast::Disk(room / in_file(bytes_per_day));
        }
        if most < level {
            return Forecast::Budget(most.saturating_sub(bytes) / bytes_per_day);
        }
        Forecast::Level(level)
    }

    fn text(self) -> String {
        let days = |days: u64| match days {
            0 => "within a day".to_owned(),
            1 => "in a day".to_owned(),
            days => format!("in {days} days"),
        };
        match self {
            Forecast::Still => {
                "Nothing came in within the last day, so nothing can be foretold.".to_owned()
            }
            Forecast::Level(bytes) => format!(
                "At the rate of the last day this levels off at {}, for which there is room.",
                size::show(bytes)
            ),
            Forecast::Budget(0) => {
                "The budget is used up: the oldest and least informative goes as events come in."
                    .to_owned()
            }
            Forecast::Budget(left) => format!(
                "At the rate of the last day the budget is used up {}; then the oldest and least informative goes.",
                days(left)
            ),
            Forecast::Disk(left) => format!(
                "At the rate of the last day the disk is full {}; then no events are taken.",
                days(left)
            ),
        }
    }

    fn to_json(self) -> Value {
        match self {
            Forecast::Still => json!({ "ends": null }),
            Forecast::Level(bytes) => json!({ "ends": "level", "bytes": bytes }),
            Forecast::Budget(days) => json!({ "ends": "budget", "days": days }),
            Forecast::Disk(days) => json!({ "ends": "disk", "days": days }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_limit_that_is_met_is_told() {
        let of = |bytes, per_day, days, budget, room| {
            let budget = Budget {
                days,
                bytes: budget,
            };
            Forecast::of(bytes, per_day, budget, room)
        };
        assert_eq!(of(500, 0, None, None, 0), Forecast::Still);
        // Ninety days of 10 are 900; there are 500, and room for the other 400 and a quarter.
        assert_eq!(of(500, 10, Some(90), None, 500), Forecast::Level(900));
        assert_eq!(of(500, 10, Some(90), None, 499), Forecast::Disk(41));
        assert_eq!(of(500, 10, Some(90), Some(1000), 500), Forecast::Level(900));
        assert_eq!(of(500, 10, Some(90), Some(800), 500), Forecast::Budget(30));
        assert_eq!(of(900, 10, None, Some(800), 500), Forecast::Budget(0));
        assert_eq!(of(500, 10, None, None, 1200), Forecast::Disk(100));
        assert_eq!(of(500, 10, None, None, 0), Forecast::Disk(0));
    }
}
