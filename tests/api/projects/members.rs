//! `P/members/` and `T/members/` (facts/management-api.md 6.6 and 5.7).

use serde_json::json;

use super::*;

const OF_WEB: &str = "/api/0/projects/acme/web/members/";
const OF_CORE: &str = "/api/0/teams/acme/core/members/";

/// Bob is in `core` as well, as its admin; somebody invited is, too.
fn crowded() -> Server {
    let server = world();
    server
        .database()
        .execute_batch(
            "INSERT INTO team_member (team_id, member_id, role)
             SELECT team.id, member.id, 'admin' FROM team, member JOIN user ON user.id = user_id
             WHERE team.slug = 'core' AND user.name = 'Bob';",
        )
        .expect("an insert");
    let body = json!({"email": "able@example.test", "teams": ["core"]});
    let answer = ann(&server).post_json("/api/0/organizations/acme/members/", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    server
}

#[test]
fn a_teams_members_are_listed_by_address_with_their_roles() {
    let server = crowded();
    let answer = ann(&server).get(OF_CORE);
    let list = ok(&answer);
    let emails = ["able@example.test", "ann@example.test", "bob@example.test"];
    assert_eq!(each(&list, "email"), emails);
    assert_eq!(
        each(&list, "teamRole"),
        [&json!(null), &json!(null), &json!("admin")]
    );
    assert_eq!(each(&list, "teamSlug"), ["core"; 3]);
    // For the rest they are as anywhere.
    let mut all = ok(&ann(&server).get("/api/0/organizations/acme/members/?query=bob"));
    all[0]["teamRole"] = json!("admin");
    all[0]["teamSlug"] = json!("core");
    assert_eq!(list[2], all[0]);

    let first = ann(&server).get(&format!("{OF_CORE}?per_page=2"));
    assert_eq!(each(&ok(&first), "email"), emails[..2]);
    let (next, results, _) = link(&first, "next");
    assert!(results);
    let second = ann(&server).get(&path_of(&server, &next));
    assert_eq!(each(&ok(&second), "email"), emails[2..]);
}

#[test]
fn a_projects_members_are_the_users_of_its_teams() {
    let server = crowded();
    let answer = ann(&server).get(OF_WEB);
    let list = ok(&answer);
    assert_eq!(
        each(&list, "email"),
        ["ann@example.test", "bob@example.test"]
    );
    assert_eq!(answer.header("Link"), None);
    let all = ok(&ann(&server).get("/api/0/organizations/acme/members/?query=bob"));
    assert_eq!(list[1], all[0]);
    assert_eq!(
        ok(&ann(&server).get("/api/0/projects/acme/bare/members/")),
        json!([])
    );
    server
        .database()
        .execute("UPDATE user SET active = 0 WHERE name = 'Bob'", [])
        .expect("an update");
    assert_eq!(
        each(&ok(&ann(&server).get(OF_WEB)), "email"),
        ["ann@example.test"]
    );
}

#[test]
fn a_team_or_project_of_elsewhere_is_not_found() {
    let server = world();
    for path in [
        "/api/0/teams/acme/team-b/members/",
        "/api/0/teams/acme/nowhere/members/",
        "/api/0/projects/acme/hidden/members/",
    ] {
        assert_answer(&ann(&server).get(path), 404, NOT_FOUND);
    }
}
