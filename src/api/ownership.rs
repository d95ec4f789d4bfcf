//! `P/ownership/`: who owns which part of a project's code (facts/management-api.md 10). The rules are kept and
//! checked; assigning issues by them comes with issues.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::json;

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::{Api, Call, InProject};
use crate::domain::Error;
use crate::domain::access::Access;
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

const ASSIGNMENT: &str = "autoAssignment";

/// Its words, the default first.
const ASSIGNMENTS: [&str; 3] = [
    "Auto Assign to Issue Owner",
    "Auto Assign to Suspect Commits",
    "Turn off Auto-Assignment",
];

const RAW_CHARS_MAX: usize = 100_000;

/// Owners by how rules name them, each looked up once.
struct Owners<'a> {
    connection: &'a Connection,
    context: &'a InProject,
    known: HashMap<Owner, Option<OwnerBody>>,
}

impl Owners<'_> {
    /// A team that has the project, or a member who can see it.
    fn find(&mut self, owner: &Owner) -> Result<Option<OwnerBody>, Error> {
        if let Some(known) = self.known.get(owner) {
            return Ok(known.clone());
        }
        let found = match owner {
            Owner::Team(slug) => self.team(slug)?,
            Owner::User(email) => self.user(email)?,
        };
        self.known.insert(owner.clone(), found.clone());
        Ok(found)
    }

    fn team(&self, slug: &str) -> Result<Option<OwnerBody>, Error> {
        let segment = IdOrSlug::Slug(slug.to_owned());
        let team = teams::find(self.connection, self.context.organization.id, &segment)?;
        let team = team.filter(|team| self.context.teams.contains(&team.id));
        Ok(team.map(|team| OwnerBody {
            kind: "team",
            id: team.id.to_string(),
            name: team.slug.to_string(),
        }))
    }

    fn user(&self, email: &str) -> Result<Option<OwnerBody>, Error> {
        let Some(user) = users::find_by_email(self.connection, email)?.filter(|user| user.active)
        else {
            return Ok(None);
        };
        let organization = &self.context.organization;
        let membership = members::find_membership(self.connection, organization.id, user.id)?;
        let access = Access::of_user(ScopeSet::ALL, membership, organization.policy);
        Ok(access.sees_project(&self.context.teams).then(|| OwnerBody {
            kind: "user",
            id: user.id.to_string(),
            name: user.email,
        }))
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

fn owners<'a>(connection: &'a Connection, context: &'a InProject) -> Owners<'a> {
    Owners {
        connection,
        context,
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

/// `PUT P/ownership/`: 200 with what there is then; what is there already changes nothing, also not the dates. With
/// `project:read` alone a caller may write the rules, and nothing else.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let mut fields = call.body()?;
    let writes = ScopeSet::of(&[Scope::ProjectWrite, Scope::ProjectAdmin]);
    let scopes = context.access.project_scopes(&context.teams);
    if !scopes.intersects(writes) && !fields.names().eq(["raw"]) {
        return Err(Error::Forbidden.into());
    }
    let raw = read_raw(&mut fields, &call, &context)?;
    let fallthrough = fields.boolean("fallthrough", Null::Refused).value();
    let auto_assignment = fields.text(ASSIGNMENT, 64, Null::Refused).value();
    let auto_sync = fields.boolean("codeownersAutoSync", Null::Refused).value();
    if let Some(word) = &auto_assignment
        && !ASSIGNMENTS.contains(&word.as_str())
    {
        // The field's name stands once more within, and a text where others have a list.
        let shape = json!({ ASSIGNMENT: "Invalid selection." });
        return Err(error::invalid_with(&fields.into_errors(), ASSIGNMENT, shape).into());
    }
    fields.finish()?;
    let actor = call.actor()?;
    let project = context.project.clone();
    api.store.write(move |unit| {
        if !projects::is_in(unit, project.organization, project.id)? {
            return Err(Error::NotFound);
        }
        let old = ownership::find(unit, project.id)?.unwrap_or_else(|| unset(actor.at));
        let mut new = old.clone();
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
        if new == old {
            return Ok(());
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
    // In order, and each once.
    let mut unknown = BTreeSet::new();
    for owner in rules.iter().flat_map(|rule| &rule.owners) {
        if owners.find(owner)?.is_none() {
            unknown.insert(owner.to_string());
        }
    }
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_iter().collect();
        fields.refuse(NAME, format!("Invalid rule owners: {}", unknown.join(", ")));
        return Ok(Given::Absent);
    }
    Ok(Given::Value(text))
}
