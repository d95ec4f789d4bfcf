//! `/settings/account/security/session-history/`: the browsers that are signed in as this user, and their end.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::redirect;
use super::layout::{self, Head, minute};
use super::{Visit, Web};
use crate::domain::id::SessionId;
use crate::http::Response;
use crate::store::sessions;
use crate::store::users::{self, EndSessions};

struct Row {
    id: SessionId,
    user_agent: String,
    address: String,
    created: String,
    last_used: String,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "sessions.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    rows: Vec<Row>,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let all = sessions::list_of_user(&visit.connection, signed_in.user.id, visit.now())?;
    let rows = all.into_iter().map(|session| Row {
        id: session.id,
        user_agent: match session.user_agent.as_str() {
            "" => "unknown".to_owned(),
            _ => session.user_agent,
        },
        address: session.address,
        created: minute(session.created),
        last_used: minute(session.last_used),
        is_this: session.id == signed_in.session.id,
    });
    let page = Page {
        head: Head::of(visit),
        rows: rows.collect(),
    };
    Ok(layout::page(200, &page))
}

/// Ends the session of this number, or `others`. One that is over by then is no problem.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let which = match visit.form.text("session") {
        "others" => EndSessions::AllBut(Some(signed_in.session.id)),
        number => match number.parse() {
            Ok(id) => EndSessions::One(SessionId(id)),
            Err(_) => return Err(Failure::BadForm),
        },
    };
    let (user, actor) = (signed_in.user.id, signed_in.actor(visit.request));
    web.store
        .write(move |unit| users::end_sessions(unit, &actor, user, which))?;
    Ok(redirect("/settings/account/security/session-history/"))
}
