//! `PUT O/members/{id|me}/` (facts/management-api.md 11.4).

use std::sync::Barrier;

use super::*;

const WEB_KEYS: &str = "/api/0/projects/acme/web/keys/";

#[track_caller]
fn put(server: &Server, name: &str, target: &str, body: &Value) -> Answer {
    client_of(server, name).put_json(&member(server, target), body)
}

fn role_of(server: &Server, name: &str) -> Value {
    ok(&client_of(server, "ann").get(&member(server, name)))["orgRole"].clone()
}

#[test]
fn role_and_teams_are_changed_and_read_back() {
    let server = people();
    let body = json!({
        "orgRole": "manager",
        "teamRoles": [{"teamSlug": "spare", "role": "admin"}, {"teamSlug": "core", "role": "contributor"}],
    });
    let changed = ok(&put(&server, "ann", "bob", &body));
    let mut expected = member_body(&server, "bob", "manager", "Manager");
    let more = json!({
        "teams": ["core", "spare"],
        "teamRoles": [{"teamSlug": "core", "role": "contributor"}, {"teamSlug": "spare", "role": "admin"}],
        "invite_link": null, "isOnlyOwner": false, "orgRoleList": changed["orgRoleList"],
        "teamRoleList": changed["teamRoleList"],
    });
    for (name, value) in more.as_object().expect("an object") {
        expected[name] = value.clone();
    }
    assert_eq!(changed, expected);
    assert_eq!(
        ok(&client_of(&server, "ann").get(&member(&server, "bob"))),
        expected
    );
    let user: i64 = expected["user"]["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("a number");
    let data = json!({
        "email": "bob@example.test", "user_id": user, "role": "manager", "teams": [1, 3],
        "teams_slugs": ["core", "spare"], "old_role": "member", "old_teams_slugs": ["ops"],
    });
    assert_eq!(audit(&server), [("member.edit".to_owned(), data)]);
    // What is so already is written nowhere, not even in the log.
    assert_eq!(ok(&put(&server, "ann", "bob", &body)), expected);
    assert_eq!(audit(&server).len(), 1);
}

#[test]
fn the_old_names_of_the_fields_are_taken() {
    let server = people();
    let changed = ok(&put(
        &server,
        "ann",
        "bob",
        &json!({"role": "owner", "teams": ["core"]}),
    ));
    assert_eq!(changed["orgRole"], "owner");
    assert_eq!(
        changed["teamRoles"],
        json!([{"teamSlug": "core", "role": null}])
    );
    let both = json!({"role": "owner", "orgRole": "manager", "teamRoles": [], "teams": ["ops"]});
    let changed = ok(&put(&server, "ann", "bob", &both));
    assert_eq!(
        (&changed["orgRole"], &changed["teams"]),
        (&json!("manager"), &json!(["ops"]))
    );
}

#[test]
fn a_body_without_teams_takes_the_member_out_of_all() {
    let server = people();
    for body in [
        json!({"orgRole": "member"}),
        json!({}),
        json!({"teamRoles": null}),
    ] {
        let back = json!({"teamRoles": [{"teamSlug": "ops"}]});
        assert_eq!(
            ok(&put(&server, "ann", "bob", &back))["teams"],
            json!(["ops"])
        );
        assert_eq!(
            ok(&put(&server, "ann", "bob", &body))["teams"],
            json!([]),
            "{body}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_body_is_all_told_at_once() {
    let server = people();
    for (body, expected) in [
        (
            json!({"orgRole": "nope", "reinvite": "x", "regenerate": null, "teams": ["nowhere"]}),
            json!({
                "orgRole": ["\"nope\" is not a valid choice."],
                "reinvite": ["Must be a valid boolean."],
                "regenerate": ["This field may not be null."],
                "teams": ["Invalid teams"],
            }),
        ),
        (
            json!({"orgRole": "admin", "teamRoles": [{"teamSlug": "ops", "role": 5}]}),
            json!({
                "orgRole": ["The role 'admin' is deprecated and may no longer be assigned."],
                "teamRoles": ["Invalid team-role"],
            }),
        ),
        (
            json!({"orgRole": null}),
            json!({"orgRole": ["This field may not be null."]}),
        ),
    ] {
        let answer = put(&server, "ann", "bob", &body);
        assert_eq!((answer.status, answer.json()), (400, expected));
    }
    assert_eq!(
        (role_of(&server, "bob"), audit(&server)),
        (json!("member"), vec![])
    );
    // Whoever has the retired role keeps it.
    assert_eq!(
        ok(&put(&server, "ann", "ada", &json!({"orgRole": "admin"})))["orgRole"],
        "admin"
    );
}

#[test]
fn a_role_is_given_and_taken_by_those_who_have_no_lower_one() {
    let server = people();
    let role = |role: &str| json!({"orgRole": role, "teams": []});
    let given = "You do not have permission to assign the given role.";
    let to_them = "You do not have permission to assign a role to the given user.";
    assert_role_refused(&put(&server, "max", "bob", &role("owner")), given);
    assert_role_refused(&put(&server, "max", "ann", &role("member")), to_them);
    assert_detail(
        &put(&server, "ann", "ann", &role("member")),
        400,
        "You cannot make changes to your own role.",
    );
    assert_eq!(audit(&server), []);
    assert_eq!(
        ok(&put(&server, "max", "bob", &role("manager")))["orgRole"],
        "manager"
    );
    assert_eq!(
        ok(&put(&server, "ann", "oli", &role("manager")))["orgRole"],
        "manager"
    );
    // One's own teams are no role, and the same role no change.
    let own = json!({"orgRole": "owner", "teams": ["ops"]});
    assert_eq!(
        ok(&put(&server, "ann", "ann", &own))["teams"],
        json!(["ops"])
    );
}

#[test]
fn plain_members_change_nobody() {
    let server = people();
    for name in ["bob", "tom", "ada"] {
        for target in ["pat", name] {
            for body in [
                json!({}),
                json!({"orgRole": "member"}),
                json!({"reinvite": true}),
            ] {
                assert_answer(&put(&server, name, target, &body), 403, NO_PERMISSION);
            }
        }
    }
    assert_answer(&put(&server, "eve", "bob", &json!({})), 403, NO_PERMISSION);
    let token = server
        .with_token(ROBOT)
        .put_json(&member(&server, "bob"), &json!({}));
    assert_eq!((token.status, token.text()), (400, ""));
    assert_eq!(audit(&server), []);
}

/// Token and end of an invitation's link, as the file has them.
fn stored_link(server: &Server) -> (Vec<u8>, i64) {
    server
        .database()
        .query_row(
            "SELECT invite_hash, invite_expires_us FROM member WHERE user_id IS NULL",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("an invitation")
}

#[test]
fn an_invitation_is_sent_again_with_another_link() {
    let server = people();
    let first = invite(&server, "zed", "member");
    let (hash, ends) = stored_link(&server);
    server.advance(60);
    let again = ok(&put(&server, "ann", "zed", &json!({"reinvite": true})));
    let url = again["invite_link"].as_str().expect("a link");
    assert!(url.starts_with(&format!("{}/accept/", server.url_prefix())));
    assert_ne!(again["invite_link"], first["invite_link"]);
    let (second_hash, second_ends) = stored_link(&server);
    assert!(second_hash != hash && second_ends == ends);

    let renewed = ok(&put(
        &server,
        "ann",
        "zed",
        &json!({"reinvite": true, "regenerate": true}),
    ));
    assert_ne!(renewed["invite_link"], again["invite_link"]);
    assert_eq!(stored_link(&server).1, ends + 60_000_000);
    let events: Vec<String> = audit(&server).into_iter().map(|(event, _)| event).collect();
    assert_eq!(
        events,
        ["member.invite", "member.reinvite", "member.reinvite"]
    );
    let data = json!({"email": "zed@example.test", "role": "member"});
    assert_eq!(audit(&server)[1].1, data);
}

#[test]
fn an_expired_invitation_is_made_anew_only() {
    let server = people();
    invite(&server, "zed", "member");
    server.advance(30 * 86_400);
    assert_detail(
        &put(&server, "ann", "zed", &json!({"reinvite": true})),
        400,
        "You cannot resend an expired invitation without regenerating the token.",
    );
    let body = json!({"reinvite": "yes", "regenerate": "yes"});
    assert_eq!(ok(&put(&server, "ann", "zed", &body))["expired"], false);
}

#[test]
fn members_send_their_own_invitations_again() {
    let server = people();
    invite(&server, "zed", "member");
    let own = json!({"email": "yan@example.test"});
    assert_eq!(
        client_of(&server, "bob").post_json(MEMBERS, &own).status,
        201
    );
    let reinvite = json!({"reinvite": true});
    assert!(ok(&put(&server, "bob", "yan", &reinvite))["invite_link"].is_string());
    assert_detail(
        &put(&server, "bob", "zed", &reinvite),
        403,
        "You cannot modify invitations sent by someone else.",
    );
    assert_detail(
        &put(
            &server,
            "bob",
            "yan",
            &json!({"reinvite": true, "regenerate": true}),
        ),
        400,
        "You are missing the member:admin scope.",
    );
    assert_answer(&put(&server, "bob", "yan", &json!({})), 403, NO_PERMISSION);
    for name in ["bob", "ann"] {
        assert_detail(
            &put(
                &server,
                name,
                "yan",
                &json!({"reinvite": true, "teams": []}),
            ),
            403,
            "You cannot modify member details when resending an invitation. Separate requests are required.",
        );
    }
    assert_detail(
        &put(&server, "ann", "bob", &reinvite),
        400,
        "You cannot send an invitation to a user who is already a full member.",
    );
}

#[test]
fn nobody_reads_the_link_to_a_role_that_they_may_not_give() {
    let server = people();
    invite(&server, "zed", "owner");
    let text = "You do not have permission to assign a role to the given user.";
    let body = json!({"reinvite": true, "regenerate": true});
    assert_role_refused(&put(&server, "max", "zed", &body), text);

    // Bob has the link that he made, so it is no link to more than he may give.
    let own = json!({"email": "yan@example.test"});
    let first = client_of(&server, "bob").post_json(MEMBERS, &own).json();
    let raised = ok(&put(&server, "ann", "yan", &json!({"orgRole": "manager"})));
    assert!(raised["invite_link"].is_string());
    assert_ne!(raised["invite_link"], first["invite_link"]);
    assert_role_refused(
        &put(&server, "bob", "yan", &json!({"reinvite": true})),
        text,
    );
    let lowered = ok(&put(&server, "ann", "yan", &json!({"orgRole": "member"})));
    assert_eq!(
        (&lowered["pending"], &lowered["invite_link"]),
        (&json!(true), &Value::Null)
    );
}

#[test]
fn a_changed_role_counts_at_the_next_request() {
    let server = people();
    set(&server, "UPDATE organization SET open_membership = 0");
    let statuses = || {
        let bob = client_of(&server, "bob");
        (
            bob.get(WEB_KEYS).status,
            bob.post_json(WEB_KEYS, &json!({"name": "x"})).status,
            bob.put_json(&member(&server, "pat"), &json!({})).status,
        )
    };
    assert_eq!(statuses(), (403, 403, 403));
    let role = |role: &str, teams: &Value| {
        ok(&put(
            &server,
            "ann",
            "bob",
            &json!({"orgRole": role, "teamRoles": teams}),
        ));
    };
    role("manager", &json!([]));
    assert_eq!(statuses(), (200, 201, 200));
    role("member", &json!([{"teamSlug": "core"}]));
    assert_eq!(statuses(), (200, 403, 403));
    role("member", &json!([{"teamSlug": "core", "role": "admin"}]));
    assert_eq!(statuses(), (200, 201, 403));
    role("member", &json!([]));
    assert_eq!(statuses(), (403, 403, 403));
}

#[test]
fn two_owners_who_demote_each_other_leave_one() {
    let server = people();
    let barrier = Barrier::new(2);
    for _ in 0..10 {
        let send = |name: &str, target: &str| {
            let path = member(&server, target);
            let client = client_of(&server, name);
            barrier.wait();
            client.put_json(&path, &json!({"orgRole": "member"})).status
        };
        let mut statuses = std::thread::scope(|scope| {
            let other = scope.spawn(|| send("oli", "ann"));
            [send("ann", "oli"), other.join().expect("a status")]
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        set(
            &server,
            "UPDATE member SET role = 'owner' WHERE user_id IN
             (SELECT id FROM user WHERE name IN ('ann', 'oli'))",
        );
    }
}
