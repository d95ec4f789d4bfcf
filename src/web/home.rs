//! `/`: where somebody who signed in begins.

use askama::Template;

use super::errors::Result;
use super::layout::{self, Head};
use super::{Visit, Web, security};
use crate::domain::id::OrganizationId;
use crate::domain::scope::{Scope, ScopeSet};
use crate::http::Response;
use crate::store::access;
use crate::store::organizations::{
    self, Organization, OrganizationFilter, OrganizationSlice, OrganizationsOf,
};

#[derive(Template)]
#[template(path = "home.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    organizations: Vec<Organization>,
    /// Those that the user may set up single sign-on for.
    owned: Vec<OrganizationId>,
    /// Those that demand a second factor of who has none.
    demanding: String,
    is_superuser: bool,
}

pub(super) fn show(_: &Web, visit: &Visit<'_>) -> Result<Response> {
    let signed_in = visit.signed_in()?;
    let (user, caller) = (&signed_in.user, signed_in.caller());
    let organizations = organizations::list(
        &visit.connection,
        OrganizationsOf::User(user.id),
        &OrganizationFilter::default(),
        OrganizationSlice::ByName,
    )?;
    let mut owned = Vec::new();
    for organization in &organizations {
        let access = access::find(&visit.connection, &caller, organization)?;
        if access.allows(ScopeSet::of(&[Scope::OrgAdmin])) {
            owned.push(organization.id);
        }
    }
    let page = Page {
        head: Head::of(visit),
        organizations,
        owned,
        is_superuser: user.superuser,
        demanding: security::demanding(visit, user)?.join(", "),
    };
    Ok(layout::page(200, &page))
}
