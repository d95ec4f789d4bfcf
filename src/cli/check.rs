//! `picket check`.

use serde_json::{Value, json};

use super::progress::Progress;
use super::{Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::size;
use crate::store::check::{self, Fault, Report};

const REPAIR: Flag = Flag {
    name: "repair",
    hint: None,
    meaning: "put right what follows from the rest of the database; no server may run",
};

pub(super) const COMMAND: Command = Command {
    name: "check",
    summary: "look the database through for faults",
    about: "Looks whether the file is whole, whether everything that a row refers to is there, whether what is kept \
            twice agrees, whether the ledger's hours and days are what it counted, whether it knows everything that \
            is stored, and whether every payload can be unpacked. It only reads, in short transactions, and may run \
            beside a server.\n\
            Exit code 0: nothing is wrong; 1: something is, or it could not be looked at.",
    arguments: &[],
    options: &[REPAIR, JSON],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let data = &invocation.config.data;
    let now = invocation.clock().now();
    let mut progress = Progress::start("checking")?;
    let mut update = |done: usize, of: usize| progress.update_count(done, of);
    let report = match invocation.option(REPAIR.name) {
        Some(_) => check::repair(data, now, &mut update)?,
        None => check::look(data, now, &mut update)?,
    };
    drop(progress);
    if invocation.json() {
        print_json(&to_json(&report))?;
    } else {
        print(&to_text(&report))?;
    }
    let data = data.display();
    match report.faults.as_slice() {
        [] => Ok(()),
        faults if faults.iter().any(|fault| fault.can_be_repaired) => Err(Failure::Failed(
            format!("{data} has faults; picket check --repair puts right what can be"),
        )),
        _ => Err(Failure::Failed(format!(
            "{data} has faults that cannot be put right from what it holds; restore a backup"
        ))),
    }
}

/// A line for each fault, and one about the whole.
pub(super) fn to_text(report: &Report) -> String {
    let mut text = String::new();
    for fault in &report.repaired {
        text.push_str(&format!("put right: {}\n", fault.text));
    }
    for fault in &report.faults {
        text.push_str(&format!("fault: {}\n", fault.text));
    }
    if report.faults.is_empty() {
        text.push_str(&format!(
            "sound: {} checks of {} with {} events, {} items and {} attachments, schema {}\n",
            report.checks,
            size::show(report.bytes),
            report.events,
            report.items,
            report.attachments,
            report.schema
        ));
    }
    text
}

pub(super) fn to_json(report: &Report) -> Value {
    let list = |faults: &[Fault]| -> Vec<Value> {
        let fault = |fault: &Fault| {
            json!({
                "check": fault.check,
                "count": fault.count,
                "text": fault.text,
                "can_be_repaired": fault.can_be_repaired,
            })
        };
        faults.iter().map(fault).collect()
    };
    json!({
        "sound": report.faults.is_empty(),
        "faults": list(&report.faults),
        "repaired": list(&report.repaired),
        "checks": report.checks,
        "schema": report.schema,
        "database_bytes": report.bytes,
        "events": report.events,
        "items": report.items,
        "attachments": report.attachments,
    })
}
