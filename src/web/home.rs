//! `/`: where somebody who signed in begins.

use askama::Template;

use super::errors::Result;
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::http::Response;
use crate::store::organizations::{
    self, Organization, OrganizationFilter, OrganizationSlice, OrganizationsOf,
};

#[derive(Template)]
#[template(path = "home.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    organizations: Vec<Organization>,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let user = visit.signed_in()?.user.id;
    let organizations = organizations::list(
        &visit.connection,
        OrganizationsOf::User(user),
        &OrganizationFilter::default(),
        OrganizationSlice::ByName,
    )?;
    let page = Page {
        head: Head::of(visit),
        organizations,
    };
    Ok(layout::page(200, &page))
}
