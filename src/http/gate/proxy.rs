//! The PROXY protocol, versions 1 and 2: how a proxy that does not look into a connection says whose it is.
//!
//! Strict, and about the source address alone, which is why this is not left to a library; what else a header
//! carries is skipped. Whom to believe is the session's business.
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A line of version 1, CRLF included.
const LINE_BYTES_MAX: usize = 107;
/// What a header of version 2 may hold behind its first 16 bytes. Addresses take 216 at most, and no proxy adds more
/// than a few hundred.
const BLOCK_BYTES_MAX: usize = 4096;

const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A whole header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) bytes: usize,
    /// None: the proxy speaks for itself, or does not know.
    pub(super) source: Option<IpAddr>,
}

/// What is no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// Reads the header at the start of `bytes`; None while there is not enough of it.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if is_or_begins(bytes, SIGNATURE) {
        parse_block(bytes)
    } else if is_or_begins(bytes, LINE_START) {
        parse_line(bytes)
    } else {
        Err(Malformed)
    }
}

/// Whether `bytes` starts with `start`, as far as it goes.
fn is_or_begins(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return match seen.len() < LINE_BYTES_MAX {
            true => Ok(None),
            false => Err(Malformed),
        };
    };
    let line = seen[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let line = str::from_utf8(line).map_err(|_| Malformed)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(Malformed)?;
    let mut source = None;
    // Behind UNKNOWN anything may stand.
    if family != "UNKNOWN" {
        let mut word = || words.next().ok_or(Malformed);
        let (from, to) = (word()?, word()?);
        let (from_port, to_port) = (word()?, word()?);
        let is_one = |text: &str| match family {
            "TCP4" => text
                .parse()
                .ok()
                .map(|address: Ipv4Addr| IpAddr::from(address)),
            "TCP6" => text
                .parse()
                .ok()
                .map(|address: Ipv6Addr| IpAddr::from(address)),
            _ => None,
        };
        let (Some(from), Some(_)) = (is_one(from), is_one(to)) else {
            return Err(Malformed);
        };
        if !is_port(from_port) || !is_port(to_port) || words.next().is_some() {
            return Err(Malformed);
        }
        source = Some(from.to_canonical());
    }
    Ok(Some(Header {
        bytes: end + 1,
        source,
    }))
}

fn is_port(text: &str) -> bool {
    let is_plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain && text.parse::<u16>().is_ok()
}

fn parse_block(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > BLOCK_BYTES_MAX {
        return Err(Malformed);
    }
    // How many bytes the addresses of a family take; of streams only, for nothing else reaches a socket of ours.
    let needed = match (command, family) {
        (0x20, _) | (0x21, 0x00) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        (0x21, 0x31) => 216,
        _ => return Err(Malformed),
    };
    if length < needed {
        return Err(Malformed);
    }
    let Some(block) = rest.get(..length) else {
        return Ok(None);
    };
    let source: Option<IpAddr> = match needed {
        12 => block.first_chunk::<4>().map(|octets| (*octets).into()),
        36 => block.first_chunk::<16>().map(|octets| (*octets).into()),
        _ => None,
    };
    Ok(Some(Header {
        bytes: 16 + length,
        source: source.map(|address| address.to_canonical()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngExt, SeedableRng};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn line(text: &str) -> Result<Option<Header>, Malformed> {
        parse(text.as_bytes())
    }

    fn block(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("a length").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    /// Every way of saying who it is, with something behind it.
    fn all() -> Vec<(Vec<u8>, Header)> {
        let v4: Vec<u8> = [[192, 0, 2, 7], [198, 51, 100, 1], [1, 2, 3, 4]].concat();
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(
            &"2001:db8::9"
                .parse::<Ipv6Addr>()
                .expect("an address")
                .octets(),
        );
        let with_more = [&v4[..], b"\x04\x00\x03abc"].concat();
        let header = |bytes: &[u8], source: Option<&str>| Header {
            bytes: bytes.len(),
            source: source.map(address),
        };
        [
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".to_vec(),
                Some("192.0.2.7"),
            ),
            (
                b"PROXY TCP6 2001:db8::9 2001:db8::1 0 65535\r\n".to_vec(),
                Some("2001:db8::9"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(),
                Some("192.0.2.7"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever it says 1 2\r\n".to_vec(), None),
            (block(0x21, 0x11, &v4), Some("192.0.2.7")),
            (block(0x21, 0x11, &with_more), Some("192.0.2.7")),
            (block(0x21, 0x21, &v6), Some("2001:db8::9")),
            (block(0x21, 0x31, &[b'a'; 216]), None),
            (block(0x21, 0x00, b""), None),
            (block(0x20, 0x00, b""), None),
            (block(0x20, 0x11, b"rubbish"), None),
        ]
        .map(|(bytes, source)| {
            let header = header(&bytes, source);
            (bytes, header)
        })
        .into()
    }

    #[test]
    fn both_versions_name_the_source() {
        for (bytes, header) in all() {
            assert_eq!(parse(&bytes), Ok(Some(header)), "{bytes:?}");
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&followed), Ok(Some(header)), "{bytes:?}");
        }
    }

    #[test]
    fn half_a_header_is_waited_for() {
        for (bytes, _) in all() {
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{:?}", &bytes[..end]);
            }
        }
    }

    #[test]
    fn what_is_nearly_a_header_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
            "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n",
            "PROXY TCP4 1.1.1.300 2.2.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP6 [::1] [::1] 1 2\r\n",
            "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY unknown\r\n",
        ] {
            assert_eq!(line(text), Err(Malformed), "{text:?}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'a'; LINE_BYTES_MAX]].concat();
        assert_eq!(parse(&endless), Err(Malformed));
        for (command, family, length) in [
            (0x11, 0x11, 12),
            (0x22, 0x11, 12),
            (0x21, 0x12, 12),
            (0x21, 0x22, 36),
            (0x21, 0x41, 36),
            (0x21, 0x11, 11),
            (0x21, 0x21, 35),
            (0x21, 0x31, 215),
            (0x20, 0x00, BLOCK_BYTES_MAX + 1),
        ] {
            let bytes = block(command, family, &vec![0; length]);
            assert_eq!(parse(&bytes), Err(Malformed), "{command} {family} {length}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_read_beyond_its_end() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let models = all();
        for round in 0..100_000 {
            let mut bytes = models[round % models.len()].0.clone();
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            bytes.truncate(random.random_range(0..=bytes.len()));
            let mut noise = [0; 32];
            random.fill_bytes(&mut noise);
            bytes.extend_from_slice(&noise[..random.random_range(0..32)]);
            if let Ok(Some(header)) = parse(&bytes) {
                assert!(header.bytes <= bytes.len());
                // What was taken as whole says the same without what follows it, and no less of it is whole.
                assert_eq!(parse(&bytes[..header.bytes]), Ok(Some(header)));
                assert_eq!(parse(&bytes[..header.bytes - 1]), Ok(None));
            }
        }
    }
}
