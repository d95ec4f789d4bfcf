//! Addresses of the Internet protocol in texts (facts/ingestion.md 9.4).
//!
//! What looks like an address is given to the standard library's parser. It is no address inside a word or a
//! longer number, so `v1.2.3.4` and `1.2.3.4.5` stay: they are versions. Nor are `::` and `a::b`, which code is
//! full of.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The longest address, `0000:0000:0000:0000:0000:ffff:255.255.255.255`.
const ADDRESS_BYTES_MAX: usize = 45;

/// Where addresses stand.
pub(super) fn find(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at + run(&bytes[at..], |byte| !belongs(byte));
            let end = start + run(&bytes[start..], belongs);
            at = end;
            let inside_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            let in_front = before.is_some_and(inside_a_word);
            let behind = bytes.get(end).is_some_and(inside_a_word);
            if let Some(found) = address(&text[start..end], in_front, behind) {
                return Some(start + found.start..start + found.end);
            }
        }
        None
    })
}

/// Whether this is an address and nothing else.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Whether a byte can stand in an address.
fn belongs(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'.' || byte == b':'
}

fn run(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|&byte| !is(byte))
        .unwrap_or(bytes.len())
}

/// The address in a run of bytes that can stand in one. The run may touch a word in front or behind.
fn address(text: &str, in_front: bool, behind: bool) -> Option<Range<usize>> {
    let colons = memchr::memchr_iter(b':', text.as_bytes()).take(3).count();
    if colons >= 2 && !in_front && !behind {
        let from = usize::from(text.starts_with(':') && !text.starts_with("::"));
        let tail = text[from..].trim_end_matches('.');
        let tail = match tail.strip_suffix(':') {
            Some(shorter) if !shorter.ends_with(':') => shorter,
            _ => tail,
        };
        let is_code = colons < 3 && !tail.bytes().any(|byte| byte.is_ascii_digit());
        if tail.len() <= ADDRESS_BYTES_MAX && !is_code && tail.parse::<Ipv6Addr>().is_ok() {
            return Some(from..from + tail.len());
        }
    }
    version_four(text, in_front, behind)
}

/// The first of the parts between colons that is an address, such as in `10.0.0.1:8080`.
fn version_four(text: &str, in_front: bool, behind: bool) -> Option<Range<usize>> {
    let mut from = 0;
    for part in text.split(':') {
        let touches = (in_front && from == 0) || (behind && from + part.len() == text.len());
        let start = part.len() - part.trim_start_matches('.').len();
        let core = part.trim_matches('.');
        if !touches && core.len() <= 15 && core.parse::<Ipv4Addr>().is_ok() {
            return Some(from + start..from + start + core.len());
        }
        from += part.len() + 1;
    }
    None
}
