//! Clients whose items are not wanted, by address (facts/ingestion.md 8). The address is that of whoever sent the
//! request, not the one an event names as its user's.

use std::net::IpAddr;

use crate::domain::address_range::AddressRange;

/// Single addresses and CIDR ranges.
#[derive(Debug)]
pub(super) struct Addresses(Vec<AddressRange>);

impl Addresses {
    /// What is no address is left out, and the log says so.
    pub(super) fn compile<'t>(texts: impl IntoIterator<Item = &'t str>) -> Addresses {
        let range = |text: &str| match text.trim().parse() {
            Ok(range) => Some(range),
            Err(error) => {
                log::warn!("an inbound filter's address is left out: {text:?}: {error}");
                None
            }
        };
        Addresses(texts.into_iter().filter_map(range).collect())
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_addresses_and_ranges_of_both_families_are_known() {
        let addresses = Addresses::compile([
            "203.0.113.7",
            "10.0.0.0/8",
            " 2001:db8::/32 ",
            "::ffff:192.0.2.0/120",
            "nobody",
            "10.0.0.0/33",
            "",
        ]);
        for (address, contained) in [
            ("203.0.113.7", true),
            ("::ffff:203.0.113.7", true),
            ("203.0.113.8", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("192.0.2.200", true),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(addresses.contain(parsed), contained, "{address}");
        }
    }
}
