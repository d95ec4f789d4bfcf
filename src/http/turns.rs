//! Turns for long answers. A long answer holds its lane for as long as its client takes to read it, so that only so
//! many may be under way: slow readers never hold every lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many long answers may be under way.
#[derive(Debug)]
pub(super) struct Turns {
    left: AtomicUsize,
}

/// Leave for one long answer, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    pub(super) fn new(max: usize) -> Arc<Turns> {
        Arc::new(Turns {
            left: AtomicUsize::new(max),
        })
    }

    /// None when all are taken.
    pub(super) fn take(self: &Arc<Turns>) -> Option<Turn> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
            .then(|| Turn(Arc::clone(self)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_comes_back() {
        let turns = Turns::new(1);
        let turn = turns.take().expect("a turn");
        assert!(turns.take().is_none());
        drop(turn);
        assert!(turns.take().is_some());
    }
}
