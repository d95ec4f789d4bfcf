//! A file that is not there before it is whole: it is written under another name beside its place, synced, and then
//! renamed. Whoever is killed in between leaves that other file, which the next try takes over.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::connection::{beside, directory_of};
use crate::domain::{Error, Result};

/// Removed when dropped, unless it was finished.
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    place: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    /// Begins an empty file (mode 0600), called like the place with this at its end.
    ///
    /// # Errors
    /// It cannot be made, or somebody else is at it.
    pub(super) fn create(place: &Path, suffix: &str) -> Result<Unfinished> {
        let path = beside(place, suffix);
        let refused = |error: &dyn std::fmt::Display| {
            Error::Refused(format!("cannot write {}: {error}", path.display()))
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            // Only once it is known to be nobody else's.
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| refused(&error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(refused(&"another picket is writing it"));
            }
            Err(error) => return Err(refused(&error)),
        }
        file.set_len(0).map_err(|error| refused(&error))?;
        remove_logs_of(&path)?;
        Ok(Unfinished {
            file,
            path,
            place: place.to_owned(),
            is_finished: false,
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the superuser makes belongs to whom the place belongs, so that a server which runs as somebody else can use
    /// it: to the owner of what is there, or of the directory.
    pub(super) fn give_to_owner_of_place(&self) {
        let Ok(of) = std::fs::metadata(&self.place)
            .or_else(|_| std::fs::metadata(directory_of(&self.place)))
        else {
            return;
        };
        // Only the superuser may; for everybody else the file is theirs.
        let _ = std::os::unix::fs::fchown(&self.file, Some(of.uid()), Some(of.gid()));
    }

    /// Puts it into its place for good. `replace`: also where something is already.
    ///
    /// # Errors
    /// The disk does not keep it, or something is there.
    pub(super) fn finish(mut self, replace: bool) -> Result<()> {
        let place = self.place.display().to_string();
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Refused(format!("{place} exists already")),
            _ => Error::Refused(format!("cannot write {place}: {error}")),
        };
        self.file.sync_all().map_err(refused)?;
        rename(&self.path, &self.place, replace).map_err(refused)?;
        self.is_finished = true;
        sync_directory_of(&self.place).map_err(refused)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // It is of no use; a next try takes it over if it stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Gives a file its place. `replace`: also where something is already.
///
/// # Errors
/// `AlreadyExists`, or what the file system says.
pub(crate) fn rename(from: &Path, to: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return std::fs::rename(from, to);
    }
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot say so in one step.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            match std::fs::symlink_metadata(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
                Err(error) => Err(error),
            }
        }
        renamed => Ok(renamed?),
    }
}

/// Makes sure that the names of a file's directory survive a power cut.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Removes what SQLite left beside a database that is gone: it would play that into another one of the same name.
pub(super) fn remove_logs_of(path: &Path) -> Result<()> {
    for suffix in ["-wal", "-shm"] {
        let log = beside(path, suffix);
        match std::fs::remove_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Refused(format!(
                    "cannot remove {}: {error}",
                    log.display()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
