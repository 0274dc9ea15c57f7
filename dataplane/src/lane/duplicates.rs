//! Packets that a lane has seen a moment ago: a mirrored port shows what passes the switch when it comes in and when it leaves.
//!
//! Two packets are one if both are the same IP packet by what routers and switches on its way leave alone: addresses, protocol, length,
//! identification and place of a fragment, and all captured bytes behind the IP header (IPv6: behind the fixed one). MAC addresses, tags,
//! TTL, DSCP and the header's checksum may differ. Of packets in a tunnel the inner one counts.
//!
//! Contract: a bounded table, one line of the cache for each packet. Where a line is full of younger packets its oldest is forgotten, so that
//! a copy of that one is counted into its flow; nothing else is ever dropped, unless two packets have one 64-bit hash by a key of the run.
use crate::capture::Frame;
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use crate::packet::Packet;
use record::Time;
use std::time::Duration;

/// Lines of the table: with [`WAYS`] 65,536 packets, 1 MiB. At ten million packets a second that is 6 ms.
const LINES: usize = 1 << 14;
const WAYS: usize = 4;

/// A packet: its hash, and when a copy of it was seen last. The hash 0 is no packet's.
#[derive(Clone, Copy, Default)]
struct Seen {
    hash: u64,
    at: Time,
}

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Line([Seen; WAYS]);

/// What a lane saw within the window.
pub(super) struct Duplicates {
    window_nanos: u64,
    seed: HashSeed,
    lines: Box<[Line]>,
}

impl Duplicates {
    pub(super) fn new(window: Duration, seed: HashSeed) -> Duplicates {
        let window_nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Duplicates { window_nanos, seed, lines: vec![Line::default(); LINES].into_boxed_slice() }
    }

    /// Takes the key from each packet of a burst that was there already. Answers how many were, and their bytes on the wire.
    #[inline(never)]
    pub(super) fn drop_from(&mut self, packets: &mut [Packet], frames: &[Frame<'_>]) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for (packet, frame) in packets.iter_mut().zip(frames).filter(|(packet, _)| !packet.key.is_none()) {
            if self.is_known(hash(packet, frame.bytes, self.seed), packet.at) {
                packet.key = FlowKey::default();
                count += 1;
                bytes += u64::from(frame.wire_len);
            }
        }
        (count, bytes)
    }

    /// Whether a packet of this hash was seen within the window; from now on it was.
    fn is_known(&mut self, hash: u64, at: Time) -> bool {
        // As many lines as a number of these bits can name.
        let Some(Line(line)) = self.lines.get_mut(hash as usize % LINES) else { return false };
        if let Some(seen) = line.iter_mut().find(|seen| seen.hash == hash) {
            // Packets of two queues may be out of order.
            let is_known = seen.at.0.abs_diff(at.0) <= self.window_nanos;
            seen.at = at;
            return is_known;
        }
        if let Some(oldest) = line.iter_mut().min_by_key(|seen| seen.at) {
            *oldest = Seen { hash, at };
        }
        false
    }
}

/// By what two copies of a packet have in common (module text).
fn hash(packet: &Packet, frame: &[u8], seed: HashSeed) -> u64 {
    let ip = frame.get(packet.l3.into()..).unwrap_or_default();
    // Behind it may be padding.
    let ip = ip.get(..packet.ip_len as usize).unwrap_or(ip);
    let part = |from: usize, to: usize| ip.get(from..to.min(ip.len())).unwrap_or_default();
    let parts = if packet.ip_version == 4 {
        // RFC 791 section 3.1: total length, identification, flags and offset; protocol; addresses and the rest.
        [part(2, 8), part(9, 10), part(12, ip.len())]
    } else {
        // RFC 8200 section 3: payload length and next header; addresses and the rest.
        [part(4, 7), &[], part(8, ip.len())]
    };
    seed.hash_bytes(&parts).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Duplicates {
        Duplicates::new(Duration::from_micros(100), HashSeed::FILES)
    }

    #[test]
    fn a_copy_is_known_as_long_as_the_window_lasts() {
        let mut seen = table();
        let at = |micros: u64| Time(1_000_000_000 + micros * 1_000);
        assert_eq!(
            [(7, 0), (7, 100), (7, 200), (7, 301), (8, 301)].map(|(hash, t)| seen.is_known(hash, at(t))),
            [false, true, true, false, false]
        );
        assert!(seen.is_known(8, at(250)), "a copy may come with an earlier time");
    }

    #[test]
    fn a_full_line_forgets_its_oldest() {
        let mut seen = table();
        let hashes: Vec<u64> = (1..=WAYS as u64 + 1).map(|way| 5 + way * LINES as u64).collect();
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!seen.is_known(*hash, Time(at as u64)));
        }
        assert!(!seen.is_known(hashes[0], Time(9)), "its place was taken");
        assert!(seen.is_known(hashes[WAYS], Time(9)));
    }

    #[test]
    fn what_a_router_changes_is_left_out() {
        let mut frame = vec![
            0x45, 0, 0, 28, 0x12, 0x34, 0x40, 0, 64, 17, 0xab, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 53, 0, 8, 0, 0,
        ];
        let packet = Packet { ip_version: 4, ip_len: 28, ..Packet::default() };
        let of = |frame: &[u8]| hash(&packet, frame, HashSeed::FILES);
        let first = of(&frame);
        (frame[1], frame[8], frame[10]) = (0xb8, 63, 0xac);
        frame.extend([0; 18]);
        assert_eq!(of(&frame), first, "DSCP, TTL, checksum and padding");
        for at in [3, 4, 6, 9, 12, 19, 20, 27] {
            frame[at] ^= 1;
            assert_ne!(of(&frame), first, "byte {at}");
            frame[at] ^= 1;
        }
        for len in 0..frame.len() {
            of(&frame[..len]);
        }
    }
}
