//! The thread for requests that are too much for a worker: decoding 40 MB and writing it takes a second, in which a
//! worker answers thousands of others, and a megabyte of short values becomes a tree of thirty.
//!
//! There is one such thread, so one request at a time has something large in memory: an item of up to 12 MiB that is
//! read whole and what is made of it, or a decoder's dictionary. Everything else that is large lies in files.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::arrival::Arrival;
use super::desk::Desk;
use super::json;

/// A JSON text with more values than this is no worker's: as a tree it takes some megabytes.
const VALUES_MAX: usize = 50_000;

/// Whether a body, small as it is, becomes large when it is read.
pub(super) fn is_dense(body: &[u8]) -> bool {
    body.len() > VALUES_MAX && json::values(body) > VALUES_MAX
}

/// What waits for the thread: no more requests than there are lanes.
pub(super) struct LargeRequests {
    queue: Sender<Arrival>,
}

impl LargeRequests {
    /// Starts the thread. It ends when this is dropped and what waited is done.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(super) fn start(desk: &Arc<Desk>) -> io::Result<LargeRequests> {
        let (queue, waiting) = mpsc::channel();
        let desk = Arc::clone(desk);
        std::thread::Builder::new()
            .name("large".to_owned())
            .spawn(move || work(&desk, &waiting))?;
        Ok(LargeRequests { queue })
    }

    pub(super) fn push(&self, arrival: Arrival) {
        // The thread lives as long as this does. If it did not, dropping the request closes its connection.
        let _ = self.queue.send(arrival);
    }
}

fn work(desk: &Desk, waiting: &Receiver<Arrival>) {
    while let Ok(arrival) = waiting.recv() {
        if catch_unwind(AssertUnwindSafe(|| desk.take_large(arrival))).is_err() {
            log::error!("a large request met a panic");
        }
    }
}
