//! Errors that browser extensions cause in other people's pages (facts/ingestion.md 8): known by what the main
//! exception says, or by the file that threw it.

use std::sync::LazyLock;

use super::globs::Globs;
use super::subject::Subject;

const VALUES: [&str; 20] = [
    "*top.GLOBALS*",
    "*originalCreateNotification*",
    "*canvas.contentDocument*",
    "*MyApp_RemoveAllHighlights*",
    "*http://tt.epicplay.com*",
    "*Can't find variable: ZiteReader*",
    "*jigsaw is not defined*",
    "*ComboSearch is not defined*",
    "*http://loading.retry.widdit.com/*",
    "*atomicFindClose*",
    "*fb_xd_fragment*",
    "*bmi_SafeAddOnload*",
    "*EBCallBackMessageReceived*",
    "*_gCrWeb*",
    "*conduitPage*",
    "*null is not an object (evaluating 'elt.parentNode')*",
    "*plugin.setSuspendState is not a function*",
    "*Extension context invalidated*",
    "*webkit-masked-url:*",
    "*can't access dead object*",
];

const SOURCES: [&str; 14] = [
    "*graph.facebook.com*",
    "*connect.facebook.net*",
    "*eatdifferent.com.woopra-ns.com*",
    "*static.woopra.com/js/woopra.js*",
    "chrome://*",
    "chrome-extension://*",
    "moz-extension://*",
    "safari-extension://*",
    "safari-web-extension://*",
    "*webkit-masked-url*",
    "*127.0.0.1:4001/isrunning*",
    "*webappstoolbarba.texthelp.com/*",
    "*metrics.itunes.apple.com.edgesuite.net/*",
    "*kaspersky-labs.com*",
];

/// Only the first exception counts.
pub(super) fn is_extension(event: Subject<'_>) -> bool {
    static VALUE_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(VALUES));
    static SOURCE_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(SOURCES));
    event.exceptions().next().is_some_and(|exception| {
        exception.value().is_some_and(|v| VALUE_GLOBS.matches(v))
            || exception.source().is_some_and(|s| SOURCE_GLOBS.matches(s))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::Map;

    fn is_extension(exceptions: &serde_json::Value) -> bool {
        let event = serde_json::json!({ "exception": { "values": exceptions } }).to_string();
        super::is_extension(Subject::new(&Map::parse(event.as_bytes()).unwrap()))
    }

    fn with_value(value: &str) -> serde_json::Value {
        serde_json::json!([{ "type": "Error", "value": value }])
    }

    fn with_source(path: &str) -> serde_json::Value {
        serde_json::json!([{ "type": "Error", "value": "x", "stacktrace": { "frames": [
            { "abs_path": "https://shop.test/a.js" },
            { "abs_path": path },
            { "abs_path": "<anonymous>" },
        ] } }])
    }

    #[test]
    fn what_extensions_say_is_recognised() {
        for value in VALUES {
            let inner = value.trim_matches('*');
            assert!(is_extension(&with_value(inner)), "{value}");
            let shouted = format!("before {} after", inner.to_uppercase());
            assert!(is_extension(&with_value(&shouted)), "{value}");
        }
        assert!(!is_extension(&with_value("x is not defined")));
        assert!(!is_extension(&with_value("")));
    }

    #[test]
    fn where_extensions_live_is_recognised() {
        for source in SOURCES {
            let path = source.replace('*', "x/y");
            assert!(is_extension(&with_source(&path)), "{source}");
        }
        for path in [
            "https://shop.test/b.js",
            "https://shop.test/?from=chrome-extension://abc",
            "https://facebook.com/x.js",
        ] {
            assert!(!is_extension(&with_source(path)), "{path}");
        }
    }

    #[test]
    fn only_the_first_exception_counts() {
        let mut exceptions = with_value("mine");
        let own = with_value("top.GLOBALS");
        exceptions
            .as_array_mut()
            .unwrap()
            .extend(own.as_array().unwrap().clone());
        assert!(!is_extension(&exceptions));
        assert!(!is_extension(&serde_json::json!([])));
    }
}
