//! The threads for requests that are too large for a worker: decoding 40 MB and writing it takes a second, in
//! which a worker answers thousands of others.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrival::Arrival;
use super::desk::Desk;

/// One of them at a time has a few times 12 MiB in memory: the largest item that is read whole, and what is made of
/// it. The others have payloads in files.
const THREADS: usize = 2;

/// Waits until no other request has something large in memory. Whoever needs more for a request than a worker does
/// holds the guard meanwhile.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ROOM: Mutex<()> = Mutex::new(());
    ROOM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What waits for these threads: no more requests than there are lanes, each in a file.
pub(super) struct LargeRequests {
    queue: Sender<Arrival>,
}

impl LargeRequests {
    /// Starts the threads. They end when this is dropped and what waited is done.
    ///
    /// # Errors
    /// A thread could not be started.
    pub(super) fn start(desk: &Arc<Desk>) -> io::Result<LargeRequests> {
        let (queue, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let (desk, waiting) = (Arc::clone(desk), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("large-{number}"))
                .spawn(move || work(&desk, &waiting))?;
        }
        Ok(LargeRequests { queue })
    }

    pub(super) fn push(&self, arrival: Arrival) {
        // The threads live as long as this does. If they did not, dropping the request closes its connection.
        let _ = self.queue.send(arrival);
    }
}

fn work(desk: &Desk, waiting: &Mutex<Receiver<Arrival>>) {
    loop {
        // The lock is for waiting in turn: whoever has it waits for the next request, the others for the lock.
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(arrival) = next else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| desk.take_large(arrival))).is_err() {
            log::error!("a large request met a panic");
        }
    }
}
