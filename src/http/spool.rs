//! Files for bodies that are too large for memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// A file that is gone when it is closed, however the process ends.
pub(crate) fn nameless_file(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // Some file systems have none; then a name exists for a moment.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            named_for_a_moment(directory)
        }
        Err(error) => Err(error.into()),
    }
}

fn named_for_a_moment(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!(".spool-{:032x}", rand::random::<u128>()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn a_nameless_file_can_be_read_back() {
        let directory = tempfile::tempdir().expect("a directory");
        for make in [nameless_file, named_for_a_moment] {
            let mut file = make(directory.path()).expect("a file");
            file.write_all(b"abc").expect("written");
            file.rewind().expect("rewound");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("read");
            assert_eq!(text, "abc");
        }
        let left = std::fs::read_dir(directory.path()).expect("a listing");
        assert_eq!(left.count(), 0);
    }
}
