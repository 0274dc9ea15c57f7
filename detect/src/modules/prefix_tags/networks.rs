//! Networks with numbers, and which of them an address belongs to.
use std::collections::HashMap;
use std::net::IpAddr;

/// Networks of both families. Where they overlap, the one that was added first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// For each family the lengths in use, each with its networks.
    families: [Vec<Length>; 2],
    count: usize,
}

/// All networks of one prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Length {
    /// Bits that count, on top.
    mask: u128,
    /// Masked address, to the order in which it was added and its number.
    networks: HashMap<u128, (usize, u32)>,
}

impl Networks {
    /// Adds a network; bits of `address` behind the prefix are ignored. False if the family has no prefix of this length.
    pub fn add(&mut self, address: IpAddr, length: u8, number: u32) -> bool {
        let (family, bits) = split(address);
        if length > [32, 128][family] {
            return false;
        }
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let lengths = &mut self.families[family];
        let at = lengths.iter().position(|l| l.mask == mask).unwrap_or_else(|| {
            lengths.push(Length { mask, networks: HashMap::new() });
            lengths.len() - 1
        });
        lengths[at].networks.entry(bits & mask).or_insert((self.count, number));
        self.count += 1;
        true
    }

    /// Number of the network of an address: one look-up for each prefix length in use.
    pub fn find(&self, address: IpAddr) -> Option<u32> {
        let (family, bits) = split(address);
        let found = self.families[family].iter().filter_map(|l| l.networks.get(&(bits & l.mask)));
        found.min_by_key(|(order, _)| *order).map(|(_, number)| *number)
    }

    /// Networks added.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Family (0 is IPv4) and the address in the upper bits.
fn split(address: IpAddr) -> (usize, u128) {
    match address {
        IpAddr::V4(v4) => (0, u128::from(v4.to_bits()) << 96),
        IpAddr::V6(v6) => (1, v6.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_of_overlapping_networks_counts() {
        let mut networks = Networks::default();
        assert!(networks.is_empty());
        for (address, length, number) in
            [("10.1.0.0", 16, 1), ("10.0.0.0", 8, 2), ("10.2.0.0", 16, 3), ("10.0.0.0", 8, 4), ("2001:db8::", 32, 5)]
        {
            assert!(networks.add(address.parse().unwrap(), length, number));
        }
        for (address, number) in [
            ("10.1.2.3", Some(1)),
            ("10.3.0.0", Some(2)),
            ("10.2.0.1", Some(2)),
            ("11.0.0.0", None),
            ("2001:db8:1::", Some(5)),
            ("2001:db9::", None),
            ("::10.1.0.0", None),
        ] {
            assert_eq!(networks.find(address.parse().unwrap()), number, "{address}");
        }
        assert_eq!(networks.len(), 5);
        assert!(!networks.add("1.2.3.4".parse().unwrap(), 33, 1));
        assert!(networks.add("1.2.3.4".parse().unwrap(), 0, 6));
        assert_eq!(networks.find("255.0.0.1".parse().unwrap()), Some(6));
    }

    proptest! {
        #[test]
        fn as_a_search_from_the_front(nets in prop::collection::vec((0u32..64, 0u8..=32), 0..12), address in 0u32..64) {
            let mut networks = Networks::default();
            for (number, (bits, length)) in nets.iter().enumerate() {
                networks.add(IpAddr::V4((*bits).into()), *length, number as u32);
            }
            let mask = |length: u8| u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let expected = nets.iter().position(|(bits, length)| (bits ^ address) & mask(*length) == 0);
            prop_assert_eq!(networks.find(IpAddr::V4(address.into())), expected.map(|n| n as u32));
        }
    }
}
