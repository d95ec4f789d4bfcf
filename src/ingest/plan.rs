//! What one request leaves behind, and the one job that makes it so.
//!
//! A duplicate event shows only in the writer: it and what came with it are invalid then, and nothing of them is
//! stored. It and a failed job give their slot of the limit back.

use std::borrow::Cow;
use std::sync::Arc;

use super::items::Quantities;
use super::news::News;
use super::reply::Reply;
use super::{Authenticated, Refusal};
use crate::domain::Error;
use crate::domain::category::Category;
use crate::domain::event_id::EventId;
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::stored::StoredKind;
use crate::domain::window::{Slot, UsedUp};
use crate::http::{Responder, Response};
use crate::store::Store;
use crate::store::attachments::{self, NewAttachment};
use crate::store::events::{self, NewEvent};
use crate::store::items::{self, NewItem};
use crate::store::payloads::{self, LargePayloadId, NewPayload};
use crate::store::projects;
use crate::store::sightings;
use crate::store::sizes::Kind;
use crate::store::writer::Unit;

/// Everything that one request leaves behind, and its answer.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) events: Vec<EventPart>,
    /// Stored whatever becomes of the events.
    pub(super) items: Vec<Stored>,
    /// What the items tell.
    news: Vec<News>,
    rows: Rows,
    /// The id that the client is told.
    id: Option<EventId>,
    /// Some items were refused by the key's limit.
    limited: Option<UsedUp>,
    /// Something was not.
    took_something: bool,
    /// The request was refused whole.
    refusal: Option<Refusal>,
    /// The answer, if it is not the endpoint's own.
    answer: Option<Response>,
    /// Large payloads whose parts are in the file already.
    begun: Vec<LargePayloadId>,
}

/// An event, with what is of no use without it.
pub(super) struct EventPart {
    id: EventId,
    kind: StoredKind,
    /// zstd.
    payload: Vec<u8>,
    slot: Option<Slot>,
    news: News,
    pub(super) with: Vec<Stored>,
    /// Accepted, unless the event is a duplicate.
    rows: Rows,
}

/// A row beside the events.
pub(super) enum Stored {
    Item(NewItem),
    Attachment(NewAttachment),
}

impl Stored {
    fn payload(&self) -> &NewPayload {
        match self {
            Stored::Item(item) => &item.payload,
            Stored::Attachment(attachment) => &attachment.payload,
        }
    }

    fn insert(&self, who: &Authenticated, unit: &mut Unit<'_>) -> Result<(), Error> {
        let (project, key) = (who.project.id, who.key.id);
        let kind = match self {
            Stored::Item(item) => {
                items::insert(unit, project, key, who.received, item)?;
                Kind::Of(item.kind)
            }
            Stored::Attachment(attachment) => {
                attachments::insert(unit, project, key, who.received, attachment)?;
                Kind::Attachments
            }
        };
        unit.store(project, kind, self.payload().packed_bytes(), who.received);
        Ok(())
    }
}

impl EventPart {
    pub(super) fn new(
        id: EventId,
        kind: StoredKind,
        payload: Vec<u8>,
        slot: Option<Slot>,
        news: News,
    ) -> EventPart {
        EventPart {
            id,
            kind,
            payload,
            slot,
            news,
            with: Vec::new(),
            rows: Rows::default(),
        }
    }

    pub(super) fn accept(&mut self, quantities: &Quantities, who: &Authenticated) {
        self.rows
            .add_all(quantities, Outcome::Accepted, Cow::Borrowed(""), who);
    }

    /// Writes the event and what came with it; whether it is new.
    fn write(&self, who: &Authenticated, unit: &mut Unit<'_>) -> Result<bool, Error> {
        let is_new = events::insert(
            unit,
            &NewEvent {
                project: who.project.id,
                key: who.key.id,
                event_id: self.id,
                kind: self.kind,
                received: who.received,
                payload: &self.payload,
            },
        )?;
        if is_new && self.is_first_of(who) {
            projects::set_first_event(unit, who.project.id, who.received)?;
        }
        if is_new {
            let packed = self.payload.len() as u64;
            unit.store(who.project.id, Kind::Of(self.kind), packed, who.received);
            self.news.write(who, unit)?;
        }
        for stored in &self.with {
            if is_new {
                stored.insert(who, unit)?;
            } else if let NewPayload::Large { id, .. } = stored.payload() {
                payloads::delete(unit, *id)?;
            }
        }
        for row in &self.rows.0 {
            let mut row = row.clone();
            if !is_new {
                row.outcome = Outcome::Invalid;
                row.reason = Cow::Borrowed("duplicate");
            }
            unit.count(row);
        }
        if let (Some(slot), Some(limit), true) = (self.slot, who.key.limit, is_new) {
            unit.use_slot(who.key.id, limit.window_secs, slot);
        }
        Ok(is_new)
    }

    /// Whether it could be the project's first event; transactions and feedback do not count as such.
    fn is_first_of(&self, who: &Authenticated) -> bool {
        matches!(self.kind, StoredKind::Event | StoredKind::Security) && !who.project.has_events()
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
    /// A request of a known project that was refused before its items were known: one item.
    pub(super) fn refused(refusal: Refusal, category: Category, who: &Authenticated) -> Plan {
        Plan::dropped(refusal, &Quantities::one(category), who)
    }

    /// A request that was refused whole: every item of it is invalid for the one reason. Nothing is written down
    /// for a fault of ours: the client will say itself that it lost them.
    pub(super) fn dropped(refusal: Refusal, items: &Quantities, who: &Authenticated) -> Plan {
        let mut plan = Plan::default();
        if !refusal.is_ours() {
            let reason = Cow::Owned(refusal.reason());
            plan.rows.add_all(items, Outcome::Invalid, reason, who);
        }
        plan.refusal = Some(refusal);
        plan
    }

    pub(super) fn add_row(&mut self, entry: LedgerEntry) {
        self.rows.add(entry);
    }

    /// The same from several items is news once.
    pub(super) fn add_news(&mut self, news: News) {
        if !news.is_empty() && !self.news.contains(&news) {
            self.news.push(news);
        }
    }

    pub(super) fn accept(&mut self, quantities: &Quantities, who: &Authenticated) {
        self.rows
            .add_all(quantities, Outcome::Accepted, Cow::Borrowed(""), who);
    }

    pub(super) fn refuse(
        &mut self,
        quantities: &Quantities,
        outcome: Outcome,
        reason: &'static str,
        who: &Authenticated,
    ) {
        self.rows
            .add_all(quantities, outcome, Cow::Borrowed(reason), who);
    }

    pub(super) fn refuse_all(
        &mut self,
        refused: Vec<(Quantities, Outcome, &'static str)>,
        who: &Authenticated,
    ) {
        for (quantities, outcome, reason) in refused {
            self.refuse(&quantities, outcome, reason, who);
        }
    }

    /// The first id that the request's items have is the one that the client is told.
    pub(super) fn name(&mut self, id: Option<EventId>) {
        self.id = self.id.or(id);
    }

    pub(super) fn limit(&mut self, used_up: UsedUp) {
        self.limited = Some(used_up);
    }

    pub(super) fn took_something(&mut self) {
        self.took_something = true;
    }

    /// Whether the request was not refused whole.
    pub(super) fn is_taken(&self) -> bool {
        self.refusal.is_none()
    }

    /// Answers in other words than the endpoint's or the refusal's.
    pub(super) fn answer_with(&mut self, answer: Response) {
        self.answer = Some(answer);
    }

    pub(super) fn begun(&mut self, begun: Vec<LargePayloadId>) {
        self.begun = begun;
    }

    /// Gives back what the plan holds, when it will not be carried out.
    pub(super) fn give_up(&self, store: &Store, who: &Authenticated) {
        for slot in self.events.iter().filter_map(|part| part.slot) {
            who.key.window.give_back(slot);
        }
        abandon(store, &self.begun);
    }

    /// Hands the plan to the writer and answers when it is durable; at once if it leaves nothing behind.
    /// `or_429`: the endpoint says so when the limit left nothing of a request.
    pub(super) fn submit(
        mut self,
        store: &Arc<Store>,
        who: Authenticated,
        responder: Responder,
        reply: Reply,
        or_429: bool,
    ) {
        if let (Some(used_up), false, true) = (self.limited, self.took_something, or_429) {
            self.refusal = Some(Refusal::RateLimited(used_up));
        }
        if self.events.is_empty() && self.items.is_empty() && self.rows.0.is_empty() {
            return responder.respond(self.response(reply));
        }
        let bytes = self.memory_bytes();
        let store_of_parts = (!self.begun.is_empty()).then(|| Arc::clone(store));
        let load = Arc::clone(&who.project.load);
        let plan = Arc::new((self, who));
        let in_writer = Arc::clone(&plan);
        store.writer().submit_sent(
            &load,
            bytes,
            move |unit| {
                let (plan, who) = &*in_writer;
                plan.write(who, unit)
            },
            move |kept| {
                let (plan, who) = &*plan;
                if let (Some(store), Err(error)) = (&store_of_parts, &kept)
                    && !matches!(error, Error::Uncertain)
                {
                    abandon(store, &plan.begun);
                }
                match plan.conclude(who, kept, reply) {
                    Some(response) => responder.respond(response),
                    None => responder.close(),
                }
            },
        );
    }

    fn memory_bytes(&self) -> usize {
        let of_stored = |stored: &Stored| stored.payload().memory_bytes();
        let of_part = |part: &EventPart| {
            part.payload.len()
                + part.with.iter().map(of_stored).sum::<usize>()
                + size_of::<LedgerEntry>() * part.rows.0.len()
        };
        self.events.iter().map(of_part).sum::<usize>()
            + self.items.iter().map(of_stored).sum::<usize>()
            + size_of::<LedgerEntry>() * self.rows.0.len()
    }

    /// Writes everything; for each event whether it is new.
    fn write(&self, who: &Authenticated, unit: &mut Unit<'_>) -> Result<Vec<bool>, Error> {
        if !unit.key_is_there(who.key.id, who.key.public)? {
            return Err(Error::NotFound);
        }
        let new = self
            .events
            .iter()
            .map(|part| part.write(who, unit))
            .collect::<Result<Vec<bool>, Error>>()?;
        for stored in &self.items {
            stored.insert(who, unit)?;
        }
        for row in &self.rows.0 {
            unit.count(row.clone());
        }
        for news in &self.news {
            news.write(who, unit)?;
        }
        let unseen = who.project.unseen(self.kinds());
        if unseen != 0 {
            sightings::add_kinds(unit, who.project.id, unseen)?;
        }
        Ok(new)
    }

    /// The kinds of all that is stored: bits, numbered by [`StoredKind`].
    fn kinds(&self) -> u64 {
        let of_item = |stored: &Stored| match stored {
            Stored::Item(item) => Some(item.kind),
            Stored::Attachment(_) => None,
        };
        let of_events = self.events.iter().map(|part| part.kind);
        let beside = self.events.iter().flat_map(|part| &part.with);
        of_events
            .chain(beside.chain(&self.items).filter_map(of_item))
            .fold(0, |kinds, kind| kinds | 1 << kind.number())
    }

    /// The answer, after the transaction; gives the slots back that were not used. None if nobody can say what is
    /// kept: an SDK that heard an error would count the event as lost.
    fn conclude(
        &self,
        who: &Authenticated,
        kept: Result<Vec<bool>, Error>,
        reply: Reply,
    ) -> Option<Response> {
        let uncertain = matches!(kept, Err(Error::Uncertain));
        if kept.is_ok() {
            who.project.set_seen(self.kinds());
            for news in &self.news {
                news.remember(who);
            }
        }
        for (at, part) in self.events.iter().enumerate() {
            let is_kept = kept.as_ref().is_ok_and(|new| new.get(at) == Some(&true));
            if is_kept && part.is_first_of(who) {
                who.project.set_has_events();
            }
            if is_kept {
                part.news.remember(who);
            }
            if let (Some(slot), false, false) = (part.slot, is_kept, uncertain) {
                who.key.window.give_back(slot);
            }
        }
        match kept {
            Ok(_) => Some(self.response(reply)),
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

    fn response(&self, reply: Reply) -> Response {
        match (&self.answer, &self.refusal) {
            (Some(answer), _) => answer.clone(),
            (None, Some(refusal)) => refusal.answer(),
            (None, None) => reply.response(self.id, self.limited),
        }
    }
}

/// Removes large payloads that no row will have.
fn abandon(store: &Store, begun: &[LargePayloadId]) {
    if begun.is_empty() {
        return;
    }
    let begun = begun.to_vec();
    store.writer().submit(
        0,
        move |unit| {
            for id in &begun {
                payloads::delete(unit, *id)?;
            }
            Ok(())
        },
        |removed| {
            if let Err(error) = removed {
                log::warn!("parts of a refused upload stay until the next start: {error}");
            }
        },
    );
}
