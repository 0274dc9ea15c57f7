//! A decoded packet: offsets into a borrowed frame, checked once, so that accessors cannot go out of bounds.
//! [`decode`] makes it: a short fast path for the usual frame, and one file for each layer behind it.
mod ether;
mod geneve;
mod gtp;
mod ipv4;
mod ipv6;
mod l2tp;
mod mpls;
mod outer;
pub mod peek;
mod ppp;
mod pppoe;
mod teredo;
mod transport;
mod trill;
mod tunnel;
mod udp_tunnel;
mod vlan;
mod vxlan;
mod walk;

pub mod decode;
pub mod fuzzing;
pub mod tcp;

pub use outer::{Tunnel, TunnelKind, TunnelMark, Tunnels};

use crate::flow::FlowKey;
use crate::registry::PluginSet;
use record::{Mac, Time, reasons};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

reasons! {
    /// Why a packet did not reach the flow cache.
    pub enum PacketDrop = "packets" {
        /// The filter expression refused it.
        Filtered = "filtered",
        /// The link type of the capture is not supported.
        UnknownLink = "unknown_link",
        /// The frame ends before a header it promises.
        Truncated = "truncated",
        /// A length or version field contradicts the layer it stands in.
        BadLength = "bad_length",
        /// Neither IPv4 nor IPv6 inside: ARP, LLDP, STP and the like.
        NotIp = "not_ip",
        /// Tags, labels, extension headers or tunnels nested deeper than the decoder follows.
        TooDeep = "too_deep",
        /// A copy of it was seen within the time of `--dedup`.
        Duplicate = "duplicate",
        /// Left out by `--sample`.
        Sampled = "sampled",
    }
}

/// Direction within a biflow; the flow's first packet goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    Forward = 0,
    Reverse = 1,
}

/// Where the MAC addresses stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum MacForm {
    #[default]
    None,
    /// Destination, then source, from `mac_at` on.
    Ethernet,
    /// Six bytes of source at `mac_at`; the destination is not known (Linux cooked capture).
    SourceOnly,
}

/// Part of a fragmented datagram?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Fragment {
    #[default]
    No,
    /// Offset 0, more fragments follow: carries the ports.
    First,
    /// Offset not 0: the ports are those of its first fragment, if that was seen.
    Later,
}

impl Fragment {
    fn of(offset: bool, more: bool) -> Fragment {
        match (offset, more) {
            (true, _) => Fragment::Later,
            (false, true) => Fragment::First,
            (false, false) => Fragment::No,
        }
    }
}

/// What decoding one frame found. Offsets count from the frame's first byte and lie inside it.
///
/// Laid out so that what the fast path sets to constants, or from one word of the frame, stands together and takes one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    pub key: FlowKey,
    /// Of the key, by the lane's seed.
    pub hash: u64,
    pub at: Time,
    /// Identification of the datagram that this is a fragment of, 0 for a whole one.
    pub fragment_id: u32,
    pub mac_at: u16,
    pub fragment: Fragment,
    pub mac_form: MacForm,
    /// Length of the innermost decoded IP packet by its header, bytes (IPv6: payload length + 40).
    pub ip_len: u32,
    pub dst_port: u16,
    pub src_port: u16,
    /// The innermost decoded IP header.
    pub l3: u16,
    /// The header behind IP and its extensions; equals the end of the frame if that is cut.
    pub l4: u16,
    pub payload_at: u16,
    /// Payload bytes that were captured.
    pub payload_len: u16,
    /// Payload bytes by the IP header's length.
    pub payload_wire: u16,
    /// Outermost VLAN id, 0 if untagged.
    pub vlan: u16,
    /// IANA protocol number behind IP and its extension headers.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// Eight TCP flag bits, 0 for other protocols.
    pub tcp_flags: u8,
    /// Whether the key's endpoints stand in the other order than in this packet.
    pub reversed: bool,
    /// Not the decoder's: plugins that the payload is worth a look to (`Cache::look`).
    pub content: PluginSet,
    /// The tunnels around the packet. The fast path leaves what is here: [`Packet::tunnel`] knows when it means something.
    pub tunnel: TunnelMark,
}

pub mod protocol {
    //! IANA protocol numbers that the decoder knows.
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const L2TP: u8 = 115;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
    pub const SCTP: u8 = 132;
}

/// A packet together with its frame.
#[derive(Clone, Copy)]
pub struct PacketView<'p, 'b> {
    pub packet: &'p Packet,
    pub bytes: &'b [u8],
}

impl<'b> PacketView<'_, 'b> {
    /// The captured payload behind the transport header.
    #[inline(always)]
    pub fn payload(&self) -> &'b [u8] {
        let at = self.packet.payload_at as usize;
        self.bytes.get(at..at + self.packet.payload_len as usize).unwrap_or(&[])
    }

    /// The captured bytes from the transport header on.
    pub fn l4(&self) -> &'b [u8] {
        self.bytes.get(self.packet.l4 as usize..).unwrap_or(&[])
    }

    /// The transport header with its options: from `l4` to the payload.
    pub fn l4_header(&self) -> &'b [u8] {
        self.bytes.get(self.packet.l4 as usize..self.packet.payload_at as usize).unwrap_or(&[])
    }

    pub fn src_ip(&self) -> IpAddr {
        self.ip(12, 8)
    }
    pub fn dst_ip(&self) -> IpAddr {
        self.ip(16, 24)
    }

    /// Time to live, or hop limit.
    pub fn ttl(&self) -> u8 {
        if self.packet.ip_version == 4 { self.l3_byte(8) } else { self.l3_byte(7) }
    }

    /// Type of service, or traffic class.
    pub fn tos(&self) -> u8 {
        match self.packet.ip_version {
            4 => self.l3_byte(1),
            _ => self.l3_byte(0) << 4 | self.l3_byte(1) >> 4,
        }
    }

    /// IPv4: the bits reserved, DF, MF as 0..=7; IPv6: 0.
    pub fn ip_flags(&self) -> u8 {
        if self.packet.ip_version == 4 { self.l3_byte(6) >> 5 } else { 0 }
    }

    /// A byte of the innermost IP header.
    fn l3_byte(&self, at: usize) -> u8 {
        self.bytes.get(self.packet.l3 as usize + at).copied().unwrap_or_default()
    }

    fn ip(&self, v4_at: usize, v6_at: usize) -> IpAddr {
        let l3 = self.bytes.get(self.packet.l3 as usize..).unwrap_or(&[]);
        if self.packet.ip_version == 4 {
            let a: [u8; 4] = l3.get(v4_at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from(a))
        } else {
            let a: [u8; 16] = l3.get(v6_at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(a))
        }
    }

    /// Length of the frame on the wire. Of one that was cut by the snap length, without what follows the IP packet.
    pub fn wire_len(&self) -> u32 {
        (self.bytes.len() as u32).max(u32::from(self.packet.l3).saturating_add(self.packet.ip_len))
    }

    /// (source, destination); zero where the link does not have them.
    pub fn macs(&self) -> (Mac, Mac) {
        let at = |n: usize| -> Mac {
            self.bytes.get(self.packet.mac_at as usize + n..).and_then(|b| b.first_chunk()).copied().unwrap_or_default()
        };
        match self.packet.mac_form {
            MacForm::None => Default::default(),
            MacForm::Ethernet => (at(6), at(0)),
            MacForm::SourceOnly => (at(0), Mac::default()),
        }
    }
}
