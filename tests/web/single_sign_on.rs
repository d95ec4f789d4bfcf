//! Single sign-on through an OpenID Connect provider, and what must not get in by it.

use serde_json::{Value, json};

use super::browser_sso::{Browser, hidden, location};
use super::provider::{Asked, CLIENT_ID, CLIENT_SECRET, Key, Provider, Signed, Token};
use crate::support::{Answer, Client, OWNER_TOKEN, Server};

/// Acme, whose owner Ann and member Bob have passwords, and Ops, the operator, who is an owner too.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

  [[organization.project]]
  slug = "web"

[[organization]]
slug = "beta"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner", beta = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "member:admin", "team:admin"]

[[user]]
email = "bob@example.test"
name = "Bob"
password = "another horse battery staple"
roles = { acme = "member", beta = "member" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000002"
  scopes = ["org:read", "project:read"]

[[user]]
email = "ops@example.test"
name = "Ops"
password = "the operator's horse battery"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000003"
  scopes = ["org:admin", "member:admin"]
"#;

const ANN: (&str, &str) = ("ann@example.test", "correct horse battery staple");
const BOB: (&str, &str) = ("bob@example.test", "another horse battery staple");
const BOB_TOKEN: &str = "sntryu_0000000000000000000000000000000000000000000000000000000000000002";
const OPERATOR_TOKEN: &str =
    "sntryu_0000000000000000000000000000000000000000000000000000000000000003";

const AUTH_PROVIDER: &str = "/api/0/organizations/acme/auth-provider/";
const START_PAGE: &str = "/auth/login/acme/sso/";

/// A server whose organization Acme signs in through a provider.
struct World {
    server: Server,
    provider: Provider,
}

impl World {
    /// With fields of the configuration that differ from the usual.
    fn start(changes: Value) -> World {
        let provider = Provider::start();
        let host = provider.host.clone();
        let server = Server::start_with(WORLD, |settings| {
            settings.outbound.internal_hosts = vec![host];
        });
        server
            .database()
            .execute(
                "UPDATE user SET superuser = 1 WHERE email = 'ops@example.test'",
                [],
            )
            .expect("a superuser");
        let world = World { server, provider };
        let mut body = json!({
            "name": "Example ID", "issuer": world.provider.issuer(), "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET, "breakGlass": ["ann@example.test"],
        });
        for (name, value) in changes.as_object().expect("changes") {
            body[name] = value.clone();
        }
        let answer = world.operator().put_json(AUTH_PROVIDER, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        world
    }

    fn operator(&self) -> Client {
        self.server.with_token(OPERATOR_TOKEN)
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.server)
    }

    /// Goes to the provider: what is asked of it.
    fn depart(&self, browser: &mut Browser) -> Asked {
        self.depart_from(browser, START_PAGE)
    }

    fn depart_from(&self, browser: &mut Browser, target: &str) -> Asked {
        let answer = browser.get(target);
        let url = location(&answer);
        let start = format!("{}/authorize?", self.provider.issuer());
        assert!(url.starts_with(&start), "{url}");
        Asked::parse(url)
    }

    /// Comes back from there as somebody.
    fn arrive(
        &self,
        browser: &mut Browser,
        asked: &Asked,
        claims: &Value,
        change: impl FnOnce(&mut Token),
    ) -> Answer {
        let code = self.provider.code(asked, claims, change);
        browser.get(&callback(asked.get("state"), &code))
    }

    fn sign_in(&self, browser: &mut Browser, claims: &Value) -> Answer {
        let asked = self.depart(browser);
        self.arrive(browser, &asked, claims, |_| {})
    }

    /// Who is signed in, by what the API says.
    fn whoami(&self, browser: &Browser) -> Option<String> {
        let answer = self.session(browser)?.get("/api/0/users/me/");
        (answer.status == 200).then(|| answer.json()["email"].as_str().expect("text").to_owned())
    }

    /// A client of the API with the session of a browser.
    fn session(&self, browser: &Browser) -> Option<Client> {
        let session = browser.cookie("sentrysid")?;
        Some(
            self.server
                .client()
                .with_header("Cookie", &format!("sentrysid={session}")),
        )
    }

    fn role(&self, email: &str) -> Option<String> {
        self.server
            .database()
            .query_row(
                "SELECT role FROM member WHERE organization_id = (SELECT id FROM organization WHERE slug = 'acme')
                 AND user_id = (SELECT id FROM user WHERE email = ?1)",
                [email],
                |row| row.get(0),
            )
            .ok()
    }

    fn count(&self, sql: &str) -> i64 {
        self.server
            .database()
            .query_row(sql, [], |row| row.get(0))
            .expect("a count")
    }

    fn audit(&self) -> Vec<(String, Value)> {
        let database = self.server.database();
        let mut statement = database
            .prepare("SELECT event, data FROM audit_entry WHERE organization_id IS NOT NULL ORDER BY id DESC")
            .expect("a log");
        let rows = statement.query_map([], |row| {
            let data: String = row.get(1)?;
            Ok((row.get(0)?, serde_json::from_str(&data).expect("JSON")))
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    }
}

fn callback(state: &str, code: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("code", code)
        .append_pair("state", state)
        .finish();
    format!("/auth/sso/?{query}")
}

fn eve() -> Value {
    json!({ "sub": "eve-1", "email": "eve@elsewhere.test", "email_verified": true, "name": "Eve" })
}

fn bob() -> Value {
    json!({ "sub": "bob-1", "email": "bob@example.test", "email_verified": true, "name": "Robert" })
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(
        answer.text().contains("role=\"alert\""),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains(text), "{}", answer.text());
    let starts_session = answer
        .headers
        .iter()
        .any(|(_, value)| value.starts_with("sentrysid="));
    assert!(!starts_session);
}

#[test]
fn a_newcomer_becomes_a_member_and_signs_out_at_the_provider_too() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let page = browser.get("/auth/login/acme/?next=/settings/account/");
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("Sign in with Example ID"),
        "{}",
        page.text()
    );
    let link = "/auth/login/acme/sso/?next=%2Fsettings%2Faccount%2F";
    assert!(
        page.text().contains(&format!("href=\"{link}\"")),
        "{}",
        page.text()
    );

    let asked = world.depart_from(&mut browser, link);
    assert_eq!(asked.get("client_id"), CLIENT_ID);
    assert_eq!(asked.get("response_type"), "code");
    assert_eq!(asked.get("code_challenge_method"), "S256");
    assert_eq!(asked.get("scope"), "openid profile email");
    let back = format!("{}/auth/sso/", world.server.url_prefix());
    assert_eq!(asked.get("redirect_uri"), back);
    assert!(asked.get("state").len() >= 32 && asked.get("nonce").len() >= 32);

    let answer = world.arrive(&mut browser, &asked, &eve(), |_| {});
    assert_eq!(location(&answer), "/settings/account/");
    assert_eq!(
        world.whoami(&browser).as_deref(),
        Some("eve@elsewhere.test")
    );
    assert_eq!(world.role("eve@elsewhere.test").as_deref(), Some("member"));
    let organization = world
        .session(&browser)
        .unwrap()
        .get("/api/0/organizations/acme/");
    assert_eq!(organization.status, 200, "{}", organization.text());
    let audit = world.audit();
    assert_eq!(audit[0].0, "member.add");
    assert_eq!(audit[1].0, "sso-identity.link");
    assert_eq!(audit[1].1["subject"], "eve-1");

    // Again, in another browser: the same user.
    let mut other = world.browser();
    location(&world.sign_in(&mut other, &eve()));
    assert_eq!(world.count("SELECT count(*) FROM identity"), 1);
    assert_eq!(world.count("SELECT count(*) FROM user"), 4);

    let id_token = browser
        .cookie("picket_id_token")
        .expect("it is kept")
        .to_owned();
    let page = browser.get("/settings/account/");
    let answer = browser.submit(&page, "/auth/logout/", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let url = answer.text().split("content=\"0; url=").nth(1).unwrap();
    let url = url
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    assert!(
        url.starts_with(&format!("{}/leave?", world.provider.issuer())),
        "{url}"
    );
    let asked = Asked::parse(&url);
    assert_eq!(asked.get("id_token_hint"), id_token);
    assert_eq!(asked.get("client_id"), CLIENT_ID);
    let back = format!("{}/auth/login/acme/", world.server.url_prefix());
    assert_eq!(asked.get("post_logout_redirect_uri"), back);
    assert_eq!(browser.cookie("sentrysid"), None);
    assert_eq!(browser.cookie("picket_id_token"), None);
    assert_eq!(
        location(&browser.get("/settings/account/")),
        "/auth/login/?next=%2Fsettings%2Faccount%2F"
    );
}

#[test]
fn a_forged_or_foreign_token_is_refused() {
    type Change = fn(&mut Token);
    let cases: [(&str, Change); 22] = [
        ("signed by another key under the right name", |token| {
            token.signed = Signed::By(Key::Second);
        }),
        ("signed by a key that the provider does not have", |token| {
            token.sign_with(Key::Second)
        }),
        ("not signed", |token| {
            token.header = json!({ "alg": "none", "typ": "JWT" });
            token.signed = Signed::NotAtAll;
        }),
        ("not signed, with the key's name", |token| {
            token.header["alg"] = json!("none");
            token.signed = Signed::NotAtAll;
        }),
        ("without its signature", |token| {
            token.signed = Signed::NotAtAll
        }),
        ("signed with the client's secret", |token| {
            token.header["alg"] = json!("HS256");
            token.signed = Signed::ByShared(CLIENT_SECRET.as_bytes().to_vec());
        }),
        ("signed with the public key as a secret", |token| {
            token.header["alg"] = json!("HS256");
            let key = Key::First.public().to_string();
            token.signed = Signed::ByShared(key.into_bytes());
        }),
        ("of an algorithm that nobody knows", |token| {
            token.header["alg"] = json!("RS257")
        }),
        ("of an algorithm that is not taken", |token| {
            token.header["alg"] = json!("RS512")
        }),
        ("for another client", |token| {
            token.claims["aud"] = json!("other")
        }),
        ("for others too", |token| {
            token.claims["aud"] = json!([CLIENT_ID, "other"])
        }),
        ("for nobody", |token| token.claims["aud"] = json!([])),
        ("made for another party", |token| {
            token.claims["azp"] = json!("other")
        }),
        ("of another issuer", |token| {
            token.claims["iss"] = json!("https://evil.test")
        }),
        ("expired", |token| {
            token.claims["exp"] = json!(token.claims["iat"].as_i64().unwrap() - 1)
        }),
        ("without an end", |token| token.claims["exp"] = Value::Null),
        ("issued long ago", |token| {
            token.claims["iat"] = json!(token.claims["iat"].as_i64().unwrap() - 301);
        }),
        ("issued in the future", |token| {
            token.claims["iat"] = json!(token.claims["iat"].as_i64().unwrap() + 301);
        }),
        ("of another sign-in", |token| {
            token.claims["nonce"] = json!("another nonce")
        }),
        ("of no sign-in", |token| {
            token.claims.as_object_mut().unwrap().remove("nonce");
        }),
        ("of nobody", |token| token.claims["sub"] = json!("")),
        ("with critical extensions", |token| {
            token.header["crit"] = json!(["b64"])
        }),
    ];
    let world = World::start(json!({}));
    for (name, change) in cases {
        println!("{name}");
        let mut browser = world.browser();
        let asked = world.depart(&mut browser);
        let answer = world.arrive(&mut browser, &asked, &eve(), change);
        assert!([403, 503].contains(&answer.status), "{}", answer.text());
        assert_refused(&answer, answer.status, "identity provider");
        assert_eq!(world.count("SELECT count(*) FROM session"), 0);
        assert_eq!(world.count("SELECT count(*) FROM user"), 3);
    }
}

#[test]
fn a_token_of_an_elliptic_curve_is_taken() {
    let world = World::start(json!({}));
    world.provider.set_keys(&[Key::First, Key::Elliptic]);
    let mut browser = world.browser();
    let asked = world.depart(&mut browser);
    let answer = world.arrive(&mut browser, &asked, &eve(), |token| {
        token.sign_with(Key::Elliptic)
    });
    assert_eq!(location(&answer), "/");
}

#[test]
fn a_nonce_serves_once() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let first = world.depart(&mut browser);
    location(&world.arrive(&mut browser, &first, &eve(), |_| {}));
    let second = world.depart(&mut browser);
    let nonce = first.get("nonce").to_owned();
    let answer = world.arrive(&mut browser, &second, &eve(), |token| {
        token.claims["nonce"] = json!(nonce);
    });
    assert_refused(&answer, 403, "not to be trusted");
}

#[test]
fn an_answer_counts_only_in_the_browser_that_asked_and_once() {
    const LAPSED: &str = "begun in another browser";
    let world = World::start(json!({}));
    let mut mallory = world.browser();
    let asked = world.depart(&mut mallory);
    let code = world.provider.code(&asked, &eve(), |_| {});
    let link = callback(asked.get("state"), &code);

    // Somebody follows a link that was laid out for them: neither without a sign-in of their own, nor with one.
    let mut victim = world.browser();
    assert_refused(&victim.get(&link), 400, LAPSED);
    let own = world.depart(&mut victim);
    assert_refused(&victim.get(&link), 400, LAPSED);
    assert_refused(&victim.get(&callback("", &code)), 400, LAPSED);
    assert_refused(&victim.get("/auth/sso/"), 400, LAPSED);
    // Their own state with a code of somebody else's: the provider wants the proof that belongs to the code.
    assert_refused(
        &victim.get(&callback(own.get("state"), &code)),
        403,
        "not to be trusted",
    );
    assert_eq!(world.provider.refusals(), 1);
    assert_eq!(world.count("SELECT count(*) FROM session"), 0);

    let asked = world.depart(&mut mallory);
    let code = world.provider.code(&asked, &eve(), |_| {});
    let link = callback(asked.get("state"), &code);
    location(&mallory.get(&link));
    assert_refused(&mallory.get(&link), 400, LAPSED);
    // A used code with a fresh state.
    let asked = world.depart(&mut mallory);
    let answer = mallory.get(&callback(asked.get("state"), &code));
    assert_refused(&answer, 403, "not to be trusted");

    // Too late.
    let asked = world.depart(&mut mallory);
    let code = world.provider.code(&asked, &eve(), |_| {});
    world.server.advance(600);
    let answer = mallory.get(&callback(asked.get("state"), &code));
    assert_refused(&answer, 400, LAPSED);
}

#[test]
fn a_session_that_was_laid_out_beforehand_is_not_taken_up() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let laid_out = "0".repeat(64);
    browser.set_cookie("sentrysid", &laid_out);
    location(&world.sign_in(&mut browser, &eve()));
    assert_ne!(browser.cookie("sentrysid"), Some(laid_out.as_str()));
    assert!(world.whoami(&browser).is_some());
    browser.set_cookie("sentrysid", &laid_out);
    assert_eq!(world.whoami(&browser), None);
}

#[test]
fn an_answer_of_another_provider_or_a_refusal_signs_nobody_in() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let asked = world.depart(&mut browser);
    let code = world.provider.code(&asked, &eve(), |_| {});
    let link = callback(asked.get("state"), &code);
    let answer = browser.get(&format!("{link}&iss=https%3A%2F%2Fevil.test"));
    assert_refused(&answer, 403, "not to be trusted");

    let asked = world.depart(&mut browser);
    let state = asked.get("state");
    let answer = browser.get(&format!(
        "/auth/sso/?error=access_denied&error_description=%3Cscript%3E&state={state}"
    ));
    assert_refused(&answer, 403, "did not sign you in");
    assert!(answer.text().contains("href=\"/auth/login/acme/\""));
    assert!(!answer.text().contains("<script"));
}

#[test]
fn new_keys_are_asked_for_once_when_a_token_names_one() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    location(&world.sign_in(&mut browser, &eve()));
    assert_eq!(world.provider.key_requests(), 1);

    world.server.advance(60);
    world.provider.set_keys(&[Key::Second]);
    let asked = world.depart(&mut browser);
    let answer = world.arrive(&mut browser, &asked, &eve(), |token| {
        token.sign_with(Key::Second)
    });
    assert_eq!(location(&answer), "/");
    assert_eq!(world.provider.key_requests(), 2);

    // The old key is gone, and whoever goes on with it makes no more requests.
    for _ in 0..3 {
        let asked = world.depart(&mut browser);
        let answer = world.arrive(&mut browser, &asked, &eve(), |_| {});
        assert_refused(&answer, 403, "not to be trusted");
    }
    assert_eq!(world.provider.key_requests(), 2);
    world.server.advance(10);
    let asked = world.depart(&mut browser);
    world.arrive(&mut browser, &asked, &eve(), |_| {});
    assert_eq!(world.provider.key_requests(), 3);
}

#[test]
fn an_account_is_linked_by_itself_only_for_a_trusted_and_checked_address() {
    let trusted = json!({ "trustedDomains": ["Example.test"] });
    let unmarked = json!({ "trustedDomains": ["example.test"], "trustUnmarkedEmails": true });
    let without = |verified: Value| {
        let mut claims = bob();
        claims["email_verified"] = verified;
        claims
    };
    for (config, claims, is_linked) in [
        (&trusted, bob(), true),
        (&trusted, without(json!("true")), true),
        (&trusted, without(json!(false)), false),
        (&trusted, without(Value::Null), false),
        (&unmarked, without(Value::Null), true),
        (&unmarked, without(json!(false)), false),
        (&json!({}), bob(), false),
        (
            &json!({ "trustedDomains": ["elsewhere.test"] }),
            bob(),
            false,
        ),
    ] {
        let world = World::start(config.clone());
        let mut browser = world.browser();
        let answer = world.sign_in(&mut browser, &claims);
        let user = world.whoami(&browser);
        if is_linked {
            assert_eq!(location(&answer), "/");
            assert_eq!(
                user.as_deref(),
                Some("bob@example.test"),
                "{config} {claims}"
            );
        } else {
            assert!(answer.status == 200 || answer.status == 403);
            assert_eq!(user, None, "{config} {claims}");
            assert_eq!(world.count("SELECT count(*) FROM identity"), 0);
        }
        assert_eq!(world.count("SELECT count(*) FROM user"), 3);
    }
}

#[test]
fn a_superuser_is_never_linked_by_somebody_elses_word() {
    let world = World::start(json!({ "trustedDomains": ["example.test"] }));
    let mut browser = world.browser();
    let claims = json!({ "sub": "x", "email": "ops@example.test", "email_verified": true });
    let answer = world.sign_in(&mut browser, &claims);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("You have an account here"));
    assert_eq!(world.whoami(&browser), None);
}

#[test]
fn nobody_comes_new_without_a_checked_address() {
    let world = World::start(json!({}));
    for claims in [
        json!({ "sub": "a", "email": "new@elsewhere.test" }),
        json!({ "sub": "a", "email": "new@elsewhere.test", "email_verified": false }),
        json!({ "sub": "a", "email": "no address", "email_verified": true }),
    ] {
        let answer = world.sign_in(&mut world.browser(), &claims);
        assert_refused(&answer, 403, "checked your email address");
    }
    assert_eq!(world.count("SELECT count(*) FROM user"), 3);
}

#[test]
fn what_a_thin_token_leaves_out_is_asked_for() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    world.provider.set_user_info(
        json!({ "sub": "other", "email": "eve@elsewhere.test", "email_verified": true }),
    );
    let answer = world.sign_in(&mut browser, &json!({ "sub": "eve-1" }));
    assert_refused(&answer, 403, "not to be trusted");
    world.provider.set_user_info(eve());
    location(&world.sign_in(&mut browser, &json!({ "sub": "eve-1" })));
    assert_eq!(
        world.whoami(&browser).as_deref(),
        Some("eve@elsewhere.test")
    );
}

#[test]
fn somebody_who_is_signed_in_links_their_account_with_the_password() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    // First without being signed in: the page says what to do.
    let answer = world.sign_in(&mut browser, &bob());
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("You have an account here"),
        "{}",
        answer.text()
    );
    assert!(
        answer
            .text()
            .contains("/auth/login/?next=%2Fauth%2Flogin%2Facme%2Fsso%2F")
    );

    browser.sign_in(BOB.0, BOB.1);
    let before = browser.cookie("sentrysid").unwrap().to_owned();
    let page = world.sign_in(&mut browser, &bob());
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Link your account"), "{}", page.text());
    let offer = hidden(&page, "offer");

    let target = "/auth/sso/link/";
    let fields = [("offer", offer.as_str()), ("password", BOB.1)];
    assert_eq!(
        browser.post(target, &fields).status,
        403,
        "without the page's own field"
    );
    let wrong = [("offer", offer.as_str()), ("password", "wrong")];
    assert_refused(
        &browser.submit(&page, target, &wrong),
        400,
        "password is not right",
    );
    // An offer to somebody else.
    let mut ann = world.browser();
    ann.sign_in(ANN.0, ANN.1);
    let own_page = ann.get("/settings/account/");
    let stolen = [("offer", offer.as_str()), ("password", ANN.1)];
    assert_refused(&ann.submit(&own_page, target, &stolen), 400, "is over");
    assert_eq!(world.count("SELECT count(*) FROM identity"), 0);

    let answer = browser.submit(&page, target, &fields);
    assert_eq!(location(&answer), "/");
    assert_ne!(browser.cookie("sentrysid").unwrap(), before);
    let page = browser.get("/settings/account/");
    assert_refused(&browser.submit(&page, target, &fields), 400, "is over");
    let mut fresh = world.browser();
    location(&world.sign_in(&mut fresh, &bob()));
    assert_eq!(world.whoami(&fresh).as_deref(), Some("bob@example.test"));
}

#[test]
fn who_has_no_password_links_their_account_when_they_came_just_now() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    location(&world.sign_in(&mut browser, &eve()));
    let other = json!({ "sub": "eve-2", "email": "eve@elsewhere.test", "email_verified": true });
    let page = world.sign_in(&mut browser, &other);
    assert!(
        !page.text().contains("type=\"password\""),
        "{}",
        page.text()
    );
    let offer = hidden(&page, "offer");
    let fields = [("offer", offer.as_str())];
    location(&browser.submit(&page, "/auth/sso/link/", &fields));
    let (event, data) = world.audit().remove(0);
    assert_eq!(event, "sso-identity.link");
    assert_eq!(data["subject"], "eve-2");

    world.server.advance(15 * 60);
    let asked = world.depart(&mut browser);
    let page = world.arrive(&mut browser, &asked, &eve(), |token| {
        for name in ["iat", "exp"] {
            token.claims[name] = json!(token.claims[name].as_i64().unwrap() + 15 * 60);
        }
    });
    let offer = hidden(&page, "offer");
    let fields = [("offer", offer.as_str())];
    let answer = browser.submit(&page, "/auth/sso/link/", &fields);
    assert_refused(&answer, 400, "too long ago");
}

#[test]
fn a_switched_off_account_does_not_come_in() {
    let world = World::start(json!({ "trustedDomains": ["example.test"] }));
    let off = "UPDATE user SET active = 0 WHERE email = 'bob@example.test'";
    world.server.database().execute(off, []).unwrap();
    let answer = world.sign_in(&mut world.browser(), &bob());
    assert_refused(&answer, 403, "switched off");
    let on = "UPDATE user SET active = 1 WHERE email = 'bob@example.test'";
    world.server.database().execute(on, []).unwrap();
    let mut browser = world.browser();
    location(&world.sign_in(&mut browser, &bob()));
    world.server.database().execute(off, []).unwrap();
    assert_eq!(world.whoami(&browser), None);
    let answer = world.sign_in(&mut world.browser(), &bob());
    assert_refused(&answer, 403, "switched off");
}

#[test]
fn a_members_session_is_of_no_use_until_the_provider_vouches() {
    let world = World::start(json!({ "trustedDomains": ["example.test"] }));
    let mut browser = world.browser();
    browser.sign_in(BOB.0, BOB.1);
    let session = world.session(&browser).unwrap();
    for path in ["/api/0/organizations/acme/", "/api/0/projects/acme/web/"] {
        let answer = session.get(path);
        assert_eq!(answer.status, 401, "{path}");
        let expected = json!({ "detail": {
            "code": "sso-required", "message": "Must login via SSO",
            "extra": { "loginUrl": "/auth/login/acme/" },
        } });
        assert_eq!(answer.json(), expected, "{path}");
    }
    assert_eq!(session.get("/api/0/organizations/beta/").status, 200);
    assert_eq!(session.get("/api/0/users/me/").status, 200);
    // Tokens are not asked.
    let token = world.server.with_token(BOB_TOKEN);
    assert_eq!(token.get("/api/0/organizations/acme/").status, 200);
    // Nor is an owner who may come in without.
    let mut ann = world.browser();
    ann.sign_in(ANN.0, ANN.1);
    let session = world.session(&ann).unwrap();
    assert_eq!(session.get("/api/0/organizations/acme/").status, 200);
    // Who is no member is told nothing else than before.
    let mut ops = world.browser();
    ops.sign_in("ops@example.test", "the operator's horse battery");
    let session = world.session(&ops).unwrap();
    assert_eq!(session.get("/api/0/organizations/beta/").status, 403);
    assert_eq!(session.get("/api/0/organizations/acme/").status, 401);

    location(&world.sign_in(&mut browser, &bob()));
    let session = world.session(&browser).unwrap();
    assert_eq!(session.get("/api/0/organizations/acme/").status, 200);
    // For less than a day.
    world.server.advance(20 * 3_600 - 1);
    assert_eq!(session.get("/api/0/organizations/acme/").status, 200);
    world.server.advance(1);
    assert_eq!(session.get("/api/0/organizations/acme/").status, 401);
    assert_eq!(session.get("/api/0/organizations/beta/").status, 200);

    // Not where it is only offered.
    let answer = world
        .operator()
        .put_json(AUTH_PROVIDER, &json!({ "required": false }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(session.get("/api/0/organizations/acme/").status, 200);
}

#[test]
fn an_owner_who_is_demoted_must_come_through_the_provider() {
    let world = World::start(json!({}));
    let mut ann = world.browser();
    ann.sign_in(ANN.0, ANN.1);
    let session = world.session(&ann).unwrap();
    assert_eq!(session.get("/api/0/organizations/acme/").status, 200);
    let demote = "UPDATE member SET role = 'manager' WHERE user_id =
                  (SELECT id FROM user WHERE email = 'ann@example.test')";
    world.server.database().execute(demote, []).unwrap();
    assert_eq!(session.get("/api/0/organizations/acme/").status, 401);
}

#[test]
fn after_signing_in_nobody_is_led_to_elsewhere() {
    let world = World::start(json!({}));
    for bad in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
    ] {
        let mut browser = world.browser();
        let next: String = form_urlencoded::byte_serialize(bad.as_bytes()).collect();
        let page = browser.get(&format!("/auth/login/acme/?next={next}"));
        assert!(!page.text().contains("evil"), "{}", page.text());
        let target = format!("{START_PAGE}?next={next}");
        let asked = world.depart_from(&mut browser, &target);
        let answer = world.arrive(&mut browser, &asked, &eve(), |_| {});
        assert_eq!(location(&answer), "/", "{bad}");
    }
    // Nor by the page of an organization that has no single sign-on, or is not there.
    for slug in ["beta", "nobody"] {
        for page in ["", "sso/"] {
            let answer = world
                .browser()
                .get(&format!("/auth/login/{slug}/{page}?next=//evil.test/"));
            assert_eq!(location(&answer), "/auth/login/?next=%2F");
        }
    }
}

#[test]
fn a_provider_that_is_down_is_a_plain_page() {
    const DOWN: &str = "cannot be reached";
    let world = World::start(json!({}));
    let mut browser = world.browser();
    world.provider.set_down(true);
    assert_refused(&browser.get(START_PAGE), 503, DOWN);
    // It is left alone for a moment, and then asked again.
    world.provider.set_down(false);
    assert_refused(&browser.get(START_PAGE), 503, DOWN);
    world.server.advance(10);
    let asked = world.depart(&mut browser);
    let code = world.provider.code(&asked, &eve(), |_| {});
    world.provider.set_down(true);
    let answer = browser.get(&callback(asked.get("state"), &code));
    assert_refused(&answer, 503, DOWN);
    // Whoever signs out meanwhile is signed out here.
    world.provider.set_down(false);
    location(&world.sign_in(&mut browser, &eve()));
    world.provider.set_down(true);
    world.server.advance(86_400);
    let page = browser.get("/settings/account/");
    let answer = browser.submit(&page, "/auth/logout/", &[]);
    assert_eq!(location(&answer), "/auth/login/acme/");
    assert_eq!(browser.cookie("sentrysid"), None);
}

#[test]
fn a_provider_in_the_private_network_is_not_asked_unless_the_operator_says_so() {
    let provider = Provider::start();
    let server = Server::start(WORLD);
    let owner = server.owner();
    let body =
        json!({ "issuer": provider.issuer(), "clientId": "x", "breakGlass": ["ann@example.test"] });
    let answer = owner.put_json(AUTH_PROVIDER, &body);
    assert_eq!(answer.status, 400);
    let text = answer.json()["issuer"][0].as_str().unwrap().to_owned();
    assert!(text.contains("outbound-internal-hosts"), "{text}");
    let port = provider.host.split(':').nth(1).unwrap();
    for host in ["localhost", "127.0.0.1", "[::1]", "2130706433"] {
        let mut body = body.clone();
        body["issuer"] = json!(format!("https://{host}:{port}"));
        assert_eq!(owner.put_json(AUTH_PROVIDER, &body).status, 200);
        let answer = Browser::new(&server).get(START_PAGE);
        assert_refused(&answer, 503, "cannot be reached");
    }
    assert_eq!(provider.key_requests(), 0);
}

#[test]
fn roles_follow_the_rules_at_every_sign_in() {
    let world = World::start(json!({
        "groupRoles": { "operations": "manager", "board": "owner" },
        "domainRoles": { "elsewhere.test": "admin" },
        "trustedDomains": ["example.test"],
    }));
    let with = |mut claims: Value, groups: Value| {
        claims["groups"] = groups;
        claims
    };
    let role_of = |claims: &Value| {
        location(&world.sign_in(&mut world.browser(), claims));
        world.role(claims["email"].as_str().unwrap()).unwrap()
    };
    assert_eq!(role_of(&eve()), "admin");
    assert_eq!(
        role_of(&with(eve(), json!(["operations", "staff"]))),
        "manager"
    );
    assert_eq!(role_of(&with(eve(), json!("operations"))), "manager");
    assert_eq!(role_of(&with(eve(), json!(["Operations"]))), "admin");
    assert_eq!(role_of(&with(bob(), json!(["board"]))), "owner");
    assert_eq!(role_of(&with(bob(), json!([]))), "member");
    // Who may come in without the provider keeps the role, whatever it says.
    let ann = json!({ "sub": "ann-1", "email": "ann@example.test", "email_verified": true, "groups": [] });
    assert_eq!(role_of(&ann), "owner");
}

#[test]
fn an_invitation_keeps_its_role_where_there_are_no_rules() {
    let world = World::start(json!({}));
    let body = json!({ "email": "eve@elsewhere.test", "role": "manager" });
    let answer = world
        .server
        .with_token(OWNER_TOKEN)
        .post_json("/api/0/organizations/acme/members/", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    location(&world.sign_in(&mut world.browser(), &eve()));
    assert_eq!(world.role("eve@elsewhere.test").as_deref(), Some("manager"));
    assert_eq!(
        world.count("SELECT count(*) FROM member WHERE email IS NOT NULL"),
        0
    );
}

#[test]
fn another_issuer_is_another_provider() {
    let world = World::start(json!({ "trustedDomains": ["example.test"] }));
    let mut browser = world.browser();
    location(&world.sign_in(&mut browser, &bob()));
    assert_eq!(
        world
            .session(&browser)
            .unwrap()
            .get("/api/0/organizations/acme/")
            .status,
        200
    );

    let mallory = Provider::start();
    let owner = world.server.with_token(OWNER_TOKEN);
    let body = json!({ "issuer": format!("https://{}", mallory.host) });
    let answer = owner.put_json(AUTH_PROVIDER, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["trustedDomains"], json!([]));
    assert_eq!(answer.json()["hasClientSecret"], false);
    assert_eq!(world.count("SELECT count(*) FROM identity"), 0);
    assert_eq!(
        world
            .session(&browser)
            .unwrap()
            .get("/api/0/organizations/acme/")
            .status,
        401
    );
}

#[test]
fn with_the_organization_goes_its_provider() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    location(&world.sign_in(&mut browser, &eve()));
    let asked = world.depart(&mut browser);
    let code = world.provider.code(&asked, &eve(), |_| {});
    assert_eq!(
        world.operator().delete("/api/0/organizations/acme/").status,
        202
    );
    let answer = browser.get(&callback(asked.get("state"), &code));
    assert_refused(&answer, 400, "is over");
    assert_eq!(location(&browser.get(START_PAGE)), "/auth/login/?next=%2F");
    let rest = "SELECT (SELECT count(*) FROM identity) + (SELECT count(*) FROM identity_provider)";
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.count(rest) > 0 {
        assert!(std::time::Instant::now() < until, "it is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The user stays, and is signed in.
    assert_eq!(
        world.whoami(&browser).as_deref(),
        Some("eve@elsewhere.test")
    );
}

#[test]
fn what_is_kept_holds_no_proof_that_could_be_used_again() {
    let mut world = World::start(json!({}));
    let mut browser = world.browser();
    let asked = world.depart(&mut browser);
    let code = world.provider.code(&asked, &eve(), |_| {});
    location(&browser.get(&callback(asked.get("state"), &code)));
    let id_token = browser.cookie("picket_id_token").unwrap();
    let session = browser.cookie("sentrysid").unwrap();
    let binding = browser.cookie("picket_sso").unwrap();
    world.server.stop();
    let file = std::fs::read(world.server.file()).unwrap();
    let secrets = [
        session,
        binding,
        &code,
        asked.get("state"),
        asked.get("nonce"),
        id_token,
    ];
    for secret in secrets {
        let is_there = file
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!is_there, "{secret}");
    }
}
