//! Tunnels around the packets of a route: what stands between an outer IP header and what is carried.
use super::Side;
use crate::frame::{Frame, Mac};

/// A header of a tunnel. Where two values are, the client's packets have the first and the server's the second.
#[derive(Clone, Copy, Debug)]
pub enum Tunnel {
    /// UDP: source and destination port.
    Udp([(u16, u16); 2]),
    Vxlan(u32),
    /// VNI, and what follows: 1 IPv4, 2 IPv6, 3 Ethernet.
    VxlanGpe(u32, u8),
    Geneve {
        vni: u32,
        options: &'static [u8],
    },
    /// TEIDs: each end names its own, so the directions differ.
    Gtp {
        teids: [u32; 2],
        sequence: Option<u16>,
        extended: bool,
    },
    /// Tunnel and session, as the receiver calls them.
    L2tp([(u16, u16); 2]),
    L2tp3 {
        sessions: [u32; 2],
        in_udp: bool,
        between: &'static [u8],
    },
    /// Type 2 or 3, and the session of the mirror.
    Erspan {
        kind: u8,
        session: u16,
    },
    /// An Ethernet frame inside: the client's address and the server's.
    Ethernet(Mac, Mac),
}

impl Tunnel {
    /// The same ports in both directions, as they are where the answer goes to the well-known port too.
    pub const fn ports(client: u16, server: u16, well_known: u16) -> Self {
        Self::Udp([(client, well_known), (server, well_known)])
    }

    pub(super) fn put<'f>(&self, side: Side, frame: &'f mut Frame) -> &'f mut Frame {
        let at = usize::from(side == Side::Server);
        match *self {
            Self::Udp(ports) => frame.udp(ports[at].0, ports[at].1),
            Self::Vxlan(vni) => frame.vxlan(vni),
            Self::VxlanGpe(vni, next) => frame.vxlan_gpe(vni, next),
            Self::Geneve { vni, options } => frame.geneve(vni, options),
            Self::Gtp { teids, sequence, extended } => frame.gtp(teids[at], sequence, extended),
            Self::L2tp(numbers) => frame.l2tp(numbers[at].0, numbers[at].1),
            Self::L2tp3 { sessions, in_udp, between } => frame.l2tp3(sessions[at], in_udp, between),
            Self::Erspan { kind, session } => frame.erspan(kind, session, 1),
            Self::Ethernet(client, server) if side == Side::Client => frame.ethernet(client, server),
            Self::Ethernet(client, server) => frame.ethernet(server, client),
        }
    }
}
