//! Asks the linker for relocations in their short form: half a megabyte less to load and to go through at every start. The
//! C library must know them, so it is asked of glibc only, and only where the one here does (2.36).

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name, value| std::env::var(name).as_deref() == Ok(value);
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && glibc_minor().is_some_and(|minor| minor >= 36)
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// 36 for "glibc 2.36".
fn glibc_minor() -> Option<u32> {
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.trim().strip_prefix("glibc 2.")?.parse().ok()
}
