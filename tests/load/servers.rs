//! The servers that are compared. All of them stand behind the same gate, lanes and `tiny_http`.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use picket::http::{
    Class, Front, LaneSet, Method, Refusal, Request, Responder, Response, Server, Service, Settings,
};
use picket::{App, ApplyFile, Clock};
use rusqlite::{Connection, named_params};

pub(crate) const PUBLIC_KEY: &str = "0123456789abcdef0123456789abcdef";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// A handler that answers at once and keeps nothing.
    Empty,
    /// Picket, an envelope of 1 KB.
    Durable1Kb,
    /// Picket, an envelope of 4 KB.
    Durable4Kb,
    /// One transaction per request behind a mutex, 1 KB.
    Naive,
}

impl Variant {
    pub(crate) const ALL: [Variant; 4] = [
        Variant::Empty,
        Variant::Durable1Kb,
        Variant::Durable4Kb,
        Variant::Naive,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Variant::Empty => "empty handler",
            Variant::Durable1Kb => "durable, 1 KB",
            Variant::Durable4Kb => "durable, 4 KB",
            Variant::Naive => "naive, 1 KB",
        }
    }

    pub(crate) fn body_bytes(self) -> usize {
        match self {
            Variant::Durable4Kb => 4096,
            _ => 1024,
        }
    }
}

/// Serves a variant, says where, and ends when standard input does.
pub(crate) fn serve(name: &str) {
    let variant = Variant::ALL
        .into_iter()
        .find(|variant| variant.name() == name)
        .expect("the name of a variant");
    let directory = super::disk::directory();
    match variant {
        Variant::Empty => serve_plainly(Arc::new(EmptyHandler), directory.path()),
        Variant::Naive => serve_plainly(
            Arc::new(NaiveHandler::open(&directory.path().join("naive.db"))),
            directory.path(),
        ),
        Variant::Durable1Kb | Variant::Durable4Kb => {
            let mut settings = picket::Settings::new(
                ([127, 0, 0, 1], 0).into(),
                &directory.path().join("picket.db"),
            );
            settings.apply = Some(ApplyFile {
                name: "load.toml".to_owned(),
                text: format!(
                    "[[organization]]\nslug = \"acme\"\n[[organization.project]]\nslug = \"web\"\nid = 1\n\
                     [[organization.project.key]]\nname = \"Default\"\npublic = \"{PUBLIC_KEY}\"\n"
                ),
            });
            let app = App::start(settings, Clock::system()).expect("picket starts");
            println!("{}", app.local_addr());
            wait_for_end();
            app.stop(Duration::from_secs(5));
        }
    }
}

fn serve_plainly(handler: Arc<dyn Service>, spool_dir: &Path) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let settings = Settings {
        spool_dir: spool_dir.to_owned(),
        ..Settings::default()
    };
    let server = Server::start(
        listener,
        settings,
        Clock::system(),
        Arc::new(|_: &Method, _: &str| Class {
            lanes: LaneSet::Ingest,
            front: Front::Ingest,
            body_bytes_max: 1 << 20,
            spools: true,
            refuse: |refusal: &Refusal| Response::text(refusal.status(), refusal.text()),
        }),
        Arc::clone(&handler),
        handler,
    )
    .expect("the transport starts");
    println!("{}", server.local_addr());
    wait_for_end();
    server.stop(Duration::from_secs(5));
}

fn wait_for_end() {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}

struct EmptyHandler;

impl Service for EmptyHandler {
    fn call(&self, _: Request, responder: Responder) {
        responder.respond(Response::json_bytes(200, &b"{}"[..]));
    }
}

/// What a first version of such a server looks like: parse everything, lock the database, a transaction for
/// each event, answer.
struct NaiveHandler {
    connection: Mutex<Connection>,
}

impl NaiveHandler {
    fn open(path: &Path) -> NaiveHandler {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE event (id INTEGER PRIMARY KEY, project_id INTEGER, event_id TEXT,
                                     payload BLOB, UNIQUE (project_id, event_id));
                 CREATE TABLE ledger (resolution INTEGER, project_id INTEGER, bucket INTEGER,
                                      category INTEGER, outcome INTEGER, quantity INTEGER,
                                      PRIMARY KEY (resolution, project_id, bucket, category, outcome));",
            )
            .expect("a schema");
        NaiveHandler {
            connection: Mutex::new(connection),
        }
    }

    fn store(&self, body: &[u8], received_secs: i64) -> rusqlite::Result<()> {
        let mut lines = body.split(|byte| *byte == b'\n');
        let header: serde_json::Value =
            serde_json::from_slice(lines.next().unwrap_or_default()).expect("our own envelope");
        let payload: serde_json::Value =
            serde_json::from_slice(lines.nth(1).unwrap_or_default()).expect("our own envelope");
        let mut connection = self.connection.lock().expect("nobody panics in here");
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached(
                "INSERT INTO event (project_id, event_id, payload) VALUES (1, :id, :payload)",
            )?
            .execute(named_params! {
                ":id": header["event_id"].as_str(),
                ":payload": payload.to_string(),
            })?;
        for resolution in [10, 3600, 86_400] {
            transaction
                .prepare_cached(
                    "INSERT INTO ledger VALUES (:resolution, 1, :bucket, 1, 0, 1)
                     ON CONFLICT DO UPDATE SET quantity = quantity + 1",
                )?
                .execute(named_params! {
                    ":resolution": resolution,
                    ":bucket": received_secs / resolution * resolution,
                })?;
        }
        transaction.commit()
    }
}

impl Service for NaiveHandler {
    fn call(&self, request: Request, responder: Responder) {
        let received = request.received.secs();
        let body = request.body.into_vec().expect("a body in memory");
        self.store(&body, received).expect("the event is stored");
        responder.respond(Response::json_bytes(200, &b"{}"[..]));
    }
}
