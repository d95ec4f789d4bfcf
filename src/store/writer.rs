//! The one thread that writes, in group commits.
//!
//! **Who waits for whom.** Whoever wants a change submits a job and goes on; the writer takes all jobs that
//! wait (at most [`BATCH_JOBS_MAX`]), runs them in one `BEGIN IMMEDIATE` transaction, commits, publishes what
//! they touched to the snapshot and hands them to the responder thread, which calls each job's `done`. There
//! is no artificial delay: batches form from what queues up during the disk's sync. Nobody holds a lock while
//! waiting.
//!
//! **What is durable.** `done(Ok)` runs only after the COMMIT of the job's transaction (with
//! `synchronous=FULL`: synced). `done(Err)` means that nothing of the job is in the file, except for
//! `Uncertain`: a fault of the disk hit the COMMIT itself.
//!
//! **Failures.** Each job runs in a savepoint; an error or a panic rolls back that job alone. If SQLite ended
//! the whole transaction (disk full, I/O error, out of memory), every job of the batch fails. If the sums of
//! a batch cannot be written although its jobs ran, the jobs run again one by one, so a job's `run` may be
//! called more than once. A COMMIT that failed is never tried again on the same connection, because the
//! second try can succeed without being durable: the file is opened anew.
//!
//! A fault of the disk sets the brake ([`super::health`]): what clients send is refused from then on, what people change
//! is still tried. Every [`PROBE_EVERY`] the writer opens the file anew, if need be, and commits nothing of anybody's;
//! when that works and the log can be copied into the file, the brake is let go. No fault of a disk ends the process.
//! If a committed change cannot be read back for the snapshot, its answers wait until the file was opened anew.
//!
//! **Bounds.** The queue holds [`QUEUE_JOBS_MAX`] jobs and [`QUEUE_BYTES_MAX`] bytes; beyond that, and when
//! nothing was committed for [`STALLED_AFTER`], a job is refused at once.
//!
//! **Fairness.** No project may have more waiting than there is room left. So one that floods gets half of the room, two
//! get a third each, and there is always some for whoever sends little. When a batch takes longer than
//! [`BEHIND_AFTER`], the room is [`JOBS_BEHIND_MAX`] jobs and no longer the queue's, and what waits beyond a project's
//! share is refused as well: it would hold the ways in, which all projects share.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::client_keys;
use super::connection;
use super::health::{Health, Trouble};
use super::key_windows;
use super::ledger::LedgerSums;
use super::sizes::{Amount, Kind, SizeSums};
use super::snapshot::{DataVersion, Snapshot, Touched};
use super::space;
use super::tally::{Tally, WriterMeasures};
use crate::domain::durability::Durability;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::key::PublicKey;
use crate::domain::outcome::LedgerEntry;
use crate::domain::time::Timestamp;
use crate::domain::window::Slot;
use crate::domain::{Error, Result};

/// Fewer than ingestion has ways in, so that some are left while a batch takes long.
const BATCH_JOBS_MAX: usize = 192;
const QUEUE_JOBS_MAX: usize = 4096;
const QUEUE_BYTES_MAX: usize = 64 << 20;
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How often the writer tries whether it is over a fault.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How often the same is logged while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// With less than this the disk is as good as full.
const ROOM_MIN: u64 = 1 << 20;
/// How often an idle writer looks for commits of other processes; well within the time for which a look counts.
const IDLE_CHECK: Duration = Duration::from_millis(250);
/// The log is emptied after so many looks without anything to write.
const IDLE_CHECKS_TO_CHECKPOINT: u32 = 4;
/// How often the responder looks for a commit that takes long.
const STALL_CHECK: Duration = Duration::from_millis(250);
/// A batch that runs for longer says that the writer is behind.
const BEHIND_AFTER: Duration = Duration::from_millis(500);
/// How many jobs may run and wait while the writer is behind. A request that waits holds one of the ways in, of which
/// ingestion has 256: some must be left to find out who sends, and to refuse whoever has too much waiting.
const JOBS_BEHIND_MAX: usize = 224;
/// A project that has less than this waiting is never refused for its share.
const SHARE_JOBS_MIN: usize = 8;
const SHARE_BYTES_MIN: usize = 2 << 20;
/// The write-ahead log is copied into the file when it has grown by this many pages.
const CHECKPOINT_PAGES: i32 = 1000;
/// The exit code after a fault that only a fresh process can get over.
const EXIT_BROKEN: i32 = 70;

/// One job's view of the transaction: a connection to read and write with, and what counts once it succeeded.
pub(crate) struct Unit<'a> {
    connection: &'a Connection,
    snapshot: &'a Snapshot,
    /// Whether a job before this one, in the same transaction, changed what the snapshot holds.
    snapshot_is_stale: bool,
    gains: Gains,
}

/// What a job adds beside its rows; dropped if the job fails.
#[derive(Default)]
struct Gains {
    ledger: Vec<LedgerEntry>,
    slots: Vec<(KeyId, u32, Slot)>,
    sizes: Vec<SizeChange>,
    touched: Vec<Touched>,
}

/// Of which project, of which kind, how much, and when it came if it is new.
type SizeChange = (ProjectId, Kind, Amount, Option<Timestamp>);

impl Unit<'_> {
    /// Adds to the ledger, when the transaction commits.
    pub(crate) fn count(&mut self, entry: LedgerEntry) {
        self.gains.ledger.push(entry);
    }

    /// Writes down a slot of a key's rate limit, taken in memory at admission.
    pub(crate) fn use_slot(&mut self, key: KeyId, window_secs: u32, slot: Slot) {
        self.gains.slots.push((key, window_secs, slot));
    }

    /// Counts a row that was stored, with a payload of so many packed bytes.
    pub(crate) fn store(
        &mut self,
        project: ProjectId,
        kind: Kind,
        packed: u64,
        received: Timestamp,
    ) {
        let change = (project, kind, Amount::row(packed), Some(received));
        self.gains.sizes.push(change);
    }

    /// Counts what was removed, or otherwise became more or less.
    pub(super) fn resize(&mut self, project: ProjectId, kind: Kind, change: Amount) {
        self.gains.sizes.push((project, kind, change, None));
    }

    /// Says that the snapshot must read something anew before any answer of this transaction leaves.
    pub(crate) fn touch(&mut self, what: Touched) {
        self.gains.touched.push(what);
    }

    /// Whether a key that was there at admission still is. Asks the file only while the snapshot may be
    /// behind the transaction.
    pub(crate) fn key_is_there(&self, id: KeyId, public: PublicKey) -> Result<bool> {
        if self.snapshot_is_stale {
            Ok(client_keys::is_there(self.connection, id)?)
        } else {
            Ok(self.snapshot.key(&public).is_some_and(|key| key.id == id))
        }
    }
}

impl Deref for Unit<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// A job with its types forgotten.
trait Job: Send {
    /// Runs the change and keeps its result.
    fn run(&mut self, unit: &mut Unit<'_>) -> Ran;
    fn fail(&mut self, error: Error);
    /// What its project has waiting, if a client sent it.
    fn load(&self) -> Option<&Arc<Load>>;
    fn done(self: Box<Self>);
}

/// How a change went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ran {
    Well,
    /// For a reason of its own.
    Badly,
    /// SQLite could not.
    Unable,
}

/// What a project has waiting for the writer. Changed under the queue's lock alone.
#[derive(Debug, Default)]
pub(crate) struct Load {
    jobs: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    fn get(&self) -> (usize, usize) {
        (
            self.jobs.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    fn add(&self, bytes: usize) {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.jobs.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

struct TypedJob<T, R, D> {
    run: R,
    done: D,
    load: Option<Arc<Load>>,
    result: Option<Result<T>>,
}

impl<T, R, D> Job for TypedJob<T, R, D>
where
    T: Send,
    R: FnMut(&mut Unit<'_>) -> Result<T> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, unit: &mut Unit<'_>) -> Ran {
        let result = catch_unwind(AssertUnwindSafe(|| (self.run)(unit)))
            .unwrap_or_else(|_| Err(Error::internal("a change panicked")));
        let ran = match &result {
            Ok(_) => Ran::Well,
            Err(Error::Unavailable { .. }) => Ran::Unable,
            Err(_) => Ran::Badly,
        };
        self.result = Some(result);
        ran
    }

    fn load(&self) -> Option<&Arc<Load>> {
        self.load.as_ref()
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn done(self: Box<Self>) {
        let result = self
            .result
            .unwrap_or_else(|| Err(Error::internal("a change was never run")));
        (self.done)(result);
    }
}

type Jobs = Vec<Box<dyn Job>>;

/// The way to the writing thread.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    health: Arc<Health>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the writing thread and its responder. `seen` is the version of the file that the snapshot holds.
    ///
    /// # Errors
    /// A thread could not be started.
    pub(super) fn start(
        path: &Path,
        durability: Durability,
        connection: Connection,
        (snapshot, seen): (Arc<Snapshot>, DataVersion),
        health: Arc<Health>,
    ) -> std::io::Result<Writer> {
        let queue = Arc::new(Queue::default());
        let (finished, to_answer) = mpsc::channel();
        let responder = {
            let (queue, health) = (Arc::clone(&queue), Arc::clone(&health));
            std::thread::Builder::new()
                .name("responder".to_owned())
                .spawn(move || {
                    exit_on_panic("responder", || respond(&to_answer, &queue, &health))
                })?
        };
        let mut state = WriterThread {
            path: path.to_owned(),
            durability,
            connection,
            snapshot,
            seen,
            health: Arc::clone(&health),
            broken: false,
            probed: Instant::now(),
            unpublished: Vec::new(),
            checkpoint_pages: CHECKPOINT_PAGES,
            queue: Arc::clone(&queue),
            finished,
        };
        let writer = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || exit_on_panic("writer", || state.run()))?;
        Ok(Writer {
            queue,
            health,
            threads: Mutex::new(vec![writer, responder]),
        })
    }

    /// Queues a change. `run` may be called more than once. `done` is called exactly once: on the responder
    /// thread when the change is durable or failed, or here and now with `Unavailable` when the queue is full,
    /// stalled or closed. `bytes` is what the job holds in memory.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        run: impl FnMut(&mut Unit<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.push(None, bytes, run, done);
    }

    /// As [`Writer::submit`], of what a client sent to a project: refused as well while the writer has met a fault of the
    /// disk, and when its project has more than its share waiting.
    pub(crate) fn submit_sent<T: Send + 'static>(
        &self,
        load: &Arc<Load>,
        bytes: usize,
        run: impl FnMut(&mut Unit<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.push(Some(Arc::clone(load)), bytes, run, done);
    }

    fn push<T: Send + 'static>(
        &self,
        load: Option<Arc<Load>>,
        bytes: usize,
        run: impl FnMut(&mut Unit<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let job = Box::new(TypedJob {
            run,
            done,
            load,
            result: None,
        });
        if let Err((mut refused, trouble)) = self.queue.push(job, bytes) {
            self.health.count(trouble);
            refused.fail(trouble.error());
            refused.done();
        }
    }

    /// Whether it takes jobs and gets on with them.
    pub(crate) fn is_healthy(&self) -> bool {
        self.trouble().is_none() && !self.queue.lock().closed
    }

    /// Why it takes nothing that clients send, or hardly anything.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.health.brake().or_else(|| {
            let state = self.queue.lock();
            if state.is_stalled() {
                Some(Trouble::WriterStalled)
            } else if state.is_full(0) {
                Some(Trouble::QueueFull)
            } else {
                None
            }
        })
    }

    /// Counts a step of background work that changed or removed so many rows.
    pub(super) fn count_work(&self, rows: u64) {
        self.queue.tally.work_steps.add(1);
        self.queue.tally.work_rows.add(rows);
    }

    /// What it counted, and what waits for it.
    pub(crate) fn measures(&self) -> WriterMeasures {
        let waiting = {
            let state = self.queue.lock();
            (state.jobs.len(), state.bytes)
        };
        self.queue.tally.read(waiting)
    }

    /// How many changes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().jobs.len()
    }

    /// Takes no more jobs, finishes those that wait, checkpoints, and ends both threads.
    pub(crate) fn stop(&self) {
        self.queue.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in there ended the process already.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What waits for the writer.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    tally: Tally,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<(Box<dyn Job>, usize)>,
    bytes: usize,
    closed: bool,
    /// When the running batch was taken; none while the writer is idle.
    busy_since: Option<Instant>,
    /// How many jobs are in it.
    running: usize,
}

enum Next {
    Batch(Jobs),
    Idle,
    Closed,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, QueueState> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// Gives the job back, with the reason for which it is not taken.
    fn push(&self, job: Box<dyn Job>, bytes: usize) -> Result<(), (Box<dyn Job>, Trouble)> {
        let mut state = self.lock();
        if state.closed || state.is_stalled() {
            return Err((job, Trouble::WriterStalled));
        }
        if state.is_full(bytes) {
            return Err((job, Trouble::QueueFull));
        }
        if let Some(load) = job.load() {
            if state.is_over_share(load, bytes) {
                return Err((job, Trouble::ProjectShare));
            }
            load.add(bytes);
        }
        state.jobs.push_back((job, bytes));
        state.bytes += bytes;
        let writer_waits = state.busy_since.is_none();
        drop(state);
        if writer_waits {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next batch; waits for one until `idle` has passed.
    fn next(&self, idle: Duration) -> Next {
        let mut state = self.lock();
        state.busy_since = None;
        let deadline = Instant::now() + idle;
        while state.jobs.is_empty() {
            if state.closed {
                return Next::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Idle;
            }
            state = self
                .filled
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let count = state.jobs.len().min(BATCH_JOBS_MAX);
        let mut batch = Vec::with_capacity(count);
        for _ in 0..count {
            batch.extend(state.pop_front());
        }
        state.busy_since = Some(Instant::now());
        state.running = batch.len();
        Next::Batch(batch)
    }

    /// Everything that waits, if the writer hangs in a commit. None of it was run.
    fn take_stalled(&self) -> Jobs {
        let mut state = self.lock();
        if !state.is_stalled() {
            return Vec::new();
        }
        std::iter::from_fn(|| state.pop_front()).collect()
    }

    /// What projects have waiting beyond their share, newest first, if the writer is behind. None of it was run.
    fn take_excess(&self) -> Jobs {
        let mut state = self.lock();
        let mut excess = Vec::new();
        if !state.is_behind() {
            return excess;
        }
        let share = state.even_share();
        for at in (0..state.jobs.len()).rev() {
            let load = state.jobs[at].0.load();
            if load.is_some_and(|load| load.get().0 > share) {
                excess.extend(state.remove(at));
            }
        }
        excess
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}

impl QueueState {
    fn is_stalled(&self) -> bool {
        self.is_busy_for(STALLED_AFTER)
    }

    fn is_behind(&self) -> bool {
        self.is_busy_for(BEHIND_AFTER)
    }

    fn is_busy_for(&self, time: Duration) -> bool {
        self.busy_since.is_some_and(|since| since.elapsed() > time)
    }

    /// Whether there is no room for a job of so many bytes. A large one finds room in an empty queue.
    fn is_full(&self, bytes: usize) -> bool {
        self.jobs.len() >= QUEUE_JOBS_MAX
            || (self.bytes + bytes > QUEUE_BYTES_MAX && !self.jobs.is_empty())
    }

    /// Whether a project that has so much waiting has its share, so that a job of so many bytes is not for it: more than
    /// what is left for all.
    fn is_over_share(&self, load: &Load, bytes: usize) -> bool {
        let (jobs, job_bytes) = load.get();
        let jobs_left = || self.jobs_max().saturating_sub(self.jobs.len());
        let bytes_left = QUEUE_BYTES_MAX.saturating_sub(self.bytes);
        let is_many = jobs >= SHARE_JOBS_MIN && jobs > jobs_left();
        let is_much = jobs > 0 && job_bytes + bytes > bytes_left.max(SHARE_BYTES_MIN);
        is_many || is_much
    }

    /// How many jobs may wait.
    fn jobs_max(&self) -> usize {
        match self.is_behind() {
            true => JOBS_BEHIND_MAX - self.running,
            false => QUEUE_JOBS_MAX,
        }
    }

    /// The most that each project could have waiting, if as much is to be left.
    fn even_share(&self) -> usize {
        let mut loads: Vec<&Arc<Load>> = Vec::new();
        for load in self.jobs.iter().filter_map(|(job, _)| job.load()) {
            if !loads.iter().any(|known| Arc::ptr_eq(known, load)) {
                loads.push(load);
            }
        }
        let all_at = |share: usize| {
            loads
                .iter()
                .map(|load| load.get().0.min(share))
                .sum::<usize>()
        };
        let jobs_max = self.jobs_max();
        (SHARE_JOBS_MIN..=jobs_max)
            .rev()
            .find(|share| all_at(*share) + share <= jobs_max)
            .unwrap_or(SHARE_JOBS_MIN)
    }

    fn pop_front(&mut self) -> Option<Box<dyn Job>> {
        (!self.jobs.is_empty()).then(|| self.remove(0)).flatten()
    }

    fn remove(&mut self, at: usize) -> Option<Box<dyn Job>> {
        let (job, bytes) = self.jobs.remove(at)?;
        self.bytes -= bytes;
        if let Some(load) = job.load() {
            load.remove(bytes);
        }
        Some(job)
    }
}

/// The responder: calls each finished job's `done`, and refuses what waits behind a commit that takes long.
fn respond(finished: &mpsc::Receiver<Jobs>, queue: &Queue, health: &Health) {
    let mut said = None;
    loop {
        let jobs = match finished.recv_timeout(STALL_CHECK) {
            Ok(jobs) => jobs,
            Err(mpsc::RecvTimeoutError::Timeout) => refused_behind(queue, health, &mut said),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        for job in jobs {
            if catch_unwind(AssertUnwindSafe(|| job.done())).is_err() {
                log::error!("answering for a finished change panicked");
            }
        }
    }
}

/// What is refused of all that waits, because the writer is behind: everything, or what projects have too much of. `said`
/// is when that was last told.
fn refused_behind(queue: &Queue, health: &Health, said: &mut Option<Instant>) -> Jobs {
    let stalled = queue.take_stalled();
    let (mut refused, trouble) = match stalled.is_empty() {
        true => (queue.take_excess(), Trouble::ProjectShare),
        false => (stalled, Trouble::WriterStalled),
    };
    if !refused.is_empty() && said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
        *said = Some(Instant::now());
        log::warn!(
            "{} waiting changes are refused: {}",
            refused.len(),
            trouble.text()
        );
    }
    for job in &mut refused {
        health.count(trouble);
        job.fail(trouble.error());
    }
    refused
}

struct WriterThread {
    path: PathBuf,
    durability: Durability,
    connection: Connection,
    snapshot: Arc<Snapshot>,
    queue: Arc<Queue>,
    finished: mpsc::Sender<Jobs>,
    /// The version of the file that the snapshot holds.
    seen: DataVersion,
    health: Arc<Health>,
    /// The connection met a fault after which nothing it says counts: the file is to be opened anew.
    broken: bool,
    /// When the fault was met, or last tried.
    probed: Instant,
    /// Batches that are committed, while the snapshot could not be told.
    unpublished: Vec<Jobs>,
    /// The write-ahead log's length at which it is copied next.
    checkpoint_pages: i32,
}

thread_local! {
    /// The write-ahead log's length after this thread's last commit.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

impl WriterThread {
    fn run(&mut self) {
        self.watch_wal();
        let mut idle_checks = 0;
        loop {
            match self.queue.next(IDLE_CHECK) {
                Next::Batch(jobs) => {
                    idle_checks = 0;
                    self.batch(jobs);
                }
                Next::Idle if self.health.fault().is_some() => {}
                Next::Idle => {
                    self.see_other_commits();
                    idle_checks += 1;
                    if idle_checks % IDLE_CHECKS_TO_CHECKPOINT == 0 {
                        self.checkpoint_when_idle();
                    }
                }
                Next::Closed => break,
            }
            self.recover_if_due();
        }
        for jobs in std::mem::take(&mut self.unpublished) {
            self.hand_out(jobs);
        }
        if !self.broken {
            self.checkpoint("TRUNCATE");
        }
    }

    fn batch(&mut self, jobs: Jobs) {
        let Some(mut jobs) = self.without_what_must_wait(jobs) else {
            return;
        };
        match self.commit_together(&mut jobs) {
            Ok(was_unable) => {
                self.hand_out(jobs);
                if was_unable {
                    self.meet(self.trouble_of_disk());
                }
            }
            Err(BatchFault::Unpublished(error)) => {
                log::error!("a committed change cannot be read back yet: {error}");
                self.unpublished.push(jobs);
                self.meet_fault(Trouble::DatabaseError);
            }
            Err(BatchFault::Sums(error)) if jobs.len() > 1 && trouble_of(&error).is_none() => {
                log::error!(
                    "a batch could not be written, its changes run again one by one: {error}"
                );
                for job in jobs {
                    self.batch(vec![job]);
                }
            }
            Err(fault) => self.fail_all(jobs, fault),
        }
        if WAL_PAGES.get() >= self.checkpoint_pages {
            self.checkpoint("PASSIVE");
        }
    }

    /// The jobs that are to be tried. After a fault that is what people change, and only if the file could be opened; all
    /// else is refused.
    fn without_what_must_wait(&mut self, jobs: Jobs) -> Option<Jobs> {
        let Some(trouble) = self.health.fault() else {
            return Some(jobs);
        };
        let is_open = !self.broken;
        let (tried, refused): (Jobs, Jobs) = jobs
            .into_iter()
            .partition(|job| is_open && job.load().is_none());
        if !refused.is_empty() {
            self.refuse(refused, || trouble.error());
        }
        (!tried.is_empty()).then_some(tried)
    }

    /// Runs the jobs in one transaction and commits it. After `Ok` each job holds its own result; it says whether SQLite
    /// could not do what one of them wanted.
    fn commit_together(&mut self, jobs: &mut Jobs) -> Result<bool, BatchFault> {
        self.execute("BEGIN IMMEDIATE").map_err(BatchFault::Begin)?;
        self.see_other_commits();
        let mut sums = Sums::default();
        let mut was_unable = false;
        for job in jobs.iter_mut() {
            was_unable |= self.run_one(job.as_mut(), &mut sums)? == Ran::Unable;
        }
        sums.write(&self.connection).map_err(|error| {
            self.roll_back();
            BatchFault::Sums(error)
        })?;
        let begun = Instant::now();
        self.execute("COMMIT").map_err(|error| {
            self.roll_back();
            BatchFault::Commit(error)
        })?;
        self.count(&sums, jobs.len(), begun.elapsed());
        for touched in &sums.touched {
            self.snapshot
                .refresh(&self.connection, touched)
                .map_err(BatchFault::Unpublished)?;
        }
        Ok(was_unable)
    }

    /// Counts a batch that was committed.
    fn count(&self, sums: &Sums, jobs: usize, commit: Duration) {
        let tally = &self.queue.tally;
        tally.batches.add(1);
        tally.committed.add(sums.jobs);
        tally.failed.add((jobs as u64).saturating_sub(sums.jobs));
        tally.commit.record(commit);
        for (category, outcome, quantity) in sums.ledger.items() {
            tally.count_items(category, outcome, quantity);
        }
        self.note_wal();
    }

    fn note_wal(&self) {
        let pages = u64::try_from(WAL_PAGES.get()).unwrap_or(0);
        self.queue.tally.wal_pages.store(pages, Ordering::Relaxed);
    }

    fn run_one(&self, job: &mut dyn Job, sums: &mut Sums) -> Result<Ran, BatchFault> {
        self.execute("SAVEPOINT job").map_err(|error| {
            self.roll_back();
            BatchFault::Sums(error)
        })?;
        let mut unit = Unit {
            connection: &self.connection,
            snapshot: &self.snapshot,
            snapshot_is_stale: !sums.touched.is_empty(),
            gains: Gains::default(),
        };
        let ran = job.run(&mut unit);
        let gains = unit.gains;
        if self.connection.is_autocommit() {
            // SQLite ended the whole transaction, with every job before this one.
            return Err(BatchFault::Ended);
        }
        let ended = if ran == Ran::Well {
            sums.add(gains);
            self.execute("RELEASE job")
        } else {
            self.execute("ROLLBACK TO job")
                .and_then(|()| self.execute("RELEASE job"))
        };
        ended.map(|()| ran).map_err(|error| {
            self.roll_back();
            BatchFault::Sums(error)
        })
    }

    fn fail_all(&mut self, jobs: Jobs, fault: BatchFault) {
        self.queue.tally.faulted.add(jobs.len() as u64);
        if let BatchFault::Begin(error) = &fault
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
        {
            self.queue.tally.busy.add(1);
        }
        let trouble = match &fault {
            BatchFault::Begin(error)
            | BatchFault::Sums(error)
            | BatchFault::Commit(error)
            | BatchFault::Unpublished(error) => trouble_of(error),
            BatchFault::Ended => Some(self.trouble_of_disk()),
        };
        let uncertain = match &fault {
            BatchFault::Commit(error) => is_uncertain(error),
            _ => false,
        };
        if self.health.fault().is_none() {
            log::error!("{} changes were refused: {fault}", jobs.len());
        }
        if let Some(trouble) = trouble {
            self.meet_fault(trouble);
        }
        self.refuse(jobs, || match (uncertain, trouble) {
            (true, _) => Error::Uncertain,
            (false, Some(trouble)) => trouble.error(),
            (false, None) => Error::Unavailable {
                retry_after_secs: 5,
            },
        });
    }

    fn refuse(&self, mut jobs: Jobs, error: impl Fn() -> Error) {
        for job in &mut jobs {
            job.fail(error());
        }
        self.hand_out(jobs);
    }

    /// Sets the brake after a fault of this connection. After a full disk it is as good as before; after all else nothing
    /// it says counts.
    fn meet_fault(&mut self, trouble: Trouble) {
        self.broken |= trouble != Trouble::DiskFull;
        self.meet(trouble);
    }

    /// Sets the brake.
    fn meet(&mut self, trouble: Trouble) {
        if self.health.set_fault(Some(trouble)).is_none() {
            // Changes that fail later put off no try.
            self.probed = Instant::now();
            log::error!("no events are taken: {}", trouble.text());
        }
    }

    /// What is likely to be wrong with a disk when nobody says.
    fn trouble_of_disk(&self) -> Trouble {
        match space::disk(&self.path) {
            Ok(disk) if disk.read_only => Trouble::ReadOnly,
            Ok(disk) if disk.free < ROOM_MIN => Trouble::DiskFull,
            _ => Trouble::DatabaseError,
        }
    }

    /// Tries, now and then, whether the writer is over a fault, and lets go of the brake.
    fn recover_if_due(&mut self) {
        let Some(fault) = self.health.fault() else {
            return;
        };
        if self.probed.elapsed() < PROBE_EVERY {
            return;
        }
        self.probed = Instant::now();
        let has_room = || space::disk(&self.path).is_ok_and(|disk| disk.free >= ROOM_MIN);
        if fault == Trouble::DiskFull && !has_room() || self.broken && !self.reopen() {
            return;
        }
        match self.probe() {
            Ok(()) => {
                self.health.set_fault(None);
                log::info!("events are taken again: the database can be written");
            }
            Err(error) => {
                log::debug!("the database cannot be written yet: {error}");
                if let Some(trouble) = trouble_of(&error) {
                    self.meet_fault(trouble);
                }
            }
        }
    }

    /// Commits one page, of nobody's, and copies the log into the file.
    fn probe(&mut self) -> rusqlite::Result<()> {
        self.execute("BEGIN IMMEDIATE")?;
        let written = self
            .execute("PRAGMA user_version = 0")
            .and_then(|()| self.execute("COMMIT"));
        if written.is_err() {
            self.roll_back();
        }
        written?;
        self.copy_log("PASSIVE").map(drop)
    }

    fn hand_out(&self, jobs: Jobs) {
        // The responder lives as long as the sender.
        let _ = self.finished.send(jobs);
    }

    fn execute(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            log::error!("a transaction could not be rolled back: {error}");
        }
    }

    /// Reads the snapshot anew if another process has committed since the last look.
    fn see_other_commits(&mut self) {
        let at = Instant::now();
        let result = DataVersion::read(&self.connection).and_then(|version| {
            if version != self.seen {
                self.seen = self.snapshot.reload(&self.connection)?;
            }
            Ok(())
        });
        match result {
            Ok(()) => self.snapshot.set_looked(at),
            Err(error) => log::error!("the changes of another process cannot be read: {error}"),
        }
    }

    fn checkpoint_when_idle(&mut self) {
        if WAL_PAGES.get() > 0 {
            self.checkpoint("TRUNCATE");
        }
    }

    /// Copies the write-ahead log into the file. Never waits for a reader: what it keeps back is copied another
    /// time, after as many pages again.
    fn checkpoint(&mut self, mode: &str) {
        if let Err(error) = self.copy_log(mode) {
            log::warn!("the write-ahead log cannot be copied into the file now: {error}");
            if let Some(trouble) = trouble_of(&error) {
                self.meet_fault(trouble);
            }
        }
    }

    fn copy_log(&mut self, mode: &str) -> rusqlite::Result<()> {
        let result = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| connection::checkpoint(&self.connection, mode));
        let all_copied = matches!(result, Ok(true));
        self.queue.tally.checkpoints.add(1);
        if !all_copied {
            self.queue.tally.checkpoints_partial.add(1);
        }
        if all_copied {
            WAL_PAGES.set(0);
            self.checkpoint_pages = CHECKPOINT_PAGES;
        } else {
            self.checkpoint_pages = WAL_PAGES.get().saturating_add(CHECKPOINT_PAGES);
        }
        self.note_wal();
        if let Err(error) = connection::wait_for_others(&mut self.connection) {
            log::error!("the writer cannot wait for other processes: {error}");
        }
        result.map(drop)
    }

    fn watch_wal(&mut self) {
        let set = self.connection.wal_hook(Some(|_: &mut Wal, pages: i32| {
            WAL_PAGES.set(pages);
            Ok(())
        }));
        if let Err(error) = set {
            log::warn!("the write-ahead log will only be copied into the file at the end: {error}");
        }
    }

    /// Opens the file anew and reads what the snapshot holds; whether that worked. What is committed can be answered then.
    fn reopen(&mut self) -> bool {
        let reopened = connection::open_for_writing(&self.path, self.durability)
            .map_err(|error| error.to_string())
            .and_then(|connection| {
                let seen = self
                    .snapshot
                    .reload(&connection)
                    .map_err(|error| error.to_string())?;
                Ok((connection, seen))
            });
        match reopened {
            Ok((connection, seen)) => {
                self.queue.tally.reopened.add(1);
                self.seen = seen;
                self.connection = connection;
                self.broken = false;
                self.watch_wal();
                for jobs in std::mem::take(&mut self.unpublished) {
                    self.hand_out(jobs);
                }
                true
            }
            Err(error) => {
                log::debug!("the database cannot be opened again yet: {error}");
                false
            }
        }
    }
}

/// What the jobs of one transaction gained together; each distinct row is written once.
#[derive(Default)]
struct Sums {
    ledger: LedgerSums,
    /// (key, window length, window number) to slots used.
    slots: HashMap<(KeyId, u32, u32), u32>,
    sizes: SizeSums,
    touched: Vec<Touched>,
    /// How many jobs gained it.
    jobs: u64,
}

impl Sums {
    fn add(&mut self, gains: Gains) {
        self.jobs += 1;
        for entry in gains.ledger {
            self.ledger.add(entry);
        }
        for (key, window_secs, slot) in gains.slots {
            *self
                .slots
                .entry((key, window_secs, slot.window_number))
                .or_default() += 1;
        }
        for (project, kind, amount, received) in gains.sizes {
            self.sizes.add(project, kind, amount, received);
        }
        self.touched.extend(gains.touched);
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.ledger.write(connection)?;
        self.sizes.write(connection)?;
        for ((key, window_secs, window_number), used) in &self.slots {
            key_windows::add(connection, *key, *window_secs, *window_number, *used)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
enum BatchFault {
    Begin(rusqlite::Error),
    /// A job ended the whole transaction.
    Ended,
    /// A savepoint, or what the jobs gained together, could not be written.
    Sums(rusqlite::Error),
    Commit(rusqlite::Error),
    /// All is committed, and the snapshot could not be told.
    Unpublished(rusqlite::Error),
}

/// What an error says of the disk and the memory; none for a busy moment, and for a broken rule of ours.
fn trouble_of(error: &rusqlite::Error) -> Option<Trouble> {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::ConstraintViolation,
        ) => None,
        Some(ErrorCode::DiskFull) => Some(Trouble::DiskFull),
        Some(ErrorCode::ReadOnly) => Some(Trouble::ReadOnly),
        _ => Some(Trouble::DatabaseError),
    }
}

/// Whether a failed COMMIT may be found committed after a power cut. Where no room was found for a page, or it could not
/// be written, the transaction's last page, which makes it one, is not in the log; where the sync failed, it may be.
fn is_uncertain(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    !matches!(
        trouble_of(error),
        None | Some(Trouble::DiskFull | Trouble::ReadOnly)
    ) && code != Some(rusqlite::ffi::SQLITE_IOERR_WRITE)
}

impl std::fmt::Display for BatchFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BatchFault::Begin(error) => write!(f, "no transaction could begin: {error}"),
            BatchFault::Ended => f.write_str("the transaction was ended by a fault"),
            BatchFault::Sums(error) => {
                write!(f, "the batch could not be written: {error}")
            }
            BatchFault::Commit(error) => write!(f, "the commit failed: {error}"),
            BatchFault::Unpublished(error) => {
                write!(f, "the changes cannot be read back: {error}")
            }
        }
    }
}

/// A panic outside any job leaves state that nobody may go on with; a supervisor starts the server anew.
fn exit_on_panic(name: &str, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        log::error!("the {name} thread panicked; the process ends");
        std::process::exit(EXIT_BROKEN);
    }
}
