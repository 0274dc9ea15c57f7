//! tcpquality: round trips of the handshake, and what became of the segments, as far as one point of observation can tell (RFC 9293; terms of RFC 5681,
//! RFC 6298, RFC 7323, RFC 4737).
//!
//! What can be told apart, and what cannot:
//! * Bytes that were seen before were sent again for certain: lost behind us, or sent for nothing. Which of the two, only the receiver knows.
//! * Bytes below the highest that were *not* seen before came late, or were lost before us and sent again. A sender cannot know of a loss before a
//!   round trip is over, so what comes sooner than the handshake's round trip counts as out of order, later as sent again. If the handshake
//!   was not seen, [`SURELY_LATE_NS`] stands for the round trip.
//! * Bytes that never came, but were acknowledged, arrived: the capture has lost them, or they took another way. They are `unseen` and
//!   never count as retransmissions. What is neither here nor acknowledged is `missing`: lost in the network, as far as we know.
//! * A record that begins in the midst of a connection (active timeout, start of the capture) knows nothing of what was before. With sampled packets
//!   nothing here means anything.
//!
//! Each direction's numbers stand with the direction that sent the packets. What a flow is kept of is bounded: see [`stream`].
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, Fragment, PacketView, protocol, tcp};
use crate::plugin::{Context, Layer, OptionError, Plugin, Sides, Slots, Step};
use handshake::Handshake;
use record::element::{cesnet, iana, reverse};
use record::{Time, record};
use std::fmt::Write;
use stream::{Segment, Sent, Stream};

mod handshake;
mod stream;

record! {
    /// How well a TCP connection went: round trips, losses, order.
    pub struct TcpQualityRecord = "tcpquality" {
        /// Handshake, server's side: microseconds from the SYN to the SYN-ACK, the way from here to the server and back. 0 if either was not seen, or
        /// the SYN was sent again before (RFC 6298 section 3: which one was answered is not known).
        rtt_server: u32, ipfix cesnet::tcpRttServer, unirec "TCP_RTT_SERVER";
        /// Handshake, client's side: microseconds from the SYN-ACK to its acknowledgement, the way from here to the client and back. 0 as above.
        rtt_client: u32, ipfix cesnet::tcpRttClient, unirec "TCP_RTT_CLIENT";
        /// Packets from source to destination that were sent again: with bytes (or SYN, FIN) that had come before, or came too late to be out of order.
        retransmitted: u32, ipfix cesnet::tcpRetransmittedPackets, unirec "TCP_RETRANS_PACKETS";
        /// The same, reverse.
        retransmitted_rev: u32, ipfix cesnet::tcpRetransmittedPacketsRev, unirec "TCP_RETRANS_PACKETS_REV";
        /// Payload bytes in them, without those that were new.
        retransmitted_bytes: u64, ipfix cesnet::tcpRetransmittedBytes, unirec "TCP_RETRANS_BYTES";
        /// The same, reverse.
        retransmitted_bytes_rev: u64, ipfix cesnet::tcpRetransmittedBytesRev, unirec "TCP_RETRANS_BYTES_REV";
        /// Packets that came behind a later one, and within a round trip of it.
        out_of_order: u32, ipfix cesnet::tcpOutOfOrderPackets, unirec "TCP_OUT_OF_ORDER";
        /// The same, reverse.
        out_of_order_rev: u32, ipfix cesnet::tcpOutOfOrderPacketsRev, unirec "TCP_OUT_OF_ORDER_REV";
        /// Packets that began beyond the next expected byte. One gap is one packet or more; it may have been filled later.
        gaps: u32, ipfix cesnet::tcpGaps, unirec "TCP_GAPS";
        /// The same, reverse.
        gaps_rev: u32, ipfix cesnet::tcpGapsRev, unirec "TCP_GAPS_REV";
        /// Bytes in gaps that were never filled, nor acknowledged: lost in the network.
        missing_bytes: u64, ipfix cesnet::tcpMissingBytes, unirec "TCP_MISSING_BYTES";
        /// The same, reverse.
        missing_bytes_rev: u64, ipfix cesnet::tcpMissingBytesRev, unirec "TCP_MISSING_BYTES_REV";
        /// Bytes that were never seen, but were acknowledged: lost by the capture, or on another way. A FIN counts as one.
        unseen_bytes: u64, ipfix cesnet::tcpUnseenBytes, unirec "TCP_UNSEEN_BYTES";
        /// The same, reverse.
        unseen_bytes_rev: u64, ipfix cesnet::tcpUnseenBytesRev, unirec "TCP_UNSEEN_BYTES_REV";
        /// Packets from the source that announce a window of 0: it takes no more for now. Without SYN, FIN and RST.
        zero_windows: u32, ipfix cesnet::tcpZeroWindows, unirec "TCP_ZERO_WINDOWS";
        /// The same, reverse.
        zero_windows_rev: u32, ipfix cesnet::tcpZeroWindowsRev, unirec "TCP_ZERO_WINDOWS_REV";
        /// Duplicate acknowledgements from the source (RFC 5681 section 2): it got something that it did not expect next.
        duplicate_acks: u32, ipfix cesnet::tcpDuplicateAcks, unirec "TCP_DUPLICATE_ACKS";
        /// The same, reverse.
        duplicate_acks_rev: u32, ipfix cesnet::tcpDuplicateAcksRev, unirec "TCP_DUPLICATE_ACKS_REV";
        /// Window scale in the source's SYN (RFC 7323 section 2.2), 14 at the most. 0 without one, also if the SYN was not seen.
        window_scale: u8, ipfix iana::tcpWindowScale, unirec "TCP_WIN_SCALE";
        /// The same, reverse.
        window_scale_rev: u8, ipfix reverse::tcpWindowScale, unirec "TCP_WIN_SCALE_REV";
        /// Longest time in microseconds from the other side's last new payload to the source's first behind it. Of a server how long it took to answer, as
        /// seen from here; of a client mostly how long somebody thought.
        response_max: u32, ipfix cesnet::tcpResponseTimeMax, unirec "TCP_RESPONSE_MAX";
        /// The same, reverse.
        response_max_rev: u32, ipfix cesnet::tcpResponseTimeMaxRev, unirec "TCP_RESPONSE_MAX_REV";
    }
}

/// A gap that is filled later than this was lost, if no round trip is known. tshark has the same.
const SURELY_LATE_NS: u64 = 3_000_000;
/// The largest scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

pub struct TcpQuality;

/// What is kept of a connection beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    handshake: Handshake,
    streams: Sides<Stream>,
    /// Who sent the last new payload, and when.
    speaker: Speaker,
    spoke_at: Time,
}

record::packed!(Connection { handshake: Handshake, streams: Sides<Stream>, speaker: Speaker, spoke_at: Time });

/// 0 nobody, 1 forward, 2 reverse.
type Speaker = u8;

impl Plugin for TcpQuality {
    type Record = TcpQualityRecord;
    type State = Connection;

    const LAYER: Layer = Layer::Stat;
    const BEFORE: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const RESIDENT: bool = true;

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(TcpQuality)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::TCP {
            return Step::Done;
        }
        if let Some(slot) = slots.first_or_open() {
            slot.state.see(&ctx.packet, ctx.direction, &mut slot.record);
        }
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first() else { return Step::Done };
        slot.state.see(&ctx.packet, ctx.direction, &mut slot.record);
        Step::More
    }

    /// What was acknowledged beyond the last that was seen. All else stands in the record already.
    fn end(&mut self, _flow: &Flow, slots: &mut Slots<'_, Self>) {
        if let Some(slot) = slots.first() {
            slot.record.unseen_bytes += slot.state.streams.forward.unseen_tail();
            slot.record.unseen_bytes_rev += slot.state.streams.reverse.unseen_tail();
        }
    }

    fn text(r: &TcpQualityRecord, out: &mut String) {
        let _ = write!(out, "rttserver={},rttclient={}", r.rtt_server, r.rtt_client);
        let pairs: [(&str, u64, u64); 9] = [
            ("retrans", r.retransmitted.into(), r.retransmitted_rev.into()),
            ("retransbytes", r.retransmitted_bytes, r.retransmitted_bytes_rev),
            ("outoforder", r.out_of_order.into(), r.out_of_order_rev.into()),
            ("gaps", r.gaps.into(), r.gaps_rev.into()),
            ("missing", r.missing_bytes, r.missing_bytes_rev),
            ("unseen", r.unseen_bytes, r.unseen_bytes_rev),
            ("zerowindows", r.zero_windows.into(), r.zero_windows_rev.into()),
            ("dupacks", r.duplicate_acks.into(), r.duplicate_acks_rev.into()),
            ("winscale", r.window_scale.into(), r.window_scale_rev.into()),
        ];
        for (name, forward, reverse) in pairs {
            let _ = write!(out, ",{name}={forward},{name}rev={reverse}");
        }
        let _ = write!(out, ",responsemax={},responsemaxrev={}", r.response_max, r.response_max_rev);
    }

    fn summary(r: &TcpQualityRecord, out: &mut String) {
        let again = r.retransmitted.saturating_add(r.retransmitted_rev);
        let _ = write!(out, "rtt {} us, {again} sent again", r.rtt_server.saturating_add(r.rtt_client));
    }
}

impl Connection {
    fn see(&mut self, view: &PacketView<'_, '_>, direction: Direction, r: &mut TcpQualityRecord) {
        let Some(segment) = Segment::of(view) else { return };
        let (own, peer) = match direction {
            Direction::Forward => (&mut self.streams.forward, &mut self.streams.reverse),
            Direction::Reverse => (&mut self.streams.reverse, &mut self.streams.forward),
        };
        let counts = Counts::of(r, direction);
        if segment.has(tcp::SYN)
            && let Some(shift) = scale(view.l4_header())
        {
            *counts.window_scale = shift;
        }
        if segment.window == 0 && !segment.has(tcp::SYN | tcp::FIN | tcp::RST) {
            add(counts.zero_windows, 1);
        }
        // What a reset carries is no part of the stream, and its numbers may be anybody's guess (RFC 5961).
        if segment.has(tcp::RST) {
            return;
        }
        // Before the numbers move: an old or a far one says that the connection is another.
        if own.starts_anew(&segment) {
            *own = Stream::default();
        }
        if segment.has(tcp::ACK) {
            if own.repeats_ack(peer, &segment) {
                add(counts.duplicate_acks, 1);
            }
            peer.acknowledge(segment.ack, counts.missing_of_peer, counts.unseen_of_peer);
        }
        let late_ns = self.handshake.round_trip_ns().unwrap_or(SURELY_LATE_NS);
        // The rest of a datagram in fragments has no header: how long the segment is does not show.
        let sent = if view.packet.fragment == Fragment::First {
            own.lose_track();
            Sent::Nothing
        } else {
            own.send(&segment, late_ns, counts.missing, counts.unseen)
        };
        match sent {
            Sent::Nothing => {}
            Sent::New { is_behind_gap } => {
                add(counts.gaps, u32::from(is_behind_gap));
                if segment.len > 0 {
                    let me = 1 + direction as Speaker;
                    if self.speaker != 0 && self.speaker != me {
                        let answered = micros(segment.at.0.saturating_sub(self.spoke_at.0));
                        *counts.response_max = answered.max(*counts.response_max);
                    }
                    (self.speaker, self.spoke_at) = (me, segment.at);
                }
            }
            Sent::OutOfOrder => add(counts.out_of_order, 1),
            Sent::Again { bytes } => {
                add(counts.retransmitted, 1);
                *counts.retransmitted_bytes += u64::from(bytes);
            }
        }
        self.handshake.see(&segment, direction);
        (r.rtt_server, r.rtt_client) = self.handshake.micros();
    }
}

/// The record's fields about one direction, and two about what it acknowledges.
struct Counts<'r> {
    retransmitted: &'r mut u32,
    retransmitted_bytes: &'r mut u64,
    out_of_order: &'r mut u32,
    gaps: &'r mut u32,
    missing: &'r mut u64,
    unseen: &'r mut u64,
    zero_windows: &'r mut u32,
    duplicate_acks: &'r mut u32,
    window_scale: &'r mut u8,
    response_max: &'r mut u32,
    missing_of_peer: &'r mut u64,
    unseen_of_peer: &'r mut u64,
}

impl<'r> Counts<'r> {
    fn of(r: &'r mut TcpQualityRecord, direction: Direction) -> Self {
        match direction {
            Direction::Forward => Counts {
                retransmitted: &mut r.retransmitted,
                retransmitted_bytes: &mut r.retransmitted_bytes,
                out_of_order: &mut r.out_of_order,
                gaps: &mut r.gaps,
                missing: &mut r.missing_bytes,
                unseen: &mut r.unseen_bytes,
                zero_windows: &mut r.zero_windows,
                duplicate_acks: &mut r.duplicate_acks,
                window_scale: &mut r.window_scale,
                response_max: &mut r.response_max,
                missing_of_peer: &mut r.missing_bytes_rev,
                unseen_of_peer: &mut r.unseen_bytes_rev,
            },
            Direction::Reverse => Counts {
                retransmitted: &mut r.retransmitted_rev,
                retransmitted_bytes: &mut r.retransmitted_bytes_rev,
                out_of_order: &mut r.out_of_order_rev,
                gaps: &mut r.gaps_rev,
                missing: &mut r.missing_bytes_rev,
                unseen: &mut r.unseen_bytes_rev,
                zero_windows: &mut r.zero_windows_rev,
                duplicate_acks: &mut r.duplicate_acks_rev,
                window_scale: &mut r.window_scale_rev,
                response_max: &mut r.response_max_rev,
                missing_of_peer: &mut r.missing_bytes,
                unseen_of_peer: &mut r.unseen_bytes,
            },
        }
    }
}

fn add(count: &mut u32, more: u32) {
    *count = count.saturating_add(more);
}

/// Microseconds, at the most what the field holds (71 minutes).
fn micros(ns: u64) -> u32 {
    (ns / 1_000).try_into().unwrap_or(u32::MAX)
}

/// RFC 7323 section 2.2: kind 3, one byte; what is larger than allowed counts as the largest (section 2.3).
fn scale(header: &[u8]) -> Option<u8> {
    let mut found = tcp::options(header).filter(|option| option.kind == tcp::kind::WINDOW_SCALE);
    found.find_map(|option| option.body.first().copied()).map(|shift| shift.min(SCALE_MAX))
}

#[cfg(test)]
mod tests;
