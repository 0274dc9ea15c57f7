//! IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200), GRE (RFC 2784, RFC 2890), fragments.
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Frame, Joint, Mark, Name};

/// An IPv4 header; length and checksum come with [`Frame::finish`].
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub tos: u8,
    pub id: u16,
    pub dont_fragment: bool,
    pub more_fragments: bool,
    /// In units of 8 bytes.
    pub offset: u16,
    pub ttl: u8,
    /// A multiple of 4 bytes, 40 at the most.
    pub options: &'a [u8],
}

impl Ipv4<'_> {
    /// TTL 64, DF set, no options.
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            tos: 0,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            offset: 0,
            ttl: 64,
            options: &[],
        }
    }
}

/// An IPv6 header; the payload length comes with [`Frame::finish`].
#[derive(Clone, Copy, Debug)]
pub struct Ipv6 {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub traffic_class: u8,
    pub flow_label: u32,
    pub hop_limit: u8,
}

impl Ipv6 {
    /// Hop limit 64.
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { source, destination, traffic_class: 0, flow_label: 0, hop_limit: 64 }
    }
}

impl Frame {
    /// After another IP header this is IP in IP (RFC 2003).
    pub fn ipv4(&mut self, header: &Ipv4<'_>) -> &mut Self {
        let words = 5 + header.options.len() as u8 / 4;
        let fragment =
            u16::from(header.dont_fragment) << 14 | u16::from(header.more_fragments) << 13 | header.offset & 0x1fff;
        let at = self.header(Name::IPV4, &[0x40 | words, header.tos, 0, 0]);
        self.payload(&header.id.to_be_bytes()).payload(&fragment.to_be_bytes()).payload(&[header.ttl, 0xff, 0, 0]);
        self.payload(&header.source.octets()).payload(&header.destination.octets()).payload(header.options);
        self.marks.push(Mark::Ipv4(at));
        self.joint = Joint::Protocol(at + 9);
        self
    }

    /// After an IPv4 header this is 6in4 (RFC 4213).
    pub fn ipv6(&mut self, header: &Ipv6) -> &mut Self {
        let first = 6 << 28 | u32::from(header.traffic_class) << 20 | header.flow_label & 0xf_ffff;
        let at = self.header(Name::IPV6, &first.to_be_bytes());
        // 59: no next header, until one follows.
        self.payload(&[0, 0, 59, header.hop_limit]);
        self.payload(&header.source.octets()).payload(&header.destination.octets());
        self.marks.push(Mark::Ipv6(at));
        self.joint = Joint::Protocol(at + 6);
        self
    }

    /// Hop-by-hop options with a router alert (RFC 2711).
    pub fn hop_by_hop(&mut self) -> &mut Self {
        self.extension(0, &[5, 2, 0, 0, 1, 0])
    }

    /// Destination options: padding only.
    pub fn destination_options(&mut self) -> &mut Self {
        self.extension(60, &[1, 4, 0, 0, 0, 0])
    }

    /// Mobility header routing, type 2 (RFC 6275), already at its last segment, so that the IPv6 destination is the final one.
    pub fn routing(&mut self, home: Ipv6Addr) -> &mut Self {
        let mut body = vec![2, 0, 0, 0, 0, 0];
        body.extend_from_slice(&home.octets());
        self.extension(43, &body)
    }

    /// Authentication header (RFC 4302) with a 96-bit check value that nobody can verify.
    pub fn authentication(&mut self, spi: u32, sequence: u32) -> &mut Self {
        // Length in words minus 2, for IPv4 and IPv6 alike.
        let at = self.header(Name::protocol(51), &[59, 4, 0, 0]);
        self.payload(&spi.to_be_bytes()).payload(&sequence.to_be_bytes()).filler(u64::from(spi), 12);
        self.joint = Joint::Protocol(at);
        self
    }

    /// GRE version 0; `key` and `sequence` are optional words, `checksum` covers all that follows.
    pub fn gre(&mut self, key: Option<u32>, sequence: Option<u32>, checksum: bool) -> &mut Self {
        let bits = u8::from(checksum) << 7 | u8::from(key.is_some()) << 5 | u8::from(sequence.is_some()) << 4;
        let at = self.header(Name::protocol(47), &[bits, 0, 0, 0]);
        if checksum {
            self.payload(&[0; 4]);
            self.marks.push(Mark::GreSum(at));
        }
        for word in [key, sequence].into_iter().flatten() {
            self.payload(&word.to_be_bytes());
        }
        self.joint = Joint::EtherType(at + 2);
        self
    }

    /// Cuts the innermost IP packet into fragments of at most `chunk` payload bytes (a multiple of 8): frames like this one, each
    /// complete. IPv6 fragments get their fragment header right after the IPv6 header.
    pub fn fragments(&mut self, chunk: usize, id: u32) -> Vec<Vec<u8>> {
        self.finish();
        let Some(index) = self.marks.iter().rposition(|mark| matches!(mark, Mark::Ipv4(_) | Mark::Ipv6(_))) else {
            return vec![self.bytes.clone()];
        };
        let chunk = (chunk / 8).max(1) * 8;
        let (start, version6) = match self.marks[index] {
            Mark::Ipv6(at) => (at + 40, true),
            Mark::Ipv4(at) => (at + usize::from(self.bytes[at] & 15) * 4, false),
            _ => return vec![self.bytes.clone()],
        };
        let mut cuts = Vec::new();
        for (number, piece) in self.bytes[start..].chunks(chunk).enumerate() {
            let offset = number * chunk;
            let more = start + offset + piece.len() < self.bytes.len();
            let head = self.bytes[..start].to_vec();
            let mut cut = Frame { bytes: head, marks: self.marks[..=index].to_vec(), joint: Joint::Nothing };
            if version6 {
                let next = std::mem::replace(&mut cut.bytes[start - 34], 44);
                let place = offset as u16 | u16::from(more);
                cut.payload(&[next, 0]).payload(&place.to_be_bytes()).payload(&id.to_be_bytes());
            } else {
                let at = match self.marks[index] {
                    Mark::Ipv4(at) => at,
                    _ => start,
                };
                cut.put16(at + 4, id as u16);
                cut.put16(at + 6, u16::from(more) << 13 | (offset / 8) as u16);
            }
            cuts.push(cut.payload(piece).finish().to_vec());
        }
        cuts
    }

    /// An extension header whose body has 6 bytes plus a multiple of 8.
    fn extension(&mut self, protocol: u8, body: &[u8]) -> &mut Self {
        let at = self.header(Name::protocol(protocol), &[59, ((body.len() + 2) / 8 - 1) as u8]);
        self.payload(body);
        self.joint = Joint::Protocol(at);
        self
    }
}
