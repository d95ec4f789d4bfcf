//! Fails when an answer that the OpenAPI document of the management API promises was served by no test.
//!
//! A program of its own, because the tests of one program run in no order: cargo runs the programs one after
//! another, by name, and this one after `main`, whose client records what it is served (see `support/contract.rs`).
//! The record is that of the last run of `main`; if that ran only some tests, there is nothing to say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How the names of answers end that no test can have from every endpoint, and why.
const EXCEPTIONS: [(&str, &str); 1] = [(
    " 503",
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
    match missing(&record) {
        Some(missing) => assert!(missing.is_empty(), "served by no test: {missing:#?}"),
        None => println!("skipped: only some tests ran"),
    }
}

/// The documented answers that a run was not served; none if it was not a run of all tests.
fn missing(record: &str) -> Option<Vec<&str>> {
    let lines = |word: &str| -> BTreeSet<&str> {
        record
            .lines()
            .filter_map(|line| line.strip_prefix(word))
            .map(str::trim)
            .collect()
    };
    let called = lines("called");
    let mut arguments = called.iter().flat_map(|line| line.split_whitespace());
    if !arguments.all(|argument| WHOLE.contains(&argument)) {
        return None;
    }
    let documented = lines("documented");
    assert!(!documented.is_empty(), "the document promises nothing");
    let is_expected = |name: &&&str| {
        let is = |(answer, _): &(&str, &str)| name.ends_with(answer);
        !EXCEPTIONS.iter().any(is)
    };
    let missing = documented
        .difference(&lines("served"))
        .filter(is_expected)
        .copied()
        .collect();
    Some(missing)
}

#[test]
fn an_answer_that_was_not_served_is_missing() {
    let record = "called --quiet\ndocumented GET /a/ 200\ndocumented GET /a/ 404\ndocumented GET /a/ 503\n\
                  served GET /a/ 200\n";
    assert_eq!(missing(record), Some(vec!["GET /a/ 404"]));
    assert_eq!(missing(&record.replace("--quiet", "api::")), None);
    let whole = format!("{record}served GET /a/ 404\n");
    assert_eq!(missing(&whole), Some(Vec::new()));
}

fn newest_record() -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("served");
    let records = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let newest = records.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok())?;
    fs::read_to_string(newest.path()).ok()
}
