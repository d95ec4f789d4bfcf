//! The one HTTP client.
//!
//! An organization's owner may type the addresses that are asked, and those answer with further addresses. So:
//! https only; no address of a private network, judged by what is connected to and not by the name; no redirects; an
//! end to every answer's size and time; no proxy, which would look names up past the guard. What belongs to the
//! operator's own network is asked only if the operator names it ([`OutboundSettings::internal_hosts`]).

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
pub(crate) use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error, SendBody};

use crate::domain::outbound::OutboundSettings;

/// How long a whole exchange may take, and how long an answer may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    pub(crate) body_bytes: u64,
}

/// For what is asked while somebody waits for a page.
const BRIEF: Bounds = Bounds {
    time: Duration::from_secs(5),
    body_bytes: 512 << 10,
};

const HEAD_BYTES_MAX: usize = 32 << 10;

/// Why there is no answer: one sentence for the log, or for whoever set the address.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

/// The client.
pub(crate) struct Client {
    agent: Agent,
    internal: Arc<InternalHosts>,
    bounds: Bounds,
}

impl Client {
    /// # Errors
    /// One sentence about the file of certificates.
    pub(crate) fn new(settings: &OutboundSettings) -> Result<Client, String> {
        Client::with_bounds(settings, BRIEF)
    }

    /// # Errors
    /// As for [`Client::new`].
    pub(crate) fn with_bounds(
        settings: &OutboundSettings,
        bounds: Bounds,
    ) -> Result<Client, String> {
        let internal = Arc::new(InternalHosts::new(&settings.internal_hosts));
        let roots = match &settings.ca_file {
            Some(path) => RootCerts::Specific(Arc::new(read_certificates(path)?)),
            None => RootCerts::WebPki,
        };
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_global(Some(bounds.time))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("picket/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = GuardedResolver {
            inner: DefaultResolver::default(),
            internal: Arc::clone(&internal),
        };
        Ok(Client {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            internal,
            bounds,
        })
    }

    /// Whether an address may be asked, as far as its text says.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), String> {
        let uri: Uri = url.parse().map_err(|_| "This is no URL.".to_owned())?;
        self.check(&uri)
    }

    fn check(&self, uri: &Uri) -> Result<(), String> {
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err("This is no URL with a host.".to_owned());
        }
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.internal.contain(uri) => Ok(()),
            _ => Err(
                "The URL must start with https://, unless its host is named in the setting \
                      outbound-internal-hosts."
                    .to_owned(),
            ),
        }
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// The address may not be asked, cannot be reached, or its answer is no HTTP, too long or too slow.
    pub(crate) fn call(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed = |text: String| NoAnswer(format!("{host}: {text}"));
        self.check(request.uri()).map_err(failed)?;
        let (head, body) = self
            .agent
            .run(request)
            .map_err(|error| failed(error.to_string()))?
            .into_parts();
        let body = body
            .into_with_config()
            .limit(self.bounds.body_bytes)
            .read_to_vec()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Response::from_parts(head, body))
    }

    /// Asks for leave to send a body of so many bytes, and sends none of it. The status of an answer that came at once;
    /// none if the body was waited for.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub(crate) fn offer_body(&self, url: &str, bytes: u64) -> Result<Option<u16>, NoAnswer> {
        let mut body = Unsent { asked: false };
        let request = Request::post(url)
            .header("Content-Length", bytes)
            .header("Expect", "100-continue")
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| NoAnswer(error.to_string()))?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed = |text: String| NoAnswer(format!("{host}: {text}"));
        self.check(request.uri()).map_err(failed)?;
        match self.agent.run(request) {
            Ok(answer) => Ok(Some(answer.status().as_u16())),
            Err(_) if body.asked => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// A body that ends its request as soon as it is asked for.
struct Unsent {
    asked: bool,
}

impl Read for Unsent {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.asked = true;
        Err(io::Error::other("nothing is to be sent"))
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let failed = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
    let pem = std::fs::read(path).map_err(|error| failed(&error))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| failed(&error))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(found)
}

/// The hosts of the operator's own network that may be asked.
#[derive(Debug)]
struct InternalHosts(Vec<String>);

impl InternalHosts {
    fn new(hosts: &[String]) -> InternalHosts {
        let lower = |host: &String| host.to_ascii_lowercase();
        InternalHosts(hosts.iter().map(lower).collect())
    }

    fn contain(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = uri
            .port_u16()
            .unwrap_or(if uri.scheme_str() == Some("http") {
                80
            } else {
                443
            });
        let with_port = format!("{host}:{port}");
        self.0.iter().any(|own| *own == host || *own == with_port)
    }
}

/// Looks names up and gives only addresses out that may be asked, so that what was judged is what is connected to.
#[derive(Debug)]
struct GuardedResolver {
    inner: DefaultResolver,
    internal: Arc<InternalHosts>,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.internal.contain(uri) {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            return Err(Error::Other(Box::new(NoAnswer(
                "its address is not a public one; the setting outbound-internal-hosts names hosts of the own network"
                    .to_owned(),
            ))));
        }
        Ok(public)
    }
}

/// Whether an address belongs to the internet at large (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Reserved, and the broadcast address.
        || a >= 240
        // Shared by customers of a provider.
        || a == 100 && (64..128).contains(&b)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        // Benchmarks.
        || a == 198 && (b == 18 || b == 19);
    !is_special
}

/// Global unicast, without what stands for other addresses (6to4, Teredo) or for nothing (examples).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_special = first == 0x2001 && (second < 0x0200 || second == 0x0db8)
        || first == 0x2002
        || first == 0x3fff && second < 0x1000;
    first & 0xe000 == 0x2000 && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(internal: &[&str]) -> Client {
        Client::new(&OutboundSettings {
            internal_hosts: internal.iter().map(|host| (*host).to_owned()).collect(),
            ca_file: None,
        })
        .unwrap()
    }

    fn get(client: &Client, url: &str) -> Result<Response<Vec<u8>>, NoAnswer> {
        client.call(Request::get(url).body(Vec::new()).unwrap())
    }

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones() {
        for public in [
            "1.1.1.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1",
            "2a00::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn http_is_for_internal_hosts_alone() {
        let client = client(&["idp.corp", "127.0.0.1:8080"]);
        for good in [
            "https://idp.example/",
            "http://idp.corp/",
            "http://IDP.corp:81/",
            "http://127.0.0.1:8080/",
        ] {
            assert_eq!(client.check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://idp.example/",
            "http://127.0.0.1/",
            "http://127.0.0.1:8081/",
            "ftp://idp.corp/",
            "javascript:alert(1)",
            "/path",
            "",
            "https://",
            "https://user:secret@idp.example/",
            "https://idp.corp@evil.example/",
        ] {
            assert!(client.check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_private_address_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "2130706433"] {
            let error = get(&client(&[]), &format!("https://{host}:{port}/")).unwrap_err();
            assert!(error.to_string().contains("not a public one"), "{error}");
        }
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }

    /// Answers one request with these bytes.
    fn serve(answer: Vec<u8>) -> u16 {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        });
        port
    }

    #[test]
    fn a_redirect_is_not_followed_and_a_long_answer_is_none() {
        let client = client(&["127.0.0.1"]);
        let port = serve(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        );
        let answer = get(&client, &format!("http://127.0.0.1:{port}/")).unwrap();
        assert_eq!(answer.status(), 302);

        let mut long =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 20).into_bytes();
        long.resize(long.len() + (1 << 20), b'x');
        let port = serve(long);
        assert!(get(&client, &format!("http://127.0.0.1:{port}/")).is_err());
    }
}
