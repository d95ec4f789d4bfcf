//! `/settings/{org}/auth/`: single sign-on as an owner sets it up.

use serde_json::{Value, json};

use super::browser::{Browser, location};
use crate::support::{Answer, OWNER_TOKEN, Server};

const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

[[user]]
email = "ann@example.test"
password = "correct horse battery staple"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin"]

[[user]]
email = "bob@example.test"
password = "another horse battery staple"
roles = { acme = "manager" }

[[user]]
email = "cat@example.test"
password = "a third horse battery staple"
roles = { acme = "owner" }
"#;

const PAGE: &str = "/settings/acme/auth/";

const FIELDS: [(&str, &str); 11] = [
    ("name", "Example ID"),
    ("issuer", "https://id.example.com"),
    ("client_id", "picket"),
    ("client_secret", "the-secret-of-a-client"),
    ("scopes", "profile email"),
    ("required", "1"),
    ("break_glass", "ann@example.test\r\n"),
    ("default_role", "member"),
    ("groups_claim", "groups"),
    ("group_roles", "ops=manager\r\n\r\na=b = owner\r\n"),
    ("domain_roles", "Example.com=admin"),
];

/// The usual fields with another value for some, or more.
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let is_kept = |(name, _): &&(&'a str, &'a str)| !changes.iter().any(|(other, _)| other == name);
    let kept = FIELDS.iter().filter(is_kept).copied();
    kept.chain(changes.iter().copied()).collect()
}

fn owner(server: &Server) -> Browser {
    let mut browser = Browser::new(server.client());
    browser.sign_in("ann@example.test", "correct horse battery staple");
    browser
}

fn stored(server: &Server) -> Option<Value> {
    let answer = server
        .with_token(OWNER_TOKEN)
        .get("/api/0/organizations/acme/auth-provider/");
    (answer.status == 200).then(|| answer.json())
}

fn save(browser: &mut Browser, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(PAGE);
    browser.submit(&page, PAGE, fields)
}

#[test]
fn an_owner_sets_it_up_changes_it_and_ends_it() {
    let server = Server::start(WORLD);
    let mut browser = owner(&server);
    let page = browser.get(PAGE);
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(
        text.contains(&format!("{}/auth/sso/1/", server.url_prefix())),
        "{text}"
    );
    // Whoever sets it up is not to be locked out.
    assert!(text.contains(">ann@example.test</textarea>"), "{text}");
    assert!(!text.contains("End single sign-on"));

    assert_eq!(location(&browser.submit(&page, PAGE, &FIELDS)), PAGE);
    let provider = stored(&server).unwrap();
    for (name, value) in [
        ("name", json!("Example ID")),
        ("issuer", json!("https://id.example.com")),
        ("clientId", json!("picket")),
        ("hasClientSecret", json!(true)),
        ("scopes", json!(["profile", "email"])),
        ("required", json!(true)),
        ("breakGlass", json!(["ann@example.test"])),
        ("groupRoles", json!({"ops": "manager", "a=b": "owner"})),
        ("domainRoles", json!({"example.com": "admin"})),
        ("trustedDomains", json!([])),
    ] {
        assert_eq!(provider[name], value, "{name}");
    }
    let page = browser.get(PAGE);
    assert!(!page.text().contains("the-secret-of-a-client"));
    assert!(page.text().contains("There is one; it is never shown"));
    assert!(page.text().contains("a=b=owner"), "{}", page.text());

    // An empty secret keeps the old one, and a box that is not ticked says no.
    let fields: Vec<_> = with(&[("client_secret", ""), ("name", "ID")]);
    let fields: Vec<_> = fields
        .into_iter()
        .filter(|(name, _)| *name != "required")
        .collect();
    location(&save(&mut browser, &fields));
    let provider = stored(&server).unwrap();
    assert_eq!(provider["hasClientSecret"], true);
    assert_eq!(provider["required"], false);
    assert_eq!(provider["name"], "ID");
    // But not for another issuer.
    let fields = with(&[
        ("client_secret", ""),
        ("issuer", "https://other.example.com"),
    ]);
    location(&save(&mut browser, &fields));
    assert_eq!(stored(&server).unwrap()["hasClientSecret"], false);

    let page = browser.get(PAGE);
    let answer = browser.submit(&page, "/settings/acme/auth/remove/", &[]);
    assert_eq!(location(&answer), PAGE);
    assert_eq!(stored(&server), None);
}

#[test]
fn what_is_wrong_is_said_and_what_was_typed_stays() {
    let server = Server::start(WORLD);
    let mut browser = owner(&server);
    for (field, value, problem) in [
        (
            "issuer",
            "http://id.example.com",
            "Issuer: The URL must start with https://",
        ),
        ("issuer", "", "Issuer: An issuer is a URL"),
        ("name", "", "Name: A name has 1 to 100 characters."),
        ("client_id", "", "Client id: "),
        (
            "break_glass",
            "",
            "Owners who may sign in with a password: Where single sign-on",
        ),
        (
            "break_glass",
            "bob@example.test",
            "bob@example.test is no owner",
        ),
        ("default_role", "king", "Role: There is no such role."),
        ("groups_claim", "", "Claim with the groups: "),
        ("group_roles", "ops", "Roles by group: "),
        ("group_roles", "ops=king", "Roles by group: "),
        ("domain_roles", "no domain=member", "Roles by domain: "),
    ] {
        let fields = with(&[(field, value), ("scopes", "typed once")]);
        let answer = save(&mut browser, &fields);
        assert_eq!(answer.status, 400, "{field} {value}");
        assert!(answer.text().contains("role=\"alert\""));
        assert!(
            answer.text().contains(problem),
            "{problem} {}",
            answer.text()
        );
        assert!(answer.text().contains("value=\"typed once\""));
    }
    let answer = save(
        &mut browser,
        &with(&[("name", "<script>alert(1)</script>"), ("issuer", "")]),
    );
    assert!(!answer.text().contains("<script"));
    assert_eq!(stored(&server), None);
}

#[test]
fn it_is_for_owners_who_came_just_now_and_in_the_required_way() {
    let server = Server::start(WORLD);
    let mut nobody = Browser::new(server.client());
    let login = "/auth/login/?next=%2Fsettings%2Facme%2Fauth%2F";
    assert_eq!(location(&nobody.get(PAGE)), login);
    let mut bob = Browser::new(server.client());
    bob.sign_in("bob@example.test", "another horse battery staple");
    assert_eq!(bob.get(PAGE).status, 404);
    let account = bob.get("/settings/account/");
    for target in [PAGE, "/settings/acme/auth/remove/"] {
        assert_eq!(bob.forge(&account, target, &FIELDS).status, 404);
    }

    let mut ann = owner(&server);
    assert_eq!(ann.get("/settings/nobody/auth/").status, 404);
    for target in [PAGE, "/settings/acme/auth/remove/"] {
        assert_eq!(
            ann.post(target, &FIELDS).status,
            403,
            "without the page's own field"
        );
    }
    location(&save(&mut ann, &FIELDS));
    // An owner whom the provider must vouch for.
    let mut cat = Browser::new(server.client());
    cat.sign_in("cat@example.test", "a third horse battery staple");
    let to_provider = "/auth/login/acme/?next=%2Fsettings%2Facme%2Fauth%2F";
    assert_eq!(location(&cat.get(PAGE)), to_provider);
    let account = cat.get("/settings/account/");
    let answer = cat.forge(&account, "/settings/acme/auth/remove/", &[]);
    assert_eq!(location(&answer), "/auth/login/acme/");
    assert!(stored(&server).is_some());

    server.advance(15 * 60);
    let answer = ann.get(PAGE);
    assert!(
        location(&answer).starts_with("/auth/verify/"),
        "{}",
        location(&answer)
    );
}

#[test]
fn only_a_superuser_says_whose_addresses_count() {
    let server = Server::start(WORLD);
    let mut browser = owner(&server);
    let trusting = [
        ("trusted_domains", "Example.com"),
        ("trust_unmarked_emails", "1"),
    ];
    location(&save(&mut browser, &with(&trusting)));
    let provider = stored(&server).unwrap();
    assert_eq!(provider["trustedDomains"], json!([]));
    assert_eq!(provider["trustUnmarkedEmails"], false);
    let sql = "UPDATE user SET superuser = 1 WHERE email = 'ann@example.test'";
    server.database().execute(sql, []).unwrap();
    location(&save(&mut browser, &with(&trusting)));
    let provider = stored(&server).unwrap();
    assert_eq!(provider["trustedDomains"], json!(["example.com"]));
    assert_eq!(provider["trustUnmarkedEmails"], true);
    // It stays when somebody else changes something, and goes with the issuer.
    let sql = "UPDATE user SET superuser = 0 WHERE email = 'ann@example.test'";
    server.database().execute(sql, []).unwrap();
    location(&save(
        &mut browser,
        &with(&[("name", "ID"), ("trusted_domains", "evil.test")]),
    ));
    assert_eq!(
        stored(&server).unwrap()["trustedDomains"],
        json!(["example.com"])
    );
    location(&save(
        &mut browser,
        &with(&[("issuer", "https://evil.test")]),
    ));
    assert_eq!(stored(&server).unwrap()["trustedDomains"], json!([]));
}

#[test]
fn an_owner_sets_a_saml_provider_up() {
    let server = Server::start(WORLD);
    let mut browser = owner(&server);
    let page = browser.get("/settings/acme/auth/?kind=saml");
    let prefix = server.url_prefix();
    for part in ["metadata", "acs", "sls"] {
        let url = format!("{prefix}/saml/{part}/acme/");
        assert!(page.text().contains(&url), "{}", page.text());
    }
    let metadata = include_str!("../saml/vectors/metadata_samlp.xml");
    let fields = [
        ("kind", "saml"),
        ("name", "Example ID"),
        ("metadata", metadata),
        ("identifier", "NameID"),
        ("user_email", "mail"),
        ("break_glass", "ann@example.test"),
        ("required", "1"),
        ("default_role", "member"),
        ("groups_claim", "groups"),
    ];
    // It is not the owner's to say whom to trust.
    let more = [&fields[..], &[("trusted_domains", "example.test")]].concat();
    assert_eq!(location(&browser.submit(&page, PAGE, &more)), PAGE);
    let provider = stored(&server).unwrap();
    for (name, value) in [
        ("provider", json!("saml")),
        ("entityId", json!("https://idp.example.test/metadata")),
        (
            "attributes",
            json!({"identifier": "NameID", "userEmail": "mail", "firstName": null, "lastName": null}),
        ),
        ("providerMayBegin", json!(false)),
        ("trustedDomains", json!([])),
    ] {
        assert_eq!(provider[name], value, "{name}");
    }

    // What the page shows then says the same.
    let page = browser.get(PAGE);
    let text = page.text().to_owned();
    assert!(
        text.contains("value=\"https://idp.example.test/metadata\""),
        "{text}"
    );
    assert!(text.contains("-----BEGIN CERTIFICATE-----"), "{text}");
    assert!(text.contains("SHA-256 "), "{text}");
    let certificate = provider["certificates"][0].as_str().unwrap();
    let entered = [
        ("kind", "saml"),
        ("name", "ID"),
        ("entity_id", "https://idp.example.test/metadata"),
        ("sso_url", provider["ssoUrl"].as_str().unwrap()),
        ("certificates", certificate),
        ("identifier", "NameID"),
        ("user_email", "mail"),
        ("provider_may_begin", "1"),
        ("break_glass", "ann@example.test"),
        ("default_role", "member"),
        ("groups_claim", "groups"),
    ];
    location(&browser.submit(&page, PAGE, &entered));
    let changed = stored(&server).unwrap();
    assert_eq!(changed["id"], provider["id"]);
    assert_eq!(changed["sloUrl"], Value::Null);
    assert_eq!(changed["providerMayBegin"], true);

    for (changes, text) in [
        (
            [("certificates", ""), ("name", "ID")],
            "Certificates: At least one certificate",
        ),
        (
            [("metadata", "<a/>"), ("name", "ID")],
            "Metadata: This is not SAML metadata",
        ),
        (
            [("identifier", " "), ("name", "ID")],
            "Attribute with the identifier: This field may not be blank",
        ),
        (
            [("sso_url", "ftp://a"), ("name", "")],
            "Sign-in URL: This URL must start with https://",
        ),
    ] {
        let kept = entered
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
        let fields: Vec<_> = kept.copied().chain(changes).collect();
        let answer = save(&mut browser, &fields);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
        assert!(answer.text().contains("name=\"entity_id\""));
    }
    assert_eq!(stored(&server).unwrap(), changed);
}
