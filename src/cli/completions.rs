//! `picket completions`: what a shell offers while a command line is typed, made from the tables of commands and
//! settings.
//!
//! The scripts are whole by themselves: they call nothing of picket's and nothing of a shell's own library of
//! completions. Names in the tables are words of letters, digits and hyphens, which a test holds them to, so that only
//! meanings need quoting.

use super::arguments::known;
use super::{Argument, COMMANDS, Command, Failure, Flag, WORDS, Word, help};
use crate::config::{self, SETTINGS};

pub(super) const WORD: Word = Word {
    name: "completions",
    summary: "print what a shell needs to complete command lines",
    about: "Prints a script for a shell. It is for a file such as\n\
            /usr/share/bash-completion/completions/picket for bash,\n\
            /usr/share/zsh/vendor-completions/_picket for zsh,\n\
            /usr/share/fish/vendor_completions.d/picket.fish for fish;\n\
            source <(picket completions bash) tries it out.",
    arguments: &[Argument {
        name: "bash|zsh|fish",
        meaning: "the shell",
    }],
    text,
};

fn text(words: &[&str]) -> Result<String, Failure> {
    match words {
        ["bash"] => Ok(bash()),
        ["zsh"] => Ok(zsh()),
        ["fish"] => Ok(fish()),
        _ => Err(Failure::Usage(
            "completions needs one of bash, zsh and fish (see picket help completions)".to_owned(),
        )),
    }
}

/// What can stand in a place of the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    File,
    /// One of the words that a bar separates.
    OneOf(&'static str),
    /// Nothing that a shell could know.
    Unknown,
}

impl Value {
    /// What stands for the value in the help tells which ones there are.
    fn of(hint: &'static str) -> Value {
        if hint == "FILE" {
            Value::File
        } else if hint.contains('|') {
            Value::OneOf(hint)
        } else {
            Value::Unknown
        }
    }
}

/// One thing that can be called: a command, or a word that reads no settings.
struct Call {
    name: &'static str,
    summary: &'static str,
    arguments: &'static [Argument],
    options: Vec<Choice>,
}

struct Choice {
    name: &'static str,
    meaning: &'static str,
    /// None for a switch.
    value: Option<Value>,
}

fn calls() -> Vec<Call> {
    let of_command = |command: &Command| Call {
        name: command.name,
        summary: command.summary,
        arguments: command.arguments,
        options: known(command)
            .into_iter()
            .map(|flag| Choice {
                name: flag.name,
                meaning: meaning(command.options, flag.name),
                value: flag.hint.map(Value::of),
            })
            .collect(),
    };
    let of_word = |word: &Word| Call {
        name: word.name,
        summary: word.summary,
        arguments: word.arguments,
        options: Vec::new(),
    };
    COMMANDS
        .iter()
        .map(of_command)
        .chain(WORDS.iter().map(of_word))
        .collect()
}

fn meaning(own: &'static [Flag], name: &str) -> &'static str {
    let own = own.iter().map(|flag| (flag.name, flag.meaning));
    let settings = SETTINGS
        .iter()
        .map(|setting| (setting.name, setting.meaning));
    own.chain(settings)
        .find(|(known, _)| *known == name)
        .map_or(config::CONFIG_MEANING, |(_, meaning)| meaning)
}

/// First words with what they mean, each once.
fn first_words() -> Vec<(&'static str, String)> {
    let mut words: Vec<(&'static str, String)> = Vec::new();
    for call in calls() {
        let (first, meaning) = match call.name.split_once(' ') {
            Some((noun, _)) => {
                let verbs: Vec<_> = verbs(noun).into_iter().map(|(verb, _)| verb).collect();
                (noun, verbs.join(", "))
            }
            None => (call.name, call.summary.to_owned()),
        };
        if !words.iter().any(|(known, _)| *known == first) {
            words.push((first, meaning));
        }
    }
    words
}

/// The second words of a noun with what they mean.
fn verbs(noun: &str) -> Vec<(&'static str, &'static str)> {
    let group = help::group(noun).into_iter();
    group
        .filter_map(|command| Some((command.name.split_once(' ')?.1, command.summary)))
        .collect()
}

fn nouns() -> Vec<&'static str> {
    let words = first_words().into_iter().map(|(word, _)| word);
    words.filter(|word| !verbs(word).is_empty()).collect()
}

/// `a|b` as `a b`.
fn spaced(words: &str) -> String {
    words.replace('|', " ")
}

fn bash() -> String {
    let mut text = "\
# Completions of picket for bash, made by picket completions bash.
_picket() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local first=${COMP_WORDS[1]-} second=${COMP_WORDS[2]-} flags= values= files= at=1
    COMPREPLY=()
"
    .to_owned();
    let first: Vec<_> = first_words().into_iter().map(|(word, _)| word).collect();
    text.push_str(&format!(
        "    if ((COMP_CWORD == 1)); then\n        \
         COMPREPLY=($(compgen -W '{} --help --version' -- \"$word\"))\n        return\n    fi\n",
        first.join(" ")
    ));
    text.push_str("    case $first in\n");
    for noun in nouns() {
        let verbs: Vec<_> = verbs(noun).into_iter().map(|(verb, _)| verb).collect();
        text.push_str(&format!(
            "        {noun}) values='{}' ;;\n",
            verbs.join(" ")
        ));
    }
    text.push_str(&format!("        help) values='{}' ;;\n", first.join(" ")));
    text.push_str(
        "    esac\n    \
         if [[ -n $values ]] && ((COMP_CWORD == 2)); then\n        \
         COMPREPLY=($(compgen -W \"$values\" -- \"$word\"))\n        return\n    fi\n    \
         [[ -n $values ]] && at=2\n    values=\n    \
         case \"$first $second\" in\n",
    );
    for call in calls() {
        let pattern = match call.name.contains(' ') {
            true => format!("'{}'", call.name),
            false => format!("'{} '*", call.name),
        };
        let mut flags: Vec<_> = call
            .options
            .iter()
            .map(|option| format!("--{}", option.name))
            .collect();
        flags.push("--help".to_owned());
        text.push_str(&format!("        {pattern}) flags='{}'", flags.join(" ")));
        match call
            .arguments
            .first()
            .map(|argument| Value::of(argument.name))
        {
            Some(Value::File) => text.push_str(" files=1"),
            Some(Value::OneOf(words)) => text.push_str(&format!(" values='{}'", spaced(words))),
            Some(Value::Unknown) | None => {}
        }
        text.push_str(" ;;\n");
    }
    text.push_str("    esac\n    case $before in\n");
    let mut seen = Vec::new();
    for option in calls().into_iter().flat_map(|call| call.options) {
        if seen.contains(&option.name) {
            continue;
        }
        seen.push(option.name);
        let action = match option.value {
            None => continue,
            Some(Value::File) => "values= files=1".to_owned(),
            Some(Value::OneOf(words)) => format!("values='{}' files=", spaced(words)),
            // What follows is for nobody to guess.
            Some(Value::Unknown) => "return".to_owned(),
        };
        text.push_str(&format!("        --{}) {action} ;;\n", option.name));
    }
    text.push_str(
        "        *)\n            \
         if [[ $word == -* ]] || { [[ -z $values && -z $files ]] && ((COMP_CWORD > at)); }; then\n                \
         COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n                return\n            fi\n            ;;\n    \
         esac\n    \
         if [[ -n $files ]]; then\n        \
         compopt -o filenames 2>/dev/null\n        \
         local IFS=$'\\n'\n        \
         COMPREPLY=($(compgen -f -- \"$word\"))\n    \
         elif [[ -n $values ]]; then\n        \
         COMPREPLY=($(compgen -W \"$values\" -- \"$word\"))\n    fi\n}\n\
         complete -F _picket picket\n",
    );
    text
}

fn zsh() -> String {
    let mut text = "\
#compdef picket
# Completions of picket for zsh, made by picket completions zsh.
_picket() {
    local -a words_of
    if ((CURRENT == 2)); then
        words_of=(
"
    .to_owned();
    for (word, meaning) in first_words() {
        text.push_str(&format!(
            "            {}\n",
            quoted(&format!("{word}:{}", zsh_item(&meaning)))
        ));
    }
    text.push_str("        )\n        _describe command words_of\n        return\n    fi\n");
    text.push_str("    case $words[2] in\n");
    for noun in nouns() {
        text.push_str(&format!(
            "        {noun})\n            if ((CURRENT == 3)); then\n                words_of=(\n"
        ));
        for (verb, summary) in verbs(noun) {
            text.push_str(&format!(
                "                    {}\n",
                quoted(&format!("{verb}:{}", zsh_item(summary)))
            ));
        }
        text.push_str(
            "                )\n                _describe command words_of\n                return\n            fi\n            ;;\n",
        );
    }
    text.push_str("        help)\n            words_of=(");
    for (word, _) in first_words() {
        text.push_str(&format!(" {word}"));
    }
    text.push_str(
        " )\n            ((CURRENT == 3)) && _describe command words_of\n            return\n            ;;\n",
    );
    text.push_str("    esac\n    case \"$words[2] ${words[3]-}\" in\n");
    for call in calls() {
        // _arguments counts from the command's last word on.
        let (pattern, words) = match call.name.contains(' ') {
            true => (quoted(call.name), 2),
            false => (format!("{}*", quoted(&format!("{} ", call.name))), 1),
        };
        text.push_str(&format!(
            "        {pattern})\n            shift {words} words\n            ((CURRENT -= {words}))\n            _arguments"
        ));
        for option in &call.options {
            let mut spec = format!("--{}[{}]", option.name, zsh_meaning(option.meaning));
            match option.value {
                None => {}
                Some(Value::File) => spec.push_str(": :_files"),
                Some(Value::OneOf(words)) => spec.push_str(&format!(": :({})", spaced(words))),
                Some(Value::Unknown) => spec.push_str(": : "),
            }
            // Some may be given again, which is harmless for the others.
            text.push_str(&format!(
                " \\\n                {}",
                quoted(&format!("*{spec}"))
            ));
        }
        for argument in call.arguments {
            let action = match Value::of(argument.name) {
                Value::File => "_files".to_owned(),
                Value::OneOf(words) => format!("({})", spaced(words)),
                Value::Unknown => " ".to_owned(),
            };
            text.push_str(&format!(
                " \\\n                {}",
                quoted(&format!(":{}:{action}", zsh_meaning(argument.meaning)))
            ));
        }
        text.push_str(&format!(
            " \\\n                {}\n            ;;\n",
            quoted("--help[tell about this command]")
        ));
    }
    // Loaded from a folder the file is the function; sourced it is to be registered.
    text.push_str(
        "    esac\n}\n\
         if [[ ${funcstack[1]-} == _picket ]]; then\n    _picket \"$@\"\nelse\n    compdef _picket picket\nfi\n",
    );
    text
}

fn fish() -> String {
    let mut text = "\
# Completions of picket for fish, made by picket completions fish.
function __picket_is
    set -l words (commandline -opc)
    set -e words[1]
    test (count $words) -ge (count $argv)
    and test \"$words[1..\"(count $argv)\"]\" = \"$argv\"
end
function __picket_is_just
    test (count (commandline -opc)) -eq (math 1 + (count $argv))
    and __picket_is $argv
end
complete -c picket -f
complete -c picket -n 'test (count (commandline -opc)) -eq 1' -l help -d 'tell what there is'
complete -c picket -n 'test (count (commandline -opc)) -eq 1' -l version -d 'tell the version'
"
    .to_owned();
    for (word, meaning) in first_words() {
        text.push_str(&format!(
            "complete -c picket -n 'test (count (commandline -opc)) -eq 1' -a {word} -d {}\n",
            fish_quoted(&meaning)
        ));
        for (verb, summary) in verbs(word) {
            text.push_str(&format!(
                "complete -c picket -n '__picket_is_just {word}' -a {verb} -d {}\n",
                fish_quoted(summary)
            ));
        }
        text.push_str(&format!(
            "complete -c picket -n '__picket_is_just help' -a {word}\n"
        ));
    }
    for call in calls() {
        let here = format!("complete -c picket -n '__picket_is {}'", call.name);
        for option in &call.options {
            let value = match option.value {
                None => String::new(),
                Some(Value::File) => " -r -F".to_owned(),
                Some(Value::OneOf(words)) => format!(" -x -a '{}'", spaced(words)),
                Some(Value::Unknown) => " -x".to_owned(),
            };
            text.push_str(&format!(
                "{here} -l {}{value} -d {}\n",
                option.name,
                fish_quoted(option.meaning)
            ));
        }
        match call
            .arguments
            .first()
            .map(|argument| Value::of(argument.name))
        {
            Some(Value::File) => text.push_str(&format!("{here} -F\n")),
            Some(Value::OneOf(words)) => text.push_str(&format!(
                "complete -c picket -n '__picket_is_just {}' -a '{}'\n",
                call.name,
                spaced(words)
            )),
            Some(Value::Unknown) | None => {}
        }
        text.push_str(&format!("{here} -l help -d 'tell about this command'\n"));
    }
    text
}

/// In single quotes, for bash and zsh.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn fish_quoted(text: &str) -> String {
    let text = one_line(text).replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'")
}

/// A meaning between the brackets or colons of `_arguments`.
fn zsh_meaning(text: &str) -> String {
    let mut escaped = String::new();
    for c in one_line(text).chars() {
        if matches!(c, '[' | ']' | ':' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A meaning behind the colon of `_describe`.
fn zsh_item(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace(':', "\\:")
}

/// As much of a meaning as fits beside a name: its first clause.
fn one_line(text: &str) -> String {
    let end = text.find(['\n', ';']).unwrap_or(text.len());
    text[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quoting() {
        let is_plain = |name: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "- ".contains(c);
            !name.is_empty() && name.chars().all(allowed)
        };
        for call in calls() {
            assert!(is_plain(call.name), "{}", call.name);
            for option in call.options {
                assert!(is_plain(option.name), "{}", option.name);
                if let Some(Value::OneOf(words)) = option.value {
                    assert!(words.split('|').all(is_plain), "{words}");
                }
            }
        }
    }

    #[test]
    fn a_meaning_is_quoted_for_each_shell() {
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(fish_quoted("it's \\ so; and more"), "'it\\'s \\\\ so'");
        assert_eq!(zsh_meaning("a [b]: c"), "a \\[b\\]\\: c");
    }
}
