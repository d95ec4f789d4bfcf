//! `picket export`.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::confirm::YES;
use super::{Argument, Command, Failure, Flag, Invocation, JSON, lookup, print, print_json};
use crate::domain::Error;
use crate::relocation::export::{self, Counts, NotWritten, Scope, Selection};
use crate::relocation::notes::Notes;
use crate::store::unfinished::Unfinished;
use crate::store::{Connection, Store, organizations};

const STDOUT: &str = "-";

pub(super) const COMMAND: Command = Command {
    name: "export",
    summary: "write everything but events in the form that sentry import reads",
    about: "Writes organizations, teams, projects, client keys, options, users and members as Sentry's relocation JSON, for \
            sentry import or picket import. Before anything is written it tells what the format cannot carry and what \
            Sentry's importer does not keep, and asks. Use the scope global and an empty Sentry of 24.4 or later if DSNs are \
            to go on working: only that keeps the numbers of projects.\n\
            The file holds secrets (key secrets, seeds of one-time codes, hashes), is made with mode 0600, and appears when \
            it is whole. It is not encrypted: there is no --encrypt-with.",
    arguments: &[Argument {
        name: "FILE",
        meaning: "the file to make; - for standard output",
    }],
    options: &[
        Flag {
            name: "scope",
            hint: Some("SCOPE"),
            meaning: "global (the default), organizations, config or users: which sentry import is to read it",
        },
        Flag {
            name: "org",
            hint: Some("ORG"),
            meaning: "only this organization and its members; may be given again",
        },
        Flag {
            name: "passwords",
            hint: None,
            meaning: "write the Argon2id hashes of passwords: another Picket takes them, Sentry only with argon2-cffi",
        },
        Flag {
            name: "force",
            hint: None,
            meaning: "replace the file if it is there",
        },
        YES,
        JSON,
    ],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let name = invocation.argument(0);
    let scope = scope(invocation)?;
    let force = invocation.option("force").is_some();
    let target = (name != STDOUT).then(|| PathBuf::from(name));
    if let Some(target) = target.as_ref().filter(|_| !force) {
        refuse_existing(target)?;
    }
    let store = invocation.open_existing()?;
    let written = export(invocation, &store, scope, target.as_deref());
    store.close();
    let (counts, losses) = written?;
    if target.is_none() {
        return Ok(());
    }
    if invocation.json() {
        return print_json(&json!({ "file": name, "rows": counts, "losses": losses.to_json() }));
    }
    let rows = |model: &str| counts.get(model).copied().unwrap_or(0);
    print(&format!(
        "{name} is written: {} organizations, {} projects, {} client keys, {} users\n",
        rows("sentry.organization"),
        rows("sentry.project"),
        rows("sentry.projectkey"),
        rows("sentry.user"),
    ))
}

/// Tells what is lost, asks, and writes.
fn export(
    invocation: &Invocation,
    store: &Store,
    scope: Scope,
    target: Option<&Path>,
) -> Result<(Counts, Notes), Failure> {
    let connection = store.read()?;
    let mut selection = selection(invocation, &connection, scope)?;
    // Nobody is waited for in a transaction.
    let losses = {
        let snapshot = connection.unchecked_transaction().map_err(Error::from)?;
        export::losses(&snapshot, &mut selection)?
    };
    let name = invocation.argument(0);
    say(&format!(
        "What does not go along:\n{}The file will hold secrets.\n",
        losses.to_text()
    ));
    let what = format!("{name} will hold secrets, and what is listed above does not go along");
    invocation.confirm(&what, "export")?;
    let snapshot = connection.unchecked_transaction().map_err(Error::from)?;
    let counts = match target {
        None => write_to(&snapshot, &selection, io::stdout().lock())?,
        Some(target) => {
            let force = invocation.option("force").is_some();
            let unfinished = Unfinished::create(target, ".part")?;
            let counts = write_to(&snapshot, &selection, unfinished.file())?;
            unfinished.finish(force)?;
            counts
        }
    };
    Ok((counts, losses))
}

fn scope(invocation: &Invocation) -> Result<Scope, Failure> {
    let Some(word) = invocation.option("scope") else {
        return Ok(Scope::Global);
    };
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    found.ok_or_else(|| {
        let text = "is none of global, organizations, config and users";
        Failure::Usage(format!("--scope: {word:?} {text}"))
    })
}

fn selection(
    invocation: &Invocation,
    connection: &Connection,
    scope: Scope,
) -> Result<Selection, Failure> {
    let mut chosen = Vec::new();
    for name in invocation.options("org") {
        let found = lookup::organization(connection, name)?;
        if chosen
            .iter()
            .all(|known: &organizations::Organization| known.id != found.id)
        {
            chosen.push(found);
        }
    }
    let is_chosen = !chosen.is_empty();
    let organizations = match is_chosen {
        true => chosen,
        false => organizations::list_all(connection)?,
    };
    let passwords = invocation.option("passwords").is_some();
    let now = invocation.clock().now();
    Ok(Selection::new(
        scope,
        organizations,
        is_chosen,
        passwords,
        now,
    ))
}

/// To stderr, because the file itself may go to stdout. If that is closed, nobody is there to be told.
pub(super) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn write_to(
    connection: &Connection,
    selection: &Selection,
    output: impl Write,
) -> Result<Counts, Failure> {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let counts =
        export::write(connection, selection, &mut output).map_err(|error| match error {
            NotWritten::Output(error) => unwritten(&error),
            NotWritten::Failed(error) => error.into(),
        })?;
    output.flush().map_err(|error| unwritten(&error))?;
    Ok(counts)
}

fn unwritten(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Failed(format!("cannot write the export: {error}")),
    }
}

fn refuse_existing(target: &Path) -> Result<(), Failure> {
    match std::fs::symlink_metadata(target) {
        Ok(_) => Err(Failure::Failed(format!(
            "{} is there already; --force replaces it",
            target.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Failed(format!(
            "cannot look for {}: {error}",
            target.display()
        ))),
    }
}
