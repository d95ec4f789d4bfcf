//! `picket org`.

use super::*;

fn acme() -> Value {
    json!({
        "id": "1", "slug": "acme", "name": "Acme", "created": "<time>", "members": 1, "teams": 1, "projects": 1,
        "open_membership": true, "members_invite": true, "members_create_projects": true,
        "members_delete_events": true, "members_change_alerts": true,
    })
}

#[test]
fn an_organization_is_shown_with_what_it_has() {
    let picket = world();
    assert_eq!(timeless(json_of(&picket, &["org", "show", "acme"])), acme());
    assert_eq!(timeless(json_of(&picket, &["org", "show", "1"])), acme());
    let text = picket.succeed(&["org", "show", "acme"]);
    for line in [
        "slug                     acme\n",
        "projects                 1\n",
        "open-membership          on\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let all = json_of(&picket, &["org", "list"]);
    assert_eq!(timeless(all[0].clone()), acme());
    assert_eq!(
        (&all[1]["slug"], &all[1]["members"]),
        (&json!("beta"), &json!(0))
    );
    let table = picket.succeed(&["org", "list"]);
    assert!(table.starts_with("ID  SLUG  NAME  MEMBERS  TEAMS  PROJECTS  CREATED\n1   acme  Acme  1        1      1         "), "{table}");
    assert_eq!(table.lines().count(), 3);
}

#[test]
fn an_organization_is_made_changed_and_deleted() {
    let picket = world();
    let before = newest(&picket);
    assert_eq!(
        picket.succeed(&[
            "org",
            "create",
            "gamma",
            "--name",
            "Gamma Ltd",
            "--owner",
            "bob@example.test"
        ]),
        "organization gamma is made, with the id 3\n"
    );
    let changed = json_of(
        &picket,
        &[
            "org",
            "update",
            "gamma",
            "--slug",
            "delta",
            "--name",
            "Delta",
            "--open-membership",
            "off",
            "--members-invite",
            "off",
        ],
    );
    assert_eq!(
        [
            &changed["slug"],
            &changed["name"],
            &changed["open_membership"],
            &changed["members_invite"],
            &changed["members"]
        ],
        [
            &json!("delta"),
            &json!("Delta"),
            &json!(false),
            &json!(false),
            &json!(1)
        ]
    );
    // The same once more is no change.
    picket.succeed(&["org", "update", "delta", "--name", "Delta"]);
    let deleted = json_of(&picket, &["org", "delete", "delta", "--yes"]);
    assert_eq!(
        deleted,
        json!({"id": "3", "slug": "delta", "deleted": true})
    );
    assert_eq!(
        json_of(&picket, &["org", "list"]).as_array().unwrap().len(),
        2
    );
    assert_eq!(
        audited(&picket, before),
        [
            (
                3,
                "org.create".to_owned(),
                json!({"slug": "gamma", "name": "Gamma Ltd"})
            ),
            (
                3,
                "member.add".to_owned(),
                json!({
                    "email": "bob@example.test", "user_id": 2, "role": "owner", "teams": [], "teams_slugs": [],
                })
            ),
            (
                3,
                "org.edit".to_owned(),
                json!({
                    "slug": "from gamma to delta", "name": "from Gamma Ltd to Delta",
                    "openMembership": "from true to false", "allowMemberInvite": "from true to false",
                })
            ),
            (
                3,
                "org.remove".to_owned(),
                json!({"slug": "delta", "name": "Delta"})
            ),
        ]
    );
}
