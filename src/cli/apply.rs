//! `picket apply`.

use std::path::Path;

use super::{Argument, Command, Failure, Invocation, JSON, print, print_json};
use crate::apply::{self, NotApplied};
use crate::store::Store;

pub(super) const COMMAND: Command = Command {
    name: "apply",
    summary: "create and update what a TOML file describes",
    about: "Creates and updates the organizations, teams, projects, keys, tokens and users that a TOML file \
            describes. What the file leaves out is left alone, and nothing is ever deleted, so a second run \
            changes nothing. The file is checked whole first; if anything is wrong with it, all of that is \
            reported and nothing is applied.\n\
            A missing database is made. DSNs and tokens carry the address in --url-prefix. A server that runs on the database follows within two seconds. New \
            tokens are printed here, and never again.",
    arguments: &[Argument {
        name: "FILE",
        meaning: "the TOML file",
    }],
    options: &[JSON],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let file_name = invocation.argument(0);
    let text = read(Path::new(file_name))?;
    let clock = invocation.clock();
    let now = clock.now();
    let store = Store::open_beside(&invocation.config.data)?;
    let url_prefix = invocation.config.url_prefix();
    let result = apply::run(&store, &text, file_name, &url_prefix, now);
    store.close();
    let report = result.map_err(|refusal| not_applied(&refusal, file_name))?;
    if invocation.json() {
        print_json(&report.to_json(true))
    } else {
        print(&report.to_text(true))
    }
}

/// Reads an apply file.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", file.display())))
}

/// Each fault on a line of its own, and one sentence.
pub(super) fn not_applied(refusal: &NotApplied, file_name: &str) -> Failure {
    match refusal {
        NotApplied::Wrong(faults) => {
            let faults_are = match faults.len() {
                1 => "is 1 fault".to_owned(),
                count => format!("are {count} faults"),
            };
            let text = format!("there {faults_are} in {file_name}, so nothing of it was applied");
            Failure::Faults(refusal.to_string(), text)
        }
        NotApplied::Failed(error) => {
            Failure::Failed(format!("{file_name} could not be applied: {error}"))
        }
    }
}
