//! `GET /api/0/projects/` and `GET /api/0/internal/health/`.

use serde_json::{Value, json};

use super::*;

const ALL: &str = "/api/0/projects/";

fn slugs(list: &Value) -> Vec<&str> {
    each(list, "slug")
        .into_iter()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn a_user_sees_the_projects_of_the_own_teams_and_a_token_all_of_its_organization() {
    let server = world();
    let own = ok(&ann(&server).get(ALL));
    assert_eq!(slugs(&own), ["web"]);
    let mut project = ok(&ann(&server).get("/api/0/projects/acme/web/"));
    let mut expected = json!({});
    for (field, value) in own[0].as_object().expect("an object") {
        // The same as its detail says, whatever that says besides.
        assert_eq!(value, &project[field], "{field}");
        expected[field] = project[field].take();
    }
    assert_eq!(own[0], expected);
    assert_eq!(
        (
            &own[0]["status"],
            &own[0]["isMember"],
            &own[0]["isInternal"],
            &own[0]["isPublic"]
        ),
        (&json!("active"), &json!(true), &json!(false), &json!(false))
    );
    assert_eq!(own[0]["organization"]["slug"], "acme");
    assert!(own[0].get("teams").is_none() && own[0].get("team").is_none());
    assert_eq!(slugs(&ok(&server.with_token(BOB).get(ALL))), ["shop"]);
    assert_eq!(slugs(&ok(&server.with_token(ZOE).get(ALL))), [""; 0]);
    let all = ok(&server.with_token(ORG_ROBOT).get(ALL));
    assert_eq!(slugs(&all).len(), 3);
}

#[test]
fn a_dsn_leads_to_its_project() {
    let server = world();
    let robot = server.with_token(ORG_ROBOT);
    let id = ok(&robot.get(&format!("{ALL}?query=dsn:{KEY}")));
    assert_eq!(each(&id, "id"), ["31"]);
    for (query, found) in [
        ("WEB", vec!["web"]),
        ("slug:SHOP", vec!["shop"]),
        ("name:web", vec!["web"]),
        ("platform:python", vec!["web"]),
        ("id:33%20id:31", vec!["bare", "web"]),
        ("id:33%20slug:web", vec![]),
        ("colour:red", vec![]),
        // Another organization's key.
        ("dsn:33333333333333333333333333333333", vec![]),
    ] {
        let mut projects = slugs(&ok(&robot.get(&format!("{ALL}?query={query}"))))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        projects.sort();
        assert_eq!(projects, found, "{query}");
    }
    let wrong = robot.get(&format!("{ALL}?query=id:x"));
    assert_answer(&wrong, 400, r#"{"detail":"Invalid project ID: x"}"#);
    assert_eq!(ok(&robot.get(&format!("{ALL}?status=deleted"))), json!([]));
    assert_eq!(
        ok(&robot.get(&format!("{ALL}?organizationId=999"))),
        json!([])
    );
    assert_eq!(
        slugs(&ok(&robot.get(&format!("{ALL}?organizationId=1")))).len(),
        3
    );
}

#[test]
fn pages_lead_from_one_to_the_next() {
    let server = world();
    let robot = server.with_token(ORG_ROBOT);
    let mut seen = Vec::new();
    let mut path = format!("{ALL}?per_page=1");
    loop {
        let answer = robot.get(&path);
        seen.extend(slugs(&ok(&answer)).into_iter().map(str::to_owned));
        let (next, has_more, _) = link(&answer, "next");
        if !has_more {
            break;
        }
        path = path_of(&server, &next);
    }
    seen.sort();
    assert_eq!(seen, ["bare", "shop", "web"]);
}

/// More than are gathered and sorted: the newest of all projects are walked.
#[test]
fn of_very_many_projects_each_is_on_one_page() {
    let server = world();
    server
        .database()
        .execute_batch(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 1050)
             INSERT INTO project (organization_id, slug, name, security_token, created_us)
             SELECT organization.id, 'many-' || n, 'Many ' || n, '', 1767312000000000 + n / 300 * 1000000
             FROM number, organization WHERE organization.slug = 'acme';
             INSERT INTO project_team (project_id, team_id)
             SELECT project.id, team.id FROM project, team WHERE project.slug LIKE 'many-%' AND team.slug = 'core';
             UPDATE project SET deleted_us = 1 WHERE slug = 'many-7';",
        )
        .expect("rows");
    let walk = |client: &Client, target: String, rel: &str| {
        let (mut ids, mut target) = (Vec::new(), Some(target));
        while let Some(path) = target {
            let answer = client.get(&path);
            let page: Vec<i64> = each(&ok(&answer), "id")
                .into_iter()
                .map(|id| id.as_str().expect("an id").parse().expect("a number"))
                .collect();
            let (next, results, _) = link(&answer, rel);
            target = results.then(|| path_of(&server, &next));
            ids.push((path, page));
        }
        ids
    };
    // Ann's are web and the new ones; those of the organization are shop and bare besides.
    for (client, count) in [(ann(&server), 1050), (server.with_token(ORG_ROBOT), 1052)] {
        let pages = walk(&client, ALL.to_owned(), "next");
        let ids: Vec<i64> = pages.iter().flat_map(|(_, ids)| ids.clone()).collect();
        let distinct: std::collections::BTreeSet<i64> = ids.iter().copied().collect();
        assert_eq!((ids.len(), distinct.len()), (count, count));
        let (last, _) = pages.last().expect("a page");
        let mut back = walk(&client, last.clone(), "previous");
        back.reverse();
        let back: Vec<i64> = back.into_iter().flat_map(|(_, ids)| ids).collect();
        assert_eq!(back, ids);
    }
    let found = ok(&ann(&server).get(&format!("{ALL}?query=slug:many-3")));
    assert_eq!(slugs(&found), ["many-3"]);
    let of_key = ok(&ann(&server).get(&format!("{ALL}?query=dsn:{KEY}")));
    assert_eq!(slugs(&of_key), ["web"]);
    // A key of a project that is not of the caller's teams.
    let shop = "11111111111111111111111111111111";
    assert_eq!(
        ok(&ann(&server).get(&format!("{ALL}?query=dsn:{shop}"))),
        json!([])
    );
}

#[test]
fn health_is_told_to_whoever_is_known() {
    let server = world();
    for token in [ORG_CI, NARROW] {
        let answer = server.with_token(token).get("/api/0/internal/health/");
        assert_eq!((answer.status, answer.text()), (200, ""));
    }
    assert_eq!(server.client().get("/api/0/internal/health/").status, 401);
}
