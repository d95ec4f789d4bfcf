//! `GET P/events/{event_id}/attachments/` and below.

use super::*;

fn attachments(digit: char) -> String {
    format!("{EVENTS}{}/attachments/", id(digit))
}

#[test]
fn attachments_are_listed_by_name() {
    let server = world();
    insert(&server, EVENT, 'a', &json!({}));
    assert_eq!(ok(&ann(&server).get(&attachments('a'))), json!([]));
    let picture = attach(
        &server,
        &id('a'),
        "screenshot-1.png",
        Some("image/png"),
        b"png",
        None,
    );
    attach(&server, &id('a'), "crash.dmp", None, b"MDMP", None);
    attach(&server, &id('b'), "other.txt", None, b"x", None);
    let list = ok(&ann(&server).get(&attachments('a')));
    assert_eq!(each(&list, "name"), ["crash.dmp", "screenshot-1.png"]);
    assert_eq!(each(&list, "type"), ["event.minidump", "event.attachment"]);
    let expected = json!({
        "id": picture.to_string(), "event_id": id('a'), "type": "event.attachment", "name": "screenshot-1.png",
        "mimetype": "image/png", "dateCreated": "2026-01-02T00:00:00Z", "size": 3,
        "headers": {"Content-Type": "image/png"}, "sha1": "000102030405060708090a0b0c0d0e0f10111213",
    });
    assert_eq!(list[1], expected);
    assert_eq!(
        ok(&ann(&server).get(&format!("{}{picture}/", attachments('a')))),
        expected
    );
    // They may come without their event.
    assert_eq!(
        each(&ok(&ann(&server).get(&attachments('b'))), "name"),
        ["other.txt"]
    );
    for (query, names) in [
        ("query=SHOT", vec!["screenshot-1.png"]),
        ("query=is:screenshot", vec!["screenshot-1.png"]),
        ("query=type:event.minidump", vec!["crash.dmp"]),
        ("query=is:other", vec![]),
        ("query=unknown:key", vec![]),
        ("per_page=1", vec!["crash.dmp"]),
        ("per_page=1&cursor=1:1:0", vec!["screenshot-1.png"]),
    ] {
        let list = ok(&ann(&server).get(&format!("{}?{query}", attachments('a'))));
        assert_eq!(each(&list, "name"), names, "{query}");
    }
}

#[test]
fn an_attachment_is_downloaded_as_it_came() {
    let server = world();
    let page = b"<script>alert(1)</script>";
    let small = attach(
        &server,
        &id('a'),
        "../\u{202e}ü \"page\".html",
        Some("text/html"),
        page,
        None,
    );
    let answer = ann(&server).get(&format!("{}{small}/?download", attachments('a')));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &page[..]));
    for (name, value) in [
        ("Content-Type", "application/octet-stream"),
        ("X-Content-Type-Options", "nosniff"),
        (
            "Content-Disposition",
            "attachment; filename=\"_ _page_.html\"; filename*=UTF-8''%C3%BC%20%22page%22.html",
        ),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[test]
fn a_large_attachment_is_put_together_from_its_parts() {
    let server = world();
    let payload: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    let large = attach(
        &server,
        &id('a'),
        "video.mp4",
        None,
        &payload,
        Some(1 << 20),
    );
    let target = format!("{}{large}/?download=1", attachments('a'));
    let answer = ann(&server).get(&target);
    assert_eq!(answer.status, 200);
    assert!(answer.body == payload, "{} bytes", answer.body.len());
    assert_eq!(answer.header("Content-Length"), Some("3000001"));
    let head = ann(&server).send("HEAD", &target, None);
    assert_eq!(
        (head.header("Content-Length"), head.body.len()),
        (Some("3000001"), 0)
    );
}

#[test]
fn a_download_that_breaks_off_is_no_whole_answer() {
    let server = world();
    let payload = vec![7; 3 << 20];
    let large = attach(
        &server,
        &id('a'),
        "video.mp4",
        None,
        &payload,
        Some(1 << 20),
    );
    let target = format!("{}{large}/?download=1", attachments('a'));
    // What a fault of the disk would do.
    for fault in [
        "UPDATE payload_part SET payload = x'00' WHERE id % 65536 = 2",
        "DELETE FROM payload_part WHERE id % 65536 = 2",
    ] {
        server.database().execute(fault, []).expect("a fault");
        // The beginning is under way by then; the length tells that it is no more than that.
        if let Some(answer) = ann(&server).try_send("GET", &target, None) {
            assert_eq!(answer.header("Content-Length"), Some("3145728"), "{fault}");
            assert!(answer.body.len() < payload.len(), "{fault}");
        }
        // Nothing else suffers.
        assert_eq!(ann(&server).get(&attachments('a')).status, 200);
    }
}

#[test]
fn what_is_not_there_is_told_apart() {
    let server = world();
    insert(&server, EVENT, 'a', &json!({}));
    let other = attach(&server, &id('b'), "other.txt", None, b"x", None);
    for digit in ['c', 'x'] {
        let answer = ann(&server).get(&attachments(digit));
        assert_answer(&answer, 404, r#"{"detail":"Event not found"}"#);
    }
    for target in [
        format!("{}{other}/", attachments('a')),
        format!("{}999/?download=1", attachments('a')),
        format!("{}x/", attachments('a')),
        format!(
            "/api/0/projects/acme/shop/events/{}/attachments/{other}/",
            id('b')
        ),
    ] {
        let answer = ann(&server).get(&target);
        assert_answer(&answer, 404, r#"{"detail":"Attachment not found"}"#);
    }
}

#[test]
fn who_may_not_read_events_reads_no_attachments() {
    let server = world();
    let number = attach(&server, &id('a'), "a.txt", None, b"x", None);
    let one = format!("{}{number}/?download=1", attachments('a'));
    for target in [attachments('a'), one] {
        assert_eq!(server.client().get(&target).status, 401);
        for token in [ORG_CI, ZOE, EVE] {
            assert_answer(&server.with_token(token).get(&target), 403, NO_PERMISSION);
        }
        assert_eq!(server.with_token(NARROW).get(&target).status, 200);
    }
}
