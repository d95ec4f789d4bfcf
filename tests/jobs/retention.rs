//! What is kept for a time only goes when its time is over.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{START, Server, WORLD};

const DAY_SECS: i64 = 86_400;

fn entries(server: &Server) -> i64 {
    server
        .database()
        .query_row("SELECT count(*) FROM audit_entry", [], |row| row.get(0))
        .expect("a count")
}

/// Makes and deletes a team: three entries, and the background looks at once what there is to remove.
fn wake(server: &Server) {
    let ann = server.owner();
    let made = ann.post_json(
        "/api/0/organizations/acme/teams/",
        &json!({"slug": "brief"}),
    );
    assert_eq!(made.status, 201);
    assert_eq!(ann.delete("/api/0/teams/acme/brief/").status, 204);
}

fn wait_until(server: &Server, count: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while entries(server) != count {
        assert!(
            Instant::now() < deadline,
            "{} entries are left",
            entries(server)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// So many old entries that one step cannot take them all.
fn add_old(server: &Server, secs: i64) {
    let at = server.clock.now().plus_secs(-secs).us();
    server
        .database()
        .execute_batch(&format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 1200)
             INSERT INTO audit_entry (organization_id, at_us, event, data)
             SELECT iif(n % 2, 1, NULL), {at} + n, 'org.edit', '{{}}' FROM number;"
        ))
        .expect("inserts");
}

#[test]
fn the_audit_log_remembers_as_long_as_it_is_told() {
    let server = Server::start_with(WORLD, |settings| settings.audit_retention_days = 30);
    let at_start = entries(&server);
    add_old(&server, 31 * DAY_SECS);
    wake(&server);
    wait_until(&server, at_start + 3);
    // The last moment of the time is kept; one more second is not.
    server.advance(30 * DAY_SECS);
    wake(&server);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(entries(&server), at_start + 6);
    server.advance(1);
    wake(&server);
    wait_until(&server, 6);
}

#[test]
fn without_an_end_nothing_is_forgotten() {
    let server = Server::start_with(WORLD, |settings| settings.audit_retention_days = 0);
    let at_start = entries(&server);
    add_old(&server, 5000 * DAY_SECS);
    wake(&server);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(entries(&server), at_start + 1203);
}

#[test]
fn what_a_saml_provider_said_is_remembered_until_it_is_too_old() {
    let server = Server::start(WORLD);
    let until = START.plus_secs(600).us();
    let insert = format!(
        "INSERT INTO saml_message (provider_id, id, keep_until_us) VALUES (1, 'assertion _a', {until})"
    );
    server.database().execute(&insert, []).expect("a message");
    let count = || -> i64 {
        let query = "SELECT count(*) FROM saml_message";
        server
            .database()
            .query_row(query, [], |row| row.get(0))
            .expect("a number")
    };
    server.advance(600);
    wake(&server);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(count(), 1);
    server.advance(1);
    wake(&server);
    let deadline = Instant::now() + Duration::from_secs(30);
    while count() > 0 {
        assert!(Instant::now() < deadline, "it is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}
