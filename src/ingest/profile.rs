//! What profiles count as: themselves, by where they were taken, and how long they ran (facts/ingestion.md 4.5).
//!
//! Profiles are stored as they came. They can have 50 MiB, so they are read from front to back.

use std::borrow::Cow;
use std::fmt;
use std::io::BufReader;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::items::{Kind, Quantities};
use super::parcel::Item;
use super::source::Payload;
use crate::domain::category::Category;

/// What a transaction's profile or a chunk of a continuous one counts as. Durations are in milliseconds.
pub(super) fn count(item: &Item<'_>) -> Quantities {
    let wire = read(&item.payload).unwrap_or_default();
    let platform = item
        .header
        .platform
        .as_deref()
        .or(wire.platform.as_deref())
        .unwrap_or_default();
    let is_ui = matches!(platform, "cocoa" | "android" | "javascript");
    let mut quantities = if item.kind == Kind::ProfileChunk {
        vec![(
            by_side(is_ui, Category::ProfileChunkUi, Category::ProfileChunk),
            1,
        )]
    } else {
        vec![
            (Category::Profile, 1),
            (Category::ProfileIndexed, 1),
            (
                by_side(is_ui, Category::ProfileUi, Category::ProfileBackend),
                1,
            ),
        ]
    };
    let duration_ms = wire
        .profile
        .map_or(0, |profile| profile.samples.duration_ms());
    if duration_ms > 0 {
        let category = by_side(
            is_ui,
            Category::ProfileDurationUi,
            Category::ProfileDuration,
        );
        quantities.push((category, duration_ms));
    }
    Quantities::of_one_item(&quantities)
}

fn by_side(is_ui: bool, ui: Category, backend: Category) -> Category {
    if is_ui { ui } else { backend }
}

fn read(payload: &Payload<'_>) -> Option<Wire<'static>> {
    match payload {
        Payload::Memory(bytes) => serde_json::from_slice(bytes).ok(),
        Payload::Spooled(_) => {
            serde_json::from_reader(BufReader::with_capacity(64 << 10, payload.reader())).ok()
        }
    }
}

#[derive(Default, Deserialize)]
struct Wire<'a> {
    platform: Option<Cow<'a, str>>,
    profile: Option<Samples>,
}

#[derive(Deserialize)]
struct Samples {
    #[serde(default)]
    samples: Range,
}

/// When the first and the last sample were taken, in nanoseconds.
#[derive(Debug, Default, PartialEq)]
struct Range {
    ends: Option<(f64, f64)>,
}

impl Range {
    fn add(&mut self, ns: f64) {
        self.ends = Some(match self.ends {
            None => (ns, ns),
            Some((first, last)) => (first.min(ns), last.max(ns)),
        });
    }

    fn duration_ms(&self) -> u64 {
        // The conversion saturates, and a day is more than any profile lasts.
        self.ends
            .map_or(0, |(first, last)| ((last - first) / 1e6).round() as u64)
            .min(86_400_000)
    }
}

/// A sample says when it was taken in nanoseconds since the start, or in seconds since 1970.
#[derive(Deserialize)]
struct Sample {
    elapsed_since_start_ns: Option<NumberOrText>,
    timestamp: Option<f64>,
}

/// SDKs write nanoseconds as a number, or as a text because JavaScript cannot hold them.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
    Other(IgnoredAny),
}

impl Sample {
    fn ns(self) -> Option<f64> {
        match (self.elapsed_since_start_ns, self.timestamp) {
            (Some(NumberOrText::Number(ns)), _) => Some(ns),
            (Some(NumberOrText::Text(ns)), _) => ns.parse().ok(),
            (_, Some(secs)) => Some(secs * 1e9),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Samples;

        impl<'de> Visitor<'de> for Samples {
            type Value = Range;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of samples")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Range, A::Error> {
                let mut range = Range::default();
                while let Some(sample) = list.next_element::<Sample>()? {
                    if let Some(ns) = sample.ns() {
                        range.add(ns);
                    }
                }
                Ok(range)
            }
        }

        deserializer.deserialize_seq(Samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(kind: Kind, payload: &str) -> Vec<(Category, u64)> {
        let item = Item::new(kind, Payload::borrowed(payload.as_bytes()));
        count(&item)
            .iter()
            .map(|q| (q.category, q.quantity))
            .collect()
    }

    #[test]
    fn a_profile_counts_its_side_and_its_duration() {
        let samples = r#"[{"elapsed_since_start_ns":"1000000"},{"elapsed_since_start_ns":31000000,"stack_id":0}]"#;
        let payload =
            format!(r#"{{"platform":"python","profile":{{"samples":{samples},"frames":[]}}}}"#);
        assert_eq!(
            counted(Kind::Profile, &payload),
            [
                (Category::Profile, 1),
                (Category::ProfileIndexed, 1),
                (Category::ProfileBackend, 1),
                (Category::ProfileDuration, 30),
            ]
        );
    }

    #[test]
    fn a_chunk_of_a_device_counts_as_ui() {
        let payload = r#"{"platform":"cocoa","profile":{"samples":[{"timestamp":1700000000.5},{"timestamp":1700000001}]}}"#;
        assert_eq!(
            counted(Kind::ProfileChunk, payload),
            [
                (Category::ProfileChunkUi, 1),
                (Category::ProfileDurationUi, 500)
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_counts_once() {
        for payload in ["", "[]", r#"{"profile":{"samples":[{"timestamp":"x"}]}}"#] {
            assert_eq!(
                counted(Kind::ProfileChunk, payload),
                [(Category::ProfileChunk, 1)]
            );
        }
    }
}
