//! A project moves to another organization: `P/transfer/` and `/api/0/accept-transfer/`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const TRANSFER: &str = "/api/0/projects/acme/web/transfer/";
const ACCEPT: &str = "/api/0/accept-transfer/";

/// The secret of a link that offers `web` to somebody.
#[track_caller]
fn offer(server: &Server, email: &str) -> String {
    let answer = ann(server).post_json(TRANSFER, &json!({ "email": email }));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["email"], email);
    let link = body["transferLink"].as_str().expect("a link");
    let start = format!("{}/accept-transfer/?data=", server.url_prefix());
    link.strip_prefix(&start)
        .expect("a link of this server")
        .to_owned()
}

/// Sends an error with a key.
fn send_with(server: &Server, public: &str) -> Answer {
    let project = if public == KEY { 31 } else { 41 };
    let target = format!("/api/{project}/store/?sentry_key={public}");
    server.client().post(&target, br#"{"message":"x"}"#)
}

fn take(server: &Server, data: &str) -> Answer {
    let body = json!({"data": data, "organization": "beta", "team": "team-b"});
    server.with_token(EVE).post_json(ACCEPT, &body)
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""));
}

fn entries(server: &Server, organization: &str) -> Vec<(String, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT event, data FROM audit_entry
             WHERE organization_id = (SELECT id FROM organization WHERE slug = ?1)
               AND actor_user_id IS NOT NULL AND event LIKE '%transfer' ORDER BY id",
        )
        .expect("a log");
    let rows = statement
        .query_map([organization], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        })
        .expect("rows");
    rows.map(|row| {
        let (event, data) = row.expect("a row");
        (event, serde_json::from_str(&data).expect("JSON"))
    })
    .collect()
}

#[test]
fn an_owner_elsewhere_takes_what_is_offered() {
    let server = world();
    let data = offer(&server, "EVE@example.test");
    let eve = server.with_token(EVE);
    let shown = ok(&eve.get(&format!("{ACCEPT}?data={data}")));
    assert_eq!(
        shown,
        json!({
            "project": {
                "id": "31", "slug": "web", "name": "Web",
                "organization": {"id": "1", "slug": "acme", "name": "Acme"},
            },
            "organizations": [{
                "id": "2", "slug": "beta", "name": "Beta",
                "teams": [{"id": "3", "slug": "team-b", "name": "team-b"}],
            }],
        })
    );
    assert_eq!(send_with(&server, KEY).status, 200);
    assert_done(&take(&server, &data));
    assert_eq!(send_with(&server, KEY).status, 200);
    assert_eq!(server.event_count(), 2);

    let moved = ok(&eve.get("/api/0/projects/beta/web/"));
    assert_eq!(moved["id"], "31");
    assert_eq!(each(&moved["teams"], "slug"), ["team-b"]);
    let keys = ok(&eve.get("/api/0/projects/beta/web/keys/"));
    assert_eq!(each(&keys, "public"), [KEY]);
    let of_organization = ok(&eve.get("/api/0/organizations/beta/project-keys/?project=-1"));
    assert!(each(&of_organization, "public").contains(&&json!(KEY)));
    // Nothing is left of it in the old one.
    for gone in ["/api/0/projects/acme/web/", "/api/0/projects/acme/31/"] {
        assert_answer(&ann(&server).get(gone), 404, NOT_FOUND);
        assert_eq!(eve.get(gone).status, 404);
    }
    assert_answer(
        &ann(&server).get("/api/0/projects/beta/web/"),
        403,
        NO_PERMISSION,
    );
    let left = ok(&ann(&server).get("/api/0/organizations/acme/project-keys/?project=-1"));
    assert!(!each(&left, "public").contains(&&json!(KEY)));
    // The link worked once.
    let again = take(&server, &data);
    assert_answer(
        &again,
        400,
        r#"{"detail":"This transfer link is not valid, or it was used already."}"#,
    );

    let accepted = (
        "project.accept-transfer".to_owned(),
        json!({"project_slug": "web", "old_organization_slug": "acme", "new_organization_slug": "beta"}),
    );
    let requested = (
        "project.request-transfer".to_owned(),
        json!({"project_slug": "web", "email": "EVE@example.test"}),
    );
    assert_eq!(entries(&server, "acme"), [requested, accepted.clone()]);
    assert_eq!(entries(&server, "beta"), [accepted]);
}

/// Whatever happens at the same time, every event is kept and counted once, in the ledger of the project that moves.
#[test]
fn events_that_come_while_it_moves_are_counted_once() {
    const SENDERS: usize = 4;
    let server = world();
    let eve_in_acme =
        "INSERT INTO member (organization_id, user_id, role, created_us) SELECT 1, id, 'owner', 0
                       FROM user WHERE email = 'eve@example.test'";
    server
        .database()
        .execute_batch(eve_in_acme)
        .expect("an insert");
    /// Ends the senders also when something fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(send_with(&server, KEY).status, 200);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&stop);
        let eve = server.with_token(EVE);
        // There and back, a few times.
        for round in 0..10 {
            let (from, to) = match round % 2 {
                0 => ("acme", "beta"),
                _ => ("beta", "acme"),
            };
            let before = sent.load(Ordering::Relaxed);
            while sent.load(Ordering::Relaxed) < before + 5 {
                std::thread::yield_now();
            }
            let path = format!("/api/0/projects/{from}/web/transfer/");
            let offered = eve
                .post_json(&path, &json!({"email": "eve@example.test"}))
                .json();
            let link = offered["transferLink"].as_str().expect("a link");
            let data = link.split_once('=').expect("a secret").1;
            assert_done(&eve.post_json(ACCEPT, &json!({"data": data, "organization": to})));
        }
    });
    let sent = i64::try_from(sent.load(Ordering::Relaxed)).expect("a number");
    assert_eq!(server.event_count(), sent);
    assert_eq!(server.ledger(), [(1, 0, String::new(), sent)]);
    assert_eq!(totals(&server), [sent, 0]);
}

/// How many errors were accepted in each of the two organizations, as far as their owners are told.
fn totals(server: &Server) -> [i64; 2] {
    // What is just being counted has no part in a period up to now.
    server.advance(60);
    ["acme", "beta"].map(|organization| {
        let owner = match organization {
            "acme" => ann(server),
            _ => server.with_token(EVE),
        };
        let path = format!(
            "/api/0/organizations/{organization}/stats_v2/?field=sum(quantity)&category=error&outcome=accepted&statsPeriod=1d&interval=1h"
        );
        let groups = ok(&owner.get(&path))["groups"].as_array().expect("groups").clone();
        let total = |group: &Value| group["totals"]["sum(quantity)"].as_i64().expect("a number");
        groups.iter().map(total).sum()
    })
}

/// An organization's totals are those of its projects: what was counted of a project goes with it.
#[test]
fn what_was_counted_goes_with_the_project() {
    let server = world();
    for _ in 0..3 {
        assert_eq!(send_with(&server, KEY).status, 200);
    }
    assert_eq!(
        send_with(&server, "33333333333333333333333333333333").status,
        200
    );
    assert_eq!(totals(&server), [3, 1]);
    let data = offer(&server, "eve@example.test");
    assert_done(&take(&server, &data));
    assert_eq!(totals(&server), [0, 4]);
    assert_eq!(send_with(&server, KEY).status, 200);
    assert_eq!(totals(&server), [0, 5]);
}

#[test]
fn the_settings_of_the_new_organization_hold_at_once() {
    let server = world();
    let limit = json!({"defaultRateLimit": {"count": 1, "window": 3600}});
    ok(&server
        .with_token(EVE)
        .put_json("/api/0/organizations/beta/", &limit));
    for _ in 0..3 {
        assert_eq!(send_with(&server, KEY).status, 200);
    }
    let data = offer(&server, "eve@example.test");
    assert_done(&take(&server, &data));
    assert_eq!(send_with(&server, KEY).status, 200);
    assert_eq!(send_with(&server, KEY).status, 429);
}

#[test]
fn slugs_bookmarks_and_owners_are_those_of_the_new_place() {
    let server = world();
    let ann = ann(&server);
    let database = server.database();
    // `hidden` is taken in `beta`, and `web` was the slug of another project there.
    ok(&ann.put_json("/api/0/projects/acme/web/", &json!({"slug": "older"})));
    ok(&ann.put_json(
        "/api/0/projects/acme/older/",
        &json!({"slug": "hidden", "isBookmarked": true}),
    ));
    ok(&ann.put_json(
        "/api/0/projects/acme/hidden/ownership/",
        &json!({"raw": "path:a ann@example.test #core"}),
    ));
    database
        .execute_batch("INSERT INTO project_bookmark (user_id, project_id) SELECT id, 31 FROM user WHERE name = 'eve@example.test'")
        .expect("an insert");
    let path = "/api/0/projects/acme/hidden/transfer/";
    let offered = ann
        .post_json(path, &json!({"email": "eve@example.test"}))
        .json();
    let link = offered["transferLink"].as_str().expect("a link");
    let data = link.split_once('=').expect("a secret").1;
    assert_done(&take(&server, data));
    let eve = server.with_token(EVE);
    let moved = ok(&eve.get("/api/0/projects/beta/31/"));
    let slug = moved["slug"].as_str().expect("a slug");
    assert!(slug.starts_with("hidden-"), "{slug}");
    assert_eq!(ok(&eve.get("/api/0/projects/beta/hidden/"))["id"], "41");
    for old in ["web", "older", "hidden"] {
        assert_answer(
            &ann.get(&format!("/api/0/projects/acme/{old}/")),
            404,
            NOT_FOUND,
        );
    }
    assert_eq!(count_rows(&server, "project_slug_redirect"), 0);
    assert_eq!(moved["isBookmarked"], true);
    assert_eq!(count_rows(&server, "project_bookmark"), 1);
    // The rules stay as they were written; whom they name is not there.
    let ownership = ok(&eve.get(&format!("/api/0/projects/beta/{slug}/ownership/")));
    assert_eq!(ownership["raw"], "path:a ann@example.test #core");
    assert_eq!(ownership["schema"]["rules"][0]["owners"], json!([]));
    // The slug is free where it was.
    let again = json!({"name": "Web", "slug": "web"});
    assert_eq!(
        ann.post_json("/api/0/teams/acme/core/projects/", &again)
            .status,
        201
    );
}

#[test]
fn a_token_for_one_project_is_for_no_other_when_that_has_gone() {
    let server = world();
    server
        .database()
        .execute_batch("INSERT INTO auth_token_project (token_id, project_id) SELECT id, 31 FROM auth_token WHERE name = 'robot'")
        .expect("an insert");
    let data = offer(&server, "eve@example.test");
    assert_done(&take(&server, &data));
    let robot = server.with_token(ORG_ROBOT);
    assert_eq!(robot.get("/api/0/projects/acme/shop/").status, 403);
    assert_eq!(robot.get("/api/0/projects/beta/web/").status, 403);
}

#[test]
fn a_link_is_good_for_one_person_a_week_and_until_the_next() {
    let server = world();
    let to_zoe = offer(&server, "zoe@example.test");
    let other = r#"{"detail":"This project was offered to somebody else."}"#;
    assert_answer(&take(&server, &to_zoe), 403, other);
    let shown = server
        .with_token(EVE)
        .get(&format!("{ACCEPT}?data={to_zoe}"));
    assert_answer(&shown, 403, other);
    let first = offer(&server, "eve@example.test");
    let invalid = r#"{"detail":"This transfer link is not valid, or it was used already."}"#;
    for wrong in [to_zoe.as_str(), "", "x", &"0".repeat(64)] {
        let answer = server
            .with_token(EVE)
            .get(&format!("{ACCEPT}?data={wrong}"));
        assert_answer(&answer, 400, invalid);
    }
    let second = offer(&server, "eve@example.test");
    assert_answer(&take(&server, &first), 400, invalid);
    server.advance(7 * 86_400);
    assert_answer(
        &take(&server, &second),
        400,
        r#"{"detail":"This transfer link has expired. Ask for a new one."}"#,
    );
    // Whoever offered it must still have a say when it is taken.
    let third = offer(&server, "eve@example.test");
    let change = |sql: &str| server.database().execute_batch(sql).expect("a change");
    change("UPDATE member SET role = 'member' WHERE id = 1");
    assert_answer(&take(&server, &third), 400, invalid);
    change(
        "UPDATE member SET role = 'owner' WHERE id = 1; UPDATE user SET active = 0 WHERE id = 1",
    );
    assert_answer(&take(&server, &third), 400, invalid);
    change("UPDATE user SET active = 1 WHERE id = 1");
    assert_done(&take(&server, &third));
}

#[test]
fn it_is_taken_into_an_organization_of_the_takers_own() {
    let server = world();
    let data = offer(&server, "eve@example.test");
    let eve = server.with_token(EVE);
    let post = |body: Value| eve.post_json(ACCEPT, &body);
    let nowhere = r#"{"organization":["There is no such organization, or you may not take projects into it."]}"#;
    for organization in ["acme", "nowhere", "99"] {
        assert_answer(
            &post(json!({"data": data, "organization": organization})),
            400,
            nowhere,
        );
    }
    for team in ["core", "nothing", "99"] {
        assert_answer(
            &post(json!({"data": data, "organization": "beta", "team": team})),
            400,
            r#"{"team":["There is no such team in that organization."]}"#,
        );
    }
    assert_answer(
        &post(json!({})),
        400,
        r#"{"data":["This field is required."],"organization":["This field is required."]}"#,
    );
    // A plain member of the other organization may not, nor a token that may not there.
    server
        .database()
        .execute_batch("UPDATE member SET role = 'member' WHERE id = 3")
        .expect("a change");
    assert_answer(
        &post(json!({"data": data, "organization": "beta"})),
        400,
        nowhere,
    );
    let shown = ok(&eve.get(&format!("{ACCEPT}?data={data}")));
    assert_eq!(shown["organizations"], json!([]));
    server
        .database()
        .execute_batch("UPDATE member SET role = 'manager' WHERE id = 3")
        .expect("a change");
    assert_done(&post(
        json!({"data": data, "organization": "2", "team": null}),
    ));
    let moved = ok(&eve.get("/api/0/projects/beta/web/"));
    assert_eq!(moved["teams"], json!([]));
}

#[test]
fn the_same_organization_is_no_other() {
    let server = world();
    let data = offer(&server, "ann@example.test");
    assert_answer(
        &ann(&server).post_json(ACCEPT, &json!({"data": data, "organization": "acme"})),
        400,
        r#"{"organization":["The project is in this organization already."]}"#,
    );
    let shown = ok(&ann(&server).get(&format!("{ACCEPT}?data={data}")));
    assert_eq!(shown["organizations"], json!([]));
}

#[test]
fn an_offer_needs_an_address_and_the_right_to_give_the_project_away() {
    let server = world();
    for (body, text) in [
        (json!({}), r#"{"email":["This field is required."]}"#),
        (
            json!({"email": ""}),
            r#"{"email":["This field may not be blank."]}"#,
        ),
        (
            json!({"email": "eve"}),
            r#"{"email":["Enter a valid email address."]}"#,
        ),
    ] {
        assert_answer(&ann(&server).post_json(TRANSFER, &body), 400, text);
    }
    let body = json!({"email": "eve@example.test"});
    for token in [BOB, READER, EVE] {
        assert_eq!(
            server.with_token(token).post_json(TRANSFER, &body).status,
            403
        );
    }
    assert_eq!(count_rows(&server, "project_transfer"), 0);
    // A token of the organization may; it cannot take anything.
    let offered = server.with_token(ORG_ROBOT).post_json(TRANSFER, &body);
    assert_eq!(offered.status, 201);
    let link = offered.json()["transferLink"]
        .as_str()
        .expect("a link")
        .to_owned();
    let data = link.split_once('=').expect("a secret").1;
    let robot = server
        .with_token(ORG_ROBOT)
        .get(&format!("{ACCEPT}?data={data}"));
    assert_answer(&robot, 401, r#"{"detail":"User is not authenticated"}"#);
    assert_done(&take(&server, data));
}

/// The file has nothing that could be followed.
#[test]
fn a_link_is_kept_as_a_hash() {
    let server = world();
    let data = offer(&server, "eve@example.test");
    let file = std::fs::read(server.file()).expect("the file");
    let log = std::fs::read(server.file().with_extension("db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(64).any(|window| window == data.as_bytes());
    assert!(!holds(&file) && !holds(&log));
}
