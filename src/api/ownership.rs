//! `P/ownership/`: who owns which part of a project's code (facts/management-api.md 10). The rules are kept and
//! checked; assigning issues by them comes with issues.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::json;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::{Api, Call, InProject};
use crate::domain::Error;
use crate::domain::id::OrganizationId;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::issues::ownership::{self as rules, Owner, Rule};
use crate::store::ownership::{self, Ownership};
use crate::store::{Connection, members, projects, teams, users};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnershipBody {
    /// Null before there were any rules, and when they were cleared.
    raw: Option<String>,
    fallthrough: bool,
    date_created: Option<Timestamp>,
    last_updated: Option<Timestamp>,
    is_active: bool,
    auto_assignment: String,
    codeowners_auto_sync: bool,
    /// Absent before there were any rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaBody>,
}

/// The rules, read, with the owners that there still are.
#[derive(Serialize)]
struct SchemaBody {
    #[serde(rename = "$version")]
    version: u32,
    rules: Vec<RuleBody>,
}

#[derive(Serialize)]
struct RuleBody {
    matcher: MatcherBody,
    owners: Vec<OwnerBody>,
}

#[derive(Serialize)]
struct MatcherBody {
    #[serde(rename = "type")]
    kind: String,
    pattern: String,
}

#[derive(Clone, Serialize)]
struct OwnerBody {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    name: String,
}

/// The words of `autoAssignment`, the default first.
const ASSIGNMENTS: [&str; 3] = [
    "Auto Assign to Issue Owner",
    "Auto Assign to Suspect Commits",
    "Turn off Auto-Assignment",
];

const RAW_CHARS_MAX: usize = 100_000;

/// Owners by how rules name them, each looked up once.
struct Owners<'a> {
    connection: &'a Connection,
    organization: OrganizationId,
    known: HashMap<Owner, Option<OwnerBody>>,
}

impl Owners<'_> {
    /// A member or a team of the organization.
    fn find(&mut self, owner: &Owner) -> Result<Option<OwnerBody>, Error> {
        if let Some(known) = self.known.get(owner) {
            return Ok(known.clone());
        }
        let found = match owner {
            Owner::Team(slug) => {
                let segment = IdOrSlug::Slug(slug.clone());
                teams::find(self.connection, self.organization, &segment)?.map(|team| OwnerBody {
                    kind: "team",
                    id: team.id.to_string(),
                    name: team.slug.to_string(),
                })
            }
            Owner::User(email) => match users::find_by_email(self.connection, email)? {
                Some(user) => {
                    members::find(self.connection, self.organization, user.id)?.map(|_| OwnerBody {
                        kind: "user",
                        id: user.id.to_string(),
                        name: user.email,
                    })
                }
                None => None,
            },
        };
        self.known.insert(owner.clone(), found.clone());
        Ok(found)
    }

    fn schema(&mut self, rules: Vec<Rule>) -> Result<SchemaBody, Error> {
        let mut bodies = Vec::with_capacity(rules.len());
        for rule in rules {
            let mut owners = Vec::new();
            for owner in &rule.owners {
                owners.extend(self.find(owner)?);
            }
            bodies.push(RuleBody {
                matcher: MatcherBody {
                    kind: rule.matcher.kind,
                    pattern: rule.matcher.pattern,
                },
                owners,
            });
        }
        Ok(SchemaBody {
            version: 1,
            rules: bodies,
        })
    }
}

fn owners<'a>(connection: &'a Connection, context: &InProject) -> Owners<'a> {
    Owners {
        connection,
        organization: context.organization.id,
        known: HashMap::new(),
    }
}

/// `GET P/ownership/`.
pub(super) fn get(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    answer(&call, &context)
}

fn answer(call: &Call<'_>, context: &InProject) -> Result<Response> {
    let stored = ownership::find(&call.connection, context.project.id)?;
    let schema = match stored.as_ref().and_then(|stored| stored.raw.as_deref()) {
        // Rules were checked when they came in.
        Some(raw) => {
            let rules = rules::parse(raw).unwrap_or_default();
            Some(owners(&call.connection, context).schema(rules)?)
        }
        None => None,
    };
    let dates = stored
        .as_ref()
        .map(|stored| (stored.created, stored.updated));
    let stored = stored.unwrap_or_else(|| unset(call.request.received));
    let body = OwnershipBody {
        raw: stored.raw,
        fallthrough: stored.fallthrough,
        date_created: dates.map(|(created, _)| created),
        last_updated: dates.map(|(_, updated)| updated),
        is_active: true,
        auto_assignment: stored.auto_assignment,
        codeowners_auto_sync: stored.codeowners_auto_sync,
        schema,
    };
    Ok(Response::json(200, &body))
}

/// Of a project that nobody wrote rules for.
fn unset(now: Timestamp) -> Ownership {
    Ownership {
        raw: None,
        fallthrough: true,
        auto_assignment: ASSIGNMENTS[0].to_owned(),
        codeowners_auto_sync: true,
        created: now,
        updated: now,
    }
}

/// `PUT P/ownership/`: 200 with what there is then. With `project:read` alone a caller may write the rules, and nothing
/// else.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let mut fields = call.body()?;
    let writes = ScopeSet::of(&[Scope::ProjectWrite, Scope::ProjectAdmin]);
    let scopes = context.access.project_scopes(&context.teams);
    if !scopes.intersects(writes) && fields.names().any(|name| name != "raw") {
        return Err(Error::Forbidden.into());
    }
    let raw = read_raw(&mut fields, &call, &context)?;
    let fallthrough = fields.boolean("fallthrough", Null::Refused).value();
    let auto_assignment = read_assignment(&mut fields)?;
    let auto_sync = fields.boolean("codeownersAutoSync", Null::Refused).value();
    fields.finish()?;
    let actor = call.actor()?;
    let project = context.project.clone();
    api.store.write(move |unit| {
        if !projects::is_there(unit, project.id)? {
            return Err(Error::NotFound);
        }
        let mut new = ownership::find(unit, project.id)?.unwrap_or_else(|| unset(actor.at));
        match &raw {
            Given::Absent => {}
            Given::Null => new.raw = None,
            Given::Value(text) => new.raw = Some(text.clone()),
        }
        new.fallthrough = fallthrough.unwrap_or(new.fallthrough);
        new.codeowners_auto_sync = auto_sync.unwrap_or(new.codeowners_auto_sync);
        if let Some(word) = &auto_assignment {
            new.auto_assignment.clone_from(word);
        }
        ownership::set(unit, &actor, &project, &new)
    })?;
    answer(&call, &context)
}

/// The rules; blank ones are null.
fn read_raw(fields: &mut Fields, call: &Call<'_>, context: &InProject) -> Result<Given<String>> {
    const NAME: &str = "raw";
    let text = match fields.text(NAME, usize::MAX, Null::Allowed) {
        Given::Value(text) if text.is_empty() => return Ok(Given::Null),
        Given::Value(text) => text,
        other => return Ok(other),
    };
    if text.chars().count() > RAW_CHARS_MAX {
        let text = format!("Raw needs to be <= {RAW_CHARS_MAX} characters in length");
        fields.refuse(NAME, text);
        return Ok(Given::Absent);
    }
    let rules = match rules::parse(&text) {
        Ok(rules) => rules,
        Err(why) => {
            fields.refuse(NAME, format!("Parse error: {why}"));
            return Ok(Given::Absent);
        }
    };
    if rules.iter().any(|rule| rule.matcher.kind == "codeowners") {
        let text = "Codeowner type paths can only be added by importing CODEOWNER files";
        fields.refuse(NAME, text);
        return Ok(Given::Absent);
    }
    let mut owners = owners(&call.connection, context);
    let mut unknown: Vec<String> = Vec::new();
    for owner in rules.iter().flat_map(|rule| &rule.owners) {
        let shown = owner.to_string();
        if owners.find(owner)?.is_none() && !unknown.contains(&shown) {
            unknown.push(shown);
        }
    }
    if !unknown.is_empty() {
        fields.refuse(NAME, format!("Invalid rule owners: {}", unknown.join(", ")));
        return Ok(Given::Absent);
    }
    Ok(Given::Value(text))
}

/// # Errors
/// 400 for a wrong word, in a shape of its own: the field's name stands once more within.
fn read_assignment(fields: &mut Fields) -> Result<Option<String>> {
    const NAME: &str = "autoAssignment";
    match fields.text(NAME, 64, Null::Refused).value() {
        Some(word) if !ASSIGNMENTS.contains(&word.as_str()) => {
            let body = json!({ NAME: { NAME: "Invalid selection." } });
            Err(Response::json(400, &body).into())
        }
        word => Ok(word),
    }
}
