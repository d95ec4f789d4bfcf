//! What becomes of a request's items, decided before the writer sees them, and the one job that makes it so.
//!
//! The order for each item (design 2): a window that is used up refuses from the item's header alone; then
//! the payload is read, filtered, and takes a slot of the limit. A filtered item takes no slot. What needs
//! the event shares its fate. A duplicate shows only in the writer; it and a failed job give their slot back.

use std::borrow::Cow;
use std::sync::Arc;

use super::envelope::{Envelope, Item};
use super::items::{self, Kind};
use super::payload::EventFields;
use super::refusal::with_rate_limits;
use super::{Authenticated, Refusal, client_report, cors, filters, payload};
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
    with_event: Vec<LedgerEntry>,
    /// All other rows.
    entries: Vec<LedgerEntry>,
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

impl Authenticated {
    /// A ledger row of this request.
    pub(super) fn entry(
        &self,
        category: Category,
        outcome: Outcome,
        reason: impl Into<Cow<'static, str>>,
        quantity: u64,
    ) -> LedgerEntry {
        LedgerEntry {
            project: self.project.id,
            key: Some(self.key.id),
            at: self.received,
            category,
            outcome,
            reason: reason.into(),
            quantity,
        }
    }
}

/// The plan for a store request: one event, whose type the payload tells.
pub(super) fn store(body: &[u8], who: &Authenticated, request: &Request) -> Result<Plan, Refusal> {
    let json = payload::of_store_body(body)?;
    if json.len() > items::EVENT_BYTES_MAX {
        return Err(Refusal::TooLarge("event"));
    }
    let Some(readable) = payload::readable(&json) else {
        let cause = serde_json::from_slice::<serde::de::IgnoredAny>(&json)
            .err()
            .map_or_else(|| "expected an object".to_owned(), |e| e.to_string());
        return Err(Refusal::InvalidJson(cause));
    };
    let fields: EventFields<'_> = payload::parse(&readable).ok_or(Refusal::Internal)?;
    if fields.has_bad_event_id() {
        return Err(Refusal::InvalidJson("invalid event_id".to_owned()));
    }
    let id = fields.event_id().unwrap_or_else(EventId::random);
    let kind = fields.item_kind();
    let mut plan = Plan::taken(Some(id));
    if kind.is_error() {
        let fate = fate_of_event(id, &readable, who, request);
        plan.settle_event(fate, &items::of_payload(kind, &readable).quantities, who);
    } else {
        plan.accept(items::of_payload(kind, &readable), who);
    }
    plan.decide(true);
    Ok(plan)
}

/// The plan for an envelope.
pub(super) fn envelope(
    envelope: &Envelope<'_>,
    who: &Authenticated,
    request: &Request,
) -> Result<Plan, Refusal> {
    let known: Vec<(Kind, &Item<'_>)> = envelope
        .items
        .iter()
        .filter_map(|item| Some((Kind::parse(&item.header.kind)?, item)))
        .collect();
    if let Err(refusal) = items::check_sizes(&known) {
        return Ok(Plan::dropped(refusal, &known, who));
    }
    let event = known.iter().find(|(kind, _)| kind.is_error());
    let id = envelope.header.event_id.or_else(|| {
        let of_payload =
            event.and_then(|(_, item)| payload::parse::<EventFields<'_>>(item.payload)?.event_id());
        let needed = known.iter().any(|(kind, _)| kind.needs_event_id());
        of_payload.or_else(|| needed.then(EventId::random))
    });
    let mut plan = Plan::taken(id);
    let mut others = known.len();
    if let (Some((kind, item)), Some(id)) = (event, id) {
        let fate = if *kind == Kind::UnrealReport || *kind == Kind::RawSecurity {
            admit(id, item.payload, who)
        } else {
            match used_up(who) {
                Some(used_up) => Fate::Limited(used_up),
                None => match payload::readable(item.payload) {
                    Some(readable) => fate_of_event(id, &readable, who, request),
                    None => Fate::Invalid("invalid_json"),
                },
            }
        };
        let mut quantities = items::count(*kind, item).quantities;
        others -= 1;
        for (kind, item) in known.iter().filter(|(kind, _)| kind.needs_event()) {
            quantities.extend(items::count(*kind, item).quantities);
            others -= 1;
        }
        plan.settle_event(fate, &quantities, who);
    }
    for (kind, item) in &known {
        let is_settled = kind.is_error() || (event.is_some() && kind.needs_event());
        if *kind == Kind::ClientReport {
            plan.entries
                .extend(client_report::entries(item.payload, who));
        } else if !is_settled {
            plan.accept(items::count(*kind, item), who);
        }
    }
    plan.decide(others == 0);
    Ok(plan)
}

/// The limit's answer for an event of which only the header was looked at.
fn used_up(who: &Authenticated) -> Option<UsedUp> {
    let limit = who.key.limit?;
    who.key.window.check(limit, who.received).err()
}

/// Filters an event that can be read, and admits it.
fn fate_of_event(id: EventId, readable: &[u8], who: &Authenticated, request: &Request) -> Fate {
    if who.project.filter_localhost
        && let Some(reason) = payload::parse::<EventFields<'_>>(readable)
            .and_then(|fields| filters::event(&who.project, &fields, request))
    {
        return Fate::Filtered(reason);
    }
    admit(id, readable, who)
}

/// Takes a slot of the key's limit and packs the payload.
fn admit(id: EventId, payload: &[u8], who: &Authenticated) -> Fate {
    let slot = match who.key.limit {
        None => None,
        Some(limit) => match who.key.window.take(limit, who.received) {
            Ok(slot) => Some(slot),
            Err(used_up) => return Fate::Limited(used_up),
        },
    };
    match payload::compress(payload) {
        Ok(payload) => Fate::Accepted(PackedEvent { id, payload }, slot),
        Err(error) => {
            log::error!("an event could not be compressed: {error}");
            if let Some(slot) = slot {
                who.key.window.give_back(slot);
            }
            Fate::Invalid("internal")
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
            with_event: Vec::new(),
            entries: Vec::new(),
            slot: None,
        }
    }

    /// A request of a known project that was refused before its items were known: one item.
    pub(super) fn refused(refusal: Refusal, category: Category, who: &Authenticated) -> Plan {
        let entry = who.entry(category, Outcome::Invalid, refusal.reason(), 1);
        let mut plan = Plan::answering(Answer::Refused(refusal));
        plan.entries.push(entry);
        plan
    }

    /// An envelope that was dropped whole: every item of it is invalid for the one reason.
    fn dropped(refusal: Refusal, items: &[(Kind, &Item<'_>)], who: &Authenticated) -> Plan {
        let reason = refusal.reason();
        let mut plan = Plan::answering(Answer::Refused(refusal));
        for (kind, item) in items {
            for (category, quantity) in items::count(*kind, item).quantities {
                let entry = who.entry(category, Outcome::Invalid, reason.clone(), quantity);
                plan.entries.push(entry);
            }
        }
        plan
    }

    /// Writes down an item that no limit and no filter concerns.
    fn accept(&mut self, counted: items::Counted, who: &Authenticated) {
        let (outcome, reason) = match counted.invalid {
            None => (Outcome::Accepted, ""),
            Some(reason) => (Outcome::Invalid, reason),
        };
        for (category, quantity) in counted.quantities {
            self.entries
                .push(who.entry(category, outcome, reason, quantity));
        }
    }

    /// Writes down what became of the event, for itself and for all that needs it.
    fn settle_event(&mut self, fate: Fate, quantities: &[(Category, u64)], who: &Authenticated) {
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
        for (category, quantity) in quantities {
            self.with_event
                .push(who.entry(*category, outcome, reason, *quantity));
        }
    }

    /// A request of which the limit left nothing is a 429; one of which it left something is taken.
    fn decide(&mut self, nothing_else: bool) {
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
        if self.with_event.is_empty() && self.entries.is_empty() {
            return responder.respond(self.answer.response());
        }
        let bytes = self.event.as_ref().map_or(0, |event| event.payload.len())
            + 128 * (self.with_event.len() + self.entries.len());
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
                responder.respond(plan.conclude(who, kept));
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
        for entry in &self.with_event {
            let mut entry = entry.clone();
            if !is_new {
                entry.outcome = Outcome::Invalid;
                entry.reason = Cow::Borrowed("duplicate");
            }
            unit.count(entry);
        }
        for entry in &self.entries {
            unit.count(entry.clone());
        }
        if let (Some(slot), Some(limit), true) = (self.slot, who.key.limit, is_new) {
            unit.use_slot(who.key.id, limit.window_secs, slot);
        }
        Ok(is_new)
    }

    /// The answer, after the transaction; gives the slot back if it was not used.
    fn conclude(&self, who: &Authenticated, kept: Result<bool, Error>) -> Response {
        if !matches!(kept, Ok(true))
            && let Some(slot) = self.slot
        {
            who.key.window.give_back(slot);
        }
        match kept {
            Ok(is_new) => {
                if is_new && self.event.is_some() {
                    who.project.set_has_events();
                }
                self.answer.response()
            }
            Err(Error::NotFound) => Refusal::UnknownKey.answer(),
            Err(Error::Unavailable { retry_after_secs }) => {
                Refusal::Unavailable { retry_after_secs }.answer()
            }
            Err(error) => {
                log::error!("an envelope could not be stored: {error}");
                Refusal::Internal.answer()
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
