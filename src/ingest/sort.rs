//! Sorts a request's items by what decides about them, and holds them to the limits of one envelope.

use super::items::{self, Kind, Quantities, Sizes};
use super::parcel::Item;

/// The items of one envelope, or of what another endpoint made of a request.
#[derive(Default)]
pub(super) struct Sorted<'a> {
    /// The event, or what stands in for one.
    pub(super) primary: Option<Item<'a>>,
    /// Of no use without the primary, if there is one.
    pub(super) bound: Vec<Item<'a>>,
    pub(super) others: Vec<Item<'a>>,
    sizes: Sizes,
    /// The group that is over its limit. From there on items are only added up, so that any number of them
    /// costs no memory.
    pub(super) too_large: Option<TooLarge>,
}

/// The items of a request that is over a limit: all of them are dropped.
pub(super) struct TooLarge {
    /// What the refusal calls the one that was too much.
    pub(super) name: &'static str,
    pub(super) dropped: Quantities,
}

impl<'a> Sorted<'a> {
    pub(super) fn add(&mut self, item: Item<'a>) {
        if let Some(too_large) = &mut self.too_large {
            too_large.dropped.add(&items::count(&item));
            return;
        }
        // What our own endpoints know to be invalid is no part of an envelope's measure.
        if item.invalid.is_some() {
            self.others.push(item);
        } else if let Err(name) = self.sizes.add(&item) {
            let mut dropped = items::count(&item);
            for item in self.iter() {
                dropped.add(&items::count(item));
            }
            *self = Sorted {
                too_large: Some(TooLarge { name, dropped }),
                ..Sorted::default()
            };
        } else if item.kind.is_primary() {
            self.primary = Some(item);
        } else if item.kind.needs_event() {
            self.bound.push(item);
        } else {
            self.others.push(item);
        }
    }

    /// Feedback takes an event's place where there is none: its screenshots share what becomes of it.
    pub(super) fn finish(mut self) -> Sorted<'a> {
        if self.primary.is_none()
            && let Some(at) = self
                .others
                .iter()
                .position(|item| item.kind == Kind::Feedback)
        {
            self.primary = Some(self.others.remove(at));
        }
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item<'a>> {
        self.primary.iter().chain(&self.bound).chain(&self.others)
    }
}
