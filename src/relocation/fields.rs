//! The fields of one row of the file, read with their types; what is wrong is written down with model, number and
//! field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::value;
use crate::domain::time::Timestamp;

/// How many faults are told; of the others only how many there are.
const FAULTS_MAX: usize = 20;

/// What is wrong with a file.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<String>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, model: &str, pk: i64, field: &str, text: &str) {
        if self.found.len() == FAULTS_MAX {
            self.more += 1;
            return;
        }
        self.found.push(match field {
            "" => format!("{model} pk {pk}: {text}"),
            field => format!("{model} pk {pk}: {field}: {text}"),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One a line.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.found.push(format!("and {} more", self.more));
        }
        self.found
    }
}

/// Fields that nobody asked for, by model and name, with how often they came.
pub(super) type Unknown = BTreeMap<String, u64>;

/// A row's fields. Those that were asked for are gone from the map.
pub(super) struct Fields<'a> {
    pub(super) model: &'a str,
    pub(super) pk: i64,
    map: Map<String, Value>,
    pub(super) faults: &'a mut Faults,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        model: &'a str,
        pk: i64,
        map: Map<String, Value>,
        faults: &'a mut Faults,
    ) -> Fields<'a> {
        Fields {
            model,
            pk,
            map,
            faults,
        }
    }

    pub(super) fn fault(&mut self, field: &str, text: &str) {
        self.faults.add(self.model, self.pk, field, text);
    }

    /// None for null and for what is not there.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn missing(&mut self, name: &str) {
        self.fault(name, "this is missing");
    }

    /// A text of at most so many characters.
    pub(super) fn text(&mut self, name: &str, chars_max: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() > chars_max => {
                let why = format!("this has more than {chars_max} characters");
                self.fault(name, &why);
                None
            }
            Value::String(text) => Some(text),
            _ => {
                self.fault(name, "this must be a text");
                None
            }
        }
    }

    /// A text that must be there; it may be empty.
    pub(super) fn needed_text(&mut self, name: &str, chars_max: usize) -> String {
        if !self.has(name) {
            self.missing(name);
        }
        self.text(name, chars_max).unwrap_or_default()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    pub(super) fn number(&mut self, name: &str) -> Option<i64> {
        let found = self.take(name)?;
        let number = found.as_i64();
        if number.is_none() {
            self.fault(name, "this must be a whole number");
        }
        number
    }

    pub(super) fn switch(&mut self, name: &str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Value::Bool(on)) => on,
            Some(_) => {
                self.fault(name, "this must be true or false");
                default
            }
        }
    }

    pub(super) fn date(&mut self, name: &str) -> Option<Timestamp> {
        let found = self.take(name)?;
        let date = found.as_str().and_then(Timestamp::parse_iso);
        if date.is_none() {
            self.fault(
                name,
                "this must be a date, such as 2024-03-05T08:15:30.120Z",
            );
        }
        date.map(|date| date.max(Timestamp::from_us(0)).min(Timestamp::LAST))
    }

    pub(super) fn needed_date(&mut self, name: &str) -> Timestamp {
        if !self.has(name) {
            self.missing(name);
        }
        self.date(name).unwrap_or_default()
    }

    /// Flags: a number, as such or in a text.
    pub(super) fn bits(&mut self, name: &str, default: u64) -> u64 {
        let Some(found) = self.take(name) else {
            return default;
        };
        let bits = match &found {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        bits.unwrap_or_else(|| {
            self.fault(name, "this must be a number of flags, such as \"10\"");
            default
        })
    }

    /// The number of another row that must be named.
    pub(super) fn target(&mut self, name: &str) -> i64 {
        if !self.has(name) {
            self.missing(name);
        }
        self.number(name).unwrap_or_default()
    }

    pub(super) fn words(&mut self, name: &str) -> Vec<String> {
        let Some(found) = self.take(name) else {
            return Vec::new();
        };
        value::words(&found).unwrap_or_else(|| {
            self.fault(name, "this must be a list of texts");
            Vec::new()
        })
    }

    /// What may be JSON within the JSON; null if it is not there.
    pub(super) fn unpickled(&mut self, name: &str) -> Value {
        self.take(name).map_or(Value::Null, value::unpickled)
    }

    /// Takes fields that have no meaning here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Counts what is left.
    pub(super) fn finish(self, unknown: &mut Unknown) {
        for (name, _) in self.map {
            *unknown.entry(format!("{}.{name}", self.model)).or_default() += 1;
        }
    }
}
