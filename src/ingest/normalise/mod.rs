//! Brings an event into the one shape that everything after it reads (facts/ingestion.md 5).

use std::net::IpAddr;

use super::items::Kind;
use super::json::Map;
use super::meta::Meta;
use crate::domain::event_id::EventId;
use crate::domain::time::Timestamp;

/// What is known of an event beside its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) kind: Kind,
    pub(super) id: EventId,
    pub(super) received: Timestamp,
    /// When the SDK sent it, by its own clock, in microseconds since 1970; that may be before 1970.
    pub(super) sent_us: Option<i64>,
    /// The client's address.
    pub(super) peer: IpAddr,
}

pub(super) fn event(_: &mut Map<'_>, _: &Surroundings, _: &mut Meta) -> Result<(), &'static str> {
    Ok(())
}
