//! `O/members/` and below (facts/management-api.md 11).

mod invite;
mod remove;
mod teams;
mod update;

use super::*;

/// In `acme`, one of each role and two owners. `core` has ann and tom, who is its admin; `ops` has bob. Project `web` is
/// `core`'s. Nobody is in `spare`. Every user has a token with all that an owner may do; ann also one that may only
/// invite. `beta` is eve's.
const PEOPLE: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.team]]
  slug = "core"

  [[organization.team]]
  slug = "ops"

  [[organization.team]]
  slug = "spare"

  [[organization.project]]
  slug = "web"
  id = 31
  teams = ["core"]

  [[organization.token]]
  name = "robot"
  token = "sntrys_00000000000000000000000000000000000000000000000000000000000000c1"
  scopes = ["org:read", "member:admin", "team:read"]

[[organization]]
slug = "beta"

  [[organization.team]]
  slug = "theirs"
"#;

const ROBOT: &str = "sntrys_00000000000000000000000000000000000000000000000000000000000000c1";
const INVITES_ONLY: &str =
    "sntryu_0000000000000000000000000000000000000000000000000000000000000abc";

const NAMES: [&str; 8] = ["ann", "oli", "max", "ada", "tom", "bob", "pat", "eve"];

fn people() -> Server {
    let mut text = PEOPLE.to_owned();
    for (name, role, teams) in [
        ("ann", "owner", r#"["core"]"#),
        ("oli", "owner", "[]"),
        ("max", "manager", "[]"),
        ("ada", "admin", "[]"),
        ("tom", "member", r#"["core:admin"]"#),
        ("bob", "member", r#"["ops"]"#),
        ("pat", "member", "[]"),
        ("eve", "owner", r#"["theirs"]"#),
    ] {
        let organization = if name == "eve" { "beta" } else { "acme" };
        text += &format!(
            r#"
[[user]]
email = "{name}@example.test"
name = "{name}"
roles = {{ {organization} = "{role}" }}
teams = {{ {organization} = {teams} }}

  [[user.token]]
  name = "laptop"
  token = "{}"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]
"#,
            token_of(name)
        );
        if name == "ann" {
            text += &format!(
                r#"
  [[user.token]]
  name = "invites"
  token = "{INVITES_ONLY}"
  scopes = ["member:invite"]
"#
            );
        }
    }
    Server::start(&text)
}

fn token_of(name: &str) -> String {
    let number = NAMES.iter().position(|n| *n == name).expect("a name");
    format!("sntryu_{number:064}")
}

/// A client of one of the people.
fn client_of(server: &Server, name: &str) -> Client {
    server.with_token(&token_of(name))
}

const MEMBERS: &str = "/api/0/organizations/acme/members/";

/// The path of a member of `acme` by the part of the address before the `@`.
fn member(server: &Server, name: &str) -> String {
    format!("{MEMBERS}{}/", number_of(server, name))
}

fn number_of(server: &Server, name: &str) -> i64 {
    server
        .database()
        .query_row(
            "SELECT member.id FROM member LEFT JOIN user ON user.id = user_id
             WHERE coalesce(user.email, member.email) = ?1",
            [format!("{name}@example.test")],
            |row| row.get(0),
        )
        .expect("a member")
}

/// The whole body of a member, from what differs.
fn member_body(server: &Server, name: &str, role: &str, role_name: &str) -> Value {
    let user: i64 = server
        .database()
        .query_row("SELECT id FROM user WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .expect("a user");
    let email = format!("{name}@example.test");
    json!({
        "id": number_of(server, name).to_string(), "email": email, "name": name,
        "user": {
            "id": user.to_string(), "name": name, "username": email, "email": email, "avatarUrl": null,
            "isActive": true, "isSuspended": false, "hasPasswordAuth": false, "isManaged": false,
            "dateJoined": "2026-01-02T00:00:00Z", "lastLogin": null, "has2fa": false, "lastActive": null,
            "isSuperuser": false, "isStaff": false, "experiments": {}, "emails": [],
            "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
            "identities": [], "authenticators": [], "canReset2fa": false,
        },
        "role": role, "roleName": role_name, "orgRole": role, "pending": false, "expired": false,
        "flags": no_flags(), "dateCreated": "2026-01-02T00:00:00Z", "inviteStatus": "approved", "inviterName": null,
    })
}

fn no_flags() -> Value {
    json!({
        "idp:provisioned": false, "idp:role-restricted": false, "sso:linked": false, "sso:invalid": false,
        "member-limit:restricted": false, "partnership:restricted": false,
    })
}

/// Invites somebody as ann; the answer.
#[track_caller]
fn invite(server: &Server, name: &str, role: &str) -> Value {
    let body = json!({"email": format!("{name}@example.test"), "orgRole": role});
    let answer = client_of(server, "ann").post_json(MEMBERS, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The event and data of every audit entry of `acme`'s members, oldest first, without those of the apply file.
fn audit(server: &Server) -> Vec<(String, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT event, data FROM audit_entry
             WHERE event LIKE 'member.%' AND actor_token_id IS NOT NULL ORDER BY id",
        )
        .expect("entries");
    let rows = statement
        .query_map([], |row| {
            let data: String = row.get(1)?;
            Ok((
                row.get(0)?,
                serde_json::from_str(&data).expect("data of JSON"),
            ))
        })
        .expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

#[track_caller]
fn set(server: &Server, sql: &str) {
    server.database().execute_batch(sql).expect("an update");
}

#[track_caller]
fn assert_detail(answer: &Answer, status: u16, text: &str) {
    assert_answer(answer, status, &json!({ "detail": text }).to_string());
}

#[track_caller]
fn assert_role_refused(answer: &Answer, text: &str) {
    assert_answer(answer, 403, &json!({ "role": text }).to_string());
}

#[test]
fn a_list_has_members_and_invitations_by_number() {
    let server = people();
    let invited = invite(&server, "zed", "member");
    let answer = client_of(&server, "bob").get(MEMBERS);
    let list = ok(&answer);
    let names = [
        "ann",
        "oli",
        "max",
        "ada",
        "tom",
        "bob",
        "pat",
        "zed@example.test",
    ];
    assert_eq!(each(&list, "name"), names);
    assert_eq!(list[2], member_body(&server, "max", "manager", "Manager"));
    // Only the user sees addresses as such.
    let mut bob = member_body(&server, "bob", "member", "Member");
    bob["user"]["emails"] =
        json!([{"id": bob["user"]["id"], "email": "bob@example.test", "is_verified": true}]);
    assert_eq!(list[5], bob);
    let mut invited = invited;
    invited
        .as_object_mut()
        .expect("an object")
        .remove("invite_link");
    assert_eq!(list[7], invited);
    assert_eq!(
        link(&answer, "next"),
        (
            format!("{}{MEMBERS}?&cursor=100:1:0", server.url_prefix()),
            false,
            "100:1:0".to_owned()
        )
    );
    let expanded = ok(&client_of(&server, "bob").get(&format!("{MEMBERS}?expand=externalUsers")));
    assert_eq!(expanded[0]["externalUsers"], json!([]));
    // To those of another organization nothing is shown.
    assert_answer(&client_of(&server, "eve").get(MEMBERS), 403, NO_PERMISSION);
}

#[test]
fn pages_are_walked_by_their_number() {
    let server = people();
    let client = client_of(&server, "ann");
    let first = client.get(&format!("{MEMBERS}?per_page=5"));
    assert_eq!(
        each(&ok(&first), "name"),
        ["ann", "oli", "max", "ada", "tom"]
    );
    let (next, results, cursor) = link(&first, "next");
    assert_eq!((results, cursor.as_str()), (true, "5:1:0"));
    let second = client.get(&path_of(&server, &next));
    assert_eq!(each(&ok(&second), "name"), ["bob", "pat"]);
    assert!(!link(&second, "next").1);
    let wrong = client.get(&format!("{MEMBERS}?cursor=x"));
    assert_detail(&wrong, 400, "Invalid cursor parameter.");
}

#[test]
fn a_query_leaves_some_out() {
    let server = people();
    invite(&server, "zed", "manager");
    let user: i64 = server
        .database()
        .query_row("SELECT id FROM user WHERE name = 'tom'", [], |row| {
            row.get(0)
        })
        .expect("a user");
    let ada = number_of(&server, "ada");
    let all = ["ann", "oli", "max", "ada", "tom", "bob", "pat", "zed"];
    for (query, expected) in [
        ("", &all[..]),
        ("O", &["oli", "tom", "bob"]),
        ("zed", &["zed"]),
        (
            "email:BOB@example.test email:zed@example.test",
            &["bob", "zed"],
        ),
        ("email:bob", &[]),
        (&format!("id:{ada} id:x"), &["ada"]),
        (&format!("user.id:{user}"), &["tom"]),
        ("role:manager", &["max", "zed"]),
        ("role:manager role:admin", &["max", "ada", "zed"]),
        ("role:nobody", &[]),
        ("scope:org:admin", &["ann", "oli"]),
        ("scope:member:admin role:manager", &["max", "zed"]),
        ("scope:nothing", &[]),
        ("isInvited:true", &["zed"]),
        ("isInvited:false role:manager", &["max"]),
        ("ssoLinked:true", &[]),
        ("has2fa:true", &[]),
        ("hasExternalUsers:true", &[]),
        (
            "ssoLinked:false has2fa:false hasExternalUsers:false",
            &all[..],
        ),
        ("colour:red", &[]),
    ] {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let list = ok(&client_of(&server, "ann").get(&format!("{MEMBERS}?query={encoded}")));
        let names: Vec<&str> = each(&list, "email")
            .iter()
            .map(|email| &email.as_str().expect("an address")[..3])
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    // The text is of name or address; that of the domain is everybody's.
    let list = ok(&client_of(&server, "ann").get(&format!("{MEMBERS}?query=EXAMPLE.test")));
    assert_eq!(list.as_array().map(Vec::len), Some(8));
}

#[test]
fn whose_account_is_off_is_nowhere() {
    let server = people();
    let path = member(&server, "bob");
    set(&server, "UPDATE user SET active = 0 WHERE name = 'bob'");
    let ann = client_of(&server, "ann");
    let list = ok(&ann.get(MEMBERS));
    assert_eq!(
        each(&list, "name"),
        ["ann", "oli", "max", "ada", "tom", "pat"]
    );
    assert_answer(&ann.get(&path), 404, NOT_FOUND);
    assert_answer(&ann.delete(&path), 404, NOT_FOUND);
}

#[test]
fn a_member_has_teams_and_the_roles_that_there_are() {
    let server = people();
    let organization_role = |id: &str, name: &str, allowed: bool| json!({"id": id, "name": name, "isAllowed": allowed, "allowed": allowed});
    let detail = ok(&client_of(&server, "max").get(&member(&server, "tom")));
    let mut shown = detail.clone();
    let fields = shown.as_object_mut().expect("an object");
    let organization_roles = fields.remove("orgRoleList").expect("roles");
    let team_roles = fields.remove("teamRoleList").expect("roles");
    let mut expected = member_body(&server, "tom", "member", "Member");
    let more = json!({
        "teams": ["core"], "teamRoles": [{"teamSlug": "core", "role": "admin"}], "invite_link": null,
        "isOnlyOwner": false,
    });
    for (name, value) in more.as_object().expect("an object") {
        expected[name] = value.clone();
    }
    assert_eq!(shown, expected);
    let brief: Vec<Value> = organization_roles
        .as_array()
        .expect("a list")
        .iter()
        .map(|role| {
            json!({"id": role["id"], "name": role["name"], "isAllowed": role["isAllowed"], "allowed": role["allowed"]})
        })
        .collect();
    let expected = [
        organization_role("member", "Member", true),
        organization_role("admin", "Admin", true),
        organization_role("manager", "Manager", true),
        organization_role("owner", "Owner", false),
    ];
    assert_eq!(brief, expected);
    assert_eq!(each(&team_roles, "id"), ["contributor", "admin"]);

    let own = ok(&client_of(&server, "tom").get(&format!("{MEMBERS}me/")));
    assert_eq!(own["id"], detail["id"]);
    let by_number = format!(
        "/api/0/organizations/beta/members/{}/",
        number_of(&server, "eve")
    );
    assert_eq!(
        ok(&client_of(&server, "eve").get(&by_number))["isOnlyOwner"],
        true
    );
}

#[test]
fn a_member_of_elsewhere_is_not_found() {
    let server = people();
    let eve = number_of(&server, "eve");
    for name in [
        &eve.to_string(),
        "999999",
        "nobody",
        "tom",
        "99999999999999999999",
    ] {
        let path = format!("{MEMBERS}{name}/");
        let ann = client_of(&server, "ann");
        assert_answer(&ann.get(&path), 404, NOT_FOUND);
        assert_answer(
            &ann.put_json(&path, &json!({"orgRole": "x"})),
            404,
            NOT_FOUND,
        );
        assert_answer(&ann.delete(&path), 404, NOT_FOUND);
    }
    // A token that is nobody's has no place of its own.
    let me = server.with_token(ROBOT).get(&format!("{MEMBERS}me/"));
    assert_answer(&me, 404, NOT_FOUND);
}
