//! What a request brings, whatever the endpoint: items, as one envelope holds them.

use std::borrow::Cow;

use super::items::Kind;
use super::source::Payload;
use crate::domain::event_id::EventId;

/// The items that belong together, under one event id.
#[derive(Debug, Default)]
pub(super) struct Parcel<'a> {
    /// None if the request named none.
    pub(super) id: Option<EventId>,
    /// When the SDK sent it, by its own clock, in microseconds since 1970.
    pub(super) sent_us: Option<i64>,
    pub(super) items: Vec<Item<'a>>,
}

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) kind: Kind,
    pub(super) header: ItemHeader<'a>,
    pub(super) payload: Payload<'a>,
    /// Why it is invalid, if whoever made it knows.
    pub(super) invalid: Option<&'static str>,
}

/// What of an item's header matters. A field of a wrong type counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ItemHeader<'a> {
    /// How many entries a container says to hold.
    pub(super) item_count: Option<u64>,
    pub(super) platform: Option<Cow<'a, str>>,
    pub(super) content_type: Option<Cow<'a, str>>,
    pub(super) filename: Option<Cow<'a, str>>,
    pub(super) attachment_type: Option<Cow<'a, str>>,
    /// Of a trace attachment: how many bytes of the payload are its metadata.
    pub(super) meta_length: Option<u64>,
}

impl<'a> Item<'a> {
    /// An item of which nothing but its kind needs to be said.
    pub(super) fn new(kind: Kind, payload: Payload<'a>) -> Item<'a> {
        Item {
            kind,
            header: ItemHeader::default(),
            payload,
            invalid: None,
        }
    }
}
