//! libFuzzer's entry. One program has all targets, so that they are built and linked once; `PICKET_FUZZ_TARGET`
//! says which of them runs.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use picket::fuzzing::TARGETS;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("PICKET_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(name, _)| *name == wanted) {
        Some((_, target)) => *target,
        None => {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!("PICKET_FUZZ_TARGET must be one of: {}", names.join(" "));
            std::process::exit(2);
        }
    }
});

fuzz_target!(|data: &[u8]| TARGET(data));
