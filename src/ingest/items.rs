//! Item types: their data categories and quantities (facts/ingestion.md 4.5), what they depend on, and how
//! large and how many they may be (4.4).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::envelope::{Item, ItemHeader};
use super::{Refusal, payload};
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

/// Checks the items against their groups' limits. Over one, the whole envelope is dropped.
pub(super) fn check_sizes(items: &[(Kind, &Item<'_>)]) -> Result<(), Refusal> {
    // There are a dozen groups; a list is the fastest map for them.
    let mut seen: Vec<(&'static str, usize, usize)> = Vec::new();
    for (kind, item) in items {
        let limit = kind.limit();
        let at = match seen.iter().position(|(group, ..)| *group == limit.group) {
            Some(at) => at,
            None => {
                seen.push((limit.group, 0, 0));
                seen.len() - 1
            }
        };
        let (_, count, bytes) = &mut seen[at];
        *count += 1;
        *bytes = bytes.saturating_add(item.payload.len());
        if *count > limit.count || *bytes > limit.bytes {
            return Err(Refusal::TooLarge(limit.group));
        }
    }
    Ok(())
}

/// The categories of an item with their quantities, or why it is invalid and then counted once per category.
pub(super) struct Counted {
    pub(super) quantities: Vec<(Category, u64)>,
    pub(super) invalid: Option<&'static str>,
}

impl Counted {
    fn valid(quantities: Vec<(Category, u64)>) -> Counted {
        Counted {
            quantities,
            invalid: None,
        }
    }

    fn invalid(quantities: Vec<(Category, u64)>, reason: &'static str) -> Counted {
        Counted {
            quantities,
            invalid: Some(reason),
        }
    }
}

/// What an item counts as. Events are counted where they are read ([`super::plan`]).
pub(super) fn count(kind: Kind, item: &Item<'_>) -> Counted {
    let bytes = item.payload.len() as u64;
    let one = |category| Counted::valid(vec![(category, 1)]);
    match kind {
        Kind::Event | Kind::UnrealReport => one(Category::Error),
        Kind::Security | Kind::RawSecurity => one(Category::Security),
        Kind::Transaction => transaction(item.payload),
        Kind::Attachment => Counted::valid(vec![
            (Category::Attachment, bytes),
            (Category::AttachmentItem, 1),
        ]),
        Kind::Session | Kind::Sessions => one(Category::Session),
        Kind::UserReport | Kind::Feedback => one(Category::Feedback),
        Kind::ReplayEvent | Kind::ReplayRecording | Kind::ReplayVideo => one(Category::Replay),
        Kind::Profile => Counted::valid(vec![
            (Category::Profile, 1),
            (Category::ProfileIndexed, 1),
            (
                if is_ui_platform(&item.header, item.payload) {
                    Category::ProfileUi
                } else {
                    Category::ProfileBackend
                },
                1,
            ),
        ]),
        Kind::ProfileChunk => one(if is_ui_platform(&item.header, item.payload) {
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
            if is_container(&item.header) {
                container(item, "invalid_span", spans)
            } else {
                Counted::valid(spans(1))
            }
        }
        Kind::Statsd | Kind::MetricBuckets => one(Category::MetricBucket),
        // A client report counts what it reports, form data belongs to its event.
        Kind::ClientReport | Kind::FormData => Counted::valid(Vec::new()),
    }
}

/// What a payload of the store endpoint counts as.
pub(super) fn of_payload(kind: Kind, payload: &[u8]) -> Counted {
    let header = ItemHeader {
        kind: Cow::Borrowed(""),
        item_count: None,
        platform: None,
        content_type: None,
    };
    count(kind, &Item { header, payload })
}

/// A transaction counts itself, and a span for itself and for each of its spans.
fn transaction(payload: &[u8]) -> Counted {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        spans: Option<Vec<IgnoredAny>>,
    }
    let quantities = |spans| {
        vec![
            (Category::Transaction, 1),
            (Category::TransactionIndexed, 1),
            (Category::Span, spans),
            (Category::SpanIndexed, spans),
        ]
    };
    match payload::parse::<Wire>(payload) {
        Some(wire) => {
            let spans = wire.spans.map_or(0, |spans| spans.len() as u64);
            Counted::valid(quantities(spans + 1))
        }
        None => Counted::invalid(quantities(1), "invalid_json"),
    }
}

/// A container counts its items: `item_count` must be there and true.
fn container(
    item: &Item<'_>,
    reason: &'static str,
    quantities: impl Fn(u64) -> Vec<(Category, u64)>,
) -> Counted {
    #[derive(Deserialize)]
    struct Wire {
        items: Vec<IgnoredAny>,
    }
    let stated = item.header.item_count;
    let found = serde_json::from_slice::<Wire>(item.payload)
        .ok()
        .map(|wire| wire.items.len() as u64);
    match (stated, found) {
        (Some(stated), Some(found)) if stated == found => Counted::valid(quantities(found)),
        _ => Counted::invalid(quantities(found.or(stated).unwrap_or(1).max(1)), reason),
    }
}

fn is_container(header: &ItemHeader<'_>) -> bool {
    header
        .content_type
        .as_ref()
        .is_some_and(|t| t.starts_with("application/vnd.sentry.items."))
}

/// Whether a profile comes from a user's device: the item's header says so, else the profile itself.
fn is_ui_platform(header: &ItemHeader<'_>, payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wire {
        platform: Option<String>,
    }
    let is_ui = |platform: &str| matches!(platform, "cocoa" | "android" | "javascript");
    match &header.platform {
        Some(platform) => is_ui(platform),
        None => serde_json::from_slice::<Wire>(payload)
            .ok()
            .and_then(|wire| wire.platform)
            .is_some_and(|platform| is_ui(&platform)),
    }
}
