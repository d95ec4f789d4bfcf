//! What was done to an event's fields and why: the event's `_meta` (facts/ingestion.md 5.1 and 9.2).
//!
//! Shape: a tree like the event's own, with list positions as keys; the annotations of a value stand under the
//! key `""`: `err` (pairs of kind and data), `rem` (rule id, what was done, byte range), `len` (the original
//! length), `val` (the original of a value that was nulled).

use std::borrow::Cow;

use super::json::{Map, Node};

/// An event that is nothing but faults must not grow without end: further annotations are dropped.
const ANNOTATIONS_MAX: usize = 500;
/// Nor must it become nested deeper than JSON parsers read.
const STEPS_MAX: usize = 100;
/// An original value longer than this (as JSON) is not kept.
const ORIGINAL_BYTES_MAX: usize = 500;

/// One step on the way to a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// The way from an event's root to one of its values, kept on the stack of whoever walks the event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Option<Step<'p>>,
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Path<'static> = Path {
        parent: None,
        step: None,
    };

    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path {
            parent: Some(self),
            step: Some(Step::Key(key)),
        }
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path {
            parent: Some(self),
            step: Some(Step::Index(index)),
        }
    }

    /// The steps from the root on.
    pub(super) fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(path) = at {
            steps.extend(path.step);
            at = path.parent;
        }
        steps.reverse();
        steps
    }
}

/// What a rule did to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// Replaced by a text.
    Substituted,
    /// Taken away.
    Removed,
}

impl Remark {
    fn code(self) -> &'static str {
        match self {
            Remark::Substituted => "s",
            Remark::Removed => "x",
        }
    }
}

/// The annotations of one event.
#[derive(Debug, Default)]
pub(super) struct Meta {
    tree: Map<'static>,
    count: usize,
}

impl Meta {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The annotations so far, in the event's `_meta` shape.
    pub(super) fn tree_mut(&mut self) -> &mut Map<'static> {
        &mut self.tree
    }

    /// Says that a value was faulty. `kind` is the protocol's, such as `invalid_data`; `original` is the value
    /// that was nulled for it, if it was.
    pub(super) fn error(
        &mut self,
        path: &Path<'_>,
        kind: &'static str,
        reason: Option<&str>,
        original: Option<&Node<'_>>,
    ) {
        let error = match reason {
            Some(reason) => {
                let mut data = Map::new();
                data.insert("reason", Node::text(reason.to_owned()));
                Node::List(vec![Node::text(kind), data.into()])
            }
            None => Node::text(kind),
        };
        let Some(annotations) = self.annotations(path) else {
            return;
        };
        push(annotations.entry("err"), error);
        if let Some(original) = original
            && original.to_json().len() <= ORIGINAL_BYTES_MAX
        {
            *annotations.entry("val") = original.to_owned();
        }
    }

    /// Says that a rule changed a value: where in the new text, in bytes, and how long the old one was, in
    /// characters. None for a value that is no text, or no longer there.
    pub(super) fn remark(
        &mut self,
        path: &Path<'_>,
        rule: &str,
        remark: Remark,
        range: Option<(usize, usize)>,
        old_len: Option<usize>,
    ) {
        let mut entry = vec![Node::text(rule.to_owned()), Node::text(remark.code())];
        if let Some((from, to)) = range {
            entry.push(Node::Number(from.into()));
            entry.push(Node::Number(to.into()));
        }
        let Some(annotations) = self.annotations(path) else {
            return;
        };
        push(annotations.entry("rem"), Node::List(entry));
        if let Some(len) = old_len {
            let slot = annotations.entry("len");
            // The first change saw the original.
            if slot.is_null() {
                *slot = Node::Number(len.into());
            }
        }
    }

    /// Adds the annotations to an event, over those that its SDK made.
    pub(super) fn write_to(self, event: &mut Map<'_>) {
        if self.is_empty() {
            return;
        }
        let slot = event.entry("_meta");
        match slot {
            Node::Map(own) => merge(own, self.tree),
            _ => *slot = Node::Map(self.tree),
        }
    }

    fn annotations(&mut self, path: &Path<'_>) -> Option<&mut Map<'static>> {
        let steps = path.steps();
        if self.count >= ANNOTATIONS_MAX || steps.len() > STEPS_MAX {
            return None;
        }
        self.count += 1;
        let mut map = &mut self.tree;
        for step in steps {
            let key: Cow<'static, str> = match step {
                Step::Key(key) => Cow::Owned(key.to_owned()),
                Step::Index(index) => Cow::Owned(index.to_string()),
            };
            map = child(map, key)?;
        }
        child(map, Cow::Borrowed(""))
    }
}

fn child<'m>(map: &'m mut Map<'static>, key: Cow<'static, str>) -> Option<&'m mut Map<'static>> {
    if !map.contains(&key) {
        map.insert(key.clone(), Node::Map(Map::new()));
    }
    map.map_mut(&key)
}

fn push(list: &mut Node<'static>, value: Node<'static>) {
    match list {
        Node::List(list) => list.push(value),
        other => *other = Node::List(vec![value]),
    }
}

fn merge<'a>(own: &mut Map<'a>, ours: Map<'static>) {
    let mut ours = ours;
    for (key, value) in ours.take_entries() {
        match (own.get_mut(&key), value) {
            (Some(Node::Map(theirs)), Node::Map(value)) => merge(theirs, value),
            (Some(Node::List(theirs)), Node::List(value)) => theirs.extend(value),
            (_, value) => own.insert(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_stand_where_the_value_stands() {
        let mut meta = Meta::default();
        let root = Path::ROOT;
        let user = root.key("user");
        let list = root.key("list");
        meta.error(
            &user.key("id"),
            "invalid_data",
            Some("expected a text"),
            Some(&Node::Bool(true)),
        );
        meta.remark(
            &list.index(3),
            "@password:filter",
            Remark::Substituted,
            Some((0, 10)),
            Some(5),
        );
        let mut event = Map::parse(br#"{"_meta":{"list":{"":{"len":2}}}}"#).unwrap();
        meta.write_to(&mut event);
        assert_eq!(
            String::from_utf8(event.to_vec()).unwrap(),
            concat!(
                r#"{"_meta":{"list":{"":{"len":2},"3":{"":{"rem":[["@password:filter","s",0,10]],"len":5}}},"#,
                r#""user":{"id":{"":{"err":[["invalid_data",{"reason":"expected a text"}]],"val":true}}}}}"#
            )
        );
    }

    #[test]
    fn annotations_are_bounded() {
        let mut meta = Meta::default();
        let root = Path::ROOT;
        let list = root.key("list");
        for index in 0..100_000 {
            meta.error(&list.index(index), "invalid_data", None, None);
        }
        let mut event = Map::new();
        meta.write_to(&mut event);
        assert_eq!(
            event.map("_meta").unwrap().map("list").unwrap().len(),
            ANNOTATIONS_MAX
        );
    }
}
