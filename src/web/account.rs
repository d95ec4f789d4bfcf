//! `/settings/account/`: what somebody may see and change about their own account.

use askama::Template;

use super::errors::Result;
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::http::Response;
use crate::store::users::User;

#[derive(Template)]
#[template(path = "account.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    user: &'a User,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let page = Page {
        head: Head::of(visit),
        user: &visit.signed_in()?.user,
    };
    Ok(layout::page(200, &page))
}
