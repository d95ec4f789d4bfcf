//! How far the life of the process is, and what that keeps it from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Starting, running, stopping. All clones agree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

const RUNNING: u8 = 1;
const STOPPING: u8 = 2;

impl Phase {
    pub(crate) fn begin_running(&self) {
        self.0.store(RUNNING, Ordering::Relaxed);
    }

    pub(crate) fn begin_stopping(&self) {
        self.0.store(STOPPING, Ordering::Relaxed);
    }

    /// Why the server takes nothing in this phase, as a code that is never changed. None while it runs.
    pub(crate) fn hindrance(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            RUNNING => None,
            STOPPING => Some("stopping"),
            // What the start applies or makes is not there yet.
            _ => Some("starting"),
        }
    }
}
