//! Which pairs of addresses were seen of late, for the numbers of different addresses: Bloom filters of two generations, as in the
//! original, of which the younger one becomes the older one at intervals.
//!
//! A pair is known from its first flow to the second change after it, at the latest. With as many pairs between two changes as a
//! filter is made for, one new pair in 500 or so seems known (the original: in 100), so numbers are rather too small.
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Bits of one generation for each pair that is expected.
const BITS_EACH: usize = 16;
/// Bits that a pair sets, all in one block.
const BITS_SET: u32 = 7;
/// An odd number whose products have all bits of their factor in their upper ones (the golden ratio).
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The pairs of all flows, of requests, and of SSH.
#[derive(Debug)]
pub(super) struct Seen {
    hasher: RandomState,
    pub all: Filter,
    pub requests: Filter,
    pub ssh: Filter,
}

impl Seen {
    /// For so many hosts; each is expected in two pairs.
    pub(super) fn new(hosts: usize) -> Seen {
        let filter = || Filter::new(2 * hosts);
        Seen { hasher: RandomState::new(), all: filter(), requests: filter(), ssh: filter() }
    }

    /// A pair, keyed. The first step, which both hosts share.
    pub(super) fn pair(&self, source: IpAddr, destination: IpAddr) -> u64 {
        // As UniRec has them: numbers are hashed in fewer steps than addresses.
        let bits = |address| match address {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 32) | 0xffff_ffff,
            IpAddr::V6(ip) => ip.to_bits(),
        };
        self.hasher.hash_one((bits(source), bits(destination)))
    }

    /// The key of a pair for one of its hosts, whose record began at `first`, so that a new record of it begins anew.
    pub(super) fn key(pair: u64, first: u32, is_destination: bool) -> u64 {
        let record = u64::from(first & 0x7fff) | (u64::from(is_destination) << 15);
        (pair ^ record.wrapping_mul(MIXER)).wrapping_mul(MIXER)
    }

    /// Forgets the older generation.
    pub(super) fn change(&mut self) {
        [&mut self.all, &mut self.requests, &mut self.ssh].into_iter().for_each(Filter::change);
    }
}

/// A filter of two generations.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<Block>,
    older: usize,
}

/// A line of the processor's cache: bits of both generations.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Block([[u64; 4]; 2]);

impl Filter {
    fn new(pairs: usize) -> Filter {
        Filter { blocks: vec![Block::default(); (pairs * BITS_EACH).div_ceil(256).max(1)], older: 0 }
    }

    /// Inserts a key; true if it was known.
    pub(super) fn insert(&mut self, key: u64) -> bool {
        // The upper bits of a keyed hash choose the block, all of them the bits in it.
        let at = ((u128::from(key) * self.blocks.len() as u128) >> 64) as usize;
        let mixed = (key ^ (key >> 32)).wrapping_mul(MIXER);
        let mut bits = [0_u64; 4];
        for n in 0..BITS_SET {
            let bit = (mixed >> (8 * n)) & 255;
            bits[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        let Block(generations) = &mut self.blocks[at];
        let is_known = generations[self.older].iter().zip(bits).all(|(word, bits)| word & bits == bits);
        for generation in generations {
            generation.iter_mut().zip(bits).for_each(|(word, bits)| *word |= bits);
        }
        is_known
    }

    fn change(&mut self) {
        for Block(generations) in &mut self.blocks {
            generations[self.older] = [0; 4];
        }
        self.older ^= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(filter: &mut Filter, hasher: &RandomState, keys: std::ops::Range<u32>) -> usize {
        keys.filter(|key| !filter.insert(hasher.hash_one(key))).count()
    }

    #[test]
    fn a_pair_is_known_until_the_second_change() {
        let (mut filter, hasher) = (Filter::new(1_000), RandomState::new());
        let mut new = || count(&mut filter, &hasher, 5..6);
        assert_eq!((new(), new()), (1, 0));
        filter.change();
        assert!(filter.insert(hasher.hash_one(5_u32)), "inserted again, so it stays for another interval");
        filter.change();
        assert!(filter.insert(hasher.hash_one(5_u32)));
        filter.change();
        filter.change();
        assert!(!filter.insert(hasher.hash_one(5_u32)));
    }

    #[test]
    fn few_new_pairs_seem_known() {
        let (mut filter, hasher) = (Filter::new(100_000), RandomState::new());
        let found = count(&mut filter, &hasher, 0..100_000);
        assert!(found > 99_000, "{found} of 100000");
        assert_eq!(count(&mut filter, &hasher, 0..100_000), 0, "none is forgotten");
    }

    #[test]
    fn the_sides_of_a_pair_and_records_of_a_host_are_apart() {
        let seen = Seen::new(10);
        let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let (pair, back) = (seen.pair(a, b), seen.pair(b, a));
        let keys = [(pair, 7, false), (pair, 7, true), (back, 7, false), (pair, 8, false)];
        let keys = keys.map(|(pair, first, is_destination)| Seen::key(pair, first, is_destination));
        let different: std::collections::HashSet<_> = keys.into_iter().collect();
        assert_eq!(different.len(), 4);
    }
}
