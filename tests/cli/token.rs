//! `picket token`.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::Client;
use crate::support::process::{Binary, Process};

const OWNER_SCOPES: &str = "alerts:read alerts:write event:admin event:read event:write member:admin \
    member:invite member:read member:write org:admin org:integrations org:read org:write project:admin \
    project:read project:releases project:write team:admin team:read team:write";

fn with(file: &str) -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", file);
    picket.succeed(&["apply", "a.toml"]);
    picket
}

fn list(picket: &Binary) -> Vec<Value> {
    serde_json::from_str(&picket.succeed(&["token", "list", "--json"])).unwrap()
}

#[test]
fn a_token_is_printed_once_and_kept_as_a_hash() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    let token = picket.succeed(&["token", "create"]);
    let token = token.strip_suffix('\n').unwrap();
    assert_eq!((token.len(), &token[..7]), (71, "sntryu_"));
    let stored: Vec<u8> = picket
        .database()
        .query_row("SELECT hash FROM auth_token", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, Sha256::digest(token).to_vec());
    let (text, all) = (picket.succeed(&["token", "list"]), list(&picket));
    assert!(!text.contains(token) && !format!("{all:?}").contains(token));
    assert_eq!(all.len(), 1);
    let names: Vec<_> = all[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "id",
            "kind",
            "owner",
            "name",
            "last_characters",
            "scopes",
            "created",
            "expires",
            "last_used",
            "state",
            "expires_soon",
            "last_address",
            "projects"
        ]
    );
    for (name, value) in [
        ("id", "1"),
        ("kind", "user"),
        ("owner", "ann@example.test"),
        ("name", "cli"),
        ("last_characters", &token[67..]),
        ("state", "active"),
    ] {
        assert_eq!(all[0][name], value, "{name}");
    }
    let scopes: Vec<_> = OWNER_SCOPES.split(' ').collect();
    assert_eq!(all[0]["scopes"], serde_json::json!(scopes));
    assert!(all[0]["expires"].is_null() && all[0]["last_used"].is_null());
}

#[test]
fn scopes_bring_what_they_imply_and_an_expiry_is_kept() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    let made = picket.succeed(&[
        "token",
        "create",
        "--user",
        "ANN@example.test",
        "--name",
        "ci",
        "--scopes",
        "project:write,org:ci",
        "--expires",
        "2100-01-02T03:04:05+01:00",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("sntryu_"));
    assert_eq!(
        made["scopes"],
        serde_json::json!(["org:ci", "project:read", "project:write"])
    );
    assert_eq!(made["expires"], "2100-01-02T02:04:05Z");
    assert_eq!(list(&picket)[0]["expires"], "2100-01-02T02:04:05Z");
}

#[test]
fn an_organization_token_carries_the_servers_address() {
    use base64::Engine;
    let picket = with("[[organization]]\nslug = \"acme\"\n");
    let token = picket.succeed(&[
        "token",
        "create",
        "--organization",
        "acme",
        "--url-prefix",
        "https://errors.test",
    ]);
    let parts: Vec<&str> = token.trim().split('_').collect();
    assert_eq!((parts.len(), parts[0]), (3, "sntrys"));
    let claims = base64::engine::general_purpose::STANDARD
        .decode(parts[1])
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["url"], "https://errors.test");
    assert_eq!(claims["org"], "acme");
    let all = list(&picket);
    assert_eq!(all[0]["kind"], "organization");
    assert_eq!(all[0]["owner"], "acme");
    assert_eq!(all[0]["scopes"], serde_json::json!(["org:ci"]));
}

#[test]
fn the_only_user_needs_no_naming_and_one_of_several_does() {
    let picket = with("[[organization]]\nslug = \"acme\"\n");
    let fails = |arguments: &[&str], text: &str| {
        let output = picket.run(arguments);
        assert_eq!(output.stderr, format!("picket: {text}\n"));
        assert_eq!(output.code, Some(1));
    };
    fails(
        &["token", "create"],
        "there are no users, so --organization is needed",
    );
    picket.write(
        "b.toml",
        "[[user]]\nemail = \"a@b\"\n[[user]]\nemail = \"c@d\"\n",
    );
    picket.succeed(&["apply", "b.toml"]);
    fails(
        &["token", "create"],
        "there are several users; --user says whose token it is",
    );
    fails(
        &["token", "create", "--user", "e@f"],
        "there is no user e@f",
    );
    fails(
        &["token", "create", "--organization", "other"],
        "there is no organization other",
    );
    assert!(list(&picket).is_empty());
    picket.succeed(&["token", "create", "--user", "c@d"]);
    assert_eq!(list(&picket)[0]["owner"], "c@d");
}

#[test]
fn a_token_is_revoked_once_for_good() {
    let picket = with("[[user]]\nemail = \"ann@example.test\"\n");
    picket.succeed(&["token", "create"]);
    assert_eq!(
        picket.succeed(&["token", "revoke", "1"]),
        "token 1 is revoked\n"
    );
    assert_eq!(list(&picket)[0]["state"], "revoked");
    assert_eq!(
        picket.succeed(&["token", "revoke", "1"]),
        "token 1 was revoked before\n"
    );
    let output = picket.run(&["token", "revoke", "2"]);
    assert_eq!(output.stderr, "picket: there is no token 2\n");
    assert_eq!(output.code, Some(1));
    let deeds: Vec<String> = picket
        .database()
        .prepare("SELECT event FROM audit_entry ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        deeds,
        ["user.create", "user-token.create", "user-token.remove"]
    );
}

#[test]
fn an_expired_token_is_shown_as_such() {
    let picket = with(
        "[[user]]\nemail = \"a@b\"\n[[user.token]]\nname = \"old\"\nexpires = 2001-01-01T00:00:00Z\n",
    );
    assert_eq!(list(&picket)[0]["state"], "expired");
}

/// Two organizations with a project each, and two users.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "web"
  id = 31
  teams = ["core"]
    [[organization.project.key]]
    public = "0123456789abcdef0123456789abcdef"
[[organization]]
slug = "beta"
  [[organization.project]]
  slug = "hidden"
  id = 41
    [[organization.project.key]]
    public = "33333333333333333333333333333333"
[[user]]
email = "ann@example.test"
roles = { acme = "owner" }
[[user]]
email = "bob@example.test"
roles = { acme = "member" }
"#;

fn made(picket: &Binary, arguments: &[&str]) -> Value {
    let text = picket.succeed(&[&["token", "create", "--json"], arguments].concat());
    serde_json::from_str(&text).unwrap()
}

fn text(token: &Value) -> &str {
    token["token"].as_str().unwrap()
}

fn client(server: &Process, token: &str) -> Client {
    Client::new(server.address().parse().unwrap())
        .with_header("Authorization", &format!("Bearer {token}"))
}

fn basic(server: &Process, key: &str) -> Client {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    Client::new(server.address().parse().unwrap())
        .with_header("Authorization", &format!("Basic {encoded}"))
}

#[test]
fn tokens_of_every_kind_are_made_for_some_projects_and_listed_by_owner() {
    let picket = with(WORLD);
    let user = made(
        &picket,
        &["--user", "ann@example.test", "--project", "acme/web"],
    );
    assert_eq!(user["projects"], serde_json::json!(["31"]));
    let organization = made(
        &picket,
        &[
            "--organization",
            "acme",
            "--project",
            "web",
            "--project",
            "31",
        ],
    );
    assert_eq!(organization["projects"], serde_json::json!(["31"]));
    let key = made(
        &picket,
        &["--organization", "acme", "--api-key", "--name", "old"],
    );
    assert_eq!(
        (&key["kind"], text(&key).len()),
        (&serde_json::json!("api-key"), 32)
    );
    assert_eq!(
        key["scopes"],
        serde_json::json!([
            "event:read",
            "member:read",
            "org:read",
            "project:read",
            "team:read"
        ])
    );
    made(&picket, &["--user", "bob@example.test"]);
    let deeds: Vec<(String, String)> = picket
        .database()
        .prepare("SELECT event, data FROM audit_entry WHERE event LIKE '%token.create' OR event LIKE 'api-key.%' ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<&str> = deeds.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(
        names,
        [
            "user-token.create",
            "org-auth-token.create",
            "api-key.create",
            "user-token.create"
        ]
    );
    assert_eq!(deeds[1].1, r#"{"name":"cli","scopes":["org:ci"]}"#);
    let data: Value = serde_json::from_str(&deeds[2].1).unwrap();
    assert_eq!(
        data,
        serde_json::json!({"label": "old", "scopes": key["scopes"], "status": "active"})
    );
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let text = picket.succeed(&[&["token", "list", "--json"], arguments].concat());
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all.iter()
            .map(|token| token["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(&[]), ["user", "organization", "api-key", "user"]);
    assert_eq!(kinds(&["--user", "ann@example.test"]), ["user"]);
    assert_eq!(
        kinds(&["--organization", "acme"]),
        ["organization", "api-key"]
    );
    assert_eq!(kinds(&["--organization", "beta"]), [""; 0]);
    let fails = |arguments: &[&str], code: i32, text: &str| {
        let output = picket.run(&[&["token"], arguments].concat());
        assert_eq!(
            (output.stderr, output.code),
            (format!("picket: {text}\n"), Some(code))
        );
    };
    fails(
        &[
            "create",
            "--user",
            "ann@example.test",
            "--project",
            "beta/hidden",
        ],
        1,
        "--project: there is no project beta/hidden that the user sees",
    );
    fails(
        &["create", "--organization", "acme", "--project", "41"],
        1,
        "--project: the organization has no project 41",
    );
    fails(
        &["create", "--user", "ann@example.test", "--api-key"],
        2,
        "an API key belongs to an organization; --api-key needs --organization",
    );
    fails(
        &[
            "create",
            "--organization",
            "acme",
            "--api-key",
            "--name",
            &"x".repeat(65),
        ],
        2,
        "--name: a name has 1 to 64 characters",
    );
    fails(
        &["list", "--user", "nobody@example.test"],
        1,
        "there is no user nobody@example.test",
    );
}

#[test]
fn a_running_server_refuses_what_a_command_took_away() {
    let picket = with(WORLD);
    let server = picket.serve(&["--apply", "a.toml"]);
    let user = made(&picket, &["--user", "ann@example.test", "--name", "one"]);
    let other = made(&picket, &["--user", "ann@example.test", "--name", "two"]);
    let key = made(&picket, &["--organization", "acme", "--api-key"]);
    let organization = made(&picket, &["--organization", "acme"]);
    let clients = [
        client(&server, text(&user)),
        client(&server, text(&other)),
        basic(&server, text(&key)),
        client(&server, text(&organization)),
    ];
    let statuses = || {
        clients
            .each_ref()
            .map(|client| client.get("/api/0/").status)
    };
    assert_eq!(statuses(), [200, 200, 200, 200]);
    picket.succeed(&["token", "revoke", user["id"].as_str().unwrap()]);
    assert_eq!(statuses(), [401, 200, 200, 200]);
    // Without being asked twice, nothing happens to many.
    let output = picket.run(&["token", "revoke-all", "--organization", "acme"]);
    assert_eq!(
        (output.stderr.as_str(), output.code),
        (
            "picket: this revokes 2 tokens for good; say so with --yes\n",
            Some(1)
        )
    );
    assert_eq!(statuses(), [401, 200, 200, 200]);
    let output = picket.succeed(&["token", "revoke-all", "--organization", "acme", "--yes"]);
    assert_eq!(output, "2 tokens revoked\n");
    assert_eq!(statuses(), [401, 200, 401, 401]);
    let output = picket.succeed(&[
        "token",
        "revoke-all",
        "--user",
        "ann@example.test",
        "--yes",
        "--json",
    ]);
    assert_eq!(output, "{\"revoked\":1}\n");
    assert_eq!(statuses(), [401, 401, 401, 401]);
    let output = picket.run(&["token", "revoke-all", "--yes"]);
    assert_eq!(
        output.stderr,
        "picket: whose tokens? --user or --organization is needed\n"
    );
    assert_eq!(output.code, Some(2));
    server.terminate();
}

#[test]
fn a_token_is_rotated_and_tells_how_it_is_used() {
    let picket = with(WORLD);
    let server = picket.serve(&["--apply", "a.toml"]);
    let old = made(
        &picket,
        &[
            "--organization",
            "acme",
            "--name",
            "ci",
            "--scopes",
            "org:read",
            "--expires",
            "30d",
        ],
    );
    let id = old["id"].as_str().unwrap();
    assert_eq!(
        client(&server, text(&old))
            .get("/api/0/organizations/acme/")
            .status,
        200
    );
    let new: Value =
        serde_json::from_str(&picket.succeed(&["token", "rotate", id, "--until", "2s", "--json"]))
            .unwrap();
    assert_eq!(
        (&new["name"], &new["scopes"]),
        (&old["name"], &old["scopes"])
    );
    assert!(text(&new).starts_with("sntrys_") && new["expires"].is_string());
    std::thread::sleep(std::time::Duration::from_secs(2));
    let status = |token: &Value| client(&server, text(token)).get("/api/0/").status;
    assert_eq!((status(&old), status(&new)), (401, 200));
    server.terminate();
    let shown: Value =
        serde_json::from_str(&picket.succeed(&["token", "show", id, "--json"])).unwrap();
    assert_eq!(
        (&shown["state"], &shown["last_address"]),
        (&"expired".into(), &"127.0.0.1".into())
    );
    let days = shown["requests_per_day"].as_object().unwrap();
    assert_eq!(days.values().collect::<Vec<_>>(), [1]);
    let plain = picket.succeed(&["token", "show", id]);
    for line in [
        "STATE       expired\n",
        "FROM        127.0.0.1\n",
        "SCOPES      org:read\n",
        "PROJECTS    all\n",
        "  1 requests\n",
    ] {
        assert!(plain.contains(line), "{line} {plain}");
    }
    for (arguments, text) in [
        (["token", "rotate", "99"], "there is no token 99"),
        (["token", "show", "99"], "there is no token 99"),
    ] {
        assert_eq!(picket.run(&arguments).stderr, format!("picket: {text}\n"));
    }
    picket.succeed(&["token", "revoke", id]);
    assert_eq!(
        picket.run(&["token", "rotate", id]).stderr,
        format!("picket: token {id} is revoked; nothing comes after it\n")
    );
}

#[test]
fn an_end_that_is_near_is_warned_about() {
    let picket = with(WORLD);
    for (name, expires) in [("near", "73h"), ("nearer", "100m"), ("far", "15d")] {
        made(
            &picket,
            &[
                "--user",
                "ann@example.test",
                "--name",
                name,
                "--expires",
                expires,
            ],
        );
    }
    let output = picket.run(&["token", "list"]);
    assert_eq!(
        output.stderr,
        "picket: token 1 (near) expires in 3 days; picket token rotate 1 makes the one after it\n\
         picket: token 2 (nearer) expires in 1 h; picket token rotate 2 makes the one after it\n"
    );
    assert_eq!(output.stdout.matches("  expires soon  ").count(), 2);
    let soon: Vec<bool> = list(&picket)
        .iter()
        .map(|token| token["expires_soon"] == true)
        .collect();
    assert_eq!(soon, [true, true, false]);
    // A name is somebody's choice and no order to the terminal.
    picket
        .database()
        .execute(
            "UPDATE auth_token SET name = ?1 WHERE name = 'near'",
            ["a\u{1b}[2Jb\nc"],
        )
        .unwrap();
    let output = picket.run(&["token", "list"]);
    for text in [&output.stdout, &output.stderr] {
        assert!(
            text.contains("a\u{fffd}[2Jb\u{fffd}c") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
    assert_eq!(list(&picket)[0]["name"], "a\u{1b}[2Jb\nc");
}

/// No token stands anywhere in the file, beside it, or in the log of a server that says all it can, also when a client
/// sends one where it does not belong.
#[test]
fn no_token_is_kept_or_logged() {
    let mut picket = with(WORLD);
    picket.set("RUST_LOG", "trace");
    let server = picket.serve(&["--apply", "a.toml"]);
    let anonymous = Client::new(server.address().parse().unwrap());
    let user = made(&picket, &["--user", "ann@example.test"]);
    let organization = made(
        &picket,
        &["--organization", "acme", "--scopes", "org:admin"],
    );
    let key = made(&picket, &["--organization", "acme", "--api-key"]);
    let tokens_path = "/api/0/organizations/acme/org-auth-tokens/";
    let by_api = client(&server, text(&organization))
        .post_json(tokens_path, &serde_json::json!({"name": "ci"}));
    assert_eq!(by_api.status, 201);
    let by_api = by_api.json();
    let rotated = client(&server, text(&organization)).post_json(
        &format!("{tokens_path}{}/rotate/", by_api["id"].as_str().unwrap()),
        &serde_json::json!({}),
    );
    assert_eq!(rotated.status, 201);
    let rotated = rotated.json();
    let secrets: Vec<String> = [&user, &organization, &key, &by_api, &rotated]
        .map(|token| text(token).to_owned())
        .into();
    for secret in &secrets {
        client(&server, secret).get("/api/0/");
        basic(&server, secret).get("/api/0/");
        // `+` and `/` of base64 are data here.
        let encoded = secret
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        for name in ["auth_token", "token", "access_token"] {
            let answer = anonymous.get(&format!("/api/0/organizations/acme/?{name}={encoded}"));
            assert_eq!(answer.status, 401);
        }
        for target in [
            format!("/api/0/api-tokens/{encoded}/"),
            format!("/api/0/organizations/acme/org-auth-tokens/{encoded}/"),
            format!("/settings/acme/auth-tokens/{encoded}/"),
            format!("/{encoded}"),
        ] {
            anonymous.get(&target);
            client(&server, text(&organization)).delete(&target);
        }
    }
    let mut files = String::new();
    for name in ["picket.db", "picket.db-wal", "picket.db-shm"] {
        let bytes = std::fs::read(picket.path(name)).unwrap_or_default();
        files.push_str(&bytes.iter().map(|b| char::from(*b)).collect::<String>());
    }
    assert!(files.contains("ann@example.test"));
    let output = server.terminate();
    assert!(
        output.stderr.contains("DEBUG") || output.stderr.contains("INFO"),
        "{}",
        output.stderr
    );
    let file = std::fs::read(picket.path("picket.db")).unwrap();
    files.push_str(&file.iter().map(|b| char::from(*b)).collect::<String>());
    for secret in &secrets {
        // The part that nobody can know; the rest of an organization's token is its address.
        let secret = secret.rsplit('_').next().unwrap();
        let encoded = secret.replace('+', "%2B").replace('/', "%2F");
        for text in [secret, &encoded] {
            assert!(!files.contains(text));
            assert!(
                !output.stderr.contains(text) && !output.stdout.contains(text),
                "{}",
                output.stderr
            );
        }
    }
    assert!(!output.stderr.contains("auth_token="), "{}", output.stderr);
}
