//! `picket restore`.

use std::fs::File;
use std::io::Read;

use serde_json::json;

use super::progress::Progress;
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::size;
use crate::store::restore::{self, Step};

const FORCE: Flag = Flag {
    name: "force",
    hint: None,
    meaning: "also where a database is; it is kept under another name beside the new one",
};

pub(super) const COMMAND: Command = Command {
    name: "restore",
    summary: "put a backup in the place of the database",
    about: "Unpacks a backup beside the place of the database (--data), holds it against its checksums, looks \
            through the whole database, and only then gives it its name. Nothing is changed if anything is wrong. \
            No server may run on the database. A backup of an older version is brought up to date when a server \
            starts, or by picket upgrade; one of a newer version is refused.",
    arguments: &[Argument {
        name: "FILE",
        meaning: "the backup, or - for the standard input",
    }],
    options: &[FORCE, JSON],
    serves: false,
    run,
};

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let file = invocation.argument(0);
    let place = &invocation.config.data;
    let replace = invocation.option(FORCE.name).is_some();
    let at = invocation.clock().now();
    let (source, name): (Box<dyn Read>, &str) = match file {
        "-" => (Box::new(std::io::stdin().lock()), "the standard input"),
        _ => {
            let file_of = File::open(file)
                .map_err(|error| Failure::Failed(format!("cannot read {file}: {error}")))?;
            (Box::new(file_of), file)
        }
    };
    let mut progress = Progress::start("restoring")?;
    let mut update = |step| {
        match step {
            Step::Unpacked { done, bytes } => progress.update(done, bytes)?,
            Step::LookingThrough => progress.say("looking through the database"),
        }
        Ok(())
    };
    let restored = restore::restore(source, name, place, replace, at, &mut update)?;
    let secs = progress.elapsed().as_secs_f64();
    drop(progress);
    let header = &restored.header;
    if invocation.json() {
        return print_json(&json!({
            "data": place.display().to_string(),
            "database_bytes": header.database_bytes,
            "schema": header.schema,
            "picket": header.picket,
            "made": header.made().to_string(),
            "kept": restored.kept.map(|kept| kept.display().to_string()),
            "seconds": secs,
        }));
    }
    let mut text = format!(
        "{}: {} as it was at {} (picket {}, schema {}), restored in {secs:.1} s\n",
        place.display(),
        size::show(header.database_bytes),
        header.made(),
        header.picket,
        header.schema
    );
    if let Some(kept) = &restored.kept {
        text.push_str(&format!("the old database is now {}\n", kept.display()));
    }
    print(&text)
}
