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
//! second try can succeed without being durable: the file is opened anew. If that fails, or is needed twice
//! without a commit in between, the process ends.
//!
//! **Bounds.** The queue holds [`QUEUE_JOBS_MAX`] jobs and [`QUEUE_BYTES_MAX`] bytes; beyond that, and when
//! nothing was committed for [`STALLED_AFTER`], a job is refused at once.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::client_keys;
use super::connection;
use super::key_windows;
use super::ledger::LedgerSums;
use super::snapshot::{DataVersion, Snapshot, Touched};
use super::tally::{Tally, WriterMeasures};
use crate::domain::durability::Durability;
use crate::domain::id::KeyId;
use crate::domain::key::PublicKey;
use crate::domain::outcome::LedgerEntry;
use crate::domain::window::Slot;
use crate::domain::{Error, Result};

const BATCH_JOBS_MAX: usize = 512;
const QUEUE_JOBS_MAX: usize = 4096;
const QUEUE_BYTES_MAX: usize = 64 << 20;
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How often an idle writer looks for commits of other processes; well within the time for which a look counts.
const IDLE_CHECK: Duration = Duration::from_millis(250);
/// The log is emptied after so many looks without anything to write.
const IDLE_CHECKS_TO_CHECKPOINT: u32 = 4;
/// How often the responder looks for a commit that hangs.
const STALL_CHECK: Duration = Duration::from_secs(1);
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
    touched: Vec<Touched>,
}

impl Unit<'_> {
    /// Adds to the ledger, when the transaction commits.
    pub(crate) fn count(&mut self, entry: LedgerEntry) {
        self.gains.ledger.push(entry);
    }

    /// Writes down a slot of a key's rate limit, taken in memory at admission.
    pub(crate) fn use_slot(&mut self, key: KeyId, window_secs: u32, slot: Slot) {
        self.gains.slots.push((key, window_secs, slot));
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
    /// Runs the change and keeps its result; whether it succeeded.
    fn run(&mut self, unit: &mut Unit<'_>) -> bool;
    fn fail(&mut self, error: Error);
    fn done(self: Box<Self>);
}

struct TypedJob<T, R, D> {
    run: R,
    done: D,
    result: Option<Result<T>>,
}

impl<T, R, D> Job for TypedJob<T, R, D>
where
    T: Send,
    R: FnMut(&mut Unit<'_>) -> Result<T> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, unit: &mut Unit<'_>) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| (self.run)(unit)))
            .unwrap_or_else(|_| Err(Error::internal("a change panicked")));
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
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
        snapshot: Arc<Snapshot>,
        seen: DataVersion,
    ) -> std::io::Result<Writer> {
        let queue = Arc::new(Queue::default());
        let (finished, to_answer) = mpsc::channel();
        let responder = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("responder".to_owned())
                .spawn(move || exit_on_panic("responder", || respond(&to_answer, &queue)))?
        };
        let mut state = WriterThread {
            path: path.to_owned(),
            durability,
            connection,
            snapshot,
            seen,
            reopened: false,
            checkpoint_pages: CHECKPOINT_PAGES,
            queue: Arc::clone(&queue),
            finished,
        };
        let writer = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || exit_on_panic("writer", || state.run()))?;
        Ok(Writer {
            queue,
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
        let job = Box::new(TypedJob {
            run,
            done,
            result: None,
        });
        if let Err(mut refused) = self.queue.push(job, bytes) {
            self.queue.tally.refused.add(1);
            refused.fail(Error::Unavailable {
                retry_after_secs: 5,
            });
            refused.done();
        }
    }

    /// Why it takes no jobs, as a code that is never changed.
    pub(crate) fn hindrance(&self) -> Option<&'static str> {
        let state = self.queue.lock();
        if state.is_stalled() {
            Some("writer_stalled")
        } else {
            (state.jobs.len() >= QUEUE_JOBS_MAX).then_some("queue_full")
        }
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
    /// Gives the job back: there is no room for it.
    fn push(&self, job: Box<dyn Job>, bytes: usize) -> Result<(), Box<dyn Job>> {
        let mut state = self.lock();
        let full = state.jobs.len() >= QUEUE_JOBS_MAX
            || (state.bytes + bytes > QUEUE_BYTES_MAX && !state.jobs.is_empty());
        if state.closed || full || state.is_stalled() {
            return Err(job);
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
        for (job, bytes) in state.jobs.drain(..count) {
            batch.push((job, bytes));
        }
        state.bytes -= batch.iter().map(|(_, bytes)| bytes).sum::<usize>();
        state.busy_since = Some(Instant::now());
        Next::Batch(batch.into_iter().map(|(job, _)| job).collect())
    }

    /// Everything that waits, if the writer hangs in a commit. None of it was run.
    fn take_stalled(&self) -> Jobs {
        let mut state = self.lock();
        if !state.is_stalled() {
            return Vec::new();
        }
        state.bytes = 0;
        state.jobs.drain(..).map(|(job, _)| job).collect()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}

impl QueueState {
    fn is_stalled(&self) -> bool {
        self.busy_since
            .is_some_and(|since| since.elapsed() > STALLED_AFTER)
    }
}

/// The responder: calls each finished job's `done`, and refuses what waits behind a commit that hangs.
fn respond(finished: &mpsc::Receiver<Jobs>, queue: &Queue) {
    loop {
        let jobs = match finished.recv_timeout(STALL_CHECK) {
            Ok(jobs) => jobs,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let mut stalled = queue.take_stalled();
                if !stalled.is_empty() {
                    log::error!(
                        "no commit for {STALLED_AFTER:?}: {} waiting changes are refused",
                        stalled.len()
                    );
                }
                for job in &mut stalled {
                    job.fail(Error::Unavailable {
                        retry_after_secs: 30,
                    });
                }
                stalled
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        for job in jobs {
            if catch_unwind(AssertUnwindSafe(|| job.done())).is_err() {
                log::error!("answering for a finished change panicked");
            }
        }
    }
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
    /// The file was opened anew after a fault, and nothing was committed since.
    reopened: bool,
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
                Next::Idle => {
                    self.see_other_commits();
                    idle_checks += 1;
                    if idle_checks % IDLE_CHECKS_TO_CHECKPOINT == 0 {
                        self.checkpoint_when_idle();
                    }
                }
                Next::Closed => break,
            }
        }
        self.checkpoint("TRUNCATE");
    }

    fn batch(&mut self, mut jobs: Jobs) {
        match self.commit_together(&mut jobs) {
            Ok(()) => {
                self.reopened = false;
                self.hand_out(jobs);
            }
            Err(BatchFault::Sums(error)) if jobs.len() > 1 && !is_fault_of_machine(&error) => {
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

    /// Runs the jobs in one transaction and commits it. After `Ok` each job holds its own result.
    fn commit_together(&mut self, jobs: &mut Jobs) -> Result<(), BatchFault> {
        self.execute("BEGIN IMMEDIATE").map_err(BatchFault::Begin)?;
        self.see_other_commits();
        let mut sums = Sums::default();
        for job in jobs.iter_mut() {
            self.run_one(job.as_mut(), &mut sums)?;
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
            if let Err(error) = self.snapshot.refresh(&self.connection, touched) {
                // The file has the change and the memory has not: only a fresh start puts that right.
                log::error!("a committed change cannot be read back: {error}");
                std::process::exit(EXIT_BROKEN);
            }
        }
        Ok(())
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

    fn run_one(&self, job: &mut dyn Job, sums: &mut Sums) -> Result<(), BatchFault> {
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
        let succeeded = job.run(&mut unit);
        let gains = unit.gains;
        if self.connection.is_autocommit() {
            // SQLite ended the whole transaction, with every job before this one.
            return Err(BatchFault::Ended);
        }
        let ended = if succeeded {
            sums.add(gains);
            self.execute("RELEASE job")
        } else {
            self.execute("ROLLBACK TO job")
                .and_then(|()| self.execute("RELEASE job"))
        };
        ended.map_err(|error| {
            self.roll_back();
            BatchFault::Sums(error)
        })
    }

    fn fail_all(&mut self, mut jobs: Jobs, fault: BatchFault) {
        log::error!("{} changes were refused: {fault}", jobs.len());
        self.queue.tally.faulted.add(jobs.len() as u64);
        if let BatchFault::Begin(error) = &fault
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
        {
            self.queue.tally.busy.add(1);
        }
        let (reopen, uncertain) = match &fault {
            BatchFault::Begin(error) | BatchFault::Sums(error) => {
                (is_fault_of_machine(error), false)
            }
            BatchFault::Ended => (true, false),
            BatchFault::Commit(error) => (is_fault_of_machine(error), is_fault_of_machine(error)),
        };
        if reopen {
            self.reopen();
        }
        for job in &mut jobs {
            job.fail(if uncertain {
                Error::Uncertain
            } else {
                Error::Unavailable {
                    retry_after_secs: 5,
                }
            });
        }
        self.hand_out(jobs);
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
        let result = self.connection.busy_timeout(Duration::ZERO).and_then(|()| {
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.query_row(&sql, [], |row| {
                let (busy, pages, copied): (bool, i32, i32) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(!busy && pages == copied)
            })
        });
        let all_copied = match result {
            Ok(all_copied) => all_copied,
            Err(error) => {
                log::warn!("the write-ahead log cannot be copied into the file now: {error}");
                false
            }
        };
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
        if let Err(error) = self.connection.busy_timeout(connection::BUSY_TIMEOUT) {
            log::error!("the writer cannot wait for other processes: {error}");
        }
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

    fn reopen(&mut self) {
        if self.reopened {
            log::error!(
                "the database failed again right after it was opened anew; the process ends"
            );
            std::process::exit(EXIT_BROKEN);
        }
        self.reopened = true;
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
                self.watch_wal();
            }
            Err(error) => {
                log::error!("the database cannot be opened again after a fault: {error}");
                std::process::exit(EXIT_BROKEN);
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
        self.touched.extend(gains.touched);
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.ledger.write(connection)?;
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
}

/// Whether nothing of the connection's state can be trusted after this error: disk and memory faults and
/// damage, but not a full disk or a busy moment, and not a broken rule of ours.
fn is_fault_of_machine(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::DatabaseLocked
                | rusqlite::ErrorCode::DiskFull
                | rusqlite::ErrorCode::ConstraintViolation
        )
    )
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
