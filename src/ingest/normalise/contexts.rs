//! What surrounded an event: `contexts`, and the free `extra` and `modules` (facts/ingestion.md 5.2).

use std::borrow::Cow;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{trim, value};

const CONTEXT_BYTES_MAX: usize = 8192;
/// A feedback's message has a limit of its own, in characters.
const FEEDBACK_BYTES_MAX: usize = 32 << 10;
const FEEDBACK_CHARS_MAX: usize = 4096;
const EXTRA_VALUE_BYTES_MAX: usize = 16 << 10;
const EXTRA_BYTES_MAX: usize = 256 << 10;
const MODULES_BYTES_MAX: usize = 8192;

/// Contexts are objects; none without entries stays.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(contexts) = value::object(node, path, meta) else {
        return;
    };
    for (key, node) in contexts.iter_mut() {
        let path = path.key(key);
        if key == "feedback" {
            feedback(node, &path, meta);
        } else {
            value::bounded_object(node, CONTEXT_BYTES_MAX, &path, meta);
        }
    }
    value::drop_nulls(contexts);
    if contexts.is_empty() {
        node.take();
    }
}

/// A feedback says something, or it is none.
pub(super) fn check_feedback(event: &Map<'_>) -> Result<(), &'static str> {
    let message = event
        .map("contexts")
        .and_then(|contexts| contexts.map("feedback"))
        .and_then(|feedback| feedback.str("message"))
        .unwrap_or_default();
    if message.trim().is_empty() {
        Err("payload")
    } else {
        Ok(())
    }
}

fn feedback(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(feedback) = value::object(node, path, meta) else {
        return;
    };
    if let Some(message) = feedback.get_mut("message") {
        value::text(message, FEEDBACK_CHARS_MAX, &path.key("message"), meta);
    }
    // The message first: it must not be what does not fit any more.
    if let Some(message) = feedback.remove("message") {
        let rest = feedback.take_entries();
        let message = (Cow::Borrowed("message"), message);
        *feedback = std::iter::once(message).chain(rest).collect();
    }
    value::drop_nulls(feedback);
    trim::bound(node, FEEDBACK_BYTES_MAX, path, meta);
}

pub(super) fn extra(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(extra) = value::object(node, path, meta) else {
        return;
    };
    let mut left = EXTRA_BYTES_MAX;
    for (key, node) in extra.iter_mut() {
        let path = path.key(key);
        left = left.saturating_sub(key.len());
        if !node.is_null() {
            let used = trim::bound(node, left.min(EXTRA_VALUE_BYTES_MAX), &path, meta);
            left -= used;
        }
    }
    value::drop_nulls(extra);
    if extra.is_empty() {
        node.take();
    }
}

/// Names and versions.
pub(super) fn modules(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(modules) = value::object(node, path, meta) else {
        return;
    };
    for (key, version) in modules.iter_mut() {
        value::text(version, value::UNLIMITED, &path.key(key), meta);
    }
    value::drop_nulls(modules);
    if modules.is_empty() {
        node.take();
    } else {
        trim::bound(node, MODULES_BYTES_MAX, path, meta);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{kind_of_event, one_field};
    use super::*;
    use crate::ingest::items::Kind;

    #[test]
    fn contexts_are_objects() {
        assert_eq!(
            one_field(
                r#"{"os":{"name":"x"},"app":null,"odd":5,"list":[1],"empty":{}}"#,
                field
            ),
            r#"{"os":{"name":"x"},"empty":{}}"#
        );
        for sent in ["5", "[]", "{}", r#"{"a":1}"#] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
        let large = format!(r#"{{"a":{{"b":"{}","c":1}}}}"#, "x".repeat(9000));
        let out = one_field(&large, field);
        assert!(out.len() < CONTEXT_BYTES_MAX + 20 && out.contains("..."));
    }

    #[test]
    fn extra_is_bounded_by_value_and_in_all() {
        let value = "x".repeat(20_000);
        let many: Vec<String> = (0..40).map(|n| format!(r#""k{n}":"{value}""#)).collect();
        let out = one_field(&format!("{{{}}}", many.join(",")), extra);
        assert!((EXTRA_BYTES_MAX - 1000..EXTRA_BYTES_MAX + 1000).contains(&out.len()));
        assert_eq!(one_field(&out, extra), out);
        assert_eq!(
            one_field(r#"{"a":[1,{"b":null}],"c":null}"#, extra),
            r#"{"a":[1,{"b":null}]}"#
        );
        let keys: String = (0..100_000).map(|n| format!(r#""k{n}":1,"#)).collect();
        let out = one_field(&format!("{{{}}}", keys.trim_end_matches(',')), extra);
        assert!(out.len() < EXTRA_BYTES_MAX);
    }

    #[test]
    fn modules_are_names_with_versions() {
        assert_eq!(
            one_field(r#"{"a":"1","b":2,"c":null,"d":[]}"#, modules),
            r#"{"a":"1","b":"2"}"#
        );
    }

    #[test]
    fn a_feedback_has_a_message() {
        let good = r#"{"contexts":{"feedback":{"name":"n","message":"m"}}}"#;
        let out = kind_of_event(Kind::Feedback, good).unwrap();
        assert_eq!(
            out.get("contexts").unwrap().to_json(),
            r#"{"feedback":{"message":"m","name":"n"}}"#
        );
        for bad in [
            "{}",
            r#"{"contexts":{"feedback":{}}}"#,
            r#"{"contexts":{"feedback":{"message":" "}}}"#,
            r#"{"contexts":{"feedback":{"message":{}}}}"#,
        ] {
            assert_eq!(kind_of_event(Kind::Feedback, bad), Err("payload"), "{bad}");
        }
        let long = format!(
            r#"{{"contexts":{{"feedback":{{"message":"{}"}}}}}}"#,
            "é".repeat(5000)
        );
        let out = kind_of_event(Kind::Feedback, &long).unwrap();
        let message = out
            .map("contexts")
            .unwrap()
            .map("feedback")
            .unwrap()
            .str("message")
            .unwrap();
        assert_eq!(message.chars().count(), FEEDBACK_CHARS_MAX);
    }
}
