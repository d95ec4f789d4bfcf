//! `picket project`.

use super::*;

#[test]
fn a_project_is_made_with_a_key_shown_changed_and_deleted() {
    let picket = world();
    let before = newest(&picket);
    let dsn = picket.succeed(&[
        "project",
        "create",
        "acme/shop",
        "--name",
        "Shop",
        "--platform",
        "python",
        "--team",
        "core",
        "--id",
        "50",
        "--url-prefix",
        "https://errors.test",
    ]);
    let key = dsn
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix("@errors.test/50\n"))
        .unwrap();
    assert_eq!(key.len(), 32);
    let shop = |slug: &str, name: &str, platform: Value, teams: &[&str]| {
        json!({
            "id": "50", "organization": "acme", "slug": slug, "name": name, "platform": platform, "teams": teams, "options": {},
            "dsns": [format!("http://{key}@127.0.0.1:9000/50")], "first_event": null, "created": "<time>",
        })
    };
    let shown = timeless(json_of(&picket, &["project", "show", "acme/shop"]));
    assert_eq!(shown, shop("shop", "Shop", json!("python"), &["core"]));
    let text = picket.succeed(&["project", "show", "1/50"]);
    for line in [
        "platform      python\n",
        "teams         core\n",
        "first event   never\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    picket.succeed(&["team", "create", "acme/ops"]);
    let changed = json_of(
        &picket,
        &[
            "project",
            "update",
            "acme/shop",
            "--slug",
            "store",
            "--name",
            "Store",
            "--platform",
            "",
            "--add-team",
            "ops",
            "--remove-team",
            "core",
        ],
    );
    assert_eq!(
        timeless(changed),
        shop("store", "Store", Value::Null, &["ops"])
    );
    assert_refused(
        &picket.run(&["project", "update", "acme/store", "--slug", "web"]),
        1,
        "--slug: the project web has web",
    );
    let all = json_of(&picket, &["project", "list", "acme"]);
    assert_eq!(
        (&all[0]["slug"], &all[1]["slug"]),
        (&json!("store"), &json!("web"))
    );
    let table = picket.succeed(&["project", "list", "acme"]);
    assert!(
        table.starts_with(
            "ID  SLUG   NAME   PLATFORM  TEAMS  CREATED\n50  store  Store            ops    "
        ),
        "{table}"
    );
    assert_eq!(
        picket.succeed(&["project", "delete", "acme/store", "--yes"]),
        "project acme/store is deleted\n"
    );
    let expected = [
        ("project.create", json!({"slug": "shop", "name": "Shop"})),
        (
            "project-team.add",
            json!({"project_slug": "shop", "team_id": 1, "team_slug": "core"}),
        ),
        (
            "projectkey.create",
            json!({"public_key": key, "label": "Default"}),
        ),
        ("team.create", json!({"slug": "ops", "name": "ops"})),
        (
            "project.edit",
            json!({"name": "Store", "platform": null, "old_slug": "shop", "new_slug": "store"}),
        ),
        (
            "project-team.add",
            json!({"project_slug": "store", "team_id": 3, "team_slug": "ops"}),
        ),
        (
            "project-team.remove",
            json!({"project_slug": "store", "team_id": 1, "team_slug": "core"}),
        ),
        ("project.remove", json!({"slug": "store", "name": "Store"})),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(event, data)| (1, event.to_owned(), data))
        .collect();
    assert_eq!(audited(&picket, before), expected);
}

#[test]
fn a_project_moves_at_once_or_is_offered() {
    let picket = world();
    let before = newest(&picket);
    let offer = json_of(
        &picket,
        &[
            "project",
            "transfer",
            "acme/web",
            "--email",
            "bob@example.test",
        ],
    );
    assert_eq!(offer["email"], "bob@example.test");
    let link = offer["link"].as_str().unwrap();
    let secret = link
        .strip_prefix("http://127.0.0.1:9000/accept-transfer/?data=")
        .unwrap();
    let hash: Vec<u8> = picket
        .database()
        .query_row(
            "SELECT hash FROM project_transfer WHERE project_id = 31",
            [],
            |row| row.get(0),
        )
        .unwrap();
    use sha2::Digest;
    assert_eq!(hash, sha2::Sha256::digest(secret).to_vec());
    assert_eq!(
        picket.succeed(&[
            "project", "transfer", "acme/web", "--to", "beta", "--team", "team-b"
        ]),
        "the project is beta/web now\n"
    );
    let shown = json_of(&picket, &["project", "show", "beta/web"]);
    assert_eq!(
        shown["dsns"],
        json!([format!("http://{KEY}@127.0.0.1:9000/31")])
    );
    assert_eq!(shown["teams"], json!(["team-b"]));
    // The offer is void.
    let offers: i64 = picket
        .database()
        .query_row("SELECT count(*) FROM project_transfer", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(offers, 0);
    let moved = json!({"project_slug": "web", "old_organization_slug": "acme", "new_organization_slug": "beta"});
    assert_eq!(
        audited(&picket, before),
        [
            (
                1,
                "project.request-transfer".to_owned(),
                json!({"project_slug": "web", "email": "bob@example.test"})
            ),
            (1, "project.accept-transfer".to_owned(), moved.clone()),
            (2, "project.accept-transfer".to_owned(), moved),
        ]
    );
}
