//! Where new tokens of a server go: to the one who started it, and never into a log.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Whether tokens may stand in the output: on a terminal, or where somebody asked for it. The output of a
/// service is a log, which many read.
pub(super) fn may_print(asked: bool) -> bool {
    asked || io::stdout().is_terminal()
}

/// The file for what may not be printed: beside the database, with its name.
pub(super) fn file_beside(data: &Path) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".credentials");
    PathBuf::from(name)
}

/// Adds to the file, which only the owner may read. What an earlier start left there stays, because it can
/// be had nowhere else.
///
/// # Errors
/// The file cannot be written, or something else stands in its place: a link, a pipe, a file of another user.
pub(super) fn append(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        // A pipe that nobody reads must not hold up the start.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(file)?;
    let found = file.metadata()?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_file() || !is_ours || found.nlink() != 1 {
        return Err(io::Error::other(
            "it is not a plain file of this user's alone",
        ));
    }
    // The mode above counts for a new file only.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
