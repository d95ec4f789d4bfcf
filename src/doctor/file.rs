//! The database and the files beside it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Report, size};
use crate::store::connection::{beside, directory_of};
use crate::store::health;
use crate::store::inspection::{self, Inspection};

/// A write-ahead log that is emptied as it should be is shorter.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// What is in the file, if there is one that can be read.
pub(super) fn examine(
    report: &mut Report,
    path: &Path,
    min_free: Option<u64>,
) -> Option<Inspection> {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.warn(
                "database",
                format!("there is no database {shown}"),
                "picket serve makes one; if there should be one, name it with --data",
            );
            return None;
        }
        Err(error) => {
            report.fault(
                "database",
                format!("{shown} cannot be looked at: {error}"),
                "let the user who runs the server reach it",
            );
            return None;
        }
    };
    permissions(report, path, &metadata);
    let found = match inspection::inspect(path) {
        Ok(found) => found,
        Err(error) => {
            report.fault(
                "database",
                error.to_string(),
                "put the right file there, or one from a backup, and let the user who runs the server write it",
            );
            return None;
        }
    };
    schema(report, path, &found);
    space(report, &found, min_free);
    Some(found)
}

fn permissions(report: &mut Report, path: &Path, metadata: &Metadata) {
    let before = report.0.len();
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        report.warn(
            "permissions",
            format!(
                "{} belongs to the user with the number {}, and this command runs as {own}",
                path.display(),
                metadata.uid()
            ),
            "run picket doctor as the user who runs the server, or give the file to that user with chown",
        );
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        let mode = std::fs::metadata(&file).map_or(0, |metadata| metadata.mode() & 0o777);
        if mode & 0o077 != 0 {
            report.warn(
                "permissions",
                format!(
                    "others than its owner may use {} (mode {mode:o})",
                    file.display()
                ),
                format!(
                    "chmod 600 {}: key secrets and events are in it",
                    file.display()
                ),
            );
        }
    }
    let directory = directory_of(path);
    let mode = std::fs::metadata(directory).map_or(0, |metadata| metadata.mode());
    // In a directory with the sticky bit nobody can take another's file away.
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        report.warn(
            "permissions",
            format!("everybody may put files into {}", directory.display()),
            format!("chmod o-w {}", directory.display()),
        );
    }
    if report.0.len() == before {
        report.ok("permissions", "only its owner may use the database");
    }
}

fn schema(report: &mut Report, path: &Path, found: &Inspection) {
    let shown = path.display();
    let Inspection {
        schema,
        schema_known,
        is_served,
        ..
    } = found;
    if schema > schema_known {
        return report.fault(
            "database",
            format!("{shown} was written by a newer Picket (schema {schema}, this one knows {schema_known})"),
            "use the newer program",
        );
    }
    if schema < schema_known {
        return report.ok(
            "database",
            format!("{shown} has schema {schema}, and the next start of this program brings it to {schema_known}"),
        );
    }
    let served = match is_served {
        true => "a server runs on it",
        false => "no server runs on it",
    };
    report.ok("database", format!("{shown} has schema {schema}; {served}"));
}

fn space(report: &mut Report, found: &Inspection, min_free: Option<u64>) {
    let space = &found.space;
    if space.log > LOG_BYTES_MAX {
        report.warn(
            "log-size",
            format!("the write-ahead log has grown to {}", size(space.log)),
            "something reads the database for very long, or has kept it open: end other programs that use the file; the \
             log is emptied by itself then",
        );
    } else {
        report.ok(
            "log-size",
            format!("the write-ahead log has {}", size(space.log)),
        );
    }
    let text = format!(
        "{} of {} are free on the disk, and the database has {}",
        size(space.disk.free),
        size(space.disk.total),
        size(space.file)
    );
    let floor = min_free.unwrap_or_else(|| health::floor(space.disk.total));
    if space.disk.free < floor {
        report.fault(
            "free-disk",
            format!(
                "{text}; no events are taken while less than {} are free",
                size(floor)
            ),
            "make room, or move the database to a larger disk",
        );
    } else if space.disk.free < floor.saturating_mul(2) {
        report.warn(
            "free-disk",
            format!("{text}; below {} no events are taken", size(floor)),
            "make room, or move the database to a larger disk",
        );
    } else {
        report.ok("free-disk", text);
    }
}
