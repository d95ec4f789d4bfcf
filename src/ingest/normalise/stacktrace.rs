//! Stack traces and their frames, the caller first and the crash last (facts/ingestion.md 5.6).

use std::borrow::Cow;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{trim, value};

const FRAMES_MAX: usize = 250;
/// So many frames have their variables and source lines.
const FULL_FRAMES_MAX: usize = 50;
const VARS_BYTES_MAX: usize = 8192;
const NUMBERS_BELOW: u64 = 1 << 53;

/// Brings a stack trace into an object with `frames`; one that says nothing becomes null.
pub(super) fn field(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if matches!(node, Node::List(_)) {
        let mut trace = Map::new();
        *trace.entry("frames") = node.take();
        *node = Node::Map(trace);
    }
    let Some(trace) = value::object(node, path, meta) else {
        return;
    };
    if let Some(list) = trace.get_mut("frames") {
        frames(list, &path.key("frames"), meta);
    }
    value::drop_nulls(trace);
    if trace.is_empty() {
        node.take();
    }
}

fn frames(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if matches!(node, Node::Map(_)) {
        *node = Node::List(vec![node.take()]);
    }
    let Some(list) = value::list(node, path, meta) else {
        return;
    };
    value::keep_objects(list, path, meta);
    trim::keep_last(list, FRAMES_MAX, path, meta);
    slim(list);
    for (index, node) in list.iter_mut().enumerate() {
        if let Node::Map(map) = node {
            frame(map, &path.index(index), meta);
        }
    }
    if list.is_empty() {
        node.take();
    }
}

/// Of many frames the middle ones lose their variables and source lines, those of the system before the
/// program's own.
fn slim(frames: &mut [Node<'_>]) {
    let count = frames.len();
    if count <= FULL_FRAMES_MAX {
        return;
    }
    let is_own = |frame: &Node<'_>| {
        let frame = frame.as_map();
        frame.and_then(|frame| frame.get("in_app")) == Some(&Node::Bool(true))
    };
    let own_count = frames.iter().filter(|frame| is_own(frame)).count();
    let own_full = own_count.min(FULL_FRAMES_MAX);
    let mut own = Middle::new(own_count, own_full);
    let mut system = Middle::new(count - own_count, FULL_FRAMES_MAX - own_full);
    for frame in frames {
        let group = if is_own(frame) { &mut own } else { &mut system };
        if group.has_next()
            && let Node::Map(frame) = frame
        {
            frame.retain(|key, _| !matches!(key, "vars" | "pre_context" | "post_context"));
        }
    }
}

/// Tells of the frames of a group, one after the other, whether they are in its middle.
struct Middle {
    at: usize,
    from: usize,
    to: usize,
}

impl Middle {
    /// A group of `count`, of which `full` stay as they are: half at the start, the rest at the end.
    fn new(count: usize, full: usize) -> Middle {
        let from = full / 2;
        Middle {
            at: 0,
            from,
            to: count - full + from,
        }
    }

    fn has_next(&mut self) -> bool {
        let is_in = (self.from..self.to).contains(&self.at);
        self.at += 1;
        is_in
    }
}

fn frame(frame: &mut Map<'_>, path: &Path<'_>, meta: &mut Meta) {
    let mut has_file = false;
    for (key, node) in frame.iter_mut() {
        let path = path.key(key);
        match key {
            "filename" | "abs_path" => {
                has_file = true;
                value::text(node, value::UNLIMITED, &path, meta);
            }
            "function" | "raw_function" | "module" | "package" | "platform" => {
                value::text(node, value::UNLIMITED, &path, meta);
            }
            // A blank line is a line.
            "context_line" if node.as_str() == Some("") => {}
            "context_line" => value::text(node, value::UNLIMITED, &path, meta),
            "lineno" | "colno" => value::count(node, NUMBERS_BELOW, &path, meta),
            "in_app" | "stack_start" => value::boolean(node, &path, meta),
            "pre_context" | "post_context" => lines(node, &path, meta),
            "vars" => vars(node, &path, meta),
            "data" => value::bounded_object(node, VARS_BYTES_MAX, &path, meta),
            _ => {}
        }
    }
    value::drop_nulls(frame);
    if has_file {
        name_file(frame);
    }
}

/// Fills in the one of `abs_path` and `filename` that is missing; the path of a url is its file name.
fn name_file(frame: &mut Map<'_>) {
    let (from, to) = match (frame.str("abs_path"), frame.str("filename")) {
        (None, Some(_)) => ("filename", "abs_path"),
        (Some(_), None) => ("abs_path", "filename"),
        _ => return,
    };
    let Some(file) = frame.get(from).cloned() else {
        return;
    };
    *frame.entry(to) = file;
    if let Some(Node::Text(name)) = frame.get_mut("filename")
        && let Some(path) = url_path(name)
    {
        *name = path;
    }
}

/// The path of a url; none for a plain file name.
fn url_path<'a>(name: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    const SCHEMES: [&str; 4] = ["http://", "https://", "file://", "applewebdata://"];
    let scheme = SCHEMES.iter().find(|scheme| name.starts_with(**scheme))?;
    let start = name[scheme.len()..]
        .find(['/', '?', '#'])
        .map_or(name.len(), |at| scheme.len() + at);
    let end = name[start..]
        .find(['?', '#'])
        .map_or(name.len(), |at| start + at);
    Some(match name {
        _ if start == end => Cow::Borrowed("/"),
        Cow::Borrowed(name) => Cow::Borrowed(&name[start..end]),
        Cow::Owned(name) => Cow::Owned(name[start..end].to_owned()),
    })
}

/// Source lines. One that is no text is blank, so that the others stay where they are.
fn lines(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    let Some(list) = value::list(node, path, meta) else {
        return;
    };
    for line in list.iter_mut() {
        if !matches!(line, Node::Text(_)) {
            *line = Node::text("");
        }
    }
}

/// Variables by name; of a list, by position.
fn vars(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    if let Node::List(list) = node {
        // Every variable takes some bytes: what is after these would not fit.
        list.truncate(VARS_BYTES_MAX);
        let named = list.drain(..).enumerate();
        *node = Node::Map(
            named
                .map(|(at, value)| (Cow::Owned(at.to_string()), value))
                .collect(),
        );
    }
    value::bounded_object(node, VARS_BYTES_MAX, path, meta);
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_field;
    use super::*;

    fn one_frame(sent: &str) -> String {
        let out = one_field(&format!(r#"{{"frames":[{sent}]}}"#), field);
        out.replace(r#"{"frames":["#, "").replace("]}", "")
    }

    #[test]
    fn file_names_are_filled_in() {
        for (sent, expected) in [
            (
                r#"{"filename":"https://a.example/x/y.js?v=1#z"}"#,
                r#"{"filename":"/x/y.js","abs_path":"https://a.example/x/y.js?v=1#z"}"#,
            ),
            (
                r#"{"abs_path":"http://a.example?x"}"#,
                r#"{"abs_path":"http://a.example?x","filename":"/"}"#,
            ),
            (
                r#"{"filename":"app.py"}"#,
                r#"{"filename":"app.py","abs_path":"app.py"}"#,
            ),
            (
                r#"{"filename":"https://a/b.js","abs_path":"c"}"#,
                r#"{"filename":"https://a/b.js","abs_path":"c"}"#,
            ),
        ] {
            assert_eq!(one_frame(sent), expected);
            assert_eq!(one_frame(expected), expected);
        }
    }

    #[test]
    fn a_frame_keeps_what_it_can() {
        assert_eq!(
            one_frame(
                r#"{"lineno":"5","colno":-1,"in_app":"x","function":null,"context_line":"","vars":["a",1],"odd":2,"pre_context":["x",null]}"#
            ),
            r#"{"lineno":5,"context_line":"","vars":{"0":"a","1":1},"odd":2,"pre_context":["x",""]}"#
                .replace("]}", "")
        );
    }

    #[test]
    fn a_trace_that_says_nothing_is_null() {
        for sent in [
            "null",
            "{}",
            "[]",
            "5",
            r#"{"frames":null}"#,
            r#"{"frames":[]}"#,
            r#"{"frames":[1,null]}"#,
        ] {
            assert_eq!(one_field(sent, field), "null", "{sent}");
        }
        assert_eq!(
            one_field(r#"{"frames":[],"registers":{"pc":"0x1"}}"#, field),
            r#"{"registers":{"pc":"0x1"}}"#
        );
    }

    #[test]
    fn of_many_frames_the_last_stay_and_few_are_full() {
        let frames: Vec<String> = (0..300)
            .map(|n| {
                format!(
                    r#"{{"lineno":{n},"in_app":{},"vars":{{"a":1}}}}"#,
                    n % 10 == 0
                )
            })
            .collect();
        let out = one_field(&format!("[{}]", frames.join(",")), field);
        let tree: serde_json::Value = serde_json::from_str(&out).unwrap();
        let frames = tree["frames"].as_array().unwrap();
        assert_eq!(frames.len(), 250);
        assert_eq!(frames[0]["lineno"], 50);
        let full: Vec<u64> = (0..250)
            .filter(|at| frames[*at].get("vars").is_some())
            .map(|at| frames[at]["lineno"].as_u64().unwrap())
            .collect();
        assert_eq!(full.len(), 50);
        assert_eq!(full.iter().filter(|line| **line % 10 == 0).count(), 25);
        assert!(full.contains(&51) && full.contains(&299) && !full.contains(&151));
        assert_eq!(one_field(&out, field), out);
    }

    #[test]
    fn a_million_variables_are_cut() {
        let vars = vec!["1"; 500_000].join(",");
        let out = one_frame(&format!(r#"{{"vars":[{vars}]}}"#));
        assert!(out.len() < VARS_BYTES_MAX, "{}", out.len());
    }
}
