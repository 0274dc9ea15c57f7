//! rtp: quality of calls and streams: packets lost and out of order, jitter, and what receivers report (RTP and RTCP, RFC 3550), over UDP, between
//! ports that need no privilege.
//!
//! RTP has no magic number: a direction counts as a stream when its first packets have one source (SSRC) and numbers that go on
//! ([`stream`]), a flow of RTCP alone when a packet is made of reports to its last byte ([`rtcp`]). Who asks whom is said by SIP, whose
//! plugin tells the ports; no flow knows of another here. Of SRTP the headers are in the clear and say the same; its reports are encrypted and not read.
use crate::face::Face;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Sides, Slots, Step, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;
use stream::{Header, Stream, Verdict};

mod rtcp;
mod stream;

record! {
    /// Streams of media.
    pub struct RtpRecord = "rtp" {
        /// Packets of RTP from source to destination.
        packets: u32, ipfix cesnet::rtpPackets, unirec "RTP_PACKETS";
        /// The same, reverse.
        packets_rev: u32, ipfix cesnet::rtpPacketsRev, unirec "RTP_PACKETS_REV";
        /// Packets that were not seen, by the gaps in the numbers; what came late is no more among them. A restart of the numbers is no loss.
        lost: u32, ipfix cesnet::rtpLost, unirec "RTP_LOST";
        /// The same, reverse.
        lost_rev: u32, ipfix cesnet::rtpLostRev, unirec "RTP_LOST_REV";
        /// Packets that came behind a later one.
        late: u32, ipfix cesnet::rtpLate, unirec "RTP_LATE";
        /// The same, reverse.
        late_rev: u32, ipfix cesnet::rtpLateRev, unirec "RTP_LATE_REV";
        /// The largest interarrival jitter in microseconds (RFC 3550 section 6.4.1). 0 while the clock is not known.
        jitter_max: u32, ipfix cesnet::rtpJitterMax, unirec "RTP_JITTER_MAX";
        /// The same, reverse.
        jitter_max_rev: u32, ipfix cesnet::rtpJitterMaxRev, unirec "RTP_JITTER_MAX_REV";
        /// Longest time in microseconds between a packet and the next.
        gap_max: u32, ipfix cesnet::rtpGapMax, unirec "RTP_GAP_MAX";
        /// The same, reverse.
        gap_max_rev: u32, ipfix cesnet::rtpGapMaxRev, unirec "RTP_GAP_MAX_REV";
        /// Payload type of the first packet (RFC 3551: 0 PCMU, 8 PCMA, 9 G722, 18 G729; from 96 on what SDP said).
        payload_type: u8, ipfix cesnet::rtpPayloadType, unirec "RTP_PAYLOAD_TYPE";
        /// The same, reverse.
        payload_type_rev: u8, ipfix cesnet::rtpPayloadTypeRev, unirec "RTP_PAYLOAD_TYPE_REV";
        /// Source of the first packet.
        ssrc: u32, ipfix cesnet::rtpSsrc, unirec "RTP_SSRC";
        /// The same, reverse.
        ssrc_rev: u32, ipfix cesnet::rtpSsrcRev, unirec "RTP_SSRC_REV";
        /// Ticks a second of the timestamps: by the payload type, else the usual one that fits the first half second. 0 if none does.
        clock: u32, ipfix cesnet::rtpClock, unirec "RTP_CLOCK";
        /// The same, reverse.
        clock_rev: u32, ipfix cesnet::rtpClockRev, unirec "RTP_CLOCK_REV";
        /// Reception reports that the source sent: what it says of the streams that it receives.
        reports: u32, ipfix cesnet::rtcpReports, unirec "RTCP_REPORTS";
        /// The same, reverse.
        reports_rev: u32, ipfix cesnet::rtcpReportsRev, unirec "RTCP_REPORTS_REV";
        /// The largest fraction lost among them, in 256ths.
        reported_loss: u8, ipfix cesnet::rtcpFractionLostMax, unirec "RTCP_FRACTION_LOST_MAX";
        /// The same, reverse.
        reported_loss_rev: u8, ipfix cesnet::rtcpFractionLostMaxRev, unirec "RTCP_FRACTION_LOST_MAX_REV";
        /// The largest jitter among them, in ticks of the stream's clock.
        reported_jitter: u32, ipfix cesnet::rtcpJitterMax, unirec "RTCP_JITTER_MAX";
        /// The same, reverse.
        reported_jitter_rev: u32, ipfix cesnet::rtcpJitterMaxRev, unirec "RTCP_JITTER_MAX_REV";
        /// Name that the source gives itself (CNAME), often user@host.
        cname: Text<CNAME_LEN_MAX>, ipfix cesnet::rtcpCname, unirec "RTCP_CNAME";
        /// The same, reverse.
        cname_rev: Text<CNAME_LEN_MAX>, ipfix cesnet::rtcpCnameRev, unirec "RTCP_CNAME_REV";
    }
}

/// RFC 3550 allows 255 bytes; RFC 7022 makes 16 to 96.
const CNAME_LEN_MAX: usize = 96;
/// Ports below need a privilege; media have higher ones, and DNS, NTP and others lower ones whose first bytes look alike.
const PORT_MIN: u16 = 1024;

pub struct Rtp;

impl Plugin for Rtp {
    type Record = RtpRecord;
    type State = Sides<Stream>;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port.min(dst_port) >= PORT_MIN
    }

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<{ rtcp::LEN_MIN }>().is_some_and(|h| h[0] >> 6 == stream::VERSION)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Rtp)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let payload = ctx.packet.payload();
        if rtcp::is_type(payload) {
            // Anything may begin so by chance; all lengths fit by chance in no packet that is not one.
            let Some(reports) = rtcp::Reports::of(payload) else { return Step::More };
            let Some(slot) = slots.first_or_open() else { return Step::More };
            reports.tell(ctx.direction, &mut slot.record);
            return Step::More;
        }
        let Some(header) = Header::of(payload) else { return Step::More };
        let is_new = slots.first().is_none();
        let Some(slot) = slots.first_or_open() else { return Step::More };
        // What only may be a stream is nobody's record.
        slot.export &= !is_new;
        let counts = Counts::of(&mut slot.record, ctx.direction);
        match slot.state.of(ctx.direction).see(&header, ctx.packet.packet.at, counts) {
            Verdict::Stream => slot.export = true,
            Verdict::Perhaps => {}
            Verdict::Other if slot.export => {}
            Verdict::Other => {
                slots.clear();
                return Step::Done;
            }
        }
        Step::More
    }

    fn text(r: &RtpRecord, out: &mut String) {
        let pairs: [(&str, u32, u32); 11] = [
            ("packets", r.packets, r.packets_rev),
            ("lost", r.lost, r.lost_rev),
            ("late", r.late, r.late_rev),
            ("jittermax", r.jitter_max, r.jitter_max_rev),
            ("gapmax", r.gap_max, r.gap_max_rev),
            ("type", r.payload_type.into(), r.payload_type_rev.into()),
            ("ssrc", r.ssrc, r.ssrc_rev),
            ("clock", r.clock, r.clock_rev),
            ("reports", r.reports, r.reports_rev),
            ("fractionlost", r.reported_loss.into(), r.reported_loss_rev.into()),
            ("jitter", r.reported_jitter, r.reported_jitter_rev),
        ];
        out.push_str("rtp");
        for (name, forward, reverse) in pairs {
            let _ = write!(out, "{name}={forward},{name}rev={reverse},");
        }
        for (key, value) in [("cname", &r.cname), (",cnamerev", &r.cname_rev)] {
            let _ = write!(out, "{key}=\"");
            put_text(out, value.as_bytes());
            out.push('"');
        }
    }

    fn summary(r: &RtpRecord, out: &mut String) {
        let (packets, lost) = (r.packets.saturating_add(r.packets_rev), r.lost.saturating_add(r.lost_rev));
        if packets == 0 {
            let _ = write!(out, "rtcp {} reports", r.reports.saturating_add(r.reports_rev));
            return;
        }
        let _ = write!(out, "rtp {packets} packets, {lost} lost, jitter {} us", r.jitter_max.max(r.jitter_max_rev));
    }
}

/// The fields of one direction that packets change.
struct Counts<'r> {
    packets: &'r mut u32,
    lost: &'r mut u32,
    late: &'r mut u32,
    jitter_max: &'r mut u32,
    gap_max: &'r mut u32,
    payload_type: &'r mut u8,
    ssrc: &'r mut u32,
    clock: &'r mut u32,
}

impl<'r> Counts<'r> {
    fn of(r: &'r mut RtpRecord, direction: Direction) -> Counts<'r> {
        macro_rules! of {
            ($packets:ident $lost:ident $late:ident $jitter:ident $gap:ident $kind:ident $ssrc:ident $clock:ident) => {
                Counts {
                    packets: &mut r.$packets,
                    lost: &mut r.$lost,
                    late: &mut r.$late,
                    jitter_max: &mut r.$jitter,
                    gap_max: &mut r.$gap,
                    payload_type: &mut r.$kind,
                    ssrc: &mut r.$ssrc,
                    clock: &mut r.$clock,
                }
            };
        }
        match direction {
            Direction::Forward => of!(packets lost late jitter_max gap_max payload_type ssrc clock),
            Direction::Reverse => {
                of!(packets_rev lost_rev late_rev jitter_max_rev gap_max_rev payload_type_rev ssrc_rev clock_rev)
            }
        }
    }
}

#[cfg(test)]
mod tests;
