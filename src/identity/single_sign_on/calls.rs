//! How many visitors at once make the server ask a provider. Each of them holds a worker of the pages and the API while
//! the provider takes its time, so a slow one must not get them all.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const RUNNING_MAX: usize = 2;
/// So many wait for one of the others to finish, and no longer than this.
const WAITING_MAX: usize = 1;
const WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Calls {
    counts: Mutex<Counts>,
    ended: Condvar,
}

#[derive(Default)]
struct Counts {
    running: usize,
    waiting: usize,
}

/// A right to ask a provider, given back when dropped.
pub(super) struct CallRight<'a>(&'a Calls);

impl Calls {
    /// None if too many are at it.
    pub(super) fn begin(&self) -> Option<CallRight<'_>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.running >= RUNNING_MAX {
            if counts.waiting >= WAITING_MAX {
                return None;
            }
            counts.waiting += 1;
            let is_full = |counts: &mut Counts| counts.running >= RUNNING_MAX;
            counts = self
                .ended
                .wait_timeout_while(counts, WAIT_MAX, is_full)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            counts.waiting -= 1;
            if counts.running >= RUNNING_MAX {
                return None;
            }
        }
        counts.running += 1;
        Some(CallRight(self))
    }
}

impl Drop for CallRight<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.running -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ask_one_waits_and_others_are_told_so() {
        let calls = Calls::default();
        let (first, _second) = (calls.begin().unwrap(), calls.begin().unwrap());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| calls.begin().is_some());
            while calls.counts.lock().unwrap().waiting == 0 {
                std::thread::yield_now();
            }
            assert!(calls.begin().is_none());
            drop(first);
            assert!(waits.join().unwrap());
        });
        assert!(calls.begin().is_some());
    }

    #[test]
    fn whoever_waits_in_vain_goes_without() {
        let calls = Calls::default();
        let _both = (calls.begin().unwrap(), calls.begin().unwrap());
        assert!(calls.begin().is_none());
        assert_eq!(calls.counts.lock().unwrap().waiting, 0);
    }
}
