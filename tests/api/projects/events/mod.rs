//! `GET P/events/` and `GET P/events/{event_id}/`, with the shapes of the published document.

mod attachments;

use serde_json::json;

use super::*;

const EVENTS: &str = "/api/0/projects/acme/web/events/";

const EVENT: i64 = 0;
const SECURITY: i64 = 1;
const TRANSACTION: i64 = 2;
const FEEDBACK: i64 = 3;

/// The id that is so many times this digit.
fn id(digit: char) -> String {
    String::from(digit).repeat(32)
}

fn insert(server: &Server, kind: i64, digit: char, event: &Value) {
    insert_event(server, 31, kind, &id(digit), event.to_string().as_bytes());
}

fn detail(server: &Server, digit: char) -> Value {
    ok(&ann(server).get(&format!("{EVENTS}{}/", id(digit))))
}

#[test]
fn the_list_has_errors_and_reports_and_the_newest_first() {
    let server = world();
    insert(&server, EVENT, 'a', &error_event());
    insert(&server, TRANSACTION, 'b', &json!({"transaction": "GET /"}));
    insert(
        &server,
        SECURITY,
        'c',
        &json!({"csp": {"effective_directive": "img-src", "blocked_uri": "https://bad.test/"}}),
    );
    insert(&server, FEEDBACK, 'd', &json!({}));
    let list = ok(&ann(&server).get(EVENTS));
    assert_eq!(each(&list, "eventID"), [&id('c'), &id('a')]);
    assert_eq!(each(&list, "event.type"), ["csp", "error"]);
    assert_eq!(
        list[1],
        json!({
            "event.type": "error", "id": id('a'), "groupID": null, "eventID": id('a'), "projectID": "31",
            "message": "lost it", "title": "KeyError: 'a'", "location": "shop.py", "culprit": "/pay",
            "user": {"id": "7", "email": "a@example.test", "username": null, "ip_address": null, "name": null,
                     "geo": null, "data": {"plan": "free"}},
            "tags": [
                {"key": "colour", "value": "red"},
                {"key": "dist", "value": "7"},
                {"key": "environment", "value": "production"},
                {"key": "handled", "value": "no"},
                {"key": "level", "value": "error"},
                {"key": "mechanism", "value": "generic"},
                {"key": "release", "value": "shop@1.0"},
                {"key": "transaction", "value": "/pay"},
                {"key": "url", "value": "https://shop.test/pay"},
                {"key": "user", "value": "id:7", "query": "user.id:\"7\""},
            ],
            "platform": "python", "dateCreated": "2026-01-01T23:59:59.500000Z", "crashFile": null,
            "metadata": {"type": "KeyError", "value": "'a'", "filename": "shop.py", "function": "pay"},
        })
    );
    assert_eq!(
        list[0]["title"],
        "Blocked 'img-src' from 'https://bad.test/'"
    );
}

#[test]
fn pages_follow_each_other_over_both_kinds() {
    let server = world();
    for (digit, kind) in [
        ('1', EVENT),
        ('2', SECURITY),
        ('3', TRANSACTION),
        ('4', EVENT),
        ('5', SECURITY),
        ('6', EVENT),
    ] {
        insert(&server, kind, digit, &json!({}));
    }
    let ann = ann(&server);
    let ids = |answer: &Answer| -> Vec<String> {
        each(&ok(answer), "id")
            .into_iter()
            .map(|id| id.as_str().expect("an id")[..1].to_owned())
            .collect()
    };
    let first = ann.get(&format!("{EVENTS}?per_page=2"));
    assert_eq!(ids(&first), ["6", "5"]);
    let (next, has_more, _) = link(&first, "next");
    assert!(has_more);
    let second = ann.get(&path_of(&server, &next));
    assert_eq!(ids(&second), ["4", "2"]);
    let (next, _, _) = link(&second, "next");
    let third = ann.get(&path_of(&server, &next));
    assert_eq!(ids(&third), ["1"]);
    assert!(!link(&third, "next").1);
    let (previous, _, _) = link(&third, "previous");
    assert_eq!(ids(&ann.get(&path_of(&server, &previous))), ["4", "2"]);
    let wrong = ann.get(&format!("{EVENTS}?cursor=x"));
    assert_answer(&wrong, 400, r#"{"detail":"Invalid cursor parameter."}"#);
}

#[test]
fn a_range_of_time_leaves_events_out() {
    let server = world();
    insert(&server, EVENT, 'a', &json!({}));
    server.advance(7200);
    let count = |query: &str| {
        let list = ok(&ann(&server).get(&format!("{EVENTS}?{query}")));
        list.as_array().expect("a list").len()
    };
    for (query, expected) in [
        ("statsPeriod=1h", 0),
        ("statsPeriod=3h", 1),
        ("start=2026-01-02T00:00:00&end=2026-01-02T00:00:01", 0),
        ("start=2026-01-02T00:00:00&end=2026-01-02T00:00:02", 1),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
    let wrong = ann(&server).get(&format!("{EVENTS}?statsPeriod=x"));
    assert_answer(&wrong, 400, r#"{"detail":"Invalid statsPeriod: 'x'"}"#);
}

#[test]
fn a_range_of_time_finds_events_that_were_written_late() {
    let server = world();
    // Hours since the start, in the order of the rows; every third was received half an hour before the one above it.
    let received: Vec<i64> = (0..60)
        .map(|n| n * 3600 - if n % 3 == 0 { 5400 } else { 0 })
        .collect();
    for (n, secs) in received.iter().enumerate() {
        insert_event(&server, 31, EVENT, &format!("{n:032x}"), b"{}");
        let at = START.plus_secs(*secs).us();
        server
            .database()
            .execute(
                "UPDATE event SET received_us = ?1 WHERE id = (SELECT max(id) FROM event)",
                [at],
            )
            .expect("an update");
    }
    // Rows that are gone are no hindrance.
    let gone = [20, 21, 22, 40];
    for n in gone {
        server
            .database()
            .execute(
                "DELETE FROM event WHERE event_id = unhex(?1)",
                [format!("{n:032x}")],
            )
            .expect("a deletion");
    }
    for (from, until) in [
        (-2, 0),
        (0, 1),
        (3, 9),
        (19, 23),
        (30, 50),
        (55, 99),
        (-9, 99),
    ] {
        let (from, until) = (from * 3600, until * 3600);
        let expected: Vec<Value> = (0..60)
            .rev()
            .filter(|n| !gone.contains(n) && (from..until).contains(&received[*n]))
            .map(|n| json!(format!("{n:032x}")))
            .collect();
        let list = ok(&ann(&server).get(&format!(
            "{EVENTS}?start={}&end={}",
            START.secs() + from,
            START.secs() + until
        )));
        let found: Vec<Value> = each(&list, "id").into_iter().cloned().collect();
        assert_eq!(found, expected, "{from} {until}");
    }
}

#[test]
fn a_full_list_has_whole_events_on_shorter_pages() {
    let server = world();
    for n in 0..26 {
        let event_id = format!("{n:032x}");
        insert_event(
            &server,
            31,
            EVENT,
            &event_id,
            error_event().to_string().as_bytes(),
        );
    }
    let answer = ann(&server).get(&format!("{EVENTS}?full=true"));
    let list = ok(&answer);
    assert_eq!(list.as_array().map(Vec::len), Some(25));
    assert!(link(&answer, "next").1);
    assert_eq!(list[0]["type"], "error");
    assert_eq!(list[0]["entries"][0]["type"], "exception");
    assert_eq!(list[0].get("nextEventID"), None);
}

/// An event whose frames have a field each where the answer has eighteen.
fn long_event() -> Value {
    let thread = json!({"stacktrace": {"frames": vec![json!({}); 250]}});
    json!({"threads": {"values": vec![thread; 1200]}})
}

#[test]
fn the_answer_is_bounded_whatever_the_event_is() {
    let server = world();
    insert(&server, EVENT, 'a', &long_event());
    let answer = ann(&server).get(&format!("{EVENTS}{}/", id('a')));
    assert!(answer.text().len() < 4 << 20, "{}", answer.text().len());
    let threads = &ok(&answer)["entries"][0]["data"]["values"];
    assert_eq!(threads.as_array().map(Vec::len), Some(1200));
    let omitted = |at: usize| threads[at]["stacktrace"]["framesOmitted"].clone();
    assert_eq!((omitted(0), omitted(1199)), (Value::Null, json!([0, 250])));
}

#[test]
fn a_full_list_ends_a_page_that_grows_too_long() {
    let server = world();
    let event = long_event().to_string();
    let ids: Vec<String> = (0..7).map(|n| format!("{n:032x}")).collect();
    for event_id in &ids {
        insert_event(&server, 31, EVENT, event_id, event.as_bytes());
    }
    let ann = ann(&server);
    let mut seen = Vec::new();
    let mut path = format!("{EVENTS}?full=1");
    loop {
        let answer = ann.get(&path);
        assert!(answer.text().len() < 12 << 20, "{}", answer.text().len());
        let list = ok(&answer);
        seen.extend(each(&list, "id").into_iter().cloned());
        let (next, has_more, _) = link(&answer, "next");
        if !has_more {
            assert!(list.as_array().is_some_and(|list| list.len() < 7));
            break;
        }
        path = path_of(&server, &next);
    }
    let newest_first: Vec<Value> = ids.iter().rev().map(|id| json!(id)).collect();
    assert_eq!(seen, newest_first);
}

#[test]
fn the_detail_has_every_part_of_the_event() {
    let server = world();
    let event = error_event();
    insert(&server, EVENT, 'a', &event);
    let body = detail(&server, 'a');
    let entries = &body["entries"];
    assert_eq!(
        each(entries, "type"),
        [
            "exception",
            "threads",
            "message",
            "breadcrumbs",
            "request",
            "debugmeta"
        ]
    );
    let exception = &entries[0]["data"];
    assert_eq!(exception["hasSystemFrames"], true);
    let value = &exception["values"][0];
    assert_eq!(
        (&value["threadId"], &value["rawStacktrace"]),
        (&json!(1), &Value::Null)
    );
    let frames = &value["stacktrace"]["frames"];
    assert_eq!(frames[0]["absPath"], "/lib.py");
    assert_eq!(
        frames[1]["context"],
        json!([[1, "one"], [2, "two"], [3, "three"]])
    );
    assert_eq!(
        (
            &frames[1]["lineNo"],
            &frames[1]["inApp"],
            &frames[1]["vars"]
        ),
        (&json!(2), &json!(true), &json!({"n": "1"}))
    );
    assert_eq!(entries[2]["data"]["formatted"], "lost it");
    let crumb = &entries[3]["data"]["values"][0];
    assert_eq!(
        (&crumb["timestamp"], &crumb["type"], &crumb["level"]),
        (
            &json!("2026-01-01T23:59:58Z"),
            &json!("default"),
            &json!("info")
        )
    );
    let request = &entries[4]["data"];
    assert_eq!(
        (&request["headers"], &request["query"]),
        (&json!([["Host", "shop.test"]]), &json!([["a", "1"]]))
    );
    for (name, value) in [
        ("type", json!("error")),
        ("title", json!("KeyError: 'a'")),
        ("dateReceived", json!("2026-01-02T00:00:01Z")),
        ("size", json!(event.to_string().len())),
        ("contexts", json!({"runtime": {"name": "CPython"}})),
        ("context", json!({"cart": [1]})),
        ("packages", json!({"django": "5.2"})),
        ("dist", json!("7")),
        ("sdk", json!({"name": "sentry.python", "version": "2.0.0"})),
        ("fingerprints", json!(["{{ default }}", "x"])),
        ("release", json!({"version": "shop@1.0"})),
        ("groupID", Value::Null),
        ("occurrence", Value::Null),
        ("userReport", Value::Null),
        ("nextEventID", Value::Null),
        ("previousEventID", Value::Null),
        (
            "errors",
            json!([{"type": "clock_drift", "message": "Clock drift detected in SDK", "data": {}}]),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(
        body["_meta"]["context"],
        json!({"cart": {"0": {"": {"len": 9}}}})
    );
    assert_eq!(body.get("startTimestamp"), None);
}

#[test]
fn neighbours_are_those_that_the_list_shows() {
    let server = world();
    for (digit, kind) in [
        ('1', EVENT),
        ('2', TRANSACTION),
        ('3', SECURITY),
        ('4', TRANSACTION),
    ] {
        insert(&server, kind, digit, &json!({}));
    }
    let beside = |digit: char| {
        let body = detail(&server, digit);
        (body["previousEventID"].clone(), body["nextEventID"].clone())
    };
    assert_eq!(beside('1'), (Value::Null, json!(id('3'))));
    assert_eq!(beside('3'), (json!(id('1')), Value::Null));
    assert_eq!(beside('4'), (json!(id('2')), Value::Null));
}

#[test]
fn an_event_that_was_stored_as_it_was_sent_has_its_parts() {
    let server = world();
    let event = json!({
        "message": "lost it", "level": 40,
        "sentry.interfaces.Exception": [{"type": "KeyError", "value": "a"}],
        "sentry.interfaces.Http": {"url": "https://shop.test/", "headers": {"Host": "shop.test"}},
    });
    insert(&server, EVENT, 'a', &event);
    let body = detail(&server, 'a');
    assert_eq!(
        each(&body["entries"], "type"),
        ["exception", "message", "request"]
    );
    assert_eq!(body["entries"][1]["data"]["formatted"], "lost it");
    assert_eq!(body["title"], "KeyError: a");
    let tags = body["tags"].as_array().expect("tags");
    assert!(tags.contains(&json!({"key": "level", "value": "error"})));
}

#[test]
fn a_transaction_has_its_times() {
    let server = world();
    insert(
        &server,
        TRANSACTION,
        'b',
        &json!({
            "type": "transaction", "transaction": "GET /", "start_timestamp": 1767312000.25,
            "timestamp": 1767312001.5, "measurements": {"lcp": {"value": 1.5, "unit": "second"}},
            "spans": [{"span_id": "a"}],
        }),
    );
    let body = detail(&server, 'b');
    for (name, value) in [
        ("type", json!("transaction")),
        ("title", json!("GET /")),
        ("startTimestamp", json!(1767312000.25)),
        ("endTimestamp", json!(1767312001.5)),
        (
            "measurements",
            json!({"lcp": {"value": 1.5, "unit": "second"}}),
        ),
        ("breakdowns", Value::Null),
        (
            "entries",
            json!([{"type": "spans", "data": [{"span_id": "a"}]}]),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
}

#[test]
fn a_payload_that_is_no_event_is_shown_without_fields() {
    let server = world();
    for (digit, payload) in [
        ('a', &b"not json"[..]),
        ('b', b"[1]"),
        (
            'c',
            br#"{"tags":1,"user":2,"exception":{"values":[3]},"request":"x","sdk":[]}"#,
        ),
    ] {
        insert_event(&server, 31, EVENT, &id(digit), payload);
        let body = detail(&server, digit);
        assert_eq!(
            (&body["title"], &body["platform"], &body["dateCreated"]),
            (
                &json!("<unlabeled event>"),
                &json!("other"),
                &json!("2026-01-02T00:00:01Z")
            )
        );
    }
    assert_eq!(
        ok(&ann(&server).get(EVENTS)).as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn what_was_sent_can_be_read() {
    let server = world();
    let sent = server.send_event(&format!(
        r#"{{"event_id":"{}","message":"lost it","level":"fatal"}}"#,
        id('e')
    ));
    assert_eq!(sent.status, 200, "{}", sent.text());
    let body = detail(&server, 'e');
    assert_eq!(
        (&body["title"], &body["message"]),
        (&json!("lost it"), &json!("lost it"))
    );
    let tags = each(&body["tags"], "key");
    assert!(tags.contains(&&json!("level")), "{tags:?}");
    assert_eq!(each(&ok(&ann(&server).get(EVENTS)), "id"), [&id('e')]);
}

#[test]
fn an_event_is_found_by_every_spelling_of_its_id_and_in_its_project_only() {
    let server = world();
    insert(&server, EVENT, 'a', &json!({}));
    let dashed = "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA";
    assert_eq!(ann(&server).get(&format!("{EVENTS}{dashed}/")).status, 200);
    for target in [
        format!("{EVENTS}{}/", id('b')),
        format!("{EVENTS}latest/"),
        format!("/api/0/projects/acme/shop/events/{}/", id('a')),
    ] {
        assert_answer(
            &ann(&server).get(&target),
            404,
            r#"{"detail":"Event not found"}"#,
        );
    }
}

#[test]
fn who_may_read_events_reads_them() {
    let server = world();
    insert(&server, EVENT, 'a', &json!({}));
    for target in [EVENTS.to_owned(), format!("{EVENTS}{}/", id('a'))] {
        assert_eq!(server.client().get(&target).status, 401);
        for token in [ORG_CI, ZOE, EVE] {
            assert_answer(&server.with_token(token).get(&target), 403, NO_PERMISSION);
        }
        for token in [NARROW, READER, BOB, ORG_ROBOT] {
            assert_eq!(server.with_token(token).get(&target).status, 200, "{token}");
        }
    }
    for target in [
        "/api/0/projects/acme/nothing/events/",
        "/api/0/projects/acme/hidden/events/",
    ] {
        assert_answer(&ann(&server).get(target), 404, NOT_FOUND);
    }
    server
        .database()
        .execute("UPDATE organization SET open_membership = 0", [])
        .expect("an update");
    assert_answer(&server.with_token(BOB).get(EVENTS), 403, NO_PERMISSION);
    let post = ann(&server).post(EVENTS, b"");
    assert_answer(&post, 403, NO_PERMISSION);
}
