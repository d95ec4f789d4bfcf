//! `picket man`: the manual page, made from the tables of commands and settings, in the language of man(7).
//!
//! Every text is escaped on its way in, so nothing in the tables can be a request to the formatter, and hyphens stay
//! what they are on a keyboard, so that a flag can be copied from the page.

use super::help::written;
use super::{COMMANDS, Failure, WORDS, Word};
use crate::config::{self, SETTINGS};

pub(super) const WORD: Word = Word {
    name: "man",
    summary: "print the manual page",
    about: "Prints the manual page, for a file such as /usr/local/share/man/man1/picket.1; \
            picket man | man -l - shows it.",
    arguments: &[],
    text,
};

fn text(words: &[&str]) -> Result<String, Failure> {
    match words {
        [] => Ok(page()),
        [first, ..] => Err(Failure::Usage(format!(
            "{first:?} is more than man takes (see picket help man)"
        ))),
    }
}

fn page() -> String {
    let mut page = Page::default();
    let version = concat!("picket ", env!("CARGO_PKG_VERSION"));
    page.request(&format!(
        r#"TH PICKET 1 "" "{}" "User commands""#,
        escaped(version)
    ));
    page.section("NAME");
    page.line("picket - a Sentry-compatible server: one binary, one SQLite file");
    page.section("SYNOPSIS");
    page.bold("picket COMMAND [OPTIONS]");
    page.section("DESCRIPTION");
    page.prose(
        "Picket takes in what Sentry's SDKs send, and serves Sentry's management API. All its data is in one SQLite \
         file; the commands that administer it work on that file, whether or not a server runs.\n\
         picket help COMMAND tells about one command, with the settings that it takes.",
    );
    page.section("COMMANDS");
    for command in COMMANDS {
        let arguments: String = command
            .arguments
            .iter()
            .map(|argument| format!(" {}", argument.name))
            .collect();
        page.subsection(&format!("picket {}{arguments}", command.name));
        page.prose(command.about);
        for argument in command.arguments {
            page.item(argument.name, argument.meaning);
        }
        for flag in command.options {
            page.item(&written(flag.name, flag.hint), flag.meaning);
        }
    }
    for word in WORDS {
        let arguments: String = word
            .arguments
            .iter()
            .map(|argument| format!(" {}", argument.name))
            .collect();
        page.subsection(&format!("picket {}{arguments}", word.name));
        page.prose(word.about);
        for argument in word.arguments {
            page.item(argument.name, argument.meaning);
        }
    }
    page.section("SETTINGS");
    page.prose(
        "Each is a flag, an environment variable, or a line in the settings file. A flag wins over the environment, \
         that over the settings file. Where \"serve\" stands behind the variable, only that command takes the flag; in the \
         environment and in the file it may always stand.",
    );
    for setting in SETTINGS {
        let mut meaning = setting.meaning.to_owned();
        if let Some(default) = setting.default {
            meaning.push_str(&format!(" (default: {default})"));
        }
        meaning.push_str(&format!("; {}", setting.variable()));
        if setting.only_serve {
            meaning.push_str(" (serve)");
        }
        page.item(&written(setting.name, setting.hint), &meaning);
    }
    page.item(
        &written(config::CONFIG, Some("FILE")),
        &format!(
            "{}; {}",
            config::CONFIG_MEANING,
            config::variable(config::CONFIG)
        ),
    );
    page.section("ENVIRONMENT");
    page.item("PICKET_*", "the settings, as said above");
    page.item(
        "RUST_LOG",
        "how much is logged, to standard error: error, warn, info, debug or trace",
    );
    page.item(
        "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS",
        "from systemd: picket serve tells when it serves and when it stops, and that it is alive as long as changes \
         can be written; a socket that is handed over takes the place of --listen",
    );
    page.section("SIGNALS");
    page.item(
        "SIGTERM, SIGINT",
        "picket serve accepts nobody any more, finishes what it has begun, and ends; a second one ends it at once",
    );
    page.section("EXIT STATUS");
    page.item("0", "done");
    page.item("1", "failed");
    page.item("2", "wrong usage, or a wrong setting");
    page.item(
        "70",
        "picket serve met a fault that only a fresh process gets over; a service manager is to start it again",
    );
    page.text
}

/// The page so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn request(&mut self, request: &str) {
        self.text.push('.');
        self.text.push_str(request);
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.request(&format!("SH {title}"));
    }

    fn subsection(&mut self, title: &str) {
        self.request(&format!("SS \"{}\"", escaped(title)));
    }

    fn bold(&mut self, text: &str) {
        self.request(&format!("B \"{}\"", escaped(text)));
    }

    /// A line of text; a request that it happens to look like is defused.
    fn line(&mut self, text: &str) {
        if text.starts_with(['.', '\'']) {
            self.text.push_str("\\&");
        }
        self.text.push_str(&escaped(text));
        self.text.push('\n');
    }

    /// A paragraph for each line of the text.
    fn prose(&mut self, text: &str) {
        for (number, paragraph) in text.lines().enumerate() {
            // Right after a heading a paragraph begins by itself.
            if number > 0 {
                self.request("PP");
            }
            self.line(paragraph);
        }
    }

    fn item(&mut self, head: &str, meaning: &str) {
        self.request("TP");
        self.bold(head);
        self.line(&meaning.replace('\n', " "));
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '"' => escaped.push_str("\\(dq"),
            '\'' => escaped.push_str("\\(aq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '`' => escaped.push_str("\\(ga"),
            // The formatter's input is ASCII wherever that matters.
            c if c.is_ascii() => escaped.push(c),
            c => escaped.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_be_a_request() {
        let mut page = Page::default();
        page.line(".TH --evil \\fB \"quoted\" é");
        page.line("'br");
        assert_eq!(
            page.text,
            "\\&.TH \\-\\-evil \\efB \\(dqquoted\\(dq \\[u00E9]\n\\&\\(aqbr\n"
        );
    }

    #[test]
    fn every_command_and_setting_is_in_the_page() {
        let page = page();
        for command in COMMANDS {
            assert!(
                page.contains(&format!(".SS \"picket {}", escaped(command.name))),
                "{}",
                command.name
            );
        }
        for setting in SETTINGS {
            let head = format!(
                ".TP\n.B \"{}\"\n",
                escaped(&written(setting.name, setting.hint))
            );
            assert!(page.contains(&head), "{}", setting.name);
            assert!(page.contains(&setting.variable()), "{}", setting.name);
        }
    }
}
