//! Safe fields: what the setting `excludeFields` keeps rules away from (facts/ingestion.md 9.1).
//!
//! Each is the name of a key, or a selector: steps between dots, from the event's root on. `*` is any one step,
//! `**` any number of them, `'…'` a key with other characters than letters, digits, `-` and `_`. `$user` and its
//! like stand for a place of the protocol, `$string` and its like for any value of that type. `&&`, `||`, `!` and
//! parentheses combine. A text that does not read as a selector is the name of a key alone.
//!
//! What is under a selected value is selected too.

use super::super::meta::Step;

/// A longer text is no selector.
const SELECTOR_BYTES_MAX: usize = 1000;
/// How deep selectors may be put into parentheses.
const DEPTH_MAX: usize = 16;

/// The type of a value, as selectors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Boolean,
    List,
    Map,
    Null,
}

/// What is safe.
#[derive(Debug, Default)]
pub(super) struct Safe {
    keys: Vec<String>,
    selectors: Vec<Selector>,
}

#[derive(Debug, PartialEq)]
enum Selector {
    Path(Vec<Part>),
    Not(Box<Selector>),
    All(Vec<Selector>),
    Any(Vec<Selector>),
}

/// What one step of a path must be.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// A key, or a position in a list.
    Key(String),
    Type(Type),
    /// `*`
    One,
    /// `**`
    Many,
}

impl Safe {
    /// None: nothing is safe.
    pub(super) fn compile(fields: &[String]) -> Option<Safe> {
        let mut safe = Safe::default();
        for field in fields.iter().map(|field| field.trim()) {
            if !field.is_empty() {
                // Keys of attributes have dots in them: a selector's text may be such a key.
                safe.keys.push(field.to_owned());
                safe.selectors.extend(Parser::parse(field));
            }
        }
        (!safe.keys.is_empty()).then_some(safe)
    }

    /// Whether the value at the end of these steps is to be left alone.
    pub(super) fn covers(&self, steps: &[Step<'_>], value: Type) -> bool {
        let named = |step: &Step<'_>| match step {
            Step::Key(key) => self.keys.iter().any(|safe| safe.eq_ignore_ascii_case(key)),
            Step::Index(_) => false,
        };
        steps.iter().any(named)
            || self
                .selectors
                .iter()
                .any(|selector| selector.selects(steps, value))
    }
}

impl Selector {
    fn selects(&self, steps: &[Step<'_>], value: Type) -> bool {
        match self {
            Selector::Path(parts) => matches(parts, steps, value),
            Selector::Not(selector) => !selector.selects(steps, value),
            Selector::All(selectors) => selectors.iter().all(|s| s.selects(steps, value)),
            Selector::Any(selectors) => selectors.iter().any(|s| s.selects(steps, value)),
        }
    }
}

/// Whether the parts match the steps to the value or to something that it is in. Goes back to the last `**` only,
/// so the time is bounded by the product of the lengths.
fn matches(parts: &[Part], steps: &[Step<'_>], value: Type) -> bool {
    let (mut part, mut step) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match parts.get(part) {
            None => return true,
            Some(Part::Many) => {
                part += 1;
                retry = Some((part, step));
                continue;
            }
            Some(wanted) if step < steps.len() && wanted.is(steps, step, value) => {
                part += 1;
                step += 1;
                continue;
            }
            Some(_) => {}
        }
        match retry {
            Some((after, from)) if from < steps.len() => {
                retry = Some((after, from + 1));
                (part, step) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

impl Part {
    fn is(&self, steps: &[Step<'_>], at: usize, value: Type) -> bool {
        match self {
            Part::One | Part::Many => true,
            Part::Key(key) => match steps[at] {
                Step::Key(name) => key.eq_ignore_ascii_case(name),
                Step::Index(index) => key.parse() == Ok(index),
            },
            Part::Type(wanted) => {
                let found = match steps.get(at + 1) {
                    None => value,
                    Some(Step::Key(_)) => Type::Map,
                    Some(Step::Index(_)) => Type::List,
                };
                found == *wanted
            }
        }
    }
}

/// Reads a selector from left to right.
struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    /// None: this is no selector.
    fn parse(text: &'t str) -> Option<Selector> {
        if text.len() > SELECTOR_BYTES_MAX {
            return None;
        }
        let mut parser = Parser {
            rest: text,
            depth: 0,
        };
        let selector = parser.any()?;
        parser.rest.trim().is_empty().then_some(selector)
    }

    fn any(&mut self) -> Option<Selector> {
        let mut selectors = vec![self.all()?];
        while self.takes("||") || self.takes("|") {
            selectors.push(self.all()?);
        }
        Some(one_or(selectors, Selector::Any))
    }

    fn all(&mut self) -> Option<Selector> {
        let mut selectors = vec![self.single()?];
        while self.takes("&&") || self.takes("&") {
            selectors.push(self.single()?);
        }
        Some(one_or(selectors, Selector::All))
    }

    fn single(&mut self) -> Option<Selector> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        self.rest = self.rest.trim_start();
        let selector = if self.takes("!") {
            Selector::Not(Box::new(self.single()?))
        } else if self.takes("(") {
            let selector = self.any()?;
            if !self.takes(")") {
                return None;
            }
            selector
        } else {
            self.path()?
        };
        self.depth -= 1;
        Some(selector)
    }

    fn path(&mut self) -> Option<Selector> {
        let mut parts = Vec::new();
        self.part(&mut parts)?;
        while self.rest.starts_with('.') {
            self.rest = &self.rest[1..];
            self.part(&mut parts)?;
        }
        Some(Selector::Path(parts))
    }

    fn part(&mut self, parts: &mut Vec<Part>) -> Option<()> {
        let first = parts.is_empty();
        if self.takes("**") {
            parts.push(Part::Many);
        } else if self.takes("*") {
            parts.push(Part::One);
        } else if self.takes("'") {
            parts.push(Part::Key(self.quoted()?));
        } else if self.takes("$") {
            parts.extend(of_type(self.word()?, first)?);
        } else {
            parts.push(Part::Key(self.word()?.to_owned()));
        }
        Some(())
    }

    /// The rest of a quoted key; a quote in it is written twice.
    fn quoted(&mut self) -> Option<String> {
        let mut key = String::new();
        loop {
            let (before, after) = self.rest.split_once('\'')?;
            key.push_str(before);
            self.rest = after;
            if !self.rest.starts_with('\'') {
                return Some(key);
            }
            key.push('\'');
            self.rest = &self.rest[1..];
        }
    }

    fn word(&mut self) -> Option<&'t str> {
        let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// Whether the text goes on with this, which is taken then.
    fn takes(&mut self, token: &str) -> bool {
        let trimmed = self.rest.trim_start();
        match trimmed.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn one_or(mut selectors: Vec<Selector>, many: fn(Vec<Selector>) -> Selector) -> Selector {
    match selectors.len() {
        1 => selectors.remove(0),
        _ => many(selectors),
    }
}

/// Where a type of the protocol stands, or what type a value must have.
fn of_type(name: &str, first: bool) -> Option<Vec<Part>> {
    let value = match name.to_ascii_lowercase().as_str() {
        "string" => Some(Type::Text),
        "number" => Some(Type::Number),
        "boolean" => Some(Type::Boolean),
        "array" => Some(Type::List),
        "object" => Some(Type::Map),
        _ => None,
    };
    if let Some(value) = value {
        let anywhere = first.then_some(Part::Many);
        return Some(anywhere.into_iter().chain([Part::Type(value)]).collect());
    }
    if !first {
        return None;
    }
    let place = match name.to_ascii_lowercase().as_str() {
        "event" | "transaction" => "",
        "user" => "user",
        "http" | "request" => "request",
        "error" | "exception" => "exception.values.*",
        "stacktrace" => "**.stacktrace",
        "frame" => "**.frames.*",
        "logentry" | "message" => "logentry",
        "thread" => "threads.values.*",
        "breadcrumb" => "breadcrumbs.values.*",
        "span" => "spans.*",
        "log" => "log",
        "trace_metric" => "trace_metric",
        "sdk" => "sdk",
        "contexts" => "contexts",
        _ => return None,
    };
    let part = |step: &str| match step {
        "*" => Part::One,
        "**" => Part::Many,
        key => Part::Key(key.to_owned()),
    };
    let steps = place.split('.').filter(|step| !step.is_empty());
    Some(steps.map(part).collect())
}
