//! A file that is not there before it is whole: it is written under another name beside its place, synced, and then
//! renamed. Whoever is killed in between leaves that other file, which the next try removes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};

use super::connection::{beside, directory_of};
use crate::domain::{Error, Result};

/// Removed when dropped, unless it was finished.
pub(crate) struct Unfinished {
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
    pub(crate) fn create(place: &Path, suffix: &str) -> Result<Unfinished> {
        let path = beside(place, suffix);
        let refused = |error: &dyn std::fmt::Display| {
            Error::Refused(format!("cannot write {}: {error}", path.display()))
        };
        remove_left(&path).map_err(|error| refused(&error))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| refused(&error))?;
        lock(&file).map_err(|error| refused(&error))?;
        remove_logs_of(&path)?;
        Ok(Unfinished {
            file,
            path,
            place: place.to_owned(),
            is_finished: false,
        })
    }

    pub(crate) fn file(&self) -> &File {
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
    pub(crate) fn finish(mut self, replace: bool) -> Result<()> {
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

/// Removes what a killed process left, rather than going on with it: it may be open to others, or lead elsewhere.
fn remove_left(path: &Path) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let left = match opened {
        Ok(left) => left,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    lock(&left)?;
    // Whoever held the lock before may have finished, and another begun.
    let (locked, there) = (left.metadata()?, std::fs::symlink_metadata(path)?);
    match (locked.dev(), locked.ino()) == (there.dev(), there.ino()) {
        true => std::fs::remove_file(path),
        false => Err(is_written()),
    }
}

fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(is_written()),
        locked => Ok(locked?),
    }
}

fn is_written() -> io::Error {
    io::Error::other("another picket is writing it")
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // It is of no use; a next try removes it if it stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Gives a file its place. `replace`: also where something is already.
///
/// # Errors
/// `AlreadyExists`, or what the file system says.
fn rename(from: &Path, to: &Path, replace: bool) -> io::Result<()> {
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
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_left_is_neither_used_nor_followed() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("backup");
        let part = directory.path().join("backup.part");
        std::fs::write(&part, "left").unwrap();
        std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o666)).unwrap();
        let left = File::open(&part).unwrap();
        let unfinished = Unfinished::create(&place, ".part").unwrap();
        unfinished.file().write_all(b"whole").unwrap();
        assert!(Unfinished::create(&place, ".part").is_err());
        unfinished.finish(false).unwrap();
        let made = std::fs::metadata(&place).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o600);
        assert_ne!(made.ino(), left.metadata().unwrap().ino());
        assert_eq!(std::fs::read(&place).unwrap(), b"whole");

        let elsewhere = directory.path().join("elsewhere");
        std::fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &part).unwrap();
        assert!(Unfinished::create(&place, ".part").is_err());
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"mine");
    }
}
