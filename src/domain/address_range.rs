//! Single addresses and CIDR ranges, as settings write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, `192.0.2.0/24`, `2001:db8::/32` or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddressRange {
    first: u128,
    bits: u32,
}

impl AddressRange {
    /// Whether `address` lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
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
pub(crate) struct BadAddressRange;

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
