//! Request heads: where one ends, what it says, and what of it goes on.
//!
//! Strict where leniency makes two readers disagree about where a request ends: lines end in CRLF only, no folded
//! lines, one length or one chunked coding and never both. A head that passes is written anew for the lane,
//! without the fields that belong to this connection and without any that looks like one of our own.

use std::mem::MaybeUninit;
use std::net::IpAddr;

use memchr::memchr;

use super::super::lanes::field;
use super::super::{AddressRange, Refusal, wire};

/// Room for fields while parsing; the limit in the settings may be lower.
pub(super) const HEADERS_CAPACITY: usize = 128;

/// Looks for the end of a head in bytes that come little by little; reads each byte once.
#[derive(Default)]
pub(super) struct Scanner {
    scanned: usize,
    line_start: usize,
}

impl Scanner {
    /// The length of the head at the start of `bytes`, blank line included, once it is whole. `bytes` may only have
    /// grown since the last call.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<Option<usize>, Refusal> {
        while let Some(at) = memchr(b'\n', &bytes[self.scanned..]) {
            let end = self.scanned + at;
            if end == self.line_start || bytes[end - 1] != b'\r' {
                return Err(Refusal::BadRequest("A line must end in CRLF"));
            }
            let blank = end - 1 == self.line_start;
            self.scanned = end + 1;
            self.line_start = end + 1;
            if self.scanned > bytes_max {
                return Err(Refusal::HeadTooLarge);
            }
            if blank {
                return Ok(Some(self.scanned));
            }
        }
        self.scanned = bytes.len();
        match self.scanned >= bytes_max {
            true => Err(Refusal::HeadTooLarge),
            false => Ok(None),
        }
    }
}

/// How a request's body is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// So many bytes; 0 when there is no body. A length beyond `u64` is `u64::MAX`.
    Length(u64),
    Chunked,
}

/// What the gate needs to know of a head.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// In origin form.
    pub(super) target: &'a str,
    /// The same without the query.
    pub(super) path: &'a str,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// The client wants to go on with this connection.
    pub(super) keep_alive: bool,
    /// The client speaks HTTP/1.0 and must be told that the connection stays.
    pub(super) is_1_0: bool,
    /// The client's address, from `X-Forwarded-For` if the peer is trusted.
    pub(super) client: IpAddr,
}

/// Reads a whole head and appends what goes on to `out`: request line and fields, each ended by CRLF.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    headers_max: usize,
    peer: IpAddr,
    trusted_proxies: &[AddressRange],
    out: &mut Vec<u8>,
) -> Result<Head<'a>, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAPACITY];
    let headers_max = headers_max.min(HEADERS_CAPACITY);
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut fields[..headers_max]);
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::BadRequest("The request head is not whole")),
        Err(error) => return Err(refusal_of(error, bytes)),
    }
    let malformed = Refusal::BadRequest("The request line is not valid");
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(malformed);
    };
    let target = origin_form(method, target)?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let is_1_0 = version == 0;
    let fields = Fields::read(request.headers, is_1_0)?;

    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for header in request.headers.iter() {
        if !fields.is_dropped(header.name) {
            write_field(header, out);
        }
    }
    Ok(Head {
        method,
        target,
        path,
        framing: fields.framing,
        expects_continue: fields.expects_continue && !is_1_0,
        keep_alive: match is_1_0 {
            true => fields.says_keep_alive && !fields.says_close,
            false => !fields.says_close,
        },
        is_1_0,
        client: client(peer, request.headers, trusted_proxies),
    })
}

fn refusal_of(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge,
        httparse::Error::Version if names_a_version(bytes) => Refusal::VersionNotSupported,
        httparse::Error::HeaderName => Refusal::BadRequest("A field's name is not valid"),
        httparse::Error::HeaderValue => Refusal::BadRequest("A field's value is not valid"),
        _ => Refusal::BadRequest("The request line is not valid"),
    }
}

/// Whether the request line ends in `HTTP/` and a number, so that 505 is the better answer than 400.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    version
        .strip_prefix(b"HTTP/")
        .is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}

/// The path and query of a request target.
fn origin_form<'a>(method: &str, target: &'a str) -> Result<&'a str, Refusal> {
    let bad = Refusal::BadRequest("The request target is not valid");
    if method == "CONNECT" {
        return Err(Refusal::NotImplemented("The method is not supported"));
    }
    // tiny_http reads ASCII only; RFC 9112 knows nothing else, nor a fragment.
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(bad);
    }
    if target.starts_with('/') || target == "*" && method == "OPTIONS" {
        return Ok(target);
    }
    let has_scheme = |scheme: &str| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            .then_some(scheme.len())
    };
    let authority = has_scheme("http://").or(has_scheme("https://"));
    let Some(rest) = authority.map(|start| &target[start..]) else {
        return Err(bad);
    };
    match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => Ok(&rest[at..]),
        Some(_) => Err(bad),
        None => Ok("/"),
    }
}

/// The fields that concern the transport.
struct Fields<'a> {
    framing: Framing,
    expects_continue: bool,
    says_close: bool,
    says_keep_alive: bool,
    /// Values of `Connection`, whose elements name fields that end here.
    connection: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(headers: &[httparse::Header<'a>], is_1_0: bool) -> Result<Fields<'a>, Refusal> {
        let (mut length, mut is_chunked, mut hosts) = (None, false, 0);
        let mut fields = Fields {
            framing: Framing::Length(0),
            expects_continue: false,
            says_close: false,
            says_keep_alive: false,
            connection: Vec::new(),
        };
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                if length.is_some() {
                    return Err(Refusal::BadRequest("More than one Content-Length"));
                }
                length = Some(parse_length(header.value)?);
            } else if is("transfer-encoding") {
                if is_chunked || is_1_0 {
                    return Err(Refusal::BadRequest("Transfer-Encoding is not valid here"));
                }
                if !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::NotImplemented(
                        "The transfer coding is not supported",
                    ));
                }
                is_chunked = true;
            } else if is("host") {
                hosts += 1;
                if !header
                    .value
                    .iter()
                    .all(|b| b.is_ascii_graphic() && !b"/?#@,".contains(b))
                {
                    return Err(Refusal::BadRequest("Host is not valid"));
                }
            } else if is("expect") {
                if !header.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::ExpectationFailed);
                }
                fields.expects_continue = true;
            } else if is("connection") {
                let value = str::from_utf8(header.value)
                    .map_err(|_| Refusal::BadRequest("Connection is not valid"))?;
                fields.connection.push(value);
            }
        }
        if hosts > 1 || hosts == 0 && !is_1_0 {
            return Err(Refusal::BadRequest("There must be exactly one Host"));
        }
        fields.framing = match (length, is_chunked) {
            (Some(_), true) => {
                return Err(Refusal::BadRequest(
                    "Both Content-Length and Transfer-Encoding",
                ));
            }
            (_, true) => Framing::Chunked,
            (length, false) => Framing::Length(length.unwrap_or(0)),
        };
        fields.says_close = fields.connection_names("close");
        fields.says_keep_alive = fields.connection_names("keep-alive");
        Ok(fields)
    }

    fn connection_names(&self, name: &str) -> bool {
        self.connection
            .iter()
            .flat_map(|value| value.split(','))
            .any(|element| element.trim().eq_ignore_ascii_case(name))
    }

    /// Whether a field ends at the gate.
    fn is_dropped(&self, name: &str) -> bool {
        const HOP_BY_HOP: [&str; 11] = [
            "connection",
            "content-length",
            "expect",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        HOP_BY_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
            || wire::has_private_prefix(name)
            || !self.connection.is_empty() && self.connection_names(name)
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadRequest("Content-Length is not valid"));
    }
    let digits = |length: u64, digit: &u8| {
        length
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Ok(value.iter().fold(0, digits))
}

/// Writes a field for the lane; one that is not ASCII goes percent-encoded under a name of ours.
fn write_field(header: &httparse::Header<'_>, out: &mut Vec<u8>) {
    if header.value.is_ascii() {
        return wire::write_field(header.name, header.value, out);
    }
    let value = percent_encoding::percent_encode(header.value, percent_encoding::NON_ALPHANUMERIC);
    let name = [field::ENCODED_PREFIX, header.name].concat();
    wire::write_field(&name, value.to_string().as_bytes(), out);
}

/// The rightmost forwarded address that is not a trusted proxy's, if the peer is one; an unreadable element ends
/// the search at the last address that could be read.
fn client(peer: IpAddr, headers: &[httparse::Header<'_>], trusted: &[AddressRange]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer;
    if !is_trusted(peer) {
        return client;
    }
    let forwarded = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("x-forwarded-for"))
        .rev()
        .filter_map(|header| str::from_utf8(header.value).ok())
        .flat_map(|value| value.rsplit(','));
    for element in forwarded {
        let Some(address) = forwarded_address(element.trim()) else {
            break;
        };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, with or without a port, IPv6 with or without brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        let socket = text.parse::<std::net::SocketAddr>().ok();
        let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
        socket.map(|socket| socket.ip()).or_else(bracketed)
    });
    address.map(|address| address.to_canonical())
}

/// Method and path of a head that was refused, as far as they can be told; empty otherwise.
pub(super) fn guess(bytes: &[u8]) -> (&str, &str) {
    let line = bytes.split(|b| *b == b'\r' || *b == b'\n').next();
    let mut parts = line
        .and_then(|line| str::from_utf8(line).ok())
        .unwrap_or_default()
        .split(' ');
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        return ("", "");
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path.starts_with('/') {
        true => (method, path),
        false => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn parsed(text: &str) -> Result<(Framing, bool, String), Refusal> {
        let mut out = Vec::new();
        let head = parse(text.as_bytes(), 100, PEER, &[], &mut out)?;
        Ok((
            head.framing,
            head.keep_alive,
            String::from_utf8(out).expect("text"),
        ))
    }

    fn refused(text: &str) -> u16 {
        parsed(text).expect_err("should be refused").status()
    }

    fn with(fields: &str) -> String {
        format!("POST /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    }

    #[test]
    fn only_one_way_of_framing_is_taken() {
        let framing = |fields: &str| parsed(&with(fields)).map(|(framing, ..)| framing);
        assert_eq!(framing("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(
            framing("Transfer-Encoding: Chunked\r\n"),
            Ok(Framing::Chunked)
        );
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(
            framing("Content-Length: 99999999999999999999999\r\n"),
            Ok(Framing::Length(u64::MAX))
        );
        for fields in [
            "Content-Length: -1\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5,5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(refused(&with(fields)), 400, "{fields:?}");
        }
        assert_eq!(refused(&with("Transfer-Encoding: gzip, chunked\r\n")), 501);
        assert_eq!(refused(&with("Transfer-Encoding: identity\r\n")), 501);
        let old = "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(old), 400);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "GET /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            "GET  /a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a\r\nHost: x\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x/y\r\n\r\n",
        ] {
            assert_eq!(refused(text), 400, "{text:?}");
        }
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
        assert_eq!(refused(&with("Expect: 200-ok\r\n")), 417);
        let many: String = (0..101).map(|n| format!("A{n}: b\r\n")).collect();
        assert_eq!(refused(&with(&many)), 431);
    }

    #[test]
    fn lines_end_in_crlf_and_a_head_has_a_size() {
        let scan = |bytes: &[u8]| Scanner::default().scan(bytes, 20);
        assert_eq!(scan(b"GET / HTTP\r\n\r\nrest"), Ok(Some(14)));
        assert_eq!(scan(b"GET / HTTP\r\n"), Ok(None));
        assert_eq!(
            scan(b"GET / HTTP/1.1\r\na: b\r\n\r\n"),
            Err(Refusal::HeadTooLarge)
        );
        assert_eq!(
            scan(b"GET /aaaaaaaaaaaaaaaaaaaa"),
            Err(Refusal::HeadTooLarge)
        );
        assert!(matches!(
            scan(b"GET / HTTP\n\n"),
            Err(Refusal::BadRequest(_))
        ));
        assert!(matches!(scan(b"GET /\r\n\n"), Err(Refusal::BadRequest(_))));
        let mut scanner = Scanner::default();
        let whole = b"GET /\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(scanner.scan(&whole[..end], 20), Ok(None), "{end}");
        }
        assert_eq!(scanner.scan(whole, 20), Ok(Some(whole.len())));
    }

    #[test]
    fn fields_of_the_connection_end_here() {
        let text = with(
            "Connection: Foo, close\r\nfoo: 1\r\nX-Picket-Peer: 1.2.3.4\r\nTE: chunked\r\nA: b\r\nB: \u{fc}\r\n",
        );
        let (_, keep_alive, out) = parsed(&text).expect("a head");
        assert!(!keep_alive);
        assert_eq!(
            out,
            "POST /a HTTP/1.1\r\nHost: x\r\nA: b\r\nx-picket-encoded-B: %C3%BC\r\n"
        );
    }

    #[test]
    fn an_absolute_target_loses_its_authority() {
        let line = |target: &str| {
            let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            parsed(&text).map(|(_, _, out)| out.split(' ').nth(1).map(str::to_owned))
        };
        assert_eq!(line("http://x:80/a?b"), Ok(Some("/a?b".to_owned())));
        assert_eq!(line("HTTPS://x"), Ok(Some("/".to_owned())));
        assert_eq!(line("/a//b?http://"), Ok(Some("/a//b?http://".to_owned())));
        assert!(line("ftp://x/").is_err());
        assert!(line("*").is_err());
    }

    #[test]
    fn a_connection_of_1_0_ends_unless_asked_to_stay() {
        let keep = |text: &str| parsed(text).map(|(_, keep_alive, _)| keep_alive);
        assert_eq!(keep("GET / HTTP/1.0\r\n\r\n"), Ok(false));
        assert_eq!(
            keep("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
            Ok(true)
        );
        assert_eq!(keep("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(true));
    }

    #[test]
    fn only_a_trusted_peer_forwards() {
        let ranges = |text: &str| vec![text.parse::<AddressRange>().expect("a range")];
        let client_of = |trusted: &[AddressRange], value: &str| {
            let text = format!("GET / HTTP/1.0\r\nX-Forwarded-For: {value}\r\n\r\n");
            let head = parse(text.as_bytes(), 100, PEER, trusted, &mut Vec::new());
            head.expect("a head").client.to_string()
        };
        assert_eq!(client_of(&[], "203.0.113.9"), "192.0.2.1");
        let trusted = ranges("192.0.2.0/24");
        assert_eq!(client_of(&trusted, "203.0.113.9"), "203.0.113.9");
        assert_eq!(
            client_of(&trusted, "9.9.9.9, 203.0.113.9, 192.0.2.5"),
            "203.0.113.9"
        );
        assert_eq!(client_of(&trusted, "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(client_of(&trusted, "9.9.9.9, unknown"), "192.0.2.1");
    }
}
