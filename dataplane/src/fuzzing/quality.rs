//! A TCP connection whose numbers, acknowledgements, windows and times are the fuzzer's, through a lane with the plugin that counts losses.
use super::books::{self, Frames};
use crate::capture::{Frame, LinkType};
use crate::face::Face;
use crate::registry::PluginId;
use record::Time;

/// Where all numbers are moved to, for the second run.
const ELSEWHERE: u32 = 0x8000_0001;

/// Steps of twelve bytes: direction (bit 0) and pause in 8 ms, flags, number, acknowledgement (four bytes each, little endian), window, payload length. The
/// books balance, and where numbers begin does not matter: counts come from differences alone.
pub(super) fn fuzz_quality(data: &[u8]) {
    let config = books::config(&[PluginId::tcpquality], Face::Native, false);
    let run = |origin: u32| {
        let packets = packets(data, origin);
        let frames: Vec<Frame<'_>> = packets
            .iter()
            .map(|(at, bytes)| Frame {
                bytes,
                wire_len: bytes.len() as u32,
                at: *at,
                link: LinkType::Ethernet,
                ..Frame::default()
            })
            .collect();
        books::run(&config, &mut Frames::new(&frames, 7))
    };
    assert_eq!(run(0), run(ELSEWHERE), "numbers count by their differences");
}

fn packets(data: &[u8], origin: u32) -> Vec<(Time, Vec<u8>)> {
    let mut at_ms = 1_600_000_000_000;
    let steps = data.as_chunks::<12>().0.iter();
    steps
        .map(|&[control, flags, s0, s1, s2, s3, a0, a1, a2, a3, window, len]| {
            at_ms += u64::from(control >> 1) * 8;
            let seq = u32::from_le_bytes([s0, s1, s2, s3]).wrapping_add(origin);
            let ack = u32::from_le_bytes([a0, a1, a2, a3]).wrapping_add(origin);
            (Time(at_ms * 1_000_000), segment(control & 1, flags, seq, ack, window, len))
        })
        .collect()
}

/// Between 10.0.0.1 and 10.0.0.2.
fn segment(reverse: u8, flags: u8, seq: u32, ack: u32, window: u8, len: u8) -> Vec<u8> {
    let (src, dst) = (1 + reverse, 2 - reverse);
    let mut bytes = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0];
    bytes.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
    let ip_len = 40 + u16::from(len);
    bytes[16..18].copy_from_slice(&ip_len.to_be_bytes());
    bytes.extend([0, src, 0, dst]);
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([0x50, flags, 0, window, 0, 0, 0, 0]);
    bytes.resize(14 + usize::from(ip_len), 0);
    bytes
}
