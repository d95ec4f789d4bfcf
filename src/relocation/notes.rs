//! What somebody is told before anything is written: sentences, each with the names of what it is about.

use std::fmt::Write;

use serde_json::{Value, json};

/// How many names of one sentence are kept; of the others only how many there are.
const NAMES_MAX: usize = 1000;

/// Sentences in the order in which they first came up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    sentence: String,
    names: Vec<String>,
    count: usize,
}

impl Notes {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A sentence that is about nothing in particular; saying it again changes nothing.
    pub(crate) fn say(&mut self, sentence: impl Into<String>) {
        self.group(sentence.into());
    }

    /// Adds a name to a sentence.
    pub(crate) fn add(&mut self, sentence: &str, name: impl Into<String>) {
        let group = self.group(sentence.to_owned());
        group.count += 1;
        if group.names.len() < NAMES_MAX {
            group.names.push(name.into());
        }
    }

    fn group(&mut self, sentence: String) -> &mut Group {
        let at = self.groups.iter().position(|g| g.sentence == sentence);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                sentence,
                names: Vec::new(),
                count: 0,
            });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// For people: each sentence on a line, its names below it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for group in &self.groups {
            if group.count == 0 {
                let _ = writeln!(text, "- {}", group.sentence);
                continue;
            }
            let _ = writeln!(text, "- {} ({}):", group.sentence, group.count);
            for name in &group.names {
                let _ = writeln!(text, "    {}", name.escape_debug());
            }
            let left = group.count - group.names.len();
            if left > 0 {
                let _ = writeln!(text, "    and {left} more");
            }
        }
        text
    }

    /// For programs: `[{"text", "count", "names"}]`.
    pub(crate) fn to_json(&self) -> Value {
        let group = |group: &Group| {
            json!({
                "text": group.sentence,
                "count": group.count,
                "names": group.names,
            })
        };
        self.groups.iter().map(group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_under_their_sentence_and_no_list_is_endless() {
        let mut notes = Notes::default();
        notes.add("keys are lost", "one\u{1b}[2J");
        notes.say("events stay here");
        notes.add("keys are lost", "two");
        assert_eq!(
            notes.to_text(),
            "- keys are lost (2):\n    one\\u{1b}[2J\n    two\n- events stay here\n"
        );
        for _ in 0..1500 {
            notes.add("keys are lost", "more");
        }
        assert!(notes.to_text().contains("    and 502 more\n"));
    }
}
