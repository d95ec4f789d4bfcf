//! Browsers that a project no longer supports, by user agent (facts/ingestion.md 8, facts/management-api.md 9.2).
//!
//! Families and versions are those of the ua-parser project, whose rules stand in `uap-core/` (version 0.18.0, the
//! part about user agents, as JSON; under the licence beside them). They tell a phone's browser from a desktop's:
//! `Chrome Mobile` and `Mobile Safari` are families of their own, which no sub filter means.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use ua_parser::user_agent::{Builder, Extractor, Parser};

use super::subject::Subject;
use crate::domain::option::InboundFilters;

/// A sub filter's name, a family, and the major versions that it drops.
type Rule = (&'static str, &'static str, RangeInclusive<u32>);

/// What is dropped when the filter is switched on as a whole. That is what it meant when there were no sub filters,
/// and far less than all of today's sub filters together: who wants those names them.
const DEFAULT: &str = "default";

static RULES: [Rule; 22] = [
    ("ie", "IE", 0..=11),
    ("edge", "Edge", 0..=110),
    ("safari", "Safari", 0..=15),
    ("firefox", "Firefox", 0..=110),
    ("chrome", "Chrome", 0..=110),
    ("opera", "Opera", 0..=99),
    ("android", "Android", 0..=3),
    ("opera_mini", "Opera Mini", 0..=34),
    ("ie_pre_9", "IE", 0..=8),
    ("ie9", "IE", 9..=9),
    ("ie10", "IE", 10..=10),
    ("ie11", "IE", 11..=11),
    ("safari_pre_6", "Safari", 0..=5),
    ("opera_pre_15", "Opera", 0..=14),
    ("opera_mini_pre_8", "Opera Mini", 0..=7),
    ("android_pre_4", "Android", 0..=3),
    ("edge_pre_79", "Edge", 0..=78),
    (DEFAULT, "IE", 0..=9),
    (DEFAULT, "Safari", 0..=5),
    (DEFAULT, "Opera", 0..=14),
    (DEFAULT, "Android", 0..=3),
    (DEFAULT, "Opera Mini", 0..=7),
];

/// No browser has a longer user agent; what is behind that is not looked at.
const USER_AGENT_BYTES_MAX: usize = 512;

/// The rules that a project has switched on.
#[derive(Debug)]
pub(super) struct LegacyBrowsers(Vec<&'static Rule>);

impl LegacyBrowsers {
    pub(super) fn compile(settings: &InboundFilters) -> LegacyBrowsers {
        let is_on = |name: &str| match name {
            DEFAULT => settings.legacy_browsers_default,
            name => settings.legacy_browsers.iter().any(|on| on == name),
        };
        LegacyBrowsers(RULES.iter().filter(|(name, ..)| is_on(name)).collect())
    }

    /// Whether an event's browser is one of these. One of unknown version is not.
    pub(super) fn contain(&self, event: Subject<'_>) -> bool {
        !self.0.is_empty()
            && event
                .user_agent()
                .is_some_and(|agent| self.contain_agent(agent))
    }

    fn contain_agent(&self, agent: &str) -> bool {
        let agent = &agent[..agent.floor_char_boundary(USER_AGENT_BYTES_MAX)];
        let Some((family, major)) = RECENT.with_borrow_mut(|recent| recent.browser(agent)) else {
            return false;
        };
        self.0
            .iter()
            .any(|(_, of, majors)| *of == family && majors.contains(&major))
    }
}

/// One of the families in [`RULES`], and a major version.
type Browser = (&'static str, u32);

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent::new()) };
}

/// The user agents that a worker met last, with what the rules say of them: reading one takes ten times as long as
/// everything else about an event, and most events come from a handful of browsers.
struct Recent {
    agents: Vec<(String, Option<Browser>)>,
    /// Which one goes next.
    oldest: usize,
}

const RECENT_MAX: usize = 64;

impl Recent {
    const fn new() -> Recent {
        Recent {
            agents: Vec::new(),
            oldest: 0,
        }
    }

    /// The family and version of a user agent; none if no rule could mean it.
    fn browser(&mut self, agent: &str) -> Option<Browser> {
        if let Some((_, browser)) = self.agents.iter().find(|(known, _)| known == agent) {
            return *browser;
        }
        let browser = parse(agent);
        if self.agents.len() < RECENT_MAX {
            self.agents.push((agent.to_owned(), browser));
        } else {
            self.agents[self.oldest] = (agent.to_owned(), browser);
            self.oldest = (self.oldest + 1) % RECENT_MAX;
        }
        browser
    }
}

fn parse(agent: &str) -> Option<Browser> {
    let browser = EXTRACTOR.as_ref()?.extract(agent)?;
    let major = browser.major?.parse().ok()?;
    let family = match &*browser.family {
        "IE Mobile" => "IE",
        family => family,
    };
    let (_, family, _) = RULES.iter().find(|(_, of, _)| *of == family)?;
    Some((family, major))
}

/// Made for the first event that needs it: 30 ms and 8 MiB, which nobody pays who does not use the filter. None
/// only if the rules were damaged.
static EXTRACTOR: LazyLock<Option<Extractor<'static>>> = LazyLock::new(|| match extractor() {
    Ok(extractor) => Some(extractor),
    Err(error) => {
        log::error!("the rules for user agents cannot be used: {error}");
        None
    }
});

fn extractor() -> Result<Extractor<'static>, Box<dyn std::error::Error>> {
    let rules: Vec<Parser<'static>> =
        serde_json::from_str(include_str!("uap-core/user_agents.json"))?;
    Ok(Builder::new().push_all(rules)?.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::option::LEGACY_BROWSERS;
    use crate::ingest::filters::tests::off;

    const IE8: &str = "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)";
    const IE9: &str = "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)";
    const IE10: &str = "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)";
    const IE11: &str = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko";
    const IE_MOBILE_10: &str = "Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM; Touch; NOKIA; Lumia 920)";
    const OPERA_MINI_7: &str =
        "Opera/9.80 (Android; Opera Mini/7.5.33361/31.1543; U; en) Presto/2.8.119 Version/11.1010";
    const OPERA_MINI_34: &str =
        "Opera/9.80 (Android; Opera Mini/34.0.2254/191.1; U; en) Presto/2.12.423 Version/12.16";
    const OPERA_12: &str = "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18";

    fn edge(major: u32) -> String {
        format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/{major}.0.1587.50"
        )
    }

    fn old_edge(major: u32) -> String {
        format!(
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/{major}.17134"
        )
    }

    fn safari(major: u32) -> String {
        format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{major}.1 Safari/605.1.15"
        )
    }

    fn firefox(major: u32) -> String {
        format!("Mozilla/5.0 (X11; Linux x86_64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0")
    }

    fn chrome(major: u32) -> String {
        format!(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
        )
    }

    fn opera(major: u32) -> String {
        format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/113.0.0.0 Safari/537.36 OPR/{major}.0.0.0"
        )
    }

    fn android(major: u32) -> String {
        format!(
            "Mozilla/5.0 (Linux; U; Android {major}.1.2; en-us; GT-S5830) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1"
        )
    }

    fn drops(name: &str, agent: &str) -> bool {
        let settings = InboundFilters {
            legacy_browsers: vec![name.to_owned()],
            legacy_browsers_default: name == DEFAULT,
            ..off()
        };
        LegacyBrowsers::compile(&settings).contain_agent(agent)
    }

    #[test]
    fn every_sub_filter_has_its_rule() {
        for name in LEGACY_BROWSERS {
            assert!(RULES.iter().any(|(rule, ..)| *rule == name), "{name}");
        }
    }

    #[test]
    fn each_sub_filter_drops_its_versions_and_no_newer_ones() {
        for (name, dropped, kept) in [
            ("ie", IE11.to_owned(), chrome(90)),
            ("ie", IE_MOBILE_10.to_owned(), edge(12)),
            ("edge", edge(110), edge(111)),
            ("edge", old_edge(17), chrome(50)),
            ("safari", safari(15), safari(16)),
            ("firefox", firefox(110), firefox(111)),
            ("chrome", chrome(110), chrome(111)),
            ("opera", opera(99), opera(100)),
            ("opera", OPERA_12.to_owned(), OPERA_MINI_7.to_owned()),
            ("android", android(3), android(4)),
            ("opera_mini", OPERA_MINI_34.to_owned(), opera(35)),
            ("ie_pre_9", IE8.to_owned(), IE9.to_owned()),
            ("ie9", IE9.to_owned(), IE8.to_owned()),
            ("ie10", IE10.to_owned(), IE11.to_owned()),
            ("ie10", IE_MOBILE_10.to_owned(), IE9.to_owned()),
            ("ie11", IE11.to_owned(), IE10.to_owned()),
            ("safari_pre_6", safari(5), safari(6)),
            ("opera_pre_15", OPERA_12.to_owned(), opera(15)),
            (
                "opera_mini_pre_8",
                OPERA_MINI_7.to_owned(),
                OPERA_MINI_34.to_owned(),
            ),
            ("android_pre_4", android(2), android(4)),
            ("edge_pre_79", old_edge(18), edge(79)),
        ] {
            assert!(drops(name, &dropped), "{name}: {dropped}");
            assert!(!drops(name, &kept), "{name}: {kept}");
        }
    }

    #[test]
    fn switched_on_as_a_whole_it_drops_what_is_very_old() {
        for (dropped, kept) in [
            (IE9.to_owned(), IE10.to_owned()),
            (safari(5), safari(6)),
            (OPERA_12.to_owned(), opera(15)),
            (android(3), android(4)),
            (OPERA_MINI_7.to_owned(), OPERA_MINI_34.to_owned()),
            (IE8.to_owned(), firefox(2)),
        ] {
            assert!(drops(DEFAULT, &dropped), "{dropped}");
            assert!(!drops(DEFAULT, &kept), "{kept}");
        }
    }

    #[test]
    fn other_families_and_unknown_versions_pass() {
        for agent in [
            "",
            "curl/8.0",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/99999999999.0 Safari/537.36",
        ] {
            for name in LEGACY_BROWSERS.into_iter().chain([DEFAULT]) {
                assert!(!drops(name, agent), "{name}: {agent}");
            }
        }
    }

    #[test]
    fn a_long_user_agent_is_cut_between_characters() {
        for filler in ["x", "\u{e9}", "\u{1f600}"] {
            let agent = format!("{} {}", chrome(90), filler.repeat(10_000));
            assert!(drops("chrome", &agent));
        }
    }
}
