//! `P/filters/` and `P/environments/`.

use serde_json::{Value, json};

use super::super::*;

const FILTERS: &str = "/api/0/projects/acme/web/filters/";
const ENVIRONMENTS: &str = "/api/0/projects/acme/web/environments/";

fn active(server: &Server, id: &str) -> Value {
    let all = ok(&ann(server).get(FILTERS));
    let list = all.as_array().expect("a list");
    let filter = list.iter().find(|filter| filter["id"] == id);
    filter.expect("a filter")["active"].clone()
}

#[test]
fn filters_are_listed_by_id() {
    let server = world();
    assert_eq!(
        ok(&ann(&server).get(FILTERS)),
        json!([
            {"id": "browser-extensions", "active": false}, {"id": "filtered-transaction", "active": true},
            {"id": "legacy-browsers", "active": false}, {"id": "localhost", "active": false},
            {"id": "web-crawlers", "active": false},
        ])
    );
}

#[test]
fn a_filter_that_is_switched_on_drops_the_next_event() {
    let server = world();
    let ann = ann(&server);
    let crawler = || {
        let path = format!("/api/31/store/?sentry_key={KEY}");
        let event = json!({
            "message": "x", "request": {"headers": [["User-Agent", "Googlebot/2.1"]], "url": "https://a.test/"},
        });
        server
            .client()
            .post(&path, event.to_string().as_bytes())
            .status
    };
    assert_eq!(crawler(), 200);
    let on = ann.put_json(&format!("{FILTERS}web-crawlers/"), &json!({"active": true}));
    assert_eq!((on.status, on.text()), (204, ""));
    assert_eq!(crawler(), 200);
    assert_eq!(server.event_count(), 1);
    assert!(
        server
            .ledger()
            .iter()
            .any(|(_, outcome, reason, _)| *outcome == 1 && reason == "web-crawlers")
    );
    // A body without `active` switches off.
    assert_eq!(
        ann.put_json(&format!("{FILTERS}web-crawlers/"), &json!({}))
            .status,
        204
    );
    assert_eq!(crawler(), 200);
    assert_eq!(server.event_count(), 2);
    let events: Vec<(String, String)> = {
        let database = server.database();
        let mut statement = database
            .prepare("SELECT event, data ->> 'state' FROM audit_entry WHERE event LIKE 'project.%able' ORDER BY id")
            .expect("a statement");
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    };
    let entry = |event: &str| (event.to_owned(), "web-crawlers".to_owned());
    assert_eq!(events, [entry("project.enable"), entry("project.disable")]);
}

#[test]
fn legacy_browsers_are_named_or_meant_all() {
    let server = world();
    let ann = ann(&server);
    let path = format!("{FILTERS}legacy-browsers/");
    for (body, expected) in [
        (
            json!({"subfilters": ["safari", "ie", "ie"]}),
            json!(["ie", "safari"]),
        ),
        (json!({"active": true, "subfilters": ["ie"]}), json!(true)),
        (json!({"subfilters": []}), json!(false)),
        (json!({"subfilters": ["ie_pre_9"]}), json!(["ie_pre_9"])),
        (json!({"active": false, "subfilters": ["ie"]}), json!(false)),
    ] {
        assert_eq!(ann.put_json(&path, &body).status, 204, "{body}");
        assert_eq!(active(&server, "legacy-browsers"), expected, "{body}");
    }
    let wrong = ann.put_json(&path, &json!({"subfilters": ["netscape"]}));
    assert_answer(
        &wrong,
        400,
        r#"{"subfilters":["\"netscape\" is not a valid choice."]}"#,
    );
    let wrong = ann.put_json(&path, &json!({"active": "maybe"}));
    assert_answer(&wrong, 400, r#"{"active":["Must be a valid boolean."]}"#);
    let unknown = ann.put_json(
        &format!("{FILTERS}legacy-browser/"),
        &json!({"active": true}),
    );
    assert_answer(&unknown, 404, NOT_FOUND);
}

/// Makes environments by hand; events make them otherwise.
fn insert(server: &Server, names: &[&str]) {
    for name in names {
        server
            .database()
            .execute(
                "INSERT INTO environment (project_id, name, first_us) VALUES (31, ?1, 0)",
                [name],
            )
            .expect("an insert");
    }
}

#[test]
fn environments_are_hidden_and_shown() {
    let server = world();
    let ann = ann(&server);
    assert_eq!(ok(&ann.get(ENVIRONMENTS)), json!([]));
    insert(&server, &["staging", "production", "a b"]);
    assert_eq!(
        each(&ok(&ann.get(ENVIRONMENTS)), "name"),
        ["a b", "production", "staging"]
    );
    let hidden = ok(&ann.put_json(&format!("{ENVIRONMENTS}a%20b/"), &json!({"isHidden": true})));
    assert_eq!(
        (&hidden["name"], &hidden["isHidden"]),
        (&json!("a b"), &json!(true))
    );
    assert_eq!(ok(&ann.get(&format!("{ENVIRONMENTS}a%20b/"))), hidden);
    let several = json!({"environmentNames": ["staging", "nowhere", "staging"], "isHidden": true});
    assert_eq!(
        each(&ok(&ann.put_json(ENVIRONMENTS, &several)), "name"),
        ["staging"]
    );
    for (visibility, names) in [
        ("visible", vec!["production"]),
        ("hidden", vec!["a b", "staging"]),
        ("all", vec!["a b", "production", "staging"]),
    ] {
        let list = ok(&ann.get(&format!("{ENVIRONMENTS}?visibility={visibility}")));
        assert_eq!(each(&list, "name"), names);
    }
    // Lists of projects show those that are not hidden.
    let projects = ok(&ann.get("/api/0/organizations/acme/projects/?query=slug:web"));
    assert_eq!(projects[0]["environments"], json!(["production"]));
}

#[test]
fn what_is_wrong_with_environments_is_named() {
    let server = world();
    let ann = ann(&server);
    insert(&server, &["production"]);
    let wrong = ann.get(&format!("{ENVIRONMENTS}?visibility=x"));
    assert_answer(
        &wrong,
        400,
        r#"{"detail":"Invalid value for 'visibility', valid values are: ['all', 'hidden', 'visible']"}"#,
    );
    let required = "This field is required.";
    let wrong = ann.put_json(ENVIRONMENTS, &json!({}));
    assert_eq!(
        (wrong.status, wrong.json()),
        (
            400,
            json!({"environmentNames": [required], "isHidden": [required]})
        )
    );
    let many = json!({"environmentNames": vec!["x"; 1001], "isHidden": true});
    assert_eq!(ann.put_json(ENVIRONMENTS, &many).status, 400);
    let wrong = ann.put_json(&format!("{ENVIRONMENTS}production/"), &json!({}));
    assert_eq!(
        (wrong.status, wrong.json()),
        (400, json!({"isHidden": [required]}))
    );
    assert_answer(&ann.get(&format!("{ENVIRONMENTS}nowhere/")), 404, NOT_FOUND);
    let unknown = ann.put_json(
        &format!("{ENVIRONMENTS}nowhere/"),
        &json!({"isHidden": true}),
    );
    assert_answer(&unknown, 404, NOT_FOUND);
}
