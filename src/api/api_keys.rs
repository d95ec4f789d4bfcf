//! Legacy API keys of an organization, sent as a user name with an empty password (facts/auth-and-tokens.md 4).
//!
//! Nobody makes one through the API any more, in Sentry neither; the command line does. Only a key's hash is kept
//! (design 6), so that where Sentry shows the key again, asterisks and its last four characters stand in its place: a
//! client that reads the field gets a text of the right length that opens nothing.

use serde::Serialize;
use serde_json::Value;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::token_parts::{UsageBody, read_scopes};
use super::{Api, Call, InOrganization};
use crate::domain::Error;
use crate::domain::id::TokenId;
use crate::domain::origin::OriginPattern;
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::domain::token::{LABEL_CHARS_MAX, Token, TokenOwner};
use crate::http::Response;
use crate::store::tokens::{self, ApiKeyChange};

#[derive(Serialize)]
struct ApiKeyBody {
    id: String,
    label: String,
    /// Not the key: 28 asterisks and its last four characters.
    key: String,
    scope_list: ScopeSet,
    /// 0 for an active one, 1 for one that is switched off.
    status: u8,
    /// One a line.
    allowed_origins: String,
    /// Ours, as what follows.
    #[serde(rename = "dateCreated")]
    date_created: Timestamp,
    #[serde(rename = "dateLastUsed")]
    date_last_used: Option<Timestamp>,
}

const ACTIVE: u8 = 0;
const INACTIVE: u8 = 1;

impl ApiKeyBody {
    fn of(api: &Api, key: Token) -> ApiKeyBody {
        let key = api.identity.token_uses.complete(key);
        ApiKeyBody {
            id: key.id.to_string(),
            key: format!("{}{}", "*".repeat(28), key.last_characters),
            scope_list: key.scopes,
            status: if key.disabled { INACTIVE } else { ACTIVE },
            date_created: key.created,
            date_last_used: key.last_used,
            label: key.name,
            allowed_origins: key.allowed_origins,
        }
    }
}

/// `GET O/api-keys/`: by label.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let owner = TokenOwner::ApiKey(context.organization.id);
    let mut keys = tokens::list_of(&call.connection, owner)?;
    keys.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let bodies: Vec<_> = keys
        .into_iter()
        .map(|key| ApiKeyBody::of(api, key))
        .collect();
    Ok(Response::json(200, &bodies))
}

/// The key of the path.
fn get_own(call: &Call<'_>, context: &InOrganization) -> Result<Token> {
    let owner = TokenOwner::ApiKey(context.organization.id);
    let id = call.params.get("api_key").parse();
    let id = id.map_err(|_| Error::NotFound)?;
    Ok(tokens::find_of(&call.connection, owner, TokenId(id))?.ok_or(Error::NotFound)?)
}

/// `GET O/api-keys/{id}/`.
pub(super) fn get(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let key = get_own(&call, &context)?;
    Ok(Response::json(200, &ApiKeyBody::of(api, key)))
}

/// `PUT O/api-keys/{id}/`: what the body names.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let key = get_own(&call, &context)?;
    let mut fields = call.body()?;
    let label = fields.filled_text("label", LABEL_CHARS_MAX, Null::Refused);
    let change = ApiKeyChange {
        label: label.value(),
        scopes: match fields.has("scope_list") {
            true => read_scopes(&mut fields, "scope_list"),
            false => None,
        },
        disabled: read_status(&mut fields),
        allowed_origins: read_origins(&mut fields),
    };
    fields.finish()?;
    let actor = call.actor()?;
    let key = api
        .store
        .write(move |unit| tokens::change_api_key(unit, &actor, &key, &change))?;
    Ok(Response::json(200, &ApiKeyBody::of(api, key)))
}

/// `status` as a number, as it is shown, or as a word; whether it switches the key off.
fn read_status(fields: &mut Fields) -> Option<bool> {
    let choices = ["0", "1", "active", "inactive"];
    let status = fields.choice("status", &choices, Null::Refused, false);
    let status = status.value()?;
    Some(["1", "inactive"].contains(&status.as_str()))
}

/// `allowed_origins` as a list, or as a text with a line for each; one a line.
fn read_origins(fields: &mut Fields) -> Option<String> {
    const NAME: &str = "allowed_origins";
    const CHARS_MAX: usize = 4000;
    let lines = match fields.raw(NAME)? {
        Value::Null => String::new(),
        Value::Array(_) => match fields.texts(NAME, Null::Refused) {
            Given::Value(origins) => origins.join("\n"),
            Given::Absent | Given::Null => return None,
        },
        _ => fields.text(NAME, CHARS_MAX, Null::Refused).value()?,
    };
    let origins: Vec<&str> = lines
        .split(['\n', '\r', ','])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if let Some(wrong) = origins
        .iter()
        .find(|line| line.contains(char::is_whitespace) || OriginPattern::parse(line).is_none())
    {
        fields.refuse(NAME, format!("{wrong} is not an acceptable domain"));
    }
    if lines.chars().count() > CHARS_MAX {
        let text = format!("Ensure this field has no more than {CHARS_MAX} characters.");
        fields.refuse(NAME, text);
    }
    Some(origins.join("\n"))
}

/// `DELETE O/api-keys/{id}/`: 204; it is of no use from the next request on.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let key = get_own(&call, &context)?;
    let actor = call.actor()?;
    api.store
        .write(move |unit| tokens::revoke(unit, &actor, &key))?;
    Ok(Response::empty(204))
}

/// `GET O/api-keys/{id}/usage/` (ours), as for tokens.
pub(super) fn usage(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let key = get_own(&call, &context)?;
    Ok(Response::json(200, &UsageBody::of(api, &call, key)?))
}
