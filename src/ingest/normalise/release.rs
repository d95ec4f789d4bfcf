//! Which build of a program an event is of, and where it ran (facts/ingestion.md 5.2).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{tags, value};

const RELEASE_CHARS_MAX: usize = 200;
const ENVIRONMENT_CHARS_MAX: usize = 64;
const DIST_CHARS_MAX: usize = 64;

pub(super) fn release(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    value::trimmed(node, RELEASE_CHARS_MAX, path, meta);
    if node.as_str().is_some_and(is_bad_release) {
        value::refuse(node, "invalid release", path, meta);
    }
}

pub(super) fn environment(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    value::trimmed(node, ENVIRONMENT_CHARS_MAX, path, meta);
    if node.as_str().is_some_and(is_bad_environment) {
        value::refuse(node, "invalid environment", path, meta);
    }
}

pub(super) fn dist(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    value::trimmed(node, value::UNLIMITED, path, meta);
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if let Node::Text(text) = node
        && (text.len() > DIST_CHARS_MAX || !text.bytes().all(is_good))
    {
        value::refuse(node, "invalid dist", path, meta);
    }
}

/// Old SDKs sent the environment as a tag.
pub(super) fn take_environment_from_tags(event: &mut Map<'_>, meta: &mut Meta) {
    if event.get("environment").is_some_and(|node| !node.is_null()) {
        return;
    }
    if let Some(mut node) = tags::remove(event, "environment") {
        let root = Path::ROOT;
        environment(&mut node, &root.key("environment"), meta);
        event.insert("environment", node);
    }
}

/// The release that something else than an event names, if an event could have it as it is.
pub(in crate::ingest) fn release_name(text: &str) -> Option<&str> {
    name(text, RELEASE_CHARS_MAX, is_bad_release)
}

/// The environment that something else than an event names, if an event could have it as it is.
pub(in crate::ingest) fn environment_name(text: &str) -> Option<&str> {
    name(text, ENVIRONMENT_CHARS_MAX, is_bad_environment)
}

fn name(text: &str, chars_max: usize, is_bad: fn(&str) -> bool) -> Option<&str> {
    let text = text.trim();
    let is_good = !text.is_empty() && text.chars().count() <= chars_max && !is_bad(text);
    is_good.then_some(text)
}

fn is_bad_release(text: &str) -> bool {
    matches!(text, "." | "..") || text.eq_ignore_ascii_case("latest") || has_bad_character(text)
}

fn is_bad_environment(text: &str) -> bool {
    matches!(text, "." | "..") || text.eq_ignore_ascii_case("none") || has_bad_character(text)
}

/// Slashes and control characters, line breaks and tabs among them.
fn has_bad_character(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '/' | '\\') || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, one_field};
    use super::*;

    #[test]
    fn a_release_is_trimmed_and_stringified() {
        assert_eq!(one_field(r#"" app@1.0 ""#, release), r#""app@1.0""#);
        assert_eq!(one_field("42", release), r#""42""#);
        assert_eq!(one_field("2.1", release), r#""2.1""#);
        let long = format!("\"{}\"", "a".repeat(201));
        assert_eq!(
            one_field(&long, release),
            format!("\"{}...\"", "a".repeat(197))
        );
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for sent in [
            r#""Latest""#,
            r#"".""#,
            r#""..""#,
            r#""a/b""#,
            r#""a\\b""#,
            r#""a\tb""#,
            r#""  ""#,
            "[]",
        ] {
            assert_eq!(one_field(sent, release), "null", "{sent}");
        }
        for sent in [
            r#""None""#,
            r#"".""#,
            r#""a/b""#,
            r#""a\nb""#,
            r#""""#,
            "{}",
        ] {
            assert_eq!(one_field(sent, environment), "null", "{sent}");
        }
        for sent in [r#""a b""#, r#""é""#, r#""""#, "{}"] {
            assert_eq!(one_field(sent, dist), "null", "{sent}");
        }
        assert_eq!(one_field(&format!("\"{}\"", "1".repeat(65)), dist), "null");
        assert_eq!(one_field("7", dist), r#""7""#);
    }

    #[test]
    fn other_items_name_what_an_event_could() {
        assert_eq!(environment_name(" prod "), Some("prod"));
        assert_eq!(release_name("app@1.0"), Some("app@1.0"));
        for text in ["", "None", "..", "a/b", &"a".repeat(65)] {
            assert_eq!(environment_name(text), None, "{text}");
        }
        for text in ["", "latest", "a\nb", &"a".repeat(201)] {
            assert_eq!(release_name(text), None, "{text}");
        }
    }

    #[test]
    fn the_environment_may_come_as_a_tag() {
        let (out, _) = event(r#"{"tags":{"environment":"prod","a":"b"}}"#);
        assert_eq!(out.str("environment"), Some("prod"));
        assert_eq!(out.get("tags").unwrap().to_json(), r#"[["a","b"]]"#);
        let (out, _) = event(r#"{"environment":"dev","tags":{"environment":"prod"}}"#);
        assert_eq!(out.str("environment"), Some("dev"));
    }
}
