//! Second factors of the user who is signed in (facts/auth-and-tokens.md 9.3). Tokens see and change none: one that
//! leaks must not open the account itself.
//!
//! There are two methods, one-time codes and the recovery codes that come with them. The file holds recovery codes as
//! hashes, so they are in the answer that makes them, and, where an enrolment made them, in the first one to whoever
//! enrolled; in no other.

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Given, Null};
use super::error::{self, Failure, Result};
use super::users::{RECOVERY_NAME, TOTP_NAME};
use super::{Api, Call};
use crate::domain::Error;
use crate::domain::id::{SessionId, UserId};
use crate::domain::recovery_code::RecoveryCode;
use crate::domain::time::Timestamp;
use crate::domain::totp::{Code, Seed};
use crate::http::{Method, Response};
use crate::identity::{NotEnrolled, Removal, issuer};
use crate::store::second_factors::{self, Recovery, Totp};
use crate::store::users::{self, User};

/// A method, whether or not the user has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MethodBody {
    /// Its word, by which it is enrolled.
    id: &'static str,
    /// The number of the user's own; absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_id: Option<String>,
    name: &'static str,
    description: &'static str,
    rotation_warning: Option<&'static str>,
    enroll_button: &'static str,
    configure_button: &'static str,
    remove_button: Option<&'static str>,
    is_backup_interface: bool,
    is_enrolled: bool,
    allow_multi_enrollment: bool,
    allow_rotation_in_place: bool,
    disallow_new_enrollment: bool,
    status: &'static str,
    created_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    /// Of recovery codes: how many were not used yet. Ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes_left: Option<u32>,
    /// Of recovery codes: the codes, where they are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<String>>,
}

impl MethodBody {
    fn totp(totp: Option<&Totp>) -> MethodBody {
        MethodBody {
            id: "totp",
            auth_id: totp.map(|totp| totp.id.to_string()),
            name: TOTP_NAME,
            description: "Codes from an app on your phone.",
            rotation_warning: Some("The app that you use now will no longer work."),
            enroll_button: "Add",
            configure_button: "Info",
            remove_button: Some("Remove"),
            is_backup_interface: false,
            is_enrolled: totp.is_some(),
            allow_multi_enrollment: false,
            allow_rotation_in_place: true,
            disallow_new_enrollment: false,
            status: "",
            created_at: totp.map(|totp| totp.created),
            last_used_at: totp.and_then(|totp| totp.last_used),
            codes_left: None,
            codes: None,
        }
    }

    fn recovery(recovery: Option<&Recovery>, codes: Option<&[RecoveryCode]>) -> MethodBody {
        MethodBody {
            id: "recovery",
            auth_id: recovery.map(|recovery| recovery.id.to_string()),
            name: RECOVERY_NAME,
            description: "Codes to sign in with, once each, when you have lost your phone.",
            rotation_warning: None,
            enroll_button: "Activate",
            configure_button: "View Codes",
            remove_button: None,
            is_backup_interface: true,
            is_enrolled: recovery.is_some(),
            allow_multi_enrollment: false,
            allow_rotation_in_place: false,
            // They come with a method.
            disallow_new_enrollment: true,
            status: "",
            created_at: recovery.map(|recovery| recovery.created),
            last_used_at: recovery.and_then(|recovery| recovery.last_used),
            codes_left: recovery.map(|recovery| recovery.left),
            codes: codes.map(|codes| codes.iter().map(RecoveryCode::reveal).collect()),
        }
    }
}

/// What an app is set up with.
#[derive(Serialize)]
struct EnrollBody {
    #[serde(flatten)]
    method: MethodBody,
    secret: String,
    /// The text that a QR code holds.
    qrcode: String,
    /// What is asked for then.
    form: Value,
}

fn answer(status: u16, body: &impl Serialize) -> Response {
    Response::json(status, body).with_header(
        "Cache-Control",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
}

/// Nobody sees or changes those of others.
///
/// # Errors
/// `NotFound`: there is no such user; `Forbidden`: it is somebody else.
fn refuse_others(call: &Call<'_>, own: &User) -> Result<()> {
    let segment = call.params.get("user");
    if segment == "me" || segment == own.id.to_string() {
        return Ok(());
    }
    let named = match segment.parse() {
        Ok(id) => users::find(&call.connection, UserId(id))?,
        Err(_) => None,
    };
    Err(match named {
        Some(_) => Error::Forbidden,
        None => Error::NotFound,
    }
    .into())
}

/// The user of the path, who gave the password a short while ago.
fn verified(call: &Call<'_>) -> Result<(User, SessionId)> {
    refuse_others(call, &call.session()?.0)?;
    call.verified_session()
}

/// `GET /api/0/users/{user}/authenticators/`: all methods, those that the user does not have too.
pub(super) fn list(_: &Api, call: Call<'_>) -> Result<Response> {
    let (user, _) = call.session()?;
    refuse_others(&call, &user)?;
    let totp = second_factors::find_totp(&call.connection, user.id)?;
    let recovery = second_factors::find_recovery(&call.connection, user.id)?;
    let methods = [
        MethodBody::totp(totp.as_ref()),
        MethodBody::recovery(recovery.as_ref(), None),
    ];
    Ok(answer(200, &methods))
}

/// # Errors
/// 404 for a method that there is not; 400 for recovery codes that the user has already.
fn refuse_other_methods(call: &Call<'_>, user: UserId) -> Result<()> {
    match call.params.get("method") {
        "totp" => Ok(()),
        "recovery" if second_factors::find_recovery(&call.connection, user)?.is_some() => {
            Err(error::already_enrolled().into())
        }
        _ => Err(Error::NotFound.into()),
    }
}

/// `GET …/totp/enroll/`: another secret each time. It counts once a code of it is sent back.
pub(super) fn begin(api: &Api, call: Call<'_>) -> Result<Response> {
    let (user, _) = verified(&call)?;
    refuse_other_methods(&call, user.id)?;
    let seed = Seed::random();
    let totp = second_factors::find_totp(&call.connection, user.id)?;
    let body = EnrollBody {
        method: MethodBody::totp(totp.as_ref()),
        secret: seed.reveal(),
        qrcode: seed.uri(&issuer(&api.prefix), &user.email),
        form: json!([
            { "name": "otp", "type": "string", "label": "Code from the app", "required": true, "maxLength": 20 },
        ]),
    };
    Ok(answer(200, &body))
}

/// `POST …/totp/enroll/` with `secret` and `otp`: 204. Whoever has a method already gets the new secret in its place.
pub(super) fn enroll(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let (user, session) = verified(&call)?;
    refuse_other_methods(&call, user.id)?;
    let mut fields = call.body()?;
    fields.refuse_missing("secret");
    fields.refuse_missing("otp");
    let mut seed = None;
    if let Given::Value(text) = fields.filled_text("secret", 128, Null::Refused) {
        seed = Seed::parse(&text);
        if seed.is_none() {
            fields.refuse(
                "secret",
                "This is not a secret of at least 128 bits in base32.",
            );
        }
    }
    let otp = fields.filled_text("otp", 20, Null::Refused).value();
    fields.finish()?;
    let (Some(seed), Some(otp)) = (seed, otp) else {
        return Err(error::wrong_otp().into());
    };
    let (actor, who) = (call.actor()?, (user.id, session));
    let codes = api
        .identity
        .enroll(&actor, who, &seed, Code::parse(&otp).as_ref())
        .map_err(failure)?;
    if let Some(codes) = codes {
        api.identity.put_unseen_codes(who, codes, actor.at);
    }
    Ok(Response::empty(204))
}

fn failure(problem: NotEnrolled) -> Failure {
    match problem {
        NotEnrolled::WrongCode => error::wrong_otp().into(),
        NotEnrolled::Throttled { retry_after_secs } => {
            error::too_many_tries(retry_after_secs).into()
        }
        NotEnrolled::Busy => error::busy().into(),
        NotEnrolled::NoSecondFactor => Error::NotFound.into(),
        NotEnrolled::Failed(error) => error.into(),
    }
}

/// A method that the user has.
enum Own {
    Totp(Totp),
    Recovery(Recovery),
}

/// The one that the path names by its number.
///
/// # Errors
/// `NotFound`: also one of somebody else, and what is no number.
fn get_own(call: &Call<'_>, user: UserId) -> Result<Own> {
    let segment = call.params.get("authenticator");
    if let Some(totp) = second_factors::find_totp(&call.connection, user)?
        && totp.id.to_string() == segment
    {
        return Ok(Own::Totp(totp));
    }
    let recovery = second_factors::find_recovery(&call.connection, user)?;
    let recovery = recovery.filter(|recovery| recovery.id.to_string() == segment);
    Ok(recovery.map(Own::Recovery).ok_or(Error::NotFound)?)
}

/// `GET …/{id}/`.
pub(super) fn get(api: &Api, call: Call<'_>) -> Result<Response> {
    let (user, session) = verified(&call)?;
    let body = match get_own(&call, user.id)? {
        Own::Totp(totp) => MethodBody::totp(Some(&totp)),
        Own::Recovery(recovery) => {
            let now = call.request.received;
            // Not for a request whose answer has no body.
            let codes = match call.request.method {
                Method::Get => api.identity.take_unseen_codes((user.id, session), now),
                _ => None,
            };
            MethodBody::recovery(Some(&recovery), codes.as_deref())
        }
    };
    Ok(answer(200, &body))
}

/// `PUT …/{id}/` of the recovery codes: others in their place, which this answer shows.
pub(super) fn regenerate(api: &Api, call: Call<'_>) -> Result<Response> {
    let (user, _) = verified(&call)?;
    let Own::Recovery(_) = get_own(&call, user.id)? else {
        let text = "Only recovery codes can be made anew here.";
        return Err(error::detail(400, text).into());
    };
    let actor = call.actor()?;
    let codes = api.identity.regenerate_codes(&actor, user.id);
    let codes = codes.map_err(failure)?;
    let recovery = second_factors::find_recovery(&call.connection, user.id)?;
    Ok(answer(
        200,
        &MethodBody::recovery(recovery.as_ref(), Some(&codes)),
    ))
}

/// `DELETE …/{id}/`: 204. Without one-time codes there are no recovery codes either.
pub(super) fn delete(api: &Api, call: Call<'_>) -> Result<Response> {
    let (user, session) = verified(&call)?;
    let actor = call.actor()?;
    match get_own(&call, user.id)? {
        Own::Recovery(_) => {
            let user = user.id;
            api.store
                .write(move |unit| second_factors::delete_codes(unit, &actor, user))?;
        }
        Own::Totp(_) => match api
            .identity
            .remove_second_factor(&actor, user.id, session)?
        {
            Removal::Done | Removal::Absent => {}
            Removal::Demanded => {
                let text = "Cannot delete authenticator because organization requires 2FA";
                return Err(error::detail(403, text).into());
            }
        },
    }
    Ok(Response::empty(204))
}
