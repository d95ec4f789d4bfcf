//! The directory of a set of lanes' socket: in the temporary directory, closed to everybody else, and gone when the lanes
//! stop. What a killed process left of its own is removed by the next one that starts: who lives holds a lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::geteuid;

const PREFIX: &str = "picket-";
/// A younger one may belong to a process that is about to lock it.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// Removed when dropped, with what is in it.
pub(super) struct PrivateDirectory {
    path: PathBuf,
    _locked: File,
}

impl PrivateDirectory {
    /// # Errors
    /// It cannot be made or locked.
    pub(super) fn create() -> io::Result<PrivateDirectory> {
        PrivateDirectory::create_in(&std::env::temp_dir())
    }

    fn create_in(parent: &Path) -> io::Result<PrivateDirectory> {
        let path = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let locked = open(&path)
            .and_then(|directory| Ok(directory.try_lock().map(|()| directory)?))
            .inspect_err(|_| remove(&path))?;
        Ok(PrivateDirectory {
            path,
            _locked: locked,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Before it is dropped.
    pub(super) fn remove(&self) {
        remove(&self.path);
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("the lanes' directory stays behind: {error}");
        }
        _ => {}
    }
}

/// Removes what killed processes of this user left. They cost nobody anything but a name, so a failure is no error.
pub(super) fn remove_abandoned() {
    if let Err(error) = remove_abandoned_in(&std::env::temp_dir(), ABANDONED_AFTER) {
        log::debug!("cannot look for abandoned directories: {error}");
    }
}

fn remove_abandoned_in(parent: &Path, after: Duration) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if is_name_of_ours(entry.file_name().to_str())
            && is_abandoned(&entry.path(), after).unwrap_or(false)
        {
            remove(&entry.path());
        }
    }
    Ok(())
}

fn is_name_of_ours(name: Option<&str>) -> bool {
    name.and_then(|name| name.strip_prefix(PREFIX))
        .is_some_and(|key| key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The lock that tells is given back at once: whoever finds the same removes the same.
fn is_abandoned(path: &Path, after: Duration) -> io::Result<bool> {
    let directory = open(path)?;
    let found = directory.metadata()?;
    let age = found.modified()?.elapsed().unwrap_or_default();
    let is_ours = found.uid() == geteuid().as_raw() && found.mode() & 0o777 == 0o700;
    Ok(is_ours && age >= after && directory.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_or_not_ours_stays() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, mode| {
            let path = parent.path().join(name);
            DirBuilder::new().mode(mode).create(&path).unwrap();
            fs::write(path.join("socket"), "").unwrap();
            path
        };
        let used = PrivateDirectory::create_in(parent.path()).unwrap();
        let left = make("picket-0123456789abcdef", 0o700);
        let others = [
            make("picket-0123456789abcdef0", 0o700),
            make("picket-0123456789abcdeg", 0o700),
            make("picket-fedcba9876543210", 0o755),
        ];
        let link = parent.path().join("picket-0000000000000000");
        std::os::unix::fs::symlink(&others[0], &link).unwrap();

        remove_abandoned_in(parent.path(), Duration::from_secs(60)).unwrap();
        assert!(left.exists());
        let new = PrivateDirectory::create_in(parent.path()).unwrap();
        remove_abandoned_in(parent.path(), Duration::ZERO).unwrap();
        assert!(!left.exists());
        assert!(used.path().exists() && new.path().exists());
        assert!(others.iter().all(|other| other.join("socket").exists()) && link.exists());

        used.remove();
        assert!(!used.path().exists());
        let path = new.path().to_owned();
        drop(new);
        assert!(!path.exists());
    }
}
