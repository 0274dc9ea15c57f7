//! A set that forgets what is in it and answers "perhaps" or "certainly not": Bloom's filter, bit for bit that of libbloom (the
//! variant that bloom_history of NEMEA sends), with MurmurHash2.

/// ln(2)^2, as libbloom writes it.
const LN2_SQUARED: f64 = 0.480453013918201;
/// ln(2), likewise.
#[expect(clippy::approx_constant, reason = "the number of hashes must be that of libbloom")]
const LN2: f64 = 0.693147180559945;
/// Bits of a filter, at the most: what its format counts in 31 bits.
const BITS_MAX: f64 = i32::MAX as f64;

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Bloom {
    entries: u32,
    error: f64,
    bits: u32,
    hashes: u32,
    field: Vec<u8>,
}

/// The size asked for is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a filter of {entries} entries with an error rate of {error} cannot be made: its bits must be 1 to {BITS_MAX}")]
pub struct SizeError {
    entries: u32,
    error: f64,
}

impl Bloom {
    /// A filter in which `entries` may be before more than `error` (0 to 1, both excluded) of the answers are wrong.
    pub fn new(entries: u32, error: f64) -> Result<Bloom, SizeError> {
        let bits_each = -(error.ln() / LN2_SQUARED);
        let bits = (f64::from(entries) * bits_each).floor();
        if !(error > 0.0 && error < 1.0 && (1.0..=BITS_MAX).contains(&bits)) {
            return Err(SizeError { entries, error });
        }
        let bits = bits as u32;
        let hashes = (LN2 * bits_each).ceil() as u32;
        Ok(Bloom { entries, error, bits, hashes, field: vec![0; bits.div_ceil(8) as usize] })
    }

    /// Inserts `key`; true if it was in the set already, or seems so.
    pub fn insert(&mut self, key: &[u8]) -> bool {
        let mut was_in = true;
        for bit in self.places(key) {
            let (byte, mask) = (&mut self.field[bit as usize / 8], 1 << (bit % 8));
            was_in &= *byte & mask != 0;
            *byte |= mask;
        }
        was_in
    }

    /// Whether `key` seems to be in the set.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.places(key).all(|bit| self.field[bit as usize / 8] & 1 << (bit % 8) != 0)
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.field.fill(0);
    }

    /// The form in which filters are sent: length of all and number of entries in network order, the error rate as a little-endian
    /// double, the bits.
    pub fn serialize(&self) -> Vec<u8> {
        let length = 16 + self.field.len();
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(&self.entries.to_be_bytes());
        out.extend_from_slice(&self.error.to_le_bytes());
        out.extend_from_slice(&self.field);
        out
    }

    fn places(&self, key: &[u8]) -> impl Iterator<Item = u32> + use<> {
        let a = murmur2(key, 0x9747_b28c);
        let b = murmur2(key, a);
        let bits = self.bits;
        (0..self.hashes).map(move |i| a.wrapping_add(i.wrapping_mul(b)) % bits)
    }
}

/// MurmurHash2 of Austin Appleby, 32 bits, little endian.
fn murmur2(key: &[u8], seed: u32) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = seed ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wrong_answers_and_none_forgotten() {
        let mut set = Bloom::new(10_000, 0.01).unwrap();
        for n in 0..10_000_u32 {
            set.insert(&n.to_be_bytes());
        }
        assert!((0..10_000_u32).all(|n| set.contains(&n.to_be_bytes())));
        let wrong = (10_000..20_000_u32).filter(|n| set.contains(&n.to_be_bytes())).count();
        assert!(wrong < 200, "{wrong} of 10000");
        set.clear();
        assert!(!set.contains(&[0; 4]) && !set.insert(&[0; 4]) && set.insert(&[0; 4]));
    }

    #[test]
    fn sizes_are_those_of_libbloom() {
        // From its documentation: 9.585 bits each for 1 %, so 9585 bits and 7 hashes.
        let set = Bloom::new(1_000, 0.01).unwrap();
        assert_eq!((set.bits, set.hashes, set.field.len()), (9_585, 7, 1_199));
        let bytes = set.serialize();
        assert_eq!(bytes[..8], [0, 0, 0x04, 0xbf, 0, 0, 0x03, 0xe8]);
        assert_eq!(bytes[8..16], 0.01_f64.to_le_bytes());
        for (entries, error) in [(0, 0.1), (1, 0.0), (1, 1.0), (1, f64::NAN), (u32::MAX, 0.01)] {
            assert!(Bloom::new(entries, error).is_err());
        }
    }

    /// The vectors of Kafka, whose partitioner hashes with the same function and seed.
    #[test]
    fn murmur2_of_known_keys() {
        for (key, hash) in [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("abc", 479470107),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ] {
            assert_eq!(murmur2(key.as_bytes(), 0x9747_b28c) as i32, hash, "{key}");
        }
    }
}
