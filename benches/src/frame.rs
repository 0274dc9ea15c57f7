//! One packet, layer by layer, from the outside in.
//!
//! Each call appends a header and names itself in the header before it (EtherType, protocol number, PPP protocol, ...);
//! [`Frame::finish`] then fills in lengths and checksums from the inside out. What comes out is correct on the wire;
//! broken packets are made by changing finished bytes.
//!
//! ```
//! use benches::frame::{Frame, Ipv4};
//! let bytes = Frame::new()
//!     .ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
//!     .vlan(0x8100, 10)
//!     .ipv4(&Ipv4::new([192, 0, 2, 1].into(), [198, 51, 100, 1].into()))
//!     .udp(1024, 53)
//!     .payload(b"hello")
//!     .finish()
//!     .to_vec();
//! assert_eq!(bytes.len(), 14 + 4 + 20 + 8 + 5);
//! ```
mod filler;
mod ip;
mod link;
mod seal;
mod transport;
mod tunnel;

pub use ip::{Ipv4, Ipv6};
pub use transport::{Tcp, flags, option};

/// A hardware address.
pub type Mac = [u8; 6];

/// A packet under construction. Reusable: [`Frame::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
    /// Headers that hold a length or a checksum, outermost first.
    marks: Vec<Mark>,
    joint: Joint,
}

impl Frame {
    /// An empty packet. The first header decides the link type: IP right away is raw IP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a new packet in the same memory.
    pub fn clear(&mut self) -> &mut Self {
        self.bytes.clear();
        self.marks.clear();
        self.joint = Joint::Nothing;
        self
    }

    /// Appends bytes that no header describes.
    pub fn payload(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends `length` bytes of the endless noise, beginning at `position`: the same position gives the same bytes.
    pub fn filler(&mut self, position: u64, length: usize) -> &mut Self {
        filler::append(&mut self.bytes, position, length);
        self
    }

    /// Appends zeros until the frame has `length` bytes, as a network card does; call it after [`Frame::finish`], because padding
    /// belongs to no header.
    pub fn pad(&mut self, length: usize) -> &mut Self {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        self
    }

    /// What was built so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of the innermost IP packet as its header says: what a flow exporter counts. 0 without IP; valid after `finish`.
    pub fn ip_bytes(&self) -> u64 {
        self.marks.iter().rev().find_map(|mark| mark.ip_bytes(&self.bytes)).unwrap_or(0)
    }

    /// Appends a header after having named it in the header before.
    fn header(&mut self, name: Name, bytes: &[u8]) -> usize {
        self.join(name);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        at
    }

    fn join(&mut self, next: Name) {
        match self.joint {
            Joint::Nothing => {}
            Joint::EtherType(at) => self.put16(at, next.ethertype),
            Joint::Protocol(at) => self.bytes[at] = next.protocol,
            Joint::Ppp(at) => self.put16(at, if next.ethertype == Name::IPV6.ethertype { 0x0057 } else { 0x0021 }),
            Joint::MplsBottom(at) => self.bytes[at] |= u8::from(next.ethertype != Name::MPLS.ethertype),
            Joint::Family { at, big_endian } => {
                // 30 is AF_INET6 of macOS, where most null captures come from.
                let family: u32 = if next.ethertype == Name::IPV6.ethertype { 30 } else { 2 };
                let spelled = if big_endian { family.to_be_bytes() } else { family.to_le_bytes() };
                self.bytes[at..at + 4].copy_from_slice(&spelled);
            }
        }
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

/// Where the latest header names its successor, and how.
#[derive(Clone, Copy, Debug, Default)]
enum Joint {
    #[default]
    Nothing,
    EtherType(usize),
    Protocol(usize),
    Ppp(usize),
    MplsBottom(usize),
    Family {
        at: usize,
        big_endian: bool,
    },
}

/// How a header is called by the one before it.
#[derive(Clone, Copy)]
struct Name {
    ethertype: u16,
    protocol: u8,
}

impl Name {
    const IPV4: Self = Self { ethertype: 0x0800, protocol: 4 };
    const IPV6: Self = Self { ethertype: 0x86dd, protocol: 41 };
    const MPLS: Self = Self { ethertype: 0x8847, protocol: 137 };
    const PPPOE: Self = Self::ethertype(0x8864);
    /// Transparent Ethernet bridging, as GRE carries it.
    const ETHERNET: Self = Self { ethertype: 0x6558, protocol: 143 };

    const fn ethertype(ethertype: u16) -> Self {
        Self { ethertype, protocol: 255 }
    }

    const fn protocol(protocol: u8) -> Self {
        Self { ethertype: 0, protocol }
    }
}

/// A header that `finish` has to complete; the number is its offset.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Pppoe(usize),
    Ipv4(usize),
    Ipv6(usize),
    Gtp(usize),
    /// GRE with its optional checksum.
    GreSum(usize),
    Tcp(usize),
    Udp(usize),
    Icmp(usize),
    Icmpv6(usize),
    Sctp(usize),
}
