//! Reads a command's arguments against what the tables say it takes.

use std::ffi::OsString;

use lexopt::{Arg, ValueExt};

use super::{Command, Failure};
use crate::config::{self, SETTINGS};

/// What was given, each name with its value; a switch has the value `true`.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) arguments: Vec<String>,
    pub(super) settings: Vec<(&'static str, String)>,
    options: Vec<(&'static str, String)>,
}

impl Given {
    /// The last value of an option, so that an alias can be overridden.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rfind(|(given, _)| *given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of an option, in their order.
    pub(super) fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.options.iter();
        given
            .filter(move |(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }
}

/// One flag that a command takes, of whichever table.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) hint: Option<&'static str>,
    is_setting: bool,
}

/// Every flag that a command takes, its own first.
pub(super) fn known(command: &Command) -> Vec<Known> {
    let own = command.options.iter().map(|flag| Known {
        name: flag.name,
        hint: flag.hint,
        is_setting: false,
    });
    let config = Known {
        name: config::CONFIG,
        hint: Some("FILE"),
        is_setting: true,
    };
    let settings = SETTINGS
        .iter()
        .filter(|setting| command.serves || !setting.only_serve)
        .map(|setting| Known {
            name: setting.name,
            hint: setting.hint,
            is_setting: true,
        });
    own.chain(settings).chain([config]).collect()
}

/// Reads what follows a command's name; none if it asks for help.
///
/// # Errors
/// What the command does not take, or lacks.
pub(super) fn parse(
    command: &Command,
    rest: impl Iterator<Item = OsString>,
) -> Result<Option<Given>, Failure> {
    let known = known(command);
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(rest);
    let usage = |error: lexopt::Error| Failure::Usage(error.to_string());
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long(name) => {
                let Some(flag) = known.iter().find(|flag| flag.name == name) else {
                    return Err(unknown_option(command, &known, &format!("--{name}")));
                };
                let value = match flag.hint {
                    Some(_) => parser.value().and_then(ValueExt::string).map_err(usage)?,
                    None => "true".to_owned(),
                };
                let list = if flag.is_setting {
                    &mut given.settings
                } else {
                    &mut given.options
                };
                list.push((flag.name, value));
            }
            Arg::Short(letter) => {
                return Err(unknown_option(command, &known, &format!("-{letter}")));
            }
            Arg::Value(value) => {
                let value = value.string().map_err(usage)?;
                if given.arguments.len() == command.arguments.len() {
                    let text = format!("{value:?} is more than {} takes", command.name);
                    return Err(Failure::Usage(see_help(command, &text)));
                }
                given.arguments.push(value);
            }
        }
    }
    let missing = command.arguments.get(given.arguments.len());
    if let Some(missing) = missing.filter(|missing| !missing.name.starts_with('[')) {
        let text = format!("{} needs {}", command.name, missing.name);
        return Err(Failure::Usage(see_help(command, &text)));
    }
    Ok(Some(given))
}

fn unknown_option(command: &Command, known: &[Known], written: &str) -> Failure {
    let name = written.trim_start_matches('-');
    let text = format!("{} has no option {written}", command.name);
    Failure::Usage(match closest(name, known.iter().map(|flag| flag.name)) {
        Some(close) => format!("{text}; did you mean --{close}?"),
        None => see_help(command, &text),
    })
}

fn see_help(command: &Command, text: &str) -> String {
    format!("{text} (see picket help {})", command.name)
}

/// The word that was probably meant: at most a third of its letters away, two at most.
pub(super) fn closest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|known| (distance(word, known), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).clamp(1, 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters must be changed, added, removed, or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut least = (rows[i - 1][j - 1] + changed)
                .min(rows[i - 1][j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let words = ["serve", "apply", "dsn", "token"];
        let meant = |word| closest(word, words.into_iter());
        assert_eq!(meant("serv"), Some("serve"));
        assert_eq!(meant("sevre"), Some("serve"));
        assert_eq!(meant("tokens"), Some("token"));
        assert_eq!(meant("dns"), Some("dsn"));
        assert_eq!(meant("migrate"), None);
        assert_eq!(meant("ab"), None);
    }
}
