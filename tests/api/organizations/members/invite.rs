//! `POST O/members/` (facts/management-api.md 11.2).

use std::sync::Barrier;

use sha2::{Digest, Sha256};

use super::*;

/// The 400 for a body sent by one of the people.
#[track_caller]
fn refused(server: &Server, name: &str, body: &Value) -> Value {
    let answer = client_of(server, name).post_json(MEMBERS, body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    answer.json()
}

fn invited_count(server: &Server) -> i64 {
    server
        .database()
        .query_row(
            "SELECT count(*) FROM member WHERE user_id IS NULL",
            [],
            |row| row.get(0),
        )
        .expect("a count")
}

/// What the row of an invitation holds of its link: the hash, and when it ends.
fn stored_link(server: &Server, name: &str) -> (Vec<u8>, i64) {
    server
        .database()
        .query_row(
            "SELECT invite_hash, invite_expires_us FROM member WHERE email = ?1",
            [format!("{name}@example.test")],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an invitation")
}

#[test]
fn an_invitation_is_shown_with_its_link_once() {
    let server = people();
    let body = json!({"email": " zed@example.test ", "teams": ["ops"], "sendInvite": false});
    let answer = client_of(&server, "ann").post_json(MEMBERS, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = number_of(&server, "zed");
    let invited = answer.json();
    let url = invited["invite_link"].as_str().expect("a link");
    assert_eq!(
        invited,
        json!({
            "id": id.to_string(), "email": "zed@example.test", "name": "zed@example.test", "user": null,
            "role": "member", "roleName": "Member", "orgRole": "member", "pending": true, "expired": false,
            "flags": no_flags(), "dateCreated": "2026-01-02T00:00:00Z", "inviteStatus": "approved",
            "inviterName": "ann", "invite_link": url,
        })
    );
    // 256 bits, of which the file has the hash only.
    let start = format!("{}/accept/{id}/", server.url_prefix());
    let token = url
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix('/'))
        .expect("a link of this server");
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    let (hash, expires) = stored_link(&server, "zed");
    assert_eq!(hash, Sha256::digest(token).to_vec());
    assert_eq!(expires, START.plus_secs(30 * 86_400).us());

    let detail = ok(&client_of(&server, "ann").get(&member(&server, "zed")));
    assert_eq!(detail["invite_link"], Value::Null);
    assert_eq!(
        detail["teamRoles"],
        json!([{"teamSlug": "ops", "role": null}])
    );
    let data = json!({
        "email": "zed@example.test", "user_id": null, "role": "member", "teams": [2], "teams_slugs": ["ops"],
    });
    assert_eq!(audit(&server), [("member.invite".to_owned(), data)]);
}

#[test]
fn an_invitation_expires_after_thirty_days() {
    let server = people();
    invite(&server, "zed", "member");
    let expired = || {
        let detail = ok(&client_of(&server, "ann").get(&member(&server, "zed")));
        detail["expired"].clone()
    };
    server.advance(30 * 86_400 - 1);
    assert_eq!(expired(), false);
    server.advance(1);
    assert_eq!(expired(), true);
}

#[test]
fn the_user_of_another_organization_is_invited_like_anybody() {
    let server = people();
    let invited = invite(&server, "eve", "member");
    assert_eq!(
        (&invited["user"], &invited["pending"]),
        (&Value::Null, &json!(true))
    );
    // Not in yet.
    assert_answer(&client_of(&server, "eve").get(MEMBERS), 403, NO_PERMISSION);
    let list = ok(&client_of(&server, "eve").get("/api/0/organizations/"));
    assert_eq!(each(&list, "slug"), ["beta"]);
}

#[test]
fn what_is_wrong_with_a_body_is_all_told_at_once() {
    let server = people();
    for (body, expected) in [
        (json!({}), json!({"email": ["This field is required."]})),
        (
            json!({"email": null}),
            json!({"email": ["This field may not be null."]}),
        ),
        (
            json!({"email": " "}),
            json!({"email": ["This field may not be blank."]}),
        ),
        (
            json!({"email": "zed"}),
            json!({"email": ["Enter a valid email address."]}),
        ),
        (
            json!({"email": format!("{}@example.test", "z".repeat(70))}),
            json!({"email": ["Ensure this field has no more than 75 characters."]}),
        ),
        (
            json!({"email": "BOB@example.test", "orgRole": "admin", "teams": ["ops", "nowhere"], "sendInvite": "x"}),
            json!({
                "email": ["The user BOB@example.test is already a member"],
                "orgRole": ["The role 'admin' is deprecated and may no longer be assigned."],
                "teams": ["Invalid teams"],
                "sendInvite": ["Must be a valid boolean."],
            }),
        ),
        (
            json!({"email": "a@b.test", "orgRole": "billing", "role": "nope", "teams": null, "reinvite": 7}),
            json!({
                "orgRole": ["\"billing\" is not a valid choice."],
                "role": ["\"nope\" is not a valid choice."],
                "teams": ["This field may not be null."],
                "reinvite": ["Must be a valid boolean."],
            }),
        ),
        (
            json!({"email": "a@b.test", "role": "admin", "teamRoles": [{"teamSlug": "ops", "role": "king"}]}),
            json!({
                "role": ["The role 'admin' is deprecated and may no longer be assigned."],
                "teamRoles": ["Invalid team-role"],
            }),
        ),
        (
            json!({"email": "a@b.test", "teamRoles": [{"teamSlug": "theirs"}]}),
            json!({"teamRoles": ["Invalid teams"]}),
        ),
        (
            json!({"email": "a@b.test", "teamRoles": ["ops"]}),
            json!({"teamRoles": ["Invalid teams"]}),
        ),
        (
            json!({"email": "a@b.test", "teamRoles": {"teamSlug": "ops"}, "teams": [true]}),
            json!({
                "teamRoles": ["Expected a list of items but got type \"dict\"."],
                "teams": {"0": ["Not a valid string."]},
            }),
        ),
    ] {
        assert_eq!(refused(&server, "ann", &body), expected, "{body}");
    }
    assert_eq!((invited_count(&server), audit(&server)), (0, vec![]));
}

#[test]
fn an_address_is_invited_once() {
    let server = people();
    invite(&server, "zed", "member");
    let expected = json!({"email": ["The user ZED@example.test has already been invited"]});
    let again = json!({"email": "ZED@example.test"});
    assert_eq!(refused(&server, "max", &again), expected);
    // Elsewhere it is another invitation.
    let beta = "/api/0/organizations/beta/members/";
    assert_eq!(
        client_of(&server, "eve").post_json(beta, &again).status,
        201
    );
}

#[test]
fn two_invitations_at_once_make_one() {
    let server = people();
    let barrier = Barrier::new(2);
    for round in 0..20 {
        let body = json!({"email": format!("z{round}@example.test")});
        let send = |name| {
            let client = client_of(&server, name);
            barrier.wait();
            client.post_json(MEMBERS, &body).status
        };
        let mut statuses = std::thread::scope(|scope| {
            let other = scope.spawn(|| send("max"));
            [send("ann"), other.join().expect("a status")]
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400]);
    }
    assert_eq!(invited_count(&server), 20);
}

#[test]
fn nobody_invites_above_their_own_role() {
    let server = people();
    let mut number = 0;
    let mut invites_as = |client: Client, role: &str| {
        number += 1;
        let body = json!({"email": format!("z{number}@example.test"), "orgRole": role});
        let answer = client.post_json(MEMBERS, &body);
        if answer.status != 201 {
            let text = "You do not have permission to set that org-level role";
            assert_answer(&answer, 400, &json!({"orgRole": [text]}).to_string());
        }
        answer.status == 201
    };
    let roles = ["member", "manager", "owner"];
    for (name, expected) in [
        ("ann", [true, true, true]),
        ("max", [true, true, false]),
        ("ada", [true, false, false]),
        ("bob", [true, false, false]),
    ] {
        let got = roles.map(|role| invites_as(client_of(&server, name), role));
        assert_eq!(got, expected, "{name}");
    }
    // A token that may only invite makes nobody mightier than a plain member, whoever it belongs to; neither does one
    // of the organization that has no more than its members.
    for token in [INVITES_ONLY, ROBOT] {
        let got = roles.map(|role| invites_as(server.with_token(token), role));
        assert_eq!(got, [true, false, false], "{token}");
    }
}

#[test]
fn the_organizations_token_invites_for_nobody() {
    let server = people();
    let body = json!({"email": "zed@example.test"});
    let answer = server.with_token(ROBOT).post_json(MEMBERS, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["inviterName"], Value::Null);
}

#[test]
fn invited_people_join_teams_with_the_default_role() {
    let server = people();
    let body = json!({
        "email": "zed@example.test", "teams": ["spare"],
        "teamRoles": [{"teamSlug": "ops", "role": "admin"}, {"teamSlug": "core"}, {"teamSlug": "ops", "role": null}],
    });
    assert_eq!(
        client_of(&server, "bob").post_json(MEMBERS, &body).status,
        201
    );
    let detail = ok(&client_of(&server, "bob").get(&member(&server, "zed")));
    assert_eq!(detail["teams"], json!(["core", "ops"]));
    assert_eq!(
        detail["teamRoles"],
        json!([{"teamSlug": "core", "role": null}, {"teamSlug": "ops", "role": null}])
    );
}

#[test]
fn without_open_membership_plain_members_share_their_own_teams_only() {
    let server = people();
    set(&server, "UPDATE organization SET open_membership = 0");
    let body = |name: &str, teams: &[&str]| json!({"email": format!("{name}@example.test"), "teams": teams});
    assert_eq!(
        refused(&server, "bob", &body("zed", &["ops", "core"])),
        json!({"detail": "You cannot assign members to teams you are not a member of."})
    );
    assert_eq!(invited_count(&server), 0);
    for (inviter, name, teams) in [
        ("bob", "zed", &["ops"][..]),
        ("bob", "yan", &[]),
        ("max", "xia", &["core", "ops"]),
    ] {
        let answer = client_of(&server, inviter).post_json(MEMBERS, &body(name, teams));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

#[test]
fn plain_members_invite_only_where_they_are_let() {
    let server = people();
    set(&server, "UPDATE organization SET members_invite = 0");
    let body = json!({"email": "zed@example.test"});
    let answer = client_of(&server, "bob").post_json(MEMBERS, &body);
    assert_answer(&answer, 403, NO_PERMISSION);
    assert_eq!(
        client_of(&server, "max").post_json(MEMBERS, &body).status,
        201
    );
}

#[test]
fn a_thousand_invitations_a_day_are_enough() {
    let server = people();
    set(
        &server,
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 1000)
         INSERT INTO member (organization_id, role, created_us, email, invite_expires_us)
         SELECT 1, 'member', 1767312000000000, n || '@z.test', 0 FROM number;",
    );
    let body = json!({"email": "zed@example.test"});
    let refused = client_of(&server, "ann").post_json(MEMBERS, &body);
    assert_detail(
        &refused,
        429,
        "You are being rate limited for too many invitations.",
    );
    // One that is taken back makes room, and so does the next day.
    set(&server, "DELETE FROM member WHERE email = '7@z.test'");
    invite(&server, "zed", "member");
    server.advance(86_401);
    invite(&server, "yan", "member");
}

#[test]
fn an_invitation_counts_as_no_owner_and_gives_no_access() {
    let server = people();
    invite(&server, "zed", "owner");
    let oli = member(&server, "oli");
    assert_eq!(client_of(&server, "ann").delete(&oli).status, 204);
    let owned = ok(&client_of(&server, "ann").get("/api/0/organizations/?owner=1"));
    assert_eq!(each(&owned, "singleOwner"), [true]);
    let found =
        ok(&client_of(&server, "ann").get("/api/0/organizations/?query=email:zed@example.test"));
    assert_eq!(found, json!([]));
    let last = client_of(&server, "ann").delete(&member(&server, "ann"));
    assert_eq!(last.status, 403);
}

#[test]
fn an_applied_member_takes_the_place_of_the_invitation() {
    let mut server = people();
    let body = json!({"email": "zed@example.test", "teams": ["ops"]});
    assert_eq!(
        client_of(&server, "ann").post_json(MEMBERS, &body).status,
        201
    );
    let id = number_of(&server, "zed");
    server.stop();
    let apply = "[[user]]\nemail = \"zed@example.test\"\nroles = { acme = \"manager\" }\n";
    let app = Server::start_app(&server.file(), apply, server.clock.clone());
    assert!(app.stop(std::time::Duration::from_secs(10)));
    server.restart();
    let zed = ok(&client_of(&server, "ann").get(&format!("{MEMBERS}{id}/")));
    assert_eq!(
        (
            &zed["pending"],
            &zed["orgRole"],
            &zed["teams"],
            &zed["inviterName"]
        ),
        (
            &json!(false),
            &json!("manager"),
            &json!(["ops"]),
            &json!("ann")
        )
    );
    assert_eq!(zed["user"]["email"], "zed@example.test");
}
