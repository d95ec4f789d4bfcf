//! What becomes of a request's items, decided before the writer sees them, and the one job that makes it so.
//!
//! The order for each item (design 2): a window that is used up refuses from the item's header alone; then
//! the payload is read, filtered, and takes a slot of the limit. A filtered item takes no slot. What needs
//! the event shares its fate. A duplicate shows only in the writer; it and a failed job give their slot back.

use std::borrow::Cow;
use std::sync::Arc;

use super::envelope::{self, Item};
use super::items::{self, Counted, Kind, Quantities, Sizes};
use super::payload::Event;
use super::refusal::with_rate_limits;
use super::{Authenticated, Refusal, auth, client_report, cors, filters, payload};
use crate::domain::Error;
use crate::domain::category::Category;
use crate::domain::event_id::EventId;
use crate::domain::outcome::{KEY_QUOTA, LedgerEntry, Outcome};
use crate::domain::window::{Slot, UsedUp};
use crate::http::{Request, Responder, Response};
use crate::store::Store;
use crate::store::events::{self, NewEvent};
use crate::store::projects;
use crate::store::writer::Unit;

/// Everything that one request leaves behind, and its answer.
pub(super) struct Plan {
    answer: Answer,
    event: Option<PackedEvent>,
    /// The event's own rows and those of the items that need it; invalid when it is a duplicate.
    with_event: Rows,
    /// All other rows.
    rows: Rows,
    slot: Option<Slot>,
}

/// What the client is told once the rows are durable.
enum Answer {
    Taken {
        id: Option<EventId>,
        /// Some items were refused by the key's limit.
        limited: Option<UsedUp>,
    },
    Refused(Refusal),
}

struct PackedEvent {
    id: EventId,
    /// zstd.
    payload: Vec<u8>,
}

/// What became of an envelope's event.
enum Fate {
    Accepted(PackedEvent, Option<Slot>),
    Filtered(&'static str),
    Limited(UsedUp),
    Invalid(&'static str),
}

/// The items of an envelope, by what decides about them.
#[derive(Default)]
struct Sorted<'a> {
    event: Option<(Kind, Item<'a>)>,
    /// Of no use without the event of this envelope, if it has one.
    event_bound: Vec<(Kind, Item<'a>)>,
    others: Vec<(Kind, Item<'a>)>,
    sizes: Sizes,
    /// The group that is over its limit. From there on items are only added up, so that any number of them
    /// costs no memory.
    too_large: Option<&'static str>,
    dropped: Quantities,
}

/// The plan for a store request: one event, whose type the payload tells.
pub(super) fn store(body: &[u8], who: &Authenticated, request: &Request) -> Result<Plan, Refusal> {
    let json = payload::of_store_body(body)?;
    if json.len() > items::EVENT_BYTES_MAX {
        return Err(Refusal::RequestTooLarge);
    }
    let event = payload::event(&json).ok_or_else(|| {
        let fault = serde_json::from_slice::<serde::de::IgnoredAny>(&json).err();
        Refusal::InvalidJson(
            fault.map_or_else(|| "expected an object".to_owned(), |e| e.to_string()),
        )
    })?;
    if event.has_bad_id {
        return Err(Refusal::InvalidJson("invalid event_id".to_owned()));
    }
    let id = event.id.unwrap_or_else(EventId::random);
    let mut plan = Plan::taken(Some(id));
    let counted = items::count_payload(event.kind, &event.payload);
    if event.kind.is_error() {
        let fate = who.fate(id, &event, request);
        plan.settle_event(fate, &counted.quantities, who);
        plan.refuse_if_limited(true);
    } else {
        plan.settle(event.kind, counted, &event.payload, who, request);
    }
    Ok(plan)
}

/// The plan for an envelope.
pub(super) fn envelope(
    body: &[u8],
    who: &Authenticated,
    request: &Request,
) -> Result<Plan, Refusal> {
    let mut sorted = Sorted::default();
    let header = envelope::parse(body, &mut |item| sorted.add(item))?;
    auth::agree(&header, who, request)?;
    if let Some(group) = sorted.too_large {
        return Ok(Plan::dropped(
            Refusal::TooLarge(group),
            &sorted.dropped,
            who,
        ));
    }

    let needs_id = sorted.iter().any(|(kind, _)| kind.needs_event_id());
    let id_for = |own: Option<EventId>| header.event_id.or(own).unwrap_or_else(EventId::random);
    let Some((kind, item)) = &sorted.event else {
        let mut plan = Plan::taken(header.event_id.or_else(|| needs_id.then(EventId::random)));
        for (kind, item) in sorted.iter() {
            plan.settle_item(*kind, item, who, request);
        }
        return Ok(plan);
    };
    let (id, fate) = match who.used_up() {
        Some(used_up) => (id_for(None), Fate::Limited(used_up)),
        None if kind.is_opaque() => {
            let id = id_for(None);
            (id, who.admit(id, item.payload))
        }
        None => match payload::event(item.payload) {
            Some(event) => {
                let id = id_for(event.id);
                (id, who.fate(id, &event, request))
            }
            None => (id_for(None), Fate::Invalid("invalid_json")),
        },
    };
    let mut quantities = items::count(*kind, item).quantities;
    for (kind, item) in &sorted.event_bound {
        quantities.add(&items::count(*kind, item).quantities);
    }
    let mut plan = Plan::taken(Some(id));
    plan.settle_event(fate, &quantities, who);
    for (kind, item) in &sorted.others {
        plan.settle_item(*kind, item, who, request);
    }
    plan.refuse_if_limited(sorted.others.is_empty());
    Ok(plan)
}

impl<'a> Sorted<'a> {
    fn add(&mut self, item: Item<'a>) {
        let Some(kind) = Kind::parse(&item.kind) else {
            return;
        };
        if self.too_large.is_none() {
            match self.sizes.add(kind, item.payload.len()) {
                Ok(()) => {
                    if kind.is_error() {
                        self.event = Some((kind, item));
                    } else if kind.needs_event() {
                        self.event_bound.push((kind, item));
                    } else {
                        self.others.push((kind, item));
                    }
                    return;
                }
                Err(group) => self.drop_all(group),
            }
        }
        self.dropped.add(&items::count(kind, &item).quantities);
    }

    fn drop_all(&mut self, group: &'static str) {
        self.too_large = Some(group);
        let mut dropped = Quantities::default();
        for (kind, item) in self.iter() {
            dropped.add(&items::count(*kind, item).quantities);
        }
        self.dropped = dropped;
        self.event = None;
        self.event_bound.clear();
        self.others.clear();
    }

    fn iter(&self) -> impl Iterator<Item = &(Kind, Item<'a>)> {
        self.event
            .iter()
            .chain(&self.event_bound)
            .chain(&self.others)
    }
}

impl Authenticated {
    /// The limit's answer for an event of which only the header was looked at.
    fn used_up(&self) -> Option<UsedUp> {
        let limit = self.key.limit?;
        self.key.window.check(limit, self.received).err()
    }

    /// Filters an event that can be read, and admits it.
    fn fate(&self, id: EventId, event: &Event<'_>, request: &Request) -> Fate {
        match filters::event(&self.project, &event.payload, request) {
            Some(reason) => Fate::Filtered(reason),
            None => self.admit(id, &event.payload),
        }
    }

    /// Takes a slot of the key's limit and packs the payload.
    fn admit(&self, id: EventId, payload: &[u8]) -> Fate {
        let slot = match self.key.limit {
            None => None,
            Some(limit) => match self.key.window.take(limit, self.received) {
                Ok(slot) => Some(slot),
                Err(used_up) => return Fate::Limited(used_up),
            },
        };
        match payload::compress(payload) {
            Ok(payload) => Fate::Accepted(PackedEvent { id, payload }, slot),
            Err(error) => {
                log::error!("an event could not be compressed: {error}");
                if let Some(slot) = slot {
                    self.key.window.give_back(slot);
                }
                Fate::Invalid("internal")
            }
        }
    }
}

/// Ledger rows of one request, each distinct row once.
#[derive(Default)]
struct Rows(Vec<LedgerEntry>);

impl Rows {
    fn add(&mut self, entry: LedgerEntry) {
        let same = |row: &&mut LedgerEntry| {
            row.category == entry.category
                && row.outcome == entry.outcome
                && row.reason == entry.reason
                && row.at == entry.at
        };
        match self.0.iter_mut().find(same) {
            Some(row) => {
                row.quantity = row.quantity.saturating_add(entry.quantity);
                row.times_seen = row.times_seen.saturating_add(entry.times_seen);
            }
            None => self.0.push(entry),
        }
    }

    fn add_all(
        &mut self,
        quantities: &Quantities,
        outcome: Outcome,
        reason: Cow<'static, str>,
        who: &Authenticated,
    ) {
        for quantity in quantities.iter() {
            self.add(LedgerEntry {
                project: who.project.id,
                key: Some(who.key.id),
                at: who.received,
                category: quantity.category,
                outcome,
                reason: reason.clone(),
                quantity: quantity.quantity,
                times_seen: quantity.times_seen,
            });
        }
    }
}

impl Plan {
    fn taken(id: Option<EventId>) -> Plan {
        Plan::answering(Answer::Taken { id, limited: None })
    }

    fn answering(answer: Answer) -> Plan {
        Plan {
            answer,
            event: None,
            with_event: Rows::default(),
            rows: Rows::default(),
            slot: None,
        }
    }

    /// A request of a known project that was refused before its items were known: one item.
    pub(super) fn refused(refusal: Refusal, category: Category, who: &Authenticated) -> Plan {
        Plan::dropped(refusal, &Quantities::one(category), who)
    }

    /// A request that was refused whole: every item of it is invalid for the one reason.
    fn dropped(refusal: Refusal, items: &Quantities, who: &Authenticated) -> Plan {
        let reason = Cow::Owned(refusal.reason());
        let mut plan = Plan::answering(Answer::Refused(refusal));
        plan.rows.add_all(items, Outcome::Invalid, reason, who);
        plan
    }

    /// Writes down an item that no limit concerns.
    fn settle_item(&mut self, kind: Kind, item: &Item<'_>, who: &Authenticated, request: &Request) {
        if kind == Kind::ClientReport {
            for entry in client_report::entries(item.payload, who) {
                self.rows.add(entry);
            }
        } else {
            self.settle(kind, items::count(kind, item), item.payload, who, request);
        }
    }

    fn settle(
        &mut self,
        kind: Kind,
        counted: Counted,
        payload: &[u8],
        who: &Authenticated,
        request: &Request,
    ) {
        let filtered = (kind == Kind::Transaction)
            .then(|| filters::event(&who.project, payload, request))
            .flatten();
        let (outcome, reason) = match (counted.invalid, filtered) {
            (Some(reason), _) => (Outcome::Invalid, reason),
            (None, Some(reason)) => (Outcome::Filtered, reason),
            (None, None) => (Outcome::Accepted, ""),
        };
        self.rows
            .add_all(&counted.quantities, outcome, reason.into(), who);
    }

    /// Writes down what became of the event, for itself and for all that needs it.
    fn settle_event(&mut self, fate: Fate, quantities: &Quantities, who: &Authenticated) {
        let (outcome, reason) = match fate {
            Fate::Accepted(event, slot) => {
                self.event = Some(event);
                self.slot = slot;
                (Outcome::Accepted, "")
            }
            Fate::Filtered(reason) => (Outcome::Filtered, reason),
            Fate::Limited(used_up) => {
                if let Answer::Taken { limited, .. } = &mut self.answer {
                    *limited = Some(used_up);
                }
                (Outcome::RateLimited, KEY_QUOTA)
            }
            Fate::Invalid(reason) => (Outcome::Invalid, reason),
        };
        self.with_event
            .add_all(quantities, outcome, reason.into(), who);
    }

    /// A request of which the limit left nothing is a 429; one of which it left something is taken.
    fn refuse_if_limited(&mut self, nothing_else: bool) {
        if let Answer::Taken {
            limited: Some(used_up),
            ..
        } = self.answer
            && nothing_else
        {
            self.answer = Answer::Refused(Refusal::RateLimited(used_up));
        }
    }

    /// Hands the plan to the writer and answers when it is durable; at once if it leaves nothing behind.
    pub(super) fn submit(self, store: &Store, who: Authenticated, responder: Responder) {
        if self.with_event.0.is_empty() && self.rows.0.is_empty() {
            return responder.respond(self.answer.response());
        }
        let bytes = self.event.as_ref().map_or(0, |event| event.payload.len())
            + size_of::<LedgerEntry>() * (self.with_event.0.len() + self.rows.0.len());
        let plan = Arc::new((self, who));
        let in_writer = Arc::clone(&plan);
        store.writer().submit(
            bytes,
            move |unit| {
                let (plan, who) = &*in_writer;
                plan.write(who, unit)
            },
            move |kept| {
                let (plan, who) = &*plan;
                match plan.conclude(who, kept) {
                    Some(response) => responder.respond(response),
                    None => responder.close(),
                }
            },
        );
    }

    /// Writes the rows; whether the event is new.
    fn write(&self, who: &Authenticated, unit: &mut Unit<'_>) -> Result<bool, Error> {
        if !unit.key_is_there(who.key.id, who.key.public)? {
            return Err(Error::NotFound);
        }
        let mut is_new = true;
        if let Some(event) = &self.event {
            is_new = events::insert(
                unit,
                &NewEvent {
                    project: who.project.id,
                    key: who.key.id,
                    event_id: event.id,
                    received: who.received,
                    payload: &event.payload,
                },
            )?;
            if is_new && !who.project.has_events() {
                projects::set_first_event(unit, who.project.id, who.received)?;
            }
        }
        for row in &self.with_event.0 {
            let mut row = row.clone();
            if !is_new {
                row.outcome = Outcome::Invalid;
                row.reason = Cow::Borrowed("duplicate");
            }
            unit.count(row);
        }
        for row in &self.rows.0 {
            unit.count(row.clone());
        }
        if let (Some(slot), Some(limit), true) = (self.slot, who.key.limit, is_new) {
            unit.use_slot(who.key.id, limit.window_secs, slot);
        }
        Ok(is_new)
    }

    /// The answer, after the transaction; gives the slot back if it was not used. None if nobody can say what is
    /// kept: an SDK that heard an error would count the event as lost.
    fn conclude(&self, who: &Authenticated, kept: Result<bool, Error>) -> Option<Response> {
        if !matches!(kept, Ok(true) | Err(Error::Uncertain))
            && let Some(slot) = self.slot
        {
            who.key.window.give_back(slot);
        }
        match kept {
            Ok(is_new) => {
                if is_new && self.event.is_some() {
                    who.project.set_has_events();
                }
                Some(self.answer.response())
            }
            Err(Error::NotFound) => Some(Refusal::UnknownKey.answer()),
            Err(Error::Unavailable { retry_after_secs }) => {
                Some(Refusal::Unavailable { retry_after_secs }.answer())
            }
            Err(Error::Uncertain) => None,
            Err(error) => {
                log::error!("an envelope could not be stored: {error}");
                Some(Refusal::Internal.answer())
            }
        }
    }
}

impl Answer {
    fn response(&self) -> Response {
        match self {
            Answer::Refused(refusal) => refusal.answer(),
            Answer::Taken { id, limited } => {
                let body = match id {
                    Some(id) => format!("{{\"id\":\"{id}\"}}"),
                    None => "{}".to_owned(),
                };
                let response = cors::expose(Response::json_bytes(200, body.into_bytes()));
                match limited {
                    Some(used_up) => with_rate_limits(response, *used_up),
                    None => response,
                }
            }
        }
    }
}
