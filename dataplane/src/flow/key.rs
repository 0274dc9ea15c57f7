//! The flow key: equal for both directions, and cheap to compare. Equality is the truth, the hash a hint.
use record::ipfix::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses, ports, protocol, IP version and outer VLAN id; the lower endpoint stands first, so both directions have one key
/// (spec/exporter.md 9.1, compared in full).
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct FlowKey {
    /// IPv4 uses two words: address, port and protocol, version (or VLAN). IPv6 uses all five.
    words: [u64; 5],
}

/// All words at once: a derived comparison becomes a call of memcmp.
impl PartialEq for FlowKey {
    #[inline(always)]
    fn eq(&self, other: &FlowKey) -> bool {
        self.words.iter().zip(other.words).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub port: u16,
}

impl FlowKey {
    /// Orders the endpoints; answers the key and whether the source stands second in it. With `split` directions are kept apart.
    #[inline(always)]
    pub fn v4(
        src: [u8; 4],
        dst: [u8; 4],
        src_port: u16,
        dst_port: u16,
        protocol: u8,
        vlan: u16,
        split: bool,
    ) -> (FlowKey, bool) {
        let s = (u32::from_be_bytes(src) as u64) << 16 | src_port as u64;
        let d = (u32::from_be_bytes(dst) as u64) << 16 | dst_port as u64;
        FlowKey::v4_of(s, d, protocol, vlan, split)
    }

    /// [`FlowKey::v4`] of source and destination as address x 65536 + port.
    #[inline(always)]
    pub(crate) fn v4_of(s: u64, d: u64, protocol: u8, vlan: u16, split: bool) -> (FlowKey, bool) {
        let reversed = s > d && !split;
        let (a, b) = if reversed { (d, s) } else { (s, d) };
        (FlowKey { words: [a | (protocol as u64) << 48 | 4 << 56, b | (vlan as u64) << 48, 0, 0, 0] }, reversed)
    }

    /// As [`FlowKey::v4`].
    #[inline(always)]
    pub fn v6(
        src: [u8; 16],
        dst: [u8; 16],
        src_port: u16,
        dst_port: u16,
        protocol: u8,
        vlan: u16,
        split: bool,
    ) -> (FlowKey, bool) {
        let (s, d) = (u128::from_be_bytes(src), u128::from_be_bytes(dst));
        let reversed = (s, src_port) > (d, dst_port) && !split;
        let ((a, ap), (b, bp)) = if reversed { ((d, dst_port), (s, src_port)) } else { ((s, src_port), (d, dst_port)) };
        let last = ap as u64 | (bp as u64) << 16 | (vlan as u64) << 32 | (protocol as u64) << 48 | 6 << 56;
        (FlowKey { words: [last, (a >> 64) as u64, a as u64, (b >> 64) as u64, b as u64] }, reversed)
    }

    /// The first two words, and the rest: zero if the key [is short](Self::is_short).
    #[inline(always)]
    pub(crate) fn parts(&self) -> ([u64; 2], [u64; 3]) {
        let [a, b, c, d, e] = self.words;
        ([a, b], [c, d, e])
    }

    /// Whether this is the first of the [parts](Self::parts).
    #[inline(always)]
    pub(crate) fn begins_with(&self, head: &[u64; 2]) -> bool {
        self.words[0] == head[0] && self.words[1] == head[1]
    }

    /// Whether this is the second of the [parts](Self::parts).
    #[inline(always)]
    pub(crate) fn ends_with(&self, tail: &[u64; 3]) -> bool {
        (self.words[2] ^ tail[0]) | (self.words[3] ^ tail[1]) | (self.words[4] ^ tail[2]) == 0
    }

    pub(crate) fn of_parts([a, b]: [u64; 2], [c, d, e]: [u64; 3]) -> FlowKey {
        FlowKey { words: [a, b, c, d, e] }
    }

    /// Whether the first two words are all of it (IPv4).
    #[inline(always)]
    pub(crate) fn is_short(&self) -> bool {
        // One bit tells 4 from 6.
        self.words[0] & (2 << 56) == 0
    }

    /// No packet's key: what stands where nothing was decoded.
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        self.words[0] == 0
    }

    #[inline(always)]
    pub fn ip_version(&self) -> u8 {
        (self.words[0] >> 56) as u8
    }
    pub fn protocol(&self) -> u8 {
        (self.words[0] >> 48) as u8
    }
    pub fn vlan(&self) -> u16 {
        if self.ip_version() == 4 { (self.words[1] >> 48) as u16 } else { (self.words[0] >> 32) as u16 }
    }

    /// The port of an end: of the one that stands second in the key, or of the first.
    #[inline(always)]
    pub(crate) fn port_of(&self, second: bool) -> u16 {
        let w = &self.words;
        match (self.ip_version(), second) {
            (_, false) => w[0] as u16,
            (4, true) => w[1] as u16,
            (_, true) => (w[0] >> 16) as u16,
        }
    }

    /// The two ends in the key's order.
    pub fn endpoints(&self) -> (Endpoint, Endpoint) {
        self.endpoints_in(if self.ip_version() == 4 { Family::V4 } else { Family::V6 })
    }

    /// [`FlowKey::endpoints`] of a key that is known to be of the family.
    #[inline(always)]
    pub(crate) fn endpoints_in(&self, family: Family) -> (Endpoint, Endpoint) {
        let w = &self.words;
        match family {
            Family::V4 => {
                let end = |w: u64| Endpoint { ip: IpAddr::V4(Ipv4Addr::from((w >> 16) as u32)), port: w as u16 };
                (end(w[0]), end(w[1]))
            }
            Family::V6 => {
                let ip = |hi: u64, lo: u64| IpAddr::V6(Ipv6Addr::from((hi as u128) << 64 | lo as u128));
                (
                    Endpoint { ip: ip(w[1], w[2]), port: w[0] as u16 },
                    Endpoint { ip: ip(w[3], w[4]), port: (w[0] >> 16) as u16 },
                )
            }
        }
    }

    /// A number of the two addresses, in the order from source to destination, the protocol and the destination port: what talkers are told
    /// apart by. `reversed`: the source stands second.
    #[inline(always)]
    pub(crate) fn talk_tag(&self, reversed: bool) -> u32 {
        let w = &self.words;
        // Of each end the address, folded, and the port.
        let (lower, upper) = if self.ip_version() == 4 {
            (((w[0] >> 16) as u32 as u64, w[0] as u16), ((w[1] >> 16) as u32 as u64, w[1] as u16))
        } else {
            ((w[1] ^ w[2], w[0] as u16), (w[3] ^ w[4], (w[0] >> 16) as u16))
        };
        let ((src, _), (dst, port)) = if reversed { (upper, lower) } else { (lower, upper) };
        let ends = src.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ dst;
        let all = ends.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ (u64::from(port) << 8 | u64::from(self.protocol()));
        (all.wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 32) as u32
    }

    /// Keyed hash by folded multiplication; without the seed collisions cannot be chosen.
    #[inline(always)]
    pub fn hash(&self, seed: HashSeed) -> u64 {
        if self.ip_version() == 4 { self.hash_v4(seed) } else { self.hash_v6(seed) }
    }

    /// [`FlowKey::hash`] of a key that is known to be of IPv4.
    #[inline(always)]
    pub(crate) fn hash_v4(&self, seed: HashSeed) -> u64 {
        let w = &self.words;
        fold(fold(w[0] ^ seed.0[0], w[1] ^ seed.0[1]) ^ seed.0[2], seed.0[3])
    }

    /// [`FlowKey::hash`] of a key that is known to be of IPv6.
    #[inline(always)]
    pub(crate) fn hash_v6(&self, seed: HashSeed) -> u64 {
        let w = &self.words;
        let h = fold(w[0] ^ seed.0[0], w[1] ^ seed.0[1]);
        let g = fold(h ^ w[2], w[3] ^ seed.0[2]);
        fold(g ^ w[4], h ^ seed.0[3])
    }
}

impl FlowKey {
    /// Keyed hash of the two addresses, equal for both directions and whatever ports, protocol and VLAN are.
    #[inline(always)]
    pub fn hash_of_addresses(&self, seed: HashSeed) -> u64 {
        let w = &self.words;
        let (a, b) = if self.ip_version() == 4 {
            // A sum of two mixed values does not know their order.
            let address = |w: u64| fold(w >> 16 & 0xffff_ffff ^ seed.0[0], seed.0[1]);
            (address(w[0]), address(w[1]))
        } else {
            (fold(w[1] ^ seed.0[0], w[2] ^ seed.0[1]), fold(w[3] ^ seed.0[0], w[4] ^ seed.0[1]))
        };
        fold(a.wrapping_add(b) ^ seed.0[2], seed.0[3])
    }
}

/// Secret of a lane's hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashSeed([u64; 4]);

impl HashSeed {
    pub const fn fixed(words: [u64; 4]) -> HashSeed {
        HashSeed(words)
    }

    /// For captures in files: two runs over one capture give the same records, also when lines of the table are full. What chosen
    /// collisions can do there is bounded: they push each other out of one line.
    pub const FILES: HashSeed =
        HashSeed([0x9E37_79B9_7F4A_7C15, 0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3]);

    /// A keyed hash of bytes, for what is no key of the table.
    pub(crate) fn hash_bytes(self, parts: &[&[u8]]) -> u64 {
        use std::hash::{DefaultHasher, Hasher};
        // SipHash, with the secret in front of what is hashed.
        let mut hasher = DefaultHasher::new();
        self.0.iter().for_each(|word| hasher.write_u64(*word));
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish()
    }

    /// From the operating system's randomness, by way of the standard library's hasher.
    pub fn random() -> HashSeed {
        use std::hash::{BuildHasher, RandomState};
        HashSeed(std::array::from_fn(|i| RandomState::new().hash_one(i) | 1))
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let m = a as u128 * b as u128;
    m as u64 ^ (m >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let (a, b) = ([10, 0, 0, 1], [192, 168, 0, 9]);
        let (there, r1) = FlowKey::v4(a, b, 5000, 80, 6, 7, false);
        let (back, r2) = FlowKey::v4(b, a, 80, 5000, 6, 7, false);
        assert_eq!((there, r1, r2), (back, false, true));
        let (x, y) = there.endpoints();
        assert_eq!(
            (x.ip.to_string(), x.port, y.ip.to_string(), y.port),
            ("10.0.0.1".into(), 5000, "192.168.0.9".into(), 80)
        );
        assert_eq!((there.ip_version(), there.protocol(), there.vlan()), (4, 6, 7));

        let (a, b) = ([1; 16], [2; 16]);
        let (there, _) = FlowKey::v6(a, b, 9, 8, 17, 3, false);
        let (back, rev) = FlowKey::v6(b, a, 8, 9, 17, 3, false);
        assert_eq!((there, rev), (back, true));
        assert_eq!((there.ip_version(), there.protocol(), there.vlan()), (6, 17, 3));
        assert_eq!(there.endpoints().1, Endpoint { ip: IpAddr::V6(Ipv6Addr::from(b)), port: 8 });
    }

    #[test]
    fn split_keeps_directions_apart() {
        let (there, _) = FlowKey::v4([9; 4], [1; 4], 2, 1, 6, 0, true);
        let (back, rev) = FlowKey::v4([1; 4], [9; 4], 1, 2, 6, 0, true);
        assert!(there != back && !rev);
    }

    #[test]
    fn the_hash_spreads() {
        let seed = HashSeed::fixed([3, 5, 7, 9].map(|x: u64| x.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
        let mut low = std::collections::HashSet::new();
        let mut high = std::collections::HashSet::new();
        for i in 0..4096u32 {
            let (k, _) = FlowKey::v4(i.to_be_bytes(), [10, 0, 0, 1], 1000, 53, 17, 0, false);
            let h = k.hash(seed);
            low.insert(h & 0xffff);
            high.insert(h >> 48);
        }
        // 4096 balls in 65536 bins: about 3970 distinct ones are expected.
        assert!(low.len() > 3800 && high.len() > 3800, "{} {}", low.len(), high.len());
    }
}
