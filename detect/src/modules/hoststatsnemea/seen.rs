//! Which pairs of addresses were seen of late, for the numbers of different addresses: Bloom filters of two generations, as in the
//! original, of which the younger one becomes the older one at intervals.
//!
//! A pair is known from its first flow to the second change after it, at the latest. With as many pairs between two changes as a
//! filter is made for, one new pair in 500 or so seems known (the original: in 100), so numbers are rather too small.
//!
//! What a flow asks of all filters lies in one row, and both ends of a pair whose records began in the same second ask the same row: of
//! millions of pairs no cache has more than that.
/// Bits of one generation for each pair that is expected.
const BITS_EACH: usize = 16;
/// Bits of one generation of a row.
const BITS_ROW: usize = 256;
/// Bits that a pair sets, all in one row.
const BITS_SET: u32 = 7;
/// Odd numbers whose products have all bits of their factor in their upper ones (the golden ratio, and a prime of xxHash), for the source
/// and the destination of a pair.
const MIXERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

/// Which flows pairs are seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flows {
    All,
    Requests,
    Ssh,
}

/// The pairs of all flows, of requests, and of SSH.
#[derive(Debug)]
pub(super) struct Seen {
    rows: Vec<Row>,
    older: usize,
}

/// Both generations of one row of all filters, as numbered by [`Flows`]; each filter is a line of the processor's cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Row([[Bits; 2]; 3]);

type Bits = [u64; BITS_ROW / 64];

/// What a pair is known by in the record of one of its hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    row: usize,
    bits: Bits,
}

impl Seen {
    /// For so many hosts; each is expected in two pairs.
    pub(super) fn new(hosts: usize) -> Seen {
        let rows = (2 * hosts * BITS_EACH).div_ceil(BITS_ROW).max(1);
        Seen { rows: vec![Row::default(); rows], older: 0 }
    }

    /// A pair of addresses, of the keyed hash of each. The first step, which both hosts share.
    pub(super) fn pair(source: u64, destination: u64) -> u64 {
        source.wrapping_add(destination.rotate_left(32).wrapping_mul(MIXERS[1]))
    }

    /// The key of a pair for one of its hosts, whose record began at `first`, so that a new record of it begins anew.
    pub(super) fn key(&self, pair: u64, first: u32, is_destination: bool) -> Key {
        let record = (pair ^ u64::from(first & 0x7fff).wrapping_mul(MIXERS[0])).wrapping_mul(MIXERS[0]);
        // The upper bits of a keyed hash choose the row, all of them the bits in it.
        let row = ((u128::from(record) * self.rows.len() as u128) >> 64) as usize;
        let mixed = (record ^ (record >> 32)).wrapping_mul(MIXERS[usize::from(is_destination)]);
        let mut bits = Bits::default();
        for n in 0..BITS_SET {
            let bit = (mixed >> (8 * n)) & (BITS_ROW as u64 - 1);
            bits[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        Key { row, bits }
    }

    /// Inserts a key; true if it was known.
    pub(super) fn insert(&mut self, key: &Key, flows: Flows) -> bool {
        let generations = &mut self.rows[key.row].0[flows as usize];
        let is_known = generations[self.older].iter().zip(key.bits).all(|(word, bits)| word & bits == bits);
        for generation in generations {
            generation.iter_mut().zip(key.bits).for_each(|(word, bits)| *word |= bits);
        }
        is_known
    }

    /// Forgets the older generation.
    pub(super) fn change(&mut self) {
        for Row(filters) in &mut self.rows {
            filters.iter_mut().for_each(|generations| generations[self.older] = Bits::default());
        }
        self.older ^= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    /// How many of these pairs are new.
    fn count(seen: &mut Seen, hasher: &RandomState, pairs: std::ops::Range<u32>) -> usize {
        let keys = pairs.map(|pair| seen.key(hasher.hash_one(pair), 1, false)).collect::<Vec<_>>();
        keys.iter().filter(|key| !seen.insert(key, Flows::All)).count()
    }

    #[test]
    fn a_pair_is_known_until_the_second_change() {
        let (mut seen, hasher) = (Seen::new(500), RandomState::new());
        assert_eq!([count(&mut seen, &hasher, 5..6), count(&mut seen, &hasher, 5..6)], [1, 0]);
        seen.change();
        assert_eq!(count(&mut seen, &hasher, 5..6), 0, "inserted again, so it stays for another interval");
        seen.change();
        assert_eq!(count(&mut seen, &hasher, 5..6), 0);
        seen.change();
        seen.change();
        assert_eq!(count(&mut seen, &hasher, 5..6), 1);
    }

    #[test]
    fn few_new_pairs_seem_known() {
        let (mut seen, hasher) = (Seen::new(50_000), RandomState::new());
        let found = count(&mut seen, &hasher, 0..100_000);
        assert!(found > 99_000, "{found} of 100000");
        assert_eq!(count(&mut seen, &hasher, 0..100_000), 0, "none is forgotten");
    }

    #[test]
    fn few_ends_of_new_pairs_seem_known() {
        let (mut seen, hasher) = (Seen::new(50_000), RandomState::new());
        let mut new = 0;
        for hosts in 0..50_000_u32 {
            let pair = Seen::pair(hasher.hash_one(hosts), hasher.hash_one(!hosts));
            let keys = [seen.key(pair, 7, false), seen.key(pair, 7, true)];
            new += keys.iter().filter(|key| !seen.insert(key, Flows::Requests)).count();
        }
        assert!(new > 99_000, "{new} of 100000");
    }

    #[test]
    fn the_sides_of_a_pair_records_of_a_host_and_filters_are_apart() {
        let (mut seen, hasher) = (Seen::new(10), RandomState::new());
        let [a, b] = ["a", "b"].map(|host| hasher.hash_one(host));
        let (pair, back) = (Seen::pair(a, b), Seen::pair(b, a));
        let keys = [(pair, 7, false), (pair, 7, true), (back, 7, false), (pair, 8, false)];
        let keys = keys.map(|(pair, first, is_destination)| seen.key(pair, first, is_destination));
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{keys:?}");
        }
        let inserted = [Flows::All, Flows::Ssh, Flows::Requests].map(|flows| seen.insert(&keys[0], flows));
        assert_eq!(inserted, [false; 3]);
        assert!(seen.insert(&keys[0], Flows::Ssh));
    }
}
