//! The allowed domains of a project (facts/ingestion.md 3): which web pages may send events to it.

/// One pattern of the list: `[scheme://]host[:port][/ignored]`, each part `*` or absent for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginPattern {
    scheme: Option<String>,
    host: Host,
    port: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exactly(String),
    /// `*.example.test`: the domain itself and everything below it.
    Below(String),
}

impl OriginPattern {
    /// Reads a pattern; none for one that is blank.
    pub(crate) fn parse(text: &str) -> Option<OriginPattern> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        let (scheme, host, port) = split(&text);
        let given = |part: &str| (part != "*").then(|| part.to_owned());
        Some(OriginPattern {
            scheme: scheme.and_then(given),
            host: match host {
                "" | "*" => Host::Any,
                _ => match host.strip_prefix("*.") {
                    Some(domain) => Host::Below(domain.to_owned()),
                    None => Host::Exactly(host.to_owned()),
                },
            },
            port: port.and_then(given),
        })
    }

    /// Whether an origin, or a URL of it, fits. Compared without case.
    pub(crate) fn matches(&self, origin: &str) -> bool {
        let (scheme, host, port) = split(origin);
        let scheme = scheme.unwrap_or_default();
        let same = |pattern: &Option<String>, part: &str| {
            pattern
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(part))
        };
        let default_port = if scheme.eq_ignore_ascii_case("https") {
            "443"
        } else {
            "80"
        };
        let host_matches = match &self.host {
            Host::Any => true,
            Host::Exactly(wanted) => wanted.eq_ignore_ascii_case(host),
            Host::Below(domain) => is_host_in(host, domain),
        };
        host_matches && same(&self.scheme, scheme) && same(&self.port, port.unwrap_or(default_port))
    }
}

/// Whether a host is the domain itself or below it. Compared without case.
pub(crate) fn is_host_in(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.as_bytes(), domain.as_bytes());
    let Some(below_bytes) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let (below, end) = host.split_at(below_bytes);
    end.eq_ignore_ascii_case(domain) && (below.is_empty() || below.ends_with(b"."))
}

/// The allowed domains of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedDomains {
    /// The default, `*`.
    Any,
    Listed(Vec<OriginPattern>),
}

impl AllowedDomains {
    /// Reads a list with one pattern per line.
    pub(crate) fn parse(lines: &str) -> AllowedDomains {
        if lines.lines().any(|line| line.trim() == "*") {
            return AllowedDomains::Any;
        }
        AllowedDomains::Listed(lines.lines().filter_map(OriginPattern::parse).collect())
    }

    /// Whether a request may pass whose `Origin` (else `Referer`) is this. Only http and https pages have
    /// an origin; a request without one always passes.
    pub(crate) fn allow(&self, origin: Option<&str>) -> bool {
        let AllowedDomains::Listed(patterns) = self else {
            return true;
        };
        let is_page = |text: &&str| {
            let (scheme, _, _) = split(text);
            scheme
                .is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
        };
        match origin.filter(is_page) {
            None => true,
            Some(origin) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

/// Scheme, host and port. IPv6 literals are not handled, as in Relay: the host ends at the first colon.
fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.split_once(':') {
        Some((host, port)) => (scheme, host, Some(port)),
        None => (scheme, authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(list: &str, origin: &str) -> bool {
        AllowedDomains::parse(list).allow(Some(origin))
    }

    #[test]
    fn a_star_domain_means_itself_and_all_below() {
        let list = "*.example.test";
        assert!(allow(list, "https://example.test"));
        assert!(allow(list, "https://a.b.EXAMPLE.test:8080/path"));
        assert!(!allow(list, "https://badexample.test"));
    }

    #[test]
    fn scheme_and_port_count_when_given() {
        assert!(allow("http://*", "http://any.test"));
        assert!(!allow("http://*", "https://any.test"));
        assert!(allow("*:8080", "https://any.test:8080"));
        assert!(!allow("*:8080", "https://any.test"));
        assert!(allow("shop.test", "https://shop.test:444"));
        assert!(allow("*://*.shop.test:*", "https://shop.test:444"));
    }

    #[test]
    fn what_is_no_page_has_no_origin() {
        for origin in ["null", "file:///tmp/a.html", "chrome-extension://abc"] {
            assert!(allow("shop.test", origin), "{origin}");
        }
        assert!(AllowedDomains::parse("shop.test").allow(None));
    }

    #[test]
    fn an_empty_list_refuses_every_page() {
        assert!(!allow("", "https://shop.test"));
    }
}
