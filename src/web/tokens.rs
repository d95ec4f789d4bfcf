//! The pages of API tokens: `/settings/account/api/auth-tokens/`, a user's own, and `/settings/{org}/auth-tokens/`, an
//! organization's. Both have the same pages, on a [`Shelf`] that says whose tokens are on it and what the visitor may do
//! with them, which is what the API lets the visitor do. A token is shown once, on the page that answers the form.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{Form, redirect};
use super::layout::{self, Head, minute};
use super::{Visit, Web};
use crate::domain::access::Access;
use crate::domain::id::{ProjectId, TokenId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{GRACE_SECS, NAME_CHARS_MAX, Token, TokenOwner, TokenText, USE_DAYS};
use crate::http::Response;
use crate::store::organizations::{self, Organization};
use crate::store::tokens::{self, NewToken};
use crate::store::{Connection, members, projects};

/// Whose tokens the pages are about.
struct Shelf {
    owner: TokenOwner,
    /// The path of the list, and the beginning of all others.
    base: String,
    title: String,
    organization: Option<(Organization, Access)>,
}

impl Shelf {
    /// # Errors
    /// `NotFound`: no such organization. `Forbidden`: the visitor is not in it.
    fn find(visit: &Visit<'_>) -> Result<Shelf> {
        let user = visit.signed_in()?.user.id;
        let Some(segment) = visit.params.find("org") else {
            return Ok(Shelf {
                owner: TokenOwner::User(user),
                base: "/settings/account/api/auth-tokens/".to_owned(),
                title: "API tokens".to_owned(),
                organization: None,
            });
        };
        let segment = IdOrSlug::parse(segment);
        let organization =
            organizations::find(&visit.connection, &segment)?.ok_or(Failure::NotFound)?;
        let membership = members::find_membership(&visit.connection, organization.id, user)?;
        let access = Access::of_user(ScopeSet::ALL, membership, organization.policy);
        if !access.allows(ScopeSet::of(&[Scope::OrgRead])) {
            return Err(Failure::Forbidden);
        }
        Ok(Shelf {
            owner: TokenOwner::Organization(organization.id),
            base: format!("/settings/{}/auth-tokens/", organization.slug),
            title: format!("Tokens of {}", organization.name),
            organization: Some((organization, access)),
        })
    }

    /// Whether the visitor may end a token, or put another in its place.
    fn may_remove(&self) -> bool {
        self.organization.as_ref().is_none_or(|(_, access)| {
            access.allows(ScopeSet::of(&[Scope::OrgWrite, Scope::OrgAdmin]))
        })
    }

    fn withheld(&self, scopes: ScopeSet) -> ScopeSet {
        match &self.organization {
            Some((_, access)) => access.withheld(scopes),
            None => ScopeSet::NONE,
        }
    }

    /// The scopes that the visitor may give a token.
    fn offered(&self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(|scope| self.withheld(ScopeSet::of(&[*scope])).is_empty())
    }

    fn text(&self, web: &Web, now: Timestamp) -> TokenText {
        match &self.organization {
            Some((organization, _)) => {
                TokenText::random_organization(organization.slug.as_str(), &web.prefix, now)
            }
            None => TokenText::random_user(),
        }
    }

    /// The token of the path.
    fn token(&self, web: &Web, visit: &Visit<'_>) -> Result<Token> {
        let id = visit.params.get("token").parse();
        let id = id.map(TokenId).map_err(|_| Failure::NotFound)?;
        let token = tokens::find_of(&visit.connection, self.owner, id)?;
        let token = token.ok_or(Failure::NotFound)?;
        Ok(web.identity.token_uses.complete(token))
    }

    /// # Errors
    /// `Forbidden`: the visitor may not end a token.
    fn refuse_removal(&self) -> Result<()> {
        match self.may_remove() {
            true => Ok(()),
            false => Err(Failure::Forbidden),
        }
    }
}

/// A token as a page tells about it.
struct Shown {
    id: TokenId,
    /// Never empty.
    name: String,
    /// As it was given.
    own_name: String,
    last_characters: String,
    scopes: String,
    projects: String,
    created: String,
    expires: String,
    state: &'static str,
    is_warning: bool,
    last_used: String,
    last_address: String,
}

impl Shown {
    fn of(connection: &Connection, token: Token, now: Timestamp) -> Result<Shown> {
        let expires_soon = token.expires_soon(now).is_some();
        let is_expired = token.is_expired(now);
        let mut names = Vec::new();
        for id in &token.projects {
            let name = project_name(connection, *id)?;
            names.push(name.unwrap_or_else(|| format!("{id} (deleted)")));
        }
        Ok(Shown {
            id: token.id,
            name: match token.name.is_empty() {
                true => "(no name)".to_owned(),
                false => token.name.clone(),
            },
            own_name: token.name,
            last_characters: token.last_characters,
            scopes: token.scopes.to_string(),
            projects: match names.is_empty() {
                true => "all projects".to_owned(),
                false => names.join(", "),
            },
            created: minute(token.created),
            expires: token.expires.map_or_else(|| "never".to_owned(), minute),
            state: if is_expired {
                "expired"
            } else if expires_soon {
                "expires soon"
            } else {
                ""
            },
            is_warning: is_expired || expires_soon,
            last_used: token.last_used.map_or_else(|| "never".to_owned(), minute),
            last_address: token.last_address.unwrap_or_default(),
        })
    }
}

/// `organization/project`, by their slugs; none if it is gone.
fn project_name(connection: &Connection, id: ProjectId) -> Result<Option<String>> {
    let Some(organization) = projects::find_organization(connection, id)? else {
        return Ok(None);
    };
    let project = projects::find(connection, organization, &IdOrSlug::Id(id.0))?;
    let organization = organizations::find(connection, &IdOrSlug::Id(organization.0))?;
    Ok(organization
        .zip(project)
        .map(|(organization, project)| format!("{}/{}", organization.slug, project.slug)))
}

#[derive(Template)]
#[template(path = "tokens.html", config = "src/web/askama.toml")]
struct ListPage<'a> {
    head: Head<'a>,
    shelf: &'a Shelf,
    tokens: Vec<Shown>,
    /// Whose tokens can be looked at too.
    organizations: Vec<Organization>,
}

pub(super) fn list(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let now = visit.now();
    let tokens = tokens::list_of(&visit.connection, shelf.owner)?
        .into_iter()
        .map(|token| web.identity.token_uses.complete(token))
        .map(|token| Shown::of(&visit.connection, token, now))
        .collect::<Result<_>>()?;
    let organizations = match shelf.owner {
        TokenOwner::User(user) => organizations::list(
            &visit.connection,
            organizations::OrganizationsOf::User(user),
            &organizations::OrganizationFilter::default(),
            organizations::OrganizationSlice::ByName,
        )?,
        TokenOwner::Organization(_) | TokenOwner::ApiKey(_) => Vec::new(),
    };
    let page = ListPage {
        head: Head::of(visit),
        shelf: &shelf,
        tokens,
        organizations,
    };
    Ok(layout::page(200, &page))
}

/// A scope that can be ticked.
struct Choice {
    scope: &'static str,
    meaning: &'static str,
    opens_nothing: bool,
    is_ticked: bool,
}

#[derive(Template)]
#[template(path = "token_new.html", config = "src/web/askama.toml")]
struct NewPage<'a> {
    head: Head<'a>,
    shelf: &'a Shelf,
    choices: Vec<Choice>,
    name: &'a str,
    expires: &'a str,
    projects: &'a str,
    problems: Vec<String>,
}

fn form_page(visit: &Visit<'_>, shelf: &Shelf, problems: Vec<String>) -> Response {
    let form = &visit.form;
    let is_first = form.text("csrf").is_empty();
    let ticked: Vec<&str> = form.texts("scope").collect();
    let by_default = match shelf.owner {
        TokenOwner::User(_) => ScopeSet::NONE,
        owner => owner.default_scopes(),
    };
    let choices = shelf
        .offered()
        .map(|scope| Choice {
            scope: scope.as_str(),
            meaning: meaning(scope),
            opens_nothing: Scope::OPEN_NOTHING.contains(scope),
            is_ticked: match is_first {
                true => by_default.contains(scope),
                false => ticked.contains(&scope.as_str()),
            },
        })
        .collect();
    let status = if problems.is_empty() { 200 } else { 400 };
    let page = NewPage {
        head: Head::of(visit),
        shelf,
        choices,
        name: form.text("name"),
        expires: form.text("expires"),
        projects: form.text("projects"),
        problems,
    };
    layout::page(status, &page)
}

pub(super) fn show_form(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    Ok(form_page(visit, &shelf, Vec::new()))
}

pub(super) fn create(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let text = shelf.text(web, visit.now());
    let new = match read_form(&shelf, visit, &text)? {
        Ok(new) => new,
        Err(problems) => return Ok(form_page(visit, &shelf, problems)),
    };
    let actor = visit.signed_in()?.actor(visit.request);
    let token = web
        .store
        .write(move |unit| tokens::create(unit, &actor, &new))?;
    made_page(visit, &shelf, token, &text)
}

/// The token that a form asks for, or everything that is wrong with it.
fn read_form(
    shelf: &Shelf,
    visit: &Visit<'_>,
    text: &TokenText,
) -> Result<Result<NewToken, Vec<String>>> {
    let form = &visit.form;
    let mut problems = Vec::new();
    let name = read_name(form, shelf).unwrap_or_else(|problem| {
        problems.push(problem);
        String::new()
    });
    let mut scopes = ScopeSet::NONE;
    for name in form.texts("scope") {
        match Scope::parse(name) {
            Some(scope) => scopes = scopes.union(ScopeSet::of(&[scope])),
            None => problems.push(format!("Scopes: there is no scope {name}.")),
        }
    }
    let scopes = scopes.with_implied();
    if scopes.is_empty() {
        problems.push("Scopes: tick at least one.".to_owned());
    }
    let withheld = shelf.withheld(scopes);
    if !withheld.is_empty() {
        problems.push(format!("Scopes: you do not have {withheld} yourself."));
    }
    let expires = match form.text("expires").trim() {
        "" => None,
        text => {
            let moment = Timestamp::parse_iso(text);
            let ahead = moment.filter(|moment| *moment > visit.now() && *moment <= Timestamp::LAST);
            if ahead.is_none() {
                problems
                    .push("Expires: give a day that lies ahead, such as 2030-01-31.".to_owned());
            }
            ahead
        }
    };
    let mut only = Vec::new();
    let names = form.text("projects");
    for name in names
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|name| !name.is_empty())
    {
        match tokens::find_project(&visit.connection, shelf.owner, name)? {
            Some(project) => only.push(project),
            None => problems.push(format!(
                "Projects: there is no project {name} that you see."
            )),
        }
    }
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    Ok(Ok(NewToken {
        owner: shelf.owner,
        name,
        text: text.clone(),
        scopes,
        expires,
        projects: only,
    }))
}

/// # Errors
/// A sentence about what is wrong with it.
fn read_name(form: &Form, shelf: &Shelf) -> Result<String, String> {
    let name = form.text("name").trim();
    if name.is_empty() && shelf.organization.is_some() {
        return Err("Name: it cannot be blank.".to_owned());
    }
    if name.chars().count() > NAME_CHARS_MAX || name.contains('\0') {
        return Err(format!("Name: at most {NAME_CHARS_MAX} characters."));
    }
    Ok(name.to_owned())
}

#[derive(Template)]
#[template(path = "token_made.html", config = "src/web/askama.toml")]
struct MadePage<'a> {
    head: Head<'a>,
    shelf: &'a Shelf,
    token: Shown,
    text: &'a str,
}

/// The only page that shows a token.
fn made_page(visit: &Visit<'_>, shelf: &Shelf, token: Token, text: &TokenText) -> Result<Response> {
    let page = MadePage {
        head: Head::of(visit),
        shelf,
        token: Shown::of(&visit.connection, token, visit.now())?,
        text: text.reveal(),
    };
    Ok(layout::page(200, &page))
}

/// A day of a token's use, with its bar in a picture of so many days and [`BAR_HEIGHT`].
struct Day {
    date: String,
    requests: i64,
    x: i64,
    y: i64,
    height: i64,
}

const BAR_HEIGHT: i64 = 30;

#[derive(Template)]
#[template(path = "token.html", config = "src/web/askama.toml")]
struct TokenPage<'a> {
    head: Head<'a>,
    shelf: &'a Shelf,
    token: Shown,
    days: Vec<Day>,
    days_kept: i64,
    problem: Option<String>,
}

pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let token = shelf.token(web, visit)?;
    token_page(web, visit, &shelf, token, None)
}

fn token_page(
    web: &Web,
    visit: &Visit<'_>,
    shelf: &Shelf,
    token: Token,
    problem: Option<String>,
) -> Result<Response> {
    const DAY_SECS: i64 = 86_400;
    let first = visit.now().secs().div_euclid(DAY_SECS) - USE_DAYS + 1;
    let written = tokens::list_use(&visit.connection, token.id)?;
    let counted = web.identity.token_uses.requests_per_day(token.id, written);
    let most = counted.iter().map(|(_, requests)| *requests).max();
    let most = most.unwrap_or_default().max(1);
    let days = counted
        .into_iter()
        .filter(|(day, _)| (first..first + USE_DAYS).contains(day))
        .map(|(day, requests)| {
            let height = (requests.saturating_mul(BAR_HEIGHT) / most).max(1);
            Day {
                date: Timestamp::from_secs(day * DAY_SECS).to_string()[..10].to_owned(),
                requests,
                x: day - first,
                y: BAR_HEIGHT - height,
                height,
            }
        })
        .collect();
    let status = if problem.is_some() { 400 } else { 200 };
    let page = TokenPage {
        head: Head::of(visit),
        shelf,
        token: Shown::of(&visit.connection, token, visit.now())?,
        days,
        days_kept: USE_DAYS,
        problem,
    };
    Ok(layout::page(status, &page))
}

pub(super) fn rename(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let token = shelf.token(web, visit)?;
    let name = match read_name(&visit.form, &shelf) {
        Ok(name) => name,
        Err(problem) => return token_page(web, visit, &shelf, token, Some(problem)),
    };
    let path = format!("{}{}/", shelf.base, token.id);
    web.store
        .write(move |unit| tokens::rename(unit, &token, &name))?;
    Ok(redirect(path))
}

#[derive(Template)]
#[template(path = "token_rotate.html", config = "src/web/askama.toml")]
struct RotatePage<'a> {
    head: Head<'a>,
    shelf: &'a Shelf,
    token: Shown,
}

pub(super) fn show_rotation(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let token = shelf.token(web, visit)?;
    refuse_rotation(&shelf, &token)?;
    let page = RotatePage {
        head: Head::of(visit),
        shelf: &shelf,
        token: Shown::of(&visit.connection, token, visit.now())?,
    };
    Ok(layout::page(200, &page))
}

/// # Errors
/// `Forbidden`: as the API has it.
fn refuse_rotation(shelf: &Shelf, token: &Token) -> Result<()> {
    shelf.refuse_removal()?;
    match shelf.withheld(token.scopes).is_empty() {
        true => Ok(()),
        false => Err(Failure::Forbidden),
    }
}

pub(super) fn rotate(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let old = shelf.token(web, visit)?;
    refuse_rotation(&shelf, &old)?;
    let grace_secs = match visit.form.text("old") {
        "hour" => 3600,
        "week" => 7 * 86_400,
        _ => GRACE_SECS,
    };
    let until = visit.now().plus_secs(grace_secs);
    let text = shelf.text(web, visit.now());
    let (actor, shown) = (visit.signed_in()?.actor(visit.request), text.clone());
    let token = web
        .store
        .write(move |unit| tokens::rotate(unit, &actor, &old, &text, until))?;
    made_page(visit, &shelf, token, &shown)
}

pub(super) fn revoke(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let token = shelf.token(web, visit)?;
    shelf.refuse_removal()?;
    let actor = visit.signed_in()?.actor(visit.request);
    web.store
        .write(move |unit| tokens::revoke(unit, &actor, &token))?;
    Ok(redirect(shelf.base))
}

/// `POST /settings/account/api/auth-tokens/revoke-all/`.
pub(super) fn revoke_all(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let shelf = Shelf::find(visit)?;
    let actor = visit.signed_in()?.actor(visit.request);
    let owner = shelf.owner;
    web.store
        .write(move |unit| tokens::revoke_all(unit, &actor, owner))?;
    Ok(redirect(shelf.base))
}

/// What a scope is for, in plain words.
fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::OrgRead => "look at organizations and statistics",
        Scope::OrgWrite => "change organizations, read the audit log",
        Scope::OrgAdmin => "delete organizations",
        Scope::OrgIntegrations => "integrations",
        Scope::OrgCi => "build tools: releases and uploads",
        Scope::MemberRead => "look at members",
        Scope::MemberInvite => "invite members",
        Scope::MemberWrite => "change members",
        Scope::MemberAdmin => "remove members, give roles",
        Scope::TeamRead => "look at teams",
        Scope::TeamWrite => "make and change teams",
        Scope::TeamAdmin => "delete teams",
        Scope::ProjectRead => "look at projects, keys and events",
        Scope::ProjectWrite => "make and change projects and keys",
        Scope::ProjectAdmin => "delete projects and keys",
        Scope::ProjectReleases => "releases",
        Scope::ProjectDistribution => "distribution",
        Scope::EventRead => "look at events",
        Scope::EventWrite => "change issues; opens what event:read does for now",
        Scope::EventAdmin => "delete issues; opens what event:read does for now",
        Scope::AlertsRead => "look at alerts",
        Scope::AlertsWrite => "change alerts",
        Scope::Openid | Scope::Profile | Scope::Email => "signing in elsewhere",
    }
}
