//! `/api/0/api-tokens/`: a user's own tokens (facts/auth-and-tokens.md 2).

use serde_json::json;

use super::*;

const LIST: &str = "/api/0/api-tokens/";
const NOT_SIGNED_IN: &str = r#"{"detail":"Authentication credentials were not provided."}"#;
const NO_SUCH_TOKEN: &str = r#"{"detail":"Invalid token ID"}"#;
const NO_SUCH_USER: &str = r#"{"detail":"Invalid user ID"}"#;
const NEVER_CACHED: &str = "max-age=0, no-cache, no-store, must-revalidate, private";

fn browser(server: &Server) -> Client {
    server.signed_in("ann@example.test")
}

/// Makes a token in the browser; its body.
fn make(server: &Server, body: &Value) -> Value {
    let made = browser(server).post_json(LIST, body);
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

fn path(token: &Value) -> String {
    format!("{LIST}{}/", token["id"].as_str().expect("an id"))
}

fn text(token: &Value) -> String {
    token["token"].as_str().expect("a token").to_owned()
}

fn user_id(server: &Server, email: &str) -> i64 {
    server
        .database()
        .query_row("SELECT id FROM user WHERE email = ?1", [email], |row| {
            row.get(0)
        })
        .expect("a user")
}

#[test]
fn a_token_is_shown_once_and_then_told_about() {
    let server = world();
    server.advance(1);
    let made = browser(&server).post_json(
        LIST,
        &json!({"name": " ci laptop ", "scopes": ["project:write", "org:read"]}),
    );
    assert_eq!(made.status, 201);
    assert_eq!(made.header("Cache-Control"), Some(NEVER_CACHED));
    let mut made = made.json();
    let token = text(&made);
    assert_eq!((token.len(), &token[..7]), (71, "sntryu_"));
    assert!(token[7..].bytes().all(|b| b.is_ascii_hexdigit()));
    let expected = json!({
        "id": made["id"], "name": "ci laptop", "scopes": ["org:read", "project:read", "project:write"],
        "application": null, "expiresAt": null, "dateCreated": "2026-01-02T00:00:01Z", "state": null,
        "refreshToken": null, "tokenLastCharacters": &token[67..],
        "dateLastUsed": null, "projects": [], "lastUsedAddress": null,
    });
    made.as_object_mut().expect("an object").remove("token");
    assert_eq!(made, expected);
    assert_eq!(
        ok(&server.with_token(&token).get("/api/0/"))["auth"]["scopes"],
        expected["scopes"]
    );

    // It was used meanwhile.
    let mut expected = expected;
    expected["dateLastUsed"] = json!("2026-01-02T00:00:01Z");
    expected["lastUsedAddress"] = json!("127.0.0.1");
    let one = browser(&server).get(&path(&made));
    assert_eq!(one.header("Cache-Control"), Some(NEVER_CACHED));
    assert_eq!(ok(&one), expected);
    let list = browser(&server).get(LIST);
    assert_eq!(list.header("Cache-Control"), Some(NEVER_CACHED));
    assert_eq!(list.header("Link"), None);
    let list = ok(&list);
    assert_eq!(
        each(&list, "name"),
        ["laptop", "reader", "narrow", "brief", "ci laptop"]
    );
    assert_eq!(list[4], expected);
    // Another user has none of them.
    let bobs = ok(&server.signed_in("bob@example.test").get(LIST));
    assert_eq!(each(&bobs, "name"), ["laptop"]);
    let other = server.signed_in("bob@example.test").get(&path(&made));
    assert_answer(&other, 404, NO_SUCH_TOKEN);
}

#[test]
fn what_a_token_may_not_be_is_told_field_by_field() {
    let server = world();
    let browser = browser(&server);
    for (body, expected) in [
        (json!({}), json!({"scopes": ["This field is required."]})),
        (
            json!({"scopes": []}),
            json!({"scopes": ["This selection may not be empty."]}),
        ),
        (
            json!({"scopes": null}),
            json!({"scopes": ["This field may not be null."]}),
        ),
        (
            json!({"scopes": "org:read"}),
            json!({"scopes": ["Expected a list of items but got type \"str\"."]}),
        ),
        (
            json!({"scopes": ["org:read", "org:everything", 5]}),
            json!({"scopes": ["\"org:everything\" is not a valid choice.", "\"5\" is not a valid choice."]}),
        ),
        (
            json!({"name": "x".repeat(256), "scopes": ["org:read"]}),
            json!({"name": ["Ensure this field has no more than 255 characters."]}),
        ),
        (
            json!({"scopes": ["org:read"], "expiresAt": "2026-01-02T00:00:00Z"}),
            json!({"expiresAt": ["This must be a moment that lies ahead."]}),
        ),
        (
            json!({"scopes": ["org:read"], "expiresAt": "soon", "projects": ["31", "999", "41", "web", "acme/web"]}),
            json!({
                "expiresAt": ["Datetime has wrong format. Use one of these formats instead: \
                               YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."],
                "projects": {"1": ["There is no such project."], "2": ["There is no such project."],
                             "3": ["There is no such project."]},
            }),
        ),
    ] {
        let answer = browser.post_json(LIST, &body);
        assert_answer(&answer, 400, &expected.to_string());
        assert_eq!(answer.header("Cache-Control"), Some(NEVER_CACHED));
    }
    assert_eq!(
        count_rows(&server, "auth_token WHERE kind = 'user' AND name = ''"),
        0
    );
    // A name may be anything else.
    for name in [json!(null), json!(""), json!("x".repeat(255)), json!(5)] {
        make(&server, &json!({"name": name, "scopes": ["openid"]}));
    }
}

#[test]
fn a_token_manages_no_tokens_and_neither_does_anybody_without_a_session() {
    let server = world();
    let token = make(&server, &json!({"scopes": ["org:admin"]}));
    let one = path(&token);
    let (cookie, csrf) = server.sign_in("ann@example.test");
    let with_both = |authorization: &str| {
        server
            .client()
            .with_header("Cookie", &cookie)
            .with_header("X-CSRFToken", &csrf)
            .with_header("Authorization", authorization)
    };
    let bearer = format!("Bearer {}", text(&token));
    let clients = [
        server.client(),
        server
            .client()
            .with_header("Cookie", &cookie.replace("sentrysid=", "sentrysid=0")),
        server.with_token(&text(&token)),
        server.with_token("wrong"),
        // Whoever sends this field is no browser that is signed in, whatever else it sends.
        with_both(&bearer),
        with_both("Bearer wrong"),
        with_both("Basic YTo="),
        with_both("Token x"),
        with_both(""),
    ];
    for client in &clients {
        for (method, target) in [
            ("GET", LIST),
            ("POST", LIST),
            ("DELETE", LIST),
            ("GET", one.as_str()),
            ("PUT", one.as_str()),
            ("DELETE", one.as_str()),
            ("POST", &format!("{one}rotate/")),
            ("GET", &format!("{one}usage/")),
        ] {
            let answer = client.send(method, target, None);
            assert_answer(&answer, 403, NOT_SIGNED_IN);
            assert_eq!(answer.header("WWW-Authenticate"), None);
            assert_eq!(answer.header("Cache-Control"), Some(NEVER_CACHED));
        }
    }
    assert_eq!(server.with_token(&text(&token)).get("/api/0/").status, 200);
}

#[test]
fn a_change_without_the_proof_of_our_page_is_refused() {
    let server = world();
    let token = make(&server, &json!({"scopes": ["org:read"]}));
    let (cookie, csrf) = server.sign_in("ann@example.test");
    let other = server.sign_in("bob@example.test").1;
    let client = server.client().with_header("Cookie", &cookie);
    for client in [
        client.clone(),
        client.clone().with_header("X-CSRFToken", ""),
        client.clone().with_header("X-CSRFToken", &other),
        client.clone().with_header("X-CSRFToken", &csrf[..63]),
    ] {
        let answer = client.delete(&path(&token));
        assert_answer(
            &answer,
            403,
            r#"{"detail":"CSRF Failed: CSRF token missing or incorrect."}"#,
        );
        assert_eq!(client.get(LIST).status, 200);
    }
    assert_eq!(browser(&server).delete(&path(&token)).status, 204);
}

#[test]
fn only_the_name_can_be_changed() {
    let server = world();
    let token = make(&server, &json!({"name": "old", "scopes": ["org:read"]}));
    let (browser, path) = (browser(&server), path(&token));
    let renamed = ok(&browser.put_json(&path, &json!({"name": "new", "tokenId": token["id"]})));
    assert_eq!(
        (&renamed["name"], &renamed["scopes"]),
        (&json!("new"), &json!(["org:read"]))
    );
    assert_eq!(renamed.get("token"), None);
    assert_eq!(ok(&browser.get(&path))["name"], "new");
    for body in [
        json!({"scopes": ["org:admin"]}),
        json!({"name": "newer", "expiresAt": null}),
        json!({"userId": "1"}),
    ] {
        assert_answer(
            &browser.put_json(&path, &body),
            403,
            r#"{"error":"Only auth token name can be edited after creation"}"#,
        );
    }
    assert_answer(
        &browser.put_json(&path, &json!({"name": "x".repeat(256)})),
        400,
        r#"{"name":["Ensure this field has no more than 255 characters."]}"#,
    );
    assert_eq!(ok(&browser.get(&path))["name"], "new");
    // Nothing to change, and no name at all.
    assert_eq!(ok(&browser.put_json(&path, &json!({})))["name"], "new");
    assert_eq!(
        ok(&browser.put_json(&path, &json!({"name": null})))["name"],
        ""
    );
    for id in ["999999", "x", "-1", "99999999999999999999"] {
        let answer = browser.put_json(&format!("{LIST}{id}/"), &json!({"name": "new"}));
        assert_answer(&answer, 404, NO_SUCH_TOKEN);
    }
}

#[test]
fn a_deleted_token_is_refused_with_the_next_request() {
    let server = world();
    let browser = browser(&server);
    let make = || make(&server, &json!({"scopes": ["org:read"]}));
    let ann = user_id(&server, "ann@example.test");

    let token = make();
    let client = server.with_token(&text(&token));
    assert_eq!(client.get("/api/0/").status, 200);
    let gone = browser.delete(&path(&token));
    assert_eq!((gone.status, gone.text()), (204, ""));
    assert_eq!(gone.header("Cache-Control"), Some(NEVER_CACHED));
    assert_answer(&client.get("/api/0/"), 401, r#"{"detail":"Invalid token"}"#);
    assert_answer(&browser.delete(&path(&token)), 404, NO_SUCH_TOKEN);

    let token = make();
    let client = server.with_token(&text(&token));
    assert_eq!(client.get("/api/0/").status, 200);
    let json = browser
        .clone()
        .with_header("Content-Type", "application/json");
    let delete = |body: &str| json.send("DELETE", LIST, Some(body.as_bytes()));
    for body in ["{}", r#"{"tokenId":null}"#, r#"{"tokenId":""}"#] {
        assert_answer(&delete(body), 400, r#"{"tokenId":null}"#);
    }
    for id in ["999999", "x"] {
        let expected = json!({"tokenId": id, "userId": ann});
        assert_answer(
            &delete(&json!({"tokenId": id}).to_string()),
            400,
            &expected.to_string(),
        );
    }
    let answer = delete(&json!({"tokenId": token["id"]}).to_string());
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_answer(&client.get("/api/0/"), 401, r#"{"detail":"Invalid token"}"#);
}

#[test]
fn all_tokens_of_a_user_are_revoked_at_once() {
    let server = world();
    let tokens = [crate::support::OWNER_TOKEN, READER, NARROW];
    for token in tokens {
        assert_eq!(server.with_token(token).get("/api/0/").status, 200);
    }
    let json = browser(&server).with_header("Content-Type", "application/json");
    let delete = |body: &str| json.send("DELETE", LIST, Some(body.as_bytes()));
    assert_answer(&delete(r#"{"all":false}"#), 400, r#"{"tokenId":null}"#);
    assert_answer(
        &delete(r#"{"all":true,"tokenId":"1"}"#),
        400,
        r#"{"all":["Name one token, or all of them."]}"#,
    );
    assert_answer(
        &delete(r#"{"all":"some"}"#),
        400,
        r#"{"all":["Must be a valid boolean."]}"#,
    );
    for token in tokens {
        assert_eq!(server.with_token(token).get("/api/0/").status, 200);
    }
    let answer = delete(r#"{"all":true}"#);
    assert_eq!((answer.status, answer.text()), (204, ""));
    for token in tokens {
        let answer = server.with_token(token).get("/api/0/");
        assert_answer(&answer, 401, r#"{"detail":"Invalid token"}"#);
    }
    for token in [BOB, ORG_CI] {
        assert_eq!(server.with_token(token).get("/api/0/").status, 200);
    }
    assert_eq!(ok(&browser(&server).get(LIST)), json!([]));
}

#[test]
fn a_superuser_acts_for_others() {
    let server = world();
    let (ann, bob) = (
        user_id(&server, "ann@example.test"),
        user_id(&server, "bob@example.test"),
    );
    let browser = browser(&server);
    let of_bob = format!("{LIST}?userId={bob}");
    // Nobody else is asked whom they mean.
    let own = ok(&browser.get(LIST));
    assert_eq!(ok(&browser.get(&of_bob)), own);
    assert_eq!(ok(&browser.get(&format!("{LIST}?userId=x"))), own);
    server
        .database()
        .execute("UPDATE user SET superuser = 1 WHERE id = ?1", [ann])
        .expect("an update");
    assert_eq!(each(&ok(&browser.get(&of_bob)), "name"), ["laptop"]);
    for wrong in ["x", "999999", "1.5"] {
        assert_answer(
            &browser.get(&format!("{LIST}?userId={wrong}")),
            404,
            NO_SUCH_USER,
        );
        let body = json!({"userId": wrong, "scopes": ["org:read"]});
        assert_answer(&browser.post_json(LIST, &body), 404, NO_SUCH_USER);
        let json = browser
            .clone()
            .with_header("Content-Type", "application/json");
        let body = json!({"userId": wrong, "tokenId": "1"}).to_string();
        assert_answer(
            &json.send("DELETE", LIST, Some(body.as_bytes())),
            404,
            NO_SUCH_USER,
        );
    }
    let made = browser.post_json(
        LIST,
        &json!({"userId": bob, "scopes": ["org:read"], "projects": [32]}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let user = ok(&server.with_token(&text(&made)).get("/api/0/"))["user"]["email"].clone();
    assert_eq!(user, "bob@example.test");
    let path = path(&made);
    assert_answer(&browser.get(&path), 404, NO_SUCH_TOKEN);
    assert_eq!(
        ok(&browser.get(&format!("{path}?userId={bob}")))["id"],
        made["id"]
    );
    let renamed = ok(&browser.put_json(&path, &json!({"userId": bob, "name": "by ann"})));
    assert_eq!(renamed["name"], "by ann");
    let json = browser
        .clone()
        .with_header("Content-Type", "application/json");
    let body = json!({"userId": bob}).to_string();
    assert_eq!(
        json.send("DELETE", &path, Some(body.as_bytes())).status,
        204
    );
}

#[test]
fn a_token_for_some_projects_opens_nothing_else() {
    let server = world();
    let body = json!({"scopes": ["org:read", "project:admin", "event:read"], "projects": ["31", "acme/bare"]});
    let made = make(&server, &body);
    assert_eq!(made["projects"], json!(["31", "33"]));
    let client = server.with_token(&text(&made));
    for project in ["web", "31", "bare"] {
        ok(&client.get(&format!("/api/0/projects/acme/{project}/")));
    }
    assert_answer(
        &client.get("/api/0/projects/acme/shop/"),
        403,
        NO_PERMISSION,
    );
    assert_answer(&client.get("/api/0/projects/acme/nothing/"), 404, NOT_FOUND);
    let limited = r#"{"detail":"This token access is limited to project endpoints."}"#;
    for target in [
        "/api/0/organizations/",
        "/api/0/organizations/acme/",
        "/api/0/projects/",
    ] {
        assert_answer(&client.get(target), 403, limited);
    }
    // Who is asking is told.
    ok(&client.get("/api/0/"));
    ok(&client.get("/api/0/users/me/"));
    // A renamed project is another's business too.
    let shop = "/api/0/projects/acme/shop/";
    ok(&server.owner().put_json(shop, &json!({"slug": "store"})));
    assert_eq!(server.owner().get(shop).status, 302);
    assert_answer(&client.get(shop), 403, NO_PERMISSION);
    // A project that is gone does not make the token one for all.
    for project in ["web", "bare"] {
        let answer = server
            .owner()
            .delete(&format!("/api/0/projects/acme/{project}/"));
        assert_eq!(answer.status, 204);
    }
    server.advance(120);
    assert_answer(
        &client.get("/api/0/projects/acme/store/"),
        403,
        NO_PERMISSION,
    );
}

#[test]
fn a_token_ends_at_its_moment_and_warns_before() {
    let server = world();
    let made = make(
        &server,
        &json!({"scopes": ["org:read"], "expiresAt": "2026-01-22T01:00:00+01:00"}),
    );
    assert_eq!(made["expiresAt"], "2026-01-22T00:00:00Z");
    let client = server.with_token(&text(&made));
    let header = |secs| {
        server.advance(secs);
        let answer = client.get("/api/0/organizations/");
        assert_eq!(answer.status, 200);
        answer.header("Token-Expires").map(str::to_owned)
    };
    const DAY: i64 = 86_400;
    assert_eq!(header(6 * DAY - 1), None);
    let soon = Some("2026-01-22T00:00:00Z".to_owned());
    assert_eq!(header(1), soon);
    // On refusals too.
    let refused = client.get("/api/0/organizations/beta/");
    assert_eq!(
        (refused.status, refused.header("Token-Expires")),
        (403, soon.as_deref())
    );
    assert_eq!(header(14 * DAY - 1), soon);
    server.advance(1);
    let over = client.get("/api/0/organizations/");
    assert_answer(&over, 401, r#"{"detail":"Token expired"}"#);
    assert_eq!(over.header("Token-Expires"), None);
}

#[test]
fn a_rotated_token_goes_on_for_a_while() {
    let server = world();
    let browser = browser(&server);
    let old = make(
        &server,
        &json!({"name": "ci", "scopes": ["project:read"], "projects": ["31"], "expiresAt": "2026-03-02T00:00:00Z"}),
    );
    server.advance(3600);
    let rotate =
        |token: &Value, body: &Value| browser.post_json(&format!("{}rotate/", path(token)), body);
    let answer = rotate(&old, &json!({}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let new = answer.json();
    for (name, value) in [
        ("name", json!("ci")),
        ("scopes", json!(["project:read"])),
        ("projects", json!(["31"])),
        ("dateCreated", json!("2026-01-02T01:00:00Z")),
        ("expiresAt", json!("2026-03-02T01:00:00Z")),
    ] {
        assert_eq!(new[name], value, "{name}");
    }
    assert_ne!(new["id"], old["id"]);
    assert_eq!(
        ok(&browser.get(&path(&old)))["expiresAt"],
        "2026-01-03T01:00:00Z"
    );
    let status = |token: &Value| server.with_token(&text(token)).get("/api/0/").status;
    assert_eq!((status(&old), status(&new)), (200, 200));
    // Sooner, also when that is news to a token that was just used; later than its end never.
    ok(&browser.get(&path(&old)));
    assert_eq!(
        rotate(&old, &json!({"expiresAt": "2026-01-02T01:00:10Z"})).status,
        201
    );
    assert_eq!(
        rotate(&old, &json!({"expiresAt": "2027-01-02T00:00:00Z"})).status,
        201
    );
    assert_eq!(
        ok(&browser.get(&path(&old)))["expiresAt"],
        "2026-01-02T01:00:10Z"
    );
    server.advance(10);
    assert_eq!((status(&old), status(&new)), (401, 200));
    assert_answer(
        &rotate(&new, &json!({"expiresAt": "2026-01-02T00:00:00Z"})),
        400,
        r#"{"expiresAt":["This must be a moment that lies ahead."]}"#,
    );
    assert_answer(
        &rotate(&json!({"id": "999999"}), &json!({})),
        404,
        NO_SUCH_TOKEN,
    );
    // One that never ends has a successor that never does.
    let endless = make(&server, &json!({"scopes": ["org:read"]}));
    assert_eq!(
        rotate(&endless, &json!({"expiresAt": null})).json()["expiresAt"],
        json!(null)
    );
}

#[test]
fn what_is_done_to_tokens_is_in_the_log_without_the_token() {
    let server = world();
    let token = make(&server, &json!({"name": "ci", "scopes": ["project:write"]}));
    ok(&browser(&server).put_json(&path(&token), &json!({"name": "cd"})));
    let rotated = browser(&server).post_json(&format!("{}rotate/", path(&token)), &json!({}));
    assert_eq!(rotated.status, 201);
    assert_eq!(browser(&server).delete(&path(&token)).status, 204);
    let database = server.database();
    let mut statement = database
        .prepare(
            "SELECT event, data, organization_id IS NULL, address FROM audit_entry
             WHERE actor_session_id IS NOT NULL ORDER BY id",
        )
        .expect("a log");
    let entries: Vec<(String, String, bool, String)> = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("entries")
        .collect::<Result<_, _>>()
        .expect("entries");
    let scopes = json!(["project:read", "project:write"]);
    let expected = [
        ("user-token.create", "ci"),
        ("user-token.edit", "cd"),
        ("user-token.create", "cd"),
        ("user-token.remove", "cd"),
    ]
    .map(|(event, name)| {
        let data = json!({"name": name, "scopes": scopes}).to_string();
        (event.to_owned(), data, true, "127.0.0.1".to_owned())
    });
    assert_eq!(entries, expected);
}
