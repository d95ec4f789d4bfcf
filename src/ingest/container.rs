//! Containers of logs, metrics and spans: `{"items": [...]}` with up to hundreds of thousands of entries.
//!
//! Entries are read, filtered, scrubbed and written one at a time, so that a container costs its own bytes twice
//! and no tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Text;
use super::items::Kind;
use super::json::Map;
use super::meta::Meta;
use super::rules::Rules;

/// What a container may become when it is written again. It may have 12 MiB, some annotations and the names of what
/// was scrubbed come on top; but numbers can be written at four times the length at which they were sent.
const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What is left of a container.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// The container as it is stored.
    pub(super) payload: Vec<u8>,
    /// How many entries that has.
    pub(super) kept: u64,
    /// How many entries were filtered, of how many bytes, and why: a container is filtered by one option, so
    /// there is one reason.
    pub(super) filtered: u64,
    pub(super) filtered_bytes: u64,
    pub(super) filtered_reason: &'static str,
}

/// Reads a container; none if it is none, has an entry that is no object, or becomes too large.
pub(super) fn read(payload: &[u8], kind: Kind, rules: &Rules) -> Option<Container> {
    let mut container = Container {
        payload: Vec::with_capacity(payload.len()),
        ..Container::default()
    };
    let mut json = serde_json::Deserializer::from_slice(payload);
    let had_items = Object {
        container: &mut container,
        kind,
        rules,
    }
    .deserialize(&mut json)
    .ok()?;
    json.end().ok()?;
    had_items.then_some(container)
}

/// The outer object: its keys stay as they are, but for the entries.
struct Object<'c> {
    container: &'c mut Container,
    kind: Kind,
    rules: &'c Rules,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    /// Whether there was a list of entries.
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut had_items = false;
        let mut is_first = true;
        self.container.payload.push(b'{');
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            if !std::mem::take(&mut is_first) {
                self.container.payload.push(b',');
            }
            let key_json = serde_json::to_vec(&key).map_err(serde::de::Error::custom)?;
            self.container.payload.extend_from_slice(&key_json);
            self.container.payload.push(b':');
            if key == "items" {
                if had_items {
                    return Err(serde::de::Error::duplicate_field("items"));
                }
                had_items = true;
                map.next_value_seed(Entries {
                    container: self.container,
                    kind: self.kind,
                    rules: self.rules,
                })?;
            } else {
                let value: &RawValue = map.next_value()?;
                self.container
                    .payload
                    .extend_from_slice(value.get().as_bytes());
            }
        }
        self.container.payload.push(b'}');
        Ok(had_items)
    }
}

struct Entries<'c> {
    container: &'c mut Container,
    kind: Kind,
    rules: &'c Rules,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let container = self.container;
        container.payload.push(b'[');
        while let Some(raw) = list.next_element::<&RawValue>()? {
            let mut entry = Map::parse(raw.get().as_bytes())
                .ok_or_else(|| serde::de::Error::custom("an entry is no object"))?;
            if let Some(reason) = self.rules.filter_entry(self.kind, &entry) {
                container.filtered += 1;
                container.filtered_bytes += raw.get().len() as u64;
                container.filtered_reason = reason;
                continue;
            }
            let mut meta = Meta::default();
            self.rules.scrub_entry(self.kind, &mut entry, &mut meta);
            meta.write_to(&mut entry);
            if container.kept > 0 {
                container.payload.push(b',');
            }
            container.kept += 1;
            serde_json::to_writer(&mut container.payload, &entry)
                .map_err(serde::de::Error::custom)?;
            if container.payload.len() > PAYLOAD_BYTES_MAX {
                return Err(serde::de::Error::custom("the entries are too long"));
            }
        }
        container.payload.push(b']');
        Ok(())
    }
}
