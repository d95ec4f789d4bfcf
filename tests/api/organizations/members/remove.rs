//! `DELETE O/members/{id|me}/` (facts/management-api.md 11.4).

use std::sync::Barrier;

use super::*;

const ONLY_OWNER: &str =
    "You cannot remove the only remaining owner or manager of the organization.";
const NOT_ADMIN: &str = "You are missing the member:admin scope.";
const MORE_ACCESS: &str = "You cannot remove a member who has more access than you.";

#[track_caller]
fn remove(server: &Server, name: &str, target: &str) -> Answer {
    client_of(server, name).delete(&member(server, target))
}

#[track_caller]
fn assert_removed(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.header("Content-Type"), None);
}

#[test]
fn who_is_removed_is_out_at_the_next_request() {
    let server = people();
    let path = member(&server, "tom");
    let web = "/api/0/projects/acme/web/";
    assert_eq!(client_of(&server, "tom").get(web).status, 200);
    assert_removed(&remove(&server, "max", "tom"));
    assert_answer(&client_of(&server, "tom").get(web), 403, NO_PERMISSION);
    assert_answer(&client_of(&server, "ann").get(&path), 404, NOT_FOUND);
    assert_answer(&client_of(&server, "ann").delete(&path), 404, NOT_FOUND);
    let user: i64 = server
        .database()
        .query_row("SELECT id FROM user WHERE name = 'tom'", [], |row| {
            row.get(0)
        })
        .expect("the user stays");
    let data = json!({
        "email": "tom@example.test", "user_id": user, "role": "member", "teams": [1], "teams_slugs": ["core"],
    });
    assert_eq!(audit(&server), [("member.remove".to_owned(), data)]);
    // And may be invited again.
    invite(&server, "tom", "member");
}

#[test]
fn the_roles_decide_who_removes_whom() {
    let server = people();
    for name in ["bob", "tom", "ada"] {
        assert_detail(&remove(&server, name, "pat"), 400, NOT_ADMIN);
    }
    assert_detail(&remove(&server, "max", "ann"), 400, MORE_ACCESS);
    assert_answer(&remove(&server, "eve", "pat"), 403, NO_PERMISSION);
    assert_eq!(audit(&server), []);
    assert_removed(&remove(&server, "max", "pat"));
    assert_removed(&remove(&server, "ann", "max"));
    // A token of the organization removes those who have no more than it has.
    let robot = server.with_token(ROBOT);
    assert_detail(&robot.delete(&member(&server, "oli")), 400, MORE_ACCESS);
    assert_removed(&robot.delete(&member(&server, "bob")));
}

#[test]
fn everybody_may_leave_but_the_only_owner() {
    let server = people();
    for name in ["bob", "max"] {
        assert_removed(&client_of(&server, name).delete(&format!("{MEMBERS}me/")));
    }
    assert_removed(&remove(&server, "oli", "oli"));
    for path in [format!("{MEMBERS}me/"), member(&server, "ann")] {
        assert_detail(&client_of(&server, "ann").delete(&path), 403, ONLY_OWNER);
    }
    // An owner who cannot sign in owns nothing.
    let body = json!({"orgRole": "owner"});
    ok(&client_of(&server, "ann").put_json(&member(&server, "pat"), &body));
    set(&server, "UPDATE user SET active = 0 WHERE name = 'pat'");
    assert_detail(&remove(&server, "ann", "ann"), 403, ONLY_OWNER);
    let own = ok(&client_of(&server, "ann").get(&format!("{MEMBERS}me/")));
    assert_eq!(own["isOnlyOwner"], true);
}

#[test]
fn an_invitation_is_taken_back_by_its_sender_and_by_those_above_it() {
    let server = people();
    let send = |name: &str, email: &str| {
        let body = json!({"email": format!("{email}@example.test"), "teams": ["ops"]});
        assert_eq!(
            client_of(&server, name).post_json(MEMBERS, &body).status,
            201
        );
    };
    send("bob", "zed");
    send("bob", "yan");
    assert_detail(&remove(&server, "tom", "zed"), 400, NOT_ADMIN);
    assert_removed(&remove(&server, "bob", "zed"));
    assert_removed(&remove(&server, "max", "yan"));
    invite(&server, "xia", "owner");
    assert_detail(&remove(&server, "max", "xia"), 400, MORE_ACCESS);
    assert_removed(&remove(&server, "ann", "xia"));
    // Where plain members may not invite, they take nothing back either.
    send("bob", "wes");
    set(&server, "UPDATE organization SET members_invite = 0");
    assert_detail(&remove(&server, "bob", "wes"), 400, NOT_ADMIN);
}

/// Both requests at once, ten times; the statuses in order. The members are back after each.
#[track_caller]
fn assert_at_once(ann: &str, oli: &str, statuses: [u16; 2]) {
    let server = people();
    let barrier = Barrier::new(2);
    set(
        &server,
        "CREATE TABLE kept AS SELECT * FROM member WHERE role = 'owner'",
    );
    let path = |target: &str| match target {
        "me" => format!("{MEMBERS}me/"),
        name => member(&server, name),
    };
    let (ann, oli) = (path(ann), path(oli));
    for round in 0..10 {
        let send = |name: &str, path: &str| {
            let client = client_of(&server, name);
            barrier.wait();
            client.delete(path).status
        };
        let mut got = std::thread::scope(|scope| {
            let other = scope.spawn(|| send("oli", &oli));
            [send("ann", &ann), other.join().expect("a status")]
        });
        got.sort_unstable();
        assert_eq!(got, statuses, "{round}");
        set(&server, "INSERT OR IGNORE INTO member SELECT * FROM kept");
    }
}

#[test]
fn two_owners_who_leave_at_once_leave_one() {
    assert_at_once("me", "me", [204, 403]);
}

#[test]
fn two_owners_who_remove_each_other_leave_one() {
    assert_at_once("oli", "ann", [204, 403]);
}
