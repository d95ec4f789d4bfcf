//! Removes what clients sent when it is old or more than its budget, and the server's own books when nobody asks for
//! them any more; then gives back the room.
//!
//! A clock that leaps by more than a day while the server runs is not believed for an hour, or one wrong second would
//! cost every event. What is over a budget of bytes goes all the same.

use std::time::{Duration, Instant};

use super::{Done, WAITING_MAX};
use crate::domain::Result;
use crate::domain::option::Budget;
use crate::domain::time::Timestamp;
use crate::store::retention::{self, Begun};
use crate::store::{Store, sizes};

/// How often the books are looked through: by the machine's time, or by the clock's, if that is faster.
const BOOKS_EVERY: Duration = Duration::from_secs(60);
const BOOKS_EVERY_SECS: i64 = 600;

/// How long a busy writer is let be. On a server that is never idle what is removed must keep up with what comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a clock may be from where it should be.
const LEAP_SECS: i64 = 86_400;
const DOUBT: Duration = Duration::from_secs(3600);

/// Where the work is.
pub(super) struct Sweep {
    budget: Budget,
    trust: Trust,
    begun: Begun,
    /// Until when nothing is looked for, because that takes long here and there was nothing.
    rests_until: Option<Instant>,
    /// When the books were last found in order.
    books: Option<(Instant, Timestamp)>,
    /// Since when there is something to do.
    due: Option<Instant>,
}

impl Sweep {
    pub(super) fn new(budget: Budget, now: Timestamp) -> Sweep {
        Sweep {
            budget,
            trust: Trust::new(now),
            begun: Begun::Anywhere,
            rests_until: None,
            books: None,
            due: None,
        }
    }

    /// Takes a step, if there is anything to do.
    pub(super) fn go_on(&mut self, store: &Store, now: Timestamp) -> Result<Done> {
        let wants_room = store.health().brake().is_some();
        if !wants_room && self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(Done::All);
        }
        let is_trusted = self.trust.believes(Instant::now(), now);
        let connection = store.read()?;
        let snapshot = store.snapshot();
        let of_project = |id| {
            let own = snapshot.project(id)?.budget;
            Some(self.believed(own, is_trusted))
        };
        let server = self.believed(self.budget, is_trusted);
        let sizes = sizes::list(&connection)?;
        let rest = rest_after(sizes.len());
        let mut removals =
            retention::next(&connection, sizes, server, of_project, now, &self.begun)?;
        self.begun = Begun::by(&removals);
        if removals.is_empty() && is_trusted && self.are_books_due(now) {
            removals.extend(retention::next_of_books(&connection, now)?);
            if removals.is_empty() {
                self.books = Some((Instant::now(), now));
            }
        }
        let is_slack = removals.is_empty() && retention::is_slack(&connection, wants_room)?;
        drop(connection);
        if removals.is_empty() && !is_slack {
            self.due = None;
            self.rests_until = Some(Instant::now() + rest);
            return Ok(Done::All);
        }
        let is_overdue = self.due.get_or_insert_with(Instant::now).elapsed() > PATIENCE;
        if !is_overdue && store.writer().waiting() > WAITING_MAX {
            return Ok(Done::NotNow);
        }
        if removals.is_empty() {
            store.work(retention::give_back)?;
        } else {
            store.work(move |unit| retention::step(unit, &removals))?;
        }
        Ok(Done::Some)
    }

    fn believed(&self, budget: Budget, is_trusted: bool) -> Budget {
        Budget {
            days: budget.days.filter(|_| is_trusted),
            ..budget
        }
    }

    fn are_books_due(&self, now: Timestamp) -> bool {
        self.books.is_none_or(|(at, clock)| {
            at.elapsed() >= BOOKS_EVERY || now >= clock.plus_secs(BOOKS_EVERY_SECS)
        })
    }
}

/// How long to look for nothing after a look at so many kinds of so many projects found nothing. A thousand of them take
/// some milliseconds, and whoever has fewer is looked at as often as there is time.
fn rest_after(looked_at: usize) -> Duration {
    const PER_SEC: usize = 1000;
    const MAX_SECS: usize = 60;
    Duration::from_secs((looked_at / PER_SEC).min(MAX_SECS) as u64)
}

/// Whether the clock goes as time does.
struct Trust {
    at: Instant,
    clock: Timestamp,
    doubted_until: Option<Instant>,
}

impl Trust {
    fn new(clock: Timestamp) -> Trust {
        Trust {
            at: Instant::now(),
            clock,
            doubted_until: None,
        }
    }

    fn believes(&mut self, at: Instant, clock: Timestamp) -> bool {
        let passed = at.saturating_duration_since(self.at).as_secs();
        let expected = self
            .clock
            .plus_secs(i64::try_from(passed).unwrap_or(i64::MAX));
        if clock > expected.plus_secs(LEAP_SECS) {
            log::warn!(
                "the clock leapt from {} to {clock}; nothing is removed for its age for an hour",
                self.clock
            );
            self.doubted_until = Some(at + DOUBT);
        } else if clock < expected.plus_secs(-LEAP_SECS) {
            // It was put right, or is wrong the other way, which costs nothing.
            self.doubted_until = None;
        }
        (self.at, self.clock) = (at, clock);
        self.doubted_until.is_none_or(|until| at >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_is_not_believed_for_an_hour() {
        const START: Timestamp = Timestamp::from_secs(1_767_312_000);
        let begun = Instant::now();
        let mut trust = Trust::new(START);
        let mut after = |secs: u64, clock_secs: i64| {
            trust.believes(
                begun + Duration::from_secs(secs),
                START.plus_secs(clock_secs),
            )
        };
        assert!(after(2, 2));
        // A suspended machine, or somebody who sets the clock by some hours.
        assert!(after(4, 80_000));
        assert!(!after(6, 80_000 + 400 * 86_400));
        assert!(!after(3000, 83_000 + 400 * 86_400));
        assert!(after(3607, 83_600 + 400 * 86_400));
        // It was wrong after all, and is again; then it is put right.
        assert!(after(3700, 3700));
        assert!(!after(3710, 3710 + 400 * 86_400));
        assert!(after(3720, 3720));
    }
}
