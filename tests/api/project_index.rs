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
    assert_eq!(own[0]["organization"]["slug"], "acme");
    assert_eq!(
        (&own[0]["status"], &own[0]["isMember"]),
        (&json!("active"), &json!(true))
    );
    assert!(own[0].get("teams").is_none());
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

#[test]
fn health_is_told_to_whoever_is_known() {
    let server = world();
    for token in [ORG_CI, NARROW] {
        let answer = server.with_token(token).get("/api/0/internal/health/");
        assert_eq!((answer.status, answer.text()), (200, ""));
    }
    assert_eq!(server.client().get("/api/0/internal/health/").status, 401);
}
