//! `picket member`.

use super::*;

#[test]
fn members_come_change_and_go() {
    let picket = world();
    let before = newest(&picket);
    assert_eq!(
        picket.succeed(&["member", "add", "acme", "BOB@example.test"]),
        "bob@example.test is a member of acme as member\n"
    );
    let bob = |role: &str| {
        json!({
            "id": "2", "organization": "acme", "email": "bob@example.test", "name": "Bob", "role": role,
            "state": "member", "teams": [], "created": "<time>",
        })
    };
    let all = timeless(json_of(&picket, &["member", "list", "acme"]));
    assert_eq!(all[1], bob("member"));
    assert_eq!(
        (&all[0]["role"], &all[0]["teams"]),
        (&json!("owner"), &json!(["core"]))
    );
    let changed = json_of(
        &picket,
        &["member", "set-role", "acme", "bob@example.test", "owner"],
    );
    assert_eq!(timeless(changed), bob("owner"));
    // With another owner there, the first may go.
    let table = picket.succeed(&["member", "list", "acme"]);
    assert!(table.starts_with("ID  EMAIL             ROLE   STATE   TEAMS  SINCE\n1   ann@example.test  owner  member  core   "), "{table}");
    assert_eq!(
        picket.succeed(&["member", "remove", "acme", "ann@example.test", "--yes"]),
        "ann@example.test is out of acme\n"
    );
    let data = |user: i64, role: &str| {
        let email = if user == 1 {
            "ann@example.test"
        } else {
            "bob@example.test"
        };
        json!({"email": email, "user_id": user, "role": role, "teams": [], "teams_slugs": []})
    };
    let mut edit = data(2, "owner");
    edit["old_role"] = json!("member");
    edit["old_teams_slugs"] = json!([]);
    let mut removed = data(1, "owner");
    removed["teams"] = json!([1]);
    removed["teams_slugs"] = json!(["core"]);
    assert_eq!(
        audited(&picket, before),
        [
            (1, "member.add".to_owned(), data(2, "member")),
            (1, "member.edit".to_owned(), edit),
            (1, "member.remove".to_owned(), removed),
        ]
    );
}

#[test]
fn an_invitation_is_a_link_that_is_kept_as_a_hash() {
    let picket = world();
    let before = newest(&picket);
    let link = picket.succeed(&[
        "member",
        "invite",
        "acme",
        "new@example.test",
        "--role",
        "manager",
        "--url-prefix",
        "https://errors.test",
    ]);
    let token = link
        .trim_end()
        .strip_prefix("https://errors.test/accept/2/")
        .and_then(|rest| rest.strip_suffix('/'))
        .unwrap();
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    let (hash, role): (Vec<u8>, String) = picket
        .database()
        .query_row(
            "SELECT invite_hash, role FROM member WHERE id = 2",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    use sha2::Digest;
    assert_eq!(
        (hash, role.as_str()),
        (sha2::Sha256::digest(token).to_vec(), "manager")
    );
    let all = json_of(&picket, &["member", "list", "acme"]);
    assert_eq!(
        (&all[1]["state"], &all[1]["name"]),
        (&json!("invited"), &Value::Null)
    );
    assert_refused(
        &picket.run(&["member", "invite", "acme", "NEW@example.test"]),
        1,
        "NEW@example.test was invited into acme already",
    );
    assert_eq!(
        picket.succeed(&["member", "set-role", "acme", "new@example.test", "member"]),
        "new@example.test is invited into acme as member\n"
    );
    picket.succeed(&["member", "remove", "acme", "new@example.test", "--yes"]);
    let events: Vec<String> = audited(&picket, before)
        .into_iter()
        .map(|(_, event, _)| event)
        .collect();
    assert_eq!(events, ["member.invite", "member.edit", "invite.remove"]);
}
