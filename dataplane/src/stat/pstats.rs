//! pstats: length, time, TCP flags and direction of a flow's first packets (spec/process_plugins.md, "pstats").
//!
//! Options: `includezeroes` lists packets without payload too, `skipdup` leaves out repetitions of TCP.
use super::bstats::Seconds;
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, PacketView, protocol, tcp};
use crate::plugin::{Context, Layer, OptionError, Plugin, PluginOption, Sides, Slots, Step, Takes, join, options};
use record::element::cesnet;
use record::{List, Time, record};

record! {
    /// The first packets of a flow in the order of their coming.
    pub struct PstatsRecord = "pstats" {
        /// Payload bytes of each packet, by the length fields of the headers.
        lengths: List<u16, PACKETS_MAX>, ipfix cesnet::packetLength, unirec "PPI_PKT_LENGTHS";
        /// Time of each packet.
        times: List<Time, PACKETS_MAX>, ipfix cesnet::packetTime, unirec "PPI_PKT_TIMES";
        /// TCP flags of each packet, 0 for other protocols.
        flags: List<u8, PACKETS_MAX>, ipfix cesnet::packetFlag, unirec "PPI_PKT_FLAGS";
        /// 1 for a packet of the flow's first direction, -1 for the other.
        directions: List<i8, PACKETS_MAX>, ipfix cesnet::packetDirection, unirec "PPI_PKT_DIRECTIONS";
    }
}

/// Packets that are listed.
const PACKETS_MAX: usize = 30;

#[derive(Default)]
pub struct Pstats {
    empty_too: bool,
    skip_repeated: bool,
}

/// The last segment of a direction, for `skipdup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    seen: bool,
    sequence: u32,
    acknowledged: u32,
    len: u16,
    flags: u8,
}

record::packed!(Segment { seen: bool, sequence: u32, acknowledged: u32, len: u16, flags: u8 });

/// A packet that is listed, in 12 bytes: the time lies in two halves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listed {
    at_high: u32,
    at_low: u32,
    len: u16,
    flags: u8,
    direction: i8,
}

record::packed!(Listed { at_high: u32, at_low: u32, len: u16, flags: u8, direction: i8 });

/// The packets of a flow so far, in one list: a packet changes one cache line.
#[derive(Default)]
pub struct Seen {
    list: List<Listed, PACKETS_MAX>,
    last: Sides<Segment>,
}

record::packed!(Seen { list: List<Listed, PACKETS_MAX>, last: Sides<Segment> });

impl Plugin for Pstats {
    type Record = PstatsRecord;
    type State = Seen;

    const LAYER: Layer = Layer::Stat;
    const AFTER: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;
    const LATE: bool = true;
    const OPTIONS: &'static [PluginOption] = &[
        PluginOption {
            short: "i",
            long: "includezeroes",
            takes: Takes::Switch { default: false },
            about: "list packets without payload too",
        },
        PluginOption {
            short: "s",
            long: "skipdup",
            takes: Takes::Switch { default: false },
            about: "leave out repetitions of TCP segments",
        },
    ];

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        let mut plugin = Pstats::default();
        for option in options {
            match options::split(option) {
                (name @ ("i" | "includezeroes"), value) => plugin.empty_too = options::switch(name, value)?,
                (name @ ("s" | "skipdup"), value) => plugin.skip_repeated = options::switch(name, value)?,
                (name, _) => return Err(OptionError::Unknown(name.into())),
            }
        }
        Ok(plugin)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(seen) = slots.state_or_open() {
            self.see(ctx, seen);
        }
        Step::More
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.payload_wire == 0 && !self.empty_too && !self.skip_repeated {
            return Step::More;
        }
        let Some(seen) = slots.state() else { return Step::More };
        self.see(ctx, seen);
        if seen.list.len() == PACKETS_MAX { Step::Done } else { Step::More }
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        if is_lone_syn(flow) {
            slots.clear();
        }
    }

    fn renew(seen: &mut Seen) {
        seen.list.empty();
        seen.last = Sides::default();
    }

    fn complete(seen: &Seen, r: &mut PstatsRecord) {
        for listed in seen.list.as_slice() {
            r.lengths.push(listed.len);
            r.times.push(listed.time());
            r.flags.push(listed.flags);
            r.directions.push(listed.direction);
        }
    }

    fn text(r: &PstatsRecord, out: &mut String) {
        out.push_str("ppisizes=(");
        join(out, r.lengths.as_slice());
        out.push_str("),ppitimes=(");
        join(out, r.times.as_slice().iter().map(|at| Seconds(*at)));
        out.push_str("),ppiflags=(");
        join(out, r.flags.as_slice());
        out.push_str("),ppidirs=(");
        join(out, r.directions.as_slice());
        out.push(')');
    }
}

/// One packet that wanted to open a connection says nothing about its traffic.
pub(super) fn is_lone_syn(flow: &Flow) -> bool {
    flow.packets_total() <= 1 && (flow.tcp_flags[0] | flow.tcp_flags[1]) & tcp::SYN != 0
}

impl Pstats {
    fn see(&self, ctx: &Context<'_, '_>, seen: &mut Seen) {
        let p = ctx.packet.packet;
        if self.skip_repeated
            && let Some(segment) = segment(&ctx.packet)
        {
            let last = seen.last.of(ctx.direction);
            if repeats(&segment, last) && !seen.list.is_empty() {
                return;
            }
            *last = segment;
        }
        if p.payload_wire == 0 && !self.empty_too {
            return;
        }
        seen.list.push(Listed {
            at_high: (p.at.0 >> 32) as u32,
            at_low: p.at.0 as u32,
            len: p.payload_wire,
            flags: p.tcp_flags,
            direction: if ctx.direction == Direction::Forward { 1 } else { -1 },
        });
    }
}

impl Listed {
    fn time(&self) -> Time {
        Time(u64::from(self.at_high) << 32 | u64::from(self.at_low))
    }
}

fn segment(view: &PacketView<'_, '_>) -> Option<Segment> {
    let p = view.packet;
    let &[s3, s2, s1, s0, a3, a2, a1, a0] = view.l4_header().get(4..12)?.first_chunk()?;
    (p.protocol == protocol::TCP).then_some(Segment {
        seen: true,
        sequence: u32::from_be_bytes([s3, s2, s1, s0]),
        acknowledged: u32::from_be_bytes([a3, a2, a1, a0]),
        len: p.payload_wire,
        flags: p.tcp_flags,
    })
}

/// Whether a segment brings nothing beyond the last one of its direction. The original compares the first one with what lies in its
/// memory; here it is never a repetition.
fn repeats(segment: &Segment, last: &Segment) -> bool {
    last.seen
        && !tcp::after(segment.sequence, last.sequence)
        && !tcp::after(segment.acknowledged, last.acknowledged)
        && (segment.len, segment.flags) == (last.len, last.flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::TCP;
    use crate::plugin::testing::{Harness, frame};

    /// Packets of (direction, sequence number, TCP flags, payload length).
    fn play(options: &[&str], packets: &[(Direction, u32, u8, usize)]) -> Vec<PstatsRecord> {
        let mut h = Harness::<Pstats>::with_options(options, Face::Native);
        for (direction, sequence, flags, len) in packets {
            let (mut packet, mut bytes) = frame(*direction, 1, 2, TCP, &[], &vec![0; *len]);
            bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
            packet.tcp_flags = *flags;
            h.frame(*direction, packet, &bytes);
        }
        h.records()
    }

    const TALK: [(Direction, u32, u8, usize); 5] = [
        (Forward, u32::MAX, tcp::SYN, 0),
        (Reverse, 1, tcp::SYN | tcp::ACK, 0),
        (Forward, u32::MAX - 1, tcp::ACK, 100),
        (Forward, u32::MAX - 1, tcp::ACK, 100),
        (Reverse, 2, tcp::ACK, 50),
    ];

    #[test]
    fn packets_by_option() {
        for (options, lengths, directions) in [
            (&[][..], &[100, 100, 50][..], &[1, 1, -1][..]),
            (&["includezeroes"], &[0, 0, 100, 100, 50], &[1, -1, 1, 1, -1]),
            (&["i", "skipdup"], &[0, 0, 100, 50], &[1, -1, 1, -1]),
            (&["s=true"], &[100, 50], &[1, -1]),
        ] {
            let [r] = &play(options, &TALK)[..] else { panic!("one record") };
            assert_eq!((r.lengths.as_slice(), r.directions.as_slice()), (lengths, directions), "{options:?}");
            assert_eq!((r.times.len(), r.flags.len()), (lengths.len(), lengths.len()));
        }
        let [r] = &play(&["i"], &TALK[..3])[..] else { panic!("one record") };
        let mut text = String::new();
        Pstats::text(r, &mut text);
        assert_eq!(text, "ppisizes=(0,0,100),ppitimes=(0.1000,0.2000,0.3000),ppiflags=(2,18,16),ppidirs=(1,-1,1)");
    }

    #[test]
    fn a_lone_syn_and_the_thirty_first_packet_are_left_out() {
        assert!(play(&["i"], &TALK[..1]).is_empty());
        assert_eq!(play(&[], &[TALK[2]]).len(), 1);
        assert_eq!(play(&[], &[TALK[2]; 40])[0].lengths.len(), PACKETS_MAX);
    }

    #[test]
    fn options_that_cannot_be() {
        for option in ["x", "i=2", ""] {
            assert!(Pstats::new(&[option], Face::Native).is_err(), "{option}");
        }
    }
}
