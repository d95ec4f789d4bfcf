//! `picket token create`, `list` and `revoke`.

use serde_json::{Value, json};

use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::TokenId;
use crate::domain::scope::ScopeSet;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenOwner, TokenText};
use crate::domain::{Error, Result};
use crate::store::tokens::NewToken;
use crate::store::{Connection, organizations, tokens, users};

pub(super) const CREATE: Command = Command {
    name: "token create",
    summary: "make a token and print it, once",
    about: "Makes a token and prints it. Only its hash is kept, so it can never be printed again.\n\
            A token of a user may do what both its scopes and the user's role allow; it has all scopes of an \
            owner unless --scopes names fewer. A token of an organization has the scope org:ci unless \
            --scopes names others; build tools read the server's address out of it, so --url-prefix matters.",
    arguments: &[],
    options: &[
        Flag {
            name: "user",
            hint: Some("EMAIL"),
            meaning: "whose token it is; may be left out where there is only one user",
        },
        Flag {
            name: "organization",
            hint: Some("ORG"),
            meaning: "the slug or id of the organization whose token it is, instead of a user's",
        },
        Flag {
            name: "name",
            hint: Some("NAME"),
            meaning: "what it is for, in up to 255 characters (default: cli)",
        },
        Flag {
            name: "scopes",
            hint: Some("SCOPES"),
            meaning: "names separated by spaces or commas, such as \"project:read event:read\"; each brings \
                      what it implies",
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
    about: "Lists every token: its id, kind, owner and name, its last characters, whether it is active, expired \
            or revoked, when it was made, expires and was last used, and its scopes.",
    arguments: &[],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const REVOKE: Command = Command {
    name: "token revoke",
    summary: "make a token useless",
    about: "Revokes a token for good. A server that runs on the database follows within two seconds.",
    arguments: &[Argument {
        name: "ID",
        meaning: "the token's id, as picket token list shows it",
    }],
    options: &[JSON],
    serves: false,
    run: revoke,
};

const NAME_MAX: usize = 255;

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let name = invocation.option("name").unwrap_or("cli");
    if name.trim().is_empty() || name.chars().count() > NAME_MAX {
        let text = format!("--name: a name has 1 to {NAME_MAX} characters");
        return Err(Failure::Usage(text));
    }
    let now = invocation.clock().now();
    let scopes = invocation.option("scopes").map(scopes).transpose()?;
    let expires = match invocation.option("expires") {
        Some(text) => Some(expiry(text, now)?),
        None => None,
    };
    let owner = asked_owner(invocation)?;
    let name = name.to_owned();
    let url_prefix = invocation.config.url_prefix();
    let store = invocation.open_existing()?;
    let made = store.write(move |unit| {
        let owner = match find_owner(unit, &owner)? {
            Ok(owner) => owner,
            Err(missing) => return Ok(Err(missing)),
        };
        let new = NewToken {
            owner,
            name: name.clone(),
            text: text_for(unit, owner, &url_prefix, now)?,
            scopes: scopes.unwrap_or_else(|| owner.default_scopes()),
            expires,
            projects: Vec::new(),
        };
        let id = tokens::create(unit, &Actor::operator(now), &new)?;
        let token = tokens::find(unit, id)?
            .ok_or_else(|| Error::internal("a token that was just made is not there"))?;
        let shown = Shown::of(unit, &token, now)?;
        Ok(Ok((new.text, shown)))
    });
    store.close();
    let (text, shown) = made?.map_err(Failure::Failed)?;
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
pub(super) fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("--expires: {text:?} {why}"));
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
    let store = invocation.open_existing()?;
    let all = {
        let connection = store.read()?;
        let tokens = tokens::list(&connection).map_err(Error::from)?;
        let shown = tokens
            .iter()
            .map(|token| Shown::of(&connection, token, now));
        shown.collect::<Result<Vec<_>>>()?
    };
    store.close();
    if invocation.json() {
        return print_json(&Value::Array(all.iter().map(Shown::to_json).collect()));
    }
    print(&table(&all))
}

/// Lines with columns of even width; the scopes, which are long, come last.
fn table(all: &[Shown]) -> String {
    const HEADS: [&str; 10] = [
        "ID",
        "KIND",
        "OWNER",
        "NAME",
        "ENDS IN",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "SCOPES",
    ];
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
    let text = invocation.argument(0);
    let id: i64 = text.parse().map_err(|_| {
        Failure::Usage(format!(
            "{text:?} is no id of a token (see picket token list)"
        ))
    })?;
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let revoked = store.write(move |unit| match tokens::find(unit, TokenId(id))? {
        Some(token) => tokens::revoke(unit, &Actor::operator(now), &token).map(Some),
        None => Ok(None),
    });
    store.close();
    let Some(revoked) = revoked? else {
        return Err(Failure::Failed(format!("there is no token {id}")));
    };
    if invocation.json() {
        return print_json(&json!({ "id": id.to_string(), "revoked_now": revoked }));
    }
    if revoked {
        print(&format!("token {id} is revoked\n"))
    } else {
        print(&format!("token {id} was revoked before\n"))
    }
}

/// What may be told about a token: everything but the token and its hash.
struct Shown {
    token: Token,
    kind: &'static str,
    owner: String,
    state: &'static str,
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
        })
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
        })
    }

    fn to_row(&self) -> [String; 10] {
        // Minutes are enough for people; JSON has it all.
        let minute = |moment: Timestamp| moment.floor_to(60).to_string();
        let or_never =
            |moment: Option<Timestamp>| moment.map_or_else(|| "never".to_owned(), minute);
        [
            self.token.id.to_string(),
            self.kind.to_owned(),
            self.owner.clone(),
            self.token.name.clone(),
            self.token.last_characters.clone(),
            self.state.to_owned(),
            minute(self.token.created),
            or_never(self.token.expires),
            or_never(self.token.last_used),
            self.token.scopes.to_string(),
        ]
    }
}
