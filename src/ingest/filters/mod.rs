//! What a project does not want: pages of other domains (facts/ingestion.md 3), and by its inbound filters events,
//! log entries and metrics of all sorts (8).
//!
//! [`Filters`] holds the settings of a project, compiled. It looks at normalised events, changes nothing, and counts
//! nothing: what becomes of an unwanted item is the plan's. A filter is a question about one event; each has its
//! file. Almost all of them are lists of [`globs`].

mod addresses;
mod browser_extensions;
mod compiled;
mod crawlers;
mod csp;
mod errors;
mod globs;
mod health_checks;
mod legacy_browsers;
mod localhost;
mod subject;

use super::Refusal;
use crate::http::Request;
use crate::store::snapshot::ProjectState;
pub(super) use compiled::Filters;

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

#[cfg(test)]
mod tests {
    use crate::domain::option::InboundFilters;

    /// Settings that filter nothing.
    pub(super) fn off() -> InboundFilters {
        InboundFilters {
            localhost: false,
            browser_extensions: false,
            legacy_browsers: Vec::new(),
            legacy_browsers_default: false,
            web_crawlers: false,
            health_checks: false,
            react_hydration: false,
            chunk_load: false,
            custom_errors: Vec::new(),
            csp_defaults: false,
            csp_sources: Vec::new(),
            addresses: Vec::new(),
            releases: Vec::new(),
            error_messages: Vec::new(),
            log_messages: Vec::new(),
            metric_names: Vec::new(),
        }
    }
}
