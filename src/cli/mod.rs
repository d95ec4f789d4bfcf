//! Commands, messages and exit codes.
//!
//! One table, [`COMMANDS`], drives dispatch and [`help`]. A command's own output goes to stdout; the log and
//! errors go to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage. A reader who closes the pipe has seen
//! enough: that is no failure.

mod apply;
mod arguments;
mod backup;
mod check;
mod completions;
mod confirm;
mod credentials;
mod doctor;
mod dsn;
mod export;
mod health;
mod help;
mod import;
mod key;
mod log_output;
mod lookup;
mod manual;
mod member;
mod org;
mod progress;
mod project;
mod restore;
mod serve;
mod sso;
mod supervisor;
mod table;
mod team;
mod token;
mod typed_password;
mod upgrade;
mod user;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::config::{self, Config, Sources};
use crate::domain::Error;
use crate::domain::time::Clock;
use crate::store::Store;
use crate::store::connection::OpenError;
use arguments::{Given, closest};

/// One command.
pub(crate) struct Command {
    /// One word, or two for a command about a noun.
    name: &'static str,
    /// One line for the list of commands.
    summary: &'static str,
    about: &'static str,
    /// What follows the name, all of it required but what is named in brackets, which stands last.
    arguments: &'static [Argument],
    options: &'static [Flag],
    /// Whether it takes the flags of the settings that concern only a server.
    serves: bool,
    run: fn(&Invocation) -> Result<(), Failure>,
}

pub(crate) struct Argument {
    name: &'static str,
    meaning: &'static str,
}

/// An option of one command, beside the settings.
pub(crate) struct Flag {
    name: &'static str,
    /// What stands for the value in the help; none for a switch.
    hint: Option<&'static str>,
    meaning: &'static str,
}

const JSON: Flag = Flag {
    name: "json",
    hint: None,
    meaning: "write JSON",
};

const COMMANDS: &[Command] = &[
    serve::COMMAND,
    health::COMMAND,
    apply::COMMAND,
    dsn::COMMAND,
    doctor::COMMAND,
    export::COMMAND,
    import::COMMAND,
    org::LIST,
    org::CREATE,
    org::SHOW,
    org::UPDATE,
    org::DELETE,
    member::LIST,
    member::ADD,
    member::INVITE,
    member::SET_ROLE,
    member::REMOVE,
    team::LIST,
    team::CREATE,
    team::UPDATE,
    team::DELETE,
    team::ADD_MEMBER,
    team::REMOVE_MEMBER,
    project::LIST,
    project::CREATE,
    project::SHOW,
    project::UPDATE,
    project::DELETE,
    project::TRANSFER,
    key::LIST,
    key::CREATE,
    key::SHOW,
    key::UPDATE,
    key::ROTATE,
    key::DELETE,
    sso::SET,
    sso::SHOW,
    sso::TEST,
    sso::REMOVE,
    token::CREATE,
    token::LIST,
    token::SHOW,
    token::ROTATE,
    token::REVOKE,
    token::REVOKE_ALL,
    user::CREATE,
    user::LIST,
    user::SHOW,
    user::SET_PASSWORD,
    user::RESET_PASSWORD,
    user::DEACTIVATE,
    user::ACTIVATE,
    user::SUPERUSER,
    user::SESSIONS,
    user::REVOKE_SESSIONS,
    user::DISABLE_2FA,
    backup::COMMAND,
    restore::COMMAND,
    check::COMMAND,
    upgrade::COMMAND,
];

/// A command that only prints what the tables say. It reads no settings, so that it works also when one of them is
/// wrong.
pub(crate) struct Word {
    name: &'static str,
    summary: &'static str,
    about: &'static str,
    arguments: &'static [Argument],
    text: fn(&[&str]) -> Result<String, Failure>,
}

const WORDS: &[Word] = &[help::WORD, completions::WORD, manual::WORD];

/// A command as it was called, with all settings read.
pub(crate) struct Invocation {
    config: Config,
    given: Given,
}

impl Invocation {
    /// The argument in this place; the parser made sure that it is there.
    fn argument(&self, at: usize) -> &str {
        self.given.arguments.get(at).map_or("", String::as_str)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.given.option(name)
    }

    /// Every value of an option that may be given again.
    fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.options(name)
    }

    fn json(&self) -> bool {
        self.option(JSON.name).is_some()
    }

    fn clock(&self) -> Clock {
        #[cfg(feature = "test-clock")]
        if let Some(file) = &self.config.test_clock {
            return Clock::file(file.clone());
        }
        Clock::system()
    }

    /// Opens the database beside a server that may be running. A command that asks for something in it does
    /// not make a new one.
    fn open_existing(&self) -> Result<Store, Failure> {
        let path = &self.config.data;
        if matches!(path.try_exists(), Ok(false)) {
            return Err(Failure::Failed(format!(
                "there is no database {}; picket serve makes one, and --data names another",
                path.display()
            )));
        }
        Ok(Store::open_beside(path)?)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or a setting is wrong.
    Usage(String),
    /// One sentence.
    Failed(String),
    /// Lines of their own, each with a file and a line in it, and a sentence.
    Faults(String, String),
    /// Nobody reads the output any more.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Runs the command that the arguments (without the program's name) call.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match dispatch(arguments.collect()) {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, the exit code has to do.
            let (text, code) = match failure {
                Failure::Usage(text) => (format!("picket: {text}\n"), 2),
                Failure::Failed(text) => (format!("picket: {text}\n"), 1),
                Failure::Faults(lines, text) => (format!("{lines}\npicket: {text}\n"), 1),
                Failure::ClosedPipe => (String::new(), 0),
            };
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(code)
        }
    }
}

fn dispatch(arguments: Vec<OsString>) -> Result<(), Failure> {
    let text = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let first = match text(0) {
        None if arguments.is_empty() => {
            return Err(Failure::Usage(format!(
                "a command is missing\n\n{}",
                help::overview().trim_end()
            )));
        }
        Some("-h" | "--help") => return print(&help::overview()),
        Some("-V" | "--version") => {
            return print(concat!("picket ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        first => first.unwrap_or_default(),
    };
    if let Some(word) = WORDS.iter().find(|word| word.name == first) {
        let rest: Vec<_> = arguments[1..].iter().map(|a| a.to_string_lossy()).collect();
        let rest: Vec<_> = rest.iter().map(AsRef::as_ref).collect();
        return match rest[..] {
            ["-h" | "--help"] => print(&help::of_word(word)),
            _ => print(&(word.text)(&rest)?),
        };
    }
    if first.starts_with('-') {
        return Err(Failure::Usage(format!(
            "{first} stands before the command; options follow it (see picket help)"
        )));
    }
    let second = text(1).unwrap_or_default();
    let two_words = format!("{first} {second}");
    let one_word = COMMANDS.iter().find(|command| command.name == first);
    let found = one_word.or_else(|| COMMANDS.iter().find(|command| command.name == two_words));
    let Some(command) = found else {
        if !help::group(first).is_empty() && matches!(second, "-h" | "--help") {
            return print(&help::of_group(first));
        }
        return Err(unknown(first, second));
    };
    let words = command.name.split(' ').count();
    let rest = arguments.into_iter().skip(words);
    let Some(given) = arguments::parse(command, rest)? else {
        return print(&help::of_command(command));
    };
    let environment = |name: &str| std::env::var_os(name);
    let config = config::load(&Sources {
        flags: &given.settings,
        environment: &environment,
    })
    .map_err(Failure::Usage)?;
    log_output::start(&config, command.name == serve::COMMAND.name);
    (command.run)(&Invocation { config, given })
}

/// Says that there is no such command, and which one may have been meant.
fn unknown(first: &str, second: &str) -> Failure {
    let group = help::group(first);
    let text = if group.is_empty() {
        let words = COMMANDS
            .iter()
            .map(|command| command.name.split(' ').next().unwrap_or_default())
            .chain(WORDS.iter().map(|word| word.name));
        match closest(first, words) {
            Some(close) => format!("there is no command {first:?}; did you mean {close}?"),
            None => format!("there is no command {first:?} (see picket help)"),
        }
    } else {
        let verbs: Vec<_> = group
            .iter()
            .filter_map(|command| command.name.split(' ').nth(1))
            .collect();
        if second.is_empty() || second.starts_with('-') {
            format!("{first} needs one of {}", verbs.join(", "))
        } else {
            match closest(second, verbs.iter().copied()) {
                Some(close) => {
                    format!(
                        "there is no command \"{first} {second}\"; did you mean {first} {close}?"
                    )
                }
                None => format!(
                    "there is no command \"{first} {second}\"; {first} has {}",
                    verbs.join(", ")
                ),
            }
        }
    };
    Failure::Usage(text)
}

/// Writes a command's output.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Failed(format!("cannot write the output: {error}")),
        })
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_is_given_twice() {
        let names: HashSet<_> = COMMANDS.iter().map(|command| command.name).collect();
        assert_eq!(names.len(), COMMANDS.len());
        for command in COMMANDS {
            let own = command.options.iter().map(|flag| flag.name);
            let taken = config::SETTINGS
                .iter()
                .filter(|setting| command.serves || !setting.only_serve);
            let settings = taken.map(|setting| setting.name);
            let all: Vec<_> = own
                .chain(settings)
                .chain([config::CONFIG, "help"])
                .collect();
            let distinct: HashSet<_> = all.iter().collect();
            assert_eq!(distinct.len(), all.len(), "{}", command.name);
        }
    }
}
