//! Where the databases lie, and how long the disk there takes to keep something.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A fresh folder that goes with the value.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent = std::env::var_os("LOAD_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::tempdir_in(parent).expect("a directory")
}

/// The median time of a sync after 4 KiB were written.
pub(crate) fn sync_time() -> Duration {
    let directory = directory();
    let mut file = File::create(directory.path().join("sync")).expect("a file");
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            file.write_all(&[7; 4096]).expect("written");
            let start = Instant::now();
            file.sync_data().expect("synced");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
