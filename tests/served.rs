//! Fails when an answer that the OpenAPI document of the management API promises was served by no test.
//!
//! A program of its own, because the tests of one program run in no order: cargo runs the programs one after
//! another, by name, and this one after `main`, whose client records what it is served (see `support/contract.rs`).
//! The record is that of the last run of `main`; if that ran only some tests, there is nothing to say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Answers that no test can have from every endpoint, by their status.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "503",
    "comes of a full disk or a crowd, not of a request; the tests of faults make it at some endpoints",
)];

/// How `main` may be called and still run all its tests.
const WHOLE: [&str; 6] = [
    "--nocapture",
    "--no-capture",
    "--show-output",
    "--quiet",
    "-q",
    "--test-threads=1",
];

#[test]
fn every_documented_answer_is_served_in_some_test() {
    let Some(record) = newest_record() else {
        // Where CI runs, `main` has run before.
        assert!(std::env::var_os("CI").is_none(), "there is no record");
        println!("skipped: the tests have not run");
        return;
    };
    let lines = |word: &str| -> BTreeSet<&str> {
        record
            .lines()
            .filter_map(|line| line.strip_prefix(word))
            .map(str::trim)
            .collect()
    };
    let called: Vec<&str> = lines("called").into_iter().collect();
    let arguments = called.join(" ");
    if arguments
        .split_whitespace()
        .any(|argument| !WHOLE.contains(&argument))
    {
        println!("skipped: the tests ran with {arguments}");
        return;
    }
    let documented = lines("documented");
    assert!(!documented.is_empty(), "the document promises nothing");
    let served = lines("served");
    let missing: Vec<_> = documented
        .difference(&served)
        .filter(|name| !EXCEPTIONS.iter().any(|(status, _)| name.ends_with(status)))
        .collect();
    assert!(missing.is_empty(), "served by no test: {missing:#?}");
}

fn newest_record() -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("served");
    let records = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let newest = records.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok())?;
    fs::read_to_string(newest.path()).ok()
}
