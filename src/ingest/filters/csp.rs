//! Reports of a content security policy that extensions, toolbars and proxies caused, not the page
//! (facts/ingestion.md 8; the options are those of facts/management-api.md 6.4).

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

/// The sources of which a project wants no reports.
#[derive(Debug)]
pub(super) struct IgnoredSources {
    /// The known ones are among them.
    defaults: bool,
    own: Vec<OriginPattern>,
}

impl IgnoredSources {
    pub(super) fn compile(defaults: bool, own: &[String]) -> IgnoredSources {
        IgnoredSources {
            defaults,
            own: patterns(own.iter().map(String::as_str)),
        }
    }

    /// Whether what was blocked, or the file that wanted it, is one of these, and so not the page's.
    pub(super) fn contain(&self, event: Subject<'_>) -> bool {
        event.csp().is_some_and(|report| {
            ["blocked_uri", "source_file"]
                .iter()
                .filter_map(|name| report.str(name))
                .any(|source| self.contain_source(source))
        })
    }

    fn contain_source(&self, source: &str) -> bool {
        static KNOWN: LazyLock<Vec<OriginPattern>> = LazyLock::new(|| patterns(SOURCES));
        let fits = |patterns: &[OriginPattern]| patterns.iter().any(|p| p.matches(source));
        let is_known = || source.eq_ignore_ascii_case(CHROME_ERROR_PAGE) || fits(&KNOWN);
        fits(&self.own) || (self.defaults && is_known())
    }
}

fn patterns<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<OriginPattern> {
    texts.into_iter().filter_map(OriginPattern::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::Map;

    fn is_ignored(report: &serde_json::Value, sources: &IgnoredSources) -> bool {
        let event = serde_json::json!({ "csp": report }).to_string();
        sources.contain(Subject::new(&Map::parse(event.as_bytes()).unwrap()))
    }

    fn is_noise(report: &serde_json::Value) -> bool {
        is_ignored(report, &IgnoredSources::compile(true, &[]))
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
        let all = IgnoredSources::compile(true, &["*".to_owned()]);
        assert!(!all.contain(Subject::new(&Map::new())));
    }

    #[test]
    fn a_project_adds_sources_and_may_do_without_the_known_ones() {
        let own = ["*.ads.test".to_owned(), "inline".to_owned()];
        let ads = serde_json::json!({ "blocked_uri": "https://x.ads.test/a.js" });
        let inline = serde_json::json!({ "blocked_uri": "inline" });
        let known = serde_json::json!({ "source_file": "chrome-extension://abc" });
        let page = serde_json::json!({ "blocked_uri": "data:text/html,chromewebdata" });
        for defaults in [true, false] {
            let sources = IgnoredSources::compile(defaults, &own);
            assert!(is_ignored(&ads, &sources) && is_ignored(&inline, &sources));
            assert_eq!(is_ignored(&known, &sources), defaults);
            assert_eq!(is_ignored(&page, &sources), defaults);
        }
    }
}
