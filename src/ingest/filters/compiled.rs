//! The inbound filters of a project, ready to be asked (facts/ingestion.md 8).

use std::net::IpAddr;

use super::addresses::Addresses;
use super::csp::IgnoredSources;
use super::globs::Globs;
use super::legacy_browsers::LegacyBrowsers;
use super::subject::Subject;
use super::{browser_extensions, crawlers, errors, health_checks, localhost};
use crate::domain::option::InboundFilters;
use crate::ingest::items::Kind;
use crate::ingest::json::Map;

/// The reason of items whose sender is not wanted.
const BLOCKED_CLIENT: &str = "ip-address";

/// Made once per change of the settings, and shared by all workers. To ask costs no allocation; but for legacy
/// browsers, where the parser of user agents makes five, of 32 KiB together.
#[derive(Debug)]
pub(in crate::ingest) struct Filters {
    react_hydration: bool,
    chunk_load: bool,
    custom_errors: Globs,
    ignored_sources: IgnoredSources,
    addresses: Addresses,
    releases: Globs,
    error_messages: Globs,
    localhost: bool,
    browser_extensions: bool,
    legacy_browsers: LegacyBrowsers,
    web_crawlers: bool,
    health_checks: bool,
    log_messages: Globs,
    metric_names: Globs,
}

impl Filters {
    /// A pattern or an address that cannot be used is left out, and the log says so.
    pub(in crate::ingest) fn compile(settings: &InboundFilters) -> Filters {
        let globs = |patterns: &[String]| Globs::compile(patterns.iter().map(String::as_str));
        Filters {
            react_hydration: settings.react_hydration,
            chunk_load: settings.chunk_load,
            custom_errors: globs(&settings.custom_errors),
            ignored_sources: IgnoredSources::compile(settings.csp_defaults, &settings.csp_sources),
            addresses: Addresses::compile(settings.addresses.iter().map(String::as_str)),
            releases: globs(&settings.releases),
            error_messages: globs(&settings.error_messages),
            localhost: settings.localhost,
            browser_extensions: settings.browser_extensions,
            legacy_browsers: LegacyBrowsers::compile(settings),
            web_crawlers: settings.web_crawlers,
            health_checks: settings.health_checks,
            log_messages: globs(&settings.log_messages),
            metric_names: globs(&settings.metric_names),
        }
    }

    /// The reason for which a normalised event, of any kind that has an event's fields, is not wanted. Of several
    /// reasons the first counts. `peer` is the client's address.
    pub(in crate::ingest) fn event(
        &self,
        event: &Map<'_>,
        kind: Kind,
        peer: IpAddr,
    ) -> Option<&'static str> {
        let event = Subject::new(event);
        let is_error = matches!(kind, Kind::Event | Kind::Security);
        let is_transaction = kind == Kind::Transaction;
        Some(
            if is_error && self.react_hydration && errors::is_hydration_error(event) {
                "react-hydration-errors"
            } else if is_error && self.chunk_load && errors::is_chunk_load_error(event) {
                "chunk-load-error"
            } else if is_error && errors::has_exception(event, &self.custom_errors) {
                "custom-error"
            } else if is_error && self.ignored_sources.contain(event) {
                "invalid-csp"
            } else if self.addresses.contain(peer) {
                BLOCKED_CLIENT
            } else if event.release().is_some_and(|r| self.releases.matches(r)) {
                "release-version"
            } else if is_error && errors::has_message(event, &self.error_messages) {
                "error-message"
            } else if self.localhost && localhost::is_local(event) {
                "localhost"
            } else if is_error && self.browser_extensions && browser_extensions::is_extension(event)
            {
                "browser-extensions"
            } else if self.legacy_browsers.contain(event) {
                "legacy-browsers"
            } else if self.web_crawlers && crawlers::is_crawler(event) {
                "web-crawlers"
            } else if is_transaction && self.health_checks && health_checks::is_health_check(event)
            {
                "filtered-transaction"
            } else {
                return None;
            },
        )
    }

    /// The same of an item that is no event, where only who sent it counts.
    pub(in crate::ingest) fn client(&self, peer: IpAddr) -> Option<&'static str> {
        self.addresses.contain(peer).then_some(BLOCKED_CLIENT)
    }

    /// The same of one log entry.
    pub(in crate::ingest) fn log(&self, entry: &Map<'_>) -> Option<&'static str> {
        let body = entry.str("body")?;
        self.log_messages.matches(body).then_some("log-message")
    }

    /// The same of one metric.
    pub(in crate::ingest) fn metric(&self, entry: &Map<'_>) -> Option<&'static str> {
        let name = entry.str("name")?;
        self.metric_names
            .matches(name)
            .then_some("trace-metric-name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::option::{IngestSettings, Options};
    use crate::ingest::filters::tests::off;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

    const KINDS: [Kind; 5] = [
        Kind::Event,
        Kind::Security,
        Kind::Transaction,
        Kind::Feedback,
        Kind::ReplayEvent,
    ];

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn defaults() -> InboundFilters {
        IngestSettings::of(&Options::new(), &Options::new()).filters
    }

    fn everything() -> InboundFilters {
        InboundFilters {
            localhost: true,
            browser_extensions: true,
            legacy_browsers: texts(&["chrome", "ie"]),
            legacy_browsers_default: false,
            web_crawlers: true,
            health_checks: true,
            react_hydration: true,
            chunk_load: true,
            custom_errors: texts(&["*custom*"]),
            csp_defaults: true,
            csp_sources: texts(&["*.ads.test"]),
            addresses: texts(&["203.0.113.0/24"]),
            releases: texts(&["shop@1.*"]),
            error_messages: texts(&["*message*", "*: nothing"]),
            log_messages: texts(&["debug *"]),
            metric_names: texts(&["test.*"]),
        }
    }

    /// An event that every filter has something against, by what comes first.
    fn unwanted() -> serde_json::Value {
        serde_json::json!({
            "exception": { "values": [{
                "type": "ChunkLoadError",
                "value": "Loading chunk 5 failed; top.GLOBALS custom message https://react.dev/errors/418",
            }] },
            "csp": { "blocked_uri": "chrome-extension://abc" },
            "release": "shop@1.2.3",
            "transaction": "/health",
            "user": { "ip_address": "127.0.0.1" },
            "request": { "headers": [
                ["User-Agent", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1) Chrome/90.0.0.0 Safari/537.36"],
            ] },
        })
    }

    fn reason(
        settings: &InboundFilters,
        event: &serde_json::Value,
        kind: Kind,
    ) -> Option<&'static str> {
        let text = event.to_string();
        let event = Map::parse(text.as_bytes()).unwrap();
        Filters::compile(settings).event(&event, kind, PEER)
    }

    #[test]
    fn of_several_reasons_the_first_counts() {
        let mut settings = everything();
        let mut event = unwanted();
        let mut next = |expected: Option<&str>, remedy: &dyn Fn(&mut InboundFilters)| {
            assert_eq!(reason(&settings, &event, Kind::Event), expected);
            remedy(&mut settings);
            if expected == Some("custom-error") {
                assert_eq!(reason(&settings, &event, Kind::Event), Some("invalid-csp"));
                event.as_object_mut().unwrap().remove("csp");
            }
        };
        next(Some("react-hydration-errors"), &|s| {
            s.react_hydration = false
        });
        next(Some("chunk-load-error"), &|s| s.chunk_load = false);
        next(Some("custom-error"), &|s| s.custom_errors.clear());
        next(Some("ip-address"), &|s| s.addresses.clear());
        next(Some("release-version"), &|s| s.releases.clear());
        next(Some("error-message"), &|s| s.error_messages.clear());
        next(Some("localhost"), &|s| s.localhost = false);
        next(Some("browser-extensions"), &|s| {
            s.browser_extensions = false
        });
        let crawler = Some("web-crawlers");
        next(crawler, &|s| s.legacy_browsers.push("default".to_owned()));
        next(crawler, &|s| s.web_crawlers = false);
        next(None, &|_| ());
        assert_eq!(
            reason(&settings, &event, Kind::Transaction),
            Some("filtered-transaction")
        );
    }

    #[test]
    fn legacy_browsers_come_before_crawlers() {
        let event = serde_json::json!({ "request": { "headers": [["User-Agent",
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; AWS Security Scanner)"]] } });
        let settings = InboundFilters {
            legacy_browsers: texts(&["ie"]),
            web_crawlers: true,
            ..off()
        };
        assert_eq!(
            reason(&settings, &event, Kind::Event),
            Some("legacy-browsers")
        );
    }

    #[test]
    fn filters_of_errors_look_at_errors_only() {
        let settings = InboundFilters {
            addresses: Vec::new(),
            releases: Vec::new(),
            localhost: false,
            legacy_browsers: Vec::new(),
            web_crawlers: false,
            health_checks: false,
            ..everything()
        };
        for kind in KINDS {
            let expected =
                matches!(kind, Kind::Event | Kind::Security).then_some("react-hydration-errors");
            assert_eq!(reason(&settings, &unwanted(), kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn filters_of_clients_and_releases_look_at_everything() {
        let event = serde_json::json!({ "release": "shop@1.2.3" });
        for kind in KINDS {
            let settings = everything();
            assert_eq!(
                reason(&settings, &event, kind),
                Some("ip-address"),
                "{kind:?}"
            );
            let settings = InboundFilters {
                releases: texts(&["SHOP@1.?.{3,4}"]),
                ..off()
            };
            assert_eq!(
                reason(&settings, &event, kind),
                Some("release-version"),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn by_default_only_what_is_surely_noise_is_filtered() {
        assert_eq!(
            reason(&defaults(), &unwanted(), Kind::Event),
            Some("react-hydration-errors")
        );
        assert_eq!(
            reason(&defaults(), &unwanted(), Kind::Transaction),
            Some("filtered-transaction")
        );
        for kind in [Kind::Feedback, Kind::ReplayEvent] {
            assert_eq!(reason(&defaults(), &unwanted(), kind), None, "{kind:?}");
        }
    }

    #[test]
    fn with_everything_off_nothing_is_filtered() {
        for kind in KINDS {
            assert_eq!(reason(&off(), &unwanted(), kind), None, "{kind:?}");
        }
        let settings = InboundFilters {
            csp_defaults: true,
            ..off()
        };
        assert_eq!(
            reason(&settings, &unwanted(), Kind::Security),
            Some("invalid-csp")
        );
    }

    #[test]
    fn logs_and_metrics_are_matched_by_what_they_say() {
        let filters = Filters::compile(&everything());
        let entry = |text: &'static str| Map::parse(text.as_bytes()).unwrap();
        let log = |text| filters.log(&entry(text));
        assert_eq!(log(r#"{"body":"Debug mode"}"#), Some("log-message"));
        assert_eq!(log(r#"{"body":"no debug mode"}"#), None);
        assert_eq!(log(r#"{"body":5}"#), None);
        assert_eq!(log("{}"), None);
        let metric = |text| filters.metric(&entry(text));
        assert_eq!(metric(r#"{"name":"test.a"}"#), Some("trace-metric-name"));
        assert_eq!(metric(r#"{"name":"tests"}"#), None);
        assert_eq!(metric(r#"{"body":"test.a"}"#), None);
        let none = Filters::compile(&off());
        assert_eq!(none.log(&entry(r#"{"body":""}"#)), None);
        assert_eq!(none.metric(&entry(r#"{"name":""}"#)), None);
    }

    #[test]
    fn items_that_are_no_events_are_filtered_by_their_client() {
        let filters = Filters::compile(&everything());
        assert_eq!(filters.client(PEER), Some("ip-address"));
        assert_eq!(filters.client([198, 51, 100, 1].into()), None);
    }

    #[test]
    fn whatever_shape_an_event_has_is_looked_at() {
        let filters = Filters::compile(&everything());
        let values = [
            "null", "5", "\"a\"", "[]", "{}", "[[]]", "[[null]]", "[{}]", "[5]",
        ];
        let keys = [
            "exception",
            "csp",
            "user",
            "request",
            "logentry",
            "release",
            "transaction",
        ];
        for value in values {
            for key in keys {
                let inner = [
                    format!(r#"{{"{key}":{value}}}"#),
                    format!(r#"{{"{key}":{{"values":{value},"headers":{value},"url":{value}}}}}"#),
                    format!(
                        r#"{{"{key}":[{{"type":{value},"value":{value},"stacktrace":{{"frames":{value}}}}}]}}"#
                    ),
                ];
                for text in inner {
                    let event = Map::parse(text.as_bytes()).unwrap();
                    for kind in KINDS {
                        filters.event(&event, kind, [198, 51, 100, 1].into());
                    }
                }
            }
        }
    }

    /// An event as SDKs send them, that nothing is wrong with.
    const ORDINARY: &str = r#"{
        "release": "shop@2.0.0", "transaction": "GET /orders/{id}",
        "logentry": {"formatted": "Payment of order 17 failed"},
        "exception": {"values": [
            {"type": "TimeoutError", "value": "no answer within 5 s"},
            {"type": "PaymentError", "value": "Payment of order 17 failed: dü no answer",
             "stacktrace": {"frames": [{"abs_path": "https://shop.test/a.js"}, {"abs_path": "<anonymous>"}]}}]},
        "csp": {"blocked_uri": "https://cdn.test/a.js", "source_file": "https://shop.test/"},
        "user": {"ip_address": "198.51.100.1"},
        "request": {"url": "https://shop.test/orders/17", "headers": [["Accept", "*/*"],
            ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"]]}
    }"#;

    #[test]
    fn an_ordinary_event_costs_no_allocation() {
        let event = Map::parse(ORDINARY.as_bytes()).unwrap();
        for settings in [off(), defaults(), everything()] {
            let filters = Filters::compile(&settings);
            let ask = || {
                for kind in KINDS {
                    let reason = filters.event(&event, kind, [198, 51, 100, 1].into());
                    assert_eq!(reason, None, "{kind:?}");
                }
                assert_eq!((filters.log(&event), filters.metric(&event)), (None, None));
            };
            // The automata make their states, and the worker its buffer and what it knows of browsers, the first time.
            ask();
            let cost = allocation_counter::measure(ask);
            assert_eq!(cost.count_total, 0, "{settings:?}");
        }
    }
}
