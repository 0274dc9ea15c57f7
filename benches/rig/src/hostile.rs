//! Traffic of someone who knows how a probe works (PERFORMANCE.md P10): 64-byte packets that ask for the most work.
use crate::{empty, frames};
use benches::dialog::{Host, Route, Side};
use benches::{Frame, MICROSECOND, Rng};
use dataplane::capture::memory::MemorySource;
use dataplane::flow::FlowKey;
use dataplane::flow::key::HashSeed;
use dataplane::flow::table::Shape;
use std::net::Ipv4Addr;

/// Bytes of Ethernet, IPv4 and UDP in front of 22 bytes of payload.
const PAYLOAD_BYTES: usize = 22;
const SERVER: [u8; 4] = [203, 0, 113, 1];

/// First fragments without a second, and second ones without a first, each of a datagram of its own.
pub fn fragments(packets: u64) -> MemorySource {
    let (mut source, mut frame) = (empty(), Frame::new());
    for number in 0..packets {
        // 24 bytes in the first fragment, 6 in the second.
        datagram(&mut frame, (number as u32).wrapping_mul(0x9e37_79b1), 7000, 7000);
        let cuts = frame.fragments(24, number as u32);
        let mut cut = cuts[number as usize % cuts.len()].clone();
        cut.resize(60.max(cut.len()), 0);
        frames::push(&mut source, number * MICROSECOND, &cut);
    }
    source
}

/// Packets in random order over `flows` flows that all belong into one bucket of a table of this shape, found by trying keys: what
/// somebody can do who knows the seed of the hash, which for captures in files is fixed.
pub fn collisions(packets: u64, flows: usize, shape: Shape) -> MemorySource {
    let keys = colliding(flows, shape);
    let (mut rng, mut source, mut frame) = (Rng::new(1), empty(), Frame::new());
    for number in 0..packets {
        let (client, port) = keys[rng.below(keys.len() as u64) as usize];
        datagram(&mut frame, client, port, 7000);
        frames::push(&mut source, number * MICROSECOND, frame.bytes());
    }
    source
}

/// Clients with their ports; buckets are chosen by the low bits of the hash.
fn colliding(flows: usize, shape: Shape) -> Vec<(u32, u16)> {
    let buckets = 1u64 << (shape.size_exp - shape.line_exp);
    let tries = (0..u64::MAX).map(|n| ((n >> 16) as u32 | 10 << 24, n as u16));
    let hits = tries.filter(|(client, port)| {
        let (key, _) = FlowKey::v4(client.to_be_bytes(), SERVER, *port, 7000, 17, 0, false);
        key.hash(HashSeed::FILES) % buckets == 0
    });
    hits.take(flows).collect()
}

fn datagram(frame: &mut Frame, client: u32, from: u16, to: u16) {
    let route = Route::new(Host::new(Ipv4Addr::from(client), from), Host::new(Ipv4Addr::from(SERVER), to));
    route.clone().open(Side::Client, frame);
    frame.udp(from, to).filler(0, PAYLOAD_BYTES).finish();
}
