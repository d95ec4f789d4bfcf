//! Files of Sentry's own, and files that are wrong.

use super::*;

/// As an older release wrote it: Python's lists, fields and models that are gone since, no `use_case`.
const OLDER: &str = r#"[
{"model": "sentry.option", "pk": 1, "fields": {"key": "sentry:install-id", "last_updated": "2023-11-02T10:00:00.000Z", "last_updated_by": "unknown", "value": "\"abc\""}},
{"model": "sentry.organization", "pk": 7, "fields": {"name": "Acme", "slug": "acme", "status": 0, "date_added": "2023-11-02T08:15:30.120Z", "default_role": "member", "is_test": false, "flags": "17"}},
{"model": "sentry.organization", "pk": 8, "fields": {"name": "Gone", "slug": "gone", "status": 1, "date_added": "2023-11-02T08:15:30.120Z", "default_role": "member", "is_test": false, "flags": "1"}},
{"model": "sentry.organizationoption", "pk": 1, "fields": {"organization": 7, "key": "sentry:account-rate-limit", "value": 0}},
{"model": "sentry.organizationoption", "pk": 2, "fields": {"organization": 7, "key": "sentry:events_member_admin", "value": false}},
{"model": "sentry.team", "pk": 3, "fields": {"organization": 7, "slug": "crew", "name": "The Crew", "status": 0, "idp_provisioned": false, "date_added": "2023-11-02T08:15:31.000Z", "actor": 4, "org_role": null}},
{"model": "sentry.user", "pk": 11, "fields": {"password": "pbkdf2_sha256$260000$salt$aGFzaA==", "last_login": null, "username": "ana@example.org", "name": "Ana", "email": "ana@example.org", "is_staff": true, "is_active": true, "is_superuser": true, "is_managed": false, "is_sentry_app": null, "is_password_expired": false, "last_password_change": null, "flags": "0", "session_nonce": null, "date_joined": "2023-11-02T08:00:00.000Z", "last_active": "2023-11-03T08:00:00.000Z", "avatar_type": 0, "avatar_url": null}},
{"model": "sentry.user", "pk": 12, "fields": {"password": "argon2$argon2id$v=19$m=19456,t=2,p=1$TNDfPSTWI/zws9+ZURogQQ$PhwaSnaQlnwL64vC06hma1CnHCctqP9ZM9w9BniUnCY", "username": "bo@example.org", "name": "", "email": "", "is_active": true, "date_joined": "2023-11-02T08:00:00.000Z"}},
{"model": "sentry.user", "pk": 13, "fields": {"password": "", "username": "robot", "name": "App", "email": "", "is_active": true, "is_sentry_app": true, "date_joined": "2023-11-02T08:00:00.000Z"}},
{"model": "sentry.project", "pk": 41, "fields": {"slug": "web", "name": "web", "forced_color": null, "organization": 7, "public": false, "date_added": "2023-11-02T08:16:00.000Z", "status": 0, "first_event": null, "flags": "10", "platform": "python"}},
{"model": "sentry.project", "pk": 42, "fields": {"slug": "old", "name": "old", "organization": 8, "date_added": "2023-11-02T08:16:00.000Z", "status": 0, "flags": "10", "platform": "cobol"}},
{"model": "sentry.orgauthtoken", "pk": 5, "fields": {"organization_id": 7, "token_hashed": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "token_last_characters": "abcd", "name": "ci", "scope_list": "['org:ci', 'org:superlative']", "created_by": 11, "date_added": "2023-11-02T08:16:00.000Z", "date_last_used": null, "project_last_used_id": null, "date_deactivated": null}},
{"model": "sentry.organizationmember", "pk": 21, "fields": {"organization": 7, "user_id": 11, "email": null, "role": "owner", "flags": "0", "token": null, "date_added": "2023-11-02T08:15:30.120Z", "token_expires_at": null, "has_global_access": true, "inviter_id": null, "invite_status": 0, "type": 50, "user_is_active": true, "user_email": "ana@example.org"}},
{"model": "sentry.organizationmember", "pk": 22, "fields": {"organization": 7, "user_id": null, "email": "new@example.org", "role": "billing", "flags": "0", "token": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "date_added": "2023-11-02T08:15:30.120Z", "token_expires_at": "2099-01-01T00:00:00Z", "has_global_access": true, "inviter_id": 11, "invite_status": 0, "type": 50}},
{"model": "sentry.organizationmember", "pk": 23, "fields": {"organization": 7, "user_id": null, "email": "wish@example.org", "role": "owner", "flags": "0", "token": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "date_added": "2023-11-02T08:15:30.120Z", "token_expires_at": "2099-01-01T00:00:00Z", "has_global_access": true, "inviter_id": null, "invite_status": 2, "type": 50}},
{"model": "sentry.environment", "pk": 1, "fields": {"organization_id": 7, "name": "production", "date_added": "2023-11-02T09:00:00.000Z"}},
{"model": "sentry.rule", "pk": 1, "fields": {"project": 41, "label": "Send mail", "data": "{\"match\":\"all\"}", "status": 0}},
{"model": "sentry.projectteam", "pk": 1, "fields": {"project": 41, "team": 3}},
{"model": "sentry.projectoption", "pk": 1, "fields": {"project": 41, "key": "sentry:option-epoch", "value": 11}},
{"model": "sentry.projectoption", "pk": 2, "fields": {"project": 41, "key": "sentry:origins", "value": "[\"*.acme.test\"]"}},
{"model": "sentry.projectoption", "pk": 3, "fields": {"project": 41, "key": "filters:web-crawlers", "value": "\"1\""}},
{"model": "sentry.projectoption", "pk": 4, "fields": {"project": 41, "key": "sentry:dynamic_sampling_biases", "value": "[]"}},
{"model": "sentry.projectkey", "pk": 90, "fields": {"project": 41, "label": "Default", "public_key": "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "secret_key": "f9e8d7c6b5a4938271605f4e3d2c1b0a", "roles": "1", "status": 0, "date_added": "2023-11-02T08:16:00.000Z", "rate_limit_count": 7, "rate_limit_window": 60, "data": {}}},
{"model": "sentry.projectkey", "pk": 91, "fields": {"project": 42, "label": "Default", "public_key": "1a1b2c3d4e5f60718293a4b5c6d7e8f9", "secret_key": null, "roles": "1", "status": 0, "date_added": "2023-11-02T08:16:00.000Z", "data": {}}},
{"model": "sentry.organizationmemberteam", "pk": 1, "fields": {"team": 3, "organizationmember": 21, "is_active": true, "role": null}},
{"model": "sentry.environmentproject", "pk": 1, "fields": {"environment": 1, "project": 41, "is_hidden": null}}
]"#;

/// What a newer release writes otherwise: JSON in texts, fields that are new, tokens with both halves.
const NEWER: &str = r#"[{"model":"sentry.user","pk":11,"fields":{"username":"ana@example.org","email":"ana@example.org","email_unique":null,"name":"Ana","password":"!","is_active":true,"date_joined":"2025-11-02T08:00:00.000Z","is_suspended":false}},
{"model":"sentry.apitoken","pk":3,"fields":{"user":11,"application":null,"scoping_organization_id":null,"name":"cli","token":"sntryu_00000000000000000000000000000000000000000000000000000000000000aa","hashed_token":"00","token_type":"sntryu_","token_last_characters":"00aa","refresh_token":null,"hashed_refresh_token":null,"scope_list":"[\"org:read\",\"project:read\"]","scopes":"0","expires_at":null,"date_added":"2025-11-02T08:00:00.000Z"}},
{"model":"sentry.apitoken","pk":4,"fields":{"user":11,"application":2,"name":"app","token":"sntryu_00000000000000000000000000000000000000000000000000000000000000bb","scope_list":["org:read"]}},
{"model":"sentry.authenticator","pk":6,"fields":{"user":11,"created_at":"2025-11-02T08:00:00.000Z","last_used_at":null,"type":1,"config":"{\"secret\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"}"}},
{"model":"sentry.authenticator","pk":7,"fields":{"user":11,"created_at":"2025-11-02T08:00:00.000Z","last_used_at":null,"type":3,"config":"{\"devices\":[]}"}},
{"model":"sentry.useremail","pk":6,"fields":{"user":11,"email":"ana@example.org","validation_hash":"x","date_hash_added":"2025-11-02T08:00:00.000Z","is_verified":false}},
{"model":"sentry.useremail","pk":7,"fields":{"user":11,"email":"ana@home.example.org","validation_hash":"x","date_hash_added":"2025-11-02T08:00:00.000Z","is_verified":true}},
{"model":"workflow_engine.workflow","pk":1,"fields":{"name":"x"}}]"#;

fn one(data: &std::path::Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(data).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_older_file_of_sentrys_comes_in_with_numbers_and_keys() {
    let picket = Binary::new();
    picket.write("older.json", OLDER);
    let data = picket.path("picket.db");
    let dry = import(&picket, &data, "older.json", &["--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(!data.exists(), "a dry run makes nothing");
    let output = import(&picket, &data, "older.json", &["--yes"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(0), "9 things are made\n"),
        "{output:?}"
    );
    for told in [
        "sentry.option: 1\n",
        "sentry.rule: 1\n",
        "are left out with all that they have (1):\n    gone\n",
        "users stand for applications, which Picket does not have, and are left out (1):\n    robot\n",
        "do not know",
        "wish@example.org in acme",
        "new@example.org in acme: billing",
        "org:superlative of ci of acme",
        "sentry:account-rate-limit: 1",
        "sentry:dynamic_sampling_biases: 1",
        "picket user reset-password prints a link for a new one (1):\n    ana@example.org\n",
        "these users may do what the operator of the server may (1):\n    ana@example.org\n",
    ] {
        let told = told.replace("do not know", "Picket does not know");
        assert!(output.stderr.contains(&told), "{told}\n{}", output.stderr);
    }
    let sql = [
        (
            "SELECT id || slug || require_2fa || open_membership || members_admin_events || created_us FROM organization",
            "7acme1101698912930120000",
        ),
        ("SELECT id || slug || name FROM team", "3crewThe Crew"),
        (
            "SELECT group_concat(id || email || (password_hash IS NULL) || superuser, ' ') FROM user",
            "11ana@example.org11 12bo@example.org00",
        ),
        ("SELECT id || slug || platform FROM project", "41webpython"),
        (
            "SELECT public || secret || rate_limit_count || id FROM client_key",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f9f9e8d7c6b5a4938271605f4e3d2c1b0a790",
        ),
        (
            "SELECT group_concat(name || '=' || value, ' ') FROM (SELECT * FROM project_option ORDER BY name)",
            "filters:web-crawlers=true sentry:origins=\"*.acme.test\"",
        ),
        (
            "SELECT group_concat(id || role || coalesce(email, user_id), ' ') FROM member",
            "21owner11 22membernew@example.org",
        ),
        (
            "SELECT hex(invite_hash) FROM member WHERE id = 22",
            "A9C6E0F0A4C3A0C9E0A3",
        ),
        (
            "SELECT lower(hex(hash)) || scopes || id FROM auth_token",
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824org:ci5",
        ),
        (
            "SELECT name || project_id || hidden FROM environment",
            "production410",
        ),
        (
            "SELECT team_id || '/' || member_id FROM team_member",
            "3/21",
        ),
        (
            "SELECT team_id || '/' || project_id FROM project_team",
            "3/41",
        ),
        (
            "SELECT group_concat(DISTINCT actor_user_id IS NULL AND address IS NULL) FROM audit_entry",
            "1",
        ),
    ];
    for (sql, expected) in sql {
        if sql.contains("invite_hash") {
            assert_eq!(one(&data, sql).len(), 64);
            continue;
        }
        assert_eq!(one(&data, sql), expected, "{sql}");
    }
}

#[test]
fn a_newer_file_of_sentrys_comes_in_with_tokens_and_codes() {
    let picket = Binary::new();
    picket.write("newer.json", NEWER);
    let data = picket.path("picket.db");
    let output = import(&picket, &data, "newer.json", &["--yes"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for told in [
        "sentry.user.is_suspended: 1",
        "workflow_engine.workflow: 1",
        "app of ana@example.org",
        "ana@home.example.org of ana@example.org",
        "nobody has shown that these addresses are their users'; Picket takes your word for it (1):\n    ana@example.org\n",
    ] {
        assert!(output.stderr.contains(told), "{told}\n{}", output.stderr);
    }
    assert!(
        !output.stderr.contains("reset-password"),
        "an unusable password is none"
    );
    assert_eq!(
        one(
            &data,
            "SELECT scopes || name || last_characters FROM auth_token"
        ),
        "org:read project:readcli00aa"
    );
    assert_eq!(
        one(&data, "SELECT CAST(secret AS TEXT) FROM authenticator"),
        "12345678901234567890"
    );
    assert_eq!(count(&data, "auth_token"), 1);
}

/// A row of a model.
fn row(model: &str, pk: i64, fields: &Value) -> Value {
    json!({"model": format!("sentry.{model}"), "pk": pk, "fields": fields})
}

fn organization() -> Value {
    row(
        "organization",
        7,
        &json!({"name": "Acme", "slug": "acme", "date_added": "2024-03-05T08:15:30.120Z"}),
    )
}

fn project(change: Value) -> Value {
    let mut fields = json!({"name": "web", "slug": "web", "organization": 7, "date_added": "2024-03-05T08:15:30.120Z"});
    for (name, value) in change.as_object().unwrap() {
        fields[name] = value.clone();
    }
    row("project", 41, &fields)
}

#[test]
fn a_wrong_file_is_refused_by_model_number_and_field_and_nothing_is_written() {
    let picket = Binary::new();
    let data = picket.path("picket.db");
    let key = |fields: Value| row("projectkey", 90, &fields);
    let public = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    for (rows, expected) in [
        (
            vec![project(json!({}))],
            "sentry.project pk 41: organization: there is no sentry.organization pk 7 in the file",
        ),
        (
            vec![organization(), project(json!({"organization": "7"}))],
            "sentry.project pk 41: organization: this must be a whole number",
        ),
        (
            vec![organization(), project(json!({"organization": null}))],
            "sentry.project pk 41: organization: this is missing",
        ),
        (
            vec![organization(), project(json!({"name": 5}))],
            "sentry.project pk 41: name: this must be a text",
        ),
        (
            vec![organization(), project(json!({"name": "x".repeat(201)}))],
            "sentry.project pk 41: name: this has more than 200 characters",
        ),
        (
            vec![organization(), project(json!({"date_added": "soon"}))],
            "sentry.project pk 41: date_added: this must be a date, such as 2024-03-05T08:15:30.120Z",
        ),
        (
            vec![organization(), organization()],
            "sentry.organization pk 7: this number stands twice",
        ),
        (
            vec![
                organization(),
                row(
                    "organization",
                    8,
                    &json!({"name": "B", "slug": "acme", "date_added": "2024-03-05T08:15:30.120Z"}),
                ),
            ],
            "sentry.organization pk 8: slug: another organization of the file has it",
        ),
        (
            vec![
                organization(),
                project(json!({})),
                key(json!({"project": 41, "public_key": public, "rate_limit_count": "many"})),
            ],
            "sentry.projectkey pk 90: rate_limit_count: this must be a whole number",
        ),
        (
            vec![
                organization(),
                project(json!({})),
                key(json!({"project": 41, "public_key": public, "roles": "none"})),
            ],
            "sentry.projectkey pk 90: roles: this must be a number of flags, such as \"10\"",
        ),
        (
            vec![key(json!({"project": 41, "public_key": public}))],
            "sentry.projectkey pk 90: project: there is no sentry.project pk 41 in the file",
        ),
        (
            vec![
                organization(),
                project(json!({})),
                key(json!({"project": 41, "public_key": public})),
                row(
                    "projectkey",
                    91,
                    &json!({"project": 41, "public_key": public}),
                ),
            ],
            "sentry.projectkey pk 91: public_key: another key of the file has it",
        ),
        (
            vec![
                organization(),
                row(
                    "organizationmember",
                    1,
                    &json!({"organization": 7, "date_added": "2024-03-05T08:15:30.120Z"}),
                ),
            ],
            "sentry.organizationmember pk 1: user_id: this is missing, and there is no email either",
        ),
        (
            vec![
                organization(),
                row(
                    "orgauthtoken",
                    1,
                    &json!({"organization_id": 7, "token_hashed": "xyz", "name": "ci", "scope_list": "org:ci"}),
                ),
            ],
            "sentry.orgauthtoken pk 1: scope_list: this must be a list of texts",
        ),
        (
            vec![
                organization(),
                project(json!({})),
                row(
                    "projectoption",
                    1,
                    &json!({"project": 41, "key": "sentry:origins", "value": "[]"}),
                ),
                row(
                    "projectoption",
                    2,
                    &json!({"project": 41, "key": "sentry:origins", "value": "[]"}),
                ),
            ],
            "sentry.projectoption pk 2: key: the project has this option twice",
        ),
    ] {
        picket.write("a.json", &json!(rows).to_string());
        let output = import(&picket, &data, "a.json", &["--yes"]);
        let first = output.stderr.lines().next().unwrap_or_default();
        assert_eq!(first, format!("a.json: {expected}"), "{output:?}");
        assert_eq!(output.code, Some(1));
        assert!(
            output
                .stderr
                .contains("in a.json, so nothing of it was imported")
        );
        assert!(!data.exists());
    }
}

#[test]
fn what_is_no_array_of_rows_is_told_with_its_line() {
    let picket = Binary::new();
    let data = picket.path("picket.db");
    let whole = json!([organization()]).to_string();
    let mut encrypted = vec![b'x'; 600];
    encrypted[257..262].copy_from_slice(b"ustar");
    for (text, expected) in [
        (b"".to_vec(), "it is empty"),
        (b"  \n".to_vec(), "it is empty"),
        (
            b"{}".to_vec(),
            "it does not begin with an array but with an object; exports of Sentry are arrays",
        ),
        (
            b"hello".to_vec(),
            "there is no JSON array in it; exports of Sentry are arrays",
        ),
        (
            encrypted,
            "this is an encrypted export, which Picket does not read; decrypt it first: sentry backup decrypt",
        ),
        (
            format!("08:00:00 [INFO] sentry: hello\n[WARN] again\n{whole}").into_bytes(),
            "the array begins in line 3; take out what stands before it, which may be of a log",
        ),
        (
            format!("[INFO] sentry: hello\n{whole}").into_bytes(),
            "the array begins in line 2; take out what stands before it, which may be of a log",
        ),
        (
            format!("{whole}\n08:00:00 [INFO] sentry: bye\n").into_bytes(),
            "something stands behind the array in line 2; take it out, it may be of a log",
        ),
        (
            whole.as_bytes()[..whole.len() - 20].to_vec(),
            "the file ends in line 1 in the middle of a value: it is not whole",
        ),
        (
            b"[{\"model\": \"sentry.team\", \"pk\": 1}]".to_vec(),
            "this is no row with model, pk and fields: missing field `fields` at line 1 column 34",
        ),
        (
            b"[{\"model\": \"sentry.team\", \"pk\": \"1\", \"fields\": {}}]".to_vec(),
            "this is no row with model, pk and fields: invalid type: string \"1\", expected i64 at line 1 column 35",
        ),
        (
            b"[{\"model\": \"sentry.team\", \"pk\": 1, \"fields\": []}]".to_vec(),
            "this is no row with model, pk and fields: invalid type: sequence, expected a map at line 1 column 46",
        ),
        (
            b"[{\"model\"; 1}]".to_vec(),
            "this is no JSON: expected `:` at line 1 column 10",
        ),
        (
            b"[{\"model\": \"\xff\"}]".to_vec(),
            "this is no JSON: invalid unicode code point at line 1 column 13",
        ),
    ] {
        std::fs::write(picket.path("a.json"), &text).unwrap();
        let output = import(&picket, &data, "a.json", &["--yes"]);
        let first = output.stderr.lines().next().unwrap_or_default();
        assert_eq!(
            first,
            format!("a.json: {expected}"),
            "{:?}",
            String::from_utf8_lossy(&text)
        );
        assert_eq!(output.code, Some(1));
        assert!(!data.exists());
    }
    // Too deep for any reader.
    let deep = format!(
        "[{{\"model\": \"sentry.team\", \"pk\": 1, \"fields\": {{\"x\": {}",
        "[".repeat(100_000)
    );
    picket.write("a.json", &deep);
    let output = import(&picket, &data, "a.json", &["--yes"]);
    assert!(
        output.stderr.contains("recursion limit exceeded"),
        "{}",
        output.stderr
    );
}

/// Every prefix and many a broken byte: a sentence and the exit code 1, or a file that is good.
#[test]
fn broken_files_never_panic_and_write_nothing() {
    let picket = Binary::new();
    let data = picket.path("picket.db");
    let whole: String = OLDER.lines().collect();
    let broken = |at: usize, byte: u8| {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] = byte;
        bytes
    };
    let mut cases: Vec<Vec<u8>> = (1..20)
        .map(|part| whole.as_bytes()[..whole.len() * part / 20].to_vec())
        .collect();
    for (n, byte) in b"]}\"9x,:{[\\\0-".iter().cycle().take(48).enumerate() {
        cases.push(broken(whole.len() * n / 48, *byte));
    }
    for case in cases {
        std::fs::write(picket.path("a.json"), &case).unwrap();
        let output = import(&picket, &data, "a.json", &["--dry-run"]);
        assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
        assert!(!data.exists());
    }
}

/// So many rows that the writer takes several steps, in whatever order.
fn long() -> Vec<Value> {
    let mut rows = vec![organization(), project(json!({}))];
    let date = "2024-03-05T08:15:30.120Z";
    for n in 0..1200_i64 {
        rows.push(row(
            "user",
            n + 1,
            &json!({"username": format!("u{n}@example.org"), "date_joined": date}),
        ));
        rows.push(row(
            "organizationmember",
            n + 1,
            &json!({"organization": 7, "user_id": n + 1, "role": "member", "date_added": date}),
        ));
        rows.push(row("projectkey", 5000 - n, &json!({"project": 41, "public_key": format!("{n:032x}"), "secret_key": format!("{n:032x}")})));
    }
    rows.reverse();
    rows
}

#[test]
fn a_long_file_comes_in_whole() {
    let picket = Binary::new();
    picket.write("a.json", &json!(long()).to_string());
    let data = picket.path("picket.db");
    let output = import(&picket, &data, "a.json", &["--yes", "--json"]);
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(told["rows"]["client_keys"], json!({"new": 1200, "here": 0}));
    assert_eq!(told["rows"]["members"], json!({"new": 1200, "here": 0}));
    assert_eq!(
        (count(&data, "client_key"), count(&data, "user")),
        (1200, 1200)
    );
    assert_eq!(
        one(&data, "SELECT min(id) || '-' || max(id) FROM client_key"),
        "3801-5000"
    );
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was() {
    let picket = Binary::new();
    picket.write("a.json", &json!(long()).to_string());
    let data = picket.path("picket.db");
    let mut child = picket
        .command(&["import", "a.json", "--yes"])
        .spawn()
        .unwrap();
    let users = || {
        let connection = rusqlite::Connection::open(&data).ok()?;
        let count =
            connection.query_row("SELECT count(*) FROM user", [], |row| row.get::<_, i64>(0));
        count.ok().filter(|count| *count > 0)
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !data.exists() || users().is_none() {
        assert!(std::time::Instant::now() < deadline, "it never began");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = count(&data, "client_key");
    let output = import(&picket, &data, "a.json", &["--yes", "--json"]);
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(told["rows"]["organizations"], json!({"new": 0, "here": 1}));
    assert_eq!(
        told["rows"]["client_keys"],
        json!({"new": 1200 - left, "here": left})
    );
    for table in ["client_key", "user", "member"] {
        assert_eq!(count(&data, table), 1200, "{table}");
    }
    // Every number is kept, as if nothing had happened.
    assert_eq!(
        one(&data, "SELECT min(id) || '-' || max(id) FROM client_key"),
        "3801-5000"
    );
    assert_eq!(
        one(&data, "SELECT sum(id = user_id) || '' FROM member"),
        "1200"
    );
    let again = import(&picket, &data, "a.json", &["--yes"]);
    assert_eq!(again.stdout, "everything is here already\n");
}

/// The numbers of sentry.io have 16 digits.
#[test]
fn a_long_project_number_is_kept_and_takes_events() {
    let picket = Binary::new();
    let mut project = project(json!({}));
    project["pk"] = json!(4_505_281_256_390_656_i64);
    let key = json!({"project": 4_505_281_256_390_656_i64, "public_key": "0a1b2c3d4e5f60718293a4b5c6d7e8f9"});
    let rows = json!([
        organization(),
        project,
        row("projectkey", 4_505_281_256_390_657, &key)
    ]);
    picket.write("a.json", &rows.to_string());
    let output = import(&picket, &picket.path("picket.db"), "a.json", &["--yes"]);
    assert_eq!(output.stdout, "3 things are made\n", "{output:?}");
    let server = picket.serve(&[]);
    let address = server
        .address()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let sent = Client::new(address)
        .with_header(
            "X-Sentry-Auth",
            "Sentry sentry_key=0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        )
        .post("/api/4505281256390656/store/", br#"{"message": "x"}"#);
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(server.terminate().code, Some(0));
}
