//! Reports of RTCP (RFC 3550 section 6): several in a packet, each with its length, together as long as it is.
use super::RtpRecord;
use super::stream::VERSION;
use crate::packet::Direction;

/// A receiver report without a block: header and source.
pub(super) const LEN_MIN: usize = 8;
/// Types of packets: those that may come first, descriptions, and all that are assigned (IANA, RTCP Control Packet types).
const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
const DESCRIPTION: u8 = 202;
const TYPES: std::ops::RangeInclusive<u8> = 192..=213;
/// Bytes of what a sender says of itself, and of a reception report.
const SENDER_LEN: usize = 20;
const REPORT_LEN: usize = 24;
const CNAME: u8 = 1;

/// Whether the second byte is of RTCP: as RTP it would have a type that RFC 5761 section 4 forbids beside it.
pub(super) fn is_type(payload: &[u8]) -> bool {
    payload.get(1).is_some_and(|kind| TYPES.contains(kind))
}

/// A packet's reports.
pub(super) struct Reports<'m> {
    packets: &'m [u8],
}

impl<'m> Reports<'m> {
    /// `None` unless it begins with a report and all lengths fit.
    pub(super) fn of(payload: &'m [u8]) -> Option<Reports<'m>> {
        let first = *payload.get(1)?;
        let mut rest = payload;
        while !rest.is_empty() {
            let (_, behind) = split(rest)?;
            rest = behind;
        }
        matches!(first, SENDER | RECEIVER).then_some(Reports { packets: payload })
    }

    pub(super) fn tell(&self, direction: Direction, r: &mut RtpRecord) {
        let (reports, loss, jitter, cname) = match direction {
            Direction::Forward => (&mut r.reports, &mut r.reported_loss, &mut r.reported_jitter, &mut r.cname),
            Direction::Reverse => {
                (&mut r.reports_rev, &mut r.reported_loss_rev, &mut r.reported_jitter_rev, &mut r.cname_rev)
            }
        };
        let mut rest = self.packets;
        while let Some((packet, behind)) = split(rest) {
            rest = behind;
            let body = &packet[LEN_MIN.min(packet.len())..];
            let blocks = match packet[1] {
                SENDER => body.get(SENDER_LEN..).unwrap_or_default(),
                RECEIVER => body,
                DESCRIPTION => {
                    if let Some(name) = name(packet) {
                        cname.set(name);
                    }
                    continue;
                }
                _ => continue,
            };
            for block in blocks.chunks_exact(REPORT_LEN).take(usize::from(packet[0] & 0x1f)) {
                *reports = reports.saturating_add(1);
                *loss = (*loss).max(block[4]);
                *jitter = (*jitter).max(u32::from_be_bytes([block[12], block[13], block[14], block[15]]));
            }
        }
    }
}

/// The first packet and what stands behind it. Its length counts words, less one, so each turn goes on by four bytes at least.
fn split(packets: &[u8]) -> Option<(&[u8], &[u8])> {
    let h = packets.first_chunk::<4>()?;
    let len = (usize::from(u16::from_be_bytes([h[2], h[3]])) + 1) * 4;
    (h[0] >> 6 == VERSION && TYPES.contains(&h[1])).then(|| packets.split_at_checked(len))?
}

/// The first name of a description (section 6.5): behind its header a source, then items of type, length and text.
fn name(packet: &[u8]) -> Option<&[u8]> {
    let mut items = packet.get(LEN_MIN..)?;
    loop {
        let (&[kind, len], rest) = items.split_first_chunk()?;
        if kind == 0 {
            return None;
        }
        let (text, behind) = rest.split_at_checked(len.into())?;
        if kind == CNAME {
            return Some(text);
        }
        items = behind;
    }
}
