//! Whether events can be taken now, and if not, why: what the writer met, and what a small thread sees of the disk.
//!
//! The brake is two atomics. The front for SDKs reads them once a request, before it looks at the body, so that on a
//! full disk nothing is half done and nothing is asked of SQLite. Reading and managing go on: a change by a person is
//! tried, and refused only by the file itself.
//!
//! Both let go by themselves. The disk's half has a margin between "too little" and "enough again"; the writer's half
//! is let go of by the writer, when a commit of its own has worked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::space::{self, Disk};
use crate::domain::Error;

/// Why events are not taken. The codes of [`Trouble::code`] are a promise to whoever watches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Less is free than the operator wants to keep free.
    DiskLow,
    /// SQLite found no room.
    DiskFull,
    /// The file system takes no writes.
    ReadOnly,
    /// SQLite failed at its work in another way: a fault of the disk or the memory, or damage to the file.
    DatabaseError,
    /// Nothing was committed for half a minute.
    WriterStalled,
    /// More waits to be written than is kept waiting.
    QueueFull,
    /// The same, of one project, while the writer is behind: the rest is for others.
    ProjectShare,
}

impl Trouble {
    pub(crate) const ALL: [Trouble; 7] = [
        Trouble::DiskLow,
        Trouble::DiskFull,
        Trouble::ReadOnly,
        Trouble::DatabaseError,
        Trouble::WriterStalled,
        Trouble::QueueFull,
        Trouble::ProjectShare,
    ];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Trouble::DiskLow => "disk_low",
            Trouble::DiskFull => "disk_full",
            Trouble::ReadOnly => "read_only",
            Trouble::DatabaseError => "database_error",
            Trouble::WriterStalled => "writer_stalled",
            Trouble::QueueFull => "queue_full",
            Trouble::ProjectShare => "project_share",
        }
    }

    /// For a page or a terminal: a sentence without its full stop.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Trouble::DiskLow => "the disk is almost full",
            Trouble::DiskFull => "the disk is full",
            Trouble::ReadOnly => "the file system takes no writes",
            Trouble::DatabaseError => "the database cannot be written",
            Trouble::WriterStalled => "nothing could be written for half a minute",
            Trouble::QueueFull => "more waits to be written than is kept waiting",
            Trouble::ProjectShare => "one project fills its share of what may wait to be written",
        }
    }

    /// When a client that was refused for it is asked to come again. A queue drains in seconds; a disk takes somebody
    /// who makes room.
    pub(crate) fn retry_after_secs(self) -> u32 {
        match self {
            Trouble::QueueFull | Trouble::ProjectShare => 5,
            Trouble::DiskLow
            | Trouble::DiskFull
            | Trouble::ReadOnly
            | Trouble::DatabaseError
            | Trouble::WriterStalled => 30,
        }
    }

    pub(crate) fn error(self) -> Error {
        Error::Unavailable {
            retry_after_secs: self.retry_after_secs(),
        }
    }

    /// As it stands in an atomic; 0 is none.
    fn number(self) -> u8 {
        self as u8 + 1
    }

    fn of_number(number: u8) -> Option<Trouble> {
        let at = usize::from(number).checked_sub(1)?;
        Trouble::ALL.get(at).copied()
    }
}

/// The state of the brake, and what was refused for each reason since the start.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// What the writer met and has not got over.
    fault: AtomicU8,
    /// What the disk looks like.
    disk: AtomicU8,
    disk_free: AtomicU64,
    disk_total: AtomicU64,
    /// The bytes that are to stay free.
    disk_floor: AtomicU64,
    refused: [AtomicU64; Trouble::ALL.len()],
}

impl Health {
    /// Why no event is taken now, if none is.
    pub(crate) fn brake(&self) -> Option<Trouble> {
        let fault = self.fault.load(Ordering::Relaxed);
        let disk = self.disk.load(Ordering::Relaxed);
        Trouble::of_number(if fault == 0 { disk } else { fault })
    }

    /// Whether an event may be taken; one that may not is counted.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self) -> Result<(), Trouble> {
        match self.brake() {
            None => Ok(()),
            Some(trouble) => {
                self.count(trouble);
                Err(trouble)
            }
        }
    }

    /// How many requests were refused for each reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Trouble, u64)> {
        let count = |trouble: Trouble| self.refused[trouble as usize].load(Ordering::Relaxed);
        Trouble::ALL
            .into_iter()
            .map(move |trouble| (trouble, count(trouble)))
    }

    /// What the disk had free when it was last looked at, how large it is, and below what the brake holds; bytes. None
    /// before the first look.
    pub(crate) fn disk(&self) -> Option<(u64, u64, u64)> {
        let total = self.disk_total.load(Ordering::Relaxed);
        (total > 0).then(|| {
            let free = self.disk_free.load(Ordering::Relaxed);
            (free, total, self.disk_floor.load(Ordering::Relaxed))
        })
    }

    /// Counts a request that was refused.
    pub(crate) fn count(&self, trouble: Trouble) {
        self.refused[trouble as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fault(&self) -> Option<Trouble> {
        Trouble::of_number(self.fault.load(Ordering::Relaxed))
    }

    /// Says what the writer met, or that it is over it; what was said before.
    pub(super) fn set_fault(&self, fault: Option<Trouble>) -> Option<Trouble> {
        let number = fault.map_or(0, Trouble::number);
        Trouble::of_number(self.fault.swap(number, Ordering::Relaxed))
    }

    /// Takes in what the disk looks like. `min_free` is what is to stay free, else it is the rule of [`floor`].
    fn see(&self, disk: Disk, min_free: Option<u64>) {
        let floor = min_free.unwrap_or_else(|| floor(disk.total));
        let was = Trouble::of_number(self.disk.load(Ordering::Relaxed));
        let enough = match was {
            Some(_) => floor.saturating_add(floor / 4),
            None => floor,
        };
        let now = if disk.read_only {
            Some(Trouble::ReadOnly)
        } else if disk.free < enough {
            Some(Trouble::DiskLow)
        } else {
            None
        };
        self.disk_free.store(disk.free, Ordering::Relaxed);
        self.disk_floor.store(floor, Ordering::Relaxed);
        self.disk_total.store(disk.total, Ordering::Relaxed);
        self.disk
            .store(now.map_or(0, Trouble::number), Ordering::Relaxed);
        if now != was {
            match now {
                Some(trouble) => log::error!(
                    "no events are taken: {}; {} MiB of {} are free, and {} MiB are to stay so",
                    trouble.text(),
                    disk.free >> 20,
                    disk.total >> 20,
                    floor >> 20
                ),
                None => log::info!("events are taken again: the disk has room"),
            }
        }
    }
}

/// What stays free of a volume of this size: 256 MiB, or a twentieth of one of less than 5 GiB. A twentieth of a large
/// one would be more than a month of events; 256 MiB are enough for the write-ahead log, and for a person to act.
pub(crate) fn floor(total: u64) -> u64 {
    const BYTES: u64 = 256 << 20;
    BYTES.min(total / 20)
}

/// How often the disk is looked at: a disk at full speed fills an eighth of the margin meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The thread that looks at the disk. Ends when dropped.
pub(super) struct Watch {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks once, and from then on every tenth of a second.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(super) fn start(
        health: &Arc<Health>,
        path: &Path,
        min_free: Option<u64>,
    ) -> std::io::Result<Watch> {
        look(health, path, min_free);
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (health, stopping) = (Arc::clone(health), Arc::clone(&stopping));
            let path: PathBuf = path.to_owned();
            std::thread::Builder::new()
                .name("disk".to_owned())
                .spawn(move || {
                    while !stopping.load(Ordering::Relaxed) {
                        std::thread::park_timeout(LOOK_EVERY);
                        look(&health, &path, min_free);
                    }
                })?
        };
        Ok(Watch {
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only looks and stores.
            let _ = thread.join();
        }
    }
}

fn look(health: &Health, path: &Path, min_free: Option<u64>) {
    // A disk that cannot be asked is as it was: SQLite will say more.
    if let Ok(disk) = space::disk(path) {
        health.see(disk, min_free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(free: u64, total: u64) -> Disk {
        Disk {
            free: free * MIB,
            total: total * MIB,
            read_only: false,
        }
    }

    #[test]
    fn every_trouble_has_its_number_and_its_code() {
        let mut codes: Vec<_> = Trouble::ALL.iter().map(|trouble| trouble.code()).collect();
        for (at, trouble) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!(trouble as usize, at);
            assert_eq!(Trouble::of_number(trouble.number()), Some(trouble));
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Trouble::ALL.len());
        assert_eq!(Trouble::of_number(0), None);
    }

    #[test]
    fn the_brake_holds_until_there_is_a_quarter_more_than_it_takes() {
        let health = Health::default();
        let brake_at = |free: u64, total: u64| {
            health.see(disk(free, total), None);
            health.brake()
        };
        // 256 MiB of a large volume.
        assert_eq!(brake_at(256, 2 << 20), None);
        assert_eq!(brake_at(255, 2 << 20), Some(Trouble::DiskLow));
        assert_eq!(brake_at(319, 2 << 20), Some(Trouble::DiskLow));
        assert_eq!(brake_at(320, 2 << 20), None);
        assert_eq!(brake_at(256, 2 << 20), None);
        // A twentieth of a small one.
        assert_eq!(brake_at(50, 1000), None);
        assert_eq!(brake_at(49, 1000), Some(Trouble::DiskLow));
        assert_eq!(brake_at(62, 1000), Some(Trouble::DiskLow));
        assert_eq!(brake_at(63, 1000), None);
        assert_eq!(health.disk(), Some((63 * MIB, 1000 * MIB, 50 * MIB)));
    }

    #[test]
    fn what_is_to_stay_free_can_be_said_and_nothing_is_an_answer() {
        let health = Health::default();
        health.see(disk(99, 1000), Some(100 * MIB));
        assert_eq!(health.brake(), Some(Trouble::DiskLow));
        health.see(disk(125, 1000), Some(100 * MIB));
        assert_eq!(health.brake(), None);
        health.see(disk(0, 1000), Some(0));
        assert_eq!(health.brake(), None);
        let mut read_only = disk(900, 1000);
        read_only.read_only = true;
        health.see(read_only, None);
        assert_eq!(health.brake(), Some(Trouble::ReadOnly));
    }

    #[test]
    fn what_the_writer_met_is_told_first_and_each_refusal_is_counted() {
        let health = Health::default();
        assert_eq!(health.admit(), Ok(()));
        health.see(disk(1, 1000), None);
        assert_eq!(health.set_fault(Some(Trouble::DiskFull)), None);
        assert_eq!(health.admit(), Err(Trouble::DiskFull));
        assert_eq!(health.set_fault(None), Some(Trouble::DiskFull));
        assert_eq!(health.admit(), Err(Trouble::DiskLow));
        let refused: Vec<_> = health.refused().filter(|(_, count)| *count > 0).collect();
        assert_eq!(refused, [(Trouble::DiskLow, 1), (Trouble::DiskFull, 1)]);
    }
}
