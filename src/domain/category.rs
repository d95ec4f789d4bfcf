//! Data categories: what a rate limit and the ledger count by (facts/ingestion.md 4.6).

/// A data category with the protocol's own number and name.
macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal)*) => {
        /// What kind of data an item is. The numbers are the protocol's and stand in the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Category { $($(#[$doc])* $name = $number),* }

        impl Category {
            pub(crate) const ALL: &[Category] = &[$(Category::$name),*];

            /// The category of this name.
            pub(crate) fn parse(name: &str) -> Option<Category> {
                match name {
                    $($text => Some(Category::$name),)*
                    "user_report_v2" => Some(Category::Feedback),
                    _ => None,
                }
            }

            /// The category of this number; [`Category::Unknown`] for one that is none.
            pub(crate) fn of_number(number: i64) -> Category {
                match number {
                    $($number => Category::$name,)*
                    _ => Category::Unknown,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Category::$name => $text),*
                }
            }
        }
    };
}

categories! {
    /// A category that a newer SDK names and we do not know.
    Unknown = -1 "unknown"
    Default = 0 "default"
    Error = 1 "error"
    Transaction = 2 "transaction"
    Security = 3 "security"
    Attachment = 4 "attachment"
    Session = 5 "session"
    Profile = 6 "profile"
    Replay = 7 "replay"
    TransactionProcessed = 8 "transaction_processed"
    TransactionIndexed = 9 "transaction_indexed"
    Monitor = 10 "monitor"
    ProfileIndexed = 11 "profile_indexed"
    Span = 12 "span"
    MonitorSeat = 13 "monitor_seat"
    Feedback = 14 "feedback"
    MetricBucket = 15 "metric_bucket"
    SpanIndexed = 16 "span_indexed"
    ProfileDuration = 17 "profile_duration"
    ProfileChunk = 18 "profile_chunk"
    MetricSecond = 19 "metric_second"
    ReplayVideo = 20 "replay_video"
    Uptime = 21 "uptime"
    AttachmentItem = 22 "attachment_item"
    LogItem = 23 "log_item"
    LogByte = 24 "log_byte"
    ProfileDurationUi = 25 "profile_duration_ui"
    ProfileChunkUi = 26 "profile_chunk_ui"
    SeerAutofix = 27 "seer_autofix"
    SeerScanner = 28 "seer_scanner"
    PreventUser = 29 "prevent_user"
    PreventReview = 30 "prevent_review"
    SizeAnalysis = 31 "size_analysis"
    InstallableBuild = 32 "installable_build"
    TraceMetric = 33 "trace_metric"
    SeerUser = 34 "seer_user"
    ProfileBackend = 35 "profile_backend"
    ProfileUi = 36 "profile_ui"
}

impl Category {
    /// The "error categories": what a client key's rate limit covers and what project statistics sum
    /// (facts/ingestion.md 6.1, management-api.md 8.1).
    pub(crate) const ERRORS: [Category; 3] =
        [Category::Default, Category::Error, Category::Security];

    pub(crate) fn number(self) -> i64 {
        self as i64
    }
}
