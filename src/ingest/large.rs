//! The thread for requests that are too much for a worker: decoding 40 MB and writing it takes a second, in which a
//! worker answers thousands of others, and a megabyte of short values becomes a tree of thirty.
//!
//! A request that waits for it holds one of the ways in, which all projects share. So no more than [`WAITING_MAX`] wait,
//! and of one project no more than there is room left: who uploads without end gets half of the room.
//!
//! There is one such thread, so one request at a time has something large in memory: an item of up to 12 MiB that is
//! read whole and what is made of it, or a decoder's dictionary. Everything else that is large lies in files.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use super::arrival::Arrival;
use super::desk::Desk;
use super::{Refusal, json};
use crate::store::health::Trouble;
use crate::store::snapshot::ProjectState;

/// A JSON text with more values than this is no worker's: as a tree it takes some megabytes.
const VALUES_MAX: usize = 50_000;

/// Whether a body, small as it is, becomes large when it is read.
pub(super) fn is_dense(body: &[u8]) -> bool {
    body.len() > VALUES_MAX && json::values(body) > VALUES_MAX
}

/// Half of the ways in.
const WAITING_MAX: usize = 128;

/// What waits for the thread.
pub(super) struct LargeRequests {
    queue: Sender<(Arrival, Place)>,
    desk: Arc<Desk>,
    waiting: Arc<AtomicUsize>,
}

/// A place among those that wait, or are worked on; given back when dropped.
struct Place {
    project: Arc<ProjectState>,
    waiting: Arc<AtomicUsize>,
}

impl Place {
    /// # Errors
    /// Why there is none.
    fn take(project: &Arc<ProjectState>, waiting: &Arc<AtomicUsize>) -> Result<Place, Trouble> {
        // Two who look at the same moment may both find the last place, which harms nobody.
        let left = WAITING_MAX.saturating_sub(waiting.load(Ordering::Relaxed));
        if left == 0 {
            return Err(Trouble::QueueFull);
        }
        if project.large_waiting.load(Ordering::Relaxed) > left {
            return Err(Trouble::ProjectShare);
        }
        project.large_waiting.fetch_add(1, Ordering::Relaxed);
        waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Place {
            project: Arc::clone(project),
            waiting: Arc::clone(waiting),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.project.large_waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LargeRequests {
    /// Starts the thread. It ends when this is dropped and what waited is done.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(super) fn start(desk: &Arc<Desk>) -> io::Result<LargeRequests> {
        let (queue, waiting) = mpsc::channel();
        let working = Arc::clone(desk);
        std::thread::Builder::new()
            .name("large".to_owned())
            .spawn(move || work(&working, &waiting))?;
        Ok(LargeRequests {
            queue,
            desk: Arc::clone(desk),
            waiting: Arc::default(),
        })
    }

    pub(super) fn push(&self, arrival: Arrival) {
        match Place::take(&arrival.who.project, &self.waiting) {
            // The thread lives as long as this does. If it did not, dropping the request closes its connection.
            Ok(place) => drop(self.queue.send((arrival, place))),
            Err(trouble) => {
                self.desk.store.health().count(trouble);
                let retry_after_secs = trouble.retry_after_secs();
                self.desk
                    .refuse(arrival, Refusal::Unavailable { retry_after_secs });
            }
        }
    }
}

fn work(desk: &Desk, waiting: &Receiver<(Arrival, Place)>) {
    while let Ok((arrival, _place)) = waiting.recv() {
        if catch_unwind(AssertUnwindSafe(|| desk.take_large(arrival))).is_err() {
            log::error!("a large request met a panic");
        }
    }
}
