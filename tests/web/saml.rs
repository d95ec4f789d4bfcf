//! Single sign-on through a SAML provider, and what must not get in by it. What is wrong with a message is tested beside
//! the code that reads it (`src/identity/saml`); here, that the door holds what that code says.

use std::io::{Read, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use picket::{Timestamp, UrlPrefix};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::browser::{Browser, location};
use super::provider::Key;
use crate::support::{Answer, OWNER_TOKEN, START, Server};

const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme"

[[organization]]
slug = "beta"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "member:admin"]

[[user]]
email = "bob@example.test"
name = "Bob"
password = "another horse battery staple"
roles = { acme = "member" }

[[user]]
email = "ops@example.test"
password = "the operator's horse battery"
roles = { acme = "owner" }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000003"
  scopes = ["org:admin", "member:admin"]
"#;

const OPERATOR_TOKEN: &str =
    "sntryu_0000000000000000000000000000000000000000000000000000000000000003";
const AUTH_PROVIDER: &str = "/api/0/organizations/acme/auth-provider/";
const ACS: &str = "/saml/acs/acme/";
const IDP: &str = "https://idp.example.test/metadata";
const SSO: &str = "https://idp.example.test/sso";
const SLO: &str = "https://idp.example.test/slo";

const FIRST_CERTIFICATE: &str = include_str!("keys/first.crt");
const SECOND_CERTIFICATE: &str = include_str!("keys/second.crt");

const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

/// A server whose organization Acme signs in through a SAML provider, which the operator trusts with `example.test`.
struct World {
    server: Server,
}

impl World {
    /// With fields of the configuration that differ from the usual.
    fn start(changes: Value) -> World {
        World::start_at(None, changes)
    }

    fn start_at(prefix: Option<&str>, changes: Value) -> World {
        let server = Server::start_with(WORLD, |settings| {
            if let Some(prefix) = prefix {
                settings.url_prefix = Some(UrlPrefix::parse(prefix).expect("a prefix"));
            }
        });
        server
            .database()
            .execute(
                "UPDATE user SET superuser = 1 WHERE email = 'ops@example.test'",
                [],
            )
            .expect("a superuser");
        let mut body = json!({
            "provider": "saml", "name": "Example ID", "entityId": IDP, "ssoUrl": SSO, "sloUrl": SLO,
            "certificates": [FIRST_CERTIFICATE], "breakGlass": ["ann@example.test"],
            "attributes": {"identifier": "uid", "userEmail": "email", "firstName": "first"},
            "trustedDomains": ["example.test"],
        });
        for (name, value) in changes.as_object().expect("changes") {
            body[name] = value.clone();
        }
        let answer = server
            .with_token(OPERATOR_TOKEN)
            .put_json(AUTH_PROVIDER, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        World { server }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.server.client())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url_prefix())
    }

    /// Goes to the provider: the id of the request.
    fn depart(&self, browser: &mut Browser) -> String {
        self.depart_from(browser, "/auth/login/acme/sso/")
    }

    fn depart_from(&self, browser: &mut Browser, page: &str) -> String {
        let answer = browser.get(page);
        let url = location(&answer);
        assert!(url.starts_with(&format!("{SSO}?SAMLRequest=")), "{url}");
        id_of(&unpacked(url, "SAMLRequest"))
    }

    /// An answer of the provider to a request, good unless it is changed.
    fn said(&self, request: Option<&str>) -> Said {
        Said {
            key: Key::First,
            request: request.map(str::to_owned),
            id: format!("_{:032x}", rand::random::<u128>()),
            issuer: IDP.to_owned(),
            destination: self.url(ACS),
            recipient: self.url(ACS),
            audience: self.url("/saml/metadata/acme/"),
            now: self.server.clock.now(),
            uid: "u-17".to_owned(),
            email: "bob@example.test".to_owned(),
            index: "_session1".to_owned(),
            ends: None,
        }
    }

    /// Brings a message as a browser does: posted by another site's page, so without cookies, and then fetched.
    fn bring(&self, browser: &mut Browser, xml: &str, relay_state: &str) -> Answer {
        let target = self.post(xml, relay_state);
        browser.get(&target)
    }

    /// Where a message that was posted waits.
    fn post(&self, xml: &str, relay_state: &str) -> String {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("SAMLResponse", &STANDARD.encode(xml))
            .append_pair("RelayState", relay_state)
            .finish();
        let answer = self
            .server
            .client()
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .with_header("Origin", "https://idp.example.test")
            .post(ACS, body.as_bytes());
        // The browser has its cookies and did not send them along: none of them may be replaced.
        assert_eq!(answer.header("Set-Cookie"), None);
        let target = location(&answer).to_owned();
        assert!(target.starts_with(ACS), "{target}");
        target
    }

    fn sign_in(&self, browser: &mut Browser) -> Answer {
        let request = self.depart(browser);
        let answer = self.bring(browser, &self.said(Some(&request)).xml(), "");
        assert_eq!(location(&answer), "/");
        answer
    }

    /// Who is signed in, by what the API says.
    fn whoami(&self, browser: &Browser) -> Option<String> {
        let client = self.server.client();
        let cookie = format!("sentrysid={}", browser.cookie("sentrysid")?);
        let answer = client
            .with_header("Cookie", &cookie)
            .get("/api/0/users/me/");
        (answer.status == 200).then(|| answer.json()["email"].as_str().expect("text").to_owned())
    }

    fn count(&self, query: &str) -> i64 {
        let database = self.server.database();
        database
            .query_row(query, [], |row| row.get(0))
            .expect("a number")
    }

    /// The provider says something about signing out, in a URL.
    fn sls(&self, kind: &str, xml: &str, relay_state: Option<&str>, key: Option<Key>) -> String {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(xml.as_bytes()).expect("packed");
        let packed = STANDARD.encode(encoder.finish().expect("packed"));
        let mut query = format!("{kind}={}", encoded(&packed));
        if let Some(relay_state) = relay_state {
            query += &format!("&RelayState={}", encoded(relay_state));
        }
        if let Some(key) = key {
            query += &format!("&SigAlg={}", encoded(RSA_SHA256));
            let value = STANDARD.encode(key.sign(query.as_bytes()));
            query += &format!("&Signature={}", encoded(&value));
        }
        format!("/saml/sls/acme/?{query}")
    }

    fn logout_request(&self, id: &str, name: &str, index: &str) -> String {
        let (now, sls) = (self.server.clock.now(), self.url("/saml/sls/acme/"));
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" Version=\"2.0\" \
             IssueInstant=\"{now}\" Destination=\"{sls}\"><saml:Issuer>{IDP}</saml:Issuer><saml:NameID \
             Format=\"{EMAIL_FORMAT}\">{name}</saml:NameID><samlp:SessionIndex>{index}</samlp:SessionIndex>\
             </samlp:LogoutRequest>"
        )
    }

    fn logout_response(&self, request: &str, inner: &str) -> String {
        let (now, sls) = (self.server.clock.now(), self.url("/saml/sls/acme/"));
        format!(
            "<samlp:LogoutResponse xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"_r\" Version=\"2.0\" \
             IssueInstant=\"{now}\" Destination=\"{sls}\" InResponseTo=\"{request}\"><saml:Issuer>{IDP}</saml:Issuer>\
             <samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\">{inner}\
             </samlp:StatusCode></samlp:Status></samlp:LogoutResponse>"
        )
    }
}

/// What the provider says of somebody.
struct Said {
    key: Key,
    request: Option<String>,
    id: String,
    issuer: String,
    destination: String,
    recipient: String,
    audience: String,
    now: Timestamp,
    uid: String,
    email: String,
    index: String,
    ends: Option<Timestamp>,
}

impl Said {
    fn with(mut self, change: impl FnOnce(&mut Said)) -> Said {
        change(&mut self);
        self
    }

    /// The assertion in canonical form, with something behind its issuer.
    fn assertion(&self, signature: &str) -> String {
        let Said {
            id,
            issuer,
            recipient,
            audience,
            now,
            uid,
            email,
            index,
            ..
        } = self;
        let (begins, ends) = (now.plus_secs(-30), now.plus_secs(240));
        let asked = match &self.request {
            Some(request) => format!(" InResponseTo=\"{request}\""),
            None => String::new(),
        };
        let session_ends = match self.ends {
            Some(ends) => format!(" SessionNotOnOrAfter=\"{ends}\""),
            None => String::new(),
        };
        let attribute = |name: &str, value: &str| {
            format!(
                "<saml:Attribute Name=\"{name}\"><saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"
            )
        };
        let attributes = [("uid", uid.as_str()), ("email", email), ("first", "Bob")]
            .map(|(name, value)| attribute(name, value))
            .concat();
        format!(
            "<saml:Assertion xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" IssueInstant=\"{now}\" Version=\"2.0\">\
             <saml:Issuer>{issuer}</saml:Issuer>{signature}<saml:Subject><saml:NameID Format=\"{EMAIL_FORMAT}\">{email}\
             </saml:NameID><saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData{asked} NotOnOrAfter=\"{ends}\" Recipient=\"{recipient}\">\
             </saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject><saml:Conditions \
             NotBefore=\"{begins}\" NotOnOrAfter=\"{ends}\"><saml:AudienceRestriction><saml:Audience>{audience}\
             </saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant=\"{now}\" \
             SessionIndex=\"{index}\"{session_ends}><saml:AuthnContext><saml:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>\
             </saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"
        )
    }

    fn signature(&self) -> String {
        let digest = STANDARD.encode(Sha256::digest(self.assertion("")));
        let id = &self.id;
        let info = |namespace: &str| {
            format!(
                "<ds:SignedInfo{namespace}><ds:CanonicalizationMethod \
                 Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:CanonicalizationMethod>\
                 <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"></ds:SignatureMethod><ds:Reference URI=\"#{id}\">\
                 <ds:Transforms><ds:Transform Algorithm=\"{DSIG}enveloped-signature\"></ds:Transform><ds:Transform \
                 Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform></ds:Transforms>\
                 <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
                 <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
            )
        };
        let canonical = info(&format!(" xmlns:ds=\"{DSIG}\""));
        let value = STANDARD.encode(self.key.sign(canonical.as_bytes()));
        format!(
            "<ds:Signature xmlns:ds=\"{DSIG}\">{}<ds:SignatureValue>{value}</ds:SignatureValue></ds:Signature>",
            info("")
        )
    }

    fn xml(&self) -> String {
        self.around(&self.assertion(&self.signature()))
    }

    fn around(&self, assertions: &str) -> String {
        let Said {
            issuer,
            destination,
            now,
            ..
        } = self;
        let asked = match &self.request {
            Some(request) => format!(" InResponseTo=\"{request}\""),
            None => String::new(),
        };
        format!(
            "<samlp:Response xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"_response\" Version=\"2.0\" \
             IssueInstant=\"{now}\" Destination=\"{destination}\"{asked}><saml:Issuer>{issuer}</saml:Issuer>\
             <samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>\
             {assertions}</samlp:Response>"
        )
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A parameter of a URL.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let found = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name);
    let (_, value) = found?;
    Some(
        percent_decode_str(value)
            .decode_utf8()
            .expect("text")
            .into(),
    )
}

/// A message of ours in a URL.
#[track_caller]
fn unpacked(url: &str, kind: &str) -> String {
    let packed = parameter(url, kind).unwrap_or_else(|| panic!("no {kind} in {url}"));
    let bytes = STANDARD.decode(packed).expect("base64");
    let mut xml = String::new();
    DeflateDecoder::new(&bytes[..])
        .read_to_string(&mut xml)
        .expect("packed");
    xml
}

fn id_of(xml: &str) -> String {
    let rest = xml.split(" ID=\"").nth(1).expect("an id");
    rest.split('"').next().expect("an id").to_owned()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(text), "{}", answer.text());
}

#[test]
fn our_metadata_is_there_before_there_is_a_provider() {
    let server = Server::start(WORLD);
    let answer = server.client().get("/saml/metadata/acme/");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Content-Type"),
        Some("text/xml; charset=utf-8")
    );
    let prefix = server.url_prefix();
    for part in [
        format!("entityID=\"{prefix}/saml/metadata/acme/\""),
        format!("Location=\"{prefix}/saml/acs/acme/\""),
        format!("Location=\"{prefix}/saml/sls/acme/\""),
    ] {
        assert!(answer.text().contains(&part), "{}", answer.text());
    }
    for path in ["metadata", "sls", "acs"] {
        let answer = server.client().get(&format!("/saml/{path}/nobody/"));
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(server.client().post("/saml/acs/nobody/", b"").status, 404);
}

#[test]
fn without_a_saml_provider_nothing_is_taken() {
    let server = Server::start(WORLD);
    let mut browser = Browser::new(server.client());
    let fields = [("SAMLResponse", "PHg+"), ("RelayState", "/")];
    assert_eq!(location(&browser.post(ACS, &fields)), ACS);
    assert_refused(&browser.get(ACS), 400, "This sign-in is over");
    let answer = browser.get("/saml/sls/acme/?SAMLRequest=x");
    assert_refused(&answer, 400, "This sign-in is over");
}

#[test]
fn somebody_whom_the_provider_vouches_for_signs_in() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let page = "/auth/login/acme/sso/?next=%2Fsettings%2Faccount%2F";
    let request = world.depart_from(&mut browser, page);
    // Where to go was said before, and is not for the provider to say.
    let xml = world.said(Some(&request)).xml();
    let answer = world.bring(&mut browser, &xml, "https://evil.test/");
    assert_eq!(location(&answer), "/settings/account/");
    assert_eq!(world.whoami(&browser).as_deref(), Some("bob@example.test"));

    // Somebody new gets an account; the address may change after that.
    let mut newcomer = world.browser();
    for email in ["new@example.test", "other@elsewhere.test"] {
        let request = world.depart(&mut newcomer);
        let said = world.said(Some(&request)).with(|said| {
            said.uid = "u-18".to_owned();
            said.email = email.to_owned();
        });
        assert_eq!(location(&world.bring(&mut newcomer, &said.xml(), "")), "/");
        assert_eq!(world.whoami(&newcomer).as_deref(), Some("new@example.test"));
    }
    assert_eq!(world.count("SELECT count(*) FROM user"), 4);
    assert_eq!(
        world.count("SELECT count(*) FROM user WHERE name = 'Bob' AND email = 'new@example.test'"),
        1
    );
}

#[test]
fn an_answer_counts_once() {
    let world = World::start(json!({"providerMayBegin": true}));
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let xml = world.said(Some(&request)).xml();
    let target = world.post(&xml, "");
    assert_eq!(location(&browser.get(&target)), "/");
    assert_refused(&browser.get(&target), 400, "This sign-in is over");
    let again = world.bring(&mut browser, &xml, "");
    assert_refused(&again, 403, "did not begin in this browser");

    let unasked = world.said(None).xml();
    let mut other = world.browser();
    assert_eq!(location(&world.bring(&mut other, &unasked, "")), "/");
    let mut third = world.browser();
    let again = world.bring(&mut third, &unasked, "");
    assert_refused(&again, 403, "This message was used before");
    assert_eq!(world.whoami(&third), None);
    assert_eq!(world.count("SELECT count(*) FROM saml_message"), 2);
}

#[test]
fn an_answer_counts_only_where_its_question_was_asked() {
    let world = World::start(json!({}));
    let (mut mallory, mut victim) = (world.browser(), world.browser());
    let request = world.depart(&mut mallory);
    let target = world.post(&world.said(Some(&request)).xml(), "");
    // The victim is led to it, with and without a sign-in of their own under way.
    let answer = victim.get(&target);
    assert_refused(&answer, 403, "did not begin in this browser");
    world.depart(&mut victim);
    let target = world.post(&world.said(Some(&request)).xml(), "");
    let answer = victim.get(&target);
    assert_refused(&answer, 403, "did not begin in this browser");
    let answer = world.bring(&mut victim, &world.said(None).xml(), "");
    assert_refused(&answer, 403, "Sign-in must begin here");
    assert_eq!(world.whoami(&victim), None);

    // Nobody finds what waits, and nothing waits for long.
    let answer = mallory.get(&format!("{ACS}?answer={}", "0".repeat(64)));
    assert_refused(&answer, 400, "This sign-in is over");
    let target = world.post(&world.said(Some(&request)).xml(), "");
    world.server.advance(60);
    assert_refused(&mallory.get(&target), 400, "This sign-in is over");
    let request = world.depart(&mut mallory);
    world.server.advance(600);
    let answer = world.bring(&mut mallory, &world.said(Some(&request)).xml(), "");
    assert_refused(&answer, 403, "began too long ago");
}

#[test]
fn where_the_provider_may_begin_it_leads_nowhere_else() {
    let world = World::start(json!({"providerMayBegin": true}));
    for (relay_state, next) in [
        ("", "/"),
        ("/settings/account/", "/settings/account/"),
        ("https://evil.test/", "/"),
        ("//evil.test/", "/"),
        ("/\\evil.test/", "/"),
        ("/\t/evil.test/", "/"),
    ] {
        let mut browser = world.browser();
        let answer = world.bring(&mut browser, &world.said(None).xml(), relay_state);
        assert_eq!(location(&answer), next, "{relay_state}");
        assert_eq!(world.whoami(&browser).as_deref(), Some("bob@example.test"));
    }
}

#[test]
fn a_message_that_is_not_as_it_must_be_signs_nobody_in() {
    let world = World::start(json!({}));
    type Made = fn(&World, Said) -> String;
    let tries: [(&str, Made); 12] = [
        ("is meant for another application", |_, said| {
            said.with(|said| said.audience += "x").xml()
        }),
        ("is meant for another address", |_, said| {
            said.with(|said| said.recipient += "x").xml()
        }),
        ("is meant for another address", |_, said| {
            said.with(|said| said.destination += "x").xml()
        }),
        ("comes from another identity provider", |_, said| {
            said.with(|said| said.issuer += "x").xml()
        }),
        ("is no longer valid", |_, said| {
            said.with(|said| said.now = START.plus_secs(-400)).xml()
        }),
        ("is not valid yet", |_, said| {
            said.with(|said| said.now = START.plus_secs(400)).xml()
        }),
        ("is not signed with a certificate", |_, said| {
            said.with(|said| said.key = Key::Second).xml()
        }),
        ("is not signed with a certificate", |_, said| {
            said.xml().replace(">bob@", ">ann@")
        }),
        ("is not signed.", |_, said| said.around(&said.assertion(""))),
        ("leaves open what was signed", |world, said| {
            // Signed, with another one before it.
            let forged = world
                .said(said.request.as_deref())
                .with(|said| said.email = "ann@example.test".to_owned());
            said.around(&(forged.assertion("") + &said.assertion(&said.signature())))
        }),
        ("cannot be read", |_, _| "<a".to_owned()),
        ("is not expected here", |_, _| "<a/>".to_owned()),
    ];
    for (text, make) in tries {
        let mut browser = world.browser();
        let request = world.depart(&mut browser);
        let xml = make(&world, world.said(Some(&request)));
        let answer = world.bring(&mut browser, &xml, "");
        assert_refused(&answer, 403, text);
        assert_eq!(world.whoami(&browser), None, "{text}");
        // What was refused used nothing up.
        let answer = world.bring(&mut browser, &world.said(Some(&request)).xml(), "");
        assert_eq!(location(&answer), "/", "{text}");
    }
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let xml = world.said(Some(&request)).xml();
    world.server.advance(301);
    let answer = world.bring(&mut browser, &xml, "");
    assert_refused(&answer, 403, "is no longer valid");
}

#[test]
fn an_answer_without_what_is_needed_says_what_came() {
    let world = World::start(json!({"attributes": {"userEmail": "mail"}}));
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let answer = world.bring(&mut browser, &world.said(Some(&request)).xml(), "");
    assert_refused(&answer, 403, "lacks mail. It has uid, email, first");
}

/// All of the forged messages that the reading code is tested with, and what a form can hold besides.
#[test]
fn no_forgery_gets_in_or_breaks_anything() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/saml/vectors");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a vector");
    let start = || {
        let world = World::start_at(
            Some("https://picket.example.test"),
            json!({
                "certificates": [read("idp.crt")], "providerMayBegin": true,
                "attributes": {"identifier": "uid", "userEmail": "email"},
            }),
        );
        let made = Timestamp::parse_rfc3339("2030-01-01T00:00:00Z").expect("a time");
        world.server.clock.set(made);
        world
    };
    let world = start();
    let mut browser = world.browser();
    let answer = world.bring(&mut browser, &read("good_unsolicited.xml"), "");
    assert_eq!(location(&answer), "/", "the door opens at all");

    let names = std::fs::read_dir(&folder).expect("vectors");
    let names = names.map(|entry| {
        entry
            .expect("a file")
            .file_name()
            .into_string()
            .expect("text")
    });
    let mut bad: Vec<String> = names.filter(|name| name.starts_with("bad_")).collect();
    bad.sort();
    assert!(bad.len() > 100);
    // Fewer than are taken for guessing.
    for names in bad.chunks(15) {
        let world = start();
        for name in names {
            let mut browser = world.browser();
            let answer = world.bring(&mut browser, &read(name), "");
            assert_eq!(answer.status, 403, "{name}: {}", answer.text());
            assert_eq!(world.whoami(&browser), None, "{name}");
        }
    }
    let world = start();
    let mut browser = world.browser();
    for message in [
        "",
        "%%%",
        "AAAA",
        &"A".repeat(256 * 1024),
        &"A".repeat(300 * 1024),
    ] {
        let target = location(&browser.post(ACS, &[("SAMLResponse", message)])).to_owned();
        let status = browser.get(&target).status;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(
        browser
            .post(ACS, &[("SAMLResponse", &"A".repeat(900 * 1024))])
            .status,
        400
    );
    for query in [
        "",
        "SAMLRequest=x",
        "SAMLResponse=x&SigAlg=y&Signature=z",
        "SAMLRequest=%FF&SAMLRequest=x",
    ] {
        let status = browser.get(&format!("/saml/sls/acme/?{query}")).status;
        assert!((400..500).contains(&status), "{query}: {status}");
    }
}

#[test]
fn an_address_counts_only_where_the_operator_trusts_the_provider() {
    let world = World::start(json!({"trustedDomains": []}));
    for email in ["bob@example.test", "new@example.test"] {
        let mut browser = world.browser();
        let request = world.depart(&mut browser);
        let said = world
            .said(Some(&request))
            .with(|said| said.email = email.to_owned());
        let answer = world.bring(&mut browser, &said.xml(), "");
        assert_refused(&answer, 403, "sign in with its password first");
        assert_eq!(world.whoami(&browser), None);
    }
    assert_eq!(world.count("SELECT count(*) FROM user"), 3);

    // Who is signed in may say that it is them.
    let mut browser = world.browser();
    browser.sign_in("bob@example.test", "another horse battery staple");
    let request = world.depart(&mut browser);
    let page = world.bring(&mut browser, &world.said(Some(&request)).xml(), "");
    assert_eq!(page.status, 200);
    let offer = super::browser::hidden(&page, "offer");
    let fields = [
        ("offer", offer.as_str()),
        ("password", "another horse battery staple"),
    ];
    location(&browser.submit(&page, "/auth/sso/link/", &fields));
    let mut later = world.browser();
    world.sign_in(&mut later);
    assert_eq!(world.whoami(&later).as_deref(), Some("bob@example.test"));
    // That session can be ended by the provider too.
    assert_eq!(
        world.count("SELECT count(*) FROM session WHERE name_id IS NOT NULL"),
        2
    );
}

#[test]
fn nobody_becomes_a_superuser_or_somebody_who_was_switched_off() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let said = world.said(Some(&request)).with(|said| {
        said.uid = "u-1".to_owned();
        said.email = "ops@example.test".to_owned();
    });
    let answer = world.bring(&mut browser, &said.xml(), "");
    assert!(answer.text().contains("You have an account here"));
    assert_eq!(world.whoami(&browser), None);

    world.sign_in(&mut browser);
    world
        .server
        .database()
        .execute(
            "UPDATE user SET active = 0 WHERE email = 'bob@example.test'",
            [],
        )
        .expect("switched off");
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let answer = world.bring(&mut browser, &world.said(Some(&request)).xml(), "");
    assert_refused(&answer, 403, "Your account is switched off");
    assert_eq!(world.whoami(&browser), None);
}

#[test]
fn an_owner_who_takes_the_keys_over_takes_over_nobody() {
    let world = World::start(json!({}));
    world.sign_in(&mut world.browser());
    let links = "SELECT count(*) FROM identity";
    assert_eq!(world.count(links), 1);
    let both = json!({"certificates": [FIRST_CERTIFICATE, SECOND_CERTIFICATE]});
    let operator = world.server.with_token(OPERATOR_TOKEN);
    let owner = world.server.with_token(OWNER_TOKEN);

    // The operator changes the provider's keys and everything stays.
    let answer = operator.put_json(AUTH_PROVIDER, &both);
    assert_eq!(answer.json()["trustedDomains"], json!(["example.test"]));
    assert_eq!(world.count(links), 1);
    // To take one away is harmless, and so is the rest.
    let fewer = json!({"certificates": [FIRST_CERTIFICATE], "name": "ID"});
    let answer = owner.put_json(AUTH_PROVIDER, &fewer);
    assert_eq!(answer.json()["trustedDomains"], json!(["example.test"]));
    assert_eq!(world.count(links), 1);

    for change in [
        both,
        json!({"attributes": {"userEmail": "nickname"}}),
        json!({"attributes": {"identifier": "nickname"}}),
        json!({"entityId": "https://mallory.test/"}),
    ] {
        let world = World::start(json!({}));
        world.sign_in(&mut world.browser());
        let owner = world.server.with_token(OWNER_TOKEN);
        let answer = owner.put_json(AUTH_PROVIDER, &change);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["trustedDomains"], json!([]), "{change}");
        assert_eq!(world.count(links), 0, "{change}");
    }
}

#[test]
fn a_session_ends_when_the_provider_wants() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    let request = world.depart(&mut browser);
    let said = world
        .said(Some(&request))
        .with(|said| said.ends = Some(START.plus_secs(3_600)));
    assert_eq!(location(&world.bring(&mut browser, &said.xml(), "")), "/");
    world.server.advance(3_599);
    assert_eq!(world.whoami(&browser).as_deref(), Some("bob@example.test"));
    // Being used does not make it longer.
    assert_eq!(browser.get("/settings/account/").status, 200);
    world.server.advance(1);
    assert_eq!(world.whoami(&browser), None);
}

/// Signs out on a page; the page that leads to the provider, and where it leads.
fn leave(browser: &mut Browser) -> (Answer, String) {
    let page = browser.get("/settings/account/");
    let left = browser.submit(&page, "/auth/logout/", &[]);
    assert_eq!(left.status, 200, "{}", left.text());
    let start = "http-equiv=\"refresh\" content=\"0; url=";
    let rest = left.text().split_once(start).expect("a way on").1;
    let url = rest.split('"').next().expect("a URL").replace("&#38;", "&");
    (left, url)
}

#[test]
fn who_signs_out_here_signs_out_at_the_provider() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    world.sign_in(&mut browser);
    let (_, url) = leave(&mut browser);
    assert_eq!(world.whoami(&browser), None);
    assert_eq!(world.count("SELECT count(*) FROM session"), 0);
    assert!(url.starts_with(&format!("{SLO}?SAMLRequest=")), "{url}");
    let asked = unpacked(&url, "SAMLRequest");
    for part in [">bob@example.test<", ">_session1<", EMAIL_FORMAT] {
        assert!(asked.contains(part), "{asked}");
    }
    let request = id_of(&asked);
    let response = world.logout_response(&request, "");
    let mut other = world.browser();
    let target = world.sls("SAMLResponse", &response, None, Some(Key::First));
    assert_refused(&other.get(&target), 403, "did not begin in this browser");
    for key in [None, Some(Key::Second)] {
        let target = world.sls("SAMLResponse", &response, None, key);
        assert_eq!(browser.get(&target).status, 403);
    }
    let answer = browser.get(&target);
    assert_refused(
        &answer,
        200,
        "You are signed out here and at the identity provider",
    );
    assert_refused(&browser.get(&target), 403, "did not begin in this browser");

    world.sign_in(&mut browser);
    let request = id_of(&unpacked(&leave(&mut browser).1, "SAMLRequest"));
    let inner = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:PartialLogout\"/>";
    let response = world.logout_response(&request, inner);
    let target = world.sls("SAMLResponse", &response, None, Some(Key::First));
    assert_refused(
        &browser.get(&target),
        200,
        "could not sign you out everywhere",
    );
}

#[test]
fn who_signs_out_at_the_provider_signs_out_here() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    world.sign_in(&mut browser);
    let sls = |id: &str, name: &str, index: &str, key| {
        let xml = world.logout_request(id, name, index);
        world.sls("SAMLRequest", &xml, Some("there & back"), key)
    };
    let bob = "bob@example.test";
    for key in [None, Some(Key::Second)] {
        let target = sls("_1", bob, "_session1", key);
        assert_eq!(browser.get(&target).status, 403);
        assert_eq!(world.whoami(&browser).as_deref(), Some(bob));
    }
    // Somebody else, or another session of the same person.
    for (id, name, index) in [
        ("_2", "ann@example.test", "_session1"),
        ("_3", bob, "_session2"),
    ] {
        let answer = browser.get(&sls(id, name, index, Some(Key::First)));
        assert!(location(&answer).starts_with(SLO));
        assert_eq!(world.whoami(&browser).as_deref(), Some(bob));
    }
    // The browser that brings it need not be the one.
    let target = sls("_4", bob, "_session1", Some(Key::First));
    let answer = world.browser().get(&target);
    let url = location(&answer);
    assert!(url.starts_with(&format!("{SLO}?SAMLResponse=")), "{url}");
    assert_eq!(
        parameter(url, "RelayState").as_deref(),
        Some("there & back")
    );
    let response = unpacked(url, "SAMLResponse");
    assert!(response.contains("InResponseTo=\"_4\""), "{response}");
    assert!(response.contains("status:Success"), "{response}");
    assert_eq!(world.whoami(&browser), None);
    assert_refused(&browser.get(&target), 403, "This message was used before");

    // One that comes in the browser takes the cookie along.
    world.sign_in(&mut browser);
    location(&browser.get(&sls("_5", bob, "_session1", Some(Key::First))));
    assert_eq!(browser.cookie("sentrysid"), None);
}

#[test]
fn a_program_that_signs_out_is_told_where_to_go_on() {
    let world = World::start(json!({}));
    let mut browser = world.browser();
    world.sign_in(&mut browser);
    let cookie = |name: &str| browser.cookie(name).expect("a cookie").to_owned();
    let answer = world
        .server
        .client()
        .with_header(
            "Cookie",
            &format!("sentrysid={}; sc={}", cookie("sentrysid"), cookie("sc")),
        )
        .with_header("X-CSRFToken", &cookie("sc"))
        .delete("/api/0/auth/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let url = body["sloUrl"].as_str().expect("a URL");
    assert!(unpacked(url, "SAMLRequest").contains(">bob@example.test<"));
    assert_eq!(world.whoami(&browser), None);
}

#[test]
fn without_a_place_for_it_at_the_provider_a_sign_out_ends_here() {
    let world = World::start(json!({"sloUrl": null}));
    let mut browser = world.browser();
    world.sign_in(&mut browser);
    let page = browser.get("/settings/account/");
    let left = browser.submit(&page, "/auth/logout/", &[]);
    assert_eq!(location(&left), "/auth/login/acme/");
    world.sign_in(&mut browser);
    let xml = world.logout_request("_1", "bob@example.test", "_session1");
    let target = world.sls("SAMLRequest", &xml, None, Some(Key::First));
    assert_refused(&browser.get(&target), 200, "Signed out");
    assert_eq!(world.whoami(&browser), None);
}
