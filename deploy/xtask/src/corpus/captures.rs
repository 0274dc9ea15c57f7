//! Seeds of the capture readers and of the packet decoder: whole captures, and frames of different shapes.
use super::{SEED_MAX, Seeds};
use benches::cases;
use dataplane::capture::{CaptureSource, Frame, OpenOptions, Poll, open_reader};
use dataplane::packet::decode::{DecodeConfig, decode};
use dataplane::packet::{Packet, protocol};
use std::io::Cursor;

/// pcapng begins with a section header block.
const PCAPNG: &[u8] = &[0x0a, 0x0d, 0x0d, 0x0a];
/// gzip and zstd: unpacked before the readers that are fuzzed.
const PACKED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
/// A frame is cut here: headers lie before it.
const FRAME_MAX: usize = 200;

pub(crate) fn add(seeds: &mut Seeds) {
    for case in cases() {
        let capture = (case.build)();
        if !PACKED.iter().any(|magic| capture.starts_with(magic)) {
            let reader = if capture.starts_with(PCAPNG) { "pcapng" } else { "pcap" };
            let start = &capture[..capture.len().min(SEED_MAX)];
            seeds.add(reader, case.name, start);
            seeds.add("lane", case.name, start);
        }
        each_frame(&capture, |frame| add_frame(seeds, frame));
    }
}

/// Calls `each` for every frame up to the end or the first error.
pub(crate) fn each_frame(capture: &[u8], mut each: impl FnMut(&Frame<'_>)) {
    let mut source = open_reader("case", Cursor::new(capture.to_vec()), OpenOptions::default());
    while let Ok(Poll::More | Poll::Idle) = source.burst(|frames| frames.iter().for_each(&mut each)) {}
}

fn add_frame(seeds: &mut Seeds, frame: &Frame<'_>) {
    let mut packet = Packet::default();
    let decoded = decode(frame, &DecodeConfig::default(), &mut packet);
    let shape = match decoded {
        Ok(()) => format!("{:?} {} {} {} {:?}", frame.link, packet.l3, packet.l4, packet.protocol, packet.fragment),
        Err(why) => format!("{:?} {why:?} {}", frame.link, frame.bytes.len() / 8),
    };
    seeds.add("packet", shape, &frame.bytes[..frame.bytes.len().min(FRAME_MAX)]);
    let (l4, payload) = (usize::from(packet.l4), usize::from(packet.payload_at));
    if decoded.is_ok() && packet.protocol == protocol::TCP && payload > l4 + 20 {
        let options = &frame.bytes[l4 + 20..payload];
        seeds.add("tcp_options", options.escape_ascii(), options);
    }
}
