//! Events of somebody's own machine (facts/ingestion.md 8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::subject::Subject;
use crate::domain::origin::is_host_in;

/// The user's address is a loopback address; or the page's URL is of a file or a local host; or the page was asked
/// for from a loopback address; or, of a page without URL, the asked host is local.
pub(super) fn is_local(event: Subject<'_>) -> bool {
    let url = event.url();
    event.user_address().is_some_and(is_loopback)
        || url.is_some_and(is_local_url)
        || event.header("X-Forwarded-For").is_some_and(is_loopback)
        || (url.is_none()
            && ["Host", "X-Forwarded-Host"]
                .iter()
                .filter_map(|name| event.header(name))
                .any(is_local_authority))
}

/// Exactly 127.0.0.1 or ::1, not the rest of 127.0.0.0/8.
pub(super) fn is_loopback(address: &str) -> bool {
    let address = address.trim().parse::<IpAddr>();
    address.is_ok_and(|address| match address.to_canonical() {
        IpAddr::V4(address) => address == Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
    })
}

pub(super) fn is_local_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("file") || is_local_authority(host)
}

/// `localhost`, `127.0.0.1` or what lies below them, or `[::1]`; with or without a port.
pub(super) fn is_local_authority(authority: &str) -> bool {
    if let Some(address) = authority.strip_prefix('[') {
        return address.split(']').next().is_some_and(is_loopback);
    }
    let host = authority.split(':').next().unwrap_or_default();
    // The dot of the root, which a full name ends with.
    let host = host.strip_suffix('.').unwrap_or(host);
    is_host_in(host, "localhost") || is_host_in(host, "127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::Map;

    fn is_local(event: &str) -> bool {
        super::is_local(Subject::new(&Map::parse(event.as_bytes()).unwrap()))
    }

    #[test]
    fn an_event_of_this_machine_is_recognised() {
        for event in [
            r#"{"user":{"ip_address":"127.0.0.1"}}"#,
            r#"{"user":{"ip_address":"::1"}}"#,
            r#"{"user":{"ip_address":"::ffff:127.0.0.1"}}"#,
            r#"{"request":{"url":"http://localhost"}}"#,
            r#"{"request":{"url":"http://app.LOCALHOST:3000/x"}}"#,
            r#"{"request":{"url":"https://127.0.0.1:8080/?a=b"}}"#,
            r#"{"request":{"url":"http://me:secret@localhost/"}}"#,
            r#"{"request":{"url":"file:///tmp/a.html"}}"#,
            r#"{"request":{"url":"http://localhost./"}}"#,
            r#"{"request":{"url":"http://a.localhost.:80/"}}"#,
            r#"{"request":{"url":"http://[::1]:3000/"}}"#,
            r#"{"request":{"headers":[["Host","[::1]"]]}}"#,
            r#"{"request":{"headers":[["X-Forwarded-For","127.0.0.1"]]}}"#,
            r#"{"request":{"url":"https://shop.test/","headers":[["X-Forwarded-For","::1"]]}}"#,
            r#"{"request":{"headers":[["Host","localhost:8000"]]}}"#,
            r#"{"request":{"headers":{"x-forwarded-host":"a.localhost"}}}"#,
        ] {
            assert!(is_local(event), "{event}");
        }
    }

    #[test]
    fn an_event_of_elsewhere_is_kept() {
        for event in [
            "{}",
            r#"{"user":{"ip_address":"10.0.0.1"}}"#,
            r#"{"user":{"ip_address":"127.0.0.2"}}"#,
            r#"{"user":5,"request":[]}"#,
            r#"{"request":{"url":"http://notlocalhost/"}}"#,
            r#"{"request":{"url":"http://localhost.test/?from=http://localhost"}}"#,
            r#"{"request":{"url":"localhost"}}"#,
            r#"{"request":{"url":"http://localhost../"}}"#,
            r#"{"request":{"url":"http://[::2]/"}}"#,
            r#"{"request":{"url":"https://shop.test/","headers":[["Host","localhost"]]}}"#,
            r#"{"request":{"headers":[["X-Forwarded-For","127.0.0.1, 10.0.0.1"]]}}"#,
            r#"{"request":{"headers":[["Host","shop.test"]]}}"#,
        ] {
            assert!(!is_local(event), "{event}");
        }
    }
}
