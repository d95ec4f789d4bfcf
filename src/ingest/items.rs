//! Item types: their data categories and quantities (facts/ingestion.md 4.5), what they depend on, and how
//! large and how many they may be (4.4).

use super::parcel::Item;
use super::{fields, profile};
use crate::domain::category::Category;
use crate::domain::stored::StoredKind;

/// An event, and everything that has an event's size.
pub(super) const EVENT_BYTES_MAX: u64 = 1 << 20;

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

/// The types by their names, the common ones first. Of two names the first one is the one to write.
const NAMES: [(&str, Kind); 24] = [
    ("event", Kind::Event),
    ("transaction", Kind::Transaction),
    ("session", Kind::Session),
    ("client_report", Kind::ClientReport),
    ("attachment", Kind::Attachment),
    ("log", Kind::Log),
    ("span", Kind::Span),
    ("sessions", Kind::Sessions),
    ("check_in", Kind::CheckIn),
    ("profile", Kind::Profile),
    ("profile_chunk", Kind::ProfileChunk),
    // Android 8.10 and 8.11 sent this.
    ("profile_chunk_ui", Kind::ProfileChunk),
    ("replay_event", Kind::ReplayEvent),
    ("replay_recording", Kind::ReplayRecording),
    ("replay_video", Kind::ReplayVideo),
    ("feedback", Kind::Feedback),
    ("user_report", Kind::UserReport),
    ("trace_metric", Kind::TraceMetric),
    ("security", Kind::Security),
    ("raw_security", Kind::RawSecurity),
    ("statsd", Kind::Statsd),
    ("metric_buckets", Kind::MetricBuckets),
    ("unreal_report", Kind::UnrealReport),
    ("form_data", Kind::FormData),
];

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Kind> {
        let (_, kind) = NAMES.iter().find(|(name, _)| *name == text)?;
        Some(*kind)
    }

    fn name(self) -> &'static str {
        let known = NAMES.iter().find(|(_, kind)| *kind == self);
        known.map_or("unknown", |(name, _)| name)
    }

    /// Whether a key's rate limit counts it.
    pub(super) fn is_error(self) -> bool {
        matches!(
            self,
            Kind::Event | Kind::Security | Kind::RawSecurity | Kind::UnrealReport
        )
    }

    /// Whether it is a part of a replay.
    pub(super) fn is_replay(self) -> bool {
        matches!(
            self,
            Kind::ReplayEvent | Kind::ReplayRecording | Kind::ReplayVideo
        )
    }

    /// Whether it is the event that other items of its envelope belong to.
    pub(super) fn is_primary(self) -> bool {
        self.is_error() || self == Kind::Transaction
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

    /// How many bytes the entries of a container may have on average.
    fn average_entry_bytes_max(self) -> Option<u64> {
        match self {
            Kind::Log => Some(2 << 20),
            Kind::TraceMetric => Some(1 << 20),
            Kind::Span => Some(10 << 20),
            _ => None,
        }
    }

    /// As what it is stored; none for what is taken apart.
    pub(super) fn stored(self) -> Option<StoredKind> {
        Some(match self {
            Kind::Event | Kind::UnrealReport => StoredKind::Event,
            Kind::Security | Kind::RawSecurity => StoredKind::Security,
            Kind::Transaction => StoredKind::Transaction,
            Kind::Feedback => StoredKind::Feedback,
            Kind::Session => StoredKind::Session,
            Kind::Sessions => StoredKind::Sessions,
            Kind::UserReport => StoredKind::UserReport,
            Kind::ReplayEvent => StoredKind::ReplayEvent,
            Kind::ReplayRecording => StoredKind::ReplayRecording,
            Kind::ReplayVideo => StoredKind::ReplayVideo,
            Kind::Profile => StoredKind::Profile,
            Kind::ProfileChunk => StoredKind::ProfileChunk,
            Kind::CheckIn => StoredKind::CheckIn,
            Kind::Log => StoredKind::Log,
            Kind::TraceMetric => StoredKind::TraceMetric,
            Kind::Span => StoredKind::Span,
            Kind::Statsd => StoredKind::Statsd,
            Kind::MetricBuckets => StoredKind::MetricBuckets,
            Kind::Attachment | Kind::ClientReport | Kind::FormData => return None,
        })
    }
}

/// How many items of a group an envelope may have, and how many bytes they may have together.
struct Limit {
    group: Group,
    count: usize,
    bytes: u64,
}

/// Items that share a limit: a row of the table of facts/ingestion.md 4.4, or a part of one where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Event,
    Feedback,
    FormData,
    ReplayEvent,
    Attachment,
    Session,
    ClientReport,
    CheckIn,
    Profile,
    ReplayRecording,
    ReplayVideo,
    Logs,
    TraceMetrics,
    Spans,
    SingleSpan,
    Statsd,
}

fn limit(item: &Item<'_>) -> Limit {
    const fn limit(group: Group, count: usize, bytes: u64) -> Limit {
        Limit {
            group,
            count,
            bytes,
        }
    }
    const MIB: u64 = 1 << 20;
    match item.kind {
        // One of them all together: an envelope has one event id.
        Kind::Event
        | Kind::Transaction
        | Kind::Security
        | Kind::RawSecurity
        | Kind::UnrealReport => limit(Group::Event, 1, EVENT_BYTES_MAX),
        Kind::Feedback => limit(Group::Feedback, 1, EVENT_BYTES_MAX),
        Kind::FormData => limit(Group::FormData, 1, EVENT_BYTES_MAX),
        Kind::ReplayEvent => limit(Group::ReplayEvent, 1, EVENT_BYTES_MAX),
        Kind::Attachment | Kind::UserReport => limit(Group::Attachment, 30, 200 * MIB),
        Kind::Session | Kind::Sessions => limit(Group::Session, 100, 10 * MIB),
        Kind::ClientReport => limit(Group::ClientReport, 100, 100 << 10),
        Kind::CheckIn => limit(Group::CheckIn, 1, 100 << 10),
        Kind::Profile | Kind::ProfileChunk => limit(Group::Profile, 1, 50 * MIB),
        Kind::ReplayRecording => limit(Group::ReplayRecording, 1, 10 * MIB),
        Kind::ReplayVideo => limit(Group::ReplayVideo, 1, 10 * MIB),
        Kind::Log => limit(Group::Logs, 1, 12 * MIB),
        Kind::TraceMetric => limit(Group::TraceMetrics, 1, 12 * MIB),
        Kind::Span if is_container(item) => limit(Group::Spans, 1, 12 * MIB),
        Kind::Span => limit(Group::SingleSpan, 25, 12 * MIB),
        Kind::Statsd | Kind::MetricBuckets => limit(Group::Statsd, 1, MIB),
    }
}

/// What an envelope's items have used of their groups' limits.
#[derive(Default)]
pub(super) struct Sizes {
    /// A dozen groups at most: a list is the fastest map for them.
    seen: Vec<(Group, usize, u64)>,
}

impl Sizes {
    /// Adds an item. Over its group's limit, what the refusal calls it: the whole envelope is dropped then.
    pub(super) fn add(&mut self, item: &Item<'_>) -> Result<(), &'static str> {
        let limit = limit(item);
        let bytes = item.payload.len();
        let entries = item.header.item_count.unwrap_or(1);
        let is_too_large = match item.kind.average_entry_bytes_max() {
            Some(average_max) => bytes > entries.saturating_mul(average_max),
            None => item.kind == Kind::UserReport && bytes > EVENT_BYTES_MAX,
        };
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
        if is_too_large || *count > limit.count || *sum > limit.bytes {
            return Err(name_of(item));
        }
        Ok(())
    }
}

/// What Sentry calls an item that is too large: its type, and of an attachment what it is (facts/ingestion.md 4.4).
fn name_of(item: &Item<'_>) -> &'static str {
    if item.kind != Kind::Attachment {
        return item.kind.name();
    }
    match item.header.attachment_type.as_deref().unwrap_or_default() {
        "event.minidump" => "attachment:minidump",
        "event.applecrashreport" => "attachment:apple_crash_report",
        "event.payload" => "attachment:event_payload",
        "event.breadcrumbs" => "attachment:breadcrumbs",
        "event.view_hierarchy" => "attachment:view_hierarchy",
        "playstation.prosperodump" => "attachment:prosperodump",
        "unreal.context" => "attachment:unreal_context",
        "unreal.logs" => "attachment:unreal_logs",
        _ => "attachment:attachment",
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

    pub(super) fn of_one_item(quantities: &[(Category, u64)]) -> Quantities {
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

/// What an item counts as. Only what is there counts, never what a header says.
pub(super) fn count(item: &Item<'_>) -> Quantities {
    let one = Quantities::one;
    let bytes = item.payload.len();
    match item.kind {
        Kind::Event | Kind::UnrealReport => one(Category::Error),
        Kind::Security | Kind::RawSecurity => one(Category::Security),
        Kind::Transaction => transaction(fields::list_len_in(&item.payload, "spans").unwrap_or(0)),
        Kind::Attachment => {
            Quantities::of_one_item(&[(Category::Attachment, bytes), (Category::AttachmentItem, 1)])
        }
        Kind::Session | Kind::Sessions => one(Category::Session),
        Kind::UserReport | Kind::Feedback => one(Category::Feedback),
        Kind::ReplayEvent | Kind::ReplayRecording | Kind::ReplayVideo => one(Category::Replay),
        Kind::Profile | Kind::ProfileChunk => profile::count(item),
        Kind::CheckIn => one(Category::Monitor),
        Kind::Span if !is_container(item) => entries(Kind::Span, 1, bytes),
        Kind::Log | Kind::TraceMetric | Kind::Span => {
            let found = fields::list_len_in(&item.payload, "items").unwrap_or(1);
            entries(item.kind, found.max(1), bytes)
        }
        Kind::Statsd | Kind::MetricBuckets => one(Category::MetricBucket),
        // A client report counts what it reports, form data belongs to its event.
        Kind::ClientReport | Kind::FormData => Quantities::default(),
    }
}

/// A transaction counts itself, and a span for itself and for each of its spans.
pub(super) fn transaction(spans: u64) -> Quantities {
    Quantities::of_one_item(&[
        (Category::Transaction, 1),
        (Category::TransactionIndexed, 1),
        (Category::Span, spans + 1),
        (Category::SpanIndexed, spans + 1),
    ])
}

/// What a container of logs, metrics or spans counts as.
pub(super) fn entries(kind: Kind, count: u64, bytes: u64) -> Quantities {
    match kind {
        Kind::Log => {
            Quantities::of_one_item(&[(Category::LogItem, count), (Category::LogByte, bytes)])
        }
        Kind::TraceMetric => Quantities::of_one_item(&[(Category::TraceMetric, count)]),
        _ => Quantities::of_one_item(&[(Category::Span, count), (Category::SpanIndexed, count)]),
    }
}

/// Whether an item's payload is a list of entries.
pub(super) fn is_container(item: &Item<'_>) -> bool {
    item.header
        .content_type
        .as_ref()
        .is_some_and(|t| t.starts_with("application/vnd.sentry.items."))
}
