//! What an event says in words: `logentry`, with its text in `formatted` (facts/ingestion.md 5.5).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{trim, value};

const CHARS_MAX: usize = 8192;
const PARAMS_BYTES_MAX: usize = 8192;

/// Makes the old top-level `message` the log entry, unless there is one.
pub(super) fn take_message(event: &mut Map<'_>) {
    if let Some(message) = event.remove("message") {
        let entry = event.entry("logentry");
        if entry.is_null() {
            *entry = message;
        }
    }
}

/// Brings a log entry into an object with `formatted`; one without any text becomes null.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if !matches!(node, Node::Map(_) | Node::Null) {
        let mut entry = Map::new();
        *entry.entry("formatted") = node.take();
        *node = Node::Map(entry);
    }
    let Node::Map(entry) = node else {
        return;
    };
    for part in ["message", "formatted"] {
        if let Some(text) = entry.get_mut(part) {
            value::any_text(text, CHARS_MAX, &path.key(part), meta);
        }
    }
    if let Some(params) = entry.get_mut("params") {
        // Before they are looked up, so that no lookup takes long.
        trim::bound(params, PARAMS_BYTES_MAX, &path.key("params"), meta);
    }
    format(entry, path, meta);
    value::drop_nulls(entry);
    if entry.get("formatted").is_none() {
        if entry.is_empty() {
            node.take();
        } else {
            value::refuse(node, "expected a message", path, meta);
        }
    }
}

/// Makes `formatted`, and drops a template that says the same.
fn format<'a>(entry: &mut Map<'a>, path: &Path<'_>, meta: &mut Meta) {
    let Some(template) = entry.str("message") else {
        return;
    };
    match entry.str("formatted") {
        Some(formatted) if formatted != template => return,
        Some(_) => {}
        None => {
            let made = entry
                .get("params")
                .and_then(|params| fill(template, params))
                .filter(|made| made != template);
            if let Some(made) = made {
                let formatted = entry.entry("formatted");
                *formatted = Node::text(made);
                value::text(formatted, CHARS_MAX, &path.key("formatted"), meta);
                return;
            }
        }
    }
    if let Some(message) = entry.remove("message") {
        *entry.entry("formatted") = message;
    }
}

/// A template with its parameters; none if it has no places for any.
fn fill(template: &str, params: &Node<'_>) -> Option<String> {
    if !matches!(params, Node::List(_) | Node::Map(_)) {
        return None;
    }
    let (mark, place): (char, fn(&str) -> Place<'_>) = if template.contains('%') {
        ('%', percent_place)
    } else if template.contains('{') {
        ('{', brace_place)
    } else {
        return None;
    };
    let mut made = String::with_capacity(template.len() * 2);
    let mut rest = template;
    let mut next = 0;
    while let Some(at) = rest.find(mark) {
        let (before, from_mark) = rest.split_at(at);
        push_plain(&mut made, before, mark);
        let place = place(from_mark);
        let (text, after) = from_mark.split_at(place.len);
        match lookup(&place.name, params, &mut next) {
            _ if matches!(place.name, Name::Literal) => made.push(mark),
            Some(param) => push(&mut made, param),
            // There is nothing to put there: the template tells more than a gap.
            None => made.push_str(text),
        }
        rest = after;
        // Each parameter may be put in many times; nobody reads what comes after.
        if made.len() > CHARS_MAX * 4 {
            break;
        }
    }
    push_plain(&mut made, rest, mark);
    Some(made)
}

/// What stands between places. A template with braces doubles those it means.
fn push_plain(made: &mut String, text: &str, mark: char) {
    if mark == '{' && text.contains("}}") {
        made.push_str(&text.replace("}}", "}"));
    } else {
        made.push_str(text);
    }
}

/// A place in a template: its length in bytes, and what belongs there.
struct Place<'t> {
    len: usize,
    name: Name<'t>,
}

enum Name<'t> {
    /// The mark itself, written twice.
    Literal,
    /// Not a place after all.
    Nothing,
    Next,
    Index(usize),
    Key(&'t str),
}

fn lookup<'p>(name: &Name<'_>, params: &'p Node<'_>, next: &mut usize) -> Option<&'p Node<'p>> {
    let by_index = |index: usize| match params {
        Node::List(list) => list.get(index),
        _ => None,
    };
    match name {
        Name::Literal | Name::Nothing => None,
        Name::Next => {
            *next += 1;
            by_index(*next - 1)
        }
        Name::Index(index) => by_index(*index),
        Name::Key(key) => params.as_map()?.get(key),
    }
}

/// `%s`, `%05.2f`, `%(name)s` and `%%`.
fn percent_place(text: &str) -> Place<'_> {
    let inner = &text[1..];
    if inner.starts_with('%') {
        return Place {
            len: 2,
            name: Name::Literal,
        };
    }
    let named = inner
        .strip_prefix('(')
        .and_then(|inner| inner.split_once(')'));
    let (name, inner) = match named {
        Some((key, rest)) => (Name::Key(key), rest),
        None => (Name::Next, inner),
    };
    let form = inner.trim_start_matches(|c: char| {
        c.is_ascii_digit() || matches!(c, '-' | '+' | '#' | '.' | 'h' | 'l' | 'L')
    });
    let is_conversion = |c: char| "diouxXeEfFgGcrsa".contains(c);
    if form.starts_with(is_conversion) {
        let len = text.len() - form.len() + 1;
        Place { len, name }
    } else {
        Place {
            len: 1,
            name: Name::Nothing,
        }
    }
}

/// `{}`, `{0}`, `{name}`, each with or without a format, and `{{`.
fn brace_place(text: &str) -> Place<'_> {
    let inner = &text[1..];
    if inner.starts_with('{') {
        return Place {
            len: 2,
            name: Name::Literal,
        };
    }
    // Bounded, so that a text of nothing but opening braces is read once.
    let Some(end) = inner.bytes().take(200).position(|b| b == b'}') else {
        return Place {
            len: 1,
            name: Name::Nothing,
        };
    };
    let whole = &inner[..end];
    let name = whole.split([':', '!']).next().unwrap_or(whole).trim();
    let name = match name.parse() {
        Ok(index) => Name::Index(index),
        Err(_) if name.is_empty() => Name::Next,
        Err(_) => Name::Key(name),
    };
    Place { len: end + 2, name }
}

fn push(made: &mut String, param: &Node<'_>) {
    match param.as_str() {
        Some(text) => made.push_str(text),
        None => made.push_str(&param.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, one_field};
    use super::*;

    #[test]
    fn a_lone_text_is_the_formatted_message() {
        let formatted = r#"{"formatted":"hello"}"#;
        for sent in [
            r#""hello""#,
            r#"{"message":"hello"}"#,
            r#"{"formatted":"hello"}"#,
            r#"{"message":"hello","formatted":"hello","params":null}"#,
            r#"{"message":"","formatted":"hello"}"#,
        ] {
            assert_eq!(one_field(sent, field), formatted, "{sent}");
        }
    }

    #[test]
    fn a_template_is_filled_with_its_parameters() {
        for (template, params, formatted) in [
            ("a %s b %d%% %r", r#"["x",5]"#, "a x b 5% %r"),
            (
                "%(who)s %(gone)s %5.2f",
                r#"{"who":"me"}"#,
                "me %(gone)s %5.2f",
            ),
            ("100% sure %s", r#"["x"]"#, "100% sure x"),
            (
                "{} and {} and {}",
                r#"[1,{"a":2}]"#,
                r#"1 and {\"a\":2} and {}"#,
            ),
            ("{1:>5} {0!r}", r#"["a","b"]"#, "b a"),
            ("{{{name}}} {é}", r#"{"name":"n"}"#, "{n} {é}"),
            ("%s {}", r#"["x"]"#, "x {}"),
            ("% é %", r#"["x"]"#, ""),
            ("{ {é", r#"["x"]"#, ""),
        ] {
            let sent = format!(r#"{{"message":"{template}","params":{params}}}"#);
            let expected = if formatted.is_empty() {
                format!(r#"{{"params":{params},"formatted":"{template}"}}"#)
            } else {
                format!(r#"{{"message":"{template}","params":{params},"formatted":"{formatted}"}}"#)
            };
            assert_eq!(one_field(&sent, field), expected);
        }
    }

    #[test]
    fn other_types_are_written_as_json() {
        assert_eq!(one_field("5", field), r#"{"formatted":"5"}"#);
        assert_eq!(
            one_field(r#"{"message":{"a":1}}"#, field),
            r#"{"formatted":"{\"a\":1}"}"#
        );
    }

    #[test]
    fn an_entry_without_a_text_is_dropped() {
        for sent in [
            "null",
            r#""""#,
            "{}",
            r#"{"params":[1]}"#,
            r#"{"message":null}"#,
        ] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
    }

    #[test]
    fn a_message_is_taken_unless_there_is_a_log_entry() {
        let (out, _) = event(r#"{"message":"a"}"#);
        assert_eq!(
            out.get("logentry").unwrap().to_json(),
            r#"{"formatted":"a"}"#
        );
        let (out, _) = event(r#"{"message":"a","sentry.interfaces.Message":{"message":"b"}}"#);
        assert_eq!(
            out.get("logentry").unwrap().to_json(),
            r#"{"formatted":"b"}"#
        );
        assert!(!out.contains("message"));
    }

    #[test]
    fn hostile_templates_take_bounded_time_and_space() {
        let many = "{0}".repeat(2700);
        let param = "x".repeat(8000);
        let sent = format!(r#"{{"message":"{many}","params":["{param}"]}}"#);
        let out = one_field(&sent, field);
        assert!(out.len() < 40_000, "{}", out.len());
        for text in ["{", "%", "%(", "{{", "}}", "%%%"] {
            let sent = format!(
                r#"{{"message":"{}","params":["x"]}}"#,
                text.repeat(300_000 / text.len())
            );
            one_field(&sent, field);
        }
    }
}
