//! Lenient readings of single values: what can be understood is brought into its type, what cannot is nulled and
//! remembered (facts/ingestion.md 5.1). The caller drops the nulls with [`drop_nulls`].

use std::borrow::Cow;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::trim;

/// For texts that only the size of the payload bounds.
pub(super) const UNLIMITED: usize = usize::MAX;

/// Nulls a value that is not what its field holds.
pub(super) fn refuse(node: &mut Node<'_>, reason: &str, path: &Path<'_>, meta: &mut Meta) {
    let original = node.take();
    meta.error(path, "invalid_data", Some(reason), Some(&original));
}

/// A text of at most `chars_max` characters; numbers and booleans are written as texts. An empty one becomes null.
pub(super) fn text(node: &mut Node<'_>, chars_max: usize, path: &Path<'_>, meta: &mut Meta) {
    stringify(node);
    match node {
        Node::Text(text) if text.is_empty() => *node = Node::Null,
        Node::Text(text) => trim::cut(text, chars_max, path, meta),
        Node::Null => {}
        _ => refuse(node, "expected a string", path, meta),
    }
}

/// Like [`text`], without the white space around it.
pub(super) fn trimmed(node: &mut Node<'_>, chars_max: usize, path: &Path<'_>, meta: &mut Meta) {
    if let Node::Text(text) = node {
        trim::white_space(text);
    }
    self::text(node, chars_max, path, meta);
}

/// Like [`text`], but objects and lists are written as JSON.
pub(super) fn any_text(node: &mut Node<'_>, chars_max: usize, path: &Path<'_>, meta: &mut Meta) {
    if matches!(node, Node::Map(_) | Node::List(_)) {
        *node = Node::Text(Cow::Owned(node.to_json()));
    }
    text(node, chars_max, path, meta);
}

/// Writes a number or a boolean as text, as JSON does.
pub(super) fn stringify(node: &mut Node<'_>) {
    match node {
        Node::Number(number) => *node = Node::text(number.to_string()),
        Node::Bool(value) => *node = Node::text(if *value { "true" } else { "false" }),
        _ => {}
    }
}

/// A whole number that is not negative and less than `below`, also one sent as text.
pub(super) fn count(node: &mut Node<'_>, below: u64, path: &Path<'_>, meta: &mut Meta) {
    let number = match node {
        Node::Null => return,
        Node::Number(number) => whole(number),
        Node::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if number < below => *node = Node::Number(number.into()),
        _ => refuse(node, "expected an unsigned integer", path, meta),
    }
}

fn whole(number: &serde_json::Number) -> Option<u64> {
    let float = || {
        number
            .as_f64()
            .filter(|float| *float >= 0.0 && *float < 9e15 && float.fract() == 0.0)
    };
    number
        .as_u64()
        .or_else(|| float().map(|float| float as u64))
}

pub(super) fn boolean(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if !matches!(node, Node::Null | Node::Bool(_)) {
        refuse(node, "expected a boolean", path, meta);
    }
}

/// The object that a field holds; none if it holds nothing of use.
pub(super) fn object<'n, 'a>(
    node: &'n mut Node<'a>,
    path: &Path<'_>,
    meta: &mut Meta,
) -> Option<&'n mut Map<'a>> {
    if !matches!(node, Node::Null | Node::Map(_)) {
        refuse(node, "expected an object", path, meta);
    }
    node.as_map_mut()
}

/// The list that a field holds; none if it holds nothing of use.
pub(super) fn list<'n, 'a>(
    node: &'n mut Node<'a>,
    path: &Path<'_>,
    meta: &mut Meta,
) -> Option<&'n mut Vec<Node<'a>>> {
    if !matches!(node, Node::Null | Node::List(_)) {
        refuse(node, "expected a list", path, meta);
    }
    node.as_list_mut()
}

/// An object of at most `bytes_max`.
pub(super) fn bounded_object(
    node: &mut Node<'_>,
    bytes_max: usize,
    path: &Path<'_>,
    meta: &mut Meta,
) {
    if object(node, path, meta).is_some() {
        trim::bound(node, bytes_max, path, meta);
    }
}

/// Leaves only the objects in a list. The fault is the list's: what stays moves up into the place of what goes.
pub(super) fn keep_objects(list: &mut Vec<Node<'_>>, path: &Path<'_>, meta: &mut Meta) {
    if list.iter().all(|item| matches!(item, Node::Map(_))) {
        return;
    }
    if list
        .iter()
        .any(|item| !matches!(item, Node::Map(_) | Node::Null))
    {
        meta.error(path, "invalid_data", Some("expected objects"), None);
    }
    list.retain(|item| matches!(item, Node::Map(_)));
}

pub(super) fn drop_nulls(map: &mut Map<'_>) {
    map.retain(|_, value| !value.is_null());
}

#[cfg(test)]
mod tests {
    use super::super::tests::{one_field, one_field_meta};
    use super::*;

    #[test]
    fn a_primitive_is_written_as_text() {
        let short =
            |node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta| text(node, 8, path, meta);
        assert_eq!(one_field("1.5", short), r#""1.5""#);
        assert_eq!(one_field("true", short), r#""true""#);
        assert_eq!(one_field(r#""""#, short), "null");
        assert_eq!(one_field(r#""123456789""#, short), r#""12345...""#);
    }

    #[test]
    fn a_wrong_type_is_nulled_and_remembered() {
        let unlimited = |node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta| {
            text(node, UNLIMITED, path, meta)
        };
        assert_eq!(one_field("[1]", unlimited), "null");
        assert_eq!(
            one_field_meta("[1]", unlimited),
            r#"{"f":{"":{"err":[["invalid_data",{"reason":"expected a string"}]],"val":[1]}}}"#
        );
        assert_eq!(one_field("[1]", boolean), "null");
    }

    #[test]
    fn a_count_is_read_from_texts_and_round_floats() {
        let count = |node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta| {
            count(node, 1 << 32, path, meta)
        };
        assert_eq!(one_field(r#"" 12 ""#, count), "12");
        assert_eq!(one_field("12.0", count), "12");
        for bad in ["-1", "1.5", "1e300", "99999999999", r#""x""#, "{}"] {
            assert_eq!(one_field(bad, count), "null", "{bad}");
        }
    }
}
