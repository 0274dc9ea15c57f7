//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443), SCTP (RFC 9260).
use super::{Frame, Joint, Mark, Name};

/// TCP flag bits.
pub mod flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
}

/// TCP options, each with the padding that keeps the header at a multiple of 4 bytes.
pub mod option {
    pub const fn mss(value: u16) -> [u8; 4] {
        let [high, low] = value.to_be_bytes();
        [2, 4, high, low]
    }

    /// MSS, SACK permitted, timestamps, window scale: what a present-day Linux sends with its SYN.
    pub fn syn(mss_value: u16, timestamp: u32, echo: u32) -> [u8; 20] {
        let mut options = [0; 20];
        options[..4].copy_from_slice(&mss(mss_value));
        options[4..8].copy_from_slice(&[4, 2, 8, 10]);
        options[8..12].copy_from_slice(&timestamp.to_be_bytes());
        options[12..16].copy_from_slice(&echo.to_be_bytes());
        options[16..].copy_from_slice(&[1, 3, 3, 7]);
        options
    }

    pub fn timestamps(timestamp: u32, echo: u32) -> [u8; 12] {
        let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        options[4..8].copy_from_slice(&timestamp.to_be_bytes());
        options[8..].copy_from_slice(&echo.to_be_bytes());
        options
    }
}

/// A TCP header; the checksum comes with [`Frame::finish`].
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    pub source: u16,
    pub destination: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: u8,
    pub window: u16,
    /// A multiple of 4 bytes, 40 at the most.
    pub options: &'a [u8],
}

impl Tcp<'_> {
    pub const fn new(source: u16, destination: u16, flags: u8) -> Self {
        Self { source, destination, sequence: 0, acknowledgement: 0, flags, window: 64240, options: &[] }
    }
}

impl Frame {
    pub fn tcp(&mut self, header: &Tcp<'_>) -> &mut Self {
        let words = 5 + header.options.len() as u8 / 4;
        let at = self.header(Name::protocol(6), &header.source.to_be_bytes());
        self.payload(&header.destination.to_be_bytes()).payload(&header.sequence.to_be_bytes());
        self.payload(&header.acknowledgement.to_be_bytes()).payload(&[words << 4, header.flags]);
        self.payload(&header.window.to_be_bytes()).payload(&[0; 4]).payload(header.options);
        self.close(Mark::Tcp(at))
    }

    pub fn udp(&mut self, source: u16, destination: u16) -> &mut Self {
        let at = self.header(Name::protocol(17), &source.to_be_bytes());
        self.payload(&destination.to_be_bytes()).payload(&[0; 4]);
        self.close(Mark::Udp(at))
    }

    /// Type, code and checksum; the rest of the message follows as payload.
    pub fn icmp(&mut self, kind: u8, code: u8) -> &mut Self {
        let at = self.header(Name::protocol(1), &[kind, code, 0, 0]);
        self.close(Mark::Icmp(at))
    }

    /// Type, code and checksum; the rest of the message follows as payload.
    pub fn icmpv6(&mut self, kind: u8, code: u8) -> &mut Self {
        let at = self.header(Name::protocol(58), &[kind, code, 0, 0]);
        self.close(Mark::Icmpv6(at))
    }

    /// The common header; chunks follow as payload.
    pub fn sctp(&mut self, source: u16, destination: u16, tag: u32) -> &mut Self {
        let at = self.header(Name::protocol(132), &source.to_be_bytes());
        self.payload(&destination.to_be_bytes()).payload(&tag.to_be_bytes()).payload(&[0; 4]);
        self.close(Mark::Sctp(at))
    }

    fn close(&mut self, mark: Mark) -> &mut Self {
        self.marks.push(mark);
        self.joint = Joint::Nothing;
        self
    }
}
