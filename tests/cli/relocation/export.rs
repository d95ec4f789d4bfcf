//! The file that is written, row by row, and what is told before.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Models in the order of their groups, with all fields of release 24.7.0 (facts/relocation.md 4 and 5).
const MODELS: [(&str, &str); 18] = [
    (
        "organization",
        "name slug status date_added default_role is_test flags",
    ),
    ("organizationoption", "organization key value"),
    (
        "team",
        "organization slug name status idp_provisioned date_added",
    ),
    (
        "user",
        "password last_login username name email is_staff is_active is_unclaimed is_superuser is_managed is_sentry_app \
         is_password_expired last_password_change flags session_nonce date_joined last_active avatar_type avatar_url",
    ),
    (
        "project",
        "slug name forced_color organization public date_added status first_event flags platform template",
    ),
    (
        "orgauthtoken",
        "organization_id token_hashed token_last_characters name scope_list created_by date_added date_last_used \
         project_last_used_id date_deactivated",
    ),
    (
        "organizationmember",
        "organization user_id email role flags token date_added token_expires_at has_global_access inviter_id \
         invite_status type user_is_active user_email",
    ),
    ("environment", "organization_id name date_added"),
    ("email", "email date_added"),
    ("authenticator", "user created_at last_used_at type config"),
    (
        "useremail",
        "user email validation_hash date_hash_added is_verified",
    ),
    ("projectteam", "project team"),
    (
        "projectredirect",
        "redirect_slug project organization date_added",
    ),
    (
        "projectownership",
        "project raw schema fallthrough auto_assignment date_created last_updated is_active codeowners_auto_sync \
         suspect_committer_auto_assignment",
    ),
    ("projectoption", "project key value"),
    (
        "projectkey",
        "project label public_key secret_key roles status date_added rate_limit_count rate_limit_window data use_case",
    ),
    (
        "organizationmemberteam",
        "team organizationmember is_active role",
    ),
    ("environmentproject", "project environment is_hidden"),
];

fn models() -> impl Iterator<Item = (String, Vec<&'static str>)> {
    MODELS.iter().map(|(model, fields)| {
        let mut fields: Vec<_> = fields.split_whitespace().collect();
        fields.sort_unstable();
        (format!("sentry.{model}"), fields)
    })
}

#[test]
fn every_model_stands_once_in_order_with_all_its_fields() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &[]);
    let rows = rows(&picket, "out.json");
    let mut groups: Vec<String> = Vec::new();
    for row in &rows {
        let keys: Vec<&str> = row
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["model", "pk", "fields"]);
        let model = row["model"].as_str().unwrap();
        if groups.last().is_none_or(|last| last != model) {
            groups.push(model.to_owned());
        }
        let mut fields: Vec<&str> = row["fields"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        let expected = models().find(|(known, _)| known == model);
        assert_eq!(Some((model.to_owned(), fields)), expected);
    }
    let expected: Vec<String> = models().map(|(model, _)| model).collect();
    assert_eq!(groups, expected);
}

#[test]
fn values_are_encoded_as_sentry_does() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &["--passwords"]);
    let rows = rows(&picket, "out.json");
    let of = |model: &str| of_model(&rows, &format!("sentry.{model}"));
    let (acme, fields) = of("organization").remove(0);
    assert_eq!(
        fields,
        json!({
            "name": "Acme Incorporated", "slug": "acme", "status": 0, "date_added": "2026-01-02T00:00:00.000Z",
            "default_role": "manager", "is_test": false, "flags": "1806",
        }),
        "2 enhanced privacy, 4 no shared issues, 8 early adopter, 256 no projects, 512 no superuser, 1024 no invitations"
    );
    assert_eq!(of("organization")[1].1["flags"], "1");
    let options: Vec<(String, Value)> = of("organizationoption")
        .into_iter()
        .filter(|(_, fields)| fields["organization"] == acme)
        .map(|(_, fields)| {
            (
                fields["key"].as_str().unwrap().to_owned(),
                fields["value"].clone(),
            )
        })
        .collect();
    let has = |key: &str, value: Value| {
        assert!(
            options.contains(&(key.to_owned(), value)),
            "{key}: {options:?}"
        );
    };
    has("sentry:events_member_admin", json!(false));
    has("sentry:alerts_member_write", json!(false));
    has("sentry:sensitive_fields", json!("[\"pin\"]"));
    has("sentry:store_crash_reports", json!(5));
    has("sentry:attachments_role", json!("\"owner\""));
    has(
        "picket:default_rate_limit",
        json!("{\"count\":5000,\"window\":60}"),
    );
    assert!(options.iter().all(|(key, _)| key != "picket:default_role"));

    let (_, shop) = of("project").remove(0);
    assert_eq!(
        (&shop["flags"], &shop["platform"], &shop["first_event"]),
        (
            &json!("10"),
            &json!("javascript-react"),
            &json!("2026-01-02T00:00:00.000Z")
        )
    );
    let options: Vec<(String, Value)> = of("projectoption")
        .into_iter()
        .filter(|(_, fields)| fields["project"] == 31)
        .map(|(_, fields)| {
            (
                fields["key"].as_str().unwrap().to_owned(),
                fields["value"].clone(),
            )
        })
        .collect();
    let has = |key: &str, value: Value| {
        assert!(
            options.contains(&(key.to_owned(), value)),
            "{key}: {options:?}"
        );
    };
    has("sentry:token", json!("\"abc123\""));
    has(
        "sentry:origins",
        json!("[\"*.example.test\",\"shop.test\"]"),
    );
    has("filters:localhost", json!("\"1\""));
    has("filters:chunk-load-error", json!("\"0\""));
    has("filters:legacy-browsers", json!("[\"chrome\",\"ie\"]"));
    has("sentry:scrub_defaults", json!(false));
    has("sentry:resolve_age", json!(720));
    has("mail:subject_prefix", json!("\"[shop]\""));

    let keys = of("projectkey");
    let (_, second) = &keys[0];
    assert_eq!(
        *second,
        json!({
            "project": 31, "label": "Second", "public_key": "1123456789abcdef0123456789abcdef",
            "secret_key": "1edcba9876543210fedcba9876543210", "roles": "1", "status": 1,
            "date_added": "2026-01-02T00:00:00.000Z", "rate_limit_count": null, "rate_limit_window": null,
            "data": {
                "dynamicSdkLoaderOptions": {
                    "hasReplay": false, "hasPerformance": true, "hasDebug": true, "hasFeedback": false,
                    "hasLogsAndMetrics": false,
                },
                "browserSdkVersion": "8.x",
            },
            "use_case": "user",
        })
    );
    let (_, default) = &keys[1];
    assert_eq!(
        (
            &default["label"],
            &default["rate_limit_count"],
            &default["rate_limit_window"]
        ),
        (&json!("Default"), &json!(100), &json!(60)),
        "the key in use is the last of its project"
    );
    let (_, token) = of("orgauthtoken").remove(0);
    assert_eq!(token["scope_list"], "[\"org:ci\"]");
    assert_eq!(token["token_hashed"].as_str().unwrap().len(), 64);
    let (_, codes) = of("authenticator").remove(0);
    assert_eq!(codes["config"], json!(json!({"secret": SEED}).to_string()));
    assert_eq!(
        (&codes["type"], &codes["created_at"]),
        (&json!(1), &json!("2026-01-02T00:00:00.000Z"))
    );
    let (_, ann) = of("user").remove(0);
    assert!(
        ann["password"]
            .as_str()
            .unwrap()
            .starts_with("argon2$argon2id$v=19$")
    );
    assert_eq!(
        (&ann["flags"], &ann["is_superuser"]),
        (&json!("0"), &json!(false))
    );
    let (_, zed) = of("organizationmember").pop().unwrap();
    assert_eq!(
        (
            &zed["user_id"],
            &zed["email"],
            &zed["role"],
            &zed["token"],
            &zed["type"]
        ),
        (
            &Value::Null,
            &json!("zed@example.test"),
            &json!("manager"),
            &Value::Null,
            &json!(50)
        )
    );
    let (_, rules) = of("projectownership").remove(0);
    assert_eq!(
        (
            &rules["auto_assignment"],
            &rules["suspect_committer_auto_assignment"],
            &rules["schema"]
        ),
        (&json!(true), &json!(true), &Value::Null)
    );
    // One environment of an organization, for both projects that have it.
    assert_eq!(
        (of("environment").len(), of("environmentproject").len()),
        (2, 3)
    );
    let (_, old) = of("projectredirect").remove(0);
    assert_eq!(
        (&old["redirect_slug"], &old["project"]),
        (&json!("web"), &json!(31))
    );
}

#[test]
fn every_target_stands_before_what_names_it() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &[]);
    let targets = [
        ("organization", "organization"),
        ("organization_id", "organization"),
        ("team", "team"),
        ("project", "project"),
        ("user", "user"),
        ("user_id", "user"),
        ("inviter_id", "user"),
        ("organizationmember", "organizationmember"),
        ("environment", "environment"),
        ("project_last_used_id", "project"),
    ];
    let mut seen = std::collections::HashSet::new();
    for row in rows(&picket, "out.json") {
        for (field, model) in targets {
            if let Some(target) = row["fields"][field].as_i64() {
                let known = seen.contains(&(format!("sentry.{model}"), target));
                assert!(known, "{field} of {row}");
            }
        }
        let is_new = seen.insert((
            row["model"].as_str().unwrap().to_owned(),
            row["pk"].as_i64().unwrap(),
        ));
        assert!(is_new, "{row}");
    }
}

#[test]
fn what_does_not_go_along_is_told_by_name_before_anything_is_written() {
    let server = filled();
    let picket = Binary::new();
    let data = server.file();
    let output = picket.run(&["export", "out.json", "--data", data.to_str().unwrap()]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    for told in [
        "(getsentry/sentry#124029); it overwrites these without a word (1):\n    Second 1123456789abcdef0123456789abcdef of \
         acme/shop\n",
        "only their hashes are kept here (1):\n    laptop of ann@example.test\n",
        "these users must set a new password, because Sentry does not read Argon2id; --passwords writes the hashes all the \
         same, for another Picket (1):\n    ann@example.test\n",
        "go without their links, of which only hashes are kept here; invite again there (1):\n    zed@example.test to acme\n",
        "Sentry knows no rate limit for keys without one of their own (1):\n    acme\n",
        "ownership rules go as text; Sentry goes by them once somebody has saved them there (1):\n    acme/shop\n",
        "events, attachments, statistics, releases and the audit log stay here",
        "picket: out.json will hold secrets, and what is listed above does not go along; --yes says that it is meant, because \
         there is no terminal to ask on\n",
    ] {
        assert!(output.stderr.contains(told), "{told}\n{}", output.stderr);
    }
    assert!(!picket.path("out.json").exists());
}

#[test]
fn the_file_is_for_its_owner_alone_and_replaces_none_unasked() {
    let server = filled();
    let picket = Binary::new();
    export(&picket, &server.file(), "out.json", &[]);
    let mode = std::fs::metadata(picket.path("out.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let data = server.file();
    let data = data.to_str().unwrap();
    picket.write("out.json", "mine");
    let refused = picket.run(&["export", "out.json", "--data", data, "--yes"]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.stderr,
        "picket: out.json is there already; --force replaces it\n"
    );
    assert_eq!(
        std::fs::read_to_string(picket.path("out.json")).unwrap(),
        "mine"
    );
    export(&picket, &server.file(), "out.json", &["--force"]);
    assert!(!rows(&picket, "out.json").is_empty());
    let nowhere = picket.run(&["export", "missing/out.json", "--data", data, "--yes"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(
        nowhere
            .stderr
            .contains("cannot write missing/out.json.part: "),
        "{}",
        nowhere.stderr
    );
    // Nothing half-written is left anywhere.
    let left: Vec<_> = std::fs::read_dir(picket.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["out.json"]);
    // To standard output: the file and nothing else.
    let output = export(&picket, &server.file(), "-", &[]);
    let printed: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(printed.len(), rows(&picket, "out.json").len());
}

#[test]
fn a_scope_and_an_organization_say_what_goes() {
    let server = filled();
    let picket = Binary::new();
    let models = |options: &[&str]| -> Vec<String> {
        export(
            &picket,
            &server.file(),
            "out.json",
            &[options, &["--force"]].concat(),
        );
        let mut models: Vec<String> = rows(&picket, "out.json")
            .iter()
            .map(|row| row["model"].as_str().unwrap().replace("sentry.", ""))
            .collect();
        models.dedup();
        models
    };
    assert_eq!(
        models(&["--scope", "users"]),
        ["user", "email", "useremail"]
    );
    assert_eq!(
        models(&["--scope", "config"]),
        ["user", "email", "useremail"]
    );
    let superusers = of_model(&rows(&picket, "out.json"), "sentry.user");
    assert_eq!(superusers.len(), 1);
    assert_eq!(superusers[0].1["username"], "bob@example.test");
    let organizations = models(&["--scope", "organizations"]);
    assert!(organizations.contains(&"projectkey".to_owned()));
    assert!(!organizations.contains(&"authenticator".to_owned()));
    models(&["--org", "beta"]);
    let beta = rows(&picket, "out.json");
    let slugs = |model: &str, field: &str| -> Vec<Value> {
        of_model(&beta, model)
            .into_iter()
            .map(|(_, fields)| fields[field].clone())
            .collect()
    };
    assert_eq!(slugs("sentry.organization", "slug"), ["beta"]);
    assert_eq!(slugs("sentry.project", "slug"), ["web"]);
    assert_eq!(
        slugs("sentry.user", "username"),
        ["ann@example.test", "bob@example.test"]
    );

    let data = server.file();
    let run = |options: &[&str]| {
        picket.run(
            &[
                &[
                    "export",
                    "x.json",
                    "--data",
                    data.to_str().unwrap(),
                    "--yes",
                ],
                options,
            ]
            .concat(),
        )
    };
    let wrong = run(&["--scope", "all"]);
    assert_eq!(wrong.code, Some(2));
    assert_eq!(
        wrong.stderr,
        "picket: --scope: \"all\" is none of global, organizations, config and users\n"
    );
    let wrong = run(&["--org", "other"]);
    assert_eq!(
        (wrong.code, wrong.stderr.as_str()),
        (Some(1), "picket: there is no organization other\n")
    );
}

#[test]
fn the_key_that_is_used_most_is_the_last_of_its_project() {
    let server = filled();
    let last = |picket: &Binary| {
        export(picket, &server.file(), "out.json", &["--force"]);
        let keys = of_model(&rows(picket, "out.json"), "sentry.projectkey");
        let mut own = keys
            .into_iter()
            .filter(|(_, fields)| fields["project"] == 31);
        own.next_back().unwrap().1["label"].clone()
    };
    let picket = Binary::new();
    let second = "1123456789abcdef0123456789abcdef";
    let path = format!("/api/0/projects/acme/shop/keys/{second}/");
    let switched = server
        .with_token(TOKEN)
        .put_json(&path, &json!({"isActive": true}));
    assert_eq!(switched.status, 200);
    // The command's own clock tells which days count.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    server.clock.set(picket::Timestamp::from_secs(
        i64::try_from(now.as_secs()).unwrap(),
    ));
    let send = |key: &str| {
        let sent = server
            .client()
            .with_header("X-Sentry-Auth", &format!("Sentry sentry_key={key}"))
            .post("/api/31/store/", br#"{"message": "x"}"#);
        assert_eq!(sent.status, 200, "{}", sent.text());
    };
    assert_eq!(last(&picket), "Default", "used long ago, and the older one");
    send(second);
    assert_eq!(last(&picket), "Second");
    send("0123456789abcdef0123456789abcdef");
    send("0123456789abcdef0123456789abcdef");
    assert_eq!(last(&picket), "Default");
}

/// What Sentry's tables or its importer would not take as it is.
#[test]
fn odd_things_are_told_and_written_so_that_the_rest_is_not_lost() {
    let server = filled();
    let long = format!("{}@example.test", "l".repeat(100));
    server
        .database()
        .execute_batch(&format!(
            "INSERT INTO user (email, name, created_us) VALUES ('{long}', 'Long', 0);
             INSERT INTO member (organization_id, email, role, created_us) VALUES (1, 'i{long}', 'member', 0);
             INSERT INTO team_member (team_id, member_id) SELECT 1, max(id) FROM member;
             UPDATE client_key SET secret = '3edcba9876543210fedcba9876543210' WHERE public LIKE '21%';
             UPDATE client_key SET expires_us = 4102444800000000 WHERE public LIKE '01%';
             UPDATE client_key SET rate_limit_count = 9999999999, rate_limit_window_secs = 60 WHERE public LIKE '31%';
             UPDATE auth_token SET expires_us = 4102444800000000 WHERE kind = 'organization';
             UPDATE organization SET slug = 'ACME' WHERE id = 1;
             INSERT INTO identity_provider (organization_id, kind, required, config, created_us)
             VALUES (2, 'oidc', 1, '{{}}', 0);
             INSERT INTO authenticator (user_id, kind, secret, created_us) VALUES (2, 'recovery', x'00', 0);
             INSERT INTO project_bookmark (user_id, project_id) VALUES (1, 31);"
        ))
        .unwrap();
    let picket = Binary::new();
    let output = export(&picket, &server.file(), "out.json", &[]);
    for told in [
        format!("so their users get no mail (1):\n    {long}\n"),
        format!("longer than Sentry takes, and do not go (1):\n    i{long} to ACME\n"),
        "these get another one in the file (1):\n    Default 3123456789abcdef0123456789abcdef of beta/web\n".to_owned(),
        "switch them off there (1):\n    Default 0123456789abcdef0123456789abcdef of ACME/shop, at 2100-01-01T00:00:00Z\n"
            .to_owned(),
        "higher than Sentry's can be, and are cut (1):\n    Default 3123456789abcdef0123456789abcdef of beta/web\n".to_owned(),
        "so they do not go (1):\n    ci of ACME\n".to_owned(),
        "Sentry writes these slugs in lower case (1):\n    ACME\n".to_owned(),
        "single sign-on must be set up again (1):\n    beta\n".to_owned(),
        "recovery codes cannot go, because only their hashes are kept here (1):\n    bob@example.test\n".to_owned(),
        "bookmarks of projects do not go (1)\n".to_owned(),
    ] {
        assert!(output.stderr.contains(&told), "{told}\n{}", output.stderr);
    }
    let rows = rows(&picket, "out.json");
    let of = |model: &str| of_model(&rows, model);
    assert!(of("sentry.orgauthtoken").is_empty());
    let addresses = of("sentry.useremail");
    assert!(
        addresses
            .iter()
            .all(|(_, fields)| fields["email"] != json!(long))
    );
    assert!(
        of("sentry.organizationmember")
            .iter()
            .all(|(_, fields)| fields["email"] != json!(format!("i{long}")))
    );
    let keys = of("sentry.projectkey");
    let mut secrets: Vec<&str> = keys
        .iter()
        .map(|(_, fields)| fields["secret_key"].as_str().unwrap())
        .collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), keys.len());
    let mut counts = keys.iter().map(|(_, fields)| &fields["rate_limit_count"]);
    assert!(counts.any(|count| *count == json!(i32::MAX)));
    let members: Vec<i64> = of("sentry.organizationmember")
        .iter()
        .map(|(pk, _)| *pk)
        .collect();
    for (_, seat) in of("sentry.organizationmemberteam") {
        assert!(
            members.contains(&seat["organizationmember"].as_i64().unwrap()),
            "{seat}"
        );
    }
}
