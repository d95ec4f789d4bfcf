//! Which kinds of items are stored, and under which numbers.

/// A stored kind with its number in the file and its name, which is the item type that SDKs send.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal)*) => {
        /// What a stored row is. The numbers stand in the file and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum StoredKind { $($(#[$doc])* $name = $number),* }

        impl StoredKind {
            pub(crate) const ALL: &[StoredKind] = &[$(StoredKind::$name),*];

            pub(crate) fn parse(name: &str) -> Option<StoredKind> {
                match name {
                    $($text => Some(StoredKind::$name),)*
                    _ => None,
                }
            }

            pub(crate) fn of_number(number: i64) -> Option<StoredKind> {
                match number {
                    $($number => Some(StoredKind::$name),)*
                    _ => None,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(StoredKind::$name => $text),*
                }
            }
        }
    };
}

kinds! {
    /// An error or a message. This and the next three are rows of the table `event`.
    Event = 0 "event"
    /// A CSP report or one of its older kin.
    Security = 1 "security"
    Transaction = 2 "transaction"
    Feedback = 3 "feedback"
    /// From here on: rows of the table `item`.
    Session = 10 "session"
    Sessions = 11 "sessions"
    UserReport = 12 "user_report"
    ReplayEvent = 13 "replay_event"
    ReplayRecording = 14 "replay_recording"
    ReplayVideo = 15 "replay_video"
    Profile = 16 "profile"
    ProfileChunk = 17 "profile_chunk"
    CheckIn = 18 "check_in"
    Log = 19 "log"
    TraceMetric = 20 "trace_metric"
    Span = 21 "span"
    Statsd = 22 "statsd"
    MetricBuckets = 23 "metric_buckets"
}

impl StoredKind {
    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    /// Whether it is a row of the table `event`, with an id of its own that cannot come twice.
    pub(crate) fn is_event(self) -> bool {
        self < StoredKind::Session
    }
}
