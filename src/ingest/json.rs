//! A JSON tree that borrows its strings from the payload. It costs a fraction of `serde_json::Value`: no text is
//! copied that has no escapes, and an object is a list, because the objects of events are short.
//!
//! Nesting is bounded by the parser (128 levels), so walking a tree by recursion is safe. Keys of an object are
//! distinct: of a key that comes twice the last value counts, as in every JSON library that SDKs are made with.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;

use super::fields::Text;

/// Any JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Node<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Map<'a>),
}

/// An object, in the order of its keys' first appearance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Map<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

/// A tree costs up to twenty times the bytes of its text, if that is nothing but short values. So one that is longer
/// than an event may be may not have more values than fit into an event.
const VALUES_MAX: usize = 1 << 19;

/// Objects with more entries than this are searched for repeated keys with a set.
const FEW_ENTRIES: usize = 32;

impl<'a> Node<'a> {
    /// A text that is part of the program or was made here.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Node<'a> {
        Node::Text(text.into())
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map<'a>> {
        match self {
            Node::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn as_map_mut(&mut self) -> Option<&mut Map<'a>> {
        match self {
            Node::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Node<'a>]> {
        match self {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn as_list_mut(&mut self) -> Option<&mut Vec<Node<'a>>> {
        match self {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    /// Takes the value out and leaves null.
    pub(super) fn take(&mut self) -> Node<'a> {
        std::mem::take(self)
    }

    /// A copy that borrows nothing.
    pub(super) fn to_owned(&self) -> Node<'static> {
        match self {
            Node::Null => Node::Null,
            Node::Bool(value) => Node::Bool(*value),
            Node::Number(number) => Node::Number(number.clone()),
            Node::Text(text) => Node::Text(Cow::Owned(text.clone().into_owned())),
            Node::List(list) => Node::List(list.iter().map(Node::to_owned).collect()),
            Node::Map(map) => Node::Map(map.to_owned()),
        }
    }

    /// The value as compact JSON.
    pub(super) fn to_json(&self) -> String {
        // Neither texts nor numbers of a tree can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'a> Map<'a> {
    pub(super) fn new() -> Map<'a> {
        Map::default()
    }

    /// Reads a payload; none if it is no JSON object, or would make too large a tree.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Map<'a>> {
        if payload.len() > 2 * VALUES_MAX && values(payload) > VALUES_MAX {
            return None;
        }
        match serde_json::from_slice(payload).ok()? {
            Node::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node<'a>> {
        self.0.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The text under a key; none for any other value.
    pub(super) fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The object under a key; none for any other value.
    pub(super) fn map(&self, key: &str) -> Option<&Map<'a>> {
        self.get(key)?.as_map()
    }

    /// The object under a key; none for any other value.
    pub(super) fn map_mut(&mut self, key: &str) -> Option<&mut Map<'a>> {
        self.get_mut(key)?.as_map_mut()
    }

    /// The list under a key; none for any other value.
    pub(super) fn list(&self, key: &str) -> Option<&[Node<'a>]> {
        self.get(key)?.as_list()
    }

    /// The value under a key, made null if there was none.
    pub(super) fn entry(&mut self, key: &'static str) -> &mut Node<'a> {
        let at = match self.0.iter().position(|(k, _)| k == key) {
            Some(at) => at,
            None => {
                self.0.push((Cow::Borrowed(key), Node::Null));
                self.0.len() - 1
            }
        };
        &mut self.0[at].1
    }

    /// Sets a key, in its old place if it was there.
    pub(super) fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: Node<'a>) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Node<'a>> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.0.iter().map(|(k, v)| (&**k, v))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node<'a>)> {
        self.0.iter_mut().map(|(k, v)| (&**k, v))
    }

    /// The entries, out of the object.
    pub(super) fn take_entries(&mut self) -> Vec<(Cow<'a, str>, Node<'a>)> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &Node<'a>) -> bool) {
        self.0.retain(|(k, v)| keep(k, v));
    }

    /// A copy that borrows nothing.
    pub(super) fn to_owned(&self) -> Map<'static> {
        let owned = |(key, value): &(Cow<'a, str>, Node<'a>)| {
            (Cow::Owned(key.clone().into_owned()), value.to_owned())
        };
        Map(self.0.iter().map(owned).collect())
    }

    /// The object as compact JSON.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        // Neither texts nor numbers of a tree can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Of entries with the same key, leaves the last value in the first one's place.
    fn from_entries(mut entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Map<'a> {
        let repeats = if entries.len() <= FEW_ENTRIES {
            entries
                .iter()
                .enumerate()
                .any(|(at, (key, _))| entries[..at].iter().any(|(k, _)| k == key))
        } else {
            let mut seen = HashSet::with_capacity(entries.len());
            entries.iter().any(|(key, _)| !seen.insert(&**key))
        };
        if !repeats {
            return Map(entries);
        }
        let mut places = std::collections::HashMap::with_capacity(entries.len());
        let mut distinct: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries.drain(..) {
            match places.get(&key) {
                Some(&at) => {
                    let (_, old): &mut (_, Node<'a>) = &mut distinct[at];
                    *old = value;
                }
                None => {
                    places.insert(key.clone(), distinct.len());
                    distinct.push((key, value));
                }
            }
        }
        Map(distinct)
    }
}

/// At most how many values a JSON text has: one, and one more for each bracket and comma outside of strings.
pub(super) fn values(json: &[u8]) -> usize {
    let mut values = 1;
    let mut at = 0;
    while let Some(found) = next_mark(json, at) {
        at = found + 1;
        if json[found] == b'"' {
            at = string_end(json, at);
        } else {
            values += 1;
        }
    }
    values
}

/// Where the next value, or a string, begins.
fn next_mark(json: &[u8], from: usize) -> Option<usize> {
    json[from..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b',' | b'[' | b'{'))
        .map(|found| from + found)
}

/// What follows the string whose content begins at `from`.
fn string_end(json: &[u8], mut from: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', &json[from..]) {
        from += found + 1;
        if json[from - 1] == b'"' {
            return from;
        }
        // What is escaped may be a quotation mark.
        from = json.len().min(from + 1);
    }
    json.len()
}

impl<'a> FromIterator<(Cow<'a, str>, Node<'a>)> for Map<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Node<'a>)>>(entries: I) -> Map<'a> {
        Map::from_entries(entries.into_iter().collect())
    }
}

impl<'a> From<Map<'a>> for Node<'a> {
    fn from(map: Map<'a>) -> Node<'a> {
        Node::Map(map)
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Node<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Node::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Node::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Number::from_f64(value).map_or(Node::Null, Node::Number))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Owned(value.to_owned())))
            }

            fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Owned(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    entries.push((key.0, map.next_value()?));
                }
                Ok(Node::Map(Map::from_entries(entries)))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Number(number) => number.serialize(serializer),
            Node::Text(text) => serializer.serialize_str(text),
            Node::List(list) => serializer.collect_seq(list),
            Node::Map(map) => map.serialize(serializer),
        }
    }
}

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(&**key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let text =
            r#"{"a":[1,-2,3.5,1e300,true,null,"x\ny"],"b":{"c":{}},"18446744073709551615":""}"#;
        let map = Map::parse(text.as_bytes()).unwrap();
        let again = Map::parse(&map.to_vec()).unwrap().to_vec();
        assert_eq!(map.to_vec(), again);
        assert_eq!(map.list("a").unwrap()[6].as_str(), Some("x\ny"));
        assert!(map.contains("18446744073709551615"));
    }

    #[test]
    fn a_number_is_the_one_that_was_sent() {
        let text = r#"{"a":1726558445.2576447,"b":9007199254740993,"c":2.2250738585072014e-308}"#;
        let map = Map::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(map.to_vec()).unwrap(), text);
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        let map = Map::parse(br#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(map.to_vec(), br#"{"a":3,"b":2}"#);
        let many: String = (0..100).map(|n| format!(r#""k{}":{n},"#, n % 50)).collect();
        let text = format!("{{{}}}", many.trim_end_matches(','));
        let map = Map::parse(text.as_bytes()).unwrap();
        assert_eq!(map.len(), 50);
        assert_eq!(map.get("k0"), Some(&Node::Number(50.into())));
    }

    #[test]
    fn the_values_of_a_text_are_counted_before_it_is_read() {
        for (json, count) in [
            ("1", 1),
            (r#"["a,[{\",\\", 1,{}]"#, 5),
            (r#"{"a":1,"b":"[,\""#, 3),
            (r#"["\"#, 2),
        ] {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
        let of = |entry: &str, count| format!("{{\"a\":[{}]}}", vec![entry; count].join(","));
        let parses = |json: String| Map::parse(json.as_bytes()).is_some();
        assert!(parses(of("1", VALUES_MAX - 2)));
        assert!(!parses(of("1", VALUES_MAX)));
        assert!(parses(of(&format!("\"{}\"", "[,".repeat(1 << 20)), 10)));
    }

    #[test]
    fn only_an_object_of_bounded_depth_is_read() {
        assert_eq!(Map::parse(b"[1]"), None);
        assert_eq!(Map::parse(b"{\"a\":"), None);
        let deep = format!("{}1{}", "{\"a\":".repeat(1_000_000), "}".repeat(1_000_000));
        assert_eq!(Map::parse(deep.as_bytes()), None);
    }
}
