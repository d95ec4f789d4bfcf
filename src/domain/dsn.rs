//! The server's public address, and the URLs that a client key hands out (facts/management-api.md 7.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::id::ProjectId;
use super::key::{ClientKey, PublicKey};

/// `scheme://host[:port]` as clients see this server, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPrefix(String);

impl UrlPrefix {
    /// Checks scheme and authority, and refuses a path: the server answers at the root of its origin,
    /// because sentry-cli cannot be pointed at a prefix (design 3).
    ///
    /// # Errors
    /// One plain sentence.
    pub fn parse(text: &str) -> Result<UrlPrefix, String> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or_else(|| {
                format!("the URL prefix {text:?} must start with http:// or https://")
            })?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(format!(
                "the URL prefix {text:?} has a path; Picket answers at the root of its origin only"
            ));
        }
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '"' | '<' | '>' | '\\');
        if !authority.chars().all(plain) || !has_host_and_port(authority) {
            return Err(format!(
                "the URL prefix {text:?} has no valid host and port"
            ));
        }
        Ok(UrlPrefix(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of a server that was told none, and speaks TLS or does not. A server that listens on every address is taken to be
    /// reached from its own machine, because `0.0.0.0` is no address to send anything to.
    pub(crate) fn of_address(mut address: SocketAddr, is_https: bool) -> UrlPrefix {
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        let scheme = if is_https { "https" } else { "http" };
        UrlPrefix(format!("{scheme}://{address}"))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.parts().0 == "https"
    }

    /// `scheme` and `host[:port]`.
    fn parts(&self) -> (&str, &str) {
        self.0.split_once("://").unwrap_or(("http", &self.0))
    }

    /// The DSN that an SDK is given.
    pub(crate) fn public_dsn(&self, public: PublicKey, project: ProjectId) -> String {
        let (scheme, host) = self.parts();
        format!("{scheme}://{public}@{host}/{project}")
    }

    /// The old form of the DSN, with the secret half of the key.
    pub(crate) fn secret_dsn(&self, key: &ClientKey) -> String {
        let (scheme, host) = self.parts();
        format!(
            "{scheme}://{}:{}@{host}/{}",
            key.public, key.secret, key.project
        )
    }

    /// Where items of one kind go that name their key in the query: `kind` is `csp-report`, `security`,
    /// `minidump`, `nel` or `playstation`.
    pub(crate) fn keyed_url(&self, key: &ClientKey, kind: &str) -> String {
        let ClientKey {
            project, public, ..
        } = key;
        format!("{self}/api/{project}/{kind}/?sentry_key={public}")
    }

    /// Where the Unreal engine sends its crashes.
    pub(crate) fn unreal_url(&self, key: &ClientKey) -> String {
        format!("{self}/api/{}/unreal/{}/", key.project, key.public)
    }

    /// Where a job checks in, with a placeholder for the monitor's slug. `cron` is singular: code, tests and
    /// live answers agree against the document's example.
    pub(crate) fn crons_url(&self, key: &ClientKey) -> String {
        format!(
            "{self}/api/{}/cron/___MONITOR_SLUG___/{}/",
            key.project, key.public
        )
    }

    /// What the URLs of integrations start with.
    pub(crate) fn integration_url(&self, key: &ClientKey) -> String {
        format!("{self}/api/{}/integration/", key.project)
    }

    /// Where OpenTelemetry's exporters send a signal, `traces` or `logs`; no slash at the end.
    pub(crate) fn otlp_url(&self, key: &ClientKey, signal: &str) -> String {
        format!("{}otlp/v1/{signal}", self.integration_url(key))
    }

    /// The script that loads the JavaScript SDK.
    pub(crate) fn loader_url(&self, key: &ClientKey) -> String {
        format!("{self}/js-sdk-loader/{}.min.js", key.public)
    }

    /// Whether a web page of this `Origin` belongs to this server: the same scheme and the same host or one
    /// below it, on any port (facts/management-api.md 1.11, "under the configured base host").
    pub(crate) fn covers_origin(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let (own_scheme, own_authority) = self.parts();
        let host = host_of(authority).to_ascii_lowercase();
        let own = host_of(own_authority).to_ascii_lowercase();
        scheme.eq_ignore_ascii_case(own_scheme)
            && (host == own
                || host
                    .strip_suffix(&own)
                    .is_some_and(|below| below.ends_with('.')))
    }
}

/// The host of `host[:port]`; an IPv6 literal keeps its brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Whether an authority is a host, or an IPv6 address in brackets, with or without a port.
pub(crate) fn has_host_and_port(authority: &str) -> bool {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, rest),
            _ => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_good = match rest.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => rest.is_empty(),
    };
    !host.is_empty() && !host.contains(['[', ']']) && port_is_good
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_origin() {
        assert_eq!(
            UrlPrefix::parse("https://errors.example.test/")
                .unwrap()
                .as_str(),
            "https://errors.example.test"
        );
        assert!(UrlPrefix::parse("http://[::1]:9000").is_ok());
        for wrong in [
            "http://:9000",
            "http://h:99999",
            "http://h:",
            "http://[::1",
            "http://[h]",
            "errors.example.test",
            "http://",
            "http://h/sentry",
            "http://u@h",
            "ftp://h",
        ] {
            assert!(UrlPrefix::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_reached_on_loopback() {
        for (address, prefix) in [
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("[::]:80", "http://[::1]:80"),
            ("[::]:9000", "http://[::1]:9000"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(UrlPrefix::of_address(address, false).as_str(), prefix);
        }
    }

    #[test]
    fn the_public_dsn_ends_in_the_project_id() {
        let prefix = UrlPrefix::parse("http://127.0.0.1:9000").unwrap();
        let key = PublicKey::parse("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            prefix.public_dsn(key, ProjectId(17)),
            "http://0123456789abcdef0123456789abcdef@127.0.0.1:9000/17"
        );
    }

    #[test]
    fn an_origin_is_covered_by_scheme_and_host() {
        let prefix = UrlPrefix::parse("https://errors.example.test").unwrap();
        for ours in [
            "https://errors.example.test",
            "https://a.errors.EXAMPLE.test:8443",
        ] {
            assert!(prefix.covers_origin(ours), "{ours}");
        }
        for foreign in [
            "http://errors.example.test",
            "https://badderrors.example.test",
            "https://example.test",
            "https://errors.example.test.evil.test",
            "errors.example.test",
            "",
        ] {
            assert!(!prefix.covers_origin(foreign), "{foreign}");
        }
    }
}
