//! What is sent over a veth pair, and the flows of it as they can be compared.
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, open_reader};
use record::Time;
use serde_json::Value;
use std::io::Cursor;

/// The frames of captures that a veth pair can carry, a microsecond apart: no timeout lies between them, however fast they are sent.
pub(crate) fn sendable(captures: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, u64) {
    sendable_within(captures, 9000)
}

/// The same with frames of at most so many bytes.
pub(crate) fn sendable_within(captures: impl IntoIterator<Item = Vec<u8>>, longest: usize) -> (Vec<u8>, u64) {
    let mut out = PcapWriter::new(Vec::new(), LinkType::Ethernet, true).expect("memory");
    let mut count = 0;
    for capture in captures {
        let mut source = open_reader("memory", Cursor::new(capture), OpenOptions::default());
        let mut put = |frame: &Frame<'_>| {
            let whole = frame.bytes.len() == frame.wire_len as usize && (14..=longest).contains(&frame.bytes.len());
            if frame.link == LinkType::Ethernet && whole {
                count += 1;
                out.frame(&Frame { at: Time(1_700_000_000_000_000_000 + count * 1_000), ..*frame }).expect("memory");
            }
        };
        // Some cases are broken on purpose; what comes before that is sent.
        while let Ok(Poll::More | Poll::Idle) = source.burst(|frames| frames.iter().for_each(&mut put)) {}
    }
    (out.finish().expect("memory"), count)
}

/// What is a time, or counted by the times between packets: bursts end by them, and they tell a segment that came late from one that came twice.
const OF_TIME: [&str; 9] =
    ["time", "bstats", "rtt", "response", "retransmitted", "out_of_order", "jitter_max", "gap_max", "clock"];

/// Flows without what cannot be the same.
pub(crate) fn timeless(mut flows: Vec<Value>) -> Vec<String> {
    let is_kept = |name: &str| !OF_TIME.iter().any(|part| name.contains(part));
    for fields in flows.iter_mut().filter_map(Value::as_object_mut) {
        fields.retain(|name, _| is_kept(name));
        for plugin in fields.values_mut().filter_map(Value::as_object_mut) {
            plugin.retain(|name, _| is_kept(name));
        }
    }
    flows.iter().map(Value::to_string).collect()
}
