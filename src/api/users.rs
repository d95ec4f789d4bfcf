//! Users as the API shows them: to themselves, and as members of organizations (facts/management-api.md 11.3,
//! facts/auth-and-tokens.md 7).

use serde::Serialize;
use serde_json::json;

use crate::domain::Result;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::store::users::User;
use crate::store::{Connection, second_factors};

/// What every answer about a user has. What Picket does not have (experiments, other identities) is empty, because clients expect the fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserBody {
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
    /// Only the user sees them.
    emails: Vec<EmailBody>,
    avatar: AvatarBody,
    identities: [(); 0],
    /// Only the user sees them.
    authenticators: Vec<AuthenticatorBody>,
}

/// An address; the one that a user has carries the user's own number.
#[derive(Serialize)]
struct EmailBody {
    id: String,
    email: String,
    /// Somebody with access to the machine entered it.
    is_verified: bool,
}

/// A second factor, as far as it is told with the user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthenticatorBody {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    date_created: Timestamp,
    date_used: Option<Timestamp>,
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

/// A user as the user sees it.
#[derive(Serialize)]
pub(super) struct SelfBody {
    #[serde(flatten)]
    user: UserBody,
    options: UserOptionsBody,
    flags: serde_json::Value,
    permissions: [(); 0],
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

/// A user as the members of an organization see it.
#[derive(Serialize)]
pub(super) struct MemberUserBody {
    #[serde(flatten)]
    user: UserBody,
    /// Nobody takes another's second factor away over the API.
    #[serde(rename = "canReset2fa")]
    can_reset_2fa: bool,
}

pub(super) const TOTP_NAME: &str = "Authenticator App";
pub(super) const RECOVERY_NAME: &str = "Recovery Codes";

/// What a user is called: by name, or by address without one.
pub(super) fn display_name<'a>(name: &'a str, email: &'a str) -> &'a str {
    if name.is_empty() { email } else { name }
}

impl UserBody {
    pub(super) fn of(user: &User, is_self: bool) -> UserBody {
        let emails = is_self.then(|| EmailBody {
            id: user.id.to_string(),
            email: user.email.clone(),
            is_verified: true,
        });
        UserBody {
            id: user.id.to_string(),
            name: display_name(&user.name, &user.email).to_owned(),
            username: user.email.clone(),
            email: user.email.clone(),
            avatar_url: None,
            is_active: user.active,
            is_suspended: false,
            has_password_auth: user.password_hash.is_some(),
            is_managed: false,
            date_joined: user.created,
            last_login: user.last_login,
            has2fa: user.has_second_factor,
            last_active: user.last_active,
            is_superuser: user.superuser,
            is_staff: false,
            experiments: json!({}),
            emails: emails.into_iter().collect(),
            avatar: AvatarBody::LETTER,
            identities: [],
            authenticators: Vec::new(),
        }
    }
}

impl AuthenticatorBody {
    fn list(connection: &Connection, user: UserId) -> Result<Vec<AuthenticatorBody>> {
        let totp = second_factors::find_totp(connection, user)?;
        let totp = totp.map(|totp| AuthenticatorBody {
            id: totp.id.to_string(),
            kind: "totp",
            name: TOTP_NAME,
            date_created: totp.created,
            date_used: totp.last_used,
        });
        let recovery = second_factors::find_recovery(connection, user)?;
        let recovery = recovery.map(|recovery| AuthenticatorBody {
            id: recovery.id.to_string(),
            kind: "recovery",
            name: RECOVERY_NAME,
            date_created: recovery.created,
            date_used: recovery.last_used,
        });
        Ok(totp.into_iter().chain(recovery).collect())
    }
}

impl SelfBody {
    pub(super) fn read(connection: &Connection, user: &User) -> Result<SelfBody> {
        let authenticators = AuthenticatorBody::list(connection, user.id)?;
        Ok(SelfBody {
            user: UserBody {
                authenticators,
                ..UserBody::of(user, true)
            },
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
        })
    }
}

impl MemberUserBody {
    pub(super) fn of(user: &User, is_self: bool) -> MemberUserBody {
        MemberUserBody {
            user: UserBody::of(user, is_self),
            can_reset_2fa: false,
        }
    }
}
