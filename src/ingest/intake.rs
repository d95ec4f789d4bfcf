//! Decides what becomes of each item of a request, before the writer sees any.
//!
//! The order for an event (design 2): a limit's window that is used up refuses it from the item's header alone;
//! then the payload is read, normalised and filtered, takes a slot of the limit, and is scrubbed and packed. A
//! filtered event takes no slot. What needs the event shares its fate. Other items are filtered by the client's
//! address, read and scrubbed if they are JSON, and packed.

use std::borrow::Cow;

use serde_json::json;

use super::endpoints::cron;
use super::items::{self, Kind, Quantities};
use super::json::Map;
use super::meta::Meta;
use super::news::{News, Sdk};
use super::normalise::{self, Surroundings};
use super::pack::{self, Packer};
use super::parcel::{Item, ItemHeader};
use super::plan::{EventPart, Plan, Stored};
use super::rules::Rules;
use super::sort::Sorted;
use super::source::Payload;
use super::uploads::crash::Report;
use super::{Authenticated, Refusal, client_report, container, payload};
use crate::domain::event_id::EventId;
use crate::domain::outcome::{KEY_QUOTA, Outcome};
use crate::domain::window::{Slot, UsedUp};
use crate::http::Request;
use crate::store::attachments::NewAttachment;
use crate::store::items::NewItem;

/// The default of an attachment's type.
const PLAIN_ATTACHMENT: &str = "event.attachment";

/// One request on its way into a plan.
pub(super) struct Intake<'r, 's> {
    who: &'r Authenticated,
    request: &'r Request,
    rules: &'r Rules,
    packer: &'r mut Packer<'s>,
    plan: &'r mut Plan,
    /// Who sent it, for items that do not say themselves.
    sdk: Sdk,
}

/// What became of an event.
enum Fate {
    Accepted {
        payload: Vec<u8>,
        slot: Option<Slot>,
        news: News,
    },
    Filtered(&'static str),
    Limited(UsedUp),
    Invalid(&'static str),
}

/// An event about which all is decided.
struct Decided {
    id: EventId,
    fate: Fate,
    quantities: Quantities,
}

/// What became of an item that is no event.
#[derive(Default)]
struct Processed {
    stored: Option<Stored>,
    accepted: Quantities,
    refused: Vec<(Quantities, Outcome, &'static str)>,
    /// None for an item that says nothing of where it is from.
    news: Option<News>,
}

impl<'r, 's> Intake<'r, 's> {
    pub(super) fn new(
        who: &'r Authenticated,
        request: &'r Request,
        rules: &'r Rules,
        packer: &'r mut Packer<'s>,
        plan: &'r mut Plan,
    ) -> Intake<'r, 's> {
        Intake {
            who,
            request,
            rules,
            packer,
            plan,
            sdk: who.sdk,
        }
    }

    /// Says what an envelope's first line says of who sent it.
    pub(super) fn sent_by(&mut self, sdk: Sdk) {
        self.sdk = sdk.or(self.sdk);
    }

    /// Takes the items that belong together. `id` is the one that the request named, `sent_us` when it was sent
    /// by the SDK's clock.
    ///
    /// # Errors
    /// Something broke on our side, or has no room; nothing must be kept then.
    pub(super) fn take(
        &mut self,
        mut sorted: Sorted<'_>,
        id: Option<EventId>,
        sent_us: Option<i64>,
    ) -> Result<(), Refusal> {
        if sorted.primary.is_none() {
            sorted.primary = self.event_of_attachment(&sorted.bound)?;
        }
        let needs_id = sorted.iter().any(|item| item.kind.needs_event_id());
        let lacks = replay_lacks(&sorted);
        let id = match &sorted.primary {
            Some(primary) => {
                let decided = self.decide(primary, id, sent_us)?;
                let id = decided.id;
                self.settle_event(primary, decided, &sorted.bound)?;
                Some(id)
            }
            None => {
                let id = id.or_else(|| needs_id.then(EventId::random));
                for item in &sorted.bound {
                    self.settle_other(item, id, None, sent_us)?;
                }
                id
            }
        };
        for item in &sorted.others {
            self.settle_other(item, id, lacks, sent_us)?;
        }
        self.plan.name(id);
        Ok(())
    }

    /// The event that a crash dump is, when no other came with it (facts/ingestion.md 4.5).
    fn event_of_attachment(&self, bound: &[Item<'_>]) -> Result<Option<Item<'static>>, Refusal> {
        let report =
            |item: &Item<'_>| Report::of_attachment_type(item.header.attachment_type.as_deref()?);
        for item in bound {
            if let Some(report) = report(item) {
                let event = report.event(&item.payload, self.who.received)?;
                return Ok(Some(Item::new(Kind::Event, Payload::owned(event))));
            }
        }
        Ok(None)
    }

    fn decide(
        &mut self,
        item: &Item<'_>,
        id: Option<EventId>,
        sent_us: Option<i64>,
    ) -> Result<Decided, Refusal> {
        // Servers make these of what they take elsewhere; nobody can say what a client means by them.
        let reserved = match item.kind {
            Kind::RawSecurity => Some("security_report_type"),
            Kind::UnrealReport => Some("invalid_unreal_report"),
            _ => None,
        };
        if let Some(reason) = reserved {
            return Ok(Decided {
                id: id.unwrap_or_else(EventId::random),
                fate: Fate::Invalid(reason),
                quantities: items::count(item),
            });
        }
        if item.kind.is_error()
            && let Some(used_up) = self.used_up()
        {
            return Ok(Decided {
                id: id.unwrap_or_else(EventId::random),
                fate: Fate::Limited(used_up),
                quantities: items::count(item),
            });
        }
        let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        let mut spare = None;
        let Some(mut event) = payload::object(&bytes, &mut spare) else {
            return Ok(Decided {
                id: id.unwrap_or_else(EventId::random),
                fate: Fate::Invalid("invalid_json"),
                quantities: items::count(item),
            });
        };
        let id = id
            .or_else(|| event.str("event_id").and_then(EventId::parse))
            .unwrap_or_else(EventId::random);
        let quantities = match item.kind {
            Kind::Transaction => {
                items::transaction(event.list("spans").map_or(0, <[_]>::len) as u64)
            }
            _ => items::count(item),
        };
        let fate = self.fate(&mut event, item.kind, id, sent_us)?;
        Ok(Decided {
            id,
            fate,
            quantities,
        })
    }

    fn fate(
        &mut self,
        event: &mut Map<'_>,
        kind: Kind,
        id: EventId,
        sent_us: Option<i64>,
    ) -> Result<Fate, Refusal> {
        let mut meta = Meta::default();
        if let Err(reason) =
            normalise::event(event, &self.surroundings(kind, id, sent_us), &mut meta)
        {
            return Ok(Fate::Invalid(reason));
        }
        if let Some(reason) = self.rules.filter_event(event, kind, self.request.peer) {
            return Ok(Fate::Filtered(reason));
        }
        let slot = match self.take_slot(kind) {
            Ok(slot) => slot,
            Err(used_up) => return Ok(Fate::Limited(used_up)),
        };
        self.rules.scrub_event(event, &mut meta);
        meta.write_to(event);
        match pack::compress(&event.to_vec()) {
            Ok(payload) => Ok(Fate::Accepted {
                payload,
                slot,
                news: News::of_event(event, self.sdk, self.who),
            }),
            Err(refusal) => {
                if let Some(slot) = slot {
                    self.who.key.window.give_back(slot);
                }
                Err(refusal)
            }
        }
    }

    fn surroundings(&self, kind: Kind, id: EventId, sent_us: Option<i64>) -> Surroundings {
        Surroundings {
            kind,
            id,
            received: self.who.received,
            sent_us,
            peer: self.request.peer,
        }
    }

    /// The limit's answer for an event of which only the header was looked at.
    fn used_up(&self) -> Option<UsedUp> {
        let limit = self.who.key.limit?;
        self.who.key.window.check(limit, self.who.received).err()
    }

    fn take_slot(&self, kind: Kind) -> Result<Option<Slot>, UsedUp> {
        match self.who.key.limit {
            Some(limit) if kind.is_error() => {
                self.who.key.window.take(limit, self.who.received).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Writes down what became of an event, for itself and for all that needs it.
    fn settle_event(
        &mut self,
        item: &Item<'_>,
        decided: Decided,
        bound: &[Item<'_>],
    ) -> Result<(), Refusal> {
        let (outcome, reason) = match decided.fate {
            Fate::Accepted {
                payload,
                slot,
                news,
            } => {
                let Some(kind) = item.kind.stored() else {
                    return Err(Refusal::Internal);
                };
                let mut part = EventPart::new(decided.id, kind, payload, slot, news);
                part.accept(&decided.quantities, self.who);
                // From here on the plan gives the slot back, whatever goes wrong.
                self.plan.events.push(part);
                let at = self.plan.events.len() - 1;
                for item in bound {
                    let processed = self.process(item, Some(decided.id), None)?;
                    self.plan.refuse_all(processed.refused, self.who);
                    let part = &mut self.plan.events[at];
                    part.accept(&processed.accepted, self.who);
                    part.with.extend(processed.stored);
                }
                self.plan.took_something();
                return Ok(());
            }
            Fate::Filtered(reason) => (Outcome::Filtered, reason),
            Fate::Limited(used_up) => {
                self.plan.limit(used_up);
                (Outcome::RateLimited, KEY_QUOTA)
            }
            Fate::Invalid(reason) => (Outcome::Invalid, reason),
        };
        if outcome != Outcome::RateLimited {
            self.plan.took_something();
        }
        self.plan
            .refuse(&decided.quantities, outcome, reason, self.who);
        for item in bound {
            self.plan
                .refuse(&items::count(item), outcome, reason, self.who);
        }
        Ok(())
    }

    /// Writes down what became of an item that no event of the request decides about. `lacks` is the reason for
    /// which the parts of a replay are of no use.
    fn settle_other(
        &mut self,
        item: &Item<'_>,
        id: Option<EventId>,
        lacks: Option<&'static str>,
        sent_us: Option<i64>,
    ) -> Result<(), Refusal> {
        self.plan.took_something();
        if item.kind == Kind::ClientReport {
            let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
            for entry in client_report::entries(&bytes, self.who) {
                self.plan.add_row(entry);
            }
            return Ok(());
        }
        if item.kind == Kind::Feedback {
            // Beside an event, which has the request's id: its own one must be another.
            let mut decided = self.decide(item, None, sent_us)?;
            if Some(decided.id) == id {
                decided = self.decide(item, Some(EventId::random()), sent_us)?;
            }
            return self.settle_event(item, decided, &[]);
        }
        let processed = match lacks {
            Some(reason) if item.kind.is_replay() => Processed::invalid(items::count(item), reason),
            _ => self.process(item, id, sent_us)?,
        };
        self.plan.refuse_all(processed.refused, self.who);
        self.plan.accept(&processed.accepted, self.who);
        if let Some(stored) = processed.stored {
            self.plan.items.push(stored);
            match processed.news {
                Some(news) => self.plan.add_news(news),
                // An event of the same request says it better.
                None if !self.plan.events.is_empty() => {}
                None => self.plan.add_news(News::of(self.sdk, "", "", self.who)),
            }
        }
        Ok(())
    }

    fn process(
        &mut self,
        item: &Item<'_>,
        id: Option<EventId>,
        sent_us: Option<i64>,
    ) -> Result<Processed, Refusal> {
        if let Some(reason) = item.invalid {
            return Ok(Processed::invalid(items::count(item), reason));
        }
        if let Some(reason) = self.rules.filter_client(self.request.peer) {
            return Ok(Processed::refused(
                items::count(item),
                Outcome::Filtered,
                reason,
            ));
        }
        match item.kind {
            Kind::FormData | Kind::ClientReport => Ok(Processed::default()),
            Kind::Attachment => self.attachment(item, id),
            Kind::Log | Kind::TraceMetric => self.container(item),
            Kind::Span if items::is_container(item) => self.container(item),
            Kind::CheckIn => self.check_in(item),
            Kind::Span | Kind::Session | Kind::Sessions | Kind::UserReport => self.json(item, id),
            Kind::ReplayEvent => self.replay_event(item, id, sent_us),
            Kind::ReplayRecording if item.payload.is_empty() => Ok(Processed::invalid(
                items::count(item),
                "invalid_replay_recording",
            )),
            _ => {
                let quantities = items::count(item);
                self.keep(item, id, 1, quantities, &item.payload)
            }
        }
    }

    fn attachment(&mut self, item: &Item<'_>, id: Option<EventId>) -> Result<Processed, Refusal> {
        let sha1 = pack::sha1(&item.payload).map_err(|e| Refusal::unreadable(&e))?;
        let text = |value: &Option<Cow<'_, str>>| value.as_deref().map(str::to_owned);
        let header = &item.header;
        Ok(Processed {
            accepted: items::count(item),
            stored: Some(Stored::Attachment(NewAttachment {
                event_id: id.unwrap_or_else(EventId::random),
                kind: text(&header.attachment_type).unwrap_or_else(|| PLAIN_ATTACHMENT.to_owned()),
                name: text(&header.filename).unwrap_or_else(|| "Unnamed Attachment".to_owned()),
                content_type: text(&header.content_type),
                bytes: item.payload.len(),
                sha1,
                payload: self.packer.pack(&item.payload)?,
            })),
            ..Processed::default()
        })
    }

    /// A container counts its entries: `item_count` must be there and true.
    fn container(&mut self, item: &Item<'_>) -> Result<Processed, Refusal> {
        let reason = match item.kind {
            Kind::Log => "invalid_log",
            Kind::TraceMetric => "invalid_trace_metric",
            _ => "invalid_span",
        };
        let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        let found = container::read(&bytes, item.kind, self.rules)
            .filter(|found| item.header.item_count == Some(found.kept + found.filtered));
        let Some(found) = found else {
            return Ok(Processed::invalid(items::count(item), reason));
        };
        let bytes = bytes.len() as u64;
        let filtered_bytes = if found.kept > 0 {
            found.filtered_bytes
        } else {
            bytes
        };
        let mut processed = if found.kept > 0 {
            let quantities = items::entries(item.kind, found.kept, bytes - filtered_bytes);
            let payload = Payload::owned(found.payload);
            self.keep(item, None, found.kept, quantities, &payload)?
        } else {
            Processed::default()
        };
        if found.filtered > 0 {
            let quantities = items::entries(item.kind, found.filtered, filtered_bytes);
            let filtered = (quantities, Outcome::Filtered, found.filtered_reason);
            processed.refused.push(filtered);
        }
        Ok(processed)
    }

    fn check_in(&mut self, item: &Item<'_>) -> Result<Processed, Refusal> {
        let quantities = items::count(item);
        let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        let checked = match cron::check(&bytes) {
            Ok(checked) => checked,
            Err(reason) => return Ok(Processed::invalid(quantities, reason)),
        };
        let Some(mut check_in) = Map::parse(&checked) else {
            return Ok(Processed::invalid(quantities, "invalid_check_in"));
        };
        let id = check_in.str("check_in_id").and_then(EventId::parse);
        let payload = self.scrubbed(item.kind, &mut check_in);
        let news = self.news_of(&check_in);
        let processed = self.keep(item, id, 1, quantities, &payload)?;
        Ok(processed.with(news))
    }

    /// An entry without what must not be stored.
    fn scrubbed(&self, kind: Kind, entry: &mut Map<'_>) -> Payload<'static> {
        let mut meta = Meta::default();
        self.rules.scrub_entry(kind, entry, &mut meta);
        meta.write_to(entry);
        Payload::owned(entry.to_vec())
    }

    /// An item that is one JSON object.
    fn json(&mut self, item: &Item<'_>, id: Option<EventId>) -> Result<Processed, Refusal> {
        let quantities = items::count(item);
        let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        let mut spare = None;
        let Some(mut map) = payload::object(&bytes, &mut spare) else {
            return Ok(Processed::invalid(quantities, "invalid_json"));
        };
        let id = match item.kind {
            Kind::UserReport => map.str("event_id").and_then(EventId::parse).or(id),
            _ => None,
        };
        let payload = self.scrubbed(item.kind, &mut map);
        let processed = self.keep(item, id, 1, quantities, &payload)?;
        Ok(match map.map("attrs") {
            Some(attributes) if matches!(item.kind, Kind::Session | Kind::Sessions) => {
                processed.with(self.news_of(attributes))
            }
            _ => processed,
        })
    }

    /// What release and environment of an object that is no event tell; those that no event could have are none.
    fn news_of(&self, named: &Map<'_>) -> News {
        let text = |name| named.str(name).unwrap_or_default();
        let release = normalise::release_name(text("release")).unwrap_or_default();
        let environment = normalise::environment_name(text("environment")).unwrap_or_default();
        News::of(self.sdk, release, environment, self.who)
    }

    fn replay_event(
        &mut self,
        item: &Item<'_>,
        id: Option<EventId>,
        sent_us: Option<i64>,
    ) -> Result<Processed, Refusal> {
        let quantities = items::count(item);
        let bytes = item.payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        let mut spare = None;
        let Some(mut event) = payload::object(&bytes, &mut spare) else {
            return Ok(Processed::invalid(quantities, "invalid_replay"));
        };
        let id = id.unwrap_or_else(EventId::random);
        let mut meta = Meta::default();
        let around = self.surroundings(item.kind, id, sent_us);
        if normalise::event(&mut event, &around, &mut meta).is_err() {
            return Ok(Processed::invalid(quantities, "invalid_replay"));
        }
        if let Some(reason) = self
            .rules
            .filter_event(&event, item.kind, self.request.peer)
        {
            return Ok(Processed::refused(quantities, Outcome::Filtered, reason));
        }
        self.rules.scrub_event(&mut event, &mut meta);
        meta.write_to(&mut event);
        let payload = Payload::owned(event.to_vec());
        let news = News::of_event(&event, self.sdk, self.who);
        let processed = self.keep(item, Some(id), 1, quantities, &payload)?;
        Ok(processed.with(news))
    }

    /// An item that is stored, with this payload.
    fn keep(
        &mut self,
        item: &Item<'_>,
        item_id: Option<EventId>,
        quantity: u64,
        accepted: Quantities,
        payload: &Payload<'_>,
    ) -> Result<Processed, Refusal> {
        let Some(kind) = item.kind.stored() else {
            return Err(Refusal::Internal);
        };
        let item_id = match item.kind {
            // Nothing that an SDK would ask for by the id of the request that it came with.
            Kind::Log | Kind::TraceMetric | Kind::Span | Kind::Session | Kind::Sessions => None,
            Kind::Statsd | Kind::MetricBuckets | Kind::ProfileChunk => None,
            _ => item_id,
        };
        Ok(Processed {
            accepted,
            stored: Some(Stored::Item(NewItem {
                kind,
                item_id,
                header: header_json(&item.header),
                quantity,
                bytes: payload.len(),
                payload: self.packer.pack(payload)?,
            })),
            ..Processed::default()
        })
    }
}

impl Processed {
    fn with(self, news: News) -> Processed {
        Processed {
            news: Some(news),
            ..self
        }
    }

    fn invalid(quantities: Quantities, reason: &'static str) -> Processed {
        Processed::refused(quantities, Outcome::Invalid, reason)
    }

    fn refused(quantities: Quantities, outcome: Outcome, reason: &'static str) -> Processed {
        Processed {
            refused: vec![(quantities, outcome, reason)],
            ..Processed::default()
        }
    }
}

/// The event and the recording of a replay come together; the reason if one of them is alone.
fn replay_lacks(sorted: &Sorted<'_>) -> Option<&'static str> {
    let has = |kind: Kind| sorted.others.iter().any(|item| item.kind == kind);
    let has_event = has(Kind::ReplayEvent);
    // A video brings event and recording in its own payload.
    match has(Kind::ReplayRecording) || has(Kind::ReplayVideo) {
        false if has_event => Some("invalid_replay_missing_recording"),
        true if !has_event && !has(Kind::ReplayVideo) => Some("invalid_replay_no_payload"),
        _ => None,
    }
}

/// The fields of an item's header that say how to read its payload.
fn header_json(header: &ItemHeader<'_>) -> String {
    let mut fields = serde_json::Map::new();
    let texts = [
        ("platform", &header.platform),
        ("content_type", &header.content_type),
        ("filename", &header.filename),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    for (name, value) in [
        ("item_count", header.item_count),
        ("meta_length", header.meta_length),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    serde_json::Value::Object(fields).to_string()
}
