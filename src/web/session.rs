//! Who is signed in, and whether a form is one of ours.

use crate::domain::actor::{Actor, Who};
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::http::cookies::{self, Lifetime};
use crate::http::{Request, Response};
use crate::identity::{
    CSRF_COOKIE, DEVICE_COOKIE, NewCookies, SESSION_COOKIE, Visitor, csrf_token,
};
use crate::store::users::{self, User};
use crate::store::{Connection, sessions};

use super::errors::Result;
use super::form::{self, Form};
use super::{Visit, Web};

/// The user of this request's session.
pub(super) struct SignedIn {
    pub(super) user: User,
    pub(super) session: Session,
    secret: Secret,
}

/// How long a browser that signed in is remembered.
const DEVICE_SECS: i64 = 365 * 86_400;

/// A session's use is written down this often.
const KEEP_AWAKE_SECS: i64 = 300;

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

/// Who is at the door.
pub(super) fn visitor(request: &Request) -> Visitor {
    Visitor {
        address: request.peer,
        user_agent: request
            .headers
            .get("User-Agent")
            .unwrap_or_default()
            .to_owned(),
        device: cookies::find(&request.headers, DEVICE_COOKIE).and_then(Secret::parse),
        now: request.received,
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
    /// An answer after which the browser is signed in.
    pub(super) fn with_session(&self, response: Response, cookies: &NewCookies) -> Response {
        let https = self.is_https();
        let (session, csrf) = (&cookies.session, csrf_token(&cookies.session));
        let lifetime = Lifetime::Secs(crate::domain::session::IDLE_SECS_MAX);
        response
            .with_header(
                "Set-Cookie",
                cookies::set(SESSION_COOKIE, session.reveal(), lifetime, https),
            )
            // Scripts that use the API repeat it in a field.
            .with_header(
                "Set-Cookie",
                cookies::set_readable(CSRF_COOKIE, csrf.reveal(), lifetime, https),
            )
            .with_header(
                "Set-Cookie",
                cookies::set(
                    DEVICE_COOKIE,
                    cookies.device.reveal(),
                    Lifetime::Secs(DEVICE_SECS),
                    https,
                ),
            )
    }

    /// Ends the session that a browser had when it signs in anew: nobody is left with its cookie.
    pub(super) fn end_replaced(&self, visit: &Visit<'_>) -> Result<()> {
        let Some(signed_in) = &visit.signed_in else {
            return Ok(());
        };
        let (user, id) = (signed_in.user.id, signed_in.session.id);
        self.store
            .write(move |unit| sessions::delete(unit, user, id))?;
        Ok(())
    }

    /// An answer after which the browser is not signed in.
    pub(super) fn without_session(&self, response: Response) -> Response {
        let https = self.is_https();
        [SESSION_COOKIE, CSRF_COOKIE]
            .into_iter()
            .fold(response, |response, name| {
                response.with_header("Set-Cookie", cookies::set(name, "", Lifetime::Over, https))
            })
    }

    /// Writes down that a session is in use, now and then, without waiting for it.
    pub(super) fn keep_awake(&self, signed_in: &SignedIn, now: Timestamp) {
        let (id, user) = (signed_in.session.id, signed_in.user.id);
        if now < signed_in.session.last_used.plus_secs(KEEP_AWAKE_SECS) {
            return;
        }
        self.store.writer().submit(
            0,
            move |unit| {
                sessions::set_used(unit, id, now)?;
                users::set_active(unit, user, now)
            },
            |result| {
                if let Err(error) = result {
                    log::warn!("a session's use cannot be written down: {error}");
                }
            },
        );
    }
}

/// To the page that asks for the password again, and back.
pub(super) fn redirect_to_verify(request: &Request) -> Response {
    form::redirect_with_next("/auth/verify/", request)
}
