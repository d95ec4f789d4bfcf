//! What a run of apply changed.

use serde_json::{Value, json};

use crate::domain::token::TokenText;

/// Everything that a run created or updated, in the order of the file. Empty when all was so before.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) changes: Vec<Change>,
}

/// One thing that was created or updated.
pub(crate) struct Change {
    /// Where the file asks for it.
    pub(super) line: usize,
    pub(crate) verb: Verb,
    /// `project`, `key` and so on.
    pub(crate) noun: &'static str,
    /// Which one: `acme/web`.
    pub(crate) name: String,
    /// What came into being with it, and is not in the file.
    pub(crate) made: Option<Made>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Created,
    Updated,
}

pub(crate) enum Made {
    /// For the applications that report here; no secret.
    Dsn(String),
    /// Secret, and never to be seen again.
    Token(TokenText),
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Verb::Created => "created",
            Verb::Updated => "updated",
        }
    }
}

impl Report {
    /// The new tokens with the names of what they belong to.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&str, &TokenText)> {
        self.changes.iter().filter_map(|change| match &change.made {
            Some(Made::Token(text)) => Some((change.name.as_str(), text)),
            Some(Made::Dsn(_)) | None => None,
        })
    }

    /// For people, each line ended. Tokens are left out unless `with_secrets`.
    pub(crate) fn to_text(&self, with_secrets: bool) -> String {
        if self.changes.is_empty() {
            return "nothing to do\n".to_owned();
        }
        let mut text = String::new();
        for change in &self.changes {
            let line = format!("{} {} {}\n", change.verb.as_str(), change.noun, change.name);
            text.push_str(&line);
            match &change.made {
                Some(Made::Dsn(dsn)) => text.push_str(&format!("  {dsn}\n")),
                Some(Made::Token(token)) if with_secrets => {
                    text.push_str(&format!("  {}\n", token.reveal()));
                }
                Some(Made::Token(_)) | None => {}
            }
        }
        text
    }

    /// For programs: `{"changes": [{"action", "kind", "name", "dsn" or "token"}]}`. Tokens are null unless
    /// `with_secrets`.
    pub(crate) fn to_json(&self, with_secrets: bool) -> Value {
        let change = |change: &Change| {
            let mut entry = json!({
                "action": change.verb.as_str(),
                "kind": change.noun,
                "name": change.name,
            });
            match &change.made {
                Some(Made::Dsn(dsn)) => entry["dsn"] = json!(dsn),
                Some(Made::Token(token)) => {
                    entry["token"] = json!(with_secrets.then(|| token.reveal()));
                }
                None => {}
            }
            entry
        };
        json!({ "changes": self.changes.iter().map(change).collect::<Vec<_>>() })
    }
}
