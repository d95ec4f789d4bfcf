//! `P/ownership/`.

use serde_json::{Value, json};

use super::super::*;

const OWNERSHIP: &str = "/api/0/projects/acme/web/ownership/";

#[test]
fn a_project_without_rules_has_the_defaults() {
    let server = world();
    assert_eq!(
        ok(&ann(&server).get(OWNERSHIP)),
        json!({
            "raw": null, "fallthrough": true, "dateCreated": null, "lastUpdated": null, "isActive": true,
            "autoAssignment": "Auto Assign to Issue Owner", "codeownersAutoSync": true,
        })
    );
}

#[test]
fn rules_are_kept_and_read() {
    let server = world();
    let ann = ann(&server);
    let ops = "/api/0/projects/acme/web/teams/ops/";
    assert_eq!(ann.post_json(ops, &json!({})).status, 201);
    let raw = "# who\nsrc/* #core ann@example.test\ntags.area:\"check out\" #ops";
    let body = json!({
        "raw": raw, "fallthrough": false, "autoAssignment": "Turn off Auto-Assignment", "codeownersAutoSync": false,
    });
    let set = ok(&ann.put_json(OWNERSHIP, &body));
    for (field, value) in body.as_object().expect("an object") {
        assert_eq!(&set[field], value, "{field}");
    }
    assert_eq!(set["dateCreated"], "2026-01-02T00:00:00Z");
    assert_eq!(set["schema"]["$version"], 1);
    let rules = &set["schema"]["rules"];
    assert_eq!(
        rules[0]["matcher"],
        json!({"type": "path", "pattern": "src/*"})
    );
    assert_eq!(
        each(&rules[0]["owners"], "name"),
        ["core", "ann@example.test"]
    );
    assert_eq!(each(&rules[0]["owners"], "type"), ["team", "user"]);
    assert_eq!(
        rules[1]["matcher"],
        json!({"type": "tags.area", "pattern": "check out"})
    );

    server.advance(60);
    let partly = ok(&ann.put_json(OWNERSHIP, &json!({"fallthrough": true})));
    assert_eq!(
        (&partly["raw"], &partly["fallthrough"]),
        (&json!(raw), &json!(true))
    );
    assert_eq!(partly["lastUpdated"], "2026-01-02T00:01:00Z");
    assert_eq!(partly["dateCreated"], "2026-01-02T00:00:00Z");
    // What is there already changes nothing.
    server.advance(60);
    let same = ok(&ann.put_json(OWNERSHIP, &json!({"raw": raw, "fallthrough": true})));
    assert_eq!(same, partly);
    // An owner that can see the project no more is no longer named.
    assert_eq!(ann.delete(ops).status, 200);
    assert_eq!(
        ok(&ann.get(OWNERSHIP))["schema"]["rules"][1]["owners"],
        json!([])
    );
    let cleared = ok(&ann.put_json(OWNERSHIP, &json!({"raw": ""})));
    assert_eq!(cleared["raw"], Value::Null);
    let entries: i64 = server
        .database()
        .query_row(
            "SELECT count(*) FROM audit_entry WHERE event = 'project.ownership-rule.edit'",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(entries, 3);
}

#[test]
fn what_is_wrong_is_named_and_nothing_changes() {
    let server = world();
    let ann = ann(&server);
    for (body, expected) in [
        (
            json!({"raw": "src/* #core\nurl:x"}),
            json!({"raw": ["Parse error: a rule has no owner (line 2, column 6)"]}),
        ),
        (
            json!({"raw": "path:a nobody@example.test #core #ghosts\npath:b #ghosts"}),
            json!({"raw": ["Invalid rule owners: #ghosts, nobody@example.test"]}),
        ),
        // Known to the server, and no member here.
        (
            json!({"raw": "path:a eve@example.test"}),
            json!({"raw": ["Invalid rule owners: eve@example.test"]}),
        ),
        // A team of the organization that has not the project.
        (
            json!({"raw": "path:a #ops"}),
            json!({"raw": ["Invalid rule owners: #ops"]}),
        ),
        (
            json!({"raw": "codeowners:a #core"}),
            json!({"raw": ["Codeowner type paths can only be added by importing CODEOWNER files"]}),
        ),
        (
            json!({"raw": "#".repeat(100_001)}),
            json!({"raw": ["Raw needs to be <= 100000 characters in length"]}),
        ),
        (
            json!({"fallthrough": "maybe"}),
            json!({"fallthrough": ["Must be a valid boolean."]}),
        ),
        (
            json!({"autoAssignment": "x"}),
            json!({"autoAssignment": {"autoAssignment": "Invalid selection."}}),
        ),
        (
            json!({"autoAssignment": "x", "fallthrough": null, "raw": "a"}),
            json!({
                "autoAssignment": {"autoAssignment": "Invalid selection."},
                "fallthrough": ["This field may not be null."],
                "raw": ["Parse error: a rule has no owner (line 1, column 2)"],
            }),
        ),
    ] {
        let answer = ann.put_json(OWNERSHIP, &body);
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    assert_eq!(ok(&ann.get(OWNERSHIP))["dateCreated"], Value::Null);
}

#[test]
fn a_reader_writes_rules_and_nothing_else() {
    let server = world();
    let bob = server.with_token(BOB);
    let rules = json!({"raw": "path:a #core"});
    assert_eq!(ok(&bob.put_json(OWNERSHIP, &rules))["raw"], "path:a #core");
    let more = json!({"raw": "path:a #core", "fallthrough": false});
    for other in [more, json!({"fallthrough": false}), json!({})] {
        assert_answer(&bob.put_json(OWNERSHIP, &other), 403, NO_PERMISSION);
    }
    assert_eq!(ok(&bob.get(OWNERSHIP))["fallthrough"], true);
}

#[test]
fn an_owner_must_see_the_project() {
    let server = world();
    let ann = ann(&server);
    let rules = json!({"raw": "path:a BOB@example.test"});
    // Everybody sees it in an open organization.
    let schema = |answer: &Answer| ok(answer)["schema"]["rules"][0]["owners"].clone();
    let owners = schema(&ann.put_json(OWNERSHIP, &rules));
    assert_eq!(each(&owners, "name"), ["bob@example.test"]);
    let closed = json!({"openMembership": false});
    ok(&ann.put_json("/api/0/organizations/acme/", &closed));
    assert_eq!(schema(&ann.get(OWNERSHIP)), json!([]));
    let again = ann.put_json(OWNERSHIP, &rules);
    let expected = json!({"raw": ["Invalid rule owners: BOB@example.test"]});
    assert_eq!((again.status, again.json()), (400, expected));
    // Or whoever is in a team that has it.
    let team = "/api/0/projects/acme/web/teams/ops/";
    assert_eq!(ann.post_json(team, &json!({})).status, 201);
    assert_eq!(schema(&ann.put_json(OWNERSHIP, &rules)), owners);
}
