//! Lengths and checksums, filled in when everything inside a header is known.
use super::{Frame, Mark};
use crate::checksum::{crc32c, internet};

impl Frame {
    /// Completes every header from the inside out and gives the packet.
    pub fn finish(&mut self) -> &[u8] {
        for index in (0..self.marks.len()).rev() {
            let end = self.bytes.len();
            match self.marks[index] {
                // The PPP protocol field counts as payload.
                Mark::Pppoe(at) => self.put16(at + 4, (end - at - 6) as u16),
                Mark::Ipv4(at) => {
                    let header = at + usize::from(self.bytes[at] & 15) * 4;
                    self.put16(at + 2, (end - at) as u16);
                    self.sum(at + 10, &[], at, header);
                }
                Mark::Ipv6(at) => self.put16(at + 4, (end - at - 40) as u16),
                // What follows the fixed part.
                Mark::Gtp(at) => self.put16(at + 2, (end - at - 8) as u16),
                Mark::GreSum(at) | Mark::Icmp(at) => {
                    let field = if matches!(self.marks[index], Mark::Icmp(_)) { at + 2 } else { at + 4 };
                    self.sum(field, &[], at, end);
                }
                Mark::Tcp(at) => self.sum_with_addresses(index, at, at + 16, 6),
                Mark::Udp(at) => {
                    self.put16(at + 4, (end - at) as u16);
                    self.sum_with_addresses(index, at, at + 6, 17);
                    // RFC 768: a sum of 0 is sent as all ones, because 0 says "none".
                    if self.bytes[at + 6..at + 8] == [0, 0] {
                        self.put16(at + 6, 0xffff);
                    }
                }
                Mark::Icmpv6(at) => self.sum_with_addresses(index, at, at + 2, 58),
                Mark::Sctp(at) => {
                    self.bytes[at + 8..at + 12].fill(0);
                    let sum = crc32c(&self.bytes[at..]);
                    self.bytes[at + 8..at + 12].copy_from_slice(&sum.to_le_bytes());
                }
            }
        }
        &self.bytes
    }

    /// The pseudo header of RFC 9293 and RFC 8200: both addresses, length, protocol of the IP header around the mark.
    fn sum_with_addresses(&mut self, index: usize, at: usize, field: usize, protocol: u8) {
        let mut pseudo = [0; 40];
        let addresses = match self.marks[..index].iter().rev().find(|mark| mark.is_ip()) {
            Some(Mark::Ipv4(ip)) => &self.bytes[ip + 12..ip + 20],
            Some(Mark::Ipv6(ip)) => &self.bytes[ip + 8..ip + 40],
            _ => &[][..],
        };
        let length = addresses.len();
        pseudo[..length].copy_from_slice(addresses);
        pseudo[length..length + 4].copy_from_slice(&((self.bytes.len() - at) as u32).to_be_bytes());
        pseudo[length + 7] = protocol;
        self.sum(field, &pseudo[..length + 8], at, self.bytes.len());
    }

    fn sum(&mut self, field: usize, pseudo: &[u8], from: usize, to: usize) {
        self.put16(field, 0);
        let sum = internet(&[pseudo, &self.bytes[from..to]]);
        self.put16(field, sum);
    }
}

impl Mark {
    const fn is_ip(&self) -> bool {
        matches!(self, Mark::Ipv4(_) | Mark::Ipv6(_))
    }

    pub(super) fn ip_bytes(&self, bytes: &[u8]) -> Option<u64> {
        let length = |at: usize| u64::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        match *self {
            Mark::Ipv4(at) => Some(length(at + 2)),
            Mark::Ipv6(at) => Some(length(at + 4) + 40),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Ipv4, Ipv6, Tcp, flags};

    const FOUR: Ipv4<'_> = Ipv4::new(std::net::Ipv4Addr::new(192, 0, 2, 1), std::net::Ipv4Addr::new(198, 51, 100, 1));
    const SIX: Ipv6 = Ipv6::new(std::net::Ipv6Addr::LOCALHOST, std::net::Ipv6Addr::LOCALHOST);

    /// A message with a right checksum sums up to all ones (RFC 1071), so that the sum of it all is 0.
    fn sums_up(parts: &[&[u8]]) -> bool {
        internet(parts) == 0
    }

    #[test]
    fn ipv4_and_tcp_with_an_odd_payload() {
        let mut frame = Frame::new();
        let bytes = frame.ipv4(&FOUR).tcp(&Tcp::new(1, 2, flags::SYN)).payload(b"odd").finish();
        assert_eq!(bytes[2..4], 43u16.to_be_bytes());
        assert!(sums_up(&[&bytes[..20]]));
        assert!(sums_up(&[&bytes[12..20], &[0, 6, 0, 23], &bytes[20..]]));
        assert_eq!(frame.ip_bytes(), 43);
    }

    #[test]
    fn ipv6_and_udp_behind_an_extension_header() {
        let mut frame = Frame::new();
        let bytes = frame.ipv6(&SIX).hop_by_hop().udp(1, 2).payload(b"even").finish();
        assert_eq!(bytes[4..6], 20u16.to_be_bytes());
        assert_eq!((bytes[6], bytes[40]), (0, 17));
        assert!(sums_up(&[&bytes[8..40], &[0, 17, 0, 12], &bytes[48..]]));
        assert_eq!(frame.ip_bytes(), 60);
    }

    #[test]
    fn a_udp_sum_of_zero_is_sent_as_ones() {
        let mut frame = Frame::new();
        frame.ipv4(&FOUR).udp(1, 2).payload(&[0, 0]).finish();
        let sum = [frame.bytes()[26], frame.bytes()[27]];
        // With its own sum as payload the rest sums up to nothing.
        let bytes = Frame::new().ipv4(&FOUR).udp(1, 2).payload(&sum).finish().to_vec();
        assert_eq!(bytes[26..28], [0xff, 0xff]);
    }

    #[test]
    fn outer_lengths_include_inner_headers() {
        let mut frame = Frame::new();
        let bytes = frame.pppoe(7).ipv4(&FOUR).gre(Some(1), None, true).ipv4(&FOUR).udp(1, 2).payload(b"x").finish();
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!([half(4), half(10), half(8 + 20 + 12 + 2)], [2 + 20 + 12 + 29, 20 + 12 + 29, 29]);
        assert!(sums_up(&[&bytes[28..]]));
        assert_eq!(frame.ip_bytes(), 29);
    }

    #[test]
    fn fragments_carry_the_whole_datagram() {
        for six in [false, true] {
            let mut frame = Frame::new();
            if six {
                frame.ipv6(&SIX)
            } else {
                frame.ipv4(&FOUR)
            };
            let whole = frame.udp(1, 2).filler(0, 1000).finish().to_vec();
            let (header, skip) = if six { (48, 40) } else { (20, 20) };
            let cuts = frame.fragments(400, 9);
            let joined: Vec<u8> = cuts.iter().flat_map(|cut| cut[header..].to_vec()).collect();
            assert_eq!((cuts.len(), &joined[..]), (3, &whole[skip..]));
            // Offsets count in units of 8 bytes; IPv6 keeps them three bits higher, with the flag at the bottom.
            let places: Vec<_> =
                cuts.iter().map(|cut| if six { [cut[42], cut[43]] } else { [cut[6], cut[7]] }).collect();
            let expected: [u16; 3] = if six { [1, 401, 800] } else { [0x2000, 0x2000 | 50, 100] };
            assert_eq!(places, expected.map(u16::to_be_bytes));
        }
    }
}
