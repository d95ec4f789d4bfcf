//! What `help` and `--help` print, made from the tables of commands and settings.

use super::{Argument, COMMANDS, Command, Failure, WORDS, Word};
use crate::config::{self, SETTINGS};

const WIDTH: usize = 100;

pub(super) const WORD: Word = Word {
    name: "help",
    summary: "tell what there is, or with a command all about that one",
    about: "Tells what commands there are; with the name of one, all about it; with its first word, about all \
            that begin with it.",
    arguments: &[],
    text: about,
};

/// Of the command or group that the words name, or of everything.
///
/// # Errors
/// There is no such command.
fn about(words: &[&str]) -> Result<String, Failure> {
    if words.is_empty() {
        return Ok(overview());
    }
    let name = words.join(" ");
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Ok(of_command(command));
    }
    if let Some(word) = WORDS.iter().find(|word| word.name == name) {
        return Ok(of_word(word));
    }
    if words.len() == 1 && !group(&name).is_empty() {
        return Ok(of_group(&name));
    }
    let second = words.get(1).copied().unwrap_or_default();
    Err(super::unknown(words[0], second))
}

pub(super) fn overview() -> String {
    let mut text =
        "Picket, a Sentry-compatible server.\n\nUsage: picket COMMAND [OPTIONS]\n\n".to_owned();
    text.push_str(&list(&COMMANDS.iter().collect::<Vec<_>>()));
    for word in WORDS {
        text.push_str(&entry_of(word.name, word.summary));
    }
    text.push_str("\npicket --version tells the version.\n");
    text
}

/// The commands of two words that start with this one.
pub(super) fn group(noun: &str) -> Vec<&'static Command> {
    COMMANDS
        .iter()
        .filter(|command| {
            command
                .name
                .split_once(' ')
                .is_some_and(|(first, _)| first == noun)
        })
        .collect()
}

pub(super) fn of_group(noun: &str) -> String {
    format!(
        "Usage: picket {noun} COMMAND [OPTIONS]\n\n{}",
        list(&group(noun))
    )
}

fn list(commands: &[&Command]) -> String {
    let mut text = "Commands:\n".to_owned();
    for command in commands {
        text.push_str(&entry_of(command.name, command.summary));
    }
    text
}

/// A line of a list of commands.
fn entry_of(name: &str, summary: &str) -> String {
    let widths = COMMANDS.iter().map(|command| command.name.len());
    let width = widths.max().unwrap_or(0) + 2;
    format!("  {name:<width$}{summary}\n")
}

pub(super) fn of_word(word: &Word) -> String {
    let mut text = format!("Usage: picket {}", word.name);
    for argument in word.arguments {
        text.push(' ');
        text.push_str(argument.name);
    }
    text.push_str(&format!("\n\n{}", wrapped(word.about, 0)));
    push_arguments(&mut text, word.arguments);
    text
}

pub(super) fn of_command(command: &Command) -> String {
    let mut usage = format!("Usage: picket {}", command.name);
    for argument in command.arguments {
        usage.push(' ');
        usage.push_str(argument.name);
    }
    let mut text = format!("{usage} [OPTIONS]\n\n{}", wrapped(command.about, 0));
    push_arguments(&mut text, command.arguments);
    if !command.options.is_empty() {
        text.push_str("\nOptions:\n");
        for flag in command.options {
            entry(&mut text, &written(flag.name, flag.hint), flag.meaning);
        }
    }
    text.push_str(
        "\nSettings, as a flag, an environment variable, or a line in the settings file:\n",
    );
    for setting in SETTINGS {
        if !command.serves && setting.only_serve {
            continue;
        }
        let default = match setting.default {
            Some(default) => format!(" (default: {default})"),
            None => String::new(),
        };
        let meaning = format!("{}{default}; {}", setting.meaning, setting.variable());
        entry(&mut text, &written(setting.name, setting.hint), &meaning);
    }
    entry(
        &mut text,
        &written(config::CONFIG, Some("FILE")),
        &format!(
            "{}; {}",
            config::CONFIG_MEANING,
            config::variable(config::CONFIG)
        ),
    );
    text.push_str("\nA flag wins over the environment, that over the settings file.\n");
    text
}

fn push_arguments(text: &mut String, arguments: &[Argument]) {
    if arguments.is_empty() {
        return;
    }
    text.push_str("\nArguments:\n");
    for argument in arguments {
        entry(text, argument.name, argument.meaning);
    }
}

pub(super) fn written(name: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("--{name} {hint}"),
        None => format!("--{name}"),
    }
}

fn entry(text: &mut String, head: &str, meaning: &str) {
    text.push_str(&format!("  {head}\n"));
    text.push_str(&wrapped(meaning, 8));
}

/// Lines of at most [`WIDTH`] characters, each after `indent` spaces.
fn wrapped(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut lines = String::new();
    for paragraph in text.split('\n') {
        let mut line = margin.clone();
        for word in paragraph.split_whitespace() {
            if line.len() > indent && line.len() + 1 + word.len() > WIDTH {
                lines.push_str(&line);
                lines.push('\n');
                line.truncate(indent);
            }
            if line.len() > indent {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}
