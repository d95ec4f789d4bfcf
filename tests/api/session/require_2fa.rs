//! Organizations that demand a second factor of their members.

use serde_json::json;

use super::*;

const ORGANIZATION: &str = "/api/0/organizations/acme/";
const REQUIRED: &str = r#"{"detail":{"code":"2fa-required","message":"Organization requires two-factor authentication to be enabled","extra":{}}}"#;

/// Ann has a second factor, and demands one of everybody.
fn demanding() -> (Server, Session) {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    let answer = session
        .client(&server)
        .put_json(ORGANIZATION, &json!({"require2FA": true}));
    assert_eq!(ok(&answer)["require2FA"], true);
    (server, session)
}

#[test]
fn a_member_in_a_browser_needs_one_and_a_token_does_not() {
    let (server, session) = demanding();
    give_bob_a_password(&server);
    let bob = sign_in(&server, "bob@example.test");
    let client = bob.client(&server);
    for (method, target) in [
        ("GET", ORGANIZATION),
        ("GET", "/api/0/organizations/acme/members/"),
        ("GET", "/api/0/teams/acme/ops/"),
        ("GET", "/api/0/projects/acme/shop/"),
        ("GET", "/api/0/projects/acme/shop/keys/"),
        ("DELETE", "/api/0/organizations/acme/members/me/"),
    ] {
        let answer = client.send(method, target, None);
        assert_answer(&answer, 401, REQUIRED);
        assert_eq!(
            answer.header("WWW-Authenticate"),
            Some("xBasic realm=\"api\"")
        );
    }
    assert_answer(&client.get("/api/0/projects/acme/nothing/"), 404, NOT_FOUND);
    // The organization is no secret, what is in it is.
    let list = ok(&client.get("/api/0/organizations/"));
    assert_eq!(each(&list, "require2FA"), [true]);
    assert_eq!(ok(&client.get("/api/0/projects/")), json!([]));
    // Others, tokens, and whoever has one.
    assert_eq!(server.with_token(BOB).get(ORGANIZATION).status, 200);
    assert_eq!(
        each(&ok(&server.with_token(BOB).get("/api/0/projects/")), "slug"),
        ["shop"]
    );
    assert_eq!(session.client(&server).get(ORGANIZATION).status, 200);
    assert_eq!(server.with_token(ORG_ROBOT).get(ORGANIZATION).status, 200);
    enroll(&server, &bob);
    assert_eq!(client.get(ORGANIZATION).status, 200);
    assert_eq!(each(&ok(&client.get("/api/0/projects/")), "slug"), ["shop"]);
}

#[test]
fn strangers_are_told_what_strangers_are_told() {
    let (server, _) = demanding();
    server
        .database()
        .execute(
            "UPDATE user SET password_hash = (SELECT password_hash FROM user WHERE name = 'Ann')
             WHERE email = 'zoe@example.test'",
            [],
        )
        .expect("an update");
    let zoe = sign_in(&server, "zoe@example.test").client(&server);
    assert_answer(&zoe.get(ORGANIZATION), 403, NO_PERMISSION);
}

#[test]
fn it_is_demanded_by_who_has_one() {
    let server = world();
    let session = sign_in(&server, ANN);
    let client = session.client(&server);
    let refused = json!({"require2FA": ["Set up a second factor for your own account first."]});
    let wish = json!({"require2FA": true});
    for client in [client.clone(), ann(&server)] {
        let answer = client.put_json(ORGANIZATION, &wish);
        assert_eq!((answer.status, answer.json()), (400, refused.clone()));
    }
    assert_eq!(ok(&client.get(ORGANIZATION))["require2FA"], false);
    enroll(&server, &session);
    // A token of the organization is nobody who could have one.
    server
        .database()
        .execute(
            "UPDATE auth_token SET scopes = 'org:read org:write' WHERE name = 'robot'",
            [],
        )
        .expect("an update");
    let robot = server.with_token(ORG_ROBOT);
    let answer = robot.put_json(ORGANIZATION, &wish);
    assert_eq!((answer.status, answer.json()), (400, refused));
    // With one, by a token too; what is demanded already may be demanded by everybody.
    assert_eq!(
        ok(&ann(&server).put_json(ORGANIZATION, &wish))["require2FA"],
        true
    );
    assert_eq!(ok(&robot.put_json(ORGANIZATION, &wish))["require2FA"], true);
    assert_eq!(
        ok(&ann(&server).put_json(ORGANIZATION, &json!({"require2FA": false})))["require2FA"],
        false
    );
    let changes: Vec<Value> = audited(&server)
        .into_iter()
        .filter(|(event, _)| event == "org.edit")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(
        changes,
        [
            json!({"require2FA": "from false to true"}),
            json!({"require2FA": "from true to false"})
        ]
    );
    for wrong in [json!(null), json!("maybe")] {
        let answer = ann(&server).put_json(ORGANIZATION, &json!({"require2FA": wrong}));
        assert_eq!(answer.status, 400);
        assert!(answer.json()["require2FA"].is_array());
    }
}

#[test]
fn where_an_identity_provider_vouches_it_cannot_be_demanded() {
    let server = world();
    let session = sign_in(&server, ANN);
    enroll(&server, &session);
    server
        .database()
        .execute(
            "INSERT INTO identity_provider (organization_id, kind, config, created_us)
             SELECT id, 'oidc', '{}', 0 FROM organization WHERE slug = 'acme'",
            [],
        )
        .expect("a provider");
    let answer = ann(&server).put_json(ORGANIZATION, &json!({"require2FA": true}));
    assert_eq!(answer.status, 400);
    let text = answer.json()["require2FA"][0].clone();
    assert!(
        text.as_str()
            .is_some_and(|text| text.contains("identity provider")),
        "{text}"
    );
}
