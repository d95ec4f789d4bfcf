//! Single addresses and CIDR ranges, as settings write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, `192.0.2.0/24`, `2001:db8::/32` or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange {
    first: u128,
    bits: u32,
}

impl AddressRange {
    /// Whether `address` lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        // checked_shr is None for a /0 range, which holds every address.
        let prefix = |value: u128| value.checked_shr(128 - self.bits).unwrap_or(0);
        prefix(as_v6(address)) == prefix(self.first)
    }
}

/// IPv4 addresses live at `::ffff:0:0/96`, so that one comparison serves both families.
fn as_v6(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The text is no address range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAddressRange;

impl fmt::Display for BadAddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an IP address or a range such as 192.0.2.0/24")
    }
}

impl std::error::Error for BadAddressRange {}

impl FromStr for AddressRange {
    type Err = BadAddressRange;

    fn from_str(text: &str) -> Result<AddressRange, BadAddressRange> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadAddressRange)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) => bits.parse().map_err(|_| BadAddressRange)?,
        };
        if bits > width {
            return Err(BadAddressRange);
        }
        Ok(AddressRange {
            first: as_v6(address),
            bits: bits + (128 - width),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        let range: AddressRange = range.parse().expect("a range");
        range.contains(address.parse().expect("an address"))
    }

    #[test]
    fn ranges_hold_their_addresses_in_both_families() {
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "203.0.113.9"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "192.0.2.0/33", "192.0.2/24", "::/129", "a", "1.2.3.4/"] {
            assert_eq!(text.parse::<AddressRange>(), Err(BadAddressRange), "{text}");
        }
    }
}
