//! wg: how likely a flow is WireGuard, and its peers (spec/process_plugins.md, "wg"; the protocol's paper, section 5.4).
//!
//! Told by content: UDP, a type of 1 to 4, three zero bytes and the length of the type. A flow whose first packet is something else is
//! not looked at again.
use crate::face::Face;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step};
use record::element::cesnet;
use record::record;
use std::fmt::Write;

record! {
    /// WireGuard.
    pub struct WgRecord = "wg" {
        /// 100 WireGuard, 1 perhaps DNS that looks like it, 0 a later packet was something else.
        confidence: u8, ipfix cesnet::WGConfLevel, unirec "WG_CONF_LEVEL";
        /// Index that the flow's source goes by, as a little-endian number.
        src_peer: u32, ipfix cesnet::WGSrcPeer, unirec "WG_SRC_PEER";
        /// Index that the destination goes by.
        dst_peer: u32, ipfix cesnet::WGDstPeer, unirec "WG_DST_PEER";
    }
}

pub struct Wg;

/// Levels of confidence.
const SURE: u8 = 100;
const PERHAPS_DNS: u8 = 1;

impl Plugin for Wg {
    type Record = WgRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        matches!(payload.first_chunk(), Some([1..=4, 0, 0, 0]))
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Wg)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let message = Message::of(ctx.packet.payload()).filter(|_| ctx.packet.packet.protocol == protocol::UDP);
        if let Some(message) = message
            && let Some(slot) = slots.first_or_open()
        {
            message.note(ctx.direction, &mut slot.record);
            return Step::Each;
        }
        Step::Done
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first() else { return Step::Done };
        let r = &mut slot.record;
        let Some(message) = Message::of(ctx.packet.payload()) else {
            r.confidence = 0;
            return Step::Done;
        };
        let known = if ctx.direction == Direction::Forward { r.src_peer } else { r.dst_peer };
        // A new session.
        if let Message::Initiation { sender } = message
            && known != 0
            && known != sender
        {
            return Step::Reinsert;
        }
        message.note(ctx.direction, r);
        Step::More
    }

    fn is_certain(r: &WgRecord) -> bool {
        r.confidence == SURE
    }

    fn text(r: &WgRecord, out: &mut String) {
        let _ = write!(out, "wgconf={},wgsrcpeer={},wgdstpeer={}", r.confidence, r.src_peer, r.dst_peer);
    }

    fn summary(r: &WgRecord, out: &mut String) {
        if r.confidence == SURE {
            out.push_str("wireguard");
        }
    }
}

/// What the four types say of indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Initiation {
        sender: u32,
    },
    Response {
        sender: u32,
        receiver: u32,
    },
    /// A cookie reply, or data.
    To {
        receiver: u32,
    },
}

impl Message {
    fn of(payload: &[u8]) -> Option<Message> {
        let &[kind, 0, 0, 0, a, b, c, d] = payload.first_chunk()? else { return None };
        let first = u32::from_le_bytes([a, b, c, d]);
        match (kind, payload.len()) {
            (1, 148) => Some(Message::Initiation { sender: first }),
            (2, 92) => {
                let receiver = u32::from_le_bytes(*payload[8..].first_chunk()?);
                Some(Message::Response { sender: first, receiver })
            }
            (3, 64) | (4, 32..) => Some(Message::To { receiver: first }),
            _ => None,
        }
    }

    fn note(self, direction: Direction, r: &mut WgRecord) {
        let (own, other) = match direction {
            Direction::Forward => (&mut r.src_peer, &mut r.dst_peer),
            Direction::Reverse => (&mut r.dst_peer, &mut r.src_peer),
        };
        let first = match self {
            Message::Initiation { sender } => {
                *own = sender;
                sender
            }
            Message::Response { sender, receiver } => {
                (*own, *other) = (sender, receiver);
                sender
            }
            Message::To { receiver } => {
                *other = receiver;
                receiver
            }
        };
        // The counts of a DNS query stand there: one question, no answer.
        r.confidence = if first.to_le_bytes() == [0, 1, 0, 0] { PERHAPS_DNS } else { SURE };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::{TCP, UDP};
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    fn message(kind: u8, len: usize, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.resize(len, 0xaa);
        bytes
    }

    fn of(r: &WgRecord) -> (u8, u32, u32) {
        (r.confidence, r.src_peer, r.dst_peer)
    }

    #[test]
    fn sessions() {
        let mut h = Harness::<Wg>::new(Face::Native);
        let mut send = |direction, bytes: Vec<u8>| h.packet(direction, 5, 6, UDP, &bytes);
        assert_eq!(send(Forward, message(1, 148, &[7])), Step::Each);
        assert_eq!(send(Reverse, message(2, 92, &[8, 7])), Step::More);
        assert_eq!(send(Forward, message(4, 32, &[8])), Step::More);
        assert_eq!(send(Forward, message(1, 148, &[9])), Step::Reinsert);
        assert_eq!(send(Reverse, message(3, 64, &[9])), Step::More);
        let records = h.records();
        assert_eq!(records.iter().map(of).collect::<Vec<_>>(), [(100, 7, 8), (100, 9, 0)]);
        let mut text = String::new();
        Wg::text(&records[0], &mut text);
        assert_eq!(text, "wgconf=100,wgsrcpeer=7,wgdstpeer=8");
    }

    #[test]
    fn doubts() {
        for (what, packets, want) in [
            ("DNS", vec![message(4, 60, &[0x100])], Some((1, 0, 0x100))),
            ("another thing later", vec![message(4, 32, &[5]), b"hello".to_vec()], Some((0, 0, 5))),
            ("a wrong length", vec![message(1, 147, &[5])], None),
            ("another thing first", vec![b"hello".to_vec(), message(1, 148, &[5])], None),
        ] {
            let mut h = Harness::<Wg>::new(Face::Native);
            packets.iter().for_each(|bytes| {
                h.packet(Forward, 5, 6, UDP, bytes);
            });
            assert_eq!(h.records().first().map(of), want, "{what}");
        }
        let mut h = Harness::<Wg>::new(Face::Native);
        assert_eq!(h.packet(Forward, 5, 6, TCP, &message(1, 148, &[5])), Step::Done);
        assert!(h.records().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(kind in 0u8..6, payload in prop::collection::vec(any::<u8>(), 0..160)) {
            let mut h = Harness::<Wg>::new(Face::Native);
            h.packet(Forward, 5, 6, UDP, &[&[kind, 0, 0, 0], &payload[..]].concat());
            h.packet(Reverse, 6, 5, UDP, &payload);
            prop_assert!(h.records().iter().all(|r| [0, 1, 100].contains(&r.confidence)));
        }
    }
}
