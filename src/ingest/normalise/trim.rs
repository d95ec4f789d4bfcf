//! Limits of size and depth. What is cut says so in `_meta`, under the rule `!limit` (facts/ingestion.md 5.2).
//!
//! Cutting twice is cutting once: what a limit let through, it lets through again.

use std::borrow::Cow;

use super::super::json::Node;
use super::super::meta::{Meta, Path, Remark};

const RULE: &str = "!limit";
const ELLIPSIS: &str = "...";
/// How deep objects and lists may stand in one another, the field's own counted.
const DEPTH_MAX: usize = 7;
/// What numbers, booleans and nulls count as, whatever they are.
const PRIMITIVE_BYTES: usize = 8;
/// The quotes of a text, the brackets of a list.
const PAIR_BYTES: usize = 2;
/// Less room than this is not worth the beginning of a text.
const ROOM_MIN: usize = 16;

/// Cuts a text to `chars_max` characters, the dots at its end included.
pub(super) fn cut(text: &mut Cow<'_, str>, chars_max: usize, path: &Path<'_>, meta: &mut Meta) {
    // There are never more characters than bytes, and counting bytes is free.
    if text.len() <= chars_max {
        return;
    }
    if text.chars().count() <= chars_max {
        return;
    }
    let keep = text
        .char_indices()
        .nth(chars_max.saturating_sub(ELLIPSIS.len()))
        .map_or(0, |(at, _)| at);
    shorten(text, keep, path, meta);
}

/// Takes the white space off both ends.
pub(super) fn white_space(text: &mut Cow<'_, str>) {
    match text {
        Cow::Borrowed(borrowed) => *borrowed = borrowed.trim(),
        Cow::Owned(owned) => {
            let inner = owned.trim();
            if inner.len() != owned.len() {
                *owned = inner.to_owned();
            }
        }
    }
}

/// Bounds a value's depth, and its size to about `bytes_max` bytes of JSON; how many of them it takes. Of lists
/// and objects the end is dropped, texts are cut, what is too deep becomes the text of its JSON, and a value
/// that does not fit at all becomes null.
pub(super) fn bound(
    node: &mut Node<'_>,
    bytes_max: usize,
    path: &Path<'_>,
    meta: &mut Meta,
) -> usize {
    let mut left = bytes_max;
    if !fit(node, DEPTH_MAX, &mut left, path, meta) {
        node.take();
        meta.remark(path, RULE, Remark::Removed, None, None);
    }
    bytes_max - left
}

/// Leaves the last `count_max` items.
pub(super) fn keep_last(
    list: &mut Vec<Node<'_>>,
    count_max: usize,
    path: &Path<'_>,
    meta: &mut Meta,
) {
    let count = list.len();
    if count > count_max {
        list.drain(..count - count_max);
        meta.remark(path, RULE, Remark::Removed, None, Some(count));
    }
}

/// Leaves the first `count_max` items.
pub(super) fn keep_first<T>(list: &mut Vec<T>, count_max: usize, path: &Path<'_>, meta: &mut Meta) {
    let count = list.len();
    if count > count_max {
        list.truncate(count_max);
        meta.remark(path, RULE, Remark::Removed, None, Some(count));
    }
}

/// Whether there was room for the value, or for some of it.
fn fit(
    node: &mut Node<'_>,
    depth: usize,
    left: &mut usize,
    path: &Path<'_>,
    meta: &mut Meta,
) -> bool {
    if depth == 0 && matches!(node, Node::List(_) | Node::Map(_)) {
        *node = Node::text(node.to_json());
        meta.remark(path, RULE, Remark::Substituted, None, None);
    }
    match node {
        Node::Null | Node::Bool(_) | Node::Number(_) => spend(left, PRIMITIVE_BYTES),
        Node::Text(text) => fit_text(text, left, path, meta),
        Node::List(list) => {
            if !spend(left, PAIR_BYTES) {
                return false;
            }
            let mut kept = 0;
            for item in list.iter_mut() {
                if !fit(item, depth - 1, left, &path.index(kept), meta) {
                    break;
                }
                kept += 1;
            }
            keep_first(list, kept, path, meta);
            true
        }
        Node::Map(map) => {
            if !spend(left, PAIR_BYTES) {
                return false;
            }
            let count = map.len();
            let mut kept = 0;
            for (key, value) in map.iter_mut() {
                if !spend(left, key.len() + PAIR_BYTES)
                    || !fit(value, depth - 1, left, &path.key(key), meta)
                {
                    break;
                }
                kept += 1;
            }
            if kept < count {
                let mut at = 0;
                map.retain(|_, _| {
                    at += 1;
                    at <= kept
                });
                meta.remark(path, RULE, Remark::Removed, None, Some(count));
            }
            true
        }
    }
}

fn fit_text(text: &mut Cow<'_, str>, left: &mut usize, path: &Path<'_>, meta: &mut Meta) -> bool {
    if spend(left, text.len() + PAIR_BYTES) {
        return true;
    }
    if *left < ROOM_MIN {
        return false;
    }
    let keep = text.floor_char_boundary(*left - PAIR_BYTES - ELLIPSIS.len());
    shorten(text, keep, path, meta);
    spend(left, text.len() + PAIR_BYTES)
}

fn spend(left: &mut usize, bytes: usize) -> bool {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

/// Replaces everything from byte `keep` on, which starts a character, by dots.
fn shorten(text: &mut Cow<'_, str>, keep: usize, path: &Path<'_>, meta: &mut Meta) {
    let old_len = text.chars().count();
    let mut short = String::with_capacity(keep + ELLIPSIS.len());
    short.push_str(&text[..keep]);
    short.push_str(ELLIPSIS);
    let range = Some((keep, short.len()));
    *text = Cow::Owned(short);
    meta.remark(path, RULE, Remark::Substituted, range, Some(old_len));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{one_field, one_field_meta};
    use super::*;

    fn bound_to(bytes: usize) -> impl Fn(&mut Node<'_>, &Path<'_>, &mut Meta) {
        move |node, path, meta| {
            bound(node, bytes, path, meta);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let cut_to_five = |node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta| {
            if let Node::Text(text) = node {
                cut(text, 5, path, meta);
            }
        };
        assert_eq!(one_field(r#""ééééé""#, cut_to_five), r#""ééééé""#);
        assert_eq!(one_field(r#""éééééé""#, cut_to_five), r#""éé...""#);
        assert_eq!(
            one_field_meta(r#""éééééé""#, cut_to_five),
            r#"{"f":{"":{"rem":[["!limit","s",4,7]],"len":6}}}"#
        );
    }

    #[test]
    fn what_is_too_deep_becomes_the_text_of_its_json() {
        assert_eq!(
            one_field("[[[[[[[[[1]]]]]]]]]", bound_to(1000)),
            r#"[[[[[[["[[1]]"]]]]]]]"#
        );
    }

    #[test]
    fn of_a_large_value_the_end_is_dropped() {
        assert_eq!(one_field("[1,2,3]", bound_to(20)), "[1,2]");
        assert_eq!(
            one_field_meta("[1,2,3]", bound_to(20)),
            r#"{"f":{"":{"rem":[["!limit","x"]],"len":3}}}"#
        );
        assert_eq!(
            one_field(r#"{"a":"0123456789abcdefghi","b":1}"#, bound_to(22)),
            r#"{"a":"0123456789ab..."}"#
        );
        assert_eq!(one_field("1", bound_to(2)), "null");
    }

    #[test]
    fn bounding_twice_is_bounding_once() {
        let value = r#"{"a":[1,"é",{"b":"éééééééééééééééééééééééé"}],"c":[[[[[[[[{}]]]]]]]],"d":"e","f":[2,3]}"#;
        for bytes in 0..140 {
            let once = one_field(value, bound_to(bytes));
            assert_eq!(one_field(&once, bound_to(bytes)), once, "{bytes}");
        }
    }
}
