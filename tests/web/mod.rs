//! The pages, through the front door. A file for what people come for.

mod account;
mod attacks;
pub(crate) mod browser;
mod factors;
mod invitation;
mod links;
mod mail;
mod provider;
mod saml;
mod secrets;
mod set_up;
mod sign_in;
mod single_sign_on;
mod single_sign_on_settings;
mod status;
mod tokens;
mod transfer;

use browser::Browser;
use serde_json::Value;

use crate::support::smtp::Post;
use crate::support::{OWNER_TOKEN, Server};

/// `ann` owns Acme, `bob` is a member, `eve` is in no organization.
const WORLD: &str = r#"
[[organization]]
slug = "acme"
name = "Acme <Inc>"

  [[organization.team]]
  slug = "core"

[[user]]
email = "ann@example.test"
name = "Ann"
password = "correct horse battery staple"
roles = { acme = "owner" }
teams = { acme = ["core"] }

  [[user.token]]
  name = "laptop"
  token = "sntryu_0000000000000000000000000000000000000000000000000000000000000001"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]

[[user]]
email = "bob@example.test"
name = "Bob"
password = "patient donkey charger nail"
roles = { acme = "member" }

[[user]]
email = "eve@example.test"
"#;

const ANN: &str = "ann@example.test";
const ANN_PASSWORD: &str = "correct horse battery staple";
const BOB: &str = "bob@example.test";
const BOB_PASSWORD: &str = "patient donkey charger nail";
const NEW_PASSWORD: &str = "unlikely badger orchard drum";

fn browser(server: &Server) -> Browser {
    Browser::new(server.client())
}

#[track_caller]
fn signed_in(server: &Server, email: &str, password: &str) -> Browser {
    let mut browser = browser(server);
    let answer = browser.sign_in(email, password);
    assert_eq!(browser::location(&answer), "/");
    browser
}

/// A server that hands its mail to this one.
fn with_mail(post: &Post) -> Server {
    Server::start_with(WORLD, |settings| settings.mail = Some(post.settings()))
}

/// The events of the audit log with this name, oldest first: actor and data.
fn audit(server: &Server, event: &str) -> Vec<(Option<i64>, Value)> {
    let database = server.database();
    let mut statement = database
        .prepare("SELECT actor_user_id, data FROM audit_entry WHERE event = ?1 ORDER BY id")
        .expect("the audit log");
    let rows = statement.query_map([event], |row| {
        let data: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&data).expect("JSON")))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn user_id(server: &Server, email: &str) -> i64 {
    server
        .database()
        .query_row("SELECT id FROM user WHERE email = ?1", [email], |row| {
            row.get(0)
        })
        .expect("a user")
}

/// Whether the owner's token is taken.
fn token_status(server: &Server) -> u16 {
    server
        .with_token(OWNER_TOKEN)
        .get("/api/0/organizations/acme/")
        .status
}

/// Makes an invitation by the API; the path of its link.
#[track_caller]
fn invite(server: &Server, email: &str) -> String {
    let body = serde_json::json!({ "email": email, "orgRole": "manager", "teams": ["core"] });
    let answer = server
        .with_token(OWNER_TOKEN)
        .post_json("/api/0/organizations/acme/members/", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let link = answer.json()["invite_link"]
        .as_str()
        .expect("a link")
        .to_owned();
    let path = link.strip_prefix(&server.url_prefix());
    path.expect("a link of this server").to_owned()
}

/// The paths of pages have no part of the address.
#[track_caller]
fn path_of(server: &Server, link: &str) -> String {
    let path = link.strip_prefix(&server.url_prefix());
    path.unwrap_or_else(|| panic!("{link} is not of {}", server.url_prefix()))
        .to_owned()
}
