//! Whether the last page of an organization's keys comes as fast as the first.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use picket::{App, ApplyFile, Clock, Settings};
use rusqlite::Connection;

use super::client::read_answer;
use super::table::median;

const TOKEN: &str = "sntryu_0000000000000000000000000000000000000000000000000000000000000001";
/// How often each page is asked for, taking turns.
const TIMES: usize = 300;
const FIRST: &str = "/api/0/organizations/acme/project-keys/?per_page=100";

pub(crate) fn measure(keys: usize) {
    let directory = super::disk::directory();
    let file = directory.path().join("picket.db");
    let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), &file);
    // A page is asked for as often as it is answered.
    settings.api_rate_limits = false;
    settings.apply = Some(ApplyFile {
        name: "keys.toml".to_owned(),
        text: format!(
            "[[organization]]\nslug = \"acme\"\n[[organization.team]]\nslug = \"core\"\n\
             [[organization.project]]\nslug = \"web\"\nid = 1\nteams = [\"core\"]\n\
             [[user]]\nemail = \"ann@example.test\"\nroles = {{ acme = \"owner\" }}\nteams = {{ acme = [\"core\"] }}\n\
             [[user.token]]\nname = \"load\"\ntoken = \"{TOKEN}\"\nscopes = [\"org:read\"]\n"
        ),
    });
    let app = App::start(settings, Clock::system()).expect("picket starts");
    // One key is there already; so the last page is full as well.
    fill(&file, keys - 1);

    let mut connection = Keeping::open(app.local_addr());
    let last = last_page(&mut connection);
    let (mut of_first, mut of_last) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        of_first.push(connection.time(FIRST).as_secs_f64() * 1e6);
        of_last.push(connection.time(&last).as_secs_f64() * 1e6);
    }
    let first = median(of_first.into_iter());
    let last = median(of_last.into_iter());
    println!("### Pages of 100 of an organization's {keys} client keys\n");
    println!("| first page | last page | ratio |\n|---|---|---|");
    println!("| {first:.0} µs | {last:.0} µs | {:.2} |", last / first);
    drop(connection);
    app.stop(Duration::from_secs(5));
}

/// Adds keys behind the server's back, as a restored file would have them.
fn fill(file: &std::path::Path, keys: usize) {
    let mut connection = Connection::open(file).expect("the file opens");
    let transaction = connection.transaction().expect("a transaction");
    for number in 0..keys {
        transaction
            .prepare_cached(
                "INSERT INTO client_key (project_id, organization_id, public, secret, label, browser_sdk_version,
                     loader_has_replay, loader_has_performance, loader_has_debug, loader_has_feedback,
                     loader_has_logs_and_metrics, created_us)
                 SELECT 1, organization_id, ?1, ?1, 'Load', '10.x', 1, 1, 0, 0, 0, 0 FROM project WHERE id = 1",
            )
            .expect("a statement")
            .execute([format!("{number:032x}")])
            .expect("a key");
    }
    transaction.commit().expect("committed");
}

/// A keep-alive connection with a token.
struct Keeping {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Keeping {
    fn open(address: SocketAddr) -> Keeping {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket");
        Keeping {
            stream,
            answer: Vec::new(),
        }
    }

    fn time(&mut self, target: &str) -> Duration {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        let sent = Instant::now();
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let status = read_answer(&mut self.stream, &mut self.answer);
        let took = sent.elapsed();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&self.answer));
        took
    }

    /// The cursor of the next page, if it has rows.
    fn next_cursor(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.answer);
        let link = text.lines().find_map(|line| line.strip_prefix("Link: "))?;
        let next = link
            .split(", <")
            .find(|entry| entry.contains("rel=\"next\""))?;
        let has_results = next.contains("results=\"true\"");
        let cursor = next.split("cursor=\"").nth(1)?.split('"').next()?;
        has_results.then(|| cursor.to_owned())
    }
}

fn last_page(connection: &mut Keeping) -> String {
    let mut target = FIRST.to_owned();
    loop {
        connection.time(&target);
        match connection.next_cursor() {
            Some(cursor) => target = format!("{FIRST}&cursor={cursor}"),
            None => return target,
        }
    }
}
