//! One harness for all tests: a server in this process on a free port, with a database of its own in a
//! temporary directory and a clock that the test turns; and a small HTTP client.

pub(crate) mod client;
mod contract;
pub(crate) mod process;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod smtp;
pub(crate) mod tls;
pub(crate) mod totp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use picket::{App, ApplyFile, Clock, Settings, Timestamp};
use rusqlite::Connection;
use serde_json::Value;

pub(crate) use client::{Answer, Client};
pub(crate) use session::Session;

/// The moment at which every test begins: the start of a minute, an hour and a day.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_767_312_000);

/// The public half of the key that [`WORLD`] gives to project `web`.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A user token of [`WORLD`]'s owner, with every scope that an owner's role has.
pub(crate) const OWNER_TOKEN: &str =
    "sntryu_0000000000000000000000000000000000000000000000000000000000000001";

/// An organization with a team, a project with a key, and an owner in the team.
pub(crate) const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"

  [[organization.project]]
  slug = "web"
  id = 31
  platform = "python"
  teams = ["core"]

    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"
    secret = "fedcba9876543210fedcba9876543210"

[[user]]
email = "ann@example.test"
name = "Ann"
roles = { acme = "owner" }
teams = { acme = ["core"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "project:releases", "team:admin", "event:admin", "member:admin", "alerts:write"]
"#;

/// A running server. Stops when dropped.
pub(crate) struct Server {
    app: Option<App>,
    pub(crate) clock: Clock,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts on a new file with what an apply file describes.
    pub(crate) fn start(apply: &str) -> Server {
        Server::start_with(apply, |_| {})
    }

    /// As [`Server::start`], with settings changed by the test.
    pub(crate) fn start_with(apply: &str, change: impl FnOnce(&mut Settings)) -> Server {
        let _ = env_logger::builder().is_test(true).try_init();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let clock = Clock::manual(START);
        let mut settings = settings(&directory.path().join("picket.db"), apply);
        change(&mut settings);
        let app = App::start(settings, clock.clone()).expect("the server starts");
        Server {
            app: Some(app),
            clock,
            directory,
        }
    }

    /// Starts the product alone, on a file and a clock of the caller's.
    pub(crate) fn start_app(file: &Path, apply: &str, clock: Clock) -> App {
        App::start(settings(file, apply), clock).expect("the server starts")
    }

    /// Stops and starts again on the same file.
    pub(crate) fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    /// As [`Server::restart`], with settings changed by the test.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop();
        let mut settings = settings(&self.file(), "");
        change(&mut settings);
        let app = App::start(settings, self.clock.clone()).expect("the server starts again");
        self.app = Some(app);
    }

    /// Stops in order, so that the file is whole by itself.
    pub(crate) fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            assert!(
                app.stop(Duration::from_secs(10)),
                "something never finished"
            );
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("picket.db")
    }

    /// A connection of the test's own to the file.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.file()).expect("the file opens");
        connection
            .busy_timeout(Duration::from_secs(5))
            .expect("a time-out");
        connection
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("the server runs")
    }

    /// How many passwords the server has hashed since it started.
    pub(crate) fn password_runs(&self) -> u64 {
        self.app().password_runs()
    }

    pub(crate) fn url_prefix(&self) -> String {
        self.app().url_prefix().as_str().to_owned()
    }

    /// Where it listens, whatever it says that its address is.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.app().local_addr())
    }

    /// A client without credentials.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.app().local_addr())
    }

    /// A client of the address for who watches.
    pub(crate) fn watcher(&self) -> Client {
        Client::new(self.app().metrics_addr().expect("an address of its own"))
    }

    /// A client that sends this token with every request.
    pub(crate) fn with_token(&self, token: &str) -> Client {
        self.client()
            .with_header("Authorization", &format!("Bearer {token}"))
    }

    /// [`WORLD`]'s owner.
    pub(crate) fn owner(&self) -> Client {
        self.with_token(OWNER_TOKEN)
    }

    /// Moves the clock by so many seconds from where it stands.
    pub(crate) fn advance(&self, secs: i64) {
        self.clock.set(self.clock.now().plus_secs(secs));
    }

    /// Sends an event with the key of [`WORLD`] to its project.
    pub(crate) fn send_event(&self, json: &str) -> Answer {
        self.client()
            .with_header("X-Sentry-Auth", &format!("Sentry sentry_key={KEY}"))
            .post("/api/31/store/", json.as_bytes())
    }

    /// The ledger at the finest resolution: category, outcome, reason to quantity, zero rows absent, sorted.
    pub(crate) fn ledger(&self) -> Vec<(i64, i64, String, i64)> {
        let connection = self.database();
        let mut statement = connection
            .prepare(
                "SELECT category, outcome, reason, sum(quantity) FROM ledger WHERE resolution = 10
                 GROUP BY category, outcome, reason ORDER BY category, outcome, reason",
            )
            .expect("a ledger");
        let rows = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    pub(crate) fn event_count(&self) -> i64 {
        self.database()
            .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
            .expect("a count")
    }

    /// How many rows the table `event` has of a kind; the kinds' numbers are those of the file.
    pub(crate) fn count_of_kind(&self, kind: i64) -> i64 {
        self.database()
            .query_row(
                "SELECT count(*) FROM event WHERE kind = ?1",
                [kind],
                |row| row.get(0),
            )
            .expect("a count")
    }

    /// An event as it is stored.
    pub(crate) fn event(&self, event_id: &str) -> Value {
        let packed: Vec<u8> = self
            .database()
            .query_row(
                "SELECT payload FROM event WHERE event_id = unhex(?1)",
                [event_id],
                |row| row.get(0),
            )
            .expect("the event is stored");
        let payload = zstd::stream::decode_all(packed.as_slice()).expect("a zstd frame");
        serde_json::from_slice(&payload).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop(Duration::from_secs(10));
        }
    }
}

fn settings(file: &Path, apply: &str) -> Settings {
    let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), file);
    // A test's clock stands still, so all its requests are of one second. Tests of the limits switch them on.
    settings.api_rate_limits = false;
    settings.apply = (!apply.is_empty()).then(|| ApplyFile {
        name: "test.toml".to_owned(),
        text: apply.to_owned(),
    });
    settings
}

/// A folder of the shared material. None if it is missing, which is a failure where CI runs.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(folder);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "the shared folder {folder} is missing"
    );
    println!("skipped: the shared folder {folder} is missing");
    None
}
