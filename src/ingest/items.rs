//! Item types: their data categories and quantities (facts/ingestion.md 4.5), what they depend on, and how
//! large and how many they may be (4.4).

use std::borrow::Cow;

use super::envelope::Item;
use super::fields::{self, fields};
use super::payload;
use crate::domain::category::Category;

/// An event, and everything that has an event's size.
pub(super) const EVENT_BYTES_MAX: usize = 1 << 20;

/// What an item is. A type that is not here is skipped without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    Transaction,
    Security,
    RawSecurity,
    Attachment,
    Session,
    Sessions,
    UserReport,
    Feedback,
    ReplayEvent,
    ReplayRecording,
    ReplayVideo,
    Profile,
    ProfileChunk,
    CheckIn,
    Log,
    TraceMetric,
    Span,
    ClientReport,
    Statsd,
    MetricBuckets,
    UnrealReport,
    FormData,
}

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "event" => Kind::Event,
            "transaction" => Kind::Transaction,
            "security" => Kind::Security,
            "raw_security" => Kind::RawSecurity,
            "attachment" => Kind::Attachment,
            "session" => Kind::Session,
            "sessions" => Kind::Sessions,
            "user_report" => Kind::UserReport,
            "feedback" => Kind::Feedback,
            "replay_event" => Kind::ReplayEvent,
            "replay_recording" => Kind::ReplayRecording,
            "replay_video" => Kind::ReplayVideo,
            "profile" => Kind::Profile,
            // Android 8.10 and 8.11 sent the second name.
            "profile_chunk" | "profile_chunk_ui" => Kind::ProfileChunk,
            "check_in" => Kind::CheckIn,
            "log" => Kind::Log,
            "trace_metric" => Kind::TraceMetric,
            "span" => Kind::Span,
            "client_report" => Kind::ClientReport,
            "statsd" => Kind::Statsd,
            "metric_buckets" => Kind::MetricBuckets,
            "unreal_report" => Kind::UnrealReport,
            "form_data" => Kind::FormData,
            _ => return None,
        })
    }

    /// Whether a key's rate limit counts it.
    pub(super) fn is_error(self) -> bool {
        matches!(
            self,
            Kind::Event | Kind::Security | Kind::RawSecurity | Kind::UnrealReport
        )
    }

    /// Whether its payload is no JSON, though it is an event's.
    pub(super) fn is_opaque(self) -> bool {
        matches!(self, Kind::RawSecurity | Kind::UnrealReport)
    }

    /// Whether it is of no use without the event of its envelope, and shares what becomes of that.
    pub(super) fn needs_event(self) -> bool {
        matches!(
            self,
            Kind::Attachment | Kind::UserReport | Kind::FormData | Kind::Profile
        )
    }

    /// Whether an envelope with it has an event id (facts/ingestion.md 4.2).
    pub(super) fn needs_event_id(self) -> bool {
        matches!(
            self,
            Kind::Event
                | Kind::Transaction
                | Kind::Security
                | Kind::Attachment
                | Kind::FormData
                | Kind::RawSecurity
                | Kind::UnrealReport
                | Kind::UserReport
                | Kind::Feedback
                | Kind::ReplayEvent
                | Kind::Profile
        )
    }

    fn limit(self) -> Limit {
        const fn limit(group: &'static str, count: usize, bytes: usize) -> Limit {
            Limit {
                group,
                count,
                bytes,
            }
        }
        const MIB: usize = 1 << 20;
        match self {
            // One of them all together: an envelope has one event id.
            Kind::Event
            | Kind::Transaction
            | Kind::Security
            | Kind::RawSecurity
            | Kind::UnrealReport => limit("event", 1, EVENT_BYTES_MAX),
            Kind::Feedback => limit("feedback", 1, EVENT_BYTES_MAX),
            Kind::FormData => limit("form_data", 1, EVENT_BYTES_MAX),
            Kind::ReplayEvent => limit("replay_event", 1, EVENT_BYTES_MAX),
            Kind::Attachment | Kind::UserReport => limit("attachment", 30, 200 * MIB),
            Kind::Session | Kind::Sessions => limit("session", 100, 10 * MIB),
            Kind::ClientReport => limit("client_report", 100, 100 << 10),
            Kind::CheckIn => limit("check_in", 1, 100 << 10),
            Kind::Profile => limit("profile", 1, 50 * MIB),
            Kind::ProfileChunk => limit("profile_chunk", 1, 50 * MIB),
            Kind::ReplayRecording => limit("replay_recording", 1, 10 * MIB),
            Kind::ReplayVideo => limit("replay_video", 1, 10 * MIB),
            Kind::Log => limit("log", 1, 12 * MIB),
            Kind::TraceMetric => limit("trace_metric", 1, 12 * MIB),
            Kind::Span => limit("span", 25, 12 * MIB),
            Kind::Statsd | Kind::MetricBuckets => limit("statsd", 1, MIB),
        }
    }
}

/// How many items of a group an envelope may have, and how many bytes they may have together.
struct Limit {
    group: &'static str,
    count: usize,
    bytes: usize,
}

/// What an envelope's items have used of their groups' limits.
#[derive(Default)]
pub(super) struct Sizes {
    /// A dozen groups at most: a list is the fastest map for them.
    seen: Vec<(&'static str, usize, usize)>,
}

impl Sizes {
    /// Adds an item. Over its group's limit, the group's name: the whole envelope is dropped then.
    pub(super) fn add(&mut self, kind: Kind, bytes: usize) -> Result<(), &'static str> {
        let limit = kind.limit();
        let at = match self
            .seen
            .iter()
            .position(|(group, ..)| *group == limit.group)
        {
            Some(at) => at,
            None => {
                self.seen.push((limit.group, 0, 0));
                self.seen.len() - 1
            }
        };
        let (_, count, sum) = &mut self.seen[at];
        *count = count.saturating_add(1);
        *sum = sum.saturating_add(bytes);
        if *count > limit.count || *sum > limit.bytes {
            return Err(limit.group);
        }
        Ok(())
    }
}

/// Quantities by category, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quantities(Vec<Quantity>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) category: Category,
    pub(super) quantity: u64,
    /// How many items that is of.
    pub(super) times_seen: u64,
}

impl Quantities {
    pub(super) fn one(category: Category) -> Quantities {
        Quantities::of_one_item(&[(category, 1)])
    }

    fn of_one_item(quantities: &[(Category, u64)]) -> Quantities {
        let of = |(category, quantity): &(Category, u64)| Quantity {
            category: *category,
            quantity: *quantity,
            times_seen: 1,
        };
        Quantities(quantities.iter().map(of).collect())
    }

    pub(super) fn add(&mut self, other: &Quantities) {
        for new in &other.0 {
            match self.0.iter_mut().find(|old| old.category == new.category) {
                Some(old) => {
                    old.quantity = old.quantity.saturating_add(new.quantity);
                    old.times_seen = old.times_seen.saturating_add(new.times_seen);
                }
                None => self.0.push(*new),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Quantity> {
        self.0.iter()
    }
}

/// What an item counts as: accepted, unless it is invalid for a reason of its own.
pub(super) struct Counted {
    pub(super) quantities: Quantities,
    pub(super) invalid: Option<&'static str>,
}

impl Counted {
    fn valid(quantities: &[(Category, u64)]) -> Counted {
        Counted {
            quantities: Quantities::of_one_item(quantities),
            invalid: None,
        }
    }

    fn invalid(quantities: &[(Category, u64)], reason: &'static str) -> Counted {
        Counted {
            invalid: Some(reason),
            ..Counted::valid(quantities)
        }
    }
}

/// What an item counts as.
pub(super) fn count(kind: Kind, item: &Item<'_>) -> Counted {
    let bytes = item.payload.len() as u64;
    let one = |category| Counted::valid(&[(category, 1)]);
    match kind {
        Kind::Event | Kind::UnrealReport => one(Category::Error),
        Kind::Security | Kind::RawSecurity => one(Category::Security),
        Kind::Transaction => transaction(item.payload),
        Kind::Attachment => {
            Counted::valid(&[(Category::Attachment, bytes), (Category::AttachmentItem, 1)])
        }
        Kind::Session | Kind::Sessions => one(Category::Session),
        Kind::UserReport | Kind::Feedback => one(Category::Feedback),
        Kind::ReplayEvent | Kind::ReplayRecording | Kind::ReplayVideo => one(Category::Replay),
        Kind::Profile => {
            let by_platform = if is_ui_platform(item) {
                Category::ProfileUi
            } else {
                Category::ProfileBackend
            };
            Counted::valid(&[
                (Category::Profile, 1),
                (Category::ProfileIndexed, 1),
                (by_platform, 1),
            ])
        }
        Kind::ProfileChunk => one(if is_ui_platform(item) {
            Category::ProfileChunkUi
        } else {
            Category::ProfileChunk
        }),
        Kind::CheckIn => one(Category::Monitor),
        Kind::Log => container(item, "invalid_log", |count| {
            vec![(Category::LogItem, count), (Category::LogByte, bytes)]
        }),
        Kind::TraceMetric => container(item, "invalid_trace_metric", |count| {
            vec![(Category::TraceMetric, count)]
        }),
        Kind::Span => {
            let spans = |count| vec![(Category::Span, count), (Category::SpanIndexed, count)];
            if is_container(item) {
                container(item, "invalid_span", spans)
            } else {
                Counted::valid(&spans(1))
            }
        }
        Kind::Statsd | Kind::MetricBuckets => one(Category::MetricBucket),
        // A client report counts what it reports, form data belongs to its event.
        Kind::ClientReport | Kind::FormData => Counted::valid(&[]),
    }
}

/// What a payload of the store endpoint counts as.
pub(super) fn count_payload(kind: Kind, payload: &[u8]) -> Counted {
    let item = Item {
        kind: Cow::Borrowed(""),
        item_count: None,
        platform: None,
        content_type: None,
        payload,
    };
    count(kind, &item)
}

/// A transaction counts itself, and a span for itself and for each of its spans.
fn transaction(payload: &[u8]) -> Counted {
    fields! {
        struct Wire {
            spans: "spans",
        }
    }
    let quantities = |spans: u64| {
        [
            (Category::Transaction, 1),
            (Category::TransactionIndexed, 1),
            (Category::Span, spans),
            (Category::SpanIndexed, spans),
        ]
    };
    match payload::parse::<Wire<'_>>(payload) {
        Some(wire) => {
            let spans = wire.spans.and_then(fields::list_len).unwrap_or(0);
            Counted::valid(&quantities(spans + 1))
        }
        None => Counted::invalid(&quantities(1), "invalid_json"),
    }
}

/// A container counts its items: `item_count` must be there and true. What it says is never counted, only what
/// is there.
fn container(
    item: &Item<'_>,
    reason: &'static str,
    quantities: impl Fn(u64) -> Vec<(Category, u64)>,
) -> Counted {
    fields! {
        struct Wire {
            items: "items",
        }
    }
    let found = payload::parse::<Wire<'_>>(item.payload)
        .and_then(|wire| wire.items)
        .and_then(fields::list_len);
    match found {
        Some(found) if item.item_count == Some(found) => Counted::valid(&quantities(found)),
        _ => Counted::invalid(&quantities(found.unwrap_or(1).max(1)), reason),
    }
}

fn is_container(item: &Item<'_>) -> bool {
    item.content_type
        .as_ref()
        .is_some_and(|t| t.starts_with("application/vnd.sentry.items."))
}

/// Whether a profile comes from a user's device: the item's header says so, else the profile itself.
fn is_ui_platform(item: &Item<'_>) -> bool {
    fields! {
        struct Wire {
            platform: "platform",
        }
    }
    let is_ui = |platform: &str| matches!(platform, "cocoa" | "android" | "javascript");
    match &item.platform {
        Some(platform) => is_ui(platform),
        None => payload::parse::<Wire<'_>>(item.payload)
            .and_then(|wire| wire.platform)
            .and_then(fields::text)
            .is_some_and(|platform| is_ui(&platform)),
    }
}
