//! The pages that people see: signing in, their account, and what later pages add.
//!
//! [`Web::handle`] takes a request through the same checks for every page: who is signed in, what the line of the route
//! table asks for, and, where something is changed, that the form is one of ours (CSRF). Only then does a handler run.
//!
//! Pages are whole without script, name nothing from elsewhere, and hold what users or events say as text only: the
//! policy in [`layout`] lets a browser run nothing else. Passwords, sessions and codes are [`crate::identity`]'s.

mod account;
mod errors;
mod form;
mod home;
mod layout;
mod login;
mod session;
mod single_sign_on;

use std::sync::Arc;

use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Timestamp;
use crate::http::router::{Found, Params, Route, Router};
use crate::http::{Method, Request, Response};
use crate::identity::Identity;
use crate::store::Store;
use crate::store::readers::Reader;

use errors::{Failure, Result};
use form::Form;
use session::{Csrf, SignedIn};

/// What must be known before a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: for everybody.
    Nothing,
    /// Somebody who is signed in; others are sent to sign in, and back.
    SignedIn,
    /// And who gave the password a short while ago.
    Verified,
}

type Handler = fn(&Web, &Visit<'_>) -> Result<Response>;

#[derive(Clone, Copy)]
struct Target {
    needs: Needs,
    handler: Handler,
}

fn routes() -> Vec<Route<Target>> {
    use Needs::{Nothing, SignedIn};
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

        // Second factor, invitation, reset, first sign-in.

        // Account.
        line("GET", "/settings/account/", SignedIn, account::show),

        // Single sign-on.
        line("GET", "/auth/login/{org}/", Nothing, single_sign_on::show),
        line("GET", "/auth/login/{org}/sso/", Nothing, single_sign_on::depart),
        line("GET", "/auth/sso/", Nothing, single_sign_on::arrive),
        line("POST", "/auth/sso/link/", SignedIn, single_sign_on::link),
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
}

/// The pages.
pub(crate) struct Web {
    store: Arc<Store>,
    identity: Arc<Identity>,
    prefix: UrlPrefix,
    routes: Router<Target>,
}

impl Web {
    pub(crate) fn new(store: Arc<Store>, identity: Arc<Identity>, prefix: UrlPrefix) -> Web {
        Web {
            store,
            identity,
            prefix,
            routes: Router::new(routes()),
        }
    }

    /// Answers every request that is no other front's.
    pub(crate) fn handle(&self, mut request: Request) -> Response {
        let body = std::mem::replace(&mut request.body, crate::http::Body::empty());
        let csrf = Csrf::read(&request);
        let (pattern, result) = match self.routes.find(&request.method, &request.path) {
            Found::Route(route, params) => {
                let form = Form::read(&request, body);
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
        layout::secured(csrf.keep(response, self.is_https()))
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
        if is_change && !(self.is_our_page(request) && csrf.matches(&form)) {
            return Err(Failure::NotOurForm);
        }
        if target.needs != Needs::Nothing {
            match &signed_in {
                None => return Ok(login::redirect_to(request)),
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
        if let Some(signed_in) = &visit.signed_in {
            self.keep_awake(signed_in, request.received);
        }
        Ok(response)
    }

    /// Whether a form comes from a page of this server, as far as the browser says where it comes from.
    fn is_our_page(&self, request: &Request) -> bool {
        match request.headers.get("Origin") {
            None | Some("") => true,
            Some(origin) => self.prefix.covers_origin(origin),
        }
    }

    fn is_https(&self) -> bool {
        self.prefix.as_str().starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_method_of_a_path_has_two_lines() {
        let mut seen = HashSet::new();
        for route in routes() {
            assert!(seen.insert((route.method, route.path)), "{}", route.path);
            assert!(["GET", "POST"].contains(&route.method), "{}", route.path);
        }
    }
}
