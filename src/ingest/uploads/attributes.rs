//! What a form and its side files say of the event, besides the dump (facts/ingestion.md 1.4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::json::{Map, Node};
use crate::domain::event_id::EventId;

/// Names nested deeper than this are kept as they are written.
const PATH_DEPTH_MAX: usize = 16;

/// Of each half of the ring; SDKs keep a hundred of both together. In MessagePack a byte is a value.
const BREADCRUMBS_MAX: usize = 1000;

/// In MessagePack a value can be a single byte, and costs thirty times that as part of a tree.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// As deep as JSON is read.
const MESSAGE_DEPTH_MAX: usize = 100;

/// An event in the making.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) event: Map<'static>,
    /// Of those that the sources name, the one of the strongest source.
    pub(super) id: Option<EventId>,
}

impl Attributes {
    /// Takes in an event in MessagePack. One that is broken or too long is left out and noted: the dump beside it is
    /// worth more.
    pub(super) fn add_message(&mut self, message: &[u8]) {
        let is_short = message.len() <= MESSAGE_BYTES_MAX;
        match is_short.then(|| messages(message).next()).flatten() {
            Some(Ok(Node::Map(event))) => {
                self.id = self.id.or_else(|| event_id(&event));
                merge(&mut self.event, event);
            }
            _ => self.note("__sentry-event"),
        }
    }

    /// Takes in the two halves of a ring of breadcrumbs. The older one comes first, and of both together only so
    /// many are kept as the fuller one has, because that one is full.
    pub(super) fn add_breadcrumbs(&mut self, first: &[u8], second: &[u8]) {
        let mut older = breadcrumbs(first);
        let mut newer = breadcrumbs(second);
        let kept = older.len().max(newer.len());
        if kept == 0 {
            return;
        }
        if starts_at(&older) > starts_at(&newer) {
            std::mem::swap(&mut older, &mut newer);
        }
        older.append(&mut newer);
        older.drain(..older.len() - kept);
        self.event.insert("breadcrumbs", Node::List(older));
    }

    /// Takes in the fields of a form. Of two that speak of the same thing the later one counts; the chunks come
    /// last.
    pub(super) fn add_fields(&mut self, fields: Vec<(String, String)>) {
        let (mut of_json, mut of_path) = (None, None);
        let mut chunks = BTreeMap::new();
        for (name, text) in fields {
            if name == "sentry" {
                let event = self.add_json(&name, &text);
                of_json = of_json.or(event);
            } else if let Some(number) = chunk_number(&name) {
                chunks.insert(number, text);
            } else if let Some(path) = path(&name) {
                if path == ["event_id"] {
                    of_path = of_path.or_else(|| EventId::parse(&text));
                }
                set(&mut self.event, &path, text);
            } else if !name.is_empty() {
                set(&mut self.event, &["extra", &name], text);
            }
        }
        if !chunks.is_empty() {
            let text: String = chunks.into_values().collect();
            self.add_json("sentry__1", &text);
        }
        self.id = self.id.or(of_json).or(of_path);
    }

    /// Merges a JSON object; the id it names.
    fn add_json(&mut self, name: &str, text: &str) -> Option<EventId> {
        match Map::parse(text.as_bytes()) {
            Some(event) => {
                let event = event.to_owned();
                let id = event_id(&event);
                merge(&mut self.event, event);
                id
            }
            None => {
                self.note(name);
                None
            }
        }
    }

    /// Tells the event's reader that a part could not be read.
    fn note(&mut self, name: &str) {
        let entries = [
            (Cow::Borrowed("type"), Node::text("invalid_data")),
            (Cow::Borrowed("name"), Node::text(name.to_owned())),
        ];
        let error = Node::Map(Map::from_iter(entries));
        match self.event.entry("errors") {
            Node::List(errors) => errors.push(error),
            errors => *errors = Node::List(vec![error]),
        }
    }
}

fn event_id(event: &Map<'_>) -> Option<EventId> {
    EventId::parse(event.str("event_id")?)
}

/// 2 for `sentry__2`.
fn chunk_number(name: &str) -> Option<u32> {
    name.strip_prefix("sentry__")?.parse().ok()
}

/// `a` and `b` for `sentry[a][b]`.
fn path(name: &str) -> Option<Vec<&str>> {
    let inner = name.strip_prefix("sentry[")?.strip_suffix(']')?;
    let path: Vec<&str> = inner.split("][").collect();
    (path.len() <= PATH_DEPTH_MAX).then_some(path)
}

/// Sets a text at a path, making objects on the way.
fn set(target: &mut Map<'static>, path: &[&str], text: String) {
    let [key, rest @ ..] = path else {
        return;
    };
    let key = (*key).to_owned();
    if rest.is_empty() {
        target.insert(key, Node::text(text));
        return;
    }
    if target.map(&key).is_none() {
        target.insert(key.clone(), Map::new().into());
    }
    if let Some(inner) = target.map_mut(&key) {
        set(inner, rest, text);
    }
}

/// Adds what another object says: objects entry by entry, anything else as a whole.
fn merge(target: &mut Map<'static>, mut other: Map<'static>) {
    for (key, value) in other.take_entries() {
        match value {
            Node::Map(value) if target.map(&key).is_some() => {
                if let Some(inner) = target.map_mut(&key) {
                    merge(inner, value);
                }
            }
            value => target.insert(key, value),
        }
    }
}

/// The values of a MessagePack file, one after the other; the first broken one is the last.
fn messages(
    mut rest: &[u8],
) -> impl Iterator<Item = Result<Node<'static>, rmp_serde::decode::Error>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(MESSAGE_DEPTH_MAX);
        let value = Node::deserialize(&mut deserializer);
        if value.is_err() {
            rest = &[];
        }
        Some(value)
    })
}

/// The last breadcrumbs of a file, as single values or as a list. A process that crashes may leave the last one
/// incomplete.
fn breadcrumbs(file: &[u8]) -> Vec<Node<'static>> {
    let mut all = Vec::new();
    for value in messages(file).map_while(Result::ok) {
        match value {
            Node::List(mut list) => {
                keep_last(&mut list);
                all.append(&mut list);
            }
            Node::Map(_) => all.push(value),
            _ => {}
        }
    }
    keep_last(&mut all);
    all
}

fn keep_last(breadcrumbs: &mut Vec<Node<'static>>) {
    let surplus = breadcrumbs.len().saturating_sub(BREADCRUMBS_MAX);
    breadcrumbs.drain(..surplus);
    breadcrumbs.shrink_to_fit();
}

/// When the first breadcrumb of a list was left: SDKs write all times of a file in one form, numbers or ISO 8601,
/// so that those of one form suffice to be compared.
fn starts_at(breadcrumbs: &[Node<'_>]) -> Option<(i64, String)> {
    match breadcrumbs.first()?.as_map()?.get("timestamp")? {
        // Microseconds are whole numbers, which have an order.
        Node::Number(secs) => Some(((secs.as_f64()? * 1e6) as i64, String::new())),
        Node::Text(date) => Some((0, date.clone().into_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_fields(fields: &[(&str, &str)]) -> (Value, Option<String>) {
        let mut attributes = Attributes::default();
        attributes.add_fields(
            fields
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        );
        finish(attributes)
    }

    fn finish(attributes: Attributes) -> (Value, Option<String>) {
        let event = serde_json::from_slice(&attributes.event.to_vec()).unwrap();
        (event, attributes.id.map(|id| id.to_string()))
    }

    fn message(value: &Value) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccc";

    #[test]
    fn fields_become_attributes_of_the_event() {
        for (fields, expected) in [
            (vec![], json!({})),
            (
                vec![("sentry", r#"{"release":"app@1","tags":{"a":"1"}}"#)],
                json!({"release":"app@1","tags":{"a":"1"}}),
            ),
            (
                vec![
                    ("sentry[release]", "app@2"),
                    ("sentry[tags][b]", "2"),
                    ("sentry[contexts][device][arch]", "x86"),
                ],
                json!({"release":"app@2","tags":{"b":"2"},"contexts":{"device":{"arch":"x86"}}}),
            ),
            (
                vec![
                    ("sentry", r#"{"tags":{"a":"1","b":"1"},"user":"?"}"#),
                    ("sentry[tags][b]", "2"),
                    ("sentry[user][id]", "7"),
                ],
                json!({"tags":{"a":"1","b":"2"},"user":{"id":"7"}}),
            ),
            (
                vec![
                    ("prod", "App"),
                    ("ver", "1.0"),
                    ("a[b]", "c"),
                    ("", "nameless"),
                ],
                json!({"extra":{"prod":"App","ver":"1.0","a[b]":"c"}}),
            ),
            (
                vec![("sentry", r#"{"extra":[1]}"#), ("guid", "x")],
                json!({"extra":{"guid":"x"}}),
            ),
            (
                vec![
                    ("sentry__2", r#"se":"app"#),
                    ("sentry__10", r#"","level":"info"}"#),
                    ("sentry__1", r#"{"relea"#),
                    ("sentry__3", "@3"),
                ],
                json!({"release":"app@3","level":"info"}),
            ),
            (vec![("sentry__x", "1")], json!({"extra":{"sentry__x":"1"}})),
        ] {
            assert_eq!(of_fields(&fields).0, expected, "{fields:?}");
        }
    }

    #[test]
    fn a_field_that_is_no_json_is_noted() {
        for name in ["sentry", "sentry__1"] {
            let (event, id) = of_fields(&[(name, "{\"release\":"), ("a", "b")]);
            let noted = json!([{"type":"invalid_data","name":name}]);
            assert_eq!(event, json!({"extra":{"a":"b"},"errors":noted}));
            assert_eq!(id, None);
        }
    }

    #[test]
    fn a_deep_name_is_kept_as_it_is() {
        let name = format!("sentry{}", "[a]".repeat(10_000));
        let (event, _) = of_fields(&[(&name, "x")]);
        assert_eq!(event["extra"][&name], "x");
    }

    #[test]
    fn the_id_is_that_of_the_strongest_source() {
        let in_json = format!(r#"{{"event_id":"{B}"}}"#);
        for (message_id, fields, expected) in [
            (
                Some(A),
                vec![("sentry", &*in_json), ("sentry[event_id]", C)],
                Some(A),
            ),
            (
                None,
                vec![("sentry[event_id]", C), ("sentry", &in_json)],
                Some(B),
            ),
            (
                None,
                vec![("sentry[event_id]", C), ("sentry", "{}")],
                Some(C),
            ),
            (Some("no id"), vec![("sentry[event_id]", C)], Some(C)),
            (None, vec![("sentry[event_id]", "no id")], None),
            (None, vec![("sentry__1", &in_json)], None),
        ] {
            let mut attributes = Attributes::default();
            if let Some(id) = message_id {
                attributes.add_message(&message(&json!({ "event_id": id })));
            }
            let owned = |(n, t): &(&str, &str)| ((*n).to_owned(), (*t).to_owned());
            attributes.add_fields(fields.iter().map(owned).collect());
            assert_eq!(finish(attributes).1.as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn an_event_in_messagepack_is_what_the_fields_are_merged_into() {
        let mut attributes = Attributes::default();
        attributes.add_message(&message(
            &json!({"release":"a","tags":{"x":"1"},"n":[1,-2,2.5,null,true]}),
        ));
        attributes.add_fields(vec![("sentry[release]".to_owned(), "b".to_owned())]);
        let expected = json!({"release":"b","tags":{"x":"1"},"n":[1,-2,2.5,null,true]});
        assert_eq!(finish(attributes).0, expected);
    }

    #[test]
    fn a_hostile_message_is_noted_and_costs_nothing() {
        let noted = json!({"errors":[{"type":"invalid_data","name":"__sentry-event"}]});
        let deep = vec![0x91; 1 << 20];
        let deep_map = b"\x81\xa1a".repeat(300_000);
        for hostile in [
            &b""[..],
            b"\xc1",
            b"text",
            b"\x01",
            b"\xdf\xff\xff\xff\xff\xa1a\x01",
            b"\xdd\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xffabc",
            b"\x81\xc0\x01",
            &deep,
            &deep_map,
        ] {
            let mut attributes = Attributes::default();
            attributes.add_message(hostile);
            assert_eq!(
                finish(attributes).0,
                noted,
                "{:?}",
                &hostile[..hostile.len().min(9)]
            );
        }
    }

    #[test]
    fn the_halves_of_the_breadcrumbs_are_put_in_order_and_the_oldest_let_go() {
        let crumb = |second: u32| json!({"message":"m","timestamp":format!("2026-03-01T09:30:{second:02}Z")});
        let file = |seconds: &[u32]| -> Vec<u8> {
            seconds.iter().flat_map(|s| message(&crumb(*s))).collect()
        };
        for (first, second, expected) in [
            (file(&[1, 2, 3]), file(&[4]), vec![2, 3, 4]),
            (file(&[4]), file(&[1, 2, 3]), vec![2, 3, 4]),
            (file(&[1, 2]), vec![], vec![1, 2]),
            (vec![], file(&[1]), vec![1]),
            (
                message(&json!([crumb(1), crumb(2)])),
                file(&[3]),
                vec![2, 3],
            ),
            (file(&[1, 2])[..60].to_vec(), vec![], vec![1]),
        ] {
            let mut attributes = Attributes::default();
            attributes.add_breadcrumbs(&first, &second);
            let expected: Vec<Value> = expected.into_iter().map(crumb).collect();
            assert_eq!(finish(attributes).0, json!({ "breadcrumbs": expected }));
        }
    }

    #[test]
    fn without_breadcrumbs_those_of_the_event_stay() {
        let mut attributes = Attributes::default();
        attributes.add_message(&message(&json!({"breadcrumbs":[{"message":"m"}]})));
        attributes.add_breadcrumbs(b"", b"");
        assert_eq!(
            finish(attributes).0,
            json!({"breadcrumbs":[{"message":"m"}]})
        );
    }
}
