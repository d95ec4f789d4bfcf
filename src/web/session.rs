//! Who is signed in, and whether a form is one of ours.

use crate::domain::actor::{Actor, Who};
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::http::cookies::{self, Lifetime};
use crate::http::{Request, Response};
use crate::identity::{
    Begun, CSRF_COOKIE, NewCookies, SESSION_COOKIE, cookies as cookies_of, csrf_token,
};
use crate::store::users::{self, User};
use crate::store::{Connection, sessions};

use super::errors::Result;
use super::form::{self, Form, redirect};
use super::{Visit, Web};

/// The user of this request's session.
pub(super) struct SignedIn {
    pub(super) user: User,
    pub(super) session: Session,
    secret: Secret,
}

impl SignedIn {
    pub(super) fn find(connection: &Connection, request: &Request) -> Result<Option<SignedIn>> {
        let cookie = cookies::find(&request.headers, SESSION_COOKIE);
        let Some(secret) = cookie.and_then(Secret::parse) else {
            return Ok(None);
        };
        let session = sessions::find_by_hash(connection, secret.hash())?;
        let Some(session) = session.filter(|session| !session.is_expired(request.received)) else {
            return Ok(None);
        };
        Ok(users::find(connection, session.user)?.map(|user| SignedIn {
            user,
            session,
            secret,
        }))
    }

    /// Who answers for a change, for the audit log.
    pub(super) fn actor(&self, request: &Request) -> Actor {
        Actor {
            who: Who::Session {
                user: self.user.id,
                session: self.session.id,
                address: request.peer,
            },
            at: request.received,
        }
    }
}

/// What proves that a form is one of ours: of somebody who is signed in, something that follows from the session; of
/// others, a cookie that the form repeats.
#[derive(Clone)]
pub(super) struct Csrf {
    token: Secret,
    /// The browser does not have it yet.
    is_new: bool,
}

impl Csrf {
    pub(super) const FIELD: &'static str = "csrf";

    pub(super) fn read(request: &Request) -> Csrf {
        match cookies::find(&request.headers, CSRF_COOKIE).and_then(Secret::parse) {
            Some(token) => Csrf {
                token,
                is_new: false,
            },
            None => Csrf {
                token: Secret::random(),
                is_new: true,
            },
        }
    }

    pub(super) fn of(&self, signed_in: Option<&SignedIn>) -> Csrf {
        match signed_in {
            Some(signed_in) => Csrf {
                token: csrf_token(&signed_in.secret),
                is_new: false,
            },
            None => self.clone(),
        }
    }

    pub(super) fn matches(&self, form: &Form) -> bool {
        !self.is_new && self.token.matches(form.text(Csrf::FIELD))
    }

    /// For the field of a form.
    pub(super) fn token(&self) -> &str {
        self.token.reveal()
    }

    /// Gives the browser the cookie if it has none; an answer that sets it already is left alone.
    pub(super) fn keep(&self, response: Response, is_https: bool) -> Response {
        let start = format!("{CSRF_COOKIE}=");
        let is_set = response
            .headers
            .iter()
            .any(|(name, value)| *name == "Set-Cookie" && value.starts_with(&start));
        if !self.is_new || is_set {
            return response;
        }
        let cookie = cookies::set(
            CSRF_COOKIE,
            self.token.reveal(),
            Lifetime::Session,
            is_https,
        );
        response.with_header("Set-Cookie", cookie)
    }
}

impl Web {
    /// On to a path of this server with a new session, or to where its code is asked for, and from there to the path.
    pub(super) fn enter(&self, visit: &Visit<'_>, next: &str, begun: &Begun) -> Result<Response> {
        match begun {
            Begun::Session(new) => self.enter_with(visit, next, new),
            Begun::NeedsCode(pending) => {
                let page = form::redirect_to_with_next("/auth/2fa/", next);
                Ok(cookies_of::with_pending(page, pending, self.is_https()))
            }
        }
    }

    /// The same, with a session. The one that the browser had until now ends: nobody is left with its cookie.
    pub(super) fn enter_with(
        &self,
        visit: &Visit<'_>,
        next: &str,
        new: &NewCookies,
    ) -> Result<Response> {
        if let Some(signed_in) = &visit.signed_in {
            let (user, id) = (signed_in.user.id, signed_in.session.id);
            self.store
                .write(move |unit| sessions::delete(unit, user, id))?;
        }
        Ok(cookies_of::with_session(
            redirect(next),
            new,
            self.is_https(),
        ))
    }
}

/// To the page that asks for the password again, and back.
pub(super) fn redirect_to_verify(request: &Request) -> Response {
    form::redirect_with_next("/auth/verify/", request)
}
