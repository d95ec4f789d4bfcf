//! Whether the last page of a long list comes as fast as the first, and whether a client key among very many is made
//! as fast as among few.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use picket::{App, ApplyFile, Clock, Settings};
use rusqlite::Connection;

use super::client::read_answer;
use super::table::median;

const TOKEN: &str = "sntryu_0000000000000000000000000000000000000000000000000000000000000001";
/// How often each page is asked for, and a key is made, taking turns.
const TIMES: usize = 300;

const ORGANIZATIONS: usize = 1000;

/// The lists, each by 100.
const LISTS: [(&str, &str); 5] = [
    (
        "an organization's client keys",
        "/api/0/organizations/acme/project-keys/?per_page=100",
    ),
    (
        "an organization's projects",
        "/api/0/organizations/acme/projects/?per_page=100",
    ),
    (
        "the projects of a user's teams",
        "/api/0/projects/?per_page=100",
    ),
    (
        "an organization's members",
        "/api/0/organizations/acme/members/?per_page=100",
    ),
    (
        "a user's organizations",
        "/api/0/organizations/?per_page=100",
    ),
];

/// `rows`: how many there are of each but organizations.
pub(crate) fn measure(rows: usize) {
    let few = Picket::start();
    let many = Picket::start();
    // One of each is there already; so the last page is full as well.
    fill(&many.file, rows - 1);
    // The server sees within a second what another process did.
    std::thread::sleep(Duration::from_secs(3));
    let mut connection = many.connect();
    println!("### Pages of 100 of {rows} rows, and of {ORGANIZATIONS} organizations\n");
    println!("| list | first page | last page | ratio |\n|---|---|---|---|");
    for (name, first) in LISTS {
        compare(&mut connection, name, first);
    }
    let (among_few, among_many) = make_keys(&mut few.connect(), &mut connection);
    println!("\n### Making a client key\n");
    println!("| among few | among {rows} | ratio |\n|---|---|---|");
    println!(
        "| {among_few:.0} µs | {among_many:.0} µs | {:.2} |",
        among_many / among_few
    );
    drop(connection);
    few.app.stop(Duration::from_secs(5));
    many.app.stop(Duration::from_secs(5));
}

/// A server with a project of an organization, and its owner.
struct Picket {
    app: App,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Picket {
    fn start() -> Picket {
        let directory = super::disk::directory();
        let file = directory.path().join("picket.db");
        let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), &file);
        // A page is asked for as often as it is answered.
        settings.api_rate_limits = false;
        settings.apply = Some(ApplyFile {
            name: "pages.toml".to_owned(),
            text: format!(
                "[[organization]]\nslug = \"acme\"\n[[organization.team]]\nslug = \"core\"\n\
                 [[organization.project]]\nslug = \"web\"\nid = 1\nteams = [\"core\"]\n\
                 [[user]]\nemail = \"ann@example.test\"\nroles = {{ acme = \"owner\" }}\nteams = {{ acme = [\"core\"] }}\n\
                 [[user.token]]\nname = \"load\"\ntoken = \"{TOKEN}\"\n\
                 scopes = [\"org:read\", \"project:write\", \"member:read\"]\n"
            ),
        });
        Picket {
            app: App::start(settings, Clock::system()).expect("picket starts"),
            file,
            _directory: directory,
        }
    }

    fn connect(&self) -> Keeping {
        Keeping::open(self.app.local_addr())
    }
}

fn compare(connection: &mut Keeping, name: &str, first: &str) {
    let last = last_page(connection, first);
    let (mut of_first, mut of_last) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        of_first.push(connection.get(first).as_secs_f64() * 1e6);
        of_last.push(connection.get(&last).as_secs_f64() * 1e6);
    }
    let of_first = median(of_first.into_iter());
    let of_last = median(of_last.into_iter());
    println!(
        "| {name} | {of_first:.0} µs | {of_last:.0} µs | {:.2} |",
        of_last / of_first
    );
}

/// The medians of the microseconds that one takes, on two servers in turns.
fn make_keys(few: &mut Keeping, many: &mut Keeping) -> (f64, f64) {
    const KEYS_OF_PROJECT: &str = "/api/0/projects/acme/web/keys/";
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        for (connection, times) in [(&mut *few, &mut of_few), (&mut *many, &mut of_many)] {
            let took = connection.send("POST", KEYS_OF_PROJECT, 201);
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    (median(of_few.into_iter()), median(of_many.into_iter()))
}

/// Adds rows behind the server's back, as a restored file would have them: so many keys, projects and members, and
/// organizations.
fn fill(file: &Path, rows: usize) {
    let connection = Connection::open(file).expect("the file opens");
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TEMP TABLE acme AS SELECT id FROM organization;
             CREATE TEMP TABLE ann AS SELECT id FROM user;
             CREATE TEMP TABLE number AS
                 WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {rows})
                 SELECT n FROM number;
             INSERT INTO client_key (project_id, organization_id, public, secret, label, browser_sdk_version,
                     loader_has_replay, loader_has_performance, loader_has_debug, loader_has_feedback,
                     loader_has_logs_and_metrics, created_us)
             SELECT 1, acme.id, printf('%032x', n), printf('%032x', n), 'Load', '10.x', 1, 1, 0, 0, 0, 0
             FROM number, acme;
             INSERT INTO project (organization_id, slug, name, security_token, created_us)
             SELECT acme.id, 'project-' || n, 'Project ' || n, '', n * 1000 FROM number, acme;
             INSERT INTO project_team (project_id, team_id)
             SELECT project.id, team.id FROM project, team WHERE project.id <> 1;
             INSERT INTO user (email, name, created_us)
             SELECT 'user-' || n || '@example.test', 'User ' || n, 0 FROM number;
             INSERT INTO member (organization_id, user_id, role, created_us)
             SELECT acme.id, user.id, 'member', 0 FROM acme, user WHERE user.id NOT IN (SELECT id FROM ann);
             INSERT INTO organization (slug, name, created_us)
             SELECT 'organization-' || n, 'Organization ' || n, n * 1000000 FROM number WHERE n < {ORGANIZATIONS};
             INSERT INTO member (organization_id, user_id, role, created_us)
             SELECT organization.id, ann.id, 'member', 0 FROM organization, ann
             WHERE organization.id NOT IN (SELECT id FROM acme);
             INSERT INTO audit_entry (organization_id, at_us, event, data) SELECT id, 0, 'org.edit', '{{}}' FROM acme;
             COMMIT;"
        ))
        .expect("the tables take these rows");
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

    fn get(&mut self, target: &str) -> Duration {
        self.send("GET", target, 200)
    }

    fn send(&mut self, method: &str, target: &str, expected: u16) -> Duration {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let sent = Instant::now();
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let head = read_answer(&mut self.stream, &mut self.answer).expect("the server answers");
        let took = sent.elapsed();
        assert_eq!(
            head.status,
            expected,
            "{}",
            String::from_utf8_lossy(&self.answer)
        );
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

fn last_page(connection: &mut Keeping, first: &str) -> String {
    let mut target = first.to_owned();
    loop {
        connection.get(&target);
        match connection.next_cursor() {
            Some(cursor) => target = format!("{first}&cursor={cursor}"),
            None => return target,
        }
    }
}
