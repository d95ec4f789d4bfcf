//! `O/audit-logs/`: who did what in an organization (facts/auth-and-tokens.md 8).

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::error::{self, Result};
use super::period::Period;
use super::{Api, Call, InOrganization, paging};
use crate::domain::id::{TokenId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenOwner;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::audit::{self, EntryFilter, StoredEntry};
use crate::store::{Connection, tokens, users};

/// Every name that Sentry's log knows, in its order, then those that only Picket writes.
const EVENTS: [&str; 72] = [
    "member.invite",
    "member.add",
    "member.accept-invite",
    "member.edit",
    "member.remove",
    "member.join-team",
    "member.leave-team",
    "member.pending",
    "org.create",
    "org.edit",
    "org.remove",
    "org.restore",
    "team.create",
    "team.edit",
    "team.remove",
    "project.create",
    "project.edit",
    "project.remove",
    "project.remove-with-origin",
    "project.request-transfer",
    "project.accept-transfer",
    "project.enable",
    "project.disable",
    "tagkey.remove",
    "projectkey.create",
    "projectkey.edit",
    "projectkey.remove",
    "projectkey.change",
    "sso.enable",
    "sso.disable",
    "sso.edit",
    "sso-identity.link",
    "api-key.create",
    "api-key.edit",
    "api-key.remove",
    "rule.create",
    "rule.edit",
    "rule.remove",
    "rule.mute",
    "rule.disable",
    "servicehook.create",
    "servicehook.edit",
    "servicehook.remove",
    "integration.disable",
    "integration.upgrade",
    "integration.add",
    "integration.edit",
    "integration.remove",
    "monitor.add",
    "monitor.edit",
    "monitor.remove",
    "internal-integration.create",
    "internal-integration.add-token",
    "internal-integration.remove-token",
    "invite-request.create",
    "invite-request.remove",
    "invite.remove",
    "alertrule.create",
    "alertrule.edit",
    "alertrule.remove",
    "alertrule.mute",
    "team-and-project.created",
    "org-auth-token.create",
    "org-auth-token.remove",
    "project.ownership-rule.edit",
    "project-team.remove",
    "project-team.add",
    "issue.delete",
    "member.reinvite",
    "project.create-with-origin",
    "org-auth-token.edit",
    "project.transfer",
];

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
    actor: Value,
    event: String,
    ip_address: Option<String>,
    note: String,
    target_object: Option<i64>,
    target_user: Option<Value>,
    data: Value,
    date_created: Timestamp,
}

/// Names of those who act, each looked up once for a page.
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
            Some(user) => json!({
                "id": user.id.to_string(),
                "name": if user.name.is_empty() { &user.email } else { &user.name },
                "email": user.email,
            }),
            None => json!({ "id": id.to_string(), "name": format!("user {id}") }),
        };
        self.users.insert(id, body.clone());
        Ok(body)
    }

    fn token(&self, id: TokenId) -> Result<Value> {
        let name = match tokens::find(self.connection, id)? {
            Some(token) => match token.owner {
                TokenOwner::ApiKey(_) => format!("{} (api key)", token.name),
                TokenOwner::User(_) | TokenOwner::Organization(_) => {
                    format!("{} (token)", token.name)
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
            (None, None) => Ok(json!({ "name": "operator" })),
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
            note: note(&entry),
            event: entry.event,
            ip_address: entry.address,
            target_object: entry.target,
            target_user,
            data: entry.data,
            date_created: entry.at,
        })
    }
}

/// A sentence about an entry, as far as its data says what it is about; else empty.
fn note(entry: &StoredEntry) -> String {
    const VERBS: [(&str, &str); 11] = [
        ("create", "created"),
        ("created", "created"),
        ("add", "added"),
        ("edit", "edited"),
        ("remove", "removed"),
        ("enable", "enabled"),
        ("disable", "disabled"),
        ("invite", "invited"),
        ("reinvite", "invited again"),
        ("join-team", "joined a team:"),
        ("leave-team", "left a team:"),
    ];
    const NOUNS: [(&str, &str); 9] = [
        ("org", "organization"),
        ("team", "team"),
        ("project", "project"),
        ("projectkey", "project key"),
        ("member", "member"),
        ("org-auth-token", "organization token"),
        ("api-key", "api key"),
        ("project-team", "team of a project"),
        ("sso", "single sign-on"),
    ];
    let Some((noun, verb)) = entry.event.rsplit_once('.') else {
        return String::new();
    };
    let find = |table: &[(&'static str, &'static str)], word: &str| {
        table
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, text)| *text)
    };
    let (Some(noun), Some(verb)) = (find(&NOUNS, noun), find(&VERBS, verb)) else {
        return String::new();
    };
    let subject = [
        "slug",
        "public_key",
        "email",
        "team_slug",
        "name",
        "label",
        "state",
    ]
    .into_iter()
    .find_map(|field| entry.data[field].as_str());
    match subject {
        Some(subject) => format!("{verb} {noun} {subject}"),
        None => format!("{verb} {noun}"),
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
    let paged = paging::by_id(
        page,
        |entry: &StoredEntry| entry.id,
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
        options: EVENTS.into(),
    }))
}
