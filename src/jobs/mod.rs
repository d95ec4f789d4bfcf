//! What the server does by itself, in small steps behind everybody else: the removal of what was deleted, of what is
//! kept for a time only ([`sweep`]), and of the room that is left then; and writing down what was counted of the use of tokens when nobody asks anything any more.
//!
//! One thread. Each step is a change of its own, handed to the writer only while hardly anything waits there, so
//! that ingestion goes on as if nothing were removed. How far the work is stands in the file alone: a server that was
//! killed goes on where it was.

mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::domain::Result;
use crate::domain::option::Budget;
use crate::domain::time::Clock;
use crate::identity::Identity;
use crate::store::{Store, audit, deletion, saml_messages};
use sweep::Sweep;

/// No step is taken while more changes wait. As many come at once from the clients of a busy server that keeps up.
const WAITING_MAX: usize = 64;
/// The writer has a step and then at least as long without one.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to let a busy writer be.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How often to look without having been told.
const IDLE: Duration = Duration::from_secs(2);
/// After a step that failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long what grows by itself is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// Entries of the audit log; 0 is for ever.
    pub(crate) audit_days: u32,
    /// What clients sent.
    pub(crate) events: Budget,
}

const DAY_SECS: i64 = 86_400;

/// The running thread. Stops when dropped.
pub(crate) struct Jobs {
    store: Arc<Store>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn start(
        store: Arc<Store>,
        identity: Arc<Identity>,
        clock: Clock,
        retention: Retention,
    ) -> std::io::Result<Jobs> {
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (store, stopping) = (Arc::clone(&store), Arc::clone(&stopping));
            std::thread::Builder::new()
                .name("jobs".to_owned())
                .spawn(move || run(&store, &identity, &clock, retention, &stopping))?
        };
        Ok(Jobs {
            store,
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.store.deletions().ring();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread for background work had panicked");
        }
    }
}

fn run(
    store: &Store,
    identity: &Identity,
    clock: &Clock,
    retention: Retention,
    stopping: &AtomicBool,
) {
    let mut sweep = Sweep::new(retention.events, clock.now());
    while !stopping.load(Ordering::Relaxed) {
        identity.token_uses.write_if_due(store, clock.now());
        let done = match remove_a_little(store, clock, retention) {
            Ok(Done::All) => sweep.go_on(store, clock.now()),
            done => done,
        };
        match done {
            Ok(Done::Some) => std::thread::sleep(PAUSE),
            Ok(Done::NotNow) => std::thread::sleep(BUSY_PAUSE),
            Ok(Done::All) => store.deletions().wait(IDLE),
            Err(error) => {
                log::error!("what was deleted or is too old cannot be removed now: {error}");
                store.deletions().wait(RETRY_AFTER);
            }
        }
    }
}

/// What became of a step.
enum Done {
    /// There may be more to remove.
    Some,
    /// The writer has better things to do.
    NotNow,
    All,
}

fn remove_a_little(store: &Store, clock: &Clock, retention: Retention) -> Result<Done> {
    let audit_from = match retention.audit_days {
        0 => None,
        days => Some(clock.now().plus_secs(-i64::from(days) * DAY_SECS)),
    };
    let now = clock.now();
    let (is_deleted_left, is_audit_left, is_message_left) = {
        let connection = store.read()?;
        let is_audit_left = match audit_from {
            Some(from) => audit::is_any_before(&connection, from)?,
            None => false,
        };
        (
            deletion::is_anything_left(&connection)?,
            is_audit_left,
            saml_messages::is_any_over(&connection, now)?,
        )
    };
    if !is_deleted_left && !is_audit_left && !is_message_left {
        return Ok(Done::All);
    }
    if store.writer().waiting() > WAITING_MAX {
        return Ok(Done::NotNow);
    }
    if is_deleted_left {
        store.work(deletion::step)?;
    }
    if let Some(from) = audit_from.filter(|_| is_audit_left) {
        store.work(move |unit| audit::remove_some_before(unit, from))?;
    }
    if is_message_left {
        store.work(move |unit| saml_messages::remove_some_over(unit, now))?;
    }
    Ok(Done::Some)
}
