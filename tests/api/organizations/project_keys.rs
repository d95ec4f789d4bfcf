//! `O/project-keys/` (facts/management-api.md 7.7).

use super::*;

const LIST: &str = "/api/0/organizations/acme/project-keys/";

fn names(answer: &Answer) -> Vec<String> {
    each(&ok(answer), "name")
        .into_iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn a_user_lists_the_keys_of_their_teams_projects() {
    let server = world();
    assert_eq!(names(&ann(&server).get(LIST)), ["Default"]);
    assert_eq!(names(&server.with_token(BOB).get(LIST)), ["Shop"]);
    // A token of the organization is in no team, and every project is its own.
    assert_eq!(
        names(&server.with_token(ORG_ROBOT).get(LIST)),
        ["Bare", "Shop", "Default"]
    );
}

#[test]
fn a_key_looks_as_it_does_in_its_project() {
    let server = world();
    let list = ok(&ann(&server).get(LIST));
    let single = ok(&ann(&server).get(&format!("/api/0/projects/acme/web/keys/{KEY}/")));
    assert_eq!(list[0], single);
}

#[test]
fn projects_can_be_named() {
    let server = world();
    for (query, expected) in [
        ("project=-1", vec!["Bare", "Shop", "Default"]),
        ("project=31&project=33", vec!["Bare", "Default"]),
        ("projectSlug=shop", vec!["Shop"]),
        ("projectSlug=$all", vec!["Bare", "Shop", "Default"]),
        ("project=-1&team=ops", vec!["Shop"]),
        ("project=-1&status=inactive", vec![]),
        ("project=-1&status=active", vec!["Bare", "Shop", "Default"]),
        ("project=-1&status=other", vec![]),
    ] {
        let answer = ann(&server).get(&format!("{LIST}?{query}"));
        assert_eq!(names(&answer), expected, "{query}");
    }
    let team = ok(&ann(&server).get("/api/0/organizations/acme/"))["teams"][0]["id"].clone();
    let team = team.as_str().expect("an id").to_owned();
    assert_eq!(
        names(&ann(&server).get(&format!("{LIST}?team={team}"))),
        ["Default"]
    );
}

#[test]
fn closed_membership_leaves_the_own_teams() {
    let server = world();
    server
        .database()
        .execute("UPDATE organization SET open_membership = 0", [])
        .expect("an update");
    let bob = server.with_token(BOB);
    assert_eq!(names(&bob.get(&format!("{LIST}?project=-1"))), ["Shop"]);
    let foreign = bob.get(&format!("{LIST}?project=31"));
    assert_answer(&foreign, 403, NO_PERMISSION);
}

#[test]
fn what_cannot_be_found_is_refused_as_a_whole() {
    let server = world();
    let get = |query: &str| ann(&server).get(&format!("{LIST}?{query}"));
    for query in ["project=41", "project=31&project=999", "projectSlug=hidden"] {
        assert_answer(&get(query), 403, NO_PERMISSION);
    }
    assert_answer(
        &get("project=x"),
        400,
        r#"{"detail":"Invalid project parameter. Values must be numbers."}"#,
    );
    assert_answer(&get("team=none"), 404, r#"{"detail":"Team not found"}"#);
    assert_answer(&get("team=team-b"), 404, r#"{"detail":"Team not found"}"#);
}

#[test]
fn pages_cover_all_projects_newest_first() {
    let server = world();
    for project in [
        "web", "shop", "web", "bare", "web", "web", "shop", "web", "web",
    ] {
        let keys = format!("/api/0/projects/acme/{project}/keys/");
        assert_eq!(ann(&server).post(&keys, b"").status, 201);
    }
    let mut target = format!("{LIST}?project=-1");
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    loop {
        let answer = ann(&server).get(&target);
        let page: Vec<String> = each(&ok(&answer), "id")
            .into_iter()
            .map(ToString::to_string)
            .collect();
        sizes.push(page.len());
        seen.extend(page);
        let (next, results, _) = link(&answer, "next");
        if !results {
            break;
        }
        target = path_of(&server, &next);
    }
    assert_eq!(sizes, [10, 2]);
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), 12);
    let oldest = seen.last().expect("keys");
    assert_eq!(*oldest, format!("\"{KEY}\""));
}
