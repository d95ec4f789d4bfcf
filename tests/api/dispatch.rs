//! What every endpoint does before its handler runs: paths, methods, origins, scopes, and the order in which
//! all that is refused (facts/management-api.md 1.1, 1.5, 1.6 and 1.11).

use super::*;

const PROJECT: &str = "/api/0/projects/acme/web/";

#[test]
fn a_missing_slash_is_told_in_the_clients_language() {
    let server = world();
    let json = server
        .client()
        .with_header("Content-Type", "application/json; charset=utf-8");
    assert_answer(
        &json.get("/api/0/projects?a=b"),
        404,
        r#"{"info":"Route not found, did you forget a trailing slash? try: /api/0/projects/"}"#,
    );
    let answer = ann(&server).get("/api/0/projects/acme/web");
    assert_eq!(
        (answer.status, answer.text()),
        (
            404,
            "Route not found, did you forget a trailing slash?\n\n\
             try: /api/0/projects/acme/web/\n\
             \u{20}                            ^"
        )
    );
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert!(json.get("/api/0").text().contains("try: /api/0/"));
}

#[test]
fn an_unknown_path_is_an_empty_404_for_everybody() {
    let server = world();
    for client in [server.client(), ann(&server), server.with_token("wrong")] {
        for target in ["/api/0/nothing/", "/api/0/projects/acme/web/nothing/"] {
            let answer = client.get(target);
            assert_eq!((answer.status, answer.text()), (404, ""), "{target}");
        }
    }
}

#[test]
fn a_method_without_a_handler_is_refused_after_the_scopes() {
    let server = world();
    let answer = ann(&server).post(PROJECT, b"");
    assert_answer(&answer, 405, r#"{"detail":"Method \"POST\" not allowed."}"#);
    assert_eq!(
        answer.header("Allow"),
        Some("GET, PUT, DELETE, HEAD, OPTIONS")
    );
    // Nothing is looked up for it.
    let nowhere = ann(&server).post("/api/0/projects/no/where/", b"");
    assert_eq!(nowhere.status, 405);
    // No scope opens a method that asks for none, and without credentials nothing is said of methods.
    assert_answer(
        &ann(&server).send("PATCH", PROJECT, None),
        403,
        NO_PERMISSION,
    );
    assert_eq!(server.client().send("PATCH", PROJECT, None).status, 401);
    // The root asks for none.
    let root = server.client().delete("/api/0/");
    assert_answer(&root, 405, r#"{"detail":"Method \"DELETE\" not allowed."}"#);
}

#[test]
fn a_token_without_the_scope_is_refused_before_anything_is_looked_up() {
    let server = world();
    for target in [PROJECT, "/api/0/projects/no/where/"] {
        let answer = server.with_token(NARROW).get(target);
        assert_answer(&answer, 403, NO_PERMISSION);
        assert_eq!(
            answer.header("WWW-Authenticate"),
            Some(
                "Bearer error=\"insufficient_scope\", scope=\"project:read project:write project:admin\""
            )
        );
    }
    let keys = "/api/0/projects/acme/web/keys/";
    let answer = server
        .with_token(READER)
        .post_json(keys, &serde_json::json!({}));
    assert_answer(&answer, 403, NO_PERMISSION);
    let answer = server
        .with_token(ORG_CI)
        .get("/api/0/organizations/acme/projects/");
    assert_answer(&answer, 403, NO_PERMISSION);
}

#[test]
fn what_is_there_and_not_yours_is_forbidden() {
    let server = world();
    for token in [ZOE, EVE] {
        let client = server.with_token(token);
        for target in [
            "/api/0/organizations/acme/",
            "/api/0/organizations/acme/projects/",
            "/api/0/organizations/acme/project-keys/",
            "/api/0/projects/acme/web/",
            "/api/0/projects/acme/web/keys/",
            "/api/0/projects/acme/web/keys/0123456789abcdef0123456789abcdef/",
            "/api/0/projects/acme/web/stats/",
        ] {
            assert_answer(&client.get(target), 403, NO_PERMISSION);
        }
    }
    let robot = server.with_token(ORG_ROBOT);
    assert_answer(&robot.get("/api/0/organizations/beta/"), 403, NO_PERMISSION);
    assert_answer(
        &robot.get("/api/0/projects/beta/hidden/"),
        403,
        NO_PERMISSION,
    );
}

#[test]
fn what_is_not_there_is_not_found_by_anybody() {
    let server = world();
    for client in [ann(&server), server.with_token(ZOE)] {
        for target in [
            "/api/0/organizations/nowhere/",
            "/api/0/organizations/ACME/",
            "/api/0/organizations/999/",
            "/api/0/organizations/99999999999999999999/projects/",
            "/api/0/projects/nowhere/web/",
            "/api/0/projects/acme/nothing/",
            "/api/0/projects/acme/hidden/",
            "/api/0/projects/acme/41/keys/",
        ] {
            assert_answer(&client.get(target), 404, NOT_FOUND);
        }
    }
}

#[test]
fn ids_and_slugs_name_the_same() {
    let server = world();
    let organization = ok(&ann(&server).get("/api/0/organizations/acme/"));
    let id = organization["id"].as_str().expect("an id");
    for target in [
        "/api/0/projects/acme/web/".to_owned(),
        format!("/api/0/projects/{id}/web/"),
        format!("/api/0/projects/{id}/31/"),
        "/api/0/projects/acme/%33%31/".to_owned(),
    ] {
        assert_eq!(ok(&ann(&server).get(&target))["slug"], "web", "{target}");
    }
}

#[test]
fn a_members_role_cuts_the_token() {
    let server = world();
    let bob = server.with_token(BOB);
    assert_eq!(bob.get("/api/0/projects/acme/web/keys/").status, 200);
    let refused = bob.post_json("/api/0/projects/acme/web/keys/", &serde_json::json!({}));
    assert_answer(&refused, 403, NO_PERMISSION);
    // A demoted owner's tokens shrink with the owner.
    let keys = "/api/0/projects/acme/web/keys/";
    assert_eq!(ann(&server).post(keys, b"").status, 201);
    server
        .database()
        .execute("UPDATE member SET role = 'member' WHERE role = 'owner'", [])
        .expect("an update");
    assert_answer(&ann(&server).post(keys, b""), 403, NO_PERMISSION);
}

#[test]
fn a_team_role_adds_scopes_on_the_teams_projects_only() {
    let server = world();
    server
        .database()
        .execute(
            "UPDATE team_member SET role = 'admin' WHERE team_id = (SELECT id FROM team WHERE slug = 'ops')",
            [],
        )
        .expect("an update");
    let bob = server.with_token(BOB);
    assert_eq!(bob.post("/api/0/projects/acme/shop/keys/", b"").status, 201);
    assert_eq!(bob.post("/api/0/projects/acme/web/keys/", b"").status, 403);
}

#[test]
fn closed_membership_hides_other_teams_projects() {
    let server = world();
    server
        .database()
        .execute("UPDATE organization SET open_membership = 0", [])
        .expect("an update");
    let bob = server.with_token(BOB);
    assert_eq!(bob.get("/api/0/projects/acme/shop/").status, 200);
    assert_answer(&bob.get("/api/0/projects/acme/web/"), 403, NO_PERMISSION);
    assert_eq!(ann(&server).get("/api/0/projects/acme/bare/").status, 200);
}

#[test]
fn every_answer_carries_the_fields_of_its_endpoint() {
    let server = world();
    let keys = "/api/0/projects/acme/web/keys/";
    for answer in [
        ann(&server).get(keys),
        server.client().get(keys),
        ann(&server).get("/api/0/projects/acme/nothing/keys/"),
    ] {
        for name in ["Allow", "Access-Control-Allow-Methods"] {
            assert_eq!(answer.header(name), Some("GET, POST, HEAD, OPTIONS"));
        }
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);
        assert_eq!(
            answer.header("Access-Control-Allow-Headers"),
            Some(
                "X-Sentry-Auth, X-Requested-With, Origin, Accept, Content-Type, Authentication, \
                 Authorization, Content-Encoding, sentry-trace, baggage, X-CSRFToken"
            )
        );
        assert_eq!(
            answer.header("Access-Control-Expose-Headers"),
            Some(
                "X-Sentry-Error, X-Sentry-Direct-Hit, X-Hits, X-Max-Hits, Endpoint, Retry-After, Link"
            )
        );
    }
}

#[test]
fn a_preflight_needs_no_credentials() {
    let server = world();
    let key = format!("/api/0/projects/acme/web/keys/{KEY}/");
    let answer = server
        .client()
        .with_header("Origin", "https://elsewhere.test")
        .send("OPTIONS", &key, None);
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("Access-Control-Max-Age"), Some("3600"));
    assert_eq!(
        answer.header("Access-Control-Allow-Methods"),
        Some("GET, PUT, DELETE, HEAD, OPTIONS")
    );
    assert_eq!(
        answer.header("Access-Control-Allow-Origin"),
        Some("https://elsewhere.test")
    );
}

#[test]
fn a_page_of_another_site_is_refused_before_the_credentials() {
    let server = world();
    for client in [ann(&server), server.client(), server.with_token("wrong")] {
        let answer = client
            .with_header("Origin", "https://elsewhere.test")
            .get(PROJECT);
        assert_answer(&answer, 400, r#""Invalid origin: https://elsewhere.test""#);
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);
    }
    let own = ann(&server)
        .with_header("Origin", &server.url_prefix())
        .get(PROJECT);
    assert_eq!(own.status, 200);
    assert_eq!(own.header("Access-Control-Allow-Credentials"), Some("true"));
    let none = ann(&server).with_header("Origin", "null").get(PROJECT);
    assert_eq!(none.status, 200);
    assert_eq!(none.header("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn a_client_that_takes_no_json_gets_none() {
    let server = world();
    let accepting = |accept: &str| ann(&server).with_header("Accept", accept).get(PROJECT);
    for accept in ["text/html", "application/xml, text/*"] {
        assert_answer(
            &accepting(accept),
            406,
            r#"{"detail":"Could not satisfy the request Accept header."}"#,
        );
    }
    for accept in ["*/*", "text/html, application/json;q=0.1", "application/*"] {
        assert_eq!(accepting(accept).status, 200, "{accept}");
    }
}

#[test]
fn head_is_get_without_a_body() {
    let server = world();
    let answer = ann(&server).send("HEAD", PROJECT, None);
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
}

#[test]
fn a_body_that_is_too_large_is_refused_as_json() {
    let server = world();
    let answer = ann(&server).send_raw(
        b"POST /api/0/projects/acme/web/keys/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
          Content-Length: 100000000\r\n\r\n",
    );
    assert_answer(
        &answer,
        413,
        r#"{"detail":"The request body is too large"}"#,
    );
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn a_fault_is_told_by_its_number_only() {
    let server = world();
    server
        .database()
        .execute_batch("DROP TABLE ledger")
        .expect("a fault");
    let answer = ann(&server).get("/api/0/projects/acme/web/stats/");
    let id = answer.header("X-Request-Id").expect("a number").to_owned();
    assert_eq!(id.len(), 32);
    assert_answer(
        &answer,
        500,
        &format!(r#"{{"detail":"Internal Error","errorId":"{id}"}}"#),
    );
    assert_eq!(answer.header("Allow"), Some("GET, HEAD, OPTIONS"));
    // Nothing else is touched by it.
    assert_eq!(ann(&server).get(PROJECT).status, 200);
}
