//! Whether somebody means it when something is destroyed: they type its name, or say `--yes`.

use std::io::{BufRead, IsTerminal, Write};

use super::{Failure, Flag, Invocation};

pub(super) const YES: Flag = Flag {
    name: "yes",
    hint: None,
    meaning: "do not ask; needed where there is no terminal to ask on",
};

impl Invocation {
    /// Goes on if it is meant. `what` is a sentence about what will be gone, and `name` what must be typed.
    ///
    /// # Errors
    /// `Usage`: nobody can be asked; `Failed`: something else was typed.
    pub(super) fn confirm(&self, what: &str, name: &str) -> Result<(), Failure> {
        if self.option(YES.name).is_some() {
            return Ok(());
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::Usage(format!(
                "{what}; --yes says that it is meant, because there is no terminal to ask on"
            )));
        }
        ask(&mut stdin.lock(), &mut std::io::stderr(), what, name)
    }
}

fn ask(
    input: &mut impl BufRead,
    output: &mut impl Write,
    what: &str,
    name: &str,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot ask: {error}"));
    write!(output, "{what}. Type {name} to go on: ").map_err(failed)?;
    output.flush().map_err(failed)?;
    let mut line = String::new();
    input.read_line(&mut line).map_err(failed)?;
    match line.trim() == name {
        true => Ok(()),
        false => Err(Failure::Failed(format!(
            "that is not {name}, so nothing was done"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_itself_goes_on() {
        let asked = |typed: &str| {
            let mut output = Vec::new();
            let result = ask(
                &mut typed.as_bytes(),
                &mut output,
                "acme will be gone",
                "acme",
            );
            let shown = String::from_utf8(output).unwrap();
            assert_eq!(shown, "acme will be gone. Type acme to go on: ");
            result.is_ok()
        };
        assert!(asked("acme\n") && asked(" acme "));
        for other in ["", "\n", "y\n", "yes\n", "Acme\n", "acme2\n"] {
            assert!(!asked(other), "{other:?}");
        }
    }
}
