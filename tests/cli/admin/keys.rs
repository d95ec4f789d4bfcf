//! `picket key`.

use super::*;

fn shown(public: &str, name: &str, state: &str, limit: &Value) -> Value {
    json!({
        "public": public, "name": name, "organization": "acme", "project": "web", "project_id": "31", "state": state,
        "rate_limit": limit, "dsn": format!("http://{public}@127.0.0.1:9000/31"), "created": "<time>", "expires": null,
    })
}

#[test]
fn a_key_is_made_limited_switched_replaced_and_deleted() {
    let picket = world();
    let before = newest(&picket);
    let dsn = picket.succeed(&[
        "key",
        "create",
        "acme/web",
        "--name",
        "Staging",
        "--rate-limit",
        "100/60",
    ]);
    let public = &dsn["http://".len()..][..32];
    assert_eq!(dsn, format!("http://{public}@127.0.0.1:9000/31\n"));
    let limit = json!({"count": 100, "window": 60});
    assert_eq!(
        timeless(json_of(&picket, &["key", "list", "acme/web"])),
        json!([
            shown(KEY, "Default", "active", &Value::Null),
            shown(public, "Staging", "active", &limit)
        ])
    );
    let changed = json_of(
        &picket,
        &[
            "key",
            "update",
            public,
            "--name",
            "Old",
            "--disable",
            "--rate-limit",
            "none",
        ],
    );
    assert_eq!(
        timeless(changed),
        shown(public, "Old", "disabled", &Value::Null)
    );
    picket.succeed(&["key", "update", public, "--enable"]);
    let text = picket.succeed(&["key", "show", public]);
    for line in [
        "name     Old\n",
        "project  acme/web\n",
        "state    active\n",
        "limit    none\n",
        "ends     never\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let next = json_of(&picket, &["key", "rotate", public, "--expires", "1h"]);
    let next_public = next["public"].as_str().unwrap().to_owned();
    assert_ne!(next_public, public);
    assert_eq!(
        timeless(next),
        shown(&next_public, "Old", "active", &Value::Null)
    );
    let old = json_of(&picket, &["key", "show", public]);
    assert!(old["expires"].is_string() && old["state"] == "active");
    let table = picket.succeed(&["key", "list", "acme/web"]);
    assert!(
        table.starts_with("NAME     STATE   LIMIT  ENDS "),
        "{table}"
    );
    assert_eq!(
        picket.succeed(&["key", "delete", public, "--yes"]),
        format!("key {public} is deleted\n")
    );
    let log = audited(&picket, before);
    let expires = log[4].2["expires"].clone();
    assert!(expires.is_string());
    let expected = [
        (
            "projectkey.create",
            json!({"public_key": public, "label": "Staging"}),
        ),
        (
            "projectkey.edit",
            json!({
                "public_key": public, "label": "Old", "isActive": false, "prev_rate_limit_count": 100,
                "rate_limit_count": null, "prev_rate_limit_window": 60, "rate_limit_window": null,
            }),
        ),
        (
            "projectkey.edit",
            json!({"public_key": public, "isActive": true}),
        ),
        (
            "projectkey.create",
            json!({"public_key": next_public, "label": "Old"}),
        ),
        (
            "projectkey.edit",
            json!({"public_key": public, "expires": expires}),
        ),
        (
            "projectkey.remove",
            json!({"public_key": public, "label": "Old"}),
        ),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(event, data)| (1, event.to_owned(), data))
        .collect();
    assert_eq!(log, expected);
}

#[test]
fn a_key_that_has_ended_is_switched_on_without_an_end() {
    let picket = world();
    let set = "UPDATE client_key SET expires_us = 1 WHERE project_id = 31";
    assert_eq!(picket.database().execute(set, []).unwrap(), 1);
    assert_eq!(json_of(&picket, &["key", "show", KEY])["state"], "ended");
    let on = timeless(json_of(&picket, &["key", "update", KEY, "--enable"]));
    assert_eq!(on, shown(KEY, "Default", "active", &Value::Null));
}
