//! The counter of a client key's rate limit: fixed windows aligned to the clock, one atomic, no lock
//! (design 7, facts/ingestion.md 6.2).

use std::sync::atomic::{AtomicU64, Ordering};

use super::key::RateLimit;
use super::time::Timestamp;

/// How many slots of the newest window are used. The upper half is the window's number (seconds since 1970
/// divided by the window's length), the lower half the count, so that both change together.
///
/// One counter belongs to one window length: a key whose window is changed gets a new one, while a changed
/// count keeps the counter and what is used. A clock that steps back counts in the newest window seen, so it
/// reopens none; but a window further ahead than [`AHEAD_SECS_MAX`] was the clock's mistake and is forgotten,
/// or one wrong hour of the machine would close a key for years.
#[derive(Debug, Default)]
pub(crate) struct KeyWindow(AtomicU64);

/// How far ahead of the clock a window may lie, or one window if that is longer, and still count.
pub(crate) const AHEAD_SECS_MAX: i64 = 3600;

/// A slot that was taken, to be written with the item or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) window_number: u32,
}

/// The window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedUp {
    /// Whole seconds until the next window, rounded up; at least 1.
    pub(crate) retry_after_secs: u32,
}

impl KeyWindow {
    /// A counter that goes on where the file left off.
    pub(crate) fn resume(window_number: u32, used: u32) -> KeyWindow {
        KeyWindow(AtomicU64::new(pack(window_number, used)))
    }

    /// Whether the window that `now` falls in has slots left, without taking one.
    ///
    /// # Errors
    /// All of the window's slots are taken.
    pub(crate) fn check(&self, limit: RateLimit, now: Timestamp) -> Result<(), UsedUp> {
        let (number, used) = current(self.0.load(Ordering::Relaxed), limit, now);
        has_room(limit, number, used, now)
    }

    /// Takes one slot of the window that `now` falls in.
    ///
    /// # Errors
    /// All of the window's slots are taken.
    pub(crate) fn take(&self, limit: RateLimit, now: Timestamp) -> Result<Slot, UsedUp> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (number, used) = current(seen, limit, now);
            has_room(limit, number, used, now)?;
            let next = pack(number, used.saturating_add(1));
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => {
                    return Ok(Slot {
                        window_number: number,
                    });
                }
                Err(now_there) => seen = now_there,
            }
        }
    }

    /// Undoes [`KeyWindow::take`] for an item that was not kept, if the window is still the same.
    pub(crate) fn give_back(&self, slot: Slot) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (number, used) = unpack(seen);
            if number != slot.window_number || used == 0 {
                return;
            }
            match self.0.compare_exchange_weak(
                seen,
                pack(number, used - 1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now_there) => seen = now_there,
            }
        }
    }
}

/// The window that `now` falls in, or a newer one that was seen before, and what is used of it.
fn current(state: u64, limit: RateLimit, now: Timestamp) -> (u32, u32) {
    let (stored_number, used) = unpack(state);
    let number = window_number(limit, now);
    let length = i64::from(limit.window_secs);
    let ahead_secs = (i64::from(stored_number) - i64::from(number)) * length;
    if (0..=AHEAD_SECS_MAX.max(length)).contains(&ahead_secs) {
        (stored_number, used)
    } else {
        (number, 0)
    }
}

fn has_room(limit: RateLimit, number: u32, used: u32, now: Timestamp) -> Result<(), UsedUp> {
    if u64::from(used) < limit.count {
        return Ok(());
    }
    Err(UsedUp {
        retry_after_secs: retry_after_secs(limit, number, now),
    })
}

fn window_number(limit: RateLimit, now: Timestamp) -> u32 {
    let number = now.secs() / i64::from(limit.window_secs);
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn retry_after_secs(limit: RateLimit, number: u32, now: Timestamp) -> u32 {
    let end_us = (i64::from(number) + 1) * i64::from(limit.window_secs) * 1_000_000;
    let secs = (end_us - now.us() + 999_999) / 1_000_000;
    u32::try_from(secs).unwrap_or(1).clamp(1, limit.window_secs)
}

fn pack(number: u32, used: u32) -> u64 {
    u64::from(number) << 32 | u64::from(used)
}

fn unpack(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, state as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        count: 2,
        window_secs: 60,
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_full_window_refuses_until_the_next_one() {
        let window = KeyWindow::default();
        assert!(window.take(LIMIT, at(600)).is_ok());
        assert!(window.take(LIMIT, at(601)).is_ok());
        let refused = window.take(LIMIT, Timestamp::from_us(617_000_001));
        assert_eq!(
            refused,
            Err(UsedUp {
                retry_after_secs: 43
            })
        );
        assert!(window.take(LIMIT, at(660)).is_ok());
    }

    #[test]
    fn a_clock_that_steps_back_reopens_nothing() {
        let window = KeyWindow::default();
        let _ = window.take(LIMIT, at(660));
        let _ = window.take(LIMIT, at(660));
        let refused = window.take(LIMIT, at(600)).unwrap_err();
        assert_eq!(refused.retry_after_secs, 60);
    }

    #[test]
    fn a_window_far_ahead_of_the_clock_is_forgotten() {
        let window = KeyWindow::default();
        let years_ahead = at(600 + 10 * 365 * 86_400);
        let _ = window.take(LIMIT, years_ahead);
        let _ = window.take(LIMIT, years_ahead);
        assert!(window.take(LIMIT, at(600)).is_ok());
        assert!(window.take(LIMIT, at(601)).is_ok());
        assert!(window.take(LIMIT, at(602)).is_err());
    }

    #[test]
    fn a_slot_goes_back_only_into_its_own_window() {
        let window = KeyWindow::default();
        let old = window.take(LIMIT, at(600)).unwrap();
        window.give_back(old);
        assert!(window.take(LIMIT, at(600)).is_ok());
        assert!(window.take(LIMIT, at(600)).is_ok());
        let _ = window.take(LIMIT, at(660));
        let _ = window.take(LIMIT, at(660));
        window.give_back(old);
        assert!(window.take(LIMIT, at(660)).is_err());
    }

    #[test]
    fn many_threads_take_exactly_the_limit() {
        let limit = RateLimit {
            count: 1000,
            window_secs: 60,
        };
        let window = KeyWindow::default();
        let taken = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        if window.take(limit, at(600)).is_ok() {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 1000);
    }
}
