//! `/settings/account/security/`: the second factor of whoever is signed in.
//!
//! What changes it, and what shows a secret, asks for the password of a short while ago. Secret and recovery codes are
//! only in the answer to whoever makes them; no answer of this front is kept by a browser.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::redirect;
use super::layout::{self, Head};
use super::{Visit, Web, qr_code};
use crate::domain::recovery_code::RecoveryCode;
use crate::domain::totp::{Code, Seed};
use crate::http::Response;
use crate::identity::{NotEnrolled, Removal, issuer};
use crate::store::second_factors::{self, Totp};
use crate::store::users::User;

#[derive(Template)]
#[template(path = "security.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    totp: Option<Totp>,
    codes_left: u32,
    /// The organizations that demand a second factor.
    demanding: String,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "security_totp.html", config = "src/web/askama.toml")]
struct TotpPage<'a> {
    head: Head<'a>,
    is_rotation: bool,
    svg: Option<String>,
    secret: String,
    /// In groups of four.
    grouped: String,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "security_codes.html", config = "src/web/askama.toml")]
struct CodesPage<'a> {
    head: Head<'a>,
    codes: Vec<String>,
}

const HERE: &str = "/settings/account/security/";

/// The names of the organizations that a user cannot use without a second factor; none for who has one.
pub(super) fn demanding(visit: &Visit<'_>, user: &User) -> Result<Vec<String>> {
    if user.has_second_factor {
        return Ok(Vec::new());
    }
    Ok(second_factors::list_demanding(&visit.connection, user.id)?)
}

/// `GET /settings/account/security/`.
pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    page(visit, 200, None)
}

fn page(visit: &Visit<'_>, status: u16, problem: Option<&str>) -> Result<Response> {
    let user = visit.signed_in()?.user.id;
    let recovery = second_factors::find_recovery(&visit.connection, user)?;
    let page = Page {
        head: Head::of(visit),
        totp: second_factors::find_totp(&visit.connection, user)?,
        codes_left: recovery.map_or(0, |recovery| recovery.left),
        demanding: second_factors::list_demanding(&visit.connection, user)?.join(", "),
        problem,
    };
    Ok(layout::page(status, &page))
}

/// `GET …/totp/`: a new secret, which counts once a code of it is typed.
pub(super) fn begin(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    totp_page(web, visit, 200, &Seed::random(), None)
}

fn totp_page(
    web: &Web,
    visit: &Visit<'_>,
    status: u16,
    seed: &Seed,
    problem: Option<&str>,
) -> Result<Response> {
    let user = &visit.signed_in()?.user;
    let uri = seed.uri(&issuer(&web.prefix), &user.email);
    let secret = seed.reveal();
    let letters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    let page = TotpPage {
        head: Head::of(visit),
        is_rotation: user.has_second_factor,
        svg: qr_code::svg(&uri, "QR code with the secret"),
        grouped: groups.join(" "),
        secret,
        problem,
    };
    Ok(layout::page(status, &page))
}

/// `POST …/totp/`: the recovery codes, the only time that they are shown; back where the user has some already.
pub(super) fn enroll(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let Some(seed) = Seed::parse(visit.form.text("secret")) else {
        return Err(Failure::BadForm);
    };
    let actor = signed_in.actor(visit.request);
    let who = (signed_in.user.id, signed_in.session.id);
    let code = Code::parse(visit.form.text("code"));
    match web.identity.enroll(&actor, who, &seed, code.as_ref()) {
        Ok(Some(codes)) => Ok(codes_page(visit, &codes)),
        Ok(None) => Ok(redirect(HERE)),
        Err(NotEnrolled::WrongCode) => totp_page(web, visit, 400, &seed, Some(WRONG)),
        Err(problem) => refused(visit, problem),
    }
}

const WRONG: &str = "That code is not right. Is the clock of your phone right?";

fn codes_page(visit: &Visit<'_>, codes: &[RecoveryCode]) -> Response {
    let page = CodesPage {
        head: Head::of(visit),
        codes: codes.iter().map(RecoveryCode::reveal).collect(),
    };
    layout::page(200, &page)
}

fn refused(visit: &Visit<'_>, problem: NotEnrolled) -> Result<Response> {
    let (status, text, retry_after_secs) = match problem {
        NotEnrolled::Failed(error) => return Err(error.into()),
        NotEnrolled::Throttled { retry_after_secs } => (
            429,
            "Too many tries for today. Please try again tomorrow.",
            retry_after_secs,
        ),
        NotEnrolled::Busy => (429, "Many people sign in just now. Please try again.", 1),
        NotEnrolled::WrongCode | NotEnrolled::NoSecondFactor => {
            return page(
                visit,
                400,
                Some("There is no second factor. Set one up first."),
            );
        }
    };
    let page = page(visit, status, Some(text))?;
    Ok(page.with_header("Retry-After", retry_after_secs.to_string()))
}

/// `POST …/recovery-codes/`: others in their place.
pub(super) fn regenerate(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let actor = signed_in.actor(visit.request);
    match web.identity.regenerate_codes(&actor, signed_in.user.id) {
        Ok(codes) => Ok(codes_page(visit, &codes)),
        Err(problem) => refused(visit, problem),
    }
}

/// `POST …/totp/remove/`: the password alone signs in from then on.
pub(super) fn remove(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let actor = signed_in.actor(visit.request);
    let (user, session) = (signed_in.user.id, signed_in.session.id);
    match web.identity.remove_second_factor(&actor, user, session)? {
        Removal::Done | Removal::Absent => Ok(redirect(HERE)),
        Removal::Demanded => {
            let text = "An organization demands a second factor of you. It stays.";
            page(visit, 403, Some(text))
        }
    }
}
