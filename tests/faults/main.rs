//! What a stranger, a disk or a power cut can do to a running server, as one program.
//!
//! The tests take turns, because each of them loads, starves or stops something. What runs here is the short form, a few
//! minutes in all; with `PICKET_FAULTS=long` everything takes the numbers of the long form, and latencies are held
//! to their bounds, which on a busy machine would say nothing.

mod power;
mod process;

#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of all tests, of which these need a part"
)]
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test runs.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
