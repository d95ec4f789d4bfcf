//! `picket sso set`, `show`, `test` and `remove`.

use serde_json::{Value, json};

use crate::support::process::Binary;

const WORLD: &str = r#"
[[organization]]
slug = "acme"

[[user]]
email = "ann@example.test"
password = "correct horse battery staple"
roles = { acme = "owner" }
"#;

const SET: [&str; 9] = [
    "sso",
    "set",
    "acme",
    "--issuer",
    "https://id.example.com",
    "--client-id",
    "picket",
    "--break-glass",
    "ann@example.test",
];

fn start() -> Binary {
    let picket = Binary::new();
    picket.write("a.toml", WORLD);
    picket.succeed(&["apply", "a.toml"]);
    picket
}

fn shown(picket: &Binary) -> Value {
    serde_json::from_str(&picket.succeed(&["sso", "show", "acme", "--json"])).unwrap()
}

#[test]
fn single_sign_on_is_set_up_changed_and_removed() {
    let picket = start();
    picket.write("secret", "the-secret-of-a-client\n");
    let text = picket.succeed(&SET);
    assert!(
        text.contains("callback-url           http://127.0.0.1:9000/auth/sso/1/\n"),
        "{text}"
    );
    assert!(text.contains("required               yes\n"), "{text}");
    let expected = json!({
        "organization": "acme", "provider": "oidc", "name": "single sign-on", "issuer": "https://id.example.com",
        "client-id": "picket", "has-client-secret": false, "scopes": ["profile", "email"], "required": true,
        "break-glass": ["ann@example.test"], "default-role": "member", "groups-claim": "groups",
        "group-roles": {}, "domain-roles": {}, "trusted-domains": [], "trust-unmarked-emails": false,
        "login-url": "http://127.0.0.1:9000/auth/login/acme/",
        "callback-url": "http://127.0.0.1:9000/auth/sso/1/",
        "signed-out-url": "http://127.0.0.1:9000/auth/login/acme/",
    });
    assert_eq!(shown(&picket), expected);

    let text = picket.succeed(&[
        "sso",
        "set",
        "acme",
        "--client-secret-file",
        "secret",
        "--name",
        "Example ID",
        "--required",
        "no",
        "--default-role",
        "admin",
        "--groups-claim",
        "roles",
        "--group-roles",
        "ops=manager, a=b=owner",
        "--domain-roles",
        "Example.com=manager",
        "--scopes",
        "email",
        "--trusted-domains",
        "Example.com",
        "--trust-unmarked-emails",
        "yes",
        "--break-glass",
        "",
        "--json",
    ]);
    assert!(!text.contains("the-secret-of-a-client"));
    let value: Value = serde_json::from_str(&text).unwrap();
    for (name, expected) in [
        ("has-client-secret", json!(true)),
        ("name", json!("Example ID")),
        ("required", json!(false)),
        ("default-role", json!("admin")),
        ("groups-claim", json!("roles")),
        ("group-roles", json!({"ops": "manager", "a=b": "owner"})),
        ("domain-roles", json!({"example.com": "manager"})),
        ("scopes", json!(["email"])),
        ("trusted-domains", json!(["example.com"])),
        ("trust-unmarked-emails", json!(true)),
        ("break-glass", json!([])),
        ("issuer", json!("https://id.example.com")),
    ] {
        assert_eq!(value[name], expected, "{name}");
    }

    // Another issuer is another provider.
    picket.succeed(&[
        "sso",
        "set",
        "acme",
        "--issuer",
        "https://other.example.com",
    ]);
    let value = shown(&picket);
    assert_eq!(value["has-client-secret"], false);
    assert_eq!(value["trusted-domains"], json!([]));

    let text = picket.succeed(&["sso", "remove", "acme"]);
    assert_eq!(text, "members of acme sign in with passwords again\n");
    for command in ["show", "test", "remove"] {
        let output = picket.run(&["sso", command, "acme"]);
        assert_eq!(output.code, Some(1));
        assert!(
            output.stderr.contains("acme has no single sign-on"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let picket = start();
    for (arguments, code, text) in [
        (
            &["sso", "set", "acme"][..],
            2,
            "--issuer and --client-id are needed",
        ),
        (
            &["sso", "set", "nobody"],
            1,
            "there is no organization nobody",
        ),
        (&["sso", "show", "acme"], 1, "acme has no single sign-on"),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
    for (option, value, code, text) in [
        (
            "--issuer",
            "http://id.example.com",
            1,
            "issuer: The URL must start with https://",
        ),
        (
            "--required",
            "perhaps",
            2,
            "--required: \"perhaps\" is neither yes nor no",
        ),
        (
            "--default-role",
            "king",
            2,
            "--default-role: \"king\" is none of member",
        ),
        (
            "--group-roles",
            "ops",
            2,
            "--group-roles: \"ops\" has no =ROLE",
        ),
        (
            "--trusted-domains",
            "no domain",
            1,
            "trustedDomains: Each domain",
        ),
        (
            "--break-glass",
            "bob@example.test",
            1,
            "breakGlass: bob@example.test is no owner",
        ),
        (
            "--break-glass",
            "",
            1,
            "breakGlass: Where single sign-on is required",
        ),
        ("--client-secret-file", "missing", 1, "missing: "),
        (
            "--outbound-ca-file",
            "a.toml",
            1,
            "a.toml: there is no certificate in it",
        ),
    ] {
        let output = picket.run(&[&SET[..], &[option, value]].concat());
        assert_eq!(output.code, Some(code), "{option} {output:?}");
        assert!(output.stderr.contains(text), "{option}: {}", output.stderr);
    }
    assert_eq!(picket.run(&["sso", "show", "acme"]).code, Some(1));
}

#[test]
fn a_provider_that_does_not_answer_is_told_why() {
    let picket = start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let issuer = format!("http://localhost:{port}");
    let hosts = ["--outbound-internal-hosts", "localhost, other.test"];
    let set = [
        "sso",
        "set",
        "acme",
        "--issuer",
        &issuer,
        "--client-id",
        "picket",
        "--break-glass",
        "ann@example.test",
    ];
    picket.succeed(&[&set[..], &hosts].concat());
    let test = ["sso", "test", "acme"];
    let output = picket.run(&[&test[..], &hosts].concat());
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .contains(&format!("{issuer}: Request failed: localhost")),
        "{}",
        output.stderr
    );
    let output = picket.run(&test);
    assert!(
        output.stderr.contains("must start with https://"),
        "{}",
        output.stderr
    );
    let output = picket.run(&[&test[..], &["--outbound-internal-hosts", "a/b"]].concat());
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("\"a/b\" is no host"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_saml_provider_is_set_up_from_its_document() {
    let picket = start();
    picket.write(
        "metadata.xml",
        include_str!("../saml/vectors/metadata_samlp.xml"),
    );
    let set = ["sso", "set", "acme", "--metadata-file", "metadata.xml"];
    let attributes = [
        "--identifier-attribute",
        "uid",
        "--email-attribute",
        "mail",
        "--first-name-attribute",
        "first",
    ];
    let rest = [
        "--break-glass",
        "ann@example.test",
        "--trusted-domains",
        "Example.test",
    ];
    picket.succeed(&[&set[..], &attributes, &rest].concat());
    let found = shown(&picket);
    for (name, value) in [
        ("provider", json!("saml")),
        ("entity-id", json!("https://idp.example.test/metadata")),
        ("identifier-attribute", json!("uid")),
        ("email-attribute", json!("mail")),
        ("first-name-attribute", json!("first")),
        ("last-name-attribute", json!("")),
        ("provider-may-begin", json!(false)),
        ("trusted-domains", json!(["example.test"])),
        (
            "own-metadata-url",
            json!("http://127.0.0.1:9000/saml/metadata/acme/"),
        ),
        ("acs-url", json!("http://127.0.0.1:9000/saml/acs/acme/")),
        ("sls-url", json!("http://127.0.0.1:9000/saml/sls/acme/")),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    let fingerprint = found["certificates-sha256"][0].as_str().unwrap();
    assert_eq!(fingerprint.len(), 95, "{fingerprint}");
    // What is left out stays as it is.
    picket.succeed(&[
        "sso",
        "set",
        "acme",
        "--provider-may-begin",
        "yes",
        "--first-name-attribute",
        "",
    ]);
    let found = shown(&picket);
    assert_eq!(found["provider-may-begin"], true);
    assert_eq!(found["first-name-attribute"], "");
    assert_eq!(found["email-attribute"], "mail");
    assert_eq!(found["trusted-domains"], json!(["example.test"]));

    let missing = ["sso", "set", "acme", "--metadata-file", "missing.xml"];
    picket.write("other.xml", "<a/>");
    let other = ["sso", "set", "acme", "--metadata-file", "other.xml"];
    let inside = [
        "sso",
        "set",
        "acme",
        "--metadata-url",
        "https://127.0.0.1/metadata",
    ];
    for (arguments, code, text) in [
        (&missing[..], 1, "missing.xml: "),
        (
            &other[..],
            1,
            "other.xml: metadata: This is not SAML metadata",
        ),
        (&inside[..], 1, "its address is not a public one"),
        (
            &[&set[..], &["--metadata-url", "https://id.test/"]].concat(),
            2,
            "exclude each other",
        ),
        (
            &[&set[..], &["--client-id", "a"]].concat(),
            2,
            "--client-id has no meaning for a provider of kind saml",
        ),
        (
            &[&set[..], &["--issuer", "https://id.test"]].concat(),
            2,
            "exclude each other",
        ),
        (
            &["sso", "test", "acme"],
            1,
            "a SAML provider cannot be asked about itself",
        ),
    ] {
        let output = picket.run(arguments);
        assert_eq!(output.code, Some(code), "{arguments:?} {output:?}");
        assert!(
            output.stderr.contains(text),
            "{arguments:?}: {}",
            output.stderr
        );
    }
    picket.succeed(&SET);
    assert_eq!(shown(&picket)["provider"], "oidc");
    let output = picket.run(&["sso", "set", "acme", "--email-attribute", "mail"]);
    assert!(
        output
            .stderr
            .contains("no meaning for a provider of kind oidc"),
        "{}",
        output.stderr
    );
}
