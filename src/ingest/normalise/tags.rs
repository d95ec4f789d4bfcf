//! Tags (facts/ingestion.md 5.4): a list of `[key, value]`, each key once.

use std::borrow::Cow;

use serde_json::Number;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{trim, value};

const KEY_CHARS_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 200;
const KEPT_MAX: usize = 200;
/// Tags after these are not even looked at.
const READ_MAX: usize = 1000;
/// Names that the server gives tags of its own.
const RESERVED: [&str; 5] = ["release", "dist", "user", "filename", "function"];

/// Brings the tags into a list of pairs of good tags; null if there is none.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if let Node::Map(map) = node {
        let pairs = map.take_entries().into_iter();
        *node = Node::List(
            pairs
                .map(|(key, value)| Node::List(vec![Node::Text(key), value]))
                .collect(),
        );
    }
    let Some(list) = value::list(node, path, meta) else {
        return;
    };
    trim::keep_first(list, READ_MAX, path, meta);
    let mut kept = 0;
    for at in 0..list.len() {
        let (done, rest) = list.split_at_mut(at);
        let Some(tag) = rest.first_mut() else { break };
        match check(tag, &done[..kept]) {
            Ok(true) if kept < KEPT_MAX => {
                list.swap(kept, at);
                kept += 1;
            }
            Ok(true) => refuse(tag, "too many tags", path, meta),
            Ok(false) => {}
            Err(reason) => refuse(tag, reason, path, meta),
        }
    }
    list.truncate(kept);
    if list.is_empty() {
        node.take();
    }
}

/// The value of a tag that has been brought into its form.
pub(super) fn find<'n>(tags: &'n [Node<'_>], key: &str) -> Option<&'n Node<'n>> {
    tags.iter()
        .filter_map(pair)
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// Moves a field of the event to a tag, unless there is such a tag.
pub(super) fn take_field(event: &mut Map<'_>, key: &'static str, meta: &mut Meta) {
    let Some(value) = event.remove(key) else {
        return;
    };
    let root = Path::ROOT;
    let path = root.key("tags");
    let tags = event.entry("tags");
    if tags.is_null() {
        *tags = Node::List(Vec::new());
    }
    if let Node::List(list) = tags {
        let mut tag = Node::List(vec![Node::text(key), value]);
        match check(&mut tag, list) {
            Ok(true) if list.len() < KEPT_MAX => list.push(tag),
            Ok(true) => refuse(&tag, "too many tags", &path, meta),
            Ok(false) => {}
            Err(reason) => refuse(&tag, reason, &path, meta),
        }
        if list.is_empty() {
            tags.take();
        }
    }
}

/// Takes the value of a tag out of the event's tags.
pub(super) fn remove<'a>(event: &mut Map<'a>, key: &str) -> Option<Node<'a>> {
    let tags = event.get_mut("tags")?;
    let list = tags.as_list_mut()?;
    let at = list
        .iter()
        .position(|tag| pair(tag).is_some_and(|(name, _)| name == key))?;
    let value = list.remove(at).as_list_mut().and_then(Vec::pop);
    if list.is_empty() {
        tags.take();
    }
    value
}

fn pair<'n, 'a>(tag: &'n Node<'a>) -> Option<(&'n str, &'n Node<'a>)> {
    match tag.as_list()? {
        [key, value] => Some((key.as_str()?, value)),
        _ => None,
    }
}

/// Brings a tag into its form; whether it is to be kept after those that are kept already. An error is why not.
fn check(tag: &mut Node<'_>, kept: &[Node<'_>]) -> Result<bool, &'static str> {
    if tag.is_null() {
        return Ok(false);
    }
    let Some([key, value]) = tag.as_list_mut().map(Vec::as_mut_slice) else {
        return Err("expected a pair");
    };
    value::stringify(key);
    let Node::Text(key) = key else {
        return Err("expected a string as key");
    };
    check_key(key)?;
    check_value(value)?;
    Ok(!RESERVED.contains(&&**key) && find(kept, key).is_none())
}

fn check_key(key: &mut Cow<'_, str>) -> Result<(), &'static str> {
    trim::white_space(key);
    if key.contains(' ') {
        *key = Cow::Owned(key.replace(' ', "-"));
    }
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    if key.is_empty() {
        Err("expected a non-empty key")
    } else if !key.bytes().all(is_good) {
        Err("invalid characters in key")
    } else if key.len() > KEY_CHARS_MAX {
        Err("key too long")
    } else {
        Ok(())
    }
}

fn check_value(value: &mut Node<'_>) -> Result<(), &'static str> {
    match value {
        Node::Bool(truth) => *value = Node::text(if *truth { "True" } else { "False" }),
        Node::Number(number) => *value = Node::text(truncated(number)),
        _ => {}
    }
    match value {
        // A key without a value is a tag, too.
        Node::Null => Ok(()),
        Node::Text(text) if text.is_empty() => Err("expected a non-empty value"),
        Node::Text(text) if text.contains('\n') => Err("invalid characters in value"),
        Node::Text(text) if is_too_long(text) => Err("value too long"),
        Node::Text(_) => Ok(()),
        _ => Err("expected a primitive value"),
    }
}

fn is_too_long(value: &str) -> bool {
    value.len() > VALUE_CHARS_MAX && value.chars().count() > VALUE_CHARS_MAX
}

/// A number as tags show it: without what follows the point.
fn truncated(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            // Adding zero makes the negative zero a plain one.
            format!("{:.0}", float.trunc() + 0.0)
        }
        _ => number.to_string(),
    }
}

/// The tag goes, so its place in the list is another's: the fault names it by its key.
fn refuse(tag: &Node<'_>, reason: &str, path: &Path<'_>, meta: &mut Meta) {
    match pair(tag) {
        Some((key, _)) if key.len() <= KEY_CHARS_MAX => {
            let reason = format!("{key}: {reason}");
            meta.error(path, "invalid_data", Some(&reason), None);
        }
        _ => meta.error(path, "invalid_data", Some(reason), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, one_field, one_field_meta};
    use super::*;

    #[test]
    fn a_map_and_a_list_become_pairs() {
        let pairs = r#"[["a","1"],["b",null]]"#;
        assert_eq!(one_field(r#"{"a":1,"b":null}"#, field), pairs);
        assert_eq!(one_field(r#"[["a","1"],null,["b",null]]"#, field), pairs);
    }

    #[test]
    fn values_are_texts() {
        let sent = r#"{"a":true,"b":false,"c":1.9,"d":-0.5,"e":18446744073709551615,"f":[1],"g":"x\ny","h":""}"#;
        assert_eq!(
            one_field(sent, field),
            r#"[["a","True"],["b","False"],["c","1"],["d","0"],["e","18446744073709551615"]]"#
        );
    }

    #[test]
    fn keys_are_cleaned() {
        assert_eq!(
            one_field(
                r#"[[" a b ","x"],[5,"y"],["é","z"],["","z"],[" ","z"]]"#,
                field
            ),
            r#"[["a-b","x"],["5","y"]]"#
        );
    }

    #[test]
    fn reserved_and_repeated_keys_go() {
        assert_eq!(
            one_field(
                r#"[["release","x"],["a","1"],["a","2"],["user","z"],["b","3"]]"#,
                field
            ),
            r#"[["a","1"],["b","3"]]"#
        );
    }

    #[test]
    fn what_is_too_long_goes_with_an_error() {
        let sent = format!(
            r#"[["k","{}"],["{}","v"]]"#,
            "é".repeat(201),
            "k".repeat(201)
        );
        assert_eq!(one_field(&sent, field), "null");
        assert_eq!(
            one_field_meta(&sent, field),
            concat!(
                r#"{"f":{"":{"err":[["invalid_data",{"reason":"k: value too long"}],"#,
                r#"["invalid_data",{"reason":"key too long"}]]}}}"#
            )
        );
        let sent = format!(r#"[["k","{}"]]"#, "é".repeat(200));
        assert_eq!(one_field(&sent, field), sent);
    }

    #[test]
    fn tags_of_another_shape_are_nothing() {
        for sent in [
            "5",
            r#""a""#,
            "[]",
            "{}",
            r#"["a","b"]"#,
            r#"[["a"],["a","b","c"],[[],"x"]]"#,
        ] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
    }

    #[test]
    fn a_hundred_thousand_tags_are_cut_to_two_hundred() {
        let tags: String = (0..100_000).map(|n| format!(r#"["k{n}","v"],"#)).collect();
        let sent = format!("[{}]", tags.trim_end_matches(','));
        let kept = one_field(&sent, field);
        assert_eq!(kept.matches("],[").count() + 1, KEPT_MAX);
    }

    #[test]
    fn the_server_name_is_a_tag() {
        let (out, _) = event(r#"{"server_name":"web-1"}"#);
        assert_eq!(
            out.get("tags").unwrap().to_json(),
            r#"[["server_name","web-1"]]"#
        );
        assert!(!out.contains("server_name"));
        let (out, _) = event(r#"{"server_name":"web-1","tags":{"server_name":"own"}}"#);
        assert_eq!(
            out.get("tags").unwrap().to_json(),
            r#"[["server_name","own"]]"#
        );
    }
}
