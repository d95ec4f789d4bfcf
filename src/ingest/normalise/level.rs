//! How grave something is (facts/ingestion.md 5.2).

use super::super::json::Node;
use super::super::meta::{Meta, Path};
use super::value;

/// Brings a level into one of the five words; anything else becomes null.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let level = match node {
        Node::Null => return,
        Node::Text(text) => named(text),
        Node::Number(number) => number.as_u64().and_then(numbered),
        _ => None,
    };
    match level {
        Some(level) if node.as_str() == Some(level) => {}
        Some(level) => *node = Node::text(level),
        None => value::refuse(node, "expected a level", path, meta),
    }
}

fn named(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 8] = [
        ("error", "error"),
        ("info", "info"),
        ("warning", "warning"),
        ("debug", "debug"),
        ("fatal", "fatal"),
        ("log", "info"),
        ("critical", "fatal"),
        ("warn", "warning"),
    ];
    let text = text.trim();
    NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, level)| *level)
        .or_else(|| text.parse().ok().and_then(numbered))
}

/// The numbers of Python's logging.
fn numbered(number: u64) -> Option<&'static str> {
    Some(match number {
        10 => "debug",
        20 => "info",
        30 => "warning",
        40 => "error",
        50 => "fatal",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_field;
    use super::field;

    #[test]
    fn every_spelling_of_a_level_is_read() {
        for (sent, level) in [
            (r#""debug""#, r#""debug""#),
            (r#""log""#, r#""info""#),
            (r#""Critical""#, r#""fatal""#),
            (r#""WARN""#, r#""warning""#),
            ("40", r#""error""#),
            (r#""50""#, r#""fatal""#),
        ] {
            assert_eq!(one_field(sent, field), level, "{sent}");
        }
    }

    #[test]
    fn anything_else_is_no_level() {
        for sent in [r#""bad""#, r#""""#, "45", "-10", "1e300", "true", "{}"] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
    }
}
