//! What the server does by itself, in small steps behind everybody else: the removal of what was deleted, and writing
//! down what was counted of the use of tokens when nobody asks anything any more.
//!
//! One thread. Each step is a change of its own, handed to the writer only while hardly anything waits there, so
//! that ingestion goes on as if nothing were removed. How far the work is stands in the file alone: a server that was
//! killed goes on where it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::domain::Result;
use crate::domain::time::Clock;
use crate::identity::Identity;
use crate::store::{Store, deletion};

/// No step is taken while more changes wait. As many come at once from the clients of a busy server that keeps up.
const WAITING_MAX: usize = 64;
/// The writer has a step and then at least as long without one.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to let a busy writer be.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How often to look without having been told: deleting tells, so this finds what a failed step left.
const IDLE: Duration = Duration::from_secs(60);
/// After a step that failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);

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
    ) -> std::io::Result<Jobs> {
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (store, stopping) = (Arc::clone(&store), Arc::clone(&stopping));
            std::thread::Builder::new()
                .name("jobs".to_owned())
                .spawn(move || run(&store, &identity, &clock, &stopping))?
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

fn run(store: &Store, identity: &Identity, clock: &Clock, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        identity.token_uses.write_if_due(store, clock.now());
        match remove_a_little(store) {
            Ok(Done::Some) => std::thread::sleep(PAUSE),
            Ok(Done::NotNow) => std::thread::sleep(BUSY_PAUSE),
            Ok(Done::All) => store.deletions().wait(IDLE),
            Err(error) => {
                log::error!("what was deleted cannot be removed now: {error}");
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

fn remove_a_little(store: &Store) -> Result<Done> {
    if !deletion::is_anything_left(&*store.read()?)? {
        return Ok(Done::All);
    }
    if store.writer().waiting() > WAITING_MAX {
        return Ok(Done::NotNow);
    }
    store.write(deletion::step)?;
    Ok(Done::Some)
}
