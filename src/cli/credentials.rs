//! Where new tokens of a server go: to the one who started it, and never into a log.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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
/// The file cannot be written, or a link stands in its place.
pub(super) fn append(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(file)?;
    // The mode above counts for a new file only.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
