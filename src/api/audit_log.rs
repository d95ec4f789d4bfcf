//! `O/audit-logs/`: who did what in an organization (facts/auth-and-tokens.md 8).

mod events;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::error::{self, Result};
use super::period::Period;
use super::users::UserBody;
use super::{Api, Call, InOrganization, paging};
use crate::domain::id::{TokenId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenOwner;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::audit::{self, EntryFilter, StoredEntry};
use crate::store::{Connection, tokens, users};

#[derive(Serialize)]
struct LogBody {
    rows: Vec<EntryBody>,
    /// Names that `event` may be.
    options: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryBody {
    id: String,
    /// A user; of others a name alone, which says what they are.
    actor: Value,
    event: String,
    /// Null for the operator.
    ip_address: Option<String>,
    note: String,
    target_object: Option<i64>,
    /// Of what was done to a member: the user, as far as there is one.
    target_user: Option<Value>,
    data: Value,
    date_created: Timestamp,
}

/// Those who act, each looked up once for a page.
struct Names<'a> {
    connection: &'a Connection,
    users: HashMap<UserId, Value>,
}

impl Names<'_> {
    fn user(&mut self, id: UserId) -> Result<Value> {
        if let Some(known) = self.users.get(&id) {
            return Ok(known.clone());
        }
        let body = match users::find(self.connection, id)? {
            Some(user) => json!(UserBody::of(&user, false)),
            None => json!({ "name": format!("user {id}") }),
        };
        self.users.insert(id, body.clone());
        Ok(body)
    }

    /// A token without a user.
    fn token(&self, id: TokenId) -> Result<Value> {
        let name = match tokens::find(self.connection, id)? {
            Some(token) => match token.owner {
                TokenOwner::ApiKey(_) => format!("{} (API key)", token.name),
                TokenOwner::User(_) | TokenOwner::Organization(_) => {
                    format!("{} (organization token)", token.name)
                }
            },
            None => format!("token {id}"),
        };
        Ok(json!({ "name": name }))
    }

    fn actor(&mut self, entry: &StoredEntry) -> Result<Value> {
        match (entry.user, entry.token) {
            (Some(user), _) => self.user(user),
            (None, Some(token)) => self.token(token),
            (None, None) => Ok(json!({ "name": "operator (command line)" })),
        }
    }

    fn entry(&mut self, entry: StoredEntry) -> Result<EntryBody> {
        let target_user = match entry.data["user_id"].as_i64() {
            Some(id) if entry.event.starts_with("member.") => Some(self.user(UserId(id))?),
            _ => None,
        };
        Ok(EntryBody {
            id: entry.id.to_string(),
            actor: self.actor(&entry)?,
            note: events::note(&entry.event, &entry.data),
            event: entry.event,
            ip_address: entry.address,
            target_object: entry.target,
            target_user,
            data: entry.data,
            date_created: entry.at,
        })
    }
}

/// `GET O/audit-logs/`: newest first. An unknown `event` finds nothing.
pub(super) fn list(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let request = &call.request;
    let value = |name: &str| request.query_value(name).filter(|text| !text.is_empty());
    let actor = match value("actor").map(|text| text.parse()) {
        None => None,
        Some(Ok(id)) => Some(UserId(id)),
        Some(Err(_)) => {
            return Err(error::field(400, "actor", "A valid integer is required.").into());
        }
    };
    let filter = EntryFilter {
        event: value("event"),
        actor,
        between: Period::find(request)?.map(|period| (period.start, period.end)),
    };
    let page = Page::read(request, PER_PAGE_MAX)?;
    let paged = paging::by_date(
        page,
        |entry: &StoredEntry| (entry.at, entry.id),
        |place, limit| {
            let organization = context.organization.id;
            Ok(audit::list(
                &call.connection,
                organization,
                &filter,
                place,
                limit,
            )?)
        },
    )?;
    let mut names = Names {
        connection: &call.connection,
        users: HashMap::new(),
    };
    let paged = paged.replace(|entries| {
        entries
            .into_iter()
            .map(|entry| names.entry(entry))
            .collect()
    })?;
    Ok(paged.answer_with(&api.prefix, request, |rows| LogBody {
        rows,
        options: events::names().collect(),
    }))
}
