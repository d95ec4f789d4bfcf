//! How fast Picket takes events, against an empty handler over the same HTTP layers and against a naive way
//! of storing them; how fast deep pages of its API come; and whether the time of an answer tells who has an account. Run
//! it with `cargo bench --bench load`; it takes about three minutes and prints tables in Markdown. `cargo bench --bench load
//! backup` tells what a backup of 1 GiB costs.
//!
//! Every server runs in a process of its own, so that its CPU time and memory can be told from the client's.
//! The machine's speed drifts, so the variants take turns in short rounds and the ratios are taken within a
//! round; what is printed is the median over the rounds. Nothing here asserts a time.
//!
//! `LOAD_OTHER` names this very program of another build (`cargo bench --no-run` says where it lies): its Picket
//! takes part in every round, so that a change is measured against what was before.
//!
//! `cargo bench --bench load -- against DSN BYTES CONNECTIONS SECONDS FILE` loads a server that is there already; see
//! `against`.
//!
//! The databases lie in the build's own temporary folder, or in the folder that `LOAD_DIR` names.

mod against;
mod backup;
mod client;
mod disk;
mod pages;
mod process;
mod servers;
mod sign_in;
mod table;

use std::time::Duration;

use client::{Load, Measured, Target};
use process::Child;
use servers::Variant;

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1500);

fn main() {
    // Cargo adds a flag of its own.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        // A child process: serves until its standard input ends.
        Some("serve") => servers::serve(&args.next().expect("a variant's name")),
        Some("against") => against::measure(args),
        only => measure(only),
    }
}

fn measure(only: Option<&str>) {
    let quick = std::env::var_os("LOAD_QUICK").is_some();
    let (rounds, round) = if quick {
        (2, Duration::from_millis(300))
    } else {
        (ROUNDS, ROUND)
    };
    println!(
        "A sync of this disk takes {:.0} µs.\n",
        disk::sync_time().as_secs_f64() * 1e6
    );
    // `cargo bench --bench load pages`, or `sign-in`, is for when only they are of interest. A backup is measured only
    // if it is asked for: it takes some gigabytes of disk.
    if only == Some("backup") {
        return backup::measure(if quick { 1 } else { 5 });
    }
    if only.is_none() {
        ingestion(rounds, round);
    }
    if only != Some("sign-in") {
        pages::measure(if quick { 20_000 } else { 100_000 });
    }
    if only != Some("pages") {
        sign_in::measure();
    }
}

/// One row of the table: a variant at a number of connections, its rounds in order.
struct Series {
    variant: Variant,
    /// Whether it is the other build's.
    is_other: bool,
    rounds: Vec<Measured>,
    /// Resident memory after the last round, bytes.
    memory: u64,
}

fn ingestion(rounds: usize, round: Duration) {
    println!("### Durable ingestion\n");
    println!("{}", table::HEAD);
    let mut everything = Vec::new();
    for connections in CONNECTIONS {
        let mut servers: Vec<(Variant, Child)> = Variant::ALL
            .iter()
            .map(|variant| (*variant, Child::start(variant.name())))
            .collect();
        let own = servers.len();
        if let Some(program) = std::env::var_os("LOAD_OTHER") {
            let other = |variant: Variant| (variant, Child::start_of(&program, variant.name()));
            servers.extend([Variant::Durable1Kb, Variant::Durable4Kb].map(other));
        }
        let mut all: Vec<Series> = servers
            .iter()
            .enumerate()
            .map(|(at, (variant, _))| Series {
                variant: *variant,
                is_other: at >= own,
                rounds: Vec::new(),
                memory: 0,
            })
            .collect();
        for _ in 0..rounds {
            for (series, (variant, child)) in all.iter_mut().zip(&servers) {
                let target = Target {
                    address: child.address(),
                    project: 1,
                    public_key: servers::PUBLIC_KEY.to_owned(),
                };
                let load = Load::new(target, variant.body_bytes(), connections);
                let cpu_before = child.cpu();
                let mut measured = load.run(round);
                assert_eq!(measured.failed, 0, "{}: not answered", variant.name());
                assert!(
                    measured.refused.is_empty(),
                    "{}: {:?}",
                    variant.name(),
                    measured.refused
                );
                measured.cpu = child.cpu().saturating_sub(cpu_before);
                series.rounds.push(measured);
                series.memory = child.memory();
            }
        }
        table::print(connections, &all);
        everything.push((connections, all));
    }
    println!();
    for (connections, all) in &everything {
        table::print_to_other(*connections, all);
    }
}
