//! F9 and F10: the flow cache against sums by key, while time goes forward, stops and jumps back.
use crate::batch::Batch;
use crate::flow::FlowKey;
use crate::flow::cache::{Cache, CacheConfig};
use crate::flow::key::HashSeed;
use crate::flow::table::Shape;
use crate::packet::fuzzing::FACES;
use crate::packet::{Packet, PacketView, protocol};
use crate::registry::Plugins;
use record::Time;
use std::collections::BTreeMap;

const SEED: HashSeed = HashSeed::fixed([2, 4, 6, 9]);
/// Waits that a step chooses from, in milliseconds; the timeouts are 30 s and 300 s.
const WAITS_MS: [i64; 8] = [0, 1, 1_000, 29_000, 30_000, 300_000, -1_000, -400_000];

/// Packets and bytes by client port.
pub(super) type Sums = BTreeMap<u16, (u64, u64)>;

/// Steps of three bytes: which flow and direction, TCP flags, wait and sweep. What was exported is what was put in, flow by flow, and
/// I8 holds after each step.
pub(super) fn fuzz_cache(data: &[u8]) {
    for face in FACES {
        let shape = Shape { size_exp: 4, line_exp: 2 };
        let mut cache = Cache::new(CacheConfig { shape, face, ..CacheConfig::default() }, Plugins::default())
            .expect("16 flows fit");
        let (mut batch, mut put, mut got) = (Batch::default(), Sums::new(), Sums::new());
        let mut at_ms = 1_600_000_000_000i64;
        for step in data.chunks_exact(3) {
            let &[which, flags, wait] = step else { break };
            at_ms += WAITS_MS[usize::from(wait & 7)];
            let at = Time(at_ms as u64 * 1_000_000);
            let packet = packet(which, flags, at);
            add(&mut put, u16::from(which >> 1), (1, u64::from(packet.ip_len)));
            cache.packet(PacketView { packet: &packet, bytes: &[] }, &mut batch);
            match wait >> 3 & 3 {
                0 => {}
                1 => cache.sweep_all(at, &mut batch),
                _ => cache.sweep(at, &mut batch),
            }
            take(&mut batch, &mut got);
            let stats = cache.stats();
            assert_eq!(stats.opened + stats.continued, stats.ended_total() + cache.live() as u64);
        }
        cache.flush(Time(at_ms as u64 * 1_000_000), &mut batch, |batch| take(batch, &mut got));
        take(&mut batch, &mut got);
        assert_eq!(put, got);
        assert_eq!(cache.live(), 0);
        let stats = cache.stats();
        assert_eq!((stats.packets, stats.bytes), (stats.exported_packets, stats.exported_bytes));
    }
}

pub(super) fn packet(which: u8, flags: u8, at: Time) -> Packet {
    let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let (port, back) = (u16::from(which >> 1), which & 1 != 0);
    let (src, dst, src_port, dst_port) =
        if back { (server, client, 1_000, port) } else { (client, server, port, 1_000) };
    let (key, reversed) = FlowKey::v4(src, dst, src_port, dst_port, protocol::TCP, 0, false);
    Packet {
        key,
        reversed,
        hash: key.hash(SEED),
        at,
        ip_len: 40 + u32::from(which),
        src_port,
        dst_port,
        protocol: protocol::TCP,
        ip_version: 4,
        tcp_flags: flags,
        ..Packet::default()
    }
}

pub(super) fn take(batch: &mut Batch, got: &mut Sums) {
    for flow in batch.flows() {
        let b = flow.basic();
        let port = if b.dst_port == 1_000 { b.src_port } else { b.dst_port };
        assert!(b.packets > 0, "a flow begins with a packet of its source");
        add(got, port, (u64::from(b.packets) + u64::from(b.packets_rev), b.bytes + b.bytes_rev));
    }
    batch.clear();
}

pub(super) fn add(sums: &mut Sums, port: u16, (packets, bytes): (u64, u64)) {
    let sum = sums.entry(port).or_default();
    sum.0 += packets;
    sum.1 += bytes;
}
