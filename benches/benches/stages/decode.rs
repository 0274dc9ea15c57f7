//! Decoding and hashing by bursts: frames in cache, and frames that stream from memory.
use criterion::{Criterion, Throughput};
use dataplane::capture::BURST;
use dataplane::flow::key::HashSeed;
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode, warm};
use rig::frames::Kind;
use std::hint::black_box;

/// Frames that stay in the first caches, and frames that do not stay in any.
const PLACES: [(&str, u64); 2] = [("cached", 1 << 10), ("streamed", 1 << 18)];

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let config = black_box(DecodeConfig::default());
    let mut packets = [Packet::default(); BURST];
    for (place, count) in PLACES {
        for (kind, name) in Kind::ALL {
            let mut source = kind.frames(count);
            group.throughput(Throughput::Elements(count));
            group.bench_function(format!("{name}/{place}"), |b| {
                b.iter(|| {
                    rig::bursts(&mut source, |burst| {
                        warm(burst);
                        for (frame, packet) in burst.iter().zip(&mut packets) {
                            if decode(frame, &config, packet).is_ok() {
                                packet.hash = packet.key.hash(HashSeed::FILES);
                            }
                        }
                        black_box(&packets);
                    });
                });
            });
        }
    }
}
