//! basicplus: TTL, IP flags, TCP window, options, MSS and SYN size of both directions (spec/process_plugins.md, "basicplus"; RFC 9293).
//!
//! Most values are those of the direction's first packet; the TTL grows with larger ones, options gather over all packets.
use crate::face::Face;
use crate::packet::{Direction, PacketView, tcp};
use crate::plugin::{Context, Layer, OptionError, Plugin, Slot, Slots, Step};
use record::element::{cesnet, iana, reverse};
use record::record;
use std::fmt::Write;

record! {
    /// IP and TCP header facts of both directions.
    pub struct BasicPlusRecord = "basicplus" {
        /// Largest TTL or hop limit.
        ttl: u8, ipfix iana::ipTTL, unirec "IP_TTL";
        /// Largest TTL or hop limit, reverse.
        ttl_rev: u8, ipfix reverse::ipTTL, unirec "IP_TTL_REV";
        /// IPv4 flags of the first packet: 4 reserved, 2 DF, 1 MF; 0 for IPv6.
        flags: u8, ipfix iana::fragmentFlags, unirec "IP_FLG";
        /// IPv4 flags of the first packet, reverse.
        flags_rev: u8, ipfix reverse::fragmentFlags, unirec "IP_FLG_REV";
        /// TCP window of the first packet, not scaled.
        window: u16, ipfix iana::tcpWindowSize, unirec "TCP_WIN";
        /// TCP window of the first packet, not scaled, reverse.
        window_rev: u16, ipfix reverse::tcpWindowSize, unirec "TCP_WIN_REV";
        /// TCP options of all packets as in IPFIX element 209: kind k is bit (k & 0xf8) + 7 - (k & 7).
        options: u64, ipfix iana::tcpOptions, unirec "TCP_OPT";
        /// TCP options of all packets, reverse.
        options_rev: u64, ipfix reverse::tcpOptions, unirec "TCP_OPT_REV";
        /// Maximum segment size that the first packet offers.
        mss: u32, ipfix cesnet::tcpMss, unirec "TCP_MSS";
        /// Maximum segment size that the first packet offers, reverse.
        mss_rev: u32, ipfix cesnet::tcpMssRev, unirec "TCP_MSS_REV";
        /// Length of the flow's first packet from the IP header on, if it is a SYN.
        syn_size: u16, ipfix cesnet::tcpSynSize, unirec "TCP_SYN_SIZE";
    }
}

pub struct BasicPlus {
    face: Face,
}

/// Directions whose first packet was seen.
#[derive(Default)]
pub struct Begun {
    forward: bool,
    reverse: bool,
}

record::packed!(Begun { forward: bool, reverse: bool });

impl Plugin for BasicPlus {
    type Record = BasicPlusRecord;
    type State = Begun;

    const LAYER: Layer = Layer::Stat;
    const BEFORE: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(BasicPlus { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let packet = ctx.packet.packet;
        let is_syn = if self.face.is_original() {
            packet.tcp_flags == tcp::SYN
        } else {
            // The congestion bits of an ECN setup (RFC 3168 section 6.1.1) do not matter.
            packet.tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK) == tcp::SYN
        };
        if is_syn {
            slot.record.syn_size = packet.ip_len as u16;
        }
        // A flow that another plugin began anew may begin with a reverse packet; the original takes it for a forward one.
        let direction = if self.face.is_original() { Direction::Forward } else { ctx.direction };
        self.see(direction, &ctx.packet, slot);
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first() {
            self.see(ctx.direction, &ctx.packet, slot);
        }
        Step::More
    }

    fn text(r: &BasicPlusRecord, out: &mut String) {
        let _ = write!(
            out,
            "sttl={},dttl={},sflg={},dflg={},stcpw={},dtcpw={},stcpo={},dtcpo={},stcpm={},dtcpm={},tcpsynsize={}",
            r.ttl,
            r.ttl_rev,
            r.flags,
            r.flags_rev,
            r.window,
            r.window_rev,
            r.options,
            r.options_rev,
            r.mss,
            r.mss_rev,
            r.syn_size
        );
    }

    fn summary(r: &BasicPlusRecord, out: &mut String) {
        let _ = write!(out, "ttl {}/{}", r.ttl, r.ttl_rev);
    }
}

impl BasicPlus {
    fn see(&self, direction: Direction, view: &PacketView<'_, '_>, slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        let (ttl, flags, window, options, mss) = match direction {
            Direction::Forward => (&mut r.ttl, &mut r.flags, &mut r.window, &mut r.options, &mut r.mss),
            Direction::Reverse => {
                (&mut r.ttl_rev, &mut r.flags_rev, &mut r.window_rev, &mut r.options_rev, &mut r.mss_rev)
            }
        };
        let has_tcp = view.tcp_window();
        let begun = match direction {
            Direction::Forward => &mut slot.state.forward,
            Direction::Reverse => &mut slot.state.reverse,
        };
        if !std::mem::replace(begun, true) {
            *flags = view.ip_flags();
            if let Some(size) = has_tcp {
                *window = size;
                *mss = self.mss(view);
            }
        }
        *ttl = (*ttl).max(view.ttl());
        if has_tcp.is_some() {
            let header = view.l4_header();
            *options |= if self.face.is_original() { original_mask(header) } else { tcp::options_mask(header) };
        }
    }

    fn mss(&self, view: &PacketView<'_, '_>) -> u32 {
        if self.face.is_original() {
            tcp::mss_original(view.l4()).unwrap_or(0)
        } else {
            tcp::mss(view.l4_header()).unwrap_or(0).into()
        }
    }
}

/// The options as the original gathers them: a NOP or END in the header's last byte is left out, a length may leave the header, and
/// kinds above 63 fall onto the bits of kind mod 64 (an x86 shift).
fn original_mask(header: &[u8]) -> u64 {
    let options = header.get(20..).unwrap_or_default();
    let (mut at, mut mask) = (0, 0);
    while let Some(&[kind, len]) = options.get(at..).and_then(|rest| rest.first_chunk()) {
        mask |= 1u64.wrapping_shl(((kind & 0xf8) + (7 - (kind & 7))).into());
        at += match kind {
            tcp::kind::END => break,
            tcp::kind::NO_OPERATION => 1,
            _ if len == 0 => break,
            _ => len as usize,
        };
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::{ICMP, TCP, UDP};
    use crate::plugin::testing::{Harness, frame};
    use proptest::prelude::*;

    /// Direction, TTL, TCP flags and options of a packet.
    type Seen<'a> = (Direction, u8, u8, &'a [u8]);

    fn play(face: Face, packets: &[Seen<'_>]) -> String {
        let mut h = Harness::<BasicPlus>::new(face);
        for (direction, ttl, tcp_flags, options) in packets {
            let (mut packet, mut bytes) = frame(*direction, 1, 2, TCP, options, b"\xaa\xbb");
            (bytes[8], packet.tcp_flags) = (*ttl, *tcp_flags);
            h.frame(*direction, packet, &bytes);
        }
        let mut out = String::new();
        BasicPlus::text(&h.records()[0], &mut out);
        out
    }

    const SYN_OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    const TIMES: &[u8] = &[1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1];

    #[test]
    fn a_connection() {
        let packets = [
            (Forward, 64, tcp::SYN, SYN_OPTIONS),
            (Reverse, 55, tcp::SYN | tcp::ACK, &[2, 4, 5, 0x50]),
            (Forward, 63, tcp::ACK, TIMES),
            (Reverse, 57, tcp::ACK, TIMES),
        ];
        let (there, back) = (1 << 6 | 1 << 5 | 1 << 4 | 1 << 3 | 1 << 15, 1 << 5 | 1 << 6 | 1 << 15);
        let want = |mss: u32, mss_rev: u32| {
            format!(
                "sttl=64,dttl=57,sflg=2,dflg=2,stcpw=512,dtcpw=512,stcpo={there},dtcpo={back},stcpm={mss},dtcpm={mss_rev},tcpsynsize=62"
            )
        };
        assert_eq!(play(Face::Native, &packets), want(1460, 1360));
        // Two bytes too many: the next option, and the payload.
        assert_eq!(play(Face::Ipfixprobe, &packets), want(1460 << 16 | 0x0402, 1360 << 16 | 0xaabb));
    }

    #[test]
    fn where_the_faces_differ() {
        // (flags, options, original, native) as options, SYN size
        let cases: &[(u8, &[u8], &str, &str)] = &[
            (0xc2, &[], "stcpo=0,tcpsynsize=0", "stcpo=0,tcpsynsize=42"),
            (tcp::SYN, &[3, 3, 7, 1], "stcpo=16,tcpsynsize=46", "stcpo=80,tcpsynsize=46"),
            (tcp::ACK, &[3, 3, 7, 0], "stcpo=16,tcpsynsize=0", "stcpo=144,tcpsynsize=0"),
            (tcp::ACK, &[8, 200, 0, 0], "stcpo=32768,tcpsynsize=0", "stcpo=0,tcpsynsize=0"),
            (tcp::ACK, &[68, 4, 0, 0], "stcpo=8,tcpsynsize=0", "stcpo=0,tcpsynsize=0"),
        ];
        for (flags, options, original, native) in cases {
            for (face, want) in [(Face::Ipfixprobe, original), (Face::Native, native)] {
                let text = play(face, &[(Forward, 64, *flags, options)]);
                let parts: Vec<_> =
                    text.split(',').filter(|p| p.starts_with("stcpo") || p.starts_with("tcps")).collect();
                assert_eq!(parts.join(","), **want, "{face:?} {options:?}");
            }
        }
        // A flow begun anew by a reverse packet.
        let packets: [Seen; 2] = [(Reverse, 50, tcp::ACK, &[]), (Forward, 60, tcp::ACK, &[])];
        assert!(play(Face::Native, &packets).starts_with("sttl=60,dttl=50,sflg=2,dflg=2,stcpw=512,dtcpw=512"));
        assert!(play(Face::Ipfixprobe, &packets).starts_with("sttl=60,dttl=0,sflg=2,dflg=0,stcpw=512,dtcpw=0"));
    }

    #[test]
    fn other_protocols_have_no_tcp_facts() {
        for protocol in [UDP, ICMP] {
            let mut h = Harness::<BasicPlus>::new(Face::Native);
            h.packet(Forward, 1, 2, protocol, &[0xff; 60]);
            let r = h.records().remove(0);
            assert_eq!((r.ttl, r.flags, r.window, r.options, r.mss, r.syn_size), (64, 2, 0, 0, 0, 0));
        }
    }

    proptest! {
        #[test]
        fn any_header_does(l4 in prop::collection::vec(any::<u8>(), 0..64), payload_at in 0u16..90) {
            for face in [Face::Native, Face::Ipfixprobe] {
                let (mut packet, mut bytes) = frame(Forward, 1, 2, TCP, &[], &[]);
                bytes.truncate(20);
                bytes.extend(&l4);
                packet.payload_at = payload_at;
                Harness::<BasicPlus>::new(face).frame(Forward, packet, &bytes);
            }
        }
    }
}
