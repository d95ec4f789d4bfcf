//! Asks before something is destroyed.

use std::io::{BufRead, IsTerminal, Write};

use super::{Failure, Flag, Invocation};

pub(super) const YES: Flag = Flag {
    name: "yes",
    hint: None,
    meaning: "do it without asking; needed where nobody can be asked",
};

/// Asks on a terminal whether this is to be done; `--yes` is the answer where it is given.
///
/// # Errors
/// The answer is not yes, or there is nobody to ask.
pub(super) fn confirm(invocation: &Invocation, what: &str) -> Result<(), Failure> {
    if invocation.option(YES.name).is_some() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "this would {what}; --yes says that it is meant"
        )));
    }
    let mut stderr = std::io::stderr();
    // If the question cannot be shown, nobody says yes to it.
    let _ = write!(stderr, "This will {what}. Go on? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::Failed(format!("cannot read the answer: {error}")))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was done".to_owned())),
    }
}
