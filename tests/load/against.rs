//! Loads a server that is there already, of whatever make, for the time it is given, and says what came back. What the
//! server stored is for the caller to find out: the ids of the acknowledged events are written to a file.

use std::io::{self, Write};
use std::time::Duration;

use crate::client::{Load, Measured, Target};

const USAGE: &str =
    "usage: DSN BYTES CONNECTIONS SECONDS FILE, where the DSN has an address and a port";

/// Takes [`USAGE`]; prints a line for each figure, its name first, and writes to the file 16 bytes for each
/// acknowledged event.
pub(crate) fn measure(args: impl Iterator<Item = String>) {
    let args: Vec<String> = args.collect();
    let Some((load, time, file)) = parse(&args) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let measured = load.run(time);
    if let Err(error) = std::fs::write(file, ids(&measured)).and_then(|()| print(&measured)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn parse(args: &[String]) -> Option<(Load, Duration, &str)> {
    let [dsn, bytes, connections, seconds, file] = args else {
        return None;
    };
    let load = Load::new(
        Target::parse(dsn)?,
        bytes.parse().ok()?,
        connections.parse().ok()?,
    );
    let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Some((load, time, file))
}

fn ids(measured: &Measured) -> Vec<u8> {
    let ids = measured.acknowledged.iter();
    ids.flat_map(|id| id.to_be_bytes()).collect()
}

fn print(measured: &Measured) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "seconds {}", measured.elapsed.as_secs_f64())?;
    writeln!(out, "acknowledged {}", measured.acknowledged.len())?;
    for (status, count) in &measured.refused {
        writeln!(out, "refused_{status} {count}")?;
    }
    writeln!(out, "failed {}", measured.failed)?;
    for (name, q) in [("p50_ms", 0.5), ("p99_ms", 0.99)] {
        writeln!(out, "{name} {}", measured.quantile(q).as_secs_f64() * 1e3)?;
    }
    out.flush()
}
