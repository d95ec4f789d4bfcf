//! A key's rate limit is exact: at once, over time, and across restarts (design 7).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{KEY, Server, WORLD};

fn limited(count: u32) -> Server {
    Server::start(&WORLD.replace(
        "secret = \"fedcba9876543210fedcba9876543210\"",
        &format!("rate_limit = {{ count = {count}, window = 60 }}"),
    ))
}

/// Sends events from many clients at once; how many were taken.
fn send_at_once(server: &Server, events: usize, clients: usize) -> usize {
    let left = AtomicUsize::new(events);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    match server.send_event("{}").status {
                        200 => taken.fetch_add(1, Ordering::Relaxed),
                        429 => 0,
                        other => panic!("status {other}"),
                    };
                }
            });
        }
    });
    taken.into_inner()
}

/// The sum of a project statistic over the last day.
fn stat_total(server: &Server, stat: &str) -> u64 {
    let target = format!("/api/0/projects/acme/web/stats/?stat={stat}&resolution=1h");
    let answer = server.owner().get(&target);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let points: Vec<(i64, u64)> = serde_json::from_value(answer.json()).expect("pairs");
    points.iter().map(|(_, count)| count).sum()
}

#[test]
fn of_250_events_at_once_exactly_100_are_stored() {
    let mut server = limited(100);
    server.advance(17);
    assert_eq!(send_at_once(&server, 250, 16), 100);
    assert_eq!(server.event_count(), 100);
    assert_eq!(
        server.ledger(),
        [
            (1, 0, String::new(), 100),
            (1, 2, "key_quota".to_owned(), 150)
        ]
    );
    for (stat, expected) in [("received", 250), ("rejected", 150), ("generated", 100)] {
        assert_eq!(stat_total(&server, stat), expected, "{stat}");
    }
    let refused = server.send_event("{}");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("Retry-After"), Some("43"));
    assert_eq!(
        refused.header("X-Sentry-Rate-Limits"),
        Some("43:default;error;security:key:key_quota")
    );
    assert!(
        refused
            .text()
            .starts_with("{\"detail\":\"Sentry dropped data due to a quota")
    );

    server.restart();
    assert_eq!(server.send_event("{}").status, 429, "after a restart");
    server.advance(43);
    assert_eq!(send_at_once(&server, 150, 16), 100, "in the next window");
    assert_eq!(server.event_count(), 200);
}

#[test]
fn a_failed_job_gives_its_slot_back() {
    let server = limited(2);
    server
        .database()
        .execute_batch(
            "CREATE TRIGGER fault BEFORE INSERT ON event WHEN NEW.event_id = zeroblob(16)
             BEGIN SELECT raise(ABORT, 'made to fail'); END",
        )
        .unwrap();
    let failing = "{\"event_id\":\"00000000000000000000000000000000\"}";
    assert_eq!(server.send_event(failing).status, 500);
    assert_eq!(server.send_event(failing).status, 500);
    assert_eq!(server.send_event("{}").status, 200);
    assert_eq!(server.send_event("{}").status, 200);
    assert_eq!(server.send_event("{}").status, 429);
    assert_eq!(
        server.ledger(),
        [(1, 0, String::new(), 2), (1, 2, "key_quota".to_owned(), 1)],
        "a job that failed is counted nowhere"
    );
}

#[test]
fn a_duplicate_and_a_filtered_event_take_no_slot() {
    let apply = WORLD
        .replace(
            "secret = \"fedcba9876543210fedcba9876543210\"",
            "rate_limit = { count = 2, window = 60 }",
        )
        .replace(
            "platform = \"python\"",
            "options = { \"filters:localhost\" = true }",
        );
    let server = Server::start(&apply);
    let event = "{\"event_id\":\"11111111111111111111111111111111\"}";
    for _ in 0..3 {
        assert_eq!(server.send_event(event).status, 200);
        assert_eq!(
            server
                .send_event("{\"request\":{\"url\":\"http://localhost/\"}}")
                .status,
            200
        );
    }
    assert_eq!(server.send_event("{}").status, 200);
    assert_eq!(server.send_event("{}").status, 429);
}

#[test]
fn siblings_of_a_limited_event_live_unless_they_need_it() {
    let server = limited(1);
    assert_eq!(server.send_event("{}").status, 200);
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    let send = |items: &str| {
        server
            .client()
            .post(&target, format!("{{}}\n{items}").as_bytes())
    };
    let event = "{\"type\":\"event\"}\n{}\n";
    let attachment = "{\"type\":\"attachment\"}\nabc\n";
    let session = "{\"type\":\"session\"}\n{}\n";
    assert_eq!(send(&format!("{event}{attachment}")).status, 429);
    let partly = send(&format!("{event}{attachment}{session}"));
    assert_eq!(partly.status, 200);
    assert_eq!(
        partly.header("X-Sentry-Rate-Limits"),
        Some("60:default;error;security:key:key_quota")
    );
    assert_eq!(send("{\"type\":\"transaction\"}\n{}\n").status, 200);
    let quota = |category, quantity| (category, 2, "key_quota".to_owned(), quantity);
    let rows = server.ledger();
    assert!(
        rows.contains(&quota(1, 2)) && rows.contains(&quota(4, 6)),
        "{rows:?}"
    );
    assert!(rows.contains(&quota(22, 2)) && rows.contains(&(5, 0, String::new(), 1)));
}

#[test]
fn a_clock_that_steps_back_reopens_no_window() {
    let server = limited(1);
    server.advance(60);
    assert_eq!(server.send_event("{}").status, 200);
    server.advance(-60);
    assert_eq!(server.send_event("{}").status, 429);
    server.advance(120);
    assert_eq!(server.send_event("{}").status, 200);
}
