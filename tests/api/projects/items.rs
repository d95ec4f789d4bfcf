//! `GET P/items/` and below, which are Picket's own: what came, kind by kind.

use super::*;

const ITEMS: &str = "/api/0/projects/acme/web/items/";
const CHECK_IN: i64 = 18;
const REPLAY_VIDEO: i64 = 15;

/// An item that lies in its row, or in parts of 1 MiB; its number.
fn insert(server: &Server, kind: i64, item_id: Option<&str>, header: &str, payload: &[u8]) -> i64 {
    let large = (payload.len() > 1 << 20).then(|| insert_parts(server, payload, 1 << 20));
    let database = server.database();
    database
        .execute(
            "INSERT INTO item (project_id, kind, key_id, received_us, item_id, header, quantity, bytes, payload,
                               large_payload_id)
             SELECT 31, ?1, min(id), ?2, unhex(?3), ?4, 1, ?5, ?6, ?7 FROM client_key WHERE project_id = 31",
            rusqlite::params![
                kind,
                START.us(),
                item_id,
                header,
                payload.len() as i64,
                large.is_none().then(|| packed(payload)),
                large
            ],
        )
        .expect("an insert");
    database.last_insert_rowid()
}

#[test]
fn items_of_a_kind_are_listed_newest_first() {
    let server = world();
    let id = "a".repeat(32);
    let first = insert(&server, CHECK_IN, Some(&id), "{}", br#"{"status":"ok"}"#);
    insert(&server, REPLAY_VIDEO, None, "{}", b"\x89video");
    let second = insert(&server, CHECK_IN, None, "{}", b"{}");
    let list = ok(&ann(&server).get(&format!("{ITEMS}?type=check_in")));
    assert_eq!(
        each(&list, "id"),
        [&json!(second.to_string()), &json!(first.to_string())]
    );
    let expected = json!({
        "id": first.to_string(), "type": "check_in", "itemId": id, "dateReceived": "2026-01-02T00:00:00Z",
        "keyId": KEY, "quantity": 1, "size": 15, "header": {}, "payload": {"status": "ok"},
    });
    assert_eq!(list[1], expected);
    assert_eq!(
        ok(&ann(&server).get(&format!("{ITEMS}{first}/?type=check_in"))),
        expected
    );
    let page = ann(&server).get(&format!("{ITEMS}?type=check_in&per_page=1"));
    let (next, has_more, _) = link(&page, "next");
    assert!(has_more);
    let page = ok(&ann(&server).get(&path_of(&server, &next)));
    assert_eq!(each(&page, "id"), [&json!(first.to_string())]);
}

#[test]
fn a_payload_that_is_no_json_is_written_in_base64() {
    let server = world();
    insert(
        &server,
        REPLAY_VIDEO,
        None,
        r#"{"content_type":"video/mp4"}"#,
        b"\x89video",
    );
    let list = ok(&ann(&server).get(&format!("{ITEMS}?type=replay_video")));
    assert_eq!(
        (
            &list[0]["payloadBase64"],
            &list[0]["header"],
            list[0].get("payload")
        ),
        (
            &json!("iXZpZGVv"),
            &json!({"content_type": "video/mp4"}),
            None
        )
    );
    server
        .database()
        .execute("DELETE FROM client_key WHERE project_id = 31", [])
        .expect("a deletion");
    let list = ok(&ann(&server).get(&format!("{ITEMS}?type=replay_video")));
    assert_eq!(list[0]["keyId"], Value::Null);
}

#[test]
fn a_long_payload_is_downloaded() {
    let server = world();
    let payload = vec![b'7'; (1 << 20) + 5];
    let number = insert(&server, REPLAY_VIDEO, None, "{}", &payload);
    let one = format!("{ITEMS}{number}/?type=replay_video");
    let body = ok(&ann(&server).get(&one));
    assert_eq!(body["size"], json!(payload.len()));
    assert_eq!(
        (body.get("payload"), body.get("payloadBase64")),
        (None, None)
    );
    let answer = ann(&server).get(&format!("{one}&download=1"));
    assert_eq!(answer.status, 200);
    assert!(answer.body == payload, "{} bytes", answer.body.len());
    let name = format!(
        "attachment; filename=\"replay_video-{number}\"; filename*=UTF-8''replay_video-{number}"
    );
    assert_eq!(answer.header("Content-Disposition"), Some(name.as_str()));
}

#[test]
fn events_are_items_as_well() {
    let server = world();
    let id = "b".repeat(32);
    insert_event(&server, 31, 2, &id, br#"{"transaction":"GET /"}"#);
    insert_event(&server, 31, 0, &"c".repeat(32), b"{}");
    let list = ok(&ann(&server).get(&format!("{ITEMS}?type=transaction")));
    assert_eq!(
        list,
        json!([{
            "id": list[0]["id"], "type": "transaction", "itemId": id, "dateReceived": "2026-01-02T00:00:01Z",
            "keyId": KEY, "quantity": 1, "size": 23, "header": {}, "payload": {"transaction": "GET /"},
        }])
    );
    let number = list[0]["id"].as_str().expect("a number");
    let answer = ann(&server).get(&format!("{ITEMS}{number}/?type=transaction&download=1"));
    assert_eq!(answer.text(), r#"{"transaction":"GET /"}"#);
    // The number is that of a transaction only.
    let other = ann(&server).get(&format!("{ITEMS}{number}/?type=event"));
    assert_answer(&other, 404, NOT_FOUND);
}

#[test]
fn the_type_is_asked_for_and_its_choices_told() {
    let server = world();
    let choices = "Choose one of: event, security, transaction, feedback, session, sessions, user_report, \
         replay_event, replay_recording, replay_video, profile, profile_chunk, check_in, log, trace_metric, span, \
         statsd, metric_buckets.";
    for (target, wrong) in [
        (ITEMS.to_owned(), "This field is required."),
        (
            format!("{ITEMS}?type=attachment"),
            r#"\"attachment\" is not a valid choice."#,
        ),
        (format!("{ITEMS}1/?type="), r#"\"\" is not a valid choice."#),
    ] {
        let expected = format!(r#"{{"type":["{wrong} {choices}"]}}"#);
        assert_answer(&ann(&server).get(&target), 400, &expected);
    }
}

#[test]
fn who_may_not_read_events_reads_no_items() {
    let server = world();
    let number = insert(&server, CHECK_IN, None, "{}", b"{}");
    for target in [
        format!("{ITEMS}?type=check_in"),
        format!("{ITEMS}{number}/?type=check_in&download=1"),
    ] {
        assert_eq!(server.client().get(&target).status, 401);
        for token in [ORG_CI, ZOE, EVE] {
            assert_answer(&server.with_token(token).get(&target), 403, NO_PERMISSION);
        }
        assert_eq!(server.with_token(NARROW).get(&target).status, 200);
    }
    for target in [
        format!("{ITEMS}999/?type=check_in"),
        format!("{ITEMS}x/?type=check_in"),
        format!("/api/0/projects/acme/shop/items/{number}/?type=check_in"),
        "/api/0/projects/acme/nothing/items/?type=check_in".to_owned(),
    ] {
        assert_answer(&ann(&server).get(&target), 404, NOT_FOUND);
    }
}

#[test]
fn what_an_envelope_brought_can_be_read() {
    let server = world();
    let id = "d".repeat(32);
    let large = "z".repeat((1 << 20) + 7);
    let check_in = format!(r#"{{"check_in_id":"{id}","monitor_slug":"nightly","status":"ok"}}"#);
    let envelope = format!(
        "{{\"event_id\":\"{id}\"}}\n\
         {{\"type\":\"event\"}}\n{{\"message\":\"lost it\"}}\n\
         {{\"type\":\"attachment\",\"filename\":\"large.txt\",\"content_type\":\"text/plain\",\"length\":{}}}\n{large}\n\
         {{\"type\":\"check_in\"}}\n{check_in}\n",
        large.len()
    );
    let target = format!("/api/31/envelope/?sentry_key={KEY}");
    let sent = server.client().post(&target, envelope.as_bytes());
    assert_eq!(sent.status, 200, "{}", sent.text());

    let ann = ann(&server);
    let event = ok(&ann.get(&format!("/api/0/projects/acme/web/events/{id}/")));
    assert_eq!(event["title"], "lost it");
    let attachments = format!("/api/0/projects/acme/web/events/{id}/attachments/");
    let list = ok(&ann.get(&attachments));
    assert_eq!(
        (&list[0]["name"], &list[0]["size"]),
        (&json!("large.txt"), &json!(large.len()))
    );
    let number = list[0]["id"].as_str().expect("a number");
    let downloaded = ann.get(&format!("{attachments}{number}/?download=1"));
    assert!(
        downloaded.body == large.as_bytes(),
        "{} bytes",
        downloaded.body.len()
    );
    let check_ins = ok(&ann.get(&format!("{ITEMS}?type=check_in")));
    assert_eq!(
        (
            &check_ins[0]["itemId"],
            &check_ins[0]["payload"]["monitor_slug"]
        ),
        (&json!(id), &json!("nightly"))
    );
}
