//! Ports for later fragments: only the first fragment of a datagram carries them, this cache hands them on (spec/exporter.md 10).
//!
//! Nothing is reassembled; plugins see the payload of first fragments only. Memory is taken at start and never grows: N slots of four
//! datagrams each, the oldest of a slot gives way. The slot is chosen by a keyed hash, so nobody can aim at one. Fragments that come
//! before their first one are flows with ports 0, as in the original; holding them for a moment (spec/exporter.md 14, number 6) is
//! left to a later issue. Overlaps do not matter here: of two first fragments the newer one counts.
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use crate::packet::{Fragment, Packet, PacketView};
use record::Time;
use std::net::IpAddr;

/// Datagrams in one slot.
pub const RING: usize = 4;

/// What the cache has seen. `fragments` includes the first ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentStats {
    pub fragments: u64,
    pub first: u64,
    /// Later fragments whose first one was not seen, or was displaced.
    pub not_found: u64,
    /// Later fragments that came longer after their first one than the timeout.
    pub timed_out: u64,
}

impl FragmentStats {
    /// Adds the books of another lane.
    pub fn merge(&mut self, other: &FragmentStats) {
        self.fragments += other.fragments;
        self.first += other.first;
        self.not_found += other.not_found;
        self.timed_out += other.timed_out;
    }
}

/// The ports of datagrams that are arriving in pieces.
pub struct FragmentCache {
    slots: Box<[Slot]>,
    /// [`RING`] of each slot, which are read only where a mark is the right one.
    datagrams: Box<[[Datagram; RING]]>,
    timeout_ns: u64,
    seed: HashSeed,
    stats: FragmentStats,
}

/// What tells whether a slot has a datagram, in 10 bytes: 100 KB of them stay in the L2 cache, where the datagrams, 2.2 MB, do not. A
/// fragment without a first one, of which somebody may send many, waits for memory not at all; it did for each of the four entries.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// A part of each datagram's hash.
    marks: [u16; RING],
    /// The entry that gives way next: the oldest one.
    next: u16,
}

/// A datagram by its first fragment. An unused entry has the key of no IP version, which no packet has.
#[derive(Clone, Copy, Default)]
struct Datagram {
    key: FlowKey,
    at: Time,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
}

impl FragmentCache {
    /// `slots` of [`RING`] datagrams each, at least one; an entry serves for `timeout_secs` after its first fragment.
    pub fn new(slots: usize, timeout_secs: u32, seed: HashSeed) -> FragmentCache {
        FragmentCache {
            slots: vec![Slot::default(); slots.max(1)].into_boxed_slice(),
            datagrams: vec![[Datagram::default(); RING]; slots.max(1)].into_boxed_slice(),
            timeout_ns: u64::from(timeout_secs) * 1_000_000_000,
            seed,
            stats: FragmentStats::default(),
        }
    }

    /// Remembers the ports of a first fragment, gives them to a later one and makes its key anew. `bytes` are the packet's frame,
    /// `split` as it was decoded with.
    #[inline(always)]
    pub fn resolve(&mut self, packet: &mut Packet, bytes: &[u8], split: bool) {
        if packet.fragment != Fragment::No {
            self.resolve_fragment(packet, bytes, split);
        }
    }

    pub fn stats(&self) -> FragmentStats {
        self.stats
    }

    #[cold]
    fn resolve_fragment(&mut self, packet: &mut Packet, bytes: &[u8], split: bool) {
        let ends = Ends::of(packet, bytes);
        let key = ends.datagram(packet);
        let (at, mark) = self.slot(&key);
        let (Some(slot), Some(ring)) = (self.slots.get_mut(at), self.datagrams.get_mut(at)) else { return };
        self.stats.fragments += 1;
        if packet.fragment == Fragment::First {
            self.stats.first += 1;
            ring[slot.push(mark)] = Datagram {
                key,
                at: packet.at,
                src_port: packet.src_port,
                dst_port: packet.dst_port,
                protocol: packet.protocol,
            };
            return;
        }
        match slot.marked(mark).map(|at| &ring[at]).find(|d| d.key == key) {
            None => self.stats.not_found += 1,
            // Packets may be a little out of order: one from before the first fragment is not late.
            Some(first) if packet.at.0.saturating_sub(first.at.0) > self.timeout_ns => self.stats.timed_out += 1,
            Some(first) => {
                (packet.src_port, packet.dst_port) = (first.src_port, first.dst_port);
                // QUIRK: behind IPv6's fragment header only the first fragment shows the extension headers that may follow, and with
                // them the protocol. The original takes payload for headers there; we hand the protocol on like the ports.
                packet.protocol = first.protocol;
                (packet.key, packet.reversed) =
                    ends.key(first.src_port, first.dst_port, packet.protocol, packet.vlan, split);
            }
        }
    }

    /// Scales the hash to the number of slots, which need not be a power of two; its lowest bits, which have no part in that, are the mark.
    fn slot(&self, key: &FlowKey) -> (usize, u16) {
        let hash = key.hash(self.seed);
        (((u128::from(hash) * self.slots.len() as u128) >> 64) as usize, hash as u16)
    }
}

impl Slot {
    /// Takes the place of the oldest entry; answers which that is.
    fn push(&mut self, mark: u16) -> usize {
        let at = usize::from(self.next) % RING;
        self.marks[at] = mark;
        self.next = ((at + 1) % RING) as u16;
        at
    }

    /// Entries with this mark, the newest first.
    fn marked(self, mark: u16) -> impl Iterator<Item = usize> {
        (1..=RING)
            .map(move |age| (usize::from(self.next) + RING - age) % RING)
            .filter(move |&at| self.marks[at] == mark)
    }
}

/// The addresses as they stand in the packet.
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

impl Ends {
    fn of(packet: &Packet, bytes: &[u8]) -> Ends {
        let view = PacketView { packet, bytes };
        match (view.src_ip(), view.dst_ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ends::V4(src.octets(), dst.octets()),
            (src, dst) => Ends::V6(v6(src), v6(dst)),
        }
    }

    fn key(&self, src_port: u16, dst_port: u16, protocol: u8, vlan: u16, split: bool) -> (FlowKey, bool) {
        match *self {
            Ends::V4(src, dst) => FlowKey::v4(src, dst, src_port, dst_port, protocol, vlan, split),
            Ends::V6(src, dst) => FlowKey::v6(src, dst, src_port, dst_port, protocol, vlan, split),
        }
    }

    /// Version, addresses in their order, identification and VLAN, in the form of a flow key: it compares and hashes well, and the
    /// identification fits where the ports would be. QUIRK: IPv4 counts identifications for each protocol (RFC 791, 2.3), so it belongs
    /// to the key; the original leaves it out and gives UDP's ports to a fragment of ICMP. IPv6 counts them for each pair of addresses.
    fn datagram(&self, packet: &Packet) -> FlowKey {
        let id = packet.fragment_id;
        let protocol = if packet.ip_version == 4 { packet.protocol } else { 0 };
        self.key((id >> 16) as u16, id as u16, protocol, packet.vlan, true).0
    }
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Frame, LinkType};
    use crate::packet::decode::{DecodeConfig, decode};

    const SECOND: u64 = 1_000_000_000;

    fn cache(slots: usize) -> FragmentCache {
        FragmentCache::new(slots, 3, HashSeed::fixed([1, 3, 5, 7]))
    }

    /// A UDP fragment from `host`; ports 1000 + host and 53 in the first.
    fn v4(cache: &mut FragmentCache, host: u8, protocol: u8, is_first: bool, at: u64, split: bool) -> Packet {
        let mut b = [0; 40];
        b[..10].copy_from_slice(&[
            0x45,
            0,
            0,
            40,
            0,
            9,
            if is_first { 0x20 } else { 0 },
            !is_first as u8,
            64,
            protocol,
        ]);
        b[12..20].copy_from_slice(&[10, 0, 0, host, 9, 0, 0, 1]);
        b[20..22].copy_from_slice(&(1000 + u16::from(host)).to_be_bytes());
        b[23] = 53;
        resolve(cache, &b, at, split)
    }

    fn v6(cache: &mut FragmentCache, next: u8, offset: u8, at: u64) -> Packet {
        let mut b = [0; 72];
        b[0] = 0x60;
        b[5] = 32;
        b[6] = 44;
        b[8] = 0xfd;
        b[24] = 0xfc;
        b[40] = next;
        b[43] = offset | 1;
        b[48..56].copy_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
        b[56..60].copy_from_slice(&[4, 0, 0, 53]);
        resolve(cache, &b, at, false)
    }

    fn resolve(cache: &mut FragmentCache, bytes: &[u8], at: u64, split: bool) -> Packet {
        let frame =
            Frame { bytes, wire_len: bytes.len() as u32, at: Time(at), link: LinkType::RawIp, ..Frame::default() };
        let mut packet = Packet::default();
        decode(&frame, &DecodeConfig { split, ..DecodeConfig::default() }, &mut packet).expect("a sound fragment");
        cache.resolve(&mut packet, bytes, split);
        packet
    }

    #[test]
    fn a_later_fragment_joins_the_flow_of_its_first_one() {
        for split in [false, true] {
            let mut cache = cache(100);
            let first = v4(&mut cache, 1, 17, true, 0, split);
            let later = v4(&mut cache, 1, 17, false, 3 * SECOND, split);
            assert_eq!(
                (later.src_port, later.dst_port, later.key, later.reversed),
                (1001, 53, first.key, first.reversed)
            );
            assert_eq!(cache.stats(), FragmentStats { fragments: 2, first: 1, ..FragmentStats::default() });
        }
    }

    #[test]
    fn what_is_late_or_unknown_keeps_ports_of_zero() {
        let mut cache = cache(100);
        assert_eq!(v4(&mut cache, 1, 17, false, 0, false).src_port, 0, "before its first fragment");
        v4(&mut cache, 1, 17, true, 0, false);
        assert_eq!(v4(&mut cache, 1, 17, false, 3 * SECOND + 1, false).src_port, 0, "late");
        assert_eq!(v4(&mut cache, 2, 17, false, 1, false).src_port, 0, "another sender");
        assert_eq!(v4(&mut cache, 1, 1, false, 1, false).src_port, 0, "another protocol");
        assert_eq!(cache.stats(), FragmentStats { fragments: 5, first: 1, not_found: 3, timed_out: 1 });
    }

    #[test]
    fn the_oldest_of_a_slot_gives_way() {
        let mut cache = cache(1);
        for host in 0..=RING as u8 {
            v4(&mut cache, host, 17, true, 0, false);
        }
        assert_eq!(v4(&mut cache, 0, 17, false, 1, false).src_port, 0);
        for host in 1..=RING as u16 {
            assert_eq!(v4(&mut cache, host as u8, 17, false, 1, false).src_port, 1000 + host);
        }
    }

    #[test]
    fn behind_ipv6_the_protocol_is_handed_on_too() {
        let mut cache = cache(100);
        let first = v6(&mut cache, 60, 0, 0);
        let later = v6(&mut cache, 60, 16, 1);
        assert_eq!((first.protocol, first.src_port), (17, 1024));
        assert_eq!((later.protocol, later.key), (17, first.key));
    }
}
