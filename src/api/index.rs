//! Who is asking, and where: the root and the endpoints about the caller (facts/management-api.md 2,
//! facts/auth-and-tokens.md 7).

use serde::Serialize;
use serde_json::json;

use super::error::Result;
use super::{Api, Call, auth};
use crate::domain::Error;
use crate::domain::access::Caller;
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::store::users::{self, User};

#[derive(Serialize)]
struct RootBody {
    version: &'static str,
    auth: Option<AuthBody>,
    user: Option<UserBody>,
}

#[derive(Serialize)]
struct AuthBody {
    scopes: ScopeSet,
}

/// A user as the user sees it. What Picket does not have (experiments, other identities, two factors) is
/// empty, because clients expect the fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserBody {
    id: String,
    name: String,
    username: String,
    email: String,
    avatar_url: Option<String>,
    is_active: bool,
    is_suspended: bool,
    has_password_auth: bool,
    is_managed: bool,
    date_joined: Timestamp,
    last_login: Option<Timestamp>,
    has2fa: bool,
    last_active: Option<Timestamp>,
    is_superuser: bool,
    is_staff: bool,
    experiments: serde_json::Value,
    emails: Vec<EmailBody>,
    avatar: AvatarBody,
    identities: [(); 0],
    options: UserOptionsBody,
    flags: serde_json::Value,
    permissions: [(); 0],
    authenticators: [(); 0],
}

/// An address; the one that a user has carries the user's own number.
#[derive(Serialize)]
struct EmailBody {
    id: String,
    email: String,
    /// Somebody with access to the machine entered it.
    is_verified: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AvatarBody {
    avatar_type: &'static str,
    avatar_uuid: Option<String>,
    avatar_url: Option<String>,
}

impl AvatarBody {
    /// The only kind there is: the first letter of a name.
    pub(super) const LETTER: AvatarBody = AvatarBody {
        avatar_type: "letter_avatar",
        avatar_uuid: None,
        avatar_url: None,
    };
}

/// How the web pages look; nobody can change it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserOptionsBody {
    theme: &'static str,
    language: &'static str,
    stacktrace_order: i32,
    default_issue_event: &'static str,
    timezone: &'static str,
    clock24_hours: bool,
    #[serde(rename = "prefersIssueDetailsStreamlinedUI")]
    prefers_issue_details_streamlined_ui: Option<bool>,
}

impl UserBody {
    fn of(user: &User) -> UserBody {
        let name = if user.name.is_empty() {
            &user.email
        } else {
            &user.name
        };
        UserBody {
            id: user.id.to_string(),
            name: name.clone(),
            username: user.email.clone(),
            email: user.email.clone(),
            avatar_url: None,
            is_active: user.active,
            is_suspended: false,
            has_password_auth: user.password_hash.is_some(),
            is_managed: false,
            date_joined: user.created,
            last_login: None,
            has2fa: false,
            last_active: None,
            is_superuser: false,
            is_staff: false,
            experiments: json!({}),
            emails: vec![EmailBody {
                id: user.id.to_string(),
                email: user.email.clone(),
                is_verified: true,
            }],
            avatar: AvatarBody::LETTER,
            identities: [],
            options: UserOptionsBody {
                theme: "system",
                language: "en",
                stacktrace_order: -1,
                default_issue_event: "recommended",
                timezone: "UTC",
                clock24_hours: false,
                prefers_issue_details_streamlined_ui: None,
            },
            flags: json!({ "newsletter_consent_prompt": false }),
            permissions: [],
            authenticators: [],
        }
    }
}

/// `GET /api/0/`: 200 for everybody. `auth` is null without a token, `user` without a user.
pub(super) fn root(_: &Api, call: Call<'_>) -> Result<Response> {
    let auth = match &call.caller {
        Caller::Anonymous => None,
        caller => Some(AuthBody {
            scopes: caller.token_scopes(),
        }),
    };
    let body = RootBody {
        version: "0",
        auth,
        user: find_user(&call)?.as_ref().map(UserBody::of),
    };
    Ok(Response::json(200, &body))
}

/// `GET /api/0/auth/`: the user who is asking; 400 without a body when there is none, which includes
/// organization tokens.
pub(super) fn whoami(_: &Api, call: Call<'_>) -> Result<Response> {
    Ok(match find_user(&call)? {
        Some(user) => Response::json(200, &UserBody::of(&user)),
        None => Response::empty(400),
    })
}

/// `GET /api/0/users/me/`: the user who is asking; 403 for an organization token, which is nobody.
pub(super) fn me(_: &Api, call: Call<'_>) -> Result<Response> {
    match find_user(&call)? {
        Some(user) => Ok(Response::json(200, &UserBody::of(&user))),
        None if matches!(call.caller, Caller::Anonymous) => Err(auth::not_provided().into()),
        None => Err(Error::Forbidden.into()),
    }
}

/// `GET /api/0/users/me/regions/`: this server, to everybody (design 11).
pub(super) fn regions(api: &Api, _: Call<'_>) -> Result<Response> {
    let body = json!({ "regions": [{ "name": "local", "url": api.prefix.as_str() }] });
    Ok(Response::json(200, &body))
}

fn find_user(call: &Call<'_>) -> Result<Option<User>> {
    Ok(match call.caller.user() {
        Some(user) => users::find(&call.connection, user)?,
        None => None,
    })
}
