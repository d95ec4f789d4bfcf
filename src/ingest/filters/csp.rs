//! Reports of a content security policy that extensions, toolbars and proxies caused, not the page
//! (facts/ingestion.md 8).

use std::sync::LazyLock;

use super::subject::Subject;
use crate::domain::origin::OriginPattern;

/// Patterns as in facts/ingestion.md 3. After the schemes, a few hosts that are known to put advertisements or
/// other scripts into pages of others.
const SOURCES: [&str; 24] = [
    "about",
    "ms-browser-extension",
    "chrome://*",
    "chrome-extension://*",
    "chromeinvokeimmediate://*",
    "chromenull://*",
    "safari-extension://*",
    "mxaddon-pkg://*",
    "jar://*",
    "webviewprogressproxy://*",
    "ms-browser-extension://*",
    "tmtbff://*",
    "mbinit://*",
    "symres://*",
    "resource://*",
    "moz-extension://*",
    "localhost",
    "addons.mozilla.org",
    "*.superfish.com",
    "*.best-deals-products.com",
    "*.jollywallet.com",
    "*.metrext.com",
    "injections.adguard.com",
    "local.adguard.com",
];

/// The page that Chrome shows for its own errors. Not a pattern: other data URLs are the page's.
const CHROME_ERROR_PAGE: &str = "data:text/html,chromewebdata";

/// Whether what was blocked, or the file that wanted it, is known not to be the page's.
pub(super) fn is_noise(event: Subject<'_>) -> bool {
    static PATTERNS: LazyLock<Vec<OriginPattern>> = LazyLock::new(|| {
        SOURCES
            .iter()
            .filter_map(|text| OriginPattern::parse(text))
            .collect()
    });
    let is_known = |source: &str| {
        source.eq_ignore_ascii_case(CHROME_ERROR_PAGE)
            || PATTERNS.iter().any(|pattern| pattern.matches(source))
    };
    event.csp().is_some_and(|report| {
        ["blocked_uri", "source_file"]
            .iter()
            .filter_map(|name| report.str(name))
            .any(is_known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::Map;

    fn is_noise(report: &serde_json::Value) -> bool {
        let event = serde_json::json!({ "csp": report }).to_string();
        super::is_noise(Subject::new(&Map::parse(event.as_bytes()).unwrap()))
    }

    #[test]
    fn every_known_source_is_noise_in_either_field() {
        for pattern in SOURCES.into_iter().chain([CHROME_ERROR_PAGE]) {
            let source = pattern.replace('*', "a");
            for name in ["blocked_uri", "source_file"] {
                assert!(is_noise(&serde_json::json!({ name: source })), "{source}");
            }
        }
        for source in [
            "about:blank",
            "http://localhost:3000/a.js",
            "https://www.superfish.com/a.js",
            "Chrome-Extension://abc/def.js",
        ] {
            assert!(
                is_noise(&serde_json::json!({ "blocked_uri": source })),
                "{source}"
            );
        }
    }

    #[test]
    fn what_may_be_the_page_s_own_is_kept() {
        for report in [
            serde_json::json!({}),
            serde_json::json!({ "blocked_uri": "self", "source_file": "https://shop.test/a.js" }),
            serde_json::json!({ "blocked_uri": "inline" }),
            serde_json::json!({ "blocked_uri": "data" }),
            serde_json::json!({ "blocked_uri": "data:text/html,other" }),
            serde_json::json!({ "blocked_uri": "https://notsuperfish.com/" }),
            serde_json::json!({ "blocked_uri": 5, "source_file": null }),
            serde_json::json!({ "document_uri": "http://localhost/" }),
        ] {
            assert!(!is_noise(&report), "{report}");
        }
        assert!(!super::is_noise(Subject::new(&Map::new())));
    }
}
