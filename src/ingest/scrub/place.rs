//! Where a value is: for safe fields by its name, for `_meta` by its position.
//!
//! The two differ. A header is the second of two in a list, and is named for the first; a field inside a JSON
//! text has a name, but nothing annotates it except the text.

use super::super::meta::{Path, Step};

/// One value on the way through an item, kept on the stack of the walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Option<Step<'p>>,
    pub(super) path: Path<'p>,
    /// In a text that was taken apart: the length of that text, in characters.
    pub(super) inside: Option<usize>,
}

impl<'p> Place<'p> {
    pub(super) const ROOT: Place<'static> = Place {
        parent: None,
        step: None,
        path: Path::ROOT,
        inside: None,
    };

    pub(super) fn key(&'p self, key: &'p str) -> Place<'p> {
        let path = match self.inside {
            Some(_) => self.path,
            None => self.path.key(key),
        };
        self.child(Step::Key(key), path)
    }

    pub(super) fn index(&'p self, index: usize) -> Place<'p> {
        let path = match self.inside {
            Some(_) => self.path,
            None => self.path.index(index),
        };
        self.child(Step::Index(index), path)
    }

    /// A value with a name that annotations know by another way.
    pub(super) fn named(&'p self, name: &'p str, path: Path<'p>) -> Place<'p> {
        let path = match self.inside {
            Some(_) => self.path,
            None => path,
        };
        self.child(Step::Key(name), path)
    }

    /// A step that safe fields see and annotations do not.
    pub(super) fn unannotated(&'p self, step: Step<'p>) -> Place<'p> {
        self.child(step, self.path)
    }

    /// The same place, as one whose value is taken apart.
    pub(super) fn taken_apart(&self, text: &str) -> Place<'p> {
        Place {
            inside: self.inside.or_else(|| Some(text.chars().count())),
            ..*self
        }
    }

    /// The names from the root on.
    pub(super) fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(place) = at {
            steps.extend(place.step);
            at = place.parent;
        }
        steps.reverse();
        steps
    }

    fn child(&'p self, step: Step<'p>, path: Path<'p>) -> Place<'p> {
        Place {
            parent: Some(self),
            step: Some(step),
            path,
            inside: self.inside,
        }
    }
}
