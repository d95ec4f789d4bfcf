//! What was thrown, and the threads it was thrown in (facts/ingestion.md 5.6).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{stacktrace, trim, value, values};

const EXCEPTIONS_MAX: usize = 200;
const THREADS_MAX: usize = 1000;
const TYPE_CHARS_MAX: usize = 256;
const VALUE_CHARS_MAX: usize = 8192;
const MODULE_CHARS_MAX: usize = 256;
const THREAD_ID_CHARS_MAX: usize = 128;
const MECHANISM_BYTES_MAX: usize = 8192;

/// Brings the exceptions into their form: oldest first, the last one is the main one.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    values::each(node, EXCEPTIONS_MAX, path, meta, |exception, path, meta| {
        for (key, node) in exception.iter_mut() {
            let path = path.key(key);
            match key {
                "type" => value::any_text(node, TYPE_CHARS_MAX, &path, meta),
                "value" => value::any_text(node, VALUE_CHARS_MAX, &path, meta),
                "module" => value::text(node, MODULE_CHARS_MAX, &path, meta),
                "thread_id" => thread_id(node, &path, meta),
                "stacktrace" | "raw_stacktrace" => stacktrace::field(node, &path, meta),
                "mechanism" => value::bounded_object(node, MECHANISM_BYTES_MAX, &path, meta),
                _ => {}
            }
        }
    });
}

pub(super) fn threads(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    values::each(node, THREADS_MAX, path, meta, |thread, path, meta| {
        for (key, node) in thread.iter_mut() {
            let path = path.key(key);
            match key {
                "id" => thread_id(node, &path, meta),
                "name" => value::text(node, value::UNLIMITED, &path, meta),
                "stacktrace" | "raw_stacktrace" => stacktrace::field(node, &path, meta),
                "crashed" | "current" | "main" => value::boolean(node, &path, meta),
                _ => {}
            }
        }
    });
}

/// Old SDKs sent one stack trace beside the exceptions. When there is exactly one exception, it is that one's.
pub(super) fn take_stacktrace(event: &mut Map<'_>) {
    let is_bare = |node: &Node<'_>| {
        let exception = node.as_map();
        exception.is_some_and(|exception| !exception.contains("stacktrace"))
    };
    if event.contains("stacktrace")
        && let [only] = values::of(event, "exception")
        && is_bare(only)
        && let Some(stacktrace) = event.remove("stacktrace")
        && let [Node::Map(only)] = values::of(event, "exception")
        && !stacktrace.is_null()
    {
        *only.entry("stacktrace") = stacktrace;
    }
}

/// A number or a text.
fn thread_id(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    match node {
        Node::Number(_) => {}
        Node::Text(text) => trim::cut(text, THREAD_ID_CHARS_MAX, path, meta),
        _ => value::text(node, THREAD_ID_CHARS_MAX, path, meta),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, one_field};
    use super::*;

    #[test]
    fn the_parts_of_an_exception_are_texts() {
        let sent = r#"[{"type":"E","value":{"code":5},"module":7,"thread_id":1,"mechanism":"x","extra":[1]}]"#;
        assert_eq!(
            one_field(sent, field),
            r#"{"values":[{"type":"E","value":"{\"code\":5}","module":"7","thread_id":1,"extra":[1]}]}"#
        );
    }

    #[test]
    fn threads_keep_their_ids_as_they_are() {
        let sent =
            r#"{"values":[{"id":5,"crashed":true,"current":"x","name":null},{"id":"main"}]}"#;
        assert_eq!(
            one_field(sent, threads),
            r#"{"values":[{"id":5,"crashed":true},{"id":"main"}]}"#
        );
    }

    #[test]
    fn a_lone_stack_trace_belongs_to_a_lone_exception() {
        let (out, _) = event(r#"{"exception":{"type":"E"},"stacktrace":[{"function":"f"}]}"#);
        assert_eq!(
            out.get("exception").unwrap().to_json(),
            r#"{"values":[{"type":"E","stacktrace":{"frames":[{"function":"f"}]}}]}"#
        );
        assert!(!out.contains("stacktrace"));
        for exceptions in [
            r#"[{"type":"E"},{"type":"F"}]"#,
            r#"{"type":"E","stacktrace":{"frames":[{"function":"g"}]}}"#,
            "[]",
        ] {
            let (out, _) = event(&format!(
                r#"{{"exception":{exceptions},"stacktrace":[{{"function":"f"}}]}}"#
            ));
            assert!(out.contains("stacktrace"), "{exceptions}");
        }
    }
}
