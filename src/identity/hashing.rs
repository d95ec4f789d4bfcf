//! Where passwords are hashed: at most two at a time, because each takes a core and 19 MiB for a while (design 6).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::password;
use crate::domain::recovery_code::{RecoveryCode, RecoveryHash, Salt};

const RUNNING_MAX: usize = 2;
/// Those who wait keep a worker each, of which there are few.
const WAITING_MAX: usize = 1;
const WAIT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Hashing {
    state: Mutex<State>,
    freed: Condvar,
    /// How many passwords were hashed, right or wrong.
    runs: AtomicU64,
    refused: AtomicU64,
}

/// One moment.
pub(crate) struct HashingMeasures {
    pub(crate) running: u64,
    pub(crate) waiting: u64,
    pub(crate) runs: u64,
    pub(crate) refused: u64,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
}

/// Too many passwords at once.
#[derive(Debug)]
pub(crate) struct Busy;

impl Hashing {
    /// Whether a password belongs to a hash. Without a hash it takes as long, and does not.
    pub(crate) fn verify(&self, text: &str, hash: Option<&str>) -> Result<bool, Busy> {
        let _slot = self.slot()?;
        Ok(password::verify(text, hash.unwrap_or(password::NOBODYS)) && hash.is_some())
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// Too many at once, or the system gave no random numbers.
    pub(crate) fn hash(&self, text: &str) -> Result<crate::domain::Result<String>, Busy> {
        let _slot = self.slot()?;
        Ok(password::hash(text))
    }

    /// Hashes recovery codes, one after another.
    ///
    /// # Errors
    /// Too many at once, or the system gave no memory.
    pub(crate) fn recovery(
        &self,
        codes: &[RecoveryCode],
        salt: Salt,
    ) -> Result<crate::domain::Result<Vec<RecoveryHash>>, Busy> {
        let _slot = self.slot()?;
        Ok(codes.iter().map(|code| code.hash(salt)).collect())
    }

    /// How many passwords were hashed since the start, to be compared with hashes or to be kept.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    pub(crate) fn measures(&self) -> HashingMeasures {
        let (running, waiting) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.running, state.waiting)
        };
        HashingMeasures {
            running: running as u64,
            waiting: waiting as u64,
            runs: self.runs(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn slot(&self) -> Result<Slot<'_>, Busy> {
        let slot = self.wait_for_slot();
        if slot.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    fn wait_for_slot(&self) -> Result<Slot<'_>, Busy> {
        let deadline = Instant::now() + WAIT;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running >= RUNNING_MAX {
            if state.waiting >= WAITING_MAX {
                return Err(Busy);
            }
            state.waiting += 1;
            while state.running >= RUNNING_MAX {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    state.waiting -= 1;
                    return Err(Busy);
                }
                state = self
                    .freed
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            state.waiting -= 1;
        }
        state.running += 1;
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(Slot(self))
    }
}

/// A place among those that run; given back when dropped.
struct Slot<'a>(&'a Hashing);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        drop(state);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_password_takes_one_run_too() {
        let hashing = Hashing::default();
        let hash = hashing.hash("correct horse").unwrap().unwrap();
        assert!(hashing.verify("correct horse", Some(&hash)).unwrap());
        assert!(!hashing.verify("wrong horse", Some(&hash)).unwrap());
        assert!(!hashing.verify("correct horse", None).unwrap());
        assert_eq!(hashing.runs(), 4);
    }

    #[test]
    fn a_crowd_is_turned_away() {
        let hashing = Hashing::default();
        let slots = [hashing.slot().unwrap(), hashing.slot().unwrap()];
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| hashing.slot().is_ok());
            while hashing.state.lock().unwrap().waiting == 0 {
                std::thread::yield_now();
            }
            assert!(hashing.slot().is_err());
            drop(slots);
            assert!(waiter.join().unwrap());
        });
        assert_eq!(hashing.state.lock().unwrap().running, 0);
    }
}
