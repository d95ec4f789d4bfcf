//! `picket user ...`: accounts, without the web.

use serde_json::{Value, json};

use super::confirm::YES;
use super::table::table;
use super::typed_password::{self, PASSWORD_STDIN};
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::actor::Actor;
use crate::domain::email;
use crate::domain::id::SessionId;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenOwner;
use crate::domain::{Error, Result};
use crate::identity::link_url;
use crate::store::organizations::{OrganizationFilter, OrganizationSlice, OrganizationsOf};
use crate::store::user_links::LinkKind;
use crate::store::users::{self, EndSessions, User};
use crate::store::writer::Unit;
use crate::store::{Connection, Store, members, organizations, second_factors, sessions, tokens};

const EMAIL: Argument = Argument {
    name: "EMAIL",
    meaning: "the user's email address",
};

pub(super) const CREATE: Command = Command {
    name: "user create",
    summary: "make an account",
    about: "Makes an account. Without a password it prints a link, once, with which the user chooses one and signs in; \
            the link works once, within 7 days, and carries the address in --url-prefix. The user is in no \
            organization until somebody invites them or an apply file says so.",
    arguments: &[EMAIL],
    options: &[
        Flag {
            name: "name",
            hint: Some("NAME"),
            meaning: "what the user is called, in up to 200 characters (default: the address)",
        },
        Flag {
            name: "superuser",
            hint: None,
            meaning: "let the user do in the API what the operator of the server may",
        },
        PASSWORD_STDIN,
        JSON,
    ],
    serves: false,
    run: create,
};

pub(super) const LIST: Command = Command {
    name: "user list",
    summary: "list the accounts",
    about: "Lists every account: its id, address and name, whether it is active, and when it was made and signed in to \
            last.",
    arguments: &[],
    options: &[JSON],
    serves: false,
    run: list,
};

pub(super) const SHOW: Command = Command {
    name: "user show",
    summary: "tell all about an account",
    about: "Tells about an account: how it is signed in to, its organizations with the roles there, and how many \
            sessions and tokens it has.",
    arguments: &[EMAIL],
    options: &[JSON],
    serves: false,
    run: show,
};

pub(super) const SET_PASSWORD: Command = Command {
    name: "user set-password",
    summary: "give an account another password",
    about: "Gives an account another password, typed twice on the terminal or read from standard input. All its sessions \
            end, and links that were made for it are good for nothing from then on; its tokens keep working.",
    arguments: &[EMAIL],
    options: &[PASSWORD_STDIN, JSON],
    serves: false,
    run: set_password,
};

pub(super) const RESET_PASSWORD: Command = Command {
    name: "user reset-password",
    summary: "print a link that sets a password",
    about: "Prints a link, once, with which the user sets a new password. It works once, within 24 hours, and carries \
            the address in --url-prefix. An older one is good for nothing from then on.",
    arguments: &[EMAIL],
    options: &[JSON],
    serves: false,
    run: reset_password,
};

pub(super) const DEACTIVATE: Command = Command {
    name: "user deactivate",
    summary: "switch an account off",
    about: "Switches an account off: its sessions end at once, and its tokens are refused until it is switched on \
            again. The only owner of an organization is not switched off without --force. A server that runs on the \
            database follows within two seconds.",
    arguments: &[EMAIL],
    options: &[
        YES,
        Flag {
            name: "force",
            hint: None,
            meaning: "even if an organization has no other owner",
        },
        JSON,
    ],
    serves: false,
    run: deactivate,
};

pub(super) const ACTIVATE: Command = Command {
    name: "user activate",
    summary: "switch an account on again",
    about: "Switches an account on again. Its tokens work again; its sessions have ended.",
    arguments: &[EMAIL],
    options: &[JSON],
    serves: false,
    run: activate,
};

pub(super) const SUPERUSER: Command = Command {
    name: "user superuser",
    summary: "let a user do what the operator may, or no longer",
    about: "Lets a user do in the API what the operator of the server may, or no longer.",
    arguments: &[
        EMAIL,
        Argument {
            name: "on|off",
            meaning: "whether the user may",
        },
    ],
    options: &[JSON],
    serves: false,
    run: superuser,
};

pub(super) const SESSIONS: Command = Command {
    name: "user sessions",
    summary: "list the browsers in which a user is signed in",
    about: "Lists the browsers in which a user is signed in: the session's id, where and when it began, and when it was \
            last used.",
    arguments: &[EMAIL],
    options: &[JSON],
    serves: false,
    run: list_sessions,
};

pub(super) const REVOKE_SESSIONS: Command = Command {
    name: "user revoke-sessions",
    summary: "sign a user out everywhere",
    about: "Ends all sessions of a user, or one of them.",
    arguments: &[EMAIL],
    options: &[
        Flag {
            name: "session",
            hint: Some("ID"),
            meaning: "only this one, by its id in picket user sessions",
        },
        YES,
        JSON,
    ],
    serves: false,
    run: revoke_sessions,
};

pub(super) const DISABLE_2FA: Command = Command {
    name: "user disable-2fa",
    summary: "take a user's second factor away",
    about: "Takes the second factor of a user away, with its recovery codes, for somebody who lost it. The password \
            alone signs in from then on.",
    arguments: &[EMAIL],
    options: &[YES, JSON],
    serves: false,
    run: disable_2fa,
};

const NAME_MAX: usize = 200;

fn create(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0).to_owned();
    if !email::is_plausible(&address) {
        return Err(Failure::Usage(format!("{address:?} is no email address")));
    }
    let name = invocation.option("name").unwrap_or(&address).to_owned();
    let is_odd = name.trim().is_empty() || name.chars().any(char::is_control);
    if is_odd || name.chars().count() > NAME_MAX {
        let text = format!("--name: a name is a line of 1 to {NAME_MAX} characters");
        return Err(Failure::Usage(text));
    }
    let hash = match typed_password::from_stdin(invocation)? {
        Some(text) => Some(typed_password::hash(&text, &address, &name)?),
        None => None,
    };
    let superuser = invocation.option("superuser").is_some();
    let link = hash.is_none().then(Secret::random);
    let link_hash = link.as_ref().map(Secret::hash);
    let actor = Actor::operator(invocation.clock().now());
    let store = invocation.open_existing()?;
    let made = store.write(move |unit| {
        let id = users::create(unit, &actor, &address, &name, hash.as_deref())?;
        if superuser {
            users::set_superuser(unit, &actor, id, true)?;
        }
        if let Some(hash) = link_hash {
            users::make_link(unit, &actor, id, LinkKind::SignIn, hash)?;
        }
        get(unit, id)
    });
    store.close();
    let user = made?;
    let link = link.map(|link| link_url(&invocation.config.url_prefix(), LinkKind::SignIn, &link));
    if invocation.json() {
        let mut value = to_json(&user);
        value["sign_in_link"] = json!(link);
        return print_json(&value);
    }
    match link {
        Some(link) => print(&format!("{link}\n")),
        None => print(&format!("made the user {}\n", user.email)),
    }
}

fn list(invocation: &Invocation) -> Result<(), Failure> {
    let store = invocation.open_existing()?;
    let all = users::list(&*store.read()?).map_err(Error::from);
    store.close();
    let all = all?;
    if invocation.json() {
        return print_json(&all.iter().map(to_json).collect());
    }
    let heads = ["ID", "EMAIL", "NAME", "STATE", "CREATED", "LAST SIGN-IN"];
    let rows = all.iter().map(|user| {
        [
            user.id.to_string(),
            user.email.clone(),
            user.name.clone(),
            state(user).to_owned(),
            minute(user.created),
            user.last_login.map_or_else(|| "never".to_owned(), minute),
        ]
    });
    print(&table(heads, rows.collect()))
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let details = read_details(&store, invocation.argument(0), now);
    store.close();
    let details = details?;
    if invocation.json() {
        return print_json(&details.to_json());
    }
    print(&details.to_text())
}

/// What is told about one user.
struct Details {
    user: User,
    has_second_factor: bool,
    /// Slugs with roles.
    organizations: Vec<(String, &'static str)>,
    sessions: usize,
    tokens: usize,
}

fn read_details(store: &Store, address: &str, now: Timestamp) -> Result<Details, Failure> {
    let connection = store.read()?;
    let user = users::find_by_email(&connection, address).map_err(Error::from)?;
    let user = user.ok_or_else(|| no_user(address))?;
    Ok(Details::read(&connection, user, now)?)
}

impl Details {
    fn read(connection: &Connection, user: User, now: Timestamp) -> Result<Details> {
        let all = organizations::list(
            connection,
            OrganizationsOf::User(user.id),
            &OrganizationFilter::default(),
            OrganizationSlice::ByName,
        )?;
        let mut places = Vec::with_capacity(all.len());
        for organization in all {
            if let Some(member) = members::find(connection, organization.id, user.id)? {
                places.push((organization.slug.to_string(), member.role.as_str()));
            }
        }
        Ok(Details {
            has_second_factor: second_factors::find_totp(connection, user.id)?.is_some(),
            organizations: places,
            sessions: sessions::list_of_user(connection, user.id, now)?.len(),
            tokens: tokens::list_of(connection, TokenOwner::User(user.id))?.len(),
            user,
        })
    }

    fn to_json(&self) -> Value {
        let mut value = to_json(&self.user);
        value["second_factor"] = json!(self.has_second_factor);
        value["organizations"] = self
            .organizations
            .iter()
            .map(|(slug, role)| json!({ "slug": slug, "role": role }))
            .collect();
        value["sessions"] = json!(self.sessions);
        value["tokens"] = json!(self.tokens);
        value
    }

    fn to_text(&self) -> String {
        let user = &self.user;
        let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let places: Vec<String> = self
            .organizations
            .iter()
            .map(|(slug, role)| format!("{slug} as {role}"))
            .collect();
        let lines = [
            ("id", user.id.to_string()),
            ("email", user.email.clone()),
            ("name", user.name.clone()),
            ("state", state(user).to_owned()),
            ("superuser", yes(user.superuser)),
            ("password", yes(user.password_hash.is_some())),
            ("second factor", yes(self.has_second_factor)),
            ("created", minute(user.created)),
            (
                "last sign-in",
                user.last_login.map_or_else(|| "never".to_owned(), minute),
            ),
            ("organizations", places.join(", ")),
            ("sessions", self.sessions.to_string()),
            ("tokens", self.tokens.to_string()),
        ];
        lines
            .iter()
            .map(|(name, value)| format!("{name:<15}{value}\n"))
            .collect()
    }
}

fn set_password(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0);
    let store = invocation.open_existing()?;
    let found = users::find_by_email(&*store.read()?, address).map_err(Error::from)?;
    let Some(user) = found else {
        store.close();
        return Err(no_user(address));
    };
    let hash = typed_password::read(invocation)
        .and_then(|text| typed_password::hash(&text, &user.email, &user.name));
    let actor = Actor::operator(invocation.clock().now());
    let id = user.id;
    let done = hash.and_then(|hash| {
        let write = store.write(move |unit| users::set_password(unit, &actor, id, &hash, None));
        Ok(write?)
    });
    store.close();
    done?;
    let text = format!(
        "the password of {} is set, and its sessions have ended",
        user.email
    );
    say(invocation, &user, &text, &[])
}

fn reset_password(invocation: &Invocation) -> Result<(), Failure> {
    let secret = Secret::random();
    let hash = secret.hash();
    let (user, ()) = change(invocation, move |unit, actor, user| {
        if !user.active {
            let text = format!(
                "{} is switched off; picket user activate comes first",
                user.email
            );
            return Ok(Err(text));
        }
        users::make_link(unit, actor, user.id, LinkKind::Password, hash)?;
        Ok(Ok(()))
    })?;
    let link = link_url(&invocation.config.url_prefix(), LinkKind::Password, &secret);
    if invocation.json() {
        return say(invocation, &user, "", &[("link", json!(link))]);
    }
    print(&format!("{link}\n"))
}

fn deactivate(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0);
    invocation.confirm(
        &format!("{address} will be switched off, and all its sessions end"),
        address,
    )?;
    let is_forced = invocation.option("force").is_some();
    let (user, changed) = change(invocation, move |unit, actor, user| {
        let only_owned = users::list_only_owned(unit, user.id)?;
        if !is_forced && user.active && !only_owned.is_empty() {
            return Ok(Err(format!(
                "nobody else owns {}; --force switches {} off all the same",
                only_owned.join(", "),
                user.email
            )));
        }
        users::deactivate(unit, actor, user.id).map(Ok)
    })?;
    let text = match changed {
        true => format!("{} is switched off", user.email),
        false => format!("{} was switched off before", user.email),
    };
    say(invocation, &user, &text, &[("changed", json!(changed))])
}

fn activate(invocation: &Invocation) -> Result<(), Failure> {
    let (user, changed) = change(invocation, |unit, actor, user| {
        users::activate(unit, actor, user.id).map(Ok)
    })?;
    let text = match changed {
        true => format!("{} is switched on", user.email),
        false => format!("{} was switched on before", user.email),
    };
    say(invocation, &user, &text, &[("changed", json!(changed))])
}

fn superuser(invocation: &Invocation) -> Result<(), Failure> {
    let on = match invocation.argument(1) {
        "on" => true,
        "off" => false,
        other => {
            let text = format!("{other:?} is neither on nor off");
            return Err(Failure::Usage(text));
        }
    };
    let (user, changed) = change(invocation, move |unit, actor, user| {
        users::set_superuser(unit, actor, user.id, on).map(Ok)
    })?;
    let what = if on { "a superuser" } else { "no superuser" };
    let when = if changed { "now" } else { "as before" };
    let text = format!("{} is {what} {when}", user.email);
    say(invocation, &user, &text, &[("changed", json!(changed))])
}

fn list_sessions(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0);
    let now = invocation.clock().now();
    let store = invocation.open_existing()?;
    let all = {
        let connection = store.read()?;
        match users::find_by_email(&connection, address).map_err(Error::from)? {
            Some(user) => {
                let all = sessions::list_of_user(&connection, user.id, now);
                Ok(all.map_err(Error::from)?)
            }
            None => Err(no_user(address)),
        }
    };
    store.close();
    let all: Vec<Session> = all?;
    if invocation.json() {
        let value = |session: &Session| {
            json!({
                "id": session.id.to_string(),
                "address": session.address,
                "user_agent": session.user_agent,
                "created": session.created,
                "last_used": session.last_used,
                "expires": session.expires,
            })
        };
        return print_json(&all.iter().map(value).collect());
    }
    let heads = ["ID", "ADDRESS", "SIGNED IN", "LAST USED", "BROWSER"];
    let rows = all.into_iter().map(|session| {
        [
            session.id.to_string(),
            session.address,
            minute(session.created),
            minute(session.last_used),
            session.user_agent,
        ]
    });
    print(&table(heads, rows.collect()))
}

fn revoke_sessions(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0);
    let which =
        match invocation.option("session") {
            None => EndSessions::AllBut(None),
            Some(text) => EndSessions::One(SessionId(text.parse().map_err(|_| {
                Failure::Usage(format!("--session: {text:?} is no id of a session"))
            })?)),
        };
    invocation.confirm(&format!("{address} will be signed out"), address)?;
    let (user, ended) = change(invocation, move |unit, actor, user| {
        let ended = users::end_sessions(unit, actor, user.id, which)?;
        match which {
            EndSessions::One(id) if ended == 0 => {
                Ok(Err(format!("{} has no session {id}", user.email)))
            }
            _ => Ok(Ok(ended)),
        }
    })?;
    let text = match ended {
        1 => format!("1 session of {} has ended", user.email),
        ended => format!("{ended} sessions of {} have ended", user.email),
    };
    say(invocation, &user, &text, &[("ended", json!(ended))])
}

fn disable_2fa(invocation: &Invocation) -> Result<(), Failure> {
    let address = invocation.argument(0);
    invocation.confirm(
        &format!("{address} will lose its second factor and its recovery codes"),
        address,
    )?;
    let (user, changed) = change(invocation, |unit, actor, user| {
        second_factors::delete(unit, actor, user.id).map(Ok)
    })?;
    let text = match changed {
        true => format!("{} has no second factor now", user.email),
        false => format!("{} had no second factor", user.email),
    };
    say(invocation, &user, &text, &[("changed", json!(changed))])
}

/// Runs a change of the user that the first argument names, in one transaction; the user as found, and what came of it.
/// A change may refuse with a sentence of its own.
fn change<T: Send + 'static>(
    invocation: &Invocation,
    run: impl Fn(&mut Unit<'_>, &Actor, &User) -> Result<std::result::Result<T, String>>
    + Send
    + 'static,
) -> Result<(User, T), Failure> {
    let address = invocation.argument(0).to_owned();
    let missing = no_user(&address);
    let actor = Actor::operator(invocation.clock().now());
    let store = invocation.open_existing()?;
    let done = store.write(move |unit| {
        let Some(user) = users::find_by_email(unit, &address)? else {
            return Ok(None);
        };
        match run(unit, &actor, &user)? {
            Ok(value) => Ok(Some(Ok((user, value)))),
            Err(text) => Ok(Some(Err(text))),
        }
    });
    store.close();
    match done? {
        None => Err(missing),
        Some(Ok(done)) => Ok(done),
        Some(Err(text)) => Err(Failure::Failed(text)),
    }
}

/// Tells what was done: a sentence, or the user's id and address with what else there is to say.
fn say(
    invocation: &Invocation,
    user: &User,
    text: &str,
    more: &[(&str, Value)],
) -> Result<(), Failure> {
    if !invocation.json() {
        return print(&format!("{text}\n"));
    }
    let mut value = json!({ "id": user.id.to_string(), "email": user.email });
    for (name, more) in more {
        value[*name] = more.clone();
    }
    print_json(&value)
}

fn no_user(address: &str) -> Failure {
    Failure::Failed(format!("there is no user {address}"))
}

fn get(connection: &Connection, id: crate::domain::id::UserId) -> Result<User> {
    users::find(connection, id)?
        .ok_or_else(|| Error::internal("a user that was just made is not there"))
}

fn state(user: &User) -> &'static str {
    if user.active { "active" } else { "off" }
}

/// Minutes are enough for people; JSON has it all.
fn minute(moment: Timestamp) -> String {
    moment.floor_to(60).to_string()
}

/// What may be told about a user: everything but hashes.
fn to_json(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "email": user.email,
        "name": user.name,
        "active": user.active,
        "superuser": user.superuser,
        "password": user.password_hash.is_some(),
        "created": user.created,
        "last_login": user.last_login,
        "last_active": user.last_active,
    })
}
