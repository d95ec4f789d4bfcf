//! `/account/set-up/{token}/`: where the link of a first start, or of a user that an operator made, leads. Whoever holds
//! it chooses address, name and password, and is signed in.

use askama::Template;

use super::errors::Result;
use super::layout::{self, Head};
use super::password::{self, Chosen};
use super::{Visit, Web};
use crate::domain::secret::Secret;
use crate::http::Response;
use crate::identity::{SetUp, Visitor};
use crate::store::user_links::LinkKind;
use crate::store::users::User;

#[derive(Template)]
#[template(path = "set_up.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    path: &'a str,
    problems: Vec<String>,
    email: &'a str,
    name: &'a str,
}

pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (_, user) = find(web, visit)?;
    let page = Page {
        head: Head::of(visit),
        path: &visit.request.path,
        problems: Vec::new(),
        email: &user.email,
        name: &user.name,
    };
    Ok(layout::page(200, &page))
}

pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let (link, _) = find(web, visit)?;
    let (email, name) = (
        visit.form.text("email").trim(),
        visit.form.text("name").trim(),
    );
    let chosen = Chosen::read(&visit.form);
    let mut problems: Vec<String> = password::problems_of_email(email).into_iter().collect();
    problems.extend(password::problems_of_name(name));
    problems.extend(chosen.problem());
    let mut status = 400;
    if problems.is_empty() {
        let visitor = Visitor::of(visit.request);
        let set_up = SetUp {
            email,
            name,
            password: chosen.text,
        };
        match web.identity.set_up(&link, &visitor, &set_up) {
            Ok(begun) => return web.enter(visit, "/", &begun),
            Err(refusal) => (status, problems) = password::not_taken(web, visit, refusal)?,
        }
    }
    let page = Page {
        head: Head::of(visit),
        path: &visit.request.path,
        problems,
        email,
        name,
    };
    Ok(layout::page(status, &page))
}

fn find(web: &Web, visit: &Visit<'_>) -> Result<(Secret, User)> {
    web.find_by_link(visit, LinkKind::SignIn)
}

impl Web {
    /// The token of the path and the user that it stands for. Those that stand for nobody count as guesses.
    pub(super) fn find_by_link(&self, visit: &Visit<'_>, kind: LinkKind) -> Result<(Secret, User)> {
        let link = Secret::parse(visit.params.get("token"));
        let user = match &link {
            Some(link) => self
                .identity
                .find_by_link(&visit.connection, kind, link, visit.now())?,
            None => None,
        };
        match (link, user) {
            (Some(link), Some(user)) => Ok((link, user)),
            _ => Err(self.link_is_gone(visit)),
        }
    }
}
