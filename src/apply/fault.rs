//! What is wrong with an apply file, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// `organization.project.slug`; empty where the text is no TOML at all.
    pub(crate) field: String,
    pub(crate) text: String,
}

/// `FILE:LINE: field: text`, as compilers write it, so that editors jump there.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.text)
    }
}

/// The faults of one file, as they are found.
pub(super) struct Faults {
    file: String,
    found: Vec<Fault>,
}

impl Faults {
    pub(super) fn new(file: &str) -> Faults {
        Faults {
            file: file.to_owned(),
            found: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, line: usize, field: &str, text: impl Into<String>) {
        self.found.push(Fault {
            file: self.file.clone(),
            line,
            field: field.to_owned(),
            text: text.into(),
        });
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of the lines; within one line, in the order in which they were found.
    pub(super) fn into_sorted(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| fault.line);
        self.found
    }
}
