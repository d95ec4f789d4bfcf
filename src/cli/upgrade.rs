//! `picket upgrade`.

use std::path::Path;

use serde_json::json;

use super::progress::Progress;
use super::{Command, Failure, Flag, Invocation, JSON, check, print, print_json};
use crate::domain::size;
use crate::store::connection::newest_schema;
use crate::store::upgrade::{self, Step, Upgraded};

const DRY_RUN: Flag = Flag {
    name: "dry-run",
    hint: None,
    meaning: "try it on a copy, which is removed again; a server may be running",
};

const TEMP_DIR: Flag = Flag {
    name: "temp-dir",
    hint: Some("DIR"),
    meaning: "where the copy lies meanwhile, instead of beside the database",
};

pub(super) const COMMAND: Command = Command {
    name: "upgrade",
    summary: "bring the database to this version's schema",
    about: "Brings a database that an older version wrote to the schema of this one, all at once or not at all, and \
            looks it through afterwards. A server does the first by itself when it starts. With --dry-run a copy is \
            brought up to date instead, to see whether it works, how long it takes and how much room it needs. \
            Make a backup before.",
    arguments: &[],
    options: &[DRY_RUN, TEMP_DIR, JSON],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let data = &invocation.config.data;
    let now = invocation.clock().now();
    let is_trial = invocation.option(DRY_RUN.name).is_some();
    let directory = invocation.option(TEMP_DIR.name).map(Path::new);
    if directory.is_some() && !is_trial {
        return Err(Failure::Usage("--temp-dir needs --dry-run".to_owned()));
    }
    let mut progress = Progress::start("copying")?;
    let mut update = |step| {
        match step {
            Step::Copied { done, bytes } => progress.update(done, bytes)?,
            Step::Migrating => progress.say("bringing it up to date"),
            Step::Checked { done, of } => progress.say(&format!("check {done} of {of}")),
        }
        Ok(())
    };
    let upgraded = match is_trial {
        true => upgrade::try_out(data, directory, now, &mut update)?,
        false => upgrade::upgrade(data, now, &mut update)?,
    };
    drop(progress);
    let shown = data.display();
    let Some(upgraded) = upgraded else {
        let schema = newest_schema();
        return match invocation.json() {
            true => print_json(&json!({ "from": schema, "to": schema, "migrations": [] })),
            false => print(&format!("{shown} is up to date: schema {schema}\n")),
        };
    };
    if invocation.json() {
        print_json(&json!({
            "dry_run": is_trial,
            "from": upgraded.from,
            "to": upgraded.to,
            "migrations": upgraded.migrations.iter().map(|(number, name)| json!({ "version": number, "name": name })).collect::<Vec<_>>(),
            "rows": upgraded.rows,
            "room_bytes": upgraded.room,
            "seconds": upgraded.took.as_secs_f64(),
            "check": check::to_json(&upgraded.report),
        }))?;
    } else {
        print(&told(&upgraded, &shown.to_string(), is_trial))?;
    }
    match upgraded.report.faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(match is_trial {
            true => format!("a copy of {shown} has faults after the upgrade"),
            false => format!("{shown} has faults after the upgrade"),
        })),
    }
}

fn told(upgraded: &Upgraded, data: &str, is_trial: bool) -> String {
    let migrations: Vec<String> = upgraded
        .migrations
        .iter()
        .map(|(number, name)| format!("V{number} {name}"))
        .collect();
    let mut text = format!(
        "{data}: schema {} {} {} ({}) in {:.1} s, {} rows, with {} of room\n",
        upgraded.from,
        if is_trial { "would become" } else { "is now" },
        upgraded.to,
        migrations.join(", "),
        upgraded.took.as_secs_f64(),
        upgraded.rows,
        size::show(upgraded.room)
    );
    text.push_str(&check::to_text(&upgraded.report));
    if is_trial {
        text.push_str("that was a copy, which is removed again; the database is as it was\n");
    }
    text
}
