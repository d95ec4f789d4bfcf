//! `O/auth-provider/` (facts/auth-and-tokens.md 9.4).

use serde_json::json;

use super::*;

const PATH: &str = "/api/0/organizations/acme/auth-provider/";

fn body() -> Value {
    json!({
        "name": "Example ID", "issuer": "https://id.example.com/realms/acme", "clientId": "picket",
        "clientSecret": "the-secret-of-a-client", "breakGlass": ["ANN@example.test"],
        "groupRoles": {"operations": "manager"}, "domainRoles": {"Example.com": "admin"},
    })
}

/// Event and data of the newest entries of the audit log, newest first.
fn audit(server: &Server, rows: i64) -> Vec<(String, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare("SELECT event, data FROM audit_entry ORDER BY id DESC LIMIT ?1")
        .unwrap();
    let rows = statement.query_map([rows], |row| {
        let data: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&data).unwrap()))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_provider_is_set_up_changed_and_removed() {
    let server = Server::start(WORLD);
    let owner = server.owner();
    assert_eq!(owner.get(PATH).status, 204);
    let organization = "/api/0/organizations/acme/";
    assert_eq!(owner.get(organization).json()["hasAuthProvider"], false);

    let answer = owner.put_json(PATH, &body());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let prefix = server.url_prefix();
    let expected = json!({
        "id": "1", "provider": "oidc", "name": "Example ID", "issuer": "https://id.example.com/realms/acme",
        "clientId": "picket", "hasClientSecret": true, "scopes": ["profile", "email"], "required": true,
        "defaultRole": "member", "groupsClaim": "groups", "groupRoles": {"operations": "manager"},
        "domainRoles": {"example.com": "admin"}, "trustedDomains": [], "trustUnmarkedEmails": false,
        "breakGlass": ["ann@example.test"], "loginUrl": format!("{prefix}/auth/login/acme/"),
        "callbackUrl": format!("{prefix}/auth/sso/1/"), "signedOutUrl": format!("{prefix}/auth/login/acme/"),
        "dateCreated": "2026-01-02T00:00:00Z",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(owner.get(PATH).json(), expected);
    assert_eq!(owner.get(organization).json()["hasAuthProvider"], true);
    assert_eq!(owner.get(organization).json()["requiresSso"], true);
    let log = audit(&server, 2);
    let data = json!({"provider": "oidc", "issuer": "https://id.example.com/realms/acme"});
    assert_eq!(log[0], ("sso.enable".to_owned(), data));
    let data = json!({"email": "ann@example.test", "break_glass": true});
    assert_eq!(log[1], ("member.edit".to_owned(), data));

    // The same again is no change.
    owner.put_json(PATH, &body());
    assert_eq!(audit(&server, 1)[0].0, "sso.enable");

    let change =
        json!({"name": "ID", "clientSecret": "another-secret", "required": false, "scopes": []});
    let answer = owner.put_json(PATH, &change);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut changed = expected.clone();
    changed["name"] = json!("ID");
    changed["required"] = json!(false);
    changed["scopes"] = json!([]);
    assert_eq!(answer.json(), changed);
    let data = json!({
        "name": "from \"Example ID\" to \"ID\"", "client_secret": "changed", "required": "from true to false",
        "scopes": "from [\"profile\",\"email\"] to []",
    });
    assert_eq!(audit(&server, 1)[0], ("sso.edit".to_owned(), data));
    let answer = owner.put_json(PATH, &json!({"clientSecret": null}));
    assert_eq!(answer.json()["hasClientSecret"], false);
    assert_eq!(owner.get(organization).json()["requiresSso"], false);

    for _ in 0..2 {
        assert_eq!(owner.delete(PATH).status, 204);
        assert_eq!(owner.get(PATH).status, 204);
    }
    let data = json!({"provider": "oidc", "issuer": "https://id.example.com/realms/acme"});
    assert_eq!(audit(&server, 1)[0], ("sso.disable".to_owned(), data));
}

#[test]
fn what_is_wrong_is_named_field_by_field() {
    let server = Server::start(WORLD);
    let owner = server.owner();
    let answer = owner.put_json(PATH, &json!({}));
    assert_eq!(answer.status, 400);
    let errors = answer.json();
    for field in ["issuer", "clientId"] {
        assert_eq!(
            errors[field],
            json!(["This field is required."]),
            "{errors}"
        );
    }
    let role = "operations: \"king\" is no role.";
    for (field, value, text) in [
        ("issuer", json!("http://id.example.com"), "https://"),
        ("issuer", json!("id.example.com"), "https://"),
        ("issuer", json!("https://id.example.com/?a=b"), "without ?"),
        ("issuer", json!(""), "blank"),
        ("issuer", json!(null), "null"),
        ("name", json!("x".repeat(101)), "1 to 100"),
        ("clientId", json!("x".repeat(1_001)), "1 to 1000"),
        ("clientSecret", json!(""), "blank"),
        ("scopes", json!(["a b"]), "word"),
        ("scopes", json!("email"), "Expected a list"),
        ("required", json!("perhaps"), "boolean"),
        ("defaultRole", json!("king"), "not a valid choice"),
        ("groupsClaim", json!(""), "blank"),
        ("groupRoles", json!({"operations": "king"}), role),
        ("groupRoles", json!([]), "dictionary"),
        ("groupRoles", json!({"": "member"}), "Each group"),
        ("domainRoles", json!({"no domain": "member"}), "Each domain"),
        ("breakGlass", json!([]), "at least one owner"),
        ("breakGlass", json!(["bob@example.test"]), "no owner"),
        ("breakGlass", json!("ann@example.test"), "Expected a list"),
        ("trustedDomains", json!(["example.com"]), "Only a superuser"),
        ("trustUnmarkedEmails", json!(true), "Only a superuser"),
    ] {
        let mut wrong = body();
        wrong[field] = value.clone();
        let answer = owner.put_json(PATH, &wrong);
        assert_eq!(answer.status, 400, "{field} {value} {}", answer.text());
        let errors = answer.json();
        assert!(
            errors[field][0].as_str().unwrap_or_default().contains(text),
            "{field} {errors}"
        );
        assert_eq!(errors.as_object().unwrap().len(), 1, "{errors}");
    }
    assert_eq!(owner.get(PATH).status, 204);
}

#[test]
fn an_owner_without_a_password_is_no_way_in() {
    let server = Server::start(WORLD);
    let sql = "UPDATE user SET password_hash = NULL";
    server.database().execute(sql, []).unwrap();
    let answer = server.owner().put_json(PATH, &body());
    assert_eq!(answer.status, 400);
    let text = answer.json()["breakGlass"][0].as_str().unwrap().to_owned();
    assert!(text.contains("sign in with a password"), "{text}");
}

#[test]
fn a_superuser_says_whose_addresses_count() {
    let server = Server::start(WORLD);
    let sql = "UPDATE user SET superuser = 1";
    server.database().execute(sql, []).unwrap();
    let owner = server.owner();
    let mut body = body();
    body["trustedDomains"] = json!(["Example.com"]);
    body["trustUnmarkedEmails"] = json!(true);
    let answer = owner.put_json(PATH, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["trustedDomains"], json!(["example.com"]));
    assert_eq!(answer.json()["trustUnmarkedEmails"], true);
    body["trustedDomains"] = json!(["no domain"]);
    let answer = owner.put_json(PATH, &body);
    assert_eq!(answer.status, 400, "{}", answer.text());

    // Others may repeat it and change what is beside it, but not carry it over to another provider.
    let sql = "UPDATE user SET superuser = 0";
    server.database().execute(sql, []).unwrap();
    body["trustedDomains"] = json!(["example.com"]);
    body["name"] = json!("Another name");
    assert_eq!(owner.put_json(PATH, &body).status, 200);
    let answer = owner.put_json(PATH, &json!({"trustedDomains": []}));
    assert_eq!(answer.status, 400, "{}", answer.text());
    body["issuer"] = json!("https://evil.example.com");
    let answer = owner.put_json(PATH, &body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = owner.put_json(PATH, &json!({"issuer": "https://evil.example.com"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["trustedDomains"], json!([]));
    assert_eq!(answer.json()["trustUnmarkedEmails"], false);
    assert_eq!(answer.json()["hasClientSecret"], false);
}

#[test]
fn nobody_gives_a_role_by_rules_that_they_could_not_give_themselves() {
    let server = Server::start(WORLD);
    let token = "sntryu_0000000000000000000000000000000000000000000000000000000000000009";
    let hash = <sha2::Sha256 as sha2::Digest>::digest(token);
    server
        .database()
        .execute(
            "INSERT INTO auth_token (kind, user_id, name, hash, last_characters, scopes, created_us)
             VALUES ('user', 1, 'x', ?1, '0009', 'org:admin org:integrations org:read org:write', 0)",
            [hash.as_slice()],
        )
        .unwrap();
    let client = server.with_token(token);
    for (field, value) in [
        ("groupRoles", json!({"operations": "owner"})),
        ("domainRoles", json!({"example.com": "manager"})),
        ("defaultRole", json!("admin")),
    ] {
        let mut wanted = body();
        wanted["groupRoles"] = json!({});
        wanted["domainRoles"] = json!({});
        assert_eq!(client.put_json(PATH, &wanted).status, 200);
        wanted[field] = value;
        let answer = client.put_json(PATH, &wanted);
        assert_eq!(answer.status, 400, "{}", answer.text());
        let text = answer.json()["defaultRole"][0].as_str().unwrap().to_owned();
        assert!(text.contains("higher than your own"), "{text}");
    }
}

/// Whoever runs the provider that the rules are handed to decides who gets the roles.
#[test]
fn another_issuer_inherits_no_role_that_the_caller_could_not_give() {
    let server = Server::start(WORLD);
    assert_eq!(server.owner().put_json(PATH, &body()).status, 200);
    let token = "sntryu_0000000000000000000000000000000000000000000000000000000000000009";
    let hash = <sha2::Sha256 as sha2::Digest>::digest(token);
    server
        .database()
        .execute(
            "INSERT INTO auth_token (kind, user_id, name, hash, last_characters, scopes, created_us)
             VALUES ('user', 1, 'x', ?1, '0009', 'org:admin org:integrations org:read org:write', 0)",
            [hash.as_slice()],
        )
        .unwrap();
    let client = server.with_token(token);
    let answer = client.put_json(PATH, &json!({"issuer": "https://evil.example"}));
    assert_eq!(answer.status, 400, "{}", answer.text());
    let text = answer.json()["defaultRole"][0].as_str().unwrap().to_owned();
    assert!(text.contains("higher than your own"), "{text}");
    // What does not touch it goes on.
    assert_eq!(client.put_json(PATH, &json!({"name": "ID"})).status, 200);
}

/// Of npm's `samlp`.
const METADATA: &str = include_str!("../../saml/vectors/metadata_samlp.xml");
const CERTIFICATE: &str = include_str!("../../saml/vectors/idp.crt");

#[test]
fn a_saml_provider_is_set_up_from_its_document_and_changed() {
    let server = Server::start(WORLD);
    let owner = server.owner();
    let body = json!({
        "provider": "saml", "metadata": METADATA, "breakGlass": ["ann@example.test"],
        "attributes": {"identifier": "uid", "lastName": "sn"}, "groupsClaim": "memberOf",
    });
    let answer = owner.put_json(PATH, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let prefix = server.url_prefix();
    let found = answer.json();
    let certificate = found["certificates"][0].as_str().unwrap().to_owned();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let expected = json!({
        "id": "1", "provider": "saml", "name": "single sign-on", "entityId": "https://idp.example.test/metadata",
        "ssoUrl": found["ssoUrl"], "sloUrl": found["sloUrl"], "certificates": [certificate],
        "attributes": {"identifier": "uid", "userEmail": "email", "firstName": null, "lastName": "sn"},
        "providerMayBegin": false, "required": true, "defaultRole": "member", "groupsClaim": "memberOf",
        "groupRoles": {}, "domainRoles": {}, "trustedDomains": [], "trustUnmarkedEmails": false,
        "breakGlass": ["ann@example.test"], "loginUrl": format!("{prefix}/auth/login/acme/"),
        "metadataUrl": format!("{prefix}/saml/metadata/acme/"), "acsUrl": format!("{prefix}/saml/acs/acme/"),
        "slsUrl": format!("{prefix}/saml/sls/acme/"), "dateCreated": "2026-01-02T00:00:00Z",
    });
    assert_eq!(found, expected);
    assert!(
        found["ssoUrl"]
            .as_str()
            .unwrap()
            .starts_with("https://idp.example.test/")
    );
    let data = json!({"provider": "saml", "issuer": "https://idp.example.test/metadata"});
    assert_eq!(audit(&server, 1)[0], ("sso.enable".to_owned(), data));

    // What is read can be written.
    let mut again = found.clone();
    again["dateCreated"] = Value::Null;
    let answer = owner.put_json(PATH, &again);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), expected);
    assert_eq!(audit(&server, 1)[0].0, "sso.enable");

    let change =
        json!({"sloUrl": null, "attributes": {"lastName": null}, "providerMayBegin": true});
    let answer = owner.put_json(PATH, &change);
    let mut changed = expected.clone();
    changed["sloUrl"] = Value::Null;
    changed["attributes"]["lastName"] = Value::Null;
    changed["providerMayBegin"] = json!(true);
    assert_eq!(answer.json(), changed);

    // Another kind is another provider.
    let answer = owner.put_json(PATH, &json!({"provider": "oidc"}));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["issuer"], json!(["This field is required."]));
    let oidc =
        json!({"provider": "oidc", "issuer": "https://id.example.com", "clientId": "picket"});
    let answer = owner.put_json(PATH, &oidc);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["id"], "2");
    assert_eq!(answer.json()["breakGlass"], json!(["ann@example.test"]));
}

#[test]
fn what_is_wrong_with_a_saml_provider_is_told_by_field() {
    let server = Server::start(WORLD);
    let owner = server.owner();
    let refused = |changes: Value| {
        let mut body = json!({
            "provider": "saml", "entityId": "https://id.test/", "ssoUrl": "https://id.test/sso",
            "certificates": [CERTIFICATE], "breakGlass": ["ann@example.test"],
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = owner.put_json(PATH, &body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        answer.json()
    };
    for (field, value, text) in [
        ("provider", json!("ldap"), "\"ldap\" is not a valid choice."),
        (
            "entityId",
            json!("a\nb"),
            "This field may not have line breaks",
        ),
        (
            "ssoUrl",
            json!("http://id.test/sso"),
            "This URL must start with https://",
        ),
        (
            "sloUrl",
            json!("javascript:alert(1)"),
            "This URL must start with https://",
        ),
        (
            "certificates",
            json!([]),
            "At least one certificate is needed",
        ),
        ("certificates", json!(["MII"]), "This is not a certificate"),
        ("metadata", json!("<a/>"), "This is not SAML metadata"),
        ("metadata", json!("<a"), "This cannot be read as XML"),
        (
            "providerMayBegin",
            json!("perhaps"),
            "Must be a valid boolean.",
        ),
    ] {
        let found = refused(json!({ field: value }));
        let told = found[field][0].as_str().unwrap_or_default();
        // A kind that is none is taken for the usual one, whose fields are missing then.
        assert!(told.starts_with(text), "{field}: {found}");
        assert!(
            field == "provider" || found.as_object().unwrap().len() == 1,
            "{found}"
        );
    }
    let found = refused(json!({"attributes": {"identifier": "", "userEmail": 1}}));
    let told = &found["attributes"]["identifier"][0];
    assert_eq!(told, "This field may not be blank.", "{found}");
    let found = refused(json!({"trustedDomains": ["example.test"]}));
    assert!(
        found["trustedDomains"][0]
            .as_str()
            .unwrap()
            .starts_with("Only a superuser")
    );
    let answer = owner.put_json(PATH, &json!({"provider": "saml"}));
    for field in ["entityId", "ssoUrl", "certificates"] {
        assert_eq!(answer.json()[field], json!(["This field is required."]));
    }
    assert_eq!(owner.get(PATH).status, 204);
}
