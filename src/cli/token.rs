//! `picket token`: `create`, `list`, `show`, `rotate`, `revoke` and `revoke-all`, for tokens of every kind.

use std::io::Write;

use serde_json::{Value, json};

use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{ProjectId, TokenId};
use crate::domain::scope::ScopeSet;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{
    GRACE_SECS, LABEL_CHARS_MAX, NAME_CHARS_MAX, Token, TokenOwner, TokenText,
};
use crate::domain::{Error, Result};
use crate::store::tokens::NewToken;
use crate::store::{Connection, organizations, tokens, users};

const USER: Flag = Flag {
    name: "user",
    hint: Some("EMAIL"),
    meaning: "whose token it is; may be left out where there is only one user",
};

const ORGANIZATION: Flag = Flag {
    name: "organization",
    hint: Some("ORG"),
    meaning: "the slug or id of the organization whose token it is, instead of a user's",
};

const ID: Argument = Argument {
    name: "ID",
    meaning: "the token's id, as picket token list shows it",
};

pub(super) const CREATE: Command = Command {
    name: "token create",
    summary: "make a token and print it, once",
    about: "Makes a token and prints it. Only its hash is kept, so it can never be printed again.\n\
            A token of a user may do what both its scopes and the user's role allow; it has all scopes of an \
            owner unless --scopes names fewer. A token of an organization has the scope org:ci unless \
            --scopes names others; build tools read the server's address out of it, so --url-prefix matters.\n\
            A legacy API key (--api-key) is an organization's too, for clients that send one as a user name; it \
            has the scopes event:read, member:read, org:read, project:read and team:read unless --scopes names others.",
    arguments: &[],
    options: &[
        USER,
        ORGANIZATION,
        Flag {
            name: "api-key",
            hint: None,
            meaning: "make a legacy API key of the organization",
        },
        Flag {
            name: "name",
            hint: Some("NAME"),
            meaning: "what it is for, in up to 255 characters, an API key in up to 64 (default: cli)",
        },
        Flag {
            name: "scopes",
            hint: Some("SCOPES"),
            meaning: "names separated by spaces or commas, such as \"project:read event:read\"; each brings \
                      what it implies",
        },
        Flag {
            name: "project",
            hint: Some("ORG/PROJECT"),
            meaning: "the only project that it is for, in slugs or ids; may be given again for one more \
                      (default: all)",
        },
        Flag {
            name: "expires",
            hint: Some("WHEN"),
            meaning: "a time from now, such as 12h, 30d or 4w, or a moment, such as 2027-01-01T00:00:00Z \
                      (default: never)",
        },
        JSON,
    ],
    serves: false,
    run: create,
};

pub(super) const LIST: Command = Command {
    name: "token list",
    summary: "list the tokens",
    about: "Lists every token, or those of one user or organization: its id, kind, owner and name, its last \
            characters, whether it is active, expires soon (within 14 days), has expired or was revoked, when it was \
            made, expires and was last used, from where, and its scopes. Use is written down once a minute.",
    arguments: &[],
    options: &[
        Flag {
            name: "user",
            hint: Some("EMAIL"),
            meaning: "only the tokens of this user",
        },
        Flag {
            name: "organization",
            hint: Some("ORG"),
            meaning: "only the tokens and API keys of this organization, by slug or id",
        },
        JSON,
    ],
    serves: false,
    run: list,
};

pub(super) const SHOW: Command = Command {
    name: "token show",
    summary: "tell everything about a token, but not the token",
    about: "Tells what picket token list does, and the projects that the token is for, and how many requests came with \
            it on each of the last 90 days (UTC).",
    arguments: &[ID],
    options: &[JSON],
    serves: false,
    run: show,
};

pub(super) const ROTATE: Command = Command {
    name: "token rotate",
    summary: "make the token that comes after another one, and print it, once",
    about: "Makes a token with the owner, name, scopes and projects of another one, which lasts as long as that one was \
            made for, and prints it. The old one goes on for a while, so that whoever uses it can be given the new one.",
    arguments: &[ID],
    options: &[
        Flag {
            name: "until",
            hint: Some("WHEN"),
            meaning: "when the old one ends: a time from now, or a moment (default: 24h)",
        },
        JSON,
    ],
    serves: false,
    run: rotate,
};

pub(super) const REVOKE: Command = Command {
    name: "token revoke",
    summary: "make a token useless",
    about: "Revokes a token for good. When the command has ended, a server that runs on the database refuses it.",
    arguments: &[ID],
    options: &[JSON],
    serves: false,
    run: revoke,
};

pub(super) const REVOKE_ALL: Command = Command {
    name: "token revoke-all",
    summary: "make all tokens of a user or organization useless",
    about: "Revokes every token of a user, or every token and API key of an organization, for good. When the command \
            has ended, a server that runs on the database refuses them.",
    arguments: &[],
    options: &[
        Flag {
            name: "user",
            hint: Some("EMAIL"),
            meaning: "whose tokens",
        },
        Flag {
            name: "organization",
            hint: Some("ORG"),
            meaning: "the slug or id of the organization whose tokens, instead of a user's",
        },
        Flag {
            name: "yes",
            hint: None,
            meaning: "do it; without this the command only says how many there are, and fails",
        },
        JSON,
    ],
    serves: false,
    run: revoke_all,
};

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let is_api_key = invocation.option("api-key").is_some();
    let name = invocation.option("name").unwrap_or("cli");
    let chars_max = if is_api_key {
        LABEL_CHARS_MAX
    } else {
        NAME_CHARS_MAX
    };
    if name.trim().is_empty() || name.chars().count() > chars_max {
        let text = format!("--name: a name has 1 to {chars_max} characters");
        return Err(Failure::Usage(text));
    }
    let now = invocation.clock().now();
    let scopes = invocation.option("scopes").map(scopes).transpose()?;
    let expires = match invocation.option("expires") {
        Some(text) => Some(moment("expires", text, now)?),
        None => None,
    };
    let asked = asked_owner(invocation)?;
    if is_api_key && !matches!(asked, Asked::Organization(_)) {
        let text = "an API key belongs to an organization; --api-key needs --organization";
        return Err(Failure::Usage(text.to_owned()));
    }
    let names: Vec<String> = invocation.options("project").map(str::to_owned).collect();
    let name = name.to_owned();
    let url_prefix = invocation.config.url_prefix();
    let store = invocation.open_existing()?;
    let made = store.write(move |unit| {
        let owner = match (find_owner(unit, &asked)?, is_api_key) {
            (Ok(TokenOwner::Organization(id)), true) => TokenOwner::ApiKey(id),
            (Ok(owner), _) => owner,
            (Err(missing), _) => return Ok(Err(missing)),
        };
        let mut projects = Vec::new();
        for name in &names {
            match tokens::find_project(unit, owner, name)? {
                Some(project) => projects.push(project),
                None => return Ok(Err(no_project(owner, name))),
            }
        }
        let text = text_for(unit, owner, &url_prefix, now)?;
        let new = NewToken {
            owner,
            name: name.clone(),
            text: text.clone(),
            scopes: scopes.unwrap_or_else(|| owner.default_scopes()),
            expires,
            projects,
        };
        let token = tokens::create(unit, &Actor::operator(now), &new)?;
        Ok(Ok((text, Shown::of(unit, &token, now)?)))
    });
    store.close();
    let (text, shown) = made?.map_err(Failure::Failed)?;
    print_made(invocation, &text, &shown)
}

fn no_project(owner: TokenOwner, name: &str) -> String {
    match owner {
        TokenOwner::User(_) => format!("--project: there is no project {name} that the user sees"),
        TokenOwner::Organization(_) | TokenOwner::ApiKey(_) => {
            format!("--project: the organization has no project {name}")
        }
    }
}

/// The only time that a token is shown.
fn print_made(invocation: &Invocation, text: &TokenText, shown: &Shown) -> Result<(), Failure> {
    if invocation.json() {
        let mut value = shown.to_json();
        value["token"] = json!(text.reveal());
        return print_json(&value);
    }
    print(&format!("{}\n", text.reveal()))
}

/// Whose token is asked for.
#[derive(Clone)]
enum Asked {
    User(String),
    OnlyUser,
    Organization(String),
}

fn asked_owner(invocation: &Invocation) -> Result<Asked, Failure> {
    match (
        invocation.option("user"),
        invocation.option("organization"),
    ) {
        (Some(_), Some(_)) => Err(Failure::Usage(
            "a token belongs to a user or to an organization; give one of --user and --organization"
                .to_owned(),
        )),
        (Some(email), None) => Ok(Asked::User(email.to_owned())),
        (None, Some(organization)) => Ok(Asked::Organization(organization.to_owned())),
        (None, None) => Ok(Asked::OnlyUser),
    }
}

/// The owner, or one sentence about why there is none.
fn find_owner(
    connection: &Connection,
    asked: &Asked,
) -> Result<std::result::Result<TokenOwner, String>> {
    Ok(match asked {
        Asked::User(email) => users::find_by_email(connection, email)?
            .map(|user| TokenOwner::User(user.id))
            .ok_or_else(|| format!("there is no user {email}")),
        Asked::OnlyUser => match users::list(connection)?.as_slice() {
            [user] => Ok(TokenOwner::User(user.id)),
            [] => Err("there are no users, so --organization is needed".to_owned()),
            [_, _, ..] => Err("there are several users; --user says whose token it is".to_owned()),
        },
        Asked::Organization(text) => organizations::find(connection, &IdOrSlug::parse(text))?
            .map(|organization| TokenOwner::Organization(organization.id))
            .ok_or_else(|| format!("there is no organization {text}")),
    })
}

fn text_for(
    connection: &Connection,
    owner: TokenOwner,
    url_prefix: &UrlPrefix,
    now: Timestamp,
) -> Result<TokenText> {
    Ok(match owner {
        TokenOwner::User(_) => TokenText::random_user(),
        TokenOwner::Organization(id) => {
            let found = organizations::find(connection, &IdOrSlug::Id(id.0))?;
            let organization = found.ok_or(Error::NotFound)?;
            TokenText::random_organization(organization.slug.as_str(), url_prefix, now)
        }
        TokenOwner::ApiKey(_) => TokenText::random_api_key(),
    })
}

fn scopes(text: &str) -> Result<ScopeSet, Failure> {
    match ScopeSet::parse(text) {
        Ok(scopes) if scopes.is_empty() => {
            Err(Failure::Usage("--scopes: no scope is named".to_owned()))
        }
        Ok(scopes) => Ok(scopes),
        Err(unknown) => {
            let known = ScopeSet::ALL;
            Err(Failure::Usage(format!(
                "--scopes: {unknown:?} is no scope; there are {known}"
            )))
        }
    }
}

/// Reads a time from now (`30d`) or a moment in RFC 3339, which must lie ahead.
pub(super) fn moment(flag: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("--{flag}: {text:?} {why}"));
    let unit_secs = match text.chars().last() {
        Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(3600),
        Some('d') => Some(86_400),
        Some('w') => Some(7 * 86_400),
        _ => None,
    };
    let from_now = unit_secs.and_then(|secs| {
        let count: i64 = text[..text.len() - 1].parse().ok()?;
        count.checked_mul(secs)
    });
    let moment = match from_now {
        Some(secs) => now.plus_secs(secs),
        None => Timestamp::parse_rfc3339(text).ok_or_else(|| {
            wrong("is neither a time from now, such as 30d, nor a moment, such as 2027-01-01T00:00:00Z")
        })?,
    };
    if moment <= now {
        return Err(wrong("does not lie ahead"));
    }
    if moment > Timestamp::LAST {
        return Err(wrong("lies after the year 9999"));
    }
    Ok(moment)
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let now = invocation.clock().now();
    let asked = match asked_owner(invocation)? {
        Asked::OnlyUser => None,
        asked => Some(asked),
    };
    let store = invocation.open_existing()?;
    let all = {
        let connection = store.read()?;
        let owner = match &asked {
            Some(asked) => Some(find_owner(&connection, asked)?.map_err(Failure::Failed)?),
            None => None,
        };
        let tokens = tokens::list(&connection).map_err(Error::from)?;
        let shown = tokens
            .iter()
            .filter(|token| owner.is_none_or(|owner| is_of(token.owner, owner)))
            .map(|token| Shown::of(&connection, token, now));
        shown.collect::<Result<Vec<_>>>()?
    };
    store.close();
    if invocation.json() {
        return print_json(&Value::Array(all.iter().map(Shown::to_json).collect()));
    }
    print(&table(&all))?;
    for shown in &all {
        if let Some(warning) = shown.warning(now) {
            // If stderr is closed, the table has to do.
            let _ = std::io::stderr().write_all(format!("picket: {warning}\n").as_bytes());
        }
    }
    Ok(())
}

/// Whether a token of this owner is meant by another one; of an organization, its API keys too.
fn is_of(owner: TokenOwner, asked: TokenOwner) -> bool {
    match (owner, asked) {
        (TokenOwner::ApiKey(id), TokenOwner::Organization(organization)) => id == organization,
        (owner, asked) => owner == asked,
    }
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    let id = asked_id(invocation)?;
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let found = {
        let connection = store.read()?;
        match tokens::find(&connection, id).map_err(Error::from)? {
            Some(token) => {
                let days = tokens::list_use(&connection, id).map_err(Error::from)?;
                Some((Shown::of(&connection, &token, now)?, days))
            }
            None => None,
        }
    };
    store.close();
    let (shown, days) = found.ok_or_else(|| no_token(id))?;
    let days = days.into_iter().map(|(day, requests)| {
        let date = Timestamp::from_secs(day * 86_400).to_string();
        (date[..10].to_owned(), requests)
    });
    if invocation.json() {
        let mut value = shown.to_json();
        value["requests_per_day"] = Value::Object(
            days.map(|(date, requests)| (date, json!(requests)))
                .collect(),
        );
        return print_json(&value);
    }
    let mut text = String::new();
    for (head, cell) in HEADS.into_iter().zip(shown.to_row()) {
        text.push_str(format!("{head:<10}  {cell}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:<10}  {}\n", "PROJECTS", shown.projects_text()));
    for (date, requests) in days {
        text.push_str(&format!("{date}  {requests} requests\n"));
    }
    print(&text)
}

fn rotate(invocation: &Invocation) -> Result<(), Failure> {
    let id = asked_id(invocation)?;
    let now = invocation.clock().now();
    let until = match invocation.option("until") {
        Some(text) => moment("until", text, now)?,
        None => now.plus_secs(GRACE_SECS),
    };
    let url_prefix = invocation.config.url_prefix();
    let store = invocation.open_existing()?;
    let made = store.write(move |unit| {
        let Some(old) = tokens::find(unit, id)? else {
            return Ok(Err(no_token(id)));
        };
        if old.revoked.is_some() {
            let text = format!("token {id} is revoked; nothing comes after it");
            return Ok(Err(Failure::Failed(text)));
        }
        let text = text_for(unit, old.owner, &url_prefix, now)?;
        let new = tokens::rotate(unit, &Actor::operator(now), &old, &text, until)?;
        Ok(Ok((text, Shown::of(unit, &new, now)?)))
    });
    store.close();
    let (text, shown) = made??;
    print_made(invocation, &text, &shown)
}

fn no_token(id: TokenId) -> Failure {
    Failure::Failed(format!("there is no token {id}"))
}

fn asked_id(invocation: &Invocation) -> Result<TokenId, Failure> {
    let text = invocation.argument(0);
    text.parse().map(TokenId).map_err(|_| {
        Failure::Usage(format!(
            "{text:?} is no id of a token (see picket token list)"
        ))
    })
}

const HEADS: [&str; 11] = [
    "ID",
    "KIND",
    "OWNER",
    "NAME",
    "ENDS IN",
    "STATE",
    "CREATED",
    "EXPIRES",
    "LAST USED",
    "FROM",
    "SCOPES",
];

/// Lines with columns of even width; the scopes, which are long, come last.
fn table(all: &[Shown]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(all.iter().map(Shown::to_row));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn revoke(invocation: &Invocation) -> Result<(), Failure> {
    let id = asked_id(invocation)?;
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let revoked = store.write(move |unit| match tokens::find(unit, id)? {
        Some(token) => tokens::revoke(unit, &Actor::operator(now), &token).map(Some),
        None => Ok(None),
    });
    store.close();
    let revoked = revoked?.ok_or_else(|| no_token(id))?;
    if invocation.json() {
        return print_json(&json!({ "id": id.to_string(), "revoked_now": revoked }));
    }
    if revoked {
        print(&format!("token {id} is revoked\n"))
    } else {
        print(&format!("token {id} was revoked before\n"))
    }
}

fn revoke_all(invocation: &Invocation) -> Result<(), Failure> {
    let asked = match asked_owner(invocation)? {
        Asked::OnlyUser => {
            let text = "whose tokens? --user or --organization is needed";
            return Err(Failure::Usage(text.to_owned()));
        }
        asked => asked,
    };
    let is_sure = invocation.option("yes").is_some();
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let revoked = store.write(move |unit| {
        let owner = match find_owner(unit, &asked)? {
            Ok(owner) => owner,
            Err(missing) => return Ok(Err(missing)),
        };
        let owners = match owner {
            TokenOwner::Organization(id) => vec![owner, TokenOwner::ApiKey(id)],
            owner => vec![owner],
        };
        let mut count = 0;
        for owner in owners {
            count += match is_sure {
                true => tokens::revoke_all(unit, &Actor::operator(now), owner)?,
                false => tokens::list_of(unit, owner)?.len(),
            };
        }
        Ok(Ok(count))
    });
    store.close();
    let count = revoked?.map_err(Failure::Failed)?;
    let noun = if count == 1 { "token" } else { "tokens" };
    if !is_sure {
        return Err(Failure::Failed(format!(
            "this revokes {count} {noun} for good; say so with --yes"
        )));
    }
    if invocation.json() {
        return print_json(&json!({ "revoked": count }));
    }
    print(&format!("{count} {noun} revoked\n"))
}

/// What may be told about a token: everything but the token and its hash.
struct Shown {
    token: Token,
    kind: &'static str,
    owner: String,
    state: &'static str,
    /// It expires within days.
    expires_soon: bool,
}

impl Shown {
    fn of(connection: &Connection, token: &Token, now: Timestamp) -> Result<Shown> {
        let (kind, owner) = match token.owner {
            TokenOwner::User(id) => (
                "user",
                users::find(connection, id)?.map_or_else(|| id.to_string(), |user| user.email),
            ),
            TokenOwner::Organization(id) | TokenOwner::ApiKey(id) => (
                match token.owner {
                    TokenOwner::ApiKey(_) => "api-key",
                    _ => "organization",
                },
                organizations::find(connection, &IdOrSlug::Id(id.0))?
                    .map_or_else(|| id.to_string(), |found| found.slug.to_string()),
            ),
        };
        let state = if token.revoked.is_some() {
            "revoked"
        } else if token.disabled {
            "disabled"
        } else if token.is_expired(now) {
            "expired"
        } else {
            "active"
        };
        Ok(Shown {
            token: token.clone(),
            kind,
            owner,
            state,
            expires_soon: state == "active" && token.expires_soon(now).is_some(),
        })
    }

    /// The name as a terminal may show it: whoever may make a token chooses its name.
    fn printable_name(&self) -> String {
        let chars = self.token.name.chars();
        chars
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    }

    /// One sentence about a token that should be followed by another one.
    fn warning(&self, now: Timestamp) -> Option<String> {
        let expires = self.token.expires.filter(|_| self.expires_soon)?;
        let hours = (expires.secs() - now.secs()) / 3600;
        let when = match hours {
            0 => "within the hour".to_owned(),
            1..48 => format!("in {hours} h"),
            _ => format!("in {} days", hours / 24),
        };
        let (id, name) = (self.token.id, self.printable_name());
        Some(format!(
            "token {id} ({name}) expires {when}; picket token rotate {id} makes the one after it"
        ))
    }

    fn projects_text(&self) -> String {
        let ids: Vec<String> = self
            .token
            .projects
            .iter()
            .map(ProjectId::to_string)
            .collect();
        match ids.is_empty() {
            true => "all".to_owned(),
            false => ids.join(" "),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.token.id.to_string(),
            "kind": self.kind,
            "owner": self.owner,
            "name": self.token.name,
            "last_characters": self.token.last_characters,
            "scopes": self.token.scopes,
            "created": self.token.created,
            "expires": self.token.expires,
            "last_used": self.token.last_used,
            "state": self.state,
            "expires_soon": self.expires_soon,
            "last_address": self.token.last_address,
            "projects": self.token.projects.iter().map(ProjectId::to_string).collect::<Vec<_>>(),
        })
    }

    fn to_row(&self) -> [String; 11] {
        // Minutes are enough for people; JSON has it all.
        let minute = |moment: Timestamp| moment.floor_to(60).to_string();
        let or_never =
            |moment: Option<Timestamp>| moment.map_or_else(|| "never".to_owned(), minute);
        [
            self.token.id.to_string(),
            self.kind.to_owned(),
            self.owner.clone(),
            self.printable_name(),
            self.token.last_characters.clone(),
            if self.expires_soon {
                "expires soon"
            } else {
                self.state
            }
            .to_owned(),
            minute(self.token.created),
            or_never(self.token.expires),
            or_never(self.token.last_used),
            self.token.last_address.clone().unwrap_or_default(),
            self.token.scopes.to_string(),
        ]
    }
}
