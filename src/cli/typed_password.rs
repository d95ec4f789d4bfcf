//! Passwords for commands: typed without being shown, or from standard input, and never from an argument, which everybody
//! on the machine can see.

use std::io::{IsTerminal, Read};

use super::{Failure, Flag, Invocation};
use crate::domain::password;

pub(super) const PASSWORD_STDIN: Flag = Flag {
    name: "password-stdin",
    hint: None,
    meaning: "read the password from standard input, to its end; one line break there does not count",
};

/// No password is longer in any writing.
const BYTES_MAX: u64 = 4096;

/// From standard input if `--password-stdin` is given.
pub(super) fn from_stdin(invocation: &Invocation) -> Result<Option<String>, Failure> {
    if invocation.option(PASSWORD_STDIN.name).is_none() {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Failed(format!("cannot read the password: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Some(text.to_owned()))
}

/// From standard input if that is asked for, else typed twice on the terminal.
pub(super) fn read(invocation: &Invocation) -> Result<String, Failure> {
    if let Some(text) = from_stdin(invocation)? {
        return Ok(text);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to type a password on; --password-stdin reads it from standard input"
                .to_owned(),
        ));
    }
    let ask = |prompt| {
        rpassword::prompt_password(prompt)
            .map_err(|error| Failure::Failed(format!("cannot read the password: {error}")))
    };
    let first = ask("New password: ")?;
    if ask("New password once more: ")? != first {
        return Err(Failure::Failed(
            "the two passwords are not the same".to_owned(),
        ));
    }
    Ok(first)
}

/// The hash of a password that the policy has nothing against.
pub(super) fn hash(text: &str, email: &str, name: &str) -> Result<String, Failure> {
    let weaknesses = password::weaknesses(text, email, name);
    if !weaknesses.is_empty() {
        let texts: Vec<String> = weaknesses.iter().map(ToString::to_string).collect();
        return Err(Failure::Failed(texts.join("; ")));
    }
    Ok(password::hash(text)?)
}
