//! Headers, cookies and query strings, which SDKs send as objects, as lists of pairs and as texts
//! (facts/ingestion.md 5.7): a list of `[name, value]`, both texts.

use std::borrow::Cow;

use super::super::json::Node;
use super::super::meta::{Meta, Path};
use super::{trim, value};

const COUNT_MAX: usize = 1000;
/// Of a name and of a value.
const CHARS_MAX: usize = 8192;

/// Brings a field into a list of pairs, a text by way of `split`; null if there is none.
pub(super) fn field<'a>(
    node: &mut Node<'a>,
    split: fn(Cow<'a, str>) -> Vec<Node<'a>>,
    path: &Path<'_>,
    meta: &mut Meta,
) {
    match node {
        Node::Text(text) => *node = Node::List(split(std::mem::take(text))),
        Node::Map(map) => {
            let mut entries = map.take_entries();
            trim::keep_first(&mut entries, COUNT_MAX, path, meta);
            *node = Node::List(entries.into_iter().map(|(k, v)| pair(k, v)).collect());
        }
        _ => {}
    }
    let Some(list) = value::list(node, path, meta) else {
        return;
    };
    trim::keep_first(list, COUNT_MAX, path, meta);
    let count = list.len();
    list.retain_mut(|item| item.as_list_mut().is_some_and(check));
    if list.len() < count {
        meta.error(path, "invalid_data", Some("expected pairs"), None);
    }
    for (index, pair) in list.iter_mut().enumerate() {
        let path = path.index(index);
        let parts = pair.as_list_mut().into_iter().flatten();
        for (at, part) in parts.enumerate() {
            if let Node::Text(text) = part {
                trim::cut(text, CHARS_MAX, &path.index(at), meta);
            }
        }
    }
    if list.is_empty() {
        node.take();
    }
}

pub(super) fn pair<'a>(name: Cow<'a, str>, value: Node<'a>) -> Node<'a> {
    Node::List(vec![Node::Text(name), value])
}

/// A pair with a name, as an object's entry.
pub(super) fn into_entry<'a>(mut pair: Node<'a>) -> Option<(Cow<'a, str>, Node<'a>)> {
    match pair.as_list_mut()?.as_mut_slice() {
        [Node::Text(name), value] => Some((std::mem::take(name), value.take())),
        _ => None,
    }
}

/// Text that is split at `separator`, and each part once at `equals`. More parts than are kept are not read.
pub(super) fn split<'a>(text: Cow<'a, str>, separator: char, equals: char) -> Vec<Node<'a>> {
    fn parts(text: &str, separator: char, equals: char) -> impl Iterator<Item = (&str, &str)> {
        text.split(separator)
            .filter(|part| !part.trim().is_empty())
            .map(move |part| part.split_once(equals).unwrap_or((part, "")))
            .map(|(name, value)| (name.trim(), value.trim()))
            .take(COUNT_MAX)
    }
    match text {
        Cow::Borrowed(text) => parts(text, separator, equals)
            .map(|(name, value)| pair(Cow::Borrowed(name), Node::text(value)))
            .collect(),
        Cow::Owned(text) => parts(&text, separator, equals)
            .map(|(name, value)| pair(name.to_owned().into(), Node::text(value.to_owned())))
            .collect(),
    }
}

/// Decodes `a=b&c=d`. More pairs than are kept are not read.
pub(super) fn decode_query(text: Cow<'_, str>) -> Vec<Node<'_>> {
    match text {
        Cow::Borrowed(text) => {
            let text = text.strip_prefix('?').unwrap_or(text);
            form_urlencoded::parse(text.as_bytes())
                .take(COUNT_MAX)
                .map(|(name, value)| pair(name, Node::Text(value)))
                .collect()
        }
        Cow::Owned(text) => decode_query(Cow::Borrowed(&text))
            .iter()
            .map(Node::to_owned)
            .collect(),
    }
}

/// Brings a pair into its form; whether it is one.
fn check(pair: &mut Vec<Node<'_>>) -> bool {
    if pair.len() == 1 {
        pair.push(Node::Null);
    }
    let [name, value] = pair.as_mut_slice() else {
        return false;
    };
    value::stringify(name);
    if name.as_str().is_none_or(str::is_empty) {
        return false;
    }
    match value {
        Node::Text(_) => {}
        Node::Null => *value = Node::text(""),
        Node::Bool(_) | Node::Number(_) => value::stringify(value),
        Node::List(_) | Node::Map(_) => *value = Node::text(value.to_json()),
    }
    true
}
