//! What stands around a packet that came in a tunnel: noted by the decoder as places in the frame, read when somebody asks.
//!
//! A usual packet has no tunnel, and its decoding sets nothing here: its IP header stands where no inner one can ([`L3_MAX_PLAIN`]).
use super::{Packet, PacketView};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which tunnels are entered, and so whose addresses a packet has (`Face::Native`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Tunnels {
    /// Those that the IP header names: GRE, ERSPAN, IP in IP. A packet in another one is the outer packet.
    #[default]
    Ip,
    /// All that are known: also VXLAN, GENEVE, GTP-U, L2TP and Teredo, which ports and content tell.
    Inner,
    /// None: every packet is the outermost one.
    Outer,
    /// As with `Outer`, and what `Inner` finds is a packet besides.
    Both,
}

impl Tunnels {
    /// Every way, for tests.
    pub const ALL: [Tunnels; 4] = [Tunnels::Ip, Tunnels::Inner, Tunnels::Outer, Tunnels::Both];

    /// Whether tunnels that ports and content tell are entered.
    #[inline(always)]
    pub(crate) fn looks_into_udp(self) -> bool {
        matches!(self, Tunnels::Inner | Tunnels::Both)
    }
}

/// Protocol of a tunnel. The numbers are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TunnelKind {
    /// No tunnel.
    #[default]
    None = 0,
    /// IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, RFC 4213, RFC 2473).
    IpInIp = 1,
    /// GRE with IP in it, or another layer 3 (RFC 2784).
    Gre = 2,
    /// GRE with Ethernet in it, NVGRE too (RFC 1701, RFC 7637).
    GreEthernet = 3,
    /// ERSPAN without a header of its own, II and III (draft-foschiano-erspan-03).
    Erspan1 = 4,
    Erspan2 = 5,
    Erspan3 = 6,
    /// RFC 7348.
    Vxlan = 7,
    /// draft-ietf-nvo3-vxlan-gpe-13.
    VxlanGpe = 8,
    /// RFC 8926.
    Geneve = 9,
    /// 3GPP TS 29.281.
    Gtp = 10,
    /// RFC 2661.
    L2tp2 = 11,
    /// RFC 3931, over IP and over UDP.
    L2tp3 = 12,
    L2tp3Udp = 13,
    /// RFC 4380.
    Teredo = 14,
}

impl TunnelKind {
    const ALL: [TunnelKind; 15] = {
        use TunnelKind::*;
        [
            None,
            IpInIp,
            Gre,
            GreEthernet,
            Erspan1,
            Erspan2,
            Erspan3,
            Vxlan,
            VxlanGpe,
            Geneve,
            Gtp,
            L2tp2,
            L2tp3,
            L2tp3Udp,
            Teredo,
        ]
    };

    /// The kind of an exported number.
    pub fn of(number: u8) -> TunnelKind {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            TunnelKind::None => "none",
            TunnelKind::IpInIp => "ip-in-ip",
            TunnelKind::Gre => "gre",
            TunnelKind::GreEthernet => "gre-ethernet",
            TunnelKind::Erspan1 => "erspan-1",
            TunnelKind::Erspan2 => "erspan-2",
            TunnelKind::Erspan3 => "erspan-3",
            TunnelKind::Vxlan => "vxlan",
            TunnelKind::VxlanGpe => "vxlan-gpe",
            TunnelKind::Geneve => "geneve",
            TunnelKind::Gtp => "gtp-u",
            TunnelKind::L2tp2 => "l2tp-2",
            TunnelKind::L2tp3 => "l2tp-3",
            TunnelKind::L2tp3Udp => "l2tp-3-udp",
            TunnelKind::Teredo => "teredo",
        }
    }

    /// Whether it stands in UDP.
    fn has_ports(self) -> bool {
        use TunnelKind::{Geneve, Gtp, L2tp2, L2tp3Udp, Teredo, Vxlan, VxlanGpe};
        matches!(self, Vxlan | VxlanGpe | Geneve | Gtp | L2tp2 | L2tp3Udp | Teredo)
    }
}

/// The last place of the IP header of a packet from the fast path: behind Ethernet with a tag. In a tunnel it stands behind another IP header.
pub(super) const L3_MAX_PLAIN: u16 = 18;
const _: () = assert!(L3_MAX_PLAIN < 20, "an inner IP header stands behind an outer one");

/// Places of tunnels in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelMark {
    /// IP header around the outermost tunnel, and that tunnel's own header.
    outer_l3: u16,
    header_at: u16,
    /// Header of the innermost one.
    inner_at: u16,
    kind: TunnelKind,
    inner_kind: TunnelKind,
    depth: u8,
}

impl TunnelMark {
    /// With one more tunnel inside of those that were noted; `l3` is the IP header before it.
    pub(super) fn within(self, kind: TunnelKind, l3: u16, header_at: u16) -> TunnelMark {
        let first = TunnelMark { outer_l3: l3, header_at, kind, ..TunnelMark::default() };
        let outermost = if self.depth == 0 { first } else { self };
        TunnelMark { inner_at: header_at, inner_kind: kind, depth: self.depth.saturating_add(1), ..outermost }
    }
}

impl Packet {
    /// The tunnels around the packet, if there are any.
    #[inline(always)]
    pub fn tunnel(&self) -> Option<TunnelMark> {
        (self.l3 > L3_MAX_PLAIN && self.tunnel.depth != 0).then_some(self.tunnel)
    }
}

/// The tunnels around a packet, the outermost first of all.
#[derive(Clone, Copy)]
pub struct Tunnel<'b> {
    mark: TunnelMark,
    bytes: &'b [u8],
}

impl<'b> PacketView<'_, 'b> {
    /// The tunnels that the packet came in; `None` for the packet of a frame's outermost IP header.
    pub fn tunnel(&self) -> Option<Tunnel<'b>> {
        let mark = self.packet.tunnel()?;
        Some(Tunnel { mark, bytes: self.bytes })
    }
}

impl Tunnel<'_> {
    /// Of the outermost tunnel.
    pub fn kind(&self) -> TunnelKind {
        self.mark.kind
    }
    /// Of the innermost.
    pub fn inner_kind(&self) -> TunnelKind {
        self.mark.inner_kind
    }
    /// How many tunnels stand in each other, at least 1.
    pub fn depth(&self) -> u8 {
        self.mark.depth
    }

    /// Source and destination address around the outermost tunnel.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        let l3 = usize::from(self.mark.outer_l3);
        if self.byte(l3) >> 4 == 4 {
            let ip = |at: usize| IpAddr::V4(Ipv4Addr::from(self.array(l3 + at)));
            (ip(12), ip(16))
        } else {
            let ip = |at: usize| IpAddr::V6(Ipv6Addr::from(self.array(l3 + at)));
            (ip(8), ip(24))
        }
    }

    /// Source and destination port around the outermost tunnel; 0 if it is not in UDP.
    pub fn ports(&self) -> (u16, u16) {
        // UDP stands right before what it carries.
        match usize::from(self.mark.header_at).checked_sub(8) {
            Some(udp) if self.mark.kind.has_ports() => {
                (u16::from_be_bytes(self.array(udp)), u16::from_be_bytes(self.array(udp + 2)))
            }
            _ => (0, 0),
        }
    }

    /// What the outermost tunnel calls itself: VNI, TEID, GRE key, ERSPAN session, or session of L2TP, of version 2 with the tunnel's
    /// number in the upper half. 0 if it has none.
    pub fn id(&self) -> u32 {
        self.id_of(self.mark.kind, self.mark.header_at)
    }
    /// The same of the innermost.
    pub fn inner_id(&self) -> u32 {
        self.id_of(self.mark.inner_kind, self.mark.inner_at)
    }

    /// Layer 2 segment of the innermost tunnel in the form of IANA's element 351: what names it in the first byte, VXLAN or NVGRE, and
    /// its number in the last three. 0 if it has none.
    pub fn segment(&self) -> u64 {
        let id = u64::from(self.inner_id());
        match self.mark.inner_kind {
            TunnelKind::Vxlan => 1 << 56 | id,
            // RFC 7637 section 3.2: a key and nothing else is there; it has a flow's number in its last byte.
            TunnelKind::GreEthernet if self.byte(self.mark.inner_at.into()) & 0xf0 == 0x20 => 2 << 56 | id >> 8,
            _ => 0,
        }
    }

    fn id_of(&self, kind: TunnelKind, at: u16) -> u32 {
        let at = usize::from(at);
        let flags = u16::from_be_bytes(self.array(at));
        let word = |at: usize| u32::from_be_bytes(self.array(at));
        match kind {
            TunnelKind::None | TunnelKind::IpInIp | TunnelKind::Erspan1 | TunnelKind::Teredo => 0,
            // RFC 2890 section 2: the key stands behind the checksum.
            TunnelKind::Gre | TunnelKind::GreEthernet if flags & 0x2000 == 0 => 0,
            TunnelKind::Gre | TunnelKind::GreEthernet => word(at + if flags & 0x8000 != 0 { 8 } else { 4 }),
            TunnelKind::Erspan2 | TunnelKind::Erspan3 => word(at) & 0x3ff,
            TunnelKind::Vxlan | TunnelKind::VxlanGpe | TunnelKind::Geneve => word(at + 4) >> 8,
            TunnelKind::Gtp => word(at + 4),
            TunnelKind::L2tp2 => word(at + if flags & super::l2tp::LENGTH != 0 { 4 } else { 2 }),
            TunnelKind::L2tp3 => word(at),
            TunnelKind::L2tp3Udp => word(at + 4),
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// The decoder has seen what is asked for; behind the frame everything is zero.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
}
