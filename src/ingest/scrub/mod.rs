//! Takes what is nobody's business out of items before they are stored (facts/ingestion.md 9).
//!
//! A [`Scrubber`] is what a project's settings come to. It walks an item once (`walk`); tables say what may be
//! touched where (`zones`). Texts are read once for words (`words`) and for signs of patterns (`patterns`,
//! `addresses`), and nothing is allocated before something is found. What is found is left alone if it is safe
//! (`selectors`), else it is replaced, and `_meta` says by which rule.
//!
//! Choices where the protocol's documentation is silent: a whole value becomes the text `[Filtered]` whatever type
//! it had; an address in a known field becomes null. The user and custom contexts are data; versions, names of
//! programs and ids in the protocol's own contexts are not. `tags` and the other fields that the default
//! rules leave alone obey the words of the settings only; of urls and descriptions the password of a user is taken
//! too. Keys of objects are never changed.

mod addresses;
mod cookies;
mod patterns;
mod place;
mod selectors;
#[cfg(test)]
mod tests;
mod texts;
mod walk;
mod words;
mod zones;

use super::json::Map;
use super::meta::{Meta, Step};
use crate::domain::option::Scrubbing;
use place::Place;
use selectors::Safe;
use walk::Walk;
use words::Sensitive;
use zones::Fields;

/// The rules of a project, made once for its settings.
#[derive(Debug)]
pub(super) struct Scrubber {
    /// The default rules (facts/ingestion.md 9.2).
    defaults: bool,
    /// Addresses of the Internet protocol are taken too (9.4).
    addresses: bool,
    sensitive: Option<Sensitive>,
    safe: Option<Safe>,
}

impl Scrubber {
    /// None: there is nothing to do.
    pub(super) fn compile(settings: &Scrubbing) -> Option<Scrubber> {
        let scrubber = Scrubber {
            defaults: settings.data && settings.defaults,
            addresses: settings.addresses,
            sensitive: settings
                .data
                .then(|| Sensitive::compile(&settings.sensitive_fields))
                .flatten(),
            safe: Safe::compile(&settings.safe_fields),
        };
        let idle = !scrubber.defaults && !scrubber.addresses && scrubber.sensitive.is_none();
        (!idle).then_some(scrubber)
    }

    /// An error, a security report, a transaction with its spans, feedback, or a replay event; normalised.
    pub(super) fn event(&self, event: &mut Map<'_>, meta: &mut Meta) {
        self.item(event, &zones::EVENT, &Place::ROOT, meta);
    }

    /// An entry of a log.
    pub(super) fn log(&self, entry: &mut Map<'_>, meta: &mut Meta) {
        let place = Place::ROOT.unannotated(Step::Key("log"));
        self.item(entry, &zones::LOG, &place, meta);
    }

    /// A span that came on its own, in either version of the protocol.
    pub(super) fn span(&self, span: &mut Map<'_>, meta: &mut Meta) {
        let spans = Place::ROOT.unannotated(Step::Key("spans"));
        let place = spans.unannotated(Step::Index(0));
        self.item(span, &zones::SPAN, &place, meta);
    }

    /// A point of a metric.
    pub(super) fn metric(&self, entry: &mut Map<'_>, meta: &mut Meta) {
        let place = Place::ROOT.unannotated(Step::Key("trace_metric"));
        self.item(entry, &zones::METRIC, &place, meta);
    }

    /// A check-in, a user report, a session or its aggregates.
    pub(super) fn other(&self, item: &mut Map<'_>, meta: &mut Meta) {
        self.item(item, &zones::OTHER, &Place::ROOT, meta);
    }

    fn item(&self, item: &mut Map<'_>, fields: &Fields, place: &Place<'_>, meta: &mut Meta) {
        let mut unsaid = Meta::default();
        Walk::new(self, &mut unsaid).originals(meta.tree_mut(), "", place);
        Walk::new(self, meta).fields(item, fields, place);
    }
}
