//! `picket team`.

use super::*;

#[test]
fn a_team_is_made_filled_emptied_and_deleted() {
    let picket = world();
    let before = newest(&picket);
    assert_eq!(
        picket.succeed(&["team", "create", "acme/crew", "--name", "Crew"]),
        "team acme/crew is made, with the id 3\n"
    );
    let crew = |slug: &str, members: i64| {
        json!({
            "id": "3", "organization": "acme", "slug": slug, "name": "Crew", "members": members, "created": "<time>",
        })
    };
    let shown = json_of(
        &picket,
        &["team", "update", "acme/crew", "--slug", "web-crew"],
    );
    assert_eq!(timeless(shown), crew("web-crew", 0));
    let add = ["team", "add-member", "acme/web-crew", "ann@example.test"];
    assert_eq!(timeless(json_of(&picket, &add)), crew("web-crew", 1));
    picket.succeed(&[&add[..], &["--role", "admin"]].concat());
    // Without a role the one that is there stays.
    picket.succeed(&add);
    let all = json_of(&picket, &["team", "list", "acme"]);
    assert_eq!(
        (&all[0]["slug"], &timeless(all[1].clone())),
        (&json!("core"), &crew("web-crew", 1))
    );
    let table = picket.succeed(&["team", "list", "acme"]);
    assert!(
        table.starts_with("ID  SLUG      NAME  MEMBERS  CREATED\n1   core      core  1        "),
        "{table}"
    );
    let members = json_of(&picket, &["member", "list", "acme"]);
    assert_eq!(members[0]["teams"], json!(["core", "web-crew:admin"]));
    let remove = ["team", "remove-member", "acme/web-crew", "ann@example.test"];
    assert_eq!(
        picket.succeed(&remove),
        "team acme/web-crew has ann@example.test no longer\n"
    );
    assert_refused(
        &picket.run(&remove),
        1,
        "ann@example.test is not in acme/web-crew",
    );
    assert_eq!(
        picket.succeed(&["team", "delete", "acme/web-crew", "--yes"]),
        "team acme/web-crew is deleted\n"
    );
    let ann = |more: Value| {
        let mut data = json!({"email": "ann@example.test", "user_id": 1, "team_slug": "web-crew"});
        if !more.is_null() {
            data["team_role"] = more["role"].clone();
        }
        data
    };
    let expected = [
        ("team.create", json!({"slug": "crew", "name": "Crew"})),
        (
            "team.edit",
            json!({"slug": "web-crew", "name": "Crew", "old_slug": "crew", "old_name": "Crew"}),
        ),
        ("member.join-team", ann(json!({"role": null}))),
        ("member.edit", ann(json!({"role": "admin"}))),
        ("member.leave-team", ann(Value::Null)),
        ("team.remove", json!({"slug": "web-crew", "name": "Crew"})),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(event, data)| (1, event.to_owned(), data))
        .collect();
    assert_eq!(audited(&picket, before), expected);
}
