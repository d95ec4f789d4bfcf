//! `O/org-auth-tokens/`: an organization's own tokens (facts/auth-and-tokens.md 3).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::*;

const TOKENS: &str = "/api/0/organizations/acme/org-auth-tokens/";
const INVALID: &str = r#"{"detail":"Invalid org token"}"#;

fn make(client: &Client, body: &Value) -> Value {
    let made = client.post_json(TOKENS, body);
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

fn path(token: &Value) -> String {
    format!("{TOKENS}{}/", token["id"].as_str().expect("an id"))
}

fn text(token: &Value) -> String {
    token["token"].as_str().expect("a token").to_owned()
}

#[test]
fn any_member_makes_a_token_for_build_tools() {
    let server = world();
    server
        .clock
        .set(picket::Timestamp::from_us(START.us() + 1_500_000));
    let answer = server
        .with_token(BOB)
        .post_json(TOKENS, &json!({"name": "ci"}));
    assert_eq!(answer.status, 201);
    assert!(
        answer
            .header("Cache-Control")
            .expect("a field")
            .contains("no-store")
    );
    let mut made = answer.json();
    let token = text(&made);

    // Byte for byte, as clients take it apart.
    let parts: Vec<&str> = token.split('_').collect();
    assert_eq!((parts.len(), parts[0]), (3, "sntrys"));
    let url = server.url_prefix();
    assert_eq!(
        String::from_utf8(STANDARD.decode(parts[1]).expect("padded base64")).expect("text"),
        format!(r#"{{"iat":1767312001.5,"url":"{url}","region_url":"{url}","org":"acme"}}"#)
    );
    assert_eq!(parts[2].len(), 43);
    assert_eq!(
        STANDARD_NO_PAD
            .decode(parts[2])
            .expect("unpadded base64")
            .len(),
        32
    );
    assert!(token.len() <= 2048);

    made.as_object_mut().expect("an object").remove("token");
    let mut expected = json!({
        "id": made["id"], "name": "ci", "scopes": ["org:ci"], "tokenLastCharacters": &token[token.len() - 4..],
        "dateCreated": "2026-01-02T00:00:01.500000Z", "dateLastUsed": null, "projectLastUsedId": null,
        "expiresAt": null, "projects": [], "lastUsedAddress": null,
    });
    assert_eq!(made, expected);
    let root = ok(&server.with_token(&token).get("/api/0/"));
    assert_eq!(
        root,
        json!({"version": "0", "auth": {"scopes": ["org:ci"]}, "user": null})
    );
    expected["dateLastUsed"] = json!("2026-01-02T00:00:01.500000Z");
    expected["lastUsedAddress"] = json!("127.0.0.1");
    assert_eq!(ok(&server.with_token(READER).get(&path(&made))), expected);
    // It manages no tokens itself.
    assert_answer(&server.with_token(&token).get(TOKENS), 403, NO_PERMISSION);
}

#[test]
fn names_are_refused_in_their_own_words() {
    let server = world();
    let made = make(&ann(&server), &json!({"name": "x".repeat(255)}));
    let blank = r#"{"detail":"The name cannot be blank."}"#;
    let long = r#"{"detail":"The name cannot be longer than 255 characters."}"#;
    for (body, expected) in [
        (json!({}), blank),
        (json!({"name": ""}), blank),
        (json!({"name": "  "}), blank),
        (json!({"name": null}), blank),
        (json!({"name": "x".repeat(256)}), long),
        (json!({"name": []}), r#"{"name":["Not a valid string."]}"#),
    ] {
        assert_answer(&ann(&server).post_json(TOKENS, &body), 400, expected);
        assert_answer(&ann(&server).put_json(&path(&made), &body), 400, expected);
    }
    assert_answer(
        &ann(&server).post_json(
            TOKENS,
            &json!({"name": "x", "scopes": ["a"], "expiresAt": "2001-01-01", "projects": ["shop", "hidden"]}),
        ),
        400,
        &json!({
            "expiresAt": ["This must be a moment that lies ahead."],
            "projects": {"1": ["There is no such project."]},
            "scopes": ["\"a\" is not a valid choice."],
        })
        .to_string(),
    );
}

#[test]
fn the_list_begins_with_what_was_used_last() {
    let server = world();
    let client = ann(&server);
    let [b, a, used] = ["b", "a", "used"].map(|name| make(&client, &json!({"name": name})));
    let newer = make(&client, &json!({"name": "a"}));
    server.advance(1);
    server.with_token(ORG_ROBOT).get("/api/0/");
    server.advance(1);
    server.with_token(&text(&used)).get("/api/0/");
    let list = ok(&server.with_token(READER).get(TOKENS));
    assert_eq!(each(&list, "name"), ["used", "robot", "a", "a", "b", "ci"]);
    assert_eq!(
        [&list[2]["id"], &list[3]["id"], &list[4]["id"]],
        [&newer["id"], &a["id"], &b["id"]]
    );
    assert!(each(&list, "token").iter().all(|token| token.is_null()));
    // Those of others, of users, and API keys are not among them.
    assert_eq!(
        ok(&server
            .with_token(EVE)
            .get("/api/0/organizations/beta/org-auth-tokens/")),
        json!([])
    );
}

#[test]
fn a_token_is_renamed_and_removed() {
    let server = world();
    let made = make(&ann(&server), &json!({"name": "ci"}));
    let renamed = server.with_token(BOB).put_json(
        &path(&made),
        &json!({"name": "cd", "scopes": ["org:admin"]}),
    );
    assert_eq!((renamed.status, renamed.text()), (204, ""));
    let now = ok(&ann(&server).get(&path(&made)));
    assert_eq!(
        (&now["name"], &now["scopes"]),
        (&json!("cd"), &json!(["org:ci"]))
    );
    let client = server.with_token(&text(&made));
    assert_eq!(client.get("/api/0/").status, 200);
    // Making one is every member's right, ending one is not.
    for target in [path(&made), format!("{}rotate/", path(&made))] {
        let method = if target.ends_with("rotate/") {
            "POST"
        } else {
            "DELETE"
        };
        assert_answer(
            &server.with_token(BOB).send(method, &target, None),
            403,
            NO_PERMISSION,
        );
    }
    let removed = ann(&server).delete(&path(&made));
    assert_eq!((removed.status, removed.text()), (204, ""));
    assert_answer(&client.get("/api/0/"), 401, INVALID);
    for id in [made["id"].as_str().expect("an id"), "999999", "x"] {
        let target = format!("{TOKENS}{id}/");
        assert_answer(&ann(&server).get(&target), 404, NOT_FOUND);
        assert_answer(&ann(&server).delete(&target), 404, NOT_FOUND);
        assert_answer(
            &ann(&server).put_json(&target, &json!({"name": "x"})),
            404,
            NOT_FOUND,
        );
        assert_answer(
            &ann(&server).post_json(&format!("{target}rotate/"), &json!({})),
            404,
            NOT_FOUND,
        );
        assert_answer(
            &ann(&server).get(&format!("{target}usage/")),
            404,
            NOT_FOUND,
        );
    }
    // Making, rotating and removing is in the log, renaming is not.
    let data = json!({"name": "ci", "scopes": ["org:ci"]});
    let removed = json!({"name": "cd", "scopes": ["org:ci"]});
    assert_eq!(
        audited(&server),
        [
            ("org-auth-token.create".to_owned(), data),
            ("org-auth-token.remove".to_owned(), removed)
        ]
    );
}

#[test]
fn nobody_gives_a_token_more_than_they_have() {
    let server = world();
    let refused = |token: &str, scopes: &[&str]| -> Option<String> {
        let answer = server
            .with_token(token)
            .post_json(TOKENS, &json!({"name": "x", "scopes": scopes}));
        match answer.status {
            201 => None,
            403 => Some(answer.json()["detail"].as_str().expect("a text").to_owned()),
            status => panic!("{status}: {}", answer.text()),
        }
    };
    let owner = crate::support::OWNER_TOKEN;
    let text = |scopes: &str| {
        Some(format!(
            "You cannot give a token scopes that you do not have yourself: {scopes}"
        ))
    };
    // A member; also one whose token says more than the role.
    assert_eq!(refused(BOB, &["org:ci"]), None);
    assert_eq!(
        refused(BOB, &["org:admin"]),
        text("org:admin org:integrations org:read org:write")
    );
    assert_eq!(
        refused(BOB, &["project:read", "org:ci"]),
        text("project:read")
    );
    // An owner, whose token cuts what it may give.
    assert_eq!(
        refused(owner, &["org:admin", "project:admin", "member:admin"]),
        None
    );
    assert_eq!(
        refused(owner, &["alerts:write"]),
        text("alerts:read alerts:write")
    );
    assert_eq!(refused(READER, &["org:read"]), text("org:read"));
    // What nobody has opens nothing yet, and may be given.
    assert_eq!(refused(owner, &["project:distribution", "openid"]), None);
    // A token of the organization gives nothing without org:write.
    assert_eq!(refused(ORG_ROBOT, &["project:read"]), text("project:read"));
    assert_eq!(refused(ORG_ROBOT, &["org:ci"]), None);
    // Nor does anybody get more by putting another in the place of a mightier one.
    let mighty = make(
        &ann(&server),
        &json!({"name": "mighty", "scopes": ["org:admin", "project:admin"]}),
    );
    let weak = make(
        &ann(&server),
        &json!({"name": "weak", "scopes": ["org:write"]}),
    );
    let answer = server
        .with_token(&self::text(&weak))
        .post_json(&format!("{}rotate/", path(&mighty)), &json!({}));
    assert_answer(
        &answer,
        403,
        r#"{"detail":"You cannot give a token scopes that you do not have yourself: org:admin org:integrations project:admin project:read project:write"}"#,
    );
    assert_eq!(
        server
            .with_token(&self::text(&mighty))
            .get("/api/0/organizations/acme/")
            .status,
        200
    );
}

#[test]
fn a_service_account_works_rotates_and_ends() {
    let server = world();
    let made = make(
        &ann(&server),
        &json!({"name": "robot", "scopes": ["project:write"], "projects": ["shop"], "expiresAt": "2026-01-04T00:00:00Z"}),
    );
    assert_eq!(
        (&made["scopes"], &made["projects"], &made["expiresAt"]),
        (
            &json!(["project:read", "project:write"]),
            &json!(["32"]),
            &json!("2026-01-04T00:00:00Z")
        )
    );
    let client = server.with_token(&text(&made));
    ok(&client.get("/api/0/projects/acme/shop/"));
    assert_answer(&client.get("/api/0/projects/acme/web/"), 403, NO_PERMISSION);
    server.advance(1);
    let answer = ann(&server).post_json(
        &format!("{}rotate/", path(&made)),
        &json!({"expiresAt": "2026-01-02T00:00:05Z"}),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    let next = answer.json();
    assert_eq!(
        (
            &next["name"],
            &next["scopes"],
            &next["projects"],
            &next["expiresAt"]
        ),
        (
            &made["name"],
            &made["scopes"],
            &made["projects"],
            &json!("2026-01-04T00:00:01Z")
        )
    );
    assert!(text(&next).starts_with("sntrys_"));
    ok(&client.get("/api/0/projects/acme/shop/"));
    server.advance(4);
    assert_answer(
        &client.get("/api/0/projects/acme/shop/"),
        401,
        r#"{"detail":"Token expired"}"#,
    );
    ok(&server
        .with_token(&text(&next))
        .get("/api/0/projects/acme/shop/"));
    // A deleted organization's tokens are good for nothing, and then gone with all that was known of them.
    assert_eq!(
        ann(&server).delete("/api/0/organizations/acme/").status,
        202
    );
    assert_answer(
        &server.with_token(&text(&next)).get("/api/0/"),
        401,
        INVALID,
    );
    let rows = || {
        let of_acme = "FROM auth_token WHERE organization_id IS NOT NULL";
        count_rows(
            &server,
            &format!("auth_token_project WHERE token_id IN (SELECT id {of_acme})"),
        ) + count_rows(&server, &format!("(SELECT id {of_acme})"))
            + count_rows(
                &server,
                "auth_token_use WHERE token_id NOT IN (SELECT id FROM auth_token)",
            )
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while rows() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} rows stay", rows());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
