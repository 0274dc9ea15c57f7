//! TCP beyond ports: flags, sequence numbers, options (RFC 9293, 3.1 and 3.2).
//!
//! Options are walked, never stored: each step consumes at least one byte, and a length that contradicts the header ends the walk.
use super::{PacketView, protocol};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Option kinds.
pub mod kind {
    pub const END: u8 = 0;
    pub const NO_OPERATION: u8 = 1;
    pub const MSS: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
}

/// One option. `body` excludes kind and length; END and NO_OPERATION have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOption<'b> {
    pub kind: u8,
    pub body: &'b [u8],
}

/// The options of a TCP header; see [`options`].
#[derive(Clone, Debug)]
pub struct Options<'b> {
    rest: &'b [u8],
}

/// The options of a TCP header, `header` being what [`PacketView::l4_header`] gives. Ends behind END, and before an option that claims
/// less than its own two bytes or more than the header has.
pub fn options(header: &[u8]) -> Options<'_> {
    Options { rest: header.get(20..).unwrap_or(&[]) }
}

impl<'b> Iterator for Options<'b> {
    type Item = TcpOption<'b>;

    fn next(&mut self) -> Option<TcpOption<'b>> {
        let (&kind, behind) = std::mem::take(&mut self.rest).split_first()?;
        match kind {
            kind::END => Some(TcpOption { kind, body: &[] }),
            kind::NO_OPERATION => {
                self.rest = behind;
                Some(TcpOption { kind, body: &[] })
            }
            _ => {
                let (&len, behind) = behind.split_first()?;
                let (body, rest) = behind.split_at_checked(usize::from(len).checked_sub(2)?)?;
                self.rest = rest;
                Some(TcpOption { kind, body })
            }
        }
    }
}

/// Which kinds occur, as IPFIX element 209 (tcpOptions) lays them out: the bits of each byte stand reversed. Kinds above 63 have no
/// bit there. QUIRK: in the original they fall onto the bits of kind mod 64, which says an option is there that is not.
pub fn options_mask(header: &[u8]) -> u64 {
    options(header).filter(|o| o.kind < 64).fold(0, |mask, o| mask | 1 << ((o.kind & 0xf8) + (7 - (o.kind & 7))))
}

/// The maximum segment size; the last one if it stands there twice.
pub fn mss(header: &[u8]) -> Option<u16> {
    options(header)
        .filter(|o| o.kind == kind::MSS)
        .filter_map(|o| o.body.first_chunk().copied())
        .last()
        .map(u16::from_be_bytes)
}

/// The MSS as the original exports it: 32 bits where 16 stand, that is MSS x 65536 + the two bytes behind it. `l4` are the captured
/// bytes from the TCP header on ([`PacketView::l4`]): the read may leave the header. What lies behind the capture counts as zeros.
pub fn mss_original(l4: &[u8]) -> Option<u32> {
    let header_len = usize::from(l4.get(12)? >> 4) * 4;
    let (mut at, mut found) = (20, None);
    while at < header_len {
        let Some(&kind) = l4.get(at) else { break };
        if kind == kind::END {
            break;
        }
        if kind == kind::MSS {
            let byte = |n: usize| l4.get(at + 2 + n).copied().unwrap_or(0);
            found = Some(u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)]));
        }
        let len = if kind == kind::NO_OPERATION { 1 } else { usize::from(l4.get(at + 1).copied().unwrap_or(0)) };
        if len == 0 {
            break;
        }
        at += len;
    }
    found
}

/// How far the sequence number `to` lies behind `from`; numbers wrap (RFC 9293 section 3.4).
#[inline(always)]
pub(crate) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// Whether the sequence number `a` lies behind `b`.
#[inline(always)]
pub(crate) fn after(a: u32, b: u32) -> bool {
    distance(b, a) > 0
}

/// Sequence number and the like of a packet; `None` if it is not TCP or does not carry its header.
impl PacketView<'_, '_> {
    pub fn tcp_seq(&self) -> Option<u32> {
        self.tcp_fixed().map(|h| u32::from_be_bytes([h[4], h[5], h[6], h[7]]))
    }
    pub fn tcp_ack(&self) -> Option<u32> {
        self.tcp_fixed().map(|h| u32::from_be_bytes([h[8], h[9], h[10], h[11]]))
    }
    /// As sent, without the scale that the handshake agreed on.
    pub fn tcp_window(&self) -> Option<u16> {
        self.tcp_fixed().map(|h| u16::from_be_bytes([h[14], h[15]]))
    }

    fn tcp_fixed(&self) -> Option<&[u8; 20]> {
        let is_whole = self.packet.protocol == protocol::TCP && self.packet.fragment != super::Fragment::Later;
        self.l4().first_chunk().filter(|_| is_whole)
    }
}

/// Whether the original keeps a packet with these options: it loses the packet if a length is 0, or missing because the header ends.
/// A length that leaves the header does not matter to it.
#[inline(always)]
pub(super) fn accepted_by_original(options: &[u8]) -> bool {
    // Two NOPs and a timestamp (RFC 7323, appendix A): what most segments carry.
    if options.len() == 12 && options.starts_with(&[1, 1, 8, 10]) {
        return true;
    }
    walk_as_original(options)
}

#[inline(never)]
fn walk_as_original(options: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        at += match (kind, options.get(at + 1)) {
            (kind::END, _) => return true,
            (kind::NO_OPERATION, _) => 1,
            (_, None | Some(0)) => return false,
            (_, Some(&len)) => usize::from(len),
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(options: &[u8]) -> Vec<u8> {
        let mut h = vec![0; 20];
        h.extend_from_slice(options);
        h[12] = (h.len() as u8 / 4) << 4;
        h
    }

    #[test]
    fn a_usual_syn() {
        let h = header(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
        assert_eq!(
            options(&h).map(|o| (o.kind, o.body.len())).collect::<Vec<_>>(),
            [(2, 2), (4, 0), (8, 8), (1, 0), (3, 1)]
        );
        assert_eq!(mss(&h), Some(1460));
        assert_eq!(mss_original(&h), Some(1460 << 16 | 0x0402));
        // Kinds 1..=4 are bits 6..=3 of the first byte, kind 8 is bit 7 of the second.
        assert_eq!(options_mask(&h), 1 << 6 | 1 << 5 | 1 << 4 | 1 << 3 | 1 << 15);
    }

    #[test]
    fn the_walk_ends_where_lengths_contradict() {
        for bad in [&[8, 0, 1, 1][..], &[8, 1, 1, 1], &[8, 200, 1, 1], &[1, 1, 1, 8]] {
            let h = header(bad);
            assert!(options(&h).all(|o| o.kind == 1), "{bad:?}");
        }
        assert_eq!(options(&header(&[0, 2, 4, 1])).count(), 1, "END ends");
        assert_eq!(options(&[0; 7]).count(), 0, "no header, no options");
        assert_eq!(options_mask(&header(&[254, 4, 0, 0])), 0, "kinds above 63 have no bit");
    }

    #[test]
    fn the_original_reads_an_mss_past_the_header() {
        let mut h = header(&[1, 1, 1, 0]);
        assert_eq!(mss_original(&h), None);
        h = header(&[2, 4, 1, 2]);
        assert_eq!(mss_original(&h), Some(0x0102_0000), "zeros behind the capture");
        h.extend_from_slice(&[0xaa, 0xbb]);
        assert_eq!(mss_original(&h), Some(0x0102_aabb), "payload behind the header");
    }

    #[test]
    fn what_the_original_keeps() {
        let kept: [&[u8]; 5] =
            [&[], &[1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0], &[0, 9, 9, 9], &[8, 200, 0, 0], &[1, 1, 1, 1]];
        assert!(kept.iter().all(|o| accepted_by_original(o)));
        let lost: [&[u8]; 3] = [&[8, 0, 0, 0], &[1, 1, 1, 8], &[2, 3, 0, 2]];
        assert!(lost.iter().all(|o| !accepted_by_original(o)));
    }
}
