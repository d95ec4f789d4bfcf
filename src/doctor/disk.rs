//! The disk that the database is on: what kind it is, and how fast it makes something durable.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Report;

/// What a commit of one event writes, more or less.
const PAGE: [u8; 4096] = [0x5a; 4096];
const SYNCS_MAX: usize = 200;
const TIME_MAX: Duration = Duration::from_secs(1);
/// A disk that takes longer is the bottleneck on any machine.
const SLOW: Duration = Duration::from_millis(20);

/// Events that can wait for one commit, and what each costs beside it (design 2; 2 cores, events of 1 KB).
const BATCH_EVENTS: f64 = 256.0;
const EVENT_SECS: f64 = 30e-6;

/// How a file system is called, and what is wrong with it for a database.
const KINDS: [(u32, &str, &str); 12] = [
    (0x6969, "NFS", NETWORK),
    (0x517b, "SMB", NETWORK),
    (0xff53_4d42, "CIFS", NETWORK),
    (0xfe53_4d42, "SMB", NETWORK),
    (0x0102_1997, "9p", NETWORK),
    (0x5346_414f, "AFS", NETWORK),
    (0x00c3_6400, "Ceph", NETWORK),
    (0x6573_5546, "FUSE", NETWORK),
    (0x0102_1994, "tmpfs", MEMORY),
    (0x8584_58f6, "ramfs", MEMORY),
    (0x794c_7630, "overlay", LAYER),
    (0x6163_6673, "acfs", NETWORK),
];

const NETWORK: &str = "SQLite relies on locks and syncs that such a file system may not keep; put the database on a disk of \
                       this machine";
const MEMORY: &str =
    "it lies in memory, so a restart of the machine loses everything; put the database on a disk";
const LAYER: &str =
    "it is the layer of a container and goes when the container goes; put the database on a volume";

pub(super) fn examine(report: &mut Report, directory: &Path) {
    if let Ok(kind) = rustix::fs::statfs(directory).map(|found| found.f_type) {
        // Magic numbers have 32 bits, and are signed on some machines.
        let found = KINDS.iter().find(|(magic, ..)| *magic == kind as u32);
        match found {
            Some((_, name, advice)) => report.warn(
                "file-system",
                format!(
                    "{} is on a file system of the kind {name}",
                    directory.display()
                ),
                *advice,
            ),
            None => report.ok(
                "file-system",
                "the file system is one for disks of this machine",
            ),
        }
    }
    match measure(directory) {
        Ok(syncs) => speed(report, &syncs),
        Err(error) => report.fault(
            "disk-speed",
            format!("no file can be written to {}: {error}", directory.display()),
            "let the user who runs the server write to that directory: SQLite needs files beside the database",
        ),
    }
}

fn speed(report: &mut Report, syncs: &[Duration]) {
    let (Some(median), Some(slowest)) = (syncs.get(syncs.len() / 2), syncs.last()) else {
        return;
    };
    let ms = |time: &Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
    let rate = |secs: f64| format!("{:.0}", 1.0 / secs.max(EVENT_SECS));
    let sync = median.as_secs_f64();
    let text = format!(
        "a sync takes {} ms (half of {} took no longer, the slowest {} ms): at best {} events a second from many clients \
         at once, {} from one that waits for each answer",
        ms(median),
        syncs.len(),
        ms(slowest),
        rate((sync + BATCH_EVENTS * EVENT_SECS) / BATCH_EVENTS),
        rate(sync + EVENT_SECS)
    );
    match *median > SLOW {
        true => report.warn(
            "disk-speed",
            text,
            "a faster disk helps most; --durability normal waits for the disk less often, and can lose the last moments \
             before a power cut",
        ),
        false => report.ok("disk-speed", text),
    }
}

/// How long syncs took, shortest first.
fn measure(directory: &Path) -> io::Result<Vec<Duration>> {
    let file = nameless(directory)?;
    let begun = Instant::now();
    let mut syncs = Vec::with_capacity(SYNCS_MAX);
    while syncs.len() < SYNCS_MAX && begun.elapsed() < TIME_MAX {
        file.write_all_at(&PAGE, (syncs.len() * PAGE.len()) as u64)?;
        let from = Instant::now();
        file.sync_data()?;
        syncs.push(from.elapsed());
    }
    syncs.sort_unstable();
    Ok(syncs)
}

/// A file that is gone when it is closed.
fn nameless(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!(".picket-doctor-{:016x}", rand::random::<u64>()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_rate_follows_from_the_sync() {
        let mut report = Report::default();
        speed(&mut report, &[Duration::from_millis(2); 3]);
        speed(&mut report, &[Duration::from_millis(100); 3]);
        assert_eq!(
            report.0[0].text,
            "a sync takes 2.00 ms (half of 3 took no longer, the slowest 2.00 ms): at best 26446 events a second from \
             many clients at once, 493 from one that waits for each answer"
        );
        let verdicts: Vec<Verdict> = report.0.iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warning]);
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!measure(directory.path()).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
