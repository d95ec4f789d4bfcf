//! Errors by what they say (facts/ingestion.md 8): React's hydration errors, chunks that did not load, and the
//! patterns of the project.

use std::cell::RefCell;
use std::sync::LazyLock;

use super::globs::Globs;
use super::subject::{Exception, Subject};

/// Pages where React explains its errors, with the numbers of those about hydration.
const HYDRATION: [&str; 2] = [
    "*reactjs.org/docs/error-decoder.html?invariant={418,419,421,422,423,425}*",
    "*react.dev/errors/{418,419,421,422,423,425}*",
];

/// An exception of type [`CHUNK_LOAD_ERROR`] says this (webpack, Turbopack).
const CHUNK: [&str; 1] = ["{Loading,Failed to load} chunk *"];
const CHUNK_LOAD_ERROR: &str = "ChunkLoadError";
/// One whose type says only that nobody caught it names the type in its value.
const NAMED_CHUNK: [&str; 1] = ["ChunkLoadError: {Loading,Failed to load} chunk *"];
const NOT_CAUGHT: [&str; 2] = ["*Uncaught *", "UnhandledRejection"];
/// Or the value says that, too; of any type.
const WRAPPED_CHUNK: [&str; 2] = [
    "*Uncaught *ChunkLoadError: {Loading,Failed to load} chunk *",
    "*promise rejection*ChunkLoadError: {Loading,Failed to load} chunk *",
];

pub(super) fn is_hydration_error(event: Subject<'_>) -> bool {
    static GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(HYDRATION));
    event
        .exceptions()
        .filter_map(Exception::value)
        .any(|value| GLOBS.matches(value))
}

pub(super) fn is_chunk_load_error(event: Subject<'_>) -> bool {
    static CHUNK_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(CHUNK));
    static NAMED_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(NAMED_CHUNK));
    static NOT_CAUGHT_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(NOT_CAUGHT));
    static WRAPPED_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(WRAPPED_CHUNK));
    event.exceptions().any(|exception| {
        let kind = exception.kind().unwrap_or_default();
        exception.value().is_some_and(|value| {
            (kind.eq_ignore_ascii_case(CHUNK_LOAD_ERROR) && CHUNK_GLOBS.matches(value))
                || (NAMED_GLOBS.matches(value) && NOT_CAUGHT_GLOBS.matches(kind))
                || WRAPPED_GLOBS.matches(value)
        })
    })
}

/// Whether the event's message or one of its exceptions fits a pattern.
pub(super) fn has_message(event: Subject<'_>, globs: &Globs) -> bool {
    !globs.is_empty()
        && (event
            .message()
            .is_some_and(|message| globs.matches(message))
            || has_exception(event, globs))
}

/// Whether one of the exceptions, written `type: value`, fits a pattern. Of an exception that has only one of the
/// two, that is matched.
pub(super) fn has_exception(event: Subject<'_>, globs: &Globs) -> bool {
    !globs.is_empty()
        && event
            .exceptions()
            .any(|exception| match (exception.kind(), exception.value()) {
                (Some(kind), Some(value)) => joined(kind, value, |text| globs.matches(text)),
                (Some(text), None) | (None, Some(text)) => globs.matches(text),
                (None, None) => false,
            })
}

/// What a worker's buffer keeps from one event to the next; more than a normalised exception needs.
const BUFFER_BYTES_KEPT: usize = 16 << 10;

/// Hands `type: value` on, in a buffer that every worker has one of, so that matching costs no allocation.
fn joined(kind: &str, value: &str, matches: impl FnOnce(&str) -> bool) -> bool {
    thread_local! {
        static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
    }
    BUFFER.with_borrow_mut(|text| {
        text.clear();
        text.extend([kind, ": ", value]);
        let matched = matches(text);
        text.shrink_to(BUFFER_BYTES_KEPT);
        matched
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::Map;

    fn holds(event: &serde_json::Value, test: impl FnOnce(Subject<'_>) -> bool) -> bool {
        test(Subject::new(
            &Map::parse(event.to_string().as_bytes()).unwrap(),
        ))
    }

    fn exception(kind: &str, value: &str) -> serde_json::Value {
        serde_json::json!({ "exception": { "values": [
            { "type": "First", "value": "cause" },
            { "type": kind, "value": value },
        ] } })
    }

    #[test]
    fn hydration_errors_are_known_by_react_s_pages() {
        for code in [418, 419, 421, 422, 423, 425] {
            for page in [
                "https://reactjs.org/docs/error-decoder.html?invariant=",
                "https://react.dev/errors/",
            ] {
                let value = format!(
                    "Minified React error #{code}; visit {page}{code} for the full message"
                );
                let event = exception("Error", &value);
                assert!(holds(&event, is_hydration_error), "{value}");
            }
        }
        for value in [
            "Minified React error #420; visit https://react.dev/errors/420",
            "Hydration failed",
            "",
        ] {
            let event = exception("Error", value);
            assert!(!holds(&event, is_hydration_error), "{value}");
        }
    }

    #[test]
    fn chunks_that_did_not_load_are_recognised() {
        let chunk = "Loading chunk 552 failed.\n(error: https://shop.test/552.js)";
        let turbo = "Failed to load chunk /_next/a.js from module 5";
        for (kind, value) in [
            ("ChunkLoadError", chunk.to_owned()),
            ("ChunkLoadError", turbo.to_owned()),
            ("chunkloaderror", turbo.to_owned()),
            (
                "Error: Uncaught (in promise)",
                format!("ChunkLoadError: {chunk}"),
            ),
            ("UnhandledRejection", format!("ChunkLoadError: {turbo}")),
            (
                "Error",
                format!("Uncaught (in promise): ChunkLoadError: {chunk}"),
            ),
            (
                "UnhandledRejection",
                format!("Non-Error promise rejection captured with value: ChunkLoadError: {turbo}"),
            ),
        ] {
            let event = exception(kind, &value);
            assert!(holds(&event, is_chunk_load_error), "{kind} {value}");
        }
        for (kind, value) in [
            ("Error", chunk),
            ("ChunkLoadError", "Chunks are not loading"),
            ("ChunkLoadError", ""),
            ("Error", "ChunkLoadError: Loading chunk 5 failed"),
            ("Uncaught TypeError", "x is not a function"),
        ] {
            let event = exception(kind, value);
            assert!(!holds(&event, is_chunk_load_error), "{kind} {value}");
        }
    }

    #[test]
    fn messages_are_matched_as_they_were_formatted() {
        let globs = Globs::compile(["hello *"]);
        let test = |event: serde_json::Value| holds(&event, |event| has_message(event, &globs));
        assert!(test(
            serde_json::json!({ "logentry": { "formatted": "Hello you" } })
        ));
        assert!(test(
            serde_json::json!({ "logentry": { "message": "Hello %s" } })
        ));
        assert!(!test(serde_json::json!(
            { "logentry": { "formatted": "Good day", "message": "Hello %s" } }
        )));
        assert!(!test(serde_json::json!({})));
    }

    #[test]
    fn exceptions_are_matched_as_type_and_value() {
        let fits = |pattern: &str, event: &serde_json::Value| {
            let globs = Globs::compile([pattern]);
            holds(event, |event| has_message(event, &globs))
        };
        let event = exception("TypeError", "x is null");
        for pattern in ["TypeError: x is null", "typeerror*", "*null", "*Error: *"] {
            assert!(fits(pattern, &event), "{pattern}");
        }
        for pattern in ["TypeError", "x is null", "null*"] {
            assert!(!fits(pattern, &event), "{pattern}");
        }
        let lone =
            serde_json::json!({ "exception": [{ "type": "Timeout" }, { "value": "late" }, {}] });
        assert!(fits("timeout", &lone) && fits("late", &lone) && !fits("", &lone));
    }

    #[test]
    fn custom_errors_do_not_look_at_the_message() {
        let globs = Globs::compile(["hello"]);
        let event = serde_json::json!({ "logentry": { "formatted": "hello" } });
        assert!(!holds(&event, |event| has_exception(event, &globs)));
    }

    #[test]
    fn a_large_exception_leaves_no_large_buffer() {
        let value = "x".repeat(1 << 20);
        assert!(joined("Error", &value, |text| text.len() == value.len() + 7));
        assert!(joined("a", "b", |text| text == "a: b"));
    }
}
