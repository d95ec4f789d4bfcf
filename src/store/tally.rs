//! What the writer counts about itself, from the start of the process. Nothing here is in the file.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::category::Category;
use crate::domain::measure::{Counter, Durations, Histogram};
use crate::domain::outcome::Outcome;

/// Room for every category's number, which starts at -1.
const CATEGORIES_MAX: usize = 64;
const OUTCOMES_MAX: usize = 8;

/// The counters.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) batches: Counter,
    /// Changes that were committed.
    pub(super) committed: Counter,
    /// Changes that failed by themselves, beside others that were committed.
    pub(super) failed: Counter,
    /// Changes that a fault of the disk or another process kept from being written.
    pub(super) faulted: Counter,
    /// How long the file took to make a batch durable.
    pub(super) commit: Histogram,
    pub(super) wal_pages: AtomicU64,
    pub(super) checkpoints: Counter,
    pub(super) checkpoints_partial: Counter,
    pub(super) busy: Counter,
    pub(super) reopened: Counter,
    pub(super) work_steps: Counter,
    pub(super) work_rows: Counter,
    items: [[Counter; OUTCOMES_MAX]; CATEGORIES_MAX],
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            batches: Counter::default(),
            committed: Counter::default(),
            failed: Counter::default(),
            faulted: Counter::default(),
            commit: Histogram::default(),
            wal_pages: AtomicU64::default(),
            checkpoints: Counter::default(),
            checkpoints_partial: Counter::default(),
            busy: Counter::default(),
            reopened: Counter::default(),
            work_steps: Counter::default(),
            work_rows: Counter::default(),
            items: std::array::from_fn(|_| std::array::from_fn(|_| Counter::default())),
        }
    }
}

/// The writer's counters at one moment, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriterMeasures {
    pub(crate) waiting_jobs: u64,
    pub(crate) waiting_bytes: u64,
    pub(crate) batches: u64,
    pub(crate) committed: u64,
    pub(crate) failed: u64,
    pub(crate) faulted: u64,
    pub(crate) commit: Durations,
    /// The write-ahead log's length after the last commit.
    pub(crate) wal_pages: u64,
    pub(crate) checkpoints: u64,
    /// Of these, those that a reader kept from copying everything.
    pub(crate) checkpoints_partial: u64,
    /// How often another process held the file for longer than is waited for.
    pub(crate) busy: u64,
    /// How often the file was opened anew after a fault.
    pub(crate) reopened: u64,
    /// Steps of background work, and the rows that they changed or removed.
    pub(crate) work_steps: u64,
    pub(crate) work_rows: u64,
    /// What was added to the ledger; only what is not zero.
    pub(crate) items: Vec<(Category, Outcome, u64)>,
}

impl Tally {
    pub(super) fn count_items(&self, category: Category, outcome: Outcome, quantity: u64) {
        if let Some(counter) = self.items_of(category, outcome) {
            counter.add(quantity);
        }
    }

    fn items_of(&self, category: Category, outcome: Outcome) -> Option<&Counter> {
        let category = usize::try_from(category.number() + 1).ok()?;
        let outcome = usize::try_from(outcome.number()).ok()?;
        self.items.get(category)?.get(outcome)
    }

    /// `waiting`: changes and their bytes.
    pub(super) fn read(&self, waiting: (usize, usize)) -> WriterMeasures {
        let mut items = Vec::new();
        for category in Category::ALL {
            for outcome in Outcome::ALL {
                let quantity = self.items_of(*category, *outcome).map_or(0, Counter::get);
                if quantity > 0 {
                    items.push((*category, *outcome, quantity));
                }
            }
        }
        WriterMeasures {
            waiting_jobs: waiting.0 as u64,
            waiting_bytes: waiting.1 as u64,
            batches: self.batches.get(),
            committed: self.committed.get(),
            failed: self.failed.get(),
            faulted: self.faulted.get(),
            commit: self.commit.read(),
            wal_pages: self.wal_pages.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.get(),
            checkpoints_partial: self.checkpoints_partial.get(),
            busy: self.busy.get(),
            reopened: self.reopened.get(),
            work_steps: self.work_steps.get(),
            work_rows: self.work_rows.get(),
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_and_outcome_has_a_place() {
        let tally = Tally::default();
        for category in Category::ALL {
            for outcome in Outcome::ALL {
                tally.count_items(*category, *outcome, 2);
            }
        }
        let items = tally.read((0, 0)).items;
        assert_eq!(items.len(), Category::ALL.len() * Outcome::ALL.len());
        assert!(items.iter().all(|(_, _, quantity)| *quantity == 2));
    }
}
