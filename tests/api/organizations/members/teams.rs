//! `O/members/{id|me}/teams/{team}/` (facts/management-api.md 11.5).

use super::*;

const NOT_YOURS: &str = "You do not have permission to edit that user's membership.";

fn seat(server: &Server, name: &str, team: &str) -> String {
    match name {
        "me" => format!("{MEMBERS}me/teams/{team}/"),
        name => format!("{}teams/{team}/", member(server, name)),
    }
}

/// Sends POST without a body, as clients do.
#[track_caller]
fn join(server: &Server, name: &str, target: &str, team: &str) -> Answer {
    let path = seat(server, target, team);
    client_of(server, name).send("POST", &path, None)
}

#[track_caller]
fn leave(server: &Server, name: &str, target: &str, team: &str) -> Answer {
    client_of(server, name).delete(&seat(server, target, team))
}

fn put_role(server: &Server, name: &str, target: &str, team: &str, role: &str) -> Answer {
    let body = json!({ "teamRole": role });
    client_of(server, name).put_json(&seat(server, target, team), &body)
}

fn close(server: &Server) {
    set(server, "UPDATE organization SET open_membership = 0");
}

#[test]
fn a_member_joins_and_leaves() {
    let server = people();
    let joined = join(&server, "pat", "me", "ops");
    assert_eq!(joined.status, 201, "{}", joined.text());
    let mut expected = json!({
        "id": "2", "slug": "ops", "name": "ops", "dateCreated": "2026-01-02T00:00:00Z", "isMember": true,
        "teamRole": "contributor", "flags": {"idp:provisioned": false}, "access": joined.json()["access"],
        "hasAccess": true, "isPending": false, "memberCount": 2,
        "avatar": {"avatarType": "letter_avatar", "avatarUuid": null, "avatarUrl": null},
    });
    assert_eq!(joined.json(), expected);
    let again = join(&server, "pat", "me", "2");
    assert_eq!((again.status, again.text()), (204, ""));

    let left = ok(&leave(&server, "pat", "pat", "ops"));
    expected["isMember"] = json!(false);
    expected["teamRole"] = Value::Null;
    expected["memberCount"] = json!(1);
    expected["access"] = left["access"].clone();
    assert_eq!(left, expected);
    assert_answer(&leave(&server, "pat", "me", "ops"), 404, NOT_FOUND);
    let log = audit(&server);
    let mut data = json!({
        "email": "pat@example.test", "user_id": log[0].1["user_id"], "team_slug": "ops", "team_role": null,
    });
    assert_eq!(log[0], ("member.join-team".to_owned(), data.clone()));
    data.as_object_mut()
        .and_then(|data| data.remove("team_role"))
        .expect("a role");
    assert_eq!(log[1..], [("member.leave-team".to_owned(), data)]);
}

#[test]
fn a_team_of_elsewhere_is_not_found() {
    let server = people();
    for team in ["theirs", "nowhere", "99"] {
        let ann = client_of(&server, "ann");
        let path = seat(&server, "me", team);
        assert_answer(&ann.send("POST", &path, None), 404, NOT_FOUND);
        assert_answer(
            &ann.put_json(&path, &json!({"teamRole": "x"})),
            404,
            NOT_FOUND,
        );
        assert_answer(&ann.delete(&path), 404, NOT_FOUND);
    }
    let nobody = client_of(&server, "ann").send("POST", &format!("{MEMBERS}999/teams/ops/"), None);
    assert_answer(&nobody, 404, NOT_FOUND);
    let robot = server
        .with_token(ROBOT)
        .send("POST", &seat(&server, "me", "ops"), None);
    assert_answer(&robot, 404, NOT_FOUND);
}

#[test]
fn where_membership_is_open_everybody_lets_everybody_in() {
    let server = people();
    assert_eq!(join(&server, "bob", "pat", "core").status, 201);
    let robot = server.with_token(ROBOT);
    assert_eq!(
        robot
            .send("POST", &seat(&server, "bob", "core"), None)
            .status,
        201
    );
}

#[test]
fn where_it_is_closed_a_plain_member_asks_and_somebody_agrees() {
    let server = people();
    close(&server);
    let ann = client_of(&server, "ann");
    let waiting = || {
        let organization = ok(&ann.get("/api/0/organizations/acme/"));
        organization["pendingAccessRequests"].clone()
    };
    let pending = |name: &str| {
        let organization = ok(&client_of(&server, name).get("/api/0/organizations/acme/"));
        let teams = organization["teams"].as_array().expect("teams").clone();
        let pending: Vec<String> = teams
            .iter()
            .filter(|team| team["isPending"] == true)
            .map(|team| team["slug"].as_str().expect("a slug").to_owned())
            .collect();
        pending
    };
    // Once more changes nothing.
    for _ in 0..2 {
        let asked = join(&server, "pat", "me", "core");
        assert_eq!((asked.status, asked.text()), (202, ""));
    }
    assert_eq!(waiting(), 1);
    assert_eq!(
        (pending("pat"), pending("bob")),
        (vec!["core".to_owned()], vec![])
    );
    let web = "/api/0/projects/acme/web/";
    assert_answer(&client_of(&server, "pat").get(web), 403, NO_PERMISSION);
    // Another team's members have no say.
    assert_eq!(join(&server, "bob", "pat", "core").status, 202);
    assert_eq!(join(&server, "tom", "pat", "core").status, 201);
    assert_eq!((waiting(), pending("pat")), (json!(0), vec![]));
    assert_eq!(client_of(&server, "pat").get(web).status, 200);
    let events: Vec<String> = audit(&server).into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["member.pending", "member.join-team"]);
}

#[test]
fn whoever_has_a_say_joins_at_once() {
    let server = people();
    close(&server);
    for (name, status) in [
        ("ann", 201),
        ("max", 201),
        ("ada", 202),
        ("bob", 202),
        ("tom", 202),
    ] {
        assert_eq!(join(&server, name, "me", "spare").status, status, "{name}");
    }
    // A request ends with the member.
    assert_eq!(
        client_of(&server, "bob")
            .delete(&format!("{MEMBERS}me/"))
            .status,
        204
    );
    let organization = ok(&client_of(&server, "ann").get("/api/0/organizations/acme/"));
    assert_eq!(organization["pendingAccessRequests"], 2);
    // So does one that a change of the member grants.
    let body = json!({"teams": ["spare", "core"]});
    ok(&client_of(&server, "ann").put_json(&member(&server, "tom"), &body));
    let organization = ok(&client_of(&server, "ann").get("/api/0/organizations/acme/"));
    assert_eq!(organization["pendingAccessRequests"], 1);
}

#[test]
fn a_team_admin_gives_roles_in_the_team() {
    let server = people();
    assert_eq!(join(&server, "pat", "me", "core").status, 201);
    let keys = "/api/0/projects/acme/web/keys/";
    let may_write = || {
        let answer = client_of(&server, "pat").post_json(keys, &json!({"name": "x"}));
        assert!([201, 403].contains(&answer.status), "{}", answer.text());
        answer.status == 201
    };
    assert!(!may_write());
    let given = put_role(&server, "tom", "pat", "core", "admin");
    assert_eq!(ok(&given), json!({"isActive": true, "teamRole": "admin"}));
    assert!(may_write());
    let detail = ok(&client_of(&server, "ann").get(&member(&server, "pat")));
    assert_eq!(
        detail["teamRoles"],
        json!([{"teamSlug": "core", "role": "admin"}])
    );
    // A body that names no role leaves it.
    let body = json!({});
    let kept = client_of(&server, "tom").put_json(&seat(&server, "pat", "core"), &body);
    assert_eq!(ok(&kept), json!({"isActive": true, "teamRole": "admin"}));
    ok(&put_role(&server, "ann", "pat", "core", "contributor"));
    assert!(!may_write());
    let user = audit(&server)[0].1["user_id"].clone();
    let data = |role: &str| json!({"email": "pat@example.test", "user_id": user, "team_slug": "core", "team_role": role});
    assert_eq!(
        audit(&server)[1..],
        [
            ("member.edit".to_owned(), data("admin")),
            ("member.edit".to_owned(), data("contributor")),
        ]
    );
}

#[test]
fn nobody_else_does() {
    let server = people();
    for (name, target, team) in [
        ("bob", "bob", "ops"),
        ("tom", "bob", "ops"),
        ("bob", "tom", "core"),
    ] {
        let answer = put_role(&server, name, target, team, "admin");
        assert_detail(&answer, 400, NOT_YOURS);
    }
    for (name, target, team) in [("tom", "bob", "ops"), ("bob", "tom", "core")] {
        assert_detail(&leave(&server, name, target, team), 400, NOT_YOURS);
    }
    assert_answer(
        &put_role(&server, "ann", "pat", "ops", "admin"),
        404,
        NOT_FOUND,
    );
    let wrong = put_role(&server, "ann", "bob", "ops", "king");
    assert_answer(
        &wrong,
        400,
        r#"{"teamRole":["\"king\" is not a valid choice."]}"#,
    );
    let null = client_of(&server, "ann")
        .put_json(&seat(&server, "bob", "ops"), &json!({"teamRole": null}));
    assert_answer(
        &null,
        400,
        r#"{"teamRole":["This field may not be null."]}"#,
    );
    assert_eq!(audit(&server), []);
    // Those who have a say take others out.
    assert_eq!(leave(&server, "tom", "ann", "core").status, 200);
    assert_eq!(leave(&server, "max", "bob", "ops").status, 200);
}

#[test]
fn a_place_is_read_with_the_member_only() {
    let server = people();
    let answer = client_of(&server, "ann").get(&seat(&server, "bob", "ops"));
    assert_detail(&answer, 405, "Method \"GET\" not allowed.");
    assert_eq!(answer.header("Allow"), Some("POST, PUT, DELETE, OPTIONS"));
}

#[test]
fn an_invitation_is_put_into_teams_too() {
    let server = people();
    invite(&server, "zed", "member");
    let joined = join(&server, "ann", "zed", "ops");
    assert_eq!(
        (joined.status, &joined.json()["memberCount"]),
        (201, &json!(2))
    );
    ok(&put_role(&server, "ann", "zed", "ops", "admin"));
    ok(&leave(&server, "ann", "zed", "ops"));
}
