//! `picket export` and `picket import`: what goes out, what comes in, and what is told about the rest.

mod conflicts;
mod export;
mod files;
mod remote;
mod round_trip;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::{Binary, Output};
use crate::support::{Client, Server};
use picket::{ApplyFile, UrlPrefix};

const PREFIX: &str = "http://picket.test:9000";

const TOKEN: &str = "sntryu_0000000000000000000000000000000000000000000000000000000000000001";

/// For [`TOKEN`], which no file of relocation carries.
const LOGIN: &str = r#"
[[user]]
email = "ann@example.test"
  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "project:releases", "team:admin", "event:admin", "member:admin", "alerts:write"]
"#;

/// Numbers are far from those that a new file begins with.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme Incorporated"
options = { "sentry:require_scrub_data" = true, "sentry:sensitive_fields" = ["pin"], "picket:default_rate_limit" = { count = 5000, window = 60 } }
  [[organization.team]]
  slug = "core"
  name = "The Core"
  [[organization.team]]
  slug = "ops"
  [[organization.project]]
  slug = "web"
  id = 31
  name = "Web Shop"
  platform = "javascript-react"
  teams = ["core", "ops"]
  options = { "filters:localhost" = true, "sentry:origins" = ["*.example.test", "shop.test"], "filters:legacy-browsers" = ["ie", "chrome"], "sentry:blacklisted_ips" = ["10.0.0.0/8"], "filters:chunk-load-error" = false }
    [[organization.project.key]]
    name = "Default"
    public = "0123456789abcdef0123456789abcdef"
    secret = "fedcba9876543210fedcba9876543210"
    rate_limit = { count = 100, window = 60 }
    [[organization.project.key]]
    name = "Second"
    public = "1123456789abcdef0123456789abcdef"
    secret = "1edcba9876543210fedcba9876543210"
  [[organization.project]]
  slug = "api"
  id = 4503599627370496
  teams = ["core"]
    [[organization.project.key]]
    name = "Default"
    public = "2123456789abcdef0123456789abcdef"
    secret = "2edcba9876543210fedcba9876543210"
  [[organization.token]]
  name = "ci"
  token = "sntrys_eyJpYXQiOjE3NzI2MDAwMDAuNSwidXJsIjoiaHR0cDovL2EifQ==_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

[[organization]]
slug = "beta"
  [[organization.team]]
  slug = "core"
  [[organization.project]]
  slug = "web"
  id = 40
  teams = ["core"]
    [[organization.project.key]]
    name = "Default"
    public = "3123456789abcdef0123456789abcdef"
    secret = "3edcba9876543210fedcba9876543210"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner", beta = "manager" }
teams = { acme = ["core:admin"] }
  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "project:releases", "team:admin", "event:admin", "member:admin", "alerts:write"]

[[user]]
email = "bob@example.test"
name = "Bob Ö"
roles = { acme = "member", beta = "owner" }
teams = { acme = ["core", "ops"], beta = ["core"] }

[[user]]
email = "out@example.test"
"#;

/// The seed of Ann's one-time codes.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A server with something of everything that a file can carry, made through the API where that makes it.
fn filled() -> Server {
    let server = Server::start_with(WORLD, |settings| {
        settings.url_prefix = UrlPrefix::parse(PREFIX).ok();
    });
    let ann = server.with_token(TOKEN);
    let put = |path: &str, body: Value| {
        let answer = ann.put_json(path, &body);
        assert!(answer.status < 300, "{path}: {}", answer.text());
    };
    put(
        "/api/0/organizations/acme/",
        json!({
            "openMembership": false, "allowMemberInvite": false, "allowMemberProjectCreation": false,
            "eventsMemberAdmin": false, "alertsMemberWrite": false, "isEarlyAdopter": true,
            "allowSuperuserAccess": false, "allowSharedIssues": false, "enhancedPrivacy": true,
            "defaultRole": "manager", "hideAiFeatures": true, "storeCrashReports": 5, "attachmentsRole": "owner",
            "scrubIPAddresses": true, "safeFields": ["order"],
        }),
    );
    put(
        "/api/0/projects/acme/web/",
        json!({
            "slug": "shop", "subjectPrefix": "[shop] ", "digestsMinDelay": 120, "digestsMaxDelay": 600,
            "resolveAge": 720, "dataScrubberDefaults": false, "sensitiveFields": ["cvv"], "verifySSL": true,
            "scrapeJavaScript": false, "storeCrashReports": 3, "securityToken": "abc123",
            "securityTokenHeader": "X-Token", "defaultEnvironment": "production", "highlightTags": ["a", "b"],
            "highlightContext": {"user": ["id"]}, "debugFilesRole": "owner",
            "fingerprintingRules": "error.type:Foo -> foo", "builtinSymbolSources": ["ios"],
            "options": {
                "filters:releases": "1.*\n2.*", "filters:error_messages": "Boring*", "feedback:branding": false,
                "filters:react-hydration-errors": false, "sentry:csp_ignored_sources": "ads.test",
                "sentry:toolbar_allowed_origins": "a.test\nb.test",
            },
        }),
    );
    put(
        "/api/0/projects/acme/shop/filters/web-crawlers/",
        json!({"active": true}),
    );
    put(
        "/api/0/projects/acme/shop/ownership/",
        json!({
            "raw": "path:src/* #core\nurl:*/pay/* bob@example.test", "fallthrough": false,
            "autoAssignment": "Auto Assign to Suspect Commits", "codeownersAutoSync": false,
        }),
    );
    put(
        "/api/0/projects/acme/api/ownership/",
        json!({"autoAssignment": "Turn off Auto-Assignment"}),
    );
    put(
        "/api/0/projects/acme/shop/keys/1123456789abcdef0123456789abcdef/",
        json!({
            "isActive": false, "browserSdkVersion": "8.x",
            "dynamicSdkLoaderOptions": {"hasReplay": false, "hasDebug": true},
        }),
    );
    let invited = ann.post_json(
        "/api/0/organizations/acme/members/",
        &json!({"email": "zed@example.test", "orgRole": "manager", "teams": ["ops"], "sendInvite": false}),
    );
    assert_eq!(invited.status, 201, "{}", invited.text());
    for (key, project, environment) in [
        ("0123456789abcdef0123456789abcdef", "31", "production"),
        ("0123456789abcdef0123456789abcdef", "31", "staging"),
        (
            "2123456789abcdef0123456789abcdef",
            "4503599627370496",
            "production",
        ),
    ] {
        let sent = server
            .client()
            .with_header("X-Sentry-Auth", &format!("Sentry sentry_key={key}"))
            .post(
                &format!("/api/{project}/store/"),
                format!(r#"{{"message": "x", "environment": "{environment}"}}"#).as_bytes(),
            );
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    put(
        "/api/0/projects/acme/shop/environments/staging/",
        json!({"isHidden": true}),
    );
    server
        .database()
        .execute_batch(
            "INSERT INTO authenticator (user_id, kind, secret, created_us, last_used_us, last_step)
             SELECT id, 'totp', CAST('12345678901234567890' AS BLOB), 1767312000000000, 1767312001000000, 1
             FROM user WHERE email = 'ann@example.test';
             UPDATE user SET superuser = 1, last_login_us = 1767312002000000 WHERE email = 'bob@example.test';
             UPDATE user SET active = 0 WHERE email = 'out@example.test';",
        )
        .expect("a second factor");
    server
}

/// Writes an export of a server's file.
fn export(picket: &Binary, data: &Path, name: &str, options: &[&str]) -> Output {
    let data = data.to_str().expect("a path of text");
    let all = [&["export", name, "--data", data, "--yes"], options].concat();
    let output = picket.run(&all);
    assert_eq!(output.code, Some(0), "{output:?}");
    output
}

fn import(picket: &Binary, data: &Path, name: &str, options: &[&str]) -> Output {
    let data = data.to_str().expect("a path of text");
    picket.run(&[&["import", name, "--data", data], options].concat())
}

/// A server on a file that was made before it starts; Ann has her token there.
fn started_on(make: impl FnOnce(&Path)) -> Server {
    Server::start_with("", |settings| {
        make(&settings.data);
        settings.url_prefix = UrlPrefix::parse(PREFIX).ok();
        settings.apply = Some(ApplyFile {
            name: "login.toml".to_owned(),
            text: LOGIN.to_owned(),
        });
    })
}

fn rows(picket: &Binary, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(picket.path(name)).expect("a file");
    serde_json::from_str(&text).expect("an array")
}

/// The rows of one model.
fn of_model(rows: &[Value], model: &str) -> Vec<(i64, Value)> {
    rows.iter()
        .filter(|row| row["model"] == model)
        .map(|row| (row["pk"].as_i64().expect("a number"), row["fields"].clone()))
        .collect()
}

fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn count(data: &Path, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(data).expect("the file opens");
    connection
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .expect("a count")
}
