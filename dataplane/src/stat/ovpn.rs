//! ovpn: how likely a flow is OpenVPN (spec/process_plugins.md, "ovpn"; the protocol's ssl.h).
//!
//! Told by the course of the handshake, or by the share of data packets among the large ones. All packets of a flow are looked at.
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, Layer, OptionError, Plugin, Slot, Slots, Step};
use record::element::cesnet;
use record::record;
use std::fmt::Write;

record! {
    /// OpenVPN.
    pub struct OvpnRecord = "ovpn" {
        /// 100 after a whole handshake; up to 80 by the share of data packets among the large ones; else 0.
        confidence: u8, ipfix cesnet::OVPNConfLevel, unirec "OVPN_CONF_LEVEL";
    }
}

pub struct Ovpn;

/// How far the handshake has come.
const NOTHING: u8 = 0;
const CLIENT_RESET: u8 = 1;
const SERVER_RESET: u8 = 2;
const ACKNOWLEDGED: u8 = 3;
const CLIENT_HELLO: u8 = 4;
const SERVER_HELLO: u8 = 5;
const CONTROL: u8 = 6;
const DATA: u8 = 7;

/// Packets in a row that do not go on with the handshake, after which it is forgotten.
const IDLE_MAX: u8 = 4;
/// A flow of so many packets or fewer says nothing.
const SHORT_MAX: u64 = 5;
/// There must be more packets than this, or large ones.
const PACKETS_MIN: u64 = 20;
/// Payload above this is large, bytes.
const LARGE: u16 = 500;
/// Least share of data packets among the large ones, and the confidence if all are.
const DATA_SHARE_MIN: f64 = 0.6;
const DATA_CONFIDENCE: f64 = 80.0;

/// What was seen of the flow.
#[derive(Default)]
pub struct Course {
    stage: u8,
    /// Packets since the last that went on.
    idle: u8,
    /// Whether the client is the flow's destination.
    client_reverse: bool,
    large: u32,
    data: u32,
}

record::packed!(Course { stage: u8, idle: u8, client_reverse: bool, large: u32, data: u32 });

impl Plugin for Ovpn {
    type Record = OvpnRecord;
    type State = Course;

    const LAYER: Layer = Layer::Stat;
    const BEFORE: bool = true;
    const ENDS: bool = true;
    const RESIDENT: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Ovpn)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            see(ctx, slot);
        }
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first() {
            see(ctx, slot);
        }
        Step::More
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        if flow.packets_total() <= SHORT_MAX {
            return slots.clear();
        }
        let Some(Slot { state: course, record, .. }) = slots.first() else { return };
        let share = f64::from(course.data) / f64::from(course.large);
        if flow.packets_total() > PACKETS_MIN && course.stage == DATA {
            record.confidence = 100;
        } else if u64::from(course.large) > PACKETS_MIN && share >= DATA_SHARE_MIN {
            record.confidence = (share * DATA_CONFIDENCE) as u8;
        }
    }

    fn is_certain(r: &OvpnRecord) -> bool {
        r.confidence > 0
    }

    fn text(r: &OvpnRecord, out: &mut String) {
        let _ = write!(out, "ovpnconf={}", r.confidence);
    }

    fn summary(r: &OvpnRecord, out: &mut String) {
        if r.confidence > 0 {
            let _ = write!(out, "openvpn {} %", r.confidence);
        }
    }
}

fn see(ctx: &Context<'_, '_>, slot: &mut Slot<Ovpn>) {
    let p = ctx.packet.packet;
    let payload = ctx.packet.payload();
    let (message, is_udp) = match p.protocol {
        protocol::UDP => (payload, true),
        // Behind the length of the packet.
        protocol::TCP => (payload.get(2..).unwrap_or_default(), false),
        _ => return,
    };
    let Some(opcode) = message.first().map(|byte| byte >> 3) else { return };
    let course = &mut slot.state;
    if p.payload_wire > LARGE && !(is_udp && is_rtp(payload)) {
        course.large = course.large.saturating_add(1);
        course.data = course.data.saturating_add(matches!(opcode, 6 | 9).into());
    }
    if let Some(stage) = next_stage(course, opcode, ctx.direction, message) {
        course.stage = stage;
        course.idle = 0;
        return;
    }
    course.idle += 1;
    if course.idle == IDLE_MAX {
        (course.stage, course.idle) = (NOTHING, 0);
    }
}

/// Where a packet takes the handshake, if it goes on with it.
fn next_stage(course: &mut Course, opcode: u8, direction: Direction, message: &[u8]) -> Option<u8> {
    let reverse = direction == Direction::Reverse;
    if matches!(opcode, 1 | 7 | 10) {
        course.client_reverse = reverse;
        return Some(CLIENT_RESET);
    }
    let of_client = reverse == course.client_reverse;
    match (opcode, course.stage) {
        (2 | 8, CLIENT_RESET) if !of_client => Some(SERVER_RESET),
        (5, SERVER_RESET) if of_client => Some(ACKNOWLEDGED),
        (4, ACKNOWLEDGED) if of_client && has_hello(message, [14, 42], 1) => Some(CLIENT_HELLO),
        (4, CLIENT_HELLO) if !of_client && has_hello(message, [26, 54], 2) => Some(SERVER_HELLO),
        (4 | 5, SERVER_HELLO | CONTROL) => Some(CONTROL),
        (6 | 9, CONTROL | DATA) => Some(DATA),
        _ => None,
    }
}

/// Whether a TLS record with this kind of hello begins at one of the places, without a key for all packets or with one.
fn has_hello(message: &[u8], places: [usize; 2], kind: u8) -> bool {
    const HANDSHAKE: u8 = 0x16;
    places.iter().any(|at| message.get(*at) == Some(&HANDSHAKE) && message.get(at + 5) == Some(&kind))
}

/// Voice and video have large packets, too (RFC 3550 section 5.1; payload types 72 to 95 would be RTCP).
fn is_rtp(payload: &[u8]) -> bool {
    const HEADER_LEN: usize = 12;
    payload.len() >= HEADER_LEN && payload[0] >> 6 == 2 && !(72..=95).contains(&(payload[1] & 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::{TCP, UDP};
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    fn message(opcode: u8, len: usize, tls: Option<(usize, u8)>) -> Vec<u8> {
        let mut bytes = vec![0; len.max(1)];
        bytes[0] = opcode << 3;
        if let Some((at, kind)) = tls {
            bytes.resize(at + 6, 0);
            (bytes[at], bytes[at + 5]) = (0x16, kind);
        }
        bytes
    }

    fn handshake() -> Vec<(Direction, Vec<u8>)> {
        vec![
            (Forward, message(7, 14, None)),
            (Reverse, message(8, 26, None)),
            (Forward, message(5, 22, None)),
            (Forward, message(4, 0, Some((14, 1)))),
            (Reverse, message(4, 0, Some((26, 2)))),
            (Forward, message(5, 22, None)),
        ]
    }

    fn confidence(protocol: u8, packets: &[(Direction, Vec<u8>)]) -> Option<u8> {
        let mut h = Harness::<Ovpn>::new(Face::Native);
        for (direction, bytes) in packets {
            let framed = if protocol == TCP { [&[0, 1], &bytes[..]].concat() } else { bytes.clone() };
            h.packet(*direction, 1, 2, protocol, &framed);
        }
        h.records().first().map(|r| r.confidence)
    }

    #[test]
    fn a_whole_handshake_and_data() {
        let data = vec![(Reverse, message(9, 100, None)); 20];
        for protocol in [UDP, TCP] {
            assert_eq!(confidence(protocol, &[handshake(), data.clone()].concat()), Some(100));
            assert_eq!(confidence(protocol, &[handshake(), data[..10].to_vec()].concat()), Some(0), "few packets");
            assert_eq!(
                confidence(protocol, &[handshake()[..3].to_vec(), data.clone()].concat()),
                Some(0),
                "half of it"
            );
        }
        assert_eq!(confidence(UDP, &handshake()[..5]), None, "five packets");
        let pause = vec![(Forward, message(0, 10, None)); 4];
        assert_eq!(confidence(UDP, &[handshake(), pause, data].concat()), Some(0), "forgotten");
    }

    #[test]
    fn data_among_large_packets() {
        let mut packets = vec![(Forward, message(6, 600, None)); 18];
        packets.extend(vec![(Forward, message(0, 600, None)); 6]);
        assert_eq!(confidence(UDP, &packets), Some(60));
        packets.extend(vec![(Forward, message(0, 600, None)); 20]);
        assert_eq!(confidence(UDP, &packets), Some(0));
        let mut voice = message(6, 600, None);
        (voice[0], voice[1]) = (0x80, 8);
        assert_eq!(confidence(UDP, &vec![(Forward, voice); 30]), Some(0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..30)) {
            for protocol in [UDP, TCP, 1] {
                let packets: Vec<_> = packets.iter().map(|bytes| (Forward, bytes.clone())).collect();
                prop_assert!(confidence(protocol, &packets).is_none_or(|c| c <= 100));
            }
        }
    }
}
