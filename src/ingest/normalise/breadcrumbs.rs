//! What happened before (facts/ingestion.md 5.2).

use super::super::json::Node;
use super::super::meta::{Meta, Path};
use super::{level, time, value, values};

const COUNT_MAX: usize = 1000;
const MESSAGE_CHARS_MAX: usize = 8192;
const DATA_BYTES_MAX: usize = 8192;

/// Brings the breadcrumbs into their form: oldest first.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    values::each(node, COUNT_MAX, path, meta, |crumb, path, meta| {
        for (key, node) in crumb.iter_mut() {
            let path = path.key(key);
            match key {
                "timestamp" => time::field(node, &path, meta),
                "type" | "category" => value::text(node, value::UNLIMITED, &path, meta),
                "level" => level::field(node, &path, meta),
                "message" => value::any_text(node, MESSAGE_CHARS_MAX, &path, meta),
                "data" => value::bounded_object(node, DATA_BYTES_MAX, &path, meta),
                _ => {}
            }
        }
        for (key, default) in [("type", "default"), ("level", "info")] {
            let node = crumb.entry(key);
            if node.is_null() {
                *node = Node::text(default);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_field;
    use super::field;

    #[test]
    fn a_breadcrumb_has_a_type_a_level_and_a_time() {
        assert_eq!(
            one_field(
                r#"[{"timestamp":"2026-03-01T09:30:00Z","message":{"a":1},"level":"critical"},{"data":"x","timestamp":"bad","level":0}]"#,
                field
            ),
            concat!(
                r#"{"values":[{"timestamp":1772357400.0,"message":"{\"a\":1}","level":"fatal","type":"default"},"#,
                r#"{"level":"info","type":"default"}]}"#
            )
        );
    }

    #[test]
    fn empty_breadcrumbs_do_not_grow_without_end() {
        let sent = format!("[{}]", vec!["{}"; 300_000].join(","));
        assert!(one_field(&sent, field).len() < 50_000);
    }
}
