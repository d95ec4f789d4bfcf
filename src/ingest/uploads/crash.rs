//! The event that a crash report stands for.
//!
//! The report itself is kept as an attachment and not read here, but for a minidump's header. So the event has a
//! placeholder for its exception: it says that there is an error, what kind of, and that nobody handled it.

use std::borrow::Cow;

use super::super::Refusal;
use super::super::json::{Map, Node};
use super::super::source::Payload;
use super::beginning;
use crate::domain::time::Timestamp;

/// The attachments that make an event even where none came with them (facts/ingestion.md 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Report {
    Minidump,
    Apple,
    Prosperodump,
}

/// A dump's clock may be ahead of ours by this much.
const FUTURE_SECS_MAX: i64 = 60;

/// A dump may have waited this long for somebody to send it.
const AGE_SECS_MAX: i64 = 30 * 86_400;

impl Report {
    /// What an attachment's type says it is.
    pub(in crate::ingest) fn of_attachment_type(text: &str) -> Option<Report> {
        [Report::Minidump, Report::Apple, Report::Prosperodump]
            .into_iter()
            .find(|report| report.attachment_type() == text)
    }

    pub(in crate::ingest) fn attachment_type(self) -> &'static str {
        match self {
            Report::Minidump => "event.minidump",
            Report::Apple => "event.applecrashreport",
            Report::Prosperodump => "playstation.prosperodump",
        }
    }

    /// The placeholder's type, value and mechanism.
    fn placeholder(self) -> [&'static str; 3] {
        match self {
            Report::Minidump => ["Minidump", "Invalid Minidump", "minidump"],
            Report::Apple => [
                "AppleCrashReport",
                "Invalid Apple Crash Report",
                "applecrashreport",
            ],
            Report::Prosperodump => ["Prosperodump", "Invalid Prosperodump", "prosperodump"],
        }
    }

    /// The event of a report of which nothing else is known, as JSON: for an envelope that brings the report and no
    /// event.
    ///
    /// # Errors
    /// The report could not be read back.
    pub(in crate::ingest) fn event(
        self,
        report: &Payload<'_>,
        received: Timestamp,
    ) -> Result<Vec<u8>, Refusal> {
        let mut event = Map::new();
        self.complete(&mut event, report, received)?;
        Ok(event.to_vec())
    }

    /// Adds to an event what the report makes of it. Its level is the sender's, if he names one; its time is the
    /// dump's, because the sender's is often that of the upload after the next start.
    pub(super) fn complete(
        self,
        event: &mut Map<'static>,
        report: &Payload<'_>,
        received: Timestamp,
    ) -> Result<(), Refusal> {
        event.insert("platform", Node::text("native"));
        let level = event.entry("level");
        if level.is_null() {
            *level = Node::text("fatal");
        }
        event.insert("exception", self.exception());
        if self == Report::Minidump
            && let Some(secs) = dumped_at(&beginning(report, HEADER_BYTES)?, received)
        {
            event.insert("timestamp", Node::Number(secs.into()));
        }
        Ok(())
    }

    fn exception(self) -> Node<'static> {
        let [kind, value, mechanism] = self.placeholder().map(Node::text);
        let mechanism = object([
            ("type", mechanism),
            ("handled", Node::Bool(false)),
            ("synthetic", Node::Bool(true)),
        ]);
        let exception = object([("type", kind), ("value", value), ("mechanism", mechanism)]);
        object([("values", Node::List(vec![exception]))])
    }
}

fn object<const N: usize>(entries: [(&'static str, Node<'static>); N]) -> Node<'static> {
    let entries = entries.map(|(key, value)| (Cow::Borrowed(key), value));
    Node::Map(entries.into_iter().collect())
}

/// Signature, version, number and place of the streams, checksum, and the time of the dump.
const HEADER_BYTES: u64 = 24;

/// Whether bytes begin as a minidump does; the signature is a number, in the byte order of the machine.
pub(super) fn is_minidump(beginning: &[u8]) -> bool {
    beginning.starts_with(b"MDMP") || beginning.starts_with(b"PMDM")
}

/// When the dump was written, in seconds since 1970; none if that cannot be.
fn dumped_at(header: &[u8], received: Timestamp) -> Option<i64> {
    let time: [u8; 4] = header.get(20..24)?.try_into().ok()?;
    let secs = match header.get(..4)? {
        b"MDMP" => u32::from_le_bytes(time),
        b"PMDM" => u32::from_be_bytes(time),
        _ => return None,
    };
    let secs = i64::from(secs);
    let now = received.secs();
    (now - AGE_SECS_MAX..=now + FUTURE_SECS_MAX)
        .contains(&secs)
        .then_some(secs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{RECEIVED, minidump_of};
    use super::*;

    fn event(report: Report, bytes: &[u8]) -> Value {
        let event = report.event(&Payload::borrowed(bytes), RECEIVED).unwrap();
        serde_json::from_slice(&event).unwrap()
    }

    #[test]
    fn each_report_makes_an_event_of_its_own() {
        for (report, kind, value, mechanism) in [
            (Report::Minidump, "Minidump", "Invalid Minidump", "minidump"),
            (
                Report::Apple,
                "AppleCrashReport",
                "Invalid Apple Crash Report",
                "applecrashreport",
            ),
            (
                Report::Prosperodump,
                "Prosperodump",
                "Invalid Prosperodump",
                "prosperodump",
            ),
        ] {
            let text = report.attachment_type();
            assert_eq!(Report::of_attachment_type(text), Some(report));
            assert_eq!(
                event(report, b"whatever it is"),
                json!({
                    "platform": "native",
                    "level": "fatal",
                    "exception": {"values": [{
                        "type": kind,
                        "value": value,
                        "mechanism": {"type": mechanism, "handled": false, "synthetic": true},
                    }]},
                })
            );
        }
        assert_eq!(Report::of_attachment_type("event.attachment"), None);
    }

    #[test]
    fn the_time_of_a_dump_is_the_events_if_it_can_be() {
        let now = RECEIVED.secs();
        for (secs, counts) in [
            (now, true),
            (now - AGE_SECS_MAX, true),
            (now + FUTURE_SECS_MAX, true),
            (now - AGE_SECS_MAX - 1, false),
            (now + FUTURE_SECS_MAX + 1, false),
            (0, false),
        ] {
            let dump = minidump_of(u32::try_from(secs).unwrap());
            let timestamp = event(Report::Minidump, &dump)["timestamp"].as_i64();
            assert_eq!(timestamp, counts.then_some(secs), "{secs}");
        }
    }

    #[test]
    fn the_other_byte_order_is_read_and_a_short_header_is_not() {
        let secs = u32::try_from(RECEIVED.secs()).unwrap();
        let mut dump = b"PMDM".to_vec();
        dump.extend_from_slice(&[0; 16]);
        dump.extend_from_slice(&secs.to_be_bytes());
        let timestamp = |bytes| event(Report::Minidump, bytes)["timestamp"].as_i64();
        assert_eq!(timestamp(&dump), Some(i64::from(secs)));
        assert_eq!(timestamp(&dump[..23]), None);
        assert_eq!(timestamp(b""), None);
    }
}
