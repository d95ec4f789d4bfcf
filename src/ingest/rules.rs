//! The filters and the scrubber of a project, compiled once for as long as its settings last.

use std::net::IpAddr;

use super::filters::Filters;
use super::items::Kind;
use super::json::Map;
use super::meta::Meta;
use super::scrub::Scrubber;
use crate::domain::option::IngestSettings;

/// What is done to a project's items.
#[derive(Debug)]
pub(super) struct Rules {
    filters: Filters,
    /// None if nothing is to be taken out.
    scrubber: Option<Scrubber>,
}

impl Rules {
    pub(super) fn compile(settings: &IngestSettings) -> Rules {
        Rules {
            filters: Filters::compile(&settings.filters),
            scrubber: Scrubber::compile(&settings.scrubbing),
        }
    }

    /// The reason for which an event is not wanted. It is normalised.
    pub(super) fn filter_event(
        &self,
        event: &Map<'_>,
        kind: Kind,
        peer: IpAddr,
    ) -> Option<&'static str> {
        self.filters.event(event, kind, peer)
    }

    /// The reason for which nothing is wanted that this client sends.
    pub(super) fn filter_client(&self, peer: IpAddr) -> Option<&'static str> {
        self.filters.client(peer)
    }

    /// The reason for which an entry of a container is not wanted.
    pub(super) fn filter_entry(&self, kind: Kind, entry: &Map<'_>) -> Option<&'static str> {
        match kind {
            Kind::Log => self.filters.log(entry),
            Kind::TraceMetric => self.filters.metric(entry),
            _ => None,
        }
    }

    /// Takes out of an event what must not be stored.
    pub(super) fn scrub_event(&self, event: &mut Map<'_>, meta: &mut Meta) {
        if let Some(scrubber) = &self.scrubber {
            scrubber.event(event, meta);
        }
    }

    /// Takes out of a container's entry, a span or another item what must not be stored.
    pub(super) fn scrub_entry(&self, kind: Kind, entry: &mut Map<'_>, meta: &mut Meta) {
        let Some(scrubber) = &self.scrubber else {
            return;
        };
        match kind {
            Kind::Log => scrubber.log(entry, meta),
            Kind::TraceMetric => scrubber.metric(entry, meta),
            Kind::Span => scrubber.span(entry, meta),
            _ => scrubber.other(entry, meta),
        }
    }
}
