//! What a stranger, a disk or a power cut can do to a running server, as one program.
//!
//! The tests take turns, because each of them loads, starves or stops something. What runs here is the short form, a few
//! minutes in all; with `PICKET_FAULTS=long` everything takes the numbers of the long form, and latencies are held
//! to their bounds, which on a busy machine would say nothing.

#[allow(dead_code, unused_imports, reason = "other programs use the rest")]
#[path = "../support/mod.rs"]
mod support;

mod ageing;
mod disk;
mod network;
mod power;
mod process;

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Leave to be the only test that runs.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the numbers are those of the long form.
fn is_long() -> bool {
    std::env::var_os("PICKET_FAULTS").is_some_and(|form| form == "long")
}

/// The number of the short form, or that of the long one.
fn short_or_long<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}
