//! What ingestion needs to know of keys and projects, in memory, so that nothing before the writer touches
//! SQLite.
//!
//! Only the writer's thread changes it: after a COMMIT it reads anew what the jobs touched, before any answer
//! of that batch leaves, so a change holds for the very next request after its answer. A commit of another
//! process makes it read everything anew; that is looked for all the time, and [`Snapshot::is_fresh`] says whether it
//! was lately.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::deletion::Bell;
use super::key_windows::StoredWindow;
use super::projects::StatesOf;
use super::sightings::{ENVIRONMENTS_MAX, USES_MAX};
use super::writer::Load;
use super::{client_keys, key_windows, organizations, projects};
use crate::domain::id::{KeyId, OrganizationId, ProjectId};
use crate::domain::key::{ClientKey, LoaderOptions, PublicKey, RateLimit};
use crate::domain::option::{Budget, IngestSettings};
use crate::domain::time::Timestamp;
use crate::domain::window::KeyWindow;

/// What governs the items of a project.
#[derive(Debug)]
pub(crate) struct ProjectState {
    pub(crate) id: ProjectId,
    pub(crate) settings: IngestSettings,
    /// How much of its data is kept.
    pub(crate) budget: Budget,
    /// What the front made of the settings. A change of them makes a new state, so this never grows old.
    compiled: OnceLock<Box<dyn Any + Send + Sync>>,
    /// The rate limit of keys that have none of their own.
    default_limit: Option<RateLimit>,
    has_events: AtomicBool,
    /// Kinds of data that the file knows the project has had: bits, numbered by `StoredKind`.
    seen_kinds: AtomicU64,
    /// Environments that the file knows, as far as events named them since this state was made.
    environments: Mutex<HashSet<Box<str>>>,
    /// Reasons of client reports that were let into the ledger since this state was made.
    client_reasons: Mutex<HashSet<Box<str>>>,
    /// What it has waiting for the writer. Shared with the state before it.
    pub(crate) load: Arc<Load>,
    /// How many of its requests wait for the thread for large ones. Shared with the state before it.
    pub(crate) large_waiting: Arc<AtomicUsize>,
}

/// How many distinct reasons the client reports of a project may bring into the ledger. SDKs know some twenty.
const CLIENT_REASONS_MAX: usize = 100;

impl ProjectState {
    /// What `compile` makes of the settings, made once for as long as they last. Every caller must ask for the
    /// same type; none if another was there.
    pub(crate) fn compiled<T: Any + Send + Sync>(
        &self,
        compile: impl FnOnce(&IngestSettings) -> T,
    ) -> Option<&T> {
        self.compiled
            .get_or_init(|| Box::new(compile(&self.settings)))
            .downcast_ref()
    }

    /// Whether the project's first event is on disk.
    pub(crate) fn has_events(&self) -> bool {
        self.has_events.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_events(&self) {
        self.has_events.store(true, Ordering::Relaxed);
    }

    /// Those of these kinds that the file does not know of.
    pub(crate) fn unseen(&self, kinds: u64) -> u64 {
        kinds & !self.seen_kinds.load(Ordering::Relaxed)
    }

    pub(crate) fn set_seen(&self, kinds: u64) {
        self.seen_kinds.fetch_or(kinds, Ordering::Relaxed);
    }

    /// Whether the file knows an environment, or may know of no more.
    pub(crate) fn knows_environment(&self, name: &str) -> bool {
        let known = self
            .environments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.len() >= ENVIRONMENTS_MAX || known.contains(name)
    }

    pub(crate) fn set_environment(&self, name: &str) {
        let mut known = self
            .environments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() < ENVIRONMENTS_MAX {
            known.insert(name.into());
        }
    }

    /// Whether a client report's reason may stand in the ledger under its own name. Bounded, because anybody who
    /// knows a DSN can invent reasons, and each makes rows.
    pub(crate) fn admits_client_reason(&self, reason: &str) -> bool {
        let mut known = self
            .client_reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.contains(reason) {
            return true;
        }
        known.len() < CLIENT_REASONS_MAX && known.insert(reason.into())
    }
}

/// What governs the items of a key.
#[derive(Debug)]
pub(crate) struct KeyState {
    pub(crate) id: KeyId,
    pub(crate) project: ProjectId,
    pub(crate) public: PublicKey,
    pub(crate) active: bool,
    /// Its own, else its organization's for such keys.
    pub(crate) limit: Option<RateLimit>,
    /// Shared with the state before it, as long as the window's length stays.
    pub(crate) window: Arc<KeyWindow>,
    /// From then on it is good for nothing.
    pub(crate) expires: Option<Timestamp>,
    /// When its uses were last written down. Shared with the state before it.
    pub(crate) uses: Arc<KeyUses>,
    /// What the JavaScript loader of the key loads and switches on.
    pub(crate) browser_sdk_version: String,
    pub(crate) loader_options: LoaderOptions,
}

impl KeyState {
    /// Whether it lets in what arrives at a moment.
    pub(crate) fn is_valid(&self, at: Timestamp) -> bool {
        self.active && self.expires.is_none_or(|expires| at < expires)
    }
}

/// When the uses of a key were last written down, at most [`USES_MAX`] of them, each by a hash of what it is: two of
/// one hash look like one for a minute, which nobody is harmed by.
#[derive(Debug, Default)]
pub(crate) struct KeyUses {
    hasher: RandomState,
    written: Mutex<HashMap<u64, Timestamp>>,
}

/// A use is written down this often.
const USE_SECS: i64 = 60;

impl KeyUses {
    pub(crate) fn hash(&self, texts: [&str; 3]) -> u64 {
        self.hasher.hash_one(texts)
    }

    /// Whether a use is to be written down now. One that nobody knows must wait while as many as are kept are fresh,
    /// or a key with more of them, or with invented ones, would write with every event.
    pub(crate) fn is_due(&self, hash: u64, at: Timestamp) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |last: &Timestamp| *last <= at && at < last.plus_secs(USE_SECS);
        match written.get(&hash) {
            Some(last) => !is_fresh(last),
            None => written.len() < USES_MAX || !written.values().all(is_fresh),
        }
    }

    /// Remembers that the file knows of a use. Only after the commit: what failed is news again.
    pub(crate) fn set_written(&self, hash: u64, at: Timestamp) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= USES_MAX && !written.contains_key(&hash) {
            let oldest = written.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                written.remove(&oldest);
            }
        }
        written.insert(hash, at);
    }
}

/// What a job changed that the snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// An organization's options, which govern its projects and keys, or that it is gone.
    Organization(OrganizationId),
    /// A project's options, or that it is new or gone.
    Project(ProjectId),
    /// A key, new, changed or gone.
    Key(PublicKey),
    /// Tokens, sessions or users: what is remembered of who may come in is to be asked anew.
    Credentials,
    /// Something was deleted that the snapshot does not hold, so that its removal begins at once.
    Deleted,
}

/// `PRAGMA data_version` of one connection: another number when another connection has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataVersion(i64);

impl DataVersion {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<DataVersion> {
        connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0).map(DataVersion))
    }
}

/// After this long without a look for commits of other processes, what is remembered of credentials is not believed.
/// So another process that waits as long after a commit knows that every server follows it.
pub(super) const FRESH_FOR: Duration = Duration::from_secs(1);

/// Keys and projects by what requests name them by.
#[derive(Debug)]
pub(crate) struct Snapshot {
    projects: Shards<ProjectId, ProjectState>,
    keys: Shards<PublicKey, KeyState>,
    /// How often credentials changed.
    credentials_version: AtomicU64,
    /// Whether this process changed any.
    changed_credentials: AtomicBool,
    /// When commits of other processes were last looked for: milliseconds since `begun`.
    looked_ms: AtomicU64,
    begun: Instant,
    /// For whoever removes what was deleted.
    pub(super) deletions: Bell,
}

impl Snapshot {
    /// Reads everything.
    ///
    /// # Errors
    /// The file could not be read.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<(Snapshot, DataVersion)> {
        let snapshot = Snapshot {
            projects: Shards::new(),
            keys: Shards::new(),
            credentials_version: AtomicU64::new(0),
            changed_credentials: AtomicBool::new(false),
            looked_ms: AtomicU64::new(0),
            begun: Instant::now(),
            deletions: Bell::default(),
        };
        let version = snapshot.reload(connection)?;
        Ok((snapshot, version))
    }

    /// Another number whenever what lets somebody in may have changed. What was read from the file is good for as long
    /// as the number stays that was there before the reading.
    pub(crate) fn credentials_version(&self) -> u64 {
        self.credentials_version.load(Ordering::Acquire)
    }

    /// Whether this process changed what lets somebody in.
    pub(super) fn changed_credentials(&self) -> bool {
        self.changed_credentials.load(Ordering::Relaxed)
    }

    fn forget_credentials(&self) {
        self.changed_credentials.store(true, Ordering::Relaxed);
        self.credentials_version.fetch_add(1, Ordering::Release);
    }

    /// Whether commits of other processes were looked for within [`FRESH_FOR`]. If not, what is remembered of credentials
    /// is to be asked of the file.
    pub(crate) fn is_fresh(&self) -> bool {
        let looked = Duration::from_millis(self.looked_ms.load(Ordering::Acquire));
        self.begun.elapsed() < looked + FRESH_FOR
    }

    /// Commits of other processes up to this moment are taken in.
    pub(super) fn set_looked(&self, at: Instant) {
        let since = at.saturating_duration_since(self.begun).as_millis();
        // Rounded down, so that a look never counts for later than it was.
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.looked_ms.fetch_max(since, Ordering::Release);
    }

    /// A key whose project is there. That of a deleted one is gone with it, if only its row is removed later.
    pub(crate) fn key(&self, public: &PublicKey) -> Option<Arc<KeyState>> {
        self.keys
            .get(public)
            .filter(|key| self.projects.has(&key.project))
    }

    pub(crate) fn project(&self, id: ProjectId) -> Option<Arc<ProjectState>> {
        self.projects.get(&id)
    }

    /// Reads everything anew and lets go of what is no longer there. The rate limits' counters live on. The
    /// version is of before the reading, so that a commit in between shows as a newer one.
    pub(super) fn reload(&self, connection: &Connection) -> rusqlite::Result<DataVersion> {
        let version = DataVersion::read(connection)?;
        let (projects, keys, windows) = together(connection, |connection| {
            Ok((
                projects::list_states(connection, StatesOf::All)?,
                client_keys::list_all(connection)?,
                key_windows::list(connection)?,
            ))
        })?;
        let projects: Vec<_> = projects
            .into_iter()
            .map(|state| {
                let old = self.project(state.id);
                (state.id, state.after(old))
            })
            .collect();
        self.projects.replace_all(projects);
        let states: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let stored = self
                    .limit_of(&key)
                    .and_then(|limit| windows.get(&(key.id, limit.window_secs)))
                    .copied();
                (key.public, self.key_state(&key, stored))
            })
            .collect();
        self.keys.replace_all(states);
        self.credentials_version.fetch_add(1, Ordering::Release);
        self.deletions.ring();
        Ok(version)
    }

    /// Reads one thing anew.
    pub(super) fn refresh(
        &self,
        connection: &Connection,
        touched: &Touched,
    ) -> rusqlite::Result<()> {
        match touched {
            Touched::Credentials => {
                self.forget_credentials();
            }
            Touched::Organization(id) => {
                if !organizations::is_there(connection, *id)? {
                    // Its tokens are good for nothing.
                    self.forget_credentials();
                    for project in projects::list_ids(connection, *id)? {
                        self.projects.remove(&project);
                    }
                }
                for state in projects::list_states(connection, StatesOf::Organization(*id))? {
                    self.insert_project(state);
                }
                for key in client_keys::list_of_organization(connection, *id)? {
                    self.refresh_key(connection, &key)?;
                }
            }
            Touched::Project(id) => {
                match projects::list_states(connection, StatesOf::Project(*id))?.pop() {
                    Some(state) => self.insert_project(state),
                    None => self.projects.remove(id),
                }
            }
            Touched::Key(public) => match client_keys::find_by_public(connection, *public)? {
                Some(key) => self.refresh_key(connection, &key)?,
                None => self.keys.remove(public),
            },
            Touched::Deleted => {}
        }
        if !matches!(touched, Touched::Key(_)) {
            self.deletions.ring();
        }
        Ok(())
    }

    fn insert_project(&self, state: ProjectState) {
        let old = self.project(state.id);
        self.projects.insert(state.id, state.after(old));
    }

    fn refresh_key(&self, connection: &Connection, key: &ClientKey) -> rusqlite::Result<()> {
        let stored = match self.limit_of(key) {
            Some(limit) => key_windows::find(connection, key.id, limit.window_secs)?,
            None => None,
        };
        self.keys.insert(key.public, self.key_state(key, stored));
        Ok(())
    }

    /// The limit that holds for a key. Its project must be in the snapshot.
    fn limit_of(&self, key: &ClientKey) -> Option<RateLimit> {
        key.rate_limit
            .or_else(|| self.project(key.project)?.default_limit)
    }

    /// `stored` is the key's newest window in the file.
    fn key_state(&self, key: &ClientKey, stored: Option<StoredWindow>) -> KeyState {
        let limit = self.limit_of(key);
        let length = |limit: Option<RateLimit>| limit.map(|limit| limit.window_secs);
        let going_on = self
            .key(&key.public)
            .filter(|old| old.id == key.id && length(old.limit) == length(limit))
            .map(|old| Arc::clone(&old.window));
        let uses = self
            .key(&key.public)
            .filter(|old| old.id == key.id)
            .map(|old| Arc::clone(&old.uses));
        KeyState {
            id: key.id,
            project: key.project,
            public: key.public,
            active: key.active,
            limit,
            window: going_on.unwrap_or_else(|| {
                Arc::new(stored.map_or_else(KeyWindow::default, StoredWindow::resume))
            }),
            expires: key.expires,
            uses: uses.unwrap_or_default(),
            browser_sdk_version: key.browser_sdk_version.clone(),
            loader_options: key.loader_options,
        }
    }
}

impl ProjectState {
    pub(super) fn new(
        id: ProjectId,
        settings: IngestSettings,
        budget: Budget,
        default_limit: Option<RateLimit>,
        has_events: bool,
        seen_kinds: u64,
    ) -> ProjectState {
        ProjectState {
            id,
            settings,
            budget,
            compiled: OnceLock::new(),
            default_limit,
            has_events: AtomicBool::new(has_events),
            seen_kinds: AtomicU64::new(seen_kinds),
            environments: Mutex::default(),
            client_reasons: Mutex::default(),
            load: Arc::default(),
            large_waiting: Arc::default(),
        }
    }

    /// The same state, with what the one before it has waiting.
    fn after(mut self, old: Option<Arc<ProjectState>>) -> ProjectState {
        if let Some(old) = old {
            self.load = Arc::clone(&old.load);
            self.large_waiting = Arc::clone(&old.large_waiting);
        }
        self
    }
}

/// Reads in one transaction: the caller's, or one of its own.
fn together<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if !connection.is_autocommit() {
        return read(connection);
    }
    let transaction = connection.unchecked_transaction()?;
    let all = read(&transaction)?;
    transaction.finish()?;
    Ok(all)
}

const SHARDS: usize = 16;

/// A map that many threads read and one writes now and then.
#[derive(Debug)]
struct Shards<K, V> {
    hasher: RandomState,
    shards: [RwLock<HashMap<K, Arc<V>>>; SHARDS],
}

impl<K: Hash + Eq, V> Shards<K, V> {
    fn new() -> Shards<K, V> {
        Shards {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| RwLock::new(HashMap::new())),
        }
    }

    fn shard_of(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.shards[self.shard_of(key)]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    fn has(&self, key: &K) -> bool {
        self.shards[self.shard_of(key)]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(key)
    }

    fn insert(&self, key: K, value: V) {
        self.shards[self.shard_of(&key)]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, Arc::new(value));
    }

    fn remove(&self, key: &K) {
        self.shards[self.shard_of(key)]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn replace_all(&self, entries: impl IntoIterator<Item = (K, V)>) {
        let mut fresh: Vec<HashMap<K, Arc<V>>> = (0..SHARDS).map(|_| HashMap::new()).collect();
        for (key, value) in entries {
            fresh[self.shard_of(&key)].insert(key, Arc::new(value));
        }
        for (shard, map) in self.shards.iter().zip(fresh) {
            *shard.write().unwrap_or_else(PoisonError::into_inner) = map;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::option::Options;

    const NOW: Timestamp = Timestamp::from_secs(1_767_312_000);

    /// Or a project whose settings change has room for more than its share.
    #[test]
    fn what_waits_is_counted_on_when_settings_change() {
        let state = || {
            ProjectState::new(
                ProjectId(1),
                IngestSettings::of(&Options::default(), &Options::default()),
                Budget::default(),
                None,
                false,
                0,
            )
        };
        let old = Arc::new(state());
        old.large_waiting.fetch_add(2, Ordering::Relaxed);
        let new = state().after(Some(Arc::clone(&old)));
        assert_eq!(new.large_waiting.load(Ordering::Relaxed), 2);
        // What was let in under the old settings is done.
        old.large_waiting.fetch_sub(1, Ordering::Relaxed);
        assert_eq!(new.large_waiting.load(Ordering::Relaxed), 1);
        assert!(Arc::ptr_eq(&new.load, &old.load));
    }

    #[test]
    fn a_use_is_due_once_a_minute() {
        let uses = KeyUses::default();
        let hash = uses.hash(["sentry.python/2", "shop@1", ""]);
        assert_ne!(hash, uses.hash(["sentry.python/2", "", "shop@1"]));
        assert!(uses.is_due(hash, NOW));
        // Nothing was committed yet.
        assert!(uses.is_due(hash, NOW));
        uses.set_written(hash, NOW);
        assert!(!uses.is_due(hash, NOW.plus_secs(59)));
        assert!(uses.is_due(hash, NOW.plus_secs(60)));
        // A clock that was ahead does not silence it.
        assert!(uses.is_due(hash, NOW.plus_secs(-1)));
    }

    #[test]
    fn of_too_many_uses_only_so_many_are_written_in_a_minute() {
        let uses = KeyUses::default();
        for hash in 0..USES_MAX as u64 {
            assert!(uses.is_due(hash, NOW));
            uses.set_written(hash, NOW.plus_secs(i64::from(hash == 7)));
        }
        let other = USES_MAX as u64;
        assert!(!uses.is_due(other, NOW.plus_secs(59)));
        let later = NOW.plus_secs(60);
        assert!(uses.is_due(other, later) && !uses.is_due(7, later));
        uses.set_written(other, later);
        assert!(!uses.is_due(other, later) && !uses.is_due(7, later));
        let kept = uses.written.lock().unwrap().len();
        assert_eq!(kept, USES_MAX);
    }
}
