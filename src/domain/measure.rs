//! Counts and times that many threads add to at once: relaxed atomics, no lock, no allocation.
//!
//! What is read while others add may be a moment apart from one number to the next; each number by itself only grows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where one bucket of [`Durations`] ends and the next begins, in microseconds: from a fast disk's sync to the time
/// after which clients give up.
pub(crate) const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How long something took, each time, in fixed buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The last one is for what took longer than every bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Durations {
        let mut durations = Durations {
            sum_us: self.sum_us.load(Ordering::Relaxed),
            ..Durations::default()
        };
        for (read, bucket) in durations.buckets.iter_mut().zip(&self.buckets) {
            *read = bucket.load(Ordering::Relaxed);
        }
        durations
    }
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many took at most as long as the bound at the same place, and longer than the one before; the last one has
    /// no bound.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    pub sum_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_that_it_ends() {
        let histogram = Histogram::default();
        for us in [0, 500, 501, 10_000_000, 10_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let read = histogram.read();
        assert_eq!(read.buckets[..2], [2, 1]);
        assert_eq!(read.buckets[13..], [1, 1]);
        assert_eq!(read.buckets.iter().sum::<u64>(), 5);
        assert_eq!(read.sum_us, 20_001_002);
    }
}
