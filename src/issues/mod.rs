//! What an event is called and what it is tagged with: pure, from its JSON alone.
//!
//! Events come here for being shown, one at a time, so whole [`serde_json::Value`]s are fine; ingestion has a
//! cheaper reader of its own. Stored events are normalised, but nothing here relies on it: what has another shape
//! than expected counts as absent.
//!
//! - [`early`] brings what the first release stored into today's form;
//! - [`title`] says what kind of event it is, and its title, metadata, culprit and location;
//! - [`tags`] joins the event's own tags and those that follow from its other fields;
//! - [`ownership`] reads the rules about who owns what;
//! - [`rule_text`] checks the form of rules about grouping;
//! - [`interface`] reads the shapes that the parts of an event share.

pub(crate) mod early;
pub(crate) mod interface;
pub(crate) mod ownership;
pub(crate) mod rule_text;
pub(crate) mod tags;
pub(crate) mod title;
