//! The pages that people see: signing in, their account, and what later pages add.
//!
//! [`Web::handle`] takes a request through the same checks for every page: who is signed in, what the line of the route
//! table asks for, and, where something is changed, that the form is one of ours (CSRF). Only then does a handler run.
//!
//! Pages are whole without script, name nothing from elsewhere, and hold what users or events say as text only: the
//! policy in [`layout`] lets a browser run nothing else. Passwords, sessions and codes are [`crate::identity`]'s.

mod accept_transfer;
mod account;
mod errors;
mod form;
mod home;
mod invitation;
mod layout;
mod login;
mod password;
mod qr_code;
mod recover;
mod saml;
mod second_factor;
mod security;
mod session;
mod sessions;
mod set_up;
mod single_sign_on;
mod single_sign_on_settings;
mod status;
mod tokens;
mod verify;

use std::sync::Arc;

use crate::domain::access::Access;
use crate::domain::dsn::UrlPrefix;
use crate::domain::option::Budget;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Route, Router};
use crate::http::{Method, Request, Response};
use crate::identity::single_sign_on::login_path;
use crate::identity::{Identity, cookies};
use crate::store::Store;
use crate::store::access::{self, Barrier};
use crate::store::organizations::{self, Organization};
use crate::store::readers::Reader;

use errors::{Failure, Result};
use form::{Form, redirect, redirect_with_next};
use session::{Csrf, SignedIn};

/// What must be known before a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: for everybody.
    Nothing,
    /// Nothing either, and pages of other servers may send forms here, so this line alone goes without our proof (CSRF).
    /// Its handler changes nothing that lasts.
    Foreign,
    /// Somebody who is signed in; others are sent to sign in, and back.
    SignedIn,
    /// And who gave the password a short while ago.
    Verified,
    /// Somebody who is signed in and a superuser; for others there is no such page.
    Superuser,
}

type Handler = fn(&Web, &Visit<'_>) -> Result<Response>;

#[derive(Clone, Copy)]
struct Target {
    needs: Needs,
    handler: Handler,
}

fn routes() -> Vec<Route<Target>> {
    use Needs::{Foreign, Nothing, SignedIn, Superuser, Verified};
    let line = |method, path, needs, handler: Handler| Route {
        method,
        path,
        target: Target { needs, handler },
    };
    #[rustfmt::skip]
    let lines = vec![
        line("GET", "/", SignedIn, home::show),
        line("GET", "/_static/picket.css", Nothing, layout::stylesheet),
        line("GET", "/auth/login/", Nothing, login::show),
        line("POST", "/auth/login/", Nothing, login::submit),
        line("POST", "/auth/logout/", SignedIn, login::sign_out),

        // The server.
        line("GET", "/status/", Superuser, status::show),
        line("GET", "/status/status.json", Superuser, status::json),

        // Second factor, invitation, reset, first sign-in.
        line("GET", "/auth/2fa/", Nothing, second_factor::show),
        line("POST", "/auth/2fa/", Nothing, second_factor::submit),
        line("GET", "/auth/verify/", SignedIn, verify::show),
        line("POST", "/auth/verify/", SignedIn, verify::submit),
        line("GET", "/accept/{member}/{token}/", Nothing, invitation::show),
        line("POST", "/accept/{member}/{token}/", Nothing, invitation::submit),
        line("GET", "/account/recover/", Nothing, recover::show),
        line("POST", "/account/recover/", Nothing, recover::submit),
        line("GET", "/account/recover/confirm/{token}/", Nothing, recover::show_confirm),
        line("POST", "/account/recover/confirm/{token}/", Nothing, recover::submit_confirm),
        line("GET", "/account/set-up/{token}/", Nothing, set_up::show),
        line("POST", "/account/set-up/{token}/", Nothing, set_up::submit),

        // Account.
        line("GET", "/settings/account/", SignedIn, account::show),
        line("POST", "/settings/account/", SignedIn, account::rename),
        line("POST", "/settings/account/emails/", SignedIn, account::change_email),
        line("GET", "/settings/account/security/password/", SignedIn, password::show),
        line("POST", "/settings/account/security/password/", SignedIn, password::submit),
        line("GET", "/settings/account/security/session-history/", SignedIn, sessions::show),
        line("POST", "/settings/account/security/session-history/", SignedIn, sessions::submit),
        line("GET", "/settings/account/security/", SignedIn, security::show),
        line("GET", "/settings/account/security/totp/", Verified, security::begin),
        line("POST", "/settings/account/security/totp/", Verified, security::enroll),
        line("POST", "/settings/account/security/totp/remove/", Verified, security::remove),
        line("POST", "/settings/account/security/recovery-codes/", Verified, security::regenerate),

        // Projects.
        line("GET", "/accept-transfer/", SignedIn, accept_transfer::show),
        line("POST", "/accept-transfer/", SignedIn, accept_transfer::submit),
        // Tokens.
        line("GET", "/settings/account/api/auth-tokens/", SignedIn, tokens::list),
        line("GET", "/settings/account/api/auth-tokens/new-token/", Verified, tokens::show_form),
        line("POST", "/settings/account/api/auth-tokens/new-token/", Verified, tokens::create),
        line("POST", "/settings/account/api/auth-tokens/revoke-all/", SignedIn, tokens::revoke_all),
        line("GET", "/settings/account/api/auth-tokens/{token}/", SignedIn, tokens::show),
        line("POST", "/settings/account/api/auth-tokens/{token}/", SignedIn, tokens::rename),
        line("GET", "/settings/account/api/auth-tokens/{token}/rotate/", Verified, tokens::show_rotation),
        line("POST", "/settings/account/api/auth-tokens/{token}/rotate/", Verified, tokens::rotate),
        line("POST", "/settings/account/api/auth-tokens/{token}/revoke/", SignedIn, tokens::revoke),
        line("GET", "/settings/{org}/auth-tokens/", SignedIn, tokens::list),
        line("GET", "/settings/{org}/auth-tokens/new-token/", Verified, tokens::show_form),
        line("POST", "/settings/{org}/auth-tokens/new-token/", Verified, tokens::create),
        line("GET", "/settings/{org}/auth-tokens/{token}/", SignedIn, tokens::show),
        line("POST", "/settings/{org}/auth-tokens/{token}/", SignedIn, tokens::rename),
        line("GET", "/settings/{org}/auth-tokens/{token}/rotate/", Verified, tokens::show_rotation),
        line("POST", "/settings/{org}/auth-tokens/{token}/rotate/", Verified, tokens::rotate),
        line("POST", "/settings/{org}/auth-tokens/{token}/revoke/", SignedIn, tokens::revoke),

        // Single sign-on.
        line("GET", "/auth/login/{org}/", Nothing, single_sign_on::show),
        line("GET", "/auth/login/{org}/sso/", Nothing, single_sign_on::depart),
        line("GET", "/auth/sso/{org}/", Nothing, single_sign_on::arrive),
        line("POST", "/auth/sso/link/", SignedIn, single_sign_on::link),
        line("GET", "/saml/metadata/{org}/", Nothing, saml::metadata),
        line("POST", "/saml/acs/{org}/", Foreign, saml::post),
        line("GET", "/saml/acs/{org}/", Nothing, saml::arrive),
        line("GET", "/saml/sls/{org}/", Nothing, saml::sign_out),
        line("GET", "/settings/{org}/auth/", Verified, single_sign_on_settings::show),
        line("POST", "/settings/{org}/auth/", Verified, single_sign_on_settings::submit),
        line("POST", "/settings/{org}/auth/remove/", Verified, single_sign_on_settings::remove),
    ];
    lines
}

/// A request that passed the checks.
struct Visit<'a> {
    request: &'a Request,
    params: Params,
    signed_in: Option<SignedIn>,
    csrf: Csrf,
    /// Of a `POST`; else empty.
    form: Form,
    connection: Reader<'a>,
}

impl Visit<'_> {
    fn now(&self) -> Timestamp {
        self.request.received
    }

    /// # Errors
    /// A bug: the line of the route table asks for nobody.
    fn signed_in(&self) -> Result<&SignedIn> {
        self.signed_in
            .as_ref()
            .ok_or_else(|| Failure::internal("a page for users is open to everybody"))
    }

    /// The organization of the path, and what whoever is signed in may do there, which is what the API allows.
    ///
    /// # Errors
    /// `NotFound`. `First`: to the organization's identity provider, or to where a second factor is set up.
    fn organization(&self) -> Result<(Organization, Access)> {
        let segment = IdOrSlug::parse(self.params.get("org"));
        let organization =
            organizations::find(&self.connection, &segment)?.ok_or(Failure::NotFound)?;
        let caller = self.signed_in()?.caller();
        match access::enter(&self.connection, &caller, &organization, self.now())? {
            Ok(access) => Ok((organization, access)),
            Err(Barrier::Provider) => {
                let page = login_path(organization.slug.as_str());
                Err(Failure::First(redirect_with_next(&page, self.request)))
            }
            Err(Barrier::SecondFactor) => Err(Failure::First(redirect(security::HERE))),
        }
    }
}

/// The pages.
pub(crate) struct Web {
    store: Arc<Store>,
    identity: Arc<Identity>,
    prefix: UrlPrefix,
    /// How much of what clients sent is kept.
    budget: Budget,
    routes: Router<Target>,
}

impl Web {
    pub(crate) fn new(
        store: Arc<Store>,
        identity: Arc<Identity>,
        prefix: UrlPrefix,
        budget: Budget,
    ) -> Web {
        Web {
            store,
            identity,
            prefix,
            budget,
            routes: Router::new(routes()),
        }
    }

    /// Answers every request that is no other front's.
    pub(crate) fn handle(&self, mut request: Request) -> Response {
        let body = std::mem::replace(&mut request.body, crate::http::Body::empty());
        let csrf = Csrf::read(&request);
        let mut is_foreign = false;
        let (pattern, result) = match self.routes.find(&request.method, &request.path) {
            Found::Route(route, params) => {
                is_foreign = route.target.needs == Needs::Foreign;
                let form = match is_foreign {
                    true => Form::read_long(&request, body),
                    false => Form::read(&request, body),
                };
                (
                    route.path,
                    self.visit(&request, route.target, params, form, &csrf),
                )
            }
            Found::OtherMethods(methods) => (
                "another method",
                Ok(errors::method_not_allowed(&methods.join(", "))),
            ),
            Found::Nothing => ("an unknown path", Err(Failure::NotFound)),
        };
        let response = result.unwrap_or_else(|failure| {
            let route = format!("{} {pattern}", request.method.as_str());
            errors::answer(failure, &route, &request)
        });
        // A browser that comes from elsewhere has the cookie, and did not send it along.
        layout::secured(match is_foreign {
            true => response,
            false => csrf.keep(response, self.is_https()),
        })
    }

    fn visit(
        &self,
        request: &Request,
        target: Target,
        params: Params,
        form: Result<Form>,
        csrf: &Csrf,
    ) -> Result<Response> {
        let connection = self.store.read()?;
        let signed_in = SignedIn::find(&connection, request)?;
        let is_change = !matches!(request.method, Method::Get | Method::Head);
        let form = form?;
        let csrf = csrf.of(signed_in.as_ref());
        let is_ours = || self.is_our_page(request) && csrf.matches(&form);
        if is_change && target.needs != Needs::Foreign && !is_ours() {
            return Err(Failure::NotOurForm);
        }
        if matches!(
            target.needs,
            Needs::SignedIn | Needs::Verified | Needs::Superuser
        ) {
            match &signed_in {
                None => return Ok(login::redirect_to(request)),
                Some(signed_in)
                    if target.needs == Needs::Superuser && !signed_in.user.superuser =>
                {
                    return Err(Failure::NotFound);
                }
                Some(signed_in)
                    if target.needs == Needs::Verified
                        && !signed_in.session.is_verified(request.received) =>
                {
                    return Ok(session::redirect_to_verify(request));
                }
                Some(_) => {}
            }
        }
        let visit = Visit {
            request,
            params,
            signed_in,
            csrf,
            form,
            connection,
        };
        let response = (target.handler)(self, &visit)?;
        // What others may keep for everybody holds no cookies.
        if let Some(signed_in) = &visit.signed_in
            && response.header("Cache-Control").is_none()
            && self
                .identity
                .keep_awake(&signed_in.session, request.received)
        {
            let secret = &signed_in.secret;
            return Ok(cookies::renewed(response, secret, self.is_https()));
        }
        Ok(response)
    }

    /// Whether a form comes from a page of this server, as far as the browser says where it comes from: of the very
    /// host that it is sent to, by whatever name the browser knows that.
    fn is_our_page(&self, request: &Request) -> bool {
        let Some(origin) = request
            .headers
            .get("Origin")
            .filter(|text| !text.is_empty())
        else {
            return true;
        };
        let host = request.headers.get("Host").unwrap_or_default();
        let is_of_host = origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        is_of_host || origin.eq_ignore_ascii_case(self.prefix.as_str())
    }

    fn is_https(&self) -> bool {
        self.prefix.as_str().starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::durability::Durability;
    use crate::domain::id::{SessionId, UserId};
    use crate::domain::outbound::OutboundSettings;
    use crate::domain::secret::{Secret, SecretHash};
    use crate::http::Headers;
    use crate::identity::{CSRF_COOKIE, SESSION_COOKIE};
    use crate::outbound::http::Client;
    use crate::outbound::mail::Mailer;
    use crate::store::sessions::{self, NewSession};
    use crate::store::users;

    const NOW: Timestamp = Timestamp::from_secs(1_772_600_000);

    #[test]
    fn no_method_of_a_path_has_two_lines() {
        let mut seen = HashSet::new();
        for route in routes() {
            assert!(seen.insert((route.method, route.path)), "{}", route.path);
            assert!(["GET", "POST"].contains(&route.method), "{}", route.path);
        }
    }

    /// The pages of a new file with one user, and the cookie of that user's session.
    fn web() -> (tempfile::TempDir, Web, Secret) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        let store = Arc::new(Store::open(&path, Durability::Normal).unwrap());
        let prefix = UrlPrefix::parse("http://picket.test").unwrap();
        let mailer = Arc::new(Mailer::start(None).unwrap());
        let http = Client::new(&OutboundSettings::default()).unwrap();
        let identity = Identity::new(Arc::clone(&store), mailer, http, prefix.clone());
        let secret = Secret::random();
        let hash = secret.hash();
        store
            .write(move |unit| {
                let user = users::create(unit, &Actor::operator(NOW), "a@b.test", "", None)?;
                sessions::create(unit, &new_session(user, hash), NOW)
            })
            .unwrap();
        (
            directory,
            Web::new(store, Arc::new(identity), prefix, Budget::default()),
            secret,
        )
    }

    fn new_session(user: UserId, hash: SecretHash) -> NewSession {
        NewSession {
            hash,
            user,
            address: String::new(),
            user_agent: String::new(),
            vouched: None,
        }
    }

    /// The status of an answer, and where it leads.
    fn ask(web: &Web, method: &'static str, path: &str, cookie: &str, form: &str) -> (u16, String) {
        let path = path.replace(['{', '}'], "");
        ask_with(web, method, &path, "", cookie, form)
    }

    fn ask_with(
        web: &Web,
        method: &'static str,
        path: &str,
        query: &str,
        cookie: &str,
        form: &str,
    ) -> (u16, String) {
        let mut headers = Headers::default();
        headers.push("Cookie", cookie);
        headers.push("Content-Type", "application/x-www-form-urlencoded");
        let response = web.handle(Request {
            method: Method::parse(method),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: crate::http::Body::Memory(form.as_bytes().to_vec()),
            peer: [127, 0, 0, 1].into(),
            received: NOW,
            id: String::new(),
        });
        let location = response.header("Location").unwrap_or_default();
        (response.status, location.to_owned())
    }

    /// Every form there is, with whatever stands for its proof: none, a wrong one, and the cookie of somebody who is not
    /// signed in where the session's is asked for. The one form that other servers send is taken as it is.
    #[test]
    fn no_form_is_taken_without_the_proof_of_its_session() {
        let (_directory, web, secret) = web();
        let session = format!("{SESSION_COOKIE}={}", secret.reveal());
        let other = Secret::random();
        let anonymous = format!("{CSRF_COOKIE}={}", other.reveal());
        let both = format!("{session}; {anonymous}");
        let own_cookie = format!("csrf={}", other.reveal());
        let wrong = format!("csrf={}", Secret::random().reveal());
        let mut forms = 0;
        for route in routes().iter().filter(|route| route.method == "POST") {
            forms += 1;
            for (cookie, form) in [
                (&session, String::new()),
                (&session, wrong.clone()),
                (&both, own_cookie.clone()),
                (&anonymous, String::new()),
                (&anonymous, wrong.clone()),
                (&String::new(), own_cookie.clone()),
            ] {
                let (status, _) = ask(&web, "POST", route.path, cookie, &form);
                let refused = match route.path {
                    "/saml/acs/{org}/" => 404,
                    _ => 403,
                };
                assert_eq!(status, refused, "{} {cookie} {form}", route.path);
            }
        }
        assert!(forms > 5);
    }

    #[test]
    fn every_form_is_taken_with_the_proof_of_its_session() {
        let (_directory, web, secret) = web();
        let session = format!("{SESSION_COOKIE}={}", secret.reveal());
        let proof = format!("csrf={}", crate::identity::csrf_token(&secret).reveal());
        for route in routes().iter().filter(|route| route.method == "POST") {
            if route.path != "/auth/logout/" {
                let (status, _) = ask(&web, "POST", route.path, &session, &proof);
                assert_ne!(status, 403, "{}", route.path);
            }
        }
        assert_eq!(ask(&web, "POST", "/auth/logout/", &session, &proof).0, 303);
        assert_eq!(ask(&web, "GET", "/", &session, "").0, 303);
    }

    /// Somebody ended it, or set another password, while this one was hashed.
    #[test]
    fn a_session_that_is_over_sets_no_password() {
        let (_directory, web, _) = web();
        let user = users::find(&web.store.read().unwrap(), UserId(1));
        let user = user.unwrap().unwrap();
        let over = SessionId(2);
        let actor = Actor::operator(NOW);
        let new = "patient donkey charger nail";
        assert!(
            web.identity
                .change_password(&user, over, &actor, new)
                .is_err()
        );
        let user = users::find(&web.store.read().unwrap(), UserId(1));
        assert_eq!(user.unwrap().unwrap().password_hash, None);
    }

    /// What people and programs send who mean no good: in all fields at once and in every part of a path, and in one field
    /// of a form that is right otherwise.
    #[test]
    fn nothing_that_is_sent_makes_a_page_fail() {
        const SECRET: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
        const GOOD: [(&str, &str); 25] = [
            ("again", "patient donkey charger nail"),
            ("break_glass", "a@b.test"),
            ("client_id", "picket"),
            ("client_secret", "x"),
            ("code", "123456"),
            ("current", ""),
            ("data", SECRET),
            ("default_role", "member"),
            ("domain_roles", "b.test=owner"),
            ("email", "new@b.test"),
            ("expires", "2040-01-31"),
            ("group_roles", "x=owner"),
            ("groups_claim", "groups"),
            ("issuer", "https://id.b.test"),
            ("name", "x"),
            ("next", "/"),
            ("offer", SECRET),
            ("old", "week"),
            ("password", "patient donkey charger nail"),
            ("projects", ""),
            ("scope", "org:ci"),
            ("scopes", "email"),
            ("secret", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("session", "others"),
            ("to", "1/1"),
        ];
        let long = "a\u{308}".repeat(500);
        let values = [
            "",
            "a\0b",
            "-1",
            "1",
            "9223372036854775807",
            "99999999999999999999",
            "a/b/c",
            "\u{202e}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}",
            "%00'\"<>&;--",
            "ann@b.test\r\nBcc: c@d",
            "-292277022657-01-27",
            "9999-12-31T23:59:59.999999Z",
            "https://[::1",
            "=",
            &long,
        ];
        let (_directory, web, secret) = web();
        web.store
            .write(|unit| {
                unit.execute_batch(
                    "INSERT INTO organization (slug, name, created_us) VALUES ('1', 'x', 0);
                     INSERT INTO member (organization_id, user_id, role, created_us) VALUES (1, 1, 'owner', 0);",
                )?;
                Ok(())
            })
            .unwrap();
        let session = format!("{SESSION_COOKIE}={}", secret.reveal());
        let proof = crate::identity::csrf_token(&secret);
        let stranger = format!("{CSRF_COOKIE}={}", proof.reveal());
        let hash = secret.hash();
        let ask = |method, path: &str, cookie: &str, form: &str| {
            // Some of what is sent ends the session, or gives the user a password.
            web.store
                .write(move |unit| {
                    unit.execute_batch(
                        "DELETE FROM session; UPDATE user SET password_hash = NULL",
                    )?;
                    sessions::create(unit, &new_session(UserId(1), hash), NOW)
                })
                .unwrap();
            let (status, _) = ask_with(&web, method, path, form, cookie, form);
            assert!(status < 500, "{status}: {method} {path:?} {form}");
            status
        };
        let pair = |(name, value): (&str, &str)| format!("&{name}={}", form::encoded(value));
        let form_of = |value_of: &dyn Fn(&'static str, &'static str) -> String| {
            let fields = GOOD.map(|(name, good)| pair((name, &value_of(name, good))));
            format!("csrf={}{}", proof.reveal(), fields.concat())
        };
        for route in routes() {
            let inside = route.path.replace("{org}", "1").replace("{token}", "1");
            for value in values {
                let all = form_of(&|_, _| value.to_owned());
                let text: String = value.chars().filter(|c| !"/?#".contains(*c)).collect();
                let path = ["{org}", "{token}", "{member}"]
                    .iter()
                    .fold(route.path.to_owned(), |path, part| {
                        path.replace(part, &text)
                    });
                ask(route.method, &path, &session, &all);
                ask(route.method, &inside, &session, &all);
                ask(route.method, route.path, &stranger, &all);
            }
            if route.method == "GET" || route.target.needs == Needs::Nothing {
                continue;
            }
            for wrong in GOOD.map(|(name, _)| name) {
                for value in ["", "a\0b", "99999999999999999999", long.as_str()] {
                    let one =
                        form_of(&|name, good| if name == wrong { value } else { good }.to_owned());
                    ask(route.method, &inside, &session, &one);
                }
            }
        }
    }

    #[test]
    fn a_page_for_users_leads_everybody_else_to_sign_in() {
        let (_directory, web, _) = web();
        for route in routes().iter().filter(|route| route.method == "GET") {
            let (status, location) = ask(&web, "GET", route.path, "", "");
            let is_led = status == 303 && location.starts_with("/auth/login/");
            // Some of the pages on the way in begin where everybody does.
            let is_entrance = route.path.starts_with("/auth/");
            let is_for_users = route.target.needs != Needs::Nothing;
            assert!(is_led || !is_for_users, "{}", route.path);
            assert!(!is_led || is_for_users || is_entrance, "{}", route.path);
        }
    }
}
