//! `picket backup`.

use std::io::{IsTerminal, Write};
use std::path::Path;

use serde_json::json;

use super::progress::Progress;
use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::size;
use crate::store::backup::{self, Written};

const FORCE: Flag = Flag {
    name: "force",
    hint: None,
    meaning: "replace FILE if it is there",
};

pub(super) const COMMAND: Command = Command {
    name: "backup",
    summary: "write the whole database into one compressed file",
    about: "Writes the database, as it is at one moment, into one compressed file with checksums, whether or not a \
            server runs on it. The file can be read by its owner alone, and has its name only once it is whole and \
            on the disk. picket restore puts it back; zstd -d unpacks it by hand into a database.\n\
            A server goes on meanwhile. What it writes stays in the log beside the database until the backup is done, so there must be room for \
            that; the backup gives up before the disk gets full.",
    arguments: &[Argument {
        name: "FILE",
        meaning: "the file to write, or - for the standard output",
    }],
    options: &[FORCE, JSON],
    serves: false,
    run,
};

/// What comes from the server's machine must not be felt by what is sent to it.
const NICENESS: i32 = 10;

fn run(invocation: &Invocation) -> Result<(), Failure> {
    let file = invocation.argument(0);
    let data = &invocation.config.data;
    let at = invocation.clock().now();
    let is_piped = file == "-";
    if is_piped && std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a backup is no text for a terminal; name a file, or pipe the output".to_owned(),
        ));
    }
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("the backup runs at full priority: {error}");
    }
    let mut progress = Progress::start("backing up")?;
    let mut update = |done, of| progress.update(done, of);
    let written = if is_piped {
        backup::write_stream(data, std::io::stdout().lock(), at, &mut update)?
    } else {
        let replace = invocation.option(FORCE.name).is_some();
        backup::write_file(data, Path::new(file), replace, at, &mut update)?
    };
    let secs = progress.elapsed().as_secs_f64();
    drop(progress);
    match (is_piped, invocation.json()) {
        (false, false) => print(&format!("{file}: {}\n", told(&written, secs))),
        (false, true) => print_json(&json!({
            "file": file,
            "bytes": written.bytes,
            "database_bytes": written.header.database_bytes,
            "schema": written.header.schema,
            "sha256": written.sha256,
            "seconds": secs,
        })),
        // The output is the backup.
        (true, _) => {
            // Whoever closed stderr does not want to know.
            let _ = writeln!(std::io::stderr(), "{}", told(&written, secs));
            Ok(())
        }
    }
}

fn told(written: &Written, secs: f64) -> String {
    let database = written.header.database_bytes;
    format!(
        "{} from a database of {}, {:.2} to 1, in {secs:.1} s",
        size::show(written.bytes),
        size::show(database),
        database as f64 / written.bytes as f64
    )
}
