//! Links the binary with relocations in their short form (`DT_RELR`), half a megabyte less of 16, where that can be read.
//!
//! Which is where the C library that it is built for is glibc 2.36 or later, and the linker is the one that Rust brings for this
//! target. Everywhere else the ordinary form is used.

use std::process::Command;

/// The first glibc that reads them.
const GLIBC: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let is_native = std::env::var("HOST").is_ok_and(|host| host == target);
    if is_native && target == "x86_64-unknown-linux-gnu" && glibc().is_some_and(|it| it >= GLIBC) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
