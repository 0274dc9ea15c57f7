//! Nanoseconds per frame (PERFORMANCE.md, "The ceiling, one core"). Not a test of right and wrong; run it by
//! `cargo test --release -p dataplane --test decode_speed -- --ignored --nocapture`.
mod decode_frames;
use dataplane::Face;
use dataplane::capture::{BURST, Frame};
use dataplane::flow::key::HashSeed;
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode, decode_layers, warm};
use decode_frames::*;
use std::hint::black_box;
use std::time::Instant;

/// Frames in slots of one size, lent by bursts as a capture source does.
struct Arena {
    bytes: Vec<u8>,
    stride: usize,
    lens: Vec<usize>,
}

impl Arena {
    fn new(slots: usize, stride: usize, mut make: impl FnMut(usize) -> Vec<u8>) -> Arena {
        let mut arena = Arena { bytes: vec![0; slots * stride], stride, lens: Vec::new() };
        for (n, slot) in arena.bytes.chunks_exact_mut(stride).enumerate() {
            let frame = make(n);
            slot[..frame.len()].copy_from_slice(&frame);
            arena.lens.push(frame.len());
        }
        arena
    }

    fn bursts(&self, mut each: impl FnMut(&[Frame<'_>])) {
        let mut burst = [Frame::default(); BURST];
        for (slots, lens) in self.bytes.chunks(self.stride * BURST).zip(self.lens.chunks(BURST)) {
            for ((to, slot), &len) in burst.iter_mut().zip(slots.chunks(self.stride)).zip(lens) {
                *to = Frame { bytes: &slot[..len], wire_len: len as u32, ..Frame::default() };
            }
            each(&burst[..lens.len()]);
        }
    }

    /// The best of `rounds` passes, in ns per frame.
    fn measure(&self, rounds: usize, mut each: impl FnMut(&[Frame<'_>])) -> f64 {
        let pass = |each: &mut dyn FnMut(&[Frame<'_>])| {
            let start = Instant::now();
            self.bursts(each);
            start.elapsed().as_nanos() as f64 / self.lens.len() as f64
        };
        (0..rounds).map(|_| pass(&mut each)).fold(f64::MAX, f64::min)
    }
}

fn small(n: usize) -> Vec<u8> {
    let mut frame = padded(eth(0x0800, ipv4(6, tcp(0x10, &[], b""))));
    frame[26..30].copy_from_slice(&scatter(n).to_be_bytes()[..4]);
    frame[34..36].copy_from_slice(&(n as u16).to_be_bytes());
    frame.resize(64, 0);
    frame
}

/// A tenth tagged, a fifth IPv6, half UDP, sizes as on a network.
fn mixed(n: usize) -> Vec<u8> {
    let r = scatter(n);
    let payload = vec![0; [20, 20, 60, 200, 500, 1000, 1400, 1400][(r & 7) as usize]];
    let (proto, transport) = if r >> 8 & 1 == 0 {
        (6, tcp(0x18, if r >> 9 & 1 == 0 { &TIMESTAMP } else { &[] }, &payload))
    } else {
        (17, udp(&payload))
    };
    let (ethertype, ip) =
        if (r >> 16).is_multiple_of(5) { (0x86dd, ipv6(proto, transport)) } else { (0x0800, ipv4(proto, transport)) };
    let mut frame =
        if (r >> 24).is_multiple_of(10) { eth(0x8100, tag(100, ethertype, ip)) } else { eth(ethertype, ip) };
    let at = frame.len() - payload.len() - 30;
    frame[at] = r as u8;
    frame
}

fn scatter(n: usize) -> u64 {
    let mut z = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_frame() {
    let seed = HashSeed::random();
    let arenas = [
        ("64 B IPv4/TCP, in cache", Arena::new(256, 64, small), 20_000),
        ("64 B IPv4/TCP, 64 MB stream", Arena::new(1 << 20, 64, small), 15),
        ("mixed, in cache", Arena::new(256, 2048, mixed), 20_000),
        ("mixed, 4096 slots, L2/L3", Arena::new(4096, 2048, mixed), 500),
        ("mixed, 128 MB of 2 KiB slots", Arena::new(1 << 16, 2048, mixed), 40),
    ];
    let mut packets = [Packet::default(); BURST];
    for (name, arena, rounds) in &arenas {
        let lend = arena.measure(*rounds, |burst| {
            black_box(burst);
        });
        let touch = arena.measure(*rounds, |burst| {
            black_box(burst.iter().fold(0, |sum: u32, f| sum.wrapping_add(f.bytes[14].into())));
        });
        let mut line = format!("{name:<30} lend {lend:5.2}  touch {touch:5.2}");
        for face in [Face::Native, Face::Ipfixprobe] {
            let config = black_box(DecodeConfig { face, ..DecodeConfig::default() });
            let ns = arena.measure(*rounds, |burst| {
                for (frame, packet) in burst.iter().zip(&mut packets) {
                    let _ = decode(frame, &config, packet);
                }
                black_box(&packets);
            });
            line += &format!("  {face:?} {ns:5.2}");
        }
        let config = DecodeConfig::default();
        let hashed = arena.measure(*rounds, |burst| {
            for (frame, packet) in burst.iter().zip(&mut packets) {
                if decode(frame, &config, packet).is_ok() {
                    packet.hash = packet.key.hash(seed);
                }
            }
            black_box(&packets);
        });
        let warmed = arena.measure(*rounds, |burst| {
            warm(burst);
            for (frame, packet) in burst.iter().zip(&mut packets) {
                if decode(frame, &config, packet).is_ok() {
                    packet.hash = packet.key.hash(seed);
                }
            }
            black_box(&packets);
        });
        let layers = arena.measure(*rounds, |burst| {
            for (frame, packet) in burst.iter().zip(&mut packets) {
                let _ = decode_layers(frame, &config, packet);
            }
            black_box(&packets);
        });
        println!("{line}  with hash {hashed:5.2}  warm, hash {warmed:5.2}  by layers {layers:5.2} ns");
    }
}
